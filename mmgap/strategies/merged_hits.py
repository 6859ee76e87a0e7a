"""One index that holds every text and every image as a hit of its own: what its first k hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def judge_merged_hits(
    scores: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray],
    k: int = 10,
    *,
    tolerance: float = 1e-12,
) -> pd.DataFrame:
    """Merge the hits of all legs by score and judge the first k of each query.

    Parameters
    ----------
    scores : mapping of leg to ndarray of shape (n_query, n_leg)
        On one scale: larger is better across legs. NaN is no hit, -inf neither.
    relevant : mapping of leg to bool array of the same shape
        Which hit answers which query. All count in the denominator of recall, also those without
        a score, which were not retrieved: say False for pairs that are to be left out.
    k : int, default 10
    tolerance : float, default 1e-12
        Hits whose score differs from that in place k by no more than this are tied with it.

    Returns
    -------
    table : DataFrame
        One row per query: ``expected``, ``optimistic`` and ``pessimistic``, recall@k in [0, 1] as
        a mean over the orders of tied hits, for the best and for the worst order (NaN where nothing
        is relevant); ``tied``, whether the cut-off falls inside ties; ``share <leg>``, the
        expected share of each leg among the first k, in [0, 1] (NaN where there is no hit).
        Unchanged by one increasing map of all scores, but for ``tolerance``.

    Raises
    ------
    ValueError
        If legs or shapes differ, or ``k`` is less than 1.

    Notes
    -----
    Of the hits tied for the last places each is equally likely to get one: the closed form of
    McSherry and Najork, ECIR 2008, Sec. 3, of which recall needs the group at the cut-off only.

    Examples
    --------
    The image takes the first place, the text and another image tie for the second.

    >>> scores = {"text": np.array([[0.4, 0.1]]), "image": np.array([[0.4, 0.9]])}
    >>> relevant = {"text": np.array([[True, False]]), "image": np.array([[False, False]])}
    >>> judge_merged_hits(scores, relevant, k=2).iloc[0].to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'expected': 0.5, 'optimistic': 1.0, 'pessimistic': 0.0, 'tied': True,
     'share text': 0.25, 'share image': 0.75}
    """
    import pandas as pd

    shapes = {leg: np.shape(values) for leg, values in scores.items()}
    labels = {leg: np.shape(values) for leg, values in relevant.items()}
    rows = {shape[0] for shape in shapes.values() if len(shape) == 2}
    if shapes != labels or len(rows) != 1 or any(len(shape) != 2 for shape in shapes.values()):
        msg = (
            "scores and relevant must hold the same legs, each as (n_query, n_leg) with one number "
            f"of queries; got {shapes} and {labels}"
        )
        raise ValueError(msg)
    if k < 1:
        msg = f"k must be at least 1; got {k}"
        raise ValueError(msg)
    hits = np.concatenate(
        [np.asarray(found, dtype=np.float64) for found in scores.values()], axis=1
    )
    hits = np.where(np.isnan(hits), -np.inf, hits)
    good = np.concatenate([np.asarray(relevant[leg], dtype=bool) for leg in scores], axis=1)

    last = min(k, hits.shape[1])
    cut = np.partition(hits, hits.shape[1] - last, axis=1)[:, [hits.shape[1] - last]]
    # Where a query has fewer than k hits the cut-off is -inf and every hit lies above it.
    above = hits > np.where(np.isfinite(cut), cut + tolerance, cut)
    tied = (hits >= np.where(np.isfinite(cut), cut - tolerance, np.inf)) & ~above
    places = np.minimum(k - above.sum(axis=1), tied.sum(axis=1))
    n_tied = tied.sum(axis=1)
    chance = places / np.maximum(n_tied, 1)
    n_good, sure, maybe = (np.count_nonzero(good & part, axis=1) for part in (True, above, tied))
    found = {
        "expected": sure + chance * maybe,
        "optimistic": sure + np.minimum(maybe, places),
        "pessimistic": sure + np.maximum(places - (n_tied - maybe), 0),
    }
    with np.errstate(invalid="ignore"):
        table = pd.DataFrame({name: values / n_good for name, values in found.items()})
        table["tied"] = n_tied > places
        ends = np.cumsum([shape[1] for shape in shapes.values()])[:-1]
        parts = zip(np.split(above, ends, axis=1), np.split(tied, ends, axis=1), strict=True)
        n_shown = above.sum(axis=1) + places
        for leg, (over, at) in zip(scores, parts, strict=True):
            table[f"share {leg}"] = (over.sum(axis=1) + chance * at.sum(axis=1)) / n_shown
    return table
