"""Below which score to reject, leg by leg, and whether that holds on other queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.strategies.distributions import need_both_legs, relevance

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.index.vectors import Vectors


def threshold_table(
    calibration: Vectors,
    test: Vectors,
    *,
    precision: float | None = None,
    false_accept_rate: float | None = None,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Find each leg's threshold on calibration queries and see on test queries what it does.

    Parameters
    ----------
    calibration, test : Vectors
        Of one encoder, with both legs; different queries.
    precision, false_accept_rate : float or None
        The target, one of the two, as in :func:`mmgap.scores.find_threshold`.
    confidence : float, default 0.95
        With which the target is to be reached on queries like those of ``calibration``.
    n_resamples : int, default 1000
        Bootstrap draws of queries for the intervals.
    rng : numpy.random.Generator or None, default None
        None = ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per leg: ``leg``, ``measure``, ``target``; from calibration ``threshold`` with
        ``threshold_low`` and ``threshold_high``, ``estimate``, ``bound``, ``kept`` (share of
        relevant pairs accepted), ``n_accepted``; from test ``realised`` with ``ci_low`` and
        ``ci_high``, ``realised_kept``, ``holds``; and ``reason`` where no score reaches the target
        (the other figures are NaN then).

    Raises
    ------
    MmgapError
        If the encoders differ, a query is in both, or a leg is missing.
    ValueError
        As :func:`mmgap.scores.find_threshold`.

    Notes
    -----
    The legs' thresholds differ, which is the gap seen from the user's side. Precision moves with
    the number of irrelevant documents, so a larger pool breaks its promise; the false accept rate
    does not depend on it.
    """
    import pandas as pd

    from mmgap.scores import find_threshold, threshold_transfer

    _check_apart(calibration, test)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for leg in ("text", "image"):
        found = find_threshold(
            *_pairs(calibration, leg),
            precision=precision,
            false_accept_rate=false_accept_rate,
            confidence=confidence,
            n_resamples=n_resamples,
            rng=rng,
        )
        row = {
            "leg": leg,
            "measure": found.measure,
            "target": found.target,
            "threshold": found.value,
            "threshold_low": found.low,
            "threshold_high": found.high,
            "estimate": found.estimate,
            "bound": found.bound,
            "kept": found.kept,
            "n_accepted": found.n_accepted,
            "realised": None,
            "ci_low": None,
            "ci_high": None,
            "realised_kept": None,
            "holds": None,
            "reason": found.reason,
        }
        if found.value is not None:
            there = threshold_transfer(
                found, {"test": _pairs(test, leg)}, n_resamples=n_resamples, rng=rng
            ).iloc[0]
            row |= {name: there[name] for name in ("realised", "ci_low", "ci_high", "holds")}
            row["realised_kept"] = there["kept"]
        rows.append(row)
    numbers = [
        *("threshold", "threshold_low", "threshold_high", "estimate", "bound", "kept"),
        *("realised", "ci_low", "ci_high", "realised_kept"),
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def _pairs(vectors: Vectors, leg: str) -> tuple[np.ndarray, np.ndarray]:
    return vectors.scores(leg), relevance(vectors)[:, vectors.legs[leg].positions]


def _check_apart(calibration: Vectors, test: Vectors) -> None:
    for vectors in (calibration, test):
        need_both_legs(vectors)
    if calibration.encoder.id != test.encoder.id:
        msg = (
            f"calibration vectors are of {calibration.encoder.id!r}, test vectors of "
            f"{test.encoder.id!r}; a threshold holds for one encoder"
        )
        raise MmgapError(msg)
    shared = set(calibration.corpus.query_ids) & set(test.corpus.query_ids)
    if shared:
        msg = (
            f"{len(shared)} queries are in both parts, {min(shared)!r} among them; a threshold "
            "judged by the queries it was found on promises too much"
        )
        raise MmgapError(msg)
