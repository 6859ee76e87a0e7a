"""Printing and writing. Cells, names and messages are text: no markup, no escape sequences."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mmgap import paths
from mmgap.errors import MmgapError

if TYPE_CHECKING:
    import pandas as pd


def plain(text: object) -> str:
    r"""Return text that no terminal obeys.

    Examples
    --------
    >>> plain("a" + chr(27) + "[31m red [bold]")
    'a\\x1b[31m red [bold]'
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1]
        for letter in str(text)
    )


def say(text: object = "") -> None:
    """Print a line."""
    typer.echo(plain(text))


def print_table(
    title: str, table: pd.DataFrame, *, width: int = 160, whole: Iterable[str] = ()
) -> None:
    """Print a table as wide as the terminal; columns in ``whole`` are never folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    say(title)
    grid = Table()
    for column in table:
        grid.add_column(
            Text(plain(column)),
            justify="right" if table[column].dtype.kind in "if" else "left",
            overflow="fold",
            no_wrap=column in set(whole),
        )
    for row in table.itertuples(index=False):
        cells = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row)
        grid.add_row(*(Text(plain(cell)) for cell in cells))
    # Piped output has no width of its own: wide enough that no number is cut.
    Console(width=None if sys.stdout.isatty() else width).print(grid)


def print_facts(facts: Iterable[tuple[str, object]], width: int) -> None:
    """Print a label and a value on each line."""
    for label, value in facts:
        say(f"{label + ':':<{width}} {value}")


def on_two_lines(cell: str) -> str:
    """Put what ties could change below the value."""
    return cell.replace(" ties", "\nties")


def folder_for(out: Path | None) -> Path:
    """Make the folder that results go to, before there are any."""
    folder = out or paths.results_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"--out {folder}: {error.strerror}; expected a folder that can be written to"
        raise MmgapError(msg) from None
    if not os.access(folder, os.W_OK):
        msg = f"--out {folder} cannot be written to; name another folder with --out"
        raise MmgapError(msg)
    return folder


def write_tables(folder: Path, tables: Mapping[str, list[pd.DataFrame]]) -> list[Path]:
    """Write each list of tables as one CSV file, what was left out beside it; return the paths."""
    import pandas as pd

    written: list[Path] = []
    for name, found in tables.items():
        beside = folder / f"{name}_left_out.csv"
        beside.unlink(missing_ok=True)  # of an earlier run
        files = {folder / f"{name}.csv": pd.concat(found)}
        left_out = [
            {**table[table.columns.intersection(_OF)].iloc[0], "method": method, "reason": reason}
            for table in found
            for method, reason in table.attrs.get("failures", {}).items()
        ]
        if left_out:
            files[beside] = pd.DataFrame(left_out)
        for path, table in files.items():
            table.to_csv(path, index=False, float_format="%.6g")
        written += files
    return written


_OF = ["corpus", "encoder", "condition"]
"""What a table is of."""


def say_written(written: Iterable[Path]) -> None:
    """Name the files, from here where they are below."""
    for path in written:
        short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        say(f"written: {short}")


def say_skipped(skipped: Mapping[str, str]) -> None:
    """List the items of a corpus that were left out."""
    if skipped:
        say(f"left out: {len(skipped)}")
        for item, reason in skipped.items():
            say(f"  {item}: {reason}")
