"""Any model of open_clip: one of its own names, a repository of the hub, or a folder.

OpenAI, LAION, DataComp, DFN, EVA, SigLIP, MobileCLIP 2, PE-Core, MetaCLIP 2 and others, each with
its own tokenizer, preprocessing and activation. No pickle is run: weights are safetensors, or,
where a model of open_clip's own list has none, a file that torch reads as plain tensors
(``weights_only``). open_clip itself only warns where weights of the OpenAI family are loaded into
an architecture with another activation (``ViT-B-32/openai``); here the tag decides.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, facts_of
from mmgap.encoders.files import licence, local_folder, one_error
from mmgap.encoders.running import in_batches, pick_device, pick_dtype
from mmgap.encoders.vectors import check_dim
from mmgap.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    import torch
    from PIL import Image

CONFIG = "open_clip_config.json"
"""The file that makes a folder a model of open_clip."""

TOKENIZER_FILES = (
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json"),
    *("*.model", "vocab*", "merges.txt"),
)
"""Patterns of what a tokenizer of transformers is read from."""

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_CHUNK = 4096
"""Texts cut into ids at once: their Python lists are many times larger than the ids."""

_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_SMALL_FILES = (*TOKENIZER_FILES, "README.md")


class OpenClipEncoder(BaseEncoder):
    """A text and an image tower, built and run by open_clip.

    ``name`` is ``"open_clip:ARCHITECTURE/TAG"`` (a pair of ``open_clip.list_pretrained()``),
    ``"hf-hub:owner/model"``, ``"local-dir:PATH"``, a hub id, or a folder with
    ``open_clip_config.json``. The options are those of ``SentenceTransformerEncoder``.

    >>> OpenClipEncoder("open_clip:ViT-B-32/openia")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: open_clip has no weights 'openia' for 'ViT-B-32'; it has openai, ...
    """

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
        ensure_torchvision()
        try:
            import open_clip
        except ModuleNotFoundError as error:
            purpose = "A model of open_clip"
            raise MissingExtraError(purpose, "open-clip") from error
        from open_clip.transform import PreprocessCfg, image_transform_v2

        facts = facts or facts_of(name)
        if folder is None:
            revision = revision or facts.revision
        source = find_open_clip(name, folder, revision)
        self._device = pick_device(device)
        dtype = pick_dtype(dtype, self._device, name=name)
        precision = _PRECISION[dtype]
        self._model = _build(name, source, precision).to(self._device)
        self._pixel_type = open_clip.get_input_dtype(precision)
        preprocess = PreprocessCfg(**self._model.visual.preprocess_cfg)
        self._transform: Callable[[Image.Image], torch.Tensor] = image_transform_v2(
            preprocess, is_train=False
        )
        self._tokenize, files = _tokenizer(name, source)
        self._text_tower = TextTower(self._model)
        native = self._text_rows(["dimension"], "document", 1).shape[1]
        dim, lengths = check_dim(dim, native, facts.matryoshka_dims, name)
        recipe = [_RECIPE, source.model, asdict(preprocess), dtype, dim]
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
        for path in (source.weights, *files, *_text_config(source)):
            with path.open("rb") as handle:  # the name of a file is no matter, nor is the folder's
                digest.update(hashlib.file_digest(handle, "sha256").digest())
        scale, bias = self._model.logit_scale, getattr(self._model, "logit_bias", None)
        size = preprocess.size
        self.info = EncoderInfo(
            id=name,
            fingerprint=digest.hexdigest(),
            backend="open-clip",
            dim=dim,
            licence=facts.licence or licence(source.folder),
            logit_scale=float(scale.detach().float().exp()),
            logit_bias=None if bias is None else float(bias.detach().float()),
            revision=revision,
            max_text_tokens=self._tokenize.context_length,
            image_size=size if isinstance(size, int) else max(size),
            matryoshka_dims=lengths,
        )

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:  # noqa: ARG002
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

    def _prepare(self, image: Image.Image) -> torch.Tensor:
        return self._transform(image)

    def _image_rows(self, images: list[Any]) -> np.ndarray:
        import torch

        with torch.inference_mode():
            pixels = torch.stack(images).to(self._device, self._pixel_type)
            return self._model.encode_image(pixels, normalize=False).float().cpu().numpy()


class TextTower:
    """The text tower of an open_clip model, without the padding that cannot matter.

    Where a tower is causal and reads the vector off the token that ends the text, what stands
    behind that token cannot reach it. Such ids may be left out (short texts are then many times
    quicker); the forward pass is open_clip's own, with its tables of positions cut to the length.
    Towers that look both ways (MobileCLIP 2), read the vector off the last token (SigLIP) or add a
    token behind the padding (CoCa) need all ids: ``skips_padding`` is False.
    """

    def __init__(self, model: Any) -> None:
        import torch

        class Encode(torch.nn.Module):
            """``encode_text`` as a module, so that its tables can be replaced for one call."""

            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, ids: torch.Tensor) -> torch.Tensor:
                return self.model.encode_text(ids, normalize=False)

        self._encode = Encode()
        has_tower = hasattr(model, "text")  # in CLIP itself its parts are the model's own
        tower = self._tower = model.text if has_tower else model
        self._prefix = "model.text" if has_tower else "model"
        self._pooling = getattr(tower, "pool_type", getattr(tower, "text_pool_type", None))
        self._end: Any = getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))
        self.skips_padding = (
            getattr(tower, "attn_mask", None) is not None
            and getattr(tower, "cls_emb", None) is None
            and self._pooling in {"argmax", "eos"}
        )

    def lengths(self, ids: torch.Tensor) -> torch.Tensor:
        """Return how many ids of each text, from the left, its vector needs: shape (n_text,)."""
        if not self.skips_padding:
            return ids.new_full((len(ids),), ids.shape[1])
        marks = ids if self._pooling == "argmax" else ids.eq(self._end).int()
        return marks.argmax(dim=1) + 1

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Take ids (n_text, n_token), as wide as the greatest of :meth:`lengths`, to vectors."""
        import torch

        if not self.skips_padding:
            return self._encode(ids)
        length = ids.shape[1]
        tables = {
            f"{self._prefix}.positional_embedding": self._tower.positional_embedding[:length],
            f"{self._prefix}.attn_mask": self._tower.attn_mask[:length, :length],
        }
        return torch.func.functional_call(self._encode, tables, (ids,), tie_weights=False)


@dataclass(frozen=True)
class OpenClipSource:
    """What a model is built from: open_clip's ``model_cfg`` and ``preprocess_cfg``, and weights.

    ``folder`` is where the weights lie; a tokenizer may lie there too.
    """

    model: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights: Path
    folder: Path


def find_open_clip(name: str, folder: Path | None, revision: str | None) -> OpenClipSource:
    """Find configuration and weights, fetching what is not given."""
    if name.startswith("open_clip:"):
        return _find_listed(name, folder, revision)
    if folder is None:
        repository = name.removeprefix("hf-hub:").removeprefix("local-dir:")
        if name.startswith("local-dir:") and not Path(repository).expanduser().is_dir():
            msg = f"{name!r}: no such folder; check the path"
            raise EncoderError(msg)
        folder = local_folder(repository, revision, files=[CONFIG, *_WEIGHTS, *_SMALL_FILES])
        if not any(folder.glob("*.safetensors")):  # it may have a name of its own
            folder = local_folder(repository, revision, files=["*.safetensors"])
    if not (folder / CONFIG).is_file():
        msg = (
            f"{name!r} ({folder}) holds no {CONFIG}; expected a model of open_clip. One of "
            "transformers is loaded by its hub id or folder alone"
        )
        raise EncoderError(msg)
    weights = _safe_weights(folder)
    if weights is None:
        msg = (
            f"{name!r} ({folder}) holds no .safetensors file; pickled weights (.bin, .pt) are not "
            "read. Take a revision that has safetensors, or convert the file with "
            "safetensors.torch.save_file"
        )
        raise EncoderError(msg)
    return OpenClipSource(*_read_config(folder / CONFIG), weights, folder)


def _find_listed(name: str, folder: Path | None, revision: str | None) -> OpenClipSource:
    """Find a model of open_clip's own list; its configuration comes with the library."""
    import open_clip

    architecture, _, tag = name.removeprefix("open_clip:").partition("/")
    _check_pair(architecture, tag)
    preprocess = open_clip.get_pretrained_cfg(architecture, tag)
    model = open_clip.get_model_config(architecture)
    # The library only warns where the weights were trained with the other activation.
    model["quick_gelu"] = bool(model.get("quick_gelu") or preprocess.get("quick_gelu"))
    if folder is None:
        folder = _fetch_listed(name, preprocess["hf_hub"], revision)
    elif (folder / CONFIG).is_file():
        model, preprocess = _read_config(folder / CONFIG)
    pickled = [path for end in ("bin", "pt", "pth") for path in sorted(folder.glob(f"*.{end}"))]
    weights = _safe_weights(folder) or next(iter(pickled), None)
    if weights is None:
        msg = f"{name!r}: {folder} holds no weights; expected {_WEIGHTS[0]}"
        raise EncoderError(msg)
    return OpenClipSource(model, preprocess, weights, folder)


def _fetch_listed(name: str, hub: str, revision: str | None) -> Path:
    """Download safetensors, or else the weights that the list names."""
    owner, model, file = f"{hub}/".split("/")[:3]
    repository = f"{owner}/{model}"
    safe = [f"{Path(file).stem}.safetensors"] if file else list(_WEIGHTS)
    try:
        folder = local_folder(repository, revision, files=[*safe, *_SMALL_FILES])
        if _safe_weights(folder) is None:
            listed = file or "open_clip_pytorch_model.bin"
            folder = local_folder(repository, revision, files=[listed])
    except EncoderError as error:
        msg = f"{error}. A folder for this model is given as '{name}@FOLDER'"
        raise EncoderError(msg) from error
    return folder


def _check_pair(architecture: str, tag: str) -> None:
    import open_clip

    pairs = open_clip.list_pretrained()
    tags = [known_tag for known, known_tag in pairs if known == architecture]
    if tag in tags:
        return
    if tags:
        problem = f"no weights {tag!r} for {architecture!r}; it has {', '.join(tags)}"
    else:
        names = {f"{known}/{each}".lower(): f"open_clip:{known}/{each}" for known, each in pairs}
        nearest = difflib.get_close_matches(f"{architecture}/{tag}".lower(), names, n=3)
        problem = f"no model {architecture!r}" + (
            f"; did you mean {', '.join(map(names.__getitem__, nearest))}?"
            if nearest
            else "; 'open_clip.list_pretrained()' lists all of them"
        )
    msg = f"open_clip has {problem}"
    raise EncoderError(msg)


def _safe_weights(folder: Path) -> Path | None:
    """Return the safetensors of open_clip; beside them may lie those of transformers."""
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    return next(iter(found or sorted(folder.glob("*.safetensors"))), None)


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration of the model, and of the preprocessing."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = config["model_cfg"]
        missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(model)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        msg = f"{path} cannot be read: {error!r}; expected JSON with 'model_cfg'"
        raise EncoderError(msg) from error
    if missing:
        msg = f"{path}: 'model_cfg' lacks {', '.join(sorted(missing))}"
        raise EncoderError(msg)
    return model, config.get("preprocess_cfg", {})


def _text_config(source: OpenClipSource) -> list[Path]:
    """Return the file with a text tower's architecture, if it is a repository of its own."""
    name = source.model["text_cfg"].get("hf_model_name")
    return [local_folder(name, files=["config.json"]) / "config.json"] if name else []


def _build(name: str, source: OpenClipSource, precision: str) -> Any:
    """Return the model with its weights, on the CPU."""
    import open_clip

    problem = (
        f"{name!r}: the weights {source.weights} cannot be loaded into the model that its "
        "configuration describes"
    )
    with one_error(problem, "Download both again"):
        text = dict(source.model["text_cfg"])
        if text.get("hf_model_name"):
            text["hf_model_name"] = str(_text_config(source)[0].parent)
        config = {
            "model_cfg": {**source.model, "text_cfg": text},
            "preprocess_cfg": source.preprocess,
        }
        with TemporaryDirectory() as folder, _no_word_of_random_weights():
            (Path(folder) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
            model = open_clip.create_model(
                f"local-dir:{folder}",
                pretrained_text=False,  # not even until ours are in
                precision=precision,
            )
        open_clip.load_checkpoint(model, str(source.weights), weights_only=True)
    return model.eval()


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
    with one_error(f"{name!r}: the tokenizer in {folder} cannot be loaded", "Download it again"):
        tokenizer = HFTokenizer(
            str(folder),
            context_length=length,
            tokenizer_mode=text.get("tokenizer_mode"),
            trust_remote_code=False,
            local_files_only=True,
            **options,
        )
    patterns = (*TOKENIZER_FILES, "config.json")
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return tokenizer, sorted(files, key=lambda path: path.name)
