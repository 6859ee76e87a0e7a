"""Several numbers over the strength of one cure, a column for each direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.palette import QUIET_COLOUR, Mark, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def cure_sweep(
    table: pd.DataFrame,
    *,
    x: str,
    x_label: str,
    rows: Mapping[str, str],
    panels: str | None = None,
    lines: str = "setting",
    marks: Mapping[str, Mark] | None = None,
    at: float | None = None,
    even: bool = False,
) -> Figure:
    """Draw one line for each setting, in a grid of quantities down and directions across.

    Parameters
    ----------
    table : DataFrame
        One row for each strength: the columns named by ``x``, ``lines``, ``panels`` and ``rows``.
    x, x_label : str
        Column of the strength, and what it is.
    rows : mapping of str to str
        Columns to draw, one below the other, and what each is; NaN is left out.
    panels : str, optional
        The column whose values stand side by side.
    lines : str, default "setting"
        The column whose values get a line each.
    marks : mapping of str to Mark, optional
        How each line looks; by default marks in order, at most six.
    at : float, optional
        Strength at which a dotted line stands, such as that of no gap.
    even : bool, default False
        Whether strengths stand at even steps, each with its number; for those that double.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a column is missing, several rows share one point, or a line has no mark.
    """
    keys = [key for key in (panels, lines, x) if key is not None]
    missing = sorted({*keys, *rows} - set(table.columns))
    if missing or not rows:
        msg = f"the table lacks {missing or 'a row to draw'}; it has {list(table.columns)}"
        raise ValueError(msg)
    if table.duplicated(keys).any():
        msg = f"several rows share one {', '.join(keys)}; select from the table first"
        raise ValueError(msg)
    names = list(dict.fromkeys(table[lines]))
    looks = dict(series_marks(names) if marks is None else marks)
    without = [name for name in names if name not in looks]
    if without:
        msg = f"marks has none for {without[0]!r}; it has {', '.join(map(repr, looks))}"
        raise ValueError(msg)
    parts = {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))
    strengths = np.unique(table[x])
    figure = new_figure((1.55 * len(rows) + 1.1) * scale())
    grid = figure.subplots(len(rows), len(parts), sharex=True, sharey="row", squeeze=False)
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / len(parts) - 0.5 * scale()
    for column, (title, part) in enumerate(parts.items()):
        for axes, quantity in zip(grid[:, column], rows, strict=True):
            for name in names:
                own = part[part[lines] == name].sort_values(x).dropna(subset=[quantity])
                where = np.searchsorted(strengths, own[x]) if even else own[x]
                mark = looks[name]
                axes.plot(
                    where,
                    own[quantity],
                    color=mark.colour,
                    linestyle=mark.line,
                    marker=mark.marker,
                    ms=4,
                )
            if at is not None:
                place = float(np.searchsorted(strengths, at)) if even else at
                axes.axvline(place, color=QUIET_COLOUR, linestyle=":", marker="none", zorder=0)
            axes.grid(axis="y")
            axes.margins(y=0.12)
        grid[0, column].set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
    if even:
        grid[-1, 0].set_xticks(range(len(strengths)), [f"{value:g}" for value in strengths])
        for axes in grid[-1]:
            axes.tick_params(axis="x", labelsize=small())
    else:
        grid[-1, 0].xaxis.set_major_locator(MaxNLocator(5))
        grid[-1, 0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes, label in zip(grid[:, 0], rows.values(), strict=True):
        axes.set_ylabel(wrap(label, 1.3 * scale(), size), parse_math=False)
    figure.align_ylabels(grid[:, 0].tolist())
    figure.supxlabel(wrap(x_label, figure.get_figwidth() - 0.4, size), fontsize=size)
    handles = [
        Line2D(
            *([], []),
            color=looks[name].colour,
            linestyle=looks[name].line,
            marker=looks[name].marker,
            label=name,
        )
        for name in names
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    return figure
