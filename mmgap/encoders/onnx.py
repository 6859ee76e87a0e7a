"""Models in ONNX files, run by onnxruntime: no code of their makers, and no torch, is needed.

Takes jina-clip-v1 and -v2, and Nomic Embed Text and Vision v1.5 as the one encoder
``nomic-embed-v1.5``. Texts are cut into tokens by ``tokenizer.json``, images prepared as
``preprocessor_config.json`` says.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, find_model
from mmgap.encoders.files import fingerprint_of, local_folder, one_error
from mmgap.encoders.running import in_batches, usable_processors
from mmgap.encoders.vectors import check_dim
from mmgap.errors import EncoderError, MissingExtraError

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""


class OnnxEncoder(BaseEncoder):
    """A text and an image tower in ONNX files; ``name`` is an id of the catalogue.

    ``folder``, ``revision``, ``device`` and ``dim`` are those of ``SentenceTransformerEncoder``;
    for an encoder of two repositories the folder holds one folder for each, named as the repository
    is. ``variant`` takes ``model_<variant>.onnx`` in place of ``model.onnx``: ``"fp16"``,
    ``"int8"`` ... (quantised graphs scale each batch as a whole, so that a vector depends a little
    on the others of its batch). ``query_prompt`` is put before queries in place of the catalogue's:
    jina-clip-v2 knows ``"Represent the query for retrieving evidence documents: "``.

    ONNX exports leave out ``logit_scale``. Nomic's texts have a layer norm with
    ``normalize=False`` too.

    >>> OnnxEncoder("nomic-embed-v1.5", folder=Path("no/such/folder"))
    Traceback (most recent call last):
    mmgap.errors.EncoderError: no/such/folder holds no folder 'nomic-embed-text-v1.5'; expected ...
    """

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dim: int | None = None,
        facts: ModelFacts | None = None,
        variant: str | None = None,
        query_prompt: str | None = None,
    ) -> None:
        facts = facts or find_model(name)
        if folder is None:
            revision = revision or facts.revision
        (text_folder, text_graph), (image_folder, image_graph) = (
            find_tower(facts, side, folder, revision, variant) for side in ("text", "image")
        )
        self._prompts: dict[Role, str] = {
            "query": facts.query_prompt if query_prompt is None else query_prompt,
            "document": facts.document_prompt,
        }
        # Nomic's graphs end in token states: a text is their mean and a layer norm, an image the
        # first of them. Its vision tower shares the space of the normed texts, not of the means.
        self._nomic = facts.layer_norm
        self._tokenize = TextTokenizer(text_folder, facts.max_text_tokens)
        self._pixels = read_pixel_recipe(image_folder / PIXEL_FILE)
        self._text = self._image = OnnxGraph(text_graph, device)
        if image_graph != text_graph:
            self._image = OnnxGraph(image_graph, device)
        output = _token_states if self._nomic else _vectors
        self._text_output, self._image_output = (
            output(graph, side) for side, graph in (("text", self._text), ("image", self._image))
        )
        self._pixel_input = _pixel_input(self._image)
        dim, lengths = check_dim(dim, self._run_both_once(name), facts.matryoshka_dims, name)
        recipe = (  # "siglip" is of exports that are no longer run
            f"onnx recipe {_RECIPE}, dim {dim}, prompts {sorted(self._prompts.items())}, "
            f"nomic {self._nomic}, siglip False, pad {self._tokenize.pad_id}, "
            f"tokens {facts.max_text_tokens}, {self._text_output}, {self._image_output}"
        )
        read = [*self._text.files(), *self._tokenize.files, *self._image.files()]
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint_of([*read, image_folder / PIXEL_FILE], recipe),
            backend="onnx",
            dim=dim,
            licence=facts.licence,
            revision=revision,
            max_text_tokens=facts.max_text_tokens,
            image_size=max(self._pixels.shape),
            matryoshka_dims=lengths,
        )

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        rows = self._tokenize.cut([self._prompts[role] + text for text in texts])
        tokens = batch_size * max(map(len, rows))
        return in_batches(
            rows, self._text_vectors, batch_size=batch_size, length=len, max_tokens=tokens
        )

    def _text_vectors(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        ids, mask = self._tokenize.pad(rows)
        feeds = _text_feeds(self._text, ids, mask)
        if self._image is self._text:
            # One graph wants an image with every text; an empty batch of them costs nothing.
            feeds[self._pixel_input] = np.zeros((0, 3, *self._pixels.shape))
        vectors = self._text.run(feeds, self._text_output)
        if not self._nomic:
            return vectors
        weights = mask[:, :, None].astype(np.float32)
        return _layer_norm((vectors * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1))

    def _prepare(self, image: Image.Image) -> np.ndarray:
        return self._pixels(image)

    def _image_rows(self, images: list[np.ndarray]) -> np.ndarray:
        feeds = {self._pixel_input: np.stack(images)}
        if self._image is self._text:
            # It refuses an empty batch of texts; one token for each image is next to nothing.
            ids = np.ones((len(images), 1), dtype=np.int64)
            feeds |= _text_feeds(self._image, ids, ids)
        vectors = self._image.run(feeds, self._image_output)
        return vectors[:, 0] if self._nomic else vectors

    def _run_both_once(self, name: str) -> int:
        """Return the length of the vectors, which must be that of both towers."""
        text = self._text_vectors(self._tokenize.cut(["dimension"]))
        image = self._image_rows([self._pixels(Image.new("RGB", self._pixels.shape[::-1]))])
        if text.shape[1] != image.shape[1]:
            msg = (
                f"{name!r}: the text tower ({self._text.path.name}) gives {text.shape[1]} "
                f"numbers, the image tower ({self._image.path.name}) {image.shape[1]}; expected "
                "one space. Take both files from one model"
            )
            raise EncoderError(msg)
        return text.shape[1]


def _layer_norm(vectors: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and variance 1, as ``torch.nn.functional.layer_norm`` does."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)


def find_tower(
    facts: ModelFacts, side: str, folder: Path | None, revision: str | None, variant: str | None
) -> tuple[Path, Path]:
    """Return the folder and the graph of one tower, fetched unless ``folder`` holds them.

    The catalogue's ``files`` say where in the repository the graph of a ``side`` is, and, where
    each side has a repository of its own, name it and its commit.
    """
    graph = facts.files[side]
    if variant is not None:
        graph = f"{graph.removesuffix('.onnx')}_{variant}.onnx"
    repository = facts.files.get(f"{side}_repo")
    if folder is None:
        commit = facts.files.get(f"{side}_revision", revision)
        needed = [f"{graph}*", "*.json", "README.md"]  # external data lies beside a graph
        root = local_folder(repository or facts.id, commit, files=needed)
    elif repository is None:
        root = folder
    elif not (root := folder / repository.split("/")[-1]).is_dir():
        msg = (
            f"{folder} holds no folder {root.name!r}; expected one for each repository. Fetch "
            f"it with 'hf download {repository} --local-dir {root}'"
        )
        raise EncoderError(msg)
    for path in (root / graph, root / Path(graph).name):  # some copies have no folder "onnx"
        if path.is_file():
            return root, path
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.onnx"))
    msg = (
        f"{root} holds no {graph}; it holds {', '.join(there) or 'no .onnx file'}. Download the "
        "missing file, or choose another variant (None, 'fp16', 'quantized' ...)"
    )
    raise EncoderError(msg)


# --- graphs ---------------------------------------------------------------------------------------


class Port(NamedTuple):
    """One input or output of a graph; ``rank`` is 0 also where the file does not say."""

    dtype: type | None  # None for a type that no encoder uses
    rank: int


_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


class OnnxGraph:
    """A graph file, loaded and ready to run; external data lies beside it.

    ``device`` is ``"cpu"``, ``"cuda"`` or ``"auto"``, which takes cuda where onnxruntime has it.
    ``inputs`` and ``outputs`` are ports by name, in the file's order.
    """

    def __init__(self, path: Path, device: str) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            purpose = "A model in ONNX files"
            raise MissingExtraError(purpose, "onnx") from error
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and need not be printed
        # Without a number onnxruntime pins threads to processors that a container may not have.
        options.intra_op_num_threads = usable_processors()
        providers = _providers(device, onnxruntime.get_available_providers())
        remedy = "Expected an ONNX graph with its external data files (.onnx_data) beside it; "
        with one_error(f"{path} cannot be loaded", f"{remedy}download both again"):
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        used = self._session.get_providers()
        if device.startswith("cuda") and "CUDAExecutionProvider" not in used:
            msg = (
                f"{path.name} does not run on {device!r}: onnxruntime could not load its CUDA "
                "libraries. Install the CUDA and cuDNN that onnxruntime-gpu asks for, or take cpu"
            )
            raise EncoderError(msg)
        self.inputs, self.outputs = (
            {each.name: Port(_TYPES.get(each.type), len(each.shape or ())) for each in described}
            for described in (self._session.get_inputs(), self._session.get_outputs())
        )

    def run(self, feeds: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        """Return one output as float32; arrays of any number type are cast to what is wanted."""
        typed = {
            name: np.ascontiguousarray(array, dtype=self.inputs[name].dtype)
            for name, array in feeds.items()
        }
        shapes = ", ".join(f"{name} {array.shape}" for name, array in typed.items())
        with one_error(f"{self.path} cannot take {shapes}", "Take another export of the model"):
            (result,) = self._session.run([output], typed)
        return np.asarray(result, dtype=np.float32)

    def files(self) -> list[Path]:
        """Return the graph and the files that hold its external data, sorted by name."""
        root = self.path.parent
        beside = [path for path in root.rglob("*") if path.is_file() and path != self.path]
        if not beside:
            return [self.path]
        # A graph names its external files, by their paths from where it lies.
        with self.path.open("rb") as handle:
            graph = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            external = [
                path
                for path in beside
                if graph.find(_protobuf(path.relative_to(root).as_posix())) >= 0
            ]
            graph.close()
        return sorted([self.path, *external], key=lambda path: path.name)


def _protobuf(text: str) -> bytes:
    """Return a text as a protobuf holds it: after its length, seven bits to a byte."""
    data, length = text.encode(), b""
    left = len(data)
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return length + bytes([left]) + data


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    kind, _, number = device.partition(":")
    if kind not in {"auto", "cpu", "cuda"}:
        msg = f"ONNX models run on cpu or cuda, not on {device!r}; take one of them, or 'auto'"
        raise EncoderError(msg)
    has_cuda = "CUDAExecutionProvider" in available
    if kind == "cuda" and not has_cuda:
        msg = (
            "this onnxruntime has no CUDA; install onnxruntime-gpu in place of onnxruntime, or "
            "take device='cpu'"
        )
        raise EncoderError(msg)
    if kind == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def _text_feeds(graph: OnnxGraph, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Return an array for each text input that the graph has."""
    known = {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
    }
    wanted = [name for name, port in graph.inputs.items() if port.rank != 4]
    if unknown := [name for name in wanted if name not in known]:
        msg = (
            f"{graph.path} has the input {unknown[0]!r}; expected only {', '.join(known)}, and one "
            "for pixels. Take another export of the model"
        )
        raise EncoderError(msg)
    return {name: known[name] for name in wanted}


def _pixel_input(graph: OnnxGraph) -> str:
    names = [name for name, port in graph.inputs.items() if port.rank == 4]
    if len(names) != 1:
        msg = (
            f"{graph.path} has the inputs {', '.join(graph.inputs)}; expected one of four axes, "
            "for pixels. Is it the text tower?"
        )
        raise EncoderError(msg)
    return names[0]


def _vectors(graph: OnnxGraph, side: str) -> str:
    """Return the name of the output that holds vectors of the shared space, as yet of any norm."""
    flat = [name for name, port in graph.outputs.items() if port.rank == 2]
    for name in (f"{side}_embeds", f"{side}_embeddings", "embeddings", *flat):
        if name in graph.outputs:
            return name
    msg = (
        f"{graph.path} gives {', '.join(graph.outputs)}, none of them known to be {side} vectors; "
        f"expected '{side}_embeds'. Take another export of the model"
    )
    raise EncoderError(msg)


def _token_states(graph: OnnxGraph, side: str) -> str:
    """Return the name of the output of shape (n, n_token, dim)."""
    names = [name for name, port in graph.outputs.items() if port.rank == 3]
    if "last_hidden_state" in names or len(names) == 1:
        return "last_hidden_state" if "last_hidden_state" in names else names[0]
    msg = (
        f"{graph.path} gives {', '.join(graph.outputs)}; expected 'last_hidden_state', of three "
        f"axes, of the {side} tower. Take the export of the model's own repository"
    )
    raise EncoderError(msg)


# --- from texts to token ids, by the tokenizers library alone -------------------------------------


class TextTokenizer:
    """A ``tokenizer.json``, with padding and truncation of our own.

    What the file itself says about them is left out of account: many were saved with the lengths of
    some training run. Longer texts are cut to ``max_tokens``, the special tokens at their ends
    kept. ``files`` are those that were read.
    """

    def __init__(self, folder: Path, max_tokens: int | None) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        if not file.is_file():
            msg = f"{folder} holds no tokenizer.json; download it as well"
            raise EncoderError(msg)
        settings = [folder / "tokenizer_config.json", folder / "special_tokens_map.json"]
        with one_error(f"the tokenizer in {folder} cannot be read", "Download it again"):
            self._tokenizer = Tokenizer.from_file(str(file))
            saved = [json.loads(path.read_text("utf-8")) for path in settings if path.is_file()]
        padding = self._tokenizer.padding or {}
        token = next(filter(None, (each.get("pad_token") for each in [*saved, padding])), None)
        if isinstance(token, dict):  # an added token with its options
            token = token["content"]
        self.pad_id = None if token is None else self._tokenizer.token_to_id(token)
        if self.pad_id is None:
            msg = (
                f"{folder} names no padding token (found {token!r}); expected 'pad_token' in "
                "tokenizer_config.json. Download that file as well"
            )
            raise EncoderError(msg)
        self.files = [path for path in (file, settings[0]) if path.is_file()]
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if max_tokens is not None:
            self._tokenizer.enable_truncation(max_tokens)

    def cut(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, int64 arrays of shape (n_text, n_token); 0 masks padding."""
        ids = np.full((len(rows), max(map(len, rows))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return ids, mask


# --- from an image to the array that an image tower reads, by numpy and Pillow alone --------------

PIXEL_FILE = "preprocessor_config.json"
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, the defaults of CLIP-like processors."""


@dataclass(frozen=True)
class PixelRecipe:
    """Resize, crop, scale and standardise, in this order, as the model was trained.

    ``size`` is the shorter edge after the resize, which keeps the aspect; or (height, width), which
    does not. ``crop`` is (height, width) of the centre that is kept; a smaller image is padded with
    black. Half a pixel at the crop's edge is rounded to even with ``round_crop``, as torchvision
    does, else down, as transformers does.

    >>> recipe = PixelRecipe(size=2, crop=(2, 2), mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> recipe(Image.new("RGB", (4, 2), "white")).shape
    (3, 2, 2)
    """

    size: int | tuple[int, int]
    crop: tuple[int, int] | None
    resample: int = 3  # Pillow's number of the filter: 2 bilinear, 3 bicubic
    scale: float = 1 / 255
    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    round_crop: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of what comes out."""
        shape = self.crop or self.size
        if not isinstance(shape, tuple):
            msg = (
                f"images of many shapes come out of a resize to {self.size} without a crop; "
                "expected 'crop_size', or 'size' with height and width"
            )
            raise ValueError(msg)  # noqa: TRY004
        return shape

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Return a float32 array of shape (3, height, width); the image is in RGB."""
        image = image.resize(_resized(image.size, self.size), Image.Resampling(self.resample))
        if self.crop is not None:
            top, left = (
                round(margin / 2) if self.round_crop else margin // 2
                for margin in (image.height - self.crop[0], image.width - self.crop[1])
            )
            image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        pixels = np.asarray(image, dtype=np.float32) * np.float32(self.scale)
        mean, std = np.array([self.mean, self.std], dtype=np.float32)
        pixels = (pixels - mean) / std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _resized(size: tuple[int, int], wanted: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) after the resize; the longer edge is rounded down."""
    if isinstance(wanted, tuple):
        return wanted[1], wanted[0]
    width, height = size
    if width <= height:
        return wanted, int(wanted * height / width)
    return int(wanted * width / height), wanted


def read_pixel_recipe(file: Path) -> PixelRecipe:
    """Read how images are prepared: the keys of CLIP's or of Jina CLIP's image processor."""
    if not file.is_file():
        msg = f"{file.parent} holds no {file.name}, which says how to prepare images; download it"
        raise EncoderError(msg)
    with one_error(f"{file} does not say how to prepare an image", "Download it again"):
        recipe = pixel_recipe(json.loads(file.read_text(encoding="utf-8")))
        recipe.shape  # noqa: B018 - raises here rather than at the first image
    return recipe


def pixel_recipe(config: Mapping[str, Any]) -> PixelRecipe:
    """Return the recipe that an image processor's configuration describes.

    >>> pixel_recipe({"size": {"height": 8, "width": 8}, "resample": 2}).shape
    (8, 8)
    """
    size = config["size"]
    if "resize_mode" in config:  # Jina CLIP's has open_clip's keys, and torchvision's rounding
        mode = config["resize_mode"]
        if mode not in {"shortest", "squash"} or not isinstance(size, int):
            msg = f"resize_mode {mode!r} with size {size!r}; expected shortest or squash, a number"
            raise ValueError(msg)
        return PixelRecipe(
            size=size if mode == "shortest" else (size, size),
            crop=(size, size) if mode == "shortest" else None,
            resample={"bicubic": 3, "bilinear": 2}[config.get("interpolation", "bicubic")],
            mean=_three(config.get("mean", _MEAN)),
            std=_three(config.get("std", _STD)),
            round_crop=True,
        )
    crops = config.get("do_center_crop", "CLIP" in str(config.get("image_processor_type")))
    if isinstance(size, Mapping):
        size = int(size["shortest_edge"]) if "shortest_edge" in size else _square(size)
    return PixelRecipe(
        size=size,
        crop=_square(config["crop_size"]) if crops else None,
        resample=config.get("resample", 3),
        scale=config.get("rescale_factor", 1 / 255),
        mean=_three(config.get("image_mean", _MEAN)),
        std=_three(config.get("image_std", _STD)),
    )


def _square(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _three(values: Sequence[float]) -> tuple[float, ...]:
    if len(values) != 3:
        msg = f"{len(values)} numbers for mean or std; expected 3, for red, green and blue"
        raise ValueError(msg)
    return tuple(map(float, values))
