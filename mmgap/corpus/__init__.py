"""Where documents, queries and judgments come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.schema import LEGS, Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

__all__ = [
    "FEATURE_SETS",
    "LEGS",
    "SOURCES",
    "Corpus",
    "Document",
    "FeatureCorpus",
    "ImageFile",
    "Judgment",
    "Qrels",
    "Query",
    "load_corpus",
    "load_feature_set",
    "load_features",
    "load_folder",
    "load_pictograms",
]

SOURCES: dict[str, Callable[..., Corpus]] = {"pictograms": load_pictograms}
"""Corpora that are loaded by name."""


def load_corpus(name_or_path: str | Path, **options: Any) -> Corpus:
    """Load a corpus by name, or your own from a folder or from ready-made embeddings.

    Parameters
    ----------
    name_or_path : str or Path
        One of

        - a name in ``SOURCES``;
        - a folder in the layout of :func:`load_folder`;
        - ``features/`` and a name in ``FEATURE_SETS``: public embeddings, see
          :func:`load_feature_set`;
        - embeddings of your own: ``IMAGE.npy,TEXT.npy``, ``IMAGE.npy,TEXT.npy,QUERIES.npy``, one
          stacked ``.npy`` file, or a folder with ``image.npy`` and ``text.npy``, see
          :func:`load_features`.
    **options
        Passed to the loader: :func:`load_pictograms`, :func:`load_folder`,
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
    name = str(name_or_path)
    if name in SOURCES:
        return SOURCES[name](**options)
    if name.removeprefix(PREFIX) in FEATURE_SETS:
        return load_feature_set(name, **options)
    features = find_features(name)
    if features is not None:
        return load_features(*features, **options)
    if Path(name).is_dir():
        return load_folder(name, **options)
    known = [*SOURCES, *(PREFIX + each for each in FEATURE_SETS)]
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}."
    msg = (
        f"no corpus and no folder is called {name!r}; {hint} For your own data give a folder with "
        "documents.jsonl, queries.jsonl and qrels.tsv; for embeddings IMAGE.npy,TEXT.npy"
    )
    raise CorpusError(msg)
