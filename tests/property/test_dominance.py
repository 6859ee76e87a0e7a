"""What dominance and the KS distance keep under any change that keeps the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgap.scores import dominance, ks_distance, score_distributions

# Sixteenths: exact in floating point, and small enough a set to tie often.
SAMPLE = st.lists(st.integers(-16, 16), min_size=1, max_size=30).map(lambda x: np.array(x) / 16)


@given(SAMPLE, SAMPLE)
def test_dominance_counts_pairs(text, image):
    wins = np.mean([(t > i) + (t == i) / 2 for t in text for i in image])
    assert dominance(text, image) == pytest.approx(wins)


@given(SAMPLE, SAMPLE)
def test_the_two_directions_share_one(text, image):
    assert dominance(text, image) + dominance(image, text) == pytest.approx(1)


@given(SAMPLE, SAMPLE)
def test_increasing_maps_change_nothing(text, image):
    assert dominance(np.exp(text), np.exp(image)) == dominance(text, image)
    assert ks_distance(np.exp(text), np.exp(image)) == ks_distance(text, image)


@given(SAMPLE, SAMPLE)
def test_ks_distance_bounds_dominance(text, image):
    """No point of the ROC curve lies further than the KS distance above the diagonal."""
    distance = ks_distance(text, image)
    assert 0 <= distance <= 1
    assert abs(dominance(text, image) - 0.5) <= distance - distance**2 / 2 + 1e-12


@given(SAMPLE, SAMPLE)
def test_one_query_needs_no_pairing(text, image):
    found = score_distributions(text[None], image[None], image_relevant=np.ones((1, len(image))))
    assert found.text_beats_relevant_image == found.dominance == dominance(text, image)
