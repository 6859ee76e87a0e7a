"""The modality gap in numbers: measures, what they mean, and how far to trust them.

``MEASURES`` lists every measure with its range, its invariances and its source; each is also a
plain function of arrays here, such as ``l2m(image_embeddings, text_embeddings)``.
"""

from mmgap.gap.alignment import alignment
from mmgap.gap.cone import cone
from mmgap.gap.cross_uniformity import cross_uniformity
from mmgap.gap.dimension_profile import (
    ablation_curve,
    dimension_profile,
    gap_share_top1,
    gap_share_top8,
)
from mmgap.gap.effective_rank import effective_rank
from mmgap.gap.embeddings import paired_rows, unit_rows
from mmgap.gap.frechet import frechet, frechet_covariance_term, frechet_mean_term
from mmgap.gap.gap_vector import gap_vector
from mmgap.gap.group_gaps import gap_constancy, gap_orthogonality, group_gaps
from mmgap.gap.hubness import (
    i2t_antihub_rate,
    i2t_hubness_max,
    i2t_hubness_skew,
    i2t_robin_hood,
    k_occurrence,
    t2i_antihub_rate,
    t2i_hubness_max,
    t2i_hubness_skew,
    t2i_robin_hood,
)
from mmgap.gap.knn_share import knn_share, knn_share_by_item
from mmgap.gap.l2i import l2i
from mmgap.gap.l2m import l2m, plug_in_bias
from mmgap.gap.l2m_unbiased import l2m_unbiased
from mmgap.gap.linear_cka import linear_cka
from mmgap.gap.linear_separability import linear_separability
from mmgap.gap.measure import Measure
from mmgap.gap.mmd import mmd
from mmgap.gap.moments import Moments, streaming_moments
from mmgap.gap.neighbourhood_agreement import neighbourhood_agreement
from mmgap.gap.paired_cosine import paired_cosine
from mmgap.gap.participation_ratio import participation_ratio
from mmgap.gap.pc1_angle import pc1_angle
from mmgap.gap.registry import MEASURES
from mmgap.gap.rmg import rmg
from mmgap.gap.shift import contrastive_loss, shift_sweep, shifted
from mmgap.gap.spectrum import spectrum
from mmgap.gap.uncertainty import (
    Interval,
    NullLevel,
    SmallSampleWarning,
    half_split_level,
    interval,
    null_level,
    size_dependence,
    too_few,
)
from mmgap.gap.uniformity import uniformity
from mmgap.gap.unpaired_cosine import unpaired_cosine
from mmgap.gap.variance_dims import variance_dims

__all__ = [
    "MEASURES",
    "Interval",
    "Measure",
    "Moments",
    "NullLevel",
    "SmallSampleWarning",
    "ablation_curve",
    "alignment",
    "cone",
    "contrastive_loss",
    "cross_uniformity",
    "dimension_profile",
    "effective_rank",
    "frechet",
    "frechet_covariance_term",
    "frechet_mean_term",
    "gap_constancy",
    "gap_orthogonality",
    "gap_share_top1",
    "gap_share_top8",
    "gap_vector",
    "group_gaps",
    "half_split_level",
    "i2t_antihub_rate",
    "i2t_hubness_max",
    "i2t_hubness_skew",
    "i2t_robin_hood",
    "interval",
    "k_occurrence",
    "knn_share",
    "knn_share_by_item",
    "l2i",
    "l2m",
    "l2m_unbiased",
    "linear_cka",
    "linear_separability",
    "mmd",
    "neighbourhood_agreement",
    "null_level",
    "paired_cosine",
    "paired_rows",
    "participation_ratio",
    "pc1_angle",
    "plug_in_bias",
    "rmg",
    "shift_sweep",
    "shifted",
    "size_dependence",
    "spectrum",
    "streaming_moments",
    "t2i_antihub_rate",
    "t2i_hubness_max",
    "t2i_hubness_skew",
    "t2i_robin_hood",
    "too_few",
    "uniformity",
    "unit_rows",
    "unpaired_cosine",
    "variance_dims",
]
