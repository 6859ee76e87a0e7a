"""``mmgap table seed`` on a small folder, with an encoder and a reranker made for the test."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from PIL import Image
from typer.testing import CliRunner

import mmgap.corpus
import mmgap.encoders
import mmgap.rerankers
from mmgap.cli import app
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.strategies import SEED_TABLE

N_DOCUMENT, N_QUERY = 40, 12


class HashEncoder:
    """Vectors that depend on the input and mean nothing."""

    def __init__(self, name: str, **options: object) -> None:
        self.info = EncoderInfo(name, f"hash {name} {options}", "test", 8)
        self.options = options

    def _vector(self, data: bytes) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
        return np.random.default_rng(seed).normal(size=8).astype(np.float32)

    def encode_text(self, texts: list[str], *, role: str, **options: object) -> np.ndarray:
        assert role in {"query", "document"}
        assert not options["normalize"]
        return np.stack([self._vector(text.encode()) for text in texts])

    def encode_images(self, images: list[Image.Image], **options: object) -> np.ndarray:
        assert not options["normalize"]
        return np.stack([self._vector(image.tobytes()) for image in images])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mine")
    documents, queries = [], []
    for at in range(N_DOCUMENT):
        Image.new("RGB", (4, 4), (at, 0, 0)).save(root / f"{at}.png")
        documents.append({"id": f"d{at}", "text": f"one two {at}", "image": f"{at}.png"})
    for at in range(N_QUERY):
        queries.append({"id": f"q{at}", "text": f"query {at}"})
    for name, rows in (("documents", documents), ("queries", queries)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "qrels.tsv").write_text("".join(f"q{at}\t0\td{at}\t1\n" for at in range(N_QUERY)))
    return root


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeReranker:
    """A reranker that knows that query n asks for document n."""

    def rule(query: str, text: str | None, red: int | None) -> float:
        at = red if text is None else int(text.split()[-1])
        return 0.9 if query == f"query {at}" else 0.2

    fake = FakeReranker(rule)
    fake.options = {}

    def load(name: str, **options: object) -> FakeReranker:
        assert name == "mini-reranker"
        fake.options = options
        return fake

    monkeypatch.setattr(mmgap.rerankers, "load_reranker", load)
    monkeypatch.setattr(mmgap.encoders, "load_encoder", HashEncoder)
    return fake


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["table", "seed", *arguments, "--quiet"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.usefixtures("fake")
def test_prints_and_writes_every_encoder(folder: Path, tmp_path: Path) -> None:
    printed = run(
        "--corpus", str(folder), "--encoder", "one", "--encoder", "two", "--out", str(tmp_path)
    )
    table = pd.read_csv(tmp_path / "seed_table.csv")
    assert table["strategy"].tolist() == [row.name for row in SEED_TABLE] * 2
    assert table["encoder"].tolist() == ["one"] * 7 + ["two"] * 7
    assert not table["published_applies"].any()
    assert "Published, not measured here, EDIS with jina-clip-v2" in printed
    for row in SEED_TABLE:
        assert row.name in printed
    for column in ("measured", "calls/query", "ms/query", "published on EDIS", "36.24"):
        assert column in printed
    assert max(map(len, printed.splitlines())) <= 170
    assert (table["embed_ms"] > 0).all()
    # It knows the answers, so recall is that of the candidates.
    last = table.iloc[6]
    assert last["value"] > table["value"][0]
    assert "Best without reranker" in printed


def test_encoders_share_reranker_calls(folder: Path, tmp_path: Path, fake: FakeReranker) -> None:
    command = ["--corpus", str(folder), "--out", str(tmp_path)]
    first = run(*command, "--encoder", "one")
    assert f", {len(fake.asked):,} reranker calls made now" in first
    before = len(fake.asked)
    assert ", 0 reranker calls made now" in run(*command, "--encoder", "one")
    assert len(fake.asked) == before
    run(*command, "--encoder", "two")
    assert len(fake.asked) == len(set(fake.asked)) <= 2 * N_QUERY * N_DOCUMENT


def test_options_reach_reranker_corpus_and_encoder(
    folder: Path, tmp_path: Path, fake: FakeReranker
) -> None:
    command = ["--corpus", str(folder), "--encoder", "one", "--out", str(tmp_path)]
    run(
        *command,
        "--max-length",
        "77",
        "--max-words",
        "3",
        "--depth",
        "4",
        "--sample",
        "5",
        "--dim",
        "4",
        "--query-prompt",
        "q: ",
        "--image-side",
        "2",
    )
    assert fake.options == {"max_length": 77}
    table = pd.read_csv(tmp_path / "seed_table.csv")
    assert table["strategy"][6] == "2 + 2, mean of both views"
    assert (table["n"] == 5).all()
    settings = pd.read_csv(tmp_path / "seed_table_settings.csv").set_index("number")["setting"]
    assert settings[8] == "dim=4, query_prompt=q: , max_words=3"
    assert settings[9].startswith("max_length=77, image_side=2; fake gives sigmoid")
    assert "5 queries" in settings[4]


def test_without_reranker_the_rows_say_so(folder: Path, tmp_path: Path, fake: FakeReranker) -> None:
    command = ["--corpus", str(folder), "--encoder", "one", "--out", str(tmp_path)]
    printed = run(*command, "--reranker", "none")
    assert printed.count("not run: no reranker was given") == 4
    assert not fake.asked
    assert pd.read_csv(tmp_path / "seed_table.csv")["value"].notna().sum() == 3


def test_the_open_points_are_listed() -> None:
    printed = run("--options")
    for number in range(1, 12):
        assert f"{number:>2}. " in printed
    assert "default: macro" in printed


@pytest.mark.usefixtures("fake")
def test_a_pool_is_for_edis_alone(folder: Path) -> None:
    command = ["table", "seed", "--corpus", str(folder), "--pool", "full"]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, MmgapError)
    assert "--pool is for EDIS" in str(done.exception)


def test_the_plain_table_is_still_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmgap.encoders, "load_encoder", HashEncoder)
    command = ["table", "--corpus", str(folder), "--encoder", "one", "--quiet"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "RRF" in done.output
    assert "reranked" not in done.output
