"""A run: the ranked candidates that one strategy returns for every query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from mmgap.errors import MmgapError


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
    complete : bool, bool array of shape (n_query,) or None, default None
        Whether a query's list holds every document that can be ranked for it. Measures refuse a
        cut-off deeper than a list that is not complete. None: a list is complete where it holds
        the whole pool or is shorter than the run's longest list.
    tied_beyond : bool array of shape (n_query,) or None, default None
        Whether documents that the list leaves out tie with its last entry. The optimistic and
        pessimistic values of measures then allow for them. None: not for any query.

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
    complete: np.ndarray | bool | None = None
    tied_beyond: np.ndarray | None = None

    def __post_init__(self) -> None:
        for what, ids in (("query", self.query_ids), ("document", self.doc_ids)):
            if not all(issubclass(kind, str) for kind in set(map(type, ids))):
                odd = next(one for one in ids if not isinstance(one, str))
                msg = (
                    f"run {self.name!r}: {what} id {odd!r} is a {type(odd).__name__}; ids are "
                    "text, so that they match those of judgments: str(id), or as_run(...)"
                )
                raise MmgapError(msg)
        for what in ("complete", "tied_beyond"):
            flags = getattr(self, what)
            if flags is not None and np.shape(flags) not in {(), (len(self.query_ids),)}:
                msg = (
                    f"run {self.name!r}: {what} has shape {np.shape(flags)}; expected one bool for "
                    f"each of the {len(self.query_ids)} queries"
                )
                raise MmgapError(msg)
        if self.indices.shape != self.scores.shape or self.indices.shape[0] != len(self.query_ids):
            msg = (
                f"run {self.name!r}: indices {self.indices.shape} and scores {self.scores.shape} "
                f"must both have shape (n_query, depth) with n_query = {len(self.query_ids)}"
            )
            raise MmgapError(msg)
        if np.isnan(self.scores).any():
            query = self.query_ids[int(np.isnan(self.scores).any(axis=1).argmax())]
            msg = f"run {self.name!r} has a score that is not a number for query {query!r}"
            raise MmgapError(msg)
        if (self.scores[:, 1:] > self.scores[:, :-1]).any():
            msg = f"run {self.name!r}: every row of scores must descend; sort the candidates first"
            raise MmgapError(msg)

    @property
    def lengths(self) -> np.ndarray:
        """Documents that each query's list holds: shape (n_query,)."""
        return (~np.isneginf(self.scores)).sum(axis=1)

    @property
    def is_complete(self) -> np.ndarray:
        """Whether each query's list holds all that can be ranked for it: shape (n_query,)."""
        if self.complete is not None:
            return np.broadcast_to(np.asarray(self.complete, dtype=bool), len(self.query_ids))
        lengths = self.lengths
        ended = (lengths == 0) | (lengths < lengths.max(initial=0))
        return ended | (lengths >= len(self.doc_ids))

    @classmethod
    def from_scores(
        cls,
        name: str,
        query_ids: Sequence[str],
        doc_ids: Sequence[str],
        candidates: np.ndarray,
        scores: np.ndarray,
        *,
        complete: np.ndarray | bool | None = None,
        tied_beyond: np.ndarray | None = None,
    ) -> Run:
        """Sort each row's candidates by score, best first, empty places (-1) last.

        Parameters
        ----------
        name, query_ids, doc_ids, complete, tied_beyond
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
            complete,
            tied_beyond,
        )

    @classmethod
    def from_dict(
        cls,
        name: str,
        scores: Mapping[str, Mapping[str, float]],
        *,
        query_ids: Sequence[str] | None = None,
        complete: np.ndarray | bool | None = None,
    ) -> Run:
        """Make a run of ``{query_id: {doc_id: score}}``, the form of ranx and ir_measures.

        Parameters
        ----------
        name : str
        scores : mapping of query id to mapping of document id to score
            Documents in any order; larger is better. Whole-number ids become text.
        query_ids : sequence of str or None, default None
            The queries wanted, in this order; one that ``scores`` lacks gets an empty list. None
            takes those of ``scores``.
        complete
            As in :class:`Run`.

        Returns
        -------
        run : Run
            Its pool holds the documents that ``scores`` names, in the order of first mention.

        Examples
        --------
        >>> run = Run.from_dict("demo", {"q1": {"d1": 0.1, "d2": 0.9}}, query_ids=["q1", "q2"])
        >>> run.indices
        array([[ 1,  0],
               [-1, -1]])
        """
        scores = {
            id_text(query_id, f"run {name!r}"): {
                id_text(doc_id, f"run {name!r}"): score for doc_id, score in row.items()
            }
            for query_id, row in scores.items()
        }
        wanted = list(scores) if query_ids is None else list(query_ids)
        rows = [scores.get(query_id, {}) for query_id in wanted]
        position: dict[str, int] = {}
        for row in rows:
            for doc_id in row:
                position.setdefault(doc_id, len(position))
        shape = (len(rows), max(map(len, rows), default=0))
        candidates, values = np.full(shape, -1), np.full(shape, -np.inf)
        for at, row in enumerate(rows):
            candidates[at, : len(row)] = [position[doc_id] for doc_id in row]
            values[at, : len(row)] = [*row.values()]
        return cls.from_scores(name, wanted, list(position), candidates, values, complete=complete)

    @classmethod
    def from_trec(
        cls,
        path: str | Path,
        *,
        name: str | None = None,
        query_ids: Sequence[str] | None = None,
        complete: np.ndarray | bool | None = None,
    ) -> Run:
        """Read a TREC run file, or the JSON of ranx: :func:`mmgap.evaluation.read_run`."""
        from mmgap.evaluation.exchange import read_run

        return read_run(path, name=name, query_ids=query_ids, complete=complete)

    def to_trec(self, path: str | Path, *, tag: str | None = None) -> None:
        """Write a TREC run file, or the JSON of ranx: :func:`mmgap.evaluation.write_run`."""
        from mmgap.evaluation.exchange import write_run

        write_run(self, path, tag=tag)

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


def id_text(given: Any, where: str) -> str:
    """Return an id as text: whole numbers become their digits, all else but text is refused."""
    if isinstance(given, str):
        return given
    if isinstance(given, Integral) and not isinstance(given, bool | np.bool_):
        return str(int(given))
    msg = (
        f"{where}: id {given!r} is a {type(given).__name__}; ids are text or whole numbers (data "
        "frames turn whole numbers with gaps into fractions: keep the column as text)"
    )
    raise MmgapError(msg)
