"""How far a mean over queries would move with other queries of the same kind."""

from __future__ import annotations

import numpy as np

_CHUNK = 4_000_000  # weights held at once: 32 MB


def bootstrap_interval(
    values: np.ndarray,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = 10_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of a mean over queries.

    Queries are drawn anew with replacement; all columns share each draw, so that columns measured
    on the same queries stay paired.

    Parameters
    ----------
    values : ndarray of shape (n_query, ...)
        One value per query and column.
    rng : numpy.random.Generator
    level : float, default 0.95
        Share of the resampled means inside the interval.
    n_resamples : int, default 10_000

    Returns
    -------
    low, high : ndarray of shape (...)
        Bounds of the mean of each column, within the range of its values. Wider = less certain.
        Both equal the mean where all values are equal, which happens by chance with few queries.

    Raises
    ------
    ValueError
        If there is no query, a value is not finite, or ``level`` is not between 0 and 1.

    References
    ----------
    .. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, Sec. 13.3.

    Examples
    --------
    100 queries, half of them answered: the interval is close to 0.5 plus or minus 1.96 x 0.05.

    >>> low, high = bootstrap_interval(np.repeat([0.0, 1.0], 50), rng=np.random.default_rng(0))
    >>> round(float(low), 2), round(float(high), 2)
    (0.4, 0.6)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0 or not np.isfinite(values).all():
        msg = (
            "values must hold a finite number for each of at least one query; got shape "
            f"{values.shape} with {np.count_nonzero(~np.isfinite(values))} that are not finite"
        )
        raise ValueError(msg)
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, e.g. 0.95; got {level}"
        raise ValueError(msg)
    n_query = len(values)
    columns = values.reshape(n_query, -1)
    means = np.concatenate(
        [
            _draws(rng, n_draw, n_query) @ columns / n_query
            for n_draw in _chunks(n_resamples, max(1, _CHUNK // n_query))
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def _draws(rng: np.random.Generator, n_draw: int, n_query: int) -> np.ndarray:
    """How often each query occurs in each draw: shape (n_draw, n_query), rows sum to n_query."""
    drawn = rng.integers(n_query, size=(n_draw, n_query))
    drawn += np.arange(n_draw)[:, None] * n_query
    counts = np.bincount(drawn.ravel(), minlength=n_draw * n_query)
    return counts.reshape(n_draw, n_query).astype(np.float64)


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
