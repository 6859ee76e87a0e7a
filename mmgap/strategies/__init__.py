"""Where sources and science meet: vectors in, candidate lists, runs and distributions out."""

from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.contrasts import score_contrasts
from mmgap.strategies.distributions import merged_text_share, relevance, score_distributions
from mmgap.strategies.gap_report import GapReport, gap_report
from mmgap.strategies.run import run_strategies
from mmgap.strategies.strategy import TRIVIAL, Strategy
from mmgap.strategies.thresholds import threshold_table

__all__ = [
    "TRIVIAL",
    "Candidates",
    "GapReport",
    "Strategy",
    "find_candidates",
    "gap_report",
    "merged_text_share",
    "relevance",
    "run_strategies",
    "score_contrasts",
    "score_distributions",
    "threshold_table",
]
