"""What Vespa returns when it fuses rank features in the global phase."""

from __future__ import annotations

import numpy as np

from mmgap.fusion.engine_arithmetic import (
    extremes,
)
from mmgap.fusion.ranked_lists import Ranked, RankedLists


def vespa_normalize_linear(*lists: Ranked, missing: float = 0.0) -> Ranked:
    """Vespa's ``normalize_linear(a) + normalize_linear(b)`` in the global phase.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
        One rank feature each.
    missing : float, default 0.0
        Value of the feature for a hit that its operator did not find: 0 for bm25 and closeness
        [M]. It takes part in the normalisation: one missing hit makes 0 the minimum of a list of
        positive scores, and where scores are negative the *maximum*.

    Returns
    -------
    scores : dict or ndarray
        Sum of 0.5 + (s - midpoint) / (max - min), in double precision; 0.5 where all values are
        equal. Every hit gets a share of every list.

    Notes
    -----
    Mirrors ``container-search/src/main/java/com/yahoo/search/ranking/LinearNormalizer.java``.

    Examples
    --------
    >>> vespa_normalize_linear({"a": 4.0, "b": 2.0}, {"c": 0.5})
    {'a': 1.0, 'c': 1.0, 'b': 0.5}
    """
    given = RankedLists(lists)
    parts = []
    for scores in _filled(given, missing):
        low, high = extremes(scores)
        spread = high > low
        scale = np.where(spread, 1 / np.where(spread, high - low, 1), 0)
        middle = np.where(spread, (low + high) * 0.5, 0)
        parts.append(0.5 + scale * (scores - middle))
    return given.back(np.sum(parts, axis=0))


def vespa_rrf(*lists: Ranked, k: float = 60.0, missing: float = 0.0) -> Ranked:
    """Vespa's ``reciprocal_rank_fusion(a, b)`` in the global phase.

    Parameters
    ----------
    *lists : dict or ndarray of shape (n_query, n_doc)
        One rank feature each.
    k : float, default 60.0
    missing : float, default 0.0
        As in :func:`vespa_normalize_linear`.

    Returns
    -------
    scores : dict or ndarray
        Sum of 1 / (k + rank), ranks from 1. **Every** hit has a rank in every list, one that the
        operator did not find too: at the end where scores are positive, before the negative ones
        otherwise. Equal values are ranked in the order of the hits.

    Notes
    -----
    Mirrors ``container-search/src/main/java/com/yahoo/search/ranking/``
    ``ReciprocalRankNormalizer.java``; k = 60 from
    ``config-model/src/main/java/com/yahoo/schema/expressiontransforms/NormalizerFunctionExpander.java``.

    Examples
    --------
    The second list does not have b, which is last there all the same.

    >>> vespa_rrf({"a": 0.9, "b": 0.8}, {"a": 0.7}, k=0)
    {'a': 2.0, 'b': 1.0}
    """
    given = RankedLists(lists)
    parts = []
    for scores in _filled(given, missing):
        order = np.argsort(-scores, axis=1, kind="stable")
        place = np.empty_like(scores)
        np.put_along_axis(place, order, np.arange(float(scores.shape[1]))[None], axis=1)
        parts.append(1 / (k + 1 + place))
    return given.back(np.where(given.found, np.sum(parts, axis=0), np.nan))


def _filled(given: RankedLists, missing: float) -> list[np.ndarray]:
    """Scores with ``missing`` for hits that a list lacks; NaN for documents that are no hits."""
    return [np.where(given.found & np.isnan(scores), missing, scores) for scores in given.scores]
