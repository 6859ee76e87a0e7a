"""Maximum mean discrepancy: a distance of whole distributions."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import BLOCK_BYTES, paired_rows, row_blocks, two_sides
from mmgap.gap.measure import Measure

_ROWS_FOR_SCALE = 1000


def mmd(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel.

    ``mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)`` over all i and j, i = j among
    them (the biased estimate), with ``k(u, v) = exp(-|u - v|^2 / m2)``, of rows brought to unit
    length. ``m2`` is the median of the squared distances of all pairs of different rows in the
    pool of both modalities.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.
    block_bytes : int, default 64 MiB
        Most bytes of one block of the kernel matrix; three of them are held at once.

    Returns
    -------
    discrepancy : float
        In [0, 2]; larger = the two distributions differ more, in whatever respect. Unchanged by a
        rotation of both, by exchanging the modalities and by the order of rows. Two samples of
        one distribution give more than 0, about ``(1/n_image + 1/n_text) (1 - mean k)``. Public
        codes differ in the kernel's width and in i = j: compare only numbers of one code.

    Raises
    ------
    MmgapError
        If embeddings cannot be used.

    Notes
    -----
    Where a modality has more than 1,000 rows, ``m2`` is the median over 1,000 of them at equal
    steps. The order of rows then has a small influence, through the width of the kernel only.

    References
    ----------
    .. [1] Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, Eq. 5 (biased estimate) and
       Sec. 8 (median).

    Examples
    --------
    Two points: the squared distance of any image and text is the median, so k = 1/e.

    >>> image, text = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> round(mmd(image, text), 6) == round(2 - 2 / np.e, 6)
    True
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    scale = _median_squared_distance(image, text)
    within = sum(_mean_kernel(side, side, scale, block_bytes) for side in (image, text))
    # Equal sets of rows may leave a rounding error below zero.
    return max(0.0, within - 2 * _mean_kernel(image, text, scale, block_bytes))


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of unit rows, each of ``left`` with each of ``right``."""
    distances = left @ right.T
    distances *= -2
    distances += 2
    return np.maximum(distances, 0, out=distances)


def _median_squared_distance(image: np.ndarray, text: np.ndarray) -> float:
    """Median over pairs of different rows of the pool; 1 if all rows are equal."""
    some = []
    for side in (image, text):
        n = min(len(side), _ROWS_FOR_SCALE)
        some.append(side[np.arange(n) * len(side) // n])
    pool = np.concatenate(some)
    distances = _squared_distances(pool, pool)[np.triu_indices(len(pool), 1)]
    # Equal rows are a rounding error apart.
    distances = distances[distances > 1e-12]
    return float(np.median(distances)) if len(distances) else 1.0


def _kernel(left: np.ndarray, right: np.ndarray, scale: float) -> np.ndarray:
    distances = _squared_distances(left, right)
    distances /= -scale
    return np.exp(distances, out=distances)


def _mean_kernel(left: np.ndarray, right: np.ndarray, scale: float, block_bytes: int) -> float:
    total = sum(
        _kernel(left[rows], right, scale).sum()
        for rows in row_blocks(len(left), len(right), block_bytes=block_bytes)
    )
    return float(total / (len(left) * len(right)))


def _weighted_mmd(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """MMD of each draw of pairs, with the kernel's width of the whole sample.

    The width is part of the kernel, not of what the kernel measures, so it is chosen once. Copies
    of a pair raise the values by something of the order of 1 / n, as i = j does.
    """
    image, text = paired_rows(image_embeddings, text_embeddings)
    scale = _median_squared_distance(image, text)
    weights = weights / weights.sum(axis=1, keepdims=True)
    total = np.zeros(len(weights))
    for rows in row_blocks(len(image), len(image)):
        kernel = _kernel(image[rows], image, scale)
        kernel += _kernel(text[rows], text, scale)
        kernel -= 2 * _kernel(image[rows], text, scale)
        total += np.einsum("dr,dr->d", weights @ kernel.T, weights[:, rows])
    return np.maximum(total, 0)


MMD = Measure(
    name="mmd",
    symbol="MMD²",
    title="squared maximum mean discrepancy (Gaussian kernel, median width)",
    function=mmd,
    sides=False,
    paired=False,
    range=(0, 2),
    larger="the distributions of the two modalities differ more",
    invariances=(
        "rotation",
        "permutation of pairs",
        "shuffled texts",
        "modality swap",
        "scale of a row",
    ),
    reference="Gretton et al., JMLR 2012, Eq. 5",
    bibtex="""@article{gretton2012,
  author = {Gretton, Arthur and Borgwardt, Karsten M. and Rasch, Malte J. and
    Sch{\\"o}lkopf, Bernhard and Smola, Alexander},
  title = {A Kernel Two-Sample Test},
  journal = {Journal of Machine Learning Research},
  volume = {13},
  pages = {723--773},
  year = {2012},
}""",
    null="labels",
    weighted=_weighted_mmd,
    costly=True,
)
