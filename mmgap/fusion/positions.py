"""Fusions that learn from calibration queries how often each place of a leg's list is relevant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mmgap.errors import MmgapError
from mmgap.fusion.legs import add_legs, check_legs, check_relevance, count_legs
from mmgap.fusion.rank_fusion import ranks

METHODS = ("posfuse", "probfuse", "segfuse", "slidefuse", "mapfuse", "bayesfuse")
"""Methods that :class:`PositionFusion` knows."""

SEGMENT_ENDS = np.array([10 * 2 ** (k - 1) - 5 for k in range(1, 11)])
"""Ends of SegFuse's growing segments: 5, 15, 35 ... 5,115."""

BAYES_ENDS = np.array([5, 10, 15, 20, 30, 100, 200, 500, 1000])
"""Ends of the segments of BayesFuse."""


class PositionFusion(BaseEstimator):
    """Sum over legs of what a place in the leg's list is worth.

    Parameters
    ----------
    method : str, default "posfuse"
        What place p is worth:

        - ``posfuse``: the share of calibration queries whose document there was relevant;
        - ``slidefuse``: the mean of these shares over the places p - window ... p + window;
        - ``probfuse``: each list is cut into ``n_segment`` parts; the mean share of the place's
          part, over the number of the part;
        - ``segfuse``: the same over parts of 5, 10, 20, 40 ... places, times the leg's score + 1:
          bring the scores into [0, 1] first;
        - ``mapfuse``: the leg's mean average precision over p;
        - ``bayesfuse``: the log-odds of the share, over parts that end at 5, 10, 15, 20, 30, 100
          ...; a leg that lacks the document adds the log-odds of 0.001.
    n_segment : int, default 10
        Of ``probfuse``.
    window : int, default 2
        Of ``slidefuse``.
    min_grade : float, default 1
        Lowest grade that counts as relevant.

    Attributes
    ----------
    tables_ : list of ndarray
        For each leg the worth by place or part; for ``mapfuse`` one number.

    Notes
    -----
    Places beyond the longest calibration list are worth 0. All methods but ``segfuse`` look at
    ranks alone; ties are ranked in the order of columns.

    References
    ----------
    .. [1] Lillis et al., "ProbFuse", SIGIR 2006; "Extending Probabilistic Data Fusion Using
       Sliding Windows", ECIR 2008; "Estimating Probabilities for Effective Data Fusion",
       SIGIR 2010.
    .. [2] Shokouhi, "Segmentation of Search Engine Results for Effective Data-Fusion", ECIR 2007.
    .. [3] Aslam and Montague, "Models for Metasearch", SIGIR 2001 (BayesFuse).

    Examples
    --------
    The first leg's first place is always relevant, the second leg's in one of two queries.

    >>> text, image = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> relevance = np.array([[1, 0], [1, 0]])
    >>> PositionFusion().fit([text, image], relevance).transform([text, image])
    array([[1.5, 0.5],
           [1.5, 0.5]])
    """

    def __init__(
        self,
        method: str = "posfuse",
        *,
        n_segment: int = 10,
        window: int = 2,
        min_grade: float = 1,
    ) -> None:
        self.method = method
        self.n_segment = n_segment
        self.window = window
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> PositionFusion:
        """Estimate what places are worth.

        Parameters
        ----------
        leg_scores : sequence of ndarray of shape (n_query, n_doc)
        relevance : ndarray of shape (n_query, n_doc)

        Raises
        ------
        ValueError
            If shapes disagree, a parameter is out of range, or no document is relevant.
        """
        if self.method not in METHODS or self.n_segment < 1 or self.window < 0:
            msg = (
                f"method must be one of {', '.join(METHODS)}, n_segment >= 1 and window >= 0; got "
                f"{self.method!r}, {self.n_segment} and {self.window}"
            )
            raise MmgapError(msg)
        legs = check_legs(leg_scores)
        relevant = check_relevance(relevance, legs[0].shape) >= self.min_grade
        if not relevant.any():
            msg = "no document of the calibration queries is relevant; nothing can be estimated"
            raise MmgapError(msg)
        self.tables_ = [self._table(leg, relevant) for leg in legs]
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Fuse: ndarray of shape (n_query, n_doc), larger is better, NaN where no leg has it."""
        check_is_fitted(self)
        legs = check_legs(leg_scores, n_leg=len(self.tables_))
        points = [self._points(leg, table) for leg, table in zip(legs, self.tables_, strict=True)]
        if self.method == "bayesfuse":
            unseen = np.log(0.001 / 0.999)
            points = [np.where(np.isnan(part), unseen, part) for part in points]
        return np.where(count_legs(legs) > 0, add_legs(points), np.nan)

    def _table(self, leg: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        hits, lengths = _hits(leg, relevant)
        n_query, depth = hits.shape
        match self.method:
            case "posfuse" | "slidefuse":
                listed = np.arange(depth) < lengths[:, None]
                return hits.sum(axis=0) / np.maximum(listed.sum(axis=0), 1)
            case "probfuse":
                part = np.maximum(-(-lengths // self.n_segment), 1)
                which = np.minimum(np.arange(depth) // part[:, None], self.n_segment - 1)
                table = np.zeros(self.n_segment)
                for k in range(self.n_segment):
                    inside = (which == k) & (np.arange(depth) < lengths[:, None])
                    size = np.maximum(inside.sum(axis=1), 1)
                    table[k] = ((hits * inside).sum(axis=1) / size).mean()
                return table
            case "mapfuse":
                precision = np.cumsum(hits, axis=1) / np.arange(1, depth + 1)
                n_relevant = relevant.sum(axis=1)
                average = (precision * hits).sum(axis=1) / np.maximum(n_relevant, 1)
                return np.array([average[n_relevant > 0].mean()])
            case _:
                ends = SEGMENT_ENDS if self.method == "segfuse" else BAYES_ENDS
                starts = np.concatenate([[0], ends[:-1]])
                found = np.concatenate([[0], np.cumsum(hits.sum(axis=0))])
                inside = found[np.minimum(ends, depth)] - found[np.minimum(starts, depth)]
                share = inside / (n_query * (ends - starts))
                if self.method == "segfuse":
                    return share
                share = np.where(share == 0, 0.001, share)
                return np.log(share / np.where(share == 1, 0.001, 1 - share))

    def _points(self, leg: np.ndarray, table: np.ndarray) -> np.ndarray:
        place = np.nan_to_num(ranks(leg), nan=1.0).astype(np.int64) - 1
        lengths = (~np.isnan(leg)).sum(axis=1, keepdims=True)
        match self.method:
            case "posfuse":
                worth = _look_up(table, place)
            case "slidefuse":
                up_to = np.concatenate([[0], np.cumsum(table)])
                start = np.maximum(place - self.window, 0)
                stop = np.minimum(place + self.window + 1, np.maximum(lengths, 1))
                last = len(table)
                inside = up_to[np.minimum(stop, last)] - up_to[np.minimum(start, last)]
                worth = inside / (stop - start)
            case "probfuse":
                part = place // np.maximum(-(-lengths // self.n_segment), 1)
                worth = _look_up(table, part) / (part + 1)
            case "mapfuse":
                worth = table[0] / (place + 1)
            case "segfuse":
                worth = _look_up(table, np.searchsorted(SEGMENT_ENDS, place, side="right"))
                worth = worth * (leg + 1)
            case _:
                worth = _look_up(table, np.searchsorted(BAYES_ENDS, place, side="right"))
        return np.where(np.isnan(leg), np.nan, worth)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def _hits(leg: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each place of each list is relevant, up to the longest list, and the lengths."""
    lengths = (~np.isnan(leg)).sum(axis=1)
    order = np.argsort(-leg, axis=1, kind="stable")[:, : max(lengths.max(initial=0), 1)]
    hits = np.take_along_axis(relevant & ~np.isnan(leg), order, axis=1)
    return hits.astype(np.float64), lengths


def _look_up(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Worth by place, 0 beyond the table."""
    return np.where(place < len(table), table[np.minimum(place, len(table) - 1)], 0.0)
