"""One run against another on the same queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation.measures import evaluate
from mmgap.evaluation.significance import bootstrap_interval

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.evaluation.runs import Run


def difference_table(
    runs: Iterable[Run],
    qrels: Mapping[str, Mapping[str, int]],
    against: str,
    *,
    measure: str = "recall@10",
    by: pd.Series | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure by how much each run is better than one of them, query by query.

    Parameters
    ----------
    runs : iterable of Run
        With different names and the same queries.
    qrels : mapping of query id to mapping of document id to grade
    against : str
        Name of the run that the others are compared with.
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`; values expected over the orders of ties are used.
    by : Series indexed by query id, or None
        Splits the queries into one row per group.
    rng : numpy.random.Generator or None
        Of the bootstrap; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per other run and group: ``strategy``, ``against``, the name of ``by``,
        ``measure``, ``value`` (mean difference; positive where the run is better), ``ci_low`` and
        ``ci_high`` (95 % bootstrap interval over queries), ``n``. The queries are paired, so the
        interval is narrower than two separate intervals suggest.

    Raises
    ------
    ValueError
        If there is no run named ``against``, or a run lacks one of its queries.

    Examples
    --------
    >>> from mmgap.evaluation import Run
    >>> qrels, scores = {"q": {"d1": 1}}, np.array([[0.9, 0.1]])
    >>> good = Run("good", ["q"], ["d1", "d2"], np.array([[0, 1]]), scores)
    >>> bad = Run("bad", ["q"], ["d1", "d2"], np.array([[1, 0]]), scores)
    >>> difference_table([good, bad], qrels, "bad", measure="recall@1")[["strategy", "value"]]
      strategy  value
    0     good    1.0
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    found = {run.name: evaluate(run, qrels, [measure])["expected"][measure] for run in runs}
    if against not in found:
        msg = f"no run is named {against!r}; there are {', '.join(map(repr, found))}"
        raise ValueError(msg)
    values = pd.DataFrame(found)
    groups = pd.Series("", index=values.index) if by is None else by.reindex(values.index)
    if values.isna().any(axis=None) or groups.isna().any():
        msg = "the runs and by must cover the same queries; select them first"
        raise ValueError(msg)
    differences = values.drop(columns=against).sub(values[against], axis=0)
    rows = []
    for group, part in differences.groupby(groups, observed=True):
        low, high = bootstrap_interval(part.to_numpy(), rng=rng)
        for name, value, *interval in zip(part, part.mean(), low, high, strict=True):
            rows.append((name, against, group, measure, value, *interval, len(part)))
    column = "" if by is None else str(by.name or "group")
    columns = ["strategy", "against", column, "measure", "value", "ci_low", "ci_high", "n"]
    table = pd.DataFrame(rows, columns=columns)
    return table.drop(columns="") if by is None else table
