"""Who may import whom (DESIGN.md, section 1), and how quick ``import mmgap`` is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmgap

PACKAGE = Path(mmgap.__file__).parent

FREE = {"_compat", "_toml", "arrays", "errors", "paths", "provenance", "settings"}
SOURCES = ["corpus", "encoders", "index", "rerankers"]
SCIENCE = ["scores", "fusion", "evaluation", "gap", "mitigate"]
# "" is mmgap/__init__.py
FACE = [
    *("strategies", "contrastive", "plots", "notebook", "report"),
    *("cli", ""),
]

MAY_IMPORT: dict[str, set[str]] = {
    **{room: set(SOURCES[:i]) for i, room in enumerate(SOURCES)},
    **{room: {"evaluation"} for room in SCIENCE},  # one engine for ties
    "evaluation": set(),
    **{room: {*SOURCES, *SCIENCE, *FACE[:i]} for i, room in enumerate(FACE)},
}

HEAVY = {
    *("torch", "torchvision", "transformers", "sentence_transformers", "timm", "open_clip"),
    *("faiss", "umap", "matplotlib", "onnxruntime"),
}
DEFINES_TORCH_MODULES = {"encoders/mini.py", "rerankers/mini.py"}


def room_of(module: str) -> str:
    """The room of a dotted name: ``mmgap.index.embed`` is in ``index``."""
    return f"{module}.".split(".")[1]


def imported(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Dotted names of all that a module imports, at any depth, also for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, *filter(None, [base])])
            if base == "mmgap":
                yield from (f"mmgap.{name.name}" for name in node.names)
            else:
                yield base


def violations(source: str, path: str) -> list[str]:
    """What a module under mmgap/ imports but must not."""
    parts = path.removesuffix(".py").split("/")
    is_package = parts[-1] == "__init__"
    module = ".".join(["mmgap", *(parts[:-1] if is_package else parts)])
    room = room_of(module)
    found = []
    for name in imported(ast.parse(source), module, is_package=is_package):
        if name.split(".")[0] != "mmgap":
            continue
        target = room_of(name)
        if target in {room, "__version__"} | FREE:
            continue
        if room in FREE or target not in MAY_IMPORT[room]:
            found.append(f"{path} imports {name}")
    return found


MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES)
def test_imports_point_to_the_left(path: str) -> None:
    assert violations((PACKAGE / path).read_text(), path) == []


def test_every_room_is_known() -> None:
    rooms = {room_of(f"mmgap.{path.removesuffix('.py').replace('/', '.')}") for path in MODULES}
    assert rooms <= {*MAY_IMPORT, *FREE, "__init__"}
    assert len(MODULES) > 20


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("corpus/edis.py", "from mmgap.index import embed"),
        ("corpus/edis.py", "import mmgap.encoders.base as base"),
        ("corpus/edis.py", "from mmgap import encoders"),
        ("corpus/edis.py", "from ..store.vectors import Leg"),
        ("corpus/__init__.py", "from ..store import Leg"),
        ("scores/normalise.py", "from mmgap.corpus.schema import Corpus"),
        ("scores/normalise.py", "def f():\n    from mmgap.fusion import combine"),
        ("evaluation/measures.py", "from mmgap.scores import distributions"),
        ("gap/rmg.py", "if TYPE_CHECKING:\n    from mmgap.index.vectors import Vectors"),
        ("index/embed.py", "try:\n    import mmgap.strategies\nexcept ImportError:\n    pass"),
        ("index/embed.py", "from mmgap import load_corpus"),
        ("strategies/run.py", "from mmgap.plots import style"),
        ("plots/style.py", "from mmgap.cli import main"),
        ("paths.py", "from mmgap.corpus import Corpus"),
        ("errors.py", "from mmgap.index import Leg"),
    ],
)
def test_a_planted_violation_is_found(path: str, source: str) -> None:
    assert len(violations(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("corpus/edis.py", "from .schema import Corpus\nfrom mmgap.errors import CorpusError"),
        ("corpus/__init__.py", "from .schema import Corpus\nfrom ..errors import CorpusError"),
        ("index/embed.py", "from mmgap import paths\nimport mmgap.corpus.schema, json"),
        ("strategies/run.py", "from mmgap.scores import x\nfrom mmgap.index import top_k"),
        ("cli/report.py", "from mmgap import __version__, plots, report"),
        ("index/embed.py", "import mmgap_elsewhere"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, source: str) -> None:
    assert violations(source, path) == []


def top_level_imports(source: str) -> set[str]:
    """Libraries imported when a module is, outside functions and type-checking blocks."""

    def walk(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.Import):
                yield from (name.name.split(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]
            elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                yield from walk(node.orelse)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for field in ("body", "orelse", "finalbody", "handlers"):
                    yield from walk(getattr(node, field, []))

    return set(walk(ast.parse(source).body))


@pytest.mark.parametrize("path", [path for path in MODULES if path not in DEFINES_TORCH_MODULES])
def test_heavy_libraries_are_imported_where_they_are_needed(path: str) -> None:
    allowed = {"matplotlib"} if path.startswith("plots/") else set()
    assert top_level_imports((PACKAGE / path).read_text()) & HEAVY <= allowed


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("try:\n    import torch.nn\nexcept ImportError:\n    x = 1", {"torch"}),
        ("class A:\n    from faiss import x", {"faiss"}),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import faiss", {"faiss"}),
        ("def f():\n    import torch", set()),
    ],
)
def test_a_planted_heavy_import_is_found(source: str, found: set[str]) -> None:
    assert top_level_imports(source) == found


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_is_quick_and_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import mmgap; "
        "print(time.perf_counter() - start); print(*sys.modules)"
    )
    runs = [run(code).splitlines() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in runs) < 0.3
    assert not HEAVY & set(runs[0][1].split())


@pytest.mark.parametrize("room", ["corpus", "encoders", "index", *SCIENCE])
def test_a_room_is_light(room: str) -> None:
    loaded = set(run(f"import sys, mmgap.{room}; print(*sys.modules)").split())
    assert not HEAVY & loaded


def test_public_names() -> None:
    assert set(mmgap.__all__) <= set(dir(mmgap))
    for name in mmgap.__all__:
        assert getattr(mmgap, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'load_corpse'"):
        mmgap.load_corpse  # noqa: B018


def test_the_version_is_the_packages() -> None:
    import tomllib

    project = PACKAGE.parent / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == mmgap.__version__
