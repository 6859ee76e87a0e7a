"""Figures: tables, vectors or runs in, a matplotlib Figure out; see ``panels`` for the contract."""

from mmgap.plots.curves import (
    curves,
    hub_table,
    label_budget,
    reliability_diagrams,
    threshold_curves,
)
from mmgap.plots.dots import difference_dots, draw_dots, leaderboard, loss_parts, recall_bars
from mmgap.plots.gallery import gallery, top1_gallery
from mmgap.plots.histograms import draw_histogram, histogram_grid, score_histograms
from mmgap.plots.palette import series_marks
from mmgap.plots.save import FigureError, SavedFigure, save
from mmgap.plots.space import Projection, draw_space, pick_thumbnails, project, shared_space
from mmgap.plots.style import new_figure, style
from mmgap.plots.tradeoffs import closing_arrows, pareto, two_directions

__all__ = [
    "FigureError",
    "Projection",
    "SavedFigure",
    "closing_arrows",
    "curves",
    "difference_dots",
    "draw_dots",
    "draw_histogram",
    "draw_space",
    "gallery",
    "histogram_grid",
    "hub_table",
    "label_budget",
    "leaderboard",
    "loss_parts",
    "new_figure",
    "pareto",
    "pick_thumbnails",
    "project",
    "recall_bars",
    "reliability_diagrams",
    "save",
    "score_histograms",
    "series_marks",
    "shared_space",
    "style",
    "threshold_curves",
    "top1_gallery",
    "two_directions",
]
