"""Load a checkpoint with sentence-transformers: what is refused, and what is set right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmgap._compat import ensure_torchvision
from mmgap.encoders.checkpoint import require_safetensors
from mmgap.encoders.device import pick_dtype
from mmgap.encoders.loading import loading
from mmgap.encoders.naming import read_json
from mmgap.errors import EncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

_NO_FLOAT16 = {"embedding_gemma2", "gemma3_text"}
"""EmbeddingGemma: its activations leave the range of float16 and become NaN."""

_VISION_KEYS = {"img_size", "image_size", "patch_size", "num_channels"}

_POOLING = {"cls": "cls", "mean": "mean", "last": "lasttoken"}
"""The catalogue's words for what sentence-transformers calls a pooling mode."""


def load_model(
    name: str,
    folder: Path,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    pooling: str = "",
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a checkpoint so that it gives its vectors before the last normalisation.

    Weights must be safetensors, so nothing is unpickled; images are prepared by Pillow, so that
    every machine sees the same pixels.

    Parameters
    ----------
    name : str
        The model, for messages.
    folder : Path
        Its files, in the layout of transformers or of sentence-transformers.
    device : str
    dtype : str
        See :func:`mmgap.encoders.device.pick_dtype`.
    pooling : {"", "cls", "mean", "last", "eos", "map"}
        How token states become one vector, if no ``modules.json`` says it.
    trust_remote_code : bool
        Run Python code of the checkpoint.

    Returns
    -------
    SentenceTransformer
        In evaluation mode, without ``Normalize`` modules at its end.

    Raises
    ------
    EncoderError
        If the checkpoint cannot be loaded, is the image tower of nomic, or needs code from the hub
        that is not trusted; if the device cannot be used, or the model not run in ``dtype``.
    MissingExtraError
        If a library is missing.
    """
    config = read_json(folder, "config.json")
    _refuse(name, folder, config, trust_remote_code=trust_remote_code)
    dtype = pick_dtype(
        dtype, device, name=name, float16=config.get("model_type") not in _NO_FLOAT16
    )
    # Nomic's own code breaks in transformers 5, which has a class of its own for the text model.
    trust_remote_code = trust_remote_code and config.get("model_type") != "nomic_bert"
    # BERT's pooler was made for another task; many embedders leave it out of their files.
    with loading(name, folder, unused="pooler"):
        model = _from_folder(folder, dtype, pooling, trust_remote_code=trust_remote_code)
    _check_first_module(name, model)
    _drop_last_normalize(model)
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        msg = f"{name!r} cannot be put on device {device!r}: {error}. Expected auto, cpu, cuda, mps"
        raise EncoderError(msg) from error


def _refuse(name: str, folder: Path, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    """Raise for checkpoints that would give wrong vectors or run foreign code."""
    architectures = " ".join(map(str, config.get("architectures") or ()))
    if config.get("model_type") == "nomic_bert" and (
        _VISION_KEYS & set(config) or re.search("Vision", architectures)
    ):
        msg = (
            f"{name!r} is the image tower of Nomic Embed, but calls itself nomic_bert, so that "
            "transformers would load it as the text model and give wrong vectors. Load both "
            "towers through ONNX: load_encoder('nomic-embed-v1.5')"
        )
        raise EncoderError(msg)
    if config.get("model_type") == "nomic_bert" and config.get("moe_every_n_layers"):
        msg = (
            f"{name!r} is a mixture of experts, but transformers' NomicBertModel is not and would "
            "leave the experts' weights random. Take nomic-ai/nomic-embed-text-v1.5"
        )
        raise EncoderError(msg)
    if "auto_map" in config and not trust_remote_code:
        ensure_torchvision()
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        if config.get("model_type") not in CONFIG_MAPPING:
            msg = (
                f"{name!r} (model_type {config.get('model_type')!r}) is not part of transformers "
                "and runs only with Python code that comes with it. Look in 'mmgap models' for a "
                "way without (jina-clip runs through ONNX), or read that code and pass "
                "trust_remote_code=True with the revision that you read"
            )
            raise EncoderError(msg)
    require_safetensors(name, folder)


def _from_folder(
    folder: Path, dtype: str, pooling: str, *, trust_remote_code: bool
) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    shared = {"trust_remote_code": trust_remote_code, "local_files_only": not trust_remote_code}
    model_kwargs = {"use_safetensors": True, "dtype": dtype}
    # Processors with a part for videos refuse the word, since that part knows no Pillow.
    video = _has_video_processor(folder)
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
        from transformers import AutoImageProcessor

        model[0].processor.image_processor = AutoImageProcessor.from_pretrained(
            str(folder), backend="pil", local_files_only=True
        )
    return model


def _has_video_processor(folder: Path) -> bool:
    return (folder / "video_preprocessor_config.json").is_file() or (
        "video_processor" in read_json(folder, "processor_config.json")
    )


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


def _usual_pooling(transformer: Transformer) -> str:
    """Return the last token for what was trained to predict the next one, else the mean."""
    config = transformer.config
    architectures = " ".join(getattr(config, "architectures", None) or ())
    causal = "ForCausalLM" in architectures and getattr(config, "is_causal", True)
    return "lasttoken" if causal or config.model_type == "qwen3_vl" else "mean"


def _drop_last_normalize(model: SentenceTransformer) -> None:
    """Make the lengths of the vectors reachable; callers normalise, after cutting."""
    from sentence_transformers.base.modules import Normalize

    while isinstance(model[-1], Normalize):
        del model[-1]
