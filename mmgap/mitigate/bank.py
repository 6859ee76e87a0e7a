"""Compare documents with a bank of calibration vectors, a block at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from mmgap.errors import MmgapError

_ROWS_AT_ONCE = 2048


def check_k(k: int, n: int, what: str) -> None:
    """Raise MmgapError unless k of n things can be taken.

    Examples
    --------
    >>> check_k(2, 3, "calibration queries")
    """
    if not 1 <= k <= n:
        msg = f"k is {k} and there are {n} {what}; expected k from 1 to {n}. Give a smaller k"
        raise MmgapError(msg)


def check_beta(name: str, beta: float) -> None:
    """Raise MmgapError unless an inverse temperature is above 0."""
    if not beta > 0:
        msg = f"{name}, an inverse temperature, must be above 0; got {beta}"
        raise MmgapError(msg)


def mean_of_nearest(rows: np.ndarray, bank: np.ndarray, k: int) -> np.ndarray:
    """Mean of the k largest dot products of each row with a bank, shape (n_row,).

    Examples
    --------
    >>> mean_of_nearest(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), 2)
    array([0.8])
    """
    return _by_blocks(
        rows, bank, lambda scores: np.partition(scores, -k, axis=1)[:, -k:].mean(axis=1)
    )


def soft_maximum(rows: np.ndarray, bank: np.ndarray, beta: float) -> np.ndarray:
    """``log(sum over the bank of exp(beta s))`` of each row, shape (n_row,).

    Examples
    --------
    One member of the bank: beta times its score.

    >>> soft_maximum(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8]]), beta=10)
    array([6.])
    """
    return _by_blocks(rows, bank, lambda scores: logsumexp(beta * scores, axis=1))


def _by_blocks(
    rows: np.ndarray, bank: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    return np.concatenate([statistic(rows[i : i + _ROWS_AT_ONCE] @ bank.T) for i in starts])
