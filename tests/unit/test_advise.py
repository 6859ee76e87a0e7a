"""Advice on pools whose best merge is known, and which family wins, counted by hand."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from scipy.stats import binomtest
from test_methods import vectors_of, without

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.index.vectors import Vectors
from mmgap.strategies import (
    METHODS,
    VERDICT_FAMILIES,
    Advice,
    CostedRun,
    Judged,
    Rerank,
    Strategy,
    advise,
    choose_best,
    family_verdicts,
    format_advice,
    leaderboard,
    recommended_family,
    verdict_family,
    verdict_sentences,
)
from mmgap.strategies.advise import (
    Choice,
    Entry,
    _other_terms,
    _rerank_words,
    _Terms,
    _why,
    climb,
    compared,
)

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
    assert repr(best["method"]) in sentence(advice, "The next best is")


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


@dataclass(frozen=True)
class Logged(Strategy):
    """A strategy that writes down which queries, and how many pairs, it was fitted on."""

    log: list = field(default_factory=list)

    def fit(self, calibration=None):
        found = calibration.found.of(calibration.legs, self.depth)
        ids = calibration.vectors.corpus.query_ids
        self.log.append((set(ids), int((found.documents >= 0).sum())))
        return super().fit(calibration)


def test_each_query_is_judged_by_a_fit_that_has_not_seen_it() -> None:
    """Every part is judged by a fit on the other four fifths."""
    method = Logged("logged", merge="convex")
    advise(noisy(1, 1), methods=[method], n_labels=None)
    assert [len(seen) for seen, _ in method.log] == [N_QUERY * 4 // 5] * 5
    everyone = set.union(*(seen for seen, _ in method.log))
    left_out = [everyone - seen for seen, _ in method.log]
    assert sorted(name for part in left_out for name in part) == sorted(everyone)


def test_correction_by_hand() -> None:
    """Five queries won, none lost: p = 2 / 2**5 = 0.0625; three won: 2 / 2**3 = 0.25.

    Two methods of effort 2: Holm gives 2 x 0.0625 and 0.25. One of effort 3: 0.0625. Two efforts:
    all of these twice.
    """

    def entry(n_won: int, effort: int) -> Entry:
        values = np.repeat([1.0, 0.0], [n_won, 8 - n_won])
        return Entry(METHODS["raw, mean"], effort, np.tile(values, (4, 1)), 0.0)

    gain, p = compared([entry(5, 2), entry(3, 2), entry(5, 3)], entry(0, 0))
    np.testing.assert_allclose(gain, [5 / 8, 3 / 8, 5 / 8])
    np.testing.assert_allclose(p, [0.25, 0.5, 0.125])


def test_the_highest_value_of_less_effort_is_passed_over_for_want_of_certainty() -> None:
    """z wins 17 queries and loses 6, reference z wins 10 and loses none: only that is certain."""

    def entry(name: str, effort: int, won: int, lost: int) -> Entry:
        values = np.repeat([0.0, 1.0, 0.5], [lost, won, 60 - won - lost])
        return Entry(METHODS[name], effort, np.tile(values, (4, 1)), 0.0)

    leg = entry("text leg", 0, 0, 0)
    z, bank_z = entry("z, mean", 2, 17, 6), entry("reference z, mean", 3, 10, 0)
    assert z.mean > bank_z.mean
    assert climb([leg, z, bank_z]) == [leg, bank_z]


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


def test_few_labels_fit_on_few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query shows about 20 documents, the first ten of either leg."""
    log = []
    fit = Strategy.fit

    def logged(self, calibration=None):
        if self.name == "convex, raw":
            documents = calibration.found.of(calibration.legs, self.depth).documents
            log.append((len(documents), int((documents >= 0).sum())))
        return fit(self, calibration)

    monkeypatch.setattr(Strategy, "fit", logged)
    advise(noisy(1, 1), methods=some("convex, raw"), n_labels=200)
    assert len(log) == 5
    for n_query, n_pair in log:
        assert 8 <= n_query <= 12
        assert 150 < n_pair <= 200
    # 19 labels may not last for one query.
    found = advise(noisy(1, 1), methods=some("convex, raw"), n_labels=19)
    assert row(found, "convex, raw")["why_not"] == "needs labels"


def test_lists_only_leaves_out_what_looks_scores_up() -> None:
    advice = advise(noisy(1.7, 1.7), methods=some("z, mean", "raw, mean"), lists_only=True)
    allowed = set(advice.table.loc[advice.table["allowed"], "method"])
    assert allowed == {"text leg", "image leg", "RRF, k = 60"}
    assert row(advice, "z, mean")["why_not"] == "needs the other leg's scores"
    assert advice.method == "RRF, k = 60"  # the plain merge, where there are ranks alone
    # With equal legs the raw mean is the best there is, and ranks forget what scores know.
    assert row(advice, "raw, mean")["difference"] > 0
    assert "mean' would be advised (" in sentence(advice, "scores looked up")


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
    assert "rerank 40' would be advised" in sentence(advice, "With a larger budget")
    assert "Reranking pays from" in sentence(advice, "Reranking")
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
    return Entry(METHODS[name], effort, np.tile(values, (4, 1)), ms)


def test_words_give_p_before_and_after_the_correction() -> None:
    """Three queries of 8 won by the mean: p = 2 / 2**3 = 0.25, two efforts, so 0.5."""
    won = np.repeat([1.0, 0.0], [3, 5])
    entries = [entry("text leg", 0, 0 * won), entry("raw, mean", 1, won), entry("z, mean", 2, won)]
    choice = Choice(entries, _Terms())
    assert choice.pick.name == "text leg"
    (said,) = [each for each in _why(choice) if "Against the simple alternative" in each]
    assert "-37.5 points" in said
    assert said.endswith("p = 0.250, corrected p = 0.500: not significant.")


def test_an_alternative_that_is_too_slow_says_so() -> None:
    """The mean wins ten queries of ten, p = 2 / 2**10, and stays out for its time alone."""
    slow = entry("raw, mean", 1, np.ones(10), ms=9.0)
    entries = [entry("text leg", 0, np.zeros(10)), slow]
    terms = _Terms(budget_ms=5.0)
    slow.why_not = terms.obstacle(slow)
    choice = Choice(entries, terms)
    assert choice.pick.name == "text leg"
    (said,) = _why(choice)
    assert "(100.0 %, not allowed here: too slow)" in said
    assert "p = 0.002: significant" in said
    assert _other_terms(choice, "Without a budget", _Terms()) == [
        "Without a budget 'raw, mean' would be advised (9 ms per query): "
        "+100.0 points [+100.0, +100.0], p = 0.002."
    ]
    enough = Choice([entry("text leg", 0, np.zeros(10)), entry("raw, mean", 1, np.ones(10))], terms)
    (same,) = _other_terms(enough, "Without a budget", _Terms())
    assert same == "Without a budget the advice would be the same."


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
    choice = Choice(entries, _Terms(n_labels=None))
    assert [each.name for each in choice.path] == ["text leg", "z, mean", "platt, log-odds"]
    said = _why(choice)[-1]
    assert "'raw, max' has the highest value (55.2 %)" in said
    assert "not significantly better than the simpler 'text leg': +5.2 points" in said


def test_what_reranking_brings_is_corrected_as_the_choice_is() -> None:
    """Six queries won, none lost: p = 2 / 2**6 = 0.031; there are two efforts: 0.0625, not sure."""
    won = np.repeat([1.0, 0.0], [6, 4])
    strategy = Strategy("rerank 8", ("text",), rerank=Rerank("text", 8))
    entries = [
        entry("text leg", 0, 0 * won),
        entry("z, mean", 2, 0 * won),
        Entry(strategy, 5, np.tile(won, (4, 1)), 20.0),
    ]
    said = _rerank_words(Choice(entries, _Terms()))
    assert "does not pay" in said
    assert "+60.0 points" in said
    assert "corrected p = 0.062" in said
    # Alone it would be sure, and then it is what is advised.
    choice = Choice([entries[0], entries[2]], _Terms())
    assert choice.pick.name == "rerank 8"
    assert "pays from 20 ms" in _rerank_words(choice)


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
        advise(vectors_of(*scores, relevant), methods=some("reference z, mean"))


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


# --- which family wins: twelve queries, counted by hand -------------------------------------------

FREE, FUSED, RERANK = VERDICT_FAMILIES
N = 12
CORPUS = Corpus(
    "twelve",
    [Document("good", "x"), Document("bad", "y")],
    [Query(f"q{i}", "x", {"query_class": "T" if i < 6 else "I"}) for i in range(N)],
    Qrels([Judgment(f"q{i}", "good", 1) for i in range(N)]),
)


STANDS = {
    FREE: Strategy("merge", merge="mean"),
    FUSED: Strategy("fusion", merge="convex"),
    RERANK: Strategy("reranker", merge="mean", rerank=Rerank("average", 16)),
}


def judged_of(found: dict[str, list[int]], strategies: dict | None = None, **costs) -> Judged:
    """Recall@1 of 1 for some queries, else 0; reranking takes 32 calls and 40 ms a query."""
    strategies = strategies or STANDS
    values = np.zeros((3, 4, N, 1))
    costed = {}
    for at, (family, strategy) in enumerate(strategies.items()):
        values[at, :3, found[family]] = 1
        n, ms = (32, 40.0) if family == RERANK else (0, 0.0)
        run = Run(
            strategy.name, CORPUS.query_ids, CORPUS.doc_ids, np.zeros((N, 1), int), np.ones((N, 1))
        )
        calls, seconds = costs.get(family, (np.full(N, n), np.full(N, ms / 1000)))
        costed[strategy.name] = CostedRun(strategy, run, calls, calls, calls, seconds, 0.001, 0.002)
    vectors = Vectors(CORPUS, vectors_of([[0]], [[0]], [[1]]).encoder, np.eye(N), {})
    return Judged(vectors, tuple(strategies.values()), ("recall@1",), values, costed, {})


NAMES = {"(a)": {family: strategy.name for family, strategy in STANDS.items()}}


def table_of(free: list[int], fused: list[int], rerank: list[int]) -> pd.DataFrame:
    judged = judged_of({FREE: free, FUSED: fused, RERANK: rerank})
    return family_verdicts({"(a)": judged}, NAMES)


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
    slow = np.repeat([0.0, 2.0], 6)
    judged = judged_of(dict.fromkeys(VERDICT_FAMILIES, ALL), **{RERANK: (10 * slow, slow)})
    table = family_verdicts({"(a)": judged}, NAMES, embed_ms=5)
    rows = table[(table["family"] == RERANK) & (table["against"] == FREE)].set_index("query_class")
    assert rows["ms"].round(6).to_dict() == {"all": 1008, "I": 2008, "T": 8}
    assert rows["calls"].to_dict() == {"all": 10, "I": 20, "T": 0}
    assert rows["against_ms"].round(6).tolist() == [8, 8, 8]


def test_a_missing_family_is_refused() -> None:
    judged = judged_of(dict.fromkeys(VERDICT_FAMILIES, ALL))
    with pytest.raises(MmgapError, match="expected each of"):
        family_verdicts({"(a)": judged}, {"(a)": {FREE: "merge"}})
    with pytest.raises(MmgapError, match=r"\['\(b\)'\] are judged"):
        family_verdicts({"(b)": judged}, NAMES)


# --- the words -----------------------------------------------------------------------------------


def said_of(free: list[int], fused: list[int], rerank: list[int], at: str = "all") -> str:
    return str(verdict_sentences(table_of(free, fused, rerank), n_labelled={"(a)": 7})["(a)", at])


def test_a_winner_is_named_with_its_price() -> None:
    """43 ms instead of 3, for 100 points: 0.4 ms a point."""
    words = said_of([], [], ALL)
    assert words.startswith("**Reranking wins** with 100.0 %: +100.0 points [+100.0, +100.0] over")
    assert "32 reranker calls and 43 ms a query instead of 3 ms" in words
    assert "0.4 ms for each point" in words
    assert words.count(". ") + words.endswith(".") == 2  # two sentences


def test_a_reranker_behind_a_fitted_merge_asks_for_labels() -> None:
    found = {FREE: [], FUSED: [], RERANK: ALL}
    plain = family_verdicts({"(a)": judged_of(found)}, NAMES)
    assert plain["labels"].tolist() == [True, False, False] * 3
    assert "it asks for no labels" in verdict_sentences(plain, n_labelled={"(a)": 7}).iloc[0]
    fitted = {**STANDS, RERANK: replace(STANDS[RERANK], merge="convex")}
    table = family_verdicts({"(a)": judged_of(found, fitted)}, NAMES)
    assert "asks for 7 judged queries" in verdict_sentences(table, n_labelled={"(a)": 7}).iloc[0]


def test_the_simplest_that_nothing_beats_is_taken() -> None:
    words = said_of([], ALL, ALL)
    assert words.startswith("**Calibrated fusion is ahead of one**")
    assert "nothing beats for sure is calibrated fusion, for 7 judged queries once" in words
    assert words.endswith("43 ms a query of reranking add nothing.")
    words = said_of([], ALL[:11], ALL)
    assert words.endswith("43 ms a query of reranking add what may be chance.")
    words = said_of(ALL, ALL, [])
    assert "The label-free merge will do" in words


def test_chance_is_called_chance() -> None:
    """One query of twelve more: p = 1."""
    words = said_of(ALL[:6], ALL[:6], ALL[:7])
    assert words.startswith("**No winner**: reranking leads with 58.3 %, by +8.3 points")
    assert "within chance" in words
    assert "The label-free merge will do" in words
    assert words.endswith("add what may be chance.")


def test_a_reranker_that_loses_is_said_to_lose() -> None:
    words = said_of(ALL, [], [])
    assert words.startswith("**Label-free merge wins** with 100.0 %")
    assert "The label-free merge will do" in words
    assert words.endswith("add nothing.")


def test_six_queries_cannot_decide_what_twelve_can() -> None:
    """Two classes of six: p = 2 / 2^6, and six of nine comparisons are as large or larger."""
    rows = {name: part for name, part in table_of([], [], ALL).groupby("query_class")}
    assert recommended_family(rows["all"]) == RERANK
    assert recommended_family(rows["T"]) == FREE


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
    strategies = {name: Strategy(name, merge="mean") for name in "abcd"}
    judged = judged_of(dict.fromkeys(VERDICT_FAMILIES, ALL))
    values = np.zeros((4, 4, N, 1))
    values[:, 0, :, 0] = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.8], [0.8, 1.0]]).repeat(
        6, axis=1
    )
    costed = {}
    for name, calls in zip("abcd", (0, 0, 64, 32), strict=True):
        costed[name] = replace(judged.costed["merge"], calls=np.full(N, calls))
    found = replace(judged, strategies=tuple(strategies.values()), values=values, costed=costed)
    assert choose_best(found, ["a", "b", "c", "d"]) == "d"  # as good as c, for fewer calls
    assert choose_best(found, ["b", "a"]) == "b"  # named first
    assert choose_best(found, ["a", "b", "c"], max_calls=10) == "a"
    assert choose_best(found, ["a", "b"], rows=np.arange(6)) == "b"
    assert choose_best(found, ["a", "b"], rows=np.arange(6, 12)) == "a"
    assert choose_best(found, ["failed", "a"]) == "a"
    with pytest.raises(MmgapError, match="allow more"):
        choose_best(found, ["c"], max_calls=10)


def test_families() -> None:
    kinds = {name: verdict_family(method) for name, method in METHODS.items()}
    assert kinds["best single leg"] is None
    assert kinds["raw, mean"] == kinds["csls, mean"] == kinds["RRF, k = 60"] == FREE
    assert kinds["platt, log-odds"] == kinds["convex, raw"] == FUSED
    assert verdict_family(Strategy("x", rerank=Rerank("fused"))) == RERANK
