"""Load a model of transformers or sentence-transformers whole, or say why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmgap._compat import ensure_torchvision
from mmgap.errors import EncoderError, MissingExtraError, MmgapError


def is_stop(error: BaseException) -> bool:
    """Tell a wish to stop from what a library raises, which may be a panic of Rust."""
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


@contextmanager
def loading(name: str, folder: Path, *, unused: str | None = None) -> Iterator[None]:
    """Name the model in whatever a library raises, and leave none of its weights at random.

    Where a file lacks weights, transformers fills the gap with random numbers and only says so in
    its log; sentence-transformers calls it inside.

    Parameters
    ----------
    name : str
        The model, for the message.
    folder : Path
        Where its files are.
    unused : str or None
        A part of the model that may lack weights since nothing is read off it, such as
        ``"pooler"``.

    Raises
    ------
    EncoderError
        If the model cannot be loaded, or not all of its weights are there.
    MissingExtraError
        If a library is missing.
    """
    ensure_torchvision()
    from transformers import PreTrainedModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # it would stay in every notebook's output
    load = PreTrainedModel.__dict__["from_pretrained"]
    missing: set[str] = set()

    def watched(cls: type[PreTrainedModel], *args: Any, **options: Any) -> Any:
        wants_info = options.pop("output_loading_info", False)
        model, info = load.__func__(cls, *args, output_loading_info=True, **options)
        missing.update(key for key in info["missing_keys"] if unused not in key.split("."))
        return (model, info) if wants_info else model

    PreTrainedModel.from_pretrained = classmethod(watched)
    try:
        yield
    except (MmgapError, MissingExtraError):
        raise
    except ImportError as error:  # torchvision for videos, sentencepiece for SigLIP's tokenizer
        purpose = f"{name!r} ({str(error).strip().splitlines()[0]})"
        raise MissingExtraError(purpose, "vlm") from error
    except BaseException as error:  # damaged files can make a loader raise anything
        if is_stop(error):
            raise
        msg = (
            f"{name!r} ({folder}) cannot be loaded: {error}. Expected the files that "
            "save_pretrained writes: config.json, model.safetensors, tokenizer and processor"
        )
        raise EncoderError(msg) from error
    finally:
        PreTrainedModel.from_pretrained = load
    if missing:
        msg = (
            f"{name!r} ({folder}) lacks {len(missing)} of the model's weights, such as "
            f"{min(missing)}; they would be random numbers. Expected a complete checkpoint: of a "
            "reranker with its score head, of adapters with their base model"
        )
        raise EncoderError(msg)
