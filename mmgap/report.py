"""The whole flow in one call: corpora x encoders -> score distributions and recall tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmgap.corpus.reading import OnError
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder
from mmgap.errors import MmgapError
from mmgap.evaluation import recall_table
from mmgap.index import embed
from mmgap.index.vectors import Vectors
from mmgap.strategies import TRIVIAL, Strategy, run_strategies
from mmgap.strategies.distributions import distribution_frame

if TYPE_CHECKING:
    import pandas as pd

GROUPINGS = ("query_class", "phrasing", "domain")
"""Query metadata by which the report splits recall, where a corpus has it."""


@dataclass(frozen=True)
class Report:
    """Two tidy tables that begin with corpus and encoder.

    ``recall`` goes on with strategy, group_by (``"all"`` for all queries together), group, and the
    columns of :func:`mmgap.evaluation.recall_table`; ``distributions`` with those of
    ``ScoreDistributions.to_frame()``. ``recall`` is empty where there are no judgments.
    """

    recall: pd.DataFrame
    distributions: pd.DataFrame

    def write(self, folder: Path) -> list[Path]:
        """Write ``recall.csv`` and ``distributions.csv`` into ``folder``; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        both = {"recall": self.recall, "distributions": self.distributions}
        tables = {name: table for name, table in both.items() if len(table)}
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        return [folder / f"{name}.csv" for name in tables]


def report(
    corpora: Sequence[Corpus],
    encoders: Iterable[Encoder | None],
    strategies: Sequence[Strategy] = TRIVIAL,
    *,
    k: int = 10,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Report:
    """Embed every corpus with every encoder (cached), then measure.

    A generator of encoders keeps only one in memory; None stands for ready-made vectors. Of an
    encoder that reads text only, strategies with an image leg are left out with a
    ``MissingLegWarning``.
    """
    import pandas as pd

    recalls, distributions = [], []
    for encoder in encoders:
        for corpus in corpora:
            vectors = embed(corpus, encoder, on_error=on_error, progress=progress)
            names = {"corpus": corpus.name, "encoder": vectors.encoder.id}
            if len(corpus.qrels):
                recalls.append(grouped_recall(vectors, strategies, k=k).assign(**names))
            distributions.append(distribution_frame(vectors).assign(**names))
    recall = _names_first(pd.concat(recalls)) if recalls else pd.DataFrame()
    return Report(recall, _names_first(pd.concat(distributions)))


def groups_of(corpus: Corpus, by: str) -> pd.Series:
    """Return the field of the queries that groups them; those without it are one more group."""
    queries = corpus.query_frame()
    if by not in queries:
        fields = ", ".join(str(column) for column in queries if column != "text") or "none"
        msg = f"queries of {corpus.name!r} have no field {by!r}; they have: {fields}"
        raise MmgapError(msg)
    return queries[by].fillna(f"no {by}")


def grouped_recall(
    vectors: Vectors, strategies: Sequence[Strategy] = TRIVIAL, *, k: int = 10
) -> pd.DataFrame:
    """Recall table over all queries, and by each of ``GROUPINGS`` that the queries carry."""
    import pandas as pd

    runs = run_strategies(vectors, strategies, cut_off=k)
    queries = vectors.corpus.query_frame()
    everyone = pd.Series("all", index=queries.index)
    tables = []
    for name in ("all", *(each for each in GROUPINGS if each in queries)):
        groups = everyone if name == "all" else groups_of(vectors.corpus, name)
        table = recall_table(runs, vectors.corpus.qrels, k=k, by=groups.rename("group"))
        table.insert(1, "group_by", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _names_first(table: pd.DataFrame) -> pd.DataFrame:
    first = ["corpus", "encoder"]
    return table[first + [column for column in table if column not in first]]
