"""Embed a corpus: queries, texts and images, each through the store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmgap import paths
from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.images import pixels_of
from mmgap.corpus.reading import OnError, Rejects
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder, EncoderInfo, Role
from mmgap.encoders.vectors import Embeddings
from mmgap.errors import EncoderError, ImageError, MmgapError
from mmgap.index.store import EmbeddingStore, content_key
from mmgap.index.vectors import Leg, Vectors, unit_norm

_WORKERS = 2
"""Threads that read and decode images while the model is at work."""

Report = Callable[[int], None]


def embed(
    corpus: Corpus,
    encoder: Encoder | None = None,
    *,
    cache: bool | str | Path = True,
    batch_size: int = 64,
    progress: bool = True,
    on_error: OnError = "raise",
) -> Vectors:
    """Return the unit-norm vectors of a corpus' queries, texts and images.

    What was encoded before, in any corpus, is taken from the cache; a stopped run goes on where
    it stopped; equal inputs are encoded once. A ``FeatureCorpus`` holds its vectors already and
    takes no encoder; one that reads text only gives the text leg alone.

    ``cache``: ``True`` is the user's cache folder (``MMGAP_CACHE``), a path another one, ``False``
    encodes everything anew. ``on_error="skip"``: images that cannot be read are left out of the
    image leg and listed in ``vectors.corpus.skipped``, with one ``SkippedItemsWarning``.

    >>> embed(corpus, load_encoder("mini-clip"), on_error="skip")  # doctest: +SKIP
    """
    if isinstance(corpus, FeatureCorpus):
        return _ready_made(corpus, encoder)
    encoder = _checked(corpus, encoder)
    if cache is True:
        store = EmbeddingStore(paths.cache_dir() / "embeddings")
    else:
        store = EmbeddingStore(None if cache is False else Path(cache))
    rejects = Rejects(on_error)
    with _progress_bar(corpus.name, show=progress) as start:
        texts = [query.text for query in corpus.queries]
        queries = _embed_texts(store, encoder, texts, "query", batch_size, start)
        at = [at for at, document in enumerate(corpus.documents) if document.text is not None]
        texts = [corpus.documents[each].text or "" for each in at]
        embeddings = _embed_texts(store, encoder, texts, "document", batch_size, start)
        legs = {"text": Leg(np.asarray(at, dtype=np.int64), embeddings)}
        if "image" in encoder.info.modalities:
            legs["image"] = _embed_images(store, encoder, corpus, batch_size, rejects, start)
    if rejects.skipped:
        rejects.warn(f"corpus {corpus.name!r}")
        corpus = replace(corpus, skipped={**corpus.skipped, **rejects.skipped})
    return Vectors(corpus, encoder.info, queries, legs)


def _checked(corpus: Corpus, encoder: Encoder | None) -> Encoder:
    if encoder is None:
        msg = (
            f"corpus {corpus.name!r} holds texts and images, not vectors; expected an encoder, "
            "e.g. embed(corpus, load_encoder('mini-clip'))"
        )
        raise EncoderError(msg)
    if "text" not in encoder.info.modalities:
        msg = (
            f"{encoder.info.id!r} reads {' and '.join(encoder.info.modalities)} only, and queries "
            "are texts; load an encoder that reads text"
        )
        raise EncoderError(msg)
    pictured = next((query.id for query in corpus.queries if query.image is not None), None)
    if pictured is not None:
        msg = (
            f"query {pictured!r} of {corpus.name!r} holds an image; queries are embedded as texts, "
            "which would leave it out. Select the queries without one"
        )
        raise EncoderError(msg)
    return encoder


def _ready_made(corpus: FeatureCorpus, encoder: Encoder | None) -> Vectors:
    if encoder is not None:
        msg = (
            f"corpus {corpus.name!r} holds ready-made vectors of {corpus.encoder_name!r}, and no "
            f"texts or images that {encoder.info.id!r} could read; call embed(corpus) without an "
            "encoder"
        )
        raise EncoderError(msg)
    info = EncoderInfo(
        corpus.encoder_name,
        fingerprint=corpus.fingerprint,
        backend="features",
        dim=corpus.image_embeddings.shape[1],
        licence=corpus.licence,
    )
    queries, text, image = (
        unit_norm(embeddings.astype(np.float64)).astype(np.float32)
        for embeddings in (
            corpus.query_embeddings,
            corpus.text_embeddings,
            corpus.image_embeddings,
        )
    )
    all_of_them = np.arange(len(corpus.documents))
    return Vectors(
        corpus, info, queries, {"text": Leg(all_of_them, text), "image": Leg(all_of_them, image)}
    )


def _embed_texts(
    store: EmbeddingStore,
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    batch_size: int,
    start: Callable[[str, int], Report],
) -> Embeddings:
    def encode(batch: list[str]) -> Embeddings:
        return encoder.encode_text(batch, role=role, batch_size=batch_size, normalize=False)

    _, embeddings = store.embed(
        encoder.info,
        role,
        [content_key(text) for text in texts],
        load=texts.__getitem__,
        encode=encode,
        batch_size=batch_size,
        on_progress=start("queries" if role == "query" else "texts", len(texts)),
    )
    return embeddings


def _embed_images(
    store: EmbeddingStore,
    encoder: Encoder,
    corpus: Corpus,
    batch_size: int,
    rejects: Rejects,
    start: Callable[[str, int], Report],
) -> Leg:
    def reject(at: int, error: MmgapError) -> None:
        rejects.add(f"image of document {corpus.documents[at].id!r}", str(error), ImageError)

    files, positions, keys, pixels = [], [], [], []
    for at, document in enumerate(corpus.documents):
        if document.image is None:
            continue
        try:
            data = document.image.read_bytes()
        except ImageError as error:
            reject(at, error)
            continue
        files.append(document.image)
        positions.append(at)
        keys.append(content_key(data))
        pixels.append(pixels_of(data))

    def load(position: int) -> Image.Image:
        return files[position].open(keys[position], encoder.info.image_size)

    kept, embeddings = store.embed(
        encoder.info,
        "image",
        keys,
        load=load,
        encode=lambda batch: encoder.encode_images(batch, batch_size=batch_size, normalize=False),
        batch_size=batch_size,
        workers=_WORKERS,
        pixels=pixels,
        on_bad=lambda position, error: reject(positions[position], error),
        on_progress=start("images", len(keys)),
    )
    return Leg(np.asarray(positions, dtype=np.int64)[kept], embeddings)


@contextmanager
def _progress_bar(title: str, *, show: bool) -> Iterator[Callable[[str, int], Report]]:
    """Yield a function that starts a bar and returns the function that moves it on."""
    if not (show and _is_watched()):
        yield lambda _name, _total: lambda _done: None
        return
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns: tuple[Any, ...] = Progress.get_default_columns()[:2]
    columns = (*columns, MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bars:

        def start(name: str, total: int) -> Report:
            task = bars.add_task(f"{title}: {name}", total=total)
            return lambda done: bars.advance(task, done)

        yield start


def _is_watched() -> bool:
    """Tell whether a person sees a bar move: in a terminal, or in a notebook with widgets.

    A notebook that a program executes takes no input; a bar would stay behind in its outputs.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return getattr(kernel, "_allow_stdin", False) and find_spec("ipywidgets") is not None
    return sys.stderr.isatty() and sys.stdout.isatty()
