"""Cross-uniformity: how close the images lie to the texts of others."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import need_rows, one_draw, paired_rows
from mmgap.gap.measure import Measure
from mmgap.gap.pairs import gaussian_over_pairs


def cross_uniformity(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, t: float = 2.0
) -> float:
    """Logarithm of the mean Gaussian potential of images and texts that are no pairs.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.
    t : float, default 2.0
        Sharpness of the Gaussian, above 0.

    Returns
    -------
    uniformity : float
        log of the mean of exp(-t |x_i - y_j|^2) over i != j, natural logarithm. In [-4 t, 0];
        larger = images lie closer to texts of others. Without a gap it lies between the
        :func:`mmgap.gap.uniformity` of the two modalities, with one far below both. Unchanged by
        one rotation of both, by the order of the pairs and by the length of rows; the modalities
        can be exchanged. Low also where both modalities are spread wide.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable or fewer than two, or ``t`` is not above 0.

    References
    ----------
    .. [1] Fahim et al., "It's Not a Modality Gap: Characterizing and Addressing the Contrastive
       Gap", arXiv 2405.18570, 2024, Sec. 4.

    Examples
    --------
    Two equal images; the texts of others are at squared distance 2 and 0, and
    log((exp(-2) + 1) / 2) = -0.566219.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> round(cross_uniformity(image, text, t=1), 6)
    -0.566219
    """
    if not t > 0:
        msg = f"t, the sharpness of the Gaussian, must be above 0; got {t}"
        raise MmgapError(msg)
    weights = one_draw(image_embeddings)
    return float(_weighted(image_embeddings, text_embeddings, weights, t)[0])


def _weighted(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    weights: np.ndarray,
    t: float = 2.0,
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a mean over different items")
    return np.log(gaussian_over_pairs(image, text, t, weights))


CROSS_UNIFORMITY = Measure(
    name="cross_uniformity",
    symbol="unif cross",
    title="closeness of images to the texts of others (cross-uniformity)",
    function=cross_uniformity,
    sides=False,
    paired=True,
    range=(-8, 0),
    larger="images lie closer to the texts of others",
    invariances=("rotation", "permutation of pairs", "modality swap", "scale of a row"),
    reference="Fahim et al., It's Not a Modality Gap, arXiv 2405.18570, Sec. 4",
    bibtex="""@misc{fahim2024,
  author = {Fahim, Abrar and Murphy, Alex and Fyshe, Alona},
  title = {It's Not a Modality Gap: Characterizing and Addressing the Contrastive Gap},
  year = {2024},
  eprint = {2405.18570},
  archiveprefix = {arXiv},
}""",
    null="labels",
    weighted=_weighted,
    costly=True,
)
