"""Measure every candidate for an advice on calibration queries that its fit has not seen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation import Run, evaluate, tied_at
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.advising.entry import EFFORTS, Entry
from mmgap.strategies.advising.terms import Terms
from mmgap.strategies.cost import cost_frame
from mmgap.strategies.first_stage import find_pool
from mmgap.strategies.label_budget import JUDGED_DEPTH
from mmgap.strategies.method import CANNOT_FIT, LABELLED_PAIRS, NOTHING, TOLERANCE, Method
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pool import Pool
from mmgap.strategies.run_two_stage import CostedRun, run_two_stage
from mmgap.strategies.split import query_folds, take_queries
from mmgap.strategies.two_stage import TwoStage, View


def measure_entries(
    calibration: Vectors,
    methods: Iterable[Method] | None,
    terms: Terms,
    *,
    reranker: Reranker | None = None,
    depths: Sequence[int],
    n_folds: int = 5,
    cache: bool | str | Path = True,
) -> tuple[list[Entry], dict[str, str]]:
    """Measure methods and reranked strategies, also those that are not allowed.

    Parameters
    ----------
    calibration : Vectors
    methods : iterable of Method or None
    terms : Terms
    reranker, depths, n_folds, cache
        As in :func:`advise`.

    Returns
    -------
    entries : list of Entry
        Simple alternatives first, reranked strategies last.
    failures : dict of str to str
        Methods that cannot be fitted on so little, each with the reason.

    Raises
    ------
    MmgapError
        If a number is out of range, or the calibration queries cannot be divided because all have
        the same relevant documents.
    """
    problem = ""
    if not depths or any(depth < 2 or depth % 2 for depth in depths):
        problem = f"depths are {tuple(depths)}; expected even numbers of at least 2"
    elif n_folds < 2:
        problem = f"n_folds is {n_folds}; expected 2 or more: one part is judged, others are fitted"
    if problem:
        raise MmgapError(problem)
    pool = Pool(calibration)
    entries, failures = _judged_methods(pool, _chosen(methods, pool, terms), terms, n_folds)
    if reranker is not None:
        costed = _rerank(calibration, reranker, depths, lists_only=terms.lists_only, cache=cache)
        entries += _judged_strategies(calibration, costed, terms)
    return entries, failures


def labelled_pool(bank: Pool, terms: Terms) -> Pool:
    """Return what methods that need labels are fitted on: the queries that the labels last for.

    Without a limit, or where labels are not allowed and the method is measured for comparison
    only, all of them.
    """
    n_labels = terms.n_labels
    if terms.too_few_labels:
        return bank
    shown = Pool(bank.vectors, depth=JUDGED_DEPTH)
    order = np.random.default_rng(0).permutation(len(shown.candidates.documents))
    spent = np.cumsum((shown.candidates.documents[order] >= 0).sum(axis=1))
    if n_labels is None or spent[-1] <= n_labels:
        return bank
    n_query = int((spent <= n_labels).sum())
    return Pool(take_queries(bank.vectors, np.sort(order[:n_query])), depth=JUDGED_DEPTH)


def figures_of(run: Run, vectors: Vectors, measure: str) -> np.ndarray:
    """Evaluate a run query by query: what :class:`Entry` holds as ``figures``."""
    values = evaluate(run, vectors.corpus.qrels, [measure], tolerance=TOLERANCE)
    k = parse_measure(measure)[1]
    assert k is not None  # refused before
    orders = [
        values[order][measure].to_numpy() for order in ("expected", "optimistic", "pessimistic")
    ]
    return np.stack([*orders, tied_at(run.scores, k, tolerance=TOLERANCE)])


def _chosen(methods: Iterable[Method] | None, pool: Pool, terms: Terms) -> list[Method]:
    """Methods with different names that can run here, simple alternatives first."""
    from mmgap.strategies.methods import METHODS

    legs = pool.vectors.filled_legs
    simple = [METHODS[f"{leg} leg"] for leg in legs]
    if len(legs) < 2:
        return simple
    simple.append(METHODS[terms.plain])
    asked = METHODS.values() if methods is None else methods
    # The legs stand for themselves: which one is better is part of the choice.
    asked = [method for method in asked if method.name != "best single leg"]
    found = {method.name: method for method in [*simple, *asked]}
    return [
        method for method in found.values() if method.mitigation is None or pool.one_vector_each
    ]


def _judged_methods(
    pool: Pool, methods: Sequence[Method], terms: Terms, n_folds: int
) -> tuple[list[Entry], dict[str, str]]:
    """Judge each method on every calibration query, by a fit that has not seen it."""
    vectors = pool.vectors
    n_query = len(vectors.corpus.queries)
    parts = query_folds(vectors, n_folds) if len(methods) > 1 else []
    search_ms = _search_ms(vectors, pool.depth or 100)
    figures = np.empty((len(methods), 4, n_query))
    seconds = np.zeros(len(methods))
    failures: dict[str, str] = {}
    pool.candidates, pool.relevant  # noqa: B018  (worked out before any clock runs)
    for place, method in enumerate(methods):
        if method.fitted_on == NOTHING:
            seconds[place] = _judge(method, pool, pool, terms, figures[place], slice(None))
    fitted = [place for place, method in enumerate(methods) if method.fitted_on != NOTHING]
    for rows in parts if fitted else []:
        others = np.setdiff1d(np.arange(n_query), rows)
        judged, bank = Pool(take_queries(vectors, rows)), Pool(take_queries(vectors, others))
        labelled = labelled_pool(bank, terms)
        judged.candidates, judged.relevant  # noqa: B018
        for place in fitted:
            if (name := methods[place].name) in failures:
                continue
            fit_on = labelled if methods[place].fitted_on == LABELLED_PAIRS else bank
            try:
                spent = _judge(methods[place], fit_on, judged, terms, figures[place], rows)
            except CANNOT_FIT as error:
                failures[name] = str(error)
            else:
                seconds[place] += spent
    entries = []
    for method, figure, spent in zip(methods, figures, seconds, strict=True):
        searched = search_ms.get(method.name, search_ms["both"])
        if method.name in failures:
            continue
        ms = terms.embed_ms + searched + 1000 * spent / n_query
        entries.append(Entry(method.name, method, _effort(method, terms.plain), figure, ms))
        entries[-1].why_not = terms.obstacle(entries[-1])
    return entries, failures


def _search_ms(vectors: Vectors, depth: int) -> dict[str, float]:
    """Milliseconds of one query: the search of one leg by the name of its method, and of both."""
    n_query = len(vectors.corpus.queries)
    legs = {f"{leg} leg": {leg: vectors.legs[leg]} for leg in vectors.filled_legs}
    searched = {"both": vectors.legs, **legs}
    find_pool(vectors, depth)  # the first search also loads what is loaded late
    return {
        name: 1000 * find_pool(replace(vectors, legs=held), depth).seconds / n_query
        for name, held in searched.items()
    }


def _judge(
    method: Method,
    bank: Pool,
    judged: Pool,
    terms: Terms,
    figures: np.ndarray,
    rows: np.ndarray | slice,
) -> float:
    """Fill in what a method finds for some queries; return the seconds that the merge took."""
    fitted = method.fit(bank)
    began = time.perf_counter()
    run = fitted.run(judged)
    spent = time.perf_counter() - began
    figures[:, rows] = figures_of(run, judged.vectors, terms.measure)
    return spent


def _effort(method: Method, plain: str) -> int:
    if method.family == "leg":
        return 0
    if method.name == plain:
        return 1
    if method.fitted_on == NOTHING:
        return 2
    return 4 if method.fitted_on == LABELLED_PAIRS else 3


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


def _judged_strategies(vectors: Vectors, costed: Sequence[CostedRun], terms: Terms) -> list[Entry]:
    costs = cost_frame(costed, embed_ms=terms.embed_ms)
    entries = []
    for each in costed:
        figures = figures_of(each.run, vectors, terms.measure)
        ms = float(costs["ms_per_query"][each.run.name])
        entries.append(Entry(each.run.name, each.strategy, len(EFFORTS) - 1, figures, ms))
        entries[-1].why_not = terms.obstacle(entries[-1])
    return entries
