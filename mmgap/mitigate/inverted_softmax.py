"""Inverted softmax over a bank of queries."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.bank import check_beta, soft_maximum
from mmgap.mitigate.base import ScoreMitigation


class InvertedSoftmax(ScoreMitigation):
    """Softmax over the bank's queries in place of the documents, in units of the cosine.

    The published score is ``exp(beta s) / sum over the bank of exp(beta s_b)``. Given is its
    logarithm over beta, ``s - log(sum exp(beta s_b)) / beta``: the same order, but no scores
    that all lie within 1e-12 of 0 and so pass for tied.

    Parameters
    ----------
    beta : float, default 20
        Inverse temperature, as in the code of QB-Norm. Smith et al. fit it; MUSE takes 30.

    Attributes
    ----------
    bank_ : ndarray of shape (n_bank, dim)
        The calibration queries.

    Notes
    -----
    What is subtracted is a soft maximum of the document's cosines to the bank, plus
    ``log(n_bank) / beta``, which is the same for all. So it is akin to :class:`NNN` with
    ``alpha=1`` and a soft k, and also calibrates each document. The larger beta, the fewer
    queries of the bank decide. Turns with the space.

    References
    ----------
    .. [1] Smith et al., "Offline bilingual word vectors, orthogonal transformations and the
       inverted softmax", ICLR 2017, Sec. 2.2.
    .. [2] Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022, Sec. 3.

    Examples
    --------
    One query in the bank, with cosine .8: .6 - .8.

    >>> fitted = InvertedSoftmax().fit({"query": np.array([[0.8, 0.6]])})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.array([[1.0, 0.0]])}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.2]]
    """

    needs = ("query",)

    def __init__(self, *, beta: float = 20.0) -> None:
        self.beta = beta

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        check_beta("beta", self.beta)
        self.bank_ = rows["query"]

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            leg: scores - soft_maximum(rows[leg], self.bank_, self.beta) / self.beta
            for leg, scores in raw.items()
        }
