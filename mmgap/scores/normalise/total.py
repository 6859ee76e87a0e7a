"""Normalisation by the sum of scores."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, row_min


class SumNormaliser(LinearNormaliser):
    """(s - min) / sum of (s - min), over each list.

    Parameters
    ----------
    equal : float or {"raw", "positive"}, default 0
        What the scores become where all are equal; 0 is ranx' choice.
    single : float, {"raw", "positive"} or None, default None
        What the only score of a list becomes; None = as ``equal``.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`; missing documents never enter the sum.

    Notes
    -----
    In [0, 1] with sum 1 over each list; larger is better. Never reverses an order; unchanged when
    scores are shifted, so that negative ones need no care, or multiplied by a positive number.
    A score shrinks as its list grows: merge lists of equal length only.

    References
    ----------
    .. [1] Montague and Aslam, "Relevance Score Normalization for Metasearch", CIKM 2001.

    Examples
    --------
    >>> SumNormaliser().fit_transform(np.array([[1.0, 2.0, 4.0]]))
    array([[0.  , 0.25, 0.75]])
    """

    def __init__(
        self,
        *,
        equal: float | str = 0.0,
        single: float | str | None = None,
        missing: float | str = np.nan,
    ) -> None:
        self.equal = equal
        self.single = single
        self.missing = missing

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = row_min(scores)
        return low, np.nansum(scores - low, axis=1, keepdims=True)
