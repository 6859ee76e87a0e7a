"""Covariances that can be inverted, and their powers."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance

from mmgap.errors import MmgapError


def shrunk(centred: np.ndarray, shrinkage: float | str, name: str) -> np.ndarray:
    """Covariance of centred rows, drawn towards a multiple of the identity.

    ``(1 - a) S + a (tr S / dim) I`` with S over n rows.

    Parameters
    ----------
    centred : ndarray of shape (n, dim)
    shrinkage : float in [0, 1] or "ledoit-wolf"
        The share a; ``ledoit-wolf`` estimates the one with the least expected squared error.
    name : str
        Who asks, for messages.

    Raises
    ------
    MmgapError
        If the shrinkage is another, or the covariance cannot be inverted.

    Examples
    --------
    >>> shrunk(np.array([[2.0, 0.0], [-2.0, 0.0]]), 0.5, "Whitening")
    array([[3., 0.],
           [0., 1.]])
    """
    if shrinkage == "ledoit-wolf":
        covariance = ledoit_wolf(centred, assume_centered=True)[0]
    elif isinstance(shrinkage, str) or not 0 <= shrinkage <= 1:
        msg = f"shrinkage must lie in [0, 1] or be 'ledoit-wolf'; got {shrinkage!r}"
        raise MmgapError(msg)
    else:
        sample = empirical_covariance(centred, assume_centered=True)
        covariance = shrunk_covariance(sample, shrinkage)
    values = np.linalg.eigvalsh(covariance)
    # Below this, the smallest values are rounding errors of the largest.
    if not values[0] > values[-1] * len(covariance) * np.finfo(float).eps:
        msg = (
            f"{name} must invert a covariance of {len(covariance)} dimensions, and {len(centred)} "
            f"rows with shrinkage={shrinkage!r} give one of less rank; use more calibration rows, "
            "or shrinkage='ledoit-wolf'"
        )
        raise MmgapError(msg)
    return covariance


def power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a symmetric, positive definite matrix.

    Examples
    --------
    >>> power(np.diag([4.0, 9.0]), 0.5)
    array([[2., 0.],
           [0., 3.]])
    """
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * values**exponent) @ vectors.T
