"""Hubness: how unevenly documents appear in the result lists of a set of queries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import BLOCK_BYTES, paired_rows, row_blocks, unit_rows
from mmgap.gap.measure import Measure

_QUERIES_AT_ONCE = 1024


def k_occurrence(
    queries: np.ndarray,
    documents: np.ndarray,
    k: int = 10,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> np.ndarray:
    """In how many lists of the k nearest documents each document appears.

    Documents are read once, a block at a time, and each query keeps its best k so far. So the
    matrix of all scores is never made, and documents may be a memory map.

    Parameters
    ----------
    queries : ndarray of shape (n_query, dim)
        Held in memory as float64.
    documents : ndarray of shape (n_document, dim)
        Rows of both are brought to unit length; nearer = larger cosine.
    k : int, default 10
        At most n_document.
    block_bytes : int, default 64 MiB
        Most bytes of one block of documents and of one block of scores; about four such blocks
        are held at once.

    Returns
    -------
    counts : int64 ndarray of shape (n_document,)
        N_k, in [0, n_query]; the sum is k n_query. The block size changes nothing. Documents with
        the same score are taken in their order, so that of equal documents the first ones get
        the places.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, dimensions differ or there are fewer than k documents.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, Sec. 2.

    Examples
    --------
    Both queries are nearest to the middle document.

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


def count_skew(counts: np.ndarray) -> float:
    """Skewness of k-occurrences: the third moment about the mean over the cube of the sd.

    Parameters
    ----------
    counts : ndarray of shape (n_document,)
        As of :func:`k_occurrence`.

    Returns
    -------
    skew : float
        0 = symmetric, or all equal; larger = few documents appear in very many lists. Both
        moments divide by n.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, Eq. 1.

    Examples
    --------
    Deviations -1, -1, -1, 3: moments 24/4 and 12/4, and 6 / 3^1.5 = 2 / sqrt(3).

    >>> round(count_skew(np.array([0, 0, 0, 4])), 4)
    1.1547
    """
    return _of_counts(counts, _skew)


def count_antihubs(counts: np.ndarray) -> float:
    """Share of documents that appear in no list.

    Parameters
    ----------
    counts : ndarray of shape (n_document,)
        As of :func:`k_occurrence`.

    Returns
    -------
    rate : float
        In [0, 1]; larger = more documents that no query can find. At least 1 - k n_query /
        n_document: with few queries it is large whatever the space is like.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, Sec. 6 (antihubs).

    Examples
    --------
    >>> count_antihubs(np.array([0, 0, 0, 4]))
    0.75
    """
    return _of_counts(counts, _antihubs)


def count_robin_hood(counts: np.ndarray) -> float:
    """Share of all places that would have to move for all documents to appear equally often.

    ``sum |N - mean N| / (2 sum N)``, as in scikit-hubness; the Hoover index of incomes.

    Parameters
    ----------
    counts : ndarray of shape (n_document,)
        As of :func:`k_occurrence`.

    Returns
    -------
    index : float
        In [0, 1); larger = less even, 0 = all equal.

    References
    ----------
    .. [1] Feldbauer et al., "Fast Approximate Hubness Reduction for Large High-Dimensional Data",
       IEEE International Conference on Big Knowledge 2018.

    Examples
    --------
    Three of the four places go to the other three documents.

    >>> count_robin_hood(np.array([0, 0, 0, 4]))
    0.75
    """
    return _of_counts(counts, _robin_hood)


def t2i_hubness_skew(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """Skewness of how often each image is among the k nearest images of a text.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least k rows.
    text_embeddings : ndarray of shape (n_text, dim)
        The queries; need not be paired with the images.
    k : int, default 10

    Returns
    -------
    skew : float
        As :func:`count_skew`; larger = few images appear in very many lists. Unchanged by a
        rotation of both and by the order of rows (but for equal cosines). Depends on the numbers
        of queries and of documents: compare at equal n.

    Raises
    ------
    MmgapError
        If embeddings cannot be used or there are fewer than k images.

    References
    ----------
    .. [1] Radovanovic, Nanopoulos and Ivanovic, "Hubs in Space", JMLR 2010, Eq. 1.

    Examples
    --------
    Four texts, all nearest to the last of four images: the counts are 0, 0, 0, 4.

    >>> image = np.eye(4)
    >>> round(t2i_hubness_skew(image, image + [0, 0, 0, 2], k=1), 4)
    1.1547
    """
    return count_skew(k_occurrence(text_embeddings, image_embeddings, k))


def i2t_hubness_skew(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """:func:`t2i_hubness_skew` with images as queries and texts as documents.

    Examples
    --------
    >>> text = np.eye(4)
    >>> round(i2t_hubness_skew(text + [0, 0, 0, 2], text, k=1), 4)
    1.1547
    """
    return t2i_hubness_skew(text_embeddings, image_embeddings, k=k)


def t2i_hubness_max(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """Count the texts that have the most frequent image among their k nearest images.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least k rows.
    text_embeddings : ndarray of shape (n_text, dim)
        The queries; need not be paired with the images.
    k : int, default 10

    Returns
    -------
    largest : float
        In [k n_text / n_image, n_text]; larger = the worst hub is in more lists. Grows with the
        number of queries. Invariances as :func:`t2i_hubness_skew`.

    Raises
    ------
    MmgapError
        If embeddings cannot be used or there are fewer than k images.

    Examples
    --------
    Four texts, all nearest to the last of four images.

    >>> t2i_hubness_max(np.eye(4), np.eye(4) + [0, 0, 0, 2], k=1)
    4.0
    """
    return float(k_occurrence(text_embeddings, image_embeddings, k).max())


def i2t_hubness_max(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """:func:`t2i_hubness_max` with images as queries and texts as documents.

    Examples
    --------
    >>> i2t_hubness_max(np.eye(4) + [0, 0, 0, 2], np.eye(4), k=1)
    4.0
    """
    return t2i_hubness_max(text_embeddings, image_embeddings, k=k)


def t2i_antihub_rate(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """Share of images that are among the k nearest images of no text.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least k rows.
    text_embeddings : ndarray of shape (n_text, dim)
        The queries; need not be paired with the images.
    k : int, default 10

    Returns
    -------
    rate : float
        As :func:`count_antihubs`, in [0, 1]; larger = more images that no text finds.
        Invariances as :func:`t2i_hubness_skew`.

    Raises
    ------
    MmgapError
        If embeddings cannot be used or there are fewer than k images.

    Examples
    --------
    Four texts, all nearest to the last of four images.

    >>> t2i_antihub_rate(np.eye(4), np.eye(4) + [0, 0, 0, 2], k=1)
    0.75
    """
    return count_antihubs(k_occurrence(text_embeddings, image_embeddings, k))


def i2t_antihub_rate(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """:func:`t2i_antihub_rate` with images as queries and texts as documents.

    Examples
    --------
    >>> i2t_antihub_rate(np.eye(4) + [0, 0, 0, 2], np.eye(4), k=1)
    0.75
    """
    return t2i_antihub_rate(text_embeddings, image_embeddings, k=k)


def t2i_robin_hood(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """Robin Hood index of how often each image is among the k nearest images of a text.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least k rows.
    text_embeddings : ndarray of shape (n_text, dim)
        The queries; need not be paired with the images.
    k : int, default 10

    Returns
    -------
    index : float
        As :func:`count_robin_hood`, in [0, 1); larger = places in the lists are less even.
        Invariances as :func:`t2i_hubness_skew`.

    Raises
    ------
    MmgapError
        If embeddings cannot be used or there are fewer than k images.

    Examples
    --------
    Four texts, all nearest to the last of four images.

    >>> t2i_robin_hood(np.eye(4), np.eye(4) + [0, 0, 0, 2], k=1)
    0.75
    """
    return count_robin_hood(k_occurrence(text_embeddings, image_embeddings, k))


def i2t_robin_hood(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, *, k: int = 10
) -> float:
    """:func:`t2i_robin_hood` with images as queries and texts as documents.

    Examples
    --------
    >>> i2t_robin_hood(np.eye(4) + [0, 0, 0, 2], np.eye(4), k=1)
    0.75
    """
    return t2i_robin_hood(text_embeddings, image_embeddings, k=k)


def _skew(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    share = weights / weights.sum(axis=1, keepdims=True)
    apart = counts - (share @ counts)[:, None]
    variance = np.sum(share * apart**2, axis=1)
    third = np.sum(share * apart**3, axis=1)
    # Equal counts leave a rounding error; the least variance of n counts that differ is near 1/n.
    differ = variance > 1e-12
    return np.where(differ, third / np.where(differ, variance, 1) ** 1.5, 0.0)


def _most(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.where(weights > 0, counts, 0).max(axis=1)


def _antihubs(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ (counts == 0) / weights.sum(axis=1)


def _robin_hood(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights @ counts
    mean = total / weights.sum(axis=1)
    moved = np.sum(weights * np.abs(counts - mean[:, None]), axis=1)
    return np.where(total > 0, moved / np.where(total > 0, 2 * total, 1), 0.0)


_Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _of_counts(counts: np.ndarray, statistic: _Statistic) -> float:
    counts = np.asarray(counts)
    if counts.ndim != 1 or not len(counts):
        msg = (
            "counts must hold one k-occurrence for each of at least one document; got shape "
            f"{counts.shape}. k_occurrence gives them"
        )
        raise MmgapError(msg)
    return float(statistic(counts, np.ones((1, len(counts))))[0])


def _redrawn(
    statistic: _Statistic, *, texts_ask: bool
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Weighted form in which documents are redrawn and the lists stay as they are.

    Lists made anew would hold several copies of one document, which no search does. The maximum of
    a draw is never above that of the sample, so that its interval lies below.
    """

    def weighted(
        image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        image, text = paired_rows(image_embeddings, text_embeddings)
        counts = k_occurrence(text, image) if texts_ask else k_occurrence(image, text)
        # Few different counts exist, so the weights of equal ones are added up first.
        values, which = np.unique(counts, return_inverse=True)
        return statistic(values, weights @ np.eye(len(values))[which])

    return weighted


_BIBTEX = """@article{radovanovic2010,
  author = {Radovanovi{\\'c}, Milo{\\v{s}} and Nanopoulos, Alexandros and Ivanovi{\\'c}, Mirjana},
  title = {Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data},
  journal = {Journal of Machine Learning Research},
  volume = {11},
  pages = {2487--2531},
  year = {2010},
}"""
_BIBTEX_ROBIN_HOOD = """@inproceedings{feldbauer2018,
  author = {Feldbauer, Roman and Leodolter, Maximilian and Plant, Claudia and Flexer, Arthur},
  title = {Fast Approximate Hubness Reduction for Large High-Dimensional Data},
  booktitle = {IEEE International Conference on Big Knowledge},
  year = {2018},
}"""


def _measure(
    function: Callable[..., float],
    statistic: _Statistic,
    *,
    symbol: str,
    title: str,
    larger: str,
    bounds: tuple[float, float] = (0, 1),
    reference: str = "Radovanovic et al., Hubs in Space, JMLR 2010, Sec. 2",
    bibtex: str = _BIBTEX,
) -> Measure:
    texts_ask = function.__name__.startswith("t2i")
    way = "text to image" if texts_ask else "image to text"
    return Measure(
        name=function.__name__,
        symbol=f"{symbol} {'t2i' if texts_ask else 'i2t'}",
        title=f"{title}, {way}",
        function=function,
        sides=False,
        paired=False,
        range=bounds,
        larger=larger,
        invariances=("rotation", "permutation of pairs", "shuffled texts", "scale of a row"),
        reference=reference,
        bibtex=bibtex,
        null=None,
        weighted=_redrawn(statistic, texts_ask=texts_ask),
    )


HUBNESS = tuple(
    measure
    for skew, largest, antihubs, robin_hood in [
        (t2i_hubness_skew, t2i_hubness_max, t2i_antihub_rate, t2i_robin_hood),
        (i2t_hubness_skew, i2t_hubness_max, i2t_antihub_rate, i2t_robin_hood),
    ]
    for measure in [
        _measure(
            skew,
            _skew,
            symbol="N10 skew",
            title="skewness of the 10-occurrences",
            larger="few items appear in very many result lists",
            bounds=(-np.inf, np.inf),
        ),
        _measure(
            largest,
            _most,
            symbol="N10 max",
            title="largest 10-occurrence",
            larger="the worst hub appears in more result lists",
            bounds=(0, np.inf),
        ),
        _measure(
            antihubs,
            _antihubs,
            symbol="antihubs",
            title="share of items in nobody's first 10",
            larger="more items are found by no query",
        ),
        _measure(
            robin_hood,
            _robin_hood,
            symbol="Robin Hood",
            title="Robin Hood index of the 10-occurrences",
            larger="places in the result lists are shared less evenly",
            reference="Feldbauer et al., IEEE Big Knowledge 2018",
            bibtex=_BIBTEX_ROBIN_HOOD,
        ),
    ]
)
"""The four measures of text-to-image lists, then those of image-to-text lists."""
