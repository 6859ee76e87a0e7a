"""What the scores of one corpus and encoder look like, leg by leg."""

from __future__ import annotations

import numpy as np

from mmgap import scores
from mmgap.store.vectors import Vectors


def score_distributions(vectors: Vectors, *, bins: int = 100) -> scores.ScoreDistributions:
    """Compare the cosines that queries have with texts with those they have with images.

    Every query is compared with every document of the pool, so the two matrices are held at once;
    4 bytes a pair.

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
    """
    relevant = relevance(vectors)
    return scores.score_distributions(
        vectors.scores("text"),
        vectors.scores("image"),
        text_relevant=relevant[:, vectors.text.positions],
        image_relevant=relevant[:, vectors.image.positions],
        bins=bins,
    )


def relevance(vectors: Vectors) -> np.ndarray:
    """Which document answers which query: bool array of shape (n_query, n_document)."""
    corpus = vectors.corpus
    position = {doc_id: column for column, doc_id in enumerate(corpus.doc_ids)}
    relevant = np.zeros((len(corpus.queries), len(corpus.documents)), dtype=bool)
    for row, query_id in enumerate(corpus.query_ids):
        relevant[row, [position[doc_id] for doc_id in corpus.qrels.relevant(query_id)]] = True
    return relevant


def merged_text_share(vectors: Vectors, k: int = 10) -> np.ndarray:
    """Share of texts among the k best hits when texts and images are merged by raw cosine.

    Each text and each image is a hit of its own here, as in an index that holds both.

    Returns
    -------
    ndarray of shape (n_query,)
        In [0, 1]. Compare with the share of texts in the index, one half where every document has
        both.
    """
    best = {leg: np.sort(vectors.scores(leg), axis=1)[:, ::-1][:, :k] for leg in vectors.legs}
    both = np.concatenate(list(best.values()), axis=1)
    legs = np.repeat(list(best), [part.shape[1] for part in best.values()])
    order = np.argsort(-both, axis=1, kind="stable")
    return scores.modality_share(legs[order], "text", k)
