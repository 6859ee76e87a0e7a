"""One judge: fit strategies, run them, time them, measure every query, test the differences.

    judged = judge(strategies, test, calibration)                   # fitted on other queries
    judged = judge(strategies, test, folds=5)                       # none by a fit that saw it
    judged = judge(strategies, test, calibration, reranker=scorer)  # with reranked strategies

A :class:`Judged` holds the values of every query; leaderboard, two-stage table, costs, label
budget, advice and verdicts are views of it. A strategy that cannot be fitted or run is left out and
listed with its reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmgap.errors import EncoderError, MissingLegWarning, MmgapError
from mmgap.evaluation import (
    Run,
    bootstrap_interval,
    effect_size,
    evaluate,
    holm,
    randomisation_test,
    tied_at,
)
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.candidates import Pool, query_folds
from mmgap.strategies.catalogue import TRIVIAL
from mmgap.strategies.rerank import PairScorer
from mmgap.strategies.strategy import LABELLED_PAIRS, NOTHING, TOLERANCE, CostedRun, Strategy

if TYPE_CHECKING:
    import pandas as pd

Ties = Literal["expected", "index", "doc_id"]

ORDERS = ("expected", "optimistic", "pessimistic")
"""Of tied documents; a fourth layer of ``Judged.values`` says whether a cut-off is inside ties."""


@dataclass(frozen=True)
class Judged:
    """What every strategy found for every query.

    ``values`` has shape (n_strategy, 4, n_query, n_measure): the mean over the orders of tied
    documents, the best and the worst order, and whether the cut-off falls inside of ties.
    ``costed`` holds each run with its costs by name, ``failures`` why others did not run.
    """

    vectors: Vectors
    strategies: tuple[Strategy, ...]
    measures: tuple[str, ...]
    values: np.ndarray
    costed: dict[str, CostedRun]
    failures: dict[str, str]

    @property
    def names(self) -> list[str]:
        """Names of the strategies that ran."""
        return [strategy.name for strategy in self.strategies]

    def by_query(self, measure: str | None = None, order: str = "expected") -> pd.DataFrame:
        """One row a query, one column a strategy; by default of the first measure."""
        import pandas as pd

        column = 0 if measure is None else self.measures.index(measure)
        found = self.values[:, ORDERS.index(order), :, column]
        return pd.DataFrame(found.T, index=self.vectors.corpus.query_ids, columns=self.names)

    def groups(self, by: str | None) -> dict[str, np.ndarray]:
        """Rows of all queries, and of each value of a metadata field where the corpus has it."""
        labels = self.vectors.corpus.query_frame()
        found = {"all": np.arange(len(labels))}
        if by is not None and by in labels:
            for name in sorted(labels[by].dropna().unique()):
                found[str(name) if name != "all" else f"{by} all"] = np.flatnonzero(
                    labels[by].to_numpy() == name
                )
        return found

    def costs(self, embed_ms: float = np.nan, rows: np.ndarray | None = None) -> pd.DataFrame:
        """Costs of each strategy for a query, on average over these rows: calls and milliseconds.

        ``ms_per_query`` is the sum of embedding (from :func:`embedding_ms`; NaN leaves it out),
        search, merge and reranking.
        """
        import pandas as pd

        chosen = slice(None) if rows is None else rows
        costed = [self.costed[name] for name in self.names]
        table = pd.DataFrame(
            {
                "calls_per_query": [each.calls[chosen].mean() for each in costed],
                "tokens_per_query": [each.tokens[chosen].mean() for each in costed],
                "pixels_per_query": [each.pixels[chosen].mean() for each in costed],
                "embed_ms": embed_ms,
                "search_ms": [1000 * each.search_seconds for each in costed],
                "merge_ms": [1000 * each.merge_seconds for each in costed],
                "rerank_ms": [1000 * each.rerank_seconds[chosen].mean() for each in costed],
            },
            index=pd.Index(self.names, name="strategy"),
        )
        stages = ["embed_ms", "search_ms", "merge_ms", "rerank_ms"]
        table["ms_per_query"] = table[stages].sum(axis=1)
        return table

    def table(
        self,
        against: Iterable[str] = (),
        *,
        test_all: bool = False,
        by: str | None = None,
        weights: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> pd.DataFrame:
        """Means with their intervals and tests; one row per group, measure and strategy.

        ``value`` with its 95 % bootstrap CI over queries, ``n``, ``optimistic`` and ``pessimistic``
        (best and worst order of ties) and ``tied`` (fraction of queries whose cut-off is inside of
        ties). ``against``: the best of these names *on these queries*, hence chosen in its favour,
        with the paired ``difference``, its CI, ``effect_size``, ``p`` of the randomisation test and
        ``p_holm``, corrected over the rows of one group and measure. Tested are all strategies
        outside of ``against``, or with ``test_all`` all but the best. ``weights`` of queries, 1 on
        average. The three of intervals, intervals of differences and tests draw from ``rng`` in
        this order, group by group.
        """
        import pandas as pd

        rng = np.random.default_rng(0) if rng is None else rng
        wanted = {*against}
        legs = [place for place, name in enumerate(self.names) if name in wanted]
        values = self.values.copy()
        if weights is not None:
            values[:, :3] *= weights[:, None]
        tables = [
            _group(group, values[:, :, rows], self.names, self.measures, legs, test_all, rng)
            for group, rows in self.groups(by).items()
        ]
        return pd.concat(tables, ignore_index=True)


def judge(
    strategies: Iterable[Strategy],
    test: Vectors | Pool,
    calibration: Vectors | Pool | None = None,
    *,
    folds: int | None = None,
    reranker: Reranker | PairScorer | None = None,
    measures: Sequence[str] = ("recall@10",),
    min_grade: float | None = None,
    ties: Ties = "expected",
) -> Judged:
    """Fit every strategy on calibration queries and judge it on test queries.

    Vectors become a pool whose lists are deep enough for all strategies and cut-offs; a pool that
    is given is shared, so that its scores and relevance are computed once. ``folds``: no other
    calibration data; each query is judged by a fit on the other parts, and queries with the same
    relevant documents share a part. Without labels a reranked strategy is fitted on all, once.
    ``ties``: the mean over all orders of documents of equal score; or ordered as in the corpus
    (``index``), or by id, descending, as trec_eval does (``doc_id``).

    Raises MmgapError where names repeat, a measure is unknown, or nothing can be run.
    """
    cut_off = deepest_cut_off(measures)
    asked = [strategy.at_least(cut_off) for strategy in strategies]
    _refuse_repeated([strategy.name for strategy in asked])
    if folds is not None and calibration is not None:
        msg = "folds are made of the queries that are judged; leave calibration out, or folds"
        raise MmgapError(msg)
    pool = Pool.of(test, _depth(asked))
    known = None if calibration is None else Pool.of(calibration, _depth(asked))
    scorer = _scorer(reranker, pool.vectors)
    parts = _parts(pool, folds) if folds is not None else None
    costed, failures = {}, {}
    for strategy in asked:
        reason = strategy.obstacle(pool.vectors, pool.legs, scorer)
        if reason:
            failures[strategy.name] = reason
            continue
        try:
            if parts is not None and _needs_parts(strategy):
                costed[strategy.name] = _cross_fitted(strategy, pool, parts, scorer)
            else:
                fitted = strategy.fit(known if parts is None else pool)
                costed[strategy.name] = fitted.run(pool, scorer)
        except EncoderError:  # the reranker failed, which is not the strategy's fault
            raise
        except (ValueError, ArithmeticError) as error:
            failures[strategy.name] = str(error)
    if not costed:
        pool.vectors.need_ranked()
        msg = f"none of the strategies can be run: {failures}"
        raise MmgapError(msg)
    corpus = pool.vectors.corpus
    values = np.empty((len(costed), 4, len(corpus.queries), len(measures)))
    for layer, each in zip(values, costed.values(), strict=True):
        run = ordered(each.run, ties)
        found = evaluate(run, corpus.qrels, measures, min_grade=min_grade, tolerance=TOLERANCE)
        for place, order in enumerate(ORDERS):
            layer[place] = found[order].to_numpy()
        for column, measure in enumerate(measures):
            k = parse_measure(measure)[1]
            layer[3, :, column] = tied_at(run.scores, k, tolerance=TOLERANCE) if k else 0
    ran = tuple(strategy for strategy in asked if strategy.name in costed)
    return Judged(pool.vectors, ran, tuple(measures), values, costed, failures)


def run_strategies(
    vectors: Vectors | Pool,
    strategies: Sequence[Strategy] = TRIVIAL,
    *,
    reranker: Reranker | PairScorer | None = None,
    calibration: Vectors | None = None,
    cache: bool | str | Path = True,
    cut_off: int = 0,
) -> list[Run]:
    """Search the corpus by every strategy: one run each, in their order.

    One that needs a leg without documents (the image leg of an encoder that reads text only) is
    left out, with one ``MissingLegWarning`` that names it. ``calibration``: vectors of other
    queries by the same encoder, for what is fitted. ``cache`` as in :class:`PairScorer`.
    ``cut_off``: the largest at which the runs will be measured; lists go at least so deep. A
    :class:`Pool` in place of vectors may hold further legs.
    """
    _refuse_repeated([strategy.name for strategy in strategies])
    asked = [strategy.at_least(cut_off) for strategy in strategies]
    pool = Pool.of(vectors, _depth(asked))
    vectors = pool.vectors
    scorer = _scorer(reranker, vectors, cache)
    kept = [strategy for strategy in asked if {*strategy.legs} <= {*pool.legs}]
    left_out = [strategy.name for strategy in asked if strategy not in kept]
    if not kept:
        vectors.need_ranked()
        msg = (
            f"no strategy is left to run: {left_out} need legs that {vectors.encoder.id!r} does "
            f"not have for {vectors.corpus.name!r}; legs with documents: {sorted(pool.legs)}"
        )
        raise MmgapError(msg)
    if left_out:
        lacking = ", ".join(sorted({leg for each in asked for leg in each.legs} - {*pool.legs}))
        reason = vectors.hole_words() or f"no {lacking} leg"
        msg = f"{vectors.encoder.id}: {reason}, so left out: {', '.join(left_out)}"
        warnings.warn(msg, MissingLegWarning, stacklevel=2)
    for strategy in kept:
        strategy.refuse_obstacle(vectors, pool.legs, scorer)
    known = None if calibration is None else Pool.of(calibration, _depth(kept))
    return [strategy.fit(known).run(pool, scorer).run for strategy in kept]


def deepest_cut_off(measures: Iterable[str]) -> int:
    """Return the largest cut-off of the measures, 0 where none has one.

    >>> deepest_cut_off(["recall@10", "ndcg@100", "mrr"])
    100
    """
    try:
        return max((parse_measure(measure)[1] or 0 for measure in measures), default=0)
    except ValueError as error:
        raise MmgapError(str(error)) from error


def ordered(run: Run, ties: str) -> Run:
    """Return the run with an order in place of ties: strictly descending scores."""
    if ties == "expected":
        return run
    rank = np.arange(len(run.doc_ids))
    if ties == "doc_id":
        rank[np.argsort(np.asarray(run.doc_ids, dtype=object), kind="stable")[::-1]] = rank.copy()
    tie_break = np.where(run.indices < 0, len(rank), rank[np.maximum(run.indices, 0)])
    order = np.lexsort([tie_break, -run.scores], axis=1)
    indices = np.take_along_axis(run.indices, order, axis=1)
    down = -np.arange(indices.shape[1], dtype=np.float64)
    return replace(run, indices=indices, scores=np.where(indices < 0, -np.inf, down))


def _refuse_repeated(names: Sequence[str]) -> None:
    if not names or len(set(names)) < len(names):
        msg = (
            f"strategies need different names to be told apart in tables, one at least; got {names}"
        )
        raise MmgapError(msg)


def _scorer(
    reranker: Reranker | PairScorer | None, vectors: Vectors, cache: bool | str | Path = True
) -> PairScorer | None:
    if reranker is None or isinstance(reranker, PairScorer):
        return reranker
    return PairScorer(vectors, reranker, cache=cache)


def _depth(strategies: Sequence[Strategy]) -> int | None:
    """How deep the legs are searched for all of them."""
    depths = [strategy.search_depth for strategy in strategies]
    return None if None in depths else max(depth for depth in depths if depth is not None)


def _needs_parts(strategy: Strategy) -> bool:
    """Whether it must be judged by a fit on other queries."""
    if strategy.rerank is not None:
        return strategy.fitted_on == LABELLED_PAIRS
    return strategy.fitted_on != NOTHING


def _parts(pool: Pool, folds: int) -> list[tuple[np.ndarray, Pool, Pool]]:
    """Rows of each part, its pool, and the pool of all others."""
    every = np.arange(pool.shape[0])
    return [
        (rows, pool.take(rows), pool.take(np.setdiff1d(every, rows)))
        for rows in query_folds(pool.vectors, folds)
    ]


def _cross_fitted(
    strategy: Strategy,
    pool: Pool,
    parts: Sequence[tuple[np.ndarray, Pool, Pool]],
    scorer: PairScorer | None,
) -> CostedRun:
    """Run each part by a fit on the others and put the parts together."""
    found = []
    for _, asked, others in parts:
        of_part = None if scorer is None else scorer.of(asked.vectors)
        found.append(strategy.fit(others).run(asked, of_part))
    rows = np.concatenate([part[0] for part in parts])
    back = np.argsort(rows)
    width = max(each.run.indices.shape[1] for each in found)

    def joined(name: str, empty: float) -> np.ndarray:
        padded = [
            np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=empty)
            for values in (getattr(each.run, name) for each in found)
        ]
        return np.concatenate(padded)[back]

    corpus = pool.vectors.corpus
    run = Run(
        strategy.name,
        corpus.query_ids,
        corpus.doc_ids,
        joined("indices", -1),
        joined("scores", -np.inf),
        np.concatenate([each.run.is_complete for each in found])[back],
    )
    totals: dict[str, Any] = {
        name: np.concatenate([getattr(each, name) for each in found])[back]
        for name in ("calls", "tokens", "pixels", "rerank_seconds")
    }
    means: dict[str, Any] = {
        name: float(
            np.average([getattr(each, name) for each in found], weights=[len(p[0]) for p in parts])
        )
        for name in ("search_seconds", "merge_seconds")
    }
    return CostedRun(strategy, run, **totals, **means)


def _group(
    group: str,
    values: np.ndarray,
    names: Sequence[str],
    measures: Sequence[str],
    legs: Sequence[int],
    test_all: bool,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Rows of one group of queries; ``values`` has shape (n_strategy, 4, n_query, n_measure)."""
    import pandas as pd

    means = values.mean(axis=2)
    low, high = bootstrap_interval(np.moveaxis(values[:, 0], 1, 0), rng=rng)
    columns: Mapping[str, np.ndarray] = {
        "value": means[:, 0],
        "ci_low": low,
        "ci_high": high,
        "n": np.full(low.shape, values.shape[2]),
        "optimistic": means[:, 1],
        "pessimistic": means[:, 2],
        "tied": means[:, 3],
    }
    if legs:
        columns = {**columns, **_compared(values[:, 0], names, legs, test_all, rng)}
    n_measure, n_strategy = len(measures), len(names)
    table = pd.DataFrame({name: found.T.ravel() for name, found in columns.items()})
    table.insert(0, "measure", np.repeat(list(measures), n_strategy))
    table.insert(0, "group", group)
    table.insert(0, "strategy", list(names) * n_measure)
    return table


def _compared(
    values: np.ndarray,
    names: Sequence[str],
    legs: Sequence[int],
    test_all: bool,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Compare with the best of ``legs`` by each measure; arrays (n_strategy, n_measure)."""
    means = values.mean(axis=1)
    best = np.array(legs)[means[legs].argmax(axis=0)]
    compared = np.ones(means.shape, dtype=bool)
    if test_all:
        compared[best, range(len(best))] = False
    else:
        compared[list(legs)] = False
    found = {
        name: np.full(means.shape, np.nan)
        for name in (
            "difference",
            "difference_low",
            "difference_high",
            "effect_size",
            "p",
            "p_holm",
        )
    }
    against = np.full(means.shape, np.nan, dtype=object)
    for column, at in enumerate(best):
        against[compared[:, column] | test_all, column] = names[at]
    if compared.any():
        of_best = np.stack([values[at, :, column] for column, at in enumerate(best)], axis=1)
        gains = np.moveaxis(values - of_best, 1, 0)[:, compared]
        found["difference"][compared] = gains.mean(axis=0)
        low, high = bootstrap_interval(gains, rng=rng)
        found["difference_low"][compared], found["difference_high"][compared] = low, high
        found["effect_size"][compared] = effect_size(gains)
        found["p"][compared] = randomisation_test(gains, rng=rng)
        for column in range(means.shape[1]):
            rows = compared[:, column]
            found["p_holm"][rows, column] = holm(found["p"][rows, column])
    return {"against": against, **found}
