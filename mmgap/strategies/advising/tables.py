"""The numbers behind an advice, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation import bootstrap_interval, holm, randomisation_test
from mmgap.strategies.advising.choice import Choice, climb, compared
from mmgap.strategies.advising.entry import EFFORTS
from mmgap.strategies.method import NOTHING, Method

if TYPE_CHECKING:
    import pandas as pd


def choice_table(choice: Choice) -> pd.DataFrame:
    """Return :attr:`Advice.table`, without the columns of test queries."""
    import pandas as pd

    figures = np.stack([entry.figures for entry in choice.entries])
    gains = (figures[:, 0] - choice.pick.values).T
    low, high = bootstrap_interval(figures[:, 0].T, rng=np.random.default_rng(0))
    gain_low, gain_high = bootstrap_interval(gains, rng=np.random.default_rng(0))
    p = randomisation_test(gains)
    others = np.array([entry is not choice.pick for entry in choice.entries])
    p_holm = np.full(len(p), np.nan)
    p_holm[others] = holm(p[others])
    kinds = [
        (entry.about.family, entry.about.fitted_on, entry.about.sees)
        if isinstance(entry.about, Method)
        else ("reranked", NOTHING, "documents")
        for entry in choice.entries
    ]
    return pd.DataFrame(
        {
            "method": [entry.name for entry in choice.entries],
            "role": [choice.role(entry) for entry in choice.entries],
            "family": [kind[0] for kind in kinds],
            "fitted_on": [kind[1] for kind in kinds],
            "sees": [kind[2] for kind in kinds],
            "effort": [EFFORTS[entry.effort] for entry in choice.entries],
            "allowed": [not entry.why_not for entry in choice.entries],
            "why_not": [entry.why_not for entry in choice.entries],
            "ms_per_query": [entry.ms for entry in choice.entries],
            "measure": choice.terms.measure,
            "value": figures[:, 0].mean(axis=1),
            "ci_low": low,
            "ci_high": high,
            "optimistic": figures[:, 1].mean(axis=1),
            "pessimistic": figures[:, 2].mean(axis=1),
            "tied": figures[:, 3].mean(axis=1),
            "n": figures.shape[2],
            "difference": gains.mean(axis=0),
            "difference_low": gain_low,
            "difference_high": gain_high,
            "p": np.where(others, p, np.nan),
            "p_holm": p_holm,
        }
    )


def class_table(choice: Choice, classes: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return :attr:`Advice.by_class`: what the same rule chooses for each class alone.

    Parameters
    ----------
    choice : Choice
    classes : mapping of str to int array
        Rows of the queries of each class.
    """
    import pandas as pd

    rows = []
    for name, members in classes.items():
        pick = climb(choice.allowed, choice.terms.alpha, members)[-1]
        p = np.nan
        if pick is not choice.pick:
            others = [entry for entry in choice.allowed if entry is not choice.pick]
            p = float(compared(others, choice.pick, members)[1][others.index(pick)])
        rows.append(
            {"query_class": name, "n": len(members), "method": pick.name}
            | {"value": pick.values[members].mean()}
            | {"value_of_advised": choice.pick.values[members].mean(), "p_holm": p}
        )
    columns = ["query_class", "n", "method", "value", "value_of_advised", "p_holm"]
    return pd.DataFrame(rows, columns=columns)
