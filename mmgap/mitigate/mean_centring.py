"""Subtract from each role its mean: GR-CLIP."""

from __future__ import annotations

import numpy as np

from mmgap.mitigate.means import RoleMeans


class MeanCentring(RoleMeans):
    """Subtract the calibration mean of each role and go back to the sphere: GR-CLIP, I0T_post.

    ``x -> (x - mean_role) / |x - mean_role|`` with three means: of queries, of documents' texts
    and of documents' images, each over unit rows.

    Attributes
    ----------
    means_ : dict of role to ndarray of shape (dim,)
        Roles that ``fit`` was given; ``transform`` takes these only.

    Notes
    -----
    **It closes the distance, but not the loss of merging.** Afterwards the centres of all roles
    nearly coincide. The scores of the legs still differ: what two captions of one kind share is
    more than what a caption and its image share. On CLIP's features of COCO (250 pairs to fit, 250
    to judge), the matching image is first among all captions and images for 5 % of the queries,
    0 before centring, and for 61 % among images alone; there, centring costs a little (.612 to
    .596). Scale the scores of each leg afterwards, say by the normaliser ``reference z``.

    Fails where calibration data are of another kind than test data: the means are then those of
    other topics. Turns with the space: a rotation of all vectors changes no score.

    I0T_post is the same arithmetic with the means of the test data, which leaks; here means always
    come from what ``fit`` is given. :class:`C3Collapse` leaves out the way back to the sphere.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", arXiv 2507.19054, 2025
       (GR-CLIP).
    .. [2] An et al., "I0T: Embedding Standardization Method Towards Zero Modality Gap", ACL 2025.

    Examples
    --------
    The means are (.6, 0) and (0, .6): what is left has one coordinate.

    >>> text, image = np.array([[0.6, 0.8], [0.6, -0.8]]), np.array([[0.8, 0.6], [-0.8, 0.6]])
    >>> fitted = MeanCentring().fit({"text": text, "image": image})
    >>> fitted.means_["text"].round(6).tolist(), fitted.transform({"image": image})
    ([0.6, 0.0], {'image': array([[ 1.,  0.],
           [-1.,  0.]])})
    """

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return self._unit(role, rows - self._mean(role))
