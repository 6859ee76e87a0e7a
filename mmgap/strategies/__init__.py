"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.contrasts import score_contrasts
from mmgap.strategies.distributions import merged_text_share, relevance, score_distributions
from mmgap.strategies.gap_report import GapReport, gap_report
from mmgap.strategies.label_budget import label_budget
from mmgap.strategies.leaderboard import format_leaderboard, leaderboard
from mmgap.strategies.method import FittedMethod, Method
from mmgap.strategies.pool import Pool
from mmgap.strategies.probe import (
    format_probe,
    halve_pairs,
    one_entry_per_modality,
    probe_table,
    worse_direction,
)
from mmgap.strategies.run import run_strategies
from mmgap.strategies.split import split_queries
from mmgap.strategies.strategy import TRIVIAL, Strategy
from mmgap.strategies.thresholds import threshold_table

if TYPE_CHECKING:
    from mmgap.strategies.methods import METHODS
    from mmgap.strategies.probe_methods import PROBE_METHODS

__all__ = [
    "METHODS",
    "PROBE_METHODS",
    "TRIVIAL",
    "Candidates",
    "FittedMethod",
    "GapReport",
    "Method",
    "Pool",
    "Strategy",
    "find_candidates",
    "format_leaderboard",
    "format_probe",
    "gap_report",
    "halve_pairs",
    "label_budget",
    "leaderboard",
    "merged_text_share",
    "one_entry_per_modality",
    "probe_table",
    "relevance",
    "run_strategies",
    "score_contrasts",
    "score_distributions",
    "split_queries",
    "threshold_table",
    "worse_direction",
]


def __getattr__(name: str) -> Any:
    """Build the registries of methods when they are first used: they need scikit-learn."""
    if name == "METHODS":
        from mmgap.strategies.methods import METHODS as found
    elif name == "PROBE_METHODS":
        from mmgap.strategies.probe_methods import PROBE_METHODS as found  # type: ignore[assignment]
    else:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = found
    return found
