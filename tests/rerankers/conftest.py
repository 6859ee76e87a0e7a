"""The tiny checkpoints, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_rerankers import save_bert, save_m0, save_new_m0, save_qwen3_vl


@pytest.fixture(scope="session")
def tiny_m0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_m0(tmp_path_factory.mktemp("tiny-m0"))


@pytest.fixture(scope="session")
def tiny_m0_new(tiny_m0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_new_m0(tiny_m0, tmp_path_factory.mktemp("tiny-m0-new"))


@pytest.fixture(scope="session")
def tiny_qwen3_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen3_vl(tmp_path_factory.mktemp("tiny-qwen3-vl"))


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-cross-encoder")
    return save_bert(folder, activation="linear.Identity")
