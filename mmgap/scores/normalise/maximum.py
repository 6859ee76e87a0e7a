"""Normalisation by the largest score."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, handle_negative, row_max


class MaxNormaliser(LinearNormaliser):
    """s / max.

    Parameters
    ----------
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the largest score of each list; ``calibration`` that of the scores given to
        ``fit``.
    negative : {"keep", "clip", "error"}, default "keep"
        What negative scores do: stay negative, count as 0 (which ties them), or raise MmgapError.
    equal : float or {"raw", "positive"}, default 0
        What the scores become where the largest one is 0. Equal positive scores become 1.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`.

    Attributes
    ----------
    offset_, scale_ : float
        0, and the size of the bank's largest score; ``reference="calibration"`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    At most 1, larger is better; unchanged when scores are multiplied by a positive number, changed
    when they are shifted. Where all scores are negative, the size of the largest one is the
    divisor, so that the order holds and the best document gets -1; ranx divides by 1e-9 there,
    which gives scores near -1e9. Disjoint lists tie at the top.

    References
    ----------
    .. [1] Lee, "Combining Multiple Evidence from Different Properties of Weighting Schemes", SIGIR
       1995.

    Examples
    --------
    >>> MaxNormaliser().fit_transform(np.array([[0.25, 0.5], [-0.5, -1.0]]))
    array([[ 0.5,  1. ], [-1. , -2. ]])
    """

    def __init__(
        self,
        *,
        reference: str = "query",
        negative: str = "keep",
        equal: float | str = 0.0,
        missing: float | str = np.nan,
    ) -> None:
        self.reference = reference
        self.negative = negative
        self.equal = equal
        self.missing = missing

    def _prepared(self, scores: np.ndarray) -> np.ndarray:
        return handle_negative(scores, self.negative, "negative")

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = row_max(scores)
        return np.zeros_like(high), np.abs(high)
