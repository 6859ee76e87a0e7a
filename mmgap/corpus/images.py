"""Images of a corpus, read from disk, a zip or a Parquet file when they are needed.

Any fault of an image raises an ``ImageError`` that names it: missing, cut short, no
image at all, over ``MAX_PIXELS`` pixels, or too elongated for what models make of it.
"""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmgap.errors import CorpusError, ImageError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

# Pillow says so of damaged EXIF, which as_rgb passes over.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused; 256 MiB once decoded, Pillow's own limit."""

MAX_SCALED_PIXELS = 2**25
"""Nor may an image have more than these once its shorter edge is scaled to a model's size."""

_SHORT_EDGE = 224

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read; of an animation, the first frame. None of them starts a program."""


@dataclass(frozen=True)
class ImageFile:
    """An image that is not read yet: a file, or a ``member`` of the zip at ``path``.

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
        """Return the file as it is on disk."""
        data = self._read_file() if self.member is None else self._read_member(self.member)
        if not data:
            msg = f"image {self.name} is empty (0 bytes); fetch it again or drop it"
            raise ImageError(msg)
        return data

    def open(self, sha256: str | None = None, short_edge: int | None = None) -> Image.Image:
        """Return the decoded image in RGB, upright, transparency laid on white.

        With the ``sha256`` of the bytes that were read before, a file that was overwritten since
        is an error: its vector or score would be stored under the old content.
        For ``short_edge`` see :func:`as_rgb`.
        """
        data = self.read_bytes()
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            msg = f"image {self.name} was changed while the corpus was read; start again"
            raise ImageError(msg)
        return decode(data, self.name, short_edge)

    def _read_file(self) -> bytes:
        try:
            return Path(self.path).read_bytes()
        except FileNotFoundError as error:
            msg = f"image {self.name} does not exist; check the path (it is case-sensitive)"
            raise ImageError(msg) from error
        except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
            msg = f"image {self.name} cannot be read ({error}); expected a readable file"
            raise ImageError(msg) from error

    def _read_member(self, member: str) -> bytes:
        try:
            path = os.fspath(self.path)
            archive = _open_zip(path, version(path), os.getpid())
            with _zip_lock:
                return archive.read(member)
        except FileNotFoundError as error:
            msg = f"image {self.name}: there is no zip {self.path}; check the path"
            raise ImageError(msg) from error
        except KeyError as error:
            names = archive.namelist()
            msg = (
                f"image {self.name}: the zip has no member {member!r} among its {len(names)}, "
                f"e.g. {names[:1]}; check the name (it is case-sensitive)"
            )
            raise ImageError(msg) from error
        except Exception as error:  # a damaged zip can raise anything
            msg = f"image {self.name} cannot be read ({error}); fetch the zip {self.path} again"
            raise ImageError(msg) from error


@dataclass(frozen=True)
class ParquetImage(ImageFile):
    """An image that is not read yet: a cell of a Parquet file.

    The ``column`` holds the bytes of an image file, or a structure with ``bytes`` and ``path``, as
    the library ``datasets`` writes images; ``group`` and ``row`` in it count from 0. The last few
    groups read are kept, so images in the order of the file cost one reading of each group.
    """

    column: str = "image"
    group: int = 0
    row: int = 0

    @property
    def name(self) -> str:
        """File, column, row group and row."""
        path = Path(self.path).as_posix()
        return f"{path} (column {self.column!r}, row {self.row} of group {self.group})"

    def read_bytes(self) -> bytes:
        """Return the image file that the cell holds."""
        try:
            path = os.fspath(self.path)
            cell = _cells(path, version(path), self.group, self.column)[self.row].as_py()
        except MissingExtraError:
            raise
        except Exception as error:  # a damaged file can make pyarrow raise anything
            msg = f"image {self.name} cannot be read ({error}); fetch the file again"
            raise ImageError(msg) from error
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            msg = f"image {self.name}: the cell holds no bytes; fetch the file again or drop it"
            raise ImageError(msg)
        return data


def open_parquet(source: Any, name: str | None = None) -> pq.ParquetFile:
    """Open a Parquet file, a path or something open, or say what is wrong with it."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        purpose = "reading Parquet files"
        raise MissingExtraError(purpose, "corpora") from error
    try:
        return pq.ParquetFile(source)
    except Exception as error:
        msg = f"{name or source} is not a complete Parquet file ({error}); fetch it again"
        raise CorpusError(msg) from error


def child_of(column: pa.Field, name: str) -> bool:
    """Whether a column holds structures with this part."""
    import pyarrow as pa

    return pa.types.is_struct(column.type) and column.type.get_field_index(name) >= 0


@lru_cache(maxsize=4)
def _cells(path: str, version: tuple[int, ...], group: int, column: str) -> Any:  # noqa: ARG001
    """Return a column of a row group; a changed file is read anew."""
    file = open_parquet(path)
    leaf = f"{column}.bytes" if child_of(file.schema_arrow.field(column), "bytes") else column
    return file.read_row_group(group, columns=[leaf])[column]


def decode(data: bytes, name: str, short_edge: int | None = None) -> Image.Image:
    """Return the image in the bytes of a file in one of ``FORMATS``, as :func:`as_rgb` does."""
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
    return as_rgb(image, f"image {name}", short_edge)


def pixels_of(data: bytes) -> int:
    """Count the pixels that the bytes of an image promise; 0 if they are no image."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # damaged bytes can make a decoder raise anything; decode() will say what
        return 0


def as_rgb(image: Image.Image, name: str, short_edge: int | None = None) -> Image.Image:
    """Return an image in RGB, upright, transparency laid on white: the one conversion of mmgap.

    Corpora, encoders and rerankers all use it, so one image has one vector whichever way it came.
    Orientation is read from EXIF; damaged EXIF is passed over. Of 16-bit pixels the high byte
    counts. The result carries no metadata, so converting it again changes nothing.

    ``name`` is what an error calls the image. Models mostly scale the shorter edge to
    ``short_edge`` (224 by default); what would have over ``MAX_SCALED_PIXELS`` pixels then is
    refused, since one pixel by 30,000 would take gigabytes.

    >>> as_rgb(Image.new("RGBA", (1, 1)), "image 1").getpixel((0, 0))
    (255, 255, 255)
    """
    if not isinstance(image, Image.Image):
        msg = f"{name} is of type {type(image).__name__}; expected a PIL image: Image.open(path)"
        raise ImageError(msg)
    if type(image) is Image.Image and image.mode == "RGB" and not image.info:
        rgb = image
    else:
        rgb = _converted(image, name)
    short, long = sorted(rgb.size)
    if not short:
        msg = f"{name} is {rgb.width} x {rgb.height} pixels; expected at least one. Drop it"
        raise ImageError(msg)
    if long / short * (short_edge or _SHORT_EDGE) ** 2 > MAX_SCALED_PIXELS:
        msg = (
            f"{name} is {rgb.width} x {rgb.height} pixels, too elongated: a model that scales "
            f"its shorter edge to {short_edge or _SHORT_EDGE} would make over "
            f"{MAX_SCALED_PIXELS:,} pixels of it; cut it into parts, or drop it"
        )
        raise ImageError(msg)
    return rgb


def _converted(image: Image.Image, name: str) -> Image.Image:
    try:
        _load(image)
        image = _upright(image)
        if image.mode.startswith("I;16"):  # Pillow's own conversion would clip it to white
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        rgb = image.convert("RGB") if image.mode not in {"I", "F"} else None
    except Exception as error:  # damaged bytes can make a decoder raise anything
        msg = f"{name} is damaged or cut short ({error}); fetch it again or drop it"
        raise ImageError(msg) from error
    if rgb is None:
        msg = f"{name} has 32-bit pixels of unknown range; convert it to 8 bits a channel"
        raise ImageError(msg)
    rgb.info = {}
    return rgb


def _load(image: Image.Image) -> None:
    """Read the pixels, of which ``Image.open`` reads none."""
    path = getattr(image, "filename", "")
    try:
        if path:  # Pillow 13 maps turned TIFFs into memory with width and height exchanged
            image.filename = ""  # type: ignore[attr-defined]
        image.load()
    finally:
        if path:
            image.filename = path  # type: ignore[attr-defined]


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for."""


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:
        return image
    return image if turn is None else image.transpose(turn)


def version(path: str) -> tuple[int, ...]:
    """Tell versions of a file apart; its time of change alone may be set back."""
    found = os.stat(path)  # noqa: PTH116
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


_zip_lock = threading.Lock()


@lru_cache(maxsize=64)
def _open_zip(path: str, version: tuple[int, ...], process: int) -> zipfile.ZipFile:  # noqa: ARG001
    """Return an open zip; a changed file or a forked process gets a handle of its own."""
    return zipfile.ZipFile(path)
