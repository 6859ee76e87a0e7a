"""The bundled corpus: drawings with human texts, in held-out styles and held-out concepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmgap.corpus.files import Rejects, metadata_of, read_json_lines, read_qrels
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError
from mmgap.paths import data_dir

SPLITS = ("train", "calibration", "test")
CONDITIONS = ("style", "concept")
MIN_GRADE = 2
"""A document of grade 2 shows or names the thing asked for; of grade 1, a related thing."""


def load_pictograms(
    split: str = "test", condition: str | None = None, *, language: str = "en"
) -> Corpus:
    """Load one pool of the bundled corpus with its queries.

    Parameters
    ----------
    split : {"train", "calibration", "test"}
        Encoders were trained on ``train``; fit normalisers on ``calibration``, judge on ``test``.
    condition : {"style", "concept"} or None
        ``"style"``: an encoder may know the concept, but no picture of this artist.
        ``"concept"``: it has seen neither. ``None`` means ``"style"``; ``train`` has no conditions.
    language : str, default "en"
        Language of the queries: any file of ``data/pictograms/languages``.

    Returns
    -------
    Corpus
        A query's relevant documents have grade 2.

    Raises
    ------
    CorpusError
        If the split, condition or language is unknown, or the data folder is missing.

    Examples
    --------
    >>> load_pictograms("test", "style").name  # doctest: +SKIP
    'pictograms/test/style'
    """
    condition = _checked_condition(split, condition)
    folder = data_dir() / "pictograms"
    if not folder.is_dir():
        msg = f"{folder} does not exist; work in a clone of mmgap, or point MMGAP_DATA to its data"
        raise CorpusError(msg)

    def in_pool(record: dict[str, Any]) -> bool:
        return record["split"] == split and record.get("condition") == condition

    documents = [
        _document(folder, record) for record in _read(folder, "documents.jsonl") if in_pool(record)
    ]
    records = {record["id"]: record for record in _read(folder, "queries.jsonl") if in_pool(record)}
    source = {query_id: query_id for query_id in records}
    name = "/".join(["pictograms", split] + ([condition] if condition else []))
    if language != "en":
        records = _translate(folder, language, records)
        source = {query_id: record["same_as"] for query_id, record in records.items()}
        name += f"/{language}"
    queries = [
        Query(query_id, record["text"], metadata_of(record, "id", "text"))
        for query_id, record in records.items()
    ]
    return Corpus(name, documents, queries, _qrels(folder, source))


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


def _translate(
    folder: Path, language: str, english: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the queries in another language that mean the same as these."""
    path = folder / "languages" / f"{language}.jsonl"
    if not path.is_file():
        known = sorted({"en", *(file.stem for file in path.parent.glob("*.jsonl"))})
        msg = f"language is {language!r}; pictograms has queries in {', '.join(known)}"
        raise CorpusError(msg)
    return {
        record["id"]: {**english[record["same_as"]], **record}
        for record in _read(folder, f"languages/{language}.jsonl")
        if record["same_as"] in english
    }


def _qrels(folder: Path, source: dict[str, str]) -> Qrels:
    """Return the judgments of these queries, each of which stands for a query of the file."""
    stand_ins: dict[str, list[str]] = {}
    for query_id, original in source.items():
        stand_ins.setdefault(original, []).append(query_id)
    judgments = [
        Judgment(query_id, judgment.doc_id, judgment.grade)
        for _, judgment in read_qrels(folder / "qrels.tsv", Rejects())
        for query_id in stand_ins.get(judgment.query_id, ())
    ]
    return Qrels(judgments, MIN_GRADE)


def _read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [record for _, record in read_json_lines(folder / name, Rejects())]
