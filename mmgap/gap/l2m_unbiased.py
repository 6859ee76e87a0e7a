"""L2M without the excess of a small sample."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, one_draw, paired_rows
from mmgap.gap.l2m import L2M
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import cosine_over_pairs


def l2m_unbiased(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Distance of the centroids, corrected for the number of pairs.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.

    Returns
    -------
    distance : float
        sqrt(max(0, L2M^2 - tr Cov(x - y) / n)) with the sample covariance (n - 1). In [0, 2];
        larger = the centroids are further apart. 0 where the correction exceeds L2M^2: the sample
        then shows no gap. The square below the root is unbiased and does not depend on n on
        average; the root is so approximately. Unchanged by rotation, order of the pairs, length
        of rows; the modalities can be exchanged.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable, or fewer than two.

    Notes
    -----
    The square is also the mean of (x_i - y_i) . (x_j - y_j) over i != j. The bootstrap uses that
    form, so that a pair drawn twice is not taken for two pairs that agree.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 4.2, for L2M. The correction is the
       textbook one of a squared mean; no surveyed tool has it.

    Examples
    --------
    Differences (1, 1) and (1, -1): L2M^2 = 1, trace of the covariance 2, and 1 - 2 / 2 = 0.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])
    >>> l2m_unbiased(image, text)
    0.0
    """
    return float(_weighted(image_embeddings, text_embeddings, one_draw(image_embeddings))[0])


def _weighted(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a covariance")
    difference = image - text
    return np.sqrt(np.maximum(cosine_over_pairs(difference, difference, weights), 0))


L2M_UNBIASED = Measure(
    name="l2m_unbiased",
    symbol="L2M unbiased",
    title="distance of the two centroids, corrected for the number of pairs",
    function=l2m_unbiased,
    sides=False,
    paired=True,
    range=(0, 2),
    larger="the centroids are further apart",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference=f"{L2M.reference}; corrected by tr Cov(x - y) / n",
    bibtex=L2M.bibtex,
    null="labels",
    weighted=_weighted,
)
