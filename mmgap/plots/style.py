"""Figure styles as dictionaries, the empty figure of a style, text that stays in its box."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from mmgap.errors import MmgapError
from mmgap.plots.palette import SERIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font

Kind = Literal["notebook", "paper", "slide"]

WIDTHS: dict[str, float] = {"notebook": 8.0, "paper": 6.9, "slide": 10.0}
"""Inches that each kind of page leaves for a figure."""

FONT_SIZES: dict[str, float] = {"notebook": 10.0, "paper": 8.0, "slide": 15.0}
"""Points."""

MIN_POINTS = 8.0
"""Nothing in a figure is smaller."""

DPI = 160


def style(kind: Kind = "notebook") -> dict[Any, Any]:
    """Return matplotlib's parameters for one kind of page.

    >>> from matplotlib.pyplot import rc_context
    >>> with rc_context(style("paper")):
    ...     pass
    """
    if kind not in WIDTHS:
        msg = f"there is no style {kind!r}; choose one of {', '.join(WIDTHS)}"
        raise MmgapError(msg)
    from cycler import cycler

    size = FONT_SIZES[kind]
    notes = max(MIN_POINTS, 0.85 * size)
    golden_ratio = (1 + 5**0.5) / 2
    return {
        "figure.figsize": (WIDTHS[kind], WIDTHS[kind] / golden_ratio),
        "figure.constrained_layout.use": True,
        "figure.dpi": 96,
        "figure.facecolor": "white",
        "savefig.dpi": DPI,
        "savefig.facecolor": "white",
        "svg.hashsalt": "mmgap",
        "svg.fonttype": "path",
        "font.family": "DejaVu Sans",
        "font.size": size,
        "text.usetex": False,
        "axes.titlesize": size,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.labelsize": size,
        "xtick.labelsize": notes,
        "ytick.labelsize": notes,
        "legend.fontsize": notes,
        "legend.frameon": False,
        "figure.titlesize": 1.1 * size,
        "figure.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.formatter.use_mathtext": False,
        "axes.prop_cycle": cycler(
            color=[mark.colour for mark in SERIES], marker=[mark.marker for mark in SERIES]
        ),
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.8,
        "lines.linewidth": size / 7,
        "lines.markersize": 0.6 * size,
        "hatch.linewidth": 0.6,
        "image.cmap": "viridis",
    }


def new_figure(
    height: float | None = None, *, width: float | None = None, constrained: bool = True
) -> Figure:
    """Return an empty figure of the current style's size in inches, unknown to pyplot.

    With ``constrained=False`` the caller places the axes.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import PlaceHolderLayoutEngine

    style_width, style_height = mpl.rcParams["figure.figsize"]
    # layout="none" would turn into the style's layout when a figure is saved
    layout: Any = "constrained" if constrained else PlaceHolderLayoutEngine(True, False)
    figure = Figure(figsize=(width or style_width, height or style_height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def font_size() -> float:
    """Font size of the current style, in points."""
    import matplotlib as mpl

    return float(mpl.rcParams["font.size"])


def small() -> float:
    """Font size of notes in the current style, in points."""
    return max(MIN_POINTS, 0.85 * font_size())


def scale() -> float:
    """How much larger the current style's text is than a notebook's; never below 1."""
    return max(1.0, font_size() / 10)


def legible(text: str) -> str:
    r"""Replace what the figures' font cannot draw by an empty square, and any space by a blank.

    >>> legible("a\tcat, 一")
    'a cat, □'
    """
    cleaned = " ".join(text.split())
    return "".join(sign if _font().get_char_index(ord(sign)) else "□" for sign in cleaned)


def wrap(text: str, width: float, size: float, *, lines: int | None = None, **font: Any) -> str:
    r"""Break a text into lines no wider than ``width`` inches; an ellipsis shows what is cut.

    >>> wrap("a cat sits on a mat", 0.8, 10)
    'a cat sits\non a mat'
    """

    def fits(line: str) -> bool:
        return text_width(line, size, **font) <= width

    done: list[str] = []
    line = ""
    for word in legible(text).split(" "):
        if lines is not None and len(done) > lines:
            break
        joined = f"{line} {word}" if line else word
        if len(joined) < 4096 and fits(joined):
            line = joined
            continue
        if line:
            done.append(line)
        while len(word) > 1 and not (len(word) < 4096 and fits(word)):
            if lines is not None and len(done) > lines:
                break
            cut = _longest(word, fits)
            done.append(word[:cut])
            word = word[cut:]
        line = word
    done.append(line)
    if lines is not None and len(done) > lines:
        last = done[lines - 1][:200]
        while last and not fits(last + " …"):
            last = last[:-1]
        done = [*done[: lines - 1], f"{last.rstrip()} …"]
    return "\n".join(done)


def _longest(word: str, fits: Any) -> int:
    """Length of the longest beginning of a word that fits, at least 1: doubling, then halving."""
    high = 2
    while high < len(word) and fits(word[:high]):
        high *= 2
    low, high = 1, min(high, len(word) - 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(word[:middle]) else (low, middle - 1)
    return low


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, **font: Any) -> float:
    """Width of one line in inches."""
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    properties = FontProperties(family=mpl.rcParams["font.family"], size=size, **font)
    width, _, _ = TextToPath().get_text_width_height_descent(text, properties, ismath=False)
    return float(width) / 72


@lru_cache(maxsize=1)
def _font() -> FT2Font:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont("DejaVu Sans"))
