"""Models that take texts and images into one space."""

from __future__ import annotations

from typing import Any

from mmgap.encoders.base import Encoder, EncoderInfo, Role

__all__ = ["Encoder", "EncoderInfo", "Role", "load_encoder"]


def load_encoder(name: str, **options: Any) -> Encoder:
    """Load an encoder by name.

    Parameters
    ----------
    name : str
        A bundled one (``"mini-clip"``, ``"mini-siglip"``, ``"mini-aligned"``), a folder with a
        CLIP-like checkpoint, or a hub id such as ``"openai/clip-vit-base-patch32"``.
    **options
        Passed on; for checkpoints see
        :class:`~mmgap.encoders.sentence_transformers.SentenceTransformerEncoder`.

    Returns
    -------
    Encoder

    Raises
    ------
    EncoderError
        If there is no such encoder, or it cannot be loaded.

    Examples
    --------
    >>> load_encoder("mini-clip").info.backend  # doctest: +SKIP
    'mini'
    """
    if name.startswith("mini-"):
        from mmgap.encoders.mini import MiniEncoder

        return MiniEncoder.load(name, **options)
    from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder

    return SentenceTransformerEncoder(name, **options)
