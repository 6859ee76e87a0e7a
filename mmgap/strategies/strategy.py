"""A strategy: which legs, how deep, how they are brought onto one scale, merged and reranked.

One row of any table is one strategy. ``Strategy.fit`` learns from calibration queries what is to be
learned, never from those it is judged by; ``FittedStrategy.run`` ranks the candidates of a pool.
A query's ranking depends on this query, the documents and the fit; not on other queries, and on no
judgment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.fusion import FUSIONS, RANK_FUSIONS
from mmgap.index.vectors import Vectors
from mmgap.strategies.candidates import DEPTH, Candidates, Pool
from mmgap.strategies.rerank import (
    FirstStage,
    PairScorer,
    Rerank,
    list_stage,
    quota_stage,
    rerank_list,
)

if TYPE_CHECKING:
    from mmgap.mitigate import Mitigation
    from mmgap.scores.calibrate import ScoreCalibrator
    from mmgap.scores.normalise import ScoreNormaliser

NOTHING = "nothing"
UNLABELLED_SCORES = "unlabelled calibration scores"
UNLABELLED_VECTORS = "unlabelled calibration vectors"
QUERY_BANK = "calibration queries as bank"
LABELLED_PAIRS = "labelled calibration pairs"
FITTED_ON = (NOTHING, UNLABELLED_SCORES, UNLABELLED_VECTORS, QUERY_BANK, LABELLED_PAIRS)
"""What a strategy needs before the first query, from cheap to expensive."""

BOTH_SCORES = "both scores"
OWN_LISTS = "lists only"
"""What a merge knows of a document that one leg alone listed: the other leg's score too, looked up
exactly, or nothing but the list it stands in."""

TOLERANCE = 1e-12
"""Merged scores closer than this count as tied."""

CONVEX = "convex"
"""The merge whose weight is found on labelled calibration queries."""

CHOSEN_BY = "recall@10"
"""What learned merges maximise on calibration queries."""

Combine = Callable[..., np.ndarray]
"""From one array of scores per leg to one array, as in ``mmgap.fusion``."""


class BestLeg:
    """The merge that is the leg with the better recall@10 on the calibration queries."""


@dataclass(frozen=True)
class Strategy:
    """How a query's lists become one.

    ``legs`` and ``depth``: so many documents of each leg (None: all), ranked together. A document
    found by one leg alone still gets its score from the others, exactly, unless ``sees`` is
    ``OWN_LISTS``, as merges by rank and engines do. ``mitigation`` changes the scores first; lists
    are then made of the changed scores. ``normaliser`` (a name of ``NORMALISERS`` or
    ``CALIBRATORS``, or one itself) brings each leg onto a scale; those with a reference and all
    calibrators are fitted. ``merge`` is a name of ``FUSIONS``, ``"convex"``, a function of the
    legs' scores or an estimator of :mod:`mmgap.fusion`; several legs without it are only reranked.
    ``rerank`` says how the list is reranked; None leaves it.

    >>> Strategy("mean of cosines", merge="mean").fitted_on
    'nothing'
    >>> Strategy("16 + 16", depth=16, rerank=Rerank("average", 16)).max_calls
    64
    """

    name: str
    legs: tuple[str, ...] = LEGS
    depth: int | None = DEPTH
    mitigation: Mitigation | None = None
    normaliser: str | ScoreNormaliser | ScoreCalibrator | None = None
    merge: str | Combine | Any = None
    rerank: Rerank | None = None
    sees: str = ""
    family: str = ""

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            msg = f"strategy {self.name!r} {problem}"
            raise MmgapError(msg)
        if not self.sees:
            by_list = self.merge is None or self.merge in RANK_FUSIONS or _is_best_leg(self.merge)
            object.__setattr__(self, "sees", OWN_LISTS if by_list else BOTH_SCORES)
        if not self.family:
            kind = "leg" if len(self.legs) == 1 or _is_best_leg(self.merge) else "raw"
            object.__setattr__(self, "family", "reranked" if self.rerank else kind)

    @property
    def fitted_on(self) -> str:
        """The most expensive of what its parts are fitted on, one of ``FITTED_ON``."""
        needs = [NOTHING]
        if self.mitigation is not None:
            from mmgap.mitigate import EmbeddingMitigation

            moves = isinstance(self.mitigation, EmbeddingMitigation)
            needs.append(UNLABELLED_VECTORS if moves else QUERY_BANK)
        if self.normaliser is not None:
            scale = _scale(self.normaliser)
            if _is_calibrator(scale):
                needs.append(LABELLED_PAIRS)
            elif getattr(scale, "reference", "query") != "query":
                needs.append(UNLABELLED_SCORES)
        if self.is_learned:
            needs.append(LABELLED_PAIRS)
        return max(needs, key=FITTED_ON.index)

    @property
    def is_learned(self) -> bool:
        """Whether the merge itself is fitted on labelled pairs."""
        return self.merge == CONVEX or hasattr(self.merge, "fit") or _is_best_leg(self.merge)

    @property
    def search_depth(self) -> int | None:
        """How deep each leg must be searched."""
        if self.depth is None or self.rerank is None or self._merged:
            return self.depth
        depths = self.rerank.depths(len(self.legs))
        return max(self.depth, sum(depths) if self.rerank.backfill else max(depths))

    @property
    def max_calls(self) -> int:
        """Most reranker calls that a query can take."""
        return self.rerank.max_calls(len(self.legs), merged=self._merged) if self.rerank else 0

    def at_least(self, cut_off: int) -> Strategy:
        """Return the strategy with lists of at least ``cut_off`` documents from each leg.

        What is reranked stays the same.
        """
        deep = self.depth is None or self.depth >= cut_off
        return self if deep else replace(self, depth=cut_off)

    def obstacle(self, vectors: Vectors, legs: Sequence[str], scorer: PairScorer | None) -> str:
        """Why it cannot be run on these vectors and legs; empty where it can."""
        if vectors.holes.keys() & {*self.legs} - {*legs}:
            return f"queries are the documents' own {' and '.join(vectors.holes)}s"
        lacking = [leg for leg in self.legs if leg not in legs]
        if lacking:
            return f"{vectors.encoder.id} has no {' and no '.join(lacking)} leg here"
        if self.mitigation is not None and not {*self.mitigation.needs} <= {"query", *legs}:
            return f"the mitigation needs {' and '.join(self.mitigation.needs)}"
        if self.rerank is None:
            return ""
        if isinstance(vectors.corpus, FeatureCorpus):
            return f"{vectors.corpus.name} holds vectors, and nothing that a reranker could read"
        if scorer is None:
            return "no reranker was given"
        wanted = {self.rerank.view} | ({self.rerank.cascade[0]} if self.rerank.cascade else set())
        needed = wanted & {"text", "image"} if wanted <= {"text", "image"} else {"text", "image"}
        missing = [shown for shown in ("text", "image") if shown in needed - _taken(scorer)]
        if missing:
            return f"{scorer.reranker.info.id} reads no {' and no '.join(missing)} of a document"
        return ""

    def refuse_obstacle(
        self, vectors: Vectors, legs: Sequence[str], scorer: PairScorer | None
    ) -> None:
        """Raise MmgapError where there is an obstacle."""
        obstacle = self.obstacle(vectors, legs, scorer)
        if obstacle:
            msg = f"strategy {self.name!r} cannot be run: {obstacle}"
            raise MmgapError(msg)

    def fit(self, calibration: Pool | Vectors | None = None) -> FittedStrategy:
        """Learn from calibration queries; judgments are read only where labels are said.

        Raises MmgapError where nothing can be learned from so little.
        """
        if calibration is None:
            if self.fitted_on != NOTHING:
                msg = (
                    f"strategy {self.name!r} is fitted on {self.fitted_on}; expected calibration=, "
                    "the vectors of other queries by the same encoder"
                )
                raise MmgapError(msg)
            scale = None if self.normaliser is None else _scale(self.normaliser)
            return FittedStrategy(self, _merge(self.merge), dict.fromkeys(self.legs, scale))
        pool, mitigation = Pool.of(calibration, self.search_depth), None
        if self.mitigation is not None:
            from sklearn.base import clone

            mitigation = clone(self.mitigation).fit(pool.embeddings)
            pool = pool.mitigated(mitigation)
        unfitted = FittedStrategy(self, _merge(self.merge), self._fit_scales(pool), mitigation)
        return replace(unfitted, merge=unfitted._fit_merge(pool)) if self.is_learned else unfitted

    def _fit_scales(self, pool: Pool) -> dict[str, Any]:
        """One normaliser or calibrator for each leg."""
        if self.normaliser is None:
            return dict.fromkeys(self.legs)
        scale = _scale(self.normaliser)
        if not _is_calibrator(scale) and getattr(scale, "reference", "query") == "query":
            return dict.fromkeys(self.legs, scale)  # each list is its own reference
        from mmgap.scores.calibrate import fit_legs

        if not _is_calibrator(scale):
            return fit_legs(scale, {leg: pool.reference[leg] for leg in self.legs})
        # Fitted on candidates, since those are what it will be asked about.
        candidates = pool.found.of(self.legs, self.depth)
        relevant = pool.relevance_of(candidates.documents)
        for leg in self.legs:
            _refuse_one_label(self, relevant[~np.isnan(candidates.scores[leg])])
        return fit_legs(scale, candidates.scores, dict.fromkeys(self.legs, relevant))

    @property
    def _merged(self) -> bool:
        """Whether there is one list, of a merge or a single leg, before any reranking."""
        return self.merge is not None or len(self.legs) == 1

    def _problems(self) -> Iterator[str]:
        if not self.legs or len(set(self.legs)) < len(self.legs):
            yield f"has legs {self.legs}; expected one or more names, each once"
        if self.depth is not None and self.depth < 1:
            yield f"has depth {self.depth}; it must be at least 1"
        merges = sorted({*FUSIONS, CONVEX})
        if isinstance(self.merge, str) and self.merge not in merges:
            yield f"merges by {self.merge!r}; choose merge from {merges}"
        if len(self.legs) == 1 and (self.merge is not None or self.normaliser is not None):
            yield "has one leg, so there is nothing to merge"
        if not self._merged and self.rerank is None:
            yield f"has {len(self.legs)} legs and no merge; choose merge from {merges}"
        if not self._merged and self.normaliser is not None:
            yield "normalises without a merge, which would change nothing"
        if isinstance(self.normaliser, str) and self.normaliser not in (known := _scales()):
            yield f"normalises by {self.normaliser!r}; choose from {list(known)}"
        if self.sees not in ("", BOTH_SCORES, OWN_LISTS):
            yield f"sees {self.sees!r}; choose from {(BOTH_SCORES, OWN_LISTS)}"
        if self.rerank is not None:
            yield from self.rerank.problems(len(self.legs), merged=self._merged)


@dataclass(frozen=True)
class CostedRun:
    """A run with what it cost, as if it had run alone.

    Per query: ``calls`` (different pairs, whether or not another strategy or the cache had them
    already), the ``tokens`` (four characters each) and ``pixels`` given to the reranker, and
    ``rerank_seconds``, measured when each pair was scored: pairs are scored in large batches, over
    which time is spread evenly, so this is a busy server's time. Decoding of images is not in it,
    nor what a reranker reads of a document ahead of any query. ``search_seconds`` (scoring and
    listing, to the largest depth of all that share the pool) and ``merge_seconds`` are means.
    """

    strategy: Strategy
    run: Run
    calls: np.ndarray
    tokens: np.ndarray
    pixels: np.ndarray
    rerank_seconds: np.ndarray
    search_seconds: float
    merge_seconds: float


@dataclass(frozen=True)
class FittedStrategy:
    """A strategy that can rank."""

    strategy: Strategy
    merge: Any
    scales: dict[str, Any] = field(default_factory=dict)
    mitigation: Mitigation | None = None

    def run(self, test: Pool | Vectors, scorer: PairScorer | None = None) -> CostedRun:
        """Rank the candidates of every query; ``scorer`` is that of the same vectors."""
        strategy = self.strategy
        pool = Pool.of(test, strategy.search_depth)
        strategy.refuse_obstacle(pool.vectors, pool.legs, scorer)
        search = pool.search_seconds
        began = time.perf_counter()
        n_query = pool.shape[0]
        calls = np.zeros(n_query, dtype=np.int64)
        totals = {name: np.zeros(n_query) for name in ("tokens", "pixels", "seconds")}
        if strategy.rerank is None or scorer is None:
            candidates, scores = self.rank(pool)
            seconds = None
        else:
            stage = self.first_stage(pool)
            candidates = stage.candidates
            seconds = time.perf_counter() - began
            found = rerank_list(strategy.rerank, stage, scorer)
            seconds += found.seconds
            began, scores = time.perf_counter(), found.scores
            for shown, mask in found.wanted.items():
                records = scorer.look_up(shown, mask, candidates.documents)
                calls += mask.sum(axis=1)
                for name, total in totals.items():
                    total += records[name].sum(axis=1, dtype=np.float64)
        corpus = pool.vectors.corpus
        documents = np.where(np.isnan(scores), -1, candidates.documents)
        # Where every leg ends before the depth, the list holds all that can be ranked.
        longest = np.inf if strategy.search_depth is None else strategy.search_depth
        ended = [mask.sum(axis=1) < longest for mask in candidates.listed.values()]
        run = Run.from_scores(
            strategy.name,
            corpus.query_ids,
            corpus.doc_ids,
            documents,
            scores,
            complete=np.all(ended, axis=0),
        )
        return CostedRun(
            strategy,
            run,
            calls,
            totals["tokens"].astype(np.int64),
            totals["pixels"].astype(np.int64),
            totals["seconds"],
            search,
            (time.perf_counter() - began + (seconds or 0.0)) / max(1, n_query),
        )

    def rank(self, test: Pool | Vectors) -> tuple[Candidates, np.ndarray]:
        """Return the candidates and their first-stage scores, NaN for what is not ranked."""
        strategy = self.strategy
        pool = Pool.of(test, strategy.search_depth)
        if self.mitigation is not None:
            pool = pool.mitigated(self.mitigation)
        # A list that is not merged keeps all that tie with its last document.
        ties = len(strategy.legs) == 1 and strategy.rerank is None
        candidates = pool.found.of(strategy.legs, strategy.depth, ties=ties)
        return candidates, self._fuse(candidates)

    def scores(self, test: Pool | Vectors) -> np.ndarray:
        """First-stage scores: float64 (n_query, n_doc), NaN where a document is not ranked."""
        candidates, fused = self.rank(test)
        spread = np.full((len(fused), Pool.of(test).shape[1] + 1), np.nan)
        np.put_along_axis(spread, candidates.documents, fused, axis=1)  # -1: the last column
        return spread[:, :-1]

    def first_stage(self, test: Pool | Vectors) -> FirstStage:
        """Return the list before reranking, and which of its documents are to be reranked."""
        strategy = self.strategy
        rerank = strategy.rerank
        assert rerank is not None
        if strategy._merged:
            candidates, fused = self.rank(test)
            legs = dict(zip(strategy.legs, self._legs(candidates), strict=True))
            return list_stage(candidates, fused, rerank, legs)
        pool = Pool.of(test, strategy.search_depth)
        if self.mitigation is not None:
            pool = pool.mitigated(self.mitigation)
        candidates = pool.found.of(strategy.legs, strategy.search_depth)
        depth = strategy.depth or pool.shape[1]
        return quota_stage(candidates, rerank, strategy.legs, depth)

    def _legs(self, candidates: Candidates) -> list[np.ndarray]:
        """Scores of each leg as they are merged: on one scale, NaN where the merge sees none."""
        own = self.strategy.sees == OWN_LISTS
        found = []
        for leg in self.strategy.legs:
            scores = candidates.own(leg) if own else candidates.scores[leg]
            scale = self.scales.get(leg)
            found.append(scores if scale is None or not scores.size else scale.transform(scores))
        return found

    def _fuse(self, candidates: Candidates) -> np.ndarray:
        legs = self._legs(candidates)
        if self.merge is None:
            return legs[0]
        return self.merge.transform(legs) if hasattr(self.merge, "transform") else self.merge(*legs)

    def _fit_merge(self, pool: Pool) -> Any:
        candidates = pool.found.of(self.strategy.legs, self.strategy.depth)
        relevant = pool.relevance_of(candidates.documents)
        legs = self._legs(candidates)
        if _is_best_leg(self.merge):
            return _Only(_best_leg(legs, relevant, pool.relevant.sum(axis=1)))
        from sklearn.base import clone

        _refuse_one_label(self.strategy, relevant[candidates.documents >= 0])
        return clone(self.merge).fit(legs, relevant.astype(np.float64))


@dataclass(frozen=True)
class _Only:
    """The merge that keeps one leg."""

    place: int

    def transform(self, legs: Sequence[np.ndarray]) -> np.ndarray:
        return legs[self.place]


def margin_threshold(calibration: Pool | Vectors, strategy: Strategy, fraction: float) -> float:
    """Find the margin below which a fraction of the calibration queries lies.

    ``strategy`` has a merge or a single leg; its own margin is ignored. For ``Rerank(margin=...)``.
    """
    if not 0 <= fraction <= 1:
        msg = f"fraction is {fraction}; expected a fraction of the queries, from 0 to 1"
        raise MmgapError(msg)
    strategy = strategy if strategy.rerank else replace(strategy, rerank=Rerank())
    found = strategy.fit(calibration).first_stage(calibration).margins
    if fraction == 1:
        return float("inf")
    # Finite, so that the quantile is; no query lies between the largest margin and infinity.
    largest = found[np.isfinite(found)].max(initial=0.0)
    return float(np.quantile(np.minimum(found, 2 * largest + 1), fraction))


def _merge(merge: Any) -> Any:
    if merge == CONVEX:
        from mmgap.fusion import ConvexCombination

        return ConvexCombination()
    return FUSIONS[merge] if isinstance(merge, str) else merge


def _is_best_leg(merge: object) -> bool:
    return isinstance(merge, BestLeg)


def _scales() -> dict[str, Any]:
    from mmgap.scores.calibrate import CALIBRATORS
    from mmgap.scores.normalise import NORMALISERS

    return {**NORMALISERS, **CALIBRATORS}


def _scale(normaliser: Any) -> Any:
    return _scales()[normaliser] if isinstance(normaliser, str) else normaliser


def _is_calibrator(scale: object) -> bool:
    from mmgap.scores.calibrate import ScoreCalibrator

    return isinstance(scale, ScoreCalibrator)


def _taken(scorer: PairScorer) -> set[str]:
    return {shown for shown in LEGS if scorer.takes(shown)}


def _refuse_one_label(strategy: Strategy, labels: np.ndarray) -> None:
    if labels.all() or not labels.any():
        msg = (
            f"strategy {strategy.name!r} cannot be fitted: {int(labels.sum())} of {labels.size} "
            "calibration candidates are relevant, and it learns from both kinds; bring more labels"
        )
        raise MmgapError(msg)


def _best_leg(legs: Sequence[np.ndarray], relevant: np.ndarray, n_relevant: np.ndarray) -> int:
    """Which leg has the largest mean recall; a tie goes to the first."""
    from mmgap.evaluation import expected_measure

    n_found = relevant.sum(axis=1)
    means = []
    for own in legs:
        of_found = expected_measure(own, relevant, CHOSEN_BY)
        # Relevant documents that no leg lists count too.
        means.append(np.mean(np.where(n_found > 0, of_found * n_found / n_relevant, 0)))
    return int(np.argmax(means))
