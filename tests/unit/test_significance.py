"""Tests, corrections and effect sizes against scipy and values worked out by hand."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mmgap.evaluation import (
    bootstrap_interval,
    differs,
    effect_size,
    holm,
    randomisation_test,
    verdict,
)


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    samples = rng.binomial(1, 0.6, size=(120, 400)).astype(float)
    low, high = bootstrap_interval(samples, rng=rng, n_resamples=1000)
    covered = np.mean((low <= 0.6) & (high >= 0.6))
    assert 0.91 <= covered <= 0.98


def test_interval_has_the_width_that_theory_gives():
    values = np.random.default_rng(2).normal(size=500)
    low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
    standard_error = values.std() / np.sqrt(len(values))
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)
    narrow_low, narrow_high = bootstrap_interval(values, rng=np.random.default_rng(0), level=0.5)
    assert narrow_high - narrow_low == pytest.approx(2 * 0.6745 * standard_error, rel=0.05)


def test_interval_does_not_depend_on_how_draws_are_chunked(monkeypatch):
    values = np.random.default_rng(3).random((50, 2, 3))
    whole = bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=103)
    monkeypatch.setattr("mmgap.evaluation.significance._CHUNK", 50 * 10)
    parts = bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=103)
    assert whole[0].shape == (2, 3)
    np.testing.assert_allclose(whole, parts)


def test_columns_share_their_draws():
    values = np.random.default_rng(4).random(40)
    low, high = bootstrap_interval(
        np.stack([values, values + 1], axis=1), rng=np.random.default_rng(0)
    )
    assert low[1] - low[0] == pytest.approx(1)
    assert high[1] - high[0] == pytest.approx(1)


def test_interval_refuses_what_has_no_mean():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(np.array([0.1, np.nan]), rng=rng)
    with pytest.raises(ValueError, match="at least one query"):
        bootstrap_interval(np.zeros((0, 2)), rng=rng)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(np.zeros(2), rng=rng, level=95)


def by_scipy(differences, **options):
    return stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="two-sided", **options
    ).pvalue


@pytest.mark.parametrize("seed", range(6))
def test_exact_test_equals_scipy(seed):
    rng = np.random.default_rng(seed)
    differences = np.round(rng.normal(0.1, 0.3, size=4 + seed), 1)
    # scipy flips signs where it is given one sample, and tries all ways if they are few enough.
    assert randomisation_test(differences) == pytest.approx(by_scipy(differences))


def test_exact_test_counts_all_ways():
    differences = np.array([0.3, -0.1, 0.2, 0.0, 0.4])
    means = [np.mean(np.array(signs) * differences) for signs in product([1, -1], repeat=5)]
    p = np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12)
    assert randomisation_test(differences) == pytest.approx(p)
    assert p == 4 / 16  # -0.1 is the smallest: only its own sign and the mirror images reach 0.8


def test_sums_that_are_equal_but_for_rounding_count_as_reached():
    # 0.1 + 0.2 and 0.3 differ in the last bit; the way (-, -, +) has the same mean but for that.
    differences = np.array([0.1, 0.2, 0.3])
    assert randomisation_test(differences) == 2 / 8
    assert randomisation_test(np.array([0.1, 0.2, -0.3])) == 1


def test_queries_without_a_difference_play_no_part():
    differences = np.array([0.2, 0.4, 0.1, 0.3, 0.5])
    padded = np.concatenate([differences, np.zeros(1000)])
    assert randomisation_test(padded) == randomisation_test(differences) == 2 / 32
    assert randomisation_test(np.zeros(50)) == 1


def test_drawn_test_is_near_the_exact_one():
    rng = np.random.default_rng(12)
    differences = rng.normal(0.4, 1, size=16)
    exact = randomisation_test(differences, n_resamples=2**16)
    drawn = randomisation_test(differences, n_resamples=20_000, rng=np.random.default_rng(1))
    assert exact == pytest.approx(by_scipy(differences, n_resamples=2**16))
    assert 0.05 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert drawn != exact


def test_drawn_test_agrees_with_scipy_and_with_the_t_test_on_many_queries():
    rng = np.random.default_rng(4)
    differences = rng.normal(0.05, 0.5, size=(400, 3))
    ours = randomisation_test(differences)
    assert ours.shape == (3,)
    for column, p in zip(differences.T, ours, strict=True):
        theirs = by_scipy(column, n_resamples=10_000, rng=np.random.default_rng(0))
        assert p == pytest.approx(theirs, abs=0.02)
        assert p == pytest.approx(stats.ttest_1samp(column, 0).pvalue, abs=0.02)


def test_drawn_p_is_never_zero_and_adds_one():
    certain = np.ones(100)
    assert randomisation_test(certain, n_resamples=99) == 1 / 100
    assert randomisation_test(certain) == 1 / 10_001


def test_p_values_of_nothing_are_spread_evenly():
    """Where methods are alike, a p of at most x comes up with chance x."""
    rng = np.random.default_rng(5)
    p = randomisation_test(rng.normal(size=(60, 400)), n_resamples=999)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.035)


def test_factor_sign_order_and_chunks_change_nothing(monkeypatch):
    differences = np.random.default_rng(6).normal(0.2, 1, size=(40, 2))
    p = randomisation_test(differences)
    np.testing.assert_array_equal(randomisation_test(-7 * differences), p)
    np.testing.assert_array_equal(randomisation_test(differences[:, ::-1]), p[::-1])
    np.testing.assert_array_equal(randomisation_test(differences, rng=np.random.default_rng(0)), p)
    assert (randomisation_test(differences, rng=np.random.default_rng(1)) != p).any()
    monkeypatch.setattr("mmgap.evaluation.significance._CHUNK", 40 * 8)
    few = randomisation_test(differences, n_resamples=16_000)
    np.testing.assert_allclose(few, p, atol=0.02)


def test_columns_may_be_exact_and_drawn_side_by_side():
    many = np.random.default_rng(7).normal(size=30)
    few = np.zeros(30)
    few[:4] = [0.1, 0.2, 0.3, 0.4]
    both = randomisation_test(np.stack([many, few], axis=1))
    assert both[0] == randomisation_test(many)
    assert both[1] == 2 / 16


def test_holm_by_hand():
    # Example of five hypotheses: 0.005 x 5, 0.01 x 4, then 0.03 x 3 = 0.09 holds back 0.04 x 2.
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5])
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.025, 0.5])
    np.testing.assert_array_equal(holm(np.array([0.6, 0.7])), [1, 1])
    np.testing.assert_array_equal(holm(np.array([0.2])), [0.2])
    assert holm(np.array([])).shape == (0,)


def test_holm_decides_as_the_step_down_procedure_does():
    rng = np.random.default_rng(8)
    for _ in range(200):
        p = np.round(rng.random(rng.integers(1, 8)) ** 3, 3)
        alpha = 0.05
        rejected = set()
        for step, at in enumerate(np.argsort(p, kind="stable")):
            if p[at] > alpha / (len(p) - step):
                break
            rejected.add(int(at))
        assert set(np.flatnonzero(holm(p) <= alpha + 1e-15).tolist()) == rejected


def test_holm_keeps_false_claims_rare():
    rng = np.random.default_rng(9)
    wrong = [(holm(rng.random(20)) <= 0.05).any() for _ in range(2000)]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.015)
    wrong = [(rng.random(20) <= 0.05).any() for _ in range(2000)]
    assert np.mean(wrong) > 0.5


def test_effect_size_is_t_over_the_root_of_n():
    differences = np.random.default_rng(10).normal(0.2, 1, size=(50, 2))
    t = stats.ttest_1samp(differences, 0).statistic
    np.testing.assert_allclose(effect_size(differences), t / np.sqrt(50))
    np.testing.assert_allclose(effect_size(3 * differences), effect_size(differences))
    np.testing.assert_allclose(effect_size(-differences), -effect_size(differences))


def test_effect_size_without_spread():
    same = np.full((7, 3), [0.1, 0.0, -0.3])
    np.testing.assert_array_equal(effect_size(same), [np.inf, 0, -np.inf])
    assert np.isnan(effect_size(np.array([0.4])))


def test_what_has_no_test_is_refused():
    for function in (randomisation_test, effect_size):
        with pytest.raises(ValueError, match="differences must hold a finite number"):
            function(np.array([0.1, np.nan]))
        with pytest.raises(ValueError, match="at least one query"):
            function(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="n_resamples"):
        randomisation_test(np.ones(3), n_resamples=0)
    for wrong in ([0.1, 1.2], [-0.1], [np.nan], [[0.1]]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm(np.array(wrong))


def test_a_difference_counts_below_five_percent_after_holm():
    p = np.array([0.01, 0.02, 0.04])
    assert differs(holm(p)).tolist() == [True, True, True]
    assert differs(holm(np.append(p, 0.9))).tolist() == [True, False, False, False]
    assert not differs(np.nan)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.1), (float("nan"), 1.0)])
def test_verdict_refuses_what_is_no_interval(low, high):
    with pytest.raises(ValueError, match="lower one first"):
        verdict(low, high)
