"""How well a query fits a document, from their vectors: one scale for all encoders."""

from __future__ import annotations

import numpy as np

from mmgap.encoders.max_sim import max_sim
from mmgap.encoders.token_vectors import Embeddings, TokenVectors
from mmgap.errors import EncoderError

_QUERIES_AT_ONCE = 128
_TOKENS_AT_ONCE = 2**16


def similarity(queries: Embeddings, documents: Embeddings) -> np.ndarray:
    """Score every query against every document.

    The cosine, for encoders with one vector an input. For late interaction the mean, over the
    tokens of the query, of the best cosine that the token has with any token of the document. (Its
    sum, MaxSim, is what papers print; dividing by the number of query tokens keeps the order and
    puts the score on the scale of a cosine.)

    Parameters
    ----------
    queries : ndarray of shape (n_query, dim), or TokenVectors
        Unit-norm vectors.
    documents : ndarray of shape (n_doc, dim), or TokenVectors
        Unit-norm vectors, of the same encoder.

    Returns
    -------
    scores : ndarray of shape (n_query, n_doc)
        In [-1, 1]; larger is better.

    Raises
    ------
    EncoderError
        If one has a vector for each token and the other has not.

    Examples
    --------
    >>> similarity(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.0, 1.0]]))
    array([[0.6, 0. ]])
    """
    if len(documents) == 0:  # an empty leg is of no kind
        return np.empty((len(queries), 0), dtype=np.float32)
    if isinstance(queries, TokenVectors) and isinstance(documents, TokenVectors):
        return max_sim(queries, documents, mean=True)
    if isinstance(queries, TokenVectors) or isinstance(documents, TokenVectors):
        raise EncoderError(_mixed(queries, documents))
    return queries @ documents.T


def pair_similarity(queries: Embeddings, documents: Embeddings, rows: np.ndarray) -> np.ndarray:
    """Score each query against a few documents of its own, as :func:`similarity` does.

    Parameters
    ----------
    queries, documents
        As in :func:`similarity`.
    rows : int array of shape (n_query, n_candidate)
        Which documents; -1 marks an empty place.

    Returns
    -------
    scores : float32 ndarray of shape (n_query, n_candidate)
        NaN at empty places.

    Examples
    --------
    >>> documents = np.array([[0.6, 0.8], [0.0, 1.0]])
    >>> pair_similarity(np.array([[1.0, 0.0]]), documents, np.array([[1, -1, 0]]))
    array([[0. , nan, 0.6]], dtype=float32)
    """
    scores = np.full(rows.shape, np.nan, dtype=np.float32)
    if isinstance(queries, TokenVectors) and isinstance(documents, TokenVectors):
        for at, row in enumerate(rows):
            there = np.flatnonzero(row >= 0)
            lengths = documents.lengths[row[there]].cumsum()
            cuts = np.flatnonzero(np.diff(lengths // _TOKENS_AT_ONCE)) + 1
            for part in np.split(there, cuts):  # bounds the gathered copy
                found = max_sim(queries[at : at + 1], documents[row[part]], mean=True)
                scores[at, part] = found[0]
        return scores
    if isinstance(queries, TokenVectors) or isinstance(documents, TokenVectors):
        raise EncoderError(_mixed(queries, documents))
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = slice(start, start + _QUERIES_AT_ONCE)
        scores[block] = np.einsum("qd,qcd->qc", queries[block], documents[rows[block]])
    scores[rows < 0] = np.nan
    return scores


def _mixed(queries: Embeddings, documents: Embeddings) -> str:
    kinds = " and ".join(type(vectors).__name__ for vectors in (queries, documents))
    return f"queries and documents are {kinds}; expected two arrays or two TokenVectors"
