"""A corpus with the vectors that one encoder gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import EncoderInfo


@dataclass(frozen=True)
class Leg:
    """The document vectors of one modality.

    Parameters
    ----------
    positions : ndarray of shape (n_leg,)
        Which document of the corpus each row belongs to, ascending. A document without this
        modality has no row.
    embeddings : ndarray of shape (n_leg, dim)
        Unit-norm float32 rows.
    """

    positions: np.ndarray
    embeddings: np.ndarray


@dataclass(frozen=True)
class Vectors:
    """Query vectors and both legs of a corpus, in one space.

    Parameters
    ----------
    corpus : Corpus
    encoder : EncoderInfo
    queries : ndarray of shape (n_query, dim)
        Unit-norm float32 rows, in the order of ``corpus.queries``.
    legs : mapping of {"text", "image"} to Leg
    """

    corpus: Corpus
    encoder: EncoderInfo
    queries: np.ndarray
    legs: Mapping[str, Leg]

    @property
    def text(self) -> Leg:
        """The text leg."""
        return self.legs["text"]

    @property
    def image(self) -> Leg:
        """The image leg."""
        return self.legs["image"]

    def scores(self, leg: str) -> np.ndarray:
        """Cosine of every query with every document of a leg.

        Returns
        -------
        ndarray of shape (n_query, n_leg)
            In [-1, 1]; columns follow ``legs[leg].positions``. The whole matrix: for a pool too
            large for it, use :func:`mmgap.search.top_k`.
        """
        return self.queries @ self.legs[leg].embeddings.T
