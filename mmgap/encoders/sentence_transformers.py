"""Encoders of a hub or a folder, run by sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.encoders.base import EncoderInfo, Role
from mmgap.encoders.batching import in_batches, tokens_per_batch
from mmgap.encoders.checkpoint import fingerprint, licence, local_folder, outside_of
from mmgap.encoders.device import pick_device
from mmgap.encoders.st_inputs import image_tokens, processing_options, rgb
from mmgap.encoders.st_load import load_model
from mmgap.encoders.st_text import TokenBatches, check_texts, text_recipe
from mmgap.encoders.truncation import check_dim, truncate
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from PIL import Image
    from sentence_transformers import SentenceTransformer

    from mmgap.encoders.catalog import ModelFacts

_RECIPE = "2"
"""Raise it when these files change what an encoder returns: cached vectors are then made again."""


class SentenceTransformerEncoder:
    """A checkpoint that reads texts, images or both, loaded by sentence-transformers.

    Takes CLIP, MetaCLIP 2, SigLIP and SigLIP 2 in the layout of transformers, Qwen3-VL-Embedding,
    EmbeddingGemma 2, Nomic Embed Text and any other sentence-transformers folder. Each model gets
    the preprocessing it was trained with: SigLIP's texts are padded to full length without a mask,
    SigLIP 2's are lower-cased as well, Qwen's instruction goes into the system message, nomic's
    text vectors get a layer norm, and images are resized by Pillow on every machine. Weights must
    be safetensors: nothing is unpickled.

    Parameters
    ----------
    name : str
        An id of the catalogue, a hub id such as ``"openai/clip-vit-base-patch32"``, or a folder.
    folder : Path or None
        Where the files are; ``None`` fetches them, if ``name`` is no folder.
    revision : str or None
        Commit, tag or branch of a hub id; give a commit for numbers that last. ``None`` takes the
        catalogue's.
    device : str, default "auto"
        ``"cpu"``, ``"cuda"`` ...; ``"auto"`` takes the fastest there is.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        Number format of weights and activations; the vectors are float32 in any case. ``"auto"``
        is bfloat16 on a GPU (float16 on one that has none) and float32 elsewhere.
    dim : int or None
        Keep the first ``dim`` numbers of each vector; the model must have been trained for that.
    facts : ModelFacts or None
        The catalogue's row; ``None`` for a model that is not in it.
    trust_remote_code : bool, default False
        Run Python code that comes with the checkpoint. A hub id then needs a ``revision``.

    Attributes
    ----------
    info : EncoderInfo

    Raises
    ------
    EncoderError
        If there is no such checkpoint, it cannot be loaded, it would give wrong vectors here (the
        image tower of nomic, EmbeddingGemma in float16), it needs code from the hub, or it cannot
        be cut to ``dim``.

    Notes
    -----
    ``normalize=False`` gives the pooled vectors before any division by their length, also where the
    checkpoint has a ``Normalize`` module of its own.

    Examples
    --------
    >>> SentenceTransformerEncoder("no/such/folder")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'no/such/folder' is neither a folder nor a hub id ...
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
        dim: int | None = None,
        facts: ModelFacts | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        name = str(name)
        is_local = folder is not None or Path(name).expanduser().is_dir()
        if trust_remote_code and revision is None and not is_local:
            msg = f"trust_remote_code for {name!r} needs a revision: the commit whose code you read"
            raise EncoderError(msg)
        if not is_local and revision is None and facts is not None:
            revision = facts.revision
        folder = local_folder(name, revision) if folder is None else Path(folder)
        self._model = load_model(
            name,
            folder,
            device=pick_device(device),
            dtype=dtype,
            pooling="" if facts is None else facts.pooling,
            trust_remote_code=trust_remote_code,
        )
        first = self._model[0]
        self._name = name
        self._recipe = text_recipe(self._model, name, facts)
        self._options = processing_options(self._model, self._recipe.max_tokens)
        self._modalities = _modalities(self._model)
        native = self._text_vectors(["dimension"], "document", 1).shape[1]
        vision = getattr(first.config, "vision_config", None)
        image_size = getattr(vision, "image_size", None) or (facts and facts.image_size)
        self._image_tokens = image_tokens(vision)
        lengths = tuple(sorted(d for d in (facts.matryoshka_dims if facts else ()) if d <= native))
        self._dim = check_dim(dim, native, lengths, name)
        pooling = [getattr(module, "pooling_mode", "") for module in self._model]
        dtype = str(first.model.dtype)
        decides = (_RECIPE, dtype, self._dim, self._recipe, self._options, pooling)
        self.info = EncoderInfo(
            id=name,
            fingerprint=fingerprint(
                folder, f"sentence-transformers {decides}{outside_of(folder, self._model)}"
            ),
            backend="sentence-transformers",
            dim=self._dim,
            licence=licence(folder) if facts is None else facts.licence,
            logit_scale=_parameter(first.model, "logit_scale", np.exp),
            logit_bias=_parameter(first.model, "logit_bias", float),
            revision=revision,
            max_text_tokens=self._recipe.max_tokens,
            image_size=image_size if isinstance(image_size, int) else None,
            modalities=self._modalities,
            matryoshka_dims=lengths,
        )

    def __repr__(self) -> str:
        return f"SentenceTransformerEncoder({self.info.id!r}, dim={self.info.dim})"

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_text, dim), in the order given.

        Parameters
        ----------
        texts : sequence of str
            Always read as texts, also where one looks like the path or address of an image.
        role : {"document", "query"}
            Which of the model's prompts goes with them.
        batch_size : int, default 64
            A batch never holds more tokens than this many of the longest text; short texts go in
            larger batches.
        normalize : bool, default True
            Return unit-norm rows.

        Raises
        ------
        EncoderError
            If ``texts`` is no list of texts.
        """
        texts = check_texts(texts)
        if not texts:
            return self._nothing()
        vectors = self._text_vectors(texts, role, batch_size)
        return truncate(vectors, self._dim, normalize=normalize)

    def encode_images(
        self,
        images: Sequence[Image.Image],
        *,
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return float32 vectors of shape (n_image, dim), in the order given.

        Parameters
        ----------
        images : sequence of PIL images
        batch_size : int, default 64
            At most so many at once; on a processor fewer, which is faster there.
        normalize : bool, default True
            Return unit-norm rows.

        Raises
        ------
        EncoderError
            If the model reads text only, or ``images`` holds something else.
        """
        self._require("image", "use it for the text leg, or load a CLIP-like model")
        if len(images) == 0:
            return self._nothing()
        inputs = [
            {"image": rgb(image, f"image {position}")} for position, image in enumerate(images)
        ]
        prompt = self._recipe.document_prompt if self._recipe.system_prompt else None
        vectors = in_batches(
            inputs,
            lambda batch: self._processed(list(batch), prompt),
            batch_size=self._image_batch(batch_size),
        )
        return truncate(vectors, self._dim, normalize=normalize)

    def encode_fused(
        self,
        pairs: Sequence[tuple[str, Image.Image]],
        *,
        role: Role = "document",
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        """Return one float32 vector for each pair of a text and an image, read together.

        The model sees the image first, then the text.

        Parameters
        ----------
        pairs : sequence of (str, PIL image)
        role : {"document", "query"}
            Which of the model's prompts goes with them.
        batch_size : int, default 64
            At most so many at once; on a processor fewer, which is faster there.
        normalize : bool, default True
            Return unit-norm rows.

        Returns
        -------
        float32 ndarray of shape (n_pair, dim)

        Raises
        ------
        EncoderError
            If the model cannot read both as one input, or ``pairs`` holds something else.
        """
        self._require("fused", "encode texts and images apart, and fuse the scores")
        if len(pairs) == 0:
            return self._nothing()
        texts = check_texts([text for text, _ in pairs])
        images = [rgb(image, f"the image of pair {at}") for at, (_, image) in enumerate(pairs)]
        prompt = self._recipe.prompt(role) if self._recipe.system_prompt else None
        inputs = [
            {"image": image, "text": self._recipe.prepare(text, role)}
            for text, image in zip(texts, images, strict=True)
        ]
        vectors = in_batches(
            inputs,
            lambda batch: self._processed(list(batch), prompt),
            batch_size=self._image_batch(batch_size),
        )
        return truncate(vectors, self._dim, normalize=normalize)

    def _text_vectors(self, texts: list[str], role: Role, batch_size: int) -> np.ndarray:
        """Return the vectors as the model gives them, uncut."""
        prepared = [self._recipe.prepare(text, role) for text in texts]
        tokens = TokenBatches(self._model.tokenizer, prepared, self._recipe)
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

    def _image_batch(self, batch_size: int) -> int:
        """Return how many images go through the model at once."""
        tokens = tokens_per_batch(batch_size, self._image_tokens, self._model.device.type)
        return max(1, tokens // self._image_tokens)

    def _require(self, modality: str, remedy: str) -> None:
        if modality not in self._modalities:
            known = ", ".join(self._modalities)
            wanted = "no images" if modality == "image" else "no text and image as one input"
            msg = f"{self._name!r} reads {known} only, {wanted}; {remedy}"
            raise EncoderError(msg)

    def _nothing(self) -> np.ndarray:
        return np.empty((0, self._dim), dtype=np.float32)


def _reads_tokens(model: SentenceTransformer) -> bool:
    """Tell whether plain tokens are the input, with nothing that only the processor adds."""
    first = model[0]
    chat = "message" in first.modalities
    without_prompt = any(getattr(module, "include_prompt", True) is False for module in model)
    return not chat and not without_prompt


def _modalities(model: SentenceTransformer) -> tuple[str, ...]:
    if not model.supports("image"):
        return ("text",)
    fused = model.supports(("image", "text")) or model.supports(("text", "image"))
    return ("text", "image", "fused") if fused else ("text", "image")


def _parameter(tower: object, name: str, convert: Any) -> float | None:
    value = getattr(tower, name, None)
    return None if value is None else float(convert(float(value.detach().cpu())))
