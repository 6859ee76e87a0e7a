from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmgap.encoders import Encoder, load_encoder
from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder
from mmgap.errors import EncoderError

TEXTS = ["a photo of the black cat", "dog", "white dog sits on the mat by the red rose on the mat"]


def pictures(n: int = 5) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (32, 32), (20, 64), (64, 20), (9, 9)]
    return [
        Image.fromarray(rng.integers(0, 256, (*shapes[i % 5], 3), dtype=np.uint8)) for i in range(n)
    ]


def plain(folder: Path):
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, dtype="float32").eval()
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return model, AutoTokenizer.from_pretrained(folder), images


@pytest.fixture(scope="module")
def clip(tiny_clip: Path) -> Encoder:
    return load_encoder(str(tiny_clip))


def test_clip_equals_plain_transformers(clip: Encoder, tiny_clip: Path) -> None:
    import torch

    model, tokenizer, processor = plain(tiny_clip)
    with torch.no_grad():
        texts = model.get_text_features(
            **tokenizer(TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt")
        ).pooler_output
        images = model.get_image_features(
            **processor(pictures(), return_tensors="pt")
        ).pooler_output
    np.testing.assert_allclose(clip.encode_text(TEXTS, normalize=False), texts, atol=1e-6)
    np.testing.assert_allclose(clip.encode_images(pictures(), normalize=False), images, atol=1e-6)


@pytest.mark.parametrize("family", ["tiny_siglip", "tiny_siglip2"])
def test_siglip_equals_plain_transformers(family: str, request: pytest.FixtureRequest) -> None:
    """Padded to full length, no mask: ids alone, as SigLIP was trained."""
    import torch

    folder = request.getfixturevalue(family)
    encoder = load_encoder(str(folder))
    model, tokenizer, processor = plain(folder)
    length = model.config.text_config.max_position_embeddings
    ids = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        texts = model.get_text_features(input_ids=ids).pooler_output
        images = model.get_image_features(
            **processor(pictures(), return_tensors="pt")
        ).pooler_output
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), texts, atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode_images(pictures(), normalize=False), images, atol=1e-6
    )
    assert encoder.info.logit_scale == pytest.approx(np.exp(2.0))
    assert encoder.info.logit_bias == -10.0


@pytest.mark.parametrize("family", ["tiny_clip", "tiny_siglip", "tiny_siglip2"])
def test_a_vector_does_not_depend_on_its_batch(family: str, request: pytest.FixtureRequest) -> None:
    encoder = load_encoder(str(request.getfixturevalue(family)))
    alone = np.vstack([encoder.encode_text([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_text(TEXTS), alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_text(TEXTS, batch_size=2), alone, atol=1e-5)
    by_image = np.vstack([encoder.encode_images([image]) for image in pictures()])
    np.testing.assert_allclose(encoder.encode_images(pictures()), by_image, atol=1e-5)


def test_images_are_resized_by_pillow(clip: SentenceTransformerEncoder) -> None:
    assert type(clip._model[0].processor.image_processor).__name__ == "CLIPImageProcessorPil"


def test_siglip2_reads_lower_case(tiny_siglip2: Path) -> None:
    encoder = load_encoder(str(tiny_siglip2))
    np.testing.assert_array_equal(
        encoder.encode_text(["Black CAT"]), encoder.encode_text(["black cat"])
    )


def test_shape_type_and_norm(clip: Encoder) -> None:
    for embeddings in (clip.encode_text(TEXTS, role="query"), clip.encode_images(pictures())):
        assert embeddings.dtype == np.float32
        assert embeddings.shape[1] == clip.info.dim == 24
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    raw = clip.encode_text(TEXTS, normalize=False)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 1e-3
    assert clip.encode_text([]).shape == (0, 24)
    assert clip.encode_images([]).shape == (0, 24)


def test_a_text_that_looks_like_an_image_path_stays_a_text(clip: Encoder, picture: Path) -> None:
    """A bare string would be opened as the image."""
    texts = [str(picture), "http://example.com/cat.png", "data:image/png;base64,AAAA"]
    embeddings = clip.encode_text(texts)
    red_and_blue = clip.encode_images([Image.open(picture).convert("RGB")])
    assert embeddings.shape == (3, 24)
    assert not np.allclose(embeddings[:1], red_and_blue, atol=1e-2)
    # upper case is another path, but the same text to CLIP's lower-casing tokenizer
    upper = clip.encode_text([str(picture).upper()])
    np.testing.assert_allclose(upper, embeddings[:1], atol=1e-6)


def test_facts(clip: Encoder, tiny_clip: Path) -> None:
    info = clip.info
    assert isinstance(clip, Encoder)
    assert (info.id, info.backend, info.licence) == (str(tiny_clip), "sentence-transformers", "mit")
    assert info.logit_scale == pytest.approx(np.exp(2.6592), rel=1e-4)
    assert info.logit_bias is None
    assert (info.max_text_tokens, info.image_size) == (20, 32)


def test_a_saved_sentence_transformers_folder_gives_the_same(
    clip: Encoder, tiny_clip: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(tiny_clip), device="cpu").save(str(tmp_path / "st"))
    assert (tmp_path / "st" / "modules.json").is_file()
    encoder = load_encoder(str(tmp_path / "st"), device="cpu")
    np.testing.assert_allclose(encoder.encode_text(TEXTS), clip.encode_text(TEXTS), atol=1e-6)
    np.testing.assert_allclose(
        encoder.encode_images(pictures()), clip.encode_images(pictures()), atol=1e-6
    )


def test_fingerprint_is_of_the_files_not_of_the_place(
    clip: Encoder, tiny_clip: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_clip, copy)
    (copy / "README.md").write_text("another card")
    assert load_encoder(str(copy)).info.fingerprint == clip.info.fingerprint
    config = json.loads((copy / "processor_config.json").read_text())
    config["image_processor"]["image_mean"] = [0.5, 0.5, 0.5]
    (copy / "processor_config.json").write_text(json.dumps(config))
    assert load_encoder(str(copy)).info.fingerprint != clip.info.fingerprint


def test_a_text_model_is_refused_for_images(tiny_bert: Path) -> None:
    encoder = load_encoder(str(tiny_bert))
    assert encoder.encode_text(TEXTS).shape == (3, 32)
    assert encoder.info.logit_scale is None
    with pytest.raises(EncoderError, match=r"reads text only, no images; use it for the text leg"):
        encoder.encode_images(pictures())


def test_a_hub_id_without_network_says_what_to_do() -> None:
    with pytest.raises(
        EncoderError, match=r"hf download openai/nowhere --revision abc --local-dir"
    ):
        load_encoder("openai/nowhere", revision="abc")


def test_no_such_folder() -> None:
    with pytest.raises(EncoderError, match="neither a folder nor a hub id"):
        load_encoder("./no/such/folder")


def test_pickled_weights_are_not_read(tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_clip, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"no \.safetensors file"):
        load_encoder(str(folder))


@pytest.mark.parametrize("damage", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_names_itself(damage: str, tiny_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(tiny_clip, folder)
    data = (folder / damage).read_bytes()
    (folder / damage).write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match=r"incomplete.*cannot be loaded"):
        load_encoder(str(folder))


def test_remote_code_needs_a_revision() -> None:
    with pytest.raises(EncoderError, match="needs a revision"):
        SentenceTransformerEncoder("owner/model", trust_remote_code=True)


def test_one_text_is_no_list(clip: Encoder) -> None:
    with pytest.raises(EncoderError, match=r"expected a list of texts"):
        clip.encode_text("a cat")
