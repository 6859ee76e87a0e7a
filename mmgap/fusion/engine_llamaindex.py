"""What LlamaIndex returns when it fuses ranked lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.engine_arithmetic import (
    extremes,
    list_weights,
    scale,
)
from mmgap.fusion.legs import add_legs
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def llamaindex_fusion(
    *lists: Ranked,
    mode: str = "simple",
    weights: Sequence[float] | None = None,
    num_queries: int = 1,
    texts: Mapping[str, str] | Sequence[str] | None = None,
) -> Ranked:
    """LlamaIndex's ``QueryFusionRetriever``.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
        One per retriever.
    mode : str, default "simple"
        - ``simple``: the largest raw score;
        - ``reciprocal_rerank``: sum of 1 / (60 + place), places from 0, without weights;
        - ``relative_score``: weighted min-max; equal scores give 1 if they are positive, else 0;
        - ``dist_based_score``: the same between mean - 3 sd and mean + 3 sd, sd dividing by n, not
          clipped.
    weights : sequence of float or None, default None
        Made to sum to 1; None = equal weights.
    num_queries : int, default 1
        The retriever divides relative scores by it. Its own default is 4 (it writes 3 more queries
        with a language model).
    texts : mapping of document id to str, or sequence of str of length n_doc, or None
        Content of the documents. Documents with the same content are **one** for LlamaIndex, even
        within a list: all images without a caption collapse into one. ``reciprocal_rerank`` keeps
        the last such document, the other modes the first. None = all contents differ.

    Returns
    -------
    scores : dict or ndarray
        Documents that were merged into another are left out.

    Raises
    ------
    ValueError
        If ``mode`` is unknown, weights do not match the lists, or ``texts`` does not cover the
        documents.

    Notes
    -----
    Mirrors ``llama-index-core/llama_index/core/retrievers/fusion_retriever.py``. The distribution
    modes sum in list order, so that rounding may keep equal scores from being recognised as equal.

    Examples
    --------
    >>> llamaindex_fusion({"a": 3.0, "b": 1.0}, {"c": 7.0}, mode="relative_score")
    {'a': 0.5, 'c': 0.5, 'b': 0.0}
    >>> llamaindex_fusion({"a": 3.0, "b": 1.0}, texts={"a": "", "b": ""})
    {'a': 3.0}
    """
    given = RankedLists(lists)
    match mode:
        case "simple":
            parts = given.scores
        case "reciprocal_rerank":
            parts = [1.0 / (places + 60.0) for places in given.places]
        case "relative_score" | "dist_based_score":
            raw = list_weights(weights, given, 1.0)
            parts = [
                _llamaindex_relative(given, leg, mode) * (weight / sum(raw)) / num_queries
                for leg, weight in enumerate(raw)
            ]
        case _:
            msg = (
                f"unknown mode {mode!r}; LlamaIndex has simple, reciprocal_rerank, relative_score "
                "and dist_based_score"
            )
            raise MmgapError(msg)
    if texts is not None:
        return given.back(_merged_by_text(given, parts, mode, texts))
    return given.back(np.fmax.reduce(parts) if mode == "simple" else add_legs(parts))


def _llamaindex_relative(given: RankedLists, leg: int, mode: str) -> np.ndarray:
    scores = given.scores[leg]
    low, high = extremes(scores)
    if mode == "dist_based_score" and scores.shape[1]:
        in_order = given.in_order(leg)
        n = np.maximum((~np.isnan(in_order)).sum(axis=1, keepdims=True), 1)
        mean = np.add.accumulate(np.nan_to_num(in_order, nan=0.0), axis=1)[:, [-1]] / n
        squares = np.where(np.isnan(in_order), 0, (in_order - mean) ** 2)
        sd = (np.add.accumulate(squares, axis=1)[:, [-1]] / n) ** 0.5
        low, high = mean - 3 * sd, mean + 3 * sd
    return scale(scores, low, high, equal=np.where(high > 0, 1.0, 0.0))


def _merged_by_text(
    given: RankedLists,
    parts: list[np.ndarray],
    mode: str,
    texts: Mapping[str, str] | Sequence[str],
) -> np.ndarray:
    n_doc = given.found.shape[1]
    if given.doc_ids is not None and isinstance(texts, Mapping):
        texts = [texts[doc] for doc in given.doc_ids if doc in texts]
    if isinstance(texts, Mapping) or len(texts) != n_doc:
        msg = (
            f"texts must give the content of each of the {n_doc} documents, as a mapping from "
            "their ids or, for arrays, as one string per column"
        )
        raise MmgapError(msg)
    fused = np.full(given.found.shape, np.nan)
    for query in range(len(fused)):
        kept: dict[str, int] = {}
        total: dict[str, float] = {}
        for places, part in zip(given.places, parts, strict=True):
            n_listed = int((~np.isnan(places[query])).sum())
            for column in np.argsort(places[query], kind="stable")[:n_listed].tolist():
                text, points = texts[column], float(part[query, column])
                if text not in total:
                    kept[text], total[text] = column, points
                    continue
                total[text] = max(total[text], points) if mode == "simple" else total[text] + points
                if mode == "reciprocal_rerank":
                    kept[text] = column
        for text, column in kept.items():
            fused[query, column] = total[text]
    return fused
