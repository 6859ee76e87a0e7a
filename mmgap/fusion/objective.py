"""What fitted fusions maximise: recall@k or nDCG@k, expected over the orders of tied documents.

``mmgap.evaluation`` measures finished runs; this measures score matrices, which a grid search does
a hundred times. A test holds the two equal.
"""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError

MEASURES = ("recall", "ndcg")
"""Measures that :func:`expected_measure` knows."""

CELLS_AT_ONCE = 4_000_000


def expected_measure(
    scores: np.ndarray, relevance: np.ndarray, measure: str = "recall@10", *, min_grade: float = 1
) -> np.ndarray:
    """Mean of a measure over all orders of tied documents, for each query.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN = not retrieved.
    relevance : ndarray of shape (n_query, n_doc)
        Grade of each document; relevant documents that were not retrieved count in the
        denominators.
    measure : str, default "recall@10"
        ``recall`` or ``ndcg`` (linear gain) with a cut-off.
    min_grade : float, default 1
        Lowest grade that recall counts as relevant; nDCG uses the grades themselves.

    Returns
    -------
    values : ndarray of shape (n_query,)
        In [0, 1]; larger is better; NaN where a query has no relevant document.

    Raises
    ------
    ValueError
        If the measure is unknown.

    Notes
    -----
    A document with a documents above it and b at or above it takes each of the places a+1 ... b in
    equally many orders. What it adds is therefore the mean discount of those places.

    References
    ----------
    .. [1] McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently
       in the Presence of Tied Scores", ECIR 2008, Sec. 3.

    Examples
    --------
    Two documents share the first place, one of them is the relevant one.

    >>> expected_measure(np.array([[0.5, 0.5]]), np.array([[1, 0]]), "recall@1")
    array([0.5])
    """
    name, k = _parse(measure)
    gains = (relevance >= min_grade).astype(float) if name == "recall" else np.maximum(relevance, 0)
    discount = np.ones(k) if name == "recall" else 1 / np.log2(np.arange(2, k + 2))
    up_to = np.concatenate([[0.0], np.cumsum(discount)])
    if name == "recall":
        best = gains.sum(axis=1)
    else:
        ideal = -np.sort(-gains, axis=1)[:, :k]
        best = ideal @ discount[: ideal.shape[1]]
    got = np.zeros(len(scores))
    queries, docs = np.nonzero((gains > 0) & ~np.isnan(scores))
    step = max(1, CELLS_AT_ONCE // max(scores.shape[1], 1))
    for start in range(0, len(queries), step):
        query, doc = queries[start : start + step], docs[start : start + step]
        own, rivals = scores[query, doc][:, None], scores[query]
        above, reached = (rivals > own).sum(axis=1), (rivals >= own).sum(axis=1)
        share = (up_to[np.minimum(reached, k)] - up_to[np.minimum(above, k)]) / (reached - above)
        got += np.bincount(query, gains[query, doc] * share, minlength=len(scores))
    return np.where(best > 0, got / np.where(best > 0, best, 1), np.nan)


def _parse(measure: str) -> tuple[str, int]:
    name, _, k = measure.partition("@")
    if name not in MEASURES or not (k.isdecimal() and int(k) > 0):
        msg = f"unknown measure {measure!r}; use recall@k or ndcg@k, e.g. 'recall@10'"
        raise MmgapError(msg)
    return name, int(k)
