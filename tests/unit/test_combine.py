"""Combiners on candidate matrices with missing legs."""

import numpy as np
import pytest

from mmgap.fusion import (
    COMBINERS,
    comb_max,
    comb_mean,
    comb_min,
    comb_sum,
    comb_weighted,
    ranks,
)
from mmgap.fusion import reciprocal_rank_fusion as rrf

NAN = np.nan
# Both legs, text alone, image alone, neither.
TEXT = np.array([[-0.5, -0.25, NAN, NAN]])
IMAGE = np.array([[-0.25, NAN, 0.5, NAN]])


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        (comb_max, [-0.25, -0.25, 0.5, NAN]),
        (comb_min, [-0.5, -0.25, 0.5, NAN]),
        (comb_sum, [-0.75, -0.25, 0.5, NAN]),
        (comb_mean, [-0.375, -0.25, 0.5, NAN]),
        (rrf, [1 / (60 + 2) + 1 / (60 + 2), 1 / (60 + 1), 1 / (60 + 1), NAN]),
    ],
)
def test_a_missing_leg_is_left_out(combine, expected):
    np.testing.assert_allclose(combine(TEXT, IMAGE), [expected], rtol=1e-15)


@pytest.mark.parametrize("name", COMBINERS)
def test_every_combiner_is_symmetric_and_leaves_its_input_alone(name):
    text, image = TEXT.copy(), IMAGE.copy()
    np.testing.assert_array_equal(COMBINERS[name](text, image), COMBINERS[name](image, text))
    np.testing.assert_array_equal(text, TEXT)
    np.testing.assert_array_equal(image, IMAGE)


@pytest.mark.parametrize("name", COMBINERS)
def test_rows_are_combined_on_their_own(name):
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(2, 3, 5))
    text[rng.random((3, 5)) < 0.4] = NAN
    together = COMBINERS[name](text, image)
    for row in range(3):
        alone = COMBINERS[name](text[[row]], image[[row]])
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("name", COMBINERS)
def test_shapes_must_agree(name):
    with pytest.raises(ValueError, match=r"text_scores \(1, 4\) and image_scores \(1, 3\)"):
        COMBINERS[name](TEXT, IMAGE[:, :3])


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


def test_half_precision_is_widened():
    assert comb_mean(TEXT.astype(np.float16), IMAGE.astype(np.float16)).dtype == np.float64


def test_rrf_looks_at_order_alone():
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(2, 4, 6))
    np.testing.assert_array_equal(rrf(text, image), rrf(np.exp(text), 5 * image - 3))


def test_rrf_constant_evens_the_weights_out():
    text, image = np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(rrf(text, image, k=0), [[1 + 1 / 3, 1 / 2 + 1 / 2, 1 / 3 + 1]])
    with pytest.raises(ValueError, match="negative"):
        rrf(text, image, k=-1)


def test_disjoint_legs_tie_in_pairs_exactly():
    text = np.array([[0.9, 0.8, NAN, NAN]])
    image = np.array([[NAN, NAN, 0.3, 0.2]])
    fused = rrf(text, image)[0]
    assert fused[0] == fused[2]
    assert fused[1] == fused[3]
    assert fused[0] > fused[1]


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
