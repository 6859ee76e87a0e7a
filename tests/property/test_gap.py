"""What changes nothing, and cases with an answer in closed form."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from mmgap.gap import (
    MEASURES,
    alignment,
    cone,
    cross_uniformity,
    effective_rank,
    frechet,
    frechet_covariance_term,
    frechet_mean_term,
    k_occurrence,
    l2i,
    l2m,
    l2m_unbiased,
    linear_cka,
    linear_separability,
    mmd,
    paired_cosine,
    participation_ratio,
    rmg,
    shifted,
    uniformity,
    unpaired_cosine,
    variance_dims,
)
from mmgap.gap.measures import neighbour_probability

SEED = st.integers(0, 2**32 - 1)


def clouds(seed, n=40, dim=12):
    """Pairs with a gap, a spread of their own, and no two alike."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n, dim))
    image = shared * np.linspace(1.5, 0.5, dim) + 0.6 * rng.standard_normal((n, dim))
    text = 0.7 * shared + 0.6 * rng.standard_normal((n, dim))
    image[:, 0] += 1.2
    text[:, 1] += 0.8
    return image, text


def rotation(sides, rng):
    turn = ortho_group.rvs(sides[0].shape[1], random_state=rng)
    return tuple(side @ turn for side in sides)


def permutation(sides, rng):
    order = rng.permutation(len(sides[0]))
    return tuple(side[order] for side in sides)


def shuffled_texts(sides, rng):
    return sides[0], sides[1][rng.permutation(len(sides[1]))]


def swap(sides, _):
    return sides[::-1]


def scale(sides, rng):
    return tuple(side * rng.uniform(0.1, 10, (len(side), 1)) for side in sides)


CHANGES = {
    "rotation": rotation,
    "permutation of pairs": permutation,
    "shuffled texts": shuffled_texts,
    "modality swap": swap,
    "scale of a row": scale,
}
CASES = [
    (measure, change)
    for measure in MEASURES.values()
    for change in CHANGES
    if not (measure.sides and change in ("shuffled texts", "modality swap"))
]
# The optimum of the classifier is found up to a tolerance: two of 240 judgments may flip.
TOLERANCE = {"linear_separability": 0.009}


def value(measure, sides):
    return measure.function(*(sides[:1] if measure.sides else sides))


def holds(measure, change):
    return change in measure.unchanged_by


@pytest.mark.parametrize(
    ("measure", "change"),
    [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in CASES if holds(*case)],
)
@settings(max_examples=6, deadline=None)
@given(seed=SEED)
def test_what_a_measure_declares_changes_nothing(measure, change, seed):
    sides = clouds(seed)
    changed = CHANGES[change](sides, np.random.default_rng(seed))
    tolerance = TOLERANCE.get(measure.name, 1e-7)
    assert value(measure, changed) == pytest.approx(value(measure, sides), abs=tolerance, rel=1e-7)


@pytest.mark.parametrize(
    ("measure", "change"),
    [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in CASES if not holds(*case)],
)
def test_what_a_measure_does_not_declare_changes_something(measure, change):
    """One of a few examples shows it."""
    moved = []
    for seed in range(4):
        image, text = clouds(seed, n=60)
        narrow = 0.2 * text + np.ones(12)  # a cone off the cloud of images, for which many are far
        for sides in [(image, text), (image, narrow)]:
            changed = CHANGES[change](sides, np.random.default_rng(seed))
            moved.append(abs(value(measure, changed) - value(measure, sides)))
    assert max(moved) > 1e-4


# ---------------------------------------------------------------------- Diracs


@given(st.floats(0.05, np.pi - 0.05), st.integers(2, 8))
def test_two_points_at_a_known_angle(angle, n):
    image = np.tile([1.0, 0.0, 0.0], (n, 1))
    text = np.tile([np.cos(angle), np.sin(angle), 0.0], (n, 1))
    distance = 2 * np.sin(angle / 2)
    assert l2m(image, text) == pytest.approx(distance, abs=1e-12)
    assert l2m_unbiased(image, text) == pytest.approx(distance, abs=1e-9)
    assert l2i(image, text) == pytest.approx(distance, abs=1e-12)
    assert alignment(image, text) == pytest.approx(distance**2, abs=1e-12)
    assert paired_cosine(image, text) == pytest.approx(np.cos(angle), abs=1e-12)
    assert unpaired_cosine(image, text) == pytest.approx(np.cos(angle), abs=1e-12)
    assert cross_uniformity(image, text) == pytest.approx(-2 * distance**2, abs=1e-9)
    assert rmg(image, text) == pytest.approx(1, abs=1e-9)
    assert cone(text) == pytest.approx(1, abs=1e-9)
    assert uniformity(text) == pytest.approx(0, abs=1e-9)
    assert effective_rank(text) == variance_dims(text) == participation_ratio(text) == 0


# ----------------------------------------------------------------- known shift


@given(SEED, st.floats(0.1, 3))
def test_a_known_shift_of_the_texts_is_the_gap(seed, height):
    """Two copies of one cloud on parallel circles of latitude, at heights h and -h."""
    flat = np.random.default_rng(seed).standard_normal((20, 5))
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    up = np.full((20, 1), height)
    image, text = np.hstack([flat, up]), np.hstack([flat, -up])
    gap = 2 * height / np.sqrt(1 + height**2)
    for measure in (l2m, l2m_unbiased, l2i):
        assert measure(image, text) == pytest.approx(gap, abs=1e-9)
    assert paired_cosine(image, text) == pytest.approx(1 - gap**2 / 2, abs=1e-12)
    # The gap adds the same to every distance across.
    assert cross_uniformity(image, text) == pytest.approx(uniformity(image) - 2 * gap**2, abs=1e-9)
    paired, within = gap**2 / 4, (1 - cone(image)) / 2
    assert rmg(image, text) == pytest.approx(paired / (paired + within), abs=1e-9)
    # Half of the way: heights +-gap / 4 above a circle of radius 1 / sqrt(1 + h^2), as before.
    halfway = l2m(*shifted(image, text, gap / 2))
    assert halfway == pytest.approx(gap / 2 / np.sqrt(1 / (1 + height**2) + gap**2 / 16), abs=1e-9)
    assert l2m(*shifted(image, text, gap)) == pytest.approx(0, abs=1e-9)


# -------------------------------------------------------------- rotated copies


@given(SEED)
def test_a_copy_has_no_gap(seed):
    image, _ = clouds(seed)
    assert (
        l2m(image, image) == l2i(image, image) == alignment(image, image) == rmg(image, image) == 0
    )
    assert paired_cosine(image, image) == pytest.approx(1, abs=1e-12)
    assert unpaired_cosine(image, image) == pytest.approx(cone(image), abs=1e-12)
    assert cross_uniformity(image, image) == pytest.approx(uniformity(image), abs=1e-12)


@given(SEED)
def test_rmg_is_one_half_where_pairs_are_as_far_as_the_rest(seed):
    """Texts that are the images of others, each once: pairs are as far as random images.

    Over all n - 1 cyclic shifts the paired distance averages to the mean distance of images.
    """
    image, _ = clouds(seed, n=9)
    paired = [paired_cosine(image, np.roll(image, k, axis=0)) for k in range(1, 9)]
    assert np.mean(paired) == pytest.approx(cone(image), abs=1e-12)
    simplex = np.eye(9)
    assert rmg(simplex, np.roll(simplex, 1, axis=0)) == pytest.approx(0.5, abs=1e-12)


@given(SEED)
def test_opposite_copies(seed):
    image, _ = clouds(seed)
    assert l2i(image, -image) == pytest.approx(2, abs=1e-12)
    assert paired_cosine(image, -image) == pytest.approx(-1, abs=1e-12)
    assert unpaired_cosine(image, -image) == pytest.approx(-cone(image), abs=1e-12)


# ------------------------------------------------------------ isotropic clouds


@settings(max_examples=5, deadline=None)
@given(SEED)
def test_isotropic_gaussians(seed):
    """2,000 directions in 16 dimensions: no cone, full rank, and a gap of chance alone."""
    n, dim = 2000, 16
    image, text = np.random.default_rng(seed).standard_normal((2, n, dim))
    assert cone(image) == pytest.approx(0, abs=0.005)
    assert unpaired_cosine(image, text) == pytest.approx(0, abs=0.005)
    assert rmg(image, text) == pytest.approx(0.5, abs=0.01)
    # E |mean x - mean y|^2 = 2 / n.
    assert l2m(image, text) == pytest.approx(np.sqrt(2 / n), rel=0.7)
    assert l2m_unbiased(image, text) < 0.05
    assert effective_rank(image) == pytest.approx(dim, rel=0.01)
    assert participation_ratio(image) == pytest.approx(dim, rel=0.02)
    assert variance_dims(image) == dim
    assert linear_separability(image, text, n_repeats=1) == pytest.approx(0.5, abs=0.06)
    # The potential exp(2 t (cos - 1)) with the density of cos on the sphere, t = 2.
    cosines = np.linspace(-1, 1, 20_001)
    density = (1 - cosines**2) ** ((dim - 3) / 2)
    potential = (np.exp(4 * (cosines - 1)) * density).sum() / density.sum()
    assert uniformity(image) == pytest.approx(np.log(potential), abs=0.02)
    assert cross_uniformity(image, text) == pytest.approx(np.log(potential), abs=0.02)


# --------------------------------------------------------------------- bounds


@given(SEED)
def test_centroids_are_never_further_apart_than_pairs_are(seed):
    sides = clouds(seed, n=5)
    assert l2m_unbiased(*sides) <= l2m(*sides) <= l2i(*sides) <= np.sqrt(alignment(*sides)) + 1e-12


@given(SEED, st.integers(3, 30))
def test_ranks_are_bounded_by_rows_and_dimensions(seed, n):
    image, _ = clouds(seed, n=n)
    most = min(n - 1, 12)
    assume(n > 3)
    assert 1 <= participation_ratio(image) <= effective_rank(image) <= most + 1e-9
    assert 1 <= variance_dims(image) <= most


# ------------------------------------------------- sets, neighbours and lists


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_values_lie_in_the_range(measure, seed):
    rng = np.random.default_rng(seed)
    low, high = measure.range
    assert low <= value(measure, clouds(seed, n=12, dim=int(rng.integers(2, 20)))) <= high


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
    chance = neighbour_probability(scores[None] / 4, k)[0]
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
