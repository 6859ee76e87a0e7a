"""What AutoRAG returns when it fuses ranked lists."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def autorag_cc(
    semantic: Ranked,
    lexical: Ranked,
    *,
    weight: float,
    normalize_method: str = "mm",
    semantic_theoretical_min_value: float = -1.0,
    lexical_theoretical_min_value: float = 0.0,
) -> Ranked:
    """AutoRAG's ``hybrid_cc``.

    Parameters
    ----------
    semantic, lexical : dict or ndarray of shape (n_query, n_doc)
    weight : float
        Of the semantic list, in [0, 1]; the lexical one has the rest.
    normalize_method : {"mm", "tmm", "z", "dbsf"}, default "mm"
        As :func:`autorag_normalize`.
    semantic_theoretical_min_value, lexical_theoretical_min_value : float
        Of ``tmm``.

    Returns
    -------
    scores : dict or ndarray
        Weighted sum of the normalised scores. NaN counts as 0, be it that of a missing document or
        that of equal scores: a list whose scores are all equal says nothing, and under ``z`` a
        missing document beats every retrieved one below the mean.

    Raises
    ------
    ValueError
        If lists do not fit together, ``weight`` is not in [0, 1] or the method is unknown.

    Notes
    -----
    Mirrors ``autorag/nodes/retrieval/hybrid_cc.py`` (``fuse_per_query``).

    Examples
    --------
    >>> autorag_cc({"a": 0.5, "b": 0.5}, {"b": 3.0, "c": 1.0}, weight=0.5)
    {'b': 0.5, 'a': 0.0, 'c': 0.0}
    """
    if not 0 <= weight <= 1:
        msg = f"weight must be in [0, 1]; got {weight}"
        raise MmgapError(msg)
    given = RankedLists([semantic, lexical])
    floors = (semantic_theoretical_min_value, lexical_theoretical_min_value)
    fused = np.zeros(given.found.shape)
    for leg, (share, floor) in enumerate(zip((weight, 1.0 - weight), floors, strict=True)):
        for query, row in enumerate(given.in_order(leg)):
            listed = row[~np.isnan(row)]
            columns = np.argsort(given.places[leg][query], kind="stable")[: len(listed)]
            normalised = autorag_normalize(listed, normalize_method, theoretical_min=floor)
            fused[query, columns] += share * np.nan_to_num(normalised, nan=0.0)
    return given.back(np.where(given.found, fused, np.nan))


def autorag_normalize(
    scores: np.ndarray, method: str = "mm", *, theoretical_min: float = 0.0
) -> np.ndarray:
    """AutoRAG's normalisation of one list.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    method : {"mm", "tmm", "z", "dbsf"}, default "mm"
        Min-max; theoretical min-max between ``theoretical_min`` and the maximum; z-score and
        (s - mean + 3 sd) / (6 sd), sd dividing by n, not clipped.
    theoretical_min : float, default 0.0

    Returns
    -------
    normalised : ndarray of shape (n,)
        NaN where it divides 0 by 0: equal scores or one score (``tmm``: scores equal to the
        minimum). Where the mean of equal scores is not exact their deviation is not quite 0, and
        ``z`` and ``dbsf`` return numbers that mean nothing.

    Notes
    -----
    Mirrors ``autorag/nodes/retrieval/hybrid_cc.py`` (``normalize_*``).

    Examples
    --------
    >>> autorag_normalize(np.array([0.5, 0.5]))
    array([nan, nan])
    >>> autorag_normalize(np.array([0.1, 0.1, 0.1]), "z")
    array([-1., -1., -1.])
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.size == 0:
        return scores
    match method:
        case "mm":
            above, span = scores - scores.min(), scores.max() - scores.min()
        case "tmm":
            above, span = scores - theoretical_min, scores.max() - theoretical_min
        case "z":
            above, span = scores - scores.mean(), scores.std()
        case "dbsf":
            low, high = scores.mean() - 3 * scores.std(), scores.mean() + 3 * scores.std()
            above, span = scores - low, high - low
        case _:
            msg = f"unknown method {method!r}; AutoRAG has mm, tmm, z and dbsf"
            raise MmgapError(msg)
    with np.errstate(divide="ignore", invalid="ignore"):
        return above / span
