"""A corpus with the vectors that one encoder gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmgap.corpus.schema import Corpus
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
