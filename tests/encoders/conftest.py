"""Tiny random checkpoints in the layout of the hub, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
WORDS = ["a", "photo", "of", "the", "black", "white", "cat", "dog", "sits", "on", "mat", "red"]
WORDS += ["blue", "rose", "image", "png", "jpg", "http", "com"]


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += ["ca", "cat</w>", "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")],
        model_max_length=20,
    )
    config = CLIPConfig(
        text_config={
            **TOWER,
            "num_attention_heads": 4,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 20,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**TOWER, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    torch.manual_seed(1)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    folder = tmp_path_factory.mktemp("tiny-clip")
    CLIPModel(config).save_pretrained(folder)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A tiny random CLIP\n")
    return folder


def _siglip(folder: Path, *, gemma: bool) -> Path:
    """SigLIP with a word-level tokenizer; with ``gemma`` the class that tells SigLIP 2."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    tokenizer = _gemma_tokenizer() if gemma else _word_tokenizer()
    config = SiglipConfig(
        text_config={
            **TOWER,
            "num_attention_heads": 4,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "projection_size": 32,
            "bos_token_id": 1,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
        vision_config={**TOWER, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(2)
    model = SiglipModel(config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -10.0)
    model.save_pretrained(folder)
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _siglip(tmp_path_factory.mktemp("tiny-siglip"), gemma=False)


@pytest.fixture(scope="session")
def tiny_siglip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _siglip(tmp_path_factory.mktemp("tiny-siglip2"), gemma=True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads text only."""
    from transformers import BertConfig, BertModel

    tokenizer = _word_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), **TOWER, num_attention_heads=2, max_position_embeddings=16
    )
    folder = tmp_path_factory.mktemp("tiny-bert")
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _word_tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _gemma_tokenizer():
    from transformers import GemmaTokenizer

    words = [f"▁{word}" for word in WORDS]
    letters = sorted({letter for word in words for letter in word})
    vocabulary = {
        token: number for number, token in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *letters])
    }
    return GemmaTokenizer(vocab=vocabulary, merges=[], add_bos_token=False, add_eos_token=True)
