"""jina-reranker-m0, run by transformers alone: none of the hub's own code.

The prompt, the order of the images (document, then query), the cutting of long documents and the
size of images are those of the code that comes with the model (``modeling.py`` of
https://huggingface.co/jinaai/jina-reranker-m0). Two things differ. A query of more than
``max_query_length`` tokens is cut, where the original lets it use the room that a short document
leaves. And a text that holds a control token such as ``<|image_pad|>`` is read as the characters it
is made of. A document with a text and an image has its image first, then its text: an extension of
ours, as the original takes one of the two; the model was trained for pairs of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.encoders.catalog import ModelFacts, facts_of
from mmgap.encoders.files import find_checkpoint, fingerprint, licence, loading, resize_by_pillow
from mmgap.encoders.running import pick_device, pick_dtype
from mmgap.errors import EncoderError
from mmgap.rerankers.base import (
    IMAGE_PLACEHOLDER,
    VLM_PAIRS,
    Content,
    ModelReranker,
    Pair,
    RerankerInfo,
    require_torchvision,
    shown_text,
)

if TYPE_CHECKING:
    import torch
    from PIL import Image

SCORE_TOKEN_ID = 100
"""Ends every sequence; its state is what the score is read from.

It is the single byte 0xA7, which is no text by itself, so it is appended as a number: no prompt or
chat template can spell it.
"""

LOGIT_OFFSET = 2.65
"""Taken from the logit before the sigmoid, as in the code that comes with the model."""

MIN_PIXELS, MAX_PIXELS = 3136, 602112
"""Images are resized to lie between these: 4 to 768 tokens of 28 x 28 pixels."""

MAX_IMAGE_TOKENS = MAX_PIXELS // 28**2 + 2
_RECIPE = "1"  # raise when this file changes what a score is, so that cached ones are made again
_HEAD = ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")


class JinaM0Reranker(ModelReranker):
    """Qwen2-VL reads document and query, a small network scores what it saw.

    The score is ``sigmoid(logit - 2.65)`` of the state of a token (number 100) that is appended to
    every sequence, computed in float32 whatever the backbone's ``dtype``. ``max_query_length``
    tokens are kept of the query, the rest of ``max_length`` of the document's text, and 770 fewer
    for each image.
    """

    _token_side, _max_pixels, _offset = 28, MAX_PIXELS, LOGIT_OFFSET

    def __init__(
        self,
        name: str = "jinaai/jina-reranker-m0",
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int = 10240,
        max_query_length: int = 512,
        facts: ModelFacts | None = None,
    ) -> None:
        if not 0 < max_query_length < max_length - MAX_IMAGE_TOKENS:
            msg = (
                f"max_length is {max_length} and max_query_length {max_query_length}; expected a "
                f"max_length above max_query_length + {MAX_IMAGE_TOKENS}, so that query and image "
                "leave room for the document's text"
            )
            raise EncoderError(msg)
        facts = facts or facts_of(name)
        require_torchvision(name)
        folder, revision = find_checkpoint(name, folder, revision, facts)
        self._device = pick_device(device)
        dtype = pick_dtype(dtype, self._device, name=name)
        self._max_query_length = max_query_length
        self._max_document_length = max_length - max_query_length
        with loading(name, folder):
            head = _read_head(name, folder)
            self._processor, self._backbone = _load(folder, self._device, dtype)
            self._head = {key: tensor.to(self._device) for key, tensor in head.items()}
        recipe = f"jina-m0 recipe {_RECIPE} {dtype} {max_length} {max_query_length}"
        self.info = RerankerInfo(
            id=name,
            fingerprint=fingerprint(folder, recipe),
            backend="jina-m0",
            score=f"sigmoid(logit - {LOGIT_OFFSET}), in [0, 1]",
            modalities=VLM_PAIRS,
            licence=facts.licence or licence(folder),
            revision=revision,
            max_text_tokens=max_length,
        )

    def _logits(self, pairs: Sequence[Pair]) -> np.ndarray:
        import torch
        from torch.nn.functional import linear, relu

        with torch.inference_mode():
            batch = {name: tensor.to(self._device) for name, tensor in self._inputs(pairs).items()}
            states = self._backbone(**batch, use_cache=False).last_hidden_state[:, -1].float()
            hidden = relu(linear(states, self._head["score.0.weight"], self._head["score.0.bias"]))
            logits = linear(hidden, self._head["score.2.weight"], self._head["score.2.bias"])
        return logits[:, 0].cpu().numpy()

    def _inputs(self, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
        """Return the backbone's arguments: prompts padded on the left, the score token last."""
        import torch

        images = [image for pair in pairs for image in _images(pair)]
        batch = self._processor(
            text=[self._prompt(pair) for pair in pairs],
            images=images or None,
            padding=True,
            return_tensors="pt",
        )
        # The token is read by all, and is part of no image.
        for name, value in (
            ("input_ids", SCORE_TOKEN_ID),
            ("attention_mask", 1),
            ("mm_token_type_ids", 0),
        ):
            column = torch.full((len(pairs), 1), value, dtype=batch[name].dtype)
            batch[name] = torch.cat([batch[name], column], dim=1)
        return dict(batch)

    def _prompt(self, pair: Pair) -> str:
        reserved = MAX_IMAGE_TOKENS * len(_images(pair))
        document = self._part(pair.document, self._max_document_length - reserved)
        query = self._part(pair.query, self._max_query_length)
        return f"**Document**:\n{document}\n**Query**:\n{query}"

    def _part(self, side: Content, limit: int) -> str:
        placeholder = "" if side.image is None else IMAGE_PLACEHOLDER
        if side.text is None or not side.has_text:
            return placeholder
        text = shown_text(side.text, limit, self._processor.tokenizer)
        return f"{placeholder}\n{text}" if placeholder else text


def _images(pair: Pair) -> list[Image.Image]:
    """Return the images in the order in which the prompt has them: document, then query."""
    sides = (pair.document.image, pair.query.image)
    return [image for image in sides if image is not None]


def _load(folder: Path, device: str, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoProcessor, Qwen2VLForConditionalGeneration
    from transformers.utils import logging

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    processor = AutoProcessor.from_pretrained(folder, **local)
    size = {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    resize_by_pillow(processor, folder, size=size)
    processor.tokenizer.padding_side = "left"  # the score is read from the last token
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # that score.* is no part of the backbone is news to nobody
    try:
        # AutoModel knows the old names of the weights only: it leaves the image tower of a newer
        # checkpoint at random and says so in a log. Tying spares the output matrix, of no use here.
        model = Qwen2VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, tie_word_embeddings=True, use_safetensors=True, **local
        )
    finally:
        logging.set_verbosity(verbosity)
    return processor, model.model.to(device).eval()


def _read_head(name: str, folder: Path) -> dict[str, torch.Tensor]:
    """Return the score head's weights in float32, by their names in the files."""
    from safetensors import safe_open

    head = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            for key in set(_HEAD) & set(weights.keys()):
                head[key] = weights.get_tensor(key).float()
    if missing := [key for key in _HEAD if key not in head]:
        msg = (
            f"{name!r} ({folder}) has no score head: {', '.join(missing)} missing in its "
            ".safetensors files. Expected jina-reranker-m0, not the Qwen2-VL that it is made from"
        )
        raise EncoderError(msg)
    return head
