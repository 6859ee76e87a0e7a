"""What a late-interaction encoder gives: several vectors for every input, one for each token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from mmgap.errors import EncoderError


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """Some inputs, each with as many vectors as it has tokens or image patches.

    Takes the place of an array of shape (n, dim). ``len`` counts inputs; an integer index gives the
    vectors of one input, a slice or an array of positions those of several.

    Parameters
    ----------
    tokens : float32 ndarray of shape (n_token, dim)
        The vectors of all inputs, one input after the other.
    offsets : int64 ndarray of shape (n + 1,)
        Input i has the rows ``offsets[i]`` to ``offsets[i + 1]``, one at least.

    Raises
    ------
    EncoderError
        If the offsets do not divide ``tokens``, or an input has no vector.

    Examples
    --------
    >>> vectors = TokenVectors.from_arrays([[[1.0, 0.0]], [[0.0, 1.0], [0.6, 0.8]]])
    >>> len(vectors), vectors.lengths
    (2, array([1, 2]))
    >>> vectors[1]
    array([[0. , 1. ],
           [0.6, 0.8]], dtype=float32)
    >>> vectors[[1, 0, 1]].lengths
    array([2, 1, 2])
    """

    tokens: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        tokens = np.asarray(self.tokens, dtype=np.float32)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        if tokens.ndim != 2 or offsets.ndim != 1:
            msg = (
                f"tokens have shape {tokens.shape} and offsets {offsets.shape}; expected the two "
                "axes (n_token, dim) and the one axis (n + 1,)"
            )
            raise EncoderError(msg)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
            msg = (
                f"offsets {offsets} do not divide {len(tokens)} token vectors; they go from 0 to "
                "that number"
            )
            raise EncoderError(msg)
        lengths = np.diff(offsets)
        if (lengths < 1).any():
            at = int((lengths < 1).argmax())
            msg = f"input {at} has {lengths[at]} token vectors; expected one at least"
            raise EncoderError(msg)
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_arrays(cls, arrays: Sequence[Any], dim: int | None = None) -> TokenVectors:
        """Put arrays of shape (n_token, dim), one for each input, into one container.

        ``dim`` is needed only where there is no input.
        """
        parts = [np.asarray(array, dtype=np.float32) for array in arrays]
        if len({part.shape[1:] for part in parts}) > 1 or any(part.ndim != 2 for part in parts):
            msg = (
                f"arrays have shapes {sorted({part.shape for part in parts})}; expected (n_token, "
                "dim) with one dim"
            )
            raise EncoderError(msg)
        tokens = np.concatenate(parts) if parts else np.empty((0, dim or 0), dtype=np.float32)
        return cls(tokens, np.cumsum([0, *map(len, parts)]))

    @staticmethod
    def concatenate(parts: Sequence[TokenVectors]) -> TokenVectors:
        """Return the inputs of all ``parts`` (one at least), in order."""
        lengths = np.concatenate([part.lengths for part in parts])
        tokens = np.concatenate([part.tokens for part in parts])
        return TokenVectors(tokens, np.concatenate([[0], np.cumsum(lengths)]))

    @property
    def dim(self) -> int:
        """Length of one vector."""
        return self.tokens.shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """Number of vectors of each input: int64 array of shape (n,)."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, int | np.integer):
            rows = range(len(self))[rows]  # refuses what is out of range, and counts from the end
            return self.tokens[self.offsets[rows] : self.offsets[rows + 1]]
        positions = np.arange(len(self))[rows]
        lengths = self.lengths[positions]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # The place of each new token in the old array: its input's start, and its place in there.
        shift = np.repeat(self.offsets[positions] - offsets[:-1], lengths)
        return TokenVectors(self.tokens[np.arange(offsets[-1]) + shift], offsets)

    def __repr__(self) -> str:
        return f"TokenVectors({len(self)} inputs, {len(self.tokens)} vectors, dim={self.dim})"

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        msg = (
            f"{self!r} has several vectors for each input and is no array of one row for each; "
            "score it with mmgap.encoders.similarity, or take its .tokens"
        )
        raise EncoderError(msg)


Embeddings: TypeAlias = np.ndarray | TokenVectors
"""What encoders give for n inputs: one row each, or several vectors each."""
