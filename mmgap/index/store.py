"""What models gave, on disk: embeddings of inputs and scores of pairs, found again by content.

A folder holds shards. A shard is named by the hash of its content and appears whole or not at all,
so a killed run loses one shard at most, several processes may write at once, and damage is noticed:
a damaged shard is removed with a ``CacheDamageWarning`` that names it, and made again. Nothing is
unpickled. Where the folder cannot be written, an ``MmgapError`` names ``MMGAP_CACHE``, before any
work is done for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np

from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.vectors import Embeddings, TokenVectors
from mmgap.errors import CacheDamageWarning, EncoderError, MmgapError
from mmgap.index.vectors import unit_norm
from mmgap.paths import write_whole

Kind = Literal["query", "document", "image"]
"""What was encoded; one text is not the same to a model as a query and as a document."""

_LAYOUT = "v1"
"""Raise it when files change, so that old ones are left alone."""

_SHARD_BYTES = 2**26
"""A shard is written when its vectors take 64 MiB, even if it holds few inputs."""

_BATCH_PIXELS = 2**26
"""A batch of images ends at so many pixels, 192 MiB decoded; two are in memory at once."""

_DAY = 86_400

RECORD = np.dtype(
    [("score", "<f4"), ("seconds", "<f4"), ("tokens", "<i4"), ("pixels", "<i4")],
)
"""What is known of a scored pair: its score, the time it took, and how much the model read."""

_PAIRS = np.dtype([("key", "S16"), *[(name, RECORD[name]) for name in RECORD.names or ()]])

Item = TypeVar("Item")


def content_key(data: str | bytes) -> str:
    """Return the name under which an input's embedding is stored: its sha256.

    >>> content_key("a black cat")[:16]
    'ba06184a8dcd3c1f'
    """
    if isinstance(data, str):
        try:
            data = data.encode()
        except UnicodeEncodeError as error:
            msg = f"text {data[:60]!r} holds half a character ({error.reason}); mend or drop it"
            raise MmgapError(msg) from error
    return hashlib.sha256(data).hexdigest()


class Shards:
    """The files of one folder that are named by their content; with no folder, nothing is kept."""

    def __init__(self, folder: Path | None, suffix: str) -> None:
        self.folder, self.suffix = folder, suffix

    def __iter__(self) -> Iterator[tuple[Path, bytes]]:
        """Yield every whole shard with its content; damaged ones are dropped."""
        return self.beyond(())

    def beyond(self, known: Container[Path]) -> Iterator[tuple[Path, bytes]]:
        """Yield the shards that are not known yet."""
        found = sorted(self.folder.glob(f"part-*{self.suffix}")) if self.folder else []
        for path in found:
            if path in known:
                continue
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # another process found it damaged
                continue
            except OSError:
                data = b""
            if _name(data) == path.stem:
                yield path, data
            else:
                self.drop(path)

    def add(self, data: bytes, **beside: bytes) -> None:
        """Write a shard, after the files beside it (``npy=...``) that make it whole."""
        if self.folder is None:
            return
        for suffix, content in (*beside.items(), (self.suffix[1:], data)):
            write_whole(self.folder / f"{_name(data)}.{suffix}", content)

    def drop(self, path: Path) -> None:
        """Remove a damaged shard, and say so."""
        warnings.warn(
            f"cached {path.with_suffix('.npy')} or what belongs to it was cut short or altered; it "
            "is removed and made again",
            CacheDamageWarning,
            stacklevel=2,
        )
        for each in {path, path.with_suffix(".npy")}:
            with suppress(OSError):
                each.unlink()

    def check(self, needed: int = 0) -> None:
        """Raise an MmgapError unless ``needed`` bytes can be written; old leftovers are removed."""
        if self.folder is None:
            return
        trial = self.folder / "trial.tmp"
        write_whole(trial, b"trial")
        for path in {trial, *self.folder.glob("*.tmp")}:  # others are of a killed run
            with suppress(OSError):
                if path == trial or time.time() - path.stat().st_mtime > _DAY:
                    path.unlink()
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            msg = (
                f"cache {self.folder} needs about {needed / 1e6:,.0f} MB, and its disk has "
                f"{free / 1e6:,.0f} MB free; point MMGAP_CACHE to a larger disk"
            )
            raise MmgapError(msg)


class EmbeddingStore:
    """Embeddings below a folder (``None`` keeps nothing), as the models gave them.

    Each encoder and kind of input has its shards: ``part-X.npy`` holds the vectors, ``part-X.json``
    the inputs' keys and the checksum, and for late interaction how many vectors each input has.
    ``shard_size`` inputs go into a file, or fewer that take 64 MiB.

    >>> store = EmbeddingStore(getfixture("tmp_path"))
    >>> info = EncoderInfo("demo", fingerprint="f00d", backend="none", dim=2)
    >>> store.write(info, "query", ["key of cat"], np.array([[3.0, 4.0]]))
    >>> store.read(info, "query", ["key of cat", "key of dog"])
    {'key of cat': array([3., 4.], dtype=float32)}
    """

    def __init__(self, root: Path | None, *, shard_size: int = 512) -> None:
        self.root = None if root is None else Path(root)
        self.shard_size = shard_size

    def folder(self, encoder: EncoderInfo, kind: Kind) -> Path | None:
        """Folder of the shards of one encoder and kind of input."""
        if kind not in get_args(Kind):
            msg = f"kind is {kind!r}; expected one of {', '.join(get_args(Kind))}"
            raise MmgapError(msg)
        if self.root is None:
            return None
        return self.root / _LAYOUT / content_key(encoder.fingerprint)[:32] / kind

    def read(self, encoder: EncoderInfo, kind: Kind, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return what is stored of these keys: (dim,), or for late interaction (n_token, dim)."""
        missing = set(keys)
        found: dict[str, np.ndarray] = {}
        shards = self._shards(encoder, kind)
        for path, manifest in shards:
            try:
                record = json.loads(manifest)
                here = record["keys"]
                if missing.isdisjoint(here):
                    continue
                rows = _rows(path.with_suffix(".npy"), record, encoder.dim)
            except (OSError, ValueError, KeyError, TypeError, EOFError):
                shards.drop(path)
                continue
            found |= {key: row for key, row in zip(here, rows, strict=True) if key in missing}
            missing -= set(here)
        return found

    def write(
        self, encoder: EncoderInfo, kind: Kind, keys: Sequence[str], embeddings: Embeddings
    ) -> None:
        """Store one shard: ``embeddings[i]`` belongs to ``keys[i]``."""
        rows = embeddings.tokens if isinstance(embeddings, TokenVectors) else embeddings
        data = _npy(np.ascontiguousarray(rows, dtype=np.float32))
        manifest: dict[str, object] = {
            "encoder": encoder.id,
            "fingerprint": encoder.fingerprint,
            "kind": kind,
            "shape": list(rows.shape),
            "sha256": hashlib.sha256(data).hexdigest(),
            "keys": list(keys),
        }
        if isinstance(embeddings, TokenVectors):
            manifest["lengths"] = embeddings.lengths.tolist()
        self._shards(encoder, kind).add(json.dumps(manifest, indent=1).encode(), npy=data)

    def embed(
        self,
        encoder: EncoderInfo,
        kind: Kind,
        keys: Sequence[str],
        load: Callable[[int], Item],
        encode: Callable[[list[Item]], Embeddings],
        *,
        batch_size: int = 64,
        workers: int = 0,
        pixels: Sequence[int] | None = None,
        normalize: bool = True,
        on_bad: Callable[[int, MmgapError], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, Embeddings]:
        """Return which inputs have a vector, ascending, and their vectors; new ones are encoded.

        ``keys`` are the inputs' ``content_key``s; equal ones are encoded once. ``load`` takes a
        position and returns the input, in ``workers`` threads while the model is at work.
        ``encode`` takes at most ``batch_size`` inputs, or fewer large images (``pixels``), and
        returns their vectors as the model gives them. ``on_bad`` is told position and error of an
        input that cannot be loaded, which is then left out; without it the error is raised.
        ``on_progress`` is told how many inputs were done since the last call.
        """
        tell = on_progress or (lambda _: None)
        first: dict[str, int] = {}
        for position, key in enumerate(keys):
            first.setdefault(key, position)
        rows = self.read(encoder, kind, list(first))
        tell(len(keys) - len(first) + len(rows))
        bad: dict[str, MmgapError] = {}
        new: dict[str, np.ndarray] = {}

        def flush() -> None:
            if new:
                self.write(encoder, kind, list(new), _together(list(new.values())))
                rows.update(new)
                new.clear()

        todo = [(key, position) for key, position in first.items() if key not in rows]
        if todo:
            self._shards(encoder, kind).check(len(todo) * encoder.dim * 4)
        try:
            for batch, items in _loaded(_batches(todo, batch_size, pixels), load, workers):
                good = []
                for (key, _), item in zip(batch, items, strict=True):
                    if not isinstance(item, MmgapError):
                        good.append((key, item))
                    elif on_bad is None:
                        raise item
                    else:
                        bad[key] = item
                if good:
                    embeddings = encode([item for _, item in good])
                    _check(embeddings, encoder, [first[key] for key, _ in good])
                    new.update(zip([key for key, _ in good], embeddings, strict=True))
                size = sum(vector.nbytes for vector in new.values())
                if len(new) >= self.shard_size or size >= _SHARD_BYTES:
                    flush()
                tell(len(batch))
        finally:
            flush()  # a stopped run keeps what it has
        if on_bad is not None:
            for position, key in enumerate(keys):
                if key in bad:
                    on_bad(position, bad[key])
        positions = [position for position, key in enumerate(keys) if key in rows]
        result = _together([rows[keys[position]] for position in positions], encoder.dim)
        return np.asarray(positions, dtype=np.int64), unit_norm(result) if normalize else result

    def _shards(self, encoder: EncoderInfo, kind: Kind) -> Shards:
        return Shards(self.folder(encoder, kind), ".json")


class PairStore:
    """Scores of pairs by one reranker below a folder (``None`` keeps nothing).

    ``settings`` is all that decides a score besides the pair: the reranker's fingerprint and the
    options it is used with. Keys are hashes of 16 bytes.

    >>> store = PairStore(getfixture("tmp_path"), "demo reranker")
    >>> keys = np.array([b"q1 d1", b"q1 d2"], dtype="S16")
    >>> store.write(keys, np.array([(0.5, 0.01, 7, 0), (0.25, 0.01, 9, 0)], dtype=RECORD))
    >>> found, records = store.read(np.array([b"q1 d2", b"q1 d3"], dtype="S16"))
    >>> found.tolist(), records["score"][0].item()
    ([True, False], 0.25)
    """

    def __init__(self, root: Path | None, settings: str) -> None:
        name = content_key(settings)[:32]
        self.folder = None if root is None else Path(root) / _LAYOUT / name
        self._read: set[Path] = set()
        self._table = np.empty(0, dtype=_PAIRS)

    def check(self, n_pair: int = 0) -> None:
        """Raise an MmgapError unless the scores of so many pairs can be written."""
        self._shards().check(n_pair * _PAIRS.itemsize)

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs are stored, and their ``RECORD``s; zeros where nothing is."""
        found = np.zeros(len(keys), dtype=bool)
        records = np.zeros(len(keys), dtype=RECORD)
        table = self._all() if len(keys) else self._table
        if not len(table):
            return found, records
        at = np.minimum(np.searchsorted(table["key"], keys), len(table) - 1)
        found = table["key"][at] == keys
        for name in RECORD.names or ():
            records[name] = np.where(found, table[name][at], 0)
        return found, records

    def _all(self) -> np.ndarray:
        """All pairs by key; each shard is read once, and kept in memory."""
        new = []
        for path, data in self._shards().beyond(self._read):
            try:
                new.append(np.load(io.BytesIO(data), allow_pickle=False).astype(_PAIRS))
                self._read.add(path)
            except (ValueError, TypeError, EOFError):
                self._shards().drop(path)
        if new:
            table = np.concatenate([self._table, *new])
            self._table = table[np.argsort(table["key"], kind="stable")]
        return self._table

    def write(self, keys: np.ndarray, records: np.ndarray) -> None:
        """Store some pairs: ``records[i]`` belongs to ``keys[i]``."""
        if not len(keys):
            return
        table = np.empty(len(keys), dtype=_PAIRS)
        table["key"] = keys
        for name in RECORD.names or ():
            table[name] = records[name]
        self._shards().add(_npy(table))

    def _shards(self) -> Shards:
        return Shards(self.folder, ".npy")


def _name(data: bytes) -> str:
    return f"part-{content_key(data)[:20]}"


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _rows(path: Path, record: dict, dim: int) -> list[np.ndarray]:
    """Return what each key stands for; a ValueError if the file is not what was written."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        msg = "another checksum"
        raise ValueError(msg)
    rows = np.load(io.BytesIO(data), allow_pickle=False)
    n, lengths = len(record["keys"]), record.get("lengths")
    ends = np.cumsum((1,) * n if lengths is None else lengths)
    if len(ends) != n or rows.shape != (ends[-1], dim):
        msg = "another shape"
        raise ValueError(msg)
    return list(rows) if lengths is None else np.split(rows, ends[:-1])


def _together(vectors: Sequence[np.ndarray], dim: int = 0) -> Embeddings:
    """Put what several inputs got into one: rows of an array, or sets of token vectors."""
    if vectors and vectors[0].ndim == 2:
        return TokenVectors.from_arrays(vectors)
    if not vectors:
        return np.empty((0, dim), dtype=np.float32)
    return np.stack(vectors).astype(np.float32, copy=False)


_Todo = list[tuple[str, int]]


def _batches(todo: _Todo, batch_size: int, pixels: Sequence[int] | None) -> Iterator[_Todo]:
    """Yield parts of ``todo``: at most ``batch_size`` inputs, or what fits ``_BATCH_PIXELS``."""
    batch: _Todo = []
    held = 0
    for key, position in todo:
        size = 0 if pixels is None else pixels[position]
        if batch and (len(batch) == batch_size or held + size > _BATCH_PIXELS):
            yield batch
            batch, held = [], 0
        batch.append((key, position))
        held += size
    if batch:
        yield batch


def _loaded(
    batches: Iterator[_Todo], load: Callable[[int], Item], workers: int
) -> Iterator[tuple[_Todo, list[Item | MmgapError]]]:
    """Yield batches with their inputs, or the error of an input; the next one loads meanwhile."""

    def attempt(task: tuple[str, int]) -> Item | MmgapError:
        try:
            return load(task[1])
        except MmgapError as error:
            return error

    if workers == 0:
        yield from ((batch, [attempt(task) for task in batch]) for batch in batches)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="mmgap-load") as pool:
        batch = next(batches, [])
        ahead = pool.map(attempt, batch)
        while batch:
            items, now = list(ahead), batch
            batch = next(batches, [])
            ahead = pool.map(attempt, batch)
            yield now, items
            items.clear()


def _check(embeddings: Embeddings, encoder: EncoderInfo, positions: Sequence[int]) -> None:
    if isinstance(embeddings, TokenVectors):
        shape, rows = (len(embeddings), embeddings.dim), embeddings.tokens
    else:
        shape, rows = embeddings.shape, embeddings
    if shape != (len(positions), encoder.dim):
        msg = (
            f"encoder {encoder.id!r} gave vectors of shape {shape} for {len(positions)} inputs; "
            f"expected ({len(positions)}, {encoder.dim})"
        )
        raise EncoderError(msg)
    finite = np.isfinite(rows).all(axis=1)
    if isinstance(embeddings, TokenVectors):
        finite = np.logical_and.reduceat(finite, embeddings.offsets[:-1])
    if not finite.all():
        position = positions[int(finite.argmin())]
        msg = (
            f"encoder {encoder.id!r} gave a vector that is not finite for input {position}; "
            "expected finite numbers. Run it in float32, or leave the input out"
        )
        raise EncoderError(msg)
