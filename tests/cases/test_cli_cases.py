"""Commands that failed in a stranger's hands; the case's number is in the id of the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

Command = Callable[..., object]
NAUGHTY = "d[/x]\x1b[31m[link=http://a.b]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty documents and queries; only some queries have a domain, names are hostile."""
    root = tmp_path / "mine"
    root.mkdir()
    documents, queries = [], []
    for at in range(60):
        Image.new("RGB", (8, 8), (4 * at, 255 - 4 * at, 90)).save(root / f"{at}.png")
        documents.append({"id": f"d{at}", "text": f"thing {at}", "image": f"{at}.png"})
        domain = {"domain": NAUGHTY} if at < 10 else {}
        queries.append({"id": f"q{at}", "text": f"which thing is {at}", **domain})
    for name, rows in (("documents", documents), ("queries", queries)):
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "qrels.tsv").write_text("".join(f"q{at}\t0\td{at}\t1\n" for at in range(60)))
    return root


@pytest.fixture
def pair(tmp_path: Path) -> str:
    """Four hundred noisy pairs: the relevant document is often far below rank 100."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(400, 16))
    np.save(tmp_path / "i.npy", image)
    np.save(tmp_path / "t.npy", image + 2 * rng.normal(size=image.shape))
    return f"{tmp_path}/i.npy,{tmp_path}/t.npy"


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a corpus or a model would be loaded."""
    for name in ("corpus.load_corpus", "encoders.load_encoder", "rerankers.load_reranker"):
        monkeypatch.setattr(f"mmgap.{name}", lambda *_, **__: pytest.fail("work was begun"))


def test_c02_recall_of_300_looks_at_300(mmgap: Command, pair: str, tmp_path: Path) -> None:
    assert mmgap("report", "--corpus", pair, "--k", 300, "--out", tmp_path).returncode == 0
    table = pd.read_csv(tmp_path / "recall.csv").query("strategy == 'image leg'")
    found = table.query("measure == 'recall@300'")["value"].item()
    image, text = (np.load(file) for file in pair.split(","))
    image, text = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (image, text))
    scores = text @ image.T
    better = (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert 0.7 < found < 1
    assert found == pytest.approx((better < 300).mean(), abs=1e-6)


def test_c16_queries_without_a_domain_are_a_group(
    mmgap: Command, folder: Path, tmp_path: Path
) -> None:
    done = mmgap("report", "--corpus", folder, "--encoder", "mini-clip", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "recall.csv").query("group_by == 'domain'")
    assert set(table["group"]) == {NAUGHTY, "no domain"}
    assert set(table.query("group == 'no domain'")["n"]) == {50}


def test_c16_files_are_written_before_anything_is_printed(
    mmgap: Command, pair: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        assert (tmp_path / "recall.csv").exists()
        msg = "the terminal is gone"
        raise BrokenPipeError(msg)

    monkeypatch.setattr("mmgap.cli.report.print_table", broken)
    done = mmgap("report", "--corpus", pair, "--out", tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "distributions.csv").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "command",
    [
        *(f"table two-stage --measure {m}" for m in ("precision@5", "recall@0", "recal@10", "x")),
        "table --by query_class two-stage",
        *(
            f"table two-stage --set {setting}"
            for setting in (
                *("min_grade=nan", "min_grade=0", "ties=random", "depth=0", "depth=many"),
                *("depth", "nonsense=1", "mean=harmonic", "sample=-2"),
            )
        ),
        "table two-stage --measure ndcg@10 --set mean=micro",
        "table two-stage --set pool=full --corpus my_folder",
        *(f"threshold --precision {value}" for value in ("0", "1.5", "2", "nan")),
        *(f"threshold --false-positive-rate {value}" for value in ("0", "1", "nan")),
        "threshold",
        *(f"{name} --k 0" for name in ("report", "table", "gap")),
        "report --sample 0",
        "leaderboard --top 0",
        "label-budget --draws 0",
        "advise --labels -1",
        "advise --budget-ms -1",
        *(f"{name} --on-error ignore" for name in ("report", "advise", "corpus info")),
        *(
            f"{name} --encoder mini-clip --encoder mini-klip"
            for name in ("report", "gap", "table two-stage", "leaderboard", "embed")
        ),
        "report --encoder mini-clip@no_such_folder",
        *(f"{name} --out /dev/null/x" for name in ("report", "gap", "advise", "table two-stage")),
    ],
)
def test_c20_options_are_checked_before_any_work(command: str, mmgap: Command) -> None:
    done = mmgap(*command.split())
    assert done.returncode == 2
    assert not done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("option", ["--split", "--condition=typo", "--language"])
@pytest.mark.parametrize("command", ["report", "leaderboard", "corpus info"])
def test_c30_parts_are_no_options(command: str, option: str, mmgap: Command) -> None:
    done = mmgap(*command.split(), option, "calibration")
    assert done.returncode == 2
    assert f"{option.partition('=')[0]} is no option" in done.stderr
    assert "a folder of your own has no parts" in done.stderr


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ("pictograms/typo", "pictograms has no part 'typo'; its splits are train, calibration"),
        ("pictograms/style/xx", "language is 'xx'; pictograms has queries in"),
        ("", "--corpus is empty"),
        (" ", "--corpus is empty"),
    ],
)
@pytest.mark.parametrize("command", ["report", "gap", "embed", "advise", "table two-stage"])
def test_c30_the_error_says_what_the_corpus_has(
    command: str, corpus: str, said: str, mmgap: Command
) -> None:
    done = mmgap(*command.split(), "--corpus", corpus, "--encoder", "mini-clip")
    assert done.returncode == 2
    assert said in done.stderr


def test_c30_parts_of_a_folder(mmgap: Command, folder: Path) -> None:
    done = mmgap("report", "--corpus", f"{folder}/calibration", "--encoder", "mini-clip")
    assert done.returncode == 2
    assert "no corpus and no folder" in done.stderr


READERS = {
    "report": "text leg",
    "table": "text leg",
    "gap": "GEOMETRY",
    "embed": "left out: 1",
    "leaderboard": "image leg",
    "threshold --precision 0.3": "image",
    "single-modality": "one modality answers",
    "label-budget --draws 2": "labelled pairs",
    "advise": "use ",
    "table two-stage --reranker none": "raw merge",
}


@pytest.mark.parametrize("command", READERS)
def test_c42_a_damaged_image_stops_or_is_left_out(
    command: str, mmgap: Command, folder: Path, tmp_path: Path
) -> None:
    (folder / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    call = [*command.split(), "--corpus", folder, "--encoder", "mini-clip"]
    call += [] if command in {"table", "embed"} else ["--out", tmp_path]
    stopped = mmgap(*call)
    assert stopped.returncode == 2
    assert "3.png" in stopped.stderr
    assert "on_error" not in stopped.stderr
    done = mmgap(*call, "--on-error", "skip")
    if "single-modality" in command:  # its classes are those of the bundled corpus
        assert "Traceback" not in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert READERS[command] in done.stdout


@pytest.mark.parametrize("missing", ["qrels.tsv", "queries.jsonl"])
@pytest.mark.parametrize("command", READERS)
def test_c43_what_needs_judgments_says_so(
    command: str, missing: str, mmgap: Command, folder: Path, tmp_path: Path
) -> None:
    (folder / "qrels.tsv").unlink()
    if missing == "queries.jsonl":
        (folder / missing).unlink()
    call = [*command.split(), "--corpus", folder, "--encoder", "mini-clip"]
    call += [] if command in {"table", "embed"} else ["--out", tmp_path]
    done = mmgap(*call)
    if command in {"gap", "embed"} or (command, missing) == ("report", "qrels.tsv"):
        assert done.returncode == 0, done.stderr
        if command == "report":
            assert "no recall: the corpus has no judgments" in done.stdout
    else:
        assert done.returncode == 2
        assert f"has no {'queries' if missing == 'queries.jsonl' else 'judgments'}" in done.stderr


def test_e_names_reach_the_terminal_as_text(mmgap: Command, folder: Path, tmp_path: Path) -> None:
    hostile = folder.rename(folder.parent / "m[bold]y[x]")
    for command in ("table --by domain", "corpus info", "report"):
        words = command.split()
        corpus = [hostile] if command == "corpus info" else ["--corpus", hostile]
        corpus += [] if command == "corpus info" else ["--encoder", "mini-clip"]
        corpus += ["--out", tmp_path] if command == "report" else []
        done = mmgap(*words, *corpus)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert "m[bold]y[x]" in done.stdout
        if command != "report":
            assert "d[/x]" in done.stdout
    wrong = mmgap("report", "--corpus", "no\x1b[31msuch[/b]")
    assert "\x1b[31msuch" not in wrong.stderr
    assert "such[/b]" in wrong.stderr


def test_e_unknown_licences_are_refused(mmgap: Command) -> None:
    done = mmgap("models", "--licence", "nope")
    assert done.returncode == 2
    assert "Apache-2.0" in done.stderr


def test_e_warnings_are_one_line_or_none(mmgap: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    from mmgap.errors import SkippedItemsWarning

    def warn(*_: object, **__: object) -> list:
        warnings.warn("of a library", RuntimeWarning, stacklevel=2)
        warnings.warn("2 items left out", SkippedItemsWarning, stacklevel=2)
        return []

    monkeypatch.setattr("mmgap.cli.corpus.load_corpora", warn)
    assert mmgap("corpus", "info").stderr == "mmgap: note: 2 items left out\n"


def test_c46_classes_of_any_name_on_by_alone(mmgap: Command, folder: Path, tmp_path: Path) -> None:
    path = folder / "queries.jsonl"
    queries = [json.loads(line) for line in path.read_text().splitlines()]
    names = ("household", "made of wood", "all", "method")
    for at, query in enumerate(queries):
        query["kind"] = names[at % len(names)]
    path.write_text("".join(json.dumps(query) + "\n" for query in queries))
    call = ["leaderboard", "--corpus", folder, "--encoder", "mini-clip", "--out", tmp_path]
    assert "household" not in mmgap(*call).stdout
    assert set(pd.read_csv(tmp_path / "leaderboard.csv")["query_class"]) == {"all"}
    shown = mmgap(*call, "--by", "kind", columns=400)
    assert shown.returncode == 0, shown.stderr
    for name in ("household", "made of wood", "kind all", "class method"):
        assert name in shown.stdout
    wrong = mmgap(*call, "--by", "typo")
    assert wrong.returncode == 2
    assert "typo" in wrong.stderr


def test_c18_the_folder_says_what_was_left_out(tmp_path: Path) -> None:
    from mmgap.cli.show import write_tables

    table = pd.DataFrame({"corpus": ["mine"], "encoder": ["mini"], "value": [0.5]})
    table.attrs["failures"] = {"gmm": "needs two relevant pairs; there is one"}
    written = write_tables(tmp_path, {"leaderboard": [table, table]})
    assert [path.name for path in written] == ["leaderboard.csv", "leaderboard_left_out.csv"]
    found = pd.read_csv(written[1])
    assert found["method"].tolist() == ["gmm", "gmm"]
    assert found.iloc[0].tolist() == ["mine", "mini", "gmm", table.attrs["failures"]["gmm"]]
    table.attrs.clear()
    write_tables(tmp_path, {"leaderboard": [table]})
    assert not written[1].exists()
