"""Models that take texts and images into one space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmgap.encoders.base import Encoder, EncoderInfo, Role
from mmgap.encoders.vectors import Embeddings, TokenVectors, max_sim, pair_similarity, similarity
from mmgap.errors import EncoderError

__all__ = [
    "Embeddings",
    "Encoder",
    "EncoderInfo",
    "Role",
    "TokenVectors",
    "load_encoder",
    "max_sim",
    "pair_similarity",
    "similarity",
]

_LATE_INTERACTION = {"colpali", "colqwen2", "colqwen2_5", "colmodernvbert"}
_OPEN_CLIP_SCHEMES = ("open_clip:", "local-dir:", "hf-hub:")
_RERANKERS = ("ForSequenceClassification", "JinaVLForRanking")


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
        A ``NonCommercialWarning`` says once if the model's licence forbids commercial use.

    Raises
    ------
    EncoderError
        If there is no such encoder, it cannot be loaded, it takes no such option, or it needs code
        from the hub.
    MissingExtraError
        If a library is missing; the message holds the install line.

    Examples
    --------
    >>> load_encoder("mini-klip")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'mini-klip' is neither a folder nor a hub id (owner/model), and no
    encoder has this name; did you mean mini-clip ...
    """
    from mmgap.encoders.loading import load_model

    return load_model(name, "encoder", _backend_of_unknown, options)


def _backend_of_unknown(model_id: str, folder: Path | None) -> str:
    """Return the backend of a model that the catalogue does not have, by its name and files."""
    from mmgap.encoders.files import architectures, read_json
    from mmgap.encoders.loading import is_hub_like, unknown_name

    if model_id.startswith(_OPEN_CLIP_SCHEMES):
        return "open-clip"
    folder = folder or Path(model_id).expanduser()
    if not folder.is_dir():
        if is_hub_like(model_id):
            return "sentence-transformers"
        raise unknown_name(model_id, "encoder")
    config = read_json(folder, "config.json")
    kind = read_json(folder, "config_sentence_transformers.json").get("model_type")
    if kind == "CrossEncoder" or any(each in architectures(config) for each in _RERANKERS):
        msg = f"{model_id!r} holds a reranker, which has no vectors; use load_reranker"
        raise EncoderError(msg)
    if (folder / "open_clip_config.json").is_file():
        return "open-clip"
    if kind == "MultiVectorEncoder" or str(config.get("model_type")) in _LATE_INTERACTION:
        return "multi-vector"
    weights = {path.suffix for path in folder.rglob("*") if path.is_file()}
    if ".onnx" in weights and ".safetensors" not in weights:
        msg = (
            f"{model_id!r} holds ONNX graphs, whose model its files do not name; give it as "
            f"'ID@{model_id}', where ID is jinaai/jina-clip-v1, jinaai/jina-clip-v2 or "
            "nomic-embed-v1.5"
        )
        raise EncoderError(msg)
    return "sentence-transformers"
