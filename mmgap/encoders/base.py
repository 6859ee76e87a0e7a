"""What every encoder is: two functions into one space, and the facts about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL import Image

    from mmgap.encoders.token_vectors import Embeddings

Role = Literal["query", "document"]
"""What a text is to the search; some models want a different prompt for each."""


@dataclass(frozen=True)
class EncoderInfo:
    """The facts of a model that tables, caches and figures need.

    Parameters
    ----------
    id : str
        The name it is loaded by.
    fingerprint : str
        Hash of all that decides its output: weights, preprocessing, prompts. Two encoders with
        equal fingerprints return equal vectors, so it names the cache.
    backend : str
        The library that runs it.
    dim : int
        Length of the vectors.
    licence : str
        SPDX identifier where there is one.
    logit_scale, logit_bias : float or None
        The loss' score is ``logit_scale * cosine + logit_bias``; ``None`` where the model has none.
    revision : str or None
        Pinned revision of a hub model.
    max_text_tokens : int or None
        Longer texts are cut.
    image_size : int or None
        Side of the square the image tower sees, in pixels.
    modalities : tuple of str
        What it reads: ``"text"``, ``"image"``, and ``"fused"`` for both in one input.
    matryoshka_dims : tuple of int
        Lengths that its vectors may be cut to; empty where it was not trained for that.
    """

    id: str
    fingerprint: str
    backend: str
    dim: int
    licence: str = "unknown"
    logit_scale: float | None = None
    logit_bias: float | None = None
    revision: str | None = None
    max_text_tokens: int | None = None
    image_size: int | None = None
    modalities: tuple[str, ...] = ("text", "image")
    matryoshka_dims: tuple[int, ...] = ()


@runtime_checkable
class Encoder(Protocol):
    """One multimodal embedder.

    Texts and images go into one space; a higher cosine means a better match. A model of late
    interaction gives several vectors for each input, as ``TokenVectors``. ``normalize=False``
    returns the vectors as the model gives them.
    """

    @property
    def info(self) -> EncoderInfo:
        """The facts of this model."""
        ...

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> Embeddings:
        """Return float32 vectors of shape (n_text, dim), or TokenVectors, in the order given."""
        ...

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> Embeddings:
        """Return float32 vectors of shape (n_image, dim), or TokenVectors, in the order given."""
        ...


@runtime_checkable
class FusedEncoder(Encoder, Protocol):
    """An embedder that reads a text and an image together, as one input."""

    def encode_fused(
        self,
        pairs: Sequence[tuple[str, Image.Image]],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> Embeddings:
        """Return float32 vectors of shape (n_pair, dim), or TokenVectors, in the order given."""
        ...
