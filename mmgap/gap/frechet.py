"""Frechet distance of the two modalities, and its two terms."""

from __future__ import annotations

import numpy as np

from mmgap.gap.embeddings import need_rows, paired_rows, two_sides
from mmgap.gap.l2m import L2M
from mmgap.gap.measure import Measure


def frechet(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    r"""Squared Frechet distance of two Gaussians with the modalities' means and covariances.

    ``|mean_x - mean_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))``, with covariances that divide by
    n - 1, of rows brought to unit length.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least two rows.
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    distance : float
        In [0, 4]; larger = the two clouds differ more in place or in spread, 0 = equal means and
        covariances. The sum of :func:`frechet_mean_term` and :func:`frechet_covariance_term`.
        Unchanged by a rotation of both, by exchanging the modalities and by the order of rows.
        Blind to all that means and covariances do not show. Too large where rows are few against
        dimensions, since two covariances of few rows look different: compare at equal n.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, or a modality has fewer than two rows.

    See Also
    --------
    mmgap.gap.mmd : sees any difference of the two distributions.

    References
    ----------
    .. [1] Dowson and Landau, "The Frechet Distance between Multivariate Normal Distributions",
       Journal of Multivariate Analysis 1982, Eq. 16.
    .. [2] Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
       Equilibrium", NeurIPS 2017, Eq. 6.

    Examples
    --------
    The texts are the images turned by a quarter: the same spread, centroids (.8, 0) and (0, .8),
    and variances 0.72 and 0 against 0 and 0.72.

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> text = np.array([[0.6, 0.8], [-0.6, 0.8]])
    >>> round(frechet(image, text), 2)
    2.72
    """
    mean, covariance = _terms(image_embeddings, text_embeddings)
    return mean + covariance


def frechet_mean_term(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Part of :func:`frechet` that is due to the place of the two centroids: L2M squared.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    term : float
        In [0, 4]; larger = the centroids are further apart. Invariances as :func:`frechet`.

    Raises
    ------
    MmgapError
        If embeddings cannot be used.

    Examples
    --------
    Centroids (.8, 0) and (0, .8).

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> round(frechet_mean_term(image, image[:, ::-1]), 2)
    1.28
    """
    image, text = two_sides(image_embeddings, text_embeddings)
    return _mean_term(image, text)


def frechet_covariance_term(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> float:
    """Part of :func:`frechet` that is due to the shape and size of the two clouds.

    What is left of :func:`frechet` after both modalities are centred, without a new scaling to
    unit length.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n_image, dim)
        At least two rows.
    text_embeddings : ndarray of shape (n_text, dim)
        Need not be paired with the images.

    Returns
    -------
    term : float
        In [0, 4], for many rows in [0, 2]; larger = the covariances differ more, 0 = equal ones.
        Invariances and failure with few rows as :func:`frechet`.

    Raises
    ------
    MmgapError
        If embeddings cannot be used, or a modality has fewer than two rows.

    Notes
    -----
    The trace of ``(S_x S_y)^(1/2)`` is the sum of the singular values of ``A' B``, where
    ``S_x = A A'`` and ``S_y = B B'``. This needs no root of a matrix that is not symmetric, and
    holds where n < dim and the covariances are singular.

    Examples
    --------
    Variances 0.72 and 0 against 0 and 0.72: no direction is shared.

    >>> image = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> round(frechet_covariance_term(image, image[:, ::-1]), 2)
    1.44
    """
    return _terms(image_embeddings, text_embeddings)[1]


def _mean_term(image: np.ndarray, text: np.ndarray) -> float:
    return float(np.sum((image.mean(axis=0) - text.mean(axis=0)) ** 2))


def _terms(image_embeddings: np.ndarray, text_embeddings: np.ndarray) -> tuple[float, float]:
    image, text = two_sides(image_embeddings, text_embeddings)
    need_rows("image_embeddings", image, 2, "a covariance")
    need_rows("text_embeddings", text, 2, "a covariance")
    roots = [_root(side) for side in (image, text)]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float(np.sum(root**2)) for root in roots)
    # Equal covariances may leave a rounding error below zero.
    return _mean_term(image, text), max(0.0, float(spread - 2 * shared))


def _root(rows: np.ndarray) -> np.ndarray:
    """R of at most dim rows with R' R = covariance."""
    return np.linalg.qr(rows - rows.mean(axis=0), mode="r") / np.sqrt(len(rows) - 1)


def _weighted_mean_term(
    image_embeddings: np.ndarray, text_embeddings: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    image, text = paired_rows(image_embeddings, text_embeddings)
    gaps = weights @ (image - text) / weights.sum(axis=1, keepdims=True)
    return np.sum(gaps**2, axis=1)


_BIBTEX = """@inproceedings{heusel2017,
  author = {Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and
    Hochreiter, Sepp},
  title = {{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017},
}"""
_REFERENCE = "Heusel et al., NeurIPS 2017, Eq. 6; Dowson and Landau 1982, Eq. 16"
_INVARIANCES = L2M.invariances

FRECHET = Measure(
    name="frechet",
    symbol="FD",
    title="squared Frechet distance of the two clouds",
    function=frechet,
    sides=False,
    paired=False,
    range=(0, 4),
    larger="the two clouds differ more in place or in spread",
    invariances=_INVARIANCES,
    reference=_REFERENCE,
    bibtex=_BIBTEX,
    null="labels",
)
FRECHET_MEAN_TERM = Measure(
    name="frechet_mean_term",
    symbol="FD mean",
    title="mean term of the Frechet distance",
    function=frechet_mean_term,
    sides=False,
    paired=False,
    range=(0, 4),
    larger="the centroids are further apart",
    invariances=_INVARIANCES,
    reference=_REFERENCE,
    bibtex=_BIBTEX,
    null="labels",
    weighted=_weighted_mean_term,
)
FRECHET_COVARIANCE_TERM = Measure(
    name="frechet_covariance_term",
    symbol="FD cov",
    title="covariance term of the Frechet distance",
    function=frechet_covariance_term,
    sides=False,
    paired=False,
    range=(0, 4),
    larger="the two clouds differ more in spread",
    invariances=_INVARIANCES,
    reference=_REFERENCE,
    bibtex=_BIBTEX,
    null="labels",
)
