"""The terms of an advice: what is allowed, and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation.measures import parse_measure
from mmgap.strategies.advising.entry import Entry
from mmgap.strategies.label_budget import JUDGED_DEPTH
from mmgap.strategies.method import BOTH_SCORES, LABELLED_PAIRS, Method

NO_LOOKUP = "needs the other leg's scores"
"""Why a method is not allowed where lists are all there is."""

LEAST_LABELS = len(LEGS) * JUDGED_DEPTH
"""Labelled pairs of one query: the first documents of either leg."""

_PLAIN = {False: "raw, mean", True: "RRF, k = 60"}  # by whether lists are all there is


@dataclass(frozen=True)
class Terms:
    """What is allowed, and how it is judged; the parameters are those of :func:`advise`.

    Raises
    ------
    MmgapError
        If a number is out of range, or the measure has no cut-off.

    Examples
    --------
    >>> Terms(lists_only=True).plain
    'RRF, k = 60'
    >>> Terms(n_labels=19).too_few_labels  # one query shows 20 documents
    True
    """

    n_labels: int | None = 0
    lists_only: bool = False
    budget_ms: float | None = None
    measure: str = "recall@10"
    alpha: float = 0.05
    embed_ms: float = 0.0

    def __post_init__(self) -> None:
        problem = ""
        if parse_measure(self.measure)[1] is None:
            problem = f"measure {self.measure!r} has no cut-off; expected one such as 'recall@10'"
        elif self.budget_ms is not None and not self.budget_ms > 0:
            problem = (
                f"budget_ms is {self.budget_ms}; expected milliseconds above 0, or None for no "
                "limit"
            )
        elif self.n_labels is not None and self.n_labels < 0:
            problem = f"n_labels is {self.n_labels}; expected 0 or more, or None for all judgments"
        elif not 0 < self.alpha < 1:
            problem = f"alpha is {self.alpha}; expected a level between 0 and 1, e.g. 0.05"
        if problem:
            raise MmgapError(problem)

    @property
    def plain(self) -> str:
        """Name of the merge that anyone would try first."""
        return _PLAIN[self.lists_only]

    @property
    def too_few_labels(self) -> bool:
        """Whether labels do not last for one query, of which each leg shows its first documents."""
        return self.n_labels is not None and self.n_labels < LEAST_LABELS

    def obstacle(self, entry: Entry) -> str:
        """Why an entry is not allowed; empty if it is."""
        about = entry.about
        if isinstance(about, Method):
            if about.fitted_on == LABELLED_PAIRS and self.too_few_labels:
                return "needs labels"
            if about.sees == BOTH_SCORES and self.lists_only and about.family != "leg":
                return NO_LOOKUP
        # The legs always remain: something must be advised.
        too_slow = self.budget_ms is not None and entry.ms > self.budget_ms
        return "too slow" if too_slow and entry.effort > 0 else ""
