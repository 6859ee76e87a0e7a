"""What the scores of one corpus and encoder look like, leg by leg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmgap import scores
from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors

if TYPE_CHECKING:
    import pandas as pd


def score_distributions(vectors: Vectors, *, bins: int = 100) -> scores.ScoreDistributions:
    """Compare the scores that queries give to texts with those they give to images.

    Scores are those of :meth:`Vectors.scores`: cosines, or for late interaction means of best
    cosines. Every query is compared with every document of the pool, so the two matrices are held
    at once; 4 bytes a pair. Pairs that ``corpus.left_out`` names are in no sample.

    Parameters
    ----------
    vectors : Vectors
    bins : int, default 100
        Of the histograms.

    Returns
    -------
    ScoreDistributions
        See :func:`mmgap.scores.score_distributions`. Which pairs are relevant comes from the
        corpus' judgments.

    Raises
    ------
    MmgapError
        If a leg is missing or holds no document.
    """
    need_both_legs(vectors)
    relevant = relevance(vectors)
    return scores.score_distributions(
        vectors.scores("text"),
        vectors.scores("image"),
        text_relevant=relevant[:, vectors.text.positions],
        image_relevant=relevant[:, vectors.image.positions],
        bins=bins,
    )


def distribution_frame(vectors: Vectors) -> pd.DataFrame:
    """Return the table of :func:`score_distributions`, or of the only leg that has documents.

    Returns
    -------
    table : DataFrame
        As :meth:`mmgap.scores.ScoreDistributions.to_frame`. With one leg it describes that leg's
        samples and compares nothing.
    """
    if set(vectors.filled_legs) == set(LEGS):
        return score_distributions(vectors).to_frame()
    (leg,) = vectors.filled_legs
    of_leg = vectors.scores(leg)
    relevant = relevance(vectors)[:, vectors.legs[leg].positions]
    # The one definition of every number takes two legs: the leg stands in for both, and only what
    # is said of itself is kept.
    table = scores.score_distributions(
        of_leg, of_leg, text_relevant=relevant, image_relevant=relevant
    ).to_frame()
    return table[table["sample"].isin([leg, f"{leg} relevant"])].reset_index(drop=True)


def need_both_legs(vectors: Vectors) -> None:
    """Raise MmgapError unless texts and images can be compared."""
    lacking = [leg for leg in LEGS if leg not in vectors.filled_legs]
    if lacking:
        msg = (
            f"comparing texts with images needs both legs; {vectors.encoder.id!r} has no "
            f"{' and no '.join(lacking)} leg for {vectors.corpus.name!r}. Use an encoder that "
            "reads both and a corpus that holds both"
        )
        raise MmgapError(msg)


def relevance(vectors: Vectors) -> np.ndarray:
    """Which document answers which query: bool array of shape (n_query, n_document)."""
    corpus = vectors.corpus
    position = {doc_id: column for column, doc_id in enumerate(corpus.doc_ids)}
    relevant = np.zeros((len(corpus.queries), len(corpus.documents)), dtype=bool)
    for row, query_id in enumerate(corpus.query_ids):
        relevant[row, [position[doc_id] for doc_id in corpus.qrels.relevant(query_id)]] = True
    return relevant


def merged_text_fraction(
    vectors: Vectors, k: int = 10, found: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Share of texts among the k best hits when texts and images are merged by raw cosine.

    Each text and each image is a hit of its own here, as in an index that holds both; one that
    ``corpus.left_out`` names is no hit. ``found`` holds the scores of the legs if known.

    Returns
    -------
    ndarray of shape (n_query,)
        In [0, 1]. Compare with the share of texts in the index, one half where every document has
        both.

    Raises
    ------
    MmgapError
        If a leg is missing or holds no document.
    """
    need_both_legs(vectors)
    # Smallest first, NaN last: the best hits of a leg are the first ones of -scores.
    found = {leg: vectors.scores(leg) for leg in LEGS} if found is None else found
    best = {leg: np.sort(-found[leg], axis=1)[:, :k] for leg in LEGS}
    both = np.concatenate(list(best.values()), axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    legs = np.repeat(list(best), [part.shape[1] for part in best.values()])[order]
    legs[np.isnan(np.take_along_axis(both, order, axis=1))] = ""
    return scores.modality_fraction(legs, "text", k)
