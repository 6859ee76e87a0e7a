"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.contrasts import score_contrasts
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
from mmgap.strategies.distributions import merged_text_share, relevance, score_distributions
from mmgap.strategies.first_stage import find_pool, first_stage, margin_threshold, margins
from mmgap.strategies.gap_report import GapReport, gap_report
from mmgap.strategies.open_points import OPEN_POINTS, OpenPoint, open_points
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pair_store import PairStore
from mmgap.strategies.rerank import CostedRun, run_two_stage
from mmgap.strategies.run import run_strategies
from mmgap.strategies.score_pairs import score_pairs
from mmgap.strategies.seed_table import (
    PUBLISHED,
    SEED_TABLE,
    cut_texts,
    format_seed_table,
    seed_strategies,
    seed_table,
)
from mmgap.strategies.strategy import TRIVIAL, Strategy
from mmgap.strategies.two_stage import TwoStage

__all__ = [
    "OPEN_POINTS",
    "PUBLISHED",
    "SEED_TABLE",
    "TRIVIAL",
    "Candidates",
    "CostedRun",
    "GapReport",
    "OpenPoint",
    "PairScorer",
    "PairStore",
    "Strategy",
    "TwoStage",
    "best_by_budget",
    "break_even",
    "cost_frame",
    "cost_table",
    "cut_texts",
    "embedding_ms",
    "equal_cost_strategies",
    "family_of",
    "find_candidates",
    "find_pool",
    "first_stage",
    "format_seed_table",
    "gap_report",
    "margin_threshold",
    "margins",
    "merged_text_share",
    "open_points",
    "pareto_front",
    "relevance",
    "run_strategies",
    "run_two_stage",
    "score_contrasts",
    "score_distributions",
    "score_pairs",
    "seed_strategies",
    "seed_table",
]
