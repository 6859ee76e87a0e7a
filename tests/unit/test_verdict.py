"""Which family wins, on queries few enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from scipy.stats import binomtest
from test_methods import vectors_of

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import MmgapError
from mmgap.evaluation import Run, evaluate
from mmgap.strategies import (
    VERDICT_FAMILIES,
    HeldOut,
    choose_best,
    family_verdicts,
    held_out,
    recommended_family,
    run_candidates,
    verdict_family,
    verdict_sentences,
)
from mmgap.strategies.method import BOTH_SCORES, LABELLED_PAIRS, NOTHING, Method
from mmgap.strategies.methods import METHODS
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pool import Pool
from mmgap.strategies.run_two_stage import CostedRun, run_two_stage
from mmgap.strategies.two_stage import TwoStage

FREE, FUSED, RERANK = VERDICT_FAMILIES
N = 12
CORPUS = Corpus(
    "twelve",
    [Document("good", "x"), Document("bad", "y")],
    [Query(f"q{i}", "x", {"query_class": "T" if i < 6 else "I"}) for i in range(N)],
    Qrels([Judgment(f"q{i}", "good", 1) for i in range(N)]),
)


def finds(name: str, right: list[int], calls: int = 0, ms: float = 0.0) -> CostedRun:
    """A run that has the good document first for some queries, and so recall@1 of 1 or 0."""
    first = np.array([0 if i in right else 1 for i in range(N)])
    indices = np.stack([first, 1 - first], axis=1)
    run = Run(name, CORPUS.query_ids, CORPUS.doc_ids, indices, np.array([[2.0, 1.0]] * N))
    count = np.full(N, calls)
    strategy = TwoStage(name, "average" if calls else None, merge="mean")
    return CostedRun(strategy, run, count, count, count, np.full(N, ms / 1000), 0.001, 0.002)


def table_of(free: list[int], fused: list[int], rerank: list[int]) -> pd.DataFrame:
    found = {
        FREE: finds("merge", free),
        FUSED: finds("fusion", fused),
        RERANK: finds("reranker", rerank, calls=32, ms=40),
    }
    return family_verdicts({"(a)": found}, {"(a)": CORPUS}, measure="recall@1")


ALL = list(range(N))


# --- the table -----------------------------------------------------------------------------------


def test_differences_are_counted_and_corrected() -> None:
    """Reranking finds all 12, the merge none, the fusion the first 6.

    12 gains of 12 have p = 2 / 2^12, as the sign test says; 6 gains and 6 draws 2 / 2^6.
    """
    table = table_of([], ALL[:6], ALL).set_index(["query_class", "family", "against"])
    whole = table.loc["all"]
    assert whole["difference"].tolist() == [0.5, 1.0, 0.5]
    assert whole["n"].tolist() == [12] * 3
    assert whole.loc[(RERANK, FREE), "p"] == pytest.approx(binomtest(12, 12).pvalue)
    assert whole.loc[(FUSED, FREE), "p"] == pytest.approx(binomtest(6, 6).pvalue)
    assert table.loc[("T", FUSED, FREE), "difference"] == 1.0
    assert table.loc[("I", FUSED, FREE), "difference"] == 0.0
    assert table.loc[("I", FUSED, FREE), "p"] == 1.0
    # The smallest of nine p-values is multiplied by nine.
    assert len(table) == 9
    assert whole.loc[(RERANK, FREE), "p_holm"] == pytest.approx(9 * 2 / 2**12)
    assert (table["ci_low"] <= table["difference"]).all()
    assert (table["difference"] <= table["ci_high"]).all()


def test_a_loss_is_negative() -> None:
    table = table_of(ALL, ALL, []).set_index(["query_class", "family", "against"])
    assert table.loc[("all", RERANK, FREE), "difference"] == -1
    assert table.loc[("all", RERANK, FREE), "value"] == 0
    assert table.loc[("all", RERANK, FREE), "against_value"] == 1


def test_costs_are_those_of_the_class() -> None:
    """Two seconds for the queries of class I, none for the others; search 1 ms, merge 2 ms."""
    runs = {family: finds(family, ALL) for family in VERDICT_FAMILIES}
    slow = np.repeat([0.0, 2.0], 6)
    runs[RERANK] = replace(runs[RERANK], rerank_seconds=slow, calls=(10 * slow).astype(int))
    table = family_verdicts({"(a)": runs}, {"(a)": CORPUS}, measure="recall@1", embed_ms=5)
    rows = table[(table["family"] == RERANK) & (table["against"] == FREE)].set_index("query_class")
    assert rows["ms"].round(6).to_dict() == {"all": 1008, "I": 2008, "T": 8}
    assert rows["calls"].to_dict() == {"all": 10, "I": 20, "T": 0}
    assert rows["against_ms"].round(6).tolist() == [8, 8, 8]


def test_a_missing_family_is_refused() -> None:
    with pytest.raises(MmgapError, match="expected each of"):
        family_verdicts({"(a)": {FREE: finds("merge", ALL)}}, {"(a)": CORPUS})
    runs = {family: finds(family, ALL) for family in VERDICT_FAMILIES}
    with pytest.raises(MmgapError, match="and a corpus"):
        family_verdicts({"(b)": runs}, {"(a)": CORPUS})


# --- the words -----------------------------------------------------------------------------------


def sentence(free: list[int], fused: list[int], rerank: list[int], at: str = "all") -> str:
    return str(verdict_sentences(table_of(free, fused, rerank), n_labelled={"(a)": 7})["(a)", at])


def test_a_winner_is_named_with_its_price() -> None:
    """43 ms instead of 3, for 100 points: 0.4 ms a point."""
    words = sentence([], [], ALL)
    assert words.startswith("**Reranking wins** with 100.0 %: +100.0 points [+100.0, +100.0] over")
    assert "32 reranker calls and 43 ms a query instead of 3 ms" in words
    assert "0.4 ms for each point" in words
    assert words.count(". ") + words.endswith(".") == 2  # two sentences


def test_a_reranker_behind_a_fitted_merge_asks_for_labels() -> None:
    found = {
        FREE: finds("merge", []),
        FUSED: finds("fusion", []),
        RERANK: finds("reranker", ALL, calls=32, ms=40),
    }
    plain = family_verdicts({"(a)": found}, {"(a)": CORPUS}, measure="recall@1")
    assert plain["labels"].tolist() == [True, False, False] * 3
    assert "it asks for no labels" in verdict_sentences(plain, n_labelled={"(a)": 7}).iloc[0]
    convex = replace(found[RERANK].strategy, merge="convex")
    found[RERANK] = replace(found[RERANK], strategy=convex)
    table = family_verdicts({"(a)": found}, {"(a)": CORPUS}, measure="recall@1")
    assert "asks for 7 judged queries" in verdict_sentences(table, n_labelled={"(a)": 7}).iloc[0]


def test_the_simplest_that_nothing_beats_is_taken() -> None:
    words = sentence([], ALL, ALL)
    assert words.startswith("**Calibrated fusion is ahead of one**")
    assert "nothing beats for sure is calibrated fusion, for 7 judged queries once" in words
    assert words.endswith("43 ms a query of reranking add nothing.")
    words = sentence([], ALL[:11], ALL)
    assert words.endswith("43 ms a query of reranking add what may be chance.")
    words = sentence(ALL, ALL, [])
    assert "The label-free merge will do" in words


def test_chance_is_called_chance() -> None:
    """One query of twelve more: p = 1."""
    words = sentence(ALL[:6], ALL[:6], ALL[:7])
    assert words.startswith("**No winner**: reranking leads with 58.3 %, by +8.3 points")
    assert "within chance" in words
    assert "The label-free merge will do" in words
    assert words.endswith("add what may be chance.")


def test_a_reranker_that_loses_is_said_to_lose() -> None:
    words = sentence(ALL, [], [])
    assert words.startswith("**Label-free merge wins** with 100.0 %")
    assert "The label-free merge will do" in words
    assert words.endswith("add nothing.")


def test_six_queries_cannot_decide_what_twelve_can() -> None:
    table = table_of([], [], ALL)
    rows = {name: part for name, part in table.groupby("query_class")}
    assert recommended_family(rows["all"], alpha=0.01) == RERANK
    assert recommended_family(rows["T"], alpha=0.01) == FREE


def test_what_loses_to_a_loser_is_not_taken() -> None:
    """The fusion loses to the merge and the merge to the reranker; the third pair is too close."""
    rows = pd.DataFrame(
        {
            "family": [FUSED, RERANK, RERANK],
            "against": [FREE, FREE, FUSED],
            "difference": [-0.05, 0.05, 0.1],
            "p_holm": [0.01, 0.01, 0.2],
        }
    )
    assert recommended_family(rows) == RERANK


# --- the choice ----------------------------------------------------------------------------------


def test_the_best_within_the_budget_is_chosen() -> None:
    values = pd.DataFrame({"a": [0.5, 0.5], "b": [1.0, 0.0], "c": [1.0, 0.8], "d": [0.8, 1.0]})
    found = HeldOut(values, pd.Series({"a": 0.0, "b": 0.0, "c": 64.0, "d": 32.0}))
    assert choose_best(found, ["a", "b", "c", "d"]) == "d"  # as good as c, for fewer calls
    assert choose_best(found, ["b", "a"]) == "b"  # named first
    assert choose_best(found, ["a", "b", "c"], max_calls=10) == "a"
    with pytest.raises(MmgapError, match="allow more"):
        choose_best(found, ["c"], max_calls=10)


def test_families() -> None:
    kinds = {name: verdict_family(method) for name, method in METHODS.items()}
    assert kinds["best single leg"] is None
    assert kinds["raw, mean"] == kinds["csls, mean"] == kinds["RRF, k = 60"] == FREE
    assert kinds["platt, log-odds"] == kinds["convex, raw"] == FUSED
    assert verdict_family(TwoStage("x", "fused")) == RERANK
    assert verdict_family(TwoStage("x", None)) is None


class _Cheat:
    """Learns the answers by heart: documents that were relevant in the fit come first."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    def fit(self, calibration: Pool):
        self.seen.append(set(calibration.vectors.corpus.query_ids))
        known = calibration.relevant.any(axis=0)
        return lambda found: known[found.documents].astype(float)


def vectors(seed: int = 0, n_query: int = 10, n_doc: int = 30):
    rng = np.random.default_rng(seed)
    relevant = np.eye(n_query, n_doc, dtype=bool)
    text, image = rng.standard_normal((2, n_query, n_doc)) + 1.5 * relevant
    found = vectors_of(text, image, relevant)
    documents = [Document(f"d{i}", f"text {i}") for i in range(n_doc)]
    return replace(found, corpus=replace(found.corpus, documents=documents))


def test_no_query_is_judged_by_a_fit_that_saw_its_labels() -> None:
    cheat = _Cheat()
    method = Method("cheat", "learned", LABELLED_PAIRS, BOTH_SCORES, cheat)
    found = held_out(vectors(), [method], measure="recall@1", n_folds=5)
    assert len(cheat.seen) == 5
    assert all(len(seen) == 8 for seen in cheat.seen)
    # Each query's answer is the one thing that its fit does not know.
    assert found.values["cheat"].tolist() == [0.0] * 10
    told = replace(method, fitted_on=NOTHING)
    assert held_out(vectors(), [told], measure="recall@1").values["cheat"].mean() > 0


def test_values_are_those_of_the_runs_and_in_their_order() -> None:
    given = vectors()
    reranker = FakeReranker(lambda _query, text, _red: -len(text or ""))
    strategies = [
        METHODS["raw, mean"],
        TwoStage("rerank", "text", depth=3),
        TwoStage("fitted", "text", depth=3, merge="convex"),
    ]
    found = held_out(given, strategies, reranker, measure="recall@3", n_folds=2, cache=False)
    assert list(found.values) == ["raw, mean", "rerank", "fitted"]
    assert not found.values.isna().any(axis=None)
    (alone,) = run_two_stage(given, strategies[1:2], PairScorer(given, reranker, cache=False))
    expected = evaluate(alone.run, given.corpus.qrels, ["recall@3"])["expected"]["recall@3"]
    assert found.values["rerank"].tolist() == expected.tolist()
    assert found.calls["raw, mean"] == 0
    assert found.calls["rerank"] == alone.calls.mean()
    assert found.calls["fitted"] == 3


def test_methods_and_strategies_run_side_by_side() -> None:
    given = vectors()
    wanted = [TwoStage("raw", None, depth=3), METHODS["text leg"]]
    raw, leg = run_candidates(given, wanted, calibration=vectors(seed=1))
    assert (raw.run.name, leg.run.name) == ("raw", "text leg")
    assert leg.calls.sum() == 0
    assert leg.strategy.view is None
    assert leg.merge_seconds > 0
    scores = given.scores("text")
    assert leg.run.indices[:, 0].tolist() == scores.argmax(axis=1).tolist()


def test_equal_names_and_equal_answers_are_refused() -> None:
    with pytest.raises(MmgapError, match="different names"):
        held_out(vectors(), [METHODS["raw, mean"], METHODS["raw, mean"]])
    given = vectors_of(
        *np.random.default_rng(0).random((2, 3, 4)), np.eye(3, 4, dtype=bool)[[0] * 3]
    )
    with pytest.raises(MmgapError, match="same relevant documents"):
        held_out(given, [METHODS["platt, log-odds"]])
