"""Geometry of real CLIP features against the numbers worked out for them elsewhere."""

import numpy as np
import pytest
from scipy.stats import skew

from mmgap.gap.dimension_profile import (
    ablation_curve,
    dimension_profile,
    gap_share_top1,
    gap_share_top8,
)
from mmgap.gap.frechet import frechet, frechet_covariance_term, frechet_mean_term
from mmgap.gap.group_gaps import gap_constancy, gap_orthogonality, group_gaps
from mmgap.gap.hubness import (
    count_antihubs,
    count_skew,
    k_occurrence,
    t2i_hubness_max,
    t2i_hubness_skew,
)
from mmgap.gap.knn_share import knn_share, knn_share_by_item
from mmgap.gap.linear_cka import linear_cka
from mmgap.gap.mmd import mmd
from mmgap.gap.moments import streaming_moments
from mmgap.gap.neighbourhood_agreement import neighbourhood_agreement
from mmgap.gap.pc1_angle import pc1_angle
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
    assert knn_share(*features) == pytest.approx(1.0, abs=5e-4)
    assert min(share.min() for share in knn_share_by_item(*features)) == 1
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
    assert count_antihubs(counts) == 0


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
    top = [profile.shares[:m].sum() for m in (1, 2, 8)]
    np.testing.assert_allclose(top, [0.346, 0.686, 0.789], atol=5e-4)
    assert (gap_share_top1(*features), gap_share_top8(*features)) == (top[0], top[2])


@pytest.mark.parametrize(
    ("k", "image_to_text", "text_to_image"),
    [(1, 0.552, 0.506), (5, 0.808, 0.766), (10, 0.892, 0.862)],
)
def test_recall_before_anything_is_removed(features, k, image_to_text, text_to_image):
    start = ablation_curve(*features, n_dims=0, k=k).iloc[0]
    assert start["i2t_recall"] == pytest.approx(image_to_text, abs=1e-9)
    assert start["t2i_recall"] == pytest.approx(text_to_image, abs=1e-9)
    assert start["l2m"] == pytest.approx(0.8513518694, abs=1e-8)
    assert start["rmg"] == pytest.approx(0.5914597349, abs=1e-8)


def test_what_is_left_without_two_dimensions(features):
    """They hold 69 % of the squared gap, but the rest is stretched to unit length again."""
    curve = ablation_curve(*features, n_dims=2)
    assert curve["dim"].tolist() == [-1, 442, 362]
    image, text = np.delete(features.astype(np.float64), [442, 362], axis=2)
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    l2m = np.linalg.norm(image.mean(axis=0) - text.mean(axis=0))
    assert curve["l2m"][2] == pytest.approx(l2m)
    assert np.sqrt(1 - 0.686) * 0.8514 < l2m < 0.75 * 0.8514
    right = (image @ text.T).argmax(axis=1) == np.arange(500)
    assert curve["i2t_recall"][2] == pytest.approx(right.mean())
    right = (text @ image.T).argmax(axis=1) == np.arange(500)
    assert curve["t2i_recall"][2] == pytest.approx(right.mean())


def test_the_first_principal_component_is_the_gap(features):
    """1.3 degrees apart."""
    cosine = pc1_angle(*features)
    assert cosine == pytest.approx(0.99975, abs=5e-6)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(1.28, abs=0.02)


def test_the_gap_is_constant_and_at_a_right_angle(features):
    """Published for CLIP ViT-B/32: length .83, cosine .99, sd .06 about 0, residual sd .10.

    This is ViT-B/16, with .8514 over all pairs, so the length is .8552 by the bias of groups of
    100; the rest agrees.
    """
    groups = group_gaps(*features)
    assert groups.gaps.shape == (5, 512)
    assert groups.lengths.mean() == pytest.approx(np.sqrt(0.850580**2 + 0.6567 / 100), abs=2e-3)
    assert groups.lengths.std() < 0.015
    assert groups.cosines.mean() == pytest.approx(0.99, abs=5e-3)
    assert groups.cosines.mean() == gap_constancy(*features)
    assert groups.orthogonality.mean() == pytest.approx(0, abs=0.02)
    assert groups.orthogonality.std() == pytest.approx(0.06, abs=0.02)
    assert gap_orthogonality(*features) < groups.orthogonality.std()
    assert groups.residual_cosines.mean() == pytest.approx(0, abs=0.02)
    assert groups.residual_cosines.std() == pytest.approx(0.10, abs=0.02)


def test_streaming_moments_of_the_features(features):
    image = features[0]
    moments = streaming_moments(np.array_split(image, 7))
    np.testing.assert_allclose(moments.mean, image.mean(axis=0, dtype=np.float64), atol=1e-14)
    expected = np.cov(image.T.astype(np.float64))
    np.testing.assert_allclose(moments.covariance(), expected, rtol=0, atol=1e-15)
