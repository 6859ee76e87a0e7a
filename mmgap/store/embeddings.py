"""Embeddings on disk, found again by what was encoded and what encoded it."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args, overload

import numpy as np

from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.token_vectors import Embeddings, TokenVectors
from mmgap.errors import CacheDamageWarning, EncoderError, MmgapError

Kind = Literal["query", "document", "image"]
"""What was encoded; one text is not the same to a model as a query and as a document."""

_LAYOUT = "v1"
"""Raise it when files or image decoding change, so that old embeddings are left alone."""

_SHARD_BYTES = 2**26
"""A shard is written when its vectors take 64 MiB, even if it holds few inputs."""

Item = TypeVar("Item")


def content_key(data: str | bytes) -> str:
    """Return the name under which an input's embedding is stored: its sha256.

    Examples
    --------
    >>> content_key("a black cat")[:16]
    'ba06184a8dcd3c1f'
    """
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


@dataclass(frozen=True)
class Shard:
    """Some embeddings in one file, and the manifest beside it that makes them findable.

    ``lengths`` counts the vectors of each input of a late-interaction encoder; with ``None`` each
    input has one.
    """

    manifest: Path
    keys: tuple[str, ...]
    sha256: str
    lengths: tuple[int, ...] | None = None

    @property
    def array(self) -> Path:
        """The file that holds the embeddings."""
        return self.manifest.with_suffix(".npy")

    def read(self, dim: int) -> list[np.ndarray] | None:
        """Return what each key stands for, or ``None`` if the file is not what was written.

        A vector of shape (dim,), or of late interaction an array of shape (n_token, dim).
        """
        try:
            data = self.array.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            return None
        rows = np.load(io.BytesIO(data), allow_pickle=False)
        ends = np.cumsum((1,) * len(self.keys) if self.lengths is None else self.lengths)
        if len(ends) != len(self.keys) or rows.shape != (ends[-1], dim):
            return None
        return list(rows) if self.lengths is None else np.split(rows, ends[:-1])


class EmbeddingStore:
    """Cache of embeddings in a folder.

    Each encoder and kind of input has a folder with shards: ``part-<content>.npy`` holds the
    vectors as the model gave them, ``part-<content>.json`` the inputs' keys and the checksum, and
    for a late-interaction encoder how many of the vectors belong to each input.
    A shard counts once its manifest is there, and both files appear whole or not at all, so a
    stopped run loses one shard at most and several processes may write at once.

    Parameters
    ----------
    root : Path or None
        ``None`` keeps nothing: every input is encoded anew.
    shard_size : int, default 512
        Inputs per file, or fewer that take 64 MiB; what a stopped run has to do again.

    Examples
    --------
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
            raise ValueError(msg)
        if self.root is None:
            return None
        return self.root / _LAYOUT / content_key(encoder.fingerprint)[:32] / kind

    def read(self, encoder: EncoderInfo, kind: Kind, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors of those keys that are stored, as the model gave them.

        Each of shape (dim,), or for late interaction (n_token, dim). A damaged shard is removed,
        with a ``CacheDamageWarning`` that names it.
        """
        missing = set(keys)
        found: dict[str, np.ndarray] = {}
        for shard in self._shards(self.folder(encoder, kind)):
            if missing.isdisjoint(shard.keys):
                continue
            embeddings = shard.read(encoder.dim)
            if embeddings is None:
                _remove_damaged(shard.manifest)
                continue
            for key, row in zip(shard.keys, embeddings, strict=True):
                if key in missing:
                    found[key] = row
            missing -= set(shard.keys)
        return found

    def write(
        self, encoder: EncoderInfo, kind: Kind, keys: Sequence[str], embeddings: Embeddings
    ) -> None:
        """Store one shard: ``embeddings[i]`` belongs to ``keys[i]``."""
        folder = self.folder(encoder, kind)
        if folder is None:
            return
        rows = embeddings.tokens if isinstance(embeddings, TokenVectors) else embeddings
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(rows, dtype=np.float32), allow_pickle=False)
        data = buffer.getvalue()
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
        text = json.dumps(manifest, indent=1).encode()
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / _part_name(text)
        _write_whole(part.with_suffix(".npy"), data)
        _write_whole(part.with_suffix(".json"), text)

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
        normalize: bool = True,
        on_bad: Callable[[int, MmgapError], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, Embeddings]:
        """Return the vectors of some inputs, encoding those that are not stored yet.

        Equal keys are encoded once.

        Parameters
        ----------
        encoder : EncoderInfo
        kind : {"query", "document", "image"}
        keys : sequence of str
            ``content_key`` of every input.
        load : callable
            Takes a position and returns the input.
        encode : callable
            Takes at most ``batch_size`` inputs and returns their vectors as the model gives them:
            an array with one row each, or ``TokenVectors``.
        batch_size : int, default 64
        workers : int, default 0
            Threads that load the next batch while the model is at work; 0 loads in between.
        normalize : bool, default True
            Return unit-norm vectors.
        on_bad : callable or None
            Told the position and error of an input that cannot be loaded, which is then left
            out; with ``None`` the error is raised.
        on_progress : callable or None
            Told how many inputs were done since the last call.

        Returns
        -------
        positions : int ndarray of shape (n,)
            The inputs that have a vector, ascending.
        embeddings : float32 ndarray of shape (n, dim), or TokenVectors of length n
            An array where there is no input.
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
        try:
            for batch, items in _batches(todo, load, batch_size, workers):
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
                if len(new) >= self.shard_size or _size(new.values()) >= _SHARD_BYTES:
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

    def _shards(self, folder: Path | None) -> Iterator[Shard]:
        if folder is None:
            return
        for manifest in sorted(folder.glob("part-*.json")):
            try:
                data = manifest.read_bytes()
            except FileNotFoundError:  # another process found it damaged
                continue
            if _part_name(data) == manifest.stem:
                record = json.loads(data)
                yield Shard(
                    manifest,
                    tuple(record["keys"]),
                    record["sha256"],
                    tuple(record["lengths"]) if "lengths" in record else None,
                )
            else:
                _remove_damaged(manifest)


@overload
def unit_norm(embeddings: np.ndarray) -> np.ndarray: ...
@overload
def unit_norm(embeddings: TokenVectors) -> TokenVectors: ...
def unit_norm(embeddings: Embeddings) -> Embeddings:
    """Return the vectors divided by their length; a vector of zeros stays as it is.

    Examples
    --------
    >>> unit_norm(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if isinstance(embeddings, TokenVectors):
        return TokenVectors(unit_norm(embeddings.tokens), embeddings.offsets)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(length == 0, 1, length)


def _together(vectors: Sequence[np.ndarray], dim: int = 0) -> Embeddings:
    """Put what several inputs got into one: rows of an array, or sets of token vectors."""
    if vectors and vectors[0].ndim == 2:
        return TokenVectors.from_arrays(vectors)
    if not vectors:
        return np.empty((0, dim), dtype=np.float32)
    return np.stack(vectors).astype(np.float32, copy=False)


def _size(vectors: Iterable[np.ndarray]) -> int:
    return sum(vector.nbytes for vector in vectors)


def _batches(
    todo: Sequence[tuple[str, int]], load: Callable[[int], Item], batch_size: int, workers: int
) -> Iterator[tuple[Sequence[tuple[str, int]], list[Item | MmgapError]]]:
    """Yield batches of ``todo`` with their inputs, or the error of an input that is unusable."""

    def attempt(position: int) -> Item | MmgapError:
        try:
            return load(position)
        except MmgapError as error:
            return error

    batches = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
    if workers == 0:
        for batch in batches:
            yield batch, [attempt(position) for _, position in batch]
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="mmgap-load") as pool:
        ahead = pool.map(attempt, [position for _, position in batches[0]]) if batches else None
        for number, batch in enumerate(batches):
            items = list(ahead or ())
            if number + 1 < len(batches):
                ahead = pool.map(attempt, [position for _, position in batches[number + 1]])
            yield batch, items


def _part_name(manifest: bytes) -> str:
    """Name a shard by its manifest, which holds the checksum of its vectors."""
    return f"part-{content_key(manifest)[:20]}"


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


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_damaged(manifest: Path) -> None:
    warnings.warn(
        f"cached embeddings {manifest.with_suffix('.npy')} or the manifest beside them were cut "
        "short or altered; they are removed and made again",
        CacheDamageWarning,
        stacklevel=2,
    )
    manifest.unlink(missing_ok=True)
    manifest.with_suffix(".npy").unlink(missing_ok=True)
