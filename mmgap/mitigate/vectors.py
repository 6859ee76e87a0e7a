"""Mitigations that move the embeddings: centring, shifting, dropping, whitening, aligning.

See :mod:`mmgap.mitigate.base` for what goes in and out. Numbers named here are of CLIP's features
of COCO, 250 pairs to fit and 250 to judge: the fraction of caption queries whose image is first
among all captions and images ("merged", 0 before) and among images alone (.612 before). All but
:class:`DimensionAblation` turn with the space: a rotation of all vectors changes no score.
"""

from __future__ import annotations

import numpy as np
from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance

from mmgap.errors import MmgapError
from mmgap.mitigate.base import EmbeddingMitigation


class RoleMeans(EmbeddingMitigation):
    """Base of those that subtract the calibration mean of each role, ``means_``."""

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        self.means_ = {role: values.mean(axis=0) for role, values in rows.items()}

    def _mean(self, role: str) -> np.ndarray:
        if role not in self.means_:
            msg = (
                f"{type(self).__name__} was fitted on the roles {list(self.means_)} and knows no "
                f"mean of {role!r}; fit it on calibration data of all roles"
            )
            raise MmgapError(msg)
        return self.means_[role]


class MeanCentring(RoleMeans):
    """x -> (x - mean_role) / |x - mean_role|: GR-CLIP, I0T_post.

    **Closes the distance, but not the loss of merging**: merged .05, images alone .596. What two
    captions have in common stays larger than what a caption and its image have in common; scale the
    scores of each leg afterwards, say by the normaliser ``reference z``. Fails where calibration
    data are of other topics. I0T_post takes the means of the test data, which leaks; here they come
    from ``fit``. Li et al., arXiv 2507.19054, 2025; An et al., ACL 2025.

    >>> text, image = np.array([[0.6, 0.8], [0.6, -0.8]]), np.array([[0.8, 0.6], [-0.8, 0.6]])
    >>> fitted = MeanCentring().fit({"text": text, "image": image})
    >>> fitted.means_["text"].round(6).tolist(), fitted.transform({"image": image})
    ([0.6, 0.0], {'image': array([[ 1.,  0.],
           [-1.,  0.]])})
    """

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return self._unit(role, rows - self._mean(role))


class C3Collapse(RoleMeans):
    """x -> x - mean_role, and **no unit length**: the step "collapse" of C3.

    A document near the mean of its role becomes short, so that all its dot products are near 0;
    this is the one difference from :class:`MeanCentring`. Made for training a decoder on one
    modality and using it on the other, not for ranking. Zhang, Sui and Yeung-Levy, ICLR 2024.

    >>> text = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> C3Collapse().fit({"text": text}).transform({"text": text})["text"].round(6).tolist()
    [[0.0, 0.6], [0.0, -0.6]]
    """

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return rows - self._mean(role)


class DistributionNormalisation(RoleMeans):
    """x -> x - strength mean_role, and **no unit length**; strength 1 is :class:`C3Collapse`.

    The score is the cosine minus ``strength * r . mean_query``, what the document has in common
    with the queries at large, and minus terms that are the same for all documents of a leg: within
    a leg a correction of hubs (images alone .648), **between legs half of the gap stays** (merged
    0). Zhou et al., NeurIPS 2023.

    >>> text = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> fitted = DistributionNormalisation().fit({"text": text})
    >>> fitted.transform({"text": text})["text"].round(6).tolist()
    [[0.4, 0.6], [0.4, -0.6]]
    """

    def __init__(self, *, strength: float = 0.5) -> None:
        self.strength = strength

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return rows - self.strength * self._mean(role)


class GapShift(EmbeddingMitigation):
    """Move the images by ``strength`` times the gap, or both modalities by half of it; renormalise.

    The gap is the mean of the calibration images minus that of the texts; strength 0 changes
    nothing, a negative one moves apart. Queries are texts: they stay with ``which="image"`` and
    move as texts do with "both". Liang et al. move along the gap to look at the loss, not as a
    mitigation: **CLIP's contrastive loss grows when the gap is closed**, at its own temperature.
    One vector for all images closes the distance of the centres only: merged .03, images alone .50.
    Fails where the gap differs between topics. NeurIPS 2022, Sec. 4.2.

    >>> text, image = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> GapShift().fit({"text": text, "image": image}).transform({"image": image})
    {'image': array([[1., 0.]])}
    """

    needs = ("text", "image")

    def __init__(self, *, strength: float = 1.0, which: str = "image") -> None:
        self.strength = strength
        self.which = which

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        if self.which not in ("image", "both"):
            msg = f"which must be 'image' or 'both', the modalities that move; got {self.which!r}"
            raise MmgapError(msg)
        self.gap_ = rows["image"].mean(axis=0) - rows["text"].mean(axis=0)

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        part = self.strength if self.which == "image" else self.strength / 2
        if role == "image":
            return self._unit(role, rows - part * self.gap_)
        return rows if self.which == "image" else self._unit(role, rows + part * self.gap_)


class DimensionAblation(EmbeddingMitigation):
    """Set the k dimensions with the largest gap, ``dims_``, to 0 and renormalise.

    **Does next to nothing for a merged list** (merged 0): what is left of each row is stretched to
    unit length and the gap in the other dimensions stays. Leaving out more costs what those
    dimensions know. Depends on the axes. Schrodi et al., ICLR 2025, Sec. 4, who ablate to show that
    few dimensions carry the gap.

    >>> text, image = np.array([[0.6, 0.0, 0.8]]), np.array([[-0.6, 0.8, 0.0]])
    >>> fitted = DimensionAblation(k=1).fit({"text": text, "image": image})
    >>> fitted.dims_.tolist(), fitted.transform({"text": text})["text"].tolist()
    ([0], [[0.0, 0.0, 1.0]])
    """

    needs = ("text", "image")

    def __init__(self, *, k: int = 2) -> None:
        self.k = k

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        gap = rows["image"].mean(axis=0) - rows["text"].mean(axis=0)
        if not 0 <= self.k < gap.size:
            msg = (
                f"k is {self.k} and vectors have {gap.size} dimensions; expected k from 0 to "
                f"{gap.size - 1}, so that one is left"
            )
            raise MmgapError(msg)
        self.dims_ = np.argsort(-np.abs(gap), kind="stable")[: self.k]

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        kept = np.ones(rows.shape[1])
        kept[self.dims_] = 0
        return self._unit(role, rows * kept)


class Whitening(RoleMeans):
    """ZCA whitening: x -> (x - mean_role) C^(-1/2), then back to the sphere.

    C is ``(1 - a) S + a (tr S / dim) I``, S over calibration rows and a the ``shrinkage``:
    "ledoit-wolf" estimates it, 0 takes S itself, 1 only centres. With ``pooled``, one C of the rows
    of all roles in place of one for each. **Can cost recall within a leg**: directions in which
    calibration rows hardly vary are stretched, and with few rows these are noise; separate maps
    move matching vectors of two modalities apart (merged .09; images alone .51, pooled .37). Kessy,
    Lewin and Strimmer 2018; Ledoit and Wolf 2004; Su et al., arXiv 2103.15316.

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
            self.maps_ = dict.fromkeys(rows, self._root(np.concatenate(list(centred.values()))))
        else:
            self.maps_ = {role: self._root(values) for role, values in centred.items()}

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        return self._unit(role, (rows - self._mean(role)) @ self.maps_[role])

    def _root(self, centred: np.ndarray) -> np.ndarray:
        return _power(_covariance(centred, self.shrinkage, "Whitening"), -0.5)


class Coral(EmbeddingMitigation):
    """x -> mean_text + (x - mean_image) C_image^(-1/2) C_text^(1/2), then unit length: CORAL.

    Images get the texts' mean and covariance, shrunk as in :class:`Whitening`; texts and queries
    stay. Sun et al. add the identity to both covariances, which would change nothing here: the
    variances of unit rows lie near 1 / dim. **Equal moments do not make scores comparable**, and
    the map, which knows no pairs, can cost recall among images: merged .03, images alone .32. Sun,
    Feng and Saenko, AAAI 2016.

    >>> text = np.array([[0.8, 0.6], [0.8, -0.6]])
    >>> image = np.array([[-0.8, 0.6], [-0.8, -0.6]])
    >>> fitted = Coral(shrinkage=0.1).fit({"text": text, "image": image})
    >>> fitted.transform({"image": image})["image"].round(6).tolist()
    [[0.8, 0.6], [0.8, -0.6]]
    """

    needs = ("text", "image")

    def __init__(self, *, shrinkage: float | str = "ledoit-wolf") -> None:
        self.shrinkage = shrinkage

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        self.means_ = {role: rows[role].mean(axis=0) for role in self.needs}
        text, image = (
            _covariance(rows[role] - self.means_[role], self.shrinkage, "Coral")
            for role in self.needs
        )
        self.map_ = _power(image, -0.5) @ _power(text, 0.5)

    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        if role != "image":
            return rows
        moved = (rows - self.means_["image"]) @ self.map_ + self.means_["text"]
        return self._unit(role, moved)


def _covariance(centred: np.ndarray, shrinkage: float | str, name: str) -> np.ndarray:
    """Covariance of centred rows, drawn towards a multiple of the identity so that it inverts."""
    if shrinkage == "ledoit-wolf":
        covariance = ledoit_wolf(centred, assume_centered=True)[0]
    elif isinstance(shrinkage, str) or not 0 <= shrinkage <= 1:
        msg = f"shrinkage must lie in [0, 1] or be 'ledoit-wolf'; got {shrinkage!r}"
        raise MmgapError(msg)
    else:
        sample = empirical_covariance(centred, assume_centered=True)
        covariance = shrunk_covariance(sample, shrinkage)
    values = np.linalg.eigvalsh(covariance)
    # Below this, the smallest values are rounding errors of the largest.
    if not values[0] > values[-1] * len(covariance) * np.finfo(float).eps:
        msg = (
            f"{name} must invert a covariance of {len(covariance)} dimensions, and {len(centred)} "
            f"rows with shrinkage={shrinkage!r} give one of less rank; use more calibration rows, "
            "or shrinkage='ledoit-wolf'"
        )
        raise MmgapError(msg)
    return covariance


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a symmetric, positive definite matrix."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * values**exponent) @ vectors.T
