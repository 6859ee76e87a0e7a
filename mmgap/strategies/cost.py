"""Recall against what it costs, and where a reranker begins to pay."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder
from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, evaluate
from mmgap.index.vectors import Vectors
from mmgap.strategies.first_stage import margin_threshold
from mmgap.strategies.run_two_stage import CostedRun
from mmgap.strategies.two_stage import CONVEX, TwoStage, View

if TYPE_CHECKING:
    import pandas as pd

DEPTHS = (8, 16, 32, 64, 128)
"""Documents that are reranked, from a quick look to all that a first stage offers."""


def embedding_ms(encoder: Encoder, corpus: Corpus, *, n: int = 64, repeats: int = 3) -> float:
    """Measure how long the encoder takes for one query, in milliseconds.

    Parameters
    ----------
    encoder : Encoder
    corpus : Corpus
        Its first ``n`` queries are encoded, in one batch.
    n : int, default 64
    repeats : int, default 3
        The quickest counts; the first one also loads what is loaded late.

    Returns
    -------
    ms : float
        Per query of a batch, as the reranker's times are.
    """
    texts = [query.text for query in corpus.queries[:n]]
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        encoder.encode_text(texts, role="query", batch_size=n, normalize=False)
        took.append(time.perf_counter() - began)
    return 1000 * min(took) / len(texts)


def cost_frame(costed: Sequence[CostedRun], *, embed_ms: float = np.nan) -> pd.DataFrame:
    """Return what each run cost per query, on average.

    Parameters
    ----------
    costed : sequence of CostedRun
    embed_ms : float
        From :func:`embedding_ms`; NaN where it is not known: the total then leaves it out.

    Returns
    -------
    table : DataFrame
        Indexed by strategy: ``calls_per_query``, ``tokens_per_query``, ``pixels_per_query``,
        ``embed_ms``, ``search_ms``, ``merge_ms``, ``rerank_ms``, and ``ms_per_query``, the sum of
        those four.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "calls_per_query": [each.calls.mean() for each in costed],
            "tokens_per_query": [each.tokens.mean() for each in costed],
            "pixels_per_query": [each.pixels.mean() for each in costed],
            "embed_ms": embed_ms,
            "search_ms": [1000 * each.search_seconds for each in costed],
            "merge_ms": [1000 * each.merge_seconds for each in costed],
            "rerank_ms": [1000 * each.rerank_seconds.mean() for each in costed],
        },
        index=pd.Index([each.run.name for each in costed], name="strategy"),
    )
    stages = ["embed_ms", "search_ms", "merge_ms", "rerank_ms"]
    table["ms_per_query"] = table[stages].sum(axis=1)
    return table


def cost_table(
    costed: Sequence[CostedRun],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    measure: str = "recall@10",
    families: Mapping[str, str] | None = None,
    keep: np.ndarray | None = None,
    embed_ms: float = np.nan,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Set what each strategy finds beside what it costs.

    Parameters
    ----------
    costed : sequence of CostedRun
        With different names, over the same queries.
    qrels : mapping of query id to mapping of document id to grade
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`.
    families : mapping of strategy to family, optional
        Strategies that differ in depth alone share a family; else each is its own.
    keep : bool ndarray of shape (n_query,), optional
        Only these queries, such as one class.
    embed_ms : float
        As in :func:`cost_frame`.
    rng : numpy.random.Generator or None
        Of the bootstrap; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per strategy: ``strategy``, ``family``, ``reranked``, ``measure``, ``value``,
        ``ci_low``, ``ci_high``, ``n``, the columns of :func:`cost_frame`; ``against``, the best
        strategy without a reranker on these queries, hence chosen in its favour, and
        ``difference``, ``difference_low``, ``difference_high``, paired; ``front_calls`` and
        ``front_ms``: whether no other strategy finds as much for less (:func:`pareto_front`).

    Raises
    ------
    MmgapError
        If no query is kept, or none of the strategies goes without a reranker.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    kept = np.ones(len(costed[0].calls), dtype=bool) if keep is None else np.asarray(keep)
    plain = [each.run.name for each in costed if each.strategy.view is None]
    if not kept.any() or not plain:
        msg = (
            f"{int(kept.sum())} queries and {len(plain)} strategies without a reranker; expected "
            "one or more of each: there is nothing to compare with"
        )
        raise MmgapError(msg)
    found = {
        each.run.name: evaluate(each.run, qrels, [measure])["expected"][measure] for each in costed
    }
    values = pd.DataFrame(found)[kept]
    low, high = bootstrap_interval(values.to_numpy(), rng=rng)
    table = pd.DataFrame(
        {
            "family": [(families or {}).get(name, name) for name in found],
            "reranked": [each.strategy.view is not None for each in costed],
            "measure": measure,
            "value": values.mean(),
            "ci_low": low,
            "ci_high": high,
            "n": len(values),
        },
        index=pd.Index(values.columns, name="strategy"),
    )
    table = table.join(cost_frame([_only(each, kept) for each in costed], embed_ms=embed_ms))
    best = str(table.loc[plain, "value"].idxmax())
    differences = values.sub(values[best], axis=0)
    low, high = bootstrap_interval(differences.to_numpy(), rng=rng)
    table["against"], table["difference"] = best, differences.mean()
    table["difference_low"], table["difference_high"] = low, high
    for name, column in (("front_calls", "calls_per_query"), ("front_ms", "ms_per_query")):
        table[name] = pareto_front(table[column].to_numpy(), table["value"].to_numpy())
    return table.reset_index()


def pareto_front(cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Tell which strategies no other one beats: none finds as much for less, or more for as much.

    Parameters
    ----------
    cost, value : ndarray of shape (n_strategy,)
        Smaller cost is better, larger value is better.

    Returns
    -------
    front : bool ndarray of shape (n_strategy,)
        Of several with equal cost and value, all or none are on the front.

    Raises
    ------
    ValueError
        If shapes differ or a number is NaN.

    Examples
    --------
    The third costs more than the second and finds less.

    >>> pareto_front(np.array([0, 16, 32, 64]), np.array([0.5, 0.6, 0.58, 0.7]))
    array([ True,  True, False,  True])
    """
    cost, value = np.asarray(cost, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if cost.shape != value.shape or cost.ndim != 1 or np.isnan([cost, value]).any():
        msg = (
            f"cost {cost.shape} and value {value.shape} must hold one number for each strategy, "
            "none of them NaN"
        )
        raise ValueError(msg)
    no_dearer = cost[:, None] <= cost
    no_worse = value[:, None] >= value
    better = (cost[:, None] < cost) | (value[:, None] > value)
    return np.logical_not(np.any(no_dearer & no_worse & better, axis=0))


def equal_cost_strategies(
    calibration: Vectors,
    *,
    depths: Sequence[int] = DEPTHS,
    view: View = "average",
    normalise: str = "reference z",
    merge: str = CONVEX,
    cheap_view: View = "text",
    share: float = 0.5,
) -> dict[str, tuple[TwoStage, ...]]:
    """Return the strategies between which "normalise or rerank?" is decided.

    Parameters
    ----------
    calibration : Vectors
        Of another split than the one they are judged on: margins are found there.
    depths : sequence of int, default DEPTHS
        Documents that are reranked; even.
    view : str, default "average"
        What the reranker is shown, see :class:`TwoStage`.
    normalise, merge : str
        The calibrated fusion: how each leg is brought onto one scale, and how they are merged; by
        default with the weight that is best on judged calibration queries.
    cheap_view : str, default "text"
        What the first pass of the two-pass cascade is shown.
    share : float, default 0.5
        Share of the queries that the margin cascade reranks, on calibration queries.

    Returns
    -------
    strategies : dict of family to tuple of TwoStage
        - ``raw merge`` and ``mean of raw scores``: no reranker, no calibration;
        - ``normalised merge``: the mean after the same ``normalise``, without a fitted weight;
        - ``calibrated fusion``: no reranker;
        - ``rerank``: half of ``depth`` from each leg, reranked; what follows is in the legs' turn;
        - ``calibrate, then rerank``: the first ``depth`` of the calibrated fusion, reranked;
        - ``only unsure queries``: the same for queries whose margin is small, the others stay;
        - ``cheap view, then all``: ``depth`` documents by ``cheap_view``, the best quarter of them
          by ``view``.

    Examples
    --------
    >>> families = equal_cost_strategies(vectors)  # doctest: +SKIP
    >>> [strategy.max_calls for strategy in families["rerank"]]  # doctest: +SKIP
    [16, 32, 64, 128, 256]
    """
    calibrated = {"merge": merge, "normalise": normalise}

    def fused(name: str, view: View | None, depth: int, **more: object) -> TwoStage:
        # As deep as the reranker may look, so that depth is the only difference.
        pool = max(100, *depths)
        return TwoStage(name, view, depth=depth, pool=pool, **calibrated, **more)  # type: ignore[arg-type]

    margin = margin_threshold(calibration, fused("margin", view, 1), share)
    return {
        "raw merge": (TwoStage("raw merge", None, merge="max"),),
        "mean of raw scores": (TwoStage("mean of raw scores", None, merge="mean"),),
        "normalised merge": (
            TwoStage("normalised merge", None, depth=1, merge="mean", normalise=normalise),
        ),
        "calibrated fusion": (fused("calibrated fusion", None, 1),),
        "rerank": tuple(
            TwoStage(f"rerank {depth}", view, depth=depth // 2, tail=True) for depth in depths
        ),
        "calibrate, then rerank": tuple(
            fused(f"calibrate, then rerank {depth}", view, depth) for depth in depths
        ),
        "only unsure queries": tuple(
            fused(f"only unsure queries, {depth}", view, depth, margin=margin) for depth in depths
        ),
        "cheap view, then all": tuple(
            fused(
                f"{cheap_view} {depth}, then {view} {max(1, depth // 4)}",
                cheap_view,
                depth,
                refine=(view, max(1, depth // 4)),
            )
            for depth in depths
        ),
    }


def family_of(families: Mapping[str, Sequence[TwoStage]]) -> dict[str, str]:
    """Return each strategy's family, by the strategy's name; for :func:`cost_table`."""
    return {each.name: family for family, members in families.items() for each in members}


def best_by_budget(
    table: pd.DataFrame,
    *,
    cost: str = "ms_per_query",
) -> pd.DataFrame:
    """Say which strategy finds most for every budget: the steps of the Pareto front.

    Parameters
    ----------
    table : DataFrame
        From :func:`cost_table`.
    cost : str, default "ms_per_query"
        Column of the budget, such as ``"calls_per_query"``.

    Returns
    -------
    steps : DataFrame
        ``budget_from``, ``budget_to`` (infinite in the last row), ``strategy``, ``reranked``,
        ``value``, ``ci_low``, ``ci_high``, and ``gain``: by how much it is better than the step
        before. The order is of these numbers as measured; neighbours may be within each other's
        intervals.
    """
    front = pareto_front(table[cost].to_numpy(), table["value"].to_numpy())
    steps = table[front].sort_values([cost, "value"]).drop_duplicates([cost], keep="first")
    columns = ["strategy", "reranked", "value", "ci_low", "ci_high"]
    steps = steps[[cost, *columns]].rename(columns={cost: "budget_from"}).reset_index(drop=True)
    steps["budget_from"] = steps["budget_from"].astype(float)
    steps.insert(1, "budget_to", steps["budget_from"].shift(-1, fill_value=np.inf))
    steps["gain"] = steps["value"].diff()
    return steps


def break_even(
    table: pd.DataFrame, *, cost: str = "ms_per_query", worth: float | None = None
) -> pd.DataFrame:
    """Say from which budget, and from which gain in recall, each reranked strategy pays.

    Parameters
    ----------
    table : DataFrame
        From :func:`cost_table`.
    cost : str, default "ms_per_query"
    worth : float or None
        What the reader would pay at most for one point of recall (one percent), in the unit of
        ``cost``; adds the column ``gap_needed``.

    Returns
    -------
    table : DataFrame
        One row per reranked strategy, cheapest first:

        - ``strategy``, ``against``: the best strategy without a reranker;
        - ``pays_from``: the budget, in the unit of ``cost``, from which it can be had and is better
          than anything without a reranker; infinite where it is not better;
        - ``gain``, ``gain_low``, ``gain_high``: recall won, with the paired 95 % interval;
        - ``extra``: cost beyond the strategy without a reranker;
        - ``price``: ``extra`` per point of recall (one percent). It pays where a point is worth
          more than that; infinite where nothing is won;
        - ``certain``: whether the interval of the gain leaves out 0;
        - ``gap_needed``: recall, in [0, 1], that the strategy must win to be worth its extra cost;
          it pays where ``gain`` is larger.

    Raises
    ------
    MmgapError
        If ``worth`` is not above 0.
    """
    import pandas as pd

    if worth is not None and not worth > 0:
        msg = f"worth is {worth}; expected what one point of recall may cost, above 0"
        raise MmgapError(msg)

    plain = table[~table["reranked"]].set_index("strategy")
    rows = table[table["reranked"]].sort_values(cost)
    base = plain.loc[rows["against"].iloc[0], cost] if len(rows) else np.nan
    extra = (rows[cost] - base).to_numpy()
    gain = rows["difference"].to_numpy()
    won = gain > 0
    price = np.where(won, extra / np.where(won, 100 * gain, 1), np.inf)
    result = pd.DataFrame(
        {
            "strategy": rows["strategy"].to_numpy(),
            "against": rows["against"].to_numpy(),
            "pays_from": np.where(won, rows[cost], np.inf),
            "gain": gain,
            "gain_low": rows["difference_low"].to_numpy(),
            "gain_high": rows["difference_high"].to_numpy(),
            "extra": extra,
            "price": price,
            "certain": (rows["difference_low"] > 0).to_numpy(),
        }
    )
    if worth is not None:
        result["gap_needed"] = extra / worth / 100
    return result


def _only(costed: CostedRun, kept: np.ndarray) -> CostedRun:
    from dataclasses import replace

    counts = ("calls", "tokens", "pixels", "rerank_seconds")
    return replace(costed, **{name: getattr(costed, name)[kept] for name in counts})
