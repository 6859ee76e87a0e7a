"""Hubness: how unevenly documents appear in the result lists of a set of queries.

The k-occurrence N of a document is the number of queries that have it among their first k. Four
statistics of it describe either direction: ``t2i_...`` takes texts as queries and images as
documents, ``i2t_...`` the other way round. All depend on the numbers of queries and documents:
compare at equal n. Inputs and errors as in :mod:`mmgap.gap.measures`; images and texts need not be
paired.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmgap.arrays import BLOCK_BYTES, row_blocks, unit_rows
from mmgap.errors import MmgapError

_QUERIES_AT_ONCE = 1024


def k_occurrence(
    queries: np.ndarray,
    documents: np.ndarray,
    k: int = 10,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> np.ndarray:
    """In how many queries' k nearest documents (by cosine) each document is; sums to k n_query.

    Documents are read once, in blocks of at most ``block_bytes``, and may be a memory map. Those
    with the same score are taken in their order. Radovanovic et al. 2010, Sec. 2.

    >>> documents = np.array([[1.0, 0.0], [0.7, 0.7], [0.0, 1.0]])
    >>> k_occurrence(np.array([[0.8, 0.6], [0.6, 0.8]]), documents, k=1)
    array([0, 2, 0])
    """
    query = unit_rows("queries", queries)
    n_document = len(documents) if hasattr(documents, "__len__") else 0
    if not (isinstance(k, int | np.integer) and 1 <= k <= n_document):
        msg = (
            f"k is {k!r} and there are {n_document} documents; expected a whole number from 1 to "
            "the number of documents. Give a smaller k"
        )
        raise MmgapError(msg)
    best = np.full((len(query), k), -np.inf)
    where = np.zeros((len(query), k), dtype=np.int64)
    width = max(min(len(query), _QUERIES_AT_ONCE), query.shape[1])
    for rows in row_blocks(n_document, width, block_bytes=block_bytes):
        block = unit_rows(f"documents[{rows.start}:{rows.stop}]", documents[rows])
        if block.shape[1] != query.shape[1]:
            msg = (
                f"queries have {query.shape[1]} dimensions and documents {block.shape[1]}; "
                "expected vectors of one model"
            )
            raise MmgapError(msg)
        for start in range(0, len(query), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            _keep_best(query[part] @ block.T, rows.start, best[part], where[part])
    return np.bincount(where.ravel(), minlength=n_document)


def _keep_best(scores: np.ndarray, first: int, best: np.ndarray, where: np.ndarray) -> None:
    """Merge the scores of documents ``first``, ``first + 1``, ... into the best so far."""
    k = best.shape[1]
    # A later document must beat the k-th, since of equal ones the earlier stays.
    better = scores > best[:, -1:]
    if first == 0 and scores.shape[1] > k:
        better = scores >= np.partition(scores, -k, axis=1)[:, -k, None]
    query, column = np.nonzero(better)
    query = np.concatenate([np.repeat(np.arange(len(best)), k), query])
    found = np.concatenate([best.ravel(), scores[better]])
    document = np.concatenate([where.ravel(), column + first])
    # Stable: of equal scores those kept before come first, then lower columns.
    order = np.lexsort((-found, query))
    starts = np.searchsorted(query[order], np.arange(len(best)))
    kept = order[starts[:, None] + np.arange(k)]
    best[:], where[:] = found[kept], document[kept]


# Statistics of counts; ``weights`` of shape (n_draw, n_document) say how often each counts


def skew(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Third moment about the mean over the cube of the sd, both over n; 0 where all are equal."""
    p = weights / weights.sum(axis=1, keepdims=True)
    apart = counts - (p @ counts)[:, None]
    variance = np.sum(p * apart**2, axis=1)
    third = np.sum(p * apart**3, axis=1)
    # Equal counts leave a rounding error; the least variance of n counts that differ is near 1/n.
    differ = variance > 1e-12
    return np.where(differ, third / np.where(differ, variance, 1) ** 1.5, 0.0)


def largest(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Largest count: the worst hub. A draw never exceeds the sample: its interval lies below."""
    return np.where(weights > 0, counts, 0).max(axis=1)


def antihubs(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fraction of documents in no list; at least 1 - k n_query / n_document."""
    return weights @ (counts == 0) / weights.sum(axis=1)


def robin_hood(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fraction of all ranks that would have to move for even counts, sum |N - mean| / (2 sum N).

    The Hoover index of incomes, as in scikit-hubness.
    """
    total = weights @ counts
    mean = total / weights.sum(axis=1)
    moved = np.sum(weights * np.abs(counts - mean[:, None]), axis=1)
    return np.where(total > 0, moved / np.where(total > 0, 2 * total, 1), 0.0)


Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def of_counts(statistic: Statistic, counts: np.ndarray) -> float:
    """Value of a statistic of k-occurrences.

    Deviations -1, -1, -1, 3: moments 24/4 and 12/4, and 6 / 3^1.5 = 2 / sqrt(3).

    >>> round(of_counts(skew, np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or not len(counts):
        msg = (
            "counts must hold one k-occurrence for each of at least one document; got shape "
            f"{counts.shape}. k_occurrence gives them"
        )
        raise MmgapError(msg)
    return float(statistic(counts, np.ones((1, len(counts))))[0])


def redrawn(statistic: Statistic, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Statistic of each draw of documents; the lists stay as they are.

    Lists made anew would hold several copies of one document, which no search does.
    """
    # Few different counts exist, so the weights of equal ones are added up first.
    values, which = np.unique(counts, return_inverse=True)
    return statistic(values, weights @ np.eye(len(values))[which])


def count_skew(counts: np.ndarray) -> float:
    """Skewness of k-occurrences; larger = few documents are in very many lists.

    >>> round(count_skew(np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    return of_counts(skew, counts)


def t2i_counts(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """10-occurrences of the images in the lists of the texts."""
    return k_occurrence(text, image)


def i2t_counts(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """10-occurrences of the texts in the lists of the images."""
    return k_occurrence(image, text)


def _t2i(name: str, statistic: Statistic) -> Callable[..., float]:
    def measure(image: np.ndarray, text: np.ndarray, *, k: int = 10) -> float:
        return of_counts(statistic, k_occurrence(text, image, k))

    return _named(measure, f"t2i_{name}", statistic)


def _i2t(name: str, statistic: Statistic) -> Callable[..., float]:
    def measure(image: np.ndarray, text: np.ndarray, *, k: int = 10) -> float:
        return of_counts(statistic, k_occurrence(image, text, k))

    return _named(measure, f"i2t_{name}", statistic)


def _named(measure: Callable[..., float], name: str, statistic: Statistic) -> Callable[..., float]:
    measure.__name__ = measure.__qualname__ = name
    asks = "texts among images" if name.startswith("t2i") else "images among texts"
    measure.__doc__ = f"Of {asks}. {statistic.__doc__}"
    return measure


t2i_hubness_skew = _t2i("hubness_skew", skew)
t2i_hubness_max = _t2i("hubness_max", largest)
t2i_antihub_rate = _t2i("antihub_rate", antihubs)
t2i_robin_hood = _t2i("robin_hood", robin_hood)
i2t_hubness_skew = _i2t("hubness_skew", skew)
i2t_hubness_max = _i2t("hubness_max", largest)
i2t_antihub_rate = _i2t("antihub_rate", antihubs)
i2t_robin_hood = _i2t("robin_hood", robin_hood)
