"""Tiny random ONNX models with the hub's layout, and the same towers in torch.

The graphs are built node by node from the torch towers' weights: two implementations of one model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

WORDS = ["a", "photo", "of", "the", "black", "white", "cat", "dog", "sits", "on", "mat", "png"]
WORDS += ["search_query", "search_document", ":", "represent", "query", "http", "com", "red"]
SIDE, PATCH, WIDTH, DIM = 16, 8, 16, 12
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
CLIP_PIXELS = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": SIDE},
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_center_crop": True,
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "rescale_factor": 1 / 255,
    "resample": 3,
    "image_mean": MEAN,
    "image_std": STD,
}
JINA_PIXELS = {
    "image_processor_type": "JinaCLIPImageProcessor",
    "auto_map": {"AutoImageProcessor": "processing_clip.JinaCLIPImageProcessor"},
    "size": SIDE,
    "resize_mode": "shortest",
    "interpolation": "bicubic",
    "fill_color": 0,
    "mean": MEAN,
    "std": STD,
}


class Block(nn.Module):
    """Attention with one head, then two layers; both added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        # attention that looks at several tokens, not at one alone
        self.query, self.key = (nn.Parameter(0.12 * torch.randn(WIDTH, WIDTH)) for _ in range(2))
        self.value, self.up, self.down = (
            nn.Parameter(0.3 * torch.randn(WIDTH, WIDTH)) for _ in range(3)
        )

    def forward(self, states: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        scores = (states @ self.query) @ (states @ self.key).transpose(1, 2)
        if seen is not None:
            scores = scores + (seen[:, None, :] - 1) * 1e4
        states = states + scores.softmax(dim=-1) @ (states @ self.value)
        return states + (states @ self.up).relu() @ self.down


class TextTower(nn.Module):
    """Ids and mask to the states of all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Parameter(torch.randn(40, WIDTH))
        self.types = nn.Parameter(torch.randn(2, WIDTH))
        self.block = Block()
        self.projection = nn.Parameter(0.3 * torch.randn(WIDTH, DIM))

    def forward(self, ids: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return self.block(self.words[ids] + self.types[0], seen.float())


class ImageTower(nn.Module):
    """Pixels to the states of a first, learned token and of all patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Parameter(0.2 * torch.randn(WIDTH, 3, PATCH, PATCH))
        self.first = nn.Parameter(torch.randn(WIDTH))
        self.block = Block()
        self.projection = nn.Parameter(0.3 * torch.randn(WIDTH, DIM))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = nn.functional.conv2d(pixels, self.patches, stride=PATCH).flatten(2)
        first = self.first.expand(len(pixels), 1, WIDTH)
        return self.block(torch.cat([first, patches.transpose(1, 2)], dim=1))


def towers() -> tuple[TextTower, ImageTower]:
    """Return the two towers, always with the same weights."""
    torch.manual_seed(11)
    return TextTower().requires_grad_(False), ImageTower().requires_grad_(False)


class Graph:
    """An ONNX graph under construction."""

    def __init__(self, *, half: bool = False) -> None:
        self.number = np.float16 if half else np.float32
        self.kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def input(self, name: str, axes: list[Any], kind: int = TensorProto.INT64) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, axes))
        return name

    def output(self, value: str, name: str, axes: list[Any]) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, self.kind, axes))

    def constant(self, value: Any) -> str:
        value = np.asarray(value.numpy() if isinstance(value, torch.Tensor) else value)
        if value.dtype.kind == "f":
            value = value.astype(self.number)
        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(value, name))
        return name

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def save(self, path: Path, *, external: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        graph = helper.make_graph(self.nodes, "tiny", self.inputs, self.outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 10
        onnx.checker.check_model(model)
        if external:
            onnx.save_model(
                model,
                path,
                save_as_external_data=True,
                location=f"{path.name}_data",
                size_threshold=512,
            )
        else:
            onnx.save_model(model, path)

    # --- the towers, node by node ---

    def block(self, block: Block, states: str, seen: str | None = None) -> str:
        query, key, value = (
            self.op("MatMul", states, part) for part in (block.query, block.key, block.value)
        )
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 2, 1]))
        if seen is not None:
            hidden = self.op("Mul", self.op("Sub", seen, np.float32(1)), np.float32(1e4))
            scores = self.op("Add", scores, self.op("Unsqueeze", hidden, np.int64([1])))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)
        states = self.op("Add", states, mixed)
        inner = self.op("MatMul", self.op("Relu", self.op("MatMul", states, block.up)), block.down)
        return self.op("Add", states, inner)

    def text_states(self, tower: TextTower, seen: str, types: str | None = None) -> str:
        words = self.op("Gather", tower.words, "input_ids", axis=0)
        kinds: Any = tower.types[0] if types is None else self.op("Gather", tower.types, types)
        return self.block(tower.block, self.op("Add", words, kinds), seen)

    def image_states(self, tower: ImageTower) -> str:
        pixels = self.input("pixel_values", ["image_batch", 3, SIDE, SIDE], self.kind)
        patches = self.op("Conv", pixels, tower.patches, strides=[PATCH, PATCH])
        count = (SIDE // PATCH) ** 2
        # 0 would mean "as it was" for the batch, and an empty batch has no other axis to infer
        shape = self.op(
            "Concat",
            self.op("Shape", pixels, start=0, end=1),
            np.int64([WIDTH, count]),
            axis=0,
        )
        patches = self.op("Reshape", patches, shape, allowzero=1)
        patches = self.op("Transpose", patches, perm=[0, 2, 1])
        batch = self.op("Shape", pixels, start=0, end=1)
        first = self.op(
            "Expand", tower.first, self.op("Concat", batch, np.int64([1, WIDTH]), axis=0)
        )
        return self.block(tower.block, self.op("Concat", first, patches, axis=1))

    def seen_by_pad(self, pad: int) -> str:
        """The mask that the graphs of Jina CLIP make themselves: ids that are not padding."""
        return self.op(
            "Cast",
            self.op("Not", self.op("Equal", "input_ids", np.int64(pad))),
            to=self.kind,
        )

    def mean(self, states: str, seen: str) -> str:
        weights = self.op("Unsqueeze", seen, np.int64([2]))
        axis = np.int64([1])
        total = self.op("ReduceSum", self.op("Mul", states, weights), axis, keepdims=0)
        return self.op("Div", total, self.op("ReduceSum", weights, axis, keepdims=0))

    def unit(self, vectors: str) -> str:
        length = self.op("ReduceL2", vectors, np.int64([1]), keepdims=1)
        return self.op("Div", vectors, length)


def write_words(
    folder: Path,
    special: list[str],
    *,
    start: str,
    end: str,
    pad: str,
    lower_case: bool = True,
    **config: Any,
) -> None:
    """Save a tokenizer of whole words, with the padding and cutting of some training run."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special[-1]))
    if lower_case:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(":", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        f"{start} $A {end}", None, [(start, vocabulary[start]), (end, vocabulary[end])]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(pad_id=vocabulary[pad], pad_token=pad, length=9)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"pad_token": pad, "model_max_length": 32, **config})
    )


def _settings(folder: Path, model_type: str, pixels: dict[str, Any] | None) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    if pixels is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))


def write_jina_v1(
    folder: Path, *, names: tuple[str, str] = ("text_embeds", "image_embeds"), width: int = WIDTH
) -> Path:
    """jina-clip-v1: two graphs in two precisions, a mask out of the ids."""
    write_words(
        folder, ["[PAD]", "[CLS]", "[SEP]", "[UNK]"], start="[CLS]", end="[SEP]", pad="[PAD]"
    )
    _settings(folder, "jina_clip", CLIP_PIXELS)
    text_tower, image_tower = towers()
    for half, suffix in ((False, ""), (True, "_fp16")):
        text = Graph(half=half)
        text.input("input_ids", ["batch", "tokens"])
        seen = text.seen_by_pad(0)
        states = text.text_states(text_tower, seen)
        text.output(text.mean(states, seen), names[0], ["n", WIDTH])
        text.output(states, "last_hidden_state", ["n", "tokens", WIDTH])
        text.save(folder / "onnx" / f"text_model{suffix}.onnx")
        image = Graph(half=half)
        states = image.image_states(image_tower)
        first = image.op("Gather", states, np.int64(0), axis=1)
        first = image.op("MatMul", first, np.eye(WIDTH, width, dtype=np.float32))
        image.output(first, names[1], ["n", width])
        image.save(folder / "onnx" / f"vision_model{suffix}.onnx")
    return folder


def write_jina_v2(folder: Path) -> Path:
    """jina-clip-v2: one graph with external data; it wants both inputs, and texts always."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    write_words(folder, special, start="<s>", end="</s>", pad="<pad>")
    _settings(folder, "jina_clip", JINA_PIXELS)
    text_tower, image_tower = towers()
    graph = Graph()
    graph.input("input_ids", ["text_batch", "tokens"])
    seen = graph.seen_by_pad(1)
    # The hub's graph refuses an empty batch of texts; so does this: the maximum of nothing is no id
    highest = graph.op("ReduceMax", "input_ids", keepdims=0)
    nothing = graph.op("Mul", graph.op("Gather", text_tower.words, highest, axis=0), np.float32(0))
    text = graph.op("Add", graph.mean(graph.text_states(text_tower, seen), seen), nothing)
    image = graph.op("Gather", graph.image_states(image_tower), np.int64(0), axis=1)
    graph.output(text, "text_embeddings", ["text_batch", WIDTH])
    graph.output(image, "image_embeddings", ["image_batch", WIDTH])
    graph.output(graph.unit(text), "l2norm_text_embeddings", ["text_batch", WIDTH])
    graph.output(graph.unit(image), "l2norm_image_embeddings", ["image_batch", WIDTH])
    graph.save(folder / "onnx" / "model.onnx", external=True)
    return folder


def write_nomic(folder: Path) -> Path:
    """Nomic Embed Text and Vision v1.5: two repositories, states of all tokens out of both."""
    text_folder = folder / "nomic-embed-text-v1.5"
    image_folder = folder / "nomic-embed-vision-v1.5"
    image_folder.mkdir(parents=True)
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    write_words(text_folder, special, start="[CLS]", end="[SEP]", pad="[PAD]")
    _settings(text_folder, "nomic_bert", None)
    _settings(image_folder, "nomic_bert", CLIP_PIXELS)
    text_tower, image_tower = towers()
    text = Graph()
    text.input("input_ids", ["batch", "tokens"])
    text.input("token_type_ids", ["batch", "tokens"])
    text.input("attention_mask", ["batch", "tokens"])
    seen = text.op("Cast", "attention_mask", to=text.kind)
    states = text.text_states(text_tower, seen, "token_type_ids")
    text.output(states, "last_hidden_state", ["n", "tokens", WIDTH])
    text.save(text_folder / "onnx" / "model.onnx")
    image = Graph()
    image.output(image.image_states(image_tower), "last_hidden_state", ["n", "tokens", WIDTH])
    image.save(image_folder / "onnx" / "model.onnx")
    return folder
