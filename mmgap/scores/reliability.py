"""Whether probabilities of relevance come true.

Probabilities in [0, 1], NaN leaving a pair out, and relevance of the same shape, bools or grades of
which 1 and more are relevant. Bins are of equal width over [0, 1] (``strategy="uniform"``) or of
equally many pairs ("quantile"); where most probabilities are small, equal width puts nearly all
pairs into the first bin and hides the rest. Equal probabilities are always in one bin. Pairs count
as independent, though those of one query are not. No pair, values outside [0, 1] and shapes that
disagree raise :class:`~mmgap.errors.MmgapError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom, binomtest

from mmgap.errors import MmgapError
from mmgap.scores.calibrate import ScoreCalibrator
from mmgap.scores.pairs import relevant_pairs

if TYPE_CHECKING:
    import pandas as pd

STRATEGIES = ("uniform", "quantile")
"""How pairs are put into bins."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error, and ``null``: its value under perfect calibration."""

    ece: float
    null: float
    n: int


@dataclass(frozen=True)
class BrierScore:
    """Mean squared error: ``reliability - resolution + uncertainty + within_bins``.

    ``reliability`` (smaller is better, biased up with few pairs in a bin) is the mean squared
    distance of a bin's mean probability to its fraction relevant, ``resolution`` (larger is better)
    the variance of that fraction between bins, ``uncertainty`` the score of always saying the base
    rate, ``within_bins`` what is left because a bin holds different probabilities.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    n: int


def calibration_error(
    probability: np.ndarray, relevant: np.ndarray, *, bins: int = 15, strategy: str = "uniform"
) -> CalibrationError:
    """Mean distance of a bin's mean probability to its fraction relevant (ECE), 0 = calibrated.

    Compare ``ece`` with ``null``, the mean absolute deviation of a binomial fraction: it is biased
    up, the more bins and the fewer pairs the more, and down where errors of opposite sign cancel
    within a bin. Blind to whether probabilities tell pairs apart. Naeini, Cooper and Hauskrecht,
    AAAI 2015; Roelofs et al., AISTATS 2022.

    >>> probability = np.repeat([0.25, 0.75], 4)
    >>> calibration_error(probability, np.array([0, 0, 0, 1, 1, 1, 1, 1]), bins=2).ece
    0.125
    """
    p, y = _pairs(probability, relevant)
    n, mean, fraction = _binned(p, y, _bin(p, bins, strategy))
    weight = n / p.size
    # E|K - np| = 2 m (1 - p) P(K = m) with m = floor(np) + 1, de Moivre 1730.
    mode = np.floor(n * mean) + 1
    by_chance = 2 * mode * (1 - mean) * binom.pmf(mode, n, mean) / n
    return CalibrationError(
        ece=float(weight @ np.abs(mean - fraction)), null=float(weight @ by_chance), n=p.size
    )


def brier_score(
    probability: np.ndarray,
    relevant: np.ndarray,
    *,
    bins: int | None = 15,
    strategy: str = "quantile",
) -> BrierScore:
    """Mean squared error of probabilities with Murphy's decomposition (1973).

    ``bins=None`` groups the pairs of equal probability. A proper score, lowest on average for the
    true probabilities. Small for any leg where relevant pairs are rare: compare with
    ``uncertainty``.

    >>> brier = brier_score(np.array([0.5, 0.5, 1.0, 1.0]), np.array([0, 1, 1, 1]), bins=None)
    >>> brier.score, brier.reliability, brier.resolution, brier.uncertainty
    (0.125, 0.0, 0.0625, 0.1875)
    """
    p, y = _pairs(probability, relevant)
    at = np.unique(p, return_inverse=True)[1] if bins is None else _bin(p, bins, strategy)
    n, mean, fraction = _binned(p, y, at)
    weight, overall = n / p.size, y.mean()
    score = np.mean((p - y) ** 2)
    reliability = weight @ (mean - fraction) ** 2
    resolution = weight @ (fraction - overall) ** 2
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
    """Mean probability and fraction relevant, bin by bin: the reliability diagram of each leg.

    One row per leg and bin that holds a pair: ``leg``, ``n``, ``n_relevant``, ``low`` and ``high``
    (smallest and largest probability), ``mean_probability``, ``fraction_relevant`` with its Wilson
    interval ``ci_low``, ``ci_high``. DeGroot and Fienberg 1983.

    >>> p, y = np.array([0.25, 0.25, 0.75, 0.75]), np.array([0, 0, 1, 0])
    >>> table = reliability_table({"text": p}, {"text": y}, bins=2)
    >>> table[["leg", "n", "mean_probability", "fraction_relevant"]]
        leg  n  mean_probability  fraction_relevant
    0  text  2              0.25                0.0
    1  text  2              0.75                0.5
    """
    import pandas as pd

    if set(probability) != set(relevant):
        msg = f"probability has the legs {sorted(probability)}, relevant {sorted(relevant)}"
        raise MmgapError(msg)
    rows = []
    for leg, values in probability.items():
        p, y = _pairs(values, relevant[leg])
        at = _bin(p, bins, strategy)
        held = np.unique(at)
        for held_bin, n, mean, fraction in zip(held, *_binned(p, y, at), strict=True):
            of_bin = p[at == held_bin]
            n_relevant = int(np.rint(n * fraction))
            interval = binomtest(n_relevant, int(n)).proportion_ci(level, method="wilson")
            rows.append((leg, n, n_relevant, of_bin.min(), of_bin.max(), mean, fraction, *interval))
    columns = [
        *("leg", "n", "n_relevant", "low", "high", "mean_probability", "fraction_relevant"),
        *("ci_low", "ci_high"),
    ]
    return pd.DataFrame(rows, columns=columns)


def calibrator_transfer(
    calibrator: ScoreCalibrator,
    corpora: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    bins: int = 15,
    strategy: str = "quantile",
) -> pd.DataFrame:
    """Calibration of a fitted calibrator on the (scores, relevant) of other corpora.

    The calibrator is one of one column of pairs, as :func:`mmgap.scores.calibrate.fit_legs` fits
    it; queries are such as it did not see. Put the test queries of its own corpus first, to compare
    with. One row per corpus: ``ece``, ``ece_null``, ``mean_probability`` (target),
    ``fraction_relevant`` (observed), ``brier``, ``brier_of_base_rate`` (of always saying
    ``fraction_relevant``: a ``brier`` above it makes the calibrator worse than no score), ``n``.

    >>> from mmgap.scores.calibrate import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator().fit(np.array([[0.1], [0.1]]), np.array([0, 1]))
    >>> other = (np.array([[0.1, 0.1]]), np.array([[0, 0]]))
    >>> calibrator_transfer(calibrator, {"other": other})[["ece", "ece_null", "brier"]]
       ece  ece_null  brier
    0  0.5      0.25   0.25
    """
    import pandas as pd

    rows = []
    for name, (scores, relevant) in corpora.items():
        probability = calibrator.transform(np.reshape(scores, (-1, 1)))[:, 0]
        labels = relevant_pairs(np.reshape(relevant, -1))
        error = calibration_error(probability, labels, bins=bins, strategy=strategy)
        brier = brier_score(probability, labels, bins=bins, strategy=strategy)
        there = ~np.isnan(probability)
        rows.append(
            {
                "corpus": name,
                "ece": error.ece,
                "ece_null": error.null,
                "mean_probability": probability[there].mean(),
                "fraction_relevant": labels[there].mean(),
                "brier": brier.score,
                "brier_of_base_rate": brier.uncertainty,
                "n": error.n,
            }
        )
    return pd.DataFrame(rows)


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
    p: np.ndarray, y: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs, mean probability and fraction relevant of each bin that holds a pair."""
    n = np.bincount(at)
    held = n > 0
    mean, fraction = np.bincount(at, p)[held] / n[held], np.bincount(at, y)[held] / n[held]
    return n[held], np.clip(mean, 0.0, 1.0), fraction
