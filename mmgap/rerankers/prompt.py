"""Texts on their way into the prompt of a vision-language reranker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmgap.errors import EncoderError
from mmgap.rerankers.base import Pair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IMAGE_PLACEHOLDER = "<|vision_start|><|image_pad|><|vision_end|>"
"""Where Qwen's models read an image; the processor puts as many tokens as the image needs."""

MAX_ASPECT_RATIO = 200
"""Qwen's image processors refuse thinner images."""


def plain_text(text: str) -> str:
    """Break whatever Qwen's tokenizers would read as a control token.

    A document that holds ``<|image_pad|>`` would else be given the pixels of another one.

    Examples
    --------
    >>> plain_text("see <|image_pad|>, 3 < |x|")
    'see < |image_pad|>, 3 < |x|'
    """
    return re.sub(r"<(?=\|\w+\|>)", "< ", text)


def cut(text: str, limit: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the text if it has at most ``limit`` tokens, else the text of its first ones."""
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    return text if len(tokens) <= limit else tokenizer.decode(tokens[: max(limit, 0)])


def check_images(pairs: Sequence[Pair]) -> None:
    """Raise if the model's image processor would refuse an image.

    Raises
    ------
    EncoderError
        If an image is too thin; the message names the pair.
    """
    for place, pair in enumerate(pairs):
        for image in (pair.query.image, pair.document.image):
            if image is not None and max(image.size) > MAX_ASPECT_RATIO * min(image.size):
                width, height = image.size
                msg = (
                    f"an image of pair {place} is {width} x {height} pixels; expected at most "
                    f"{MAX_ASPECT_RATIO} times as long as wide. Crop it, or leave the pair out"
                )
                raise EncoderError(msg)


def estimated_length(pair: Pair, pixels_per_token: int, max_pixels: int) -> float:
    """Guess how many tokens a pair has, well enough to put pairs of like length together."""
    tokens = 0.0
    for side in pair:
        tokens += len(side.text or "") / 4
        if side.image is not None:
            tokens += min(side.image.width * side.image.height, max_pixels) / pixels_per_token
    return tokens
