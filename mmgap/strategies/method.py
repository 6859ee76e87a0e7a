"""A method: how two legs become one list, and what it is fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.index.vectors import Vectors
from mmgap.strategies.old_candidates import Candidates
from mmgap.strategies.pool import Pool

if TYPE_CHECKING:
    from mmgap.mitigate import Mitigation

FAMILIES = (
    "leg", "raw", "normalised", "calibrated", "mitigated", "fused", "engine", "learned",
)  # fmt: skip
"""Kinds of methods."""

NOTHING = "nothing"
UNLABELLED_SCORES = "unlabelled calibration scores"
UNLABELLED_VECTORS = "unlabelled calibration vectors"
QUERY_BANK = "calibration queries as bank"
LABELLED_PAIRS = "labelled calibration pairs"
FITTED_ON = (NOTHING, UNLABELLED_SCORES, UNLABELLED_VECTORS, QUERY_BANK, LABELLED_PAIRS)
"""What a method needs before the first query, from cheap to dear."""

BOTH_SCORES = "both scores"
OWN_LISTS = "lists only"
SEES = (BOTH_SCORES, OWN_LISTS)
"""What a method knows of a document that one leg alone listed: the other leg's score too, looked
up exactly, or nothing but the list it stands in."""

TOLERANCE = 1e-12
"""Fused scores closer than this count as tied."""

CANNOT_FIT = (ValueError, ArithmeticError)
"""What a method raises where there is too little to fit it on: it is left out, with this reason."""

LEFT_OUT = "left out"
"""Measure of the rows of a table that say why a method is left out."""

Fuse = Callable[[Candidates], np.ndarray]
"""From candidates to fused scores of the same shape; NaN drops a candidate."""


class Recipe(Protocol):
    """What a method does when it is fitted."""

    def fit(self, calibration: Pool) -> Fuse:
        """Learn from a calibration pool; return what merges the candidates of another one."""


@dataclass(frozen=True)
class Method:
    """How two legs become one list.

    Parameters
    ----------
    name : str
        As tables show it.
    family : str
        One of ``FAMILIES``.
    fitted_on : str
        One of ``FITTED_ON``: what must be there before the first query.
    sees : str
        One of ``SEES``.
    recipe : Recipe
        The merge of candidates.
    mitigation : Mitigation or None, default None
        Changes the scores first; lists are then made of the changed scores.

    Raises
    ------
    MmgapError
        If family, ``fitted_on`` or ``sees`` is unknown.

    Notes
    -----
    Which documents are ranked is the same for all methods: the union of both legs' lists. Where a
    mitigation needs a leg that holds no document, there are no modalities to bring together, and
    the recipe merges the raw scores.
    """

    name: str
    family: str
    fitted_on: str
    sees: str
    recipe: Recipe
    mitigation: Mitigation | None = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("family", self.family, FAMILIES),
            ("fitted_on", self.fitted_on, FITTED_ON),
            ("sees", self.sees, SEES),
        ):
            if value not in known:
                msg = f"method {self.name!r} has {what} {value!r}; choose from {known}"
                raise MmgapError(msg)

    def fit(self, calibration: Pool | Vectors) -> FittedMethod:
        """Fit on calibration queries and documents.

        Parameters
        ----------
        calibration : Pool or Vectors
            Never the queries that the method is judged by. A pool is shared among methods, which
            saves most of the work; vectors become a pool of the default depth. Judgments are read
            only where ``fitted_on`` says "labelled".

        Returns
        -------
        FittedMethod
        """
        pool = _pool(calibration)
        if self.mitigation is None or not {*self.mitigation.needs} <= {*pool.roles}:
            return FittedMethod(self, self.recipe.fit(pool))
        # Methods with one mitigation share it by its parameters, which its text form shows.
        fitted = pool.fitted(repr(self.mitigation), self.mitigation)
        return FittedMethod(self, self.recipe.fit(pool.rescored(fitted)), fitted)


@dataclass(frozen=True)
class FittedMethod:
    """A method that can merge.

    Parameters
    ----------
    method : Method
    fuse : callable
        From :class:`Candidates` to fused scores of their shape.
    mitigation : Mitigation or None
        Fitted.
    """

    method: Method
    fuse: Fuse
    mitigation: Mitigation | None = None

    def prepared(self, test: Pool | Vectors) -> Pool:
        """Return the pool with the scores that ``fuse`` is to merge."""
        pool = _pool(test)
        return pool if self.mitigation is None else pool.rescored(self.mitigation)

    def run(self, test: Pool | Vectors, *, places: int | None = None) -> Run:
        """Rank the candidates of every query.

        Parameters
        ----------
        test : Pool or Vectors
            A query's ranking depends on this query, the documents and what the method was fitted
            on; not on other queries, and on no judgment.
        places : int or None, default None
            Keep the first so many candidates and all that tie with the last of them; None keeps
            all.

        Returns
        -------
        Run
        """
        pool = self.prepared(test)
        candidates = pool.candidates
        fused = self.fuse(candidates)
        corpus = pool.vectors.corpus
        documents = np.where(np.isnan(fused), -1, candidates.documents)
        depth = np.inf if pool.depth is None else pool.depth
        complete = np.all([mask.sum(axis=1) < depth for mask in candidates.listed.values()], axis=0)
        if places is not None:
            complete &= (documents >= 0).sum(axis=1) <= places
            documents, fused = _first(documents, fused, places)
        ids = corpus.query_ids, corpus.doc_ids
        return Run.from_scores(self.method.name, *ids, documents, fused, complete=complete)

    def scores(self, test: Pool | Vectors) -> np.ndarray:
        """Fused scores: float64 of shape (n_query, n_doc), NaN where a document is not ranked.

        Larger is better; only the order within a row means something for all methods.
        """
        pool = self.prepared(test)
        candidates = pool.candidates
        fused = self.fuse(candidates)
        n_query, n_doc = len(candidates.documents), len(pool.vectors.corpus.documents)
        spread = np.full((n_query, n_doc + 1), np.nan)  # the last column takes the empty places
        np.put_along_axis(spread, candidates.documents, fused, axis=1)
        return spread[:, :n_doc]


def _first(documents: np.ndarray, fused: np.ndarray, places: int) -> tuple[np.ndarray, np.ndarray]:
    """Candidates on the first places, in no order, with all that tie with the last of these."""
    if places >= documents.shape[1]:
        return documents, fused
    filled = np.where(documents < 0, -np.inf, fused)
    last = -np.partition(-filled, places - 1, axis=1)[:, places - 1 : places]
    kept = (filled >= last - TOLERANCE) & (documents >= 0)
    order = np.argsort(~kept, axis=1, kind="stable")[:, : int(kept.sum(axis=1).max(initial=0))]
    documents = np.take_along_axis(np.where(kept, documents, -1), order, axis=1)
    return documents, np.take_along_axis(fused, order, axis=1)


def _pool(given: Pool | Vectors) -> Pool:
    return given if isinstance(given, Pool) else Pool(given)
