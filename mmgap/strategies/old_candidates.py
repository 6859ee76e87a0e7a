"""The candidates of every query, with what each leg says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.encoders.vectors import pair_similarity
from mmgap.errors import MmgapError
from mmgap.index import top_k
from mmgap.index.vectors import Vectors


@dataclass(frozen=True)
class Candidates:
    """The union of the legs' best documents.

    Parameters
    ----------
    documents : int array of shape (n_query, n_candidate)
        Positions in the corpus; -1 fills up rows where the legs found the same documents.
    scores : dict of leg to float array of shape (n_query, n_candidate)
        Similarity as in :meth:`Vectors.scores`; NaN where the document lacks that modality.
    listed : dict of leg to bool array of shape (n_query, n_candidate)
        Whether the leg itself found the document.
    """

    documents: np.ndarray
    scores: dict[str, np.ndarray]
    listed: dict[str, np.ndarray]


def find_candidates(vectors: Vectors, depth: int) -> Candidates:
    """Search every leg to ``depth`` and let each leg score what the other one found.

    A leg that holds no document or must not be ranked (see ``Vectors.ranked_legs``) is passed over.
    Documents that ``corpus.left_out`` hides from a query are not listed; the next one takes their
    place.

    Raises
    ------
    MmgapError
        If no leg holds a document.
    """
    n_documents = len(vectors.corpus.documents)
    legs = {name: vectors.legs[name] for name in vectors.ranked_legs}
    if not legs:
        vectors.need_ranked()
        msg = (
            f"{vectors.encoder.id!r} has no vector for any document of {vectors.corpus.name!r}; it "
            f"reads {' and '.join(vectors.encoder.modalities)}, which the documents lack"
        )
        raise MmgapError(msg)
    found = {}
    for name, leg in legs.items():
        rows = _best_rows(vectors, name, depth)
        found[name] = np.where(rows >= 0, leg.positions[rows], -1)
    documents = _unique_rows(np.concatenate(list(found.values()), axis=1))

    scores, listed = {}, {}
    for name, leg in legs.items():
        row_of = np.full(n_documents + 1, -1)  # the last entry serves the empty places (-1)
        row_of[leg.positions] = np.arange(len(leg.positions))
        rows = row_of[documents]
        rows[_left_out(vectors, name, documents)] = -1
        scores[name] = pair_similarity(vectors.queries, leg.embeddings, rows)
        listed[name] = _is_listed(documents, found[name], n_documents)
    return Candidates(documents, scores, listed)


def _best_rows(vectors: Vectors, name: str, depth: int) -> np.ndarray:
    """Rows of a leg that each query ranks first, -1 where the leg has no more that count."""
    leg = vectors.legs[name]
    queries, columns = vectors.left_out(name)
    spare = int(np.bincount(queries).max(initial=0))
    _, rows = top_k(vectors.queries, leg.embeddings, depth + spare)
    if not spare:
        return rows
    dropped = np.zeros((len(rows), len(leg.positions)), dtype=bool)
    dropped[queries, columns] = True
    rows = np.where(np.take_along_axis(dropped, rows, axis=1), -1, rows)
    # What counts moves up, in its order.
    order = np.argsort(rows < 0, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1)[:, :depth]


def _left_out(vectors: Vectors, name: str, documents: np.ndarray) -> np.ndarray:
    """Where a candidate's score in this leg does not count: bool, shaped as ``documents``."""
    queries, columns = vectors.left_out(name)
    if not len(queries):
        return np.zeros(documents.shape, dtype=bool)
    dropped = np.zeros((len(documents), len(vectors.corpus.documents)), dtype=bool)
    dropped[queries, vectors.legs[name].positions[columns]] = True
    return np.take_along_axis(dropped, np.maximum(documents, 0), axis=1)


def _unique_rows(documents: np.ndarray) -> np.ndarray:
    documents = np.sort(documents, axis=1)
    documents[:, 1:][documents[:, 1:] == documents[:, :-1]] = -1
    return documents


def _is_listed(documents: np.ndarray, found: np.ndarray, n_documents: int) -> np.ndarray:
    # One number for each pair of query and document: a table of all pairs may not fit into memory.
    query = np.arange(len(found), dtype=np.int64)[:, None] * (n_documents + 1)
    listed = np.isin(query + documents + 1, query + found + 1)
    return listed & (documents >= 0)
