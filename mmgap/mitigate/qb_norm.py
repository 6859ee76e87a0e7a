"""QB-Norm with the dynamic inverted softmax."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.bank import check_k
from mmgap.mitigate.inverted_softmax import InvertedSoftmax

_QUERIES_AT_ONCE = 256


class QBNorm(InvertedSoftmax):
    """Inverted softmax, but only for queries whose first document is a suspected hub.

    Documents among the first k of some bank query are the activation set. A query whose first
    document by cosine lies in it gets the scores of :class:`InvertedSoftmax`; all others keep
    their cosines.

    Parameters
    ----------
    beta : float, default 20
    k : int, default 1
        At most the number of documents. Both as in the authors' code.

    Attributes
    ----------
    bank_ : ndarray of shape (n_bank, dim)
        The calibration queries.

    Notes
    -----
    The gallery is all documents passed, of both legs: "first" is meant in the merged list, so that
    both legs of a query are normalised or neither is. Pass one leg alone to rank it alone; a leg's
    scores depend on whether the other is there (``uses_gallery``).

    **For merged lists the dynamic choice is a weakness.** Where texts hold all first places, a
    query whose first text is no hub keeps its cosines, and with them the whole gap. Between
    queries the scores are not on one scale, so that thresholds, calibrators and bank normalisers
    make no sense on them. Differs from the authors' code by the logarithm, see
    :class:`InvertedSoftmax`, and by taking the first of equal documents, where their sort is not
    stable. Turns with the space.

    References
    ----------
    .. [1] Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022,
       Sec. 3.3.

    Examples
    --------
    The bank's query finds the first image; so does the test query, and is normalised: .8 - .6 and
    .6 - 0.

    >>> fitted = QBNorm().fit({"query": np.array([[0.6, 0.0, 0.8]])})
    >>> test = {"query": np.array([[0.8, 0.6, 0.0]]), "image": np.eye(3)[:2]}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[0.2, 0.6]]
    """

    uses_gallery = True

    def __init__(self, *, beta: float = 20.0, k: int = 1) -> None:
        super().__init__(beta=beta)
        self.k = k

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        gallery = np.concatenate([rows[leg] for leg in raw])
        check_k(self.k, len(gallery), "documents")
        active = np.zeros(len(gallery), dtype=bool)
        for start in range(0, len(self.bank_), _QUERIES_AT_ONCE):
            scores = self.bank_[start : start + _QUERIES_AT_ONCE] @ gallery.T
            active[np.argsort(-scores, axis=1, kind="stable")[:, : self.k]] = True
        first = np.argmax(np.concatenate(list(raw.values()), axis=1), axis=1)
        normalised = super()._correct(rows, raw)
        return {leg: np.where(active[first][:, None], normalised[leg], raw[leg]) for leg in raw}
