"""L2I: the mean distance of an image from its own text."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import paired_rows
from mmgap.gap.measure import Measure


def l2i(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Mean Euclidean distance between the two members of a pair.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.

    Returns
    -------
    distance : float
        In [0, 2], never below :func:`mmgap.gap.l2m`; larger = an image lies further from its text.
        Unchanged by one rotation of both, by the order of the pairs and by the length of rows; the
        modalities can be exchanged. Mixes the gap with how well pairs match: pairs that match
        badly raise it where there is no gap.

    Raises
    ------
    MmgapError
        If the rows are no pairs or not usable.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, Sec. 3; their
       ``analysis/gap_precompute.py``, ``compute_l2i``.

    Examples
    --------
    One pair at distance 0, one at distance 2.

    >>> l2i(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    1.0
    """
    return float(_per_item(image_embeddings, text_embeddings).mean())


def _per_item(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    difference = image - text
    return np.sqrt(np.einsum("ij,ij->i", difference, difference))


L2I = Measure(
    name="l2i",
    symbol="L2I",
    title="mean distance of an image from its own text",
    function=l2i,
    sides=False,
    paired=True,
    range=(0, 2),
    larger="an image lies further from its text",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Schrodi et al., Two Effects, One Trigger, ICLR 2025, Sec. 3",
    bibtex="""@inproceedings{schrodi2025,
  author = {Schrodi, Simon and Hoffmann, David T. and Argus, Max and Fischer, Volker and
            Brox, Thomas},
  title = {Two Effects, One Trigger: On the Modality Gap, Object Bias, and Information Imbalance in
           Contrastive Vision-Language Models},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
}""",
    null="pairing",
    per_item=_per_item,
)
