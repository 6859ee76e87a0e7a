"""The bundled corpus: drawings with human texts, in held-out styles and held-out concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmgap.corpus.images import ImageFile
from mmgap.corpus.reading import (
    OnError,
    Rejects,
    guarded,
    metadata_of,
    read_judgments,
    read_records,
)
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError
from mmgap.paths import data_dir

SPLITS = ("train", "calibration", "test")
CONDITIONS = ("style", "concept")
MIN_GRADE = 2
"""A document of grade 2 shows or names the thing asked for; of grade 1, a related thing."""


@guarded
def load_pictograms(
    split: str = "test",
    condition: str | None = None,
    *,
    language: str = "en",
    on_error: OnError = "raise",
) -> Corpus:
    """Load one pool of the bundled corpus with its queries; relevant documents have grade 2.

    Encoders were trained on the split ``train``; fit on ``calibration``, judge on ``test``. Of the
    condition ``style`` (the default) an encoder may know the concept but no drawing of this artist,
    of ``concept`` neither; ``train`` has no conditions. ``language`` is that of the queries: any
    file of ``data/pictograms/languages``.

    >>> load_pictograms("test", "style").name  # doctest: +SKIP
    'pictograms/test/style'
    """
    rejects = Rejects(on_error)
    condition = _checked_condition(split, condition)
    folder = data_dir() / "pictograms"
    if not folder.is_dir():
        msg = f"{folder} does not exist; work in a clone of mmgap, or point MMGAP_DATA to its data"
        raise CorpusError(msg)

    def pool(name: str) -> list[dict[str, Any]]:
        return [
            record
            for _, record in read_records(folder / name, rejects)
            if record["split"] == split and record.get("condition") == condition
        ]

    documents = [_document(folder, record) for record in pool("documents.jsonl")]
    records = {record["id"]: record for record in pool("queries.jsonl")}
    name = "/".join(["pictograms", split] + ([condition] if condition else []))
    if language != "en":
        records = _translated(folder, language, records, rejects)
        name += f"/{language}"
    queries = [
        Query(query_id, record["text"], metadata_of(record, "id", "text"))
        for query_id, record in records.items()
    ]
    asks_like: dict[str, list[str]] = {}  # a translated query stands for one of the file
    for query_id, record in records.items():
        asks_like.setdefault(query_id if language == "en" else record["same_as"], []).append(
            query_id
        )
    judgments = [
        Judgment(query_id, judgment.doc_id, judgment.grade)
        for _, judgment in read_judgments(folder / "qrels.tsv", rejects)
        for query_id in asks_like.get(judgment.query_id, ())
    ]
    return Corpus(name, documents, queries, Qrels(judgments, MIN_GRADE))


def _checked_condition(split: str, condition: str | None) -> str | None:
    if split not in SPLITS:
        msg = f"split is {split!r}; pictograms has {', '.join(SPLITS)}"
        raise CorpusError(msg)
    if split == "train":
        if condition is not None:
            msg = f"condition is {condition!r}, but split 'train' has no conditions; leave it out"
            raise CorpusError(msg)
        return None
    condition = condition or "style"
    if condition not in CONDITIONS:
        msg = (
            f"condition is {condition!r}; split {split!r} has {' and '.join(CONDITIONS)}, two "
            "pools that are judged apart; load one after the other"
        )
        raise CorpusError(msg)
    return condition


def _document(folder: Path, record: dict[str, Any]) -> Document:
    image = None
    if record.get("image") is not None:
        image = ImageFile(folder / "images" / f"{record['style']}.zip", record["image"])
    metadata = metadata_of(record, "id", "text", "image")
    return Document(record["id"], record.get("text"), image, metadata)


def _translated(
    folder: Path, language: str, english: dict[str, dict[str, Any]], rejects: Rejects
) -> dict[str, dict[str, Any]]:
    """Return the queries in another language that mean the same as these."""
    path = folder / "languages" / f"{language}.jsonl"
    if not path.is_file():
        known = sorted({"en", *(file.stem for file in path.parent.glob("*.jsonl"))})
        msg = f"language is {language!r}; pictograms has queries in {', '.join(known)}"
        raise CorpusError(msg)
    return {
        record["id"]: {**english[record["same_as"]], **record}
        for _, record in read_records(path, rejects)
        if record["same_as"] in english
    }
