"""Rows of a file of records, whichever of the common formats it has."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmgap.corpus.files import Rejects, read_json_array, read_json_lines
from mmgap.corpus.parquet import read_parquet
from mmgap.errors import CorpusError

TABLE_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet", ".json")
"""Formats of records, by the end of the file's name."""


def read_table(path: Path, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    r"""Yield the records of a file, one after the other, with the words that name each.

    Parameters
    ----------
    path : Path
        By its suffix: JSON lines, one JSON array (``.json``), CSV or TSV with a head line, or
        Parquet. An empty CSV cell is ``None``. A Parquet cell with an image is a ``ParquetImage``.
    rejects : Rejects

    Yields
    ------
    where : str
        ``"documents.csv line 3"``.
    record : dict

    Raises
    ------
    CorpusError
        If the suffix is unknown, or the file is missing or damaged.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "documents.csv"
    >>> _ = path.write_text('id,text\nd1,"black, and a cat"\nd2,')
    >>> dict(read_table(path, Rejects()))["documents.csv line 2"]
    {'id': 'd1', 'text': 'black, and a cat'}
    """
    match path.suffix.lower():
        case ".jsonl":
            yield from read_json_lines(path, rejects)
        case ".json":
            yield from read_json_array(path, rejects)
        case ".csv":
            yield from _read_csv(path, ",", rejects)
        case ".tsv":
            yield from _read_csv(path, "\t", rejects)
        case ".parquet":
            yield from read_parquet(path)
        case suffix:
            msg = f"{path} ends in {suffix!r}; expected one of {', '.join(TABLE_SUFFIXES)}"
            raise CorpusError(msg)


def _read_csv(path: Path, delimiter: str, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = csv.reader(handle, delimiter=delimiter, strict=True)
            head = next(rows, [])
            if len(set(head)) < len(head) or not all(name.strip() for name in head):
                msg = f"{path}: its first line is {head}; expected a different name for each column"
                raise CorpusError(msg)
            for row in rows:
                where = f"{path.name} line {rows.line_num}"
                if not row:
                    continue
                if len(row) != len(head):
                    rejects.add(where, f"has {len(row)} cells, its first line {len(head)}")
                    continue
                yield where, {name: cell or None for name, cell in zip(head, row, strict=True)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} cannot be read ({error}); expected UTF-8 text with a head line"
        raise CorpusError(msg) from error
