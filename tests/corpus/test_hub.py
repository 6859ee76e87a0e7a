"""The catalogue of corpora, and fetching from a hub on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import Hub, running
from published import COLOURS, write_mteb

import mmgap
from mmgap.corpus import FAMILIES, FEATURE_SETS, SOURCES, load_corpus, load_pictograms
from mmgap.corpus import hub as hub_module
from mmgap.corpus.benchmarks import CAPTION_HUBS as HUBS
from mmgap.corpus.benchmarks import MIXBENCH_HUB, SUBSETS
from mmgap.corpus.catalog import all_corpora, find_corpus, load_catalog
from mmgap.corpus.edis import EDIS_HUB as HUB
from mmgap.corpus.hub import by_role
from mmgap.corpus.sampling import fetch_sample, sample_words
from mmgap.errors import CorpusError

# The catalogue


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
        (("title", "titel"), "source 'x': '(title|titel)': "),
        (('licence = "MIT"\n', ""), "source 'x': 'licence': Field required"),
        (('task = "text to image"', "task = 3"), "'task': Input should be a valid string; got 3"),
        (('hub = "owner/x"', "bytes = true"), "'bytes': Input should be a valid integer"),
        (("0123abcd", "main"), "'revision' is 'main'; expected a commit's digits"),
        (('hub = "owner/x"\n', ""), "'revision' is '0123abcd'; expected a commit's digits"),
        (("[[source]]", "[[corpus]]"), r"holds \['corpus'\] at its top"),
        (("= ", "= = "), "is not valid TOML"),
        (("[[source]]", GOOD + "[[source]]"), "source 'x' occurs twice"),
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


def test_words_of_a_sample() -> None:
    lines = sample_words(100, 400, 0, 3)
    assert lines[0].startswith("sample: 100 of 400 queries, sampled at random with seed 3;")
    assert lines[-1].endswith("at most +- 9.8 points; with all queries 4.9")  # 1.96 sqrt(.25 / n)


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
    assert "at most +- 3.1 points; with all queries 1.7" in done.stdout
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


# Fetching


SHA = "afc3409142cdf1adab05336dd1bc5fd3c0a659dc"
REPO = "mteb/mbeir_edis_task2"
N_DOC, N_QUERY = 40, 10


def files_of(root: Path) -> dict[str, bytes]:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def edis(tmp_path: Path) -> Iterator[Hub]:
    """Query n is answered by documents n and n + 20, of 40."""
    root = write_mteb(
        tmp_path / "published",
        [(f"3:{n}", f"headline {n % 7}", COLOURS[n % 6]) for n in range(N_DOC)],
        [(f"3:q{n}", f"caption {n}", None) for n in range(N_QUERY)],
        [(f"3:q{n}", f"3:{n + d}", 1) for n in range(N_QUERY) for d in (0, 20)],
    )
    files = {"README.md": b"licence: mit", ".gitattributes": b"*", **files_of(root)}
    with running(Hub(REPO, files, (SHA, "b" * 40))) as hub:
        yield hub


def mmgap(hub: Hub, cache: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(cache / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "MMGAP_CACHE": str(cache),
    }
    return subprocess.run(
        [sys.executable, "-m", "mmgap.cli", "corpus", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


def test_a_whole_corpus(edis: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    done = mmgap(edis, cache, "fetch", "edis")
    assert done.returncode == 0, done.stderr
    assert f"of {REPO} at {SHA}" in done.stdout
    folder = cache / "corpora" / "mteb__mbeir_edis_task2"
    for name, data in edis.files.items():
        if name != ".gitattributes":
            assert (folder / name).read_bytes() == data
    record = json.loads((folder / "fetched.json").read_text())
    assert record["revision"] == SHA
    large = "corpus/corpus-00000-of-00002.parquet"
    assert record["files"][large]["sha256"] == edis.sha256(large)
    assert all(f"/{SHA}/" in path for _, path, _ in edis.requests if "/resolve/" in path)

    monkeypatch.setenv("MMGAP_CACHE", str(cache))
    corpus = load_corpus("edis")
    assert (corpus.name, len(corpus.documents), len(corpus.queries)) == ("edis", N_DOC, N_QUERY)
    assert corpus.documents[3].image.open().getpixel((0, 0)) == (255, 255, 0)
    assert len(load_corpus("mbeir/edis_task2").documents) == N_DOC  # the same files

    sent = dict(edis.sent)  # what is here is not loaded again
    again = mmgap(edis, cache, "fetch", "edis")
    assert again.returncode == 0, again.stderr
    assert edis.sent == sent
    assert "│ yes" in mmgap(edis, cache, "list").stdout

    (folder / large).write_bytes(edis.files[large][:-10])
    with pytest.raises(CorpusError, match=r"00000-of-00002.parquet has .* bytes, and fetched.json"):
        load_corpus("edis")


def test_a_dry_run_asks_nobody(edis: Hub, tmp_path: Path) -> None:
    done = mmgap(edis, tmp_path / "cache", "fetch", "edis", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert edis.requests == []
    assert not (tmp_path / "cache").exists()
    said = done.stdout
    # 20.11 GB * 8 bits / 100 Mbit/s = 1609 s = 27 min
    for words in ("20.1 GB", "about 27 minutes at 100 Mbit/s", "Apache-2.0", "GB free", SHA):
        assert words in said
    assert "nothing was loaded" in said


def test_a_stopped_fetch_goes_on(edis: Hub, tmp_path: Path) -> None:
    # huggingface_hub writes pieces of 10 MB, so a file that is cut has to be longer.
    size, stop = 24_000_000, 22_000_000
    edis.files["corpus/more.bin"] = bytes(size)
    edis.cut_after["corpus/more.bin"] = stop
    done = mmgap(edis, tmp_path / "cache", "fetch", "edis")
    if done.returncode != 0:  # huggingface_hub may go on by itself
        assert "cannot be fetched" in done.stderr
        assert not (tmp_path / "cache/corpora/mteb__mbeir_edis_task2/fetched.json").exists()
        done = mmgap(edis, tmp_path / "cache", "fetch", "edis")
    assert done.returncode == 0, done.stderr
    assert edis.sent["corpus/more.bin"] < stop + 10_000_000  # a fresh start would be 46 MB
    ranges = [asked for _, path, asked in edis.requests if path.endswith("more.bin") and asked]
    assert ranges


@pytest.mark.parametrize(
    "name", ["corpus/corpus-00000-of-00002.parquet", "README.md"], ids=["sha256", "git"]
)
def test_damage_on_the_way_is_seen(edis: Hub, tmp_path: Path, name: str) -> None:
    edis.damaged.add(name)
    done = mmgap(edis, tmp_path / "cache", "fetch", "edis")
    assert done.returncode == 2
    assert f"{name} of {REPO} has checksum" in done.stderr
    folder = tmp_path / "cache/corpora/mteb__mbeir_edis_task2"
    assert not (folder / name).exists()
    assert not (folder / "fetched.json").exists()


def test_no_network_is_one_line(edis: Hub, tmp_path: Path) -> None:
    edis.url = "http://127.0.0.1:9"
    done = mmgap(edis, tmp_path / "cache", "fetch", "edis")
    assert done.returncode == 2, done.stderr
    assert "cannot be fetched" in done.stderr
    assert f"hf download {REPO} --repo-type dataset --revision {SHA}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sample_keeps_what_is_judged(
    edis: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    done = mmgap(edis, cache, "fetch", "edis", "--sample", "3")
    assert done.returncode == 0, done.stderr
    assert "sample: 3 of 10 queries, sampled at random with seed 0" in done.stdout
    folder = cache / "corpora" / "mteb__mbeir_edis_task2-sample-3-30-seed-0"
    assert f"edis@{folder}" in done.stdout
    corpus = load_corpus(f"edis@{folder}")
    assert corpus.name == "edis, 3 of 10 queries (seed 0) in a smaller pool"
    numbers = [int(query_id.removeprefix("3:q")) for query_id in corpus.query_ids]
    assert len(numbers) == 3
    answers = {f"3:{n + d}" for n in numbers for d in (0, 20)}
    assert answers <= set(corpus.doc_ids)
    assert len(corpus.documents) == 6 + 30
    for document in corpus.documents:  # each with its own headline and image
        n = int(document.id.removeprefix("3:"))
        assert document.text == f"headline {n % 7}"
        assert (
            document.image.read_bytes()
            in edis.files[f"corpus/corpus-0000{n // 20}-of-00002.parquet"]
        )
    record = json.loads((folder / "sample.json").read_text())
    assert (record["of_documents"], record["judged"], record["revision"]) == (N_DOC, 6, SHA)

    monkeypatch.setenv("MMGAP_CACHE", str(cache))
    with pytest.raises(CorpusError, match="is not on this machine"):
        load_corpus("edis")  # a sample is never taken for the whole


def test_a_revision_is_completed_or_refused(edis: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", edis.url)
    facts = find_corpus("edis")
    assert hub_module.plan_fetch(replace(facts, revision=SHA[:8])).revision == SHA
    older = hub_module.plan_fetch(replace(facts, revision="bbbbbbbb"))
    assert older.revision == "b" * 40
    assert hub_module.plan_fetch(replace(facts, revision="")).revision == SHA  # the newest
    names = {file.path for file in older.files}
    assert "README.md" in names
    assert ".gitattributes" not in names
    assert older.bytes == sum(len(edis.files[name]) for name in names)
    with pytest.raises(CorpusError, match=r"0 of the 2 commits .* begin with cccccccc; expected"):
        hub_module.plan_fetch(replace(facts, revision="c" * 8))
    with pytest.raises(CorpusError, match=rf"{REPO} has no commit {'d' * 40}"):
        hub_module.plan_fetch(replace(facts, revision="d" * 40))
    with pytest.raises(CorpusError, match="the hub has no data set mteb/gone"):
        hub_module.plan_fetch(replace(facts, hub="mteb/gone"))
    only = hub_module.plan_fetch(replace(facts, subset="qrels"))
    assert {file.path.split("/")[0] for file in only.files} == {"qrels"}
    with pytest.raises(CorpusError, match="'pictograms' is not fetched from the hub"):
        hub_module.plan_fetch(find_corpus("pictograms"))


def test_a_full_disk_stops_it_before_a_byte_is_loaded(
    edis: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", edis.url)
    monkeypatch.setattr(hub_module, "free_bytes", lambda folder: 10)  # noqa: ARG005
    with pytest.raises(CorpusError, match=r"GB more, and its disk has .* GB free"):
        hub_module.fetch(find_corpus("edis"))
    assert edis.sent == {}


def test_offline_mode_says_so() -> None:
    with pytest.raises(CorpusError, match=r"cannot be fetched \(Offline"):
        hub_module.plan_fetch(find_corpus("edis"))
