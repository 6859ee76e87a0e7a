"""What sentence-transformers is told about images and chats, beyond what a checkpoint says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmgap.corpus.images import as_rgb
from mmgap.errors import EncoderError, ImageError

if TYPE_CHECKING:
    from PIL import Image
    from sentence_transformers import SentenceTransformer

QWEN_PIXELS = {"shortest_edge": 4 * 32 * 32, "longest_edge": 1800 * 32 * 32}
"""Pixels per image of Qwen3-VL-Embedding; "edge" is the processor's word, the unit is pixels."""

_USUAL_IMAGE_TOKENS = 256
"""Of models that see images in many sizes."""


def processing_options(model: SentenceTransformer, max_tokens: int | None) -> dict[str, Any]:
    """Return the ``processing_kwargs`` of every call.

    Parameters
    ----------
    model : SentenceTransformer
        Where the checkpoint itself bounds the pixels of an image, it is left to do so.
    max_tokens : int or None
        Longer texts are cut.
    """
    options: dict[str, Any] = {}
    if max_tokens is not None:
        options["text"] = {"truncation": True, "max_length": max_tokens}
    if model[0].config.model_type == "qwen3_vl":
        # The vector is read off the last token, and the makers end in "<|im_start|>assistant".
        options["chat_template"] = {"add_generation_prompt": True}
        if not model[0].processing_kwargs.get("image"):
            options["image"] = {"size": QWEN_PIXELS}
    return options


def image_tokens(vision: Any) -> int:
    """Return how many tokens one image is to a vision transformer.

    Parameters
    ----------
    vision : PretrainedConfig or None
        Its configuration; where it takes images of many sizes, a usual number is returned.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> image_tokens(SimpleNamespace(image_size=224, patch_size=32))
    50
    """
    side, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    if not isinstance(side, int) or not isinstance(patch, int):
        return _USUAL_IMAGE_TOKENS
    return (side // patch) ** 2 + 1


def rgb(image: Any, what: str, short_edge: int | None = None) -> Image.Image:
    """Return an image as :func:`mmgap.corpus.images.as_rgb` does; an error names ``what``.

    >>> rgb("cat.png", "image 3")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: image 3 is of type str; expected a PIL image: Image.open(path)
    """
    try:
        return as_rgb(image, what, short_edge)
    except ImageError as error:
        raise EncoderError(str(error)) from error
