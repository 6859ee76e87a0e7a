"""Whether the largest direction of the pooled embeddings is the gap."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from mmgap.gap.embeddings import two_sides
from mmgap.gap.l2m import L2M
from mmgap.gap.measure import Measure


def pc1_angle(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Absolute cosine of the angle between the first principal component and the gap vector.

    The principal component is that of all images and texts in one pool, rows brought to unit
    length and centred by the mean of the pool. ``np.degrees(np.arccos(...))`` is the angle.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    cosine : float
        In [0, 1]; larger = the first axis of a PCA picture of both modalities is the gap, 1 =
        exactly (an angle of 0 degrees). Unchanged by a rotation of both, by exchanging the
        modalities and by the order of rows. NaN where there is no gap. Means nothing where the
        first two principal components are equally large. CLIP ViT-B/16 on COCO: .99975, 1.3
        degrees.

    Raises
    ------
    MmgapError
        If embeddings cannot be used.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 2 (gap vector; PCA of both modalities).

    Examples
    --------
    The modalities lie at (1, 0) and (-1, 0), spread a little along the other axis.

    >>> image = np.array([[1.0, 0.1], [1.0, -0.1]])
    >>> round(pc1_angle(image, -image), 6)
    1.0
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    gap = image.mean(axis=0) - text.mean(axis=0)
    length = np.linalg.norm(gap)
    if length < 1e-12:
        return float("nan")
    pool = np.concatenate([image, text])
    pool -= pool.mean(axis=0)
    last = pool.shape[1] - 1
    _, component = eigh(pool.T @ pool, subset_by_index=[last, last])
    return float(min(1.0, abs(component[:, 0] @ gap) / length))


PC1_ANGLE = Measure(
    name="pc1_angle",
    symbol="|cos(PC1, gap)|",
    title="absolute cosine of the first principal component with the gap vector",
    function=pc1_angle,
    sides=False,
    paired=False,
    range=(0, 1),
    larger="the first axis of a PCA of both modalities is closer to the gap",
    invariances=L2M.invariances,
    reference=L2M.reference,
    bibtex=L2M.bibtex,
    null="half labels",
)
