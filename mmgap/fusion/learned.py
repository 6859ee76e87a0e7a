"""Fusions that are fitted on calibration queries, and the conjunction of calibrated probabilities.

Fitted fusions are scikit-learn estimators in their parameters, ``clone`` and learned attributes,
but they take what fusion takes (:mod:`mmgap.fusion.combine`): a sequence of one score matrix per
leg, and the grade of every document in the same shape, 0 where it is not relevant.
``fit(leg_scores, relevance)`` learns, ``transform(leg_scores)`` fuses. ``min_grade`` is the lowest
grade that counts as relevant. **Fit them on queries that are not among those they are judged by.**

Scores are taken as they come: bring the legs onto one scale first. MmgapError if shapes disagree, a
parameter is out of range, or the calibration data cannot tell anything.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import expected_measure
from mmgap.fusion.combine import add_legs, check_legs, count_legs, weighted_sum
from mmgap.fusion.ranks import ranks

METHODS = ("posfuse", "probfuse", "segfuse", "slidefuse", "mapfuse", "bayesfuse")
"""Methods that :class:`PositionFusion` knows."""

SEGMENT_ENDS = np.array([10 * 2 ** (k - 1) - 5 for k in range(1, 11)])
"""Ends of SegFuse's growing segments: 5, 15, 35 ... 5,115."""

BAYES_ENDS = np.array([5, 10, 15, 20, 30, 100, 200, 500, 1000])
"""Ends of the segments of BayesFuse."""

FEATURES = ("top", "margin", "spread", "entropy")
"""Columns of :func:`list_features`."""

_NO_RELEVANT = (
    "no calibration query has a relevant document, so nothing is better than anything else; pass "
    "the grades of the documents as relevance"
)


class _Fusion(BaseEstimator):
    """What scikit-learn is to know of all of them."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


class ConvexCombination(_Fusion):
    """Weighted sum of the legs, its weights found on calibration queries.

    Maximises ``measure``, recall@k or nDCG@k expected over the orders of tied documents, on a grid
    of ``n_alpha`` weights of the first of two legs from 0 to 1, or of as many points at most where
    there are more legs. A missing document adds nothing. Bruch, Gai and Ingber, TOIS 2023,
    Sec. 4. Weights do not undo a difference in spread that varies from query to query.

    Attributes
    ----------
    weights_ : ndarray of shape (n_leg,)
        Sum to 1. Of weights whose means differ from the best by no more than ``tolerance`` the
        middle of the longest run (more than two legs: the one nearest to their mean).
    alpha_ : float
        Weight of the first leg.
    tied_alphas_ : ndarray
        Of all weights as good as the best. Many of them, or several runs, say that the calibration
        queries do not determine the weights.
    alphas_, values_ : ndarray of shape (n_grid,)
        The grid's weights of the first leg and the mean of the measure there.
    fitted_ : float
        Mean at ``weights_`` on the queries it was chosen by: optimistic.
    n_query_ : int
        Calibration queries that have a relevant document.

    Examples
    --------
    The first leg puts the relevant document last, the second puts it first.

    >>> text, image = np.array([[0.9, 0.5, 0.1]]), np.array([[0.1, 0.2, 0.9]])
    >>> fitted = ConvexCombination("recall@1", n_alpha=11).fit([text, image], np.array([[0, 0, 1]]))
    >>> float(fitted.alpha_), fitted.fitted_, len(fitted.tied_alphas_)
    (0.2, 1.0, 5)
    """

    def __init__(
        self,
        measure: str = "recall@10",
        *,
        n_alpha: int = 101,
        min_grade: float = 1,
        tolerance: float = 1e-12,
    ) -> None:
        self.measure = measure
        self.n_alpha = n_alpha
        self.min_grade = min_grade
        self.tolerance = tolerance

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> ConvexCombination:
        """Choose the weights."""
        legs = check_legs(leg_scores)
        relevance = _grades(relevance, legs)
        if self.n_alpha < 2:
            msg = f"n_alpha must be 2 or more; got {self.n_alpha}"
            raise MmgapError(msg)
        grid = _grid(len(legs), self.n_alpha)
        self.alphas_ = grid[:, 0]
        by_query = np.stack(
            [
                expected_measure(
                    weighted_sum(*legs, weights=weights),
                    relevance,
                    self.measure,
                    min_grade=self.min_grade,
                )
                for weights in grid
            ]
        )
        usable = ~np.isnan(by_query[0])
        if not usable.any():
            raise MmgapError(_NO_RELEVANT)
        by_query = by_query[:, usable]
        self.n_query_ = int(usable.sum())
        self.values_ = by_query.mean(axis=1)
        best = self.values_ >= self.values_.max() - self.tolerance
        self.tied_alphas_ = self.alphas_[best]
        middle = _middle(best, grid)
        self.weights_ = grid[middle]
        self.alpha_ = float(self.alphas_[middle])
        self.fitted_ = float(self.values_[middle])
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Fuse the legs at the fitted weights."""
        check_is_fitted(self)
        legs = check_legs(leg_scores, n_leg=len(self.weights_))
        return weighted_sum(*legs, weights=self.weights_)


class LogisticFusion(_Fusion):
    """Logistic regression on the scores of all legs and on which of them lack the document.

    For each leg two features: its score, standardised over the calibration pairs (0 where the leg
    lacks the document), and whether it lacks the document. On legs that share no document the
    second is the offset between modalities. ``C`` as in scikit-learn. Every
    pair counts the same, so that queries with many candidates weigh more. Learns ``coef_`` (scores
    of all legs first), ``intercept_``, ``mean_``, ``scale_`` and ``n_pair_``.

    Only the second leg tells relevant documents apart.

    >>> text, image = np.array([[0.5, 0.5, 0.4]]), np.array([[0.9, 0.1, 0.2]])
    >>> fusion = LogisticFusion().fit([text, image], np.array([[1, 0, 0]]))
    >>> np.argsort(-fusion.transform([text, image]))[0, 0]
    np.int64(0)
    """

    def __init__(self, *, C: float = 1.0, min_grade: float = 1) -> None:
        self.C = C
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> LogisticFusion:
        """Fit the regression."""
        from sklearn.linear_model import LogisticRegression

        legs = check_legs(leg_scores)
        relevance = _grades(relevance, legs)
        if any(np.isnan(leg).all() for leg in legs):
            msg = "a leg has no score at all, so nothing can be learned about it; leave it out"
            raise MmgapError(msg)
        self.mean_ = np.array([np.nanmean(leg) for leg in legs])
        spread = np.array([np.nanstd(leg) for leg in legs])
        self.scale_ = np.where(spread > 0, spread, 1)
        found = count_legs(legs) > 0
        relevant = relevance[found] >= self.min_grade
        if relevant.all() or not relevant.any():
            msg = (
                f"{int(relevant.sum())} of {relevant.size} calibration pairs are relevant; a "
                "logistic regression needs relevant and other ones"
            )
            raise MmgapError(msg)
        regression = LogisticRegression(C=self.C, max_iter=1000)
        regression.fit(self._features(legs, found), relevant)
        self.coef_ = regression.coef_[0]
        self.intercept_ = float(regression.intercept_[0])
        self.n_pair_ = int(found.sum())
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Log-odds that each document is relevant; probabilities near 1 would round to ties."""
        check_is_fitted(self)
        legs = check_legs(leg_scores, n_leg=len(self.mean_))
        found = count_legs(legs) > 0
        fused = np.full(found.shape, np.nan)
        fused[found] = self._features(legs, found) @ self.coef_ + self.intercept_
        return fused

    def _features(self, legs: Sequence[np.ndarray], found: np.ndarray) -> np.ndarray:
        scores = (np.column_stack([leg[found] for leg in legs]) - self.mean_) / self.scale_
        missing = np.isnan(scores)
        return np.hstack([np.where(missing, 0, scores), missing])


class AdaptiveWeights(_Fusion):
    """Weighted sum of two legs whose weight depends on the query.

    The weight is a logistic regression's guess which leg has the better ``measure`` on this query,
    out of what the first ``depth`` ranks of its two lists look like (:func:`list_features`,
    standardised). No label of the query itself is used. Smaller ``C`` draws all weights to one.
    Learns ``coef_`` (first leg's features first; 0 where they could not be learned),
    ``intercept_`` and ``n_informative_``, the calibration queries on which one leg was better.

    What it can do is limited: it learns from those queries alone, never sees the query's words, and
    a leg's confidence says little where its scores are not calibrated. Judge it against
    :class:`ConvexCombination`. (Dynamic alpha tuning asks a language model; that is not this.)
    Cronen-Townsend, Zhou and Croft, SIGIR 2002; Shtok et al., TOIS 2012.

    A leg is right where its first hit stands out.

    >>> sure, unsure = [0.9, 0.1, 0.1], [0.5, 0.5, 0.4]
    >>> text, image = np.array([sure, unsure] * 4), np.array([unsure[::-1], sure[::-1]] * 4)
    >>> relevance = np.array([[1, 0, 0], [0, 0, 1]] * 4)
    >>> fusion = AdaptiveWeights("ndcg@1").fit([text, image], relevance)
    >>> (fusion.weights([text, image])[:2] > 0.5).tolist()
    [True, False]
    """

    def __init__(
        self,
        measure: str = "ndcg@10",
        *,
        depth: int = 10,
        C: float = 1.0,
        min_grade: float = 1,
    ) -> None:
        self.measure = measure
        self.depth = depth
        self.C = C
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> AdaptiveWeights:
        """Learn which list looks better.

        Where one leg is better on every query that tells, no regression can be fitted; all weights
        are then the smoothed fraction (wins + 1) / (queries + 2).
        """
        from sklearn.linear_model import LogisticRegression

        legs = check_legs(leg_scores, n_leg=2)
        relevance = _grades(relevance, legs)
        first, second = (
            expected_measure(leg, relevance, self.measure, min_grade=self.min_grade) for leg in legs
        )
        if np.isnan(first).all():
            raise MmgapError(_NO_RELEVANT)
        features = self._features(legs)
        self.mean_ = features.mean(axis=0)
        spread = features.std(axis=0)
        self.scale_ = np.where(spread > 0, spread, 1)
        gain = np.nan_to_num(first - second)
        tells = gain != 0
        self.n_informative_ = int(tells.sum())
        wins = int((gain > 0).sum())
        if wins in (0, self.n_informative_):
            self.coef_ = np.zeros(features.shape[1])
            self.intercept_ = float(np.log((wins + 1) / (self.n_informative_ - wins + 1)))
            return self
        regression = LogisticRegression(C=self.C, max_iter=1000)
        standard = (features - self.mean_) / self.scale_
        regression.fit(standard[tells], gain[tells] > 0, sample_weight=np.abs(gain[tells]))
        self.coef_ = regression.coef_[0]
        self.intercept_ = float(regression.intercept_[0])
        return self

    def weights(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Weight of the first leg for each query, in (0, 1): shape (n_query,)."""
        from scipy.special import expit

        check_is_fitted(self)
        features = self._features(check_legs(leg_scores, n_leg=2))
        return expit((features - self.mean_) / self.scale_ @ self.coef_ + self.intercept_)

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Fuse two legs, each query at its own weight."""
        alpha = self.weights(leg_scores)
        weights = np.column_stack([alpha, 1 - alpha])
        return weighted_sum(*leg_scores, weights=weights)

    def _features(self, legs: Sequence[np.ndarray]) -> np.ndarray:
        return np.hstack([list_features(leg, depth=self.depth) for leg in legs])


class PositionFusion(_Fusion):
    """Sum over legs of what a rank in the leg's list was worth on calibration queries.

    ``method`` says what rank p is worth:

    - ``posfuse``: the fraction of calibration queries whose document there was relevant;
    - ``slidefuse``: the mean of these fractions over the ranks p - ``window`` ... p + ``window``;
    - ``probfuse``: each list is cut into ``n_segment`` parts; the mean fraction of the rank's part,
      over the number of the part;
    - ``segfuse``: the same over parts of 5, 10, 20, 40 ... ranks, times the leg's score + 1: bring
      the scores into [0, 1] first;
    - ``mapfuse``: the leg's mean average precision over p;
    - ``bayesfuse``: the log-odds of the fraction, over parts that end at 5, 10, 15, 20, 30, 100
      ...; a leg that lacks the document adds the log-odds of 0.001.

    Ranks beyond the longest calibration list are worth 0. All but ``segfuse`` look at ranks alone,
    ties in the order of columns. Learns ``tables_``, for each leg the worth by rank or part. Lillis
    et al., SIGIR 2006, ECIR 2008, SIGIR 2010; Shokouhi, ECIR 2007; Aslam and Montague, SIGIR 2001.

    The first leg's first rank is always relevant, the second leg's in one of two queries.

    >>> text, image = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> relevance = np.array([[1, 0], [1, 0]])
    >>> PositionFusion().fit([text, image], relevance).transform([text, image])
    array([[1.5, 0.5],
           [1.5, 0.5]])
    """

    def __init__(
        self,
        method: str = "posfuse",
        *,
        n_segment: int = 10,
        window: int = 2,
        min_grade: float = 1,
    ) -> None:
        self.method = method
        self.n_segment = n_segment
        self.window = window
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> PositionFusion:
        """Estimate what ranks are worth."""
        if self.method not in METHODS or self.n_segment < 1 or self.window < 0:
            msg = (
                f"method must be one of {', '.join(METHODS)}, n_segment >= 1 and window >= 0; got "
                f"{self.method!r}, {self.n_segment} and {self.window}"
            )
            raise MmgapError(msg)
        legs = check_legs(leg_scores)
        relevant = _grades(relevance, legs) >= self.min_grade
        if not relevant.any():
            msg = "no document of the calibration queries is relevant; nothing can be estimated"
            raise MmgapError(msg)
        self.tables_ = [self._table(leg, relevant) for leg in legs]
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Add up what the legs' ranks are worth."""
        check_is_fitted(self)
        legs = check_legs(leg_scores, n_leg=len(self.tables_))
        points = [self._points(leg, table) for leg, table in zip(legs, self.tables_, strict=True)]
        if self.method == "bayesfuse":
            unseen = np.log(0.001 / 0.999)
            points = [np.where(np.isnan(part), unseen, part) for part in points]
        return np.where(count_legs(legs) > 0, add_legs(points), np.nan)

    def _table(self, leg: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        hits, lengths = _hits(leg, relevant)
        n_query, depth = hits.shape
        listed = np.arange(depth) < lengths[:, None]
        match self.method:
            case "posfuse" | "slidefuse":
                return hits.sum(axis=0) / np.maximum(listed.sum(axis=0), 1)
            case "probfuse":
                part = np.maximum(-(-lengths // self.n_segment), 1)
                which = np.minimum(np.arange(depth) // part[:, None], self.n_segment - 1)
                table = np.zeros(self.n_segment)
                for k in range(self.n_segment):
                    inside = (which == k) & listed
                    size = np.maximum(inside.sum(axis=1), 1)
                    table[k] = ((hits * inside).sum(axis=1) / size).mean()
                return table
            case "mapfuse":
                precision = np.cumsum(hits, axis=1) / np.arange(1, depth + 1)
                n_relevant = relevant.sum(axis=1)
                average = (precision * hits).sum(axis=1) / np.maximum(n_relevant, 1)
                return np.array([average[n_relevant > 0].mean()])
            case _:
                ends = SEGMENT_ENDS if self.method == "segfuse" else BAYES_ENDS
                starts = np.concatenate([[0], ends[:-1]])
                found = np.concatenate([[0], np.cumsum(hits.sum(axis=0))])
                inside = found[np.minimum(ends, depth)] - found[np.minimum(starts, depth)]
                fraction = inside / (n_query * (ends - starts))
                if self.method == "segfuse":
                    return fraction
                fraction = np.where(fraction == 0, 0.001, fraction)
                return np.log(fraction / np.where(fraction == 1, 0.001, 1 - fraction))

    def _points(self, leg: np.ndarray, table: np.ndarray) -> np.ndarray:
        place = np.nan_to_num(ranks(leg), nan=1.0).astype(np.int64) - 1
        lengths = (~np.isnan(leg)).sum(axis=1, keepdims=True)
        match self.method:
            case "posfuse":
                worth = _look_up(table, place)
            case "slidefuse":
                up_to = np.concatenate([[0], np.cumsum(table)])
                start = np.maximum(place - self.window, 0)
                stop = np.minimum(place + self.window + 1, np.maximum(lengths, 1))
                last = len(table)
                inside = up_to[np.minimum(stop, last)] - up_to[np.minimum(start, last)]
                worth = inside / (stop - start)
            case "probfuse":
                part = place // np.maximum(-(-lengths // self.n_segment), 1)
                worth = _look_up(table, part) / (part + 1)
            case "mapfuse":
                worth = table[0] / (place + 1)
            case "segfuse":
                worth = _look_up(table, np.searchsorted(SEGMENT_ENDS, place, side="right"))
                worth = worth * (leg + 1)
            case _:
                worth = _look_up(table, np.searchsorted(BAYES_ENDS, place, side="right"))
        return np.where(np.isnan(leg), np.nan, worth)


def log_odds_conjunction(
    *probabilities: np.ndarray, prior: float = 0.5, alpha: float = 0.5, floor: float = 1e-10
) -> np.ndarray:
    """Combine calibrated probabilities of relevance in log-odds.

    ``prior`` is the probability of relevance before any score was seen. Evidence adds up over the n
    legs that have the document: its mean is multiplied by n^``alpha``. 1 = legs are independent
    given relevance (naive Bayes); 0 = legs say the same thing (log-linear pool). Probabilities are
    kept ``floor`` away from 0 and 1; those beyond tie. As in the package bayesian-bm25, where n is
    the number of legs for every document.

    Two legs at odds of 3 to 1, independent of each other: 9 to 1.

    >>> log_odds_conjunction(np.array([[0.75, 0.75]]), np.array([[0.75, np.nan]]), alpha=1)
    array([[0.9 , 0.75]])
    """
    from scipy.special import expit, logit

    legs = check_legs(probabilities)
    if any((leg < 0).any() or (leg > 1).any() for leg in legs):
        msg = "probabilities must lie in [0, 1]; calibrate the scores first"
        raise MmgapError(msg)
    if not 0 < prior < 1 or not 0 < floor < 0.5:
        msg = f"prior must be in (0, 1) and floor in (0, 0.5); got {prior} and {floor}"
        raise MmgapError(msg)
    before = logit(prior)
    evidence = add_legs([logit(np.clip(leg, floor, 1 - floor)) - before for leg in legs])
    count = np.maximum(count_legs(legs), 1).astype(np.float64)
    return expit(before + count ** (alpha - 1) * evidence)


def list_features(scores: np.ndarray, *, depth: int = 10) -> np.ndarray:
    """Describe each query's list without labels: shape (n_query, 4), see ``FEATURES``.

    The best score; its margin over the second; the standard deviation (over n) of the best
    ``depth`` scores; and the entropy of their softmax at the temperature of that deviation, over
    the logarithm of their number: 1 = all the same, smaller = few stand out. 0 where a list is too
    short to have the feature (entropy: 1).

    >>> list_features(np.array([[0.75, 0.25, 0.25, 0.25], [0.5, 0.5, 0.5, 0.5]])).round(3)
    array([[0.75 , 0.5  , 0.217, 0.571],
           [0.5  , 0.   , 0.   , 1.   ]])
    """
    if depth < 2:
        msg = f"depth must be 2 or more; got {depth}"
        raise MmgapError(msg)
    (scores,) = check_legs([scores])
    depth = min(depth, scores.shape[1])
    best = -np.sort(-scores, axis=1)[:, :depth]  # NaN comes last
    there = ~np.isnan(best)
    n = np.maximum(there.sum(axis=1), 1)
    filled = np.where(there, best, 0)
    mean = filled.sum(axis=1) / n
    spread = np.sqrt((np.where(there, best - mean[:, None], 0) ** 2).sum(axis=1) / n)
    top = filled[:, 0] if depth else np.zeros(len(scores))
    margin = np.zeros(len(scores))
    if depth > 1:
        margin = np.where(there[:, 1], filled[:, 0] - filled[:, 1], 0)
    heat = np.where(spread > 0, spread, 1)[:, None]
    weight = np.where(there, np.exp((filled - top[:, None]) / heat), 0)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
    entropy = -(weight * np.log(np.where(weight > 0, weight, 1))).sum(axis=1)
    entropy = np.where(n > 1, entropy / np.log(np.maximum(n, 2)), 1)
    return np.column_stack([top, margin, spread, entropy])


def _grades(relevance: np.ndarray, legs: Sequence[np.ndarray]) -> np.ndarray:
    relevance = np.asarray(relevance, dtype=np.float64)
    if relevance.shape != legs[0].shape:
        msg = (
            f"relevance {relevance.shape} must have the shape of the scores {legs[0].shape}: the "
            "grade of each document, 0 where it is not relevant"
        )
        raise MmgapError(msg)
    return relevance


def _grid(n_leg: int, n_point: int) -> np.ndarray:
    """Weights that sum to 1, evenly spread: shape (at most n_point, n_leg)."""
    if n_leg <= 2:
        alphas = np.linspace(0, 1, n_point) if n_leg == 2 else np.ones(1)
        return np.column_stack([alphas, 1 - alphas])[:, :n_leg]
    step = 1
    while math.comb(step + n_leg, n_leg - 1) <= n_point:
        step += 1
    parts = itertools.product(range(step + 1), repeat=n_leg - 1)
    return np.array([(*part, step - sum(part)) for part in parts if sum(part) <= step]) / step


def _middle(best: np.ndarray, grid: np.ndarray) -> int:
    """Position of the weights to take among the best ones."""
    if grid.shape[1] > 2:
        away = np.linalg.norm(grid - grid[best].mean(axis=0), axis=1)
        return int(np.where(best, away, np.inf).argmin())
    return _middle_of_longest_run(best)


def _middle_of_longest_run(best: np.ndarray) -> int:
    """Position in the middle of the longest run of True; of equal runs the first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], best.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest] - 1) // 2)


def _hits(leg: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each rank of each list is relevant, up to the longest list, and the lengths."""
    lengths = (~np.isnan(leg)).sum(axis=1)
    order = np.argsort(-leg, axis=1, kind="stable")[:, : max(lengths.max(initial=0), 1)]
    hits = np.take_along_axis(relevant & ~np.isnan(leg), order, axis=1)
    return hits.astype(np.float64), lengths


def _look_up(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Worth by place, 0 beyond the table."""
    return np.where(place < len(table), table[np.minimum(place, len(table) - 1)], 0.0)
