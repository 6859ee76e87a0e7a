"""Mean cosine of an image with its own text."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import paired_rows
from mmgap.gap.measure import Measure


def paired_cosine(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Mean cosine of the two members of a pair.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.

    Returns
    -------
    cosine : float
        In [-1, 1]; larger = an image lies closer to its text. Unchanged by one rotation of both,
        by the order of the pairs and by the length of rows; the modalities can be exchanged. Says
        nothing by itself: compare with :func:`mmgap.gap.unpaired_cosine`.

    Raises
    ------
    MmgapError
        If the rows are no pairs or not usable.

    References
    ----------
    .. [1] Hessel et al., "CLIPScore", EMNLP 2021, Sec. 3, of one pair; as a mean over a data set
       in Yamaguchi et al., "Post-pre-training for Modality Alignment in Vision-Language
       Foundation Models" (CLIP-Refine), CVPR 2025.

    Examples
    --------
    >>> paired_cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    0.5
    """
    return float(_per_item(image_embeddings, text_embeddings).mean())


def _per_item(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    return np.einsum("ij,ij->i", image, text)


PAIRED_COSINE = Measure(
    name="paired_cosine",
    symbol="cos paired",
    title="mean cosine of an image with its own text",
    function=paired_cosine,
    sides=False,
    paired=True,
    range=(-1, 1),
    larger="an image lies closer to its text",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Hessel et al., CLIPScore, EMNLP 2021, Sec. 3",
    bibtex="""@inproceedings{hessel2021,
  author = {Hessel, Jack and Holtzman, Ari and Forbes, Maxwell and Le Bras, Ronan and Choi, Yejin},
  title = {{CLIPScore}: A Reference-free Evaluation Metric for Image Captioning},
  booktitle = {Empirical Methods in Natural Language Processing},
  year = {2021},
}""",
    null="pairing",
    per_item=_per_item,
)
