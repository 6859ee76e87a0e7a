"""Distance of the modalities against what a merge loses, before and after a cure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, wrap
from mmgap.plots.palette import QUIET_COLOUR, Mark, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEEDED = ("setting", "step", "distance", "value", "ci_low", "ci_high")
STEPS = ("before", "after")
"""What ``step`` can be."""


def closing_arrows(
    table: pd.DataFrame,
    *,
    panels: str,
    columns: int = 2,
    marks: Mapping[str, Mark] | None = None,
    xlabel: str = "distance of the centroids (L2M)",
    ylabel: str = "recall@10 lost by the merge, in points",
) -> Figure:
    """Draw an arrow from before to after: to the left is closer, down is less lost.

    Parameters
    ----------
    table : DataFrame
        Columns ``setting``, ``step`` ("before" or "after"), ``distance``, ``value``, ``ci_low``
        and ``ci_high`` (in [-1, 1]), and the one named by ``panels``.
    panels : str
        The column whose values get a panel each.
    columns : int, default 2
        Panels in one row.
    marks : mapping of str to Mark, optional
        How each setting looks; by default marks in order, at most six.
    xlabel, ylabel : str

    Returns
    -------
    matplotlib.figure.Figure
        Hollow: before; filled: after; both with their intervals.

    Raises
    ------
    ValueError
        If a column is missing, a panel has a setting's step not exactly once, or a setting has no
        mark.
    """
    missing = sorted({*_NEEDED, panels} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise ValueError(msg)
    steps = table.groupby([panels, "setting"], sort=False)["step"].agg(sorted)
    if any(found != sorted(STEPS) for found in steps):
        msg = f"each setting of a panel needs one row of each step {STEPS}; got {steps.to_dict()}"
        raise ValueError(msg)
    names = list(dict.fromkeys(table["setting"]))
    looks = dict(series_marks(names) if marks is None else marks)
    without = [name for name in names if name not in looks]
    if without:
        msg = f"marks has none for {without[0]!r}; it has {', '.join(map(repr, looks))}"
        raise ValueError(msg)
    parts = dict(iter(table.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    figure = new_figure((2.3 * n_rows + 1.0) * scale())
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / columns - 0.6 * scale()
    for axes, (title, part) in zip(grid, parts.items(), strict=False):
        axes.axhline(0, color=QUIET_COLOUR, linewidth=1.0, linestyle="-", marker="none")
        for name, rows in part.groupby("setting", sort=False):
            _draw(axes, rows.set_index("step").loc[list(STEPS)], looks[str(name)])
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
        axes.grid(axis="both")
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    grid[0].margins(x=0.08, y=0.08)
    grid[0].set_xlim(left=0)
    figure.supxlabel(xlabel, fontsize=size)
    figure.supylabel(ylabel, fontsize=size)
    handles = [
        Line2D([], [], color=looks[n].colour, marker=looks[n].marker, ms=7, linestyle="", label=n)
        for n in names
    ]
    grey: dict[str, Any] = {"color": QUIET_COLOUR, "marker": "o", "ms": 7, "linestyle": ""}
    handles += [Line2D([], [], mfc="white", label="before", **grey)]
    handles += [Line2D([], [], label="after", **grey)]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, mark: Mark) -> None:
    x = rows["distance"].to_numpy(float)
    y, low, high = 100 * rows[["value", "ci_low", "ci_high"]].to_numpy(float).T
    axes.annotate(
        "",
        (x[1], y[1]),
        (x[0], y[0]),
        arrowprops={"arrowstyle": "->", "color": mark.colour, "shrinkA": 5, "shrinkB": 5},
    )
    for step in (0, 1):
        line: dict[str, Any] = {"color": mark.colour, "linestyle": "-", "marker": "none"}
        axes.plot([x[step]] * 2, [low[step], high[step]], linewidth=1.0, **line)
        face = mark.colour if step else "white"
        axes.plot(x[step], y[step], mark.marker, ms=7, mec=mark.colour, mfc=face, zorder=3)
