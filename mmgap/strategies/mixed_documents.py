"""Documents of mixed form, one vector each: the setting in which GR-CLIP was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.strategies.distributions import need_both_legs

if TYPE_CHECKING:
    from mmgap.index.vectors import Vectors

FORMS = ("text", "image", "both")
"""What a document of a mixed corpus can be."""


def rank_mixed_documents(
    test: Vectors,
    calibration: Vectors | None = None,
    *,
    name: str = "mixed",
    text_weight: float = 0.5,
    depth: int = 100,
    rng: np.random.Generator | None = None,
) -> Run:
    """Keep of each document its text, its image or both, give it one vector, and rank.

    Parameters
    ----------
    test : Vectors
        Every document must have a text and an image.
    calibration : Vectors or None, default None
        Where its means come from; None leaves the vectors as they are. Queries lose the mean of
        its queries, texts and images those of its texts and images, and a document of both forms
        the means in its own mixture, as GR-CLIP does.
    name : str
        Of the run.
    text_weight : float, default 0.5
        Of the text in a document of both forms, in [0, 1].
    depth : int, default 100
    rng : numpy.random.Generator or None, default None
        Draws the forms, each for a third of the documents; None = ``default_rng(0)``. The same
        generator state gives the same corpus, so that two runs can be compared query by query.

    Returns
    -------
    Run
        Cosines of one vector for each document.

    Raises
    ------
    MmgapError
        If a document lacks a modality or ``text_weight`` is outside [0, 1].

    Notes
    -----
    MixBench draws the forms once, 1:1:1, and so do we; its documents are photographs and captions,
    news and encyclopedia entries, so that levels cannot be compared, only what centring changes.

    References
    ----------
    .. [1] Li et al., "Closing the Modality Gap for Mixed Modality Search", arXiv 2507.19054, 2025.

    Examples
    --------
    Text and image of each document equal its query, so that the forms do not matter.

    >>> import mmgap as mg
    >>> pairs = mg.load_features(np.eye(3), np.eye(3), queries=np.eye(3), name="three")
    >>> rank_mixed_documents(mg.embed(pairs), depth=1).indices.tolist()
    [[0], [1], [2]]
    """
    n = len(test.corpus.documents)
    if not 0 <= text_weight <= 1:
        msg = f"text_weight is {text_weight}; expected a number from 0 to 1"
        raise MmgapError(msg)
    for vectors in (test,) if calibration is None else (test, calibration):
        need_both_legs(vectors)
        vectors.need_ranked()
    lacking = [leg for leg in LEGS if len(test.legs[leg].positions) < n]
    if lacking:
        msg = (
            f"a document can keep its text, its image or both only where it has both; documents of "
            f"{test.corpus.name!r} lack {' and '.join(lacking)}. Select those with both"
        )
        raise MmgapError(msg)
    forms = (rng or np.random.default_rng(0)).permutation(np.arange(n) % len(FORMS))
    weight = np.choose(forms, [1.0, 0.0, text_weight])[:, None]
    means = dict.fromkeys(("query", *LEGS), 0.0)
    if calibration is not None:
        means = {
            leg: np.mean(calibration.legs[leg].embeddings, axis=0, dtype=float) for leg in LEGS
        }
        means["query"] = np.mean(calibration.queries, axis=0, dtype=float)
    text, image = (np.asarray(test.legs[leg].embeddings, dtype=float) for leg in LEGS)
    documents = weight * (text - means["text"]) + (1 - weight) * (image - means["image"])
    queries = np.asarray(test.queries, dtype=float) - means["query"]
    # Products of equal vectors may round differently, which would hide a tie.
    scores = np.round(_unit(queries) @ _unit(documents).T, 12)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    ids = test.corpus.query_ids, test.corpus.doc_ids
    return Run.from_scores(name, *ids, order, np.take_along_axis(scores, order, axis=1))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
