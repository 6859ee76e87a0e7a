"""The form in which fusion takes scores: one matrix per leg, all of one shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.errors import MmgapError


def check_legs(leg_scores: Sequence[np.ndarray], *, n_leg: int | None = None) -> list[np.ndarray]:
    """Widen the legs' scores to float64 and check that they fit together.

    Parameters
    ----------
    leg_scores : sequence of ndarray of shape (n_query, n_doc)
        NaN where a leg does not have the document.
    n_leg : int or None, default None
        How many legs there must be; None accepts one or more.

    Returns
    -------
    legs : list of float64 ndarray of shape (n_query, n_doc)

    Raises
    ------
    ValueError
        If there is no leg or not ``n_leg`` of them, shapes disagree, or a score is infinite.

    Examples
    --------
    >>> check_legs([np.array([[0.5, np.nan]], dtype=np.float16)])
    [array([[0.5, nan]])]
    """
    legs = [np.asarray(scores, dtype=np.float64) for scores in leg_scores]
    if not legs or (n_leg is not None and len(legs) != n_leg):
        msg = f"expected {n_leg or 'at least one'} leg(s) of scores; got {len(legs)}"
        raise MmgapError(msg)
    shapes = [leg.shape for leg in legs]
    if len(set(shapes)) > 1 or legs[0].ndim != 2:
        msg = (
            f"the legs have shapes {', '.join(map(str, shapes))}; they must all have one shape "
            "(n_query, n_doc). Put NaN where a leg lacks a document"
        )
        raise MmgapError(msg)
    if any(np.isinf(leg).any() for leg in legs):
        msg = "a leg holds an infinite score; put NaN where a leg lacks a document"
        raise MmgapError(msg)
    return legs


def check_relevance(relevance: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return grades as float64, or raise MmgapError if they do not have the shape of the scores."""
    relevance = np.asarray(relevance, dtype=np.float64)
    if relevance.shape != shape:
        msg = (
            f"relevance {relevance.shape} must have the shape of the scores {shape}: the grade of "
            "each document, 0 where it is not relevant"
        )
        raise MmgapError(msg)
    return relevance


def check_weights(weights: Sequence[float] | np.ndarray, legs: Sequence[np.ndarray]) -> np.ndarray:
    """Return weights as float64 of shape (n_leg,) or (n_query, n_leg), or raise MmgapError."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape not in {(len(legs),), (len(legs[0]), len(legs))}:
        msg = (
            f"weights have shape {weights.shape}; expected one number for each of the {len(legs)} "
            f"legs, or an array of shape (n_query, n_leg) = ({len(legs[0])}, {len(legs)})"
        )
        raise MmgapError(msg)
    if not np.isfinite(weights).all():
        msg = f"weights must be finite; got {weights}"
        raise MmgapError(msg)
    return weights


def count_legs(legs: Sequence[np.ndarray]) -> np.ndarray:
    """Return how many legs have each document: int array of shape (n_query, n_doc)."""
    return np.sum([~np.isnan(leg) for leg in legs], axis=0)


def add_legs(legs: Sequence[np.ndarray]) -> np.ndarray:
    """Sum over the legs that have the document, NaN where none has."""
    total = legs[0]
    for leg in legs[1:]:
        both = total + leg
        # Only one of the two is NaN, or both are: fmax returns the one there is.
        total = np.where(np.isnan(both), np.fmax(total, leg), both)
    return total
