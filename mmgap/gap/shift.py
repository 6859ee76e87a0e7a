"""The embedding shift experiment: move the modalities along the gap and look at the loss.

Inputs and errors as in :mod:`mmgap.gap.measures`. Liang et al. 2022, Sec. 4.2 and Fig. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from mmgap.arrays import row_blocks, unit_rows
from mmgap.errors import MmgapError
from mmgap.gap.measures import paired_rows, two_sides

if TYPE_CHECKING:
    import pandas as pd


def shifted(
    image: np.ndarray, text: np.ndarray, shift: float, *, which: str = "both"
) -> tuple[np.ndarray, np.ndarray]:
    """Move the modalities towards each other along the gap, and back onto the sphere.

    ``shift`` is the Euclidean length of the way, negative = further apart: with g the gap vector
    over its length, images go to x - shift / 2 g and texts to y + shift / 2 g, or with
    ``which="image"`` images alone to x - shift g. Going back to the sphere undoes some of it: the
    distance of the new centroids is not |gap| - shift.

    >>> image, text = shifted(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.sqrt(2))
    >>> bool(np.allclose(image, text))
    True
    """
    if which not in ("both", "image"):
        msg = f"which must be 'both' or 'image', the modalities that move; got {which!r}"
        raise MmgapError(msg)
    image, text = two_sides(image, text)
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
    image: np.ndarray, text: np.ndarray, logit_scale: float, *, batch_size: int | None = None
) -> float:
    """CLIP's loss: symmetric softmax cross-entropy of picking the other member of a pair, in nats.

    Cosines are multiplied by ``logit_scale`` (1 / temperature, 100 for CLIP). One picks among
    ``batch_size`` pairs that follow each other (None = all; Liang et al. take 50); log(batch size)
    = picked blindly, so compare at equal sizes. Radford et al. 2021, Sec. 2.3.

    >>> round(contrastive_loss(np.ones((4, 2)), np.ones((4, 2)), 100), 6)  # log 4
    1.386294
    """
    if not logit_scale > 0:
        msg = f"logit_scale, 1 / temperature, must be above 0, e.g. 100; got {logit_scale}"
        raise MmgapError(msg)
    image, text = paired_rows(image, text)
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
    own = logit_scale * np.einsum("ij,ij->i", image, text)
    return (to_text + to_image) / 2 - own


def shift_sweep(
    image: np.ndarray,
    text: np.ndarray,
    shifts: Sequence[float] | np.ndarray,
    *,
    which: str = "both",
    logit_scales: Sequence[float] = (),
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Distance of the centroids, and the loss, after each of several shifts.

    Columns ``shift`` and ``distance``; with ``logit_scales`` also ``logit_scale`` and ``loss``, one
    row for each shift and scale. Liang et al. take shifts of -1 to 0.75 in steps of 0.25.

    >>> table = shift_sweep(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), [0.0, 2**0.5])
    >>> [round(distance, 6) for distance in table["distance"]]
    [1.414214, 0.0]
    """
    import pandas as pd

    rows: list[dict[str, float]] = []
    for shift in shifts:
        sides = shifted(image, text, shift, which=which)
        distance = float(np.linalg.norm(sides[0].mean(axis=0) - sides[1].mean(axis=0)))
        at = {"shift": float(shift), "distance": distance}
        if not logit_scales:
            rows.append(at)
        for scale in logit_scales:
            loss = contrastive_loss(*sides, scale, batch_size=batch_size)
            rows.append({**at, "logit_scale": float(scale), "loss": loss})
    columns = ["shift", "distance", *(["logit_scale", "loss"] if logit_scales else [])]
    return pd.DataFrame(rows, columns=columns)
