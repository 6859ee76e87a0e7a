"""Recall, hit, nDCG, MRR and MAP that say what ties do to them.

Documents with equal scores have no order. Each measure is therefore given three times, as
:class:`OverTies`: its mean over all orders of the tied documents, in closed form (McSherry and
Najork, ECIR 2008, Sec. 3), and its best and worst value over them. All lie in [0, 1]; larger is
better. :class:`TieGroups` finds the groups; every measure rests on what a rank holds, given its
group. The bounds are the two orders that sort each group by gain, best or worst first: no measure
here falls when a document of larger gain swaps ranks with one of smaller gain below it.

All measures take

- ``scores`` of shape (n_query, depth), descending in each row, -inf in empty ranks; or TieGroups,
  which saves time where several measures look at the same lists;
- ``gains`` of that shape: the grade of the document at each rank, 0 where it is not judged;
- ``n_relevant``, int of shape (n_query,), retrieved or not; at least 1;
- ``k``, the cut-off; None counts the whole list. Ties at k are seen only in lists longer than k;
- ``min_grade``, the lowest grade that counts as relevant, and ``tolerance``: neighbours whose
  scores differ by no more are tied.

and raise MmgapError where these do not fit together.

Two measures are called recall. **Recall** (:func:`recall`) is the fraction of a query's relevant
documents that were found: that of trec_eval, MTEB and EDIS. **Hit** (:func:`hit`) is whether at
least one was found: success@k of trec_eval, hit rate of MTEB and ranx, and what CLIP papers and
M-BEIR (UniIR) report as "Recall@k". They agree where every query has one relevant document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.runs import Run

NAMES = ("recall", "hit", "ndcg", "ndcg_exp", "mrr", "map")
"""Measures by name; each may carry a cut-off, as in ``recall@10``."""

ALIASES = {
    "success": "hit",
    "hit_rate": "hit",
    "ndcg_burges": "ndcg_exp",
    "rr": "mrr",
    "ap": "map",
}
"""What trec_eval, ir_measures and ranx call the same measures."""

CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class OverTies:
    """A measure over the orders of tied documents, each of shape (n_query,)."""

    expected: np.ndarray
    optimistic: np.ndarray
    pessimistic: np.ndarray


class TieGroups:
    """The groups of tied documents in ranked lists.

    >>> groups = TieGroups(np.array([[0.9, 0.4, 0.4]]))
    >>> groups.mean(np.array([[0.0, 1.0, 0.0]]))
    array([[0. , 0.5, 0.5]])
    """

    def __init__(self, scores: np.ndarray, tolerance: float = 0.0) -> None:
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 2 or np.isnan(scores).any() or (scores[:, 1:] > scores[:, :-1]).any():
            msg = (
                "scores must have shape (n_query, depth), descend in each row and hold no NaN; "
                f"got shape {scores.shape}. Sort each row, best first, with -inf in empty ranks"
            )
            raise MmgapError(msg)
        self.shape = scores.shape
        self.empty = np.isneginf(scores)
        self.starts = np.ones(scores.shape, dtype=bool)
        self.starts[:, 1:] = scores[:, 1:] < scores[:, :-1] - tolerance
        # Where no two documents are tied, every order is the given one.
        self.any_tied = not (self.starts | self.empty).all()
        # Each row begins a group, so groups may be numbered through the flattened rows.
        self._label = np.cumsum(self.starts.ravel()) - 1
        self._size = np.bincount(self._label)
        first = np.cumsum(self._size) - self._size
        self._position = np.arange(scores.size) - first[self._label]

    @classmethod
    def of(cls, scores: np.ndarray | TieGroups, tolerance: float = 0.0) -> TieGroups:
        """Return groups as they are, and make them of scores."""
        return scores if isinstance(scores, TieGroups) else cls(scores, tolerance)

    @property
    def size(self) -> np.ndarray:
        """Documents in the group of each rank: shape (n_query, depth)."""
        return self._size[self._label].reshape(self.shape)

    @property
    def position(self) -> np.ndarray:
        """Ranks of the same group before each rank: shape (n_query, depth)."""
        return self._position.reshape(self.shape)

    def aligned(self, gains: np.ndarray) -> np.ndarray:
        """Gains as floats, 0 in empty ranks."""
        gains = np.asarray(gains, dtype=np.float64)
        if gains.shape != self.shape:
            msg = f"gains {gains.shape} must have the shape of scores {self.shape}"
            raise MmgapError(msg)
        return np.where(self.empty, 0.0, gains)

    def total(self, gains: np.ndarray) -> np.ndarray:
        """Sum of the gains in the group of each rank."""
        return np.bincount(self._label, weights=gains.ravel())[self._label].reshape(self.shape)

    def mean(self, gains: np.ndarray) -> np.ndarray:
        """Gain to expect at each rank."""
        return self.total(gains) / self.size

    def first_here(self, relevant: np.ndarray) -> np.ndarray:
        """Probability of a relevant document at each rank if its group has shown none before."""
        return np.minimum(self.total(relevant) / (self.size - self.position), 1.0)

    def precision(self, relevant: np.ndarray) -> np.ndarray:
        """Product of relevance and precision to expect at each rank.

        A rank holds a relevant document with probability m / n, where m of the group's n documents
        are relevant. If it does, each of the i ranks of the group before it holds one of the other
        m - 1 with probability (m - 1) / (n - 1). Groups above have given all of theirs.
        """
        total, size, position = self.total(relevant), self.size, self.position
        found = np.cumsum(relevant, axis=1)
        first = np.arange(self.shape[1]) - position  # where the group begins
        above = np.where(first > 0, found[np.arange(self.shape[0])[:, None], first - 1], 0.0)
        others = np.maximum(total - 1, 0) / np.maximum(size - 1, 1)
        rank = np.arange(1, self.shape[1] + 1)
        return total / size * (above + 1 + position * others) / rank

    def sorted(self, gains: np.ndarray, *, best_first: bool) -> np.ndarray:
        """Gains with every group in descending order, or in ascending order."""
        flat = gains.ravel()
        order = np.lexsort((-flat if best_first else flat, self._label))
        return flat[order].reshape(self.shape)

    def over(
        self,
        gains: np.ndarray,
        measure: Callable[[np.ndarray], np.ndarray],
        expected: Callable[[], np.ndarray],
    ) -> OverTies:
        """Return a measure of gains in one order, over all orders; ``expected`` is its mean."""
        if not self.any_tied:
            values = measure(gains)
            return OverTies(values, values.copy(), values.copy())
        best, worst = (self.sorted(gains, best_first=first) for first in (True, False))
        return OverTies(expected(), measure(best), measure(worst))


def recall(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    n_relevant: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Fraction of a query's relevant documents that are among its first k.

    Below 1 by necessity where ``n_relevant`` exceeds ``k``.

    Two documents tie for the first rank; one of them is relevant.

    >>> recall(np.array([[0.5, 0.5]]), np.array([[1, 0]]), np.array([1]), k=1)
    OverTies(expected=array([0.5]), optimistic=array([1.]), pessimistic=array([0.]))
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    n_relevant = _at_least_one(n_relevant, len(relevant))
    k = _cut_off(k)

    def found(rank: np.ndarray) -> np.ndarray:
        return rank[:, :k].sum(1) / n_relevant

    return groups.over(relevant, found, lambda: found(groups.mean(relevant)))


def hit(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Whether at least one of the first k documents is relevant.

    Two of three tied documents are relevant: one of them comes first in 2 of 3 orders.

    >>> hit(np.array([[0.5, 0.5, 0.5]]), np.array([[1, 1, 0]]), k=1).expected.round(3)
    array([0.667])
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    k = _cut_off(k)

    def any_found(rank: np.ndarray) -> np.ndarray:
        return 1 - np.prod(1 - rank[:, :k], axis=1)

    return groups.over(relevant, any_found, lambda: any_found(groups.first_here(relevant)))


def mrr(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Reciprocal rank of the first relevant document, 0 if there is none among the first k.

    The relevant document ties for the first two ranks.

    >>> mrr(np.array([[0.5, 0.5]]), np.array([[0, 1]]))
    OverTies(expected=array([0.75]), optimistic=array([1.]), pessimistic=array([0.5]))
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    k = _cut_off(k)
    rank = np.arange(1, relevant.shape[1] + 1)

    def first(here: np.ndarray) -> np.ndarray:
        none_so_far = np.cumprod(1 - here, axis=1)
        none_before = np.concatenate([np.ones_like(here[:, :1]), none_so_far[:, :-1]], axis=1)
        return (none_before * here / rank)[:, :k].sum(1)

    return groups.over(relevant, first, lambda: first(groups.first_here(relevant)))


def average_precision(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    n_relevant: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Precision at each relevant document of the first k, over the number of relevant documents.

    Its mean over queries is MAP. With a cut-off the sum is divided by the number of all relevant
    documents, as trec_eval (``map_cut``), ir_measures, ranx and MTEB do; some code divides by
    min(k, that number).

    Relevant documents at ranks 1 and 3: (1/1 + 2/3) / 2.

    >>> scores, gains = np.array([[0.9, 0.8, 0.7]]), np.array([[1, 0, 1]])
    >>> average_precision(scores, gains, np.array([2])).expected.round(4)
    array([0.8333])
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    n_relevant = _at_least_one(n_relevant, len(relevant))
    k = _cut_off(k)
    rank = np.arange(1, relevant.shape[1] + 1)

    def in_order(at: np.ndarray) -> np.ndarray:
        return (at * np.cumsum(at, axis=1) / rank)[:, :k].sum(1) / n_relevant

    def expected() -> np.ndarray:
        return groups.precision(relevant)[:, :k].sum(1) / n_relevant

    return groups.over(relevant, in_order, expected)


def ndcg(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    ideal_gains: np.ndarray,
    k: int | None = None,
    *,
    gain: str = "linear",
    tolerance: float = 0.0,
) -> OverTies:
    """Discounted gain of the first k ranks over that of the best possible list, cut at k too.

    A document of gain g at rank r adds g / log2(r + 1). ``ideal_gains``, of shape (n_query,
    n_judged), are the grades of all judged documents, retrieved or not, filled up with 0.
    ``gain="linear"`` is that of trec_eval, ir_measures and MTEB (Järvelin and Kekäläinen, TOIS
    2002), ``"exponential"`` is 2^grade - 1 (Burges et al., ICML 2005). Negative grades count as 0.

    EDIS' code does not cut the best list and gives grades 1, 2, 3 the gains 0, 1, 3: its nDCG@k is
    another measure.

    The one relevant document comes second: 1 / log2(3).

    >>> ndcg(np.array([[0.9, 0.1]]), np.array([[0, 1]]), np.array([[1]])).expected.round(4)
    array([0.6309])
    """
    if gain not in ("linear", "exponential"):
        msg = f"unknown gain {gain!r}; use one of linear, exponential"
        raise MmgapError(msg)
    groups = TieGroups.of(scores, tolerance)
    gains = np.maximum(groups.aligned(gains), 0)
    ideal_gains = np.maximum(ideal_gains, 0).astype(float)
    if gain == "exponential":
        gains, ideal_gains = np.exp2(gains) - 1, np.exp2(ideal_gains) - 1
    k = _cut_off(k)
    best = _dcg(-np.sort(-ideal_gains, axis=1), k)
    if best.shape != gains.shape[:1] or (best <= 0).any():
        msg = f"ideal_gains must hold a positive gain for each of the {len(gains)} queries"
        raise MmgapError(msg)
    return groups.over(
        gains, lambda at: _dcg(at, k) / best, lambda: _dcg(groups.mean(gains), k) / best
    )


def expected_measure(
    scores: np.ndarray, relevance: np.ndarray, measure: str = "recall@10", *, min_grade: float = 1
) -> np.ndarray:
    """Recall@k or nDCG@k of whole score matrices, expected over the orders of ties, by query.

    What fitted fusions maximise; the same as :func:`recall` and :func:`ndcg` without sorting, which
    a grid search repeats a hundred times. ``scores`` are of shape (n_query, n_doc) in any order,
    NaN where a document was not retrieved; ``relevance`` holds the grades of all documents. NaN for
    a query without a relevant document.

    A document with a documents above it and b at or above it takes each of the ranks a + 1 ... b in
    equally many orders, and adds the mean discount of those ranks.

    >>> expected_measure(np.array([[0.5, 0.5]]), np.array([[1, 0]]), "recall@1")
    array([0.5])
    """
    name, k = parse_measure(measure)
    if name not in ("recall", "ndcg") or k is None:
        msg = f"unknown measure {measure!r}; use recall@k or ndcg@k, e.g. 'recall@10'"
        raise MmgapError(msg)
    gains = (relevance >= min_grade).astype(float) if name == "recall" else np.maximum(relevance, 0)
    discount = np.ones(k) if name == "recall" else 1 / np.log2(np.arange(2, k + 2))
    up_to = np.concatenate([[0.0], np.cumsum(discount)])
    if name == "recall":
        best = gains.sum(axis=1)
    else:
        ideal = -np.sort(-gains, axis=1)[:, :k]
        best = ideal @ discount[: ideal.shape[1]]
    got = np.zeros(len(scores))
    queries, docs = np.nonzero((gains > 0) & ~np.isnan(scores))
    step = max(1, CELLS_AT_ONCE // max(scores.shape[1], 1))
    for start in range(0, len(queries), step):
        query, doc = queries[start : start + step], docs[start : start + step]
        own, others = scores[query, doc][:, None], scores[query]
        above, reached = (others > own).sum(axis=1), (others >= own).sum(axis=1)
        mean = (up_to[np.minimum(reached, k)] - up_to[np.minimum(above, k)]) / (reached - above)
        got += np.bincount(query, gains[query, doc] * mean, minlength=len(scores))
    return np.where(best > 0, got / np.where(best > 0, best, 1), np.nan)


def tied_at(scores: np.ndarray | TieGroups | Run, k: int, *, tolerance: float = 0.0) -> np.ndarray:
    """Whether the cut-off at k falls inside a group of tied documents: bool of shape (n_query,).

    True where ranks k and k + 1 hold documents of equal score. In lists of k documents no tie can
    be seen, but a run may say that documents beyond its list tie with the last entry.

    >>> tied_at(np.array([[3.0, 2.0, 2.0], [3.0, 2.0, 1.0]]), k=2)
    array([ True, False])
    """
    beyond = np.False_
    if isinstance(scores, Run):
        if scores.tied_beyond is not None:
            beyond = np.asarray(scores.tied_beyond, dtype=bool) & (scores.lengths == k)
        scores = scores.scores
    groups = TieGroups.of(scores, tolerance)
    _cut_off(k)
    if k >= groups.shape[1]:
        return np.zeros(groups.shape[0], dtype=bool) | beyond
    return (~groups.starts[:, k] & ~groups.empty[:, k]) | beyond


def parse_measure(measure: str) -> tuple[str, int | None]:
    """Split ``"recall@10"`` into ``("recall", 10)``; the cut-off is None where there is none.

    Names in upper or lower case: ``recall``, ``hit`` (also ``success``, ``hit_rate``; recall@k of
    CLIP papers and M-BEIR), ``ndcg`` (linear gain), ``ndcg_exp`` (``ndcg_burges``), ``mrr``
    (``rr``) and ``map`` (``ap``).

    >>> parse_measure("ndcg@10"), parse_measure("mrr"), parse_measure("AP@100")
    (('ndcg', 10), ('mrr', None), ('map', 100))
    """
    name, at, k = measure.partition("@") if isinstance(measure, str) else ("", "", "")
    name = ALIASES.get(name.lower(), name.lower())
    if name not in NAMES or (at and not (k.isdecimal() and int(k) > 0)):
        also = ", ".join(f"{alias} = {known}" for alias, known in ALIASES.items())
        msg = (
            f"unknown measure {measure!r}; expected one of {', '.join(NAMES)} (also {also}), with "
            "a cut-off of 1 or more, e.g. 'recall@10', or without"
        )
        raise MmgapError(msg)
    return name, int(k) if at else None


def check_grade(min_grade: float) -> None:
    """Refuse a lowest relevant grade that is not above 0, the grade of documents not judged."""
    if not min_grade > 0 or min_grade == np.inf:
        msg = f"min_grade must be positive, got {min_grade}: documents not judged have grade 0"
        raise MmgapError(msg)


def _relevant(
    scores: np.ndarray | TieGroups, gains: np.ndarray, min_grade: float, tolerance: float
) -> tuple[TieGroups, np.ndarray]:
    """Tie groups and, for each rank, 1.0 if it holds a relevant document, else 0.0."""
    check_grade(min_grade)
    groups = TieGroups.of(scores, tolerance)
    return groups, (groups.aligned(gains) >= min_grade).astype(np.float64)


def _at_least_one(n_relevant: np.ndarray, n_query: int) -> np.ndarray:
    n_relevant = np.asarray(n_relevant)
    if n_relevant.shape != (n_query,) or (n_relevant < 1).any():
        msg = f"n_relevant must hold a number >= 1 for each of the {n_query} queries"
        raise MmgapError(msg)
    return n_relevant


def _cut_off(k: int | None) -> int | None:
    if k is not None and k < 1:
        msg = f"k must be at least 1, or None for the whole list; got {k}"
        raise MmgapError(msg)
    return k


def _dcg(gains: np.ndarray, k: int | None) -> np.ndarray:
    gains = gains[:, :k]
    return (gains / np.log2(np.arange(2, gains.shape[1] + 2))).sum(axis=1)
