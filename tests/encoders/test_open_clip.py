from __future__ import annotations

import json
import logging
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from tiny_open_clip import CONTEXT, FAMILIES, SIZE, build, model_config, write_family, write_model

from mmgap.encoders import Encoder, load_encoder
from mmgap.encoders.catalog import find_model
from mmgap.encoders.open_clip import OpenClipEncoder, TextTower
from mmgap.errors import EncoderError, MissingExtraError

TEXTS = [
    "a photo of the black cat",
    "dog",
    "white dog sits on the mat by the red rose on the mat",
    "",
]


def drawings() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    shapes = [(40, 31), (32, 32), (20, 64), (64, 21), (9, 9)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("open-clip")
    return {family: write_family(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def clip(folders: dict[str, Path]) -> Encoder:
    return load_encoder(str(folders["clip"]))


def plain(folder: Path):
    """The same folder, run by open_clip's own functions."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_open_clips_own_loop(family: str, folders: dict[str, Path]) -> None:
    """Full padding, one batch, in order: also where the encoder sorts and cuts."""
    encoder = load_encoder(str(folders[family]))
    model, preprocess, tokenizer = plain(folders[family])
    with torch.no_grad():
        texts = model.encode_text(tokenizer(TEXTS))
        images = model.encode_image(torch.stack([preprocess(image) for image in drawings()]))
    assert texts.std(dim=0).mean() > 0.1  # the tiny model tells texts apart
    raw = encoder.encode_text(TEXTS, normalize=False, batch_size=3)
    np.testing.assert_allclose(raw, texts, atol=2e-5)
    np.testing.assert_allclose(
        encoder.encode_images(drawings(), normalize=False), images, atol=2e-5
    )
    unit = texts / texts.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(encoder.encode_text(TEXTS), unit, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_does_not_depend_on_its_batch(family: str, folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders[family]))
    alone = np.vstack([encoder.encode_text([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_text(TEXTS), alone, atol=1e-5)
    by_image = np.vstack([encoder.encode_images([image]) for image in drawings()])
    np.testing.assert_allclose(encoder.encode_images(drawings()), by_image, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "tokens"),
    [
        ("clip", 3),
        ("clip-custom-text", 3),
        ("worldwide", 3),
        ("mobileclip", CONTEXT),
        ("causal-last", CONTEXT),
        ("last-token", CONTEXT),
    ],
)
def test_padding_is_cut_off_only_where_it_cannot_be_seen(
    family: str, tokens: int, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start, "dog", end: three tokens, for a tower that is causal and reads its vector there."""
    encoder = load_encoder(str(folders[family]))
    lengths = []
    kind = type(encoder._model)
    encode_text = kind.encode_text

    def record(self: object, ids: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        lengths.append(ids.shape[1])
        return encode_text(self, ids, normalize)

    monkeypatch.setattr(kind, "encode_text", record)
    encoder.encode_text(["dog"])
    assert lengths == [tokens]


def text_towers() -> dict[str, dict]:
    """One architecture of each kind of text tower that open_clip has, but transformers' own."""
    kinds = {}
    for name in open_clip.list_models():
        text = open_clip.get_model_config(name)["text_cfg"]
        if "hf_model_name" not in text:
            sizes = {
                "width",
                "heads",
                "layers",
                "vocab_size",
                "hf_tokenizer_name",
                "context_length",
            }
            kind = json.dumps({key: text[key] for key in sorted(set(text) - sizes)})
            kinds.setdefault(kind, (name, open_clip.get_model_config(name)))
    return dict(kinds.values())


@pytest.mark.parametrize("config", [pytest.param(c, id=name) for name, c in text_towers().items()])
def test_cutting_is_exact_for_every_text_tower_of_the_library(config: dict) -> None:
    small = {"width": 32, "heads": 2, "layers": 2, "vocab_size": 40, "context_length": 16}
    config["text_cfg"] |= small
    config["vision_cfg"] = {**model_config("clip")["vision_cfg"], "output_tokens": True}
    if "multimodal_cfg" in config:
        config["multimodal_cfg"] |= {"context_length": 16, "vocab_size": 40, "width": 32}
        config["multimodal_cfg"] |= {"heads": 2, "layers": 2}
        config.pop("custom_text")
        model = open_clip.CoCa(**config).eval()
    else:
        config["vision_cfg"].pop("output_tokens")
        model = build(config)
    end = config["text_cfg"].get("eos_id", 39)
    ids = torch.zeros(3, 16, dtype=torch.long)
    for row, words in enumerate([1, 4, 14]):
        ids[row, : words + 2] = torch.tensor([5, *range(10, 10 + words), end])
    tower = TextTower(model)
    with torch.no_grad():
        full = model.encode_text(ids, normalize=False)
        for rows in (slice(0, 1), slice(0, 2), slice(0, 3)):
            batch = ids[rows, : tower.lengths(ids[rows]).max()]
            torch.testing.assert_close(tower(batch), full[rows], atol=1e-5, rtol=0)


def test_long_texts_are_cut_and_keep_their_end(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["clip"]))
    words = ["the"] * (CONTEXT - 2)
    assert encoder.info.max_text_tokens == CONTEXT
    ids = encoder._tokenize([" ".join([*words, "cat", "dog"])])
    assert ids.shape == (1, CONTEXT)
    assert ids[0, -1] == encoder._tokenize.tokenizer.eos_token_id
    kept, cut = encoder.encode_text([" ".join(words), " ".join([*words, "cat", "dog"])])
    np.testing.assert_allclose(cut, kept, atol=1e-6)


def test_facts(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["last-token"]))
    info = encoder.info
    assert isinstance(encoder, Encoder)
    assert (info.id, info.backend, info.licence) == (str(folders["last-token"]), "open-clip", "mit")
    assert info.logit_scale == pytest.approx(np.exp(3.0))
    assert info.logit_bias == -10
    assert (info.dim, info.max_text_tokens, info.image_size) == (24, CONTEXT, SIZE)
    assert load_encoder(str(folders["clip"])).info.logit_bias is None


def test_half_precision_is_close(folders: dict[str, Path], clip: Encoder) -> None:
    half = load_encoder(str(folders["clip"]), dtype="bfloat16")
    for exact, close in (
        (clip.encode_text(TEXTS), half.encode_text(TEXTS)),
        (clip.encode_images(drawings()), half.encode_images(drawings())),
    ):
        assert close.dtype == np.float32
        assert (exact * close).sum(axis=1).min() > 0.99
        assert not np.array_equal(exact, close)
    assert half.info.fingerprint != clip.info.fingerprint


@pytest.mark.parametrize("name", ["local-dir:{}", "{}", "open_clip:PE-Core-B-16/meta@{}"])
def test_the_ways_to_name_a_folder_give_the_same(
    name: str, folders: dict[str, Path], clip: Encoder
) -> None:
    encoder = load_encoder(name.format(folders["clip"]))
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), clip.encode_text(TEXTS))
    assert encoder.info.fingerprint == clip.info.fingerprint
    assert encoder.info.id == name.format(folders["clip"]).split("@")[0]


def test_saved_and_loaded_again_gives_the_same(
    folders: dict[str, Path], clip: OpenClipEncoder, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    copy = tmp_path / "copy"
    shutil.copytree(folders["clip"], copy)
    (copy / "open_clip_model.safetensors").unlink()
    weights = {name: value.clone() for name, value in clip._model.state_dict().items()}
    save_file(weights, copy / "open_clip_pytorch_model.safetensors")
    again = load_encoder(f"local-dir:{copy}")
    np.testing.assert_array_equal(again.encode_text(TEXTS), clip.encode_text(TEXTS))
    np.testing.assert_array_equal(again.encode_images(drawings()), clip.encode_images(drawings()))


def test_fingerprint_is_of_what_decides_the_output(
    folders: dict[str, Path], clip: Encoder, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folders["clip"], copy)
    (copy / "README.md").write_text("another card")
    (copy / "model.safetensors").write_bytes(b"the same model for another library")
    assert load_encoder(str(copy)).info.fingerprint == clip.info.fingerprint
    for file, old, new in [
        ("open_clip_config.json", '"bicubic"', '"bilinear"'),
        ("tokenizer.json", '"cat"', '"kat"'),
    ]:
        text = (copy / file).read_text()
        (copy / file).write_text(text.replace(old, new))
        assert load_encoder(str(copy)).info.fingerprint != clip.info.fingerprint
        (copy / file).write_text(text)


def test_cutting_vectors_is_for_models_trained_so(folders: dict[str, Path]) -> None:
    with pytest.raises(EncoderError, match="cannot be cut to 8 dimensions; expected one of 24"):
        load_encoder(str(folders["clip"]), dim=8)
    facts = replace(find_model("open_clip:PE-Core-B-16/meta"), matryoshka_dims=(8, 24, 512))
    name = "open_clip:PE-Core-B-16/meta"
    encoder = OpenClipEncoder(name, folder=folders["clip"], facts=facts, dim=8)
    full = OpenClipEncoder(name, folder=folders["clip"], facts=facts)
    raw = full.encode_text(TEXTS, normalize=False)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS, normalize=False), raw[:, :8])
    np.testing.assert_allclose(np.linalg.norm(encoder.encode_text(TEXTS), axis=1), 1, atol=1e-6)
    assert encoder.info.matryoshka_dims == (8, 24)
    assert encoder.info.licence == "Apache-2.0"
    assert encoder.info.fingerprint != full.info.fingerprint


# --- open_clip's own list -------------------------------------------------------------------------


def hub_cache(root: Path, repository: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a repository as the hub's client caches it; it then needs no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    cached = root / f"models--{repository.replace('/', '--')}"
    snapshot = cached / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0" * 40)
    return snapshot


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny architecture and its weights in open_clip's list; returns the repository's files."""
    from open_clip import factory, pretrained

    described = {"hf_hub": "owner/tiny-demo/", "quick_gelu": True, "resize_mode": "squash"}
    described |= {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5), "interpolation": "bilinear"}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-siglip", {"demo": described})
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-siglip", model_config("clip"))
    return hub_cache(tmp_path / "hub", "owner/tiny-demo", monkeypatch)


def test_a_pair_of_the_list_has_the_librarys_config_and_the_tags_preprocessing(
    listed: Path, folders: dict[str, Path]
) -> None:
    shutil.copytree(folders["clip"], listed, dirs_exist_ok=True)
    (listed / "open_clip_config.json").unlink()
    encoder = load_encoder("open_clip:tiny-siglip/demo")
    config = model_config("clip") | {"quick_gelu": True}  # from the tag, not the architecture
    model = open_clip.CLIP(**config)
    open_clip.load_checkpoint(model, str(listed / "open_clip_model.safetensors"))
    model.eval()
    with torch.no_grad():
        ids = encoder._tokenize(TEXTS)
        np.testing.assert_allclose(
            encoder.encode_text(TEXTS, normalize=False), model.encode_text(ids), atol=1e-5
        )
        assert not np.allclose(
            load_encoder(str(folders["clip"])).encode_text(TEXTS), encoder.encode_text(TEXTS)
        )
    wide = Image.new("RGB", (64, 16), (255, 0, 128))
    squashed = np.float32([255, 0, 128]) / 255
    pixels = encoder._prepare(wide)
    assert pixels.shape == (3, SIZE, SIZE)
    expected = (squashed - [0.1, 0.2, 0.3]) / 0.5
    np.testing.assert_allclose(pixels[:, 3, 5], expected, atol=1e-6)


def test_a_config_without_a_tokenizers_name_has_clips_own(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where "siglip" is in the name: there open_clip itself downloads one."""
    config = model_config("clip")
    # CLIP's vocabulary has 49 408 tokens, so the tower is very narrow
    config["text_cfg"] = {"context_length": 8, "vocab_size": 49408}
    config["text_cfg"] |= {"width": 4, "heads": 1, "layers": 1}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-siglip", config)
    write_model(listed, config)

    def download(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("open_clip.factory.SigLipTokenizer", download)
    with pytest.raises(ConnectionError):
        open_clip.get_tokenizer("tiny-siglip")
    encoder = load_encoder("open_clip:tiny-siglip/demo")
    assert type(encoder._tokenize).__name__ == "SimpleTokenizer"
    ids = encoder._tokenize(["a cat " * 20])
    assert ids.shape == (1, 8)
    assert ids[0, -1] == 49407  # <end_of_text>
    with torch.no_grad():
        full = encoder._model.encode_text(encoder._tokenize(TEXTS))
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), full, atol=1e-5)


def test_a_pickle_of_the_list_is_read_as_tensors_only(listed: Path, tmp_path: Path) -> None:
    write_family(listed, "clip")
    (listed / "open_clip_model.safetensors").unlink()
    (listed / "open_clip_config.json").unlink()
    torch.save(build(model_config("clip")).state_dict(), listed / "open_clip_pytorch_model.bin")
    encoder = load_encoder("open_clip:tiny-siglip/demo")
    assert encoder.encode_text(TEXTS).shape == (4, 24)

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "run",))

    (listed / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"weight": Evil()}))
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder("open_clip:tiny-siglip/demo")
    assert not (tmp_path / "run").exists()
    torch.save({"weight": Evil()}, listed / "open_clip_pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder("open_clip:tiny-siglip/demo")
    assert not (tmp_path / "run").exists()


def test_a_text_tower_of_transformers_needs_only_its_config(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The multilingual models of LAION: the repository of the tower gives its shape."""
    from transformers import XLMRobertaConfig

    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    XLMRobertaConfig(
        **shape, num_attention_heads=2, vocab_size=32, pad_token_id=1, max_position_embeddings=20
    ).save_pretrained(hub_cache(tmp_path / "hub", "owner/tower", monkeypatch))
    tower = tmp_path / "hub" / "models--owner--tower" / "snapshots" / ("0" * 40)
    text = {"hf_model_name": str(tower), "hf_tokenizer_name": "owner/tiny", "context_length": 12}
    text |= {"hf_pooler_type": "mean_pooler", "hf_model_pretrained": False}
    config = {**model_config("clip"), "text_cfg": text, "custom_text": True}
    folder = write_model(tmp_path / "multilingual", config)
    for file in folders["clip"].glob("tokenizer*"):
        shutil.copy(file, folder)
    described = json.loads((folder / "open_clip_config.json").read_text())
    del described["model_cfg"]["text_cfg"]["hf_model_pretrained"]
    described["model_cfg"]["text_cfg"]["hf_model_name"] = "owner/tower"
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    encoder = load_encoder(str(folder))
    with torch.no_grad():
        full = encoder._model.encode_text(encoder._tokenize(TEXTS))
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), full, atol=1e-5)
    shutil.rmtree(tmp_path / "hub")
    with pytest.raises(EncoderError, match="hf download owner/tower"):
        load_encoder(str(folder))


def test_every_pair_of_the_list_has_a_repository_and_an_activation() -> None:
    from mmgap.encoders.open_clip import _check_pair

    for architecture, tag in open_clip.list_pretrained():
        described = open_clip.get_pretrained_cfg(architecture, tag)
        assert described["hf_hub"].count("/") == 2
        assert open_clip.get_model_config(architecture) is not None
        _check_pair(architecture, tag)


RESIZE = ("resize_mode", "interpolation")
CLIP = (0.48145466, 0.26862954, "shortest", "bicubic")
SIGLIP = (0.5, 0.5, "squash", "bicubic")
PE = (0.5, 0.5, "squash", "bilinear")
MOBILE = (0.0, 1.0, "shortest", "bilinear")

RECIPES = {
    # dim, context, image size; mean and std of red, resize, filter; quick GELU; tokenizer
    "PE-Core-T-16-384/meta": (512, 32, 384, PE, False, None),
    "PE-Core-S-16-384/meta": (512, 32, 384, PE, False, None),
    "PE-Core-B-16/meta": (1024, 32, 224, PE, False, None),
    "PE-Core-L-14-336/meta": (1024, 32, 336, PE, False, None),
    "PE-Core-bigG-14-448/meta": (1280, 72, 448, PE, False, None),
    "MobileCLIP2-S0/dfndr2b": (512, 77, 256, MOBILE, False, None),
    "MobileCLIP2-S2/dfndr2b": (512, 77, 256, MOBILE, False, None),
    "MobileCLIP2-B/dfndr2b": (512, 77, 224, MOBILE, False, None),
    "MobileCLIP2-S4/dfndr2b": (768, 77, 256, (*CLIP[:3], "bilinear"), False, None),
    "MobileCLIP2-L-14/dfndr2b": (768, 77, 224, CLIP, False, None),
    "ViT-B-32/openai": (512, 77, 224, CLIP, True, None),
    "ViT-L-14-336/openai": (768, 77, 336, CLIP, True, None),
    "ViT-B-32/laion2b_s34b_b79k": (512, 77, 224, CLIP, False, None),
    "ViT-B-16/dfn2b": (512, 77, 224, CLIP, True, None),
    "ViT-H-14-378/dfn5b": (1024, 77, 378, (*CLIP[:2], "squash", "bicubic"), True, None),
    "EVA02-B-16/merged2b_s8b_b131k": (512, 77, 224, CLIP, False, None),
    "ViT-B-16-SigLIP/webli": (768, 64, 224, SIGLIP, False, "timm/ViT-B-16-SigLIP"),
    "ViT-SO400M-14-SigLIP/webli": (1152, 16, 224, SIGLIP, False, "timm/ViT-B-16-SigLIP"),
    "ViT-B-16-SigLIP2/webli": (768, 64, 224, SIGLIP, False, "timm/ViT-B-16-SigLIP2"),
    "ViT-H-14-worldwide/metaclip2_worldwide": (1024, 77, 224, CLIP, True, "facebook/xlm-v-base"),
    "ViT-bigG-14-worldwide/metaclip2_worldwide": (
        *(1280, 77, 224, CLIP, False),
        "facebook/xlm-v-base",
    ),
}


@pytest.mark.parametrize("pair", RECIPES)
def test_recipes_of_the_list(pair: str, tmp_path: Path) -> None:
    """What the published models need; seen without their weights."""
    from mmgap.encoders.open_clip import find_open_clip

    (tmp_path / "open_clip_model.safetensors").touch()
    source = find_open_clip(f"open_clip:{pair}", tmp_path, None)
    model, text, preprocess = source.model, source.model["text_cfg"], source.preprocess
    assert RECIPES[pair] == (
        model["embed_dim"],
        text.get("context_length", 77),
        model["vision_cfg"]["image_size"],
        (*(preprocess[key][0] for key in ("mean", "std")), *map(preprocess.get, RESIZE)),
        model["quick_gelu"],
        text.get("hf_tokenizer_name"),
    )


# --- what can go wrong ----------------------------------------------------------------------------


def test_an_unknown_pair_names_its_neighbours() -> None:
    with pytest.raises(EncoderError, match=r"no weights 'openia' for 'ViT-B-32'; it has openai"):
        load_encoder("open_clip:ViT-B-32/openia")
    with pytest.raises(EncoderError, match=r"did you mean open_clip:PE-Core-B-16/meta"):
        load_encoder("open_clip:PE-Core-B16/meta")
    with pytest.raises(EncoderError, match=r"no weights '' for 'PE-Core-B-16'; it has meta"):
        load_encoder("open_clip:PE-Core-B-16")


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("open_clip:PE-Core-B-16/meta", "timm/PE-Core-B-16"),
        ("open_clip:ViTamin-S/datacomp1b", "jienengchen/ViTamin-S"),
        ("hf-hub:owner/nowhere", "owner/nowhere"),
    ],
)
def test_without_network_it_says_what_to_download(name: str, repository: str) -> None:
    with pytest.raises(EncoderError, match=f"hf download {repository} .*--local-dir") as caught:
        load_encoder(name)
    if name.startswith("open_clip:"):
        assert f"'{name}@FOLDER'" in str(caught.value)


def test_the_catalogues_revision_is_asked_for() -> None:
    name = "open_clip:PE-Core-B-16/meta"
    facts = replace(find_model(name), revision="0123456")
    with pytest.raises(EncoderError, match="--revision 0123456"):
        OpenClipEncoder(name, facts=facts)
    with pytest.raises(EncoderError, match="--revision main"):
        OpenClipEncoder(name, facts=facts, revision="main")


def test_pickles_in_a_folder_are_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "pickled"
    shutil.copytree(folders["clip"], copy)
    (copy / "open_clip_model.safetensors").rename(copy / "open_clip_pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"no \.safetensors file; pickled weights"):
        load_encoder(str(copy))


def test_safetensors_win_over_a_pickle_beside_them(
    folders: dict[str, Path], clip: Encoder, tmp_path: Path
) -> None:
    """open_clip itself would take open_clip_pytorch_model.bin before model.safetensors."""
    copy = tmp_path / "both"
    shutil.copytree(folders["clip"], copy)
    (copy / "open_clip_model.safetensors").rename(copy / "model.safetensors")
    (copy / "open_clip_pytorch_model.bin").write_bytes(b"no pickle at all")
    np.testing.assert_array_equal(
        load_encoder(str(copy)).encode_text(TEXTS), clip.encode_text(TEXTS)
    )


@pytest.mark.parametrize(
    "damage", ["open_clip_config.json", "tokenizer.json", "open_clip_model.safetensors"]
)
def test_a_damaged_file_is_named(damage: str, folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(folders["clip"], copy)
    data = (copy / damage).read_bytes()
    (copy / damage).write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match=r"damaged.* cannot be (read|loaded)"):
        load_encoder(str(copy))


def test_weights_of_another_model_do_not_fit(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "mixed"
    shutil.copytree(folders["clip"], copy)
    shutil.copy(folders["mobileclip"] / "open_clip_model.safetensors", copy)
    with pytest.raises(EncoderError, match="cannot be loaded into the model"):
        load_encoder(str(copy))
    config = json.loads((copy / "open_clip_config.json").read_text())
    del config["model_cfg"]["text_cfg"]
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="lacks text_cfg"):
        load_encoder(str(copy))


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"holds no open_clip_config\.json"):
        load_encoder(f"local-dir:{tmp_path}")
    with pytest.raises(EncoderError, match="no such folder; check the path"):
        load_encoder("local-dir:/no/such/folder")
    with pytest.raises(EncoderError, match="holds no weights"):
        load_encoder(f"open_clip:PE-Core-B-16/meta@{tmp_path}")


def test_without_the_library_it_says_what_to_install(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mmgap\[open-clip\]"'):
        load_encoder(str(folders["clip"]))


def test_no_word_of_random_weights(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load_encoder(str(folders["clip"]))
    assert not caplog.records
