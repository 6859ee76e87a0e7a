"""What a merge loses, split into its causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmgap.plots.canvas import new_figure, scale, small, text_width, wrap
from mmgap.plots.palette import QUIET_COLOUR, SERIES, Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.9
"""Inches that a name may take before it is broken into lines."""

_LOOKS = {
    "offset": Mark(SERIES[0].colour, "s", hatch=""),
    "spread": Mark(SERIES[1].colour, "s", hatch="////"),
    "hubness": Mark(SERIES[2].colour, "s", hatch="...."),
    "unexplained": Mark("#777777", "s", hatch="xx"),
}
_TOTAL: dict[str, Any] = {
    "marker": "D",
    "mfc": "white",
    "mec": "#222222",
    "color": "#222222",
    "ms": 6,
}


def loss_parts(
    table: pd.DataFrame, *, panels: str, rows: str = "setting", k: int = 10, columns: int = 2
) -> Figure:
    """Draw the loss of recall of each merge as a bar, stacked from its causes.

    Parameters
    ----------
    table : DataFrame
        Rows of measure ``part`` of :meth:`mmgap.scores.MergeLoss.to_frame`: ``cause``, ``value``,
        ``ci_low``, ``ci_high``, and the columns named by ``rows`` and ``panels``.
    panels : str
        The column whose values get a panel each.
    rows : str, default "setting"
        The column whose values stand below each other.
    k : int, default 10
        Cut-off of the recall, for the label.
    columns : int, default 2
        Panels in one row.

    Returns
    -------
    matplotlib.figure.Figure
        Parts above 0 are stacked to the right of the line at 0, parts below 0, whose removal costs
        recall, to its left. A diamond with its interval is their sum, the loss.

    Raises
    ------
    ValueError
        If several rows of the table would share one part, or a cause is unknown.
    """
    keys = [panels, rows, "cause"]
    if table.duplicated(keys).any():
        msg = f"several rows share one {', '.join(keys)}; select measure 'part' of one run first"
        raise ValueError(msg)
    unknown = sorted({*table["cause"]} - {"loss", *_LOOKS})
    if unknown:
        msg = f"unknown cause {unknown[0]!r}; expected 'loss', {', '.join(map(repr, _LOOKS))}"
        raise ValueError(msg)
    names = list(dict.fromkeys(table[rows]))
    parts = dict(iter(table.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    labels = [wrap(str(name), LABEL_WIDTH * scale(), small()) for name in names]
    n_lines = 1 + max(label.count("\n") for label in labels)
    row_height = max(0.46 * scale(), n_lines * 1.35 * small() / 72 + 0.08)
    figure = new_figure((row_height * len(names) + 0.6 * scale()) * n_rows + 0.75 * scale())
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    left = max(text_width(line, small()) for label in labels for line in label.split("\n"))
    width = (figure.get_figwidth() - left) / columns - 0.2
    size = float(mpl.rcParams["font.size"])
    for axes, (title, part) in zip(grid, parts.items(), strict=False):
        for place, name in enumerate(names):
            _draw(axes, place, part[part[rows] == name].set_index("cause"))
        axes.axvline(0, color=QUIET_COLOUR, linewidth=1.0, linestyle="-", marker="none")
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    for axes in grid[max(0, len(parts) - columns) : len(parts)]:
        axes.tick_params(labelbottom=True)
    grid[0].set_yticks(range(len(names)), labels, parse_math=False, fontsize=small())
    grid[0].set_ylim(len(names) - 0.5, -0.6)
    figure.supxlabel(f"recall@{k} lost by the merge, in points", fontsize=size)
    figure.legend(handles=_handles(), loc="outside upper center", ncols=3)
    return figure


def _draw(axes: Axes, place: int, part: pd.DataFrame) -> None:
    values = part["value"].to_dict()
    ends = {True: 0.0, False: 0.0}  # of what is stacked so far, right and left of 0
    for cause, look in _LOOKS.items():
        if cause not in values:
            continue
        value = 100 * float(values[cause])
        axes.barh(
            place,
            value,
            left=ends[value > 0],
            height=0.55,
            color=look.colour,
            hatch=look.hatch,
            edgecolor="white",
            linewidth=0.6,
        )
        ends[value > 0] += value
    if "loss" in values:
        total, low, high = 100 * part.loc["loss", ["value", "ci_low", "ci_high"]].to_numpy(float)
        axes.plot([low, high], [place, place], color="#222222", linestyle="-", marker="none")
        axes.plot([total], [place], linestyle="none", **_TOTAL)


def _handles() -> list[Patch | Line2D]:
    bars: list[Patch | Line2D] = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=cause)
        for cause, look in _LOOKS.items()
    ]
    return [*bars, Line2D([], [], linestyle="-", label="loss, 95 % interval", **_TOTAL)]
