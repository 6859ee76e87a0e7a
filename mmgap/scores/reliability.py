"""Whether probabilities of relevance keep what they promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom

from mmgap.errors import MmgapError
from mmgap.scores.pairs import relevant_pairs
from mmgap.scores.wilson import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

STRATEGIES = ("uniform", "quantile")
"""Bins of equal width over [0, 1], or with equally many pairs."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error and what chance alone makes of it.

    Parameters
    ----------
    ece : float
        In [0, 1]; 0 = every bin holds the share of relevant pairs that it promises.
    null : float
        What ``ece`` would be on average, with these bins and numbers of pairs, if every bin's mean
        probability were right.
    n : int
        Pairs.
    """

    ece: float
    null: float
    n: int


@dataclass(frozen=True)
class BrierScore:
    """Mean squared error of probabilities, and what it consists of.

    Parameters
    ----------
    score : float
        In [0, 1]; smaller is better. Equals reliability - resolution + uncertainty + within_bins.
    reliability : float
        Mean squared distance of each bin's mean probability to its share relevant; smaller is
        better.
    resolution : float
        Variance of the share relevant between bins; larger is better.
    uncertainty : float
        Variance of relevance itself: the score of always saying the overall share.
    within_bins : float
        What is left because a bin holds different probabilities; 0 with ``bins=None``.
    n : int
        Pairs.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    n: int


def calibration_error(
    probability: np.ndarray,
    relevant: np.ndarray,
    *,
    bins: int = 15,
    strategy: str = "uniform",
) -> CalibrationError:
    """Measure how far shares relevant lie from what probabilities promise (ECE).

    Parameters
    ----------
    probability : ndarray of any shape
        In [0, 1]; NaN leaves a pair out.
    relevant : bool array of the same shape
    bins : int, default 15
    strategy : {"uniform", "quantile"}, default "uniform"
        Bins of equal width over [0, 1], the usual choice, or of equal mass. Where most
        probabilities are small, equal width puts nearly all pairs into the first bin and hides
        the rest; equal mass does not. Equal probabilities always share a bin.

    Returns
    -------
    error : CalibrationError
        Sum over bins of their share of the pairs times the distance of mean probability to share
        relevant. Compare ``ece`` with ``null``: it is biased up, for the distance is never
        negative, so that perfect probabilities give ``null`` and not 0, the more bins and the
        fewer pairs the more. It is also biased down, for errors of opposite sign cancel within a
        bin. Blind to whether the probabilities tell pairs apart.

    Raises
    ------
    MmgapError
        If there is no pair, a probability lies outside [0, 1], or shapes disagree.

    Notes
    -----
    ``null`` is the mean absolute deviation of a binomial share (de Moivre), averaged over bins.
    Pairs count as independent, though those of one query are not.

    References
    ----------
    .. [1] Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
       Binning", AAAI 2015.
    .. [2] Roelofs et al., "Mitigating Bias in Calibration Error Estimation", AISTATS 2022.

    Examples
    --------
    Promised 0.25 of four pairs and kept; promised 0.75 of four pairs, and all are relevant.

    >>> probability = np.repeat([0.25, 0.75], 4)
    >>> relevant = np.array([0, 0, 0, 1, 1, 1, 1, 1], dtype=bool)
    >>> calibration_error(probability, relevant, bins=2).ece
    0.125
    """
    p, y = _pairs(probability, relevant)
    n, mean, share = _binned(p, y, _bin(p, bins, strategy))
    weight = n / p.size
    # E|K - np| = 2 m (1 - p) P(K = m) with m = floor(np) + 1, de Moivre 1730.
    mode = np.floor(n * mean) + 1
    by_chance = 2 * mode * (1 - mean) * binom.pmf(mode, n, mean) / n
    return CalibrationError(
        ece=float(weight @ np.abs(mean - share)), null=float(weight @ by_chance), n=p.size
    )


def brier_score(
    probability: np.ndarray,
    relevant: np.ndarray,
    *,
    bins: int | None = 15,
    strategy: str = "quantile",
) -> BrierScore:
    """Mean squared error of probabilities with Murphy's decomposition.

    Parameters
    ----------
    probability : ndarray of any shape
        In [0, 1]; NaN leaves a pair out.
    relevant : bool array of the same shape
    bins : int or None, default 15
        The parts need groups of pairs: bins, or with None the pairs of equal probability. Where
        each pair has a probability of its own, groups of one pair say nothing.
    strategy : {"uniform", "quantile"}, default "quantile"
        As in :func:`calibration_error`.

    Returns
    -------
    brier : BrierScore
        ``score`` does not depend on the bins. A proper score: lowest on average for the true
        probabilities. Where relevant pairs are rare it is small for any leg: compare it with
        ``uncertainty``. ``reliability`` is biased up with few pairs in a bin.

    Raises
    ------
    MmgapError
        If there is no pair, a probability lies outside [0, 1], or shapes disagree.

    References
    ----------
    .. [1] Murphy, "A New Vector Partition of the Probability Score", Journal of Applied
       Meteorology 1973.
    .. [2] Stephenson, Coelho and Jolliffe, "Two Extra Components in the Brier Score
       Decomposition", Weather and Forecasting 2008.

    Examples
    --------
    >>> brier = brier_score(np.array([0.5, 0.5, 1.0, 1.0]), np.array([0, 1, 1, 1]), bins=None)
    >>> brier.score, brier.reliability, brier.resolution, brier.uncertainty
    (0.125, 0.0, 0.0625, 0.1875)
    """
    p, y = _pairs(probability, relevant)
    place = np.unique(p, return_inverse=True)[1] if bins is None else _bin(p, bins, strategy)
    n, mean, share = _binned(p, y, place)
    weight, overall = n / p.size, y.mean()
    score = np.mean((p - y) ** 2)
    reliability = weight @ (mean - share) ** 2
    resolution = weight @ (share - overall) ** 2
    uncertainty = overall * (1 - overall)
    return BrierScore(
        score=float(score),
        reliability=float(reliability),
        resolution=float(resolution),
        uncertainty=float(uncertainty),
        within_bins=float(score - (reliability - resolution + uncertainty)),
        n=p.size,
    )


def reliability_table(
    probability: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray],
    *,
    bins: int = 10,
    strategy: str = "uniform",
    level: float = 0.95,
) -> pd.DataFrame:
    """Promised and found shares of relevant pairs, bin by bin: the reliability diagram of each leg.

    Parameters
    ----------
    probability : mapping of leg to ndarray of any shape
        In [0, 1]; NaN leaves a pair out.
    relevant : mapping of leg to bool array of the same shape
    bins : int, default 10
    strategy : {"uniform", "quantile"}, default "uniform"
        As in :func:`calibration_error`.
    level : float, default 0.95
        Of the Wilson intervals.

    Returns
    -------
    table : DataFrame
        One row per leg and bin that holds a pair: ``leg``, ``n``, ``n_relevant``, ``low`` and
        ``high`` (smallest and largest probability in the bin), ``mean_probability``,
        ``fraction_relevant``, ``ci_low``, ``ci_high``. Well calibrated: the intervals hold
        ``mean_probability``. They count pairs as independent, though those of one query are not,
        and are therefore too narrow.

    Raises
    ------
    MmgapError
        If the legs differ, there is no pair, a probability lies outside [0, 1], or shapes
        disagree.

    References
    ----------
    .. [1] DeGroot and Fienberg, "The Comparison and Evaluation of Forecasters", The Statistician
       1983.

    Examples
    --------
    >>> p, y = np.array([0.25, 0.25, 0.75, 0.75]), np.array([0, 0, 1, 0])
    >>> table = reliability_table({"text": p}, {"text": y}, bins=2)
    >>> table[["leg", "n", "mean_probability", "fraction_relevant"]]
        leg  n  mean_probability  fraction_relevant
    0  text  2              0.25             0.0
    1  text  2              0.75             0.5
    """
    import pandas as pd

    if set(probability) != set(relevant):
        msg = f"probability has the legs {sorted(probability)}, relevant {sorted(relevant)}"
        raise MmgapError(msg)
    tables = []
    for leg, values in probability.items():
        p, y = _pairs(values, relevant[leg])
        place = _bin(p, bins, strategy)
        n, mean, share = _binned(p, y, place)
        n_relevant = np.rint(n * share).astype(int)
        ci_low, ci_high = wilson_interval(n_relevant, n, level=level)
        held = np.unique(place)
        tables.append(
            pd.DataFrame(
                {
                    "leg": leg,
                    "n": n,
                    "n_relevant": n_relevant,
                    "low": [p[place == at].min() for at in held],
                    "high": [p[place == at].max() for at in held],
                    "mean_probability": mean,
                    "fraction_relevant": share,
                    "ci_low": ci_low,
                    "ci_high": ci_high,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _pairs(probability: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, y = np.asarray(probability, dtype=np.float64), relevant_pairs(relevant)
    if p.shape != y.shape:
        msg = f"probability {p.shape} and relevant {y.shape} must have one shape"
        raise MmgapError(msg)
    there = ~np.isnan(p)
    p, y = p[there], y[there]
    if p.size == 0 or p.min() < 0 or p.max() > 1:
        msg = (
            "probability must hold at least one pair and lie in [0, 1]; got "
            + (f"values from {p.min():g} to {p.max():g}" if p.size else "none but NaN")
            + ". Bring scores there with a calibrator"
        )
        raise MmgapError(msg)
    return p, y.astype(np.float64)


def _bin(p: np.ndarray, bins: int, strategy: str) -> np.ndarray:
    """Bin of each pair; the last bin holds its upper edge."""
    if strategy not in STRATEGIES or bins < 1:
        msg = f"bins must be >= 1 and strategy one of {STRATEGIES}; got {bins} and {strategy!r}"
        raise MmgapError(msg)
    if strategy == "uniform":
        edges = np.linspace(0, 1, bins + 1)
    else:
        edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    return np.searchsorted(edges[1:-1], p, side="right")


def _binned(
    p: np.ndarray, y: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs, mean probability and share relevant of each bin that holds a pair."""
    n = np.bincount(place)
    held = n > 0
    mean, share = np.bincount(place, p)[held] / n[held], np.bincount(place, y)[held] / n[held]
    return n[held], np.clip(mean, 0.0, 1.0), share
