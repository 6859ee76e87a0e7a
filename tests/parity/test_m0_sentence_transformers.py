"""jina-reranker-m0 as mmgap runs it, against sentence-transformers and against plain torch."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmgap.rerankers.base import Content, Pair
from mmgap.rerankers.jina_m0 import JinaM0Reranker

TINY = runpy.run_path(str(Path(__file__).parents[1] / "rerankers" / "tiny_rerankers.py"))
noise = TINY["noise"]

TEMPLATE = """
{%- macro show(role) -%}
{%- for item in (messages | selectattr("role", "eq", role) | first).content -%}
{{- "<|vision_start|><|image_pad|><|vision_end|>" if item.type == "image" else item.text -}}
{%- endfor -%}
{%- endmacro -%}
{{- "**Document**:\\n" -}}{{- show("document") -}}{{- "\\n**Query**:\\n" -}}{{- show("query") -}}
"""
TEXTS = [
    Pair(Content("the red cat"), Content("a dog")),
    Pair(Content("blue"), Content("the document of the cat: red, blue and red again")),
    Pair(Content("no"), Content("yes")),
]
ONE_IMAGE = [
    Pair(Content("the red cat"), Content(image=noise(1))),
    Pair(Content("blue"), Content(image=noise(2, (28, 140)))),
    Pair(Content(image=noise(3)), Content("the dog")),
    Pair(Content(image=noise(4, (56, 56))), Content("the document of the cat: red, blue")),
]
TWO_IMAGES = [
    Pair(Content(image=noise(5)), Content(image=noise(6))),
    Pair(Content(image=noise(7)), Content(image=noise(8))),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TINY["save_m0"](tmp_path_factory.mktemp("tiny-m0"))


@pytest.fixture(scope="module")
def native(folder: Path) -> JinaM0Reranker:
    return JinaM0Reranker(str(folder), device="cpu")


@pytest.fixture(scope="module")
def head(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    return {name: tensor for name, tensor in weights.items() if name.startswith("score.")}


@pytest.fixture(scope="module")
def modules(folder: Path, head: dict[str, Any]):
    """Transformer that appends the score token, pooling of the last token, two dense layers."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import AutoImageProcessor

    class ScoreTokenTransformer(Transformer):
        def preprocess(self, inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
            features = super().preprocess(inputs, *args, **kwargs)
            for name, value in ("input_ids", 100), ("attention_mask", 1), ("mm_token_type_ids", 0):
                last = torch.full((len(inputs), 1), value)
                features[name] = torch.cat([features[name], last], dim=1)
            return features

    transformer = ScoreTokenTransformer(
        str(folder), processor_kwargs={"chat_template": TEMPLATE, "padding_side": "left"}
    )
    transformer.processor.image_processor = AutoImageProcessor.from_pretrained(
        folder, backend="pil", size={"shortest_edge": 3136, "longest_edge": 602112}
    )
    return CrossEncoder(
        modules=[
            transformer,
            Pooling(32, "lasttoken"),
            Dense(
                32,
                32,
                activation_function=torch.nn.ReLU(),
                init_weight=head["score.0.weight"],
                init_bias=head["score.0.bias"],
            ),
            Dense(
                32,
                1,
                activation_function=None,
                init_weight=head["score.2.weight"],
                init_bias=head["score.2.bias"],
                module_output_name="scores",
            ),
        ],
        device="cpu",
    )


def by_sentence_transformers(modules: Any, pairs: list[Pair]) -> np.ndarray:
    import torch

    sides = [
        tuple({"text": side.text} if side.image is None else {"image": side.image} for side in pair)
        for pair in pairs
    ]
    return modules.predict(sides, activation_fn=torch.nn.Identity(), batch_size=len(pairs))


@pytest.mark.parametrize("pairs", [TEXTS, ONE_IMAGE, TEXTS + ONE_IMAGE], ids=["t", "i", "mixed"])
def test_native_equals_sentence_transformers(
    pairs: list[Pair], native: JinaM0Reranker, modules: Any
) -> None:
    expected = by_sentence_transformers(modules, pairs)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(native.logits(pairs), expected, atol=2e-5)


def test_with_two_images_sentence_transformers_swaps_them(
    native: JinaM0Reranker, modules: Any
) -> None:
    """Known to differ: it hands over the query's image first, M0's own code the document's.

    With images of one size, that is M0's score of the pair turned round.
    """
    theirs = by_sentence_transformers(modules, TWO_IMAGES)
    ours = native.logits(TWO_IMAGES)
    assert (np.abs(ours - theirs) > 1e-3).all()
    turned = [Pair(document, query) for query, document in TWO_IMAGES]
    np.testing.assert_allclose(native.logits(turned), theirs, atol=2e-5)


def test_native_equals_plain_torch(folder: Path, native: JinaM0Reranker) -> None:
    """Texts, by the formulas of Qwen2 and the raw weights alone: no model class at all."""
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["hidden_size"] // heads

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"]).sqrt() * weights[name]

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    def rotated(x: torch.Tensor) -> torch.Tensor:
        """Positions turn each pair of coordinates; for text, all three axes count alike."""
        frequencies = config["rope_theta"] ** (-torch.arange(0, size, 2) / size)
        angles = torch.arange(x.shape[1])[:, None] * frequencies
        first, second = x[..., : size // 2], x[..., size // 2 :]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def logit(pair: Pair) -> float:
        prompt = f"**Document**:\n{pair.document.text}\n**Query**:\n{pair.query.text}"
        tokens = [*tokenizer.encode(prompt).ids, 100]
        x = weights["model.embed_tokens.weight"][tokens]
        length = len(tokens)
        future = torch.full((length, length), float("-inf")).triu(1)
        for layer in range(config["num_hidden_layers"]):
            block = f"model.layers.{layer}"
            h = norm(x, f"{block}.input_layernorm.weight")
            query, key, value = (
                linear(h, f"{block}.self_attn.{name}_proj").view(length, -1, size).transpose(0, 1)
                for name in "qkv"
            )
            key, value = (each.repeat_interleave(heads // shared, 0) for each in (key, value))
            weight = rotated(query) @ rotated(key).transpose(1, 2) / size**0.5 + future
            attended = (weight.softmax(-1) @ value).transpose(0, 1).reshape(length, -1)
            x = x + linear(attended, f"{block}.self_attn.o_proj")
            h = norm(x, f"{block}.post_attention_layernorm.weight")
            gate = linear(h, f"{block}.mlp.gate_proj")
            up = linear(h, f"{block}.mlp.up_proj")
            x = x + linear(gate * gate.sigmoid() * up, f"{block}.mlp.down_proj")
        state = norm(x[-1], "model.norm.weight")
        return float(linear(linear(state, "score.0").clamp(min=0), "score.2"))

    expected = [logit(pair) for pair in TEXTS]
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(native.logits(TEXTS), expected, atol=2e-5)
    np.testing.assert_allclose(
        native.score(TEXTS), 1 / (1 + np.exp(2.65 - np.array(expected))), atol=1e-6
    )


@pytest.mark.parametrize("pair", [*ONE_IMAGE, *TWO_IMAGES], ids=lambda pair: pair.kind)
def test_native_equals_one_unpadded_forward(
    pair: Pair, folder: Path, native: JinaM0Reranker, head: dict[str, Any]
) -> None:
    """Images, with token numbers put together by hand and the backbone of transformers."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(
        folder, backend="pil", size={"shortest_edge": 3136, "longest_edge": 602112}
    )
    start, pad, end = tokenizer.convert_tokens_to_ids(
        ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]
    )
    ids: list[int] = []
    pixels, grids = [], []
    for mark, side in (("**Document**:\n", pair.document), ("\n**Query**:\n", pair.query)):
        if side.image is None:
            ids += tokenizer(f"{mark}{side.text}")["input_ids"]
            continue
        shown = images([side.image], return_tensors="pt")
        pixels.append(shown["pixel_values"])
        grids.append(shown["image_grid_thw"])
        ids += tokenizer(mark)["input_ids"]
        ids += [start, *[pad] * (len(shown["pixel_values"]) // 4), end]
    tokens = torch.tensor([[*ids, 100]])
    with torch.no_grad():
        state = (
            AutoModel.from_pretrained(folder)
            .eval()(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                mm_token_type_ids=(tokens == pad).int(),
                pixel_values=torch.cat(pixels),
                image_grid_thw=torch.cat(grids),
            )
            .last_hidden_state[0, -1]
        )
    hidden = (head["score.0.weight"] @ state + head["score.0.bias"]).clamp(min=0)
    expected = float((head["score.2.weight"] @ hidden + head["score.2.bias"]).item())
    assert native.logits([pair]) == pytest.approx(expected, abs=2e-5)
