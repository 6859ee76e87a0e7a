"""How far the other modality pushes a relevant document down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.scores.distributions import _Leg, _two_legs


@dataclass(frozen=True)
class RankInflation:
    """Ranks of the best relevant document of each query, counted from 1.

    Parameters
    ----------
    own_rank : ndarray of shape (n_query,)
        In the list of its own modality; NaN where a query has no relevant document in it.
    merged_rank : ndarray of shape (n_query,)
        In the list of all texts and images by raw score.
    """

    own_rank: np.ndarray
    merged_rank: np.ndarray

    @property
    def inflation(self) -> np.ndarray:
        """``merged_rank / own_rank``, at least 1; larger = pushed further down; shape (n_query,).

        1 where no document of the other modality stands before it.
        """
        return self.merged_rank / self.own_rank


def rank_inflation(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
) -> dict[str, RankInflation]:
    """Rank of the best relevant document with and without the documents of the other modality.

    Parameters
    ----------
    text_scores : ndarray of shape (n_query, n_text)
        Larger = more similar; NaN leaves a pair out.
    image_scores : ndarray of shape (n_query, n_image)
        Same queries, same order.
    text_relevant : bool array of shape (n_query, n_text) or None
    image_relevant : bool array of shape (n_query, n_image) or None

    Returns
    -------
    ranks : dict of str to RankInflation
        ``text`` for the best relevant text and ``image`` for the best relevant image, so both
        directions. Relevant documents of the other modality are left out of the merged list: they
        answer the query too. All NaN for a modality without relevant documents.

    Raises
    ------
    MmgapError
        If a score is infinite or shapes disagree.

    Notes
    -----
    The best relevant document is the one with the largest score. Among equal scores it has the rank
    to expect over all their orders: behind those above it, m relevant and t other documents of the
    same score put the first relevant one at 1 + t / (m + 1). Unchanged by any increasing map of all
    scores. The ratio grows with the pool: compare pools of equal size. It says little where the
    document is far down in its own list already, so read it beside ``own_rank``.

    Examples
    --------
    The image is second among the images; two texts stand before it as well.

    >>> text, image = np.array([[0.8, 0.7, 0.1]]), np.array([[0.3, 0.4]])
    >>> found = rank_inflation(text, image, image_relevant=np.array([[True, False]]))["image"]
    >>> found.own_rank, found.merged_rank, found.inflation
    (array([2.]), array([4.]), array([2.]))
    """
    text, image = _two_legs(text_scores, image_scores, text_relevant, image_relevant)
    return {"text": _ranks(text, image), "image": _ranks(image, text)}


def _ranks(own: _Leg, other: _Leg) -> RankInflation:
    relevant = own.of_relevant()
    best = np.fmax.reduce(relevant, axis=1, initial=np.nan)[:, None]
    n_best = (relevant == best).sum(axis=1)
    above = (own.scores > best).sum(axis=1)
    tied = (own.scores == best).sum(axis=1) - n_best
    rivals = other.of_rivals()
    merged_above = above + (rivals > best).sum(axis=1)
    merged_tied = tied + (rivals == best).sum(axis=1)
    known = ~np.isnan(best[:, 0])
    own_rank = np.where(known, above + 1 + tied / (n_best + 1), np.nan)
    merged_rank = np.where(known, merged_above + 1 + merged_tied / (n_best + 1), np.nan)
    return RankInflation(own_rank, merged_rank)
