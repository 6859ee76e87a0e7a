"""What Elasticsearch returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.engine_arithmetic import (
    F32,
    JAVA_FLOAT_MIN_VALUE,
    extremes,
    list_weights,
    scale,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def elasticsearch_linear(
    *lists: Ranked,
    normalizer: str = "none",
    weights: Sequence[float] | None = None,
    equal_scores: str = "one",
) -> Ranked:
    """Elasticsearch's linear retriever.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    normalizer : {"none", "minmax", "l2_norm"}, default "none"
        For all lists. In ``minmax`` the search for the maximum starts at Java's
        ``Float.MIN_VALUE``, the smallest positive number, as in :func:`opensearch_hybrid`: lists of
        negative scores (centred cosines) are not brought to 1, and their equal scores give 0.
        Scores whose range is below 1e-6 count as equal. ``l2_norm`` leaves scores as they are
        where the norm is below 1e-6.
    weights : sequence of float or None, default None
        None weighs each list 1.
    equal_scores : {"one", "minimum"}, default "one"
        What ``minmax`` gives to equal scores: 1 since the fix of pull request 128689 (June 2025,
        backported to 8.18, 8.19 and 9.0); before it, the raw minimum.

    Returns
    -------
    scores : dict or ndarray
        Weighted sum; a list that lacks the document adds 0.

    Raises
    ------
    ValueError
        If a name is unknown or weights do not match the lists.

    Notes
    -----
    Mirrors ``x-pack/plugin/rank-rrf/src/main/java/org/elasticsearch/xpack/rank/linear/``:
    ``LinearRetrieverBuilder.java``, ``MinMaxScoreNormalizer.java``, ``L2ScoreNormalizer.java``.

    Examples
    --------
    >>> elasticsearch_linear({"a": 3.0, "b": 1.0}, {"c": 7.0}, normalizer="minmax")
    {'a': 1.0, 'c': 1.0, 'b': 0.0}
    >>> elasticsearch_linear({"a": -0.25, "b": -0.5}, {}, normalizer="minmax")
    {'a': 0.5, 'b': 0.0}
    """
    if normalizer not in ("none", "minmax", "l2_norm") or equal_scores not in ("one", "minimum"):
        msg = (
            "normalizer must be none, minmax or l2_norm and equal_scores one or minimum; got "
            f"{normalizer!r} and {equal_scores!r}"
        )
        raise MmgapError(msg)
    given = RankedLists(lists)
    parts = []
    for leg, weight in zip(given.scores, list_weights(weights, given, 1.0), strict=True):
        scores = leg.astype(F32)
        if normalizer == "minmax":
            low, high = extremes(scores)
            high = np.maximum(high, JAVA_FLOAT_MIN_VALUE)
            equal = F32(1) if equal_scores == "one" else low
            normalised = scale(scores, low, high, equal=equal, epsilon=F32(1e-6))
        elif normalizer == "l2_norm":
            squares = np.nan_to_num(scores * scores).astype(np.float64)
            norm = np.sqrt(squares.sum(axis=1, keepdims=True))
            safe = np.where(norm < F32(1e-6), 1, norm)
            normalised = (scores / safe).astype(F32)
        else:
            normalised = scores
        parts.append(F32(weight) * normalised)
    return given.back(add_legs(parts))


def elasticsearch_rrf(*lists: Ranked, rank_constant: int = 60) -> Ranked:
    """Elasticsearch's reciprocal rank fusion: sum of 1 / (rank_constant + rank), ranks from 1.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    rank_constant : int, default 60

    Returns
    -------
    scores : dict or ndarray
        The engine orders ties by its internal document number.

    Notes
    -----
    Mirrors ``x-pack/plugin/rank-rrf/src/main/java/org/elasticsearch/xpack/rank/rrf/``
    ``RRFRetrieverBuilder.java`` (without the weights of later versions).

    Examples
    --------
    >>> elasticsearch_rrf({"a": 0.9}, {"a": 0.7, "b": 0.1}, rank_constant=1)
    {'a': 1.0, 'b': 0.3333333432674408}
    """
    given = RankedLists(lists)
    points = [F32(1) / (F32(rank_constant + 1) + places.astype(F32)) for places in given.places]
    return given.back(add_legs(points))
