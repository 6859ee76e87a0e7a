"""What normalising keeps, whatever the scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from mmgap.scores.calibrate import CALIBRATORS, IsotonicCalibrator
from mmgap.scores.normalise import FACTS, NORMALISERS, MaxNormaliser, QuantileNormaliser

# Sixteenths: exact in floating point, negative too, and few enough to tie often.
SCORES = st.lists(st.integers(-16, 16), min_size=1, max_size=12).map(lambda x: np.array(x) / 16)
ALL = {**NORMALISERS, "reference max": MaxNormaliser(reference="calibration")}
QUERY = {name: normaliser for name, normaliser in ALL.items() if not name.startswith("reference")}


def normalised(name, scores, reference):
    return clone(ALL[name]).fit(reference[:, None]).transform(scores[None, :])[0]


@pytest.mark.parametrize("name", ALL)
@given(scores=SCORES, reference=SCORES)
def test_no_order_is_reversed(name, scores, reference):
    found = normalised(name, scores, reference)
    ordered = found[np.argsort(scores, kind="stable")]
    assert (np.diff(ordered) >= -1e-12).all()
    for score in np.unique(scores):
        assert np.ptp(found[scores == score]) <= 1e-12


@pytest.mark.parametrize("name", FACTS)
@given(scores=SCORES, reference=SCORES)
def test_the_range_is_as_told(name, scores, reference):
    found = normalised(name, scores, reference)
    assert found.min() >= FACTS[name].low - 1e-12
    assert found.max() <= FACTS[name].high + 1e-12


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.shift_free])
@given(scores=SCORES, shift=st.integers(-4, 4), factor=st.sampled_from([0.25, 1, 8]))
def test_shift_and_scale_change_nothing(name, scores, shift, factor):
    moved = scores * factor + shift
    np.testing.assert_allclose(
        normalised(name, moved, moved), normalised(name, scores, scores), atol=1e-9
    )


@given(scores=SCORES, reference=SCORES)
def test_a_cdf_knows_order_only(scores, reference):
    cdf = QuantileNormaliser()
    raw = cdf.fit(reference[:, None]).transform(scores[None, :])
    assert (cdf.fit(np.exp(reference)[:, None]).transform(np.exp(scores)[None, :]) == raw).all()
    expected = [np.mean((reference < s) + (reference == s) / 2) for s in scores]
    assert raw[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", QUERY)
@given(scores=SCORES, other=SCORES, order=st.randoms(use_true_random=False))
def test_a_list_knows_neither_column_order_nor_other_queries(name, scores, other, order):
    places = list(range(scores.size))
    order.shuffle(places)
    alone = QUERY[name].transform(scores[None, :])[0]
    among = np.full((2, scores.size), np.nan)
    among[0] = scores[places]
    among[1, : other.size] = other[: scores.size]
    np.testing.assert_allclose(QUERY[name].transform(among)[0], alone[places], atol=1e-12)


@given(scores=SCORES, labels=st.lists(st.booleans(), min_size=12, max_size=12))
def test_calibrated_scores_are_probabilities_in_the_same_order(scores, labels):
    relevant = np.array(labels[: scores.size])
    if relevant.all() or not relevant.any():
        return
    for name in ("platt", "isotonic", "beta", "histogram"):
        fitted = clone(CALIBRATORS[name]).fit(scores[:, None], relevant)
        grid = np.linspace(-1.2, 1.2, 50)
        found = fitted.transform(grid[None, :])[0]
        assert found.min() >= 0
        assert found.max() <= 1
        if name in ("isotonic", "beta"):
            assert (np.diff(found) >= -1e-12).all()


@given(scores=SCORES, labels=st.lists(st.booleans(), min_size=12, max_size=12))
def test_isotonic_is_calibrated_on_what_it_was_fitted_on(scores, labels):
    """Each step holds exactly the share of relevant pairs that it promises."""
    relevant = np.array(labels[: scores.size])
    if relevant.all() or not relevant.any():
        return
    found = IsotonicCalibrator().fit(scores[:, None], relevant).transform(scores[:, None])[:, 0]
    for value in np.unique(found):
        step = np.abs(found - value) < 1e-12
        assert relevant[step].mean() == pytest.approx(value, abs=1e-9)
