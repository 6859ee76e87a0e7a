"""Inputs that failed in the engine: cut-offs deeper than lists, options refused too late."""

from __future__ import annotations

import numpy as np
import pytest

import mmgap as mg
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.report import grouped_recall
from mmgap.strategies import (
    METHODS,
    Pool,
    Rerank,
    Strategy,
    label_budget,
    leaderboard,
    run_strategies,
    take_queries,
    two_stage_strategies,
    two_stage_table,
)

N = 400


@pytest.fixture(scope="module")
def pairs() -> Vectors:
    """Return 400 noisy pairs: the relevant document is often far below rank 100."""
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(N, 16))
    text, image = (queries + 3 * rng.normal(size=queries.shape) for _ in range(2))
    return mg.embed(mg.load_features(image, text, queries=queries, name="noisy pairs"))


def truth(vectors: Vectors, leg: str, k: int) -> float:
    """Recall over the whole matrix of scores, counted by itself."""
    scores = vectors.scores(leg)
    better = (scores > np.diag(scores)[:, None]).sum(axis=1)
    return float(np.mean(better < k))


@pytest.mark.parametrize("leg", ["text", "image"])
@pytest.mark.parametrize("k", [10, 50, 200, 300])
def test_c02_recall_is_that_of_the_whole_matrix(pairs: Vectors, leg: str, k: int) -> None:
    expected = truth(pairs, leg, k)
    name, measure = f"{leg} leg", f"recall@{k}"
    report = grouped_recall(pairs, k=k)
    board = leaderboard(pairs, pairs, [METHODS[name]], measures=[measure])
    rows = two_stage_table(pairs, None, measure=measure)
    for table in (report, board.rename(columns={"method": "strategy"}), rows):
        found = table[(table["strategy"] == name) & (table["measure"] == measure)]
        assert found["value"].to_numpy() == pytest.approx([expected], abs=1e-12)


def test_c02_reranked_rows_and_merges_go_on_behind_their_candidates() -> None:
    merged = Strategy("merged", merge="mean", rerank=Rerank("text", 32))
    for strategy in (*two_stage_strategies(), merged):
        deeper = strategy.at_least(300)
        assert deeper.search_depth >= 300
        assert deeper.max_calls == strategy.max_calls
        assert strategy.at_least(10) == strategy


def test_c02_a_pool_with_short_lists_is_made_deeper(pairs: Vectors) -> None:
    short, legs = Pool(pairs, depth=20), [METHODS["text leg"]]
    deep = leaderboard(pairs, pairs, legs, measures=["recall@30"])
    same = leaderboard(short, short, legs, measures=["recall@30"])
    assert same["value"][0] == deep["value"][0] == pytest.approx(truth(pairs, "text", 30))


@pytest.mark.parametrize("k", [10, 100])
def test_c02_bounds_know_of_ties_beyond_the_list(k: int) -> None:
    """150 documents share the best score; the relevant one is the last of them in the corpus."""
    queries, documents = np.eye(2, 4), np.tile([0.6, 0.8, 0, 0], (300, 1))
    documents[150:] = [0, 0, 1, 0]
    corpus = mg.load_features(documents, documents, queries=np.resize(queries, (300, 4)))
    vectors = mg.embed(corpus)
    rows = [149, 148]  # queries whose relevant documents are in the tied group
    vectors = take_queries(vectors, np.array(rows))
    (run,) = run_strategies(vectors, [Strategy("text leg", ("text",))], cut_off=k)
    over = mg.evaluation.evaluate(run, vectors.corpus.qrels, [f"recall@{k}"])
    assert over["expected"].to_numpy() == pytest.approx(k / 150)
    assert over["optimistic"].to_numpy() == pytest.approx(1)
    assert over["pessimistic"].to_numpy() == pytest.approx(0)


@pytest.mark.parametrize(
    "options",
    [
        {"measure": "precision@5"},
        {"measure": "recall@0"},
        {"measure": "recal@10"},
        {"measure": "ndcg@10", "mean": "micro"},
        {"ties": "random"},
        {"mean": "harmonic"},
        {"min_grade": float("nan")},
        {"min_grade": 0},
        {"min_grade": 9},
    ],
    ids=lambda options: " ".join(f"C20 {key}={value}" for key, value in options.items()),
)
def test_c20_options_are_checked_before_any_work(pairs: Vectors, options: dict) -> None:
    class Never:
        """A reranker that must not be touched."""

    with pytest.raises(MmgapError):
        two_stage_table(pairs, Never(), **options)  # type: ignore[arg-type]
    with pytest.raises(MmgapError):
        leaderboard(None, None, measures=["precision@5"])  # type: ignore[arg-type]
    with pytest.raises(MmgapError):
        label_budget(None, None, measure="recall@0")  # type: ignore[arg-type]
