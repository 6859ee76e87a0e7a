"""A corpus with the vectors that an encoder gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.similarity import similarity
from mmgap.encoders.token_vectors import Embeddings, TokenVectors
from mmgap.errors import MmgapError


@dataclass(frozen=True)
class Leg:
    """The document vectors of one path from a query to a ranked list, mostly one modality.

    ``positions`` says which document of the corpus each row belongs to, ascending; a document
    without this modality has no row. ``embeddings`` are unit-norm float32 rows (n_leg, dim), or
    ``TokenVectors`` of late interaction. A leg of another encoder brings ``queries`` of its own.
    """

    positions: np.ndarray
    embeddings: Embeddings
    queries: Embeddings | None = None


@dataclass(frozen=True)
class Vectors:
    """Query vectors, unit-norm and in the order of ``corpus.queries``, and named legs.

    ``embed`` gives the legs ``text`` and ``image``, those that the encoder reads; any others may
    stand beside them, see :meth:`with_leg`.
    """

    corpus: Corpus
    encoder: EncoderInfo
    queries: Embeddings
    legs: Mapping[str, Leg]

    @property
    def text(self) -> Leg:
        """The text leg."""
        return self.leg("text")

    @property
    def image(self) -> Leg:
        """The image leg; an MmgapError if the encoder reads text only."""
        return self.leg("image")

    @property
    def filled_legs(self) -> tuple[str, ...]:
        """Names of the legs that hold a document: the ones that can be searched."""
        return tuple(name for name, leg in self.legs.items() if len(leg.positions))

    def leg(self, name: str) -> Leg:
        """Return a leg by its name; an MmgapError if there is none."""
        if name not in self.legs:
            msg = (
                f"there is no {name} leg: {self.encoder.id!r} reads "
                f"{' and '.join(self.encoder.modalities)} only; legs here: {', '.join(self.legs)}. "
                f"Load an encoder that reads {name}s"
            )
            raise MmgapError(msg)
        return self.legs[name]

    def with_leg(self, name: str, other: Vectors, leg: str) -> Vectors:
        """Add a leg of the same corpus' vectors by another encoder: two indexes, one ranking."""
        if (other.corpus.doc_ids, other.corpus.query_ids) != (
            self.corpus.doc_ids,
            self.corpus.query_ids,
        ):
            msg = (
                f"corpora {self.corpus.name!r} and {other.corpus.name!r} differ in documents or "
                "queries; embed the same corpus with both encoders"
            )
            raise MmgapError(msg)
        added = replace(other.leg(leg), queries=other.queries_of(leg))
        return replace(self, legs={**self.legs, name: added})

    def queries_of(self, leg: str) -> Embeddings:
        """Return the query vectors in the space of a leg."""
        own = self.leg(leg).queries
        return self.queries if own is None else own

    def scores(self, leg: str) -> np.ndarray:
        """Similarity of every query with every document of a leg, (n_query, n_leg), in [-1, 1].

        The cosine; for late interaction the mean over the query's tokens of their best cosine.
        NaN for pairs that ``corpus.left_out`` names. Columns follow ``legs[leg].positions``. The
        whole matrix: for a pool too large for it, use :func:`mmgap.index.top_k`.
        """
        found = similarity(self.queries_of(leg), self.leg(leg).embeddings)
        found[self.left_out(leg)] = np.nan
        return found

    def left_out(self, leg: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of :meth:`scores` that do not count, by ascending query."""
        corpus, positions = self.corpus, self.leg(leg).positions
        pairs = [
            (row, corpus.position(doc_id))
            for row, query_id in enumerate(corpus.query_ids)
            for doc_id, name in corpus.left_out.get(query_id, ())
            if name == leg
        ]
        rows, documents = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
        there = np.isin(documents, positions)  # not every document has this modality
        return rows[there], np.searchsorted(positions, documents[there])


@overload
def unit_norm(embeddings: np.ndarray) -> np.ndarray: ...
@overload
def unit_norm(embeddings: TokenVectors) -> TokenVectors: ...
def unit_norm(embeddings: Embeddings) -> Embeddings:
    """Return the vectors divided by their length; a vector of zeros stays as it is.

    >>> unit_norm(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if isinstance(embeddings, TokenVectors):
        return TokenVectors(unit_norm(embeddings.tokens), embeddings.offsets)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(length == 0, 1, length)
