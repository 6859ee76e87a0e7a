"""Whether ties decide a result is found and said."""

import warnings

import numpy as np
import pytest

from mmgap.evaluation.measures import OverTies, recall
from mmgap.evaluation.tie_detector import TieWarning, decided_by_ties, detect_ties

NAN = np.nan


def test_share_counts_queries_whose_cut_off_is_tied():
    scores = np.array(
        [
            [0.5, 0.9, 0.5, 0.1],  # places 2 and 3 tie
            [0.5, 0.9, 0.4, 0.1],  # no tie
            [0.9, 0.9, 0.4, 0.1],  # tie above the cut-off: the set is fixed
            [0.9, 0.8, 0.1, 0.1],  # tie below it
            [0.9, 0.5, NAN, NAN],  # list ends at the cut-off
        ]
    )
    assert decided_by_ties(scores, k=2) == pytest.approx(1 / 5)
    assert decided_by_ties(scores, k=1) == pytest.approx(1 / 5)
    assert decided_by_ties(scores, k=3) == pytest.approx(1 / 5)
    assert decided_by_ties(scores, k=4) == 0


def test_order_of_columns_and_increasing_maps_change_nothing():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, size=(50, 8)) / 4
    scores[rng.random(scores.shape) < 0.2] = NAN
    share = decided_by_ties(scores, k=3)
    assert 0 < share < 1
    assert decided_by_ties(scores[:, ::-1], k=3) == share
    assert decided_by_ties(np.exp(scores), k=3) == share


def test_tolerance():
    scores = np.array([[0.5, 0.5 + 1e-9, 0.1]])
    assert decided_by_ties(scores, k=1) == 0
    assert decided_by_ties(scores, k=1, tolerance=1e-8) == 1


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 3))])
def test_shape_is_checked(scores):
    with pytest.raises(ValueError, match="at least one query"):
        decided_by_ties(scores)


def over(expected, optimistic, pessimistic):
    return OverTies(
        *(np.array(values, dtype=float) for values in (expected, optimistic, pessimistic))
    )


UNTIED = np.array([[0.9, 0.1], [0.9, 0.1]])
TIED = np.array([[0.5, 0.5], [0.9, 0.1]])


def test_all_is_well():
    values = over([1, 0], [1, 0], [1, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = detect_ties("mean", UNTIED, values, {"image": over([1, 0], [1, 0], [1, 0])}, k=1)
    assert report.messages() == []
    assert (report.tied_share, report.ceiling, report.ceiling_leg) == (0, 0.5, "image")
    assert report.n_above == 0


def test_ties_that_decide_are_said():
    with pytest.warns(TieWarning, match=r"RRF: for 50% of the queries .* 0.000 and 0.500, 0.250"):
        report = detect_ties("RRF", TIED, over([0.5, 0], [1, 0], [0, 0]), k=1)
    assert report.decided_by_ties
    assert np.isnan(report.ceiling)
    assert not report.above_ceiling


def test_share_that_is_let_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = detect_ties("RRF", TIED, over([0, 0], [0, 0], [0, 0]), k=1, max_share=0.5)
    assert report.tied_share == 0.5
    assert not report.decided_by_ties


def test_optimism_above_the_ceiling_is_said():
    legs = {"text": over([0, 0], [0, 0], [0, 0]), "image": over([0.5, 0], [1, 0], [0, 0])}
    with pytest.warns(
        TieWarning, match=r"optimistic value 1.000 .*\(image, 0.250\).* 0.200 is not"
    ):
        report = detect_ties("DBSF", UNTIED, over([0.2, 0.2], [1, 1], [0, 0]), legs, k=1)
    assert report.above_ceiling
    assert report.n_above == 2


def test_a_method_that_expects_more_than_the_ceiling_has_earned_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = detect_ties("sum", UNTIED, over([1, 1], [1, 1], [1, 1]),
                             {"image": over([1, 0], [1, 0], [1, 0])}, k=1)  # fmt: skip
    assert not report.above_ceiling
    assert report.n_above == 1


def test_queries_must_agree():
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        detect_ties("sum", UNTIED, over([1], [1], [1]), k=1)


def test_clipping_ties_lift_the_optimistic_score_over_the_single_leg():
    """Two outliers clipped to the same score: luck alone puts the relevant one first."""
    clipped = np.array([[1.0, 1.0, 0.4]])
    values = recall(clipped, np.array([[0, 1, 0]]), np.array([1]), k=1)
    alone = recall(np.array([[0.95, 0.9, 0.4]]), np.array([[0, 1, 0]]), np.array([1]), k=1)
    with pytest.warns(TieWarning) as said:
        report = detect_ties("DBSF", clipped, values, {"image": alone}, k=1)
    assert report.decided_by_ties
    assert report.optimistic == 1
    assert report.ceiling == 0
    assert report.n_above == 1
    assert len(said) == 1  # expected 0.5 is above the ceiling of 0: earned on average
