"""Arithmetic that several engines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.ranked_lists import RankedLists

F32 = np.float32
"""Single precision, in which Qdrant, Weaviate and the Java engines keep scores."""

JAVA_FLOAT_MIN_VALUE = F32(2.0**-149)
"""``Float.MIN_VALUE`` of Java: the smallest *positive* float, not the most negative one."""


def list_weights(
    weights: Sequence[float] | None, given: RankedLists, default: float
) -> list[float]:
    """Return one weight per list, ``default`` where none are given."""
    if weights is None:
        return [default] * len(given)
    if len(weights) != len(given):
        msg = f"got {len(weights)} weights for {len(given)} lists; give one for each list"
        raise MmgapError(msg)
    return [float(weight) for weight in weights]


def extremes(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum of each row, NaN where it is empty: shape (n_query, 1)."""
    low = np.fmin.reduce(scores, axis=1, keepdims=True, initial=np.nan)
    return low, np.fmax.reduce(scores, axis=1, keepdims=True, initial=np.nan)


def scale(
    scores: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    equal: Any,
    epsilon: Any = None,
) -> np.ndarray:
    """(s - low) / (high - low), ``equal`` where both are the same, in the scores' precision."""
    span = high - low
    flat = (high == low) if epsilon is None else (np.abs(low - high) < epsilon)
    scaled = (scores - low) / np.where(flat, span.dtype.type(1), span)
    return np.where(flat & ~np.isnan(scores), equal, scaled).astype(scores.dtype)


def mean_sd(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (over n) of each row, 0 where it is empty."""
    there = ~np.isnan(scores)
    n = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = np.where(there, scores, 0).sum(axis=1, keepdims=True) / n
    apart = np.where(there, scores - mean, 0)
    return mean, np.sqrt((apart**2).sum(axis=1, keepdims=True) / n)
