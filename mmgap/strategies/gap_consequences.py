"""What the gap does to search: the rows of the gap report that come from scores of queries.

Scores and relevance are computed once, by :func:`consequences`, and passed down as one array of
shape (n_query, n_leg) for each leg. Each text and each image is a hit of its own. Intervals are
over queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mmgap import scores
from mmgap.corpus.schema import LEGS
from mmgap.encoders.vectors import Embeddings, similarity
from mmgap.evaluation import bootstrap_interval
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import merged_text_fraction, relevance

Scores = dict[str, np.ndarray]
"""One array of shape (n_query, n_leg) for each leg."""

OTHER = {"text": "image", "image": "text"}

LEAST_LOSS = 0.01
"""A loss that may exceed that of two modalities scored alike by less is not divided into causes."""

_TIED = 1e-12  # scores closer than this have no order: rounding decides it
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


def short(value: float) -> str:
    """Write a number with as many digits as a sentence needs.

    >>> short(0.8513), short(298.02), short(0.0123), short(1.0)
    ('0.85', '298', '0.012', '1')
    """
    if abs(value) >= 10 or value == np.rint(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def percent(fraction: float) -> str:
    """Write a fraction in percent.

    >>> percent(0.964), percent(1.0)
    ('96.4 %', '100.0 %')
    """
    return f"{100 * fraction:.1f} %"


def consequences(
    vectors: Vectors,
    calibration: Embeddings | None,
    *,
    k: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[list[Row], dict[str, int]]:
    """Return the rows of the part ``consequence``, and how many queries each leg has relevant hits.

    The decomposition is fitted on the query vectors ``calibration``; None = each half of the
    queries is judged with the other half as reference. A direction without any relevant document
    that counts has no rows.
    """
    relevant = relevance(vectors)
    found = {leg: vectors.scores(leg) for leg in LEGS}
    good = {leg: relevant[:, vectors.legs[leg].positions] & ~np.isnan(found[leg]) for leg in LEGS}
    n_answered = {leg: int(good[leg].any(axis=1).sum()) for leg in LEGS}
    hits = {leg: np.where(good[leg], found[leg], np.nan) for leg in LEGS}
    others = {leg: np.where(good[leg], np.nan, found[leg]) for leg in LEGS}
    draw = _Bootstrap(n_resamples, rng)
    if calibration is None:
        losses = _cross_fitted(found, good, k, rng)
    else:
        reference = {leg: similarity(calibration, vectors.legs[leg].embeddings) for leg in LEGS}
        losses = _losses(found, good, reference, k)

    rows: list[Row] = []
    for leg in LEGS[::-1]:
        if n_answered[leg] and np.isfinite(others[OTHER[leg]]).any():
            rows.append(_pooled_dominance(hits, others, leg, draw))
            rows += _dominance_by_query(hits, others, leg, draw)
    rows.append(_text_fraction(vectors, found, k, draw))
    rows += _ranks(found, good, draw)
    rows += _first_hits(found, good, draw)
    if all(np.isfinite(of_leg).any() for of_leg in others.values()):
        rows += _distributions(others, draw)
    for leg in LEGS[::-1]:
        if leg in losses:
            even = _even_loss(found[leg], good[leg], others[OTHER[leg]], k)
            rows += _decomposition(losses[leg], even, draw)
    return rows, n_answered


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
        if self._weights is None:
            drawn_queries = self.rng.integers(n, size=(self.n_resamples, n))
            drawn_queries += n * np.arange(self.n_resamples)[:, None]
            counts = np.bincount(drawn_queries.ravel(), minlength=self.n_resamples * n)
            self._weights = counts.reshape(self.n_resamples, n).astype(np.float64)
        drawn = statistic(self._weights)
        return drawn[np.isfinite(drawn)]

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


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _row(
    measure: str,
    symbol: str,
    side: str,
    value: float,
    ends: tuple[float, float],
    null: float,
    n: int,
    meaning: str,
) -> Row:
    return Row("consequence", measure, symbol, side, value, *ends, null, n, meaning)


def _pooled_dominance(hits: Scores, others: Scores, leg: str, draw: _Bootstrap) -> Row:
    rivals = others[OTHER[leg]]
    value = scores.dominance(rivals, hits[leg])
    own = scores.dominance(others[leg], hits[leg]) if np.isfinite(others[leg]).any() else np.nan
    n_query = len(rivals)
    query, _ = at = np.nonzero(np.isfinite(hits[leg]))
    relevant = hits[leg][at].astype(np.float64)
    n_rival = np.isfinite(rivals).sum(axis=1)
    # wins[i, j]: pairs of a rival of query i and a relevant score of query j that it exceeds.
    wins = np.empty((n_query, n_query))
    for row, of_query in enumerate(rivals.astype(np.float64)):
        ranked = np.sort(of_query)[: n_rival[row]]
        below = np.searchsorted(ranked, relevant, side="left")
        not_above = np.searchsorted(ranked, relevant, side="right")
        beaten = n_rival[row] - (below + not_above) / 2
        wins[row] = np.bincount(query, weights=beaten, minlength=n_query)
    n_relevant = np.bincount(query, minlength=n_query)

    def of_draws(weights: np.ndarray) -> np.ndarray:
        won = ((weights @ wins) * weights).sum(axis=1)
        with np.errstate(invalid="ignore"):  # a draw without any relevant document
            return won / ((weights @ n_rival) * (weights @ n_relevant))

    return _row(
        "dominance", f"P({OTHER[leg]} > relevant {leg})", leg, value,
        _ends(draw.drawn(of_draws, n_query)), own, len(np.unique(query)),
        f"all queries pooled, a random non-relevant {OTHER[leg]} scores above a relevant {leg} in "
        f"{percent(value)} of pairs{_as_own(leg, own)}",
    )  # fmt: skip


def _dominance_by_query(hits: Scores, others: Scores, leg: str, draw: _Bootstrap) -> Iterator[Row]:
    of_query = _known(scores.dominance_by_query(others[OTHER[leg]], hits[leg]))
    if not len(of_query):  # no query has both
        return
    of_own = _known(scores.dominance_by_query(others[leg], hits[leg]))
    own = float(of_own.mean()) if len(of_own) else np.nan
    value = float(of_query.mean())
    yield _row(
        "dominance_by_query", "same, within a query", leg, value, draw.mean(of_query), own,
        len(of_query),
        f"within one query, as a ranking compares, a non-relevant {OTHER[leg]} scores above a "
        f"relevant {leg} in {percent(value)} of pairs{_as_own(leg, own)}",
    )  # fmt: skip


def _as_own(leg: str, own: float) -> str:
    return "" if np.isnan(own) else f"; a non-relevant {leg} does in {percent(own)}"


def _text_fraction(vectors: Vectors, found: Scores, k: int, draw: _Bootstrap) -> Row:
    fraction = _known(merged_text_fraction(vectors, k, found))
    value = float(fraction.mean())
    count = {leg: int(np.count_nonzero(~np.isnan(found[leg]))) for leg in LEGS}
    in_pool = count["text"] / sum(count.values())
    return _row(
        "text_fraction", f"text fraction@{k}", "both", value, draw.mean(fraction), in_pool,
        len(fraction),
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
        values = [float(np.median(each)) for each in (own, merged, times)]
        yield _row(
            "own_rank", "own rank", leg, values[0], draw.median(own), np.nan, len(own),
            f"the first relevant {leg} has median rank {short(values[0])} among the {leg}s",
        )  # fmt: skip
        yield _row(
            "merged_rank", "merged rank", leg, values[1], draw.median(merged), np.nan, len(merged),
            f"merged by raw score with the {OTHER[leg]}s, it has median rank {short(values[1])}",
        )  # fmt: skip
        yield _row(
            "rank_inflation", "rank inflation", leg, values[2], draw.median(times), even,
            len(times),
            f"the {OTHER[leg]}s put the relevant {leg} {short(values[2])} times as far down as the "
            f"{leg}s alone do, in the median; {short(even)} times if both were scored alike",
        )  # fmt: skip


def _first_hits(found: Scores, good: Scores, draw: _Bootstrap) -> Iterator[Row]:
    by_leg = scores.wrong_modality(found["text"], found["image"], good["text"], good["image"])
    for leg in LEGS[::-1]:
        wrong = _known(by_leg[leg].wrong_modality)
        if not len(wrong):
            continue
        value = float(wrong.mean())
        errors = by_leg[leg].fraction_of_errors
        of_all = "" if np.isnan(errors) else f"; that is {percent(errors)} of all wrong first hits"
        yield _row(
            "wrong_modality", "wrong modality@1", leg, value, draw.mean(wrong), np.nan, len(wrong),
            f"a non-relevant {OTHER[leg]} comes first in {percent(value)} of the queries with a "
            f"relevant {leg}{of_all}",
        )  # fmt: skip


def _distributions(others: Scores, draw: _Bootstrap) -> Iterator[Row]:
    """KS distance and overlap of what non-relevant texts and images score."""
    text, image = others["text"], others["image"]
    n = len(text)
    ks, shared = scores.ks_distance(text, image), scores.overlap(text, image)
    both = [_known(side) for side in (text, image)]
    ends = min(map(np.min, both)), max(map(np.max, both))
    # Ten of these bins are one of the hundred of the overlap.
    edges = np.linspace(*ends, _GRID + 1)
    counts = [
        np.stack([np.histogram(_known(row), edges)[0] for row in side]).astype(float)
        for side in (text, image)
    ]
    alike = _exchanged(text, image, edges, draw.rng.spawn(1)[0])
    ks_null, overlap_null = (
        float(np.mean([statistic(pair) for pair in alike])) for statistic in (_ks, _overlap)
    )
    yield _row(
        "ks", "KS", "both", ks,
        draw.about(ks, lambda weights: _ks([weights @ side for side in counts]), n), ks_null, n,
        "at the best threshold, the fractions of non-relevant texts and images above it differ by "
        f"{percent(ks)}; {percent(ks_null)} if both were scored alike",
    )  # fmt: skip
    yield _row(
        "overlap", "overlap", "both", shared,
        draw.about(shared, lambda weights: _overlap([weights @ side for side in counts]), n),
        overlap_null, n,
        f"the histograms of non-relevant texts and images share {percent(shared)} of their area; "
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


def _losses(found: Scores, good: Scores, reference: Scores, k: int) -> dict[str, scores.MergeLoss]:
    any_hit = any(np.isfinite(found[leg][good[leg]]).any() for leg in LEGS)
    if not any_hit or not all(np.isfinite(reference[leg]).any(axis=0).all() for leg in LEGS):
        return {}
    return scores.decompose_merge_loss(
        found["text"],
        found["image"],
        good["text"],
        good["image"],
        reference_text_scores=reference["text"],
        reference_image_scores=reference["image"],
        k=k,
    )


def _cross_fitted(
    found: Scores, good: Scores, k: int, rng: np.random.Generator
) -> dict[str, scores.MergeLoss]:
    """Judge each random half of the queries with the other half as reference."""
    halves = np.array_split(rng.permutation(len(found["text"])), 2)
    if not len(halves[1]):
        return {}
    parts = [
        _losses(
            {leg: found[leg][judged] for leg in LEGS},
            {leg: good[leg][judged] for leg in LEGS},
            {leg: found[leg][rest] for leg in LEGS},
            k,
        )
        for judged, rest in (halves, halves[::-1])
    ]
    together = {}
    for leg in LEGS[::-1]:
        of_leg = [part[leg] for part in parts if leg in part]
        if of_leg:
            recall = {
                removed: np.concatenate([loss.recall[removed] for loss in of_leg])
                for removed in of_leg[0].recall
            }
            ceiling = np.concatenate([loss.ceiling for loss in of_leg])
            together[leg] = scores.MergeLoss(leg, k, ceiling, recall)
    return together


def _even_loss(found: np.ndarray, good: np.ndarray, rivals: np.ndarray, k: int) -> float:
    """Recall@k that a merge loses where both modalities are scored alike, as the list is longer.

    With a of the m other documents of the leg above a relevant one, the number of rivals above it
    is beta-binomial with a + 1/2 and m - a + 1/2 (Jeffreys prior). On CLIP and COCO, one half of
    the images as rivals of the other, recall@10 falls from .945 to .861; this says .860.
    """
    losses = []
    lost_up_to: dict[tuple[int, int], np.ndarray] = {}
    n_rival = np.isfinite(rivals).sum(axis=1)
    for of_query, relevant, n_other in zip(found.astype(np.float64), good, n_rival, strict=True):
        ranked = np.sort(_known(of_query))
        own = of_query[relevant & np.isfinite(of_query)]
        if not len(own):
            continue
        above = len(ranked) - np.searchsorted(ranked, own + _TIED, side="right")
        not_below = len(ranked) - np.searchsorted(ranked, own - _TIED, side="left")
        sizes = len(ranked), int(n_other)
        if sizes not in lost_up_to:
            n = len(ranked)
            top = np.arange(1, min(k, n) + 1)
            lost = np.zeros(n)
            lost[:k] = 1 - stats.betabinom.cdf(k - top, n_other, top - 0.5, n - top + 0.5)
            lost_up_to[sizes] = np.concatenate([[0.0], np.cumsum(lost)])
        total = lost_up_to[sizes]
        losses.append(np.mean((total[not_below] - total[above]) / (not_below - above)))
    return float(np.mean(losses))


def _decomposition(loss: scores.MergeLoss, even: float, draw: _Bootstrap) -> Iterator[Row]:
    table = loss.to_frame(rng=draw.rng, n_resamples=draw.n_resamples)
    found = {(row["measure"], row["cause"]): row for row in table.to_dict("records")}
    ceiling, merged = (found["recall", name]["value"] for name in ("ceiling", "raw merge"))
    lost = found["part", "loss"]
    yield _row(
        "merge_loss", f"recall@{loss.k} lost", loss.leg, lost["value"],
        (lost["ci_low"], lost["ci_high"]), even, lost["n"],
        f"merging by raw score takes recall@{loss.k} of relevant {loss.leg}s from "
        f"{short(ceiling)} to {short(merged)}; {short(ceiling - even)} if both were scored alike",
    )  # fmt: skip
    for cause in (*scores.CAUSES, "unexplained"):
        part = found["fraction of loss", cause]
        value, ends = part["value"], (part["ci_low"], part["ci_high"])
        if lost["ci_low"] < even + LEAST_LOSS:  # a fraction of next to nothing
            value, ends = np.nan, (np.nan, np.nan)
            words = (
                f"no fraction, since the loss may be less than {percent(LEAST_LOSS)} above that "
                "of two modalities scored alike"
            )
        elif cause == "unexplained":
            words = f"{percent(value)} of that loss remains when all three are removed"
        else:
            alone = found["won alone", cause]["value"]
            words = (
                f"{percent(value)} of that loss is due to {_CAUSES[cause]}; removing it alone wins "
                f"back {short(alone)}"
            )
        yield _row(
            f"loss_fraction_{cause}", f"lost to {cause}", loss.leg, value, ends, np.nan, part["n"],
            words,
        )  # fmt: skip
