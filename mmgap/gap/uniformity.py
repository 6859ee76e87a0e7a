"""Uniformity: how evenly one modality covers the sphere."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.alignment import ALIGNMENT
from mmgap.gap.embeddings import need_rows, one_draw, unit_rows
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import gaussian_over_pairs


def uniformity(embeddings: np.ndarray, *, t: float = 2.0) -> float:
    """Logarithm of the mean Gaussian potential of two different rows.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
        Of one modality. Rows are brought to unit length.
    t : float, default 2.0
        Sharpness of the Gaussian, above 0.

    Returns
    -------
    uniformity : float
        log of the mean of exp(-t |x_i - x_j|^2) over i < j, natural logarithm. In [-4 t, 0];
        larger = the rows crowd together, 0 = they are one point; in many dimensions rows spread
        over the whole sphere come to about -2 t. Unchanged by rotation, by order and by the length
        of rows. A few near duplicates dominate it in large samples that are spread wide.

    Raises
    ------
    MmgapError
        If the rows are not usable or fewer than two, or ``t`` is not above 0.

    Notes
    -----
    Works in blocks of rows of at most 64 MB. ModGap's ``metrics.py`` calls another quantity
    uniformity: minus a Wasserstein distance to an isotropic Gaussian.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
       Uniformity on the Hypersphere", ICML 2020, Sec. 4.1.

    Examples
    --------
    Two rows at a right angle: -t x 2.

    >>> round(uniformity(np.eye(2)), 6)
    -4.0
    """
    if not t > 0:
        msg = f"t, the sharpness of the Gaussian, must be above 0; got {t}"
        raise MmgapError(msg)
    return float(_weighted(embeddings, one_draw(embeddings), t)[0])


def _weighted(embeddings: np.ndarray, weights: np.ndarray, t: float = 2.0) -> np.ndarray:
    rows = unit_rows("embeddings", embeddings)
    need_rows("embeddings", rows, 2, "a mean over different items")
    return np.log(gaussian_over_pairs(rows, rows, t, weights))


UNIFORMITY = Measure(
    name="uniformity",
    symbol="unif",
    title="crowding of one modality on the sphere (uniformity)",
    function=uniformity,
    sides=True,
    paired=False,
    range=(-8, 0),
    larger="the modality crowds together",
    invariances=("rotation", "permutation of pairs", "scale of a row"),
    reference=ALIGNMENT.reference,
    bibtex=ALIGNMENT.bibtex,
    null=None,
    weighted=_weighted,
    costly=True,
)
