"""The scores of both modalities: where they lie and how to bring them onto one scale.

``mmgap.scores.normalise`` and ``mmgap.scores.calibrate`` hold the estimators.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmgap.scores.decomposition import CAUSES, MergeLoss, decompose_merge_loss
from mmgap.scores.distributions import (
    QUANTILES,
    ScoreDistributions,
    ScoreSample,
    dominance,
    dominance_by_query,
    dominance_over_relevant,
    ks_distance,
    modality_fraction,
    overlap,
    score_distributions,
)
from mmgap.scores.quantile_map import QuantileMap, quantile_map
from mmgap.scores.rank_inflation import RankInflation, rank_inflation
from mmgap.scores.relevance_by_score import RelevanceByScore, RelevanceShare, relevance_by_score
from mmgap.scores.streaming import GRID_STEP, stream_score_distributions
from mmgap.scores.wilson import wilson_interval
from mmgap.scores.wrong_modality import FirstHit, wrong_modality

if TYPE_CHECKING:
    from mmgap.scores import calibrate, normalise
    from mmgap.scores.reliability import (
        CalibrationError,
        brier_score,
        calibration_error,
        reliability_table,
    )
    from mmgap.scores.threshold import Threshold, find_threshold
    from mmgap.scores.transfer import calibrator_transfer, threshold_transfer

__all__ = [
    "CAUSES",
    "GRID_STEP",
    "QUANTILES",
    "CalibrationError",
    "FirstHit",
    "MergeLoss",
    "QuantileMap",
    "RankInflation",
    "RelevanceByScore",
    "RelevanceShare",
    "ScoreDistributions",
    "ScoreSample",
    "Threshold",
    "brier_score",
    "calibrate",
    "calibration_error",
    "calibrator_transfer",
    "decompose_merge_loss",
    "dominance",
    "dominance_by_query",
    "dominance_over_relevant",
    "find_threshold",
    "ks_distance",
    "modality_fraction",
    "normalise",
    "overlap",
    "quantile_map",
    "rank_inflation",
    "relevance_by_score",
    "reliability_table",
    "score_distributions",
    "stream_score_distributions",
    "threshold_transfer",
    "wilson_interval",
    "wrong_modality",
]

# These need scikit-learn or scipy.stats, which take seconds to import.
_HOME = {
    "CalibrationError": "reliability",
    "Threshold": "threshold",
    "brier_score": "reliability",
    "calibration_error": "reliability",
    "calibrator_transfer": "transfer",
    "find_threshold": "threshold",
    "reliability_table": "reliability",
    "threshold_transfer": "transfer",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in {"calibrate", "normalise"}:
        value = import_module(f"{__name__}.{name}")
    else:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value
