"""Weighted sums of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.legs import add_legs, check_legs, check_weights, count_legs

MISSING = ("zero", "renormalise", "minimum")
"""What :func:`weighted_sum` can do about a document that a leg lacks."""


def weighted_sum(
    *leg_scores: np.ndarray,
    weights: Sequence[float] | np.ndarray,
    missing: str = "zero",
) -> np.ndarray:
    """Sum of weight times score.

    Parameters
    ----------
    *leg_scores : ndarray of shape (n_query, n_doc)
        One array per leg; NaN where the leg does not have the document.
    weights : sequence of float or ndarray of shape (n_query, n_leg)
        One weight per leg, or one per query and leg. ``(alpha, 1 - alpha)`` is the convex
        combination.
    missing : {"zero", "renormalise", "minimum"}, default "zero"
        What a leg adds for a document that it lacks:

        - ``zero``: nothing, as ranx, mteb and most engines do. Under scores that can be negative
          (z-scores, centred cosines) a missing document then beats every retrieved one that lies
          below 0;
        - ``renormalise``: the sum is divided by the weights of the legs that have the document,
          which makes it a weighted mean. On legs that share no document weights then do nothing;
        - ``minimum``: the leg's smallest score of that query, so that a missing document never
          beats a retrieved one (0 where the leg is empty).

    Returns
    -------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN where every leg lacks the document. With positive weights
        multiplying all of them by one number changes no order.

    Raises
    ------
    ValueError
        If shapes disagree, weights do not fit, ``missing`` is unknown, or with ``renormalise`` the
        weights are not all positive.

    References
    ----------
    .. [1] Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS
       2023, Sec. 4 (convex combination).
    .. [2] Ma et al., "A Replication Study of Dense Passage Retriever", 2021 (``minimum``).

    Examples
    --------
    The second leg lacks the second document.

    >>> text, image = np.array([[0.5, 0.25]]), np.array([[1.0, np.nan]])
    >>> weighted_sum(text, image, weights=(0.5, 0.5))
    array([[0.75 , 0.125]])
    >>> weighted_sum(text, image, weights=(0.5, 0.5), missing="renormalise")
    array([[0.75, 0.25]])
    >>> weighted_sum(text, image, weights=(0.5, 0.5), missing="minimum")
    array([[0.75 , 0.625]])
    """
    legs = check_legs(leg_scores)
    weights = check_weights(weights, legs)
    if missing not in MISSING:
        msg = f"missing must be one of {', '.join(MISSING)}; got {missing!r}"
        raise MmgapError(msg)
    of_leg = [weights[..., leg, None] for leg in range(len(legs))]
    if missing == "zero":
        return add_legs([weight * leg for weight, leg in zip(of_leg, legs, strict=True)])
    if missing == "minimum":
        filled = [np.where(np.isnan(leg), _minimum(leg), leg) for leg in legs]
        total = add_legs([weight * leg for weight, leg in zip(of_leg, filled, strict=True)])
        return np.where(count_legs(legs) > 0, total, np.nan)
    if not (weights > 0).all():
        msg = f"missing='renormalise' divides by weights, so they must be positive; got {weights}"
        raise MmgapError(msg)
    total = add_legs([weight * leg for weight, leg in zip(of_leg, legs, strict=True)])
    return total / add_legs(
        [np.where(np.isnan(leg), np.nan, weight) for weight, leg in zip(of_leg, legs, strict=True)]
    )


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
        image leg, 1 as the text leg, 0.5 as :func:`~mmgap.fusion.comb_mean`.

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
        raise MmgapError(msg)
    text, image = check_legs((text_scores, image_scores))
    both = text_weight * text + (1 - text_weight) * image
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, both))


def weighted_mnz(*leg_scores: np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Sum of the scores times the sum of the weights of the legs that have the document.

    Parameters
    ----------
    *leg_scores : ndarray of shape (n_query, n_doc)
    weights : sequence of float or ndarray of shape (n_query, n_leg)
        Trust in each leg. With equal weights :func:`comb_mnz`.

    Returns
    -------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN where every leg lacks the document.

    Raises
    ------
    ValueError
        If shapes disagree or weights do not fit.

    References
    ----------
    .. [1] Wu and Crestani, "Data Fusion with Estimated Weights", CIKM 2002.

    Examples
    --------
    >>> weighted_mnz(np.array([[0.5, 0.5]]), np.array([[1.0, np.nan]]), weights=(1, 2))
    array([[4.5, 0.5]])
    """
    legs = check_legs(leg_scores)
    weights = check_weights(weights, legs)
    trust = [np.where(np.isnan(leg), 0, weights[..., i, None]) for i, leg in enumerate(legs)]
    return add_legs(legs) * np.sum(trust, axis=0)


def weighted_root(*leg_scores: np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Weighted sum times the square root of the number of legs that have the document.

    ranx calls it ``mixed``. Between :func:`weighted_sum` and a weighted CombMNZ in how much it
    favours documents that several legs have. Parameters, errors and result as in
    :func:`weighted_mnz`.

    References
    ----------
    .. [1] Bassani, "ranx.fuse: A Python Library for Metasearch", CIKM 2022.

    Examples
    --------
    >>> weighted_root(np.array([[0.5, 0.5]]), np.array([[1.0, np.nan]]), weights=(1, 1)).round(3)
    array([[2.121, 0.5  ]])
    """
    legs = check_legs(leg_scores)
    return weighted_sum(*legs, weights=weights) * np.sqrt(np.maximum(count_legs(legs), 1))


def _minimum(leg: np.ndarray) -> np.ndarray:
    """Smallest score of each row, 0 where there is none: shape (n_query, 1)."""
    lowest = np.fmin.reduce(leg, axis=1, keepdims=True, initial=np.nan)
    return np.nan_to_num(lowest, nan=0.0)
