"""Images of a corpus, read from disk or from a zip when they are needed."""

from __future__ import annotations

import os
import threading
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmgap.errors import ImageError

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused; 256 MiB once decoded, Pillow's own limit."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read; of an animation, the first frame. None of them starts a program."""


@dataclass(frozen=True)
class ImageFile:
    """An image that is not read yet: a file, or a member of a zip.

    Parameters
    ----------
    path : Path
        The image, or the zip that holds it.
    member : str or None
        Name inside the zip; ``None`` where ``path`` is the image itself.

    Examples
    --------
    >>> ImageFile(Path("images/openmoji.zip"), "1F431.webp").name
    'images/openmoji.zip/1F431.webp'
    """

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """Path of the image, with its name inside the zip where it is in one."""
        path = Path(self.path)
        return (path if self.member is None else path / self.member).as_posix()

    def read_bytes(self) -> bytes:
        """Return the file as it is on disk.

        Raises
        ------
        ImageError
            If it is missing, unreadable or holds no bytes.
        """
        data = self._read_file() if self.member is None else self._read_member(self.member)
        if not data:
            msg = f"image {self.name} is empty (0 bytes); fetch it again or drop it"
            raise ImageError(msg)
        return data

    def open(self) -> Image.Image:
        """Return the decoded image in RGB, upright, transparency laid on white.

        Raises
        ------
        ImageError
            If it cannot be read, is no image, is cut short or has over ``MAX_PIXELS`` pixels.
        """
        return decode(self.read_bytes(), self.name)

    def _read_file(self) -> bytes:
        try:
            return Path(self.path).read_bytes()
        except FileNotFoundError as error:
            msg = f"image {self.name} does not exist; check the path (capitals count)"
            raise ImageError(msg) from error
        except OSError as error:
            msg = f"image {self.name} cannot be read ({error}); expected a readable file"
            raise ImageError(msg) from error

    def _read_member(self, member: str) -> bytes:
        try:
            path = os.fspath(self.path)
            archive = _open_zip(path, os.stat(path).st_mtime_ns, os.getpid())  # noqa: PTH116
            with _zip_lock:
                return archive.read(member)
        except FileNotFoundError as error:
            msg = f"image {self.name}: there is no zip {self.path}; check the path"
            raise ImageError(msg) from error
        except KeyError as error:
            names = archive.namelist()
            msg = (
                f"image {self.name}: the zip has no member {member!r} among its {len(names)}, "
                f"e.g. {names[:1]}; check the name (capitals count)"
            )
            raise ImageError(msg) from error
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:
            msg = f"image {self.name} cannot be read ({error}); fetch the zip {self.path} again"
            raise ImageError(msg) from error


def decode(data: bytes, name: str) -> Image.Image:
    """Return the image in these bytes in RGB, upright, transparency laid on white.

    Parameters
    ----------
    data : bytes
        A whole file in one of ``FORMATS``.
    name : str
        What an error calls it.

    Raises
    ------
    ImageError
        If it is no image, is cut short or has more than ``MAX_PIXELS`` pixels.
    """
    too_large = (
        f"image {name} has more than {MAX_PIXELS:,} pixels and may be a decompression bomb; "
        "shrink it, or drop it"
    )
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        if image.width * image.height <= MAX_PIXELS:
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(too_large) from error
    except UnidentifiedImageError as error:
        msg = (
            f"image {name} is not an image, or is cut short within its header: it starts with "
            f"{data[:8]!r}; expected one of {', '.join(FORMATS)}. Convert it, or fetch it again"
        )
        raise ImageError(msg) from error
    except Exception as error:  # damaged bytes can make a decoder raise anything
        msg = f"image {name} is damaged or cut short ({error}); fetch it again or drop it"
        raise ImageError(msg) from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(too_large)
    return _as_rgb(image, name)


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in {"I", "F"}:
        msg = f"image {name} has 32-bit pixels of unknown range; convert it to 8 bits a channel"
        raise ImageError(msg)
    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip it to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


_zip_lock = threading.Lock()


@lru_cache(maxsize=64)
def _open_zip(path: str, modified: int, process: int) -> zipfile.ZipFile:  # noqa: ARG001
    """Return an open zip; a changed file or a forked process gets a handle of its own."""
    return zipfile.ZipFile(path)
