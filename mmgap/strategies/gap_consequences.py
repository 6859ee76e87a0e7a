"""What the gap does to search: the rows of the gap report that come from scores of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmgap import scores
from mmgap.corpus.schema import LEGS
from mmgap.encoders.similarity import similarity
from mmgap.encoders.token_vectors import Embeddings
from mmgap.evaluation import bootstrap_interval
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import merged_text_fraction, relevance
from mmgap.strategies.gap_words import percent, short

Scores = dict[str, np.ndarray]
"""One array of shape (n_query, n_leg) for each leg."""

OTHER = {"text": "image", "image": "text"}

LEAST_LOSS = 0.01
"""A loss that may exceed that of two modalities scored alike by less is not divided into causes."""

TIED = 1e-12  # scores closer than this have no order: rounding decides it

_A = {"text": "a text", "image": "an image"}
_GRID = 1_000
_EXCHANGES = 20

_CAUSES = {
    "offset": "the offset of the two means",
    "spread": "the different spread of the scores",
    "hubness": "hubness, documents that score high for any query",
}


@dataclass(frozen=True)
class Row:
    """One row of the report, in the order of its columns."""

    part: str
    measure: str
    symbol: str
    side: str
    value: float
    ci_low: float
    ci_high: float
    null: float
    n: int
    meaning: str


def consequences(
    vectors: Vectors,
    calibration: Embeddings | None,
    *,
    k: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield the rows of the part ``consequence``, with intervals over queries.

    Parameters
    ----------
    vectors : Vectors
        A direction without any relevant document that counts has no rows.
    calibration : ndarray of shape (n_bank, dim), TokenVectors or None
        Vectors of the queries that the decomposition is fitted on; None = each half of the queries
        is judged with the other half as bank.
    k : int
    n_resamples : int
    rng : numpy.random.Generator
    """
    relevant = relevance(vectors)
    found = {leg: vectors.scores(leg) for leg in LEGS}
    good = {leg: relevant[:, vectors.legs[leg].positions] for leg in LEGS}
    right = {leg: np.where(good[leg], found[leg], np.nan) for leg in LEGS}
    wrong = {leg: np.where(good[leg], np.nan, found[leg]) for leg in LEGS}
    draw = _Bootstrap(n_resamples, rng)
    if calibration is None:
        losses = _cross_fitted(found, good, k, rng)
    else:
        bank = {leg: similarity(calibration, vectors.legs[leg].embeddings) for leg in LEGS}
        losses = _losses(found, good, bank, k)

    for leg in LEGS[::-1]:
        if np.isfinite(right[leg]).any() and np.isfinite(wrong[OTHER[leg]]).any():
            yield _pooled_dominance(right, wrong, leg, draw)
            yield from _dominance_by_query(right, wrong, leg, draw)
    yield _text_share(vectors, k, draw)
    yield from _ranks(found, good, draw)
    yield from _first_hits(found, good, draw)
    if all(np.isfinite(of_leg).any() for of_leg in wrong.values()):
        yield from _distributions(wrong, draw)
    for leg in LEGS[::-1]:
        if leg in losses:
            even = _even_loss(found[leg], good[leg], wrong[OTHER[leg]], k)
            yield from _decomposition(losses[leg], even, draw)


def answered(vectors: Vectors) -> dict[str, int]:
    """Count the queries that have a relevant document that counts, by its leg."""
    relevant = relevance(vectors)
    counts = {}
    for leg in LEGS:
        good = relevant[:, vectors.legs[leg].positions]
        good[vectors.left_out(leg)] = False
        counts[leg] = int(good.any(axis=1).sum())
    return counts


class _Bootstrap:
    """Redraws of queries."""

    def __init__(self, n_resamples: int, rng: np.random.Generator) -> None:
        self.n_resamples = n_resamples
        self.rng = rng
        self._weights: np.ndarray | None = None  # the same draws serve all statistics

    def mean(self, values: np.ndarray) -> tuple[float, float]:
        low, high = bootstrap_interval(values, rng=self.rng, n_resamples=self.n_resamples)
        return float(low), float(high)

    def median(self, values: np.ndarray) -> tuple[float, float]:
        n = len(values)
        drawn = (np.median(values[self.rng.integers(n, size=n)]) for _ in range(self.n_resamples))
        return _ends(np.fromiter(drawn, dtype=np.float64))

    def drawn(self, statistic: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
        """Values of a function of weights (n_draw, n_query), how often each query is drawn."""
        if self._weights is None or self._weights.shape[1] != n:
            drawn_queries = self.rng.integers(n, size=(self.n_resamples, n))
            drawn_queries += n * np.arange(self.n_resamples)[:, None]
            counts = np.bincount(drawn_queries.ravel(), minlength=self.n_resamples * n)
            self._weights = counts.reshape(self.n_resamples, n).astype(np.float64)
        drawn = statistic(self._weights)
        return drawn[np.isfinite(drawn)]

    def of(self, statistic: Callable[[np.ndarray], np.ndarray], n: int) -> tuple[float, float]:
        return _ends(self.drawn(statistic, n))

    def about(
        self, value: float, statistic: Callable[[np.ndarray], np.ndarray], n: int
    ) -> tuple[float, float]:
        """Interval of a distance of distributions, in [0, 1].

        Redrawn queries repeat scores, so that each draw lies too far from equality: the spread of
        the draws is put about the value.
        """
        drawn = self.drawn(statistic, n)
        low, high = _ends(drawn - drawn.mean() + value)
        return max(0.0, low), min(1.0, high)


def _ends(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _pooled_dominance(right: Scores, wrong: Scores, leg: str, draw: _Bootstrap) -> Row:
    rivals_of_all = wrong[OTHER[leg]]
    value = scores.dominance(rivals_of_all, right[leg])
    there = np.isfinite(wrong[leg]).any()
    own = scores.dominance(wrong[leg], right[leg]) if there else np.nan
    n_query = len(rivals_of_all)
    query, _ = at = np.nonzero(np.isfinite(right[leg]))
    relevant = right[leg][at].astype(np.float64)
    n_wrong = np.isfinite(rivals_of_all).sum(axis=1)
    # wins[i, j]: pairs of a wrong score of query i and a relevant one of query j that it exceeds.
    wins = np.empty((n_query, n_query))
    for row, rivals in enumerate(rivals_of_all.astype(np.float64)):
        rivals = np.sort(rivals)[: n_wrong[row]]
        below = np.searchsorted(rivals, relevant, side="left")
        not_above = np.searchsorted(rivals, relevant, side="right")
        beaten = n_wrong[row] - (below + not_above) / 2
        wins[row] = np.bincount(query, weights=beaten, minlength=n_query)
    n_relevant = np.bincount(query, minlength=n_query)

    def drawn(weights: np.ndarray) -> np.ndarray:
        won = ((weights @ wins) * weights).sum(axis=1)
        return won / ((weights @ n_wrong) * (weights @ n_relevant))

    low, high = draw.of(drawn, n_query)
    return Row(
        "consequence", "dominance", f"P({OTHER[leg]} > right {leg})", leg, value, low, high, own,
        len(np.unique(query)),
        f"all queries pooled, a random {OTHER[leg]} that does not answer scores above the {leg} "
        f"that does in {percent(value)} of pairs; {_A[leg]} that does not answer, in "
        f"{percent(own)}",
    )  # fmt: skip


def _dominance_by_query(right: Scores, wrong: Scores, leg: str, draw: _Bootstrap) -> Iterator[Row]:
    chance = _known(scores.dominance_by_query(wrong[OTHER[leg]], right[leg]))
    if not len(chance):  # no query has both
        return
    of_own = _known(scores.dominance_by_query(wrong[leg], right[leg]))
    own = float(of_own.mean()) if len(of_own) else np.nan
    value = float(chance.mean())
    yield Row(
        "consequence", "dominance_by_query", "same, within a query", leg, value, *draw.mean(chance),
        own, len(chance),
        f"within one query, as a ranking compares, {_A[OTHER[leg]]} that does not answer scores "
        f"above the {leg} that does in {percent(value)} of pairs; {_A[leg]} that does not answer, "
        f"in {percent(own)}",
    )  # fmt: skip


def _text_share(vectors: Vectors, k: int, draw: _Bootstrap) -> Row:
    share = _known(merged_text_fraction(vectors, k))
    value = float(share.mean())
    count = {
        leg: len(vectors.queries) * len(vectors.legs[leg].positions) - len(vectors.left_out(leg)[0])
        for leg in LEGS
    }
    in_pool = count["text"] / sum(count.values())
    return Row(
        "consequence", "text_share", f"text share@{k}", "both", value, *draw.mean(share), in_pool,
        len(share),
        f"{percent(value)} of the first {k} hits are texts, in an index of which texts are "
        f"{percent(in_pool)}",
    )  # fmt: skip


def _ranks(found: Scores, good: Scores, draw: _Bootstrap) -> Iterator[Row]:
    by_leg = scores.rank_inflation(found["text"], found["image"], good["text"], good["image"])
    for leg in LEGS[::-1]:
        ranks = by_leg[leg]
        own, merged = _known(ranks.own_rank), _known(ranks.merged_rank)
        if not len(own):
            continue
        n_own, n_other = (np.isfinite(found[side]).sum(axis=1).mean() for side in (leg, OTHER[leg]))
        # Scored alike, the other modality lengthens the list evenly.
        even = 1 + n_other / n_own
        times = _known(ranks.inflation)
        value = float(np.median(times))
        yield Row(
            "consequence", "own_rank", "own rank", leg, float(np.median(own)), *draw.median(own),
            np.nan, len(own),
            f"the {leg} that answers has median rank {short(float(np.median(own)))} among the "
            f"{leg}s",
        )  # fmt: skip
        yield Row(
            "consequence", "merged_rank", "merged rank", leg, float(np.median(merged)),
            *draw.median(merged), np.nan, len(merged),
            f"merged by raw score with the {OTHER[leg]}s, it has median rank "
            f"{short(float(np.median(merged)))}",
        )  # fmt: skip
        yield Row(
            "consequence", "rank_inflation", "rank inflation", leg, value, *draw.median(times),
            even, len(times),
            f"the {OTHER[leg]}s put the {leg} that answers {short(value)} times as far down as the "
            f"{leg}s alone do, in the median; {short(even)} times if both were scored alike",
        )  # fmt: skip


def _first_hits(found: Scores, good: Scores, draw: _Bootstrap) -> Iterator[Row]:
    by_leg = scores.wrong_modality(found["text"], found["image"], good["text"], good["image"])
    for leg in LEGS[::-1]:
        first = by_leg[leg]
        chance = _known(first.wrong_modality)
        if not len(chance):
            continue
        value = float(chance.mean())
        errors = first.fraction_of_errors
        of_all = "" if np.isnan(errors) else f"; that is {percent(errors)} of all wrong first hits"
        yield Row(
            "consequence", "wrong_modality", "wrong modality@1", leg, value, *draw.mean(chance),
            np.nan, len(chance),
            f"{_A[OTHER[leg]]} that does not answer comes first in {percent(value)} of the queries "
            f"that {_A[leg]} answers{of_all}",
        )  # fmt: skip


def _distributions(wrong: Scores, draw: _Bootstrap) -> Iterator[Row]:
    """KS distance and overlap of what texts and images that do not answer score."""
    text, image = wrong["text"], wrong["image"]
    n = len(text)
    ks, shared = scores.ks_distance(text, image), scores.overlap(text, image)
    both = [side[np.isfinite(side)] for side in (text, image)]
    ends = min(map(np.min, both)), max(map(np.max, both))
    # Ten of these bins are one of the hundred of the overlap.
    edges = np.linspace(*ends, _GRID + 1)
    counts = [
        np.stack([np.histogram(row[np.isfinite(row)], edges)[0] for row in side]).astype(float)
        for side in (text, image)
    ]

    def ks_of(weights: np.ndarray) -> np.ndarray:
        return _ks([weights @ side for side in counts])

    def overlap_of(weights: np.ndarray) -> np.ndarray:
        return _overlap([weights @ side for side in counts])

    alike = _exchanged(text, image, edges, draw.rng.spawn(1)[0])
    ks_null, overlap_null = (
        float(np.mean([statistic(pair) for pair in alike])) for statistic in (_ks, _overlap)
    )
    yield Row(
        "consequence", "ks", "KS", "both", ks, *draw.about(ks, ks_of, n), ks_null, n,
        "at the best threshold, the shares of texts and of images that do not answer and score "
        f"above it differ by {percent(ks)}; {percent(ks_null)} if both were scored alike",
    )  # fmt: skip
    yield Row(
        "consequence", "overlap", "overlap", "both", shared, *draw.about(shared, overlap_of, n),
        overlap_null, n,
        f"the histograms of the two modalities share {percent(shared)} of their area; "
        f"{percent(overlap_null)} if both were scored alike",
    )  # fmt: skip


def _ks(counts: Sequence[np.ndarray]) -> np.ndarray:
    one, other = (side.cumsum(axis=-1) / side.sum(axis=-1, keepdims=True) for side in counts)
    return np.abs(one - other).max(axis=-1)


def _overlap(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Area that two histograms have in common, by the hundredth of the range."""
    one, other = (
        (side / side.sum(axis=-1, keepdims=True)).reshape(*side.shape[:-1], 100, -1).sum(axis=-1)
        for side in counts
    )
    return np.minimum(one, other).sum(axis=-1)


def _exchanged(
    text: np.ndarray, image: np.ndarray, edges: np.ndarray, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Histograms of two random groups of columns, as many as there are texts and images."""
    both = np.concatenate([text, image], axis=1)
    place = np.clip(np.searchsorted(edges, both, side="right") - 1, 0, _GRID - 1)
    place[np.isnan(both)] = _GRID
    of_all = np.bincount(place.ravel(), minlength=_GRID + 1)[:_GRID]
    drawn = []
    for _ in range(_EXCHANGES):
        some = rng.permutation(both.shape[1])[: text.shape[1]]
        of_some = np.bincount(place[:, some].ravel(), minlength=_GRID + 1)[:_GRID]
        drawn.append([of_some.astype(float), (of_all - of_some).astype(float)])
    return drawn


def _losses(found: Scores, good: Scores, bank: Scores, k: int) -> dict[str, scores.MergeLoss]:
    any_right = any(np.isfinite(found[leg][good[leg]]).any() for leg in LEGS)
    if not any_right or not all(np.isfinite(bank[leg]).any(axis=0).all() for leg in LEGS):
        return {}
    return scores.decompose_merge_loss(
        found["text"],
        found["image"],
        good["text"],
        good["image"],
        reference_text_scores=bank["text"],
        reference_image_scores=bank["image"],
        k=k,
    )


def _cross_fitted(
    found: Scores, good: Scores, k: int, rng: np.random.Generator
) -> dict[str, scores.MergeLoss]:
    """Judge each random half of the queries with the other half as bank."""
    order = rng.permutation(len(found["text"]))
    halves = np.array_split(order, 2)
    if not len(halves[1]):
        return {}
    parts = [
        _losses(
            {leg: found[leg][judged] for leg in LEGS},
            {leg: good[leg][judged] for leg in LEGS},
            {leg: found[leg][others] for leg in LEGS},
            k,
        )
        for judged, others in (halves, halves[::-1])
    ]
    together = {}
    for leg in LEGS[::-1]:
        of_leg = [part[leg] for part in parts if leg in part]
        if of_leg:
            together[leg] = scores.MergeLoss(
                leg,
                k,
                np.concatenate([loss.ceiling for loss in of_leg]),
                {
                    removed: np.concatenate([loss.recall[removed] for loss in of_leg])
                    for removed in of_leg[0].recall
                },
            )
    return together


def _even_loss(found: np.ndarray, good: np.ndarray, rivals: np.ndarray, k: int) -> float:
    """Recall@k that a merge loses where both modalities are scored alike, as the list is longer.

    If the rivals stand at random among the documents of the leg, its r-th document is among the
    first k of both where these hold at least r of the leg: a hypergeometric probability.
    """
    losses = []
    n_rival = np.isfinite(rivals).sum(axis=1)
    for scores_, relevant, n_other in zip(found.astype(np.float64), good, n_rival, strict=True):
        ranked = np.sort(scores_[np.isfinite(scores_)])
        own = scores_[relevant & np.isfinite(scores_)]
        if not len(own):
            continue
        above = len(ranked) - np.searchsorted(ranked, own + TIED, side="right")
        not_below = len(ranked) - np.searchsorted(ranked, own - TIED, side="left")
        n, depth = len(ranked), min(k, len(ranked) + n_other)
        rank = np.arange(1, n + 1)
        lost = (rank <= k) - stats.hypergeom.sf(rank - 1, n + n_other, n, depth)
        total = np.concatenate([[0.0], np.cumsum(lost)])
        losses.append(np.mean((total[not_below] - total[above]) / (not_below - above)))
    return float(np.mean(losses))


def _decomposition(loss: scores.MergeLoss, even: float, draw: _Bootstrap) -> Iterator[Row]:
    table = loss.to_frame(rng=draw.rng, n_resamples=draw.n_resamples)
    found = {(row["measure"], row["cause"]): row for row in table.to_dict("records")}
    ceiling, merged = (found["recall", name]["value"] for name in ("ceiling", "raw merge"))
    lost = found["part", "loss"]
    yield Row(
        "consequence", "merge_loss", f"recall@{loss.k} lost", loss.leg, lost["value"],
        lost["ci_low"], lost["ci_high"], even, lost["n"],
        f"merging by raw score takes recall@{loss.k} of the {loss.leg}s that answer from "
        f"{short(ceiling)} to {short(merged)}; {short(ceiling - even)} if both were scored alike",
    )  # fmt: skip
    for cause in (*scores.CAUSES, "unexplained"):
        share = found["fraction of loss", cause]
        value, low, high = share["value"], share["ci_low"], share["ci_high"]
        if lost["ci_low"] < even + LEAST_LOSS:  # a share of next to nothing
            value = low = high = np.nan
            words = (
                f"no share, since the loss may be less than {percent(LEAST_LOSS)} above that of "
                "two modalities scored alike"
            )
        elif cause == "unexplained":
            words = f"{percent(value)} of that loss stays when all three are removed"
        else:
            alone = found["won alone", cause]["value"]
            words = (
                f"{percent(value)} of that loss is due to {_CAUSES[cause]}; removing it alone wins "
                f"back {short(alone)}"
            )
        yield Row(
            "consequence", f"loss_share_{cause}", f"lost to {cause}", loss.leg, value, low, high,
            np.nan, share["n"], words,
        )  # fmt: skip


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
