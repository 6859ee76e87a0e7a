"""Where the files of a corpus lie once they are here, and which of them is what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmgap import paths
from mmgap.errors import CorpusError

FETCHED_FILE = "fetched.json"
"""Says of a folder that all was fetched, and which files that were."""

SAMPLE_FILE = "sample.json"
"""Says of a folder how its queries and documents were drawn."""


def corpus_folder(hub: str) -> Path:
    """Return the cache's folder of a data set of the hub; it may not exist.

    Parameters
    ----------
    hub : str
        ``"owner/name"``.
    """
    return paths.cache_dir() / "corpora" / hub.replace("/", "__")


def local_files(name: str, hub: str, path: str | Path | None) -> Path:
    """Return the folder that a loader reads: the one given, or the fetched one.

    Parameters
    ----------
    name : str
        The corpus, as errors call it.
    hub : str
        The data set of the hub that ``mmgap corpus fetch`` takes it from.
    path : str or Path, optional
        A folder of the user's.

    Raises
    ------
    CorpusError
        If there is no such folder, or none was fetched.
    """
    folder = corpus_folder(hub) if path is None else Path(path).expanduser()
    if folder.is_dir() and (path is not None or (folder / FETCHED_FILE).is_file()):
        _refuse_incomplete(name, folder)
        return folder
    if path is None:
        found = "holds a part of it" if folder.is_dir() else "does not exist"
        msg = (
            f"corpus {name!r} is not on this machine ({folder} {found}); fetch it with "
            f"'mmgap corpus fetch {name}', whose --dry-run says what that takes, or name a folder "
            f"that holds it: {name}@FOLDER"
        )
    else:
        msg = f"corpus {name!r}: {folder} is no folder; expected one with its files"
    raise CorpusError(msg)


def _refuse_incomplete(name: str, folder: Path) -> None:
    """Refuse a fetched folder in which a file is missing or has another size."""
    for record in (FETCHED_FILE, SAMPLE_FILE):
        if not (folder / record).is_file():
            continue
        for file, facts in json.loads((folder / record).read_text(encoding="utf-8"))[
            "files"
        ].items():
            path = folder / file
            size = path.stat().st_size if path.is_file() else None
            if size != facts["size"]:
                found = "is missing" if size is None else f"has {size:,} bytes"
                msg = (
                    f"corpus {name!r}: {path} {found}, and {record} says {facts['size']:,} bytes; "
                    f"delete {folder / record} and fetch again"
                )
                raise CorpusError(msg)


def by_role(
    files: Iterable[str], roles: Mapping[str, Sequence[str]], split: str | None = None
) -> dict[str, list[str]]:
    """Sort files by what they hold, from the names of their folders or their own.

    Parameters
    ----------
    files : iterable of str
        Paths in a data set, with ``/``.
    roles : mapping of str to sequence of str
        Role -> names of folders or beginnings of file names (before the first ``-`` or ``.``).
    split : str, optional
        Where a folder holds the files of a role by split, take this one.

    Returns
    -------
    dict of str to list of str
        Sorted by name; a role without a file has an empty list.

    Examples
    --------
    >>> files = ["corpus/corpus-00000-of-00001.parquet", "query/test-00000-of-00001.parquet"]
    >>> by_role(files, {"corpus": ["corpus"], "queries": ["query", "queries"]}, "test")
    {'corpus': ['corpus/corpus-00000-of-00001.parquet'],
     'queries': ['query/test-00000-of-00001.parquet']}
    """
    found: dict[str, list[str]] = {role: [] for role in roles}
    for file in sorted(files):
        path = PurePosixPath(file)
        stem = path.name.split(".")[0].split("-")[0]
        for role, names in roles.items():
            in_folder = path.parent.name in names
            if stem in names or (in_folder and split in {None, stem}):
                found[role].append(file)
                break
    return found


def files_below(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Return the visible files of a folder at any depth, as paths in it with ``/``.

    The records of what was fetched are left out.
    """
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        hidden = hidden or path.name in {FETCHED_FILE, SAMPLE_FILE}
        if not hidden and path.suffix.lower() in suffixes and path.is_file():
            found.append(inside.as_posix())
    return sorted(found)


def read_sample(folder: Path) -> dict[str, Any] | None:
    """Return how the folder's queries were drawn, or None if it is no sample."""
    path = folder / SAMPLE_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def sampled_name(name: str, folder: Path) -> str:
    """Return the name of a corpus, which says so if it is a sample.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "sample.json").write_text('{"queries": 5, "of_queries": 9, "seed": 0}')
    >>> sampled_name("edis", folder)
    'edis, 5 of 9 queries (seed 0) in a smaller pool'
    """
    sample = read_sample(folder)
    if sample is None:
        return name
    return (
        f"{name}, {sample['queries']} of {sample['of_queries']} queries (seed {sample['seed']}) "
        "in a smaller pool"
    )
