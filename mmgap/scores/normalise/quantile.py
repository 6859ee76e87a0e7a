"""Normalisation by the cumulative share of a reference sample."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.normalise.base import REFERENCES, ScoreNormaliser

METHODS = ("mid", "right", "left", "linear")


class QuantileNormaliser(ScoreNormaliser):
    """F(s): the share of reference scores below s; also called CDF normalisation.

    Parameters
    ----------
    reference : {"calibration", "query"}, default "calibration"
        ``calibration`` takes the scores given to ``fit``, one per leg; ``query`` those of the
        list itself, which makes ranks of the scores.
    method : {"mid", "right", "left", "linear"}, default "mid"
        Reference scores equal to s count one half (``mid``), fully (``right``) or not (``left``).
        ``linear`` draws straight lines between the sorted reference scores, from 0 at the smallest
        to 1 at the largest, so that close scores between them stay apart; it equals
        ``sklearn.preprocessing.QuantileTransformer`` with as many quantiles as scores.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`.

    Attributes
    ----------
    bank_ : ndarray of shape (n_score,)
        The reference scores, ascending; ``reference="calibration"`` only.

    Notes
    -----
    In [0, 1], larger is better; never reverses an order. Unchanged (``linear`` apart) by any
    increasing map of bank and scores alike, so that their sign does not matter. Scores beyond the
    bank's largest all become 1 and tie, and with a bank of n scores no two results are closer
    than 1 / (2 n) unless they tie: use a large bank. A bank of one score knows three results.
    Where the bank holds unmatched pairs only, 1 - F(s) is the p-value of "not a match".

    References
    ----------
    .. [1] Manmatha, Rath and Feng, "Modeling Score Distributions for Combining the Outputs of
       Search Engines", SIGIR 2001.

    Examples
    --------
    >>> cdf = QuantileNormaliser().fit(np.array([[0.1], [0.2], [0.2], [0.4]]))
    >>> cdf.transform(np.array([[0.0, 0.2, 0.3, 0.9]]))
    array([[0.  , 0.5 , 0.75, 1.  ]])
    """

    def __init__(
        self,
        *,
        reference: str = "calibration",
        method: str = "mid",
        missing: float | str = np.nan,
    ) -> None:
        self.reference = reference
        self.method = method
        self.missing = missing

    @property
    def _needs_fit(self) -> bool:  # type: ignore[override]
        if self.reference not in REFERENCES:
            msg = f"reference must be one of {REFERENCES}; got {self.reference!r}"
            raise MmgapError(msg)
        return self.reference == "calibration"

    def _fit_bank(self, bank: np.ndarray) -> None:
        if self._needs_fit:
            self.bank_ = np.sort(bank)

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        if self._needs_fit:
            return self._share_below(self.bank_, scores)
        return np.stack([self._share_below(np.sort(row[~np.isnan(row)]), row) for row in scores])

    def _share_below(self, ascending: np.ndarray, scores: np.ndarray) -> np.ndarray:
        n = ascending.size
        if self.method not in METHODS:
            msg = f"method must be one of {METHODS}; got {self.method!r}"
            raise MmgapError(msg)
        below = np.searchsorted(ascending, scores, side="left")
        up_to = np.searchsorted(ascending, scores, side="right")
        if self.method == "left":
            return below / n
        if self.method == "right":
            return up_to / n
        if self.method == "mid" or n == 1:
            return (below + up_to) / (2 * n)
        # Equal reference scores span several places; a score equal to them stands in their middle.
        places = np.arange(n) / (n - 1)
        from_left = np.interp(scores, ascending, places)
        from_right = -np.interp(-scores, -ascending[::-1], -places[::-1])
        return (from_left + from_right) / 2
