"""Turn the scores of a leg into probabilities of relevance.

Every calibrator is a scikit-learn transformer: fit it on calibration pairs of one leg, and it maps
matrices of shape (n_query, n_doc) to P(relevant | score, leg). All but
:class:`HistogramCalibrator` and :class:`LikelihoodRatioCalibrator` leave the order within a leg as
it is (ties apart); fitted per leg, all of them change the order of the merged list. The
probabilities hold for pairs drawn as the calibration pairs were: with more irrelevant documents
per query they are too high.
"""

from mmgap.scores.calibrate.base import ScoreCalibrator
from mmgap.scores.calibrate.beta import BetaCalibrator
from mmgap.scores.calibrate.histogram import HistogramCalibrator
from mmgap.scores.calibrate.isotonic import IsotonicCalibrator
from mmgap.scores.calibrate.legs import fit_legs
from mmgap.scores.calibrate.likelihood_ratio import LikelihoodRatioCalibrator
from mmgap.scores.calibrate.platt import PlattCalibrator

CALIBRATORS: dict[str, ScoreCalibrator] = {
    "platt": PlattCalibrator(),
    "isotonic": IsotonicCalibrator(),
    "histogram": HistogramCalibrator(),
    "beta": BetaCalibrator(),
    "likelihood ratio": LikelihoodRatioCalibrator(),
    "likelihood ratio, normal": LikelihoodRatioCalibrator(density="gaussian"),
}
"""Calibrators by the name that tables use; :func:`fit_legs` copies one for each leg."""

__all__ = [
    "CALIBRATORS",
    "BetaCalibrator",
    "HistogramCalibrator",
    "IsotonicCalibrator",
    "LikelihoodRatioCalibrator",
    "PlattCalibrator",
    "ScoreCalibrator",
    "fit_legs",
]
