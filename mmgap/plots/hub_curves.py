"""How unevenly documents share the places of result lists, before and after cures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, wrap
from mmgap.plots.palette import QUIET_COLOUR, series_marks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def hub_curves(
    counts: Mapping[str, Mapping[str, np.ndarray]], *, k: int = 10, columns: int = 2
) -> Figure:
    """Draw in how many lists each document appears, the most frequent first.

    Parameters
    ----------
    counts : mapping of panel to mapping of cure to int array of shape (n_doc,)
        As of :func:`mmgap.gap.k_occurrence`.
    k : int, default 10
        Length of the lists, for the label.
    columns : int, default 2
        Panels in one row.

    Returns
    -------
    matplotlib.figure.Figure
        The steeper a curve falls, the fewer documents hold the places; dotted: all share alike.
        The first document stands at 1, on a logarithmic axis, since hubs are few.

    Raises
    ------
    ValueError
        If there is nothing to draw, panels have different cures, the arrays of one panel have
        different sums or lengths, or there are more cures than marks.
    """
    cures = list(next(iter(counts.values()), {}))
    if not cures or any(list(panel) != cures for panel in counts.values()):
        got = [list(panel) for panel in counts.values()]
        msg = f"every panel needs the same cures, at least one; got {got}"
        raise ValueError(msg)
    for title, panel in counts.items():
        shapes = {(len(found), int(np.sum(found))) for found in panel.values()}
        if len(shapes) > 1:
            msg = (
                f"counts of {title!r} must be of the same documents and lists; got lengths and "
                f"sums {sorted(shapes)}"
            )
            raise ValueError(msg)
    looks = series_marks(cures)
    columns = min(columns, len(counts))
    n_rows = -(-len(counts) // columns)
    figure = new_figure((1.9 * n_rows + 1.0) * scale())
    grid = figure.subplots(n_rows, columns, squeeze=False).ravel()
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / columns - 0.6 * scale()
    for axes, (title, panel) in zip(grid, counts.items(), strict=False):
        for cure, mark in looks.items():
            falling = np.sort(panel[cure])[::-1]
            places = np.arange(1, len(falling) + 1)
            every = np.unique(np.geomspace(1, len(falling), 7).astype(int)) - 1
            axes.plot(
                places,
                falling,
                color=mark.colour,
                linestyle=mark.line,
                marker=mark.marker,
                ms=4,
                markevery=every.tolist(),
            )
        axes.axhline(np.mean(panel[cures[0]]), color=QUIET_COLOUR, linestyle=":", marker="none")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(bottom=0)
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
        axes.grid(axis="y")
    for spare in grid[len(counts) :]:
        spare.set_visible(False)
    figure.supxlabel("documents, the most frequent first", fontsize=size)
    figure.supylabel(f"lists of the first {k} that hold it", fontsize=size)
    handles = [
        Line2D([], [], color=m.colour, linestyle=m.line, marker=m.marker, ms=4, label=cure)
        for cure, m in looks.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    return figure
