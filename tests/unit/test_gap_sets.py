"""Distributions, neighbours, dimensions and groups, on cases small enough to work out."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import skew
from sklearn.metrics.pairwise import cosine_similarity, rbf_kernel
from sklearn.neighbors import NearestNeighbors

from mmgap.errors import MmgapError
from mmgap.gap import (
    MEASURES,
    count_skew,
    dimension_profile,
    frechet,
    frechet_covariance_term,
    frechet_mean_term,
    gap_constancy,
    gap_fraction_top1,
    gap_fraction_top8,
    gap_orthogonality,
    i2t_hubness_skew,
    k_occurrence,
    knn_fraction,
    knn_fraction_by_item,
    linear_cka,
    mmd,
    neighbourhood_agreement,
    pc1_angle,
    t2i_hubness_max,
    t2i_hubness_skew,
)
from mmgap.gap.hubness import antihubs, of_counts, robin_hood
from mmgap.gap.measures import neighbour_probability

HUBS = [measure for name, measure in MEASURES.items() if name[:4] in ("t2i_", "i2t_")]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clouds(n=40, dim=12, gap=1.0, noise=0.5, seed=0):
    """Pairs that share content, the modalities ``gap`` apart along one axis."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, dim)) * np.linspace(1, 0.2, dim)
    sides = [content + noise * rng.normal(size=(n, dim)) for _ in range(2)]
    sides[0][:, -1] += gap
    sides[1][:, -1] -= gap
    return unit(sides[0]), unit(sides[1])


def on_sphere(points):
    """Unit rows whose first coordinates are the given ones, the rest in one more dimension."""
    points = np.asarray(points, dtype=float)
    return np.column_stack([points, np.sqrt(1 - np.sum(points**2, axis=1))])


# Frechet


@pytest.mark.parametrize(("n_image", "n_text"), [(60, 50), (8, 9)])
def test_frechet_is_the_formula_with_the_root_of_a_matrix(n_image, n_text):
    """Also where there are fewer rows than the 12 dimensions."""
    image, text = clouds(n_image)[0], clouds(n_text, seed=1)[1]
    covariances = [np.cov(side.T) for side in (image, text)]
    # The root of a product of singular matrices exists, but sqrtm needs a regular one.
    ridge = 1e-11 * np.eye(12)
    root = sqrtm((covariances[0] + ridge) @ (covariances[1] + ridge)).real
    covariance_term = np.trace(covariances[0] + covariances[1] - 2 * root)
    mean_term = np.sum((image.mean(0) - text.mean(0)) ** 2)
    assert frechet_mean_term(image, text) == pytest.approx(mean_term, abs=1e-14)
    assert frechet_covariance_term(image, text) == pytest.approx(covariance_term, abs=1e-4)
    assert frechet(image, text) == pytest.approx(mean_term + covariance_term, abs=1e-4)
    if n_image > 12:
        assert frechet(image, text) == pytest.approx(mean_term + covariance_term, abs=1e-8)


def cross(widths):
    """Two points at plus and minus each width along its own axis; the variance there is w^2/2."""
    return on_sphere(np.concatenate([np.diag(widths), -np.diag(widths)]))


def test_frechet_of_two_diagonal_gaussians():
    """The sum of (sd - sd')^2, for 2 of 4 points off the mean in each direction."""
    image, text = cross([0.6, 0.3]), cross([0.2, 0.5])
    sds = [np.sqrt(np.diag(np.cov(side.T))) for side in (image, text)]
    np.testing.assert_allclose(sds[0][:2], np.array([0.6, 0.3]) * np.sqrt(2 / 3))
    np.testing.assert_allclose(np.cov(image.T), np.diag(sds[0] ** 2), atol=1e-15)
    expected = np.sum((sds[0] - sds[1]) ** 2)
    assert frechet_covariance_term(image, text) == pytest.approx(expected, abs=1e-12)


def test_frechet_of_isotropic_gaussians_is_the_shift():
    rng = np.random.default_rng(0)
    n, dim, sd = 20_000, 8, 0.02
    centres = np.eye(dim)[:2]
    image, text = (centre + sd * rng.normal(size=(n, dim)) for centre in centres)
    # The other seven directions take sd^2 / 2 each of the length along the centre.
    shift = 2 * (1 - 7 * sd**2 / 2) ** 2
    assert frechet_mean_term(image, text) == pytest.approx(shift, abs=2e-3)
    # Rows of unit length lose all spread along their own centre but that of half the square of
    # seven normal numbers; the other modality has sd there.
    expected = 2 * (sd - sd**2 * np.sqrt(7 / 2)) ** 2
    assert frechet_covariance_term(image, text) == pytest.approx(expected, rel=0.02)


def test_equal_clouds_are_at_no_frechet_distance():
    image, _ = clouds()
    assert frechet(image, image[::-1]) == pytest.approx(0, abs=1e-12)
    assert frechet_covariance_term(image, image) >= 0


def test_frechet_needs_two_rows():
    with pytest.raises(MmgapError, match="covariance needs at least 2 rows"):
        frechet(np.eye(3), np.eye(3)[:1])


# MMD


@pytest.mark.parametrize(("n_image", "n_text"), [(40, 40), (30, 17)])
def test_mmd_is_that_of_sklearn_kernels(n_image, n_text):
    image, text = clouds(n_image)[0], clouds(n_text, seed=1)[1]
    pool = np.concatenate([image, text])
    squared = [np.sum((a - b) ** 2) for i, a in enumerate(pool) for b in pool[:i]]
    gamma = 1 / np.median(squared)
    expected = (
        rbf_kernel(image, gamma=gamma).mean()
        + rbf_kernel(text, gamma=gamma).mean()
        - 2 * rbf_kernel(image, text, gamma=gamma).mean()
    )
    assert mmd(image, text) == pytest.approx(expected, abs=1e-12)
    assert mmd(image, text) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("cosine", [0.9, 0.0, -1.0])
def test_mmd_of_diracs_is_the_same_however_far(cosine):
    """All pairs of different rows are equally far apart: 2 - 2 exp(-1)."""
    image = np.tile([1.0, 0.0], (5, 1))
    text = np.tile([cosine, np.sqrt(1 - cosine**2)], (5, 1))
    assert mmd(image, text) == pytest.approx(2 - 2 / np.e)
    assert mmd(image, image) == 0


def test_the_width_of_mmd_comes_from_a_thousand_rows_of_each():
    rng = np.random.default_rng(0)
    image, text = unit(rng.normal(size=(2500, 3))), unit(rng.normal(0.5, 1, size=(1200, 3)))
    some = np.concatenate([image[np.arange(1000) * 5 // 2], text[np.arange(1000) * 6 // 5]])
    cosines = (some @ some.T)[np.triu_indices(2000, 1)]
    gamma = 1 / np.median(2 - 2 * cosines)
    kernels = [rbf_kernel(a, b, gamma=gamma).mean() for a, b in [(image, image), (text, text)]]
    expected = sum(kernels) - 2 * rbf_kernel(image, text, gamma=gamma).mean()
    assert mmd(image, text) == pytest.approx(expected, abs=1e-10)


# CKA


def test_cka_of_rotated_copies_is_one():
    image, _ = clouds()
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    assert linear_cka(image, image @ rotation) == pytest.approx(1, abs=1e-12)


def test_cka_is_that_of_gram_matrices():
    image, text = clouds()
    centre = np.eye(40) - 1 / 40
    grams = [centre @ (side @ side.T) @ centre for side in (image, text)]
    hsic = [np.trace(a @ b) for a, b in [(grams[0], grams[1]), (grams[0],) * 2, (grams[1],) * 2]]
    assert linear_cka(image, text) == pytest.approx(hsic[0] / np.sqrt(hsic[1] * hsic[2]))


def test_cka_of_independent_noise():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 200, 50))
    assert linear_cka(image, text) == pytest.approx(50 / (200 + 50), abs=0.01)


def test_cka_without_spread_is_unknown():
    assert np.isnan(linear_cka(np.ones((4, 3)), clouds(4, 3)[0]))


# Neighbours


def test_knn_fraction_is_that_of_sklearn_neighbours():
    image, text = clouds(30)[0], clouds(20, gap=0.1, seed=1)[1]
    pool, of_image = np.concatenate([image, text]), np.arange(50) < 30
    search = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(pool)
    neighbours = search.kneighbors(return_distance=False)
    expected = (of_image[neighbours] == of_image[:, None]).mean(axis=1)
    image_shares, text_shares = knn_fraction_by_item(image, text, k=5)
    np.testing.assert_allclose(np.concatenate([image_shares, text_shares]), expected)
    assert knn_fraction(image, text, k=5) == pytest.approx(
        (expected[:30].mean() + expected[30:].mean()) / 2
    )
    assert 0.1 < expected.mean() < 0.9


def test_ties_count_with_their_share_of_the_places():
    """One image at each of two texts; a third text far away. All else of k = 1 ties or not."""
    image = np.array([[1.0, 0.0], [0.0, 1.0]])
    text = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
    image_shares, text_shares = knn_fraction_by_item(image, text, k=1)
    # Image 0 has two texts at its place. Image 1 is nearest to image 0 or those texts: a third.
    np.testing.assert_allclose(image_shares, [0, 1 / 3])
    # Texts 0 and 1 have each other and image 0; text 2 those three, two of them texts.
    np.testing.assert_allclose(text_shares, [1 / 2, 1 / 2, 2 / 3])


def test_chance_of_a_tied_place():
    scores = np.array([[0.5, 0.9, 0.5, 0.5, -np.inf], [0.1, 0.2, 0.3, 0.4, 0.5]])
    np.testing.assert_allclose(
        neighbour_probability(scores, 2), [[1 / 3, 1, 1 / 3, 1 / 3, 0], [0, 0, 0, 1, 1]]
    )
    # A rounding error is no order.
    np.testing.assert_allclose(
        neighbour_probability(np.array([[0.5, 0.5 + 1e-15]]), 1), [[0.5, 0.5]]
    )


def test_one_distribution_has_the_share_of_chance():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 1000, 5))
    assert knn_fraction(image, text) == pytest.approx(999 / 1999, abs=0.02)


def test_agreement_is_that_of_sklearn_neighbours():
    image, text = clouds(40)
    found = [
        NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute")
        .fit(side)
        .kneighbors(return_distance=False)
        for side in (image, text)
    ]
    expected = np.mean([len({*a} & {*b}) / 5 for a, b in zip(*found, strict=True)])
    assert neighbourhood_agreement(image, text, k=5) == pytest.approx(expected)
    assert neighbourhood_agreement(image, text, k=5) == pytest.approx(expected)
    assert 0.2 < expected < 0.9


def test_agreement_counts_items_not_places():
    """Nearest to image 0 is image 1, nearest to text 0 is text 2."""
    angles = np.radians([[0, 10, 30], [0, 30, 10]])
    image, text = np.stack([np.cos(angles), np.sin(angles)], axis=2)
    # Neighbours of 0, 1, 2 as images: 1, 0, 1; as texts: 2, 2, 0.
    assert neighbourhood_agreement(image, text, k=1) == 0
    assert neighbourhood_agreement(image, text, k=2) == 1


@pytest.mark.parametrize("k", [0, 3])
def test_neighbours_must_exist(k):
    with pytest.raises(MmgapError, match=f"k is {k} and there are 3 pairs.*smaller k"):
        neighbourhood_agreement(np.eye(3), np.eye(3), k=k)


def test_a_pool_must_hold_the_neighbours():
    assert knn_fraction(np.eye(3), np.eye(3), k=5) == pytest.approx(2 / 5)
    with pytest.raises(MmgapError, match="k is 6 and there are 6 images and texts"):
        knn_fraction(np.eye(3), np.eye(3), k=6)


# Hubness


def dense_counts(queries, documents, k):
    order = np.argsort(-cosine_similarity(queries, documents), axis=1, kind="stable")
    return np.bincount(order[:, :k].ravel(), minlength=len(documents))


@pytest.mark.parametrize("block_bytes", [1, 1000, 5000, 2**26])
@pytest.mark.parametrize("k", [1, 4, 33])
def test_k_occurrence_is_the_dense_one(k, block_bytes):
    queries, documents = clouds(50)[1], clouds(33, seed=2)[0]
    expected = dense_counts(queries, documents, k)
    found = k_occurrence(queries, documents, k, block_bytes=block_bytes)
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == 50 * k


def test_more_queries_than_are_taken_at_once():
    queries, documents = clouds(2500, seed=1)[1], clouds(300)[0]
    found = k_occurrence(queries, documents, block_bytes=8 * 1024 * 70)
    np.testing.assert_array_equal(found, dense_counts(queries, documents, 10))


@pytest.mark.parametrize("block_bytes", [1, 100, 300, 2**26])
def test_of_equal_documents_the_first_are_taken(block_bytes):
    """Rows of plus and minus one half have exact cosines, most of them tied."""
    rng = np.random.default_rng(0)
    queries, documents = rng.choice([-0.5, 0.5], (20, 4)), rng.choice([-0.5, 0.5], (60, 4))
    np.testing.assert_array_equal(
        k_occurrence(queries, documents, 7, block_bytes=block_bytes),
        dense_counts(queries, documents, 7),
    )
    assert k_occurrence(queries, np.tile(documents[:1], (9, 1)), 2).tolist() == [20, 20] + [0] * 7


def test_statistics_of_counts():
    counts = np.array([0, 1, 0, 7, 2, 0, 5, 1])
    assert count_skew(counts) == pytest.approx(skew(counts))
    assert of_counts(antihubs, counts) == 3 / 8
    # Mean 2; 5 + 3 above it, of 16.
    assert of_counts(robin_hood, counts) == 8 / 16
    even = np.full(7, 3)
    assert (count_skew(even), of_counts(antihubs, even), of_counts(robin_hood, even)) == (0, 0, 0)


def test_counts_must_be_counts():
    with pytest.raises(MmgapError, match=r"one k-occurrence for each .* got shape \(0,\)"):
        count_skew(np.array([]))


def test_directions_of_hubness():
    image, text = clouds(50)
    counts = dense_counts(text, image, 10)
    assert t2i_hubness_skew(image, text) == pytest.approx(skew(counts))
    assert t2i_hubness_max(image, text) == counts.max()
    assert i2t_hubness_skew(image, text) == pytest.approx(skew(dense_counts(image, text, 10)))
    values = {measure.name: measure.function(image, text) for measure in HUBS}
    backward = {measure.name: measure.function(text, image) for measure in HUBS}
    for name, value in values.items():
        other = {"t2i": "i2t", "i2t": "t2i"}[name[:3]] + name[3:]
        assert value == backward[other]
    assert len({round(value, 9) for value in values.values()}) > 4


def test_k_occurrence_says_what_is_wrong():
    with pytest.raises(MmgapError, match="k is 4 and there are 3 documents"):
        k_occurrence(np.eye(3), np.eye(3), 4)
    with pytest.raises(MmgapError, match="queries have 3 dimensions and documents 2"):
        k_occurrence(np.eye(3), np.eye(2), 1)
    with pytest.raises(MmgapError, match=r"row 1 of documents\[0:3\] is zero"):
        k_occurrence(np.eye(3), np.diag([1.0, 0.0, 1.0]), 1)


# Dimensions


def test_profile_of_a_gap_known_by_hand():
    image, text = np.array([[0.0, 0.6, 0.8]]), np.array([[0.8, 0.6, 0.0]])
    image, text = np.vstack([image, [[0.6, 0.8, 0.0]]]), np.vstack([text, text])
    profile = dimension_profile(image, text)
    # Means (.3, .7, .4) and (.8, .6, 0): gap (-.5, .1, .4), squared .25 .01 .16 of .42.
    assert profile.dims.tolist() == [0, 2, 1]
    np.testing.assert_allclose(profile.gap, [-0.5, 0.4, 0.1])
    np.testing.assert_allclose(profile.fractions, np.array([25, 16, 1]) / 42)
    assert gap_fraction_top1(image, text) == pytest.approx(25 / 42)
    assert gap_fraction_top8(image, text) == pytest.approx(1)


def test_all_shares_are_one_and_not_a_rounding_error_more():
    sides = np.random.default_rng(0).normal(size=(200, 2, 5, 4))
    assert max(dimension_profile(*pair).fractions.sum() for pair in sides) > 1
    assert max(gap_fraction_top8(*pair) for pair in sides) == 1


def test_without_a_gap_shares_are_unknown():
    image, _ = clouds()
    assert np.isnan(gap_fraction_top1(image, image[::-1]))
    assert np.isnan(pc1_angle(image, image))
    assert np.isnan(gap_orthogonality(image, image))


# PC1


def test_pc1_is_the_first_singular_vector_of_the_pool():
    image, text = clouds(gap=1.4)
    pool = np.concatenate([image, text])
    _, _, components = np.linalg.svd(pool - pool.mean(0))
    gap = image.mean(0) - text.mean(0)
    expected = abs(components[0] @ gap) / np.linalg.norm(gap)
    assert pc1_angle(image, text) == pytest.approx(expected, abs=1e-10)
    assert 0.3 < expected < 0.999


def test_a_spread_across_the_gap_is_first():
    """Both modalities spread along the first axis, and differ along the second."""
    first = np.array([-0.8, 0.8, -0.6, 0.6])
    image = np.column_stack([first, np.full(4, 0.1), np.sqrt(0.99 - first**2)])
    assert pc1_angle(image, image * [1, -1, 1]) == pytest.approx(0, abs=1e-12)


# Groups


def test_orthogonality_is_over_all_differences():
    image, text = clouds(15)[0], clouds(9, seed=1)[1]
    gap = image.mean(0) - text.mean(0)
    cosines = [
        (a - b) @ gap / np.linalg.norm(a - b) / np.linalg.norm(gap)
        for side in (image, text)
        for i, a in enumerate(side)
        for b in side[:i]
    ]
    assert gap_orthogonality(image, text) == pytest.approx(np.abs(cosines).mean())
    assert np.abs(cosines).mean() > 0.1


def test_orthogonality_of_many_rows_takes_a_thousand():
    image, text = clouds(1500)
    found = [gap_orthogonality(image, text, rng=np.random.default_rng(i)) for i in (0, 0, 1)]
    assert found[0] == found[1] == pytest.approx(found[2], abs=0.01)
    assert found[0] != found[2]


def test_equal_rows_have_no_direction_between_them():
    image, text = np.eye(3)[[0, 0, 1]], np.eye(3)[[2, 2, 2]]
    # Gap (2/3, 1/3, -1), difference (1, -1, 0).
    expected = (1 / 3) / (np.sqrt(2) * np.sqrt(4 / 9 + 1 / 9 + 1))
    assert gap_orthogonality(image, text) == pytest.approx(expected)
    assert np.isnan(gap_orthogonality(image[:2], text[:2]))


@pytest.mark.parametrize(("n", "asked", "size"), [(50, 20, 20), (31, 100, 15)])
def test_constancy_is_the_cosine_of_group_means(n, asked, size):
    image, text = clouds(n)
    order = np.random.default_rng(4).permutation(n)
    means = [(image - text)[order[at : at + size]].mean(0) for at in (0, size)]
    value = gap_constancy(image, text, size=asked, rng=np.random.default_rng(4))
    assert value == pytest.approx(cosine_similarity(means)[0, 1])


def test_a_gap_of_chance_is_not_constant():
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 2000, 64))
    assert abs(gap_constancy(image, text)) < 0.05


# What every measure promises


@pytest.mark.parametrize("name", ["frechet_mean_term", "gap_fraction_top1", "gap_fraction_top8"])
def test_a_weight_is_a_number_of_copies(name):
    measure = MEASURES[name]
    image, text = clouds(50)
    drawn = np.random.default_rng(0).integers(0, 50, (3, 50))
    weights = np.array([np.bincount(draw, minlength=50) for draw in drawn])
    expected = [measure.function(image[draw], text[draw]) for draw in drawn]
    np.testing.assert_allclose(measure.weighted(image, text, weights), expected, rtol=1e-10)
    assert np.ptp(expected) > 1e-3


def test_weighted_mmd_keeps_the_kernel_of_the_whole_sample():
    image, text = clouds(50)
    draw = np.random.default_rng(0).integers(0, 50, 50)
    pool = np.concatenate([image, text])
    gamma = 1 / np.median((2 - 2 * pool @ pool.T)[np.triu_indices(100, 1)])
    kernels = [
        rbf_kernel(a[draw], b[draw], gamma=gamma).mean()
        for a, b in [(image, image), (text, text), (image, text)]
    ]
    found = MEASURES["mmd"].weighted(image, text, np.bincount(draw, minlength=50)[None])
    assert found == pytest.approx(kernels[0] + kernels[1] - 2 * kernels[2])


def test_weighted_hubness_redraws_the_documents():
    image, text = clouds(50)
    counts = dense_counts(text, image, 10)
    # The largest hub is not drawn.
    draw = np.random.default_rng(0).choice(np.delete(np.arange(50), counts.argmax()), 50)
    assert counts[draw].max() < counts.max()
    weights = np.bincount(draw, minlength=50)[None]
    found = {measure.name: measure.weighted(counts, weights)[0] for measure in HUBS[:4]}
    assert found == pytest.approx(
        {
            "t2i_hubness_skew": skew(counts[draw]),
            "t2i_hubness_max": counts[draw].max(),
            "t2i_antihub_rate": np.mean(counts[draw] == 0),
            "t2i_robin_hood": of_counts(robin_hood, counts[draw]),
        }
    )


@pytest.mark.parametrize("measure", [mmd, knn_fraction, neighbourhood_agreement])
def test_blocks_change_nothing(measure, monkeypatch):
    image, text = clouds(40)
    whole = measure(image, text)
    monkeypatch.setattr("mmgap.gap.measures.BLOCK_BYTES", 1)
    assert measure(image, text) == pytest.approx(whole, abs=1e-12)
