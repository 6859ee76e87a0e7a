"""Models in ONNX files, run by onnxruntime: no code of their makers, and no torch, is needed.

Takes jina-clip-v1 and -v2, Nomic Embed Text and Vision v1.5 as the one encoder
``nomic-embed-v1.5``, and CLIP-like exports in the layout of onnx-community on the hub. Texts are
cut into tokens by ``tokenizer.json``, images prepared as ``preprocessor_config.json`` says.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, all_models
from mmgap.encoders.files import fingerprint_of, licence, local_folder, one_error
from mmgap.encoders.running import in_batches, usable_processors
from mmgap.encoders.vectors import check_dim
from mmgap.errors import EncoderError, MissingExtraError

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_VECTORS = {
    "text": ("text_embeds", "text_embeddings", "embeddings"),
    "image": ("image_embeds", "image_embeddings", "embeddings"),
}
"""Outputs in the shared space; where a graph has normalised ones too, these are the others."""


class OnnxEncoder(BaseEncoder):
    """A text and an image tower in ONNX files.

    ``name``, ``folder``, ``revision``, ``device`` and ``dim`` are those of
    ``SentenceTransformerEncoder``; for an encoder of two repositories the folder holds one folder
    for each, named as the repository is. ``variant`` takes ``model_<variant>.onnx`` in place of
    ``model.onnx``: ``"fp16"``, ``"int8"`` ... (quantised graphs scale each batch as a whole, so
    that a vector depends a little on the others of its batch). ``query_prompt`` is put before
    queries in place of the catalogue's.

    ONNX exports leave out ``logit_scale``. A CLIP export with both towers in one graph has
    normalised its vectors already; Nomic's texts have a layer norm with ``normalize=False`` too.

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
        facts = facts or next((row for row in all_models() if row.id == name), None)
        if folder is None and facts is not None:
            revision = revision or facts.revision
        files = find_onnx_files(name, folder, revision, facts.files if facts else {}, variant)
        if query_prompt is None:
            query_prompt = facts.query_prompt if facts else ""
        self._prompts: dict[Role, str] = {
            "query": query_prompt,
            "document": facts.document_prompt if facts else "",
        }
        # Nomic's graphs end in token states: a text is their mean and a layer norm, an image the
        # first of them. Its vision tower belongs to the space of the normed texts, not of the
        # means.
        self._nomic = facts is not None and facts.layer_norm
        siglip = _model_type(files.text_folder).startswith("siglip")
        self._tokenize = TextTokenizer(
            files.text_folder,
            max_tokens=facts.max_text_tokens if facts else None,
            full_length=siglip,  # its vector is read off the last, padded, token
            lower_case=siglip,  # SigLIP 2 was trained so; SigLIP's own tokenizer does it itself
        )
        self._pixels, image_file = read_pixel_recipe(files.image_folder)
        self._text = OnnxGraph(files.text_graph, device)
        self._image = (
            self._text
            if files.image_graph == files.text_graph
            else OnnxGraph(files.image_graph, device)
        )
        self._text_output, self._image_output = (
            _token_states(graph) if self._nomic else _vectors(graph, side, facts, siglip=siglip)
            for side, graph in (("text", self._text), ("image", self._image))
        )
        self._pixel_input = _pixel_input(self._image)
        self._idle_images = 0
        native = self._run_both_once(name)
        trained = facts.matryoshka_dims if facts else ()
        matryoshka = tuple(each for each in trained if each <= native)
        dim = check_dim(dim, native, matryoshka, name)
        recipe = (
            f"onnx recipe {_RECIPE}, dim {dim}, prompts {sorted(self._prompts.items())}, "
            f"nomic {self._nomic}, siglip {siglip}, pad {self._tokenize.pad_id}, "
            f"tokens {self._tokenize.max_tokens}, {self._text_output}, {self._image_output}"
        )
        read = [*self._text.files(), *self._tokenize.files, *self._image.files(), image_file]
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint_of(read, recipe),
            backend="onnx",
            dim=dim,
            licence=facts.licence if facts else licence(files.text_folder),
            revision=revision,
            max_text_tokens=self._tokenize.max_tokens,
            image_size=max(self._pixels.shape),
            matryoshka_dims=matryoshka,
        )

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        rows = self._tokenize.cut([self._prompts[role] + text for text in texts])
        return in_batches(
            rows,
            self._text_vectors,
            batch_size=batch_size,
            length=self._tokenize.length,
            max_tokens=batch_size * max(map(self._tokenize.length, rows)),
        )

    def _text_vectors(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        ids, mask = self._tokenize.pad(rows)
        feeds = _text_feeds(self._text, ids, mask)
        if self._image is self._text:
            # One graph wants an image with every text; an empty batch of them costs nothing.
            feeds[self._pixel_input] = np.zeros((self._idle_images, 3, *self._pixels.shape))
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
        rows = self._tokenize.cut(["dimension"])
        try:
            text = self._text_vectors(rows)
        except EncoderError:
            if self._image is not self._text:
                raise
            self._idle_images = 1  # this export cannot do with an empty batch
            text = self._text_vectors(rows)
        image = self._image_rows([self._pixels(Image.new("RGB", self._pixels.shape[::-1]))])
        if text.shape[1] != image.shape[1]:
            msg = (
                f"{name!r}: the text tower ({self._text.path.name}) gives {text.shape[1]} "
                f"numbers, the image tower ({self._image.path.name}) {image.shape[1]}; expected "
                "one space. Take both files from one model"
            )
            raise EncoderError(msg)
        return text.shape[1]


def _model_type(folder: Path) -> str:
    file = folder / "config.json"
    if not file.is_file():
        return ""
    with one_error(f"{file} is no JSON", "Download it again"):
        return str(json.loads(file.read_text(encoding="utf-8")).get("model_type", ""))


def _layer_norm(vectors: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and variance 1, as ``torch.nn.functional.layer_norm`` does."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)


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

    def __init__(self, path: Path, device: str = "auto") -> None:
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
    known: dict[str, Callable[[], np.ndarray]] = {
        "input_ids": lambda: ids,
        "attention_mask": lambda: mask,
        "token_type_ids": lambda: np.zeros_like(ids),
        "position_ids": lambda: np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
    }
    wanted = [name for name, port in graph.inputs.items() if port.rank != 4]
    if unknown := [name for name in wanted if name not in known]:
        msg = (
            f"{graph.path} has the input {unknown[0]!r}; expected only {', '.join(known)}, and one "
            "for pixels. Take another export of the model"
        )
        raise EncoderError(msg)
    return {name: known[name]() for name in wanted}


def _pixel_input(graph: OnnxGraph) -> str:
    names = [name for name, port in graph.inputs.items() if port.rank == 4]
    if len(names) != 1:
        msg = (
            f"{graph.path} has the inputs {', '.join(graph.inputs)}; expected one of four axes, "
            "for pixels. Is it the text tower?"
        )
        raise EncoderError(msg)
    return names[0]


def _vectors(graph: OnnxGraph, side: str, facts: ModelFacts | None, *, siglip: bool) -> str:
    """Return the name of the output that holds vectors of the shared space."""
    for name in (*_VECTORS[side], *(["pooler_output"] if siglip else [])):
        if name in graph.outputs:
            return name
    # Never CLIP's pooler_output: it lies before the projection into the shared space.
    flat = [
        name for name, port in graph.outputs.items() if port.rank == 2 and name != "pooler_output"
    ]
    if len(flat) == 1 or (flat and facts is not None):
        return flat[0]
    msg = (
        f"{graph.path} gives {', '.join(graph.outputs)}, none of them known to be {side} vectors; "
        f"expected {_VECTORS[side][0]!r}. Take another export of the model"
    )
    raise EncoderError(msg)


def _token_states(graph: OnnxGraph) -> str:
    """Return the name of the output of shape (n, n_token, dim)."""
    names = [name for name, port in graph.outputs.items() if port.rank == 3]
    if "last_hidden_state" in names or len(names) == 1:
        return "last_hidden_state" if "last_hidden_state" in names else names[0]
    msg = (
        f"{graph.path} gives {', '.join(graph.outputs)}; expected 'last_hidden_state', of three "
        "axes. Take the export of the model's own repository"
    )
    raise EncoderError(msg)


# --- where the files are: one repository or two, one graph or two ---------------------------------

_LAYOUTS: tuple[Mapping[str, str], ...] = (
    {"text": "onnx/text_model.onnx", "image": "onnx/vision_model.onnx"},
    {"text": "onnx/model.onnx", "image": "onnx/model.onnx"},
)
"""How the hub's exports are laid out."""


class OnnxFiles(NamedTuple):
    """The repositories with tokenizer and image processor, and the graphs; often the same."""

    text_folder: Path
    text_graph: Path
    image_folder: Path
    image_graph: Path


def find_onnx_files(
    name: str,
    folder: Path | None,
    revision: str | None,
    files: Mapping[str, str],
    variant: str | None,
) -> OnnxFiles:
    """Find the files in a folder, or fetch them from the hub.

    ``files`` are the catalogue's: paths of the graphs under ``text`` and ``image``; for two
    repositories also ``text_repo``, ``image_repo`` and their ``text_revision``,
    ``image_revision``. Where it is empty, the layouts of the hub's exports are tried.
    """
    if "text_repo" in files:
        return OnnxFiles(
            *_one_side(files, "text", folder, variant), *_one_side(files, "image", folder, variant)
        )
    layouts = (files,) if "text" in files else _LAYOUTS
    wanted = []
    for layout in layouts:
        graphs = [_with_variant(layout[side], variant) for side in ("text", "image")]
        root = folder or local_folder(name, revision, files=_patterns(graphs))
        text, image = (_graph(root, graph) for graph in graphs)
        if text and image:
            return OnnxFiles(root, text, root, image)
        wanted.append(" and ".join(sorted(set(graphs))))
    raise EncoderError(_missing(root, " or ".join(wanted)))


def _one_side(
    files: Mapping[str, str], side: str, folder: Path | None, variant: str | None
) -> tuple[Path, Path]:
    """Return folder and graph of a tower that has a repository of its own."""
    repository, graph = files[f"{side}_repo"], _with_variant(files[side], variant)
    if folder is None:
        root = local_folder(repository, files.get(f"{side}_revision"), files=_patterns([graph]))
    else:
        root = folder / repository.split("/")[-1]
        if not root.is_dir():
            msg = (
                f"{folder} holds no folder {root.name!r}; expected one for each repository. Fetch "
                f"it with 'hf download {repository} --local-dir {root}'"
            )
            raise EncoderError(msg)
    path = _graph(root, graph)
    if path is None:
        raise EncoderError(_missing(root, graph))
    return root, path


def _with_variant(graph: str, variant: str | None) -> str:
    return graph if variant is None else f"{graph.removesuffix('.onnx')}_{variant}.onnx"


def _patterns(graphs: Iterable[str]) -> list[str]:
    """Return what to download: the graphs, their external data, and the small files."""
    return [*sorted({f"{graph}*" for graph in graphs}), "*.json", "README.md"]


def _graph(root: Path, graph: str) -> Path | None:
    path = root / graph
    for candidate in (path, root / path.name):  # some copies have no folder "onnx"
        if candidate.is_file():
            return candidate
    return None


def _missing(root: Path, wanted: str) -> str:
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.onnx"))
    found = f"it holds {', '.join(there)}" if there else "it holds no .onnx file"
    return (
        f"{root} holds no {wanted}; {found}. Download the missing file, or choose another variant "
        "(None, 'fp16', 'quantized' ...)"
    )


# --- from texts to token ids, by the tokenizers library alone -------------------------------------

_NO_LIMIT = 10**6
"""Tokenizer files write a number far above this where there is no limit."""


class TextTokenizer:
    """A ``tokenizer.json``, with padding and truncation of our own.

    What the file itself says about them is left out of account: many were saved with the lengths of
    some training run. Texts of over ``max_tokens`` are cut, the special tokens at their ends kept;
    ``None`` is what ``tokenizer_config.json`` says. ``full_length`` pads every text that far
    (SigLIP), not to the longest of its batch. ``files`` are those that were read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_tokens: int | None = None,
        full_length: bool = False,
        lower_case: bool = False,
    ) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        settings = folder / "tokenizer_config.json"
        if not file.is_file():
            msg = f"{folder} holds no tokenizer.json; download it as well"
            raise EncoderError(msg)
        with one_error(f"the tokenizer in {folder} cannot be read", "Download it again"):
            self._tokenizer = Tokenizer.from_file(str(file))
            config = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
            limit = config.get("model_max_length", _NO_LIMIT)
            limit = int(limit) if limit < _NO_LIMIT else None
            self.pad_id = self._pad_id(folder, config)
        self.files = [path for path in (file, settings) if path.is_file()]
        self.max_tokens = max_tokens or limit
        self._lower_case = lower_case
        self._full_length = self.max_tokens if full_length else None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if self.max_tokens is not None:
            self._tokenizer.enable_truncation(self.max_tokens)

    def cut(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, special tokens included."""
        if self._lower_case:
            texts = [text.lower() for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def length(self, ids: Sequence[int]) -> int:
        """Return how many ids a text takes in a batch of its own."""
        return self._full_length or max(1, len(ids))

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, int64 arrays of shape (n_text, n_token); 0 masks padding."""
        ids = np.full((len(rows), max(map(self.length, rows))), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        return ids, mask

    def _pad_id(self, folder: Path, config: dict[str, Any]) -> int:
        special = folder / "special_tokens_map.json"
        token = config.get("pad_token")
        if token is None and special.is_file():
            token = json.loads(special.read_text("utf-8")).get("pad_token")
        if isinstance(token, dict):  # an added token with its options
            token = token["content"]
        if token is None and self._tokenizer.padding is not None:
            token = self._tokenizer.padding["pad_token"]
        number = None if token is None else self._tokenizer.token_to_id(token)
        if number is None:
            msg = (
                f"{folder} names no padding token (found {token!r}); expected 'pad_token' in "
                "tokenizer_config.json. Download that file as well"
            )
            raise EncoderError(msg)
        return number


# --- from an image to the array that an image tower reads, by numpy and Pillow alone --------------

_PIXEL_FILES = ("preprocessor_config.json", "processor_config.json")
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, the defaults of CLIP-like processors."""


@dataclass(frozen=True)
class PixelRecipe:
    """Resize, crop, scale and standardise, in this order, as the model was trained.

    ``size`` is the shorter edge after the resize, which keeps the aspect; or (height, width), which
    does not; ``None`` does not resize. ``crop`` is (height, width) of the centre that is kept; a
    smaller image is padded with black. Half a pixel at the crop's edge is rounded to even with
    ``round_crop``, as torchvision does, else down, as transformers does.

    >>> recipe = PixelRecipe(size=2, crop=(2, 2), mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> recipe(Image.new("RGB", (4, 2), "white")).shape
    (3, 2, 2)
    """

    size: int | tuple[int, int] | None
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
            raise EncoderError(msg)
        return shape

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Return a float32 array of shape (3, height, width); the image is in RGB."""
        if self.size is not None:
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


def read_pixel_recipe(folder: Path) -> tuple[PixelRecipe, Path]:
    """Read how images are prepared, and return the file that says so as well.

    Read are the keys of CLIP-like processors, and those of ``JinaCLIPImageProcessor``; a file that
    asks for more than a recipe can do is refused.
    """
    for name in _PIXEL_FILES:
        file = folder / name
        if not file.is_file():
            continue
        with one_error(f"{file} does not say how to prepare an image", "Download it again"):
            config = json.loads(file.read_text(encoding="utf-8"))
            config = config.get("image_processor", config) if name == _PIXEL_FILES[1] else config
            try:
                recipe = pixel_recipe(config)
                recipe.shape  # noqa: B018 - raises here rather than at the first image
            except EncoderError as error:
                raise ValueError(str(error)) from error
        return recipe, file
    msg = f"{folder} holds no {_PIXEL_FILES[0]}, which says how to prepare images; download it too"
    raise EncoderError(msg)


def pixel_recipe(config: Mapping[str, Any]) -> PixelRecipe:
    """Return the recipe that an image processor's configuration describes.

    >>> pixel_recipe({"size": {"height": 8, "width": 8}, "resample": 2}).shape
    (8, 8)
    """
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    if "resize_mode" in config:
        return _jina_recipe(config)
    odd = {"crop_pct", "max_num_patches", "do_pad"} & {key for key, on in config.items() if on}
    if odd:
        msg = f"{kind or 'its processor'} asks for {sorted(odd)[0]!r}, which is not supported"
        raise EncoderError(msg)
    crops = config.get("do_center_crop", "CLIP" in kind)
    size = config["size"] if config.get("do_resize", True) else None
    if isinstance(size, int) and not crops:
        size = (size, size)  # old files of ViT and SigLIP write a square so
    elif isinstance(size, Mapping):
        size = int(size["shortest_edge"]) if "shortest_edge" in size else _square(size)
    standardise = config.get("do_normalize", True)
    return PixelRecipe(
        size=size,
        crop=_square(config["crop_size"]) if crops else None,
        resample=config.get("resample", 3),
        scale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
        mean=_three(config.get("image_mean", _MEAN) if standardise else 0.0),
        std=_three(config.get("image_std", _STD) if standardise else 1.0),
    )


def _jina_recipe(config: Mapping[str, Any]) -> PixelRecipe:
    """Jina CLIP's processor has open_clip's keys, and torchvision's rounding."""
    mode, size = config["resize_mode"], config["size"]
    if mode not in {"shortest", "squash"} or not isinstance(size, int):
        msg = f"resize_mode {mode!r} with size {size!r}; expected shortest or squash, and a number"
        raise EncoderError(msg)
    return PixelRecipe(
        size=size if mode == "shortest" else (size, size),
        crop=(size, size) if mode == "shortest" else None,
        resample={"bicubic": 3, "bilinear": 2}[config.get("interpolation", "bicubic")],
        mean=_three(config.get("mean", _MEAN)),
        std=_three(config.get("std", _STD)),
        round_crop=True,
    )


def _square(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _three(values: float | Sequence[float]) -> tuple[float, ...]:
    values = (values,) * 3 if isinstance(values, int | float) else tuple(map(float, values))
    if len(values) != 3:
        msg = f"{len(values)} numbers for mean or std; expected 3, for red, green and blue"
        raise EncoderError(msg)
    return values
