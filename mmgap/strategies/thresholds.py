"""Below which score to reject, leg by leg, and whether that is reached on other queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.pairs import lacking_kind
from mmgap.strategies.distributions import leg_pairs

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.index.vectors import Vectors

_FOUND = ("threshold", "threshold_low", "threshold_high", "estimate", "bound", "recall")
_OBSERVED = ("observed", "ci_low", "ci_high", "observed_recall")


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

    One row for each leg that holds a document: ``leg``, ``measure``, ``target``; of
    :func:`mmgap.scores.find_threshold` on calibration ``threshold`` with ``threshold_low`` and
    ``threshold_high``, ``estimate``, ``bound``, ``recall``, ``n_accepted``; of
    :func:`mmgap.scores.threshold_transfer` on test ``observed`` with ``ci_low`` and ``ci_high``,
    ``observed_recall``, ``reached``; and ``reason`` where no score reaches the target or the leg's
    pairs are not of both kinds (the other numbers are NaN then).

    The legs' thresholds differ, which is the gap seen from the user's side. Vectors are of one
    encoder and of different queries, else MmgapError. Precision moves with the number of
    non-relevant documents, so that a larger pool misses its target; the false positive rate does
    not depend on it.
    """
    import pandas as pd

    from mmgap.scores.thresholds import check_target, find_threshold, threshold_transfer

    measure, target = check_target(precision, false_positive_rate, confidence)
    _check_apart(calibration, test)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for leg in calibration.filled_legs:
        row: dict[str, Any] = {"leg": leg, "measure": measure, "target": target}
        row |= dict.fromkeys(_FOUND) | {"n_accepted": 0} | dict.fromkeys(_OBSERVED)
        row |= {"reached": None, "reason": _lack(calibration, leg)}
        rows.append(row)
        if row["reason"]:
            continue
        found = find_threshold(
            *leg_pairs(calibration, leg),
            precision=precision,
            false_positive_rate=false_positive_rate,
            confidence=confidence,
            n_resamples=n_resamples,
            rng=rng,
        )
        values = found.value, found.low, found.high, found.estimate, found.bound, found.recall
        row |= dict(zip(_FOUND, values, strict=True)) | {"n_accepted": found.n_accepted}
        row["reason"] = found.reason or _lack(test, leg)
        if not row["reason"]:
            there = threshold_transfer(
                found, {"test": leg_pairs(test, leg)}, n_resamples=n_resamples, rng=rng
            ).iloc[0]
            row |= {name: there[name] for name in ("observed", "ci_low", "ci_high", "reached")}
            row["observed_recall"] = there["recall"]
    return pd.DataFrame(rows).astype(dict.fromkeys((*_FOUND, *_OBSERVED), float))


def _lack(vectors: Vectors, leg: str) -> str:
    """Why a leg has no threshold whatever the target; empty where it may have one."""
    if leg not in vectors.filled_legs:
        return f"{vectors.corpus.name!r} has no {leg}"
    scores, relevant = leg_pairs(vectors, leg)
    there = relevant[~np.isnan(scores)]
    if there.any() or not relevant.any():
        return lacking_kind(there)
    return (
        f"queries of {vectors.corpus.name!r} are not compared with the {leg}s that answer them, "
        f"their own source; a {leg} threshold needs queries of another source"
    )


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
            f"{len(shared)} queries are in both parts, {min(shared)!r} among them; judged by the "
            "queries it was found on, a threshold looks better than it is"
        )
        raise MmgapError(msg)
