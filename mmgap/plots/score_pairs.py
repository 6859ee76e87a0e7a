"""The embedder's scores of texts and pictures, above the reranker's of the same pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmgap.plots.score_histograms import Scores, score_histograms

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def score_pairs(
    scores: Mapping[str, Scores],
    *,
    scales: Mapping[str, str] | None = None,
    height: float = 1.9,
) -> Figure:
    """Draw the scores of texts and of pictures, one panel per model, each on its own scale.

    Parameters
    ----------
    scores : mapping of name to ScoreDistributions, or to a pair of arrays
        As :func:`mmgap.strategies.score_pairs` returns it: one entry for the embedder, one for the
        reranker, of the same pairs of query and document.
    scales : mapping of name to str, optional
        What each model's score is, under its axis.
    height : float, default 1.9
        Inches of one panel; more where the style has larger text.

    Returns
    -------
    matplotlib.figure.Figure
        As :func:`score_histograms`. Scales of two models do not compare; what compares is how far
        texts and pictures lie apart: the overlap, the KS distance and the chance that a text
        scores higher, above each panel.

    Raises
    ------
    ValueError
        If ``scales`` names a model that ``scores`` does not have.
    """
    scales = scales or {}
    unknown = sorted(set(scales) - set(scores))
    if unknown:
        msg = f"scales has {unknown}, which scores lacks; it has {sorted(scores)}"
        raise ValueError(msg)
    figure = score_histograms(scores, height=height, share_axis=False, xlabel="")
    for axes, name in zip(figure.axes, scores, strict=True):
        axes.set_xlabel(scales.get(name, "score of a query with a document"))
    return figure
