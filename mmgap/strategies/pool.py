"""A corpus as methods of merging see it: whole score matrices, and the legs' lists out of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.encoders.vectors import Embeddings, TokenVectors, similarity
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import relevance
from mmgap.strategies.old_candidates import Candidates

if TYPE_CHECKING:
    from mmgap.mitigate import Mitigation


class Pool:
    """The scores of all queries with all documents, worked out once for many methods.

    Parameters
    ----------
    vectors : Vectors
    depth : int or None, default 100
        Documents that each leg lists for a query; None lists all that it has.
    unmatched_bank : bool, default False
        Leave relevant pairs out of ``bank``. Takes labels; published banks of random pairs do it.

    Notes
    -----
    Holds matrices of shape (n_query, n_doc) in float64: 8 bytes a pair and leg. Made for corpora
    up to some ten thousand documents, where many methods are compared; for one method on a large
    corpus see :func:`mmgap.strategies.run_strategies`.

    Raises
    ------
    MmgapError
        If ``depth`` is below 1, no leg holds a document, or one of them must not be ranked (see
        ``Vectors.ranked_legs``).
    """

    def __init__(
        self, vectors: Vectors, *, depth: int | None = 100, unmatched_bank: bool = False
    ) -> None:
        if depth is not None and depth < 1:
            msg = f"depth is {depth}; expected at least 1, or None for whole lists"
            raise MmgapError(msg)
        if not vectors.filled_legs:
            msg = (
                f"{vectors.encoder.id!r} has no vector for any document of "
                f"{vectors.corpus.name!r}, so there is nothing to rank"
            )
            raise MmgapError(msg)
        vectors.need_ranked()
        self.vectors = vectors
        self.depth = depth
        self.unmatched_bank = unmatched_bank
        self._mitigations: dict[str, Mitigation] = {}
        self._rescored: dict[int, tuple[Mitigation, Pool]] = {}

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Each leg's scores: float64 of shape (n_query, n_doc).

        NaN where the document lacks the modality or the pair is left out of the corpus. Documents
        with the same vector have exactly the same score, whatever the order of summation.
        """
        vectors = self.vectors
        return self._spread(
            {
                name: similarity(_widened(vectors.queries), _widened(vectors.legs[name].embeddings))
                for name in vectors.filled_legs
            }
        )

    @property
    def bank(self) -> dict[str, np.ndarray]:
        """What normalisers are fitted on: ``scores``, less relevant pairs on request."""
        if not self.unmatched_bank:
            return self.scores
        return {leg: np.where(self.relevant, np.nan, found) for leg, found in self.scores.items()}

    @cached_property
    def candidates(self) -> Candidates:
        """The union of the legs' lists; each leg scores what the other one listed, exactly."""
        return list_candidates(self.scores, self.depth)

    @cached_property
    def relevant(self) -> np.ndarray:
        """Which document answers which query: bool array of shape (n_query, n_doc)."""
        return relevance(self.vectors)

    @cached_property
    def candidate_relevance(self) -> np.ndarray:
        """Which candidate answers its query: bool array of the shape of ``candidates``."""
        documents = self.candidates.documents
        found = np.take_along_axis(self.relevant, np.maximum(documents, 0), axis=1)
        return found & (documents >= 0)

    @property
    def roles(self) -> tuple[str, ...]:
        """``query`` and the legs that hold documents."""
        return ("query", *self.vectors.filled_legs)

    @property
    def one_vector_each(self) -> bool:
        """Whether items have one vector each, which mitigations need."""
        return not isinstance(self.vectors.queries, TokenVectors)

    @property
    def embeddings(self) -> dict[str, np.ndarray]:
        """Vectors by role, ``query`` and the legs that hold documents, as mitigations take them.

        Raises
        ------
        MmgapError
            If the encoder gives several vectors for each item.
        """
        vectors = self.vectors
        roles = {"query": vectors.queries}
        roles |= {name: vectors.legs[name].embeddings for name in vectors.filled_legs}
        if any(isinstance(rows, TokenVectors) for rows in roles.values()):
            msg = (
                f"{vectors.encoder.id!r} gives several vectors for each item; mitigations move one "
                "vector an item. Leave out the methods of the family 'mitigated'"
            )
            raise MmgapError(msg)
        return {role: np.asarray(rows) for role, rows in roles.items()}

    def fitted(self, name: str, mitigation: Mitigation) -> Mitigation:
        """Return a copy of a mitigation fitted on this pool's vectors; one for each name."""
        from sklearn.base import clone

        if name not in self._mitigations:
            self._mitigations[name] = clone(mitigation).fit(self.embeddings)
        return self._mitigations[name]

    def rescored(self, mitigation: Mitigation) -> Pool:
        """Return this pool with the scores that a fitted mitigation gives."""
        key = id(mitigation)
        if key not in self._rescored:
            pool = Pool(self.vectors, depth=self.depth, unmatched_bank=self.unmatched_bank)
            pool.__dict__["scores"] = self._spread(mitigation.leg_scores(self.embeddings))
            pool.__dict__["relevant"] = self.relevant
            # The mitigation is kept beside it, so that its id stays taken.
            self._rescored[key] = (mitigation, pool)
        return self._rescored[key][1]

    def _spread(self, leg_scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Put the columns of each leg where its documents stand in the corpus."""
        shape = (len(self.vectors.queries), len(self.vectors.corpus.documents))
        spread = {}
        for name in LEGS:
            if name not in leg_scores:
                spread[name] = np.full(shape, np.nan)
                continue
            of_leg = np.asarray(leg_scores[name], dtype=np.float64)
            # Sums over equal vectors may round differently by column, which would hide a tie.
            repeated, first = self._repeated[name]
            of_leg[:, repeated] = of_leg[:, first]
            of_leg[self._left_out[name]] = np.nan
            if of_leg.shape == shape:
                spread[name] = of_leg
            else:
                spread[name] = np.full(shape, np.nan)
                spread[name][:, self.vectors.legs[name].positions] = of_leg
        return spread

    @cached_property
    def _repeated(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Rows of each leg that repeat an earlier row, and which one that is."""
        found = {}
        for name in self.vectors.filled_legs:
            first = _first_equal(self.vectors.legs[name].embeddings)
            repeated = np.flatnonzero(first != np.arange(len(first)))
            found[name] = (repeated, first[repeated])
        return found

    @cached_property
    def _left_out(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {name: self.vectors.left_out(name) for name in self.vectors.filled_legs}


def deep_pool(given: Vectors | Pool, cut_off: int) -> Pool:
    """Return a pool whose lists are deep enough for measures with this cut-off.

    Raises
    ------
    MmgapError
        If a pool is given whose lists are shorter.
    """
    if not isinstance(given, Pool):
        return Pool(given, depth=max(100, cut_off))
    if given.depth is not None and given.depth < cut_off:
        msg = (
            f"the pool lists {given.depth} documents of each leg, fewer than the cut-off {cut_off} "
            f"of the measure; make it with depth={cut_off}"
        )
        raise MmgapError(msg)
    return given


def list_candidates(leg_scores: Mapping[str, np.ndarray], depth: int | None = 100) -> Candidates:
    """Take each leg's best documents and let the other leg score them.

    Parameters
    ----------
    leg_scores : mapping of leg to ndarray of shape (n_query, n_doc)
        Larger is better; NaN where the leg does not have the document.
    depth : int or None, default 100
        Documents of each list; None lists all. Where documents tie at the end of a list, those of
        lower position are listed.

    Returns
    -------
    candidates : Candidates
        Positions ascend in each row, empty places last.

    Examples
    --------
    >>> text, image = np.array([[0.9, 0.8, 0.1]]), np.array([[0.1, np.nan, 0.7]])
    >>> found = list_candidates({"text": text, "image": image}, depth=1)
    >>> found.documents, found.scores["text"], found.listed["text"]
    (array([[0, 2]]), array([[0.9, 0.1]]), array([[ True, False]]))
    """
    listed = {leg: _best(scores, depth) for leg, scores in leg_scores.items()}
    either = np.any(list(listed.values()), axis=0)
    width = int(either.sum(axis=1).max(initial=0))
    documents = np.argsort(~either, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(either, documents, axis=1)

    def gather(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, documents, axis=1)

    return Candidates(
        np.where(there, documents, -1),
        {leg: np.where(there, gather(scores), np.nan) for leg, scores in leg_scores.items()},
        {leg: gather(mask) for leg, mask in listed.items()},
    )


def _best(scores: np.ndarray, depth: int | None) -> np.ndarray:
    """Which documents a leg lists: bool array of the shape of ``scores``."""
    there = ~np.isnan(scores)
    if depth is None or depth >= scores.shape[1]:
        return there
    filled = np.where(there, scores, -np.inf)
    last = -np.partition(-filled, depth - 1, axis=1)[:, depth - 1 : depth]
    above = filled > last
    tied = (filled == last) & there
    room = depth - above.sum(axis=1, keepdims=True)
    return above | (tied & (np.cumsum(tied, axis=1) <= room))


def _first_equal(embeddings: Embeddings) -> np.ndarray:
    """For each row the first row that equals it: int array of shape (n_row,)."""
    if isinstance(embeddings, TokenVectors):
        return np.arange(len(embeddings))
    _, first, which = np.unique(embeddings, axis=0, return_index=True, return_inverse=True)
    return first[which.ravel()]


def _widened(embeddings: Embeddings) -> Embeddings:
    if isinstance(embeddings, TokenVectors):
        return embeddings
    return np.asarray(embeddings, dtype=np.float64)
