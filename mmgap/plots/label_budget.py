"""Recall against the number of labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, text_width, wrap
from mmgap.plots.palette import NEUTRAL, Mark, series_marks, strategy_mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def label_budget(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    columns: int = 3,
    ylabel: str | None = None,
) -> Figure:
    """Draw what fitted merges reach with more and more labels, and merges that need none.

    Parameters
    ----------
    table : DataFrame
        As :func:`mmgap.strategies.label_budget` returns it: ``method``, ``n_labels`` (NaN for
        merges without labels), ``measure``, ``value``, ``ci_low``, ``ci_high``, and the column
        named by ``panels``. Values in [0, 1].
    panels : str, optional
        The column whose values get a panel each.
    columns : int, default 3
        Panels in one row.
    ylabel : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        Points with 95 % intervals stand at equal distances, one place for each number of labels;
        merges without labels are horizontal lines.

    Raises
    ------
    ValueError
        If a column is missing, several rows share one point, or no row has a number of labels.
    """
    keys = ["method", "n_labels"] if panels is None else [panels, "method", "n_labels"]
    missing = sorted({"measure", "value", "ci_low", "ci_high", *keys} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise ValueError(msg)
    if table.duplicated(keys).any():
        msg = f"several rows share one {', '.join(keys)}; select from the table first"
        raise ValueError(msg)
    fitted = table["n_labels"].notna()
    budgets = sorted(table.loc[fitted, "n_labels"].unique())
    if not budgets:
        msg = "no row has a number of labels in n_labels, so there is no curve to draw"
        raise ValueError(msg)
    ways = list(dict.fromkeys(table.loc[fitted, "method"]))
    lines = list(dict.fromkeys(table.loc[~fitted, "method"]))
    marks = _marks(ways, lines)

    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    size = float(mpl.rcParams["font.size"])
    handles = [_handle(name, marks[name], curve=name in ways) for name in [*ways, *lines]]
    figure = new_figure((2.2 * n_rows + 1.2) * scale())
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    width = figure.get_figwidth() / columns - 0.5
    for axes, (title, part) in zip(grid, parts.items(), strict=False):
        _draw(axes, part, budgets, ways, marks)
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    labels = [f"{budget:g}" for budget in budgets]
    needed = sum(text_width(label, size) + 0.1 for label in labels)
    if needed > width - 0.2:  # narrow panels name every other place
        labels = [label if place % 2 == 0 else "" for place, label in enumerate(labels)]
    grid[0].set_xticks(range(len(budgets)), labels)
    grid[0].set_xlim(-0.4, len(budgets) - 0.6)
    figure.supxlabel("labelled pairs", fontsize=size)
    measure = " and ".join(dict.fromkeys(table["measure"]))
    figure.supylabel(ylabel or f"{measure} in %", fontsize=size)
    widest = max(text_width(handle.get_label(), size) for handle in handles) + 0.75 * scale()
    per_row = max(1, int((figure.get_figwidth() - 0.2) / widest))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(per_row, len(handles)))
    return figure


def _draw(
    axes: Axes,
    part: pd.DataFrame,
    budgets: Sequence[float],
    ways: Sequence[str],
    marks: dict[str, Mark],
) -> None:
    for name, value in part.loc[part["n_labels"].isna(), ["method", "value"]].itertuples(
        index=False
    ):
        mark = marks[name]
        axes.axhline(100 * value, color=mark.colour, linestyle=mark.line, lw=1.3, marker="none")
    for at, name in enumerate(ways):
        points = part[(part["method"] == name) & part["n_labels"].notna()].sort_values("n_labels")
        # Side by side, so that no interval hides another.
        places = [budgets.index(budget) + 0.14 * at for budget in points["n_labels"]]
        middle = 100 * points["value"].to_numpy(float)
        below = middle - 100 * points["ci_low"].to_numpy(float)
        above = 100 * points["ci_high"].to_numpy(float) - middle
        mark = marks[name]
        axes.errorbar(
            places,
            middle,
            yerr=[below, above],
            color=mark.colour,
            marker=mark.marker,
            mfc="white",
            mew=1.6,
            linestyle="-",
            elinewidth=1.2,
        )
    axes.grid(axis="y")


def _marks(ways: Sequence[str], lines: Sequence[str]) -> dict[str, Mark]:
    legs = {name: strategy_mark(name) for name in lines if strategy_mark(name) != NEUTRAL}
    return {**series_marks([*ways, *(name for name in lines if name not in legs)]), **legs}


def _handle(name: str, mark: Mark, *, curve: bool) -> Line2D:
    return Line2D(
        [],
        [],
        color=mark.colour,
        linestyle="-" if curve else mark.line,
        marker=mark.marker if curve else "none",
        mfc="white",
        mew=1.6,
        label=name if curve else f"{name}, no labels",
    )
