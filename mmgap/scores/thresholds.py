"""Below which score to reject: thresholds for a target, and what they do on other queries.

Scores (or probabilities) of one leg, of shape (n_query, n_doc) or (n_query,), NaN leaving a pair
out, and relevance of the same shape, bools or grades of which 1 and more are relevant. Pairs of at
least the threshold are accepted. Three measures, all in [0, 1]: **precision**, the fraction of the
accepted pairs that are relevant; **false positive rate**, the fraction of the non-relevant pairs
that are accepted; **recall**, the fraction of the relevant pairs that are accepted. The last two
fall as the threshold rises; precision need not rise.

Precision holds only for pools with as many non-relevant documents per query; the false positive
rate does not depend on them. Intervals are percentile bootstraps over whole queries; the pairs of
one query are not independent. An increasing map of the scores maps the threshold along. Targets out
of range, shapes that disagree, infinite scores and pairs of one kind only raise
:class:`~mmgap.errors.MmgapError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betainc
from scipy.stats import beta, binom

from mmgap.errors import MmgapError
from mmgap.scores.pairs import lacking_kind, relevant_pairs

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("precision", "false positive rate", "recall")
"""What :func:`threshold_curve` measures; the first two can be targets."""


@dataclass(frozen=True)
class Threshold:
    """A score below which pairs are rejected; ``value`` None and a ``reason`` where there is none.

    ``low`` and ``high`` are the bootstrap interval of ``value``, ``found`` the fraction of the
    resamples in which a threshold reaches the target (far below 1: ``value`` depends on few
    queries). ``estimate`` is the measure on the calibration pairs, ``bound`` its one-sided
    Clopper-Pearson bound, ``recall`` the fraction of relevant calibration pairs accepted.
    """

    value: float | None
    measure: str
    target: float
    confidence: float
    low: float | None
    high: float | None
    found: float
    estimate: float | None
    bound: float | None
    recall: float | None
    n_accepted: int
    n_pairs: int
    reason: str = ""

    def accept(self, scores: np.ndarray) -> np.ndarray:
        """Whether each score reaches the threshold; NaN does not."""
        if self.value is None:
            msg = f"there is no threshold to apply: {self.reason}"
            raise MmgapError(msg)
        return np.asarray(scores, dtype=np.float64) >= self.value


def find_threshold(
    scores: np.ndarray,
    relevant: np.ndarray,
    *,
    precision: float | None = None,
    false_positive_rate: float | None = None,
    confidence: float = 0.95,
    level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> Threshold:
    """Smallest score from which on a leg's pairs can be accepted; give one of the two targets.

    It is the smallest one whose one-sided Clopper-Pearson bound (1934) at ``confidence``, not only
    its estimate, reaches the target. For the false positive rate choosing the smallest costs no
    confidence. For precision it can: in simulations with 200 to 20,000 independent pairs,
    thresholds found with 95 % confidence missed their target in 4 to 8 of 100 cases. ``level`` is
    that of the bootstrap interval; ``rng`` None is ``default_rng(0)``.

    Sixty relevant pairs score 0.8, one in a hundred others does: 60 of 61 accepted are relevant.

    >>> scores = np.concatenate([np.full(60, 0.8), [0.8], np.full(99, 0.2)])
    >>> relevant = np.arange(160) < 60
    >>> found = find_threshold(scores, relevant, precision=0.9)
    >>> found.value, found.recall, round(found.estimate, 3), round(found.bound, 3)
    (0.8, 1.0, 0.984, 0.925)
    >>> find_threshold(scores, relevant, precision=0.99).reason
    'the highest lower bound of the precision is 0.925, from score 0.8 on, with 61 pairs accepted'
    """
    measure, target = check_target(precision, false_positive_rate, confidence)
    _check_between("level", level, 0, 1)
    pairs = _Pairs(scores, relevant)
    wanted = _Target(measure, target, 1 - confidence)
    ladder = _Ladder(pairs)
    accepted = ladder.accepted(None)
    step = wanted.smallest(*accepted)
    rng = np.random.default_rng(0) if rng is None else rng
    low, high, found = _interval(ladder, wanted, level, n_resamples, rng)
    common: dict[str, Any] = {
        **{"measure": measure, "target": target, "confidence": confidence},
        **{"low": low, "high": high, "found": found, "n_pairs": pairs.relevant.size},
    }
    if step is None:
        nothing: dict[str, Any] = dict.fromkeys(("value", "estimate", "bound", "recall"))
        reason = wanted.reason(ladder, *accepted)
        return Threshold(**nothing, n_accepted=0, reason=reason, **common)
    relevant_in, other_in = accepted
    k, m = wanted.trials(*accepted)
    return Threshold(
        value=float(ladder.scores[step]),
        estimate=float(k[step] / m[step]),
        bound=float(wanted.bound(k[step], m[step])),
        recall=float(relevant_in[step] / relevant_in[-1]),
        n_accepted=int(relevant_in[step] + other_in[step]),
        **common,
    )


def threshold_transfer(
    threshold: Threshold,
    corpora: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Observed precision or false positive rate on the (scores, relevant) of other queries.

    One row per corpus: ``corpus``, ``measure``, ``threshold``, ``target``, ``observed`` with
    ``ci_low`` and ``ci_high``, ``reached`` (the observed value reaches the target), ``recall``,
    ``n_accepted``, ``n_pairs``. Where nothing is accepted the precision is NaN and ``reached``
    False.

    >>> found = find_threshold(np.repeat([0.2, 0.8], 60), np.repeat([0, 1], 60), precision=0.9)
    >>> other = (np.array([0.8, 0.9, 0.9, 0.1]), np.array([0, 1, 1, 1]))
    >>> threshold_transfer(found, {"other": other})[["corpus", "target", "reached", "recall"]]
      corpus  target  reached    recall
    0  other     0.9    False  0.666667
    """
    import pandas as pd

    _check_between("level", level, 0, 1)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for name, (scores, relevant) in corpora.items():
        pairs = _Pairs(scores, relevant, f"corpus {name!r}: ")
        accepted = threshold.accept(pairs.score)
        if threshold.measure == "precision":
            hits, trials = accepted & pairs.relevant, accepted
        else:
            hits, trials = accepted & ~pairs.relevant, ~pairs.relevant
        k, m = (np.bincount(pairs.query, what, pairs.n_query) for what in (hits, trials))
        observed = k.sum() / m.sum() if m.sum() else np.nan
        low, high = _ratio_interval(k, m, level, n_resamples, rng)
        above = threshold.measure == "precision"
        rows.append(
            {
                "corpus": name,
                "measure": threshold.measure,
                "threshold": threshold.value,
                "target": threshold.target,
                "observed": observed,
                "ci_low": low,
                "ci_high": high,
                "reached": bool(
                    observed >= threshold.target if above else observed <= threshold.target
                ),
                "recall": accepted[pairs.relevant].mean(),
                "n_accepted": int(accepted.sum()),
                "n_pairs": pairs.relevant.size,
            }
        )
    return pd.DataFrame(rows)


def threshold_curve(
    scores: np.ndarray,
    relevant: np.ndarray,
    *,
    n_points: int = 200,
    level: float = 0.95,
    n_resamples: int = 500,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure what a threshold accepts, for thresholds over the whole range of the scores.

    Thresholds are ``n_points`` scores at equal steps of their rank, or all where there are fewer.
    One row per threshold and measure of :data:`MEASURES`, ascending: ``threshold``, ``measure``,
    ``value``, ``ci_low``, ``ci_high`` (of one threshold at a time: a curve as a whole leaves the
    band more often), ``n_accepted``.

    >>> table = threshold_curve(np.array([[0.2, 0.8], [0.4, 0.6]]), np.array([[0, 1], [0, 0]]))
    >>> table[table["measure"] == "precision"][["threshold", "value"]].round(2).values.tolist()
    [[0.2, 0.25], [0.4, 0.33], [0.6, 0.5], [0.8, 1.0]]
    """
    import pandas as pd

    _check_between("level", level, 0, 1)
    pairs = _Pairs(scores, relevant)
    at = np.unique(pairs.score)
    if at.size > n_points:
        at = np.unique(np.quantile(pairs.score, np.linspace(0, 1, n_points), method="inverted_cdf"))
    n_query = pairs.n_query
    good, bad = (_accepted(pairs, kind, at) for kind in (pairs.relevant, ~pairs.relevant))
    rng = np.random.default_rng(0) if rng is None else rng
    draws = rng.multinomial(n_query, np.full(n_query, 1 / n_query), size=n_resamples)
    sums = good.sum(axis=0), bad.sum(axis=0)
    values = _measures(*sums)
    drawn = _measures(draws @ good, draws @ bad)
    tables = []
    for measure in MEASURES:
        # Draws without an accepted pair have no precision and are left out.
        ends = np.nanquantile(drawn[measure], [(1 - level) / 2, (1 + level) / 2], axis=0)
        tables.append(
            pd.DataFrame(
                {
                    "threshold": at,
                    "measure": measure,
                    "value": values[measure],
                    "ci_low": ends[0],
                    "ci_high": ends[1],
                    "n_accepted": sum(sums).astype(int),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def check_target(
    precision: float | None, false_positive_rate: float | None, confidence: float
) -> tuple[str, float]:
    """Return the measure and the target, or raise MmgapError: to be called before any work.

    >>> check_target(0.9, None, 0.95)
    ('precision', 0.9)
    """
    given = dict(zip(MEASURES[:2], (precision, false_positive_rate), strict=True))
    targets = [(measure, target) for measure, target in given.items() if target is not None]
    if len(targets) != 1:
        msg = f"give one target, precision or false_positive_rate; got {given}"
        raise MmgapError(msg)
    _check_between(*targets[0], 0, 1)
    _check_between("confidence", confidence, 0.5, 1)
    return targets[0]


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        msg = f"{name} must lie between {low:g} and {high:g}; got {value}"
        raise MmgapError(msg)


class _Pairs:
    """Query, score and relevance of each pair that has a score: arrays of shape (n_pair,)."""

    def __init__(self, scores: np.ndarray, relevant: np.ndarray, where: str = "") -> None:
        scores, labels = np.asarray(scores, dtype=np.float64), relevant_pairs(relevant)
        if scores.shape != labels.shape or scores.ndim not in (1, 2) or np.isinf(scores).any():
            msg = (
                f"{where}scores and relevant must have one shape, (n_query, n_doc) or (n_query,), "
                "and hold no infinite score (NaN leaves a pair out); got "
                f"{scores.shape} and {labels.shape}"
            )
            raise MmgapError(msg)
        scores, labels = scores.reshape(len(scores), -1), labels.reshape(len(labels), -1)
        there = ~np.isnan(scores)
        self.query = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)[there]
        self.score, self.relevant = scores[there], labels[there]
        if lack := lacking_kind(self.relevant):
            raise MmgapError(where + lack)
        self.n_query = int(self.query.max()) + 1


class _Ladder:
    """The distinct scores, highest first, and what each accepts under weights of the queries."""

    def __init__(self, pairs: _Pairs) -> None:
        order = np.argsort(-pairs.score, kind="stable")
        score = pairs.score[order]
        self.query, self.relevant = pairs.query[order], pairs.relevant[order]
        self.n_query = pairs.n_query
        # Equal scores are accepted together: a step ends with the last of them.
        self.ends = np.append(np.nonzero(np.diff(score))[0], score.size - 1)
        self.scores = score[self.ends]

    def accepted(self, draws: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Relevant and other pairs accepted from each step on; each query counted as drawn."""
        weight = 1 if draws is None else draws[self.query]
        relevant = np.cumsum(self.relevant * weight)[self.ends]
        other = np.cumsum(~self.relevant * weight)[self.ends]
        return relevant, other


@dataclass(frozen=True)
class _Target:
    """What is asked for; ``relevant`` and ``other`` are the pairs accepted from each step on."""

    measure: str
    target: float
    alpha: float

    def smallest(self, relevant: np.ndarray, other: np.ndarray) -> int | None:
        """Step with the smallest score whose bound reaches the target; None if there is none."""
        accepted = relevant + other
        # In a bootstrap draw some scores have no pair; none of them may become the threshold.
        steps = np.nonzero(np.diff(accepted, prepend=0))[0]
        if self.measure == "false positive rate":
            # The bound rises with every false positive: only their largest allowed number matters.
            reached = steps[other[steps] <= self._largest_allowed(int(other[-1]))]
        else:
            # A lower bound can reach the target only where the estimate exceeds it. P(at least k
            # of m | precision = target) <= alpha: the bound lies at the target or above.
            steps = steps[relevant[steps] > self.target * accepted[steps]]
            k, m = relevant[steps], accepted[steps]
            reached = steps[betainc(k, m - k + 1.0, self.target) <= self.alpha]
        return int(reached[-1]) if reached.size else None

    def trials(self, relevant: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator of the measure at each step."""
        if self.measure == "precision":
            return relevant, relevant + other
        return other, np.full_like(other, other[-1])

    def bound(self, k: np.ndarray, m: np.ndarray) -> np.ndarray:
        """One-sided Clopper-Pearson bound."""
        k, m = np.asarray(k, dtype=np.float64), np.asarray(m, dtype=np.float64)
        if self.measure == "precision":
            return np.where(k > 0, beta.ppf(self.alpha, np.maximum(k, 1), m - k + 1), 0.0)
        return np.where(k < m, beta.ppf(1 - self.alpha, k + 1, np.maximum(m - k, 1)), 1.0)

    def reason(self, ladder: _Ladder, relevant: np.ndarray, other: np.ndarray) -> str:
        """Why no score reaches the target."""
        if self.measure == "precision":
            k, m = self.trials(relevant, other)
            bounds = self.bound(k, m)
            best = int(np.argmax(bounds))
            return (
                f"the highest lower bound of the precision is {bounds[best]:.3g}, from score "
                f"{ladder.scores[best]:.6g} on, with {m[best]} pairs accepted"
            )
        n = int(other[-1])
        allowed = self._largest_allowed(n)
        if allowed < 0:
            needed = int(np.ceil(np.log(self.alpha) / np.log1p(-self.target)))
            return (
                f"{n} non-relevant pairs are too few: even no false positive among them leaves the "
                f"rate's upper bound above {self.target:g}; at least {needed} are needed"
            )
        return (
            f"the highest score, {ladder.scores[0]:.6g}, alone has {other[0]} false positives of "
            f"{allowed} allowed"
        )

    def _largest_allowed(self, n: int) -> int:
        """Most false positives of n whose upper bound stays within the target; -1: not even 0."""
        if n == 0:
            return -1
        k = int(binom.ppf(self.alpha, n, self.target))  # smallest k with P(at most k) >= alpha
        return k if binom.cdf(k, n, self.target) <= self.alpha else k - 1


def _interval(
    ladder: _Ladder, wanted: _Target, level: float, n_resamples: int, rng: np.random.Generator
) -> tuple[float | None, float | None, float]:
    """Bootstrap interval of the threshold, and the fraction of draws that have one."""
    values = []
    for _ in range(n_resamples):
        drawn = rng.integers(ladder.n_query, size=ladder.n_query)
        draws = np.bincount(drawn, minlength=ladder.n_query)
        step = wanted.smallest(*ladder.accepted(draws))
        if step is not None:
            values.append(ladder.scores[step])
    if not values:
        return None, None, 0.0 if n_resamples else float("nan")
    # Order statistics, so that the ends are scores and not points between two of them.
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high), len(values) / n_resamples


def _ratio_interval(
    k: np.ndarray, m: np.ndarray, level: float, n_resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Bootstrap interval of sum k / sum m over queries; NaN where no draw has a trial."""
    drawn = (rng.integers(k.size, size=k.size) for _ in range(n_resamples))
    sums = [(k[at].sum(), m[at].sum()) for at in drawn]
    ratios = [hits / trials for hits, trials in sums if trials]
    if not ratios:
        return float("nan"), float("nan")
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _accepted(pairs: _Pairs, kind: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Pairs of one kind that each threshold accepts, by query: shape (n_query, n_threshold)."""
    step = np.searchsorted(at, pairs.score[kind], side="right") - 1  # highest threshold reached
    counts = np.zeros((pairs.n_query, at.size))
    np.add.at(counts, (pairs.query[kind], step), 1)
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]


def _measures(good: np.ndarray, bad: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of counts of shape (..., n_threshold); the first threshold accepts all pairs."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = good / (good + bad), bad / bad[..., :1], good / good[..., :1]
    return dict(zip(MEASURES, values, strict=True))
