"""Tell when the order of tied documents, and not the method, decides a result.

The same two questions are asked of scores (:func:`detect_ties`), of runs
(:func:`detect_ties_in_runs`) and of a finished recall table (:func:`detect_ties_in_table`): does
chance decide, and does only luck beat the best single leg?
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import evaluate, parse_measure, tied_at
from mmgap.evaluation.runs import Run
from mmgap.evaluation.tie_groups import OverTies

if TYPE_CHECKING:
    import pandas as pd

_SLACK = 1e-12  # values that differ by less are equal


class TieWarning(UserWarning):
    """The order of tied documents decides a result; the message says how much."""


@dataclass(frozen=True)
class TieReport:
    """What ties do to one method.

    Parameters
    ----------
    name : str
        The method.
    tied_share : float
        As :func:`decided_by_ties`, in [0, 1].
    optimistic, expected, pessimistic : float
        Means over queries of the measure, over the orders of tied documents.
    ceiling : float
        Largest expected mean of a single leg; NaN where none was given.
    ceiling_leg : str
        Which leg that is; empty where none was given.
    n_above : int or None
        Queries whose optimistic value is above what every single leg expects for them; None where
        only means are known.
    max_share : float
        Share of tied queries from which on ``decided_by_ties`` is true.
    measure : str, default ""
        The measure, where it is known.

    See Also
    --------
    detect_ties, detect_ties_in_runs, detect_ties_in_table : make reports.

    Examples
    --------
    >>> report = TieReport("RRF", 1.0, 0.612, 0.306, 0.0, 0.612, "image leg", 0, 0.1)
    >>> report.decided_by_ties, report.above_ceiling
    (True, False)
    """

    name: str
    tied_share: float
    optimistic: float
    expected: float
    pessimistic: float
    ceiling: float
    ceiling_leg: str
    n_above: int | None
    max_share: float
    measure: str = ""

    @property
    def decided_by_ties(self) -> bool:
        """Whether ties decide for more than ``max_share`` of the queries.

        Either the cut-off falls inside ties for so many of them, or the order of ties moves the
        mean by more than that, which also takes so many: no query moves by more than 1. The second
        sees ties above the cut-off, which MRR, MAP and nDCG feel.
        """
        return max(self.tied_share, self.optimistic - self.pessimistic) > self.max_share

    @property
    def above_ceiling(self) -> bool:
        """Whether only a lucky order of ties beats the best single leg.

        True where the optimistic mean lies above the ceiling and the expected mean does not. (A
        method whose expected mean is above the ceiling has earned it.)
        """
        return self.optimistic > self.ceiling + _SLACK and self.expected <= self.ceiling + _SLACK

    def messages(self) -> list[str]:
        """Say in words what was found; empty if all is well."""
        found = []
        name = f"{self.name}, {self.measure}" if self.measure else self.name
        if self.decided_by_ties:
            where = (
                f"for {self.tied_share:.0%} of the queries the cut-off falls inside tied documents"
                if self.tied_share > self.max_share
                else "documents above the cut-off are tied"
            )
            found.append(
                f"{name}: {where}; the result lies between {self.pessimistic:.3f} and "
                f"{self.optimistic:.3f}, {self.expected:.3f} on average over their orders. Report "
                "the expected value"
            )
        if self.above_ceiling:
            found.append(
                f"{name}: the optimistic value {self.optimistic:.3f} is above the best single "
                f"leg ({self.ceiling_leg}, {self.ceiling:.3f}), the expected one "
                f"{self.expected:.3f} is not: a lucky order of ties, not a better ranking"
            )
        return found


def decided_by_ties(scores: np.ndarray | Run, k: int = 10, *, tolerance: float = 0.0) -> float:
    """Share of queries whose first k documents depend on the order of tied ones.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc), or Run
        Fused scores in any order; NaN where a document was not retrieved.
    k : int, default 10
    tolerance : float, default 0.0
        Neighbouring scores that differ by no more than this are tied; 0 means exactly equal.

    Returns
    -------
    share : float
        In [0, 1]; larger = more is left to chance. A query counts if places k and k + 1 hold
        tied documents, so that the *set* of the first k is open. Unchanged by increasing maps if
        ``tolerance`` is 0. Ties in lists that were cut at k before cannot be seen.

    Raises
    ------
    ValueError
        If ``scores`` does not have two axes or has no row, or ``k`` is less than 1.

    Examples
    --------
    Reciprocal ranks of two legs that share no document: both first places are tied.

    >>> decided_by_ties(np.array([[1 / 61, 1 / 62, 1 / 61, 1 / 62]]), k=1)
    1.0
    """
    scores = np.asarray(scores.scores if isinstance(scores, Run) else scores, dtype=np.float64)
    if scores.ndim != 2 or not len(scores):
        msg = f"scores must have shape (n_query, n_doc) with at least one query; got {scores.shape}"
        raise MmgapError(msg)
    descending = -np.sort(np.where(np.isnan(scores), np.inf, -scores), axis=1)
    return float(tied_at(descending, k, tolerance=tolerance).mean())


def detect_ties(
    name: str,
    scores: np.ndarray | Run,
    values: OverTies,
    legs: Mapping[str, OverTies] | None = None,
    *,
    k: int = 10,
    max_share: float = 0.1,
    tolerance: float = 0.0,
) -> TieReport:
    """Report what ties do to a method, and warn where they decide.

    Parameters
    ----------
    name : str
        The method, for the message.
    scores : ndarray of shape (n_query, n_doc), or Run
        Its fused scores, as :func:`decided_by_ties` takes them.
    values : OverTies
        Its measure for the same queries, for example of :func:`recall` at ``k``.
    legs : mapping of str to OverTies or None, default None
        The same measure of each leg searched alone: the ceiling. A merge of legs that share no
        document cannot put a relevant document before its place in its own leg, so it cannot beat
        the best leg unless ties are broken by luck or relevant documents lie in several legs.
    k : int, default 10
        Cut-off of the measure.
    max_share : float, default 0.1
        Share of tied queries that is let pass.
    tolerance : float, default 0.0
        As in :func:`decided_by_ties`.

    Returns
    -------
    report : TieReport

    Warns
    -----
    TieWarning
        If ties decide for more than ``max_share`` of the queries, or only the optimistic mean is
        above the ceiling.

    Raises
    ------
    ValueError
        If the values of the method, its legs and the scores are not for the same queries.

    Examples
    --------
    >>> values = OverTies(np.array([0.5]), np.array([1.0]), np.array([0.0]))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", TieWarning)
    ...     report = detect_ties("RRF", np.array([[0.5, 0.5]]), values, k=1)
    >>> report.tied_share, report.decided_by_ties
    (1.0, True)
    """
    legs = {} if legs is None else legs
    n_query = len(scores.query_ids) if isinstance(scores, Run) else len(scores)
    lengths = {len(over.expected) for over in (values, *legs.values())} | {n_query}
    if len(lengths) > 1:
        msg = f"scores, values and legs must be for the same queries; got lengths {sorted(lengths)}"
        raise MmgapError(msg)
    report = _report(name, decided_by_ties(scores, k, tolerance=tolerance), values, legs, max_share)
    _warn([report])
    return report


def detect_ties_in_runs(
    runs: Iterable[Run],
    qrels: Mapping[str, Mapping[str, int]],
    legs: Sequence[str] = (),
    *,
    measure: str = "recall@10",
    max_share: float = 0.1,
    min_grade: float | None = None,
    tolerance: float = 0.0,
) -> list[TieReport]:
    """Report what ties do to each run, and warn where they decide.

    Parameters
    ----------
    runs : iterable of Run
        With different names and the same queries.
    qrels : mapping of query id to mapping of document id to grade
    legs : sequence of str, default ()
        Names of the runs that search a single leg: the ceiling of the others.
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`. Without a cut-off, ties at 10 are looked for.
    max_share : float, default 0.1
        As in :func:`detect_ties`.
    min_grade, tolerance
        As in :func:`mmgap.evaluation.evaluate`.

    Returns
    -------
    reports : list of TieReport
        One per run, in their order. A leg has no ceiling.

    Warns
    -----
    TieWarning
        As :func:`detect_ties`, once per run and finding.

    Raises
    ------
    ValueError
        If a leg names no run, or runs hold different queries.

    Examples
    --------
    >>> leg = Run.from_dict("image leg", {"q": {"d1": 0.9, "d2": 0.1}})
    >>> merged = Run.from_dict("RRF", {"q": {"d1": 0.5, "d2": 0.5}})
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", TieWarning)
    ...     reports = detect_ties_in_runs(
    ...         [leg, merged], {"q": {"d2": 1}}, ["image leg"], measure="recall@1"
    ...     )
    >>> [(report.name, report.decided_by_ties) for report in reports]
    [('image leg', False), ('RRF', True)]
    """
    runs = list(runs)
    _known(legs, [run.name for run in runs])
    cut_off = parse_measure(measure)[1] or 10
    values, tied = {}, {}
    for run in runs:
        over = evaluate(run, qrels, [measure], min_grade=min_grade, tolerance=tolerance)
        over = over.sort_index()  # runs may hold the queries in different orders
        if over.index.tolist() != sorted(runs[0].query_ids):
            msg = f"runs {runs[0].name!r} and {run.name!r} must hold the same queries"
            raise MmgapError(msg)
        columns = (over[order][measure].to_numpy() for order in _ORDERS)
        values[run.name] = OverTies(*columns)
        tied[run.name] = decided_by_ties(run, cut_off, tolerance=tolerance)
    ceilings = {leg: values[leg] for leg in legs}
    reports = [
        _report(name, tied[name], over, {} if name in ceilings else ceilings, max_share, measure)
        for name, over in values.items()
    ]
    _warn(reports)
    return reports


def detect_ties_in_table(
    table: pd.DataFrame, legs: Sequence[str] = (), *, max_share: float = 0.1
) -> list[TieReport]:
    """Report what ties do to each row of a recall table, and warn where they decide.

    Parameters
    ----------
    table : DataFrame
        What :func:`mmgap.evaluation.recall_table` returns, or part of its rows.
    legs : sequence of str, default ()
        Strategies that search a single leg: the ceiling of the others, measure by measure and
        group by group.
    max_share : float, default 0.1
        As in :func:`detect_ties`.

    Returns
    -------
    reports : list of TieReport
        One per row, in their order; the name holds the groups too. A leg has no ceiling. The table
        holds means, so ``n_above`` is None.

    Warns
    -----
    TieWarning
        As :func:`detect_ties`, once per row and finding.

    Raises
    ------
    ValueError
        If a leg names no strategy of the table.

    Examples
    --------
    >>> from mmgap.evaluation import recall_table
    >>> leg = Run.from_dict("image leg", {"q": {"d1": 0.9, "d2": 0.1}})
    >>> merged = Run.from_dict("RRF", {"q": {"d1": 0.5, "d2": 0.5}})
    >>> table = recall_table([leg, merged], {"q": {"d2": 1}}, measures=["recall@1"])
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     reports = detect_ties_in_table(table, ["image leg"])
    >>> print(said[0].message)
    RRF, recall@1: for 100% of the queries the cut-off falls inside tied documents; ...
    """
    _known(legs, list(dict.fromkeys(table["strategy"])))
    groups = list(table.columns[1 : list(table.columns).index("measure")])
    reports = []
    for _, row in table.iterrows():
        alike = table["measure"] == row["measure"]
        for group in groups:
            alike &= table[group] == row[group]
        part = table[alike & table["strategy"].isin([] if row["strategy"] in legs else legs)]
        best = None if part.empty else part.loc[part["value"].idxmax()]
        reports.append(
            TieReport(
                name=", ".join([row["strategy"], *(f"{group} {row[group]}" for group in groups)]),
                tied_share=float(row["tied"]),
                optimistic=float(row["optimistic"]),
                expected=float(row["value"]),
                pessimistic=float(row["pessimistic"]),
                ceiling=float("nan") if best is None else float(best["value"]),
                ceiling_leg="" if best is None else str(best["strategy"]),
                n_above=None,
                max_share=max_share,
                measure=row["measure"],
            )
        )
    _warn(reports)
    return reports


_ORDERS = ("expected", "optimistic", "pessimistic")


def _report(
    name: str,
    tied_share: float,
    values: OverTies,
    legs: Mapping[str, OverTies],
    max_share: float,
    measure: str = "",
) -> TieReport:
    means = {leg: float(np.mean(over.expected)) for leg, over in legs.items()}
    best = max(means, key=means.__getitem__, default="")
    n_above = 0
    if legs:
        reach = np.max([over.expected for over in legs.values()], axis=0)
        n_above = int((values.optimistic > reach + _SLACK).sum())
    return TieReport(
        name=name,
        tied_share=tied_share,
        optimistic=float(np.mean(values.optimistic)),
        expected=float(np.mean(values.expected)),
        pessimistic=float(np.mean(values.pessimistic)),
        ceiling=means.get(best, float("nan")),
        ceiling_leg=best,
        n_above=n_above,
        max_share=max_share,
        measure=measure,
    )


def _known(legs: Sequence[str], names: Sequence[str]) -> None:
    unknown = [leg for leg in legs if leg not in names]
    if unknown:
        msg = f"no leg is named {unknown[0]!r}; there are {', '.join(map(repr, names))}"
        raise MmgapError(msg)


def _warn(reports: Sequence[TieReport]) -> None:
    for report in reports:
        for message in report.messages():
            warnings.warn(message, TieWarning, stacklevel=3)
