"""Common parts of figures: checked tables, panels in a grid or on the caller's axes, legends.

Every figure function takes tidy tables with values in [0, 1] and returns a Figure. ``panels=``
names the column whose values get a panel each. ``ax=`` draws a figure of one panel on the caller's
axes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from mmgap.errors import MmgapError
from mmgap.plots.palette import QUIET_COLOUR, Mark
from mmgap.plots.style import font_size, new_figure, scale, small, text_width, wrap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_WIDTH = 1.9
"""Inches that the name of a row may take before it is broken into lines."""

PLAIN: dict[str, Any] = {"linestyle": "-", "marker": "none"}
"""A plain line."""


def check_table(table: pd.DataFrame, needed: Iterable[str], keys: Sequence[str] = ()) -> None:
    """Refuse a table that lacks a column, or has several rows with the same ``keys``."""
    missing = sorted({*needed, *keys} - set(table.columns))
    if missing:
        msg = f"the table lacks the columns {missing}; it has {list(table.columns)}"
        raise MmgapError(msg)
    if keys and table.duplicated(list(keys)).any():
        first = table.loc[table.duplicated(list(keys)), list(keys)].iloc[0].to_dict()
        msg = (
            f"several rows share one {', '.join(keys)}, e.g. {first}; select from the table first, "
            "or name the column that tells them apart as panels="
        )
        raise MmgapError(msg)


def split_panels(table: pd.DataFrame, panels: str | None) -> dict[Hashable, pd.DataFrame]:
    """Return the rows of each panel by its title, in the order of the table."""
    return {"": table} if panels is None else dict(iter(table.groupby(panels, sort=False)))


class Panels:
    """One axes for each title: a grid of a new figure, or the caller's own axes.

    Parameters
    ----------
    titles : iterable
    height : float
        Inches of the whole figure at the notebook's font size.
    columns : int, default 3
        Panels in one row.
    ax : Axes, optional
        Draw on this instead; there must be one title.
    left : float, default 0.5
        Inches that tick labels take, so that titles are broken in time.
    **share
        ``sharex``, ``sharey`` of ``Figure.subplots``.
    """

    def __init__(
        self,
        titles: Iterable[Hashable],
        height: float,
        *,
        columns: int = 3,
        ax: Axes | None = None,
        left: float = 0.5,
        **share: Any,
    ) -> None:
        self.titles = list(titles)
        if not self.titles:
            msg = "there is no panel to draw; give one row or more"
            raise MmgapError(msg)
        self.own = ax
        self.columns = min(columns, len(self.titles))
        if ax is not None:
            if len(self.titles) > 1:
                msg = f"ax= takes one panel, but there are {len(self.titles)}: {self.titles}"
                raise MmgapError(msg)
            self.figure: Figure = ax.get_figure()  # type: ignore[assignment]
            self.axes = [ax]
        else:
            n_rows = -(-len(self.titles) // self.columns)
            self.figure = new_figure(height * scale())
            share = {"sharex": True, "sharey": True, **share}
            grid = self.figure.subplots(n_rows, self.columns, squeeze=False, **share).ravel()
            for spare in grid[len(self.titles) :]:
                spare.set_visible(False)
            self.axes = list(grid[: len(self.titles)])
            for axes in self.axes[-self.columns :]:
                axes.tick_params(labelbottom=True)
        width = self.figure.get_figwidth() / self.columns - left
        for axes, title in zip(self.axes, self.titles, strict=True):
            set_title(axes, title, width)

    def label(self, x: str = "", y: str = "") -> None:
        """Write one label for all horizontal and one for all vertical axes."""
        if self.own is not None:
            self.own.set(xlabel=x, ylabel=y)
            return
        if x:
            self.figure.supxlabel(
                wrap(x, self.figure.get_figwidth() - 0.4, font_size()), fontsize=font_size()
            )
        if y:
            self.figure.supylabel(y, fontsize=font_size())

    def legend(self, handles: Sequence[Any], where: Any = "outside upper center") -> None:
        """Draw one legend, with as many columns as fit."""
        if self.own is not None:
            self.own.legend(handles=list(handles))
            return
        widest = max(text_width(handle.get_label(), font_size()) for handle in handles)
        room = max(1, int((self.figure.get_figwidth() - 0.2) / (widest + 0.75 * scale())))
        columns = min(room, len(handles), 4)
        self.figure.legend(handles=list(handles), loc=where, ncols=columns)


def set_title(axes: Axes, title: Hashable, width: float, pad: float | None = None) -> None:
    """Write a panel's title in bold, broken to ``width`` inches."""
    text = wrap(str(title), width, font_size(), weight="bold")
    axes.set_title(text, parse_math=False, pad=pad)


def row_labels(axes: Axes, names: Sequence[str], *, spare: float = 0.7) -> None:
    """Name the rows of a panel from the top down; see :func:`row_height` for their height."""
    labels = [wrap(str(name), LABEL_WIDTH * scale(), small()) for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=small(), parse_math=False)
    axes.set_ylim(len(names) - 0.5, -spare)


def row_height(names: Iterable[str]) -> tuple[float, float]:
    """Inches at the notebook's size that one row and the longest name take."""
    labels = [wrap(str(name), LABEL_WIDTH * scale(), small()) for name in names]
    n_lines = 1 + max(label.count("\n") for label in labels)
    left = max(text_width(line, small()) for label in labels for line in label.split("\n"))
    return max(0.42, (n_lines * 1.35 * small() / 72 + 0.06) / scale()), left


def rows_only(axes: Axes) -> None:
    """Leave out what a panel of named rows does not need."""
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def note(axes: Axes, text: str, where: tuple[float, float] = (0, 1), **look: Any) -> None:
    """Write a small note on the panel, by default above its upper left corner."""
    look = {"xytext": (0, 4), "textcoords": "offset points", "va": "bottom", **look}
    axes.annotate(
        text, where, xycoords="axes fraction", fontsize=small(), color=QUIET_COLOUR, **look
    )


def handle(label: str, mark: Mark, **look: Any) -> Line2D:
    """Return the legend's entry of a series."""
    shown = {"color": mark.colour, "linestyle": mark.line, "marker": mark.marker, **look}
    return Line2D([], [], label=label, **shown)


def marks_for(names: Iterable[str], marks: Mapping[str, Mark] | None = None) -> dict[str, Mark]:
    """Return the mark of each name: those given, or a series of its own for each."""
    from mmgap.plots.palette import series_marks

    names = list(names)
    if marks is None:
        return series_marks(names)
    without = [name for name in names if name not in marks]
    if without:
        msg = f"marks has none for {without[0]!r}; it has {', '.join(map(repr, marks))}"
        raise MmgapError(msg)
    return {name: marks[name] for name in names}


def signed(value: float) -> str:
    """Write a difference with a true minus sign, and 0.0 where it rounds to that.

    >>> signed(-0.01), signed(2)
    ('0.0', '+2.0')
    """
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text
