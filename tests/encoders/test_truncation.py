"""Shorter vectors: cut first, then divided by their length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from mmgap.encoders.catalog import find_model
from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder
from mmgap.encoders.vectors import check_dim, truncate
from mmgap.errors import EncoderError

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
    assert check_dim(768, 768, (), "demo") == 768
    assert check_dim(None, 768, (), "demo") == 768


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
        lambda encoder, **options: encoder.encode_fused([("a cat", image)], **options),
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
    assert short.encode_fused([]).shape == (0, 8)


@pytest.mark.parametrize("name", [*tiny.TEXT_ONLY, "clip"])
def test_a_model_that_was_not_trained_for_it_is_not_cut(
    name: str, checkpoint: Callable[[str], Path]
) -> None:
    with pytest.raises(EncoderError, match=r"cannot be cut to 8 dimensions; expected one of \d+$"):
        SentenceTransformerEncoder(str(checkpoint(name)), device="cpu", dim=8)
