"""Below which score to reject: thresholds with a promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betainc
from scipy.stats import beta, binom

from mmgap.errors import MmgapError
from mmgap.scores.pairs import lacking_kind, relevant_pairs

MEASURES = ("precision", "false positive rate")


@dataclass(frozen=True)
class Threshold:
    """A score below which pairs are rejected, or the reason why there is none.

    Parameters
    ----------
    value : float or None
        Pairs of at least this score are accepted; None where no threshold reaches the target.
    measure : {"precision", "false positive rate"}
    target, confidence : float
        What was asked for.
    low, high : float or None
        Interval of ``value`` by bootstrap over queries; None where no resample reaches the target.
    found : float
        Share of the resamples in which a threshold reaches the target; far below 1 says that
        ``value`` hangs on few queries.
    estimate, bound : float or None
        The measure on the calibration pairs, and its one-sided Clopper-Pearson bound: a lower one
        for precision, an upper one for the false positive rate.
    recall : float or None
        Share of the relevant calibration pairs that are accepted.
    n_accepted, n_pairs : int
        Calibration pairs accepted, and all of them.
    reason : str
        Why there is no threshold; empty where there is one.
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
        """Whether each score reaches the threshold; NaN does not.

        Parameters
        ----------
        scores : ndarray of any shape

        Returns
        -------
        accepted : bool array of the same shape

        Raises
        ------
        MmgapError
            If there is no threshold; the message holds the reason.
        """
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
    """Smallest score from which on a leg's pairs can be accepted.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc) or (n_query,)
        Scores, or probabilities, of one leg for calibration queries; NaN leaves a pair out.
    relevant : bool array of the same shape
    precision : float or None
        Target for the share of relevant pairs among the accepted ones.
    false_positive_rate : float or None
        Target for the share of accepted pairs among those that are not relevant. Give one of the
        two targets.
    confidence : float, default 0.95
        The smallest threshold is taken whose one-sided Clopper-Pearson bound, not only its
        estimate, reaches the target. Above 0.5.
    level : float, default 0.95
        Of the interval of the threshold.
    n_resamples : int, default 1000
        Bootstrap draws of whole queries; 0 for no interval.
    rng : numpy.random.Generator or None, default None
        None = ``default_rng(0)``.

    Returns
    -------
    threshold : Threshold
        One of the scores given. ``value`` is None, with a ``reason``, where no score reaches the
        target.

    Raises
    ------
    MmgapError
        If not exactly one target is given, a number is out of range, shapes disagree, a score is
        infinite, or the pairs are not of both kinds.

    Notes
    -----
    The bound takes pairs as independent; those of one query are not, so compare ``low`` and
    ``high``. For the false positive rate, which falls as the threshold rises, choosing the smallest
    threshold costs no confidence. For precision it can: in simulations with 200 to 20,000
    independent pairs, thresholds that promised a precision with 95 % confidence failed to keep
    it in 4 to 8 of 100 cases. Precision holds only for pools with the same number of irrelevant
    documents per query as here; the false positive rate does not depend on it. Any increasing map
    of the scores maps the threshold along.

    References
    ----------
    .. [1] Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case
       of the Binomial", Biometrika 1934.

    Examples
    --------
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
    check_between("level", level, 0, 1)
    query, pairs, labels = threshold_pairs(scores, relevant)
    if lack := lacking_kind(labels):
        raise MmgapError(lack)
    alpha = 1 - confidence
    ladder = _Ladder(query, pairs, labels)
    relevant_in, other_in = ladder.accepted(None)
    step = _smallest(measure, target, alpha, relevant_in, other_in)
    low, high, found = _interval(
        ladder,
        measure,
        target,
        alpha,
        level,
        n_resamples,
        np.random.default_rng(0) if rng is None else rng,
    )
    common: dict[str, Any] = {
        "measure": measure,
        "target": target,
        "confidence": confidence,
        "n_pairs": labels.size,
    }
    if step is None:
        return Threshold(
            value=None,
            low=low,
            high=high,
            found=found,
            estimate=None,
            bound=None,
            recall=None,
            n_accepted=0,
            reason=_reason(measure, target, alpha, ladder, relevant_in, other_in),
            **common,
        )
    k, m = _trials(measure, relevant_in, other_in)
    return Threshold(
        value=float(ladder.scores[step]),
        low=low,
        high=high,
        found=found,
        estimate=float(k[step] / m[step]),
        bound=float(_bound(measure, k[step], m[step], alpha)),
        recall=float(relevant_in[step] / relevant_in[-1]),
        n_accepted=int(relevant_in[step] + other_in[step]),
        **common,
    )


class _Ladder:
    """The distinct scores, highest first, and what each accepts under weights of the queries."""

    def __init__(self, query: np.ndarray, pairs: np.ndarray, labels: np.ndarray) -> None:
        order = np.argsort(-pairs, kind="stable")
        pairs = pairs[order]
        self.query, self.labels = query[order], labels[order]
        self.n_query = int(query.max()) + 1
        # Equal scores are accepted together: a step ends with the last of them.
        self.ends = np.append(np.nonzero(np.diff(pairs))[0], pairs.size - 1)
        self.scores = pairs[self.ends]

    def accepted(self, draws: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Relevant and other pairs accepted from each step on; each query counted as drawn."""
        weight = 1 if draws is None else draws[self.query]
        relevant = np.cumsum(self.labels * weight)[self.ends]
        other = np.cumsum(~self.labels * weight)[self.ends]
        return relevant, other


def _smallest(
    measure: str, target: float, alpha: float, relevant: np.ndarray, other: np.ndarray
) -> int | None:
    """Step with the smallest score whose bound reaches the target; None if there is none."""
    accepted = relevant + other
    # In a bootstrap draw some scores have no pair; none of them may become the threshold.
    steps = np.nonzero(np.diff(accepted, prepend=0))[0]
    if measure == "false positive rate":
        # The bound rises with every false positive: only their largest allowed number matters.
        allowed = _largest_allowed(int(other[-1]), target, alpha)
        reached = steps[other[steps] <= allowed]
        return int(reached[-1]) if reached.size else None
    # A lower bound can reach the target only where the estimate exceeds it.
    steps = steps[relevant[steps] > target * accepted[steps]]
    k, m = relevant[steps], accepted[steps]
    # P(at least k of m | precision = target) <= alpha: the lower bound lies at the target or above.
    reached = steps[betainc(k, m - k + 1.0, target) <= alpha]
    return int(reached[-1]) if reached.size else None


def _largest_allowed(n: int, target: float, alpha: float) -> int:
    """Most false positives of n whose upper bound stays within the target; -1 if none may be."""
    if n == 0:
        return -1
    k = int(binom.ppf(alpha, n, target))  # smallest k with P(at most k) >= alpha
    return k if binom.cdf(k, n, target) <= alpha else k - 1


def _trials(measure: str, relevant: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of the measure at each step."""
    if measure == "precision":
        return relevant, relevant + other
    return other, np.full_like(other, other[-1])


def _bound(measure: str, k: np.ndarray, m: np.ndarray, alpha: float) -> np.ndarray:
    """One-sided Clopper-Pearson bound."""
    k, m = np.asarray(k, dtype=np.float64), np.asarray(m, dtype=np.float64)
    if measure == "precision":
        return np.where(k > 0, beta.ppf(alpha, np.maximum(k, 1), m - k + 1), 0.0)
    return np.where(k < m, beta.ppf(1 - alpha, k + 1, np.maximum(m - k, 1)), 1.0)


def _interval(
    ladder: _Ladder,
    measure: str,
    target: float,
    alpha: float,
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[float | None, float | None, float]:
    """Bootstrap interval of the threshold, and the share of draws that have one."""
    values = []
    for _ in range(n_resamples):
        drawn = rng.integers(ladder.n_query, size=ladder.n_query)
        draws = np.bincount(drawn, minlength=ladder.n_query)
        step = _smallest(measure, target, alpha, *ladder.accepted(draws))
        if step is not None:
            values.append(ladder.scores[step])
    if not values:
        return None, None, 0.0 if n_resamples else float("nan")
    # Order statistics, so that the ends are scores and not points between two of them.
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high), len(values) / n_resamples


def _reason(
    measure: str,
    target: float,
    alpha: float,
    ladder: _Ladder,
    relevant: np.ndarray,
    other: np.ndarray,
) -> str:
    if measure == "precision":
        k, m = _trials(measure, relevant, other)
        bounds = _bound(measure, k, m, alpha)
        best = int(np.argmax(bounds))
        return (
            f"the highest lower bound of the precision is {bounds[best]:.3g}, from score "
            f"{ladder.scores[best]:.6g} on, with {m[best]} pairs accepted"
        )
    n = int(other[-1])
    allowed = _largest_allowed(n, target, alpha)
    if allowed < 0:
        needed = int(np.ceil(np.log(alpha) / np.log1p(-target)))
        return (
            f"{n} irrelevant pairs are too few: even no false positive among them leaves the "
            f"rate's upper bound above {target:g}; at least {needed} are needed"
        )
    return (
        f"the highest score, {ladder.scores[0]:.6g}, alone has {other[0]} false positives of "
        f"{allowed} allowed"
    )


def check_target(
    precision: float | None, false_positive_rate: float | None, confidence: float
) -> tuple[str, float]:
    """Return the measure and the target, or raise MmgapError: to be called before any work.

    Examples
    --------
    >>> check_target(0.9, None, 0.95)
    ('precision', 0.9)
    """
    given = dict(zip(MEASURES, (precision, false_positive_rate), strict=True))
    targets = [(measure, target) for measure, target in given.items() if target is not None]
    if len(targets) != 1:
        msg = f"give one target, precision or false_positive_rate; got {given}"
        raise MmgapError(msg)
    check_between(*targets[0], 0, 1)
    check_between("confidence", confidence, 0.5, 1)
    return targets[0]


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise MmgapError unless low < value < high."""
    if not low < value < high:
        msg = f"{name} must lie between {low:g} and {high:g}; got {value}"
        raise MmgapError(msg)


def threshold_pairs(
    scores: np.ndarray, relevant: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Query, score and relevance of each pair that has a score.

    Parameters
    ----------
    scores, relevant : ndarray of shape (n_query, n_doc) or (n_query,)

    Returns
    -------
    query, score, relevant : ndarray of shape (n_pair,)

    Raises
    ------
    MmgapError
        If shapes disagree or a score is infinite.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), relevant_pairs(relevant)
    if scores.shape != labels.shape or scores.ndim not in (1, 2) or np.isinf(scores).any():
        msg = (
            "scores and relevant must have one shape, (n_query, n_doc) or (n_query,), and hold no "
            f"infinite score (NaN leaves a pair out); got {scores.shape} and {labels.shape}"
        )
        raise MmgapError(msg)
    scores, labels = scores.reshape(len(scores), -1), labels.reshape(len(labels), -1)
    there = ~np.isnan(scores)
    query = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)[there]
    return query, scores[there], labels[there]
