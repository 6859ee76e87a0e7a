"""Normalisation by the Euclidean length of the list."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, handle_negative


class L2Normaliser(LinearNormaliser):
    """s / sqrt(sum of s squared), over each list.

    Parameters
    ----------
    negative : {"keep", "clip", "error"}, default "keep"
        What negative scores do: stay negative, count as 0 (which ties them), or raise MmgapError.
    equal : float or {"raw", "positive"}, default 0
        What the scores become where all are 0.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`; missing documents never enter the sum.

    Notes
    -----
    In [-1, 1], larger is better; unchanged when scores are multiplied by a positive number,
    changed when they are shifted. A score shrinks as its list grows: merge lists of equal length
    only. A negative score of large size lowers all others.

    References
    ----------
    .. [1] OpenSearch, "Normalization processor", and Elasticsearch, "Linear retriever": ``l2`` and
       ``l2_norm``.

    Examples
    --------
    >>> L2Normaliser().fit_transform(np.array([[3.0, -4.0]]))
    array([[ 0.6, -0.8]])
    """

    def __init__(
        self,
        *,
        negative: str = "keep",
        equal: float | str = 0.0,
        missing: float | str = np.nan,
    ) -> None:
        self.negative = negative
        self.equal = equal
        self.missing = missing

    def _prepared(self, scores: np.ndarray) -> np.ndarray:
        return handle_negative(scores, self.negative, "negative")

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        length = np.sqrt(np.nansum(scores**2, axis=1, keepdims=True))
        return np.zeros_like(length), length
