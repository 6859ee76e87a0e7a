"""Scores of the same pairs by the embedder and by the reranker, leg by leg."""

from __future__ import annotations

import numpy as np

from mmgap import scores
from mmgap.errors import MmgapError
from mmgap.index.vectors import Vectors
from mmgap.strategies.candidates import Pool
from mmgap.strategies.distributions import need_both_legs, relevance
from mmgap.strategies.rerank import PairScorer


def score_pairs(
    vectors: Vectors,
    scorer: PairScorer,
    *,
    depth: int = 16,
    drawn: int | None = None,
    bins: int = 100,
    rng: np.random.Generator | None = None,
) -> dict[str, scores.ScoreDistributions]:
    """Compare query-text with query-image scores, of the embedder and of the reranker.

    Both models score the same pairs, each document once by its text and once by its picture, so
    that what differs is the model. Documents that lack a modality are left out.

    Parameters
    ----------
    vectors : Vectors
    scorer : PairScorer
        Of the same vectors; at most ``4 * depth`` calls a query.
    depth : int, default 16
        The pairs are those of each query with the first ``depth`` documents of both legs: what a
        reranker meets in practice. They score higher than others in the leg that found them.
    drawn : int or None, default None
        Instead, so many documents of each query drawn by lot, and its relevant ones.
    bins : int, default 100
    rng : numpy.random.Generator or None
        Of the draw; None is ``default_rng(0)``.

    Returns
    -------
    distributions : dict of model id to ScoreDistributions
        The embedder's first. Claim A7 of the article is that the second has the narrower gap:
        larger ``overlap``, smaller ``ks``, ``dominance`` nearer to one half.

    Raises
    ------
    MmgapError
        If a leg is missing, or no document has both modalities.
    """
    need_both_legs(vectors)
    n_query, n_document = len(vectors.corpus.queries), len(vectors.corpus.documents)
    relevant = relevance(vectors)
    if drawn is None:
        documents = Pool(vectors, depth).candidates.documents
    else:
        rng = np.random.default_rng(0) if rng is None else rng
        lots = rng.random((n_query, n_document))
        chosen = relevant | (np.argsort(np.argsort(lots, axis=1), axis=1) < drawn)
        documents = np.where(chosen, np.arange(n_document), -1)
        documents = -np.sort(-documents, axis=1)[:, : chosen.sum(axis=1).max()]
    both = scorer.shows("text", documents) & scorer.shows("image", documents)
    if not both.any():
        msg = f"no document of {vectors.corpus.name!r} has both a text and a picture to compare"
        raise MmgapError(msg)
    scorer.require({"text": both, "image": both}, documents)
    good = np.take_along_axis(relevant, np.maximum(documents, 0), axis=1) & both
    by_reranker = [scorer.look_up(leg, both, documents)["score"] for leg in ("text", "image")]
    by_embedder = [_of_pairs(vectors, leg, documents, both) for leg in ("text", "image")]
    return {
        name: scores.score_distributions(
            text, image, text_relevant=good, image_relevant=good, bins=bins
        )
        for name, (text, image) in (
            (vectors.encoder.id, by_embedder),
            (scorer.reranker.info.id, by_reranker),
        )
    }


def _of_pairs(vectors: Vectors, leg: str, documents: np.ndarray, mask: np.ndarray) -> np.ndarray:
    column = np.zeros(len(vectors.corpus.documents), dtype=np.int64)
    column[vectors.legs[leg].positions] = np.arange(len(vectors.legs[leg].positions))
    found = np.take_along_axis(vectors.scores(leg), column[np.maximum(documents, 0)], axis=1)
    return np.where(mask, found, np.nan)
