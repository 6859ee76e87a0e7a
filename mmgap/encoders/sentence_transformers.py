"""Encoders of a hub or a folder, run by sentence-transformers.

Takes CLIP, MetaCLIP 2, SigLIP and SigLIP 2 in the layout of transformers, Qwen3-VL-Embedding,
EmbeddingGemma 2, Nomic Embed Text and any other sentence-transformers folder, each with the
preprocessing that it was trained with: SigLIP's texts are padded to full length without a mask,
SigLIP 2's are lower-cased as well, Qwen's instruction goes into the system message, nomic's text
vectors get a layer norm, and images are resized by Pillow on every machine. Weights must be
safetensors: nothing is unpickled.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap._compat import ensure_torchvision
from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, facts_of
from mmgap.encoders.files import (
    architectures,
    find_checkpoint,
    fingerprint,
    licence,
    loading,
    read_json,
    resize_by_pillow,
)
from mmgap.encoders.running import in_batches, pick_device, pick_dtype, tokens_per_batch
from mmgap.encoders.vectors import check_dim
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

_RECIPE = "2"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

QWEN_PIXELS = {"shortest_edge": 4 * 32 * 32, "longest_edge": 1800 * 32 * 32}
"""Pixels per image of Qwen3-VL-Embedding; "edge" is the processor's word, the unit is pixels."""

QWEN_INSTRUCTION = "Represent the user's input."
"""What Qwen3-VL-Embedding was trained with where no task is named."""

QWEN_MAX_TOKENS = 8192
"""Default of Qwen3-VL-Embedding, whose context would take 32768."""

_USUAL_IMAGE_TOKENS = 256  # of models that see images in many sizes
_NO_LIMIT = 1_000_000  # tokenizers without a limit say 1e30
_NO_FLOAT16 = {"embedding_gemma2", "gemma3_text"}  # their activations become NaN in float16
_VISION_KEYS = {"img_size", "image_size", "patch_size", "num_channels"}
_POOLING = {"cls": "cls", "mean": "mean", "last": "lasttoken"}  # the catalogue's words


class SentenceTransformerEncoder(BaseEncoder):
    """A checkpoint that reads texts, images or both.

    ``name`` is an id of the catalogue, a hub id or a folder; ``folder`` where the files are, if
    not to be fetched; ``revision`` a commit of a hub id, by default the catalogue's; ``dim`` keeps
    the first numbers of each vector, if the model was trained for that. Code that comes with the
    checkpoint runs only with ``trust_remote_code``, and for a hub id only with a ``revision``.

    >>> SentenceTransformerEncoder("no/such/folder")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'no/such/folder' is neither a folder nor a hub id ...
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
        trust_remote_code: bool = False,
    ) -> None:
        facts = facts or facts_of(name)
        folder, revision = find_checkpoint(name, folder, revision, facts, trust=trust_remote_code)
        self._model = _load(
            name,
            folder,
            device=pick_device(device),
            dtype=dtype,
            pooling=facts.pooling,
            trust_remote_code=trust_remote_code,
        )
        first = self._model[0]
        self._recipe = text_recipe(self._model, name, facts)
        self._options = processing_options(self._model, self._recipe.max_tokens)
        native = self._text_rows(["dimension"], "document", 1).shape[1]
        vision = getattr(first.config, "vision_config", None)
        image_size = getattr(vision, "image_size", None) or facts.image_size
        self._image_tokens = image_tokens(vision)
        dim, lengths = check_dim(dim, native, facts.matryoshka_dims, name)
        pooling = [getattr(module, "pooling_mode", "") for module in self._model]
        dtype = str(first.model.dtype)
        decides = (_RECIPE, dtype, dim, self._recipe, self._options, pooling)
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint(folder, f"sentence-transformers {decides}", self._model),
            backend="sentence-transformers",
            dim=dim,
            licence=facts.licence or licence(folder),
            logit_scale=_parameter(first.model, "logit_scale", np.exp),
            logit_bias=_parameter(first.model, "logit_bias", float),
            revision=revision,
            max_text_tokens=self._recipe.max_tokens,
            image_size=image_size if isinstance(image_size, int) else None,
            modalities=_modalities(self._model),
            matryoshka_dims=lengths,
        )

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        prepared = [self._recipe.prepare(text, role) for text in texts]
        tokens = _TokenBatches(self._model.tokenizer, prepared, self._recipe)
        forward: Callable[[Sequence[int]], np.ndarray]
        if _reads_tokens(self._model):

            def forward(positions: Sequence[int]) -> np.ndarray:
                return self._forward(tokens.features(positions), layer_norm=self._recipe.layer_norm)

        else:
            prompt = self._recipe.prompt(role) if self._recipe.system_prompt else None

            def forward(positions: Sequence[int]) -> np.ndarray:
                # A bare string that looks like a path or address would be read as an image.
                return self._processed([{"text": prepared[at]} for at in positions], prompt)

        positions = range(len(texts))
        longest = max(map(tokens.length, positions))
        return in_batches(
            positions,
            forward,
            batch_size=batch_size,
            length=tokens.length,
            max_tokens=tokens_per_batch(batch_size, longest, self._model.device.type),
        )

    def _image_rows(self, images: list[Any]) -> np.ndarray:
        prompt = self._recipe.document_prompt if self._recipe.system_prompt else None
        return self._processed([{"image": image} for image in images], prompt)

    def _image_batch(self, batch_size: int) -> int:
        tokens = tokens_per_batch(batch_size, self._image_tokens, self._model.device.type)
        return max(1, tokens // self._image_tokens)

    def _processed(self, inputs: list[dict[str, Any]], prompt: str | None) -> np.ndarray:
        """Let sentence-transformers prepare inputs, all of the same kind, and run the model."""
        features = self._model.preprocess(inputs, prompt=prompt, processing_kwargs=self._options)
        return self._forward(features)

    def _forward(self, features: dict[str, Any], *, layer_norm: bool = False) -> np.ndarray:
        import torch
        from sentence_transformers.util import batch_to_device

        with torch.inference_mode():
            output = self._model(batch_to_device(features, self._model.device))
            vectors = output["sentence_embedding"].float()
            if layer_norm:
                vectors = torch.nn.functional.layer_norm(vectors, vectors.shape[1:])
            return vectors.cpu().numpy()


def _reads_tokens(model: SentenceTransformer) -> bool:
    """Tell whether plain tokens are the input, with nothing that only the processor adds."""
    without_prompt = any(getattr(module, "include_prompt", True) is False for module in model)
    return "message" not in model[0].modalities and not without_prompt


def _modalities(model: SentenceTransformer) -> tuple[str, ...]:
    if not model.supports("image"):
        return ("text",)
    fused = model.supports(("image", "text")) or model.supports(("text", "image"))
    return ("text", "image", "fused") if fused else ("text", "image")


def _parameter(tower: object, name: str, convert: Any) -> float | None:
    value = getattr(tower, name, None)
    return None if value is None else float(convert(float(value.detach().cpu())))


# --- what is done to texts and images -------------------------------------------------------------


@dataclass(frozen=True)
class TextRecipe:
    """What happens to a text before the model sees it, and to its vector after.

    >>> recipe = TextRecipe(query_prompt="query: ", lower_case=True, placeholders=("<|image|>",))
    >>> recipe.prepare("A Cat, <|image|>", "query")
    'query: a cat, < |image|>'
    """

    query_prompt: str = ""  # put before the text, or into the system message
    document_prompt: str = ""
    system_prompt: bool = False  # the prompt is a chat's instruction, and images get it too
    lower_case: bool = False  # SigLIP 2, whose tokenizer may not do it
    pad_to: int | None = None  # pad every text so far, without a mask: SigLIP reads the last token
    max_tokens: int | None = None  # longer texts are cut
    layer_norm: bool = False  # of the pooled vector, without weights (nomic)
    placeholders: tuple[str, ...] = ()  # stand for an image or sound; broken up in a text

    def prompt(self, role: Role) -> str:
        """Return the prompt of a role."""
        return self.query_prompt if role == "query" else self.document_prompt

    def prepare(self, text: str, role: Role) -> str:
        """Return what is cut into tokens."""
        text = text.lower() if self.lower_case else text
        for word in self.placeholders:
            text = text.replace(word, f"{word[0]} {word[1:]}")
        return text if self.system_prompt else self.prompt(role) + text


def text_recipe(model: SentenceTransformer, name: str, facts: ModelFacts) -> TextRecipe:
    """Return how a model's texts are made ready.

    The catalogue's prompts win over the checkpoint's own; never are both put before a text.
    """
    first = model[0]
    model_type = first.config.model_type
    own = model.prompts
    query_prompt = own.get("query") or ""
    # sentence-transformers adds an empty "document", which must not hide a "passage" that is there.
    document_prompt = next(filter(None, map(own.get, ("document", "passage", "corpus"))), "")
    if facts.query_prompt or facts.document_prompt:
        query_prompt, document_prompt = facts.query_prompt, facts.document_prompt
    if model_type == "qwen3_vl":
        query_prompt, document_prompt = _instruction(query_prompt), _instruction(document_prompt)
    siglip = model_type in {"siglip", "siglip2"}
    # SigLIP 2's fixed-size models say "siglip"; their name or Gemma tokenizer tells.
    siglip2 = model_type == "siglip2" or (
        siglip
        and (
            "siglip2" in name.lower()
            or type(first.tokenizer).__name__.startswith(("Gemma", "Siglip2"))
        )
    )
    max_tokens = _max_tokens(first, facts)
    return TextRecipe(
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        # EmbeddingGemma 2 has a chat template as well, but its prompts are the head of the text.
        system_prompt="message" in first.modalities and model_type != "embedding_gemma2",
        lower_case=siglip2,
        pad_to=max_tokens if siglip else None,
        max_tokens=max_tokens,
        layer_norm=facts.layer_norm,
        placeholders=tuple(
            word
            for kind in ("image", "video", "audio")
            if (word := getattr(first.processor, f"{kind}_token", None))
        ),
    )


def _instruction(prompt: str) -> str:
    """Return an instruction as Qwen's makers give it: never empty, with punctuation at its end."""
    prompt = prompt.strip() or QWEN_INSTRUCTION
    return prompt if unicodedata.category(prompt[-1]).startswith("P") else f"{prompt}."


def _max_tokens(first: Transformer, facts: ModelFacts) -> int | None:
    """Return the least of what tokenizer, positions and catalogue allow, or ``None``."""
    limits = [
        first.max_seq_length,
        facts.max_text_tokens,
        QWEN_MAX_TOKENS if first.config.model_type == "qwen3_vl" else None,
    ]
    positions = getattr(first.config.get_text_config(), "max_position_embeddings", None)
    if positions:
        limits.append(positions - _position_offset(first.model))
    known = [int(limit) for limit in limits if limit and 0 < limit < _NO_LIMIT]
    return min(known, default=None)


def _position_offset(model: torch.nn.Module) -> int:
    """Return how many positions the RoBERTa family leaves unused: it counts from the padding id."""
    import torch

    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        table = getattr(module, "position_embeddings", None)
        if isinstance(padding, int) and isinstance(table, torch.nn.Embedding):
            return padding + 1
    return 0


class _TokenBatches:
    """The tokens of many texts, cut once, from which padded batches are taken."""

    def __init__(self, tokenizer: Any, texts: list[str], recipe: TextRecipe) -> None:
        self._pad, self._pad_to = tokenizer.pad, recipe.pad_to
        cut = recipe.max_tokens is not None
        self._rows: dict[str, list[list[int]]] = dict(
            tokenizer(
                texts, truncation=cut, max_length=recipe.max_tokens, return_attention_mask=False
            )
        )

    def length(self, position: int) -> int:
        """Return how many tokens a text takes in a batch of its own."""
        return self._pad_to or max(1, len(self._rows["input_ids"][position]))

    def features(self, positions: Sequence[int]) -> dict[str, Any]:
        """Return some of the texts as the padded input of a model."""
        batch = self._pad(
            {name: [rows[position] for position in positions] for name, rows in self._rows.items()},
            padding="max_length",
            max_length=max(map(self.length, positions)),
            return_attention_mask=self._pad_to is None,
            return_tensors="pt",
        )
        return {"modality": "text", **batch}


def processing_options(model: SentenceTransformer, max_tokens: int | None) -> dict[str, Any]:
    """Return the ``processing_kwargs`` of every call, beyond what the checkpoint itself says."""
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
    """Return how many tokens one image is to a vision transformer with this configuration.

    >>> from types import SimpleNamespace
    >>> image_tokens(SimpleNamespace(image_size=224, patch_size=32))
    50
    """
    side, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    if not isinstance(side, int) or not isinstance(patch, int):
        return _USUAL_IMAGE_TOKENS
    return (side // patch) ** 2 + 1


# --- loading: what is refused, and what is set right ----------------------------------------------


def _load(
    name: str, folder: Path, *, device: str, dtype: str, pooling: str, trust_remote_code: bool
) -> SentenceTransformer:
    """Load a checkpoint so that it gives its vectors before the last normalisation."""
    config = read_json(folder, "config.json")
    _refuse(name, config, trust_remote_code=trust_remote_code)
    kind = str(config.get("model_type"))
    dtype = pick_dtype(dtype, device, name=name, float16=kind not in _NO_FLOAT16)
    # Nomic's own code breaks in transformers 5, which has a class of its own for the text model.
    trust_remote_code = trust_remote_code and kind != "nomic_bert"
    # BERT's pooler was made for another task; many embedders leave it out of their files.
    with loading(name, folder, unused="pooler"):
        from sentence_transformers.base.modules import Normalize

        model = _from_folder(folder, dtype, pooling, trust_remote_code=trust_remote_code)
        _check_first_module(name, model)
        while isinstance(model[-1], Normalize):  # callers normalise, after cutting
            del model[-1]
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        msg = f"{name!r} cannot be put on device {device!r}: {error}. Expected auto, cpu, cuda, mps"
        raise EncoderError(msg) from error


def _refuse(name: str, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    """Raise for checkpoints that would give wrong vectors or run foreign code."""
    kind = str(config.get("model_type"))
    if kind == "nomic_bert" and (
        _VISION_KEYS & set(config) or re.search("Vision", architectures(config))
    ):
        msg = (
            f"{name!r} is the image tower of Nomic Embed, but calls itself nomic_bert, so that "
            "transformers would load it as the text model and give wrong vectors. Load both "
            "towers through ONNX: load_encoder('nomic-embed-v1.5')"
        )
        raise EncoderError(msg)
    if kind == "nomic_bert" and config.get("moe_every_n_layers"):
        msg = (
            f"{name!r} is a mixture of experts, but transformers' NomicBertModel is not and would "
            "leave the experts' weights random. Take nomic-ai/nomic-embed-text-v1.5"
        )
        raise EncoderError(msg)
    if "auto_map" in config and not trust_remote_code:
        ensure_torchvision()
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        if kind not in CONFIG_MAPPING:
            msg = (
                f"{name!r} (model_type {config.get('model_type')!r}) is not part of transformers "
                "and runs only with Python code that comes with it. Look in 'mmgap models' for a "
                "way without (jina-clip runs through ONNX), or read that code and pass "
                "trust_remote_code=True with the revision that you read"
            )
            raise EncoderError(msg)


def _from_folder(
    folder: Path, dtype: str, pooling: str, *, trust_remote_code: bool
) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    shared = {"trust_remote_code": trust_remote_code, "local_files_only": not trust_remote_code}
    model_kwargs = {"use_safetensors": True, "dtype": dtype}
    # Processors with a part for videos refuse the word, since that part knows no Pillow.
    video = (folder / "video_preprocessor_config.json").is_file() or (
        "video_processor" in read_json(folder, "processor_config.json")
    )
    processor_kwargs = {} if video else {"backend": "pil"}
    if (folder / "modules.json").is_file():
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            **shared,
        )
    else:
        transformer = Transformer(
            str(folder),
            model_kwargs={**model_kwargs, **shared},
            processor_kwargs={**processor_kwargs, **shared},
            config_kwargs=shared,
        )
        modules: list[Any] = [transformer]
        if transformer.module_output_name == "token_embeddings":
            mode = _POOLING.get(pooling) or _usual_pooling(transformer)
            modules.append(Pooling(transformer.get_embedding_dimension(), mode))
        model = SentenceTransformer(modules=modules, device="cpu")
    if video:
        resize_by_pillow(model[0].processor, folder)
    return model


def _usual_pooling(transformer: Transformer) -> str:
    """Return the last token for what was trained to predict the next one, else the mean."""
    config = transformer.config
    classes = " ".join(getattr(config, "architectures", None) or ())
    causal = "ForCausalLM" in classes and getattr(config, "is_causal", True)
    return "lasttoken" if causal or config.model_type == "qwen3_vl" else "mean"


def _check_first_module(name: str, model: SentenceTransformer) -> None:
    from sentence_transformers.base.modules import Transformer

    if not isinstance(model[0], Transformer):
        msg = (
            f"{name!r} begins with a module {type(model[0]).__name__}; expected Transformer, whose "
            "inputs mmgap knows how to prepare"
        )
        raise EncoderError(msg)
    if model.tokenizer is None or "text" not in model.modalities:
        known = ", ".join(map(str, model.modalities)) or "nothing"
        msg = (
            f"{name!r} reads {known}, no text, and queries are texts; load a model that reads both"
        )
        raise EncoderError(msg)
