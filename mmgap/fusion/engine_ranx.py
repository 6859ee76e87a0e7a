"""What ranx returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.comb import comb_anz, comb_gmnz, comb_max, comb_med, comb_min, comb_mnz, comb_sum
from mmgap.fusion.linear import weighted_mnz, weighted_root, weighted_sum
from mmgap.fusion.rank_fusion import (
    borda,
    condorcet,
    isr,
    log_isr,
    logn_isr,
    rbc,
    reciprocal_rank_fusion,
)
from mmgap.fusion.ranked_lists import Ranked, RankedLists

BY_SCORE: dict[str, Callable[..., np.ndarray]] = {
    "max": comb_max,
    "min": comb_min,
    "med": comb_med,
    "sum": comb_sum,
    "anz": comb_anz,
    "mnz": comb_mnz,
    "gmnz": comb_gmnz,
    "wsum": weighted_sum,
    "wmnz": weighted_mnz,
    "mixed": weighted_root,
}
BY_RANK: dict[str, Callable[..., np.ndarray]] = {
    "isr": isr,
    "log_isr": log_isr,
    "logn_isr": logn_isr,
    "rrf": reciprocal_rank_fusion,
    "rbc": rbc,
    "bordafuse": borda,
    "w_bordafuse": borda,
    "condorcet": condorcet,
    "w_condorcet": condorcet,
}
NORMS = (None, "min-max", "min-max-inverted", "max", "sum", "zmuv", "rank", "borda")
TINY = 1e-9
"""Below this ranx lets no denominator fall."""


def ranx_fuse(
    *lists: Ranked, norm: str | None = "min-max", method: str = "wsum", **params: Any
) -> Ranked:
    """Return what ``ranx.fuse`` does, for all its methods that need no training.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
    norm : str or None, default "min-max"
        ``min-max``, ``min-max-inverted``, ``max``, ``sum``, ``zmuv``, ``rank``, ``borda`` or None.
        Statistics are those of each list; denominators are kept above 1e-9, so that equal scores
        become 0 (``max``: a list whose best score is not positive is divided by 1e-9).
    method : str, default "wsum"
        ``max min med sum anz mnz gmnz wsum wmnz mixed isr log_isr logn_isr rrf rbc bordafuse
        w_bordafuse condorcet w_condorcet``. The trained ones are :class:`PositionFusion`.
    **params
        As in ranx: ``weights``, ``gamma``, ``sigma``, ``k``, ``phi``.

    Returns
    -------
    scores : dict or ndarray
        In ``wsum`` and ``sum`` a missing document counts 0: under ``zmuv`` it beats every
        retrieved one below the mean. ``log_isr`` gives 0 to all documents that one list alone has.
        ``condorcet`` here counts wins where ranx numbers the places of one order; see
        :func:`condorcet`.

    Raises
    ------
    ValueError
        If a name is unknown, lists do not fit together, or a method of ranks follows ``borda``.

    Notes
    -----
    Mirrors ``ranx/fusion/*.py`` and ``ranx/normalization/*.py`` of ranx 0.3.21. ranx breaks ties
    of a list in no stated order; here they keep the order given.

    References
    ----------
    .. [1] Bassani, "ranx.fuse: A Python Library for Metasearch", CIKM 2022.

    Examples
    --------
    The missing document c (0) beats b, which was retrieved below the mean.

    >>> ranx_fuse({"a": 3.0, "b": 1.0}, {"c": 7.0}, norm="zmuv", weights=(1, 1))
    {'a': 1.0, 'c': 0.0, 'b': -1.0}
    """
    given = RankedLists(lists)
    if method in BY_RANK:
        if norm == "borda":
            msg = (
                f"ranx ranks for {method!r} after the norm 'borda' in no stated order, so there is "
                "nothing to mirror; use another norm, which keeps the order of the lists"
            )
            raise MmgapError(msg)
        # Other norms keep the order, though they can make ties: ranks come from the list itself.
        if norm not in NORMS:
            raise _unknown_norm(norm)
        if norm == "min-max-inverted":
            legs = [-scores for scores in given.scores]
        else:
            legs = given.scores if given.doc_ids is None else [-place for place in given.places]
        fused = BY_RANK[method](*legs, **params)
    elif method in BY_SCORE:
        fused = BY_SCORE[method](*_ranx_normalise(given, norm), **params)
    else:
        known = ", ".join([*BY_SCORE, *BY_RANK])
        msg = f"unknown method {method!r}; use one of {known}, or PositionFusion for trained ones"
        raise MmgapError(msg)
    return given.back(fused)


def _ranx_normalise(given: RankedLists, norm: str | None) -> Sequence[np.ndarray]:
    if norm is None:
        return given.scores
    n_found = given.found.sum(axis=1, keepdims=True)
    parts = []
    for leg, scores in enumerate(given.scores):
        there = ~np.isnan(scores)
        n = there.sum(axis=1, keepdims=True)
        low = np.nan_to_num(np.fmin.reduce(scores, axis=1, keepdims=True, initial=np.nan))
        high = np.nan_to_num(np.fmax.reduce(scores, axis=1, keepdims=True, initial=np.nan))
        total = np.where(there, scores, 0).sum(axis=1, keepdims=True)
        match norm:
            case "min-max":
                part = (scores - low) / np.maximum(high - low, TINY)
            case "min-max-inverted":
                part = (high - scores) / np.maximum(high - low, TINY)
            case "max":
                part = scores / np.maximum(high, TINY)
            case "sum":
                part = (scores - low) / np.maximum(total - low * n, TINY)
            case "zmuv":
                mean = total / np.maximum(n, 1)
                apart = np.where(there, scores - mean, 0)
                sd = np.sqrt((apart**2).sum(axis=1, keepdims=True) / np.maximum(n, 1))
                part = (scores - mean) / np.maximum(sd, TINY)
            case "rank":
                part = 1 - given.places[leg] / np.maximum(n, 1)
            case "borda":
                unseen = 0.5 - (n - 1) / (2 * np.maximum(n_found, 1))
                part = np.where(there, 1 - given.places[leg] / np.maximum(n_found, 1), unseen)
                part = np.where(given.found, part, np.nan)
            case _:
                raise _unknown_norm(norm)
        parts.append(part)
    return parts


def _unknown_norm(norm: str) -> MmgapError:
    return MmgapError(f"unknown norm {norm!r}; ranx has {', '.join(map(str, NORMS))}")
