"""Recall, hit, nDCG, MRR and MAP that say what ties do to them.

Documents with equal scores have no order. Each measure is therefore given three times: its mean
over all orders of the tied documents, in closed form, and its best and worst value over them.
All measures lie in [0, 1] and larger is better.

Every closed form rests on one number per place of the list. For measures that are sums over places
(recall, DCG) it is the mean gain of the place's group of ties. For measures that stop at the first
relevant document (hit, MRR) it is the chance that the place holds a relevant document when no
earlier one does. For average precision it is the mean product of relevance and precision.

The bounds are the two orders that sort each group by gain, best or worst first. No other order
does better or worse: no measure here falls when a document of larger gain changes places with one
of smaller gain below it, whatever the cut-off, since discounts only shrink down the list.

Two measures are called recall. **Recall** (:func:`recall`) is the share of a query's relevant
documents that were found: that of trec_eval, MTEB and EDIS. **Hit** (:func:`hit`) is whether at
least one was found: success@k of trec_eval, hit rate of MTEB and ranx, and what CLIP papers and
M-BEIR (UniIR) report as "Recall@k". They agree where every query has one relevant document, else
hit is the larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.runs import Run
from mmgap.evaluation.tie_groups import OverTies, TieGroups

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("recall", "hit", "ndcg", "ndcg_exp", "mrr", "map")
"""Measures that :func:`evaluate` knows; each may carry a cut-off, as in ``recall@10``."""

ALIASES = {
    "success": "hit",
    "hit_rate": "hit",
    "ndcg_burges": "ndcg_exp",
    "rr": "mrr",
    "ap": "map",
}
"""What trec_eval, ir_measures and ranx call the same measures."""

GAINS = ("linear", "exponential")
"""Gains that :func:`ndcg` knows: the grade itself, or 2^grade - 1."""


def recall(
    scores: np.ndarray | TieGroups,
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
    scores : ndarray of shape (n_query, depth), or TieGroups
        Descending in each row; of any sign; -inf marks an empty place. Several measures of the
        same lists are faster with ``TieGroups(scores, tolerance)`` in its place.
    gains : ndarray of shape (n_query, depth)
        Grade of the document in each place, 0 where it is not judged. Ignored in empty places.
    n_relevant : int array of shape (n_query,)
        Relevant documents of each query, retrieved or not.
    k : int or None, default None
        Cut-off; None counts the whole list.
    min_grade : float, default 1
        Lowest grade that counts as relevant.
    tolerance : float, default 0.0
        Neighbours whose scores differ by no more than this are tied; 0 means exactly equal. Groups
        given as TieGroups keep their own.

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
    What CLIP papers and M-BEIR call recall@k is :func:`hit`; both agree when every query has one
    relevant document. Ties can only be seen in the list: one that is cut at exactly k shows none
    at k.

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
    n_relevant = _at_least_one(n_relevant, len(relevant))
    k = _cut_off(k)
    return _over_ties(groups, relevant, groups.mean, lambda place: place[:, :k].sum(1) / n_relevant)


def hit(
    scores: np.ndarray | TieGroups,
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
        success@k, hit rate and, in CLIP papers and M-BEIR, recall@k.

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
    scores: np.ndarray | TieGroups,
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

    A relevant document in place r adds the share of relevant documents in the first r places; one
    that is not among the first k adds nothing.

    Parameters
    ----------
    scores, gains, n_relevant, k, min_grade, tolerance
        As in :func:`recall`.

    Returns
    -------
    values : OverTies
        In [0, 1]; larger is better; 1 when all relevant documents come first. Their mean over
        queries is the mean average precision, MAP. Below 1 by necessity where ``n_relevant``
        exceeds ``k``.

    Raises
    ------
    ValueError
        If a query has no relevant document, scores do not descend, or shapes disagree.

    Notes
    -----
    With a cut-off the sum is divided by the number of all relevant documents, as trec_eval
    (``map_cut``), ir_measures, ranx and MTEB do; some code divides by min(k, that number).

    References
    ----------
    .. [1] McSherry and Najork, ECIR 2008, Sec. 3.
    .. [2] Buckley and Voorhees, "Retrieval System Evaluation", in: TREC, MIT Press 2005.

    Examples
    --------
    Relevant documents in places 1 and 3: (1/1 + 2/3) / 2.

    >>> scores, gains = np.array([[0.9, 0.8, 0.7]]), np.array([[1, 0, 1]])
    >>> average_precision(scores, gains, np.array([2])).expected.round(4)
    array([0.8333])

    The one relevant document shares the first two places: precision 1 or 1/2.

    >>> average_precision(np.array([[0.5, 0.5]]), np.array([[0, 1]]), np.array([1])).expected
    array([0.75])
    """
    groups, relevant = _relevant(scores, gains, min_grade, tolerance)
    n_relevant = _at_least_one(n_relevant, len(relevant))
    k = _cut_off(k)
    rank = np.arange(1, relevant.shape[1] + 1)

    def in_order(place: np.ndarray) -> np.ndarray:
        return (place * np.cumsum(place, axis=1) / rank)[:, :k].sum(1) / n_relevant

    if not groups.any_tied:
        return _one_order(in_order(relevant))
    return OverTies(
        expected=groups.precision(relevant)[:, :k].sum(1) / n_relevant,
        optimistic=in_order(groups.relevant_first(relevant)),
        pessimistic=in_order(groups.relevant_last(relevant)),
    )


def ndcg(
    scores: np.ndarray | TieGroups,
    gains: np.ndarray,
    ideal_gains: np.ndarray,
    k: int | None = None,
    *,
    gain: str = "linear",
    tolerance: float = 0.0,
) -> OverTies:
    """Discounted gain of the first k places over that of the best possible list.

    A document of gain g in place r adds g / log2(r + 1).

    Parameters
    ----------
    scores, k, tolerance
        As in :func:`recall`.
    gains : ndarray of shape (n_query, depth)
        Grade of the document in each place; 0 where it is not judged. Negative ones count as 0.
    ideal_gains : ndarray of shape (n_query, n_judged)
        Grades of all judged documents of each query, retrieved or not, in any order; filled up
        with 0.
    gain : {"linear", "exponential"}, default "linear"
        What a grade is worth: itself, as in trec_eval, ir_measures and MTEB, or 2^grade - 1, as in
        web search and learning to rank. The same where all grades are 0 or 1.

    Returns
    -------
    values : OverTies
        In [0, 1]; larger is better; 1 when the list starts with the best documents in order.

    Raises
    ------
    ValueError
        If a query has no positive ideal gain, the gain is unknown, scores do not descend, or
        shapes disagree.

    Notes
    -----
    The best possible list is cut at k too. The code of EDIS does not cut it, and gives grades 1, 2
    and 3 the gains 0, 1 and 3; its nDCG@k is another measure, which many queries cannot bring to 1.

    References
    ----------
    .. [1] Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", ACM TOIS
       2002 (linear gain).
    .. [2] Burges et al., "Learning to Rank using Gradient Descent", ICML 2005, Sec. 6 (exponential
       gain).
    .. [3] McSherry and Najork, ECIR 2008, Sec. 3 (ties).

    Examples
    --------
    The one relevant document stands second: 1 / log2(3).

    >>> ndcg(np.array([[0.9, 0.1]]), np.array([[0, 1]]), np.array([[1]])).expected.round(4)
    array([0.6309])

    Grade 2 stands second, grade 1 first: (1 + 3 / log2(3)) / (3 + 1 / log2(3)).

    >>> grades = np.array([[1, 2]])
    >>> ndcg(np.array([[0.9, 0.1]]), grades, grades, gain="exponential").expected.round(4)
    array([0.7967])
    """
    if gain not in GAINS:
        msg = f"unknown gain {gain!r}; use one of {', '.join(GAINS)}"
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
    if not groups.any_tied:
        return _one_order(_dcg(gains, k) / best)
    return OverTies(
        expected=_dcg(groups.mean(gains), k) / best,
        optimistic=_dcg(groups.best_first(gains), k) / best,
        pessimistic=_dcg(groups.worst_first(gains), k) / best,
    )


def tied_at(scores: np.ndarray | TieGroups | Run, k: int, *, tolerance: float = 0.0) -> np.ndarray:
    """Whether the cut-off at k falls inside a group of tied documents.

    Parameters
    ----------
    scores : ndarray of shape (n_query, depth), TieGroups or Run
        As in :func:`recall`.
    k : int
    tolerance : float, default 0.0

    Returns
    -------
    tied : bool array of shape (n_query,)
        True where place k and the next one hold documents of equal score, so that which of them
        counts is a matter of chance. For lists of k places only where a run says that documents
        beyond its list tie with the last entry.

    Raises
    ------
    ValueError
        If scores do not descend.

    Examples
    --------
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
        Names as :func:`parse_measure` takes them: ``recall``, ``hit``, ``ndcg``, ``ndcg_exp``,
        ``mrr`` or ``map``, each with a cut-off (``@10``) or without.
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
        twice for a query, if a measure is unknown, or if its cut-off is deeper than a list that
        is not complete (see :class:`Run`).

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

    asked = {measure: parse_measure(measure) for measure in measures}
    if min_grade is None:
        min_grade = getattr(qrels, "min_grade", 1)
    check_grade(min_grade)
    gains, ideal_gains, n_relevant = _gather(run, qrels, min_grade)
    for measure, (_, k) in asked.items():
        _refuse_deeper(run, measure, k)
    groups = TieGroups(run.scores, tolerance)

    def measured(gains: np.ndarray) -> dict[str, OverTies]:
        return {
            measure: _measure(name, k, groups, (gains, ideal_gains, n_relevant), min_grade)
            for measure, (name, k) in asked.items()
        }

    values = measured(gains)
    if run.tied_beyond is not None and np.any(run.tied_beyond):
        best, worst = _gains_beyond(run, gains, ideal_gains, groups)
        highest, lowest = measured(best), measured(worst)
        values = {
            measure: OverTies(
                over.expected, highest[measure].optimistic, lowest[measure].pessimistic
            )
            for measure, over in values.items()
        }
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

    Parameters
    ----------
    measure : str
        A name, in upper or lower case, and a cut-off if wanted:

        ==================  ================================  ==================================
        name                function                          also called
        ==================  ================================  ==================================
        ``recall``          :func:`recall`                    share of relevant documents found
        ``hit``             :func:`hit`                       ``success``, ``hit_rate``; recall@k
                                                              in CLIP papers and M-BEIR
        ``ndcg``            :func:`ndcg`, linear gain         trec_eval's ``ndcg_cut``
        ``ndcg_exp``        :func:`ndcg`, exponential gain    ``ndcg_burges``
        ``mrr``             :func:`mrr`                       ``rr``
        ``map``             :func:`average_precision`         ``ap``; trec_eval's ``map_cut``
        ==================  ================================  ==================================

    Returns
    -------
    name : str
        One of the first column.
    k : int or None

    Raises
    ------
    ValueError
        If the measure is unknown or its cut-off is not a positive whole number.

    Examples
    --------
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


def _measure(
    name: str,
    k: int | None,
    groups: TieGroups,
    judged: tuple[np.ndarray, np.ndarray, np.ndarray],
    min_grade: float,
) -> OverTies:
    gains, ideal_gains, n_relevant = judged
    match name:
        case "recall":
            return recall(groups, gains, n_relevant, k, min_grade=min_grade)
        case "hit":
            return hit(groups, gains, k, min_grade=min_grade)
        case "mrr":
            return mrr(groups, gains, k, min_grade=min_grade)
        case "map":
            return average_precision(groups, gains, n_relevant, k, min_grade=min_grade)
        case "ndcg_exp":
            return ndcg(groups, gains, ideal_gains, k, gain="exponential")
        case _:
            return ndcg(groups, gains, ideal_gains, k)


def _refuse_deeper(run: Run, measure: str, k: int | None) -> None:
    """Refuse a cut-off deeper than a list that was itself cut."""
    if k is None:
        return
    cut = ~run.is_complete & (run.lengths < k)
    if cut.any():
        query = int(cut.argmax())
        msg = (
            f"run {run.name!r}: {measure} looks at the first {k} documents, and the list of query "
            f"{run.query_ids[query]!r} was cut at {run.lengths[query]}. Rank {k} documents or more "
            f"or ask for a cut-off of {run.lengths[cut].min()} or less; if the list holds every "
            "document that can be ranked, make the run with complete=True"
        )
        raise MmgapError(msg)


def _gains_beyond(
    run: Run, gains: np.ndarray, ideal_gains: np.ndarray, groups: TieGroups
) -> tuple[np.ndarray, np.ndarray]:
    """Gains with the best and worst documents that may tie with the last entry in its group.

    The best are the judged documents that the list leaves out; the worst are not relevant.
    """
    best, worst = gains.astype(float), gains.astype(float)
    beyond = np.asarray(run.tied_beyond, dtype=bool) & (run.lengths > 0)
    for row in np.flatnonzero(beyond):
        last = int(run.lengths[row])
        first = last - 1 - int(groups.position[row, last - 1])
        left = np.sort(ideal_gains[row])[::-1].tolist()
        for gain in gains[row, :last]:
            if gain in left:
                left.remove(gain)
        group = np.sort(np.concatenate([gains[row, first:last], left]))[::-1]
        best[row, first:last], worst[row, first:last] = group[: last - first], 0
    return best, worst


def _over_ties(
    groups: TieGroups,
    relevant: np.ndarray,
    expectation: Callable[[np.ndarray], np.ndarray],
    measure: Callable[[np.ndarray], np.ndarray],
) -> OverTies:
    if not groups.any_tied:
        return _one_order(measure(relevant))
    return OverTies(
        expected=measure(expectation(relevant)),
        optimistic=measure(groups.relevant_first(relevant)),
        pessimistic=measure(groups.relevant_last(relevant)),
    )


def _one_order(values: np.ndarray) -> OverTies:
    return OverTies(values, values.copy(), values.copy())


def _relevant(
    scores: np.ndarray | TieGroups, gains: np.ndarray, min_grade: float, tolerance: float
) -> tuple[TieGroups, np.ndarray]:
    """Tie groups and, for each place, 1.0 if it holds a relevant document, else 0.0."""
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
        _refuse_odd(judged, query_id)
        if not any(grade >= min_grade for grade in judged.values()):
            msg = (
                f"run {run.name!r}: query {query_id!r} has no relevant document in qrels "
                f"(grade >= {min_grade}); add a judgment, lower min_grade, or leave the query out"
            )
            raise MmgapError(msg)
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


def _refuse_odd(judged: Mapping[str, int], query_id: str) -> None:
    """Refuse ids that are not text, which match no document, and grades that are no numbers."""
    for doc_id, grade in judged.items():
        if not isinstance(doc_id, str):
            msg = (
                f"qrels of query {query_id!r}: document id {doc_id!r} is a "
                f"{type(doc_id).__name__} and matches no document; ids are text, use "
                "as_qrels(qrels)"
            )
            raise MmgapError(msg)
        if not (isinstance(grade, Real) and abs(grade) < 1e300):
            msg = f"qrels of query {query_id!r}, document {doc_id!r}: grade {grade!r} is no number"
            raise MmgapError(msg)


def _refuse_repeated(run: Run) -> None:
    ordered = np.sort(run.indices, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if repeated.any():
        msg = (
            f"run {run.name!r} lists a document twice for query "
            f"{run.query_ids[int(repeated.argmax())]!r}; merge the legs first, one entry a document"
        )
        raise MmgapError(msg)
