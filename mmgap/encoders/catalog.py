"""What is known about every model of the field, before any of its files is fetched.

Two files hold the facts: ``catalog.toml`` beside this module the encoders, and
``rerankers/catalog.toml`` the rerankers. What is not established there is left out, and reads as
``None`` or empty here; the notes of a model say what was taken from memory.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from mmgap._toml import read_rows
from mmgap.errors import EncoderError

BACKENDS = {
    "encoder": {
        "mini": "mmgap.encoders.mini:MiniEncoder",
        "sentence-transformers": "mmgap.encoders.sentence_transformers:SentenceTransformerEncoder",
        "open-clip": "mmgap.encoders.open_clip:OpenClipEncoder",
        "onnx": "mmgap.encoders.onnx:OnnxEncoder",
        "multi-vector": "mmgap.encoders.late_interaction:LateInteractionEncoder",
        "api": "mmgap.encoders.api:ApiEncoder",
    },
    "reranker": {
        "mini": "mmgap.rerankers.mini:MiniReranker",
        "cross-encoder": "mmgap.rerankers.cross_encoder:CrossEncoderReranker",
        "jina-m0": "mmgap.rerankers.jina_m0:JinaM0Reranker",
        "api": "mmgap.rerankers.api:ApiReranker",
    },
}
"""What can run a model of each kind, as ``"module:Class"``: each brings heavy libraries along."""

MODALITIES = ("text", "image", "fused")
"""What an encoder reads; ``"fused"`` is a text and an image in one input."""

_PAIRS = tuple(f"{query}-{document}" for query in MODALITIES for document in MODALITIES)
_PACKAGE = Path(__file__).parents[1]
_FILES = (_PACKAGE / "encoders" / "catalog.toml", _PACKAGE / "rerankers" / "catalog.toml")
_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class PublishedResult:
    """A number that somebody else measured, as printed in ``source``; mostly in percent."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    task: str
    measure: str
    value: float
    source: str


@dataclass(frozen=True)
class ModelFacts:
    """The facts of one encoder or reranker; one row of the catalogue.

    ``None`` and empty mean: not established, or not there. A reranker's ``modalities`` are pairs of
    query and document, such as ``"text-image"``; it has no ``dim``. For late interaction ``dim`` is
    the length of one token's vector.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    id: str  # the name it is loaded by: mostly its hub id
    backend: str
    modalities: tuple[str, ...]
    licence: str  # SPDX identifier, or the licence's own name where there is none
    languages: tuple[str, ...]  # ISO 639-1 codes, or ("multilingual",)
    dim: int | None = None
    commercial: bool | None = None  # whether the licence allows commercial use
    parameters: float | None = None  # in millions
    language_count: int | None = None  # as the makers claim
    max_text_tokens: int | None = None  # longer texts are cut
    image_size: int | None = None  # side of the square the image tower sees; None: many sizes
    matryoshka_dims: tuple[int, ...] = ()  # lengths its vectors may be cut to
    query_prompt: str = ""  # put before the text
    document_prompt: str = ""
    pooling: str = ""  # cls, eos, mean, map, last or late interaction
    layer_norm: bool = False  # the pooled text vector gets a layer norm before it is cut (nomic)
    score: str = ""  # what logit scale and bias mean, or what a reranker's score is
    one_index: bool = False  # may be in one index with texts of a plain text embedder
    remote_code: bool = False  # runs only with Python code from the hub
    alternative: str = ""  # id of a model to take instead where remote_code is a bar
    revision: str | None = None  # pinned commit
    files: Mapping[str, str] = field(default_factory=dict)  # by role, for the backend
    tested: str = ""  # how mmgap's tests run it; empty if only its family is tested
    notes: str = ""  # traps, alternatives, and what was taken from memory
    results: tuple[PublishedResult, ...] = ()  # never measured by mmgap

    @property
    def is_reranker(self) -> bool:
        """Whether it scores pairs; an encoder gives vectors."""
        return any("-" in modality for modality in self.modalities)

    @property
    def kind(self) -> str:
        """``"encoder"`` or ``"reranker"``."""
        return "reranker" if self.is_reranker else "encoder"


def find_model(model_id: str) -> ModelFacts:
    """Return the facts of an encoder or reranker; an error names the nearest ids.

    >>> find_model("openai/clip-vit-base-patch32").dim
    512
    >>> find_model("openai/clip-vit-base-patch23")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: no model is called 'openai/clip-vit-base-patch23'; did you mean ...
    """
    known = {facts.id: facts for facts in all_models()}
    if model_id in known:
        return known[model_id]
    msg = f"no model is called {model_id!r}{nearest_names(model_id, known)}"
    raise EncoderError(msg)


def facts_of(name: str) -> ModelFacts:
    """Return the facts of a model; of one that the catalogue lacks, nothing but its name."""
    nothing = ModelFacts(name, backend="", modalities=(), licence="", languages=())
    return next((facts for facts in all_models() if facts.id == name), nothing)


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about a name that is no model: what it may have meant.

    >>> nearest_names("mini-clap", ["mini-clip", "nomic-embed-v1.5"])
    "; did you mean mini-clip? 'mmgap models' lists all of them"
    """
    # Owners are often left out or mistaken, so the part after the slash counts as a name too.
    likeness = {
        model: max(_likeness(name, model), _likeness(_own_name(name), _own_name(model)))
        for model in known
    }
    nearest = sorted(likeness, key=likeness.__getitem__, reverse=True)[:3]
    nearest = [model for model in nearest if likeness[model] > 0.6]
    question = f"; did you mean {' or '.join(nearest)}?" if nearest else "."
    return f"{question} 'mmgap models' lists all of them"


def _likeness(left: str, right: str) -> float:
    return difflib.SequenceMatcher(None, left.lower(), right.lower()).ratio()


def _own_name(model: str) -> str:
    return re.split(r"[/:]", model)[-1]


@cache
def all_models() -> tuple[ModelFacts, ...]:
    """Return the facts of every encoder, then of every reranker."""
    return tuple(facts for path in _FILES if path.is_file() for facts in load_catalog(path))


def load_catalog(path: Path) -> tuple[ModelFacts, ...]:
    """Read and check a catalogue file: ``[[model]]`` tables, whose keys :class:`ModelFacts` lists.

    An ``EncoderError`` names file, model and key.
    """
    models = read_rows(path, "model", ModelFacts, EncoderError)
    for facts in models:
        if problem := _problem(facts):
            msg = f"{path}, model {facts.id!r}: {problem}"
            raise EncoderError(msg)
    return models


def _problem(facts: ModelFacts) -> str:
    """Return what is well typed and cannot be right."""
    backends = BACKENDS[facts.kind]
    modalities = _PAIRS if facts.is_reranker else MODALITIES
    if not facts.modalities:
        return f"no modality; expected some of {', '.join(MODALITIES)}"
    if wrong := [each for each in facts.modalities if each not in modalities]:
        return f"unknown modality {wrong[0]!r}; expected some of {', '.join(modalities)}"
    if facts.backend not in backends:
        return f"unknown backend {facts.backend!r}; expected one of {', '.join(backends)}"
    if facts.is_reranker and facts.dim is not None:
        return f"dim is {facts.dim}; a reranker gives scores, not vectors, and has none"
    sizes = (facts.dim, facts.parameters, facts.max_text_tokens, facts.image_size)
    if any(size is not None and size < 1 for size in sizes):
        return "dim, parameters, max_text_tokens and image_size must be 1 or more"
    for dim in facts.matryoshka_dims:
        if dim < 1 or facts.dim is None or dim > facts.dim:
            return f"matryoshka_dims has {dim}; expected 1 to dim, which is {facts.dim}"
    return ""
