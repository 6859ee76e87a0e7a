"""How good a run is: measures that know ties, intervals, tables."""

from mmgap.evaluation.differences import difference_table
from mmgap.evaluation.measures import OverTies, evaluate, hit, mrr, ndcg, recall, tied_at
from mmgap.evaluation.runs import Run
from mmgap.evaluation.significance import bootstrap_interval
from mmgap.evaluation.table import format_table, recall_table
from mmgap.evaluation.verdict import verdict

__all__ = [
    "OverTies",
    "Run",
    "bootstrap_interval",
    "difference_table",
    "evaluate",
    "format_table",
    "hit",
    "mrr",
    "ndcg",
    "recall",
    "recall_table",
    "tied_at",
    "verdict",
]
