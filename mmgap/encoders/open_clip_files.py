"""Where the files of an open_clip model are, and how it is built from them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmgap.encoders.checkpoint import local_folder
from mmgap.errors import EncoderError

CONFIG = "open_clip_config.json"
"""The file that makes a folder a model of open_clip."""

TOKENIZER_FILES = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json"),
    *("*.model", "vocab*", "merges.txt"),
)
"""Patterns of what a tokenizer of transformers is read from."""

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_SMALL_FILES = (*TOKENIZER_FILES, "README.md")


@dataclass(frozen=True)
class OpenClipSource:
    """What a model is built from.

    Parameters
    ----------
    model : mapping
        open_clip's ``model_cfg``: ``embed_dim``, ``vision_cfg``, ``text_cfg`` and more.
    preprocess : mapping
        open_clip's ``preprocess_cfg``, without the size, which the model knows.
    weights : Path
        The file with the weights.
    folder : Path
        Where it lies; a tokenizer may lie there too.
    """

    model: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights: Path
    folder: Path


def find_open_clip(name: str, folder: Path | None, revision: str | None) -> OpenClipSource:
    """Find configuration and weights, fetching what is not given.

    Parameters
    ----------
    name : str
        ``"open_clip:ARCHITECTURE/TAG"``, ``"hf-hub:ID"``, ``"local-dir:PATH"``, a hub id or folder.
    folder : Path or None
        Where the files are.
    revision : str or None
        Of the repository.

    Raises
    ------
    EncoderError
        If there is no such model, or a file is missing.
    """
    if name.startswith("open_clip:"):
        return _find_listed(name, folder, revision)
    if folder is None:
        repository = name.removeprefix("hf-hub:").removeprefix("local-dir:")
        if name.startswith("local-dir:") and not Path(repository).expanduser().is_dir():
            msg = f"{name!r}: no such folder; check the path"
            raise EncoderError(msg)
        folder = local_folder(repository, revision, files=[CONFIG, *_WEIGHTS, *_SMALL_FILES])
        if not any(folder.glob("*.safetensors")):  # it may have a name of its own
            folder = local_folder(repository, revision, files=["*.safetensors"])
    if not (folder / CONFIG).is_file():
        msg = (
            f"{name!r} ({folder}) holds no {CONFIG}; expected a model of open_clip. One of "
            "transformers is loaded by its hub id or folder alone"
        )
        raise EncoderError(msg)
    weights = _safe_weights(folder)
    if weights is None:
        msg = (
            f"{name!r} ({folder}) holds no .safetensors file; pickled weights (.bin, .pt) are not "
            "read. Take a revision that has safetensors, or convert the file with "
            "safetensors.torch.save_file"
        )
        raise EncoderError(msg)
    return OpenClipSource(*_read_config(folder / CONFIG), weights, folder)


def _find_listed(name: str, folder: Path | None, revision: str | None) -> OpenClipSource:
    """Find a model of open_clip's own list; its configuration comes with the library."""
    import open_clip

    architecture, _, tag = name.removeprefix("open_clip:").partition("/")
    _check_pair(architecture, tag)
    preprocess = open_clip.get_pretrained_cfg(architecture, tag)
    model = open_clip.get_model_config(architecture)
    # The library only warns where the weights were trained with the other activation.
    model["quick_gelu"] = bool(model.get("quick_gelu") or preprocess.get("quick_gelu"))
    if folder is None:
        folder = _fetch_listed(name, preprocess["hf_hub"], revision)
    elif (folder / CONFIG).is_file():
        model, preprocess = _read_config(folder / CONFIG)
    pickled = [path for end in ("bin", "pt", "pth") for path in sorted(folder.glob(f"*.{end}"))]
    weights = _safe_weights(folder) or next(iter(pickled), None)
    if weights is None:
        msg = f"{name!r}: {folder} holds no weights; expected {_WEIGHTS[0]}"
        raise EncoderError(msg)
    return OpenClipSource(model, preprocess, weights, folder)


def _fetch_listed(name: str, hub: str, revision: str | None) -> Path:
    """Download safetensors, or else the weights that the list names."""
    owner, model, file = f"{hub}/".split("/")[:3]
    repository = f"{owner}/{model}"
    safe = [f"{Path(file).stem}.safetensors"] if file else list(_WEIGHTS)
    try:
        folder = local_folder(repository, revision, files=[*safe, *_SMALL_FILES])
        if _safe_weights(folder) is None:
            listed = file or "open_clip_pytorch_model.bin"
            folder = local_folder(repository, revision, files=[listed])
    except EncoderError as error:
        msg = f"{error}. A folder for this model is given as '{name}@FOLDER'"
        raise EncoderError(msg) from error
    return folder


def _check_pair(architecture: str, tag: str) -> None:
    import open_clip

    pairs = open_clip.list_pretrained()
    tags = [known_tag for known, known_tag in pairs if known == architecture]
    if tag in tags:
        return
    if tags:
        problem = f"no weights {tag!r} for {architecture!r}; it has {', '.join(tags)}"
    else:
        names = {
            f"{known}/{known_tag}".lower(): f"{known}/{known_tag}" for known, known_tag in pairs
        }
        wanted = f"{architecture}/{tag}".lower()
        nearest = [names[match] for match in difflib.get_close_matches(wanted, names, n=3)]
        problem = f"no model {architecture!r}" + (
            f"; did you mean {', '.join(f'open_clip:{name}' for name in nearest)}?"
            if nearest
            else "; 'open_clip.list_pretrained()' lists all of them"
        )
    msg = f"open_clip has {problem}"
    raise EncoderError(msg)


def _safe_weights(folder: Path) -> Path | None:
    """Return the safetensors of open_clip; beside them may lie those of transformers."""
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    return next(iter(found or sorted(folder.glob("*.safetensors"))), None)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration of the model, and of the preprocessing."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = config["model_cfg"]
        missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(model)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path} cannot be read: {error!r}; expected JSON with 'model_cfg'"
        raise EncoderError(msg) from error
    if missing:
        msg = f"{path}: 'model_cfg' lacks {', '.join(sorted(missing))}"
        raise EncoderError(msg)
    return model, config.get("preprocess_cfg", {})
