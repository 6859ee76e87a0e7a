"""The command line, run as a process runs it, on a corpus of four documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image


def mmgap(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    import os

    return subprocess.run(
        [sys.executable, "-m", "mmgap.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mine")
    colours = ["red", "green", "blue", "yellow"]
    for colour in colours:
        Image.new("RGB", (40, 40), colour).save(root / f"{colour}.png")
    write = {
        "documents.jsonl": [
            {"id": c, "text": f"a {c} square", "image": f"{c}.png"} for c in colours
        ],
        "queries.jsonl": [{"id": f"q-{c}", "text": c, "kind": "colour"} for c in colours],
    }
    for name, rows in write.items():
        (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "qrels.tsv").write_text("".join(f"q-{c}\t0\t{c}\t1\n" for c in colours))
    return root


def test_report_prints_and_writes_both_tables(folder: Path, tmp_path: Path) -> None:
    done = mmgap(
        "report", "--corpus", str(folder), "--encoder", "mini-clip", "--out", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert "text leg" in done.stdout
    recall = pd.read_csv(tmp_path / "recall.csv")
    assert set(recall["strategy"]) == {"text leg", "image leg", "max", "mean", "RRF"}
    assert (recall.query("strategy == 'text leg' and measure == 'recall@10'")["value"] == 1).all()
    distributions = pd.read_csv(tmp_path / "distributions.csv")
    assert {"overlap", "ks", "dominance"} <= set(distributions["measure"])


def test_table_by_a_field_of_the_queries(folder: Path) -> None:
    done = mmgap("table", "--corpus", str(folder), "--encoder", "mini-clip", "--by", "kind")
    assert done.returncode == 0, done.stderr
    assert "colour" in done.stdout


def test_table_by_an_unknown_field_names_the_known_ones(folder: Path) -> None:
    done = mmgap("table", "--corpus", str(folder), "--encoder", "mini-clip", "--by", "mood")
    assert done.returncode == 2
    assert "have no field 'mood'" in done.stderr
    assert "kind" in done.stderr


def test_embed_says_what_it_did(folder: Path) -> None:
    done = mmgap("embed", "--corpus", str(folder), "--encoder", "mini-clip")
    assert done.returncode == 0, done.stderr
    assert "4 queries, 4 texts, 4 images" in done.stdout


def test_corpus_info_counts(folder: Path) -> None:
    done = mmgap("corpus", "info", str(folder))
    assert done.returncode == 0, done.stderr
    assert "4 documents, 4 queries" in done.stdout


def test_bad_items_stop_or_are_listed(folder: Path) -> None:
    with (folder / "documents.jsonl").open("a") as file:
        file.write('{"id": "grey", "text": "a grey square", "image": "grey.png"}\n')
    stopped = mmgap("corpus", "info", str(folder))
    assert stopped.returncode == 2
    assert "grey.png" in stopped.stderr
    skipped = mmgap("corpus", "info", str(folder), "--on-error", "skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "left out: 1" in skipped.stdout


def test_unknown_corpus_is_one_line_and_exit_code_2() -> None:
    done = mmgap("corpus", "info", "pictogram")
    assert done.returncode == 2
    assert "pictograms" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["report"], ["table"], ["embed"], ["corpus", "info"]])
def test_every_help_shows_an_example(command: list[str]) -> None:
    done = mmgap(*command, "--help", COLUMNS="120")
    assert done.returncode == 0
    assert "Example" in done.stdout
