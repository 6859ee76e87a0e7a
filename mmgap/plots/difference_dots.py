"""How much better or worse than a baseline, with intervals, in panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

from mmgap.plots.canvas import new_figure, scale, small, text_width, wrap
from mmgap.plots.palette import NEUTRAL, QUIET_COLOUR, strategy_mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.9
"""Inches that a name may take before it is broken into lines."""


def difference_dots(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    rows: str = "strategy",
    columns: int = 3,
    xlabel: str | None = None,
) -> Figure:
    """Draw differences to a baseline as dots with their intervals, and the line of no difference.

    Parameters
    ----------
    table : DataFrame
        As :func:`mmgap.evaluation.differences.difference_table` returns it: ``measure``,
        ``value``, ``ci_low``, ``ci_high``, and the columns named by ``rows`` and ``panels``.
    panels : str, optional
        The column whose values get a panel each.
    rows : str, default "strategy"
        The column whose values stand below each other.
    columns : int, default 3
        Panels in one row.
    xlabel : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        Filled: the interval leaves out 0. Hollow: it does not.

    Raises
    ------
    ValueError
        If several rows of the table would share one dot.
    """
    keys = [rows] if panels is None else [panels, rows]
    if table.duplicated(keys).any():
        msg = f"several rows share one pair of {' and '.join(keys)}; select from the table first"
        raise ValueError(msg)
    names = list(dict.fromkeys(table[rows]))
    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    labels = [wrap(str(name), LABEL_WIDTH * scale(), small()) for name in names]
    n_lines = 1 + max(label.count("\n") for label in labels)
    row_height = max(0.42 * scale(), n_lines * 1.35 * small() / 72 + 0.06)
    n_grid_rows = -(-len(parts) // columns)
    figure = new_figure((row_height * len(names) + 0.75 * scale()) * n_grid_rows + 0.2)
    grid = figure.subplots(n_grid_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    left = max(text_width(line, small()) for label in labels for line in label.split("\n"))
    title_width = (figure.get_figwidth() - left) / columns - 0.15
    size = float(mpl.rcParams["font.size"])
    for axes, (name, part) in zip(grid, parts.items(), strict=False):
        _draw(axes, part.set_index(rows), names)
        axes.set_title(wrap(str(name), title_width, size, weight="bold"), parse_math=False)
    grid[0].set_yticks(range(len(names)), labels, parse_math=False)
    grid[0].set_ylim(len(names) - 0.5, -0.7)
    low, high = min(0, 100 * table["ci_low"].min()), max(0, 100 * table["ci_high"].max())
    pad = max(1.0, 0.1 * (high - low))
    grid[0].set_xlim(low - pad, high + pad)
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    measure = " and ".join(dict.fromkeys(table["measure"]))
    figure.supxlabel(
        xlabel or f"difference of {measure} in points, with 95 % interval", fontsize=size
    )
    return figure


def _draw(axes: Axes, part: pd.DataFrame, names: Sequence[str]) -> None:
    axes.axvline(0, color=QUIET_COLOUR, linewidth=1.0, linestyle="-", marker="none")
    for place, name in enumerate(names):
        if name not in part.index:
            continue
        value, low, high = 100 * part.loc[name, ["value", "ci_low", "ci_high"]].to_numpy(float)
        mark = strategy_mark(str(name)) if part.index.name == "strategy" else NEUTRAL
        apart = low > 0 or high < 0
        axes.plot([low, high], [place, place], color=mark.colour, marker="none", linestyle="-")
        axes.plot(
            [value], [place], mark.marker, color=mark.colour, mfc=mark.colour if apart else "white"
        )
        axes.annotate(
            _signed(float(value)),
            (value, place),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=small(),
            color=mark.colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _signed(value: float) -> str:
    """Write a difference with its sign, and nothing but zero where it rounds to that."""
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text
