"""Bring the scores of a leg onto a scale on which legs can be merged.

Every normaliser is a scikit-learn transformer of matrices of shape (n_query, n_doc), NaN where the
leg does not have the document. Statistics come from each list by itself (``reference="query"``) or
from a bank of the leg's scores on calibration data (``reference="calibration"``): one per leg
then, see :func:`mmgap.scores.calibrate.fit_legs`.
"""

from mmgap.scores.normalise.base import ScoreNormaliser
from mmgap.scores.normalise.borda import BordaNormaliser
from mmgap.scores.normalise.dbsf import DBSFNormaliser
from mmgap.scores.normalise.l2 import L2Normaliser
from mmgap.scores.normalise.maximum import MaxNormaliser
from mmgap.scores.normalise.min_max import MinMaxNormaliser
from mmgap.scores.normalise.percentile_range import PercentileRangeNormaliser
from mmgap.scores.normalise.quantile import QuantileNormaliser
from mmgap.scores.normalise.rank import RankNormaliser
from mmgap.scores.normalise.theoretical_min_max import TheoreticalMinMaxNormaliser
from mmgap.scores.normalise.total import SumNormaliser
from mmgap.scores.normalise.z_score import ZScoreNormaliser

NORMALISERS: dict[str, ScoreNormaliser] = {
    "min-max": MinMaxNormaliser(),
    "tmm": TheoreticalMinMaxNormaliser(),
    "max": MaxNormaliser(),
    "sum": SumNormaliser(),
    "z": ZScoreNormaliser(),
    "dbsf": DBSFNormaliser(),
    "dbsf clipped": DBSFNormaliser(clip=True),
    "l2": L2Normaliser(),
    "rank": RankNormaliser(),
    "borda": BordaNormaliser(),
    "p1-p99": PercentileRangeNormaliser(),
    "reference min-max": MinMaxNormaliser(reference="calibration"),
    "reference tmm": TheoreticalMinMaxNormaliser(reference="calibration"),
    "reference z": ZScoreNormaliser(reference="calibration"),
    "reference cdf": QuantileNormaliser(),
    "reference p1-p99": PercentileRangeNormaliser(reference="calibration"),
}
"""Normalisers by the name that tables use; ``sklearn.base.clone`` one before fitting it. Those
called ``calibration`` must be fitted on calibration data, the others work list by list."""

__all__ = [
    "NORMALISERS",
    "BordaNormaliser",
    "DBSFNormaliser",
    "L2Normaliser",
    "MaxNormaliser",
    "MinMaxNormaliser",
    "PercentileRangeNormaliser",
    "QuantileNormaliser",
    "RankNormaliser",
    "ScoreNormaliser",
    "SumNormaliser",
    "TheoreticalMinMaxNormaliser",
    "ZScoreNormaliser",
]
