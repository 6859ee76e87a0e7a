"""MixBench: pools in which some documents are texts, some images, some both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from mmgap.corpus.assemble import Parts
from mmgap.corpus.files import OnError, Rejects, read_qrels
from mmgap.corpus.folder import judgment_of
from mmgap.corpus.images import ImageFile
from mmgap.corpus.mbeir import Images
from mmgap.corpus.places import by_role, files_below, local_files, sampled_name
from mmgap.corpus.schema import Corpus, Document, Judgment, Query
from mmgap.corpus.tables import TABLE_SUFFIXES, read_table
from mmgap.errors import CorpusError

HUB = "mixed-modality-search/MixBench2025"
SUBSETS = ("MSCOCO", "Google_WIT", "VisualNews", "OVEN")
ROLES = {
    "queries": ("queries", "query"),
    "corpus": ("corpus",),
    "mixed_corpus": ("mixed_corpus",),
    "qrels": ("qrels", "qrel"),
}
"""Splits of the data set, whose names differ between its versions."""

MixPool = Literal["mixed_corpus", "corpus"]


def load_mixbench(
    subset: str,
    path: str | Path | None = None,
    *,
    pool: MixPool = "mixed_corpus",
    qrels: str | Path | None = None,
    image_queries: bool = False,
    on_error: OnError = "raise",
) -> Corpus:
    """Load a subset of MixBench, in any of its versions.

    The versions on the hub differ: ``MixBench25`` has the fields ``query_id``, ``corpus_id``,
    ``text``, ``image`` (a path) and ``score`` in splits ``query``, ``corpus``, ``mixed_corpus`` and
    ``qrel``; ``MixBench2025`` has ``id``, ``text`` and ``image`` (the image itself) in ``queries``,
    ``corpus`` and ``mixed_corpus``. All of these names are understood, as Parquet, JSON lines, CSV
    or TSV, in a folder called as the subset or in the folder itself.

    Parameters
    ----------
    subset : {"MSCOCO", "Google_WIT", "VisualNews", "OVEN"}
    path : str or Path, optional
        The folder with the files; images named by a path are looked for below it. Default: where
        ``mmgap corpus fetch`` puts them.
    pool : {"mixed_corpus", "corpus"}
        Which of the data set's two pools, by its own name.
    qrels : str or Path, optional
        A file of judgments, for a version without them.
    image_queries : bool, default False
        Load queries with images too, which no strategy of mmgap asks with; otherwise they are an
        error.
    on_error : {"raise", "skip"}
        What to do with an item that cannot be used: raise an error that names it, or leave it out,
        list it in ``Corpus.skipped`` and give one ``SkippedItemsWarning``.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If files are missing, an item cannot be used, or queries are images.

    Notes
    -----
    The nDCG of the authors' code takes the ideal ranking from the ten retrieved documents alone,
    so it is never below trec's nDCG@10, and mostly above; do not compare the two.

    References
    ----------
    Li et al., "Closing the Modality Gap for Mixed Modality Search", 2025 (GR-CLIP).
    """
    if subset not in SUBSETS:
        msg = f"subset is {subset!r}; MixBench has {', '.join(SUBSETS)}"
        raise CorpusError(msg)
    if pool not in get_args(MixPool):
        msg = f"pool is {pool!r}; MixBench has {' and '.join(get_args(MixPool))}"
        raise CorpusError(msg)
    name = f"mixbench/{subset}"
    root = local_files(name, HUB, path)
    folder = root / subset
    if not folder.is_dir():
        others = [each for each in SUBSETS if (root / each).is_dir()]
        if others:
            msg = f"{root} holds {', '.join(others)} and not {subset}; 'mmgap corpus fetch {name}'"
            raise CorpusError(msg)
        folder = root
    files = by_role(files_below(folder, TABLE_SUFFIXES), ROLES)
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
    parts = Parts(rejects, 1, f"the {pool} table", "the query table", "the table of judgments")
    for file in files[pool]:
        parts.add_documents(_documents(folder / file, images, rejects))
    for file in files["queries"]:
        parts.add_queries(_queries(folder / file, images, rejects, image_queries=image_queries))
    judged = [Path(qrels)] if qrels is not None else [folder / file for file in files["qrels"]]
    for path_of_qrels in judged:
        parts.add_judgments(_judgments(path_of_qrels, rejects))
    parts.drop_unanswered()
    rejects.warn(str(folder))
    full = name if pool == "mixed_corpus" else f"{name}/{pool}"
    return parts.corpus(sampled_name(full, root))


def _items(
    path: Path, key: str, images: Images, rejects: Rejects
) -> Iterator[tuple[str, str, str | None, ImageFile | None]]:
    """Yield where, id, text and image of the rows that hold at least one of the two."""
    for line, row in read_table(path, rejects):
        item = row.get("id") if row.get("id") is not None else row.get(key)
        where = f"{line} (id {item!r})"
        text, image = row.get("text"), row.get("image")
        text = text if isinstance(text, str) and text.strip() else None
        found = image if isinstance(image, ImageFile) else _find(image, images)
        if item is None or not str(item).strip():
            rejects.add(where, f'has neither "id" nor "{key}"; expected one of the two')
        elif isinstance(found, str):
            rejects.add(where, found)
        elif text is None and found is None:
            rejects.add(where, "has neither text nor image; expected at least one of the two")
        else:
            yield where, str(item), text, found


def _find(image: Any, images: Images) -> ImageFile | str | None:
    return None if image is None or image == "" else images.find(image)


def _documents(path: Path, images: Images, rejects: Rejects) -> Iterator[tuple[str, Document]]:
    for where, doc_id, text, image in _items(path, "corpus_id", images, rejects):
        yield where, Document(doc_id, text, image)


def _queries(
    path: Path, images: Images, rejects: Rejects, *, image_queries: bool
) -> Iterator[tuple[str, Query]]:
    for where, query_id, text, image in _items(path, "query_id", images, rejects):
        if image is not None and not image_queries:
            rejects.add(
                where,
                "asks with an image, and mmgap's strategies ask with texts; image_queries=True "
                "reads it anyway",
            )
        else:
            yield where, Query(query_id, text or "", image=image)


def _judgments(path: Path, rejects: Rejects) -> Iterator[tuple[str, Judgment]]:
    if path.suffix in {".txt", ".trec", ".qrels"}:
        yield from read_qrels(path, rejects, extra=1)
        return
    for where, row in read_table(path, rejects):
        judgment = judgment_of(where, row, rejects)
        if judgment is not None:
            yield where, judgment
