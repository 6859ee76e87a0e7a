"""The scores of both modalities: where they lie and how to bring them onto one scale.

``distributions`` compares them, ``normalise`` and ``calibrate`` hold the estimators,
``reliability`` judges probabilities, ``thresholds`` says below which score to reject,
``decomposition`` what a merge by raw score loses, and to what. Plain arrays in; relevance is bool,
or a grade of 1 or more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmgap.scores.decomposition import CAUSES, MergeLoss, decompose_merge_loss
from mmgap.scores.distributions import (
    QUANTILES,
    FirstHit,
    RankInflation,
    ScoreDistributions,
    ScoreSample,
    dominance,
    dominance_by_query,
    ks_distance,
    modality_fraction,
    overlap,
    rank_inflation,
    score_distributions,
    wrong_modality,
)

if TYPE_CHECKING:
    from mmgap.scores import calibrate, normalise
    from mmgap.scores.reliability import (
        CalibrationError,
        brier_score,
        calibration_error,
        calibrator_transfer,
        reliability_table,
    )
    from mmgap.scores.thresholds import (
        Threshold,
        find_threshold,
        threshold_curve,
        threshold_transfer,
    )

__all__ = [
    "CAUSES",
    "QUANTILES",
    "CalibrationError",
    "FirstHit",
    "MergeLoss",
    "RankInflation",
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
    "find_threshold",
    "ks_distance",
    "modality_fraction",
    "normalise",
    "overlap",
    "rank_inflation",
    "reliability_table",
    "score_distributions",
    "threshold_curve",
    "threshold_transfer",
    "wrong_modality",
]

# These need scikit-learn or scipy.stats, which take seconds to import.
_LATER = {
    "reliability": (
        *("CalibrationError", "brier_score", "calibration_error", "calibrator_transfer"),
        "reliability_table",
    ),
    "thresholds": ("Threshold", "find_threshold", "threshold_curve", "threshold_transfer"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in {"calibrate", "normalise"}:
        return import_module(f"{__name__}.{name}")
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
