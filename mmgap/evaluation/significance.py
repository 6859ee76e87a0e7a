"""How certain a mean over queries is: intervals, tests, effect sizes, and the one rule.

Comparisons are paired: both methods run on the same queries, and the values are their
differences, of shape (n_query, ...), one column per comparison; all columns use the same random
draws. MmgapError where there is no query or a value is not finite.

**The rule of this project**: a difference counts when its paired randomisation test, after Holm's
correction over the comparisons shown together, is below .05 (:func:`differs`); the 95 % CI says how
large it is; a claim about a smallest difference that matters is undecided where the interval lies
on both sides of it (:func:`verdict`).
"""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError

ALPHA = 0.05
"""Level of every test."""

_CHUNK = 4_000_000  # weights held at once: 32 MB
_SLACK = 1e-12  # sums that differ by less, relative to what is summed, count as equal


def bootstrap_interval(
    values: np.ndarray,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = 10_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap interval of means over queries: low and high, each of shape (...).

    Queries are drawn anew with replacement. Both bounds equal the mean where all values are equal,
    which happens by chance with few queries. Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, Sec. 13.3.

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
    """Two-sided p of mean paired differences by random signs: shape (...), in (0, 1].

    If two methods were alike, each query's difference could as well have the other sign: p is the
    fraction of all ways to set the signs in which the mean is at least as far from 0 as the mean
    found. Smucker, Allan and Carterette, CIKM 2007, Sec. 3.1.

    Queries whose difference is 0 play no part. With n others there are 2^n ways; if these are no
    more than ``n_resamples`` all are tried and p is exact, else p is (1 + b) / (1 + n_resamples)
    with b the drawn ways that reach the mean found (Phipson and Smyth 2010). Raise ``n_resamples``
    where Holm's correction over many rows needs smaller values. ``rng`` defaults to
    ``default_rng(0)``. A small p says nothing about size, see :func:`effect_size`.

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
    """Adjust the p-values of one family of comparisons, in any order, by Holm's step-down method.

    Comparisons whose value is at most alpha may all be called significant: the probability of one
    or more false ones is at most alpha, however they depend on each other (Holm 1979).

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
    """Cohen's d_z: the mean paired difference over its standard deviation (over n - 1).

    0.2, 0.5 and 0.8 are by convention a small, a medium and a large effect. Unlike p it does not
    grow with the number of queries; it is not the d of two independent samples. 0 where all
    differences are 0, infinite where all are the same other number, NaN for a single query.

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


def differs(p_holm: np.ndarray | float) -> np.ndarray:
    """Whether differences count: their p after Holm's correction is below .05; NaN does not.

    >>> differs(np.array([0.01, 0.05, np.nan]))
    array([ True, False, False])
    """
    return np.asarray(p_holm, dtype=np.float64) < ALPHA


def verdict(
    ci_low: float, ci_high: float, threshold: float = 0.0, *, claimed_above: bool = True
) -> str:
    """Say what a 95 % CI makes of the claim "more than the threshold" (or "not more than it").

    ``"undecided here"`` where the interval lies on both sides of the threshold; exactly the
    threshold is not more than it.

    >>> verdict(0.91, 0.93, threshold=0.5), verdict(-0.02, 0.01), verdict(-0.2, -0.1)
    ('holds here', 'undecided here', 'does not hold here')
    >>> verdict(-0.2, -0.1, claimed_above=False)
    'holds here'
    """
    if not ci_low <= ci_high:
        msg = f"the interval goes from {ci_low} to {ci_high}; expected two numbers, lower one first"
        raise MmgapError(msg)
    if ci_low <= threshold < ci_high:
        return "undecided here"
    return "holds here" if (ci_low > threshold) == claimed_above else "does not hold here"


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
