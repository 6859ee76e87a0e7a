"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmgap.strategies.advising.advice import Advice, format_advice
from mmgap.strategies.advising.advise import advise
from mmgap.strategies.candidates import (
    Candidates,
    Pool,
    list_candidates,
    query_folds,
    split_queries,
    take_queries,
)
from mmgap.strategies.catalogue import (
    FAMILIES,
    PUBLISHED,
    PUBLISHED_MODELS,
    PUBLISHED_SOURCE,
    TRIVIAL,
    TWO_STAGE,
    raw_merge,
    two_stage_strategies,
)
from mmgap.strategies.distributions import (
    merged_text_fraction,
    relevance,
    score_contrasts,
    score_distributions,
    score_pairs,
)
from mmgap.strategies.gap_report import GapReport, gap_report
from mmgap.strategies.judge import Judged, judge, run_strategies
from mmgap.strategies.probe import (
    format_probe,
    halve_pairs,
    one_entry_per_modality,
    probe_table,
    worse_direction,
)
from mmgap.strategies.rerank import PairScorer, Rerank
from mmgap.strategies.strategy import (
    BestLeg,
    CostedRun,
    FittedStrategy,
    Strategy,
    margin_threshold,
)
from mmgap.strategies.tables import (
    UNREPORTED_SETTINGS,
    best_by_budget,
    break_even,
    check_options,
    cost_table,
    cut_texts,
    embedding_ms,
    format_leaderboard,
    format_two_stage_table,
    label_budget,
    leaderboard,
    pareto_front,
    two_stage_table,
    unreported_settings,
)
from mmgap.strategies.thresholds import threshold_table
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
    from mmgap.strategies.probe_methods import PROBE_METHODS

    METHODS: dict[str, Strategy]

__all__ = [
    "FAMILIES",
    "METHODS",
    "PROBE_METHODS",
    "PUBLISHED",
    "PUBLISHED_MODELS",
    "PUBLISHED_SOURCE",
    "TRIVIAL",
    "TWO_STAGE",
    "UNREPORTED_SETTINGS",
    "VERDICT_FAMILIES",
    "Advice",
    "BestLeg",
    "Candidates",
    "CostedRun",
    "FittedStrategy",
    "GapReport",
    "HeldOut",
    "Judged",
    "PairScorer",
    "Pool",
    "Rerank",
    "Strategy",
    "advise",
    "best_by_budget",
    "break_even",
    "check_options",
    "choose_best",
    "cost_table",
    "cut_texts",
    "embedding_ms",
    "family_verdicts",
    "format_advice",
    "format_leaderboard",
    "format_probe",
    "format_two_stage_table",
    "gap_report",
    "halve_pairs",
    "held_out",
    "judge",
    "label_budget",
    "leaderboard",
    "list_candidates",
    "margin_threshold",
    "merged_text_fraction",
    "one_entry_per_modality",
    "pareto_front",
    "probe_table",
    "query_folds",
    "raw_merge",
    "recommended_family",
    "relevance",
    "run_candidates",
    "run_strategies",
    "score_contrasts",
    "score_distributions",
    "score_pairs",
    "split_queries",
    "take_queries",
    "threshold_table",
    "two_stage_strategies",
    "two_stage_table",
    "unreported_settings",
    "verdict_family",
    "verdict_sentences",
    "worse_direction",
]


def __getattr__(name: str) -> Any:
    """Build the registries of methods when they are first used: they need scikit-learn."""
    if name == "METHODS":
        from mmgap.strategies.catalogue import METHODS as found
    elif name == "PROBE_METHODS":
        from mmgap.strategies.probe_methods import PROBE_METHODS as found  # type: ignore[assignment]
    else:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = found
    return found
