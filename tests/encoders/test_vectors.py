"""Vectors: several for an input, the scores of pairs, and shorter ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmgap.encoders.catalog import find_model
from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder
from mmgap.encoders.vectors import (
    TokenVectors,
    check_dim,
    max_sim,
    pair_similarity,
    similarity,
    truncate,
)
from mmgap.errors import EncoderError
from mmgap.index import top_k


def ragged(rng: np.random.Generator, n: int, longest: int = 6, dim: int = 4) -> TokenVectors:
    """Unit vectors, between 1 and ``longest`` of them for each of ``n`` inputs."""
    parts = [rng.standard_normal((length, dim)) for length in rng.integers(1, longest + 1, n)]
    return TokenVectors.from_arrays(
        [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts], dim
    )


def by_hand(queries: TokenVectors, documents: TokenVectors, *, mean: bool) -> np.ndarray:
    scores = np.zeros((len(queries), len(documents)))
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            for token in query:
                scores[i, j] += max(float(token @ other) for other in document)
            if mean:
                scores[i, j] /= len(query)
    return scores


# The container


def test_inputs_are_found_again() -> None:
    arrays = [np.full((length, 3), length) for length in (2, 1, 4)]
    vectors = TokenVectors.from_arrays(arrays)
    assert (len(vectors), vectors.dim, vectors.lengths.tolist()) == (3, 3, [2, 1, 4])
    for array, found in zip(arrays, vectors, strict=True):
        np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(vectors[-1], arrays[2])
    with pytest.raises(IndexError):
        vectors[3]
    assert vectors.tokens.dtype == np.float32
    assert repr(vectors) == "TokenVectors(3 inputs, 7 vectors, dim=3)"


@pytest.mark.parametrize(
    "rows",
    [[2, 0, 2], slice(1, None), slice(None, None, -1), [], np.array([True, False, True])],
)
def test_several_inputs_at_once(rows) -> None:
    arrays = [np.full((length, 3), length, dtype=np.float32) for length in (2, 1, 4)]
    found = TokenVectors.from_arrays(arrays)[rows]
    expected = [arrays[at] for at in np.arange(3)[rows]]
    assert len(found) == len(expected)
    for part, array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, array)


def test_parts_put_together() -> None:
    one, two = ragged(np.random.default_rng(0), 3), ragged(np.random.default_rng(1), 2)
    both = TokenVectors.concatenate([one, two])
    assert both.lengths.tolist() == [*one.lengths, *two.lengths]
    np.testing.assert_array_equal(both[3], two[0])


def test_what_is_no_container_is_refused() -> None:
    tokens = np.ones((3, 2))
    for offsets in ([0, 2], [1, 3], [], [0, 4]):
        with pytest.raises(EncoderError, match="do not divide 3 token vectors"):
            TokenVectors(tokens, np.array(offsets))
    with pytest.raises(EncoderError, match="input 1 has 0 token vectors"):
        TokenVectors(tokens, np.array([0, 2, 2, 3]))
    with pytest.raises(EncoderError, match="expected the two axes"):
        TokenVectors(np.ones(3), np.array([0, 3]))
    with pytest.raises(EncoderError, match="with one dim"):
        TokenVectors.from_arrays([np.ones((1, 2)), np.ones((1, 3))])
    with pytest.raises(EncoderError, match="is no array of one row for each"):
        np.concatenate([TokenVectors(tokens, np.array([0, 3]))])


# MaxSim


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_query=st.integers(0, 6),
    n_doc=st.integers(0, 9),
    block=st.sampled_from([1, 2, 7, 40, 10_000]),
    mean=st.booleans(),
)
def test_equals_three_loops_whatever_the_block(seed, n_query, n_doc, block, mean) -> None:
    rng = np.random.default_rng(seed)
    queries, documents = ragged(rng, n_query), ragged(rng, n_doc)
    found = max_sim(queries, documents, mean=mean, block=block)
    np.testing.assert_allclose(found, by_hand(queries, documents, mean=mean), atol=1e-5)
    assert found.dtype == np.float32


def test_equals_sentence_transformers() -> None:
    from sentence_transformers.util.similarity import maxsim, mean_maxsim

    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, 8, 12, 32), ragged(rng, 20, 40, 32)
    theirs = maxsim(list(queries), list(documents)).numpy()
    np.testing.assert_allclose(max_sim(queries, documents), theirs, atol=1e-5)
    theirs = mean_maxsim(list(queries), list(documents)).numpy()
    np.testing.assert_allclose(similarity(queries, documents), theirs, atol=1e-6)


def test_equals_the_processors_of_transformers() -> None:
    """They pad documents with zeros, which beat a negative cosine: so cosines are positive here."""
    import torch
    from transformers import ColQwen2Processor

    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, 8, 12, 32), ragged(rng, 20, 40, 32)
    queries = TokenVectors(abs(queries.tokens), queries.offsets)
    documents = TokenVectors(abs(documents.tokens), documents.offsets)
    theirs = ColQwen2Processor.score_retrieval(
        None,
        [torch.from_numpy(query) for query in queries],
        [torch.from_numpy(document) for document in documents],
        batch_size=3,
    )
    np.testing.assert_allclose(max_sim(queries, documents), theirs.numpy(), atol=1e-5)


def test_no_more_is_held_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    maximum = np.maximum

    class Watched:
        @staticmethod
        def reduceat(pairs, *rest, **more):
            sizes.append(pairs.size)
            return maximum.reduceat(pairs, *rest, **more)

    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, 30), ragged(rng, 40)
    monkeypatch.setattr(np, "maximum", Watched)
    max_sim(queries, documents, block=500)
    assert max(sizes) <= 500
    least = len(queries.tokens) * len(documents.tokens) / 500
    assert least <= len(sizes) < 2 * least  # blocks are well filled


def test_a_document_is_most_like_itself() -> None:
    vectors = ragged(np.random.default_rng(3), 9)
    scores = similarity(vectors, vectors)
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-6)
    assert (np.abs(scores) <= 1 + 1e-6).all()


def test_dimensions_must_agree() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(EncoderError, match="queries have 4 dimensions and documents 5"):
        max_sim(ragged(rng, 2), ragged(rng, 2, dim=5))


# One way to score for all encoders


def test_one_token_each_is_a_cosine() -> None:
    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, 5, 1), ragged(rng, 7, 1)
    np.testing.assert_allclose(
        similarity(queries, documents), similarity(queries.tokens, documents.tokens), atol=1e-6
    )
    np.testing.assert_allclose(
        similarity(queries.tokens, documents.tokens), queries.tokens @ documents.tokens.T
    )


def test_kinds_are_not_mixed_but_nothing_is_of_every_kind() -> None:
    vectors = ragged(np.random.default_rng(0), 3)
    assert similarity(vectors, np.empty((0, 4))).shape == (3, 0)
    rows = np.zeros((3, 1), dtype=int)
    for queries, documents in ((vectors, vectors.tokens), (vectors.tokens, vectors)):
        with pytest.raises(EncoderError, match="expected two arrays or two TokenVectors"):
            similarity(queries, documents)
        with pytest.raises(EncoderError, match="expected two arrays or two TokenVectors"):
            pair_similarity(queries, documents, rows)


@pytest.mark.parametrize("kind", ["tokens", "rows"])
def test_pairs_are_scored_as_all_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmgap.encoders.vectors._TOKENS_AT_ONCE", 10)
    rng = np.random.default_rng(0)
    queries, documents = ragged(rng, 6), ragged(rng, 12)
    if kind == "rows":
        queries, documents = queries.tokens[:6], documents.tokens[:12]
    rows = rng.integers(-1, 12, (6, 8))
    rows[2] = -1
    full = similarity(queries, documents)
    expected = np.where(rows < 0, np.nan, np.take_along_axis(full, np.maximum(rows, 0), axis=1))
    np.testing.assert_allclose(pair_similarity(queries, documents, rows), expected, atol=1e-6)


@pytest.mark.parametrize("k", [1, 4, 30])
def test_top_k_of_tokens(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small whole numbers, so scores are exact and ties are many."""
    monkeypatch.setattr("mmgap.index.search._SCORES_AT_ONCE", 40)
    rng = np.random.default_rng(0)
    queries, documents = (
        TokenVectors(rng.integers(-2, 3, vectors.tokens.shape), vectors.offsets)
        for vectors in (ragged(rng, 7), ragged(rng, 23))
    )
    scores, indices = top_k(queries, documents, k)
    full = similarity(queries, documents)
    expected = np.argsort(-full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(scores, np.take_along_axis(full, expected, axis=1))
    assert (scores.dtype, indices.dtype) == (np.float32, np.int64)


def test_top_k_of_tokens_refuses_what_is_not_finite() -> None:
    good = ragged(np.random.default_rng(0), 3)
    bad = TokenVectors(np.where(np.arange(4) == 1, np.nan, good.tokens), good.offsets)
    with pytest.raises(ValueError, match="not finite"):
        top_k(good, bad, 1)
    assert top_k(good, np.empty((0, 4)), 5)[1].shape == (3, 0)
    with pytest.raises(ValueError, match="k is 0"):
        top_k(good, good, 0)


# --- shorter vectors ---

pytestmark = pytest.mark.usefixtures("one_thread")

FACTS = replace(find_model("google/embeddinggemma-2"), matryoshka_dims=(8, 16, 24, 768))


def test_cut_then_normalised() -> None:
    vectors = np.array([[3.0, 4.0, 12.0], [0.0, -2.0, 5.0]])
    np.testing.assert_allclose(
        truncate(vectors, 2, normalize=True), [[0.6, 0.8], [0.0, -1.0]], atol=1e-7
    )
    np.testing.assert_array_equal(truncate(vectors, 2, normalize=False), vectors[:, :2])
    np.testing.assert_array_equal(truncate(vectors, None, normalize=False), vectors)


def test_half_precision_is_widened_before_it_is_divided() -> None:
    vectors = np.full((1, 4096), 250.0, dtype=np.float16)  # the sum of squares is 2.6e8
    row = truncate(vectors, None, normalize=True)
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, 1 / 64, rtol=1e-5)


def test_nothing_has_no_direction() -> None:
    np.testing.assert_array_equal(truncate(np.zeros((1, 3)), 2, normalize=True), [[0.0, 0.0]])


@pytest.mark.parametrize("dim", [0, -1, 769, 100])
def test_only_the_lengths_it_was_trained_for(dim: int) -> None:
    with pytest.raises(EncoderError, match=r"cannot be cut to -?\d+ dimensions; .* 256, 768"):
        check_dim(dim, 768, (256,), "demo")


def test_the_full_length_is_always_allowed() -> None:
    assert check_dim(768, 768, (), "demo") == check_dim(None, 768, (), "demo") == (768, ())


def test_an_encoder_cuts_every_kind_of_vector(checkpoint: Callable[[str], Path]) -> None:
    full, short = (
        SentenceTransformerEncoder(
            "gemma", folder=checkpoint("embeddinggemma2"), device="cpu", facts=FACTS, dim=dim
        )
        for dim in (None, 8)
    )
    image = Image.new("RGB", (40, 30), "red")
    for encode in (
        lambda encoder, **options: encoder.encode_text(["a cat", "dog"], **options),
        lambda encoder, **options: encoder.encode_images([image], **options),
    ):
        raw = encode(full, normalize=False)
        np.testing.assert_array_equal(encode(short, normalize=False), raw[:, :8])
        length = np.linalg.norm(raw[:, :8], axis=1, keepdims=True)
        np.testing.assert_allclose(encode(short), raw[:, :8] / length, atol=1e-6)
    assert full.info.dim == 24
    assert short.info.dim == 8
    assert short.info.matryoshka_dims == (8, 16, 24)  # not the 768 of the real model
    assert short.info.fingerprint != full.info.fingerprint
    assert short.encode_text([]).shape == short.encode_images([]).shape == (0, 8)


@pytest.mark.parametrize("name", [*tiny.TEXT_ONLY, "clip"])
def test_a_model_that_was_not_trained_for_it_is_not_cut(
    name: str, checkpoint: Callable[[str], Path]
) -> None:
    with pytest.raises(EncoderError, match=r"cannot be cut to 8 dimensions; expected one of \d+$"):
        SentenceTransformerEncoder(str(checkpoint(name)), device="cpu", dim=8)
