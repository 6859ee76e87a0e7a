"""Streamed score distributions equal the dense ones whatever the tiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgap.scores import score_distributions, stream_score_distributions

MEASURES = (
    *("overlap", "ks", "dominance", "text_beats_relevant_image", "image_beats_relevant_text"),
)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.6),
    st.integers(1, 20_000),
)
def test_tiles_do_not_matter(sizes, seed, named, block_bytes):
    """Cosines of rows of +-1/4 are multiples of 1/8: exact, and small enough a set to tie often."""
    rng = np.random.default_rng(seed)
    queries, texts, images = (rng.choice([-0.25, 0.25], (n, 16), p=[0.3, 0.7]) for n in sizes)
    legs = {"text": texts, "image": images}
    relevant = {leg: rng.random((len(queries), len(x))) < named for leg, x in legs.items()}
    left_out = {leg: rng.random((len(queries), len(x))) < named for leg, x in legs.items()}
    for matrix in left_out.values():
        matrix[0, 0] = False
    expected = score_distributions(
        *(np.where(left_out[leg], np.nan, queries @ legs[leg].T) for leg in legs),
        text_relevant=relevant["text"],
        image_relevant=relevant["image"],
        bins=7,
    )
    found = stream_score_distributions(
        queries,
        texts,
        images,
        text_relevant=np.argwhere(relevant["text"]),
        image_relevant=np.argwhere(relevant["image"]),
        text_left_out=np.argwhere(left_out["text"]),
        image_left_out=np.argwhere(left_out["image"]),
        bins=7,
        block_bytes=block_bytes,
    )
    assert list(found.samples) == list(expected.samples)
    np.testing.assert_array_equal(found.edges, expected.edges)
    for name, sample in expected.samples.items():
        ours = found.samples[name]
        assert ours.n == sample.n
        np.testing.assert_array_equal(ours.counts, sample.counts)
        np.testing.assert_allclose(ours.quantiles, sample.quantiles, atol=1e-12)
        assert (ours.mean, ours.sd) == pytest.approx((sample.mean, sample.sd), abs=1e-12)
    for measure in MEASURES:
        assert getattr(found, measure) == pytest.approx(
            getattr(expected, measure), abs=1e-12, nan_ok=True
        ), measure
