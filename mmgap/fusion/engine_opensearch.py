"""What OpenSearch returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.engine_arithmetic import (
    F32,
    JAVA_FLOAT_MIN_VALUE,
    extremes,
    list_weights,
    mean_sd,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def opensearch_hybrid(
    *lists: Ranked,
    normalization: str = "min_max",
    combination: str = "arithmetic_mean",
    weights: Sequence[float] | None = None,
    lower_bounds: Sequence[tuple[str, float] | None] | None = None,
    upper_bounds: Sequence[tuple[str, float] | None] | None = None,
) -> Ranked:
    """OpenSearch's normalization processor.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
        What each clause of the hybrid query returned over all shards.
    normalization : {"min_max", "l2", "z_score", "max"}, default "min_max"
        - ``min_max``: a result of exactly 0 becomes 0.001. Equal scores give 1. The search for the
          maximum starts at Java's ``Float.MIN_VALUE``, the smallest positive number: where all
          scores are negative the maximum is taken for (nearly) 0, the best document stays below 1,
          and equal scores give 0.001;
        - ``l2``: over the Euclidean norm; 0 where the norm is 0;
        - ``z_score``: results of 0 or less become 0.001, so that all documents below the mean tie.
          A score equal to the mean becomes the list's raw maximum, and where the deviation is 0
          the raw minimum. The standard deviation divides by n - 1 (Apache commons-math [M]);
        - ``max``: not a division by the maximum. The first of two lists is multiplied by the ratio
          of the second's maximum to its own, rounded to 3 digits. Found in the repository's
          history, not documented.
    combination : {"arithmetic_mean", "geometric_mean", "harmonic_mean"}
        A document that a list lacks has 0 there. The arithmetic mean **counts** that 0 (and leaves
        out negative scores); the geometric and harmonic means leave out 0 and negative scores.
        OpenSearch allows z_score with the arithmetic mean only [M].
    weights : sequence of float or None, default None
        None weighs each list 1.
    lower_bounds, upper_bounds : sequence of (mode, score) or None, default None
        Of ``min_max``, one for each list; mode ``apply``, ``clip`` or ``ignore``.

    Returns
    -------
    scores : dict or ndarray

    Raises
    ------
    ValueError
        If a name is unknown, or bounds, weights and lists do not fit together.

    Notes
    -----
    Mirrors ``src/main/java/org/opensearch/neuralsearch/processor/`` of neural-search:
    ``normalization/{MinMax,L2,ZScore,Max}*Technique.java``, ``normalization/bounds/*.java`` and
    ``combination/{Arithmetic,Geometric,Harmonic}Mean*Technique.java``, ``ScoreCombiner.java``.

    Examples
    --------
    The last of each list gets 0.001; a missing list counts as 0 in the mean.

    >>> opensearch_hybrid({"a": 3.0, "b": 1.0}, {"c": 7.0})
    {'a': 0.5, 'c': 0.5, 'b': 0.0005000000237487257}
    """
    given = RankedLists(lists)
    n_leg = len(given)
    legs = [scores.astype(F32) for scores in given.scores]
    match normalization:
        case "min_max":
            lower, upper = (_bounds(bounds, n_leg) for bounds in (lower_bounds, upper_bounds))
            parts = [_opensearch_min_max(*leg) for leg in zip(legs, lower, upper, strict=True)]
        case "l2":
            parts = [_opensearch_l2(leg, given.in_order(i, F32)) for i, leg in enumerate(legs)]
        case "z_score":
            parts = [_opensearch_z_score(leg) for leg in legs]
        case "max":
            parts = _opensearch_max(legs)
        case _:
            msg = (
                f"unknown normalization {normalization!r}; OpenSearch has min_max, l2, z_score "
                "and max (reciprocal ranks: opensearch_rrf)"
            )
            raise MmgapError(msg)
    if normalization != "min_max" and (lower_bounds or upper_bounds):
        msg = f"only min_max takes bounds; got them with {normalization!r}"
        raise MmgapError(msg)
    fused = _opensearch_mean(parts, list_weights(weights, given, 1.0), combination)
    return given.back(np.where(given.found, fused, np.nan))


def opensearch_rrf(
    *lists: Ranked, rank_constant: int = 60, weights: Sequence[float] | None = None
) -> Ranked:
    """OpenSearch's reciprocal rank fusion (``score-ranker-processor``).

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    rank_constant : int, default 60
        In [1, 10000].
    weights : sequence of float or None, default None
        None weighs each list 1.

    Returns
    -------
    scores : dict or ndarray
        Sum of weight / (rank_constant + rank), ranks from 1, each rounded to 10 decimals.

    Raises
    ------
    ValueError
        If ``rank_constant`` is out of range or weights do not match the lists.

    Notes
    -----
    Mirrors ``normalization/RRFNormalizationTechnique.java`` and
    ``combination/RRFScoreCombinationTechnique.java`` of neural-search.

    Examples
    --------
    >>> opensearch_rrf({"a": 0.9}, {"a": 0.7}, rank_constant=1)
    {'a': 1.0}
    """
    if not 1 <= rank_constant <= 10_000:
        msg = f"rank_constant must be in [1, 10000]; got {rank_constant}"
        raise MmgapError(msg)
    given = RankedLists(lists)
    points = []
    for places, weight in zip(given.places, list_weights(weights, given, 1.0), strict=True):
        divisor = np.nan_to_num(places).astype(np.int64) + rank_constant + 1
        rounded = ((2 * 10**10 + divisor) // (2 * divisor) / 1e10).astype(F32)
        points.append(np.where(np.isnan(places), F32(np.nan), F32(weight) * rounded))
    return given.back(add_legs(points))


def _bounds(
    bounds: Sequence[tuple[str, float] | None] | None, n_leg: int
) -> Sequence[tuple[str, float] | None]:
    if bounds is None:
        return [None] * n_leg
    if len(bounds) != n_leg or any(b and b[0] not in ("apply", "clip", "ignore") for b in bounds):
        msg = (
            f"bounds must hold (mode, score) or None for each of the {n_leg} lists, mode apply, "
            f"clip or ignore; got {bounds}"
        )
        raise MmgapError(msg)
    return bounds


def _opensearch_min_max(
    scores: np.ndarray, lower: tuple[str, float] | None, upper: tuple[str, float] | None
) -> np.ndarray:
    least, one = F32(0.001), F32(1)
    low, high = extremes(scores)
    high = np.maximum(high, JAVA_FLOAT_MIN_VALUE)
    bottom, top = np.broadcast_to(low, scores.shape), np.broadcast_to(high, scores.shape)
    below = above = np.zeros(scores.shape, dtype=bool)
    if lower is not None:
        mode, bound = lower[0], F32(lower[1])
        if mode == "apply":
            bottom = np.where((high > bound) & (scores > bound), bound, low)
        elif mode == "clip":
            bottom = np.where(high < bound, low, bound) + np.zeros_like(scores)
            below = scores < bottom
    if upper is not None:
        mode, bound = upper[0], F32(upper[1])
        if mode == "apply":
            top = np.where((low < bound) & (scores < bound), bound, high)
        elif mode == "clip":
            top = np.where(low > bound, high, bound) + np.zeros_like(scores)
            above = scores > top
    span = top - bottom
    scaled = np.where(span == 0, one, (scores - bottom) / np.where(span == 0, one, span))
    scaled = np.where(scaled == 0, least, scaled)
    scaled = np.where(below, least, np.where(above, one, scaled))
    scaled = np.where((low == high) & (scores == high), one, scaled)
    return np.where(np.isnan(scores), F32(np.nan), scaled).astype(F32)


def _opensearch_l2(scores: np.ndarray, in_order: np.ndarray) -> np.ndarray:
    if scores.shape[1] == 0:
        return scores
    squares = np.nan_to_num(in_order * in_order, nan=0.0)
    norm = np.sqrt(np.add.accumulate(squares, axis=1, dtype=F32)[:, [-1]])
    return np.where(norm == 0, scores * F32(0), scores / np.where(norm == 0, F32(1), norm))


def _opensearch_z_score(scores: np.ndarray) -> np.ndarray:
    wide = scores.astype(np.float64)
    mean, sd = mean_sd(wide)
    n = (~np.isnan(wide)).sum(axis=1, keepdims=True)
    sd = (sd * np.sqrt(n / np.maximum(n - 1, 1))).astype(F32)
    mean = mean.astype(F32)
    low, high = extremes(scores)
    z = (scores - mean) / np.where(sd == 0, F32(1), sd)
    z = np.where(z <= 0, F32(0.001), z)
    z = np.where((sd == 0) & ~np.isnan(scores), low, z)
    return np.where(scores == mean, high, z)


def _opensearch_max(legs: list[np.ndarray]) -> list[np.ndarray]:
    if len(legs) != 2:
        msg = f"OpenSearch's max takes two lists; got {len(legs)}"
        raise MmgapError(msg)
    first, second = (np.fmax(extremes(leg)[1], JAVA_FLOAT_MIN_VALUE) for leg in legs)
    unusable = (first == JAVA_FLOAT_MIN_VALUE) | (second == JAVA_FLOAT_MIN_VALUE)
    ratio = second / np.where(unusable, F32(1), first)
    rounded = np.floor(ratio * F32(1000) + F32(0.5)).astype(F32) / F32(1000)
    return [legs[0] * np.where(unusable, F32(1), rounded), legs[1]]


def _opensearch_mean(parts: list[np.ndarray], weights: list[float], combination: str) -> np.ndarray:
    """Combine; a document that a list lacks has 0 there, as OpenSearch's arrays start out."""
    scores = [np.nan_to_num(part, nan=0.0) for part in parts]
    total = np.zeros(scores[0].shape, dtype=F32)
    weight_sum = total.copy()
    for score, weight in zip(scores, (F32(w) for w in weights), strict=True):
        counts = score >= 0 if combination == "arithmetic_mean" else score > 0
        safe = np.where(counts, score, F32(1))
        added: np.ndarray
        match combination:
            case "arithmetic_mean":
                added = safe * weight
            case "geometric_mean":
                # In the engine: a float plus a double, cut back to a float.
                added = weight * np.log(safe.astype(np.float64))
            case "harmonic_mean":
                added = weight / safe
            case _:
                msg = (
                    f"unknown combination {combination!r}; OpenSearch has arithmetic_mean, "
                    "geometric_mean and harmonic_mean"
                )
                raise MmgapError(msg)
        total = np.where(counts, total + added, total).astype(F32)
        weight_sum = np.where(counts, weight_sum + weight, weight_sum).astype(F32)
    if combination == "harmonic_mean":
        return np.where(total > 0, weight_sum / np.where(total > 0, total, F32(1)), F32(0))
    mean = total / np.where(weight_sum == 0, F32(1), weight_sum)
    if combination == "geometric_mean":
        mean = np.exp(mean.astype(np.float64)).astype(F32)
    return np.where(weight_sum == 0, F32(0), mean)
