"""From several legs' scores to one ranking.

``mmgap.fusion.engines`` holds what search engines do under the same names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmgap.fusion.comb import (
    comb_anz,
    comb_gmnz,
    comb_max,
    comb_mean,
    comb_med,
    comb_min,
    comb_mnz,
    comb_sum,
)
from mmgap.fusion.linear import comb_weighted, weighted_mnz, weighted_root, weighted_sum
from mmgap.fusion.rank_fusion import (
    borda,
    condorcet,
    isr,
    log_isr,
    logn_isr,
    ranks,
    rbc,
    reciprocal_rank_fusion,
)
from mmgap.fusion.registry import COMBINERS, FUSIONS, RANK_FUSIONS

if TYPE_CHECKING:
    from mmgap.fusion.learned import (
        AdaptiveWeights,
        ConvexCombination,
        LogisticFusion,
        list_features,
        log_odds_conjunction,
    )
    from mmgap.fusion.positions import PositionFusion

__all__ = [
    "COMBINERS",
    "FUSIONS",
    "RANK_FUSIONS",
    "AdaptiveWeights",
    "ConvexCombination",
    "LogisticFusion",
    "PositionFusion",
    "borda",
    "comb_anz",
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
_HOME = {
    "AdaptiveWeights": "learned",
    "ConvexCombination": "learned",
    "LogisticFusion": "learned",
    "PositionFusion": "positions",
    "list_features": "learned",
    "log_odds_conjunction": "learned",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
