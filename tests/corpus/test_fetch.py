"""Fetching from a hub on this machine, through huggingface_hub as users have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import Hub, running
from published import COLOURS, write_mteb

from mmgap.corpus import hub as hub_module
from mmgap.corpus import load_corpus
from mmgap.corpus.catalog import find_corpus
from mmgap.errors import CorpusError

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
    assert "sample: 3 of 10 queries, drawn at random with seed 0" in done.stdout
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
