"""Late-interaction encoders on tiny random checkpoints of each architecture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_late
import torch
from PIL import Image

from mmgap.encoders import load_encoder
from mmgap.encoders.catalog import ModelFacts
from mmgap.encoders.late_interaction import LateInteractionEncoder
from mmgap.encoders.vectors import TokenVectors, similarity
from mmgap.errors import EncoderError

TEXTS = ["the cat", "a red dog on the mat .", "!"]
FAMILIES = ["colqwen2", "colqwen2_5", "colpali", "colmodernvbert"]


def drawings() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (60, 120), (150, 60)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    return {
        "colqwen2": tiny_late.colqwen2(folder("colqwen2")),
        "colqwen2_5": tiny_late.colqwen2(folder("colqwen2_5"), backbone="qwen2_5_vl"),
        "colpali": tiny_late.colpali(folder("colpali")),
        "colmodernvbert": tiny_late.colmodernvbert(folder("colmodernvbert")),
        "colbert": tiny_late.colbert(folder("colbert")),
    }


@pytest.fixture(scope="session")
def encoders(checkpoints: dict[str, Path]) -> dict[str, LateInteractionEncoder]:
    return {
        name: LateInteractionEncoder(str(folder), device="cpu")
        for name, folder in checkpoints.items()
    }


def plain(folder: Path) -> tuple[Any, Any]:
    """Model and processor as transformers loads them."""
    import transformers

    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(folder, dtype="float32").eval()
    return model, transformers.AutoProcessor.from_pretrained(folder, backend="pil")


def forward(model: Any, features: Any) -> np.ndarray:
    """Vectors of a single input, through the whole backbone with all that its processor gave."""
    features = {name: value for name, value in features.items() if name != "labels"}
    grid = features.get("image_grid_thw")
    with torch.inference_mode():
        if grid is None:
            return model(**features).embeddings[0].numpy()
        # ColQwen2ForRetrieval leaves out the positions in rows and columns; Qwen2VLModel has them.
        ids = features["input_ids"]
        features["pixel_values"] = features["pixel_values"].flatten(0, 1)
        features["mm_token_type_ids"] = (ids == model.config.vlm_config.image_token_id).int()
        states = model.vlm(**features).last_hidden_state
        vectors = model.embedding_proj_layer(states)
        return torch.nn.functional.normalize(vectors, dim=-1)[0].numpy()


def assert_equal(found: TokenVectors, expected: list[np.ndarray]) -> None:
    assert found.lengths.tolist() == [len(vectors) for vectors in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_input_alone_through_plain_transformers_gives_the_same(
    family: str, checkpoints: dict[str, Path], encoders: dict[str, LateInteractionEncoder]
) -> None:
    model, processor = plain(checkpoints[family])
    encoder = encoders[family]
    queries = [forward(model, processor.process_queries([text])) for text in TEXTS]
    assert_equal(encoder.encode_text(TEXTS, role="query"), queries)
    images = [forward(model, processor.process_images([image])) for image in drawings()]
    assert_equal(encoder.encode_images(drawings()), images)
    processor.query_prefix = ""
    documents = [forward(model, processor.process_queries([t], suffix="")) for t in TEXTS]
    assert_equal(encoder.encode_text(TEXTS), documents)


@pytest.mark.parametrize("family", ["colqwen2", "colqwen2_5"])
def test_image_patches_have_rows_and_columns(
    family: str, checkpoints: dict[str, Path], encoders: dict[str, LateInteractionEncoder]
) -> None:
    """Two images of the same patches in another layout: 2 x 6 and 6 x 2."""
    wide, tall = Image.new("RGB", (168, 56), "red"), Image.new("RGB", (56, 168), "red")
    one, other = encoders[family].encode_images([wide, tall])
    assert one.shape == other.shape
    assert np.abs(one - other).max() > 1e-3
    model, _ = plain(checkpoints[family])
    assert model.config.vlm_config.vision_config.spatial_merge_size == 2


@pytest.mark.parametrize("family", [*FAMILIES, "colbert"])
def test_a_batch_gives_what_single_inputs_give(
    family: str, encoders: dict[str, LateInteractionEncoder]
) -> None:
    encoder = encoders[family]
    for role in ("query", "document"):
        together = encoder.encode_text(TEXTS, role=role)
        assert_equal(together, list(encoder.encode_text(TEXTS, role=role, batch_size=1)))
        assert len(set(together.lengths)) == 3
        np.testing.assert_allclose(np.linalg.norm(together.tokens, axis=1), 1, atol=1e-6)
    if "image" in encoder.info.modalities:
        together = encoder.encode_images(drawings())
        assert_equal(together, list(encoder.encode_images(drawings(), batch_size=1)))


@pytest.mark.parametrize("family", [*FAMILIES, "colbert"])
def test_facts_and_no_input(family: str, encoders: dict[str, LateInteractionEncoder]) -> None:
    encoder = encoders[family]
    assert encoder.info.backend == "multi-vector"
    assert encoder.info.dim == tiny_late.DIM
    assert encoder.info.modalities == (("text",) if family == "colbert" else ("text", "image"))
    nothing = encoder.encode_text([])
    assert (len(nothing), nothing.dim) == (0, tiny_late.DIM)
    if family != "colbert":
        assert len(encoder.encode_images([])) == 0
    assert f"dim={tiny_late.DIM}" in repr(encoder)
    with pytest.raises(EncoderError, match="is the single text 'cat'"):
        encoder.encode_text("cat")


# The traps of each architecture


def test_padding_on_the_left_does_not_reach_the_vectors(tmp_path: Path) -> None:
    """With nothing to attend to and no vector of its own, a padded place is 0 / 0."""
    folder = tiny_late.colqwen2(tmp_path / "left", padding_side="left")
    silence_padding(folder)
    model, processor = plain(folder)
    with torch.inference_mode():
        raw = model(**processor.process_queries(TEXTS)).embeddings
    assert torch.isnan(raw).any()
    assert torch.isnan(processor.score_retrieval(list(raw), list(raw))).any()

    right = tmp_path / "right"
    tiny_late.colqwen2(right)
    silence_padding(right)
    left = LateInteractionEncoder(str(folder)).encode_text(TEXTS, role="query")
    assert np.isfinite(left.tokens).all()
    assert_equal(left, list(LateInteractionEncoder(str(right)).encode_text(TEXTS, role="query")))
    assert np.isfinite(similarity(left, left)).all()


def silence_padding(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["embedding_proj_layer.bias"].zero_()
    (table,) = (name for name in weights if name.endswith("embed_tokens.weight"))
    weights[table][256].zero_()  # <|endoftext|>
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("family", "start", "end"),
    [
        ("colqwen2", "Query: the cat", "<|endoftext|>" * 10 + "\n"),
        ("colqwen2_5", "Query: the cat", "<|endoftext|>" * 10 + "\n"),
        ("colpali", "<bos>Question: the cat", "<pad>" * 10 + "\n"),
        ("colmodernvbert", "the cat", " <end_of_utterance>" * 10),
    ],
)
def test_queries_get_prefix_and_augmentation_once_and_documents_neither(
    family: str,
    start: str,
    end: str,
    encoders: dict[str, LateInteractionEncoder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = encoders[family]
    tower = encoder._tower
    seen: list[dict[str, torch.Tensor]] = []
    run = tower._forward
    monkeypatch.setattr(
        tower, "_forward", lambda features: (seen.append(features), run(features))[1]
    )
    query = encoder.encode_text(["the cat"], role="query")
    document = encoder.encode_text(["the cat"])
    encoder.encode_text(TEXTS, role="query")
    decode = tower._tokenizer.decode
    assert decode(seen[0]["input_ids"][0]) == start + end
    assert len(query[0]) == len(seen[0]["input_ids"][0])
    text = decode(seen[1]["input_ids"][0])
    assert text.strip().removeprefix("<bos>") == "the cat"
    assert len(document[0]) == len(seen[1]["input_ids"][0])
    assert (seen[2]["attention_mask"][:, 0] == 1).all()  # padded on the right


def test_the_prompt_of_the_catalogue_is_not_put_before_the_processors(
    checkpoints: dict[str, Path], encoders: dict[str, LateInteractionEncoder]
) -> None:
    facts = ModelFacts(
        id="demo/colqwen2",
        backend="multi-vector",
        modalities=("text", "image"),
        licence="MIT",
        languages=("en",),
        query_prompt="Query: ",
    )
    encoder = LateInteractionEncoder("demo/colqwen2", folder=checkpoints["colqwen2"], facts=facts)
    assert_equal(
        encoder.encode_text(TEXTS, role="query"),
        list(encoders["colqwen2"].encode_text(TEXTS, role="query")),
    )
    assert (encoder.info.id, encoder.info.licence) == ("demo/colqwen2", "MIT")


@pytest.mark.parametrize("family", FAMILIES)
def test_images_are_prepared_by_pillow(
    family: str, encoders: dict[str, LateInteractionEncoder]
) -> None:
    processor = encoders[family]._tower._images.__self__
    assert type(processor.image_processor).__name__.endswith("Pil")


@pytest.mark.parametrize("family", FAMILIES)
def test_long_texts_are_cut_before_the_marks_are_put_around(
    family: str, encoders: dict[str, LateInteractionEncoder]
) -> None:
    encoder = encoders[family]
    limit = encoder.info.max_text_tokens
    long = " ".join(["cat"] * 1000)
    (found,) = encoder.encode_text([long], role="query")
    (short,) = encoder.encode_text(["cat"], role="query")
    (bare,) = encoder.encode_text(["cat"])
    assert limit < len(found) <= limit + len(short) - len(bare) + 3
    facts = ModelFacts(
        "demo", "multi-vector", ("text",), "MIT", ("en",), max_text_tokens=len(bare) + 2
    )
    folder = Path(encoder.info.id)
    tight = LateInteractionEncoder(str(folder), facts=facts)
    assert tight.info.max_text_tokens == len(bare) + 2
    assert len(tight.encode_text([long])[0]) < len(bare) + 8


def test_colbert_follows_sentence_transformers(
    checkpoints: dict[str, Path], encoders: dict[str, LateInteractionEncoder]
) -> None:
    """Markers, lengths and the skip list are the model's own."""
    from sentence_transformers import MultiVectorEncoder as Theirs

    theirs = Theirs(str(checkpoints["colbert"]), device="cpu")
    encoder = encoders["colbert"]
    texts = [*TEXTS, " ".join(["cat"] * 50)]
    assert_equal(
        encoder.encode_text(texts, role="query"), theirs.encode_query(texts, convert_to_numpy=True)
    )
    documents = theirs.encode_document(texts, convert_to_numpy=True)
    assert_equal(encoder.encode_text(texts), documents)
    assert len(documents[2]) == 3  # <cls> [D] <sep>: the exclamation mark is skipped
    assert len(documents[3]) == 24
    with pytest.raises(EncoderError, match="reads text only, no images"):
        encoder.encode_images(drawings())


def test_half_precision_is_close_and_kept_apart(
    checkpoints: dict[str, Path], encoders: dict[str, LateInteractionEncoder]
) -> None:
    half = LateInteractionEncoder(str(checkpoints["colqwen2"]), dtype="bfloat16", device="cpu")
    full = encoders["colqwen2"]
    assert half.info.fingerprint != full.info.fingerprint
    vectors = half.encode_images(drawings())
    assert vectors.tokens.dtype == np.float32
    cosines = (vectors.tokens * full.encode_images(drawings()).tokens).sum(axis=1)
    assert cosines.min() > 0.98


# Loading


@pytest.mark.parametrize("family", [*FAMILIES, "colbert"])
def test_loaded_by_folder_and_by_name(family: str, checkpoints: dict[str, Path]) -> None:
    encoder = load_encoder(str(checkpoints[family]))
    assert isinstance(encoder, LateInteractionEncoder)
    assert isinstance(encoder.encode_text(["the cat"]), TokenVectors)


def test_a_catalogue_model_from_a_folder(checkpoints: dict[str, Path]) -> None:
    encoder = load_encoder(f"vidore/colqwen2-v1.0-hf@{checkpoints['colqwen2']}")
    assert isinstance(encoder, LateInteractionEncoder)
    assert encoder.info.id == "vidore/colqwen2-v1.0-hf"
    assert encoder.info.licence == "Apache-2.0"


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def test_a_lora_adapter_without_its_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "vidore/base"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"only a LoRA adapter of 'vidore/base'.*'-hf'"):
        LateInteractionEncoder(str(tmp_path))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match="is a BertModel, which gives no token vectors"):
        LateInteractionEncoder(str(tmp_path))


def test_missing_weights_are_not_made_up(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(checkpoints["colpali"], tmp_path / "incomplete")
    weights = load_file(folder / "model.safetensors")
    del weights["embedding_proj_layer.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        EncoderError,
        match=r"lacks 1 of the model.s weights, such as .*embedding_proj_layer\.weight",
    ):
        LateInteractionEncoder(str(folder))


def test_damaged_files_are_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(checkpoints["colpali"], tmp_path / "damaged")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(EncoderError, match=r"damaged' .* cannot be loaded"):
        LateInteractionEncoder(str(folder))
