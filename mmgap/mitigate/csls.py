"""Cross-domain similarity local scaling."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.bank import check_k, mean_of_nearest
from mmgap.mitigate.base import ScoreMitigation


class CSLS(ScoreMitigation):
    """Twice the cosine, less how close query and document are to the other side anyway.

    ``2 cos(q, r) - mean of q's k largest cosines to the documents of the leg - mean of r's k
    largest cosines to the calibration queries``.

    Parameters
    ----------
    k : int, default 10
        At most the number of calibration queries, and of documents in each leg.

    Attributes
    ----------
    bank_ : ndarray of shape (n_bank, dim)
        The calibration queries.

    Notes
    -----
    Conneau et al. take the neighbours of a document among all queries, those judged included; here
    they come from calibration, so that no query is scored by others. The neighbours of a query are
    the documents that are passed, leg by leg (``uses_gallery``): the text leg and the image leg are
    the domains. **So each leg loses the level of its own best documents, whether one of them is
    relevant or not**: a leg without an answer is raised to the one that has it. A document that is
    to be left out for a query still counts among its neighbours. Among the documents of one leg the
    order is that of :class:`NNN` with ``alpha=1/2``. Turns with the space.

    References
    ----------
    .. [1] Conneau et al., "Word Translation Without Parallel Data", ICLR 2018, Sec. 2.3 (k = 10).

    Examples
    --------
    1.2 - .8 - 1 and 1.6 - .8 - 0: the nearest image of the query has .8, the nearest bank queries
    of the images have 1 and 0.

    >>> fitted = CSLS(k=1).fit({"query": np.array([[1.0, 0.0], [0.0, -1.0]])})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.eye(2)}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.6, 0.8]]
    """

    needs = ("query",)
    uses_gallery = True

    def __init__(self, *, k: int = 10) -> None:
        self.k = k

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        check_k(self.k, len(rows["query"]), "calibration queries")
        self.bank_ = rows["query"]

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        corrected = {}
        for leg, scores in raw.items():
            check_k(self.k, len(rows[leg]), f"documents in the {leg} leg")
            of_query = np.partition(scores, -self.k, axis=1)[:, -self.k :].mean(axis=1)
            of_document = mean_of_nearest(rows[leg], self.bank_, self.k)
            corrected[leg] = 2 * scores - of_query[:, None] - of_document
        return corrected
