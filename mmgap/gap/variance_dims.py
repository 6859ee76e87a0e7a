"""How many principal axes hold 99 % of the variance of one modality."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.gap.measure import Measure
from mmgap.gap.spectrum import spectrum


def variance_dims(embeddings: np.ndarray, *, share: float = 0.99) -> float:
    """Least number of principal axes that hold a share of the variance.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim)
        Of one modality. Rows are brought to unit length, then their mean is subtracted.
    share : float, default 0.99
        Of the total variance, above 0 and at most 1.

    Returns
    -------
    dims : float
        A whole number in [1, min(n - 1, dim)]; larger = the spread needs more directions, 0 =
        there is no spread. Unchanged by rotation, by order and by the length of rows. Grows with n
        until n is many times dim: compare at equal n only.

    Raises
    ------
    MmgapError
        If the rows are not usable or fewer than two, or ``share`` is not in (0, 1].

    References
    ----------
    .. [1] Zhang et al., "Connect, Collapse, Corrupt: Learning Cross-Modal Tasks with Uni-Modal
       Data" (C3), ICLR 2024, Sec. 3.

    Examples
    --------
    Four points on two axes, spread alike: one axis holds half of it.

    >>> points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> variance_dims(points), variance_dims(points, share=0.4)
    (2.0, 1.0)
    """
    if not 0 < share <= 1:
        msg = f"share of the variance must lie above 0 and not above 1, e.g. 0.99; got {share}"
        raise MmgapError(msg)
    held = np.cumsum(spectrum(embeddings))
    if held[-1] == 0:
        return 0.0
    # Rounding of the sum must not ask for one axis more.
    target = share * held[-1] * (1 - 1e-12)
    return float(np.searchsorted(held, target) + 1)


VARIANCE_DIMS = Measure(
    name="variance_dims",
    symbol="dims 99 %",
    title="number of principal axes that hold 99 % of the variance of one modality",
    function=variance_dims,
    sides=True,
    paired=False,
    range=(0, float("inf")),
    larger="the spread of the modality needs more directions",
    invariances=("rotation", "permutation of pairs", "scale of a row"),
    reference="Zhang et al., Connect, Collapse, Corrupt, ICLR 2024, Sec. 3",
    bibtex="""@inproceedings{zhang2024,
  author = {Zhang, Yuhui and Sui, Elaine and Yeung-Levy, Serena},
  title = {Connect, Collapse, Corrupt: Learning Cross-Modal Tasks with Uni-Modal Data},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
    null=None,
    costly=True,
)
