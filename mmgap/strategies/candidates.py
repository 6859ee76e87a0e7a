"""The candidates of every query, with what each leg says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.search import top_k
from mmgap.store.vectors import Vectors

_QUERIES_AT_ONCE = 128


@dataclass(frozen=True)
class Candidates:
    """The union of both legs' best documents.

    Parameters
    ----------
    documents : int array of shape (n_query, n_candidate)
        Positions in the corpus; -1 fills up rows where the legs found the same documents.
    scores : dict of leg to float array of shape (n_query, n_candidate)
        Cosine; NaN where the document lacks that modality.
    listed : dict of leg to bool array of shape (n_query, n_candidate)
        Whether the leg itself found the document.
    """

    documents: np.ndarray
    scores: dict[str, np.ndarray]
    listed: dict[str, np.ndarray]


def find_candidates(vectors: Vectors, depth: int) -> Candidates:
    """Search both legs to ``depth`` and let each leg score what the other one found."""
    n_documents = len(vectors.corpus.documents)
    found = {}
    for name, leg in vectors.legs.items():
        _, rows = top_k(vectors.queries, leg.embeddings, depth)
        found[name] = leg.positions[rows]
    documents = _unique_rows(np.concatenate(list(found.values()), axis=1))

    scores, listed = {}, {}
    for name, leg in vectors.legs.items():
        row_of = np.full(n_documents + 1, -1)  # the last entry serves the empty places (-1)
        row_of[leg.positions] = np.arange(len(leg.positions))
        rows = row_of[documents]
        scores[name] = _cosines(vectors.queries, leg.embeddings, rows)
        listed[name] = _is_listed(documents, found[name], n_documents)
    return Candidates(documents, scores, listed)


def _unique_rows(documents: np.ndarray) -> np.ndarray:
    documents = np.sort(documents, axis=1)
    documents[:, 1:][documents[:, 1:] == documents[:, :-1]] = -1
    return documents


def _cosines(queries: np.ndarray, embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    scores = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):  # bounds the gathered copy
        part = slice(start, start + _QUERIES_AT_ONCE)
        scores[part] = np.einsum("qd,qcd->qc", queries[part], embeddings[rows[part]])
    scores[rows < 0] = np.nan
    return scores


def _is_listed(documents: np.ndarray, found: np.ndarray, n_documents: int) -> np.ndarray:
    member = np.zeros((len(found), n_documents), dtype=bool)
    np.put_along_axis(member, found, values=True, axis=1)
    return np.take_along_axis(member, documents, axis=1) & (documents >= 0)
