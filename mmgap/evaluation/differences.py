"""Runs against one of them on the same queries: differences, intervals and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.measures import evaluate
from mmgap.evaluation.significance import (
    bootstrap_interval,
    effect_size,
    holm,
    randomisation_test,
)

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.evaluation.runs import Run


_CHANGED = 1e-12  # a query whose value moves by no more is neither improved nor harmed


def difference_table(
    runs: Iterable[Run],
    qrels: Mapping[str, Mapping[str, int]],
    against: str | Sequence[str],
    *,
    measure: str = "recall@10",
    by: pd.Series | None = None,
    min_grade: float | None = None,
    tolerance: float = 0.0,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure by how much each run is better than one of them, query by query.

    Parameters
    ----------
    runs : iterable of Run
        With different names and the same queries.
    qrels : mapping of query id to mapping of document id to grade
    against : str or sequence of str
        Name of the run that the others are compared with. Of several names, such as those of all
        single legs, the run with the largest mean over all queries is taken: it is chosen on the
        queries it is judged by, which favours it and not the methods compared with it.
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`; values expected over the orders of ties are used.
    by : Series indexed by query id, or None
        Splits the queries into one row per group.
    min_grade, tolerance
        As in :func:`mmgap.evaluation.evaluate`.
    n_resamples : int, default 10_000
        Of the bootstrap and of the randomisation test.
    rng : numpy.random.Generator or None
        Of the bootstrap, then of the randomisation test; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per other run and group, with the columns ``strategy``, ``against``, the name of
        ``by``, ``measure`` and

        - ``value``: mean difference; positive where the run is better;
        - ``ci_low``, ``ci_high``: 95 % bootstrap interval over queries. The queries are paired, so
          it is narrower than two separate intervals suggest;
        - ``p``: of the paired randomisation test, two-sided;
        - ``p_holm``: the same after Holm's correction over all rows of this table;
        - ``effect_size``: Cohen's d_z, the mean difference over its standard deviation;
        - ``improved``, ``harmed``: share of queries whose value is larger, and smaller;
        - ``n``: number of queries.

    Raises
    ------
    ValueError
        If there is no run named ``against``, names repeat, or a run lacks one of the queries.

    See Also
    --------
    mmgap.evaluation.randomisation_test, mmgap.evaluation.holm, mmgap.evaluation.effect_size

    Examples
    --------
    The good run answers five queries of six that the bad one does not: of the 2^5 ways to exchange
    the two runs, 2 make as large a difference.

    >>> from mmgap.evaluation import Run
    >>> queries, pool, scores = [*"uvwxyz"], ["d1", "d2"], np.tile([0.9, 0.1], (6, 1))
    >>> qrels = {query: {"d1": 1} for query in queries}
    >>> good = Run("good", queries, pool, np.array([[0, 1]] * 6), scores)
    >>> bad = Run("bad", queries, pool, np.array([[1, 0]] * 5 + [[0, 1]]), scores)
    >>> table = difference_table([good, bad], qrels, "bad", measure="recall@1")
    >>> table[["strategy", "value", "p", "p_holm", "improved", "harmed", "n"]].round(4)
      strategy   value       p  p_holm  improved  harmed  n
    0     good  0.8333  0.0625  0.0625    0.8333     0.0  6
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    found: dict[str, pd.Series] = {}
    for run in runs:
        if run.name in found:
            msg = f"two runs are named {run.name!r}; give each run its own name"
            raise MmgapError(msg)
        over = evaluate(run, qrels, [measure], min_grade=min_grade, tolerance=tolerance)
        found[run.name] = over["expected"][measure]
    names = [against] if isinstance(against, str) else list(against)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        msg = (
            f"no run is named {unknown[0] if unknown else ''!r}; "
            f"there are {', '.join(map(repr, found))}"
        )
        raise MmgapError(msg)
    values = pd.DataFrame(found)
    groups = pd.Series("", index=values.index) if by is None else by.reindex(values.index)
    if values.isna().any(axis=None) or groups.isna().any():
        msg = "the runs and by must cover the same queries; select them first"
        raise MmgapError(msg)
    baseline = str(values[names].mean().idxmax())
    differences = values.drop(columns=baseline).sub(values[baseline], axis=0)
    parts = dict(iter(differences.groupby(groups, observed=True)))
    # All intervals are drawn before the first test, so that the tests do not move them.
    intervals = {
        group: bootstrap_interval(part.to_numpy(), rng=rng, n_resamples=n_resamples)
        for group, part in parts.items()
    }
    rows = []
    for group, part in parts.items():
        moved = part.to_numpy()
        figures = (
            moved.mean(axis=0),
            *intervals[group],
            randomisation_test(moved, rng=rng, n_resamples=n_resamples),
            effect_size(moved),
            (moved > _CHANGED).mean(axis=0),
            (moved < -_CHANGED).mean(axis=0),
        )
        rows += [
            (name, baseline, group, measure, *row, len(part))
            for name, *row in zip(part, *figures, strict=True)
        ]
    column = "" if by is None else str(by.name or "group")
    columns = [
        *("strategy", "against", column, "measure", "value", "ci_low", "ci_high"),
        *("p", "effect_size", "improved", "harmed", "n"),
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(columns.index("p") + 1, "p_holm", holm(table["p"].to_numpy(dtype=float)))
    return table.drop(columns="") if by is None else table
