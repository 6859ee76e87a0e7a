"""Many methods on one pool: how good each one is, for whom, how surely, and what it needs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation import (
    bootstrap_interval,
    effect_size,
    evaluate,
    holm,
    randomisation_test,
    tied_at,
)
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.strategies.judge import deepest_cut_off
from mmgap.strategies.method import CANNOT_FIT, LEFT_OUT, TOLERANCE, Method
from mmgap.strategies.pool import Pool, deep_pool

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS = ("T", "I")
"""Query classes that pull in opposite directions: the text answers, the image answers."""

WORSE = "worse of T and I"
"""How the table calls the smaller of a method's values on both ``DIRECTIONS``."""

_ORDERS = ("expected", "optimistic", "pessimistic")


def leaderboard(
    calibration: Vectors | Pool,
    test: Vectors | Pool,
    methods: Iterable[Method] | None = None,
    *,
    measures: Sequence[str] = ("recall@10", "ndcg@10"),
    by: str | None = "query_class",
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Fit every method on calibration queries and judge it on test queries.

    Parameters
    ----------
    calibration, test : Vectors or Pool
        Of one encoder. No query of ``test`` enters a fit.
    methods : iterable of Method or None, default None
        None takes all of ``METHODS``. Mitigations are left out for an encoder that gives several
        vectors for each item.
    measures : sequence of str, default ("recall@10", "ndcg@10")
        With a cut-off each, as in :func:`mmgap.evaluation.evaluate`.
    by : str or None, default "query_class"
        Query metadata that splits the queries; ignored where the corpus does not have it.
    rng : numpy.random.Generator or None
        Of bootstrap and randomisation test; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Tidy, one row per method, query class and measure:

        - ``corpus``, ``encoder``, ``method``, ``family``, ``fitted_on``, ``sees``;
        - ``query_class``: ``all``, each value of ``by``, and "worse of T and I" where both are
          there: the smaller of the two means, so that a method which merely favours one modality
          gains nothing;
        - ``measure``; ``value``, ``ci_low``, ``ci_high`` (mean over queries of the value expected
          over the orders of tied documents, with its 95 % bootstrap interval), ``n``;
        - ``optimistic``, ``pessimistic``: means for the best and the worst order of ties;
        - ``tied``: share of queries whose cut-off falls inside tied documents;
        - ``against``: the single leg that is better on these queries and this measure, which is
          a harder mark than the leg chosen on calibration queries; ``difference`` to it with
          ``difference_low`` and ``difference_high``, ``effect_size`` (mean over standard deviation
          of the differences), ``p`` (paired randomisation test, two-sided) and ``p_holm``
          (corrected for all other methods with these queries and this measure). Empty for legs
          and for "worse of T and I".

        A method that cannot be fitted on these queries is left out of all comparisons and has one
        row, with the measure "left out" and a ``reason``; this column is there only then.

        And one row per method with the measure ``merge_ms``: milliseconds that merging the
        candidates of one query took on this machine, search and scoring by the encoder apart; for
        mitigations with the new scores of all documents and the new lists.

    Raises
    ------
    ValueError
        If names of methods repeat or a measure is unknown.

    Notes
    -----
    Scores closer than 1e-12 count as tied. All methods rank the union of both legs' first 100
    documents; see :class:`Method` and ``METHODS``.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    cut_off = deepest_cut_off(measures)
    calibration, test = deep_pool(calibration, cut_off), deep_pool(test, cut_off)
    chosen = _chosen(methods, test)
    corpus, encoder = test.vectors.corpus, test.vectors.encoder
    figures = np.empty((len(chosen), 4, len(corpus.queries), len(measures)))
    seconds: list[float] = []
    reasons: dict[str, str] = {}
    test.candidates, test.relevant  # noqa: B018  (worked out before any clock runs)
    for figure, method in zip(figures, chosen, strict=True):
        try:
            fitted = method.fit(calibration)
            start = time.perf_counter()
            run = fitted.run(test)
        except CANNOT_FIT as error:
            reasons[method.name] = str(error)
            continue
        seconds.append(time.perf_counter() - start)
        values = evaluate(run, corpus.qrels, measures, tolerance=TOLERANCE)
        for place, order in enumerate(_ORDERS):
            figure[place] = values[order].to_numpy()
        for column, measure in enumerate(measures):
            k = parse_measure(measure)[1]
            figure[3, :, column] = tied_at(run.scores, k, tolerance=TOLERANCE) if k else 0
    known = [place for place, method in enumerate(chosen) if method.name not in reasons]
    asked, chosen, figures = chosen, [chosen[place] for place in known], figures[known]
    labels = corpus.query_frame()
    groups = {"all": np.arange(len(labels))}
    if by is not None and by in labels:
        groups |= {
            str(name): np.flatnonzero(labels[by].to_numpy() == name)
            for name in sorted(labels[by].dropna().unique())
        }
    rows = []
    for group, members in groups.items():
        rows += _group_rows(chosen, figures[:, :, members], group, measures, rng)
    if {*DIRECTIONS} <= {*groups}:
        parts = [figures[:, :, groups[group]] for group in DIRECTIONS]
        rows += _worse_rows(chosen, parts, measures, rng)
    n = len(corpus.queries)
    rows += [
        {"method": method.name, "query_class": "all", "measure": "merge_ms", "n": n}
        | {"value": 1000 * spent / n}
        for method, spent in zip(chosen, seconds, strict=True)
    ]
    rows += [
        {"method": name, "query_class": "all", "measure": LEFT_OUT, "n": n, "reason": reason}
        for name, reason in reasons.items()
    ]
    table = pd.DataFrame(rows)
    if reasons:
        table["reason"] = table["reason"].fillna("")
    about = pd.DataFrame(
        [(m.name, m.family, m.fitted_on, m.sees) for m in asked],
        columns=["method", "family", "fitted_on", "sees"],
    )
    table = about.merge(table, on="method", how="left")
    table.insert(0, "encoder", encoder.id)
    table.insert(0, "corpus", corpus.name)
    return table


def format_leaderboard(
    table: pd.DataFrame, *, top: int | None = 15, measure: str = "recall@10"
) -> pd.DataFrame:
    """Lay a leaderboard out for reading, the best method first.

    Parameters
    ----------
    table : DataFrame
        Of :func:`leaderboard`, one corpus and encoder.
    top : int or None, default 15
        Methods besides the legs; None shows all.
    measure : str, default "recall@10"
        By which methods are ranked.

    Returns
    -------
    wide : DataFrame of str
        One row per method: rank among all methods, name, what it is fitted on, what it sees, the
        measure with its interval and the bounds that ties leave, each query class and the worse
        one, in percent; and the difference to the better single leg in points, with a star where
        p < 0.05 after Holm's correction.
    """
    import pandas as pd

    chosen = table[table["measure"] == measure]
    overall = chosen[chosen["query_class"] == "all"].sort_values(
        "value", ascending=False, kind="stable"
    )
    overall = overall.assign(rank=range(1, len(overall) + 1))
    if top is not None:
        is_leg = overall["family"] == "leg"
        overall = overall[is_leg | ((~is_leg).cumsum() <= top)]
    classes = [name for name in dict.fromkeys(chosen["query_class"]) if name != "all"]
    by_class = chosen.pivot(index="method", columns="query_class", values="value")
    beside = (measure, "merge_ms", LEFT_OUT)
    others = [name for name in dict.fromkeys(table["measure"]) if name not in beside]
    of_all = table[table["query_class"] == "all"]
    by_measure = of_all.pivot(index="method", columns="measure", values="value")
    rows = []
    for row in overall.to_dict("records"):
        ties = ""
        worst, best = (f"{100 * row[bound]:.1f}" for bound in ("pessimistic", "optimistic"))
        if worst != best:
            ties = f"{worst} to {best}"
        against = ""
        if row.get("difference") == row.get("difference") and "difference" in row:
            against = f"{100 * row['difference']:+.1f}{'*' if row['p_holm'] < 0.05 else ''}"
        name = row["method"]
        interval = f"[{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"
        rows.append(
            {"": str(row["rank"]), "method": name}
            | {"fitted on": row["fitted_on"], "sees": row["sees"]}
            | {measure: f"{100 * row['value']:.1f} {interval}", "over ties": ties}
            | {other: f"{100 * by_measure.loc[name, other]:.1f}" for other in others}
            | {
                group.split(" of ")[0]: f"{100 * by_class.loc[name, group]:.1f}"
                for group in classes
            }
            | {"against": against}
        )
    return pd.DataFrame(rows)


def _chosen(methods: Iterable[Method] | None, test: Pool) -> list[Method]:
    if methods is None:
        from mmgap.strategies.methods import METHODS

        methods = METHODS.values()
    chosen = [method for method in methods if method.mitigation is None or test.one_vector_each]
    names = [method.name for method in chosen]
    if not chosen or len(set(names)) < len(names):
        msg = f"methods need different names to be told apart, and there must be one; got {names}"
        raise ValueError(msg)
    return chosen


def _group_rows(
    methods: Sequence[Method],
    figures: np.ndarray,
    group: str,
    measures: Sequence[str],
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Rows of one group of queries; ``figures`` has shape (n_method, 4, n_query, n_measure)."""
    means = figures.mean(axis=2)
    low, high = bootstrap_interval(np.moveaxis(figures[:, 0], 1, 0), rng=rng)
    legs = [place for place, method in enumerate(methods) if method.family == "leg"]
    others = [place for place in range(len(methods)) if place not in legs]
    best = np.array(legs)[means[legs, 0].argmax(axis=0)] if legs and others else None
    compared = None if best is None else _compared(figures, others, best, rng)
    rows: list[dict[str, object]] = []
    for column, measure in enumerate(measures):
        for place, method in enumerate(methods):
            rows.append(
                {
                    "method": method.name,
                    "query_class": group,
                    "measure": measure,
                    "value": means[place, 0, column],
                    "ci_low": low[place, column],
                    "ci_high": high[place, column],
                    "n": figures.shape[2],
                    "optimistic": means[place, 1, column],
                    "pessimistic": means[place, 2, column],
                    "tied": means[place, 3, column],
                }
            )
            if best is not None and compared is not None and place in others:
                rows[-1]["against"] = methods[best[column]].name
                at = others.index(place)
                rows[-1] |= {name: found[at, column] for name, found in compared.items()}
    return rows


def _compared(
    figures: np.ndarray, others: Sequence[int], best: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Compare with the best leg of each measure; arrays of shape (n_other, n_measure)."""
    n_measure = figures.shape[3]
    of_best = np.stack([figures[best[column], 0, :, column] for column in range(n_measure)], axis=1)
    gains = np.moveaxis(figures[others, 0] - of_best, 1, 0)
    low, high = bootstrap_interval(gains, rng=rng)
    p = randomisation_test(gains, rng=rng)
    return {
        "difference": gains.mean(axis=0),
        "difference_low": low,
        "difference_high": high,
        "effect_size": effect_size(gains),
        "p": p,
        "p_holm": np.stack([holm(p[:, column]) for column in range(n_measure)], axis=1),
    }


def _worse_rows(
    methods: Sequence[Method],
    parts: Sequence[np.ndarray],
    measures: Sequence[str],
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Rows of the smaller mean of two groups, each resampled by itself."""
    means = np.min([part.mean(axis=2) for part in parts], axis=0)
    tied = np.concatenate([part[:, 3] for part in parts], axis=1).mean(axis=1)
    low, high = np.quantile(
        np.min([_resampled_means(part[:, 0], rng) for part in parts], axis=0),
        [0.025, 0.975],
        axis=0,
    )
    return [
        {
            "method": method.name,
            "query_class": WORSE,
            "measure": measure,
            "value": means[place, 0, column],
            "ci_low": low[place, column],
            "ci_high": high[place, column],
            "n": sum(part.shape[2] for part in parts),
            "optimistic": means[place, 1, column],
            "pessimistic": means[place, 2, column],
            "tied": tied[place, column],
        }
        for column, measure in enumerate(measures)
        for place, method in enumerate(methods)
    ]


def _resampled_means(
    values: np.ndarray, rng: np.random.Generator, n_resamples: int = 2000
) -> np.ndarray:
    """Bootstrap means over queries of (n_method, n_query, n_measure), resamples first."""
    n_query = values.shape[1]
    counts = rng.multinomial(n_query, np.full(n_query, 1 / n_query), size=n_resamples)
    return np.tensordot(counts / n_query, values, axes=(1, 1))
