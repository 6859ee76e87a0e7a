"""Many methods side by side: dots with intervals, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, small, text_width, wrap
from mmgap.plots.palette import LEG, NEUTRAL, QUIET_COLOUR, strategy_mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def leaderboard(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    top: int | None = None,
    alpha: float = 0.05,
    xlabel: str | None = None,
) -> Figure:
    """Draw each method's value with its interval, panel beside panel.

    Parameters
    ----------
    table : DataFrame
        Rows of :func:`mmgap.strategies.leaderboard`: ``method``, ``family``, ``measure``,
        ``value``, ``ci_low``, ``ci_high``, ``optimistic``, ``pessimistic``, ``p_holm`` and the
        column named by ``panels`` (``corpus``, ``query_class`` ...). Values in [0, 1].
    panels : str, optional
        The column whose values stand side by side.
    top : int, optional
        Draw so many of the best methods besides the legs; None draws all.
    alpha : float, default 0.05
        A method whose corrected p-value lies below it differs from the best single leg.
    xlabel : str, optional

    Returns
    -------
    matplotlib.figure.Figure
        Methods in descending order of their mean over the panels. A filled dot differs from the
        better single leg (vertical line), a hollow one does not or is not tested, a leg has its own
        mark. The pale bar reaches from the worst to the best order of tied documents, where that
        matters.

    Raises
    ------
    ValueError
        If a column is missing or several rows would share one dot.
    """
    keys = ["method"] if panels is None else [panels, "method"]
    needed = {"family", "measure", "value", "ci_low", "ci_high", "optimistic", "pessimistic"}
    missing = sorted({*needed, "p_holm", *keys} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise ValueError(msg)
    if table.duplicated(keys).any():
        msg = f"several rows share one {' and '.join(keys)}; select from the table first"
        raise ValueError(msg)
    ranked = table.groupby("method", sort=False)["value"].mean().sort_values(ascending=False)
    if top is not None:
        legs = set(table.loc[table["family"] == "leg", "method"])
        others = [name for name in ranked.index if name not in legs][:top]
        ranked = ranked[[name in legs or name in others for name in ranked.index]]
    names = [str(name) for name in ranked.index]
    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))

    size = float(mpl.rcParams["font.size"])
    row_height = max(0.2 * scale(), 1.35 * small() / 72 + 0.03)
    figure = new_figure(row_height * (len(names) + 1) + 1.35 * scale())
    grid = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False).ravel()
    left = max(text_width(name, small()) for name in names)
    title_width = (figure.get_figwidth() - left) / len(parts) - 0.15
    for axes, (title, part) in zip(grid, parts.items(), strict=True):
        _draw(axes, part.set_index("method"), names, alpha)
        axes.set_title(wrap(str(title), title_width, size, weight="bold"), parse_math=False)
    grid[0].set_yticks(range(len(names)), names, fontsize=small(), parse_math=False)
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    measure = " and ".join(dict.fromkeys(table["measure"]))
    figure.supxlabel(xlabel or f"{measure} in %, with 95 % interval", fontsize=size)
    handles = [
        _handle("differs from the better leg", NEUTRAL.marker, NEUTRAL.colour, filled=True),
        _handle("does not, or not tested", NEUTRAL.marker, NEUTRAL.colour, filled=False),
        *(_handle(f"{leg} leg", LEG[leg].marker, LEG[leg].colour, filled=True) for leg in LEG),
        Line2D([], [], color=QUIET_COLOUR, alpha=0.35, lw=5, marker="none", label="orders of ties"),
    ]
    widest = max(text_width(handle.get_label(), size) for handle in handles) + 0.75 * scale()
    per_row = max(1, int((figure.get_figwidth() - 0.2) / widest))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(per_row, len(handles)))
    return figure


def _draw(axes: Axes, part: pd.DataFrame, names: list[str], alpha: float) -> None:
    legs = part[part["family"] == "leg"]
    if len(legs):
        best = 100 * legs["value"].max()
        axes.axvline(best, color=QUIET_COLOUR, linewidth=1.0, linestyle="-", marker="none")
    of_method = part.to_dict("index")
    for place, name in enumerate(names):
        row = of_method.get(name)
        if row is None:
            continue
        value, low, high = (100 * float(row[key]) for key in ("value", "ci_low", "ci_high"))
        worst, lucky = 100 * float(row["pessimistic"]), 100 * float(row["optimistic"])
        mark = strategy_mark(name) if row["family"] == "leg" else NEUTRAL
        if lucky - worst > 0.05:
            axes.plot(
                [worst, lucky],
                [place, place],
                color=QUIET_COLOUR,
                alpha=0.35,
                lw=5,
                marker="none",
                linestyle="-",
                solid_capstyle="butt",
            )
        axes.plot(
            [low, high], [place, place], color=mark.colour, lw=1.2, marker="none", linestyle="-"
        )
        p = float(row["p_holm"])
        filled = row["family"] == "leg" or (np.isfinite(p) and p < alpha)
        axes.plot(
            [value],
            [place],
            mark.marker,
            ms=5,
            color=mark.colour,
            mfc=mark.colour if filled else "white",
            mew=1.2,
        )
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _handle(label: str, marker: str, colour: str, *, filled: bool) -> Line2D:
    return Line2D(
        [],
        [],
        color=colour,
        linestyle="none",
        marker=marker,
        ms=5,
        mfc=colour if filled else "white",
        mew=1.2,
        label=label,
    )
