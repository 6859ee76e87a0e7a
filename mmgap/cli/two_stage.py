"""``mmgap table two-stage``: the article's table for any corpus, encoder and reranker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmgap.cli.job import WritingJob, takes_job
from mmgap.cli.show import print_table, say, say_written, write_tables
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus
    from mmgap.rerankers.base import Reranker

SETTINGS: dict[str, tuple[Any, Any]] = {
    "min_grade": (float, None),
    "pool": (("full", "restricted"), None),
    "sample": (int, None),
    "duplicates": (("max", "first"), "max"),
    "backfill": (("no", "yes"), "no"),
    "average": (("after", "before"), "after"),
    "ties": (("expected", "index", "doc_id"), "expected"),
    "mean": (("macro", "micro"), "macro"),
    "dim": (int, None),
    "query_prompt": (str, None),
    "max_words": (int, None),
    "max_length": (int, None),
    "image_side": (int, None),
    "depth": (int, 32),
    "batch_size": (int, None),
}
"""What ``--set NAME=VALUE`` takes: a kind or the choices, and the default."""


def two_stage(
    job: WritingJob,
    reranker: Annotated[
        str,
        typer.Option(help="An id of `mmgap models --rerank`, ID@FOLDER, a folder, or none."),
    ] = "mini-reranker",
    measure: Annotated[str, typer.Option(help="recall@10, hit@10, ndcg@10 ...")] = "recall@10",
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting that the article does not report, or depth or batch_size; repeatable. "
            "--settings lists them.",
        ),
    ] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List the unreported settings and stop.")
    ] = False,
) -> None:
    """Single legs, the raw merge, and four ways to rerank: the table of the article.

    Every pair of query and document is scored once and kept: a stopped run goes on where it
    stopped. Writes two_stage.csv, and two_stage_settings.csv, which says how each setting that the
    article does not report was decided.

    Example: `mmgap table two-stage --encoder mini-clip --corpus pictograms/style`

    EDIS: `mmgap table two-stage --corpus edis --encoder jinaai/jina-clip-v2 --reranker
    jinaai/jina-reranker-m0`
    """
    from mmgap.rerankers import load_reranker
    from mmgap.strategies import (
        PairScorer,
        check_options,
        cut_texts,
        embedding_ms,
        two_stage_strategies,
        two_stage_table,
    )

    if settings:
        _list_settings()
        return
    used = _settle(changed or [])
    judged = {"measure": measure, **{name: used[name] for name in ("ties", "mean", "min_grade")}}
    check_options(**judged)
    rows = two_stage_strategies(
        depth=used["depth"],
        duplicates=used["duplicates"],
        backfill=used["backfill"] == "yes",
        average=used["average"],
    )
    if used["pool"] is not None and job.corpus.partition("@")[0].partition("/")[0] != "edis":
        msg = f"--set pool=... is for EDIS; {job.corpus!r} has one pool. Leave it out"
        raise MmgapError(msg)
    pools = job.pools(**_given(used, "pool"))
    if used["sample"] is not None:
        pools = [pool.sample(used["sample"]) for pool in pools]
    check_options(*pools, **judged)
    if used["max_words"] is not None:
        pools = [cut_texts(pool, used["max_words"]) for pool in pools]
    model = None if reranker == "none" else load_reranker(reranker, **_given(used, "max_length"))
    tables, calls = [], []
    for encoder in job.encoders(pools, **_given(used, "dim", "query_prompt")):
        for pool in pools:
            vectors = job.embed(pool, encoder)
            scorer = None
            if model is not None:
                how = _given(used, "batch_size", "image_side")
                scorer = PairScorer(vectors, model, **how)
            # A hosted encoder would charge for it, and say how fast the network is.
            hosted = vectors.encoder.backend == "api"
            timed = encoder is not None and not hosted
            embed_ms = embedding_ms(encoder, pool) if timed and encoder else float("nan")
            tables.append(two_stage_table(vectors, scorer, rows, embed_ms=embed_ms, **judged))
            calls.append(0 if scorer is None else scorer.n_new)
    decided = _decided(pools[0], model, {**used, "measure": measure})
    found = {"two_stage": tables, "two_stage_settings": [decided]}
    written = write_tables(job.folder, found)
    for table, n_new in zip(tables, calls, strict=True):
        _print(table, f"{measure} in %, {n_new:,} reranker calls made now, 95 % CI")
    say_written(written)


two_stage = takes_job(two_stage)


def _settle(changed: list[str]) -> dict[str, Any]:
    """Return every setting, those of ``--set`` read and checked."""
    used = {name: default for name, (_, default) in SETTINGS.items()}
    for each in changed:
        name, equals, value = each.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in SETTINGS:
            msg = f"--set {each}: expected NAME=VALUE with one of {', '.join(SETTINGS)}"
            raise MmgapError(msg)
        kind, _ = SETTINGS[name]
        if isinstance(kind, tuple):
            if value not in kind:
                msg = f"--set {each}: expected {' or '.join(kind)}"
                raise MmgapError(msg)
            used[name] = value
            continue
        try:
            used[name] = kind(value)
        except ValueError:
            msg = f"--set {each}: expected a number"
            raise MmgapError(msg) from None
        if kind is int and used[name] < 1:
            msg = f"--set {each}: expected 1 or more"
            raise MmgapError(msg)
    return used


def _given(used: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: used[name] for name in names if used[name] is not None}


def _decided(corpus: Corpus, model: Reranker | None, used: dict[str, Any]) -> pd.DataFrame:
    """How this run decided each unreported setting."""
    from mmgap.strategies import unreported_settings

    def said(*names: str) -> str:
        return ", ".join(f"{name}={used[name]}" for name in names)

    grade = used["min_grade"]
    decided = [
        said("measure"),
        f"min_grade={corpus.qrels.min_grade if grade is None else grade}",
        f"{corpus.name}: {len(corpus.documents)} documents",
        f"{len(corpus.queries)} queries, {said('sample')}",
        said("duplicates", "backfill"),
        said("average"),
        said("ties"),
        said("dim", "query_prompt", "max_words"),
        said("max_length", "image_side")
        + ("" if model is None else f"; {model.info.id} gives {model.info.score}"),
        said("mean"),
        "fractions in the file, percent with two decimals on the screen",
    ]
    points = unreported_settings()[["question", "default"]].reset_index()
    return points.assign(setting=decided)[["number", "question", "setting", "default"]]


def _list_settings() -> None:
    from mmgap.strategies import UNREPORTED_SETTINGS

    for point in UNREPORTED_SETTINGS:
        say(f"{point.number:>2}. {point.question}")
        for label, text in (
            ("set", point.option),
            ("default", point.default),
            ("reason", point.reason),
        ):
            say(f"    {label}: {text}")


def _print(table: pd.DataFrame, title: str) -> None:
    from mmgap.strategies import PUBLISHED_MODELS, PUBLISHED_SOURCE, format_two_stage_table

    names = [str(table[column].iloc[0]) for column in ("corpus", "encoder", "reranker")]
    print_table(f"{', '.join(filter(None, names))}\n{title}", format_two_stage_table(table))
    best = table["against"].dropna()
    if len(best):
        say(f"Best without reranker: {best.iloc[0]}, chosen on these queries.")
    if table["published"].notna().any():
        setting = f"EDIS with {' and '.join(PUBLISHED_MODELS)}"
        say(f"Published, not measured here, {setting}: {PUBLISHED_SOURCE}.")
