"""What every reranker is: a score for each pair of a query and a document.

``score`` takes pairs (plain tuples of two :class:`Content` will do) and returns one float32 each,
in the order given; larger = more relevant, ``info.score`` names the scale. No score depends on the
other pairs of its batch. A text is a text, even if it looks like the path or address of an image.
What a model cannot take ends in an ``EncoderError`` that names the pair, counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from mmgap.encoders.base import check_texts, rgb
from mmgap.encoders.running import in_batches
from mmgap.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Content:
    """What one side of a pair shows to a reranker: a text, an image, or both.

    A blank text counts as none.

    >>> Content("a red cat").kind
    'text'
    >>> Content(" ")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: a Content needs a text that is not blank, an image, or both; ...
    """

    text: str | None = None
    image: Image.Image | None = None

    def __post_init__(self) -> None:
        from PIL import Image

        if not isinstance(self.text, str | None):
            msg = f"text is a {type(self.text).__name__}; expected a str: Content(image=...)?"
            raise EncoderError(msg)
        if self.text is not None:
            check_texts([self.text])
        if not isinstance(self.image, Image.Image | None):
            msg = (
                f"image is a {type(self.image).__name__}; expected a PIL image, such as "
                "PIL.Image.open(path)"
            )
            raise EncoderError(msg)
        if self.image is not None:
            object.__setattr__(self, "image", rgb(self.image, "the image of a Content"))
        if not self.has_text and self.image is None:
            msg = (
                "a Content needs a text that is not blank, an image, or both; got text="
                f"{self.text!r} and no image. Leave such documents out before reranking"
            )
            raise EncoderError(msg)

    @property
    def has_text(self) -> bool:
        """Whether there is a text that is not blank."""
        return self.text is not None and bool(self.text.strip())

    @property
    def kind(self) -> str:
        """``"text"``, ``"image"``, or ``"fused"`` for both in one."""
        if self.image is None:
            return "text"
        return "fused" if self.has_text else "image"


class Pair(NamedTuple):
    """A query and a document whose relevance to it is asked for.

    >>> Pair(Content("a red cat"), Content("Cats are rarely red.")).kind
    'text-text'
    """

    query: Content
    document: Content

    @property
    def kind(self) -> str:
        """The kinds of query and document, such as ``"text-image"``."""
        return f"{self.query.kind}-{self.document.kind}"


@dataclass(frozen=True)
class RerankerInfo:
    """The facts of a reranker that tables, caches and figures need.

    ``fingerprint`` hashes all that decides the output, so it names the cache. ``score`` says what a
    score is, and its range, such as ``"sigmoid(logit - 2.65), in [0, 1]"``; scores of two rerankers
    do not compare. ``modalities`` are kinds of pairs, query first, such as ``"text-image"``.
    """

    id: str
    fingerprint: str
    backend: str
    score: str
    modalities: tuple[str, ...]
    licence: str = "unknown"
    revision: str | None = None
    max_text_tokens: int | None = None


@runtime_checkable
class ReadsAhead(Protocol):
    """A reranker for which a part of the work needs the document alone.

    Such work can be done when documents are indexed. Costs per query leave it out, as they leave
    out the embedding of documents.
    """

    def read_ahead(self, documents: Sequence[Content]) -> None:
        """Read documents and keep what does not depend on a query."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """A model that reads a query and a document together and scores their relevance."""

    @property
    def info(self) -> RerankerInfo:
        """The facts of this model."""
        ...

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
        """Return one float32 score for each pair, of shape (n_pair,)."""
        ...


def check_pairs(pairs: Sequence[Pair], info: RerankerInfo) -> list[Pair]:
    """Return the pairs as a list, once each is of a kind that the reranker takes.

    >>> info = RerankerInfo("demo", "", "none", "logit", modalities=("text-text",))
    >>> check_pairs([(Content("cat"), Content("a cat"))], info)[0].kind
    'text-text'
    """
    checked = []
    for at, pair in enumerate(pairs):
        if not (
            isinstance(pair, tuple)
            and len(pair) == 2
            and all(isinstance(side, Content) for side in pair)
        ):
            shown = repr(pair)
            msg = (
                f"pair {at} is {shown if len(shown) <= 80 else f'{shown[:80]}...'}; expected "
                "Pair(Content(...), Content(...)), the query first"
            )
            raise EncoderError(msg)
        pair = Pair(*pair)
        if pair.kind not in info.modalities:
            msg = (
                f"pair {at} is {pair.kind} (query-document), and {info.id!r} takes "
                f"{', '.join(info.modalities)} only; show it a side it can read, or load another "
                "reranker"
            )
            raise EncoderError(msg)
        checked.append(pair)
    return checked


# --- models that are run here, vision-language models above all ----------------------------------

VLM_PAIRS = ("text-text", "text-image", "text-fused", "image-text", "image-image")

IMAGE_PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"
"""Where Qwen's models read an image; the processor puts as many tokens as the image needs."""

MAX_ASPECT_RATIO = 200
"""Qwen's image processors refuse thinner images."""


def require_torchvision(name: str) -> None:
    """Raise if torchvision is absent: transformers cannot load a vision-language model without."""
    if find_spec("torchvision") is None:
        purpose = f"{name}, a vision-language model,"
        raise MissingExtraError(purpose, "vlm")


def shown_text(text: str, limit: int, tokenizer: Any) -> str:
    """Return a text's first ``limit`` tokens, with nothing that Qwen reads as a control token.

    A document that holds ``<|image_pad|>`` would else be given the pixels of another one.
    """
    text = re.sub(r"<(?=\|\w+\|>)", "< ", text)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    return text if len(tokens) <= limit else tokenizer.decode(tokens[: max(limit, 0)])


class ModelReranker:
    """A model that is run here: pairs of like length share a batch, logits become scores at last.

    A backend sets ``info`` and the class' facts, and gives ``_logits``.
    """

    info: RerankerInfo
    _token_side: int
    """Side of the square of pixels that is one token."""
    _max_pixels: int
    """An image is shrunk to that many."""
    _offset: float | None = 0.0
    """Taken from a logit before the sigmoid; ``None`` makes the logit itself the score."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info.id!r})"

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
        """Return one float32 score for each pair, of the kinds in ``info.modalities``."""
        from scipy.special import expit

        logits = self.logits(pairs, batch_size=batch_size)
        return logits if self._offset is None else expit(logits - np.float32(self._offset))

    def logits(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
        """Return what the model gives; no ties, where a sigmoid runs into 0 or 1."""
        pairs = check_pairs(pairs, self.info)
        if not pairs:
            return np.empty(0, dtype=np.float32)
        _check_aspects(pairs)
        return in_batches(pairs, self._logits, batch_size=batch_size, length=self._length)

    def _logits(self, pairs: Sequence[Pair]) -> np.ndarray:
        raise NotImplementedError

    def _length(self, pair: Pair) -> int:
        """Guess how many tokens a pair has, well enough to put pairs of like length together."""
        tokens = 0.0
        for side in pair:
            tokens += len(side.text or "") / 4
            if side.image is not None:
                pixels = min(side.image.width * side.image.height, self._max_pixels)
                tokens += pixels / self._token_side**2
        return int(tokens)


def _check_aspects(pairs: Sequence[Pair]) -> None:
    """Raise if the model's image processor would refuse an image."""
    for at, pair in enumerate(pairs):
        for image in (pair.query.image, pair.document.image):
            if image is not None and max(image.size) > MAX_ASPECT_RATIO * min(image.size):
                width, height = image.size
                msg = (
                    f"an image of pair {at} is {width} x {height} pixels; expected at most "
                    f"{MAX_ASPECT_RATIO} times as long as wide. Crop it, or leave the pair out"
                )
                raise EncoderError(msg)
