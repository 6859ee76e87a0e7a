"""What all normalisers share: checking, the list or the bank as reference, missing documents."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from mmgap.errors import MmgapError

REFERENCES = ("query", "calibration")
"""Where the statistics of a normaliser may come from."""


class ScoreNormaliser(TransformerMixin, BaseEstimator):
    """Base of the normalisers: one row is the list of scores that a leg gave to one query.

    A subclass says in ``_normalise`` what happens to the scores that are there. ``missing`` is
    the one parameter that all of them have.
    """

    missing: float | str
    _needs_fit = False

    def fit(self, X: np.ndarray, y: object = None) -> ScoreNormaliser:  # noqa: ARG002
        """Take what is needed from a reference bank; nothing, if each list is its own reference.

        Parameters
        ----------
        X : ndarray of shape (n_query, n_doc) or (n_score, 1)
            Scores of one leg on calibration data, NaN where there is none. Fitted on one column,
            the normaliser transforms lists of any length; fitted on a matrix, only such with as
            many columns, as scikit-learn demands.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        MmgapError
            If X does not have two axes, holds an infinite score, or no score where a bank is
            needed.
        """
        scores = self._validated(X, reset=True)
        bank = scores[~np.isnan(scores)]
        if self._needs_fit and bank.size == 0:
            msg = (
                f"{type(self).__name__} needs a reference bank with at least one score; the "
                f"{scores.size} entries of X are all NaN"
            )
            raise MmgapError(msg)
        self._fit_bank(bank)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Normalise the scores of each query.

        Parameters
        ----------
        X : ndarray of shape (n_query, n_doc)
            Larger = more similar; NaN where the leg does not have the document.

        Returns
        -------
        scores : float64 ndarray of shape (n_query, n_doc)
            Missing documents get what ``missing`` says.

        Raises
        ------
        MmgapError
            If X does not have two axes or as many columns as the matrix fitted on, holds an
            infinite score, or a parameter has a value that is not offered.
        sklearn.exceptions.NotFittedError
            If a reference bank is needed and ``fit`` has not been called.
        """
        if self._needs_fit:
            check_is_fitted(self)
        scores = self._validated(X, reset=False)
        there = ~np.isnan(scores)
        # A row without any score gets zeros for the arithmetic and is masked again below.
        scores = np.where(there.any(axis=1, keepdims=True), scores, 0.0)
        normalised = np.where(there, self._normalise(scores), np.nan)
        return self._fill_missing(normalised, there)

    def _fill_missing(self, normalised: np.ndarray, there: np.ndarray) -> np.ndarray:
        missing = self.missing
        if isinstance(missing, str):
            if missing != "min":
                msg = f"missing must be a number, NaN or 'min'; got {missing!r}"
                raise MmgapError(msg)
            lowest = np.fmin.reduce(normalised, axis=1, keepdims=True)
            return np.where(there, normalised, lowest)
        return np.where(there, normalised, missing)

    def _validated(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        checks: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        if not reset and getattr(self, "n_features_in_", None) == 1:
            return check_array(X, estimator=self, **checks)
        try:
            return validate_data(self, X, reset=reset, **checks)
        except ValueError as error:
            if "is expecting" in str(error):
                error.add_note(
                    "To transform lists of another length, fit on one column: fit(X.reshape(-1, 1))"
                )
            raise

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.requires_fit = self._needs_fit
        return tags

    def _fit_bank(self, bank: np.ndarray) -> None:
        """Keep what is needed of a bank, shape (n_score,); nothing by default."""

    @abstractmethod
    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        """Normalised scores; NaN stays where it is, every row has a score."""


class LinearNormaliser(ScoreNormaliser):
    """Base of the normalisers of the form (s - offset) / scale.

    A subclass says in ``_line`` what offset and scale are. Where the scale is 0, ``equal`` and
    ``single`` say what the scores become.
    """

    equal: float | str = 0.0
    single: float | str | None = None
    reference = "query"

    @property
    def _needs_fit(self) -> bool:  # type: ignore[override]
        if self.reference not in REFERENCES:
            msg = f"reference must be one of {REFERENCES}; got {self.reference!r}"
            raise MmgapError(msg)
        return self.reference == "calibration"

    def _fit_bank(self, bank: np.ndarray) -> None:
        if self._needs_fit:
            offset, scale = self._line(self._prepared(bank[None, :]))
            self.offset_, self.scale_ = offset.item(), scale.item()
            self.n_reference_ = bank.size

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        scores = self._prepared(scores)
        if self._needs_fit:
            offset = np.full((len(scores), 1), self.offset_)
            scale = np.full((len(scores), 1), self.scale_)
            n_reference = np.full((len(scores), 1), self.n_reference_)
        else:
            offset, scale = self._line(scores)
            n_reference = (~np.isnan(scores)).sum(axis=1, keepdims=True)
        flat = ~(scale > 0)
        normalised = self._finished((scores - offset) / np.where(flat, 1.0, scale))
        if not flat.any():
            return normalised
        flat_scores = _instead(self.equal, scores, "equal")
        if self.single is not None:
            alone = _instead(self.single, scores, "single")
            flat_scores = np.where(n_reference == 1, alone, flat_scores)
        return np.where(flat, flat_scores, normalised)

    @abstractmethod
    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offset and scale of each row, shape (n_row, 1)."""

    def _prepared(self, scores: np.ndarray) -> np.ndarray:
        """Scores as the formula takes them."""
        return scores

    def _finished(self, scores: np.ndarray) -> np.ndarray:
        """Scores after the formula."""
        return scores


def row_min(scores: np.ndarray) -> np.ndarray:
    """Smallest score of each row that has one, shape (n_row, 1)."""
    return np.nanmin(scores, axis=1, keepdims=True)


def row_max(scores: np.ndarray) -> np.ndarray:
    """Largest score of each row that has one, shape (n_row, 1)."""
    return np.nanmax(scores, axis=1, keepdims=True)


def row_mean_and_sd(scores: np.ndarray, ddof: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row; the latter exactly 0 where all scores are equal."""
    if ddof not in (0, 1):
        msg = f"ddof must be 0 (sigma over n) or 1 (over n - 1); got {ddof!r}"
        raise MmgapError(msg)
    n = (~np.isnan(scores)).sum(axis=1, keepdims=True)
    mean = np.nansum(scores, axis=1, keepdims=True) / n
    squares = np.nansum((scores - mean) ** 2, axis=1, keepdims=True)
    sd = np.sqrt(squares / np.maximum(n - ddof, 1))
    # Rounding in the mean would leave equal scores a standard deviation near 1e-17.
    return mean, np.where(row_max(scores) == row_min(scores), 0.0, sd)


def handle_negative(scores: np.ndarray, policy: str, name: str, infimum: float = 0) -> np.ndarray:
    """Keep scores below the infimum, raise them to it, or refuse them."""
    if policy == "keep":
        return scores
    if policy == "clip":
        return np.maximum(scores, infimum)
    if policy != "error":
        msg = f"{name} must be 'keep', 'clip' or 'error'; got {policy!r}"
        raise MmgapError(msg)
    if (scores < infimum).any():
        msg = (
            f"{(scores < infimum).sum()} scores lie below {infimum:g}, the smallest is "
            f"{np.nanmin(scores):g}; shift the scores or choose {name}='keep' or 'clip'"
        )
        raise MmgapError(msg)
    return scores


def clipped(scores: np.ndarray, *, clip: bool) -> np.ndarray:
    """Scores cut to [0, 1] on request."""
    return np.clip(scores, 0.0, 1.0) if clip else scores


def _instead(value: float | str, scores: np.ndarray, name: str) -> np.ndarray:
    """Return what scores without spread become."""
    if value == "raw":
        return scores
    if value == "positive":
        return np.where(scores > 0, 1.0, 0.0)
    if isinstance(value, str):
        msg = f"{name} must be a number, NaN, 'raw' or 'positive'; got {value!r}"
        raise MmgapError(msg)
    return np.full_like(scores, value)
