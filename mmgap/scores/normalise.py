"""Bring the scores of a leg onto a scale on which legs can be merged.

Every normaliser is a scikit-learn transformer of matrices of shape (n_query, n_doc); a row is the
list of scores that one leg gave to one query. Larger is better before and after. NaN marks a
document that the leg does not have: it enters no statistic and becomes ``missing`` (NaN stays out
of a merge, 0 is ranx' choice in weighted sums, "min" the smallest normalised score of its list).

Statistics come from each list by itself (``reference="query"``, no fit needed) or from reference
scores of the leg on calibration data, given to ``fit`` (``reference="calibration"``): then one
normaliser for each leg, see :func:`mmgap.scores.calibrate.fit_legs`. Fitted on one column it
transforms lists of any length; fitted on a matrix, only such with as many columns, as scikit-learn
demands. No normaliser reverses an order within a leg. Infinite scores, and parameters that are not
offered, raise :class:`~mmgap.errors.MmgapError`. :data:`FACTS` says what each one does.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from mmgap.errors import MmgapError

REFERENCES = ("query", "calibration")
"""Where the statistics of a normaliser may come from."""


class ScoreEstimator(TransformerMixin, BaseEstimator):
    """Base of normalisers and calibrators: which matrices they take."""

    def _validated(self, X: np.ndarray, *, reset: bool) -> np.ndarray:
        checks: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        try:
            if not reset and getattr(self, "n_features_in_", None) == 1:
                return check_array(X, estimator=self, **checks)
            return validate_data(self, X, reset=reset, **checks)
        except ValueError as error:
            remedy = (
                ". To transform lists of another length, fit on one column: fit(X.reshape(-1, 1))"
                if "is expecting" in str(error)
                else ""
            )
            msg = f"{error}{remedy}"
            raise MmgapError(msg) from error

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class ScoreNormaliser(ScoreEstimator):
    """Base: a subclass says in ``_normalise`` what happens to the scores that are there."""

    missing: float | str
    reference = "query"

    def fit(self, X: np.ndarray, y: object = None) -> ScoreNormaliser:  # noqa: ARG002
        """Take what is needed from reference scores; nothing, if each list is its own reference."""
        scores = self._validated(X, reset=True)
        reference = scores[~np.isnan(scores)]
        if self._needs_fit:
            if reference.size == 0:
                msg = (
                    f"{type(self).__name__} needs at least one reference score; the "
                    f"{scores.size} entries of X are all NaN"
                )
                raise MmgapError(msg)
            self._fit_reference(reference)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Normalise the scores of each query, as float64."""
        if self._needs_fit:
            check_is_fitted(self)
        scores = self._validated(X, reset=False)
        there = ~np.isnan(scores)
        # A row without any score gets zeros for the arithmetic and is masked again below.
        scores = np.where(there.any(axis=1, keepdims=True), scores, 0.0)
        normalised = np.where(there, self._normalise(scores), np.nan)
        return np.where(there, normalised, self._missing(normalised, there))

    @property
    def _needs_fit(self) -> bool:
        if self.reference not in REFERENCES:
            msg = f"reference must be one of {REFERENCES}; got {self.reference!r}"
            raise MmgapError(msg)
        return self.reference == "calibration"

    def _missing(self, normalised: np.ndarray, there: np.ndarray) -> np.ndarray | float:  # noqa: ARG002
        """Return what documents without a score get."""
        if not isinstance(self.missing, str):
            return self.missing
        if self.missing != "min":
            msg = f"missing must be a number, NaN or 'min'; got {self.missing!r}"
            raise MmgapError(msg)
        return np.fmin.reduce(normalised, axis=1, keepdims=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self._needs_fit
        return tags

    def _fit_reference(self, reference: np.ndarray) -> None:
        """Keep what is needed of reference scores of shape (n_score,)."""

    @abstractmethod
    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        """Normalised scores; NaN stays where it is, every row has a score."""


class LinearNormaliser(ScoreNormaliser):
    """Base of (s - offset) / scale; a subclass says in ``_line`` what these are.

    Where the scale is 0 the scores become ``equal``, the only score of a list ``single`` (None: as
    ``equal``): a number, NaN, "raw" (as they are) or "positive" (1 above 0, else 0).
    """

    equal: float | str = 0.0
    single: float | str | None = None
    clip = False

    def __init__(self, *, reference: str = "query", missing: float | str = np.nan) -> None:
        self.reference = reference
        self.missing = missing

    def _fit_reference(self, reference: np.ndarray) -> None:
        offset, scale = self._line(reference[None, :])
        self.offset_, self.scale_ = offset.item(), scale.item()
        self.n_reference_ = reference.size

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        if self._needs_fit:
            column = np.ones((len(scores), 1))
            offset, scale = column * self.offset_, column * self.scale_
            n_reference = column * self.n_reference_
        else:
            offset, scale = self._line(scores)
            n_reference = (~np.isnan(scores)).sum(axis=1, keepdims=True)
        flat = ~(scale > 0)
        normalised = (scores - offset) / np.where(flat, 1.0, scale)
        if self.clip:
            normalised = np.clip(normalised, 0.0, 1.0)
        if not flat.any():
            return normalised
        flat_scores = _instead(self.equal, scores, "equal")
        if self.single is not None:
            alone = _instead(self.single, scores, "single")
            flat_scores = np.where(n_reference == 1, alone, flat_scores)
        return np.where(flat, flat_scores, normalised)

    @abstractmethod
    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offset and scale of each row, shape (n_row, 1)."""


def _instead(value: float | str, scores: np.ndarray, name: str) -> np.ndarray:
    if value == "raw":
        return scores
    if value == "positive":
        return np.where(scores > 0, 1.0, 0.0)
    if isinstance(value, str):
        msg = f"{name} must be a number, NaN, 'raw' or 'positive'; got {value!r}"
        raise MmgapError(msg)
    return np.full_like(scores, value)


def _low(scores: np.ndarray) -> np.ndarray:
    return np.nanmin(scores, axis=1, keepdims=True)


def _high(scores: np.ndarray) -> np.ndarray:
    return np.nanmax(scores, axis=1, keepdims=True)


def _mean_and_sd(scores: np.ndarray, ddof: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each row; the latter exactly 0 where all scores are equal."""
    if ddof not in (0, 1):
        msg = f"ddof must be 0 (sigma over n) or 1 (over n - 1); got {ddof!r}"
        raise MmgapError(msg)
    n = (~np.isnan(scores)).sum(axis=1, keepdims=True)
    mean = np.nansum(scores, axis=1, keepdims=True) / n
    squares = np.nansum((scores - mean) ** 2, axis=1, keepdims=True)
    sd = np.sqrt(squares / np.maximum(n - ddof, 1))
    # Rounding in the mean would leave equal scores a standard deviation near 1e-17.
    return mean, np.where(_high(scores) == _low(scores), 0.0, sd)


class MinMaxNormaliser(LinearNormaliser):
    """(s - min) / (max - min): the best document of every list gets 1, however good it is.

    ``equal`` is 0.5 in mteb, Qdrant and Vespa, 0 in ranx, 1 in OpenSearch, NaN in AutoRAG, "raw" in
    Elasticsearch, "positive" in LlamaIndex; ``single`` is "raw" in Qdrant.

    >>> MinMaxNormaliser().fit_transform(np.array([[0.25, 0.5, 0.75], [-0.5, np.nan, -0.25]]))
    array([[0. , 0.5, 1. ], [0. , nan, 1. ]])
    """

    def __init__(
        self,
        *,
        reference: str = "query",
        equal: float | str = 0.5,
        single: float | str | None = None,
        missing: float | str = np.nan,
    ) -> None:
        super().__init__(reference=reference, missing=missing)
        self.equal = equal
        self.single = single

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = _low(scores)
        return low, _high(scores) - low


class TheoreticalMinMaxNormaliser(LinearNormaliser):
    """(s - infimum) / (max - infimum), the infimum being -1 for a cosine, 0 for BM25.

    Where all scores lie below the infimum the distance to it is the scale, so that order holds.

    >>> TheoreticalMinMaxNormaliser().fit_transform(np.array([[0.0, 0.25, 1.0]]))
    array([[0.5  , 0.625, 1.   ]])
    """

    def __init__(
        self,
        *,
        infimum: float = -1.0,
        reference: str = "query",
        missing: float | str = np.nan,
    ) -> None:
        super().__init__(reference=reference, missing=missing)
        self.infimum = infimum

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = _high(scores)
        return np.full_like(high, self.infimum), np.abs(high - self.infimum)


class MaxNormaliser(LinearNormaliser):
    """s / max; where all scores are negative, the size of the largest one is the divisor.

    So the order holds and the best document gets -1; ranx divides by 1e-9 there.

    >>> MaxNormaliser().fit_transform(np.array([[0.25, 0.5], [-0.5, -1.0]]))
    array([[ 0.5,  1. ], [-1. , -2. ]])
    """

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        high = _high(scores)
        return np.zeros_like(high), np.abs(high)


class SumNormaliser(LinearNormaliser):
    """(s - min) / sum of (s - min), over each list: merge lists of equal length only.

    >>> SumNormaliser().fit_transform(np.array([[1.0, 2.0, 4.0]]))
    array([[0.  , 0.25, 0.75]])
    """

    def __init__(self, *, missing: float | str = np.nan) -> None:
        super().__init__(missing=missing)

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = _low(scores)
        return low, np.nansum(scores - low, axis=1, keepdims=True)


class L2Normaliser(LinearNormaliser):
    """s / sqrt(sum of s squared), over each list: merge lists of equal length only.

    >>> L2Normaliser().fit_transform(np.array([[3.0, -4.0]]))
    array([[ 0.6, -0.8]])
    """

    def __init__(self, *, missing: float | str = np.nan) -> None:
        super().__init__(missing=missing)

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        length = np.sqrt(np.nansum(scores**2, axis=1, keepdims=True))
        return np.zeros_like(length), length


class ZScoreNormaliser(LinearNormaliser):
    """(s - mean) / standard deviation; ``ddof`` is 0 in ranx, mteb, LlamaIndex, 1 in Qdrant.

    Takes spread for evidence: a leg whose relevant documents stand out less in its own spread
    loses. With ``missing=0`` a missing document beats every document below the mean.

    >>> reference = ZScoreNormaliser(reference="calibration").fit(np.array([[1.0], [3.0]]))
    >>> reference.transform(np.array([[1.0, 2.0, 4.0, np.nan]]))
    array([[-1.,  0.,  2., nan]])
    """

    def __init__(
        self, *, reference: str = "query", ddof: int = 0, missing: float | str = np.nan
    ) -> None:
        super().__init__(reference=reference, missing=missing)
        self.ddof = ddof

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _mean_and_sd(scores, self.ddof)


class DBSFNormaliser(LinearNormaliser):
    """(s - mean + 3 sigma) / (6 sigma): min-max over three standard deviations around the mean.

    ``clip`` cuts to [0, 1] as mteb does, which ties every document above; Qdrant and LlamaIndex do
    not. Clipping can raise an optimistic recall above that of the better leg alone. ``ddof`` is 1
    in Qdrant, 0 in mteb, LlamaIndex and AutoRAG. Unclipped, it orders all lists as z does.

    >>> DBSFNormaliser(ddof=0).fit_transform(np.array([[0.0, 2.0]])).round(4)
    array([[0.3333, 0.6667]])
    """

    equal = 0.5

    def __init__(
        self,
        *,
        clip: bool = False,
        ddof: int = 1,
        reference: str = "query",
        missing: float | str = np.nan,
    ) -> None:
        super().__init__(reference=reference, missing=missing)
        self.clip = clip
        self.ddof = ddof

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, sd = _mean_and_sd(scores, self.ddof)
        return mean - 3 * sd, 6 * sd


class PercentileRangeNormaliser(LinearNormaliser):
    """(s - P1) / (P99 - P1): min-max between two percentiles, which outliers hardly move.

    A list of fewer than 100 scores has its percentiles next to its ends. Where more than 98 % of
    the scores are equal, the others count as equal too.

    >>> scores = np.linspace(0.0, 1.0, 101)[None, :]
    >>> PercentileRangeNormaliser().fit_transform(scores)[0, [1, 50, 99]].round(12)
    array([0. , 0.5, 1. ])
    """

    equal = 0.5

    def __init__(
        self,
        *,
        low: float = 1.0,
        high: float = 99.0,
        reference: str = "query",
        missing: float | str = np.nan,
    ) -> None:
        super().__init__(reference=reference, missing=missing)
        self.low = low
        self.high = high

    def _line(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= self.low < self.high <= 100:
            msg = f"need 0 <= low < high <= 100; got low={self.low!r}, high={self.high!r}"
            raise MmgapError(msg)
        low, high = np.nanpercentile(scores, [self.low, self.high], axis=1)[..., None]
        # Linear interpolation between equal scores can leave a difference by rounding.
        rounding = 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        return low, np.where(high - low > rounding, high - low, 0.0)


class QuantileNormaliser(ScoreNormaliser):
    """F(s): fraction of reference scores below s, equal ones counting one half; also called CDF.

    Scores beyond the largest reference score all become 1 and tie; of n reference scores no two
    results are closer than 1 / (2 n) unless they tie: use many. Where they are those of unmatched
    pairs only, 1 - F(s) is the p-value of "not a match".

    >>> cdf = QuantileNormaliser().fit(np.array([[0.1], [0.2], [0.2], [0.4]]))
    >>> cdf.transform(np.array([[0.0, 0.2, 0.3, 0.9]]))
    array([[0.  , 0.5 , 0.75, 1.  ]])
    """

    def __init__(self, *, reference: str = "calibration", missing: float | str = np.nan) -> None:
        self.reference = reference
        self.missing = missing

    def _fit_reference(self, reference: np.ndarray) -> None:
        self.reference_ = np.sort(reference)

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        if self._needs_fit:
            return _fraction_below(self.reference_, scores)
        return np.stack([_fraction_below(np.sort(row[~np.isnan(row)]), row) for row in scores])


def _fraction_below(ascending: np.ndarray, scores: np.ndarray) -> np.ndarray:
    below = np.searchsorted(ascending, scores, side="left")
    return (below + np.searchsorted(ascending, scores, side="right")) / (2 * ascending.size)


class RankNormaliser(ScoreNormaliser):
    """1 - (rank - 1) / n, rank 1 for the largest of the n scores of a list; equal ones share.

    Blind to how far apart scores are. Disjoint lists of equal length tie rank by rank.

    >>> RankNormaliser().fit_transform(np.array([[0.9, 0.1, 0.5, np.nan, 0.5]]))
    array([[1.   , 0.25 , 0.625,   nan, 0.625]])
    """

    def __init__(self, *, missing: float | str = np.nan) -> None:
        self.missing = missing

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        return 1 - (_ranks(scores) - 1) / (~np.isnan(scores)).sum(axis=1, keepdims=True)


class BordaNormaliser(ScoreNormaliser):
    """1 - (rank - 1) / c, c being the number of candidates, in this list or missing from it.

    The columns of a row are the candidates: all documents that any leg returned for the query, and
    no others. With ``missing="share"`` missing ones get the points left over in equal parts, as
    Aslam and Montague and ranx do, so that every list gives (c + 1) / 2 points in all.

    >>> BordaNormaliser().fit_transform(np.array([[0.9, np.nan, 0.2, np.nan]]))
    array([[1.   , 0.375, 0.75 , 0.375]])
    """

    def __init__(self, *, missing: float | str = "share") -> None:
        self.missing = missing

    def _normalise(self, scores: np.ndarray) -> np.ndarray:
        return 1 - (_ranks(scores) - 1) / scores.shape[1]

    def _missing(self, normalised: np.ndarray, there: np.ndarray) -> np.ndarray | float:
        if self.missing != "share":
            return super()._missing(normalised, there)
        return 0.5 - (there.sum(axis=1, keepdims=True) - 1) / (2 * there.shape[1])


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Mean rank of each score in its row, 1 for the largest; NaN ranks behind all."""
    return rankdata(np.where(np.isnan(scores), np.inf, -scores), method="average", axis=1)


class Facts(NamedTuple):
    """What a normaliser does to scores, and where it is from."""

    normaliser: ScoreNormaliser
    low: float
    high: float
    shift_free: bool
    """Unchanged when a constant is added to all scores, so that negative ones need no care."""
    source: str


_INF = float("inf")
_LEE, _OUTLIERS = "Lee, SIGIR 1997", "atlantis-nova/hybrid-dbsf"
_MONTAGUE = "Montague and Aslam, CIKM 2001"
_BRUCH, _MANMATHA = "Bruch, Gai and Ingber, TOIS 2023", "Manmatha, Rath and Feng, SIGIR 2001"

FACTS: dict[str, Facts] = {
    "min-max": Facts(MinMaxNormaliser(), 0, 1, True, _LEE),
    "tmm": Facts(TheoreticalMinMaxNormaliser(), -_INF, 1, False, _BRUCH),
    "max": Facts(MaxNormaliser(), -_INF, 1, False, "Lee, SIGIR 1995"),
    "sum": Facts(SumNormaliser(), 0, 1, True, _MONTAGUE),
    "z": Facts(ZScoreNormaliser(), -_INF, _INF, True, _MONTAGUE),
    "dbsf": Facts(DBSFNormaliser(), -_INF, _INF, True, "Mazzeschi 2023"),
    "dbsf clipped": Facts(DBSFNormaliser(clip=True), 0, 1, True, "Mazzeschi 2023; mteb"),
    "l2": Facts(L2Normaliser(), -1, 1, False, "OpenSearch; Elasticsearch"),
    "rank": Facts(RankNormaliser(), 0, 1, True, _LEE),
    "borda": Facts(BordaNormaliser(), 0, 1, True, "Aslam and Montague, SIGIR 2001"),
    "p1-p99": Facts(PercentileRangeNormaliser(), -_INF, _INF, True, _OUTLIERS),
    "reference min-max": Facts(MinMaxNormaliser(reference="calibration"), -_INF, _INF, True, _LEE),
    "reference tmm": Facts(
        TheoreticalMinMaxNormaliser(reference="calibration"), -_INF, _INF, False, _BRUCH
    ),
    "reference z": Facts(ZScoreNormaliser(reference="calibration"), -_INF, _INF, True, _MONTAGUE),
    "reference cdf": Facts(QuantileNormaliser(), 0, 1, True, _MANMATHA),
    "reference p1-p99": Facts(
        PercentileRangeNormaliser(reference="calibration"), -_INF, _INF, True, _OUTLIERS
    ),
}
"""Names, ranges and sources; those called ``reference`` must be fitted on calibration data."""

NORMALISERS: dict[str, ScoreNormaliser] = {name: facts.normaliser for name, facts in FACTS.items()}
"""Normalisers by the name that tables use; ``sklearn.base.clone`` one before fitting it."""
