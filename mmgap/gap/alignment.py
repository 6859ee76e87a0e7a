"""Alignment: the mean power of the distance of pairs."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import paired_rows
from mmgap.gap.measure import Measure


def alignment(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, alpha: float = 2.0
) -> float:
    """Mean of the distance of pairs to the power ``alpha``.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.
    alpha : float, default 2.0
        Above 0. With 2 it is 2 - 2 x :func:`mmgap.gap.paired_cosine`, with 1
        :func:`mmgap.gap.l2i`.

    Returns
    -------
    alignment : float
        In [0, 2 ** alpha]; larger = an image lies further from its text, so smaller is better
        aligned. Unchanged by one rotation of both, by the order of the pairs and by the length of
        rows; the modalities can be exchanged. 0 also where all rows are one point: read it together
        with :func:`mmgap.gap.uniformity`.

    Raises
    ------
    MmgapError
        If the rows are no pairs or not usable, or ``alpha`` is not above 0.

    References
    ----------
    .. [1] Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and
       Uniformity on the Hypersphere", ICML 2020, Sec. 4.1.

    Examples
    --------
    One pair at distance 0, one at distance 2.

    >>> alignment(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    2.0
    """
    if not alpha > 0:
        msg = f"alpha, the power of the distances, must be above 0; got {alpha}"
        raise MmgapError(msg)
    return float(_per_item(image_embeddings, text_embeddings, alpha).mean())


def _per_item(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, alpha: float = 2.0
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    difference = image - text
    return np.sqrt(np.einsum("ij,ij->i", difference, difference)) ** alpha


ALIGNMENT = Measure(
    name="alignment",
    symbol="align",
    title="mean squared distance of an image from its own text",
    function=alignment,
    sides=False,
    paired=True,
    range=(0, 4),
    larger="an image lies further from its text",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Wang and Isola, ICML 2020, Sec. 4.1",
    bibtex="""@inproceedings{wang2020,
  author = {Wang, Tongzhou and Isola, Phillip},
  title = {Understanding Contrastive Representation Learning through Alignment and Uniformity on
           the Hypersphere},
  booktitle = {International Conference on Machine Learning},
  year = {2020},
}""",
    null="pairing",
    per_item=_per_item,
)
