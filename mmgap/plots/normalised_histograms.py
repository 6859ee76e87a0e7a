"""What each cure does to the scores: small histograms side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.palette import LEG, QUIET_COLOUR
from mmgap.plots.score_histograms import _chance, _density, _handles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmgap.scores.distributions import ScoreDistributions


def normalised_histograms(
    panels: Mapping[str, Mapping[str, ScoreDistributions]],
    *,
    notes: Mapping[str, Mapping[str, str]] | None = None,
) -> Figure:
    """Draw the scores of texts and images before and after each cure.

    Parameters
    ----------
    panels : mapping of row to mapping of column to ScoreDistributions
        One row per encoder, say, and one column per cure, the same ones in each row.
    notes : mapping of row to mapping of column to str, optional
        A few words above each panel; by default the chance that a text scores higher than an
        image.

    Returns
    -------
    matplotlib.figure.Figure
        Filled: all pairs. Outlined: relevant pairs, where they are known. Each panel has a score
        axis of its own, and all areas are 1: compare within a panel.

    Raises
    ------
    ValueError
        If there is no panel, or rows have different columns.
    """
    names = [*next(iter(panels.values()), {})]
    if not names or any([*row] != names for row in panels.values()):
        msg = (
            "every row must have the same columns, at least one; got "
            f"{ {name: [*row] for name, row in panels.items()} }"
        )
        raise ValueError(msg)
    figure = new_figure((1.25 * len(panels) + 1.25) * scale())
    grid = figure.subplots(len(panels), len(names), squeeze=False)
    size = float(mpl.rcParams["font.size"])
    width = figure.get_figwidth() / len(names) - 0.25 * scale()
    for axes_row, (row, columns) in zip(grid, panels.items(), strict=True):
        for axes, (name, panel) in zip(axes_row, columns.items(), strict=True):
            _draw(axes, panel)
            note = notes[row][name] if notes else f"P(T > I) {_chance(panel.dominance)}"
            axes.annotate(
                note,
                (0.5, 1),
                xytext=(0, 2),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=small(),
                color=QUIET_COLOUR,
            )
        axes_row[0].set_ylabel(wrap(row, 1.25 * scale(), size), parse_math=False)
    for axes, name in zip(grid[0], names, strict=True):
        title = wrap(name, width, size, weight="bold")
        axes.set_title(title, parse_math=False, pad=4 + 1.5 * small())
    relevant = any(
        "relevant" in sample
        for row in panels.values()
        for panel in row.values()
        for sample in panel.samples
    )
    figure.supxlabel("score of a query with a document, on each panel's scale", fontsize=size)
    handles = _handles(relevant=relevant)
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _draw(axes: Axes, panel: ScoreDistributions) -> None:
    for leg, mark in LEG.items():
        density, edges = _density(panel, leg)
        axes.stairs(
            density,
            edges,
            fill=True,
            facecolor=mark.colour,
            edgecolor=mark.colour,
            alpha=0.4,
            hatch=mark.hatch,
        )
        if f"{leg} relevant" in panel.samples:
            axes.stairs(
                *_density(panel, f"{leg} relevant"),
                color=mark.colour,
                linewidth=1.6,
                linestyle=mark.line,
            )
    axes.set_ylim(0, None)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=2))
