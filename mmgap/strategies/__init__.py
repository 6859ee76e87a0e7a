"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmgap.strategies.advising.advice import Advice, format_advice
from mmgap.strategies.advising.advise import advise
from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.cost import (
    best_by_budget,
    break_even,
    cost_frame,
    cost_table,
    embedding_ms,
    equal_cost_strategies,
    family_of,
    pareto_front,
)
from mmgap.strategies.distributions import (
    merged_text_fraction,
    relevance,
    score_contrasts,
    score_distributions,
    score_pairs,
)
from mmgap.strategies.first_stage import find_pool, first_stage, margin_threshold, margins
from mmgap.strategies.gap_report import GapReport, gap_report
from mmgap.strategies.label_budget import label_budget
from mmgap.strategies.leaderboard import format_leaderboard, leaderboard
from mmgap.strategies.method import FittedMethod, Method
from mmgap.strategies.open_points import OPEN_POINTS, OpenPoint, open_points
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pair_store import PairStore
from mmgap.strategies.pool import Pool
from mmgap.strategies.probe import (
    format_probe,
    halve_pairs,
    one_entry_per_modality,
    probe_table,
    worse_direction,
)
from mmgap.strategies.rerank import CostedRun, run_two_stage
from mmgap.strategies.run import run_strategies
from mmgap.strategies.seed_table import (
    PUBLISHED,
    SEED_TABLE,
    cut_texts,
    format_seed_table,
    seed_strategies,
    seed_table,
)
from mmgap.strategies.split import split_queries
from mmgap.strategies.strategy import TRIVIAL, Strategy
from mmgap.strategies.thresholds import threshold_table
from mmgap.strategies.two_stage import TwoStage
from mmgap.strategies.verdict import (
    VERDICT_FAMILIES,
    HeldOut,
    choose_best,
    family_verdicts,
    held_out,
    recommended_family,
    run_candidates,
    verdict_family,
    verdict_sentences,
)

if TYPE_CHECKING:
    from mmgap.strategies.methods import METHODS
    from mmgap.strategies.probe_methods import PROBE_METHODS

__all__ = [
    "METHODS",
    "OPEN_POINTS",
    "PROBE_METHODS",
    "PUBLISHED",
    "SEED_TABLE",
    "TRIVIAL",
    "VERDICT_FAMILIES",
    "Advice",
    "Candidates",
    "CostedRun",
    "FittedMethod",
    "GapReport",
    "HeldOut",
    "Method",
    "OpenPoint",
    "PairScorer",
    "PairStore",
    "Pool",
    "Strategy",
    "TwoStage",
    "advise",
    "best_by_budget",
    "break_even",
    "choose_best",
    "cost_frame",
    "cost_table",
    "cut_texts",
    "embedding_ms",
    "equal_cost_strategies",
    "family_of",
    "family_verdicts",
    "find_candidates",
    "find_pool",
    "first_stage",
    "format_advice",
    "format_leaderboard",
    "format_probe",
    "format_seed_table",
    "gap_report",
    "halve_pairs",
    "held_out",
    "label_budget",
    "leaderboard",
    "margin_threshold",
    "margins",
    "merged_text_fraction",
    "one_entry_per_modality",
    "open_points",
    "pareto_front",
    "probe_table",
    "recommended_family",
    "relevance",
    "run_candidates",
    "run_strategies",
    "run_two_stage",
    "score_contrasts",
    "score_distributions",
    "score_pairs",
    "seed_strategies",
    "seed_table",
    "split_queries",
    "threshold_table",
    "verdict_family",
    "verdict_sentences",
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
