"""Inputs that failed once: each must give the right value, or an error that names the item."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import mmgap as mg
from mmgap.corpus import Corpus, Document, ImageFile, Judgment, Qrels, Query
from mmgap.corpus.images import as_rgb, decode
from mmgap.errors import CorpusError, ImageError, MmgapError, SkippedItemsWarning
from mmgap.rerankers.base import Content, Pair, RerankerInfo
from mmgap.strategies.rerank import PairScorer

NOISE = np.random.default_rng(0).integers(0, 256, (12, 8, 4), dtype=np.uint8)


def drawing(mode: str) -> Image.Image:
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
    image = drawing(mode)
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
    path.write_bytes(encoded(drawing(mode), kind, exif=turned(6)))
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
        data = with_exif(encoded(drawing("RGB"), "PNG"), content)
    else:
        data = encoded(drawing("RGB"), "WEBP", exif=content, lossless=True)
    path = tmp_path / f"it.{kind.lower()}"
    path.write_bytes(data)
    np.testing.assert_array_equal(np.asarray(ImageFile(path).open()), NOISE[..., :3])


def test_c09_damaged_exif_is_no_warning_on_the_console(tmp_path: Path) -> None:
    entry = struct.pack("<HHHII", 1, 0x0112, 3, 4000, 8000)  # its value lies past the end
    path = tmp_path / "it.png"
    path.write_bytes(with_exif(encoded(drawing("RGB"), "PNG"), b"II*\0\x08\0\0\0" + entry))
    code = (
        "import sys, PIL.Image; {}\nwith PIL.Image.open(sys.argv[1]) as it: it.getexif().get(274)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-W", "always", "-c", code.format(first), path],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for first in ("pass", "import mmgap.corpus.images")
    ]
    assert "EXIF" in said[0]
    assert said[1] == ""


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (2, 9000)])
def test_c15_what_preprocessing_would_blow_up_is_refused(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "thin.png"
    Image.new("L", size).save(path)
    encoder = mg.load_encoder("mini-clip")
    with pytest.raises(ImageError, match=r"'thin'.*thin\.png is \d+ x \d+ pixels, too elongated"):
        mg.embed(corpus_of(path), encoder, cache=False, progress=False)
    with pytest.raises(ValueError, match="too elongated"):
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


def test_a_reranked_image_that_changes_after_its_key_was_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    drawing("RGB").save(path)
    vectors = mg.embed(corpus_of(path), mg.load_encoder("mini-clip"), cache=False, progress=False)
    scorer = PairScorer(vectors, Scores(), cache=tmp_path / "cache")
    read = ImageFile.read_bytes

    def overwritten_after(file: ImageFile) -> bytes:
        data = read(file)
        path.write_bytes(encoded(Image.new("RGB", (4, 4)), "PNG"))
        return data

    monkeypatch.setattr(ImageFile, "read_bytes", overwritten_after)
    with pytest.raises(ImageError, match=r"it\.png was changed while"):
        scorer.require({"image": np.array([[True]])}, np.array([[0]]))
    assert not list((tmp_path / "cache").rglob("*.npy"))


class Scores:
    """A reranker that reads images, and finds all alike."""

    info = RerankerInfo("alike", "alike 1", "test", "a number", ("text-image",))

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:  # noqa: ARG002
        return np.ones(len(pairs), dtype=np.float32)


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
    drawing("RGB").save(path)
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
    drawing("RGB").save(path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    encoder = mg.load_encoder("mini-clip")
    monkeypatch.setattr(type(encoder), "encode_text", None)
    with pytest.raises(MmgapError, match=r"needs about .* MB free; point MMGAP_CACHE to a larger"):
        mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)


def test_what_is_cached_whole_may_be_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.png"
    drawing("RGB").save(path)
    encoder = mg.load_encoder("mini-clip")
    first = mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)
    monkeypatch.setattr(Path, "write_bytes", None)
    again = mg.embed(corpus_of(path), encoder, cache=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(first.image.embeddings, again.image.embeddings)


# Readers

GOOD = {
    "documents.jsonl": '{"id": "d1", "text": "a black cat"}\n{"id": "d2", "text": "a dog"}\n',
    "queries.jsonl": '{"id": "q1", "text": "cat"}\n',
    "qrels.tsv": "q1\t0\td1\t1\n",
}


def folder_of(root: Path, **changes: str | bytes | None) -> Path:
    """A good folder, with files changed, added or (None) left out; ``_`` stands for a point."""
    root.mkdir()
    named = {name.replace("__", "."): content for name, content in changes.items()}
    for name, content in {**GOOD, **named}.items():
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (root / name).write_bytes(data)
    return root


def test_c08_tab_separated_files_are_not_quoted(tmp_path: Path) -> None:
    texts = ["one", "two", '"three', "four", 'five"', '"Red" is a film']
    rows = "".join(f"d{at}\t{text}\n" for at, text in enumerate(texts, start=1))
    folder = folder_of(tmp_path / "mine", documents__jsonl=None, documents__tsv=f"id\ttext\n{rows}")
    corpus = mg.load_corpus(folder)
    assert [document.text for document in corpus.documents] == texts


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ('d1,a\nd2,"b" c\nd3,d\n', ["d1", "d3"]),
        ('d1,a\nd2,"b\nd3,c\nd4,d\n', ["d1", "d3", "d4"]),
        ('d1,a\nd2,"two\nlines"\nd3,"b,c\n', ["d1", "d2"]),
        ("d1,a\nd2,b,c\nd3\nd4,d\n", ["d1", "d4"]),
        ("d1,a\r\nd2,b\r\n", ["d1", "d2"]),
    ],
)
def test_c08_a_bad_row_of_a_csv_costs_that_row(rows: str, kept: list[str], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", documents__jsonl=None, documents__csv=f"id,text\n{rows}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedItemsWarning)
        corpus = mg.load_corpus(folder, on_error="skip")
    assert corpus.doc_ids == tuple(kept)
    bad = sorted({"d1", "d2", "d3", "d4"} - set(kept))
    if corpus.skipped:
        with pytest.raises(CorpusError, match=r"documents\.csv line \d"):
            mg.load_corpus(folder)
        assert len(corpus.skipped) <= len(bad)


@pytest.mark.parametrize(
    ("file", "line", "item"),
    [
        (
            "documents__jsonl",
            '{"id": "d3", "text": "half \\ud83d"}',
            r"line 3 \(id 'd3'\): text of",
        ),
        ("documents__jsonl", '{"id": "d\\ude00", "text": "x"}', r"line 3 .*: id of document"),
        ("documents__jsonl", '{"id": "d3", "text": "x", "a": "\\ud83d"}', r"line 3 .*: 'a' of"),
        ("queries__jsonl", '{"id": "q3", "text": "\\ude00 x"}', r"line 2 \(id 'q3'\): text of"),
    ],
)
def test_c14_half_a_character_costs_its_item(
    file: str, line: str, item: str, tmp_path: Path
) -> None:
    content = GOOD[file.replace("__", ".")] + line + "\n"
    folder = folder_of(tmp_path / "mine", **{file: content})
    with pytest.raises(CorpusError, match=item):
        mg.load_corpus(folder)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        corpus = mg.load_corpus(folder, on_error="skip")
    assert (corpus.doc_ids, corpus.query_ids) == (("d1", "d2"), ("q1",))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mine", {"split": "calibration"}, "'.*mine' has no split; .* min_grade, on_error"),
        ("mine", {"condition": "typo"}, "has no condition"),
        ("mine", {"language": "xx"}, "has no language"),
        ("features/clip-vit-b16-coco500", {"split": "test"}, "has no split; .* on_error"),
        ("mixbench/MSCOCO", {"split": "test"}, "has no split; .* pool"),
        ("edis", {"language": "de"}, "has no language; .* split, pool"),
        ("pictograms", {"min_grade": 1}, "has no min_grade; .* split, condition, language"),
        ("pictograms", {"language": "xx"}, "language is 'xx'; pictograms has queries in"),
        ("pictograms", {"split": "train", "condition": "style"}, "'train' has no conditions"),
    ],
)
def test_c30_options_a_corpus_does_not_have_are_refused(
    name: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "mine")
    with pytest.raises(CorpusError, match=message):
        mg.load_corpus(folder if name == "mine" else name, **options)


@pytest.mark.parametrize("missing", [["qrels__tsv"], ["qrels__tsv", "queries__jsonl"]])
def test_c43_what_needs_no_judgments_loads_without_them(missing: list[str], tmp_path: Path) -> None:
    corpus = mg.load_corpus(folder_of(tmp_path / "mine", **dict.fromkeys(missing)))
    assert not corpus.judged
    assert len(corpus.queries) == 2 - len(missing)
    vectors = mg.embed(corpus, mg.load_encoder("mini-clip"), cache=False, progress=False)
    assert vectors.scores("text").shape == (len(corpus.queries), 2)
    lacks = "judgments" if corpus.queries else "queries"
    with pytest.raises(CorpusError, match=rf"'mine' has no {lacks}, and recall needs them; add"):
        corpus.require_judgments("recall")


@pytest.mark.parametrize(
    "qrels",
    [
        "q1\t0\t17\t1",
        "query-id\tcorpus-id\tscore\nq1\t17\t1",
        "query-id\tcorpus-id\tscore\nq1\t17\t1.0",
    ],
)
def test_c07_whole_numbers_are_ids(qrels: str, tmp_path: Path) -> None:
    """As BEIR and data frames write them."""
    documents = '{"_id": 17, "text": "a cat"}\n{"_id": "d2", "text": "a dog"}\n'
    folder = folder_of(
        tmp_path / "mine", documents__jsonl=None, corpus__jsonl=documents, qrels__tsv=qrels
    )
    corpus = mg.load_corpus(folder)
    assert dict(corpus.qrels["q1"]) == {"17": 1}
    assert corpus.doc_ids == ("17", "d2")


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("q1 0 d1 1\n".encode("utf-16"), r"qrels\.tsv is UTF-16; expected plain UTF-8"),
        (gzip.compress(b"q1 0 d1 1\n", mtime=0)[:-9], r"qrels\.tsv is compressed by gzip"),
        ("q1 0 d\xe9 1\n".encode("latin-1"), r"qrels\.tsv line 1: is not UTF-8"),
        ("q1 0 d\xa01 1\n", r"qrels\.tsv line 1: names document 'd\\xa01'"),
        ("q1 0 d1 1_0\n", r"line 1: grade '1_0' is not a whole number"),
        ("q1 0 d1 nan\n", r"line 1: grade 'nan' is not a whole number"),
        (b"", "qrels.tsv names no relevant document"),
    ],
)
def test_c23_judgment_files_in_other_encodings(
    qrels: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=message):
        mg.load_corpus(folder_of(tmp_path / "mine", qrels__tsv=qrels))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_a_damaged_file_ends_in_one_error_or_costs_its_items(
    suffix: str, seed: int, tmp_path: Path
) -> None:
    """Bytes flipped, cut and repeated at random."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    folder = folder_of(tmp_path / "mine", documents__jsonl=None)
    path = folder / f"documents.{suffix}"
    table = pd.DataFrame({"id": ["d1", "d2"], "text": ["a \u732b cat", "a, dog"], "n": [1, 2]})
    if suffix in {"json", "jsonl"}:
        table.to_json(path, orient="records", lines=suffix == "jsonl")
    elif suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    whole = path.read_bytes()
    for _ in range(20):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=rng.integers(1, 4)):
            data[at] = rng.choice([0, 34, 44, 91, 123, 255, data[at] ^ 1 << int(rng.integers(8))])
        if rng.random() < 0.3:
            del data[int(rng.integers(len(data))) :]
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkippedItemsWarning)
            for on_error in ("raise", "skip"):
                with contextlib.suppress(MmgapError):
                    mg.load_corpus(folder, on_error=on_error)


@pytest.mark.parametrize("name", ["", " ", "a\0b", "x" * 5000, "\ud83d", "/", "a@b@c", "mbeir/"])
def test_odd_names_of_corpora(name: str) -> None:
    with pytest.raises(MmgapError):
        mg.load_corpus(name)
