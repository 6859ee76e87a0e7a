"""The one door through which embeddings enter a measure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmgap.errors import MmgapError

BLOCK_BYTES = 64 * 2**20
"""Most bytes that a block of a matrix of all pairs takes."""


def unit_rows(name: str, embeddings: np.ndarray) -> np.ndarray:
    """Rows of unit length in float64.

    Parameters
    ----------
    name : str
        What the rows are, for messages: ``"image_embeddings"``.
    embeddings : array of shape (n, dim)
        Of any float type. Not modified.

    Returns
    -------
    rows : float64 ndarray of shape (n, dim)

    Raises
    ------
    MmgapError
        If there are not two axes and at least one row and column, or a row is zero or not finite.

    Examples
    --------
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


def two_sides(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of both modalities, which need not be pairs.

    Raises
    ------
    MmgapError
        As :func:`unit_rows`; if the two have different dimensions.

    Examples
    --------
    >>> image, text = two_sides(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0], [1.0, 0.0]]))
    >>> image.tolist(), text.tolist()
    ([[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    """
    image = unit_rows("image_embeddings", image_embeddings)
    text = unit_rows("text_embeddings", text_embeddings)
    if image.shape[1] != text.shape[1]:
        msg = (
            f"images and texts must live in one space; got {image.shape[1]} dimensions for images "
            f"and {text.shape[1]} for texts. Embed both with one model"
        )
        raise MmgapError(msg)
    return image, text


def paired_rows(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of both modalities, row i of one belonging to row i of the other.

    Raises
    ------
    MmgapError
        As :func:`two_sides`; if there are not as many images as texts.

    Examples
    --------
    >>> image, text = paired_rows(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]]))
    >>> image.tolist(), text.tolist()
    ([[1.0, 0.0]], [[0.0, 1.0]])
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    if len(image) != len(text):
        msg = (
            f"row i of the images must belong to row i of the texts; got {len(image)} images and "
            f"{len(text)} texts. Where an image has several texts, keep one for each"
        )
        raise MmgapError(msg)
    return image, text


def need_rows(name: str, rows: np.ndarray, least: int, why: str) -> None:
    """Raise MmgapError if there are fewer than ``least`` rows.

    Examples
    --------
    >>> need_rows("text_embeddings", np.ones((2, 3)), 2, "a mean over different items")
    """
    if len(rows) < least:
        msg = f"{why} needs at least {least} rows of {name}; got {len(rows)}"
        raise MmgapError(msg)


def one_draw(embeddings: np.ndarray) -> np.ndarray:
    """Weights that count each row once; what is no array of rows is refused by whoever reads it.

    Examples
    --------
    >>> one_draw(np.ones((2, 3)))
    array([[1., 1.]])
    """
    return np.ones((1, len(embeddings) if hasattr(embeddings, "__len__") else 1))


def row_blocks(
    n_row: int, n_column: int, *, block_bytes: int = BLOCK_BYTES, itemsize: int = 8
) -> Iterator[slice]:
    """Slices of rows whose blocks of ``n_column`` columns take at most ``block_bytes``.

    A block has at least one row.

    Examples
    --------
    Eight numbers of 8 bytes fit, which is two rows of four.

    >>> list(row_blocks(5, 4, block_bytes=64))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, block_bytes // max(1, n_column * itemsize))
    for start in range(0, n_row, step):
        yield slice(start, min(start + step, n_row))
