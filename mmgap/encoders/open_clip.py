"""Any model of open_clip: one of its own names, a repository of the hub, or a folder."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.batching import in_batches
from mmgap.encoders.checkpoint import licence, local_folder
from mmgap.encoders.device import pick_device, pick_dtype
from mmgap.encoders.open_clip_files import CONFIG, TOKENIZER_FILES, OpenClipSource, find_open_clip
from mmgap.encoders.open_clip_text import TextTower
from mmgap.encoders.st_inputs import rgb
from mmgap.encoders.st_text import check_texts
from mmgap.encoders.truncation import check_dim, truncate
from mmgap.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from mmgap.encoders.catalog import ModelFacts

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_CHUNK = 4096
"""Texts cut into ids at once: their Python lists are many times larger than the ids."""

_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class OpenClipEncoder:
    """A text and an image tower, built and run by open_clip.

    Takes every model of that library: OpenAI, LAION, DataComp, DFN, EVA, SigLIP, MobileCLIP 2,
    PE-Core, MetaCLIP 2 and others. Each gets its own tokenizer, preprocessing and activation. No
    pickle is run: weights are safetensors, or, where a model of open_clip's own list has none, a
    file that torch reads as plain tensors (``weights_only``).

    Parameters
    ----------
    name : str
        ``"open_clip:ARCHITECTURE/TAG"`` (a pair of ``open_clip.list_pretrained()``),
        ``"hf-hub:owner/model"``, ``"local-dir:PATH"``, a hub id, or a folder with
        ``open_clip_config.json``.
    folder : Path or None
        Where the files are; ``None`` fetches them.
    revision : str or None
        Commit, tag or branch of the repository; ``None`` takes the catalogue's.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"`` ...; ``"auto"`` takes the fastest there is.
    dtype : str, default "auto"
        ``"float32"``, ``"bfloat16"`` or ``"float16"``; ``"auto"`` is bfloat16 on a GPU that has
        it, else float16 on a GPU, else float32.
    dim : int or None
        Keep the first ``dim`` numbers of each vector; the model must have been trained for that.
    facts : ModelFacts or None
        The catalogue's row.

    Attributes
    ----------
    info : EncoderInfo

    Raises
    ------
    EncoderError
        If the name, a file or the length is not there, or the weights do not fit.
    MissingExtraError
        If open_clip is not installed.

    Notes
    -----
    Where a text tower cannot see to the right and reads its vector off the end-of-text token, what
    comes after it changes nothing, and is cut off before the forward pass. Short texts are then
    many times quicker. Towers that look both ways (SigLIP, MobileCLIP 2) get all of the padding
    that they were trained with.

    open_clip itself only warns where weights of the OpenAI family are loaded into an architecture
    with another activation (``ViT-B-32/openai``); here the tag decides.

    Examples
    --------
    >>> OpenClipEncoder("open_clip:ViT-B-32/openia")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: open_clip has no weights 'openia' for 'ViT-B-32'; it has openai, ...
    """

    info: EncoderInfo

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        dim: int | None = None,
        facts: ModelFacts | None = None,
    ) -> None:
        _require_open_clip()
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        if folder is None and facts is not None:
            revision = revision or facts.revision
        source = find_open_clip(name, folder, revision)
        self._device = pick_device(device)
        dtype = pick_dtype(dtype, self._device, name=name)
        precision = _PRECISION[dtype]
        self._model = _build(name, source, precision).to(self._device)
        self._pixel_type = open_clip.get_input_dtype(precision)
        preprocess = PreprocessCfg(**self._model.visual.preprocess_cfg)
        self._prepare: Callable[[Image.Image], torch.Tensor] = image_transform_v2(
            preprocess, is_train=False
        )
        self._tokenize, tokenizer_files = _tokenizer(name, source)
        self._text_tower = TextTower(self._model)
        native = self._text_vectors(["dimension"], batch_size=1).shape[1]
        trained = facts.matryoshka_dims if facts else ()
        matryoshka = tuple(length for length in trained if length <= native)
        self._dim = check_dim(dim, native, matryoshka, name)
        recipe = [_RECIPE, source.model, asdict(preprocess), dtype, self._dim]
        scale, bias = self._model.logit_scale, getattr(self._model, "logit_bias", None)
        size = preprocess.size
        self.info = EncoderInfo(
            id=name,
            fingerprint=_fingerprint(
                [source.weights, *tokenizer_files, *_text_config(source)], recipe
            ),
            backend="open-clip",
            dim=self._dim,
            licence=facts.licence if facts else licence(source.folder),
            logit_scale=float(scale.detach().float().exp()),
            logit_bias=None if bias is None else float(bias.detach().float()),
            revision=revision,
            max_text_tokens=self._tokenize.context_length,
            image_size=size if isinstance(size, int) else max(size),
            matryoshka_dims=matryoshka,
        )

    def __repr__(self) -> str:
        return f"OpenClipEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",  # noqa: ARG002 - queries and documents are read alike here
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_text, dim), in the order given."""
        texts = check_texts(texts)
        if not texts:
            return np.empty((0, self._dim), dtype=np.float32)
        vectors = self._text_vectors(texts, batch_size)
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

    def _text_vectors(self, texts: list[str], batch_size: int) -> np.ndarray:
        import torch

        chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
        ids = torch.cat([self._tokenize(chunk).int() for chunk in chunks])
        lengths = self._text_tower.lengths(ids).tolist()

        def forward(positions: Sequence[int]) -> np.ndarray:
            longest = max(lengths[position] for position in positions)
            with torch.inference_mode():
                batch = ids[list(positions), :longest].to(self._device, torch.long)
                return self._text_tower(batch).float().cpu().numpy()

        return in_batches(
            range(len(texts)),
            forward,
            batch_size=batch_size,
            length=lengths.__getitem__,
            max_tokens=batch_size * max(lengths),
        )

    def _image_vectors(self, images: Sequence[Image.Image]) -> np.ndarray:
        import torch

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            pixels = torch.stack(list(pool.map(self._prepare, images)))
        with torch.inference_mode():
            pixels = pixels.to(self._device, self._pixel_type)
            vectors = self._model.encode_image(pixels, normalize=False)
            return vectors.float().cpu().numpy()


def _build(name: str, source: OpenClipSource, precision: str) -> Any:
    """Return the model with its weights, on the CPU."""
    import open_clip

    text = dict(source.model["text_cfg"])
    if text.get("hf_model_name"):
        text["hf_model_name"] = str(_text_config(source)[0].parent)
    config = {
        "model_cfg": {**source.model, "text_cfg": text},
        "preprocess_cfg": source.preprocess,
    }
    try:
        with TemporaryDirectory() as folder, _no_word_of_random_weights():
            (Path(folder) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
            model = open_clip.create_model(
                f"local-dir:{folder}",
                pretrained_text=False,  # not even until ours are in
                precision=precision,
            )
        open_clip.load_checkpoint(model, str(source.weights), weights_only=True)
    except Exception as error:  # damaged files can make a loader raise anything
        msg = (
            f"{name!r}: the weights {source.weights} cannot be loaded into the model that its "
            f"configuration describes: {error}. Download both again"
        )
        raise EncoderError(msg) from error
    return model.eval()


def _text_config(source: OpenClipSource) -> list[Path]:
    """Return the file with a text tower's architecture, if it is a repository of its own."""
    name = source.model["text_cfg"].get("hf_model_name")
    return [local_folder(name, files=["config.json"]) / "config.json"] if name else []


@contextmanager
def _no_word_of_random_weights() -> Iterator[None]:
    """Silence open_clip's warning that a model has no weights yet."""

    def keep(record: logging.LogRecord) -> bool:
        return "weights" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)


def _tokenizer(name: str, source: OpenClipSource) -> tuple[Any, list[Path]]:
    """Return the model's own tokenizer, and the files it was read from.

    Not by ``open_clip.get_tokenizer``: for a name with "siglip" in it, that may download one.
    """
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer

    text = source.model["text_cfg"]
    length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
    options = text.get("tokenizer_kwargs") or {}
    repository = text.get("hf_tokenizer_name")
    if not repository:
        return SimpleTokenizer(context_length=length, **options), []
    folder = source.folder
    if not any(folder.glob("tokenizer*")):
        folder = local_folder(repository, files=[*TOKENIZER_FILES, "config.json"])
    try:
        tokenizer = HFTokenizer(
            str(folder),
            context_length=length,
            tokenizer_mode=text.get("tokenizer_mode"),
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
    except Exception as error:  # damaged files can make a loader raise anything
        msg = f"{name!r}: the tokenizer in {folder} cannot be loaded: {error}. Download it again"
        raise EncoderError(msg) from error
    patterns = (*TOKENIZER_FILES, "config.json")
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return tokenizer, sorted(files, key=lambda path: path.name)


def _require_open_clip() -> None:
    ensure_torchvision()
    try:
        import open_clip  # noqa: F401
    except ModuleNotFoundError as error:
        purpose = "A model of open_clip"
        raise MissingExtraError(purpose, "open-clip") from error


def _fingerprint(files: Sequence[Path], recipe: Sequence[Any]) -> str:
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for path in files:  # the name of the weights is no matter, nor is the folder's
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()
