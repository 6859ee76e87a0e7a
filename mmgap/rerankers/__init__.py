"""Models that read a query and a document together and score how well they match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmgap.rerankers.base import Content, Pair, Reranker, RerankerInfo

__all__ = ["Content", "Pair", "Reranker", "RerankerInfo", "load_reranker"]


def load_reranker(name: str, **options: Any) -> Reranker:
    """Load a reranker by name.

    Parameters
    ----------
    name : str
        An id of the catalogue (``mmgap models --rerank`` lists them), such as ``"mini-reranker"``,
        which is bundled, or ``"jinaai/jina-reranker-m0"``; ``"ID@FOLDER"``: the model ID, with its
        files in FOLDER; a folder with a checkpoint, whose files say what it is; or another hub id,
        run as a cross-encoder of sentence-transformers.
    **options
        Passed on to the backend. Most take ``revision``, ``device`` and ``dtype``.

    Returns
    -------
    Reranker
        A ``NonCommercialWarning`` says once if the model's licence forbids commercial use.

    Raises
    ------
    EncoderError
        If there is no such reranker, it cannot be loaded, it takes no such option, or it needs
        code from the hub.
    MissingExtraError
        If a library is missing; the message holds the install line.

    Examples
    --------
    >>> load_reranker("mini-clip")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'mini-clip' is an encoder: it gives vectors ...; use load_encoder
    """
    from mmgap.encoders.loading import load_model

    return load_model(name, "reranker", _backend_of_unknown, options)


def _backend_of_unknown(model_id: str, folder: Path | None) -> str:
    """Return the backend of a model that the catalogue does not have."""
    from mmgap.encoders.files import architectures, read_json
    from mmgap.encoders.loading import is_hub_like, unknown_name

    folder = folder or Path(model_id).expanduser()
    if folder.is_dir():
        classes = architectures(read_json(folder, "config.json"))
        return "jina-m0" if "JinaVLForRanking" in classes else "cross-encoder"
    if is_hub_like(model_id):
        return "cross-encoder"
    raise unknown_name(model_id, "reranker")
