"""Exact search: every query against every document."""

from __future__ import annotations

import numpy as np

from mmgap.encoders.vectors import Embeddings, TokenVectors, pair_similarity, similarity
from mmgap.errors import MmgapError

_SCORES_AT_ONCE = 2**24

_ROUNDING = 1e-6
"""By so much, of the product of two norms, may a score of a whole matrix product be off: its blocks
give equal documents scores that differ in the last bits."""


def top_k(queries: Embeddings, documents: Embeddings, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (float32, descending) and indices of the k nearest documents of every query.

    Exact, by FAISS' brute force over inner products, without the whole score matrix in memory;
    late interaction is scored by :func:`mmgap.encoders.similarity`, a block of queries
    at a time. Documents with equal scores are ordered by their index, also where the list is cut;
    that order means nothing, and tie-aware measures treat it so. ``k`` beyond the pool returns the
    pool.

    >>> documents = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]])
    >>> scores, indices = top_k(np.array([[0.0, 1.0]]), documents, k=3)
    >>> indices, scores
    (array([[1, 2, 3]]), array([[1. , 0.8, 0.8]], dtype=float32))
    """
    if k < 1:
        msg = f"k is {k}; expected at least 1"
        raise MmgapError(msg)
    if isinstance(queries, TokenVectors):
        return _top_k_of_tokens(queries, documents, k)
    queries = _as_rows("queries", queries)
    documents = _as_rows("documents", documents)
    if queries.shape[1] != documents.shape[1]:
        msg = (
            f"queries have {queries.shape[1]} dimensions and documents {documents.shape[1]}; "
            "expected vectors of one encoder"
        )
        raise MmgapError(msg)
    n_doc = len(documents)
    k = min(k, n_doc)
    scores = np.empty((len(queries), k), dtype=np.float32)
    indices = np.empty((len(queries), k), dtype=np.int64)
    rows, depth = np.arange(len(queries)), k
    longest = float(np.linalg.norm(documents, axis=1).max(initial=0))
    near = _ROUNDING * longest * np.linalg.norm(queries, axis=1)
    while k and len(rows):
        # One rank more than asked for shows whether a tie crosses the end of the list;
        # such rows are searched deeper until it does not.
        depth = min(depth + 1, n_doc)
        found, where = _search(queries[rows], documents, depth)
        scores[rows], indices[rows] = found[:, :k], where[:, :k]
        tied = found[:, k - 1] - found[:, -1] <= near[rows]
        rows = rows[tied & (depth < n_doc)]
        depth *= 2
    return scores, indices


def _top_k_of_tokens(
    queries: TokenVectors, documents: Embeddings, k: int
) -> tuple[np.ndarray, np.ndarray]:
    k = min(k, len(documents))
    scores = np.empty((len(queries), k), dtype=np.float32)
    indices = np.empty((len(queries), k), dtype=np.int64)
    step = max(1, _SCORES_AT_ONCE // max(1, len(documents)))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        found = similarity(queries[part], documents)
        if not np.isfinite(found).all():
            msg = "token vectors of queries or documents are not finite. Encode them again"
            raise MmgapError(msg)
        indices[part] = np.argsort(-found, axis=1, kind="stable")[:, :k]
        scores[part] = np.take_along_axis(found, indices[part], axis=1)
    return scores, indices


def _search(
    queries: np.ndarray, documents: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    import faiss

    _, indices = faiss.knn(queries, documents, depth, metric=faiss.METRIC_INNER_PRODUCT)
    scores = pair_similarity(queries, documents, indices)
    order = np.lexsort((indices, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(indices, order, axis=1)


def _as_rows(name: str, embeddings: Embeddings) -> np.ndarray:
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2:
        msg = f"{name} have shape {embeddings.shape}; expected two axes, (n, dim)"
        raise MmgapError(msg)
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        msg = (
            f"row {int(finite.argmin())} of {name} holds a number that is not finite "
            f"({int((~finite).sum())} such rows); expected finite vectors. Encode them again"
        )
        raise MmgapError(msg)
    return embeddings
