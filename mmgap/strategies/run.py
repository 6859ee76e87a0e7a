"""Run strategies over vectors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.errors import MissingLegWarning, MmgapError
from mmgap.evaluation import Run
from mmgap.fusion import FUSIONS, RANK_FUSIONS
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.rerank import run_two_stage
from mmgap.strategies.strategy import TRIVIAL, Strategy
from mmgap.strategies.two_stage import TwoStage

AnyStrategy = Strategy | TwoStage


def run_strategies(
    vectors: Vectors,
    strategies: Sequence[AnyStrategy] = TRIVIAL,
    *,
    reranker: Reranker | PairScorer | None = None,
    calibration: Vectors | None = None,
    cache: bool | str | Path = True,
    cut_off: int = 0,
) -> list[Run]:
    """Search the corpus by every strategy.

    Parameters
    ----------
    vectors : Vectors
    strategies : sequence of Strategy or TwoStage, default TRIVIAL
        Each name must be different. Strategies of one depth share one search. One that needs a leg
        without documents (the image leg of an encoder that reads text only) is left out, with one
        ``MissingLegWarning`` that names it.
    reranker : Reranker or PairScorer, optional
        For two-stage strategies. Every pair of query and document is scored once, whatever number
        of strategies wants it; a :class:`PairScorer` sets options of that.
    calibration : Vectors, optional
        Vectors of another split by the same encoder, for two-stage strategies that are fitted.
    cache : bool or Path, default True
        Where a reranker's scores are kept, as in :class:`PairScorer`: a stopped run goes on where
        it stopped.
    cut_off : int, default 0
        The largest cut-off that the runs will be measured at: lists go at least so deep.

    Returns
    -------
    list of Run
        In the order of ``strategies``.

    Raises
    ------
    ValueError
        If two strategies have the same name.
    MmgapError
        If there is no strategy, or none whose legs are there; if a strategy reranks and there is no
        reranker, or is fitted and there is no calibration data.
    """
    names = [strategy.name for strategy in strategies]
    if len(set(names)) < len(names):
        msg = f"strategies need different names to be told apart in tables; got {names}"
        raise ValueError(msg)
    strategies = [each.at_least(cut_off) for each in _with_their_legs(vectors, strategies)]
    one_stage = [strategy for strategy in strategies if isinstance(strategy, Strategy)]
    two_stages = [strategy for strategy in strategies if isinstance(strategy, TwoStage)]
    candidates = {
        depth: find_candidates(vectors, depth)
        for depth in {strategy.depth for strategy in one_stage}
    }
    runs = {
        strategy.name: _run(vectors, strategy, candidates[strategy.depth]) for strategy in one_stage
    }
    if two_stages:
        if reranker is not None and not isinstance(reranker, PairScorer):
            reranker = PairScorer(vectors, reranker, cache=cache)
        costed = run_two_stage(vectors, two_stages, reranker, calibration=calibration)
        runs |= {each.strategy.name: each.run for each in costed}
    return [runs[strategy.name] for strategy in strategies]


def _with_their_legs(vectors: Vectors, strategies: Sequence[AnyStrategy]) -> list[AnyStrategy]:
    there = set(vectors.ranked_legs)
    kept = [strategy for strategy in strategies if there.issuperset(strategy.legs)]
    left_out = [strategy.name for strategy in strategies if strategy not in kept]
    if not kept:
        vectors.need_ranked()
        msg = (
            f"no strategy is left to run: {left_out} need legs that {vectors.encoder.id!r} does "
            f"not have for {vectors.corpus.name!r}; legs with documents: {sorted(there)}"
        )
        raise MmgapError(msg)
    if left_out:
        lacking = ", ".join(sorted(set(LEGS) - there))
        reason = vectors.hole_words() or f"no {lacking} leg"
        msg = f"{vectors.encoder.id}: {reason}, so left out: {', '.join(left_out)}"
        warnings.warn(msg, MissingLegWarning, stacklevel=3)
    return kept


def _run(vectors: Vectors, strategy: Strategy, candidates: Candidates) -> Run:
    listed = np.any([candidates.listed[leg] for leg in strategy.legs], axis=0)
    if strategy.combine is None:
        (leg,) = strategy.legs
        scores = candidates.scores[leg]
    else:
        scores = FUSIONS[strategy.combine](*_leg_scores(strategy, candidates))
    return Run.from_scores(
        strategy.name,
        vectors.corpus.query_ids,
        vectors.corpus.doc_ids,
        np.where(listed, candidates.documents, -1),
        scores,
        complete=np.all(
            [candidates.listed[leg].sum(axis=1) < strategy.depth for leg in strategy.legs], axis=0
        ),
    )


def _leg_scores(strategy: Strategy, candidates: Candidates) -> list[np.ndarray]:
    if strategy.combine in RANK_FUSIONS:  # ranks exist only for what a leg itself returned
        return [
            np.where(candidates.listed[leg], candidates.scores[leg], np.nan)
            for leg in strategy.legs
        ]
    return [candidates.scores[leg] for leg in strategy.legs]
