"""A corpus with the vectors that an encoder gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np

from mmgap.corpus.schema import LEGS, Corpus
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.vectors import Embeddings, TokenVectors, similarity
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

    @property
    def ranked_legs(self) -> tuple[str, ...]:
        """Names of the legs that rankings, merges and rerankers may use.

        A pair that ``corpus.left_out`` takes from one leg, while the document stays in another one,
        leaves a hole that only judged documents have: a merge that rewards missing scores would
        find its relevant documents in pure noise. So a leg with such a hole takes no part in any
        ranking, for no query. Its scores, distributions and gap can still be read.
        """
        return tuple(name for name in self.filled_legs if name not in self.holes)

    def need_ranked(self) -> None:
        """Raise MmgapError if a leg must not be ranked, so that no merge can be judged."""
        if self.holes:
            msg = f"no merge can be judged on {self.corpus.name!r}: {self.hole_words()}"
            raise MmgapError(msg)

    def hole_words(self) -> str:
        """Say which leg is not ranked, why, and what to do; empty where all legs are."""
        return "; ".join(
            f"no {leg} leg can be ranked where queries are the documents' own {leg}s (query "
            f"{query_id!r} must not meet the {leg} of document {doc_id!r}, and the missing score "
            "would give the relevant document away; bring queries of your own: queries.jsonl and "
            "qrels.tsv in a folder, QUERIES.npy for embeddings, e.g. another caption of each image)"
            for leg, (query_id, doc_id) in self.holes.items()
        )

    @cached_property
    def holes(self) -> Mapping[str, tuple[str, str]]:
        """Legs that must not be ranked, each with a query and the document it hides from it."""
        found: dict[str, tuple[str, str]] = {}
        for query_id, pairs in self.corpus.left_out.items():
            for doc_id, leg in sorted(pairs):
                (other,) = set(LEGS) - {leg}
                hidden = leg not in found and (doc_id, other) not in pairs
                if hidden and self._shows(doc_id, other):
                    found[leg] = (query_id, doc_id)
        return found

    def _shows(self, doc_id: str, leg: str) -> bool:
        """Whether a document has a modality, whether or not this encoder reads it."""
        if leg not in self.legs:
            return getattr(self.corpus.document(doc_id), leg) is not None
        position, positions = self.corpus.position(doc_id), self.legs[leg].positions
        at = int(np.searchsorted(positions, position))
        return at < len(positions) and int(positions[at]) == position

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
        if leg in other.holes:  # under another name it would let queries meet themselves
            raise MmgapError(other.hole_words())
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
