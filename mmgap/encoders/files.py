"""The files of a model: where they are, what may be read of them, and a name for all that is."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmgap._compat import ensure_torchvision
from mmgap.errors import EncoderError, MissingExtraError, MmgapError

if TYPE_CHECKING:
    import torch

    from mmgap.encoders.catalog import ModelFacts

_NEVER_READ = (".md", ".gguf", ".h5", ".msgpack", ".onnx", ".onnx_data", ".ot", ".tflite")
_OTHER_FORMATS = {"onnx", "openvino", "coreml"}
_PICKLED = ("pytorch_model*.bin", "adapter_model.bin")
_NOT_DOWNLOADED = [
    *("*.bin", "*.ckpt", "*.gguf", "*.h5", "*.msgpack", "*.onnx*", "*.ot", "*.pkl", "*.pt"),
    *("*.pth", "*.tflite", "onnx/*", "openvino/*", "coreml/*"),
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
            f"{name!r} is not a folder here, and the hub did not give it ({type(error).__name__}). "
            f"On a machine with network run 'hf download {name}{at} --local-dir FOLDER', copy the "
            "folder here, and load its path; the bundled models need no download"
        )
        raise EncoderError(msg) from error


def find_checkpoint(
    name: str,
    folder: Path | None,
    revision: str | None,
    facts: ModelFacts,
    *,
    trust: bool = False,
) -> tuple[Path, str | None]:
    """Return the folder of a checkpoint, downloaded if need be, and its commit.

    That is the catalogue's unless another one is named. Code of a hub id is not trusted without.
    """
    if folder is not None and not Path(folder).is_dir():
        msg = f"{folder} is not a folder; expected the one with the files of {name!r}"
        raise EncoderError(msg)
    if folder is not None or Path(name).expanduser().is_dir():
        return Path(folder or name).expanduser(), revision
    if trust and revision is None:
        msg = f"trust_remote_code for {name!r} needs a revision: the commit whose code you read"
        raise EncoderError(msg)
    revision = revision or facts.revision
    return local_folder(name, revision), revision


def licence(folder: Path) -> str:
    """Return what the head of the folder's model card says, ``"unknown"`` if there is nothing."""
    return card_licence(folder / "README.md") or "unknown"


def card_licence(card: Path) -> str | None:
    r"""Return the licence in the head of a model card, or ``None``.

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


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of a checkpoint, or an empty dict where it is missing or unreadable."""
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the backend will say what is wrong with it
        return {}
    return content if isinstance(content, dict) else {}


def architectures(config: Mapping[str, Any]) -> str:
    """Return the names of a configuration's classes, in one text."""
    names = config.get("architectures")
    return " ".join(map(str, names)) if isinstance(names, list) else ""


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint_of(files: Sequence[Path], recipe: str) -> str:
    """Hash a few files, in the order given, and a word that names how they are used."""
    parts = [recipe, *(f"\n{path.name} {sha256(path)}" for path in files)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def fingerprint(folder: Path, recipe: str, model: torch.nn.Module | None = None) -> str:
    """Hash every file that a library may read, and a word that names how they are used.

    What does not count is left out by name (cards, weights for other libraries), never taken in by
    name: a file of an unknown kind changes the fingerprint. With ``model``, what it was made of
    besides these files counts as well.
    """
    digest = hashlib.sha256(recipe.encode())
    if model is not None:
        digest.update(_from_elsewhere(folder, model).encode())
    for name, path in sorted(_files(folder)):
        if (
            path.suffix in _NEVER_READ
            or name.startswith(".")
            or name.split("/")[0] in _OTHER_FORMATS
        ):
            continue
        digest.update(f"\n{name} {sha256(path)}".encode())
    return digest.hexdigest()


def _from_elsewhere(folder: Path, model: torch.nn.Module) -> str:
    """Hash code of other repositories, and the base model that adapters are laid over."""
    sources = {
        inspect.getfile(type(module))
        for module in model.modules()
        if type(module).__module__.startswith("transformers_modules")
    }
    parts = sorted(sha256(Path(path)) for path in sources)
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
    """Refuse a checkpoint of which any part would be unpickled, or lies outside of its folder."""
    folders = [folder]
    modules = folder / "modules.json"
    if modules.is_file():
        try:
            listed = json.loads(modules.read_text(encoding="utf-8"))
            parts = [str(module["path"]) for module in listed]
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            msg = f"{modules} cannot be read: {error!r}; expected a list of modules with paths"
            raise EncoderError(msg) from error
        for part in parts:
            if Path(part).is_absolute() or ".." in Path(part).parts:
                msg = f"{modules} names {part!r}; expected a folder inside {folder}"
                raise EncoderError(msg)
        folders += [folder / part for part in parts if part]
    for part_folder in folders:
        pickled = [path.name for end in _PICKLED for path in sorted(part_folder.glob(end))]
        if not pickled and (part_folder != folder or any(folder.rglob("*.safetensors"))):
            continue
        if not any(part_folder.glob("*.safetensors")):
            found = f"the weights {pickled[0]} and " if pickled else ""
            msg = (
                f"{name!r} ({part_folder}) holds {found}no .safetensors file; pickled weights "
                "(.bin) are not read. Take a revision that has safetensors, or convert it with "
                "save_pretrained"
            )
            raise EncoderError(msg)


@contextmanager
def loading(name: str, folder: Path, *, unused: str | None = None) -> Iterator[None]:
    """Name the model in whatever a library raises, and leave none of its weights at random.

    Where a file lacks weights, transformers fills the gap with random numbers and only says so in
    its log; sentence-transformers calls it inside and passes nothing on, so the one function that
    knows is watched meanwhile. ``unused`` is a part of the model that may lack weights since
    nothing is read off it, such as ``"pooler"``.
    """
    require_safetensors(name, folder)
    ensure_torchvision()
    from transformers import PreTrainedModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would stay in every notebook's output
    load = PreTrainedModel.__dict__["from_pretrained"]
    missing: set[str] = set()

    def watched(cls: type[PreTrainedModel], *args: Any, **options: Any) -> Any:
        wants_info = options.pop("output_loading_info", False)
        model, info = load.__func__(cls, *args, output_loading_info=True, **options)
        missing.update(key for key in info["missing_keys"] if unused not in key.split("."))
        return (model, info) if wants_info else model

    PreTrainedModel.from_pretrained = classmethod(watched)
    expected = "save_pretrained writes: config.json, model.safetensors, tokenizer and processor"
    try:
        with one_error(
            f"{name!r} ({folder}) cannot be loaded", f"Expected the files that {expected}"
        ):
            yield
    finally:
        PreTrainedModel.from_pretrained = load
    if missing:
        msg = (
            f"{name!r} ({folder}) lacks {len(missing)} of the model's weights, such as "
            f"{min(missing)}; they would be random numbers. Expected a complete checkpoint: of a "
            "reranker with its score head, of adapters with their base model"
        )
        raise EncoderError(msg)


def resize_by_pillow(processor: Any, folder: Path, **options: Any) -> None:
    """Let Pillow resize a processor's images, which gives the same pixels on every machine.

    ``AutoProcessor`` cannot be asked for it where a part is for videos, which knows no Pillow.
    """
    from transformers import AutoImageProcessor

    processor.image_processor = AutoImageProcessor.from_pretrained(
        folder, backend="pil", local_files_only=True, **options
    )


@contextmanager
def one_error(problem: str, remedy: str) -> Iterator[None]:
    """Turn whatever damaged files make a library raise into an ``EncoderError``.

    That includes the panics of Rust, which are no ``Exception``.
    """
    try:
        yield
    except (MmgapError, MissingExtraError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except ImportError as error:  # torchvision for videos, sentencepiece for SigLIP's tokenizer
        purpose = f"{problem.split(' cannot')[0]} ({str(error).strip().splitlines()[0]})"
        raise MissingExtraError(purpose, "vlm") from error
    except BaseException as error:
        what = str(error) or type(error).__name__
        msg = f"{problem}: {what}. {remedy}"
        raise EncoderError(msg) from error
