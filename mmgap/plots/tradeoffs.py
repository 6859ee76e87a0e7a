"""Two numbers against each other: recall and cost, the two directions of a merge, gap and loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from mmgap.errors import MmgapError
from mmgap.plots.palette import QUIET_COLOUR, Mark, series_marks, strategy_mark
from mmgap.plots.panels import PLAIN, Panels, check_table, handle, marks_for, split_panels
from mmgap.plots.style import scale, small, wrap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.7
"""Inches that a name beside the axes may take before it is broken into lines."""

FRONT = "front: most found for the cost"
"""Label of the grey steps."""

COSTS = {
    "calls_per_query": "reranker calls per query",
    "ms_per_query": "milliseconds per query",
    "rerank_ms": "milliseconds of reranking per query",
    "pixels_per_query": "pixels read by the reranker per query",
    "tokens_per_query": "text tokens read by the reranker per query",
}
"""What the axis of each column says."""

_CEILING = Mark("#222222", "*")


def pareto(
    table: pd.DataFrame,
    *,
    cost: str = "calls_per_query",
    panels: str | None = None,
    height: float = 3.2,
    ax: Axes | None = None,
) -> Figure:
    """Draw recall against cost, with the front of what no other strategy beats.

    ``table`` is of :func:`mmgap.strategies.cost_table`. A family with a reranker is a line through
    its depths; a strategy without one goes on to the right as a dotted level. Thin bars: 95 % CIs.
    The axis is logarithmic, linear below the smallest cost where some strategies are free.
    """
    needed = ["family", "reranked", "measure", "value", "ci_low", "ci_high", cost]
    check_table(table, needed, ["strategy"] if panels is None else [panels, "strategy"])
    parts = split_panels(table, panels)
    marks = series_marks(dict.fromkeys(table.loc[table["reranked"], "family"]))
    grid = Panels(parts, height * len(parts) + 0.4, columns=1, ax=ax, sharey=False)
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        _set_limits(axes, table[cost].to_numpy(float), part)
        _draw_costs(axes, part, cost, marks)
        _label_ends(axes, part, cost, marks, height * scale())
        axes.set_ylabel(f"{part['measure'].iloc[0]} in %")
        axes.tick_params(labelbottom=True)
        axes.grid(axis="y")
    grid.axes[-1].set_xlabel(COSTS.get(cost, cost))
    grid.figure.align_ylabels(grid.axes)
    return grid.figure


def _set_limits(axes: Axes, costs: np.ndarray, part: pd.DataFrame) -> None:
    """Fix both axes, before names are put where the lines end."""
    paid = costs[costs > 0]
    least, most = (paid.min(), paid.max()) if len(paid) else (1.0, 1.0)
    if len(paid) < len(costs):
        axes.set_xscale("symlog", linthresh=least, linscale=0.5)
        axes.set_xlim(-0.15 * least, 1.25 * most)
    else:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.15, 1.25 * most)
    first, last = axes.get_xlim()
    ticks = [step * 10.0**power for power in range(-4, 10) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if max(first, 0.9 * least) <= tick <= last]
    axes.xaxis.set_major_locator(FixedLocator([0.0, *ticks] if first < 0 else ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = 100 * part["ci_low"].min(), 100 * part["ci_high"].max()
    pad = max(0.5, 0.06 * (high - low))
    axes.set_ylim(low - pad, high + pad)


def _draw_costs(axes: Axes, part: pd.DataFrame, cost: str, marks: Mapping[str, Mark]) -> None:
    front = _front(part, cost)
    steps_x = np.append(front[cost], axes.get_xlim()[1])
    steps_y = 100 * np.append(front["value"], front["value"].iloc[-1])
    look: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 5, "zorder": 1, "gid": "front"}
    axes.plot(steps_x, steps_y, drawstyle="steps-post", solid_capstyle="butt", **look, **PLAIN)
    rows: list[dict[str, Any]] = part.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        mark = marks.get(row["family"], strategy_mark(row["strategy"]))
        x, low, high = row[cost], 100 * row["ci_low"], 100 * row["ci_high"]
        axes.vlines(x, low, high, color=mark.colour, lw=0.8, alpha=0.6)
        if not row["reranked"]:
            axes.plot([x], [100 * row["value"]], mark.marker, color=mark.colour, zorder=3)
    for family, mark in marks.items():
        own = part[part["family"] == family].sort_values(cost)
        look = {"color": mark.colour, "linestyle": mark.line, "marker": mark.marker}
        axes.plot(own[cost], 100 * own["value"], zorder=3, **look)


def _front(part: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the rows that find more than every cheaper one, cheapest first."""
    part = part.sort_values([cost, "value"], ascending=[True, False])
    before = part["value"].cummax().shift(fill_value=-np.inf)
    return part[part["value"] > before]


def _label_ends(
    axes: Axes, part: pd.DataFrame, cost: str, marks: Mapping[str, Mark], height: float
) -> None:
    """Write names on the right, moved apart, each joined to where its line ends."""
    right = axes.get_xlim()[1]
    rows: list[dict[str, Any]] = part.to_dict("records")  # type: ignore[assignment]
    ends: list[tuple[float, float, str, Mark]] = [
        (row[cost], 100 * row["value"], row["strategy"], strategy_mark(row["strategy"]))
        for row in rows
        if not row["reranked"]
    ]
    best = 100 * _front(part, cost)["value"].iloc[-1]
    ends.append((right, best, FRONT, Mark(QUIET_COLOUR, "none")))
    for family, mark in marks.items():
        own = part[part["family"] == family].sort_values(cost)
        if len(own):
            last = own.iloc[-1]
            ends.append((float(last[cost]), 100 * float(last["value"]), str(family), mark))
    ends.sort(key=lambda end: end[1])
    names = [wrap(name, LABEL_WIDTH * scale(), small()) for _, _, name, _ in ends]
    low, high = axes.get_ylim()
    # About so much of the panel's height is the axes'.
    per_inch = (high - low) / (height - 0.9 * scale())
    heights = [(name.count("\n") + 1) * 1.35 * small() / 72 * per_inch for name in names]
    spots = _apart([end[1] for end in ends], heights, low, high)
    beside = axes.get_yaxis_transform()
    for (x, y, _, mark), name, spot in zip(ends, names, spots, strict=True):
        look: dict[str, Any] = {"color": mark.colour, "marker": "none", "linewidth": 0.6}
        axes.plot([x, right], [y, y], linestyle=":", zorder=1, **look)
        axes.plot([1, 1.035], [y, spot], transform=beside, clip_on=False, ls="-", **look)
        look = {"transform": beside, "ha": "left", "va": "center", "fontsize": small()}
        axes.text(1.045, spot, name, color=mark.colour, parse_math=False, **look)


def _apart(wanted: list[float], heights: list[float], low: float, high: float) -> list[float]:
    """Move ascending spots apart so that labels of these heights do not touch, if there is room."""
    spots: list[float] = []
    bottom = low
    for spot, height in zip(wanted, heights, strict=True):
        spots.append(max(spot, bottom + height / 2))
        bottom = spots[-1] + height / 2
    top = high
    for at in range(len(spots) - 1, -1, -1):
        spots[at] = min(spots[at], top - heights[at] / 2)
        top = spots[at] - heights[at] / 2
    return spots


def two_directions(
    points: pd.DataFrame,
    *,
    panels: str,
    curve: pd.DataFrame | None = None,
    ceiling: str | None = None,
    marks: Mapping[str, Mark] | None = None,
    columns: int = 3,
    measure: str = "recall@10",
    ax: Axes | None = None,
) -> Figure:
    """Draw each merge as a point: recall where a text is relevant, and where an image is.

    ``points`` has the columns ``name``, ``text``, ``image`` and ``panels``; ``curve`` the same
    without ``name``, in the order of drawing: what a merge reaches by favouring one modality.
    ``ceiling`` names the point that each direction would reach alone, drawn as a star.
    """
    check_table(points, ["text", "image"], [panels, "name"])
    names = [name for name in dict.fromkeys(points["name"]) if name != ceiling]
    looks = marks_for(names, marks)
    if ceiling is not None:
        looks[ceiling] = _CEILING
    parts = split_panels(points, panels)
    n_rows = -(-len(parts) // min(columns, len(parts)))
    grid = Panels(parts, 2.2 * n_rows + 1.25, columns=columns, ax=ax, sharex=False, sharey=False)
    size = {name: 10 if mark is _CEILING else 7 for name, mark in looks.items()}
    for axes, (title, part) in zip(grid.axes, parts.items(), strict=True):
        if curve is not None:
            line = 100 * curve.loc[curve[panels] == title, ["text", "image"]]
            axes.plot(line["text"], line["image"], color=QUIET_COLOUR, lw=1.2, marker="none")
        for name, mark in looks.items():
            for text, image in part.loc[part["name"] == name, ["text", "image"]].to_numpy(float):
                look: dict[str, Any] = {"mec": "white", "mew": 0.6, "zorder": 3}
                spot = 100 * text, 100 * image
                axes.plot(*spot, mark.marker, color=mark.colour, ms=size[name], **look)
        axes.margins(0.12)
        axes.grid(axis="both")
    grid.label(f"{measure} in %, a text is relevant", f"{measure} in %, an image is relevant")
    handles = [handle(n, mark, ms=size[n], linestyle="none") for n, mark in looks.items()]
    if curve is not None:
        handles.append(
            handle("a constant added to all image scores", Mark(QUIET_COLOUR, "none"), lw=1.2)
        )
    grid.legend(handles)
    return grid.figure


def closing_arrows(
    table: pd.DataFrame,
    *,
    panels: str,
    columns: int = 2,
    marks: Mapping[str, Mark] | None = None,
    xlabel: str = "distance of the centroids (L2M)",
    ylabel: str = "recall@10 lost by the merge, in points",
    ax: Axes | None = None,
) -> Figure:
    """Draw an arrow from before to after: further left = closer, further down = less lost.

    ``table`` has ``setting``, ``step`` ("before", "after"), ``distance``, ``value``, ``ci_low``,
    ``ci_high`` and the column ``panels``. Hollow: before; filled: after.
    """
    check_table(table, ["distance", "value", "ci_low", "ci_high"], [panels, "setting", "step"])
    steps = table.groupby([panels, "setting"], sort=False)["step"].agg(sorted)
    if any(found != ["after", "before"] for found in steps):
        msg = f"each setting of a panel needs one row before and one after; got {steps.to_dict()}"
        raise MmgapError(msg)
    looks = marks_for(dict.fromkeys(table["setting"]), marks)
    parts = split_panels(table, panels)
    n_rows = -(-len(parts) // min(columns, len(parts)))
    grid = Panels(parts, 2.3 * n_rows + 1.0, columns=columns, ax=ax)
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        axes.axhline(0, color=QUIET_COLOUR, linewidth=1.0, **PLAIN)
        for name, rows in part.groupby("setting", sort=False):
            _draw_arrow(axes, rows.set_index("step").loc[["before", "after"]], looks[str(name)])
        axes.grid(axis="both")
    grid.axes[0].margins(x=0.08, y=0.08)
    grid.axes[0].set_xlim(left=0)
    grid.label(xlabel, ylabel)
    grey, dot = Mark(QUIET_COLOUR, "o"), {"ms": 7, "linestyle": "none"}
    grid.legend(
        [
            *(handle(name, mark, **dot) for name, mark in looks.items()),
            handle("before", grey, mfc="white", **dot),
            handle("after", grey, **dot),
        ]
    )
    return grid.figure


def _draw_arrow(axes: Axes, rows: pd.DataFrame, mark: Mark) -> None:
    x = rows["distance"].to_numpy(float)
    y, low, high = 100 * rows[["value", "ci_low", "ci_high"]].to_numpy(float).T
    arrow = {"arrowstyle": "->", "color": mark.colour, "shrinkA": 5, "shrinkB": 5}
    axes.annotate("", (x[1], y[1]), (x[0], y[0]), arrowprops=arrow)
    for step, face in enumerate(("white", mark.colour)):
        axes.plot([x[step]] * 2, [low[step], high[step]], color=mark.colour, lw=1.0, **PLAIN)
        axes.plot(x[step], y[step], mark.marker, ms=7, mec=mark.colour, mfc=face, zorder=3)
