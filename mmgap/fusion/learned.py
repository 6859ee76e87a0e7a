"""Fusions that are fitted on calibration queries, and the conjunction of calibrated probabilities.

Fitted fusions are scikit-learn estimators in their parameters, ``clone`` and learned attributes,
but they take what fusion takes: a sequence of one score matrix per leg, NaN where a leg does not
have the document, and the grade of every document in the same shape. **Fit them on queries that
are not among those they are judged by.**
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mmgap.errors import MmgapError
from mmgap.fusion.legs import add_legs, check_legs, check_relevance, count_legs
from mmgap.fusion.linear import weighted_sum
from mmgap.fusion.objective import expected_measure


class ConvexCombination(BaseEstimator):
    """Weighted sum of two legs, its weight found on calibration queries.

    Parameters
    ----------
    measure : str, default "recall@10"
        What to maximise: ``recall@k`` or ``ndcg@k``, expected over the orders of tied documents.
    n_alpha : int, default 101
        Size of the grid of weights from 0 to 1.
    missing : {"zero", "renormalise", "minimum"}, default "zero"
        As in :func:`weighted_sum`.
    n_fold : int, default 5
        Folds of queries for ``held_out_``.
    min_grade : float, default 1
        Lowest grade that recall counts as relevant.
    tolerance : float, default 1e-12
        Weights whose means differ from the best by no more than this are tied.

    Attributes
    ----------
    alpha_ : float
        Weight of the first leg; the second has 1 - alpha. Of tied weights the middle of the
        longest run.
    tied_alphas_ : ndarray
        All weights of the grid that are as good as the best. Many of them, or several runs, say
        that the calibration queries do not determine the weight.
    alphas_, values_ : ndarray of shape (n_alpha,)
        The grid and the mean of the measure there.
    fitted_ : float
        Mean of the measure at ``alpha_`` on the queries it was chosen by: optimistic.
    held_out_ : float
        The same with each fold of queries judged at the weight that the other folds choose; NaN
        where there are fewer queries than folds.
    n_query_ : int
        Calibration queries that have a relevant document; the others cannot tell weights apart.

    Notes
    -----
    Scores are taken as they come: bring the legs onto one scale first. The weight does not undo a
    difference in spread that varies from query to query.

    References
    ----------
    .. [1] Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS
       2023, Sec. 4.

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
        missing: str = "zero",
        n_fold: int = 5,
        min_grade: float = 1,
        tolerance: float = 1e-12,
    ) -> None:
        self.measure = measure
        self.n_alpha = n_alpha
        self.missing = missing
        self.n_fold = n_fold
        self.min_grade = min_grade
        self.tolerance = tolerance

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> ConvexCombination:
        """Choose the weight.

        Parameters
        ----------
        leg_scores : two ndarray of shape (n_query, n_doc)
        relevance : ndarray of shape (n_query, n_doc)
            Grade of each document, 0 where it is not relevant.

        Raises
        ------
        ValueError
            If there are not two legs, shapes disagree, no query has a relevant document, or a
            parameter is out of range.
        """
        legs = check_legs(leg_scores, n_leg=2)
        relevance = check_relevance(relevance, legs[0].shape)
        if self.n_alpha < 2 or self.n_fold < 2:
            msg = f"n_alpha and n_fold must be 2 or more; got {self.n_alpha} and {self.n_fold}"
            raise MmgapError(msg)
        self.alphas_ = np.linspace(0, 1, self.n_alpha)
        by_query = np.stack([self._values(legs, relevance, alpha) for alpha in self.alphas_])
        usable = ~np.isnan(by_query[0])
        if not usable.any():
            msg = (
                "no calibration query has a relevant document, so no weight is better than "
                "another; pass the grades of the documents as relevance"
            )
            raise MmgapError(msg)
        by_query = by_query[:, usable]
        self.n_query_ = int(usable.sum())
        self.values_ = by_query.mean(axis=1)
        best = self._best(self.values_)
        self.tied_alphas_ = self.alphas_[best]
        middle = _middle_of_longest_run(best)
        self.alpha_ = float(self.alphas_[middle])
        self.fitted_ = float(self.values_[middle])
        self.held_out_ = self._held_out(by_query)
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Fuse two legs at the fitted weight: ndarray of shape (n_query, n_doc)."""
        check_is_fitted(self)
        return self._fuse(check_legs(leg_scores, n_leg=2), self.alpha_)

    def _fuse(self, legs: Sequence[np.ndarray], alpha: float) -> np.ndarray:
        return weighted_sum(*legs, weights=(alpha, 1 - alpha), missing=self.missing)

    def _values(
        self, legs: Sequence[np.ndarray], relevance: np.ndarray, alpha: float
    ) -> np.ndarray:
        fused = self._fuse(legs, alpha)
        return expected_measure(fused, relevance, self.measure, min_grade=self.min_grade)

    def _best(self, values: np.ndarray) -> np.ndarray:
        return values >= values.max() - self.tolerance

    def _held_out(self, by_query: np.ndarray) -> float:
        n_query = by_query.shape[1]
        if n_query < self.n_fold:
            return float("nan")
        fold = np.arange(n_query) % self.n_fold
        judged = [
            by_query[
                _middle_of_longest_run(self._best(by_query[:, fold != out].mean(axis=1))),
                fold == out,
            ]
            for out in range(self.n_fold)
        ]
        return float(np.concatenate(judged).mean())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


class LogisticFusion(BaseEstimator):
    """Logistic regression of relevance on the scores of all legs.

    Each leg gives two features: its score, standardised on the calibration pairs (0 where the leg
    lacks the document), and whether it lacks the document. On legs that share no document the
    second feature is the offset between modalities.

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the L2 penalty, as in scikit-learn.
    class_weight : dict, "balanced" or None, default None
        As in scikit-learn. Shifts the log-odds, hardly the order.
    min_grade : float, default 1
        Lowest grade that counts as relevant.

    Attributes
    ----------
    coef_ : ndarray of shape (2 n_leg,)
        Scores of all legs first, then the indicators of missing.
    intercept_ : float
    mean_, scale_ : ndarray of shape (n_leg,)
        Of each leg's calibration scores.
    n_pair_ : int
        Pairs of query and document that it was fitted on.

    Notes
    -----
    Every pair counts the same, so that queries with many candidates weigh more, and one line is
    drawn for all queries: a query whose scores all lie high is not compared within itself.

    Examples
    --------
    Only the second leg tells relevant documents apart.

    >>> text, image = np.array([[0.5, 0.5, 0.4]]), np.array([[0.9, 0.1, 0.2]])
    >>> fusion = LogisticFusion().fit([text, image], np.array([[1, 0, 0]]))
    >>> np.argsort(-fusion.transform([text, image]))[0, 0]
    np.int64(0)
    """

    def __init__(self, *, C: float = 1.0, class_weight: Any = None, min_grade: float = 1) -> None:
        self.C = C
        self.class_weight = class_weight
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> LogisticFusion:
        """Fit the regression.

        Parameters
        ----------
        leg_scores : sequence of ndarray of shape (n_query, n_doc)
        relevance : ndarray of shape (n_query, n_doc)

        Raises
        ------
        ValueError
            If shapes disagree, a leg is empty, or the pairs are all relevant or all not.
        """
        from sklearn.linear_model import LogisticRegression

        legs = check_legs(leg_scores)
        relevance = check_relevance(relevance, legs[0].shape)
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
        regression = LogisticRegression(C=self.C, class_weight=self.class_weight, max_iter=1000)
        regression.fit(self._features(legs, found), relevant)
        self.coef_ = regression.coef_[0]
        self.intercept_ = float(regression.intercept_[0])
        self.n_pair_ = int(found.sum())
        return self

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Log-odds that each document is relevant: ndarray of shape (n_query, n_doc).

        Log-odds and not probabilities, since probabilities near 1 round to equal numbers.
        """
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def log_odds_conjunction(
    *probabilities: np.ndarray, prior: float = 0.5, alpha: float = 0.5, floor: float = 1e-10
) -> np.ndarray:
    """Combine calibrated probabilities of relevance in log-odds.

    Parameters
    ----------
    *probabilities : ndarray of shape (n_query, n_doc)
        P(relevant | score) of each leg, in [0, 1], from a calibrator; NaN where the leg lacks the
        document.
    prior : float, default 0.5
        Probability of relevance before any score was seen, which all legs' calibrators share.
    alpha : float, default 0.5
        How evidence adds up over n legs: their mean is multiplied by n^alpha. 1 = legs are
        independent given relevance (naive Bayes, the log-odds are added); 0 = legs say the same
        thing (log-linear pool, the log-odds are averaged); 0.5 lies between.
    floor : float, default 1e-10
        Probabilities are kept this far from 0 and 1. Those beyond tie.

    Returns
    -------
    probability : ndarray of shape (n_query, n_doc)
        In (0, 1); larger is better; NaN where every leg lacks the document. n counts the legs that
        have the document: one alone keeps its probability. The order of the legs does not matter.

    Raises
    ------
    ValueError
        If shapes disagree, or a probability, ``prior`` or ``floor`` is out of range.

    References
    ----------
    .. [1] The ``log_odds_conjunction`` of the Python package bayesian-bm25 (prior 0.5, alpha 0.5,
       floor 1e-10; there n is the number of legs for every document).

    Examples
    --------
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


class AdaptiveWeights(BaseEstimator):
    """Weighted sum of two legs whose weight depends on the query.

    The weight is a logistic regression's guess which leg ranks this query better, out of what the
    two lists look like (see :func:`list_features`); no label of the query itself is used.

    Parameters
    ----------
    measure : str, default "ndcg@10"
        By which one leg is better than the other on a calibration query.
    depth : int, default 10
        Places of each list that features look at.
    C : float, default 1.0
        Inverse strength of the L2 penalty. Smaller draws all weights to one.
    missing : {"zero", "renormalise", "minimum"}, default "zero"
        As in :func:`weighted_sum`.
    min_grade : float, default 1
        Lowest grade that recall counts as relevant.

    Attributes
    ----------
    coef_ : ndarray of shape (8,)
        Of the standardised features, first leg's first. All 0 where they could not be learned.
    intercept_ : float
    n_informative_ : int
        Calibration queries on which one leg was better; the others say nothing.

    Notes
    -----
    What it can do is limited. It never sees the query's words; it learns from those calibration
    queries alone on which the legs differ, often few; and a leg's confidence says little where its
    scores are not calibrated. Judge it against :class:`ConvexCombination`, whose one weight is
    hard to beat. (Dynamic alpha tuning asks a language model to grade the two first hits; that is
    not this.)

    References
    ----------
    .. [1] Cronen-Townsend, Zhou and Croft, "Predicting Query Performance", SIGIR 2002 (that lists
       tell how good they are); Shtok et al., "Predicting Query Performance by Query-Drift
       Estimation", ACM TOIS 2012 (spread of the top scores).

    Examples
    --------
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
        missing: str = "zero",
        min_grade: float = 1,
    ) -> None:
        self.measure = measure
        self.depth = depth
        self.C = C
        self.missing = missing
        self.min_grade = min_grade

    def fit(self, leg_scores: Sequence[np.ndarray], relevance: np.ndarray) -> AdaptiveWeights:
        """Learn which list looks better.

        Parameters
        ----------
        leg_scores : two ndarray of shape (n_query, n_doc)
        relevance : ndarray of shape (n_query, n_doc)

        Raises
        ------
        ValueError
            If there are not two legs, shapes disagree, or no query has a relevant document.

        Notes
        -----
        Where one leg is better on every calibration query that tells, no regression can be
        fitted; all weights are then the smoothed share (wins + 1) / (queries + 2).
        """
        from sklearn.linear_model import LogisticRegression

        legs = check_legs(leg_scores, n_leg=2)
        relevance = check_relevance(relevance, legs[0].shape)
        first, second = (
            expected_measure(leg, relevance, self.measure, min_grade=self.min_grade) for leg in legs
        )
        if np.isnan(first).all():
            msg = (
                "no calibration query has a relevant document, so no leg is better than the "
                "other; pass the grades of the documents as relevance"
            )
            raise MmgapError(msg)
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
        """Weight of the first leg for each query, in (0, 1): ndarray of shape (n_query,)."""
        from scipy.special import expit

        check_is_fitted(self)
        features = self._features(check_legs(leg_scores, n_leg=2))
        return expit((features - self.mean_) / self.scale_ @ self.coef_ + self.intercept_)

    def transform(self, leg_scores: Sequence[np.ndarray]) -> np.ndarray:
        """Fuse two legs, each query at its own weight: ndarray of shape (n_query, n_doc)."""
        alpha = self.weights(leg_scores)
        weights = np.column_stack([alpha, 1 - alpha])
        return weighted_sum(*leg_scores, weights=weights, missing=self.missing)

    def _features(self, legs: Sequence[np.ndarray]) -> np.ndarray:
        return np.hstack([list_features(leg, depth=self.depth) for leg in legs])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


FEATURES = ("top", "margin", "spread", "entropy")
"""Columns of :func:`list_features`."""


def list_features(scores: np.ndarray, *, depth: int = 10) -> np.ndarray:
    """Describe each query's list, without labels.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc)
        NaN where the leg does not have the document.
    depth : int, default 10
        Best places that are looked at.

    Returns
    -------
    features : ndarray of shape (n_query, 4)
        The best score; its margin over the second; the standard deviation (dividing by n) of the
        best ``depth`` scores; and the entropy of their softmax at the temperature of that
        deviation, over the logarithm of their number: 1 = all the same, smaller = few stand out.
        0 where a list is too short to have the feature (entropy: 1).

    Raises
    ------
    ValueError
        If ``scores`` does not have two axes or ``depth`` is less than 2.

    Examples
    --------
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
    share = np.where(there, np.exp((filled - top[:, None]) / heat), 0)
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    entropy = np.where(n > 1, entropy / np.log(np.maximum(n, 2)), 1)
    return np.column_stack([top, margin, spread, entropy])


def _middle_of_longest_run(best: np.ndarray) -> int:
    """Position in the middle of the longest run of True; of equal runs the first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], best.astype(int), [0]])))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest] - 1) // 2)
