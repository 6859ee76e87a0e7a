"""What every test needs: offline, torchvision importable, caches of its own, fixed seeds."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are the threads
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import hypothesis
import numpy as np
import pytest

from mmgap._compat import ensure_torchvision

ensure_torchvision()

# New examples are drawn where a person can look at what they find; a gate has to repeat.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("gate")

# Two of them cannot both be collected for doctests, which they have none of.
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _seeds() -> None:
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (for libraries that draw from the global generator)
    torch.manual_seed(0)


class Done(NamedTuple):
    """What a command left: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mmgap(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Run a command as a shell would, in this process; a traceback is a failure of the test."""

    def run(*arguments: object, columns: int = 200) -> Done:
        from mmgap.cli import main

        monkeypatch.setattr("sys.argv", ["mmgap", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        capfd.readouterr()
        status = 0
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            try:
                main()
            except SystemExit as stop:
                status = int(stop.code or 0)
        return Done(status, *capfd.readouterr())

    return run


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A small PNG, red on the left and blue on the right."""
    from PIL import Image

    image = Image.new("RGB", (8, 4), "red")
    image.paste("blue", (4, 0, 8, 4))
    path = tmp_path / "picture.png"
    image.save(path)
    return path
