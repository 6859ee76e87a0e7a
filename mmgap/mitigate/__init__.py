"""Change the vectors, or the scores, so that modalities can be compared.

Every mitigation is a scikit-learn estimator. It is fitted on a mapping of role to vectors of
**calibration data**, roles being ``query``, ``text`` and ``image``, and gives the scores of other
data with ``leg_scores``. Those that change the vectors also have ``transform``, so that a
``sklearn.pipeline.Pipeline`` can hold several; :func:`dot_scores` scores what comes out of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmgap.mitigate.base import EmbeddingMitigation, Mitigation, ScoreMitigation, dot_scores
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
    from mmgap.mitigate.registry import MITIGATIONS
    from mmgap.mitigate.whitening import Whitening

# All need scikit-learn, which takes more than a second to import.
_HOME = {
    "C3Collapse": "c3_collapse",
    "CSLS": "csls",
    "Coral": "coral",
    "DBNorm": "db_norm",
    "DimensionAblation": "dimension_ablation",
    "DistributionNormalisation": "distribution_normalisation",
    "EmbeddingMitigation": "base",
    "GapShift": "gap_shift",
    "InvertedSoftmax": "inverted_softmax",
    "MITIGATIONS": "registry",
    "MeanCentring": "mean_centring",
    "Mitigation": "base",
    "NNN": "nnn",
    "QBNorm": "qb_norm",
    "ScoreMitigation": "base",
    "Whitening": "whitening",
    "dot_scores": "base",
}

__all__ = [
    "CSLS",
    "MITIGATIONS",
    "NNN",
    "C3Collapse",
    "Coral",
    "DBNorm",
    "DimensionAblation",
    "DistributionNormalisation",
    "EmbeddingMitigation",
    "GapShift",
    "InvertedSoftmax",
    "MeanCentring",
    "Mitigation",
    "QBNorm",
    "ScoreMitigation",
    "Whitening",
    "dot_scores",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
