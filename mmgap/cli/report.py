"""What a corpus and its encoders look like: ``report``, ``table``, ``gap`` and ``embed``."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.cli.job import Job, WritingJob, takes_job
from mmgap.cli.show import on_two_lines, print_table, say, say_skipped, say_written, write_tables
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(rich_markup_mode="markdown")
table_app = typer.Typer(rich_markup_mode="markdown")

CutOff = Annotated[int, typer.Option(min=1, help="Cut-off of recall, hit and nDCG.")]
SHOWN = {
    "text q50": "text, median",
    "image q50": "image, median",
    "text against image overlap": "overlap",
    "text against image ks": "KS distance",
    "text against image dominance": "P(text > image)",
    "text against image text_beats_relevant_image": "P(non-relevant text > relevant image)",
}
"""The distributions that are printed; the CSV file has all of them."""


@app.command()
@takes_job
def report(
    job: WritingJob,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only so many randomly sampled queries and the documents judged for them: a quick "
            "try, easier than the whole pool.",
        ),
    ] = None,
    k: CutOff = 10,
) -> None:
    """Score distributions and recall of every leg and merge; writes results/*.csv.

    A leg is the path of one modality, text or image, from a query to a ranked list.

    Example: `mmgap report --encoder mini-clip --encoder mini-siglip --corpus pictograms/style`
    """
    from mmgap.report import report as make_report

    pools = job.pools(judged=False)
    if not all(pool.queries for pool in pools):
        pools = job.pools()  # which says what is missing
    if sample is not None:
        pools = [pool.sample(sample) for pool in pools]
    made = make_report(pools, job.encoders(pools), k=k, on_error=job.on_error)
    written = made.write(job.folder)
    if sample is not None:
        for pool in pools:
            say(f"{pool.name}: only {len(pool.documents)} documents are searched")
    _print_distributions(made.distributions)
    if len(made.recall):
        _print_recall(made.recall)
    else:
        say("no recall: the corpus has no judgments (qrels.tsv)")
    say_written(written)


@table_app.callback(invoke_without_command=True)
@takes_job
def table(
    job: Job,
    context: typer.Context,
    by: Annotated[
        str | None, typer.Option(help="Split queries by this field, e.g. query_class.")
    ] = None,
    k: CutOff = 10,
) -> None:
    """Show the recall table alone, over all queries or by a field of theirs.

    Example: `mmgap table --encoder mini-clip --by query_class`
    """
    if context.invoked_subcommand is not None:
        given = [
            name
            for name in context.params
            if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
        ]
        if given:
            msg = f"--{given[0].replace('_', '-')} stands before {context.invoked_subcommand!r}: "
            msg += f"options go after it, e.g. mmgap table {context.invoked_subcommand} --corpus X"
            raise MmgapError(msg)
        return
    from mmgap.evaluation import format_table, recall_table
    from mmgap.report import groups_of
    from mmgap.strategies import run_strategies

    pools = job.pools()
    for pool in pools if by else ():
        groups_of(pool, by or "")
    for vectors in job.vectors(pools):
        pool = vectors.corpus
        runs = run_strategies(vectors, cut_off=k)
        found = recall_table(runs, pool.qrels, k=k, by=groups_of(pool, by) if by else None)
        shown = format_table(found).map(on_two_lines).reset_index()
        print_table(f"{pool.name}, {vectors.encoder.id}: percent [95 % CI]", shown)


@app.command()
@takes_job
def gap(
    job: WritingJob,
    k: Annotated[int, typer.Option(min=1, help="Cut-off of text fraction and recall.")] = 10,
) -> None:
    """Geometry of the gap and what it does to search, with CIs; writes gap.csv, .html and .tex.

    Example: `mmgap gap --encoder mini-clip --corpus pictograms/style`

    On real CLIP embeddings: `mmgap gap --corpus features/clip-vit-b16-coco500`
    """
    from mmgap.strategies import gap_report

    pools, references = job.pools(judged=False), job.calibration()
    found = []
    for encoder in job.encoders(pools):
        for at, pool in enumerate(pools):
            vectors = job.embed(pool, encoder)
            fitted_on = job.embed(references[at], encoder) if references else None
            found.append(gap_report(vectors, k=k, calibration=fitted_on))
    names = ["corpus", "encoder"]
    tables = [each.to_frame().assign(corpus=each.corpus, encoder=each.encoder) for each in found]
    tables = [each[[*names, *each.columns.drop(names)]] for each in tables]
    written = write_tables(job.folder, {"gap": tables})
    for suffix, text in (
        ("html", _page([each.to_html() for each in found])),
        ("tex", "\n".join(each.to_latex() for each in found)),
    ):
        written.append(job.folder / f"gap.{suffix}")
        written[-1].write_text(text, encoding="utf-8")
    for each in found:
        say(each.to_text(_width()))
    say_written(written)


@app.command()
@takes_job
def embed(job: Job) -> None:
    """Embed queries, texts and images into the cache; a stopped run goes on where it was.

    Example: `mmgap embed --corpus my_folder --encoder openai/clip-vit-base-patch32`
    """
    for vectors in job.vectors(job.pools(judged=False)):
        legs = [f"{len(leg.positions)} {name}s" for name, leg in vectors.legs.items()]
        counts = ", ".join([f"{len(vectors.queries)} queries", *legs])
        info = vectors.encoder
        say(f"{vectors.corpus.name}, {info.id}: {counts}, {info.dim} dimensions")
        say_skipped(vectors.corpus.skipped)


def _print_distributions(table: pd.DataFrame) -> None:
    column = (table["sample"] + " " + table["measure"]).map(SHOWN)
    wide = table.assign(column=column).dropna(subset="column")
    wide = wide.pivot_table("value", ["corpus", "encoder"], "column", sort=False).reset_index()
    print_table("Cosines of queries with texts and with images", wide)


def _print_recall(table: pd.DataFrame) -> None:
    from mmgap.evaluation import format_table

    overall = table[table["group_by"] == "all"].drop(columns=["group_by", "group"])
    for corpus, part in overall.groupby("corpus", sort=False):
        shown = format_table(part.drop(columns="corpus")).map(on_two_lines)
        print_table(f"Recall on {corpus}: percent [95 % CI]", shown.reset_index())


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
