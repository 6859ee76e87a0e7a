"""The disk store, the embedding of a corpus, and exact search."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import mmgap as mg
from mmgap.corpus import Corpus, Document, ImageFile, Judgment, Qrels, Query
from mmgap.encoders import Encoder, EncoderInfo
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import (
    CacheDamageWarning,
    EncoderError,
    ImageError,
    MmgapError,
    SkippedItemsWarning,
)
from mmgap.index import RECORD, EmbeddingStore, PairStore, content_key, top_k

INFO = EncoderInfo("demo", fingerprint="abc", backend="none", dim=3)
TEXTS = [f"text {i}" for i in range(20)]


# The store: for models with one vector an input, and with several


class Model:
    """Gives every text a vector of its own, and remembers what it was asked."""

    def __init__(self, late: bool, stop: int = 99) -> None:
        self.late, self.stop = late, stop
        self.seen: list[str] = []

    def vector(self, text: str) -> np.ndarray:
        seed = int(content_key(text)[:8], 16)
        shape = (1 + seed % 5, 3) if self.late else (3,)
        return 5 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def __call__(self, texts: list[str]) -> np.ndarray | TokenVectors:
        if len(self.seen) >= self.stop:
            raise KeyboardInterrupt
        self.seen += texts
        found = [self.vector(text) for text in texts]
        return TokenVectors.from_arrays(found) if self.late else np.stack(found)


def embed(
    store: EmbeddingStore, model: Model, texts: list[str] = TEXTS, kind: str = "query", **more
) -> np.ndarray | TokenVectors:
    """Embed texts, and compare each vector with the model's own."""
    more = {"batch_size": 4, "normalize": False, **more}
    keys = [content_key(text) for text in texts]
    positions, found = store.embed(INFO, kind, keys, load=texts.__getitem__, encode=model, **more)
    np.testing.assert_array_equal(positions, np.arange(len(texts)))
    for vector, text in zip(found, texts, strict=True):
        own = model.vector(text)
        if more["normalize"]:
            own = own / np.linalg.norm(own, axis=-1, keepdims=True)
        np.testing.assert_allclose(vector, own, rtol=1e-6 if more["normalize"] else 0)
    return found


def files(store: EmbeddingStore, suffix: str, kind: str = "query") -> list[Path]:
    folder = store.folder(INFO, kind)
    assert folder is not None
    return sorted(folder.glob(f"*{suffix}"))


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path, shard_size=8)


both = pytest.mark.parametrize("late", [False, True])


@both
@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_second_time_comes_from_disk(
    store: EmbeddingStore, late: bool, workers: int, normalize: bool
) -> None:
    first, second = Model(late), Model(late)
    told: list[int] = []
    more = {"workers": workers, "normalize": normalize, "on_progress": told.append}
    embed(store, first, [*TEXTS, "text 3"], **more)
    embed(store, second, [*TEXTS, "text 3"][::-1], **more)
    assert (first.seen, second.seen) == (TEXTS, [])  # equal inputs once
    assert len(files(store, ".npy")) == len(files(store, ".json")) == 3  # 8 + 8 + 4
    assert sum(told) == 42


def test_only_what_is_new_is_encoded(store: EmbeddingStore) -> None:
    embed(store, Model(late=False), TEXTS[:10])
    model = Model(late=False)
    embed(store, model, TEXTS[::-1])
    assert sorted(model.seen) == sorted(TEXTS[10:])


def test_kinds_and_encoders_are_kept_apart(store: EmbeddingStore) -> None:
    embed(store, Model(late=False))
    model = Model(late=False)
    embed(store, model, kind="document")
    assert len(model.seen) == 20
    other = replace(INFO, fingerprint="abcd")
    assert store.read(other, "query", [content_key(TEXTS[0])]) == {}
    with pytest.raises(ValueError, match="kind is 'queries'; expected one of query, document"):
        store.folder(INFO, "queries")


def test_without_a_root_or_inputs_nothing_is_kept(store: EmbeddingStore) -> None:
    nowhere, model = EmbeddingStore(None), Model(late=False)
    embed(nowhere, model)
    embed(nowhere, model)
    assert len(model.seen) == 40
    assert embed(store, model, [], workers=2).shape == (0, 3)
    assert not list(store.root.rglob("*.npy"))


@both
@pytest.mark.parametrize("workers", [0, 3])
def test_a_stopped_run_goes_on_where_it_stopped(
    store: EmbeddingStore, workers: int, late: bool
) -> None:
    with pytest.raises(KeyboardInterrupt):
        embed(store, Model(late, stop=12), workers=workers)
    model = Model(late)
    embed(store, model, workers=workers)
    assert model.seen == TEXTS[12:]


def test_large_inputs_make_small_batches_and_shards(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmgap.index.store._SHARD_BYTES", 1)
    monkeypatch.setattr("mmgap.index.store._BATCH_PIXELS", 100)
    embed(store, Model(late=True), pixels=[60] * 10 + [10] * 10)
    assert len(files(store, ".npy")) == 10 + 3 - 1  # 60 and 10, 10, 10, 10; then 4 and 2


def test_a_killed_run_keeps_its_finished_shards(tmp_path: Path) -> None:
    code = f"""
import os, numpy as np
from pathlib import Path
from mmgap.encoders.base import EncoderInfo
from mmgap.index import EmbeddingStore, content_key
texts, seen = {TEXTS!r}, []
def encode(batch):
    seen.extend(batch)
    if len(seen) > 12: os._exit(9)
    return np.ones((len(batch), 3), dtype=np.float32)
info = EncoderInfo("demo", fingerprint="abc", backend="none", dim=3)
EmbeddingStore(Path({str(tmp_path)!r}), shard_size=8).embed(
    info, "query", [content_key(t) for t in texts], texts.__getitem__, encode, batch_size=4)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    model = Model(late=False)
    keys = [content_key(text) for text in TEXTS]
    EmbeddingStore(tmp_path).embed(INFO, "query", keys, TEXTS.__getitem__, model)
    assert model.seen == TEXTS[8:]


def test_a_write_that_breaks_off_leaves_nothing(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fill_the_disk(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fill_the_disk)
        with pytest.raises(MmgapError, match=r"written \(No space left.*MMGAP_CACHE"):
            embed(store, Model(late=False))
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def forge(store: EmbeddingStore, change: Callable[[dict, Path], None]) -> None:
    """Change the one shard, with checksums that fit."""
    (array,), (manifest,) = files(store, ".npy"), files(store, ".json")
    record = json.loads(manifest.read_text())
    change(record, array)
    record["sha256"] = hashlib.sha256(array.read_bytes()).hexdigest()
    text = json.dumps(record).encode()
    name = f"part-{content_key(text)[:20]}"
    array.rename(array.with_name(f"{name}.npy"))
    manifest.unlink()
    manifest.with_name(f"{name}.json").write_bytes(text)


@both
@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, make_empty, Path.unlink])
def test_a_damaged_shard_is_named_and_made_again(
    store: EmbeddingStore, damage: Callable[[Path], None], suffix: str, late: bool
) -> None:
    embed(store, Model(late))
    victim = files(store, suffix)[0]
    damage(victim)
    lost = 0 if (suffix, damage) == (".json", Path.unlink) else 1
    model, again = Model(late), Model(late)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embed(store, model)
    told = [each for each in caught if each.category is CacheDamageWarning]
    assert len(told) == lost
    assert all(str(victim.with_suffix(".npy")) in str(each.message) for each in told)
    assert len(model.seen) in {4, 8}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed(store, again)
    assert again.seen == []


def test_a_folder_in_place_of_a_shard(store: EmbeddingStore) -> None:
    embed(store, Model(late=False), TEXTS[:3])
    make_a_folder(files(store, ".npy")[0])
    with pytest.warns(CacheDamageWarning), pytest.raises(MmgapError, match="MMGAP_CACHE"):
        embed(store, Model(late=False), TEXTS[:3])


def test_swapped_shards_are_noticed(store: EmbeddingStore) -> None:
    embed(store, Model(late=False))
    one, two, _ = files(store, ".npy")
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    with pytest.warns(CacheDamageWarning):
        embed(store, Model(late=False))


def pickled(record: dict, array: Path) -> None:  # noqa: ARG001
    np.save(array, np.array([{}, {}, {}], dtype=object), allow_pickle=True)


def wrong_lengths(record: dict, array: Path) -> None:  # noqa: ARG001
    record["lengths"][0] += 1


@pytest.mark.parametrize(("late", "change"), [(False, pickled), (True, wrong_lengths)])
def test_what_does_not_fit_is_not_read(
    store: EmbeddingStore, late: bool, change: Callable[[dict, Path], None]
) -> None:
    embed(store, Model(late), TEXTS[:3])
    forge(store, change)
    with pytest.warns(CacheDamageWarning):
        embed(store, Model(late), TEXTS[:3])


def test_an_input_that_cannot_be_loaded(store: EmbeddingStore) -> None:
    def load(position: int) -> str:
        if TEXTS[position] == "text 5":
            msg = "it is broken"
            raise ImageError(msg)
        return TEXTS[position]

    keys = [content_key(text) for text in TEXTS] + [content_key("text 5")]
    model, told = Model(late=False), []
    for workers in (0, 3):
        with pytest.raises(ImageError, match="it is broken"):
            store.embed(INFO, "image", keys, load, model, batch_size=4, workers=workers)
    positions, embeddings = store.embed(
        INFO, "image", keys, load, model, on_bad=lambda at, error: told.append((at, str(error)))
    )
    assert told == [(5, "it is broken"), (20, "it is broken")]
    assert list(positions) == [i for i in range(20) if i != 5]
    assert embeddings.shape == (19, 3)


def test_an_encoder_that_breaks_its_word(store: EmbeddingStore) -> None:
    bad = np.ones((6, 3))
    bad[4, 1] = np.nan
    for answer, message in (
        (np.ones((1, 4)), r"shape \(1, 4\) for 3 inputs; expected \(3, 3\)"),
        (bad[3:], "not finite for input 1"),
        (TokenVectors(np.ones((4, 3)), np.array([0, 1, 4])), r"shape \(2, 3\) for 3 inputs"),
        (TokenVectors(np.ones((4, 4)), np.array([0, 1, 2, 4])), r"shape \(3, 4\) for 3 inputs"),
        (TokenVectors(bad, np.array([0, 3, 5, 6])), "not finite for input 1"),
    ):
        keys = [content_key(text) for text in "abc"]
        with pytest.raises(EncoderError, match=message):
            store.embed(INFO, "query", keys, list("abc").__getitem__, lambda _, a=answer: a)
    assert not list(store.root.rglob("*.npy"))


def test_processes_that_write_at_once(tmp_path: Path) -> None:
    """Four processes embed the same texts; what is on disk afterwards is whole."""
    code = f"""
import numpy as np, warnings
from pathlib import Path
warnings.simplefilter("error")
from mmgap.encoders.base import EncoderInfo
from mmgap.index import EmbeddingStore, content_key
texts = {TEXTS!r} * 10 + [f"more {{i}}" for i in range(100)]
info = EncoderInfo("demo", fingerprint="abc", backend="none", dim=3)
def encode(batch):
    return np.array([[int(content_key(t)[i : i + 3], 16) for i in (0, 3, 6)] for t in batch])
EmbeddingStore(Path({str(tmp_path)!r}), shard_size=4).embed(
    info, "query", [content_key(t) for t in texts], texts.__getitem__, encode, batch_size=4)
"""
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = EmbeddingStore(tmp_path).read(INFO, "query", [content_key(t) for t in TEXTS])
    assert len(found) == 20
    key = content_key("text 3")
    np.testing.assert_array_equal(found[key], [int(key[i : i + 3], 16) for i in (0, 3, 6)])
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_was_stored_before_there_were_token_vectors_is_still_read(tmp_path: Path) -> None:
    """Files as an earlier version wrote them, byte for byte."""
    store = EmbeddingStore(tmp_path)
    folder = store.folder(INFO, "query")
    folder.mkdir(parents=True)
    rows = np.stack([Model(late=False).vector(text) for text in TEXTS[:3]])
    buffer = io.BytesIO()
    np.save(buffer, rows)
    manifest = {
        "encoder": "demo",
        "fingerprint": "abc",
        "kind": "query",
        "shape": [3, 3],
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "keys": [content_key(text) for text in TEXTS[:3]],
    }
    text = json.dumps(manifest, indent=1).encode()
    part = folder / f"part-{hashlib.sha256(text).hexdigest()[:20]}"
    part.with_suffix(".npy").write_bytes(buffer.getvalue())
    part.with_suffix(".json").write_bytes(text)
    model = Model(late=False)
    embed(store, model, TEXTS[:3])
    assert model.seen == []
    other = EmbeddingStore(tmp_path / "new")
    embed(other, Model(late=False), TEXTS[:3])
    assert [path.name for path in files(other, "")] == [path.name for path in files(store, "")]


# Scores of pairs

KEYS = np.array([f"pair {at}".encode() for at in range(6)], dtype="S16")
RECORDS = np.array([(at / 8, 0.01, 7 + at, at) for at in range(6)], dtype=RECORD)


def test_scores_of_pairs_come_back(tmp_path: Path) -> None:
    store, other = PairStore(tmp_path, "a reranker"), PairStore(tmp_path, "another")
    store.check(100)
    store.write(KEYS[:3], RECORDS[:3])
    store.write(KEYS[3:5], RECORDS[3:5])
    for asked in (KEYS, KEYS[::-1]):
        found, records = store.read(asked)
        known = [RECORDS[KEYS.tolist().index(key)] for key in asked.tolist()]
        assert found.tolist() == [key != KEYS[5] for key in asked]
        np.testing.assert_array_equal(records[found], np.array(known, dtype=RECORD)[found])
    assert not other.read(KEYS)[0].any()
    assert not PairStore(None, "a reranker").read(KEYS)[0].any()
    PairStore(None, "a reranker").write(KEYS, RECORDS)
    assert store.read(KEYS[:0])[0].shape == (0,)


def test_a_file_of_scores_is_read_once_and_later_ones_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = PairStore(tmp_path, "a reranker"), []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or whole(path))
    store.write(KEYS[:2], RECORDS[:2])
    for _ in range(3):
        assert store.read(KEYS)[0].sum() == 2
    PairStore(tmp_path, "a reranker").write(KEYS[4:], RECORDS[4:])  # by another process
    found, records = store.read(KEYS)
    assert found.tolist() == [True, True, False, False, True, True]
    np.testing.assert_array_equal(records[found], RECORDS[found])
    assert len(read) == 2


@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, make_empty])
def test_damaged_scores_are_named_and_left_out(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    store = PairStore(tmp_path, "a reranker")
    store.write(KEYS[:3], RECORDS[:3])
    (path,) = tmp_path.rglob("part-*.npy")
    damage(path)
    with pytest.warns(CacheDamageWarning, match=path.name):
        assert not store.read(KEYS)[0].any()
    assert not path.exists()


def test_scores_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    """Byte for byte as before: the name of the folder, of the file, and the table in it."""
    fields = [("key", "S16"), ("score", "<f4"), ("seconds", "<f4"), ("tokens", "<i4")]
    table = np.zeros(2, dtype=[*fields, ("pixels", "<i4")])
    table["key"], table["score"] = KEYS[:2], [0.5, 0.25]
    buffer = io.BytesIO()
    np.save(buffer, table)
    folder = tmp_path / "v1" / hashlib.sha256(b"a reranker").hexdigest()[:32]
    folder.mkdir(parents=True)
    name = f"part-{hashlib.sha256(buffer.getvalue()).hexdigest()[:20]}.npy"
    (folder / name).write_bytes(buffer.getvalue())
    found, records = PairStore(tmp_path, "a reranker").read(KEYS)
    assert found.tolist() == [True, True, False, False, False, False]
    assert records["score"].tolist() == [0.5, 0.25, 0, 0, 0, 0]


# A corpus


class ColourEncoder:
    """Mean colour of an image; length, vowels and role of a text."""

    def __init__(self) -> None:
        self.info = EncoderInfo("colour", fingerprint="colour 1", backend="test", dim=3)
        self.batches: list[int] = []

    def encode_text(self, texts, *, role="document", batch_size=64, normalize=True):
        assert not normalize
        assert len(texts) <= batch_size
        self.batches.append(len(texts))
        rows = [[len(t), sum(c in "aeiou" for c in t), 1 + (role == "query")] for t in texts]
        return np.array(rows, dtype=np.float32)

    def encode_images(self, images, *, batch_size=64, normalize=True):
        assert not normalize
        assert len(images) <= batch_size
        self.batches.append(len(images))
        return np.stack([1 + np.asarray(im, np.float32).mean((0, 1)) for im in images])


class TextEncoder(ColourEncoder):
    """Reads no images, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.info = EncoderInfo("words", "words 1", "test", dim=3, modalities=("text",))

    def encode_images(self, images, **options):
        raise AssertionError(images, options)


class LateEncoder(ColourEncoder):
    """One vector for each letter of a text, and for each row of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.info = EncoderInfo("late", "late 1", "test", dim=3)

    def encode_text(self, texts, *, role="document", batch_size=64, normalize=True):
        assert not normalize
        assert len(texts) <= batch_size
        return TokenVectors.from_arrays(
            [[[1, ord(c) / 99, role == "query"] for c in text] for text in texts]
        )

    def encode_images(self, images, *, batch_size=64, normalize=True):
        assert not normalize
        assert len(images) <= batch_size
        return TokenVectors.from_arrays(
            [1 + np.asarray(image, np.float32).mean(axis=1) for image in images]
        )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Twelve documents: even ones have a text, all but every third an image."""
    documents = []
    for i in range(12):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (4, 4), (20 * i, 255 - 20 * i, 7)).save(path)
        text = f"text number {'aeiou'[i % 5] * i}" if i % 2 == 0 or i % 3 == 0 else None
        documents.append(Document(f"d{i}", text, None if i % 3 == 0 else ImageFile(path)))
    queries = [Query(f"q{i}", f"query {'e' * i}") for i in range(5)]
    return Corpus("demo", documents, queries, Qrels([Judgment(q.id, "d1", 1) for q in queries]))


def test_every_row_belongs_to_its_item(corpus: Corpus) -> None:
    encoder = ColourEncoder()
    assert isinstance(encoder, Encoder)
    vectors = mg.embed(corpus, encoder, cache=False, batch_size=4)
    for row, query in zip(vectors.queries, corpus.queries, strict=True):
        expected = encoder.encode_text([query.text], role="query", normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    for at, row in zip(vectors.text.positions, vectors.text.embeddings, strict=True):
        expected = encoder.encode_text([corpus.documents[at].text], normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    for at, row in zip(vectors.image.positions, vectors.image.embeddings, strict=True):
        expected = encoder.encode_images([corpus.documents[at].image.open()], normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    assert list(vectors.text.positions) == [0, 2, 3, 4, 6, 8, 9, 10]
    assert list(vectors.image.positions) == [1, 2, 4, 5, 7, 8, 10, 11]
    assert vectors.scores("image").shape == (5, 8)
    assert vectors.encoder is encoder.info
    assert vectors.corpus is corpus


@pytest.mark.parametrize("cache", [True, "folder"])
def test_a_second_run_encodes_nothing(corpus: Corpus, tmp_path: Path, cache) -> None:
    cache = tmp_path / "cache" if cache == "folder" else cache
    first = mg.embed(corpus, ColourEncoder(), cache=cache)
    encoder = ColourEncoder()
    second = mg.embed(corpus, encoder, cache=cache)
    assert encoder.batches == []
    np.testing.assert_array_equal(first.queries, second.queries)
    for leg in ("text", "image"):
        np.testing.assert_array_equal(first.legs[leg].embeddings, second.legs[leg].embeddings)


def test_without_cache_nothing_is_written(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path / "nothing"))
    mg.embed(corpus, ColourEncoder(), cache=False)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "empty"])
@pytest.mark.parametrize("cache", [False, True])
def test_a_bad_image_is_named_or_left_out(corpus: Corpus, damage: str, cache: bool) -> None:
    path = corpus.documents[4].image.path
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"truncated": data[: len(data) // 2], "text": b"not an image", "empty": b""}[damage]
        )
    with pytest.raises(ImageError, match=r"image of document 'd4': image .*4\.png .*on_error"):
        mg.embed(corpus, ColourEncoder(), cache=cache)
    with pytest.warns(SkippedItemsWarning, match=r"1 items of corpus 'demo' .*'d4'") as caught:
        vectors = mg.embed(corpus, ColourEncoder(), cache=cache, on_error="skip")
    assert Path(caught[0].filename).name == "test_index.py"
    assert list(vectors.image.positions) == [1, 2, 5, 7, 8, 10, 11]
    assert len(vectors.image.embeddings) == 7
    assert 4 in vectors.text.positions
    assert list(vectors.corpus.skipped) == ["image of document 'd4'"]
    assert vectors.corpus.doc_ids == corpus.doc_ids
    assert corpus.skipped == {}


def test_equal_images_are_encoded_once(corpus: Corpus) -> None:
    one = corpus.documents[1].image
    documents = [Document(f"d{i}", None, one) for i in range(6)]
    encoder = ColourEncoder()
    vectors = mg.embed(
        Corpus("same", documents, corpus.queries, corpus.qrels), encoder, cache=False
    )
    assert encoder.batches == [5, 1]  # queries, one image
    assert vectors.image.embeddings.shape == (6, 3)
    assert vectors.text.embeddings.shape == (0, 3)


def test_no_bar_where_nobody_watches(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    mg.embed(corpus, ColourEncoder(), cache=False, progress=True)
    assert capsys.readouterr() == ("", "")


def test_bars_reach_the_end(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    import rich.progress

    bars: list[rich.progress.Progress] = []
    start = rich.progress.Progress.start

    def remember(self) -> None:
        bars.append(self)
        start(self)

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(rich.progress.Progress, "start", remember)
    mg.embed(corpus, ColourEncoder(), cache=False, progress=True)
    (bar,) = bars
    assert [task.description for task in bar.tasks] == [
        "demo: queries",
        "demo: texts",
        "demo: images",
    ]
    assert all(task.finished for task in bar.tasks)


def test_images_are_loaded_while_the_model_works(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model waits until the image of the next batch was asked for."""
    total = sum(document.image is not None for document in corpus.documents)
    loaded: list[ImageFile] = []
    decode = ImageFile.open
    monkeypatch.setattr(ImageFile, "open", lambda file, *_: (loaded.append(file), decode(file))[1])

    class Waits(ColourEncoder):
        images = 0

        def encode_images(self, images, **options):
            self.images += 1
            patience = time.monotonic() + 10
            while len(loaded) < min(self.images + 1, total):
                assert time.monotonic() < patience, "nobody loads the next image meanwhile"
                time.sleep(0.001)
            return super().encode_images(images, **options)

    encoder = Waits()
    mg.embed(corpus, encoder, cache=False, batch_size=1)
    assert encoder.images == total


def test_warnings_only_for_a_cause(corpus: Corpus) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.embed(corpus, ColourEncoder(), cache=False, on_error="skip")


def test_an_encoder_that_reads_text_only(corpus: Corpus, tmp_path: Path) -> None:
    encoder = TextEncoder()
    vectors = mg.embed(corpus, encoder, cache=tmp_path / "cache")
    assert list(vectors.legs) == ["text"]
    assert vectors.filled_legs == ("text",)
    assert list(vectors.text.positions) == [0, 2, 3, 4, 6, 8, 9, 10]
    assert vectors.scores("text").shape == (5, 8)
    for ask in (lambda: vectors.image, lambda: vectors.scores("image")):
        with pytest.raises(MmgapError, match=r"no image leg: 'words' reads text only; legs.* text"):
            ask()


def test_an_encoder_that_reads_no_text_has_no_queries(corpus: Corpus) -> None:
    encoder = ColourEncoder()
    encoder.info = EncoderInfo("eye", "eye 1", "test", dim=3, modalities=("image",))
    with pytest.raises(EncoderError, match="'eye' reads image only, and queries are texts"):
        mg.embed(corpus, encoder, cache=False)


def test_the_image_of_a_query_is_not_left_out_silently(corpus: Corpus) -> None:
    first, *others = corpus.queries
    pictured = Query(first.id, "like this, in red", image=corpus.documents[1].image)
    asked = Corpus("asked", corpus.documents, [pictured, *others], corpus.qrels)
    with pytest.raises(EncoderError, match="query 'q0' of 'asked' holds an image; queries are"):
        mg.embed(asked, ColourEncoder(), cache=False)


def test_texts_and_images_need_an_encoder(corpus: Corpus) -> None:
    with pytest.raises(EncoderError, match=r"'demo' holds texts and images, not vectors; expected"):
        mg.embed(corpus)


def test_a_leg_without_documents_is_there_but_not_filled(corpus: Corpus) -> None:
    images = [document for document in corpus.documents if document.text is None]
    pool = Corpus("images", images, corpus.queries, corpus.qrels)
    vectors = mg.embed(pool, ColourEncoder(), cache=False)
    assert list(vectors.legs) == ["text", "image"]
    assert vectors.filled_legs == ("image",)
    assert vectors.scores("text").shape == (5, 0)


@pytest.mark.parametrize("cache", [False, True])
def test_late_interaction(corpus: Corpus, cache: bool) -> None:
    for _ in range(2):  # the second time from the cache
        vectors = mg.embed(corpus, LateEncoder(), cache=cache, batch_size=4)
        assert isinstance(vectors.queries, TokenVectors)
        assert vectors.queries.lengths.tolist() == [len(query.text) for query in corpus.queries]
        for leg, kind in (("text", vectors.text), ("image", vectors.image)):
            assert len(kind.embeddings) == len(kind.positions) == 8
            np.testing.assert_allclose(np.linalg.norm(kind.embeddings.tokens, axis=1), 1, atol=1e-6)
            by_hand = [
                [
                    np.mean([max(document @ token) for token in query])
                    for document in kind.embeddings
                ]
                for query in vectors.queries
            ]
            np.testing.assert_allclose(vectors.scores(leg), by_hand, atol=1e-6)


# Exact search


def oracle(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ documents.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_query=st.integers(0, 30),
    n_doc=st.integers(1, 300),
    k=st.integers(1, 320),
    values=st.sampled_from([2, 3, 50]),
)
def test_equals_numpy_with_ties_by_index(
    seed: int, n_query: int, n_doc: int, k: int, values: int
) -> None:
    """Small whole numbers, so scores are exact and ties are many."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-values, values, (n_query, 4)).astype(np.float32)
    documents = rng.integers(-values, values, (n_doc, 4)).astype(np.float32)
    scores, indices = top_k(queries, documents, k)
    expected_scores, expected_indices = oracle(queries, documents, k)
    np.testing.assert_array_equal(scores, expected_scores)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("k", [1, 10, 150])
def test_real_numbers(k: int) -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.standard_normal((40, 64)), rng.standard_normal((2000, 64))
    scores, indices = top_k(queries, documents, k)
    expected_scores, expected_indices = oracle(queries, documents, k)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4)
    np.testing.assert_array_equal(indices, expected_indices)
    assert (scores.dtype, indices.dtype) == (np.float32, np.int64)


def test_all_documents_alike() -> None:
    _, indices = top_k(np.ones((2, 3)), np.ones((1000, 3)), 5)
    np.testing.assert_array_equal(indices, [[0, 1, 2, 3, 4]] * 2)


def test_k_beyond_the_pool_returns_the_pool() -> None:
    scores, indices = top_k(np.ones((2, 3)), np.ones((4, 3)), 10)
    assert scores.shape == indices.shape == (2, 4)
    assert top_k(np.ones((2, 3)), np.ones((0, 3)), 10)[0].shape == (2, 0)


def test_what_is_given_is_not_changed_and_need_not_be_contiguous() -> None:
    documents = np.asfortranarray(np.random.default_rng(0).standard_normal((9, 4)))
    copy = documents.copy()
    _, indices = top_k(documents[::2], documents, 1)
    np.testing.assert_array_equal(documents, copy)
    assert indices.shape == (5, 1)


def test_errors() -> None:
    good, bad = np.ones((2, 3)), np.ones((2, 3))
    bad[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"row 1 of documents .* not finite \(1 such rows\)"):
        top_k(good, bad, 1)
    bad[1, 1] = np.inf
    with pytest.raises(ValueError, match="row 1 of queries"):
        top_k(bad, good, 1)
    with pytest.raises(ValueError, match="queries have 3 dimensions and documents 4"):
        top_k(good, np.ones((2, 4)), 1)
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        top_k(good, good, 0)
    with pytest.raises(ValueError, match=r"queries have shape \(3,\); expected two axes"):
        top_k(np.ones(3), good, 1)


def test_equal_documents_have_equal_scores_and_a_list_is_the_start_of_a_longer_one() -> None:
    """A large matrix product gives equal columns scores that differ in the last bits."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(100, 384)).astype(np.float32)
    kinds /= np.linalg.norm(kinds, axis=1, keepdims=True)
    kind = rng.integers(100, size=500)
    queries = rng.normal(size=(1600, 384)).astype(np.float32)
    deep, order = top_k(queries, kinds[kind], 200)
    same = kind[order[:, 1:]] == kind[order[:, :-1]]
    assert same.mean() > 0.5
    assert (deep[:, 1:][same] == deep[:, :-1][same]).all()
    for k in (1, 16, 64):
        scores, indices = top_k(queries, kinds[kind], k)
        assert (indices == order[:, :k]).all()
        assert (scores == deep[:, :k]).all()
