"""Reading JSON and TREC judgments item by item, with every unusable one named."""

from __future__ import annotations

import codecs
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, get_args

from mmgap.corpus.schema import Judgment
from mmgap.errors import CorpusError, SkippedItemsWarning

OnError = Literal["raise", "skip"]
"""What to do with an item that cannot be used."""

_CHUNK = 1 << 20
_LONGEST_ITEM = 64 << 20
"""An item of an array that is not complete after so many characters is taken for damage."""

_JSON_BLANKS = re.compile(r"[ \t\r\n]*")


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


def read_json_array(path: Path, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a file that holds one JSON array, without holding the file.

    Such a file may have hundreds of megabytes, and several times that once it is parsed.

    Parameters
    ----------
    path : Path
        UTF-8, ``[{...}, {...}]``.
    rejects : Rejects

    Yields
    ------
    where : str
        ``"EDIS_test.json item 3"``, counted from 1.
    record : dict

    Raises
    ------
    CorpusError
        If the file is missing or is no JSON array: past the damage no item can be found, so this
        stops under ``on_error="skip"`` too.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "small.json"
    >>> _ = path.write_text('[{"id": 1}, {"id": 2}]')
    >>> [record["id"] for _, record in read_json_array(path, Rejects())]
    [1, 2]
    """
    for number, record in enumerate(_array_items(path), start=1):
        where = f"{path.name} item {number}"
        if isinstance(record, dict):
            yield where, record
        else:
            rejects.add(where, f"expected a JSON object, got {_shorten(repr(record))}")


def _array_items(path: Path) -> Iterator[Any]:
    decode = json.JSONDecoder().raw_decode
    marks = {"start": {"[": "first"}, "first": {"]": "end"}, "next": {",": "item", "]": "end"}}
    state, number = "start", 0
    with _open(path) as handle:
        reader = codecs.getreader("utf-8-sig")(handle)
        buffer, at, more = "", 0, True
        while more:
            try:
                chunk = reader.read(_CHUNK)
            except UnicodeDecodeError as error:
                _refuse_array(path, number, f"bytes that are not UTF-8 ({error})")
            buffer, at, more = buffer[at:] + chunk, 0, bool(chunk)
            while (at := _past_blanks(buffer, at)) < len(buffer):
                if buffer[at] in marks.get(state, {}):
                    state, at = marks[state][buffer[at]], at + 1
                    continue
                if state not in {"first", "item"}:
                    _refuse_array(path, number, _shorten(buffer[at:]))
                try:
                    item, end = decode(buffer, at)
                except ValueError as error:
                    if more and len(buffer) - at < _LONGEST_ITEM:
                        break  # its end is still to be read
                    _refuse_array(path, number, f"{error}: {_shorten(buffer[at:])}")
                except RecursionError as error:
                    _refuse_array(path, number, f"{error}: {_shorten(buffer[at:])}")
                if end == len(buffer) and more:
                    break  # a number may go on
                yield item
                state, at, number = "next", end, number + 1
    if state != "end":
        _refuse_array(path, number, "the end of the file")


def _past_blanks(text: str, at: int) -> int:
    found = _JSON_BLANKS.match(text, at)
    return found.end() if found else at


def read_qrels(path: Path, rejects: Rejects, *, extra: int = 0) -> Iterator[tuple[str, Judgment]]:
    """Yield every judgment of a TREC file with the words that name its line.

    Columns are separated by tabs, or by blanks where a line has no tab.

    Parameters
    ----------
    path : Path
        Four columns: query id, an ignored one, document id, whole-number grade.
    rejects : Rejects
    extra : int, default 0
        So many columns may follow and are cut off; M-BEIR's own files have a fifth, the task.

    Yields
    ------
    where : str
        ``"qrels.tsv line 3"``.
    judgment : Judgment
    """
    for where, line in _lines(path, rejects):
        columns = line.split("\t") if "\t" in line else line.split()
        if not 4 <= len(columns) <= 4 + extra:
            rejects.add(
                where,
                f"has {len(columns)} columns, expected 4 (query id, 0, document id, grade): "
                f"{_shorten(line)}",
            )
            continue
        query_id, _, doc_id, grade = (column.strip() for column in columns[:4])
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
        name: value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
        for name, value in record.items()
        if name not in used and value is not None
    }


def _lines(path: Path, rejects: Rejects) -> Iterator[tuple[str, str]]:
    with _open(path) as handle:
        for number, raw in enumerate(handle, start=1):
            where = f"{path.name} line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                rejects.add(where, f"is not UTF-8 ({error})")
                continue
            if line.strip():
                yield where, line


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        msg = f"{path} cannot be read ({error}); expected a file with one item a line"
        raise CorpusError(msg) from error


def _refuse_array(path: Path, number: int, found: str) -> NoReturn:
    msg = (
        f"{path} is no whole JSON array: after item {number} it holds {found}; expected "
        "[{...}, {...}]. Fetch it again"
    )
    raise CorpusError(msg)


def _shorten(line: str, width: int = 60) -> str:
    return line if len(line) <= width else f"{line[:width]}..."
