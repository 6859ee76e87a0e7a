"""Fox and Shaw's combinations: one score per document out of the scores of several legs.

All take one array of shape (n_query, n_doc) per leg, NaN where a leg does not have the document,
and return one of the same shape. A missing leg is left out, never counted as 0: a document that one
leg alone has keeps that leg's score; one that no leg has stays NaN. Scores are taken as they come:
bring them onto one scale first.
"""

from __future__ import annotations

import numpy as np

from mmgap.fusion.legs import add_legs, check_legs, count_legs


def comb_max(*leg_scores: np.ndarray) -> np.ndarray:
    """Largest of the scores there are.

    Parameters
    ----------
    *leg_scores : ndarray of shape (n_query, n_doc)
        One array per leg; NaN where the leg does not have the document.

    Returns
    -------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN where every leg lacks the document. The order of the legs does not
        matter.

    Raises
    ------
    ValueError
        If shapes disagree or a score is infinite.

    References
    ----------
    .. [1] Fox and Shaw, "Combination of Multiple Searches", TREC-2, 1994.

    Examples
    --------
    >>> comb_max(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.3, 0.9]])
    """
    return np.fmax.reduce(check_legs(leg_scores))


def comb_min(*leg_scores: np.ndarray) -> np.ndarray:
    """Smallest of the scores there are; parameters, errors and source as in :func:`comb_max`.

    A document that one leg alone has is not held back by the other.

    Examples
    --------
    >>> comb_min(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.2, 0.9]])
    """
    return np.fmin.reduce(check_legs(leg_scores))


def comb_med(*leg_scores: np.ndarray) -> np.ndarray:
    """Median of the scores there are; parameters, errors and source as in :func:`comb_max`.

    Of two scores this is the mean, so that it differs from :func:`comb_mean` with three legs or
    more.

    Examples
    --------
    >>> comb_med(np.array([[0.25]]), np.array([[0.75]]), np.array([[0.3]]))
    array([[0.3]])
    """
    legs = check_legs(leg_scores)
    ascending = np.sort(np.stack(legs), axis=0)  # NaN comes last
    count = count_legs(legs)[None]
    lower = np.take_along_axis(ascending, np.maximum(count - 1, 0) // 2, axis=0)
    upper = np.take_along_axis(ascending, np.minimum(count // 2, len(legs) - 1), axis=0)
    return ((lower + upper) / 2)[0]


def comb_sum(*leg_scores: np.ndarray) -> np.ndarray:
    """Sum of the scores there are; parameters, errors and source as in :func:`comb_max`.

    Favours documents that several legs have. With negative scores (centred cosines, z-scores) the
    opposite holds: a document gains by missing from a leg. Prefer :func:`comb_mean` there.

    Examples
    --------
    >>> comb_sum(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.75, 0.9 ]])
    """
    return add_legs(check_legs(leg_scores))


def comb_anz(*leg_scores: np.ndarray, count_zeros: bool = True) -> np.ndarray:
    """Sum of the scores over their number; errors and source as in :func:`comb_max`.

    Parameters
    ----------
    *leg_scores : ndarray of shape (n_query, n_doc)
    count_zeros : bool, default True
        Whether a score of exactly 0 counts, as in ranx. Fox and Shaw divide by the number of
        scores that are not 0, since a missing document had 0 there; after min-max scaling that
        rule drops the last document of each list.

    Examples
    --------
    >>> comb_anz(np.array([[0.5, 0.9]]), np.array([[0.0, np.nan]]))
    array([[0.25, 0.9 ]])
    >>> comb_anz(np.array([[0.5, 0.9]]), np.array([[0.0, np.nan]]), count_zeros=False)
    array([[0.5, 0.9]])
    """
    legs = check_legs(leg_scores)
    return add_legs(legs) / np.maximum(_count(legs, count_zeros), 1)


def comb_mean(*leg_scores: np.ndarray) -> np.ndarray:
    """Mean of the scores there are: :func:`comb_anz` that counts zeros.

    Examples
    --------
    >>> comb_mean(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.375, 0.9  ]])
    """
    return comb_anz(*leg_scores)


def comb_mnz(*leg_scores: np.ndarray, count_zeros: bool = True) -> np.ndarray:
    """Sum of the scores times their number; parameters as in :func:`comb_anz`.

    Favours documents that several legs have even more than :func:`comb_sum`; on legs that share no
    document it is the same as any other combination.

    Examples
    --------
    >>> comb_mnz(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[1.5, 0.9]])
    """
    return comb_gmnz(*leg_scores, gamma=1, count_zeros=count_zeros)


def comb_gmnz(*leg_scores: np.ndarray, gamma: float, count_zeros: bool = True) -> np.ndarray:
    """Sum of the scores times their number to the power gamma.

    Parameters
    ----------
    *leg_scores : ndarray of shape (n_query, n_doc)
    gamma : float
        0 = :func:`comb_sum`, 1 = :func:`comb_mnz`, -1 = :func:`comb_anz`.
    count_zeros : bool, default True
        As in :func:`comb_anz`.

    Returns
    -------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN where every leg lacks the document.

    Raises
    ------
    ValueError
        If shapes disagree or a score is infinite.

    References
    ----------
    .. [1] Lee, "Analyses of Multiple Evidence Combination", SIGIR 1997.

    Examples
    --------
    >>> comb_gmnz(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]), gamma=2)
    array([[3. , 0.9]])
    """
    legs = check_legs(leg_scores)
    return add_legs(legs) * np.maximum(_count(legs, count_zeros), 1).astype(np.float64) ** gamma


def _count(legs: list[np.ndarray], count_zeros: bool) -> np.ndarray:
    if count_zeros:
        return count_legs(legs)
    return np.sum([~np.isnan(leg) & (leg != 0) for leg in legs], axis=0)
