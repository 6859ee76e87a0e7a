"""What is said of a measure, beside its formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """One measure of the modality gap: its function and what a reader must know of it.

    Parameters
    ----------
    name : str
        Also the name of the function in ``mmgap.gap``.
    symbol : str
        As tables show it.
    title : str
        The same in words, to follow "the".
    function : callable
        ``f(image_embeddings, text_embeddings) -> float``, or ``f(embeddings) -> float`` if
        ``sides``. Rows need not have unit length.
    sides : bool
        Whether it describes one modality, so that there is one number for each.
    paired : bool
        Whether row i of the images must belong to row i of the texts.
    range : tuple of float
        Smallest and largest possible value.
    larger : str
        What a larger value means; ends the sentence "Larger: ...".
    invariances : tuple of str
        What changes nothing: ``"rotation"`` (one orthogonal matrix for both modalities),
        ``"permutation of pairs"`` (the same order for both), ``"shuffled texts"`` (any order of the
        texts alone), ``"modality swap"``, ``"scale of a row"``.
    reference : str
        Paper and section.
    bibtex : str
        One entry; its key is first author and year, such as ``liang2022``.
    null : {"labels", "half labels", "pairing"} or None
        The level of nothing: ``"labels"`` exchanges image and text within random pairs, so that
        there is no gap; ``"half labels"`` does so in exactly half of the pairs, for measures of
        the gap's direction; ``"pairing"`` shuffles the texts, so that there is no pairing; None =
        no such level is known.
    per_item : callable or None
        ``g(image_embeddings, text_embeddings) -> ndarray of shape (n,)``, or ``g(embeddings)`` if
        ``sides``, whose mean is the measure. A bootstrap then redraws these values.
    weighted : callable or None
        ``g(image_embeddings, text_embeddings, weights) -> ndarray of shape (n_draw,)``, or
        ``g(embeddings, weights)`` if ``sides``, where ``weights`` of shape (n_draw, n) says how
        often each row counts in each draw. With all weights 1 it equals ``function``.
    costly : bool, default False
        Whether one value takes long (a classifier, a matrix of all pairs): it is then resampled
        less often, see :mod:`mmgap.gap.uncertainty`.
    """

    name: str
    symbol: str
    title: str
    function: Callable[..., float]
    sides: bool
    paired: bool
    range: tuple[float, float]
    larger: str
    invariances: tuple[str, ...]
    reference: str
    bibtex: str
    null: str | None
    per_item: Callable[..., np.ndarray] | None = None
    weighted: Callable[..., np.ndarray] | None = None
    costly: bool = False
