"""Tiny random checkpoints in the layout of the hub, made once a session, and encoders on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import tiny

from mmgap.encoders.sentence_transformers import SentenceTransformerEncoder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a checkpoint of ``tiny.BUILDERS``, made when first asked for."""
    root = tmp_path_factory.mktemp("checkpoints")

    @cache
    def make(name: str) -> Path:
        return tiny.BUILDERS[name](root / name)

    return make


@pytest.fixture(scope="session")
def encoder(checkpoint: Callable[[str], Path]) -> Callable[[str], SentenceTransformerEncoder]:
    """Return the encoder of a checkpoint, loaded without the catalogue's facts."""

    @cache
    def load(name: str) -> SentenceTransformerEncoder:
        return SentenceTransformerEncoder(str(checkpoint(name)), device="cpu")

    return load


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tiny models are slower on two threads, far slower beside other processes."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_clip(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("clip")


@pytest.fixture(scope="session")
def tiny_siglip(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("siglip")


@pytest.fixture(scope="session")
def tiny_siglip2(checkpoint: Callable[[str], Path]) -> Path:
    return checkpoint("siglip2")


@pytest.fixture(scope="session")
def tiny_bert(checkpoint: Callable[[str], Path]) -> Path:
    """A model that reads text only."""
    return checkpoint("bert")
