"""Recall against the weight of the text leg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, text_width, wrap
from mmgap.plots.palette import Mark, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = 8


def weight_curves(
    table: pd.DataFrame,
    *,
    lines: str,
    panels: str | None = None,
    marks: Mapping[str, Mark] | None = None,
    columns: int = 3,
    chosen: str = "chosen on other queries",
    ylabel: str = "recall@10 in %",
) -> Figure:
    """Draw one curve for each kind of query over the weight that a merge gives to the text leg.

    Parameters
    ----------
    table : DataFrame
        Columns ``weight`` (of the text leg, in [0, 1]), ``value`` (in [0, 1]), ``chosen`` (bool:
        whether this point gets a mark), and those named by ``lines`` and ``panels``.
    lines : str
        The column whose values get a curve each.
    panels : str, optional
        The column whose values get a panel each.
    marks : mapping of str to Mark, optional
        How each curve looks; by default marks in order.
    columns : int, default 3
        Panels in one row.
    chosen : str
        What the marked points are, as the legend says it.
    ylabel : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a column is missing, several rows share one point, or a curve has no mark.
    """
    keys = [lines, "weight"] if panels is None else [panels, lines, "weight"]
    missing = sorted({"value", "chosen", *keys} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise ValueError(msg)
    if table.duplicated(keys).any():
        msg = f"several rows share one {', '.join(keys)}; select from the table first"
        raise ValueError(msg)
    names = list(dict.fromkeys(table[lines]))
    marks = series_marks(names) if marks is None else marks
    without = [name for name in names if name not in marks]
    if without:
        msg = f"marks has none for {without[0]!r}; it has {', '.join(map(repr, marks))}"
        raise ValueError(msg)

    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    figure = new_figure((2.0 * n_rows + 0.9) * scale())
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    width = figure.get_figwidth() / columns - 0.5
    for axes, (title, part) in zip(grid, parts.items(), strict=False):
        _draw(axes, {name: part[part[lines] == name] for name in names}, marks)
        size = float(mpl.rcParams["font.size"])
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    grid[0].set_xlim(-0.04, 1.04)
    grid[0].set_ylim(0, 105 * table["value"].max())
    grid[0].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    size = float(mpl.rcParams["font.size"])
    figure.supxlabel(_first_fit(figure.get_figwidth() - 0.3, size), fontsize=size)
    figure.supylabel(ylabel, fontsize=size)
    handles = [
        Line2D(
            [],
            [],
            color=marks[name].colour,
            linestyle=marks[name].line,
            marker=marks[name].marker,
            ms=_SIZE,
            mfc="white",
            mew=1.8,
            label=name,
        )
        for name in names
    ]
    handles.append(Line2D([], [], linestyle="none", marker="", label=f"marked: {chosen}"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 3))
    return figure


def _draw(axes: Axes, parts: Mapping[str, pd.DataFrame], marks: Mapping[str, Mark]) -> None:
    for name, part in parts.items():
        mark, part = marks[name], part.sort_values("weight")
        axes.plot(
            part["weight"], 100 * part["value"], color=mark.colour, linestyle=mark.line, marker=""
        )
        points = part[part["chosen"]]
        axes.plot(
            points["weight"],
            100 * points["value"],
            mark.marker,
            ms=_SIZE,
            mfc="white",
            mec=mark.colour,
            mew=1.8,
            zorder=3,
        )
    axes.grid(axis="y")


def _first_fit(width: float, size: float) -> str:
    """Say what the weight means, as fully as there is room."""
    short = "weight of the text leg"
    full = f"{short} (0: image leg alone, 0.5: mean, 1: text leg alone)"
    return full if text_width(full, size) <= width else short
