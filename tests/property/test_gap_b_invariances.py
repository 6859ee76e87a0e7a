"""What the measures of distributions, neighbours, dimensions and groups keep, and must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgap.gap.dimension_profile import GAP_SHARE_TOP1, GAP_SHARE_TOP8
from mmgap.gap.frechet import (
    FRECHET,
    FRECHET_COVARIANCE_TERM,
    FRECHET_MEAN_TERM,
    frechet,
    frechet_covariance_term,
    frechet_mean_term,
)
from mmgap.gap.group_gaps import GAP_CONSTANCY, GAP_ORTHOGONALITY
from mmgap.gap.hubness import HUBNESS, k_occurrence
from mmgap.gap.knn_share import KNN_SHARE, neighbour_chance
from mmgap.gap.linear_cka import LINEAR_CKA, linear_cka
from mmgap.gap.mmd import MMD, mmd
from mmgap.gap.moments import streaming_moments
from mmgap.gap.neighbourhood_agreement import NEIGHBOURHOOD_AGREEMENT
from mmgap.gap.pc1_angle import PC1_ANGLE

MEASURES = [
    *(FRECHET, FRECHET_MEAN_TERM, FRECHET_COVARIANCE_TERM, MMD, LINEAR_CKA, KNN_SHARE),
    *(NEIGHBOURHOOD_AGREEMENT, *HUBNESS, GAP_SHARE_TOP1, GAP_SHARE_TOP8, PC1_ANGLE),
    *(GAP_CONSTANCY, GAP_ORTHOGONALITY),
]
CHANGES = [
    *("rotation", "permutation of pairs", "shuffled texts", "modality swap", "scale of a row"),
]


def clouds(rng, n=24, dim=10):
    """Pairs with a gap, content in common and spreads that differ."""
    content = rng.normal(size=(n, dim))
    image = content + 0.5 * rng.normal(size=(n, dim)) + 1.5 * rng.normal(size=dim)
    text = content * np.linspace(0.3, 2, dim) + 0.5 * rng.normal(size=(n, dim))
    return image, text


def changed(change, image, text, rng):
    n, dim = image.shape
    if change == "rotation":
        rotation, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
        return image @ rotation, text @ rotation
    if change == "permutation of pairs":
        order = rng.permutation(n)
        return image[order], text[order]
    if change == "shuffled texts":
        return image, text[rng.permutation(n)]
    if change == "modality swap":
        return text, image
    scales = np.exp(rng.normal(size=(2, n, 1)))
    return image * scales[0], text * scales[1]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_a_measure_is_invariant_to_what_it_names_and_to_nothing_else(measure, change):
    """Over three worlds: a change it does not name must move it in at least one."""
    moves = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        image, text = clouds(rng)
        value = measure.function(image, text)
        moves.append(abs(measure.function(*changed(change, image, text, rng)) - value))
    if change in measure.invariances:
        assert max(moves) < 1e-9
    else:
        assert max(moves) > 1e-6


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_values_lie_in_the_range(measure, seed):
    rng = np.random.default_rng(seed)
    low, high = measure.range
    assert low <= measure.function(*clouds(rng, n=12, dim=int(rng.integers(2, 20)))) <= high


@given(seed=st.integers(0, 10_000), size=st.floats(0.05, 0.9))
@settings(max_examples=25, deadline=None)
def test_a_known_shift_is_the_mean_term_alone(seed, size):
    """Both modalities hold the same rows but for the sign along one axis."""
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(9, 5))
    shown *= np.sqrt(1 - size**2) / np.linalg.norm(shown, axis=1, keepdims=True)
    image, text = np.insert(shown, 0, size, axis=1), np.insert(shown, 0, -size, axis=1)
    assert frechet_mean_term(image, text) == pytest.approx(4 * size**2)
    assert frechet_covariance_term(image, text) == pytest.approx(0, abs=1e-12)
    assert frechet(image, text) == pytest.approx(4 * size**2)
    assert linear_cka(image, text) == pytest.approx(1)


@given(seed=st.integers(0, 10_000), n=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_mmd_is_zero_for_equal_sets_only(seed, n):
    rng = np.random.default_rng(seed)
    image, text = rng.normal(size=(2, n, 4))
    assert mmd(image, image[rng.permutation(n)]) == pytest.approx(0, abs=1e-12)
    assert mmd(image, text) > 1e-6


SCORES = st.lists(st.integers(0, 4), min_size=4, max_size=9).map(np.array)


@given(SCORES, st.integers(1, 4), st.integers(0, 10_000))
def test_chances_are_those_of_random_tie_breaks(scores, k, seed):
    rng = np.random.default_rng(seed)
    chance = neighbour_chance(scores[None] / 4, k)[0]
    assert chance.sum() == pytest.approx(k)
    orders = [np.lexsort((rng.random(len(scores)), -scores))[:k] for _ in range(400)]
    drawn = np.bincount(np.concatenate(orders), minlength=len(scores)) / 400
    np.testing.assert_allclose(chance, drawn, atol=0.15)
    certain = (chance == 0) | (chance == 1)
    np.testing.assert_array_equal(chance[certain], drawn[certain])


@given(
    seed=st.integers(0, 10_000),
    n_query=st.integers(1, 12),
    n_document=st.integers(1, 40),
    block_bytes=st.integers(1, 3000),
)
@settings(deadline=None)
def test_k_occurrence_does_not_depend_on_the_blocks(seed, n_query, n_document, block_bytes):
    """Rows of plus and minus one half: exact cosines, most of them tied."""
    rng = np.random.default_rng(seed)
    queries = rng.choice([-0.5, 0.5], (n_query, 4))
    documents = rng.choice([-0.5, 0.5], (n_document, 4))
    k = int(rng.integers(1, n_document + 1))
    order = np.argsort(-queries @ documents.T, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(
        k_occurrence(queries, documents, k, block_bytes=block_bytes),
        np.bincount(order.ravel(), minlength=n_document),
    )


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 60),
    n_cut=st.integers(0, 8),
    offset=st.sampled_from([0.0, 1.0, 1e6]),
)
@settings(deadline=None)
def test_moments_do_not_depend_on_the_blocks(seed, n, n_cut, offset):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-64, 65, (n, 3)) / 64
    cuts = np.sort(rng.integers(0, n + 1, n_cut))
    moments = streaming_moments(np.split(rows + offset, cuts))
    assert moments.n == n
    np.testing.assert_allclose(moments.mean - offset, rows.mean(0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(moments.covariance(), np.cov(rows.T), rtol=0, atol=1e-8)
