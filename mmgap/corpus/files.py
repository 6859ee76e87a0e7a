"""Reading JSON lines and TREC judgments, with every unusable line named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mmgap.corpus.schema import Judgment
from mmgap.errors import CorpusError, SkippedItemsWarning

OnError = Literal["raise", "skip"]
"""What to do with an item that cannot be used."""


@dataclass
class Rejects:
    """The items that cannot be used: the first one raises, or all of them are listed.

    Parameters
    ----------
    on_error : {"raise", "skip"}
    skipped : dict of str to str
        Filled under ``"skip"``: item, and why it was left out.

    Examples
    --------
    >>> rejects = Rejects("skip")
    >>> rejects.add("queries.jsonl line 3", "the text is empty")
    >>> rejects.skipped
    {'queries.jsonl line 3': 'the text is empty'}
    """

    on_error: OnError = "raise"
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            msg = f"on_error is {self.on_error!r}; expected 'raise' or 'skip'"
            raise CorpusError(msg)

    def add(self, item: str, reason: str, error: type[CorpusError] = CorpusError) -> None:
        """Note an item that cannot be used, or raise an error about it."""
        if self.on_error == "raise":
            msg = f"{item}: {reason}. Mend it, or leave such items out with on_error='skip'"
            raise error(msg)
        self.skipped[item] = reason

    def warn(self, source: str) -> None:
        """Give one warning that counts what was left out, if anything was."""
        if not self.skipped:
            return
        item, reason = next(iter(self.skipped.items()))
        warnings.warn(
            f"{len(self.skipped)} items of {source} were left out, e.g. {item}: {reason}. "
            "Corpus.skipped lists them all",
            SkippedItemsWarning,
            stacklevel=3,
        )


def read_json_lines(path: Path, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every JSON object of a file with the words that name its line.

    Blank lines are passed over; anything else that is no JSON object is rejected.

    Parameters
    ----------
    path : Path
        UTF-8, one object per line.
    rejects : Rejects

    Yields
    ------
    where : str
        ``"documents.jsonl line 3"``.
    record : dict
    """
    for where, line in _lines(path, rejects):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            rejects.add(where, f"is not JSON ({error}): {_shorten(line)}")
            continue
        if isinstance(record, dict):
            yield where, record
        else:
            rejects.add(where, f'expected a JSON object like {{"id": ...}}, got {_shorten(line)}')


def read_qrels(path: Path, rejects: Rejects) -> Iterator[tuple[str, Judgment]]:
    """Yield every judgment of a TREC file with the words that name its line.

    Columns are separated by tabs, or by blanks where a line has no tab.

    Parameters
    ----------
    path : Path
        Four columns: query id, an ignored one, document id, whole-number grade.
    rejects : Rejects

    Yields
    ------
    where : str
        ``"qrels.tsv line 3"``.
    judgment : Judgment
    """
    for where, line in _lines(path, rejects):
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) != 4:
            rejects.add(
                where,
                f"has {len(columns)} columns, expected 4 (query id, 0, document id, grade): "
                f"{_shorten(line)}",
            )
            continue
        query_id, _, doc_id, grade = (column.strip() for column in columns)
        try:
            yield where, Judgment(query_id, doc_id, int(grade))
        except ValueError:
            rejects.add(where, f"grade {grade!r} is not a whole number")


def metadata_of(record: Mapping[str, Any], *used: str) -> dict[str, str]:
    """Return a record's other fields as text; fields without a value are left out.

    Examples
    --------
    >>> metadata_of({"id": "d1", "style": "noto", "informative": True, "split": None}, "id")
    {'style': 'noto', 'informative': 'true'}
    """
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in record.items()
        if name not in used and value is not None
    }


def _lines(path: Path, rejects: Rejects) -> Iterator[tuple[str, str]]:
    try:
        handle = path.open("rb")
    except OSError as error:
        msg = f"{path} cannot be read ({error}); expected a file with one item a line"
        raise CorpusError(msg) from error
    with handle:
        for number, raw in enumerate(handle, start=1):
            where = f"{path.name} line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                rejects.add(where, f"is not UTF-8 ({error})")
                continue
            if line.strip():
                yield where, line


def _shorten(line: str, width: int = 60) -> str:
    return line if len(line) <= width else f"{line[:width]}..."
