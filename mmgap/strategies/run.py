"""Run strategies over vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.evaluation import Run
from mmgap.fusion import COMBINERS
from mmgap.store.vectors import Vectors
from mmgap.strategies.candidates import Candidates, find_candidates
from mmgap.strategies.strategy import TRIVIAL, Strategy


def run_strategies(vectors: Vectors, strategies: Sequence[Strategy] = TRIVIAL) -> list[Run]:
    """Search the corpus by every strategy.

    Parameters
    ----------
    vectors : Vectors
    strategies : sequence of Strategy, default TRIVIAL
        Each name must be different. Strategies of one depth share one search.

    Returns
    -------
    list of Run
        In the order of ``strategies``.

    Raises
    ------
    ValueError
        If two strategies have the same name.
    """
    names = [strategy.name for strategy in strategies]
    if len(set(names)) < len(names):
        msg = f"strategies need different names to be told apart in tables; got {names}"
        raise ValueError(msg)
    candidates = {
        depth: find_candidates(vectors, depth)
        for depth in {strategy.depth for strategy in strategies}
    }
    return [_run(vectors, strategy, candidates[strategy.depth]) for strategy in strategies]


def _run(vectors: Vectors, strategy: Strategy, candidates: Candidates) -> Run:
    listed = np.any([candidates.listed[leg] for leg in strategy.legs], axis=0)
    if strategy.combine is None:
        (leg,) = strategy.legs
        scores = candidates.scores[leg]
    else:
        scores = COMBINERS[strategy.combine](*_leg_scores(strategy, candidates))
    return Run.from_scores(
        strategy.name,
        vectors.corpus.query_ids,
        vectors.corpus.doc_ids,
        np.where(listed, candidates.documents, -1),
        scores,
    )


def _leg_scores(strategy: Strategy, candidates: Candidates) -> list[np.ndarray]:
    if strategy.combine == "rrf":  # ranks exist only for what a leg itself returned
        return [
            np.where(candidates.listed[leg], candidates.scores[leg], np.nan)
            for leg in strategy.legs
        ]
    return [candidates.scores[leg] for leg in strategy.legs]
