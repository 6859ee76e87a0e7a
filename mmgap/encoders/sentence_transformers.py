"""Any CLIP-like checkpoint of a hub or a folder, run by sentence-transformers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import EncoderInfo, Role
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from PIL import Image
    from sentence_transformers import SentenceTransformer

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_READ = (".json", ".safetensors", ".txt", ".model", ".jinja", ".py")
_NOT_DOWNLOADED = [
    *(
        "*.bin",
        "*.ckpt",
        "*.gguf",
        "*.h5",
        "*.msgpack",
        "*.onnx*",
        "*.ot",
        "*.pkl",
        "*.pt",
        "*.pth",
    ),
    *("onnx/*", "openvino/*", "coreml/*", "*.tflite"),
]


class SentenceTransformerEncoder:
    """A checkpoint with a text and an image tower, loaded by sentence-transformers.

    Takes CLIP, MetaCLIP, SigLIP and SigLIP 2 in the layout of transformers, and
    sentence-transformers folders. Each model gets the preprocessing it was trained with: SigLIP's
    texts are padded to full length without a mask, SigLIP 2's are lower-cased as well, and images
    are resized by Pillow on every machine. Weights must be safetensors: nothing is unpickled.

    Parameters
    ----------
    name_or_path : str
        A folder, or a hub id such as ``"openai/clip-vit-base-patch32"``.
    revision : str or None
        Commit, tag or branch of a hub id; give a commit for numbers that last.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"`` ...; ``"auto"`` takes the fastest there is.
    trust_remote_code : bool, default False
        Run Python code that comes with the checkpoint. A hub id then needs a ``revision``.

    Attributes
    ----------
    info : EncoderInfo

    Raises
    ------
    EncoderError
        If there is no such checkpoint, or it cannot be loaded.

    Examples
    --------
    >>> SentenceTransformerEncoder("no/such/folder")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'no/such/folder' is neither a folder nor a hub id ...
    """

    info: EncoderInfo

    def __init__(
        self,
        name_or_path: str,
        revision: str | None = None,
        *,
        device: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        name = str(name_or_path)
        if trust_remote_code and revision is None and not Path(name).is_dir():
            msg = f"trust_remote_code for {name!r} needs a revision: the commit whose code you read"
            raise EncoderError(msg)
        folder = _local_folder(name, revision)
        self._model = _load(name, folder, device, trust_remote_code=trust_remote_code)
        tower = self._model[0].model
        config = tower.config
        text_config = getattr(config, "text_config", None)
        vision_config = getattr(config, "vision_config", None)
        max_text_tokens = getattr(text_config, "max_position_embeddings", None)
        self._lower_case = _is_siglip2(config.model_type, self._model[0].tokenizer)
        self._text_options = _text_options(config.model_type, max_text_tokens)
        self.info = EncoderInfo(
            id=name,
            fingerprint=_fingerprint(folder),
            backend="sentence-transformers",
            dim=self._encode([{"text": "dimension"}], {}).shape[1],
            licence=_licence(folder),
            logit_scale=_parameter(tower, "logit_scale", np.exp),
            logit_bias=_parameter(tower, "logit_bias", float),
            revision=revision,
            max_text_tokens=max_text_tokens,
            image_size=getattr(vision_config, "image_size", None),
        )

    def __repr__(self) -> str:
        return f"SentenceTransformerEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_text, dim), in the order given."""
        if isinstance(texts, str):
            msg = f"texts is the single text {texts!r}; expected a list of texts, e.g. [{texts!r}]"
            raise EncoderError(msg)
        # A bare string that looks like a path or URL would be fetched as an image; a dict is not.
        inputs = [{"text": text.lower() if self._lower_case else text} for text in texts]
        return self._encode(
            inputs, {"batch_size": batch_size, "normalize_embeddings": normalize}, role
        )

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_image, dim), in the order given.

        Raises
        ------
        EncoderError
            If the model reads text only.
        """
        if not self._model.supports("image"):
            msg = (
                f"{self.info.id!r} reads {', '.join(map(str, self._model.modalities))} only, no "
                "images; use it for the text leg, or load a CLIP-like model"
            )
            raise EncoderError(msg)
        inputs = [{"image": image} for image in images]
        return self._encode(inputs, {"batch_size": batch_size, "normalize_embeddings": normalize})

    def _encode(
        self,
        inputs: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        role: Role = "document",
    ) -> np.ndarray:
        if not inputs:
            return np.empty((0, self.info.dim), dtype=np.float32)
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        embeddings = encode(
            inputs,
            show_progress_bar=False,
            convert_to_numpy=True,
            processing_kwargs={"text": self._text_options},
            **options,
        )
        return np.asarray(embeddings, dtype=np.float32)


def _local_folder(name: str, revision: str | None) -> Path:
    """Return the folder itself, or the snapshot of a hub id, downloaded if need be."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, ignore_patterns=_NOT_DOWNLOADED))
    except HFValidationError as error:
        msg = (
            f"{name!r} is neither a folder nor a hub id (owner/model); check the path, or list the "
            "bundled encoders with 'mmgap --help'"
        )
        raise EncoderError(msg) from error
    except GatedRepoError as error:
        msg = f"{name!r} is gated: accept its licence on its hub page, then log in with 'hf auth'"
        raise EncoderError(msg) from error
    except RepositoryNotFoundError as error:
        msg = f"no model is called {name!r} on the hub and no such folder exists; check the name"
        raise EncoderError(msg) from error
    except OSError as error:  # no network, offline mode, an unknown revision, a full disk
        at = "" if revision is None else f" --revision {revision}"
        msg = (
            f"{name!r} is no folder here, and the hub did not give it ({type(error).__name__}). "
            f"On a machine with network run 'hf download {name}{at} --local-dir FOLDER', copy the "
            "folder here, and load its path; or use the bundled 'mini-clip'"
        )
        raise EncoderError(msg) from error


def _load(name: str, folder: Path, device: str, *, trust_remote_code: bool) -> SentenceTransformer:
    if not any(folder.rglob("*.safetensors")):
        msg = (
            f"{name!r} ({folder}) holds no .safetensors file; pickled weights (.bin) are not read. "
            "Take a revision that has safetensors, or convert it with save_pretrained"
        )
        raise EncoderError(msg)
    ensure_torchvision()
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(
            str(folder),
            device=None if device == "auto" else device,
            trust_remote_code=trust_remote_code,
            local_files_only=not trust_remote_code,
            model_kwargs={"use_safetensors": True, "dtype": "float32"},
            processor_kwargs={"backend": "pil"},
        )
    except Exception as error:  # damaged files can make a loader raise anything
        msg = (
            f"{name!r} ({folder}) cannot be loaded: {error}. Expected the files that "
            "save_pretrained writes: config.json, model.safetensors, tokenizer and processor"
        )
        raise EncoderError(msg) from error


def _is_siglip2(model_type: str, tokenizer: object) -> bool:
    """Tell SigLIP 2, whose fixed-size models say ``siglip``, by its Gemma tokenizer."""
    return model_type == "siglip2" or (
        model_type == "siglip" and type(tokenizer).__name__.startswith(("Gemma", "Siglip2"))
    )


def _text_options(model_type: str, max_text_tokens: int | None) -> dict[str, Any]:
    if max_text_tokens is None:
        return {}
    options: dict[str, Any] = {"truncation": True, "max_length": max_text_tokens}
    if model_type in {"siglip", "siglip2"}:  # the vector is read off the last, padded, place
        options |= {"padding": "max_length", "return_attention_mask": False}
    return options


def _parameter(tower: object, name: str, convert: Any) -> float | None:
    value = getattr(tower, name, None)
    return None if value is None else float(convert(float(value.detach().cpu())))


def _licence(folder: Path) -> str:
    """Return what the head of the model card says."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace")[:4000] if card.is_file() else ""
    found = re.search(r"^license:\s*(\S+)", head, flags=re.MULTILINE)
    return found[1] if found else "unknown"


def _fingerprint(folder: Path) -> str:
    """Hash every file that decides the output, and the recipe of this module."""
    digest = hashlib.sha256(f"sentence-transformers recipe {_RECIPE}".encode())
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _READ and path.is_file() and not name.startswith("."):
            with path.open("rb") as handle:
                digest.update(
                    f"\n{name} {hashlib.file_digest(handle, 'sha256').hexdigest()}".encode()
                )
    return digest.hexdigest()
