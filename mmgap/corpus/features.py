"""Ready-made embeddings: pairs of images and texts as .npy files."""

from __future__ import annotations

import hashlib
import io
import urllib.request
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self

import numpy as np

from mmgap import paths
from mmgap.corpus.reading import OnError, Rejects, guarded
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CacheDamageWarning, CorpusError

PREFIX = "features/"
"""What a corpus name of this kind starts with."""

_TIMEOUT_SECONDS = 60

Source = str | Path | np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FeatureCorpus(Corpus):
    """Pairs of which only the embeddings are known: one document and one query for each pair.

    Texts and images themselves are unknown: ``Document.text`` and ``Document.image`` are ``None``,
    and ``Query.text`` is empty. :func:`mmgap.embed` turns it into vectors without an encoder.

    Row i of ``image_embeddings`` and ``text_embeddings`` is document i, of ``query_embeddings``
    query i; they need not have unit length. ``encoder_name`` is the model they come from.
    """

    image_embeddings: np.ndarray
    text_embeddings: np.ndarray
    query_embeddings: np.ndarray
    encoder_name: str = "features"
    licence: str = "unknown"

    def __post_init__(self) -> None:
        super().__post_init__()
        n_doc, n_query = len(self.documents), len(self.queries)
        dim = self.image_embeddings.shape[1:]
        for name, n_row in (("image", n_doc), ("text", n_doc), ("query", n_query)):
            shape = getattr(self, f"{name}_embeddings").shape
            if shape != (n_row, *dim):
                msg = (
                    f"{name}_embeddings of corpus {self.name!r} have shape {shape}; expected "
                    f"{(n_row, *dim)}, for its {n_doc} documents and {n_query} queries"
                )
                raise CorpusError(msg)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of all arrays, which names these embeddings."""
        digest = hashlib.sha256()
        for array in (self.image_embeddings, self.text_embeddings, self.query_embeddings):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _part(self, query_rows: Sequence[int], doc_rows: Sequence[int], **changes: Any) -> Self:
        return super()._part(
            query_rows,
            doc_rows,
            image_embeddings=self.image_embeddings[list(doc_rows)],
            text_embeddings=self.text_embeddings[list(doc_rows)],
            query_embeddings=self.query_embeddings[list(query_rows)],
            **changes,
        )


@dataclass(frozen=True)
class _FeatureFile:
    """A public file of stacked pairs, (2, n, dim): images first."""

    file: str
    url: str
    sha256: str
    size: int
    encoder_name: str
    licence: str


FEATURE_SETS = {
    "clip-vit-b16-coco500": _FeatureFile(
        file="features_clip.npy",
        url="https://raw.githubusercontent.com/Weixin-Liang/Modality-Gap/"
        "8e20cb24efa4c5f89aad694f2f65eb43ffc46d10/Figure_1_Modality_Gap/features_clip.npy",
        sha256="7227280ace0f145d2c45afa8ab507a1cb280e9460aa271fe9052d08e35342adb",
        size=2_048_128,
        encoder_name="CLIP ViT-B/16",
        licence="MIT",
    )
}
"""Public files of features by the name they are loaded by.

``clip-vit-b16-coco500``: CLIP ViT-B/16 on the first 500 image and caption pairs of COCO val2017,
published by Liang et al., "Mind the Gap", NeurIPS 2022.
"""


@guarded
def load_features(
    image: Source,
    text: Source | None = None,
    queries: Source | None = None,
    *,
    ids: Sequence[str] | None = None,
    name: str | None = None,
    encoder_name: str = "features",
    on_error: OnError = "raise",
) -> FeatureCorpus:
    """Load ready-made embeddings of pairs, from ``.npy`` files or arrays; nothing is unpickled.

    There is one document and one query for each pair, and its own document is relevant to a query.
    Where no ``queries`` (n, dim) are given, the text of the pair is the query. It would then meet
    itself as a document, with a cosine of 1; therefore that one score is left out, see
    ``Corpus.left_out``. Such queries can be answered by an image alone.

    ``image`` is (n, dim), with ``text`` of the same shape, row i paired with row i; or alone: both
    stacked (2, n, dim), images first, or a folder with ``image.npy``, ``text.npy`` and, where there
    are any, ``queries.npy`` and ``ids.txt`` (one id a line). ``on_error="skip"`` leaves out pairs
    with a row of zeros, NaN or infinity and lists them in ``Corpus.skipped``.

    >>> image, text = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.8, 0.6], [0.6, 0.8]])
    >>> corpus = load_features(image, text, ids=["cat", "dog"])
    >>> corpus
    FeatureCorpus('features/arrays', 2 documents, 2 queries)
    >>> corpus.left_out["cat"]
    frozenset({('cat', 'text')})
    """
    rejects = Rejects(on_error)
    label = "arrays" if isinstance(image, np.ndarray) else Path(image).resolve().stem
    if not isinstance(image, np.ndarray) and Path(image).is_dir():
        if text is not None:
            msg = f"{image} is a folder, which holds the texts too; got text as well. Give one"
            raise CorpusError(msg)
        image, text, queries, ids = _of_folder(Path(image), queries, ids)
    sides: list[tuple[str, Source]]
    if text is None:
        stacked = _array(_called("image", image), image)
        if stacked.ndim != 3 or len(stacked) != 2:
            msg = (
                f"{_called('image', image)} has shape {stacked.shape}; without texts expected "
                "(2, n, dim), images first. Or give images and texts apart, each (n, dim)"
            )
            raise CorpusError(msg)
        where = "" if isinstance(image, np.ndarray) else f" of {image}"
        sides = [(f"images{where}", stacked[0]), (f"texts{where}", stacked[1])]
    else:
        sides = [(_called("image", image), image), (_called("text", text), text)]
    if queries is not None:
        sides.append((_called("query", queries), queries))
    rows = [(called, _rows(called, source)) for called, source in sides]
    corpus = _pairs(name or f"{PREFIX}{label}", rows, ids, encoder_name, rejects)
    rejects.warn(corpus.name)
    return corpus


@guarded
def load_feature_set(name: str, *, on_error: OnError = "raise") -> FeatureCorpus:
    """Load one of the public ``FEATURE_SETS``, by its name with or without ``features/``.

    Taken from the folder ``MMGAP_ORACLES``, else from the user's cache folder, else downloaded
    into it. The checksum is compared each time.
    """
    known = FEATURE_SETS.get(name.removeprefix(PREFIX))
    if known is None:
        msg = f"no features are called {name!r}; known: {', '.join(FEATURE_SETS)}"
        raise CorpusError(msg)
    stacked = np.load(io.BytesIO(_bytes_of(known)), allow_pickle=False)
    corpus = load_features(
        stacked,
        name=PREFIX + name.removeprefix(PREFIX),
        encoder_name=known.encoder_name,
        on_error=on_error,
    )
    return replace(corpus, licence=known.licence)


def find_features(name: str) -> tuple[Path, ...] | None:
    """Return the files or the folder that a corpus name means, or None if it means no features.

    ``STACKED.npy``, ``IMAGE.npy,TEXT.npy``, ``IMAGE.npy,TEXT.npy,QUERIES.npy``, or a folder that
    holds ``image.npy``; ``features/`` may stand before it.

    >>> find_features("image.npy,text.npy")
    (PosixPath('image.npy'), PosixPath('text.npy'))
    >>> find_features("pictograms")
    """
    for each in (name, name.removeprefix(PREFIX)):
        if (Path(each) / "image.npy").is_file() or Path(each).is_file():
            return (Path(each),) if Path(each).is_dir() or each.endswith(".npy") else None
    parts = name.removeprefix(PREFIX).split(",")
    if all(part.endswith(".npy") for part in parts):
        return tuple(map(Path, parts))
    return None


def _of_folder(
    folder: Path, queries: Source | None, ids: Sequence[str] | None
) -> tuple[Path, Path, Source | None, Sequence[str] | None]:
    if queries is None and (folder / "queries.npy").is_file():
        queries = folder / "queries.npy"
    if ids is None and (folder / "ids.txt").is_file():
        ids = (folder / "ids.txt").read_text(encoding="utf-8").splitlines()
    return folder / "image.npy", folder / "text.npy", queries, ids


def _called(side: str, source: Source) -> str:
    return f"the {side} array" if isinstance(source, np.ndarray) else str(source)


def _rows(called: str, source: Source) -> np.ndarray:
    rows = _array(called, source)
    if rows.ndim != 2 or 0 in rows.shape:
        msg = (
            f"{called} has shape {rows.shape}; expected two axes (n, dim), a row for each pair, at "
            "least one"
        )
        raise CorpusError(msg)
    return rows


def _array(called: str, source: Source) -> np.ndarray:
    array = source
    if not isinstance(source, np.ndarray):
        try:
            array = np.load(source, allow_pickle=False)
        except OSError as error:
            msg = f"{called} cannot be read ({error.strerror or error}); expected a .npy file"
            raise CorpusError(msg) from error
        except (ValueError, EOFError) as error:  # cut short, another format, or pickled objects
            msg = (
                f"{called} is not a complete .npy file of numbers ({error}); use numpy.save. "
                "Pickled objects are never read"
            )
            raise CorpusError(msg) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        msg = f"{called} holds {kind}; expected one array of real numbers"
        raise CorpusError(msg)
    with np.errstate(over="ignore"):  # what does not fit float32 becomes infinite and is named
        return array.astype(np.float32)


def _pairs(
    name: str,
    rows: Sequence[tuple[str, np.ndarray]],
    ids: Sequence[str] | None,
    encoder_name: str,
    rejects: Rejects,
) -> FeatureCorpus:
    """Build the corpus from images, texts and, where they are given, queries, in this order."""
    (first, image), *others = rows
    for called, found in others:
        if found.shape != image.shape:
            msg = (
                f"{called} has shape {found.shape} and {first} {image.shape}; expected the same "
                "number of rows, since row i of each belongs to pair i, and one model's dimensions"
            )
            raise CorpusError(msg)
    n_pair = len(image)
    if ids is None:
        ids = [f"pair-{at:0{max(3, len(str(n_pair - 1)))}d}" for at in range(n_pair)]
    elif len(ids) != n_pair:
        msg = f"got {len(ids)} ids for {n_pair} pairs; expected one id for each pair, in order"
        raise CorpusError(msg)
    usable = np.ones(n_pair, dtype=bool)
    for called, found in rows:
        finite = np.isfinite(found).all(axis=1)
        for at in np.flatnonzero(~finite | ~found.any(axis=1)).tolist():
            what = "is zero" if finite[at] else "holds NaN or infinity"
            item = f"row {at} of {called} (pair {ids[at]!r})"
            rejects.add(item, f"{what}, so it has no direction")
            usable[at] = False
    if not usable.any():
        msg = f"{name}: none of the {n_pair} pairs can be used; no row has a direction"
        raise CorpusError(msg)
    kept = [str(ids[at]) for at in np.flatnonzero(usable).tolist()]
    image, text, *queries = (found[usable] for _, found in rows)
    return FeatureCorpus(
        name,
        documents=[Document(pair) for pair in kept],
        queries=[Query(pair, "") for pair in kept],
        qrels=Qrels(Judgment(pair, pair, 1) for pair in kept),
        skipped=rejects.skipped,
        left_out={} if queries else {pair: frozenset({(pair, "text")}) for pair in kept},
        image_embeddings=image,
        text_embeddings=text,
        query_embeddings=queries[0] if queries else text,
        encoder_name=encoder_name,
    )


def _bytes_of(known: _FeatureFile) -> bytes:
    """Return the published file, from the first source that has it."""
    given = paths.oracles_dir() / known.file
    if given.is_file():
        data = given.read_bytes()
        if _sha256(data) != known.sha256:
            msg = (
                f"{given} is not the published file: its sha256 is {_sha256(data)}, expected "
                f"{known.sha256}. Replace it by {known.url}, or remove it and it is downloaded"
            )
            raise CorpusError(msg)
        return data
    cached = paths.cache_dir() / "features" / known.file
    if cached.is_file():
        data = cached.read_bytes()
        if _sha256(data) == known.sha256:
            return data
        warnings.warn(
            f"{cached} was cut short or altered; it is downloaded again",
            CacheDamageWarning,
            stacklevel=4,
        )
    data = _download(known, cached)
    paths.write_whole(cached, data)
    return data


def _download(known: _FeatureFile, target: Path) -> bytes:
    try:
        with urllib.request.urlopen(known.url, timeout=_TIMEOUT_SECONDS) as response:
            data = response.read(known.size + 1)  # another file may be of any length
    except (OSError, HTTPException) as error:  # no network, no such page, cut off
        msg = (
            f"{known.url} cannot be downloaded ({error}); it has {known.size / 1e6:.1f} MB. Fetch "
            f"it where there is a network and put it at {target}, or into the folder that "
            "MMGAP_ORACLES names"
        )
        raise CorpusError(msg) from error
    if _sha256(data) != known.sha256:
        msg = (
            f"{known.url} did not return the published file but {len(data):,} bytes with "
            f"sha256 {_sha256(data)}, expected {known.size:,} bytes with {known.sha256}. Nothing "
            f"was kept; try again, or put the file at {target}"
        )
        raise CorpusError(msg)
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
