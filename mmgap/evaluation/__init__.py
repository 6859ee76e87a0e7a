"""How good a run is: measures that know ties, intervals, tests, tables, files of others."""

from mmgap.evaluation.measures import (
    OverTies,
    TieGroups,
    average_precision,
    expected_measure,
    hit,
    mrr,
    ndcg,
    parse_measure,
    recall,
    tied_at,
)
from mmgap.evaluation.runs import (
    Run,
    as_qrels,
    as_run,
    read_qrels,
    read_run,
    scored_docs,
    write_qrels,
    write_run,
)
from mmgap.evaluation.significance import (
    bootstrap_interval,
    differs,
    effect_size,
    holm,
    randomisation_test,
    verdict,
)
from mmgap.evaluation.tables import difference_table, evaluate, format_table, recall_table

__all__ = [
    "OverTies",
    "Run",
    "TieGroups",
    "as_qrels",
    "as_run",
    "average_precision",
    "bootstrap_interval",
    "difference_table",
    "differs",
    "effect_size",
    "evaluate",
    "expected_measure",
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
