"""Every task of M-BEIR: as UniIR publishes it, and as mteb does (MIEB)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mmgap.corpus.assemble import Parts
from mmgap.corpus.files import OnError, Rejects, metadata_of, read_json_lines, read_qrels
from mmgap.corpus.folder import judgment_of
from mmgap.corpus.images import ImageFile
from mmgap.corpus.parquet import read_parquet
from mmgap.corpus.places import by_role, files_below, local_files, sampled_name
from mmgap.corpus.schema import Corpus, Document, Judgment, Query
from mmgap.errors import CorpusError

Pool = Literal["local", "global"]

ROLES = {
    "corpus": ("corpus",),
    "queries": ("query", "queries"),
    "qrels": ("qrels", "default"),
}
"""What mteb's configurations are called; ``default`` is an old name of the judgments."""

_ORIGINAL_ROLES = ("query", "cand_pool", "qrels")


def load_mbeir(
    task: str,
    path: str | Path | None = None,
    *,
    split: str = "test",
    pool: Pool = "local",
    image_queries: bool = False,
    on_error: OnError = "raise",
) -> Corpus:
    """Load a task of M-BEIR, in either of its two published forms.

    mteb's form (data sets ``mteb/mbeir_TASK`` of the hub): Parquet files of three configurations,
    ``corpus``, ``query`` and ``qrels``, with the images in them. UniIR's form (data set
    ``TIGER-Lab/M-BEIR``): JSON lines ``query/SPLIT/mbeir_TASK_SPLIT.jsonl`` and
    ``cand_pool/local/mbeir_TASK_cand_pool.jsonl``, judgments ``qrels/SPLIT/*_qrels.txt`` of five
    columns, whose fifth is cut, and the unpacked images beside them. Which form a folder has is
    seen from its files.

    Parameters
    ----------
    task : str
        Data set and task, such as ``"webqa_task2"``. Tasks: 0 text to image, 1 text to text, 2 text
        to image and text, 3 image to text, 4 image to image, 6 and 8 image and text to text and to
        image and text, 7 image and text to image.
    path : str or Path, optional
        The folder with the files. Default: where ``mmgap corpus fetch`` puts them.
    split : str, default "test"
        mteb has only ``"test"``.
    pool : {"local", "global"}
        Of UniIR's form: the task's own candidates (default, and mteb's only pool), or those of all
        tasks (``mbeir_union_test_cand_pool.jsonl``).
    image_queries : bool, default False
        Queries of tasks 3 to 8 hold images, which no strategy of mmgap asks with. By default such
        a task is refused; ``True`` loads it, with the images in ``Query.image``.
    on_error : {"raise", "skip"}
        What to do with an item that cannot be used: raise an error that names it, or leave it out,
        list it in ``Corpus.skipped`` and give one ``SkippedItemsWarning``.

    Returns
    -------
    Corpus
        Documents have text, image or both. Grades are as published: 1.

    Raises
    ------
    CorpusError
        If files are missing or damaged, an item cannot be used, or queries are images.

    Notes
    -----
    In UniIR's tables "recall@k" is what mmgap calls hit@k; mteb's ``recall_at_k`` is the fraction
    of the relevant documents that are found, as mmgap's recall@k.

    References
    ----------
    Wei et al., "UniIR: Training and Benchmarking Universal Multimodal Information Retrievers",
    ECCV 2024. Xiao et al., "MIEB: Massive Image Embedding Benchmark", 2025.
    """
    name = f"mbeir/{task}"
    folder = local_files(name, f"mteb/mbeir_{task}", path)
    parts = read_mbeir(task, folder, split, pool, image_queries, Rejects(on_error))
    parts.drop_unanswered()
    parts.rejects.warn(str(folder))
    full = name if split == "test" else f"{name}/{split}"
    if pool == "global":
        full += "/global"
    return parts.corpus(sampled_name(full, folder))


def read_mbeir(
    task: str,
    folder: Path,
    split: str,
    pool: str,
    image_queries: bool,
    rejects: Rejects,
) -> Parts:
    """Return documents, queries and judgments of a folder in either form."""
    if pool not in {"local", "global"}:
        msg = f"pool is {pool!r}; expected 'local', the task's own candidates, or 'global'"
        raise CorpusError(msg)
    if all((folder / role).is_dir() for role in _ORIGINAL_ROLES):
        parts = _read_original(task, folder, split, pool, rejects)
    else:
        parts = _read_mteb(task, folder, split, pool, rejects)
    if not image_queries:
        _refuse_images(task, parts)
    return parts


def _refuse_images(task: str, parts: Parts) -> None:
    for query in parts.queries.values():
        if query.image is not None:
            msg = (
                f"query {query.id!r} of mbeir/{task} asks with an image, and mmgap's strategies "
                "ask with texts; choose task 0, 1 or 2, or read it with image_queries=True"
            )
            raise CorpusError(msg)


# mteb's form


def _read_mteb(task: str, folder: Path, split: str, pool: str, rejects: Rejects) -> Parts:
    if pool == "global":
        msg = f"pool is 'global', but {folder} holds mteb's form, whose pool is the task's own"
        raise CorpusError(msg)
    files = by_role(files_below(folder, [".parquet"]), ROLES, split)
    files["corpus"] = by_role(files_below(folder, [".parquet"]), {"corpus": ROLES["corpus"]})[
        "corpus"
    ]
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
        parts.add_documents(mteb_documents(read_parquet(folder / file, columns), rejects))
    for file in files["queries"]:
        parts.add_queries(_mteb_queries(read_parquet(folder / file, columns), rejects))
    for file in files["qrels"]:
        rows = read_parquet(folder / file)
        judgments = ((where, judgment_of(where, row, rejects)) for where, row in rows)
        parts.add_judgments((where, each) for where, each in judgments if each is not None)
    return parts


def mteb_documents(
    rows: Iterable[tuple[str, dict[str, Any]]], rejects: Rejects
) -> Iterator[tuple[str, Document]]:
    """Yield the documents of rows with ``id``, ``modality``, ``text`` and ``image``."""
    for line, row in rows:
        doc_id = str(row.get("id", row.get("_id", "")) or "")
        where = f"{line} (id {doc_id!r})"
        text, image = row.get("text") or None, row.get("image")
        if problem := _problem(doc_id, row.get("modality"), text, image):
            rejects.add(where, problem)
        else:
            yield where, Document(doc_id, text, image)


def _mteb_queries(
    rows: Iterable[tuple[str, dict[str, Any]]], rejects: Rejects
) -> Iterator[tuple[str, Query]]:
    for line, row in rows:
        query_id = str(row.get("id", row.get("_id", "")) or "")
        where = f"{line} (id {query_id!r})"
        text, image = row.get("text") or None, row.get("image")
        if problem := _problem(query_id, row.get("modality"), text, image):
            rejects.add(where, problem)
        else:
            yield where, Query(query_id, text or "", image=image)


def _problem(item: str, modality: object, text: object, image: object) -> str | None:
    """Return what is wrong with a row whose modality says what it should hold, or None."""
    if not item:
        return 'has no "id"; expected a text that is not empty'
    if text is not None and not (isinstance(text, str) and text.strip()):
        return f'"text" is {text!r}; expected a text that is not empty, or none'
    if image is not None and not isinstance(image, ImageFile):
        return f'"image" is {image!r}; expected the bytes of an image'
    held = {name for name, value in (("text", text), ("image", image)) if value is not None}
    said = {part.strip() for part in modality.split(",")} if isinstance(modality, str) else held
    if not held or not said <= {"text", "image"}:
        return f"modality is {modality!r} and it holds {_and(held)}; expected text, image or both"
    if said != held:
        return f"modality is {modality!r}, but it holds {_and(held)}"
    return None


def _and(held: set[str]) -> str:
    return " and ".join(sorted(held)) or "neither text nor image"


# UniIR's form


def _read_original(task: str, folder: Path, split: str, pool: str, rejects: Rejects) -> Parts:
    candidates = (
        f"cand_pool/local/mbeir_{task}_cand_pool.jsonl"
        if pool == "local"
        else f"cand_pool/global/mbeir_union_{split}_cand_pool.jsonl"
    )
    queries = f"query/{split}/mbeir_{task}_{split}.jsonl"
    qrels = f"qrels/{split}/mbeir_{task}_{split}_qrels.txt"
    for file in (candidates, queries, qrels):
        if not (folder / file).is_file():
            msg = f"{folder} lacks {file}, which mbeir/{task} needs; fetch it, or check the task"
            raise CorpusError(msg)
    parts = Parts(rejects, 1, Path(candidates).name, Path(queries).name, Path(qrels).name)
    images = Images(folder)
    parts.add_documents(_candidates(folder / candidates, images, rejects))
    parts.add_queries(read_topics(folder / queries, rejects, images))
    parts.add_judgments(read_qrels(folder / qrels, rejects, extra=1))
    return parts


class Images:
    """Image files below a folder; each of its folders is listed once, not asked for every file."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._names: dict[Path, frozenset[str]] = {}

    def find(self, inside: object) -> ImageFile | str:
        """Return the image, or what is wrong with it."""
        if not isinstance(inside, str) or not inside or "\0" in inside:
            return f"its image is {inside!r}; expected a path"
        path = Path(f"{self.root}/{inside}")
        if ".." in path.parts or Path(inside).is_absolute():
            return f"image {inside!r} lies outside the folder; expected a path in it"
        folder = path.parent
        if folder not in self._names:
            there = folder.iterdir() if folder.is_dir() else ()
            self._names[folder] = frozenset(each.name for each in there)
        if path.name not in self._names[folder]:
            return f"image file {inside!r} does not exist below {self.root}; unpack the images"
        return ImageFile(path)


def _candidates(path: Path, images: Images, rejects: Rejects) -> Iterator[tuple[str, Document]]:
    for line, record in read_json_lines(path, rejects):
        doc_id = record.get("did")
        where = f"{line} (did {doc_id!r})"
        text = record.get("txt") or None
        image = record.get("img_path")
        found = None if image is None else images.find(image)
        problem = found if isinstance(found, str) else None
        problem = problem or _problem(
            doc_id if isinstance(doc_id, str) else "", record.get("modality"), text, found
        )
        if problem is not None or isinstance(found, str) or not isinstance(doc_id, str):
            rejects.add(where, problem or "cannot be used")
            continue
        used = ("did", "txt", "img_path", "modality", "src_content")
        yield where, Document(doc_id, text, found, metadata_of(record, *used))


def read_topics(
    path: Path, rejects: Rejects, images: Images | None = None
) -> Iterator[tuple[str, Query]]:
    """Yield the queries of a file of UniIR's form.

    Parameters
    ----------
    path : Path
        JSON lines with ``qid``, ``query_txt``, ``query_img_path``, ``query_modality``.
    rejects : Rejects
    images : Images, optional
        Where the queries' images are; without it, a query with an image is rejected.

    Yields
    ------
    where : str
    query : Query
        Its metadata hold ``task_id``.
    """
    for line, record in read_json_lines(path, rejects):
        query_id = record.get("qid")
        where = f"{line} (qid {query_id!r})"
        text, inside = record.get("query_txt") or None, record.get("query_img_path")
        found: ImageFile | str | None = None
        if inside is not None:
            found = images.find(inside) if images else f"asks with image {inside!r}"
        problem = found if isinstance(found, str) else None
        problem = problem or _problem(
            query_id if isinstance(query_id, str) else "",
            record.get("query_modality"),
            text,
            found,
        )
        if problem is not None or isinstance(found, str) or not isinstance(query_id, str):
            rejects.add(where, problem or "cannot be used")
            continue
        task = {} if record.get("task_id") is None else {"task_id": str(record["task_id"])}
        yield where, Query(query_id, text or "", task, found)


def read_grades(path: Path, rejects: Rejects) -> Iterator[tuple[str, Judgment, str]]:
    """Yield the graded judgments that EDIS' topics in UniIR's form carry in ``query_src_content``.

    Parameters
    ----------
    path : Path
        JSON lines; ``pos_cand_list`` and ``neg_cand_list`` are ids of M-BEIR, and
        ``query_src_content`` holds EDIS' own ids and grades in the same order.
    rejects : Rejects

    Yields
    ------
    where : str
    judgment : Judgment
        With ids of M-BEIR and the grade 1, 2 or 3.
    candidate_id : str
        The document's id in EDIS.
    """
    for line, record in read_json_lines(path, rejects):
        where = f"{line} (qid {record.get('qid')!r})"
        try:
            content = json.loads(record["query_src_content"])
            pairs = [
                (doc_id, graded)
                for side in ("pos", "neg")
                for doc_id, graded in zip(
                    record[f"{side}_cand_list"],
                    content[f"{side}_cand_candidate_id_scores"],
                    strict=True,
                )
            ]
            found = [
                (
                    where,
                    Judgment(record["qid"], _did(doc_id), int(graded["score"])),
                    str(graded["candidate_id"]),
                )
                for doc_id, graded in pairs
            ]
        except (KeyError, TypeError, ValueError) as error:
            rejects.add(
                where,
                f"its query_src_content does not grade its candidates ({error!r}); expected "
                "candidate_id and score for each of pos_cand_list and neg_cand_list, in order",
            )
            continue
        yield from found


def _did(candidate: str | Mapping[str, str]) -> str:
    """Return the id of a candidate, which some versions wrap in an object."""
    return candidate["did"] if isinstance(candidate, Mapping) else candidate
