"""Below which score to reject, leg by leg, and whether that holds on other queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.pairs import lacking_kind
from mmgap.strategies.distributions import relevance

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.index.vectors import Vectors


COLUMNS = (
    *("leg", "measure", "target", "threshold", "threshold_low", "threshold_high", "estimate"),
    *(
        "bound",
        "recall",
        "n_accepted",
        "observed",
        "ci_low",
        "ci_high",
        "observed_recall",
        "reached",
    ),
    "reason",
)
"""Of :func:`threshold_table`."""


def threshold_table(
    calibration: Vectors,
    test: Vectors,
    *,
    precision: float | None = None,
    false_positive_rate: float | None = None,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Find each leg's threshold on calibration queries and see on test queries what it does.

    Parameters
    ----------
    calibration, test : Vectors
        Of one encoder; different queries. Each leg that holds a document has a row.
    precision, false_positive_rate : float or None
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
        ``threshold_low`` and ``threshold_high``, ``estimate``, ``bound``, ``recall`` (share of
        relevant pairs accepted), ``n_accepted``; from test ``observed`` with ``ci_low`` and
        ``ci_high``, ``observed_recall``, ``reached``; and ``reason`` where no score reaches
        it
        or the leg's pairs are not of both kinds (the other figures are NaN then).

    Raises
    ------
    MmgapError
        If the encoders differ, a query is in both, or as :func:`mmgap.scores.find_threshold`.

    Notes
    -----
    The legs' thresholds differ, which is the gap seen from the user's side. Precision moves with
    the number of irrelevant documents, so a larger pool breaks its promise; the false positive rate
    does not depend on it.
    """
    import pandas as pd

    from mmgap.scores.threshold import check_target, find_threshold
    from mmgap.scores.transfer import threshold_transfer

    measure, target = check_target(precision, false_positive_rate, confidence)
    _check_apart(calibration, test)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for leg in calibration.filled_legs:
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        lack = _lack(calibration, leg)
        row |= {"leg": leg, "measure": measure, "target": target, "n_accepted": 0, "reason": lack}
        rows.append(row)
        if lack:
            continue
        found = find_threshold(
            *_pairs(calibration, leg),
            precision=precision,
            false_positive_rate=false_positive_rate,
            confidence=confidence,
            n_resamples=n_resamples,
            rng=rng,
        )
        row |= {
            "threshold": found.value,
            "threshold_low": found.low,
            "threshold_high": found.high,
            "estimate": found.estimate,
            "bound": found.bound,
            "recall": found.recall,
            "n_accepted": found.n_accepted,
            "reason": found.reason or _lack(test, leg),
        }
        if not row["reason"]:
            there = threshold_transfer(
                found, {"test": _pairs(test, leg)}, n_resamples=n_resamples, rng=rng
            ).iloc[0]
            row |= {name: there[name] for name in ("observed", "ci_low", "ci_high", "reached")}
            row["observed_recall"] = there["recall"]
    numbers = [*COLUMNS[3:9], *COLUMNS[10:14]]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(numbers, float))


def _lack(vectors: Vectors, leg: str) -> str:
    """Why a leg has no threshold whatever the target; empty where it may have one."""
    if leg not in vectors.filled_legs:
        return f"{vectors.corpus.name!r} has no {leg}"
    scores, relevant = _pairs(vectors, leg)
    there = relevant[~np.isnan(scores)]
    if there.any() or not relevant.any():
        return lacking_kind(there)
    return (
        f"queries of {vectors.corpus.name!r} are not compared with the {leg}s that answer them, "
        f"their own source; a {leg} threshold needs queries of another source"
    )


def _pairs(vectors: Vectors, leg: str) -> tuple[np.ndarray, np.ndarray]:
    return vectors.scores(leg), relevance(vectors)[:, vectors.legs[leg].positions]


def _check_apart(calibration: Vectors, test: Vectors) -> None:
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
