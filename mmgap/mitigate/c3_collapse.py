"""Subtract from each role its mean and stay there: the collapse of C3."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.means import RoleMeans


class C3Collapse(RoleMeans):
    """Subtract the calibration mean of each role, without going back to the sphere.

    ``x -> x - mean_role`` over unit rows: the step "collapse" of C3 (connect, collapse, corrupt).

    Attributes
    ----------
    means_ : dict of role to ndarray of shape (dim,)
        Roles that ``fit`` was given; ``transform`` takes these only.

    Notes
    -----
    **Rows that come out do not have unit length**: a document near the mean of its role becomes
    short, so that all its dot products are near 0, and an unusual one keeps a long vector. This is
    the one difference from :class:`MeanCentring`, which divides by the length; the authors' code
    has that as an option. The length of the query changes no ranking.

    C3 subtracts means of training data, where I0T_post takes those of the test data. It was made
    for training a decoder on one modality and using it on the other, not for ranking; its noise
    ("corrupt") belongs to that training and is left out. As for all centring, the distance of
    the centres goes while the loss of merging mostly stays. Turns with the space.

    References
    ----------
    .. [1] Zhang, Sui and Yeung-Levy, "Connect, Collapse, Corrupt: Learning Cross-Modal Tasks with
       Uni-Modal Data", ICLR 2024, Sec. 4.

    Examples
    --------
    The mean is (.8, 0); what is left is short.

    >>> text = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> C3Collapse().fit({"text": text}).transform({"text": text})["text"].round(6).tolist()
    [[0.0, 0.6], [0.0, -0.6]]
    """

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return rows - self._mean(role)
