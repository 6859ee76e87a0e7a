"""What encoders give, and how well a query fits a document: one scale for all encoders.

Most give one vector an input: float32 rows, divided by their length unless ``normalize=False``. A
model of late interaction gives one for every token or image patch: :class:`TokenVectors`.
Scores are cosines, or their mean over query tokens, in [-1, 1]; larger = better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from mmgap.errors import EncoderError

_BLOCK = 2**22
"""Token pairs compared at once: 16 MiB of float32."""

_QUERIES_AT_ONCE = 128
_TOKENS_AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """Some inputs, each with as many vectors as it has tokens or image patches.

    ``tokens`` (n_token, dim) holds all vectors, one input after the other; input i has the rows
    ``offsets[i]`` to ``offsets[i + 1]``, one at least. ``len`` counts inputs; an integer index
    gives the vectors of one input, a slice or an array of positions those of several.

    Examples
    --------
    >>> vectors = TokenVectors.from_arrays([[[1.0, 0.0]], [[0.0, 1.0], [0.6, 0.8]]])
    >>> len(vectors), vectors.lengths, vectors[[1, 0, 1]].lengths
    (2, array([1, 2]), array([2, 1, 2]))
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        tokens = np.asarray(self.tokens, dtype=np.float32)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        if tokens.ndim != 2 or offsets.ndim != 1:
            msg = (
                f"tokens have shape {tokens.shape} and offsets {offsets.shape}; expected the two "
                "axes (n_token, dim) and the one axis (n + 1,)"
            )
            raise EncoderError(msg)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
            msg = (
                f"offsets {offsets} do not divide {len(tokens)} token vectors; they go from 0 to "
                "that number"
            )
            raise EncoderError(msg)
        lengths = np.diff(offsets)
        if (lengths < 1).any():
            at = int((lengths < 1).argmax())
            msg = f"input {at} has {lengths[at]} token vectors; expected one at least"
            raise EncoderError(msg)
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_arrays(cls, arrays: Sequence[Any], dim: int | None = None) -> TokenVectors:
        """Put arrays of shape (n_token, dim), one an input, together; of none, ``dim`` is told."""
        parts = [np.asarray(array, dtype=np.float32) for array in arrays]
        if len({part.shape[1:] for part in parts}) > 1 or any(part.ndim != 2 for part in parts):
            msg = (
                f"arrays have shapes {sorted({part.shape for part in parts})}; expected (n_token, "
                "dim) with one dim"
            )
            raise EncoderError(msg)
        tokens = np.concatenate(parts) if parts else np.empty((0, dim or 0), dtype=np.float32)
        return cls(tokens, np.cumsum([0, *map(len, parts)]))

    @staticmethod
    def concatenate(parts: Sequence[TokenVectors]) -> TokenVectors:
        """Return the inputs of all ``parts`` (one at least), in order."""
        lengths = np.concatenate([part.lengths for part in parts])
        tokens = np.concatenate([part.tokens for part in parts])
        return TokenVectors(tokens, np.concatenate([[0], np.cumsum(lengths)]))

    @property
    def dim(self) -> int:
        """Length of one vector."""
        return self.tokens.shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """Number of vectors of each input: int64 array of shape (n,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            rows = range(len(self))[rows]  # refuses what is out of range, and counts from the end
            return self.tokens[self.offsets[rows] : self.offsets[rows + 1]]
        positions = np.arange(len(self))[rows]
        lengths = self.lengths[positions]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # Where each new token lies in the old array: its input's start, and its position in there.
        shift = np.repeat(self.offsets[positions] - offsets[:-1], lengths)
        return TokenVectors(self.tokens[np.arange(offsets[-1]) + shift], offsets)

    def __repr__(self) -> str:
        return f"TokenVectors({len(self)} inputs, {len(self.tokens)} vectors, dim={self.dim})"

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        msg = (
            f"{self!r} has several vectors for each input and is no array of one row for each; "
            "score it with mmgap.encoders.similarity, or take its .tokens"
        )
        raise EncoderError(msg)


Embeddings: TypeAlias = np.ndarray | TokenVectors
"""What encoders give for n inputs: one row each, or several vectors each."""


def similarity(queries: Embeddings, documents: Embeddings) -> np.ndarray:
    """Score every query against every document, both of unit norm: (n_query, n_doc).

    The cosine, for one vector an input. For late interaction MaxSim divided by the number of query
    tokens: the order of documents is that of MaxSim, the scale that of a cosine.

    >>> similarity(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.0, 1.0]]))
    array([[0.6, 0. ]])
    """
    if len(documents) == 0:  # an empty leg is of no kind
        return np.empty((len(queries), 0), dtype=np.float32)
    if isinstance(queries, TokenVectors) and isinstance(documents, TokenVectors):
        return max_sim(queries, documents, mean=True)
    _refuse_mixed(queries, documents)
    return queries @ documents.T  # type: ignore[union-attr]


def pair_similarity(queries: Embeddings, documents: Embeddings, rows: np.ndarray) -> np.ndarray:
    """Score each query against the documents in its row of ``rows`` (n_query, n_candidate).

    As :func:`similarity`; -1 marks an empty cell, whose score is NaN.

    >>> documents = np.array([[0.6, 0.8], [0.0, 1.0]])
    >>> pair_similarity(np.array([[1.0, 0.0]]), documents, np.array([[1, -1, 0]]))
    array([[0. , nan, 0.6]], dtype=float32)
    """
    scores = np.full(rows.shape, np.nan, dtype=np.float32)
    if isinstance(queries, TokenVectors) and isinstance(documents, TokenVectors):
        for at, row in enumerate(rows):
            there = np.flatnonzero(row >= 0)
            lengths = documents.lengths[row[there]].cumsum()
            cuts = np.flatnonzero(np.diff(lengths // _TOKENS_AT_ONCE)) + 1
            for part in np.split(there, cuts):  # bounds the gathered copy
                scores[at, part] = max_sim(queries[at : at + 1], documents[row[part]], mean=True)[0]
        return scores
    _refuse_mixed(queries, documents)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        scores[block] = np.einsum("qd,qcd->qc", queries[block], documents[rows[block]])
    scores[rows < 0] = np.nan
    return scores


def _refuse_mixed(queries: Embeddings, documents: Embeddings) -> None:
    if isinstance(queries, TokenVectors) or isinstance(documents, TokenVectors):
        kinds = " and ".join(type(vectors).__name__ for vectors in (queries, documents))
        msg = f"queries and documents are {kinds}; expected two arrays or two TokenVectors"
        raise EncoderError(msg)


def max_sim(
    queries: TokenVectors, documents: TokenVectors, *, mean: bool = False, block: int = _BLOCK
) -> np.ndarray:
    """Score by late interaction (Khattab and Zaharia, SIGIR 2020): float32 (n_query, n_doc).

    Each of a query's t tokens looks for the most similar token of the document; these best cosines
    are added up, in [-t, t]; ``mean`` divides by t. ``block`` token pairs are held in memory at
    once; one query against one document is never divided.

    The query's first token finds itself; its second one finds nothing better than 0.6.

    >>> query = TokenVectors.from_arrays([[[1.0, 0.0], [0.0, 1.0]]])
    >>> document = TokenVectors.from_arrays([[[1.0, 0.0], [0.8, 0.6]]])
    >>> max_sim(query, document), max_sim(query, document, mean=True)
    (array([[1.6]], dtype=float32), array([[0.8]], dtype=float32))
    """
    if queries.dim != documents.dim:
        msg = (
            f"queries have {queries.dim} dimensions and documents {documents.dim}; expected "
            "vectors of one encoder"
        )
        raise EncoderError(msg)
    scores = np.empty((len(queries), len(documents)), dtype=np.float32)
    for query_rows in _parts(queries.offsets, int(block**0.5)):
        query_tokens, query_starts = _tokens(queries, query_rows)
        for doc_rows in _parts(documents.offsets, block // len(query_tokens)):
            doc_tokens, doc_starts = _tokens(documents, doc_rows)
            pairs = query_tokens @ doc_tokens.T
            best = np.maximum.reduceat(pairs, doc_starts, axis=1)
            scores[query_rows, doc_rows] = np.add.reduceat(best, query_starts, axis=0)
    if mean:
        scores /= queries.lengths[:, None].astype(np.float32)
    return scores


def _parts(offsets: np.ndarray, n_token: int) -> list[slice]:
    """Divide inputs into runs of at most ``n_token`` tokens, of one input at least."""
    parts, start = [], 0
    while start < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[start] + n_token, side="right")) - 1
        parts.append(slice(start, max(end, start + 1)))
        start = parts[-1].stop
    return parts


def _tokens(vectors: TokenVectors, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of these inputs, and where each input starts among them."""
    first, last = vectors.offsets[rows.start], vectors.offsets[rows.stop]
    return vectors.tokens[first:last], vectors.offsets[rows] - first


def truncate(vectors: np.ndarray, dim: int | None, *, normalize: bool) -> np.ndarray:
    """Return the first ``dim`` coordinates (``None``: all) as float32, then divided by their norm.

    In this order, since a cut vector has no unit norm any more (Matryoshka representation
    learning, Kusupati et al., NeurIPS 2022). A vector of zeros stays as it is.

    >>> truncate(np.array([[3.0, 4.0, 12.0]]), 2, normalize=True)
    array([[0.6, 0.8]], dtype=float32)
    """
    vectors = np.asarray(vectors, dtype=np.float32)[:, :dim]
    if not normalize:
        return vectors
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def check_dim(
    dim: int | None, native: int, trained: tuple[int, ...], name: str
) -> tuple[int, tuple[int, ...]]:
    """Return the length of the vectors a caller will get, and the lengths that there are.

    >>> check_dim(None, 768, (256, 768), "demo"), check_dim(256, 768, (256, 1024), "demo")
    ((768, (256, 768)), (256, (256,)))
    >>> check_dim(100, 768, (256, 768), "demo")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: demo cannot be cut to 100 dimensions; expected one of 256, 768
    """
    lengths = tuple(sorted(length for length in trained if length <= native))
    allowed = {*lengths, native}
    if dim is None or dim in allowed:
        return dim or native, lengths
    known = ", ".join(map(str, sorted(allowed)))
    msg = f"{name} cannot be cut to {dim} dimensions; expected one of {known}"
    raise EncoderError(msg)
