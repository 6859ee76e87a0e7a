"""The strategies that are compared, by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mmgap.errors import MmgapError
from mmgap.fusion import FUSIONS
from mmgap.strategies.rerank import Average, Duplicates, Rerank
from mmgap.strategies.strategy import (
    BOTH_SCORES,
    OWN_LISTS,
    BestLeg,
    Combine,
    Strategy,
)

if TYPE_CHECKING:
    METHODS: dict[str, Strategy]

FAMILIES = (
    "leg", "raw", "normalised", "calibrated", "mitigated", "fused", "engine", "learned", "reranked",
)  # fmt: skip
"""Kinds of strategies."""

TRIVIAL = (
    Strategy("text leg", ("text",)),
    Strategy("image leg", ("image",)),
    Strategy("max", merge="max"),
    Strategy("mean", merge="mean"),
    Strategy("RRF", merge="rrf", family="fused"),
)
"""What everybody tries first: each leg alone, and the three merges that need no fitting."""

PUBLISHED_SOURCE = "Jina AI, 'Fair scoring for multimodal documents', 25 May 2025"

PUBLISHED: dict[str, float] = {
    "text leg": 14.55,
    "image leg": 22.38,
    "raw merge of 16 + 16": 14.55,
    "32 by text, reranked on text": 17.42,
    "32 by image, reranked on image": 28.94,
    "16 + 16, reranked on the matching leg": 33.81,
    "16 + 16, mean of both views": 36.24,
}
"""Recall@10 in percent as the article has it, on EDIS with jina-clip-v2 and jina-reranker-m0."""

PUBLISHED_CORPORA = ("edis", "edis/restricted")
"""Names of the corpora to which these numbers may belong: the article does not say which pool."""

PUBLISHED_MODELS = ("jina-clip-v2", "jina-reranker-m0")
"""What the encoder's and the reranker's names hold, hosted or not."""


def two_stage_strategies(
    *,
    depth: int = 32,
    duplicates: Duplicates = "max",
    backfill: bool = False,
    average: Average = "after",
) -> tuple[Strategy, ...]:
    """Return the rows of the article's table, in the order of ``PUBLISHED``.

    ``depth``: candidates, so many of one leg or half of them from each; even. The other options are
    those of :class:`Rerank`, which the article leaves open; with another depth the names say so.

    >>> [strategy.max_calls for strategy in two_stage_strategies()]
    [0, 0, 0, 32, 32, 32, 64]
    """
    if depth < 2 or depth % 2:
        msg = f"depth is {depth}; expected an even number, half of it for each leg"
        raise MmgapError(msg)
    half = depth // 2
    quota = f"{half} + {half}"

    def both(name: str, view: Any) -> Strategy:
        how = Rerank(view, half, backfill=backfill, duplicates=duplicates, average=average)
        return Strategy(f"{quota}, {name}", depth=half, rerank=how)

    return (
        Strategy("text leg", ("text",), depth),
        Strategy("image leg", ("image",), depth),
        raw_merge(f"raw merge of {quota}", half),
        *(
            Strategy(f"{depth} by {leg}, reranked on {leg}", (leg,), depth, rerank=how)
            for leg, how in (("text", Rerank("text", depth)), ("image", Rerank("image", depth)))
        ),
        both("reranked on the matching leg", "matching"),
        both("mean of both views", "average"),
    )


def raw_merge(name: str, depth: int) -> Strategy:
    """Return the merge in which a document keeps the score of the leg that retrieved it.

    Of two such scores the larger counts.
    """
    return Strategy(name, depth=depth, merge="max", sees=OWN_LISTS)


TWO_STAGE = two_stage_strategies()
"""The article's rows with every unreported setting at its default; see UNREPORTED_SETTINGS."""


def _normalised() -> list[Strategy]:
    plain = (
        *("min-max", "tmm", "max", "sum", "z", "dbsf", "dbsf clipped", "l2", "rank", "p1-p99"),
        *("reference min-max", "reference tmm", "reference z", "reference cdf", "reference p1-p99"),
    )
    # The larger of two scores tests most sharply whether they are on one scale.
    larger = ("min-max", "tmm", "z", "dbsf clipped", "reference z", "reference cdf")
    chosen = [(name, "mean") for name in plain] + [(name, "max") for name in larger]
    return [
        Strategy(f"{name}, {how}", normaliser=name, merge=how, family="normalised")
        for name, how in chosen
    ]


def _calibrated() -> list[Strategy]:
    from mmgap.fusion import log_odds_conjunction
    from mmgap.scores.calibrate import CALIBRATORS

    chosen: list[tuple[str, str, Any]] = [
        (name, "log-odds", log_odds_conjunction) for name in CALIBRATORS
    ]
    return [
        Strategy(f"{name}, {how}", normaliser=name, merge=merge, family="calibrated")
        for name, how, merge in [*chosen, ("platt", "max", "max")]
    ]


def _mitigated() -> list[Strategy]:
    from mmgap.mitigate import MITIGATIONS

    found = []
    for name, mitigation in MITIGATIONS.items():
        merges: dict[str, dict[str, str]] = {f"{name}, mean": {"merge": "mean"}}
        if name == "mean centring":
            merges[f"{name}, max"] = {"merge": "max"}
            merges[f"{name} + reference z, mean"] = {"merge": "mean", "normaliser": "reference z"}
        found += [
            Strategy(title, mitigation=mitigation, family="mitigated", **how)  # type: ignore[arg-type]
            for title, how in merges.items()
        ]
    return found


def _listed() -> list[Strategy]:
    from mmgap.fusion import borda, condorcet, engines, isr, log_isr, rbc

    fused: dict[str, Combine] = {
        "RRF, k = 60": FUSIONS["rrf"],
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
        Strategy(name, merge=merge, sees=OWN_LISTS, family=family)
        for family, merges in (("fused", fused), ("engine", engine))
        for name, merge in merges.items()
    ]


def _learned() -> list[Strategy]:
    from mmgap.fusion import AdaptiveWeights, ConvexCombination, LogisticFusion, PositionFusion
    from mmgap.mitigate import MITIGATIONS

    def learned(name: str, merge: Any, sees: str = BOTH_SCORES, **how: Any) -> Strategy:
        return Strategy(name, merge=merge, sees=sees, family="learned", **how)

    return [
        learned("convex, raw", ConvexCombination()),
        learned("convex, min-max", ConvexCombination(), normaliser="min-max"),
        learned("convex, reference z", ConvexCombination(), normaliser="reference z"),
        learned("logistic", LogisticFusion()),
        learned("query-adaptive, reference z", AdaptiveWeights(), normaliser="reference z"),
        learned("PosFuse", PositionFusion("posfuse"), OWN_LISTS),
        learned("SlideFuse", PositionFusion("slidefuse"), OWN_LISTS),
        learned(
            "convex, mean centring", ConvexCombination(), mitigation=MITIGATIONS["mean centring"]
        ),
    ]


def _methods() -> dict[str, Strategy]:
    """All merges of two legs by name, family by family.

    ``best single leg`` is the ceiling that needs no oracle: the leg that is better on the
    calibration queries. Normalised scores and probabilities of both legs are merged by their mean,
    maximum or log-odds; names say which. Ties within Weaviate's tolerance, which it breaks by raw
    score, are left as ties.
    """
    found = [
        Strategy("text leg", ("text",)),
        Strategy("image leg", ("image",)),
        Strategy("best single leg", merge=BestLeg()),
        Strategy("raw, max", merge="max"),
        Strategy("raw, mean", merge="mean"),
        Strategy("raw, min", merge="min"),
        *_normalised(),
        *_calibrated(),
        *_mitigated(),
        *_listed(),
        *_learned(),
    ]
    return {strategy.name: strategy for strategy in found}


def __getattr__(name: str) -> Any:
    """Build METHODS when it is first used: its estimators need scikit-learn."""
    if name != "METHODS":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    globals()["METHODS"] = found = _methods()
    return found
