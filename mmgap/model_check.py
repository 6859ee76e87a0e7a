"""Does a model do what the catalogue says of it? Run it on a few bundled drawings and see.

Meant for a machine that can download the weights: the catalogue was written without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus import load_corpus
from mmgap.encoders import load_encoder
from mmgap.encoders.catalog import ModelFacts, find_model
from mmgap.encoders.checkpoint import card_licence, local_folder
from mmgap.encoders.naming import is_hub_like, split_name
from mmgap.encoders.similarity import similarity
from mmgap.encoders.token_vectors import Embeddings, TokenVectors
from mmgap.encoders.truncation import truncate
from mmgap.errors import EncoderError
from mmgap.paths import data_dir
from mmgap.rerankers import Content, Pair, load_reranker

if TYPE_CHECKING:
    from PIL import Image

    from mmgap.encoders import Encoder
    from mmgap.rerankers import Reranker

ALIKE = 0.999
"""Cosine from which two vectors count as the same: above any rounding, bfloat16's included, and
well below what wrong padding or a wrong prompt leaves."""

_LONGEST = 2048  # longer texts take minutes on a processor
_ROUNDING = 1e-3


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    passed : bool or None
        ``None``: not checked; ``found`` says why.
    found : str
    expected : str
    """

    name: str
    passed: bool | None
    found: str
    expected: str


def check_model(name: str) -> list[CheckResult]:
    """Load a model as the catalogue says, run it, and compare.

    Parameters
    ----------
    name : str
        An id of the catalogue, encoder or reranker, or ``"ID@FOLDER"`` for files that are already
        on this machine.

    Returns
    -------
    list of CheckResult
        A random checkpoint may pass all but ``"paired > unpaired"``, which needs training.

    Raises
    ------
    EncoderError
        If the catalogue has no such model, or it cannot be loaded.

    Examples
    --------
    >>> all(result.passed for result in check_model("mini-clip"))  # doctest: +SKIP
    True
    """
    model_id, folder = split_name(str(name))
    facts = find_model(model_id)
    if facts.is_reranker:
        return [*_check_reranker(load_reranker(name), facts), _check_licence(facts, folder)]
    return [*_check_encoder(name, facts), _check_licence(facts, folder)]


@dataclass(frozen=True)
class _Sanity:
    """A few things: how one asks for them, what a caption says, and a drawing of each."""

    queries: list[str]
    texts: list[str]
    images: list[Image.Image]


@cache
def _sanity_set(n: int = 16) -> _Sanity:
    """Take things of the bundled corpus that are far from one another."""
    corpus = load_corpus("pictograms", split="test", condition="style")
    queries, documents, seen = [], [], set()
    for query in corpus.queries:
        cluster = query.metadata.get("cluster")
        if query.metadata.get("phrasing") != "name" or cluster in seen:
            continue
        document = corpus.document(sorted(corpus.qrels.relevant(query.id))[0])
        if document.text and document.image and document.metadata.get("informative") == "true":
            seen.add(cluster)
            queries.append(query.text)
            documents.append(document)
    chosen = range(0, len(queries), len(queries) // n)[:n]
    pictures = [documents[place].image for place in chosen]
    return _Sanity(
        [queries[place] for place in chosen],
        [documents[place].text or "" for place in chosen],
        [picture.open() for picture in pictures if picture is not None],
    )


def _check_encoder(name: str, facts: ModelFacts) -> list[CheckResult]:
    encoder = load_encoder(name)
    sanity = _sanity_set()
    legs: dict[str, tuple[Sequence, Callable[..., Embeddings]]] = {}
    if "text" in encoder.info.modalities:
        legs["text"] = sanity.texts, encoder.encode_text
    if "image" in encoder.info.modalities:
        legs["image"] = sanity.images, encoder.encode_images
    found = {leg: encode(items) for leg, (items, encode) in legs.items()}
    rows = np.concatenate([_rows(embeddings) for embeddings in found.values()])
    results = [
        _check_modalities(encoder.info.modalities, facts),
        _check_revision(encoder.info.revision, facts, local=split_name(name)[1] is not None),
        _check_dim(rows.shape[1], facts),
        _check_finite(rows),
        _check_norm(rows),
    ]
    for leg, (items, encode) in legs.items():
        results.append(_check_batches(leg, found[leg], encode(items, batch_size=1)))
        results.append(_check_order(leg, found[leg], encode(items[::-1], batch_size=5)))
    if "text" in legs:
        asked = encoder.encode_text(sanity.queries, role="query")
        documents = found.get("image", found["text"])
        scores = similarity(asked, documents)
        results += [_check_range(scores), _check_pairs(scores), _check_long_texts(encoder)]
        results.append(_check_matryoshka(name, facts, encoder, sanity.texts))
    return results


def _check_reranker(reranker: Reranker, facts: ModelFacts) -> list[CheckResult]:
    sanity = _sanity_set(8)
    queries = [Content(query) for query in sanity.queries]
    if "text-image" in reranker.info.modalities:
        documents = [Content(image=image) for image in sanity.images]
    else:
        documents = [Content(text) for text in sanity.texts]
    pairs = [Pair(query, document) for query in queries for document in documents]
    flat = reranker.score(pairs)
    single = reranker.score(pairs[:4], batch_size=1)
    backwards = reranker.score(pairs[::-1], batch_size=5)[::-1]
    scale = max(1.0, float(np.abs(flat).max()))
    bounded = "[0, 1]" in reranker.info.score
    within = bool((flat >= 0).all() and (flat <= 1).all())
    return [
        _check_modalities(reranker.info.modalities, facts),
        _check_finite(flat),
        CheckResult("score", reranker.info.score == facts.score, reranker.info.score, facts.score),
        CheckResult(
            "score range",
            within if bounded else None,
            _interval(flat),
            "[0, 1]" if bounded else "unbounded",
        ),
        _check_close("batch of one = batch of many", single, flat[:4], scale),
        _check_close("order is kept", backwards, flat, scale),
        _check_pairs(flat.reshape(len(queries), len(documents))),
    ]


def _check_modalities(found: Sequence[str], facts: ModelFacts) -> CheckResult:
    same = set(found) == set(facts.modalities)
    return CheckResult("reads", same, ", ".join(found), ", ".join(facts.modalities))


def _check_revision(found: str | None, facts: ModelFacts, *, local: bool) -> CheckResult:
    if local:
        return CheckResult("revision", None, "files of a folder", facts.revision or "any")
    if facts.revision is None:
        return CheckResult("revision", None, found or "none", "none pinned")
    return CheckResult("revision", found == facts.revision, found or "none", facts.revision)


def _check_dim(found: int, facts: ModelFacts) -> CheckResult:
    if facts.dim is None:
        return CheckResult("dimensions", None, str(found), "not established")
    return CheckResult("dimensions", found == facts.dim, str(found), str(facts.dim))


def _check_finite(values: np.ndarray) -> CheckResult:
    n_bad = int((~np.isfinite(values)).sum())
    return CheckResult("finite", n_bad == 0, f"{n_bad} NaN or infinite", "0")


def _check_norm(rows: np.ndarray) -> CheckResult:
    norms = np.linalg.norm(rows, axis=1)
    passed = bool((np.abs(norms - 1) <= _ROUNDING).all())
    return CheckResult("unit norm", passed, _interval(norms), f"1 within {_ROUNDING:g}")


def _check_batches(leg: str, many: Embeddings, single: Embeddings) -> CheckResult:
    return _check_alike(f"{leg}: batch of one = batch of many", many, single)


def _check_order(leg: str, forwards: Embeddings, backwards: Embeddings) -> CheckResult:
    """See that no other input's vector is nearer than its own; equal ones may share a place."""
    scores = similarity(forwards, backwards)[:, ::-1]
    in_place = int((np.diag(scores) >= scores.max(axis=1) - _ROUNDING).sum())
    found, expected = f"{in_place} of {len(scores)} in place", f"{len(scores)} in place"
    return CheckResult(f"{leg}: order is kept", in_place == len(scores), found, expected)


def _check_range(scores: np.ndarray) -> CheckResult:
    passed = bool((np.abs(scores) <= 1 + _ROUNDING).all())
    return CheckResult("score range", passed, _interval(scores), "[-1, 1]")


def _check_pairs(scores: np.ndarray) -> CheckResult:
    """Compare the scores of a thing's name with the thing itself and with other things."""
    paired = float(np.diag(scores).mean())
    unpaired = float(scores[~np.eye(len(scores), dtype=bool)].mean())
    return CheckResult(
        "paired > unpaired",
        paired > unpaired,
        f"means {paired:.4f} and {unpaired:.4f}",
        "the first larger, for trained weights",
    )


def _check_long_texts(encoder: Encoder) -> CheckResult:
    """See that what stands after the last token it reads makes no difference."""
    name, limit = "long texts are cut", encoder.info.max_text_tokens
    if limit is None or limit > _LONGEST:
        reason = "its limit is unknown" if limit is None else f"{limit} tokens: too long to run"
        return CheckResult(name, None, reason, "cut")
    text = "photo " * (limit + 1)
    found = encoder.encode_text([text, f"{text} of a zebra"])
    return _check_alike(name, found[:1], found[1:])


def _check_matryoshka(
    name: str, facts: ModelFacts, encoder: Encoder, texts: Sequence[str]
) -> CheckResult:
    title = "Matryoshka"
    shortest = min(facts.matryoshka_dims, default=0)
    if not shortest:
        return CheckResult(title, None, "no such lengths", "none in the catalogue")
    expected = f"first {shortest} coordinates, unit norm"
    whole = np.asarray(encoder.encode_text(texts, normalize=False))
    try:
        short = np.asarray(load_encoder(name, dim=shortest).encode_text(texts))
    except EncoderError as error:
        return CheckResult(title, False, str(error), expected)
    return _check_alike(title, short, truncate(whole, shortest, normalize=True))


def _check_alike(name: str, found: Embeddings, expected: Embeddings) -> CheckResult:
    """Compare vectors that should be the same, row by row."""
    if isinstance(found, TokenVectors) or isinstance(expected, TokenVectors):
        cosines = np.diag(similarity(found, expected))
    else:
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        cosines = (found * expected).sum(axis=1) / lengths
    lowest = float(cosines.min())
    return CheckResult(name, lowest >= ALIKE, f"lowest cosine {lowest:.4f}", f"{ALIKE:g} or more")


def _check_close(name: str, found: np.ndarray, expected: np.ndarray, scale: float) -> CheckResult:
    off = float(np.abs(found - expected).max()) / scale
    return CheckResult(name, off <= 0.01, f"off by {off:.2g}", "off by 0.01 or less")


def _check_licence(facts: ModelFacts, folder: Path | None) -> CheckResult:
    cards = _cards(facts, folder)
    if not cards:
        return CheckResult("licence", None, "no model card at hand", facts.licence)
    found = [card_licence(card) or "none" for card in cards]
    same = all(licence.lower() == facts.licence.lower() for licence in found)
    return CheckResult("licence", same, ", ".join(dict.fromkeys(found)), facts.licence)


def _cards(facts: ModelFacts, folder: Path | None) -> list[Path]:
    """Return the model cards: of the folder, else of the repositories on the hub."""
    if folder is not None:
        return [*folder.glob("README.md"), *folder.glob("*/README.md")]
    if facts.backend == "mini":
        return [data_dir() / "models" / facts.id / "README.md"]
    repositories = {
        facts.files[f"{leg}_repo"]: facts.files.get(f"{leg}_revision")
        for leg in ("text", "image")
        if f"{leg}_repo" in facts.files
    }
    if not repositories and is_hub_like(facts.id):
        repositories = {facts.id: facts.revision}
    folders = [
        local_folder(repository, revision, files=["README.md"])
        for repository, revision in repositories.items()
    ]
    return [card for card in (folder / "README.md" for folder in folders) if card.is_file()]


def _rows(embeddings: Embeddings) -> np.ndarray:
    return embeddings.tokens if isinstance(embeddings, TokenVectors) else embeddings


def _interval(values: np.ndarray) -> str:
    return f"[{values.min():.4f}, {values.max():.4f}]"
