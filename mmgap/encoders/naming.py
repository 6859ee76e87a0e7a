"""What a name of a model means, and what must be settled before it is loaded.

Encoders and rerankers are named alike: a catalogue id, a hub id, a folder, or ``ID@FOLDER``.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mmgap.encoders.catalog import ModelFacts, all_models, nearest_names
from mmgap.encoders.loading import is_stop
from mmgap.errors import EncoderError, MissingExtraError, MmgapError, NonCommercialWarning

Model = TypeVar("Model")

_warned: set[str] = set()


def split_name(name: str) -> tuple[str, Path | None]:
    """Split ``"ID@FOLDER"``: the model ID, its files in FOLDER.

    Parameters
    ----------
    name : str
        Any name of a model; the path of an existing folder is never split.

    Returns
    -------
    model_id : str
    folder : Path or None
        ``None`` if the name has none.

    Raises
    ------
    EncoderError
        If there is no such folder.

    Examples
    --------
    >>> split_name("jinaai/jina-clip-v2@.")[0]
    'jinaai/jina-clip-v2'
    >>> split_name("mini-clip")
    ('mini-clip', None)
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


def known_facts(model_id: str) -> ModelFacts | None:
    """Return what the catalogues say about a model, or ``None`` where they do not have it.

    Examples
    --------
    >>> known_facts("mini-clip").dim, known_facts("owner/model")
    (256, None)
    """
    return next((facts for facts in all_models() if facts.id == model_id), None)


def is_hub_like(model_id: str) -> bool:
    """Tell whether a name has the form of a hub id: owner/model.

    Examples
    --------
    >>> is_hub_like("openai/clip-vit-base-patch32"), is_hub_like("./models/mine")
    (True, False)
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model_id) is not None


def settle_terms(facts: ModelFacts, options: Mapping[str, Any]) -> None:
    """Refuse code from the hub that nobody trusts; note a licence against commercial use.

    Parameters
    ----------
    facts : ModelFacts
    options : mapping
        What the caller asked for; ``trust_remote_code`` and ``revision`` matter.

    Raises
    ------
    EncoderError
        If the model runs only with code from the hub, and the caller has not both said
        ``trust_remote_code=True`` and named the revision whose code that is.

    Warns
    -----
    NonCommercialWarning
        Once for each model and process.
    """
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
            stacklevel=3,
        )


def build(backend: Callable[..., Model], name: str, **options: Any) -> Model:
    """Make a model with a backend; where the name or an option is wrong, say what there is.

    Raises
    ------
    EncoderError
        If the backend has no such option, or cannot load the model. For a hub id that neither the
        catalogue nor the hub knows, the message names the nearest ones.
    """
    parameters = inspect.signature(backend).parameters
    if unknown := [option for option in options if option not in parameters]:
        known = ", ".join(p for p in list(parameters)[1:] if p not in {"folder", "facts"})
        msg = f"{name!r} takes no option {unknown[0]!r}; its options are: {known or 'none'}"
        raise EncoderError(msg)
    try:
        return backend(name, **options)
    except EncoderError as error:
        fetched = "facts" not in options and "folder" not in options
        hint = nearest_names(name, [facts.id for facts in all_models()])
        if not fetched or not isinstance(error.__cause__, OSError) or "?" not in hint:
            raise
        msg = f"{error}{hint}"
        raise EncoderError(msg) from error.__cause__
    except (MmgapError, MissingExtraError):
        raise
    except BaseException as error:  # damaged files can make a loader raise anything
        if is_stop(error) or isinstance(error, ImportError):
            raise
        msg = (
            f"{name!r} cannot be loaded with these files and options: {type(error).__name__}: "
            f"{error}. Check the options, or download the files again"
        )
        raise EncoderError(msg) from error


def architectures(config: Mapping[str, Any]) -> str:
    """Return the names of a configuration's classes, in one text."""
    names = config.get("architectures")
    return " ".join(map(str, names)) if isinstance(names, list) else ""


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of a checkpoint, or an empty dict where it is missing or unreadable."""
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        RecursionError,
    ):  # the backend will say what is wrong with a damaged file
        return {}
    return content if isinstance(content, dict) else {}
