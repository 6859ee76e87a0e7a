"""Figures, one file per kind; each takes arrays, frames or vectors and returns a Figure."""

from mmgap.plots.difference_dots import difference_dots
from mmgap.plots.gallery import gallery
from mmgap.plots.loss_parts import loss_parts
from mmgap.plots.pareto import pareto
from mmgap.plots.recall_bars import recall_bars
from mmgap.plots.save import FigureError, SavedFigure, save
from mmgap.plots.score_histograms import score_histograms
from mmgap.plots.score_pairs import score_pairs
from mmgap.plots.shared_space import Projection, pick_thumbnails, project, shared_space
from mmgap.plots.style import style
from mmgap.plots.sweep_lines import sweep_lines
from mmgap.plots.temperature_sweep import temperature_sweep
from mmgap.plots.top1_gallery import top1_gallery
from mmgap.plots.training_curves import training_curves
from mmgap.plots.weight_curves import weight_curves

__all__ = [
    "FigureError",
    "Projection",
    "SavedFigure",
    "difference_dots",
    "gallery",
    "loss_parts",
    "pareto",
    "pick_thumbnails",
    "project",
    "recall_bars",
    "save",
    "score_histograms",
    "score_pairs",
    "shared_space",
    "style",
    "sweep_lines",
    "temperature_sweep",
    "top1_gallery",
    "training_curves",
    "weight_curves",
]
