from __future__ import annotations

import importlib
import sys
import types

import pytest

from mmgap import _compat


def importing(monkeypatch: pytest.MonkeyPatch, *outcomes: object) -> list[str]:
    """Let imports of torchvision end as told, in turn; returns what is imported."""
    asked, left = [], list(outcomes)

    def import_module(name: str) -> object:
        asked.append(name)
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(importlib, "import_module", import_module)
    return asked


def test_after_it_torchvision_and_what_builds_on_it_can_be_imported() -> None:
    _compat.ensure_torchvision()
    import torchvision.transforms
    import transformers.models.clip.modeling_clip  # noqa: F401

    assert torchvision.transforms.Resize(4).size == 4


def test_the_second_call_does_nothing() -> None:
    _compat.ensure_torchvision()
    before = sys.modules["torchvision"]
    assert _compat.ensure_torchvision() is False
    assert sys.modules["torchvision"] is before


def test_nothing_is_declared_on_a_healthy_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = importing(monkeypatch, types.ModuleType("torchvision"))
    monkeypatch.setattr(_compat, "_declare_operators", lambda: pytest.fail("declared operators"))
    assert _compat.ensure_torchvision() is False
    assert asked == ["torchvision"]


def test_nothing_is_done_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    importing(monkeypatch, ModuleNotFoundError("no torchvision", name="torchvision"))
    assert _compat.ensure_torchvision() is False


def test_missing_operators_are_declared_and_the_import_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = []
    error = RuntimeError("operator torchvision::nms does not exist")
    asked = importing(monkeypatch, error, types.ModuleType("torchvision"))
    monkeypatch.setattr(_compat, "_declare_operators", lambda: declared.append(True))
    assert _compat.ensure_torchvision() is True
    assert (declared, asked) == ([True], ["torchvision", "torchvision"])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA driver is too old"),
        ImportError("libjpeg.so.62 is missing"),
        ModuleNotFoundError("no numpy", name="numpy"),
    ],
)
def test_other_errors_come_through(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    importing(monkeypatch, error)
    monkeypatch.setattr(_compat, "_declare_operators", lambda: pytest.fail("declared operators"))
    with pytest.raises(type(error), match=str(error)):
        _compat.ensure_torchvision()
