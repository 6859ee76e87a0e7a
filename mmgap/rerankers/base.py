"""What every reranker is: a score for each pair of a query and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from mmgap.encoders.st_text import check_texts
from mmgap.errors import EncoderError, ImageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Content:
    """What one side of a pair shows to a reranker: a text, an image, or both.

    Parameters
    ----------
    text : str or None
        Read as a text even if it looks like a path or an address. A blank text counts as none.
    image : PIL image or None

    Raises
    ------
    EncoderError
        If it holds neither a text nor an image, or something else than those.

    Examples
    --------
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

        from mmgap.corpus.images import as_rgb

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
            try:
                object.__setattr__(self, "image", as_rgb(self.image, "the image of a Content"))
            except ImageError as error:
                raise EncoderError(str(error)) from error
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

    Examples
    --------
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

    Parameters
    ----------
    id : str
        The name it is loaded by.
    fingerprint : str
        Hash of all that decides its output. Two rerankers with equal fingerprints return equal
        scores, so it names the cache.
    backend : str
        The library that runs it.
    score : str
        What a score is, and its range, such as ``"sigmoid(logit - 2.65), in [0, 1]"`` or
        ``"logit, unbounded"``. Larger = more relevant. Scores of two rerankers do not compare.
    modalities : tuple of str
        Kinds of pairs it takes, such as ``"text-image"``: query first.
    licence : str
        SPDX identifier where there is one.
    revision : str or None
        Pinned revision of a hub model.
    max_text_tokens : int or None
        Longer pairs are cut.
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
        """Return one float32 score for each pair, of shape (n_pair,), in the order given.

        Larger = more relevant; ``info.score`` names the scale. No score depends on the other pairs
        of its batch.

        Raises
        ------
        EncoderError
            If a pair is of a kind that the model does not take.
        """
        ...


def check_pairs(pairs: Sequence[Pair], info: RerankerInfo) -> list[Pair]:
    """Return the pairs as a list, once each is of a kind that the reranker takes.

    Parameters
    ----------
    pairs : sequence of Pair
        Plain tuples ``(query, document)`` of :class:`Content` will do.
    info : RerankerInfo

    Raises
    ------
    EncoderError
        If one is no pair of Contents, or of a kind that the reranker does not take. The message
        names its place in the sequence, counted from 0.

    Examples
    --------
    >>> info = RerankerInfo("demo", "", "none", "logit", modalities=("text-text",))
    >>> check_pairs([(Content("cat"), Content("a cat"))], info)[0].kind
    'text-text'
    """
    checked = []
    for place, pair in enumerate(pairs):
        if not (
            isinstance(pair, tuple)
            and len(pair) == 2
            and all(isinstance(side, Content) for side in pair)
        ):
            msg = (
                f"pair {place} is {_shortened(pair)}; expected Pair(Content(...), Content(...)), "
                "the query first"
            )
            raise EncoderError(msg)
        pair = Pair(*pair)
        if pair.kind not in info.modalities:
            msg = (
                f"pair {place} is {pair.kind} (query-document), and {info.id!r} takes "
                f"{', '.join(info.modalities)} only; show it a side it can read, or load another "
                "reranker"
            )
            raise EncoderError(msg)
        checked.append(pair)
    return checked


def _shortened(thing: object, limit: int = 80) -> str:
    text = repr(thing)
    return text if len(text) <= limit else f"{text[:limit]}..."
