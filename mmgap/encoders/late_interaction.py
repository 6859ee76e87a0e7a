"""Late-interaction encoders: ColPali, ColQwen2, ColQwen2.5, ColModernVBert, ColBERT.

One vector for every token or image patch, as ``TokenVectors``; ``similarity`` scores them. Runs
transformers' own ``*ForRetrieval`` checkpoints, and what sentence-transformers loads as a
``MultiVectorEncoder`` (ColBERT and its kin, which read text only).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmgap.encoders.base import BaseEncoder, EncoderInfo, Role
from mmgap.encoders.catalog import ModelFacts, facts_of
from mmgap.encoders.files import (
    architectures,
    find_checkpoint,
    fingerprint,
    licence,
    loading,
    read_json,
)
from mmgap.encoders.running import in_batches, pick_device, pick_dtype
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import EncoderError

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_PROMPT_TOKENS = 64
"""Tokens kept free for what a processor puts around a text."""


class LateInteractionEncoder(BaseEncoder):
    """A model with one vector for every token or image patch.

    The options are those of ``SentenceTransformerEncoder``, without ``dim``. The processor of a
    ``*ForRetrieval`` model writes a prefix (``"Query: "``) before each query and ten augmentation
    tokens after it, which count among its tokens. A text *document* gets neither: so does
    colpali-engine (``BaseVisualRetrieverProcessor.process_texts``), and the marks shared by all
    queries and documents would otherwise find each other. These models were trained on pages as
    documents (Faysse et al., ICLR 2025); a text leg is outside of their training.
    """

    _instead = "use it for the text leg, or load a model such as ColPali"

    def __init__(
        self,
        name: str,
        *,
        folder: Path | None = None,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        facts: ModelFacts | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        facts = facts or facts_of(name)
        folder, revision = find_checkpoint(name, folder, revision, facts, trust=trust_remote_code)
        device = pick_device(device)
        dtype = pick_dtype(dtype, device, name=name)
        kind = _kind(name, folder)
        with loading(name, folder):
            self._tower = kind(folder, device, dtype, trust_remote_code)
        max_text_tokens = self._tower.max_text_tokens
        if facts.max_text_tokens is not None:
            max_text_tokens = min(facts.max_text_tokens, max_text_tokens)
        recipe = f"multi-vector recipe {_RECIPE} {dtype} {max_text_tokens}"
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint(folder, recipe, self._tower.model),
            backend="multi-vector",
            dim=self._tower.dim,
            licence=facts.licence or licence(folder),
            revision=revision,
            max_text_tokens=max_text_tokens,
            image_size=facts.image_size,
            modalities=self._tower.modalities,
        )

    def _text_rows(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        texts = self._tower.cut(texts, self.info.max_text_tokens)
        encode = self._tower.queries if role == "query" else self._tower.documents
        return in_batches(
            texts, lambda batch: _rows(encode(list(batch))), batch_size=batch_size, length=len
        )

    def _image_rows(self, images: list[Any]) -> np.ndarray:
        return _rows(self._tower.images(images))

    def _finish(self, rows: Any, *, normalize: bool) -> TokenVectors:
        vectors = TokenVectors.from_arrays(list(rows), self.info.dim)
        if not normalize or not len(vectors):
            return vectors
        norm = np.linalg.norm(vectors.tokens, axis=1, keepdims=True)
        return TokenVectors(vectors.tokens / np.where(norm == 0, 1, norm), vectors.offsets)


def _rows(arrays: Sequence[Any]) -> np.ndarray:
    """Return an array of arrays, one for each input."""
    rows = np.empty(len(arrays), dtype=object)
    for at, vectors in enumerate(arrays):
        rows[at] = np.asarray(vectors, dtype=np.float32)
    return rows


class _Retriever:
    """A ``*ForRetrieval`` model of transformers.

    Run directly and not through sentence-transformers, for three reasons. Queries of
    ColModernVBert lack their augmentation tokens there, since its processor adds them only in
    ``process_queries``. Text documents are rendered as queries. And
    ``ColQwen2ForRetrieval.forward`` of transformers 5 no longer computes the positions of image
    patches in rows and columns, as in training (up to 4.57 it called ``get_rope_index``), so they
    are given to it.
    """

    modalities: tuple[str, ...] = ("text", "image")

    def __init__(self, folder: Path, device: str, dtype: str, trust_remote_code: bool) -> None:
        import transformers

        options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        model_class = getattr(transformers, config.architectures[0], transformers.AutoModel)
        model = model_class.from_pretrained(folder, dtype=dtype, use_safetensors=True, **options)
        self.model = model.eval().to(device)
        processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil", **options)
        # To the left, padding would have no token to attend to, and can turn into NaN that spreads.
        processor.tokenizer.padding_side = "right"
        self._queries = processor.process_queries
        self._images = processor.process_images
        plain = copy.copy(processor)
        plain.query_prefix = ""
        self._documents = partial(plain.process_queries, suffix="")
        self._tokenizer = processor.tokenizer
        self._image_token = getattr(config.vlm_config, "image_token_id", None)
        self.dim = config.embedding_dim
        self.max_text_tokens = config.get_text_config().max_position_embeddings - _PROMPT_TOKENS

    def cut(self, texts: list[str], max_text_tokens: int) -> list[str]:
        """Shorten long texts before the processor puts its marks around them."""
        encoded = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        return [
            text if len(spans) <= max_text_tokens else text[: spans[max_text_tokens - 1][1]]
            for text, spans in zip(texts, encoded["offset_mapping"], strict=True)
        ]

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        return self._forward(self._queries(texts))

    def documents(self, texts: list[str]) -> list[np.ndarray]:
        return self._forward(self._documents(texts))

    def images(self, images: list[Any]) -> list[np.ndarray]:
        features = self._images(images)
        if "image_grid_thw" in features:
            ids = features["input_ids"]
            features["position_ids"], _ = self.model.vlm.get_rope_index(
                ids,
                mm_token_type_ids=(ids == self._image_token).int(),
                image_grid_thw=features["image_grid_thw"],
                attention_mask=features["attention_mask"],
            )
        return self._forward(features)

    def _forward(self, features: Any) -> list[np.ndarray]:
        import torch

        features = {
            name: value.to(self.model.device)
            for name, value in features.items()
            if name != "labels"  # only training needs them
        }
        with torch.inference_mode():
            embeddings = self.model(**features).embeddings.float().cpu()
        kept = features["attention_mask"].bool().cpu()
        return [row[mask].numpy() for row, mask in zip(embeddings, kept, strict=True)]


class _MultiVectorEncoder:
    """A late-interaction model of sentence-transformers, which has its own prompts and lengths."""

    def __init__(self, folder: Path, device: str, dtype: str, trust_remote_code: bool) -> None:
        from sentence_transformers import MultiVectorEncoder

        self.model = MultiVectorEncoder(
            str(folder),
            device=device,
            trust_remote_code=trust_remote_code,
            # Adapters are saved without their base model, which the hub then gives.
            local_files_only=not (trust_remote_code or (folder / "adapter_config.json").is_file()),
            model_kwargs={"use_safetensors": True, "dtype": dtype},
            processor_kwargs={"backend": "pil"},
        )
        self.dim = self.model.get_embedding_dimension()
        self.modalities = tuple(
            kind for kind in ("text", "image") if kind == "text" or self.model.supports(kind)
        )
        self.max_text_tokens = self.model[0].document_length or self.model.max_seq_length

    def cut(self, texts: list[str], max_text_tokens: int) -> list[str]:  # noqa: ARG002
        return texts  # the model cuts queries and documents to lengths of their own

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        return self._run(self.model.encode_query, [{"text": text} for text in texts])

    def documents(self, texts: list[str]) -> list[np.ndarray]:
        return self._run(self.model.encode_document, [{"text": text} for text in texts])

    def images(self, images: list[Any]) -> list[np.ndarray]:
        return self._run(self.model.encode_document, [{"image": image} for image in images])

    @staticmethod
    def _run(encode: Callable[..., Any], inputs: list[dict[str, Any]]) -> list[np.ndarray]:
        # A dict, since a bare string that looks like a path or URL would be read as an image.
        found = encode(
            inputs, batch_size=len(inputs), show_progress_bar=False, convert_to_numpy=True
        )
        return list(found)


def _kind(name: str, folder: Path) -> Callable[[Path, str, str, bool], Any]:
    """Tell from its files how a checkpoint is to be loaded."""
    classes = architectures(read_json(folder, "config.json"))
    saved_as = read_json(folder, "config_sentence_transformers.json").get("model_type")
    if (folder / "adapter_config.json").is_file() and saved_as != "MultiVectorEncoder":
        base = read_json(folder, "adapter_config.json").get("base_model_name_or_path")
        msg = (
            f"{name!r} ({folder}) holds only a LoRA adapter of {base!r}; expected whole weights. "
            "Take a merged checkpoint, whose name mostly ends in '-hf' or '-merged'"
        )
        raise EncoderError(msg)
    if classes.endswith("ForRetrieval"):
        return _Retriever
    if saved_as in ("MultiVectorEncoder", "ColBERT") or classes == "HF_ColBERT":
        return _MultiVectorEncoder
    msg = (
        f"{name!r} ({folder}) is a {classes or 'model of unknown kind'}, which gives no "
        "token vectors that were trained for late interaction; expected a *ForRetrieval or ColBERT "
        "checkpoint. Load it without the multi-vector backend"
    )
    raise EncoderError(msg)
