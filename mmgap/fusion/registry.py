"""Fusions by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmgap.fusion.comb import comb_anz, comb_max, comb_mean, comb_med, comb_min, comb_mnz, comb_sum
from mmgap.fusion.rank_fusion import (
    borda,
    condorcet,
    isr,
    log_isr,
    logn_isr,
    rbc,
    reciprocal_rank_fusion,
)

COMBINERS: dict[str, Callable[..., np.ndarray]] = {
    "max": comb_max,
    "min": comb_min,
    "sum": comb_sum,
    "mean": comb_mean,
    "rrf": reciprocal_rank_fusion,
}
"""Combiners by the name that strategies use."""

FUSIONS: dict[str, Callable[..., np.ndarray]] = {
    **COMBINERS,
    "med": comb_med,
    "anz": comb_anz,
    "mnz": comb_mnz,
    "isr": isr,
    "log_isr": log_isr,
    "logn_isr": logn_isr,
    "rbc": rbc,
    "borda": borda,
    "condorcet": condorcet,
}
"""All fusions that need nothing but the legs' scores, by name."""

RANK_FUSIONS = frozenset({"rrf", "isr", "log_isr", "logn_isr", "rbc", "borda", "condorcet"})
"""Names in :data:`FUSIONS` that look at ranks alone.

Ranks exist only for what a leg itself returned: give these NaN for a document whose score was
looked up afterwards.
"""
