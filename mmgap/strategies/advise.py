"""Which merge to use: chosen on calibration queries, judged on test queries.

Every strategy is cross-fitted on calibration queries (``judge(folds=...)``), so that each query is
judged by a fit that has not seen it. The advice is the simplest strategy that nothing allowed is
sure to beat, with the reasons in sentences.

A difference counts when its paired randomisation test, after Holm over what is compared together,
is below .05; brackets hold the 95 % CI of one number or difference by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.encoders.catalog import find_model
from mmgap.errors import EncoderError, MmgapError
from mmgap.evaluation import (
    Run,
    bootstrap_interval,
    differs,
    evaluate,
    holm,
    randomisation_test,
)
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.candidates import Pool
from mmgap.strategies.judge import Judged, judge
from mmgap.strategies.labels import JUDGED_DEPTH
from mmgap.strategies.rerank import PairScorer, Rerank, View
from mmgap.strategies.strategy import (
    BOTH_SCORES,
    LABELLED_PAIRS,
    NOTHING,
    TOLERANCE,
    FittedStrategy,
    Strategy,
)
from mmgap.strategies.tables import points_cell, value_cell

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
"""What a strategy asks of its user, from little to much; more must be earned by better results."""

DEPTHS = (8, 16, 32)
"""Documents that are reranked, where a reranker is given."""

LEAST_LABELS = len(LEGS) * JUDGED_DEPTH
"""Labelled pairs of one query: the first documents of either leg."""

NO_LOOKUP = "needs the other leg's scores"
"""Why a merge is not allowed where lists are all there is."""

_READING = (
    "The rule starts with the better leg and takes a step to more effort only where a method is "
    "significantly better (paired randomisation test over calibration queries).",
    "Brackets hold the 95 % CI of one number or one difference by itself. A corrected p counts how "
    "many methods were compared, and decides.",
    "Not significant does not mean equal: it means that these queries cannot tell.",
    "In the table, differences are to the advised method; a star: significant, corrected for all "
    "methods of that column.",
)
_LABELLED = EFFORTS.index("labelled calibration")
_FOLDS = 5


@dataclass(frozen=True)
class Advice:
    """Which merge to use, why, and what would change that.

    ``table`` has one row a method, best first: ``method``, ``family``, ``fitted_on``, ``sees``,
    ``effort``, ``role`` ("advised", "runner-up", "simple alternative" or empty), ``allowed`` and
    ``why_not`` (what is not allowed is measured too, with all labels there are), ``ms_per_query``;
    ``value`` with its CI, ``optimistic``, ``pessimistic``, ``tied``, ``n`` on calibration queries
    that the fit has not seen; ``difference`` to the advised method, paired, with CI, ``p`` and
    ``p_holm``; with test queries the columns ``test_...`` of the methods that have a role.
    ``by_class``: what the same rule advises for each class of queries alone. ``failures``: methods
    that could not be fitted on so little, with the reason. ``warning``: that no leg finds more than
    chance; else empty.
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
    failures: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""

    def to_text(self) -> str:
        """Return advice, reasons, what would change it and how to read it, one sentence a line."""
        failed = [f"{name}: {reason}" for name, reason in self.failures.items()]
        parts = {
            "Why:": self.reasons,
            "What would change it:": self.what_would_change_it,
            "Left out, because they cannot be fitted or run here:": failed,
            "How to read it:": _READING,
        }
        lines = [f"{self.corpus}, {self.encoder}: use {self.method!r}"]
        lines += [f"Warning: {self.warning}"] if self.warning else []
        for title, sentences in parts.items():
            lines += [title, *(f"  - {each}" for each in sentences)] if sentences else []
        return "\n".join(lines)


def advise(
    calibration: Vectors,
    test: Vectors | None = None,
    *,
    reranker: Reranker | None = None,
    budget_ms: float | None = None,
    n_labels: int | None = 0,
    lists_only: bool = False,
    methods: Iterable[Strategy] | None = None,
    measure: str = "recall@10",
    by: str | None = "query_class",
    depths: Sequence[int] = DEPTHS,
    cache: bool | str | Path = True,
) -> Advice:
    """Choose a merge on calibration queries; report it on test queries.

    **The choice** starts with the better single leg and takes a step to more effort (``EFFORTS``)
    only where a method is significantly better: paired randomisation test, corrected by Holm for
    the methods of equal effort and by Bonferroni for the number of efforts. Of those that are, it
    takes the best one of the least effort, and asks again from there. Where nothing is significant,
    or the better leg finds no more than chance, the leg stays. Test queries have no say.

    ``reranker`` adds reranked strategies: ``depths`` documents, half from each leg, or the first
    ones by the mean of raw scores. ``budget_ms``: most milliseconds for a query, measured on this
    machine in batches. ``n_labels``: labelled pairs that methods may be fitted on, counted as in
    :func:`label_budget`; queries drawn at random are labelled as long as they last; fewer than the
    20 of one query leave out methods that need labels, None allows all judgments. ``lists_only``:
    scores cannot be looked up. ``methods``: None takes ``METHODS``; the legs and the plain merge
    (mean of raw scores, or RRF with ``lists_only``) are added. ``by``: metadata that divides the
    queries.

    The value on calibration queries is the largest of several and so a little too high; the one on
    test queries is not. Parts search the same documents, which is kinder than a new corpus.

    >>> advice = advise(calibration, test, budget_ms=50)  # doctest: +SKIP
    >>> advice.method  # doctest: +SKIP
    'raw, mean'
    """
    terms = _Terms(n_labels, lists_only, budget_ms, measure)
    if not depths or any(depth < 2 or depth % 2 for depth in depths):
        msg = f"depths are {tuple(depths)}; expected even numbers of at least 2"
        raise MmgapError(msg)
    for vectors in (calibration, test):
        if vectors is not None:
            vectors.need_ranked()
    pool = Pool.of(calibration)
    strategies = _chosen(pool, methods, terms)
    fitted = any(each.fitted_on != NOTHING for each in strategies)
    scorer = None
    if reranker is not None:
        scorer = PairScorer(calibration, reranker, cache=cache)
        strategies += _reranked(reranker, pool.legs, depths, lists_only=lists_only)
    judged = judge(
        strategies, pool, folds=_FOLDS if fitted else None, reranker=scorer, measures=[measure]
    )
    choice = Choice(_entries(judged, terms), terms, chance_values(calibration, measure))
    table = _choice_table(choice)
    classes = {name: rows for name, rows in judged.groups(by).items() if name != "all"}
    by_class = _class_table(choice, classes)
    reasons = _reasons(choice, calibration)
    if test is not None:
        of_test = None if reranker is None else PairScorer(test, reranker, cache=cache)
        held_out = _held_out(choice, calibration, test, of_test)
        table = table.merge(held_out, on="method", how="left")
        reasons += _test_words(choice, test, held_out)
    return Advice(
        calibration.corpus.name,
        calibration.encoder.id,
        choice.pick.name,
        None if choice.next is None else choice.next.name,
        measure,
        table,
        by_class,
        tuple(reasons),
        tuple(_changes(choice, by_class)),
        judged.failures,
        _warning(choice, calibration),
    )


def format_advice(advice: Advice, *, top: int | None = 10) -> pd.DataFrame:
    """Lay the table behind an advice out for reading, the best method first.

    ``top`` methods besides those that have a role and the best reranked one; None shows all. A
    star: significant after Holm.
    """
    table = advice.table
    if top is not None:
        has_role, reranked = table["role"] != "", table["family"] == "reranked"
        best_reranked = reranked & (reranked.cumsum() == 1)  # whoever brought one looks for it
        table = table[has_role | best_reranked | ((~has_role).cumsum() <= top)]

    def cells(*names: str) -> list[str]:
        return [value_cell(*row) for row in table[list(names)].to_numpy()]

    def differences(start: str) -> list[str]:
        rows = table[[f"{start}difference", f"{start}p_holm"]].to_numpy()
        return [
            "" if role == "advised" else points_cell(*row)
            for row, role in zip(rows, table["role"], strict=True)
        ]

    shown = table[["method", "role", "effort", "why_not"]].assign(
        ms=[f"{ms:.3g}" for ms in table["ms_per_query"]],
        calibration=cells("value", "ci_low", "ci_high"),
        difference=differences(""),
    )
    if "test_value" in table:
        shown["test"] = cells("test_value", "test_low", "test_high")
        shown["difference there"] = differences("test_")
    return shown.rename(columns={"why_not": "not allowed"}).reset_index(drop=True)


def chance_values(vectors: Vectors, measure: str) -> np.ndarray:
    """Return what a random order of all documents scores in expectation, query by query."""
    corpus = vectors.corpus
    shape = (len(corpus.queries), len(corpus.documents))
    every = np.broadcast_to(np.arange(shape[1]), shape)
    run = Run.from_scores("chance", corpus.query_ids, corpus.doc_ids, every, np.zeros(shape))
    return evaluate(run, corpus.qrels, [measure])["expected"][measure].to_numpy()


# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Terms:
    """What is allowed, and how it is judged; as in :func:`advise`."""

    n_labels: int | None = 0
    lists_only: bool = False
    budget_ms: float | None = None
    measure: str = "recall@10"

    def __post_init__(self) -> None:
        problem = ""
        if parse_measure(self.measure)[1] is None:
            problem = f"measure {self.measure!r} has no cut-off; expected one such as 'recall@10'"
        elif self.budget_ms is not None and not self.budget_ms > 0:
            problem = (
                f"budget_ms is {self.budget_ms}; expected milliseconds above 0, or None for no "
                "limit"
            )
        elif self.n_labels is not None and self.n_labels < 0:
            problem = f"n_labels is {self.n_labels}; expected 0 or more, or None for all judgments"
        if problem:
            raise MmgapError(problem)

    @property
    def plain(self) -> str:
        """Name of the merge that anyone would try first."""
        return "RRF, k = 60" if self.lists_only else "raw, mean"

    @property
    def too_few_labels(self) -> bool:
        """Whether labels do not last for one query, of which each leg shows its first documents."""
        return self.n_labels is not None and self.n_labels < LEAST_LABELS

    def obstacle(self, entry: Entry) -> str:
        """Why an entry is not allowed; empty if it is."""
        about = entry.about
        if about.rerank is None:
            if about.fitted_on == LABELLED_PAIRS and self.too_few_labels:
                return "needs labels"
            if about.sees == BOTH_SCORES and self.lists_only and about.family != "leg":
                return NO_LOOKUP
        # The legs always remain: something must be advised.
        too_slow = self.budget_ms is not None and entry.ms > self.budget_ms
        return "too slow" if too_slow and entry.effort > 0 else ""


@dataclass(eq=False)
class Entry:
    """A strategy, its effort (a place in ``EFFORTS``), and what it found on calibration queries.

    ``layers`` has shape (4, n_query): the measure in expected, best and worst order of ties, and
    whether the cut-off is inside of ties. ``why_not`` is empty if it is allowed.
    """

    about: Strategy
    effort: int
    layers: np.ndarray
    ms: float
    why_not: str = ""

    @property
    def name(self) -> str:
        """Of the strategy."""
        return self.about.name

    @property
    def values(self) -> np.ndarray:
        """The measure of each query, in expectation over ties."""
        return self.layers[0]

    @property
    def mean(self) -> float:
        """The measure, over all queries."""
        return float(self.layers[0].mean())


@dataclass(frozen=True)
class _FewLabels(Strategy):
    """A strategy fitted on as many labelled pairs as there may be, the first ten of either leg."""

    n_labels: int = 0

    def fit(self, calibration: Pool | Vectors | None = None) -> FittedStrategy:
        assert calibration is not None
        pool = Pool.of(calibration, JUDGED_DEPTH)
        shown = (pool.found.of(pool.legs, JUDGED_DEPTH).documents >= 0).sum(axis=1)
        order = np.random.default_rng(0).permutation(len(shown))
        spent = np.cumsum(shown[order])
        if spent[-1] <= self.n_labels:
            return super().fit(calibration)
        few = pool.take(np.sort(order[: int((spent <= self.n_labels).sum())]))
        return replace(Strategy.fit(replace(self, depth=JUDGED_DEPTH), few), strategy=self)


def _chosen(pool: Pool, methods: Iterable[Strategy] | None, terms: _Terms) -> list[Strategy]:
    """Methods with different names that can run here, simple alternatives first."""
    from mmgap.strategies.catalogue import METHODS

    simple = [METHODS[f"{leg} leg"] for leg in pool.legs]
    if len(simple) < 2:
        return simple
    simple.append(METHODS[terms.plain])
    asked = METHODS.values() if methods is None else methods
    # The legs stand for themselves: which one is better is part of the choice.
    asked = [method for method in asked if method.name != "best single leg"]
    found = {method.name: method for method in [*simple, *asked]}
    few = terms.n_labels is not None and not terms.too_few_labels
    return [
        _FewLabels(**vars(each), n_labels=terms.n_labels or 0)
        if few and each.fitted_on == LABELLED_PAIRS
        else each
        for each in found.values()
        if each.mitigation is None or pool.one_vector_each
    ]


def _reranked(
    reranker: Reranker, legs: Sequence[str], depths: Sequence[int], *, lists_only: bool
) -> list[Strategy]:
    """Reranked strategies, on both views where the reranker takes them, else the one it takes."""
    taken = [leg for leg in LEGS if f"text-{leg}" in reranker.info.modalities]
    view: View = "average" if len(taken) == 2 else "image" if taken == ["image"] else "text"
    found = [
        Strategy(f"rerank {depth}", tuple(legs), rerank=Rerank(view, depth // len(legs)))
        for depth in depths
    ]
    if len(legs) == 2 and not lists_only:
        found += [
            Strategy(
                f"mean of raw scores, rerank {depth}", merge="mean", rerank=Rerank(view, depth)
            )
            for depth in depths
        ]
    return found


def _entries(judged: Judged, terms: _Terms) -> list[Entry]:
    costs = judged.costs()
    vectors, legs = judged.vectors, judged.vectors.ranked_legs
    entries = []
    for at, (strategy, layers) in enumerate(zip(judged.strategies, judged.values, strict=True)):
        ms = costs["ms_per_query"].iloc[at]
        if len(legs) > 1 and strategy.family == "leg":  # which need not search the other one
            alone = Pool(replace(vectors, legs={leg: vectors.legs[leg] for leg in strategy.legs}))
            ms += 1000 * alone.search_seconds - costs["search_ms"].iloc[at]
        entries.append(Entry(strategy, _effort(strategy, terms.plain), layers[:, :, 0], float(ms)))
        entries[-1].why_not = terms.obstacle(entries[-1])
    return entries


def _effort(strategy: Strategy, plain: str) -> int:
    if strategy.rerank is not None:
        return len(EFFORTS) - 1
    if strategy.family == "leg":
        return 0
    if strategy.name == plain:
        return 1
    if strategy.fitted_on == NOTHING:
        return 2
    return _LABELLED if strategy.fitted_on == LABELLED_PAIRS else 3


# --- the rule ------------------------------------------------------------------------------------


class Choice:
    """What the rule chose among entries, and what stands beside it.

    ``entries`` and ``allowed`` ones, the largest value first; ``path`` (see :func:`climb`), whose
    end is the ``pick``; ``next``, the best of the other allowed ones; ``legs``; ``simple``, the
    better leg and the plain merge; ``above_chance``, whether the better leg finds significantly
    more than ``chance``. Where it does not, there is no signal to merge and the leg is the pick.
    """

    def __init__(
        self, entries: Sequence[Entry], terms: _Terms, chance: np.ndarray | None = None
    ) -> None:
        self.terms, self.chance = terms, chance
        # Stable, so that of equal values the simpler one, which was added first, comes first.
        self.entries = sorted(entries, key=lambda entry: -round(entry.mean, 12))
        self.allowed = [entry for entry in self.entries if not entry.why_not]
        self.legs = [entry for entry in self.entries if entry.effort == 0]
        leg = best_of(self.legs)
        self.above_chance = True
        if chance is not None:
            lead = leg.values - chance
            self.above_chance = bool(lead.mean() > 0 and differs(randomisation_test(lead)))
        self.path = climb(self.allowed) if self.above_chance else [leg]
        self.pick = self.path[-1]
        rest = [entry for entry in self.allowed if entry is not self.pick]
        self.next = best_of(rest) if rest else None
        self.simple = [leg, *(entry for entry in self.entries if entry.name == terms.plain)]

    def role(self, entry: Entry) -> str:
        """Return "advised", "runner-up", "simple alternative", or nothing."""
        if entry is self.pick:
            return "advised"
        if entry is self.next:
            return "runner-up"
        return "simple alternative" if entry in self.simple else ""

    def step_p(self, low: Entry, high: Entry) -> float:
        """Return p of a step from less effort to more, corrected as in the choice."""
        higher = [entry for entry in self.allowed if entry.effort > low.effort]
        if high not in higher:  # not allowed, so it was no choice
            return float(randomisation_test(high.values - low.values))
        return float(compared(higher, low)[1][higher.index(high)])


def climb(entries: Sequence[Entry], rows: np.ndarray | slice = slice(None)) -> list[Entry]:
    """Return the path from the least effort by significant steps alone; the last one is advised."""
    least = min(entry.effort for entry in entries)
    path = [best_of([entry for entry in entries if entry.effort == least], rows)]
    while higher := [entry for entry in entries if entry.effort > path[-1].effort]:
        gain, p = compared(higher, path[-1], rows)
        better = [higher[at] for at in np.flatnonzero((gain > 0) & differs(p))]
        if not better:
            break
        least = min(entry.effort for entry in better)
        path.append(best_of([entry for entry in better if entry.effort == least], rows))
    return path


def best_of(entries: Sequence[Entry], rows: np.ndarray | slice = slice(None)) -> Entry:
    """Return the entry with the largest mean; of equal ones the first."""
    means = np.array([entry.values[rows].mean() for entry in entries])
    return entries[int(np.argmax(means >= means.max() - TOLERANCE))]


def compared(
    entries: Sequence[Entry], with_: Entry, rows: np.ndarray | slice = slice(None)
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


def _choice_table(choice: Choice) -> pd.DataFrame:
    import pandas as pd

    entries = choice.entries
    layers = np.stack([entry.layers for entry in entries])
    others = np.array([entry is not choice.pick for entry in entries])
    found = _against(layers[:, 0].T, int(np.flatnonzero(~others)[0]))
    reranks = [entry.about.rerank is not None for entry in entries]
    about = {
        "method": [entry.name for entry in entries],
        "role": [choice.role(entry) for entry in entries],
        "family": [entry.about.family for entry in entries],
        "fitted_on": [
            NOTHING if reranked else entry.about.fitted_on
            for entry, reranked in zip(entries, reranks, strict=True)
        ],
        "sees": [
            "documents" if reranked else entry.about.sees
            for entry, reranked in zip(entries, reranks, strict=True)
        ],
        "effort": [EFFORTS[entry.effort] for entry in entries],
        "allowed": [not entry.why_not for entry in entries],
        "why_not": [entry.why_not for entry in entries],
        "ms_per_query": [entry.ms for entry in entries],
        "measure": choice.terms.measure,
        "value": found["value"],
        "ci_low": found["low"],
        "ci_high": found["high"],
        "optimistic": layers[:, 1].mean(axis=1),
        "pessimistic": layers[:, 2].mean(axis=1),
        "tied": layers[:, 3].mean(axis=1),
        "n": layers.shape[2],
    }
    rest = ("difference", "difference_low", "difference_high", "p", "p_holm")
    return pd.DataFrame(about | {name: found[name] for name in rest})


def _against(values: np.ndarray, pick: int) -> dict[str, np.ndarray]:
    """Means and paired differences to one column of (n_query, n_entry), with CI and p."""
    gains = values - values[:, [pick]]
    low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
    gain_low, gain_high = bootstrap_interval(gains, rng=np.random.default_rng(0))
    p = randomisation_test(gains)
    others = np.arange(len(p)) != pick
    p_holm = np.full(len(p), np.nan)
    p_holm[others] = holm(p[others])
    return {
        "value": values.mean(axis=0),
        "low": low,
        "high": high,
        "difference": gains.mean(axis=0),
        "difference_low": gain_low,
        "difference_high": gain_high,
        "p": np.where(others, p, np.nan),
        "p_holm": p_holm,
    }


def _class_table(choice: Choice, classes: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Ask the same rule for the queries of each class alone."""
    import pandas as pd

    rows = []
    for name, members in classes.items():
        pick = climb(choice.allowed, members)[-1]
        p = np.nan
        if pick is not choice.pick:
            others = [entry for entry in choice.allowed if entry is not choice.pick]
            p = float(compared(others, choice.pick, members)[1][others.index(pick)])
        values = [entry.values[members].mean() for entry in (pick, choice.pick)]
        rows.append((name, len(members), pick.name, *values, p))
    columns = ["query_class", "n", "method", "value", "value_of_advised", "p_holm"]
    return pd.DataFrame(rows, columns=columns)


def _held_out(
    choice: Choice, calibration: Vectors, test: Vectors, scorer: PairScorer | None
) -> pd.DataFrame:
    """Judge what has a role on test queries, fitted on all calibration ones: columns test_..."""
    import pandas as pd

    shown = [entry.about for entry in choice.entries if choice.role(entry)]
    judged = judge(shown, test, calibration, reranker=scorer, measures=[choice.terms.measure])
    if choice.pick.name not in judged.names:  # there is no advice without its number
        raise MmgapError(judged.failures[choice.pick.name])
    found = _against(judged.by_query().to_numpy(), judged.names.index(choice.pick.name))
    columns = ("value", "low", "high", "difference", "difference_low", "difference_high", "p_holm")
    return pd.DataFrame(
        {"method": judged.names} | {f"test_{name}": found[name] for name in columns}
    )


# --- why, in sentences ---------------------------------------------------------------------------


def _warning(choice: Choice, vectors: Vectors) -> str:
    """Say that nothing finds more than chance, and what the encoder reads; else empty."""
    if choice.above_chance or choice.chance is None:
        return ""
    try:
        languages = ", ".join(find_model(vectors.encoder.id).languages)
        reads = f" {vectors.encoder.id!r} reads {languages} by its catalogue row;"
    except EncoderError:
        reads = ""
    return (
        f"no leg finds more than chance, so there is nothing to merge: {choice.pick.name!r} has "
        f"{choice.terms.measure} {100 * choice.pick.mean:.1f} %, a random order of the documents "
        f"{100 * choice.chance.mean():.1f} %.{reads} check the language of the queries and the "
        "judgments, or try another encoder."
    )


def _reasons(choice: Choice, calibration: Vectors) -> list[str]:
    pick, budget = choice.pick, choice.terms.budget_ms
    low, high = bootstrap_interval(pick.values, rng=np.random.default_rng(0))
    judged = "nothing is fitted"
    if pick.about.rerank is None and pick.about.fitted_on != NOTHING:
        judged = (
            f"fitted on {pick.about.fitted_on}, and each query judged by a fit that has not seen it"
        )
    found = [
        f"{pick.name!r} ({EFFORTS[pick.effort]}) has {choice.terms.measure} {100 * pick.mean:.1f} "
        f"% [{100 * low:.1f}, {100 * high:.1f}] on {_pool_words(calibration, 'calibration')}, by "
        f"which it was chosen; {judged}; {_ms_words(pick)}."
    ]
    if len(choice.legs) == 1:
        found.append("Only this leg holds documents, so there is nothing to merge.")
    found += [*_why(choice), *_ties(choice)]
    counts: dict[str, int] = {}
    for entry in choice.entries:
        if entry.why_not:
            counts[entry.why_not] = counts.get(entry.why_not, 0) + 1
    if counts:
        listed = ", ".join(f"{reason} ({n})" for reason, n in counts.items())
        found.append(
            f"{sum(counts.values())} of {len(choice.entries)} methods are not allowed here: "
            f"{listed}."
        )
    if budget is not None and pick.ms > budget:
        found.append(
            f"The budget of {budget:g} ms per query is below what the search of one leg takes "
            f"({pick.ms:.3g} ms), the least there is."
        )
    return found


def _why(choice: Choice) -> list[str]:
    pick, found = choice.pick, []
    for simple in choice.simple:
        if simple is pick:
            continue
        low, high = sorted((simple, pick), key=lambda entry: entry.effort)
        sure = "significant" if differs(choice.step_p(low, high)) else "not significant"
        barred = f", not allowed here: {simple.why_not}" if simple.why_not else ""
        found.append(
            f"Against the simple alternative {simple.name!r} ({100 * simple.mean:.1f} %{barred}): "
            f"{_gap_words(pick, simple)}, {_step_words(choice, low, high)}: {sure}."
        )
    best = best_of(choice.allowed)
    if best.mean <= pick.mean + TOLERANCE:
        return found
    start = f"{best.name!r} has the highest value ({100 * best.mean:.1f} %), but "
    if not choice.above_chance:
        found.append(f"{start}chance cannot be ruled out while no leg finds more than that.")
    elif best.effort > pick.effort:
        n = sum(entry.effort > pick.effort for entry in choice.allowed)
        found.append(
            f"{start}{_gap_words(best, pick)} is not significant "
            f"({_step_words(choice, pick, best)}: for the choice among {n} methods of more "
            "effort), so the simpler method is advised."
        )
    else:  # else it would have been the step from there that led to the advised method
        base = [entry for entry in choice.path if entry.effort < best.effort][-1]
        found.append(
            f"{start}is not significantly better than the simpler {base.name!r}: "
            f"{_gap_words(best, base)}, {_step_words(choice, base, best)}; the advised method is."
        )
    return found


def _ties(choice: Choice) -> list[str]:
    _, optimistic, pessimistic, tied = choice.pick.layers.mean(axis=1)
    if max(tied, optimistic - pessimistic) <= 0.1:
        return []
    return [
        f"Ties: for {100 * tied:.0f} % of the queries the cut-off falls inside tied documents; "
        f"by their order the value lies between {100 * pessimistic:.1f} % and "
        f"{100 * optimistic:.1f} %. Values here are means over these orders."
    ]


def _test_words(choice: Choice, test: Vectors, found: pd.DataFrame) -> list[str]:
    rows = found.set_index("method")
    own = rows.loc[choice.pick.name]
    words = [
        f"On {_pool_words(test, 'test')}, which had no say in the choice: "
        f"{100 * own['test_value']:.1f} % "
        f"[{100 * own['test_low']:.1f}, {100 * own['test_high']:.1f}]."
    ]
    for row in rows.drop(choice.pick.name).reset_index().to_dict("records"):
        # The table holds the other minus the advised one; words say it the other way round.
        low, high = -row["test_difference_high"], -row["test_difference_low"]
        words.append(
            f"There, against {row['method']!r}: {-100 * row['test_difference']:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}], corrected "
            f"{_p_words(row['test_p_holm'])}."
        )
    return words


# --- what would change it, in sentences ----------------------------------------------------------


def _changes(choice: Choice, by_class: pd.DataFrame) -> list[str]:
    found = []
    if choice.next is not None:
        found.append(
            f"The next best is {choice.next.name!r} ({EFFORTS[choice.next.effort]}): "
            f"{_gap_words(choice.next, choice.pick)} against the advice."
        )
    terms = choice.terms
    if len(choice.legs) > 1:
        if choice.pick.effort == _LABELLED:
            found += _other_terms(choice, "Without labels", replace(terms, n_labels=0))
        elif terms.too_few_labels:
            found += _other_terms(
                choice, "With all these judgments as labels", replace(terms, n_labels=None)
            )
    if terms.lists_only:
        found += _other_terms(
            choice, "With the other leg's scores looked up", replace(terms, lists_only=False)
        )
    if terms.budget_ms is not None:
        found += _other_terms(choice, "With a larger budget", replace(terms, budget_ms=None))
    return [*found, _rerank_words(choice), *_class_words(by_class)]


def _other_terms(choice: Choice, start: str, terms: _Terms) -> list[str]:
    """Say what the same rule advises where more, or less, is allowed."""
    if not choice.above_chance:
        return []
    best = climb([each for each in choice.entries if not terms.obstacle(each)])[-1]
    if best is choice.pick:
        return [f"{start} the advice would be the same."]
    p = _p_words(float(randomisation_test(best.values - choice.pick.values)))
    return [
        f"{start} {best.name!r} would be advised ({best.ms:.3g} ms per query): "
        f"{_gap_words(best, choice.pick)}, {p}."
    ]


def _rerank_words(choice: Choice) -> str:
    """Say from how many ms reranking pays, tested as in the choice but without its budget."""
    reranked = [entry for entry in choice.entries if entry.about.rerank is not None]
    if not reranked:
        return "No reranker was tried; give one to learn from how many ms it pays."
    own = [entry for entry in choice.allowed if entry.about.rerank is None]
    base = choice.pick if choice.pick in own else climb(own)[-1]
    rivals = [entry for entry in choice.allowed if entry.effort > base.effort]
    rivals += [entry for entry in reranked if entry.why_not]
    gains, corrected = compared(rivals, base)
    p = {entry.name: own_p for entry, own_p in zip(rivals, corrected, strict=True)}
    gain = {entry.name: own_gain for entry, own_gain in zip(rivals, gains, strict=True)}
    sure = [each for each in reranked if gain[each.name] > 0 and differs(p[each.name])]
    best = min(sure, key=lambda entry: entry.ms) if sure else best_of(reranked)
    words = (
        f"{best.name!r}, {_gap_words(best, base)} against {base.name!r} ({base.ms:.3g} ms), "
        f"corrected {_p_words(p[best.name])}"
    )
    if sure:
        return f"Reranking pays from {best.ms:.3g} ms per query: {words}."
    return (
        "Reranking does not pay at any depth tried, as far as these queries can tell: at best "
        f"{words}; {_ms_words(best)}."
    )


def _class_words(by_class: pd.DataFrame) -> list[str]:
    p = by_class["p_holm"].to_numpy(dtype=float, copy=True)
    tested = ~np.isnan(p)
    p[tested] = holm(p[tested])  # over the classes too
    gains = (by_class["value"] > by_class["value_of_advised"]).to_numpy()
    return [
        f"Queries of class {row['query_class']} alone ({row['n']}) would be served better by "
        f"{row['method']!r}: {100 * row['value']:.1f} % against "
        f"{100 * row['value_of_advised']:.1f} %, corrected {_p_words(each)}, if they can "
        "be told from the others before the search."
        for row, each, gain in zip(by_class.to_dict("records"), p, gains, strict=True)
        if gain and differs(each)
    ]


def _gap_words(entry: Entry, other: Entry) -> str:
    """Write how much more one entry has than another, with the paired 95 % CI."""
    gain = entry.values - other.values
    low, high = bootstrap_interval(gain, rng=np.random.default_rng(0))
    return f"{100 * gain.mean():+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def _p_words(p: float, corrected: float | None = None) -> str:
    """Write a p-value, and what is left of it after the correction.

    >>> _p_words(0.0271, 0.1626)
    'p = 0.027, corrected p = 0.163'
    >>> _p_words(0.0004)
    'p < 0.001'
    """
    if np.isnan(p):
        return "p not defined"
    words = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return words if corrected is None else f"{words}, corrected {_p_words(corrected)}"


def _step_words(choice: Choice, low: Entry, high: Entry) -> str:
    """Write p of a step from less effort to more, as it is and as the choice corrects it.

    What is not allowed was not up for choice and so has nothing to be corrected for.
    """
    p = float(randomisation_test(high.values - low.values))
    return _p_words(p, None if high.why_not or low.why_not else choice.step_p(low, high))


def _ms_words(entry: Entry) -> str:
    return f"{entry.ms:.3g} ms per query, measured here without the encoder's time"


def _pool_words(vectors: Vectors, split: str) -> str:
    corpus = vectors.corpus
    return f"{len(corpus.queries):,} {split} queries over {len(corpus.documents):,} documents"
