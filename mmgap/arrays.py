"""Rows of numbers: the one door of the package, for rooms of sources, science and face alike.

:func:`unit_rows` brings rows to length 1 and names the row that has no direction; use it wherever
vectors come from outside, instead of dividing by a norm. :func:`row_blocks` cuts a matrix of all
pairs into blocks that fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmgap.errors import MmgapError

BLOCK_BYTES = 64 * 2**20
"""Most bytes that a block of a matrix of all pairs takes."""


def unit_rows(name: str, embeddings: np.ndarray) -> np.ndarray:
    """Rows of unit length in float64; ``name`` says in messages what they are.

    The given array, of any real type, is not modified. MmgapError if there are not two axes with
    at least one row and column, or a row is zero or not finite.

    >>> unit_rows("image_embeddings", np.array([[3.0, 4.0]]))
    array([[0.6, 0.8]])
    """
    try:
        rows = np.asarray(embeddings)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors with gradients
        msg = f"{name} cannot be read as an array ({error}); give one of shape (n, dim)"
        raise MmgapError(msg) from error
    if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "fiu":
        msg = (
            f"{name} must be real numbers of shape (n, dim), one row for each item, and hold at "
            f"least one; got {rows.dtype} of shape {rows.shape}"
        )
        raise MmgapError(msg)
    rows = rows.astype(np.float64)
    squared = np.einsum("ij,ij->i", rows, rows)
    if not ((squared > 1e-200) & (squared < 1e200)).all():
        # Squares of very long and very short rows leave float64: bring the largest entry to 1.
        largest = np.abs(rows).max(axis=1, keepdims=True)
        unusable = ~(np.isfinite(largest) & (largest > 0)).ravel()
        if unusable.any():
            row = int(np.argmax(unusable))
            what = "is zero" if largest[row] == 0 else "holds NaN or infinity"
            msg = (
                f"row {row} of {name} {what}, so it has no direction ({unusable.sum()} such rows "
                f"of {len(rows)}); leave out the items that could not be embedded"
            )
            raise MmgapError(msg)
        rows /= largest
        squared = np.einsum("ij,ij->i", rows, rows)
    rows /= np.sqrt(squared)[:, None]
    return rows


def row_blocks(
    n_row: int, n_column: int, *, block_bytes: int = BLOCK_BYTES, itemsize: int = 8
) -> Iterator[slice]:
    """Slices of rows whose blocks of ``n_column`` columns take at most ``block_bytes``.

    A block has at least one row. Here two rows of four numbers fit:

    >>> list(row_blocks(5, 4, block_bytes=64))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, block_bytes // max(1, n_column * itemsize))
    for start in range(0, n_row, step):
        yield slice(start, min(start + step, n_row))
