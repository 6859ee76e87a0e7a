"""Where the scores of texts and of images lie for the same queries.

Scores come as one matrix per modality, (n_query, n_text) and (n_query, n_image), one row for each
query, in the same order; larger = more similar. NaN marks a pair to leave out, such as a query that
is itself one of the texts. Relevance is a matrix of the same shape, bools or grades of which 1 and
more are relevant; None where it is not known. Infinite scores, empty samples and shapes that
disagree raise :class:`~mmgap.errors.MmgapError`.
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

COMPARISONS = (
    *("overlap", "ks", "dominance"),
    *("text_beats_relevant_image", "image_beats_relevant_text"),
)
"""Numbers of :class:`ScoreDistributions` that compare the two modalities."""


@dataclass(frozen=True)
class ScoreSample:
    """One sample in numbers: ``sd`` over n, quantiles at :data:`QUANTILES`, a histogram."""

    n: int
    mean: float
    sd: float
    quantiles: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class ScoreDistributions:
    """Query-text and query-image scores side by side.

    ``edges`` are the bins of all histograms, of equal width over the range of all scores.
    ``samples`` are ``text`` and ``image``, and ``text relevant`` and ``image relevant`` where
    these are known. ``overlap``, ``ks`` and ``dominance`` are those of the functions below, over
    all pairs. ``text_beats_relevant_image`` is the probability that a random non-relevant text
    scores higher than the relevant image of the same query, as a mean over queries, equal scores
    counting one half; NaN where that cannot be known. Pooled numbers also compare scores of
    different queries, which no ranking ever does; this one does not.
    """

    edges: np.ndarray
    samples: Mapping[str, ScoreSample]
    overlap: float
    ks: float
    dominance: float
    text_beats_relevant_image: float
    image_beats_relevant_text: float

    def to_frame(self) -> pd.DataFrame:
        """Tidy table of ``sample``, ``measure`` and ``value``, histograms left out."""
        import pandas as pd

        rows: list[tuple[str, str, float]] = []
        for name, sample in self.samples.items():
            rows += [(name, "n", sample.n), (name, "mean", sample.mean), (name, "sd", sample.sd)]
            rows += [
                (name, f"q{100 * level:02.0f}", float(value))
                for level, value in zip(QUANTILES, sample.quantiles, strict=True)
            ]
        rows += [("text against image", measure, getattr(self, measure)) for measure in COMPARISONS]
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

    >>> text, image = np.array([[0.7, 0.8], [0.6, 0.9]]), np.array([[0.2, 0.3], [0.1, 0.4]])
    >>> found = score_distributions(text, image, image_relevant=np.eye(2))
    >>> found.dominance, found.overlap, found.text_beats_relevant_image
    (1.0, 0.0, 1.0)
    """
    text, image = two_legs(text_scores, image_scores, text_relevant, image_relevant)
    samples = {leg.name: _sample(leg.name, leg.scores) for leg in (text, image)}
    edges = _shared_bins(samples["text"], samples["image"], bins)
    for leg in (text, image):
        known = leg.scores[leg.relevant] if leg.relevant is not None else leg.scores[:0]
        if not np.isnan(known).all():
            samples[f"{leg.name} relevant"] = _sample(leg.name, known)
    return ScoreDistributions(
        edges=edges,
        samples={name: _describe(sample, edges) for name, sample in samples.items()},
        overlap=overlap(samples["text"], samples["image"], bins=edges),
        ks=ks_distance(samples["text"], samples["image"]),
        dominance=dominance(samples["text"], samples["image"]),
        text_beats_relevant_image=_beats_relevant(text, image),
        image_beats_relevant_text=_beats_relevant(image, text),
    )


def overlap(
    text_scores: np.ndarray, image_scores: np.ndarray, *, bins: int | np.ndarray = 100
) -> float:
    """Overlap of the histograms of two samples: sum over bins of the smaller fraction.

    In [0, 1]; larger = more alike. Wide bins raise it, small samples lower it: compare at equal
    bins and sizes. Inman and Bradley, Communications in Statistics 1989.

    >>> overlap(np.array([0.0, 1.0]), np.array([1.0, 2.0]), bins=2)
    0.5
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    edges = _shared_bins(text, image, bins)
    fractions = [np.histogram(sample, edges)[0] / sample.size for sample in (text, image)]
    return float(np.minimum(*fractions).sum())


def ks_distance(text_scores: np.ndarray, image_scores: np.ndarray) -> float:
    """Kolmogorov-Smirnov statistic: largest difference between the cumulative fractions.

    In [0, 1]; larger = further apart, 1 = a threshold separates them. Blind to how far apart.
    Unchanged by any increasing map.

    >>> ks_distance(np.array([0.5, 0.6]), np.array([0.1, 0.5]))
    0.5
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    at = np.concatenate([text, image])
    below = [np.searchsorted(sample, at, side="right") / sample.size for sample in (text, image)]
    return float(np.abs(below[0] - below[1]).max())


def dominance(text_scores: np.ndarray, image_scores: np.ndarray) -> float:
    """Probability that a random text score exceeds a random image score, ties counting one half.

    In [0, 1]; 0.5 = neither is higher. The area under the ROC curve of telling texts from images by
    score (Mann and Whitney 1947). Unchanged by any increasing map.

    >>> dominance(np.array([0.5, 0.6]), np.array([0.1, 0.5]))
    0.875
    """
    text, image = _sample("text", text_scores), _sample("image", image_scores)
    below = np.searchsorted(image, text, side="left").mean()
    not_above = np.searchsorted(image, text, side="right").mean()
    return float((below + not_above) / (2 * image.size))


def dominance_by_query(text_scores: np.ndarray, image_scores: np.ndarray) -> np.ndarray:
    """:func:`dominance` of each query's own scores; NaN where a query lacks texts or images.

    >>> dominance_by_query(np.array([[0.5, 0.6], [0.1, 0.1]]), np.array([[0.1, 0.5], [0.2, 0.3]]))
    array([0.875, 0.   ])
    """
    text, image = two_legs(text_scores, image_scores)
    return np.array(
        [
            np.nan if np.isnan(of_text).all() or np.isnan(of_image).all()
            else dominance(of_text, of_image)
            for of_text, of_image in zip(text.scores, image.scores, strict=True)
        ]
    )  # fmt: skip


def modality_fraction(legs: np.ndarray, leg: str = "text", k: int = 10) -> np.ndarray:
    """Fraction of one modality among the first k hits of each query, shape (n_query,).

    ``legs``, of shape (n_query, depth), names the leg of each hit, best first; an empty string
    marks an empty rank. Compare with the fraction of the modality in the pool. NaN where a query
    has no hit. The order of tied hits is taken as given.

    >>> modality_fraction(np.array([["text", "text", "image"], ["image", "", ""]]), k=2)
    array([1., 0.])
    """
    legs = np.asarray(legs)
    if legs.ndim != 2 or k < 1:
        msg = f"legs must have shape (n_query, depth) and k be >= 1; got {legs.shape} and {k}"
        raise MmgapError(msg)
    top = legs[:, :k]
    filled = (top != "").sum(axis=1)
    fraction = (top == leg).sum(axis=1) / np.maximum(filled, 1)
    return np.where(filled > 0, fraction, np.nan)


@dataclass(frozen=True)
class RankInflation:
    """Ranks of the best relevant document of each query, from 1; NaN where there is none.

    ``own_rank`` is that in the list of its own modality, ``merged_rank`` that in the list of all
    texts and images by raw score.
    """

    own_rank: np.ndarray
    merged_rank: np.ndarray

    @property
    def inflation(self) -> np.ndarray:
        """``merged_rank / own_rank``, at least 1; larger = pushed further down."""
        return self.merged_rank / self.own_rank


def rank_inflation(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
) -> dict[str, RankInflation]:
    """Rank of the best relevant text, and image, with and without the other modality.

    Relevant documents of the other modality are left out of the merged list: they are relevant to
    the query too. Among equal scores the rank is the expected one over all orders: m relevant and t
    other documents put the first relevant one at 1 + t / (m + 1). Grows with the pool; says little
    where the document is far down in its own list already.

    >>> text, image = np.array([[0.8, 0.7, 0.1]]), np.array([[0.3, 0.4]])
    >>> found = rank_inflation(text, image, image_relevant=np.array([[True, False]]))["image"]
    >>> found.own_rank, found.merged_rank, found.inflation
    (array([2.]), array([4.]), array([2.]))
    """
    text, image = two_legs(text_scores, image_scores, text_relevant, image_relevant)
    return {"text": _ranks(text, image), "image": _ranks(image, text)}


@dataclass(frozen=True)
class FirstHit:
    """Probabilities about the first hit of each query; NaN where nothing is relevant.

    ``wrong``: it is not relevant. ``wrong_modality``, in [0, ``wrong``]: it is of the other
    modality; the mean over queries is the wrong-modality error.
    """

    wrong: np.ndarray
    wrong_modality: np.ndarray

    @property
    def fraction_of_errors(self) -> float:
        """Fraction of the wrong first hits that are of the other modality; NaN without any."""
        errors = np.nansum(self.wrong)
        return float(np.nansum(self.wrong_modality) / errors) if errors > 0 else float("nan")


def wrong_modality(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
) -> dict[str, FirstHit]:
    """Probability that the first hit of the merged list is of the wrong modality.

    ``image`` judges the queries for which an image is relevant: a first hit that is a non-relevant
    text is of the wrong modality (relevant ones are left out). Documents tied for the first rank
    are each first with equal probability. UniIR's type-1 error where one modality is relevant (Wei
    et al., ECCV 2024).

    >>> text, image = np.array([[0.5, 0.1]]), np.array([[0.5, 0.5]])
    >>> found = wrong_modality(text, image, image_relevant=np.array([[True, False]]))["image"]
    >>> found.wrong.round(3), found.wrong_modality.round(3), round(found.fraction_of_errors, 3)
    (array([0.667]), array([0.333]), 0.5)
    """
    text, image = two_legs(text_scores, image_scores, text_relevant, image_relevant)
    return {"text": _first_hit(text, image), "image": _first_hit(image, text)}


class LegScores:
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

    def of_relevant(self) -> np.ndarray:
        """Scores of the relevant documents, NaN elsewhere; all NaN where none is known."""
        if self.relevant is None:
            return np.full(self.scores.shape, np.nan)
        return np.where(self.relevant, self.scores, np.nan)

    def of_others(self) -> np.ndarray:
        """Scores of the non-relevant documents, NaN elsewhere."""
        if self.relevant is None:
            return self.scores
        return np.where(self.relevant, np.nan, self.scores)


def two_legs(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
) -> tuple[LegScores, LegScores]:
    """Both legs, checked to hold the same queries."""
    text = LegScores("text", text_scores, text_relevant)
    image = LegScores("image", image_scores, image_relevant)
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


def _describe(sample: np.ndarray, edges: np.ndarray) -> ScoreSample:
    return ScoreSample(
        n=sample.size,
        mean=float(sample.mean()),
        sd=float(sample.std()),
        quantiles=np.quantile(sample, QUANTILES),
        counts=np.histogram(sample, edges)[0],
    )


def _beats_relevant(other: LegScores, own: LegScores) -> float:
    """Mean dominance of one leg's non-relevant documents over the other's relevant ones."""
    found = dominance_by_query(other.of_others(), own.of_relevant())
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def _ranks(own: LegScores, other: LegScores) -> RankInflation:
    relevant = own.of_relevant()
    best = np.fmax.reduce(relevant, axis=1, initial=np.nan)[:, None]
    n_best = (relevant == best).sum(axis=1)
    above = (own.scores > best).sum(axis=1)
    tied = (own.scores == best).sum(axis=1) - n_best
    others = other.of_others()
    merged_above = above + (others > best).sum(axis=1)
    merged_tied = tied + (others == best).sum(axis=1)
    known = ~np.isnan(best[:, 0])
    return RankInflation(
        own_rank=np.where(known, above + 1 + tied / (n_best + 1), np.nan),
        merged_rank=np.where(known, merged_above + 1 + merged_tied / (n_best + 1), np.nan),
    )


def _first_hit(own: LegScores, other: LegScores) -> FirstHit:
    relevant, others = own.of_relevant(), other.of_others()
    largest = [np.fmax.reduce(scores, axis=1, initial=np.nan) for scores in (own.scores, others)]
    first = np.fmax(*largest)[:, None]
    n_right, n_own, n_other = (
        (scores == first).sum(axis=1) for scores in (relevant, own.scores, others)
    )
    n_first = np.maximum(n_own + n_other, 1)
    known = ~np.isnan(relevant).all(axis=1)
    return FirstHit(
        wrong=np.where(known, 1 - n_right / n_first, np.nan),
        wrong_modality=np.where(known, n_other / n_first, np.nan),
    )
