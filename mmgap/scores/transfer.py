"""Whether a threshold or a calibrator fitted on one corpus holds on others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.calibrate.base import ScoreCalibrator
from mmgap.scores.pairs import lacking_kind, relevant_pairs
from mmgap.scores.reliability import brier_score, calibration_error
from mmgap.scores.threshold import Threshold, check_between, threshold_pairs

if TYPE_CHECKING:
    import pandas as pd


def threshold_transfer(
    threshold: Threshold,
    corpora: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Realised precision or false positive rate on other corpora beside the promised one.

    Parameters
    ----------
    threshold : Threshold
    corpora : mapping of name to (scores, relevant)
        Arrays as :func:`find_threshold` takes them, from queries it did not see.
    level : float, default 0.95
    n_resamples : int, default 1000
    rng : numpy.random.Generator or None, default None
        None = ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per corpus: ``corpus``, ``measure``, ``threshold``, ``target``, ``observed`` with
        ``ci_low`` and ``ci_high`` (percentile bootstrap over queries), ``reached`` (the realised
        value reaches the target), ``recall`` (share of relevant pairs accepted), ``n_accepted``,
        ``n_pairs``. Where nothing is accepted the precision is NaN and ``reached`` is False.

    Raises
    ------
    MmgapError
        If there is no threshold, or a corpus does not hold pairs of both kinds.

    Examples
    --------
    >>> from mmgap.scores.threshold import find_threshold
    >>> found = find_threshold(np.repeat([0.2, 0.8], 60), np.repeat([0, 1], 60), precision=0.9)
    >>> other = (np.array([0.8, 0.9, 0.9, 0.1]), np.array([0, 1, 1, 1]))
    >>> table = threshold_transfer(found, {"other": other})
    >>> table[["corpus", "target", "reached", "recall"]]
      corpus  target  holds      kept
    0  other     0.9    False  0.666667
    >>> round(float(table["observed"][0]), 4)
    0.6667
    """
    import pandas as pd

    check_between("level", level, 0, 1)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for name, (scores, relevant) in corpora.items():
        query, pairs, labels = threshold_pairs(scores, relevant)
        if lack := lacking_kind(labels):
            msg = f"corpus {name!r}: {lack}"
            raise MmgapError(msg)
        accepted = threshold.accept(pairs)
        n_query = query.max() + 1
        if threshold.measure == "precision":
            hits, trials = accepted & labels, accepted
        else:
            hits, trials = accepted & ~labels, ~labels
        k, m = (np.bincount(query, what, n_query) for what in (hits, trials))
        observed = k.sum() / m.sum() if m.sum() else np.nan
        low, high = _ratio_interval(k, m, level, n_resamples, rng)
        reached = (
            observed >= threshold.target
            if threshold.measure == "precision"
            else observed <= threshold.target
        )
        rows.append(
            {
                "corpus": name,
                "measure": threshold.measure,
                "threshold": threshold.value,
                "target": threshold.target,
                "observed": observed,
                "ci_low": low,
                "ci_high": high,
                "reached": bool(reached),
                "recall": accepted[labels].mean(),
                "n_accepted": int(accepted.sum()),
                "n_pairs": labels.size,
            }
        )
    return pd.DataFrame(rows)


def calibrator_transfer(
    calibrator: ScoreCalibrator,
    corpora: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    bins: int = 15,
    strategy: str = "quantile",
) -> pd.DataFrame:
    """Calibration of a fitted calibrator on other corpora.

    Parameters
    ----------
    calibrator : ScoreCalibrator
        Fitted on one column of pairs of one leg, as :func:`fit_legs` does.
    corpora : mapping of name to (scores, relevant)
        Arrays of any shape, NaN leaving a pair out, from queries it did not see. Put the test
        queries of the corpus it was fitted on first, to compare with.
    bins, strategy
        As in :func:`calibration_error`.

    Returns
    -------
    table : DataFrame
        One row per corpus: ``corpus``, ``ece``, ``ece_null`` (what is promised: the error that
        chance alone gives perfect probabilities), ``mean_probability`` (promised share of
        relevant pairs) and ``fraction_relevant`` (observed), ``brier``, ``brier_of_base_rate``
        (what
        always saying ``fraction_relevant`` would score; a ``brier`` above it makes the calibrator
        worse than no score at all), ``n``.

    Raises
    ------
    MmgapError
        If a corpus holds no pair, or its shapes disagree.

    Examples
    --------
    Fitted where half of the pairs are relevant, applied where none is.

    >>> from mmgap.scores.calibrate import IsotonicCalibrator
    >>> scores, relevant = np.array([[0.1], [0.1]]), np.array([0, 1])
    >>> calibrator = IsotonicCalibrator().fit(scores, relevant)
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


def _ratio_interval(
    k: np.ndarray, m: np.ndarray, level: float, n_resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Bootstrap interval of sum k / sum m over queries; NaN where no draw has a trial."""
    drawn = (rng.integers(k.size, size=k.size) for _ in range(n_resamples))
    sums = [(k[at].sum(), m[at].sum()) for at in drawn]
    ratios = [hits / trials for hits, trials in sums if trials]
    if not ratios:
        return float("nan"), float("nan")
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
