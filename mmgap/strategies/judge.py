"""One judge: fit strategies, run them, time them, measure every query, test the differences.

(The interface; the tables move onto it one by one.)

    judged = judge(strategies, test, calibration)                 # fitted on other queries
    judged = judge(strategies, test, folds=5)                     # none by a fit that saw it
    judged = judge(strategies, test, calibration, scorer=scorer)  # with reranked strategies

    test, calibration    Vectors or Pool; a Pool is shared, so its scores and relevance are computed
                         once. Lists go at least as deep as the largest cut-off of ``measures``.
    scorer               a PairScorer of the test vectors, or None
    measures             ("recall@10", "ndcg@10"), checked before any work

    judged.strategies    those that ran, in the order given
    judged.failures      {name: why it could not be fitted or run}; left out of everything else
    judged.costed        {name: CostedRun}: run, calls, tokens, pixels, rerank_seconds per query;
                         search_seconds and merge_seconds as means over queries
    judged.values        (n_strategy, 4, n_query, n_measure): expected, optimistic, pessimistic
                         over the orders of tied documents, and whether the cut-off is inside a tie
    judged.by_query(measure, order="expected")   DataFrame, one row a query, one column a strategy
    judged.groups(by)    {"all": rows, class: rows ...}
    judged.table(...)    value, 95 % CI, bounds over ties, difference to the best in ``against``
                         with its CI, effect size, p of the paired randomisation test, p after Holm
    judged.costs(embed_ms=...)                   calls, tokens, pixels and milliseconds a query

``Strategy.fit(calibration_pool)`` and ``FittedStrategy.run(pool, scorer)`` are what it calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import parse_measure


def deepest_cut_off(measures: Iterable[str]) -> int:
    """Return the largest cut-off of the measures, 0 where none has one.

    Examples
    --------
    >>> deepest_cut_off(["recall@10", "ndcg@100", "mrr"])
    100
    """
    try:
        return max((parse_measure(measure)[1] or 0 for measure in measures), default=0)
    except ValueError as error:
        raise MmgapError(str(error)) from error
