"""The scores of both modalities: where they lie and how to bring them onto one scale."""

from mmgap.scores.distributions import (
    QUANTILES,
    ScoreDistributions,
    ScoreSample,
    dominance,
    dominance_by_query,
    dominance_over_relevant,
    ks_distance,
    modality_share,
    overlap,
    score_distributions,
)

__all__ = [
    "QUANTILES",
    "ScoreDistributions",
    "ScoreSample",
    "dominance",
    "dominance_by_query",
    "dominance_over_relevant",
    "ks_distance",
    "modality_share",
    "overlap",
    "score_distributions",
]
