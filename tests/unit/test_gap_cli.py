"""``mmgap gap`` and ready-made embeddings on the command line, run as a process runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmgap.paths import data_dir


def mmgap(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mmgap.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty pairs in two files, as the option --corpus takes them."""
    folder = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    image = rng.standard_normal((60, 8)) + 3 * np.eye(8)[0]
    np.save(folder / "image-side.npy", image)
    np.save(folder / "text-side.npy", image + rng.standard_normal((60, 8)) - 6 * np.eye(8)[0])
    return f"{folder}/image-side.npy,{folder}/text-side.npy"


def test_gap_prints_and_writes(pair: str, tmp_path: Path) -> None:
    page, table = tmp_path / "gap.html", tmp_path / "gap.tex"
    done = mmgap(
        *("gap", "--corpus", pair, "--out", str(tmp_path / "results"), "--k", "5", "--quiet"),
        *("--html", str(page), "--latex", str(table)),
    )
    assert done.returncode == 0, done.stderr
    assert "text share@5" in done.stdout
    assert "GEOMETRY" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 200
    frame = pd.read_csv(tmp_path / "results" / "gap.csv")
    assert list(frame.columns[:4]) == ["corpus", "encoder", "part", "measure"]
    assert set(frame["corpus"]) == {"features/image-side"}
    assert {"l2m", "rmg", "dominance", "text_share"} <= set(frame["measure"])
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "features/image-side" in page.read_text()
    assert table.read_text().startswith("\\begin{table}")


@pytest.mark.parametrize("command", ["report", "table", "embed"])
def test_the_other_commands_take_features(command: str, pair: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path)] if command == "report" else []
    done = mmgap(command, "--corpus", pair, *out)
    assert done.returncode == 0, done.stderr
    assert "features/image-side" in done.stdout
    if command == "report":
        recall = pd.read_csv(tmp_path / "recall.csv")
        assert set(recall["encoder"]) == {"features"}
        text_leg = recall.query("strategy == 'text leg' and measure == 'recall@10'")
        assert (text_leg["value"] == 0).all()  # a caption does not find itself
        image_leg = recall.query("strategy == 'image leg' and measure == 'recall@10'")
        assert (image_leg["value"] > 0.2).all()


def test_corpus_info_of_features(pair: str) -> None:
    done = mmgap("corpus", "info", pair)
    assert done.returncode == 0, done.stderr
    assert "60 documents, 60 queries, 1.00 relevant documents a query" in done.stdout


def test_an_encoder_for_features_is_refused(pair: str) -> None:
    done = mmgap("gap", "--corpus", pair, "--encoder", "mini-clip")
    assert done.returncode == 2
    assert "holds ready-made vectors" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_file_is_named(pair: str) -> None:
    done = mmgap("gap", "--corpus", pair.replace("text-side", "no-side"))
    assert done.returncode == 2
    assert "no-side.npy cannot be read" in done.stderr


def test_help_shows_an_example() -> None:
    done = mmgap("gap", "--help", COLUMNS="120")
    assert done.returncode == 0
    assert "mmgap gap --encoder mini-clip" in done.stdout
    assert "features/clip-vit-b16-coco500" in done.stdout


@pytest.mark.skipif(not (data_dir() / "pictograms").is_dir(), reason="no bundled corpus")
def test_the_bundled_corpus_brings_its_calibration_queries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In this process, with what takes long replaced: which queries become the bank."""
    import mmgap.index
    import mmgap.strategies
    from mmgap.cli import gap

    class Stub:
        def to_text(self, width: int) -> str:  # noqa: ARG002
            return ""

        def to_frame(self) -> pd.DataFrame:
            return pd.DataFrame({"value": [1.0]})

        corpus = encoder = "stub"

    seen = []
    monkeypatch.setattr(mmgap.index, "embed", lambda pool, _, **__: pool)
    monkeypatch.setattr(
        mmgap.strategies,
        "gap_report",
        lambda pool, calibration, **_: seen.append((pool, calibration)) or Stub(),
    )
    options = {"encoder": ["mini-clip"], "condition": "style", "out": tmp_path, "quiet": True}
    gap(**options)
    ((pool, bank),) = seen
    assert pool.name == "pictograms/test/style"
    assert bank.name == "pictograms/calibration/style"
    gap(**options, split="calibration")
    assert seen[1][1] is None
