"""Runs, and the files and objects of other tools that hold runs and judgments.

A run is the ranked candidates that one strategy returns for every query. In memory TREC's tools all
take dictionaries, so no conversion is needed on the way out::

    ranx.Run(run.to_dict(), name=run.name)
    ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run.to_dict())
    pytrec_eval.RelevanceEvaluator(qrels, {"map"}).evaluate(run.to_dict())

:func:`as_run` and :func:`as_qrels` take their objects in; the four other functions are for files:
TREC's columns, or ``.json`` as ``{query_id: {doc_id: value}}`` (ranx), either gzipped where the
name ends in ``.gz``. Columns are split at tabs where a line has one, so that ids may hold blanks,
else at ASCII blanks. A faulty file raises an MmgapError with its name and line.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from mmgap.errors import MmgapError


@dataclass(frozen=True)
class Run:
    """Ranked documents with scores, one row per query.

    Parameters
    ----------
    name : str
        The strategy, as tables show it.
    query_ids, doc_ids : sequence of str
        ``doc_ids`` is the pool; ``indices`` point into it.
    indices : int array of shape (n_query, depth)
        Documents of each query, best first; -1 fills the ranks of a shorter list, at its end.
    scores : float array of shape (n_query, depth)
        Descending in each row; -inf where ``indices`` is -1. Equal scores are ties: their order
        in the row carries no meaning, and measures treat it so.
    complete : bool, bool array of shape (n_query,) or None, default None
        Whether a query's list holds every document that can be ranked for it. Measures refuse a
        cut-off deeper than a list that is not complete. None: a list is complete where it holds
        the whole pool, nothing, or fewer documents than the run's longest list.
    tied_beyond : bool array of shape (n_query,) or None, default None
        Whether documents that the list leaves out tie with its last entry. The optimistic and
        pessimistic values of measures then allow for them. None: not for any query.

    Examples
    --------
    >>> run = Run("demo", ["q1"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> run.to_dict()
    {'q1': {'d2': 0.9, 'd1': 0.1}}
    """

    name: str
    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    indices: np.ndarray
    scores: np.ndarray
    complete: np.ndarray | bool | None = None
    tied_beyond: np.ndarray | None = None

    def __post_init__(self) -> None:
        problem = ""
        n_query = len(self.query_ids)
        if self.indices.shape != self.scores.shape or self.indices.shape[0] != n_query:
            problem = (
                f"indices {self.indices.shape} and scores {self.scores.shape} must both have shape "
                f"(n_query, depth) with n_query = {n_query}"
            )
        elif np.isnan(self.scores).any():
            query = self.query_ids[int(np.isnan(self.scores).any(axis=1).argmax())]
            problem = f"a score that is not a number for query {query!r}"
        elif (self.scores[:, 1:] > self.scores[:, :-1]).any():
            problem = "every row of scores must descend; sort the candidates first"
        for what, ids in (("query", self.query_ids), ("document", self.doc_ids)):
            if not all(issubclass(kind, str) for kind in set(map(type, ids))):
                odd = next(one for one in ids if not isinstance(one, str))
                problem = (
                    f"{what} id {odd!r} is a {type(odd).__name__}; ids are text, so that they "
                    "match those of judgments: str(id), or as_run(...)"
                )
        for what in ("complete", "tied_beyond"):
            flags = getattr(self, what)
            if flags is not None and np.shape(flags) not in {(), (n_query,)}:
                problem = (
                    f"{what} has shape {np.shape(flags)}; expected one bool for each of the "
                    f"{n_query} queries"
                )
        if problem:
            msg = f"run {self.name!r}: {problem}"
            raise MmgapError(msg)

    @property
    def lengths(self) -> np.ndarray:
        """Documents that each query's list holds: shape (n_query,)."""
        return (~np.isneginf(self.scores)).sum(axis=1)

    @property
    def is_complete(self) -> np.ndarray:
        """Whether each query's list holds all that can be ranked for it: shape (n_query,)."""
        if self.complete is not None:
            return np.broadcast_to(np.asarray(self.complete, dtype=bool), len(self.query_ids))
        lengths = self.lengths
        ended = (lengths == 0) | (lengths < lengths.max(initial=0))
        return ended | (lengths >= len(self.doc_ids))

    @classmethod
    def from_scores(
        cls,
        name: str,
        query_ids: Sequence[str],
        doc_ids: Sequence[str],
        candidates: np.ndarray,
        scores: np.ndarray,
        *,
        complete: np.ndarray | bool | None = None,
        tied_beyond: np.ndarray | None = None,
    ) -> Run:
        """Sort candidates, positions in ``doc_ids`` in any order, best first; -1 is empty."""
        scores = np.where(candidates < 0, -np.inf, scores)
        order = np.argsort(-scores, axis=1, kind="stable")
        return cls(
            name,
            query_ids,
            doc_ids,
            np.take_along_axis(candidates, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
            complete,
            tied_beyond,
        )

    @classmethod
    def from_dict(
        cls,
        name: str,
        scores: Mapping[str, Mapping[str, float]],
        *,
        query_ids: Sequence[str] | None = None,
        complete: np.ndarray | bool | None = None,
    ) -> Run:
        """Make a run of ``{query_id: {doc_id: score}}``, the form of ranx and ir_measures.

        ``query_ids`` names the queries wanted, in this order; one that ``scores`` lacks gets an
        empty list. Whole-number ids become text. The pool holds the documents that ``scores``
        names, in the order of first mention.

        >>> run = Run.from_dict("demo", {"q1": {"d1": 0.1, "d2": 0.9}}, query_ids=["q1", "q2"])
        >>> run.indices
        array([[ 1,  0],
               [-1, -1]])
        """
        where = f"run {name!r}"
        scores = {
            _id_text(query_id, where): {
                _id_text(doc_id, where): score for doc_id, score in row.items()
            }
            for query_id, row in scores.items()
        }
        wanted = list(scores) if query_ids is None else list(query_ids)
        rows = [scores.get(query_id, {}) for query_id in wanted]
        position: dict[str, int] = {}
        for row in rows:
            for doc_id in row:
                position.setdefault(doc_id, len(position))
        shape = (len(rows), max(map(len, rows), default=0))
        candidates, values = np.full(shape, -1), np.full(shape, -np.inf)
        for at, row in enumerate(rows):
            candidates[at, : len(row)] = [position[doc_id] for doc_id in row]
            values[at, : len(row)] = [*row.values()]
        return cls.from_scores(name, wanted, list(position), candidates, values, complete=complete)

    @classmethod
    def from_trec(cls, path: str | Path, **options: Any) -> Run:
        """Read a run file: :func:`read_run`."""
        return read_run(path, **options)

    def to_trec(self, path: str | Path, *, tag: str | None = None) -> None:
        """Write a run file: :func:`write_run`."""
        write_run(self, path, tag=tag)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return ``{query_id: {doc_id: score}}``, the form of ranx and ir_measures."""
        return {
            query_id: {
                self.doc_ids[index]: float(score)
                for index, score in zip(row, row_scores, strict=True)
                if index >= 0
            }
            for query_id, row, row_scores in zip(
                self.query_ids, self.indices.tolist(), self.scores.tolist(), strict=True
            )
        }

    def top(self, query_id: str, k: int) -> Mapping[str, float]:
        """Return the ``k`` best documents of one query with their scores, best first."""
        row = list(self.query_ids).index(query_id)
        return {
            self.doc_ids[index]: float(score)
            for index, score in zip(self.indices[row, :k], self.scores[row, :k], strict=True)
            if index >= 0
        }


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
    """Yield the lines of a run, best first; documents with the score -inf are not retrieved.

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
    """Read ``query_id Q0 doc_id rank score tag`` (a seventh column, as in M-BEIR, is not used).

    ``name`` is the tag of the first line, or the file's name, unless given. A run file has no line
    for a query without documents: name the queries wanted in ``query_ids``, and those that the file
    lacks count as not answered. ``complete`` as in :class:`Run`. Ordered by score, as trec_eval
    does; the rank is not used. Equal scores stay tied; equal lines count once.
    """
    path = Path(path)
    scores, tag = _read(path, _to_score, _run_line)
    name = (tag or Path(path.name.removesuffix(".gz")).stem) if name is None else name
    return Run.from_dict(name, scores, query_ids=query_ids, complete=complete)


def write_run(run: Run, path: str | Path, *, tag: str | None = None) -> None:
    """Write a run file; ``tag`` is the last column, the run's name unless given.

    Scores are written with all their digits, so that :func:`read_run` returns the same run; the
    same run gives the same bytes. trec_eval keeps scores as 32-bit numbers and breaks ties by
    document id, the last one first: what differs beyond the seventh digit is a tie to it.

    >>> import tempfile
    >>> run = Run("raw mean", ["q"], ["d1", "d2"], np.array([[1, 0]]), np.array([[0.9, 0.1]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mean.trec"
    ...     write_run(run, path)
    ...     print(path.read_text(), end="")
    q Q0 d2 1 0.9 raw_mean
    q Q0 d1 2 0.1 raw_mean
    """
    rows: dict[str, dict[str, float]] = {query_id: {} for query_id in run.query_ids}
    for query_id, doc_id, score in scored_docs(run):
        if math.isinf(score):
            msg = f"run {run.name!r}: {query_id!r}, {doc_id!r} has the score inf; clip scores first"
            raise MmgapError(msg)
        rows[query_id][doc_id] = score
    tag = "_".join((run.name if tag is None else tag).split()) or "run"
    _write(
        Path(path), rows, lambda query, doc, rank, score: f"{query} Q0 {doc} {rank} {score!r} {tag}"
    )


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    r"""Read ``query_id iteration doc_id grade``, with or without M-BEIR's fifth column, the task.

    Or the three of BEIR and MTEB, ``query_id doc_id grade``, below a header line ``query-id
    corpus-id score``.
    Grades of 0 and below are kept; what counts as relevant is for measures to say (``min_grade``).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "qrels.txt"
    ...     _ = path.write_text("q1 0 d1 1\nq1 0 d2 0 task\n")
    ...     read_qrels(path)
    {'q1': {'d1': 1, 'd2': 0}}
    """
    return _read(Path(path), _to_grade, _qrels_line)[0]


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: str | Path) -> None:
    """Write judgments, for example ``corpus.qrels``; its ``min_grade`` is not in the file."""
    _write(Path(path), as_qrels(qrels), lambda query, doc, _, grade: f"{query} 0 {doc} {grade}")


def as_run(
    source: Any,
    name: str | None = None,
    *,
    query_ids: Sequence[str] | None = None,
    complete: np.ndarray | bool | None = None,
) -> Run:
    """Make a run of what ranx, ir_measures and pytrec_eval hold in memory.

    ``{query_id: {doc_id: score}}``; a frame with the columns ``query_id`` (or ``q_id``), ``doc_id``
    and ``score``; a ``ranx.Run``; or objects with these attributes, such as
    ``ir_measures.ScoredDoc``. Ids that are whole numbers become text. ``name`` is that of a
    ``ranx.Run``, else ``"run"``, unless given; the rest as in :func:`read_run`.

    >>> as_run([ScoredDoc("q", "d1", 0.2), ScoredDoc("q", "d2", 0.7)], "bm25").to_dict()
    {'q': {'d2': 0.7, 'd1': 0.2}}
    """
    if name is None:
        given = getattr(source, "name", None)  # a column, in a frame that has one
        name = given if isinstance(given, str) and given else "run"
    scores = _as_dict(source, ("score",), _to_score)
    return Run.from_dict(name, scores, query_ids=query_ids, complete=complete)


def as_qrels(source: Any) -> dict[str, dict[str, int]]:
    """Make ``{query_id: {doc_id: grade}}`` of judgments in the forms that :func:`as_run` takes.

    The grade is called ``relevance`` (ir_measures), ``grade`` (our own tables) or ``score`` (ranx).

    >>> as_qrels([Qrel("q", "d1", 2), Qrel("q", "d2", 0)])
    {'q': {'d1': 2, 'd2': 0}}
    """
    return _as_dict(source, ("relevance", "grade", "score"), _to_grade)


_Convert = Callable[[Any, str], Any]  # a value and where it stands -> the value as a number
_Line = Callable[[list[str], str], tuple[str, str, str, str]]  # -> query, document, value, tag
_FORMS = (
    "give {query_id: {doc_id: value}}, a DataFrame, an object of ranx or items of ir_measures; "
    "files go through read_run and read_qrels"
)
_BLANKS = re.compile(r"[ \f\v]+")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_FILES = "expected a run or judgments: columns of text, or .json, in UTF-8, gzipped where .gz"


def _as_dict(source: Any, fields: tuple[str, ...], convert: _Convert) -> dict[str, dict[str, Any]]:
    if type(source).__module__.split(".")[0] == "ranx":
        source = source.to_dict()
    if isinstance(source, Run):
        source = scored_docs(source)
    if isinstance(source, Mapping):
        return _converted(source, convert)
    if hasattr(source, "itertuples"):
        source = source.rename(columns={"q_id": "query_id"}).itertuples(index=False)
    if not isinstance(source, Iterable) or isinstance(source, str | bytes):
        msg = f"cannot read a {type(source).__name__}; {_FORMS}"
        raise MmgapError(msg)
    rows: dict[str, dict[str, Any]] = {}
    for item in source:
        field = next((name for name in fields if hasattr(item, name)), None)
        if field is None or not hasattr(item, "query_id") or not hasattr(item, "doc_id"):
            msg = f"cannot read {item!r}: it needs query_id, doc_id and {fields[0]}; {_FORMS}"
            raise MmgapError(msg)
        query_id, doc_id = _id_text(item.query_id, "query"), _id_text(item.doc_id, "document")
        pair = f"{query_id!r}, {doc_id!r}"
        _add(rows, query_id, doc_id, convert(getattr(item, field), pair), pair)
    return rows


def _converted(
    rows: Mapping[Any, Any], convert: _Convert, where: str = ""
) -> dict[str, dict[str, Any]]:
    if not all(isinstance(row, Mapping) for row in rows.values()):
        msg = f"{where}expected one object {{query_id: {{doc_id: value}}}}; {_FORMS}"
        raise MmgapError(msg)
    return {
        _id_text(query_id, f"{where}query"): {
            _id_text(doc_id, f"{where}document"): convert(value, f"{where}{query_id!r}, {doc_id!r}")
            for doc_id, value in row.items()
        }
        for query_id, row in rows.items()
    }


def _add(rows: dict[str, dict[str, Any]], query: str, doc: str, value: Any, where: str) -> None:
    before = rows.setdefault(query, {}).setdefault(doc, value)
    if before != value:
        msg = (
            f"{where}: query {query!r} and document {doc!r} have two values, {before} before and "
            f"{value} here; keep one of them"
        )
        raise MmgapError(msg)


def _id_text(given: Any, where: str) -> str:
    """Return an id as text: whole numbers become their digits, all else but text is refused."""
    if isinstance(given, str):
        return given
    if isinstance(given, Integral) and not isinstance(given, bool | np.bool_):
        return str(int(given))
    msg = (
        f"{where}: id {given!r} is a {type(given).__name__}; ids are text or whole numbers (data "
        "frames turn whole numbers with gaps into fractions: keep the column as text)"
    )
    raise MmgapError(msg)


def _number(value: Any, kind: Callable[[Any], Any]) -> Any:
    """Return a finite number, or None; not 1_0, which Python alone reads as ten."""
    try:
        number = None if isinstance(value, str) and "_" in value else kind(value)
        return number if number is not None and math.isfinite(number) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _to_score(value: Any, where: str) -> float:
    score = _number(value, float)
    if score is None:
        msg = f"{where}: score {value!r} is not a finite number; correct it or leave the line out"
        raise MmgapError(msg)
    return score


def _to_grade(value: Any, where: str) -> int:
    grade = _number(value, int)
    if grade is None or not (isinstance(value, str) or grade == value):
        msg = f"{where}: grade {value!r} is not a whole number"
        raise MmgapError(msg)
    return grade


def _run_line(columns: list[str], where: str) -> tuple[str, str, str, str]:
    if len(columns) not in (6, 7):
        msg = (
            f"{where}: {len(columns)} columns, expected 6: query_id Q0 doc_id rank score tag. Ids "
            "and a tag that hold blanks need tabs between the columns"
        )
        raise MmgapError(msg)
    # A blank inside an id moves the columns: the rank would be read as the score.
    if not all(_WHOLE.fullmatch(column) for column in [columns[3], *filter(None, columns[6:])]):
        msg = (
            f"{where}: expected a whole number as rank in column 4 (and as task in column 7); got "
            f"{columns[3]!r}. An id with a blank needs tabs between the columns"
        )
        raise MmgapError(msg)
    return columns[0], columns[2], columns[4], columns[5]


def _qrels_line(columns: list[str], where: str) -> tuple[str, str, str, str]:
    if len(columns) not in (3, 4, 5):
        msg = (
            f"{where}: {len(columns)} columns, expected 4: query_id iteration doc_id grade (or 3, "
            "without iteration, or 5, with a task). Ids that hold blanks need tabs between columns"
        )
        raise MmgapError(msg)
    if len(columns) > 3:
        del columns[1]
    return columns[0], columns[1], columns[2], ""


def _split(line: str) -> list[str]:
    """Columns between tabs where a line has one, else between ASCII blanks.

    A no-break space is part of an id.
    """
    line = line.strip("\r\n")
    if "\t" in line.strip(" \t"):
        return [column.strip(" ") for column in line.split("\t")]
    return _BLANKS.split(line.strip(" \t\f\v"))


def _read(path: Path, convert: _Convert, parse: _Line) -> tuple[dict[str, dict[str, Any]], str]:
    """Rows of values by query and document, and the tag of the first line."""
    if _is_json(path):
        return _read_json(path, convert), ""
    rows: dict[str, dict[str, Any]] = {}
    first_tag = None
    with _open_to_read(path) as file:
        for number, line in enumerate(file, start=1):
            where = f"{path.name}, line {number}"
            if "\0" in line:
                msg = f"{where}: NUL bytes, as in UTF-16; expected text in UTF-8. Convert the file"
                raise MmgapError(msg)
            columns = _split(line)
            if not any(columns) or (number == 1 and columns == ["query-id", "corpus-id", "score"]):
                continue
            query_id, doc_id, value, tag = parse(columns, where)
            if not query_id or not doc_id:
                msg = f"{where}: the query id or the document id is empty"
                raise MmgapError(msg)
            first_tag = tag if first_tag is None else first_tag
            _add(rows, query_id, doc_id, convert(value, where), where)
    return rows, first_tag or ""


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
    return _converted(rows if isinstance(rows, dict) else {"": rows}, convert, f"{path.name}: ")


def _write(
    path: Path, rows: Mapping[str, Mapping[str, Any]], line: Callable[[str, str, int, Any], str]
) -> None:
    with _open_to_write(path) as file:
        if _is_json(path):
            json.dump(rows, file, ensure_ascii=False)
            return
        for query_id, row in rows.items():
            for rank, (doc_id, value) in enumerate(row.items(), start=1):
                file.write(line(_one_word(query_id), _one_word(doc_id), rank, value) + "\n")


def _is_json(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".json")


def _one_word(text: str) -> str:
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
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        msg = f"{path.name}: not UTF-8 ({error.reason} at byte {error.start}); {_FILES}. Convert it"
        raise MmgapError(msg) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path.name}: gzip data that are damaged or cut ({error}); {_FILES}"
        raise MmgapError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); {_FILES}"
        raise MmgapError(msg) from error


@contextmanager
def _open_to_write(path: Path) -> Iterator[TextIO]:
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(path.open("wb"))
            if path.suffix == ".gz":
                # No time and no name inside, so that the same run gives the same bytes.
                packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
                file = stack.enter_context(packed)
            yield stack.enter_context(io.TextIOWrapper(file, encoding="utf-8", newline="\n"))
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror or error}); give another path"
        raise MmgapError(msg) from error
