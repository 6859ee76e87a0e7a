"""Runs side by side: measures with intervals and the bounds that ties leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import evaluate, parse_measure, tied_at
from mmgap.evaluation.significance import bootstrap_interval

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.evaluation.runs import Run

_FIGURES = ("value", "ci_low", "ci_high", "optimistic", "pessimistic", "tied", "n")


def recall_table(
    runs: Iterable[Run],
    qrels: Mapping[str, Mapping[str, int]],
    k: int = 10,
    *,
    measures: Sequence[str] | None = None,
    by: pd.Series | pd.DataFrame | None = None,
    min_grade: float | None = None,
    tolerance: float = 0.0,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure every run on the same queries.

    Parameters
    ----------
    runs : iterable of Run
        One per strategy, with different names and the same queries.
    qrels : mapping of query id to mapping of document id to grade
    k : int, default 10
    measures : sequence of str or None, default None
        As in :func:`evaluate`; None means recall, hit and nDCG at ``k``, and MRR.
    by : Series or DataFrame indexed by query id, or None
        Splits the queries: one row per group, over all columns together. Groups come in sorted
        order (that of the categories, where they are categorical).
    min_grade, tolerance
        As in :func:`evaluate`.
    rng : numpy.random.Generator or None
        Of the bootstrap; None is ``default_rng(0)``, so that a table repeats to the digit.

    Returns
    -------
    table : DataFrame
        One row per strategy, group and measure, with the columns ``strategy``, those of ``by``,
        ``measure`` and

        - ``value``: mean over the queries, itself expected over the orders of tied documents;
        - ``ci_low``, ``ci_high``: 95 % bootstrap interval over queries;
        - ``optimistic``, ``pessimistic``: means of the best and the worst order of ties;
        - ``tied``: share of queries whose cut-off (the measure's own, else ``k``) falls inside a
          group of tied documents;
        - ``n``: number of queries.

    Raises
    ------
    ValueError
        If names repeat, runs hold different queries, or ``by`` lacks a query.

    Notes
    -----
    Ties at the cut-off are seen only in lists longer than it: keep runs deeper than ``k``. The
    table itself does not warn; ``detect_ties_in_table(table, legs)`` says in which rows ties
    decide, and where only the optimistic value beats the best single leg.

    See Also
    --------
    detect_ties_in_table : warns of what ties did.
    difference_table : tests and effect sizes against the best single leg.

    Examples
    --------
    >>> from mmgap.evaluation import Run
    >>> indices, qrels = np.array([[0, 1], [0, 1]]), {"q1": {"a": 1}, "q2": {"b": 1}}
    >>> clear = Run("clear", ["q1", "q2"], ["a", "b"], indices, np.array([[2.0, 1.0]] * 2))
    >>> tied = Run("tied", ["q1", "q2"], ["a", "b"], indices, np.ones((2, 2)))
    >>> table = recall_table([clear, tied], qrels, measures=["recall@1"])
    >>> table[["strategy", "value", "optimistic", "pessimistic", "tied", "n"]]
      strategy  value  optimistic  pessimistic  tied  n
    0    clear    0.5         0.5          0.5   0.0  2
    1     tied    0.5         1.0          0.0   1.0  2
    """
    import pandas as pd

    runs = list(runs)
    rng = np.random.default_rng(0) if rng is None else rng
    measures = measures or (f"recall@{k}", f"hit@{k}", f"ndcg@{k}", "mrr")
    query_ids = _common_queries(runs)
    group_names, groups = _groups(by, query_ids)
    figures = np.stack(
        [_figures(run, query_ids, qrels, k, measures, min_grade, tolerance) for run in runs]
    )  # (n_run, 4, n_query, n_measure): expected, optimistic, pessimistic, tied
    cells = {}
    for group, members in groups.items():
        part = figures[:, :, members]
        expected, optimistic, pessimistic, tied = np.moveaxis(part.mean(axis=2), 1, 0)
        low, high = bootstrap_interval(np.moveaxis(part[:, 0], 1, 0), rng=rng)
        for at in np.ndindex(expected.shape):
            cells[at, group] = (
                expected[at], low[at], high[at], optimistic[at], pessimistic[at], tied[at],
                len(members),
            )  # fmt: skip
    return pd.DataFrame(
        [
            (run.name, *group, measure, *cells[(row, column), group])
            for row, run in enumerate(runs)
            for group in groups
            for column, measure in enumerate(measures)
        ],
        columns=["strategy", *group_names, "measure", *_FIGURES],
    )


def format_table(table: pd.DataFrame, *, digits: int = 1) -> pd.DataFrame:
    """Lay a recall table out for reading: strategies down, measures across, values in percent.

    Parameters
    ----------
    table : DataFrame
        What :func:`recall_table` returns.
    digits : int, default 1
        Digits after the point.

    Returns
    -------
    wide : DataFrame of str
        Rows (strategy and groups) and measures in the order of ``table``. A cell reads
        ``54.1 [52.0, 56.2]``: value and interval. Where the order of tied documents would change
        the value it goes on ``ties 48.0 to 60.2``, from the worst order to the best.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame(
    ...     {"strategy": ["raw"], "measure": ["mrr"], "value": [0.541], "ci_low": [0.52]}
    ...     | {"ci_high": [0.562], "optimistic": [0.541], "pessimistic": [0.541]}
    ... )
    >>> format_table(table).loc["raw", "mrr"]
    '54.1 [52.0, 56.2]'
    """
    import pandas as pd

    keys = list(table.columns[: list(table.columns).index("measure")])

    def percent(column: str) -> list[str]:
        return [f"{100 * value:.{digits}f}" for value in table[column]]

    columns = ("value", "ci_low", "ci_high", "pessimistic", "optimistic")
    wide: dict[tuple, dict[str, str]] = {}
    for row, measure, value, low, high, worst, best in zip(
        table[keys].itertuples(index=False, name=None),
        table["measure"],
        *map(percent, columns),
        strict=True,
    ):
        ties = f" ties {worst} to {best}" if worst != best else ""
        wide.setdefault(row, {})[measure] = f"{value} [{low}, {high}]{ties}"
    index = pd.MultiIndex.from_tuples(wide, names=keys)
    return pd.DataFrame(
        [*wide.values()], index=index if len(keys) > 1 else index.get_level_values(0)
    ).rename_axis(columns="measure")


def _common_queries(runs: Sequence[Run]) -> Sequence[str]:
    """Query ids of the first run, which all others must hold too."""
    names = [run.name for run in runs]
    if not runs or len(set(names)) < len(names):
        msg = f"recall_table needs one or more runs with different names; got {names}"
        raise MmgapError(msg)
    first = runs[0]
    for run in runs:
        other = set(run.query_ids) ^ set(first.query_ids)
        if other or len(set(run.query_ids)) < len(run.query_ids):
            msg = (
                f"runs {first.name!r} and {run.name!r} must hold the same queries once each; "
                f"{len(other)} differ, e.g. {sorted(other)[:3]}"
            )
            raise MmgapError(msg)
    return first.query_ids


def _groups(
    by: pd.Series | pd.DataFrame | None, query_ids: Sequence[str]
) -> tuple[list[str], dict[tuple, np.ndarray]]:
    """Names of the group columns, and the positions of each group's queries."""
    if by is None:
        return [], {(): np.arange(len(query_ids))}
    import pandas as pd

    frame = by if isinstance(by, pd.DataFrame) else by.to_frame(by.name or "group")
    reserved = {"strategy", "measure", *_FIGURES} & set(frame.columns)
    if reserved:
        msg = f"by may not have a column named {min(reserved)!r}: the table has one; rename it"
        raise MmgapError(msg)
    frame = frame.reindex(list(query_ids))
    without = frame.index[frame.isna().any(axis=1).to_numpy()]
    if len(without):
        msg = (
            f"by gives no group for {len(without)} queries, e.g. {without[0]!r}; "
            "fill its missing values or leave the queries out of the runs"
        )
        raise MmgapError(msg)
    names = list(frame.columns)
    members = frame.reset_index(drop=True).groupby(names, observed=True).indices
    return names, {
        group if isinstance(group, tuple) else (group,): np.asarray(positions)
        for group, positions in members.items()
    }


def _figures(
    run: Run,
    query_ids: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]],
    k: int,
    measures: Sequence[str],
    min_grade: float | None,
    tolerance: float,
) -> np.ndarray:
    """Shape (4, n_query, n_measure): expected, optimistic, pessimistic, tied."""
    import pandas as pd

    values = evaluate(run, qrels, measures, min_grade=min_grade, tolerance=tolerance)
    tied = pd.DataFrame(
        {
            measure: tied_at(run, parse_measure(measure)[1] or k, tolerance=tolerance)
            for measure in values["expected"]
        },
        index=values.index,
    )
    values = pd.concat([values, pd.concat({"tied": tied}, axis=1)], axis=1).loc[list(query_ids)]
    orders = ("expected", "optimistic", "pessimistic", "tied")
    return np.stack([values[order].to_numpy(dtype=float) for order in orders])
