"""Isotonic calibration."""

from __future__ import annotations

import numpy as np

from mmgap.scores.calibrate.base import ScoreCalibrator


class IsotonicCalibrator(ScoreCalibrator):
    """The non-decreasing map with the smallest squared error on the calibration pairs.

    Attributes
    ----------
    regression_ : sklearn.isotonic.IsotonicRegression
        Linear between the calibration scores, constant beyond them.
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.

    Notes
    -----
    In [0, 1]; never reverses an order, but ties all scores of a step: the calibration pairs above
    the best irrelevant one all become 1, so that recall at the top is left to the order of ties.
    Needs many pairs, about 1000 relevant ones; certain (0 or 1) at both ends with any number.
    Unchanged by any increasing map of the calibration scores, at those scores.

    References
    ----------
    .. [1] Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
       Estimates", KDD 2002.

    Examples
    --------
    The pairs at 0.2 and 0.3 are in the wrong order and share their mean.

    >>> scores, relevant = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([0, 1, 0, 1])
    >>> IsotonicCalibrator().fit(scores, relevant).transform(scores).ravel()
    array([0. , 0.5, 0.5, 1. ])
    """

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        from sklearn.isotonic import IsotonicRegression

        regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        self.regression_ = regression.fit(scores, relevant)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return self.regression_.predict(scores)
