"""A reranker that scores by a rule and writes down what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmgap.rerankers.base import Content, Pair, RerankerInfo

KINDS = ("text-text", "text-image", "text-fused")


def shown(document: Content) -> tuple[str | None, int | None]:
    """A document's text, and the red of its image's first pixel."""
    red = None if document.image is None else document.image.getpixel((0, 0))[0]
    return document.text, red


class FakeReranker:
    def __init__(
        self,
        rule: Callable[[str, str | None, int | None], float],
        *,
        fingerprint: str = "fake 1",
        score: str = "sigmoid(logit), in [0, 1]",
        modalities: Sequence[str] = KINDS,
        stop_after: int | None = None,
    ) -> None:
        self.info = RerankerInfo("fake", fingerprint, "test", score, tuple(modalities))
        self.rule, self.stop_after = rule, stop_after
        self.asked: list[tuple[str | None, str | None, int | None]] = []

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
        assert batch_size > 0
        scores = []
        for query, document in pairs:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append((query.text, *shown(document)))
            scores.append(self.rule(query.text or "", *shown(document)))
        return np.asarray(scores, dtype=np.float32)
