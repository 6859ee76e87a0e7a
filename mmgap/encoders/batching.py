"""Run a model over many inputs in batches: little padding, and no crash when memory runs out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

CPU_TOKENS = 1024
"""Tokens per batch on a processor: with more, the states between two layers leave its cache."""

_FULL_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
"""What torch, its backends, onnxruntime and the operating system say, in lower case."""


def in_batches(
    items: Sequence[Item],
    forward: Callable[[Sequence[Item]], np.ndarray],
    *,
    batch_size: int,
    length: Callable[[Item], int] | None = None,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Return ``forward`` of all items, in the order given.

    A batch that does not fit into memory is halved, and so are those after it.

    Parameters
    ----------
    items : sequence
        At least one.
    forward : callable
        Takes some items, ``batch_size`` at most, and returns an array with one row for each.
    batch_size : int
        At least 1.
    length : callable or None
        Items of like length share a batch, longest first, so that little is padded; ``None`` keeps
        the order.
    max_tokens : int or None
        With it, and with ``length``, this and not ``batch_size`` says when a batch is full: when
        the number of its items times the longest of their lengths would be more. An item longer
        than that is a batch of its own. So short items go in large batches, long ones in small.

    Returns
    -------
    ndarray of shape (n_item, ...)

    Raises
    ------
    ValueError
        If ``batch_size`` or ``max_tokens`` is below 1.

    Warns
    -----
    RuntimeWarning
        If a batch did not fit into memory.

    Examples
    --------
    >>> in_batches(["a", "ccc", "bb"], lambda batch: np.array([[len(t)] for t in batch]),
    ...            batch_size=2, length=len)
    array([[1],
           [3],
           [2]])
    """
    if batch_size < 1 or (max_tokens is not None and max_tokens < 1):
        msg = f"batch_size is {batch_size}, max_tokens {max_tokens}; expected at least 1"
        raise ValueError(msg)
    order = list(range(len(items)))
    lengths: list[int] | None = None
    if length is not None:
        lengths = [max(1, length(item)) for item in items]
        order.sort(key=lambda position: -lengths[position])
    parts: list[np.ndarray] = []
    start = 0
    while start < len(order):
        size = batch_size
        if lengths is not None and max_tokens is not None:
            size = max(1, max_tokens // lengths[order[start]])
        batch = [items[position] for position in order[start : start + size]]
        rows = _attempt(forward, batch)
        if rows is None:
            half = max(1, len(batch) // 2)
            warnings.warn(
                f"a batch of {len(batch)} did not fit into memory; going on with {half}",
                RuntimeWarning,
                stacklevel=2,
            )
            batch_size = half
            if lengths is not None and max_tokens is not None:
                max_tokens = half * lengths[order[start]]
            continue
        parts.append(rows)
        start += len(batch)
    sorted_rows = np.concatenate(parts)
    all_rows = np.empty_like(sorted_rows)
    all_rows[order] = sorted_rows
    return all_rows


def tokens_per_batch(batch_size: int, longest: int, device: str) -> int:
    """Return the ``max_tokens`` of :func:`in_batches` that suits a device.

    As many as ``batch_size`` of the longest items have, so that ``batch_size`` bounds the memory
    whatever comes; on a processor no more than its cache likes.

    Parameters
    ----------
    batch_size : int
    longest : int
        Tokens of the longest item, padding included.
    device : str
        Such as ``"cpu"`` or ``"cuda:0"``.

    Examples
    --------
    >>> tokens_per_batch(64, 128, "cuda"), tokens_per_batch(64, 128, "cpu")
    (8192, 1024)
    >>> tokens_per_batch(2, 128, "cpu")
    256
    """
    tokens = batch_size * longest
    return min(tokens, CPU_TOKENS) if device.startswith("cpu") else tokens


def _attempt(
    forward: Callable[[Sequence[Item]], np.ndarray], batch: Sequence[Item]
) -> np.ndarray | None:
    """Return the rows, or ``None`` if memory was full and the batch can be halved."""
    try:
        return forward(batch)
    except Exception as error:
        if len(batch) == 1 or not _out_of_memory(error):
            raise
    # Only here, past the handler: the error's traceback holds the tensors of the failed pass.
    _empty_cache()
    return None


def _out_of_memory(error: Exception) -> bool:
    """Tell full memory from all other errors."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(words in str(error).lower() for words in _FULL_MEMORY)
    )


def _empty_cache() -> None:
    torch = sys.modules.get("torch")  # a model that runs without torch shall not import it here
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
