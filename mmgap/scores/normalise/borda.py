"""Borda counts as scores."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import ScoreNormaliser
from mmgap.scores.normalise.rank import row_ranks


class BordaNormaliser(ScoreNormaliser):
    """1 - (rank - 1) / c, c being the number of candidates, in this list or missing from it.

    Parameters
    ----------
    ties : {"average", "ordinal", "min", "max", "dense"}, default "average"
        As in :class:`RankNormaliser`.
    missing : float or {"share", "min"}, default "share"
        What candidates missing from the list get. ``share``: the points left over, in equal parts,
        1/2 - (n - 1) / (2 c) with n scores in the list, as Aslam and Montague and ranx do;
        otherwise as in :class:`MinMaxNormaliser`.

    Notes
    -----
    In (0, 1], larger is better. The columns of a row are the candidates: all documents that any
    leg returned for the query, and no others, for every column counts. Unchanged by any
    increasing map of the scores, so that their sign does not matter. With ``share`` every list
    gives out (c + 1) / 2 points in all.

    References
    ----------
    .. [1] Aslam and Montague, "Models for Metasearch", SIGIR 2001, Sec. 3.

    Examples
    --------
    Four candidates: 1 and 3/4 are given, the points of 1/2 and 1/4 shared.

    >>> BordaNormaliser().fit_transform(np.array([[0.9, np.nan, 0.2, np.nan]]))
    array([[1.   , 0.375, 0.75 , 0.375]])
    """

    def __init__(self, *, ties: str = "average", missing: float | str = "share") -> None:
        self.ties = ties
        self.missing = missing

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        return 1 - (row_ranks(scores, self.ties) - 1) / scores.shape[1]

    def _fill_missing(self, normalised: np.ndarray, there: np.ndarray) -> np.ndarray:
        if self.missing != "share":
            return super()._fill_missing(normalised, there)
        n = there.sum(axis=1, keepdims=True)
        left_over = 0.5 - (n - 1) / (2 * there.shape[1])
        return np.where(there, normalised, left_over)
