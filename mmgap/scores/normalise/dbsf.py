"""Distribution-based score fusion's normalisation."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, clipped, row_mean_and_sd


class DBSFNormaliser(LinearNormaliser):
    """(s - mean + 3 sigma) / (6 sigma): min-max over three standard deviations around the mean.

    Parameters
    ----------
    clip : bool, default False
        Cut to [0, 1], as mteb does; Qdrant and LlamaIndex do not. Creates ties: every document
        more than three sigma above the mean gets 1.
    ddof : {0, 1}, default 1
        Sigma divides by n - ddof: 1 in Qdrant; 0 in mteb, LlamaIndex, AutoRAG.
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the statistics of each list; ``calibration`` those given to ``fit``.
    equal : float or {"raw", "positive"}, default 0.5
        What the scores become where all are equal: 0.5 in Qdrant and mteb; ``positive`` in
        LlamaIndex (1 for scores above 0, else 0); NaN in AutoRAG.
    single : float, {"raw", "positive"} or None, default None
        What the only score of a list becomes; None = as ``equal``.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`.

    Attributes
    ----------
    offset_, scale_ : float
        Mean - 3 sigma, and 6 sigma, of the bank; ``reference="calibration"`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    The mean becomes 0.5; larger is better; beyond [0, 1] where scores lie further than three
    sigma out. Orders the documents of all lists as the z-score does, unless clipped; shares its
    invariances. Clipping can raise an optimistic recall above that of the better leg alone.

    References
    ----------
    .. [1] Mazzeschi, "Distribution-Based Score Fusion (DBSF), a new approach to Vector Search
       Ranking", 2023.

    Examples
    --------
    Mean 1, sigma 1: the scores lie one sigma to either side.

    >>> DBSFNormaliser(ddof=0).fit_transform(np.array([[0.0, 2.0]])).round(4)
    array([[0.3333, 0.6667]])
    """

    def __init__(
        self,
        *,
        clip: bool = False,
        ddof: int = 1,
        reference: str = "query",
        equal: float | str = 0.5,
        single: float | str | None = None,
        missing: float | str = np.nan,
    ) -> None:
        self.clip = clip
        self.ddof = ddof
        self.reference = reference
        self.equal = equal
        self.single = single
        self.missing = missing

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, sd = row_mean_and_sd(scores, self.ddof)
        return mean - 3 * sd, 6 * sd

    def _finished(self, scores: np.ndarray) -> np.ndarray:
        return clipped(scores, clip=self.clip)
