"""L2M: the distance of the two centroids."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, paired_rows
from mmgap.gap.gap_vector import gap_vector
from mmgap.gap.measure import Measure


def l2m(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Euclidean distance between the mean image and the mean text.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        Each row is brought to unit length before the mean.
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be pairs of the images.

    Returns
    -------
    distance : float
        Length of :func:`gap_vector`, in [0, 2]; larger = the centroids are further apart, 0 = they
        coincide. Unchanged by one rotation of both, by the order of either and by the length of
        rows; the modalities can be exchanged. Blind to spread: two clouds with one centre and
        different shapes are at distance 0.

    Raises
    ------
    MmgapError
        If an input is not a matrix of usable rows, or the dimensions differ.

    See Also
    --------
    l2m_unbiased : without the excess of a small sample.

    Notes
    -----
    This plug-in value is too large on average: its square exceeds that of the population by
    tr Cov(x - y) / n. On CLIP ViT-B/16 and COCO, 50 pairs give .858 where 500 give .851.

    Public code that prints another number under this name: ``metrics["modality_gap"]`` of
    CLIP-Refine is the mean squared difference of the two means, L2M^2 / dim (.0014 where L2M is
    .8514); its training log takes the means over features, not over samples, which compares each
    image's mean feature with its text's.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 4.2 (embedding shift).

    Examples
    --------
    >>> round(l2m(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])), 6)
    1.414214
    """
    return float(np.linalg.norm(gap_vector(image_embeddings, text_embeddings)))


def plug_in_bias(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """By how much :func:`l2m` is too large on average: tr Cov(x - y) / (2 n L2M).

    Parameters
    ----------
    image_embeddings, text_embeddings : ndarray of shape (n, dim)
        Row i of one belongs to row i of the other.

    Returns
    -------
    bias : float
        >= 0, first order in 1/n, so a small share of L2M or not to be trusted. Infinite where the
        centroids coincide.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable, or fewer than two.

    Examples
    --------
    Differences (1, 1) and (1, -1): mean (1, 0), trace of the covariance 2.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])
    >>> plug_in_bias(image, text)
    0.5
    """
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a covariance")
    difference = image - text
    distance = float(np.linalg.norm(difference.mean(axis=0)))
    if distance == 0:
        return float("inf")
    return float(difference.var(axis=0, ddof=1).sum() / (2 * len(image) * distance))


def _weighted(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    return np.linalg.norm(weights @ (image - text), axis=1) / weights.sum(axis=1)


L2M = Measure(
    name="l2m",
    symbol="L2M",
    title="distance of the two centroids",
    function=l2m,
    sides=False,
    paired=False,
    range=(0, 2),
    larger="the centroids are further apart",
    invariances=(
        "rotation",
        "permutation of pairs",
        "shuffled texts",
        "modality swap",
        "scale of a row",
    ),
    reference="Liang et al., Mind the Gap, NeurIPS 2022, Sec. 4.2",
    bibtex="""@inproceedings{liang2022,
  author = {Liang, Weixin and Zhang, Yuhui and Kwon, Yongchan and Yeung, Serena and Zou, James},
  title = {Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation
           Learning},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
}""",
    null="labels",
    weighted=_weighted,
)
