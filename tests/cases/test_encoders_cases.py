"""Inputs that failed: checkpoints that change or are damaged, scores by the clock."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from mmgap import paths
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders import load_encoder
from mmgap.encoders.api import ApiLimits
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.files import fingerprint, require_safetensors
from mmgap.errors import EncoderError
from mmgap.index.vectors import Leg, Vectors
from mmgap.rerankers import Content, load_reranker
from mmgap.rerankers.base import Pair, RerankerInfo
from mmgap.strategies import rerank
from mmgap.strategies.rerank import PairScorer

sys.path.append(str(Path(__file__).parents[1] / "encoders"))


# --- E (a): a file that is loaded changes the fingerprint, or is refused --------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    for name in ("model.safetensors", "tokenizer.json", "1_Dense/model.safetensors"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(b"weights")
    (model / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "1_Dense"}]))
    return model


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("1_Dense/pytorch_model.bin", True),
        ("1_Dense/model.safetensors", True),
        ("qwen.tiktoken", True),
        ("spiece.vocab", True),
        ("no_suffix", True),
        ("README.md", False),
        ("onnx/model.onnx_data", False),
        ("onnx/config.json", False),
        (".cache/huggingface/x.metadata", False),
    ],
    ids=lambda value: f"E-a {value}" if isinstance(value, str) else "",
)
def test_a_changed_file_changes_the_fingerprint(folder: Path, name: str, counts: bool) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"one")
    before = fingerprint(folder, "recipe")
    path.write_bytes(b"two")
    assert (fingerprint(folder, "recipe") != before) == counts


def test_a_file_behind_a_linked_folder_counts(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "1_Dense", tmp_path / "elsewhere")
    (folder / "1_Dense").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder)  # a circle
    before = fingerprint(folder, "")
    (tmp_path / "elsewhere" / "model.safetensors").write_bytes(b"others")
    assert fingerprint(folder, "") != before


@pytest.mark.parametrize(
    ("pickled", "beside", "refused"),
    [
        ("1_Dense/pytorch_model.bin", False, True),
        ("1_Dense/pytorch_model.bin", True, False),
        ("pytorch_model-00001-of-00002.bin", False, True),
        ("adapter_model.bin", False, True),
        ("openvino/openvino_model.bin", False, False),
    ],
    ids=lambda value: f"E-a {value}",
)
def test_pickled_weights_are_refused(
    folder: Path, pickled: str, beside: bool, refused: bool
) -> None:
    path = folder / pickled
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pickle")
    if not beside:
        path.with_name("model.safetensors").unlink(missing_ok=True)
    if refused:
        with pytest.raises(EncoderError, match=r"pickled weights \(\.bin\) are not read"):
            require_safetensors("demo", folder)
    else:
        require_safetensors("demo", folder)


@pytest.mark.parametrize("path", ["../other", "/tmp"])
def test_a_module_outside_of_the_folder_is_refused(folder: Path, path: str) -> None:
    (folder / "modules.json").write_text(json.dumps([{"path": path}]))
    with pytest.raises(EncoderError, match="expected a folder inside"):
        require_safetensors("demo", folder)


def test_a_dense_module_of_sentence_transformers(tmp_path: Path) -> None:
    import tiny
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    model = SentenceTransformer(str(tiny.sentence_bert(tmp_path / "bert", normalize=False)))
    model.append(Dense(32, 8))
    model.save(str(tmp_path / "dense"))
    first = load_encoder(str(tmp_path / "dense"))
    (part,) = (tmp_path / "dense").glob("*_Dense")
    weights = {"linear.weight": torch.ones(8, 32), "linear.bias": torch.zeros(8)}
    torch.save(weights, part / "pytorch_model.bin")
    (part / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"\.bin"):
        load_encoder(str(tmp_path / "dense"))
    from safetensors.torch import save_file

    save_file(weights, part / "model.safetensors")
    second = load_encoder(str(tmp_path / "dense"))
    assert not np.allclose(first.encode_text(["a cat"]), second.encode_text(["a cat"]))
    assert first.info.fingerprint != second.info.fingerprint


# --- E (c): scores of pairs depend on the pairs, not on the clock or on what is on disk -----------


class Rounding:
    """A reranker whose last bits depend on the pairs beside a pair, as real ones' do."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.info = RerankerInfo("rounding", "f", "fake", "logit, unbounded", ("text-text",))
        self.calls, self._stop_after = 0, stop_after

    def score(self, pairs: list, *, batch_size: int = 8) -> np.ndarray:
        del batch_size
        self.calls += 1
        if self.calls > self._stop_after:
            raise KeyboardInterrupt
        return np.array([len(pair.document.text) + 1e-3 * len(pairs) for pair in pairs], "float32")


@pytest.fixture
def vectors() -> Vectors:
    documents = [Document(f"d{at}", text=f"text {at}") for at in range(50)]
    queries = [Query(f"q{at}", f"question {at}") for at in range(40)]
    corpus = Corpus(
        "demo", documents, queries, Qrels([Judgment(f"q{at}", "d0", 1) for at in range(40)])
    )
    rows = np.ones((50, 2), dtype=np.float32)
    info = EncoderInfo("demo", "f", "none", 2)
    return Vectors(corpus, info, rows[:40], {"text": Leg(np.arange(50), rows)})


def scores_of(vectors: Vectors, reranker: Rounding, cache: Path | bool = False) -> np.ndarray:
    documents = np.tile(np.arange(50), (40, 1))
    everything = np.ones_like(documents, dtype=bool)
    scorer = PairScorer(vectors, reranker, cache=cache)
    scorer.require({"text": everything}, documents)
    return scorer.look_up("text", everything, documents)["score"]


def test_scores_do_not_depend_on_the_clock(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = scores_of(vectors, Rounding())
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    np.testing.assert_array_equal(scores_of(vectors, Rounding()), quick)


def test_a_run_that_was_stopped_ends_in_the_same_scores(vectors: Vectors, tmp_path: Path) -> None:
    undisturbed = scores_of(vectors, Rounding())
    with pytest.raises(KeyboardInterrupt):
        scores_of(vectors, Rounding(stop_after=3), tmp_path)
    goes_on = Rounding()
    np.testing.assert_array_equal(scores_of(vectors, goes_on, tmp_path), undisturbed)
    assert 0 < goes_on.calls < 16


def test_few_large_images_are_decoded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "_PIXELS", 25_000)
    for at in range(10):
        Image.new("RGB", (100, 100), (at, 0, 0)).save(tmp_path / f"{at}.png")
    documents = [Document(f"d{at}", image=ImageFile(tmp_path / f"{at}.png")) for at in range(10)]
    corpus = Corpus("demo", documents, [Query("q", "cat")], Qrels([Judgment("q", "d0", 1)]))
    rows = np.ones((10, 2), dtype=np.float32)
    together = []

    class Counts(Rounding):
        def score(self, pairs: list, *, batch_size: int = 8) -> np.ndarray:
            together.append(len(pairs))
            return super().score([Pair(*pair) for pair in pairs], batch_size=batch_size)

    reranker = Counts()
    reranker.info = RerankerInfo("counts", "f", "fake", "logit, unbounded", ("text-fused",))
    documents[:] = [Document(each.id, text="text", image=each.image) for each in documents]
    vectors = Vectors(
        corpus, EncoderInfo("demo", "f", "none", 2), rows[:1], {"image": Leg(np.arange(10), rows)}
    )
    scorer = PairScorer(vectors, reranker, cache=False)
    scorer.require({"fused": np.ones((1, 10), dtype=bool)}, np.arange(10)[None])
    assert together == [2] * 5


# --- C14: half a character ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: load_encoder("mini-clip").encode_text(["a cat", text]),
        lambda text: load_encoder("mini-clip").encode_text(["a cat", text], role="query"),
        Content,
    ],
    ids=["C14 document", "C14 query", "C14 pair"],
)
def test_half_a_character_is_refused(encode: Callable[[str], object]) -> None:
    with pytest.raises(EncoderError, match=r"text \d holds '.ud83d', half a character"):
        encode("a smile \ud83d")


# --- damaged files of a model ---------------------------------------------------------------------

DAMAGE = {
    "empty": b"",
    "a list": b"[1]",
    "null": b"null",
    "no keys": b"{}",
    "not UTF-8": b"\xff\xfe",
    "nested": b"[" * 100_000,
    "wrong types": json.dumps(
        {
            key: [["x"]]
            for key in (
                *("dim", "image_size", "network", "model_max_length", "pad_token", "architectures"),
                *("model_type", "size", "crop_size", "image_mean", "model", "pre_tokenizer"),
                *("added_tokens", "normalizer", "decoder", "loss", "locked_text"),
            )
        }
    ).encode(),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    import tiny_onnx

    root = tmp_path_factory.mktemp("models")
    for name in ("mini-clip", "mini-reranker"):
        shutil.copytree(paths.data_dir() / "models" / name, root / name)
    tiny_onnx.write_jina_v1(root / "onnx")
    return {
        "mini encoder": (f"mini-clip@{root}", root / "mini-clip"),
        "mini reranker": (f"mini-reranker@{root / 'mini-reranker'}", root / "mini-reranker"),
        "onnx": (f"jinaai/jina-clip-v1@{root / 'onnx'}", root / "onnx"),
    }


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("model", ["mini encoder", "mini reranker", "onnx"])
def test_damaged_files_end_in_one_error(
    models: dict[str, tuple[str, Path]], model: str, damage: str
) -> None:
    name, folder = models[model]
    load = load_reranker if "reranker" in model else load_encoder
    for file in sorted(folder.glob("*.json")):
        data = file.read_bytes()
        file.write_bytes(DAMAGE[damage])
        with suppress(EncoderError):  # what a file lacks may be known from elsewhere
            load(name)
        file.write_bytes(data)


def test_external_data_of_a_graph_counts_wherever_it_lies(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    import onnx
    import tiny_onnx

    tiny_onnx.write_jina_v1(tmp_path / "clip")
    name = f"jinaai/jina-clip-v1@{tmp_path / 'clip'}"
    graph = tmp_path / "clip" / "onnx" / "text_model.onnx"
    model = onnx.load(graph)
    (graph.parent / "data").mkdir()
    onnx.save(model, graph, save_as_external_data=True, location="data/w.json")
    before = load_encoder(name).info.fingerprint
    data = bytearray((graph.parent / "data" / "w.json").read_bytes())
    data[0] ^= 1
    (graph.parent / "data" / "w.json").write_bytes(data)
    assert load_encoder(name).info.fingerprint != before


# --- answers of a hostile HTTP server -------------------------------------------------------------

KEY = "sk-secret-0123456789"
VECTOR = [0.5] * 1024


class Drips(httpx2.SyncByteStream):
    """A body that comes a byte at a time while the clock goes on."""

    def __init__(self, clock: list[float]) -> None:
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(10_000):
            self._clock[0] += 0.2
            yield b" "


def embeddings(value: object) -> bytes:
    return json.dumps({"data": [{"index": 0, "embedding": value}]}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 200_000, "not return a JSON object"),
        (embeddings([VECTOR, *VECTOR[1:]]), "did not answer with numbers"),
        (embeddings([*VECTOR[1:], 10**400]), "did not answer with numbers"),
        (embeddings(KEY), r"input 0 with '\[key\]'"),
        (embeddings([KEY, *VECTOR[1:]]), r"\[key\]"),
        (json.dumps({"data": [{"index": KEY}]}).encode(), r"\[key\]"),
        (json.dumps({"data": [], "usage": {"total_tokens": 10**300}}).encode(), "0 results"),
        (gzip.compress(b" " * (2**27 + 2**20), mtime=0), "more than 134,217,728 bytes"),
    ],
    ids=[
        *("E nested", "E list for number", "E 10^400", "E key as vector", "E key as number"),
        *("E key as index", "E tokens", "E gzip bomb"),
    ],
)
def test_hostile_answers_end_in_one_error(
    body: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JINA_API_KEY", KEY)
    encoder = load_encoder("api:jina-clip-v2", limits=ApiLimits(retries=0))
    headers = {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
    encoder.client._http = httpx2.Client(
        transport=httpx2.MockTransport(
            lambda _: httpx2.Response(200, stream=httpx2.ByteStream(body), headers=headers)
        )
    )
    with pytest.raises(EncoderError, match=message) as error:
        encoder.encode_text(["a cat"])
    assert KEY not in str(error.value)
    assert encoder.client.tokens < 10**6


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINA_API_KEY", KEY)
    clock = [0.0]
    limits = ApiLimits(retries=0, timeout=1)
    encoder = load_encoder("api:jina-clip-v2", limits=limits)
    monkeypatch.setattr("mmgap.encoders.api._clock", lambda: clock[0])
    encoder.client._http = httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Drips(clock)))
    )
    with pytest.raises(EncoderError, match="longer than 10 times the timeout"):
        encoder.encode_text(["a cat"])
    assert clock[0] < 11
