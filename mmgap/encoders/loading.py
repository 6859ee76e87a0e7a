"""From a name to a model: what the name means, and what must be settled before it is loaded.

Encoders and rerankers are named alike: a catalogue id, a hub id, a folder, or ``ID@FOLDER``.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmgap.encoders.catalog import BACKENDS, ModelFacts, all_models, facts_of, nearest_names
from mmgap.encoders.files import one_error
from mmgap.errors import EncoderError, MissingExtraError, NonCommercialWarning

_LIBRARIES = {"open-clip": "open_clip", "onnx": "onnxruntime"}

_warned: set[str] = set()


def load_model(
    name: str,
    kind: str,
    backend_of_unknown: Callable[[str, Path | None], str],
    options: dict[str, Any],
) -> Any:
    """Load an ``"encoder"`` or ``"reranker"``, for ``load_encoder`` and ``load_reranker``."""
    model_id, folder = split_name(str(name))
    facts = facts_of(model_id)
    if not facts.backend:
        backend = backend_of_unknown(model_id, folder)
    elif facts.kind != kind:
        msg = (
            f"{model_id!r} is a reranker: it scores pairs and has no vectors; use load_reranker"
            if facts.is_reranker
            else f"{model_id!r} is an encoder: it gives vectors and scores no pairs; "
            "use load_encoder"
        )
        raise EncoderError(msg)
    else:
        _settle_terms(facts, options)
        backend = facts.backend
    if folder is not None:
        options["folder"] = folder
    library = _LIBRARIES.get(backend)
    if library is not None and find_spec(library) is None:  # said before anything is downloaded
        purpose = f"A model run by {library}"
        raise MissingExtraError(purpose, extra=backend)
    return _build(_class_at(BACKENDS[kind][backend]), facts, options)


def _class_at(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def unknown_name(name: str, kind: str) -> EncoderError:
    """Return the error for a name that no model, folder or hub id can have."""
    known = [facts.id for facts in all_models() if facts.kind == kind]
    return EncoderError(
        f"{name!r} is neither a folder nor a hub id (owner/model), and no {kind} has this name"
        f"{nearest_names(name, known)}"
    )


def split_name(name: str) -> tuple[str, Path | None]:
    """Split ``"ID@FOLDER"``, the model ID with its files in FOLDER; no existing path is split.

    >>> split_name("jinaai/jina-clip-v2@.")[0], split_name("mini-clip")
    ('jinaai/jina-clip-v2', ('mini-clip', None))
    """
    model_id, at, path = name.partition("@")
    if not at or Path(name).expanduser().is_dir():
        return name, None
    folder = Path(path).expanduser()
    if not model_id or not path or not folder.is_dir():
        msg = (
            f"{name!r} names the folder {path!r}, which does not exist; expected ID@FOLDER, where "
            "FOLDER holds the files of model ID"
        )
        raise EncoderError(msg)
    return model_id, folder


def is_hub_like(model_id: str) -> bool:
    """Tell whether a name has the form of a hub id: owner/model.

    >>> is_hub_like("openai/clip-vit-base-patch32"), is_hub_like("./models/mine")
    (True, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model_id) is not None


def _settle_terms(facts: ModelFacts, options: Mapping[str, Any]) -> None:
    """Refuse code from the hub that nobody trusts; note a licence against commercial use, once."""
    trusted = options.get("trust_remote_code") and options.get("revision")
    if facts.remote_code and not trusted:
        instead = f"take {facts.alternative!r} instead, or " if facts.alternative else ""
        msg = (
            f"{facts.id!r} runs only with Python code from the hub; {instead}read that code and "
            "pass trust_remote_code=True and the revision that you read"
        )
        raise EncoderError(msg)
    if facts.commercial is False and facts.id not in _warned:
        _warned.add(facts.id)
        warnings.warn(
            f"{facts.id} is under {facts.licence}: no commercial use. "
            "'mmgap models --licence commercial' lists models that allow it",
            NonCommercialWarning,
            stacklevel=4,
        )


def _build(backend: Callable[..., Any], facts: ModelFacts, options: dict[str, Any]) -> Any:
    """Make a model with a backend; where the name or an option is wrong, say what there is."""
    name = facts.id
    parameters = inspect.signature(backend).parameters
    if unknown := [option for option in options if option not in parameters]:
        known = ", ".join(p for p in list(parameters)[1:] if p not in {"folder", "facts"})
        msg = f"{name!r} takes no option {unknown[0]!r}; its options are: {known or 'none'}"
        raise EncoderError(msg)
    try:
        with one_error(
            f"{name!r} cannot be loaded with these files and options",
            "Check the options, or download the files again",
        ):
            return backend(name, **options)
    except EncoderError as error:
        fetched = not facts.backend and "folder" not in options
        hint = nearest_names(name, [facts.id for facts in all_models()])
        if not fetched or not isinstance(error.__cause__, OSError) or "?" not in hint:
            raise
        msg = f"{error}{hint}"
        raise EncoderError(msg) from error.__cause__
