"""What one setting of training does, ours for every seed beside what was published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from mmgap.plots.canvas import new_figure, scale
from mmgap.plots.palette import QUIET_COLOUR, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def sweep_lines(
    table: pd.DataFrame,
    *,
    x: str,
    x_label: str,
    panels: Mapping[str, str],
    published: pd.DataFrame | None = None,
    source: str = "published",
) -> Figure:
    """Draw numbers against one setting: a dot per seed, a line through the means.

    Parameters
    ----------
    table : DataFrame
        One row per training: ``series``, the column ``x`` and one for each panel.
    x, x_label : str
        Column of the setting, drawn on a logarithmic axis, and what it is.
    panels : mapping of str to str
        Columns to draw, one below the other, and what each is.
    published : DataFrame, optional
        Columns ``x`` and any of the panels'; hollow circles on a dotted line.
    source : str
        What the legend says of them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a column is missing or there are more series than marks.
    """
    missing = sorted({"series", x, *panels} - set(table.columns))
    if missing or not panels:
        msg = f"the table lacks {missing or 'a panel'}; it has the columns {list(table.columns)}"
        raise ValueError(msg)
    marks = series_marks(dict.fromkeys(table["series"]))
    figure = new_figure(scale() * (1.9 * len(panels) + 1.0))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    theirs: dict[str, Any] = {
        "color": QUIET_COLOUR,
        "linestyle": ":",
        "marker": "o",
        "mfc": "white",
    }
    for axes, (column, label) in zip(grid, panels.items(), strict=True):
        for series, mark in marks.items():
            own = table[table["series"] == series]
            mean = own.groupby(x)[column].mean()
            axes.plot(mean.index, mean, color=mark.colour, linestyle=mark.line, marker="none")
            dots: dict[str, Any] = {"color": mark.colour, "marker": mark.marker, "alpha": 0.7}
            axes.plot(own[x], own[column], linestyle="none", **dots)
        if published is not None and column in published:
            axes.plot(published[x], published[column], **theirs)
        axes.set_ylabel(label)
        axes.margins(x=0.05, y=0.12)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    settings = sorted({*table[x], *(() if published is None else published[x])})
    grid[-1].set_xscale("log")
    grid[-1].xaxis.set_major_locator(FixedLocator(settings))
    grid[-1].xaxis.set_minor_locator(NullLocator())
    grid[-1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid[-1].set_xlabel(x_label)
    figure.align_ylabels(grid.tolist())
    handles = [
        Line2D([], [], color=mark.colour, linestyle=mark.line, marker=mark.marker, label=name)
        for name, mark in marks.items()
    ]
    if published is not None:
        handles.append(Line2D([], [], label=source, **theirs))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure
