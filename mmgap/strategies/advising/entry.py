"""One candidate for the advice: what it is, what it found, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.strategies.method import Method
from mmgap.strategies.two_stage import TwoStage

EFFORTS = (
    "one leg",
    "plain merge",
    "merge without fit",
    "unlabelled calibration",
    "labelled calibration",
    "reranker",
)
"""What a method asks of its user, from little to much; more must be earned by better results."""


@dataclass(eq=False)
class Entry:
    """A method or a reranked strategy, and what it found for each calibration query.

    Parameters
    ----------
    name : str
    about : Method or TwoStage
    effort : int
        Place in ``EFFORTS``.
    figures : float array of shape (4, n_query)
        The measure in expected, optimistic and pessimistic order of ties, and whether the cut-off
        falls inside tied documents.
    ms : float
        Milliseconds for one query, measured.
    why_not : str, default ""
        Why it is not allowed; empty if it is.

    Examples
    --------
    >>> from mmgap.strategies.methods import METHODS
    >>> Entry("text leg", METHODS["text leg"], 0, np.array([[1, 0, 0, 1]] * 4), 0.2).mean
    0.5
    """

    name: str
    about: Method | TwoStage
    effort: int
    figures: np.ndarray
    ms: float
    why_not: str = ""

    @property
    def values(self) -> np.ndarray:
        """The measure of each query, in expectation over ties."""
        return self.figures[0]

    @property
    def mean(self) -> float:
        """The measure, over all queries."""
        return float(self.figures[0].mean())
