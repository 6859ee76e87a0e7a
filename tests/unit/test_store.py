from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import CacheDamageWarning, EncoderError, ImageError, MmgapError
from mmgap.index.store import EmbeddingStore, content_key

INFO = EncoderInfo("demo", fingerprint="abc", backend="none", dim=3)
TEXTS = [f"text {i}" for i in range(20)]


class Model:
    """Gives every text a vector of its own, and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def vector(self, text: str) -> np.ndarray:
        seed = int(content_key(text)[:8], 16)
        return 5 * np.random.default_rng(seed).standard_normal(3).astype(np.float32)

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.seen += texts
        return np.stack([self.vector(text) for text in texts])


class LateModel(Model):
    """Gives every text as many vectors as its seed says."""

    def vectors(self, text: str) -> np.ndarray:
        seed = int(content_key(text)[:8], 16)
        shape = (1 + seed % 5, 3)
        return 5 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)

    def __call__(self, texts: list[str]) -> TokenVectors:
        self.seen += texts
        return TokenVectors.from_arrays([self.vectors(text) for text in texts])


def embed(
    store: EmbeddingStore, model: Model, texts: list[str] = TEXTS, kind: str = "query", **more
) -> np.ndarray:
    more = {"batch_size": 4, "normalize": False, **more}
    keys = [content_key(text) for text in texts]
    positions, embeddings = store.embed(
        INFO, kind, keys, load=texts.__getitem__, encode=model, **more
    )
    np.testing.assert_array_equal(positions, np.arange(len(texts)))
    return embeddings


def files(store: EmbeddingStore, suffix: str, kind: str = "query") -> list[Path]:
    folder = store.folder(INFO, kind)
    assert folder is not None
    return sorted(folder.glob(f"*{suffix}"))


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path, shard_size=8)


def test_the_second_time_comes_from_disk(store: EmbeddingStore) -> None:
    first, second = Model(), Model()
    a, b = embed(store, first), embed(store, second)
    np.testing.assert_array_equal(a, [first.vector(text) for text in TEXTS])
    np.testing.assert_array_equal(a, b)
    assert (len(first.seen), second.seen) == (20, [])
    assert len(files(store, ".npy")) == len(files(store, ".json")) == 3  # 8 + 8 + 4
    assert a.dtype == np.float32


def test_raw_vectors_are_stored_and_unit_vectors_come_out(store: EmbeddingStore) -> None:
    raw = embed(store, Model())
    unit = embed(store, Model(), normalize=True)
    np.testing.assert_allclose(unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-6)


def test_only_what_is_new_is_encoded(store: EmbeddingStore) -> None:
    embed(store, Model(), TEXTS[:10])
    model = Model()
    embeddings = embed(store, model, TEXTS[::-1])
    assert sorted(model.seen) == sorted(TEXTS[10:])
    np.testing.assert_array_equal(embeddings, [model.vector(text) for text in TEXTS[::-1]])


def test_equal_inputs_are_encoded_once(store: EmbeddingStore) -> None:
    model = Model()
    embeddings = embed(store, model, ["a", "b", "a", "a"])
    assert model.seen == ["a", "b"]
    np.testing.assert_array_equal(embeddings[0], embeddings[3])


def test_kinds_and_encoders_are_kept_apart(store: EmbeddingStore) -> None:
    embed(store, Model())
    model = Model()
    embed(store, model, kind="document")
    assert len(model.seen) == 20
    other = replace(INFO, fingerprint="abcd")
    assert store.read(other, "query", [content_key(TEXTS[0])]) == {}
    with pytest.raises(ValueError, match="kind is 'queries'; expected one of query, document"):
        store.folder(INFO, "queries")


def test_nothing_is_kept_without_a_root() -> None:
    store, model = EmbeddingStore(None), Model()
    embed(store, model)
    embed(store, model)
    assert len(model.seen) == 40


def test_no_inputs(store: EmbeddingStore) -> None:
    assert embed(store, Model(), []).shape == (0, 3)
    assert embed(store, Model(), [], workers=2).shape == (0, 3)
    assert not list(store.root.rglob("*.npy"))


@pytest.mark.parametrize("workers", [0, 3])
def test_a_stopped_run_goes_on_where_it_stopped(store: EmbeddingStore, workers: int) -> None:
    class Stops(Model):
        def __call__(self, texts: list[str]) -> np.ndarray:
            if len(self.seen) >= 12:
                raise KeyboardInterrupt
            return super().__call__(texts)

    with pytest.raises(KeyboardInterrupt):
        embed(store, Stops(), workers=workers)
    model = Model()
    embeddings = embed(store, model, workers=workers)
    assert model.seen == TEXTS[12:]
    np.testing.assert_array_equal(embeddings, [model.vector(text) for text in TEXTS])


def test_a_killed_run_keeps_its_finished_shards(tmp_path: Path) -> None:
    code = f"""
import os, numpy as np
from pathlib import Path
from mmgap.encoders.base import EncoderInfo
from mmgap.index.store import EmbeddingStore, content_key
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
    model = Model()
    embed(EmbeddingStore(tmp_path), model)
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
            embed(store, Model())
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, make_empty, Path.unlink])
def test_a_damaged_shard_is_named_and_made_again(store: EmbeddingStore, damage, suffix) -> None:
    expected = embed(store, Model())
    victim = files(store, suffix)[0]
    damage(victim)
    lost = 0 if (suffix, damage) == (".json", Path.unlink) else 1
    model = Model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embeddings = embed(store, model)
    told = [w for w in caught if w.category is CacheDamageWarning]
    assert len(told) == lost
    assert all(str(victim.with_suffix(".npy")) in str(w.message) for w in told)
    assert len(model.seen) in {4, 8}
    np.testing.assert_array_equal(embeddings, expected)
    again = Model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(embed(store, again), expected)
    assert again.seen == []


def test_swapped_shards_are_noticed(store: EmbeddingStore) -> None:
    expected = embed(store, Model())
    one, two, _ = files(store, ".npy")
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    with pytest.warns(CacheDamageWarning):
        np.testing.assert_array_equal(embed(store, Model()), expected)


def test_nothing_is_unpickled(store: EmbeddingStore) -> None:
    """A shard of objects, with a checksum that fits."""
    embed(store, Model(), TEXTS[:3])
    (array,), (manifest,) = files(store, ".npy"), files(store, ".json")
    np.save(array, np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    record = json.loads(manifest.read_text())
    import hashlib

    record["sha256"] = hashlib.sha256(array.read_bytes()).hexdigest()
    text = json.dumps(record).encode()
    name = f"part-{content_key(text)[:20]}"
    array.rename(array.with_name(f"{name}.npy"))
    manifest.unlink()
    manifest.with_name(f"{name}.json").write_bytes(text)
    with pytest.warns(CacheDamageWarning):
        embed(store, Model(), TEXTS[:3])


def test_an_input_that_cannot_be_loaded(store: EmbeddingStore) -> None:
    def load(position: int) -> str:
        if TEXTS[position] == "text 5":
            msg = "it is broken"
            raise ImageError(msg)
        return TEXTS[position]

    keys = [content_key(text) for text in TEXTS] + [content_key("text 5")]
    model, told = Model(), []
    for workers in (0, 3):
        with pytest.raises(ImageError, match="it is broken"):
            store.embed(INFO, "image", keys, load, model, batch_size=4, workers=workers)
    positions, embeddings = store.embed(
        INFO, "image", keys, load, model, on_bad=lambda at, error: told.append((at, str(error)))
    )
    assert told == [(5, "it is broken"), (20, "it is broken")]
    assert list(positions) == [i for i in range(20) if i != 5]
    assert embeddings.shape == (19, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_reaches_the_total_each_time(store: EmbeddingStore, workers: int) -> None:
    for _ in range(2):
        done: list[int] = []
        embed(store, Model(), [*TEXTS, "text 1"], on_progress=done.append, workers=workers)
        assert sum(done) == 21


def test_an_encoder_that_breaks_its_word(store: EmbeddingStore) -> None:
    def call(encode) -> None:
        store.embed(INFO, "query", [content_key("a")], ["a"].__getitem__, encode)

    with pytest.raises(EncoderError, match=r"shape \(1, 4\) for 1 inputs; expected \(1, 3\)"):
        call(lambda _: np.ones((1, 4)))
    with pytest.raises(EncoderError, match="not finite for input 0"):
        call(lambda _: np.full((1, 3), np.nan))
    assert not list(store.root.rglob("*.npy"))


def test_processes_that_write_at_once(tmp_path: Path) -> None:
    """Four processes embed the same texts; what is on disk afterwards is whole."""
    code = f"""
import numpy as np, warnings
from pathlib import Path
warnings.simplefilter("error")
from mmgap.encoders.base import EncoderInfo
from mmgap.index.store import EmbeddingStore, content_key
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


# Several vectors for each input


def assert_vectors(found: TokenVectors, texts: list[str]) -> None:
    assert isinstance(found, TokenVectors)
    assert len(found) == len(texts)
    for vectors, text in zip(found, texts, strict=True):
        np.testing.assert_array_equal(vectors, LateModel().vectors(text))


@pytest.mark.parametrize("workers", [0, 2])
def test_token_vectors_come_back_from_disk(store: EmbeddingStore, workers: int) -> None:
    texts = [*TEXTS, "text 3", "text 3"]
    first, second = LateModel(), LateModel()
    assert_vectors(embed(store, first, texts, workers=workers), texts)
    assert_vectors(embed(store, second, texts[::-1], workers=workers), texts[::-1])
    assert (first.seen, second.seen) == (TEXTS, [])
    assert len(files(store, ".npy")) == 3
    records = [json.loads(file.read_text()) for file in files(store, ".json")]
    for record in records:
        assert record["shape"] == [sum(record["lengths"]), 3]
        assert len(record["lengths"]) == len(record["keys"])


def test_token_vectors_of_unit_norm(store: EmbeddingStore) -> None:
    raw, unit = embed(store, LateModel()), embed(store, LateModel(), normalize=True)
    np.testing.assert_array_equal(unit.offsets, raw.offsets)
    length = np.linalg.norm(raw.tokens, axis=1, keepdims=True)
    np.testing.assert_allclose(unit.tokens, raw.tokens / length, rtol=1e-6)
    assert unit.tokens.dtype == np.float32


def test_a_stopped_run_keeps_its_token_vectors(store: EmbeddingStore) -> None:
    class Stops(LateModel):
        def __call__(self, texts: list[str]) -> TokenVectors:
            if len(self.seen) >= 12:
                raise KeyboardInterrupt
            return super().__call__(texts)

    with pytest.raises(KeyboardInterrupt):
        embed(store, Stops())
    model = LateModel()
    assert_vectors(embed(store, model), TEXTS)
    assert model.seen == TEXTS[12:]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, make_empty])
def test_damaged_token_vectors_are_made_again(store: EmbeddingStore, damage, suffix) -> None:
    embed(store, LateModel())
    damage(files(store, suffix)[0])
    model = LateModel()
    with pytest.warns(CacheDamageWarning):
        assert_vectors(embed(store, model), TEXTS)
    assert len(model.seen) in {4, 8}


def test_lengths_that_do_not_add_up_are_noticed(store: EmbeddingStore) -> None:
    embed(store, LateModel(), TEXTS[:3])
    (array,), (manifest,) = files(store, ".npy"), files(store, ".json")
    record = json.loads(manifest.read_text())
    record["lengths"][0] += 1
    text = json.dumps(record).encode()
    manifest.unlink()
    name = f"part-{content_key(text)[:20]}"
    array.rename(array.with_name(f"{name}.npy"))
    manifest.with_name(f"{name}.json").write_bytes(text)
    with pytest.warns(CacheDamageWarning):
        assert_vectors(embed(store, LateModel(), TEXTS[:3]), TEXTS[:3])


def test_a_shard_of_many_token_vectors_is_written_early(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmgap.index.store._SHARD_BYTES", 1)
    embed(store, LateModel())
    assert len(files(store, ".npy")) == 5  # one for each batch of 4


def test_an_encoder_of_token_vectors_that_breaks_its_word(store: EmbeddingStore) -> None:
    keys = [content_key(text) for text in "abc"]

    def call(answer: TokenVectors) -> None:
        store.embed(INFO, "query", keys, list("abc").__getitem__, lambda _: answer)

    with pytest.raises(EncoderError, match=r"shape \(2, 3\) for 3 inputs; expected \(3, 3\)"):
        call(TokenVectors(np.ones((4, 3)), np.array([0, 1, 4])))
    with pytest.raises(EncoderError, match=r"shape \(3, 4\) for 3 inputs"):
        call(TokenVectors(np.ones((4, 4)), np.array([0, 1, 2, 4])))
    bad = np.ones((6, 3))
    bad[4, 1] = np.nan
    with pytest.raises(EncoderError, match="not finite for input 1"):
        call(TokenVectors(bad, np.array([0, 3, 5, 6])))
    assert not list(store.root.rglob("*.npy"))


def test_what_was_stored_before_there_were_token_vectors_is_still_read(tmp_path: Path) -> None:
    """Files as an earlier version wrote them, byte for byte."""
    import hashlib
    import io

    store = EmbeddingStore(tmp_path)
    folder = store.folder(INFO, "query")
    folder.mkdir(parents=True)
    rows = np.stack([Model().vector(text) for text in TEXTS[:3]])
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
    model = Model()
    np.testing.assert_array_equal(embed(store, model, TEXTS[:3]), rows)
    assert model.seen == []
    other = EmbeddingStore(tmp_path / "new")
    embed(other, Model(), TEXTS[:3])
    assert [path.name for path in files(other, "")] == [path.name for path in files(store, "")]
