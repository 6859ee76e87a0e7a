"""What Weaviate returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmgap.fusion.engine_arithmetic import (
    F32,
    extremes,
    list_weights,
    scale,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def weaviate_ranked(*lists: Ranked, weights: Sequence[float] | None = None) -> Ranked:
    """Weaviate's ``rankedFusion``.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    weights : sequence of float or None, default None
        None = equal weights that sum to 1. A hybrid query has ``(1 - alpha, alpha)`` for keywords
        and vectors, with alpha 0.75 unless the client says otherwise [M].

    Returns
    -------
    scores : dict or ndarray
        Sum of weight / (60 + place), places from 0. Equal fused scores are ordered by the raw
        score in the last list that has the document: across modalities, the one whose raw scores
        lie higher wins every tie.

    Notes
    -----
    Mirrors ``usecases/traverser/hybrid/hybrid_fusion.go`` (``FusionRanked``). Versions before
    places counted from 0 have 61 + place.

    Examples
    --------
    >>> weaviate_ranked({"image": 0.3}, {"text": 0.8})
    {'text': 0.008333333767950535, 'image': 0.008333333767950535}
    """
    given = RankedLists(lists)
    points = [
        (weight / (places + 60)).astype(F32)
        for places, weight in zip(
            given.places, list_weights(weights, given, 1 / len(given)), strict=True
        )
    ]
    return _weaviate_order(given, add_legs(points), squared_tolerance=0.0)


def weaviate_relative_score(*lists: Ranked, weights: Sequence[float] | None = None) -> Ranked:
    """Weaviate's ``relativeScoreFusion``, its default since 1.24.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    weights : sequence of float or None, default None
        As in :func:`weaviate_ranked`.

    Returns
    -------
    scores : dict or ndarray
        Sum of weight times (s - min) / (max - min). A list of equal scores, or of one document,
        gives its documents the full weight. Fused scores closer than 1e-7 count as tied and are
        ordered by the raw score as in :func:`weaviate_ranked`.

    Notes
    -----
    Mirrors ``usecases/traverser/hybrid/hybrid_fusion.go`` (``FusionRelativeScore``).

    Examples
    --------
    >>> weaviate_relative_score({"a": 3.0, "b": 1.0}, {"b": 7.0}, weights=(0.5, 0.5))
    {'b': 0.5, 'a': 0.5}
    """
    given = RankedLists(lists)
    parts = []
    for leg, weight in zip(given.scores, list_weights(weights, given, 1 / len(given)), strict=True):
        scores = leg.astype(F32)
        parts.append(F32(weight) * scale(scores, *extremes(scores), equal=F32(1)))
    return _weaviate_order(given, add_legs(parts), squared_tolerance=1e-14)


def _weaviate_order(given: RankedLists, fused: np.ndarray, squared_tolerance: float) -> Any:
    """Order ties by the raw score in the last list that has the document."""
    raw = given.scores[0]
    for scores in given.scores[1:]:
        raw = np.where(np.isnan(scores), raw, scores)

    def compare(one: int, other: int) -> int:
        apart = float(fused[0, other]) - float(fused[0, one])
        if apart == 0 or apart * apart < squared_tolerance:
            apart = float(raw[0, other] - raw[0, one])
        return int(np.sign(apart))

    return given.back(fused, compare=compare)
