"""What every encoder is: two functions into one space, and the facts about them.

Texts and images go in as lists; out come float32 vectors (n, dim) in the order given, or
``TokenVectors``. Rows have unit norm; ``normalize=False`` returns them as the model gives them,
before any division by their length. Whatever cannot be encoded ends in an ``EncoderError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from mmgap.encoders.running import in_batches, usable_processors
from mmgap.encoders.vectors import Embeddings, truncate
from mmgap.errors import EncoderError, ImageError

if TYPE_CHECKING:
    from PIL import Image

Role = Literal["query", "document"]
"""What a text is to the search; some models want a different prompt for each."""

Vectors = TypeVar("Vectors", bound=Embeddings)


@dataclass(frozen=True)
class EncoderInfo:
    """The facts of a model that tables, caches and figures need.

    ``fingerprint`` hashes all that decides the output (weights, preprocessing, prompts): equal
    fingerprints, equal vectors, so it names the cache. The loss' score is ``logit_scale * cosine +
    logit_bias``. ``licence`` is an SPDX identifier where there is one; ``image_size`` the side of
    the square that the image tower sees; ``modalities`` what it reads, ``"fused"`` being text and
    image in one input; ``matryoshka_dims`` lengths that its vectors may be cut to.
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
    """One multimodal embedder: a higher cosine between its vectors means a better match."""

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
        """Return the vectors of texts; they are texts also where they look like an address."""
        ...

    def encode_images(
        self, images: Sequence[Image.Image], *, batch_size: int = 64, normalize: bool = True
    ) -> Embeddings:
        """Return the vectors of images."""
        ...


class BaseEncoder:
    """What the encoders here have in common: checks, batches, empty input, unit norm.

    A backend sets ``info`` and gives ``_text_rows`` and ``_image_rows``. What ``_prepare`` makes of
    an image should be small: only one image for each processor is held at full size.
    """

    info: EncoderInfo
    _instead = "use it for the text leg, or load a CLIP-like model"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> Any:
        """Return the vectors of texts, in the order given; ``role`` chooses the prompt."""
        texts = check_texts(texts)
        if not texts:
            return self._finish([], normalize=normalize)
        return self._finish(self._text_rows(texts, role, batch_size), normalize=normalize)

    def encode_images(
        self, images: Sequence[Image.Image], *, batch_size: int = 64, normalize: bool = True
    ) -> Any:
        """Return the vectors of images, in the order given."""
        self._require("image", "no images", self._instead)
        check_images(images)
        if len(images) == 0:
            return self._finish([], normalize=normalize)
        side = self.info.image_size

        def forward(batch: Sequence[int]) -> np.ndarray:
            # Each object once: two threads must not load it at the same time.
            items = {at: images[at] for at in batch}
            first = {id(image): at for at, image in reversed(items.items())}
            with ThreadPoolExecutor(usable_processors()) as pool:  # Pillow lets go of the lock
                ready = pool.map(
                    lambda at: self._prepare(rgb(items[at], f"image {at}", side)), first.values()
                )
                prepared = dict(zip(first, ready, strict=True))
            return self._image_rows([prepared[id(image)] for image in items.values()])

        size = self._image_batch(batch_size)
        rows = in_batches(range(len(images)), forward, batch_size=size)
        return self._finish(rows, normalize=normalize)

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        raise NotImplementedError

    def _prepare(self, image: Image.Image) -> Any:
        return image

    def _image_rows(self, images: list[Any]) -> np.ndarray:
        raise NotImplementedError

    def _image_batch(self, batch_size: int) -> int:
        """Return how many images go through the model at once."""
        return batch_size

    def _finish(self, rows: Any, *, normalize: bool) -> Any:
        if len(rows) == 0:
            return np.empty((0, self.info.dim), dtype=np.float32)
        return truncate(rows, self.info.dim, normalize=normalize)

    def _require(self, modality: str, wanted: str, remedy: str) -> None:
        if modality not in self.info.modalities:
            known = ", ".join(self.info.modalities)
            msg = f"{self.info.id!r} reads {known} only, {wanted}; {remedy}"
            raise EncoderError(msg)


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list, once each is whole Unicode text; an error names the position.

    >>> check_texts("a cat")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: texts is the single text 'a cat'; expected a list ... ['a cat']
    """
    if isinstance(texts, str):
        msg = f"texts is the single text {texts!r}; expected a list of texts, e.g. [{texts!r}]"
        raise EncoderError(msg)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            msg = f"text {position} is of type {type(text).__name__}; expected str"
            raise EncoderError(msg)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            msg = (
                f"text {position} holds {text[error.start]!a}, half a character (a lone "
                "surrogate), which no tokenizer takes; expected Unicode text. Correct or drop it"
            )
            raise EncoderError(msg) from error
    return list(texts)


def check_images(images: Sequence[Any]) -> None:
    """Raise, before any work, if one is no PIL image, for instance a path."""
    from PIL import Image

    for position, image in enumerate(images):
        if not isinstance(image, Image.Image):
            msg = (
                f"image {position} is of type {type(image).__name__}; expected a PIL image: "
                "Image.open(path)"
            )
            raise EncoderError(msg)


def rgb(image: Any, what: str, short_edge: int | None = None) -> Image.Image:
    """Return an image as :func:`mmgap.corpus.images.as_rgb` does; an error names ``what``."""
    from mmgap.corpus.images import as_rgb

    try:
        return as_rgb(image, what, short_edge)
    except ImageError as error:
        raise EncoderError(str(error)) from error
