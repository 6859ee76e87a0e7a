"""What holds for the encoders of all backends: a table of checkpoints, a test for each rule."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_late
import tiny_onnx
import tiny_open_clip
from PIL import Image

from mmgap.corpus.images import ImageFile
from mmgap.encoders import Encoder, TokenVectors, load_encoder
from mmgap.encoders.base import rgb
from mmgap.errors import EncoderError, NonCommercialWarning

MAKERS: dict[str, Callable[[Path], Path]] = {
    "clip": tiny.clip,
    "siglip": tiny.siglip,
    "qwen3_vl": tiny.qwen3_vl,
    "sentence_bert": tiny.sentence_bert,
    "open_clip": lambda folder: tiny_open_clip.write_family(folder, "clip"),
    "jinaai/jina-clip-v1": tiny_onnx.write_jina_v1,
    "jinaai/jina-clip-v2": tiny_onnx.write_jina_v2,
    "colpali": tiny_late.colpali,
    "colbert": tiny_late.colbert,
}
NAMES = ["mini", *MAKERS]
TEXTS = ["a cat", "dog", "the black cat sits on the mat", "a photo of a red rose"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("contract")
    return {name: make(root / name.replace("/", "_")) for name, make in MAKERS.items()}


def load(name: str, folder: Path) -> Encoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonCommercialWarning)
        return load_encoder(f"{name}@{folder}" if "/" in name else str(folder))


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, Encoder]:
    loaded = {name: load(name, folder) for name, folder in folders.items()}
    return {"mini": load_encoder("mini-clip"), **loaded}


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(40, 60), (60, 40), (50, 50)]
    return [Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]


def rows_of(vectors: object) -> np.ndarray:
    return vectors.tokens if isinstance(vectors, TokenVectors) else np.asarray(vectors)


def calls(encoder: Encoder, images: list[Image.Image]) -> list[tuple[Callable, list]]:
    """Return each function of an encoder that it can do, with inputs."""
    found: list[tuple[Callable, list]] = [(encoder.encode_text, TEXTS)]
    if "image" in encoder.info.modalities:
        found.append((encoder.encode_images, images))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_shape_type_norm_and_no_input(
    name: str, encoders: dict[str, Encoder], images: list[Image.Image]
) -> None:
    encoder = encoders[name]
    assert isinstance(encoder, Encoder)
    assert f"dim={encoder.info.dim}" in repr(encoder)
    for encode, items in calls(encoder, images):
        vectors = encode(items)
        rows = rows_of(vectors)
        assert len(vectors) == len(items)
        assert rows.dtype == np.float32
        assert rows.shape[1] == encoder.info.dim
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        raw = rows_of(encode(items, normalize=False))
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        np.testing.assert_allclose(unit, rows, atol=1e-6)
        assert len(encode([])) == 0
        assert rows_of(encode([])).shape == (0, encoder.info.dim)


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_depends_neither_on_its_batch_nor_on_the_order(
    name: str, encoders: dict[str, Encoder], images: list[Image.Image]
) -> None:
    for encode, items in calls(encoders[name], images):
        together = list(encode(items))
        for other in (encode(items, batch_size=1), list(encode(items[::-1], batch_size=2))[::-1]):
            for found, expected in zip(other, together, strict=True):
                np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a cat", "single text 'a cat'"),
        (["a cat", 7], "text 1 is of type int"),
        (["a \udc00"], "half a character"),
    ],
)
def test_texts_that_are_none_are_refused(
    name: str, texts: list, message: str, encoders: dict[str, Encoder]
) -> None:
    with pytest.raises(EncoderError, match=message):
        encoders[name].encode_text(texts)


@pytest.mark.parametrize("name", NAMES)
def test_images_that_are_none_are_refused(
    name: str, encoders: dict[str, Encoder], images: list[Image.Image]
) -> None:
    encoder = encoders[name]
    if "image" not in encoder.info.modalities:
        with pytest.raises(EncoderError, match="reads text only, no images"):
            encoder.encode_images(images)
        return
    with pytest.raises(EncoderError, match=r"image 1 is of type str.*Image\.open"):
        encoder.encode_images([images[0], "cat.png"])
    with pytest.raises(EncoderError, match="image 1 is 200000 x 1 pixels"):
        encoder.encode_images([images[0], Image.new("L", (200_000, 1))])


@pytest.mark.parametrize("mode", ["P", "L", "LA", "RGBA", "I;16", "turned"])
@pytest.mark.parametrize("name", NAMES)
def test_one_image_has_one_vector_whichever_way_it_comes(
    name: str,
    mode: str,
    encoders: dict[str, Encoder],
    images: list[Image.Image],
    tmp_path: Path,
) -> None:
    encoder = encoders[name]
    if "image" not in encoder.info.modalities:
        return
    path = tmp_path / "image.png"
    if mode == "I;16":
        grey = np.asarray(images[0].convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    elif mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        images[0].save(path, exif=exif)
    elif mode in {"LA", "RGBA"}:
        clear = images[0].convert(mode)
        clear.putalpha(Image.linear_gradient("L").resize(clear.size))
        clear.save(path)
    else:
        images[0].convert(mode).save(path)
    opened = rows_of(encoder.encode_images([Image.open(path)]))
    of_corpus = rows_of(encoder.encode_images([ImageFile(path).open()]))
    np.testing.assert_array_equal(opened, of_corpus)


@pytest.mark.parametrize("name", ["mini", "clip", "jinaai/jina-clip-v1", "open_clip"])
def test_an_image_given_many_times_is_read_once(
    name: str,
    encoders: dict[str, Encoder],
    images: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Images are prepared in threads, and two of them must not load one object."""
    read = []

    def counting(image: Image.Image, *rest: object) -> Image.Image:
        read.append(image)
        return rgb(image, *rest)

    monkeypatch.setattr("mmgap.encoders.base.rgb", counting)
    rows = encoders[name].encode_images([images[0], images[1]] * 6)
    assert len(read) == 2
    np.testing.assert_allclose(rows, np.tile(rows[:2], (6, 1)), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_that_looks_like_an_image_stays_a_text(
    name: str, encoders: dict[str, Encoder], images: list[Image.Image], tmp_path: Path
) -> None:
    encoder = encoders[name]
    path = tmp_path / "red.png"
    images[0].save(path)
    there = rows_of(encoder.encode_text([str(path)]))
    path.unlink()
    np.testing.assert_array_equal(rows_of(encoder.encode_text([str(path)])), there)


@pytest.mark.parametrize("name", MAKERS)
def test_the_fingerprint_is_of_what_the_files_hold(
    name: str, folders: dict[str, Path], encoders: dict[str, Encoder], tmp_path: Path
) -> None:
    shutil.copytree(folders[name], tmp_path / "moved")
    (tmp_path / "moved" / "README.md").write_text("---\nlicense: mit\n---\n")
    moved = load(name, tmp_path / "moved").info
    assert moved.fingerprint == encoders[name].info.fingerprint
    assert moved.licence == "mit" or "/" in name  # the catalogue knows that of a named one
