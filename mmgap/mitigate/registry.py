"""All mitigations by name."""

from __future__ import annotations

from mmgap.mitigate.base import Mitigation
from mmgap.mitigate.c3_collapse import C3Collapse
from mmgap.mitigate.coral import Coral
from mmgap.mitigate.csls import CSLS
from mmgap.mitigate.db_norm import DBNorm
from mmgap.mitigate.dimension_ablation import DimensionAblation
from mmgap.mitigate.distribution_normalisation import DistributionNormalisation
from mmgap.mitigate.gap_shift import GapShift
from mmgap.mitigate.inverted_softmax import InvertedSoftmax
from mmgap.mitigate.mean_centring import MeanCentring
from mmgap.mitigate.nnn import NNN
from mmgap.mitigate.qb_norm import QBNorm
from mmgap.mitigate.whitening import Whitening

MITIGATIONS: dict[str, Mitigation] = {
    "mean centring": MeanCentring(),
    "c3 collapse": C3Collapse(),
    "distribution normalisation": DistributionNormalisation(),
    "gap shift": GapShift(),
    "gap shift both": GapShift(which="both"),
    "drop 2 dims": DimensionAblation(),
    "whitening": Whitening(),
    "pooled whitening": Whitening(pooled=True),
    "coral": Coral(),
    # k for banks of a few hundred queries, see the class.
    "nnn": NNN(k=16),
    "nnn alpha 1": NNN(alpha=1.0, k=16),
    "inverted softmax": InvertedSoftmax(),
    "qb-norm": QBNorm(),
    "db-norm": DBNorm(),
    "csls": CSLS(),
}
"""Mitigations by the name that tables use; ``sklearn.base.clone`` one before fitting it."""
