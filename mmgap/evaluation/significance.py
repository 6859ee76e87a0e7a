"""How far a mean over queries could be from chance: intervals, tests and sizes of effects.

What is compared is always paired: both methods answer the same queries, and the values are their
differences, one per query.
"""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError

_CHUNK = 4_000_000  # weights held at once: 32 MB
_SLACK = 1e-12  # sums that differ by less, relative to what is summed, count as equal


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
    values = _finite(values, "values")
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, e.g. 0.95; got {level}"
        raise MmgapError(msg)
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


def randomisation_test(
    differences: np.ndarray,
    *,
    rng: np.random.Generator | None = None,
    n_resamples: int = 10_000,
) -> np.ndarray:
    """Test by random signs whether a mean paired difference could be chance.

    If two methods were alike, each query's difference could as well have the other sign. The
    p-value is the share of all ways to set the signs in which the mean is at least as far from 0
    as the mean that was found.

    Parameters
    ----------
    differences : ndarray of shape (n_query, ...)
        One value per query and column: one method's measure less the other's, on the same queries.
    rng : numpy.random.Generator or None
        Of the signs; None is ``default_rng(0)``. Not used where the test is exact.
    n_resamples : int, default 10_000
        Ways drawn at random where there are more than this many: the smallest p-value is then
        1 / (n_resamples + 1). Raise it where Holm's correction over many rows needs smaller ones.

    Returns
    -------
    p : ndarray of shape (...)
        Two-sided, in (0, 1]; smaller = harder to explain by chance. 1 where all differences are 0.
        Unchanged by a factor and by exchanging the two methods.

    Raises
    ------
    ValueError
        If there is no query, a value is not finite, or ``n_resamples`` is less than 1.

    Notes
    -----
    Queries whose difference is 0 have no sign and play no part. With n other queries there are
    2^n ways; if these are no more than ``n_resamples`` they are all tried and p is exact, else p
    is (1 + b) / (1 + n_resamples) with b the drawn ways that reach the mean found. (With 10,000,
    exact up to 13 queries.) Columns share their random signs.

    The test needs no normal distribution. It assumes that queries are independent; a small p says
    nothing about the size of the difference, see :func:`effect_size`.

    References
    ----------
    .. [1] Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for
       Information Retrieval Evaluation", CIKM 2007, Sec. 3.1.
    .. [2] Phipson and Smyth, "Permutation P-values Should Never Be Zero", Stat. Appl. Genet. Mol.
       Biol. 2010 (the 1 that is added).

    Examples
    --------
    All five differences are positive: 2 of the 32 ways are as extreme.

    >>> float(randomisation_test(np.array([0.1, 0.2, 0.1, 0.3, 0.2])))
    0.0625
    """
    values = _finite(differences, "differences")
    if n_resamples < 1:
        msg = f"n_resamples must be at least 1, got {n_resamples}"
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    columns = values.reshape(len(values), -1)
    found = np.abs(columns.sum(axis=0)) - _SLACK * np.abs(columns).sum(axis=0)
    p = np.empty(columns.shape[1])
    n_different = np.count_nonzero(columns, axis=0)
    exact = n_different < np.log2(n_resamples) + 1e-9
    for at in np.flatnonzero(exact):
        column = columns[columns[:, at] != 0, at]
        ways = np.arange(2 ** len(column))[:, None] >> np.arange(len(column)) & 1
        p[at] = (np.abs((2.0 * ways - 1) @ column) >= found[at]).mean()
    if not exact.all():
        drawn, reached = columns[:, ~exact], np.zeros(np.count_nonzero(~exact), dtype=np.int64)
        for n_draw in _chunks(n_resamples, max(1, _CHUNK // len(columns))):
            signs = 2.0 * rng.integers(2, size=(n_draw, len(columns)), dtype=np.int8) - 1
            reached += (np.abs(signs @ drawn) >= found[~exact]).sum(axis=0)
        p[~exact] = (1 + reached) / (1 + n_resamples)
    return p.reshape(values.shape[1:])


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p-values for the number of comparisons made, by Holm's step-down method.

    Parameters
    ----------
    p : ndarray of shape (n_comparison,)
        One p-value per comparison of the same family, in [0, 1], in any order.

    Returns
    -------
    adjusted : ndarray of shape (n_comparison,)
        In [0, 1], never below ``p``, in the same order of size. Comparisons whose value is at most
        alpha may all be called significant: the chance of one or more false ones is at most alpha,
        however the comparisons depend on each other.

    Raises
    ------
    ValueError
        If ``p`` does not have one axis or a value is not between 0 and 1.

    References
    ----------
    .. [1] Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 1979.

    Examples
    --------
    Sorted, the values are multiplied by 3, 2 and 1, and none may be smaller than the one before.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        msg = f"p must be one row of numbers between 0 and 1; got shape {p.shape}: {p}"
        raise MmgapError(msg)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def effect_size(differences: np.ndarray) -> np.ndarray:
    """Mean paired difference in units of its standard deviation over queries: Cohen's d_z.

    Parameters
    ----------
    differences : ndarray of shape (n_query, ...)
        As in :func:`randomisation_test`.

    Returns
    -------
    d_z : ndarray of shape (...)
        Without unit and bound; positive where the mean is. 0.2, 0.5 and 0.8 are by convention a
        small, a medium and a large effect. Unlike p it does not grow with the number of queries.
        Unchanged by a positive factor. 0 where all differences are 0, infinite where all are the
        same other number, NaN for a single query.

    Raises
    ------
    ValueError
        If there is no query or a value is not finite.

    Notes
    -----
    The standard deviation has n - 1 in its denominator, so d_z times the root of n is the t of the
    paired t-test. It is not the d of two independent samples, which divides by the spread of the
    values and not of their differences.

    References
    ----------
    .. [1] Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988, Sec. 2.3.
    .. [2] Sakai, "Statistical Reform in Information Retrieval?", SIGIR Forum 2014 (why to report
       it beside p).

    Examples
    --------
    Mean 0.2, standard deviation 0.1.

    >>> float(effect_size(np.array([0.1, 0.2, 0.3])).round(6))
    2.0
    """
    values = _finite(differences, "differences")
    mean = values.mean(axis=0)
    if len(values) == 1:
        return np.full_like(mean, np.nan)
    spread = values.std(axis=0, ddof=1)
    constant = spread <= _SLACK * np.abs(mean)
    infinite = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))
    return np.where(constant, infinite, mean / np.where(constant, 1.0, spread))


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0 or not np.isfinite(values).all():
        msg = (
            f"{name} must hold a finite number for each of at least one query; got shape "
            f"{values.shape} with {np.count_nonzero(~np.isfinite(values))} that are not finite"
        )
        raise MmgapError(msg)
    return values


def _draws(rng: np.random.Generator, n_draw: int, n_query: int) -> np.ndarray:
    """How often each query occurs in each draw: shape (n_draw, n_query), rows sum to n_query."""
    drawn = rng.integers(n_query, size=(n_draw, n_query))
    drawn += np.arange(n_draw)[:, None] * n_query
    counts = np.bincount(drawn.ravel(), minlength=n_draw * n_query)
    return counts.reshape(n_draw, n_query).astype(np.float64)


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
