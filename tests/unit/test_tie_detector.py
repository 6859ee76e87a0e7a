"""Whether ties decide a result is found and said."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mmgap.evaluation import (
    OverTies,
    Run,
    TieWarning,
    decided_by_ties,
    detect_ties,
    detect_ties_in_runs,
    detect_ties_in_table,
    recall,
    recall_table,
)

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
        report = detect_ties(
            "DBSF", UNTIED, over([0.2, 0.2], [1, 1], [0, 0]), legs, k=1, max_share=1
        )
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


QRELS = {"q1": {"b": 1}, "q2": {"a": 1}}
IMAGE = Run.from_dict("image leg", {"q1": {"a": 0.9, "b": 0.8}, "q2": {"a": 0.9, "b": 0.1}})
TEXT = Run.from_dict("text leg", {"q2": {"b": 0.9, "a": 0.1}, "q1": {"a": 0.9, "b": 0.8}})
ALL_TIED = Run.from_dict("RRF", {"q1": {"a": 0.5, "b": 0.5}, "q2": {"a": 0.5, "b": 0.5}})
LEGS = ["text leg", "image leg"]


def test_runs_are_measured_and_compared_with_their_legs():
    with pytest.warns(TieWarning) as said:
        reports = detect_ties_in_runs([IMAGE, TEXT, ALL_TIED], QRELS, LEGS, measure="recall@1")
    assert [report.name for report in reports] == ["image leg", "text leg", "RRF"]
    merged = reports[2]
    assert merged.tied_share == decided_by_ties(ALL_TIED, k=1) == 1
    assert (merged.pessimistic, merged.expected, merged.optimistic) == (0, 1 / 2, 1)
    assert (merged.ceiling, merged.ceiling_leg) == (1 / 2, "image leg")
    assert merged.n_above == 1  # query 1, which no leg answers
    assert merged.decided_by_ties
    assert merged.above_ceiling
    assert np.isnan(reports[0].ceiling)
    assert [str(warning.message).split(":")[0] for warning in said] == ["RRF, recall@1"] * 2
    assert said[0].filename == __file__


def test_a_table_says_what_its_runs_say():
    runs = [IMAGE, TEXT, ALL_TIED]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the table itself is quiet
        table = recall_table(runs, QRELS, k=1, measures=["recall@1", "mrr"])
    with pytest.warns(TieWarning):
        of_table = detect_ties_in_table(table, LEGS)
    assert [report.measure for report in of_table] == ["recall@1", "mrr"] * 3
    for measure in ("recall@1", "mrr"):
        with pytest.warns(TieWarning):
            of_runs = detect_ties_in_runs(runs, QRELS, LEGS, measure=measure)
        picked = [report for report in of_table if report.measure == measure]
        for one, other in zip(picked, of_runs, strict=True):
            if measure == "recall@1":  # of mrr the table looks for ties at its k, runs at 10
                assert one.messages() == other.messages()
            assert (one.decided_by_ties, one.above_ceiling) == (
                other.decided_by_ties,
                other.above_ceiling,
            )


def test_each_group_has_its_own_ceiling():
    by = pd.Series(["hard", "easy"], index=["q1", "q2"], name="kind")
    table = recall_table([IMAGE, TEXT, ALL_TIED], QRELS, measures=["recall@1"], by=by)
    with pytest.warns(TieWarning):
        reports = {report.name: report for report in detect_ties_in_table(table, LEGS)}
    assert reports["RRF, kind hard"].ceiling == 0
    assert reports["RRF, kind easy"].ceiling == 1
    assert not reports["RRF, kind hard"].above_ceiling  # 0.5 is expected there: earned
    assert not reports["RRF, kind easy"].above_ceiling  # 1 is not above 1


def test_ties_above_the_cut_off_decide_what_feels_them():
    """Both documents are among the first two whatever their order, but their places are open."""
    run = Run.from_dict("tied", {"q": {"a": 0.5, "b": 0.5, "c": 0.1}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (quiet,) = detect_ties_in_runs([run], {"q": {"a": 1}}, measure="recall@2")
    assert quiet.tied_share == 0
    with pytest.warns(
        TieWarning, match=r"tied, mrr@2: .* above the cut-off are tied.* 0\.500 and 1\.000, 0\.750"
    ):
        (report,) = detect_ties_in_runs([run], {"q": {"a": 1}}, measure="mrr@2")
    assert report.decided_by_ties


def test_unknown_legs_and_other_queries_are_refused():
    with pytest.raises(ValueError, match="no leg is named 'image'; there are 'image leg', 'RRF'"):
        detect_ties_in_runs([IMAGE, ALL_TIED], QRELS, ["image"])
    table = recall_table([IMAGE, ALL_TIED], QRELS)
    with pytest.raises(ValueError, match="no leg is named 'image'"):
        detect_ties_in_table(table, ["image"])
    few = Run.from_dict("few", {"q1": {"a": 0.5}})
    with pytest.raises(ValueError, match="same queries"):
        detect_ties_in_runs([IMAGE, few], QRELS)


def test_scores_may_be_a_run():
    values = over([0.5, 0.5], [1, 1], [0, 0])
    with pytest.warns(TieWarning, match="for 100%"):
        report = detect_ties("RRF", ALL_TIED, values, k=1)
    assert report.tied_share == 1
