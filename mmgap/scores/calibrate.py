"""Turn the scores of a leg into probabilities of relevance.

Every calibrator is a scikit-learn transformer: fit it on calibration pairs of one leg, scores X of
shape (n_pair, 1) or (n_query, n_doc) and relevance y (bools, or grades of which 1 and more are
relevant; one value of a row stands for all its scores), and it maps matrices of scores to
P(relevant | score, leg) in [0, 1]; NaN leaves a pair out. Fitted on one column it transforms
matrices of any width. One calibrator holds for one leg of one encoder, see :func:`fit_legs`, and
for pairs drawn as the calibration pairs were: with more non-relevant documents per query its
probabilities are too high.

All but :class:`HistogramCalibrator` and :class:`LikelihoodRatioCalibrator` leave the order within a
leg as it is (ties apart); fitted per leg, all of them change the order of the merged list. Pairs of
one kind only, infinite scores and shapes that disagree raise :class:`~mmgap.errors.MmgapError`.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from mmgap.errors import MmgapError
from mmgap.scores.normalise import ScoreEstimator, ScoreNormaliser
from mmgap.scores.pairs import relevant_pairs


class ScoreCalibrator(ScoreEstimator):
    """Base: a subclass says how in ``_fit_pairs`` and ``_probability``.

    Attributes: ``n_pairs_`` pairs fitted on, ``n_relevant_`` of them relevant.
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> ScoreCalibrator:
        """Learn from pairs whose relevance is known."""
        scores = self._validated(X, reset=True)
        if y is None:
            msg = (
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                "give the relevance of each pair"
            )
            raise MmgapError(msg)
        relevant = _relevance(y, scores.shape)
        there = ~np.isnan(scores)
        pairs, labels = scores[there], relevant[there]
        if labels.all() or not labels.any():
            msg = (
                f"{type(self).__name__} needs relevant and non-relevant pairs, but the "
                f"{labels.size} pairs are of one class: {labels.sum()} are relevant. "
                "Take calibration pairs of both kinds"
            )
            raise MmgapError(msg)
        self.n_pairs_, self.n_relevant_ = labels.size, int(labels.sum())
        self._fit_pairs(pairs, labels)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the probability that each pair is relevant; NaN where X is."""
        check_is_fitted(self)
        scores = self._validated(X, reset=False)
        there = ~np.isnan(scores)
        probability = np.full(scores.shape, np.nan)
        if there.any():
            probability[there] = self._probability(scores[there])
        return probability

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @abstractmethod
    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        """Learn from scores and bool labels of shape (n_pair,), both kinds present."""

    @abstractmethod
    def _probability(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of scores of shape (n_pair,)."""


def _relevance(y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    grades = np.asarray(y)
    if grades.shape == (shape[0],):
        grades = np.broadcast_to(grades[:, None], shape)
    if grades.shape != shape:
        msg = f"y {grades.shape} must have the shape of X {shape}, or one value for each row of it"
        raise MmgapError(msg)
    return relevant_pairs(grades)


class PlattCalibrator(ScoreCalibrator):
    """P = 1 / (1 + exp(-(slope s + intercept))).

    ``smoothing`` fits to Platt's targets, (n+ + 1) / (n+ + 2) for relevant and 1 / (n- + 2) for
    other pairs, which keep the slope finite where a threshold separates the two kinds. Right when
    the scores of both kinds are normal with one variance, biased at both ends otherwise. A slope at
    or below 0 says that the scores carry no evidence (Platt 1999).

    >>> scores, relevant = np.repeat([[0.0], [1.0]], 4, axis=0), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> platt = PlattCalibrator(smoothing=False).fit(scores, relevant)
    >>> platt.transform(np.array([[0.0, 0.5, 1.0]])).round(6)
    array([[0.25, 0.5 , 0.75]])
    """

    def __init__(self, *, smoothing: bool = True) -> None:
        self.smoothing = smoothing

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        slopes, self.intercept_ = fit_logistic(scores[:, None], relevant, smoothing=self.smoothing)
        self.slope_ = float(slopes[0])

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(self.slope_ * scores + self.intercept_)


class IsotonicCalibrator(ScoreCalibrator):
    """The non-decreasing map with the smallest squared error on the calibration pairs.

    Ties all scores of a step: the pairs above the best non-relevant one all become 1, so that
    recall at the top is left to the order of ties. Needs about 1000 relevant pairs; certain (0 or
    1) at both ends with any number. Zadrozny and Elkan, KDD 2002.

    >>> scores, relevant = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([0, 1, 0, 1])
    >>> IsotonicCalibrator().fit(scores, relevant).transform(scores).ravel()
    array([0. , 0.5, 0.5, 1. ])
    """

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        from sklearn.isotonic import IsotonicRegression

        regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        self.regression_ = regression.fit(scores, relevant)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return self.regression_.predict(scores)


class HistogramCalibrator(ScoreCalibrator):
    """Fraction of relevant calibration pairs in the score's bin, of equally many pairs each.

    Bins hold their lower edge; scores beyond the ends fall into the first or last bin. Where many
    scores are equal, bins are fewer than ``bins``. Ties all scores of a bin and may reverse the
    order of bins: made to read probabilities off, not to rank. Zadrozny and Elkan, ICML 2001.

    >>> scores, relevant = np.array([[0.1], [0.2], [0.3], [0.4]]), np.array([0, 0, 1, 0])
    >>> HistogramCalibrator(bins=2).fit(scores, relevant).transform(scores).ravel()
    array([0. , 0. , 0.5, 0.5])
    """

    def __init__(self, *, bins: int = 15) -> None:
        self.bins = bins

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        if self.bins < 1:
            msg = f"bins must be >= 1; got {self.bins!r}"
            raise MmgapError(msg)
        edges = np.unique(np.quantile(scores, np.linspace(0, 1, self.bins + 1)))
        self.edges_ = edges if edges.size > 1 else np.repeat(edges, 2)
        at = self._bin(scores)
        n = np.bincount(at, minlength=self.edges_.size - 1)
        found = np.bincount(at, weights=relevant, minlength=self.edges_.size - 1)
        self.fraction_ = np.where(n > 0, found / np.maximum(n, 1), relevant.mean())

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return self.fraction_[self._bin(scores)]

    def _bin(self, scores: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.edges_[1:-1], scores, side="right")


_MARGIN = 1e-6


class BetaCalibrator(ScoreCalibrator):
    """logit P = a log u - b log(1 - u) + c, u being the score moved into (0, 1); a, b >= 0.

    u = 0 and u = 1 stand for ``bounds``: (-1, 1) for a cosine, (0, 1) for a probability, None for
    the range of the calibration scores, widened by a tenth of it at each end. Bends where Platt's
    curve cannot; a = b = 1, c = 0 is the identity. A negative slope is set to 0 and the others
    fitted again, as Kull, Silva Filho and Flach do (AISTATS 2017).

    >>> scores = np.repeat([[0.25], [0.75]], 4, axis=0)
    >>> relevant = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> beta = BetaCalibrator(bounds=(0, 1), smoothing=False).fit(scores, relevant)
    >>> beta.transform(np.array([[0.25, 0.5, 0.75]])).round(6)
    array([[0.25, 0.5 , 0.75]])
    """

    def __init__(
        self, *, bounds: tuple[float, float] | None = None, smoothing: bool = True
    ) -> None:
        self.bounds = bounds
        self.smoothing = smoothing

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        self.bounds_ = self._bounds(scores)
        both = self._features(scores)
        (a, b), c = fit_logistic(both, relevant, smoothing=self.smoothing)
        if a < 0:
            (b,), c = fit_logistic(both[:, 1:], relevant, smoothing=self.smoothing)
            a, b = 0.0, max(b, 0.0)
        elif b < 0:
            (a,), c = fit_logistic(both[:, :1], relevant, smoothing=self.smoothing)
            a, b = max(a, 0.0), 0.0
        if a == b == 0:  # scores without evidence: nothing but the intercept is left
            _, c = fit_logistic(np.zeros((len(both), 1)), relevant, smoothing=self.smoothing)
        self.a_, self.b_, self.c_ = float(a), float(b), float(c)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(self._features(scores) @ [self.a_, self.b_] + self.c_)

    def _features(self, scores: np.ndarray) -> np.ndarray:
        low, high = self.bounds_
        u = np.clip((scores - low) / (high - low), _MARGIN, 1 - _MARGIN)
        return np.stack([np.log(u), -np.log1p(-u)], axis=1)

    def _bounds(self, scores: np.ndarray) -> tuple[float, float]:
        lowest, highest = scores.min(), scores.max()
        if self.bounds is None:
            margin = (highest - lowest) / 10 or 1.0
            return float(lowest - margin), float(highest + margin)
        low, high = self.bounds
        slack = _MARGIN * (high - low)
        if not low < high or lowest < low - slack or highest > high + slack:
            msg = (
                f"bounds must be (low, high) with all scores between them; got {self.bounds} and "
                f"scores from {lowest:g} to {highest:g}. bounds=None takes the range of the scores"
            )
            raise MmgapError(msg)
        return float(low), float(high)


_GRID = 1024


class LikelihoodRatioCalibrator(ScoreCalibrator):
    """logit P = log f_R(s) / f_G(s) + logit prior: Bayes' rule with the densities of both kinds.

    ``density`` is "kde" (Gaussian kernels, Scott's bandwidth n^(-1/5) standard deviations) or
    "gaussian". ``prior``, in (0, 1), is the probability of relevance before the score is seen; None
    takes the fraction of relevant calibration pairs. The one calibrator that can be moved to a pool
    of another composition without new labels.

    May reverse the order of scores: normal densities of different variance give a parabola, and
    kernels turn where data are few. Where one density has no score near, the ratio rests on the
    tail of its last kernel and the probability is far too certain. Constant beyond the calibration
    scores. Manmatha, Rath and Feng, SIGIR 2001; bayesian-bm25.

    >>> scores, relevant = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> ratio = LikelihoodRatioCalibrator(density="gaussian", prior=0.25).fit(scores, relevant)
    >>> ratio.transform(np.array([[1.5]])).round(6)
    array([[0.25]])
    """

    def __init__(self, *, density: str = "kde", prior: float | None = None) -> None:
        self.density = density
        self.prior = prior

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        log_densities = {"kde": _log_kde, "gaussian": _log_normal}
        if self.density not in log_densities:
            msg = f"density must be one of {tuple(log_densities)}; got {self.density!r}"
            raise MmgapError(msg)
        if self.prior is not None and not 0 < self.prior < 1:
            msg = f"prior must lie between 0 and 1; got {self.prior}"
            raise MmgapError(msg)
        self.prior_ = float(relevant.mean()) if self.prior is None else float(self.prior)
        self.grid_ = np.linspace(scores.min(), scores.max(), _GRID)
        log_density = log_densities[self.density]
        self.log_ratio_ = log_density("relevant", scores[relevant], self.grid_) - log_density(
            "other", scores[~relevant], self.grid_
        )

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(np.interp(scores, self.grid_, self.log_ratio_) + logit(self.prior_))


def _log_normal(name: str, sample: np.ndarray, grid: np.ndarray) -> np.ndarray:
    sd = _standard_deviation(name, sample)
    return -0.5 * ((grid - sample.mean()) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))


def _log_kde(name: str, sample: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Log of the kernel density of the sample binned linearly to a grid.

    Logarithms all the way: far from the sample the density underflows, its logarithm does not.
    """
    bandwidth = _standard_deviation(name, sample) * sample.size**-0.2
    # Each score is divided between its two neighbours on a grid fine enough for the kernel.
    step = min(grid[1] - grid[0], bandwidth / 10)
    n_node = int(np.ceil((sample.max() - sample.min()) / step)) + 1
    nodes = sample.min() + step * np.arange(n_node + 1)
    at = (sample - nodes[0]) / step
    below = np.minimum(at.astype(int), n_node - 1)
    upper = at - below
    weight = np.bincount(below, 1 - upper, n_node + 1) + np.bincount(below + 1, upper, n_node + 1)
    used = weight > 0
    nodes, weight = nodes[used], weight[used]
    log_density = np.empty_like(grid)
    for start in range(0, grid.size, 64):
        exponent = -0.5 * ((grid[start : start + 64, None] - nodes) / bandwidth) ** 2
        largest = exponent.max(axis=1)
        total = np.exp(exponent - largest[:, None]) @ weight
        log_density[start : start + 64] = largest + np.log(total)
    return log_density - np.log(sample.size * bandwidth * np.sqrt(2 * np.pi))


def _standard_deviation(name: str, sample: np.ndarray) -> float:
    if sample.size < 2 or sample.min() == sample.max():
        msg = (
            f"a density needs at least two different scores; the {sample.size} {name} pairs have "
            f"{np.unique(sample).size}. Take more pairs, or PlattCalibrator"
        )
        raise MmgapError(msg)
    return float(sample.std(ddof=1))


def fit_logistic(
    features: np.ndarray, relevant: np.ndarray, *, smoothing: bool
) -> tuple[np.ndarray, float]:
    """Maximum-likelihood slopes and intercept of the logit of relevance, without penalty.

    Features of shape (n_pair, n_feature) that are linear combinations of others, or constant, share
    or get no slope. Without ``smoothing``, separated pairs have no maximum and raise MmgapError.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    n_relevant = int(relevant.sum())
    n_other = relevant.size - n_relevant
    high = (n_relevant + 1) / (n_relevant + 2) if smoothing else 1.0
    low = 1 / (n_other + 2) if smoothing else 0.0
    target = np.where(relevant, high, low)

    # Orthogonal features of equal size make the fit exact for scores in any narrow range.
    centre = features.mean(axis=0)
    left, size, right = np.linalg.svd(features - centre, full_matrices=False)
    kept = size > 1e-10 * max(1e-300, np.abs(features).max() * np.sqrt(len(features)))
    basis = left[:, kept] * np.sqrt(len(features))
    if not kept.any():
        mean = target.mean()
        return np.zeros(features.shape[1]), float(np.log(mean) - np.log1p(-mean))

    # A soft target t is one observation of weight t that is relevant and one of 1 - t that is not.
    weight = np.concatenate([target, 1 - target])
    label = np.repeat([1, 0], relevant.size)
    used = weight > 0
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():
        # Newton's line search warns where its start is the optimum already (no feature tells the
        # pairs apart), so convergence is judged by the gradient below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.concatenate([basis, basis])[used], label[used], sample_weight=weight[used])
    fitted = model.decision_function(basis)
    if not smoothing and fitted[relevant].min() >= fitted[~relevant].max():
        msg = (
            f"the {n_relevant} relevant pairs are separated from the {n_other} others, so the "
            "likelihood has no maximum; use smoothing=True or more pairs"
        )
        raise MmgapError(msg)
    residual = expit(fitted) - target
    gradient = np.abs(np.append(basis.T @ residual, residual.sum())).max() / relevant.size
    if gradient > 1e-6:
        msg = f"the fit stopped at a gradient of {gradient:.1e} per pair, above 1e-06"
        warnings.warn(msg, ConvergenceWarning, stacklevel=2)
    slopes = right[kept].T @ (model.coef_[0] * np.sqrt(len(features)) / size[kept])
    return slopes, float(model.intercept_[0] - centre @ slopes)


CALIBRATORS: dict[str, ScoreCalibrator] = {
    "platt": PlattCalibrator(),
    "isotonic": IsotonicCalibrator(),
    "histogram": HistogramCalibrator(),
    "beta": BetaCalibrator(),
    "likelihood ratio": LikelihoodRatioCalibrator(),
    "likelihood ratio, normal": LikelihoodRatioCalibrator(density="gaussian"),
}
"""Calibrators by the name that tables use; :func:`fit_legs` copies one for each leg."""

Estimator = TypeVar("Estimator", ScoreNormaliser, ScoreCalibrator)


def fit_legs(
    estimator: Estimator,
    scores: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Estimator]:
    """Fit a copy of a normaliser or calibrator on the calibration scores of each leg.

    Arrays of a leg have any shape, ``relevant`` that of ``scores``; normalisers need none. Each
    fitted copy transforms lists of any length.

    >>> from mmgap.scores.normalise import ZScoreNormaliser
    >>> scores = {"text": np.array([[0.4, 0.6]]), "image": np.array([[0.1, 0.3]])}
    >>> fitted = fit_legs(ZScoreNormaliser(reference="calibration"), scores)
    >>> {leg: normaliser.offset_ for leg, normaliser in fitted.items()}
    {'text': 0.5, 'image': 0.2}
    """
    if relevant is not None:
        given, expected = (
            {leg: np.shape(values) for leg, values in of_legs.items()}
            for of_legs in (relevant, scores)
        )
        if given != expected:
            msg = (
                "relevant must hold the legs of scores, in the same shapes; got "
                f"{given} for {expected}"
            )
            raise MmgapError(msg)
    return {
        leg: clone(estimator).fit(
            np.reshape(values, (-1, 1)),
            None if relevant is None else np.reshape(relevant[leg], (-1, 1)),
        )
        for leg, values in scores.items()
    }
