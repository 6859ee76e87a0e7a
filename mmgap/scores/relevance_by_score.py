"""How likely a document is to be relevant, given its score and its modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.distributions import _histogram, _Leg, _two_legs
from mmgap.scores.wilson import wilson_interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RelevanceShare:
    """One modality's share of relevant documents in each bin of scores.

    Parameters
    ----------
    n, n_relevant : int array of shape (n_bin,)
    share, low, high : ndarray of shape (n_bin,)
        ``n_relevant / n`` and its Wilson interval, in [0, 1]; NaN in empty bins.
    """

    n: np.ndarray
    n_relevant: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class RelevanceByScore:
    """P(relevant | score, modality) on bins that both modalities share.

    Parameters
    ----------
    edges : ndarray of shape (n_bin + 1,)
        A bin holds its lower edge, the last one both.
    legs : mapping of str to RelevanceShare
        ``text`` and ``image``.
    """

    edges: np.ndarray
    legs: Mapping[str, RelevanceShare]

    def equivalent_score(self, score: float, *, of: Literal["text", "image"] = "text") -> float:
        """Score in the other modality that means the same chance of relevance.

        Parameters
        ----------
        score : float
            A score of the modality ``of``.
        of : {"text", "image"}, default "text"

        Returns
        -------
        score : float
            Smallest score of the other modality at which the chance reaches that of ``score``; NaN
            where it never does, where it is always higher already, and where ``score`` lies outside
            the bins that hold scores of its modality. The resolution is that of the bins.

        Raises
        ------
        MmgapError
            If ``of`` is neither modality.

        Notes
        -----
        Shares by bin go up and down by chance. They are first made to ascend by isotonic
        regression, weighted by n, and drawn as straight lines between the middles of the bins.
        """
        if of not in self.legs:
            msg = f"of must be 'text' or 'image'; got {of!r}"
            raise MmgapError(msg)
        at, chance = self._ascending(of)
        if not at[0] <= score <= at[-1]:
            # The outer halves of the outer bins hold scores too, at the chance of their bin.
            half = np.diff(self.edges).max() / 2
            if not at[0] - half <= score <= at[-1] + half:
                return float("nan")
        wanted = np.interp(score, at, chance)
        (other,) = set(self.legs) - {of}
        at, chance = self._ascending(other)
        if not chance[0] <= wanted <= chance[-1]:
            return float("nan")
        reached = int(np.searchsorted(chance, wanted, side="left"))
        if reached == 0:
            return float(at[0])
        low, high = chance[reached - 1], chance[reached]
        step = at[reached] - at[reached - 1]
        return float(at[reached - 1] + step * (wanted - low) / (high - low))

    def to_frame(self) -> pd.DataFrame:
        """Tidy table: one row for each modality and bin."""
        import pandas as pd

        return pd.concat(
            [
                pd.DataFrame({"leg": leg, "from": self.edges[:-1], "to": self.edges[1:], **vars(x)})
                for leg, x in self.legs.items()
            ],
            ignore_index=True,
        )

    def _ascending(self, leg: str) -> tuple[np.ndarray, np.ndarray]:
        """Middles of the filled bins and their chances, made to ascend."""
        from sklearn.isotonic import isotonic_regression

        share = self.legs[leg]
        filled = share.n > 0
        middles = (self.edges[1:] + self.edges[:-1]) / 2
        chance = isotonic_regression(share.share[filled], sample_weight=share.n[filled])
        return middles[filled], chance


def relevance_by_score(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray,
    image_relevant: np.ndarray,
    *,
    bins: int | np.ndarray = 20,
    spacing: Literal["width", "quantile"] = "width",
    level: float = 0.95,
) -> RelevanceByScore:
    """Share of relevant documents by score, for texts and for images.

    Parameters
    ----------
    text_scores : ndarray of shape (n_query, n_text)
        Larger = more similar; NaN leaves a pair out.
    image_scores : ndarray of shape (n_query, n_image)
        Same queries, same order.
    text_relevant : bool array of shape (n_query, n_text)
    image_relevant : bool array of shape (n_query, n_image)
    bins : int or ndarray of shape (n_bin + 1,), default 20
        Number of bins that both modalities share, or their edges.
    spacing : {"width", "quantile"}, default "width"
        Bins of equal width, or with about equally many scores in each, both modalities taken
        together. Quantiles show more where scores are many, widths where they are rare, such as at
        the top. Ignored where ``bins`` holds edges.
    level : float, default 0.95
        Of the Wilson intervals.

    Returns
    -------
    shares : RelevanceByScore
        If the two curves differ, one threshold for both modalities is wrong for at least one.

    Raises
    ------
    MmgapError
        If a leg has no score, a score is infinite, shapes disagree, or ``bins``, ``spacing`` or
        ``level`` is out of range.

    Notes
    -----
    The share depends on the pool: with twice as many documents that are not relevant it halves.
    It is a chance for documents of this pool only. The intervals take pairs as independent, though
    pairs of one query are not; they are too narrow where queries differ in level.

    References
    ----------
    .. [1] Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal
       of the American Statistical Association 1927.

    Examples
    --------
    An image of 0.3 is as likely to be relevant as a text of 0.8.

    >>> text, image = np.array([[0.7, 0.7, 0.9, 0.9]]), np.array([[0.1, 0.1, 0.3, 0.3]])
    >>> relevant = np.array([[False, False, True, False]])
    >>> edges = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    >>> found = relevance_by_score(text, image, relevant, relevant, bins=edges)
    >>> found.legs["image"].share
    array([0. , 0.5, nan, nan, nan])
    >>> round(found.equivalent_score(0.9, of="text"), 6)
    0.3
    """
    text, image = _two_legs(text_scores, image_scores, text_relevant, image_relevant)
    edges = _edges(np.concatenate([text.sample(), image.sample()]), bins, spacing)
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, e.g. 0.95; got {level}"
        raise MmgapError(msg)
    return RelevanceByScore(edges, {leg.name: _share(leg, edges, level) for leg in (text, image)})


def _edges(scores: np.ndarray, bins: int | np.ndarray, spacing: str) -> np.ndarray:
    if spacing not in ("width", "quantile"):
        msg = f"spacing must be 'width' or 'quantile'; got {spacing!r}"
        raise MmgapError(msg)
    if np.ndim(bins) == 1 or spacing == "width":
        return np.histogram_bin_edges(scores, bins=bins)
    if not isinstance(bins, int) or bins < 1:
        msg = f"bins must be a whole number >= 1 or ascending edges; got {bins!r}"
        raise MmgapError(msg)
    # Tied scores can make edges coincide: such bins are joined.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)))
    return edges if len(edges) > 1 else np.histogram_bin_edges(scores, bins=1)


def _share(leg: _Leg, edges: np.ndarray, level: float) -> RelevanceShare:
    n = _histogram(leg.sample(), edges)
    n_relevant = _histogram(leg.relevant_sample(), edges)
    low, high = wilson_interval(n_relevant, n, level=level)
    with np.errstate(invalid="ignore"):
        share = n_relevant / n
    return RelevanceShare(n, n_relevant, share, low, high)
