"""Geometry of real CLIP features against the numbers worked out for them elsewhere."""

import numpy as np
import pytest
from scipy.stats import skew

from mmgap.contrastive import _recall
from mmgap.gap import (
    count_skew,
    dimension_profile,
    frechet,
    frechet_covariance_term,
    frechet_mean_term,
    gap_constancy,
    gap_fraction_top1,
    gap_fraction_top8,
    gap_orthogonality,
    k_occurrence,
    knn_fraction,
    knn_fraction_by_item,
    l2m,
    linear_cka,
    mmd,
    neighbourhood_agreement,
    pc1_angle,
    rmg,
    t2i_hubness_max,
    t2i_hubness_skew,
)
from mmgap.paths import oracles_dir

FEATURES = oracles_dir() / "features_clip.npy"
pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)


@pytest.fixture(scope="module")
def features():
    """500 images and their captions, as the file has them."""
    return np.load(FEATURES, allow_pickle=False)


@pytest.fixture(scope="module")
def halves(features):
    """Calibration and test half, unit rows in float64: ((image, text), (image, text))."""
    rows = features.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    order = np.random.default_rng(0).permutation(500)
    return rows[:, order[:250]], rows[:, order[250:]]


def test_frechet(features):
    """With covariances that divide by n - 1; a divisor of n gives 1.1044."""
    image, text = features
    assert frechet(image, text) == pytest.approx(1.1052, abs=5e-5)
    assert frechet_mean_term(image, text) == pytest.approx(0.7248, abs=5e-5)
    assert frechet_covariance_term(image, text) == pytest.approx(0.3804, abs=5e-5)


def test_mmd(features):
    """With all i and j and the median of squared distances; without i = j it is .4174."""
    assert mmd(*features) == pytest.approx(0.4193, abs=5e-5)


def test_linear_cka(features):
    assert linear_cka(*features) == pytest.approx(0.6362, abs=5e-5)


def test_neighbours(features):
    assert knn_fraction(*features) == pytest.approx(1.0, abs=5e-4)
    assert min(share.min() for share in knn_fraction_by_item(*features)) == 1
    assert neighbourhood_agreement(*features) == pytest.approx(0.2494, abs=5e-5)


def test_hubness_of_the_held_out_half(halves):
    _, (image, text) = halves
    assert t2i_hubness_skew(image, text) == pytest.approx(1.349, abs=5e-4)
    assert t2i_hubness_max(image, text) == 40


def test_hubness_after_centring(halves):
    calibration, test = halves
    image, text = test - calibration.mean(axis=1, keepdims=True)
    assert t2i_hubness_skew(image, text) == pytest.approx(0.797, abs=5e-4)
    assert t2i_hubness_max(image, text) == 28


def test_hubness_after_nearest_neighbour_normalisation(halves):
    """An image's mean cosine to its 16 nearest calibration captions, times .75, taken away."""
    (_, captions), (image, text) = halves
    nearest = np.sort(image @ captions.T, axis=1)[:, -16:].mean(axis=1)
    scores = text @ image.T - 0.75 * nearest
    counts = np.bincount(np.argsort(-scores, axis=1)[:, :10].ravel(), minlength=250)
    assert count_skew(counts) == pytest.approx(0.341, abs=5e-4)
    assert counts.max() == 22
    assert counts.min() > 0


@pytest.mark.parametrize("block_bytes", [10_000, 300_000])
def test_k_occurrence_of_all_captions(features, block_bytes):
    image, text = features.astype(np.float64)
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    top = np.argsort(-(text @ image.T), axis=1, kind="stable")[:, :10]
    counts = np.bincount(top.ravel(), minlength=500)
    np.testing.assert_array_equal(k_occurrence(text, image, block_bytes=block_bytes), counts)
    assert t2i_hubness_skew(image, text) == pytest.approx(skew(counts))


def test_few_dimensions_carry_the_gap(features):
    profile = dimension_profile(*features)
    assert profile.dims[:3].tolist() == [442, 362, 292]
    np.testing.assert_allclose(np.abs(profile.gap[:3]), [0.501, 0.496, 0.142], atol=5e-4)
    top = [profile.fractions[:m].sum() for m in (1, 2, 8)]
    np.testing.assert_allclose(top, [0.346, 0.686, 0.789], atol=5e-4)
    assert (gap_fraction_top1(*features), gap_fraction_top8(*features)) == (top[0], top[2])


def test_recall_of_pairs(features):
    image, text = features
    assert _recall(image, text) == pytest.approx(0.552, abs=1e-9)
    assert _recall(text, image) == pytest.approx(0.506, abs=1e-9)
    assert l2m(image, text) == pytest.approx(0.8513518694, abs=1e-8)
    assert rmg(image, text) == pytest.approx(0.5914597349, abs=1e-8)


def test_what_is_left_without_two_dimensions(features):
    """They hold 69 % of the squared gap, but the rest is stretched to unit length again."""
    left = l2m(*np.delete(features.astype(np.float64), [442, 362], axis=2))
    assert np.sqrt(1 - 0.686) * 0.8514 < left < 0.75 * 0.8514


def test_the_first_principal_component_is_the_gap(features):
    """1.3 degrees apart."""
    cosine = pc1_angle(*features)
    assert cosine == pytest.approx(0.99975, abs=5e-6)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(1.28, abs=0.02)


def test_the_gap_is_constant_and_orthogonal(features):
    """Published for CLIP ViT-B/32: cosine .99 between groups, sd .06 about 0 with differences."""
    assert gap_constancy(*features) == pytest.approx(0.99, abs=5e-3)
    # The mean absolute value of a normal number of sd .06 is .048.
    assert gap_orthogonality(*features) == pytest.approx(0.048, abs=0.012)
