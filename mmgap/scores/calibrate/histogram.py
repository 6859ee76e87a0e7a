"""Histogram binning."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.calibrate.base import ScoreCalibrator

STRATEGIES = ("quantile", "uniform")


class HistogramCalibrator(ScoreCalibrator):
    """The share of relevant calibration pairs in the bin of the score.

    Parameters
    ----------
    bins : int, default 15
    strategy : {"quantile", "uniform"}, default "quantile"
        Bins with equally many calibration pairs, or of equal width over their range. Where many
        scores are equal, quantile bins are fewer than ``bins``.

    Attributes
    ----------
    edges_ : ndarray of shape (n_bin + 1,)
        Bins hold their lower edge; scores beyond the ends fall into the first or last bin.
    share_ : ndarray of shape (n_bin,)
        Share relevant in each bin; in a bin without a pair, the share over all pairs.
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.

    Notes
    -----
    In [0, 1]. Ties all scores of a bin and may reverse the order of bins: made to read
    probabilities off, not to rank. Where relevant pairs are rare, quantile bins put nearly all of
    them into the last bin. Unchanged (``quantile``) by any increasing map of the scores, but for
    the rounding of edges between two calibration scores.

    References
    ----------
    .. [1] Zadrozny and Elkan, "Obtaining Calibrated Probability Estimates from Decision Trees and
       Naive Bayesian Classifiers", ICML 2001.

    Examples
    --------
    >>> scores, relevant = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([0, 0, 1, 0])
    >>> HistogramCalibrator(bins=2).fit(scores, relevant).transform(scores).ravel()
    array([0. , 0. , 0.5, 0.5])
    """

    def __init__(self, *, bins: int = 15, strategy: str = "quantile") -> None:
        self.bins = bins
        self.strategy = strategy

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        if self.bins < 1 or self.strategy not in STRATEGIES:
            msg = (
                f"bins must be >= 1 and strategy one of {STRATEGIES}; got {self.bins!r} and "
                f"{self.strategy!r}"
            )
            raise MmgapError(msg)
        if self.strategy == "quantile":
            edges = np.quantile(scores, np.linspace(0, 1, self.bins + 1))
        else:
            edges = np.linspace(scores.min(), scores.max(), self.bins + 1)
        edges = np.unique(edges)
        self.edges_ = edges if edges.size > 1 else np.repeat(edges, 2)
        place = self._bin(scores)
        n = np.bincount(place, minlength=self.edges_.size - 1)
        found = np.bincount(place, weights=relevant, minlength=self.edges_.size - 1)
        self.share_ = np.where(n > 0, found / np.maximum(n, 1), relevant.mean())

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return self.share_[self._bin(scores)]

    def _bin(self, scores: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.edges_[1:-1], scores, side="right")
