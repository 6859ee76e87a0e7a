"""Dual bank normalisation."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.mitigate.bank import check_beta, soft_maximum
from mmgap.mitigate.base import LEGS, ScoreMitigation


class DBNorm(ScoreMitigation):
    """Inverted softmax over a bank of queries times one over a bank of documents.

    The published score is the product of ``exp(beta s) / sum over the bank of exp(beta s_b)`` for
    both banks, each with its own beta. Given is its logarithm over the sum of the betas,
    ``s - (log(sum exp(beta_query s_b)) + log(sum exp(beta_gallery s_g))) / (beta_query +
    beta_gallery)``: the same order, in units of the cosine, see :class:`InvertedSoftmax`.

    Parameters
    ----------
    beta_query : float, default 1 / 1.99
    beta_gallery : float, default 3
        Inverse temperatures, as in the authors' code.

    Attributes
    ----------
    query_bank_ : ndarray of shape (n_query, dim)
    gallery_banks_ : dict of leg to ndarray of shape (n_bank, dim)
        Calibration documents: a leg is compared with those of its own modality.

    Notes
    -----
    This is the dual inverted softmax, as the paper has it; the authors' ``db_norm`` never reads
    the test scores that it is given, and cannot be run as published. Their dynamic form is left
    out. With betas so small the corrections are nearly those of the mean cosines, and the gallery's
    counts six times the queries'. **On CLIP's cosines this hurts**, since documents of one
    modality differ more in how close they are to their own kind than in how close queries come:
    with 250 COCO pairs to fit, the matching image is first among all images for 32 % of the
    queries, 61 % before, and never in the merged list. Betas belong to the spread of the scores;
    fit them on calibration queries. Do not put test documents into the bank: each would be compared
    with itself. Turns with the space.

    References
    ----------
    .. [1] Wang, Jian and Xue, "Balance Act: Mitigating Hubness in Cross-Modal Retrieval with Query
       and Gallery Banks", EMNLP 2023, Sec. 3.

    Examples
    --------
    Each bank has one member, with cosine .8 to the image: .6 - .8.

    >>> one = np.array([[0.8, 0.6]])
    >>> fitted = DBNorm().fit({"query": one, "image": one})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.array([[1.0, 0.0]])}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.2]]
    """

    needs = ("query",)

    def __init__(self, *, beta_query: float = 1 / 1.99, beta_gallery: float = 3.0) -> None:
        self.beta_query = beta_query
        self.beta_gallery = beta_gallery

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        check_beta("beta_query", self.beta_query)
        check_beta("beta_gallery", self.beta_gallery)
        self.query_bank_ = rows["query"]
        self.gallery_banks_ = {leg: rows[leg] for leg in LEGS if leg in rows}

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        missing = [leg for leg in raw if leg not in self.gallery_banks_]
        if missing:
            msg = (
                f"DBNorm was fitted on the documents {list(self.gallery_banks_)} and has no bank "
                f"for the legs {missing}; fit it on calibration documents of all legs"
            )
            raise MmgapError(msg)
        return {leg: scores - self._offset(leg, rows[leg]) for leg, scores in raw.items()}

    def _offset(self, leg: str, documents: np.ndarray) -> np.ndarray:
        by_query = soft_maximum(documents, self.query_bank_, self.beta_query)
        by_gallery = soft_maximum(documents, self.gallery_banks_[leg], self.beta_gallery)
        return (by_query + by_gallery) / (self.beta_query + self.beta_gallery)
