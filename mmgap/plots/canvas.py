"""What every figure starts from, and text that stays inside its box."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

MIN_POINTS = 8.0
"""Nothing in a figure is smaller."""


def new_figure(
    height: float | None = None, *, width: float | None = None, constrained: bool = True
) -> Figure:
    """Return an empty figure of the current style's width, unknown to pyplot.

    Parameters
    ----------
    height, width : float, optional
        Inches; by default those of ``figure.figsize``.
    constrained : bool, default True
        Whether matplotlib lays out the axes; else the caller places them.
    """
    style_width, style_height = mpl.rcParams["figure.figsize"]
    size = (width or style_width, height or style_height)
    # layout="none" would turn into the style's layout when a figure is saved
    layout: Any = "constrained" if constrained else PlaceHolderLayoutEngine(True, False)
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def small() -> float:
    """Font size of notes in the current style, in points."""
    return max(MIN_POINTS, 0.85 * float(mpl.rcParams["font.size"]))


def scale() -> float:
    """How much larger the current style's text is than a notebook's; never below 1."""
    return max(1.0, float(mpl.rcParams["font.size"]) / 10)


def legible(text: str) -> str:
    r"""Replace what the figures' font cannot draw by an empty square, and any space by a blank.

    Examples
    --------
    >>> legible("a\tcat, 一")
    'a cat, □'
    """
    cleaned = " ".join(text.split())
    return "".join(sign if _font().get_char_index(ord(sign)) else "□" for sign in cleaned)


def wrap(text: str, width: float, size: float, *, lines: int | None = None, **font: Any) -> str:
    r"""Break a text into lines that are no wider than ``width`` inches when drawn.

    Parameters
    ----------
    text : str
    width : float
        Inches.
    size : float
        Points.
    lines : int, optional
        Longer texts are cut, which an ellipsis shows.
    **font
        Further font properties, e.g. ``weight="bold"``.

    Examples
    --------
    >>> wrap("a cat sits on a mat", 0.8, 10)
    'a cat sits\non a mat'
    """

    def fits(line: str) -> bool:
        return text_width(line, size, **font) <= width

    done: list[str] = []
    line = ""
    for word in legible(text).split(" "):
        joined = f"{line} {word}" if line else word
        if fits(joined):
            line = joined
            continue
        if line:
            done.append(line)
        while not fits(word) and len(word) > 1:
            cut = next((n for n in range(len(word) - 1, 1, -1) if fits(word[:n])), 1)
            done.append(word[:cut])
            word = word[cut:]
        line = word
    done.append(line)
    if lines is not None and len(done) > lines:
        last = done[lines - 1]
        while last and not fits(last + " …"):
            last = last[:-1]
        done = [*done[: lines - 1], f"{last.rstrip()} …"]
    return "\n".join(done)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, **font: Any) -> float:
    """Width of one line in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    properties = FontProperties(family=mpl.rcParams["font.family"], size=size, **font)
    width, _, _ = TextToPath().get_text_width_height_descent(text, properties, ismath=False)
    return float(width) / 72


@lru_cache(maxsize=1)
def _font() -> FT2Font:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont("DejaVu Sans"))
