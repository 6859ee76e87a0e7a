"""What the logit scale of training does to gap, recall and the share of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from mmgap.plots.canvas import new_figure, scale, small
from mmgap.plots.palette import NEUTRAL, QUIET_COLOUR, SERIES, TEXT, Mark

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS: dict[str, tuple[str, float, Mark]] = {
    "l2m": ("gap (L2M)", 1, SERIES[1]),
    "recall": ("recall@10 in %", 100, NEUTRAL),
    "text_share": ("texts among\nthe first 10, in %", 100, TEXT),
}


def temperature_sweep(table: pd.DataFrame, *, pool_share: float | None = None) -> Figure:
    """Draw gap, recall and text share against the logit scale.

    Parameters
    ----------
    table : DataFrame
        One row per trained model: ``logit_scale`` (where it ended), ``learned`` (bool: whether it
        was free in training), ``l2m``, ``recall`` and ``text_share`` in [0, 1], ``seed``.
    pool_share : float, optional
        Share of texts in the pool, what ``text_share`` would be if no modality were preferred.

    Returns
    -------
    matplotlib.figure.Figure
        Lines join the means over seeds of the fixed scales; dots are the single models.
    """
    missing = sorted({"logit_scale", "learned", *_PANELS} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise ValueError(msg)
    figure = new_figure(scale() * (1.5 * len(_PANELS) + 0.6))
    grid = figure.subplots(len(_PANELS), 1, sharex=True)
    learned = table["learned"].astype(bool)
    for axes, (column, (label, factor, mark)) in zip(grid, _PANELS.items(), strict=True):
        values = table.assign(value=factor * table[column])
        _draw(axes, values[~learned], values[learned], mark)
        axes.set_ylabel(label)
        axes.margins(x=0.06, y=0.3)
    if pool_share is not None:
        _mark_pool(grid[-1], 100 * pool_share)
    fixed = np.unique(table.loc[~learned, "logit_scale"].to_numpy(dtype=float))
    scales = fixed if len(fixed) else np.unique(table["logit_scale"].to_numpy(dtype=float))
    grid[-1].set_xscale("log")
    grid[-1].xaxis.set_major_locator(FixedLocator(_spread(scales).tolist()))
    grid[-1].xaxis.set_minor_locator(NullLocator())
    grid[-1].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    grid[-1].set_xlabel("logit scale in training (1 / temperature)")
    figure.legend(handles=_handles(bool(learned.any())), loc="outside lower center", ncols=3)
    return figure


def _handles(learned: bool) -> list[Line2D]:
    look: dict[str, Any] = {"color": NEUTRAL.colour, "linestyle": "none"}
    handles = [
        Line2D([], [], color=NEUTRAL.colour, marker="none", label="fixed scale, mean over seeds"),
        Line2D([], [], marker=NEUTRAL.marker, alpha=0.7, label="fixed scale, one model", **look),
    ]
    if learned:
        handles.append(
            Line2D([], [], marker="*", ms=_star(), mec="white", label="scale learned", **look)
        )
    return handles


def _star() -> float:
    """Size of a star that is as large to the eye as the other marks."""
    return 13 * scale()


def _draw(axes: Axes, fixed: pd.DataFrame, learned: pd.DataFrame, mark: Mark) -> None:
    mean = fixed.groupby("logit_scale")["value"].mean()
    axes.plot(mean.index, mean, color=mark.colour, linestyle="-", marker="none")
    dots: dict[str, Any] = {"linestyle": "none", "color": mark.colour}
    axes.plot(fixed["logit_scale"], fixed["value"], marker=mark.marker, alpha=0.7, **dots)
    axes.grid(axis="y")
    if learned.empty:
        return
    axes.plot(
        learned["logit_scale"],
        learned["value"],
        marker="*",
        ms=_star(),
        mec="white",
        zorder=3,
        **dots,
    )


def _mark_pool(axes: Axes, share: float) -> None:
    axes.axhline(share, color=QUIET_COLOUR, linestyle=":", linewidth=1.2)
    low, high = axes.get_ylim()
    pad = 0.12 * (max(high, share) - min(low, share))
    axes.set_ylim(min(low, share - pad), max(high, share + pad))
    axes.annotate(
        "share in the pool",
        (1, share),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=small(),
        color=QUIET_COLOUR,
    )


def _spread(scales: np.ndarray, factor: float = 1.25) -> np.ndarray:
    """Leave out scales whose labels would touch on a logarithmic axis."""
    kept: list[float] = []
    for value in scales:
        if not kept or value >= factor * kept[-1]:
            kept.append(float(value))
    return np.array(kept)
