"""Where data, caches, figures and results live.

Everything is found from the installed package, never from the working directory, so a notebook
may be started anywhere. Environment variables override each path.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from mmgap.errors import MmgapError

_REPOSITORY = Path(__file__).resolve().parent.parent


def _place(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def data_dir() -> Path:
    """Folder of the bundled corpus and weights (``MMGAP_DATA``)."""
    return _place("MMGAP_DATA", _REPOSITORY / "data")


def figures_dir() -> Path:
    """Folder that notebooks write figures to (``MMGAP_FIGURES``)."""
    return _place("MMGAP_FIGURES", _REPOSITORY / "figures")


def results_dir() -> Path:
    """Folder that notebooks and commands write tables to (``MMGAP_RESULTS``)."""
    return _place("MMGAP_RESULTS", _REPOSITORY / "results")


def cache_dir() -> Path:
    """Folder of cached embeddings (``MMGAP_CACHE``; by default the user's cache folder)."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return _place("MMGAP_CACHE", user_cache / "mmgap")


def oracles_dir() -> Path:
    """Folder of public feature files that conformance tests read (``MMGAP_ORACLES``)."""
    return _place("MMGAP_ORACLES", _REPOSITORY.parent / "shared" / "oracles")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of the cache, and its folders, so that it is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        msg = (
            f"cache {path.parent} cannot be written ({error.strerror or error}); point MMGAP_CACHE "
            "to a folder with room that may be written"
        )
        raise MmgapError(msg) from error
