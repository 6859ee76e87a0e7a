"""Shorter vectors: the first coordinates of a Matryoshka model, and unit norm."""

from __future__ import annotations

import numpy as np

from mmgap.errors import EncoderError


def truncate(vectors: np.ndarray, dim: int | None, *, normalize: bool) -> np.ndarray:
    """Return the first ``dim`` coordinates as float32, then divided by their length.

    In this order: a cut vector has no unit norm any more.

    Parameters
    ----------
    vectors : ndarray of shape (n, native_dim)
    dim : int or None
        ``None`` keeps all.
    normalize : bool

    Returns
    -------
    float32 ndarray of shape (n, dim)

    References
    ----------
    .. [1] Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.

    Examples
    --------
    >>> truncate(np.array([[3.0, 4.0, 12.0]]), 2, normalize=True)
    array([[0.6, 0.8]], dtype=float32)
    """
    vectors = np.asarray(vectors, dtype=np.float32)[:, :dim]
    if not normalize:
        return vectors
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)


def check_dim(dim: int | None, native: int, matryoshka: tuple[int, ...], name: str) -> int:
    """Return the length of the vectors a caller will get, or say which lengths there are.

    Parameters
    ----------
    dim : int or None
        What was asked for; ``None`` is ``native``.
    native : int
        Length of the vectors the model gives.
    matryoshka : tuple of int
        Lengths that the model was trained to be cut to; empty if it was not.
    name : str
        The model, for the message.

    Raises
    ------
    EncoderError
        If the model was not trained for this length.

    Examples
    --------
    >>> check_dim(None, 768, (256, 768), "demo"), check_dim(256, 768, (256, 768), "demo")
    (768, 256)
    >>> check_dim(100, 768, (256, 768), "demo")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: demo cannot be cut to 100 dimensions; expected one of 256, 768
    """
    allowed = {*matryoshka, native}
    if dim is None or dim in allowed:
        return dim or native
    known = ", ".join(map(str, sorted(allowed)))
    msg = f"{name} cannot be cut to {dim} dimensions; expected one of {known}"
    raise EncoderError(msg)
