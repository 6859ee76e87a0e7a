"""What mteb's hybrid search returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.fusion.engine_arithmetic import (
    extremes,
    list_weights,
    mean_sd,
    scale,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def mteb_rrf(*lists: Ranked, weights: Sequence[float] | None = None, rrf_k: int = 60) -> Ranked:
    """Return what mteb's ``HybridSearch`` does with ``rrf``.

    Sum of weight / (rrf_k + rank), ranks from 1.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    weights : sequence of float or None, default None
        None = equal weights that sum to 1.
    rrf_k : int, default 60

    Returns
    -------
    scores : dict or ndarray
        Sum of weight / (rrf_k + rank), ranks from 1.

    Notes
    -----
    Mirrors ``mteb/models/hybrid_wrappers.py`` (``fuse_rrf``).

    Examples
    --------
    >>> mteb_rrf({"a": 0.9}, {"a": 0.7}, rrf_k=1)
    {'a': 0.5}
    """
    given = RankedLists(lists)
    each = list_weights(weights, given, 1 / len(given))
    return given.back(
        add_legs([w * (1.0 / (rrf_k + p + 1)) for p, w in zip(given.places, each, strict=True)])
    )


def mteb_dbsf(*lists: Ranked, weights: Sequence[float] | None = None) -> Ranked:
    """Return what mteb's ``HybridSearch`` does with ``dbsf``.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    weights : sequence of float or None, default None
        None = equal weights that sum to 1.

    Returns
    -------
    scores : dict or ndarray
        Weighted sum of (s - mean + 3 sd) / (6 sd), **clipped** to [0, 1], which ties all outliers;
        sd divides by n; 0.5 where it is below 1e-9. A list that lacks the document adds nothing.

    Notes
    -----
    Mirrors ``mteb/models/hybrid_wrappers.py`` (``fuse_dbsf``).

    Examples
    --------
    >>> mteb_dbsf({"a": 3.0, "b": 1.0}, {"c": 7.0}, weights=(1, 1))
    {'a': 0.6666666666666666, 'c': 0.5, 'b': 0.3333333333333333}
    """
    given = RankedLists(lists)
    parts = []
    for scores, weight in zip(
        given.scores, list_weights(weights, given, 1 / len(given)), strict=True
    ):
        mean, sd = mean_sd(scores)
        low, high = mean - 3 * sd, mean + 3 * sd
        spread = sd >= 1e-9
        part = np.clip((scores - low) / np.where(spread, high - low, 1), 0, 1)
        parts.append(weight * np.where(spread | np.isnan(scores), part, 0.5))
    return given.back(add_legs(parts))


def mteb_rsf(*lists: Ranked, weights: Sequence[float] | None = None) -> Ranked:
    """Return what mteb's ``HybridSearch`` does with ``relative-score-fusion``.

    Weighted min-max, 0.5 where scores are equal; parameters as in :func:`mteb_dbsf`.

    Notes
    -----
    Mirrors ``mteb/models/hybrid_wrappers.py`` (``fuse_relative_score_fusion``).

    Examples
    --------
    >>> mteb_rsf({"a": 3.0, "b": 1.0}, {"c": 7.0}, weights=(1, 1))
    {'a': 1.0, 'c': 0.5, 'b': 0.0}
    """
    given = RankedLists(lists)
    each = list_weights(weights, given, 1 / len(given))
    parts = [
        weight * scale(scores, *extremes(scores), equal=np.float64(0.5))
        for scores, weight in zip(given.scores, each, strict=True)
    ]
    return given.back(add_legs(parts))
