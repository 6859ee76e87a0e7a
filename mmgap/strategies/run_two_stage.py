"""Run two-stage strategies, and count what they cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.index.vectors import Vectors
from mmgap.strategies.first_stage import FirstStage, Pool, find_pool, first_stage, margins
from mmgap.strategies.pair_scorer import SHOWN, PairScorer
from mmgap.strategies.two_stage import TwoStage


@dataclass(frozen=True)
class CostedRun:
    """A run with what it cost, as if it had run alone.

    Parameters
    ----------
    strategy : TwoStage
    run : Run
    calls : int array of shape (n_query,)
        Reranker calls of each query: different pairs, whether or not another strategy or the cache
        had them already.
    tokens, pixels : int array of shape (n_query,)
        Text tokens, at four characters a token, and pixels that those calls gave to the model.
    rerank_seconds : float array of shape (n_query,)
        Time of those calls, measured when each pair was scored. Decoding of pictures is not in it,
        nor what the reranker reads of a document ahead of any query (``mini-reranker`` does).
        Pairs are scored in large batches, over which it is spread evenly, so this is the time of a
        busy server, not of one query alone; the reading of a query is in it, and counts more than
        once where documents share a call.
    search_seconds, merge_seconds : float
        Time of one query in the legs' search, to the largest depth of all strategies run together,
        and in choosing and ordering its candidates: the mean over queries.
    """

    strategy: TwoStage
    run: Run
    calls: np.ndarray
    tokens: np.ndarray
    pixels: np.ndarray
    rerank_seconds: np.ndarray
    search_seconds: float
    merge_seconds: float


def run_two_stage(
    vectors: Vectors,
    strategies: Sequence[TwoStage],
    scorer: PairScorer | None = None,
    *,
    calibration: Vectors | None = None,
) -> list[CostedRun]:
    """Run strategies whose legs are there; every pair of query and document is scored once.

    Parameters
    ----------
    vectors : Vectors
    strategies : sequence of TwoStage
    scorer : PairScorer or None
        Of the same vectors; ``None`` where no strategy reranks.
    calibration : Vectors or None
        Vectors of another split by the same encoder, for strategies that are fitted.

    Returns
    -------
    list of CostedRun
        In the order of ``strategies``. Documents that are not reranked (beyond the budget, or
        without the modality that is shown) follow the others in the order of the first stage;
        their scores say their order and nothing else.

    Raises
    ------
    MmgapError
        If a strategy reranks and there is no scorer, the corpus has no texts and images to show,
        or calibration data is missing.
    EncoderError
        If the reranker does not take a kind of pair, or fails.
    """
    _refuse_without_reranker(vectors, strategies, scorer)
    if vectors.holes.keys() & {leg for strategy in strategies for leg in strategy.legs}:
        vectors.need_ranked()
    pool = find_pool(vectors, max(strategy.search_depth for strategy in strategies))
    plans = []
    for strategy in strategies:
        began = time.perf_counter()
        stage = first_stage(strategy, pool, calibration=calibration)
        plans.append(_Plan(strategy, stage, pool, scorer))
        plans[-1].seconds += time.perf_counter() - began
    if scorer is not None:
        _require_all(scorer, pool, [plan.wanted for plan in plans])
        for plan in plans:
            plan.refine()
        _require_all(scorer, pool, [plan.wanted for plan in plans])
    return [plan.finish(vectors) for plan in plans]


def _require_all(
    scorer: PairScorer, pool: Pool, wanted: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Score what any of the strategies wants, together, so that batches are large."""
    together = {
        shown: np.any(masks, axis=0)
        for shown in SHOWN
        if (masks := [each[shown] for each in wanted if shown in each])
    }
    scorer.require(together, pool.documents)


def _refuse_without_reranker(
    vectors: Vectors, strategies: Sequence[TwoStage], scorer: PairScorer | None
) -> None:
    reranked = [strategy.name for strategy in strategies if strategy.view is not None]
    if reranked and scorer is None:
        msg = (
            f"strategies {reranked} rerank; expected reranker=, e.g. "
            "mg.load_reranker('mini-reranker')"
        )
        raise MmgapError(msg)
    if reranked and isinstance(vectors.corpus, FeatureCorpus):
        msg = (
            f"corpus {vectors.corpus.name!r} holds ready-made vectors, and no texts or images that "
            f"a reranker could read; leave {reranked} out"
        )
        raise MmgapError(msg)


class _Plan:
    """One strategy on its way: which pairs it wants, and what becomes of their scores."""

    def __init__(
        self, strategy: TwoStage, stage: FirstStage, pool: Pool, scorer: PairScorer | None
    ) -> None:
        self.strategy, self.stage, self.pool, self.scorer = strategy, stage, pool, scorer
        self.seconds = 0.0
        self.passes: list[tuple[str, dict[str, np.ndarray]]] = []
        self.wanted: dict[str, np.ndarray] = {}
        if strategy.view is not None:
            candidates = stage.candidates
            if strategy.margin is not None:
                candidates = candidates & (margins(stage) < strategy.margin)[:, None]
            shown = self._within_budget(self._shown(strategy.view, candidates))
            self._add_pass(strategy.view, shown)

    def refine(self) -> None:
        """Choose the documents of the second pass by the scores of the first."""
        if self.strategy.refine is None:
            return
        began = time.perf_counter()
        view, n_best = self.strategy.refine
        scores = self._scores(*self.passes[0])
        order = np.where(np.isnan(scores), -np.inf, scores)
        places = np.argsort(np.argsort(-order, axis=1, kind="stable"), axis=1)
        chosen = (places < n_best) & ~np.isnan(scores)
        self._add_pass(view, self._shown(view, chosen))
        self.seconds += time.perf_counter() - began

    def finish(self, vectors: Vectors) -> CostedRun:
        """Put the documents in order and add up what that cost."""
        began = time.perf_counter()
        if self.strategy.view is None and self.strategy.merge is None:
            blocks = [self._raw()]
        else:
            # The last pass comes first; what it did not score follows by the one before.
            blocks = [self._scores(*each) for each in reversed(self.passes)]
            blocks.append(np.where(self.stage.listed, self.stage.order, np.nan))
        scores = _stacked(blocks)
        run = Run.from_scores(
            self.strategy.name,
            vectors.corpus.query_ids,
            vectors.corpus.doc_ids,
            np.where(np.isnan(scores), -1, self.pool.documents),
            scores,
            complete=self.stage.listed.sum(axis=1) < self.strategy.search_depth,
        )
        n_query = len(self.pool.documents)
        totals = {name: np.zeros(n_query) for name in ("tokens", "pixels", "seconds")}
        for shown, mask in self.wanted.items():
            assert self.scorer is not None
            records = self.scorer.look_up(shown, mask, self.pool.documents)
            for name, total in totals.items():
                total += records[name].sum(axis=1, dtype=np.float64)
        calls = np.sum([mask.sum(axis=1) for mask in self.wanted.values()] or [[0] * n_query], 0)
        self.seconds += time.perf_counter() - began
        return CostedRun(
            self.strategy,
            run,
            calls.astype(np.int64),
            totals["tokens"].astype(np.int64),
            totals["pixels"].astype(np.int64),
            totals["seconds"],
            self.pool.seconds / n_query,
            self.seconds / n_query,
        )

    def _add_pass(self, view: str, shown: dict[str, np.ndarray]) -> None:
        self.passes.append((view, shown))
        for name, mask in shown.items():
            self.wanted[name] = self.wanted.get(name, False) | mask

    def _shown(self, view: str, candidates: np.ndarray) -> dict[str, np.ndarray]:
        """Which calls a view takes for these documents."""
        assert self.scorer is not None
        has = {leg: candidates & self.scorer.shows(leg, self.pool.documents) for leg in LEGS}
        match view:
            case "text" | "image":
                return {view: has[view]}
            case "average":
                return has
            case "fused":  # a document with one modality shows that one
                both = has["text"] & has["image"]
                return {"fused": both, **{leg: mask & ~both for leg, mask in has.items()}}
        found = {leg: mask & has[leg] for leg, mask in self.stage.found_by.items()}
        if self.strategy.duplicates == "first":
            taken = np.zeros(candidates.shape, dtype=bool)
            for leg in self.strategy.legs:
                found[leg] = found[leg] & ~taken
                taken |= found[leg]
        return found

    def _within_budget(self, shown: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Drop whole documents, the last of the first stage first, until the calls are paid."""
        if self.strategy.budget is None:
            return shown
        calls = np.sum([*shown.values()], axis=0, dtype=np.int64)
        order = np.argsort(-self.stage.order, axis=1, kind="stable")
        spent = np.cumsum(np.take_along_axis(calls, order, axis=1), axis=1)
        paid = np.empty(calls.shape, dtype=bool)
        np.put_along_axis(paid, order, spent <= self.strategy.budget, axis=1)
        return {name: mask & paid for name, mask in shown.items()}

    def _scores(self, view: str, shown: dict[str, np.ndarray]) -> np.ndarray:
        """Score of each document in one pass, NaN where it had none."""
        assert self.scorer is not None
        found = [
            self.scorer.look_up(name, mask, self.pool.documents)["score"].astype(np.float64)
            for name, mask in shown.items()
        ]
        if view == "average":
            return _mean(found, self.strategy.average, self.scorer.reranker.info.score)
        return np.fmax.reduce(found)

    def _raw(self) -> np.ndarray:
        """Return the score of the leg that found a document, the larger of two."""
        found = [
            np.where(mask, self.pool.scores[leg], np.nan)
            for leg, mask in self.stage.found_by.items()
        ]
        return np.fmax.reduce(found)


def _mean(found: Sequence[np.ndarray], average: str, scale: str) -> np.ndarray:
    """Mean of the views there are, of probabilities or of logits; on the reranker's own scale."""
    from scipy.special import expit, logit

    is_probability = "in [0, 1]" in scale
    values = np.stack(found)
    if average == "before" and is_probability:
        # The offset that some models have before their sigmoid is the same for both views.
        tiny, almost_one = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
        values = logit(np.clip(values, tiny, almost_one))
    elif average == "after" and not is_probability:
        values = expit(values)
    count = (~np.isnan(values)).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(count, 1)
    if average == "before" and is_probability:
        mean = expit(mean)
    return np.where(count > 0, mean, np.nan)


def _stacked(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Put one list behind the other: what the first block does not score follows by the second.

    The first block of a query that scores anything keeps its scores. Those of later ones become
    whole steps below, equal scores on one step.
    """
    result = np.full(blocks[0].shape, np.nan)
    for block in blocks:
        new = np.isnan(result) & ~np.isnan(block)
        empty = np.isnan(result).all(axis=1, keepdims=True)
        floor = np.min(np.where(np.isnan(result), np.inf, result), axis=1, keepdims=True)
        below = np.where(empty, block, np.where(empty, 0, floor) - 1 - _steps(block, new))
        result = np.where(new, below, result)
    return result


def _steps(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Rank of each masked value in its row, from 0, largest first, equal values equal."""
    values = np.where(mask, values, -np.inf)
    order = np.argsort(-values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    with np.errstate(invalid="ignore"):  # -inf less -inf, among what is not masked
        rises = np.diff(ordered, axis=1) != 0
    steps = np.empty(values.shape)
    dense = np.concatenate([np.zeros((len(values), 1)), np.cumsum(rises, axis=1)], axis=1)
    np.put_along_axis(steps, order, dense, axis=1)
    return steps
