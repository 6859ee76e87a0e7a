"""Advice on pools whose best merge is known, and the command that prints it."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from test_methods import vectors_of, without

from mmgap.corpus.schema import Corpus, Document
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.strategies import Advice, advise, format_advice, leaderboard
from mmgap.strategies.advising.changes import (
    _budget_words,
    _queries_needed,
    _rerank_words,
    _strictest,
)
from mmgap.strategies.advising.choice import Choice, climb, compared
from mmgap.strategies.advising.entry import Entry
from mmgap.strategies.advising.terms import Terms
from mmgap.strategies.advising.words import _agreement, _why
from mmgap.strategies.method import Method
from mmgap.strategies.methods import METHODS
from mmgap.strategies.two_stage import TwoStage

N_QUERY, N_DOC = 80, 120
FEW = ("raw, max", "z, mean", "reference z, mean", "platt, log-odds", "convex, raw", "RRF, k = 60")


def some(*names: str) -> list:
    return [METHODS[name] for name in names or FEW]


def noisy(
    signal_text: float, signal_image: float, seed: int = 0, n_query: int = N_QUERY, classes=None
) -> Vectors:
    """Normal noise in both legs; the relevant document of query i is i and stands out by signal."""
    rng = np.random.default_rng(seed)
    relevant = np.eye(n_query, N_DOC, dtype=bool)
    text, image = rng.standard_normal((2, n_query, N_DOC))
    return vectors_of(
        text + signal_text * relevant, image + signal_image * relevant, relevant, classes
    )


def row(advice: Advice, method: str) -> pd.Series:
    (found,) = [each for _, each in advice.table.iterrows() if each["method"] == method]
    return found


def sentence(advice: Advice, part: str) -> str:
    (found,) = [each for each in (*advice.reasons, *advice.what_would_change_it) if part in each]
    return found


# --- what is chosen ------------------------------------------------------------------------------


def test_two_equally_good_legs_are_averaged() -> None:
    """Equal signal, independent noise of one spread: the mean of raw scores is the best there is.

    By Neyman and Pearson: the log likelihood ratio of two normal scores with equal spread and
    equal signal is their sum, up to a constant.
    """
    advice = advise(noisy(1.7, 1.7), noisy(1.7, 1.7, seed=1), methods=some())
    assert advice.method == "raw, mean"
    better_leg = sentence(advice, "Against the simple alternative")
    assert better_leg.endswith(": significant.")
    assert row(advice, "raw, mean")["role"] == "advised"
    for leg in ("text leg", "image leg"):
        assert row(advice, leg)["difference"] < -0.1


@pytest.mark.parametrize(("text", "image", "leg"), [(2.5, 0, "text leg"), (0, 2.5, "image leg")])
def test_beside_a_leg_of_noise_the_other_leg_stands_alone(
    text: float, image: float, leg: str
) -> None:
    advice = advise(noisy(text, image), methods=some(), n_labels=None)
    assert advice.method == leg
    assert f"The weak leg is the {'image' if leg == 'text leg' else 'text'} leg" in sentence(
        advice, "weak leg"
    )
    assert row(advice, "raw, mean")["difference"] < 0


def test_without_a_significant_difference_the_simplest_is_advised() -> None:
    """Both legs hold the same scores, but for one query of 80, which the image leg answers."""
    both = noisy(2.0, 0.0)
    table = both.legs["text"].embeddings.T.copy()
    missed = int(np.argmin(np.diagonal(table)))
    image = table.copy()
    image[missed, missed] = 50.0
    vectors = vectors_of(table, image, np.eye(N_QUERY, N_DOC, dtype=bool))
    advice = advise(replace(vectors, corpus=both.corpus), methods=some("raw, max"))
    assert advice.method == "image leg"
    # The text leg has one hit less; equal to it or better are all others: none is advised.
    assert row(advice, "text leg")["difference"] == pytest.approx(-1 / N_QUERY)
    assert "not significant" in sentence(advice, "Against the simple alternative 'raw, mean'")


def test_a_higher_value_that_may_be_chance_is_named_but_not_advised() -> None:
    # Noise in ten queries: the mean of scores is better for most, too few to be sure.
    for seed in range(40):
        advice = advise(noisy(2.2, 1.0, seed=seed, n_query=12), methods=some("raw, max"))
        best = advice.table[advice.table["allowed"]].iloc[0]
        if best["value"] > row(advice, advice.method)["value"]:
            break
    assert advice.method in ("text leg", "image leg")
    assert advice.runner_up == best["method"]
    words = sentence(advice, "has the highest value")
    assert repr(best["method"]) in words
    assert "the simpler method is advised" in words
    needed = sentence(advice, "The next best is")
    assert "If that is the true difference" in needed


def test_scales_that_differ_need_more_than_the_raw_mean() -> None:
    """The image leg's scores are 20 times as wide, so that the raw mean hears it alone."""
    equal = noisy(1.7, 1.7, n_query=110)
    text, image = (equal.legs[leg].embeddings.T for leg in ("text", "image"))
    wide = vectors_of(text, 20 * image, np.eye(110, N_DOC, dtype=bool))
    advice = advise(
        wide, methods=some("z, mean", "reference z, mean", "platt, log-odds"), n_labels=None
    )
    # z needs less than reference z, and that less than Platt; all three undo the factor.
    assert advice.method == "z, mean"
    assert row(advice, "reference z, mean")["value"] == pytest.approx(
        row(advice, "z, mean")["value"], abs=0.08
    )


def test_the_choice_is_not_made_on_test_queries() -> None:
    calibration = noisy(1.7, 1.7)
    for test in (noisy(2.5, 0, seed=1), noisy(0, 2.5, seed=1)):
        advice = advise(calibration, test, methods=some("raw, max"))
        assert advice.method == "raw, mean"
    # On the last one the image leg is better, and the report says so.
    assert row(advice, "raw, mean")["test_value"] < 0.8
    assert "On 80 test queries over 120 documents, which had no say" in sentence(
        advice, "test queries"
    )


def test_each_query_is_judged_by_a_fit_that_has_not_seen_it() -> None:
    """A method that remembers the queries it was fitted on knows none of those it is judged on."""
    seen: list[tuple[set, set]] = []

    class Remembers:
        def fit(self, calibration):
            known = {*calibration.vectors.corpus.query_ids}
            return lambda candidates: (
                seen.append((known, len(candidates.documents))) or (candidates.scores["text"])
            )

    method = Method(
        "remembers", "learned", "labelled calibration pairs", "both scores", Remembers()
    )
    advise(noisy(1, 1), methods=[method], n_labels=None, n_folds=4)
    assert len(seen) == 4
    # Every part is judged by a fit on the other three quarters.
    assert [len(known) + judged for known, judged in seen] == [N_QUERY] * 4
    everyone = set.union(*(known for known, _ in seen))
    left_out = [everyone - known for known, _ in seen]
    assert sorted(name for part in left_out for name in part) == sorted(everyone)


def test_correction_by_hand() -> None:
    """Five queries won, none lost: p = 2 / 2**5 = 0.0625; three won: 2 / 2**3 = 0.25.

    Two methods of effort 2: Holm gives 2 x 0.0625 and 0.25. One of effort 3: 0.0625. Two efforts:
    all of these twice.
    """

    def entry(n_won: int, effort: int) -> Entry:
        values = np.repeat([1.0, 0.0], [n_won, 8 - n_won])
        return Entry("", METHODS["raw, mean"], effort, np.tile(values, (4, 1)), 0.0)

    gain, p = compared([entry(5, 2), entry(3, 2), entry(5, 3)], entry(0, 0))
    np.testing.assert_allclose(gain, [5 / 8, 3 / 8, 5 / 8])
    np.testing.assert_allclose(p, [0.25, 0.5, 0.125])


def test_the_highest_value_of_less_effort_is_passed_over_for_want_of_certainty() -> None:
    """z wins 17 queries and loses 6, reference z wins 10 and loses none: only that is certain."""

    def entry(name: str, effort: int, won: int, lost: int) -> Entry:
        values = np.repeat([0.0, 1.0, 0.5], [lost, won, 60 - won - lost])
        return Entry(name, METHODS[name], effort, np.tile(values, (4, 1)), 0.0)

    leg = entry("text leg", 0, 0, 0)
    z, bank_z = entry("z, mean", 2, 17, 6), entry("reference z, mean", 3, 10, 0)
    assert z.mean > bank_z.mean
    assert climb([leg, z, bank_z], 0.05, slice(None)) == [leg, bank_z]


# --- what is allowed -----------------------------------------------------------------------------


def test_no_labels_no_method_that_needs_them() -> None:
    names = ("platt, log-odds", "convex, raw", "reference z, mean")
    free = advise(noisy(1.7, 1.7), methods=some(*names))
    for name in ("platt, log-odds", "convex, raw"):
        assert not row(free, name)["allowed"]
        assert row(free, name)["why_not"] == "needs labels"
        assert row(free, name)["value"] > 0.5  # measured all the same
    assert row(free, "reference z, mean")["allowed"]
    assert "2 of 6 methods are not allowed here: needs labels (2)" in sentence(free, "not allowed")
    labelled = advise(noisy(1.7, 1.7), methods=some(*names), n_labels=None)
    assert labelled.table["allowed"].all()


def test_labels_are_advised_where_nothing_else_serves() -> None:
    """The image leg points away from the answer: only a fit on labels can find that out."""
    vectors = noisy(2.0, -3.0, n_query=110)
    learned = some("convex, raw", "logistic")
    free = advise(vectors, methods=learned)
    assert free.method == "text leg"
    allowed = advise(vectors, methods=learned, n_labels=None)
    assert allowed.method == "logistic"
    assert "Without labels 'text leg' would be advised" in sentence(allowed, "Without labels")


def test_few_labels_fit_on_few_queries() -> None:
    sizes = []

    class Counts:
        def fit(self, calibration):
            documents = calibration.candidates.documents
            sizes.append((len(documents), int((documents >= 0).sum())))
            return lambda candidates: candidates.scores["text"]

    method = Method("counts", "learned", "labelled calibration pairs", "both scores", Counts())
    advise(noisy(1, 1), methods=[method], n_labels=200, n_folds=2)
    # A query shows about 20 documents, the first ten of either leg.
    for n_query, n_pair in sizes:
        assert 8 <= n_query <= 12
        assert 150 < n_pair <= 200
    # 19 labels may not last for one query.
    found = advise(noisy(1, 1), methods=[method], n_labels=19, n_folds=2)
    assert row(found, "counts")["why_not"] == "needs labels"


def test_lists_only_leaves_out_what_looks_scores_up() -> None:
    advice = advise(noisy(1.7, 1.7), methods=some("z, mean", "raw, mean"), lists_only=True)
    allowed = set(advice.table.loc[advice.table["allowed"], "method"])
    assert allowed == {"text leg", "image leg", "RRF, k = 60"}
    assert row(advice, "z, mean")["why_not"] == "needs the other leg's scores"
    assert advice.method == "RRF, k = 60"  # the plain merge, where there are ranks alone
    # With equal legs the raw mean is the best there is, and ranks forget what scores know.
    assert row(advice, "raw, mean")["difference"] > 0
    assert "mean' would be advised: +" in sentence(advice, "could be looked up")


def test_one_leg_alone_leaves_nothing_to_merge() -> None:
    advice = advise(without(noisy(2.0, 0), "image"))
    assert advice.method == "text leg"
    assert advice.runner_up is None
    assert "nothing to merge" in sentence(advice, "Only this leg")


# --- reranking -----------------------------------------------------------------------------------


def readable(vectors: Vectors) -> Vectors:
    """Give every document a text that names it, and every query one that names its answer."""
    corpus = vectors.corpus
    documents = [Document(f"d{i}", text=f"document {i}") for i in range(len(corpus.documents))]
    queries = [replace(query, text=f"ask {i}") for i, query in enumerate(corpus.queries)]
    return replace(vectors, corpus=Corpus(corpus.name, documents, queries, corpus.qrels))


def oracle(query: str, text: str | None, red: int | None) -> float:  # noqa: ARG001
    return 0.9 if text is not None and text.split()[1] == query.split()[1] else 0.1


def guess(query: str, text: str | None, red: int | None) -> float:  # noqa: ARG001
    return (zlib.crc32(f"{query}, {text}".encode()) % 997) / 1000


def reranked(rule=oracle, **options) -> Advice:
    vectors = readable(noisy(1.7, 1.7))
    reranker = FakeReranker(rule, modalities=("text-text",))
    return advise(
        vectors,
        methods=some("raw, max"),
        reranker=reranker,
        depths=(20, 40),
        cache=False,
        **options,
    )


def test_a_reranker_that_knows_is_advised_and_its_price_named() -> None:
    advice = reranked()
    assert advice.method == "mean of raw scores, rerank 40"
    assert "Reranking pays from" in sentence(advice, "Reranking")
    # An oracle finds what its candidates hold: those 40 are a superset of the first 20.
    assert (
        row(advice, "mean of raw scores, rerank 20")["value"] <= row(advice, advice.method)["value"]
    )


def test_beyond_the_budget_there_is_no_reranker() -> None:
    dear = FakeReranker(oracle, modalities=("text-text",))
    score = dear.score

    def slow(pairs, *, batch_size=8):
        time.sleep(0.0005 * len(pairs))
        return score(pairs, batch_size=batch_size)

    dear.score = slow
    vectors = readable(noisy(1.4, 1.4))
    # 40 calls of half a millisecond are 20 ms, a few less where both legs list a document.
    options = {"methods": some("raw, max"), "depths": (40,), "cache": False, "reranker": dear}
    advice = advise(vectors, budget_ms=9, **options)
    assert advice.method == "raw, mean"
    reranks = advice.table[advice.table["family"] == "reranked"]
    assert (reranks["why_not"] == "too slow").all()
    assert (reranks["ms_per_query"] > 9).all()
    assert "the budget is 9 ms" in sentence(advice, "Reranking pays from")
    assert advise(vectors, budget_ms=1000, **options).method.endswith("rerank 40")


def test_a_budget_below_everything_leaves_the_legs() -> None:
    advice = advise(noisy(1.7, 1.7), methods=some("raw, max"), budget_ms=1e-6)
    assert advice.method in ("text leg", "image leg")
    assert "below what the search of one leg takes" in sentence(advice, "The budget of")


def test_a_reranker_that_guesses_does_not_pay() -> None:
    advice = reranked(guess)
    assert advice.method == "raw, mean"
    assert "Reranking does not pay at any depth tried" in sentence(advice, "Reranking")


def test_reranked_strategies_are_judged_on_test_queries_too() -> None:
    advice = reranked(test=readable(noisy(1.7, 1.7, seed=1)))
    best = row(advice, "mean of raw scores, rerank 40")
    assert best["test_value"] > row(advice, "raw, mean")["test_value"]


# --- classes, ties, table ------------------------------------------------------------------------


def test_classes_that_want_opposite_legs_are_told() -> None:
    """Texts answer one half of the queries, images the other; the wrong leg is loud noise."""
    half = N_QUERY // 2
    rng = np.random.default_rng(0)
    relevant = np.eye(N_QUERY, N_DOC, dtype=bool)
    text, image = rng.standard_normal((2, N_QUERY, N_DOC))
    text[:half] += 2.5 * relevant[:half]
    image[half:] += 2.5 * relevant[half:]
    image[:half] *= 3
    text[half:] *= 3
    vectors = vectors_of(text, image, relevant, ["T"] * half + ["I"] * half)
    advice = advise(vectors, methods=some("raw, max"))
    by_class = advice.by_class.set_index("query_class")
    assert by_class.loc["T", "method"] == "text leg"
    assert by_class.loc["I", "method"] == "image leg"
    assert by_class.loc["T", "n"] == half
    # One leg serves half of the queries, the raw mean of signal and loud noise hardly any.
    assert advice.method == "text leg"
    assert not any("class T" in each for each in advice.what_would_change_it)
    assert "'image leg'" in sentence(advice, "class I")
    assert advise(noisy(1, 1), methods=some("raw, max")).by_class.empty


def test_ties_are_reported() -> None:
    """All scores of a query are one number: any order would do."""
    flat = np.zeros((6, 30))
    advice = advise(vectors_of(flat, flat, np.eye(6, 30, dtype=bool)), methods=some("raw, max"))
    assert "the cut-off falls inside tied documents" in sentence(advice, "Ties")
    assert row(advice, advice.method)["value"] == pytest.approx(10 / 30)


def test_numbers_are_those_of_the_leaderboard() -> None:
    """Methods that are fitted on nothing have the same values in both tables."""
    calibration, test = noisy(1.7, 1.2), noisy(1.7, 1.2, seed=1)
    advice = advise(calibration, test, methods=some("raw, max"))
    board = leaderboard(calibration, test, some("raw, mean", "text leg", "raw, max"))
    board = board[(board["measure"] == "recall@10") & (board["query_class"] == "all")]
    board = board.set_index("method")
    assert row(advice, "raw, mean")["test_value"] == pytest.approx(board.loc["raw, mean", "value"])
    on_calibration = leaderboard(calibration, calibration, some("raw, max"))
    assert row(advice, "raw, max")["value"] == pytest.approx(on_calibration["value"].iloc[0])


def test_the_table_and_its_reading() -> None:
    advice = advise(noisy(1.7, 1.7), noisy(1.7, 1.7, seed=1), methods=some())
    table = advice.table
    assert table["value"].is_monotonic_decreasing
    assert (table["role"] == "advised").sum() == 1
    own = table[table["method"] == advice.method].iloc[0]
    assert own["difference"] == 0
    assert np.isnan(own["p"])
    # Only what has a role was judged on test queries.
    assert (table["test_value"].notna() == (table["role"] != "")).all()
    read = format_advice(advice, top=1)
    assert advice.method in set(read["method"])
    assert len(read) == (table["role"] != "").sum() + 1
    text = advice.to_text()
    assert text.splitlines()[0] == f"tiny, tables: use {advice.method!r}"
    assert all(sentence in text for sentence in advice.reasons + advice.what_would_change_it)


# --- words say what the numbers say --------------------------------------------------------------


def entry(name: str, effort: int, values: np.ndarray, ms: float = 1.0) -> Entry:
    return Entry(name, METHODS[name], effort, np.tile(values, (4, 1)), ms)


def test_words_give_p_before_and_after_the_correction() -> None:
    """Three queries of 8 won by the mean: p = 2 / 2**3 = 0.25, two efforts, so 0.5."""
    won = np.repeat([1.0, 0.0], [3, 5])
    entries = [entry("text leg", 0, 0 * won), entry("raw, mean", 1, won), entry("z, mean", 2, won)]
    choice = Choice(entries, Terms())
    assert choice.pick.name == "text leg"
    (said,) = [each for each in _why(choice) if "Against the simple alternative" in each]
    assert "-37.5 points" in said
    assert said.endswith("p = 0.250, corrected p = 0.500: not significant.")


def test_an_alternative_that_is_too_slow_says_so() -> None:
    """The mean wins ten queries of ten, p = 2 / 2**10, and stays out for its time alone."""
    slow = entry("raw, mean", 1, np.ones(10), ms=9.0)
    entries = [entry("text leg", 0, np.zeros(10)), slow]
    terms = Terms(budget_ms=5.0)
    slow.why_not = terms.obstacle(slow)
    choice = Choice(entries, terms)
    assert choice.pick.name == "text leg"
    (said,) = _why(choice)
    assert "(100.0 %, not allowed here: too slow)" in said
    assert "p = 0.002: significant" in said
    assert _budget_words(choice) == [
        "With a budget of 9 ms per query 'raw, mean' would be advised: "
        "+100.0 points [+100.0, +100.0], p = 0.002."
    ]
    enough = Choice([entry("text leg", 0, np.zeros(10)), entry("raw, mean", 1, np.ones(10))], terms)
    assert _budget_words(enough) == ["A larger budget would not change the advice."]


def test_the_best_is_compared_with_what_is_simpler_than_itself() -> None:
    """The path goes text leg, z, Platt; raw max has the highest value, without certainty.

    Against the leg, z wins 10 of 200 queries, Platt these and 10 more; raw max wins 90 and loses
    69. It takes as much effort as z, so it is held against the leg: (90 - 69) / 2 / 200.
    """
    places = np.arange(200)
    z, platt = 0.5 + 0.5 * (places < 10), 0.5 + 0.5 * (places < 20)
    highest = np.repeat([1.0, 0.0, 0.5], [90, 69, 41])
    entries = [
        entry("text leg", 0, np.full(200, 0.5)),
        entry("z, mean", 2, z),
        entry("raw, max", 2, highest),
        entry("platt, log-odds", 4, platt),
    ]
    choice = Choice(entries, Terms(n_labels=None))
    assert [each.name for each in choice.path] == ["text leg", "z, mean", "platt, log-odds"]
    said = _why(choice)[-1]
    assert "'raw, max' has the highest value (55.2 %)" in said
    assert "not significantly better than the simpler 'text leg': +5.2 points" in said


@pytest.mark.parametrize(
    ("said", "there", "p", "words"),
    [
        (+1, -0.1, 0.001, "against what the calibration queries said"),
        (-1, -0.1, 0.001, "more of them would help"),
        (+1, +0.1, 0.2, "The +100.0 points of the calibration queries are not confirmed there"),
        (+1, -0.1, 0.2, "not confirmed there"),
        (+1, +0.1, 0.001, ""),
        (0, +0.1, 0.2, ""),
    ],
)
def test_test_queries_that_disagree_are_named(
    said: int, there: float, p: float, words: str
) -> None:
    pick, other = np.full((2, 12), 0.5) + np.array([[said / 2], [-said / 2]])
    entries = [entry("text leg", 0, pick), entry("image leg", 0, other)]
    choice = Choice(entries, Terms())
    choice.pick = entries[0]
    found = _agreement(choice, "image leg", there, p)
    assert words in found
    assert bool(words) == bool(found)


def test_the_number_of_queries_needed_by_hand() -> None:
    """Gain 0.1 with a spread of 1, at the level 0.05: ((1.95996 + 0.84162) / 0.1)^2 = 784.9.

    Two rivals of one effort and one of another: 0.05 / 2 / 2 for one of the two.
    """
    gain = 0.1 + np.tile([1.0, -1.0], 50) * np.sqrt(99 / 100)
    assert _queries_needed(gain, 0.05) == pytest.approx(784.9, abs=0.1)
    rivals = [entry("raw, mean", 1, gain), entry("z, mean", 2, gain), entry("raw, max", 2, gain)]
    assert _strictest(rivals, rivals[1], 0.05) == pytest.approx(0.0125)
    assert _strictest(rivals, rivals[0], 0.05) == pytest.approx(0.025)


def test_labels_that_nothing_allowed_could_use_are_not_recommended() -> None:
    learned = some("platt, log-odds")
    lists = advise(noisy(1.7, 1.7), methods=learned, lists_only=True)
    assert "every method that learns from them needs the other leg's scores" in sentence(
        lists, "Labels"
    )
    slow = advise(noisy(1.7, 1.7), methods=learned, budget_ms=1e-6)
    assert "every method that learns from them is too slow" in sentence(slow, "Labels")
    assert "calibrated on the other half" in sentence(
        advise(noisy(1.7, 1.7), methods=learned), "Labels"
    )


def test_one_leg_is_searched_alone_and_so_quicker_than_both(monkeypatch) -> None:
    from mmgap.strategies.advising import entries

    def search(vectors: Vectors, depth: int):  # noqa: ARG001
        # Seconds a query: beside them a merge's own time is nothing, however busy the machine.
        seconds = {"text": 1, "image": 2}
        took = sum(seconds[leg] for leg in vectors.legs) * len(vectors.corpus.queries)
        return SimpleNamespace(seconds=took)

    monkeypatch.setattr(entries, "find_pool", search)
    advice = advise(noisy(1.7, 1.7), methods=some("raw, max"), embed_ms=100.0)
    for name, ms in (("text leg", 1100), ("image leg", 2100), ("raw, max", 3100)):
        found = row(advice, name)["ms_per_query"]
        assert ms <= found < ms + 900  # and the merge itself
    assert "with the encoder's time" in advice.reasons[0]


def test_what_reranking_brings_is_corrected_as_the_choice_is() -> None:
    """Six queries won, none lost: p = 2 / 2**6 = 0.031; there are two efforts: 0.0625, not sure."""
    won = np.repeat([1.0, 0.0], [6, 4])
    strategy = TwoStage("rerank 8", "text", ("text",), 8, tail=True)
    entries = [
        entry("text leg", 0, 0 * won),
        entry("z, mean", 2, 0 * won),
        Entry("rerank 8", strategy, 5, np.tile(won, (4, 1)), 20.0),
    ]
    (said,) = _rerank_words(Choice(entries, Terms()), tried=True)
    assert "does not pay" in said
    assert "+60.0 points" in said
    assert "p = 0.031, corrected p = 0.062" in said
    # Alone it would be sure, and then it is what is advised.
    choice = Choice([entries[0], entries[2]], Terms())
    assert choice.pick.name == "rerank 8"
    assert "pays from 20 ms" in _rerank_words(choice, tried=True)[0]


def test_the_best_reranked_row_is_always_shown() -> None:
    advice = reranked(guess)
    ranked = advice.table.loc[advice.table["family"] == "reranked", "method"]
    shown = set(format_advice(advice, top=1)["method"])
    assert shown.intersection(ranked) == {ranked.iloc[0]}


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget_ms": 0}, "budget_ms is 0; expected milliseconds above 0"),
        ({"n_labels": -1}, "n_labels is -1"),
        ({"depths": (3,)}, "expected even numbers"),
        ({"n_folds": 1}, "n_folds is 1; expected 2 or more"),
        ({"alpha": 1}, "alpha is 1"),
        ({"measure": "map"}, "'map' has no cut-off"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(MmgapError, match=message):
        advise(noisy(1, 1), **options)


def test_queries_that_cannot_be_divided_are_refused() -> None:
    relevant = np.zeros((4, 6), dtype=bool)
    relevant[:, 0] = True
    scores = np.random.default_rng(0).random((2, 4, 6))
    with pytest.raises(MmgapError, match="have the same relevant documents"):
        advise(vectors_of(*scores, relevant), methods=some("raw, max"))


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_and_prints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((60, 8))
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "text.npy", image + 0.5 * rng.standard_normal((60, 8)))
    np.save(tmp_path / "queries.npy", image + 0.5 * rng.standard_normal((60, 8)))
    pair = f"{tmp_path}/image.npy,{tmp_path}/text.npy,{tmp_path}/queries.npy"
    options = ["--labels", "300", "--out", str(tmp_path / "results")]
    done = subprocess.run(
        [sys.executable, "-m", "mmgap.cli", "advise", "--corpus", pair, *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "results" / "advice.csv")
    (advised,) = table.loc[table["role"] == "advised", "method"]
    assert f"use {advised!r}" in done.stdout
    assert "What would change it:" in done.stdout
    assert table["n"].unique().tolist() == [30]  # half of the queries are for calibration
    assert max(map(len, done.stdout.splitlines())) <= 320
