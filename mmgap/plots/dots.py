"""Values with their intervals, one row each: recall, differences, leaderboards, losses by cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmgap.errors import MmgapError
from mmgap.evaluation import differs
from mmgap.plots.palette import LEG, NEUTRAL, QUIET_COLOUR, SERIES, Mark, strategy_mark
from mmgap.plots.panels import (
    PLAIN,
    Panels,
    check_table,
    handle,
    row_height,
    row_labels,
    rows_only,
    signed,
    split_panels,
)
from mmgap.plots.style import scale, small, text_width

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INTERVAL = ("value", "ci_low", "ci_high")

_CAUSES = {
    "offset": Mark(SERIES[0].colour, "s", hatch=""),
    "spread": Mark(SERIES[1].colour, "s", hatch="////"),
    "hubness": Mark(SERIES[2].colour, "s", hatch="...."),
    "unexplained": Mark("#777777", "s", hatch="xx"),
}
_TOTAL: dict[str, Any] = {"marker": "D", "mfc": "white", "mec": "#222222", "color": "#222222"}


def recall_bars(
    table: pd.DataFrame,
    *,
    measure: str = "recall@10",
    panels: str | None = None,
    strategies: Sequence[str] | None = None,
    columns: int = 3,
    ax: Axes | None = None,
) -> Figure:
    """Draw one measure of each strategy as a dot with its interval.

    ``table`` is of :func:`mmgap.evaluation.recall_table`; ``panels`` is ``"encoder"`` where the
    table has that column; ``strategies`` chooses rows and their order.
    """
    rows = table[table["measure"] == measure]
    if panels is None and "encoder" in table:
        panels = "encoder"
    names = list(strategies if strategies is not None else dict.fromkeys(rows["strategy"]))
    rows = rows[rows["strategy"].isin(names)]
    if rows.empty:
        known = ", ".join(dict.fromkeys(map(str, table["measure"])))
        msg = f"the table has no row of measure {measure!r} for these strategies; it has {known}"
        raise MmgapError(msg)
    keys = ["strategy"] if panels is None else [panels, "strategy"]
    check_table(rows, INTERVAL, keys)
    return _dots(
        split_panels(rows, panels),
        names,
        "strategy",
        xlabel=f"{measure} in %, with 95 % CI",
        limits=(-3, max(10.0, 108 * rows["ci_high"].max())),
        columns=columns,
        ax=ax,
    )


def difference_dots(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    rows: str = "strategy",
    columns: int = 3,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw differences to a baseline as dots with their intervals, and the line of no difference.

    ``table`` is of :func:`mmgap.evaluation.difference_table`. Filled: the difference counts, by
    ``p_holm``; in a table without tests, the interval leaves out 0.
    """
    check_table(table, [*INTERVAL, "measure"], [rows] if panels is None else [panels, rows])
    low, high = min(0, 100 * table["ci_low"].min()), max(0, 100 * table["ci_high"].max())
    pad = max(1.0, 0.1 * (high - low))
    measure = " and ".join(dict.fromkeys(table["measure"]))
    return _dots(
        split_panels(table, panels),
        list(dict.fromkeys(table[rows])),
        rows,
        xlabel=xlabel or f"difference of {measure} in points, with 95 % CI",
        limits=(low - pad, high + pad),
        columns=columns,
        ax=ax,
        zero=True,
    )


def _dots(
    parts: dict[Any, pd.DataFrame],
    names: Sequence[str],
    rows: str,
    *,
    xlabel: str,
    limits: tuple[float, float],
    columns: int,
    ax: Axes | None,
    zero: bool = False,
) -> Figure:
    height, left = row_height(names)
    n_grid_rows = -(-len(parts) // min(columns, len(parts)))
    grid = Panels(
        parts,
        (height * len(names) + 0.75) * n_grid_rows + 0.2,
        columns=columns,
        ax=ax,
        left=0.15 + left / min(columns, len(parts)),
    )
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        draw_dots(axes, part.set_index(rows), names, zero=zero)
    row_labels(grid.axes[0], names)
    grid.axes[0].set_xlim(*limits)
    grid.label(xlabel)
    return grid.figure


def draw_dots(axes: Axes, part: pd.DataFrame, names: Sequence[str], *, zero: bool = False) -> None:
    """Draw the rows of one panel; ``part`` is indexed by name. With ``zero``, as differences."""
    if zero:
        axes.axvline(0, color=QUIET_COLOUR, linewidth=1.0, **PLAIN)
    for at, name in enumerate(names):
        if name not in part.index:
            continue
        value, low, high = 100 * part.loc[name, list(INTERVAL)].to_numpy(dtype=float)
        mark = strategy_mark(str(name)) if part.index.name == "strategy" else NEUTRAL
        counts = differs(float(part["p_holm"][name])) if "p_holm" in part else low > 0 or high < 0
        filled = not zero or bool(counts)
        axes.plot([low, high], [at, at], color=mark.colour, **PLAIN)
        face = mark.colour if filled else "white"
        axes.plot([value], [at], mark.marker, color=mark.colour, mfc=face)
        axes.annotate(
            signed(float(value)) if zero else f"{value:.1f}",
            (value, at),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=small(),
            color=mark.colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6} if zero else None,
        )
    rows_only(axes)


def leaderboard(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    top: int | None = None,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw each method's value with its interval, best first by its mean over the panels.

    ``table`` holds rows of :func:`mmgap.strategies.leaderboard`; ``top`` keeps so many methods
    besides the legs. Filled: differs significantly from the better single leg (vertical line). The
    pale bar reaches from the worst to the best order of tied documents.
    """
    ties = ["optimistic", "pessimistic"]
    keys = ["method"] if panels is None else [panels, "method"]
    check_table(table, [*INTERVAL, *ties, "family", "measure", "p_holm"], keys)
    ranked = table.groupby("method", sort=False)["value"].mean().sort_values(ascending=False)
    if top is not None:
        legs = set(table.loc[table["family"] == "leg", "method"])
        others = [name for name in ranked.index if name not in legs][:top]
        ranked = ranked[[name in legs or name in others for name in ranked.index]]
    names = [str(name) for name in ranked.index]
    parts = split_panels(table, panels)
    height = max(0.2, (1.35 * small() / 72 + 0.03) / scale())
    left = max(text_width(name, small()) for name in names) / len(parts)
    grid = Panels(
        parts, height * (len(names) + 1) + 1.35, columns=len(parts), ax=ax, left=left + 0.15
    )
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        _draw_methods(axes, part.set_index("method"), names)
    grid.axes[0].set_yticks(range(len(names)), names, fontsize=small(), parse_math=False)
    grid.axes[0].set_ylim(len(names) - 0.4, -0.6)
    measure = " and ".join(dict.fromkeys(table["measure"]))
    grid.label(xlabel or f"{measure} in %, with 95 % CI")
    look: dict[str, Any] = {"linestyle": "none", "ms": 5, "mew": 1.2}
    bar = Mark(QUIET_COLOUR, "none")
    grid.legend(
        [
            handle("differs from the better leg", NEUTRAL, **look),
            handle("does not, or not tested", NEUTRAL, mfc="white", **look),
            *(handle(f"{leg} leg", LEG[leg], **look) for leg in LEG),
            handle("orders of ties", bar, alpha=0.35, lw=5),
        ]
    )
    return grid.figure


def _draw_methods(axes: Axes, part: pd.DataFrame, names: list[str]) -> None:
    legs = part[part["family"] == "leg"]
    if len(legs):
        axes.axvline(100 * legs["value"].max(), color=QUIET_COLOUR, linewidth=1.0, **PLAIN)
    of_method = part.to_dict("index")
    for at, name in enumerate(names):
        row = of_method.get(name)
        if row is None:
            continue
        value, low, high = (100 * float(row[key]) for key in INTERVAL)
        worst, lucky = 100 * float(row["pessimistic"]), 100 * float(row["optimistic"])
        mark = strategy_mark(name) if row["family"] == "leg" else NEUTRAL
        if lucky - worst > 0.05:
            pale: dict[str, Any] = {"color": QUIET_COLOUR, "alpha": 0.35, "lw": 5, **PLAIN}
            axes.plot([worst, lucky], [at, at], solid_capstyle="butt", **pale)
        axes.plot([low, high], [at, at], color=mark.colour, lw=1.2, **PLAIN)
        filled = row["family"] == "leg" or differs(float(row["p_holm"]))
        face = mark.colour if filled else "white"
        axes.plot([value], [at], mark.marker, ms=5, color=mark.colour, mfc=face, mew=1.2)
    rows_only(axes)


def loss_parts(
    table: pd.DataFrame,
    *,
    panels: str,
    rows: str = "setting",
    k: int = 10,
    columns: int = 2,
    ax: Axes | None = None,
) -> Figure:
    """Draw the recall that each merge loses as a bar, stacked from its causes.

    ``table`` holds rows of measure ``part`` of :meth:`mmgap.scores.MergeLoss.to_frame`. Parts below
    0, whose removal costs recall, are stacked to the left. Diamond: their sum with its interval.
    """
    check_table(table, INTERVAL, [panels, rows, "cause"])
    unknown = sorted({*table["cause"]} - {"loss", *_CAUSES})
    if unknown:
        msg = f"unknown cause {unknown[0]!r}; expected 'loss', {', '.join(map(repr, _CAUSES))}"
        raise MmgapError(msg)
    names = list(dict.fromkeys(table[rows]))
    parts = split_panels(table, panels)
    height, left = row_height(names)
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    inches = (1.1 * height * len(names) + 0.6) * n_rows + 0.75
    grid = Panels(parts, inches, columns=columns, ax=ax, left=left / columns + 0.2)
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        for at, name in enumerate(names):
            _draw_parts(axes, at, part[part[rows] == name].set_index("cause"))
        axes.use_sticky_edges = False  # stacked bars must not end at the panel's edge
        axes.axvline(0, color=QUIET_COLOUR, linewidth=1.0, **PLAIN)
        rows_only(axes)
    row_labels(grid.axes[0], names, spare=0.6)
    grid.label(f"recall@{k} lost by the merge, in points")
    bars: list[Any] = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=cause)
        for cause, look in _CAUSES.items()
    ]
    grid.legend([*bars, Line2D([], [], linestyle="-", ms=6, label="loss, 95 % CI", **_TOTAL)])
    return grid.figure


def _draw_parts(axes: Axes, at: int, part: pd.DataFrame) -> None:
    values = part["value"].to_dict()
    ends = {True: 0.0, False: 0.0}  # of what is stacked so far, right and left of 0
    for cause, look in _CAUSES.items():
        if cause in values:
            value = 100 * float(values[cause])
            side = ends[value > 0]
            look_of: dict[str, Any] = {"color": look.colour, "hatch": look.hatch}
            axes.barh(at, value, left=side, height=0.55, ec="white", linewidth=0.6, **look_of)
            ends[value > 0] += value
    if "loss" in values:
        total, low, high = 100 * part.loc["loss", list(INTERVAL)].to_numpy(float)
        axes.plot([low, high], [at, at], color="#222222", **PLAIN)
        axes.plot([total], [at], linestyle="none", ms=6, **_TOTAL)
