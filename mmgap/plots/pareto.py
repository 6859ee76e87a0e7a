"""Recall against cost: what every further reranker call or millisecond finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.palette import QUIET_COLOUR, Mark, series_marks, strategy_mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.7
"""Inches that a name beside the axes may take before it is broken into lines."""

FRONT = "front: most found for the cost"
"""Label of the grey steps."""

_FRONT_MARK = Mark(QUIET_COLOUR, "none")

COSTS = {
    "calls_per_query": "reranker calls per query",
    "ms_per_query": "milliseconds per query",
    "rerank_ms": "milliseconds of reranking per query",
    "pixels_per_query": "pixels read by the reranker per query",
    "tokens_per_query": "text tokens read by the reranker per query",
}
"""What the axis of each column says."""


def pareto(
    table: pd.DataFrame,
    *,
    cost: str = "calls_per_query",
    panels: str | None = None,
    height: float = 3.2,
) -> Figure:
    """Draw recall against cost, with the front of what no other strategy beats.

    Parameters
    ----------
    table : DataFrame
        As :func:`mmgap.strategies.cost_table` returns it: ``strategy``, ``family``, ``reranked``,
        ``measure``, ``value``, ``ci_low``, ``ci_high``, the column ``cost``, and that of
        ``panels``. At most six families may have a reranker.
    cost : str, default "calls_per_query"
        The column on the horizontal axis, logarithmic; linear below the smallest cost where some
        strategies are free.
    panels : str, optional
        The column whose values get a panel each, such as a query class.
    height : float, default 3.2
        Inches of one panel; more where the style has larger text.

    Returns
    -------
    matplotlib.figure.Figure
        Each family with a reranker is a line through its depths; a strategy without one is a level
        that goes on to the right, so that it shows who beats it. Thin bars: 95 % intervals. Grey
        steps: the front. Names stand on the right.

    Raises
    ------
    ValueError
        If a column is missing, a strategy occurs twice in a panel, or there are more families than
        can be told apart.
    """
    needed = {"strategy", "family", "reranked", "measure", "value", "ci_low", "ci_high", cost}
    missing = sorted((needed | ({panels} if panels else set())) - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; expected one from cost_table"
        raise ValueError(msg)
    keys = ["strategy"] if panels is None else [panels, "strategy"]
    if table.duplicated(keys).any():
        msg = f"several rows share one {' and '.join(keys)}; select from the table first"
        raise ValueError(msg)
    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))
    marks = series_marks(dict.fromkeys(table.loc[table["reranked"], "family"]))
    figure = new_figure(scale() * (height * len(parts) + 0.4))
    grid = figure.subplots(len(parts), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, part) in zip(grid, parts.items(), strict=True):
        _set_limits(axes, table[cost].to_numpy(float), part)
        _draw(axes, part, cost, marks)
        _label(axes, part, cost, marks, height * scale())
        axes.set_title(str(name), parse_math=False)
        axes.set_ylabel(f"{part['measure'].iloc[0]} in %")
        axes.tick_params(labelbottom=True)
        axes.grid(axis="y")
    grid[-1].set_xlabel(COSTS.get(cost, cost))
    figure.align_ylabels(grid.tolist())
    return figure


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


def _draw(axes: Axes, part: pd.DataFrame, cost: str, marks: Mapping[str, Mark]) -> None:
    front = _front(part, cost)
    right = axes.get_xlim()[1]
    steps_x = np.append(front[cost], right)
    steps_y = 100 * np.append(front["value"], front["value"].iloc[-1])
    axes.plot(
        steps_x,
        steps_y,
        drawstyle="steps-post",
        color="#BBBBBB",
        linewidth=5,
        marker="none",
        linestyle="-",
        solid_capstyle="butt",
        zorder=1,
        gid="front",
    )
    rows: list[dict[str, Any]] = part.to_dict("records")  # type: ignore[assignment]
    for row in rows:
        mark = marks.get(row["family"], strategy_mark(row["strategy"]))
        x, y = row[cost], 100 * row["value"]
        axes.vlines(
            x, 100 * row["ci_low"], 100 * row["ci_high"], color=mark.colour, lw=0.8, alpha=0.6
        )
        if not row["reranked"]:
            axes.plot([x], [y], mark.marker, color=mark.colour, zorder=3)
    for family, mark in marks.items():
        own = part[part["family"] == family].sort_values(cost)
        look: dict[str, Any] = {"color": mark.colour, "linestyle": mark.line}
        axes.plot(own[cost], 100 * own["value"], marker=mark.marker, zorder=3, **look)


def _front(part: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the rows that find more than every cheaper one, cheapest first."""
    part = part.sort_values([cost, "value"], ascending=[True, False])
    before = part["value"].cummax().shift(fill_value=-np.inf)
    return part[part["value"] > before]


def _label(
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
    ends.append((right, 100 * _front(part, cost)["value"].iloc[-1], FRONT, _FRONT_MARK))
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
    places = _apart([end[1] for end in ends], heights, low, high)
    beside = axes.get_yaxis_transform()
    for (x, y, _, mark), name, place in zip(ends, names, places, strict=True):
        look: dict[str, Any] = {"color": mark.colour, "marker": "none", "linewidth": 0.6}
        axes.plot([x, right], [y, y], linestyle=":", zorder=1, **look)
        axes.plot([1, 1.035], [y, place], transform=beside, clip_on=False, ls="-", **look)
        axes.text(
            1.045,
            place,
            name,
            transform=beside,
            ha="left",
            va="center",
            fontsize=small(),
            color=mark.colour,
            parse_math=False,
        )


def _apart(wanted: list[float], heights: list[float], low: float, high: float) -> list[float]:
    """Move ascending places apart so that labels of these heights do not touch.

    They stay between ``low`` and ``high`` where there is room.
    """
    places: list[float] = []
    bottom = low
    for place, height in zip(wanted, heights, strict=True):
        places.append(max(place, bottom + height / 2))
        bottom = places[-1] + height / 2
    top = high
    for at in range(len(places) - 1, -1, -1):
        places[at] = min(places[at], top - heights[at] / 2)
        top = places[at] - heights[at] / 2
    return places
