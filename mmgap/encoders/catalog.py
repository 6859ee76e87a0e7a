"""What is known about every model of the field, before any of its files is fetched.

Two files hold the facts: ``catalog.toml`` beside this module the encoders, and
``rerankers/catalog.toml`` the rerankers. What is not established there is left out, and reads as
``None`` or empty here; the notes of a model say what was taken from memory.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from mmgap.errors import EncoderError

ENCODER_BACKENDS = ("mini", "sentence-transformers", "open-clip", "onnx", "multi-vector", "api")
"""What can run an encoder."""

RERANKER_BACKENDS = ("mini", "cross-encoder", "jina-m0", "api")
"""What can run a reranker."""

MODALITIES = ("text", "image", "fused")
"""What an encoder reads; ``"fused"`` is a text and an image in one input."""

_PAIRS = tuple(f"{query}-{document}" for query in MODALITIES for document in MODALITIES)
_PACKAGE = Path(__file__).parents[1]
_FILES = (_PACKAGE / "encoders" / "catalog.toml", _PACKAGE / "rerankers" / "catalog.toml")


@dataclass(frozen=True)
class PublishedResult:
    """A number that somebody else measured.

    Parameters
    ----------
    task : str
        The data set or benchmark, such as ``"COCO"``.
    measure : str
        What was measured there, such as ``"R@1 text to image"``. Larger is better.
    value : float
        As printed in the source; most measures are in percent.
    source : str
        Where it stands.
    """

    task: str
    measure: str
    value: float
    source: str


@dataclass(frozen=True)
class ModelFacts:
    """The facts of one encoder or reranker; one row of the catalogue.

    Parameters
    ----------
    id : str
        The name it is loaded by: mostly its hub id.
    backend : str
        What runs it: one of ``ENCODER_BACKENDS`` or ``RERANKER_BACKENDS``.
    modalities : tuple of str
        What it reads: ``"text"``, ``"image"``, ``"fused"``; for a reranker the pairs of query and
        document, such as ``"text-image"``.
    licence : str
        SPDX identifier, or the licence's own name where there is none.
    languages : tuple of str
        ISO 639-1 codes, or ``("multilingual",)``.
    dim : int or None
        Length of the vectors; for late interaction of one token's vector. ``None`` for a reranker,
        and where it is not established.
    commercial : bool or None
        Whether the licence allows commercial use; ``None`` = not established.
    parameters : float or None
        In millions.
    language_count : int or None
        How many languages the makers claim.
    max_text_tokens : int or None
        Longer texts are cut.
    image_size : int or None
        Side of the square the image tower sees, in pixels; ``None`` where it takes many sizes.
    matryoshka_dims : tuple of int
        Lengths its vectors may be cut to; empty if it was not trained for that.
    query_prompt, document_prompt : str
        Put before the text.
    pooling : str
        How token states become one vector: ``"cls"``, ``"eos"``, ``"mean"``, ``"map"``, ``"last"``,
        ``"late interaction"``.
    layer_norm : bool
        Whether the pooled text vector gets a layer norm before it is cut (nomic).
    score : str
        What logit scale and bias mean, or what a reranker's score is.
    one_index : bool
        Whether its texts and images may share one index with texts that a plain text embedder made
        earlier, because both have the same space.
    remote_code : bool
        Whether it runs only with Python code from the hub; it is then refused unless the caller
        trusts that code.
    alternative : str
        Id of a model to take instead where ``remote_code`` is a bar; empty if there is none.
    revision : str or None
        Pinned commit; ``None`` = not established.
    files : mapping of str to str
        Files or repositories that the backend needs, by role.
    tested : str
        How mmgap's tests run it: ``"tiny checkpoint"``, ``"local HTTP server"``,
        ``"bundled weights"``; empty if only its family is tested.
    notes : str
        Traps, alternatives, and what was taken from memory.
    results : tuple of PublishedResult
        Never measured by mmgap.
    """

    id: str
    backend: str
    modalities: tuple[str, ...]
    licence: str
    languages: tuple[str, ...]
    dim: int | None = None
    commercial: bool | None = None
    parameters: float | None = None
    language_count: int | None = None
    max_text_tokens: int | None = None
    image_size: int | None = None
    matryoshka_dims: tuple[int, ...] = ()
    query_prompt: str = ""
    document_prompt: str = ""
    pooling: str = ""
    layer_norm: bool = False
    score: str = ""
    one_index: bool = False
    remote_code: bool = False
    alternative: str = ""
    revision: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    tested: str = ""
    notes: str = ""
    results: tuple[PublishedResult, ...] = ()

    @property
    def is_reranker(self) -> bool:
        """Whether it scores pairs; an encoder gives vectors."""
        return any("-" in modality for modality in self.modalities)


def find_model(model_id: str) -> ModelFacts:
    """Return the facts of one encoder or reranker.

    Parameters
    ----------
    model_id : str
        As listed by ``mmgap models``.

    Raises
    ------
    EncoderError
        If the catalogue has no such model; the message names the nearest ones.

    Examples
    --------
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


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about a name that is no model: what it may have meant.

    Examples
    --------
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
    """Return the facts of every encoder, then of every reranker.

    Examples
    --------
    >>> all_models()[0].id
    'mini-clip'
    """
    models = tuple(facts for path in _FILES if path.is_file() for facts in load_catalog(path))
    _refuse_duplicates(models, "the two catalogues")
    return models


def load_catalog(path: Path) -> tuple[ModelFacts, ...]:
    """Read and check a catalogue file.

    Parameters
    ----------
    path : Path
        TOML with one ``[[model]]`` table for each model; its keys are the parameters of
        :class:`ModelFacts`.

    Returns
    -------
    tuple of ModelFacts
        In the order of the file.

    Raises
    ------
    EncoderError
        If the file is no TOML, has unknown keys, misses one that is needed, holds a value of a
        wrong type, names a model twice, an unknown backend or modality, or a Matryoshka length
        above the model's own. The message names file, model and key.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is no TOML: {error}"
        raise EncoderError(msg) from error
    if set(content) != {"model"} or not isinstance(content["model"], list):
        msg = f"{path} holds {sorted(content)} at its top; expected [[model]] tables only"
        raise EncoderError(msg)
    models = tuple(_read(table, str(path)) for table in content["model"])
    _refuse_duplicates(models, str(path))
    return models


def _read(table: dict[str, Any], path: str) -> ModelFacts:
    name = table.get("id", "(a model without id)")
    where = f"{path}, model {name!r}"
    values = _check_fields(ModelFacts, table, where)
    values["results"] = tuple(
        PublishedResult(**_check_fields(PublishedResult, result, f"{where}, results"))
        for result in values.get("results", ())
    )
    facts = ModelFacts(**values)
    _check_meaning(facts, where)
    return facts


def _check_fields(row_class: type, table: Any, where: str) -> dict[str, Any]:
    """Return the values with lists as tuples; refuse unknown and missing keys and wrong types."""
    if not isinstance(table, dict):
        msg = f"{where}: got {table!r}; expected a table"
        raise EncoderError(msg)
    known = [each.name for each in fields(row_class)]
    if unknown := [key for key in table if key not in known]:
        msg = f"{where}: unknown key {unknown[0]!r}; the known keys are {', '.join(known)}"
        raise EncoderError(msg)
    needed = [
        each.name
        for each in fields(row_class)
        if each.default is MISSING and each.default_factory is MISSING
    ]
    if missing := [key for key in needed if key not in table]:
        msg = f"{where}: key {missing[0]!r} is missing; every model needs {', '.join(needed)}"
        raise EncoderError(msg)
    hints = get_type_hints(row_class)
    for key, value in table.items():
        if not _is(value, hints[key]):
            msg = f"{where}: {key!r} is {value!r}; expected {_in_toml(hints[key])}"
            raise EncoderError(msg)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _is(value: Any, hint: Any) -> bool:
    """Tell whether a TOML value has the type of a field."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return isinstance(value, list) and (
            inner is PublishedResult or all(_is(each, inner) for each in value)
        )
    if get_origin(hint) is Mapping:
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if args := get_args(hint):  # a union with None; TOML has no null, so the key is left out
        return any(_is(value, each) for each in args if each is not NoneType)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint  # exact: a bool is no int here


def _in_toml(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"a list of {_in_toml(get_args(hint)[0])}"
    if get_origin(hint) is Mapping:
        return "a table of strings"
    if args := get_args(hint):
        return _in_toml(args[0])
    names = {str: "string", int: "integer", float: "number", bool: "true or false"}
    return names.get(hint, "table")


def _check_meaning(facts: ModelFacts, where: str) -> None:
    """Refuse values that are well typed and cannot be right."""
    backends = RERANKER_BACKENDS if facts.is_reranker else ENCODER_BACKENDS
    modalities = _PAIRS if facts.is_reranker else MODALITIES
    problem = ""
    if not facts.modalities:
        problem = f"no modality; expected some of {', '.join(MODALITIES)}"
    elif wrong := [each for each in facts.modalities if each not in modalities]:
        problem = f"unknown modality {wrong[0]!r}; expected some of {', '.join(modalities)}"
    elif facts.backend not in backends:
        problem = f"unknown backend {facts.backend!r}; expected one of {', '.join(backends)}"
    elif facts.is_reranker and facts.dim is not None:
        problem = f"dim is {facts.dim}; a reranker gives scores, not vectors, and has none"
    elif any(
        dim is not None and dim < 1
        for dim in (facts.dim, facts.parameters, facts.max_text_tokens, facts.image_size)
    ):
        problem = "dim, parameters, max_text_tokens and image_size must be 1 or more"
    elif wrong_dims := [
        dim for dim in facts.matryoshka_dims if dim < 1 or facts.dim is None or dim > facts.dim
    ]:
        problem = f"matryoshka_dims has {wrong_dims[0]}; expected 1 to dim, which is {facts.dim}"
    if problem:
        msg = f"{where}: {problem}"
        raise EncoderError(msg)


def _refuse_duplicates(models: Iterable[ModelFacts], where: str) -> None:
    seen = set()
    for facts in models:
        if facts.id in seen:
            msg = f"{where}: model {facts.id!r} stands there twice; keep one"
            raise EncoderError(msg)
        seen.add(facts.id)
