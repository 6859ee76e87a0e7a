"""From several legs' scores to one ranking.

``mmgap.fusion.engines`` holds what search engines do under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.fusion.combine import (
    comb_gmnz,
    comb_max,
    comb_mean,
    comb_med,
    comb_min,
    comb_mnz,
    comb_sum,
    comb_weighted,
    weighted_mnz,
    weighted_root,
    weighted_sum,
)
from mmgap.fusion.ranks import (
    borda,
    condorcet,
    isr,
    log_isr,
    logn_isr,
    ranks,
    rbc,
    reciprocal_rank_fusion,
)

if TYPE_CHECKING:
    from mmgap.fusion.learned import (
        AdaptiveWeights,
        ConvexCombination,
        LogisticFusion,
        PositionFusion,
        list_features,
        log_odds_conjunction,
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

__all__ = [
    "COMBINERS",
    "FUSIONS",
    "RANK_FUSIONS",
    "AdaptiveWeights",
    "ConvexCombination",
    "LogisticFusion",
    "PositionFusion",
    "borda",
    "comb_gmnz",
    "comb_max",
    "comb_mean",
    "comb_med",
    "comb_min",
    "comb_mnz",
    "comb_sum",
    "comb_weighted",
    "condorcet",
    "isr",
    "list_features",
    "log_isr",
    "log_odds_conjunction",
    "logn_isr",
    "ranks",
    "rbc",
    "reciprocal_rank_fusion",
    "weighted_mnz",
    "weighted_root",
    "weighted_sum",
]

# These need scikit-learn, which takes more than a second to import.
_LEARNED = {
    "AdaptiveWeights",
    "ConvexCombination",
    "LogisticFusion",
    "PositionFusion",
    "list_features",
    "log_odds_conjunction",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _LEARNED:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.learned"), name)
    globals()[name] = value
    return value
