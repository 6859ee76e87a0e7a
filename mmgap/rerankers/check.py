"""Does a model do what the catalogue says of it? Encoders are checked by ``encoders/check.py``."""

from __future__ import annotations

import numpy as np

from mmgap.encoders.catalog import ModelFacts, find_model
from mmgap.encoders.check import (
    CheckResult,
    check_encoder,
    check_finite,
    check_licence,
    check_modalities,
    check_pairs,
    interval,
    sanity_set,
)
from mmgap.encoders.loading import split_name
from mmgap.rerankers import Content, Pair, Reranker, load_reranker


def check_model(name: str) -> list[CheckResult]:
    """Load an encoder or reranker of the catalogue (``ID`` or ``ID@FOLDER``), run it, and compare.

    >>> all(result.passed for result in check_model("mini-clip"))  # doctest: +SKIP
    True
    """
    model_id, folder = split_name(str(name))
    facts = find_model(model_id)
    if facts.is_reranker:
        results = _check_reranker(load_reranker(name), facts)
    else:
        results = check_encoder(name, facts)
    return [*results, check_licence(facts, folder)]


def _check_reranker(reranker: Reranker, facts: ModelFacts) -> list[CheckResult]:
    sanity = sanity_set(8)
    queries = [Content(query) for query in sanity.queries]
    if "text-image" in reranker.info.modalities:
        documents = [Content(image=image) for image in sanity.images]
    else:
        documents = [Content(text) for text in sanity.texts]
    pairs = [Pair(query, document) for query in queries for document in documents]
    flat = reranker.score(pairs)
    single = reranker.score(pairs[:4], batch_size=1)
    backwards = reranker.score(pairs[::-1], batch_size=5)[::-1]
    scale = max(1.0, float(np.abs(flat).max()))
    bounded = "[0, 1]" in reranker.info.score
    within = bool((flat >= 0).all() and (flat <= 1).all())
    found = reranker.info.score
    return [
        check_modalities(reranker.info.modalities, facts),
        check_finite(flat),
        CheckResult("score", found == facts.score, found, facts.score),
        CheckResult(
            "score range",
            within if bounded else None,
            interval(flat),
            "[0, 1]" if bounded else "unbounded",
        ),
        _check_close("batch of one = batch of many", single, flat[:4], scale),
        _check_close("order is kept", backwards, flat, scale),
        check_pairs(flat.reshape(len(queries), len(documents))),
    ]


def _check_close(name: str, found: np.ndarray, expected: np.ndarray, scale: float) -> CheckResult:
    off = float(np.abs(found - expected).max()) / scale
    return CheckResult(name, off <= 0.01, f"off by {off:.2g}", "off by 0.01 or less")
