"""The vector from the centre of the texts to the centre of the images."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import two_sides


def gap_vector(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> np.ndarray:
    """Mean of the images less mean of the texts.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        Each row is brought to unit length before the mean.
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be pairs of the images.

    Returns
    -------
    gap : ndarray of shape (dim,)
        Its length is :func:`mmgap.gap.l2m`. It turns with the space, changes sign when the
        modalities are exchanged, and ignores order and length of the rows.

    Raises
    ------
    MmgapError
        If an input is not a matrix of usable rows, or the dimensions differ.

    Notes
    -----
    Some public code, such as re-implementations of GR-CLIP, averages the embeddings as the model
    gives them. Long rows then weigh more, and the vector is another one.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 4.2 (embedding shift).

    Examples
    --------
    >>> gap_vector(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[-1.0, 0.0]]))
    array([1.5, 0.5])
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    return image.mean(axis=0) - text.mean(axis=0)
