"""The whole flow in one call: corpora x encoders -> score distributions and recall tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmgap.corpus.files import OnError
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder
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
    """What :func:`report` found.

    Parameters
    ----------
    recall : DataFrame
        Tidy: corpus, encoder, strategy, group_by, group, then the columns of
        :func:`mmgap.evaluation.recall_table`. ``group_by`` is ``"all"`` for all queries together.
    distributions : DataFrame
        Tidy: corpus, encoder, then the columns of ``ScoreDistributions.to_frame()``. An encoder
        that reads text only has its text samples there and no comparison.
    """

    recall: pd.DataFrame
    distributions: pd.DataFrame

    def write(self, folder: Path) -> list[Path]:
        """Write ``recall.csv`` and ``distributions.csv`` into ``folder``; return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name in ("recall", "distributions"):
            path = folder / f"{name}.csv"
            getattr(self, name).to_csv(path, index=False, float_format="%.6g")
            written.append(path)
        return written


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

    Parameters
    ----------
    corpora : sequence of Corpus
    encoders : iterable of Encoder or None
        Used one after the other, so a generator keeps only one in memory. None for a
        ``FeatureCorpus``, which holds its vectors already.
    strategies : sequence of Strategy, default TRIVIAL
        Those that need the image leg are left out for an encoder that reads text only, with a
        ``MissingLegWarning``.
    k : int, default 10
        Cut-off of recall, hit and nDCG.
    on_error : {"raise", "skip"}, default "raise"
        What a picture that cannot be read does, as in :func:`mmgap.embed`.
    progress : bool, default True
        Show progress bars where there is a terminal or a notebook.
    """
    import pandas as pd

    recalls, distributions = [], []
    for encoder in encoders:
        for corpus in corpora:
            vectors = embed(corpus, encoder, on_error=on_error, progress=progress)
            names = {"corpus": corpus.name, "encoder": vectors.encoder.id}
            recalls.append(grouped_recall(vectors, strategies, k=k).assign(**names))
            distributions.append(distribution_frame(vectors).assign(**names))
    return Report(*(_names_first(pd.concat(frames)) for frames in (recalls, distributions)))


def grouped_recall(
    vectors: Vectors, strategies: Sequence[Strategy] = TRIVIAL, *, k: int = 10
) -> pd.DataFrame:
    """Recall table over all queries, and by each of ``GROUPINGS`` that the queries carry."""
    import pandas as pd

    runs = run_strategies(vectors, strategies, cut_off=k)
    queries = vectors.corpus.query_frame().assign(all="all")
    tables = []
    for grouping in ("all", *GROUPINGS):
        if grouping not in queries:
            continue
        groups = queries[grouping].rename("group")
        table = recall_table(runs, vectors.corpus.qrels, k=k, by=groups)
        table.insert(1, "group_by", grouping)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _names_first(table: pd.DataFrame) -> pd.DataFrame:
    first = ["corpus", "encoder"]
    return table[first + [column for column in table if column not in first]]
