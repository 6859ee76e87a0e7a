"""The table of the article: single legs, the raw merge, and four ways to rerank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmgap.corpus.schema import Corpus, Document
from mmgap.errors import MmgapError
from mmgap.evaluation import (
    Run,
    bootstrap_interval,
    evaluate,
    holm,
    randomisation_test,
    tied_at,
)
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.judge import deepest_cut_off
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.rerank import CostedRun, run_two_stage
from mmgap.strategies.two_stage import Average, Duplicates, TwoStage

if TYPE_CHECKING:
    import pandas as pd

Ties = Literal["expected", "index", "doc_id"]
Mean = Literal["macro", "micro"]

PUBLISHED_SOURCE = "Jina AI, 'Fair scoring for multimodal documents', 25 May 2025"

PUBLISHED: dict[str, float] = {
    "text leg": 14.55,
    "image leg": 22.38,
    "raw merge of 16 + 16": 14.55,
    "32 by text, reranked on text": 17.42,
    "32 by image, reranked on image": 28.94,
    "16 + 16, reranked on the matching leg": 33.81,
    "16 + 16, mean of both views": 36.24,
}
"""Recall@10 in percent as the article has it, on EDIS with jina-clip-v2 and jina-reranker-m0."""

PUBLISHED_CORPORA = ("edis", "edis/restricted")
"""Names of the corpora to which these numbers may belong: the article does not say which pool."""

PUBLISHED_MODELS = ("jina-clip-v2", "jina-reranker-m0")
"""What the encoder's and the reranker's names hold, hosted or not."""


def seed_strategies(
    *,
    depth: int = 32,
    duplicates: Duplicates = "max",
    refill: bool = False,
    average: Average = "after",
) -> tuple[TwoStage, ...]:
    """Return the rows of the article's table, with its open points decided.

    Parameters
    ----------
    depth : int, default 32
        Candidates: so many of one leg, or half of them from each. Even.
    duplicates, refill, average
        As in :class:`TwoStage`.

    Returns
    -------
    tuple of TwoStage
        Seven, in the order of ``PUBLISHED``; with another depth the names say so.

    Raises
    ------
    MmgapError
        If ``depth`` is odd.

    Examples
    --------
    >>> [strategy.max_calls for strategy in seed_strategies()]
    [0, 0, 0, 32, 32, 32, 64]
    """
    if depth % 2:
        msg = f"depth is {depth}; expected an even number, half of it for each leg"
        raise MmgapError(msg)
    half = depth // 2
    union = {"depth": half, "duplicates": duplicates, "refill": refill, "average": average}
    quota = f"{half} + {half}"
    return (
        TwoStage("text leg", None, ("text",), depth),
        TwoStage("image leg", None, ("image",), depth),
        TwoStage(f"raw merge of {quota}", None, **union),  # type: ignore[arg-type]
        TwoStage(f"{depth} by text, reranked on text", "text", ("text",), depth),
        TwoStage(f"{depth} by image, reranked on image", "image", ("image",), depth),
        TwoStage(f"{quota}, reranked on the matching leg", "matching", **union),  # type: ignore[arg-type]
        TwoStage(f"{quota}, mean of both views", "average", **union),  # type: ignore[arg-type]
    )


SEED_TABLE = seed_strategies()
"""The article's rows with every open point at its default; see :func:`open_points`."""


def seed_table(
    vectors: Vectors,
    reranker: Reranker | PairScorer | None = None,
    strategies: Sequence[TwoStage] = SEED_TABLE,
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

    Parameters
    ----------
    vectors : Vectors
    reranker : Reranker or PairScorer, optional
        Without one, the reranked rows are there and say that they were not run.
    strategies : sequence of TwoStage, default SEED_TABLE
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`. ``"hit@10"`` is what UniIR and the CLIP papers
        call recall@10.
    min_grade : float or None
        Lowest grade that counts as relevant; ``None`` takes the corpus' own.
    ties : {"expected", "index", "doc_id"}, default "expected"
        Documents of equal score: the mean over all their orders; or ordered as in the corpus; or
        by id, descending, as trec_eval does.
    mean : {"macro", "micro"}, default "macro"
        Every query counts the same, or every relevant document (recall only; the interval takes
        the number of relevant documents of each query as given).
    calibration : Vectors or None
        For strategies that are fitted.
    embed_ms : float
        Time to embed one query, in milliseconds, from :func:`embedding_ms`; unknown is left out.
    rng : numpy.random.Generator or None
        Of the bootstrap and of the randomisation test; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        One row per strategy with the columns ``corpus``, ``encoder``, ``reranker``, ``strategy``,
        ``measure`` and

        - ``value``, ``ci_low``, ``ci_high``: mean and 95 % bootstrap interval over queries, in
          [0, 1];
        - ``optimistic``, ``pessimistic``, ``tied``, ``n``: as in
          :func:`mmgap.evaluation.recall_table`;
        - ``against``: the best row without a reranker *on these queries*, hence chosen in its
          favour; ``difference``, ``difference_low``, ``difference_high``: paired, with its own 95
          % interval; ``lift``: value over that row's, less 1;
        - ``p_holm``: of the paired randomisation test against that row, two-sided, after Holm's
          correction over the other rows of this table;
        - ``calls_per_query``, ``tokens_per_query``, ``pixels_per_query``;
        - ``embed_ms``, ``search_ms``, ``merge_ms``, ``rerank_ms``, and ``ms_per_query``, their sum:
          see :class:`CostedRun`;
        - ``published``: the article's number, in [0, 1], where it has this row and this measure.
          It was not measured here and is compared with nothing;
        - ``published_applies``: whether corpus, encoder and reranker are the article's; the pool
          and the open points may still be others;
        - ``note``: why a row was not run; empty else.

    Raises
    ------
    MmgapError
        If ``ties`` or ``mean`` is unknown, ``mean="micro"`` is asked for another measure than
        recall, or nothing can be run.
    """
    check_options(vectors.corpus, measure=measure, ties=ties, mean=mean, min_grade=min_grade)
    if reranker is None or isinstance(reranker, PairScorer):
        scorer = reranker
    else:
        scorer = PairScorer(vectors, reranker)
    notes = {strategy.name: _obstacle(vectors, strategy, scorer) for strategy in strategies}
    cut_off = deepest_cut_off([measure])
    able = [each.at_least(cut_off) for each in strategies if not notes[each.name]]
    if not able:
        msg = f"nothing of the table can be run: {notes}"
        raise MmgapError(msg)
    costed = run_two_stage(vectors, able, scorer, calibration=calibration)
    rng = np.random.default_rng(0) if rng is None else rng
    weights = _weights(vectors.corpus, min_grade, mean)
    table = _measured(vectors.corpus, costed, weights, (measure, min_grade, ties), rng)
    table = table.join(_costs(costed, embed_ms)).reindex([strategy.name for strategy in strategies])
    table = table.rename_axis("strategy").reset_index()
    names = {
        "corpus": vectors.corpus.name,
        "encoder": vectors.encoder.id,
        "reranker": "" if scorer is None else scorer.reranker.info.id,
    }
    for place, (column, name) in enumerate(names.items()):
        table.insert(place, column, name)
    table["measure"] = measure
    known = {each.name: PUBLISHED[each.name] / 100 for each in strategies if _is_articles(each)}
    table["published"] = (
        table["strategy"].map(known if measure == "recall@10" else {}).astype(float)
    )
    models = zip(PUBLISHED_MODELS, [names["encoder"], names["reranker"]], strict=True)
    table["published_applies"] = names["corpus"] in PUBLISHED_CORPORA and all(
        model in name for model, name in models
    )
    table["note"] = table["strategy"].map(notes)
    return table


def format_seed_table(table: pd.DataFrame, *, digits: int = 2) -> pd.DataFrame:
    """Write the table of :func:`seed_table` as text, percents with their intervals.

    Parameters
    ----------
    table : DataFrame
    digits : int, default 2
        Digits after the point; the article has two.

    Returns
    -------
    shown : DataFrame of str
        One row per strategy, in the order of ``table``. ``measured`` holds this run's numbers,
        the last column the article's, and a dash where it has none: ``published``, or, where this
        run is of another corpus or other models, ``published on EDIS``.
    """
    import pandas as pd

    def percent(value: float, sign: str = "") -> str:
        return f"{100 * value:{sign}.{digits}f}"

    head = "published" if table["published_applies"].all() else "published on EDIS"
    rows = []
    for row in table.to_dict("records"):
        if row["note"]:
            cells = {"measured": f"not run: {row['note']}"}
        else:
            cells = {
                "measured": f"{percent(row['value'])} "
                f"[{percent(row['ci_low'])}, {percent(row['ci_high'])}]",
                "to the best without reranker": _difference(row, percent),
                "p (Holm)": "" if pd.isna(row.get("p_holm")) else f"{row['p_holm']:.2g}",
                "calls/query": f"{row['calls_per_query']:.1f}",
                "ms/query": f"{row['ms_per_query']:.3g}",
            }
        known = not pd.isna(row["published"])
        published = percent(row["published"]) if known else "-"
        rows.append({"strategy": row["strategy"], **cells, head: published})
    shown = pd.DataFrame(rows).fillna("")
    return shown[[*shown.columns.drop(head), head]]


def cut_texts(corpus: Corpus, max_words: int) -> Corpus:
    """Return the corpus with the texts of its documents cut to so many words.

    EDIS' own code cuts headlines to 30 words; queries stay whole.

    Parameters
    ----------
    corpus : Corpus
    max_words : int

    Raises
    ------
    MmgapError
        If ``max_words`` is below 1.

    Examples
    --------
    >>> from mmgap.corpus.schema import Judgment, Qrels, Query
    >>> qrels = Qrels([Judgment("q", "d", 1)])
    >>> corpus = Corpus("one", [Document("d", "a black cat")], [Query("q", "cat")], qrels)
    >>> cut_texts(corpus, 2).documents[0].text
    'a black'
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


def _is_articles(strategy: TwoStage) -> bool:
    """Whether a row is one of the article's, whatever is decided where it leaves things open."""
    return replace(strategy, duplicates="max", refill=False, average="after") in SEED_TABLE


def check_options(
    *corpora: Corpus,
    measure: str = "recall@10",
    ties: str = "expected",
    mean: str = "macro",
    min_grade: float | None = None,
) -> None:
    """Raise MmgapError for options that :func:`seed_table` cannot use, before any work.

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


def _obstacle(vectors: Vectors, strategy: TwoStage, scorer: PairScorer | None) -> str:
    """Why a row cannot be run; empty where it can."""
    lacking = [leg for leg in strategy.legs if leg not in vectors.ranked_legs]
    if vectors.holes.keys() & set(strategy.legs):
        return f"queries are the documents' own {' and '.join(vectors.holes)}s"
    if lacking:
        return f"{vectors.encoder.id} has no {' and no '.join(lacking)} leg here"
    if strategy.view is None:
        return ""
    if scorer is None:
        return "no reranker was given"
    needed = {"text": ("text",), "image": ("image",)}.get(strategy.view, ("text", "image"))
    missing = [shown for shown in needed if not scorer.takes(shown)]
    if missing:
        return f"{scorer.reranker.info.id} reads no {' and no '.join(missing)} of a document"
    return ""


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


def _measured(
    corpus: Corpus,
    costed: Sequence[CostedRun],
    weights: np.ndarray,
    how: tuple[str, float | None, str],
    rng: np.random.Generator,
) -> pd.DataFrame:
    import pandas as pd

    measure, min_grade, ties = how
    runs = [_ordered(each.run, ties) for each in costed]
    evaluated = [evaluate(run, corpus.qrels, [measure], min_grade=min_grade) for run in runs]
    by_query = {
        order: pd.DataFrame(
            {
                run.name: values[order][measure] * weights
                for run, values in zip(runs, evaluated, strict=True)
            }
        )
        for order in ("expected", "optimistic", "pessimistic")
    }
    values = by_query["expected"]
    low, high = bootstrap_interval(values.to_numpy(), rng=rng)
    cut_off = parse_measure(measure)[1]
    table = pd.DataFrame({"value": values.mean(), "ci_low": low, "ci_high": high})
    for order in ("optimistic", "pessimistic"):
        table[order] = by_query[order].mean()
    table["tied"] = [
        0.0 if cut_off is None else float(np.mean(tied_at(run.scores, cut_off))) for run in runs
    ]
    table["n"] = len(values)
    raw = [each.run.name for each in costed if each.strategy.view is None]
    if not raw:
        return table
    best = str(table.loc[raw, "value"].idxmax())
    differences = values.sub(values[best], axis=0)
    low, high = bootstrap_interval(differences.to_numpy(), rng=rng)
    table["against"] = best
    table["difference"] = differences.mean()
    table["difference_low"], table["difference_high"] = low, high
    table["lift"] = table["value"] / values[best].mean() - 1
    others = table.index.drop(best)
    table["p_holm"] = np.nan
    if len(others):
        table.loc[others, "p_holm"] = holm(
            randomisation_test(differences[others].to_numpy(), rng=rng)
        )
    table.loc[best, ["difference", "difference_low", "difference_high", "lift"]] = np.nan
    return table


def _costs(costed: Sequence[CostedRun], embed_ms: float) -> pd.DataFrame:
    from mmgap.strategies.cost import cost_frame

    return cost_frame(costed, embed_ms=embed_ms)


def _ordered(run: Run, ties: str) -> Run:
    """Return the run with an order in place of ties: strictly descending scores."""
    if ties == "expected":
        return run
    rank = np.arange(len(run.doc_ids))
    if ties == "doc_id":
        rank[np.argsort(np.asarray(run.doc_ids, dtype=object), kind="stable")[::-1]] = rank.copy()
    tie_break = np.where(run.indices < 0, len(rank), rank[np.maximum(run.indices, 0)])
    order = np.lexsort([tie_break, -run.scores], axis=1)
    indices = np.take_along_axis(run.indices, order, axis=1)
    places = -np.arange(indices.shape[1], dtype=np.float64)
    return replace(run, indices=indices, scores=np.where(indices < 0, -np.inf, places))


def _difference(row: dict, percent: Callable[..., str]) -> str:
    if row.get("against") is None or np.isnan(row.get("difference", np.nan)):
        return ""
    low, high = percent(row["difference_low"], "+"), percent(row["difference_high"], "+")
    return f"{percent(row['difference'], '+')} [{low}, {high}]"
