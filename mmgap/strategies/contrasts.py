"""How texts and images compare query by query, with intervals over queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation import bootstrap_interval
from mmgap.index.vectors import Vectors
from mmgap.scores import dominance_by_query
from mmgap.strategies.distributions import merged_text_fraction, need_both_legs, relevance

if TYPE_CHECKING:
    import pandas as pd


def score_contrasts(
    vectors: Vectors, *, k: int = 10, rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """Compare the scores that each query gives to texts with those it gives to images.

    Only scores of one query are compared with each other, as a ranking does; the pooled numbers of
    :func:`score_distributions` also compare across queries.

    Parameters
    ----------
    vectors : Vectors
    k : int, default 10
        Cut-off of ``text_fraction``.
    rng : numpy.random.Generator or None
        Of the bootstrap; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Columns ``measure``, ``value`` (mean over queries), ``ci_low``, ``ci_high`` (95 % bootstrap
        interval over queries) and ``n`` (queries that have the measure; NaN stands where none
        has). Pairs that ``corpus.left_out`` names do not count. Measures:

        - ``text_above_image``: chance that a random text scores higher than a random image; 0.5 =
          neither is higher;
        - ``text_beats_relevant_image``, ``image_beats_relevant_text``: chance that a random
          document of one modality that is *not* relevant scores higher than the relevant one of
          the other;
        - ``text_fraction``: share of texts among the first ``k`` of the list merged by raw cosine,
          see :func:`merged_text_fraction`;
        - ``sd_text_minus_image``: standard deviation of a query's text scores less that of its
          image scores; positive = texts spread wider.

    Raises
    ------
    MmgapError
        If a leg is missing or holds no document.
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
    relevant = relevance(vectors)
    text, image = (vectors.scores(leg).astype(np.float64) for leg in ("text", "image"))
    good_text = relevant[:, vectors.text.positions]
    good_image = relevant[:, vectors.image.positions]
    nan = np.nan
    return {
        "text_above_image": dominance_by_query(text, image),
        "text_beats_relevant_image": dominance_by_query(
            np.where(good_text, nan, text), np.where(good_image, image, nan)
        ),
        "image_beats_relevant_text": dominance_by_query(
            np.where(good_image, nan, image), np.where(good_text, text, nan)
        ),
        "text_fraction": merged_text_fraction(vectors, k),
        "sd_text_minus_image": _sd(text) - _sd(image),
    }


def _sd(scores: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each row, NaN left out; NaN where nothing is left."""
    return np.ma.masked_invalid(scores).std(axis=1).filled(np.nan)
