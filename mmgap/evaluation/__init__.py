"""How good a run is: measures that know ties, intervals, tests, tables, files of others."""

from mmgap.evaluation.differences import difference_table
from mmgap.evaluation.exchange import (
    as_qrels,
    as_run,
    read_qrels,
    read_run,
    scored_docs,
    write_qrels,
    write_run,
)
from mmgap.evaluation.measures import (
    average_precision,
    evaluate,
    hit,
    mrr,
    ndcg,
    parse_measure,
    recall,
    tied_at,
)
from mmgap.evaluation.runs import Run
from mmgap.evaluation.significance import (
    bootstrap_interval,
    effect_size,
    holm,
    randomisation_test,
)
from mmgap.evaluation.table import format_table, recall_table
from mmgap.evaluation.tie_detector import (
    TieReport,
    TieWarning,
    decided_by_ties,
    detect_ties,
    detect_ties_in_runs,
    detect_ties_in_table,
)
from mmgap.evaluation.tie_groups import OverTies, TieGroups
from mmgap.evaluation.verdict import verdict

__all__ = [
    "OverTies",
    "Run",
    "TieGroups",
    "TieReport",
    "TieWarning",
    "as_qrels",
    "as_run",
    "average_precision",
    "bootstrap_interval",
    "decided_by_ties",
    "detect_ties",
    "detect_ties_in_runs",
    "detect_ties_in_table",
    "difference_table",
    "effect_size",
    "evaluate",
    "format_table",
    "hit",
    "holm",
    "mrr",
    "ndcg",
    "parse_measure",
    "randomisation_test",
    "read_qrels",
    "read_run",
    "recall",
    "recall_table",
    "scored_docs",
    "tied_at",
    "verdict",
    "write_qrels",
    "write_run",
]
