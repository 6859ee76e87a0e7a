"""What the scores of one corpus and encoder look like, leg by leg and query by query.

Scores are those of :meth:`Vectors.scores`: cosines, or for late interaction means of best cosines,
of every query with every document of the pool. Pairs that ``corpus.left_out`` names do not count.
Which pairs are relevant comes from the corpus' judgments. A missing or empty leg raises
:class:`~mmgap.errors.MmgapError` where two are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mmgap import scores
from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval
from mmgap.index.vectors import Vectors

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.strategies.rerank import PairScorer


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


def leg_pairs(vectors: Vectors, leg: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and relevance of one leg, both of shape (n_query, n_leg)."""
    return vectors.scores(leg), relevance(vectors)[:, vectors.legs[leg].positions]


def score_distributions(vectors: Vectors) -> scores.ScoreDistributions:
    """Compare the scores that queries give to texts with those they give to images.

    See :func:`mmgap.scores.score_distributions`. The two matrices are held at once.
    """
    need_both_legs(vectors)
    (text, good_text), (image, good_image) = (leg_pairs(vectors, leg) for leg in LEGS)
    return scores.score_distributions(
        text, image, text_relevant=good_text, image_relevant=good_image
    )


def distribution_frame(vectors: Vectors) -> pd.DataFrame:
    """Return the table of :func:`score_distributions`, or of the only leg that has documents."""
    if set(vectors.filled_legs) == set(LEGS):
        return score_distributions(vectors).to_frame()
    (leg,) = vectors.filled_legs
    of_leg, relevant = leg_pairs(vectors, leg)
    # The one definition of every number takes two legs: the leg stands in for both, and only what
    # is said of itself is kept.
    table = scores.score_distributions(
        of_leg, of_leg, text_relevant=relevant, image_relevant=relevant
    ).to_frame()
    return table[table["sample"].isin([leg, f"{leg} relevant"])].reset_index(drop=True)


def merged_text_fraction(
    vectors: Vectors, k: int = 10, found: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Fraction of texts among the k best hits when both modalities are merged by raw cosine.

    Each text and each image is a hit of its own, as in an index that holds both. Shape (n_query,);
    compare with the fraction of texts in the index, one half where every document has both.
    ``found`` holds the scores of the legs if known.
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


def score_contrasts(
    vectors: Vectors, *, k: int = 10, rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """Compare the scores that each query gives to texts with those it gives to images.

    Only scores of one query are compared with each other, as a ranking does. Columns ``measure``,
    ``value`` (mean over queries), ``ci_low``, ``ci_high`` (95 % bootstrap over queries), ``n``
    (queries that have the measure). Measures:

    - ``text_above_image``: probability that a random text scores higher than a random image;
    - ``text_beats_relevant_image``, ``image_beats_relevant_text``: probability that a random
      non-relevant document of one modality scores higher than the relevant one of the other;
    - ``text_fraction``: :func:`merged_text_fraction` at ``k``;
    - ``sd_text_minus_image``: standard deviation of a query's text scores minus that of its image
      scores; positive = texts spread wider.
    """
    import pandas as pd

    need_both_legs(vectors)
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for measure, values in _by_query(vectors, k).items():
        values = values[np.isfinite(values)]
        if not len(values):
            rows.append((measure, np.nan, np.nan, np.nan, 0))
            continue
        low, high = bootstrap_interval(values, rng=rng)
        rows.append((measure, values.mean(), float(low), float(high), len(values)))
    return pd.DataFrame(rows, columns=["measure", "value", "ci_low", "ci_high", "n"])


def _by_query(vectors: Vectors, k: int) -> dict[str, np.ndarray]:
    (text, good_text), (image, good_image) = (leg_pairs(vectors, leg) for leg in LEGS)
    text, image = text.astype(np.float64), image.astype(np.float64)
    sd_text, sd_image = (
        np.ma.masked_invalid(values).std(axis=1).filled(np.nan) for values in (text, image)
    )
    nan = np.nan
    return {
        "text_above_image": scores.dominance_by_query(text, image),
        "text_beats_relevant_image": scores.dominance_by_query(
            np.where(good_text, nan, text), np.where(good_image, image, nan)
        ),
        "image_beats_relevant_text": scores.dominance_by_query(
            np.where(good_image, nan, image), np.where(good_text, text, nan)
        ),
        "text_fraction": merged_text_fraction(vectors, k),
        "sd_text_minus_image": sd_text - sd_image,
    }


def score_pairs(
    vectors: Vectors, scorer: PairScorer, *, depth: int = 16
) -> dict[str, scores.ScoreDistributions]:
    """Compare query-text with query-image scores, of the embedder and of the reranker.

    Both models score the same pairs, each document once by its text and once by its image, so that
    what differs is the model; documents that lack a modality are left out. Pairs are those of each
    query with the first ``depth`` documents of both legs, which score higher than others in the leg
    that found them. The embedder's distributions come first. Claim A7 of the article is that the
    second has the narrower gap: larger ``overlap``, smaller ``ks``, ``dominance`` nearer to one
    half.
    """
    from mmgap.strategies.candidates import Pool

    need_both_legs(vectors)
    pool = Pool(vectors, depth)
    documents = pool.candidates.documents
    both = scorer.shows("text", documents) & scorer.shows("image", documents)
    if not both.any():
        msg = f"no document of {vectors.corpus.name!r} has both a text and an image to compare"
        raise MmgapError(msg)
    scorer.require({"text": both, "image": both}, documents)
    good = pool.relevance_of(documents) & both
    by_reranker = [scorer.look_up(leg, both, documents)["score"] for leg in LEGS]
    by_embedder = [_of_pairs(vectors, leg, documents, both) for leg in LEGS]
    return {
        name: scores.score_distributions(text, image, text_relevant=good, image_relevant=good)
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
