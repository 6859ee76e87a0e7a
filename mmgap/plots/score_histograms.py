"""Where query-text and query-image scores lie, one panel per encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmgap.plots.canvas import new_figure, scale, small
from mmgap.plots.palette import LEG, QUIET_COLOUR
from mmgap.scores.distributions import ScoreDistributions, score_distributions

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
    share_axis: bool = True,
    xlabel: str = "score of a query with a document (cosine)",
) -> Figure:
    """Draw the scores that queries give to texts above those that they give to images.

    Parameters
    ----------
    scores : ScoreDistributions, pair of arrays, or mapping of name to one of these
        A pair is ``(text_scores, image_scores)``, of any shape. A mapping gives one panel per
        entry, in its order.
    height : float, default 1.75
        Inches of one panel; more where the style has larger text.
    share_axis : bool, default True
        Whether all panels have one score axis; turn it off where scales differ, e.g. cosines
        beside logits.
    xlabel : str

    Returns
    -------
    matplotlib.figure.Figure
        Filled: all pairs. Outlined: relevant pairs, where they are known. All areas are 1.
    """
    panels = {name: _distributions(item) for name, item in _named(scores).items()}
    figure = new_figure(scale() * (height * len(panels) + 1.0))
    grid = figure.subplots(len(panels), 1, sharex=share_axis, squeeze=False)[:, 0]
    for axes, (name, panel) in zip(grid, panels.items(), strict=True):
        _draw(axes, name, panel)
        axes.tick_params(labelbottom=True)
    grid[-1].set_xlabel(xlabel)
    figure.supylabel("density", fontsize=mpl.rcParams["axes.labelsize"])
    relevant = any("relevant" in sample for panel in panels.values() for sample in panel.samples)
    handles = _handles(relevant=relevant)
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if relevant else 4)
    return figure


def _named(scores: Scores | Mapping[str, Scores]) -> Mapping[str, Scores]:
    return scores if isinstance(scores, Mapping) else {"": scores}


def _distributions(scores: Scores) -> ScoreDistributions:
    if isinstance(scores, ScoreDistributions):
        return scores
    text, image = (np.reshape(sample, (1, -1)) for sample in scores)
    return score_distributions(text, image, bins=60)


def _draw(axes: Axes, name: str, panel: ScoreDistributions) -> None:
    for leg, mark in LEG.items():
        density, edges = _density(panel, leg)
        look: dict[str, Any] = {"facecolor": mark.colour, "edgecolor": mark.colour, "alpha": 0.4}
        axes.stairs(density, edges, fill=True, hatch=mark.hatch, **look)
        axes.stairs(density, edges, color=mark.colour, linewidth=0.8)
        if f"{leg} relevant" in panel.samples:
            outline: dict[str, Any] = {
                "color": mark.colour,
                "linewidth": 2.0,
                "linestyle": mark.line,
            }
            axes.stairs(*_density(panel, f"{leg} relevant"), **outline)
    _mark_medians(axes, panel)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(name, pad=6 + 1.35 * small())
    note = (
        f"overlap {panel.overlap:.2f}, KS {panel.ks:.2f}, "
        f"P(text > image) {_chance(panel.dominance)}"
    )
    offset: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points"}
    axes.annotate(
        note, (0, 1), xycoords="axes fraction", fontsize=small(), color=QUIET_COLOUR, **offset
    )


def _chance(value: float) -> str:
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


def _handles(*, relevant: bool) -> list[Any]:
    fills = [
        Patch(facecolor=mark.colour, edgecolor=mark.colour, alpha=0.4, hatch=mark.hatch)
        for mark in LEG.values()
    ]
    for leg, patch in zip(LEG, fills, strict=True):
        patch.set_label(f"query-{leg}, all pairs")
    if not relevant:
        return fills
    width = 1.3 * float(mpl.rcParams["lines.linewidth"])
    lines = [
        Line2D([], [], color=mark.colour, linestyle=mark.line, linewidth=width)
        for mark in LEG.values()
    ]
    for leg, line in zip(LEG, lines, strict=True):
        line.set_label(f"query-{leg}, relevant pairs")
    return [fills[0], lines[0], fills[1], lines[1]]
