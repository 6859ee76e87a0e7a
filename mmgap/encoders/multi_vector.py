"""Late-interaction encoders: ColPali, ColQwen2, ColModernVBert, ColBERT."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.batching import in_batches
from mmgap.encoders.catalog import ModelFacts
from mmgap.encoders.checkpoint import (
    fingerprint,
    licence,
    local_folder,
    outside_of,
    require_safetensors,
)
from mmgap.encoders.device import pick_device, pick_dtype
from mmgap.encoders.loading import loading
from mmgap.encoders.st_inputs import rgb
from mmgap.encoders.st_text import check_texts
from mmgap.encoders.token_vectors import TokenVectors
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from PIL import Image

_RECIPE = "1"
"""Raise it when this file changes what an encoder returns: cached vectors are then made again."""

_PROMPT_TOKENS = 64
"""Places kept free for what a processor puts around a text."""

Item = TypeVar("Item")


class MultiVectorEncoder:
    """A model with one vector for every token or image patch.

    Takes transformers' own ``*ForRetrieval`` checkpoints (ColPali, ColQwen2, ColQwen2.5,
    ColModernVBert) and what sentence-transformers loads as a ``MultiVectorEncoder`` (ColBERT and
    its kin, which read text only). Its vectors come as
    :class:`~mmgap.encoders.token_vectors.TokenVectors`; score them with
    :func:`mmgap.encoders.similarity.similarity`.

    Parameters
    ----------
    name : str
        Id in the catalogue, hub id, or folder.
    folder : Path or None
        Where the files are, if they are not to be fetched.
    revision : str or None
        Commit, tag or branch of a hub id.
    device : str, default "auto"
    dtype : str, default "auto"
        ``"float32"``, ``"bfloat16"`` ...; ``"auto"`` is bfloat16 on a GPU that has it, else float16
        on a GPU, else float32.
    facts : ModelFacts or None
        The catalogue's row.
    trust_remote_code : bool, default False
        Run Python code that comes with the checkpoint.

    Attributes
    ----------
    info : EncoderInfo

    Raises
    ------
    EncoderError
        If there is no such checkpoint, it is of another kind, or it cannot be loaded.

    Notes
    -----
    The processor of a ``*ForRetrieval`` model writes a prefix (``"Query: "``) before each query and
    ten augmentation tokens after it. A text *document* gets neither: that is how colpali-engine
    renders it [1]_, and the marks shared by all queries and documents would otherwise find each
    other. These models were trained on pages as documents; a text leg is outside of their training.

    Images of ColQwen2 get positions in rows and columns, as in training. transformers 5.23 itself
    gives them positions in one line, see ``_Retriever``.

    References
    ----------
    .. [1] https://github.com/illuin-tech/colpali, ``BaseVisualRetrieverProcessor.process_texts``.
    .. [2] Faysse et al., "ColPali: Efficient Document Retrieval with Vision Language Models",
       ICLR 2025.

    Examples
    --------
    >>> MultiVectorEncoder("no/such/folder")  # doctest: +SKIP
    """

    info: EncoderInfo

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
        revision = revision or (facts.revision if facts else None)
        if trust_remote_code and revision is None and folder is None and not Path(name).is_dir():
            msg = f"trust_remote_code for {name!r} needs a revision: the commit whose code you read"
            raise EncoderError(msg)
        folder = folder or local_folder(name, revision)
        device = pick_device(device)
        dtype = pick_dtype(dtype, device, name=name)
        load = _kind(name, folder)
        with loading(name, folder):
            self._tower = load(folder, device, dtype, trust_remote_code)
        self._max_text_tokens = self._tower.max_text_tokens
        if facts is not None and facts.max_text_tokens is not None:
            self._max_text_tokens = min(facts.max_text_tokens, self._max_text_tokens)
        recipe = f"multi-vector recipe {_RECIPE} {dtype} {self._max_text_tokens}"
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint(folder, recipe + outside_of(folder, self._tower._model)),
            backend="multi-vector",
            dim=self._tower.dim,
            licence=facts.licence if facts else licence(folder),
            revision=revision,
            max_text_tokens=self._max_text_tokens,
            image_size=facts.image_size if facts else None,
            modalities=self._tower.modalities,
        )

    def __repr__(self) -> str:
        return f"MultiVectorEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> TokenVectors:
        """Return one set of float32 vectors for each text, in the order given.

        With ``role="query"`` the query's prefix and augmentation tokens count among its tokens.
        ``normalize=False`` gives the vectors as the model does, which mostly are of unit norm too.
        """
        texts = check_texts(texts)
        texts = self._tower.cut(texts, self._max_text_tokens) if texts else []
        encode = self._tower.queries if role == "query" else self._tower.documents
        return self._encode(texts, encode, batch_size, normalize=normalize, length=len)

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> TokenVectors:
        """Return one set of float32 vectors for each image, in the order given.

        Raises
        ------
        EncoderError
            If the model reads text only.
        """
        if "image" not in self.info.modalities:
            msg = (
                f"{self.info.id!r} reads text only, no images; use it for the text leg, or load a "
                "model such as ColPali"
            )
            raise EncoderError(msg)
        images = [rgb(image, f"image {at}") for at, image in enumerate(images)]
        return self._encode(images, self._tower.images, batch_size, normalize=normalize)

    def _encode(
        self,
        items: list[Item],
        encode: Callable[[list[Item]], list[np.ndarray]],
        batch_size: int,
        *,
        normalize: bool,
        length: Callable[[Item], int] | None = None,
    ) -> TokenVectors:
        if not items:
            return TokenVectors.from_arrays([], self.info.dim)

        def forward(batch: Sequence[Item]) -> np.ndarray:
            rows = np.empty(len(batch), dtype=object)
            for row, vectors in enumerate(encode(list(batch))):
                rows[row] = np.asarray(vectors, dtype=np.float32)
            return rows

        vectors = TokenVectors.from_arrays(
            list(in_batches(items, forward, batch_size=batch_size, length=length))
        )
        if not normalize:
            return vectors
        norm = np.linalg.norm(vectors.tokens, axis=1, keepdims=True)
        return TokenVectors(vectors.tokens / np.where(norm == 0, 1, norm), vectors.offsets)


class _Tower(Protocol):
    """A loaded model: batches in, one array of shape (n_token, dim) for each item out."""

    dim: int
    modalities: tuple[str, ...]
    max_text_tokens: int
    _model: Any

    def cut(self, texts: list[str], max_text_tokens: int) -> list[str]: ...
    def queries(self, texts: list[str]) -> list[np.ndarray]: ...
    def documents(self, texts: list[str]) -> list[np.ndarray]: ...
    def images(self, images: list[Image.Image]) -> list[np.ndarray]: ...


class _Retriever:
    """A ``*ForRetrieval`` model of transformers.

    Run directly and not through sentence-transformers, for three reasons. Queries of
    ColModernVBert lack their augmentation tokens there, since its processor adds them only in
    ``process_queries``. Text documents are rendered as queries. And
    ``ColQwen2ForRetrieval.forward`` of transformers 5 no longer computes the positions of image
    patches in rows and columns (up to 4.57 it called ``get_rope_index``), so they are given to it.
    """

    modalities: tuple[str, ...] = ("text", "image")

    def __init__(self, folder: Path, device: str, dtype: str, trust_remote_code: bool) -> None:
        import transformers

        options = {"local_files_only": True, "trust_remote_code": trust_remote_code}
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        model_class = getattr(transformers, config.architectures[0], transformers.AutoModel)
        model = model_class.from_pretrained(folder, dtype=dtype, use_safetensors=True, **options)
        self._model = model.eval().to(device)
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
            text if len(places) <= max_text_tokens else text[: places[max_text_tokens - 1][1]]
            for text, places in zip(texts, encoded["offset_mapping"], strict=True)
        ]

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        return self._forward(self._queries(texts))

    def documents(self, texts: list[str]) -> list[np.ndarray]:
        return self._forward(self._documents(texts))

    def images(self, images: list[Image.Image]) -> list[np.ndarray]:
        features = self._images(images)
        if "image_grid_thw" in features:
            ids = features["input_ids"]
            features["position_ids"], _ = self._model.vlm.get_rope_index(
                ids,
                mm_token_type_ids=(ids == self._image_token).int(),
                image_grid_thw=features["image_grid_thw"],
                attention_mask=features["attention_mask"],
            )
        return self._forward(features)

    def _forward(self, features: Any) -> list[np.ndarray]:
        import torch

        features = {
            name: value.to(self._model.device)
            for name, value in features.items()
            if name != "labels"  # only training needs them
        }
        with torch.inference_mode():
            embeddings = self._model(**features).embeddings.float().cpu()
        kept = features["attention_mask"].bool().cpu()
        return [row[mask].numpy() for row, mask in zip(embeddings, kept, strict=True)]


class _SentenceTransformer:
    """A late-interaction model of sentence-transformers, which has its own prompts and lengths."""

    def __init__(self, folder: Path, device: str, dtype: str, trust_remote_code: bool) -> None:
        from sentence_transformers import MultiVectorEncoder

        self._model = MultiVectorEncoder(
            str(folder),
            device=device,
            trust_remote_code=trust_remote_code,
            # Adapters are saved without their base model, which the hub then gives.
            local_files_only=not (trust_remote_code or (folder / "adapter_config.json").is_file()),
            model_kwargs={"use_safetensors": True, "dtype": dtype},
            processor_kwargs={"backend": "pil"},
        )
        self.dim = self._model.get_embedding_dimension()
        self.modalities = tuple(
            kind for kind in ("text", "image") if kind == "text" or self._model.supports(kind)
        )
        self.max_text_tokens = self._model[0].document_length or self._model.max_seq_length

    def cut(self, texts: list[str], max_text_tokens: int) -> list[str]:  # noqa: ARG002
        return texts  # the model cuts queries and documents to lengths of their own

    def queries(self, texts: list[str]) -> list[np.ndarray]:
        return self._run(self._model.encode_query, [{"text": text} for text in texts])

    def documents(self, texts: list[str]) -> list[np.ndarray]:
        return self._run(self._model.encode_document, [{"text": text} for text in texts])

    def images(self, images: list[Image.Image]) -> list[np.ndarray]:
        return self._run(self._model.encode_document, [{"image": image} for image in images])

    @staticmethod
    def _run(encode: Callable[..., Any], inputs: list[dict[str, Any]]) -> list[np.ndarray]:
        # A dict, since a bare string that looks like a path or URL would be read as an image.
        found = encode(
            inputs, batch_size=len(inputs), show_progress_bar=False, convert_to_numpy=True
        )
        return list(found)


def _kind(name: str, folder: Path) -> Callable[[Path, str, str, bool], _Tower]:
    """Tell from its files how a checkpoint is to be loaded."""
    architectures = _json(folder / "config.json").get("architectures") or [""]
    saved_as = _json(folder / "config_sentence_transformers.json").get("model_type")
    if (folder / "adapter_config.json").is_file() and saved_as != "MultiVectorEncoder":
        base = _json(folder / "adapter_config.json").get("base_model_name_or_path")
        msg = (
            f"{name!r} ({folder}) holds only a LoRA adapter of {base!r}; expected whole weights. "
            "Take a merged checkpoint, whose name mostly ends in '-hf' or '-merged'"
        )
        raise EncoderError(msg)
    require_safetensors(name, folder)
    if architectures[0].endswith("ForRetrieval"):
        return _Retriever
    if saved_as in {"MultiVectorEncoder", "ColBERT"} or architectures[0] == "HF_ColBERT":
        return _SentenceTransformer
    msg = (
        f"{name!r} ({folder}) is a {architectures[0] or 'model of unknown kind'}, which gives no "
        "token vectors that were trained for late interaction; expected a *ForRetrieval or ColBERT "
        "checkpoint. Load it without the multi-vector backend"
    )
    raise EncoderError(msg)


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
