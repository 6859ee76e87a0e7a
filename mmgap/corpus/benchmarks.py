"""Published benchmarks besides EDIS: M-BEIR in both forms, MixBench, and captions.

Every loader takes ``path``, the folder with the files (by default where ``mmgap corpus fetch`` puts
them), and ``on_error``: raise at the first item that cannot be used, or ``"skip"`` it, list it in
``Corpus.skipped`` and give one ``SkippedItemsWarning``. Queries with images are refused, since
strategies ask with texts; ``image_queries=True`` loads them in ``Query.image``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from mmgap.corpus.hub import by_role, files_below, local_files, sampled_name
from mmgap.corpus.images import ImageFile
from mmgap.corpus.reading import (
    TABLE_SUFFIXES,
    Images,
    OnError,
    Parts,
    Rejects,
    Rows,
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

_NO_IMAGES = (
    "asks with an image, and mmgap's strategies ask with texts; image_queries=True reads it anyway"
)


def one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise unless an option has one of the known values."""
    if value not in known:
        msg = f"{name} is {value!r}; expected one of {', '.join(known)}"
        raise CorpusError(msg)


# M-BEIR

Pool = Literal["local", "global"]

MBEIR_ROLES = {
    "corpus": ("corpus",),
    "queries": ("query", "queries"),
    "qrels": ("qrels", "default"),
}
"""What mteb's configurations are called; ``default`` is an old name of the judgments."""


@guarded
def load_mbeir(
    task: str,
    path: str | Path | None = None,
    *,
    split: str = "test",
    pool: Pool = "local",
    image_queries: bool = False,
    on_error: OnError = "raise",
) -> Corpus:
    """Load a task of M-BEIR, such as ``"webqa_task2"``, in either of its two published forms.

    Tasks: 0 text to image, 1 text to text, 2 text to image and text, 3 image to text, 4 image to
    image, 6 and 8 image and text to text and to image and text, 7 image and text to image.

    mteb's form (data sets ``mteb/mbeir_TASK`` of the hub, split ``test`` only): Parquet files of
    three configurations, ``corpus``, ``query`` and ``qrels``, with the images in them. UniIR's form
    (data set ``TIGER-Lab/M-BEIR``): JSON lines ``query/SPLIT/mbeir_TASK_SPLIT.jsonl`` and
    ``cand_pool/local/mbeir_TASK_cand_pool.jsonl``, judgments ``qrels/SPLIT/*_qrels.txt`` of five
    columns, and the unpacked images beside them; its ``pool="global"`` is the candidates of all
    tasks. Grades are as published: 1.

    In UniIR's tables "recall@k" is what mmgap calls hit@k; mteb's ``recall_at_k`` is mmgap's
    recall@k. Wei et al., "UniIR", ECCV 2024; Xiao et al., "MIEB", 2025.
    """
    name = f"mbeir/{task}"
    folder = local_files(name, f"mteb/mbeir_{task}", path)
    rejects = Rejects(on_error)
    parts = read_mbeir(task, folder, split, pool, rejects, image_queries=image_queries)
    full = name if split == "test" else f"{name}/{split}"
    if pool == "global":
        full += "/global"
    return parts.corpus(sampled_name(full, folder), source=str(folder))


def read_mbeir(
    task: str, folder: Path, split: str, pool: str, rejects: Rejects, *, image_queries: bool = False
) -> Parts:
    """Return documents, queries and judgments of a folder in either form."""
    one_of("pool", pool, get_args(Pool))
    if all((folder / role).is_dir() for role in ("query", "cand_pool", "qrels")):
        parts = _read_unir(task, folder, split, pool, rejects)
    else:
        parts = _read_mteb(task, folder, split, pool, rejects)
    asks = next((query for query in parts.queries.values() if query.image is not None), None)
    if asks is not None and not image_queries:
        msg = (
            f"query {asks.id!r} of mbeir/{task} asks with an image, and mmgap's strategies "
            "ask with texts; choose task 0, 1 or 2, or read it with image_queries=True"
        )
        raise CorpusError(msg)
    return parts


def _read_mteb(task: str, folder: Path, split: str, pool: str, rejects: Rejects) -> Parts:
    if pool == "global":
        msg = f"pool is 'global', but {folder} holds mteb's form, whose pool is the task's own"
        raise CorpusError(msg)
    files = mteb_files(files_below(folder, [".parquet"]), split)
    missing = [role for role, found in files.items() if not found]
    if missing:
        msg = (
            f"{folder} holds no Parquet file of {', '.join(missing)} (split {split!r}) for "
            f"mbeir/{task}; expected folders corpus, query and qrels, or UniIR's query, cand_pool "
            "and qrels with JSON lines"
        )
        raise CorpusError(msg)
    parts = Parts(rejects, 1, "the corpus", "the query table", "the qrels table")
    columns = ("id", "_id", "modality", "text", "image")
    for file in files["corpus"]:
        rows = read_records(folder / file, rejects, columns)
        parts.add_documents(made(rows, _mteb_document, rejects))
    for file in files["queries"]:
        rows = read_records(folder / file, rejects, columns)
        parts.add_queries(made(rows, _mteb_query, rejects))
    for file in files["qrels"]:
        parts.add_judgments(read_judgments(folder / file, rejects))
    return parts


def mteb_files(files: list[str], split: str) -> dict[str, list[str]]:
    """Sort a data set's files by role; the documents are of all splits."""
    return by_role(files, MBEIR_ROLES, split) | by_role(files, {"corpus": MBEIR_ROLES["corpus"]})


def _mteb_document(row: dict[str, Any]) -> Document:
    return Document(id_of(row, "id", "_id"), *_content(row, "modality", "text", row.get("image")))


def _mteb_query(row: dict[str, Any]) -> Query:
    text, image = _content(row, "modality", "text", row.get("image"))
    return Query(id_of(row, "id", "_id"), text or "", image=image)


def _content(
    row: dict[str, Any], modality: str, text: str, image: object
) -> tuple[str | None, ImageFile | None]:
    """Return text and image of a row whose modality says which of them it should hold."""
    words = text_of(row.get(text), optional=True)
    if not isinstance(image, ImageFile | None):
        msg = f'"image" is {image!r}; expected the bytes of an image'
        raise CorpusError(msg)
    held = [name for name, value in (("image", image), ("text", words)) if value is not None]
    holds = " and ".join(held) or "neither text nor image"
    given = row.get(modality)
    said = {part.strip() for part in given.split(",")} if isinstance(given, str) else set(held)
    if not held or not said <= {"text", "image"}:
        msg = f"modality is {given!r} and it holds {holds}; expected text, image or both"
        raise CorpusError(msg)
    if said != set(held):
        msg = f"modality is {given!r}, but it holds {holds}"
        raise CorpusError(msg)
    return words, image


def _read_unir(task: str, folder: Path, split: str, pool: str, rejects: Rejects) -> Parts:
    candidates = f"cand_pool/local/mbeir_{task}_cand_pool.jsonl"
    if pool == "global":
        candidates = f"cand_pool/global/mbeir_union_{split}_cand_pool.jsonl"
    queries = f"query/{split}/mbeir_{task}_{split}.jsonl"
    qrels = f"qrels/{split}/mbeir_{task}_{split}_qrels.txt"
    for file in (candidates, queries, qrels):
        if not (folder / file).is_file():
            msg = f"{folder} lacks {file}, which mbeir/{task} needs; fetch it, or check the task"
            raise CorpusError(msg)
    parts = Parts(rejects, 1, Path(candidates).name, Path(queries).name, Path(qrels).name)
    images = Images(folder)

    def candidate(record: dict[str, Any]) -> Document:
        used = ("did", "txt", "img_path", "modality", "src_content")
        content = _content(record, "modality", "txt", images.of(record.get("img_path")))
        return Document(id_of(record, "did"), *content, metadata_of(record, *used))

    records = read_records(folder / candidates, rejects)
    parts.add_documents(made(records, candidate, rejects))
    parts.add_queries(read_topics(folder / queries, rejects, images))
    parts.add_judgments(read_judgments(folder / qrels, rejects, extra=1))
    return parts


def read_topics(
    path: Path, rejects: Rejects, images: Images | None = None
) -> Iterator[tuple[str, Query]]:
    """Yield the queries of a file of UniIR's form; without ``images``, those with one are rejected.

    Fields are ``qid``, ``query_txt``, ``query_img_path``, ``query_modality``; metadata hold
    ``task_id``.
    """

    def query(record: dict[str, Any]) -> Query:
        inside = record.get("query_img_path")
        if inside is not None and images is None:
            msg = f"asks with image {inside!r}"
            raise CorpusError(msg)
        image = None if images is None else images.of(inside)
        text, image = _content(record, "query_modality", "query_txt", image)
        task = {} if record.get("task_id") is None else {"task_id": str(record["task_id"])}
        return Query(id_of(record, "qid"), text or "", task, image)

    return made(read_records(path, rejects), query, rejects)


# MixBench

MIXBENCH_HUB = "mixed-modality-search/MixBench2025"
SUBSETS = ("MSCOCO", "Google_WIT", "VisualNews", "OVEN")
MixPool = Literal["mixed_corpus", "corpus"]

_MIXBENCH_ROLES = {
    "queries": ("queries", "query"),
    "corpus": ("corpus",),
    "mixed_corpus": ("mixed_corpus",),
    "qrels": ("qrels", "qrel"),
}
"""Splits of the data set, whose names differ between its versions."""


@guarded
def load_mixbench(
    subset: str,
    path: str | Path | None = None,
    *,
    pool: MixPool = "mixed_corpus",
    qrels: str | Path | None = None,
    image_queries: bool = False,
    on_error: OnError = "raise",
) -> Corpus:
    """Load a subset of MixBench, in any of its versions; ``pool`` is one of the data set's two.

    ``MixBench25`` has the fields ``query_id``, ``corpus_id``, ``text``, ``image`` (a path below the
    folder) and ``score`` in splits ``query``, ``corpus``, ``mixed_corpus`` and ``qrel``;
    ``MixBench2025`` has ``id``, ``text`` and ``image`` (the image itself) in ``queries``,
    ``corpus`` and ``mixed_corpus``. All of these names are understood, as Parquet, JSON lines, CSV
    or TSV, in a folder called as the subset or in the folder itself. ``qrels`` is a file of
    judgments, for a version without them.

    The nDCG of the authors' code takes the ideal ranking from the ten retrieved documents alone,
    so it is never below trec's nDCG@10; do not compare the two. Li et al., "Closing the Modality
    Gap for Mixed Modality Search", 2025 (GR-CLIP).
    """
    one_of("subset", subset, SUBSETS)
    one_of("pool", pool, get_args(MixPool))
    name = f"mixbench/{subset}"
    root = local_files(name, MIXBENCH_HUB, path)
    folder = root / subset
    if not folder.is_dir():
        others = [each for each in SUBSETS if (root / each).is_dir()]
        if others:
            msg = f"{root} holds {', '.join(others)} and not {subset}; 'mmgap corpus fetch {name}'"
            raise CorpusError(msg)
        folder = root
    files = by_role(files_below(folder, TABLE_SUFFIXES), _MIXBENCH_ROLES)
    missing = [role for role in ("queries", pool) if not files[role]]
    if missing:
        msg = f"{folder} holds no file of {', '.join(missing)}, which {name} needs"
        raise CorpusError(msg)
    if qrels is None and not files["qrels"]:
        msg = (
            f"{folder} holds no judgments (files qrel or qrels), which some versions of MixBench "
            "lack; take another version, or give a file: qrels=FILE"
        )
        raise CorpusError(msg)
    rejects = Rejects(on_error)
    images = Images(root)

    def content(row: dict[str, Any]) -> tuple[str | None, ImageFile | None]:
        text = row.get("text")
        text = text if isinstance(text, str) and text.strip() else None
        return need_content(text, images.of(row.get("image") or None))

    def document(row: dict[str, Any]) -> Document:
        return Document(id_of(row, "id", "corpus_id"), *content(row))

    def query(row: dict[str, Any]) -> Query:
        text, image = content(row)
        if image is not None and not image_queries:
            raise CorpusError(_NO_IMAGES)
        return Query(id_of(row, "id", "query_id"), text or "", image=image)

    parts = Parts(rejects, 1, f"the {pool} table", "the query table", "the table of judgments")
    for file in files[pool]:
        parts.add_documents(made(read_records(folder / file, rejects), document, rejects))
    for file in files["queries"]:
        parts.add_queries(made(read_records(folder / file, rejects), query, rejects))
    judged = [Path(qrels)] if qrels is not None else [folder / file for file in files["qrels"]]
    for each in judged:
        parts.add_judgments(read_judgments(each, rejects, extra=1))
    full = name if pool == "mixed_corpus" else f"{name}/{pool}"
    return parts.corpus(sampled_name(full, root), source=str(folder))


# Captions

CAPTION_HUBS = {"coco": "yerevann/coco-karpathy", "flickr30k": "nlphuji/flickr30k"}
"""Where the captions come from; COCO's are without images."""

CaptionPool = Literal["images", "pairs"]

_SPLITS = {"train": ("train", "restval"), "val": ("val", "validation"), "test": ("test",)}


@guarded
def load_captions(
    dataset: str,
    path: str | Path | None = None,
    *,
    split: str = "test",
    pool: CaptionPool = "images",
    first: int | None = None,
    merge_equal: bool = False,
    images: str | Path | None = None,
    on_error: OnError = "raise",
) -> Corpus:
    """Load COCO or Flickr30k in Karpathy's splits: captions ask for images.

    Understood are Karpathy's own ``dataset_coco.json`` and ``dataset_flickr30k.json``, and tables
    (Parquet, JSON lines, CSV) of the hub's data sets ``yerevann/coco-karpathy`` (fields
    ``filepath``, ``filename``, ``sentids``, ``split``, ``sentences``) and ``nlphuji/flickr30k``
    (``image``, ``caption`` or ``raw``, ``sentids``, ``split``, ``filename``). Document ids are file
    names without suffix, query ids ``sentids``. Of the test images COCO has 5,000 and Flickr30k
    1,000.

    ``pool``: ``"images"`` are documents without text, as in the papers; of ``"pairs"`` a document
    is an image with its first caption as text, and the other captions ask. ``first``: only so many
    captions of each image; papers count 5 x 5,000 captions of COCO, or all 25,010. ``merge_equal``
    makes one query of captions that are equal, as M-BEIR and mteb do (24,809); numbers differ in
    the third digit. ``images`` is the folder of the image files, where the captions do not hold
    them (default: ``images`` beside them, else the folder itself).

    Karpathy and Fei-Fei, CVPR 2015.
    """
    one_of("dataset", dataset, tuple(CAPTION_HUBS))
    one_of("split", split, tuple(_SPLITS))
    one_of("pool", pool, get_args(CaptionPool))
    if first is not None and first < 1:
        msg = f"first is {first}; expected at least 1 caption of each image"
        raise CorpusError(msg)
    name = f"captions/{dataset}"
    folder = local_files(name, CAPTION_HUBS[dataset], path)
    rejects = Rejects(on_error)
    parts = Parts(rejects, 1, "the images", "the captions", "the captions")
    make = partial(_captioned, images=Images(image_folder(folder, images)))
    same: dict[str, str] = {}
    rows = _caption_records(folder, dataset, split, rejects)
    for where, (document, captions) in made(rows, make, rejects):
        if pool == "pairs":
            (_, text), *captions = captions
            document = Document(document.id, text, document.image)
        parts.add_documents([(where, document)])
        for query_id, text in captions[:first]:
            asks = same.setdefault(text, query_id) if merge_equal else query_id
            if asks == query_id:
                parts.add_queries([(where, Query(query_id, text))])
            parts.add_judgments([(where, Judgment(asks, document.id, 1))])
    tags = ["" if split == "test" else f"/{split}", "" if pool == "images" else f"/{pool}"]
    return parts.corpus(name + "".join(tags), source=str(folder))


def image_folder(folder: Path, given: str | Path | None) -> Path:
    """Return the folder of the image files: the one given, ``images``, or the folder itself."""
    if given is not None:
        return Path(given)
    return folder / "images" if (folder / "images").is_dir() else folder


def _caption_records(folder: Path, dataset: str, split: str, rejects: Rejects) -> Rows:
    """Yield the images of a split; a file without a column ``split`` tells it by its name."""
    own = folder / f"dataset_{dataset}.json"
    files = [own.name] if own.is_file() else files_below(folder, TABLE_SUFFIXES)
    if not files:
        msg = (
            f"{folder} holds no captions of {dataset}; expected {own.name}, or a table "
            f"({', '.join(TABLE_SUFFIXES)})"
        )
        raise CorpusError(msg)
    for file in files:
        stem = Path(file).name.split(".")[0].split("-")[0]
        rows = _karpathy(own) if file == own.name else read_records(folder / file, rejects)
        for where, record in rows:
            if record.get("split", stem) in _SPLITS[split]:
                yield where, record


def _karpathy(path: Path) -> Rows:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["images"]
        rows = [(f"{path.name} image {at}", {**each}) for at, each in enumerate(found, start=1)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"{path} cannot be read ({error!r}); expected Karpathy's file, with a list 'images'"
        raise CorpusError(msg) from error
    yield from rows


def _captioned(record: dict[str, Any], images: Images) -> tuple[Document, list[tuple[str, str]]]:
    """Return an image as a document, and its captions with their ids."""
    filename = record.get("filename")
    if not isinstance(filename, str) or not filename:
        msg = f'"filename" is {filename!r}; expected the name of the image'
        raise CorpusError(msg)
    doc_id = Path(filename).stem
    texts = next(filter(None, map(_list, map(record.get, _CAPTIONS))), [])
    texts = [each.get("raw") if isinstance(each, dict) else each for each in texts]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        msg = f"its captions are {texts!r}; expected texts that are not empty"
        raise CorpusError(msg)
    ids = _list(record.get("sentids"))
    if len(ids) != len(texts):
        ids = [f"{doc_id}#{at}" for at in range(len(texts))]
    image, inside = record.get("image"), record.get("filepath")
    if not isinstance(image, ImageFile):
        try:
            image = images.find(f"{inside}/{filename}" if inside else filename)
        except CorpusError as error:
            try:
                image = images.find(filename)
            except CorpusError:
                raise error from None
    captions = [(str(key), text.strip()) for key, text in zip(ids, texts, strict=True)]
    return Document(doc_id, None, image), captions


_CAPTIONS = ("sentences", "caption", "captions", "raw")
"""What data sets call the captions."""


def _list(cell: object) -> list[Any]:
    """Return a list, also one that CSV holds as text."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return []
    return cell if isinstance(cell, list) else []
