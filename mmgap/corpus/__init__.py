"""Where documents, queries and judgments come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmgap.corpus.benchmarks import load_captions, load_mbeir, load_mixbench
from mmgap.corpus.catalog import CorpusFacts, all_corpora, find_corpus, nearest
from mmgap.corpus.edis import JudgedQueries, load_edis, load_edis_judgments
from mmgap.corpus.features import (
    FEATURE_SETS,
    PREFIX,
    FeatureCorpus,
    find_features,
    load_feature_set,
    load_features,
)
from mmgap.corpus.folder import load_folder
from mmgap.corpus.images import ImageFile, ParquetImage
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.reading import guarded
from mmgap.corpus.schema import LEGS, Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

__all__ = [
    "FAMILIES",
    "FEATURE_SETS",
    "LEGS",
    "SOURCES",
    "Corpus",
    "CorpusFacts",
    "Document",
    "FeatureCorpus",
    "ImageFile",
    "JudgedQueries",
    "Judgment",
    "ParquetImage",
    "Qrels",
    "Query",
    "all_corpora",
    "find_corpus",
    "load_captions",
    "load_corpus",
    "load_edis",
    "load_edis_judgments",
    "load_feature_set",
    "load_features",
    "load_folder",
    "load_mbeir",
    "load_mixbench",
    "load_pictograms",
    "takes_split",
]

SOURCES: dict[str, Callable[..., Corpus]] = {"pictograms": load_pictograms, "edis": load_edis}
"""Corpora that are loaded by name."""

FAMILIES: dict[str, Callable[..., Corpus]] = {
    "mbeir": load_mbeir,
    "mixbench": load_mixbench,
    "captions": load_captions,
}
"""What loads ``FAMILY/MEMBER``, such as ``mbeir/webqa_task2``; the member is its first argument."""


def load_corpus(name_or_path: str | Path, **options: Any) -> Corpus:
    """Load a corpus by name, or your own from a folder or from ready-made embeddings.

    ``name_or_path`` is one of

    - a name of ``mmgap corpus list``: ``pictograms``, ``edis``, or ``FAMILY/MEMBER`` of
      ``FAMILIES``, such as ``mbeir/webqa_task2``, ``mixbench/MSCOCO`` or ``captions/coco``;
      ``NAME@FOLDER`` if its files are elsewhere than ``mmgap corpus fetch`` puts them;
    - a folder in a layout of :func:`load_folder`;
    - ``features/`` and a name in ``FEATURE_SETS``: public embeddings;
    - embeddings of your own: ``IMAGE.npy,TEXT.npy``, ``IMAGE.npy,TEXT.npy,QUERIES.npy``, one
      stacked ``.npy`` file, or a folder with ``image.npy`` and ``text.npy``, see
      :func:`load_features`.

    The options are those of its loader; any other is refused.

    >>> load_corpus("pictogram")
    Traceback (most recent call last):
    mmgap.errors.CorpusError: no corpus and no folder is called 'pictogram'; did you mean ...
    """
    load, given = _loader(str(name_or_path))
    known = _options(load)
    if unknown := [name for name in options if name not in known]:
        msg = (
            f"corpus {str(name_or_path)!r} has no {unknown[0]}; the options it has are "
            f"{', '.join(known)}"
        )
        raise CorpusError(msg)
    return load(*given, **options)


def takes_split(name: str) -> bool:
    """Whether a corpus that loads by name is divided into splits of which one is loaded.

    >>> takes_split("edis"), takes_split("mbeir/webqa_task2"), takes_split("my_folder")
    (True, True, False)
    """
    name = name.partition("@")[0]
    family, _, member = name.partition("/")
    load = SOURCES.get(name) or (FAMILIES.get(family) if member else None)
    return load is not None and "split" in _options(load)


def _options(load: Callable[..., Corpus]) -> tuple[str, ...]:
    first = ("path", "name", "task", "subset", "dataset", "image", "text", "queries")
    return tuple(name for name in inspect.signature(load).parameters if name not in first)


@guarded
def _loader(given: str) -> tuple[Callable[..., Corpus], tuple[Any, ...]]:
    """Return what loads a corpus, and the first arguments of that."""
    if not given.strip() or "\0" in given:
        msg = f"corpus {given!r} is no name; expected one of 'mmgap corpus list', or a folder"
        raise CorpusError(msg)
    name, _, at = given.partition("@")
    family, _, member = name.partition("/")
    own_folder = (at,) if at else ()
    if name == "edis" or (family in FAMILIES and member and not Path(name).is_dir()):
        load = load_edis if name == "edis" else FAMILIES[family]
        return load, (member, *own_folder) if member else own_folder
    if given in SOURCES:
        return SOURCES[given], ()
    if given.removeprefix(PREFIX) in FEATURE_SETS:
        return load_feature_set, (given,)
    features = find_features(given)
    if features is not None:
        return load_features, features
    if Path(given).is_dir():
        return load_folder, (given,)
    near = nearest(given, [facts.id for facts in all_corpora()])
    msg = (
        f"no corpus and no folder is called {given!r}; {near} For your own data give a folder with "
        "documents.jsonl, queries.jsonl and qrels.tsv; for embeddings IMAGE.npy,TEXT.npy"
    )
    raise CorpusError(msg)
