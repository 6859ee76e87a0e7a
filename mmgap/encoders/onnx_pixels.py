"""From an image to the array that an image tower reads, by numpy and Pillow alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmgap.errors import EncoderError

_FILES = ("preprocessor_config.json", "processor_config.json")
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's, the defaults of CLIP-like processors."""


@dataclass(frozen=True)
class PixelRecipe:
    """Resize, crop, scale and standardise, in this order, as the model was trained.

    Parameters
    ----------
    size : int, tuple of two int, or None
        The shorter edge after the resize, which keeps the aspect; or (height, width), which does
        not; ``None`` does not resize.
    crop : tuple of two int, or None
        (height, width) of the centre that is kept. An image smaller than that is padded with black.
    resample : int
        Pillow's number of the filter: 2 bilinear, 3 bicubic.
    scale : float
        Grey levels 0 to 255 are multiplied by it.
    mean, std : tuple of three float
        For red, green and blue, after scaling.
    round_crop : bool
        Whether half a pixel at the crop's edge is rounded to even, as torchvision does, or down,
        as transformers does.

    Examples
    --------
    >>> recipe = PixelRecipe(size=2, crop=(2, 2), mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> recipe(Image.new("RGB", (4, 2), "white")).shape
    (3, 2, 2)
    """

    size: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int = 3
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
            width, height = _resized(image.size, self.size)
            image = image.resize((width, height), Image.Resampling(self.resample))
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


def read_pixel_recipe(folder: Path) -> tuple[PixelRecipe, Path]:
    """Read how images are prepared, and return the file that says so as well.

    Parameters
    ----------
    folder : Path
        Holds ``preprocessor_config.json``, or the ``processor_config.json`` of transformers 5. Read
        are the keys of CLIP-like processors, and those of ``JinaCLIPImageProcessor``.

    Raises
    ------
    EncoderError
        If there is no such file, or it asks for something else than resize, crop, scale and
        standardise.
    """
    for name in _FILES:
        file = folder / name
        if not file.is_file():
            continue
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            config = config.get("image_processor", config) if name == _FILES[1] else config
            recipe = pixel_recipe(config)
            recipe.shape  # noqa: B018 - raises here rather than at the first image
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{file} does not say how to prepare an image: {error}"
            raise EncoderError(msg) from error
        return recipe, file
    msg = f"{folder} holds no {_FILES[0]}, which says how to prepare images; download it as well"
    raise EncoderError(msg)


def pixel_recipe(config: Mapping[str, Any]) -> PixelRecipe:
    """Return the recipe that an image processor's configuration describes.

    Raises
    ------
    ValueError
        If the configuration asks for more than a recipe can do.

    Examples
    --------
    >>> pixel_recipe({"size": {"height": 8, "width": 8}, "resample": 2}).shape
    (8, 8)
    """
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    if "resize_mode" in config:
        return _jina_recipe(config)
    odd = {"crop_pct", "max_num_patches", "do_pad"} & {key for key, on in config.items() if on}
    if odd:
        msg = f"{kind or 'its processor'} asks for {sorted(odd)[0]!r}, which is not supported"
        raise ValueError(msg)
    crops = config.get("do_center_crop", "CLIP" in kind)
    size = config["size"] if config.get("do_resize", True) else None
    if isinstance(size, int) and not crops:
        size = (size, size)  # old files of ViT and SigLIP write a square so
    standardise = config.get("do_normalize", True)
    return PixelRecipe(
        size=_size(size),
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
        raise ValueError(msg)
    filters = {"bicubic": 3, "bilinear": 2}
    return PixelRecipe(
        size=size if mode == "shortest" else (size, size),
        crop=(size, size) if mode == "shortest" else None,
        resample=filters[config.get("interpolation", "bicubic")],
        mean=_three(config.get("mean", _MEAN)),
        std=_three(config.get("std", _STD)),
        round_crop=True,
    )


def _size(size: Any) -> int | tuple[int, int] | None:
    if isinstance(size, Mapping):
        return int(size["shortest_edge"]) if "shortest_edge" in size else _square(size)
    return size


def _square(size: Any) -> tuple[int, int]:
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


def _three(values: float | Sequence[float]) -> tuple[float, ...]:
    values = (values,) * 3 if isinstance(values, int | float) else tuple(map(float, values))
    if len(values) != 3:
        msg = f"{len(values)} numbers for mean or std; expected 3, for red, green and blue"
        raise ValueError(msg)
    return values


def _resized(size: tuple[int, int], wanted: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) after the resize; the longer edge is rounded down."""
    if isinstance(wanted, tuple):
        return wanted[1], wanted[0]
    width, height = size
    if width <= height:
        return wanted, int(wanted * height / width)
    return int(wanted * width / height), wanted
