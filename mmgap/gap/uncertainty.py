"""How far to trust a value: interval, null level, too small a sample.

How often a measure is computed again follows one rule, which the results repeat (``draws``):

- interval of a measure with ``per_item`` or ``weighted``: 1,000 draws up to 4,000 rows, then
  4,000,000 / n, at least 200;
- interval of any other measure: 20 jackknife groups;
- null level: 500 draws up to 500 pairs, then 250,000 / n, at least 50. A measure that is ``costly``
  or has neither form: 20 draws, of 2,000 random pairs where there are more. Its mean hardly moves
  with n; its width is then that of 2,000 pairs, which is too wide and so on the safe side.

``rng=None`` is ``default_rng(0)`` everywhere. ``known`` keeps what several calls on the same rows
compute, such as the k-occurrences of four measures: give them one dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from mmgap.arrays import unit_rows
from mmgap.errors import MmgapError
from mmgap.gap.facts import Measure
from mmgap.gap.measures import need_rows, paired_rows

BIAS_FRACTION = 0.05
"""A value whose bias exceeds this fraction of it needs more pairs."""

_GROUPS = 20
_COSTLY_DRAWS, _COSTLY_ROWS = 20, 2_000


class SmallSampleWarning(UserWarning):
    """There are too few pairs for what is claimed; the message says why and what to do."""


@dataclass(frozen=True)
class Interval:
    """Where the value would lie with other items of the same kind.

    ``level`` is the fraction of such intervals that hold the value of the population, ``draws`` how
    often the measure was computed again, ``method`` items, weights or jackknife.
    """

    low: float
    high: float
    level: float
    draws: int
    method: str


@dataclass(frozen=True)
class NullLevel:
    """Value of the measure without a gap, or without pairing.

    ``kind`` is what was made random (labels, half labels, pairing, or halves of one modality);
    ``low`` and ``high`` are the 2.5 % and 97.5 % quantiles of the draws, ``n`` pairs or items a
    half. NaN where no draw has a value.
    """

    kind: str
    mean: float
    low: float
    high: float
    max: float
    draws: int
    n: int


def interval(
    measure: Measure,
    *embeddings: np.ndarray,
    level: float = 0.95,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
    known: dict[Any, Any] | None = None,
) -> Interval:
    """Interval of a measure over pairs, or over the items of one modality.

    ``method`` is ``"items"``, a percentile bootstrap of a mean over pairs or items; ``"weights"``,
    one of a measure with an exact form with weights (an item drawn twice is not taken for two that
    agree; draws of one item only are left out); or ``"jackknife"`` for any other: each of 20 random
    groups is left out in turn, value +- t-quantile x standard error (Shao and Tu 1995, Sec. 2.3).
    A bootstrap would be wrong there: rows drawn twice add no direction and are each other's nearest
    neighbour.

    The plug-in L2M grows with resampling as it does with small n, so its interval lies high by
    :func:`mmgap.gap.plug_in_bias`; ``l2m_unbiased`` has no such excess.

    Half the pairs have cosine 1, half 0: about 0.5 +- 1.96 x 0.05.

    >>> from mmgap.gap import MEASURES
    >>> image, text = np.tile(np.eye(2), (50, 1)), np.tile([1.0, 0.0], (100, 1))
    >>> found = interval(MEASURES["paired_cosine"], image, text)
    >>> round(found.low, 1), round(found.high, 1), found.method
    (0.4, 0.6, 'items')
    """
    rows = _rows(measure, embeddings)
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, e.g. 0.95; got {level}"
        raise MmgapError(msg)
    if n_draws is not None and n_draws < 2:
        msg = f"an interval takes at least 2 draws; got {n_draws}"
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    known = {} if known is None else known
    if measure.per_item is None and measure.weighted is None:
        return _jackknife(measure, rows, level, n_draws or _GROUPS, rng, known)
    n = len(rows[0])
    weights = _weights(n_draws or min(1000, max(200, 4_000_000 // n)), n, rng)
    method = "weights" if measure.per_item is None else "items"
    of: tuple[Any, ...] = rows
    if make := measure.per_item or measure.basis:
        if (make, b"") not in known:
            known[make, b""] = make(*rows)
        of = (known[make, b""],)
    weighted = measure.weighted
    draws = weights @ of[0] / n if weighted is None else weighted(*of, weights)
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        msg = f"no draw of {measure.name} has a value: {n} rows are too few, or they do not differ"
        raise MmgapError(msg)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(draws), method)


def null_level(
    measure: Measure,
    image: np.ndarray,
    text: np.ndarray,
    *,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
    known: dict[Any, Any] | None = None,
) -> NullLevel:
    """Values of a measure where there is no gap, or no pairing.

    ``measure.null`` says what is made random: ``"labels"``, each pair exchanges image and text with
    probability one half; ``"half labels"``, exactly half of the pairs do; ``"pairing"``, the texts
    are shuffled. Exchange at random leaves a remainder of the gap, about L2M / sqrt(n) long, which
    a measure of the gap's direction takes for the gap; half and half leaves none (and L2M would
    fall to .036 on features where random exchange gives .050). A value inside ``low`` to ``high``
    does not show what the measure is meant to show.

    All images in one point, all texts in the opposite one: with k of n pairs exchanged L2M is
    2 |n - 2 k| / n, about 2 x 0.8 / sqrt(100).

    >>> from mmgap.gap import MEASURES
    >>> points = np.tile([1.0, 0.0], (100, 1))
    >>> round(null_level(MEASURES["l2m"], points, -points).mean, 1)
    0.2
    """
    if measure.null is None or measure.sides:
        msg = f"{measure.name} has no null level: there are no labels or pairs to make random"
        raise MmgapError(msg)
    image, text = paired_rows(image, text)
    rng = np.random.default_rng(0) if rng is None else rng
    known = {} if known is None else known
    if measure.seldom and len(image) > _COSTLY_ROWS:
        some = rng.choice(len(image), _COSTLY_ROWS, replace=False)
        image, text = image[some], text[some]
    n = len(image)
    values = []
    for _ in range(n_draws or _usual_draws(measure, n)):
        drawn = rng.random(n) < 0.5 if measure.null == "labels" else rng.permutation(n)
        if measure.null == "pairing":
            sides = image, text[drawn]
        else:
            exchange = (drawn if measure.null == "labels" else drawn < n // 2)[:, None]
            sides = np.where(exchange, text, image), np.where(exchange, image, text)
        values.append(measure.value(sides, known, measure.null.encode() + drawn.tobytes()))
    return _level(measure.null, values, n)


def half_split_level(
    measure: Measure,
    embeddings: np.ndarray,
    *,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
) -> NullLevel:
    """Values of a measure between two random halves of one modality; a last odd row is left out.

    Of n / 2 items a side: about sqrt(2) times as high as with n.

    >>> from mmgap.gap import MEASURES
    >>> half_split_level(MEASURES["l2m"], np.tile([1.0, 0.0], (10, 1))).max
    0.0
    """
    if measure.paired or measure.sides:
        msg = (
            f"two halves of one modality are no pairs, and {measure.name} needs "
            f"{'pairs' if measure.paired else 'one modality'}; give a measure of two sets, as l2m"
        )
        raise MmgapError(msg)
    rows = unit_rows("embeddings", embeddings)
    need_rows(rows, 4, "a split into halves")
    rng = np.random.default_rng(0) if rng is None else rng
    half = len(rows) // 2
    values = []
    for _ in range(n_draws or _usual_draws(measure, len(rows))):
        order = rng.permutation(len(rows))
        values.append(measure.value((rows[order[:half]], rows[order[half : 2 * half]]), {}, b""))
    return _level("halves", values, half)


def too_few(
    value: float,
    n: int,
    *,
    bias: float = 0.0,
    interval: Interval | None = None,
    null: NullLevel | None = None,
) -> str:
    """Say why n rows are too few for a value; empty where they are enough.

    They are too few where the bias (as of :func:`mmgap.gap.plug_in_bias`) is more than 5 % of the
    value, or the interval reaches the null level.

    >>> too_few(0.8, 500, bias=0.001)
    ''
    >>> too_few(0.8, 10, bias=0.08)
    'The bias of 10 rows is 10 % of the value; take at least 20 or a corrected measure.'
    """
    reasons = []
    if not abs(bias) <= BIAS_FRACTION * abs(value):
        part = abs(bias / value) if value else float("inf")
        remedy = (
            f"take at least {int(np.ceil(n * part / BIAS_FRACTION - 1e-9)):,} or a corrected "
            "measure"
            if np.isfinite(part)
            else "take more"
        )
        size = f"{part:.0%}".replace("%", " %") if np.isfinite(part) else "as large as 100 %"
        reasons.append(f"The bias of {n:,} rows is {size} of the value; {remedy}.")
    if interval and null and interval.low <= null.high and interval.high >= null.low:
        reasons.append(
            f"The interval [{interval.low:.4g}, {interval.high:.4g}] of {n:,} rows reaches the "
            f"null level [{null.low:.4g}, {null.high:.4g}]; take more."
        )
    return " ".join(reasons)


def _rows(measure: Measure, embeddings: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Bring what a measure takes to unit rows: one modality, or pairs."""
    expected = 1 if measure.sides else 2
    if len(embeddings) != expected:
        msg = (
            f"{measure.name} takes "
            f"{'the embeddings of one modality' if measure.sides else 'images and texts'}; got "
            f"{len(embeddings)} arrays instead of {expected}"
        )
        raise MmgapError(msg)
    door: Callable[..., tuple[np.ndarray, ...]] = paired_rows
    rows = (unit_rows("embeddings", embeddings[0]),) if measure.sides else door(*embeddings)
    need_rows(rows[0], 2, "resampling")
    return rows


def _usual_draws(measure: Measure, n: int) -> int:
    return _COSTLY_DRAWS if measure.seldom else min(500, max(50, 250_000 // n))


def _weights(n_draws: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each row occurs in each draw, float64 of shape (n_draw, n); rows sum up to n."""
    return np.stack(
        [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(n_draws)]
    ).astype(np.float64)


def _jackknife(
    measure: Measure,
    rows: tuple[np.ndarray, ...],
    level: float,
    n_groups: int,
    rng: np.random.Generator,
    known: dict[Any, Any],
) -> Interval:
    """Value +- t-quantile x standard error from leaving out each group in turn."""
    n = len(rows[0])
    need_rows(rows[0], 4, "a jackknife")
    n_groups = max(2, min(n_groups, n // 2))
    group_of = rng.permutation(n) % n_groups
    without = np.array(
        [
            measure.value(tuple(side[kept] for side in rows), known, kept.tobytes())
            for kept in (group_of != group for group in range(n_groups))
        ]
    )
    error = np.sqrt((n_groups - 1) * without.var())
    reach = stats.t.ppf((1 + level) / 2, n_groups - 1) * error
    value = measure.value(rows, known, b"")
    low, high = np.clip([value - reach, value + reach], *measure.range)
    return Interval(float(low), float(high), level, n_groups, "jackknife")


def _level(kind: str, values: list[float], n: int) -> NullLevel:
    known = np.asarray(values)[np.isfinite(values)]
    if not len(known):  # rows that do not differ: the measure has no value in any draw
        return NullLevel(kind, np.nan, np.nan, np.nan, np.nan, len(values), n)
    low, high = np.quantile(known, [0.025, 0.975])
    return NullLevel(
        kind, float(known.mean()), float(low), float(high), float(known.max()), len(values), n
    )
