"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmgap.strategies.advise import Advice, advise, format_advice
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
from mmgap.strategies.labels import label_budget
from mmgap.strategies.mixed_index import (
    MixedIndex,
    format_single_modality,
    halve_pairs,
    judge_entries,
    one_entry_per_modality,
    rank_mixed_documents,
    rescale_legs,
    single_modality_strategies,
    single_modality_table,
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
    leaderboard,
    pareto_front,
    two_stage_table,
    unreported_settings,
)
from mmgap.strategies.thresholds import threshold_table
from mmgap.strategies.verdict import (
    VERDICT_FAMILIES,
    choose_best,
    family_verdicts,
    recommended_family,
    verdict_family,
    verdict_sentences,
)

if TYPE_CHECKING:
    METHODS: dict[str, Strategy]

__all__ = [
    "FAMILIES",
    "METHODS",
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
    "Judged",
    "MixedIndex",
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
    "format_single_modality",
    "format_two_stage_table",
    "gap_report",
    "halve_pairs",
    "judge",
    "judge_entries",
    "label_budget",
    "leaderboard",
    "list_candidates",
    "margin_threshold",
    "merged_text_fraction",
    "one_entry_per_modality",
    "pareto_front",
    "query_folds",
    "rank_mixed_documents",
    "raw_merge",
    "recommended_family",
    "relevance",
    "rescale_legs",
    "run_strategies",
    "score_contrasts",
    "score_distributions",
    "score_pairs",
    "single_modality_strategies",
    "single_modality_table",
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
    """Build the registry of methods when it is first used: it needs scikit-learn."""
    if name != "METHODS":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from mmgap.strategies.catalogue import METHODS

    globals()[name] = METHODS
    return METHODS
