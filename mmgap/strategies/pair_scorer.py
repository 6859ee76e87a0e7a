"""A reranker over the pairs of one corpus: each pair scored once, whoever asks for it."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap import paths
from mmgap.corpus.schema import LEGS, Document
from mmgap.errors import EncoderError, MmgapError
from mmgap.index import RECORD, PairStore
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Content, Pair, ReadsAhead, Reranker

if TYPE_CHECKING:
    from PIL import Image

SHOWN = ("text", "image", "fused")
"""What one call can show of a document."""

_LOT, _QUICK_LOT = 128, 4096
"""Pairs scored at once, and what a killed run has to do again; the second where a reranker reads
ahead and the rest is quick. Fixed, never by the clock: the last bits of a score depend on the pairs
beside it."""

_PIXELS = 2**26
"""Most pixels of images that are decoded at once: 200 MB."""


class PairScorer:
    """Scores of pairs of one corpus, from memory, from disk, or from the reranker.

    Parameters
    ----------
    vectors : Vectors
        Whose corpus is searched. A modality that must not be ranked (``Vectors.ranked_legs``) is
        not shown to the reranker either, nor is a picture that was skipped when embedding.
    reranker : Reranker
    cache : bool or Path, default True
        ``True`` for the user's cache folder (``MMGAP_CACHE``), a path for another one, ``False``
        to keep scores in memory only. Scores are found again by the content of query and document
        and by the reranker's fingerprint, so also by another corpus that holds the same pair.
    batch_size : int or None, default None
        Passed on to ``reranker.score``; ``None`` takes its default.
    lot : int or None, default None
        Pairs given to the reranker at once and then written to disk: what a killed run loses at
        most. ``None`` is 4096 for a reranker that reads ahead, else 128.
    image_side : int or None, default None
        Larger pictures are shrunk to this longest side before the reranker sees them.
    progress : bool, default False
        Show a progress bar, in a terminal.

    Attributes
    ----------
    n_new : int
        Calls made so far: pairs that were neither in memory nor on disk.

    Raises
    ------
    MmgapError
        If ``lot`` or ``image_side`` is below 1.
    """

    def __init__(
        self,
        vectors: Vectors,
        reranker: Reranker,
        *,
        cache: bool | str | Path = True,
        batch_size: int | None = None,
        lot: int | None = None,
        image_side: int | None = None,
        progress: bool = False,
    ) -> None:
        for name, value in (("lot", lot), ("image_side", image_side)):
            if value is not None and value < 1:
                msg = f"{name} is {value}; expected 1 or more, or None"
                raise MmgapError(msg)
        self.reranker, self.n_new = reranker, 0
        self._corpus, self._progress = vectors.corpus, progress
        self._lot = lot or (_QUICK_LOT if isinstance(reranker, ReadsAhead) else _LOT)
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
        empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=RECORD)
        self._known = dict.fromkeys(SHOWN, empty)

    def shows(self, modality: str, documents: np.ndarray) -> np.ndarray:
        """Whether a pair's document has a modality that the reranker may see.

        Parameters
        ----------
        modality : {"text", "image"}
        documents : int array of shape (n_query, n_candidate)
            Positions in the corpus, one row for each query; -1 is no document.

        Returns
        -------
        shown : bool ndarray of shape (n_query, n_candidate)
        """
        return (documents >= 0) & self._has[modality][np.maximum(documents, 0)]

    def takes(self, shown: str) -> bool:
        """Whether the reranker takes a text query with such a document."""
        return f"text-{shown}" in self.reranker.info.modalities

    def require(self, wanted: dict[str, np.ndarray], documents: np.ndarray) -> None:
        """Have the scores of pairs ready, each scored once.

        Parameters
        ----------
        wanted : dict of {"text", "image", "fused"} to bool array (n_query, n_candidate)
            Which pairs are asked for, and what is shown of their documents.
        documents : int array of shape (n_query, n_candidate)

        Raises
        ------
        EncoderError
            If the reranker does not take such pairs, or gives a score that is not a number.
        """
        codes = self._codes(documents)
        self.require_codes({shown: codes[mask] for shown, mask in wanted.items()})

    def require_codes(self, wanted: dict[str, np.ndarray]) -> None:
        """Do as :meth:`require`, with pairs as ``query * n_document + document``."""
        todo: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for shown, codes in wanted.items():
            missing = np.setdiff1d(codes, self._known[shown][0])
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
        with _bar(n_todo, show=self._progress) as advance:
            for shown, (codes, keys, found) in todo.items():
                self._score(shown, codes, keys, found, advance)

    def look_up(self, shown: str, mask: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Return the records of pairs that :meth:`require` was called for.

        Returns
        -------
        records : ndarray of ``RECORD``, shape (n_query, n_candidate)
            Zeros, and NaN as score, where ``mask`` is False.
        """
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

    def _score(
        self,
        shown: str,
        codes: np.ndarray,
        keys: np.ndarray,
        found: np.ndarray,
        advance: Callable[[int], None],
    ) -> None:
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
        for whole in self._lots(shown, documents):
            # Cut before what is on disk is left out: a run that goes on has the lots of one that
            # was never stopped.
            lot = whole[~is_known[whole]]
            if not len(lot):
                continue
            contents = {
                document: contents.get(document) or self._content(shown, document)
                for document in np.unique(documents[lot]).tolist()
            }
            asked = {query: self._query(query) for query in np.unique(queries[lot]).tolist()}
            pairs = [
                Pair(asked[query], contents[document])
                for query, document in zip(
                    queries[lot].tolist(), documents[lot].tolist(), strict=True
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
                records[name] = _each(asked, queries[lot], count)
                records[name] += _each(contents, documents[lot], count)
            self._store.write(keys[lot], records)
            in_order = np.argsort(keys[lot])
            at = np.searchsorted(keys[lot], every_key, sorter=in_order).clip(max=len(lot) - 1)
            done = keys[lot][in_order][at] == every_key
            self._remember(shown, every_code[done], records[in_order][at[done]])
            self.n_new += len(pairs)
            advance(len(pairs))

    def _lots(self, shown: str, documents: np.ndarray) -> Iterator[np.ndarray]:
        """Cut pairs into runs of at most so many pairs, and so many pixels of different images."""
        start, pixels, last = 0, 0, -1
        for at, document in enumerate(documents.tolist()):
            more = self._image_sizes[document] if shown != "text" and document != last else 0
            if at > start and (at - start == self._lot or pixels + more > _PIXELS):
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
        return Content(text, self._picture(document) if shown != "text" else None)

    def _picture(self, document: Document) -> Image.Image:
        assert document.image is not None  # shows() has seen to it
        picture = document.image.open()
        if self._image_side is not None:
            picture.thumbnail((self._image_side, self._image_side))
        return picture

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
            self._image_sizes[position] = _pixels_of(data)
            key += _digest(data)
        return key


def _shown_modalities(vectors: Vectors) -> dict[str, np.ndarray]:
    """Which documents the reranker may see a modality of; none of one that must not be ranked."""
    documents = vectors.corpus.documents
    has = {}
    for modality in LEGS:
        there = np.array([_has(document, modality) for document in documents], dtype=bool)
        if modality in vectors.legs:  # a picture that could not be read has no vector
            embedded = np.zeros(len(documents), dtype=bool)
            embedded[vectors.legs[modality].positions] = True
            there &= embedded
        has[modality] = there & (modality not in vectors.holes)
    return has


def _pixels_of(data: bytes) -> int:
    """Return how many pixels an image says it has; 0 if it cannot be opened."""
    from PIL import Image

    try:
        with Image.open(BytesIO(data)) as image:
            return image.width * image.height
    except Exception:  # decoding it will say what is wrong
        return 0


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


@contextmanager
def _bar(total: int, *, show: bool) -> Iterator[Callable[[int], None]]:
    if not (show and total and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bars:
        task = bars.add_task("reranker calls", total=total)
        yield lambda done: bars.advance(task, done)
