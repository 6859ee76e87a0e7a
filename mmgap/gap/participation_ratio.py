"""Participation ratio: how many directions one modality uses, by variance."""

from __future__ import annotations

import numpy as np

from mmgap.gap.measure import Measure
from mmgap.gap.spectrum import spectrum


def participation_ratio(embeddings: np.ndarray) -> float:
    """Squared sum of the variances along the principal axes over the sum of their squares.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
        Of one modality. Rows are brought to unit length, then their mean is subtracted.

    Returns
    -------
    ratio : float
        (sum of lambda)^2 / sum of lambda^2 with the eigenvalues lambda of the covariance. In
        [1, min(n - 1, dim)]; larger = the variance is spread over more directions, k = it is
        spread alike over k of them, 0 = there is no spread. Unchanged by rotation, by order and by
        the length of rows. Sees the large directions only, unlike
        :func:`mmgap.gap.effective_rank`, and settles with fewer rows.

    Raises
    ------
    MmgapError
        If the rows are not usable or fewer than two.

    References
    ----------
    .. [1] Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement",
       bioRxiv 214262, 2017, Sec. 4.

    Examples
    --------
    Four points on two axes, spread alike.

    >>> round(participation_ratio(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    variances = spectrum(embeddings)
    squares = float((variances**2).sum())
    return 0.0 if squares == 0 else float(variances.sum() ** 2 / squares)


PARTICIPATION_RATIO = Measure(
    name="participation_ratio",
    symbol="PR",
    title="number of directions one modality uses, by variance",
    function=participation_ratio,
    sides=True,
    paired=False,
    range=(0, float("inf")),
    larger="the variance of the modality is spread over more directions",
    invariances=("rotation", "permutation of pairs", "scale of a row"),
    reference="Gao et al., bioRxiv 214262, 2017",
    bibtex="""@misc{gao2017,
  author = {Gao, Peiran and Trautmann, Eric and Yu, Byron and Santhanam, Gopal and Ryu, Stephen and
            Shenoy, Krishna and Ganguli, Surya},
  title = {A theory of multineuronal dimensionality, dynamics and measurement},
  year = {2017},
  howpublished = {bioRxiv 214262},
}""",
    null=None,
    costly=True,
)
