"""What goes wrong with these models by default, one test for each: it fails without its rule."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from mmgap.encoders import load_encoder
from mmgap.encoders.catalog import find_model
from mmgap.encoders.running import pick_dtype
from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder
from mmgap.errors import EncoderError

pytestmark = pytest.mark.usefixtures("one_thread")

Checkpoint = Callable[[str], Path]
Load = Callable[[str], SentenceTransformerEncoder]

SIGLIP = ["siglip", "siglip2", "siglip2-naflex"]
QWEN = ["qwen3-vl", "qwen3-vl-by-st"]
WITH_IMAGES = [*tiny.TWO_TOWERS, *tiny.FUSED]
ALL = [*tiny.TEXT_ONLY, *WITH_IMAGES]
TEXTS = ["a photo of the black cat", "dog", "", "white dog sits on the mat by the red rose"]
NOMIC = "nomic-ai/nomic-embed-text-v1.5"


def drawings() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 30), (32, 32), (20, 64), (70, 90)]
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in shapes]


def plain(folder: Path) -> tuple[Any, Any]:
    """The model and tokenizer, as transformers alone loads them."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder, dtype="float32").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def pixels(folder: Path, images: list[Image.Image], **options: Any) -> Any:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor(images, return_tensors="pt", **options)


def unit(vectors: Any) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def without_sentence_transformers(folder: Path, target: Path) -> Path:
    """Copy a checkpoint, leaving out what says how it is pooled and prompted."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("modules.json", "config_sent*"))
    return target


# --- SigLIP: padding, no mask, lower case --------------------------------------------------------


@pytest.mark.parametrize("name", SIGLIP)
def test_siglip_reads_ids_alone_padded_to_full_length(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    model, tokenizer = plain(checkpoint(name))
    ids = tokenizer(
        [text.lower() for text in TEXTS],
        padding="max_length",
        max_length=16,
        truncation=True,
        return_tensors="pt",
    )["input_ids"]
    with torch.no_grad():  # the last place, which is padding, through the head
        states = model.text_model(input_ids=ids).last_hidden_state
        expected = model.text_model.head(states[:, -1])
    np.testing.assert_allclose(
        encoder(name).encode_text(TEXTS, normalize=False), expected, atol=1e-5
    )


@pytest.mark.parametrize("name", SIGLIP)
def test_sentence_transformers_alone_gets_siglip_wrong(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    """Else the test above would prove nothing."""
    from sentence_transformers import SentenceTransformer

    texts = ["dog", "red rose"]
    theirs = SentenceTransformer(str(checkpoint(name)), device="cpu").encode(
        [{"text": text} for text in texts], normalize_embeddings=True
    )
    assert (encoder(name).encode_text(texts) * theirs).sum(axis=1).min() < 0.99


@pytest.mark.parametrize("name", ["siglip2", "siglip2-naflex"])
def test_siglip2_reads_lower_case(name: str, encoder: Load) -> None:
    lower = encoder(name).encode_text(["a black cat"])
    np.testing.assert_array_equal(encoder(name).encode_text(["A Black CAT"]), lower)


def test_siglip2_is_known_by_its_name_too(checkpoint: Checkpoint) -> None:
    """Should its tokenizer be of another class than Gemma's."""
    named = load_encoder(f"google/siglip2-base-patch16-224@{checkpoint('siglip')}")
    assert named._recipe.lower_case
    assert not load_encoder(
        f"google/siglip-base-patch16-224@{checkpoint('siglip')}"
    )._recipe.lower_case


def test_siglip_scale_and_bias_are_the_checkpoints(encoder: Load) -> None:
    for name in SIGLIP:
        assert encoder(name).info.logit_scale == pytest.approx(np.exp(2.0))
        assert encoder(name).info.logit_bias == -10.0


# --- what is a text and what an image ------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip", "siglip", "minilm", *tiny.FUSED])
def test_a_text_is_never_opened_or_fetched(
    name: str, encoder: Load, image_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bare strings like these are read as images, sounds and videos by sentence-transformers."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a text was opened as an image")  # noqa: EM101, TRY003

    clip = image_file.with_suffix(".mp4")
    clip.write_bytes(b"")
    texts = [
        str(image_file),
        str(clip),
        "http://example.com/cat.png",
        "https://youtu.be/cat",
        "data:image/png;base64,AAAA",
    ]
    model = encoder(name)
    monkeypatch.setattr(Image, "open", forbidden)
    monkeypatch.setattr("transformers.image_utils.load_image", forbidden)
    monkeypatch.setattr("socket.create_connection", forbidden)
    vectors = model.encode_text(texts)
    # a path is the same text, whether there is such a file or not
    image_file.unlink()
    clip.unlink()
    np.testing.assert_allclose(model.encode_text(texts), vectors, atol=1e-6)


@pytest.mark.parametrize("name", tiny.FUSED)
def test_a_text_may_hold_the_word_for_an_image(name: str, encoder: Load) -> None:
    """The processor would look for the image it stands for, and fail."""
    texts = ["a <|image_pad|> cat <|image|>", "<|video|> <|video_pad|>"]
    assert np.isfinite(encoder(name).encode_text(texts)).all()


@pytest.mark.parametrize("name", ["clip", "qwen3-vl"])
def test_a_batch_holds_one_modality(name: str, encoder: Load) -> None:
    with pytest.raises(EncoderError, match=r"text 1 is of type Image; expected str"):
        encoder(name).encode_text(["a cat", drawings()[0]])  # type: ignore[list-item]
    with pytest.raises(EncoderError, match=r"image 1 is of type str; expected a PIL image"):
        encoder(name).encode_images([drawings()[0], "cat.png"])  # type: ignore[list-item]


def test_sentence_transformers_alone_refuses_mixed_batches(checkpoint: Checkpoint) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(checkpoint("clip")), device="cpu")
    with pytest.raises(ValueError, match="mixes multiple modalities"):
        theirs.encode([{"text": "a cat"}, {"image": drawings()[0]}])


@pytest.mark.parametrize("name", tiny.TEXT_ONLY)
def test_a_text_model_sees_no_images(name: str, encoder: Load) -> None:
    assert encoder(name).info.modalities == ("text",)
    with pytest.raises(EncoderError, match=r"reads text only, no images; use it for the text leg"):
        encoder(name).encode_images(drawings())


# --- a vector does not depend on its neighbours --------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_batch_is_single(name: str, encoder: Load) -> None:
    model = encoder(name)
    texts = [*TEXTS, "red rose " * 30, "cat"]
    alone = np.vstack([model.encode_text([text]) for text in texts])
    for batch_size in (1, 2, 64):
        vectors = model.encode_text(texts, batch_size=batch_size)
        np.testing.assert_allclose(vectors, alone, atol=2e-6)
    if "image" in model.info.modalities:
        alone = np.vstack([model.encode_images([image]) for image in drawings()])
        for batch_size in (2, 64):
            vectors = model.encode_images(drawings(), batch_size=batch_size)
            np.testing.assert_allclose(vectors, alone, atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_lengths_are_one_only_where_asked(name: str, encoder: Load) -> None:
    """Also where the checkpoint has a Normalize module, which would hide the lengths."""
    model = encoder(name)
    texts = [text for text in TEXTS if text]
    np.testing.assert_allclose(np.linalg.norm(model.encode_text(texts), axis=1), 1, atol=1e-6)
    raw = model.encode_text(texts, normalize=False)
    assert np.ptp(np.linalg.norm(raw, axis=1)) > 1e-3
    np.testing.assert_allclose(unit(raw), model.encode_text(texts), atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_over_long_texts_are_cut(name: str, encoder: Load) -> None:
    """At the end, and only as far as the model can read."""
    model = encoder(name)
    limit = model.info.max_text_tokens
    assert limit is not None
    words = ["cat", "dog", "rose", "mat"] * limit
    long, longer = model.encode_text([" ".join(words), " ".join([*words, "red"])])
    np.testing.assert_allclose(long, longer, atol=1e-6)
    other = model.encode_text([" ".join(["blue", *words])])[0]
    assert np.abs(long - other).max() > 1e-3


# --- CLIP ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip", "metaclip2"])
def test_clip_is_read_off_the_first_end_of_text_and_projected(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    """Not the padding after it, which is the same token in CLIP, nor the unprojected states."""
    model, tokenizer = plain(checkpoint(name))
    texts = [*TEXTS, "rose " * 30]
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=20, return_tensors="pt")
    ids = tokens["input_ids"]
    end = model.config.text_config.eos_token_id
    first = [row.tolist().index(end) for row in ids]
    with torch.no_grad():
        states = model.text_model(**tokens).last_hidden_state
        expected = model.text_projection(states[range(len(texts)), first])
    np.testing.assert_allclose(
        encoder(name).encode_text(texts, normalize=False), expected, atol=1e-5
    )


@pytest.mark.parametrize("name", ["clip", "metaclip2"])
def test_clip_images_are_the_class_token_projected(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    model, _ = plain(checkpoint(name))
    with torch.no_grad():
        states = model.vision_model(**pixels(checkpoint(name), drawings())).last_hidden_state
        expected = model.visual_projection(model.vision_model.post_layernorm(states[:, 0]))
    np.testing.assert_allclose(
        encoder(name).encode_images(drawings(), normalize=False), expected, atol=1e-5
    )


def test_the_hubs_wrong_end_of_text_id_changes_nothing(
    checkpoint: Checkpoint, encoder: Load, tmp_path: Path
) -> None:
    """OpenAI's own config.json says 2; transformers then takes the highest id, which is the end."""
    folder = tmp_path / "clip"
    shutil.copytree(checkpoint("clip"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    theirs = SentenceTransformerEncoder(str(folder), device="cpu")
    np.testing.assert_array_equal(theirs.encode_text(TEXTS), encoder("clip").encode_text(TEXTS))


def test_the_old_layout_of_sentence_transformers_gives_the_same(encoder: Load) -> None:
    old, new = encoder("legacy-clip"), encoder("clip")
    np.testing.assert_allclose(old.encode_text(TEXTS), new.encode_text(TEXTS), atol=1e-6)
    np.testing.assert_allclose(
        old.encode_images(drawings()), new.encode_images(drawings()), atol=1e-6
    )


# --- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_images_are_resized_by_pillow(name: str, encoder: Load) -> None:
    """The other backend gives other pixels, and needs libraries of its own."""
    assert type(encoder(name)._model[0].processor.image_processor).__name__.endswith("Pil")


@pytest.mark.parametrize("name", SIGLIP)
def test_siglip_images_equal_plain_transformers(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    """NaFlex: pixels, which of them are padding, and the shape, each where it belongs."""
    model, _ = plain(checkpoint(name))
    with torch.no_grad():
        expected = model.get_image_features(**pixels(checkpoint(name), drawings())).pooler_output
    np.testing.assert_allclose(
        encoder(name).encode_images(drawings(), normalize=False), expected, atol=1e-5
    )


# --- Nomic ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "prefix"), [("query", "search_query: "), ("document", "search_document: ")]
)
def test_nomic_is_prefixed_averaged_normed_and_cut(
    role: Any, prefix: str, checkpoint: Checkpoint
) -> None:
    folder = checkpoint("nomic-text")
    model, tokenizer = plain(folder)
    facts = replace(find_model(NOMIC), matryoshka_dims=(8, 16, 32))
    encoders = {
        dim: SentenceTransformerEncoder(NOMIC, folder=folder, facts=facts, dim=dim)
        for dim in (8, 32)
    }
    for text in TEXTS:
        ids = tokenizer(prefix + text, return_tensors="pt")
        with torch.no_grad():
            states = model(**ids).last_hidden_state[0].double().numpy()
        mean = states.mean(axis=0)
        normed = (mean - mean.mean()) / np.sqrt(mean.var() + 1e-5)
        for dim, encoder in encoders.items():
            raw = encoder.encode_text([text], role=role, normalize=False)[0]
            np.testing.assert_allclose(raw, normed[:dim], atol=1e-5)
            np.testing.assert_allclose(
                encoder.encode_text([text], role=role)[0], unit(normed[:dim]), atol=1e-5
            )


def test_nomic_text_has_the_weights_of_the_hubs_file(checkpoint: Checkpoint) -> None:
    from safetensors import safe_open
    from transformers import NomicBertModel

    with safe_open(checkpoint("nomic-text") / "model.safetensors", "pt") as file:
        assert "encoder.layers.0.attn.Wqkv.weight" in file.keys()  # noqa: SIM118
    model, _ = plain(checkpoint("nomic-text"))
    expected = tiny.randomised(NomicBertModel, model.config, seed=7).state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)


def test_nomic_runs_transformers_own_class_even_if_its_code_is_trusted(
    checkpoint: Checkpoint, encoder: Load
) -> None:
    """Its code breaks in transformers 5; this folder points to it, and there is no network."""
    trusting = SentenceTransformerEncoder(
        str(checkpoint("nomic-text")), device="cpu", trust_remote_code=True
    )
    np.testing.assert_array_equal(
        trusting.encode_text(TEXTS), encoder("nomic-text").encode_text(TEXTS)
    )


def test_nomic_is_cut_where_its_positions_end(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """The hub's sentence_bert_config.json promises more: 8192."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(checkpoint("nomic-text")), device="cpu").save(str(tmp_path))
    settings = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    (tmp_path / "sentence_bert_config.json").write_text(
        json.dumps({**settings, "max_seq_length": 8192})
    )
    encoder = SentenceTransformerEncoder(str(tmp_path), device="cpu")
    assert encoder.info.max_text_tokens == 32


def test_nomics_image_tower_is_not_read_as_its_text_model(checkpoint: Checkpoint) -> None:
    with pytest.raises(
        EncoderError, match=r"image tower of Nomic.*load_encoder\('nomic-embed-v1.5"
    ):
        SentenceTransformerEncoder(str(checkpoint("nomic-vision")), device="cpu")


def test_nomics_mixture_of_experts_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = tmp_path / "moe"
    shutil.copytree(checkpoint("nomic-text"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "moe_every_n_layers": 2}))
    with pytest.raises(EncoderError, match="mixture of experts"):
        SentenceTransformerEncoder(str(folder), device="cpu")


# --- Qwen3-VL-Embedding --------------------------------------------------------------------------


def qwen_chat(user: str, instruction: str = "Represent the user's input.") -> str:
    return (
        f"<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def qwen_vector(folder: Path, text: str, image: Image.Image | None = None) -> np.ndarray:
    """One input through plain transformers, put together by hand."""
    model, tokenizer = plain(folder)
    inputs: dict[str, Any] = {}
    user = text
    if image is not None:
        inputs = pixels(folder, [image], size={"shortest_edge": 4096, "longest_edge": 1843200})
        places = "<|image_pad|>" * (int(inputs["image_grid_thw"].prod()) // 4)
        user = f"<|vision_start|>{places}<|vision_end|>{text}"
    ids = tokenizer(qwen_chat(user), return_tensors="pt")["input_ids"]
    kinds = (ids == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    with torch.no_grad():
        output = model(input_ids=ids, mm_token_type_ids=kinds, **inputs)
    return output.last_hidden_state[0, -1].numpy()


@pytest.mark.parametrize("name", QWEN)
def test_qwen_is_a_chat_read_off_its_last_token(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    for text in TEXTS:
        np.testing.assert_allclose(
            encoder(name).encode_text([text], normalize=False)[0],
            qwen_vector(checkpoint(name), text),
            atol=1e-5,
        )
    for image in drawings():
        np.testing.assert_allclose(
            encoder(name).encode_images([image], normalize=False)[0],
            qwen_vector(checkpoint(name), "", image),
            atol=1e-5,
        )


def test_qwen_sees_as_many_pixels_as_in_training(checkpoint: Checkpoint, encoder: Load) -> None:
    """1024 x 1024: more than the processor's own limit, less than the model's."""
    large = drawings()[3].resize((1024, 1024))
    np.testing.assert_allclose(
        encoder("qwen3-vl").encode_images([large], normalize=False)[0],
        qwen_vector(checkpoint("qwen3-vl"), "", large),
        atol=1e-5,
    )


def test_a_cut_chat_still_ends_where_the_vector_is_read(checkpoint: Checkpoint) -> None:
    facts = replace(find_model("Qwen/Qwen3-VL-Embedding-2B"), max_text_tokens=80)
    folder = checkpoint("qwen3-vl")
    encoder = SentenceTransformerEncoder("short", folder=folder, facts=facts, device="cpu")
    _, tokenizer = plain(folder)
    room = 80 - len(tokenizer(qwen_chat(""))["input_ids"])
    np.testing.assert_allclose(
        encoder.encode_text(["r" * 200], normalize=False)[0],
        qwen_vector(folder, "r" * room),
        atol=1e-5,
    )


def test_an_instruction_ends_in_punctuation(checkpoint: Checkpoint) -> None:
    facts = replace(
        find_model("Qwen/Qwen3-VL-Embedding-2B"),
        query_prompt="Retrieve images for the query",
        document_prompt="What is this?",
    )
    encoder = SentenceTransformerEncoder(
        "asking", folder=checkpoint("qwen3-vl"), facts=facts, device="cpu"
    )
    assert encoder._recipe.prompt("query") == "Retrieve images for the query."
    assert encoder._recipe.prompt("document") == "What is this?"
    asked = encoder.encode_text(["a cat"], role="query")
    assert np.abs(asked - encoder.encode_text(["a cat"])).max() > 1e-3


# --- EmbeddingGemma 2 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "prompt"),
    [("query", "task: search result | query: "), ("document", "title: none | text: ")],
)
def test_embedding_gemma_is_the_mean_of_a_prompted_text(
    role: Any, prompt: str, checkpoint: Checkpoint
) -> None:
    folder = checkpoint("embeddinggemma2")
    encoder = load_encoder(f"google/embeddinggemma-2@{folder}", device="cpu")
    model, tokenizer = plain(folder)
    for text in TEXTS:
        ids = tokenizer(f"<bos>{prompt}{text}<eos>", add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            expected = model(**ids).last_hidden_state[0].mean(dim=0)
        vector = encoder.encode_text([text], role=role, normalize=False)[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_embedding_gemma_sees_an_image_without_a_prompt(
    checkpoint: Checkpoint, encoder: Load
) -> None:
    folder = checkpoint("embeddinggemma2")
    model, tokenizer = plain(folder)
    image = drawings()[0]
    inputs = pixels(folder, [image])
    places = "<|image|>" * int(inputs.pop("num_soft_tokens_per_image")[0])
    whole = f"<bos><|image>{places}<image|><eos>"
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        expected = model(**ids, **inputs).last_hidden_state[0].mean(dim=0)
    gemma = encoder("embeddinggemma2")
    vectors = gemma.encode_images([image], normalize=False)
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)


def test_embedding_gemma_never_gets_float16(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        EncoderError, match="wrong vectors in float16; expected bfloat16 or float32"
    ):
        SentenceTransformerEncoder(
            str(checkpoint("embeddinggemma2")), device="cpu", dtype="float16"
        )
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: False)
    assert pick_dtype("auto", "cuda", float16=False) == "float32"
    assert pick_dtype("auto", "cuda") == "float16"
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    assert pick_dtype("auto", "cuda:1", float16=False) == "bfloat16"
    with pytest.raises(EncoderError, match="dtype is 'int8'; expected auto, float32"):
        pick_dtype("int8", "cpu")


# --- prompts and pooling of text embedders -------------------------------------------------------


def test_prompts_of_catalogue_and_checkpoint_are_never_both_used(
    checkpoint: Checkpoint, encoder: Load
) -> None:
    """The checkpoint of e5 has its prompts; the catalogue has the same."""
    bare = encoder("minilm")
    for model in (encoder("e5"), load_encoder(f"intfloat/e5-small-v2@{checkpoint('e5')}")):
        for role, prompt in (("query", "query: "), ("document", "passage: ")):
            np.testing.assert_array_equal(
                model.encode_text(["a black cat"], role=role),
                bare.encode_text([f"{prompt}a black cat"], role=role),
            )


def test_prompts_of_the_catalogue_win(checkpoint: Checkpoint, encoder: Load) -> None:
    """bge's: one for queries, none for documents, whatever the checkpoint says."""
    facts = replace(find_model("BAAI/bge-small-en-v1.5"), query_prompt="search ")
    model = SentenceTransformerEncoder("bge", folder=checkpoint("e5"), facts=facts, device="cpu")
    bare = encoder("minilm")
    for role, prompt in (("query", "search "), ("document", "")):
        np.testing.assert_array_equal(
            model.encode_text(["a cat"], role=role), bare.encode_text([f"{prompt}a cat"])
        )


def test_pooling_of_the_catalogue_where_the_checkpoint_names_none(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert")
    model, tokenizer = plain(folder)
    with torch.no_grad():
        states = model(**tokenizer("a black cat", return_tensors="pt")).last_hidden_state[0]
    bge = load_encoder(f"BAAI/bge-small-en-v1.5@{folder}", device="cpu")
    np.testing.assert_allclose(
        bge.encode_text(["a black cat"], normalize=False)[0], states[0], atol=1e-5
    )
    minilm = load_encoder(f"sentence-transformers/all-MiniLM-L6-v2@{folder}", device="cpu")
    np.testing.assert_allclose(
        minilm.encode_text(["a black cat"], normalize=False)[0], states.mean(dim=0), atol=1e-5
    )


def test_pooling_of_the_checkpoint_wins(encoder: Load) -> None:
    first, mean = (encoder(name).encode_text(["a black cat"]) for name in ("bge", "minilm"))
    assert np.abs(first - mean).max() > 1e-3


def test_roberta_counts_its_positions_from_the_padding_id(encoder: Load) -> None:
    """18 positions read 16 tokens; a 17th would be an index error."""
    assert encoder("multilingual-e5").info.max_text_tokens == 16


# --- whose code, which revision ------------------------------------------------------------------


def test_the_catalogues_revision_is_fetched(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(name: str, revision: str | None = None, **_: object) -> str:
        asked.append((name, revision))
        return str(checkpoint("clip"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    facts = find_model("openai/clip-vit-base-patch32")
    assert facts.revision is not None
    assert load_encoder(facts.id).info.revision == facts.revision
    assert load_encoder(facts.id, revision="abc").info.revision == "abc"
    assert asked == [(facts.id, facts.revision), (facts.id, "abc")]


@pytest.mark.parametrize("where", ["config.json", "modules.json"])
def test_code_of_a_checkpoint_does_not_run(
    where: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "foreign"
    shutil.copytree(checkpoint("minilm"), folder)
    mark = tmp_path / "it ran"
    (folder / "foreign.py").write_text(f"open({str(mark)!r}, 'w').close()")
    if where == "config.json":
        config = json.loads((folder / where).read_text())
        config |= {"model_type": "jina_clip", "auto_map": {"AutoConfig": "foreign.Config"}}
        (folder / where).write_text(json.dumps(config))
        words = r"\(model_type 'jina_clip'\).*jina-clip runs through ONNX.*trust_remote_code=True"
    else:
        modules = json.loads((folder / where).read_text())
        modules[0]["type"] = "foreign.Transformer"
        (folder / where).write_text(json.dumps(modules))
        words = "cannot be loaded"
    with pytest.raises(EncoderError, match=words):
        SentenceTransformerEncoder(str(folder), device="cpu")
    assert not mark.exists()


# --- number formats and devices ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip", "siglip2-naflex", "nomic-text", *tiny.FUSED])
def test_bfloat16_gives_float32_vectors_near_those_of_float32(
    name: str, checkpoint: Checkpoint, encoder: Load
) -> None:
    short = SentenceTransformerEncoder(str(checkpoint(name)), device="cpu", dtype="bfloat16")
    assert short.info.fingerprint != encoder(name).info.fingerprint
    kinds: list[Callable[[SentenceTransformerEncoder], np.ndarray]] = [
        lambda model: model.encode_text(TEXTS)
    ]
    if "image" in short.info.modalities:
        kinds.append(lambda model: model.encode_images(drawings()))
    for encode in kinds:
        vectors = encode(short)
        assert vectors.dtype == np.float32
        assert (vectors * encode(encoder(name))).sum(axis=1).min() > 0.99


def test_a_device_that_is_not_there(checkpoint: Checkpoint) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(EncoderError, match=r"cannot be put on device 'cuda'.*Expected auto, cpu"):
        SentenceTransformerEncoder(str(checkpoint("clip")), device="cuda", dtype="float32")
