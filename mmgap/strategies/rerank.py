"""Reranking: which candidates a reranker is shown, in which view, and what becomes of its scores.

One call scores one pair of a query and what is *shown* of a document: its ``text``, its ``image``,
or both ``fused``. Each pair is scored once, whoever asks for it, and kept on disk.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mmgap import paths
from mmgap.corpus.images import pixels_of
from mmgap.corpus.schema import LEGS, Document
from mmgap.errors import EncoderError, MmgapError
from mmgap.index import RECORD, PairStore, content_key
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Content, Pair, ReadsAhead, Reranker
from mmgap.strategies.candidates import Candidates, places

if TYPE_CHECKING:
    from PIL import Image

View = Literal["text", "image", "matching", "average", "fused"]
Duplicates = Literal["max", "first"]
Average = Literal["after", "before"]

SHOWN = ("text", "image", "fused")
"""What one call can show of a document."""

_CHUNK, _QUICK_CHUNK = 128, 4096
"""Pairs scored at once, and what a killed run has to do again; the second where a reranker reads
ahead and the rest is quick. Fixed, never by the clock: the last bits of a score depend on the pairs
beside it."""

_PIXELS = 2**26
"""Most pixels of images that are decoded at once: 200 MB."""


@dataclass(frozen=True)
class Rerank:
    """The second stage of a strategy.

    ``view``: what the reranker scores of a document. Its ``text``; its ``image``; the modality of
    the leg that retrieved it (``matching``); both, one call each, and the mean of the two scores
    (``average``); or both in one call (``fused``).

    ``depth``: candidates from each leg, one number or one a leg; with a merge, or a single leg, so
    many of its list. The other documents of the list follow them.

    ``backfill``: where both legs retrieved the same document, go down both legs in turn until there
    are as many different candidates as the depths add up to; else the union stays smaller.
    ``duplicates``: of a document that both legs retrieved, under ``matching``, the larger of its
    two scores (two calls), or the one of the ``first`` leg (one call). ``average``: the mean of
    probabilities, ``after`` the sigmoid, or of logits, ``before`` it.

    ``budget``: most calls a query; candidates are scored in first-stage order while they last.
    ``margin``: rerank only queries whose first two first-stage scores differ by less, see
    :func:`margin_threshold`. ``cascade=(view, n)``: the n best of the first pass are scored again
    by another view and stand before the others; no call is made twice.
    """

    view: View = "average"
    depth: int | tuple[int, ...] = 16
    backfill: bool = False
    duplicates: Duplicates = "max"
    average: Average = "after"
    budget: int | None = None
    margin: float | None = None
    cascade: tuple[View, int] | None = None

    def problems(self, n_leg: int, *, merged: bool) -> Iterator[str]:
        """Say what is wrong with it in a strategy of so many legs."""
        views = get_args(View)
        for view in (self.view, *([self.cascade[0]] if self.cascade else [])):
            if view not in views:
                yield f"reranks on {view!r}; choose from {views}"
        for name, known in (("duplicates", Duplicates), ("average", Average)):
            if getattr(self, name) not in get_args(known):
                yield f"has {name}={getattr(self, name)!r}; choose from {get_args(known)}"
        numbers = self.depth if isinstance(self.depth, tuple) else (self.depth,)
        numbers = (*numbers, self.cascade[1] if self.cascade else 1)
        if any(not isinstance(number, int) or number < 1 for number in numbers):
            yield f"reranks to the depths {numbers}; they must be whole numbers of at least 1"
        if self.budget is not None and self.budget < 0:
            yield f"has a budget of {self.budget} calls; expected 0 or more"
        if isinstance(self.depth, tuple) and (merged or len(self.depth) != n_leg):
            yield (
                f"reranks to depth {self.depth}; expected one number for each of {n_leg} legs, and "
                "a single number with merge"
            )
        if merged and self.backfill:
            yield "merges: its list has no quotas that could be backfilled"
        if self.margin is not None and not merged and n_leg > 1:
            yield (
                "takes documents from each leg, so there is no list whose first two ranks have a "
                "margin; add merge="
            )

    def depths(self, n_leg: int) -> tuple[int, ...]:
        """Candidates from each of so many legs."""
        return self.depth if isinstance(self.depth, tuple) else (self.depth,) * n_leg

    def max_calls(self, n_leg: int, *, merged: bool) -> int:
        """Most reranker calls that a query can take."""
        depths = self.depths(n_leg)
        calls = (depths[0] if merged else sum(depths)) * _calls(self.view)
        if self.view == "matching" and self.duplicates == "max" and self.backfill:
            calls += min(depths)  # so many documents may have been retrieved twice
        if self.budget is not None:
            calls = min(calls, self.budget)
        return calls + (_calls(self.cascade[0]) * self.cascade[1] if self.cascade else 0)


@dataclass(frozen=True)
class FirstStage:
    """The list of every query before any reranking; arrays are shaped as the candidates.

    ``order``: larger first, NaN outside the list. ``chosen``: what is to be reranked, budget and
    margin apart. ``found_by``: which leg, or legs, a chosen document owes its rank to.
    """

    candidates: Candidates
    order: np.ndarray
    chosen: np.ndarray
    found_by: dict[str, np.ndarray]

    @property
    def margins(self) -> np.ndarray:
        """Difference of the first two scores of every list; inf where it has one document."""
        best = -np.sort(-np.nan_to_num(self.order, nan=-np.inf), axis=1)[:, :2]
        if best.shape[1] < 2:
            return np.full(len(best), np.inf)
        known = np.isfinite(best).all(axis=1)
        return np.where(known, np.subtract(*np.where(known[:, None], best, 0).T), np.inf)


def quota_stage(
    candidates: Candidates, rerank: Rerank, legs: Sequence[str], depth: int
) -> FirstStage:
    """Take so many documents of each leg, in turn by rank; then the legs' lists go on in turn."""
    depths = rerank.depths(len(legs))
    total, turns, within = sum(depths), [], {}
    for place, (leg, own) in enumerate(zip(legs, depths, strict=True)):
        rank = candidates.ranks[leg]
        within[leg] = rank <= own
        # The first of a leg of 8 comes before the second of a leg of 16, and so on.
        turn = (rank - 1) / own + place * 1e-9
        turns.append(np.where(rank <= (total if rerank.backfill else own), turn, np.inf))
    turn = np.minimum.reduce(turns)
    chosen = np.isfinite(turn)
    if rerank.backfill:
        chosen &= places(-turn) < total
        # What filled a free rank owes it to the leg whose turn it was.
        for leg, own_turn in zip(legs, turns, strict=True):
            within[leg] = within[leg] | (own_turn == turn)
    ranks = np.stack([candidates.ranks[leg] for leg in legs])
    follows = np.min(ranks + 1e-9 * np.arange(len(ranks))[:, None, None], axis=0)
    order = np.where(
        chosen, -turn, np.where((ranks <= depth).any(axis=0), -total - follows, np.nan)
    )
    return FirstStage(
        candidates, order, chosen, {leg: member & chosen for leg, member in within.items()}
    )


def list_stage(
    candidates: Candidates, order: np.ndarray, rerank: Rerank, legs: Mapping[str, np.ndarray]
) -> FirstStage:
    """Take the first documents of one list; ``legs`` holds the scores that were merged into it."""
    chosen = ~np.isnan(order) & (places(np.nan_to_num(order, nan=-np.inf)) < rerank.depths(1)[0])
    best = np.fmax.reduce([*legs.values()])
    found_by = {leg: chosen & (scores == best) for leg, scores in legs.items()}
    return FirstStage(candidates, order, chosen, found_by)


@dataclass
class Reranked:
    """Scores of a list after reranking, NaN where nothing is listed, and the calls it took."""

    scores: np.ndarray
    wanted: dict[str, np.ndarray]
    seconds: float


def rerank_list(rerank: Rerank, stage: FirstStage, scorer: PairScorer) -> Reranked:
    """Rerank every query's list; documents that are not reranked follow in first-stage order."""
    began, documents = time.perf_counter(), stage.candidates.documents
    scoring = 0.0
    chosen = stage.chosen
    if rerank.margin is not None:
        chosen = chosen & (stage.margins < rerank.margin)[:, None]
    shown = _within_budget(rerank, stage, _shown(rerank, rerank.view, chosen, stage, scorer))
    wanted = dict(shown)
    blocks: list[np.ndarray] = []
    for step in range(2 if rerank.cascade else 1):
        view = rerank.view
        if step and rerank.cascade:
            view, n_best = rerank.cascade
            best = (places(np.nan_to_num(blocks[0], nan=-np.inf)) < n_best) & ~np.isnan(blocks[0])
            shown = _shown(rerank, view, best, stage, scorer)
            for name, mask in shown.items():
                wanted[name] = wanted.get(name, False) | mask
        before = time.perf_counter()
        scorer.require(shown, documents)
        scoring += time.perf_counter() - before
        blocks.insert(0, _scores(rerank, view, shown, documents, scorer))
    scores = _stacked([*blocks, stage.order])
    return Reranked(scores, wanted, time.perf_counter() - began - scoring)


def _calls(view: str) -> int:
    """Reranker calls that one document takes."""
    return 2 if view == "average" else 1


def _shown(
    rerank: Rerank,
    view: str,
    chosen: np.ndarray,
    stage: FirstStage,
    scorer: PairScorer,
) -> dict[str, np.ndarray]:
    """Which calls a view takes for these documents."""
    has = {leg: chosen & scorer.shows(leg, stage.candidates.documents) for leg in LEGS}
    match view:
        case "text" | "image":
            return {view: has[view]}
        case "average":
            return has
        case "fused":  # a document with one modality shows that one
            both = has["text"] & has["image"]
            return {"fused": both, **{leg: mask & ~both for leg, mask in has.items()}}
    found = {leg: mask & has[leg] for leg, mask in stage.found_by.items() if leg in has}
    if rerank.duplicates == "first":
        taken = np.zeros(chosen.shape, dtype=bool)
        for leg in found:  # in the order of the strategy's legs
            found[leg] = found[leg] & ~taken
            taken |= found[leg]
    return found


def _within_budget(
    rerank: Rerank, stage: FirstStage, shown: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Drop whole documents, the last of the first stage first, until the calls are paid."""
    if rerank.budget is None:
        return shown
    calls = np.sum([*shown.values()], axis=0, dtype=np.int64)
    order = np.argsort(-np.nan_to_num(stage.order, nan=-np.inf), axis=1, kind="stable")
    spent = np.cumsum(np.take_along_axis(calls, order, axis=1), axis=1)
    paid = np.empty(calls.shape, dtype=bool)
    np.put_along_axis(paid, order, spent <= rerank.budget, axis=1)
    return {name: mask & paid for name, mask in shown.items()}


def _scores(
    rerank: Rerank,
    view: str,
    shown: dict[str, np.ndarray],
    documents: np.ndarray,
    scorer: PairScorer,
) -> np.ndarray:
    """Score of each document in one pass, NaN where it had none."""
    found = [
        scorer.look_up(name, mask, documents)["score"].astype(np.float64)
        for name, mask in shown.items()
    ]
    if view == "average":
        return _mean(found, rerank.average, scorer.reranker.info.score)
    return np.fmax.reduce(found)


def _mean(found: Sequence[np.ndarray], average: str, scale: str) -> np.ndarray:
    """Mean of the views there are, of probabilities or of logits; on the reranker's own scale."""
    from scipy.special import expit, logit

    is_probability = "in [0, 1]" in scale
    values = np.stack(found)
    if average == "before" and is_probability:
        # The offset that some models have before their sigmoid is the same for both views.
        tiny, almost_one = np.finfo(np.float32).tiny, 1 - np.finfo(np.float32).epsneg
        values = logit(np.clip(values, tiny, almost_one))
    elif average == "after" and not is_probability:
        values = expit(values)
    count = (~np.isnan(values)).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(count, 1)
    if average == "before" and is_probability:
        mean = expit(mean)
    return np.where(count > 0, mean, np.nan)


def _stacked(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Put one list behind the other: what the first block does not score follows by the second.

    The first block of a query that scores anything keeps its scores. Those of later ones become
    whole steps below, equal scores on one step.
    """
    from scipy.stats import rankdata

    result = np.full(blocks[0].shape, np.nan)
    for block in blocks:
        new = np.isnan(result) & ~np.isnan(block)
        empty = np.isnan(result).all(axis=1, keepdims=True)
        floor = np.min(np.where(np.isnan(result), np.inf, result), axis=1, keepdims=True)
        # Where nothing is new a step counts too little, but no such step is used.
        steps = rankdata(np.where(new, -block, np.inf), method="dense", axis=1)
        below = np.where(empty, block, np.where(empty, 0, floor) - steps)
        result = np.where(new, below, result)
    return result


class PairScorer:
    """Scores of pairs of one corpus, from memory, from disk, or from the reranker.

    A modality that must not be ranked (``Vectors.ranked_legs``) is not shown to the reranker
    either, nor is an image that was skipped when embedding. ``cache`` is True for the user's cache
    folder (``MMGAP_CACHE``), a path, or False; scores are found again by the content of query and
    document and by the reranker's fingerprint, so also by another corpus that holds the same pair.
    ``batch_size`` is the reranker's; ``image_side`` shrinks larger images to this longest side.
    ``n_new`` counts the calls made: pairs that were neither in memory nor on disk.
    """

    def __init__(
        self,
        vectors: Vectors,
        reranker: Reranker,
        *,
        cache: bool | str | Path = True,
        batch_size: int | None = None,
        image_side: int | None = None,
    ) -> None:
        if image_side is not None and image_side < 1:
            msg = f"image_side is {image_side}; expected 1 or more, or None"
            raise MmgapError(msg)
        self.reranker, self.n_new = reranker, 0
        self._corpus = vectors.corpus
        self._chunk = _QUICK_CHUNK if isinstance(reranker, ReadsAhead) else _CHUNK
        self._how: dict[str, Any] = {
            "cache": cache,
            "batch_size": batch_size,
            "image_side": image_side,
        }
        self._options = {} if batch_size is None else {"batch_size": batch_size}
        self._image_side = image_side
        if cache is True:
            root: Path | None = paths.cache_dir() / "reranker_scores"
        else:
            root = None if cache is False else Path(cache)
        self._store = PairStore(root, f"{reranker.info.fingerprint} image_side={image_side}")
        self._has = _shown_modalities(vectors)
        self._query_keys: dict[int, bytes] = {}
        self._document_keys: dict[tuple[str, int], bytes] = {}
        self._image_sizes: dict[int, int] = {}
        self._image_hashes: dict[int, str] = {}
        empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=RECORD)
        self._known = dict.fromkeys(SHOWN, empty)

    def of(self, vectors: Vectors) -> PairScorer:
        """Return a scorer of other vectors that shares reranker, options and what is on disk."""
        other = PairScorer(vectors, self.reranker, **self._how)
        other._store = self._store
        return other

    def shows(self, modality: str, documents: np.ndarray) -> np.ndarray:
        """Whether the reranker may see this modality of each document (-1: of none)."""
        return (documents >= 0) & self._has[modality][np.maximum(documents, 0)]

    def takes(self, shown: str) -> bool:
        """Whether the reranker takes a text query with such a document."""
        return f"text-{shown}" in self.reranker.info.modalities

    def require(self, wanted: dict[str, np.ndarray], documents: np.ndarray) -> None:
        """Have the scores of pairs ready: by what is shown, a mask of these documents."""
        all_codes = self._codes(documents)
        todo: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for shown, mask in wanted.items():
            missing = np.setdiff1d(all_codes[mask], self._known[shown][0])
            if not len(missing):
                continue
            if not self.takes(shown):
                info = self.reranker.info
                msg = (
                    f"{info.id!r} takes {', '.join(info.modalities)} only (query-document); a "
                    f"strategy shows it text-{shown}. Load a reranker that reads images, or leave "
                    "that strategy out"
                )
                raise EncoderError(msg)
            keys = self._keys(shown, missing)
            found, records = self._store.read(keys)
            self._remember(shown, missing[found], records[found])
            if not found.all():
                todo[shown] = missing, keys, found
        n_todo = sum(len(np.unique(keys[~found])) for _, keys, found in todo.values())
        self._store.check(n_todo)
        for shown, (codes, keys, found) in todo.items():
            self._score(shown, codes, keys, found)

    def look_up(self, shown: str, mask: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Return the ``RECORD`` of each pair of the mask; zeros, and NaN as score, elsewhere."""
        result = np.zeros(documents.shape, dtype=RECORD)
        result["score"] = np.nan
        codes, records = self._known[shown]
        if mask.any():
            result[mask] = records[np.searchsorted(codes, self._codes(documents)[mask])]
        return result

    def _codes(self, documents: np.ndarray) -> np.ndarray:
        return np.arange(len(documents))[:, None] * len(self._corpus.documents) + documents

    def _remember(self, shown: str, codes: np.ndarray, records: np.ndarray) -> None:
        known_codes, known_records = self._known[shown]
        codes = np.concatenate([known_codes, codes])
        order = np.argsort(codes, kind="stable")
        self._known[shown] = codes[order], np.concatenate([known_records, records])[order]

    def _score(self, shown: str, codes: np.ndarray, keys: np.ndarray, found: np.ndarray) -> None:
        # Documents that share what is shown share the call, and so have the very same score: one
        # call each would let rounding order them.
        every_code, every_key = codes[~found], keys[~found]
        keys, first = np.unique(keys, return_index=True)
        queries, documents = np.divmod(codes[first], len(self._corpus.documents))
        # Neighbours share a document, so that its image is decoded once; a hosted reranker puts
        # neighbours of one query into one request instead.
        if self.reranker.info.backend != "api":
            order = np.lexsort([queries, documents])
        else:
            order = np.argsort(codes[first])
        keys, queries, documents = keys[order], queries[order], documents[order]
        is_known = found[first][order]
        contents: dict[int, Content] = {}
        for whole in self._chunks(shown, documents):
            # Cut before what is on disk is left out: a run that goes on has the chunks of one that
            # was never stopped.
            chunk = whole[~is_known[whole]]
            if not len(chunk):
                continue
            contents = {
                document: contents.get(document) or self._content(shown, document)
                for document in np.unique(documents[chunk]).tolist()
            }
            asked = {query: self._query(query) for query in np.unique(queries[chunk]).tolist()}
            pairs = [
                Pair(asked[query], contents[document])
                for query, document in zip(
                    queries[chunk].tolist(), documents[chunk].tolist(), strict=True
                )
            ]
            if isinstance(self.reranker, ReadsAhead):
                self.reranker.read_ahead(list(contents.values()))
            began = time.perf_counter()
            scores = self.reranker.score(pairs, **self._options)
            seconds = time.perf_counter() - began
            self._refuse_unusable(scores, len(pairs))
            records = np.empty(len(pairs), dtype=RECORD)
            records["score"], records["seconds"] = scores, seconds / len(pairs)
            for name, count in (("tokens", _tokens), ("pixels", _pixels)):
                records[name] = _each(asked, queries[chunk], count)
                records[name] += _each(contents, documents[chunk], count)
            self._store.write(keys[chunk], records)
            in_order = np.argsort(keys[chunk])
            at = np.searchsorted(keys[chunk], every_key, sorter=in_order).clip(max=len(chunk) - 1)
            done = keys[chunk][in_order][at] == every_key
            self._remember(shown, every_code[done], records[in_order][at[done]])
            self.n_new += len(pairs)

    def _chunks(self, shown: str, documents: np.ndarray) -> Iterator[np.ndarray]:
        """Cut pairs into runs of at most so many pairs, and so many pixels of different images."""
        start, pixels, last = 0, 0, -1
        for at, document in enumerate(documents.tolist()):
            more = self._image_sizes[document] if shown != "text" and document != last else 0
            if at > start and (at - start == self._chunk or pixels + more > _PIXELS):
                yield np.arange(start, at)
                start, pixels = at, 0
                more = self._image_sizes[document] if shown != "text" else 0
            pixels, last = pixels + more, document
        if start < len(documents):
            yield np.arange(start, len(documents))

    def _refuse_unusable(self, scores: np.ndarray, n: int) -> None:
        if np.shape(scores) == (n,) and np.isfinite(scores).all():
            return
        msg = (
            f"{self.reranker.info.id!r} gave scores of shape {np.shape(scores)} for {n} pairs, "
            f"{np.count_nonzero(~np.isfinite(scores))} of them not finite; expected one finite "
            "number for each. Run it in float32"
        )
        raise EncoderError(msg)

    def _query(self, query: int) -> Content:
        return Content(self._corpus.queries[query].text)

    def _content(self, shown: str, position: int) -> Content:
        document = self._corpus.documents[position]
        text = document.text if shown != "image" else None
        return Content(text, self._image(position) if shown != "text" else None)

    def _image(self, position: int) -> Image.Image:
        file = self._corpus.documents[position].image
        assert file is not None  # shows() has seen to it
        image = file.open(self._image_hashes.get(position))  # the bytes that its key was made of
        if self._image_side is not None:
            image.thumbnail((self._image_side, self._image_side))
        return image

    def _keys(self, shown: str, codes: np.ndarray) -> np.ndarray:
        """Names of pairs: hashes of what query and document show."""
        queries, documents = np.divmod(codes, len(self._corpus.documents))
        for query in np.unique(queries).tolist():
            if query not in self._query_keys:
                self._query_keys[query] = _digest(self._corpus.queries[query].text.encode())
        for document in np.unique(documents).tolist():
            if (shown, document) not in self._document_keys:
                self._document_keys[shown, document] = self._document_key(shown, document)
        keys = [
            _digest(self._query_keys[query] + self._document_keys[shown, document], size=16)
            for query, document in zip(queries.tolist(), documents.tolist(), strict=True)
        ]
        return np.array(keys, dtype="S16")

    def _document_key(self, shown: str, position: int) -> bytes:
        document = self._corpus.documents[position]
        key = shown.encode().ljust(8)
        if shown != "image":
            key += _digest((document.text or "").encode())
        if shown != "text":
            assert document.image is not None
            data = document.image.read_bytes()
            self._image_sizes[position] = pixels_of(data)
            self._image_hashes.setdefault(position, content_key(data))
            key += _digest(data)
        return key


def _shown_modalities(vectors: Vectors) -> dict[str, np.ndarray]:
    """Which documents the reranker may see a modality of; none of one that must not be ranked."""
    documents = vectors.corpus.documents
    has = {}
    for modality in LEGS:
        there = np.array([_has(document, modality) for document in documents], dtype=bool)
        if modality in vectors.legs:  # an image that could not be read has no vector
            embedded = np.zeros(len(documents), dtype=bool)
            embedded[vectors.legs[modality].positions] = True
            there &= embedded
        has[modality] = there & (modality not in vectors.holes)
    return has


def _has(document: Document, modality: str) -> bool:
    if modality == "image":
        return document.image is not None
    return document.text is not None and bool(document.text.strip())


def _digest(data: bytes, size: int = 32) -> bytes:
    return hashlib.blake2b(data, digest_size=size).digest()


def _tokens(side: Content) -> int:
    """Text tokens of one side, by the rule of thumb of four characters a token."""
    return -(-len(side.text or "") // 4)


def _pixels(side: Content) -> int:
    return 0 if side.image is None else side.image.width * side.image.height


def _each(
    sides: dict[int, Content], positions: np.ndarray, count: Callable[[Content], int]
) -> np.ndarray:
    """Count each side once and return the counts of all positions."""
    known, inverse = np.unique(positions, return_inverse=True)
    return np.array([count(sides[position]) for position in known.tolist()])[inverse]
