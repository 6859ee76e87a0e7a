"""Runs and judgments of other tools: TREC files, ranx, ir_measures.

In memory all these tools take dictionaries, so no conversion is needed on the way out::

    ranx.Run(run.to_dict(), name=run.name)
    ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run.to_dict())
    pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run.to_dict())

:func:`as_run` and :func:`as_qrels` take their objects in; the four other functions are for files.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation.runs import Run, id_text

_Convert = Callable[[Any, str], Any]  # a value and where it stands -> the value as a number
_Parse = Callable[[list[str], str], tuple[str, str, Any, str]]  # -> query, document, value, tag


class ScoredDoc(NamedTuple):
    """One line of a run, with the fields that ir_measures looks for."""

    query_id: str
    doc_id: str
    score: float


class Qrel(NamedTuple):
    """One line of judgments, with the fields that ir_measures looks for."""

    query_id: str
    doc_id: str
    relevance: int
    iteration: str = "0"


def scored_docs(run: Run) -> Iterator[ScoredDoc]:
    """Yield the lines of a run, query by query and best first.

    Empty places, and documents whose score is -inf, are left out: measures count both as not
    retrieved.

    Examples
    --------
    >>> import numpy as np
    >>> run = Run("demo", ["q"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> next(scored_docs(run))
    ScoredDoc(query_id='q', doc_id='d2', score=0.9)
    """
    for query_id, row in run.to_dict().items():
        for doc_id, score in row.items():
            if score > -math.inf:
                yield ScoredDoc(query_id, doc_id, score)


def read_run(
    path: str | Path,
    *,
    name: str | None = None,
    query_ids: Sequence[str] | None = None,
    complete: np.ndarray | bool | None = None,
) -> Run:
    """Read a run file: TREC's six columns, or the JSON of ranx; either may be gzipped.

    Parameters
    ----------
    path : str or Path
        ``.json`` or ``.json.gz`` is ``{query_id: {doc_id: score}}``. All else is TREC's
        ``query_id Q0 doc_id rank score tag``, split at tabs where a line has one (ids may then
        hold blanks), else at blanks; a seventh column, which M-BEIR has, is not used.
    name : str or None, default None
        None takes the tag of the first line, or the file's name where there is no tag.
    query_ids : sequence of str or None, default None
        The queries wanted, in this order. One that the file lacks gets an empty list, so that it
        counts as not answered: a run file has no line for it. None takes the file's queries.
    complete
        As in :class:`Run`: whether the file holds all that can be ranked.

    Returns
    -------
    run : Run
        Ordered by score, as trec_eval does; the rank column is not used. Equal scores stay tied.

    Raises
    ------
    MmgapError
        If the file cannot be read or is not UTF-8, a line is malformed, a score is not a finite
        number, or a query lists a document twice with different scores; the message holds the
        line number. (Equal lines count once.)

    See Also
    --------
    write_run : the way back.
    """
    path = Path(path)
    if _is_json(path):
        scores, tag = _read_json(path, _to_score), ""
    else:
        scores, tag = _read_columns(path, _run_line)
    default = tag or Path(path.name.removesuffix(".gz")).stem
    name = default if name is None else name
    return Run.from_dict(name, scores, query_ids=query_ids, complete=complete)


def write_run(run: Run, path: str | Path, *, tag: str | None = None) -> None:
    """Write a run file: TREC's six columns, or the JSON of ranx.

    Parameters
    ----------
    run : Run
    path : str or Path
        ``.json`` or ``.json.gz`` for JSON, else TREC; ``.gz`` is compressed. The same run gives
        the same bytes.
    tag : str or None, default None
        Last column; None is the run's name. White space in it becomes ``_``.

    Raises
    ------
    MmgapError
        If an id is empty or holds white space, which TREC's columns cannot, or a score is inf.

    Notes
    -----
    Scores are written with all their digits, so that :func:`read_run` returns the same run. Queries
    without documents have no line in a TREC file; give :func:`read_run` the query ids.

    trec_eval keeps scores as 32-bit numbers and breaks ties by document id, the last one first.
    Scores that differ only beyond the seventh digit are ties to it.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> run = Run("raw mean", ["q"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mean.trec"
    ...     write_run(run, path)
    ...     print(path.read_text(), end="")
    ...     read_run(path).to_dict() == run.to_dict()
    q Q0 d2 1 0.9 raw_mean
    q Q0 d1 2 0.1 raw_mean
    True
    """
    path = Path(path)
    rows: dict[str, dict[str, float]] = {query_id: {} for query_id in run.query_ids}
    for query_id, doc_id, score in scored_docs(run):
        if math.isinf(score):
            msg = f"run {run.name!r}: {query_id!r}, {doc_id!r} has the score inf; clip scores first"
            raise MmgapError(msg)
        rows[query_id][doc_id] = score
    if _is_json(path):
        _write_json(rows, path)
        return
    tag = "_".join((run.name if tag is None else tag).split()) or "run"
    with _open_to_write(path) as file:
        for query_id, row in rows.items():
            for rank, (doc_id, score) in enumerate(row.items(), start=1):
                file.write(f"{_id(query_id)} Q0 {_id(doc_id)} {rank} {score!r} {tag}\n")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    r"""Read judgments: TREC's four columns, BEIR's three, or the JSON of ranx, gzipped or not.

    Parameters
    ----------
    path : str or Path
        ``.json`` or ``.json.gz`` is ``{query_id: {doc_id: grade}}``. All else is split as in
        :func:`read_run`: ``query_id iteration doc_id grade``, as TREC has it; the same with
        a fifth column (the task, not used), as M-BEIR has it; or ``query_id doc_id grade`` below
        a header line ``query-id corpus-id score``, as BEIR and MTEB have it.

    Returns
    -------
    qrels : dict of query id to dict of document id to grade
        Grades of 0 and below are kept. What counts as relevant is for measures to say
        (``min_grade``).

    Raises
    ------
    MmgapError
        If a line is malformed, a grade is not a whole number, or a pair is judged twice with
        different grades; the message holds the line number. (Equal lines count once.)

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "qrels.txt"
    ...     _ = path.write_text("q1 0 d1 1\nq1 0 d2 0 task\n")
    ...     read_qrels(path)
    {'q1': {'d1': 1, 'd2': 0}}
    """
    path = Path(path)
    if _is_json(path):
        return _read_json(path, _to_grade)
    return _read_columns(path, _qrels_line)[0]


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: str | Path) -> None:
    """Write judgments in TREC's four columns, or as the JSON of ranx.

    Parameters
    ----------
    qrels : mapping of query id to mapping of document id to grade
        For example ``corpus.qrels``. Its ``min_grade``, if it has one, is not in the file.
    path : str or Path
        ``.json`` or ``.json.gz`` for JSON, else TREC; ``.gz`` is compressed.

    Raises
    ------
    MmgapError
        If an id is empty or holds white space, or a grade is not a whole number.
    """
    path = Path(path)
    rows = as_qrels(qrels)
    if _is_json(path):
        _write_json(rows, path)
        return
    with _open_to_write(path) as file:
        for query_id, row in rows.items():
            for doc_id, grade in row.items():
                file.write(f"{_id(query_id)} 0 {_id(doc_id)} {grade}\n")


def as_run(
    source: Any,
    name: str | None = None,
    *,
    query_ids: Sequence[str] | None = None,
    complete: np.ndarray | bool | None = None,
) -> Run:
    """Make a run of what ranx, ir_measures and pytrec_eval hold in memory.

    Parameters
    ----------
    source : mapping, DataFrame, ranx.Run or iterable
        ``{query_id: {doc_id: score}}``; a frame with the columns ``query_id`` (or ``q_id``),
        ``doc_id`` and ``score``; a ``ranx.Run``; or objects with these attributes, such as
        ``ir_measures.ScoredDoc``, for example from ``ir_measures.read_trec_run``.
    name : str or None, default None
        None takes the name of a ``ranx.Run``, else ``"run"``.
    query_ids, complete
        As in :func:`read_run`. Ids that are whole numbers become text.

    Returns
    -------
    run : Run

    Raises
    ------
    MmgapError
        If the form is none of these, an id is neither text nor a whole number, a score is not a
        finite number, or a query lists a document
        twice with different scores.

    Examples
    --------
    >>> as_run([ScoredDoc("q", "d1", 0.2), ScoredDoc("q", "d2", 0.7)], "bm25").to_dict()
    {'q': {'d2': 0.7, 'd1': 0.2}}
    """
    if name is None:
        given = getattr(source, "name", None)  # a column, in a frame that has one
        name = given if isinstance(given, str) and given else "run"
    scores = _as_dict(source, "score", _to_score)
    return Run.from_dict(name, scores, query_ids=query_ids, complete=complete)


def as_qrels(source: Any) -> dict[str, dict[str, int]]:
    """Make a plain dictionary of judgments that ranx, ir_measures and pytrec_eval hold.

    Parameters
    ----------
    source : mapping, DataFrame, ranx.Qrels or iterable
        As in :func:`as_run`, with grades: ``relevance`` (ir_measures), ``grade`` (our own
        tables), or ``score`` in the frames of ranx.

    Returns
    -------
    qrels : dict of query id to dict of document id to grade

    Raises
    ------
    MmgapError
        If the form is none of these, a grade is not a whole number, or a pair is judged twice with
        different grades.

    Examples
    --------
    >>> as_qrels([Qrel("q", "d1", 2), Qrel("q", "d2", 0)])
    {'q': {'d1': 2, 'd2': 0}}
    """
    return _as_dict(source, "relevance", _to_grade)


def _as_dict(source: Any, field: str, convert: _Convert) -> dict[str, dict[str, Any]]:
    if type(source).__module__.split(".")[0] == "ranx":
        source = source.to_dict()
    if isinstance(source, Run):
        source = scored_docs(source)
    if isinstance(source, Mapping):
        return _converted(source, convert)
    if hasattr(source, "itertuples"):
        source = source.rename(columns={"q_id": "query_id"})
        if field not in source.columns:
            named = "grade" if field == "relevance" and "grade" in source.columns else "score"
            source = source.rename(columns={named: field})
        source = source.itertuples(index=False)
    rows: dict[str, dict[str, Any]] = {}
    if not isinstance(source, Iterable) or isinstance(source, str | bytes):
        msg = f"cannot read a {type(source).__name__}; {_FORMS}"
        raise MmgapError(msg)
    for item in source:
        try:
            query_id, doc_id = item.query_id, item.doc_id
            given = getattr(item, field) if hasattr(item, field) else getattr(item, _ALSO[field])
        except AttributeError:
            msg = f"cannot read {item!r}: it needs query_id, doc_id and {field}; {_FORMS}"
            raise MmgapError(msg) from None
        query_id, doc_id = id_text(query_id, "query"), id_text(doc_id, "document")
        pair = f"{query_id!r}, {doc_id!r}"
        value = convert(given, pair)
        if rows.setdefault(query_id, {}).setdefault(doc_id, value) != value:
            msg = f"{pair} has two values, {rows[query_id][doc_id]} and {value}; keep one"
            raise MmgapError(msg)
    return rows


_ALSO = {"relevance": "grade", "score": "score"}
_FORMS = (
    "give {query_id: {doc_id: value}}, a DataFrame, an object of ranx or items of ir_measures; "
    "files go through read_run and read_qrels"
)


def _to_score(value: Any, where: str) -> float:
    try:
        score = math.nan if _has_underscore(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        msg = f"{where}: score {value!r} is not a finite number; correct it or leave the line out"
        raise MmgapError(msg)
    return score


def _to_grade(value: Any, where: str) -> int:
    try:
        grade = int(value)
        float(grade)  # a number too large for measures overflows
        whole = not _has_underscore(value) and (isinstance(value, str) or grade == value)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        msg = f"{where}: grade {value!r} is not a whole number"
        raise MmgapError(msg)
    return grade


def _has_underscore(value: Any) -> bool:
    """Python reads 1_0 as ten; no other reader of these files does."""
    return isinstance(value, str) and "_" in value


def _run_line(columns: list[str], where: str) -> tuple[str, str, float, str]:
    if len(columns) not in (6, 7):
        msg = (
            f"{where}: {len(columns)} columns, expected 6: query_id Q0 doc_id rank score tag. Ids "
            "and a tag that hold blanks need tabs between the columns"
        )
        raise MmgapError(msg)
    # A blank inside an id moves the columns: the rank would be read as the score.
    if not _WHOLE.fullmatch(columns[3]) or (
        len(columns) == 7 and columns[6] and not _WHOLE.fullmatch(columns[6])
    ):
        msg = (
            f"{where}: expected a whole number as rank in column 4 (and as task in column 7); got "
            f"{columns[3]!r}. An id with a blank needs tabs between the columns"
        )
        raise MmgapError(msg)
    return columns[0], columns[2], _to_score(columns[4], where), columns[5]


def _qrels_line(columns: list[str], where: str) -> tuple[str, str, int, str]:
    if len(columns) == 3:
        return columns[0], columns[1], _to_grade(columns[2], where), ""
    if len(columns) not in (4, 5):
        msg = (
            f"{where}: {len(columns)} columns, expected 4: query_id iteration doc_id grade (or 3, "
            "without iteration, or 5, with a task). Ids that hold blanks need tabs between columns"
        )
        raise MmgapError(msg)
    return columns[0], columns[2], _to_grade(columns[3], where), ""


def _read_columns(path: Path, parse: _Parse) -> tuple[dict[str, dict[str, Any]], str]:
    """Rows of values by query and document, and the tag of the first line."""
    rows: dict[str, dict[str, Any]] = {}
    first_tag = None
    with _open_to_read(path) as file:
        for number, line in enumerate(file, start=1):
            columns = _split(line)
            if not any(columns) or (number == 1 and columns == ["query-id", "corpus-id", "score"]):
                continue
            where = f"{path.name}, line {number}"
            if "\0" in line:
                msg = f"{where}: NUL bytes, as in UTF-16; expected text in UTF-8. Convert the file"
                raise MmgapError(msg)
            query_id, doc_id, value, tag = parse(columns, where)
            if not query_id or not doc_id:
                msg = f"{where}: the query id or the document id is empty"
                raise MmgapError(msg)
            first_tag = tag if first_tag is None else first_tag
            if rows.setdefault(query_id, {}).setdefault(doc_id, value) != value:
                msg = (
                    f"{where}: query {query_id!r} and document {doc_id!r} had the value "
                    f"{rows[query_id][doc_id]} before and have {value} here; keep one of the lines"
                )
                raise MmgapError(msg)
    return rows, first_tag or ""


_BLANKS = re.compile(r"[ \f\v]+")
_WHOLE = re.compile(r"[+-]?[0-9]+")


def _split(line: str) -> list[str]:
    """Columns of a line: between tabs where it has one, else between blanks (ASCII ones only).

    A no-break space is part of an id.
    """
    line = line.strip("\r\n")
    if "\t" in line.strip(" \t"):
        return [column.strip(" ") for column in line.split("\t")]
    return _BLANKS.split(line.strip(" \t\f\v"))


def _read_json(path: Path, convert: _Convert) -> dict[str, dict[str, Any]]:
    with _open_to_read(path) as file:
        try:
            rows = json.load(file)
        except json.JSONDecodeError as error:
            msg = f"{path.name}, line {error.lineno}: not JSON ({error.msg})"
            raise MmgapError(msg) from error
        except RecursionError as error:
            msg = f"{path.name}: nested too deeply; expected {{query_id: {{doc_id: value}}}}"
            raise MmgapError(msg) from error
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        msg = f"{path.name}: expected one object {{query_id: {{doc_id: value}}}}"
        raise MmgapError(msg)
    return _converted(rows, convert, f"{path.name}: ")


def _converted(
    rows: Mapping[str, Mapping[str, Any]], convert: _Convert, where: str = ""
) -> dict[str, dict[str, Any]]:
    if not all(isinstance(row, Mapping) for row in rows.values()):
        msg = f"{where}expected one mapping {{query_id: {{doc_id: value}}}}; {_FORMS}"
        raise MmgapError(msg)
    return {
        id_text(query_id, f"{where}query"): {
            id_text(doc_id, f"{where}document"): convert(value, f"{where}{query_id!r}, {doc_id!r}")
            for doc_id, value in row.items()
        }
        for query_id, row in rows.items()
    }


def _write_json(rows: Mapping[str, Mapping[str, float]], path: Path) -> None:
    with _open_to_write(path) as file:
        json.dump(rows, file, ensure_ascii=False)


def _is_json(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".json")


def _id(text: str) -> str:
    if text.split() != [text]:
        msg = (
            f"id {text!r} is empty or holds white space, which separates columns in TREC files; "
            "rename it, or write .json"
        )
        raise MmgapError(msg)
    return text


@contextmanager
def _open_to_read(path: Path) -> Iterator[TextIO]:
    # utf-8-sig: some editors put a mark before the first id, which would become part of it.
    opener: Any = gzip.open if path.suffix == ".gz" else open
    what = "expected a run or judgments: columns of text, or .json, in UTF-8, gzipped where .gz"
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        msg = f"{path.name}: not UTF-8 ({error.reason} at byte {error.start}); {what}. Convert it"
        raise MmgapError(msg) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path.name}: gzip data that are damaged or cut ({error}); {what}"
        raise MmgapError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); {what}"
        raise MmgapError(msg) from error


@contextmanager
def _open_to_write(path: Path) -> Iterator[TextIO]:
    if path.suffix != ".gz":
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    # No time and no file name inside, so that the same run gives the same bytes.
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        yield text
