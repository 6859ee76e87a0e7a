"""Beta calibration."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from mmgap.errors import MmgapError
from mmgap.scores.calibrate.base import ScoreCalibrator
from mmgap.scores.calibrate.logistic import fit_logistic

_MARGIN = 1e-6


class BetaCalibrator(ScoreCalibrator):
    """logit P = a log u - b log(1 - u) + c, u being the score moved into (0, 1).

    Parameters
    ----------
    bounds : tuple of float or None, default None
        What u = 0 and u = 1 stand for: (-1, 1) for a cosine, (0, 1) for a probability. None takes
        the range of the calibration scores, widened by a tenth of it at each end.
    smoothing : bool, default True
        As in :class:`PlattCalibrator`.

    Attributes
    ----------
    a_, b_, c_ : float
        a and b are at least 0: a negative one is set to 0 and the others fitted again, as Kull et
        al. do.
    bounds_ : tuple of float
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.

    Notes
    -----
    In [0, 1]; never reverses an order; scores within 1e-6 of a bound's distance, or beyond it, tie.
    Three parameters: right when u is beta distributed in both kinds, hence bends where Platt's
    curve cannot; a = b = 1, c = 0 is the identity. Like Platt's it holds for the share of
    relevant pairs that the calibration pairs have.

    References
    ----------
    .. [1] Kull, Silva Filho and Flach, "Beta calibration: a well-founded and easily implemented
       improvement on logistic calibration for binary classifiers", AISTATS 2017.

    Examples
    --------
    One of four pairs is relevant at 1/4, three of four at 3/4: these scores are probabilities.

    >>> scores = np.repeat([[0.25], [0.75]], 4, axis=0)
    >>> relevant = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> beta = BetaCalibrator(bounds=(0, 1), smoothing=False).fit(scores, relevant)
    >>> beta.transform(np.array([[0.25, 0.5, 0.75]])).round(6)
    array([[0.25, 0.5 , 0.75]])
    """

    def __init__(
        self, *, bounds: tuple[float, float] | None = None, smoothing: bool = True
    ) -> None:
        self.bounds = bounds
        self.smoothing = smoothing

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        self.bounds_ = self._bounds(scores)
        log_u, minus_log_rest = self._features(scores).T
        both = np.stack([log_u, minus_log_rest], axis=1)
        (a, b), c = fit_logistic(both, relevant, smoothing=self.smoothing)
        if a < 0:
            (b,), c = fit_logistic(both[:, 1:], relevant, smoothing=self.smoothing)
            a, b = 0.0, max(b, 0.0)
        elif b < 0:
            (a,), c = fit_logistic(both[:, :1], relevant, smoothing=self.smoothing)
            a, b = max(a, 0.0), 0.0
        if a == b == 0:  # scores without evidence: nothing but the intercept is left
            _, c = fit_logistic(np.zeros((len(both), 1)), relevant, smoothing=self.smoothing)
        self.a_, self.b_, self.c_ = float(a), float(b), float(c)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(self._features(scores) @ [self.a_, self.b_] + self.c_)

    def _features(self, scores: np.ndarray) -> np.ndarray:
        low, high = self.bounds_
        u = np.clip((scores - low) / (high - low), _MARGIN, 1 - _MARGIN)
        return np.stack([np.log(u), -np.log1p(-u)], axis=1)

    def _bounds(self, scores: np.ndarray) -> tuple[float, float]:
        lowest, highest = scores.min(), scores.max()
        if self.bounds is None:
            margin = (highest - lowest) / 10 or 1.0
            return float(lowest - margin), float(highest + margin)
        low, high = self.bounds
        slack = _MARGIN * (high - low)
        if not low < high or lowest < low - slack or highest > high + slack:
            msg = (
                f"bounds must be (low, high) with all scores between them; got {self.bounds} and "
                f"scores from {lowest:g} to {highest:g}. bounds=None takes the range of the scores"
            )
            raise MmgapError(msg)
        return float(low), float(high)
