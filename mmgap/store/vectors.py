"""A corpus with the vectors that one encoder gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmgap.corpus.schema import LEGS, Corpus
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.similarity import similarity
from mmgap.encoders.token_vectors import Embeddings
from mmgap.errors import MmgapError


@dataclass(frozen=True)
class Leg:
    """The document vectors of one modality.

    Parameters
    ----------
    positions : ndarray of shape (n_leg,)
        Which document of the corpus each row belongs to, ascending. A document without this
        modality has no row.
    embeddings : ndarray of shape (n_leg, dim), or TokenVectors of length n_leg
        Unit-norm float32 vectors; several for each document where the encoder is one of late
        interaction.
    """

    positions: np.ndarray
    embeddings: Embeddings


@dataclass(frozen=True)
class Vectors:
    """Query vectors and the legs of a corpus, in one space.

    Parameters
    ----------
    corpus : Corpus
    encoder : EncoderInfo
    queries : ndarray of shape (n_query, dim), or TokenVectors of length n_query
        Unit-norm float32 vectors, in the order of ``corpus.queries``.
    legs : mapping of {"text", "image"} to Leg
        Those of the modalities that the encoder reads.
    """

    corpus: Corpus
    encoder: EncoderInfo
    queries: Embeddings
    legs: Mapping[str, Leg]

    @property
    def text(self) -> Leg:
        """The text leg."""
        return self._leg("text")

    @property
    def image(self) -> Leg:
        """The image leg.

        Raises
        ------
        MmgapError
            If the encoder reads text only.
        """
        return self._leg("image")

    @property
    def filled_legs(self) -> tuple[str, ...]:
        """Names of the legs that hold a document: the ones that can be searched."""
        return tuple(name for name, leg in self.legs.items() if len(leg.positions))

    @property
    def ranked_legs(self) -> tuple[str, ...]:
        """Names of the legs that rankings, merges and rerankers may use.

        A pair that ``corpus.left_out`` takes from one leg, while the document stays in another one,
        leaves a hole that only judged documents have: a merge that rewards missing scores would
        find its answers in pure noise. So a leg with such a hole takes no part in any ranking, for
        no query. Its scores, distributions and gap can still be read.
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
        return bool(np.isin(self.corpus.position(doc_id), self.legs[leg].positions))

    def scores(self, leg: str) -> np.ndarray:
        """Similarity of every query with every document of a leg.

        The cosine; for late interaction the mean over the query's tokens of their best cosine, see
        :func:`mmgap.encoders.similarity.similarity`.

        Returns
        -------
        ndarray of shape (n_query, n_leg)
            In [-1, 1]; NaN for pairs that ``corpus.left_out`` names. Columns follow
            ``legs[leg].positions``. The whole matrix: for a pool too large for it, use
            :func:`mmgap.search.top_k`.

        Raises
        ------
        MmgapError
            If there is no such leg.
        """
        found = similarity(self.queries, self._leg(leg).embeddings)
        found[self.left_out(leg)] = np.nan
        return found

    def left_out(self, leg: str) -> tuple[np.ndarray, np.ndarray]:
        """Which scores of a leg do not count.

        Returns
        -------
        queries, columns : int64 ndarray of shape (n_left_out,)
            Rows and columns of :meth:`scores`, by ascending query.

        Raises
        ------
        MmgapError
            If there is no such leg.
        """
        corpus, positions = self.corpus, self._leg(leg).positions
        pairs = [
            (row, corpus.position(doc_id))
            for row, query_id in enumerate(corpus.query_ids)
            for doc_id, name in corpus.left_out.get(query_id, ())
            if name == leg
        ]
        rows, documents = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
        there = np.isin(documents, positions)  # not every document has this modality
        return rows[there], np.searchsorted(positions, documents[there])

    def _leg(self, name: str) -> Leg:
        if name not in self.legs:
            msg = (
                f"there is no {name} leg: {self.encoder.id!r} reads "
                f"{' and '.join(self.encoder.modalities)} only; legs here: {', '.join(self.legs)}. "
                f"Load an encoder that reads {name}s"
            )
            raise MmgapError(msg)
        return self.legs[name]
