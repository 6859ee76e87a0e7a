"""How far to trust a value: interval, level of nothing, dependence on n, too small a sample.

How often a measure is computed again follows one rule, which the results repeat (``draws``):

- interval of a measure with ``per_item`` or ``weighted``: 1,000 draws up to 4,000 rows, then
  4,000,000 / n, at least 200;
- interval of any other measure: 20 jackknife groups;
- null level: 500 draws up to 500 pairs, then 250,000 / n, at least 50. A measure that is ``costly``
  or has neither form: 20 draws, of 2,000 random pairs where there are more. Its mean hardly moves
  with n; its width is then that of 2,000 pairs, which is too wide and so on the safe side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from mmgap.errors import MmgapError
from mmgap.gap.embeddings import need_rows, paired_rows, unit_rows
from mmgap.gap.measure import Measure

if TYPE_CHECKING:
    import pandas as pd

BIAS_SHARE = 0.05
"""A value whose bias exceeds this share of it needs more pairs."""

_GROUPS = 20
_COSTLY_DRAWS, _COSTLY_ROWS = 20, 2_000


class SmallSampleWarning(UserWarning):
    """There are too few pairs for what is claimed; the message says why and what to do."""


@dataclass(frozen=True)
class Interval:
    """Where the value would lie with other items of the same kind.

    Parameters
    ----------
    low, high : float
    level : float
        Share of such intervals that hold the value of the population.
    draws : int
        How often the measure was computed again.
    method : {"items", "weights", "jackknife"}
        As in :func:`interval`.
    """

    low: float
    high: float
    level: float
    draws: int
    method: str


@dataclass(frozen=True)
class NullLevel:
    """What the measure says where there is nothing.

    Parameters
    ----------
    kind : {"labels", "pairing", "halves"}
        What was made random: the modality labels within pairs, the pairing, or which half an item
        of one modality belongs to.
    mean : float
    low, high : float
        2.5 % and 97.5 % quantile of the draws.
    max : float
    draws : int
    n : int
        Pairs, or items in a half.
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
) -> Interval:
    """Interval of a measure over pairs, or over the items of one modality.

    Parameters
    ----------
    measure : Measure
    *embeddings : ndarray of shape (n, dim)
        Images and texts, row i of one belonging to row i of the other; one modality where
        ``measure.sides``.
    level : float, default 0.95
    n_draws : int or None
        None follows the rule of this module; a jackknife takes as many groups.
    rng : numpy.random.Generator or None
        None is ``default_rng(0)``.

    Returns
    -------
    interval : Interval
        Wider = less certain. ``method`` is

        - ``"items"``: percentile bootstrap, where the measure is a mean over pairs or items;
        - ``"weights"``: percentile bootstrap, where the measure has an exact form with weights. A
          mean over pairs of *different* items leaves out i = j of the original rows, so an item
          drawn twice is not taken for two that agree. Draws of one item only are left out;
        - ``"jackknife"``: any other measure, such as those of the spectrum or of neighbours. Each
          of 20 random groups is left out in turn; value +- t-quantile x standard error. A
          bootstrap would be wrong here: rows that are drawn twice add no direction and are each
          other's nearest neighbour, so that the redrawn values may all lie on one side of the
          value. A count that no group changes gets an interval of width 0.

        The plug-in L2M grows with resampling as it does with small n, so its interval lies high
        by the bias of :func:`mmgap.gap.plug_in_bias`. With 500 pairs of CLIP that is a tenth of
        its half-width; with 80 pairs and a small gap 7 instead of 9.5 of 10 intervals held the
        value. Take ``l2m_unbiased`` there, whose interval has no such excess.

    Raises
    ------
    MmgapError
        If rows are not usable, no pairs or too few, ``level`` is not between 0 and 1, or the number
        of inputs is wrong.

    References
    ----------
    .. [1] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, Sec. 13.3.
    .. [2] Shao and Tu, "The Jackknife and Bootstrap", 1995, Sec. 2.3 (grouped jackknife).

    Examples
    --------
    Half the pairs have cosine 1, half 0: about 0.5 +- 1.96 x 0.05.

    >>> from mmgap.gap.paired_cosine import PAIRED_COSINE
    >>> image, text = np.tile(np.eye(2), (50, 1)), np.tile([1.0, 0.0], (100, 1))
    >>> found = interval(PAIRED_COSINE, image, text)
    >>> round(found.low, 1), round(found.high, 1), found.method
    (0.4, 0.6, 'items')
    """
    rows = _rows(measure, embeddings)
    if not 0 < level < 1:
        msg = f"level must lie between 0 and 1, e.g. 0.95; got {level}"
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    if measure.per_item is None and measure.weighted is None:
        return _jackknife(measure, rows, level, n_draws or _GROUPS, rng)
    n = len(rows[0])
    weights = _weights(n_draws or min(1000, max(200, 4_000_000 // n)), n, rng)
    if measure.per_item is not None:
        draws, method = weights @ measure.per_item(*rows) / n, "items"
    else:
        assert measure.weighted is not None
        draws, method = measure.weighted(*rows, weights), "weights"
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        msg = f"no draw of {measure.name} has a value: {n} rows are too few, or they do not differ"
        raise MmgapError(msg)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(draws), method)


def null_level(
    measure: Measure,
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
) -> NullLevel:
    """Values of a measure where there is no gap, or no pairing.

    Parameters
    ----------
    measure : Measure
        Its ``null`` says what is made random. ``"labels"``: each pair exchanges image and text with
        chance one half, so that neither side is a modality. ``"pairing"``: the texts are shuffled,
        so that no text belongs to its image. ``"half labels"``: exactly half of the pairs exchange
        image and text. Chance exchange leaves a remainder of the gap, about L2M / sqrt(n) long,
        which a measure of the gap's direction takes for the gap; half and half leaves none.
    image_embeddings, text_embeddings : ndarray of shape (n, dim)
        Row i of one belongs to row i of the other.
    n_draws : int or None
        None follows the rule of this module.
    rng : numpy.random.Generator or None
        None is ``default_rng(0)``.

    Returns
    -------
    level : NullLevel
        A value inside ``low`` to ``high`` does not show what the measure is meant to show.

    Raises
    ------
    MmgapError
        If the measure has no such level, or rows are not usable or no pairs.

    Notes
    -----
    Exchanging *exactly* half of the pairs would be another null: the two sides then hold equally
    many images, and L2M falls to .036 on features where chance exchange gives .050.

    Examples
    --------
    All images in one point, all texts in the opposite one: L2M is 2; without labels it is
    2 |k - (n - k)| / n with k of n pairs exchanged, about 2 x 0.8 / sqrt(100).

    >>> from mmgap.gap.l2m import L2M
    >>> points = np.tile([1.0, 0.0], (100, 1))
    >>> round(null_level(L2M, points, -points).mean, 1)
    0.2
    """
    if measure.null is None or measure.sides:
        msg = f"{measure.name} has no level of nothing: no labels or pairs to make random"
        raise MmgapError(msg)
    image, text = paired_rows(image_embeddings, text_embeddings)
    rng = np.random.default_rng(0) if rng is None else rng
    if is_costly(measure) and len(image) > _COSTLY_ROWS:
        some = rng.choice(len(image), _COSTLY_ROWS, replace=False)
        image, text = image[some], text[some]
    n = len(image)
    usual = _COSTLY_DRAWS if is_costly(measure) else min(500, max(50, 250_000 // n))
    values = []
    for _ in range(n_draws or usual):
        if measure.null != "pairing":
            half = rng.permutation(n) < n // 2 if measure.null == "half labels" else None
            exchange = (rng.random(n) < 0.5 if half is None else half)[:, None]
            sides = np.where(exchange, text, image), np.where(exchange, image, text)
        else:
            sides = image, text[rng.permutation(n)]
        values.append(measure.function(*sides))
    return _level(measure.null, values, n)


def half_split_level(
    measure: Measure,
    embeddings: np.ndarray,
    *,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
) -> NullLevel:
    """Values of a measure between two random halves of one modality.

    Parameters
    ----------
    measure : Measure
        One that does not need pairs, such as L2M.
    embeddings : ndarray of shape (n, dim)
        Of one modality, at least 4 rows; a last odd row is left out of each draw.
    n_draws : int or None
        None follows the rule of this module for null levels.
    rng : numpy.random.Generator or None
        None is ``default_rng(0)``.

    Returns
    -------
    level : NullLevel
        Of n / 2 items a side: about sqrt(2) times as high as with n.

    Raises
    ------
    MmgapError
        If the measure needs pairs or describes one modality, or rows are not usable or too few.

    Examples
    --------
    Halves of points at one place are at distance 0.

    >>> from mmgap.gap.l2m import L2M
    >>> half_split_level(L2M, np.tile([1.0, 0.0], (10, 1))).max
    0.0
    """
    if measure.paired or measure.sides:
        msg = (
            f"two halves of one modality are no pairs, and {measure.name} needs "
            f"{'pairs' if measure.paired else 'one modality'}; give a measure of two sets, as l2m"
        )
        raise MmgapError(msg)
    rows = unit_rows("embeddings", embeddings)
    need_rows("embeddings", rows, 4, "a split into halves")
    rng = np.random.default_rng(0) if rng is None else rng
    half = len(rows) // 2
    usual = _COSTLY_DRAWS if is_costly(measure) else min(500, max(50, 250_000 // len(rows)))
    values = []
    for _ in range(n_draws or usual):
        order = rng.permutation(len(rows))
        values.append(measure.function(rows[order[:half]], rows[order[half : 2 * half]]))
    return _level("halves", values, half)


def size_dependence(
    measure: Measure,
    *embeddings: np.ndarray,
    sizes: Sequence[int] | None = None,
    n_draws: int | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Mean of a measure over random subsets of several sizes.

    Parameters
    ----------
    measure : Measure
    *embeddings : ndarray of shape (n, dim)
        Images and texts in pairs; one modality where ``measure.sides``.
    sizes : sequence of int or None
        Each from 2 to n. None: 25, 50, 100, 250, 500, 1000, ... below n, and n.
    n_draws : int or None
        Subsets for each size but n, of which there is one. None: 200, or 20 as for the null level.
    rng : numpy.random.Generator or None
        None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Columns ``n``, ``mean``, ``sd`` (between subsets, divided by draws - 1; NaN for n) and
        ``draws``. A mean that still moves at the right end says that the value is one of this n,
        not of the model.

    Raises
    ------
    MmgapError
        If rows are not usable or no pairs, or a size is out of range.

    Examples
    --------
    >>> from mmgap.gap.l2m import L2M
    >>> points = np.tile([1.0, 0.0], (100, 1))
    >>> size_dependence(L2M, points, -points, sizes=[10, 100])["mean"].tolist()
    [2.0, 2.0]
    """
    import pandas as pd

    rows = _rows(measure, embeddings)
    n = len(rows[0])
    if sizes is None:
        steps = [step * 10**power for power in range(1, 8) for step in (2.5, 5, 10)]
        sizes = [*(int(step) for step in steps if step < n), n]
    if not all(2 <= size <= n for size in sizes):
        msg = f"sizes must lie between 2 and the {n} rows there are; got {list(sizes)}"
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    usual = _COSTLY_DRAWS if is_costly(measure) else 200
    found = []
    for size in sizes:
        draws = 1 if size == n else (n_draws or usual)
        chosen = [rng.choice(n, size, replace=False) for _ in range(draws)]
        values = [measure.function(*(side[some] for side in rows)) for some in chosen]
        sd = float(np.std(values, ddof=1)) if draws > 1 else float("nan")
        found.append((int(size), float(np.mean(values)), sd, draws))
    return pd.DataFrame(found, columns=["n", "mean", "sd", "draws"])


def too_few(
    value: float,
    n: int,
    *,
    bias: float = 0.0,
    interval: Interval | None = None,
    null: NullLevel | None = None,
) -> str:
    """Say why n pairs are too few for a value.

    Parameters
    ----------
    value : float
    n : int
        Pairs or items it comes from.
    bias : float, default 0.0
        By how much it is too large on average, as :func:`mmgap.gap.l2m.plug_in_bias` says for L2M.
    interval : Interval or None
    null : NullLevel or None

    Returns
    -------
    reason : str
        Empty where n is enough. Otherwise, sentences on one or both of: the bias is more than 5 %
        of the value (and the n from which it is not, as the bias falls with 1 / n); the interval
        reaches the null level, so that the value may be one of nothing. Fit for
        :class:`SmallSampleWarning`.

    Examples
    --------
    >>> too_few(0.8, 500, bias=0.001)
    ''
    >>> too_few(0.8, 10, bias=0.08)
    'The bias of 10 rows is 10 % of the value; take at least 20 or a corrected measure.'
    """
    reasons = []
    if not abs(bias) <= BIAS_SHARE * abs(value):
        share = abs(bias / value) if value else float("inf")
        remedy = (
            f"take at least {int(np.ceil(n * share / BIAS_SHARE - 1e-9)):,} or a corrected measure"
            if np.isfinite(share)
            else "take more"
        )
        size = f"{share:.0%}".replace("%", " %") if np.isfinite(share) else "as large as 100 %"
        reasons.append(f"The bias of {n:,} rows is {size} of the value; {remedy}.")
    if interval and null and interval.low <= null.high and interval.high >= null.low:
        reasons.append(
            f"The interval [{interval.low:.4g}, {interval.high:.4g}] of {n:,} rows reaches the "
            f"level of nothing [{null.low:.4g}, {null.high:.4g}]; take more."
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
    if measure.sides:
        rows: tuple[np.ndarray, ...] = (unit_rows("embeddings", embeddings[0]),)
    else:
        rows = paired_rows(*embeddings)
    need_rows("embeddings", rows[0], 2, "resampling")
    return rows


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
) -> Interval:
    """Value +- t-quantile x standard error from leaving out each group in turn."""
    n = len(rows[0])
    need_rows("embeddings", rows[0], 4, "a jackknife")
    n_groups = max(2, min(n_groups, n // 2))
    group_of = rng.permutation(n) % n_groups
    without = np.array(
        [measure.function(*(side[group_of != group] for side in rows)) for group in range(n_groups)]
    )
    error = np.sqrt((n_groups - 1) * without.var())
    reach = stats.t.ppf((1 + level) / 2, n_groups - 1) * error
    value = measure.function(*rows)
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


def is_costly(measure: Measure) -> bool:
    """Tell whether a measure takes so long that it is resampled less often."""
    return measure.costly or (measure.per_item is None and measure.weighted is None)
