"""Which dimensions carry the gap, and what is left without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import need_rows, paired_rows, row_blocks
from mmgap.gap.gap_vector import gap_vector
from mmgap.gap.l2i import L2I
from mmgap.gap.l2m import l2m
from mmgap.gap.measure import Measure
from mmgap.gap.rmg import rmg

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DimensionProfile:
    """Gap vector by dimension, largest part first.

    Parameters
    ----------
    dims : int ndarray of shape (dim,)
        Numbers of the dimensions, by falling size of the gap; of equal ones the lower first.
    gap : float64 ndarray of shape (dim,)
        Gap along these dimensions, positive where images lie higher.
    shares : float64 ndarray of shape (dim,)
        Share of the squared gap that each holds: descending, sum 1. NaN where there is no gap.
    """

    dims: np.ndarray
    gap: np.ndarray
    shares: np.ndarray


def dimension_profile(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray
) -> DimensionProfile:
    """Sort the dimensions by how much of the gap vector lies along them.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    profile : DimensionProfile
        ``profile.shares[:m].sum()`` is the share of the squared gap in the top m dimensions. It
        depends on the axes: a rotation of the space changes it. Unchanged by the order of rows;
        exchanging the modalities changes the signs of ``gap`` only.

    Raises
    ------
    MmgapError
        If embeddings cannot be used.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025; their
       ``analysis/gap_mean_differences.py``.

    Examples
    --------
    The centroids are (.6, .8, 0) and (0, .8, .6): two dimensions carry the gap, half each.

    >>> profile = dimension_profile(np.array([[0.6, 0.8, 0.0]]), np.array([[0.0, 0.8, 0.6]]))
    >>> profile.dims.tolist(), profile.shares.round(3).tolist()
    ([0, 2, 1], [0.5, 0.5, 0.0])
    """
    gap = gap_vector(image_embeddings, text_embeddings)
    dims = np.argsort(-np.abs(gap), kind="stable")
    return DimensionProfile(dims, gap[dims], _sorted_shares(gap[None])[0])


def gap_share_top1(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Share of the squared gap that lies along the one dimension with the largest part of it.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    share : float
        In [1 / dim, 1]; larger = fewer dimensions carry the gap. Not invariant to rotation; NaN
        where there is no gap. A gap that is mere chance also has a largest dimension: compare
        with the level of nothing.

    Raises
    ------
    MmgapError
        If embeddings cannot be used.

    See Also
    --------
    dimension_profile : all shares.

    Examples
    --------
    The gap is (.4, -.8): .64 of .8.

    >>> round(gap_share_top1(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8]])), 6)
    0.8
    """
    return float(dimension_profile(image_embeddings, text_embeddings).shares[0])


def gap_share_top8(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Share of the squared gap that lies along the eight dimensions with most of it.

    Parameters, errors and remarks as :func:`gap_share_top1`; 1 where there are at most eight
    dimensions.

    Examples
    --------
    Sixteen dimensions with an equal part each.

    >>> round(gap_share_top8(np.ones((1, 16)), -np.ones((1, 16))), 3)
    0.5
    """
    shares = dimension_profile(image_embeddings, text_embeddings).shares
    # All shares may add up to a rounding error above 1; NaN stays NaN.
    return float(np.minimum(shares[:8].sum(), 1))


def ablation_curve(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    n_dims: int = 20,
    *,
    k: int = 1,
) -> pd.DataFrame:
    """Gap and recall after the dimensions with the largest part of the gap are removed.

    The order of the dimensions is that of the whole embeddings. After each removal rows are
    brought to unit length again.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_pair, dim)
        At least two rows.
    text_embeddings : ndarray of shape (n_pair, dim)
        Row i belongs to row i of the images.
    n_dims : int, default 20
        Most dimensions to remove; fewer than dim.
    k : int, default 1
        Depth of recall.

    Returns
    -------
    curve : DataFrame of n_dims + 1 rows
        ``n_removed``; ``dim``, the last one removed (-1 in the first row); ``l2m`` and ``rmg``;
        ``i2t_recall`` and ``t2i_recall``, the share of images whose text, and of texts whose
        image, is among the first k of the other modality, expected over the orders of tied
        scores.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, there are fewer than two pairs, ``n_dims`` is negative or
        would leave no dimension, ``k`` is below 1, or a row is zero without these dimensions.

    Notes
    -----
    L2M falls less than the shares of :func:`dimension_profile` suggest, since the rest of each row
    is stretched to unit length: on CLIP ViT-B/16 two dimensions hold 69 % of the squared gap, and
    without them L2M is .617 instead of .851.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025; their
       ``analysis/gap_ablate_dims.py``.

    Examples
    --------
    The first dimension holds the modality, the others what the pair shows.

    >>> shown = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> image, text = np.insert(shown, 0, 1.0, axis=1), np.insert(shown, 0, -1.0, axis=1)
    >>> ablation_curve(image, text, n_dims=1)[["n_removed", "dim", "l2m"]].round(3)
       n_removed  dim    l2m
    0          0   -1  1.414
    1          1    0  0.000
    """
    import pandas as pd

    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("both modalities", image, 2, "an ablation curve")
    if not 0 <= n_dims < image.shape[1] or k < 1:
        msg = (
            f"n_dims is {n_dims} and k is {k}; expected n_dims from 0 to {image.shape[1] - 1}, so "
            "that a dimension is left, and k of at least 1"
        )
        raise MmgapError(msg)
    dims = dimension_profile(image, text).dims
    rows = []
    for n_removed in range(n_dims + 1):
        sides = paired_rows(*(np.delete(side, dims[:n_removed], axis=1) for side in (image, text)))
        rows.append(
            {
                "n_removed": n_removed,
                "dim": dims[n_removed - 1] if n_removed else -1,
                "l2m": l2m(*sides),
                "rmg": rmg(*sides),
                "i2t_recall": _paired_recall(*sides, k),
                "t2i_recall": _paired_recall(*sides[::-1], k),
            }
        )
    return pd.DataFrame(rows)


def _paired_recall(queries: np.ndarray, documents: np.ndarray, k: int) -> float:
    """Chance that document i is among the first k of query i, tied documents in random order."""
    chances = []
    for rows in row_blocks(len(queries), len(documents)):
        scores = queries[rows] @ documents.T
        own = scores[np.arange(len(scores)), np.arange(rows.start, rows.stop)][:, None]
        above = (scores > own + 1e-12).sum(axis=1)
        tied = (scores >= own - 1e-12).sum(axis=1) - above
        chances.append(np.clip((k - above) / tied, 0, 1))
    return float(np.concatenate(chances).mean())


def _sorted_shares(gaps: np.ndarray) -> np.ndarray:
    """Shares of the square of each row, descending; NaN where a row is a rounding error."""
    squared = np.sort(gaps**2, axis=1)[:, ::-1]
    total = squared.sum(axis=1, keepdims=True)
    return np.where(total > 1e-24, squared / np.where(total > 1e-24, total, 1), np.nan)


def _weighted_share(m: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    def weighted(
        image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        image, text = paired_rows(image_embeddings, text_embeddings)
        gaps = weights @ (image - text) / weights.sum(axis=1, keepdims=True)
        return np.minimum(_sorted_shares(gaps)[:, :m].sum(axis=1), 1)

    return weighted


_INVARIANCES = ("permutation of pairs", "shuffled texts", "modality swap", "scale of a row")

GAP_SHARE_TOP1 = Measure(
    name="gap_share_top1",
    symbol="top 1 dim",
    title="share of the squared gap in the largest dimension",
    function=gap_share_top1,
    sides=False,
    paired=False,
    range=(0, 1),
    larger="one dimension carries more of the gap",
    invariances=_INVARIANCES,
    reference=L2I.reference,
    bibtex=L2I.bibtex,
    null="half labels",
    weighted=_weighted_share(1),
)
GAP_SHARE_TOP8 = Measure(
    name="gap_share_top8",
    symbol="top 8 dims",
    title="share of the squared gap in the eight largest dimensions",
    function=gap_share_top8,
    sides=False,
    paired=False,
    range=(0, 1),
    larger="few dimensions carry more of the gap",
    invariances=_INVARIANCES,
    reference=L2I.reference,
    bibtex=L2I.bibtex,
    null="half labels",
    weighted=_weighted_share(8),
)
