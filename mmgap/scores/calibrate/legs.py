"""One fitted estimator per leg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from sklearn.base import clone

from mmgap.errors import MmgapError
from mmgap.scores.calibrate.base import ScoreCalibrator
from mmgap.scores.normalise.base import ScoreNormaliser

Estimator = TypeVar("Estimator", ScoreNormaliser, ScoreCalibrator)


def fit_legs(
    estimator: Estimator,
    scores: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Estimator]:
    """Fit a copy of a normaliser or calibrator on the calibration scores of each leg.

    Parameters
    ----------
    estimator : ScoreNormaliser or ScoreCalibrator
        Not changed.
    scores : mapping of leg to ndarray of any shape
        Scores of calibration queries; NaN leaves a pair out.
    relevant : mapping of leg to ndarray, or None
        Of the shapes of ``scores``, bool or grades as calibrators take them; normalisers need none.

    Returns
    -------
    fitted : dict of leg to estimator
        Each transforms lists of any length.

    Raises
    ------
    MmgapError
        If ``relevant`` has other legs or shapes than ``scores``, or a leg cannot be fitted.

    Examples
    --------
    >>> from mmgap.scores.normalise import ZScoreNormaliser
    >>> bank = {"text": np.array([[0.4, 0.6]]), "image": np.array([[0.1, 0.3]])}
    >>> fitted = fit_legs(ZScoreNormaliser(reference="calibration"), bank)
    >>> {leg: normaliser.offset_ for leg, normaliser in fitted.items()}
    {'text': 0.5, 'image': 0.2}
    """
    if relevant is not None and {leg: np.shape(labels) for leg, labels in relevant.items()} != {
        leg: np.shape(values) for leg, values in scores.items()
    }:
        msg = (
            "relevant must hold the legs of scores, in the same shapes; got "
            f"{ {leg: np.shape(labels) for leg, labels in relevant.items()} } for "
            f"{ {leg: np.shape(values) for leg, values in scores.items()} }"
        )
        raise MmgapError(msg)
    return {
        leg: clone(estimator).fit(
            np.reshape(values, (-1, 1)),
            None if relevant is None else np.reshape(relevant[leg], (-1, 1)),
        )
        for leg, values in scores.items()
    }
