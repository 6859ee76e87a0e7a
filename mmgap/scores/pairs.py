"""What counts as relevant, one rule for every function that takes judgments of pairs."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError

MIN_GRADE = 1
"""Lowest grade that counts as relevant; pass ``grades >= 2`` for a stricter one."""


def relevant_pairs(judgments: np.ndarray) -> np.ndarray:
    """Which pairs are relevant: bools as they are, grades of at least :data:`MIN_GRADE`.

    Examples
    --------
    >>> relevant_pairs(np.array([-2, 0, 1, 3])), relevant_pairs(np.array([False, True]))
    (array([False, False,  True,  True]), array([False,  True]))
    """
    values = np.asarray(judgments)
    if values.dtype.kind == "b":
        return values
    if values.dtype.kind not in "iuf" or np.isnan(values).any():
        msg = (
            "relevance must be bools or grades, numbers of which 1 and more count as relevant, "
            f"without NaN; got {values.dtype} of shape {values.shape}. To leave a pair out, give "
            "its score NaN"
        )
        raise MmgapError(msg)
    return values >= MIN_GRADE


def lacking_kind(labels: np.ndarray) -> str:
    """Why pairs of these labels give no threshold; empty where both kinds are there."""
    if labels.any() and not labels.all():
        return ""
    return (
        f"a threshold needs relevant and non-relevant pairs with a score; {labels.sum()} of the "
        f"{labels.size} are relevant"
    )
