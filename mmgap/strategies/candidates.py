"""The candidates of every query: what each leg lists, and what every leg says of it.

A *leg* is one path from the query to a ranked list: ``text`` and ``image`` of a corpus' vectors, or
any other of theirs, or one whose scores are given. A leg that hides relevant documents from their
queries (see ``Vectors.ranked_legs``) takes no part.

Shapes: scores and relevance have one row a query and one column a document of the corpus;
candidates one row a query and one column a candidate, positions ascending. Larger scores are
better; NaN stands where the document lacks the modality or the pair is left out. Scores and
relevance are computed once, by the pool, and passed down.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mmgap.encoders.vectors import Embeddings, TokenVectors, similarity
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import relevance

if TYPE_CHECKING:
    from mmgap.mitigate import Mitigation

NOT_LISTED = 2**30
"""Rank of a document that a leg did not list."""

DEPTH = 100
"""Documents that each leg lists, where nothing else is said."""

_PAIRS_AT_ONCE = 2**26  # scores of one leg in memory: 512 MB
_DOCUMENTS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Candidates:
    """The union of the legs' lists.

    ``documents`` holds positions in the corpus, ascending, -1 in empty places; ``scores`` each
    leg's score of every candidate, also of those that only another leg listed; ``ranks`` the rank
    in each leg's own list, from 1, ``NOT_LISTED`` elsewhere. Equal scores are ranked in the
    corpus' order.
    """

    documents: np.ndarray
    scores: dict[str, np.ndarray]
    ranks: dict[str, np.ndarray]

    @property
    def listed(self) -> dict[str, np.ndarray]:
        """Whether the leg itself listed the candidate."""
        return {leg: rank < NOT_LISTED for leg, rank in self.ranks.items()}

    def own(self, leg: str) -> np.ndarray:
        """Scores of the leg's own list, NaN for what it did not list."""
        return np.where(self.ranks[leg] < NOT_LISTED, self.scores[leg], np.nan)

    def of(self, legs: Sequence[str], depth: int | None, *, ties: bool = False) -> Candidates:
        """Keep what these legs list to a smaller depth; ``ties`` keeps all that tie with the last.

        >>> found = list_candidates({"text": np.array([[0.9, 0.8, 0.8]])}, depth=2)
        >>> found.of(["text"], 1).documents, found.of(["text"], 2, ties=True).documents
        (array([[0]]), array([[0, 1, 2]]))
        """
        limit = NOT_LISTED - 1 if depth is None else depth
        ranks = {
            leg: np.where(self.ranks[leg] <= limit, self.ranks[leg], NOT_LISTED) for leg in legs
        }
        if ties:
            for leg in legs:
                last = np.min(
                    np.where(ranks[leg] < NOT_LISTED, self.scores[leg], np.inf),
                    axis=1,
                    keepdims=True,
                )
                ranks[leg] = np.where(self.own(leg) >= last, self.ranks[leg], NOT_LISTED)
        kept = np.any([rank < NOT_LISTED for rank in ranks.values()], axis=0)
        width = int(kept.sum(axis=1).max(initial=0))
        order = np.argsort(~kept, axis=1, kind="stable")[:, :width]
        there = np.take_along_axis(kept, order, axis=1)

        def gather(values: np.ndarray, empty: float) -> np.ndarray:
            return np.where(there, np.take_along_axis(values, order, axis=1), empty)

        return Candidates(
            gather(self.documents, -1),
            {leg: gather(self.scores[leg], np.nan) for leg in legs},
            {leg: gather(rank, NOT_LISTED) for leg, rank in ranks.items()},
        )


class Pool:
    """A corpus as strategies see it: scores, lists and relevance, shared by all that search it.

    ``depth`` is how many documents each leg lists (None: all it has). ``unmatched_reference``
    leaves relevant pairs out of ``reference``; it takes labels, published references do it.
    ``scores`` replaces the legs of the vectors: mitigated ones, or further legs, such as
    ``Pool(vectors, scores={**pool.scores, "keyword": bm25})``.

    Whole matrices are in memory only where they are asked for, or small; lists of a large corpus
    are made a block of queries at a time.
    """

    def __init__(
        self,
        vectors: Vectors,
        depth: int | None = DEPTH,
        *,
        unmatched_reference: bool = False,
        scores: Mapping[str, np.ndarray] | None = None,
        relevant: np.ndarray | None = None,
    ) -> None:
        if depth is not None and depth < 1:
            msg = f"depth is {depth}; expected at least 1, or None for whole lists"
            raise MmgapError(msg)
        self.legs = tuple(vectors.ranked_legs if scores is None else scores)
        if not self.legs:
            vectors.need_ranked()
            msg = (
                f"{vectors.encoder.id!r} has no vector for any document of "
                f"{vectors.corpus.name!r}; it reads {' and '.join(vectors.encoder.modalities)}, "
                "which the documents lack, so there is nothing to rank"
            )
            raise MmgapError(msg)
        shape = len(vectors.corpus.queries), len(vectors.corpus.documents)
        for leg, values in (scores or {}).items():
            if np.shape(values) != shape:
                msg = f"scores of the {leg} leg have shape {np.shape(values)}; expected {shape}"
                raise MmgapError(msg)
        self.vectors, self.depth, self.shape = vectors, depth, shape
        self.unmatched_reference = unmatched_reference
        self._given, self._relevant = scores, relevant
        self._seconds = 0.0

    @classmethod
    def of(cls, given: Vectors | Pool, depth: int | None = DEPTH) -> Pool:
        """Return a pool that lists at least ``depth`` documents: the given one where it does."""
        if not isinstance(given, Pool):
            return cls(given, depth)
        if given.depth is None or (depth is not None and given.depth >= depth):
            return given
        return given._with(depth=depth)

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Each leg's scores: float64 (n_query, n_doc).

        Documents with the same vector have exactly the same score, whatever the order of summation.
        """
        if self._given is not None:
            return {leg: np.asarray(found, dtype=np.float64) for leg, found in self._given.items()}
        began = time.perf_counter()
        blocks = [self._score(rows) for rows in self._blocks()]
        found = {leg: np.concatenate([block[leg] for block in blocks]) for leg in self.legs}
        self._seconds += time.perf_counter() - began
        return found

    @property
    def reference(self) -> dict[str, np.ndarray]:
        """What normalisers are fitted on: ``scores``, minus relevant pairs on request."""
        if not self.unmatched_reference:
            return self.scores
        return {leg: np.where(self.relevant, np.nan, found) for leg, found in self.scores.items()}

    @property
    def candidates(self) -> Candidates:
        """The union of the legs' lists, each of ``depth`` documents."""
        return self.found.of(self.legs, self.depth)

    @cached_property
    def found(self) -> Candidates:
        """As ``candidates``, with all documents that tie with the last one of a list."""
        if self._is_small:
            scores = self.scores
            began = time.perf_counter()
            found = list_candidates(scores, self.depth)
        else:
            began = time.perf_counter()
            found = _stacked(
                [list_candidates(self._score(rows), self.depth) for rows in self._blocks()]
            )
        self._seconds += time.perf_counter() - began
        return found

    @property
    def search_seconds(self) -> float:
        """Seconds that scoring and listing took, for one query on average."""
        self.found  # noqa: B018  (searched by now)
        return self._seconds / max(1, self.shape[0])

    @cached_property
    def relevant(self) -> np.ndarray:
        """Which document is relevant to which query: bool (n_query, n_doc)."""
        return relevance(self.vectors) if self._relevant is None else self._relevant

    def relevance_of(self, documents: np.ndarray) -> np.ndarray:
        """Whether each of these documents (positions, -1 for none) is relevant to its query."""
        found = np.take_along_axis(self.relevant, np.maximum(documents, 0), axis=1)
        return found & (documents >= 0)

    def take(self, rows: np.ndarray) -> Pool:
        """Return the pool of some of the queries, ascending, over the same documents."""
        rows = np.sort(rows)
        return Pool(
            take_queries(self.vectors, rows),
            self.depth,
            unmatched_reference=self.unmatched_reference,
            scores={leg: found[rows] for leg, found in self.scores.items()},
            relevant=self.relevant[rows],
        )

    def mitigated(self, mitigation: Mitigation) -> Pool:
        """Return this pool with the scores that a fitted mitigation gives."""
        found = mitigation.leg_scores(self.embeddings)
        return self._with(scores={leg: self._spread(leg, of_leg) for leg, of_leg in found.items()})

    @property
    def one_vector_each(self) -> bool:
        """Whether items have one vector each, which mitigations need."""
        return not isinstance(self.vectors.queries, TokenVectors)

    @property
    def embeddings(self) -> dict[str, np.ndarray]:
        """Vectors by role, ``query`` and the legs that hold documents, as mitigations take them."""
        vectors = self.vectors
        roles = {"query": vectors.queries}
        roles |= {name: vectors.legs[name].embeddings for name in vectors.filled_legs}
        if any(isinstance(rows, TokenVectors) for rows in roles.values()):
            msg = (
                f"{vectors.encoder.id!r} gives several vectors for each item; mitigations move one "
                "vector an item"
            )
            raise MmgapError(msg)
        return {role: np.asarray(rows) for role, rows in roles.items()}

    def _with(self, **changes: object) -> Pool:
        now = {
            "depth": self.depth,
            "unmatched_reference": self.unmatched_reference,
            "scores": self.scores if self._is_small else self._given,
            "relevant": self.relevant if self._is_small else self._relevant,
        }
        return Pool(self.vectors, **{**now, **changes})  # type: ignore[arg-type]

    @property
    def _is_small(self) -> bool:
        """Whether whole matrices may be in memory."""
        return self._given is not None or bool(np.prod(self.shape) <= _PAIRS_AT_ONCE)

    def _blocks(self) -> Iterator[slice]:
        step = max(1, _PAIRS_AT_ONCE // max(1, self.shape[1]))
        return (slice(at, at + step) for at in range(0, self.shape[0], step))

    def _score(self, rows: slice) -> dict[str, np.ndarray]:
        """Scores of some queries by every leg of the vectors."""
        found = {}
        for leg in self.legs:
            documents = self.vectors.legs[leg].embeddings
            queries = self.vectors.queries_of(leg)[rows]
            parts = [
                similarity(_widened(queries), _widened(documents[at : at + _DOCUMENTS_AT_ONCE]))
                for at in range(0, len(documents), _DOCUMENTS_AT_ONCE)
            ]
            found[leg] = self._spread(leg, np.concatenate(parts, axis=1), rows)
        return found

    def _spread(self, leg: str, found: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Put a leg's columns where its documents stand in the corpus; NaN elsewhere."""
        found = np.asarray(found, dtype=np.float64)
        # Sums over equal vectors may round differently by column, which would hide a tie.
        repeated, first = self._repeated[leg]
        found[:, repeated] = found[:, first]
        spread = np.full((len(found), self.shape[1]), np.nan)
        spread[:, self.vectors.legs[leg].positions] = found
        queries, columns = self._left_out[leg]
        queries = queries - (rows.start or 0)
        inside = (queries >= 0) & (queries < len(found))
        spread[queries[inside], columns[inside]] = np.nan
        return spread

    @cached_property
    def _repeated(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Rows of each leg that repeat an earlier row, and which one that is."""
        found = {}
        for leg in self.vectors.filled_legs:
            first = _first_equal(self.vectors.legs[leg].embeddings)
            repeated = np.flatnonzero(first != np.arange(len(first)))
            found[leg] = (repeated, first[repeated])
        return found

    @cached_property
    def _left_out(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Which scores of each leg do not count: their queries, and their documents."""
        found = {}
        for leg in self.vectors.filled_legs:
            queries, columns = self.vectors.left_out(leg)
            found[leg] = (queries, self.vectors.legs[leg].positions[columns])
        return found


def list_candidates(leg_scores: Mapping[str, np.ndarray], depth: int | None = DEPTH) -> Candidates:
    """Take each leg's best documents and let the other legs score them.

    All that tie with the last one of a list are there too, at ranks beyond ``depth``.

    >>> text, image = np.array([[0.9, 0.8, 0.1]]), np.array([[0.1, np.nan, 0.7]])
    >>> found = list_candidates({"text": text, "image": image}, depth=1)
    >>> found.documents, found.scores["text"], found.listed["text"]
    (array([[0, 2]]), array([[0.9, 0.1]]), array([[ True, False]]))
    """
    best = {leg: _best(scores, depth) for leg, scores in leg_scores.items()}
    either = np.any(list(best.values()), axis=0)
    width = int(either.sum(axis=1).max(initial=0))
    documents = np.argsort(~either, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(either, documents, axis=1)
    scores, ranks = {}, {}
    for leg, of_leg in leg_scores.items():
        scores[leg] = np.where(there, np.take_along_axis(of_leg, documents, axis=1), np.nan)
        listed = there & np.take_along_axis(best[leg], documents, axis=1)
        rank = 1 + places(np.where(listed, scores[leg], -np.inf))
        ranks[leg] = np.where(listed, rank, NOT_LISTED)
    return Candidates(np.where(there, documents, -1), scores, ranks)


def places(order: np.ndarray) -> np.ndarray:
    """Place of each entry in its row, from 0, largest first; equal ones in the row's order."""
    found = np.empty(order.shape, dtype=np.int64)
    sort = np.argsort(-order, axis=1, kind="stable")
    np.put_along_axis(found, sort, np.arange(order.shape[1])[None], axis=1)
    return found


def take_queries(vectors: Vectors, rows: np.ndarray) -> Vectors:
    """Return the vectors with some of the queries, in their order, and all documents."""
    ids = {vectors.corpus.query_ids[row] for row in rows}
    corpus = vectors.corpus.select_queries(lambda query: query.id in ids)
    return replace(vectors, corpus=corpus, queries=vectors.queries[np.sort(rows)])


def split_queries(
    vectors: Vectors, *, fraction: float = 0.5, seed: int = 0
) -> tuple[Vectors, Vectors]:
    """Divide the queries at random into calibration and test; both search the same documents.

    No query is in both. The documents are, so that what is fitted on documents knows those of the
    test: no leak of queries or judgments, but a kinder test than one on new documents.
    """
    n = len(vectors.corpus.queries)
    n_calibration = round(fraction * n)
    if not 0 < n_calibration < n:
        msg = (
            f"{fraction} of the {n} queries of {vectors.corpus.name!r} leaves calibration or test "
            "without a query; bring more queries or another fraction"
        )
        raise MmgapError(msg)
    order = np.random.default_rng(seed).permutation(n)
    return (
        take_queries(vectors, np.sort(order[:n_calibration])),
        take_queries(vectors, np.sort(order[n_calibration:])),
    )


def query_folds(vectors: Vectors, n_folds: int) -> list[np.ndarray]:
    """Divide the queries into at most ``n_folds`` parts: the rows of each, ascending.

    Queries with the same relevant documents share one, so that no fit has seen the relevant
    document of a query that it judges.
    """
    from sklearn.model_selection import GroupKFold

    corpus = vectors.corpus
    relevant = [tuple(sorted(corpus.qrels.relevant(query_id))) for query_id in corpus.query_ids]
    number = {documents: at for at, documents in enumerate(dict.fromkeys(relevant))}
    groups = np.array([number[documents] for documents in relevant])
    if len(number) < 2:
        msg = (
            f"all {len(groups)} queries of {corpus.name!r} have the same relevant documents, so "
            "none could be judged by a fit that has not seen its answer; bring queries about two "
            "things or more"
        )
        raise MmgapError(msg)
    # Mixed at random, because corpora come sorted and parts are to be alike.
    names = np.random.default_rng(0).permutation(len(number))[groups]
    divided = GroupKFold(min(n_folds, len(number))).split(names, groups=names)
    return [np.sort(rows) for _, rows in divided]


def _best(scores: np.ndarray, depth: int | None) -> np.ndarray:
    """Which documents a leg lists, ties with the last one included: bool, shaped as ``scores``."""
    there = ~np.isnan(scores)
    if depth is None or depth >= scores.shape[1]:
        return there
    filled = np.where(there, scores, -np.inf)
    last = -np.partition(-filled, depth - 1, axis=1)[:, depth - 1 : depth]
    return (filled >= last) & there


def _stacked(blocks: Sequence[Candidates]) -> Candidates:
    """Put the candidates of blocks of queries below each other."""
    width = max(block.documents.shape[1] for block in blocks)

    def joined(parts: list[np.ndarray], empty: float) -> np.ndarray:
        return np.concatenate(
            [
                np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=empty)
                for part in parts
            ]
        )

    legs = blocks[0].scores
    return Candidates(
        joined([block.documents for block in blocks], -1),
        {leg: joined([block.scores[leg] for block in blocks], np.nan) for leg in legs},
        {leg: joined([block.ranks[leg] for block in blocks], NOT_LISTED) for leg in legs},
    )


def _first_equal(embeddings: Embeddings) -> np.ndarray:
    """For each row the first row that equals it: int (n_row,)."""
    if isinstance(embeddings, TokenVectors):
        return np.arange(len(embeddings))
    first: dict[bytes, int] = {}
    rows = np.ascontiguousarray(embeddings) + 0.0  # no minus zero
    keys = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
    return np.array([first.setdefault(key, at) for at, key in enumerate(keys)], dtype=np.int64)


def _widened(embeddings: Embeddings) -> Embeddings:
    if isinstance(embeddings, TokenVectors):
        return embeddings
    return np.asarray(embeddings, dtype=np.float64)
