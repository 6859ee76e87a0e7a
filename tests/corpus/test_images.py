from __future__ import annotations

import io
import struct
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmgap.corpus import images
from mmgap.corpus.images import ImageFile, decode
from mmgap.errors import ImageError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_file_and_a_zip_member_are_the_same_image(image_file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(image_file, "picture.png")
    alone, inside = ImageFile(image_file), ImageFile(tmp_path / "all.zip", "picture.png")
    assert alone.read_bytes() == inside.read_bytes() == image_file.read_bytes()
    assert alone.open().mode == "RGB"
    np.testing.assert_array_equal(np.asarray(alone.open()), np.asarray(inside.open()))
    assert inside.name.endswith("all.zip/picture.png")


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((0, 0), (*RED, 255))
    for data in (encoded(clear), encoded(clear, "WEBP", lossless=True)):
        image = decode(data, "it")
        assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [RED, WHITE]


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, *RED])
    image.putpixel((0, 0), 1)
    opened = decode(encoded(image, "PNG", transparency=0), "it")
    assert [opened.getpixel((0, 0)), opened.getpixel((1, 0))] == [RED, WHITE]


def test_a_turned_photo_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    image = decode(encoded(Image.new("RGB", (8, 4), "red"), "JPEG", exif=exif), "it")
    assert image.size == (4, 8)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.full((2, 2), 0x8000, dtype=np.uint16))
    assert decode(encoded(grey), "it").getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "LA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode(encoded(Image.new(mode, (3, 2)), kind), "it").mode == "RGB"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png does not exist; check the path"):
        ImageFile(tmp_path / "none.png").open()


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        ImageFile(tmp_path).open()


def test_missing_zip_and_missing_member(image_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no zip .*none\.zip"):
        ImageFile(tmp_path / "none.zip", "a.png").open()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(image_file, "picture.png")
    with pytest.raises(ImageError, match=r"no member 'Picture\.png' among its 1, e\.g\. \['pict"):
        ImageFile(tmp_path / "all.zip", "Picture.png").open()


def test_a_damaged_zip(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(b"PK not really")
    with pytest.raises(ImageError, match=r"fetch the zip .*all\.zip again"):
        ImageFile(tmp_path / "all.zip", "a.png").open()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_short(kind: str, part: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"cut\.img is (damaged or|not an image, or is) cut short"):
        ImageFile(path).open()


@pytest.mark.parametrize(
    "data", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0", b"hello"]
)
def test_what_is_not_an_image(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"not an image, .* starts with .* expected one of AVIF"):
        ImageFile(path).open()


def test_a_drawing_in_postscript_starts_no_program() -> None:
    """Pillow would hand it to Ghostscript."""
    with pytest.raises(ImageError, match=r"not an image, .* starts with b'%!PS"):
        decode(encoded(Image.new("RGB", (4, 4)), "EPS"), "drawing.eps")


def test_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png is empty \(0 bytes\)"):
        ImageFile(tmp_path / "empty.png").open()


def claims_to_be(side: int) -> bytes:
    """A PNG of a few bytes whose header promises side x side pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb(side: int) -> None:
    """Over the limit; and over twice the limit, where Pillow raises its own error."""
    with pytest.raises(ImageError, match=r"bomb\.png has more than 89,478,485 pixels"):
        decode(claims_to_be(side), "bomb.png")


def test_a_decompression_bomb_where_warnings_are_errors() -> None:
    with pytest.raises(ImageError, match="more than 89,478,485 pixels"):
        decode(claims_to_be(10_000), "bomb.png")


def test_the_limit_is_ours_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 10)
    with pytest.raises(ImageError, match="more than 10 pixels"):
        decode(encoded(Image.new("RGB", (4, 4))), "it")


def make_zip(path: Path, n: int) -> list[ImageFile]:
    """Members that differ from each other; they are read, not decoded."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(n):
            archive.writestr(f"{i}.png", str(i).encode() * 1000)
    return [ImageFile(path, f"{i}.png") for i in range(n)]


def test_threads_share_a_zip(tmp_path: Path) -> None:
    files = make_zip(tmp_path / "all.zip", 100)
    expected = [file.read_bytes() for file in files]
    images._open_zip.cache_clear()
    gate = threading.Barrier(8)

    def read_all(_: int) -> list[bytes]:
        gate.wait()
        return [file.read_bytes() for file in files]

    with ThreadPoolExecutor(8) as pool:
        assert all(got == expected for got in pool.map(read_all, range(8)))


def test_a_zip_that_changed_is_read_anew(tmp_path: Path) -> None:
    (file,) = make_zip(tmp_path / "all.zip", 1)
    before = file.read_bytes()
    time.sleep(0.01)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("0.png", encoded(Image.new("RGB", (4, 4), "red")))
    assert file.read_bytes() != before


def test_a_thousand_reads_are_quick(tmp_path: Path) -> None:
    files = make_zip(tmp_path / "all.zip", 1000)
    start = time.process_time()
    for file in files:
        file.read_bytes()
    assert time.process_time() - start < 0.5
