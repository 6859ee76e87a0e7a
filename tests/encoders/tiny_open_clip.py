"""Tiny random models of open_clip, in the layout of its repositories on the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = ["a", "photo", "of", "the", "black", "white", "cat", "dog", "sits", "on", "mat", "red"]
WORDS += ["blue", "rose", "image", "png", "jpg", "http", "com"]
SIZE = 32
CONTEXT = 12
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]

_TEXT = {"context_length": CONTEXT, "vocab_size": 32, "width": 32, "heads": 2, "layers": 2}
_WORD_TEXT = {**_TEXT, "hf_tokenizer_name": "owner/tiny"}

FAMILIES: dict[str, dict[str, Any]] = {
    # OpenAI, LAION, DFN, EVA, PE-Core: causal, read off the highest id, which ends the text
    "clip": {"text_cfg": _WORD_TEXT},
    "clip-custom-text": {"text_cfg": _WORD_TEXT, "custom_text": True},
    # MetaCLIP 2 worldwide: causal, read off the first id that is eos_id
    "worldwide": {"text_cfg": {**_WORD_TEXT, "pool_type": "eos", "eos_id": 2}},
    # MobileCLIP 2: looks both ways, over the padding too
    "mobileclip": {"text_cfg": {**_WORD_TEXT, "no_causal_mask": True}, "custom_text": True},
    # no published model: causal, but read off the last place, padding or not
    "causal-last": {"text_cfg": {**_WORD_TEXT, "pool_type": "last"}},
    # SigLIP: looks both ways, read off the last place, which is mostly padding
    "last-token": {
        "text_cfg": {
            **_WORD_TEXT,
            "no_causal_mask": True,
            "pool_type": "last",
            "proj_bias": True,
            "tokenizer_kwargs": {"clean": "canonicalize"},
        },
        "custom_text": True,
        "init_logit_bias": -10,
    },
}


def write_words(folder: Path, *, eos_is_highest: bool = True) -> None:
    """Save a tokenizer of whole words: start, the words, end; padded to the right."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", *([] if eos_is_highest else ["</s>"]), "<unk>"]
    names = [*special, *WORDS, *(["</s>"] if eos_is_highest else [])]
    vocabulary = {word: number for number, word in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", None, [("<s>", 0), ("</s>", vocabulary["</s>"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(folder)


def model_config(family: str) -> dict[str, Any]:
    """Return open_clip's configuration of a tiny model."""
    vision = {"image_size": SIZE, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    return {"embed_dim": 24, "vision_cfg": vision, **FAMILIES[family]}


def build(config: dict[str, Any]):
    """Build a model with random weights, large enough that words and pixels make a difference."""
    import open_clip
    import torch

    config = json.loads(json.dumps(config))
    custom = config.pop("custom_text", False)
    torch.manual_seed(3)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
        model.logit_scale.fill_(3.0)
    return model.eval()


def write_model(folder: Path, config: dict[str, Any], **preprocess: Any) -> Path:
    """Save configuration, weights and model card, as ``push_to_hf_hub`` does."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in build(config).state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    settings = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    described = {"model_cfg": config, "preprocess_cfg": {**settings, **preprocess}}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny random model\n")
    return folder


def write_family(folder: Path, family: str) -> Path:
    """Save a tiny model of a family, tokenizer included."""
    write_model(folder, model_config(family))
    write_words(folder, eos_is_highest=family != "worldwide")
    return folder
