"""The files of a checkpoint: where they are, what they are worth, how to name them."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmgap.errors import EncoderError

if TYPE_CHECKING:
    import torch

_NEVER_READ = (".md", ".gguf", ".h5", ".msgpack", ".onnx", ".onnx_data", ".ot", ".tflite")
_OTHER_FORMATS = {"onnx", "openvino", "coreml"}
_PICKLED = ("pytorch_model*.bin", "adapter_model.bin")
_NOT_DOWNLOADED = [
    *(
        "*.bin",
        "*.ckpt",
        "*.gguf",
        "*.h5",
        "*.msgpack",
        "*.onnx*",
        "*.ot",
        "*.pkl",
        "*.pt",
        "*.pth",
    ),
    *("onnx/*", "openvino/*", "coreml/*", "*.tflite"),
]


def local_folder(
    name: str, revision: str | None = None, *, files: Sequence[str] | None = None
) -> Path:
    """Return the folder itself, or the snapshot of a hub id, downloaded if need be.

    ``files`` are the patterns to download, such as ``"onnx/model.onnx*"``; ``None`` is all but
    copies of the weights in other formats than safetensors.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=None if files is None else list(files),
                ignore_patterns=_NOT_DOWNLOADED if files is None else None,
            )
        )
    except HFValidationError as error:
        msg = (
            f"{name!r} is neither a folder nor a hub id (owner/model); check the path, or list the "
            "models with 'mmgap models'"
        )
        raise EncoderError(msg) from error
    except GatedRepoError as error:
        msg = f"{name!r} is gated: accept its licence on its hub page, then log in with 'hf auth'"
        raise EncoderError(msg) from error
    except RepositoryNotFoundError as error:
        msg = f"no model is called {name!r} on the hub and no such folder exists; check the name"
        raise EncoderError(msg) from error
    except OSError as error:  # no network, offline mode, an unknown revision, a full disk
        at = "" if revision is None else f" --revision {revision}"
        msg = (
            f"{name!r} is no folder here, and the hub did not give it ({type(error).__name__}). "
            f"On a machine with network run 'hf download {name}{at} --local-dir FOLDER', copy the "
            "folder here, and load its path; the bundled models need no download"
        )
        raise EncoderError(msg) from error


def licence(folder: Path) -> str:
    """Return what the head of the folder's model card says, ``"unknown"`` if there is nothing."""
    return card_licence(folder / "README.md") or "unknown"


def card_licence(card: Path) -> str | None:
    r"""Return the licence in the head of a model card, or ``None``.

    Examples
    --------
    >>> card = getfixture("tmp_path") / "README.md"
    >>> _ = card.write_text("---\nlicense: other\nlicense_name: apple-amlr\n---")
    >>> card_licence(card)
    'apple-amlr'
    """
    if not card.is_file():
        return None
    head = card.read_text(encoding="utf-8", errors="replace")[:8000]
    for pattern in (
        r"^license:[ \t]*(?!other\s)(\S+)",  # the head of a card on the hub
        r"^license_name:[ \t]*(\S+)",  # where that says "other"
        r"^- Licence: ([^,\s]+)",  # the bundled models' cards
    ):
        if found := re.search(pattern, head, flags=re.MULTILINE):
            return found[1].strip("\"'")
    return None


def fingerprint(folder: Path, recipe: str) -> str:
    """Hash every file that a library may read, and a word that names how they are used.

    What counts is left out by name (cards, weights for other libraries), never taken in by name:
    a file of an unknown kind changes the fingerprint.
    """
    digest = hashlib.sha256(recipe.encode())
    for name, path in sorted(_files(folder)):
        if (
            path.suffix in _NEVER_READ
            or name.startswith(".")
            or name.split("/")[0] in _OTHER_FORMATS
        ):
            continue
        with path.open("rb") as handle:
            digest.update(f"\n{name} {hashlib.file_digest(handle, 'sha256').hexdigest()}".encode())
    return digest.hexdigest()


def outside_of(folder: Path, model: torch.nn.Module) -> str:
    """Hash what a model was made of besides the files of its folder; ``""`` where that is nothing.

    Foreign code may lie in another repository; adapters are laid over a base model from elsewhere.
    """
    sources = {
        inspect.getfile(type(module))
        for module in model.modules()
        if type(module).__module__.startswith("transformers_modules")
    }
    parts = sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in sources)
    if (folder / "adapter_config.json").is_file():
        digest = hashlib.sha256()
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().float().numpy().tobytes())
        parts.append(digest.hexdigest())
    return f" with {', '.join(parts)}" if parts else ""


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file below a folder, those behind linked folders included."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def require_safetensors(name: str, folder: Path) -> None:
    """Refuse a checkpoint of which any part would be unpickled, or lies outside of its folder.

    Raises
    ------
    EncoderError
    """
    folders = [folder]
    modules = folder / "modules.json"
    if modules.is_file():
        try:
            listed = json.loads(modules.read_text(encoding="utf-8"))
            parts = [str(module["path"]) for module in listed]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{modules} cannot be read: {error!r}; expected a list of modules with paths"
            raise EncoderError(msg) from error
        for part in parts:
            if Path(part).is_absolute() or ".." in Path(part).parts:
                msg = f"{modules} names {part!r}; expected a folder inside {folder}"
                raise EncoderError(msg)
        folders += [folder / part for part in parts if part]
    for part_folder in folders:
        pickled = [path.name for end in _PICKLED for path in sorted(part_folder.glob(end))]
        if pickled and not any(part_folder.glob("*.safetensors")):
            msg = (
                f"{name!r}: {part_folder} holds the weights {pickled[0]} and no .safetensors file; "
                "pickled weights (.bin) are not read. Take a revision that has safetensors, or "
                "convert it with save_pretrained"
            )
            raise EncoderError(msg)
    if not any(folder.rglob("*.safetensors")):
        msg = (
            f"{name!r} ({folder}) holds no .safetensors file; pickled weights (.bin) are not read. "
            "Take a revision that has safetensors, or convert it with save_pretrained"
        )
        raise EncoderError(msg)
