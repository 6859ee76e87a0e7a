"""Where documents, queries and judgments come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmgap.corpus.captions import load_captions
from mmgap.corpus.catalog import CorpusFacts, all_corpora, find_corpus
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
from mmgap.corpus.images import ImageFile
from mmgap.corpus.mbeir import load_mbeir
from mmgap.corpus.mixbench import load_mixbench
from mmgap.corpus.parquet import ParquetImage
from mmgap.corpus.pictograms import load_pictograms
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

    Parameters
    ----------
    name_or_path : str or Path
        One of

        - a name of ``mmgap corpus list``: ``pictograms``, ``edis``, or ``FAMILY/MEMBER`` of
          ``FAMILIES``, such as ``mbeir/webqa_task2``, ``mixbench/MSCOCO`` or ``captions/coco``;
          ``NAME@FOLDER`` if its files are elsewhere than ``mmgap corpus fetch`` puts them;
        - a folder in a layout of :func:`load_folder`;
        - ``features/`` and a name in ``FEATURE_SETS``: public embeddings, see
          :func:`load_feature_set`;
        - embeddings of your own: ``IMAGE.npy,TEXT.npy``, ``IMAGE.npy,TEXT.npy,QUERIES.npy``, one
          stacked ``.npy`` file, or a folder with ``image.npy`` and ``text.npy``, see
          :func:`load_features`.
    **options
        Passed to the loader: :func:`load_pictograms`, :func:`load_edis`, :func:`load_mbeir`,
        :func:`load_mixbench`, :func:`load_captions`, :func:`load_folder`,
        :func:`load_feature_set` or :func:`load_features`.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If there is no such corpus, folder or file, or it cannot be used.

    Examples
    --------
    >>> load_corpus("pictogram")
    Traceback (most recent call last):
    mmgap.errors.CorpusError: no corpus and no folder is called 'pictogram'; did you mean ...
    """
    given = str(name_or_path)
    name, at, folder = given.partition("@")
    family, _, member = name.partition("/")
    if at and (name == "edis" or family in FAMILIES):
        options["path"] = folder
    elif at:
        name = given
    if name in SOURCES:
        return SOURCES[name](**options)
    if family in FAMILIES and member and not Path(name).is_dir():
        return FAMILIES[family](member, **options)
    if name.removeprefix(PREFIX) in FEATURE_SETS:
        return load_feature_set(name, **options)
    features = find_features(name)
    if features is not None:
        return load_features(*features, **options)
    if Path(name).is_dir():
        return load_folder(name, **options)
    known = [facts.id for facts in all_corpora()]
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}."
    msg = (
        f"no corpus and no folder is called {name!r}; {hint} For your own data give a folder with "
        "documents.jsonl, queries.jsonl and qrels.tsv; for embeddings IMAGE.npy,TEXT.npy"
    )
    raise CorpusError(msg)


def takes_split(name: str) -> bool:
    """Whether a corpus is divided into splits of which one is loaded.

    Examples
    --------
    >>> takes_split("edis"), takes_split("mbeir/webqa_task2"), takes_split("my_folder")
    (True, True, False)
    """
    name = name.partition("@")[0]
    family, _, member = name.partition("/")
    return name in SOURCES or (family in {"mbeir", "captions"} and bool(member))
