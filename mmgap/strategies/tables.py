"""Tables of what strategies find and cost: views of one :class:`Judged`.

Values lie in [0, 1] and are means over queries of the value expected over the orders of tied
documents; intervals are 95 % bootstrap CIs over queries, differences are paired. ``against`` is
chosen on the same queries, which favours it and not what is compared with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mmgap.corpus.schema import Corpus, Document
from mmgap.encoders.base import Encoder
from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, differs
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.candidates import Pool
from mmgap.strategies.catalogue import PUBLISHED, PUBLISHED_CORPORA, PUBLISHED_MODELS, TWO_STAGE
from mmgap.strategies.judge import Judged, Ties, deepest_cut_off, judge
from mmgap.strategies.rerank import PairScorer
from mmgap.strategies.strategy import Strategy

if TYPE_CHECKING:
    import pandas as pd

Mean = Literal["macro", "micro"]

DIRECTIONS = ("T", "I")
"""Query classes that pull in opposite directions: relevant by the text, by the image."""

WORSE = "worse of T and I"
"""How the leaderboard calls the smaller of a method's values on both ``DIRECTIONS``."""


# --- cells ---------------------------------------------------------------------------------------


def value_cell(value: float, low: float, high: float, *, digits: int = 1, sign: str = "") -> str:
    """Write a fraction in percent with its CI; empty for NaN.

    >>> value_cell(0.541, 0.52, 0.562), value_cell(0.01, -0.002, 0.03, sign="+")
    ('54.1 [52.0, 56.2]', '+1.0 [-0.2, +3.0]')
    """
    if np.isnan(value):
        return ""
    at, *ends = (f"{100 * each:{sign}.{digits}f}" for each in (value, low, high))
    return f"{at} [{', '.join(ends)}]"


def points_cell(difference: float, p_holm: float) -> str:
    """Write a difference in points, with a star where it is significant; empty for NaN."""
    if np.isnan(difference):
        return ""
    return f"{100 * difference:+.1f}{'*' if differs(p_holm) else ''}"


# --- the leaderboard -----------------------------------------------------------------------------


def leaderboard(
    calibration: Vectors | Pool,
    test: Vectors | Pool,
    methods: Iterable[Strategy] | None = None,
    *,
    measures: Sequence[str] = ("recall@10", "ndcg@10"),
    by: str | None = "query_class",
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Fit every method (None: all of ``METHODS``) on calibration and judge it on test queries.

    Tidy, one row per method, query class and measure: ``corpus``, ``encoder``, ``method``,
    ``family``, ``fitted_on``, ``sees``; ``query_class``: ``all``, each value of ``by``, and "worse
    of T and I" where both are there, the smaller of the two means, so that a method which merely
    favours one modality gains nothing; then the columns of :meth:`Judged.table`, against the best
    single leg. One more row per method has the measure ``merge_ms``: milliseconds that merging the
    candidates of one query took on this machine. ``table.attrs["failures"]`` says which methods
    were left out, and why.
    """
    import pandas as pd

    deepest_cut_off(measures)
    rng = np.random.default_rng(0) if rng is None else rng
    if methods is None:
        from mmgap.strategies.catalogue import METHODS

        methods = METHODS.values()
    for given in (calibration, test):
        (given.vectors if isinstance(given, Pool) else given).need_ranked()
    judged = judge(methods, test, calibration, measures=measures)
    strategies = judged.strategies
    legs = [strategy.name for strategy in strategies if strategy.family == "leg"]
    groups = judged.groups(by)
    table = judged.table(legs, by=by, rng=rng)
    if {*DIRECTIONS} <= {*groups}:
        parts = [judged.values[:, :, groups[name]] for name in DIRECTIONS]
        table = pd.concat([table, _worse(judged, parts, rng)], ignore_index=True)
    times = pd.DataFrame(
        {
            "strategy": judged.names,
            "group": "all",
            "measure": "merge_ms",
            "n": len(groups["all"]),
            "value": [1000 * judged.costed[name].merge_seconds for name in judged.names],
        }
    )
    table = pd.concat([table, times], ignore_index=True)
    table = table.rename(columns={"strategy": "method", "group": "query_class"})
    about = pd.DataFrame(
        [(each.name, each.family, each.fitted_on, each.sees) for each in strategies],
        columns=["method", "family", "fitted_on", "sees"],
    )
    table = about.merge(table, on="method", how="left")
    table.insert(0, "encoder", judged.vectors.encoder.id)
    table.insert(0, "corpus", judged.vectors.corpus.name)
    table.attrs["failures"] = judged.failures
    return table


def format_leaderboard(
    table: pd.DataFrame, *, top: int | None = 15, measure: str = "recall@10"
) -> pd.DataFrame:
    """Lay a leaderboard of one corpus and encoder out for reading, the best method first.

    ``top`` methods besides the legs, ranked by ``measure``. Percent with the CI and the bounds that
    ties leave, each query class and the worse one; the difference to the better single leg in
    points, with a star where it is significant after Holm's correction.
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
    others = [name for name in dict.fromkeys(table["measure"]) if name not in (measure, "merge_ms")]
    of_all = table[table["query_class"] == "all"]
    by_measure = of_all.pivot(index="method", columns="measure", values="value")
    rows = []
    for row in overall.to_dict("records"):
        ties = ""
        worst, best = (f"{100 * row[bound]:.1f}" for bound in ("pessimistic", "optimistic"))
        if worst != best:
            ties = f"{worst} to {best}"
        against = points_cell(row.get("difference", np.nan), row.get("p_holm", np.nan))
        name = row["method"]
        rows.append(
            {"": str(row["rank"]), "method": name}
            | {"fitted on": row["fitted_on"], "sees": row["sees"]}
            | {measure: value_cell(row["value"], row["ci_low"], row["ci_high"]), "over ties": ties}
            | {other: f"{100 * by_measure.loc[name, other]:.1f}" for other in others}
            | {_column(group): f"{100 * by_class.loc[name, group]:.1f}" for group in classes}
            | {"against": against}
        )
    return pd.DataFrame(rows)


def _column(group: str) -> str:
    """Name a column by a class of queries, unless the table has one of that name."""
    taken = {"", "method", "fitted on", "sees", "over ties", "against", "worse"}
    return "worse" if group == WORSE else f"class {group}" if group in taken else group


def _worse(judged: Judged, parts: Sequence[np.ndarray], rng: np.random.Generator) -> pd.DataFrame:
    """Rows of the smaller mean of two groups of queries, each resampled by itself."""
    import pandas as pd

    means = np.min([part.mean(axis=2) for part in parts], axis=0)
    tied = np.concatenate([part[:, 3] for part in parts], axis=1).mean(axis=1)
    low, high = np.quantile(
        np.min([_resampled_means(part[:, 0], rng) for part in parts], axis=0),
        [0.025, 0.975],
        axis=0,
    )
    columns = {"value": means[:, 0], "ci_low": low, "ci_high": high}
    columns |= {"optimistic": means[:, 1], "pessimistic": means[:, 2], "tied": tied}
    table = pd.DataFrame({name: found.T.ravel() for name, found in columns.items()})
    n_measure, n_strategy = len(judged.measures), len(judged.names)
    return table.assign(
        strategy=judged.names * n_measure,
        group=WORSE,
        measure=np.repeat(list(judged.measures), n_strategy),
        n=sum(part.shape[2] for part in parts),
    )


def _resampled_means(
    values: np.ndarray, rng: np.random.Generator, n_resamples: int = 2000
) -> np.ndarray:
    """Bootstrap means over queries of (n_method, n_query, n_measure), resamples first."""
    n_query = values.shape[1]
    counts = rng.multinomial(n_query, np.full(n_query, 1 / n_query), size=n_resamples)
    return np.tensordot(counts / n_query, values, axes=(1, 1))


# --- the two-stage table -------------------------------------------------------------------------


def two_stage_table(
    vectors: Vectors,
    reranker: Reranker | PairScorer | None = None,
    strategies: Sequence[Strategy] = TWO_STAGE,
    *,
    measure: str = "recall@10",
    min_grade: float | None = None,
    ties: Ties = "expected",
    mean: Mean = "macro",
    calibration: Vectors | None = None,
    embed_ms: float = np.nan,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure the article's rows on any corpus, encoder and reranker.

    ``measure``: "recall@10", or "hit@10", which UniIR and the CLIP papers call recall@10.
    ``mean``: every query counts the same (``macro``), or every relevant document (``micro``;
    recall only, the CI takes the number of relevant documents of each query as given). Without a
    reranker the reranked rows are there and say in ``note`` that they were not run.

    One row per strategy: ``corpus``, ``encoder``, ``reranker``, ``strategy``, ``measure``; the
    columns of :meth:`Judged.table` against the best row without a reranker, and ``lift``, the value
    over that row's, minus 1; ``p_holm`` over the other rows; the columns of :meth:`Judged.costs`;
    ``published``, the article's number where it has this row and measure, which was not measured
    here, and ``published_applies``, whether corpus, encoder and reranker are the article's.
    """
    check_options(vectors.corpus, measure=measure, ties=ties, mean=mean, min_grade=min_grade)
    judged = judge(
        strategies, vectors, calibration,
        reranker=reranker, measures=[measure], min_grade=min_grade, ties=ties,
    )  # fmt: skip
    plain = [each.name for each in judged.strategies if each.rerank is None]
    weights = _weights(vectors.corpus, min_grade, mean)
    table = judged.table(plain, test_all=True, weights=weights, rng=rng)
    table = table.drop(columns=["group", "effect_size", "p"], errors="ignore").set_index("strategy")
    if plain:
        best = str(table["against"].iloc[0])
        table["lift"] = table["value"] / float(table["value"].to_dict()[best]) - 1
        table.loc[best, "lift"] = np.nan
    names = [strategy.name for strategy in strategies]
    table = table.join(judged.costs(embed_ms)).reindex(names).rename_axis("strategy").reset_index()
    model = reranker.reranker if isinstance(reranker, PairScorer) else reranker
    about = {
        "corpus": vectors.corpus.name,
        "encoder": vectors.encoder.id,
        "reranker": "" if model is None else model.info.id,
    }
    for place, (column, name) in enumerate(about.items()):
        table.insert(place, column, name)
    table["measure"] = measure
    known = {each.name: PUBLISHED[each.name] / 100 for each in strategies if _is_articles(each)}
    table["published"] = (
        table["strategy"].map(known if measure == "recall@10" else {}).astype(float)
    )
    models = zip(PUBLISHED_MODELS, [about["encoder"], about["reranker"]], strict=True)
    table["published_applies"] = about["corpus"] in PUBLISHED_CORPORA and all(
        model in name for model, name in models
    )
    table["note"] = [judged.failures.get(name, "") for name in names]
    return table


def format_two_stage_table(table: pd.DataFrame, *, digits: int = 2) -> pd.DataFrame:
    """Write the table of :func:`two_stage_table` as text, percents with their CIs.

    ``measured`` holds this run's numbers, the last column the article's, and a dash where it has
    none: ``published``, or, where this run is of another corpus or other models, ``published on
    EDIS``.
    """
    import pandas as pd

    def cell(row: Mapping, *names: str, sign: str = "") -> str:
        return value_cell(*(row.get(name, np.nan) for name in names), digits=digits, sign=sign)

    head = "published" if table["published_applies"].all() else "published on EDIS"
    rows = []
    for row in table.to_dict("records"):
        if row["note"]:
            cells = {"measured": f"not run: {row['note']}"}
        else:
            bounds = ("difference", "difference_low", "difference_high")
            cells = {
                "measured": cell(row, "value", "ci_low", "ci_high"),
                "to the best without reranker": cell(row, *bounds, sign="+"),
                "p (Holm)": "" if pd.isna(row.get("p_holm")) else f"{row['p_holm']:.2g}",
                "calls/query": f"{row['calls_per_query']:.1f}",
                "ms/query": f"{row['ms_per_query']:.3g}",
            }
        known = not pd.isna(row["published"])
        published = f"{100 * row['published']:.{digits}f}" if known else "-"
        rows.append({"strategy": row["strategy"], **cells, head: published})
    shown = pd.DataFrame(rows).fillna("")
    return shown[[*shown.columns.drop(head), head]]


def check_options(
    *corpora: Corpus,
    measure: str = "recall@10",
    ties: str = "expected",
    mean: str = "macro",
    min_grade: float | None = None,
) -> None:
    """Raise MmgapError for options that :func:`two_stage_table` cannot use, before any work.

    With corpora, also where a query has no document of ``min_grade``.
    """
    deepest_cut_off([measure])
    if ties not in ("expected", "index", "doc_id"):
        msg = f"ties is {ties!r}; choose expected, index or doc_id"
        raise MmgapError(msg)
    if mean not in ("macro", "micro"):
        msg = f"mean is {mean!r}; choose macro or micro"
        raise MmgapError(msg)
    if mean == "micro" and parse_measure(measure)[0] != "recall":
        msg = f"mean='micro' counts relevant documents, which {measure!r} does not; take recall@10"
        raise MmgapError(msg)
    if min_grade is None:
        return
    if not 0 < min_grade < np.inf:
        msg = f"min_grade is {min_grade}; expected a grade above 0, e.g. 1"
        raise MmgapError(msg)
    for corpus in corpora:
        for query_id in corpus.query_ids:
            if max(corpus.qrels[query_id].values(), default=0) < min_grade:
                msg = (
                    f"query {query_id!r} of {corpus.name!r} has no document of grade {min_grade} "
                    "or more; lower min_grade, or leave the query out"
                )
                raise MmgapError(msg)


def cut_texts(corpus: Corpus, max_words: int) -> Corpus:
    """Return the corpus with its documents' texts cut to so many words; queries stay whole.

    EDIS' own code cuts headlines to 30 words.
    """
    if max_words < 1:
        msg = f"max_words is {max_words}; expected 1 or more"
        raise MmgapError(msg)

    def cut(document: Document) -> Document:
        words = (document.text or "").split()
        if len(words) <= max_words:
            return document
        return replace(document, text=" ".join(words[:max_words]))

    return replace(corpus, documents=[cut(document) for document in corpus.documents])


def _is_articles(strategy: Strategy) -> bool:
    """Whether a row is one of the article's, whatever is decided where it leaves things open."""
    plain = strategy
    if strategy.rerank is not None:
        how = replace(strategy.rerank, duplicates="max", backfill=False, average="after")
        plain = replace(strategy, rerank=how)
    return plain in TWO_STAGE


def _weights(corpus: Corpus, min_grade: float | None, mean: str) -> np.ndarray:
    """Weight of each query, 1 on average."""
    if mean == "macro":
        return np.ones(len(corpus.queries))
    least = corpus.qrels.min_grade if min_grade is None else min_grade
    counts = [
        sum(grade >= least for grade in corpus.qrels[query_id].values())
        for query_id in corpus.query_ids
    ]
    return np.asarray(counts) / np.mean(counts)


# --- what the article does not report ------------------------------------------------------------


class Setting(NamedTuple):
    """One thing that a reproduction of the article must decide: how, by default, and why."""

    number: int
    question: str
    option: str
    default: str
    reason: str


UNREPORTED_SETTINGS = (
    Setting(
        1,
        "Is recall the fraction of relevant documents found, or whether any is found?",
        "two_stage_table(measure='recall@10' or 'hit@10'); --measure",
        "recall@10, the fraction",
        "EDIS, MTEB and trec_eval mean the fraction; published numbers of other models on this "
        "task fit it, and are 1.4 to 1.7 times as high on the other scale.",
    ),
    Setting(
        2,
        "From which grade on is a document relevant?",
        "two_stage_table(min_grade=1, 2 or 3); --set min_grade=2",
        "the corpus' own; grade 3 of EDIS",
        "EDIS' own code, M-BEIR and MTEB count grade 3 alone.",
    ),
    Setting(
        3,
        "Which pool: all 1,047,067 documents, or the 25,463 that were judged?",
        "the corpus that is loaded; --corpus, --set pool=restricted",
        "the corpus reader's",
        "Numbers as low as the article's point to the full pool; only who holds it can run it.",
    ),
    Setting(
        4,
        "All 3,241 test queries, or a sample?",
        "corpus.sample(n, seed=...); --set sample=500, --corpus NAME/SPLIT",
        "all queries of the test split",
        "With 1,000 queries the standard error is 1.2 to 1.5 points, so that two decimals could "
        "not be matched. A sample also shrinks the pool, which makes every row easier.",
    ),
    Setting(
        5,
        "A document that both legs retrieve: which score counts, and is its rank backfilled?",
        "Rerank(duplicates='max' or 'first', backfill=...); --set duplicates=first, backfill=yes",
        "max, not backfilled: 16 to 32 documents",
        "A document never takes two ranks. Not backfilling makes no more calls than 32.",
    ),
    Setting(
        6,
        "Is the mean of two views taken after the reranker's sigmoid, or before it?",
        "Rerank(average='after' or 'before'); --set average=before",
        "after",
        "It is what the model's public interface returns. Both views of every document are scored, "
        "so up to 64 calls a query.",
    ),
    Setting(
        7,
        "In which order do documents with equal scores stand?",
        "two_stage_table(ties='expected', 'index' or 'doc_id'); --set ties=index",
        "expected: the mean over all orders",
        "Equal headlines have equal cosines and equal reranker scores; no order among them is "
        "right. The columns optimistic and pessimistic hold the bounds. Where a leg's list is cut "
        "inside of a tie, the corpus' order decides.",
    ),
    Setting(
        8,
        "Which dimensions, query prompt, image size, number format; are headlines cut?",
        "load_encoder(dim=..., query_prompt=..., dtype or variant=...); "
        "cut_texts(corpus, 30); --set dim=..., query_prompt=..., max_words=30",
        "as the catalogue has the encoder: all dimensions, its own prompt and image size, "
        "float32; headlines whole",
        "The article names the model and nothing more. EDIS' own code cuts headlines to 30 words.",
    ),
    Setting(
        9,
        "What does the reranker see: kinds of query and document, length, image size?",
        "load_reranker(max_length=..., max_query_length=...); PairScorer(image_side=...); "
        "--set max_length=..., image_side=...",
        "text query with text or image; 10,240 tokens; images as large as the model takes",
        "These are the defaults of the model's own code.",
    ),
    Setting(
        10,
        "Is the mean over queries, or over relevant documents?",
        "two_stage_table(mean='macro' or 'micro'); --set mean=micro",
        "macro: every query counts the same",
        "Standard in every evaluation named here.",
    ),
    Setting(
        11,
        "How is the number written?",
        "format_two_stage_table(digits=2)",
        "percent with two decimals",
        "As in the article. The interval beside it says how many of them mean something.",
    ),
)
"""The eleven settings that the article does not report."""


def unreported_settings() -> pd.DataFrame:
    """Return ``UNREPORTED_SETTINGS`` as a table, one row each.

    >>> unreported_settings().loc[6, "default"]
    'after'
    """
    import pandas as pd

    return pd.DataFrame(UNREPORTED_SETTINGS, columns=Setting._fields).set_index("number")


# --- what strategies find for what they cost -----------------------------------------------------


def cost_table(
    judged: Judged,
    *,
    embed_ms: float = np.nan,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Set what each strategy finds, by the first measure, beside what it costs.

    One row per strategy: ``strategy``, ``family``, ``reranked``, ``measure``, ``value`` with its
    CI, ``n``, the columns of :meth:`Judged.costs`; ``against``, the best strategy without a
    reranker on these queries, and the paired ``difference`` with its CI; ``front_calls`` and
    ``front_ms``: whether no other strategy finds as much for less.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    values = judged.by_query()
    plain = [each.name for each in judged.strategies if each.rerank is None]
    if not plain:
        msg = "no strategy without a reranker: there is nothing to compare with; add one"
        raise MmgapError(msg)
    low, high = bootstrap_interval(values.to_numpy(), rng=rng)
    table = pd.DataFrame(
        {
            "family": [each.family if each.rerank else each.name for each in judged.strategies],
            "reranked": [each.rerank is not None for each in judged.strategies],
            "measure": judged.measures[0],
            "value": values.mean(),
            "ci_low": low,
            "ci_high": high,
            "n": len(values),
        },
        index=pd.Index(judged.names, name="strategy"),
    )
    table = table.join(judged.costs(embed_ms))
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

    Of several with equal cost and value, all or none are on the front.

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
    no_more_expensive = cost[:, None] <= cost
    no_worse = value[:, None] >= value
    better = (cost[:, None] < cost) | (value[:, None] > value)
    return np.logical_not(np.any(no_more_expensive & no_worse & better, axis=0))


def best_by_budget(
    table: pd.DataFrame,
    *,
    cost: str = "ms_per_query",
) -> pd.DataFrame:
    """Say which strategy finds most for every budget: the steps of the Pareto front.

    ``budget_from``, ``budget_to`` (infinite in the last row), ``strategy``, ``reranked``,
    ``value``, ``ci_low``, ``ci_high``, and ``gain`` over the step before. The order is of these
    numbers as measured; neighbours may be within each other's intervals.
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

    One row per reranked strategy, cheapest first: ``against``, the best strategy without a
    reranker; ``pays_from``, the budget in the unit of ``cost`` from which it can be had and is
    better (infinite where it is not); ``gain`` with its CI; ``extra``, cost beyond ``against``;
    ``price``, extra per point of recall (one percent). With ``worth``, what one point may cost at
    most, ``gap_needed``: recall that the strategy must win to be worth its extra cost. Whether a
    gain counts is not said here: it takes a test among all comparisons shown together.
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
        }
    )
    if worth is not None:
        result["gap_needed"] = extra / worth / 100
    return result


def embedding_ms(encoder: Encoder, corpus: Corpus, *, n: int = 64, repeats: int = 3) -> float:
    """Measure how long the encoder takes for one query of a batch of ``n``, in milliseconds.

    The quickest of ``repeats`` counts; the first one also loads what is loaded late.
    """
    texts = [query.text for query in corpus.queries[:n]]
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        encoder.encode_text(texts, role="query", batch_size=n, normalize=False)
        took.append(time.perf_counter() - began)
    return 1000 * min(took) / len(texts)
