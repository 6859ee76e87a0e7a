"""What a reranker's files must be before anything is loaded from them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mmgap.encoders.checkpoint import local_folder, require_safetensors
from mmgap.errors import EncoderError, MissingExtraError


def find_folder(name: str, folder: Path | None, revision: str | None) -> Path:
    """Return the folder with a reranker's files, downloaded if it must be.

    Parameters
    ----------
    name : str
        A hub id, or the folder itself.
    folder : Path or None
        Where the files are, if they are not to be fetched.
    revision : str or None
        Commit, tag or branch of the hub id.

    Raises
    ------
    EncoderError
        If there are no such files, they cannot be fetched, or their weights are pickled.
    """
    if folder is None:
        folder = local_folder(name, revision)
    elif not Path(folder).is_dir():
        msg = f"{folder} is no folder; expected the one with the files of {name!r}"
        raise EncoderError(msg)
    require_safetensors(name, Path(folder))
    return Path(folder)


def require_torchvision(name: str) -> None:
    """Raise if torchvision is absent: transformers cannot load a vision-language model without.

    Raises
    ------
    MissingExtraError
    """
    if find_spec("torchvision") is None:
        purpose = f"{name}, a vision-language model,"
        raise MissingExtraError(purpose, "vlm")
