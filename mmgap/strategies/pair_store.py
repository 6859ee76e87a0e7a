"""Scores of pairs on disk, so that no reranker call is made twice."""

from __future__ import annotations

import hashlib
import io
import uuid
import warnings
from pathlib import Path

import numpy as np

from mmgap.errors import CacheDamageWarning

RECORD = np.dtype(
    [("score", "<f4"), ("seconds", "<f4"), ("tokens", "<i4"), ("pixels", "<i4")],
)
"""What is known of a scored pair: its score, the time it took, and how much the model read."""

_STORED = np.dtype([("key", "S16"), *[(name, RECORD[name]) for name in RECORD.names or ()]])
_LAYOUT = "v1"


class PairStore:
    """Scores of one reranker in a folder: one file for each lot of pairs.

    A file is named by its content and appears whole or not at all, so a killed run loses nothing
    that was written, several processes may write at once, and damage is noticed.

    Parameters
    ----------
    root : Path or None
        ``None`` keeps nothing.
    settings : str
        All that decides a score besides the pair: the reranker's fingerprint and the options it
        is used with. Other settings have another folder.

    Examples
    --------
    >>> store = PairStore(getfixture("tmp_path"), "demo reranker")
    >>> keys = np.array([b"q1 d1", b"q1 d2"], dtype="S16")
    >>> store.write(keys, np.array([(0.5, 0.01, 7, 0), (0.25, 0.01, 9, 0)], dtype=RECORD))
    >>> found, records = store.read(np.array([b"q1 d2", b"q1 d3"], dtype="S16"))
    >>> found.tolist(), records["score"][0].item()
    ([True, False], 0.25)
    """

    def __init__(self, root: Path | None, settings: str) -> None:
        name = hashlib.sha256(settings.encode()).hexdigest()[:32]
        self.folder = None if root is None else Path(root) / _LAYOUT / name

    def read(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look pairs up.

        Parameters
        ----------
        keys : array of 16 bytes, shape (n_pair,)

        Returns
        -------
        found : bool ndarray of shape (n_pair,)
        records : ndarray of ``RECORD``, shape (n_pair,)
            Zeros where nothing is stored. A damaged file is removed, with a ``CacheDamageWarning``
            that names it.
        """
        found = np.zeros(len(keys), dtype=bool)
        records = np.zeros(len(keys), dtype=RECORD)
        parts = [] if self.folder is None else sorted(self.folder.glob("part-*.npy"))
        stored = [part for path in parts if (part := _read_whole(path)) is not None]
        if not stored or not len(keys):
            return found, records
        table = np.concatenate(stored)
        table = table[np.argsort(table["key"], kind="stable")]
        at = np.minimum(np.searchsorted(table["key"], keys), len(table) - 1)
        found = table["key"][at] == keys
        for name in RECORD.names or ():
            records[name] = np.where(found, table[name][at], 0)
        return found, records

    def write(self, keys: np.ndarray, records: np.ndarray) -> None:
        """Store a lot of pairs: ``records[i]`` belongs to ``keys[i]``."""
        if self.folder is None or not len(keys):
            return
        table = np.empty(len(keys), dtype=_STORED)
        table["key"] = keys
        for name in RECORD.names or ():
            table[name] = records[name]
        buffer = io.BytesIO()
        np.save(buffer, table, allow_pickle=False)
        data = buffer.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{_name(data)}.npy"
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _name(data: bytes) -> str:
    return f"part-{hashlib.sha256(data).hexdigest()[:20]}"


def _read_whole(path: Path) -> np.ndarray | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # another process found it damaged
        return None
    if _name(data) == path.stem:
        return np.load(io.BytesIO(data), allow_pickle=False)
    warnings.warn(
        f"cached reranker scores {path} were cut short or altered; they are removed and made again",
        CacheDamageWarning,
        stacklevel=3,
    )
    path.unlink(missing_ok=True)
    return None
