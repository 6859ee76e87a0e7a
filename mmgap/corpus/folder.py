"""Your own data: a folder with images, documents, queries and judgments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mmgap.corpus.reading import (
    TABLE_SUFFIXES,
    TREC_SUFFIXES,
    Images,
    OnError,
    Parts,
    Rejects,
    guarded,
    id_of,
    made,
    metadata_of,
    need_content,
    read_judgments,
    read_records,
    text_of,
)
from mmgap.corpus.schema import Corpus, Document, Judgment, Query
from mmgap.errors import CorpusError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What the name of an image ends in, in a folder without a file of documents."""

_FILES = {
    "documents": (("documents", "corpus"), TABLE_SUFFIXES),
    "queries": (("queries",), TABLE_SUFFIXES),
    "qrels": (("qrels", "qrels/test"), (*TREC_SUFFIXES, *TABLE_SUFFIXES)),
}
"""Names and suffixes of the three files; the second names are BEIR's."""

_IDS = ("id", "_id")  # the second is BEIR's


@guarded
def load_folder(path: str | Path, *, min_grade: int = 1, on_error: OnError = "raise") -> Corpus:
    """Load a corpus from a folder of your own; its images are not read yet.

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
    A Parquet file may hold the images themselves, as bytes or as ``datasets`` writes them. BEIR's
    layout (``corpus.jsonl``, ``_id``, ``qrels/test.tsv``) is read too.

    Judgments, or queries and judgments, may be missing: score distributions and the gap need none.

    Or a plain folder of images, in folders of any depth, with the text of ``cat.png`` in
    ``cat.txt``: its path without suffix is a document's id. If there are no queries, each text
    asks for its own image. Such a query would meet itself as a document's text, so that score is
    left out, see ``Corpus.left_out``. Other files are not looked at.

    ``min_grade`` is the lowest grade that counts as relevant. ``on_error="skip"``: what cannot be
    used is left out and listed in ``Corpus.skipped``, with one ``SkippedItemsWarning``.

    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "documents.jsonl").write_text('{"id": "d1", "text": "a black cat"}')
    >>> _ = (folder / "queries.jsonl").write_text('{"id": "q1", "text": "cat"}')
    >>> _ = (folder / "qrels.tsv").write_text("q1 0 d1 1")
    >>> load_folder(folder).documents
    [Document(id='d1', text='a black cat', image=None, metadata={})]
    """
    folder = Path(path)
    if not folder.is_dir():
        msg = f"there is no folder {folder}; expected one with documents, or images and texts"
        raise CorpusError(msg)
    files = {role: _one_file(folder, *names) for role, names in _FILES.items()}
    documents, queries, qrels = files.values()
    if qrels is not None and queries is None:
        msg = f"folder {folder} lacks queries.jsonl, which {qrels.name} refers to; add it"
        raise CorpusError(msg)
    rejects = Rejects(on_error)
    names = [file.name if file else "the folder" for file in files.values()]
    parts = Parts(rejects, min_grade, *names)
    if documents is not None:
        make = partial(_document, images=Images(folder, links=False))
        parts.add_documents(made(read_records(documents, rejects), make, rejects))
    else:
        parts.add_documents(_plain_documents(folder, rejects, has_queries=queries is not None))
    left_out = None
    if queries is not None:
        parts.add_queries(made(read_records(queries, rejects), _query, rejects))
    elif documents is None:
        left_out = _ask_with_texts(parts)
    if qrels is not None:
        parts.add_judgments(read_judgments(qrels, rejects))
    judged = qrels is not None or left_out is not None
    return parts.corpus(folder.resolve().name, left_out, source=str(folder), judged=judged)


def _one_file(folder: Path, stems: tuple[str, ...], suffixes: tuple[str, ...]) -> Path | None:
    for stem in stems:
        found = [folder / f"{stem}{suffix}" for suffix in dict.fromkeys(suffixes)]
        found = [file for file in found if file.is_file()]
        if len(found) > 1:
            msg = f"folder {folder} holds {found[0].name} and {found[1].name}; keep one of the two"
            raise CorpusError(msg)
        if found:
            return found[0]
    return None


def _document(record: dict[str, Any], images: Images) -> Document:
    text = record.get("text")
    text = None if text is None else text_of(text)
    content = need_content(text, images.of(record.get("image")))
    return Document(id_of(record, *_IDS), *content, metadata_of(record, *_IDS, "text", "image"))


def _query(record: dict[str, Any]) -> Query:
    text = text_of(record.get("text")) or ""
    return Query(id_of(record, *_IDS), text, metadata_of(record, *_IDS, "text"))


# A plain folder of images


def _plain_documents(
    folder: Path, rejects: Rejects, *, has_queries: bool
) -> Iterator[tuple[str, Document]]:
    root = folder.resolve()
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part[0] == "." for part in path.relative_to(root).parts)
    ]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    texts = {
        path.with_suffix(""): path
        for path in files
        if path.suffix.lower() == ".txt" and path.stem != "qrels"
    }
    if not images or not (has_queries or any(path.with_suffix("") in texts for path in images)):
        msg = (
            f"folder {folder} lacks documents.jsonl; expected it with queries.jsonl and qrels.tsv, "
            "or images with their texts beside them (cat.png, cat.txt)"
        )
        raise CorpusError(msg)
    finder = Images(root, links=False)
    for path in images:
        where, beside = path.relative_to(root).as_posix(), texts.get(path.with_suffix(""))
        try:
            image = finder.find(where)
            text = None if beside is None else _text_beside(beside, root)
            document = Document(where[: -len(path.suffix)], text, image)
        except CorpusError as error:
            rejects.add(where, str(error))
        else:
            yield where, document
    named = {path.with_suffix("") for path in images}
    for stem, path in texts.items():
        if stem not in named:
            others = ", ".join(each.name for each in files if each.with_suffix("") == stem)
            reason = "has no image of the same name beside it; rename it, or move it away"
            if others != path.name:
                reason += f". Here are {others}; images end in {', '.join(sorted(IMAGE_SUFFIXES))}"
            rejects.add(path.relative_to(root).as_posix(), reason)


def _text_beside(path: Path, root: Path) -> str:
    if not path.resolve().is_relative_to(root):
        msg = f"its text {path.name} lies outside the folder; copy it into the folder"
        raise CorpusError(msg)
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"its text {path.name} cannot be read ({error})"
        raise CorpusError(msg) from error
    if not text:
        msg = f"its text {path.name} is empty; write one, or delete it"
        raise CorpusError(msg)
    return text


def _ask_with_texts(parts: Parts) -> dict[str, frozenset[tuple[str, str]]]:
    """Let every text ask for its image; return what the queries must not meet: themselves."""
    doc_ids: dict[str, list[str]] = {}
    for document in parts.documents.values():
        if document.text is not None:
            doc_ids.setdefault(document.text, []).append(document.id)
    for text, ids in doc_ids.items():
        parts.add_queries([(ids[0], Query(ids[0], text))])
        parts.add_judgments((ids[0], Judgment(ids[0], each, parts.min_grade)) for each in ids)
    return {ids[0]: frozenset((each, "text") for each in ids) for ids in doc_ids.values()}
