"""The command ``mmgap``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap import paths
from mmgap.corpus.files import OnError
from mmgap.corpus_cli import app as corpus_app
from mmgap.corpus_cli import texts_line
from mmgap.errors import MmgapError
from mmgap.models_cli import app as models_app
from mmgap.table_cli import app as table_app

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus
    from mmgap.encoders.base import Encoder
    from mmgap.store.vectors import Vectors

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

CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus",
        help="pictograms; a folder of your own; features/clip-vit-b16-coco500 (real CLIP "
        "embeddings) or IMAGE.npy,TEXT.npy (your own embeddings).",
    ),
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        help="An id of `mmgap models`, ID@FOLDER, a folder or a hub id; repeatable. Default: the "
        "bundled ones. None for ready-made embeddings.",
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

BUNDLED = ("mini-clip", "mini-siglip", "mini-aligned")


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

    corpora = _corpora(corpus, split, condition, language, on_error)
    if sample is not None:
        corpora = [pool.sample(sample) for pool in corpora]
    models = _encoders(encoder, corpora)
    result = make_report(corpora, models, k=k, on_error=on_error, progress=not quiet)
    _print_distributions(result.distributions)
    _print_recall(result.recall)
    for path in result.write(out or paths.results_dir()):
        typer.echo(f"written: {_shown(path)}")


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
    from mmgap.store import embed
    from mmgap.strategies import run_strategies

    corpora = _corpora(corpus, split, condition, language, on_error)
    for model in _encoders(encoder, corpora):
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
            _print(
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

    from mmgap.store import embed as embed_corpus
    from mmgap.strategies import gap_report

    corpora = _corpora(corpus, split, condition, language, on_error)
    banks: Sequence[Corpus | None] = [None] * len(corpora)
    if corpus == "pictograms" and split == "test":
        banks = _corpora(corpus, "calibration", condition, language, on_error)
    reports = []
    for model in _encoders(encoder, corpora):
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
        typer.echo(f"written: {_shown(path)}")


@app.command()
def threshold(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    precision: Annotated[
        float | None, typer.Option(help="Share of relevant pairs wanted among the accepted ones.")
    ] = None,
    false_accept_rate: Annotated[
        float | None, typer.Option(help="Share of irrelevant pairs that may be accepted.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="With which the target is to be reached, e.g. 0.95.")
    ] = 0.95,
    out: Annotated[Path | None, typer.Option(help="Folder of threshold.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Below which score to reject, leg by leg; found on calibration, checked on test queries.

    Example: `mmgap threshold --encoder mini-clip --false-accept-rate 0.001`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap.strategies import threshold_table

    if (precision is None) == (false_accept_rate is None):
        msg = "name one target: --precision 0.5 or --false-accept-rate 0.001"
        raise MmgapError(msg)
    tables = []
    for _, calibration, test in _splits(corpus, encoder, condition, language, quiet):
        table = threshold_table(
            calibration,
            test,
            precision=precision,
            false_accept_rate=false_accept_rate,
            confidence=confidence,
            n_resamples=200,
        )
        table.insert(0, "encoder", test.encoder.id)
        table.insert(0, "corpus", test.corpus.name)
        tables.append(table)
        _print_thresholds(table)
    _write_table(tables, out, "threshold.csv")


@app.command()
def leaderboard(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    top: Annotated[int, typer.Option(min=1, help="Show so many methods besides the legs.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder of leaderboard.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """All methods of merging two legs, fitted on calibration and judged on test queries.

    Writes results/leaderboard.csv. Example: `mmgap leaderboard --encoder mini-clip`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap import strategies

    tables = []
    for where, calibration, test in _splits(corpus, encoder, condition, language, quiet):
        table = strategies.leaderboard(calibration, test)
        table.insert(2, "condition", where)
        tables.append(table)
        shown = strategies.format_leaderboard(table, top=top)
        _print(f"{test.corpus.name}, {test.encoder.id}: percent [95 % interval]", shown)
    typer.echo(
        "against: difference to the better single leg, in points; * p < 0.05 after Holm. "
        "worse: the smaller of T and I"
    )
    _write_table(tables, out, "leaderboard.csv")


@app.command()
def probe(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    out: Annotated[Path | None, typer.Option(help="Folder of probe.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """One index of all texts and images in which one modality answers, in both directions.

    Writes results/probe.csv. Example: `mmgap probe --encoder mini-clip --condition style`

    Ready-made pairs are halved by lot and asked by their captions, so that images alone answer:
    `mmgap probe --corpus features/clip-vit-b16-coco500`
    """
    from mmgap import strategies
    from mmgap.corpus import FeatureCorpus
    from mmgap.store import embed as embed_corpus

    (pool, *_) = _corpora(corpus, "test", condition, language, "raise")
    if isinstance(pool, FeatureCorpus):
        halves = strategies.halve_pairs(embed_corpus(pool, None, progress=not quiet))
        tables = [strategies.probe_table(*halves, directions=["image"])]
    else:
        tables = [
            strategies.probe_table(calibration, test)
            for _, calibration, test in _splits(corpus, encoder, condition, language, quiet)
        ]
    for table in tables:
        title = f"{table['corpus'].iloc[0]}, {table['encoder'].iloc[0]}: one modality answers"
        _print(title, strategies.format_probe(table))
    _write_table(tables, out, "probe.csv")


@app.command("label-budget")
def label_budget(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    draws: Annotated[int, typer.Option(min=1, help="Sets of labels drawn for each number.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Folder of label_budget.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Recall of calibrated fusion against the number of labelled pairs.

    Writes results/label_budget.csv. Example: `mmgap label-budget --encoder mini-clip`
    """
    from mmgap import strategies

    tables = []
    for where, calibration, test in _splits(corpus, encoder, condition, language, quiet):
        table = strategies.label_budget(calibration, test, n_draws=draws)
        table.insert(2, "condition", where)
        tables.append(table)
        cells = table.assign(
            labels=["none" if n != n else f"{n:g}" for n in table["n_labels"]],
            cell=[
                f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
                for value, low, high in zip(
                    table["value"], table["ci_low"], table["ci_high"], strict=True
                )
            ],
        )
        wide = cells.pivot(index="method", columns="labels", values="cell").fillna("")
        wide = wide.loc[list(dict.fromkeys(cells["method"])), list(dict.fromkeys(cells["labels"]))]
        title = (
            f"{test.corpus.name}, {test.encoder.id}: {table['measure'].iloc[0]} by labelled pairs"
        )
        _print(title, wide.reset_index())
    _write_table(tables, out, "label_budget.csv")


@app.command()
def advise(
    corpus: CorpusOption = "pictograms",
    encoder: EncoderOption = None,
    condition: ConditionOption = None,
    language: LanguageOption = "en",
    reranker: Annotated[
        str,
        typer.Option(help="An id of `mmgap models --rerank`, ID@FOLDER, a folder, or none."),
    ] = "none",
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Most milliseconds for one query, the encoder's time apart."),
    ] = None,
    labels: Annotated[
        int,
        typer.Option(min=0, help="Labelled pairs that methods may be fitted on; 0 needs none."),
    ] = 0,
    lists_only: Annotated[
        bool,
        typer.Option("--lists-only", help="The other leg's score cannot be looked up."),
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Show so many methods.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Folder of advice.csv.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Which merge to use, with the numbers behind it and what would change the advice.

    Chosen on calibration queries, reported on test queries; writes results/advice.csv. Example:
    `mmgap advise --encoder mini-clip --condition style --labels 300`

    A corpus without a calibration split has its queries divided in two by lot.
    """
    from mmgap import strategies

    model = None
    if reranker != "none":
        from mmgap.rerankers import load_reranker

        model = load_reranker(reranker)
    tables = []
    for where, calibration, test in _splits(corpus, encoder, condition, language, quiet):
        found = strategies.advise(
            calibration,
            test,
            reranker=model,
            budget_ms=budget_ms,
            n_labels=labels,
            lists_only=lists_only,
        )
        typer.echo(found.to_text())
        _print(
            f"{found.measure} in % on calibration queries [95 % interval]",
            strategies.format_advice(found, top=top),
        )
        table = found.table
        table.insert(0, "encoder", found.encoder)
        table.insert(0, "corpus", found.corpus)
        table.insert(2, "condition", where)
        tables.append(table)
    _write_table(tables, out, "advice.csv")


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
    from mmgap.store import embed as embed_corpus

    corpora = _corpora(corpus, split, condition, language, on_error)
    for model in _encoders(encoder, corpora):
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

    for pool in _corpora(name, split, condition, language, on_error):
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
    from mmgap.corpus import load_corpus, takes_split
    from mmgap.corpus.pictograms import CONDITIONS

    if name != "pictograms":
        options = {"split": split} if takes_split(name) else {}
        return [load_corpus(name, on_error=on_error, **options)]
    if split == "train":
        return [load_corpus(name, split=split)]
    conditions = CONDITIONS if condition is None else (condition,)
    return [
        load_corpus(name, split=split, condition=each, language=language) for each in conditions
    ]


def _splits(
    corpus: str, encoder: list[str] | None, condition: str | None, language: str, quiet: bool
) -> Iterator[tuple[str, Vectors, Vectors]]:
    """Condition, calibration and test vectors, one encoder after the other."""
    from mmgap.store import embed as embed_corpus
    from mmgap.strategies import split_queries

    pools = _corpora(corpus, "test", condition, language, "raise")
    own_split = corpus == "pictograms"
    banks = _corpora(corpus, "calibration", condition, language, "raise") if own_split else pools
    for model in _encoders(encoder, pools):
        for pool, bank in zip(pools, banks, strict=True):
            test = embed_corpus(pool, model, progress=not quiet)
            if own_split:
                name = next((doc.metadata.get("condition", "") for doc in pool.documents), "")
                yield name, embed_corpus(bank, model, progress=not quiet), test
            else:
                yield ("", *split_queries(test))


def _write_table(tables: list[pd.DataFrame], out: Path | None, name: str) -> None:
    import pandas as pd

    folder = out or paths.results_dir()
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_csv(folder / name, index=False, float_format="%.6g")
    typer.echo(f"written: {_shown(folder / name)}")


def _encoders(names: list[str] | None, corpora: list[Corpus]) -> Iterator[Encoder | None]:
    """Load one encoder after the other; None for embeddings that are there already."""
    from mmgap.corpus import FeatureCorpus
    from mmgap.encoders import load_encoder

    if names is None and isinstance(corpora[0], FeatureCorpus):
        yield None
        return
    for name in names or BUNDLED:
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


def _print_thresholds(table: pd.DataFrame) -> None:
    rows = table.to_dict("records")
    typer.echo("{corpus}, {encoder}: {measure} {target:g}".format_map(rows[0]))
    for row in rows:
        if row["reason"]:
            typer.echo("  {leg}: no threshold; {reason}".format_map(row))
            continue
        row["promise"] = "holds" if row["holds"] else "does not hold"
        line = (
            "  {leg}: reject below {threshold:.3f} [{threshold_low:.3f}, {threshold_high:.3f}]; "
            "keeps {kept:.1%} of the relevant pairs\n    on test queries {realised:.3g} "
            "[{ci_low:.3g}, {ci_high:.3g}], keeps {realised_kept:.1%}: the promise {promise}"
        )
        typer.echo(line.format_map(row))


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


def _list_skipped(corpus: Corpus) -> None:
    if corpus.skipped:
        typer.echo(f"left out: {len(corpus.skipped)}")
        for item, reason in corpus.skipped.items():
            typer.echo(f"  {item}: {reason}")


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
