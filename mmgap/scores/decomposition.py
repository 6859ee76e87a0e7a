"""How much of what a merge loses is due to offset, to spread and to hubness of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.scores.distributions import LegScores, two_legs

if TYPE_CHECKING:
    import pandas as pd

CAUSES = ("offset", "spread", "hubness")
"""What :func:`decompose_merge_loss` removes."""

_SETS = tuple(chosen for size in range(4) for chosen in combinations(CAUSES, size))
_TIED = 1e-12  # scores closer than this have no order: rounding decides it


@dataclass(frozen=True)
class MergeLoss:
    """Recall lost by merging raw scores, over the queries for which one modality is relevant.

    ``leg`` is the modality whose documents are relevant. Arrays have one value a query: ``ceiling``
    is recall@k in that modality's list alone, ``recall`` that of the merged list after the named
    causes are removed, in the order of :data:`CAUSES`; ``()`` is the raw merge.
    """

    leg: str
    k: int
    ceiling: np.ndarray
    recall: Mapping[tuple[str, ...], np.ndarray]

    @property
    def loss(self) -> np.ndarray:
        """``ceiling`` minus the recall of the raw merge."""
        return self.ceiling - self.recall[()]

    def removed_alone(self, cause: str) -> np.ndarray:
        """Recall won by removing one cause and nothing else."""
        return self.recall[(cause,)] - self.recall[()]

    def in_order(self, order: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Recall won by each cause when they are removed one after the other in this order."""
        won = {}
        for at, cause in enumerate(order):
            before, after = _named(order[:at]), _named(order[: at + 1])
            won[cause] = self.recall[after] - self.recall[before]
        return won

    def parts(self) -> dict[str, np.ndarray]:
        """Split the loss of each query.

        For each cause what removing it wins, as a mean over all six orders (its Shapley value),
        and ``unexplained``, what is lost with all three removed. They sum to :attr:`loss`. A part
        below 0 means that removing the cause costs recall.
        """
        orders = [self.in_order(order) for order in permutations(CAUSES)]
        parts = {cause: np.mean([won[cause] for won in orders], axis=0) for cause in CAUSES}
        return parts | {"unexplained": self.ceiling - self.recall[CAUSES]}

    def to_frame(
        self,
        *,
        rng: np.random.Generator | None = None,
        level: float = 0.95,
        n_resamples: int = 2000,
    ) -> pd.DataFrame:
        """Tidy table with percentile bootstrap intervals over queries.

        Columns ``leg``, ``cause``, ``measure``, ``value``, ``ci_low``, ``ci_high``, ``n``. The
        measures ``recall`` (of the ceiling, the raw merge and each set removed), ``won alone`` and
        ``part`` are in units of recall; ``fraction of loss`` is a part over the loss, NaN where
        nothing is lost; where more than a few resamples lose nothing its interval is not to be
        trusted: look at the parts instead.
        """
        import pandas as pd

        recall = {"ceiling": self.ceiling}
        recall |= {" + ".join(chosen) or "raw merge": self.recall[chosen] for chosen in _SETS}
        columns = [(name, "recall", values) for name, values in recall.items()]
        columns += [(cause, "won alone", self.removed_alone(cause)) for cause in CAUSES]
        columns += [("loss", "part", self.loss)]
        columns += [(cause, "part", values) for cause, values in self.parts().items()]
        names = [(cause, measure) for cause, measure, _ in columns]
        values = np.stack([values for *_, values in columns], axis=1)
        means = _resampled(values, rng or np.random.default_rng(0), n_resamples)
        # The first row is the sample itself.
        means = np.concatenate([values.mean(axis=0, keepdims=True), means])
        at = names.index(("loss", "part"))
        # Parts of recalls are multiples of 1/60 of a query or more: less is rounding.
        loss = np.where(np.abs(means[:, at]) > 1e-9, means[:, at], np.nan)
        means = np.concatenate([means, means[:, at + 1 :] / loss[:, None]], axis=1)
        names += [(cause, "fraction of loss") for cause, _ in names[at + 1 :]]
        bounds = np.full((2, len(names)), np.nan)
        some = np.isfinite(means[1:]).any(axis=0)
        ends = [(1 - level) / 2, (1 + level) / 2]
        bounds[:, some] = np.nanquantile(means[1:, some], ends, axis=0)
        return pd.DataFrame(
            {
                "leg": self.leg,
                "cause": [cause for cause, _ in names],
                "measure": [measure for _, measure in names],
                "value": means[0],
                "ci_low": bounds[0],
                "ci_high": bounds[1],
                "n": len(values),
            }
        )


def decompose_merge_loss(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
    *,
    reference_text_scores: np.ndarray,
    reference_image_scores: np.ndarray,
    k: int = 1,
    n_neighbours: int = 16,
) -> dict[str, MergeLoss]:
    """Remove offset, spread and hubness from the scores, each in turn, and see what recall returns.

    Arrays as in :mod:`mmgap.scores.distributions`; the reference scores are those of calibration
    queries with the same documents. All that is removed is estimated from them, without judgments,
    never from the queries that are judged. One :class:`MergeLoss` for each relevant modality
    queries; relevant documents of the other one are left out of the merged list. With mean m and
    standard deviation s of a modality's reference scores:

    * offset removed: its scores are shifted by (mean of both m) - m;
    * spread removed: its scores are scaled about m by r / s, r the root mean square of both s;
    * hubness removed: each document's score is lowered by the mean of its ``n_neighbours`` largest
      reference scores, minus the mean of that over the modality, so that m stays: NNN (Chowdhury et
      al., EMNLP 2024) with alpha 1, centred within each modality.

    Where several are removed, hubness goes first and s is that of the corrected scores. Recall is
    the expected one over orders of tied scores (closer than 1e-12). A large part of the offset says
    that subtracting two means would do, a large part of the spread that it would not. What is
    unexplained is lost to documents of the other modality that rank higher even on a common scale;
    it can be negative, because removing hubness can lift recall above the ceiling. Parts are exact
    accounts of this sequence of maps, not of causes in the encoder.

    Texts score 99 higher than images, and nothing else differs: the offset loses everything.

    >>> rng = np.random.default_rng(0)
    >>> reference, scores = rng.normal(size=(50, 20)), rng.normal(size=(20, 20))
    >>> relevant = np.eye(20)
    >>> image = scores + 9 * relevant
    >>> losses = decompose_merge_loss(
    ...     scores + 99, image, image_relevant=relevant, reference_text_scores=reference + 99,
    ...     reference_image_scores=reference,
    ... )
    >>> {cause: float(part.mean().round(3)) for cause, part in losses["image"].parts().items()}
    {'offset': 1.0, 'spread': 0.0, 'hubness': 0.0, 'unexplained': 0.0}
    """
    if k < 1 or n_neighbours < 1:
        msg = f"k and n_neighbours must be at least 1; got {k} and {n_neighbours}"
        raise MmgapError(msg)
    text, image = two_legs(text_scores, image_scores, text_relevant, image_relevant)
    references = two_legs(reference_text_scores, reference_image_scores)
    for leg, reference in zip((text, image), references, strict=True):
        if leg.scores.shape[1] != reference.scores.shape[1]:
            msg = (
                f"reference_{leg.name}_scores {reference.scores.shape} must hold the same "
                f"documents, in the same order, as {leg.name}_scores {leg.scores.shape}"
            )
            raise MmgapError(msg)
    hubness = [_hubness(reference, n_neighbours) for reference in references]
    maps = {chosen: _maps(chosen, references, hubness) for chosen in _SETS}
    found = {}
    for own, other, swap in ((text, image, 1), (image, text, -1)):
        both = {chosen: legs[::swap] for chosen, legs in maps.items()}
        if (loss := _merge_loss(own, other, both, k)) is not None:
            found[own.name] = loss
    if not found:
        msg = (
            "no query has a relevant document with a score; pass text_relevant or image_relevant "
            "as bool arrays of the shape of the scores"
        )
        raise MmgapError(msg)
    return found


@dataclass(frozen=True)
class _Map:
    """``slope * (score - hubness) + shift`` for one modality."""

    hubness: np.ndarray | None
    slope: float
    shift: float


def _hubness(reference: LegScores, n_neighbours: int) -> np.ndarray:
    """Mean of each document's largest reference scores, minus the mean of that; shape (n_doc,)."""
    scores = np.where(np.isnan(reference.scores), -np.inf, reference.scores.astype(np.float64))
    n = min(n_neighbours, len(scores))
    largest = np.partition(scores, len(scores) - n, axis=0)[len(scores) - n :]
    filled = np.isfinite(largest)
    n_filled = filled.sum(axis=0)
    if not n_filled.all():
        msg = (
            f"{reference.name} {int(n_filled.argmin())} has no score in "
            f"reference_{reference.name}_scores; give it one or leave the document out"
        )
        raise MmgapError(msg)
    hubness = np.where(filled, largest, 0).sum(axis=0) / n_filled
    return hubness - hubness.mean()


def _maps(
    chosen: tuple[str, ...], references: tuple[LegScores, LegScores], hubness: list[np.ndarray]
) -> list[_Map]:
    """Map the scores of texts and of images as removing the chosen causes does."""
    removed = hubness if "hubness" in chosen else [None, None]
    scores = [
        reference.scores if hub is None else reference.scores - hub
        for reference, hub in zip(references, removed, strict=True)
    ]
    means = [np.nanmean(reference, dtype=np.float64) for reference in scores]
    sds = [np.nanstd(reference, dtype=np.float64) for reference in scores]
    common_sd = np.sqrt((sds[0] ** 2 + sds[1] ** 2) / 2)
    # Without any spread there is nothing to scale.
    scaled = "spread" in chosen and min(sds) > 0
    slopes = [common_sd / sd if scaled else 1.0 for sd in sds]
    # Spread is removed about the modality's own mean; removing the offset then moves that mean.
    to = [np.mean(means)] * 2 if "offset" in chosen else means
    return [
        _Map(hub, float(slope), float(goal - slope * mean))
        for hub, slope, goal, mean in zip(removed, slopes, to, means, strict=True)
    ]


def _merge_loss(
    own: LegScores, other: LegScores, maps: Mapping[tuple[str, ...], list[_Map]], k: int
) -> MergeLoss | None:
    relevant = own.of_relevant()
    queries = np.flatnonzero(~np.isnan(relevant).all(axis=1))
    if len(queries) == 0:
        return None
    own_scores = own.scores[queries].astype(np.float64)
    others = other.of_others()[queries].astype(np.float64)
    positions = _relevant_positions(~np.isnan(relevant[queries]))
    ceiling = _recall(own_scores, None, positions, [_Map(None, 1, 0)] * 2, k)
    recall = {}
    # Subtracting hubness is the costly part: once for each of the two, not for each of the eight.
    for remove in (False, True):
        chosen_sets = [chosen for chosen in _SETS if ("hubness" in chosen) == remove]
        own_hub, other_hub = (leg.hubness for leg in maps[chosen_sets[0]])
        left = own_scores if own_hub is None else own_scores - own_hub
        right = others if other_hub is None else others - other_hub
        for chosen in chosen_sets:
            recall[chosen] = _recall(left, right, positions, maps[chosen], k)
    return MergeLoss(own.name, k, ceiling, {chosen: recall[chosen] for chosen in _SETS})


def _relevant_positions(relevant: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the relevant documents, one of each query at a time."""
    row, column = np.nonzero(relevant)
    nth = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    return [(row[nth == n], column[nth == n]) for n in range(nth.max() + 1)]


def _recall(
    own: np.ndarray,
    others: np.ndarray | None,
    positions: list[tuple[np.ndarray, np.ndarray]],
    maps: list[_Map],
    k: int,
) -> np.ndarray:
    """Compute recall@k, expected over ties; the maps' hubness is already taken off the scores.

    Both maps ascend, so a mapped score is above a bound where the score itself is above the bound
    mapped back: only the bounds are mapped.
    """
    found = np.zeros(len(own))
    n_relevant = np.zeros(len(own))
    for row, column in positions:
        of_rows = slice(None) if len(row) == len(own) else row
        score = maps[0].slope * own[row, column] + maps[0].shift
        above, not_below = np.zeros(len(row)), np.zeros(len(row))
        for scores, leg in zip((own, others), maps, strict=True):
            if scores is None:
                continue
            high, low = ((score + d - leg.shift) / leg.slope for d in (_TIED, -_TIED))
            above += np.count_nonzero(scores[of_rows] > high[:, None], axis=1)
            not_below += np.count_nonzero(scores[of_rows] >= low[:, None], axis=1)
        # The tied documents, itself among them, fill the positions after those above in any order.
        found[row] += np.clip((k - above) / np.maximum(not_below - above, 1), 0, 1)
        n_relevant[row] += 1
    return found / n_relevant


def _named(causes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cause for cause in CAUSES if cause in causes)


def _resampled(values: np.ndarray, rng: np.random.Generator, n_resamples: int) -> np.ndarray:
    """Means over queries drawn anew: shape (n_resamples, n_column)."""
    n_query = len(values)
    even = np.full(n_query, 1 / n_query)
    per_chunk = max(1, 4_000_000 // n_query)
    return (
        np.concatenate(
            [
                rng.multinomial(n_query, even, size=min(per_chunk, n_resamples - start)) @ values
                for start in range(0, n_resamples, per_chunk)
            ]
        )
        / n_query
    )
