"""RMG: the distance of pairs relative to the distances within each modality."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, one_draw, paired_rows
from mmgap.gap.l2i import L2I
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import cosine_over_pairs


def rmg(image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, floor: float = 0.0) -> float:
    """Relative modality gap: paired distance over paired plus mean within-modality distance.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.
    floor : float, default 0.0
        Stands in for a mean paired distance of 0. The default is the formula, which is then 0; the
        official code has 1e-3.

    Returns
    -------
    ratio : float
        With d = (1 - cosine) / 2: P / (P + (I + T) / 2), where P is the mean of d over pairs, I
        and T over all different images and texts. In [0, 1]; larger = pairs are further apart
        relative to the spread of each modality; 0.5 = as far as two random images or texts, 1 =
        each modality is one point, 0 = pairs coincide (also where everything is one point).
        Unchanged by one rotation of both, by the order of the pairs and by the length of rows; the
        modalities can be exchanged. Rises also where a modality narrows and no pair moves apart.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable, or fewer than two.

    Notes
    -----
    The official code replaces the mean paired distance only where it is not above 0, so that a
    distance of 1e-6 stays. In floating point a distance of "0" there is a rounding error of either
    sign; here it is exact, for d = |x - y|^2 / 4.

    Public code that prints another number under this name: a port in
    ``few_dims_drive_modalitygap/analysis/modality_gap.py`` does not halve 1 - cosine for pairs, and
    sums only one triangle of the within-modality distances but divides by the number of all. It
    prints .853 on CLIP features where the official code has .591; either slip alone gives .743.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, Sec. 3; their
       ``analysis/gap_precompute.py``, ``compute_rmg``.

    Examples
    --------
    Pairs at right angles, d = 1/2; the two images are opposite, d = 1, and so are the texts.

    >>> image, text = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, -1.0]])
    >>> round(rmg(image, text), 6)
    0.333333
    """
    weights = one_draw(image_embeddings)
    return float(_weighted(image_embeddings, text_embeddings, weights, floor)[0])


def _weighted(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    weights: np.ndarray,
    floor: float = 0.0,
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a mean over different items")
    squared = ((image - text) ** 2).sum(axis=1)
    paired = weights @ squared / (4 * weights.sum(axis=1))
    paired = np.where(paired > 0, paired, floor)
    cosines = [cosine_over_pairs(side, side, weights) for side in (image, text)]
    # Rounding can take a mean cosine of 1 above 1.
    within = np.maximum((2 - cosines[0] - cosines[1]) / 4, 0)
    total = paired + within
    return np.where(total == 0, 0.0, paired / np.where(total == 0, 1, total))


RMG = Measure(
    name="rmg",
    symbol="RMG",
    title="distance of pairs relative to the distances within each modality",
    function=rmg,
    sides=False,
    paired=True,
    range=(0, 1),
    larger="pairs are further apart relative to the spread of each modality",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference=L2I.reference,
    bibtex=L2I.bibtex,
    null="labels",
    weighted=_weighted,
)
