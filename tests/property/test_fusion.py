"""What fusions keep under permutation, scaling and increasing maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmgap.fusion import (
    FUSIONS,
    RANK_FUSIONS,
    comb_gmnz,
    comb_max,
    comb_mean,
    comb_min,
    comb_mnz,
    comb_sum,
    log_odds_conjunction,
    ranks,
    reciprocal_rank_fusion,
    weighted_sum,
)

# Sixteenths: sums are exact, and the set is small enough to tie often.
SIXTEENTH = st.integers(-16, 16).map(lambda n: n / 16)


# A busy machine is slow to import scipy in the first example: no deadline.
PATIENT = settings(deadline=None)
FEW = settings(max_examples=20, deadline=None)  # of each fusion
ONE_TO_THREE = st.integers(1, 3)


@st.composite
def legs(draw, n_leg=ONE_TO_THREE, missing=True):
    """Score matrices of two queries and up to six documents."""
    shape = (2, draw(st.integers(1, 6)))
    element = st.one_of(SIXTEENTH, st.just(np.nan)) if missing else SIXTEENTH
    return [draw(arrays(np.float64, shape, elements=element)) for _ in range(draw(n_leg))]


def equal(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FUSIONS)
@FEW
@given(legs())
def test_order_of_legs_does_not_matter(name, given_legs):
    equal(FUSIONS[name](*given_legs), FUSIONS[name](*given_legs[::-1]))


@pytest.mark.parametrize("name", sorted(set(FUSIONS) - RANK_FUSIONS))
@FEW
@given(legs(), st.permutations(range(6)))
def test_order_of_documents_does_not_matter(name, given_legs, order):
    order = [i for i in order if i < given_legs[0].shape[1]]
    fused = FUSIONS[name](*(leg[:, order] for leg in given_legs))
    equal(fused, FUSIONS[name](*given_legs)[:, order])


@PATIENT
@given(legs(), st.permutations(range(6)), st.sampled_from(["min", "average", "max", "dense"]))
def test_nor_for_ranks_that_tie(given_legs, order, ties):
    order = [i for i in order if i < given_legs[0].shape[1]]
    fused = reciprocal_rank_fusion(*(leg[:, order] for leg in given_legs), ties=ties)
    equal(fused, reciprocal_rank_fusion(*given_legs, ties=ties)[:, order])


@pytest.mark.parametrize("name", sorted(RANK_FUSIONS))
@FEW
@given(legs())
def test_fusions_of_ranks_ignore_increasing_maps(name, given_legs):
    mapped = [np.exp(leg) * (i + 1) - 7 for i, leg in enumerate(given_legs)]
    np.testing.assert_array_equal(FUSIONS[name](*mapped), FUSIONS[name](*given_legs))


@pytest.mark.parametrize("name", sorted(set(FUSIONS) - RANK_FUSIONS))
@FEW
@given(legs(), st.integers(1, 5))
def test_fusions_of_scores_scale_with_them(name, given_legs, factor):
    equal(FUSIONS[name](*(factor * leg for leg in given_legs)), factor * FUSIONS[name](*given_legs))


@PATIENT
@given(legs())
def test_combinations_hang_together(given_legs):
    count = np.sum([~np.isnan(leg) for leg in given_legs], axis=0)
    total = comb_sum(*given_legs)
    equal(comb_mnz(*given_legs), total * count)
    equal(comb_mean(*given_legs), total / np.maximum(count, 1))
    for gamma, same in [(0, comb_sum), (1, comb_mnz), (-1, comb_mean)]:
        equal(comb_gmnz(*given_legs, gamma=gamma), same(*given_legs))
    found = count > 0
    mean = comb_mean(*given_legs)
    for name in ("min", "mean", "med", "max"):
        fused = FUSIONS[name](*given_legs)[found]
        assert (comb_min(*given_legs)[found] <= fused).all()
        assert (fused <= comb_max(*given_legs)[found]).all()
    assert (np.abs(mean[found]) <= 1).all()


@pytest.mark.parametrize("name", [n for n in FUSIONS if n not in ("log_isr", "condorcet")])
@FEW
@given(legs(n_leg=st.just(1)))
def test_one_leg_keeps_its_order(name, given_legs):
    """Fusing one leg alone changes no rank (ties: as the leg's columns)."""
    (leg,) = given_legs
    fused = FUSIONS[name](leg)
    np.testing.assert_array_equal(ranks(fused), ranks(leg))


@PATIENT
@given(st.integers(1, 20), st.integers(1, 20), st.floats(0, 100))
def test_rrf_ties_every_rank_of_disjoint_lists(n_text, n_image, k):
    """Closed form: 1 / (k + i), twice for every rank that both lists have."""
    rng = np.random.default_rng(0)
    text = np.concatenate([rng.random(n_text), np.full(n_image, np.nan)])[None]
    image = np.concatenate([np.full(n_text, np.nan), rng.random(n_image)])[None]
    fused = reciprocal_rank_fusion(text, image, k=k)
    places = np.concatenate([np.arange(1, n_text + 1), np.arange(1, n_image + 1)])
    np.testing.assert_allclose(np.sort(fused[0]), np.sort(1 / (k + places)))


@PATIENT
@given(legs(missing=False), st.floats(0, 1))
def test_convex_combination_lies_between_its_legs(given_legs, alpha):
    pair = [given_legs[0], given_legs[-1]]
    fused = weighted_sum(*pair, weights=(alpha, 1 - alpha))
    assert (fused >= np.minimum(*pair) - 1e-12).all()
    assert (fused <= np.maximum(*pair) + 1e-12).all()
    same = weighted_sum(*pair, weights=(alpha, 1 - alpha), missing="minimum")
    equal(fused, same)  # nothing is missing


@PATIENT
@given(legs(), st.floats(0.05, 0.95), st.floats(0, 1))
def test_log_odds_mirror(given_legs, prior, alpha):
    """Exchanging relevant and not relevant exchanges the probability."""
    probabilities = [(leg + 1.5) / 3 for leg in given_legs]
    fused = log_odds_conjunction(*probabilities, prior=prior, alpha=alpha)
    mirrored = log_odds_conjunction(*(1 - p for p in probabilities), prior=1 - prior, alpha=alpha)
    np.testing.assert_allclose(fused, 1 - mirrored, rtol=1e-9)
