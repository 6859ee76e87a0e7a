"""Share of an item's nearest neighbours that are of its own modality."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import BLOCK_BYTES, paired_rows, row_blocks, two_sides
from mmgap.gap.measure import Measure

_TIED = 1e-12


def knn_share(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    k: int = 10,
    block_bytes: int = BLOCK_BYTES,
) -> float:
    """Share of the k nearest neighbours that are of the item's own modality.

    Neighbours are those of largest cosine in the pool of all images and texts, the item itself
    left out.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.
    k : int, default 10
        At most n_image + n_text - 1.
    block_bytes : int, default 64 MiB
        Most bytes of one block of cosines; about four of them are held at once.

    Returns
    -------
    share : float
        Mean over images and mean over texts, averaged. In [0, 1]; larger = each modality keeps
        more to itself, 1 = nobody has a neighbour of the other one. Two modalities of one
        distribution and of equal size n give (n - 1) / (2n - 1), just below one half. Unchanged
        by a rotation of both, by exchanging the modalities and by the order of rows. Sees no
        difference between a gap that just separates the modalities and a larger one. Where
        cosines tie (within 1e-12) for the last places, the mean over all orders of the tied.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, or the pool holds fewer than k neighbours.

    See Also
    --------
    knn_share_by_item : each modality and item apart.

    References
    ----------
    .. [1] Schilling, "Multivariate Two-Sample Tests Based on Nearest Neighbors", Journal of the
       American Statistical Association 1986, Sec. 2.

    Examples
    --------
    Two images close together, two texts close together.

    >>> image = np.array([[1.0, 0.0], [0.99, 0.1]])
    >>> knn_share(image, image[:, ::-1], k=1)
    1.0
    """
    shares = knn_share_by_item(image_embeddings, text_embeddings, k=k, block_bytes=block_bytes)
    return float(np.mean([share.mean() for share in shares]))


def knn_share_by_item(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    k: int = 10,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`knn_share` of each item.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
    k : int, default 10
    block_bytes : int, default 64 MiB

    Returns
    -------
    image_shares : ndarray of shape (n_image,)
        Share of images among the neighbours of each image, in [0, 1].
    text_shares : ndarray of shape (n_text,)
        Share of texts among the neighbours of each text, in [0, 1].

    Raises
    ------
    MmgapError
        If embeddings cannot be used, or the pool holds fewer than k neighbours.

    Examples
    --------
    The text lies between the images, so that it is the nearest neighbour of both.

    >>> image, text = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0]])
    >>> knn_share_by_item(image, text, k=1)
    (array([0., 0.]), array([0.]))
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    pool = np.concatenate([image, text])
    need_neighbours(k, len(pool), "images and texts")
    of_image = np.arange(len(pool)) < len(image)
    shares = np.empty(len(pool))
    for rows in row_blocks(len(pool), len(pool), block_bytes=block_bytes):
        cosines = pool[rows] @ pool.T
        np.fill_diagonal(cosines[:, rows], -np.inf)
        images = neighbour_chance(cosines, k)[:, of_image].sum(axis=1) / k
        shares[rows] = np.where(of_image[rows], images, 1 - images)
    return shares[of_image], shares[~of_image]


def neighbour_chance(scores: np.ndarray, k: int) -> np.ndarray:
    """Chance of each item to be among the first k, if ties are broken at random.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_item)
        Larger = nearer; minus infinity leaves an item out. At least k items a query are left in.
    k : int

    Returns
    -------
    chance : ndarray of shape (n_query, n_item)
        1 for items above the k-th score, 0 for those below; items that tie with it (within 1e-12)
        share what places are left. Each row sums to k.

    Examples
    --------
    Two items tie for the second place.

    >>> neighbour_chance(np.array([[0.9, 0.5, 0.5, 0.1]]), k=2)
    array([[1. , 0.5, 0.5, 0. ]])
    """
    last = np.partition(scores, -k, axis=1)[:, -k, None]
    above = scores > last + _TIED
    tied = (scores >= last - _TIED) & ~above
    places = k - above.sum(axis=1, keepdims=True)
    return above + tied * (places / tied.sum(axis=1, keepdims=True))


def need_neighbours(k: int, n: int, what: str) -> None:
    """Raise MmgapError unless an item has at least k others among n.

    Examples
    --------
    >>> need_neighbours(2, 3, "texts")
    """
    if not (isinstance(k, int | np.integer) and 1 <= k < n):
        msg = (
            f"k is {k!r} and there are {n} {what}; expected a whole number of at least 1 and "
            "fewer than the items, since an item is no neighbour of itself. Give a smaller k or "
            "more items"
        )
        raise MmgapError(msg)


def _knn_share_per_pair(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> np.ndarray:
    """Mean of the shares of both items of a pair; the pool stays the whole sample."""
    image, text = knn_share_by_item(*paired_rows(image_embeddings, text_embeddings))
    return (image + text) / 2


KNN_SHARE = Measure(
    name="knn_share",
    symbol="kNN share",
    title="share of the own modality among the 10 nearest neighbours",
    function=knn_share,
    sides=False,
    paired=False,
    range=(0, 1),
    larger="each modality keeps more to itself",
    invariances=(
        "rotation",
        "permutation of pairs",
        "shuffled texts",
        "modality swap",
        "scale of a row",
    ),
    reference="Schilling, Journal of the American Statistical Association 1986, Sec. 2",
    bibtex="""@article{schilling1986,
  author = {Schilling, Mark F.},
  title = {Multivariate Two-Sample Tests Based on Nearest Neighbors},
  journal = {Journal of the American Statistical Association},
  volume = {81},
  pages = {799--806},
  year = {1986},
}""",
    null="labels",
    per_item=_knn_share_per_pair,
    costly=True,
)
