"""Your own data: a folder with images, documents, queries and judgments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmgap.corpus.assemble import Parts
from mmgap.corpus.files import OnError, Rejects, metadata_of, read_qrels
from mmgap.corpus.images import ImageFile
from mmgap.corpus.parquet import ParquetImage
from mmgap.corpus.schema import Corpus, Document, Judgment, Query
from mmgap.corpus.tables import TABLE_SUFFIXES, read_table
from mmgap.errors import CorpusError

_FILES = ("documents.jsonl", "queries.jsonl", "qrels.tsv")

_TREC_SUFFIXES = (".tsv", ".txt", ".trec", ".qrels")

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What the name of an image ends in, in a folder without a file of documents."""

_COLUMNS = {
    "query_id": ("query_id", "query-id", "qid"),
    "doc_id": ("doc_id", "doc-id", "corpus_id", "corpus-id", "document_id", "did"),
    "grade": ("grade", "score", "relevance", "rel"),
}
"""What the columns of a table of judgments are called."""


def load_folder(path: str | Path, *, min_grade: int = 1, on_error: OnError = "raise") -> Corpus:
    """Load a corpus from a folder of your own.

    ========================  ==================================================================
    ``documents.jsonl``       ``{"id": "d1", "text": "a black cat", "image": "images/cat.png"}``,
                              the image path relative to the folder; one of text and image may be
                              missing. Further fields become metadata.
    ``queries.jsonl``         ``{"id": "q1", "text": "cat"}``, further fields become metadata.
    ``qrels.tsv``             four columns: query id, 0, document id, grade. Also ``.txt``,
                              ``.trec``, ``.qrels``.
    ========================  ==================================================================

    All three may be ``.jsonl``, ``.json``, ``.csv`` or ``.parquet`` instead, documents and queries
    ``.tsv`` too, with the same names of columns; of judgments ``query_id``, ``doc_id``, ``grade``.
    A Parquet file may hold the images themselves, as bytes or as ``datasets`` writes them.

    Or a plain folder of images, in folders of any depth, with the text of ``cat.png`` in
    ``cat.txt``: its path without suffix is a document's id. If there are no queries, each text
    asks for its own image. Such a query would meet itself as a document's text, so that score is
    left out, see ``Corpus.left_out``. Other files are not looked at.

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
        Its images are not read.

    Raises
    ------
    CorpusError
        If the folder lacks a file or has it twice, a line cannot be used, or nothing usable is
        left.

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
    files = {
        "documents": _one_file(folder, "documents", TABLE_SUFFIXES),
        "queries": _one_file(folder, "queries", TABLE_SUFFIXES),
        "qrels": _one_file(folder, "qrels", (*_TREC_SUFFIXES, *TABLE_SUFFIXES)),
    }
    rejects = Rejects(on_error)
    has_queries = files["queries"] is not None or files["qrels"] is not None
    plain = files["documents"] is None and _is_plain(folder, has_queries=has_queries)
    missing = [
        name
        for name, file in zip(_FILES, files.values(), strict=True)
        if file is None and not (plain and (name == _FILES[0] or not has_queries))
    ]
    if missing:
        msg = (
            f"folder {folder} lacks {', '.join(missing)}; expected {', '.join(_FILES)} in it, or "
            "images with their texts beside them (cat.png, cat.txt)"
        )
        raise CorpusError(msg)
    names = {role: file.name for role, file in files.items() if file is not None}
    parts = Parts(
        rejects,
        min_grade,
        names.get("documents", "the folder"),
        names.get("queries", "the folder"),
        names.get("qrels", "the folder"),
    )
    left_out = None
    if files["documents"] is None:
        parts.add_documents(_plain_documents(folder, rejects))
    else:
        parts.add_documents(_documents(files["documents"], rejects))
    if files["queries"] is None or files["qrels"] is None:
        left_out = _ask_with_texts(parts)
    else:
        parts.add_queries(_queries(files["queries"], rejects))
        parts.add_judgments(_judgments(files["qrels"], rejects))
    parts.drop_unanswered()
    rejects.warn(str(folder))
    return parts.corpus(folder.resolve().name, left_out)


def _one_file(folder: Path, role: str, suffixes: tuple[str, ...]) -> Path | None:
    found = [folder / f"{role}{suffix}" for suffix in dict.fromkeys(suffixes)]
    found = [file for file in found if file.is_file()]
    if len(found) > 1:
        msg = f"folder {folder} holds {found[0].name} and {found[1].name}; keep one of the two"
        raise CorpusError(msg)
    return found[0] if found else None


def _documents(path: Path, rejects: Rejects) -> Iterator[tuple[str, Document]]:
    root = path.parent.resolve()
    for where, record in _records(path, rejects):
        text, image = record.get("text"), record.get("image")
        problem = None
        if text is None and image is None:
            problem = "has neither text nor image; expected at least one of the two"
        elif text is not None and (problem := text_problem(text)):
            problem += "; where a document has no text, leave the field out"
        if problem is None and isinstance(image, str):
            problem = _image_problem(root, image)
        elif problem is None and not isinstance(image, ParquetImage | None):
            problem = f'"image" is {image!r}; expected a path relative to the folder'
        if problem is not None:
            rejects.add(where, problem)
            continue
        file = ImageFile(root / image) if isinstance(image, str) else image
        metadata = _metadata(record, "id", "text", "image")
        yield where, Document(record["id"], text, file, metadata)


def _queries(path: Path, rejects: Rejects) -> Iterator[tuple[str, Query]]:
    for where, record in _records(path, rejects):
        problem = text_problem(record.get("text"))
        if problem is not None:
            rejects.add(where, problem)
            continue
        yield where, Query(record["id"], record["text"], _metadata(record, "id", "text"))


def _judgments(path: Path, rejects: Rejects) -> Iterator[tuple[str, Judgment]]:
    if path.suffix.lower() in _TREC_SUFFIXES:
        yield from read_qrels(path, rejects)
    else:
        for where, record in read_table(path, rejects):
            judgment = judgment_of(where, record, rejects)
            if judgment is not None:
                yield where, judgment


def judgment_of(where: str, record: Mapping[str, Any], rejects: Rejects) -> Judgment | None:
    """Return the judgment of a table's row, or None if it was rejected.

    Examples
    --------
    >>> judgment_of("line 2", {"query-id": "q1", "corpus-id": "d1", "score": 1}, Rejects())
    Judgment(query_id='q1', doc_id='d1', grade=1)
    """
    cells = {
        role: next((record[name] for name in names if record.get(name) is not None), None)
        for role, names in _COLUMNS.items()
    }
    for role in ("query_id", "doc_id"):
        if cells[role] is None:
            columns = ", ".join(record)
            rejects.add(where, f"has no {role}; expected {', '.join(_COLUMNS[role])} in: {columns}")
            return None
    grade = cells["grade"]
    whole = isinstance(grade, int | float | str) and not isinstance(grade, bool)
    try:
        if not whole or int(grade) != float(grade):  # type: ignore[arg-type]
            raise ValueError  # noqa: TRY301
        return Judgment(str(cells["query_id"]), str(cells["doc_id"]), int(grade))  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        rejects.add(where, f"grade {grade!r} is not a whole number")
        return None


def _records(path: Path, rejects: Rejects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield records with a usable id that was not seen before."""
    first: dict[str, str] = {}
    for line, record in read_table(path, rejects):
        item = record.get("id")
        if path.suffix == ".parquet" and isinstance(item, int):  # a column of numbers is meant so
            item = record["id"] = str(item)
        where = f"{line} (id {item!r})"
        if not isinstance(item, str) or not item.strip():
            rejects.add(line, f'"id" is {item!r}; expected a text that is not empty')
        elif item in first:
            rejects.add(where, f"the id was used before, in {first[item]}; ids must be unique")
        else:
            first[item] = line
            yield where, record


def _metadata(record: Mapping[str, Any], *used: str) -> dict[str, str]:
    known = {name: cell for name, cell in record.items() if not isinstance(cell, ParquetImage)}
    return metadata_of(known, *used)


def text_problem(text: object) -> str | None:
    """Return what is wrong with a text, or None."""
    if isinstance(text, str) and text.strip():
        return None
    return f'"text" is {text!r}; expected a text that is not empty'


def _image_problem(root: Path, image: str) -> str | None:
    if not image or "\0" in image:
        return f'"image" is {image!r}; expected a path relative to the folder'
    path = (root / image).resolve()
    if not path.is_relative_to(root):
        return f"image {image!r} lies outside the folder; copy it into the folder"
    if not path.is_file():
        return f"image file {image!r} does not exist in the folder; check its name"
    return None


# A plain folder of images


def _files_of(folder: Path) -> Iterator[Path]:
    """Yield the visible files at any depth, in the order of their names."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.is_file() and not hidden:
                yield path


def _is_plain(folder: Path, *, has_queries: bool) -> bool:
    """Whether there are images, and texts beside them unless there are queries."""
    images = [path for path in _files_of(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    return any(has_queries or path.with_suffix(".txt").is_file() for path in images)


def _plain_documents(folder: Path, rejects: Rejects) -> Iterator[tuple[str, Document]]:
    root = folder.resolve()
    texts: dict[Path, Path] = {}
    images: list[Path] = []
    for path in _files_of(root):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.append(path)
        elif path.suffix.lower() == ".txt" and path.name != "qrels.txt":
            texts[path.with_suffix("")] = path
    for path in images:
        where = path.relative_to(root).as_posix()
        if problem := _image_problem(root, where):
            rejects.add(where, problem)
            continue
        text = None
        beside = texts.get(path.with_suffix(""))
        if beside is not None:
            try:
                text = beside.read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                rejects.add(where, f"its text {beside.name} cannot be read ({error})")
                continue
            if not text:
                rejects.add(where, f"its text {beside.name} is empty; write one, or delete it")
                continue
        doc_id = path.relative_to(root).with_suffix("").as_posix()
        yield where, Document(doc_id, text, ImageFile(path))
    with_image = {path.with_suffix("") for path in images}
    for stem, path in texts.items():
        if stem not in with_image:
            rejects.add(
                path.relative_to(root).as_posix(),
                "has no image of the same name beside it; rename it, or move it away",
            )


def _ask_with_texts(parts: Parts) -> dict[str, frozenset[tuple[str, str]]]:
    """Let every text ask for its image; return what the queries must not meet: themselves."""
    doc_ids: dict[str, list[str]] = {}
    for document in parts.documents.values():
        if document.text is not None:
            doc_ids.setdefault(document.text, []).append(document.id)
    queries = {ids[0]: (text, ids) for text, ids in doc_ids.items()}
    parts.add_queries((ids[0], Query(ids[0], text)) for text, ids in queries.values())
    parts.add_judgments(
        (query_id, Judgment(query_id, doc_id, parts.min_grade))
        for query_id, (_, ids) in queries.items()
        for doc_id in ids
    )
    return {
        query_id: frozenset((doc_id, "text") for doc_id in ids)
        for query_id, (_, ids) in queries.items()
    }
