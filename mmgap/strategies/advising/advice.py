"""An advice: which merge to use, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_READING = (
    "The rule starts with the better leg and takes a step to more effort only where a method is "
    "significantly better (paired randomisation test over calibration queries).",
    "Brackets hold the 95 % interval of one number or one difference by itself. A corrected p "
    "counts how many methods were compared, and decides.",
    "Not significant does not mean equal: it means that these queries cannot tell.",
    "In the table, differences are to the advised method; a star: p < 0.05, corrected for all "
    "methods of that column.",
)


@dataclass(frozen=True)
class Advice:
    """Which merge to use, why, and what would change that.

    Parameters
    ----------
    corpus, encoder : str
    method : str
        The advised method: a key of ``METHODS``, or the name of a reranked strategy.
    runner_up : str or None
        The best of the other allowed methods, which may have the higher value: not by enough to
        be sure, or with no less effort. None where nothing else is allowed.
    measure : str
    table : DataFrame
        One row per method, best first:

        - ``method``, ``family``, ``fitted_on``, ``sees``, ``effort`` (of ``EFFORTS``); ``role``
          ("advised", "runner-up", "simple alternative", or empty);
        - ``allowed`` and ``why_not``: methods that are not allowed are measured too (those that
          need labels with all there are), which shows what a restriction costs;
        - ``ms_per_query``: search, merge and reranker, and the encoder where its time was given;
        - ``value``, ``ci_low``, ``ci_high``, ``optimistic``, ``pessimistic``, ``tied``, ``n``: on
          calibration queries that the fit has not seen, as in :func:`leaderboard`;
        - ``difference``, ``difference_low``, ``difference_high``: the value less that of the
          advised method, paired; ``p``, and ``p_holm``, corrected for all methods in the table;
        - ``test_value``, ``test_low``, ``test_high``, ``test_difference``,
          ``test_difference_low``, ``test_difference_high``, ``test_p_holm``: on test queries, of
          the methods that have a role; empty for others, and absent without test queries.
    by_class : DataFrame
        One row per query class: ``query_class``, ``n``, ``method`` (what the same rule advises for
        this class alone), ``value``, ``value_of_advised``, ``p_holm`` of the difference. No rows
        where there are no classes.
    reasons, what_would_change_it : tuple of str
        Whole sentences.
    warning : str
        Says that nothing here finds more than chance; empty where the better leg does.
    failures : mapping of str to str
        Methods that could not be fitted on so little and are left out, each with the reason.
    """

    corpus: str
    encoder: str
    method: str
    runner_up: str | None
    measure: str
    table: pd.DataFrame = field(repr=False)
    by_class: pd.DataFrame = field(repr=False)
    reasons: tuple[str, ...]
    what_would_change_it: tuple[str, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""

    def to_text(self) -> str:
        """Return advice, reasons, what would change it and how to read it, one sentence a line."""
        lines = [f"{self.corpus}, {self.encoder}: use {self.method!r}"]
        lines += [f"Warning: {self.warning}"] if self.warning else []
        lines.append("Why:")
        lines += [f"  - {sentence}" for sentence in self.reasons]
        lines.append("What would change it:")
        lines += [f"  - {sentence}" for sentence in self.what_would_change_it]
        if self.failures:
            lines.append("Left out, because they cannot be fitted on so little:")
            lines += [f"  - {name}: {reason}" for name, reason in self.failures.items()]
        lines += ["How to read it:", *(f"  - {sentence}" for sentence in _READING)]
        return "\n".join(lines)


def format_advice(advice: Advice, *, top: int | None = 10) -> pd.DataFrame:
    """Lay the table behind an advice out for reading.

    Parameters
    ----------
    advice : Advice
    top : int or None, default 10
        Methods besides those that have a role and the best reranked one; None shows all.

    Returns
    -------
    wide : DataFrame of str
        One row per method, best first: name, role, effort, why it is not allowed, milliseconds,
        value in percent with its interval, difference to the advised method in points, with a star
        where p < 0.05 after Holm's correction, and the same two on test queries.
    """
    table = advice.table
    if top is not None:
        has_role = table["role"] != ""
        reranked = table["family"] == "reranked"
        best_reranked = reranked & (reranked.cumsum() == 1)  # whoever brought one looks for it
        table = table[has_role | best_reranked | ((~has_role).cumsum() <= top)]
    shown = table[["method", "role", "effort", "why_not"]].assign(
        ms=[f"{ms:.3g}" for ms in table["ms_per_query"]],
        calibration=_cells(table, "value", "ci_low", "ci_high"),
        difference=_differences(table, "difference", "p_holm"),
    )
    if "test_value" in table:
        shown["test"] = _cells(table, "test_value", "test_low", "test_high")
        shown["difference there"] = _differences(table, "test_difference", "test_p_holm")
    return shown.rename(columns={"why_not": "not allowed"}).reset_index(drop=True)


def _cells(table: pd.DataFrame, value: str, low: str, high: str) -> list[str]:
    """Percent with an interval, empty where nothing was measured."""
    return [
        "" if np.isnan(at) else f"{100 * at:.1f} [{100 * least:.1f}, {100 * most:.1f}]"
        for at, least, most in zip(table[value], table[low], table[high], strict=True)
    ]


def _differences(table: pd.DataFrame, value: str, p: str) -> list[str]:
    """Points, with a star where it is significant; empty for the advised method itself."""
    own = table["role"] == "advised"
    return [
        "" if advised or np.isnan(at) else f"{100 * at:+.1f}{'*' if chance < 0.05 else ''}"
        for at, chance, advised in zip(table[value], table[p], own, strict=True)
    ]
