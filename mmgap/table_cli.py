"""The command ``mmgap table seed``: the article's table for any corpus, encoder and reranker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmgap import paths
from mmgap.cli_shared import load_corpora, load_encoders, short_path
from mmgap.corpus.files import OnError
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus
    from mmgap.rerankers.base import Reranker

app = typer.Typer(rich_markup_mode="markdown")

Ties = Literal["expected", "index", "doc_id"]
Mean = Literal["macro", "micro"]
Duplicates = Literal["max", "first"]
Average = Literal["after", "before"]
Pool = Literal["full", "restricted"]

_POINT = "Open points of the article"


@app.command()
def seed(
    corpus: Annotated[
        str, typer.Option(help="A name of `mmgap corpus list`, NAME@FOLDER, or a folder.")
    ] = "pictograms",
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="As in `mmgap report`; repeatable. Default: the bundled ones."),
    ] = None,
    reranker: Annotated[
        str,
        typer.Option(help="An id of `mmgap models --rerank`, ID@FOLDER, a folder, or none."),
    ] = "mini-reranker",
    split: Annotated[str, typer.Option(help="train, calibration or test.")] = "test",
    condition: Annotated[
        str | None, typer.Option(help="Of pictograms: style or concept; default: both.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the queries of pictograms.")] = "en",
    on_error: Annotated[OnError, typer.Option(help="raise, or skip bad items.")] = "raise",
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many queries and the documents judged for them."),
    ] = None,
    pool: Annotated[
        Pool | None,
        typer.Option(help="Of EDIS: all candidates, or the judged ones.", rich_help_panel=_POINT),
    ] = None,
    measure: Annotated[
        str, typer.Option(help="recall@10, hit@10 ...", rich_help_panel=_POINT)
    ] = "recall@10",
    min_grade: Annotated[
        float | None,
        typer.Option(help="Lowest relevant grade; the corpus' own.", rich_help_panel=_POINT),
    ] = None,
    duplicates: Annotated[
        Duplicates,
        typer.Option(help="Score of a document that both legs find.", rich_help_panel=_POINT),
    ] = "max",
    refill: Annotated[
        bool,
        typer.Option("--refill", help="Fill free places of the union.", rich_help_panel=_POINT),
    ] = False,
    average: Annotated[
        Average,
        typer.Option(help="Mean of views after the sigmoid, or before.", rich_help_panel=_POINT),
    ] = "after",
    ties: Annotated[
        Ties, typer.Option(help="Order of equal scores.", rich_help_panel=_POINT)
    ] = "expected",
    mean: Annotated[
        Mean, typer.Option(help="Over queries, or documents.", rich_help_panel=_POINT)
    ] = "macro",
    dim: Annotated[
        int | None, typer.Option(help="Cut vectors to this.", rich_help_panel=_POINT)
    ] = None,
    query_prompt: Annotated[
        str | None, typer.Option(help="Put before queries.", rich_help_panel=_POINT)
    ] = None,
    max_words: Annotated[
        int | None,
        typer.Option(min=1, help="Cut documents' texts to this.", rich_help_panel=_POINT),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens the reranker reads.", rich_help_panel=_POINT)
    ] = None,
    image_side: Annotated[
        int | None,
        typer.Option(min=1, help="Shrink pictures to this first.", rich_help_panel=_POINT),
    ] = None,
    depth: Annotated[int, typer.Option(min=2, help="Candidates; even.")] = 32,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Pairs that the reranker reads at once.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the CSV files.")] = None,
    options: Annotated[
        bool, typer.Option("--options", help="List the eleven open points and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Single legs, the raw merge, and four ways to rerank: the table of the article.

    Every pair of query and document is scored once and kept: a stopped run goes on where it
    stopped. Writes seed_table.csv, and seed_table_settings.csv, which says how each open point of
    the article was decided.

    Example: `mmgap table seed --encoder mini-clip --condition style`

    EDIS: `mmgap table seed --corpus edis --encoder jinaai/jina-clip-v2 --reranker
    jinaai/jina-reranker-m0`
    """
    import pandas as pd

    from mmgap.index import embed
    from mmgap.rerankers import load_reranker
    from mmgap.strategies import PairScorer, cut_texts, embedding_ms, seed_strategies, seed_table
    from mmgap.strategies.seed_table import check_options

    if options:
        _list_open_points()
        return
    check_options(measure=measure, ties=ties, mean=mean, min_grade=min_grade)
    rows = seed_strategies(depth=depth, duplicates=duplicates, refill=refill, average=average)
    if pool is not None and corpus.partition("@")[0] != "edis":
        msg = f"--pool is for EDIS; {corpus!r} has one pool. Leave it out"
        raise MmgapError(msg)
    options_of_corpus = {} if pool is None else {"pool": pool}
    corpora = load_corpora(corpus, split, condition, language, on_error, **options_of_corpus)
    if sample is not None:
        corpora = [each.sample(sample) for each in corpora]
    check_options(*corpora, measure=measure, min_grade=min_grade)
    if max_words is not None:
        corpora = [cut_texts(each, max_words) for each in corpora]
    length = {} if max_length is None else {"max_length": max_length}
    model = None if reranker == "none" else load_reranker(reranker, **length)
    tables = []
    wanted = {"dim": dim, "query_prompt": query_prompt}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    for each in load_encoders(encoder, corpora, **wanted):
        for searched in corpora:
            vectors = embed(searched, each, on_error=on_error, progress=not quiet)
            scorer = None
            if model is not None:
                scorer = PairScorer(
                    vectors,
                    model,
                    batch_size=batch_size,
                    image_side=image_side,
                    progress=not quiet,
                )
            # A hosted encoder would charge for it, and say how fast the network is.
            hosted = vectors.encoder.backend == "api"
            embed_ms = float("nan") if each is None or hosted else embedding_ms(each, searched)
            table = seed_table(
                vectors,
                scorer,
                rows,
                measure=measure,
                min_grade=min_grade,
                ties=ties,
                mean=mean,
                embed_ms=embed_ms,
            )
            new = "" if scorer is None else f", {scorer.n_new:,} reranker calls made now"
            _print_table(table, f"{measure} in %{new}")
            tables.append(table)
    settings = _settings(
        corpora[0],
        model,
        {
            "measure": measure,
            "min_grade": min_grade,
            "split": split,
            "sample": sample,
            "duplicates": duplicates,
            "refill": refill,
            "average": average,
            "ties": ties,
            "dim": dim,
            "query_prompt": query_prompt,
            "max_words": max_words,
            "max_length": max_length,
            "image_side": image_side,
            "mean": mean,
        },
    )
    folder = out or paths.results_dir()
    folder.mkdir(parents=True, exist_ok=True)
    whole = pd.concat(tables, ignore_index=True)
    for name, frame in (("seed_table", whole), ("seed_table_settings", settings)):
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        typer.echo(f"written: {short_path(folder / f'{name}.csv')}")


def _settings(corpus: Corpus, model: Reranker | None, used: dict[str, object]) -> pd.DataFrame:
    """How this run decided each open point."""
    from mmgap.strategies import open_points

    def said(*names: str) -> str:
        return ", ".join(f"{name}={used[name]}" for name in names)

    grade = used["min_grade"]
    decided = [
        said("measure"),
        f"min_grade={corpus.qrels.min_grade if grade is None else grade}",
        f"{corpus.name}: {len(corpus.documents)} documents",
        f"{len(corpus.queries)} queries, {said('split', 'sample')}",
        said("duplicates", "refill"),
        said("average"),
        said("ties"),
        said("dim", "query_prompt", "max_words"),
        said("max_length", "image_side")
        + ("" if model is None else f"; {model.info.id} gives {model.info.score}"),
        said("mean"),
        "shares in the file, percent with two decimals on the screen",
    ]
    points = open_points()[["question", "default"]].reset_index()
    return points.assign(setting=decided)[["number", "question", "setting", "default"]]


def _list_open_points() -> None:
    from mmgap.strategies import OPEN_POINTS

    for point in OPEN_POINTS:
        typer.echo(f"{point.number:>2}. {point.question}")
        for label, text in (
            ("set", point.option),
            ("default", point.default),
            ("reason", point.reason),
        ):
            typer.echo(f"    {label}: {text}")


def _print_table(table: pd.DataFrame, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from mmgap.strategies import format_seed_table

    shown = format_seed_table(table)
    names = [str(table[column].iloc[0]) for column in ("corpus", "encoder", "reranker")]
    head = ", ".join(name for name in names if name)
    grid = Table(title=f"{head}\n{title}, 95 % intervals", title_justify="left")
    for column in shown:
        grid.add_column(
            str(column), justify="left" if column == "strategy" else "right", overflow="fold"
        )
    for row in shown.itertuples(index=False):
        grid.add_row(*map(str, row))
    # Piped output has no width of its own; wide enough that no number is cut.
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(grid)
    best = table["against"].dropna()
    if len(best):
        console.print(f"Best without reranker: {best.iloc[0]}, chosen on these queries.")
    if table["published"].notna().any():
        from mmgap.strategies.seed_table import PUBLISHED_MODELS, PUBLISHED_SOURCE

        setting = f"EDIS with {' and '.join(PUBLISHED_MODELS)}"
        console.print(f"Published, not measured here, {setting}: {PUBLISHED_SOURCE}.")
