"""Runs measured on the same queries: values by query, means with intervals, differences, text.

All take ``qrels``, a mapping of query id to a mapping of document id to grade (judged documents
that the pool lacks still count in denominators), measures by name (:func:`parse_measure`), and

- ``min_grade``: lowest grade that counts as relevant; None takes ``qrels.min_grade``, or 1 where
  ``qrels`` has none. nDCG uses the grades themselves;
- ``tolerance``: scores that differ by no more are tied;
- ``by``: groups of queries, indexed by query id;
- ``rng``: of resampling; None is ``default_rng(0)``, so that a table repeats to the digit.

MmgapError if a query has no relevant document, runs hold different queries or have one name, a
measure is unknown, or its cut-off is deeper than a list that is not complete (:class:`Run`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import (
    OverTies,
    TieGroups,
    average_precision,
    check_grade,
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

if TYPE_CHECKING:
    import pandas as pd

ORDERS = ("expected", "optimistic", "pessimistic")
"""Values over the orders of tied documents."""

_FIGURES = ("value", "ci_low", "ci_high", "optimistic", "pessimistic", "tied", "n")
_CHANGED = 1e-12  # a query whose value moves by no more is neither improved nor harmed

Qrels = Mapping[str, Mapping[str, int]]


def evaluate(
    run: Run,
    qrels: Qrels,
    measures: Sequence[str] = ("recall@10", "hit@10", "ndcg@10", "mrr"),
    *,
    min_grade: float | None = None,
    tolerance: float = 0.0,
) -> pd.DataFrame:
    """Measure every query of a run: one row each, columns (order, measure).

    The orders are ``expected``, ``optimistic`` and ``pessimistic``, so that ``values["expected"]``
    is a plain table.

    >>> run = Run("demo", ["q"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> evaluate(run, {"q": {"d1": 1}}, ["recall@1", "mrr"])["expected"]
    measure   recall@1  mrr
    query_id
    q              0.0  0.5
    """
    import pandas as pd

    asked = {measure: parse_measure(measure) for measure in measures}
    if min_grade is None:
        min_grade = getattr(qrels, "min_grade", 1)
    check_grade(min_grade)
    gains, ideal_gains = _gather(run, qrels, min_grade)
    for measure, (_, k) in asked.items():
        _refuse_deeper(run, measure, k)
    groups = TieGroups(run.scores, tolerance)

    def measured(gains: np.ndarray) -> dict[str, OverTies]:
        return {
            measure: _measure(name, k, groups, gains, ideal_gains, min_grade)
            for measure, (name, k) in asked.items()
        }

    values = measured(gains)
    if run.tied_beyond is not None and np.any(run.tied_beyond):
        best, worst = map(measured, _gains_beyond(run, gains, ideal_gains, groups))
        values = {
            name: OverTies(over.expected, best[name].optimistic, worst[name].pessimistic)
            for name, over in values.items()
        }
    return pd.DataFrame(
        {
            (order, measure): getattr(values[measure], order)
            for order in ORDERS
            for measure in values
        },
        index=pd.Index(run.query_ids, name="query_id"),
    ).rename_axis(columns=["order", "measure"])


def recall_table(
    runs: Iterable[Run],
    qrels: Qrels,
    k: int = 10,
    *,
    measures: Sequence[str] | None = None,
    by: pd.Series | pd.DataFrame | None = None,
    min_grade: float | None = None,
    tolerance: float = 0.0,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure every run on the same queries: one row per strategy, group and measure.

    ``measures`` None means recall, hit and nDCG at ``k``, and MRR. With several columns of ``by``
    there is one row per group over all of them, in sorted order (that of the categories, where they
    are categorical). Columns: ``strategy``, those of ``by``, ``measure`` and

    - ``value``: mean over the queries, itself expected over the orders of tied documents;
    - ``ci_low``, ``ci_high``: 95 % bootstrap CI over queries;
    - ``optimistic``, ``pessimistic``: means of the best and the worst order of ties;
    - ``tied``: fraction of queries whose cut-off (the measure's own, else ``k``) falls inside a
      group of tied documents;
    - ``n``: number of queries.

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


def difference_table(
    runs: Iterable[Run],
    qrels: Qrels,
    against: str | Sequence[str],
    *,
    measure: str = "recall@10",
    by: pd.Series | None = None,
    min_grade: float | None = None,
    tolerance: float = 0.0,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure by how much each run is better than one of them, query by query.

    Of several names in ``against``, such as those of all single legs, the run with the largest mean
    over all queries is taken: it is chosen on the queries it is judged by, which favours it and not
    the methods compared with it. One row per other run and group, with ``strategy``, ``against``,
    the name of ``by``, ``measure`` and

    - ``value``: mean difference; positive where the run is better;
    - ``ci_low``, ``ci_high``: its 95 % bootstrap CI over queries, narrower than two separate
      intervals suggest;
    - ``p``: of the paired randomisation test, two-sided; ``p_holm``: after Holm's correction over
      all rows of this table;
    - ``effect_size``: Cohen's d_z;
    - ``improved``, ``harmed``: fraction of queries whose value is larger, and smaller;
    - ``n``: number of queries.

    The good run finds the relevant documents of five queries of six, the bad one does not: of the
    2^5 ways to exchange the two runs, 2 make as large a difference.

    >>> queries, pool, scores = [*"uvwxyz"], ["d1", "d2"], np.tile([0.9, 0.1], (6, 1))
    >>> qrels = {query: {"d1": 1} for query in queries}
    >>> good = Run("good", queries, pool, np.array([[0, 1]] * 6), scores)
    >>> bad = Run("bad", queries, pool, np.array([[1, 0]] * 5 + [[0, 1]]), scores)
    >>> table = difference_table([good, bad], qrels, "bad", measure="recall@1")
    >>> table[["strategy", "value", "p", "p_holm", "improved", "harmed", "n"]].round(4)
      strategy   value       p  p_holm  improved  harmed  n
    0     good  0.8333  0.0625  0.0625    0.8333     0.0  6
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    found: dict[str, pd.Series] = {}
    for run in runs:
        if run.name in found:
            msg = f"two runs are named {run.name!r}; give each run its own name"
            raise MmgapError(msg)
        over = evaluate(run, qrels, [measure], min_grade=min_grade, tolerance=tolerance)
        found[run.name] = over["expected"][measure]
    names = [against] if isinstance(against, str) else list(against)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        msg = (
            f"no run is named {unknown[0] if unknown else ''!r}; "
            f"there are {', '.join(map(repr, found))}"
        )
        raise MmgapError(msg)
    values = pd.DataFrame(found)
    groups = pd.Series("", index=values.index) if by is None else by.reindex(values.index)
    if values.isna().any(axis=None) or groups.isna().any():
        msg = "the runs and by must cover the same queries; select them first"
        raise MmgapError(msg)
    baseline = str(values[names].mean().idxmax())
    differences = values.drop(columns=baseline).sub(values[baseline], axis=0)
    parts = dict(iter(differences.groupby(groups, observed=True)))
    # All intervals are drawn before the first test, so that the tests do not move them.
    intervals = {
        group: bootstrap_interval(part.to_numpy(), rng=rng, n_resamples=n_resamples)
        for group, part in parts.items()
    }
    rows = []
    for group, part in parts.items():
        moved = part.to_numpy()
        figures = (
            moved.mean(axis=0),
            *intervals[group],
            randomisation_test(moved, rng=rng, n_resamples=n_resamples),
            effect_size(moved),
            (moved > _CHANGED).mean(axis=0),
            (moved < -_CHANGED).mean(axis=0),
        )
        rows += [
            (name, baseline, group, measure, *row, len(part))
            for name, *row in zip(part, *figures, strict=True)
        ]
    column = "" if by is None else str(by.name or "group")
    columns = [
        *("strategy", "against", column, "measure", "value", "ci_low", "ci_high"),
        *("p", "effect_size", "improved", "harmed", "n"),
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(columns.index("p") + 1, "p_holm", holm(table["p"].to_numpy(dtype=float)))
    return table.drop(columns="") if by is None else table


def format_table(table: pd.DataFrame, *, digits: int = 1) -> pd.DataFrame:
    """Lay a recall table out for reading: strategies down, measures across, values in percent.

    A cell reads ``54.1 [52.0, 56.2]``: value and 95 % CI. Where the order of tied documents would
    change the value it goes on ``ties 48.0 to 60.2``, from the worst order to the best.

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


def _measure(
    name: str,
    k: int | None,
    groups: TieGroups,
    gains: np.ndarray,
    ideal_gains: np.ndarray,
    min_grade: float,
) -> OverTies:
    n_relevant = (ideal_gains >= min_grade).sum(axis=1)
    match name:
        case "recall":
            return recall(groups, gains, n_relevant, k, min_grade=min_grade)
        case "hit":
            return hit(groups, gains, k, min_grade=min_grade)
        case "mrr":
            return mrr(groups, gains, k, min_grade=min_grade)
        case "map":
            return average_precision(groups, gains, n_relevant, k, min_grade=min_grade)
        case "ndcg_exp":
            return ndcg(groups, gains, ideal_gains, k, gain="exponential")
        case _:
            return ndcg(groups, gains, ideal_gains, k)


def _refuse_deeper(run: Run, measure: str, k: int | None) -> None:
    """Refuse a cut-off deeper than a list that was itself cut."""
    if k is None:
        return
    cut = ~run.is_complete & (run.lengths < k)
    if cut.any():
        query = int(cut.argmax())
        msg = (
            f"run {run.name!r}: {measure} looks at the first {k} documents, and the list of query "
            f"{run.query_ids[query]!r} was cut at {run.lengths[query]}. Rank {k} documents or more "
            f"or ask for a cut-off of {run.lengths[cut].min()} or less; if the list holds every "
            "document that can be ranked, make the run with complete=True"
        )
        raise MmgapError(msg)


def _gains_beyond(
    run: Run, gains: np.ndarray, ideal_gains: np.ndarray, groups: TieGroups
) -> tuple[np.ndarray, np.ndarray]:
    """Gains with the best and worst documents that may tie with the last entry in its group.

    The best are the judged documents that the list leaves out; the worst are not relevant.
    """
    best, worst = gains.astype(float), gains.astype(float)
    beyond = np.asarray(run.tied_beyond, dtype=bool) & (run.lengths > 0)
    for row in np.flatnonzero(beyond):
        last = int(run.lengths[row])
        first = last - 1 - int(groups.position[row, last - 1])
        left = np.sort(ideal_gains[row])[::-1].tolist()
        for gain in gains[row, :last]:
            if gain in left:
                left.remove(gain)
        group = np.sort(np.concatenate([gains[row, first:last], left]))[::-1]
        best[row, first:last], worst[row, first:last] = group[: last - first], 0
    return best, worst


def _gather(run: Run, qrels: Qrels, min_grade: float) -> tuple[np.ndarray, np.ndarray]:
    """Grades aligned with the run, and all grades of each query, filled up with 0."""
    _refuse_repeated(run)
    n_doc = len(run.doc_ids)
    position = {doc_id: index for index, doc_id in enumerate(run.doc_ids)}
    # One number per (query, document) pair; -1, the pair of every empty rank, has grade 0.
    grade_of = {-1: 0.0}
    all_grades = []
    for row, query_id in enumerate(run.query_ids):
        judged = qrels.get(query_id, {})
        _refuse_odd(judged, query_id)
        if not any(grade >= min_grade for grade in judged.values()):
            msg = (
                f"run {run.name!r}: query {query_id!r} has no relevant document in qrels "
                f"(grade >= {min_grade}); add a judgment, lower min_grade, or leave the query out"
            )
            raise MmgapError(msg)
        all_grades.append(np.array([*judged.values()], dtype=np.float64))
        for doc_id, grade in judged.items():
            if doc_id in position:
                grade_of[row * n_doc + position[doc_id]] = grade

    pairs = np.array(sorted(grade_of))
    grades = np.array([grade_of[pair] for pair in pairs.tolist()], dtype=np.float64)
    rows = np.arange(len(run.query_ids))[:, None]
    wanted = np.where(run.indices < 0, -1, rows * n_doc + run.indices)
    nearest = np.searchsorted(pairs, wanted, side="right") - 1
    gains = np.where(pairs[nearest] == wanted, grades[nearest], 0.0)

    ideal_gains = np.zeros((len(all_grades), max(map(len, all_grades), default=0)))
    for row, row_grades in enumerate(all_grades):
        ideal_gains[row, : len(row_grades)] = row_grades
    return gains, ideal_gains


def _refuse_odd(judged: Mapping[str, int], query_id: str) -> None:
    """Refuse ids that are not text, which match no document, and grades that are no numbers."""
    for doc_id, grade in judged.items():
        if not isinstance(doc_id, str):
            msg = (
                f"qrels of query {query_id!r}: document id {doc_id!r} is a "
                f"{type(doc_id).__name__} and matches no document; ids are text, use "
                "as_qrels(qrels)"
            )
            raise MmgapError(msg)
        if not (isinstance(grade, Real) and abs(grade) < 1e300):
            msg = f"qrels of query {query_id!r}, document {doc_id!r}: grade {grade!r} is no number"
            raise MmgapError(msg)


def _refuse_repeated(run: Run) -> None:
    ordered = np.sort(run.indices, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeated.any():
        msg = (
            f"run {run.name!r} lists a document twice for query "
            f"{run.query_ids[int(repeated.argmax())]!r}; merge the legs first, one entry a document"
        )
        raise MmgapError(msg)


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
    qrels: Qrels,
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
    return np.stack([values[order].to_numpy(dtype=float) for order in (*ORDERS, "tied")])
