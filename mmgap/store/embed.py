"""Embed a corpus: queries, texts and images, each through the store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from mmgap import paths
from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.files import OnError, Rejects
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder, EncoderInfo, Role
from mmgap.encoders.token_vectors import Embeddings
from mmgap.errors import EncoderError, ImageError, MmgapError
from mmgap.store.embeddings import EmbeddingStore, content_key, unit_norm
from mmgap.store.vectors import Leg, Vectors

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
    """Return the vectors of a corpus' queries, texts and images.

    What was encoded before, in any corpus, is taken from the cache; a stopped run goes on where
    it stopped; equal inputs are encoded once.

    Parameters
    ----------
    corpus : Corpus
    encoder : Encoder, optional
        Not for a ``FeatureCorpus``, which holds its vectors already.
    cache : bool or Path, default True
        ``True`` for the user's cache folder (``MMGAP_CACHE``), a path for another one, ``False``
        to encode everything anew.
    batch_size : int, default 64
    progress : bool, default True
        Show a progress bar, in a terminal or a notebook.
    on_error : {"raise", "skip"}
        What to do with an image that cannot be read: raise an error that names its document, or
        leave it out of the image leg, list it in ``vectors.corpus.skipped`` and give one
        ``SkippedItemsWarning``.

    Returns
    -------
    Vectors
        Unit-norm. For the vectors as the model gives them, see ``EmbeddingStore.embed``. An encoder
        that reads text only gives the text leg alone.

    Raises
    ------
    ImageError
        If an image cannot be read.
    EncoderError
        If the encoder is missing, or one is given for ready-made features; if it reads no text,
        hence no queries, or gives vectors that are not finite.

    Examples
    --------
    >>> embed(corpus, load_encoder("mini-clip"), on_error="skip")  # doctest: +SKIP
    """
    if isinstance(corpus, FeatureCorpus):
        return _ready_made(corpus, encoder)
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
    if cache is True:
        store = EmbeddingStore(paths.cache_dir() / "embeddings")
    else:
        store = EmbeddingStore(None if cache is False else Path(cache))
    rejects = Rejects(on_error)
    with _progress_bar(corpus.name, show=progress) as start:
        texts = [query.text for query in corpus.queries]
        _, queries = _embed_texts(store, encoder, texts, "query", batch_size, start)
        texts_at = {
            at: document.text
            for at, document in enumerate(corpus.documents)
            if document.text is not None
        }
        texts = list(texts_at.values())
        _, embeddings = _embed_texts(store, encoder, texts, "document", batch_size, start)
        legs = {"text": Leg(np.asarray(list(texts_at), dtype=np.int64), embeddings)}
        if "image" in encoder.info.modalities:
            legs["image"] = _embed_images(store, encoder, corpus, batch_size, rejects, start)
    if rejects.skipped:
        rejects.warn(f"corpus {corpus.name!r}")
        corpus = replace(corpus, skipped={**corpus.skipped, **rejects.skipped})
    return Vectors(corpus, encoder.info, queries, legs)


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
    legs = {"text": Leg(all_of_them, text), "image": Leg(all_of_them, image)}
    return Vectors(corpus, info, queries, legs)


def _embed_texts(
    store: EmbeddingStore,
    encoder: Encoder,
    texts: list[str],
    role: Role,
    batch_size: int,
    start: Callable[[str, int], Report],
) -> tuple[np.ndarray, Embeddings]:
    return store.embed(
        encoder.info,
        role,
        [content_key(text) for text in texts],
        load=texts.__getitem__,
        encode=lambda batch: encoder.encode_text(
            batch, role=role, batch_size=batch_size, normalize=False
        ),
        batch_size=batch_size,
        on_progress=start("queries" if role == "query" else "texts", len(texts)),
    )


def _embed_images(
    store: EmbeddingStore,
    encoder: Encoder,
    corpus: Corpus,
    batch_size: int,
    rejects: Rejects,
    start: Callable[[str, int], Report],
) -> Leg:
    def load(position: int) -> Image.Image:
        return files[position].open(keys[position], encoder.info.image_size)

    def reject(at: int, error: MmgapError) -> None:
        rejects.add(f"image of document {corpus.documents[at].id!r}", str(error), ImageError)

    files, positions, keys = [], [], []
    for at, document in enumerate(corpus.documents):
        if document.image is None:
            continue
        try:
            keys.append(content_key(document.image.read_bytes()))
        except ImageError as error:
            reject(at, error)
            continue
        files.append(document.image)
        positions.append(at)
    kept, embeddings = store.embed(
        encoder.info,
        "image",
        keys,
        load=load,
        encode=lambda batch: encoder.encode_images(batch, batch_size=batch_size, normalize=False),
        batch_size=batch_size,
        workers=_WORKERS,
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

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
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
