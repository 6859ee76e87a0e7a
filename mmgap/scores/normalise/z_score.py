"""Z-score normalisation."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, row_mean_and_sd


class ZScoreNormaliser(LinearNormaliser):
    """(s - mean) / standard deviation; also called zero mean, unit variance.

    Parameters
    ----------
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the statistics of each list; ``calibration`` those given to ``fit``,
        one normaliser per leg.
    ddof : {0, 1}, default 0
        The standard deviation divides by n - ddof: 0 in ranx, mteb, LlamaIndex; 1 in Qdrant,
        OpenSearch.
    equal : float or {"raw", "positive"}, default 0
        What the scores become where all are equal: 0, the mean, in ranx; NaN in AutoRAG.
    single : float, {"raw", "positive"} or None, default None
        What the only score of a list becomes; None = as ``equal``.
    missing : float or "min", default NaN
        As in :class:`MinMaxNormaliser`. With 0 a missing document beats every document below the
        mean, which happens to ranx and AutoRAG.
    floor : float or None, default None
        What results at or below 0 become. OpenSearch's 0.001 ties every document below the mean.

    Attributes
    ----------
    offset_, scale_ : float
        Mean and standard deviation of the bank; ``reference="calibration"`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    Unbounded, larger is better. Never reverses an order (``floor`` apart); unchanged when scores
    are shifted, so that negative ones need no care, or multiplied by a positive number. Takes
    spread for evidence: a leg whose relevant documents stand out less in its own spread loses.

    References
    ----------
    .. [1] Montague and Aslam, "Relevance Score Normalization for Metasearch", CIKM 2001.

    Examples
    --------
    >>> ZScoreNormaliser().fit_transform(np.array([[1.0, 3.0, np.nan]]))
    array([[-1.,  1., nan]])

    The bank has mean 2 and standard deviation 1.

    >>> bank = ZScoreNormaliser(reference="calibration").fit(np.array([[1.0], [3.0]]))
    >>> bank.transform(np.array([[1.0, 2.0, 4.0]]))
    array([[-1.,  0.,  2.]])
    """

    def __init__(
        self,
        *,
        reference: str = "query",
        ddof: int = 0,
        equal: float | str = 0.0,
        single: float | str | None = None,
        missing: float | str = np.nan,
        floor: float | None = None,
    ) -> None:
        self.reference = reference
        self.ddof = ddof
        self.equal = equal
        self.single = single
        self.missing = missing
        self.floor = floor

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return row_mean_and_sd(scores, self.ddof)

    def _finished(self, scores: np.ndarray) -> np.ndarray:
        return scores if self.floor is None else np.where(scores <= 0, self.floor, scores)
