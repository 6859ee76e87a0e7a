"""Measures on lists small enough to work out by hand."""

from functools import partial
from math import log2

import numpy as np
import pytest

from mmgap.errors import MmgapError
from mmgap.evaluation import (
    Run,
    TieGroups,
    average_precision,
    evaluate,
    expected_measure,
    hit,
    mrr,
    ndcg,
    recall,
    tied_at,
)

CLEAR = [0.9, 0.8, 0.7, 0.6]
ALL_TIED = [0.5] * 4
PART_TIED = [0.9, 0.4, 0.4, 0.4]  # rank 1 is clear; ranks 2 to 4 are tied
BEST = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
BEST_EXP = 7 / log2(2) + 3 / log2(3) + 1 / log2(4)
TWO_GRADES = 3 / log2(2) + 1 / log2(3)
EXP = {"gain": "exponential"}
ORDERS = [
    1 + 2 / 2 + 3 / 3,
    1 + 2 / 2 + 3 / 4,
    1 + 2 / 3 + 3 / 4,
]  # which two of three are relevant
CUT = [1 + 2 / 2 + 3 / 3, 1 + 2 / 2, 1 + 2 / 3]


def call(measure, scores, gains, other, **options):
    """The measure of one list: ``other`` is n_relevant of recall and MAP, ideal gains of nDCG."""
    scores, gains = np.array([scores]), np.array([gains])
    if measure in (recall, average_precision):
        return measure(scores, gains, np.array([other]), **options)
    if measure is ndcg:
        return measure(scores, gains, np.array([other]), **options)
    return measure(scores, gains, **options)


# (measure, scores, gains, n_relevant or ideal gains, options, [expected, optimistic, pessimistic])
CASES = {
    "recall counts what was not retrieved": (recall, CLEAR, [1, 0, 1, 0], 4, {"k": 2}, 1 / 4),
    "recall of the whole list": (recall, CLEAR, [1, 0, 1, 0], 4, {}, 2 / 4),
    "recall, split group": (recall, PART_TIED, [0, 1, 1, 0], 2, {"k": 2}, [1 / 3, 1 / 2, 0]),
    "recall, 2 of 3": (recall, PART_TIED, [0, 1, 1, 0], 2, {"k": 3}, [2 / 3, 1, 1 / 2]),
    "recall, group spared": (recall, PART_TIED, [0, 1, 1, 0], 2, {"k": 4}, 1),
    "recall, above the group": (recall, PART_TIED, [0, 1, 1, 0], 2, {"k": 1}, 0),
    "recall, short list": (recall, [0.9, 0.8], [0, 1], 2, {"k": 10}, 1 / 2),
    "recall of several": (recall, CLEAR, [1, 0, 1, 1], 3, {"k": 2}, 1 / 3),
    "hit of several": (hit, CLEAR, [1, 0, 1, 1], 0, {"k": 2}, 1),
    "hit is certain": (hit, CLEAR, [0, 0, 1, 0], 0, {"k": 3}, 1),
    "hit is impossible": (hit, CLEAR, [0, 0, 1, 0], 0, {"k": 2}, 0),
    "hit, 1 of 4 wanted, 2 drawn": (hit, ALL_TIED, [0, 0, 1, 0], 0, {"k": 2}, [2 / 4, 1, 0]),
    "hit, 2 of 4 wanted": (hit, ALL_TIED, [0, 1, 1, 0], 0, {"k": 2}, [1 - 2 / 4 / 3, 1, 0]),
    "hit, tolerance 0": (hit, [0.5, 0.5 - 1e-12], [0, 1], 0, {"k": 1}, 0),
    "hit, tolerance": (
        *(hit, [0.5, 0.5 - 1e-12], [0, 1], 0, {"k": 1, "tolerance": 1e-9}),
        [0.5, 1, 0],
    ),
    "mrr stops at the first": (mrr, CLEAR, [0, 1, 1, 0], 0, {}, 1 / 2),
    "mrr@1": (mrr, CLEAR, [0, 1, 1, 0], 0, {"k": 1}, 0),
    "mrr at 2, 3 or 4": (
        *(mrr, PART_TIED, [0, 0, 0, 1], 0, {}),
        [(1 / 2 + 1 / 3 + 1 / 4) / 3, 1 / 2, 1 / 4],
    ),
    "mrr@3 of the same": (
        *(mrr, PART_TIED, [0, 0, 0, 1], 0, {"k": 3}),
        [(1 / 2 + 1 / 3) / 3, 1 / 2, 0],
    ),
    "mrr, first of two": (
        *(mrr, PART_TIED, [0, 1, 1, 0], 0, {}),
        [(2 / 3) / 2 + (1 / 3) / 3, 1 / 2, 1 / 3],
    ),
    "mrr, min_grade": (mrr, CLEAR, [1, 2, 0, 0], 0, {"min_grade": 2}, 1 / 2),
    "mrr of negative scores": (mrr, [-0.2, -1.0], [0, 1], 0, {}, 1 / 2),
    "ndcg of all judged": (
        ndcg,
        CLEAR,
        [0, 3, 0, 1],
        [1, 3, 2],
        {},
        (3 / log2(3) + 1 / log2(5)) / BEST,
    ),
    "ndcg@2": (
        *(ndcg, CLEAR, [0, 3, 0, 1], [1, 3, 2], {"k": 2}),
        3 / log2(3) / (3 / log2(2) + 2 / log2(3)),
    ),
    "ndcg over a group": (
        *(ndcg, PART_TIED, [0, 1, 0, 3], [1, 3], {"k": 3}),
        [
            (4 / 3) * (1 / log2(3) + 1 / log2(4)) / TWO_GRADES,
            (3 / log2(3) + 1 / log2(4)) / TWO_GRADES,
            (1 / log2(4)) / TWO_GRADES,
        ],
    ),
    "ndcg, exponential": (
        *(ndcg, CLEAR, [0, 3, 0, 1], [1, 3, 2], EXP),
        (7 / log2(3) + 1 / log2(5)) / BEST_EXP,
    ),
    "ndcg, negative gain is none": (ndcg, CLEAR, [-2, 1, 0, 0], [1, -2], {}, 1 / log2(3)),
    "ndcg, short list": (
        *(ndcg, [0.9, 0.8], [0, 1], [1, 1], {"k": 10}),
        (1 / log2(3)) / (1 / log2(2) + 1 / log2(3)),
    ),
    "map of a clear list": (average_precision, CLEAR, [1, 0, 1, 1], 4, {}, (1 + 2 / 3 + 3 / 4) / 4),
    "map@3": (average_precision, CLEAR, [1, 0, 1, 1], 4, {"k": 3}, (1 + 2 / 3) / 4),
    "map over a group": (
        *(average_precision, PART_TIED, [1, 0, 1, 1], 3, {}),
        [sum(ORDERS) / 3 / 3, ORDERS[0] / 3, ORDERS[2] / 3],
    ),
    "map@3 over a group": (
        *(average_precision, PART_TIED, [1, 0, 1, 1], 3, {"k": 3}),
        [sum(CUT) / 3 / 3, CUT[0] / 3, CUT[2] / 3],
    ),
}


@pytest.mark.parametrize("shift", [0, -100.0])
@pytest.mark.parametrize("name", CASES)
def test_by_hand(name, shift):
    measure, scores, gains, other, options, expected = CASES[name]
    values = call(measure, (np.array(scores) + shift).tolist(), gains, other, **options)
    if shift and "tolerance" in name:
        return  # so far from 0 the two scores are equal
    found = [values.expected[0], values.optimistic[0], values.pessimistic[0]]
    assert found == pytest.approx(np.broadcast_to(expected, 3).tolist())


ALL = {
    "recall": partial(recall, gains=np.array([[1, 0, 1, 1]]), n_relevant=np.array([3]), k=2),
    "map": partial(average_precision, gains=np.array([[1, 0, 1, 1]]), n_relevant=np.array([3])),
    "hit": partial(hit, gains=np.array([[0, 0, 1, 1]]), k=2),
    "mrr": partial(mrr, gains=np.array([[0, 0, 1, 1]])),
    "ndcg": partial(ndcg, gains=np.array([[1, 0, 1, 1]]), ideal_gains=np.array([[1, 1, 1]]), k=2),
}


@pytest.mark.parametrize("name", ALL)
def test_groups_may_be_made_once_and_empty_ranks_hold_nothing(name):
    scores = np.array([[0.9, 0.8, 0.8 - 1e-9, 0.1]])
    groups = TieGroups(scores, tolerance=1e-6)
    assert vars(ALL[name](groups)) == vars(ALL[name](scores, tolerance=1e-6))
    empty = ALL[name](np.array([[-np.inf] * 4]))
    assert empty.optimistic == empty.expected == empty.pessimistic == 0


def test_groups_do_not_reach_into_the_next_query():
    scores, gains = np.array([[0.9, 0.5], [0.5, 0.4]]), np.array([[0, 1], [0, 1]])
    assert hit(scores, gains, k=1).optimistic.tolist() == [0, 0]


def test_tied_at_looks_at_both_sides_of_the_cut_off():
    scores = np.array([[0.9, 0.4, 0.4, 0.4], [0.9, 0.8, -np.inf, -np.inf]])
    found = [tied_at(scores, k).tolist() for k in (1, 2, 3, 4)]
    assert found == [[False, False], [True, False], [True, False], [False, False]]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_expected_measure_is_that_of_sorted_lists(k, monkeypatch):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, size=(40, 9)) / 4  # many ties
    scores[rng.random(scores.shape) < 0.3] = np.nan
    relevance = rng.integers(0, 4, size=scores.shape)
    relevance[:, 0] = 3
    order = np.argsort(-np.nan_to_num(scores, nan=-9), axis=1)
    descending = np.take_along_axis(np.nan_to_num(scores, nan=-np.inf), order, axis=1)
    gains = np.take_along_axis(relevance, order, axis=1)
    n_relevant = (relevance >= 2).sum(axis=1)
    for cells in (4_000_000, 20):
        monkeypatch.setattr("mmgap.evaluation.measures.CELLS_AT_ONCE", cells)
        np.testing.assert_allclose(
            expected_measure(scores, relevance, f"recall@{k}", min_grade=2),
            recall(descending, gains, n_relevant, k, min_grade=2).expected,
        )
        np.testing.assert_allclose(
            expected_measure(scores, relevance, f"ndcg@{k}"),
            ndcg(descending, gains, relevance, k).expected,
        )


ZEROS = np.zeros((1, 4))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: hit(np.array([[0.1, 0.2]]), np.zeros((1, 2))), "descend"),
        (lambda: hit(np.array([[0.1, np.nan]]), np.zeros((1, 2))), "NaN"),
        (lambda: hit(np.array([CLEAR]), np.zeros((1, 3))), r"gains \(1, 3\)"),
        (lambda: hit(np.array([CLEAR]), ZEROS, k=0), "k must be at least 1"),
        (lambda: hit(np.array([CLEAR]), ZEROS, min_grade=0), "min_grade must be positive"),
        (lambda: hit(np.array([CLEAR]), ZEROS, min_grade=np.nan), "min_grade must be positive"),
        (lambda: recall(np.array([CLEAR]), ZEROS, np.array([0])), "n_relevant"),
        (lambda: average_precision(np.array([CLEAR]), ZEROS, np.array([1, 1])), "n_relevant"),
        (lambda: ndcg(np.array([CLEAR]), ZEROS, np.zeros((1, 2))), "ideal_gains"),
        (lambda: ndcg(np.array([CLEAR]), ZEROS, ZEROS, gain="cubic"), "unknown gain 'cubic'"),
        (lambda: expected_measure(ZEROS, ZEROS, "map@3"), "unknown measure"),
    ],
)
def test_what_does_not_fit_is_refused(ask, words):
    with pytest.raises(MmgapError, match=words):
        ask()


@pytest.fixture
def run():
    """Two queries over four documents; the second list has one entry."""
    return Run(
        "demo",
        ["q1", "q2"],
        ["a", "b", "c", "d"],
        np.array([[2, 0, 1], [3, -1, -1]]),
        np.array([[0.3, 0.2, -0.1], [0.5, -np.inf, -np.inf]]),
    )


class Graded(dict):
    """Judgments whose lowest relevant grade is 2."""

    min_grade = 2


@pytest.mark.parametrize(
    ("qrels", "options", "expected"),
    [
        pytest.param(
            {"q1": {"a": 2, "b": 1, "elsewhere": 1}, "q2": {"d": 1, "a": 0}},
            {},
            {"recall@2": [1 / 3, 1], "hit@1": [0, 1], "mrr": [1 / 2, 1]}
            | {"ndcg@2": [(2 / log2(3)) / (2 / log2(2) + 1 / log2(3)), 1]},
            id="grades",
        ),
        pytest.param(
            {"q1": {"a": 3, "b": 1, "c": 1, "elsewhere": 1}, "q2": {"d": 1}},
            {},
            {"map": [3 / 4, 1], "AP@2": [2 / 4, 1], "ndcg_exp@1": [1 / 7, 1], "RR": [1, 1]}
            | {"ndcg_burges@1": [1 / 7, 1], "nDCG@1": [1 / 3, 1], "success@1": [1, 1]},
            id="all-names",
        ),
        pytest.param(
            {"q1": {"a": 3, "b": 2, "c": 1}, "q2": {"d": 3}},
            {"min_grade": 2},
            {"map": [(1 / 2 + 2 / 3) / 2, 1]}
            | {"ndcg_exp": [(1 + 7 / log2(3) + 3 / log2(4)) / (7 + 3 / log2(3) + 1 / log2(4)), 1]},
            id="min-grade",
        ),
        pytest.param(
            Graded({"q1": {"c": 1, "a": 2}, "q2": {"d": 2}}), {}, {"mrr": [1 / 2, 1]}, id="its-own"
        ),
        pytest.param(
            Graded({"q1": {"c": 1, "a": 2}, "q2": {"d": 2}}),
            {"min_grade": 1},
            {"mrr": [1, 1]},
            id="another",
        ),
        pytest.param(
            {"q1": {"elsewhere": 1}, "q2": {"a": 1}}, {}, {"map": [0, 0]}, id="outside-the-lists"
        ),
    ],
)
def test_evaluate(run, qrels, options, expected):
    values = evaluate(run, qrels, list(expected), **options)["expected"]
    assert values.index.tolist() == ["q1", "q2"]
    assert values.to_dict("list") == {name: pytest.approx(row) for name, row in expected.items()}


@pytest.mark.parametrize("qrels", [{"q1": {"a": 1}}, {"q1": {"a": 1}, "q2": {"d": 0}}])
def test_evaluate_names_the_query_that_cannot_be_measured(run, qrels):
    with pytest.raises(MmgapError, match="query 'q2' has no relevant document"):
        evaluate(run, qrels)


def test_evaluate_refuses_a_document_listed_twice():
    run = Run("twice", ["q"], ["a"], np.array([[0, 0]]), np.array([[0.2, 0.1]]))
    with pytest.raises(MmgapError, match="lists a document twice for query 'q'"):
        evaluate(run, {"q": {"a": 1}})


def test_an_empty_rank_is_no_document_of_another_query():
    run = Run("odd", ["q1", "q2"], ["a", "b"], np.array([[0], [-1]]), np.array([[0.9], [0.5]]))
    assert evaluate(run, {"q1": {"b": 1}, "q2": {"a": 1}}, ["mrr"])["expected"]["mrr"].sum() == 0


def test_evaluate_of_a_run_that_found_nothing():
    run = Run("empty", ["q"], ["a"], np.array([[-1]]), np.array([[-np.inf]]))
    assert (evaluate(run, {"q": {"a": 1}}) == 0).all(axis=None)
