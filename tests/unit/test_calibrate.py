"""Calibrators and measures of calibration, by hand and against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import binom, binomtest, gaussian_kde, norm
from sklearn.base import clone
from sklearn.calibration import calibration_curve
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmgap.scores.calibrate import (
    CALIBRATORS,
    BetaCalibrator,
    HistogramCalibrator,
    IsotonicCalibrator,
    LikelihoodRatioCalibrator,
    PlattCalibrator,
    fit_legs,
)
from mmgap.scores.normalise import ZScoreNormaliser
from mmgap.scores.reliability import brier_score, calibration_error, reliability_table


@parametrize_with_checks(
    [
        *{type(one): one for one in CALIBRATORS.values()}.values(),
    ],
    # These make y of whole numbers from 1 on: all of them relevant.
    expected_failed_checks=lambda _: dict.fromkeys(
        ["check_estimators_dtypes", "check_dtype_object", "check_fit2d_1feature"],
        "y holds no grade below 1",
    ),
)
def test_scikit_learn_accepts(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else scikit-learn skips a check
    check(estimator)


@pytest.fixture(scope="module")
def pairs():
    """Cosine-like scores in a narrow range, overlapping, a tenth of them relevant."""
    rng = np.random.default_rng(5)
    relevant = rng.random(2000) < 0.1
    return np.where(relevant, rng.normal(0.30, 0.03, 2000), rng.normal(0.22, 0.04, 2000)), relevant


def fitted(calibrator, pairs):
    return calibrator.fit(pairs[0][:, None], pairs[1])


def test_platt_is_logistic_regression_without_penalty(pairs):
    found = fitted(PlattCalibrator(smoothing=False), pairs)
    expected = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(
        pairs[0][:, None], pairs[1]
    )
    assert found.slope_ == pytest.approx(expected.coef_.item(), rel=1e-6)
    assert found.intercept_ == pytest.approx(expected.intercept_.item(), rel=1e-6)
    at = np.array([[0.1, 0.25, 0.4]])
    assert found.transform(at)[0] == pytest.approx(expected.predict_proba(at.T)[:, 1], rel=1e-6)


def test_platt_smoothing_minimises_the_cross_entropy_of_his_targets(pairs):
    scores, relevant = pairs
    n = relevant.sum()
    target = np.where(relevant, (n + 1) / (n + 2), 1 / (relevant.size - n + 2))
    scaled = (scores - 0.25) * 20

    def loss(line):
        p = expit(line[0] * scaled + line[1])
        return -np.mean(target * np.log(p) + (1 - target) * np.log1p(-p))

    slope, intercept = minimize(loss, [1.0, 0.0], tol=1e-12).x
    found = fitted(PlattCalibrator(), pairs)
    assert found.slope_ == pytest.approx(slope * 20, rel=1e-4)
    assert found.intercept_ == pytest.approx(intercept - 5 * slope, rel=1e-4)


def test_platt_smoothing_keeps_separated_pairs_finite():
    """One pair each side of 0: the targets 2/3 and 1/3 are met exactly."""
    scores, relevant = np.array([[-1.0], [1.0]]), np.array([0, 1])
    found = PlattCalibrator().fit(scores, relevant)
    assert found.transform(scores).ravel() == pytest.approx([1 / 3, 2 / 3])
    assert found.slope_ == pytest.approx(np.log(2))
    for apart, labels in (
        ([[-1.0], [1.0]], [0, 1]),
        ([[1.0], [-1.0]], [0, 1]),
        ([[0.0], [0.0], [1.0]], [0, 1, 1]),  # touching at one score is apart too
    ):
        calibrator = PlattCalibrator(smoothing=False)
        with pytest.raises(ValueError, match=r"are separated from the .* use smoothing=True"):
            calibrator.fit(apart, labels)


@pytest.mark.parametrize("name", ["platt", "beta"])
def test_scores_that_tell_nothing_give_the_share(name):
    """The optimum is where the solver starts, which scikit-learn's line search warns of."""
    scores = np.array([1, 1, 0, 0]) / 16
    fitted = clone(CALIBRATORS[name]).fit(scores[:, None], np.array([False, True, False, True]))
    assert fitted.transform(scores[None, :])[0] == pytest.approx([0.5] * 4)


def test_scores_without_spread_give_the_share():
    scores, relevant = np.full((4, 1), 0.3), np.array([0, 0, 0, 1])
    assert PlattCalibrator(smoothing=False).fit(scores, relevant).slope_ == 0
    for calibrator in (
        PlattCalibrator(smoothing=False),
        BetaCalibrator(smoothing=False),
        IsotonicCalibrator(),
        HistogramCalibrator(),
    ):
        found = calibrator.fit(scores, relevant).transform([[0.1, 0.3, 0.9]])[0]
        assert found == pytest.approx([0.25] * 3), calibrator


def test_isotonic_is_scikit_learns(pairs):
    expected = IsotonicRegression(out_of_bounds="clip").fit(*pairs)
    at = np.linspace(0, 0.5, 100)
    assert fitted(IsotonicCalibrator(), pairs).transform(at[None, :])[0] == pytest.approx(
        expected.predict(at)
    )


def test_histogram_by_hand():
    scores = np.array([[0.0], [0.1], [0.2], [0.9], [1.0], [1.0]])
    relevant = np.array([0, 1, 0, 0, 1, 1])
    equal = HistogramCalibrator(bins=2).fit(scores, relevant)
    assert equal.edges_ == pytest.approx([0, 0.55, 1])
    assert equal.fraction_ == pytest.approx([1 / 3, 2 / 3])
    assert equal.transform([[-5, 0.5, 0.55, 5]])[0] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    # Edges that coincide are one edge.
    assert HistogramCalibrator(bins=6).fit(scores, relevant).fraction_.size == 5


def test_beta_finds_the_map_that_made_the_labels():
    """Scores drawn from beta densities: the log odds are a log u - b log(1 - u) + c exactly."""
    rng = np.random.default_rng(6)
    u = np.concatenate([rng.beta(5, 2, 20_000), rng.beta(2, 3, 20_000)])
    relevant = np.arange(40_000) < 20_000
    found = BetaCalibrator(bounds=(0, 1)).fit(u[:, None], relevant)
    # Densities u^4 (1-u) / B(5, 2) over u (1-u)^2 / B(2, 3), with B = 1/30 and 1/12.
    assert (found.a_, found.b_, found.c_) == pytest.approx((3, 1, np.log(30 / 12)), abs=0.2)
    at = np.array([0.2, 0.5, 0.8])
    expected = expit(3 * np.log(at) - np.log1p(-at) + np.log(30 / 12))
    assert found.transform(at[None, :])[0] == pytest.approx(expected, abs=0.01)


def test_beta_of_cosines_is_beta_of_half_of_them(pairs):
    scores, relevant = pairs
    cosine = BetaCalibrator(bounds=(-1, 1)).fit(scores[:, None], relevant)
    moved = BetaCalibrator(bounds=(0, 1)).fit((scores[:, None] + 1) / 2, relevant)
    at = np.array([[0.1, 0.25, 0.4]])
    assert cosine.transform(at)[0] == pytest.approx(moved.transform((at + 1) / 2)[0], rel=1e-6)


def test_beta_never_falls():
    """Labels that fall with the score: Kull et al. set both slopes to zero."""
    scores = np.linspace(0.1, 0.9, 9)[:, None]
    falling = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0])
    found = BetaCalibrator(bounds=(0, 1), smoothing=False).fit(scores, falling)
    assert (found.a_, found.b_) == (0, 0)
    assert found.transform(scores).ravel() == pytest.approx([4 / 9] * 9)
    # A hump: free slopes would have different signs, one of them is set to zero.
    hump = np.array([0, 0, 1, 0, 1, 1, 1, 1, 0])
    found = BetaCalibrator(bounds=(0, 1), smoothing=False).fit(scores, hump)
    assert found.a_ > 0
    assert found.b_ == 0
    one = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(
        np.log(scores), hump
    )
    assert found.a_ == pytest.approx(one.coef_.item(), rel=1e-6)
    assert found.c_ == pytest.approx(one.intercept_.item(), rel=1e-6)


def test_beta_bounds():
    scores, relevant = np.array([[0.0], [0.5], [1.0], [0.4]]), np.array([0, 1, 1, 0])
    assert BetaCalibrator().fit(scores, relevant).bounds_ == pytest.approx((-0.1, 1.1))
    rounded = np.array([[-1.0000001], [1.0000001], [0.2], [0.1]])
    found = BetaCalibrator(bounds=(-1, 1)).fit(rounded, relevant)
    assert np.isfinite(found.transform([[-3.0, 3.0]])).all()
    with pytest.raises(ValueError, match=r"scores from 0 to 1. bounds=None"):
        BetaCalibrator(bounds=(0, 0.9)).fit(scores, relevant)


def test_normal_likelihood_ratio_is_bayes_rule(pairs):
    scores, relevant = pairs
    f_r, f_g = (
        norm(kind.mean(), kind.std(ddof=1)) for kind in (scores[relevant], scores[~relevant])
    )
    at = np.linspace(scores.min(), scores.max(), 50)
    for prior in (None, 0.01):
        pi = relevant.mean() if prior is None else prior
        expected = pi * f_r.pdf(at) / (pi * f_r.pdf(at) + (1 - pi) * f_g.pdf(at))
        found = fitted(LikelihoodRatioCalibrator(density="gaussian", prior=prior), pairs)
        assert found.transform(at[None, :])[0] == pytest.approx(expected, rel=1e-3)


def test_kernel_likelihood_ratio_is_scipys(pairs):
    scores, relevant = pairs
    f_r, f_g = (gaussian_kde(kind) for kind in (scores[relevant], scores[~relevant]))
    at = np.linspace(0.15, 0.36, 50)
    expected = expit(np.log(f_r(at)) - np.log(f_g(at)) + logit(relevant.mean()))
    found = fitted(LikelihoodRatioCalibrator(), pairs).transform(at[None, :])[0]
    assert found == pytest.approx(expected, rel=0.01)


def test_a_likelihood_ratio_may_turn():
    """The others spread wider than the relevant ones, so the highest scores are theirs."""
    rng = np.random.default_rng(7)
    relevant = np.arange(4000) < 400
    scores = np.where(relevant, rng.normal(0.3, 0.02, 4000), rng.normal(0.25, 0.08, 4000))
    at = np.linspace(scores.min(), scores.max(), 300)
    for density in ("gaussian", "kde"):
        free = fitted(LikelihoodRatioCalibrator(density=density), (scores, relevant))
        found = free.transform(at[None, :])[0]
        assert found.argmax() < 290
        assert (np.diff(found) < 0).any()
        beyond = free.transform([[scores.min() - 1, scores.max() + 1]])[0]
        assert beyond == pytest.approx(found[[0, -1]])


def test_far_apart_kinds_do_not_underflow():
    scores = np.array([[0.0], [0.001], [0.002], [1.0], [1.001], [1.002]])
    found = LikelihoodRatioCalibrator().fit(scores, [0, 0, 0, 1, 1, 1])
    assert np.isfinite(found.log_ratio_).all()
    assert found.transform([[0.0, 1.0]])[0].tolist() == [0, 1]


def test_a_density_needs_two_scores():
    with pytest.raises(ValueError, match="the 1 relevant pairs have 1"):
        LikelihoodRatioCalibrator().fit([[0.1], [0.2], [0.3]], [0, 0, 1])
    with pytest.raises(ValueError, match="the 2 other pairs have 1"):
        LikelihoodRatioCalibrator(density="gaussian").fit(
            [[0.1], [0.1], [0.3], [0.4]], [0, 0, 1, 1]
        )


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_matrix_is_its_pairs(name, pairs):
    scores, relevant = (values.reshape(50, 40) for values in pairs)
    gaps = np.where(np.random.default_rng(8).random(scores.shape) < 0.2, np.nan, scores)
    there = ~np.isnan(gaps)
    column = clone(CALIBRATORS[name]).fit(gaps[there][:, None], relevant[there])
    matrix = clone(CALIBRATORS[name]).fit(gaps, relevant.astype(float))
    (by_leg,) = fit_legs(CALIBRATORS[name], {"image": gaps}, {"image": relevant}).values()
    expected = column.transform(gaps)
    assert np.isnan(expected[~there]).all()
    np.testing.assert_array_equal(matrix.transform(gaps), expected)
    np.testing.assert_array_equal(by_leg.transform(gaps), expected)
    assert (matrix.n_pairs_, matrix.n_relevant_) == (there.sum(), relevant[there].sum())


@pytest.mark.parametrize("name", CALIBRATORS)
def test_probabilities_hold_for_the_pairs_fitted_on(name, pairs):
    """In the mean exactly (Platt and beta up to smoothing); densities get near it."""
    found = fitted(clone(CALIBRATORS[name]), pairs).transform(pairs[0][:, None])
    within = 0.02 if name.startswith("likelihood") else 0.001
    assert found.mean() == pytest.approx(pairs[1].mean(), abs=within)


def test_grades_above_the_smallest_are_relevant():
    scores = np.array([[0.1], [0.2], [0.3], [0.4]])
    found = IsotonicCalibrator().fit(scores, np.array([0, 2, 0, 1])).transform(scores).ravel()
    assert found.tolist() == [0, 0.5, 0.5, 1]
    assert IsotonicCalibrator().fit(scores, [-1, 1, -1, 1]).transform(scores)[1] == 0.5


def test_unusable_pairs_are_refused():
    scores = np.array([[0.1], [0.2]])
    with pytest.raises(ValueError, match="the 2 pairs are of one class: 0 are relevant"):
        PlattCalibrator().fit(scores, [0, 0])
    with pytest.raises(ValueError, match="requires y"):
        PlattCalibrator().fit(scores, None)
    with pytest.raises(ValueError, match="must have the shape of X"):
        PlattCalibrator().fit(scores, [[0, 1]])
    with pytest.raises(ValueError, match="without NaN"):
        PlattCalibrator().fit(scores, [0, np.nan])
    with pytest.raises(ValueError, match="of one class"):
        PlattCalibrator().fit([[np.nan], [0.2]], [0, 1])
    with pytest.raises(ValueError, match=r"is expecting 2 .*reshape\(-1, 1\)"):
        PlattCalibrator().fit([[0.1, 0.2]], [[0, 1]]).transform([[0.1, 0.2, 0.3]])
    with pytest.raises(NotFittedError):
        PlattCalibrator().transform(scores)
    with pytest.raises(ValueError, match="relevant must hold the legs of scores"):
        fit_legs(PlattCalibrator(), {"text": scores}, {"text": np.array([0, 1])})
    for wrong in (
        HistogramCalibrator(bins=0),
        LikelihoodRatioCalibrator(density="histogram"),
        LikelihoodRatioCalibrator(prior=1.0),
    ):
        with pytest.raises(ValueError, match=r"must (be|lie)|>= 1"):
            wrong.fit(scores, [0, 1])


def test_fit_legs_fits_copies():
    normaliser = ZScoreNormaliser(reference="calibration")
    reference = {"text": np.array([[0.4, np.nan, 0.6]]), "image": np.array([0.1, 0.3])}
    legs = fit_legs(normaliser, reference)
    assert {leg: round(of.offset_, 9) for leg, of in legs.items()} == {"text": 0.5, "image": 0.2}
    assert not hasattr(normaliser, "offset_")
    assert legs["image"].transform(np.zeros((2, 7))).shape == (2, 7)


def test_calibrating_each_leg_changes_the_merge_but_no_leg():
    """Texts score higher whatever they say; probabilities put the right image first."""
    rng = np.random.default_rng(9)
    relevant = {leg: rng.random((40, 50)) < 0.1 for leg in ("text", "image")}
    level = {"text": 0.7, "image": 0.2}
    scores = {leg: rng.normal(level[leg] + 0.1 * relevant[leg], 0.02) for leg in ("text", "image")}
    legs = fit_legs(PlattCalibrator(), scores, relevant)
    p = {leg: legs[leg].transform(scores[leg]) for leg in legs}
    for leg in legs:
        order = np.argsort(scores[leg], axis=1)
        assert (np.diff(np.take_along_axis(p[leg], order, axis=1)) >= 0).all()
    assert (scores["image"] < scores["text"].min()).all()
    assert p["image"][relevant["image"]].mean() > 0.8
    assert p["text"][~relevant["text"]].mean() < 0.05


# Measures of calibration


@pytest.fixture(scope="module")
def judged(pairs):
    """Probabilities that are off, their relevance."""
    return expit(60 * (pairs[0] - 0.28)), pairs[1]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_ece_is_that_of_scikit_learns_curve(judged, strategy):
    p, y = judged
    share, mean = calibration_curve(y, p, n_bins=10, strategy=strategy)
    table = reliability_table({"leg": p}, {"leg": y}, bins=10, strategy=strategy)
    assert table["fraction_relevant"].to_numpy() == pytest.approx(share)
    assert table["mean_probability"].to_numpy() == pytest.approx(mean)
    expected = table["n"].to_numpy() @ np.abs(share - mean) / len(p)
    found = calibration_error(p, y, bins=10, strategy=strategy)
    assert found.ece == pytest.approx(expected)
    assert found.n == len(p)


def test_ece_by_hand():
    p = np.array([0.1, 0.3, 0.3, 0.9, np.nan])
    y = np.array([0, 0, 1, 1, 1])
    # Bins [0, .5) and [.5, 1]: means .7/3 and .9, shares 1/3 and 1.
    assert calibration_error(p, y, bins=2).ece == pytest.approx((3 * 0.1 + 0.1) / 4)
    # A bin of one pair of probability .5 is off by .5 whatever happens; one of four pairs by
    # sum |k/4 - 1/2| C(4, k) / 16 = (1/2 + 1 + 0 + 1 + 1/2) / 16 = 3/16.
    assert calibration_error(np.array([0.5]), np.array([1])).null == pytest.approx(0.5)
    assert calibration_error(np.full(4, 0.5), np.ones(4)).null == pytest.approx(3 / 16)
    assert calibration_error(np.array([0.0, 1.0]), np.array([0, 1])).null == 0


def test_null_is_what_right_probabilities_show():
    rng = np.random.default_rng(10)
    p = rng.beta(1, 5, 400)
    draws = [calibration_error(p, rng.random(400) < p) for _ in range(400)]
    mean = np.mean([draw.ece for draw in draws])
    assert draws[0].null == pytest.approx(mean, rel=0.03)
    assert mean > 0.01
    sizes, means = [7, 30], [0.13, 0.4]
    exact = [
        np.abs(np.arange(n + 1) / n - q) @ binom.pmf(np.arange(n + 1), n, q)
        for n, q in zip(sizes, means, strict=True)
    ]
    found = calibration_error(np.repeat(means, sizes), np.zeros(37), bins=4).null
    assert found == pytest.approx(np.dot(sizes, exact) / 37)


def test_brier_is_scikit_learns_and_adds_up(judged):
    p, y = judged
    for bins, strategy in ((15, "quantile"), (7, "uniform"), (None, "quantile")):
        brier = brier_score(p, y, bins=bins, strategy=strategy)
        assert brier.score == pytest.approx(brier_score_loss(y, p))
        parts = brier.reliability - brier.resolution + brier.uncertainty + brier.within_bins
        assert parts == pytest.approx(brier.score)
    # Stephenson et al.: within-bin variance of p minus twice its covariance with relevance.
    brier = brier_score(p, y, bins=5, strategy="uniform")
    place = np.minimum((p * 5).astype(int), 4)
    within = sum(
        np.sum((p[at] - p[at].mean()) ** 2)
        - 2 * np.sum((p[at] - p[at].mean()) * (y[at] - y[at].mean()))
        for at in (place == k for k in range(5))
    )
    assert brier.within_bins == pytest.approx(within / len(p))


def test_brier_by_hand():
    # Groups .2 (three pairs, one relevant) and .8 (two, both): overall share 3/5.
    p, y = np.array([0.2, 0.2, 0.2, 0.8, 0.8]), np.array([0, 1, 0, 1, 1])
    brier = brier_score(p, y, bins=None)
    assert brier.score == pytest.approx((2 * 0.04 + 0.64 + 2 * 0.04) / 5)
    assert brier.reliability == pytest.approx((3 * (2 / 15) ** 2 + 2 * 0.04) / 5)
    assert brier.resolution == pytest.approx((3 * (4 / 15) ** 2 + 2 * 0.16) / 5)
    assert brier.uncertainty == pytest.approx(0.24)
    assert brier.within_bins == pytest.approx(0, abs=1e-12)


def test_reliability_table_by_hand():
    probability = {"text": np.array([[0.1, 0.2], [0.9, np.nan]]), "image": np.array([1.0])}
    relevant = {"text": np.array([[0, 1], [1, 0]]), "image": np.array([0])}
    table = reliability_table(probability, relevant, bins=2)
    assert table["leg"].tolist() == ["text", "text", "image"]
    assert table["n"].tolist() == [2, 1, 1]
    assert table["n_relevant"].tolist() == [1, 1, 0]
    assert table["low"].tolist() == [0.1, 0.9, 1]
    assert table["high"].tolist() == [0.2, 0.9, 1]
    assert table["mean_probability"].tolist() == pytest.approx([0.15, 0.9, 1])
    assert table["fraction_relevant"].tolist() == [0.5, 1, 0]
    wilson = binomtest(1, 2).proportion_ci(method="wilson")
    assert (table["ci_low"][0], table["ci_high"][0]) == (wilson.low, wilson.high)
    with pytest.raises(ValueError, match="has the legs"):
        reliability_table(probability, {"text": relevant["text"]})


def test_unusable_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"values from -0.1 to 0.5. Bring scores there"):
        calibration_error(np.array([-0.1, 0.5]), np.array([0, 1]))
    with pytest.raises(ValueError, match="none but NaN"):
        brier_score(np.array([np.nan]), np.array([1]))
    with pytest.raises(ValueError, match="must have one shape"):
        brier_score(np.array([0.1]), np.array([[1]]))
    with pytest.raises(ValueError, match="strategy one of"):
        calibration_error(np.array([0.1]), np.array([1]), strategy="width")
    with pytest.raises(ValueError, match="bins must be >= 1"):
        calibration_error(np.array([0.1]), np.array([1]), bins=0)
