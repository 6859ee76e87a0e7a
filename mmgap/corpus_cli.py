"""The command ``mmgap corpus``: what corpora there are, what they cost, and fetching them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.errors import MmgapError

if TYPE_CHECKING:
    from mmgap.corpus.catalog import CorpusFacts
    from mmgap.corpus.schema import Corpus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Corpora: list them, look into one, fetch one.\n\n"
    "Example: `mmgap corpus fetch edis --dry-run`",
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="An id of `mmgap corpus list`.")]

_UNKNOWN = "not established"


@app.command("list")
def list_corpora() -> None:
    """List the corpora that load by name, and whether their files are here.

    Example: `mmgap corpus list`
    """
    from rich.console import Console
    from rich.table import Table

    from mmgap.corpus.catalog import all_corpora

    grid = Table(title="Corpora", title_justify="left")
    columns = ["id", "asks", "documents", "queries", "size", "licence", "here"]
    for column in columns:
        number = column in {"documents", "queries", "size"}
        grid.add_column(
            column,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=column == "id",  # so that it can be copied
        )
    for facts in all_corpora():
        grid.add_row(
            facts.id,
            facts.task,
            _count(facts.documents, "-"),
            _count(facts.queries, "-"),
            _size(facts.bytes, "-"),
            facts.licence,
            _here(facts),
        )
    # Piped output has no width of its own; wide enough for one line a corpus.
    Console(width=None if sys.stdout.isatty() else 220).print(grid)
    typer.echo(
        "'mmgap corpus show ID' says all that is known of one; a folder of your own loads too"
    )


@app.command()
def show(corpus_id: IdArgument) -> None:
    """Say all that the catalogue knows of a corpus.

    Example: `mmgap corpus show edis`
    """
    from mmgap.corpus.catalog import find_corpus

    facts = find_corpus(corpus_id)
    lines = [
        ("id", facts.id),
        ("title", facts.title),
        ("asks", facts.task),
        ("documents", _count(facts.documents)),
        ("queries", _count(facts.queries)),
        ("relevant pairs", _count(facts.relevant)),
        ("licence", facts.licence),
        ("size", "comes with mmgap" if facts.bundled else _size(facts.bytes)),
        ("hub", facts.hub or "-"),
        ("revision", facts.pinned),
        ("fetch in part", "--sample N" if facts.samples else "no"),
        ("here", _here(facts)),
        ("its own score", facts.main_score),
        ("by hand", facts.by_hand),
        ("notes", facts.notes),
        ("load it", f"mmgap.load_corpus({facts.id!r})"),
    ]
    for label, value in lines:
        if value:
            typer.echo(f"{label + ':':<16} {value}")


@app.command()
def fetch(
    corpus_id: IdArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes; load nothing, ask nobody.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many queries, drawn by lot, and their documents."),
    ] = None,
    others: Annotated[
        int | None,
        typer.Option(min=0, help="With --sample: so many more documents. Default: 10 a query."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    mbit: Annotated[
        float, typer.Option(min=0.1, help="Your connection in Mbit/s, for the time that is said.")
    ] = 100.0,
) -> None:
    """Fetch a corpus into the cache: pinned, resumable, with checksums.

    Example: `mmgap corpus fetch edis --dry-run`

    A part of it: `mmgap corpus fetch edis --sample 500`
    """
    from mmgap.corpus.catalog import find_corpus
    from mmgap.corpus.hub import fetch as fetch_files
    from mmgap.corpus.sampling import OTHERS_PER_QUERY, fetch_sample, sample_words

    facts = find_corpus(corpus_id)
    if sample is None and others is not None:
        msg = "--others belongs to --sample: documents beside those of the queries drawn"
        raise MmgapError(msg)
    if sample is not None:
        _refuse_no_samples(facts)
    for line in _costs(facts, mbit, sampled=sample is not None):
        typer.echo(line)
    if dry_run:
        if sample is not None:
            n_query = min(sample, facts.queries or sample)
            extra = OTHERS_PER_QUERY * sample if others is None else others
            for line in sample_words(n_query, facts.queries, extra, seed):
                typer.echo(line)
        typer.echo("dry run: nothing was loaded")
        return
    if facts.bundled:
        typer.echo("nothing to fetch")
        return
    if sample is None:
        folder = fetch_files(facts, typer.echo)
        load = facts.id
    else:
        folder = fetch_sample(facts, sample, others=others, seed=seed, report=typer.echo)
        load = f"{facts.id}@{folder}"
    typer.echo(f"fetched into {folder}; load it: mmgap.load_corpus({load!r})")


def texts_line(corpus: Corpus) -> str:
    """Say how many documents' texts are exactly tied."""
    n_text = sum(document.text is not None for document in corpus.documents)
    shared = sum(len(ids) for ids in corpus.equal_texts.values())
    n_distinct = n_text - shared + len(corpus.equal_texts)
    return (
        f"{n_text:,} documents have a text, {n_distinct:,} texts differ; {shared:,} documents "
        "share theirs, so the text leg ties them exactly"
    )


def _costs(facts: CorpusFacts, mbit: float, *, sampled: bool) -> list[str]:
    """Return size, licence, time, disk and revision, a line each."""
    from mmgap.corpus.hub import corpus_folder, free_bytes

    lines = [f"{facts.id}: {facts.title}", f"licence:  {facts.licence}"]
    if not facts.hub:
        how = "comes with mmgap" if facts.bundled else f"{_size(facts.bytes)}. {facts.by_hand}"
        return [*lines, f"size:     {how}"]
    folder = corpus_folder(facts.hub)
    free = f"{free_bytes(folder) / 1e9:.3g} GB free for {folder}"
    if sampled:
        whole = f"of {_size(facts.bytes)} " if facts.bytes else ""
        size = f"a part {whole}that depends on where the drawn documents stand in its files"
        time, disk = "not known before the draw", free
    elif facts.bytes is None:
        size = f"{_UNKNOWN}; a fetch asks the hub before it loads, and stops if the disk is small"
        time, disk = _UNKNOWN, free
    else:
        size = _size(facts.bytes)
        time = f"{_duration(facts.bytes * 8 / (mbit * 1e6))} at {mbit:g} Mbit/s"
        disk = f"{size} needed, {free}"
    return [
        *lines,
        f"size:     {size}",
        f"time:     {time}",
        f"disk:     {disk}",
        f"from:     {facts.hub}, revision {facts.pinned}",
    ]


def _refuse_no_samples(facts: CorpusFacts) -> None:
    if not facts.samples:
        msg = (
            f"corpus {facts.id!r} cannot be fetched in part; fetch it whole and draw queries with "
            "--sample N of 'mmgap report'"
        )
        raise MmgapError(msg)


def _here(facts: CorpusFacts) -> str:
    from mmgap.corpus.hub import FETCHED_FILE, corpus_folder

    if facts.bundled:
        return "bundled"
    if not facts.hub:
        return "loaded when asked for"
    folder = corpus_folder(facts.hub)
    here = (folder / FETCHED_FILE).is_file() and (folder / facts.subset).is_dir()
    return "yes" if here else "no"


def _count(number: int | None, unknown: str = _UNKNOWN) -> str:
    return unknown if number is None else f"{number:,}"


def _size(n_bytes: int | None, unknown: str = _UNKNOWN) -> str:
    if n_bytes is None:
        return unknown
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> _duration(1608.8), _duration(20), _duration(8000)
    ('about 27 minutes', 'about 20 seconds', 'about 2.2 hours')
    """
    if seconds < 90:
        return f"about {seconds:.0f} seconds"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"
