"""Platt scaling."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from mmgap.scores.calibrate.base import ScoreCalibrator
from mmgap.scores.calibrate.logistic import fit_logistic


class PlattCalibrator(ScoreCalibrator):
    """P = 1 / (1 + exp(-(slope s + intercept))).

    Parameters
    ----------
    smoothing : bool, default True
        Fit to Platt's targets, (n+ + 1) / (n+ + 2) for relevant and 1 / (n- + 2) for other pairs,
        in place of 1 and 0. Keeps the slope finite where a threshold separates the two kinds.

    Attributes
    ----------
    slope_, intercept_ : float
        A slope at or below 0 says that the scores carry no evidence, or that larger is not better.
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.

    Notes
    -----
    In (0, 1); keeps the order of scores where the slope is positive, creates no ties but by
    rounding. Two parameters: right when the scores of both kinds are normal with one variance,
    biased at both ends otherwise. The probability holds for the share of relevant pairs that the
    calibration pairs have. Unchanged when all scores are shifted or multiplied before fitting.

    References
    ----------
    .. [1] Platt, "Probabilistic Outputs for Support Vector Machines", Advances in Large Margin
       Classifiers, 1999.

    Examples
    --------
    Three of four pairs are relevant at 1, one of four at 0: the logits are -log 3 and log 3.

    >>> scores, relevant = np.repeat([[0.0], [1.0]], 4, axis=0), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> platt = PlattCalibrator(smoothing=False).fit(scores, relevant)
    >>> platt.transform(np.array([[0.0, 0.5, 1.0]])).round(6)
    array([[0.25, 0.5 , 0.75]])
    """

    def __init__(self, *, smoothing: bool = True) -> None:
        self.smoothing = smoothing

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        slopes, self.intercept_ = fit_logistic(scores[:, None], relevant, smoothing=self.smoothing)
        self.slope_ = float(slopes[0])

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(self.slope_ * scores + self.intercept_)
