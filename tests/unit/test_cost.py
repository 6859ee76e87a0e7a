"""What reranking costs and when it pays, on numbers small enough to add up by hand."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from PIL import Image

from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import (
    CostedRun,
    Judged,
    PairScorer,
    Rerank,
    Strategy,
    best_by_budget,
    break_even,
    cost_table,
    embedding_ms,
    judge,
    margin_threshold,
    pareto_front,
    score_pairs,
)


def costed(name: str, view: str | None, calls: list[int], ms: float) -> CostedRun:
    """Costs of a run of two queries."""
    counts, nothing = np.array(calls), np.empty((2, 0))
    run = Run(name, ["q1", "q2"], ["d0", "d1"], nothing.astype(int), nothing)
    how = None if view is None else Rerank(view)
    strategy = Strategy(name, merge="mean", rerank=how, family="reranked" if how else name)
    seconds = counts * ms / 1000
    return CostedRun(strategy, run, counts, 10 * counts, 100 * counts, seconds, 0.002, 0.001)


@pytest.fixture
def judged() -> Judged:
    runs = [
        costed("plain", None, [0, 0], 0),
        costed("bad", None, [0, 0], 0),
        costed("reranked", "average", [4, 6], 2),
        costed("expensive", "average", [40, 60], 2),
    ]
    recall = np.array([[1, 0], [0, 0], [1, 1], [1, 0]], dtype=float)
    values = np.repeat(recall[:, None, :, None], 4, axis=1)
    corpus = Corpus("c", [Document("d0"), Document("d1")], [Query("q1", "x"), Query("q2", "y")],
                    Qrels([Judgment("q1", "d0", 1), Judgment("q2", "d1", 1)]))  # fmt: skip
    vectors = Vectors(corpus, EncoderInfo("e", "e", "hand", 2), np.eye(2), {})
    strategies = tuple(each.strategy for each in runs)
    by_name = {each.run.name: each for each in runs}
    return Judged(vectors, strategies, ("recall@1",), values, by_name, {})


def test_costs_are_means_over_queries(judged: Judged) -> None:
    row = judged.costs(embed_ms=5).loc["reranked"]
    assert row[["calls_per_query", "tokens_per_query", "pixels_per_query"]].tolist() == [5, 50, 500]
    assert row[["embed_ms", "search_ms", "merge_ms", "rerank_ms"]].tolist() == [5, 2, 1, 10]
    assert row["ms_per_query"] == 18
    assert judged.costs().loc["reranked", "ms_per_query"] == 13  # the encoder's time is unknown


def test_what_is_found_beside_what_it_costs(judged: Judged) -> None:
    table = cost_table(judged).set_index("strategy")
    assert table["value"].tolist() == [0.5, 0, 1, 0.5]
    assert table["family"].tolist() == ["plain", "bad", "reranked", "reranked"]
    assert table["reranked"].tolist() == [False, False, True, True]
    assert set(table["against"]) == {"plain"}
    assert table["difference"].tolist() == [0, -0.5, 0.5, 0]
    assert table["front_calls"].tolist() == [True, False, True, False]
    assert table["front_ms"].tolist() == [True, False, True, False]
    assert (table["difference_low"] <= table["difference"]).all()
    assert (table["n"] == 2).all()


def test_one_class_of_queries_alone(judged: Judged) -> None:
    keep = np.array([False, True])
    table = cost_table(judged, rows=keep).set_index("strategy")
    assert table["value"].tolist() == [0, 0, 1, 0]
    assert table.loc["reranked", "calls_per_query"] == 6
    assert (table["n"] == 1).all()
    with pytest.raises(MmgapError, match="there is nothing to compare with"):
        cost_table(judged, rows=~keep & keep)


def test_front_as_by_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cost, value = rng.integers(0, 6, size=(2, 8)).astype(float)
        beaten = [
            any(
                cost[j] <= cost[i]
                and value[j] >= value[i]
                and (cost[j] < cost[i] or value[j] > value[i])
                for j in range(8)
            )
            for i in range(8)
        ]
        assert pareto_front(cost, value).tolist() == [not each for each in beaten]
    with pytest.raises(ValueError, match="one number for each strategy"):
        pareto_front(np.array([1.0]), np.array([np.nan]))


def by_hand() -> pd.DataFrame:
    """Costs in milliseconds; a point of recall is one hundredth."""
    rows = [
        ("free", False, 0.50, 2, 0.00, 0.00, 0.00),
        ("rerank 8", True, 0.52, 12, 0.02, -0.01, 0.05),
        ("rerank 16", True, 0.56, 32, 0.06, 0.02, 0.10),
        ("rerank 32", True, 0.55, 62, 0.05, 0.01, 0.09),
        ("rerank 64", True, 0.48, 122, -0.02, -0.05, 0.01),
    ]
    columns = ["strategy", "reranked", "value", "ms_per_query"]
    columns += ["difference", "difference_low", "difference_high"]
    table = pd.DataFrame(rows, columns=columns).assign(against="free")
    return table.assign(ci_low=table["value"] - 0.03, ci_high=table["value"] + 0.03)


def test_steps_of_the_front() -> None:
    steps = best_by_budget(by_hand().sample(frac=1, random_state=1))
    assert steps["strategy"].tolist() == ["free", "rerank 8", "rerank 16"]
    assert steps["budget_from"].tolist() == [2, 12, 32]
    assert steps["budget_to"].tolist() == [12, 32, np.inf]
    assert steps["gain"].tolist()[1:] == pytest.approx([0.02, 0.04])


def test_break_even_by_hand() -> None:
    table = break_even(by_hand(), worth=10).set_index("strategy")
    assert table.index.tolist() == ["rerank 8", "rerank 16", "rerank 32", "rerank 64"]
    assert table["pays_from"].tolist() == [12, 32, 62, np.inf]
    assert table["extra"].tolist() == [10, 30, 60, 120]
    # 10 ms for 2 points, 30 for 6, 60 for 5, and nothing won.
    assert table["price"].tolist() == pytest.approx([5, 5, 12, np.inf])
    # A point is worth 10 ms: 10 ms must win one point, 30 ms three ...
    assert table["gap_needed"].tolist() == pytest.approx([0.01, 0.03, 0.06, 0.12])
    assert (table["gain"] > table["gap_needed"]).tolist() == [True, True, False, False]
    assert table["certain"].tolist() == [False, True, True, False]
    assert "gap_needed" not in break_even(by_hand())
    with pytest.raises(MmgapError, match="worth is 0"):
        break_even(by_hand(), worth=0)


def test_nothing_reranked_breaks_even_nowhere() -> None:
    table = by_hand()
    assert break_even(table[~table["reranked"]]).empty


class SlowEncoder:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_text(self, texts: list[str], **options: object) -> np.ndarray:
        assert options["role"] == "query"
        self.batches.append(len(texts))
        time.sleep(0.2 if len(self.batches) == 1 else 0.02)
        return np.zeros((len(texts), 2))


def test_the_quickest_of_several_batches_is_timed() -> None:
    queries = [Query(f"q{at}", "x") for at in range(10)]
    judged = [Judgment(query.id, "d", 1) for query in queries]
    corpus = Corpus("c", [Document("d", "t")], queries, Qrels(judged))
    encoder = SlowEncoder()
    assert 20 / 4 <= embedding_ms(encoder, corpus, n=4) < 200 / 4
    assert encoder.batches == [4, 4, 4]


# --- strategies at equal cost --------------------------------------------------------------------


def noisy(folder: Path, seed: int, n_query: int = 20, n_document: int = 60) -> Vectors:
    rng = np.random.default_rng(seed)

    def rows(n: int) -> np.ndarray:
        values = rng.normal(size=(n, 6)).astype(np.float32)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    documents = []
    for at in range(n_document):
        path = folder / f"{at}.png"
        Image.new("RGB", (4, 4), (at, 0, 0)).save(path)
        documents.append(Document(f"d{at}", f"text {at}", ImageFile(path)))
    queries = [Query(f"q{at}", f"query {at}") for at in range(n_query)]
    judged = [Judgment(f"q{at}", f"d{rng.integers(n_document)}", 1) for at in range(n_query)]
    legs = {leg: Leg(np.arange(n_document), rows(n_document)) for leg in ("text", "image")}
    corpus = Corpus(f"noisy {seed}", documents, queries, Qrels(judged))
    return Vectors(corpus, EncoderInfo("noise", "noise", "hand", 6), rows(n_query), legs)


def truth(vectors: Vectors) -> FakeReranker:
    """A reranker that knows the answers."""
    relevant = {
        (query.text, int(doc_id[1:]))
        for query in vectors.corpus.queries
        for doc_id in vectors.corpus.qrels[query.id]
    }

    def rule(query: str, text: str | None, red: int | None) -> float:
        at = red if text is None else int(text.split()[1])
        return 0.9 if (query, at) in relevant else 0.1

    return FakeReranker(rule)


def test_families_at_equal_cost(tmp_path: Path) -> None:
    vectors, calibration = noisy(tmp_path, 0), noisy(tmp_path, 1)
    fitted = Strategy("calibrated fusion", merge="convex", normaliser="reference z")

    def reranked(name: str, view: str, depth: int, **how: object) -> Strategy:
        return replace(fitted, name=name, rerank=Rerank(view, depth, **how), family=name)

    margin = margin_threshold(calibration, fitted, 0.5)
    rows = [Strategy("raw merge", merge="max"), fitted]
    for n in (8, 16, 32):
        rows.append(reranked(f"rerank {n}", "average", n))
        rows.append(reranked(f"only unsure {n}", "average", n, margin=margin))
        rows.append(reranked(f"cascade {n}", "text", n, cascade=("average", n // 4)))
    scorer = PairScorer(vectors, truth(vectors), cache=False)
    table = cost_table(judge(rows, vectors, calibration, reranker=scorer)).set_index("strategy")
    assert (table.loc[~table["reranked"], "calls_per_query"] == 0).all()
    for n in (8, 16, 32):
        whole, half = table.loc[f"rerank {n}"], table.loc[f"only unsure {n}"]
        assert whole["calls_per_query"] == 2 * n
        # Exactly the queries whose margin lies below the calibration median.
        unsure = reranked("", "average", n).fit(calibration).first_stage(vectors).margins < margin
        assert 0 < unsure.mean() < 1
        assert half["calls_per_query"] == pytest.approx(2 * n * unsure.mean())
        # n texts, and the images of a quarter of them.
        assert table.loc[f"cascade {n}", "calls_per_query"] == n + n // 4
        # The truth finds at least what the first stage found, the deeper the more.
        assert whole["value"] >= half["value"] >= table.loc["calibrated fusion", "value"]
    assert table.loc[[f"rerank {n}" for n in (8, 16, 32)], "value"].is_monotonic_increasing
    assert table["front_calls"].any()
    steps = best_by_budget(table.reset_index(), cost="calls_per_query")
    assert steps["value"].is_monotonic_increasing
    paid = break_even(table.reset_index(), cost="calls_per_query")
    assert (paid["pays_from"] >= 8).all()


def test_both_models_score_the_same_pairs(tmp_path: Path) -> None:
    vectors = noisy(tmp_path, 0)
    fake = truth(vectors)
    found = score_pairs(vectors, PairScorer(vectors, fake, cache=False), depth=4)
    assert list(found) == ["noise", "fake"]
    texts = [asked for asked in fake.asked if asked[1] is not None]
    pairs = {(query, int(text.split()[1])) for query, text, _ in texts}
    assert {(query, red) for query, text, red in fake.asked if text is None} == pairs
    assert all(
        found[name].samples[leg].n == len(pairs) for name in found for leg in ("text", "image")
    )
    by_embedder = [vectors.scores("image")[int(q.split()[1]), d] for q, d in pairs]
    assert found["noise"].samples["image"].mean == pytest.approx(np.mean(by_embedder), abs=1e-6)
    n_good = found["fake"].samples["text relevant"].n
    share = n_good / len(pairs)
    assert found["fake"].samples["text"].mean == pytest.approx(0.1 + 0.8 * share, abs=1e-6)
    assert found["fake"].dominance == pytest.approx(0.5)


def test_pairs_may_be_drawn_by_lot(tmp_path: Path) -> None:
    vectors = noisy(tmp_path, 0)
    fake = truth(vectors)
    found = score_pairs(vectors, PairScorer(vectors, fake, cache=False), sampled=5)
    n = found["fake"].samples["text"].n
    assert 20 * 5 <= n <= 20 * 6  # the relevant one may be among the five
    assert found["fake"].samples["text relevant"].n == 20
    texts = Vectors(vectors.corpus, vectors.encoder, vectors.queries, {"text": vectors.text})
    with pytest.raises(MmgapError, match="needs both legs"):
        score_pairs(texts, PairScorer(texts, fake, cache=False))
