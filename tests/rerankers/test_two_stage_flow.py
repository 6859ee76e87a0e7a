"""``mmgap table two-stage --corpus edis``, end to end, through tiny checkpoints of both models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_rerankers import noise
from typer.testing import CliRunner

from mmgap.cli import app
from mmgap.corpus import load_corpus
from mmgap.encoders import load_encoder
from mmgap.index import PairStore, embed
from mmgap.rerankers import Content, Pair, load_reranker
from mmgap.strategies import PUBLISHED, Pool

sys.path.append(str(Path(__file__).parents[1] / "encoders"))

import tiny_onnx

N_QUERY, N_DOCUMENT = 4, 12

pytestmark = pytest.mark.filterwarnings("ignore::mmgap.errors.NonCommercialWarning")


@pytest.fixture(scope="module")
def edis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four queries and twelve candidates in the authors' layout; grades 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("edis")
    (folder / "images").mkdir()
    things = ["cat", "dog", "red cat", "blue dog", "the red dog", "a document"]
    pool = []
    for at in range(N_DOCUMENT):
        name = f"{at:08d}_00001_00.jpg"
        noise(at).save(folder / "images" / name)
        pool.append({"id": at, "image": name, "headline": f"{things[at % 6]} {at // 6}"})
    queries = [
        {
            "id": f"{at}",
            "query": things[at],
            "candidates": [
                {
                    "candidate_id": each["id"],
                    "image": each["image"],
                    "headline": each["headline"],
                    "score": 3 - place,
                }
                for place, each in enumerate(pool[3 * at : 3 * at + 3])
            ],
        }
        for at in range(N_QUERY)
    ]
    (folder / "EDIS_test.json").write_text(json.dumps(queries))
    (folder / "EDIS_candidates_1m.json").write_text(json.dumps(pool))
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"jinaai/jina-clip-v2@{tiny_onnx.write_jina_v2(tmp_path_factory.mktemp('clip'))}"


@pytest.fixture(scope="module")
def m0(tiny_m0: Path) -> str:
    return f"jinaai/jina-reranker-m0@{tiny_m0}"


def changed(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def run(edis: Path, clip: str, m0: str, out: Path, *more: str) -> tuple[pd.DataFrame, str]:
    command = ["table", "two-stage", "--corpus", f"edis@{edis}", "--encoder", clip]
    command += ["--reranker", m0, "--out", str(out), "--set", "depth=6", *more]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return pd.read_csv(out / "two_stage.csv"), done.output


def test_the_whole_table(edis: Path, clip: str, m0: str, tmp_path: Path) -> None:
    command = ["--measure", "recall@3"]
    table, printed = run(edis, clip, m0, tmp_path, *command)
    assert len(table) == 7
    assert table["value"].between(0, 1).all()
    assert set(table["corpus"]) == {"edis"}
    assert set(table["encoder"]) == {"jinaai/jina-clip-v2"}
    assert set(table["reranker"]) == {"jinaai/jina-reranker-m0"}
    assert table["calls_per_query"].tolist()[:5] == [0, 0, 0, 6, 6]
    assert table["calls_per_query"][5] == 6
    assert 6 <= table["calls_per_query"][6] <= 12
    assert (table["rerank_ms"] > 0).tolist() == [False] * 3 + [True] * 4
    assert (table["embed_ms"] > 0).all()
    assert (table["n"] == N_QUERY).all()
    assert "3 + 3, mean of both views" in printed

    # By hand: the last row is the mean of both scores, of the best three of each leg.
    corpus = load_corpus(f"edis@{edis}")
    assert corpus.qrels.min_grade == 3
    vectors = embed(corpus, load_encoder(clip), progress=False)
    reranker = load_reranker(m0)
    cosines = Pool(vectors).scores  # in double precision: "cat 0" and "cat 1" are all but the same
    found = []
    for row, query in enumerate(corpus.queries):
        union: set[int] = set()
        for leg in ("text", "image"):
            union |= set(np.argsort(-cosines[leg][row], kind="stable")[:3].tolist())
        asked = Content(query.text)
        scores = {}
        for at in union:
            document = corpus.documents[at]
            views = Content(document.text), Content(image=document.image.open())
            scores[document.id] = reranker.score([Pair(asked, view) for view in views]).mean()
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:3]
        relevant = corpus.qrels.relevant(query.id)
        found.append(len(relevant.intersection(best)) / len(relevant))
    assert table["value"][6] == pytest.approx(np.mean(found), abs=1e-6)


def test_a_second_run_makes_no_call(
    edis: Path, clip: str, m0: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path / "cache"))
    written = []
    write = PairStore.write

    def fail_late(self: PairStore, keys: np.ndarray, records: np.ndarray) -> None:
        write(self, keys, records)
        written.append(len(keys))
        if len(written) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(PairStore, "write", fail_late)
    out = tmp_path / "results"
    command = [
        "table",
        "two-stage",
        "--corpus",
        f"edis@{edis}",
        "--encoder",
        clip,
        "--reranker",
        m0,
    ]
    command += ["--out", str(out), "--set", "depth=6"]
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code != 0
    assert not (out / "two_stage.csv").exists()
    table, printed = run(edis, clip, m0, out)
    n_new = int(printed.split(" reranker calls made now")[0].split()[-1])
    assert n_new == sum(written[1:]) > 0
    again, printed = run(edis, clip, m0, out)
    assert ", 0 reranker calls made now" in printed
    columns = ["strategy", "value", "ci_low", "ci_high", "calls_per_query", "rerank_ms"]
    pd.testing.assert_frame_equal(table[columns], again[columns])


def test_published_numbers_stand_in_their_own_column(
    edis: Path, clip: str, m0: str, tmp_path: Path
) -> None:
    table, printed = run(edis, clip, m0, tmp_path, *changed("depth=32", "backfill=yes"))
    assert (100 * table["published"]).tolist() == pytest.approx([*PUBLISHED.values()])
    assert table["published_applies"].all()
    assert "Published, not measured here, EDIS with jina-clip-v2 and jina-reranker-m0" in printed
    assert "14.55" in printed
    # Another depth makes other rows.
    table, printed = run(edis, clip, m0, tmp_path)
    assert table["published"].isna().all()
    assert "Published" not in printed


def test_every_open_point_reaches_the_run(edis: Path, clip: str, m0: str, tmp_path: Path) -> None:
    more = changed("min_grade=2", "pool=restricted", "sample=3", "duplicates=first", "backfill=yes")
    more += changed("average=before", "ties=doc_id", "dim=16", "query_prompt=q: ", "max_words=2")
    more += changed("max_length=2000", "image_side=56")
    more += ["--measure", "hit@3"]
    table, _ = run(edis, clip, m0, tmp_path, *more)
    assert table["value"].notna().all()
    assert set(table["measure"]) == {"hit@3"}
    assert table["corpus"].str.startswith("edis/restricted").all()
    assert table["published"].isna().all()
    settings = pd.read_csv(tmp_path / "two_stage_settings.csv")
    assert settings["number"].tolist() == list(range(1, 12))
    text = " ".join(settings["setting"])
    for said in ("hit@3", "min_grade=2", "restricted", "sample=3", "duplicates=first"):
        assert said in text
    for said in ("backfill=yes", "average=before", "ties=doc_id", "dim=16", "image_side=56"):
        assert said in text
