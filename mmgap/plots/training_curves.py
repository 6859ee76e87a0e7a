"""How a number moves while heads are trained, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from mmgap.plots.canvas import new_figure, scale
from mmgap.plots.palette import series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def training_curves(
    panels: Mapping[str, pd.DataFrame],
    *,
    column: str = "l2m",
    label: str = "gap (L2M)",
    log_y: bool = False,
) -> Figure:
    """Draw a number against the training step, one line per variant and seed.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        A title for each panel, and its rows: ``variant``, ``seed``, ``step`` and ``column``, as in
        :class:`mmgap.contrastive.Comparison`.
    column : str, default "l2m"
    label : str
        What the column is, for the axis.
    log_y : bool, default False

    Returns
    -------
    matplotlib.figure.Figure
        Panels side by side on one vertical axis. A variant looks the same in all of them. Steps are
        on a logarithmic axis that starts at 0.

    Raises
    ------
    ValueError
        If there is no panel, a column is missing, or there are more variants than marks.
    """
    if not panels:
        msg = "there is no panel to draw; give at least one frame with the columns of a history"
        raise ValueError(msg)
    for title, frame in panels.items():
        missing = sorted({"variant", "seed", "step", column} - set(frame.columns))
        if missing:
            msg = f"panel {title!r} lacks the columns {missing}; it has {list(frame.columns)}"
            raise ValueError(msg)
    variants = dict.fromkeys(name for frame in panels.values() for name in frame["variant"])
    marks = series_marks(variants)
    figure = new_figure(4.2 * scale())
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, frame) in zip(grid, panels.items(), strict=True):
        for variant, mark in marks.items():
            look: dict[str, Any] = {"marker": mark.marker, "markersize": 4 * scale(), "alpha": 0.7}
            for _, run in frame[frame["variant"] == variant].groupby("seed"):
                axes.plot(run["step"], run[column], color=mark.colour, linestyle=mark.line, **look)
        last = int(frame["step"].max())
        axes.set_xscale("symlog", linthresh=10, linscale=0.6)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(last, wide=len(panels) == 1)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="training step", title=title)
        axes.grid(axis="y")
        axes.margins(x=0.03)
    if log_y:
        grid[0].set_yscale("log")
    elif min(float(frame[column].min()) for frame in panels.values()) >= 0:
        grid[0].set_ylim(bottom=0)
    grid[0].set_ylabel(label)
    handles = [
        Line2D([], [], color=mark.colour, linestyle=mark.line, marker=mark.marker, label=name)
        for name, mark in marks.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def _ticks(last: int, *, wide: bool) -> list[int]:
    """Round steps that leave room for their labels."""
    shown = _TICKS if wide else (0, 10, 30, 100, 300, 1000, 3000, 10_000)
    return [step for step in shown if step <= last]
