"""Figure styles as dictionaries, and the sizes figures have."""

from __future__ import annotations

from typing import Any, Literal

from mmgap.plots.palette import SERIES

Kind = Literal["notebook", "paper", "slide"]

GOLDEN_RATIO = (1 + 5**0.5) / 2

COLUMN_WIDTH = 3.35
"""Inches of one column of a two-column paper."""

WIDTHS: dict[str, float] = {"notebook": 8.0, "paper": 6.9, "slide": 10.0}
"""Inches that each kind of page leaves for a figure."""

FONT_SIZES: dict[str, float] = {"notebook": 10.0, "paper": 8.0, "slide": 15.0}
"""Points; nothing in a figure is smaller than 8."""

DPI = 160


def style(kind: Kind = "notebook") -> dict[Any, Any]:
    """Return matplotlib's parameters for one kind of page.

    Parameters
    ----------
    kind : {"notebook", "paper", "slide"}

    Returns
    -------
    dict
        For ``matplotlib.pyplot.rc_context`` or ``matplotlib.rcParams.update``.

    Examples
    --------
    >>> from matplotlib.pyplot import rc_context
    >>> with rc_context(style("paper")):
    ...     pass
    """
    if kind not in WIDTHS:
        msg = f"there is no style {kind!r}; choose one of {', '.join(WIDTHS)}"
        raise ValueError(msg)
    from cycler import cycler

    size = FONT_SIZES[kind]
    small = max(8.0, 0.85 * size)
    line = size / 7
    return {
        "figure.figsize": (WIDTHS[kind], WIDTHS[kind] / GOLDEN_RATIO),
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
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
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
        "lines.linewidth": line,
        "lines.markersize": 0.6 * size,
        "hatch.linewidth": 0.6,
        "image.cmap": "viridis",
    }
