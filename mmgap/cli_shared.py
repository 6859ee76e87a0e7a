"""What the commands share: options, what they load, and how they print and write tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmgap import paths
from mmgap.corpus.files import OnError

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.schema import Corpus
    from mmgap.encoders.base import Encoder
    from mmgap.index.vectors import Vectors

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


def load_corpora(
    name: str,
    split: str,
    condition: str | None,
    language: str,
    on_error: OnError,
    **options: Any,
) -> list[Corpus]:
    """Load the corpus; of pictograms one for each test condition, unless one is named."""
    from mmgap.corpus import load_corpus, takes_split
    from mmgap.corpus.pictograms import CONDITIONS

    if name != "pictograms":
        if takes_split(name):
            options["split"] = split
        return [load_corpus(name, on_error=on_error, **options)]
    if split == "train":
        return [load_corpus(name, split=split, language=language)]
    conditions = CONDITIONS if condition is None else (condition,)
    return [
        load_corpus(name, split=split, condition=each, language=language) for each in conditions
    ]


def each_split(
    corpus: str, encoder: list[str] | None, condition: str | None, language: str, quiet: bool
) -> Iterator[tuple[str, Vectors, Vectors]]:
    """Condition, calibration and test vectors, one encoder after the other."""
    from mmgap.index import embed as embed_corpus
    from mmgap.strategies import split_queries

    pools = load_corpora(corpus, "test", condition, language, "raise")
    own_split = corpus == "pictograms"
    banks = (
        load_corpora(corpus, "calibration", condition, language, "raise") if own_split else pools
    )
    for model in load_encoders(encoder, pools):
        for pool, bank in zip(pools, banks, strict=True):
            test = embed_corpus(pool, model, progress=not quiet)
            if own_split:
                name = next((doc.metadata.get("condition", "") for doc in pool.documents), "")
                yield name, embed_corpus(bank, model, progress=not quiet), test
            else:
                yield ("", *split_queries(test))


def write_table(tables: list[pd.DataFrame], out: Path | None, name: str) -> None:
    """Write the tables as one CSV file, by default into the folder of results."""
    import pandas as pd

    folder = out or paths.results_dir()
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_csv(folder / name, index=False, float_format="%.6g")
    typer.echo(f"written: {short_path(folder / name)}")


def load_encoders(
    names: list[str] | None, corpora: list[Corpus], **options: Any
) -> Iterator[Encoder | None]:
    """Load one encoder after the other; None for embeddings that are there already."""
    from mmgap.corpus import FeatureCorpus
    from mmgap.encoders import load_encoder

    if names is None and isinstance(corpora[0], FeatureCorpus):
        yield None
        return
    for name in names or BUNDLED:
        yield load_encoder(name, **options)


def print_table(title: str, table: pd.DataFrame) -> None:
    """Print a table with a title, as wide as the terminal."""
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


def short_path(path: Path) -> Path:
    """Return the path from here, where it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
