"""Mitigations that correct the scores of hubs, documents that come close to every query.

See :mod:`mmgap.mitigate.base` for what goes in and out. Each subtracts from a document's cosines
how close it comes to a bank of calibration queries anyway, which also calibrates each document and
so each leg. Corrections of :class:`NNN`, :class:`InvertedSoftmax` and :class:`DBNorm` depend on the
document and calibration data only: they can be stored with it. Bank queries should be like those
to come: other topics give other hubs. A rotation of all vectors changes no score. Numbers are of
CLIP's features of COCO as in :mod:`mmgap.mitigate.vectors`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from mmgap.errors import MmgapError
from mmgap.mitigate.base import LEGS, ScoreMitigation

_ROWS_AT_ONCE = 2048
_QUERIES_AT_ONCE = 256


class QueryBank(ScoreMitigation):
    """Base of those that compare documents with the calibration queries, ``bank_``."""

    needs = ("query",)

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        self._check(len(rows["query"]))
        self.bank_ = rows["query"]

    def _check(self, n_query: int) -> None:
        """Raise MmgapError for parameters that do not fit so many calibration queries."""


class NNN(QueryBank):
    """s(q, r) - alpha * mean of the k largest cosines of r to the bank.

    The authors' example has alpha .75 and k 128, of more than 100,000 captions; with a few hundred
    take k 16. **With .75 a merged list keeps a quarter of the gap**: merged .05 at .75 and .30 at
    1, where a score says by how much the query is closer than those that are closest anyway. Among
    images alone .75 helps (.672). Chowdhury et al., EMNLP 2024, Sec. 3.

    >>> calibration = {"query": np.array([[0.8, 0.6], [1.0, 0.0]])}
    >>> fitted = NNN(alpha=1, k=2).fit(calibration)
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.array([[1.0, 0.0]])}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.3]]
    """

    def __init__(self, *, alpha: float = 0.75, k: int = 128) -> None:
        self.alpha = alpha
        self.k = k

    def _check(self, n_query: int) -> None:
        _check_k(self.k, n_query, "calibration queries")

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            leg: scores - self.alpha * _mean_of_nearest(rows[leg], self.bank_, self.k)
            for leg, scores in raw.items()
        }


class CSLS(QueryBank):
    """2 cos(q, r) - mean of q's k largest cosines to the leg - mean of r's k largest to the bank.

    Conneau et al. take the neighbours of a document among all queries, those judged included; here
    they come from calibration. Those of a query are the documents passed (``uses_gallery``), leg by
    leg, one that is to be left out for it included. **So each leg loses the level of its own best
    documents, whether one is relevant or not**: a leg without a relevant document is raised to the
    level of the one that has one. Within a leg the order is that of :class:`NNN` with alpha 1/2.
    ICLR 2018, Sec. 2.3.

    1.2 - .8 - 1 and 1.6 - .8 - 0:

    >>> fitted = CSLS(k=1).fit({"query": np.array([[1.0, 0.0], [0.0, -1.0]])})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.eye(2)}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.6, 0.8]]
    """

    uses_gallery = True

    def __init__(self, *, k: int = 10) -> None:
        self.k = k

    def _check(self, n_query: int) -> None:
        _check_k(self.k, n_query, "calibration queries")

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        corrected = {}
        for leg, scores in raw.items():
            _check_k(self.k, len(rows[leg]), f"documents in the {leg} leg")
            of_query = np.partition(scores, -self.k, axis=1)[:, -self.k :].mean(axis=1)
            of_document = _mean_of_nearest(rows[leg], self.bank_, self.k)
            corrected[leg] = 2 * scores - of_query[:, None] - of_document
        return corrected


class InvertedSoftmax(QueryBank):
    """s - log(sum over the bank of exp(beta s_b)) / beta.

    The logarithm over beta of the published ``exp(beta s) / sum over the bank of exp(beta s_b)``:
    the same order, but no scores that all lie within 1e-12 of 0 and so pass for tied. What is
    subtracted is a soft maximum: :class:`NNN` with alpha 1 and a soft k. The larger beta, the fewer
    queries of the bank decide; 20 as in QB-Norm's code. Smith et al., ICLR 2017, Sec. 2.2.

    >>> fitted = InvertedSoftmax().fit({"query": np.array([[0.8, 0.6]])})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.array([[1.0, 0.0]])}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.2]]
    """

    def __init__(self, *, beta: float = 20.0) -> None:
        self.beta = beta

    def _check(self, n_query: int) -> None:  # noqa: ARG002
        _check_beta("beta", self.beta)

    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        return {
            leg: scores - _soft_maximum(rows[leg], self.bank_, self.beta) / self.beta
            for leg, scores in raw.items()
        }


class QBNorm(InvertedSoftmax):
    """Inverted softmax, but only for queries whose first document is a suspected hub.

    Documents among the first k of some bank query are the activation set; a query whose first
    document lies outside it keeps its cosines. "First" is meant among all documents passed, both
    legs (``uses_gallery``), so that both legs of a query are normalised or neither is. **For merged
    lists the dynamic choice is a weakness**: a query whose first text is no hub keeps the whole
    gap. Scores of different queries are not on one scale: no thresholds, calibrators or reference
    normalisers on them. Takes the first of equal documents, where the authors' sort is not stable.
    Bogolin et al., CVPR 2022, Sec. 3.3.

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
        _check_k(self.k, len(gallery), "documents")
        active = np.zeros(len(gallery), dtype=bool)
        for start in range(0, len(self.bank_), _QUERIES_AT_ONCE):
            scores = self.bank_[start : start + _QUERIES_AT_ONCE] @ gallery.T
            active[np.argsort(-scores, axis=1, kind="stable")[:, : self.k]] = True
        first = np.argmax(np.concatenate(list(raw.values()), axis=1), axis=1)
        normalised = super()._correct(rows, raw)
        return {leg: np.where(active[first][:, None], normalised[leg], raw[leg]) for leg in raw}


class DBNorm(QueryBank):
    """Inverted softmax over a bank of queries times one over calibration documents of the leg.

    ``s - (log(sum exp(beta_query s_b)) + log(sum exp(beta_gallery s_g))) / (beta_query +
    beta_gallery)``, the logarithm of the paper's dual inverted softmax; the authors' ``db_norm``
    never reads the test scores that it is given. With their betas the corrections are nearly those
    of mean cosines, the gallery's counting six times the queries'. **On CLIP's cosines this hurts**
    (merged 0, images alone .32), since documents differ more in how close they are to their own
    kind than in how close queries come. Do not put test documents into the bank. Wang, Jian and
    Xue, EMNLP 2023, Sec. 3.

    >>> one = np.array([[0.8, 0.6]])
    >>> fitted = DBNorm().fit({"query": one, "image": one})
    >>> test = {"query": np.array([[0.6, 0.8]]), "image": np.array([[1.0, 0.0]])}
    >>> fitted.leg_scores(test)["image"].round(6).tolist()
    [[-0.2]]
    """

    def __init__(self, *, beta_query: float = 1 / 1.99, beta_gallery: float = 3.0) -> None:
        self.beta_query = beta_query
        self.beta_gallery = beta_gallery

    def _check(self, n_query: int) -> None:  # noqa: ARG002
        _check_beta("beta_query", self.beta_query)
        _check_beta("beta_gallery", self.beta_gallery)

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        super()._fit(rows)
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
        by_query = _soft_maximum(documents, self.bank_, self.beta_query)
        by_gallery = _soft_maximum(documents, self.gallery_banks_[leg], self.beta_gallery)
        return (by_query + by_gallery) / (self.beta_query + self.beta_gallery)


def _check_k(k: int, n: int, what: str) -> None:
    if not 1 <= k <= n:
        msg = f"k is {k} and there are {n} {what}; expected k from 1 to {n}. Give a smaller k"
        raise MmgapError(msg)


def _check_beta(name: str, beta: float) -> None:
    if not beta > 0:
        msg = f"{name}, an inverse temperature, must be above 0; got {beta}"
        raise MmgapError(msg)


def _mean_of_nearest(rows: np.ndarray, bank: np.ndarray, k: int) -> np.ndarray:
    """Mean of the k largest dot products of each row with a bank, shape (n_row,)."""
    return _by_blocks(
        rows, bank, lambda scores: np.partition(scores, -k, axis=1)[:, -k:].mean(axis=1)
    )


def _soft_maximum(rows: np.ndarray, bank: np.ndarray, beta: float) -> np.ndarray:
    """``log(sum over the bank of exp(beta s))`` of each row, shape (n_row,)."""
    return _by_blocks(rows, bank, lambda scores: logsumexp(beta * scores, axis=1))


def _by_blocks(
    rows: np.ndarray, bank: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    return np.concatenate([statistic(rows[i : i + _ROWS_AT_ONCE] @ bank.T) for i in starts])
