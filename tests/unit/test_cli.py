"""Every command, on small corpora: what it prints, writes, refuses, and says of itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from PIL import Image

from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.catalog import all_models
from mmgap.strategies import TWO_STAGE

Command = Callable[..., object]
N_DOCUMENT, N_QUERY = 40, 12
ENCODERS = [facts for facts in all_models() if not facts.is_reranker]


class HashEncoder:
    """Vectors that depend on the input and mean nothing."""

    def __init__(self, name: str, **options: object) -> None:
        self.info = EncoderInfo(name, f"hash {name} {options}", "test", 8)

    def _vector(self, data: bytes) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
        return np.random.default_rng(seed).normal(size=8).astype(np.float32)

    def encode_text(self, texts: list[str], **_: object) -> np.ndarray:
        return np.stack([self._vector(text.encode()) for text in texts])

    def encode_images(self, images: list[Image.Image], **_: object) -> np.ndarray:
        return np.stack([self._vector(image.tobytes()) for image in images])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents, twelve queries of two kinds; query n asks for document n."""
    root = tmp_path_factory.mktemp("mine")
    documents, queries = [], []
    for at in range(N_DOCUMENT):
        Image.new("RGB", (4, 4), (at, 0, 0)).save(root / f"{at}.png")
        documents.append({"id": f"d{at}", "text": f"one two {at}", "image": f"{at}.png"})
    for at in range(N_QUERY):
        queries.append({"id": f"q{at}", "text": f"query {at}", "kind": "odd" if at % 2 else "even"})
    for name, rows in (("documents", documents), ("queries", queries)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "qrels.tsv").write_text("".join(f"q{at}\t0\td{at}\t1\n" for at in range(N_QUERY)))
    return root


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty pairs and queries; the sides lie apart, row i of all belongs together."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    image = rng.standard_normal((60, 8)) + 3 * np.eye(8)[0]
    np.save(folder / "image-side.npy", image)
    np.save(folder / "text-side.npy", image + 0.5 * rng.standard_normal((60, 8)) - 6 * np.eye(8)[0])
    np.save(folder / "queries.npy", image + 0.5 * rng.standard_normal((60, 8)))
    return ",".join(f"{folder}/{name}.npy" for name in ("image-side", "text-side", "queries"))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeReranker:
    """Encoders without sense, and a reranker that knows that query n asks for document n."""

    def rule(query: str, text: str | None, red: int | None) -> float:
        at = red if text is None else int(text.split()[-1])
        return 0.9 if query == f"query {at}" else 0.2

    fake = FakeReranker(rule)
    fake.options = {}

    def load(name: str, **options: object) -> FakeReranker:
        assert name == "mini-reranker"
        fake.options = options
        return fake

    monkeypatch.setattr("mmgap.rerankers.load_reranker", load)
    monkeypatch.setattr("mmgap.encoders.load_encoder", HashEncoder)
    return fake


WRITES = {
    "report": ["recall.csv", "distributions.csv"],
    "gap": ["gap.csv", "gap.html", "gap.tex"],
    "leaderboard": ["leaderboard.csv"],
    "single-modality": ["single_modality.csv"],
    "label-budget --draws 3": ["label_budget.csv"],
    "threshold --false-positive-rate 0.1": ["threshold.csv"],
    "advise --labels 100": ["advice.csv"],
}


@pytest.mark.parametrize("command", WRITES)
def test_ready_made_pairs_through_every_command(
    command: str, pair: str, mmgap: Command, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "results"
    done = mmgap(*command.split(), "--corpus", pair, "--out", out)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(WRITES[command])
    for name in WRITES[command]:
        assert f"written: {out / name}" in done.stdout
        if name.endswith(".csv"):
            table = pd.read_csv(out / name)
            assert set(table["corpus"]) == {"features/image-side"}
            assert set(table["encoder"]) == {"features"}
    assert "features/image-side" in done.stdout


def test_pages_of_the_gap(pair: str, mmgap: Command, tmp_path: Path) -> None:
    assert mmgap("gap", "--corpus", pair, "--k", "5", "--out", tmp_path).returncode == 0
    assert (tmp_path / "gap.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "gap.tex").read_text().startswith("\\begin{table}")


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("report --k 5", ["text leg", "RRF", "recall@5", "P(text > image)"]),
        ("table --by kind", ["odd", "even", "image leg"]),
        ("table", ["RRF"]),
        ("embed", ["12 queries, 40 texts, 40 images, 8 dimensions"]),
        ("report --sample 5", ["only 5 documents are searched"]),
    ],
)
def test_a_folder(
    command: str, printed: list[str], folder: Path, mmgap: Command, tmp_path: Path
) -> None:
    out = ["--out", tmp_path] if command.startswith("report") else []
    done = mmgap(*command.split(), "--corpus", folder, "--encoder", "mini-clip", *out)
    assert done.returncode == 0, done.stderr
    for words in printed:
        assert words in done.stdout


def two_stage(mmgap: Command, folder: Path, out: Path, *more: str) -> str:
    command = ["table", "two-stage", "--corpus", folder, "--out", out]
    done = mmgap(*command, "--encoder", "mini-clip", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_two_stage_table(
    folder: Path, mmgap: Command, tmp_path: Path, fake: FakeReranker
) -> None:
    printed = two_stage(mmgap, folder, tmp_path, "--encoder", "mini-siglip")
    table = pd.read_csv(tmp_path / "two_stage.csv")
    assert table["strategy"].tolist() == [row.name for row in TWO_STAGE] * 2
    assert table["encoder"].tolist() == ["mini-clip"] * 7 + ["mini-siglip"] * 7
    assert not table["published_applies"].any()
    for words in ("Published, not measured here", "36.24", "Best without reranker"):
        assert words in printed
    assert (table["embed_ms"] > 0).all()
    assert table["value"][6] > table["value"][0]  # the reranker knows what is relevant
    assert len(fake.asked) == len(set(fake.asked)) <= 2 * N_QUERY * N_DOCUMENT
    assert ", 0 reranker calls made now" in two_stage(mmgap, folder, tmp_path)


def test_settings_reach_reranker_corpus_and_encoder(
    folder: Path, mmgap: Command, tmp_path: Path, fake: FakeReranker
) -> None:
    changed = "max_length=77 max_words=3 depth=4 sample=5 dim=4 query_prompt=q:_ image-side=2"
    two_stage(mmgap, folder, tmp_path, *(w for s in changed.split() for w in ("--set", s)))
    assert fake.options == {"max_length": 77}
    table = pd.read_csv(tmp_path / "two_stage.csv")
    assert table["strategy"][6] == "2 + 2, mean of both views"
    assert (table["n"] == 5).all()
    settings = pd.read_csv(tmp_path / "two_stage_settings.csv").set_index("number")["setting"]
    assert settings[8] == "dim=4, query_prompt=q:_, max_words=3"
    assert settings[9].startswith("max_length=77, image_side=2; fake gives sigmoid")
    assert "5 queries" in settings[4]


def test_without_reranker_the_rows_say_so(
    folder: Path, mmgap: Command, tmp_path: Path, fake: FakeReranker
) -> None:
    printed = two_stage(mmgap, folder, tmp_path, "--reranker", "none")
    assert printed.count("not run: no reranker was given") == 4
    assert not fake.asked


def test_unreported_settings_are_listed(mmgap: Command) -> None:
    printed = mmgap("table", "two-stage", "--settings").stdout
    assert all(f"{number:>2}. " in printed for number in range(1, 12))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("corpus info pictogram", "pictograms"),
        ("table --by mood --corpus {folder}", "have no field 'mood'; they have: kind"),
        ("gap --encoder mini-clip --corpus {pair}", "holds ready-made vectors"),
        ("gap --corpus no.npy,none.npy", "no.npy cannot be read"),
        ("models --languages German", "'german'; expected ISO 639-1 codes"),
        ("models show jinaai/jina-clip-v3", "did you mean jinaai/jina-clip-v"),
        ("models check jinaai/jina-clip-v3", "did you mean jinaai/jina-clip-v"),
        ("table two-stage --corpus {folder} --set pool=full", "is for EDIS"),
        ("threshold --precision 0.9 --false-positive-rate 0.1", "name one target"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    command: str, said: str, folder: Path, pair: str, mmgap: Command
) -> None:
    done = mmgap(*command.format(folder=folder, pair=pair).split())
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_corpus_info_counts(folder: Path, pair: str, mmgap: Command) -> None:
    assert "40 documents, 12 queries" in mmgap("corpus", "info", folder).stdout
    assert "60 documents, 60 queries, 1.00 relevant" in mmgap("corpus", "info", pair).stdout


@pytest.mark.parametrize(
    ("name", "pools"),
    [
        ("pictograms", ["test/style", "test/concept"]),
        ("pictograms/style", ["test/style"]),
        ("pictograms/calibration/concept", ["calibration/concept"]),
        ("pictograms/concept/de", ["test/concept/de"]),
        ("pictograms/train", ["train"]),
    ],
)
def test_parts_of_the_bundled_corpus(name: str, pools: list[str], mmgap: Command) -> None:
    lines = mmgap("corpus", "info", name).stdout.splitlines()
    found = [line.partition(":")[0] for line in lines if " relevant documents a query" in line]
    assert found == [f"pictograms/{pool}" for pool in pools]


def test_the_gap_report_takes_the_calibration_queries(
    mmgap: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Stub:
        corpus = encoder = "stub"

        def to_text(self, *_: object) -> str:
            return ""

        to_html = to_latex = to_text

        def to_frame(self) -> pd.DataFrame:
            return pd.DataFrame({"value": [1.0]})

    seen = []

    def gap_report(pool: object, *, calibration: object, k: int) -> Stub:
        assert k == 10
        seen.append((pool.name, calibration and calibration.name))
        return Stub()

    monkeypatch.setattr("mmgap.cli.job.Job.embed", lambda _, pool, __: pool)
    monkeypatch.setattr("mmgap.strategies.gap_report", gap_report)
    for name in ("pictograms/style", "pictograms/calibration/style"):
        mmgap("gap", "--encoder", "mini-clip", "--corpus", name, "--out", tmp_path)
    assert seen == [
        ("pictograms/test/style", "pictograms/calibration/style"),
        ("pictograms/calibration/style", None),
    ]


# Models


def listed(mmgap: Command, *arguments: str) -> set[str]:
    """Ids in the table, whose number the last line must give."""
    done = mmgap("models", *arguments, columns=220)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    found = [cell for cell in cells if cell]
    assert lines[-1].startswith(f"{len(found)} models;")
    return set(found)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ("", lambda facts: bool(facts.id)),
        ("--licence commercial", lambda facts: facts.commercial is True),
        ("--licence non-commercial", lambda facts: facts.commercial is False),
        ("--licence mit", lambda facts: facts.licence == "MIT"),
        ("--languages de", lambda facts: {"de", "multilingual"} & set(facts.languages)),
        ("--max-params 100", lambda facts: (facts.parameters or 1e9) <= 100),
        ("--one-index", lambda facts: facts.one_index),
    ],
)
def test_models_are_filtered(filters: str, wanted: Callable, mmgap: Command) -> None:
    assert listed(mmgap, *filters.split()) == {facts.id for facts in ENCODERS if wanted(facts)}


def test_rerankers_are_listed_on_request(mmgap: Command) -> None:
    rerankers = {facts.id for facts in all_models()} - {facts.id for facts in ENCODERS}
    assert listed(mmgap, "--rerank") == rerankers


@pytest.mark.parametrize(
    ("model", "words", "missing"),
    [
        ("jinaai/jina-clip-v2", ["commercial use:      no", "1024", "load_encoder('jinaai"], "-?-"),
        (
            "facebook/metaclip-2-worldwide-b32",
            ["dimensions:          not established", "revision:            none pinned"],
            "-?-",
        ),
        (
            "jinaai/jina-reranker-m0",
            ["sigmoid(logit - 2.65), in [0, 1]", "load_reranker('jinaai/jina-reranker-m0')"],
            "dimensions",
        ),
    ],
)
def test_show_says_all_that_is_known(
    model: str, words: list[str], missing: str, mmgap: Command
) -> None:
    said = mmgap("models", "show", model).stdout
    assert all(each in said for each in words)
    assert missing not in said
    facts = next(facts for facts in all_models() if facts.id == model)
    assert all(f"{result.value:g}  [{result.source}]" in said for result in facts.results)


@pytest.mark.parametrize("passed", [True, False])
def test_check_passes_and_fails_by_exit_status(
    passed: bool, mmgap: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmgap.encoders.check import CheckResult

    results = [CheckResult("norm", passed, "1", "1"), CheckResult("licence", None, "none", "MIT")]
    monkeypatch.setattr("mmgap.rerankers.check.check_model", lambda _: results)
    done = mmgap("models", "check", "a")
    assert done.returncode == (not passed)
    assert done.stdout.splitlines()[0].startswith("PASS" if passed else "FAIL")


# Help


@pytest.mark.parametrize(
    "command",
    [
        "",
        "report",
        "table",
        "table two-stage",
        "gap",
        "embed",
        "leaderboard",
        "threshold",
        "single-modality",
        "label-budget",
        "advise",
        "corpus info",
        "corpus list",
        "corpus show",
        "corpus fetch",
        "models",
        "models show",
        "models check",
    ],
)
def test_every_help_shows_an_example(command: str, mmgap: Command) -> None:
    done = mmgap(*command.split(), "--help", columns=120)
    assert done.returncode == 0
    assert "mmgap" in done.stdout[done.stdout.index("Example") :]


def test_the_command_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "mmgap.cli", "corpus", "info", "pictogram"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("mmgap: ")
