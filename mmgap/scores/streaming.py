"""Score distributions of pools too large for the matrix of all scores.

The scores are made tile by tile, rounded to a grid and counted. Only the counts are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.distributions import (
    QUANTILES,
    ScoreDistributions,
    ScoreSample,
    _describe,
    _shared_bins,
)

GRID_STEP = 2.0**-17
"""Scores are rounded to the nearest multiple of this, 7.6e-6, before they are counted."""

# A float32 between 64 and 128 is a multiple of 2**-17. So adding 65.25 to a score in [-1, 1] rounds
# it to the grid, and the bits of the sum, less those of 64, count grid cells from -1.25 upwards:
# one addition and one subtraction a score. The table of counts stays small enough for the cache.
_LOWEST = -1.25
_SHIFT = np.float32(64 - _LOWEST)
_BITS_OF_64 = np.float32(64).view(np.int32)
_N_CELL = int(2.5 / GRID_STEP) + 1

_UNIT = 5e-7  # float32 rows of unit length miss it by this much; a score then by 1/7 of a step
_CHUNK = 2**19  # scores counted at a time; their 64-bit copies take 4 MB
_MOST_QUERIES = 2048  # rows of a tile: enough for the product to run at full speed


def stream_score_distributions(
    queries: np.ndarray,
    text_embeddings: np.ndarray,
    image_embeddings: np.ndarray,
    *,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
    text_left_out: np.ndarray | None = None,
    image_left_out: np.ndarray | None = None,
    bins: int = 100,
    block_bytes: int = 64 * 2**20,
) -> ScoreDistributions:
    """:func:`score_distributions` of the cosines of embeddings, without the matrix of scores.

    Parameters
    ----------
    queries : ndarray of shape (n_query, dim)
        Rows of any length but zero; they are scaled to unit length. Not modified.
    text_embeddings : ndarray of shape (n_text, dim)
        Read in slices of rows: may be a memory map, of float16 too.
    image_embeddings : ndarray of shape (n_image, dim)
    text_relevant : int array of shape (n_pair, 2) or None
        Query and text of each relevant pair, as row numbers.
    image_relevant : int array of shape (n_pair, 2) or None
        Query and image of each relevant pair.
    text_left_out, image_left_out : int array of shape (n_pair, 2) or None
        Pairs that do not count, such as a query that is itself one of the texts. They are what NaN
        is in :func:`score_distributions`.
    bins : int, default 100
    block_bytes : int, default 64 MiB
        Memory for scores and slices of embeddings, of all threads together. On top of it come
        the table of counts, 2.6 MB a thread, and three numbers for each pair that is named. At
        least one row of each side is held, however small this is.

    Returns
    -------
    distributions : ScoreDistributions
        Exactly those of the float32 cosines rounded to multiples of :data:`GRID_STEP`. So means,
        quantiles and edges lie within half a step (3.8e-6) of those of the cosines as they are;
        scores that fall on the same multiple count as tied.

    Raises
    ------
    MmgapError
        If a row is zero or not finite, a side is empty, shapes disagree, or a pair names a row
        that does not exist.

    Notes
    -----
    Works with as many threads as the matrix product of numpy would use, each with its own tile, and
    restricts the product itself to one thread meanwhile. The time is that of the product plus, on
    each core, some 3 ns a score.

    Examples
    --------
    >>> text, image = np.array([[1.0, 0.0], [0.8, 0.6]]), np.array([[0.0, 1.0], [0.6, 0.8]])
    >>> found = stream_score_distributions(
    ...     text, text, image, image_relevant=[[0, 0], [1, 1]], text_left_out=[[0, 0], [1, 1]]
    ... )
    >>> found.samples["text"].n, round(found.samples["text"].mean, 4)
    (2, 0.8)
    >>> found.dominance, found.text_beats_relevant_image
    (0.75, 0.5)
    """
    if block_bytes < 1:
        msg = f"block_bytes must be a positive number of bytes, e.g. 64 * 2**20; got {block_bytes}"
        raise MmgapError(msg)
    queries = _rows("queries", queries)
    text = _StreamedLeg("text", queries, text_embeddings, text_relevant, text_left_out)
    image = _StreamedLeg("image", queries, image_embeddings, image_relevant, image_left_out)
    text_counts = _count(queries, text, image.relevant, block_bytes)
    image_counts = _count(queries, image, text.relevant, block_bytes)
    samples = {"text": text_counts.sample(), "image": image_counts.sample()}
    edges = _shared_bins(samples["text"].ends, samples["image"].ends, bins)
    described = {name: sample.describe(edges) for name, sample in samples.items()}
    described |= {
        f"{leg.name} relevant": _describe(np.sort(_score(leg.relevant.keys)), edges)
        for leg in (text, image)
        if leg.relevant is not None and len(leg.relevant.keys)
    }
    shares = [described[name].counts / described[name].n for name in ("text", "image")]
    below = [np.concatenate([[0], np.cumsum(c.table)]) / c.table.sum() for c in _both(samples)]
    text_share = np.diff(below[0])
    return ScoreDistributions(
        edges=edges,
        samples=described,
        overlap=float(np.minimum(*shares).sum()),
        ks=float(np.abs(below[0] - below[1]).max()),
        dominance=float(text_share @ (below[1][1:] + below[1][:-1]) / 2),
        text_beats_relevant_image=text_counts.beats(image.relevant),
        image_beats_relevant_text=image_counts.beats(text.relevant),
    )


@dataclass(frozen=True)
class _Pairs:
    """Named pairs of one leg, in order of query, and the grid cells of their scores."""

    query: np.ndarray
    doc: np.ndarray
    keys: np.ndarray

    def of_query(self, query: int) -> slice:
        return slice(*np.searchsorted(self.query, [query, query + 1]))


class _StreamedLeg:
    """One modality's embeddings and the pairs named in it, checked."""

    def __init__(
        self,
        name: str,
        queries: np.ndarray,
        embeddings: np.ndarray,
        relevant: np.ndarray | None,
        left_out: np.ndarray | None,
    ) -> None:
        self.name = name
        self.embeddings = _rows(f"{name}_embeddings", embeddings)
        if self.embeddings.shape[1] != queries.shape[1]:
            msg = (
                f"queries {queries.shape} and {name}_embeddings {self.embeddings.shape} must have "
                "the same dimension"
            )
            raise MmgapError(msg)
        shape = (len(queries), len(self.embeddings))
        out = _flat_pairs(f"{name}_left_out", left_out, shape)
        named = _flat_pairs(f"{name}_relevant", relevant, shape)
        # The pairs that are no rivals of the other leg's relevant documents.
        no_rivals = np.union1d(out, named)
        self.left_out = np.isin(no_rivals, out)
        self.no_rivals = self._pairs(queries, no_rivals)
        self.relevant = None if relevant is None else self._pairs(queries, np.setdiff1d(named, out))

    def _pairs(self, queries: np.ndarray, flat: np.ndarray) -> _Pairs:
        query, doc = np.divmod(flat, len(self.embeddings))
        keys = np.empty(len(flat), dtype=np.int32)
        for start in range(0, len(flat), 256):
            at = slice(start, start + 256)
            left = _unit(self.name + " queries", queries[query[at]], query[at])
            right = _unit(f"{self.name}_embeddings", self.embeddings[doc[at]], doc[at])
            scores = np.einsum("ij,ij->i", left, right, dtype=np.float64)
            keys[at] = _keys(scores.astype(np.float32))
        return _Pairs(query, doc, keys)


@dataclass(frozen=True)
class _GridSample:
    """A sample as counts on the grid; one count for each cell, from the lowest upwards."""

    table: np.ndarray

    @property
    def ends(self) -> np.ndarray:
        return _score(np.flatnonzero(self.table)[[0, -1]])

    def describe(self, edges: np.ndarray) -> ScoreSample:
        cells = np.flatnonzero(self.table)
        scores, counts = _score(cells), self.table[cells]
        up_to = np.concatenate([[0], np.cumsum(counts)])
        n = int(up_to[-1])
        mean = float(scores @ counts / n)
        place = (n - 1) * np.array(QUANTILES)
        lower = np.floor(place).astype(np.int64)
        low, high = (
            scores[np.searchsorted(up_to, at, side="right") - 1]
            for at in (lower, np.minimum(lower + 1, n - 1))
        )
        inside = up_to[np.searchsorted(scores, edges, side="left")]
        inside[-1] = up_to[np.searchsorted(scores, edges[-1], side="right")]
        return ScoreSample(
            n=n,
            mean=mean,
            sd=float(np.sqrt((scores - mean) ** 2 @ counts / n)),
            quantiles=low + (high - low) * (place - lower),
            counts=np.diff(inside),
        )


@dataclass
class _Counts:
    """What one leg's tiles add up to.

    ``below`` and ``not_above`` count, for each relevant document of the other leg, the scores of
    the same query that are less than its score, and not greater than it.
    """

    leg: _StreamedLeg
    n_doc: int
    table: np.ndarray
    below: np.ndarray
    not_above: np.ndarray
    no_rival_keys: np.ndarray

    def add(self, other: _Counts) -> None:
        for name in ("table", "below", "not_above", "no_rival_keys"):
            getattr(self, name)[...] += getattr(other, name)

    def sample(self) -> _GridSample:
        left_out = self.no_rival_keys[self.leg.left_out]
        table = self.table - np.bincount(left_out, minlength=_N_CELL)
        if not table.any():
            msg = f"the {self.leg.name} leg must hold a pair that is not left out; got none"
            raise MmgapError(msg)
        return _GridSample(table)

    def beats(self, rivals: _Pairs | None) -> float:
        """Share of this leg's rivals above the other leg's relevant documents, as a mean."""
        if rivals is None:
            return float("nan")
        no_rivals = replace(self.leg.no_rivals, keys=self.no_rival_keys)
        chances = []
        for query in np.unique(rivals.query):
            these = rivals.of_query(query)
            wanted = rivals.keys[these, None]
            others = no_rivals.keys[no_rivals.of_query(query)]
            n = self.n_doc - len(others)
            if n == 0:
                continue
            lower = self.below[these] - (others < wanted).sum(axis=1)
            not_above = self.not_above[these] - (others <= wanted).sum(axis=1)
            chances.append(1 - np.mean(lower + not_above) / (2 * n))
        return float(np.mean(chances)) if chances else float("nan")


def _count(
    queries: np.ndarray, leg: _StreamedLeg, rivals: _Pairs | None, block_bytes: int
) -> _Counts:
    """Count all scores of a leg, tile by tile."""
    # scikit-learn needs threadpoolctl, so it is always there.
    from threadpoolctl import (
        threadpool_info,
        threadpool_limits,
    )

    n_thread = max(
        (found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"),
        default=1,
    )
    if rivals is None:
        rivals = _Pairs(*(np.empty(0, dtype=np.int32),) * 3)
    n_query, n_doc, dim = len(queries), len(leg.embeddings), queries.shape[1]
    tile_queries, tile_docs = _tile_shape(n_query, n_doc, dim, n_thread, block_bytes)
    total = _empty_counts(leg, rivals)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_thread) as threads:
        for start in range(0, n_query, tile_queries):
            rows = slice(start, min(start + tile_queries, n_query))
            unit = _unit("queries", queries[rows], range(n_query)[rows])
            # One list iterator for all threads: each takes the next slice when it is done.
            starts = iter([*range(0, n_doc, tile_docs)])
            done = [
                threads.submit(_count_tiles, unit, rows, leg, rivals, starts, tile_docs)
                for _ in range(n_thread)
            ]
            for counts in done:
                total.add(counts.result())
    return total


def _count_tiles(
    unit_queries: np.ndarray,
    rows: slice,
    leg: _StreamedLeg,
    rivals: _Pairs,
    starts: Iterator[int],
    tile_docs: int,
) -> _Counts:
    """Count the tiles that ``starts`` hands out: these queries against slices of documents."""
    counts = _empty_counts(leg, rivals)
    n_query, n_doc = len(unit_queries), len(leg.embeddings)
    scores = np.empty(n_query * tile_docs, dtype=np.float32)
    slots = _slots(rivals, rows)
    pairs = leg.no_rivals
    of_rows = np.flatnonzero((pairs.query >= rows.start) & (pairs.query < rows.stop))
    of_rows = of_rows[np.argsort(pairs.doc[of_rows], kind="stable")]
    for start in starts:
        stop = min(start + tile_docs, n_doc)
        docs = _unit(f"{leg.name}_embeddings", leg.embeddings[start:stop], range(start, stop))
        tile = scores[: n_query * (stop - start)].reshape(n_query, stop - start)
        np.matmul(unit_queries, docs.T, out=tile)
        n_row = max(1, _CHUNK // tile.shape[1])
        for first in range(0, n_query, n_row):
            keys = _keys(tile[first : first + n_row])
            found = np.bincount(keys.ravel())
            counts.table[: len(found)] += found
            for row, place in slots:
                low, high = np.searchsorted(row, [first, first + n_row])
                # Most often every query has one relevant document: then no row is copied.
                mine = keys if high - low == len(keys) else keys[row[low:high] - first]
                these = place[low:high]
                wanted = rivals.keys[these, None]
                counts.below[these] += _true_by_row(mine < wanted)
                counts.not_above[these] += _true_by_row(mine <= wanted)
        here = of_rows[slice(*np.searchsorted(pairs.doc[of_rows], [start, stop]))]
        all_keys = tile.view(np.int32)
        counts.no_rival_keys[here] = all_keys[
            pairs.query[here] - rows.start, pairs.doc[here] - start
        ]
    return counts


def _empty_counts(leg: _StreamedLeg, rivals: _Pairs) -> _Counts:
    return _Counts(
        leg=leg,
        n_doc=len(leg.embeddings),
        table=np.zeros(_N_CELL, dtype=np.int64),
        below=np.zeros(len(rivals.keys), dtype=np.int64),
        not_above=np.zeros(len(rivals.keys), dtype=np.int64),
        no_rival_keys=np.zeros(len(leg.no_rivals.keys), dtype=np.int32),
    )


def _tile_shape(
    n_query: int, n_doc: int, dim: int, n_thread: int, block_bytes: int
) -> tuple[int, int]:
    """Choose queries and documents of a tile, so that all threads' tiles fit in ``block_bytes``."""
    query_bytes = 12 * dim  # float32: as read, scaled, and squared on the way
    tile_queries = int(np.clip(block_bytes // 8 // query_bytes, 1, min(n_query, _MOST_QUERIES)))
    for_thread = (block_bytes - tile_queries * query_bytes) // n_thread
    # What a chunk takes beside its scores: 64-bit copies, truth values and at times copied rows.
    for_thread -= 16 * min(_CHUNK, for_thread // 20)
    return tile_queries, int(np.clip(for_thread // (4 * tile_queries + 12 * dim), 1, n_doc))


def _slots(rivals: _Pairs, rows: slice) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take one relevant document of each query at a time: its row in the tile and its place."""
    places = np.arange(*np.searchsorted(rivals.query, [rows.start, rows.stop]))
    row = rivals.query[places] - rows.start
    nth = places - places[:1] - np.searchsorted(row, row, side="left")
    return [(row[nth == n], places[nth == n]) for n in range(nth.max(initial=-1) + 1)]


def _keys(scores: np.ndarray) -> np.ndarray:
    """Grid cells of float32 scores, written in place of the scores."""
    np.add(scores, _SHIFT, out=scores)
    keys = scores.view(np.int32)
    return np.subtract(keys, _BITS_OF_64, out=keys)


def _score(keys: np.ndarray) -> np.ndarray:
    return keys * GRID_STEP + _LOWEST


def _true_by_row(truth: np.ndarray) -> np.ndarray:
    """Count what is true in each row: eight truth values at a time, by their bits."""
    width = truth.shape[1]
    whole = width - width % 8
    words = np.ascontiguousarray(truth[:, :whole]).view(np.uint64)
    count = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return count + truth[:, whole:].sum(axis=1)


def _unit(name: str, rows: np.ndarray, numbers: range | np.ndarray) -> np.ndarray:
    """Rows as float32 of unit length; ``numbers`` are theirs, for the message."""
    with np.errstate(over="ignore"):
        unit = np.asarray(rows, dtype=np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", unit, unit))
    if (np.abs(length - 1) < _UNIT).all():
        return unit  # may be the caller's own rows: they are only read
    if not ((length > 1e-15) & (length < 1e15)).all():
        # Too long or too short for squares in float32, or unusable.
        exact = np.asarray(rows, dtype=np.float64)
        largest = np.abs(exact).max(axis=1, keepdims=True)
        bad = np.flatnonzero(~((largest[:, 0] > 0) & np.isfinite(largest[:, 0])))
        if len(bad):
            msg = (
                f"row {numbers[bad[0]]} of {name} is zero or not finite: it has no direction; "
                "leave the row out or encode it again"
            )
            raise MmgapError(msg)
        unit = (exact / largest).astype(np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", unit, unit))
    return unit / length[:, None]


def _rows(name: str, embeddings: np.ndarray) -> np.ndarray:
    embeddings = np.asanyarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        msg = f"{name} must have shape (n, dim) with at least one row; got {embeddings.shape}"
        raise MmgapError(msg)
    return embeddings


def _flat_pairs(name: str, pairs: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """Pairs as ascending numbers, row by row of the matrix of scores, each once."""
    pairs = np.empty((0, 2), dtype=np.int64) if pairs is None else np.asarray(pairs)
    if pairs.size == 0:
        return np.empty(0, dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        msg = (
            f"{name} must be whole numbers of shape (n_pair, 2), a query and a document each; got "
            f"shape {pairs.shape} of {pairs.dtype}. np.argwhere makes them from a bool matrix"
        )
        raise MmgapError(msg)
    outside = ((pairs < 0) | (pairs >= shape)).any(axis=1)
    if outside.any():
        msg = (
            f"{name} names the pair {pairs[outside.argmax()].tolist()}, but there are {shape[0]} "
            f"queries and {shape[1]} documents, counted from 0"
        )
        raise MmgapError(msg)
    return np.unique(pairs[:, 0].astype(np.int64) * shape[1] + pairs[:, 1])


def _both(samples: dict[str, _GridSample]) -> tuple[_GridSample, _GridSample]:
    return samples["text"], samples["image"]
