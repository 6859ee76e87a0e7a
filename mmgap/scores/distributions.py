"""Where the scores of texts and of images lie for the same queries.

Scores come as one matrix per modality, one row per query. NaN marks a pair to leave out, such as a
query that is itself one of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.pairs import relevant_pairs

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Quantiles that :class:`ScoreSample` holds."""


@dataclass(frozen=True)
class ScoreSample:
    """One sample of scores in numbers.

    Parameters
    ----------
    n : int
    mean, sd : float
        ``sd`` divides by n.
    quantiles : ndarray of shape (7,)
        At :data:`QUANTILES`, interpolated linearly.
    counts : ndarray of shape (n_bin,)
        Histogram on the bins shared by all samples.
    """

    n: int
    mean: float
    sd: float
    quantiles: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class ScoreDistributions:
    """Query-text and query-image scores side by side.

    Parameters
    ----------
    edges : ndarray of shape (n_bin + 1,)
        Bins of all histograms, of equal width over the range of all scores.
    samples : mapping of str to ScoreSample
        ``text`` and ``image``; also ``text relevant`` and ``image relevant`` where it is known
        which documents are relevant.
    overlap : float
        As in :func:`overlap`; 1 = the two histograms coincide.
    ks : float
        As in :func:`ks_distance`; 0 = the two samples coincide.
    dominance : float
        As in :func:`dominance`; 0.5 = no modality scores higher.
    text_beats_relevant_image, image_beats_relevant_text : float
        As in :func:`dominance_over_relevant`, both ways, among the documents of the other modality
        that are not relevant; NaN where that cannot be known.
    """

    edges: np.ndarray
    samples: Mapping[str, ScoreSample]
    overlap: float
    ks: float
    dominance: float
    text_beats_relevant_image: float
    image_beats_relevant_text: float

    def to_frame(self) -> pd.DataFrame:
        """Tidy table with the columns ``sample``, ``measure`` and ``value``, histograms left out.

        The sample of a number that compares the two is ``text against image``.
        """
        import pandas as pd

        rows: list[tuple[str, str, float]] = []
        for name, sample in self.samples.items():
            rows += [(name, "n", sample.n), (name, "mean", sample.mean), (name, "sd", sample.sd)]
            rows += [
                (name, f"q{100 * level:02.0f}", float(value))
                for level, value in zip(QUANTILES, sample.quantiles, strict=True)
            ]
        rows += [
            ("text against image", measure, getattr(self, measure))
            for measure in (
                "overlap",
                "ks",
                "dominance",
                "text_beats_relevant_image",
                "image_beats_relevant_text",
            )
        ]
        return pd.DataFrame(rows, columns=["sample", "measure", "value"])


def score_distributions(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    *,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
    bins: int = 100,
) -> ScoreDistributions:
    """Compare the scores that queries give to texts with those they give to images.

    Parameters
    ----------
    text_scores : ndarray of shape (n_query, n_text)
        Larger = more similar; NaN where a pair is to be left out.
    image_scores : ndarray of shape (n_query, n_image)
        Same queries, same order.
    text_relevant : bool array of shape (n_query, n_text) or None
        Which texts answer which query.
    image_relevant : bool array of shape (n_query, n_image) or None
    bins : int, default 100

    Returns
    -------
    distributions : ScoreDistributions
        ``text`` and ``image`` hold all scores, the relevant ones among them.

    Raises
    ------
    MmgapError
        If a leg has no score, a score is infinite, or shapes disagree.

    Examples
    --------
    >>> text, image = np.array([[0.7, 0.8], [0.6, 0.9]]), np.array([[0.2, 0.3], [0.1, 0.4]])
    >>> found = score_distributions(text, image, image_relevant=np.eye(2, dtype=bool))
    >>> found.dominance, found.overlap, found.text_beats_relevant_image
    (1.0, 0.0, 1.0)
    """
    text, image = _two_legs(text_scores, image_scores, text_relevant, image_relevant)
    samples = {"text": text.sample(), "image": image.sample()}
    edges = _shared_bins(samples["text"], samples["image"], bins)
    samples |= {
        f"{leg.name} relevant": leg.relevant_sample()
        for leg in (text, image)
        if leg.relevant is not None and len(leg.relevant_sample())
    }
    return ScoreDistributions(
        edges=edges,
        samples={name: _describe(sample, edges) for name, sample in samples.items()},
        overlap=overlap(samples["text"], samples["image"], bins=edges),
        ks=ks_distance(samples["text"], samples["image"]),
        dominance=dominance(samples["text"], samples["image"]),
        text_beats_relevant_image=_wrong_beats_relevant(text, image),
        image_beats_relevant_text=_wrong_beats_relevant(image, text),
    )


def overlap(
    text_scores: np.ndarray, image_scores: np.ndarray, *, bins: int | np.ndarray = 100
) -> float:
    """Area that the histograms of two samples share.

    Parameters
    ----------
    text_scores, image_scores : ndarray of any shape
        NaN is left out.
    bins : int or ndarray of shape (n_bin + 1,), default 100
        Number of bins of equal width over the range of both samples, or their edges.

    Returns
    -------
    overlap : float
        Sum over bins of the smaller of the two shares, in [0, 1]; larger = more alike, 1 = same
        histogram. Wide bins raise it, small samples lower it: compare at equal bins and sizes.

    Raises
    ------
    MmgapError
        If a sample is empty or holds an infinite score.

    References
    ----------
    .. [1] Inman and Bradley, "The Overlapping Coefficient as a Measure of Agreement Between
       Probability Distributions", Communications in Statistics 1989.

    Examples
    --------
    >>> overlap(np.array([0.0, 1.0]), np.array([1.0, 2.0]), bins=2)
    0.5
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    edges = _shared_bins(text, image, bins)
    shares = [_histogram(sample, edges) / sample.size for sample in (text, image)]
    return float(np.minimum(*shares).sum())


def ks_distance(text_scores: np.ndarray, image_scores: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic of two samples.

    Parameters
    ----------
    text_scores, image_scores : ndarray of any shape
        NaN is left out.

    Returns
    -------
    distance : float
        Largest difference between the two cumulative shares, in [0, 1]; larger = further apart,
        1 = a threshold separates them. Blind to how far apart. Unchanged by any increasing map.

    Raises
    ------
    MmgapError
        If a sample is empty or holds an infinite score.

    Examples
    --------
    >>> ks_distance(np.array([0.5, 0.6]), np.array([0.1, 0.5]))
    0.5
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    at = np.concatenate([text, image])
    shares = [np.searchsorted(sample, at, side="right") / sample.size for sample in (text, image)]
    return float(np.abs(shares[0] - shares[1]).max())


def dominance(text_scores: np.ndarray, image_scores: np.ndarray) -> float:
    """Chance that a random text score exceeds a random image score.

    Parameters
    ----------
    text_scores, image_scores : ndarray of any shape
        NaN is left out.

    Returns
    -------
    chance : float
        In [0, 1], equal scores counting one half; 0.5 = neither is higher, 1 = every text lies
        above every image. The area under the ROC curve of telling texts from images by score.
        Unchanged by any increasing map.

    Raises
    ------
    MmgapError
        If a sample is empty or holds an infinite score.

    References
    ----------
    .. [1] Mann and Whitney, Annals of Mathematical Statistics 1947.

    Examples
    --------
    Of the four pairs the text wins three and ties one.

    >>> dominance(np.array([0.5, 0.6]), np.array([0.1, 0.5]))
    0.875
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    below = np.searchsorted(image, text, side="left").mean()
    not_above = np.searchsorted(image, text, side="right").mean()
    return float((below + not_above) / (2 * image.size))


def dominance_by_query(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """:func:`dominance` of each query's own scores.

    Parameters
    ----------
    text_scores : ndarray of shape (n_query, n_text)
        NaN leaves a pair out.
    image_scores : ndarray of shape (n_query, n_image)
        Same queries, same order.

    Returns
    -------
    chance : ndarray of shape (n_query,)
        In [0, 1]; NaN where a query lacks texts or images.

    Raises
    ------
    MmgapError
        If there is not one row for each query on both sides, or a score is infinite.

    Examples
    --------
    >>> dominance_by_query(np.array([[0.5, 0.6], [0.1, 0.1]]), np.array([[0.1, 0.5], [0.2, 0.3]]))
    array([0.875, 0.   ])
    """
    if len(text_scores) != len(image_scores):
        msg = (
            f"scores {text_scores.shape} and {image_scores.shape} must have one row for each "
            "query, the same ones"
        )
        raise MmgapError(msg)
    return np.array(
        [
            np.nan if np.isnan(text).all() or np.isnan(image).all() else dominance(text, image)
            for text, image in zip(text_scores, image_scores, strict=True)
        ]
    )


def dominance_over_relevant(
    text_scores: np.ndarray, image_scores: np.ndarray, image_relevant: np.ndarray
) -> float:
    """Chance that a random text scores higher than the relevant image of the same query.

    Parameters
    ----------
    text_scores : ndarray of shape (n_query, n_text)
        NaN leaves a pair out: the query itself, or texts that are relevant too.
    image_scores : ndarray of shape (n_query, n_image)
    image_relevant : bool array of shape (n_query, n_image)

    Returns
    -------
    chance : float
        Mean of :func:`dominance` over the queries that have a text and a relevant image. In
        [0, 1]; larger = more texts stand before the right image. Exchange the modalities for the
        other direction.

    Raises
    ------
    MmgapError
        If no query has both, a score is infinite, or shapes disagree.

    Notes
    -----
    ``dominance(text_scores, image_scores[image_relevant])`` pools the queries instead and so
    compares scores that no ranking ever compares; it differs where queries differ in level.

    Examples
    --------
    The first query's image beats one of two texts, the second's beats none.

    >>> text, image = np.array([[0.1, 0.9], [0.8, 0.9]]), np.array([[0.5, 0.0], [0.0, 0.5]])
    >>> dominance_over_relevant(text, image, np.eye(2, dtype=bool))
    0.75
    """
    text = _Leg("text", text_scores, None)
    image = _Leg("image", image_scores, image_relevant)
    chance = dominance_by_query(text.scores, image.of_relevant())
    if np.isnan(chance).all():
        msg = "no query has both a text score and the score of a relevant image"
        raise MmgapError(msg)
    return float(np.nanmean(chance))


def modality_fraction(legs: np.ndarray, leg: str = "text", k: int = 10) -> np.ndarray:
    """Share of one modality among the first k hits of each query.

    Parameters
    ----------
    legs : str array of shape (n_query, depth)
        The leg that each hit came from, best hit first; an empty string marks an empty place.
    leg : str, default "text"
    k : int, default 10

    Returns
    -------
    share : ndarray of shape (n_query,)
        In [0, 1]; compare with the share of the modality in the pool. NaN where a query has no
        hit. The order of tied hits is taken as given.

    Raises
    ------
    MmgapError
        If ``legs`` does not have two axes, or ``k`` is less than 1.

    Examples
    --------
    >>> modality_fraction(np.array([["text", "text", "image"], ["image", "", ""]]), k=2)
    array([1., 0.])
    """
    legs = np.asarray(legs)
    if legs.ndim != 2 or k < 1:
        msg = f"legs must have shape (n_query, depth) and k be >= 1; got {legs.shape} and {k}"
        raise MmgapError(msg)
    top = legs[:, :k]
    filled = (top != "").sum(axis=1)
    share = (top == leg).sum(axis=1) / np.maximum(filled, 1)
    return np.where(filled > 0, share, np.nan)


class _Leg:
    """One modality's scores and relevance, checked."""

    def __init__(self, name: str, scores: np.ndarray, relevant: np.ndarray | None) -> None:
        self.name = name
        self.scores = np.asarray(scores)
        self.relevant = None if relevant is None else relevant_pairs(relevant)
        if self.scores.ndim != 2 or np.isinf(self.scores).any():
            msg = (
                f"{name}_scores must have shape (n_query, n_{name}) and hold no infinite score "
                f"(NaN leaves a pair out); got shape {self.scores.shape}"
            )
            raise MmgapError(msg)
        if self.relevant is not None and self.relevant.shape != self.scores.shape:
            msg = (
                f"{name}_relevant {self.relevant.shape} must have the shape of {name}_scores "
                f"{self.scores.shape}"
            )
            raise MmgapError(msg)

    def sample(self) -> np.ndarray:
        return _sample(self.name, self.scores)

    def of_relevant(self) -> np.ndarray:
        """Scores of the relevant documents, NaN elsewhere; all NaN where none is known."""
        if self.relevant is None:
            return np.full(self.scores.shape, np.nan)
        return np.where(self.relevant, self.scores, np.nan)

    def of_rivals(self) -> np.ndarray:
        """Scores of the documents that are not relevant, NaN elsewhere.

        In a query that a document of the other leg answers, this leg's relevant documents are no
        mistake: they are left out, neither right nor wrong.
        """
        return (
            self.scores if self.relevant is None else np.where(self.relevant, np.nan, self.scores)
        )

    def relevant_sample(self) -> np.ndarray:
        sample = self.scores[self.relevant].astype(np.float64)
        return np.sort(sample[~np.isnan(sample)])


def _two_legs(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None,
    image_relevant: np.ndarray | None,
) -> tuple[_Leg, _Leg]:
    """Both legs, checked to hold the same queries."""
    text = _Leg("text", text_scores, text_relevant)
    image = _Leg("image", image_scores, image_relevant)
    if len(text.scores) != len(image.scores):
        msg = (
            f"text_scores {text.scores.shape} and image_scores {image.scores.shape} must have one "
            "row for each query, the same ones"
        )
        raise MmgapError(msg)
    return text, image


def _sample(name: str, scores: np.ndarray) -> np.ndarray:
    """Scores as an ascending float64 sample without NaN."""
    sample = np.asarray(scores, dtype=np.float64).ravel()
    sample = sample[~np.isnan(sample)]
    if sample.size == 0 or np.isinf(sample).any():
        msg = (
            f"the {name} sample must hold at least one score and no infinite one; got "
            f"{sample.size} scores, {np.isinf(sample).sum()} of them infinite"
        )
        raise MmgapError(msg)
    return np.sort(sample)


def _shared_bins(text: np.ndarray, image: np.ndarray, bins: int | np.ndarray) -> np.ndarray:
    """Edges over the range of two ascending samples."""
    ends = np.array([min(text[0], image[0]), max(text[-1], image[-1])])
    return np.histogram_bin_edges(ends, bins=bins)


def _histogram(sample: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``numpy.histogram`` of an ascending sample: bins hold their lower edge, the last one both."""
    below = np.searchsorted(sample, edges, side="left")
    below[-1] = np.searchsorted(sample, edges[-1], side="right")
    return np.diff(below)


def _describe(sample: np.ndarray, edges: np.ndarray) -> ScoreSample:
    return ScoreSample(
        n=sample.size,
        mean=float(sample.mean()),
        sd=float(sample.std()),
        quantiles=np.quantile(sample, QUANTILES),
        counts=_histogram(sample, edges),
    )


def _wrong_beats_relevant(wrong: _Leg, right: _Leg) -> float:
    """Dominance of one leg's documents that are not relevant over the other's that are."""
    if right.relevant is None:
        return float("nan")
    chance = dominance_by_query(wrong.of_rivals(), right.of_relevant())
    return float(np.nanmean(chance)) if np.isfinite(chance).any() else float("nan")
