"""Whether probabilities of relevance keep their promise, leg by leg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from mmgap.plots.canvas import new_figure, scale, wrap
from mmgap.plots.palette import LEG, QUIET_COLOUR, Mark, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NEEDED = {"leg", "n", "mean_probability", "share_relevant", "ci_low", "ci_high"}


def reliability_diagrams(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame], *, columns: int = 3
) -> Figure:
    """Draw the share of relevant pairs over the probability that was promised, and the counts.

    Parameters
    ----------
    tables : DataFrame, or mapping of title to DataFrame
        As :func:`mmgap.scores.reliability_table` returns it: ``leg``, ``n``,
        ``mean_probability``, ``share_relevant``, ``ci_low``, ``ci_high``. A mapping gives one
        panel per entry.
    columns : int, default 3
        Panels in one row.

    Returns
    -------
    matplotlib.figure.Figure
        On the grey diagonal promises are kept; below it probabilities are too high. Under each
        diagram the number of pairs in each bin, on a logarithmic scale.

    Raises
    ------
    ValueError
        If a table lacks a column, or there is none.
    """
    panels = tables if isinstance(tables, Mapping) else {"": tables}
    for title, table in panels.items():
        missing = sorted(_NEEDED - set(table.columns))
        if missing:
            msg = f"the table {title!r} lacks the columns {missing}; it has {list(table.columns)}"
            raise ValueError(msg)
    if not panels:
        msg = "tables is empty; give one table of reliability_table() for each panel"
        raise ValueError(msg)
    marks = _marks(panels)
    columns = min(columns, len(panels))
    n_rows = -(-len(panels) // columns)
    figure = new_figure((2.75 * n_rows + 0.8) * scale())
    grid = figure.subplots(
        2 * n_rows,
        columns,
        sharex=True,
        sharey="row",
        squeeze=False,
        gridspec_kw={"height_ratios": [3, 1] * n_rows},
    )
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / columns - 0.5 * scale()
    for place, (title, table) in enumerate(panels.items()):
        row, column = divmod(place, columns)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        _draw(above, below, table, marks)
        above.set_title(wrap(title, width, size, weight="bold"), parse_math=False)
        below.tick_params(labelbottom=place + columns >= len(panels))
    for place in range(len(panels), n_rows * columns):
        row, column = divmod(place, columns)
        grid[2 * row, column].set_visible(False)
        grid[2 * row + 1, column].set_visible(False)
    for row in range(n_rows):
        grid[2 * row, 0].set_ylabel("share relevant")
        grid[2 * row + 1, 0].set_ylabel("pairs")
    figure.supxlabel("promised probability of relevance", fontsize=size)
    figure.legend(handles=_handles(marks), loc="outside upper center", ncols=3)
    return figure


def _marks(panels: Mapping[str, pd.DataFrame]) -> dict[str, Mark]:
    legs = list(dict.fromkeys(leg for table in panels.values() for leg in table["leg"]))
    others = series_marks(leg for leg in legs if leg not in LEG)
    return {leg: LEG.get(leg) or others[leg] for leg in legs}


def _draw(above: Axes, below: Axes, table: pd.DataFrame, marks: Mapping[str, Mark]) -> None:
    above.plot([0, 1], [0, 1], color=QUIET_COLOUR, linewidth=1.0, linestyle="-", marker="none")
    for leg, mark in marks.items():
        part = table[table["leg"] == leg].sort_values("mean_probability")
        x = part["mean_probability"]
        look: dict[str, Any] = {"color": mark.colour}
        above.vlines(x, part["ci_low"], part["ci_high"], linewidth=1.2, **look)
        above.plot(x, part["share_relevant"], marker=mark.marker, linestyle=mark.line, ms=5, **look)
        below.plot(x, part["n"], marker=mark.marker, linestyle=mark.line, ms=4, **look)
    above.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    above.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    above.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    above.tick_params(labelbottom=False)
    below.set_yscale("log")
    below.set_ylim(0.5, None)
    below.yaxis.set_major_locator(LogLocator(numticks=3))
    below.yaxis.set_minor_locator(NullLocator())
    above.grid(axis="both")
    below.grid(axis="y")


def _handles(marks: Mapping[str, Mark]) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], color=mark.colour, marker=mark.marker, linestyle=mark.line, label=f"{leg} leg"
        )
        for leg, mark in marks.items()
    ]
    kept = Line2D([], [], color=QUIET_COLOUR, linewidth=1.0, marker="none", label="promise kept")
    return [*handles, kept]
