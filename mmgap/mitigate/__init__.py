"""Change the vectors, or the scores, so that modalities can be compared.

Every mitigation is a scikit-learn estimator. It is fitted on a mapping of role to vectors of
**calibration data**, roles being ``query``, ``text`` and ``image``, and gives the scores of other
data with ``leg_scores``. Those of ``vectors`` also have ``transform``, so that a
``sklearn.pipeline.Pipeline`` can hold several; :func:`dot_scores` scores what comes out of it.
Those of ``scores`` correct hubs. :data:`FACTS` is the table of all of them.
"""

from __future__ import annotations

from typing import NamedTuple

from mmgap.mitigate.base import EmbeddingMitigation, Mitigation, ScoreMitigation, dot_scores
from mmgap.mitigate.scores import CSLS, NNN, DBNorm, InvertedSoftmax, QBNorm
from mmgap.mitigate.vectors import (
    C3Collapse,
    Coral,
    DimensionAblation,
    DistributionNormalisation,
    GapShift,
    MeanCentring,
    Whitening,
)

__all__ = [
    "CSLS",
    "FACTS",
    "MITIGATIONS",
    "NNN",
    "C3Collapse",
    "Coral",
    "DBNorm",
    "DimensionAblation",
    "DistributionNormalisation",
    "EmbeddingMitigation",
    "Facts",
    "GapShift",
    "InvertedSoftmax",
    "MeanCentring",
    "Mitigation",
    "QBNorm",
    "ScoreMitigation",
    "Whitening",
    "dot_scores",
]


class Facts(NamedTuple):
    """A mitigation, whether unit rows come out of it and a rotation changes no score."""

    mitigation: Mitigation
    unit_rows: bool
    turns_with_the_space: bool
    source: str


_MOVES = "Liang et al., NeurIPS 2022"
_NNN = "Chowdhury et al., EMNLP 2024"
_ZCA = "Kessy, Lewin and Strimmer 2018"

FACTS: dict[str, Facts] = {
    "mean centring": Facts(MeanCentring(), True, True, "Li et al., arXiv 2507.19054"),
    "c3 collapse": Facts(C3Collapse(), False, True, "Zhang, Sui and Yeung-Levy, ICLR 2024"),
    "distribution normalisation": Facts(
        DistributionNormalisation(), False, True, "Zhou et al., NeurIPS 2023"
    ),
    "gap shift": Facts(GapShift(), True, True, _MOVES),
    "gap shift both": Facts(GapShift(which="both"), True, True, _MOVES),
    "drop 2 dims": Facts(DimensionAblation(), True, False, "Schrodi et al., ICLR 2025"),
    "whitening": Facts(Whitening(), True, True, _ZCA),
    "pooled whitening": Facts(Whitening(pooled=True), True, True, _ZCA),
    "coral": Facts(Coral(), True, True, "Sun, Feng and Saenko, AAAI 2016"),
    # k for banks of a few hundred queries, see the class.
    "nnn": Facts(NNN(k=16), True, True, _NNN),
    "nnn alpha 1": Facts(NNN(alpha=1.0, k=16), True, True, _NNN),
    "inverted softmax": Facts(InvertedSoftmax(), True, True, "Smith et al., ICLR 2017"),
    "qb-norm": Facts(QBNorm(), True, True, "Bogolin et al., CVPR 2022"),
    "db-norm": Facts(DBNorm(), True, True, "Wang, Jian and Xue, EMNLP 2023"),
    "csls": Facts(CSLS(), True, True, "Conneau et al., ICLR 2018"),
}
"""Facts by name; mitigations that correct scores leave the unit rows as they are."""

MITIGATIONS: dict[str, Mitigation] = {name: facts.mitigation for name, facts in FACTS.items()}
"""Mitigations by the name that tables use; ``sklearn.base.clone`` one before fitting it."""
