"""What a result was made with."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = (
    "mmgap",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "pillow",
    "torch",
    "transformers",
    "sentence-transformers",
    "timm",
    "open_clip_torch",
    "faiss-cpu",
    "umap-learn",
)
"""Packages that can change a number or a figure."""

HASH_LENGTH = 12


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return Python's version and those of the given packages that are installed.

    >>> sorted(versions(["numpy", "no-such-package"]))
    ['numpy', 'python']
    """
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """Short hash of the repository this package runs from, ``"unknown"`` outside of one."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "rev-parse", "--short=10", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return result.stdout.strip()


def file_hash(path: str | os.PathLike[str]) -> str:
    """First characters of a file's sha256."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_LENGTH]


def provenance(
    seed: int | None = None, files: Sequence[str | os.PathLike[str]] = ()
) -> pd.DataFrame:
    """Return versions, commit, seed and data hashes as a table.

    ``files`` are data that the result depends on. Neither dates nor folders of this machine, so
    that a notebook which ends with it can be committed.

    >>> provenance(seed=0).loc["seed", "value"]
    '0'
    """
    import pandas as pd

    items = {**versions(), "git commit": git_commit()}
    if seed is not None:
        items["seed"] = str(seed)
    items.update({f"sha256 of {Path(path).name}": file_hash(path) for path in files})
    return pd.DataFrame({"value": list(items.values())}, index=pd.Index(list(items), name="item"))
