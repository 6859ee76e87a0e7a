"""How sure a share is."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError


def wilson_interval(
    successes: np.ndarray | int, n: np.ndarray | int, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson score interval of a share.

    Parameters
    ----------
    successes, n : int or int array of shape (...)
        How many of how many.
    level : float, default 0.95

    Returns
    -------
    low, high : ndarray of shape (...)
        In [0, 1], around the share; never empty, also for shares of 0 and 1. Trials count as
        independent. NaN where ``n`` is 0.

    Raises
    ------
    MmgapError
        If ``successes`` is not between 0 and ``n``, or ``level`` is not between
        0 and 1.

    References
    ----------
    .. [1] Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA
       1927.

    Examples
    --------
    Neither success seen in two trials, nor a share of 60 % excluded.

    >>> low, high = wilson_interval(0, 2)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0, 0.6576)
    """
    from scipy.special import ndtri

    k, n = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if (k < 0).any() or (k > n).any() or not 0 < level < 1:
        msg = f"need 0 <= successes <= n and 0 < level < 1; got {successes}, {n}, {level}"
        raise MmgapError(msg)
    z = ndtri((1 + level) / 2)
    with np.errstate(invalid="ignore"):
        centre = (k + z**2 / 2) / (n + z**2)
        half = z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    # Rounding would push the ends of shares of 0 and 1 beyond them.
    low = np.where((k == 0) & (n > 0), 0.0, centre - half)
    return low, np.where((k == n) & (n > 0), 1.0, centre + half)
