"""How well a linear classifier tells images from texts."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from mmgap.errors import MmgapError
from mmgap.gap.cross_uniformity import CROSS_UNIFORMITY
from mmgap.gap.embeddings import need_rows, paired_rows
from mmgap.gap.measure import Measure


def linear_separability(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    n_folds: int = 5,
    n_repeats: int = 3,
    rng: np.random.Generator | None = None,
) -> float:
    """Held-out accuracy of a logistic regression that tells images from texts.

    Parameters
    ----------
    image_embeddings : ndarray of shape (n, dim)
        Rows are brought to unit length.
    text_embeddings : ndarray of shape (n, dim)
        Row i belongs to row i of the images. Both members of a pair lie in one fold, so that no
        text is judged by a classifier that knows its image, and each fold is half images.
    n_folds : int, default 5
        From 2 to n; each fold is held out once.
    n_repeats : int, default 3
        How often the pairs are dealt into folds anew.
    rng : numpy.random.Generator or None
        Deals the pairs into folds; None is ``default_rng(0)``.

    Returns
    -------
    accuracy : float
        In [0, 1]; larger = the modalities are easier to tell apart, 1 = a plane separates them,
        0.5 = they cannot be told apart. Unchanged by one rotation of both and by the length of
        rows, up to rows that lie on the plane; the modalities can be exchanged. Stays at 1 while
        the gap shrinks a lot, so it says that there is a gap and not how large. Blind to
        differences that no plane sees. Falls *below* 0.5 where both modalities were centred on
        these same rows: the means of training and held-out rows then differ in opposite
        directions. Centre on other rows.

    Raises
    ------
    MmgapError
        If the rows are no pairs, not usable or fewer than the folds, or a number is out of range.

    Notes
    -----
    scikit-learn's ``LogisticRegression`` with its defaults (L2 penalty, C = 1) on unit rows. In the
    code that introduced the measure a comment says that 20 % of the rows train and 80 % test, and
    the code does the reverse. The two agree where the modalities are far apart, and differ after
    mitigation.

    References
    ----------
    .. [1] Shi et al., "Towards Understanding the Modality Gap in CLIP", ICLR 2023 workshop on
       Multimodal Representation Learning.
    .. [2] Fahim et al., "It's Not a Modality Gap: Characterizing and Addressing the Contrastive
       Gap", arXiv 2405.18570, 2024, Sec. 4.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image, text = rng.normal(1, 0.1, (20, 3)), rng.normal(-1, 0.1, (20, 3))
    >>> linear_separability(image, text)
    1.0
    """
    correct = _per_item(
        image_embeddings, text_embeddings, n_folds=n_folds, n_repeats=n_repeats, rng=rng
    )
    return float(correct.mean())


def _per_item(
    image_embeddings: np.ndarray,
    text_embeddings: np.ndarray,
    *,
    n_folds: int = 5,
    n_repeats: int = 3,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Return the share of each pair's held-out judgments that are right."""
    image, text = paired_rows(image_embeddings, text_embeddings)
    if n_folds < 2 or n_repeats < 1:
        msg = f"n_folds must be >= 2 and n_repeats >= 1; got {n_folds} and {n_repeats}"
        raise MmgapError(msg)
    n = len(image)
    need_rows("image_embeddings", image, n_folds, f"a test on {n_folds} folds")
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


LINEAR_SEPARABILITY = Measure(
    name="linear_separability",
    symbol="lin sep",
    title="held-out accuracy of a linear classifier that tells images from texts",
    function=linear_separability,
    sides=False,
    paired=True,
    range=(0, 1),
    larger="the modalities are easier to tell apart",
    invariances=("rotation", "modality swap", "scale of a row"),
    reference=CROSS_UNIFORMITY.reference,
    bibtex=CROSS_UNIFORMITY.bibtex,
    null="labels",
    per_item=_per_item,
    costly=True,
)
