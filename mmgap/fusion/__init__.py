"""From two legs' scores to one ranking."""

from mmgap.fusion.combine import (
    COMBINERS,
    comb_max,
    comb_mean,
    comb_min,
    comb_sum,
    comb_weighted,
    ranks,
    reciprocal_rank_fusion,
)

__all__ = [
    "COMBINERS",
    "comb_max",
    "comb_mean",
    "comb_min",
    "comb_sum",
    "comb_weighted",
    "ranks",
    "reciprocal_rank_fusion",
]
