"""The first stage of a two-stage strategy: which documents, in which order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion import FUSIONS, RANK_FUSIONS
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import relevance
from mmgap.strategies.old_candidates import find_candidates
from mmgap.strategies.two_stage import CONVEX, TwoStage

if TYPE_CHECKING:
    from mmgap.fusion import ConvexCombination
    from mmgap.scores.calibrate import ScoreCalibrator
    from mmgap.scores.normalise import ScoreNormaliser

NOT_LISTED = 2**30
"""Rank of a document that a leg did not find."""


@dataclass(frozen=True)
class Pool:
    """What a search of every leg found, deep enough for all strategies that share it.

    Parameters
    ----------
    documents : int array of shape (n_query, n_candidate)
        Positions in the corpus, ascending in each row; -1 is an empty place.
    scores : dict of leg to float64 array of shape (n_query, n_candidate)
        NaN where the document lacks the modality.
    ranks : dict of leg to int array of shape (n_query, n_candidate)
        From 1; ``NOT_LISTED`` where the leg did not find the document. Documents with equal scores
        are ranked in the corpus' order.
    seconds : float
        The search took so long, all queries together.
    """

    documents: np.ndarray
    scores: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]
    seconds: float


@dataclass(frozen=True)
class FirstStage:
    """The list of every query before any reranking; arrays have the shape of ``Pool.documents``.

    Parameters
    ----------
    listed : bool array
        Documents of the list.
    order : float array
        Larger comes first; -inf outside the list.
    candidates : bool array
        Documents of the list that are to be reranked, budget and margin apart.
    found_by : dict of leg to bool array
        Which leg, or legs, a candidate owes its place to.
    """

    listed: np.ndarray
    order: np.ndarray
    candidates: np.ndarray
    found_by: dict[str, np.ndarray]


def find_pool(vectors: Vectors, depth: int) -> Pool:
    """Search every leg to ``depth``.

    Raises
    ------
    MmgapError
        If no leg holds a document.
    """
    began = time.perf_counter()
    found = find_candidates(vectors, depth)
    scores = {leg: values.astype(np.float64) for leg, values in found.scores.items()}
    ranks = {}
    for leg, listed in found.listed.items():
        order = np.argsort(-np.where(listed, scores[leg], -np.inf), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
        ranks[leg] = np.where(listed, rank, NOT_LISTED)
    return Pool(found.documents, scores, ranks, time.perf_counter() - began)


class FittedMerge:
    """The normalisation and the weight of a merge, fitted on calibration queries where need be.

    Parameters
    ----------
    strategy : TwoStage
        One with ``merge``.
    calibration : Vectors or None
        Of another split than the one that is searched.

    Raises
    ------
    MmgapError
        If the strategy needs calibration data and there is none.
    """

    def __init__(self, strategy: TwoStage, calibration: Vectors | None) -> None:
        self._strategy = strategy
        if strategy.needs_calibration and calibration is None:
            msg = (
                f"strategy {strategy.name!r} is fitted on calibration queries; expected "
                "calibration=, the vectors of another split by the same encoder"
            )
            raise MmgapError(msg)
        if calibration is not None:
            calibration.need_ranked()
        self._scales = _fit_scales(strategy, calibration)
        self._convex: ConvexCombination | None = None
        if strategy.merge == CONVEX:
            from mmgap.fusion import ConvexCombination

            assert calibration is not None
            pool = find_pool(calibration, strategy.pool)
            relevant = _of_candidates(relevance(calibration), pool.documents)
            self._convex = ConvexCombination().fit(self.legs(pool), relevant)

    def legs(self, pool: Pool) -> list[np.ndarray]:
        """Return the scores of each leg as they are merged: on one scale, NaN outside the pool."""
        strategy = self._strategy
        inside = [pool.ranks[leg] <= strategy.pool for leg in strategy.legs]
        either = np.any(inside, axis=0)
        merged = []
        for leg, own in zip(strategy.legs, inside, strict=True):
            # Ranks exist only for what a leg itself returned.
            kept = own if strategy.merge in RANK_FUSIONS else either
            scores = np.where(kept, pool.scores[leg], np.nan)
            merged.append(self._scales[leg].transform(scores) if self._scales else scores)
        return merged

    def fuse(self, pool: Pool) -> np.ndarray:
        """Return the merged score of every document of the pool, NaN where there is none."""
        legs = self.legs(pool)
        if self._convex is not None:
            return self._convex.transform(legs)
        assert self._strategy.merge is not None
        return FUSIONS[self._strategy.merge](*legs)


def first_stage(
    strategy: TwoStage, pool: Pool, *, calibration: Vectors | None = None
) -> FirstStage:
    """Return the list of every query before any reranking.

    Parameters
    ----------
    strategy : TwoStage
    pool : Pool
        At least as deep as ``strategy.search_depth``.
    calibration : Vectors or None
        For strategies that are fitted.

    Raises
    ------
    MmgapError
        If the strategy needs calibration data and there is none.
    """
    if strategy.merge is None:
        return _by_quota(strategy, pool)
    merge = FittedMerge(strategy, calibration)
    fused = merge.fuse(pool)
    listed = ~np.isnan(fused)
    order = np.where(listed, fused, -np.inf)
    assert isinstance(strategy.depth, int)
    candidates = listed & (_places(order) < strategy.depth)
    legs = np.stack(merge.legs(pool))
    best = np.fmax.reduce(legs)
    found_by = {
        leg: candidates & (scores == best) for leg, scores in zip(strategy.legs, legs, strict=True)
    }
    return FirstStage(listed, order, candidates, found_by)


def margins(stage: FirstStage) -> np.ndarray:
    """Difference of the first two scores of every query's list; inf where it has one place.

    Returns
    -------
    margins : ndarray of shape (n_query,)
        0 or more. Small = the first stage cannot tell its best documents apart.
    """
    best = -np.sort(-stage.order, axis=1)[:, :2]
    if best.shape[1] < 2:
        return np.full(len(best), np.inf)
    known = np.isfinite(best).all(axis=1)
    return np.where(known, np.subtract(*np.where(known[:, None], best, 0).T), np.inf)


def margin_threshold(calibration: Vectors, strategy: TwoStage, share: float) -> float:
    """Find the margin below which a share of the calibration queries lies.

    Parameters
    ----------
    calibration : Vectors
        Of another split than the one that will be judged.
    strategy : TwoStage
        With ``merge`` or a single leg; its own ``margin`` is ignored.
    share : float
        Share of queries that are to be reranked, in [0, 1].

    Returns
    -------
    margin : float
        For ``TwoStage(margin=...)``.

    Raises
    ------
    MmgapError
        If ``share`` is not in [0, 1].
    """
    if not 0 <= share <= 1:
        msg = f"share is {share}; expected a share of the queries, from 0 to 1"
        raise MmgapError(msg)
    stage = first_stage(
        strategy, find_pool(calibration, strategy.search_depth), calibration=calibration
    )
    found = margins(stage)
    if share == 1:
        return float("inf")
    # Finite, so that the quantile is; no query lies between the largest margin and infinity.
    largest = found[np.isfinite(found)].max(initial=0.0)
    return float(np.quantile(np.minimum(found, 2 * largest + 1), share))


def _by_quota(strategy: TwoStage, pool: Pool) -> FirstStage:
    """So many documents of each leg; the order takes the legs in turn, rank by rank."""
    total = sum(strategy.depths)
    turns, within = [], {}
    for place, (leg, depth) in enumerate(zip(strategy.legs, strategy.depths, strict=True)):
        rank = pool.ranks[leg]
        within[leg] = rank <= depth
        reach = total if strategy.refill else depth
        # The first of a leg of 8 comes before the second of a leg of 16, and so on.
        turn = (rank - 1) / depth + place * 1e-9
        turns.append(np.where(rank <= reach, turn, np.inf))
    turn = np.minimum.reduce(turns)
    candidates = np.isfinite(turn)
    if strategy.refill:
        candidates &= _places(-turn) < total
        # What filled a free place owes it to the leg whose turn it was.
        for leg, own in zip(strategy.legs, turns, strict=True):
            within[leg] = within[leg] | (own == turn)
    found_by = {leg: member & candidates for leg, member in within.items()}
    listed = candidates
    order = -turn
    if strategy.tail:
        ranks = np.stack([pool.ranks[leg] for leg in strategy.legs])
        listed = candidates | (ranks <= strategy.pool).any(axis=0)
        # Behind the candidates, the legs go on in turn.
        follow = np.min(ranks + 1e-9 * np.arange(len(ranks))[:, None, None], axis=0)
        order = np.where(candidates, order, -total - follow)
    if len(strategy.legs) == 1:  # one list has scores of its own, and ties
        order = pool.scores[strategy.legs[0]]
    return FirstStage(listed, np.where(listed, order, -np.inf), candidates, found_by)


def _places(order: np.ndarray) -> np.ndarray:
    """Place of each entry in its row, from 0, largest first; equal ones in the row's order."""
    places = np.empty(order.shape, dtype=np.int64)
    sort = np.argsort(-order, axis=1, kind="stable")
    np.put_along_axis(places, sort, np.arange(order.shape[1])[None], axis=1)
    return places


def _fit_scales(
    strategy: TwoStage, calibration: Vectors | None
) -> Mapping[str, ScoreNormaliser | ScoreCalibrator]:
    name = strategy.normalise
    if name is None:
        return {}
    from mmgap.scores.calibrate import CALIBRATORS, fit_legs
    from mmgap.scores.normalise import NORMALISERS

    if name in NORMALISERS and not name.startswith("reference"):
        return dict.fromkeys(strategy.legs, NORMALISERS[name])
    assert calibration is not None
    scores = {leg: calibration.scores(leg) for leg in strategy.legs}
    if name in NORMALISERS:
        return fit_legs(NORMALISERS[name], scores)
    relevant = relevance(calibration)
    labels = {leg: relevant[:, calibration.legs[leg].positions] for leg in strategy.legs}
    return fit_legs(CALIBRATORS[name], scores, labels)


def _of_candidates(relevant: np.ndarray, documents: np.ndarray) -> np.ndarray:
    found = np.take_along_axis(relevant, np.maximum(documents, 0), axis=1)
    return (found & (documents >= 0)).astype(np.float64)
