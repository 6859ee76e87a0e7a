"""All measures of the gap, in the order in which a report lists them."""

from __future__ import annotations

from mmgap.gap.alignment import ALIGNMENT
from mmgap.gap.cone import CONE
from mmgap.gap.cross_uniformity import CROSS_UNIFORMITY
from mmgap.gap.dimension_profile import GAP_SHARE_TOP1, GAP_SHARE_TOP8
from mmgap.gap.effective_rank import EFFECTIVE_RANK
from mmgap.gap.frechet import FRECHET, FRECHET_COVARIANCE_TERM, FRECHET_MEAN_TERM
from mmgap.gap.group_gaps import GAP_CONSTANCY, GAP_ORTHOGONALITY
from mmgap.gap.hubness import HUBNESS
from mmgap.gap.knn_share import KNN_SHARE
from mmgap.gap.l2i import L2I
from mmgap.gap.l2m import L2M
from mmgap.gap.l2m_unbiased import L2M_UNBIASED
from mmgap.gap.linear_cka import LINEAR_CKA
from mmgap.gap.linear_separability import LINEAR_SEPARABILITY
from mmgap.gap.measure import Measure
from mmgap.gap.mmd import MMD
from mmgap.gap.neighbourhood_agreement import NEIGHBOURHOOD_AGREEMENT
from mmgap.gap.paired_cosine import PAIRED_COSINE
from mmgap.gap.participation_ratio import PARTICIPATION_RATIO
from mmgap.gap.pc1_angle import PC1_ANGLE
from mmgap.gap.rmg import RMG
from mmgap.gap.uniformity import UNIFORMITY
from mmgap.gap.unpaired_cosine import UNPAIRED_COSINE
from mmgap.gap.variance_dims import VARIANCE_DIMS

_IN_ORDER = (
    # How far apart?
    *(L2M, L2M_UNBIASED, L2I, RMG, PAIRED_COSINE, UNPAIRED_COSINE),
    # Can the two be told apart, and how do the distributions differ?
    *(LINEAR_SEPARABILITY, KNN_SHARE, FRECHET, FRECHET_MEAN_TERM, FRECHET_COVARIANCE_TERM, MMD),
    # Do both modalities arrange the items alike?
    *(LINEAR_CKA, NEIGHBOURHOOD_AGREEMENT, ALIGNMENT, CROSS_UNIFORMITY),
    # What shape has each modality?
    *(CONE, UNIFORMITY, EFFECTIVE_RANK, VARIANCE_DIMS, PARTICIPATION_RATIO),
    # Where does the gap point?
    *(GAP_SHARE_TOP1, GAP_SHARE_TOP8, PC1_ANGLE, GAP_CONSTANCY, GAP_ORTHOGONALITY),
    # Who is everybody's neighbour?
    *HUBNESS,
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _IN_ORDER}
"""Every measure under its name."""
