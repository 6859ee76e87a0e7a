"""Calibration and test queries for a corpus that has no split of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors


def split_queries(
    vectors: Vectors, *, share: float = 0.5, seed: int = 0
) -> tuple[Vectors, Vectors]:
    """Divide the queries by lot; both parts search the same documents.

    Parameters
    ----------
    vectors : Vectors
    share : float, default 0.5
        Of the queries, for calibration.
    seed : int, default 0

    Returns
    -------
    calibration, test : Vectors
        No query is in both. The documents are, so that what is fitted on documents knows those of
        the test: no leak of queries or judgments, but a kinder test than one on new documents.

    Raises
    ------
    MmgapError
        If a part would be empty.
    """
    n = len(vectors.corpus.queries)
    n_calibration = round(share * n)
    if not 0 < n_calibration < n:
        msg = (
            f"{share} of the {n} queries of {vectors.corpus.name!r} leaves calibration or test "
            "without a query; bring more queries or another share"
        )
        raise MmgapError(msg)
    order = np.random.default_rng(seed).permutation(n)
    return (
        take_queries(vectors, np.sort(order[:n_calibration])),
        take_queries(vectors, np.sort(order[n_calibration:])),
    )


def take_queries(vectors: Vectors, rows: np.ndarray) -> Vectors:
    """Return the vectors with some of the queries, in their order, and all documents."""
    ids = {vectors.corpus.query_ids[row] for row in rows}
    corpus = vectors.corpus.select_queries(lambda query: query.id in ids)
    return replace(vectors, corpus=corpus, queries=vectors.queries[np.sort(rows)])


def query_folds(vectors: Vectors, n_folds: int) -> list[np.ndarray]:
    """Divide the queries into parts, so that each can be judged by a fit on the others.

    Parameters
    ----------
    vectors : Vectors
    n_folds : int
        At most so many parts; fewer where there are fewer groups.

    Returns
    -------
    folds : list of int ndarray
        Rows of each part, ascending. Queries with the same relevant documents share one, so that no
        fit has seen the answer of a query that it judges.

    Raises
    ------
    MmgapError
        If all queries have the same relevant documents.
    """
    from sklearn.model_selection import GroupKFold

    corpus = vectors.corpus
    answers = {
        query_id: tuple(sorted(corpus.qrels.relevant(query_id))) for query_id in corpus.query_ids
    }
    number = {answer: at for at, answer in enumerate(dict.fromkeys(answers.values()))}
    groups = np.array([number[answers[query_id]] for query_id in corpus.query_ids])
    if len(number) < 2:
        msg = (
            f"all {len(groups)} queries of {corpus.name!r} have the same relevant documents, so "
            "none could be judged by a fit that has not seen its answer; bring queries about two "
            "things or more"
        )
        raise MmgapError(msg)
    # Mixed by lot, because corpora come sorted and parts are to be alike.
    names = np.random.default_rng(0).permutation(len(number))[groups]
    divided = GroupKFold(min(n_folds, len(number))).split(names, groups=names)
    return [np.sort(rows) for _, rows in divided]
