"""What a threshold accepts: precision, false accepts and recall, and the threshold chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.palette import NEUTRAL, QUIET_COLOUR, SERIES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmgap.scores.threshold import Threshold

_MARKS = {
    "precision": SERIES[0],
    "recall": SERIES[1],
    "false accept rate": SERIES[3],
}
_NEEDED = {"threshold", "measure", "value", "ci_low", "ci_high"}


def threshold_curves(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame],
    chosen: Mapping[str, Threshold] | Threshold | None = None,
    *,
    columns: int = 3,
    xlabel: str = "reject below this score",
) -> Figure:
    """Draw precision, recall and false accept rate over the threshold, with their bands.

    Parameters
    ----------
    tables : DataFrame, or mapping of title to DataFrame
        As :func:`mmgap.strategies.threshold_curve` returns it: ``threshold``, ``measure``,
        ``value``, ``ci_low``, ``ci_high``. A mapping gives one panel per entry.
    chosen : Threshold, mapping of title to Threshold, or None
        What :func:`mmgap.scores.find_threshold` returned for a panel: a line at the threshold,
        its interval shaded, a cross at the target; where there is none the panel says so.
    columns : int, default 3
        Panels in one row.
    xlabel : str

    Returns
    -------
    matplotlib.figure.Figure
        Each panel has a score axis of its own.

    Raises
    ------
    ValueError
        If a table lacks a column or has an unknown measure, or ``chosen`` names a panel that is
        not there.
    """
    panels = tables if isinstance(tables, Mapping) else {"": tables}
    found = chosen if isinstance(chosen, Mapping) else {} if chosen is None else {"": chosen}
    _refuse_unusable(panels, found)
    columns = min(columns, len(panels))
    n_rows = -(-len(panels) // columns)
    figure = new_figure((2.35 * n_rows + 1.0) * scale())
    grid = figure.subplots(n_rows, columns, sharey=True, squeeze=False).ravel()
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / columns - 0.5 * scale()
    for axes, (title, table) in zip(grid, panels.items(), strict=False):
        _draw(axes, table)
        heading = wrap(title, width, size, weight="bold")
        axes.set_title(heading, parse_math=False, pad=6 + (1.35 * small() if found else 0))
        if title in found:
            _mark(axes, found[title])
    for spare in grid[len(panels) :]:
        spare.set_visible(False)
    grid[0].set_ylim(-0.03, 1.03)
    grid[0].set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel(xlabel, fontsize=size)
    figure.supylabel("share", fontsize=size)
    measures = list(dict.fromkeys(name for table in panels.values() for name in table["measure"]))
    handles = _handles([name for name in _MARKS if name in measures], chosen=bool(found))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _refuse_unusable(panels: Mapping[str, pd.DataFrame], chosen: Mapping[str, Threshold]) -> None:
    if not panels:
        msg = "tables is empty; give one table of threshold_curve() for each panel"
        raise ValueError(msg)
    for title, table in panels.items():
        missing = sorted(_NEEDED - set(table.columns))
        if missing:
            msg = f"the table {title!r} lacks the columns {missing}; it has {list(table.columns)}"
            raise ValueError(msg)
        unknown = sorted({*table["measure"]} - {*_MARKS})
        if unknown:
            msg = f"unknown measure {unknown[0]!r}; expected {', '.join(map(repr, _MARKS))}"
            raise ValueError(msg)
    strangers = sorted(set(chosen) - set(panels))
    if strangers:
        msg = f"chosen names {strangers[0]!r}; the panels are {', '.join(map(repr, panels))}"
        raise ValueError(msg)


def _draw(axes: Axes, table: pd.DataFrame) -> None:
    for measure, mark in _MARKS.items():
        part = table[table["measure"] == measure].sort_values("threshold")
        if len(part):
            x = part["threshold"]
            axes.fill_between(
                x, part["ci_low"], part["ci_high"], color=mark.colour, alpha=0.18, linewidth=0
            )
            axes.plot(x, part["value"], color=mark.colour, linestyle=mark.line, marker="none")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y")


def _mark(axes: Axes, threshold: Threshold) -> None:
    words = "no threshold keeps the promise"
    if threshold.value is not None:
        words = f"reject below {threshold.value:.2f}"
        if threshold.low is not None and threshold.high is not None:
            words += f" [{threshold.low:.2f}, {threshold.high:.2f}]"
            axes.axvspan(threshold.low, threshold.high, color=QUIET_COLOUR, alpha=0.2, linewidth=0)
        axes.axvline(threshold.value, color=NEUTRAL.colour, linewidth=1.2, marker="none")
        point = [threshold.value], [threshold.target]
        axes.plot(*point, marker="x", color=NEUTRAL.colour, ms=7, mew=2, linestyle="none", zorder=4)
    offset: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points"}
    axes.annotate(
        words,
        (0.5, 1),
        xycoords="axes fraction",
        ha="center",
        va="bottom",
        fontsize=small(),
        color=QUIET_COLOUR,
        **offset,
    )


def _handles(measures: list[str], *, chosen: bool) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=_MARKS[name].colour, linestyle=_MARKS[name].line, label=name)
        for name in measures
    ]
    if chosen:
        line = Line2D([], [], color=NEUTRAL.colour, linewidth=1.2, label="chosen threshold")
        span = Patch(facecolor=QUIET_COLOUR, alpha=0.2, label="its 95 % interval")
        cross = Line2D(
            [], [], color=NEUTRAL.colour, marker="x", mew=2, linestyle="none", label="target"
        )
        handles += [line, span, cross]
    return handles
