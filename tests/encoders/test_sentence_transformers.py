"""The sentence-transformers backend as a user meets it; what each model needs is in test_traps."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pytest
import tiny
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from PIL import Image
from safetensors.torch import load_file, save_file

from mmgap.encoders import Encoder, load_encoder
from mmgap.encoders.catalog import all_models, find_model
from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder
from mmgap.errors import EncoderError, MissingExtraError, NonCommercialWarning

pytestmark = pytest.mark.usefixtures("one_thread")

Checkpoint = Callable[[str], Path]
Load = Callable[[str], SentenceTransformerEncoder]

TEXTS = ["a photo of the black cat", "dog", "white dog sits on the mat by the red rose on the mat"]

TINY = {
    "openai/clip-vit-base-patch32": "clip",
    "sentence-transformers/clip-ViT-B-32": "legacy-clip",
    "facebook/metaclip-2-worldwide-b32": "metaclip2",
    "google/siglip-base-patch16-224": "siglip",
    "google/siglip2-base-patch16-224": "siglip2",
    "google/siglip2-base-patch16-naflex": "siglip2-naflex",
    "sentence-transformers/all-MiniLM-L6-v2": "minilm",
    "BAAI/bge-small-en-v1.5": "bge",
    "intfloat/e5-small-v2": "e5",
    "intfloat/multilingual-e5-small": "multilingual-e5",
    "nomic-ai/nomic-embed-text-v1.5": "nomic-text",
    "Qwen/Qwen3-VL-Embedding-2B": "qwen3-vl-by-st",
    "google/embeddinggemma-2": "embeddinggemma2",
}
"""A tiny checkpoint of the same architecture and layout as each of these models."""


def drawings(n: int = 5) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (32, 32), (20, 64), (64, 20), (9, 9)]
    return [
        Image.fromarray(rng.integers(0, 256, (*shapes[i % 5], 3), dtype=np.uint8)) for i in range(n)
    ]


def quietly(name: str) -> Encoder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonCommercialWarning)
        return load_encoder(name, device="cpu")


@pytest.mark.parametrize("id", TINY)
def test_every_family_of_the_catalogue_loads(id: str, checkpoint: Checkpoint) -> None:  # noqa: A002
    facts = find_model(id)
    encoder = quietly(f"{id}@{checkpoint(TINY[id])}")
    assert encoder.info.id == id
    assert encoder.info.modalities == facts.modalities
    assert encoder.info.licence == facts.licence
    assert isinstance(encoder, Encoder)
    kinds = [encoder.encode_text(TEXTS), encoder.encode_text(TEXTS, role="query")]
    if "image" in facts.modalities:
        kinds.append(encoder.encode_images(drawings()))
    for vectors in kinds:
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == encoder.info.dim
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_what_the_catalogue_says_was_tested_is_tested_here() -> None:
    said = {
        facts.id
        for facts in all_models()
        if facts.backend == "sentence-transformers" and facts.tested == "tiny checkpoint"
    }
    assert said <= set(TINY)


@pytest.mark.parametrize("name", [*tiny.TEXT_ONLY, "clip", "metaclip2"])
def test_equals_sentence_transformers_where_that_is_right(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(
        str(checkpoint(name)), device="cpu", processor_kwargs={"backend": "pil"}
    )
    ours = encoder(name)
    texts = TEXTS[:2]
    prompt = "passage: " if name == "e5" else ""
    np.testing.assert_allclose(
        ours.encode_text(texts),
        theirs.encode([{"text": text} for text in texts], prompt=prompt, normalize_embeddings=True),
        atol=1e-6,
    )
    if "image" in ours.info.modalities:
        np.testing.assert_allclose(
            ours.encode_images(drawings()),
            theirs.encode(drawings(), normalize_embeddings=True),
            atol=1e-6,
        )


def test_facts(tiny_clip: Path, encoder: Load) -> None:
    clip = encoder("clip")
    info = clip.info
    assert (info.id, info.backend, info.licence) == (str(tiny_clip), "sentence-transformers", "mit")
    assert info.logit_scale == pytest.approx(np.exp(2.6592), rel=1e-4)
    assert info.logit_bias is None
    assert (info.dim, info.max_text_tokens, info.image_size) == (24, 20, 32)
    assert info.matryoshka_dims == ()
    assert repr(clip) == f"SentenceTransformerEncoder({str(tiny_clip)!r}, dim=24)"
    assert encoder("bert").info.logit_scale is None
    assert encoder("siglip2-naflex").info.image_size is None  # it takes many


@pytest.mark.parametrize("name", ["clip", "siglip2", "qwen3-vl", "bert"])
def test_a_folder_saved_by_sentence_transformers_gives_the_same(
    name: str, encoder: Load, tmp_path: Path
) -> None:
    encoder(name)._model.save(str(tmp_path))
    assert (tmp_path / "modules.json").is_file()
    saved = SentenceTransformerEncoder(str(tmp_path), device="cpu")
    np.testing.assert_allclose(
        saved.encode_text(TEXTS), encoder(name).encode_text(TEXTS), atol=1e-6
    )
    if "image" in saved.info.modalities:
        np.testing.assert_allclose(
            saved.encode_images(drawings()), encoder(name).encode_images(drawings()), atol=1e-6
        )


def test_short_texts_go_in_larger_batches(encoder: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no batch holds more tokens than batch_size of the longest text."""
    model = encoder("bert")
    shapes = []
    forward = model._forward

    def spy(features: dict, **options: bool) -> np.ndarray:
        shapes.append(tuple(features["input_ids"].shape))
        return forward(features, **options)

    monkeypatch.setattr(model, "_forward", spy)
    model.encode_text(["dog"] * 6 + ["red rose " * 5] * 2, batch_size=1)  # 2 and 11 tokens
    assert shapes == [(1, 11), (1, 11), (5, 2), (1, 2)]


def test_full_memory_halves_the_batch(encoder: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder("clip")
    expected = model.encode_text(TEXTS * 3), model.encode_images(drawings())
    forward = model._forward

    def small(features: dict, **options: bool) -> np.ndarray:
        (first, *_) = (
            len(features[key]) for key in ("input_ids", "pixel_values") if key in features
        )
        if first > 2:
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise RuntimeError(msg)
        return forward(features, **options)

    monkeypatch.setattr(model, "_forward", small)
    with pytest.warns(RuntimeWarning, match="did not fit into memory"):
        np.testing.assert_allclose(model.encode_text(TEXTS * 3), expected[0], atol=1e-6)
    with pytest.warns(
        RuntimeWarning, match="a batch of 5 did not fit into memory; going on with 2"
    ):
        np.testing.assert_allclose(model.encode_images(drawings()), expected[1], atol=1e-6)


def test_fingerprint_is_of_all_that_decides_the_vectors(checkpoint: Checkpoint) -> None:
    """Prompts, pooling, layer norm and cut; number formats and lengths are tested beside them."""
    facts = find_model("nomic-ai/nomic-embed-text-v1.5")
    variants = [
        facts,
        replace(facts, query_prompt="other: "),
        replace(facts, document_prompt="other: "),
        replace(facts, layer_norm=False),
        replace(facts, pooling="cls"),
        replace(facts, max_text_tokens=8),
    ]
    prints = {
        SentenceTransformerEncoder(
            "nomic", folder=checkpoint("nomic-text"), facts=variant, device="cpu"
        ).info.fingerprint
        for variant in variants
    }
    assert len(prints) == len(variants)


def test_a_hub_id_without_network_says_what_to_do() -> None:
    with pytest.raises(
        EncoderError, match=r"hf download openai/nowhere --revision abc --local-dir"
    ):
        load_encoder("openai/nowhere", revision="abc")


def test_no_such_folder() -> None:
    with pytest.raises(EncoderError, match="neither a folder nor a hub id"):
        SentenceTransformerEncoder("./no/such/folder")


@pytest.mark.parametrize("damage", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_names_itself(damage: str, tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(tiny_clip, folder)
    data = (folder / damage).read_bytes()
    (folder / damage).write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match=r"incomplete.*cannot be loaded"):
        SentenceTransformerEncoder(str(folder))


@pytest.mark.parametrize("name", ["clip", "siglip", "qwen3-vl", "nomic-text"])
def test_missing_weights_are_not_made_up(name: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """transformers goes on with random numbers."""
    folder = tmp_path / "gap"
    shutil.copytree(checkpoint(name), folder)
    weights = load_file(folder / "model.safetensors")
    gone = next(key for key in sorted(weights) if key.endswith(("q_proj.weight", "Wqkv.weight")))
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"gap.* lacks \d of the model's weights, such as "):
        SentenceTransformerEncoder(str(folder), device="cpu")


def test_a_pooler_that_nobody_reads_may_be_missing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(checkpoint("minilm"), folder)
    weights = load_file(folder / "model.safetensors")
    left = {key: value for key, value in weights.items() if "pooler" not in key}
    assert len(left) < len(weights)
    save_file(left, folder / "model.safetensors", metadata={"format": "pt"})
    texts = ["a cat"]
    np.testing.assert_array_equal(
        SentenceTransformerEncoder(str(folder), device="cpu").encode_text(texts),
        SentenceTransformerEncoder(str(checkpoint("minilm")), device="cpu").encode_text(texts),
    )


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (GatedRepoError, "'owner/model' is gated: accept its licence on its hub page"),
        (RepositoryNotFoundError, "no model is called 'owner/model' on the hub"),
    ],
)
def test_what_the_hub_refuses_is_said(
    error: type, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        request = httpx2.Request("GET", "http://localhost/owner/model")
        msg = "403"
        raise error(msg, response=httpx2.Response(403, request=request))

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(EncoderError, match=remedy):
        SentenceTransformerEncoder("owner/model")


def test_a_missing_library_is_named_with_the_way_to_get_it(
    tiny_siglip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object, **__: object) -> None:
        msg = "\nSiglipTokenizer requires the SentencePiece library but it was not found.\nSee ..."
        raise ImportError(msg)

    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", without)
    with pytest.raises(MissingExtraError, match=r"SentencePiece.*pip install \"mmgap\[vlm\]\""):
        SentenceTransformerEncoder(str(tiny_siglip), device="cpu")


def test_another_first_module_is_refused(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = tiny.word_tokenizer().backend_tokenizer
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)]).save(str(tmp_path))
    with pytest.raises(EncoderError, match="begins with a module StaticEmbedding"):
        SentenceTransformerEncoder(str(tmp_path), device="cpu")


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    config = ViTConfig(**tiny.TOWER, num_attention_heads=2, image_size=32, patch_size=16)
    ViTModel(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"reads image, no text, and queries are texts"):
        SentenceTransformerEncoder(str(tmp_path), device="cpu")


def test_remote_code_needs_a_revision() -> None:
    with pytest.raises(EncoderError, match="needs a revision"):
        SentenceTransformerEncoder("owner/model", trust_remote_code=True)
