"""The command ``mmgap``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap import paths
from mmgap.cli_shared import (
    ConditionOption,
    CorpusOption,
    EncoderOption,
    LanguageOption,
    OnErrorOption,
    QuietOption,
    SampleOption,
    SplitOption,
    load_corpora,
    load_encoders,
    print_table,
    short_path,
)
from mmgap.corpus_cli import app as corpus_app
from mmgap.corpus_cli import texts_line
from mmgap.errors import MmgapError
from mmgap.methods_cli import app as methods_app
from mmgap.models_cli import app as models_app
from mmgap.table_cli import app as table_app

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Text and image embeddings of one model live on different scales: see it, measure it, "
    "and see what it costs in recall.\n\n"
    "Example: `mmgap report --encoder mini-clip`",
)
app.add_typer(corpus_app, name="corpus")
app.add_typer(models_app, name="models")
app.add_typer(table_app, name="table")
app.add_typer(methods_app)  # without a name: its commands stand beside those below


@app.command()
def report(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
    sample: SampleOption = None,
    k: Annotated[int, typer.Option(min=1, help="Cut-off of recall, hit and nDCG.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder of the CSV files.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Score distributions and recall of every leg and merge; writes results/*.csv.

    Example: `mmgap report --encoder mini-clip --encoder mini-siglip --condition style`
    """
    from mmgap.report import report as make_report

    corpora = load_corpora(corpus, split, condition, language, on_error)
    if sample is not None:
        corpora = [pool.sample(sample) for pool in corpora]
    models = load_encoders(encoder, corpora)
    result = make_report(corpora, models, k=k, on_error=on_error, progress=not quiet)
    _print_distributions(result.distributions)
    _print_recall(result.recall)
    for path in result.write(out or paths.results_dir()):
        typer.echo(f"written: {short_path(path)}")


@table_app.callback(invoke_without_command=True)
def table(
    context: typer.Context,
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
    by: Annotated[
        str | None, typer.Option(help="Split queries by this field, e.g. query_class.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Cut-off of recall, hit and nDCG.")] = 10,
    quiet: QuietOption = False,
) -> None:
    """Show the recall table alone, over all queries or by a field of theirs.

    Example: `mmgap table --encoder mini-clip --by query_class`
    """
    if context.invoked_subcommand is not None:
        return
    from mmgap.evaluation import format_table, recall_table
    from mmgap.index import embed
    from mmgap.strategies import run_strategies

    corpora = load_corpora(corpus, split, condition, language, on_error)
    for model in load_encoders(encoder, corpora):
        for pool in corpora:
            queries = pool.query_frame()
            if by is not None and by not in queries:
                fields = ", ".join(str(column) for column in queries if column != "text")
                msg = f"queries of {pool.name!r} have no field {by!r}; they have: {fields}"
                raise MmgapError(msg)
            vectors = embed(pool, model, on_error=on_error, progress=not quiet)
            runs = run_strategies(vectors, cut_off=k)
            groups = None if by is None else queries[by]
            shown = format_table(recall_table(runs, pool.qrels, k=k, by=groups)).map(_on_two_lines)
            print_table(
                f"{pool.name}, {vectors.encoder.id}: percent [95 % interval]", shown.reset_index()
            )


@app.command()
def gap(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
    k: Annotated[int, typer.Option(min=1, help="Cut-off of text share and recall.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder of gap.csv.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report as this page.")] = None,
    latex: Annotated[
        Path | None, typer.Option(help="Also write the numbers as this LaTeX table.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Geometry of the gap and what it does to search, with intervals; writes results/gap.csv.

    Example: `mmgap gap --encoder mini-clip --condition style`

    On real CLIP embeddings: `mmgap gap --corpus features/clip-vit-b16-coco500`
    """
    import pandas as pd

    from mmgap.index import embed as embed_corpus
    from mmgap.strategies import gap_report

    corpora = load_corpora(corpus, split, condition, language, on_error)
    banks: Sequence[Corpus | None] = [None] * len(corpora)
    if corpus == "pictograms" and split == "test":
        banks = load_corpora(corpus, "calibration", condition, language, on_error)
    reports = []
    for model in load_encoders(encoder, corpora):
        for pool, bank in zip(corpora, banks, strict=True):
            vectors = embed_corpus(pool, model, on_error=on_error, progress=not quiet)
            fitted_on = None if bank is None else embed_corpus(bank, model, progress=not quiet)
            reports.append(gap_report(vectors, k=k, calibration=fitted_on))
            typer.echo(reports[-1].to_text(_width()))
    folder = out or paths.results_dir()
    folder.mkdir(parents=True, exist_ok=True)
    tables = [
        report.to_frame().assign(corpus=report.corpus, encoder=report.encoder) for report in reports
    ]
    table = pd.concat(tables, ignore_index=True)
    names = ["corpus", "encoder"]
    table = table[[*names, *table.columns.drop(names)]]
    table.to_csv(folder / "gap.csv", index=False, float_format="%.6g")
    written = [folder / "gap.csv"]
    if html is not None:
        html.write_text(_page([report.to_html() for report in reports]), encoding="utf-8")
        written.append(html)
    if latex is not None:
        latex.write_text("\n".join(report.to_latex() for report in reports), encoding="utf-8")
        written.append(latex)
    for path in written:
        typer.echo(f"written: {short_path(path)}")


@app.command()
def embed(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
    quiet: QuietOption = False,
) -> None:
    """Embed queries, texts and images into the cache; a stopped run goes on where it was.

    Example: `mmgap embed --corpus my_folder --encoder openai/clip-vit-base-patch32`
    """
    from mmgap.index import embed as embed_corpus

    corpora = load_corpora(corpus, split, condition, language, on_error)
    for model in load_encoders(encoder, corpora):
        for pool in corpora:
            vectors = embed_corpus(pool, model, progress=not quiet, on_error=on_error)
            legs = [f"{len(leg.positions)} {name}s" for name, leg in vectors.legs.items()]
            counts = ", ".join([f"{len(vectors.queries)} queries", *legs])
            info = vectors.encoder
            typer.echo(f"{pool.name}, {info.id}: {counts}, {info.dim} dimensions")
            _list_skipped(vectors.corpus)


@corpus_app.command("info")
def corpus_info(
    name: Annotated[
        str,
        typer.Argument(
            help="pictograms, a folder of your own, features/clip-vit-b16-coco500, or "
            "IMAGE.npy,TEXT.npy."
        ),
    ] = "pictograms",
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
) -> None:
    """How many documents, queries and judgments, and how they divide.

    Example: `mmgap corpus info pictograms --split calibration`
    """
    import pandas as pd

    for pool in load_corpora(name, split, condition, language, on_error):
        documents, queries = pool.document_frame(), pool.query_frame()
        n_relevant = pd.Series([len(pool.qrels.relevant(query)) for query in pool.query_ids])
        typer.echo(
            f"{pool.name}: {len(documents)} documents, {len(queries)} queries, "
            f"{n_relevant.mean():.2f} relevant documents a query (grade >= {pool.qrels.min_grade})"
        )
        typer.echo(texts_line(pool))
        for kind, frame in (("documents", documents), ("queries", queries)):
            for column in ("query_class", "phrasing", "domain", "style", "licence"):
                if column in frame:
                    counts = frame[column].value_counts().rename("n").reset_index()
                    print_table(f"{kind} by {column}", counts)
        _list_skipped(pool)


def main() -> None:
    """Run the command; an error of ours ends it with one line and exit code 2, others with 1."""
    try:
        app()
    except MmgapError as error:
        typer.secho(f"mmgap: {error}", err=True, fg="red")
        sys.exit(2)
    except ImportError as error:
        typer.secho(f"mmgap: {error}", err=True, fg="red")
        sys.exit(1)


def _print_distributions(table: pd.DataFrame) -> None:
    """Show the row of each corpus and encoder that matters; the CSV file has all of it."""
    shown = {
        "text q50": "text, median",
        "image q50": "image, median",
        "text against image overlap": "overlap",
        "text against image ks": "KS distance",
        "text against image dominance": "P(text > image)",
        "text against image text_beats_relevant_image": "P(wrong text > right image)",
    }
    column = (table["sample"] + " " + table["measure"]).map(shown)
    wide = table.assign(column=column).dropna(subset="column")
    wide = wide.pivot_table("value", ["corpus", "encoder"], "column", sort=False).reset_index()
    print_table("Cosines of queries with texts and with images", wide)


def _print_recall(table: pd.DataFrame) -> None:
    from mmgap.evaluation import format_table

    overall = table[table["group_by"] == "all"].drop(columns=["group_by", "group"])
    for corpus, part in overall.groupby("corpus", sort=False):
        shown = format_table(part.drop(columns="corpus")).map(_on_two_lines)
        print_table(f"Recall on {corpus}: percent [95 % interval]", shown.reset_index())


def _on_two_lines(cell: str) -> str:
    return cell.replace(" ties", "\nties")


def _list_skipped(corpus: Corpus) -> None:
    if corpus.skipped:
        typer.echo(f"left out: {len(corpus.skipped)}")
        for item, reason in corpus.skipped.items():
            typer.echo(f"  {item}: {reason}")


def _width() -> int:
    """Columns for text: those of the terminal, or enough for one line a number in a file."""
    if not sys.stdout.isatty():
        return 140
    return min(160, shutil.get_terminal_size().columns)


def _page(bodies: list[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<title>mmgap: the gap between images and texts</title>\n</head>\n<body>\n"
        + "\n".join(bodies)
        + "</body>\n</html>\n"
    )


if __name__ == "__main__":
    main()
