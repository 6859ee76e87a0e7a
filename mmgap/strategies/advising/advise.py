"""Which merge to use: the simplest one that nothing allowed beats, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mmgap.evaluation import Run, evaluate
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.advising.advice import Advice
from mmgap.strategies.advising.changes import change_words
from mmgap.strategies.advising.choice import Choice
from mmgap.strategies.advising.entries import measure_entries
from mmgap.strategies.advising.held_out import judge_held_out
from mmgap.strategies.advising.tables import choice_table, class_table
from mmgap.strategies.advising.terms import Terms
from mmgap.strategies.advising.words import reason_words, warning_words
from mmgap.strategies.method import Method

DEPTHS = (8, 16, 32)
"""Documents that are reranked, where a reranker is given."""


def advise(
    calibration: Vectors,
    test: Vectors | None = None,
    *,
    reranker: Reranker | None = None,
    budget_ms: float | None = None,
    n_labels: int | None = 0,
    lists_only: bool = False,
    methods: Iterable[Method] | None = None,
    measure: str = "recall@10",
    by: str | None = "query_class",
    depths: Sequence[int] = DEPTHS,
    embed_ms: float = 0.0,
    n_folds: int = 5,
    alpha: float = 0.05,
    cache: bool | str | Path = True,
) -> Advice:
    """Choose a merge on calibration queries; report it on test queries.

    **The choice.** Every method is fitted on one part of the calibration queries and judged on
    another, in turn, so that each query is judged once, by a fit that has not seen it. The choice
    starts with the better single leg and takes a step to more effort (see ``EFFORTS``) only where
    a method is significantly better: paired randomisation test, corrected by Holm for the methods
    of equal effort and by Bonferroni for the number of efforts. Of those that are, it takes the
    best one of the least effort, and asks again from there. Where nothing is significant the
    simplest method stays. Test queries have no say.

    Parameters
    ----------
    calibration : Vectors
        With judgments: the choice is made by them, also where methods may not use them.
    test : Vectors or None, default None
        Of the same encoder, with other queries. The advised method, the runner-up and the simple
        alternatives are fitted on all of ``calibration`` and judged on these.
    reranker : Reranker or None, default None
        Adds the reranked strategies: ``depths`` documents, half from each leg, or the first ones
        by the mean of raw scores.
    budget_ms : float or None, default None
        Most milliseconds for one query, measured on this machine in batches. None is no limit.
    n_labels : int or None, default 0
        Labelled pairs that methods may be fitted on, as counted in :func:`label_budget`: a query,
        one of the first ten documents of either leg, and the word of a judge. Queries drawn by lot
        are labelled as long as the labels last. 0, like any number below the 20 of one query,
        leaves out methods that need labels; None allows all judgments of ``calibration``.
    lists_only : bool, default False
        No scores can be looked up: leave out methods that need the other leg's score of what one
        leg alone listed.
    methods : iterable of Method or None, default None
        None takes all of ``METHODS``. The legs and the plain merge (mean of raw scores, or
        reciprocal rank fusion with ``lists_only``) are added where they are missing.
    measure : str, default "recall@10"
        With a cut-off, as in :func:`mmgap.evaluation.evaluate`.
    by : str or None, default "query_class"
        Query metadata that splits the queries; ignored where the corpus does not have it.
    depths : sequence of int, default DEPTHS
        Even numbers.
    embed_ms : float, default 0.0
        Time of the encoder for one query, from :func:`embedding_ms`; 0 leaves it out.
    n_folds : int, default 5
        Parts of the calibration queries. Queries with the same relevant documents share a part.
    alpha : float, default 0.05
        Level of significance.
    cache : bool or Path, default True
        Of reranker scores, see :class:`PairScorer`.

    Returns
    -------
    Advice

    Raises
    ------
    MmgapError
        If a number is out of range, or the calibration queries cannot be divided because all have
        the same relevant documents.

    Notes
    -----
    The parts search the same documents, so that what is fitted on documents knows those of the
    judged part: kinder than a new corpus. The value of the advised method on calibration queries
    is the largest of several and so a little too high; the one on test queries is not. Not
    significant does not mean equal: it means that these queries cannot tell.

    References
    ----------
    .. [1] Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 1979.
    .. [2] Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd ed. 2009,
       Sec. 7.10 (cross-validation, and to prefer the simplest model within the error).

    Examples
    --------
    >>> advice = advise(calibration, test, budget_ms=50)  # doctest: +SKIP
    >>> advice.method  # doctest: +SKIP
    'raw, mean'
    """
    terms = Terms(n_labels, lists_only, budget_ms, measure, alpha, embed_ms)
    entries, failures = measure_entries(
        calibration,
        methods,
        terms,
        reranker=reranker,
        depths=depths,
        n_folds=n_folds,
        cache=cache,
    )
    choice = Choice(entries, terms, chance_values(calibration, measure))
    table, by_class = choice_table(choice), class_table(choice, _classes(calibration, by))
    if test is None:
        reasons = reason_words(choice, calibration)
    else:
        held_out = judge_held_out(choice, calibration, test, reranker=reranker, cache=cache)
        table = table.merge(held_out, on="method", how="left")
        reasons = reason_words(choice, calibration, test, held_out)
    changes = change_words(choice, calibration, by_class, reranked=reranker is not None)
    return Advice(
        calibration.corpus.name,
        calibration.encoder.id,
        choice.pick.name,
        None if choice.next is None else choice.next.name,
        measure,
        table,
        by_class,
        tuple(reasons),
        tuple(changes),
        failures,
        warning_words(choice, calibration),
    )


def chance_values(vectors: Vectors, measure: str) -> np.ndarray:
    """Return what a random order of all documents scores in expectation, query by query."""
    corpus = vectors.corpus
    shape = (len(corpus.queries), len(corpus.documents))
    every = np.broadcast_to(np.arange(shape[1]), shape)
    run = Run.from_scores("chance", corpus.query_ids, corpus.doc_ids, every, np.zeros(shape))
    return evaluate(run, corpus.qrels, [measure])["expected"][measure].to_numpy()


def _classes(vectors: Vectors, by: str | None) -> dict[str, np.ndarray]:
    """Rows of the queries of each class; none where the corpus does not say."""
    labels = vectors.corpus.query_frame()
    if by is None or by not in labels:
        return {}
    return {
        str(name): np.flatnonzero(labels[by].to_numpy() == name)
        for name in sorted(labels[by].dropna().unique())
    }
