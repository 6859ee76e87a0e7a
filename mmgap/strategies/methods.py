"""The methods that are compared: registry."""

from __future__ import annotations

from functools import partial
from typing import Any

from mmgap.fusion import (
    AdaptiveWeights,
    ConvexCombination,
    LogisticFusion,
    PositionFusion,
    borda,
    comb_max,
    comb_mean,
    comb_min,
    condorcet,
    engines,
    isr,
    log_isr,
    log_odds_conjunction,
    rbc,
    reciprocal_rank_fusion,
)
from mmgap.mitigate import MITIGATIONS, EmbeddingMitigation
from mmgap.scores.calibrate import CALIBRATORS
from mmgap.scores.normalise import NORMALISERS
from mmgap.strategies.method import (
    BOTH_SCORES,
    LABELLED_PAIRS,
    NOTHING,
    OWN_LISTS,
    QUERY_BANK,
    UNLABELLED_SCORES,
    UNLABELLED_VECTORS,
    Method,
)
from mmgap.strategies.recipes import (
    Calibrated,
    Combine,
    Combined,
    Learned,
    Listed,
    Normalised,
    OneLeg,
)


def _normalised() -> list[Method]:
    plain = (
        *("min-max", "tmm", "max", "sum", "z", "dbsf", "dbsf clipped", "l2", "rank", "p1-p99"),
        *("reference min-max", "reference tmm", "reference z", "reference cdf", "reference p1-p99"),
    )
    # The larger of two scores tests most sharply whether they are on one scale.
    larger = ("min-max", "tmm", "z", "dbsf clipped", "reference z", "reference cdf")
    chosen = [(name, "mean", comb_mean) for name in plain]
    chosen += [(name, "max", comb_max) for name in larger]
    return [
        Method(
            f"{name}, {how}",
            "normalised",
            UNLABELLED_SCORES if name.startswith("reference") else NOTHING,
            BOTH_SCORES,
            Normalised(NORMALISERS[name], combine),
        )
        for name, how, combine in chosen
    ]


def _calibrated() -> list[Method]:
    chosen: list[tuple[str, str, Combine]] = [
        (name, "log-odds", log_odds_conjunction) for name in CALIBRATORS
    ]
    chosen.append(("platt", "max", comb_max))
    return [
        Method(
            f"{name}, {how}",
            "calibrated",
            LABELLED_PAIRS,
            BOTH_SCORES,
            Calibrated(CALIBRATORS[name], combine),
        )
        for name, how, combine in chosen
    ]


def _mitigated() -> list[Method]:
    found = []
    for name, mitigation in MITIGATIONS.items():
        moves = isinstance(mitigation, EmbeddingMitigation)
        fitted_on = UNLABELLED_VECTORS if moves else QUERY_BANK
        recipes: dict[str, Any] = {f"{name}, mean": Combined(comb_mean)}
        if name == "mean centring":
            recipes[f"{name}, max"] = Combined(comb_max)
            recipes[f"{name} + reference z, mean"] = Normalised(NORMALISERS["reference z"])
        found += [
            Method(title, "mitigated", fitted_on, BOTH_SCORES, recipe, mitigation)
            for title, recipe in recipes.items()
        ]
    return found


def _listed() -> list[Method]:
    fused: dict[str, Combine] = {
        "RRF, k = 60": reciprocal_rank_fusion,
        "ISR": isr,
        "log ISR": log_isr,
        "RBC": rbc,
        "Borda": borda,
        "Condorcet": condorcet,
    }
    engine: dict[str, Combine] = {
        "Qdrant RRF, k = 2": engines.qdrant_rrf,
        "Qdrant DBSF": engines.qdrant_dbsf,
        "Weaviate relative score": engines.weaviate_relative_score,
        "OpenSearch min-max": engines.opensearch_hybrid,
        "OpenSearch z-score": partial(engines.opensearch_hybrid, normalization="z_score"),
        "Elasticsearch min-max": partial(engines.elasticsearch_linear, normalizer="minmax"),
        "Vespa normalize_linear": engines.vespa_normalize_linear,
        "LlamaIndex simple": engines.llamaindex_fusion,
        "LlamaIndex dist-based": partial(engines.llamaindex_fusion, mode="dist_based_score"),
        "mteb DBSF": engines.mteb_dbsf,
        "ranx zmuv, sum": partial(engines.ranx_fuse, norm="zmuv", method="sum"),
        "ranx min-max, CombMNZ": partial(engines.ranx_fuse, norm="min-max", method="mnz"),
        "AutoRAG TMM": partial(
            engines.autorag_cc,
            weight=0.5,
            normalize_method="tmm",
            lexical_theoretical_min_value=-1.0,
        ),
    }
    return [
        Method(name, family, NOTHING, OWN_LISTS, Listed(fusion))
        for family, fusions in (("fused", fused), ("engine", engine))
        for name, fusion in fusions.items()
    ]


def _learned() -> list[Method]:
    bank_z = NORMALISERS["reference z"]
    both = {
        "convex, raw": Learned(ConvexCombination()),
        "convex, min-max": Learned(ConvexCombination(), NORMALISERS["min-max"]),
        "convex, reference z": Learned(ConvexCombination(), bank_z),
        "logistic": Learned(LogisticFusion()),
        "query-adaptive, reference z": Learned(AdaptiveWeights(), bank_z),
    }
    lists = {
        "PosFuse": Learned(PositionFusion("posfuse"), lists=True),
        "SlideFuse": Learned(PositionFusion("slidefuse"), lists=True),
    }
    found = [
        Method(name, "learned", LABELLED_PAIRS, sees, recipe)
        for sees, recipes in ((BOTH_SCORES, both), (OWN_LISTS, lists))
        for name, recipe in recipes.items()
    ]
    centred = MITIGATIONS["mean centring"]
    found.append(
        Method(
            *("convex, mean centring", "learned", LABELLED_PAIRS, BOTH_SCORES),
            Learned(ConvexCombination()),
            centred,
        )
    )
    return found


_ALL = [
    Method("text leg", "leg", NOTHING, OWN_LISTS, OneLeg("text")),
    Method("image leg", "leg", NOTHING, OWN_LISTS, OneLeg("image")),
    Method("best single leg", "leg", LABELLED_PAIRS, OWN_LISTS, OneLeg()),
    Method("raw, max", "raw", NOTHING, BOTH_SCORES, Combined(comb_max)),
    Method("raw, mean", "raw", NOTHING, BOTH_SCORES, Combined(comb_mean)),
    Method("raw, min", "raw", NOTHING, BOTH_SCORES, Combined(comb_min)),
    *_normalised(),
    *_calibrated(),
    *_mitigated(),
    *_listed(),
    *_learned(),
]

METHODS: dict[str, Method] = {method.name: method for method in _ALL}
"""All methods by name, family by family.

``best single leg`` is the ceiling that needs no oracle: the leg that is better on the calibration
queries. Normalised scores and probabilities of both legs are combined by their mean, maximum or
log-odds; names say which. Methods that see "both scores" look up the other leg's score of what one
leg alone listed; those that see "lists only" do not, as engines do not. Ties within Weaviate's
tolerance, which it breaks by raw score, are left as ties.
"""
