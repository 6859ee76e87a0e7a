"""Models that read a query and a document together and score how well they match."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, Reranker, RerankerInfo

if TYPE_CHECKING:
    from collections.abc import Callable

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

    Raises
    ------
    EncoderError
        If there is no such reranker, it cannot be loaded, it takes no such option, or it needs
        code from the hub.
    MissingExtraError
        If a library is missing; the message holds the install line.

    Warns
    -----
    NonCommercialWarning
        If the model's licence forbids commercial use; once for each model.

    Examples
    --------
    >>> load_reranker("mini-clip")
    Traceback (most recent call last):
    mmgap.errors.EncoderError: 'mini-clip' is an encoder: it gives vectors ...; use load_encoder
    """
    from mmgap.encoders.naming import build, known_facts, settle_terms, split_name

    model_id, folder = split_name(str(name))
    facts = known_facts(model_id)
    if facts is None:
        backend = _backend_of_unknown(model_id, folder)
    elif not facts.is_reranker:
        msg = f"{model_id!r} is an encoder: it gives vectors and scores no pairs; use load_encoder"
        raise EncoderError(msg)
    else:
        settle_terms(facts, options)
        backend = facts.backend
    if folder is not None:
        options["folder"] = folder
    if facts is not None:
        options["facts"] = facts
    return build(_backend_class(backend), model_id, **options)


def _backend_class(backend: str) -> Callable[..., Any]:
    """Import a backend; only here, since each brings heavy libraries along."""
    if backend == "mini":
        from mmgap.rerankers.mini import MiniReranker

        return MiniReranker
    if backend == "jina-m0":
        from mmgap.rerankers.jina_m0 import JinaM0Reranker

        return JinaM0Reranker
    if backend == "api":
        from mmgap.rerankers.api import ApiReranker

        return ApiReranker
    from mmgap.rerankers.cross_encoder import CrossEncoderReranker

    return CrossEncoderReranker


def _backend_of_unknown(model_id: str, folder: Path | None) -> str:
    """Return the backend of a model that the catalogue does not have."""
    from mmgap.encoders.naming import architectures, is_hub_like, read_json

    folder = folder or Path(model_id).expanduser()
    if folder.is_dir():
        classes = architectures(read_json(folder, "config.json"))
        return "jina-m0" if "JinaVLForRanking" in classes else "cross-encoder"
    if is_hub_like(model_id):
        return "cross-encoder"
    from mmgap.encoders.catalog import all_models, nearest_names

    known = [facts.id for facts in all_models() if facts.is_reranker]
    msg = (
        f"{model_id!r} is neither a folder nor a hub id (owner/model), and no reranker is called so"
        f"{nearest_names(model_id, known)}"
    )
    raise EncoderError(msg)
