"""Measures on lists small enough to work out by hand."""

from math import log2

import numpy as np
import pytest

from mmgap.evaluation import (
    Run,
    TieGroups,
    average_precision,
    evaluate,
    hit,
    mrr,
    ndcg,
    parse_measure,
    recall,
    tied_at,
)

CLEAR = np.array([[0.9, 0.8, 0.7, 0.6]])
ALL_TIED = np.full((1, 4), 0.5)
# Place 1 is clear; places 2 to 4 are tied.
PART_TIED = np.array([[0.9, 0.4, 0.4, 0.4]])


def triple(values):
    return [values.expected[0], values.optimistic[0], values.pessimistic[0]]


def test_recall_counts_relevant_documents_that_were_not_retrieved():
    gains = np.array([[1, 0, 1, 0]])
    assert triple(recall(CLEAR, gains, np.array([4]), k=2)) == [1 / 4] * 3
    assert triple(recall(CLEAR, gains, np.array([4]))) == [2 / 4] * 3


def test_recall_of_a_group_that_the_cut_off_splits():
    gains = np.array([[0, 1, 1, 0]])
    values = recall(PART_TIED, gains, np.array([2]), k=2)
    assert triple(values) == pytest.approx([(2 / 3) / 2, 1 / 2, 0])
    values = recall(PART_TIED, gains, np.array([2]), k=3)
    assert triple(values) == pytest.approx([(2 * 2 / 3) / 2, 1, 1 / 2])


def test_ties_do_not_matter_where_the_cut_off_spares_the_group():
    gains = np.array([[0, 1, 1, 0]])
    assert triple(recall(PART_TIED, gains, np.array([2]), k=4)) == pytest.approx([1, 1, 1])
    assert triple(recall(PART_TIED, gains, np.array([2]), k=1)) == [0, 0, 0]


def test_hit_is_certain_impossible_or_drawn_without_replacement():
    assert triple(hit(CLEAR, np.array([[0, 0, 1, 0]]), k=3)) == [1, 1, 1]
    assert triple(hit(CLEAR, np.array([[0, 0, 1, 0]]), k=2)) == [0, 0, 0]
    # One of 4 tied documents is wanted, 2 are drawn; then 2 of 4 are wanted.
    assert triple(hit(ALL_TIED, np.array([[0, 0, 1, 0]]), k=2)) == pytest.approx([2 / 4, 1, 0])
    missed = (2 / 4) * (1 / 3)
    assert triple(hit(ALL_TIED, np.array([[0, 1, 1, 0]]), k=2)) == pytest.approx([1 - missed, 1, 0])


def test_mrr_of_a_clear_list_stops_at_the_first():
    gains = np.array([[0, 1, 1, 0]])
    assert triple(mrr(CLEAR, gains)) == [1 / 2] * 3
    assert triple(mrr(CLEAR, gains, k=1)) == [0, 0, 0]


def test_mrr_over_a_tied_group():
    # Relevant in place 2, 3 or 4 with equal chance.
    expected = (1 / 2 + 1 / 3 + 1 / 4) / 3
    assert triple(mrr(PART_TIED, np.array([[0, 0, 0, 1]]))) == pytest.approx(
        [expected, 1 / 2, 1 / 4]
    )
    cut = (1 / 2 + 1 / 3 + 0) / 3
    assert triple(mrr(PART_TIED, np.array([[0, 0, 0, 1]]), k=3)) == pytest.approx([cut, 1 / 2, 0])
    # Two of three relevant: the first of them is in place 2 (chance 2/3) or 3.
    expected = (2 / 3) / 2 + (1 / 3) / 3
    assert triple(mrr(PART_TIED, np.array([[0, 1, 1, 0]]))) == pytest.approx(
        [expected, 1 / 2, 1 / 3]
    )


def test_ndcg_discounts_linear_gains_against_all_judged_documents():
    gains, ideal = np.array([[0, 3, 0, 1]]), np.array([[1, 3, 2]])
    best = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert triple(ndcg(CLEAR, gains, ideal)) == pytest.approx(
        [(3 / log2(3) + 1 / log2(5)) / best] * 3
    )
    best_of_two = 3 / log2(2) + 2 / log2(3)
    assert triple(ndcg(CLEAR, gains, ideal, k=2)) == pytest.approx([3 / log2(3) / best_of_two] * 3)


def test_ndcg_over_a_tied_group_uses_grades():
    gains = np.array([[0, 1, 0, 3]])
    best = 3 / log2(2) + 1 / log2(3)
    expected = (4 / 3) * (1 / log2(3) + 1 / log2(4)) / best
    optimistic = (3 / log2(3) + 1 / log2(4)) / best
    pessimistic = (0 / log2(3) + 1 / log2(4)) / best
    assert triple(ndcg(PART_TIED, gains, np.array([[1, 3]]), k=3)) == pytest.approx(
        [expected, optimistic, pessimistic]
    )


def test_average_precision_of_a_clear_list():
    gains = np.array([[1, 0, 1, 1]])
    assert triple(average_precision(CLEAR, gains, np.array([4]))) == pytest.approx(
        [(1 / 1 + 2 / 3 + 3 / 4) / 4] * 3
    )
    assert triple(average_precision(CLEAR, gains, np.array([4]), k=3)) == pytest.approx(
        [(1 / 1 + 2 / 3) / 4] * 3
    )


def test_average_precision_over_a_tied_group():
    # Place 1 is relevant. Of the tied places 2 to 4, two are: three pairs, equally likely.
    gains = np.array([[1, 0, 1, 1]])
    orders = [1 + 2 / 2 + 3 / 3, 1 + 2 / 2 + 3 / 4, 1 + 2 / 3 + 3 / 4]
    assert triple(average_precision(PART_TIED, gains, np.array([3]))) == pytest.approx(
        [sum(orders) / 3 / 3, orders[0] / 3, orders[2] / 3]
    )
    cut = [1 + 2 / 2 + 3 / 3, 1 + 2 / 2, 1 + 2 / 3]
    assert triple(average_precision(PART_TIED, gains, np.array([3]), k=3)) == pytest.approx(
        [sum(cut) / 3 / 3, cut[0] / 3, cut[2] / 3]
    )


def test_exponential_gain():
    gains, ideal = np.array([[0, 3, 0, 1]]), np.array([[1, 3, 2]])
    best = 7 / log2(2) + 3 / log2(3) + 1 / log2(4)
    assert triple(ndcg(CLEAR, gains, ideal, gain="exponential")) == pytest.approx(
        [(7 / log2(3) + 1 / log2(5)) / best] * 3
    )
    binary = np.array([[0, 1, 0, 1]])
    assert triple(ndcg(PART_TIED, binary, binary, gain="exponential")) == pytest.approx(
        triple(ndcg(PART_TIED, binary, binary))
    )
    with pytest.raises(ValueError, match="unknown gain 'cubic'"):
        ndcg(CLEAR, gains, ideal, gain="cubic")


def test_groups_may_be_made_once():
    gains, scores = np.array([[1, 0, 1, 1]]), np.array([[0.9, 0.8, 0.8 - 1e-9, 0.1]])
    groups = TieGroups(scores, tolerance=1e-6)
    for measure in (
        lambda scores, **ties: recall(scores, gains, np.array([3]), 2, **ties),
        lambda scores, **ties: average_precision(scores, gains, np.array([3]), **ties),
        lambda scores, **ties: hit(scores, gains, 2, **ties),
        lambda scores, **ties: mrr(scores, gains, **ties),
        lambda scores, **ties: ndcg(scores, gains, gains, 2, **ties),
    ):
        assert triple(measure(groups)) == triple(measure(scores, tolerance=1e-6))
    assert tied_at(groups, 2).tolist() == [True]


def test_the_two_recalls_differ_where_several_documents_are_relevant():
    gains = np.array([[1, 0, 1, 1]])
    assert recall(CLEAR, gains, np.array([3]), k=2).expected[0] == pytest.approx(1 / 3)
    assert hit(CLEAR, gains, k=2).expected[0] == 1
    alone = np.array([[0, 1, 0, 0]])
    for scores in (CLEAR, PART_TIED):
        found = triple(recall(scores, alone, np.array([1]), k=2))
        assert found == pytest.approx(triple(hit(scores, alone, k=2)))


def test_ndcg_counts_a_negative_gain_as_none():
    scores, ideal = CLEAR, np.array([[1, -2]])
    assert triple(ndcg(scores, np.array([[-2, 1, 0, 0]]), ideal)) == pytest.approx(
        [1 / log2(3)] * 3
    )


@pytest.mark.parametrize("shift", [-1.0, -100.0])
def test_negative_scores_change_nothing(shift):
    gains = np.array([[0, 1, 2, 0]])
    for scores in (CLEAR, PART_TIED):
        for measure in (
            lambda scores: recall(scores, gains, np.array([2]), k=2),
            lambda scores: hit(scores, gains, k=2),
            lambda scores: mrr(scores, gains),
            lambda scores: ndcg(scores, gains, gains, k=2),
            lambda scores: average_precision(scores, gains, np.array([2])),
        ):
            assert triple(measure(scores + shift)) == triple(measure(scores))


def test_minus_one_is_a_score_and_not_an_empty_place():
    assert mrr(np.array([[-0.2, -1.0]]), np.array([[0, 1]])).expected[0] == 1 / 2


def test_empty_places_hold_nothing_whatever_their_gain_says():
    scores = np.array([[0.9, -np.inf, -np.inf]])
    gains = np.array([[0, 1, 1]])
    assert triple(recall(scores, gains, np.array([2]), k=3)) == [0, 0, 0]
    assert triple(hit(scores, gains)) == [0, 0, 0]
    assert triple(mrr(scores, gains)) == [0, 0, 0]
    assert triple(ndcg(scores, gains, gains)) == [0, 0, 0]
    assert triple(average_precision(scores, gains, np.array([2]))) == [0, 0, 0]


def test_lists_shorter_than_the_cut_off():
    gains = np.array([[0, 1]])
    scores = np.array([[0.9, 0.8]])
    assert triple(recall(scores, gains, np.array([2]), k=10)) == [1 / 2] * 3
    assert triple(ndcg(scores, gains, np.array([[1, 1]]), k=10)) == pytest.approx(
        [(1 / log2(3)) / (1 / log2(2) + 1 / log2(3))] * 3
    )


def test_groups_do_not_reach_into_the_next_query():
    scores = np.array([[0.9, 0.5], [0.5, 0.4]])
    gains = np.array([[0, 1], [0, 1]])
    assert hit(scores, gains, k=1).optimistic.tolist() == [0, 0]


def test_tolerance_joins_neighbours():
    scores, gains = np.array([[0.5, 0.5 - 1e-12]]), np.array([[0, 1]])
    assert triple(hit(scores, gains, k=1)) == [0, 0, 0]
    assert triple(hit(scores, gains, k=1, tolerance=1e-9)) == [0.5, 1, 0]


def test_min_grade_decides_who_is_relevant():
    gains = np.array([[1, 2, 0, 0]])
    assert mrr(CLEAR, gains, min_grade=1).expected[0] == 1
    assert mrr(CLEAR, gains, min_grade=2).expected[0] == 1 / 2


def test_tied_at_looks_at_both_sides_of_the_cut_off():
    scores = np.array([[0.9, 0.4, 0.4, 0.4], [0.9, 0.8, -np.inf, -np.inf]])
    assert [tied_at(scores, k).tolist() for k in (1, 2, 3, 4)] == [
        [False, False],
        [True, False],
        [True, False],
        [False, False],
    ]


def test_scores_must_descend_and_be_numbers():
    with pytest.raises(ValueError, match="descend"):
        hit(np.array([[0.1, 0.2]]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="NaN"):
        hit(np.array([[0.1, np.nan]]), np.zeros((1, 2)))


def test_shapes_cut_offs_and_grades_are_checked():
    with pytest.raises(ValueError, match=r"gains \(1, 3\)"):
        hit(CLEAR, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="k must be at least 1"):
        hit(CLEAR, np.zeros((1, 4)), k=0)
    with pytest.raises(ValueError, match="min_grade must be positive"):
        hit(CLEAR, np.zeros((1, 4)), min_grade=0)
    with pytest.raises(ValueError, match="n_relevant"):
        recall(CLEAR, np.zeros((1, 4)), np.array([0]))
    with pytest.raises(ValueError, match="n_relevant"):
        average_precision(CLEAR, np.zeros((1, 4)), np.array([1, 1]))
    with pytest.raises(ValueError, match="ideal_gains"):
        ndcg(CLEAR, np.zeros((1, 4)), np.zeros((1, 2)))


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


def test_evaluate_gathers_grades(run):
    qrels = {"q1": {"a": 2, "b": 1, "elsewhere": 1}, "q2": {"d": 1, "a": 0}}
    values = evaluate(run, qrels, ["recall@2", "hit@1", "mrr", "ndcg@2"])["expected"]
    assert values.index.tolist() == ["q1", "q2"]
    assert values["recall@2"].tolist() == [1 / 3, 1]
    assert values["hit@1"].tolist() == [0, 1]
    assert values["mrr"].tolist() == [1 / 2, 1]
    best = 2 / log2(2) + 1 / log2(3)
    assert values["ndcg@2"].tolist() == pytest.approx([(2 / log2(3)) / best, 1])


def test_evaluate_knows_all_measures_by_all_their_names(run):
    qrels = {"q1": {"a": 3, "b": 1, "c": 1, "elsewhere": 1}, "q2": {"d": 1}}
    names = {
        "map": (1 / 1 + 2 / 2 + 3 / 3) / 4,
        "AP@2": (1 / 1 + 2 / 2) / 4,
        "ndcg_exp@1": 1 / 7,
        "ndcg_burges@1": 1 / 7,
        "nDCG@1": 1 / 3,
        "RR": 1,
        "success@1": 1,
        "hit_rate@1": 1,
    }
    values = evaluate(run, qrels, list(names))["expected"]
    assert values.loc["q1"].to_dict() == pytest.approx(names)


def test_evaluate_applies_the_threshold_to_map(run):
    qrels = {"q1": {"a": 3, "b": 2, "c": 1}, "q2": {"d": 3}}
    values = evaluate(run, qrels, ["map", "ndcg_exp"], min_grade=2)["expected"]
    assert values["map"].tolist() == pytest.approx([(1 / 2 + 2 / 3) / 2, 1])
    assert values["ndcg_exp"]["q1"] == pytest.approx(
        (1 + 7 / log2(3) + 3 / log2(4)) / (7 + 3 / log2(3) + 1 / log2(4))
    )


def test_evaluate_reads_min_grade_from_the_judgments(run):
    class Graded(dict):
        min_grade = 2

    qrels = Graded({"q1": {"c": 1, "a": 2}, "q2": {"d": 2}})
    assert evaluate(run, qrels, ["mrr"])["expected"]["mrr"].tolist() == [1 / 2, 1]
    assert evaluate(run, qrels, ["mrr"], min_grade=1)["expected"]["mrr"].tolist() == [1, 1]


@pytest.mark.parametrize("qrels", [{"q1": {"a": 1}}, {"q1": {"a": 1}, "q2": {"d": 0}}])
def test_evaluate_names_the_query_that_cannot_be_measured(run, qrels):
    with pytest.raises(ValueError, match="query 'q2' has no relevant document"):
        evaluate(run, qrels)


def test_evaluate_refuses_a_document_listed_twice():
    run = Run("twice", ["q"], ["a"], np.array([[0, 0]]), np.array([[0.2, 0.1]]))
    with pytest.raises(ValueError, match="lists a document twice for query 'q'"):
        evaluate(run, {"q": {"a": 1}})


def test_evaluate_of_a_run_that_found_nothing():
    run = Run("empty", ["q"], ["a"], np.array([[-1]]), np.array([[-np.inf]]))
    assert (evaluate(run, {"q": {"a": 1}}) == 0).all(axis=None)


def test_an_empty_place_is_no_document_of_another_query():
    run = Run("odd", ["q1", "q2"], ["a", "b"], np.array([[0], [-1]]), np.array([[0.9], [0.5]]))
    assert evaluate(run, {"q1": {"b": 1}, "q2": {"a": 1}}, ["mrr"])["expected"]["mrr"].sum() == 0


def test_relevant_documents_outside_the_pool_are_missed():
    run = Run("small", ["q"], ["a"], np.array([[0]]), np.array([[0.5]]))
    assert (evaluate(run, {"q": {"elsewhere": 1}}) == 0).all(axis=None)


@pytest.mark.parametrize("measure", ["precision@10", "recall@", "recall@0", "ndcg@ten", "mrr@-1"])
def test_unknown_measures_are_refused(measure):
    with pytest.raises(ValueError, match="unknown measure"):
        parse_measure(measure)
