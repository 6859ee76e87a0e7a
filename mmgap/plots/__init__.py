"""Figures, one file per kind; each takes arrays, frames or vectors and returns a Figure."""

from mmgap.plots.closing_arrows import closing_arrows
from mmgap.plots.cure_sweep import cure_sweep
from mmgap.plots.difference_dots import difference_dots
from mmgap.plots.gallery import gallery
from mmgap.plots.hub_curves import hub_curves
from mmgap.plots.label_budget import label_budget
from mmgap.plots.leaderboard import leaderboard
from mmgap.plots.loss_parts import loss_parts
from mmgap.plots.normalised_histograms import normalised_histograms
from mmgap.plots.pareto import pareto
from mmgap.plots.recall_bars import recall_bars
from mmgap.plots.reliability import reliability_diagrams
from mmgap.plots.save import FigureError, SavedFigure, save
from mmgap.plots.score_histograms import score_histograms
from mmgap.plots.score_pairs import score_pairs
from mmgap.plots.shared_space import Projection, pick_thumbnails, project, shared_space
from mmgap.plots.style import style
from mmgap.plots.sweep_lines import sweep_lines
from mmgap.plots.temperature_sweep import temperature_sweep
from mmgap.plots.thresholds import threshold_curves
from mmgap.plots.top1_gallery import top1_gallery
from mmgap.plots.training_curves import training_curves
from mmgap.plots.two_directions import two_directions
from mmgap.plots.weight_curves import weight_curves

__all__ = [
    "FigureError",
    "Projection",
    "SavedFigure",
    "closing_arrows",
    "cure_sweep",
    "difference_dots",
    "gallery",
    "hub_curves",
    "label_budget",
    "leaderboard",
    "loss_parts",
    "normalised_histograms",
    "pareto",
    "pick_thumbnails",
    "project",
    "recall_bars",
    "reliability_diagrams",
    "save",
    "score_histograms",
    "score_pairs",
    "shared_space",
    "style",
    "sweep_lines",
    "temperature_sweep",
    "threshold_curves",
    "top1_gallery",
    "training_curves",
    "two_directions",
    "weight_curves",
]
