"""How a model is run: its device and number format, and batches that fit into memory."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mmgap.errors import EncoderError

Item = TypeVar("Item")

DTYPES = ("float32", "bfloat16", "float16")
"""Number formats that a model may run in."""

CPU_TOKENS = 1024
"""Tokens per batch on a processor: with more, the states between two layers leave its cache."""

_FULL_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed")
"""What torch, its backends, onnxruntime and the operating system say, in lower case."""


def pick_device(device: str = "auto") -> str:
    """Return the device to run on: ``"auto"`` takes cuda, then mps, then cpu."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(dtype: str, device: str, *, name: str = "the model", float16: bool = True) -> str:
    """Return the number format that a model runs in.

    ``"auto"`` is bfloat16 on a GPU that has it, else float16 on a GPU, else float32.
    ``float16=False`` is for a model whose activations leave the range of float16.

    >>> pick_dtype("auto", "cpu"), pick_dtype("float16", "cuda")
    ('float32', 'float16')
    >>> pick_dtype("float16", "cuda", name="demo", float16=False)
    Traceback (most recent call last):
    mmgap.errors.EncoderError: demo gives wrong vectors in float16; expected bfloat16 or float32
    """
    if dtype == "auto":
        if not device.startswith("cuda"):
            return "float32"
        import torch

        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if float16 else "float32"
    if dtype not in DTYPES:
        msg = f"dtype is {dtype!r}; expected auto, {', '.join(DTYPES)}"
        raise EncoderError(msg)
    if dtype == "float16" and not float16:
        msg = f"{name} gives wrong vectors in float16; expected bfloat16 or float32"
        raise EncoderError(msg)
    return dtype


def usable_processors() -> int:
    """Return the number of processors that this process may use; 1 or more."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_batches(
    items: Sequence[Item],
    forward: Callable[[Sequence[Item]], np.ndarray],
    *,
    batch_size: int,
    length: Callable[[Item], int] | None = None,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Return ``forward`` of all items (one at least), one row each, in the order given.

    With ``length``, items of similar length are in one batch, longest first, so that little is
    padded. With ``max_tokens`` as well, this and not ``batch_size`` says when a batch is full: the
    number of its items times the longest of their lengths. A batch that does not fit into memory is
    halved, and so are those after it, with a ``RuntimeWarning``.

    >>> in_batches(["a", "ccc", "bb"], lambda batch: np.array([[len(t)] for t in batch]),
    ...            batch_size=2, length=len).tolist()
    [[1], [3], [2]]
    """
    if batch_size < 1 or (max_tokens is not None and max_tokens < 1):
        msg = f"batch_size is {batch_size}, max_tokens {max_tokens}; expected at least 1"
        raise EncoderError(msg)
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

    >>> tokens_per_batch(64, 128, "cuda"), tokens_per_batch(64, 128, "cpu")
    (8192, 1024)
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
        full = (
            isinstance(error, MemoryError)
            or type(error).__name__ == "OutOfMemoryError"
            or any(words in str(error).lower() for words in _FULL_MEMORY)
        )
        if len(batch) == 1 or not full:
            raise
    # Only here, past the handler: the error's traceback holds the tensors of the failed pass.
    _empty_cache()
    return None


def _empty_cache() -> None:
    torch = sys.modules.get("torch")  # a model that runs without torch shall not import it here
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch is not None and torch.backends.mps.is_available():
        torch.mps.empty_cache()
