"""Where the files of an ONNX model are: one repository or two, one graph or two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmgap.encoders.checkpoint import local_folder
from mmgap.errors import EncoderError

_LAYOUTS: tuple[Mapping[str, str], ...] = (
    {"text": "onnx/text_model.onnx", "image": "onnx/vision_model.onnx"},
    {"text": "onnx/model.onnx", "image": "onnx/model.onnx"},
)
"""How the hub's exports are laid out: two graphs, or one with both towers."""


@dataclass(frozen=True)
class OnnxFiles:
    """The files of a text and an image tower.

    Parameters
    ----------
    text_folder, image_folder : Path
        The repositories, with the tokenizer and the image processor; often the same.
    text_graph, image_graph : Path
        The ``.onnx`` files; the same if one graph holds both towers.
    """

    text_folder: Path
    text_graph: Path
    image_folder: Path
    image_graph: Path


def find_onnx_files(
    name: str,
    *,
    folder: Path | None = None,
    revision: str | None = None,
    files: Mapping[str, str] | None = None,
    variant: str | None = None,
) -> OnnxFiles:
    """Find the files in a folder, or fetch them from the hub.

    Parameters
    ----------
    name : str
        Hub id or folder.
    folder : Path or None
        Where the files are. Of two repositories it holds one folder for each, with their names.
    revision : str or None
    files : mapping of str to str
        The catalogue's: paths of the graphs under ``text`` and ``image``; for two repositories also
        ``text_repo``, ``image_repo`` and their ``text_revision``, ``image_revision``. Where it is
        empty, the layouts of the hub's exports are tried.
    variant : str or None
        Goes into the file name: ``model_fp16.onnx``.

    Raises
    ------
    EncoderError
        If a file is missing; the message names it, and what is there.
    """
    files = files or {}
    if "text_repo" in files:
        text_folder, text_graph = _one_side(files, "text", folder, variant)
        image_folder, image_graph = _one_side(files, "image", folder, variant)
        return OnnxFiles(text_folder, text_graph, image_folder, image_graph)
    layouts = (files,) if "text" in files else _LAYOUTS
    for layout in layouts:
        graphs = [_with_variant(layout[side], variant) for side in ("text", "image")]
        root = folder or local_folder(name, revision, files=_patterns(graphs))
        text, image = (_graph(root, graph) for graph in graphs)
        if text and image:
            return OnnxFiles(root, text, root, image)
    wanted = " or ".join(
        " and ".join(sorted({_with_variant(layout[side], variant) for side in ("text", "image")}))
        for layout in layouts
    )
    raise EncoderError(_missing(root, wanted))


def _one_side(
    files: Mapping[str, str], side: str, folder: Path | None, variant: str | None
) -> tuple[Path, Path]:
    """Return folder and graph of a tower that has a repository of its own."""
    repository, graph = files[f"{side}_repo"], _with_variant(files[side], variant)
    if folder is None:
        root = local_folder(repository, files.get(f"{side}_revision"), files=_patterns([graph]))
    else:
        root = folder / repository.split("/")[-1]
        if not root.is_dir():
            msg = (
                f"{folder} holds no folder {root.name!r}; expected one for each repository. Fetch "
                f"it with 'hf download {repository} --local-dir {root}'"
            )
            raise EncoderError(msg)
    path = _graph(root, graph)
    if path is None:
        raise EncoderError(_missing(root, graph))
    return root, path


def _with_variant(graph: str, variant: str | None) -> str:
    return graph if variant is None else f"{graph.removesuffix('.onnx')}_{variant}.onnx"


def _patterns(graphs: Iterable[str]) -> list[str]:
    """Return what to download: the graphs, their external data, and the small files."""
    return [*sorted({f"{graph}*" for graph in graphs}), "*.json", "README.md"]


def _graph(root: Path, graph: str) -> Path | None:
    path = root / graph
    for candidate in (path, root / path.name):  # some copies have no folder "onnx"
        if candidate.is_file():
            return candidate
    return None


def _missing(root: Path, wanted: str) -> str:
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.onnx"))
    found = f"it holds {', '.join(there)}" if there else "it holds no .onnx file"
    return (
        f"{root} holds no {wanted}; {found}. Download the missing file, or choose another variant "
        "(None, 'fp16', 'quantized' ...)"
    )
