"""Scaling between two percentiles."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.normalise.base import LinearNormaliser, clipped


class PercentileRangeNormaliser(LinearNormaliser):
    """(s - P1) / (P99 - P1): min-max between two percentiles, which outliers hardly move.

    Parameters
    ----------
    low, high : float, default 1 and 99
        The two percentiles, interpolated linearly.
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the percentiles of each list; ``calibration`` those of the scores given to
        ``fit``. A list of fewer than 100 scores has its percentiles next to its ends.
    clip : bool, default False
        Cut to [0, 1]; creates ties at both ends.
    equal : float or {"raw", "positive"}, default 0.5
        What the scores become where both percentiles are equal; see :class:`MinMaxNormaliser`.
    single : float, {"raw", "positive"} or None, default None
        What the only score of a list becomes; None = as ``equal``.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`.

    Attributes
    ----------
    offset_, scale_ : float
        Lower percentile of the bank, and the distance to the upper one; with ``calibration`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    98 of 100 reference scores come to lie in [0, 1]; larger is better. Never reverses an order;
    unchanged when scores are shifted, so that negative ones need no care, or multiplied by a
    positive number. Where more than 98 % of the scores are equal, the others count as equal too.

    References
    ----------
    .. [1] atlantis-nova/hybrid-dbsf, README: recommended there in place of three sigma, "cosine
       scores are never normal".

    Examples
    --------
    >>> scores = np.linspace(0.0, 1.0, 101)[None, :]
    >>> PercentileRangeNormaliser().fit_transform(scores)[0, [1, 50, 99]].round(12)
    array([0. , 0.5, 1. ])
    """

    def __init__(
        self,
        *,
        low: float = 1.0,
        high: float = 99.0,
        reference: str = "query",
        clip: bool = False,
        equal: float | str = 0.5,
        single: float | str | None = None,
        missing: float | str = np.nan,
    ) -> None:
        self.low = low
        self.high = high
        self.reference = reference
        self.clip = clip
        self.equal = equal
        self.single = single
        self.missing = missing

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= self.low < self.high <= 100:
            msg = f"need 0 <= low < high <= 100; got low={self.low!r}, high={self.high!r}"
            raise MmgapError(msg)
        low, high = np.nanpercentile(scores, [self.low, self.high], axis=1)[..., None]
        # Linear interpolation between equal scores can leave a difference by rounding.
        rounding = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        return low, np.where(high - low > rounding, high - low, 0.0)

    def _finished(self, scores: np.ndarray) -> np.ndarray:
        return clipped(scores, clip=self.clip)
