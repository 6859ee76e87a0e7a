"""Tiny random rerankers in the layout of the hub, and images to show to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WORDS = ["yes", "no", "cat", "dog", "red", "blue", "the", "document", "query"]
SPECIAL = ["endoftext", "im_start", "im_end", "vision_start", "vision_end", "vision_pad"]
SPECIAL += ["image_pad", "video_pad"]
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 20480}
TEXT |= {"bos_token_id": None, "eos_token_id": None}
M0_VISION = {"depth": 2, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 4}
M0_VISION |= {"patch_size": 14, "spatial_merge_size": 2}
SECTIONS = [2, 1, 1]  # how the 4 rotary frequencies of a head are shared by time, height and width
SPREAD = 0.4  # wide enough for the state of the last token to depend on what stands before it
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def noise(seed: int, size: tuple[int, int] = (84, 56)) -> Image.Image:
    """Noise, different for every seed; 84 x 56 pixels are 6 image tokens for Qwen2-VL."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def byte_order() -> list[int]:
    """Bytes as numbered by the vocabularies of GPT-2 and Qwen: 0xA7 is number 100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return printable + [byte for byte in range(256) if byte not in printable]


def qwen_tokenizer(**options: Any):
    from transformers import Qwen2Tokenizer

    order = byte_order()
    # Qwen writes printable bytes as themselves and the other 68 as letters from 256 on.
    letters = {byte: chr(byte if n < 188 else 68 + n) for n, byte in enumerate(order)}
    tokens = [letters[byte] for byte in order]
    merges: list[tuple[str, str]] = []
    for word in [*WORDS, "§"]:
        spelt = "".join(letters[byte] for byte in word.encode())
        for end in range(1, len(spelt)):
            if (merge := (spelt[:end], spelt[end])) not in merges:
                merges.append(merge)
                tokens.append("".join(merge))
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=merges,
        unk_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[f"<|{name}|>" for name in SPECIAL],
        padding_side="right",  # on purpose: left padding must be the reranker's own doing
        **options,
    )
    assert tokenizer.convert_tokens_to_ids("§") == 100
    return tokenizer


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Names that the configurations of Qwen's vision-language models have for special tokens."""
    names = {"image": "image_pad", "video": "video_pad"}
    names |= {"vision_start": "vision_start", "vision_end": "vision_end"}
    return {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for name, token in names.items()
    }


def _save_image_processor(folder: Path, patch_size: int, model: str) -> None:
    """With limits that no reranker uses: theirs must be the reranker's own doing."""
    from transformers import Qwen2VLImageProcessorPil

    content = Qwen2VLImageProcessorPil(patch_size=patch_size).to_dict()
    content |= {"size": {"shortest_edge": 200704, "longest_edge": 12845056}}
    content |= {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": model}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))


def save_m0(folder: Path) -> Path:
    """jina-reranker-m0 as its first hub revision has it: flat config, old names of weights."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2VLConfig, Qwen2VLModel

    tokenizer = qwen_tokenizer(model_max_length=32768)
    ids = special_ids(tokenizer)
    rope = {"rope_type": "default", "mrope_section": SECTIONS, "rope_theta": 10000.0}
    text = {**TEXT, "vocab_size": len(tokenizer), "rope_parameters": rope}
    config = Qwen2VLConfig(text_config=text, vision_config=M0_VISION, **ids)
    torch.manual_seed(3)
    weights = {}
    for name, tensor in Qwen2VLModel(config).state_dict().items():
        random = "norm" not in name and "ln_q" not in name
        weights[name.replace("language_model.", "model.")] = (
            torch.randn(tensor.shape) * SPREAD if random else tensor
        )
    weights |= {
        "score.0.weight": torch.randn(32, 32) / 4,
        "score.0.bias": torch.randn(32) / 4,
        "score.2.weight": torch.randn(1, 32) / 2,
        "score.2.bias": torch.tensor([2.0]),
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    flat = {
        **TEXT,
        **ids,
        "architectures": ["JinaVLForRanking"],
        "auto_map": {"AutoModel": "modeling.JinaVLForRanking"},
        "model_type": "qwen2_vl",
        "vocab_size": len(tokenizer),
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": SECTIONS},
        "vision_config": {**M0_VISION, "model_type": "qwen2_vl"},
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(flat))
    tokenizer.save_pretrained(folder)
    _save_image_processor(folder, 14, "Qwen2VLProcessor")
    (folder / "modeling.py").write_text("raise RuntimeError('remote code was run')\n")
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# A tiny random M0\n")
    return folder


def save_new_m0(old: Path, folder: Path) -> Path:
    """The same model under the names that weights have in transformers 5."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig

    shutil.copytree(old, folder, dirs_exist_ok=True)
    weights = {
        f"model.{name}"
        if name.startswith("visual.")
        else name.replace("model.", "model.language_model.", 1): tensor
        for name, tensor in load_file(old / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = AutoConfig.from_pretrained(old)
    config.tie_word_embeddings = False
    config.save_pretrained(folder)
    return folder


def save_qwen3_vl(folder: Path) -> Path:
    """Qwen3-VL-Reranker, with the chat template of Qwen3-VL, which loses a pair's query."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = qwen_tokenizer(model_max_length=262144)
    template = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    tokenizer.chat_template = template
    rope = {"rope_type": "default", "mrope_section": SECTIONS, "rope_theta": 10000.0}
    text = {**TEXT, "head_dim": 8, "vocab_size": len(tokenizer), "rope_parameters": rope}
    vision = {
        "depth": 2,
        "num_heads": 4,
        "hidden_size": 16,
        "intermediate_size": 32,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [1],
    }
    config = Qwen3VLConfig(
        text_config=text | {"initializer_range": SPREAD},
        vision_config=vision | {"initializer_range": SPREAD},
        tie_word_embeddings=True,
        **special_ids(tokenizer),
    )
    torch.manual_seed(4)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _save_image_processor(folder, 16, "Qwen3VLProcessor")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A tiny random reranker\n")
    return folder


def save_qwen3(folder: Path, *, structured: bool) -> Path:
    """Qwen3-Reranker: texts only, a language model that answers yes or no."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = qwen_tokenizer(model_max_length=256)
    part = "messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first"
    query, document = (f"{{{{ ({part.format(role)}) }}}}" for role in ("query", "document"))
    if structured:
        query, document = (text.replace(") }}", ")[0].text }}") for text in (query, document))
        document += "{# item.type #}"
    tokenizer.chat_template = f"query {query} document {document} answer"
    config = Qwen3Config(
        **TEXT,
        head_dim=8,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        initializer_range=SPREAD,
    )
    torch.manual_seed(6)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_bert(folder: Path, *, head: bool = True, labels: int = 1, activation: str = "") -> Path:
    """A plain text cross-encoder, such as ms-marco-MiniLM; without a head, what it began as."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *":/.,;"]
    tokens += [f"##{letter}" for letter in LETTERS]
    tokenizer = BertTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, model_max_length=32
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        num_labels=labels,
        initializer_range=SPREAD,
    )
    if activation:
        config.sentence_transformers = {"activation_fn": f"torch.nn.modules.{activation}"}
    torch.manual_seed(5)
    model = BertForSequenceClassification(config) if head else BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A tiny cross-encoder\n")
    return folder
