"""Mean and covariance of rows that come in blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mmgap.errors import MmgapError


@dataclass(frozen=True)
class Moments:
    """Number, mean and scatter of rows.

    Parameters
    ----------
    n : int
        Number of rows.
    mean : float64 ndarray of shape (dim,)
    scatter : float64 ndarray of shape (dim, dim)
        Sum over rows of the outer product of the row's deviation from the mean with itself.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    def covariance(self, *, ddof: int = 1) -> np.ndarray:
        """Scatter divided by n - ddof.

        Parameters
        ----------
        ddof : int, default 1
            1 = unbiased, as ``numpy.cov``; 0 = of the rows themselves.

        Returns
        -------
        covariance : float64 ndarray of shape (dim, dim)

        Raises
        ------
        MmgapError
            If there are not more than ``ddof`` rows.
        """
        if self.n <= ddof:
            msg = f"a covariance with divisor n - {ddof} needs more than {ddof} rows; got {self.n}"
            raise MmgapError(msg)
        return self.scatter / (self.n - ddof)


def streaming_moments(blocks: Iterable[np.ndarray]) -> Moments:
    """Mean and covariance of rows, one block in memory at a time.

    Each block is centred by its own mean before it is squared, and the blocks are merged by the
    difference of their means. So a large common offset of all rows costs no precision.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n_row, dim)
        Of any float type and any size; empty blocks are passed over. Rows are taken as they are:
        bring them to unit length first where that is meant.

    Returns
    -------
    moments : Moments
        The same as of all rows at once, up to rounding, in whatever blocks and order they come.

    Raises
    ------
    MmgapError
        If there is no row, a block does not have two axes or the dimension of the others, or a
        number is not finite.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", The American
       Statistician 1983, Eq. 2.1.

    Examples
    --------
    >>> moments = streaming_moments([np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[5.0, 3.0]])])
    >>> moments.n, moments.mean.tolist()
    (3, [3.0, 1.0])
    >>> moments.covariance()
    array([[4., 3.],
           [3., 3.]])
    """
    n = 0
    mean = scatter = np.zeros(0)
    for number, block in enumerate(blocks):
        rows = np.asarray(block, dtype=np.float64)
        if rows.ndim != 2 or (n and rows.shape[1] != len(mean)) or not np.isfinite(rows).all():
            msg = (
                f"block {number} must be a finite array of shape (n_row, dim) with the dimension "
                f"of the others; got shape {rows.shape}"
                f"{f' after blocks of dimension {len(mean)}' if n else ''}"
            )
            raise MmgapError(msg)
        if not len(rows):
            continue
        block_mean = rows.mean(axis=0)
        rows = rows - block_mean
        block_scatter = rows.T @ rows
        if not n:
            n, mean, scatter = len(rows), block_mean, block_scatter
            continue
        apart = block_mean - mean
        total = n + len(rows)
        scatter += block_scatter + np.outer(apart, apart) * (n * len(rows) / total)
        mean = mean + apart * (len(rows) / total)
        n = total
    if not n:
        msg = "blocks hold no row, so there is no mean; give at least one block with a row"
        raise MmgapError(msg)
    return Moments(n, mean, scatter)
