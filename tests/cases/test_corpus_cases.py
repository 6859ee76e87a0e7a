"""Inputs that failed once: each must give the right value, or an error that names the item."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import mmgap as mg
from mmgap.corpus import Corpus, Document, ImageFile, Judgment, Qrels, Query
from mmgap.corpus.images import as_rgb, decode
from mmgap.errors import ImageError, MmgapError
from mmgap.rerankers.base import Content

NOISE = np.random.default_rng(0).integers(0, 256, (12, 8, 4), dtype=np.uint8)


def picture(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(NOISE[..., 0].astype(np.uint16) << 8)
    return Image.fromarray(NOISE).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def with_exif(png: bytes, content: bytes) -> bytes:
    """The PNG with an eXIf chunk of any content."""
    chunk = b"eXIf" + content
    whole = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + whole + png[33:]


def corpus_of(*paths: Path) -> Corpus:
    documents = [Document(path.stem, "a text", ImageFile(path)) for path in paths]
    return Corpus(
        "images", documents, [Query("q", "a text")], Qrels([Judgment("q", documents[0].id, 1)])
    )


# One conversion to RGB


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P", "LA", "1"])
def test_c11_an_image_is_upright_whatever_its_pixels(mode: str, orientation: int) -> None:
    image = picture(mode)
    upright = np.asarray(as_rgb(image, "it"))
    plain = Image.fromarray(upright)
    plain.info["exif"] = turned(orientation).tobytes()
    expected = as_rgb(plain, "it")
    got = decode(encoded(image, "PNG", exif=turned(orientation)), "it")
    np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
    again = as_rgb(got, "it")
    assert again.size == got.size == (image.size if orientation < 5 else image.size[::-1])


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "P", "LA", "1", "CMYK"])
def test_c13_one_image_has_one_vector_in_every_door(mode: str, tmp_path: Path) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    path = tmp_path / f"it.{kind.lower()}"
    path.write_bytes(encoded(picture(mode), kind, exif=turned(6)))
    encoder = mg.load_encoder("mini-clip")
    leg = mg.embed(corpus_of(path), encoder, cache=False, progress=False).image.embeddings
    given = encoder.encode_images([Image.open(path)])
    np.testing.assert_allclose(given, leg, atol=1e-6)
    shown = Content(image=Image.open(path)).image
    assert shown is not None
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(ImageFile(path).open()))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("content", [b"", b"II", b"MM\0*\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_c09_damaged_exif_is_passed_over(kind: str, content: bytes, tmp_path: Path) -> None:
    if kind == "PNG":
        data = with_exif(encoded(picture("RGB"), "PNG"), content)
    else:
        data = encoded(picture("RGB"), "WEBP", exif=content, lossless=True)
    path = tmp_path / f"it.{kind.lower()}"
    path.write_bytes(data)
    np.testing.assert_array_equal(np.asarray(ImageFile(path).open()), NOISE[..., :3])


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (2, 9000)])
def test_c15_what_preprocessing_would_blow_up_is_refused(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "thin.png"
    Image.new("L", size).save(path)
    encoder = mg.load_encoder("mini-clip")
    with pytest.raises(ImageError, match=r"'thin'.*thin\.png is \d+ x \d+ pixels, too long"):
        mg.embed(corpus_of(path), encoder, cache=False, progress=False)
    with pytest.raises(ValueError, match="too long and thin"):
        encoder.encode_images([Image.open(path)])
    assert as_rgb(Image.new("L", (60, 6000)), "a strip").size == (60, 6000)


def test_an_image_that_changes_between_hash_and_decoding_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    read, times = ImageFile.read_bytes, []

    def overwritten(file: ImageFile) -> bytes:
        times.append(1)
        path.write_bytes(encoded(Image.new("RGB", (4, 4), (len(times), 0, 0)), "PNG"))
        return read(file)

    path.write_bytes(b"-")
    monkeypatch.setattr(ImageFile, "read_bytes", overwritten)
    with pytest.raises(ImageError, match=r"it\.png was changed while"):
        mg.embed(corpus_of(path), mg.load_encoder("mini-clip"), cache=tmp_path, progress=False)
    assert not list(tmp_path.rglob("image/*.npy"))


# The cache


def forbidden(path: Path) -> None:
    path.write_text("a file, no folder")


def inside_a_file(path: Path) -> None:
    path.mkdir()
    (path / "embeddings").write_text("a file, no folder")


@pytest.mark.parametrize("block", [forbidden, inside_a_file])
def test_a_cache_that_cannot_be_written_is_named_before_anything_is_embedded(
    block: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    picture("RGB").save(path)
    block(tmp_path / "cache")
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path / "cache"))
    encoder = mg.load_encoder("mini-clip")
    monkeypatch.setattr(type(encoder), "encode_text", None)
    with pytest.raises(MmgapError, match=r"cache .*cache.* cannot be .*point MMGAP_CACHE to"):
        mg.embed(corpus_of(path), encoder, progress=False)


def test_a_full_disk_is_named_before_anything_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    picture("RGB").save(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    encoder = mg.load_encoder("mini-clip")
    monkeypatch.setattr(type(encoder), "encode_text", None)
    with pytest.raises(MmgapError, match=r"needs about .* MB free; point MMGAP_CACHE to a larger"):
        mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)


def test_what_is_cached_whole_may_be_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    picture("RGB").save(path)
    encoder = mg.load_encoder("mini-clip")
    first = mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)
    monkeypatch.setattr(Path, "write_bytes", None)
    again = mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(first.image.embeddings, again.image.embeddings)
