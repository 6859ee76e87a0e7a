"""Ranks as scores."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from mmgap.errors import MmgapError
from mmgap.scores.normalise.base import ScoreNormaliser

TIES = ("average", "ordinal", "min", "max", "dense")


class RankNormaliser(ScoreNormaliser):
    """1 - (rank - 1) / n, rank 1 for the largest of the n scores of a list.

    Parameters
    ----------
    ties : {"average", "ordinal", "min", "max", "dense"}, default "average"
        Rank of equal scores. ``ordinal`` gives them different ranks in the order of their columns,
        as ranx and engines do, hence favours earlier columns.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`.

    Notes
    -----
    In (0, 1], larger is better; the only score of a list becomes 1. Unchanged by any increasing
    map of the scores, so that their sign does not matter; blind to how far apart they are.
    Disjoint lists of equal length tie rank by rank.

    References
    ----------
    .. [1] Lee, "Analyses of Multiple Evidence Combination", SIGIR 1997.

    Examples
    --------
    >>> RankNormaliser().fit_transform(np.array([[0.9, 0.1, 0.5, np.nan, 0.5]]))
    array([[1.   , 0.25 , 0.625,   nan, 0.625]])
    """

    def __init__(self, *, ties: str = "average", missing: float | str = np.nan) -> None:
        self.ties = ties
        self.missing = missing

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        n = (~np.isnan(scores)).sum(axis=1, keepdims=True)
        return 1 - (row_ranks(scores, self.ties) - 1) / n


def row_ranks(scores: np.ndarray, ties: str) -> np.ndarray:
    """Rank of each score in its row, 1 for the largest; NaN ranks behind all."""
    if ties not in TIES:
        msg = f"ties must be one of {TIES}; got {ties!r}"
        raise MmgapError(msg)
    return rankdata(np.where(np.isnan(scores), np.inf, -scores), method=ties, axis=1)
