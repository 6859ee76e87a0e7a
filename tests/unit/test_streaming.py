"""Streamed score distributions against the dense ones."""

import threading
import tracemalloc

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmgap.scores import GRID_STEP, score_distributions, stream_score_distributions
from mmgap.scores.streaming import _keys, _score, _true_by_row


def signs(rng, n, share=0.7):
    """Rows of +-1/8 in 64 dimensions: of unit length, with cosines that are exact in float32."""
    return rng.choice([-1.0, 1.0], size=(n, 64), p=[1 - share, share]) / 8


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    queries, texts, images = signs(rng, 37), signs(rng, 101), signs(rng, 53, 0.6)
    named = {
        "text_relevant": rng.random((37, 101)) < 0.03,
        "image_relevant": rng.random((37, 53)) < 0.05,
        "text_left_out": rng.random((37, 101)) < 0.02,
        "image_left_out": rng.random((37, 53)) < 0.1,
    }
    named["text_left_out"][4] = True  # one query without any text
    # Relevant pairs that are left out too, and queries with several relevant documents.
    assert (named["text_relevant"] & named["text_left_out"]).any()
    assert named["image_relevant"].sum(axis=1).max() > 2
    return queries, texts, images, named


def dense(queries, texts, images, named, rounded=False, **options):
    scores = [queries @ texts.T, queries @ images.T]
    if rounded:
        scores = [np.rint(leg / GRID_STEP) * GRID_STEP for leg in scores]
    return score_distributions(
        np.where(named["text_left_out"], np.nan, scores[0]),
        np.where(named["image_left_out"], np.nan, scores[1]),
        text_relevant=named["text_relevant"],
        image_relevant=named["image_relevant"],
        **options,
    )


def streamed(queries, texts, images, named, **options):
    pairs = {name: np.argwhere(matrix) for name, matrix in named.items()}
    return stream_score_distributions(queries, texts, images, **pairs, **options)


def assert_same(found, expected, atol=1e-12):
    assert list(found.samples) == list(expected.samples)
    np.testing.assert_allclose(found.edges, expected.edges, atol=atol)
    if atol < 1e-9:
        for name, sample in expected.samples.items():
            np.testing.assert_array_equal(found.samples[name].counts, sample.counts)
    found, expected = (
        table.to_frame().set_index(["sample", "measure"]) for table in (found, expected)
    )
    np.testing.assert_allclose(found["value"], expected["value"], atol=atol, rtol=0)


@pytest.mark.parametrize("n_thread", [1, 3])
@pytest.mark.parametrize("block_bytes", [1, 30_000, 2**26])
def test_equals_the_dense_function(world, block_bytes, n_thread):
    """Scores are multiples of 1/64 here, so that rounding to the grid changes nothing."""
    with threadpool_limits(n_thread, user_api="blas"):
        found = streamed(*world, block_bytes=block_bytes)
    assert_same(found, dense(*world))


def test_equals_the_dense_function_of_rounded_scores():
    """One query of one large entry: a score is one entry of a document, as float32."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 3000)
    docs = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    docs /= np.sqrt(np.einsum("ij,ij->i", docs, docs))[:, None]
    queries = np.eye(2, dtype=np.float32)
    nothing = np.zeros((2, 1500), dtype=bool)
    named = {
        "text_relevant": np.eye(2, 1500, dtype=bool),
        "image_relevant": np.eye(2, 1500, dtype=bool),
        "text_left_out": nothing,
        "image_left_out": nothing,
    }
    world = queries, docs[:1500], docs[1500:], named
    # Rows may be scaled again by 1 +- 1e-7, which moves few scores to the next multiple.
    found, expected = streamed(*world), dense(*world, rounded=True)
    for name, sample in expected.samples.items():
        assert np.abs(found.samples[name].counts - sample.counts).sum() <= 4
    assert_same(found, expected, atol=1e-5)


def test_lies_within_half_a_step_of_the_scores_as_they_are():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(2, 128))
    queries, texts, images = (
        centre + rng.normal(size=(n, 128))
        for n, centre in ((60, centres[0]), (400, centres[0]), (300, centres[1]))
    )
    named = {
        "text_relevant": np.eye(60, 400, dtype=bool),
        "image_relevant": np.eye(60, 300, 9, dtype=bool),
        "text_left_out": np.eye(60, 400, 50, dtype=bool),
        "image_left_out": np.zeros((60, 300), dtype=bool),
    }
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, texts, images)]
    found, expected = streamed(queries, texts, images, named), dense(*unit, named)
    half = GRID_STEP / 2 + 1e-6  # and what float32 products err by
    np.testing.assert_allclose(found.edges, expected.edges, atol=half)
    for name, sample in expected.samples.items():
        assert found.samples[name].n == sample.n
        for measure in ("mean", "sd", "quantiles"):
            ours, theirs = (getattr(x, measure) for x in (found.samples[name], sample))
            np.testing.assert_allclose(ours, theirs, atol=half)
    # A share of pairs changes only where two scores lie within one step.
    for measure in ("ks", "dominance", "text_beats_relevant_image", "image_beats_relevant_text"):
        assert getattr(found, measure) == pytest.approx(getattr(expected, measure), abs=5e-4)
    assert found.overlap == pytest.approx(expected.overlap, abs=5e-3)


def test_the_grid_rounds_to_the_nearest_multiple():
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.uniform(-1, 1, 10_000), [-1, 0, 1]]).astype(np.float32)
    nearest = np.rint(scores.astype(np.float64) / GRID_STEP) * GRID_STEP
    np.testing.assert_array_equal(_score(_keys(scores.copy())), nearest)


def test_true_by_row_counts():
    truth = np.random.default_rng(4).random((5, 43)) < 0.4
    for width in (43, 40, 7, 1):
        assert _true_by_row(truth[:, :width]).tolist() == truth[:, :width].sum(axis=1).tolist()


def test_memory_stays_below_the_block():
    """8 million scores, 32 MB as a matrix, in 4 MB for scores and 5 MB for two tables of counts."""
    rng = np.random.default_rng(5)
    queries, docs = rng.normal(size=(400, 32)), rng.normal(size=(10_000, 32))
    stream_score_distributions(queries[:2], docs[:2], docs[:2])  # imports
    with threadpool_limits(1, user_api="blas"):
        tracemalloc.start()
        stream_score_distributions(queries, docs, docs, block_bytes=4 * 2**20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Tables of counts: a leg's total, a thread's, a tile's and some for the comparison of legs.
    assert peak < 4 * 2**20 + 9 * 2.7e6


def test_relevance_that_is_not_known(world):
    queries, texts, images, _ = world
    found = stream_score_distributions(queries, texts, images)
    expected = score_distributions(queries @ texts.T, queries @ images.T)
    assert list(found.samples) == ["text", "image"]
    assert np.isnan(found.text_beats_relevant_image)
    assert found.dominance == pytest.approx(expected.dominance, abs=1e-12)
    empty = stream_score_distributions(queries, texts, images, text_relevant=[])
    assert list(empty.samples) == ["text", "image"]
    assert np.isnan(empty.image_beats_relevant_text)


def test_a_pair_named_twice_counts_once(world):
    queries, texts, images, _ = world
    once, twice = (
        stream_score_distributions(
            queries, texts, images, image_relevant=[[0, 1]] * n, text_left_out=[[0, 2]] * n
        )
        for n in (1, 2)
    )
    assert_same(twice, once)
    assert once.samples["text"].n == 37 * 101 - 1


def test_rows_of_any_length_and_type(world, tmp_path):
    queries, texts, images, named = world
    lengths = 10.0 ** np.random.default_rng(6).integers(-30, 30, (101, 1))
    np.save(tmp_path / "images.npy", images.astype(np.float16))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    before = queries.copy()
    found = streamed(8 * queries, texts * lengths, mapped, named)
    assert_same(found, dense(*world), atol=1e-5)
    np.testing.assert_array_equal(queries, before)


def test_the_users_threads_are_kept(world):
    from threadpoolctl import threadpool_info

    with threadpool_limits(2, user_api="blas"):
        before = threadpool_info()
        streamed(*world)
        assert threadpool_info() == before
    assert threading.active_count() < 10


def test_unusable_input_is_refused(world):
    queries, texts, images, _ = world
    holed = texts.copy()
    holed[70] = 0
    with pytest.raises(ValueError, match="row 70 of text_embeddings is zero or not finite"):
        stream_score_distributions(queries, holed, images)
    holed[70, 3] = np.nan
    with pytest.raises(ValueError, match="row 70 of text_embeddings is zero or not finite"):
        stream_score_distributions(queries, holed, images, block_bytes=1)
    with pytest.raises(ValueError, match="row 0 of queries"):
        stream_score_distributions(0 * queries, texts, images)
    with pytest.raises(ValueError, match="the same dimension"):
        stream_score_distributions(queries, texts, images[:, :8])
    with pytest.raises(ValueError, match="image_embeddings must have shape"):
        stream_score_distributions(queries, texts, images[:0])
    everything = np.argwhere(np.ones((37, 101)))
    with pytest.raises(ValueError, match="the text leg must hold a pair that is not left out"):
        stream_score_distributions(queries, texts, images, text_left_out=everything)
    with pytest.raises(ValueError, match=r"names the pair \[0, 53\]"):
        stream_score_distributions(queries, texts, images, image_relevant=[[0, 1], [0, 53]])
    with pytest.raises(ValueError, match=r"np\.argwhere"):
        stream_score_distributions(
            queries, texts, images, image_relevant=np.eye(37, 53, dtype=bool)
        )
    with pytest.raises(ValueError, match="block_bytes must be"):
        stream_score_distributions(queries, texts, images, block_bytes=0)
