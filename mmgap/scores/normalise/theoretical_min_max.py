"""Theoretical min-max normalisation."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, handle_negative, row_max


class TheoreticalMinMaxNormaliser(LinearNormaliser):
    """(s - infimum) / (max - infimum): min-max with the smallest score there can be.

    Parameters
    ----------
    infimum : float, default -1
        Smallest value that the score can take: -1 for a cosine, 0 for BM25.
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the largest score of each list; ``calibration`` that of the scores given to
        ``fit``.
    below : {"keep", "clip", "error"}, default "keep"
        What scores below the infimum do: become negative, count as the infimum (which ties them),
        or raise MmgapError.
    equal : float or {"raw", "positive"}, default 0
        What the scores become where the largest one equals the infimum. Equal scores above it
        become 1.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`. Bruch et al. give missing documents 0.

    Attributes
    ----------
    offset_, scale_ : float
        The infimum, and the distance from it to the bank's largest score; with
        ``calibration`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    In [0, 1] for scores of at least the infimum; larger is better. Never reverses an order:
    where all scores lie below the infimum, the distance to it is the scale and all become
    negative. Unchanged when the distances to the infimum are multiplied by a positive number.
    The best document of every list gets 1, so that disjoint lists tie at the top.

    References
    ----------
    .. [1] Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS
       2023, Sec. 3.

    Examples
    --------
    >>> TheoreticalMinMaxNormaliser().fit_transform(np.array([[0.0, 0.25, 1.0]]))
    array([[0.5  , 0.625, 1.   ]])
    """

    def __init__(
        self,
        *,
        infimum: float = -1.0,
        reference: str = "query",
        below: str = "keep",
        equal: float | str = 0.0,
        missing: float | str = np.nan,
    ) -> None:
        self.infimum = infimum
        self.reference = reference
        self.below = below
        self.equal = equal
        self.missing = missing

    def _prepared(self, scores: np.ndarray) -> np.ndarray:
        return handle_negative(scores, self.below, "below", self.infimum)

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = row_max(scores)
        return np.full_like(high, self.infimum), np.abs(high - self.infimum)
