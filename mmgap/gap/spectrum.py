"""Variances along the principal axes of one modality."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, unit_rows


def spectrum(embeddings: np.ndarray) -> np.ndarray:
    """Eigenvalues of the covariance of the unit rows, largest first.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length, then the mean is subtracted.

    Returns
    -------
    variances : ndarray of shape (min(n, dim),)
        >= 0, of the covariance that divides by n - 1; rounding errors about 0 are set to 0. They
        sum up to the total variance, at most n / (n - 1).

    Raises
    ------
    MmgapError
        If the rows are not usable or fewer than two.

    Examples
    --------
    >>> spectrum(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    array([2., 0.])
    """
    rows = unit_rows("embeddings", embeddings)
    need_rows("embeddings", rows, 2, "a covariance")
    rows -= rows.mean(axis=0)
    n, dim = rows.shape
    # The smaller of the two products: both have the same eigenvalues other than 0.
    product = rows.T @ rows if dim <= n else rows @ rows.T
    variances = np.linalg.eigvalsh(product)[::-1] / (n - 1)
    noise = max(variances[0] * max(n, dim), 1.0) * np.finfo(np.float64).eps
    return np.where(variances > noise, variances, 0.0)
