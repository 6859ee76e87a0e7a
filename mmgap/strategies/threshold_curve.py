"""Precision, false positives and recall at every threshold, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.pairs import lacking_kind
from mmgap.scores.threshold import check_between, threshold_pairs

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("precision", "false positive rate", "recall")
"""What :func:`threshold_curve` measures."""


def threshold_curve(
    scores: np.ndarray,
    relevant: np.ndarray,
    *,
    n_points: int = 200,
    level: float = 0.95,
    n_resamples: int = 500,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure what a threshold accepts, for thresholds over the whole range of the scores.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc) or (n_query,)
        Of one leg; NaN leaves a pair out.
    relevant : bool array of the same shape
    n_points : int, default 200
        Thresholds, drawn from the scores at equal steps of their rank; all distinct scores where
        there are fewer.
    level : float, default 0.95
    n_resamples : int, default 500
        Bootstrap draws of whole queries.
    rng : numpy.random.Generator or None, default None
        None = ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per threshold and measure, thresholds ascending: ``threshold`` (pairs of at least
        this score are accepted), ``measure``, ``value``, ``ci_low``, ``ci_high``, ``n_accepted``.
        Measures, all in [0, 1]: ``precision``, share of the accepted pairs that are relevant;
        ``false positive rate``, share of the irrelevant pairs that are accepted; ``recall``, share
        of the relevant pairs that are accepted. The last two fall as the threshold rises;
        precision need not rise.

    Raises
    ------
    MmgapError
        If shapes disagree, a score is infinite, pairs are not of both kinds, or ``level`` does not
        lie between 0 and 1.

    Notes
    -----
    Intervals are percentiles over resamples of queries, for one threshold at a time: a curve as a
    whole leaves the band more often. Draws without an accepted pair have no precision and are
    left out.

    Examples
    --------
    >>> table = threshold_curve(np.array([[0.2, 0.8], [0.4, 0.6]]), np.array([[0, 1], [0, 0]]))
    >>> table[table["measure"] == "precision"][["threshold", "value"]].round(2).values.tolist()
    [[0.2, 0.25], [0.4, 0.33], [0.6, 0.5], [0.8, 1.0]]
    """
    import pandas as pd

    check_between("level", level, 0, 1)
    query, pairs, labels = threshold_pairs(scores, relevant)
    if lack := lacking_kind(labels):
        raise MmgapError(lack)
    at = np.unique(pairs)
    if at.size > n_points:
        at = np.unique(np.quantile(pairs, np.linspace(0, 1, n_points), method="inverted_cdf"))
    n_query = int(query.max()) + 1
    good, bad = (_accepted(query, pairs, kind, at, n_query) for kind in (labels, ~labels))
    rng = np.random.default_rng(0) if rng is None else rng
    draws = rng.multinomial(n_query, np.full(n_query, 1 / n_query), size=n_resamples)
    sums = good.sum(axis=0), bad.sum(axis=0)
    values = _measures(*sums)
    drawn = _measures(draws @ good, draws @ bad)
    tables = []
    for measure in MEASURES:
        ends = np.nanquantile(drawn[measure], [(1 - level) / 2, (1 + level) / 2], axis=0)
        tables.append(
            pd.DataFrame(
                {
                    "threshold": at,
                    "measure": measure,
                    "value": values[measure],
                    "ci_low": ends[0],
                    "ci_high": ends[1],
                    "n_accepted": sum(sums).astype(int),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _accepted(
    query: np.ndarray, pairs: np.ndarray, kind: np.ndarray, at: np.ndarray, n_query: int
) -> np.ndarray:
    """Pairs of one kind that each threshold accepts, by query: shape (n_query, n_threshold)."""
    step = np.searchsorted(at, pairs[kind], side="right") - 1  # the highest threshold reached
    counts = np.zeros((n_query, at.size))
    np.add.at(counts, (query[kind], step), 1)
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _measures(good: np.ndarray, bad: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of counts of shape (..., n_threshold); the first threshold accepts all pairs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": good / (good + bad),
            "false positive rate": bad / bad[..., :1],
            "recall": good / good[..., :1],
        }
