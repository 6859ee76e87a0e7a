"""Tiny random late-interaction checkpoints, saved in the layout of the hub."""

from __future__ import annotations

from pathlib import Path

DIM = 16
PATCH = 14  # of Qwen2-VL and PaliGemma
WORDS = ["a", "photo", "of", "the", "black", "white", "cat", "dog", "sits", "on", "mat", "red"]


def colqwen2(folder: Path, *, backbone: str = "qwen2_vl", padding_side: str = "right") -> Path:
    """ColQwen2, or ColQwen2.5 with ``backbone="qwen2_5_vl"``."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        AutoConfig,
        ColQwen2Config,
        ColQwen2ForRetrieval,
        ColQwen2Processor,
        Qwen2Tokenizer,
        Qwen2VLImageProcessorPil,
    )

    letters = sorted(ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"]
    special += ["<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate([*letters, *special])},
        merges=[],
        additional_special_tokens=special,
        pad_token="<|endoftext|>",
        padding_side=padding_side,
    )
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in special}
    vision = {"depth": 2, "num_heads": 2, "hidden_size": 32, "patch_size": PATCH}
    vision |= {"spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3}
    if backbone == "qwen2_vl":
        vision |= {"embed_dim": 32, "mlp_ratio": 2}
    else:
        vision |= {"intermediate_size": 48, "out_hidden_size": 32, "fullatt_block_indexes": [1]}
        vision |= {"window_size": 4 * PATCH}
    vlm = AutoConfig.for_model(
        backbone,
        text_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
        },
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    torch.manual_seed(3)
    model = ColQwen2ForRetrieval(ColQwen2Config(vlm_config=vlm, embedding_dim=DIM))
    _spread(model)
    model.save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 4 * 28 * 28, "longest_edge": 12 * 28 * 28}, patch_size=PATCH
    )
    ColQwen2Processor(images, tokenizer).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A tiny random ColQwen2\n")
    return folder


def colpali(folder: Path) -> Path:
    import torch
    from transformers import (
        ColPaliConfig,
        ColPaliForRetrieval,
        ColPaliProcessor,
        GemmaTokenizer,
        PaliGemmaConfig,
        SiglipImageProcessorPil,
    )

    words = [f"▁{word}" for word in WORDS]
    letters = sorted({letter for word in [*words, "Question:", "Describe."] for letter in word})
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "\n", *letters]
    tokenizer = GemmaTokenizer(
        vocab={token: number for number, token in enumerate(tokens)}, merges=[]
    )
    images = SiglipImageProcessorPil(size={"height": 2 * PATCH, "width": 2 * PATCH})
    images.image_seq_length = 4
    processor = ColPaliProcessor(images, tokenizer)  # adds <image> and 1,152 places to the tokens
    vlm = PaliGemmaConfig(
        text_config={
            "model_type": "gemma",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 128,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 2 * PATCH,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    torch.manual_seed(4)
    model = ColPaliForRetrieval(ColPaliConfig(vlm_config=vlm, embedding_dim=DIM))
    _spread(model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def colmodernvbert(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import (
        ColModernVBertConfig,
        ColModernVBertForRetrieval,
        ColModernVBertProcessor,
        Idefics3ImageProcessorPil,
        ModernVBertConfig,
        PreTrainedTokenizerFast,
    )

    special = ["<pad>", "<unk>", "<|begin_of_text|>", "<end_of_utterance>", "<image>"]
    special += ["<fake_token_around_image>", "<global-img>"]
    special += [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    words = [*special, *WORDS, "user", "assistant", ":", ".", "describe", "image"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        additional_special_tokens=special[2:],
    )
    side, patch, shuffle = 32, 8, 2
    vlm = ModernVBertConfig(
        text_config={
            "model_type": "modernbert",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 256,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "global_attn_every_n_layers": 2,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": side,
            "patch_size": patch,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pixel_shuffle_factor=shuffle,
    )
    torch.manual_seed(5)
    model = ColModernVBertForRetrieval(ColModernVBertConfig(vlm_config=vlm, embedding_dim=DIM))
    _spread(model)
    model.save_pretrained(folder)
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * side}, max_image_size={"longest_edge": side}
    )
    ColModernVBertProcessor(
        images, tokenizer, image_seq_len=(side // patch // shuffle) ** 2
    ).save_pretrained(folder)
    return folder


def colbert(folder: Path) -> Path:
    """A text-only late-interaction model, as sentence-transformers saves it."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from torch import nn
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["<pad>", "<cls>", "<sep>", "<unk>", "<mask>", "[Q]", "[D]"]
    words = [*special, *WORDS, ".", "!"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        "<cls> $A <sep>", None, [("<cls>", 1), ("<sep>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<cls>",
        sep_token="<sep>",
        mask_token="<mask>",
        additional_special_tokens=["[Q]", "[D]"],
    )
    bert = folder / "bert"
    BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
        )
    ).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    project = Dense(
        32, DIM, bias=False, activation_function=nn.Identity(), module_input_name="token_embeddings"
    )
    MultiVectorEncoder(
        modules=[
            Transformer(str(bert), query_length=12, document_length=24),
            project,
            MultiVectorMask(skiplist_words=[".", "!"]),
            Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": "[Q] ", "document": "[D] "},
        device="cpu",
    ).save(str(folder / "colbert"), create_model_card=False)
    return folder / "colbert"


def _spread(model) -> None:
    """Make random weights ten times larger: tokens then differ by more than rounding."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
