"""Curves of precision, recall and false positives over a threshold, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from mmgap.scores import find_threshold
from mmgap.scores.thresholds import threshold_curve


def judged(seed=0, n_query=30, n_doc=8):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=(n_query, n_doc)), 1)
    good = rng.uniform(size=scores.shape) < 1 / (1 + np.exp(-scores))
    scores[0, :3] = np.nan
    return scores, good


def test_curve_agrees_with_sklearn():
    scores, good = judged()
    table = threshold_curve(scores, good, n_points=1000, n_resamples=10)
    there = ~np.isnan(scores)
    precision, recall, at = precision_recall_curve(good[there], scores[there])
    wide = table.pivot(index="threshold", columns="measure", values="value")
    np.testing.assert_allclose(wide.index, at)
    np.testing.assert_allclose(wide["precision"], precision[:-1])
    np.testing.assert_allclose(wide["recall"], recall[:-1])
    false = [(scores[there & ~good] >= value).mean() for value in at]
    np.testing.assert_allclose(wide["false positive rate"], false)
    accepted = table[table["measure"] == "recall"]["n_accepted"]
    np.testing.assert_array_equal(accepted, [(scores[there] >= value).sum() for value in at])


def test_few_points_are_scores_from_the_lowest_to_the_highest():
    scores, good = judged()
    table = threshold_curve(scores, good, n_points=7, n_resamples=10)
    at = table["threshold"].unique()
    assert len(at) <= 7
    assert set(at) <= set(scores[~np.isnan(scores)])
    assert (at[0], at[-1]) == (np.nanmin(scores), np.nanmax(scores))
    assert (table["ci_low"] <= table["ci_high"]).all()
    accepted = table[table["measure"] == "recall"]["n_accepted"]
    np.testing.assert_array_equal(accepted, [(scores >= value).sum() for value in at])


def test_intervals_resample_whole_queries():
    """Ten equal pairs in each query: the interval is that of a tenth of the pairs."""
    good = np.repeat(np.arange(40)[:, None] % 2 == 0, 10, axis=1)
    table = threshold_curve(np.ones(good.shape), good, n_resamples=4000)
    row = table[table["measure"] == "precision"].iloc[0]
    half = 1.96 * np.sqrt(0.25 / 40)
    np.testing.assert_allclose([row["ci_low"], row["ci_high"]], [0.5 - half, 0.5 + half], atol=0.03)


def test_curve_passes_through_a_found_threshold():
    scores, good = judged(n_query=200)
    found = find_threshold(scores, good, precision=0.7, n_resamples=0)
    table = threshold_curve(scores, good, n_points=1000, n_resamples=10)
    row = table[(table["threshold"] == found.value) & (table["measure"] == "precision")]
    assert np.isclose(row["value"].item(), found.estimate)


@pytest.mark.parametrize(
    ("good", "options", "message"),
    [
        (np.ones((30, 8), dtype=bool), {}, "237 of the 237 are relevant"),
        (judged()[1], {"level": 1.0}, "level must lie between 0 and 1"),
        (judged()[1][:5], {}, "must have one shape"),
    ],
)
def test_curve_refuses_what_it_cannot_measure(good, options, message):
    with pytest.raises(ValueError, match=message):
        threshold_curve(judged()[0], good, **options)
