"""Where documents, queries and judgments come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmgap.corpus.folder import load_folder
from mmgap.corpus.images import ImageFile
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.schema import LEGS, Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

__all__ = [
    "LEGS",
    "SOURCES",
    "Corpus",
    "Document",
    "ImageFile",
    "Judgment",
    "Qrels",
    "Query",
    "load_corpus",
    "load_folder",
    "load_pictograms",
]

SOURCES: dict[str, Callable[..., Corpus]] = {"pictograms": load_pictograms}
"""Corpora that are loaded by name."""


def load_corpus(name_or_path: str | Path, **options: Any) -> Corpus:
    """Load a corpus by name, or your own from a folder.

    Parameters
    ----------
    name_or_path : str or Path
        One of ``SOURCES``, or a folder in the layout of :func:`load_folder`.
    **options
        Passed to the loader: :func:`load_pictograms`, or :func:`load_folder`.

    Returns
    -------
    Corpus

    Raises
    ------
    CorpusError
        If there is no such corpus or folder.

    Examples
    --------
    >>> load_corpus("pictogram")
    Traceback (most recent call last):
    mmgap.errors.CorpusError: no corpus and no folder is called 'pictogram'; did you mean ...
    """
    name = str(name_or_path)
    if name in SOURCES:
        return SOURCES[name](**options)
    if Path(name).is_dir():
        return load_folder(name, **options)
    near = difflib.get_close_matches(name, SOURCES, cutoff=0.4)
    hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"known: {', '.join(SOURCES)}"
    msg = (
        f"no corpus and no folder is called {name!r}; {hint} For your own data give a folder with "
        "documents.jsonl, queries.jsonl and qrels.tsv"
    )
    raise CorpusError(msg)
