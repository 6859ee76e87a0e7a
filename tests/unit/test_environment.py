"""environment.yml, pyproject.toml and constraints/cpu.txt name the same world."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONDA_NAMES = {
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
    "open-clip-torch": "open-clip-torch",
}
EXTRAS_IN_CONDA = ("mini", "open-clip", "vlm", "onnx", "corpora", "notebooks", "test")
CHOSEN_BY_THE_USER = {
    "jupyterlab", "torch", "transformers", "open-clip-torch", "scikit-learn", "matplotlib",
    "umap-learn", "faiss-cpu", "nbmake",
}  # fmt: skip


def split(requirement: str) -> tuple[str, str]:
    """``Open_Clip[x]>=3,<4`` -> (``open-clip``, ``>=3,<4``)."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", requirement.strip())
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2].replace(" ", "")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def wanted(extras: tuple[str, ...]) -> dict[str, str]:
    requirements = [*project()["dependencies"]]
    for extra in extras:
        requirements += project()["optional-dependencies"][extra]
    return dict(split(requirement) for requirement in requirements)


def conda() -> tuple[dict[str, str], dict[str, str]]:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip_entries,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    own = dict(split(entry) for entry in entries if isinstance(entry, str))
    return own, dict(split(entry) for entry in pip_entries if not entry.startswith("-e"))


def test_environment_yml_equals_pyproject() -> None:
    own, from_pip = conda()
    assert own.pop("python") == project()["requires-python"]
    assert own.pop("pip") == ""
    expected = {
        CONDA_NAMES.get(name, name): bound for name, bound in wanted(EXTRAS_IN_CONDA).items()
    }
    assert {**own, **from_pip} == expected


def test_the_users_nine_packages_are_there() -> None:
    assert set(wanted(EXTRAS_IN_CONDA)) >= CHOSEN_BY_THE_USER


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    from packaging.specifiers import SpecifierSet

    lines = (ROOT / "constraints" / "cpu.txt").read_text().splitlines()
    pins = dict(split(line) for line in lines if line and not line.startswith("#"))
    extras = tuple(name for name in project()["optional-dependencies"] if name != "book")
    for name, bound in wanted(extras).items():
        assert name in pins, f"{name} is not pinned in constraints/cpu.txt"
        version = pins[name].removeprefix("==")
        assert SpecifierSet(bound).contains(version), f"{name} {version} is outside {bound}"


@pytest.mark.parametrize(("package", "version"), [("torch", "2.13.0"), ("torchvision", "0.28.0")])
def test_the_pair_that_keeps_cuda_out(package: str, version: str) -> None:
    lines = (ROOT / "constraints" / "cpu.txt").read_text().splitlines()
    assert f"{package}=={version}" in lines


def test_version_is_the_same_everywhere() -> None:
    version = project()["version"]
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
