"""The one door through which embeddings enter a measure."""

from __future__ import annotations

import numpy as np

from mmgap.arrays import BLOCK_BYTES, row_blocks, unit_rows
from mmgap.errors import MmgapError

__all__ = ["BLOCK_BYTES", "row_blocks", "unit_rows"]


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
