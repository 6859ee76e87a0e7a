"""The formulas of the gap, each a plain function of arrays.

In all of them ``image`` and ``text`` have shape (n, dim), ``rows`` is one modality of that shape.
Rows are brought to unit length in float64 first and inputs stay as they are. Where a measure is one
of *pairs*, row i of the images belongs to row i of the texts. What cannot be used (zero rows, NaN,
other dimensions, too few rows) is an MmgapError that names it; NaN is returned where a measure has
no value, such as the direction of a gap of length 0. :data:`mmgap.gap.MEASURES` says of each its
range, what a larger value means, what leaves it unchanged, and its source.

The function below the public one, ``inspect.unwrap(measure)``, takes unit rows: resampling calls it
so that rows are brought to unit length once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import ParamSpec, TypeVar, cast

import numpy as np
from scipy.linalg import eigh

from mmgap.arrays import BLOCK_BYTES, row_blocks, unit_rows
from mmgap.errors import MmgapError

P = ParamSpec("P")
R = TypeVar("R")
Sides = tuple[np.ndarray, ...]

_TIED = 1e-12  # cosines closer than this have no order: rounding decides it
_ROWS_FOR_WIDTH = 1_000
_ROWS_FOR_DIFFERENCES = 1_000


# What comes in


def two_sides(image: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of both modalities, which need not be pairs but live in one space."""
    image = unit_rows("image_embeddings", image)
    text = unit_rows("text_embeddings", text)
    if image.shape[1] != text.shape[1]:
        msg = (
            f"images and texts must live in one space; got {image.shape[1]} dimensions for images "
            f"and {text.shape[1]} for texts. Embed both with one model"
        )
        raise MmgapError(msg)
    return image, text


def paired_rows(image: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit rows of both modalities, row i of one belonging to row i of the other."""
    image, text = two_sides(image, text)
    if len(image) != len(text):
        msg = (
            f"row i of the images must belong to row i of the texts; got {len(image)} images and "
            f"{len(text)} texts. Where an image has several texts, keep one for each"
        )
        raise MmgapError(msg)
    return image, text


def need_rows(rows: np.ndarray, least: int, why: str) -> None:
    """Raise MmgapError if there are fewer than ``least`` rows."""
    if len(rows) < least:
        msg = f"{why} needs at least {least} rows of each modality; got {len(rows)}"
        raise MmgapError(msg)


def _one_side(rows: np.ndarray) -> tuple[np.ndarray]:
    return (unit_rows("embeddings", rows),)


def _of(
    door: Callable[..., Sides], least: int = 1, why: str = ""
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let embeddings in by a door; the function itself then sees unit rows."""

    def decorate(formula: Callable[P, R]) -> Callable[P, R]:
        names = list(signature(formula).parameters)[: 1 if door is _one_side else 2]

        @wraps(formula)
        def measure(*args: object, **options: object) -> R:
            given = signature(formula).bind(*args, **options).arguments
            sides = door(*(given.pop(name) for name in names))
            for side in sides:
                need_rows(side, least, why)
            return cast(Callable[..., R], formula)(*sides, **given)

        return cast(Callable[P, R], measure)

    return decorate


_PAIRS = _of(paired_rows)
_TWO_PAIRS = _of(paired_rows, 2, "a mean over different items")
_SETS = _of(two_sides)
_SIDE = _of(_one_side, 2, "a mean over different items or a covariance")


# Means over all pairs of different items, without a matrix of all pairs


def cosine_over_pairs(rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean of ``rows[i] @ others[j]`` over i != j, in closed form.

    ``weights`` of shape (n_draw, n) says how often each item counts in each draw. A pair counts
    ``weights[i] * weights[j]`` times: a second copy of an item is no other item. NaN where a draw
    holds one item only.

    >>> cosine_over_pairs(np.eye(3), np.eye(3), np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]))
    array([0., 0.])
    """
    total = weights @ rows
    total_others = total if others is rows else weights @ others
    with_itself = weights**2 @ np.einsum("ij,ij->i", rows, others)
    return _over_pairs(np.einsum("ij,ij->i", total, total_others) - with_itself, weights)


def gaussian_over_pairs(
    rows: np.ndarray, others: np.ndarray, t: float, weights: np.ndarray
) -> np.ndarray:
    """Weighted mean of ``exp(-t |rows[i] - others[j]|^2)`` over i != j; draws use the same blocks.

    >>> gaussian_over_pairs(np.eye(2), np.eye(2), 1.0, np.ones((1, 2)))  # 2 apart, squared
    array([0.13533528])
    """
    if not t > 0:
        msg = f"t, the sharpness of the Gaussian, must be above 0; got {t}"
        raise MmgapError(msg)
    n = len(rows)
    sums = np.zeros(len(weights))
    for block in row_blocks(n, n):
        kernel = rows[block] @ others.T
        kernel -= 1
        kernel *= 2 * t
        np.exp(kernel, out=kernel)
        np.fill_diagonal(kernel[:, block], 0)
        sums += np.einsum("di,id->d", weights[:, block], kernel @ weights.T)
    return _over_pairs(sums, weights)


def _over_pairs(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    return np.where(pairs > 0, sums / np.where(pairs > 0, pairs, 1), np.nan)


def _once(rows: np.ndarray) -> np.ndarray:
    return np.ones((1, len(rows)))


# How far apart?


@_SETS
def gap_vector(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Mean image minus mean text; its length is :func:`l2m`. Liang et al. 2022, Sec. 4.2.

    Some public code averages embeddings as the model gives them: long rows then weigh more.

    >>> gap_vector(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[-1.0, 0.0]]))
    array([1.5, 0.5])
    """
    return image.mean(axis=0) - text.mean(axis=0)


_gap = cast(Callable[..., np.ndarray], gap_vector.__wrapped__)  # type: ignore[attr-defined]


@_SETS
def l2m(image: np.ndarray, text: np.ndarray) -> float:
    """Distance of the centroids, ``|mean x - mean y|``, in [0, 2]; blind to spread and shape.

    Too large for few rows: its square exceeds the population's by tr Cov(x - y) / n (50 pairs of
    CLIP ViT-B/16 give .858, 500 give .851). CLIP-Refine prints L2M^2 / dim as "modality_gap".
    Liang et al. 2022, Sec. 4.2.

    >>> round(l2m(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])), 6)
    1.414214
    """
    return float(np.linalg.norm(_gap(image, text)))


@_of(paired_rows, 2, "a covariance")
def plug_in_bias(image: np.ndarray, text: np.ndarray) -> float:
    """By how much :func:`l2m` is too large on average: tr Cov(x - y) / (2 n L2M), first order.

    Infinite where the centroids coincide. Differences (1, 1) and (1, -1): mean (1, 0), trace 2.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])
    >>> plug_in_bias(image, text)
    0.5
    """
    difference = image - text
    distance = float(np.linalg.norm(difference.mean(axis=0)))
    if distance == 0:
        return float("inf")
    return float(difference.var(axis=0, ddof=1).sum() / (2 * len(image) * distance))


@_of(paired_rows, 2, "a covariance")
def l2m_unbiased(image: np.ndarray, text: np.ndarray) -> float:
    """Distance of the centroids corrected for n: sqrt(max(0, L2M^2 - tr Cov(x - y) / n)).

    The square is the mean of (x_i - y_i) . (x_j - y_j) over i != j and does not depend on n on
    average. 0 where the correction exceeds L2M^2: the sample shows no gap.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, -1.0], [0.0, 1.0]])
    >>> l2m_unbiased(image, text)
    0.0
    """
    return float(weighted_l2m_unbiased(image, text, _once(image))[0])


@_PAIRS
def l2i(image: np.ndarray, text: np.ndarray) -> float:
    """Mean distance of the two members of a pair, in [L2M, 2].

    Mixes the gap with how well pairs match. Schrodi et al. 2025, Sec. 3.

    >>> l2i(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    1.0
    """
    return float(distance_per_pair(image, text).mean())


@_TWO_PAIRS
def rmg(image: np.ndarray, text: np.ndarray, *, floor: float = 0.0) -> float:
    """Relative modality gap P / (P + (I + T) / 2) of d = (1 - cosine) / 2, in [0, 1].

    P is the mean d of pairs, I and T that of different images and of different texts; 0.5 = a pair
    is as far apart as two random images or texts. Rises also where a modality narrows and no pair
    moves. ``floor`` stands in for P = 0 (the official code: 1e-3). A port in
    ``few_dims_drive_modalitygap`` does not halve 1 - cosine for pairs and sums one triangle only:
    it prints .853 where the official code has .591. Schrodi et al. 2025, Sec. 3.

    >>> image, text = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, -1.0]])
    >>> round(rmg(image, text), 6)
    0.333333
    """
    return float(weighted_rmg(image, text, _once(image), floor)[0])


@_PAIRS
def paired_cosine(image: np.ndarray, text: np.ndarray) -> float:
    """Mean cosine of a pair; compare with :func:`unpaired_cosine`. Hessel et al. 2021, Sec. 3.

    >>> paired_cosine(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    0.5
    """
    return float(cosine_per_pair(image, text).mean())


@_TWO_PAIRS
def unpaired_cosine(image: np.ndarray, text: np.ndarray) -> float:
    """Mean cosine of images with the texts of others: what a match must exceed.

    Low also where both modalities spread over the whole sphere: compare with :func:`cone`.

    >>> unpaired_cosine(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]))
    0.5
    """
    return float(cosine_over_pairs(image, text, _once(image))[0])


@_PAIRS
def alignment(image: np.ndarray, text: np.ndarray, *, alpha: float = 2.0) -> float:
    """Mean distance of a pair to the power ``alpha``, in [0, 2 ** alpha]; 2 - 2 cosine for 2.

    0 also where all rows are one point: read it with :func:`uniformity`. Wang and Isola 2020, 4.1.

    >>> alignment(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    2.0
    """
    if not alpha > 0:
        msg = f"alpha, the power of the distances, must be above 0; got {alpha}"
        raise MmgapError(msg)
    return float((distance_per_pair(image, text) ** alpha).mean())


def distance_per_pair(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Distance of each pair of unit rows."""
    difference = image - text
    return np.sqrt(np.einsum("ij,ij->i", difference, difference))


def squared_distance_per_pair(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Squared distance of each pair of unit rows."""
    return distance_per_pair(image, text) ** 2.0


def cosine_per_pair(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Cosine of each pair of unit rows."""
    return np.einsum("ij,ij->i", image, text)


def _weighted_gaps(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ (image - text) / weights.sum(axis=1, keepdims=True)


def weighted_l2m(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """L2M of each draw of pairs."""
    return np.linalg.norm(weights @ (image - text), axis=1) / weights.sum(axis=1)


def weighted_l2m_unbiased(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Corrected L2M of each draw; a pair drawn twice is not taken for two that agree."""
    difference = image - text
    return np.sqrt(np.maximum(cosine_over_pairs(difference, difference, weights), 0))


def weighted_rmg(
    image: np.ndarray, text: np.ndarray, weights: np.ndarray, floor: float = 0.0
) -> np.ndarray:
    """RMG of each draw of pairs."""
    squared = ((image - text) ** 2).sum(axis=1)
    paired = weights @ squared / (4 * weights.sum(axis=1))
    paired = np.where(paired > 0, paired, floor)
    cosines = [cosine_over_pairs(side, side, weights) for side in (image, text)]
    # Rounding can take a mean cosine of 1 above 1.
    within = np.maximum((2 - cosines[0] - cosines[1]) / 4, 0)
    total = paired + within
    return np.where(total == 0, 0.0, paired / np.where(total == 0, 1, total))


# Can the two be told apart, and how do the distributions differ?


@_PAIRS
def linear_separability(
    image: np.ndarray,
    text: np.ndarray,
    *,
    n_folds: int = 5,
    n_repeats: int = 3,
    rng: np.random.Generator | None = None,
) -> float:
    """Held-out accuracy of a logistic regression that tells images from texts, in [0, 1].

    Both members of a pair lie in one of ``n_folds`` folds, dealt ``n_repeats`` times by ``rng``
    (None = ``default_rng(0)``). 1 = a plane separates them, .5 = they cannot be told apart. Stays
    at 1 while the gap shrinks a lot. Falls *below* .5 where both modalities were centred on these
    same rows: centre on other rows. scikit-learn's defaults on unit rows; the code that introduced
    the measure trains on 80 % of the rows, its comment says 20 %. Fahim et al. 2024, Sec. 4.

    >>> rng = np.random.default_rng(0)
    >>> image, text = rng.normal(1, 0.1, (20, 3)), rng.normal(-1, 0.1, (20, 3))
    >>> linear_separability(image, text)
    1.0
    """
    right = told_apart_per_pair(image, text, n_folds=n_folds, n_repeats=n_repeats, rng=rng)
    return float(right.mean())


def told_apart_per_pair(
    image: np.ndarray,
    text: np.ndarray,
    *,
    n_folds: int = 5,
    n_repeats: int = 3,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Fraction of each pair's held-out judgments that are right."""
    from sklearn.linear_model import LogisticRegression

    if n_folds < 2 or n_repeats < 1:
        msg = f"n_folds must be >= 2 and n_repeats >= 1; got {n_folds} and {n_repeats}"
        raise MmgapError(msg)
    n = len(image)
    need_rows(image, n_folds, f"a test on {n_folds} folds")
    rng = np.random.default_rng(0) if rng is None else rng
    right = np.zeros(n)
    for _ in range(n_repeats):
        fold_of = rng.permutation(n) % n_folds
        for fold in range(n_folds):
            held_out = fold_of == fold
            train = np.concatenate([image[~held_out], text[~held_out]])
            is_image = np.repeat([True, False], len(train) // 2)
            classifier = LogisticRegression(max_iter=1000).fit(train, is_image)
            right[held_out] += classifier.predict(image[held_out])
            right[held_out] += ~classifier.predict(text[held_out])
    return right / (2 * n_repeats)


@_SETS
def knn_fraction(image: np.ndarray, text: np.ndarray, *, k: int = 10) -> float:
    """Fraction of the k nearest neighbours, in the pool of both, of the item's own modality.

    Mean over images and mean over texts, averaged; 1 = nobody has a neighbour of the other
    modality, about .5 = one distribution. Sees no difference between a gap that just separates and
    a larger one. Cosines that tie for the last ranks count as the mean over their orders.
    Schilling 1986, Sec. 2.

    >>> image = np.array([[1.0, 0.0], [0.99, 0.1]])
    >>> knn_fraction(image, image[:, ::-1], k=1)
    1.0
    """
    return float(np.mean([side.mean() for side in _own_neighbours(image, text, k)]))


@_SETS
def knn_fraction_by_item(
    image: np.ndarray, text: np.ndarray, *, k: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """:func:`knn_fraction` of each image and of each text.

    >>> image, text = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0]])
    >>> knn_fraction_by_item(image, text, k=1)
    (array([0., 0.]), array([0.]))
    """
    return _own_neighbours(image, text, k)


def own_neighbours_per_pair(image: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Mean of :func:`knn_fraction` of both items of a pair; the pool stays the whole sample."""
    of_image, of_text = _own_neighbours(image, text, 10)
    return (of_image + of_text) / 2


def _own_neighbours(image: np.ndarray, text: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    pool = np.concatenate([image, text])
    _need_neighbours(k, len(pool), "images and texts")
    of_image = np.arange(len(pool)) < len(image)
    fractions = np.empty(len(pool))
    for rows in row_blocks(len(pool), len(pool), block_bytes=BLOCK_BYTES):
        cosines = pool[rows] @ pool.T
        np.fill_diagonal(cosines[:, rows], -np.inf)
        images = neighbour_probability(cosines, k)[:, of_image].sum(axis=1) / k
        fractions[rows] = np.where(of_image[rows], images, 1 - images)
    return fractions[of_image], fractions[~of_image]


def neighbour_probability(scores: np.ndarray, k: int) -> np.ndarray:
    """Probability of each item to be among the first k, if ties (within 1e-12) break at random.

    Minus infinity leaves an item out. Rows sum to k. Here two items tie for the second rank:

    >>> neighbour_probability(np.array([[0.9, 0.5, 0.5, 0.1]]), k=2)
    array([[1. , 0.5, 0.5, 0. ]])
    """
    last = np.partition(scores, -k, axis=1)[:, -k, None]
    above = scores > last + _TIED
    tied = (scores >= last - _TIED) & ~above
    left = k - above.sum(axis=1, keepdims=True)
    return above + tied * (left / tied.sum(axis=1, keepdims=True))


def _need_neighbours(k: int, n: int, what: str) -> None:
    if not (isinstance(k, int | np.integer) and 1 <= k < n):
        msg = (
            f"k is {k!r} and there are {n} {what}; expected a whole number of at least 1 and "
            "fewer than the items, since an item is no neighbour of itself. Give a smaller k or "
            "more items"
        )
        raise MmgapError(msg)


@_of(two_sides, 2, "a covariance")
def frechet(image: np.ndarray, text: np.ndarray) -> float:
    """Squared Frechet distance of two Gaussians with the modalities' means and covariances.

    ``|mean x - mean y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))``, covariances over n - 1, in [0, 4].
    Blind to what means and covariances do not show; too large where rows are few against
    dimensions. Heusel et al. 2017, Eq. 6.

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> text = np.array([[0.6, 0.8], [-0.6, 0.8]])
    >>> round(frechet(image, text), 2)
    2.72
    """
    return sum(frechet_terms(image, text))


@_SETS
def frechet_mean_term(image: np.ndarray, text: np.ndarray) -> float:
    """Part of :func:`frechet` that is due to the two centroids: L2M squared.

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> round(frechet_mean_term(image, image[:, ::-1]), 2)
    1.28
    """
    return float(np.sum(_gap(image, text) ** 2))


@_of(two_sides, 2, "a covariance")
def frechet_covariance_term(image: np.ndarray, text: np.ndarray) -> float:
    """Part of :func:`frechet` that is due to shape and size of the two clouds, in [0, 4].

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> round(frechet_covariance_term(image, image[:, ::-1]), 2)
    1.44
    """
    return frechet_terms(image, text)[1]


def frechet_terms(image: np.ndarray, text: np.ndarray) -> tuple[float, float]:
    """Both terms; tr (S_x S_y)^(1/2) is the sum of the singular values of A' B.

    ``S_x = A A'`` and ``S_y = B B'``: no root of a matrix that is not symmetric, also if n < dim.
    """
    roots = [
        np.linalg.qr(side - side.mean(axis=0), mode="r") / np.sqrt(len(side) - 1)
        for side in (image, text)
    ]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float(np.sum(root**2)) for root in roots)
    # Equal covariances may leave a rounding error below zero.
    return float(np.sum(_gap(image, text) ** 2)), max(0.0, float(spread - 2 * shared))


def weighted_mean_term(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Squared L2M of each draw of pairs."""
    return np.sum(_weighted_gaps(image, text, weights) ** 2, axis=1)


@_SETS
def mmd(image: np.ndarray, text: np.ndarray) -> float:
    """Squared maximum mean discrepancy, kernel ``exp(-|u - v|^2 / m2)``, i = j included; [0, 2].

    ``m2`` is the median squared distance of different rows of the pool (of 1,000 rows a modality
    at equal steps, where there are more). Sees any difference of the distributions; two samples of
    one give about (1/n_image + 1/n_text) (1 - mean k). Public codes differ in width and in i = j:
    compare numbers of one code only. Gretton et al. 2012, Eq. 5 and Sec. 8.

    >>> image, text = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> round(mmd(image, text), 6) == round(2 - 2 / np.e, 6)
    True
    """
    width = _median_squared_distance(image, text)
    within = sum(_mean_kernel(side, side, width) for side in (image, text))
    # Equal sets of rows may leave a rounding error below zero.
    return max(0.0, within - 2 * _mean_kernel(image, text, width))


def weighted_mmd(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """MMD of each draw of pairs, with the kernel's width of the whole sample."""
    width = _median_squared_distance(image, text)
    weights = weights / weights.sum(axis=1, keepdims=True)
    total = np.zeros(len(weights))
    for rows in row_blocks(len(image), len(image)):
        kernel = _kernel(image[rows], image, width)
        kernel += _kernel(text[rows], text, width)
        kernel -= 2 * _kernel(image[rows], text, width)
        total += np.einsum("dr,dr->d", weights @ kernel.T, weights[:, rows])
    return np.maximum(total, 0)


def _squared_distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    distances = left @ right.T
    distances *= -2
    distances += 2
    return np.maximum(distances, 0, out=distances)


def _median_squared_distance(image: np.ndarray, text: np.ndarray) -> float:
    """Median over pairs of different rows of the pool; 1 if all rows are equal."""
    some = []
    for side in (image, text):
        n = min(len(side), _ROWS_FOR_WIDTH)
        some.append(side[np.arange(n) * len(side) // n])
    pool = np.concatenate(some)
    distances = _squared_distances(pool, pool)[np.triu_indices(len(pool), 1)]
    distances = distances[distances > _TIED]  # equal rows are a rounding error apart
    return float(np.median(distances)) if len(distances) else 1.0


def _kernel(left: np.ndarray, right: np.ndarray, width: float) -> np.ndarray:
    distances = _squared_distances(left, right)
    distances /= -width
    return np.exp(distances, out=distances)


def _mean_kernel(left: np.ndarray, right: np.ndarray, width: float) -> float:
    blocks = row_blocks(len(left), len(right), block_bytes=BLOCK_BYTES)
    total = sum(_kernel(left[rows], right, width).sum() for rows in blocks)
    return float(total / (len(left) * len(right)))


# Do both modalities arrange the items alike?


@_of(paired_rows, 2, "an alignment of pairs")
def linear_cka(image: np.ndarray, text: np.ndarray) -> float:
    """Linear centred kernel alignment, ``|X' Y|^2 / (|X' X| |Y' Y|)`` of centred rows, in [0, 1].

    1 = the centred texts are the centred images, rotated and scaled. Blind to where the centroids
    lie. Too large for few pairs: independent rows give about d / (n + d). NaN if the rows of a
    modality are equal. Kornblith et al. 2019, Sec. 3.

    >>> image = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    >>> round(linear_cka(image, np.array([[0.0, 1.0], [-0.6, 0.8], [-0.8, 0.6], [-1.0, 0.0]])), 6)
    1.0
    """
    image, text = image - image.mean(axis=0), text - text.mean(axis=0)
    if min(np.sum(image**2), np.sum(text**2)) <= 1e-24 * len(image):
        return float("nan")
    shared = np.sum((image.T @ text) ** 2)
    alone = np.linalg.norm(image.T @ image) * np.linalg.norm(text.T @ text)
    return float(min(1.0, shared / alone))


@_PAIRS
def neighbourhood_agreement(image: np.ndarray, text: np.ndarray, *, k: int = 10) -> float:
    """Mean of ``|N_k(x_i) & N_k(y_i)| / k``: neighbours that a pair has as image and as text.

    In [0, 1]; without pairing k / (n - 1). Neighbours are of one modality, so it is blind to the
    gap. Falls as n rises. Ties as in :func:`knn_fraction`. Huh et al. 2024, Appendix A.

    >>> image = np.array([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99]])
    >>> neighbourhood_agreement(image, image[:, ::-1], k=1)
    1.0
    """
    return float(agreement_per_pair(image, text, k).mean())


def agreement_per_pair(image: np.ndarray, text: np.ndarray, k: int = 10) -> np.ndarray:
    """Fraction of neighbours that each pair has in common."""
    _need_neighbours(k, len(image), "pairs")
    agreement = np.empty(len(image))
    for rows in row_blocks(len(image), len(image), block_bytes=BLOCK_BYTES):
        found = []
        for side in (image, text):
            cosines = side[rows] @ side.T
            np.fill_diagonal(cosines[:, rows], -np.inf)
            found.append(neighbour_probability(cosines, k))
        agreement[rows] = np.einsum("ij,ij->i", *found) / k
    return agreement


@_TWO_PAIRS
def cross_uniformity(image: np.ndarray, text: np.ndarray, *, t: float = 2.0) -> float:
    """Log of the mean of exp(-t |x_i - y_j|^2) over i != j, in [-4 t, 0].

    Without a gap it lies between the :func:`uniformity` of the modalities, with one far below. Low
    also where both are spread wide. Fahim et al. 2024, Sec. 4.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> round(cross_uniformity(image, text, t=1), 6)
    -0.566219
    """
    return float(weighted_uniformity(image, text, _once(image), t)[0])


def weighted_uniformity(
    rows: np.ndarray, others: np.ndarray, weights: np.ndarray, t: float = 2.0
) -> np.ndarray:
    """Uniformity of each draw."""
    return np.log(gaussian_over_pairs(rows, others, t, weights))


# What shape has each modality?


@_SIDE
def cone(rows: np.ndarray) -> float:
    """Mean cosine of two different items, (n |mean|^2 - 1) / (n - 1), in [-1 / (n - 1), 1].

    About 0 = all directions. Blind to where the cone points. Liang et al. 2022, Sec. 2.1;
    Ethayarajh 2019 calls it anisotropy.

    >>> round(cone(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])), 6)
    0.333333
    """
    return float(cosine_over_pairs(rows, rows, _once(rows))[0])


@_SIDE
def uniformity(rows: np.ndarray, *, t: float = 2.0) -> float:
    """Log of the mean of exp(-t |x_i - x_j|^2) over i < j, in [-4 t, 0]; 0 = one point.

    Rows spread over a sphere of many dimensions come to about -2 t. Near duplicates dominate it.
    ModGap calls another quantity uniformity. Wang and Isola 2020, Sec. 4.1.

    >>> round(uniformity(np.eye(2)), 6)
    -4.0
    """
    return float(weighted_uniformity(rows, rows, _once(rows), t)[0])


@_SIDE
def spectrum(rows: np.ndarray) -> np.ndarray:
    """Variances along the principal axes (n - 1), largest first; rounding errors become 0.

    >>> spectrum(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    array([2., 0.])
    """
    return variances(rows)


def variances(rows: np.ndarray) -> np.ndarray:
    """:func:`spectrum` of unit rows."""
    rows = rows - rows.mean(axis=0)
    n, dim = rows.shape
    # The smaller of the two products: both have the same eigenvalues other than 0.
    product = rows.T @ rows if dim <= n else rows @ rows.T
    found = np.linalg.eigvalsh(product)[::-1] / (n - 1)
    noise = max(found[0] * max(n, dim), 1.0) * np.finfo(np.float64).eps
    return np.where(found > noise, found, 0.0)


@_SIDE
def effective_rank(rows: np.ndarray) -> float:
    """exp(-sum p log p), p = sigma / sum of sigma, of the centred rows' singular values.

    In [1, min(n - 1, dim)], 0 without spread. Grows with n: compare at equal n. The paper does not
    centre and so measures the cone: 258 instead of 298 for the images of CLIP ViT-B/16 on COCO.
    Roy and Vetterli 2007, Sec. 2.

    >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    return rank_by_entropy(variances(rows))


@_SIDE
def variance_dims(rows: np.ndarray, *, fraction: float = 0.99) -> float:
    """Least number of principal axes that hold a fraction of the variance; grows with n.

    Zhang et al. 2024, Sec. 3.

    >>> points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> variance_dims(points), variance_dims(points, fraction=0.4)
    (2.0, 1.0)
    """
    if not 0 < fraction <= 1:
        msg = (
            f"fraction of the variance must lie above 0 and not above 1, e.g. 0.99; got {fraction}"
        )
        raise MmgapError(msg)
    return axes_that_hold(variances(rows), fraction)


@_SIDE
def participation_ratio(rows: np.ndarray) -> float:
    """(sum of lambda)^2 / sum of lambda^2 of the variances; sees the large directions only.

    Gao et al. 2017, Sec. 4.

    >>> round(participation_ratio(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    return rank_by_variance(variances(rows))


def rank_by_entropy(found: np.ndarray) -> float:
    """Effective rank of a spectrum."""
    singular = np.sqrt(found)
    singular = singular[singular > 0]
    if singular.size == 0:
        return 0.0
    p = singular / singular.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def axes_that_hold(found: np.ndarray, fraction: float = 0.99) -> float:
    """Axes of a spectrum that hold a fraction of it."""
    held = np.cumsum(found)
    if held[-1] == 0:
        return 0.0
    # Rounding of the sum must not ask for one axis more.
    return float(np.searchsorted(held, fraction * held[-1] * (1 - 1e-12)) + 1)


def rank_by_variance(found: np.ndarray) -> float:
    """Participation ratio of a spectrum."""
    squares = float((found**2).sum())
    return 0.0 if squares == 0 else float(found.sum() ** 2 / squares)


# Where does the gap point?


@dataclass(frozen=True)
class DimensionProfile:
    """Numbers of the dimensions by falling size of the gap, gap and fraction of its square there.

    ``fractions`` sum to 1, and are NaN where there is no gap.
    """

    dims: np.ndarray
    gap: np.ndarray
    fractions: np.ndarray


def dimension_profile(image: np.ndarray, text: np.ndarray) -> DimensionProfile:
    """Sort the dimensions by how much of the squared gap lies along them; depends on the axes.

    The centroids are (.6, .8, 0) and (0, .8, .6): two dimensions carry the gap, half each.

    >>> profile = dimension_profile(np.array([[0.6, 0.8, 0.0]]), np.array([[0.0, 0.8, 0.6]]))
    >>> profile.dims.tolist(), profile.fractions.round(3).tolist()
    ([0, 2, 1], [0.5, 0.5, 0.0])
    """
    gap = gap_vector(image, text)
    dims = np.argsort(-np.abs(gap), kind="stable")
    return DimensionProfile(dims, gap[dims], _sorted_fractions(gap[None])[0])


@_SETS
def gap_fraction_top1(image: np.ndarray, text: np.ndarray) -> float:
    """Fraction of the squared gap along the dimension with the largest part, in [1 / dim, 1].

    Random noise also has a largest dimension: compare with the null level. Schrodi et
    al. 2025, Sec. 4. The gap is (.4, -.8): .64 of .8.

    >>> round(gap_fraction_top1(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8]])), 6)
    0.8
    """
    return float(_sorted_fractions(_gap(image, text)[None])[0, 0])


@_SETS
def gap_fraction_top8(image: np.ndarray, text: np.ndarray) -> float:
    """Fraction of the squared gap along the eight dimensions with most of it.

    >>> round(gap_fraction_top8(np.ones((1, 16)), -np.ones((1, 16))), 3)
    0.5
    """
    # All fractions may add up to a rounding error above 1; NaN stays NaN.
    return float(np.minimum(_sorted_fractions(_gap(image, text)[None])[0, :8].sum(), 1))


def _sorted_fractions(gaps: np.ndarray) -> np.ndarray:
    """Fractions of the square of each row, descending; NaN where a row is a rounding error."""
    squared = np.sort(gaps**2, axis=1)[:, ::-1]
    total = squared.sum(axis=1, keepdims=True)
    return np.where(total > 1e-24, squared / np.where(total > 1e-24, total, 1), np.nan)


def weighted_top(m: int) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Fraction in the m largest dimensions, of each draw of pairs."""

    def weighted(image: np.ndarray, text: np.ndarray, weights: np.ndarray) -> np.ndarray:
        gaps = _weighted_gaps(image, text, weights)
        return np.minimum(_sorted_fractions(gaps)[:, :m].sum(axis=1), 1)

    return weighted


@_SETS
def pc1_angle(image: np.ndarray, text: np.ndarray) -> float:
    """Absolute cosine of the pool's first principal component with the gap vector, in [0, 1].

    1 = the first axis of a PCA of both modalities is the gap. Meaningless where the first two
    components are equally large. CLIP ViT-B/16 on COCO: .99975. Liang et al. 2022, Sec. 2.

    >>> image = np.array([[1.0, 0.1], [1.0, -0.1]])
    >>> round(pc1_angle(image, -image), 6)
    1.0
    """
    gap = _gap(image, text)
    length = np.linalg.norm(gap)
    if length < _TIED:
        return float("nan")
    pool = np.concatenate([image, text])
    pool -= pool.mean(axis=0)
    last = pool.shape[1] - 1
    _, component = eigh(pool.T @ pool, subset_by_index=[last, last])
    return float(min(1.0, abs(component[:, 0] @ gap) / length))


@_of(paired_rows, 2, "a comparison of groups")
def gap_constancy(
    image: np.ndarray,
    text: np.ndarray,
    *,
    size: int = 100,
    rng: np.random.Generator | None = None,
) -> float:
    """Mean cosine between the gap vectors of random groups of ``size`` pairs, in [-1, 1].

    1 = one direction whichever pairs are looked at, about 0 = a random gap; about L2M^2 /
    (L2M^2 + tr Cov(x - y) / size), so compare at equal size. Half the pairs where these are fewer
    than two groups. NaN where a group has no gap. Zhang et al. 2024, Sec. 3.

    >>> image, text = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[-1.0, 0.0], [0.0, 1.0]])
    >>> round(gap_constancy(image, text, size=1), 4)  # gaps (2, 0) and (1, -1)
    0.7071
    """
    size = max(1, min(size, len(image) // 2))
    order = _shuffled(len(image), rng)[: len(image) // size * size]
    groups = (image - text)[order].reshape(-1, size, image.shape[1]).mean(axis=1)
    directions = _directions(groups)
    return float((directions @ directions.T)[np.triu_indices(len(groups), 1)].mean())


@_of(two_sides, 2, "a difference within a modality")
def gap_orthogonality(
    image: np.ndarray, text: np.ndarray, *, rng: np.random.Generator | None = None
) -> float:
    """Mean absolute cosine of the gap with differences of two images and of two texts, in [0, 1].

    0 = the gap is orthogonal to what tells items apart, so that shifting along it keeps their
    differences; a random direction has about sqrt(2 / (pi dim)). Of 1,000 random rows of a modality
    that has more. NaN without a gap or without two rows that differ. Zhang et al. 2024, Sec. 3.

    >>> image = np.array([[1.0, 0.1], [1.0, -0.1]])
    >>> round(gap_orthogonality(image, -image), 6)
    0.0
    """
    direction = _directions(_gap(image, text)[None])[0]
    cosines = []
    for side in (image, text):
        rows = side[_shuffled(len(side), rng)[:_ROWS_FOR_DIFFERENCES]]
        first, second = np.triu_indices(len(rows), 1)
        squared = 2 - 2 * (rows @ rows.T)[first, second]
        along = rows @ direction
        differ = squared > _TIED  # equal rows have no direction between them
        cosines.append((along[first] - along[second])[differ] / np.sqrt(squared[differ]))
    found = np.abs(np.clip(np.concatenate(cosines), -1, 1))
    return float(found.mean()) if len(found) else float("nan")


def _shuffled(n: int, rng: np.random.Generator | None) -> np.ndarray:
    return (np.random.default_rng(0) if rng is None else rng).permutation(n)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Vectors of unit length; NaN for those that are a rounding error."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = lengths > _TIED
    return np.where(usable, vectors / np.where(usable, lengths, 1), np.nan)
