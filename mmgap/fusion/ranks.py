"""Fusions that look at ranks alone.

The contract is that of :mod:`mmgap.fusion.combine`. Any increasing map of a leg's scores changes
nothing. A leg that did not return a document adds nothing for it, unless a function says otherwise.
Tied scores are ranked in the order of their columns.

On legs that share no document (one leg of texts, one of images) the n-th of each leg gets the same
score: every rank is tied, and the tie-break decides the order.
"""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.combine import Weights, add_legs, check_legs, check_weights, count_legs

TIES = ("ordinal", "min", "average", "max", "dense")
"""Ways to rank tied scores that :func:`ranks` knows."""


def ranks(scores: np.ndarray, *, ties: str = "ordinal") -> np.ndarray:
    """Rank of each document in its row, 1 for the largest score; NaN where ``scores`` is.

    ``ordinal``, as engines and Cormack et al. do it, gives tied documents different ranks in the
    order of their columns, hence favours earlier columns; the other ways give them the same.

    >>> ranks(np.array([[0.1, 0.7, np.nan, 0.7]]))
    array([[ 3.,  1., nan,  2.]])
    >>> ranks(np.array([[0.1, 0.7, np.nan, 0.7]]), ties="average")
    array([[3. , 1.5, nan, 1.5]])
    """
    if ties not in TIES:
        msg = f"ties must be one of {', '.join(TIES)}; got {ties!r}"
        raise MmgapError(msg)
    (scores,) = check_legs([scores])
    missing = np.isnan(scores)
    if ties == "ordinal":
        order = np.argsort(-scores, axis=1, kind="stable")  # NaN comes last
        ranked = np.empty_like(scores)
        np.put_along_axis(ranked, order, np.arange(1.0, scores.shape[1] + 1)[None], axis=1)
    else:
        from scipy.stats import rankdata

        ranked = rankdata(np.where(missing, np.inf, -scores), method=ties, axis=1)
    return np.where(missing, np.nan, ranked)


def reciprocal_rank_fusion(
    *leg_scores: np.ndarray,
    k: float = 60,
    weights: Weights | None = None,
    ties: str = "ordinal",
) -> np.ndarray:
    """Sum of weight / (k + rank) over the legs that have the document.

    Larger ``k`` weighs ranks more evenly. Systems that count from 0 (Qdrant, Weaviate, LlamaIndex)
    reach the same scores with ``k`` one larger: Qdrant's default of 2 is the
    paper's 1. Documents that one leg alone has come in exactly tied groups, one of each leg.
    Cormack, Clarke and Büttcher, SIGIR 2009.

    The first document is first in both legs, the second is second in one.

    >>> reciprocal_rank_fusion(np.array([[0.9, 0.1]]), np.array([[0.3, np.nan]]), k=1)
    array([[1.        , 0.33333333]])
    """
    if k < 0:
        msg = f"k must not be negative; got {k}"
        raise MmgapError(msg)
    points = [1 / (k + ranks(leg, ties=ties)) for leg in check_legs(leg_scores)]
    return add_legs(_weighted(points, weights))


def isr(*leg_scores: np.ndarray) -> np.ndarray:
    """Inverse square rank: number of legs times the sum of 1 / rank^2 (Mourão et al., CBMI 2014).

    The first document: first and second, so 2 x (1 + 1/4).

    >>> isr(np.array([[0.9, 0.1]]), np.array([[0.3, 0.4]]))
    array([[2.5, 2.5]])
    """
    legs = check_legs(leg_scores)
    return count_legs(legs) * _inverse_squares(legs)


def log_isr(*leg_scores: np.ndarray) -> np.ndarray:
    """Inverse square rank with the logarithm of the number of legs.

    A document that one leg alone has scores ln(1) = 0: on legs that share no document **every**
    score is 0 and nothing is ranked. :func:`logn_isr` mends this.

    >>> log_isr(np.array([[0.9, np.nan]]), np.array([[np.nan, 0.4]]))
    array([[0., 0.]])
    """
    legs = check_legs(leg_scores)
    return np.log(np.maximum(count_legs(legs), 1)) * _inverse_squares(legs)


def logn_isr(*leg_scores: np.ndarray, sigma: float = 0.01) -> np.ndarray:
    """:func:`log_isr` with ln(number of legs + sigma), so that one leg alone still counts.

    >>> logn_isr(np.array([[0.9, np.nan]]), np.array([[np.nan, 0.4]]), sigma=1).round(3)
    array([[0.693, 0.693]])
    """
    if not 0 <= sigma <= 1:
        msg = f"sigma must be in [0, 1]; got {sigma}"
        raise MmgapError(msg)
    legs = check_legs(leg_scores)
    return np.log(np.maximum(count_legs(legs), 1) + sigma) * _inverse_squares(legs)


def rbc(*leg_scores: np.ndarray, phi: float = 0.8) -> np.ndarray:
    """Rank-biased centroids: sum of (1 - phi) phi^(rank - 1) (Bailey et al., SIGIR 2017).

    ``phi`` is the probability that a reader who saw a document goes on to the next. Deep ranks
    underflow to equal scores: with phi = 0.8 from rank 3,300 or so.

    >>> rbc(np.array([[0.9, 0.1]]), np.array([[0.3, np.nan]]), phi=0.5)
    array([[1.  , 0.25]])
    """
    if not 0 < phi < 1:
        msg = f"phi must be between 0 and 1; got {phi}"
        raise MmgapError(msg)
    legs = check_legs(leg_scores)
    return add_legs([(1 - phi) * phi ** (ranks(leg) - 1) for leg in legs])


def borda(*leg_scores: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Borda count: the first of n documents gets n points, the last one 1.

    n counts the documents that any leg has. Documents that a leg did not return divide the points
    that it has left, the mean of 1 ... n - n_returned. Aslam and Montague, SIGIR 2001.

    Three documents. The first leg gives 3 and 2 points and leaves 1, the second gives 3 and
    leaves 2 + 1 to divide.

    >>> borda(np.array([[0.9, 0.1, np.nan]]), np.array([[np.nan, np.nan, 0.4]]))
    array([[4.5, 3.5, 4. ]])
    """
    legs = check_legs(leg_scores)
    found = count_legs(legs) > 0
    n = found.sum(axis=1, keepdims=True)
    points = []
    for leg in legs:
        ranked = ranks(leg)
        left = (n - (~np.isnan(leg)).sum(axis=1, keepdims=True) + 1) / 2
        points.append(np.where(np.isnan(ranked), left, n + 1 - ranked))
    return np.where(found, add_legs(_weighted(points, weights)), np.nan)


def condorcet(*leg_scores: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Documents beaten by majority vote of the legs, draws counting one half (Copeland 1951).

    A leg votes for the document it ranks higher; one that it returned beats one that it did not; on
    two that it did not return it does not vote. Where majorities contradict each other in a circle,
    and for two legs that disagree, the documents tie. The Condorcet-fuse of Montague and Aslam
    (CIKM 2002) and ranx sorts with the majority as comparison: the same order where majorities are
    strict and free of circles, elsewhere one that depends on the order of the documents.

    >>> first, second = np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])
    >>> condorcet(first, first, second), condorcet(first, second)
    (array([[1., 0.]]), array([[0.5, 0.5]]))
    """
    legs = check_legs(leg_scores)
    votes = check_weights(np.ones(len(legs)) if weights is None else weights, legs)
    found = count_legs(legs) > 0
    ranked = [np.nan_to_num(ranks(leg), nan=np.inf) for leg in legs]
    wins = np.full(found.shape, np.nan)
    for query, docs in enumerate(found):  # one query's pairs at a time bounds the memory
        margin = np.zeros((docs.sum(), docs.sum()))
        for vote, rank in zip(votes, ranked, strict=True):
            own = rank[query, docs]
            before = own[:, None] < own[None, :]
            margin += np.broadcast_to(vote, (len(found), 1))[query] * (
                before.astype(float) - before.T
            )
        wins[query, docs] = (margin > 0).sum(axis=1) + ((margin == 0).sum(axis=1) - 1) / 2
    return wins


def _inverse_squares(legs: list[np.ndarray]) -> np.ndarray:
    return add_legs([1 / ranks(leg) ** 2 for leg in legs])


def _weighted(points: list[np.ndarray], weights: Weights | None) -> list[np.ndarray]:
    if weights is None:
        return points
    return [w * part for w, part in zip(check_weights(weights, points), points, strict=True)]
