"""The one way a figure becomes files: svg, png, and a sidecar that says what it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.errors import MmgapError
from mmgap.paths import figures_dir, results_dir
from mmgap.plots.style import DPI
from mmgap.provenance import versions
from mmgap.settings import fast_mode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

MIN_ALT = 40
"""Characters below which an alternative text cannot say what a figure shows."""

MAX_EMBEDDED_BYTES = 150_000
"""Largest png that goes into a notebook; base64 makes it a third longer."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)?")


class FigureError(MmgapError):
    """A figure lacks what its reader needs; the message names it."""


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk (svg, png, sidecar), shown with its alternative text and caption."""

    name: str
    paths: tuple[Path, Path, Path] = field(repr=False)
    alt: str = field(repr=False)
    caption: str = field(repr=False)

    def _repr_html_(self) -> str:
        """Return a ``<figure>``: the only form whose alternative text every reader keeps."""
        png = _small_png(self.paths[1])
        source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return (
            f'<figure><img alt="{escape(self.alt)}" src="{source}" style="max-width: 100%">'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}


def save(
    figure: Figure,
    name: str,
    *,
    alt: str,
    caption: str,
    data: Mapping[str, object] | None = None,
    notebook: str | None = None,
    seed: int | None = None,
    partial: bool = False,
) -> SavedFigure:
    """Write a figure as svg and png with a json sidecar, and close it.

    Equal figures give equal bytes. In fast mode they go to ``results/figures_fast``, unless
    ``MMGAP_FIGURES`` names a folder, so that a quick run never replaces a published figure; nor
    does a ``partial`` one, that lacks optional data and goes to ``results/figures_partial``.
    ``name`` is a path under the figures folder without an ending; ``alt`` says in 40 characters or
    more what someone who cannot see the figure should know; the sidecar keeps a hash of each array
    or frame of ``data``, so that a changed figure tells whether its numbers changed.
    """
    alt, caption = " ".join(alt.split()), " ".join(caption.split())
    _refuse_unreadable(name, alt, caption)
    stem = _folder(partial) / name
    stem.parent.mkdir(parents=True, exist_ok=True)
    svg, png, sidecar = (stem.with_name(stem.name + end) for end in (".svg", ".png", ".json"))
    _write_svg(figure, svg, alt)
    _write_png(figure, png, alt)
    facts = {
        "name": name,
        "alt": alt,
        "caption": caption,
        "notebook": notebook or (name.rpartition("/")[0] or None),
        "seed": seed,
        "fast": fast_mode(),
        "versions": versions(["mmgap", "matplotlib", "numpy"]),
        "sha256": {key: data_hash(value) for key, value in sorted((data or {}).items())},
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    sidecar.write_text(text, encoding="utf-8", newline="\n")
    _close(figure)
    return SavedFigure(name, (svg, png, sidecar), alt, caption)


def data_hash(data: object) -> str:
    """Return the sha256 of an array or of a pandas frame or series.

    Numbers are hashed as little-endian bytes together with their type and shape, frames as csv.

    >>> data_hash(np.arange(3))[:8] == data_hash([0, 1, 2])[:8]
    True
    """
    to_csv = getattr(data, "to_csv", None)
    if callable(to_csv):
        return hashlib.sha256(to_csv(lineterminator="\n").encode("utf-8")).hexdigest()
    array = np.asarray(data)
    if array.dtype.kind in "OU":
        text = json.dumps(array.tolist(), ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    head = f"{array.dtype.str}{array.shape}".encode("ascii")
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def _refuse_unreadable(name: str, alt: str, caption: str) -> None:
    if not _NAME.fullmatch(name):
        msg = (
            f"figure name {name!r}: expected 'figure' or 'notebook/figure' in lower-case letters, "
            "digits, '_' and '-', without an ending"
        )
        raise FigureError(msg)
    if len(alt) < MIN_ALT:
        msg = (
            f"figure {name!r}: the alternative text has {len(alt)} characters, at least {MIN_ALT} "
            "are needed; say the kind of chart, the axes and what stands out"
        )
        raise FigureError(msg)
    if not caption:
        msg = f"figure {name!r} has no caption; state what it shows and the finding"
        raise FigureError(msg)


def _folder(partial: bool) -> Path:
    if partial and not fast_mode():
        return results_dir() / "figures_partial"
    if fast_mode() and not os.environ.get("MMGAP_FIGURES"):
        return results_dir() / "figures_fast"
    return figures_dir()


def _write_svg(figure: Figure, path: Path, alt: str) -> None:
    import matplotlib as mpl

    title = path.stem.replace("_", " ")
    metadata: dict[str, Any] = {"Date": None, "Creator": None, "Title": title, "Description": alt}
    with mpl.rc_context({"svg.hashsalt": "mmgap", "svg.fonttype": "path"}):
        figure.savefig(path, format="svg", metadata=metadata)
    text = number_clip_paths(path.read_text(encoding="utf-8"))
    lines = (line.rstrip() for line in text.splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def number_clip_paths(svg: str) -> str:
    """Name clip paths by their order, so that equal drawings are equal files.

    matplotlib names them by a hash of coordinates in full precision, whose last bit the layout
    does not repeat from run to run; the coordinates that are written have fewer digits.

    >>> number_clip_paths('<g clip-path="url(#p41dd5ceb83)"/><clipPath id="p41dd5ceb83">')
    '<g clip-path="url(#p1)"/><clipPath id="p1">'
    """
    names = dict.fromkeys(re.findall(r'(?:url\(#|<clipPath id=")(p[0-9a-f]{10})\b', svg))
    number = {name: f"p{index}" for index, name in enumerate(names, start=1)}
    return re.sub(r"\bp[0-9a-f]{10}\b", lambda match: number.get(match[0], match[0]), svg)


def _write_png(figure: Figure, path: Path, alt: str) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    info = PngInfo()
    info.add_itxt("Title", path.stem.replace("_", " "))
    info.add_itxt("Description", alt)
    with Image.open(buffer) as image:
        image.convert("RGB").save(path, optimize=True, pnginfo=info, dpi=(DPI, DPI))


def _small_png(path: Path) -> bytes:
    """Return a png of at most ``MAX_EMBEDDED_BYTES``: fewer colours first, then fewer pixels."""
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    data = _png_bytes(image.quantize(256))
    while len(data) > MAX_EMBEDDED_BYTES and image.width > 320:
        image = image.resize((image.width * 4 // 5, image.height * 4 // 5))
        data = _png_bytes(image.quantize(256))
    return data


def _png_bytes(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _close(figure: Figure) -> None:
    """Release a figure that pyplot knows; else the notebook would show it a second time."""
    import sys

    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)
