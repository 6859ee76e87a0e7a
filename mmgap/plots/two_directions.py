"""Recall where a text answers against recall where an image answers: what each merge trades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.lines import Line2D

from mmgap.plots.canvas import new_figure, scale, wrap
from mmgap.plots.palette import QUIET_COLOUR, Mark, series_marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CEILING = Mark("#222222", "*")


def two_directions(
    points: pd.DataFrame,
    *,
    panels: str,
    curve: pd.DataFrame | None = None,
    ceiling: str | None = None,
    marks: Mapping[str, Mark] | None = None,
    columns: int = 3,
    curve_label: str = "a constant added to all image scores",
    measure: str = "recall@10",
) -> Figure:
    """Draw each merge as a point: its recall in both directions at once.

    Parameters
    ----------
    points : DataFrame
        Columns ``name``, ``text`` and ``image`` (recall of queries that a text answers, and of
        those that an image answers; in [0, 1]) and the one named by ``panels``.
    panels : str
        The column whose values get a panel each.
    curve : DataFrame, optional
        ``text``, ``image`` and the panel's column, in the order of drawing: what a merge can reach
        by favouring one modality.
    ceiling : str, optional
        The name of the point that each direction would reach alone; drawn as a star.
    marks : mapping of str to Mark, optional
        How each name looks; by default marks in order, at most six.
    columns : int, default 3
        Panels in one row.
    curve_label : str
        What the curve is, as the legend says it.
    measure : str

    Returns
    -------
    matplotlib.figure.Figure
        Up and to the right is better; along the curve one direction pays for the other.

    Raises
    ------
    ValueError
        If a column is missing, a panel has a name twice, or a name has no mark.
    """
    missing = sorted({"name", "text", "image", panels} - set(points.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(points.columns)}"
        raise ValueError(msg)
    if points.duplicated([panels, "name"]).any():
        msg = f"several rows share one pair of {panels} and name; select from the table first"
        raise ValueError(msg)
    names = [name for name in dict.fromkeys(points["name"]) if name != ceiling]
    looks = dict(series_marks(names) if marks is None else marks)
    without = [name for name in names if name not in looks]
    if without:
        msg = f"marks has none for {without[0]!r}; it has {', '.join(map(repr, looks))}"
        raise ValueError(msg)
    looks = {name: looks[name] for name in names}
    if ceiling is not None:
        looks[ceiling] = _CEILING
    parts = dict(iter(points.groupby(panels, sort=False)))
    columns = min(columns, len(parts))
    n_rows = -(-len(parts) // columns)
    figure = new_figure((2.2 * n_rows + 1.25) * scale())
    grid = figure.subplots(n_rows, columns, squeeze=False).ravel()
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / columns - 0.6 * scale()
    for axes, (title, part) in zip(grid, parts.items(), strict=False):
        if curve is not None:
            line = curve[curve[panels] == title]
            axes.plot(
                100 * line["text"], 100 * line["image"], color=QUIET_COLOUR, lw=1.2, marker="none"
            )
        _draw(axes, part.set_index("name"), looks)
        axes.set_title(wrap(str(title), width, size, weight="bold"), parse_math=False)
    for spare in grid[len(parts) :]:
        spare.set_visible(False)
    figure.supxlabel(f"{measure} in %, a text answers", fontsize=size)
    figure.supylabel(f"{measure} in %, an image answers", fontsize=size)
    handles = _handles(looks)
    if curve is not None:
        handles.append(Line2D([], [], color=QUIET_COLOUR, lw=1.2, label=curve_label))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _draw(axes: Axes, part: pd.DataFrame, looks: Mapping[str, Mark]) -> None:
    for name, mark in looks.items():
        if name in part.index:
            text, image = 100 * part.loc[name, ["text", "image"]].to_numpy(float)
            axes.plot(
                text,
                image,
                mark.marker,
                color=mark.colour,
                ms=10 if mark is _CEILING else 7,
                mec="white",
                mew=0.6,
                zorder=3,
            )
    axes.margins(0.12)
    axes.grid(axis="both")


def _handles(looks: Mapping[str, Mark]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=mark.colour,
            marker=mark.marker,
            ms=10 if mark is _CEILING else 7,
            linestyle="none",
            label=name,
        )
        for name, mark in looks.items()
    ]
