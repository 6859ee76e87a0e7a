"""Mean cosine of an image with the texts of other images."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, one_draw, paired_rows
from mmgap.gap.l2m import L2M
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import cosine_over_pairs


def unpaired_cosine(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Mean cosine over all images and the texts that are not theirs.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.

    Returns
    -------
    cosine : float
        In [-1, 1]; larger = the two modalities lie closer, whatever they show. The level above
        which a match must score. Unchanged by one rotation of both, by the order of the pairs and
        by the length of rows; the modalities can be exchanged. Low also where both modalities
        spread over the whole sphere: compare with :func:`mmgap.gap.cone`.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable, or fewer than two.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 2.1: the between-modality counterpart of
       their cone.

    Examples
    --------
    >>> unpaired_cosine(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    0.5
    """
    weights = one_draw(image_embeddings)
    return float(_weighted(image_embeddings, text_embeddings, weights)[0])


def _weighted(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a mean over different items")
    return cosine_over_pairs(image, text, weights)


UNPAIRED_COSINE = Measure(
    name="unpaired_cosine",
    symbol="cos unpaired",
    title="mean cosine of an image with the texts of other images",
    function=unpaired_cosine,
    sides=False,
    paired=True,
    range=(-1, 1),
    larger="the two modalities lie closer, whatever they show",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Liang et al., Mind the Gap, NeurIPS 2022, Sec. 2.1",
    bibtex=L2M.bibtex,
    null="labels",
    weighted=_weighted,
)
