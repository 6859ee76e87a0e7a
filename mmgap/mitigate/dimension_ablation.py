"""Leave out the dimensions that carry most of the gap."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.mitigate.base import EmbeddingMitigation


class DimensionAblation(EmbeddingMitigation):
    """Set the k dimensions with the largest gap to 0 and renormalise.

    Parameters
    ----------
    k : int, default 2
        How many dimensions; fewer than there are. On CLIP two hold most of the gap.

    Attributes
    ----------
    dims_ : int ndarray of shape (k,)
        By falling size of the calibration gap; of equal ones the lower first.

    Notes
    -----
    Schrodi et al. ablate to show that few dimensions carry the gap, not as a cure. **It does next
    to nothing for a merged list**: on CLIP's features of COCO the captions keep every first place,
    for what is left of each row is stretched to unit length and the gap in the other dimensions
    stays. Leaving out more costs what those dimensions know. Depends on the axes: a rotation of
    the space changes it, which no other mitigation here has.

    References
    ----------
    .. [1] Schrodi et al., "Two Effects, One Trigger", ICLR 2025, Sec. 4; their
       ``analysis/gap_ablate_dims.py``.

    Examples
    --------
    Images and texts differ in the first dimension.

    >>> text, image = np.array([[0.6, 0.0, 0.8]]), np.array([[-0.6, 0.8, 0.0]])
    >>> fitted = DimensionAblation(k=1).fit({"text": text, "image": image})
    >>> fitted.dims_.tolist(), fitted.transform({"text": text})["text"].tolist()
    ([0], [[0.0, 0.0, 1.0]])
    """

    needs = ("text", "image")

    def __init__(self, *, k: int = 2) -> None:
        self.k = k

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        gap = rows["image"].mean(axis=0) - rows["text"].mean(axis=0)
        if not 0 <= self.k < gap.size:
            msg = (
                f"k is {self.k} and vectors have {gap.size} dimensions; expected k from 0 to "
                f"{gap.size - 1}, so that one is left"
            )
            raise MmgapError(msg)
        self.dims_ = np.argsort(-np.abs(gap), kind="stable")[: self.k]

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        kept = np.ones(rows.shape[1])
        kept[self.dims_] = 0
        return self._unit(role, rows * kept)
