"""Min-max normalisation."""

from __future__ import annotations

import numpy as np

from mmgap.scores.normalise.base import LinearNormaliser, clipped, row_max, row_min


class MinMaxNormaliser(LinearNormaliser):
    """(s - min) / (max - min).

    Parameters
    ----------
    reference : {"query", "calibration"}, default "query"
        ``query`` takes the smallest and largest score of each list, so that the best document of
        every list gets 1; ``calibration`` those of the scores given to ``fit``.
    equal : float or {"raw", "positive"}, default 0.5
        What the scores become where all are equal. 0.5 as in mteb, Qdrant and Vespa; 0 ranx;
        1 OpenSearch; NaN AutoRAG; ``raw`` keeps them, as Elasticsearch does; ``positive`` gives 1
        to scores above 0 and 0 to others, as LlamaIndex does.
    single : float, {"raw", "positive"} or None, default None
        What the only score of a list becomes; None = as ``equal``. ``raw`` is Qdrant's.
    missing : float or "min", default NaN
        What a document without a score gets: NaN stays out of a merge, 0 is ranx' choice in
        weighted sums, ``min`` the smallest normalised score of its list (Ma et al.).
    clip : bool, default False
        Cut to [0, 1]; matters with a bank only. Creates ties at both ends.
    floor : float or None, default None
        What results at or below 0 become. 0.001 is OpenSearch's.

    Attributes
    ----------
    offset_, scale_ : float
        Smallest score of the bank, and its range; ``reference="calibration"`` only.
    n_reference_ : int
        Scores in the bank.

    Notes
    -----
    In [0, 1], larger is better. Never reverses an order, also not that of negative scores;
    unchanged when all scores of a list are shifted, or multiplied by a positive number.
    Fails to say how good the best document is: of two disjoint lists both winners get 1 and tie.

    References
    ----------
    .. [1] Lee, "Analyses of Multiple Evidence Combination", SIGIR 1997.

    Examples
    --------
    >>> MinMaxNormaliser().fit_transform(np.array([[0.25, 0.5, 0.75], [-0.5, np.nan, -0.25]]))
    array([[0. , 0.5, 1. ], [0. , nan, 1. ]])
    >>> MinMaxNormaliser(equal=1.0).fit_transform(np.array([[0.3, 0.3]]))
    array([[1., 1.]])
    """

    def __init__(
        self,
        *,
        reference: str = "query",
        equal: float | str = 0.5,
        single: float | str | None = None,
        missing: float | str = np.nan,
        clip: bool = False,
        floor: float | None = None,
    ) -> None:
        self.reference = reference
        self.equal = equal
        self.single = single
        self.missing = missing
        self.clip = clip
        self.floor = floor

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = row_min(scores)
        return low, row_max(scores) - low

    def _finished(self, scores: np.ndarray) -> np.ndarray:
        scores = clipped(scores, clip=self.clip)
        return scores if self.floor is None else np.where(scores <= 0, self.floor, scores)
