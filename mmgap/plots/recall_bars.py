"""Recall of every strategy with its interval, in panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

from mmgap.plots.canvas import new_figure, scale, small, text_width, wrap
from mmgap.plots.palette import strategy_mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.9
"""Inches that a strategy's name may take before it is broken into lines."""


_INTERVAL = ("value", "ci_low", "ci_high")


def recall_bars(
    table: pd.DataFrame,
    *,
    measure: str = "recall@10",
    panels: str | None = None,
    strategies: Sequence[str] | None = None,
    columns: int = 3,
) -> Figure:
    """Draw one measure as a dot with its interval, strategies down, panels across.

    Parameters
    ----------
    table : DataFrame
        As :func:`mmgap.evaluation.recall_table` returns it: columns ``strategy``, ``measure``,
        ``value``, ``ci_low``, ``ci_high`` and those that split the queries; values in [0, 1].
    measure : str, default "recall@10"
    panels : str, optional
        The column whose values get a panel each; ``"encoder"`` where the table has it.
    strategies : sequence of str, optional
        Which ones to draw, from the top; by default all in the order of the table.
    columns : int, default 3
        Panels in one row.

    Raises
    ------
    ValueError
        If the table does not hold the measure, or holds several rows for one dot.
    """
    rows = table[table["measure"] == measure]
    if panels is None and "encoder" in table:
        panels = "encoder"
    names = list(strategies if strategies is not None else dict.fromkeys(rows["strategy"]))
    rows = rows[rows["strategy"].isin(names)]
    _refuse_unusable(rows, table, measure, panels)
    parts = {"": rows} if panels is None else dict(iter(rows.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    labels = [wrap(name, LABEL_WIDTH * scale(), small()) for name in names]
    n_lines = 1 + max(label.count("\n") for label in labels)
    row_height = max(0.42 * scale(), n_lines * 1.35 * small() / 72 + 0.06)
    n_grid_rows = -(-len(parts) // columns)
    figure = new_figure((row_height * len(names) + 0.75 * scale()) * n_grid_rows + 0.2)
    grid = figure.subplots(n_grid_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    lines = [line for label in labels for line in label.split("\n")]
    left = max(text_width(line, small()) for line in lines)
    title_width = (figure.get_figwidth() - left) / columns - 0.15
    for axes, (name, part) in zip(grid, parts.items(), strict=False):
        _draw(
            axes,
            wrap(str(name), title_width, float(mpl.rcParams["font.size"]), weight="bold"),
            part,
            names,
        )
    grid[0].set_yticks(range(len(names)), labels, parse_math=False)
    grid[0].set_ylim(len(names) - 0.5, -0.7)
    grid[0].set_xlim(-3, max(10.0, 108 * rows["ci_high"].max()))
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel(
        f"{measure} in %, with 95 % interval", fontsize=float(mpl.rcParams["font.size"])
    )
    return figure


def _refuse_unusable(
    rows: pd.DataFrame, table: pd.DataFrame, measure: str, panels: str | None
) -> None:
    if rows.empty:
        known = ", ".join(dict.fromkeys(map(str, table["measure"])))
        msg = f"the table has no row of measure {measure!r} for these strategies; it has {known}"
        raise ValueError(msg)
    keys = ["strategy"] if panels is None else [panels, "strategy"]
    repeated = rows[rows.duplicated(keys)]
    if len(repeated):
        msg = (
            f"{len(repeated)} rows repeat a pair of {' and '.join(keys)}, e.g. strategy "
            f"{repeated['strategy'].iloc[0]!r}; name the column that tells them apart as panels=, "
            "or select from the table first"
        )
        raise ValueError(msg)


def _draw(axes: Axes, title: str, part: pd.DataFrame, names: Sequence[str]) -> None:
    rows = part.set_index("strategy")
    for place, name in enumerate(names):
        if name not in rows.index:
            continue
        value, low, high = 100 * rows.loc[name, list(_INTERVAL)].to_numpy(dtype=float)
        mark = strategy_mark(name)
        axes.plot([low, high], [place, place], color=mark.colour, marker="none", linestyle="-")
        axes.plot([value], [place], color=mark.colour, marker=mark.marker)
        axes.annotate(
            f"{value:.1f}",
            (value, place),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=small(),
            color=mark.colour,
        )
    axes.set_title(title, parse_math=False)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
