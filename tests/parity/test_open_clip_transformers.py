"""open_clip against transformers: the same weights, renamed, must give the same vectors.

Each library has its own tokenizer call, image preprocessing, text pooling and forward pass.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmgap.encoders.open_clip import OpenClipEncoder

TOWER = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2}
HEADS, SIDE, PATCH, CONTEXT = 2, 32, 8, 14
TEXTS = ["a cat", "dog", "", "a dog and a cat and a dog and a cat and a dog and a cat"]


def drawings() -> list[Image.Image]:
    """Sizes whose crop has the same margin in both libraries, which round its half apart."""
    rng = np.random.default_rng(5)
    shapes = [(48, 32), (32, 32), (20, 60), (70, 35), (9, 9)]
    return [Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)) for shape in shapes]


def clip_tokenizer():
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["ca", "cat</w>", "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)


def word_tokenizer():
    """<s> 0, <pad> 1, </s> 2, as MetaCLIP 2's: the end is not the highest id."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "and", "cat", "dog"]
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", None, [("<s>", 0), ("</s>", 2)]
    )
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def clip_model(tokenizer, kind: str):
    """A random model of transformers, with weights large enough to tell texts and images apart."""
    import transformers

    text = {
        **TOWER,
        "num_attention_heads": HEADS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {**TOWER, "num_attention_heads": HEADS, "image_size": SIDE, "patch_size": PATCH}
    config_class, model_class = {
        "clip": (transformers.CLIPConfig, transformers.CLIPModel),
        "metaclip_2": (transformers.MetaClip2Config, transformers.MetaClip2Model),
    }[kind]
    torch.manual_seed(7)
    model = model_class(config_class(text_config=text, vision_config=vision, projection_dim=24))
    return enlarge(model)


def enlarge(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))  # no bias stays at zero
    return model.eval()


def blocks(theirs: dict[str, torch.Tensor], source: str, target: str) -> dict[str, torch.Tensor]:
    """Rename the transformer blocks; open_clip keeps query, key and value in one matrix."""
    ours = {}
    for number in range(TOWER["num_hidden_layers"]):
        layer, block = (
            f"{source}.encoder.layers.{number}",
            f"{target}transformer.resblocks.{number}",
        )
        for kind in ("weight", "bias"):
            parts = [theirs[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            ours[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
            for old, new in [
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ]:
                ours[f"{block}.{new}.{kind}"] = theirs[f"{layer}.{old}.{kind}"]
    return ours


def converted(model) -> dict[str, torch.Tensor]:
    """The weights of a CLIP of transformers under open_clip's names."""
    theirs = model.state_dict()
    vision, text = "vision_model.embeddings", "text_model.embeddings"
    ours = {
        "visual.conv1.weight": theirs[f"{vision}.patch_embedding.weight"],
        "visual.class_embedding": theirs[f"{vision}.class_embedding"],
        "visual.positional_embedding": theirs[f"{vision}.position_embedding.weight"],
        "visual.proj": theirs["visual_projection.weight"].T,
        "token_embedding.weight": theirs[f"{text}.token_embedding.weight"],
        "positional_embedding": theirs[f"{text}.position_embedding.weight"],
        "text_projection": theirs["text_projection.weight"].T,
        "logit_scale": theirs["logit_scale"],
    }
    for old, new in [
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
        ("text_model.final_layer_norm", "ln_final"),
    ]:
        ours |= {f"{new}.{kind}": theirs[f"{old}.{kind}"] for kind in ("weight", "bias")}
    ours |= blocks(theirs, "vision_model", "visual.") | blocks(theirs, "text_model", "")
    return {name: value.contiguous() for name, value in ours.items()}


def write(folder: Path, config: dict, weights: dict[str, torch.Tensor], tokenizer) -> Path:
    from safetensors.torch import save_file

    described = {"model_cfg": config, "preprocess_cfg": {"interpolation": "bicubic"}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    save_file(weights, folder / "open_clip_model.safetensors")
    tokenizer.save_pretrained(folder)
    return folder


def sizes(vocabulary: int) -> dict:
    return {
        "context_length": CONTEXT,
        "vocab_size": vocabulary,
        "width": TOWER["hidden_size"],
        "heads": HEADS,
        "layers": TOWER["num_hidden_layers"],
        "hf_tokenizer_name": "in this folder",
    }


@pytest.mark.parametrize("kind", ["clip", "metaclip_2"])
def test_clip_and_metaclip2(kind: str, tmp_path: Path) -> None:
    from transformers import CLIPImageProcessorPil

    tokenizer = clip_tokenizer() if kind == "clip" else word_tokenizer()
    model = clip_model(tokenizer, kind)
    text = sizes(len(tokenizer))
    if kind == "metaclip_2":
        text |= {"pool_type": "eos", "eos_id": 2}
    config = {
        "embed_dim": 24,
        "quick_gelu": model.config.text_config.hidden_act == "quick_gelu",
        "vision_cfg": {
            "image_size": SIDE,
            "layers": TOWER["num_hidden_layers"],
            "width": TOWER["hidden_size"],
            "head_width": TOWER["hidden_size"] // HEADS,
            "patch_size": PATCH,
        },
        "text_cfg": text,
    }
    encoder = OpenClipEncoder(
        "local-dir", folder=write(tmp_path, config, converted(model), tokenizer), device="cpu"
    )
    tokens = tokenizer(
        TEXTS, padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt"
    )
    tokens.pop("token_type_ids", None)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    with torch.no_grad():
        texts = model.get_text_features(**tokens).pooler_output
        images = model.get_image_features(
            **processor(drawings(), return_tensors="pt")
        ).pooler_output
    assert texts.std(dim=0).mean() > 0.1
    assert images.std(dim=0).mean() > 0.1
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), texts, atol=1e-4)
    np.testing.assert_allclose(
        encoder.encode_images(drawings(), normalize=False), images, atol=1e-4
    )
    assert encoder.info.logit_scale == pytest.approx(float(model.logit_scale.detach().exp()))


def test_siglip_text(tmp_path: Path) -> None:
    """The text tower: both ways, over the padding, read off the last place, a head with a bias."""
    from transformers import SiglipConfig, SiglipModel

    tokenizer = word_tokenizer()
    text = {
        **TOWER,
        "num_attention_heads": HEADS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        "projection_size": 32,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    vision = {**TOWER, "num_attention_heads": HEADS, "image_size": SIDE, "patch_size": PATCH}
    torch.manual_seed(8)
    model = enlarge(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)))
    theirs = model.state_dict()
    ours = {
        "text.token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
        "text.positional_embedding": theirs["text_model.embeddings.position_embedding.weight"],
        "logit_scale": theirs["logit_scale"].squeeze(),
        "logit_bias": theirs["logit_bias"].squeeze(),
        **blocks(theirs, "text_model", "text."),
    }
    for kind in ("weight", "bias"):
        ours[f"text.ln_final.{kind}"] = theirs[f"text_model.final_layer_norm.{kind}"]
        ours[f"text.text_projection.{kind}"] = theirs[f"text_model.head.{kind}"]
    config = {
        "embed_dim": 32,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 16, "head_width": 8}
        | {"patch_size": PATCH},
        "text_cfg": sizes(len(tokenizer))
        | {"no_causal_mask": True, "pool_type": "last", "proj_bias": True}
        | {"norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"}},
    }
    import open_clip

    # open_clip's SigLIP has an image tower of timm, which has no tiny size; any will do here
    image_tower = open_clip.CustomTextCLIP(
        **{name: value for name, value in config.items() if name != "custom_text"}
    ).visual.state_dict()
    ours |= {f"visual.{name}": value for name, value in image_tower.items()}
    encoder = OpenClipEncoder(
        "local-dir", folder=write(tmp_path, config, ours, tokenizer), device="cpu"
    )
    ids = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        texts = model.get_text_features(input_ids=ids).pooler_output
    assert texts.std(dim=0).mean() > 0.1
    np.testing.assert_allclose(encoder.encode_text(TEXTS, normalize=False), texts, atol=1e-4)
    assert encoder.info.logit_bias == pytest.approx(float(model.logit_bias.detach()))
