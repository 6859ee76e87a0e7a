"""Where the scores of texts and of images lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mmgap.errors import MmgapError
from mmgap.plots.palette import LEG
from mmgap.plots.panels import Panels, handle, note, set_title
from mmgap.plots.style import font_size, new_figure, scale, small, wrap
from mmgap.scores import ScoreDistributions, score_distributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = ScoreDistributions | Sequence[np.ndarray]
"""Distributions, or the query-text scores and the query-image scores themselves."""

PER_BIN = 4
"""Scores that a drawn bin holds on average at the least."""


def score_histograms(
    scores: Scores | Mapping[str, Scores],
    *,
    height: float = 1.75,
    xlabel: str | Mapping[str, str] = "score of a query with a document (cosine)",
    ax: Axes | None = None,
) -> Figure:
    """Draw the scores that queries give to texts and to images, one panel for each entry.

    Filled: all pairs. Outlined: relevant pairs, where they are known. All areas are 1. A mapping as
    ``xlabel`` names the scale of each panel, which then has an axis of its own: such scales do not
    compare; the overlap, the KS distance and P(text > image) above each panel do.
    """
    named = scores if isinstance(scores, Mapping) else {"": scores}
    panels = {name: _distributions(item) for name, item in named.items()}
    own_axes = isinstance(xlabel, Mapping)
    if own_axes and set(xlabel) != set(panels):
        msg = f"xlabel names {sorted(xlabel)}; expected one for each of {sorted(panels)}"
        raise MmgapError(msg)
    grid = Panels(
        panels, height * len(panels) + 1.0, columns=1, ax=ax, sharex=not own_axes, sharey=False
    )
    for axes, (name, panel) in zip(grid.axes, panels.items(), strict=True):
        draw_histogram(axes, panel)
        axes.set_title(name, pad=6 + 1.35 * small(), parse_math=False)
        axes.tick_params(labelbottom=True)
        if isinstance(xlabel, Mapping):
            axes.set_xlabel(xlabel[name])
    if isinstance(xlabel, str):
        grid.axes[-1].set_xlabel(xlabel)
    grid.label(y="density") if ax is None else ax.set_ylabel("density")
    grid.legend(_handles(panels.values()), "outside lower center")
    return grid.figure


def histogram_grid(panels: Mapping[str, Mapping[str, ScoreDistributions]]) -> Figure:
    """Draw small histograms: a row for each encoder, a column for each normaliser or mitigation.

    Each panel has a score axis of its own, and all areas are 1: compare within a panel.
    """
    names = [*next(iter(panels.values()), {})]
    if not names or any([*row] != names for row in panels.values()):
        got = {name: [*row] for name, row in panels.items()}
        msg = f"every row must have the same columns, at least one; got {got}"
        raise MmgapError(msg)
    figure = new_figure((1.25 * len(panels) + 1.25) * scale())
    grid = figure.subplots(len(panels), len(names), squeeze=False)
    width = figure.get_figwidth() / len(names) - 0.25 * scale()
    for axes_row, (row, columns) in zip(grid, panels.items(), strict=True):
        for axes, panel in zip(axes_row, columns.values(), strict=True):
            _draw_shapes(axes, panel, outline=1.6)
            axes.set_ylim(0, None)
            axes.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=2))
            words = f"P(T > I) {_probability(panel.dominance)}"
            note(axes, words, (0.5, 1), ha="center", xytext=(0, 2))
        axes_row[0].set_ylabel(wrap(row, 1.25 * scale(), font_size()), parse_math=False)
    for axes, name in zip(grid[0], names, strict=True):
        set_title(axes, name, width, pad=4 + 1.5 * small())
    label = "score of a query with a document, on each panel's scale"
    figure.supxlabel(label, fontsize=font_size())
    every = [panel for row in panels.values() for panel in row.values()]
    figure.legend(handles=_handles(every), loc="outside upper center", ncols=2)
    return figure


def draw_histogram(axes: Axes, panel: ScoreDistributions) -> None:
    """Draw one panel with its medians, and how far the two modalities are apart above it."""
    _draw_shapes(axes, panel, outline=2.0, edge=0.8)
    _mark_medians(axes, panel)
    apart = f"overlap {panel.overlap:.2f}, KS {panel.ks:.2f}"
    note(axes, f"{apart}, P(text > image) {_probability(panel.dominance)}")


def _distributions(scores: Scores) -> ScoreDistributions:
    if isinstance(scores, ScoreDistributions):
        return scores
    text, image = (np.reshape(sample, (1, -1)) for sample in scores)
    return score_distributions(text, image, bins=60)


def _draw_shapes(
    axes: Axes, panel: ScoreDistributions, *, outline: float, edge: float | None = None
) -> None:
    for leg, mark in LEG.items():
        density, edges = _density(panel, leg)
        look: dict[str, Any] = {"facecolor": mark.colour, "edgecolor": mark.colour, "alpha": 0.4}
        axes.stairs(density, edges, fill=True, hatch=mark.hatch, **look)
        if edge is not None:
            axes.stairs(density, edges, color=mark.colour, linewidth=edge)
        if f"{leg} relevant" in panel.samples:
            shape = _density(panel, f"{leg} relevant")
            axes.stairs(*shape, color=mark.colour, linewidth=outline, linestyle=mark.line)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _probability(value: float) -> str:
    """Two digits, three where two would read as certainty."""
    if 0.005 <= value < 0.995:
        return f"{value:.2f}"
    if 0 < value < 0.0005 or 0.9995 <= value < 1:
        return "below 0.001" if value < 0.5 else "above 0.999"
    return f"{value:.3f}"


def _density(panel: ScoreDistributions, sample: str) -> tuple[np.ndarray, np.ndarray]:
    """Density and bin edges of a sample, from its first to its last occupied bin.

    Bins of a small sample are merged until an occupied one holds ``PER_BIN`` scores on average.
    """
    counts, edges = panel.samples[sample].counts, panel.edges
    while np.count_nonzero(counts) > 4 and counts.sum() < PER_BIN * np.count_nonzero(counts):
        if len(counts) % 2:
            width = edges[-1] - edges[-2]
            counts, edges = np.append(counts, 0), np.append(edges, edges[-1] + width)
        counts, edges = counts[0::2] + counts[1::2], edges[::2]
    first, last = np.flatnonzero(counts)[[0, -1]]
    counts, edges = counts[first : last + 1], edges[first : last + 2]
    return counts / (counts.sum() * np.diff(edges)), edges


def _mark_medians(axes: Axes, panel: ScoreDistributions) -> None:
    """Draw a line and a label at each median; the labels stand on the sides that are apart."""
    top = max(_density(panel, sample)[0].max() for sample in panel.samples)
    axes.set_ylim(0, 1.3 * top)
    middle = {leg: float(panel.samples[leg].quantiles[3]) for leg in LEG}
    higher = max(middle, key=lambda leg: middle[leg])
    for leg, mark in LEG.items():
        axes.vlines(middle[leg], 0, 1.2 * top, color=mark.colour, linestyle=mark.line)
        side = 1 if leg == higher else -1
        axes.annotate(
            f"{leg}, median {round(middle[leg], 2) + 0.0:.2f}",  # 0.00 rather than -0.00
            (middle[leg], 1.3 * top),
            xytext=(4 * side, 0),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="top",
            fontsize=small(),
            color=mark.colour,
            annotation_clip=False,
        )


def _handles(panels: Any) -> list[Any]:
    fills: list[Any] = []
    lines: list[Any] = []
    for leg, mark in LEG.items():
        look: dict[str, Any] = {"facecolor": mark.colour, "edgecolor": mark.colour, "alpha": 0.4}
        fills.append(Patch(hatch=mark.hatch, label=f"query-{leg}, all pairs", **look))
        width = 1.3 * font_size() / 7
        lines.append(handle(f"query-{leg}, relevant pairs", mark, marker="none", linewidth=width))
    if not any("relevant" in sample for panel in panels for sample in panel.samples):
        return fills
    return [fills[0], lines[0], fills[1], lines[1]]
