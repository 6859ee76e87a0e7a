"""Recall, hit, nDCG and MRR that say what ties do to them.

Documents with equal scores have no order. Each measure is therefore given three times: its mean
over all orders of the tied documents, in closed form, and its best and worst value over them.
All measures lie in [0, 1] and larger is better.

Every closed form rests on one number per place of the list. For measures that are sums over places
(recall, DCG) it is the mean gain of the place's group of ties. For measures that stop at the first
relevant document (hit, MRR) it is the chance that the place holds a relevant document when no
earlier one does. Sorting each group by gain, best or worst first, gives the two bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.evaluation.runs import Run

NAMES = ("recall", "hit", "ndcg", "mrr")
"""Measures that :func:`evaluate` knows; each may carry a cut-off, as in ``recall@10``."""


@dataclass(frozen=True)
class OverTies:
    """A measure over the orders of tied documents, one value per query.

    Parameters
    ----------
    expected : ndarray of shape (n_query,)
        Mean over all orders, each equally likely.
    optimistic : ndarray of shape (n_query,)
        Largest value over all orders: tied relevant documents come first.
    pessimistic : ndarray of shape (n_query,)
        Smallest value over all orders: tied relevant documents come last.
    """

    expected: np.ndarray
    optimistic: np.ndarray
    pessimistic: np.ndarray


def recall(
    scores: np.ndarray,
    gains: np.ndarray,
    n_relevant: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Share of a query's relevant documents that are among its first k.

    Parameters
    ----------
    scores : ndarray of shape (n_query, depth)
        Descending in each row; of any sign; -inf marks an empty place.
    gains : ndarray of shape (n_query, depth)
        Grade of the document in each place, 0 where it is not judged. Ignored in empty places.
    n_relevant : int array of shape (n_query,)
        Relevant documents of each query, retrieved or not.
    k : int or None, default None
        Cut-off; None counts the whole list.
    min_grade : float, default 1
        Lowest grade that counts as relevant.
    tolerance : float, default 0.0
        Neighbours whose scores differ by no more than this are tied; 0 means exactly equal.

    Returns
    -------
    values : OverTies
        In [0, 1]; larger is better. Below 1 by necessity where ``n_relevant`` exceeds ``k``.

    Raises
    ------
    ValueError
        If a query has no relevant document, scores do not descend, or shapes disagree.

    Notes
    -----
    What CLIP papers call recall@k is :func:`hit`; both agree when every query has one relevant
    document. Ties can only be seen in the list: one that is cut at exactly k shows none at k.

    References
    ----------
    .. [1] McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently
       in the Presence of Tied Scores", ECIR 2008, Sec. 3.

    Examples
    --------
    Two documents share the first place, one of them is the relevant one.

    >>> recall(np.array([[0.5, 0.5]]), np.array([[1, 0]]), np.array([1]), k=1)
    OverTies(expected=array([0.5]), optimistic=array([1.]), pessimistic=array([0.]))
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    n_relevant = np.asarray(n_relevant)
    if n_relevant.shape != relevant.shape[:1] or (n_relevant < 1).any():
        msg = f"n_relevant must hold a number >= 1 for each of the {len(relevant)} queries"
        raise ValueError(msg)
    k = _cut_off(k)
    return _over_ties(groups, relevant, groups.mean, lambda place: place[:, :k].sum(1) / n_relevant)


def hit(
    scores: np.ndarray,
    gains: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Whether at least one of the first k documents is relevant.

    Parameters
    ----------
    scores, gains, k, min_grade, tolerance
        As in :func:`recall`.

    Returns
    -------
    values : OverTies
        0 or 1, and in between where ties leave it to chance; larger is better. Also called
        success@k and, in CLIP papers, recall@k.

    Raises
    ------
    ValueError
        If scores do not descend or shapes disagree.

    References
    ----------
    .. [1] McSherry and Najork, ECIR 2008, Sec. 3.

    Examples
    --------
    Two of three tied documents are relevant: a first place goes to one of them in 2 of 3 orders.

    >>> hit(np.array([[0.5, 0.5, 0.5]]), np.array([[1, 1, 0]]), k=1).expected.round(3)
    array([0.667])
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    k = _cut_off(k)
    return _over_ties(
        groups, relevant, groups.chance, lambda place: 1 - np.prod(1 - place[:, :k], axis=1)
    )


def mrr(
    scores: np.ndarray,
    gains: np.ndarray,
    k: int | None = None,
    *,
    min_grade: float = 1,
    tolerance: float = 0.0,
) -> OverTies:
    """Reciprocal rank of the first relevant document, 0 if there is none among the first k.

    Parameters
    ----------
    scores, gains, k, min_grade, tolerance
        As in :func:`recall`.

    Returns
    -------
    values : OverTies
        In [0, 1]; larger is better. Their mean over queries is the mean reciprocal rank.

    Raises
    ------
    ValueError
        If scores do not descend or shapes disagree.

    References
    ----------
    .. [1] McSherry and Najork, ECIR 2008, Sec. 3.

    Examples
    --------
    The relevant document shares the first two places: its rank is 1 or 2.

    >>> mrr(np.array([[0.5, 0.5]]), np.array([[0, 1]]))
    OverTies(expected=array([0.75]), optimistic=array([1.]), pessimistic=array([0.5]))
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    k = _cut_off(k)
    rank = np.arange(1, relevant.shape[1] + 1)

    def first(place: np.ndarray) -> np.ndarray:
        none_so_far = np.cumprod(1 - place, axis=1)
        none_before = np.concatenate([np.ones_like(place[:, :1]), none_so_far[:, :-1]], axis=1)
        return (none_before * place / rank)[:, :k].sum(1)

    return _over_ties(groups, relevant, groups.chance, first)


def ndcg(
    scores: np.ndarray,
    gains: np.ndarray,
    ideal_gains: np.ndarray,
    k: int | None = None,
    *,
    tolerance: float = 0.0,
) -> OverTies:
    """Discounted gain of the first k places over that of the best possible list.

    A document of gain g in place r adds g / log2(r + 1): the linear gain of trec_eval and
    ir_measures. For the exponential gain pass ``2.0**grade - 1`` in both arguments.

    Parameters
    ----------
    scores, k, tolerance
        As in :func:`recall`.
    gains : ndarray of shape (n_query, depth)
        Gain of the document in each place; 0 where it is not judged. Negative ones count as 0.
    ideal_gains : ndarray of shape (n_query, n_judged)
        Gains of all judged documents of each query, retrieved or not, in any order; filled up
        with 0.

    Returns
    -------
    values : OverTies
        In [0, 1]; larger is better; 1 when the list starts with the best documents in order.

    Raises
    ------
    ValueError
        If a query has no positive ideal gain, scores do not descend, or shapes disagree.

    References
    ----------
    .. [1] Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", ACM TOIS
       2002.
    .. [2] McSherry and Najork, ECIR 2008, Sec. 3 (ties).

    Examples
    --------
    The one relevant document stands second: 1 / log2(3).

    >>> ndcg(np.array([[0.9, 0.1]]), np.array([[0, 1]]), np.array([[1]])).expected.round(4)
    array([0.6309])
    """
    groups = _TieGroups(scores, tolerance)
    gains = np.maximum(groups.aligned(gains), 0)
    ideal_gains = -np.sort(-np.maximum(ideal_gains, 0).astype(float), axis=1)
    k = _cut_off(k)
    best = _dcg(ideal_gains, k)
    if best.shape != gains.shape[:1] or (best <= 0).any():
        msg = f"ideal_gains must hold a positive gain for each of the {len(gains)} queries"
        raise ValueError(msg)
    return _over_ties(groups, gains, groups.mean, lambda place: _dcg(place, k) / best)


def tied_at(scores: np.ndarray, k: int, *, tolerance: float = 0.0) -> np.ndarray:
    """Whether the cut-off at k falls inside a group of tied documents.

    Parameters
    ----------
    scores : ndarray of shape (n_query, depth)
        As in :func:`recall`.
    k : int
    tolerance : float, default 0.0

    Returns
    -------
    tied : bool array of shape (n_query,)
        True where place k and the next one hold documents of equal score, so that which of them
        counts is a matter of chance. Never true for lists of k places or fewer.

    Raises
    ------
    ValueError
        If scores do not descend.

    Examples
    --------
    >>> tied_at(np.array([[3.0, 2.0, 2.0], [3.0, 2.0, 1.0]]), k=2)
    array([ True, False])
    """
    groups = _TieGroups(scores, tolerance)
    _cut_off(k)
    if k >= groups.shape[1]:
        return np.zeros(groups.shape[0], dtype=bool)
    return ~groups.starts[:, k] & ~groups.empty[:, k]


def evaluate(
    run: Run,
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str] = ("recall@10", "hit@10", "ndcg@10", "mrr"),
    *,
    min_grade: float | None = None,
    tolerance: float = 0.0,
) -> pd.DataFrame:
    """Measure every query of a run.

    Parameters
    ----------
    run : Run
    qrels : mapping of query id to mapping of document id to grade
        Judged documents that the run's pool does not hold still count in the denominators.
    measures : sequence of str
        ``recall``, ``hit``, ``ndcg`` or ``mrr``, each with a cut-off (``@10``) or without.
    min_grade : float or None, default None
        Lowest grade that counts as relevant; None takes ``qrels.min_grade``, or 1 where ``qrels``
        has none. nDCG uses the grades themselves.
    tolerance : float, default 0.0
        As in :func:`recall`.

    Returns
    -------
    values : DataFrame
        One row per query. The columns have two levels: order (``expected``, ``optimistic``,
        ``pessimistic``) and measure, so that ``values["expected"]`` is a plain table.

    Raises
    ------
    ValueError
        If a query is not in ``qrels`` or has no relevant document, if the run lists a document
        twice for a query, or if a measure is unknown.

    Examples
    --------
    >>> from mmgap.evaluation import Run
    >>> run = Run("demo", ["q"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> evaluate(run, {"q": {"d1": 1}}, ["recall@1", "mrr"])["expected"]
    measure   recall@1  mrr
    query_id
    q              0.0  0.5
    """
    import pandas as pd

    if min_grade is None:
        min_grade = getattr(qrels, "min_grade", 1)
    gains, ideal_gains, n_relevant = _gather(run, qrels, min_grade)
    ties = {"tolerance": tolerance}
    relevance = {"min_grade": min_grade, "tolerance": tolerance}
    values = {}
    for measure in measures:
        name, k = parse_measure(measure)
        match name:
            case "recall":
                result = recall(run.scores, gains, n_relevant, k, **relevance)
            case "hit":
                result = hit(run.scores, gains, k, **relevance)
            case "mrr":
                result = mrr(run.scores, gains, k, **relevance)
            case _:
                result = ndcg(run.scores, gains, ideal_gains, k, **ties)
        values[measure] = result
    orders = ("expected", "optimistic", "pessimistic")
    return pd.DataFrame(
        {
            (order, measure): getattr(values[measure], order)
            for order in orders
            for measure in values
        },
        index=pd.Index(run.query_ids, name="query_id"),
    ).rename_axis(columns=["order", "measure"])


def parse_measure(measure: str) -> tuple[str, int | None]:
    """Split ``"recall@10"`` into ``("recall", 10)``; the cut-off is None where there is none.

    Raises
    ------
    ValueError
        If the measure is unknown or its cut-off is not a positive whole number.

    Examples
    --------
    >>> parse_measure("ndcg@10"), parse_measure("mrr")
    (('ndcg', 10), ('mrr', None))
    """
    name, at, k = measure.partition("@")
    if name not in NAMES or (at and not (k.isdecimal() and int(k) > 0)):
        msg = f"unknown measure {measure!r}; use one of {', '.join(NAMES)}, e.g. 'recall@10'"
        raise ValueError(msg)
    return name, int(k) if at else None


class _TieGroups:
    """The groups of equal scores in each row, and what a place of the list holds given them."""

    def __init__(self, scores: np.ndarray, tolerance: float) -> None:
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 2 or np.isnan(scores).any() or (scores[:, 1:] > scores[:, :-1]).any():
            msg = (
                "scores must have shape (n_query, depth), descend in each row and hold no NaN; "
                f"got shape {scores.shape}. Sort each row, best first, with -inf in empty places"
            )
            raise ValueError(msg)
        self.shape = scores.shape
        self.empty = np.isneginf(scores)
        self.starts = np.ones(scores.shape, dtype=bool)
        self.starts[:, 1:] = scores[:, 1:] < scores[:, :-1] - tolerance
        # Each row begins a group, so groups may be numbered through the flattened rows.
        self.label = np.cumsum(self.starts.ravel()) - 1
        self.size = np.bincount(self.label)
        # How many places of the group remain, this one included.
        end = np.cumsum(self.size)[self.label]
        self.remaining = (end - np.arange(scores.size)).reshape(scores.shape)

    def aligned(self, gains: np.ndarray) -> np.ndarray:
        """Gains as floats, 0 in empty places."""
        gains = np.asarray(gains, dtype=np.float64)
        if gains.shape != self.shape:
            msg = f"gains {gains.shape} must have the shape of scores {self.shape}"
            raise ValueError(msg)
        return np.where(self.empty, 0.0, gains)

    def total(self, gains: np.ndarray) -> np.ndarray:
        return np.bincount(self.label, weights=gains.ravel())[self.label].reshape(self.shape)

    def mean(self, gains: np.ndarray) -> np.ndarray:
        """Gain to expect in each place."""
        return self.total(gains) / self.size[self.label].reshape(self.shape)

    def chance(self, relevant: np.ndarray) -> np.ndarray:
        """Probability of a relevant document in each place if its group has shown none before."""
        return np.minimum(self.total(relevant) / self.remaining, 1.0)

    def best_first(self, gains: np.ndarray) -> np.ndarray:
        return gains.ravel()[np.lexsort((-gains.ravel(), self.label))].reshape(self.shape)

    def worst_first(self, gains: np.ndarray) -> np.ndarray:
        return gains.ravel()[np.lexsort((gains.ravel(), self.label))].reshape(self.shape)


def _over_ties(
    groups: _TieGroups,
    gains: np.ndarray,
    expectation: Callable[[np.ndarray], np.ndarray],
    measure: Callable[[np.ndarray], np.ndarray],
) -> OverTies:
    return OverTies(
        expected=measure(expectation(gains)),
        optimistic=measure(groups.best_first(gains)),
        pessimistic=measure(groups.worst_first(gains)),
    )


def _relevant(
    scores: np.ndarray, gains: np.ndarray, min_grade: float, tolerance: float
) -> tuple[_TieGroups, np.ndarray]:
    """Tie groups and, for each place, 1.0 if it holds a relevant document, else 0.0."""
    if min_grade <= 0:
        msg = f"min_grade must be positive, got {min_grade}: documents not judged have grade 0"
        raise ValueError(msg)
    groups = _TieGroups(scores, tolerance)
    return groups, (groups.aligned(gains) >= min_grade).astype(np.float64)


def _cut_off(k: int | None) -> int | None:
    if k is not None and k < 1:
        msg = f"k must be at least 1, or None for the whole list; got {k}"
        raise ValueError(msg)
    return k


def _dcg(gains: np.ndarray, k: int | None) -> np.ndarray:
    rank = np.arange(1, gains.shape[1] + 1)
    return (gains / np.log2(rank + 1))[:, :k].sum(axis=1)


def _gather(
    run: Run, qrels: Mapping[str, Mapping[str, int]], min_grade: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grades aligned with the run, all grades of each query, and its number of relevant ones."""
    _refuse_repeated(run)
    n_doc = len(run.doc_ids)
    position = {doc_id: index for index, doc_id in enumerate(run.doc_ids)}
    # One number per (query, document) pair; -1, the pair of every empty place, has grade 0.
    grade_of = {-1: 0.0}
    all_grades = []
    for row, query_id in enumerate(run.query_ids):
        judged = qrels.get(query_id, {})
        if not any(grade >= min_grade for grade in judged.values()):
            msg = (
                f"run {run.name!r}: query {query_id!r} has no relevant document in qrels "
                f"(grade >= {min_grade}); add a judgment, lower min_grade, or leave the query out"
            )
            raise ValueError(msg)
        all_grades.append(np.array([*judged.values()], dtype=np.float64))
        for doc_id, grade in judged.items():
            if doc_id in position:
                grade_of[row * n_doc + position[doc_id]] = grade

    pairs = np.array(sorted(grade_of))
    grades = np.array([grade_of[pair] for pair in pairs.tolist()], dtype=np.float64)
    rows = np.arange(len(run.query_ids))[:, None]
    wanted = np.where(run.indices < 0, -1, rows * n_doc + run.indices)
    nearest = np.searchsorted(pairs, wanted, side="right") - 1
    gains = np.where(pairs[nearest] == wanted, grades[nearest], 0.0)

    ideal_gains = np.zeros((len(all_grades), max(map(len, all_grades), default=0)))
    for row, row_grades in enumerate(all_grades):
        ideal_gains[row, : len(row_grades)] = row_grades
    return gains, ideal_gains, (ideal_gains >= min_grade).sum(axis=1)


def _refuse_repeated(run: Run) -> None:
    ordered = np.sort(run.indices, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeated.any():
        msg = (
            f"run {run.name!r} lists a document twice for query "
            f"{run.query_ids[int(repeated.argmax())]!r}; merge the legs first, one entry a document"
        )
        raise ValueError(msg)
