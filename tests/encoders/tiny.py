"""Tiny random checkpoints of transformers' architectures, in the layout of the hub.

Each function writes one into a folder, as the makers' own ``save_pretrained`` would, and returns
the folder; the weights are random but the same on every run. Layer norms and biases are random as
well: with the ones and zeros of a fresh model many a mistake would not show.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
WORDS = ["a", "photo", "of", "the", "black", "white", "cat", "dog", "sits", "on", "mat", "red"]
WORDS += ["blue", "rose", "image", "png", "jpg", "http", "com"]
WORDS += ["search", "query", "document", "title", "none", "text", "task", "result", "passage"]
PUNCTUATION = [":", "|", "_", ".", "'", "/"]

CHAT_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part.type == 'text' %}{{- part.text }}{%- endif %}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
"""What Qwen's own template makes of a system and a user message."""

GEMMA_TEMPLATE = (
    "{%- for message in messages %}{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{- '<|image|>' }}"
    "{%- elif part.type == 'text' %}{{- part.text }}{%- endif %}{%- endfor %}{%- endfor %}"
)
"""Contents one after the other, the media as placeholders."""


def clip(folder: Path) -> Path:
    """OpenAI CLIP: byte-level tokens, pooled at the first end-of-text."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor

    tokenizer = clip_tokenizer()
    config = CLIPConfig(
        text_config=clip_text_config(tokenizer),
        vision_config={**TOWER, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    randomised(CLIPModel, config, seed=1).save_pretrained(folder)
    CLIPProcessor(clip_images(), tokenizer).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny random CLIP\n")
    return folder


def metaclip2(folder: Path) -> Path:
    """MetaCLIP 2: CLIP's towers, the vocabulary and tokenizer class of XLM-R."""
    from transformers import CLIPProcessor, MetaClip2Config, MetaClip2Model

    tokenizer = roberta_tokenizer(max_length=20)
    config = MetaClip2Config(
        text_config=clip_text_config(tokenizer),
        vision_config={**TOWER, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    randomised(MetaClip2Model, config, seed=2).save_pretrained(folder)
    CLIPProcessor(clip_images(), tokenizer).save_pretrained(folder)
    return folder


def legacy_clip(folder: Path, checkpoint: Path) -> Path:
    """The layout of sentence-transformers/clip-ViT-B-32, around a CLIP checkpoint."""
    shutil.copytree(checkpoint, folder / "0_CLIPModel")
    modules = [
        {
            "idx": 0,
            "name": "0",
            "path": "0_CLIPModel",
            "type": "sentence_transformers.models.CLIPModel",
        }
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def siglip(folder: Path, *, gemma: bool = False) -> Path:
    """SigLIP with a word-level tokenizer; with ``gemma`` the class that tells SigLIP 2."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    tokenizer = gemma_tokenizer() if gemma else word_tokenizer()
    config = SiglipConfig(
        text_config=siglip_text_config(tokenizer),
        vision_config={**TOWER, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
    )
    siglip_parameters(randomised(SiglipModel, config, seed=3)).save_pretrained(folder)
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def siglip2_naflex(folder: Path) -> Path:
    """SigLIP 2 that keeps the shape of images: patches of 16 x 16, at most 256 of them."""
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model, Siglip2Processor
    from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

    tokenizer = gemma_tokenizer(Siglip2Tokenizer)
    config = Siglip2Config(
        text_config=siglip_text_config(tokenizer),
        vision_config={
            **TOWER,
            "num_attention_heads": 4,
            "patch_size": 16,
            "num_patches": 256,
        },
    )
    siglip_parameters(randomised(Siglip2Model, config, seed=4)).save_pretrained(folder)
    images = Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)
    Siglip2Processor(images, tokenizer).save_pretrained(folder)
    return folder


def bert(folder: Path) -> Path:
    """A model that reads text only, without a word on how its token states are pooled."""
    from transformers import BertConfig, BertModel

    tokenizer = word_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), **TOWER, num_attention_heads=2, max_position_embeddings=16
    )
    randomised(BertModel, config, seed=5).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence_bert(
    folder: Path,
    *,
    pooling: str = "mean",
    prompts: dict[str, str] | None = None,
    normalize: bool = True,
) -> Path:
    """A text embedder as sentence-transformers saves it: MiniLM, bge, e5."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    plain = bert(folder / "plain")
    modules: list[Any] = [Transformer(str(plain)), Pooling(32, pooling)]
    if normalize:
        modules.append(Normalize())
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder))
    shutil.rmtree(plain)
    return folder


def xlm_roberta(folder: Path, *, positions: int = 18) -> Path:
    """multilingual-e5's architecture, with a tokenizer that knows no limit."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    tokenizer = roberta_tokenizer(max_length=None)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        **TOWER,
        num_attention_heads=2,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    randomised(XLMRobertaModel, config, seed=6).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def nomic_text(folder: Path) -> Path:
    """Nomic Embed Text v1.5: the hub's names of weights, and its pointer to code of its own."""
    from safetensors.torch import save_file
    from transformers import NomicBertConfig, NomicBertModel

    tokenizer = word_tokenizer()
    config = NomicBertConfig(
        vocab_size=len(tokenizer), **TOWER, num_attention_heads=2, max_position_embeddings=32
    )
    model = randomised(NomicBertModel, config, seed=7)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    code = "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert"
    settings["auto_map"] = {"AutoModel": f"{code}.NomicBertModel"}
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(nomic_hub_names(model.state_dict()), folder / "model.safetensors", {"format": "pt"})
    return folder


def nomic_vision(folder: Path) -> Path:
    """Nomic Embed Vision v1.5, of which only the configuration matters: it is to be refused."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "model_type": "nomic_bert",
        "architectures": ["NomicVisionModel"],
        "auto_map": {"AutoModel": "nomic-ai/nomic-embed-vision--modeling.NomicVisionModel"},
        "img_size": 224,
        "patch_size": 16,
        "num_channels": 3,
        "n_embd": 768,
        "n_inner": 2048.0,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    save_file({"embeddings.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    return folder


def qwen3_vl(folder: Path, *, saved_by_st: bool = False) -> Path:
    """Qwen3-VL-Embedding; with ``saved_by_st`` in the layout of its sentence-transformers files."""
    from transformers import (
        Qwen2VLImageProcessorPil,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer = qwen_tokenizer()

    def number(token: str) -> int:
        return tokenizer.convert_tokens_to_ids(token)

    config = Qwen3VLConfig(
        text_config={
            **TOWER,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
            },
            "bos_token_id": None,
            "eos_token_id": number("<|im_end|>"),
            "pad_token_id": number("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    randomised(Qwen3VLForConditionalGeneration, config, seed=8).save_pretrained(folder)
    sizes: dict[str, Any] = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    Qwen3VLProcessor(
        Qwen2VLImageProcessorPil(**sizes, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        tokenizer,
        Qwen3VLVideoProcessor(**sizes),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    if saved_by_st:
        _save_by_st(folder, "lasttoken", chat_template={"add_generation_prompt": True})
    return folder


def embedding_gemma2(folder: Path) -> Path:
    """EmbeddingGemma 2 with its text and vision towers, in its sentence-transformers layout."""
    from transformers import (
        EmbeddingGemma2Config,
        EmbeddingGemma2Model,
        EmbeddingGemma2Processor,
        EmbeddingGemma2VideoProcessor,
        Gemma4AudioFeatureExtractor,
        Gemma4ImageProcessorPil,
    )

    tokenizer = embedding_gemma_tokenizer()

    def number(token: str) -> int:
        return tokenizer.convert_tokens_to_ids(token)

    config = EmbeddingGemma2Config(
        text_config={
            **TOWER,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "global_head_dim": 16,
            "num_global_key_value_heads": 1,
            "sliding_window_pattern": 2,
            "sliding_window": 8,
            "hidden_size_per_layer_input": 8,
            "embedding_dim": 24,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
        },
        vision_config={
            "model_type": "gemma4_vision",
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "pooling_kernel_size": 3,
            "patch_size": 16,
            "position_embedding_size": 64,
        },
        audio_config=None,
        boi_token_id=number("<|image>"),
        eoi_token_id=number("<image|>"),
        image_token_id=number("<|image|>"),
        video_token_id=number("<|video|>"),
        audio_token_id=number("<|audio|>"),
    )
    randomised(EmbeddingGemma2Model, config, seed=9).save_pretrained(folder)
    EmbeddingGemma2Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessorPil(max_soft_tokens=70),
        tokenizer,
        EmbeddingGemma2VideoProcessor(),
        chat_template=GEMMA_TEMPLATE,
    ).save_pretrained(folder)
    prompts = {"query": "task: search result | query: ", "document": "title: none | text: "}
    _save_by_st(folder, "mean", prompts=prompts)
    return folder


def _save_by_st(
    folder: Path,
    pooling: str,
    *,
    prompts: dict[str, str] | None = None,
    **processing_kwargs: Any,
) -> None:
    """Add what sentence-transformers adds to a checkpoint of transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = Transformer(str(folder), processing_kwargs=processing_kwargs)
    modules = [first, Pooling(first.get_embedding_dimension(), pooling), Normalize()]
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder))


def randomised(kind: Any, config: Any, *, seed: int) -> Any:
    """Return a model whose every parameter is random, norms and biases too."""
    import torch

    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in {"logit_scale", "logit_bias"}:
                continue
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            else:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    torch.random.set_rng_state(state)
    return model


def siglip_parameters(model: Any) -> Any:
    """Give scale and bias other values than 0."""
    import torch

    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -10.0)
    return model


def clip_text_config(tokenizer: Any) -> dict[str, Any]:
    return {
        **TOWER,
        "num_attention_heads": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 20,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def siglip_text_config(tokenizer: Any) -> dict[str, Any]:
    return {
        **TOWER,
        "num_attention_heads": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 16,
        "projection_size": 32,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }


def clip_images() -> Any:
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def clip_tokenizer() -> Any:
    """Letters and a few merges; it lower-cases, as CLIP's does."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["ca", "cat</w>", "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")],
        model_max_length=20,
    )


def word_tokenizer() -> Any:
    """One token per word, ``</s>`` at the end; it lower-cases."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", *WORDS, "search_query", "search_document", *PUNCTUATION]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def gemma_tokenizer(kind: Any = None) -> Any:
    """Letters; a Gemma tokenizer does not lower-case, and knows no capitals here."""
    from transformers import GemmaTokenizer

    letters = sorted({letter for word in WORDS for letter in f"▁{word}"})
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", *letters, *PUNCTUATION]
    return (kind or GemmaTokenizer)(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[],
        add_bos_token=False,
        add_eos_token=True,
    )


def roberta_tokenizer(*, max_length: int | None) -> Any:
    """XLM-R's class: SentencePiece unigrams, ``<s> ... </s>``, padding id 1."""
    from transformers import XLMRobertaTokenizer

    pieces = [f"▁{word}" for word in WORDS] + sorted({letter for word in WORDS for letter in word})
    vocabulary = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    vocabulary += [(piece, -float(at + 1)) for at, piece in enumerate([*pieces, "▁", *PUNCTUATION])]
    vocabulary.append(("<mask>", 0.0))
    limit = {} if max_length is None else {"model_max_length": max_length}
    return XLMRobertaTokenizer(vocab=vocabulary, **limit)


def qwen_tokenizer() -> Any:
    """Bytes and Qwen's special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    special += ["<|image_pad|>", "<|video_pad|>"]
    letters = sorted(ByteLevel.alphabet())
    return Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate([*letters, *special])},
        merges=[],
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=special[1:],
        model_max_length=2048,
    )


def embedding_gemma_tokenizer() -> Any:
    """Gemma's letters, ``<bos> ... <eos>``, and placeholders for media."""
    from transformers import GemmaTokenizer

    letters = sorted({letter for word in WORDS for letter in f"▁{word}"})
    media = {
        "boi_token": "<|image>",
        "image_token": "<|image|>",
        "eoi_token": "<image|>",
        "boa_token": "<|audio>",
        "audio_token": "<|audio|>",
        "eoa_token": "<audio|>",
    }
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", *letters, *PUNCTUATION, *media.values()]
    return GemmaTokenizer(
        vocab={token: number for number, token in enumerate([*tokens, "<|video|>"])},
        merges=[],
        add_bos_token=True,
        add_eos_token=True,
        extra_special_tokens=media,
    )


def nomic_hub_names(weights: dict[str, Any]) -> dict[str, Any]:
    """Rename the weights of transformers' NomicBertModel as nomic-ai's own file has them."""
    import torch

    renamed = {}
    for name, weight in weights.items():
        for ours, theirs in (
            ("embeddings.LayerNorm", "emb_ln"),
            ("self_attn.o_proj", "attn.out_proj"),
            ("mlp.up_proj", "mlp.fc11"),
            ("mlp.gate_proj", "mlp.fc12"),
            ("mlp.down_proj", "mlp.fc2"),
            ("post_attention_layernorm", "norm1"),
            ("post_mlp_layernorm", "norm2"),
        ):
            name = name.replace(ours, theirs)
        if name.startswith("layers."):
            name = f"encoder.{name}"
        renamed[name] = weight.clone()
    for name in [name for name in renamed if "self_attn.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        renamed[name.replace("self_attn.q_proj", "attn.Wqkv")] = torch.cat(parts)
    return renamed


E5_PROMPTS = {"query": "query: ", "passage": "passage: "}

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "clip": clip,
    "legacy-clip": lambda folder: legacy_clip(folder, clip(folder / "plain")),
    "metaclip2": metaclip2,
    "siglip": siglip,
    "siglip2": lambda folder: siglip(folder, gemma=True),
    "siglip2-naflex": siglip2_naflex,
    "bert": bert,
    "minilm": sentence_bert,
    "bge": lambda folder: sentence_bert(folder, pooling="cls"),
    "e5": lambda folder: sentence_bert(folder, prompts=E5_PROMPTS),
    "multilingual-e5": xlm_roberta,
    "nomic-text": nomic_text,
    "nomic-vision": nomic_vision,
    "qwen3-vl": qwen3_vl,
    "qwen3-vl-by-st": lambda folder: qwen3_vl(folder, saved_by_st=True),
    "embeddinggemma2": embedding_gemma2,
}

TEXT_ONLY = ["bert", "minilm", "bge", "e5", "multilingual-e5", "nomic-text"]
TWO_TOWERS = ["clip", "legacy-clip", "metaclip2", "siglip", "siglip2", "siglip2-naflex"]
FUSED = ["qwen3-vl", "qwen3-vl-by-st", "embeddinggemma2"]
