"""Means over all pairs of different items, also with weights, without a matrix of all pairs."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import row_blocks


def cosine_over_pairs(rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of ``rows[i] @ others[j]`` over i != j, in closed form.

    Parameters
    ----------
    rows, others : ndarray of shape (n, dim)
        Unit rows; the same array twice for one modality.
    weights : ndarray of shape (n_draw, n)
        How often each item counts in each draw. A pair counts ``weights[i] * weights[j]`` times:
        a second copy of an item is no other item.

    Returns
    -------
    means : ndarray of shape (n_draw,)
        NaN where a draw holds one item only, which has no other.

    Examples
    --------
    Three rows at right angles, the third one counted not at all.

    >>> cosine_over_pairs(np.eye(3), np.eye(3), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    array([0., 0.])
    """
    total = weights @ rows
    total_others = total if others is rows else weights @ others
    with_itself = weights**2 @ np.einsum("ij,ij->i", rows, others)
    return _divide(np.einsum("ij,ij->i", total, total_others) - with_itself, weights)


def gaussian_over_pairs(
    rows: np.ndarray, others: np.ndarray, t: float, weights: np.ndarray
) -> np.ndarray:
    """Weighted mean of ``exp(-t |rows[i] - others[j]|^2)`` over i != j, by blocks of rows.

    Parameters and result as in :func:`cosine_over_pairs`; all draws share each block.

    Examples
    --------
    Two unit rows at a right angle are 2 apart, squared.

    >>> gaussian_over_pairs(np.eye(2), np.eye(2), 1.0, np.ones((1, 2)))
    array([0.13533528])
    """
    n = len(rows)
    sums = np.zeros(len(weights))
    for block in row_blocks(n, n):
        kernel = rows[block] @ others.T
        kernel -= 1
        kernel *= 2 * t
        np.exp(kernel, out=kernel)
        np.fill_diagonal(kernel[:, block], 0)
        sums += np.einsum("di,id->d", weights[:, block], kernel @ weights.T)
    return _divide(sums, weights)


def _divide(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Divide sums over i != j by the weight of these pairs."""
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    return np.where(pairs > 0, sums / np.where(pairs > 0, pairs, 1), np.nan)
