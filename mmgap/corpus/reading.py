"""Reading records and judgments item by item, and building a corpus of them.

Every item has a name, such as ``documents.jsonl line 3``. One that cannot be used is rejected under
that name: it raises a ``CorpusError``, or is listed (``on_error="skip"``). A file past whose damage
no item can be found is always an error. Whatever else a reader meets becomes a ``CorpusError`` too
(:func:`guarded`). Files are UTF-8; tab-separated ones are not quoted.
"""

from __future__ import annotations

import csv
import functools
import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, get_args

from mmgap.corpus.images import ImageFile, ParquetImage, child_of, open_parquet
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError, MmgapError, SkippedItemsWarning

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

OnError = Literal["raise", "skip"]
"""What to do with an item that cannot be used."""

TABLE_SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet", ".json")
"""Formats of records, by the end of the file's name."""

TREC_SUFFIXES = (".tsv", ".txt", ".trec", ".qrels")

_PARQUET_ROWS = 1024
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)

_COLUMNS = {
    "query_id": ("query_id", "query-id", "qid"),
    "doc_id": ("doc_id", "doc-id", "corpus_id", "corpus-id", "document_id", "did"),
    "grade": ("grade", "score", "relevance", "rel"),
}
"""What the columns of a table of judgments are called."""

T = TypeVar("T")
P = ParamSpec("P")
Rows = Iterator[tuple[str, dict[str, Any]]]


@dataclass
class Rejects:
    """The items that cannot be used: the first one raises, or all are listed in ``skipped``.

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
            msg = f"{item}: {reason}. Correct it, or leave such items out with on_error='skip'"
            raise error(msg)
        self.skipped[item] = reason

    def warn(self, source: str) -> None:
        """Give one warning that counts what was left out, if anything was, to mmgap's caller."""
        if not self.skipped:
            return
        item, reason = next(iter(self.skipped.items()))
        level, frame = 1, inspect.currentframe()
        while frame is not None and frame.f_globals.get("__name__", "").startswith("mmgap."):
            level, frame = level + 1, frame.f_back
        warnings.warn(
            f"{len(self.skipped)} items of {source} were left out, e.g. {item}: {reason}. "
            "Corpus.skipped lists them all",
            SkippedItemsWarning,
            stacklevel=level,
        )


def guarded(load: Callable[P, T]) -> Callable[P, T]:
    """Let a loader end in MmgapErrors only, whatever its files hold."""

    @functools.wraps(load)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return load(*args, **kwargs)
        except (MmgapError, ImportError, Warning):
            raise
        except Exception as error:
            given = ", ".join(str(each)[:80] for each in args if isinstance(each, str | Path))
            msg = (
                f"{given or load.__name__} cannot be read ({type(error).__name__}: {error}); check "
                "it, or fetch it again"
            )
            raise CorpusError(msg) from error

    return wrapped


_IDS = ("id", "_id", "did", "qid", "corpus_id", "query_id", "filename")
"""What an item is called by, in a message."""


def made(
    rows: Rows, make: Callable[[dict[str, Any]], T], rejects: Rejects
) -> Iterator[tuple[str, T]]:
    """Yield what ``make`` makes of each row; what it raises is the reason to reject the row."""
    for line, record in rows:
        key = next((key for key in _IDS if record.get(key) is not None), None)
        where = line if key is None else f"{line} ({key} {record[key]!r})"
        try:
            item = make(record)
        except CorpusError as error:
            rejects.add(where, str(error))
        except Exception as error:
            rejects.add(where, f"cannot be used ({type(error).__name__}: {error})")
        else:
            yield where, item


# Records


def read_records(path: Path, rejects: Rejects, columns: Sequence[str] | None = None) -> Rows:
    r"""Yield the records of a file with their names, by its suffix one of ``TABLE_SUFFIXES``.

    JSON lines, one JSON array, CSV and TSV with a header line (an empty cell is ``None``), or
    Parquet, of which a cell with an image becomes a ``ParquetImage`` and ``columns`` may choose.

    >>> path = getfixture("tmp_path") / "documents.csv"
    >>> _ = path.write_text('id,text\nd1,"black, and a cat"\nd2,')
    >>> dict(read_records(path, Rejects()))["documents.csv line 2"]
    {'id': 'd1', 'text': 'black, and a cat'}
    """
    match path.suffix.lower():
        case ".jsonl":
            yield from _json_lines(path, rejects)
        case ".json":
            yield from _json_array(path, rejects)
        case ".csv":
            yield from _cells(path, _csv_rows(path, rejects), rejects)
        case ".tsv":
            lines = ((where, line.split("\t")) for where, line in _lines(path, rejects))
            yield from _cells(path, lines, rejects)
        case ".parquet":
            yield from read_parquet(path, columns)
        case suffix:
            msg = f"{path} ends in {suffix!r}; expected one of {', '.join(TABLE_SUFFIXES)}"
            raise CorpusError(msg)


def _json_lines(path: Path, rejects: Rejects) -> Rows:
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


def _json_array(path: Path, rejects: Rejects) -> Rows:
    try:
        with _open(path, errors="strict") as handle:
            content = json.load(handle)
    except (ValueError, RecursionError) as error:
        if isinstance(error, MmgapError):
            raise
        msg = f"{path} is not a complete JSON array ({error}); fetch it again"
        raise CorpusError(msg) from error
    if not isinstance(content, list):
        msg = f"{path} holds {_shorten(repr(content))}; expected a JSON array [{{...}}, {{...}}]"
        raise CorpusError(msg)
    for number, record in enumerate(content, start=1):
        where = f"{path.name} item {number}"
        if isinstance(record, dict):
            yield where, record
        else:
            rejects.add(where, f"expected a JSON object, got {_shorten(repr(record))}")


def _cells(path: Path, rows: Iterator[tuple[str, list[str]]], rejects: Rejects) -> Rows:
    """Name the cells of rows by those of the first one."""
    _, header = next(rows, ("", []))
    if len(set(header)) < len(header) or not all(name.strip() for name in header):
        msg = f"{path}: its first line is {header}; expected a different name for each column"
        raise CorpusError(msg)
    for where, row in rows:
        if len(row) != len(header):
            rejects.add(where, f"has {len(row)} cells, its first line {len(header)}")
        else:
            yield where, {name: cell or None for name, cell in zip(header, row, strict=True)}


def _csv_rows(path: Path, rejects: Rejects) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of a CSV; of one that is wrongly quoted the first line alone is lost."""
    waiting: list[str] = []
    taken: list[str] = []
    number = 0
    with _open(path, newline="") as handle:

        def lines() -> Iterator[str]:
            while line := waiting.pop() if waiting else handle.readline():
                taken.append(line)
                yield line

        source = lines()
        while True:
            taken.clear()
            problem: str | None = None
            row: list[str] | None = None
            try:
                row = next(csv.reader(source, strict=True), None)
                if not taken:
                    return
                "".join(taken).encode()
            except UnicodeEncodeError:
                problem = "is not UTF-8"
            except csv.Error as error:
                problem = f"is not CSV ({error}): {_shorten(taken[0])}"
                waiting += taken[:0:-1]
                del taken[1:]
                source = lines()
            where = f"{path.name} line {number + len(taken)}"
            number += len(taken)
            if problem is not None:
                rejects.add(where, problem)
            elif row:
                yield where, row


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Rows:
    """Yield every row of a Parquet file (``columns`` of it); images stay in the file."""
    file = open_parquet(path)
    fields = {each.name: each for each in file.schema_arrow}
    wanted = [name for name in fields if columns is None or name in columns]
    images = [name for name in wanted if _holds_images(fields[name])]
    # Of a structure the short "path" alone tells whether there is an image.
    leaves = [
        f"{name}.path" if name in images and child_of(fields[name], "path") else name
        for name in wanted
    ]
    number = 0
    try:
        for group in range(file.num_row_groups):
            row = 0
            for batch in file.iter_batches(_PARQUET_ROWS, row_groups=[group], columns=leaves):
                valid = {name: batch[name].is_valid().to_pylist() for name in images}
                others = batch.select([name for name in wanted if name not in images])
                for at, record in enumerate(others.to_pylist()):
                    number += 1
                    for name in images:
                        image = ParquetImage(path, column=name, group=group, row=row + at)
                        record[name] = image if valid[name][at] else None
                    yield f"{path.name} row {number}", record
                row += batch.num_rows
    except MmgapError:
        raise
    except Exception as error:
        msg = f"{path} is damaged after row {number} ({error}); fetch it again"
        raise CorpusError(msg) from error


def _holds_images(column: pa.Field) -> bool:
    import pyarrow as pa

    kind = column.type
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or child_of(column, "bytes")


def metadata_of(record: Mapping[str, Any], *used: str) -> dict[str, str]:
    """Return a record's other fields as text; images and fields without a value are left out.

    >>> metadata_of({"id": "d1", "style": "noto", "informative": True, "split": None}, "id")
    {'style': 'noto', 'informative': 'true'}
    """
    return {
        name: value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
        for name, value in record.items()
        if name not in used and value is not None and not isinstance(value, ImageFile)
    }


def _lines(path: Path, rejects: Rejects) -> Iterator[tuple[str, str]]:
    """Yield the lines that are not blank."""
    with _open(path, newline="\n") as handle:
        for number, raw in enumerate(handle, start=1):
            where, line = f"{path.name} line {number}", raw.rstrip("\r\n")
            try:
                line.encode()
            except UnicodeEncodeError:
                rejects.add(where, f"is not UTF-8: {line.encode(errors='replace')[:60]!r}")
                continue
            if line.strip(" \t"):
                yield where, line


@contextmanager
def _open(
    path: Path, *, errors: str = "surrogateescape", newline: str | None = None
) -> Iterator[IO[str]]:
    """Open a file of UTF-8 text, in which other bytes become half characters."""
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
        kind = next((kind for mark, kind in _MARKS.items() if start.startswith(mark)), None)
        if kind is not None:
            msg = f"{path} is {kind}; expected plain UTF-8 text. Convert it"
            raise CorpusError(msg)
        with path.open(encoding="utf-8-sig", errors=errors, newline=newline) as text:
            yield text
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error}); expected a file of UTF-8 text"
        raise CorpusError(msg) from error


_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "compressed by gzip",
    b"PK\x03\x04": "a zip",
    b"PAR1": "a Parquet file by another name",
}


def _shorten(line: str, width: int = 60) -> str:
    return line if len(line) <= width else f"{line[:width]}..."


# Judgments


def read_judgments(
    path: Path, rejects: Rejects, *, extra: int = 0
) -> Iterator[tuple[str, Judgment]]:
    """Yield every judgment of a file with its name.

    TREC's four columns (query id, an ignored one, document id, whole-number grade), separated by
    tabs, or by blanks where a line has no tab; ``extra`` more columns are cut off (M-BEIR has a
    fifth, the task). Or a table whose header names query, document and grade, as in BEIR.
    """
    if path.suffix.lower() not in TREC_SUFFIXES:
        for where, record in read_records(path, rejects):
            yield from _judgment(where, record, rejects)
        return
    header: list[str] | None = None
    for at, (where, line) in enumerate(_lines(path, rejects)):
        cells = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        cells = [cell.strip(" ") for cell in cells]
        if at == 0 and all(set(names) & set(cells) for names in _COLUMNS.values()):
            header = cells
            continue
        if header is None and not 4 <= len(cells) <= 4 + extra:
            rejects.add(
                where,
                f"has {len(cells)} columns, expected 4 (query id, 0, document id, grade): "
                f"{_shorten(line)}",
            )
            continue
        names = header or ["query_id", "", "doc_id", "grade"]
        yield from _judgment(where, dict(zip(names, cells, strict=False)), rejects)


def _judgment(
    where: str, record: Mapping[str, Any], rejects: Rejects
) -> Iterator[tuple[str, Judgment]]:
    try:
        judgment = judgment_of(record)
    except CorpusError as error:
        rejects.add(where, str(error))
    else:
        yield where, judgment


def judgment_of(record: Mapping[str, Any]) -> Judgment:
    """Return the judgment of a table's row; ids may be whole numbers.

    >>> judgment_of({"query-id": "q1", "corpus-id": 17, "score": 1})
    Judgment(query_id='q1', doc_id='17', grade=1)
    """
    cells = {
        role: next((record[name] for name in names if record.get(name) not in {None, ""}), None)
        for role, names in _COLUMNS.items()
    }
    for role in ("query_id", "doc_id"):
        if cells[role] is None:
            columns = ", ".join(map(str, record))
            msg = f"has no {role}; expected {', '.join(_COLUMNS[role])} in: {columns}"
            raise CorpusError(msg)
    grade = cells["grade"]
    whole = isinstance(grade, float) and grade.is_integer()
    whole |= isinstance(grade, int) and not isinstance(grade, bool)
    if isinstance(grade, str):  # data frames write whole numbers with a point
        whole = _WHOLE.fullmatch(grade.removesuffix(".0")) is not None
        grade = grade.removesuffix(".0")
    if not whole:
        msg = f"grade {grade!r} is not a whole number"
        raise CorpusError(msg)
    return Judgment(str(cells["query_id"]), str(cells["doc_id"]), int(grade))  # type: ignore[arg-type]


# Items


def text_of(value: object, *, optional: bool = False) -> str | None:
    """Return a text that is not empty; ``None`` where there is none and ``optional``."""
    if isinstance(value, str) and value.strip():
        return value
    if optional and (value is None or value == ""):
        return None
    msg = f'"text" is {value!r}; expected a text that is not empty'
    raise CorpusError(msg)


def need_content(text: str | None, image: ImageFile | None) -> tuple[str | None, ImageFile | None]:
    """Return text and image, of which one at least is there."""
    if text is None and image is None:
        msg = "has neither text nor image; expected at least one of the two"
        raise CorpusError(msg)
    return text, image


def id_of(record: Mapping[str, Any], *keys: str) -> str:
    """Return the id under the first key that has one; a whole number is meant as text."""
    found = next((record[key] for key in keys if record.get(key) not in {None, ""}), None)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if isinstance(found, str) and found.strip():
        return found
    msg = f'"{keys[0]}" is {found!r}; expected a text that is not empty'
    raise CorpusError(msg)


class Images:
    """Image files below a folder; each of its folders is listed once, not asked for every file.

    Without ``links``, symbolic links that lead out of the folder are refused.
    """

    def __init__(self, root: Path, *, links: bool = True) -> None:
        self.root, self.links = root.resolve(), links
        self._names: dict[Path, frozenset[str]] = {}

    def of(self, cell: object) -> ImageFile | None:
        """Return the image of a row: none, one that its file holds, or a path in the folder."""
        return cell if cell is None or isinstance(cell, ImageFile) else self.find(cell)

    def find(self, inside: object) -> ImageFile:
        """Return the image at a path in the folder."""
        if not isinstance(inside, str) or not inside or "\0" in inside:
            msg = f"its image is {inside!r}; expected a path"
            raise CorpusError(msg)
        path = Path(f"{self.root}/{inside}")
        if ".." in path.parts or Path(inside).is_absolute() or not self._is_inside(path):
            msg = f"image {inside!r} lies outside the folder; copy it into the folder"
            raise CorpusError(msg)
        if path.parent not in self._names:
            there = path.parent.iterdir() if path.parent.is_dir() else ()
            self._names[path.parent] = frozenset(each.name for each in there)
        if path.name not in self._names[path.parent]:
            msg = f"image file {inside!r} does not exist below {self.root}; check its name"
            raise CorpusError(msg)
        return ImageFile(path)

    def _is_inside(self, path: Path) -> bool:
        return self.links or path.resolve().is_relative_to(self.root)


# A corpus


@dataclass
class Parts:
    """Documents, queries and judgments as they are read; what does not fit together is rejected.

    ``documents_in``, ``queries_in`` and ``qrels_in`` are what an error calls the three sources.

    >>> parts = Parts(Rejects("skip"))
    >>> parts.add_documents([("line 1", Document("d1", "a cat")), ("line 2", Document("d1", "x"))])
    >>> parts.add_queries([("line 1", Query("q1", "cat"))])
    >>> parts.add_judgments([("line 1", Judgment("q1", "d1", 1))])
    >>> parts.rejects.skipped
    {'line 2': "document id 'd1' was used before; ids must be unique"}
    """

    rejects: Rejects
    min_grade: int = 1
    documents_in: str = "the documents"
    queries_in: str = "the queries"
    qrels_in: str = "the judgments"
    documents: dict[str, Document] = field(default_factory=dict, init=False)
    queries: dict[str, Query] = field(default_factory=dict, init=False)
    grades: dict[tuple[str, str], int] = field(default_factory=dict, init=False)

    def add_documents(self, found: Iterable[tuple[str, Document]]) -> None:
        """Keep documents; the second one with an id is rejected."""
        self._add("document", found, self.documents)

    def add_queries(self, found: Iterable[tuple[str, Query]]) -> None:
        """Keep queries; the second one with an id is rejected."""
        self._add("query", found, self.queries)

    def _add(self, kind: str, found: Iterable[tuple[str, Any]], kept: dict[str, Any]) -> None:
        for where, item in found:
            if item.id in kept:
                reason = f"{kind} id {item.id!r} was used before; ids must be unique"
                self.rejects.add(where, reason)
            else:
                kept[item.id] = item

    def add_judgments(self, found: Iterable[tuple[str, Judgment]]) -> None:
        """Keep judgments between queries and documents that are here already."""
        for where, judgment in found:
            pair = (judgment.query_id, judgment.doc_id)
            if judgment.query_id not in self.queries:
                problem = f"names query {judgment.query_id!r}, which {self.queries_in} lacks"
            elif judgment.doc_id not in self.documents:
                problem = f"names document {judgment.doc_id!r}, which {self.documents_in} lacks"
            elif self.grades.setdefault(pair, judgment.grade) != judgment.grade:
                problem = f"judges {pair} {judgment.grade}, an earlier line {self.grades[pair]}"
            else:
                continue
            self.rejects.add(where, problem)

    def corpus(
        self,
        name: str,
        left_out: Mapping[str, frozenset[tuple[str, str]]] | None = None,
        *,
        source: str | None = None,
        judged: bool = True,
    ) -> Corpus:
        """Return the corpus; queries without a relevant document are rejected if any is judged.

        One warning counts what was left out of ``source``. A corpus without anything usable is
        always an error.
        """
        answered = {
            query_id for (query_id, _), grade in self.grades.items() if grade >= self.min_grade
        }
        for query_id in [each for each in self.queries if judged and each not in answered]:
            self.rejects.add(
                f"query {query_id!r}",
                f"{self.qrels_in} names no relevant document (grade >= {self.min_grade}) for it, "
                "so its recall is undefined",
            )
            del self.queries[query_id]
        self.rejects.warn(source or name)
        skipped = self.rejects.skipped
        for kind, found, where in (
            ("query", self.queries or not judged, self.queries_in),
            ("document", self.documents, self.documents_in),
        ):
            if not found:
                reason = f"{where} is empty"
                if skipped:
                    item, problem = next(iter(skipped.items()))
                    reason = f"{len(skipped)} items were left out, e.g. {item}: {problem}"
                msg = f"{name} has no usable {kind}; {reason}"
                raise CorpusError(msg)
        return Corpus(
            name,
            [*self.documents.values()],
            [*self.queries.values()],
            Qrels((Judgment(*pair, grade) for pair, grade in self.grades.items()), self.min_grade),
            skipped,
            left_out or {},
        )
