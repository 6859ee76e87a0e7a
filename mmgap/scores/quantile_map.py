"""Which text score stands as high among texts as an image score does among images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.distributions import _sample

LEVELS = np.arange(1, 100) / 100
"""Quantiles that :func:`quantile_map` compares unless told otherwise: the percentiles."""


@dataclass(frozen=True)
class QuantileMap:
    """Image scores and the text scores of equal quantile.

    Parameters
    ----------
    levels : ndarray of shape (n_level,)
        Ascending, in [0, 1].
    image, text : ndarray of shape (n_level,)
        Quantiles of the two samples, interpolated linearly.
    """

    levels: np.ndarray
    image: np.ndarray
    text: np.ndarray

    @property
    def largest_deviation(self) -> float:
        """Largest ``|text - image|`` over the levels, in units of the scores; 0 = same quantiles.

        Changes with the scale of the scores, unlike the KS distance, and says how far apart two
        scores of equal standing lie.
        """
        return float(np.abs(self.text - self.image).max())

    def to_text_scale(self, image_scores: np.ndarray) -> np.ndarray:
        """Text scores of equal quantile.

        Parameters
        ----------
        image_scores : ndarray of any shape
            NaN stays NaN.

        Returns
        -------
        scores : ndarray of the same shape
            Linear between the levels. Beyond the first and the last one the map goes on with slope
            1, so that order is kept: an extrapolation that no data supports. Where several levels
            share an image score, their mean text score is taken.
        """
        scores = np.asarray(image_scores, dtype=np.float64)
        at, level = np.unique(self.image, return_inverse=True)
        to = np.bincount(level, weights=self.text) / np.bincount(level)
        beyond = scores - np.clip(scores, at[0], at[-1])
        return np.interp(scores, at, to) + beyond


def quantile_map(
    text_scores: np.ndarray, image_scores: np.ndarray, *, levels: np.ndarray = LEVELS
) -> QuantileMap:
    """Increasing map that takes image scores to the text scores of equal quantile.

    Parameters
    ----------
    text_scores, image_scores : ndarray of any shape
        NaN is left out. Both samples should come from the same queries.
    levels : ndarray of shape (n_level,), default the percentiles 0.01 to 0.99
        Quantiles to compare, ascending, in [0, 1].

    Returns
    -------
    table : QuantileMap
        Under it the distribution of the mapped image scores is that of the text scores, up to
        interpolation between the levels: the probability integral transform of the one sample
        followed by the quantile function of the other.

    Raises
    ------
    MmgapError
        If a sample is empty or holds an infinite score, or ``levels`` is not ascending in [0, 1].

    Notes
    -----
    Equal quantile does not mean equally likely to be relevant: that needs judgments, see
    :func:`mmgap.scores.relevance_by_score`. Quantiles far in a tail need many scores.

    Examples
    --------
    Images score 0.5 lower and spread half as wide: text = 0.7 + 2 (image - 0.2).

    >>> text = np.linspace(0.5, 0.9, 101)
    >>> found = quantile_map(text, 0.2 + (text - 0.7) / 2, levels=np.array([0.0, 0.5, 1.0]))
    >>> found.image.round(3), found.text.round(3), round(found.largest_deviation, 3)
    (array([0.1, 0.2, 0.3]), array([0.5, 0.7, 0.9]), 0.6)
    >>> found.to_text_scale(np.array([0.25, 0.4])).round(3)
    array([0.8, 1. ])
    """
    levels = np.asarray(levels, dtype=np.float64)
    inside = levels.ndim == 1 and levels.size > 0 and levels[0] >= 0 and levels[-1] <= 1
    if not (inside and (np.diff(levels) > 0).all()):
        msg = f"levels must ascend within [0, 1], e.g. [0.05, 0.5, 0.95]; got {levels.tolist()}"
        raise MmgapError(msg)
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    return QuantileMap(levels, np.quantile(image, levels), np.quantile(text, levels))
