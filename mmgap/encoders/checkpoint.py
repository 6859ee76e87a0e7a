"""The files of a checkpoint: where they are, what they are worth, how to name them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from mmgap.errors import EncoderError

_READ = (".json", ".safetensors", ".txt", ".model", ".jinja", ".py")
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
    """Hash every file that decides the output, and a word that names how it is used."""
    digest = hashlib.sha256(recipe.encode())
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _READ and path.is_file() and not name.startswith("."):
            with path.open("rb") as handle:
                digest.update(
                    f"\n{name} {hashlib.file_digest(handle, 'sha256').hexdigest()}".encode()
                )
    return digest.hexdigest()
