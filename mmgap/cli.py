"""The command ``mmgap``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap import paths
from mmgap.corpus.files import OnError
from mmgap.errors import MmgapError
from mmgap.models_cli import app as models_app

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus
    from mmgap.encoders.base import Encoder

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Text and image embeddings of one model live on different scales: see it, measure it, "
    "and see what it costs in recall.\n\n"
    "Example: `mmgap report --encoder mini-clip`",
)
corpus_app = typer.Typer(no_args_is_help=True, help="Look into a corpus.")
app.add_typer(corpus_app, name="corpus")
app.add_typer(models_app, name="models")

CorpusOption = Annotated[
    str, typer.Option("--corpus", help="A bundled corpus (pictograms) or a folder of your own.")
]
EncoderOption = Annotated[
    list[str],
    typer.Option(
        "--encoder", help="An id of `mmgap models`, ID@FOLDER, a folder or a hub id; repeatable."
    ),
]
SplitOption = Annotated[str, typer.Option("--split", help="train, calibration or test.")]
ConditionOption = Annotated[
    str | None,
    typer.Option(help="style (held-out artists) or concept (held-out things); default: both."),
]
LanguageOption = Annotated[str, typer.Option(help="Language of the queries' names, e.g. de.")]
SampleOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Only so many queries, drawn by lot, and the documents judged for them: a quick try, "
        "easier than the whole pool.",
    ),
]
OnErrorOption = Annotated[
    OnError,
    typer.Option(help="raise: stop at the first bad item; skip: leave it out and list it."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]

BUNDLED = ["mini-clip", "mini-siglip", "mini-aligned"]


@app.command()
def report(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = BUNDLED,
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

    corpora = _corpora(corpus, split, condition, language, on_error)
    if sample is not None:
        corpora = [pool.sample(sample) for pool in corpora]
    result = make_report(corpora, _encoders(encoder), k=k, on_error=on_error, progress=not quiet)
    _print_distributions(result.distributions)
    _print_recall(result.recall)
    for path in result.write(out or paths.results_dir()):
        typer.echo(f"written: {_shown(path)}")


@app.command()
def table(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = BUNDLED,
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
    from mmgap.evaluation import format_table, recall_table
    from mmgap.store import embed
    from mmgap.strategies import run_strategies

    corpora = _corpora(corpus, split, condition, language, on_error)
    for model in _encoders(encoder):
        for pool in corpora:
            queries = pool.query_frame()
            if by is not None and by not in queries:
                fields = ", ".join(str(column) for column in queries if column != "text")
                msg = f"queries of {pool.name!r} have no field {by!r}; they have: {fields}"
                raise MmgapError(msg)
            vectors = embed(pool, model, on_error=on_error, progress=not quiet)
            runs = run_strategies(vectors)
            groups = None if by is None else queries[by]
            shown = format_table(recall_table(runs, pool.qrels, k=k, by=groups)).map(_on_two_lines)
            _print(f"{pool.name}, {model.info.id}: percent [95 % interval]", shown.reset_index())


@app.command()
def embed(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = BUNDLED,
    split: SplitOption = "test",
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    on_error: OnErrorOption = "raise",
    quiet: QuietOption = False,
) -> None:
    """Embed queries, texts and images into the cache; a stopped run goes on where it was.

    Example: `mmgap embed --corpus my_folder --encoder openai/clip-vit-base-patch32`
    """
    from mmgap.store import embed as embed_corpus

    corpora = _corpora(corpus, split, condition, language, on_error)
    for model in _encoders(encoder):
        for pool in corpora:
            vectors = embed_corpus(pool, model, progress=not quiet, on_error=on_error)
            legs = [f"{len(leg.positions)} {name}s" for name, leg in vectors.legs.items()]
            counts = ", ".join([f"{len(vectors.queries)} queries", *legs])
            typer.echo(f"{pool.name}, {model.info.id}: {counts}, {model.info.dim} dimensions")
            _list_skipped(vectors.corpus)


@corpus_app.command("info")
def corpus_info(
    name: Annotated[
        str, typer.Argument(help="pictograms, or a folder of your own.")
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

    for pool in _corpora(name, split, condition, language, on_error):
        documents, queries = pool.document_frame(), pool.query_frame()
        n_relevant = pd.Series([len(pool.qrels.relevant(query)) for query in pool.query_ids])
        typer.echo(
            f"{pool.name}: {len(documents)} documents, {len(queries)} queries, "
            f"{n_relevant.mean():.2f} relevant documents a query (grade >= {pool.qrels.min_grade})"
        )
        for kind, frame in (("documents", documents), ("queries", queries)):
            for column in ("query_class", "phrasing", "domain", "style", "licence"):
                if column in frame:
                    counts = frame[column].value_counts().rename("n").reset_index()
                    _print(f"{kind} by {column}", counts)
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


def _corpora(
    name: str, split: str, condition: str | None, language: str, on_error: OnError
) -> list[Corpus]:
    from mmgap.corpus import load_corpus
    from mmgap.corpus.pictograms import CONDITIONS

    if name != "pictograms":
        return [load_corpus(name, on_error=on_error)]
    if split == "train":
        return [load_corpus(name, split=split)]
    conditions = CONDITIONS if condition is None else (condition,)
    return [
        load_corpus(name, split=split, condition=each, language=language) for each in conditions
    ]


def _encoders(names: list[str]) -> Iterator[Encoder]:
    from mmgap.encoders import load_encoder

    for name in names:
        yield load_encoder(name)


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
    _print("Cosines of queries with texts and with images", wide)


def _print_recall(table: pd.DataFrame) -> None:
    from mmgap.evaluation import format_table

    overall = table[table["group_by"] == "all"].drop(columns=["group_by", "group"])
    for corpus, part in overall.groupby("corpus", sort=False):
        shown = format_table(part.drop(columns="corpus")).map(_on_two_lines)
        _print(f"Recall on {corpus}: percent [95 % interval]", shown.reset_index())


def _on_two_lines(cell: str) -> str:
    return cell.replace(" ties", "\nties")


def _print(title: str, table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for column in table:
        number = table[column].dtype.kind in "if"
        grid.add_column(str(column), justify="right" if number else "left", overflow="fold")
    for row in table.itertuples(index=False):
        grid.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    # Piped output has no width of its own; wide enough that no number is cut.
    Console(width=None if sys.stdout.isatty() else 160).print(grid)


def _list_skipped(corpus: Corpus) -> None:
    if corpus.skipped:
        typer.echo(f"left out: {len(corpus.skipped)}")
        for item, reason in corpus.skipped.items():
            typer.echo(f"  {item}: {reason}")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
