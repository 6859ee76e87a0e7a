"""Merged hits, cured scores and threshold curves against brute force and by hand."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from mmgap.scores import find_threshold
from mmgap.scores.calibrate import CALIBRATORS, fit_legs
from mmgap.scores.normalise import NORMALISERS, ZScoreNormaliser
from mmgap.scores.thresholds import threshold_curve
from mmgap.strategies.cured_scores import cure_scores
from mmgap.strategies.merged_hits import judge_merged_hits

# --- merged hits ----------------------------------------------------------------------------------


def over_all_orders(scores, good, is_text, k, n_relevant):
    """Recall@k and share of texts of every order that the scores allow."""
    recalls, shares = [], []
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            first = list(order)[:k]
            recalls.append(good[first].sum() / n_relevant)
            shares.append(is_text[first].mean())
    return np.array(recalls), np.array(shares)


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_merged_hits_agree_with_all_orders_of_ties(k):
    rng = np.random.default_rng(0)
    text, image = rng.integers(0, 3, (30, 3)) / 4, rng.integers(0, 3, (30, 4)) / 4
    good = {
        "text": rng.uniform(size=text.shape) < 0.4,
        "image": rng.uniform(size=image.shape) < 0.4,
    }
    good["text"][:, 0] = True
    image[3, 1] = image[4, :2] = np.nan
    table = judge_merged_hits({"text": text, "image": image}, good, k)
    tied = 0
    for row in range(len(text)):
        scores = np.concatenate([text[row], image[row]])
        there = ~np.isnan(scores)
        labels = np.concatenate([good["text"][row], good["image"][row]])
        n_relevant, labels = labels.sum(), labels[there]
        is_text = (np.arange(7) < 3)[there]
        recalls, shares = over_all_orders(scores[there], labels, is_text, k, n_relevant)
        found = table.iloc[row]
        assert np.isclose(found["expected"], recalls.mean())
        assert np.isclose(found["optimistic"], recalls.max())
        assert np.isclose(found["pessimistic"], recalls.min())
        assert np.isclose(found["share text"], shares.mean())
        assert np.isclose(found["share image"], 1 - shares.mean())
        ordered = np.sort(scores[there])[::-1]
        assert found["tied"] == (k < len(ordered) and ordered[k - 1] == ordered[k])
        tied += found["tied"]
    assert (tied > 0) == (k < 10)


def test_scores_within_the_tolerance_are_tied():
    scores, good = {"one": np.array([[0.3, 0.1 + 0.2]])}, {"one": np.array([[True, False]])}
    assert scores["one"][0, 0] != scores["one"][0, 1]
    assert judge_merged_hits(scores, good, 1)["expected"].tolist() == [0.5]
    assert judge_merged_hits(scores, good, 1, tolerance=0)["expected"].tolist() == [0.0]


def test_scores_just_above_the_cut_off_are_tied_with_it():
    scores, good = (
        {"one": np.array([[0.1 + 0.2, 0.3, 0.3]])},
        {"one": np.array([[True, False, False]])},
    )
    assert np.isclose(judge_merged_hits(scores, good, 2)["expected"][0], 2 / 3)
    assert judge_merged_hits(scores, good, 2, tolerance=0)["expected"].tolist() == [1.0]


def test_what_was_not_retrieved_counts_as_not_found():
    scores = {"one": np.array([[0.1, np.nan], [np.nan, np.nan]])}
    table = judge_merged_hits(scores, {"one": np.full((2, 2), True)}, 2)
    assert table["expected"].tolist() == [0.5, 0.0]
    assert table["share one"].isna().tolist() == [False, True]


def test_a_query_without_relevant_hit_has_no_recall():
    table = judge_merged_hits({"one": np.eye(2)}, {"one": np.array([[False] * 2, [True] * 2])}, 1)
    assert table["expected"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("scores", "relevant", "k", "message"),
    [
        ({"a": np.ones((2, 3))}, {"a": np.ones((2, 2))}, 1, "same legs"),
        ({"a": np.ones((2, 3)), "b": np.ones((1, 3))}, None, 1, "one number of queries"),
        ({"a": np.ones(3)}, None, 1, "each as"),
        ({"a": np.ones((2, 3))}, None, 0, "k must be at least 1"),
    ],
)
def test_merged_hits_refuse_what_does_not_fit(scores, relevant, k, message):
    with pytest.raises(ValueError, match=message):
        judge_merged_hits(scores, scores if relevant is None else relevant, k)


# --- cured scores ---------------------------------------------------------------------------------


def legs(seed, n_query=12, n_doc=9):
    rng = np.random.default_rng(seed)
    return {"text": rng.normal(2, 1, (n_query, n_doc)), "image": rng.normal(0, 3, (n_query, n_doc))}


def test_a_cure_is_fitted_on_what_its_kind_asks_for():
    scores, bank, good = legs(0), legs(1), legs(2)["text"] > 2
    by_list = cure_scores(NORMALISERS["z"], scores, bank)
    by_bank = cure_scores(NORMALISERS["reference z"], scores, bank)
    for leg in scores:
        mean, sd = scores[leg].mean(1, keepdims=True), scores[leg].std(1, keepdims=True)
        np.testing.assert_allclose(by_list[leg], (scores[leg] - mean) / sd)
        np.testing.assert_allclose(by_bank[leg], (scores[leg] - bank[leg].mean()) / bank[leg].std())
    calibrated = cure_scores(CALIBRATORS["platt"], scores, bank, good)
    wanted = fit_legs(CALIBRATORS["platt"], bank, dict.fromkeys(bank, good))
    for leg in scores:
        np.testing.assert_allclose(calibrated[leg], wanted[leg].transform(scores[leg]))


def test_no_cure_leaves_scores_and_no_estimator_is_changed():
    scores = {leg: values.astype(np.float32) for leg, values in legs(0).items()}
    assert cure_scores(None, scores, {})["text"].dtype == np.float64
    cure = ZScoreNormaliser(reference="calibration")
    cure_scores(cure, scores, legs(1))
    assert not hasattr(cure, "offset_")


def test_a_calibrator_needs_judgments():
    with pytest.raises(ValueError, match="PlattCalibrator learns from judgments"):
        cure_scores(CALIBRATORS["platt"], legs(0), legs(1))


# --- threshold curves -----------------------------------------------------------------------------


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
