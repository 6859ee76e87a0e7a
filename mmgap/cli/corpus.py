"""``mmgap corpus``: what corpora there are, what is in them, what they cost, and fetching them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmgap.cli.job import CORPUS_HELP, load_corpora
from mmgap.cli.show import print_facts, print_table, say, say_skipped
from mmgap.corpus.reading import OnError
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
MBIT = 100
"""Mbit/s of the connection for which the time of a fetch is said."""


@app.command("list")
def list_corpora() -> None:
    """List the corpora that load by name, and whether their files are here.

    Example: `mmgap corpus list`
    """
    import pandas as pd

    from mmgap.corpus.catalog import all_corpora

    columns = {
        "id": lambda facts: facts.id,
        "asks": lambda facts: facts.task,
        "documents": lambda facts: _count(facts.documents, "-"),
        "queries": lambda facts: _count(facts.queries, "-"),
        "size": lambda facts: _size(facts.bytes, "-"),
        "licence": lambda facts: facts.licence,
        "here": _here,
    }
    rows = [{name: cell(facts) for name, cell in columns.items()} for facts in all_corpora()]
    print_table("Corpora", pd.DataFrame(rows), width=220, whole=["id"])
    say("'mmgap corpus show ID' says all that is known of one; a folder of your own loads too")


@app.command("info")
def info(
    name: Annotated[str, typer.Argument(help=CORPUS_HELP)] = "pictograms",
    on_error: Annotated[
        OnError, typer.Option(help="raise: stop at the first bad item; skip: leave it out.")
    ] = "raise",
) -> None:
    """How many documents, queries and judgments, and how they divide.

    Example: `mmgap corpus info pictograms/calibration`
    """
    import pandas as pd

    for pool in load_corpora(name, on_error=on_error):
        documents, queries = pool.document_frame(), pool.query_frame()
        n_relevant = pd.Series([len(pool.qrels.relevant(query)) for query in pool.query_ids])
        say(
            f"{pool.name}: {len(documents)} documents, {len(queries)} queries, "
            f"{n_relevant.mean():.2f} relevant documents a query (grade >= {pool.qrels.min_grade})"
        )
        say(_texts_line(pool))
        for kind, frame in (("documents", documents), ("queries", queries)):
            for column in ("query_class", "phrasing", "domain", "style", "licence"):
                if column in frame:
                    counts = frame[column].value_counts().rename("n").reset_index()
                    print_table(f"{kind} by {column}", counts)
        say_skipped(pool.skipped)


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
    print_facts([line for line in lines if line[1]], 16)


@app.command()
def fetch(
    corpus_id: IdArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it takes; load nothing, ask nobody.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many randomly sampled queries, and their documents."),
    ] = None,
) -> None:
    """Fetch a corpus into the cache: pinned, resumable, with checksums.

    Example: `mmgap corpus fetch edis --dry-run`

    A part of it: `mmgap corpus fetch edis --sample 500`
    """
    from mmgap.corpus.catalog import find_corpus
    from mmgap.corpus.hub import fetch as fetch_files
    from mmgap.corpus.sampling import OTHERS_PER_QUERY, fetch_sample, sample_words

    facts = find_corpus(corpus_id)
    if sample is not None and not facts.samples:
        msg = (
            f"corpus {facts.id!r} cannot be fetched in part; fetch it whole and sample queries "
            "with --sample N of 'mmgap report'"
        )
        raise MmgapError(msg)
    for line in _costs(facts, sampled=sample is not None):
        say(line)
    if dry_run:
        if sample is not None:
            n_query = min(sample, facts.queries or sample)
            extra = OTHERS_PER_QUERY * sample
            for line in sample_words(n_query, facts.queries, extra, 0):
                say(line)
        say("dry run: nothing was loaded")
        return
    if facts.bundled:
        say("nothing to fetch")
        return
    if sample is None:
        folder = fetch_files(facts, say)
        load = facts.id
    else:
        folder = fetch_sample(facts, sample, report=say)
        load = f"{facts.id}@{folder}"
    say(f"fetched into {folder}; load it: mmgap.load_corpus({load!r})")


def _texts_line(corpus: Corpus) -> str:
    """Say how many documents' texts are exactly tied."""
    n_text = sum(document.text is not None for document in corpus.documents)
    shared = sum(len(ids) for ids in corpus.equal_texts.values())
    n_distinct = n_text - shared + len(corpus.equal_texts)
    return (
        f"{n_text:,} documents have a text, {n_distinct:,} texts differ; {shared:,} documents "
        "share theirs, so the text leg ties them exactly"
    )


def _costs(facts: CorpusFacts, *, sampled: bool) -> list[str]:
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
        time = f"{_duration(facts.bytes * 8 / (MBIT * 1e6))} at {MBIT} Mbit/s"
        disk = f"{size} needed, {free}"
    return [
        *lines,
        f"size:     {size}",
        f"time:     {time}",
        f"disk:     {disk}",
        f"from:     {facts.hub}, revision {facts.pinned}",
    ]


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
