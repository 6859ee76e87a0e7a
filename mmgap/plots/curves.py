"""Numbers over one setting: sweeps, training, weights, labels, thresholds, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from mmgap.errors import MmgapError
from mmgap.plots.palette import (
    LEG,
    NEUTRAL,
    QUIET_COLOUR,
    SERIES,
    Mark,
    series_marks,
    strategy_mark,
)
from mmgap.plots.panels import (
    PLAIN,
    Panels,
    check_table,
    handle,
    marks_for,
    note,
    set_title,
    split_panels,
)
from mmgap.plots.style import font_size, new_figure, scale, small, text_width, wrap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmgap.scores import Threshold

Steps = Literal["linear", "log", "even", "training"]

_ROUND = [step * 10.0**power for power in range(7) for step in (1, 2, 5)]
_QUIET = Mark(QUIET_COLOUR, "o", ":")
_THRESHOLD_MARKS = {
    "precision": SERIES[0],
    "recall": SERIES[1],
    "false positive rate": SERIES[3],
}


def curves(
    table: pd.DataFrame,
    *,
    x: str,
    x_label: str,
    rows: Mapping[str, str],
    lines: str = "setting",
    panels: str | None = None,
    marks: Mapping[str, Mark] | None = None,
    steps: Steps = "linear",
    columns: int = 3,
    marked: str | None = None,
    marked_label: str = "",
    at: float | None = None,
    level: str | None = None,
    level_label: str = "",
    published: pd.DataFrame | None = None,
    source: str = "published",
    ax: Axes | None = None,
) -> Figure:
    """Draw a line for each value of ``lines``: quantities stand below each other, panels beside.

    Parameters
    ----------
    table : DataFrame
        Tidy. Where several rows share a line and an ``x`` (seeds), each is a dot and the line goes
        through their means. NaN is left out.
    rows : mapping of column to label
        What is drawn, one below the other. A label that ends in "%" is drawn as percent of a
        column in [0, 1].
    steps : {"linear", "log", "even", "training"}
        The horizontal axis; ``"even"`` puts settings at equal distances, ``"training"`` is
        logarithmic and starts at 0.
    marked : str, optional
        A bool column: only these points get a mark, which the legend calls ``marked_label``.
    at : float, optional
        Where a dotted vertical line stands, such as that of no gap.
    level : str, optional
        A column whose first value in a panel is a dotted horizontal line of the last quantity.
    published : DataFrame, optional
        Columns ``x`` and any of ``rows``: hollow circles on a dotted line, called ``source``.
    """
    keys = [key for key in (panels, lines, x) if key is not None]
    needed = [*keys, *rows, *([marked] if marked else []), *([level] if level else [])]
    check_table(table, needed)
    if not rows:
        msg = "rows is empty; name one column to draw or more, with its label"
        raise MmgapError(msg)
    looks = marks_for(dict.fromkeys(table[lines]), marks)
    parts = split_panels(table, panels)
    settings = np.unique(np.append(table[x], [] if published is None else published[x]))
    grid = _grid(parts, rows, columns, ax)
    for column, part in enumerate(parts.values()):
        for axes, (name, label) in zip(grid[:, column], rows.items(), strict=True):
            factor = 100 if label.endswith("%") else 1
            _draw_lines(axes, part, (x, name, lines, marked), looks, factor, steps, settings)
            if published is not None and name in published:
                theirs: dict[str, Any] = {"color": QUIET_COLOUR, "linestyle": ":", "mfc": "white"}
                axes.plot(published[x], factor * published[name], marker="o", **theirs)
            if at is not None:
                where = float(np.searchsorted(settings, at)) if steps == "even" else at
                axes.axvline(where, color=QUIET_COLOUR, linestyle=":", marker="none", zorder=0)
            axes.grid(axis="y")
            axes.margins(x=0.05, y=0.12)
        if level is not None:
            value = factor * float(part[level].iloc[0])
            grid[-1, column].axhline(value, color=QUIET_COLOUR, linestyle=":", marker="none")
    for row, (name, label) in zip(grid, rows.items(), strict=True):
        if table[name].min() >= 0 and not label.endswith("(log)"):
            for axes in row:  # when all is drawn: a limit fixes the axes that share it
                axes.set_ylim(bottom=0)
    _x_axis(grid[-1], settings, steps, len(parts))
    for axes, label in zip(grid[:, 0], rows.values(), strict=True):
        axes.set_ylabel(wrap(label, 1.5 * scale(), font_size()), parse_math=False)
    figure = grid[0, 0].get_figure()
    handles = [
        handle(name, mark, **({"mfc": "white", "mew": 1.8, "ms": 8} if marked else {}))
        for name, mark in looks.items()
    ]
    if published is not None:
        handles.append(handle(source, _QUIET, mfc="white"))
    if marked:
        handles.append(handle(f"marked: {marked_label}", _QUIET, linestyle="none", marker=""))
    if level_label:
        handles.append(handle(level_label, _QUIET, marker="none"))
    if ax is not None:
        ax.set_xlabel(x_label)
        ax.legend(handles=handles)
        return figure
    figure.align_ylabels(grid[:, 0].tolist())
    figure.supxlabel(wrap(x_label, figure.get_figwidth() - 0.4, font_size()), fontsize=font_size())
    widest = max(text_width(each.get_label(), font_size()) for each in handles) + 0.75 * scale()
    room = max(1, int((figure.get_figwidth() - 0.2) / widest))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(room, 4, len(handles)))
    return figure


def _grid(
    parts: Mapping[Any, Any], rows: Mapping[str, str], columns: int, ax: Axes | None
) -> np.ndarray:
    """Axes of shape (n_row, n_panel); one row of panels is broken after ``columns``."""
    titles = list(parts)
    if len(rows) == 1 or ax is not None:
        n_rows = -(-len(titles) // min(columns, len(titles)))
        panels = Panels(titles, 2.0 * n_rows + 1.2, columns=columns, ax=ax)
        return np.array([panels.axes], dtype=object)
    figure = new_figure((1.6 * len(rows) + 1.1) * scale())
    grid = figure.subplots(len(rows), len(titles), sharex=True, sharey="row", squeeze=False)
    for axes, title in zip(grid[0], titles, strict=True):
        set_title(axes, title, figure.get_figwidth() / len(titles) - 0.5 * scale())
    return grid


def _draw_lines(
    axes: Axes,
    part: pd.DataFrame,
    names: tuple[str, str, str, str | None],
    looks: Mapping[str, Mark],
    factor: float,
    steps: Steps,
    settings: np.ndarray,
) -> None:
    x, y, lines, marked = names
    for name, mark in looks.items():
        own = part[part[lines] == name].dropna(subset=[y])
        if own.empty:
            continue
        own = own.assign(**{y: factor * own[y].astype(float)})
        if steps == "even":
            own = own.assign(**{x: np.searchsorted(settings, own[x])})
        mean = own.groupby(x)[y].mean()
        axes.plot(mean.index, mean, color=mark.colour, linestyle=mark.line, marker="none")
        dots = own if marked is None else own[own[marked].astype(bool)]
        if marked is None and len(mean) > 30:  # a curve rather than points: a few marks name it
            shown = np.unique(np.geomspace(1, len(mean), 7).astype(int)) - 1
            dots = mean.iloc[shown].reset_index()
        look: dict[str, Any] = {"ms": 5, "alpha": 0.8 if len(own) > len(mean) else 1}
        if marked is not None:
            look = {"ms": 8, "mfc": "white", "mew": 1.8, "zorder": 3}
        axes.plot(dots[x], dots[y], mark.marker, color=mark.colour, **look)


def _x_axis(bottom: Sequence[Axes], settings: np.ndarray, steps: Steps, n_panel: int) -> None:
    first = bottom[0]
    for axes in bottom:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if steps == "even":
        first.set_xticks(range(len(settings)), [f"{value:g}" for value in settings])
        for axes in bottom:
            axes.tick_params(axis="x", labelsize=small())
        return
    if steps == "linear":
        first.xaxis.set_major_locator(MaxNLocator(5))
        return
    for axes in bottom:
        if steps == "log":
            axes.set_xscale("log")
            kept: list[float] = []
            short = [value for value in settings if float(f"{value:.4g}") == value]
            for value in short if len(short) <= 12 else np.intersect1d(short, _ROUND):
                # labels that would touch are left out
                if not kept or value >= 1.25 * kept[-1]:
                    kept.append(float(value))
        else:
            axes.set_xscale("symlog", linthresh=10, linscale=0.6)
            every = [0.0, *_ROUND] if n_panel == 1 else [0, *_ROUND[3::3]]
            kept = [step for step in every if step <= settings.max()]
        axes.autoscale(axis="x")  # margins of the new scale
        axes.xaxis.set_major_locator(FixedLocator(kept))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def hub_table(counts: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Return how many lists hold each document, the most frequent first, for :func:`curves`.

    ``counts`` maps panels and settings to counts of :func:`mmgap.gap.k_occurrence`. Columns:
    ``panel``, ``setting``, ``rank``, ``lists`` and ``mean``, the level at which all are equal.
    """
    import pandas as pd

    return pd.concat(
        pd.DataFrame(
            {
                "panel": panel,
                "setting": setting,
                "rank": np.arange(1, len(found) + 1),
                "lists": np.sort(found)[::-1],
                "mean": np.mean(found),
            }
        )
        for panel, settings in counts.items()
        for setting, found in settings.items()
    )


def label_budget(
    table: pd.DataFrame,
    *,
    panels: str | None = None,
    columns: int = 3,
    ylabel: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw what fitted merges reach with more labels; merges without labels are horizontal lines.

    ``table`` is of :func:`mmgap.strategies.label_budget`: ``n_labels`` is NaN for merges without
    labels. Numbers of labels stand at equal distances; points have 95 % CIs.
    """
    keys = ["method", "n_labels"] if panels is None else [panels, "method", "n_labels"]
    check_table(table, ["measure", "value", "ci_low", "ci_high"], keys)
    fitted = table["n_labels"].notna()
    budgets = sorted(table.loc[fitted, "n_labels"].unique())
    if not budgets:
        msg = "no row has a number of labels in n_labels, so there is no curve to draw"
        raise MmgapError(msg)
    ways = list(dict.fromkeys(table.loc[fitted, "method"]))
    levels = list(dict.fromkeys(table.loc[~fitted, "method"]))
    legs = {name: strategy_mark(name) for name in levels if strategy_mark(name) != NEUTRAL}
    marks = {**series_marks([*ways, *(name for name in levels if name not in legs)]), **legs}
    parts = split_panels(table, panels)
    n_rows = -(-len(parts) // min(columns, len(parts)))
    grid = Panels(parts, 2.2 * n_rows + 1.2, columns=columns, ax=ax)
    for axes, part in zip(grid.axes, parts.values(), strict=True):
        _draw_budget(axes, part, budgets, ways, marks)
    labels = [f"{budget:g}" for budget in budgets]
    width = grid.figure.get_figwidth() / grid.columns - 0.7
    if sum(text_width(label, font_size()) + 0.1 for label in labels) > width:
        labels = [label if at % 2 == 0 else "" for at, label in enumerate(labels)]
    grid.axes[0].set_xticks(range(len(budgets)), labels)
    grid.axes[0].set_xlim(-0.4, len(budgets) - 0.6)
    measure = " and ".join(dict.fromkeys(table["measure"]))
    grid.label("labelled pairs", ylabel or f"{measure} in %")
    look: dict[str, Any] = {"mfc": "white", "mew": 1.6}
    grid.legend(
        [
            *(handle(name, marks[name], linestyle="-", **look) for name in ways),
            *(handle(f"{name}, no labels", marks[name], marker="none") for name in levels),
        ]
    )
    return grid.figure


def _draw_budget(
    axes: Axes,
    part: pd.DataFrame,
    budgets: Sequence[float],
    ways: Sequence[str],
    marks: Mapping[str, Mark],
) -> None:
    free = part.loc[part["n_labels"].isna(), ["method", "value"]]
    for name, value in free.itertuples(index=False):
        mark = marks[name]
        axes.axhline(100 * value, color=mark.colour, linestyle=mark.line, lw=1.3, marker="none")
    for at, name in enumerate(ways):
        points = part[(part["method"] == name) & part["n_labels"].notna()].sort_values("n_labels")
        # Side by side, so that no interval hides another.
        where = [budgets.index(budget) + 0.14 * at for budget in points["n_labels"]]
        middle, low, high = 100 * points[["value", "ci_low", "ci_high"]].to_numpy(float).T
        look: dict[str, Any] = {"mfc": "white", "mew": 1.6, "ls": "-", "elinewidth": 1.2}
        mark = marks[name]
        error = [middle - low, high - middle]
        axes.errorbar(where, middle, error, color=mark.colour, marker=mark.marker, **look)
    axes.grid(axis="y")


def threshold_curves(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame],
    chosen: Mapping[str, Threshold] | Threshold | None = None,
    *,
    columns: int = 3,
    xlabel: str = "reject below this score",
    ax: Axes | None = None,
) -> Figure:
    """Draw precision, recall and false positive rate over the threshold, with their 95 % bands.

    ``tables`` maps titles to tables of :func:`mmgap.scores.threshold_curve`, ``chosen`` to the
    thresholds of :func:`mmgap.scores.find_threshold`: a line, its interval, a cross at the target.
    """
    panels = tables if isinstance(tables, Mapping) else {"": tables}
    found = chosen if isinstance(chosen, Mapping) else {} if chosen is None else {"": chosen}
    for table in panels.values():
        check_table(table, ["threshold", "measure", "value", "ci_low", "ci_high"])
    measures = list(dict.fromkeys(name for each in panels.values() for name in each["measure"]))
    unknown = [*(set(measures) - set(_THRESHOLD_MARKS)), *(set(found) - set(panels))]
    if unknown:
        msg = (
            f"unknown {unknown[0]!r}; measures are {list(_THRESHOLD_MARKS)}, panels {list(panels)}"
        )
        raise MmgapError(msg)
    n_rows = -(-len(panels) // min(columns, len(panels) or 1))
    grid = Panels(panels, 2.35 * n_rows + 1.0, columns=columns, ax=ax, sharex=False)
    for axes, (title, table) in zip(grid.axes, panels.items(), strict=True):
        for measure in measures:
            mark = _THRESHOLD_MARKS[measure]
            part = table[table["measure"] == measure].sort_values("threshold")
            where = part["threshold"]
            band: dict[str, Any] = {"color": mark.colour, "alpha": 0.18, "linewidth": 0}
            axes.fill_between(where, part["ci_low"], part["ci_high"], **band)
            axes.plot(where, part["value"], color=mark.colour, ls=mark.line, marker="none")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="y")
        if title in found:
            axes.set_title(axes.get_title(loc="left"), pad=6 + 1.35 * small(), parse_math=False)
            _draw_threshold(axes, found[title])
    grid.axes[0].set_ylim(-0.03, 1.03)
    grid.axes[0].set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    grid.label(xlabel, "fraction")
    handles: list[Any] = [
        handle(name, mark, marker="none")
        for name, mark in _THRESHOLD_MARKS.items()
        if name in measures
    ]
    if found:
        handles += [
            handle("chosen threshold", NEUTRAL, linewidth=1.2, marker="none"),
            Patch(facecolor=QUIET_COLOUR, alpha=0.2, label="its 95 % CI"),
            handle("target", NEUTRAL, marker="x", mew=2, linestyle="none"),
        ]
    grid.legend(handles)
    return grid.figure


def _draw_threshold(axes: Axes, threshold: Threshold) -> None:
    words = "no threshold reaches the target"
    if threshold.value is not None:
        words = f"reject below {threshold.value:.2f}"
        if threshold.low is not None and threshold.high is not None:
            words += f" [{threshold.low:.2f}, {threshold.high:.2f}]"
            axes.axvspan(threshold.low, threshold.high, color=QUIET_COLOUR, alpha=0.2, linewidth=0)
        axes.axvline(threshold.value, color=NEUTRAL.colour, linewidth=1.2, marker="none")
        look: dict[str, Any] = {"ms": 7, "mew": 2, "linestyle": "none", "zorder": 4}
        where = [threshold.value], [threshold.target]
        axes.plot(*where, marker="x", color=NEUTRAL.colour, **look)
    note(axes, words, (0.5, 1), ha="center")


def reliability_diagrams(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame], *, columns: int = 3
) -> Figure:
    """Draw the observed fraction of relevant pairs over the predicted probability, and the counts.

    ``tables`` maps titles to tables of :func:`mmgap.scores.reliability_table`. On the grey diagonal
    a leg is calibrated; below it probabilities are too high. Counts are on a logarithmic scale.
    """
    panels = tables if isinstance(tables, Mapping) else {"": tables}
    for table in panels.values():
        needed = ["leg", "n", "mean_probability", "fraction_relevant", "ci_low", "ci_high"]
        check_table(table, needed)
    if not panels:
        msg = "tables is empty; give one table of reliability_table() for each panel"
        raise MmgapError(msg)
    legs = list(dict.fromkeys(leg for table in panels.values() for leg in table["leg"]))
    others = series_marks(leg for leg in legs if leg not in LEG)
    marks = {leg: LEG.get(leg) or others[leg] for leg in legs}
    columns = min(columns, len(panels))
    n_rows = -(-len(panels) // columns)
    figure = new_figure((2.75 * n_rows + 0.8) * scale())
    ratios = {"height_ratios": [3, 1] * n_rows}
    share: dict[str, Any] = {"sharex": True, "sharey": "row", "squeeze": False}
    grid = figure.subplots(2 * n_rows, columns, gridspec_kw=ratios, **share)
    width = figure.get_figwidth() / columns - 0.5 * scale()
    for at in range(n_rows * columns):
        row, column = divmod(at, columns)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        if at >= len(panels):
            above.set_visible(False)
            below.set_visible(False)
            continue
        title = list(panels)[at]
        _draw_reliability(above, below, panels[title], marks)
        set_title(above, title, width)
        below.tick_params(labelbottom=at + columns >= len(panels))
    for row in range(n_rows):
        grid[2 * row, 0].set_ylabel("fraction relevant")
        grid[2 * row + 1, 0].set_ylabel("pairs")
    figure.supxlabel("predicted probability of relevance", fontsize=font_size())
    diagonal = Mark(QUIET_COLOUR, "none")
    handles = [handle(f"{leg} leg", mark) for leg, mark in marks.items()]
    handles.append(handle("calibrated", diagonal, linewidth=1.0))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _draw_reliability(
    above: Axes, below: Axes, table: pd.DataFrame, marks: Mapping[str, Mark]
) -> None:
    above.plot([0, 1], [0, 1], color=QUIET_COLOUR, linewidth=1.0, **PLAIN)
    for leg, mark in marks.items():
        part = table[table["leg"] == leg].sort_values("mean_probability")
        x = part["mean_probability"]
        look: dict[str, Any] = {"color": mark.colour}
        above.vlines(x, part["ci_low"], part["ci_high"], linewidth=1.2, **look)
        look |= {"marker": mark.marker, "linestyle": mark.line}
        above.plot(x, part["fraction_relevant"], ms=5, **look)
        below.plot(x, part["n"], ms=4, **look)
    above.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    above.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    above.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    above.tick_params(labelbottom=False)
    below.set_yscale("log")
    below.set_ylim(0.5, None)
    below.yaxis.set_major_locator(LogLocator(numticks=3))
    below.yaxis.set_minor_locator(NullLocator())
    above.grid(axis="both")
    below.grid(axis="y")
