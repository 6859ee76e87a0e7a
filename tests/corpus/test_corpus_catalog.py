"""The catalogue of corpora, its page, and the commands that read it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mmgap
from mmgap.corpus import FAMILIES, FEATURE_SETS, SOURCES, load_corpus, load_pictograms
from mmgap.corpus.benchmarks import CAPTION_HUBS as HUBS
from mmgap.corpus.benchmarks import MIXBENCH_HUB, SUBSETS
from mmgap.corpus.catalog import all_corpora, find_corpus, load_catalog
from mmgap.corpus.edis import EDIS_HUB as HUB
from mmgap.corpus.hub import by_role
from mmgap.corpus.sampling import fetch_sample, interval_half_width, sample_words
from mmgap.errors import CorpusError

REPOSITORY = Path(mmgap.__file__).resolve().parent.parent
CORPORA = {facts.id: facts for facts in all_corpora()}

GOOD = """\
[[source]]
id = "x"
title = "X"
task = "text to image"
licence = "MIT"
hub = "owner/x"
revision = "0123abcd"
"""


def test_every_loader_has_its_rows() -> None:
    plain = {name for name in CORPORA if "/" not in name}
    assert plain == set(SOURCES)
    assert {name.split("/")[0] for name in set(CORPORA) - plain} == {*FAMILIES, "features"}
    assert {n.removeprefix("features/") for n in CORPORA if n.startswith("features/")} == set(
        FEATURE_SETS
    )
    assert {name for name in CORPORA if name.startswith("mixbench/")} == {
        f"mixbench/{subset}" for subset in SUBSETS
    }
    for name, facts in CORPORA.items():
        if name.startswith("mbeir/"):
            assert facts.hub == f"mteb/mbeir_{name.removeprefix('mbeir/')}"
            assert facts.samples
            assert len(facts.revision) in {8, 40}
        if name.startswith("mixbench/"):
            assert (facts.hub, facts.subset) == (MIXBENCH_HUB, name.split("/")[1])
        if name.startswith("captions/"):
            assert facts.hub == HUBS[name.split("/")[1]]
    assert CORPORA["edis"].hub == HUB


@pytest.mark.parametrize("name", [n for n, facts in CORPORA.items() if facts.hub])
def test_every_corpus_of_the_hub_loads_by_name_once_it_is_here(name: str) -> None:
    with pytest.raises(CorpusError, match=rf"'{name}' is not on this machine .* fetch {name}'"):
        load_corpus(name)


def test_counts_that_can_be_checked_here() -> None:
    corpus = load_pictograms("test", "style")
    facts = CORPORA["pictograms"]
    assert (facts.documents, facts.queries) == (len(corpus.documents), len(corpus.queries))
    (published,) = FEATURE_SETS.values()
    assert CORPORA["features/clip-vit-b16-coco500"].bytes == published.size
    # 4.86 + 4.79 + 5.35 + 5.11 GB of documents, 308 kB of queries, 82 kB of judgments
    assert CORPORA["edis"].bytes == round((4.86 + 4.79 + 5.35 + 5.11) * 1e9) + 308_000 + 82_000


def test_what_is_not_known_is_said_to_be_so() -> None:
    assert find_corpus("mixbench/OVEN").pinned == "not pinned: unknown here"
    assert find_corpus("mbeir/oven_task8").pinned.startswith("61984775... (a prefix")
    assert find_corpus("edis").pinned == "afc3409142cdf1adab05336dd1bc5fd3c0a659dc"
    assert find_corpus("pictograms").pinned == "no data set of the hub"
    with pytest.raises(CorpusError, match="no corpus is called 'eddis'; did you mean 'edis'"):
        find_corpus("eddis")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title", "titel"), "corpus 'x': unknown key 'titel'; the known keys are id, title"),
        (('licence = "MIT"\n', ""), "corpus 'x': key 'licence' is missing"),
        (('task = "text to image"', "task = 3"), "'task' is 3; expected str"),
        (('hub = "owner/x"', "bytes = 0"), "'bytes' is 0; expected int"),
        (('hub = "owner/x"', "bytes = true"), "'bytes' is True; expected int"),
        (("0123abcd", "main"), "'revision' is 'main'; expected a commit's digits"),
        (('hub = "owner/x"\n', ""), "'revision' is '0123abcd'; expected a commit's digits"),
        (("[[source]]", "[[corpus]]"), r"holds \['corpus'\] at its top"),
        (("= ", "= = "), "is no TOML"),
        (("[[source]]", GOOD + "[[source]]"), "corpus 'x' stands there twice"),
    ],
)
def test_a_wrong_catalogue_is_refused(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(GOOD)
    assert load_catalog(path)[0].hub == "owner/x"
    path.write_text(GOOD.replace(*change, 1))
    with pytest.raises(CorpusError, match=message):
        load_catalog(path)


def test_the_page_of_all_corpora_is_current() -> None:
    page = subprocess.run(
        [sys.executable, "-c", "import corpus_table; print(corpus_table.page(), end='')"],
        cwd=REPOSITORY / "scripts",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (REPOSITORY / "docs" / "corpora.md").read_text(encoding="utf-8") == page, (
        "docs/corpora.md is old; run: python scripts/corpus_table.py"
    )
    assert all(f"| `{name}` |" in page for name in CORPORA)


def test_the_catalogue_is_part_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert "corpus/catalog.toml" in project["tool"]["setuptools"]["package-data"]["mmgap"]


# Samples


def test_intervals_of_a_sample_by_simulation() -> None:
    """The widest case, hits of 0 and 1: 95 % of means lie within the half width."""
    import numpy as np

    hits = np.random.default_rng(1).random((4000, 500)) < 0.3
    within = np.abs(hits.mean(axis=1) - 0.3) < interval_half_width(0.3, 500)
    assert 0.94 < within.mean() < 0.96


def test_words_of_a_sample() -> None:
    lines = sample_words(100, None, 0, 3)
    assert lines[0].startswith("sample: 100 queries, drawn by lot with seed 3;")
    assert lines[-1] == "  recall 50 %: +- 9.8 points"  # 1.96 * sqrt(.25 / 100)


def test_samples_that_cannot_be() -> None:
    with pytest.raises(CorpusError, match=r"'captions/coco' cannot be fetched in part; .* whole"):
        fetch_sample(find_corpus("captions/coco"), 5)
    with pytest.raises(CorpusError, match="a sample of 0 queries"):
        fetch_sample(find_corpus("edis"), 0)


def test_files_are_told_apart_by_folder_and_name() -> None:
    files = [
        "README.md",
        "corpus/corpus-00001-of-00002.parquet",
        "corpus/corpus-00000-of-00002.parquet",
        "query/test-0.parquet",
        "query/train-0.parquet",
        "MSCOCO/mixed_corpus-0.parquet",
    ]
    roles = {"corpus": ["corpus"], "queries": ["query"], "mixed": ["mixed_corpus"]}
    assert by_role(files, roles, "test") == {
        "corpus": [files[2], files[1]],
        "queries": ["query/test-0.parquet"],
        "mixed": ["MSCOCO/mixed_corpus-0.parquet"],
    }
    assert by_role(files, roles)["queries"] == ["query/test-0.parquet", "query/train-0.parquet"]


# Commands


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mmgap.cli", "corpus", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_list_names_all() -> None:
    done = command("list")
    assert done.returncode == 0, done.stderr
    for name in CORPORA:
        assert re.search(rf"│ {re.escape(name)} +│", done.stdout), name
    assert "1,047,067" in done.stdout


def test_show_says_what_is_known() -> None:
    done = command("show", "edis")
    assert done.returncode == 0, done.stderr
    for words in ("20.1 GB", "3,241", "8,341", "afc3409142cd", "--sample N", "553,171"):
        assert words in done.stdout
    done = command("show", "mixbench/OVEN")
    assert "not pinned: unknown here" in done.stdout
    assert re.search(r"size: +not established", done.stdout)
    wrong = command("show", "edsi")
    assert wrong.returncode == 2
    assert "did you mean 'edis'" in wrong.stderr


def test_dry_runs() -> None:
    done = command("fetch", "edis", "--dry-run", "--sample", "1000")
    assert done.returncode == 0, done.stderr
    assert "sample: 1,000 of 3,241 queries" in done.stdout
    assert "recall 30 %: +- 2.8 points; with all queries 1.6" in done.stdout
    unknown = command("fetch", "mbeir/webqa_task2", "--dry-run")
    assert "size:     not established" in unknown.stdout
    assert "CC-BY-SA-4.0" in unknown.stdout
    bundled = command("fetch", "pictograms")
    assert bundled.returncode == 0
    assert "nothing to fetch" in bundled.stdout
    for arguments, message in {
        ("captions/coco", "--sample", "3", "--dry-run"): "cannot be fetched in part",
        ("features/clip-vit-b16-coco500",): "Nothing to fetch: load_corpus takes it",
    }.items():
        done = command("fetch", *arguments)
        assert done.returncode == 2
        assert message in done.stderr


def test_info_of_a_corpus_that_is_not_here_and_of_one_that_is(tmp_path: Path) -> None:
    missing = command("info", "edis", MMGAP_CACHE=str(tmp_path))
    assert missing.returncode == 2
    assert "mmgap corpus fetch edis" in missing.stderr
    (tmp_path / "documents.csv").write_text("id,text\na,cat\nb,cat\nc,dog\n")
    (tmp_path / "queries.csv").write_text("id,text\nq,cat\n")
    (tmp_path / "qrels.tsv").write_text("q 0 a 1\n")
    here = command("info", str(tmp_path))
    assert here.returncode == 0, here.stderr
    assert "3 documents have a text, 2 texts differ; 2 documents share theirs" in here.stdout


def test_the_split_reaches_the_loader(tmp_path: Path) -> None:
    done = command("info", f"edis/val@{tmp_path}")
    assert done.returncode == 2
    assert "EDIS_val.json" in done.stderr


@pytest.mark.parametrize("name", ["list", "show", "fetch", "info"])
def test_every_help_shows_an_example(name: str) -> None:
    done = command(name, "--help", COLUMNS="120")
    assert "Example" in done.stdout
