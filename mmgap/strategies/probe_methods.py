"""The methods of the published probe."""

from __future__ import annotations

from mmgap.fusion import comb_max, reciprocal_rank_fusion
from mmgap.mitigate import NNN, DimensionAblation, GapShift, MeanCentring, Mitigation
from mmgap.scores.normalise import (
    DBSFNormaliser,
    MinMaxNormaliser,
    QuantileNormaliser,
    ScoreNormaliser,
    TheoreticalMinMaxNormaliser,
    ZScoreNormaliser,
)
from mmgap.strategies.method import (
    BOTH_SCORES,
    NOTHING,
    OWN_LISTS,
    QUERY_BANK,
    UNLABELLED_SCORES,
    UNLABELLED_VECTORS,
    Method,
)
from mmgap.strategies.recipes import Combined, Listed, Normalised, OneLeg


def _moved(name: str, fitted_on: str, mitigation: Mitigation) -> Method:
    return Method(name, "mitigated", fitted_on, BOTH_SCORES, Combined(comb_max), mitigation)


def _scaled(name: str, normaliser: ScoreNormaliser, fitted_on: str = NOTHING) -> Method:
    return Method(name, "normalised", fitted_on, BOTH_SCORES, Normalised(normaliser, comb_max))


_BANK_Z = ZScoreNormaliser(reference="calibration")

PROBE_METHODS: tuple[Method, ...] = (
    Method("raw cosine", "raw", NOTHING, BOTH_SCORES, Combined(comb_max)),
    _moved("drop 2 largest gap dims", UNLABELLED_VECTORS, DimensionAblation(k=2)),
    _moved("shift images by gap vector", UNLABELLED_VECTORS, GapShift()),
    _moved("mean centring", UNLABELLED_VECTORS, MeanCentring()),
    _moved("NNN, alpha 0.75", QUERY_BANK, NNN(alpha=0.75, k=16)),
    _moved("NNN, alpha 1", QUERY_BANK, NNN(alpha=1.0, k=16)),
    Method(
        "mean centring + global z",
        *("mitigated", UNLABELLED_VECTORS, BOTH_SCORES),
        recipe=Normalised(_BANK_Z, comb_max),
        mitigation=MeanCentring(),
    ),
    _scaled("global z", _BANK_Z, UNLABELLED_SCORES),
    _scaled("global CDF", QuantileNormaliser(), UNLABELLED_SCORES),
    _scaled("per-query z", ZScoreNormaliser()),
    _scaled("unclipped DBSF", DBSFNormaliser()),
    _scaled("per-query min-max", MinMaxNormaliser()),
    _scaled("TMM", TheoreticalMinMaxNormaliser()),
    Method("RRF", "fused", NOTHING, OWN_LISTS, Listed(reciprocal_rank_fusion)),
    _scaled("clipped DBSF", DBSFNormaliser(clip=True)),
    Method("text leg", "leg", NOTHING, OWN_LISTS, OneLeg("text")),
    Method("image leg", "leg", NOTHING, OWN_LISTS, OneLeg("image")),
)
"""Each document's text and image are entries of their own there, so that no score is combined: the
larger score is the only one. The legs alone are the ceilings of the two directions."""
