"""Inputs that failed in the engine: cut-offs deeper than lists, options refused too late."""

from __future__ import annotations

import numpy as np
import pytest

import mmgap as mg
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.report import grouped_recall
from mmgap.strategies import Pool, TwoStage, label_budget, leaderboard, seed_strategies, seed_table
from mmgap.strategies.methods import METHODS

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
    rows = seed_table(pairs, None, measure=measure)
    for table in (report, board.rename(columns={"method": "strategy"}), rows):
        found = table[(table["strategy"] == name) & (table["measure"] == measure)]
        assert found["value"].to_numpy() == pytest.approx([expected], abs=1e-12)


def test_c02_reranked_rows_and_merges_go_on_behind_their_candidates() -> None:
    for strategy in (*seed_strategies(), TwoStage("merged", "text", merge="mean")):
        deeper = strategy.at_least(300)
        assert deeper.search_depth >= 300
        assert deeper.max_calls == strategy.max_calls
        assert strategy.at_least(10) == strategy


@pytest.mark.parametrize("judge", [leaderboard, label_budget])
def test_c02_a_pool_with_short_lists_is_refused(pairs: Vectors, judge: object) -> None:
    short = Pool(pairs, depth=20)
    how = {"measures": ["recall@30"]} if judge is leaderboard else {"measure": "recall@30"}
    with pytest.raises(MmgapError, match="cut-off 30"):
        judge(short, short, **how)  # type: ignore[operator]


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
        seed_table(pairs, Never(), **options)  # type: ignore[arg-type]
    with pytest.raises(MmgapError):
        leaderboard(None, None, measures=["precision@5"])  # type: ignore[arg-type]
    with pytest.raises(MmgapError):
        label_budget(None, None, measure="recall@0")  # type: ignore[arg-type]
