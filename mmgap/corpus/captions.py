"""Images and their captions: COCO and Flickr30k in Karpathy's splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from mmgap.corpus.assemble import Parts
from mmgap.corpus.files import OnError, Rejects
from mmgap.corpus.images import ImageFile
from mmgap.corpus.mbeir import Images
from mmgap.corpus.places import files_below, local_files
from mmgap.corpus.schema import Corpus, Document, Judgment, Query
from mmgap.corpus.tables import TABLE_SUFFIXES, read_table
from mmgap.errors import CorpusError

HUBS = {"coco": "yerevann/coco-karpathy", "flickr30k": "nlphuji/flickr30k"}
"""Where the captions come from; COCO's are without images."""

CaptionPool = Literal["images", "pairs"]

_SPLITS = {"train": ("train", "restval"), "val": ("val", "validation"), "test": ("test",)}


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
    """Load COCO or Flickr30k: captions ask for images.

    Understood are Karpathy's own ``dataset_coco.json`` and ``dataset_flickr30k.json``, and tables
    (Parquet, JSON lines, CSV) of the hub's data sets ``yerevann/coco-karpathy`` (fields
    ``filepath``, ``filename``, ``sentids``, ``split``, ``sentences``) and ``nlphuji/flickr30k``
    (``image``, ``caption`` or ``raw``, ``sentids``, ``split``, ``filename``; its one split on the
    hub holds all images, and the column ``split`` tells Karpathy's).

    Parameters
    ----------
    dataset : {"coco", "flickr30k"}
    path : str or Path, optional
        The folder with the captions. Default: where ``mmgap corpus fetch`` puts them.
    split : {"test", "val", "train"}
        Karpathy's: of the test images COCO has 5,000 and Flickr30k 1,000.
    pool : {"images", "pairs"}
        ``"images"`` (default): documents are images without text, as in the papers.
        ``"pairs"``: a document is an image with its first caption as text, and the other captions
        ask, so that both legs can find it.
    first : int, optional
        Only so many captions of each image. Papers count 5 x 5,000 captions of COCO, or all
        25,010, since some images have six or seven.
    merge_equal : bool, default False
        Make one query of captions that are equal, relevant to all their images, as M-BEIR and mteb
        do (24,809 of COCO's 25,010); numbers differ in the third digit.
    images : str or Path, optional
        The folder of the image files, where the captions do not hold them: ``FILEPATH/FILENAME``
        or ``FILENAME`` in it. Default: the folder ``images`` beside them, else the folder itself.
    on_error : {"raise", "skip"}
        What to do with an item that cannot be used: raise an error that names it, or leave it out,
        list it in ``Corpus.skipped`` and give one ``SkippedItemsWarning``.

    Returns
    -------
    Corpus
        Document ids are file names without suffix, query ids ``sentids``.

    Raises
    ------
    CorpusError
        If files are missing or damaged, or an item cannot be used.

    References
    ----------
    Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions",
    CVPR 2015.
    """
    _check(dataset, split, pool, first)
    name = f"captions/{dataset}"
    folder = local_files(name, HUBS[dataset], path)
    rejects = Rejects(on_error)
    parts = Parts(rejects, 1, "the images", "the captions", "the captions")
    image_folder = Path(images) if images is not None else folder / "images"
    if images is None and not image_folder.is_dir():
        image_folder = folder
    finder = Images(image_folder)
    same: dict[str, str] = {}
    for where, record in _records(folder, dataset, split, rejects):
        document, captions = _item(where, record, finder, rejects)
        if document is None:
            continue
        if pool == "pairs":
            document = Document(document.id, captions[0][1], document.image)
            captions = captions[1:]
        parts.add_documents([(where, document)])
        for query_id, text in captions[:first]:
            asks = same.setdefault(text, query_id) if merge_equal else query_id
            if asks == query_id:
                parts.add_queries([(where, Query(query_id, text))])
            parts.add_judgments([(where, Judgment(asks, document.id, 1))])
    parts.drop_unanswered()
    rejects.warn(str(folder))
    tags = ["" if split == "test" else f"/{split}", "" if pool == "images" else f"/{pool}"]
    return parts.corpus(name + "".join(tags))


def _check(dataset: str, split: str, pool: str, first: int | None) -> None:
    if dataset not in HUBS:
        msg = f"dataset is {dataset!r}; expected one of {', '.join(HUBS)}"
        raise CorpusError(msg)
    if split not in _SPLITS:
        msg = f"split is {split!r}; Karpathy's splits are {', '.join(_SPLITS)}"
        raise CorpusError(msg)
    if pool not in get_args(CaptionPool):
        msg = f"pool is {pool!r}; expected 'images' alone or 'pairs' of image and first caption"
        raise CorpusError(msg)
    if first is not None and first < 1:
        msg = f"first is {first}; expected at least 1 caption of each image"
        raise CorpusError(msg)


def _records(
    folder: Path, dataset: str, split: str, rejects: Rejects
) -> Iterator[tuple[str, dict[str, Any]]]:
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
        rows = _karpathy(own) if file == own.name else read_table(folder / file, rejects)
        for where, record in rows:
            if record.get("split", stem) in _SPLITS[split]:
                yield where, record


def _karpathy(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["images"]
        yield from ((f"{path.name} image {at}", each) for at, each in enumerate(found, start=1))
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read ({error!r}); expected Karpathy's file, with a list 'images'"
        raise CorpusError(msg) from error


def _item(
    where: str, record: Mapping[str, Any], images: Images, rejects: Rejects
) -> tuple[Document | None, list[tuple[str, str]]]:
    """Return an image as a document, and its captions with their ids; or no document."""
    filename = record.get("filename")
    if not isinstance(filename, str) or not filename:
        rejects.add(where, f'"filename" is {filename!r}; expected the name of the image')
        return None, []
    where = f"{where} ({filename})"
    doc_id = Path(filename).stem
    texts = _texts(record)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        rejects.add(where, f"its captions are {texts!r}; expected texts that are not empty")
        return None, []
    ids = record.get("sentids")
    if isinstance(ids, str):  # CSV
        ids = _list(ids)
    if not isinstance(ids, list) or len(ids) != len(texts):
        ids = [f"{doc_id}#{at}" for at in range(len(texts))]
    image = record.get("image")
    if not isinstance(image, ImageFile):
        inside = record.get("filepath")
        image = images.find(f"{inside}/{filename}" if inside else filename)
        if isinstance(image, str) and inside:
            at_top = images.find(filename)
            image = image if isinstance(at_top, str) else at_top
    if isinstance(image, str):
        rejects.add(where, image)
        return None, []
    captions = [(str(key), text.strip()) for key, text in zip(ids, texts, strict=True)]
    return Document(doc_id, None, image), captions


def _texts(record: Mapping[str, Any]) -> list[Any]:
    """Return the captions, whatever the data set calls them."""
    for name in ("sentences", "caption", "captions", "raw"):
        found = record.get(name)
        if isinstance(found, str):
            found = _list(found)
        if isinstance(found, list):
            return [each.get("raw") if isinstance(each, dict) else each for each in found]
    return []


def _list(cell: str) -> list[Any] | None:
    try:
        found = json.loads(cell)
    except ValueError:
        return None
    return found if isinstance(found, list) else None
