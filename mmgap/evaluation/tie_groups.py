"""Groups of equal scores in ranked lists, and what each place holds given them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.errors import MmgapError


@dataclass(frozen=True)
class OverTies:
    """A measure over the orders of tied documents, one value per query.

    Parameters
    ----------
    expected : ndarray of shape (n_query,)
        Mean over all orders, each equally likely.
    optimistic : ndarray of shape (n_query,)
        Largest value over all orders: tied relevant documents come first.
    pessimistic : ndarray of shape (n_query,)
        Smallest value over all orders: tied relevant documents come last.
    """

    expected: np.ndarray
    optimistic: np.ndarray
    pessimistic: np.ndarray


class TieGroups:
    """The groups of tied documents in ranked lists.

    Every measure takes the scores themselves or this; making it once saves time where several
    measures look at the same lists.

    Parameters
    ----------
    scores : ndarray of shape (n_query, depth)
        Descending in each row; of any sign; -inf marks an empty place.
    tolerance : float, default 0.0
        Neighbours whose scores differ by no more than this are tied; 0 means exactly equal.

    Raises
    ------
    ValueError
        If scores do not have two axes, do not descend, or hold NaN.

    Examples
    --------
    >>> groups = TieGroups(np.array([[0.9, 0.4, 0.4]]))
    >>> groups.starts
    array([[ True,  True, False]])
    >>> groups.mean(np.array([[0.0, 1.0, 0.0]]))
    array([[0. , 0.5, 0.5]])
    """

    def __init__(self, scores: np.ndarray, tolerance: float = 0.0) -> None:
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 2 or np.isnan(scores).any() or (scores[:, 1:] > scores[:, :-1]).any():
            msg = (
                "scores must have shape (n_query, depth), descend in each row and hold no NaN; "
                f"got shape {scores.shape}. Sort each row, best first, with -inf in empty places"
            )
            raise MmgapError(msg)
        self.shape = scores.shape
        self.empty = np.isneginf(scores)
        self.starts = np.ones(scores.shape, dtype=bool)
        self.starts[:, 1:] = scores[:, 1:] < scores[:, :-1] - tolerance
        # Where no two documents are tied, every order is the given one.
        self.any_tied = not (self.starts | self.empty).all()
        # Each row begins a group, so groups may be numbered through the flattened rows.
        self._label = np.cumsum(self.starts.ravel()) - 1
        self._size = np.bincount(self._label)
        first = np.cumsum(self._size) - self._size
        self._position = np.arange(scores.size) - first[self._label]

    @classmethod
    def of(cls, scores: np.ndarray | TieGroups, tolerance: float = 0.0) -> TieGroups:
        """Return groups as they are, and make them of scores."""
        return scores if isinstance(scores, TieGroups) else cls(scores, tolerance)

    @property
    def size(self) -> np.ndarray:
        """Documents in the group of each place: shape (n_query, depth)."""
        return self._size[self._label].reshape(self.shape)

    @property
    def position(self) -> np.ndarray:
        """Places of the same group before each place: shape (n_query, depth)."""
        return self._position.reshape(self.shape)

    def aligned(self, gains: np.ndarray) -> np.ndarray:
        """Gains as floats, 0 in empty places."""
        gains = np.asarray(gains, dtype=np.float64)
        if gains.shape != self.shape:
            msg = f"gains {gains.shape} must have the shape of scores {self.shape}"
            raise MmgapError(msg)
        return np.where(self.empty, 0.0, gains)

    def total(self, gains: np.ndarray) -> np.ndarray:
        """Sum of the gains in the group of each place."""
        return np.bincount(self._label, weights=gains.ravel())[self._label].reshape(self.shape)

    def mean(self, gains: np.ndarray) -> np.ndarray:
        """Gain to expect in each place."""
        return self.total(gains) / self.size

    def chance(self, relevant: np.ndarray) -> np.ndarray:
        """Probability of a relevant document in each place if its group has shown none before."""
        return np.minimum(self.total(relevant) / (self.size - self.position), 1.0)

    def precision(self, relevant: np.ndarray) -> np.ndarray:
        """Product of relevance and precision to expect in each place.

        A place holds a relevant document with chance m / n, where m of the group's n documents are
        relevant. If it does, each of the i places of the group before it holds one of the other
        m - 1 with chance (m - 1) / (n - 1). Groups above have given all of theirs.
        """
        total, size, position = self.total(relevant), self.size, self.position
        found = np.cumsum(relevant, axis=1)
        # Relevant documents above the group: what was found just before its first place.
        row_start = np.arange(self.shape[0])[:, None]
        first = np.arange(self.shape[1]) - position
        above = np.where(first > 0, found[row_start, first - 1], 0.0)
        others = np.maximum(total - 1, 0) / np.maximum(size - 1, 1)
        rank = np.arange(1, self.shape[1] + 1)
        return total / size * (above + 1 + position * others) / rank

    def relevant_first(self, relevant: np.ndarray) -> np.ndarray:
        """Relevance (0 or 1) of each place if every group shows its relevant documents first."""
        return (self.position < self.total(relevant)).astype(np.float64)

    def relevant_last(self, relevant: np.ndarray) -> np.ndarray:
        """Relevance (0 or 1) of each place if every group shows its relevant documents last."""
        return (self.size - self.position <= self.total(relevant)).astype(np.float64)

    def best_first(self, gains: np.ndarray) -> np.ndarray:
        """Gains with every group in descending order."""
        return gains.ravel()[np.lexsort((-gains.ravel(), self._label))].reshape(self.shape)

    def worst_first(self, gains: np.ndarray) -> np.ndarray:
        """Gains with every group in ascending order."""
        return gains.ravel()[np.lexsort((gains.ravel(), self._label))].reshape(self.shape)
