"""What search engines return when they fuse ranked lists, to the rounding of their arithmetic.

The same name ("RRF", "DBSF", "min-max") means different arithmetic in different systems: what they
do with equal scores (0, 0.5, the weight, 1 or the raw minimum), with a document that a list lacks,
with negative scores, and whether the standard deviation divides by n or n - 1. Each function
mirrors one system; ``SOURCES`` names the source file that was read; [M] marks what is from memory.

The contract is that of :mod:`mmgap.fusion.combine`. Lists are sorted by score, best first; equal
scores keep the order of the columns. Engines that compute in single precision are computed so here,
since rounding makes ties; results are float64 that hold those numbers. Where an engine leaves the
order of ties open, so does the result. ``weights`` holds one number per list; each function says
what None means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.combine import (
    add_legs,
    check_legs,
    comb_gmnz,
    comb_max,
    comb_mean,
    comb_med,
    comb_min,
    comb_mnz,
    comb_sum,
    count_legs,
    weighted_mnz,
    weighted_root,
    weighted_sum,
)
from mmgap.fusion.ranks import (
    borda,
    condorcet,
    isr,
    log_isr,
    logn_isr,
    ranks,
    rbc,
    reciprocal_rank_fusion,
)

_NEURAL = "src/main/java/org/opensearch/neuralsearch/processor"
_XPACK = "x-pack/plugin/rank-rrf/src/main/java/org/elasticsearch/xpack/rank/linear"
SOURCES = {
    "qdrant_rrf": "qdrant: lib/segment/src/common/reciprocal_rank_fusion.rs",
    "qdrant_dbsf": "qdrant: lib/segment/src/common/score_fusion.rs",
    "weaviate_relative_score": "weaviate: usecases/traverser/hybrid/hybrid_fusion.go",
    "opensearch_hybrid": (
        f"neural-search: {_NEURAL}/normalization/{{MinMax,ZScore}}*Technique.java, "
        f"{_NEURAL}/combination/ArithmeticMean*Technique.java, ScoreCombiner.java"
    ),
    "elasticsearch_linear": (
        f"elasticsearch: {_XPACK}/LinearRetrieverBuilder.java, MinMaxScoreNormalizer.java"
    ),
    "vespa_normalize_linear": (
        "vespa: container-search/src/main/java/com/yahoo/search/ranking/LinearNormalizer.java"
    ),
    "llamaindex_fusion": (
        "llama_index: llama-index-core/llama_index/core/retrievers/fusion_retriever.py"
    ),
    "mteb_dbsf": "mteb: mteb/models/hybrid_wrappers.py (fuse_dbsf)",
    "mteb_rsf": "mteb: mteb/models/hybrid_wrappers.py (fuse_relative_score_fusion)",
    "autorag_cc": "AutoRAG: autorag/nodes/retrieval/hybrid_cc.py (fuse_per_query, normalize_*)",
    "ranx_fuse": "ranx 0.3.21: ranx/fusion/*.py, ranx/normalization/*.py (Bassani, CIKM 2022)",
}
"""Which file each function mirrors."""

F32 = np.float32
"""Single precision, in which Qdrant, Weaviate and the Java engines keep scores."""

JAVA_FLOAT_MIN_VALUE = F32(2.0**-149)
"""``Float.MIN_VALUE`` of Java, the smallest *positive* float, where OpenSearch and Elasticsearch
begin their search for the maximum: the best of negative scores does not reach 1."""

TINY = 1e-9
"""Below this ranx lets no denominator fall."""

Weights = Sequence[float] | None


def qdrant_rrf(*lists: np.ndarray, k: int = 2, weights: Weights = None) -> np.ndarray:
    """Qdrant's reciprocal rank fusion: sum of 1 / (p + k), ranks p from 0.

    The paper's k = 60 is 61 here. A weight stretches the ranks: p of a list of weight w counts as
    (p + 1) / w - 1; a list of weight 0 or less adds 0. None weighs each list 1.

    >>> qdrant_rrf(np.array([[0.9, 0.8]]), np.array([[np.nan, 0.7]]))
    array([[0.5       , 0.83333337]])
    """
    legs = check_legs(lists)
    points = []
    for leg, weight in zip(legs, _weights(weights, legs, 1.0), strict=True):
        place = (ranks(leg) - 1).astype(F32)
        stretched = (place + F32(1)) / F32(weight) if weight > 0 else place
        points.append(F32(1) / (stretched + F32(k) - F32(1)) if weight > 0 else place * F32(0))
    return _wide(add_legs(points))


def qdrant_dbsf(*lists: np.ndarray) -> np.ndarray:
    """Qdrant's distribution-based score fusion: sum of (s - mean + 3 sd) / (6 sd), not weighted.

    sd over n - 1; nothing is clipped, so that outliers leave [0, 1]. A list of one document, or of
    equal scores, gives 0.5.

    >>> qdrant_dbsf(np.array([[3.0, 1.0, np.nan]]), np.array([[np.nan, np.nan, 0.3]])).round(4)
    array([[0.6179, 0.3821, 0.5   ]])
    """
    parts = []
    for leg in check_legs(lists):
        mean, sd, n = _one_pass(_in_order(leg).astype(F32))
        low, high = mean - F32(3) * sd, mean + F32(3) * sd
        part = _scale(leg.astype(F32), low, high, equal=F32(0.5))
        parts.append(np.where((n == 1) & ~np.isnan(part), F32(0.5), part))
    return _wide(add_legs(parts))


def weaviate_relative_score(*lists: np.ndarray, weights: Weights = None) -> np.ndarray:
    """Weaviate's ``relativeScoreFusion``, its default since 1.24: sum of weighted min-max.

    Weights None = equal ones that sum to 1; a hybrid query has (1 - alpha, alpha) for keywords and
    vectors, alpha 0.75 unless the client says otherwise [M]. A list of equal scores, or of one
    document, gives its documents the full weight. Fused scores closer than 1e-7 are ordered by the
    raw score in the last list that has the document: across modalities the one whose raw scores
    lie higher wins every tie. Here they stay ties.

    >>> weaviate_relative_score(np.array([[3.0, 1.0]]), np.array([[np.nan, 7.0]]))
    array([[0.5, 0.5]])
    """
    legs = check_legs(lists)
    parts = []
    for leg, weight in zip(legs, _weights(weights, legs, 1 / len(legs)), strict=True):
        scores = leg.astype(F32)
        parts.append(F32(weight) * _scale(scores, *_extremes(scores), equal=F32(1)))
    return _wide(add_legs(parts))


def opensearch_hybrid(
    *lists: np.ndarray, normalization: str = "min_max", weights: Weights = None
) -> np.ndarray:
    """OpenSearch's normalization processor with the arithmetic mean; None weighs each list 1.

    ``min_max``: a result of exactly 0 becomes 0.001; equal scores give 1, negative ones 0.001 (see
    ``JAVA_FLOAT_MIN_VALUE``). ``z_score``: results of 0 or less become 0.001, so that all documents
    below the mean tie; a score equal to the mean becomes the list's raw maximum; sd over n - 1
    (Apache commons-math [M]). A missing document counts 0 in the mean, a negative score does not
    count.

    The last of each list gets 0.001; a missing list counts as 0 in the mean.

    >>> opensearch_hybrid(np.array([[3.0, 1.0, np.nan]]), np.array([[np.nan, np.nan, 7.0]]))
    array([[0.5   , 0.0005, 0.5   ]])
    """
    normalisers = {"min_max": _opensearch_min_max, "z_score": _opensearch_z_score}
    if normalization not in normalisers:
        msg = f"unknown normalization {normalization!r}; choose min_max or z_score"
        raise MmgapError(msg)
    legs = check_legs(lists)
    total = np.zeros(legs[0].shape, dtype=F32)
    weight_sum = total.copy()
    for leg, weight in zip(legs, _weights(weights, legs, 1.0), strict=True):
        score = np.nan_to_num(normalisers[normalization](leg.astype(F32)), nan=0.0)
        counts = score >= 0
        total = np.where(counts, total + score * F32(weight), total).astype(F32)
        weight_sum = np.where(counts, weight_sum + F32(weight), weight_sum).astype(F32)
    mean = total / np.where(weight_sum == 0, F32(1), weight_sum)
    return np.where(count_legs(legs) > 0, _wide(np.where(weight_sum == 0, F32(0), mean)), np.nan)


def elasticsearch_linear(
    *lists: np.ndarray, normalizer: str = "none", weights: Weights = None
) -> np.ndarray:
    """Elasticsearch's linear retriever: weighted sum, None weighs each list 1.

    ``minmax``: lists of negative scores are not brought to 1, see ``JAVA_FLOAT_MIN_VALUE``. Scores
    whose range is below 1e-6 count as equal and give 1 (since pull request 128689, June 2025).

    >>> elasticsearch_linear(np.array([[-0.25, -0.5]]), normalizer="minmax")
    array([[0.5, 0. ]])
    """
    if normalizer not in ("none", "minmax"):
        msg = f"normalizer must be none or minmax; got {normalizer!r}"
        raise MmgapError(msg)
    legs = check_legs(lists)
    parts = []
    for leg, weight in zip(legs, _weights(weights, legs, 1.0), strict=True):
        scores = leg.astype(F32)
        if normalizer == "minmax":
            low, high = _extremes(scores)
            high = np.maximum(high, JAVA_FLOAT_MIN_VALUE)
            scores = _scale(scores, low, high, equal=F32(1), epsilon=F32(1e-6))
        parts.append(F32(weight) * scores)
    return _wide(add_legs(parts))


def vespa_normalize_linear(*lists: np.ndarray) -> np.ndarray:
    """Vespa's ``normalize_linear(a) + normalize_linear(b)`` in the global phase.

    Sum of 0.5 + (s - midpoint) / (max - min), in double precision; 0.5 where all are equal. The
    feature of a hit that its operator did not find is 0, for bm25 and closeness [M], and takes part
    in the normalisation: one missing hit makes 0 the minimum of a list of positive scores.

    >>> vespa_normalize_linear(np.array([[4.0, 2.0, np.nan]]), np.array([[np.nan, np.nan, 0.5]]))
    array([[1. , 0.5, 1. ]])
    """
    legs = check_legs(lists)
    found = count_legs(legs) > 0
    parts = []
    for leg in legs:
        scores = np.where(found & np.isnan(leg), 0.0, leg)
        low, high = _extremes(scores)
        spread = high > low
        factor = np.where(spread, 1 / np.where(spread, high - low, 1), 0)
        middle = np.where(spread, (low + high) * 0.5, 0)
        parts.append(0.5 + factor * (scores - middle))
    return np.sum(parts, axis=0)


def llamaindex_fusion(
    *lists: np.ndarray, mode: str = "simple", weights: Weights = None
) -> np.ndarray:
    """LlamaIndex's ``QueryFusionRetriever`` for one query.

    ``simple``: the largest raw score. ``relative_score``: weighted min-max; equal scores give 1 if
    they are positive, else 0. ``dist_based_score``: the same between mean - 3 sd and mean + 3 sd,
    sd over n, not clipped, summed in list order, so that rounding may keep equal scores from being
    recognised as equal. Weights are made to sum to 1; None = equal ones. Documents of equal content
    are one for LlamaIndex: all images without a caption collapse into one. Not mirrored here.

    >>> text, image = np.array([[3.0, 1.0, np.nan]]), np.array([[np.nan, np.nan, 7.0]])
    >>> llamaindex_fusion(text, image, mode="relative_score")
    array([[0.5, 0. , 0.5]])
    """
    legs = check_legs(lists)
    if mode == "simple":
        return np.fmax.reduce(legs)
    if mode not in ("relative_score", "dist_based_score"):
        msg = f"unknown mode {mode!r}; choose simple, relative_score or dist_based_score"
        raise MmgapError(msg)
    each = _weights(weights, legs, 1.0)
    parts = []
    for leg, weight in zip(legs, each, strict=True):
        low, high = _extremes(leg)
        if mode == "dist_based_score" and leg.shape[1]:
            in_order = _in_order(leg)
            n = np.maximum((~np.isnan(in_order)).sum(axis=1, keepdims=True), 1)
            mean = np.add.accumulate(np.nan_to_num(in_order, nan=0.0), axis=1)[:, [-1]] / n
            squares = np.where(np.isnan(in_order), 0, (in_order - mean) ** 2)
            sd = (np.add.accumulate(squares, axis=1)[:, [-1]] / n) ** 0.5
            low, high = mean - 3 * sd, mean + 3 * sd
        parts.append(
            _scale(leg, low, high, equal=np.where(high > 0, 1.0, 0.0)) * weight / sum(each)
        )
    return add_legs(parts)


def mteb_dbsf(*lists: np.ndarray, weights: Weights = None) -> np.ndarray:
    """Weighted sum of (s - mean + 3 sd) / (6 sd) as in mteb's ``HybridSearch``.

    **Clipped** to [0, 1], which ties all outliers; sd over n; 0.5 where it is below 1e-9. Weights
    None = equal ones that sum to 1.

    >>> mteb_dbsf(np.array([[3.0, 1.0]]), weights=(1,))
    array([[0.66666667, 0.33333333]])
    """
    legs = check_legs(lists)
    parts = []
    for leg, weight in zip(legs, _weights(weights, legs, 1 / len(legs)), strict=True):
        mean, sd = _mean_sd(leg)
        low, high = mean - 3 * sd, mean + 3 * sd
        spread = sd >= 1e-9
        part = np.clip((leg - low) / np.where(spread, high - low, 1), 0, 1)
        parts.append(weight * np.where(spread | np.isnan(leg), part, 0.5))
    return add_legs(parts)


def mteb_rsf(*lists: np.ndarray, weights: Weights = None) -> np.ndarray:
    """Weighted min-max as in mteb's ``HybridSearch``, 0.5 where scores are equal.

    >>> mteb_rsf(np.array([[3.0, 1.0]]), np.array([[np.nan, 7.0]]), weights=(1, 1))
    array([[1. , 0.5]])
    """
    legs = check_legs(lists)
    each = _weights(weights, legs, 1 / len(legs))
    return add_legs(
        [
            weight * _scale(leg, *_extremes(leg), equal=np.float64(0.5))
            for leg, weight in zip(legs, each, strict=True)
        ]
    )


def autorag_cc(
    semantic: np.ndarray,
    lexical: np.ndarray,
    *,
    weight: float,
    normalize_method: str = "mm",
    semantic_theoretical_min_value: float = -1.0,
    lexical_theoretical_min_value: float = 0.0,
) -> np.ndarray:
    """AutoRAG's ``hybrid_cc``: weighted sum of min-max (``mm``) or theoretical min-max (``tmm``).

    ``weight`` is that of the semantic list. NaN counts as 0, be it that of a missing document or
    that of equal scores (0 over 0): a list whose scores are all equal says nothing.

    >>> autorag_cc(np.array([[0.5, 0.5, np.nan]]), np.array([[np.nan, 3.0, 1.0]]), weight=0.5)
    array([[0. , 0.5, 0. ]])
    """
    if not 0 <= weight <= 1:
        msg = f"weight must be in [0, 1]; got {weight}"
        raise MmgapError(msg)
    if normalize_method not in ("mm", "tmm"):
        msg = f"unknown method {normalize_method!r}; choose mm or tmm"
        raise MmgapError(msg)
    legs = check_legs([semantic, lexical])
    floors = (semantic_theoretical_min_value, lexical_theoretical_min_value)
    fused = np.zeros(legs[0].shape)
    for leg, fraction, floor in zip(legs, (weight, 1.0 - weight), floors, strict=True):
        low, high = _extremes(leg)
        low = low if normalize_method == "mm" else np.full_like(low, floor)
        with np.errstate(divide="ignore", invalid="ignore"):
            normalised = (leg - low) / (high - low)
        fused += fraction * np.nan_to_num(normalised, nan=0.0)
    return np.where(count_legs(legs) > 0, fused, np.nan)


BY_SCORE: dict[str, Callable[..., np.ndarray]] = {
    "max": comb_max,
    "min": comb_min,
    "med": comb_med,
    "sum": comb_sum,
    "anz": comb_mean,
    "mnz": comb_mnz,
    "gmnz": comb_gmnz,
    "wsum": weighted_sum,
    "wmnz": weighted_mnz,
    "mixed": weighted_root,
}
BY_RANK: dict[str, Callable[..., np.ndarray]] = {
    "isr": isr,
    "log_isr": log_isr,
    "logn_isr": logn_isr,
    "rrf": reciprocal_rank_fusion,
    "rbc": rbc,
    "bordafuse": borda,
    "w_bordafuse": borda,
    "condorcet": condorcet,
    "w_condorcet": condorcet,
}
NORMS = (None, "min-max", "min-max-inverted", "max", "sum", "zmuv", "rank", "borda")


def ranx_fuse(
    *lists: np.ndarray, norm: str | None = "min-max", method: str = "wsum", **params: Any
) -> np.ndarray:
    """Return what ``ranx.fuse`` does, for all its methods that need no training.

    Norms are ``NORMS``, methods those of ``BY_SCORE`` and ``BY_RANK``, parameters as in ranx
    (``weights``, ``gamma``, ``sigma``, ``k``, ``phi``); the trained ones are
    :class:`PositionFusion`. Denominators are kept above 1e-9, so that equal scores become 0
    (``max``: a list whose best score is not positive is divided by 1e-9). In ``wsum`` and ``sum`` a
    missing document counts 0: under ``zmuv`` it beats every retrieved one below the mean.
    ``condorcet`` counts wins where ranx numbers one order. ranx breaks ties of a list in no stated
    order; here they keep that of the columns.

    The missing document (0) beats the one retrieved below the mean.

    >>> text, image = np.array([[3.0, 1.0, np.nan]]), np.array([[np.nan, np.nan, 7.0]])
    >>> ranx_fuse(text, image, norm="zmuv", weights=(1, 1))
    array([[ 1., -1.,  0.]])
    """
    legs = check_legs(lists)
    if norm not in NORMS:
        msg = f"unknown norm {norm!r}; ranx has {', '.join(map(str, NORMS))}"
        raise MmgapError(msg)
    if method in BY_SCORE:
        return BY_SCORE[method](*_ranx_normalise(legs, norm), **params)
    if method not in BY_RANK:
        known = ", ".join([*BY_SCORE, *BY_RANK])
        msg = f"unknown method {method!r}; use one of {known}, or PositionFusion for trained ones"
        raise MmgapError(msg)
    if norm == "borda":
        msg = (
            f"ranx ranks for {method!r} after the norm 'borda' in no stated order, so there is "
            "nothing to mirror; use another norm, which keeps the order of the lists"
        )
        raise MmgapError(msg)
    # Other norms keep the order, though they can make ties: ranks come from the list itself.
    return BY_RANK[method](*(-leg if norm == "min-max-inverted" else leg for leg in legs), **params)


def _ranx_normalise(legs: list[np.ndarray], norm: str | None) -> list[np.ndarray]:
    if norm is None:
        return legs
    found = count_legs(legs) > 0
    n_found = found.sum(axis=1, keepdims=True)
    parts = []
    for scores in legs:
        there = ~np.isnan(scores)
        n = there.sum(axis=1, keepdims=True)
        low, high = map(np.nan_to_num, _extremes(scores))
        total = np.where(there, scores, 0).sum(axis=1, keepdims=True)
        match norm:
            case "min-max":
                part = (scores - low) / np.maximum(high - low, TINY)
            case "min-max-inverted":
                part = (high - scores) / np.maximum(high - low, TINY)
            case "max":
                part = scores / np.maximum(high, TINY)
            case "sum":
                part = (scores - low) / np.maximum(total - low * n, TINY)
            case "zmuv":
                mean, sd = _mean_sd(scores)
                part = (scores - mean) / np.maximum(sd, TINY)
            case "rank":
                part = 1 - (ranks(scores) - 1) / np.maximum(n, 1)
            case _:  # borda
                unseen = 0.5 - (n - 1) / (2 * np.maximum(n_found, 1))
                part = 1 - (ranks(scores) - 1) / np.maximum(n_found, 1)
                part = np.where(found, np.where(there, part, unseen), np.nan)
        parts.append(part)
    return parts


def _weights(weights: Weights, legs: list[np.ndarray], default: float) -> list[float]:
    """Return one weight per list, ``default`` where none are given."""
    if weights is None:
        return [default] * len(legs)
    if len(weights) != len(legs):
        msg = f"got {len(weights)} weights for {len(legs)} lists; give one for each list"
        raise MmgapError(msg)
    return [float(weight) for weight in weights]


def _wide(fused: np.ndarray) -> np.ndarray:
    return fused.astype(np.float64)


def _in_order(scores: np.ndarray) -> np.ndarray:
    """Scores best first, NaN at the end."""
    return np.take_along_axis(scores, np.argsort(-scores, axis=1, kind="stable"), axis=1)


def _extremes(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum of each row, NaN where it is empty: shape (n_query, 1)."""
    low = np.fmin.reduce(scores, axis=1, keepdims=True, initial=np.nan)
    return low, np.fmax.reduce(scores, axis=1, keepdims=True, initial=np.nan)


def _mean_sd(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (over n) of each row, 0 where it is empty."""
    there = ~np.isnan(scores)
    n = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = np.where(there, scores, 0).sum(axis=1, keepdims=True) / n
    apart = np.where(there, scores - mean, 0)
    return mean, np.sqrt((apart**2).sum(axis=1, keepdims=True) / n)


def _scale(
    scores: np.ndarray, low: np.ndarray, high: np.ndarray, *, equal: Any, epsilon: Any = None
) -> np.ndarray:
    """(s - low) / (high - low), ``equal`` where both are the same, in the scores' precision."""
    span = high - low
    flat = (high == low) if epsilon is None else (np.abs(low - high) < epsilon)
    scaled = (scores - low) / np.where(flat, span.dtype.type(1), span)
    return np.where(flat & ~np.isnan(scores), equal, scaled).astype(scores.dtype)


def _one_pass(in_order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation (over n - 1) and number of each row, by Welford's recurrence."""
    n = (~np.isnan(in_order)).sum(axis=1, keepdims=True)
    mean, aggregate = np.zeros((2, *n.shape), dtype=in_order.dtype)
    for k in range(n.max(initial=0)):
        score = in_order[:, [k]]
        old = score - mean
        moved = mean + old / F32(k + 1)
        listed = ~np.isnan(score)
        aggregate = np.where(listed, aggregate + old * (score - moved), aggregate)
        mean = np.where(listed, moved, mean)
    return mean, np.sqrt(aggregate / np.maximum(n - 1, 1).astype(F32)), n


def _opensearch_min_max(scores: np.ndarray) -> np.ndarray:
    low, high = _extremes(scores)
    high = np.maximum(high, JAVA_FLOAT_MIN_VALUE)
    span = high - low
    scaled = np.where(span == 0, F32(1), (scores - low) / np.where(span == 0, F32(1), span))
    scaled = np.where(scaled == 0, F32(0.001), scaled)
    scaled = np.where((low == high) & (scores == high), F32(1), scaled)
    return np.where(np.isnan(scores), F32(np.nan), scaled).astype(F32)


def _opensearch_z_score(scores: np.ndarray) -> np.ndarray:
    wide = scores.astype(np.float64)
    mean, sd = _mean_sd(wide)
    n = (~np.isnan(wide)).sum(axis=1, keepdims=True)
    sd = (sd * np.sqrt(n / np.maximum(n - 1, 1))).astype(F32)
    mean = mean.astype(F32)
    low, high = _extremes(scores)
    z = (scores - mean) / np.where(sd == 0, F32(1), sd)
    z = np.where(z <= 0, F32(0.001), z)
    z = np.where((sd == 0) & ~np.isnan(scores), low, z)
    return np.where(scores == mean, high, z)
