"""What all calibrators share: checking, pairs, shapes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from mmgap.errors import MmgapError
from mmgap.scores.pairs import relevant_pairs


class ScoreCalibrator(TransformerMixin, BaseEstimator):
    """Base of the calibrators: the score of a pair becomes the probability that it is relevant.

    A subclass says in ``_fit_pairs`` and ``_probability`` how. One calibrator holds for one leg of
    one encoder: see :func:`fit_legs`.

    Attributes
    ----------
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> ScoreCalibrator:
        """Learn from pairs whose relevance is known.

        Parameters
        ----------
        X : ndarray of shape (n_pair, 1) or (n_query, n_doc)
            Scores of one leg on calibration data; NaN leaves a pair out. Fitted on one column,
            the calibrator transforms matrices of any width.
        y : ndarray of the shape of X, or of shape (n_pair,)
            Relevance: bool, or grades, of which 1 and more count as relevant. One value per row
            stands for all its scores.

        Returns
        -------
        self

        Raises
        ------
        MmgapError
            If the pairs hold only relevant or only irrelevant ones, a score is infinite, or shapes
            disagree.
        """
        scores = self._validated(X, reset=True)
        if y is None:
            msg = (
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                "give the relevance of each pair"
            )
            raise MmgapError(msg)
        relevant = _relevance(y, scores.shape)
        there = ~np.isnan(scores)
        pairs, labels = scores[there], relevant[there]
        if labels.all() or not labels.any():
            msg = (
                f"{type(self).__name__} needs relevant and irrelevant pairs, but the "
                f"{labels.size} pairs are of one class: {labels.sum()} are relevant. "
                "Take calibration pairs of both kinds"
            )
            raise MmgapError(msg)
        self.n_pairs_, self.n_relevant_ = labels.size, int(labels.sum())
        self._fit_pairs(pairs, labels)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the probability that each pair is relevant.

        Parameters
        ----------
        X : ndarray of shape (n_query, n_doc)
            Scores of the leg fitted on; NaN where it does not have the document.

        Returns
        -------
        probability : float64 ndarray of shape (n_query, n_doc)
            In [0, 1], larger = more likely relevant; NaN where X is.

        Raises
        ------
        MmgapError
            If X does not have two axes or as many columns as the matrix fitted on, or holds an
            infinite score.
        sklearn.exceptions.NotFittedError
            If ``fit`` has not been called.
        """
        check_is_fitted(self)
        scores = self._validated(X, reset=False)
        there = ~np.isnan(scores)
        probability = np.full(scores.shape, np.nan)
        if there.any():
            probability[there] = self._probability(scores[there])
        return probability

    def _validated(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        checks: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        if not reset and self.n_features_in_ == 1:
            return check_array(X, estimator=self, **checks)
        try:
            return validate_data(self, X, reset=reset, **checks)
        except ValueError as error:
            if "is expecting" in str(error):
                error.add_note(
                    "To transform matrices of another width, fit on one column: "
                    "fit(X.reshape(-1, 1), y.reshape(-1, 1))"
                )
            raise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    @abstractmethod
    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        """Learn from scores and bool labels of shape (n_pair,), both classes present."""

    @abstractmethod
    def _probability(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of scores of shape (n_pair,)."""


def _relevance(y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    grades = np.asarray(y)
    if grades.shape == (shape[0],):
        grades = np.broadcast_to(grades[:, None], shape)
    if grades.shape != shape:
        msg = f"y {grades.shape} must have the shape of X {shape}, or one value for each row of it"
        raise MmgapError(msg)
    return relevant_pairs(grades)
