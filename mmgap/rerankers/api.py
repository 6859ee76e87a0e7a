"""Rerankers behind an HTTP interface: Jina AI (https://docs.jina.ai, POST /v1/rerank)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from mmgap.encoders.api import ApiClient, ApiLimits, as_base64, provider_of
from mmgap.encoders.catalog import find_model
from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, RerankerInfo, check_pairs

_RECIPE = "1"
_IMAGE_TOKENS = 1_000
"""Tokens of an image before the provider counted: jina-reranker-m0 sees at most 768 patches."""

_LOOKS_LIKE_AN_IMAGE = ("http://", "https://", "data:")


class ApiReranker:
    """A hosted reranker: a text query with texts or images goes out, scores come back.

    What you score is sent to the provider, under their terms, and costs money. The options are
    those of :class:`mmgap.encoders.api.ApiEncoder`.
    """

    info: RerankerInfo

    def __init__(self, name: str, *, limits: ApiLimits | None = None) -> None:
        facts = find_model(name)
        self._model = name.removeprefix("api:")
        self.client = ApiClient(provider_of(self._model), limits)
        recipe = [_RECIPE, self.client.base_url, self._model]
        self.info = RerankerInfo(
            id=name,
            fingerprint=hashlib.sha256(repr(recipe).encode()).hexdigest(),
            backend="api",
            score=facts.score,
            modalities=facts.modalities,
            licence=facts.licence,
            max_text_tokens=facts.max_text_tokens,
        )

    def __repr__(self) -> str:
        return f"ApiReranker({self.info.id!r})"

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 64) -> np.ndarray:
        """Return one score for each pair; all or, if the budget does not allow it, nothing is sent.

        Neighbouring pairs with the same query go in one request, up to ``batch_size`` of them:
        order the pairs by query.
        """
        pairs = check_pairs(pairs, self.info)
        requests: list[list[Pair]] = []
        for _, group in groupby(pairs, key=lambda pair: pair.query.text):
            together = list(group)
            requests += [
                together[start : start + batch_size]
                for start in range(0, len(together), batch_size)
            ]
        costs = [_cost(request) for request in requests]
        self.client.check_budget(sum(costs), len(requests))
        parts = [np.empty(0, dtype=np.float32)]
        for request, cost in zip(requests, costs, strict=True):
            payload = {
                "model": self._model,
                "query": _query(request[0].query),
                "documents": [_document(pair.document) for pair in request],
                "return_documents": False,
            }
            answer = self.client.post("rerank", payload, tokens=cost)
            parts.append(self._scores(answer, len(request)))
        return np.concatenate(parts)

    def _scores(self, answer: dict[str, Any], n_pair: int) -> np.ndarray:
        """Read one score for each pair out of an answer, which comes best first."""
        scores = self.client.in_order(
            answer.get("results"), "relevance_score", n_pair, self.info.id
        )
        for index, score in enumerate(scores):
            number = isinstance(score, int | float) and abs(score) < 1e30
            if not number or not math.isfinite(score):
                msg = (
                    f"{self.info.id!r} scored document {index} with "
                    f"{self.client.clean(repr(score))}; expected a finite number"
                )
                raise EncoderError(msg)
        return np.array(scores, dtype=np.float32)


def _query(content: Content) -> Any:
    text = content.text or ""
    # The interface takes the address of an image for a query too; an object is always a text.
    return {"text": text} if text.lower().startswith(_LOOKS_LIKE_AN_IMAGE) else text


def _document(content: Content) -> dict[str, str]:
    if content.image is not None:
        return {"image": as_base64(content.image)}
    return {"text": content.text or ""}


def _cost(request: Sequence[Pair]) -> int:
    """Tokens at most: the query is read again with each document."""
    query = len((request[0].query.text or "").encode()) + 16
    return sum(
        query
        + (
            len((pair.document.text or "").encode())
            if pair.document.image is None
            else _IMAGE_TOKENS
        )
        for pair in request
    )
