"""The commands that README and docs show: their options exist, and they run, at a small size."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "golden"))
import make  # noqa: E402

PAGES = ("README.md", "docs/commands.md", "docs/corpora.md", "docs/models.md", "docs/install.md")
SHOWN = sorted(
    {
        match[1].partition("  #")[0].strip()
        for page in PAGES
        for match in re.finditer(
            r"^ {4}(mmgap .*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE
        )
    }
)
ELSEWHERE = ("edis", "mmgap models", "mmgap corpus", "openai/", " ID", "NAME")
RUN = [command for command in SHOWN if not any(each in command for each in ELSEWHERE)]


@pytest.mark.parametrize("command", SHOWN)
def test_its_options_exist(command: str, mmgap: Callable) -> None:
    done = mmgap(*shlex.split(command)[1:], "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> make.World:
    return make.World(tmp_path_factory.mktemp("slice"))


@pytest.mark.parametrize("command", RUN)
def test_it_runs(
    command: str,
    world: make.World,
    mmgap: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = shlex.split(command)[1:]
    arrays = f"{world.root}/images.npy,{world.root}/texts.npy"
    corpus = arrays if "npy" in command or "features/" in command else str(world.folder)
    if "--corpus" in words:
        words[words.index("--corpus") + 1] = corpus
    elif "--settings" not in words:
        words += ["--corpus", corpus]
    words += ["--draws", "2"] if "label-budget" in words else []
    monkeypatch.setenv("MMGAP_RESULTS", str(tmp_path))
    monkeypatch.setattr("mmgap.encoders.load_encoder", lambda *_, **__: make.SliceEncoder(world))
    monkeypatch.setattr("mmgap.rerankers.load_reranker", lambda *_, **__: make.SliceReranker(world))
    done = mmgap(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_are_shown() -> None:
    assert len(RUN) > 10
