"""What methods do with candidates: alone, combined, normalised, calibrated, listed, learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from mmgap.corpus.schema import LEGS
from mmgap.evaluation import expected_measure
from mmgap.fusion import comb_mean
from mmgap.scores.calibrate import ScoreCalibrator, fit_legs
from mmgap.scores.normalise import ScoreNormaliser, ZScoreNormaliser
from mmgap.strategies.method import Fuse
from mmgap.strategies.old_candidates import Candidates
from mmgap.strategies.pool import Pool

Combine = Callable[..., np.ndarray]
"""From one array of scores per leg to one array, as in ``mmgap.fusion``."""

CHOSEN_BY = "recall@10"
"""What learned methods maximise on calibration queries."""


@dataclass(frozen=True)
class OneLeg:
    """One leg's own list; with no name the leg that is better on the calibration queries.

    A tie goes to the text leg.
    """

    leg: str | None = None

    def fit(self, calibration: Pool) -> Fuse:
        """Choose the leg where none is named."""
        leg = self.leg
        if leg is None:
            found = {name: _mean_recall(calibration, name) for name in LEGS}
            leg = max(found, key=found.__getitem__)
        return partial(_own_list, leg=leg)


@dataclass(frozen=True)
class Combined:
    """Raw scores, combined."""

    combine: Combine

    def fit(self, calibration: Pool) -> Fuse:  # noqa: ARG002
        """Nothing to fit."""
        return lambda candidates: self.combine(*_both_scores(candidates))


@dataclass(frozen=True)
class Normalised:
    """Each leg normalised by itself, then combined.

    Normalisers of each list take their statistics from the candidates of the query. Those of a
    bank take them from all scores that the calibration queries give to the leg's documents.
    """

    normaliser: ScoreNormaliser
    combine: Combine = comb_mean

    def fit(self, calibration: Pool) -> Fuse:
        """Take each leg's bank."""
        each = fit_legs(self.normaliser, _filled(calibration.bank))
        return lambda candidates: self.combine(*_transformed(each, candidates))


@dataclass(frozen=True)
class Calibrated:
    """Each leg calibrated by itself to P(relevant | score), then combined.

    Fitted on the candidates of the calibration queries, since those are what it will be asked
    about. Where a leg's candidates are all relevant or all not, there is nothing to learn from
    its scores: every document gets the same probability, (relevant + 1) / (pairs + 2).
    """

    calibrator: ScoreCalibrator
    combine: Combine

    def fit(self, calibration: Pool) -> Fuse:
        """Fit one calibrator per leg."""
        each: dict[str, Any] = {}
        relevant = calibration.candidate_relevance
        for leg, scores in _filled(calibration.candidates.scores).items():
            labels = relevant[~np.isnan(scores)]
            if labels.all() or not labels.any():
                each[leg] = _Constant((labels.sum() + 1) / (labels.size + 2))
            else:
                each |= fit_legs(self.calibrator, {leg: scores}, {leg: relevant})
        return lambda candidates: self.combine(*_transformed(each, candidates))


@dataclass(frozen=True)
class Listed:
    """A fusion that sees each leg's own list and nothing else, as an engine does."""

    fusion: Combine

    def fit(self, calibration: Pool) -> Fuse:  # noqa: ARG002
        """Nothing to fit."""
        return lambda candidates: self.fusion(*_own_lists(candidates))


@dataclass(frozen=True)
class Learned:
    """A fusion fitted on labelled calibration queries, after a normaliser of each leg.

    Where the candidates of the calibration queries are all relevant or all not, nothing can be
    learned from them, and the legs are merged by the mean of their z-scores.

    Parameters
    ----------
    fusion : estimator with ``fit(leg_scores, relevance)`` and ``transform(leg_scores)``
    normaliser : ScoreNormaliser or None, default None
    lists : bool, default False
        Whether it sees the legs' own lists only.
    """

    fusion: Any
    normaliser: ScoreNormaliser | None = None
    lists: bool = False

    def fit(self, calibration: Pool) -> Fuse:
        """Fit normalisers, then the fusion."""
        candidates, relevant = calibration.candidates, calibration.candidate_relevance
        labels = relevant[candidates.documents >= 0]
        if labels.all() or not labels.any():
            return Normalised(ZScoreNormaliser(reference="calibration")).fit(calibration)
        each: dict[str, Any] = {}
        if self.normaliser is not None:
            each = fit_legs(self.normaliser, _filled(calibration.bank))
        filled = [leg for leg in LEGS if not np.isnan(candidates.scores[leg]).all()]
        fusion = clone(self.fusion)
        if len(filled) < len(LEGS):
            # One leg alone: there is no weight to learn.
            return Normalised(ZScoreNormaliser(reference="calibration")).fit(calibration)
        fusion.fit(self._legs(candidates, each), relevant.astype(np.float64))
        return lambda found: fusion.transform(self._legs(found, each))

    def _legs(self, candidates: Candidates, each: dict[str, Any]) -> Sequence[np.ndarray]:
        legs = _transformed(each, candidates) if each else _both_scores(candidates)
        if not self.lists:
            return legs
        return [
            np.where(candidates.listed[leg], scores, np.nan)
            for leg, scores in zip(LEGS, legs, strict=True)
        ]


@dataclass(frozen=True)
class _Constant:
    """The calibrator of a leg whose labels are all the same."""

    probability: float

    def transform(self, scores: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(scores), np.nan, self.probability)


def _both_scores(candidates: Candidates) -> list[np.ndarray]:
    return [candidates.scores[leg] for leg in LEGS]


def _own_list(candidates: Candidates, leg: str) -> np.ndarray:
    return np.where(candidates.listed[leg], candidates.scores[leg], np.nan)


def _own_lists(candidates: Candidates) -> list[np.ndarray]:
    return [_own_list(candidates, leg) for leg in LEGS]


def _filled(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Legs that have a score at all."""
    return {leg: values for leg, values in scores.items() if not np.isnan(values).all()}


def _transformed(each: dict[str, Any], candidates: Candidates) -> list[np.ndarray]:
    """Scores of both legs through their estimators; a leg that has none stays empty."""
    return [
        each[leg].transform(candidates.scores[leg])
        if leg in each and candidates.documents.shape[1]
        else np.full(candidates.documents.shape, np.nan)
        for leg in LEGS
    ]


def _mean_recall(pool: Pool, leg: str) -> float:
    listed = _own_list(pool.candidates, leg)
    n_found = pool.candidate_relevance.sum(axis=1)
    n_relevant = pool.relevant.sum(axis=1)
    of_found = expected_measure(listed, pool.candidate_relevance, CHOSEN_BY)
    # Relevant documents that no leg lists count too.
    return float(np.mean(np.where(n_found > 0, of_found * n_found / n_relevant, 0)))
