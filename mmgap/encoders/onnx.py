"""Models in ONNX files, run by onnxruntime: no code of their makers, and no torch, is needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.batching import in_batches
from mmgap.encoders.catalog import ModelFacts, all_models
from mmgap.encoders.checkpoint import licence
from mmgap.encoders.onnx_files import find_onnx_files
from mmgap.encoders.onnx_graph import OnnxGraph, usable_processors
from mmgap.encoders.onnx_pixels import read_pixel_recipe
from mmgap.encoders.onnx_tokens import TextTokenizer
from mmgap.encoders.st_inputs import rgb
from mmgap.encoders.st_text import check_texts
from mmgap.encoders.truncation import check_dim, truncate
from mmgap.errors import EncoderError

JINA_QUERY_INSTRUCTION = "Represent the query for retrieving evidence documents: "
"""What jina-clip-v2 puts before a query when it is asked to; by default it is not."""

_RECIPE = "1"
"""Raise it when these files change what an encoder returns: cached vectors are then made again."""

_VECTORS = {
    "text": ("text_embeds", "text_embeddings", "embeddings"),
    "image": ("image_embeds", "image_embeddings", "embeddings"),
}
"""Outputs in the shared space; where a graph has normalised ones too, these are the others."""


class OnnxEncoder:
    """A text and an image tower in ONNX files.

    Takes jina-clip-v1 and -v2, Nomic Embed Text and Vision v1.5 as the one encoder
    ``nomic-embed-v1.5``, and CLIP-like exports in the layout of onnx-community on the hub. Texts
    are cut into tokens by ``tokenizer.json``, images prepared as ``preprocessor_config.json`` says.

    Parameters
    ----------
    name : str
        An id of the catalogue, a hub id, or a folder.
    folder : Path or None
        Where the files are; ``None`` fetches them. For an encoder of two repositories the folder
        holds one folder for each, named as the repository is.
    revision : str or None
        Commit, tag or branch of a hub id; ``None`` takes the catalogue's.
    device : str, default "auto"
        ``"cpu"`` or ``"cuda"``; ``"auto"`` takes cuda where onnxruntime has it.
    dim : int or None
        Keep the first ``dim`` numbers of each vector; the model must have been trained for that.
    facts : ModelFacts or None
        The catalogue's row; ``None`` looks ``name`` up there.
    variant : str or None
        Take ``model_<variant>.onnx`` in place of ``model.onnx``: ``"fp16"``, ``"quantized"``,
        ``"int8"`` ... Quantised graphs scale each batch as a whole, so that a vector depends a
        little on the others of its batch.
    query_prompt : str or None
        Put before queries in place of the catalogue's, such as ``JINA_QUERY_INSTRUCTION``.
    max_text_tokens : int or None
        Longer texts are cut; ``None`` takes the catalogue's number, else the tokenizer's.
    threads : int or None
        Processor threads; ``None`` takes all that this process may use.

    Attributes
    ----------
    info : EncoderInfo
        ``logit_scale`` is ``None``: ONNX exports leave it out.

    Raises
    ------
    EncoderError
        If a file is missing or damaged, a graph is no such tower, the two towers do not give
        vectors of one length, or the model cannot be cut to ``dim``.
    MissingExtraError
        If onnxruntime is not installed.

    Notes
    -----
    ``normalize=False`` returns the graph's own vectors, for Nomic's texts after the layer norm. A
    CLIP export with both towers in one graph has normalised them already.

    Examples
    --------
    >>> OnnxEncoder("nomic-embed-v1.5", folder=Path("no/such/folder"))
    Traceback (most recent call last):
    mmgap.errors.EncoderError: no/such/folder holds no folder 'nomic-embed-text-v1.5'; expected ...
    """

    info: EncoderInfo

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
        max_text_tokens: int | None = None,
        threads: int | None = None,
    ) -> None:
        facts = facts or next((row for row in all_models() if row.id == name), None)
        if folder is None and facts is not None:
            revision = revision or facts.revision
        files = find_onnx_files(
            name,
            folder=folder,
            revision=revision,
            files=facts.files if facts else None,
            variant=variant,
        )
        if query_prompt is None:
            query_prompt = facts.query_prompt if facts else ""
        self._name = name
        self._prompts: dict[Role, str] = {
            "query": query_prompt,
            "document": facts.document_prompt if facts else "",
        }
        # Nomic's graphs end in token states: a text is their mean and a layer norm, an image the
        # first of them. Its vision tower shares the space of the normed texts, not of the means.
        self._nomic = facts is not None and facts.layer_norm
        siglip = _model_type(files.text_folder).startswith("siglip")
        self._tokenize = TextTokenizer(
            files.text_folder,
            max_tokens=max_text_tokens or (facts.max_text_tokens if facts else None),
            full_length=siglip,  # its vector is read off the last, padded, place
            lower_case=siglip,  # SigLIP 2 was trained so; SigLIP's own tokenizer does it itself
        )
        self._prepare, image_file = read_pixel_recipe(files.image_folder)
        self._text = OnnxGraph(files.text_graph, device=device, threads=threads)
        self._image = (
            self._text
            if files.image_graph == files.text_graph
            else OnnxGraph(files.image_graph, device=device, threads=threads)
        )
        self._processors = threads or usable_processors()
        self._text_output, self._image_output = (
            _token_states(graph) if self._nomic else _vectors(graph, side, facts, siglip=siglip)
            for side, graph in (("text", self._text), ("image", self._image))
        )
        self._pixel_input = _pixel_input(self._image)
        self._idle_images = 0
        native = self._run_both_once()
        matryoshka = tuple(
            each for each in (facts.matryoshka_dims if facts else ()) if each <= native
        )
        self._dim = check_dim(dim, native, matryoshka, name)
        recipe = (
            f"onnx recipe {_RECIPE}, dim {self._dim}, prompts {sorted(self._prompts.items())}, "
            f"nomic {self._nomic}, siglip {siglip}, pad {self._tokenize.pad_id}, "
            f"tokens {self._tokenize.max_tokens}, {self._text_output}, {self._image_output}"
        )
        read = [*self._text.files(), *self._tokenize.files, *self._image.files(), image_file]
        self.info = EncoderInfo(
            id=name,
            fingerprint=_fingerprint(read, recipe),
            backend="onnx",
            dim=self._dim,
            licence=facts.licence if facts else licence(files.text_folder),
            revision=revision,
            max_text_tokens=self._tokenize.max_tokens,
            image_size=max(self._prepare.shape),
            matryoshka_dims=matryoshka,
        )

    def __repr__(self) -> str:
        return f"OnnxEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_text, dim), in the order given."""
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self._dim), dtype=np.float32)
        rows = self._tokenize.cut([self._prompts[role] + text for text in texts])
        vectors = in_batches(
            rows,
            self._text_vectors,
            batch_size=batch_size,
            length=self._tokenize.length,
            max_tokens=batch_size * max(map(self._tokenize.length, rows)),
        )
        return truncate(vectors, self._dim, normalize=normalize)

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_image, dim), in the order given."""
        if not len(images):
            return np.empty((0, self._dim), dtype=np.float32)
        side = self.info.image_size
        images = [rgb(image, f"image {at}", side) for at, image in enumerate(images)]
        vectors = in_batches(images, self._image_vectors, batch_size=batch_size)
        return truncate(vectors, self._dim, normalize=normalize)

    def _text_vectors(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        ids, mask = self._tokenize.pad(rows)
        feeds = _text_feeds(self._text, ids, mask)
        if self._image is self._text:
            # One graph wants an image with every text; an empty batch of them costs nothing.
            feeds[self._pixel_input] = np.zeros((self._idle_images, 3, *self._prepare.shape))
        vectors = self._text.run(feeds, self._text_output)
        if not self._nomic:
            return vectors
        weights = mask[:, :, None].astype(np.float32)
        return _layer_norm((vectors * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1))

    def _image_vectors(self, images: Sequence[Image.Image]) -> np.ndarray:
        with ThreadPoolExecutor(self._processors) as pool:  # Pillow lets go of the interpreter lock
            pixels = np.stack(list(pool.map(self._prepare, images)))
        feeds = {self._pixel_input: pixels}
        if self._image is self._text:
            # It refuses an empty batch of texts; one token for each image is next to nothing.
            ids = np.ones((len(images), 1), dtype=np.int64)
            feeds |= _text_feeds(self._image, ids, ids)
        vectors = self._image.run(feeds, self._image_output)
        return vectors[:, 0] if self._nomic else vectors

    def _run_both_once(self) -> int:
        """Return the length of the vectors, which must be that of both towers."""
        rows = self._tokenize.cut(["dimension"])
        try:
            text = self._text_vectors(rows)
        except EncoderError:
            if self._image is not self._text:
                raise
            self._idle_images = 1  # this export cannot do with an empty batch
            text = self._text_vectors(rows)
        image = self._image_vectors([Image.new("RGB", self._prepare.shape[::-1])])
        if text.shape[1] != image.shape[1]:
            msg = (
                f"{self._name!r}: the text tower ({self._text.path.name}) gives {text.shape[1]} "
                f"numbers, the image tower ({self._image.path.name}) {image.shape[1]}; expected "
                "one space. Take both files from one model"
            )
            raise EncoderError(msg)
        return text.shape[1]


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


def _layer_norm(vectors: np.ndarray) -> np.ndarray:
    """Return rows of mean 0 and variance 1, as ``torch.nn.functional.layer_norm`` does."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)


def _model_type(folder: Path) -> str:
    file = folder / "config.json"
    if not file.is_file():
        return ""
    try:
        return str(json.loads(file.read_text(encoding="utf-8")).get("model_type", ""))
    except ValueError as error:
        msg = f"{file} is no JSON: {error}; download it again"
        raise EncoderError(msg) from error


def _fingerprint(files: Sequence[Path], recipe: str) -> str:
    digest = hashlib.sha256(recipe.encode())
    for path in files:  # always in one order, whatever the folder is called
        with path.open("rb") as handle:
            digest.update(
                f"\n{path.name} {hashlib.file_digest(handle, 'sha256').hexdigest()}".encode()
            )
    return digest.hexdigest()
