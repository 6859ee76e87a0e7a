"""One score per candidate out of its text score and its image score.

All combiners take two arrays of shape (n_query, n_candidate), NaN where a leg does not have the
document, and return one of the same shape. A missing leg is left out, never counted as 0: a
document that one leg alone has keeps that leg's score; one that neither has stays NaN. Only
:func:`comb_sum` and :func:`reciprocal_rank_fusion` thereby favour documents that both legs have.
Scores are taken as they come: bring them onto one scale first, or use ranks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def comb_max(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """Larger of the two scores.

    Parameters
    ----------
    text_scores, image_scores : ndarray of shape (n_query, n_candidate)
        NaN where the leg does not have the document.

    Returns
    -------
    scores : ndarray of shape (n_query, n_candidate)
        Larger is better; NaN where both legs lack the document.

    Raises
    ------
    ValueError
        If shapes disagree.

    References
    ----------
    .. [1] Fox and Shaw, "Combination of Multiple Searches", TREC-2, 1994.

    Examples
    --------
    >>> comb_max(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.3, 0.9]])
    """
    return np.fmax(*_legs(text_scores, image_scores))


def comb_min(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """Smaller of the two scores; parameters, errors and source as in :func:`comb_max`.

    Examples
    --------
    >>> comb_min(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.2, 0.9]])
    """
    return np.fmin(*_legs(text_scores, image_scores))


def comb_sum(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """Sum of the scores there are; parameters, errors and source as in :func:`comb_max`.

    With negative scores a document gains by missing from a leg: prefer :func:`comb_mean` there.

    Examples
    --------
    >>> comb_sum(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.75, 0.9 ]])
    """
    text, image = _legs(text_scores, image_scores)
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, text + image))


def comb_mean(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """Mean of the scores there are; parameters and errors as in :func:`comb_max`.

    Fox and Shaw's CombANZ, except that a score of zero counts.

    Examples
    --------
    >>> comb_mean(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.375, 0.9  ]])
    """
    text, image = _legs(text_scores, image_scores)
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, (text + image) / 2))


def comb_weighted(
    text_scores: np.ndarray, image_scores: np.ndarray, *, text_weight: float = 0.5
) -> np.ndarray:
    """Weighted mean of the scores there are, with one weight for all queries and documents.

    Parameters
    ----------
    text_scores, image_scores : ndarray of shape (n_query, n_candidate)
        NaN where the leg does not have the document.
    text_weight : float, default 0.5
        In [0, 1]; larger = the text leg has more say. The image leg has the rest: 0 ranks as the
        image leg, 1 as the text leg, 0.5 as :func:`comb_mean`.

    Returns
    -------
    scores : ndarray of shape (n_query, n_candidate)
        Larger is better; NaN where both legs lack the document. A document that one leg alone has
        keeps that leg's score whatever the weight. Where all documents have both scores, a constant
        added to all scores of one leg changes no order; a factor acts as another weight would.

    Raises
    ------
    ValueError
        If shapes disagree or the weight is outside [0, 1].

    References
    ----------
    .. [1] Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM
       Transactions on Information Systems 2023, Sec. 4 (convex combination).

    Examples
    --------
    >>> comb_weighted(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]), text_weight=0.75)
    array([[0.3125, 0.9   ]])
    """
    if not 0 <= text_weight <= 1:
        msg = f"text_weight must lie in [0, 1], the image leg having the rest; got {text_weight}"
        raise ValueError(msg)
    text, image = _legs(text_scores, image_scores)
    both = text_weight * text + (1 - text_weight) * image
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, both))


def reciprocal_rank_fusion(
    text_scores: np.ndarray, image_scores: np.ndarray, *, k: float = 60, ties: str = "ordinal"
) -> np.ndarray:
    """Sum of 1 / (k + rank) over the legs that have the document.

    Parameters
    ----------
    text_scores, image_scores : ndarray of shape (n_query, n_candidate)
        Only their order within each leg and query counts; NaN where a leg lacks the document.
    k : float, default 60
        Larger = more even weights. Systems that count ranks from 0 need one more here (Qdrant's
        default of 2 is ``k=1``).
    ties : {"ordinal", "min", "average", "max", "dense"}, default "ordinal"
        As in :func:`ranks`.

    Returns
    -------
    scores : ndarray of shape (n_query, n_candidate)
        In (0, 2 / (k + 1)]; larger is better; NaN where both legs lack the document. Documents
        that one leg alone has come in exactly tied pairs, one of each leg.

    Raises
    ------
    ValueError
        If shapes disagree or ``k`` is negative.

    References
    ----------
    .. [1] Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
       Individual Rank Learning Methods", SIGIR 2009.

    Examples
    --------
    The first document is first in both legs, the second is second in one.

    >>> reciprocal_rank_fusion(np.array([[0.9, 0.1]]), np.array([[0.3, np.nan]]), k=1)
    array([[1.        , 0.33333333]])
    """
    if k < 0:
        msg = f"k must not be negative; got {k}"
        raise ValueError(msg)
    legs = _legs(text_scores, image_scores)
    return comb_sum(*(1 / (k + ranks(scores, ties=ties)) for scores in legs))


def ranks(scores: np.ndarray, *, ties: str = "ordinal") -> np.ndarray:
    """Rank of each candidate in its row, 1 for the largest score.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_candidate)
        NaN where there is no candidate.
    ties : {"ordinal", "min", "average", "max", "dense"}, default "ordinal"
        ``ordinal``, as engines and Cormack et al. do it, gives tied candidates different ranks in
        the order of their columns, hence favours earlier columns; the others give them the same.

    Returns
    -------
    ranks : ndarray of shape (n_query, n_candidate)
        From 1; smaller is better; NaN where ``scores`` is.

    Examples
    --------
    >>> ranks(np.array([[0.1, 0.7, np.nan, 0.7]]))
    array([[ 3.,  1., nan,  2.]])
    >>> ranks(np.array([[0.1, 0.7, np.nan, 0.7]]), ties="average")
    array([[3. , 1.5, nan, 1.5]])
    """
    from scipy.stats import rankdata

    scores = np.asarray(scores, dtype=np.float64)
    last = np.where(np.isnan(scores), np.inf, -scores)
    return np.where(np.isnan(scores), np.nan, rankdata(last, method=ties, axis=1))


COMBINERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "max": comb_max,
    "min": comb_min,
    "sum": comb_sum,
    "mean": comb_mean,
    "rrf": reciprocal_rank_fusion,
}
"""Combiners by the name that strategies use."""


def _legs(text_scores: np.ndarray, image_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    text = np.asarray(text_scores, dtype=np.float64)
    image = np.asarray(image_scores, dtype=np.float64)
    if text.shape != image.shape or text.ndim != 2:
        msg = (
            f"text_scores {text.shape} and image_scores {image.shape} must have one shape "
            "(n_query, n_candidate); put NaN where a leg lacks a candidate"
        )
        raise ValueError(msg)
    return text, image
