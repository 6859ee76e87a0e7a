"""Calibration by the ratio of two densities."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from mmgap.errors import MmgapError
from mmgap.scores.calibrate.base import ScoreCalibrator

DENSITIES = ("kde", "gaussian")
_GRID = 1024


class LikelihoodRatioCalibrator(ScoreCalibrator):
    """logit P = log f_R(s) / f_G(s) + logit prior: Bayes' rule.

    f_R is the density of the scores of relevant pairs, f_G that of the other pairs.

    Parameters
    ----------
    density : {"kde", "gaussian"}, default "kde"
        ``kde``: Gaussian kernels, bandwidth by Scott's rule (n^(-1/5) standard deviations);
        ``gaussian``: normal densities with the mean and variance (over n - 1) of each kind.
    prior : float or None, default None
        Probability of relevance before the score is seen, in (0, 1); None = share of relevant
        calibration pairs. The one calibrator whose probabilities can be moved to a pool of
        another composition without new labels.
    monotone : bool, default False
        Replace the log ratio by the closest non-decreasing function of the score (isotonic
        regression over the calibration scores), which creates ties.

    Attributes
    ----------
    prior_ : float
    grid_, log_ratio_ : ndarray of shape (1024,)
        log f_R / f_G over the range of the calibration scores; linear in between and constant
        beyond, where there is no evidence.
    n_pairs_, n_relevant_ : int
        Pairs fitted on, and how many of them are relevant.

    Notes
    -----
    In [0, 1]. Unless ``monotone``, it may reverse the order of scores: with normal densities of
    different variance the ratio is a parabola, and with kernels it turns where data are few, so
    that the highest score need not be the most probable. Where one density has no score near,
    the ratio rests on the tail of its last kernel and the probability is far too certain.
    Needs two relevant and two other pairs that are not all equal. Unchanged when all scores are
    shifted or multiplied before fitting.

    References
    ----------
    .. [1] bayesian-bm25, ``vector_probability.py``: likelihood ratio of local and background
       densities of cosines; there the background is the density of all pairs.
    .. [2] Manmatha, Rath and Feng, "Modeling Score Distributions for Combining the Outputs of
       Search Engines", SIGIR 2001.

    Examples
    --------
    Half way between two normal densities of one variance the score says nothing: the prior stays.

    >>> scores, relevant = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> ratio = LikelihoodRatioCalibrator(density="gaussian", prior=0.25).fit(scores, relevant)
    >>> ratio.transform(np.array([[1.5]])).round(6)
    array([[0.25]])
    """

    def __init__(
        self,
        *,
        density: str = "kde",
        prior: float | None = None,
        monotone: bool = False,
    ) -> None:
        self.density = density
        self.prior = prior
        self.monotone = monotone

    def _fit_pairs(self, scores: np.ndarray, relevant: np.ndarray) -> None:
        if self.density not in DENSITIES:
            msg = f"density must be one of {DENSITIES}; got {self.density!r}"
            raise MmgapError(msg)
        if self.prior is not None and not 0 < self.prior < 1:
            msg = f"prior must lie between 0 and 1; got {self.prior}"
            raise MmgapError(msg)
        self.prior_ = float(relevant.mean()) if self.prior is None else float(self.prior)
        self.grid_ = np.linspace(scores.min(), scores.max(), _GRID)
        kinds = {"relevant": scores[relevant], "other": scores[~relevant]}
        density = _log_kde if self.density == "kde" else _log_normal
        log_f = {name: density(name, sample, self.grid_) for name, sample in kinds.items()}
        self.log_ratio_ = log_f["relevant"] - log_f["other"]
        if self.monotone:
            self.log_ratio_ = self._non_decreasing(scores)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        return expit(np.interp(scores, self.grid_, self.log_ratio_) + logit(self.prior_))

    def _non_decreasing(self, scores: np.ndarray) -> np.ndarray:
        from sklearn.isotonic import IsotonicRegression

        at, n = np.unique(scores, return_counts=True)
        ratio = np.interp(at, self.grid_, self.log_ratio_)
        return IsotonicRegression(out_of_bounds="clip").fit(at, ratio, n).predict(self.grid_)


def _log_normal(name: str, sample: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Log of the normal density with the sample's mean and variance."""
    sd = _standard_deviation(name, sample)
    return -0.5 * ((grid - sample.mean()) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))


def _log_kde(name: str, sample: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Log of the kernel density, Scott's bandwidth, of the sample binned linearly to the grid.

    Logarithms all the way: far from the sample the density underflows, its logarithm does not.
    """
    bandwidth = _standard_deviation(name, sample) * sample.size**-0.2
    # Each score is shared out between its two neighbours on a grid fine enough for the kernel.
    step = min(grid[1] - grid[0], bandwidth / 10)
    n_node = int(np.ceil((sample.max() - sample.min()) / step)) + 1
    nodes = sample.min() + step * np.arange(n_node + 1)
    place = (sample - nodes[0]) / step
    below = np.minimum(place.astype(int), n_node - 1)
    share = place - below
    weight = np.bincount(below, 1 - share, n_node + 1) + np.bincount(below + 1, share, n_node + 1)
    used = weight > 0
    nodes, weight = nodes[used], weight[used]
    log_density = np.empty_like(grid)
    for start in range(0, grid.size, 64):
        at = grid[start : start + 64, None]
        exponent = -0.5 * ((at - nodes) / bandwidth) ** 2
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
