"""The embedding shift experiment: move the modalities along the gap and look at the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import paired_rows, row_blocks, two_sides, unit_rows

if TYPE_CHECKING:
    import pandas as pd


def shifted(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    shift: float,
    *,
    which: str = "both",
) -> tuple[np.ndarray, np.ndarray]:
    """Move the modalities towards each other along the gap, and back onto the sphere.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n_text, dim)
    shift : float
        Euclidean length of the way; negative = further apart. With g the gap vector over its
        length, images go to x - shift / 2 g and texts to y + shift / 2 g, or images alone to
        x - shift g.
    which : {"both", "image"}, default "both"

    Returns
    -------
    image, text : float64 ndarray
        Unit rows. Going back to the sphere undoes some of the way: the distance of the new
        centroids is not |gap| - shift.

    Raises
    ------
    MmgapError
        If an input is not a matrix of usable rows, the dimensions differ, ``which`` is another
        word, the centroids coincide, or a row lands in the origin.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 4.2 (embedding shift).

    Examples
    --------
    Rows at a right angle: the gap points from the text to the image.

    >>> image, text = shifted(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.sqrt(2))
    >>> bool(np.allclose(image, text))
    True
    """
    if which not in ("both", "image"):
        msg = f"which must be 'both' or 'image', the modalities that move; got {which!r}"
        raise MmgapError(msg)
    image, text = two_sides(image_embeddings, text_embeddings)
    gap = image.mean(axis=0) - text.mean(axis=0)
    distance = np.linalg.norm(gap)
    if distance == 0:
        msg = "the centroids of images and texts coincide, so there is no gap to move along"
        raise MmgapError(msg)
    way = shift * gap / distance
    if which == "image":
        return unit_rows("image_embeddings shifted", image - way), text
    return (
        unit_rows("image_embeddings shifted", image - way / 2),
        unit_rows("text_embeddings shifted", text + way / 2),
    )


def contrastive_loss(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    logit_scale: float,
    *,
    batch_size: int | None = None,
) -> float:
    """CLIP's loss: symmetric softmax cross-entropy of picking the other member of a pair.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images.
    logit_scale : float
        Cosines are multiplied by it: 1 / temperature, 100 for CLIP. Above 0.
    batch_size : int or None, default None
        Pick among so many pairs that follow each other, as in training; the last batch may be
        smaller. None = among all n. Liang et al. take 50.

    Returns
    -------
    loss : float
        Mean over pairs, and of image-to-text and text-to-image, in nats. At least 0; larger = the
        matching text or image is harder to pick, log(batch size) = it is picked blindly. Grows
        with the batch: compare at equal sizes.

    Raises
    ------
    MmgapError
        If the rows are no pairs or not usable, ``logit_scale`` is not above 0, or ``batch_size``
        is less than 1.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
       ICML 2021, Sec. 2.3.

    Examples
    --------
    All the same: the right one of four is picked blindly, and log 4 = 1.386294.

    >>> round(contrastive_loss(np.ones((4, 2)), np.ones((4, 2)), 100), 6)
    1.386294
    """
    if not logit_scale > 0:
        msg = f"logit_scale, 1 / temperature, must be above 0, e.g. 100; got {logit_scale}"
        raise MmgapError(msg)
    image, text = paired_rows(image_embeddings, text_embeddings)
    n = len(image)
    size = n if batch_size is None else batch_size
    if size < 1:
        msg = f"batch_size must be at least 1, or None for all pairs; got {batch_size}"
        raise MmgapError(msg)
    batches = [slice(start, start + size) for start in range(0, n, size)]
    losses = [_losses(image[batch], text[batch], logit_scale) for batch in batches]
    return float(np.concatenate(losses).mean())


def _losses(image: np.ndarray, text: np.ndarray, logit_scale: float) -> np.ndarray:
    """Loss of each pair of one batch, by blocks of rows."""
    n = len(image)
    to_text, to_image = np.empty(n), np.full(n, -np.inf)
    for block in row_blocks(n, n):
        logits = logit_scale * (image[block] @ text.T)
        to_text[block] = logsumexp(logits, axis=1)
        to_image = np.logaddexp(to_image, logsumexp(logits, axis=0))
    right = logit_scale * np.einsum("ij,ij->i", image, text)
    return (to_text + to_image) / 2 - right


def shift_sweep(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    shifts: Sequence[float] | np.ndarray,
    *,
    which: str = "both",
    logit_scales: Sequence[float] = (),
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Distance of the centroids, and the loss, after each of several shifts.

    Parameters
    ----------
    image_embeddings, text_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length; pairs where ``logit_scales`` are given.
    shifts : sequence of float
        As in :func:`shifted`. Liang et al. take -1 to 0.75 in steps of 0.25.
    which : {"both", "image"}, default "both"
    logit_scales : sequence of float, default ()
    batch_size : int or None, default None
        Both as in :func:`contrastive_loss`.

    Returns
    -------
    table : DataFrame
        Columns ``shift`` and ``distance`` (:func:`mmgap.gap.l2m` after the shift), one row for
        each shift; with ``logit_scales`` also ``logit_scale`` and ``loss``, one row for each shift
        and scale.

    Raises
    ------
    MmgapError
        As :func:`shifted` and :func:`contrastive_loss`.

    References
    ----------
    .. [1] Liang et al., "Mind the Gap", NeurIPS 2022, Sec. 4.2 and Fig. 3.

    Examples
    --------
    >>> table = shift_sweep(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), [0.0, 2**0.5])
    >>> [round(distance, 6) for distance in table["distance"]]
    [1.414214, 0.0]
    """
    import pandas as pd

    rows: list[dict[str, float]] = []
    for shift in shifts:
        image, text = shifted(image_embeddings, text_embeddings, shift, which=which)
        distance = float(np.linalg.norm(image.mean(axis=0) - text.mean(axis=0)))
        at = {"shift": float(shift), "distance": distance}
        if not logit_scales:
            rows.append(at)
        for scale in logit_scales:
            loss = contrastive_loss(image, text, scale, batch_size=batch_size)
            rows.append({**at, "logit_scale": float(scale), "loss": loss})
    columns = ["shift", "distance", *(["logit_scale", "loss"] if logit_scales else [])]
    return pd.DataFrame(rows, columns=columns)
