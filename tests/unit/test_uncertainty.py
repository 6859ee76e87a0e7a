"""Intervals, null levels, against brute force and known answers."""

from dataclasses import replace

import numpy as np
import pytest

from mmgap.arrays import unit_rows
from mmgap.errors import MmgapError
from mmgap.gap import (
    MEASURES,
    Interval,
    NullLevel,
    half_split_level,
    interval,
    null_level,
    plug_in_bias,
    too_few,
    uncertainty,
)

L2M, RMG, CONE, ERANK = (MEASURES[name] for name in ("l2m", "rmg", "cone", "effective_rank"))


def unit(rows):
    return unit_rows("rows", rows)


def clouds(rng, n=80, dim=10, gap=1.0, noise=1.0):
    shared = rng.standard_normal((n, dim))
    image = shared + noise * rng.standard_normal((n, dim))
    text = shared + noise * rng.standard_normal((n, dim))
    image[:, 0] += gap
    return image, text


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def sides(rng):
    return clouds(rng)


def draws_of(n, n_draws, seed=0):
    """The rows that the bootstrap draws, in its order."""
    rng = np.random.default_rng(seed)
    return [rng.integers(n, size=n) for _ in range(n_draws)]


# -------------------------------------------------------------------- interval


def test_a_mean_over_pairs_is_redrawn_by_its_values(sides):
    found = interval(MEASURES["paired_cosine"], *sides, n_draws=200)
    values = np.einsum("ij,ij->i", *map(unit, sides))
    means = [values[drawn].mean() for drawn in draws_of(80, 200)]
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=1e-12)
    assert (found.method, found.draws, found.level) == ("items", 200, 0.95)


def test_l2m_is_redrawn_by_rows(sides):
    found = interval(L2M, *sides, n_draws=200, level=0.8)
    values = [L2M.function(*(side[drawn] for side in sides)) for drawn in draws_of(80, 200)]
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.1, 0.9]), abs=1e-12)
    assert found.method == "weights"


def test_an_item_drawn_twice_is_no_other_item(sides):
    """Copies have cosine 1: counted as others they would lift the whole interval."""
    found = interval(CONE, sides[0], n_draws=100)
    rows = unit(sides[0])
    without_copies = []
    for drawn in draws_of(80, 100):
        other = drawn[:, None] != drawn[None, :]
        without_copies.append((rows[drawn] @ rows[drawn].T)[other].mean())
    expected = np.quantile(without_copies, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)
    with_copies = [CONE.function(rows[drawn]) for drawn in draws_of(80, 100)]
    assert np.mean(with_copies) > np.mean(without_copies) + 0.005


def test_a_measure_without_a_closed_form_is_jackknifed(sides):
    found = interval(ERANK, sides[0])
    assert (found.method, found.draws) == ("jackknife", 20)
    group_of = np.random.default_rng(0).permutation(80) % 20
    values = [ERANK.function(sides[0][group_of != group]) for group in range(20)]
    error = np.sqrt(19 / 20 * np.sum((values - np.mean(values)) ** 2))
    reach = 2.093024 * error  # t-quantile of 19 degrees of freedom
    value = ERANK.function(sides[0])
    assert (found.low, found.high) == pytest.approx((value - reach, value + reach), rel=1e-6)


def test_a_jackknife_holds_the_value_that_a_bootstrap_of_rows_misses(sides):
    value, found = ERANK.function(sides[0]), interval(ERANK, sides[0])
    assert found.low < value < found.high
    redrawn = [ERANK.function(sides[0][drawn]) for drawn in draws_of(80, 100)]
    assert np.quantile(redrawn, 0.975) < value


def test_jackknife_of_a_mean_is_about_its_standard_error(rng):
    mean = replace(
        MEASURES["paired_cosine"], per_item=None, weighted=None
    )  # the same number, without its closed form
    image, text = clouds(rng, n=400)
    values = np.einsum("ij,ij->i", unit(image), unit(text))
    found = interval(mean, image, text, n_draws=100)
    half_width = (found.high - found.low) / 2
    assert half_width == pytest.approx(1.984 * values.std() / np.sqrt(400), rel=0.25)


def test_jackknife_stays_in_the_range_of_the_measure():
    """Three of four rows point the same way: the fourth moves the mean cosine a lot."""
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    found = interval(replace(CONE, weighted=None), rows, n_draws=2)
    assert (found.low, found.high) == CONE.range


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        # 0.95 within three standard errors of 200 trials is 0.904 to 0.996.
        *((name, 0.9, 0.996) for name in ("l2m_unbiased", "rmg", "unpaired_cosine", "l2i")),
        # The bias of so few pairs is a third of the width of the interval.
        ("l2m", 0.6, 0.8),
    ],
)
def test_how_many_intervals_hold_the_value_of_the_population(name, least, most):
    measure = MEASURES[name]
    rng = np.random.default_rng(5)
    true = np.mean([measure.function(*clouds(rng, n=20_000)) for _ in range(2)])
    hits = []
    for seed in range(200):
        found = interval(measure, *clouds(rng), n_draws=300, rng=np.random.default_rng(seed))
        hits.append(found.low <= true <= found.high)
    assert least <= np.mean(hits) <= most


def test_draws_follow_the_stated_rule(rng):
    for n, expected in [(50, 1000), (8000, 500), (40_000, 200)]:
        image, text = rng.standard_normal((2, n, 2))
        assert interval(L2M, image, text).draws == expected


def test_draws_of_one_item_are_left_out():
    found = interval(CONE, np.array([[1.0, 0.0], [1.0, 1.0]]), n_draws=100)
    assert 0 < found.draws < 100
    assert found.low == found.high == pytest.approx(0.5**0.5)


def test_the_generator_decides(sides):
    first = interval(L2M, *sides, n_draws=50)
    assert interval(L2M, *sides, n_draws=50) == first
    assert interval(L2M, *sides, n_draws=50, rng=np.random.default_rng(0)) == first
    assert interval(L2M, *sides, n_draws=50, rng=np.random.default_rng(1)) != first


def test_wrong_numbers_of_inputs_are_refused(sides):
    with pytest.raises(MmgapError, match="l2m takes images and texts; got 1 arrays instead of 2"):
        interval(L2M, sides[0])
    with pytest.raises(MmgapError, match="cone takes the embeddings of one modality; got 2"):
        interval(CONE, *sides)
    with pytest.raises(MmgapError, match=r"level.*got 95"):
        interval(L2M, *sides, level=95)
    with pytest.raises(MmgapError, match="resampling needs at least 2 rows"):
        interval(L2M, sides[0][:1], sides[1][:1])
    with pytest.raises(MmgapError, match="a jackknife needs at least 4 rows"):
        interval(ERANK, sides[0][:3])


# ------------------------------------------------------------------------ null


def test_labels_are_exchanged_within_pairs(sides):
    """Every draw holds each pair once, either way round, so sums over both sides stay."""
    image, text = map(unit, sides)
    seen = []

    def watch(one, other):
        kept = (one == image).all(axis=1) & (other == text).all(axis=1)
        exchanged = (one == text).all(axis=1) & (other == image).all(axis=1)
        assert (kept ^ exchanged).all()
        seen.append(exchanged.mean())
        return float(len(seen))

    found = null_level(replace(L2M, function=watch), *sides, n_draws=400)
    assert (found.mean, found.max, found.draws, found.n) == (200.5, 400, 400, 80)
    assert (found.low, found.high) == pytest.approx(np.quantile(range(1, 401), [0.025, 0.975]))
    assert np.mean(seen) == pytest.approx(0.5, abs=0.01)
    assert np.std(seen) == pytest.approx(0.5 / np.sqrt(80), rel=0.15)


def test_texts_are_shuffled(sides):
    image, text = map(unit, sides)

    def watch(one, other):
        np.testing.assert_array_equal(one, image)
        assert sorted(map(tuple, other)) == sorted(map(tuple, text))
        return float((other == text).all(axis=1).mean())

    found = null_level(replace(MEASURES["paired_cosine"], function=watch), *sides, n_draws=200)
    assert found.kind == "pairing"
    assert found.mean == pytest.approx(1 / 80, abs=0.005)


def test_l2m_without_labels_is_that_of_a_random_walk(sides):
    """E |mean of +-d|^2 = mean |d|^2 / n."""
    found = null_level(L2M, *sides, n_draws=2000)
    d = np.subtract(*map(unit, sides))
    squared = np.sqrt((d**2).sum(axis=1).mean() / 80)
    assert found.mean < squared
    assert found.mean == pytest.approx(squared, rel=0.1)
    assert found.low < found.mean < found.high < found.max


def test_a_gap_is_told_from_none(rng):
    apart = clouds(rng, n=200, gap=1.0)
    assert L2M.function(*apart) > null_level(L2M, *apart, n_draws=100).max
    together = clouds(rng, n=200, gap=0.0)
    found = null_level(L2M, *together, n_draws=200)
    assert found.mean - 4 * (found.high - found.low) < L2M.function(*together) < found.max * 1.2


def test_a_costly_measure_is_drawn_seldom_and_from_few_rows(rng, monkeypatch):
    image, text = clouds(rng, n=300)
    sizes = []

    def watch(one, other):
        sizes.append((len(one), len(other)))
        return 0.0

    monkeypatch.setattr(uncertainty, "_COSTLY_ROWS", 50)
    for measure in (replace(L2M, costly=True), replace(L2M, weighted=None)):
        found = null_level(replace(measure, function=watch), image, text)
        assert (found.draws, found.n) == (20, 50)
        assert set(sizes) == {(50, 50)}
    assert null_level(replace(L2M, function=lambda *_: 0.0), image, text).draws == 500


def test_measures_without_a_null_level_say_so(sides):
    with pytest.raises(MmgapError, match="cone has no null level"):
        null_level(CONE, *sides)


# ---------------------------------------------------------------------- halves


def test_halves_share_no_item(rng):
    rows = unit(rng.standard_normal((21, 3)))

    def watch(one, other):
        assert len(one) == len(other) == 10
        assert len({tuple(row) for row in np.concatenate([one, other])}) == 20
        return float(one[0, 0])

    found = half_split_level(replace(L2M, function=watch), rows, n_draws=100)
    assert (found.kind, found.n, found.draws) == ("halves", 10, 100)
    assert found.max > found.low


def test_level_of_halves_has_a_closed_form(rng):
    """E |mean of half - mean of other half|^2 = 4 tr Cov / n."""
    rows = unit(rng.standard_normal((200, 50)) + 0.3)
    expected = np.sqrt(4 * np.trace(np.cov(rows.T)) / 200)
    assert half_split_level(L2M, rows).mean == pytest.approx(expected, rel=0.02)


def test_halves_need_a_measure_of_two_sets(rng):
    rows = rng.standard_normal((10, 3))
    with pytest.raises(MmgapError, match="rmg needs pairs"):
        half_split_level(RMG, rows)
    with pytest.raises(MmgapError, match="cone needs one modality"):
        half_split_level(CONE, rows)
    with pytest.raises(MmgapError, match="at least 4 rows"):
        half_split_level(L2M, rows[:3])


# --------------------------------------------------------------------- too few


def test_enough_is_silent():
    found = Interval(0.7, 0.9, 0.95, 100, "weights")
    null = NullLevel("labels", 0.1, 0.05, 0.2, 0.3, 100, 50)
    assert too_few(0.8, 500, bias=0.04, interval=found, null=null) == ""
    assert too_few(0.8, 500) == ""


def test_bias_asks_for_as_many_rows_as_bring_it_to_5_percent():
    assert "take at least 21 or" in too_few(1.0, 20, bias=0.0501)
    assert "5 % of the value; take at least 1,200" in too_few(1.0, 1000, bias=0.06).replace(
        "6 %", "5 %"
    )
    assert too_few(0.0, 20, bias=float("inf")).endswith("take more.")
    assert too_few(0.5, 20, bias=float("nan")) != ""


def test_bias_of_few_pairs_is_noticed_and_that_of_many_is_not(rng):
    image, text = clouds(rng, n=1000, gap=1.0)
    for n, expected in [(10, False), (1000, True)]:
        some = image[:n], text[:n]
        reason = too_few(L2M.function(*some), n, bias=plug_in_bias(*some))
        assert (reason == "") is expected


@pytest.mark.parametrize(
    ("low", "high", "reaches"),
    [(0.1, 0.9, True), (0.21, 0.9, False), (0.2, 0.9, True), (-1, 0.04, False), (-1, 0.05, True)],
)
def test_an_interval_that_reaches_the_null_level_is_noticed(low, high, reaches):
    found = Interval(low, high, 0.95, 100, "weights")
    null = NullLevel("labels", 0.1, 0.05, 0.2, 0.3, 100, 50)
    assert ("reaches the null level" in too_few(0.5, 500, interval=found, null=null)) is reaches
