"""Which merge to use: the simplest one that nothing allowed beats, with the numbers behind it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import (
    Run,
    TieReport,
    bootstrap_interval,
    evaluate,
    holm,
    randomisation_test,
    tied_at,
)
from mmgap.evaluation.measures import parse_measure
from mmgap.rerankers.base import Reranker
from mmgap.store.vectors import Vectors
from mmgap.strategies.cost import break_even, cost_frame
from mmgap.strategies.first_stage import find_pool
from mmgap.strategies.label_budget import BUDGETS, JUDGED_DEPTH, label_budget
from mmgap.strategies.method import (
    BOTH_SCORES,
    LABELLED_PAIRS,
    NOTHING,
    TOLERANCE,
    Method,
)
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pool import Pool
from mmgap.strategies.rerank import CostedRun, run_two_stage
from mmgap.strategies.split import split_queries, take_queries
from mmgap.strategies.two_stage import TwoStage, View

if TYPE_CHECKING:
    import pandas as pd

EFFORTS = (
    "one leg",
    "plain merge",
    "merge without fit",
    "unlabelled calibration",
    "labelled calibration",
    "reranker",
)
"""What a method asks of its user, from little to much; more must be earned by better results."""

DEPTHS = (8, 16, 32)
"""Documents that are reranked, where a reranker is given."""

_PLAIN = {False: "raw, mean", True: "RRF, k = 60"}  # by whether lists are all there is
_TIED_SHARE = 0.1  # from here on ties are mentioned
_DRAWS = 50
_CURVES = ("recall", "ndcg")  # measures of which there is a curve over labels
_NO_LOOKUP = "needs the other leg's scores"


@dataclass(frozen=True)
class Advice:
    """Which merge to use, why, and what would change that.

    Parameters
    ----------
    corpus, encoder : str
    method : str
        The advised method: a key of ``METHODS``, or the name of a reranked strategy.
    runner_up : str or None
        The best of the other allowed methods, which may have the higher value: not by enough to
        be sure, or with no less effort. None where nothing else is allowed.
    measure : str
    table : DataFrame
        One row per method, best first:

        - ``method``, ``family``, ``fitted_on``, ``sees``, ``effort`` (of ``EFFORTS``); ``role``
          ("advised", "runner-up", "simple alternative", or empty);
        - ``allowed`` and ``why_not``: methods that are not allowed are measured too (those that
          need labels with all there are), which shows what a restriction costs;
        - ``ms_per_query``: search, merge and reranker, and the encoder where its time was given;
        - ``value``, ``ci_low``, ``ci_high``, ``optimistic``, ``pessimistic``, ``tied``, ``n``: on
          calibration queries that the fit has not seen, as in :func:`leaderboard`;
        - ``difference``, ``difference_low``, ``difference_high``: the value less that of the
          advised method, paired; ``p``, and ``p_holm``, corrected for all methods in the table;
        - ``test_value``, ``test_low``, ``test_high``, ``test_difference``,
          ``test_difference_low``, ``test_difference_high``, ``test_p_holm``: on test queries, of
          the methods that have a role; empty for others, and absent without test queries.
    by_class : DataFrame
        One row per query class: ``query_class``, ``n``, ``method`` (what the same rule advises for
        this class alone), ``value``, ``value_of_advised``, ``p_holm`` of the difference. No rows
        where there are no classes.
    reasons, what_would_change_it : tuple of str
        Whole sentences.
    """

    corpus: str
    encoder: str
    method: str
    runner_up: str | None
    measure: str
    table: pd.DataFrame = field(repr=False)
    by_class: pd.DataFrame = field(repr=False)
    reasons: tuple[str, ...]
    what_would_change_it: tuple[str, ...]

    def to_text(self) -> str:
        """Return advice, reasons and what would change it, one sentence a line."""
        lines = [f"{self.corpus}, {self.encoder}: use {self.method!r}", "Why:"]
        lines += [f"  - {sentence}" for sentence in self.reasons]
        lines.append("What would change it:")
        lines += [f"  - {sentence}" for sentence in self.what_would_change_it]
        return "\n".join(lines)


def advise(
    calibration: Vectors,
    test: Vectors | None = None,
    *,
    reranker: Reranker | None = None,
    budget_ms: float | None = None,
    n_labels: int | None = 0,
    lists_only: bool = False,
    methods: Iterable[Method] | None = None,
    measure: str = "recall@10",
    by: str | None = "query_class",
    depths: Sequence[int] = DEPTHS,
    embed_ms: float = 0.0,
    n_folds: int = 5,
    alpha: float = 0.05,
    cache: bool | str | Path = True,
) -> Advice:
    """Choose a merge on calibration queries; report it on test queries.

    **The choice.** Every method is fitted on one part of the calibration queries and judged on
    another, in turn, so that each query is judged once, by a fit that has not seen it. The choice
    starts with the better single leg and takes a step to more effort (see ``EFFORTS``) only where
    a method is significantly better: paired randomisation test, corrected by Holm for the methods
    of equal effort and by Bonferroni for the number of efforts. Of those that are, it takes the
    best one of the least effort, and asks again from there. Where nothing is significant the
    simplest method stays. Test queries have no say.

    Parameters
    ----------
    calibration : Vectors
        With judgments: the choice is made by them, also where methods may not use them.
    test : Vectors or None, default None
        Of the same encoder, with other queries. The advised method, the runner-up and the simple
        alternatives are fitted on all of ``calibration`` and judged on these.
    reranker : Reranker or None, default None
        Adds the reranked strategies: ``depths`` documents, half from each leg, or the first ones
        by the mean of raw scores.
    budget_ms : float or None, default None
        Most milliseconds for one query, measured on this machine in batches. None is no limit.
    n_labels : int or None, default 0
        Labelled pairs that methods may be fitted on, as counted in :func:`label_budget`: a query,
        one of the first ten documents of either leg, and the word of a judge. Queries drawn by lot
        are labelled as long as the labels last. 0, like any number below the 20 of one query,
        leaves out methods that need labels; None allows all judgments of ``calibration``.
    lists_only : bool, default False
        No scores can be looked up: leave out methods that need the other leg's score of what one
        leg alone listed.
    methods : iterable of Method or None, default None
        None takes all of ``METHODS``. The legs and the plain merge (mean of raw scores, or
        reciprocal rank fusion with ``lists_only``) are added where they are missing.
    measure : str, default "recall@10"
        With a cut-off, as in :func:`mmgap.evaluation.evaluate`.
    by : str or None, default "query_class"
        Query metadata that splits the queries; ignored where the corpus does not have it.
    depths : sequence of int, default DEPTHS
        Even numbers.
    embed_ms : float, default 0.0
        Time of the encoder for one query, from :func:`embedding_ms`; 0 leaves it out.
    n_folds : int, default 5
        Parts of the calibration queries. Queries with the same relevant documents share a part.
    alpha : float, default 0.05
        Level of significance.
    cache : bool or Path, default True
        Of reranker scores, see :class:`PairScorer`.

    Returns
    -------
    Advice

    Raises
    ------
    MmgapError
        If a number is out of range, or the calibration queries cannot be divided because all have
        the same relevant documents.

    Notes
    -----
    The parts search the same documents, so that what is fitted on documents knows those of the
    judged part: kinder than a new corpus. The value of the advised method on calibration queries
    is the largest of several and so a little too high; the one on test queries is not. Not
    significant does not mean equal: it means that these queries cannot tell.

    References
    ----------
    .. [1] Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 1979.
    .. [2] Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd ed. 2009,
       Sec. 7.10 (cross-validation, and to prefer the simplest model within the error).

    Examples
    --------
    >>> advice = advise(calibration, test, budget_ms=50)  # doctest: +SKIP
    >>> advice.method  # doctest: +SKIP
    'raw, mean'
    """
    _refuse_bad_numbers(measure, budget_ms, n_labels, depths, n_folds, alpha)
    setting = _Setting(n_labels, lists_only, budget_ms, measure, alpha, embed_ms)
    pool = Pool(calibration)
    entries = _judged_methods(pool, _chosen(methods, pool, lists_only), setting, n_folds)
    costed: list[CostedRun] = []
    if reranker is not None:
        costed = _rerank(calibration, reranker, depths, lists_only=lists_only, cache=cache)
        entries += _judged_strategies(calibration, costed, setting)
    return _Adviser(calibration, entries, setting, by).advice(test, reranker, cache)


def format_advice(advice: Advice, *, top: int | None = 10) -> pd.DataFrame:
    """Lay the table behind an advice out for reading.

    Parameters
    ----------
    advice : Advice
    top : int or None, default 10
        Methods besides those that have a role; None shows all.

    Returns
    -------
    wide : DataFrame of str
        One row per method, best first: name, role, effort, why it is not allowed, milliseconds,
        value in percent with its interval, difference to the advised method in points, with a star
        where p < 0.05 after Holm's correction, and the same two on test queries.
    """
    table = advice.table
    if top is not None:
        has_role = table["role"] != ""
        table = table[has_role | ((~has_role).cumsum() <= top)]
    shown = table[["method", "role", "effort", "why_not"]].assign(
        ms=[f"{ms:.3g}" for ms in table["ms_per_query"]],
        calibration=_cells(table, "value", "ci_low", "ci_high"),
        difference=[
            _points(difference, star=p < 0.05)
            for difference, p in zip(table["difference"], table["p_holm"], strict=True)
        ],
    )
    if "test_value" in table:
        shown["test"] = _cells(table, "test_value", "test_low", "test_high")
        shown["difference there"] = [_points(found) for found in table["test_difference"]]
    return shown.rename(columns={"why_not": "not allowed"}).reset_index(drop=True)


def _cells(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    """Percent with an interval, empty where nothing was measured."""
    return [
        "" if np.isnan(at) else f"{100 * at:.1f} [{100 * least:.1f}, {100 * most:.1f}]"
        for at, least, most in zip(table[value], table[low], table[high], strict=True)
    ]


def _points(difference: float, *, star: bool = False) -> str:
    return "" if np.isnan(difference) else f"{100 * difference:+.1f}{'*' if star else ''}"


@dataclass(frozen=True)
class _Setting:
    """What is allowed, and how it is judged."""

    n_labels: int | None
    lists_only: bool
    budget_ms: float | None
    measure: str
    alpha: float
    embed_ms: float


@dataclass
class _Entry:
    """A method or a reranked strategy, and what it found for each calibration query."""

    name: str
    about: Method | TwoStage
    effort: int
    figures: np.ndarray  # (4, n_query): expected, optimistic, pessimistic, tied
    ms: float
    why_not: str = ""

    @property
    def values(self) -> np.ndarray:
        return self.figures[0]

    @property
    def mean(self) -> float:
        return float(self.figures[0].mean())


def _refuse_bad_numbers(
    measure: str,
    budget_ms: float | None,
    n_labels: int | None,
    depths: Sequence[int],
    n_folds: int,
    alpha: float,
) -> None:
    problem = ""
    if parse_measure(measure)[1] is None:
        problem = f"measure {measure!r} has no cut-off; expected one such as 'recall@10'"
    elif budget_ms is not None and not budget_ms > 0:
        problem = f"budget_ms is {budget_ms}; expected milliseconds above 0, or None for no limit"
    elif n_labels is not None and n_labels < 0:
        problem = f"n_labels is {n_labels}; expected 0 or more, or None for all judgments"
    elif not depths or any(depth < 2 or depth % 2 for depth in depths):
        problem = f"depths are {tuple(depths)}; expected even numbers of at least 2"
    elif n_folds < 2:
        problem = f"n_folds is {n_folds}; expected 2 or more: one part is judged, others are fitted"
    elif not 0 < alpha < 1:
        problem = f"alpha is {alpha}; expected a level between 0 and 1, e.g. 0.05"
    if problem:
        raise MmgapError(problem)


# --- measuring -----------------------------------------------------------------------------------


def _chosen(methods: Iterable[Method] | None, pool: Pool, lists_only: bool) -> list[Method]:
    """Methods with different names that can run here, simple alternatives first."""
    from mmgap.strategies.methods import METHODS

    legs = pool.vectors.filled_legs
    simple = [METHODS[f"{leg} leg"] for leg in legs]
    if len(legs) < 2:
        return simple
    simple.append(METHODS[_PLAIN[lists_only]])
    asked = METHODS.values() if methods is None else methods
    # The legs stand for themselves: which one is better is part of the choice.
    asked = [method for method in asked if method.name != "best single leg"]
    found = {method.name: method for method in [*simple, *asked]}
    return [
        method for method in found.values() if method.mitigation is None or pool.one_vector_each
    ]


def _judged_methods(
    pool: Pool, methods: Sequence[Method], setting: _Setting, n_folds: int
) -> list[_Entry]:
    """Judge each method on every calibration query, by a fit that has not seen it."""
    vectors = pool.vectors
    n_query = len(vectors.corpus.queries)
    parts = _parts(pool, n_folds) if len(methods) > 1 else []
    search_ms = 1000 * find_pool(vectors, pool.depth or 100).seconds / n_query
    figures = np.empty((len(methods), 4, n_query))
    seconds = np.zeros(len(methods))
    pool.candidates, pool.relevant  # noqa: B018  (worked out before any clock runs)
    for place, method in enumerate(methods):
        if method.fitted_on == NOTHING:
            seconds[place] = _judge(method, pool, pool, setting, figures[place], slice(None))
    fitted = [place for place, method in enumerate(methods) if method.fitted_on != NOTHING]
    for rows in parts if fitted else []:
        others = np.setdiff1d(np.arange(n_query), rows)
        judged, bank = Pool(take_queries(vectors, rows)), Pool(take_queries(vectors, others))
        labelled = _labelled(bank, setting.n_labels)
        judged.candidates, judged.relevant  # noqa: B018
        for place in fitted:
            fit_on = labelled if methods[place].fitted_on == LABELLED_PAIRS else bank
            seconds[place] += _judge(methods[place], fit_on, judged, setting, figures[place], rows)
    plain = _PLAIN[setting.lists_only]
    entries = []
    for method, figure, spent in zip(methods, figures, seconds, strict=True):
        ms = setting.embed_ms + search_ms + 1000 * spent / n_query
        entries.append(_Entry(method.name, method, _effort(method, plain), figure, ms))
        entries[-1].why_not = _why_not(entries[-1], setting)
    return entries


def _parts(pool: Pool, n_folds: int) -> list[np.ndarray]:
    """Rows of each part; queries with the same relevant documents share one."""
    from sklearn.model_selection import GroupKFold

    groups = np.unique(pool.relevant, axis=0, return_inverse=True)[1].ravel()
    n_group = len(np.unique(groups))
    if n_group < 2:
        msg = (
            f"all {len(groups)} calibration queries of {pool.vectors.corpus.name!r} have the same "
            "relevant documents, so none could be judged by a fit that has not seen its answer; "
            "bring queries about two things or more"
        )
        raise MmgapError(msg)
    # Mixed by lot, because corpora come sorted and parts are to be alike.
    names = np.random.default_rng(0).permutation(n_group)[groups]
    divided = GroupKFold(min(n_folds, n_group)).split(names, groups=names)
    return [np.sort(rows) for _, rows in divided]


def _too_few(n_labels: int | None) -> bool:
    """Whether labels do not last for one query, of which each leg shows its first documents."""
    return n_labels is not None and n_labels < len(LEGS) * JUDGED_DEPTH


def _labelled(bank: Pool, n_labels: int | None) -> Pool:
    """Return what methods that need labels are fitted on: the queries that the labels last for.

    Without a limit, or where labels are not allowed and the method is measured for comparison
    only, all of them.
    """
    if _too_few(n_labels):
        return bank
    shown = Pool(bank.vectors, depth=JUDGED_DEPTH)
    order = np.random.default_rng(0).permutation(len(shown.candidates.documents))
    spent = np.cumsum((shown.candidates.documents[order] >= 0).sum(axis=1))
    if n_labels is None or spent[-1] <= n_labels:
        return bank
    n_query = int((spent <= n_labels).sum())
    return Pool(take_queries(bank.vectors, np.sort(order[:n_query])), depth=JUDGED_DEPTH)


def _judge(
    method: Method,
    bank: Pool,
    judged: Pool,
    setting: _Setting,
    figures: np.ndarray,
    rows: np.ndarray | slice,
) -> float:
    """Fill in what a method finds for some queries; return the seconds that the merge took."""
    fitted = method.fit(bank)
    began = time.perf_counter()
    run = fitted.run(judged)
    spent = time.perf_counter() - began
    figures[:, rows] = _figures(run, judged.vectors, setting.measure)
    return spent


def _figures(run: Run, vectors: Vectors, measure: str) -> np.ndarray:
    values = evaluate(run, vectors.corpus.qrels, [measure], tolerance=TOLERANCE)
    k = parse_measure(measure)[1]
    assert k is not None  # refused before
    orders = [
        values[order][measure].to_numpy() for order in ("expected", "optimistic", "pessimistic")
    ]
    return np.stack([*orders, tied_at(run.scores, k, tolerance=TOLERANCE)])


def _effort(method: Method, plain: str) -> int:
    if method.family == "leg":
        return 0
    if method.name == plain:
        return 1
    if method.fitted_on == NOTHING:
        return 2
    return 4 if method.fitted_on == LABELLED_PAIRS else 3


def _why_not(entry: _Entry, setting: _Setting) -> str:
    """Why an entry is not allowed; empty if it is."""
    about = entry.about
    if isinstance(about, Method):
        if about.fitted_on == LABELLED_PAIRS and _too_few(setting.n_labels):
            return "needs labels"
        if about.sees == BOTH_SCORES and setting.lists_only and about.family != "leg":
            return _NO_LOOKUP
    # The legs always remain: something must be advised.
    too_slow = setting.budget_ms is not None and entry.ms > setting.budget_ms
    return "too slow" if too_slow and entry.effort > 0 else ""


def _view(reranker: Reranker) -> View:
    """Both views where the reranker takes them, else the one it takes."""
    taken = [leg for leg in ("text", "image") if f"text-{leg}" in reranker.info.modalities]
    if len(taken) == 2:
        return "average"
    return "image" if taken == ["image"] else "text"


def _rerank(
    vectors: Vectors,
    reranker: Reranker,
    depths: Sequence[int],
    *,
    lists_only: bool,
    cache: bool | str | Path,
) -> list[CostedRun]:
    """Run the reranked strategies; none of them is fitted, so no query has to be held out."""
    view, legs = _view(reranker), vectors.filled_legs
    strategies = [
        TwoStage(f"rerank {depth}", view, legs, depth // len(legs), tail=True) for depth in depths
    ]
    if len(legs) == 2 and not lists_only:
        strategies += [
            TwoStage(f"mean of raw scores, rerank {depth}", view, depth=depth, merge="mean")
            for depth in depths
        ]
    return run_two_stage(vectors, strategies, PairScorer(vectors, reranker, cache=cache))


def _judged_strategies(
    vectors: Vectors, costed: Sequence[CostedRun], setting: _Setting
) -> list[_Entry]:
    costs = cost_frame(costed, embed_ms=setting.embed_ms)
    entries = []
    for each in costed:
        figures = _figures(each.run, vectors, setting.measure)
        ms = float(costs["ms_per_query"][each.run.name])
        entries.append(_Entry(each.run.name, each.strategy, len(EFFORTS) - 1, figures, ms))
        entries[-1].why_not = _why_not(entries[-1], setting)
    return entries


# --- choosing ------------------------------------------------------------------------------------


def _climb(entries: Sequence[_Entry], alpha: float, rows: np.ndarray | slice) -> list[_Entry]:
    """Return the path from the least effort by significant steps alone; the last one is advised."""
    least = min(entry.effort for entry in entries)
    path = [_best([entry for entry in entries if entry.effort == least], rows)]
    while higher := [entry for entry in entries if entry.effort > path[-1].effort]:
        gain, p = _compared(higher, path[-1], rows)
        better = [
            entry
            for entry, won, each in zip(higher, gain, p, strict=True)
            if won > 0 and each < alpha
        ]
        if not better:
            break
        least = min(entry.effort for entry in better)
        path.append(_best([entry for entry in better if entry.effort == least], rows))
    return path


def _best(entries: Sequence[_Entry], rows: np.ndarray | slice = slice(None)) -> _Entry:
    """Return the entry with the largest mean; of equal ones the first."""
    means = np.array([entry.values[rows].mean() for entry in entries])
    return entries[int(np.argmax(means >= means.max() - TOLERANCE))]


def _compared(
    entries: Sequence[_Entry], with_: _Entry, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Mean gains over one entry and their p-values, corrected for all of ``entries``.

    Holm among those of equal effort, Bonferroni for the number of efforts: so the one plain merge
    does not pay for dozens of others.
    """
    gains = np.stack([entry.values[rows] - with_.values[rows] for entry in entries], axis=1)
    p = randomisation_test(gains)
    efforts = np.array([entry.effort for entry in entries])
    known = np.unique(efforts)
    for effort in known:
        p[efforts == effort] = holm(p[efforts == effort])
    return gains.mean(axis=0), np.minimum(1, len(known) * p)


class _Adviser:
    """The choice among entries, and the words for it."""

    def __init__(
        self, calibration: Vectors, entries: list[_Entry], setting: _Setting, by: str | None
    ) -> None:
        self.calibration, self.setting = calibration, setting
        # Stable, so that of equal values the simpler one, which was added first, comes first.
        self.entries = sorted(entries, key=lambda entry: -round(entry.mean, 12))
        self.allowed = [entry for entry in self.entries if not entry.why_not]
        self.path = _climb(self.allowed, setting.alpha, slice(None))
        self.pick = self.path[-1]
        rest = [entry for entry in self.allowed if entry is not self.pick]
        self.next = _best(rest) if rest else None
        plain = _PLAIN[setting.lists_only]
        self.legs = [entry for entry in self.entries if entry.effort == 0]
        self.simple = [_best(self.legs)]
        self.simple += [entry for entry in self.entries if entry.name == plain]
        labels = calibration.corpus.query_frame()
        self.classes: dict[str, np.ndarray] = {}
        if by is not None and by in labels:
            self.classes = {
                str(name): np.flatnonzero(labels[by].to_numpy() == name)
                for name in sorted(labels[by].dropna().unique())
            }

    def advice(
        self, test: Vectors | None, reranker: Reranker | None, cache: bool | str | Path
    ) -> Advice:
        table = self._table()
        by_class = self._by_class()
        reasons = [*self._why(), *self._ties(), *self._left_out()]
        if test is not None:
            found = self._on_test(test, reranker, cache)
            table = table.merge(found, on="method", how="left")
            reasons += self._test_words(found, len(test.corpus.queries))
        changes = [
            *self._next_words(),
            *self._label_words(),
            *self._list_words(),
            *self._rerank_words(reranker is not None),
            *self._leg_words(),
            *self._class_words(by_class),
        ]
        return Advice(
            self.calibration.corpus.name,
            self.calibration.encoder.id,
            self.pick.name,
            None if self.next is None else self.next.name,
            self.setting.measure,
            table,
            by_class,
            tuple(reasons),
            tuple(changes),
        )

    def _role(self, entry: _Entry) -> str:
        if entry is self.pick:
            return "advised"
        if entry is self.next:
            return "runner-up"
        return "simple alternative" if entry in self.simple else ""

    def _table(self) -> pd.DataFrame:
        import pandas as pd

        figures = np.stack([entry.figures for entry in self.entries])
        gains = (figures[:, 0] - self.pick.values).T
        low, high = bootstrap_interval(figures[:, 0].T, rng=np.random.default_rng(0))
        gain_low, gain_high = bootstrap_interval(gains, rng=np.random.default_rng(0))
        p = randomisation_test(gains)
        others = np.array([entry is not self.pick for entry in self.entries])
        p_holm = np.full(len(p), np.nan)
        p_holm[others] = holm(p[others])
        kinds = [
            (entry.about.family, entry.about.fitted_on, entry.about.sees)
            if isinstance(entry.about, Method)
            else ("reranked", NOTHING, "documents")
            for entry in self.entries
        ]
        return pd.DataFrame(
            {
                "method": [entry.name for entry in self.entries],
                "role": [self._role(entry) for entry in self.entries],
                "family": [kind[0] for kind in kinds],
                "fitted_on": [kind[1] for kind in kinds],
                "sees": [kind[2] for kind in kinds],
                "effort": [EFFORTS[entry.effort] for entry in self.entries],
                "allowed": [not entry.why_not for entry in self.entries],
                "why_not": [entry.why_not for entry in self.entries],
                "ms_per_query": [entry.ms for entry in self.entries],
                "measure": self.setting.measure,
                "value": figures[:, 0].mean(axis=1),
                "ci_low": low,
                "ci_high": high,
                "optimistic": figures[:, 1].mean(axis=1),
                "pessimistic": figures[:, 2].mean(axis=1),
                "tied": figures[:, 3].mean(axis=1),
                "n": figures.shape[2],
                "difference": gains.mean(axis=0),
                "difference_low": gain_low,
                "difference_high": gain_high,
                "p": np.where(others, p, np.nan),
                "p_holm": p_holm,
            }
        )

    def _by_class(self) -> pd.DataFrame:
        import pandas as pd

        rows = []
        for name, members in self.classes.items():
            pick = _climb(self.allowed, self.setting.alpha, members)[-1]
            p = np.nan
            if pick is not self.pick:
                others = [entry for entry in self.allowed if entry is not self.pick]
                p = float(_compared(others, self.pick, members)[1][others.index(pick)])
            rows.append(
                {"query_class": name, "n": len(members), "method": pick.name}
                | {"value": pick.values[members].mean()}
                | {"value_of_advised": self.pick.values[members].mean(), "p_holm": p}
            )
        columns = ["query_class", "n", "method", "value", "value_of_advised", "p_holm"]
        return pd.DataFrame(rows, columns=columns)

    def _on_test(
        self, test: Vectors, reranker: Reranker | None, cache: bool | str | Path
    ) -> pd.DataFrame:
        """Methods that have a role, fitted on all calibration queries and judged on test ones."""
        import pandas as pd

        shown = [entry for entry in self.entries if self._role(entry)]
        bank, pool = Pool(self.calibration), Pool(test)
        labelled = _labelled(bank, self.setting.n_labels)
        runs: dict[str, Run] = {}
        strategies = [entry.about for entry in shown if isinstance(entry.about, TwoStage)]
        if strategies and reranker is not None:
            scorer = PairScorer(test, reranker, cache=cache)
            costed = run_two_stage(test, strategies, scorer)
            runs = {each.run.name: each.run for each in costed}
        for entry in shown:
            if isinstance(entry.about, Method):
                needs_labels = entry.about.fitted_on == LABELLED_PAIRS
                fitted = entry.about.fit(labelled if needs_labels else bank)
                runs[entry.name] = fitted.run(pool)
        measure = self.setting.measure
        values = np.stack([_figures(runs[each.name], test, measure)[0] for each in shown], axis=1)
        gains = values - values[:, [shown.index(self.pick)]]
        low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
        gain_low, gain_high = bootstrap_interval(gains, rng=np.random.default_rng(0))
        others = np.array([entry is not self.pick for entry in shown])
        p = np.full(len(shown), np.nan)
        p[others] = holm(randomisation_test(gains)[others])
        return pd.DataFrame(
            {
                "method": [entry.name for entry in shown],
                "test_value": values.mean(axis=0),
                "test_low": low,
                "test_high": high,
                "test_difference": gains.mean(axis=0),
                "test_difference_low": gain_low,
                "test_difference_high": gain_high,
                "test_p_holm": p,
            }
        )

    # --- words ---

    def _gap(self, entry: _Entry, other: _Entry) -> str:
        gain = entry.values - other.values
        low, high = bootstrap_interval(gain, rng=np.random.default_rng(0))
        return f"{100 * gain.mean():+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"

    def _step_p(self, low: _Entry, high: _Entry) -> float:
        """Return p of a step from less effort to more, corrected as in the choice."""
        higher = [entry for entry in self.allowed if entry.effort > low.effort]
        if high not in higher:  # not allowed, so it was no choice
            return float(randomisation_test(high.values - low.values))
        return float(_compared(higher, low)[1][higher.index(high)])

    def _why(self) -> list[str]:
        pick, measure = self.pick, self.setting.measure
        low, high = bootstrap_interval(pick.values, rng=np.random.default_rng(0))
        found = [
            f"{pick.name!r} has {measure} {100 * pick.mean:.1f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}] on {len(pick.values)} calibration queries, each "
            f"judged by a fit that has not seen it; {pick.ms:.3g} ms per query."
        ]
        if len(self.legs) == 1:
            found.append("Only this leg holds documents, so there is nothing to merge.")
        for simple in self.simple:
            if simple is pick:
                continue
            p = self._step_p(*sorted((simple, pick), key=lambda entry: entry.effort))
            sure = "significant" if p < self.setting.alpha else "not significant"
            found.append(
                f"Against the simple alternative {simple.name!r} ({100 * simple.mean:.1f} %): "
                f"{self._gap(pick, simple)}, {_p(p)}: {sure}."
            )
        best = _best(self.allowed)
        if best.mean > pick.mean + TOLERANCE:
            found.append(
                f"{best.name!r} has the highest value ({100 * best.mean:.1f} %), but "
                + self._why_not_best(best)
            )
        return found

    def _why_not_best(self, best: _Entry) -> str:
        if best.effort > self.pick.effort:
            n = sum(entry.effort > self.pick.effort for entry in self.allowed)
            return (
                f"{self._gap(best, self.pick)} is not significant "
                f"({_p(self._step_p(self.pick, best))}, corrected for {n} methods), so the simpler "
                "method is advised."
            )
        # Else it would have been the step that led to the advised method.
        base = self.path[-2]
        return (
            f"is not significantly better than the simpler {base.name!r}: "
            f"{self._gap(best, base)}, {_p(self._step_p(base, best))}; the advised method is."
        )

    def _ties(self) -> list[str]:
        # A leg is not held against itself.
        leg = self.simple[0]
        ceiling = np.nan if self.pick.effort == 0 else leg.mean
        _, optimistic, pessimistic, tied = self.pick.figures.mean(axis=1)
        report = TieReport(
            self.pick.name,
            float(tied),
            float(optimistic),
            self.pick.mean,
            float(pessimistic),
            ceiling,
            leg.name,
            None,
            _TIED_SHARE,
            self.setting.measure,
        )
        return [f"Ties: {message}." for message in report.messages()]

    def _left_out(self) -> list[str]:
        counts: dict[str, int] = {}
        for entry in self.entries:
            if entry.why_not:
                counts[entry.why_not] = counts.get(entry.why_not, 0) + 1
        found = []
        if counts:
            listed = ", ".join(f"{n} {reason}" for reason, n in counts.items())
            found.append(
                f"{sum(counts.values())} of {len(self.entries)} methods are not allowed here: "
                f"{listed}."
            )
        budget = self.setting.budget_ms
        if budget is not None and self.pick.ms > budget:
            found.append(
                f"The budget of {budget:g} ms per query is below what search alone takes "
                f"({self.pick.ms:.3g} ms); a single leg is the cheapest there is."
            )
        return found

    def _test_words(self, found: pd.DataFrame, n: int) -> list[str]:
        rows = found.set_index("method")
        own = rows.loc[self.pick.name]
        words = [
            f"On {n} test queries, which had no say in the choice: {100 * own['test_value']:.1f} % "
            f"[{100 * own['test_low']:.1f}, {100 * own['test_high']:.1f}]."
        ]
        for row in rows.drop(self.pick.name).reset_index().to_dict("records"):
            # The table holds the other less the advised one; words say it the other way round.
            low, high = -row["test_difference_high"], -row["test_difference_low"]
            p = row["test_p_holm"]
            words.append(
                f"There, against {row['method']!r}: {-100 * row['test_difference']:+.1f} points "
                f"[{100 * low:+.1f}, {100 * high:+.1f}], {_p(p)}."
            )
            if p < self.setting.alpha and row["test_difference"] > 0:
                words[-1] += (
                    " It is the better one there, which the calibration queries could not show; "
                    "more of them would help."
                )
        return words

    def _next_words(self) -> list[str]:
        if self.next is None:
            return []
        gain = self.next.values - self.pick.values
        found = (
            f"The next best is {self.next.name!r} ({EFFORTS[self.next.effort]}): "
            f"{self._gap(self.next, self.pick)} against the advice."
        )
        if gain.std() > 0 and abs(gain.mean()) > TOLERANCE:
            needed = (1.96 * gain.std(ddof=1) / gain.mean()) ** 2
            if needed > len(gain):
                found += (
                    f" If that is the true difference, about {_round_up(needed):,} queries would "
                    f"show it; there are {len(gain):,}."
                )
        return [found]

    def _label_words(self) -> list[str]:
        if len(self.legs) < 2:
            return []
        found = []
        learnable = parse_measure(self.setting.measure)[0] in _CURVES
        if self.pick.effort == EFFORTS.index("labelled calibration"):
            free = [each for each in self.allowed if each.effort < self.pick.effort]
            best = _climb(free, self.setting.alpha, slice(None))[-1]
            found.append(
                f"Without labels {best.name!r} would be advised: {self._gap(best, self.pick)}."
            )
        elif isinstance(self.pick.about, Method) and learnable:
            found.append(self._labels_needed())
        return found

    def _labels_needed(self) -> str:
        """Say from how many labelled pairs calibrated fusion is better than the advised method."""
        assert isinstance(self.pick.about, Method)
        halves = split_queries(self.calibration)
        table = label_budget(
            *halves,
            budgets=BUDGETS,
            n_draws=_DRAWS,
            measure=self.setting.measure,
            references=[self.pick.about],
        )
        mark = float(table.loc[table["n_labels"].isna(), "value"].iloc[0])
        curve = table[table["n_labels"] > 0]
        if curve.empty:
            return "Too few pairs could be labelled here to say what labels would bring."
        most = int(curve["n_labels"].max())
        # Better from here on, not by luck at one number in between.
        sure = _from_here_on(curve, curve["draw_low"] > mark + TOLERANCE)
        likely = _from_here_on(curve, curve["value"] > mark + TOLERANCE)
        where = f"on half of the calibration queries, where the advice has {100 * mark:.1f} %"
        best = curve.sort_values("value", kind="stable").iloc[-1]
        at = f"{100 * best['value']:.1f} % with {int(best['n_labels']):,}"
        if likely is None:
            return (
                f"Labels: calibrated fusion is not better with up to {most:,} labelled pairs, "
                f"{where} (at best {at})."
            )
        in_most = "in fewer than 95 % of the draws at any number tried"
        if sure is not None:
            in_most = f"in 95 % of the draws from {sure:,}"
        return (
            f"Labels: calibrated fusion is better on average from {likely:,} labelled pairs, "
            f"{in_most}, {where} (at best {at})."
        )

    def _list_words(self) -> list[str]:
        if not self.setting.lists_only:
            return []
        kept = [each for each in self.entries if each.why_not in ("", _NO_LOOKUP)]
        best = _climb(kept, self.setting.alpha, slice(None))[-1]
        if best is self.pick or best.why_not == "":
            return ["Looking up the other leg's scores would not change the advice."]
        return [
            f"If the other leg's scores could be looked up, {best.name!r} would be advised: "
            f"{self._gap(best, self.pick)}."
        ]

    def _rerank_words(self, tried: bool) -> list[str]:
        if not tried:
            return ["No reranker was tried; give one to learn from how many ms it pays."]
        pays = break_even(self._costs())
        reranked = [entry for entry in self.entries if isinstance(entry.about, TwoStage)]
        base = self._without_reranker()
        p_holm = _compared(reranked, base)[1]
        alpha = self.setting.alpha
        sure = [each.name for each, p in zip(reranked, p_holm, strict=True) if p < alpha]
        pays = pays[pays["strategy"].isin(sure) & (pays["gain"] > 0)]
        if pays.empty:
            best = _best(reranked)
            return [
                f"Reranking does not pay at any depth tried: at best {best.name!r}, "
                f"{self._gap(best, base)} against {base.name!r}, at {best.ms:.3g} ms per query."
            ]
        row = pays.iloc[0]
        words = (
            f"Reranking pays from {row['pays_from']:.3g} ms per query: {row['strategy']!r}, "
            f"{100 * row['gain']:+.1f} points [{100 * row['gain_low']:+.1f}, "
            f"{100 * row['gain_high']:+.1f}] against {base.name!r} ({base.ms:.3g} ms)"
        )
        budget = self.setting.budget_ms
        if budget is not None and row["pays_from"] > budget:
            words += f"; the budget is {budget:g} ms"
        return [f"{words}."]

    def _without_reranker(self) -> _Entry:
        """Return what is advised if there is no reranker."""
        own = [entry for entry in self.allowed if isinstance(entry.about, Method)]
        return _climb(own, self.setting.alpha, slice(None))[-1]

    def _costs(self) -> pd.DataFrame:
        """Return what :func:`break_even` reads: reranked entries, and what they must beat."""
        import pandas as pd

        base = self._without_reranker()
        kept = [base, *(each for each in self.entries if isinstance(each.about, TwoStage))]
        gains = np.stack([each.values - base.values for each in kept], axis=1)
        low, high = bootstrap_interval(gains, rng=np.random.default_rng(0))
        return pd.DataFrame(
            {
                "strategy": [each.name for each in kept],
                "against": base.name,
                "reranked": [isinstance(each.about, TwoStage) for each in kept],
                "ms_per_query": [each.ms for each in kept],
                "difference": gains.mean(axis=0),
                "difference_low": low,
                "difference_high": high,
            }
        )

    def _leg_words(self) -> list[str]:
        if len(self.legs) < 2:
            return []
        strong = self.simple[0]
        (weak,) = [leg for leg in self.legs if leg is not strong]
        p = float(randomisation_test(strong.values - weak.values))
        if p >= self.setting.alpha:
            return []
        return [
            f"The weak leg is the {weak.name} ({100 * weak.mean:.1f} % alone against "
            f"{100 * strong.mean:.1f} %, {_p(p)}): an encoder or contents that make it better "
            "change what it can add."
        ]

    def _class_words(self, by_class: pd.DataFrame) -> list[str]:
        other = by_class[by_class["p_holm"] < self.setting.alpha]
        return [
            "Queries of class {query_class} alone ({n}) would be served better by {method!r}: "
            "{value:.1%} against {value_of_advised:.1%}, if they can be told from the others "
            "before the search.".format_map(row)
            for row in other.to_dict("records")
            if row["value"] > row["value_of_advised"]
        ]


def _from_here_on(curve: pd.DataFrame, better: pd.Series) -> int | None:
    """Smallest number of labels from which one way of calibrating is better at all larger ones."""
    found = []
    for _, part in curve.assign(better=better).groupby("method", sort=False):
        part = part.sort_values("n_labels", ascending=False)
        stays = part["better"].cummin()
        found += part.loc[stays, "n_labels"].astype(int).tolist()
    return min(found, default=None)


def _round_up(number: float) -> int:
    """Two digits, since that is all such an estimate is good for."""
    step = 10 ** max(0, int(np.floor(np.log10(number))) - 1)
    return int(np.ceil(number / step) * step)


def _p(p: float) -> str:
    if np.isnan(p):
        return "p not defined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
