"""NAS@k: whether an image and its text have the same neighbours."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import BLOCK_BYTES, paired_rows, row_blocks
from mmgap.gap.knn_share import need_neighbours, neighbour_chance
from mmgap.gap.measure import Measure


def neighbourhood_agreement(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    k: int = 10,
    block_bytes: int = BLOCK_BYTES,
) -> float:
    """Mean share of pairs that are neighbours of a pair both as images and as texts.

    Mean over i of ``|N_k(x_i) & N_k(y_i)| / k``, where N_k holds the numbers of the k items of
    largest cosine within the same modality, the item itself left out.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_pair, dim)
    text_embeddings : ndarray of shape (n_pair, dim)
        Row i belongs to row i of the images.
    k : int, default 10
        At most n_pair - 1.
    block_bytes : int, default 64 MiB
        Most bytes of one block of cosines; about eight of them are held at once.

    Returns
    -------
    agreement : float
        In [0, 1]; larger = the two modalities agree more on what is alike. No pairing gives
        k / (n_pair - 1). Unchanged by a rotation of either modality alone, by exchanging the
        modalities and by the order of the pairs, so blind to the gap itself. Falls as n_pair
        rises, since neighbours get closer to each other: compare at equal n. Where cosines tie
        (within 1e-12) for the last places, the mean over all orders of the tied, independent in
        the two modalities.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, or there are not more than k pairs.

    References
    ----------
    .. [1] Huh et al., "The Platonic Representation Hypothesis", ICML 2024, Appendix A (mutual
       nearest neighbours).

    Examples
    --------
    As images, 0 and 1 are nearest to each other, and so are 2 and 3; as texts also, but turned.

    >>> image = np.array([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99]])
    >>> neighbourhood_agreement(image, image[:, ::-1], k=1)
    1.0
    """
    image, text = paired_rows(image_embeddings, text_embeddings)
    return float(_agreement_per_pair(image, text, k=k, block_bytes=block_bytes).mean())


def _agreement_per_pair(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    k: int = 10,
    block_bytes: int = BLOCK_BYTES,
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_neighbours(k, len(image), "pairs")
    agreement = np.empty(len(image))
    for rows in row_blocks(len(image), len(image), block_bytes=block_bytes):
        chances = []
        for side in (image, text):
            cosines = side[rows] @ side.T
            np.fill_diagonal(cosines[:, rows], -np.inf)
            chances.append(neighbour_chance(cosines, k))
        agreement[rows] = np.einsum("ij,ij->i", *chances) / k
    return agreement


NEIGHBOURHOOD_AGREEMENT = Measure(
    name="neighbourhood_agreement",
    symbol="NAS@10",
    title="share of the 10 nearest neighbours that images and texts have in common",
    function=neighbourhood_agreement,
    sides=False,
    paired=True,
    range=(0, 1),
    larger="images and texts agree more on what is alike",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Huh et al., The Platonic Representation Hypothesis, ICML 2024, Appendix A",
    bibtex="""@inproceedings{huh2024,
  author = {Huh, Minyoung and Cheung, Brian and Wang, Tongzhou and Isola, Phillip},
  title = {The Platonic Representation Hypothesis},
  booktitle = {International Conference on Machine Learning},
  year = {2024},
}""",
    null="pairing",
    per_item=_agreement_per_pair,
    costly=True,
)
