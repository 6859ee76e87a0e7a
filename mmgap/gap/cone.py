"""Cone or anisotropy: the mean cosine of two different items of one modality."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, one_draw, unit_rows
from mmgap.gap.l2m import L2M
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import cosine_over_pairs


def cone(embeddings: np.ndarray) -> float:
    """Mean cosine over all pairs of different rows.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
        Of one modality. Rows are brought to unit length.

    Returns
    -------
    cosine : float
        In [-1 / (n - 1), 1]; larger = the modality fills a narrower cone, 1 = all rows point the
        same way, about 0 = all directions. Equals (n |mean|^2 - 1) / (n - 1), so that no matrix of
        all pairs is made. Unchanged by rotation, by order and by the length of rows. Blind to
        where the cone points, and to how the rows spread about their mean.

    Raises
    ------
    MmgapError
        If the rows are not usable or fewer than two.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 2.1 (the narrow cone of embeddings).
    .. [2] Ethayarajh, "How Contextual are Contextualized Word Representations?", EMNLP 2019,
       Sec. 3 (anisotropy).

    Examples
    --------
    Of three pairs one has cosine 1 and two have cosine 0.

    >>> round(cone(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])), 6)
    0.333333
    """
    return float(_weighted(embeddings, one_draw(embeddings))[0])


def _weighted(embeddings: np.ndarray, weights: np.ndarray) -> np.ndarray:
    rows = unit_rows("embeddings", embeddings)
    need_rows("embeddings", rows, 2, "a mean over different items")
    return cosine_over_pairs(rows, rows, weights)


CONE = Measure(
    name="cone",
    symbol="cone",
    title="mean cosine of two different items of one modality",
    function=cone,
    sides=True,
    paired=False,
    range=(-1, 1),
    larger="the modality fills a narrower cone",
    invariances=("rotation", "permutation of pairs", "scale of a row"),
    reference="Liang et al., Mind the Gap, NeurIPS 2022, Sec. 2.1",
    bibtex=L2M.bibtex,
    null=None,
    weighted=_weighted,
)
