"""Normalise, calibrate or rerank? One strategy of each family, chosen fairly, judged fairly.

The best of each family on calibration queries (:func:`choose_best` of a cross-fitted
:func:`mmgap.strategies.judge`) stands for it on test queries; the families are compared in pairs,
on all queries and on each class, with one correction by Holm over all comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, differs, holm, randomisation_test
from mmgap.strategies.judge import Judged
from mmgap.strategies.strategy import LABELLED_PAIRS, Strategy

if TYPE_CHECKING:
    import pandas as pd

VERDICT_FAMILIES = ("label-free merge", "calibrated fusion", "reranking")
"""What is compared, from what asks least of its user to what asks most."""

_PAIRS = ((1, 0), (2, 0), (2, 1))
"""Places of the families that are compared, the more expensive one first."""


def verdict_family(strategy: Strategy) -> str | None:
    """Return the family of ``VERDICT_FAMILIES`` that a strategy stands for; None for single legs.

    >>> from mmgap.strategies import METHODS
    >>> verdict_family(METHODS["raw, mean"]), verdict_family(METHODS["text leg"])
    ('label-free merge', None)
    """
    if strategy.rerank is not None:
        return VERDICT_FAMILIES[2]
    if strategy.family == "leg":
        return None
    return VERDICT_FAMILIES[strategy.fitted_on == LABELLED_PAIRS]


def choose_best(
    judged: Judged,
    names: Sequence[str],
    *,
    max_calls: float = np.inf,
    rows: np.ndarray | None = None,
) -> str:
    """Choose the strategy that finds most, by the first measure, with so many reranker calls.

    Among equals the one with fewer calls, then the one named first. ``rows`` of the queries to
    choose by, default all. Strategies that could not be fitted are passed over.
    """
    values, calls = judged.by_query(), judged.costs()["calls_per_query"]
    means = (values if rows is None else values.iloc[rows]).mean()
    allowed = [name for name in names if name in means and calls[name] <= max_calls + 1e-9]
    if not allowed:
        msg = f"none of {list(names)} takes {max_calls} reranker calls or fewer; allow more"
        raise MmgapError(msg)
    return min(allowed, key=lambda name: (-round(means[name], 12), calls[name]))


def family_verdicts(
    judged: Mapping[str, Judged],
    chosen: Mapping[str, Mapping[str, str]],
    *,
    by: str | None = "query_class",
    embed_ms: float = np.nan,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Compare the families in pairs, on all queries and on each class of them.

    ``judged`` by condition, ``chosen`` by condition and family the name of the strategy that stands
    for it, chosen on *other* queries: what was chosen here would win by luck.

    Three rows for each condition and class (``all`` first): ``condition``, ``query_class``, ``n``,
    ``family`` and the simpler one it is set ``against``, ``method`` and ``against_method``,
    ``value`` and ``against_value``, the paired ``difference`` with its CI, ``p``, ``p_holm``
    (over all rows), and what each costs: ``labels``, whether ``family`` was fitted on judged
    queries, ``calls``, ``against_calls``, ``ms`` and ``against_ms`` per query.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for condition, names in chosen.items():
        if set(names) != {*VERDICT_FAMILIES} or condition not in judged:
            msg = (
                f"condition {condition!r} has the families {list(names)}, and {list(judged)} are "
                f"judged; expected each of {VERDICT_FAMILIES}, judged"
            )
            raise MmgapError(msg)
        found, methods = judged[condition], [names[family] for family in VERDICT_FAMILIES]
        values = found.by_query()[methods].to_numpy()
        labelled = {each.name: each.fitted_on == LABELLED_PAIRS for each in found.strategies}
        for group, members in found.groups(by).items():
            costs = found.costs(embed_ms, members).loc[methods]
            calls, ms = costs["calls_per_query"].to_numpy(), costs["ms_per_query"].to_numpy()
            own = values[members]
            means = own.mean(axis=0)
            gains = np.stack([own[:, one] - own[:, other] for one, other in _PAIRS], axis=1)
            low, high = bootstrap_interval(gains, rng=rng, n_resamples=n_resamples)
            p = randomisation_test(gains, rng=rng, n_resamples=n_resamples)
            for at, (one, other) in enumerate(_PAIRS):
                rows.append(
                    {"condition": condition, "query_class": group, "n": len(members)}
                    | {"family": VERDICT_FAMILIES[one], "against": VERDICT_FAMILIES[other]}
                    | {"method": methods[one], "against_method": methods[other]}
                    | {"value": means[one], "against_value": means[other]}
                    | {"difference": gains[:, at].mean(), "ci_low": low[at], "ci_high": high[at]}
                    | {"p": p[at], "labels": labelled[methods[one]]}
                    | {"calls": calls[one], "against_calls": calls[other]}
                    | {"ms": ms[one], "against_ms": ms[other]}
                )
    table = pd.DataFrame(rows)
    table.insert(list(table.columns).index("p") + 1, "p_holm", holm(table["p"].to_numpy()))
    return table


def recommended_family(rows: pd.DataFrame) -> str:
    """Return the simplest family that no other one beats significantly.

    ``rows``: the three of :func:`family_verdicts` for one condition and class.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"family": ["calibrated fusion", "reranking", "reranking"],
    ...     "against": ["label-free merge", "label-free merge", "calibrated fusion"],
    ...     "difference": [0.03, 0.04, 0.01], "p_holm": [0.01, 0.01, 0.6]})
    >>> recommended_family(rows)
    'calibrated fusion'
    """
    sure = rows[differs(rows["p_holm"].to_numpy())]
    beaten = {*sure.loc[sure["difference"] > 0, "against"]}
    beaten |= {*sure.loc[sure["difference"] < 0, "family"]}
    # Three families cannot beat each other in a circle: the largest mean is never beaten.
    return next(family for family in VERDICT_FAMILIES if family not in beaten)


def verdict_sentences(table: pd.DataFrame, *, n_labelled: Mapping[str, int]) -> pd.Series:
    """Write the verdict on each condition and class in two sentences: who wins, and at what cost.

    ``table`` from :func:`family_verdicts`; ``n_labelled`` by condition the judged queries that
    calibrated fusion was fitted on. Markdown, indexed by condition and class.
    """
    import pandas as pd

    found = {
        key: f"{_outcome(rows)} {_price(rows, n_labelled[str(key[0])])}"
        for key, rows in table.groupby(["condition", "query_class"], sort=False)
    }
    index = pd.MultiIndex.from_tuples(found, names=["condition", "query_class"])
    return pd.Series(list(found.values()), index=index, name="verdict")


def _outcome(rows: pd.DataFrame) -> str:
    """Say who leads, and over whom the lead is more than chance."""
    means = dict(zip(rows["family"], rows["value"], strict=True))
    means |= dict(zip(rows["against"], rows["against_value"], strict=True))
    leader = max(VERDICT_FAMILIES, key=lambda family: means[family])
    sure: list[str] = []
    unsure: list[str] = []
    for family in VERDICT_FAMILIES:
        if family != leader:
            lead, p = _lead(rows, leader, family)
            said = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
            (sure if differs(p) else unsure).append(f"{lead} over {family} ({said})")
    at = f"{100 * means[leader]:.1f} %"
    name = leader[0].upper() + leader[1:]
    if not unsure:
        return f"**{name} wins** with {at}: {' and '.join(sure)}."
    if not sure:
        return f"**No winner**: {leader} leads with {at}, by {' and '.join(unsure)}, within chance."
    return f"**{name} is ahead of one**, with {at}: {sure[0]}; but {unsure[0]}, within chance."


def _price(rows: pd.DataFrame, n_labelled: int) -> str:
    """Say which family to take and what it costs."""
    best = recommended_family(rows)
    free, fused, rerank = VERDICT_FAMILIES
    row = rows[(rows["family"] == rerank) & (rows["against"] == free)].iloc[0]
    reranking = f"{row['calls']:.0f} reranker calls and {_ms(row['ms'])} ms a query"
    labels = f"{n_labelled} judged queries"
    if best == rerank:
        price = (row["ms"] - row["against_ms"]) / (100 * row["difference"])
        each = f", {_ms(price)} ms for each point" if row["difference"] > 0 else ""
        return (
            f"Take it where {reranking} instead of {_ms(row['against_ms'])} ms can be paid{each}; "
            + (f"its first stage asks for {labels}." if row["labels"] else "it asks for no labels.")
        )
    if best == fused:
        (beyond,) = rows.loc[(rows["family"] == rerank) & (rows["against"] == fused), "difference"]
        return (
            f"The simplest that nothing beats for sure is {fused}, for {labels} once and no "
            f"reranker calls; the {reranking} of {rerank} {_adds(beyond)}."
        )
    beyond = rows.loc[rows["against"] == free, "difference"].max()
    return (
        f"The {free} will do, without labels and calls; the {labels} of {fused} and the "
        f"{reranking} of {rerank} {_adds(beyond)}."
    )


def _adds(difference: float) -> str:
    return "add what may be chance" if difference > 0 else "add nothing"


def _lead(rows: pd.DataFrame, leader: str, other: str) -> tuple[str, float]:
    """Difference in points with its CI, in the leader's favour, and its p-value."""
    straight = rows[(rows["family"] == leader) & (rows["against"] == other)]
    turned = rows[(rows["family"] == other) & (rows["against"] == leader)]
    row = (straight if len(straight) else turned).iloc[0]
    sign = 1 if len(straight) else -1
    value = 100 * sign * row["difference"]
    low, high = sorted(100 * sign * row[bound] for bound in ("ci_low", "ci_high"))
    value, low, high = (round(each, 1) + 0.0 for each in (value, low, high))  # no minus zero
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]", float(row["p_holm"])


def _ms(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.2g}"
