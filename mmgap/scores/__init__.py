"""The scores of both modalities: where they lie and how to bring them onto one scale."""

from mmgap.scores.decomposition import CAUSES, MergeLoss, decompose_merge_loss
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
from mmgap.scores.quantile_map import QuantileMap, quantile_map
from mmgap.scores.rank_inflation import RankInflation, rank_inflation
from mmgap.scores.relevance_by_score import RelevanceByScore, RelevanceShare, relevance_by_score
from mmgap.scores.streaming import GRID_STEP, stream_score_distributions
from mmgap.scores.wrong_modality import FirstHit, wrong_modality

__all__ = [
    "CAUSES",
    "GRID_STEP",
    "QUANTILES",
    "FirstHit",
    "MergeLoss",
    "QuantileMap",
    "RankInflation",
    "RelevanceByScore",
    "RelevanceShare",
    "ScoreDistributions",
    "ScoreSample",
    "decompose_merge_loss",
    "dominance",
    "dominance_by_query",
    "dominance_over_relevant",
    "ks_distance",
    "modality_share",
    "overlap",
    "quantile_map",
    "rank_inflation",
    "relevance_by_score",
    "score_distributions",
    "stream_score_distributions",
    "wrong_modality",
]
