"""Tell when the order of tied documents, and not the method, decides a result."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmgap.evaluation.measures import OverTies, tied_at


class TieWarning(UserWarning):
    """The order of tied documents decides a result; the message says how much."""


@dataclass(frozen=True)
class TieReport:
    """What ties do to one method.

    Parameters
    ----------
    name : str
        The method.
    tied_share : float
        As :func:`decided_by_ties`, in [0, 1].
    optimistic, expected, pessimistic : float
        Means over queries of the measure, over the orders of tied documents.
    ceiling : float
        Largest expected mean of a single leg; NaN where none was given.
    ceiling_leg : str
        Which leg that is; empty where none was given.
    n_above : int
        Queries whose optimistic value is above what every single leg expects for them.
    max_share : float
        Share of tied queries from which on ``decided_by_ties`` is true.
    """

    name: str
    tied_share: float
    optimistic: float
    expected: float
    pessimistic: float
    ceiling: float
    ceiling_leg: str
    n_above: int
    max_share: float

    @property
    def decided_by_ties(self) -> bool:
        """Whether the cut-off falls inside ties for more than ``max_share`` of the queries."""
        return self.tied_share > self.max_share

    @property
    def above_ceiling(self) -> bool:
        """Whether only a lucky order of ties beats the best single leg.

        True where the optimistic mean lies above the ceiling and the expected mean does not. (A
        method whose expected mean is above the ceiling has earned it.)
        """
        return self.optimistic > self.ceiling + 1e-12 and self.expected <= self.ceiling + 1e-12

    def messages(self) -> list[str]:
        """Say in words what was found; empty if all is well."""
        found = []
        if self.decided_by_ties:
            found.append(
                f"{self.name}: for {self.tied_share:.0%} of the queries the cut-off falls inside "
                f"tied documents; the result lies between {self.pessimistic:.3f} and "
                f"{self.optimistic:.3f}, {self.expected:.3f} on average over their orders. Report "
                "the expected value"
            )
        if self.above_ceiling:
            found.append(
                f"{self.name}: the optimistic value {self.optimistic:.3f} is above the best single "
                f"leg ({self.ceiling_leg}, {self.ceiling:.3f}), the expected one "
                f"{self.expected:.3f} is not: a lucky order of ties, not a better ranking"
            )
        return found


def decided_by_ties(scores: np.ndarray, k: int = 10, *, tolerance: float = 0.0) -> float:
    """Share of queries whose first k documents depend on the order of tied ones.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc)
        Fused scores in any order; NaN where a document was not retrieved.
    k : int, default 10
    tolerance : float, default 0.0
        Neighbouring scores that differ by no more than this are tied; 0 means exactly equal.

    Returns
    -------
    share : float
        In [0, 1]; larger = more is left to chance. A query counts if places k and k + 1 hold
        tied documents, so that the *set* of the first k is open. Unchanged by increasing maps if
        ``tolerance`` is 0. Ties in lists that were cut at k before cannot be seen.

    Raises
    ------
    ValueError
        If ``scores`` does not have two axes or has no row, or ``k`` is less than 1.

    Examples
    --------
    Reciprocal ranks of two legs that share no document: both first places are tied.

    >>> decided_by_ties(np.array([[1 / 61, 1 / 62, 1 / 61, 1 / 62]]), k=1)
    1.0
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not len(scores):
        msg = f"scores must have shape (n_query, n_doc) with at least one query; got {scores.shape}"
        raise ValueError(msg)
    descending = -np.sort(np.where(np.isnan(scores), np.inf, -scores), axis=1)
    return float(tied_at(descending, k, tolerance=tolerance).mean())


def detect_ties(
    name: str,
    scores: np.ndarray,
    values: OverTies,
    legs: Mapping[str, OverTies] | None = None,
    *,
    k: int = 10,
    max_share: float = 0.1,
    tolerance: float = 0.0,
) -> TieReport:
    """Report what ties do to a method, and warn where they decide.

    Parameters
    ----------
    name : str
        The method, for the message.
    scores : ndarray of shape (n_query, n_doc)
        Its fused scores, as :func:`decided_by_ties` takes them.
    values : OverTies
        Its measure for the same queries, for example of :func:`recall` at ``k``.
    legs : mapping of str to OverTies or None, default None
        The same measure of each leg searched alone: the ceiling. A merge of legs that share no
        document cannot put a relevant document before its place in its own leg, so it cannot beat
        the best leg unless ties are broken by luck or relevant documents lie in several legs.
    k : int, default 10
        Cut-off of the measure.
    max_share : float, default 0.1
        Share of tied queries that is let pass.
    tolerance : float, default 0.0
        As in :func:`decided_by_ties`.

    Returns
    -------
    report : TieReport

    Warns
    -----
    TieWarning
        If the cut-off falls inside ties for more than ``max_share`` of the queries, or only the
        optimistic mean is above the ceiling.

    Raises
    ------
    ValueError
        If the values of the method, its legs and the scores are not for the same queries.

    Examples
    --------
    >>> values = OverTies(np.array([0.5]), np.array([1.0]), np.array([0.0]))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", TieWarning)
    ...     report = detect_ties("RRF", np.array([[0.5, 0.5]]), values, k=1)
    >>> report.tied_share, report.decided_by_ties
    (1.0, True)
    """
    legs = {} if legs is None else legs
    lengths = {len(over.expected) for over in (values, *legs.values())} | {len(scores)}
    if len(lengths) > 1:
        msg = f"scores, values and legs must be for the same queries; got lengths {sorted(lengths)}"
        raise ValueError(msg)
    means = {leg: float(np.mean(over.expected)) for leg, over in legs.items()}
    best = max(means, key=means.__getitem__, default="")
    n_above = 0
    if legs:
        reach = np.max([over.expected for over in legs.values()], axis=0)
        n_above = int((values.optimistic > reach + 1e-12).sum())
    report = TieReport(
        name=name,
        tied_share=decided_by_ties(scores, k, tolerance=tolerance),
        optimistic=float(np.mean(values.optimistic)),
        expected=float(np.mean(values.expected)),
        pessimistic=float(np.mean(values.pessimistic)),
        ceiling=means.get(best, float("nan")),
        ceiling_leg=best,
        n_above=n_above,
        max_share=max_share,
    )
    for message in report.messages():
        warnings.warn(message, TieWarning, stacklevel=2)
    return report
