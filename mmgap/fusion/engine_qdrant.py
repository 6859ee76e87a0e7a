"""What Qdrant returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.fusion.engine_arithmetic import (
    F32,
    extremes,
    list_weights,
    scale,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def qdrant_rrf(*lists: Ranked, k: int = 2, weights: Sequence[float] | None = None) -> Ranked:
    """Qdrant's reciprocal rank fusion.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    k : int, default 2
        Qdrant's default. Places count from 0, so that the paper's k = 60 is 61 here.
    weights : sequence of float or None, default None
        One per list. A weight stretches the places: place p of a list of weight w counts as place
        (p + 1) / w - 1. A list of weight 0 or less adds 0.

    Returns
    -------
    scores : dict or ndarray
        Sum of 1 / ((p + 1) / w + k - 1), which is 1 / (p + k) at weight 1.

    Raises
    ------
    ValueError
        If lists do not fit together, or weights do not match them (as in Qdrant).

    Notes
    -----
    Mirrors ``lib/segment/src/common/reciprocal_rank_fusion.rs``; earlier versions have no weights.

    Examples
    --------
    >>> qdrant_rrf({"a": 0.9, "b": 0.8}, {"b": 0.7})
    {'b': 0.8333333730697632, 'a': 0.5}
    """
    given = RankedLists(lists)
    points = []
    for places, weight in zip(given.places, list_weights(weights, given, 1.0), strict=True):
        place = places.astype(F32)
        stretched = (place + F32(1)) / F32(weight) if weight > 0 else place
        worth = F32(1) / (stretched + F32(k) - F32(1)) if weight > 0 else place * F32(0)
        points.append(worth)
    return given.back(add_legs(points))


def qdrant_dbsf(*lists: Ranked) -> Ranked:
    """Qdrant's distribution-based score fusion.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)

    Returns
    -------
    scores : dict or ndarray
        Sum of (s - mean + 3 sd) / (6 sd) over the lists that have the document. The standard
        deviation divides by n - 1; nothing is clipped, so that outliers leave [0, 1]. A list of
        one document, or of equal scores, gives 0.5. Lists cannot be weighted.

    Notes
    -----
    Mirrors ``lib/segment/src/common/score_fusion.rs`` (mean and variance in one pass).

    Examples
    --------
    >>> qdrant_dbsf({"a": 3.0, "b": 1.0}, {"c": 0.3})
    {'a': 0.6178511381149292, 'c': 0.5, 'b': 0.3821488618850708}
    """
    given = RankedLists(lists)
    parts = []
    for leg, scores in enumerate(given.scores):
        mean, sd, n = _one_pass(given.in_order(leg, F32))
        low, high = mean - F32(3) * sd, mean + F32(3) * sd
        part = scale(scores.astype(F32), low, high, equal=F32(0.5))
        parts.append(np.where((n == 1) & ~np.isnan(part), F32(0.5), part))
    return given.back(add_legs(parts))


def qdrant_min_max(*lists: Ranked) -> Ranked:
    """Qdrant's min-max fusion, which its source has and its API does not offer [M].

    A list of one document keeps its raw score; equal scores give 0.5.

    Notes
    -----
    Mirrors ``lib/segment/src/common/score_fusion.rs``.

    Examples
    --------
    >>> qdrant_min_max({"a": 3.0, "b": 1.0}, {"c": 7.0})
    {'c': 7.0, 'a': 1.0, 'b': 0.0}
    """
    given = RankedLists(lists)
    parts = []
    for scores in (leg.astype(F32) for leg in given.scores):
        part = scale(scores, *extremes(scores), equal=F32(0.5))
        alone = (~np.isnan(scores)).sum(axis=1, keepdims=True) == 1
        parts.append(np.where(alone, scores, part))
    return given.back(add_legs(parts))


def _one_pass(in_order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation (over n - 1) and number of each row, by Welford's recurrence."""
    n = (~np.isnan(in_order)).sum(axis=1, keepdims=True)
    mean, aggregate = np.zeros((2, *n.shape), dtype=in_order.dtype)
    for k in range(n.max(initial=0)):
        score = in_order[:, [k]]
        old = score - mean
        moved = mean + old / F32(k + 1)
        listed = ~np.isnan(score)
        aggregate = np.where(listed, aggregate + old * (score - moved), aggregate)
        mean = np.where(listed, moved, mean)
    return mean, np.sqrt(aggregate / np.maximum(n - 1, 1).astype(F32)), n
