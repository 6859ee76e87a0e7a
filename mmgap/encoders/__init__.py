"""Models that take texts and images into one space."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmgap.encoders.base import Encoder, EncoderInfo, FusedEncoder, Role
from mmgap.errors import EncoderError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Encoder", "EncoderInfo", "FusedEncoder", "Role", "load_encoder"]

_LATE_INTERACTION = {"colpali", "colqwen2", "colqwen2_5", "colmodernvbert"}
_OPEN_CLIP_SCHEMES = ("open_clip:", "local-dir:", "hf-hub:")


def load_encoder(name: str, **options: Any) -> Encoder:
    """Load an encoder by name.

    Parameters
    ----------
    name : str
        One of

        - a bundled one: ``"mini-clip"``, ``"mini-siglip"``, ``"mini-aligned"``;
        - an id of the catalogue (``mmgap models`` lists them), such as ``"jinaai/jina-clip-v2"``;
        - ``"ID@FOLDER"``: the model ID, with its files in FOLDER instead of downloaded;
        - a folder with a checkpoint, whose files say what it is;
        - another hub id, ``"owner/model"``, run by sentence-transformers;
        - ``"open_clip:ARCHITECTURE/TAG"``, ``"local-dir:PATH"`` or ``"hf-hub:ID"``, run by
          open_clip.
    **options
        Passed on to the backend. Most take ``revision``, ``device`` (``"auto"``, ``"cpu"``,
        ``"cuda"`` ...), ``dtype`` and ``dim``, a Matryoshka length.

    Returns
    -------
    Encoder

    Raises
    ------
    EncoderError
        If there is no such encoder, it cannot be loaded, it takes no such option, or it needs code
        from the hub.
    MissingExtraError
        If a library is missing; the message holds the install line.

    Warns
    -----
    NonCommercialWarning
        If the model's licence forbids commercial use; once for each model.

    Examples
    --------
    >>> load_encoder("mini-clip").info.backend  # doctest: +SKIP
    'mini'
    >>> load_encoder("mini-klip")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'mini-klip' is neither a folder nor a hub id (owner/model), and no
    encoder is called so; did you mean mini-clip ...
    """
    from mmgap.encoders.naming import build, known_facts, settle_terms, split_name

    model_id, folder = split_name(str(name))
    facts = known_facts(model_id)
    if facts is None:
        backend = _backend_of_unknown(model_id, folder)
    elif facts.is_reranker:
        msg = f"{model_id!r} is a reranker: it scores pairs and has no vectors; use load_reranker"
        raise EncoderError(msg)
    else:
        settle_terms(facts, options)
        backend = facts.backend
    if backend == "mini":
        return _load_mini(model_id, folder, options)
    if folder is not None:
        options["folder"] = folder
    if facts is not None:
        options["facts"] = facts
    _require_library(backend)
    return build(_backend_class(backend), model_id, **options)


def _require_library(backend: str) -> None:
    """Say which library is missing before anything is downloaded."""
    library = {"open-clip": "open_clip", "onnx": "onnxruntime"}.get(backend)
    if library is not None and find_spec(library) is None:
        purpose = f"A model run by {library}"
        raise MissingExtraError(purpose, extra=backend)


def _backend_class(backend: str) -> Callable[..., Any]:
    """Import a backend; only here, since each brings heavy libraries along."""
    if backend == "open-clip":
        from mmgap.encoders.open_clip import OpenClipEncoder

        return OpenClipEncoder
    if backend == "onnx":
        from mmgap.encoders.onnx import OnnxEncoder

        return OnnxEncoder
    if backend == "multi-vector":
        from mmgap.encoders.multi_vector import MultiVectorEncoder

        return MultiVectorEncoder
    if backend == "api":
        from mmgap.encoders.api import ApiEncoder

        return ApiEncoder
    from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder

    return SentenceTransformerEncoder


def _load_mini(model_id: str, folder: Path | None, options: dict[str, Any]) -> Encoder:
    from mmgap.encoders.mini import MiniEncoder
    from mmgap.encoders.naming import build

    if folder is not None:
        options = {"models_dir": folder.parent if folder.name == model_id else folder, **options}
    return build(MiniEncoder.load, model_id, **options)


def _backend_of_unknown(model_id: str, folder: Path | None) -> str:
    """Return the backend of a model that the catalogue does not have."""
    from mmgap.encoders.naming import is_hub_like

    if model_id.startswith(_OPEN_CLIP_SCHEMES):
        return "open-clip"
    folder = folder or Path(model_id).expanduser()
    if folder.is_dir():
        return _backend_of_folder(model_id, folder)
    if is_hub_like(model_id):
        return "sentence-transformers"
    from mmgap.encoders.catalog import all_models, nearest_names

    known = [facts.id for facts in all_models() if not facts.is_reranker]
    msg = (
        f"{model_id!r} is neither a folder nor a hub id (owner/model), and no encoder is called so"
        f"{nearest_names(model_id, known)}"
    )
    raise EncoderError(msg)


def _backend_of_folder(model_id: str, folder: Path) -> str:
    """Return the backend that the files of a checkpoint ask for."""
    from mmgap.encoders.naming import architectures, read_json

    config = read_json(folder, "config.json")
    kind = read_json(folder, "config_sentence_transformers.json").get("model_type")
    classes = architectures(config)
    if (
        kind == "CrossEncoder"
        or "ForSequenceClassification" in classes
        or "JinaVLForRanking" in classes
    ):
        msg = f"{model_id!r} holds a reranker, which has no vectors; use load_reranker"
        raise EncoderError(msg)
    if (folder / "open_clip_config.json").is_file():
        return "open-clip"
    if kind == "MultiVectorEncoder" or str(config.get("model_type")) in _LATE_INTERACTION:
        return "multi-vector"
    weights = {path.suffix for path in folder.rglob("*") if path.is_file()}
    if ".onnx" in weights and ".safetensors" not in weights:
        return "onnx"
    return "sentence-transformers"
