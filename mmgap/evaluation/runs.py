"""A run: the ranked candidates that one strategy returns for every query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """Ranked documents with scores, one row per query.

    Parameters
    ----------
    name : str
        The strategy, as tables show it.
    query_ids : sequence of str, length n_query
    doc_ids : sequence of str, length n_doc
        The pool; ``indices`` point into it.
    indices : int array of shape (n_query, depth)
        Documents of each query, best first; -1 fills the places of a shorter list, at its end.
    scores : float array of shape (n_query, depth)
        Descending in each row; -inf where ``indices`` is -1. Equal scores are ties: their order
        in the row carries no meaning, and measures treat it so.

    Examples
    --------
    >>> run = Run("demo", ["q1"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> run.to_dict()
    {'q1': {'d2': 0.9, 'd1': 0.1}}
    """

    name: str
    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    indices: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.indices.shape != self.scores.shape or self.indices.shape[0] != len(self.query_ids):
            msg = (
                f"run {self.name!r}: indices {self.indices.shape} and scores {self.scores.shape} "
                f"must both have shape (n_query, depth) with n_query = {len(self.query_ids)}"
            )
            raise ValueError(msg)
        if np.isnan(self.scores).any():
            query = self.query_ids[int(np.isnan(self.scores).any(axis=1).argmax())]
            msg = f"run {self.name!r} has a score that is not a number for query {query!r}"
            raise ValueError(msg)
        if (np.diff(np.where(np.isinf(self.scores), -1e30, self.scores), axis=1) > 0).any():
            msg = f"run {self.name!r}: every row of scores must descend; sort the candidates first"
            raise ValueError(msg)

    @classmethod
    def from_scores(
        cls,
        name: str,
        query_ids: Sequence[str],
        doc_ids: Sequence[str],
        candidates: np.ndarray,
        scores: np.ndarray,
    ) -> Run:
        """Sort each row's candidates by score, best first, empty places (-1) last.

        Parameters
        ----------
        name, query_ids, doc_ids
            As in :class:`Run`.
        candidates : int array of shape (n_query, n_candidate)
            Positions in ``doc_ids`` in any order; -1 marks an empty place.
        scores : float array of shape (n_query, n_candidate)
            Larger is better.
        """
        scores = np.where(candidates < 0, -np.inf, scores)
        order = np.argsort(-scores, axis=1, kind="stable")
        return cls(
            name,
            query_ids,
            doc_ids,
            np.take_along_axis(candidates, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
        )

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return ``{query_id: {doc_id: score}}``, the form of ranx and ir_measures."""
        return {
            query_id: {
                self.doc_ids[index]: float(score)
                for index, score in zip(row, row_scores, strict=True)
                if index >= 0
            }
            for query_id, row, row_scores in zip(
                self.query_ids, self.indices.tolist(), self.scores.tolist(), strict=True
            )
        }

    def top(self, query_id: str, k: int) -> Mapping[str, float]:
        """Return the ``k`` best documents of one query with their scores, best first."""
        row = list(self.query_ids).index(query_id)
        return {
            self.doc_ids[index]: float(score)
            for index, score in zip(self.indices[row, :k], self.scores[row, :k], strict=True)
            if index >= 0
        }
