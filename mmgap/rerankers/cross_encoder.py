"""Rerankers that sentence-transformers runs: BERT-like ones for texts, Qwen3-VL for images too.

Checkpoints with a classification head of one output (ms-marco-MiniLM, bge-reranker ...),
sentence-transformers folders, and Qwen3-VL-Reranker, whose number is the logit of "yes" minus the
logit of "no" as answer to its makers' prompt. In the last only the two rows of the output matrix
that matter are computed, and all heads run in float32: in bfloat16 most scores of a query's
candidates would be tied. Weights must be safetensors: nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
    from sentence_transformers import CrossEncoder

Activation = Literal["sigmoid", "identity"]
"""What is done to a logit to make it a score."""

QWEN3_VL_INSTRUCTION = "Given a search query, retrieve relevant candidates that answer the query."
"""The task, as Qwen3-VL-Reranker is told it unless a caller says otherwise."""

# The makers' prompt. A repository may hold it under another name than its chat template, or not at
# all; with the chat template of Qwen3-VL itself the query would not reach the model.
_QWEN3_VL_TEMPLATE = (
    (
        r"""
{%- macro contents(role) -%}
    {%- for item in (messages | selectattr("role", "eq", role) | first).content -%}
        {{- "PLACEHOLDER" if item.type == "image" else item.text -}}
    {%- endfor -%}
{%- endmacro -%}
{{- "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query " -}}
{{- "and the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n" -}}
{{- "<|im_start|>user\n<Instruct>: " -}}{{- INSTRUCTION -}}
{{- "<Query>:" -}}{{- contents("query") -}}
{{- "\n<Document>:" -}}{{- contents("document") -}}
{{- "<|im_end|>\n<|im_start|>assistant\n" -}}
"""
    )
    .strip()
    .replace("PLACEHOLDER", IMAGE_PLACEHOLDER)
)

_QWEN3_VL_LENGTH = 8192
_MIN_PIXELS, _MAX_PIXELS = 4 * 32**2, 1280 * 32**2  # 4 to 1280 tokens of 32 x 32 pixels
_MAX_IMAGE_TOKENS = 1280 + 2
_RECIPE = "1"  # raise when this file changes what a score is, so that cached ones are made again


class CrossEncoderReranker(ModelReranker):
    """A cross-encoder: the model reads query and document together and gives one number.

    ``name``, ``folder``, ``revision``, ``device``, ``dtype`` and ``trust_remote_code`` are those of
    ``SentenceTransformerEncoder``. ``activation`` says whether a score is ``sigmoid(logit)``, in
    [0, 1], or the logit itself, which has no ties where the sigmoid runs into 0 or 1; ``None``
    takes what the checkpoint says, and the sigmoid where it says nothing. ``max_length`` is that of
    query, document and prompt together, in tokens: beyond it, plain text models cut the longer of
    the two, and Qwen3-VL the document; ``None`` takes the catalogue's or the checkpoint's,
    whichever is less, and 8192 for Qwen3-VL, which is told the task by ``instruction``.
    """

    _token_side, _max_pixels = 32, _MAX_PIXELS

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        activation: Activation | None = None,
        max_length: int | None = None,
        instruction: str = QWEN3_VL_INSTRUCTION,
        facts: ModelFacts | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        if activation not in {"sigmoid", "identity", None}:
            msg = f"activation is {activation!r}; expected 'sigmoid', 'identity' or None"
            raise EncoderError(msg)
        facts = facts or facts_of(name)
        folder, revision = find_checkpoint(name, folder, revision, facts, trust=trust_remote_code)
        device = pick_device(device)
        dtype = pick_dtype(dtype, device, name=name)
        with loading(name, folder):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            self._is_qwen3_vl = config.get("model_type") == "qwen3_vl"
            if self._is_qwen3_vl:
                require_torchvision(name)
                self._max_length = max_length or _QWEN3_VL_LENGTH
                self._model = _load_qwen3_vl(folder, device, dtype, instruction)
                self._prompt_length = _prompt_length(self._model)
                if (least := self._prompt_length + 2 * _MAX_IMAGE_TOKENS) > self._max_length:
                    msg = (
                        f"max_length is {self._max_length}; expected {least} or more, the room of "
                        f"{name!r}'s prompt and two images"
                    )
                    raise EncoderError(msg)
            else:
                self._model = _load_text(folder, device, dtype, trust_remote_code=trust_remote_code)
                max_length = max_length or facts.max_text_tokens
                # More than the checkpoint has positions for would make it crash.
                self._max_length = min(
                    self._model.max_seq_length, max_length or self._model.max_seq_length
                )
                self._model.max_seq_length = self._max_length
            if self._model.num_labels != 1:
                msg = (
                    f"{name!r} gives {self._model.num_labels} numbers for a pair, as a classifier "
                    "does; expected a reranker, which gives one"
                )
                raise EncoderError(msg)
            _score_in_float32(self._model)
            activation = activation or _saved_activation(self._model)
            self._offset = None if activation == "identity" else 0.0
            # A chat template that loses the query, say, is found out now and not after an hour.
            self._logits([Pair(Content("query"), Content("document"))])
        logit = "logit of yes - logit of no" if self._is_qwen3_vl else "logit"
        self.info = RerankerInfo(
            id=name,
            fingerprint=fingerprint(
                folder,
                f"cross-encoder recipe {_RECIPE} {dtype} {activation} {self._max_length} "
                f"{instruction if self._is_qwen3_vl else ''}",
                None if self._is_qwen3_vl else self._model,
            ),
            backend="cross-encoder",
            score=f"sigmoid({logit}), in [0, 1]"
            if activation == "sigmoid"
            else f"{logit}, unbounded",
            modalities=VLM_PAIRS if self._is_qwen3_vl else ("text-text",),
            licence=facts.licence or licence(folder),
            revision=revision,
            max_text_tokens=self._max_length,
        )

    def _logits(self, pairs: Sequence[Pair]) -> np.ndarray:
        from torch import nn

        logits = self._model.predict(
            [self._input(pair) for pair in pairs],
            batch_size=len(pairs),
            show_progress_bar=False,
            activation_fn=nn.Identity(),
        )
        return np.asarray(logits, dtype=np.float32)

    def _input(self, pair: Pair) -> tuple[Any, Any]:
        """Return a pair as sentence-transformers wants it.

        A dict says which part is a text and which an image, and a tuple of two strings is never
        searched for paths; any other string that looks like the address of an image is fetched.
        """
        query, document = pair
        if self._is_qwen3_vl:
            return self._qwen3_vl_input(query, document)
        texts = query.text or "", document.text or ""
        formatter = self._model[0].input_formatter
        if "message" in self._model[0].modality_config and formatter.message_format != "flat":
            return {"text": texts[0]}, {"text": texts[1]}
        return texts

    def _qwen3_vl_input(
        self, query: Content, document: Content
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        tokenizer = self._model.tokenizer
        room = self._max_length - self._prompt_length
        room -= _MAX_IMAGE_TOKENS * sum(side.image is not None for side in (query, document))
        query_input = _image_first(query, room // 2, tokenizer)
        room -= len(tokenizer(query_input.get("text", ""))["input_ids"])
        return query_input, _image_first(document, room, tokenizer)


def _prompt_length(model: CrossEncoder) -> int:
    """Return how many tokens the prompt has around query and document."""
    empty = [
        {"role": role, "content": [{"type": "text", "text": ""}]} for role in ("query", "document")
    ]
    return len(model.tokenizer(model[0].processor.apply_chat_template(empty))["input_ids"])


def _image_first(side: Content, limit: int, tokenizer: Any) -> dict[str, Any]:
    """Return what a side shows, the image before the text, as in the makers' code."""
    shown: dict[str, Any] = {}
    if side.image is not None:
        shown["image"] = side.image
    if side.text is not None and side.has_text:
        shown["text"] = shown_text(side.text, limit, tokenizer)
    return shown


def _load_text(folder: Path, device: str, dtype: str, *, trust_remote_code: bool) -> CrossEncoder:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(
        str(folder),
        device=device,
        trust_remote_code=trust_remote_code,
        local_files_only=not trust_remote_code,
        model_kwargs={"use_safetensors": True, "dtype": dtype},
    )


def _load_qwen3_vl(folder: Path, device: str, dtype: str, instruction: str) -> CrossEncoder:
    """Put the modules together by hand: modules.json is missing from some revisions, or broken."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    local = {"local_files_only": True, "trust_remote_code": False}
    transformer = Transformer(
        str(folder),
        transformer_task="any-to-any",
        model_kwargs={**local, "use_safetensors": True, "dtype": dtype},
        processor_kwargs={
            **local,
            "chat_template": _QWEN3_VL_TEMPLATE.replace("INSTRUCTION", json.dumps(instruction)),
        },
        config_kwargs=local,
        # The texts are cut before they come here; cutting the prompt would cut off its end.
        processing_kwargs={"text": {"truncation": False}},
    )
    size = {"shortest_edge": _MIN_PIXELS, "longest_edge": _MAX_PIXELS}
    resize_by_pillow(transformer.processor, folder, size=size)
    yes, no = (transformer.tokenizer.get_vocab().get(answer) for answer in ("yes", "no"))
    if yes is None or no is None:
        msg = (
            f"{folder} has no token for 'yes' or 'no'; expected the tokenizer of Qwen3-VL-Reranker"
        )
        raise EncoderError(msg)
    return CrossEncoder(modules=[transformer, LogitScore(yes, no)], device=device)


def _score_in_float32(model: CrossEncoder) -> None:
    """Compute the last step in float32, and of a language model's head only what is asked for."""
    import torch
    from sentence_transformers.cross_encoder.modules import LogitScore
    from torch import nn

    network = model[0].model
    if isinstance(model[-1], LogitScore):
        answers = [model[-1].true_token_id, model[-1].false_token_id]
        rows = [answer for answer in answers if answer is not None]
        weight = network.get_output_embeddings().weight.detach()[rows].float()
        head = nn.Linear(weight.shape[1], len(rows), bias=False, device=weight.device)
        head.weight = nn.Parameter(weight, requires_grad=False)
        network.set_output_embeddings(head)
        model[-1].true_token_id = 0
        model[-1].false_token_id = 1 if len(rows) == 2 else None
        heads = [head]
    else:
        heads = [
            layer
            for layer in model.modules()
            if type(layer) is nn.Linear and layer.out_features == 1
        ]

    def widen(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(each.float() for each in inputs)

    for head in heads:
        head.float().register_forward_pre_hook(widen)


def _saved_activation(model: CrossEncoder) -> Activation:
    """Return the activation that the checkpoint asks for; the sigmoid if it asks for none."""
    kind = type(model.activation_fn).__name__
    if kind == "Sigmoid":
        return "sigmoid"
    if kind == "Identity":
        return "identity"
    msg = (
        f"the checkpoint asks for the activation {kind}; choose activation='sigmoid' or 'identity'"
    )
    raise EncoderError(msg)
