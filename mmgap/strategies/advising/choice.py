"""The rule of an advice: the simplest candidate that nothing allowed is sure to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmgap.evaluation import holm, randomisation_test
from mmgap.strategies.advising.entry import Entry
from mmgap.strategies.advising.terms import Terms
from mmgap.strategies.method import TOLERANCE


class Choice:
    """What the rule chose among entries, and what stands beside it.

    Parameters
    ----------
    entries : sequence of Entry
        At least one leg among them.
    terms : Terms

    Attributes
    ----------
    entries, allowed : list of Entry
        The largest value first.
    path : list of Entry
        See :func:`climb`.
    pick : Entry
        The end of the path.
    next : Entry or None
        The best of the other allowed ones.
    legs : list of Entry
    simple : list of Entry
        The better leg, and the plain merge where there is one.
    above_chance : bool
        Whether the better leg finds significantly more than a random order. Where it does not,
        nothing is advised but that leg: there is no signal to merge.
    """

    def __init__(
        self, entries: Sequence[Entry], terms: Terms, chance: np.ndarray | float = -np.inf
    ) -> None:
        self.terms, self.chance = terms, chance
        # Stable, so that of equal values the simpler one, which was added first, comes first.
        self.entries = sorted(entries, key=lambda entry: -round(entry.mean, 12))
        self.allowed = [entry for entry in self.entries if not entry.why_not]
        self.path = climb(self.allowed, terms.alpha)
        self.legs = [entry for entry in self.entries if entry.effort == 0]
        lead = best_of(self.legs).values - chance
        self.above_chance = bool(
            np.isinf(lead).any() or (lead.mean() > 0 and randomisation_test(lead) < terms.alpha)
        )
        if not self.above_chance:
            self.path = [best_of(self.legs)]
        self.pick = self.path[-1]
        rest = [entry for entry in self.allowed if entry is not self.pick]
        self.next = best_of(rest) if rest else None
        self.simple = [best_of(self.legs)]
        self.simple += [entry for entry in self.entries if entry.name == terms.plain]

    def role(self, entry: Entry) -> str:
        """Return "advised", "runner-up", "simple alternative", or nothing."""
        if entry is self.pick:
            return "advised"
        if entry is self.next:
            return "runner-up"
        return "simple alternative" if entry in self.simple else ""

    def step_p(self, low: Entry, high: Entry) -> float:
        """Return p of a step from less effort to more, corrected as in the choice."""
        higher = [entry for entry in self.allowed if entry.effort > low.effort]
        if high not in higher:  # not allowed, so it was no choice
            return float(randomisation_test(high.values - low.values))
        return float(compared(higher, low)[1][higher.index(high)])


def climb(
    entries: Sequence[Entry], alpha: float, rows: np.ndarray | slice = slice(None)
) -> list[Entry]:
    """Return the path from the least effort by significant steps alone; the last one is advised."""
    least = min(entry.effort for entry in entries)
    path = [best_of([entry for entry in entries if entry.effort == least], rows)]
    while higher := [entry for entry in entries if entry.effort > path[-1].effort]:
        gain, p = compared(higher, path[-1], rows)
        better = [
            entry
            for entry, won, each in zip(higher, gain, p, strict=True)
            if won > 0 and each < alpha
        ]
        if not better:
            break
        least = min(entry.effort for entry in better)
        path.append(best_of([entry for entry in better if entry.effort == least], rows))
    return path


def best_of(entries: Sequence[Entry], rows: np.ndarray | slice = slice(None)) -> Entry:
    """Return the entry with the largest mean; of equal ones the first."""
    means = np.array([entry.values[rows].mean() for entry in entries])
    return entries[int(np.argmax(means >= means.max() - TOLERANCE))]


def compared(
    entries: Sequence[Entry], with_: Entry, rows: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Mean gains over one entry and their p-values, corrected for all of ``entries``.

    Holm among those of equal effort, Bonferroni for the number of efforts: so the one plain merge
    does not pay for dozens of others.
    """
    gains = np.stack([entry.values[rows] - with_.values[rows] for entry in entries], axis=1)
    p = randomisation_test(gains)
    efforts = np.array([entry.effort for entry in entries])
    known = np.unique(efforts)
    for effort in known:
        p[efforts == effort] = holm(p[efforts == effort])
    return gains.mean(axis=0), np.minimum(1, len(known) * p)
