"""Fusions of score matrices with missing legs, by hand; fitted fusions on made-up queries."""

import numpy as np
import pytest
from sklearn.base import clone

from mmgap.evaluation import expected_measure
from mmgap.fusion import (
    FUSIONS,
    RANK_FUSIONS,
    AdaptiveWeights,
    ConvexCombination,
    LogisticFusion,
    PositionFusion,
    borda,
    comb_gmnz,
    comb_max,
    comb_mean,
    comb_med,
    comb_min,
    comb_mnz,
    comb_sum,
    comb_weighted,
    condorcet,
    isr,
    list_features,
    log_isr,
    log_odds_conjunction,
    logn_isr,
    ranks,
    rbc,
    weighted_mnz,
    weighted_root,
    weighted_sum,
)
from mmgap.fusion import reciprocal_rank_fusion as rrf

NAN = np.nan
# Both legs, text alone, image alone, neither.
TEXT = np.array([[-0.5, -0.25, NAN, NAN]])
IMAGE = np.array([[-0.25, NAN, 0.5, NAN]])


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (comb_max, [-0.25, -0.25, 0.5]),
        (comb_min, [-0.5, -0.25, 0.5]),
        (comb_sum, [-0.75, -0.25, 0.5]),
        (comb_mean, [-0.375, -0.25, 0.5]),
        (comb_med, [-0.375, -0.25, 0.5]),
        (comb_mnz, [-1.5, -0.25, 0.5]),
        (lambda *legs: comb_gmnz(*legs, gamma=3), [-6, -0.25, 0.5]),
        (rrf, [1 / (60 + 2) + 1 / (60 + 2), 1 / (60 + 1), 1 / (60 + 1)]),
        (isr, [2 * (1 / 4 + 1 / 4), 1, 1]),
        (log_isr, [np.log(2) * (1 / 4 + 1 / 4), 0, 0]),
        (logn_isr, [np.log(2.01) * (1 / 4 + 1 / 4), np.log(1.01), np.log(1.01)]),
        (rbc, [0.2 * 0.8 + 0.2 * 0.8, 0.2, 0.2]),
        # Three documents; each leg returned two and has 1 point left.
        (borda, [2 + 2, 3 + 1, 3 + 1]),
        # Each leg puts the first document after its own second one, before the other's.
        (condorcet, [0.5 + 0.5, 0.5 + 0.5, 0.5 + 0.5]),
        (lambda *legs: weighted_sum(*legs, weights=(2, 4)), [-2, -0.5, 2]),
        (lambda *legs: weighted_mnz(*legs, weights=(2, 4)), [-0.75 * 6, -0.25 * 2, 0.5 * 4]),
        (lambda *legs: weighted_root(*legs, weights=(2, 4)), [-2 * np.sqrt(2), -0.5, 2]),
    ],
)
def test_by_hand(combine, expected):
    np.testing.assert_allclose(combine(TEXT, IMAGE), [[*expected, NAN]], rtol=1e-14)


def random_legs(n_leg=2, shape=(3, 7), seed=0, missing=0.4):
    rng = np.random.default_rng(seed)
    legs = rng.normal(size=(n_leg, *shape))
    legs[rng.random(legs.shape) < missing] = NAN
    return list(legs)


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("n_leg", [1, 2, 3])
def test_rows_are_combined_on_their_own(name, n_leg):
    legs = random_legs(n_leg)
    together = FUSIONS[name](*legs)
    assert together.shape == (3, 7)
    np.testing.assert_array_equal(np.isnan(together), np.isnan(legs).all(axis=0))
    for row in range(3):
        alone = FUSIONS[name](*(leg[[row]] for leg in legs))
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("name", FUSIONS)
def test_legs_are_checked(name):
    with pytest.raises(ValueError, match=r"shapes \(1, 4\), \(1, 3\).*Put NaN"):
        FUSIONS[name](TEXT, IMAGE[:, :3])
    with pytest.raises(ValueError, match="at least one leg"):
        FUSIONS[name]()
    with pytest.raises(ValueError, match="infinite"):
        FUSIONS[name](np.where(np.isnan(TEXT), -np.inf, TEXT), IMAGE)


def test_median_is_numpys():
    for n_leg in (3, 4, 5):
        legs = random_legs(n_leg, seed=n_leg, missing=0.0)
        np.testing.assert_array_equal(comb_med(*legs), np.median(legs, axis=0))
    three = [np.array([[x]]) for x in (0.1, NAN, 0.9)]
    assert comb_med(*three) == pytest.approx(0.5)


# Ranks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ties", "expected"),
    [
        ("ordinal", [1, 2, NAN, 3, 4]),
        ("min", [1, 2, NAN, 2, 4]),
        ("average", [1, 2.5, NAN, 2.5, 4]),
        ("max", [1, 3, NAN, 3, 4]),
        ("dense", [1, 2, NAN, 2, 3]),
    ],
)
def test_ranks_of_tied_candidates(ties, expected):
    scores = np.array([[0.5, -0.1, NAN, -0.1, -0.9]])
    np.testing.assert_array_equal(ranks(scores, ties=ties), [expected])
    other = np.full_like(scores, NAN)
    np.testing.assert_array_equal(rrf(scores, other, ties=ties), 1 / (60 + np.array([expected])))


def test_unknown_ties():
    with pytest.raises(ValueError, match="ordinal, min, average, max, dense"):
        ranks(TEXT, ties="random")


def test_rrf_constant_evens_the_weights_out():
    text, image = np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(rrf(text, image, k=0), [[1 + 1 / 3, 1 / 2 + 1 / 2, 1 / 3 + 1]])
    with pytest.raises(ValueError, match="k must not be negative"):
        rrf(text, image, k=-1)


def test_rrf_weights():
    text, image = np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])
    by_leg = rrf(text, image, k=0, weights=(2, 1))
    np.testing.assert_array_equal(by_leg, [[2 + 1 / 2, 1 + 1]])
    by_query = rrf(np.vstack([text, text]), np.vstack([image, image]), k=0,
                   weights=[[2, 1], [0, 1]])  # fmt: skip
    np.testing.assert_array_equal(by_query, [[2 + 1 / 2, 1 + 1], [1 / 2, 1]])
    with pytest.raises(ValueError, match="one number for each of the 2 legs"):
        rrf(text, image, weights=(1, 1, 1))


@pytest.mark.parametrize("name", sorted(RANK_FUSIONS))
def test_disjoint_legs_tie_in_pairs_exactly(name):
    text = np.array([[0.9, 0.8, NAN, NAN]])
    image = np.array([[NAN, NAN, 0.3, 0.2]])
    fused = FUSIONS[name](text, image)[0]
    assert fused[0] == fused[2]
    assert fused[1] == fused[3]
    if name == "log_isr":
        assert fused[0] == fused[1] == 0
    else:
        assert fused[0] > fused[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logn_isr(TEXT, sigma=1.1), "sigma"),
        (lambda: rbc(TEXT, phi=1), "phi"),
        (lambda: weighted_sum(TEXT, weights=(1,), missing="skip"), "zero, renormalise, minimum"),
        (lambda: weighted_sum(TEXT, weights=(NAN,)), "finite"),
        (lambda: weighted_sum(TEXT, IMAGE, weights=(1, 0), missing="renormalise"), "positive"),
    ],
)
def test_parameters_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_condorcet_prefers_who_wins_most_pairs():
    legs = [np.array([row]) for row in ([3.0, 2, 1], [3.0, 1, 2], [1.0, 3, 2])]
    # a beats b and c twice each; b beats c twice.
    np.testing.assert_array_equal(condorcet(*legs), [[2, 1, 0]])
    circle = [np.array([row]) for row in ([3.0, 2, 1], [1.0, 3, 2], [2.0, 1, 3])]
    np.testing.assert_array_equal(condorcet(*circle), [[1, 1, 1]])
    np.testing.assert_array_equal(condorcet(*circle, weights=(3, 1, 1)), [[2, 1, 0]])


# Weighted sums ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("zero", [-0.325, -0.175, 0.15]),
        ("renormalise", [-0.425, -0.25, 0.5]),
        ("minimum", [-0.425, -0.25, -0.2]),
    ],
)
def test_missing_documents(missing, expected):
    weights = (0.7, 0.3) if missing != "zero" else (0.5, 0.3)
    if missing == "zero":
        expected = [-0.325, -0.125, 0.15]
    fused = weighted_sum(TEXT, IMAGE, weights=weights, missing=missing)
    np.testing.assert_allclose(fused, [[*expected, NAN]], rtol=1e-12)


def test_minimum_of_an_empty_leg_is_zero():
    empty = np.full((1, 2), NAN)
    fused = weighted_sum(empty, np.array([[0.5, NAN]]), weights=(1, 1), missing="minimum")
    np.testing.assert_array_equal(fused, [[0.5, NAN]])


def disjoint(seed=0, n_query=60, n_doc=20, lift=0.4):
    """Texts in the first half, images in the second; one of either answers, image scores low."""
    rng = np.random.default_rng(seed)
    text, image = np.full((2, n_query, 2 * n_doc), NAN)
    text[:, :n_doc] = 0.5 + 0.1 * rng.normal(size=(n_query, n_doc))
    image[:, n_doc:] = 0.1 + 0.1 * rng.normal(size=(n_query, n_doc))
    relevance = np.zeros(text.shape)
    answer = rng.integers(0, 2 * n_doc, size=n_query)
    relevance[np.arange(n_query), answer] = 1
    for leg in (text, image):
        leg += lift * relevance
    return [text, image], relevance


def test_convex_combination_finds_the_best_of_its_grid():
    legs, relevance = disjoint()
    fitted = ConvexCombination("recall@1", n_alpha=21).fit(legs, relevance)
    values = [
        expected_measure(weighted_sum(*legs, weights=(a, 1 - a)), relevance, "recall@1").mean()
        for a in np.linspace(0, 1, 21)
    ]
    np.testing.assert_allclose(fitted.values_, values)
    assert fitted.fitted_ == max(values) > values[10]  # better than equal weights
    assert 0 < fitted.alpha_ < 0.5  # texts score higher, so they are weighed less
    assert fitted.alpha_ in fitted.tied_alphas_
    fused = fitted.transform(legs)
    np.testing.assert_array_equal(
        fused, weighted_sum(*legs, weights=(fitted.alpha_, 1 - fitted.alpha_))
    )


def test_convex_combination_says_when_weights_tie():
    """The legs agree, so that every weight gives the same order."""
    leg = np.array([[0.9, 0.5, 0.1]])
    fitted = ConvexCombination("ndcg@3", n_alpha=5).fit([leg, leg], np.array([[0, 1, 0]]))
    assert len(fitted.tied_alphas_) == 5
    assert fitted.alpha_ == 0.5


def test_convex_combination_takes_the_middle_of_the_longest_run():
    fitted = ConvexCombination(n_alpha=7)
    fitted.alphas_ = np.linspace(0, 1, 7)
    from mmgap.fusion.learned import _middle_of_longest_run

    assert _middle_of_longest_run(np.array([1, 0, 1, 1, 1, 0, 1], dtype=bool)) == 3
    assert _middle_of_longest_run(np.array([1, 1, 0, 1, 1], dtype=bool)) == 0


def test_convex_combination_of_three_legs():
    """Two good legs and one of noise: the noise gets no weight, the others one each."""
    rng = np.random.default_rng(0)
    relevance = np.eye(30)[rng.integers(30, size=60)]
    legs = [rng.normal(size=(60, 30)) + lift * relevance for lift in (0, 2.5, 2.5)]
    fitted = ConvexCombination("recall@3").fit(legs, relevance)
    assert fitted.weights_.sum() == pytest.approx(1)
    assert fitted.weights_[0] < 0.2 < min(fitted.weights_[1:])
    assert (
        fitted.fitted_
        == max(fitted.values_)
        >= max(expected_measure(leg, relevance, "recall@3").mean() for leg in legs)
    )
    assert len(fitted.values_) <= 101
    np.testing.assert_array_equal(
        fitted.transform(legs), weighted_sum(*legs, weights=fitted.weights_)
    )


def test_queries_without_relevant_documents_are_left_out():
    legs, relevance = disjoint(n_query=20)
    relevance[5:] = 0
    assert ConvexCombination().fit(legs, relevance).n_query_ == 5
    for estimator in (ConvexCombination(), AdaptiveWeights()):
        with pytest.raises(ValueError, match="no calibration query has a relevant document"):
            estimator.fit(legs, 0 * relevance)


# Learned fusions ----------------------------------------------------------------------------

ESTIMATORS = [ConvexCombination(), LogisticFusion(), AdaptiveWeights(), PositionFusion()]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_estimators_keep_to_scikit_learn(estimator):
    legs, relevance = disjoint(n_query=20)
    untouched = [leg.copy() for leg in legs]
    fitted = clone(estimator)
    params = fitted.get_params()
    assert fitted.fit(legs, relevance) is fitted
    assert fitted.get_params() == params
    assert not hasattr(clone(fitted), "alphas_")
    fused = fitted.transform(legs)
    assert fused.shape == legs[0].shape
    np.testing.assert_array_equal(np.isnan(fused), np.isnan(legs).all(axis=0))
    np.testing.assert_array_equal(legs, untouched)
    np.testing.assert_array_equal(clone(estimator).fit(legs, relevance).transform(legs), fused)
    alone = np.vstack([fitted.transform([leg[[row]] for leg in legs]) for row in range(20)])
    np.testing.assert_allclose(alone, fused, rtol=1e-12)  # no query sees another
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        clone(estimator).transform(legs)
    with pytest.raises(ValueError, match=r"expected \d leg"):
        fitted.transform([*legs, legs[0]])
    with pytest.raises(ValueError, match="relevance"):
        clone(estimator).fit(legs, relevance[:, :3])


def test_logistic_fusion_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    legs, relevance = disjoint(n_query=30)
    fitted = LogisticFusion(C=0.5).fit(legs, relevance)
    found = ~np.isnan(legs).all(axis=0)
    columns = [(leg[found] - np.nanmean(leg)) / np.nanstd(leg) for leg in legs]
    features = np.column_stack(
        [*(np.nan_to_num(c) for c in columns), *(np.isnan(c).astype(float) for c in columns)]
    )
    reference = LogisticRegression(C=0.5, max_iter=1000).fit(features, relevance[found] > 0)
    np.testing.assert_allclose(
        fitted.transform(legs)[found], reference.decision_function(features), rtol=1e-6, atol=1e-8
    )
    assert fitted.n_pair_ == found.sum()


def test_logistic_fusion_bridges_the_offset_between_modalities():
    legs, relevance = disjoint(n_query=200)
    test_legs, test_relevance = disjoint(seed=1, n_query=200)
    raw = expected_measure(comb_max(*test_legs), test_relevance, "recall@1").mean()
    fused = LogisticFusion().fit(legs, relevance).transform(test_legs)
    assert expected_measure(fused, test_relevance, "recall@1").mean() > raw + 0.2


def test_logistic_fusion_needs_both_classes_and_scores():
    legs, relevance = disjoint(n_query=5)
    with pytest.raises(ValueError, match="0 of 200 calibration pairs"):
        LogisticFusion().fit(legs, 0 * relevance)
    with pytest.raises(ValueError, match="leave it out"):
        LogisticFusion().fit([legs[0], np.full_like(legs[0], NAN)], relevance)


def test_log_odds_conjunction_by_hand():
    text, image = np.array([[0.75, 0.9, NAN]]), np.array([[0.8, NAN, NAN]])
    # Odds 3 and 4. Independent: 12. Averaged: sqrt(12). Between: 12 ** (1 / sqrt(2)).
    for alpha, odds in [(1, 12), (0, np.sqrt(12)), (0.5, 12 ** (1 / np.sqrt(2)))]:
        fused = log_odds_conjunction(text, image, alpha=alpha)
        np.testing.assert_allclose(fused, [[odds / (1 + odds), 0.9, NAN]], rtol=1e-12)
    # At a prior of 0.2 (odds 1/4) the evidence is 12 and 16 times the prior odds.
    fused = log_odds_conjunction(text, image, prior=0.2, alpha=1)
    np.testing.assert_allclose(fused[0, 0], 48 / 49, rtol=1e-12)
    assert fused[0, 1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: log_odds_conjunction(np.array([[1.2]])), r"\[0, 1\]"),
        (lambda: log_odds_conjunction(np.array([[0.5]]), prior=1), "prior"),
        (lambda: list_features(TEXT, depth=1), "depth"),
        (lambda: PositionFusion("posfusion").fit([TEXT], np.ones((1, 4))), "posfuse"),
        (lambda: PositionFusion().fit([TEXT], np.zeros((1, 4))), "nothing can be estimated"),
        (lambda: ConvexCombination(n_alpha=1).fit([TEXT, IMAGE], np.ones((1, 4))), "n_alpha"),
        (lambda: ConvexCombination("map").fit([TEXT, IMAGE], np.ones((1, 4))), "unknown measure"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_list_features_by_hand():
    features = list_features(np.array([[0.9, 0.5, 0.1, NAN], [0.3, NAN, NAN, NAN], [NAN] * 4]))
    spread = np.sqrt((0.4**2 + 0.4**2) / 3)
    share = np.exp(np.array([0, -0.4, -0.8]) / spread)
    share /= share.sum()
    entropy = -(share * np.log(share)).sum() / np.log(3)
    np.testing.assert_allclose(features[0], [0.9, 0.4, spread, entropy])
    np.testing.assert_array_equal(features[1], [0.3, 0, 0, 1])
    np.testing.assert_array_equal(features[2], [0, 0, 0, 1])


def test_adaptive_weights_follow_the_leg_that_stands_out():
    rng = np.random.default_rng(0)

    def make(n_query):
        """Each query has one leg whose relevant document stands out and one of pure noise."""
        legs = 0.1 * rng.random((2, n_query, 12))
        relevance = np.zeros((n_query, 12))
        right = rng.integers(0, 2, n_query)
        answer = rng.integers(0, 12, n_query)
        legs[right, np.arange(n_query), answer] += 0.3
        legs[1 - right, np.arange(n_query), rng.integers(0, 12, n_query)] += 0.12
        relevance[np.arange(n_query), answer] = 1
        return list(legs), relevance, right

    legs, relevance, _ = make(200)
    test_legs, test_relevance, right = make(200)
    fitted = AdaptiveWeights("ndcg@3").fit(legs, relevance)
    weights = fitted.weights(test_legs)
    assert ((weights > 0.5) == (right == 0)).mean() > 0.95
    assert 0 < weights.min() < weights.max() < 1
    one_weight = ConvexCombination("ndcg@3").fit(legs, relevance).transform(test_legs)
    adaptive, constant = (
        expected_measure(fused, test_relevance, "ndcg@3").mean()
        for fused in (fitted.transform(test_legs), one_weight)
    )
    assert adaptive >= constant


def test_adaptive_weights_where_one_leg_always_wins():
    good, bad = np.array([[0.9, 0.1]] * 3), np.array([[0.1, 0.9]] * 3)
    fitted = AdaptiveWeights("ndcg@1").fit([good, bad], np.array([[1, 0]] * 3))
    np.testing.assert_allclose(fitted.weights([good, bad]), (3 + 1) / (3 + 2))
    tied = AdaptiveWeights("ndcg@1").fit([good, good], np.array([[1, 0]] * 3))
    np.testing.assert_allclose(tied.weights([good, good]), 0.5)
    assert tied.n_informative_ == 0


def test_position_fusion_is_worth_nothing_beyond_the_calibration_lists():
    short, long = np.array([[0.9, NAN, NAN]]), np.array([[0.9, 0.8, 0.7]])
    for method in ("posfuse", "slidefuse"):
        fitted = PositionFusion(method, window=0).fit([short], np.array([[1, 0, 0]]))
        np.testing.assert_array_equal(fitted.transform([long]), [[1, 0, 0]])


@pytest.mark.parametrize(
    ("text_weight", "expected"),
    [
        (0, [-0.25, -0.25, 0.5, NAN]),
        (0.25, [-0.3125, -0.25, 0.5, NAN]),
        (0.5, [-0.375, -0.25, 0.5, NAN]),
        (1, [-0.5, -0.25, 0.5, NAN]),
    ],
)
def test_a_weight_goes_from_the_image_leg_to_the_text_leg(text_weight, expected):
    found = comb_weighted(TEXT, IMAGE, text_weight=text_weight)
    np.testing.assert_allclose(found, [expected], rtol=1e-15)


def test_a_weight_sees_factors_and_no_offsets():
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(2, 4, 6))
    order = comb_weighted(text, image, text_weight=0.3).argsort(axis=1)
    shifted = comb_weighted(text + 9, image, text_weight=0.3).argsort(axis=1)
    np.testing.assert_array_equal(shifted, order)
    # 0.3 : 0.7 for the scores is 0.3 : 1.4 for doubled text scores
    doubled = comb_weighted(2 * text, image, text_weight=0.3 / 1.7).argsort(axis=1)
    np.testing.assert_array_equal(doubled, order)
    assert (comb_weighted(text, image, text_weight=0.9).argsort(axis=1) != order).any()


@pytest.mark.parametrize("text_weight", [-0.1, 1.1, NAN])
def test_a_weight_outside_its_range_is_an_error(text_weight):
    with pytest.raises(ValueError, match=r"text_weight must lie in \[0, 1\]"):
        comb_weighted(TEXT, IMAGE, text_weight=text_weight)
