"""Does an encoder do what the catalogue says of it? Run it on a few bundled drawings and see.

Meant for a machine that can download the weights: the catalogue was written without them. A random
checkpoint may pass all but ``"paired > unpaired"``, which needs training.
``mmgap.rerankers.check`` does the same for rerankers, and tells the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mmgap.corpus import load_corpus
from mmgap.encoders import Embeddings, TokenVectors, load_encoder, similarity
from mmgap.encoders.catalog import ModelFacts
from mmgap.encoders.files import card_licence, local_folder
from mmgap.encoders.loading import is_hub_like, split_name
from mmgap.encoders.vectors import truncate
from mmgap.errors import EncoderError
from mmgap.paths import data_dir

if TYPE_CHECKING:
    from PIL import Image

    from mmgap.encoders import Encoder

ALIKE = 0.999
"""Cosine from which two vectors count as the same: above any rounding, bfloat16's included, and
well below what wrong padding or a wrong prompt gives."""

_LONGEST = 2048  # longer texts take minutes on a processor
_ROUNDING = 1e-3


class CheckResult(NamedTuple):
    """One thing that was looked at; ``passed`` is None where ``found`` says why it was not."""

    name: str
    passed: bool | None
    found: str
    expected: str


class Sanity(NamedTuple):
    """A few things: how one asks for them, what a caption says, and a drawing of each."""

    queries: list[str]
    texts: list[str]
    images: list[Image.Image]


@cache
def sanity_set(n: int = 16) -> Sanity:
    """Take things of the bundled corpus that are far from one another."""
    corpus = load_corpus("pictograms", split="test", condition="style")
    found, seen = [], set()
    for query in corpus.queries:
        cluster = query.metadata.get("cluster")
        if query.metadata.get("phrasing") != "name" or cluster in seen:
            continue
        document = corpus.document(sorted(corpus.qrels.relevant(query.id))[0])
        if document.text and document.image and document.metadata.get("informative") == "true":
            seen.add(cluster)
            found.append((query.text, document.text, document.image))
    queries, texts, images = zip(*found[:: len(found) // n][:n], strict=True)
    return Sanity(list(queries), list(texts), [image.open() for image in images])


def check_encoder(name: str, facts: ModelFacts) -> list[CheckResult]:
    """Load an encoder as the catalogue says, run it, and compare."""
    encoder = load_encoder(name)
    sanity = sanity_set()
    legs: dict[str, tuple[Sequence, Callable[..., Embeddings]]] = {}
    if "text" in encoder.info.modalities:
        legs["text"] = sanity.texts, encoder.encode_text
    if "image" in encoder.info.modalities:
        legs["image"] = sanity.images, encoder.encode_images
    found = {leg: encode(items) for leg, (items, encode) in legs.items()}
    rows = np.concatenate([v.tokens if isinstance(v, TokenVectors) else v for v in found.values()])
    norms = np.linalg.norm(rows, axis=1)
    unit = bool((np.abs(norms - 1) <= _ROUNDING).all())
    results = [
        check_modalities(encoder.info.modalities, facts),
        _check_revision(encoder.info.revision, facts, local=split_name(name)[1] is not None),
        CheckResult("dimensions", None, str(rows.shape[1]), "not established")
        if facts.dim is None
        else _equal("dimensions", str(rows.shape[1]), str(facts.dim)),
        check_finite(rows),
        CheckResult("unit norm", unit, interval(norms), f"1 within {_ROUNDING:g}"),
    ]
    for leg, (items, encode) in legs.items():
        name_of_batches = f"{leg}: batch of one = batch of many"
        results.append(_check_alike(name_of_batches, found[leg], encode(items, batch_size=1)))
        results.append(_check_order(leg, found[leg], encode(items[::-1], batch_size=5)))
    if "text" in legs:
        asked = encoder.encode_text(sanity.queries, role="query")
        scores = similarity(asked, found.get("image", found["text"]))
        in_range = bool((np.abs(scores) <= 1 + _ROUNDING).all())
        results += [
            CheckResult("score range", in_range, interval(scores), "[-1, 1]"),
            check_pairs(scores),
            _check_long_texts(encoder),
            _check_matryoshka(name, facts, encoder, sanity.texts),
        ]
    return results


def _equal(name: str, found: str, expected: str) -> CheckResult:
    return CheckResult(name, found == expected, found, expected)


def check_modalities(found: Sequence[str], facts: ModelFacts) -> CheckResult:
    """Compare what is read with the catalogue's row."""
    same = set(found) == set(facts.modalities)
    return CheckResult("reads", same, ", ".join(found), ", ".join(facts.modalities))


def _check_revision(found: str | None, facts: ModelFacts, *, local: bool) -> CheckResult:
    if local:
        return CheckResult("revision", None, "files of a folder", facts.revision or "any")
    if facts.revision is None:
        return CheckResult("revision", None, found or "none", "none pinned")
    return _equal("revision", found or "none", facts.revision)


def check_finite(values: np.ndarray) -> CheckResult:
    """See that there is no NaN and nothing infinite."""
    n_bad = int((~np.isfinite(values)).sum())
    return CheckResult("finite", n_bad == 0, f"{n_bad} NaN or infinite", "0")


def _check_order(leg: str, forwards: Embeddings, backwards: Embeddings) -> CheckResult:
    """See that no other input's vector is nearer than its own; equal ones may share a row."""
    scores = similarity(forwards, backwards)[:, ::-1]
    in_place = int((np.diag(scores) >= scores.max(axis=1) - _ROUNDING).sum())
    found, expected = f"{in_place} of {len(scores)} in order", f"{len(scores)} in order"
    return CheckResult(f"{leg}: order is kept", in_place == len(scores), found, expected)


def check_pairs(scores: np.ndarray) -> CheckResult:
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
    whole = np.asarray(encoder.encode_text(texts, normalize=False))
    try:
        short = np.asarray(load_encoder(name, dim=shortest).encode_text(texts))
    except EncoderError as error:
        expected = f"first {shortest} coordinates, unit norm"
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


def check_licence(facts: ModelFacts, folder: Path | None) -> CheckResult:
    """Compare the model cards, of the folder or else of the hub, with the catalogue's row."""
    if folder is not None:
        cards = [*folder.glob("README.md"), *folder.glob("*/README.md")]
    elif facts.backend == "mini":
        cards = [data_dir() / "models" / facts.id / "README.md"]
    else:
        repositories = {
            facts.files[f"{leg}_repo"]: facts.files.get(f"{leg}_revision")
            for leg in ("text", "image")
            if f"{leg}_repo" in facts.files
        }
        if not repositories and is_hub_like(facts.id):
            repositories = {facts.id: facts.revision}
        cards = [
            card
            for repository, revision in repositories.items()
            if (
                card := local_folder(repository, revision, files=["README.md"]) / "README.md"
            ).is_file()
        ]
    if not cards:
        return CheckResult("licence", None, "no model card at hand", facts.licence)
    found = [card_licence(card) or "none" for card in cards]
    same = all(licence.lower() == facts.licence.lower() for licence in found)
    return CheckResult("licence", same, ", ".join(dict.fromkeys(found)), facts.licence)


def interval(values: np.ndarray) -> str:
    """Return the range of some values."""
    return f"[{values.min():.4f}, {values.max():.4f}]"
