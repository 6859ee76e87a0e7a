"""Logistic regression without penalty on one or two features of a score."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import expit

from mmgap.errors import MmgapError


def fit_logistic(
    features: np.ndarray, relevant: np.ndarray, *, smoothing: bool
) -> tuple[np.ndarray, float]:
    """Maximum-likelihood slopes and intercept of the logit of relevance.

    Parameters
    ----------
    features : ndarray of shape (n_pair, n_feature)
        Features that are linear combinations of others, or constant, share or get no slope.
    relevant : bool array of shape (n_pair,)
    smoothing : bool
        Platt's targets in place of 0 and 1, which keep the slopes finite.

    Returns
    -------
    slopes : ndarray of shape (n_feature,)
    intercept : float

    Raises
    ------
    MmgapError
        If relevant pairs are separated from the others, which makes the slopes infinite, and
        ``smoothing`` is off.
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
        return np.zeros(features.shape[1]), _logit(target.mean())

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
    logit = model.decision_function(basis)
    if not smoothing and logit[relevant].min() >= logit[~relevant].max():
        msg = (
            f"the {n_relevant} relevant pairs are separated from the {n_other} others, so the "
            "likelihood has no maximum; use smoothing=True or more pairs"
        )
        raise MmgapError(msg)
    residual = expit(logit) - target
    gradient = np.abs(np.append(basis.T @ residual, residual.sum())).max() / relevant.size
    if gradient > 1e-6:
        msg = f"the fit stopped at a gradient of {gradient:.1e} per pair, above 1e-06"
        warnings.warn(msg, ConvergenceWarning, stacklevel=2)
    slopes = right[kept].T @ (model.coef_[0] * np.sqrt(len(features)) / size[kept])
    return slopes, float(model.intercept_[0] - centre @ slopes)


def _logit(probability: float) -> float:
    return float(np.log(probability) - np.log1p(-probability))
