"""Your own data: a folder with images, documents, queries and judgments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmgap.corpus.files import OnError, Rejects, metadata_of, read_json_lines, read_qrels
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

_FILES = ("documents.jsonl", "queries.jsonl", "qrels.tsv")


def load_folder(path: str | Path, *, min_grade: int = 1, on_error: OnError = "raise") -> Corpus:
    """Load a corpus from a folder of your own.

    ========================  ==================================================================
    ``documents.jsonl``       ``{"id": "d1", "text": "a black cat", "image": "images/cat.png"}``,
                              the image path relative to the folder; one of text and image may be
                              missing. Further fields become metadata.
    ``queries.jsonl``         ``{"id": "q1", "text": "cat"}``, further fields become metadata.
    ``qrels.tsv``             four columns: query id, 0, document id, grade.
    ========================  ==================================================================

    Parameters
    ----------
    path : str or Path
    min_grade : int, default 1
        Lowest grade that counts as relevant.
    on_error : {"raise", "skip"}
        What to do with a line that cannot be used: raise an error that names it, or leave it out,
        list it in ``Corpus.skipped`` and give one ``SkippedItemsWarning``.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If the folder lacks a file, a line cannot be used, or nothing usable is left.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "documents.jsonl").write_text('{"id": "d1", "text": "a black cat"}')
    >>> _ = (folder / "queries.jsonl").write_text('{"id": "q1", "text": "cat"}')
    >>> _ = (folder / "qrels.tsv").write_text("q1 0 d1 1")
    >>> load_folder(folder).documents
    [Document(id='d1', text='a black cat', image=None, metadata={})]
    """
    folder = Path(path)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        msg = f"folder {folder} lacks {', '.join(missing)}; expected {', '.join(_FILES)} in it"
        raise CorpusError(msg)
    rejects = Rejects(on_error)
    documents = dict(_documents(folder, rejects))
    queries = dict(_queries(folder, rejects))
    qrels = Qrels(_judgments(folder, set(documents), set(queries), rejects), min_grade)
    for query_id in [query_id for query_id in queries if not qrels.relevant(query_id)]:
        rejects.add(
            f"query {query_id!r}",
            f"qrels.tsv names no relevant document (grade >= {min_grade}) for it, so its recall "
            "is undefined",
        )
        del queries[query_id]
    rejects.warn(str(folder))
    if not queries:
        msg = f"folder {folder} has no usable query; {_shorten_list(rejects.skipped)}"
        raise CorpusError(msg)
    return Corpus(
        folder.resolve().name, [*documents.values()], [*queries.values()], qrels, rejects.skipped
    )


def _documents(folder: Path, rejects: Rejects) -> Iterator[tuple[str, Document]]:
    root = folder.resolve()
    for where, record in _records(folder / "documents.jsonl", rejects):
        text, image = record.get("text"), record.get("image")
        problem = None
        if text is None and image is None:
            problem = "has neither text nor image; expected at least one of the two"
        elif text is not None and (problem := _text_problem(text)):
            problem += "; where a document has no text, leave the field out"
        if problem is None and image is not None:
            problem = _image_problem(root, image)
        if problem is not None:
            rejects.add(where, problem)
            continue
        file = None if image is None else ImageFile(root / image)
        yield (
            record["id"],
            Document(record["id"], text, file, metadata_of(record, "id", "text", "image")),
        )


def _queries(folder: Path, rejects: Rejects) -> Iterator[tuple[str, Query]]:
    for where, record in _records(folder / "queries.jsonl", rejects):
        problem = _text_problem(record.get("text"))
        if problem is not None:
            rejects.add(where, problem)
            continue
        query = Query(record["id"], record["text"], metadata_of(record, "id", "text"))
        yield query.id, query


def _judgments(
    folder: Path, documents: set[str], queries: set[str], rejects: Rejects
) -> Iterator[Judgment]:
    grades: dict[tuple[str, str], int] = {}
    for where, judgment in read_qrels(folder / "qrels.tsv", rejects):
        pair = (judgment.query_id, judgment.doc_id)
        if judgment.query_id not in queries:
            rejects.add(where, f"names query {judgment.query_id!r}, which queries.jsonl lacks")
        elif judgment.doc_id not in documents:
            rejects.add(where, f"names document {judgment.doc_id!r}, which documents.jsonl lacks")
        elif grades.setdefault(pair, judgment.grade) != judgment.grade:
            rejects.add(where, f"judges {pair} {judgment.grade}, an earlier line {grades[pair]}")
        else:
            yield judgment


def _records(path: Path, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield records with a usable id that was not seen before."""
    first: dict[str, str] = {}
    for line, record in read_json_lines(path, rejects):
        item = record.get("id")
        where = f"{line} (id {item!r})"
        if not isinstance(item, str) or not item.strip():
            rejects.add(line, f'"id" is {item!r}; expected a text that is not empty')
        elif item in first:
            rejects.add(where, f"the id was used before, in {first[item]}; ids must be unique")
        else:
            first[item] = line
            yield where, record


def _text_problem(text: object) -> str | None:
    if isinstance(text, str) and text.strip():
        return None
    return f'"text" is {text!r}; expected a text that is not empty'


def _image_problem(root: Path, image: object) -> str | None:
    if not isinstance(image, str) or not image or "\0" in image:
        return f'"image" is {image!r}; expected a path relative to the folder'
    path = (root / image).resolve()
    if not path.is_relative_to(root):
        return f"image {image!r} lies outside the folder; copy it into the folder"
    if not path.is_file():
        return f"image file {image!r} does not exist in the folder; check its name"
    return None


def _shorten_list(skipped: dict[str, str]) -> str:
    if not skipped:
        return "queries.jsonl is empty"
    item, reason = next(iter(skipped.items()))
    return f"{len(skipped)} items were left out, e.g. {item}: {reason}"
