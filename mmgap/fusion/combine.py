"""From the scores of several legs to one score per document.

Everything in this room takes one array of shape (n_query, n_doc) per leg, for any number of legs,
NaN where a leg does not have the document, and returns one of the same shape: larger is better, NaN
where every leg lacks the document. MmgapError if shapes disagree or a score is infinite.

Here are Fox and Shaw's combinations (TREC-2, 1994) and weighted sums. Scores are taken as they
come: bring them onto one scale first. In ``comb_*`` a missing leg is left out, never counted as 0:
a document that one leg alone has keeps that leg's score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.errors import MmgapError

MISSING = ("zero", "renormalise", "minimum")
"""What :func:`weighted_sum` can do about a document that a leg lacks."""

Weights = Sequence[float] | np.ndarray


def check_legs(leg_scores: Sequence[np.ndarray], *, n_leg: int | None = None) -> list[np.ndarray]:
    """Widen the legs' scores to float64 and check that they fit together.

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


def check_weights(weights: Weights, legs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return one finite weight per leg, as arrays that multiply a leg.

    ``weights`` holds one number per leg, or one per query and leg: (n_query, n_leg).
    """
    given = np.asarray(weights, dtype=np.float64)
    if given.shape not in {(len(legs),), (len(legs[0]), len(legs))}:
        msg = (
            f"weights have shape {given.shape}; expected one number for each of the {len(legs)} "
            f"legs, or an array of shape (n_query, n_leg) = ({len(legs[0])}, {len(legs)})"
        )
        raise MmgapError(msg)
    if not np.isfinite(given).all():
        msg = f"weights must be finite; got {given}"
        raise MmgapError(msg)
    return [given[..., leg, None] for leg in range(len(legs))]


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


def comb_max(*leg_scores: np.ndarray) -> np.ndarray:
    """Largest of the scores there are.

    >>> comb_max(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.3, 0.9]])
    """
    return np.fmax.reduce(check_legs(leg_scores))


def comb_min(*leg_scores: np.ndarray) -> np.ndarray:
    """Smallest of the scores there are.

    >>> comb_min(np.array([[0.2, 0.9]]), np.array([[0.3, np.nan]]))
    array([[0.2, 0.9]])
    """
    return np.fmin.reduce(check_legs(leg_scores))


def comb_med(*leg_scores: np.ndarray) -> np.ndarray:
    """Median of the scores there are; of two scores the mean.

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
    """Sum of the scores there are; favours documents that several legs have.

    With negative scores (centred cosines, z-scores) a document gains by missing from a leg: prefer
    :func:`comb_mean` there.

    >>> comb_sum(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.75, 0.9 ]])
    """
    return add_legs(check_legs(leg_scores))


def comb_mean(*leg_scores: np.ndarray) -> np.ndarray:
    """Mean of the scores there are: Fox and Shaw's CombANZ, where a score of 0 counts.

    >>> comb_mean(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[0.375, 0.9  ]])
    """
    legs = check_legs(leg_scores)
    return add_legs(legs) / np.maximum(count_legs(legs), 1)


def comb_gmnz(*leg_scores: np.ndarray, gamma: float) -> np.ndarray:
    """Sum of the scores times their number to the power gamma (Lee, SIGIR 1997).

    0 is :func:`comb_sum`, 1 :func:`comb_mnz`, -1 :func:`comb_mean`.

    >>> comb_gmnz(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]), gamma=2)
    array([[3. , 0.9]])
    """
    legs = check_legs(leg_scores)
    return add_legs(legs) * np.maximum(count_legs(legs), 1).astype(np.float64) ** gamma


def comb_mnz(*leg_scores: np.ndarray) -> np.ndarray:
    """Sum of the scores times their number.

    >>> comb_mnz(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]))
    array([[1.5, 0.9]])
    """
    return comb_gmnz(*leg_scores, gamma=1)


def weighted_sum(*leg_scores: np.ndarray, weights: Weights, missing: str = "zero") -> np.ndarray:
    """Sum of weight times score; ``(alpha, 1 - alpha)`` is the convex combination.

    ``missing`` is what a leg adds for a document that it lacks:

    - ``zero``: nothing, as in ranx, mteb and most engines. Under scores that can be negative a
      missing document then beats every retrieved one that lies below 0;
    - ``renormalise``: the sum is divided by the weights, all positive, of the legs that have the
      document. On legs that share no document weights then do nothing;
    - ``minimum``: the leg's smallest score of that query, 0 where the leg is empty (Ma et al., "A
      Replication Study of Dense Passage Retriever", 2021).

    Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023.

    >>> text, image = np.array([[0.5, 0.25]]), np.array([[1.0, np.nan]])
    >>> weighted_sum(text, image, weights=(0.5, 0.5))
    array([[0.75 , 0.125]])
    >>> weighted_sum(text, image, weights=(0.5, 0.5), missing="minimum")
    array([[0.75 , 0.625]])
    """
    legs = check_legs(leg_scores)
    each = check_weights(weights, legs)
    if missing not in MISSING:
        msg = f"missing must be one of {', '.join(MISSING)}; got {missing!r}"
        raise MmgapError(msg)
    if missing == "minimum":
        filled = [np.where(np.isnan(leg), _minimum(leg), leg) for leg in legs]
        total = add_legs([weight * leg for weight, leg in zip(each, filled, strict=True)])
        return np.where(count_legs(legs) > 0, total, np.nan)
    total = add_legs([weight * leg for weight, leg in zip(each, legs, strict=True)])
    if missing == "zero":
        return total
    if not all((weight > 0).all() for weight in each):
        msg = f"missing='renormalise' divides by weights, so they must be positive; got {weights}"
        raise MmgapError(msg)
    there = [np.where(np.isnan(leg), np.nan, w) for w, leg in zip(each, legs, strict=True)]
    return total / add_legs(there)


def comb_weighted(
    text_scores: np.ndarray, image_scores: np.ndarray, *, text_weight: float = 0.5
) -> np.ndarray:
    """Weighted mean of the scores there are: 0 ranks as the image leg, 1 as the text leg.

    A document that one leg alone has keeps that leg's score whatever the weight. Where all
    documents have both, a constant added to all scores of one leg changes no order; a factor acts
    as another weight would.

    >>> comb_weighted(np.array([[0.25, 0.9]]), np.array([[0.5, np.nan]]), text_weight=0.75)
    array([[0.3125, 0.9   ]])
    """
    if not 0 <= text_weight <= 1:
        msg = f"text_weight must lie in [0, 1], the image leg having the rest; got {text_weight}"
        raise MmgapError(msg)
    text, image = check_legs((text_scores, image_scores))
    both = text_weight * text + (1 - text_weight) * image
    return np.where(np.isnan(text), image, np.where(np.isnan(image), text, both))


def weighted_mnz(*leg_scores: np.ndarray, weights: Weights) -> np.ndarray:
    """Sum of the scores times the sum of the weights of the legs that have the document.

    Wu and Crestani, "Data Fusion with Estimated Weights", CIKM 2002.

    >>> weighted_mnz(np.array([[0.5, 0.5]]), np.array([[1.0, np.nan]]), weights=(1, 2))
    array([[4.5, 0.5]])
    """
    legs = check_legs(leg_scores)
    each = check_weights(weights, legs)
    trust = [np.where(np.isnan(leg), 0, w) for w, leg in zip(each, legs, strict=True)]
    return add_legs(legs) * np.sum(trust, axis=0)


def weighted_root(*leg_scores: np.ndarray, weights: Weights) -> np.ndarray:
    """Weighted sum times the square root of the number of legs that have the document.

    ranx calls it ``mixed``.

    >>> weighted_root(np.array([[0.5, 0.5]]), np.array([[1.0, np.nan]]), weights=(1, 1)).round(3)
    array([[2.121, 0.5  ]])
    """
    legs = check_legs(leg_scores)
    return weighted_sum(*legs, weights=weights) * np.sqrt(np.maximum(count_legs(legs), 1))


def _minimum(leg: np.ndarray) -> np.ndarray:
    """Smallest score of each row, 0 where there is none: shape (n_query, 1)."""
    lowest = np.fmin.reduce(leg, axis=1, keepdims=True, initial=np.nan)
    return np.nan_to_num(lowest, nan=0.0)
