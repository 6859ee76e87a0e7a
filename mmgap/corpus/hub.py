"""Files of a data set of the hub: fetched with checksums, and found again in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mmgap import paths
from mmgap.corpus.catalog import CorpusFacts
from mmgap.errors import CorpusError

FETCHED_FILE = "fetched.json"
"""Says of a folder that all was fetched, and which files that were."""

SAMPLE_FILE = "sample.json"
"""File of a folder that says how its queries and documents were sampled."""

Report = Callable[[str], None]
"""Told what happens, a line each."""

_CHUNK = 1 << 20


# Files that are here


def corpus_folder(hub: str) -> Path:
    """Return the cache's folder of a data set ``owner/name`` of the hub; it may not exist."""
    return paths.cache_dir() / "corpora" / hub.replace("/", "__")


def local_files(name: str, hub: str, path: str | Path | None) -> Path:
    """Return the folder that a loader of corpus ``name`` reads: the one given, or the fetched."""
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
        msg = f"corpus {name!r}: {folder} is not a folder; expected one with its files"
    raise CorpusError(msg)


def _refuse_incomplete(name: str, folder: Path) -> None:
    """Refuse a fetched folder in which a file is missing or has another size."""
    for record in (FETCHED_FILE, SAMPLE_FILE):
        for file, facts in (_record(folder / record) or {"files": {}})["files"].items():
            path = folder / file
            size = path.stat().st_size if path.is_file() else None
            if size != facts["size"]:
                found = "is missing" if size is None else f"has {size:,} bytes"
                msg = (
                    f"corpus {name!r}: {path} {found}, and {record} says {facts['size']:,} bytes; "
                    f"delete {folder / record} and fetch again"
                )
                raise CorpusError(msg)


def _record(path: Path) -> dict[str, Any] | None:
    """Return what a fetch noted, or None where there is no such file."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(each["size"], int) for each in content["files"].values()):
            raise TypeError  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} is not what a fetch writes ({error!r}); delete it and fetch again"
        raise CorpusError(msg) from error
    return content


def by_role(
    files: Iterable[str], roles: Mapping[str, Sequence[str]], split: str | None = None
) -> dict[str, list[str]]:
    """Sort files (paths with ``/``) by role, from the names of their folders or their own.

    ``roles``: role -> names of folders, or beginnings of file names before the first ``-`` or
    ``.``. Where a folder holds the files of a role by ``split``, that one is taken.

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
    return _record(folder / SAMPLE_FILE)


def sampled_name(name: str, folder: Path) -> str:
    """Return the name of a corpus, which says so if it is a sample."""
    sample = read_sample(folder)
    if sample is None:
        return name
    return (
        f"{name}, {sample['queries']} of {sample['of_queries']} queries (seed {sample['seed']}) "
        "in a smaller pool"
    )


# Fetching


def silent(line: str) -> None:
    """Drop what is reported."""


@dataclass(frozen=True)
class HubFile:
    """A file of a data set; large ones have a sha256, small ones git's checksum."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class FetchPlan:
    """What a fetch would load, at a complete revision."""

    facts: CorpusFacts
    revision: str
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size for file in self.files)


def plan_fetch(facts: CorpusFacts) -> FetchPlan:
    """Ask the hub what files a corpus has at its pinned revision; nothing is loaded.

    Where the catalogue has the first digits of a commit, the one commit that begins so; where it
    has none, today's newest.
    """
    if not facts.hub:
        how = facts.by_hand or "It comes with mmgap."
        msg = f"corpus {facts.id!r} is not fetched from the hub. {how}"
        raise CorpusError(msg)
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(facts):
        revision: str | None = facts.revision or None
        if revision is not None and len(revision) < 40:
            revision = _complete(api.list_repo_commits(facts.hub, repo_type="dataset"), facts)
        info = api.dataset_info(facts.hub, revision=revision, files_metadata=True)
    if info.sha is None or (revision is not None and info.sha != revision):
        msg = f"the hub answered with commit {info.sha} of {facts.hub}; expected {revision}"
        raise CorpusError(msg)
    files = tuple(
        HubFile(
            each.rfilename,
            each.size or 0,
            None if each.lfs is None else each.lfs.sha256,
            each.blob_id if each.lfs is None else None,
        )
        for each in info.siblings or ()
        if _wanted(each.rfilename, facts.subset)
    )
    if not files:
        where = f"folder {facts.subset} of " if facts.subset else ""
        msg = f"{where}{facts.hub} at {info.sha} holds no file to fetch"
        raise CorpusError(msg)
    return FetchPlan(facts, info.sha, files)


def fetch(facts: CorpusFacts, report: Report = silent) -> Path:
    """Fetch all files of a corpus into the cache; a stopped fetch goes on where it was.

    Returns the folder, which loaders find by themselves.
    """
    plan = plan_fetch(facts)
    folder = corpus_folder(facts.hub)
    report(f"{len(plan.files)} files, {plan.bytes / 1e9:.3g} GB, of {facts.hub} at {plan.revision}")
    if not facts.revision:
        report("not pinned: unknown here; this is the newest commit, and fetched.json names it")
    here = sum((folder / file.path).stat().st_size for file in plan.files if _is_here(folder, file))
    refuse_full_disk(folder, plan.bytes - here)
    record = folder / FETCHED_FILE
    others = _recorded(record, plan.revision)
    for number, file in enumerate(plan.files, start=1):
        load_file(plan, file, folder)
        report(f"{number}/{len(plan.files)}  {file.path}  {file.size:,} bytes, checksum right")
    files = {
        file.path: {"size": file.size, "sha256": file.sha256, "git_sha1": file.git_sha1}
        for file in plan.files
    }
    content = {"hub": facts.hub, "revision": plan.revision, "files": {**others, **files}}
    record.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder


def load_file(plan: FetchPlan, file: HubFile, folder: Path) -> Path:
    """Load one file into a folder and compare its checksum; if it is there, only compare."""
    from huggingface_hub import hf_hub_download

    with hub_errors(plan.facts):
        path = Path(
            hf_hub_download(
                plan.facts.hub,
                file.path,
                repo_type="dataset",
                revision=plan.revision,
                local_dir=folder,
            )
        )
    found, expected = _checksum(path, file), file.sha256 or file.git_sha1
    if found != expected:
        path.unlink()
        msg = (
            f"{file.path} of {plan.facts.hub} has checksum {found}; the hub says {expected}. It "
            "was deleted; fetch again"
        )
        raise CorpusError(msg)
    return path


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise a CorpusError if the disk of a folder has no room for so many bytes."""
    free = free_bytes(folder)
    if needed > free:
        msg = (
            f"{folder} needs {needed / 1e9:.3g} GB more, and its disk has {free / 1e9:.3g} GB "
            "free; point MMGAP_CACHE to a larger disk, or take a sample"
        )
        raise CorpusError(msg)


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk on which a folder is, or would be."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


def _wanted(path: str, subset: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    in_subset = not subset or path.split("/")[0] == subset
    return in_subset and not name.startswith(".") and not name.endswith(".py")


def _complete(commits: list, facts: CorpusFacts) -> str:
    found = [each.commit_id for each in commits if each.commit_id.startswith(facts.revision)]
    if len(found) == 1:
        return found[0]
    msg = (
        f"{len(found)} of the {len(commits)} commits of {facts.hub} begin with {facts.revision}; "
        "expected one. Its history was rewritten; look at the data set's page"
    )
    raise CorpusError(msg)


def _is_here(folder: Path, file: HubFile) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.size


def _recorded(record: Path, revision: str) -> dict[str, dict]:
    """Return what was fetched before at the same revision: other subsets of the data set."""
    content = _record(record)
    if content is None or content.get("revision") == revision:
        return content["files"] if content else {}
    msg = (
        f"{record.parent} holds revision {content.get('revision')}, and {revision} is wanted; "
        "delete that folder first"
    )
    raise CorpusError(msg)


def _checksum(path: Path, file: HubFile) -> str:
    if file.sha256 is not None:
        digest = hashlib.sha256()
    else:  # git's name of a file: its kind and size belong to it
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def hub_errors(facts: CorpusFacts) -> Iterator[None]:
    """Say what failed and what to do, in one line."""
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        msg = f"{facts.hub} is gated: accept its licence on its page, then log in with 'hf auth'"
        raise CorpusError(msg) from error
    except RepositoryNotFoundError as error:
        msg = f"the hub has no data set {facts.hub}; it was renamed or withdrawn"
        raise CorpusError(msg) from error
    except RevisionNotFoundError as error:
        msg = f"{facts.hub} has no commit {facts.revision}; its history was rewritten"
        raise CorpusError(msg) from error
    except (
        OSError,
        HfHubHTTPError,
        httpx2.HTTPError,
    ) as error:  # no network, offline mode, a full disk
        revision = f" --revision {facts.revision}" if facts.revision else ""
        reason = (str(error).splitlines() or [""])[0]
        msg = (
            f"{facts.hub} cannot be fetched ({type(error).__name__}: {reason}). On a machine with "
            f"network run 'hf download {facts.hub} --repo-type dataset{revision} --local-dir "
            f"FOLDER', copy the folder here and load {facts.id}@FOLDER"
        )
        raise CorpusError(msg) from error
