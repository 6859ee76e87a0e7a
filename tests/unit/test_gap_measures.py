"""Distances, cosines, uniformity, spectra, separability and shift, on cases worked out apart."""

import functools
import importlib

import numpy as np
import pytest
import torch
from scipy.linalg import svdvals
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import LogisticRegression

from mmgap.arrays import row_blocks, unit_rows
from mmgap.errors import MmgapError
from mmgap.gap import (
    alignment,
    cone,
    contrastive_loss,
    cross_uniformity,
    effective_rank,
    gap_vector,
    l2i,
    l2m,
    l2m_unbiased,
    linear_separability,
    paired_cosine,
    participation_ratio,
    plug_in_bias,
    rmg,
    shift_sweep,
    shifted,
    spectrum,
    uniformity,
    unpaired_cosine,
    variance_dims,
)
from mmgap.gap.measures import cosine_over_pairs, gaussian_over_pairs, paired_rows, two_sides


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def sides(rng):
    """30 images and texts in 8 dimensions, apart from each other and alike within a pair."""
    shared = rng.standard_normal((30, 8))
    image = shared + 0.5 * rng.standard_normal((30, 8))
    text = shared + 0.5 * rng.standard_normal((30, 8))
    image[:, 0] += 2
    return image, text


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# ---------------------------------------------------------------- the door


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_rows_come_out_unit_and_float64(dtype):
    given = np.array([[3, 4], [0, -2]], dtype=dtype)
    rows = unit_rows("image_embeddings", given)
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, -1]], atol=1e-15)
    assert given[0, 0] == 3


@pytest.mark.parametrize("length", [1e-320, 1e-170, 1e-30, 1e30, 1e200, 1e308])
def test_very_long_and_very_short_rows_keep_their_direction(length):
    rows = unit_rows("rows", np.array([[1.0, 0.0], [0.5, 0.5]]) * length)
    np.testing.assert_allclose(rows, [[1, 0], [0.5**0.5, 0.5**0.5]], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-15)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            np.zeros(3),
            r"text must be real numbers of shape \(n, dim\).*got float64 of shape \(3,\)",
        ),
        (np.zeros((0, 3)), r"hold at least one; got float64 of shape \(0, 3\)"),
        (np.zeros((3, 0)), r"got float64 of shape \(3, 0\)"),
        (np.ones((2, 2), dtype=complex), "complex128"),
        (np.array([["a"]]), "must be real numbers"),
        (np.ones((2, 2), dtype=bool), "got bool"),
        ([[1, 0], [0, 0], [0, 0]], r"row 1 of text is zero.*\(2 such rows of 3\)"),
        ([[1, 0], [np.nan, 0]], "row 1 of text holds NaN or infinity"),
        ([[np.inf, 0], [1, 0]], "row 0 of text holds NaN or infinity"),
    ],
)
def test_unusable_rows_are_named(rows, message):
    with pytest.raises(MmgapError, match=message):
        unit_rows("text", np.asarray(rows))


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(MmgapError, match="2 dimensions for images and 3 for texts"):
        two_sides(np.eye(2), np.eye(3))
    with pytest.raises(MmgapError, match="got 2 images and 3 texts"):
        paired_rows(np.eye(3)[:2], np.eye(3))
    with pytest.raises(MmgapError, match="row 0 of text_embeddings is zero"):
        paired_rows(np.eye(2), np.zeros((2, 2)))


@pytest.mark.parametrize(("n_row", "n_column", "limit"), [(7, 3, 48), (7, 3, 1), (1, 10**9, 64)])
def test_blocks_cover_every_row_once_and_keep_to_their_limit(n_row, n_column, limit):
    blocks = list(row_blocks(n_row, n_column, block_bytes=limit))
    covered = np.concatenate([np.arange(n_row)[block] for block in blocks])
    assert covered.tolist() == list(range(n_row))
    for block in blocks:
        n = block.stop - block.start
        assert n == 1 or n * n_column * 8 <= limit


# ------------------------------------------------- means over different items


def all_pairs(matrix, weights):
    """Weighted mean of a matrix off its diagonal, one pair after the other."""
    total = count = 0.0
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            if i != j:
                total += weights[i] * weights[j] * matrix[i, j]
                count += weights[i] * weights[j]
    return total / count


def test_weighted_means_over_pairs_equal_the_loop(sides, rng):
    image, text = map(unit, sides)
    weights = rng.integers(0, 4, (3, 30)).astype(float)
    for left, right in [(image, image), (image, text)]:
        cosines = [all_pairs(left @ right.T, row) for row in weights]
        np.testing.assert_allclose(cosine_over_pairs(left, right, weights), cosines, rtol=1e-12)
        kernel = np.exp(-1.5 * cdist(left, right, "sqeuclidean"))
        potentials = [all_pairs(kernel, row) for row in weights]
        found = gaussian_over_pairs(left, right, 1.5, weights)
        np.testing.assert_allclose(found, potentials, rtol=1e-12)


def test_small_blocks_give_the_same(sides, rng, monkeypatch):
    image, text = map(unit, sides)
    weights = rng.integers(0, 4, (3, 30)).astype(float)
    whole = gaussian_over_pairs(image, text, 2.0, weights)
    pairs = importlib.import_module("mmgap.gap.measures")
    monkeypatch.setattr(pairs, "row_blocks", functools.partial(row_blocks, block_bytes=7 * 30 * 8))
    np.testing.assert_allclose(gaussian_over_pairs(image, text, 2.0, weights), whole, rtol=1e-13)


def test_a_draw_of_one_item_has_no_other():
    weights = np.array([[3.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    found = cosine_over_pairs(np.eye(3), np.eye(3), weights)
    assert np.isnan(found[0])
    assert found[1] == 0


# ------------------------------------------------------- distances and cosines


def test_each_measure_equals_its_formula(sides):
    image, text = map(unit, sides)
    others = ~np.eye(30, dtype=bool)
    gap = image.mean(axis=0) - text.mean(axis=0)
    np.testing.assert_allclose(gap_vector(*sides), gap, atol=1e-15)
    assert l2m(*sides) == pytest.approx(np.linalg.norm(gap), abs=1e-14)
    excess = np.trace(np.cov((image - text).T)) / 30
    assert l2m_unbiased(*sides) == pytest.approx(np.sqrt(gap @ gap - excess), abs=1e-14)
    assert plug_in_bias(*sides) == pytest.approx(excess / 2 / np.linalg.norm(gap), abs=1e-14)
    distances = np.linalg.norm(image - text, axis=1)
    assert l2i(*sides) == pytest.approx(distances.mean(), abs=1e-14)
    assert alignment(*sides) == pytest.approx((distances**2).mean(), abs=1e-14)
    assert alignment(*sides, alpha=3) == pytest.approx((distances**3).mean(), abs=1e-14)
    cosines = image @ text.T
    assert paired_cosine(*sides) == pytest.approx(np.diag(cosines).mean(), abs=1e-14)
    assert unpaired_cosine(*sides) == pytest.approx(cosines[others].mean(), abs=1e-14)
    assert cone(sides[0]) == pytest.approx((image @ image.T)[others].mean(), abs=1e-14)
    half = [((1 - side @ side.T) / 2)[others].mean() for side in (image, text)]
    paired = ((1 - np.diag(cosines)) / 2).mean()
    assert rmg(*sides) == pytest.approx(paired / (paired + np.mean(half)), abs=1e-14)


def test_uniformity_is_that_of_pdist(sides):
    image, text = map(unit, sides)
    for t in (2, 0.5, 30):
        potential = np.exp(-t * pdist(image) ** 2).mean()
        assert uniformity(sides[0], t=t) == pytest.approx(np.log(potential), abs=1e-9)
    kernel = np.exp(-2 * cdist(image, text) ** 2)[~np.eye(30, dtype=bool)]
    assert cross_uniformity(*sides) == pytest.approx(np.log(kernel.mean()), abs=1e-12)


def test_the_correction_may_take_everything():
    """Two opposite differences: no gap but chance, so the square would be negative."""
    image, text = np.array([[1.0, 0.1], [-1.0, 0.1]]), np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert l2m(image, text) > 0
    assert l2m_unbiased(image, text) == 0


def test_the_bias_is_infinite_where_the_centroids_coincide():
    assert plug_in_bias(np.eye(2), np.eye(2)) == np.inf


def test_rmg_of_identical_modalities_and_its_floor(sides):
    image, _ = sides
    within = (1 - cone(image)) / 2
    assert rmg(image, image) == 0
    assert rmg(image, image, floor=1e-3) == pytest.approx(1e-3 / (1e-3 + within), abs=1e-14)
    # The official code leaves a distance that is small but above 0 as it is.
    near = unit(image) + 1e-4 * np.roll(unit(image), 1, axis=0)
    assert rmg(image, near, floor=1e-3) == rmg(image, near)
    assert rmg(image, near) < 1e-6


def test_rmg_at_one_point():
    point = np.ones((3, 2))
    assert rmg(point, point) == 0
    assert rmg(point, point, floor=1e-3) == pytest.approx(1, abs=1e-12)
    assert rmg(point, -point) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda one: rmg(one, one),
        lambda one: l2m_unbiased(one, one),
        lambda one: unpaired_cosine(one, one),
        lambda one: cross_uniformity(one, one),
        lambda one: plug_in_bias(one, one),
        lambda one: cone(one),
        lambda one: uniformity(one),
        lambda one: spectrum(one),
    ],
)
def test_one_row_is_too_few_where_others_are_needed(call):
    with pytest.raises(MmgapError, match=r"at least 2 rows of each modality; got 1"):
        call(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: alignment(x, x, alpha=0), "alpha.*above 0; got 0"),
        (lambda x: uniformity(x, t=-1), "t, the sharpness.*got -1"),
        (lambda x: cross_uniformity(x, x, t=float("nan")), "got nan"),
        (lambda x: variance_dims(x, fraction=0), r"e\.g\. 0\.99; got 0"),
        (lambda x: variance_dims(x, fraction=1.5), "got 1.5"),
        (lambda x: linear_separability(x, x, n_folds=1), "n_folds must be >= 2.*got 1 and 3"),
        (lambda x: linear_separability(x, x, n_repeats=0), "got 5 and 0"),
        (lambda x: linear_separability(x, x), "a test on 5 folds needs at least 5 rows"),
        (lambda x: contrastive_loss(x, x, 0), "logit_scale.*above 0"),
        (lambda x: contrastive_loss(x, x, 1, batch_size=0), "batch_size must be at least 1"),
        (lambda x: shifted(x, x, 0.1), "coincide"),
        (lambda x: shifted(x, -x, 0.1, which="text"), "'both' or 'image'.*got 'text'"),
    ],
)
def test_numbers_out_of_range_are_refused(call, message):
    with pytest.raises(MmgapError, match=message):
        call(np.array([[1.0, 0.5], [0.5, 1.0]]))


# --------------------------------------------------------------------- spectra


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_spectra_equal_those_of_scipy(rng, shape):
    rows = unit(rng.standard_normal(shape) + 1)
    singular = svdvals(rows - rows.mean(axis=0))
    variances = singular**2 / (shape[0] - 1)
    np.testing.assert_allclose(spectrum(rows), np.sort(variances)[::-1], atol=1e-15)
    assert (spectrum(rows) > 0).sum() == min(shape[0] - 1, shape[1])
    share = singular[singular > 1e-12] / singular.sum()
    assert effective_rank(rows) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-9)
    ratio = variances.sum() ** 2 / (variances**2).sum()
    assert participation_ratio(rows) == pytest.approx(ratio, rel=1e-12)


def test_variance_dims_counts_up_to_the_share():
    """Points +-a along four axes, a^2 = 8, 4, 2, 1: shares 8, 12, 14 and 15 fifteenths."""
    corner = np.concatenate([np.diag([8, 4, 2, 1]) ** 0.5, -(np.diag([8, 4, 2, 1]) ** 0.5)])
    # A fifth coordinate brings every row to one length without any variance of its mean.
    filled = np.hstack([corner, np.sqrt(20 - (corner**2).sum(axis=1, keepdims=True))])
    shares = np.cumsum(spectrum(filled)) / spectrum(filled).sum()
    for share, expected in [(0.5, 1), (shares[1], 2), (shares[1] + 1e-6, 3), (1.0, 5)]:
        assert variance_dims(filled, fraction=share) == np.searchsorted(shares, share - 1e-9) + 1
        assert variance_dims(filled, fraction=share) <= expected
    assert variance_dims(np.concatenate([np.eye(4), -np.eye(4)]), fraction=0.75) == 3
    assert variance_dims(np.concatenate([np.eye(4), -np.eye(4)])) == 4


def test_a_point_has_no_spread():
    point = np.tile([0.6, 0.8], (4, 1))
    assert effective_rank(point) == variance_dims(point) == participation_ratio(point) == 0


# ---------------------------------------------------------- linear separability


class Recorder(LogisticRegression):
    """A classifier that remembers what it was fitted to and asked."""

    fits: list = []  # noqa: RUF012

    def fit(self, rows, labels):
        self.fits.append((rows, labels, []))
        return super().fit(rows, labels)

    def predict(self, rows):
        self.fits[-1][2].append(rows)
        return super().predict(rows)


def test_no_pair_lies_on_both_sides_of_a_fold(sides, monkeypatch):
    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Recorder)
    monkeypatch.setattr(Recorder, "fits", [])
    linear_separability(*sides, n_folds=4, n_repeats=2)
    image, text = map(unit, sides)

    def members(rows, of):
        return {int(np.argmin(((of - row) ** 2).sum(axis=1))) for row in rows}

    assert len(Recorder.fits) == 8
    judged = []
    for train, labels, (held_image, held_text) in Recorder.fits:
        assert labels.mean() == 0.5
        fold = members(held_image, image)
        assert fold == members(held_text, text)
        assert (
            members(train[labels], image) == members(train[~labels], text) == set(range(30)) - fold
        )
        judged += sorted(fold)
    assert sorted(judged) == sorted([*range(30)] * 2)


def test_separability_of_what_can_and_what_cannot_be_told_apart(rng):
    image = rng.standard_normal((200, 5))
    along = np.array([5, 0, 0, 0, 0])
    assert linear_separability(image + along, image - along) == 1
    text = rng.standard_normal((200, 5))
    assert linear_separability(image, text) == pytest.approx(0.5, abs=0.1)


def test_separability_falls_below_chance_after_centring_on_the_same_rows(rng):
    image, text = (unit(rng.standard_normal((200, 50)) + shift) for shift in (0.1, -0.1))
    text += image.mean(axis=0) - text.mean(axis=0)
    assert linear_separability(image, text) < 0.4


def test_separability_is_decided_by_its_generator(rng):
    image = rng.standard_normal((50, 4))
    text = image + 0.3 * rng.standard_normal((50, 4)) + [0.4, 0, 0, 0]
    first = linear_separability(image, text)
    assert 0.5 < first < 1
    assert linear_separability(image, text) == first
    others = {linear_separability(image, text, rng=np.random.default_rng(i)) for i in range(5)}
    assert len(others) > 1


# ----------------------------------------------------------------------- shift


@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_loss_is_the_cross_entropy_of_torch(sides, scale):
    image, text = (torch.from_numpy(unit(side)) for side in sides)
    logits, target = scale * image @ text.T, torch.arange(30)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    assert contrastive_loss(*sides, scale) == pytest.approx(expected.item(), rel=1e-12)


def test_loss_in_batches_is_a_mean_over_pairs(sides):
    image, text = sides
    parts = [(slice(0, 12), 12), (slice(12, 24), 12), (slice(24, 30), 6)]
    expected = sum(contrastive_loss(image[part], text[part], 10) * n for part, n in parts) / 30
    assert contrastive_loss(image, text, 10, batch_size=12) == pytest.approx(expected, rel=1e-13)
    whole = contrastive_loss(image, text, 10)
    assert contrastive_loss(image, text, 10, batch_size=30) == whole
    assert contrastive_loss(image, text, 10, batch_size=99) == whole
    assert contrastive_loss(image, text, 10, batch_size=1) == pytest.approx(0, abs=1e-12)


def test_loss_in_small_blocks_is_the_same(sides, monkeypatch):
    whole = contrastive_loss(*sides, 100)
    module = importlib.import_module("mmgap.gap.shift")
    monkeypatch.setattr(module, "row_blocks", functools.partial(row_blocks, block_bytes=7 * 30 * 8))
    assert contrastive_loss(*sides, 100) == pytest.approx(whole, rel=1e-13)


def test_shift_moves_along_the_gap_and_returns_to_the_sphere(sides):
    image, text = map(unit, sides)
    direction = gap_vector(*sides) / l2m(*sides)
    new_image, new_text = shifted(*sides, 0.4)
    np.testing.assert_allclose(new_image, unit(image - 0.2 * direction), atol=1e-14)
    np.testing.assert_allclose(new_text, unit(text + 0.2 * direction), atol=1e-14)
    new_image, new_text = shifted(*sides, -0.4, which="image")
    np.testing.assert_allclose(new_image, unit(image + 0.4 * direction), atol=1e-14)
    np.testing.assert_allclose(new_text, text, atol=1e-14)


def test_sweep_is_tidy(sides):
    shifts = [-0.5, 0.0, 0.5]
    table = shift_sweep(*sides, shifts)
    assert table.columns.tolist() == ["shift", "distance"]
    expected = [l2m(*shifted(*sides, shift)) for shift in shifts]
    assert table["distance"].tolist() == pytest.approx(expected, abs=1e-14)
    table = shift_sweep(*sides, shifts, which="image", logit_scales=[1, 100], batch_size=10)
    assert table.columns.tolist() == ["shift", "distance", "logit_scale", "loss"]
    assert table[["shift", "logit_scale"]].values.tolist() == [
        [shift, scale] for shift in shifts for scale in (1, 100)
    ]
    at = table[(table["shift"] == 0.5) & (table["logit_scale"] == 100)]
    expected = contrastive_loss(*shifted(*sides, 0.5, which="image"), 100, batch_size=10)
    assert at["loss"].item() == pytest.approx(expected, rel=1e-13)
