"""How many labelled pairs calibrated fusion needs before it beats the merges that need none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, expected_measure
from mmgap.fusion import comb_weighted
from mmgap.index.vectors import Vectors
from mmgap.strategies.candidates import DEPTH, Pool, list_candidates
from mmgap.strategies.distributions import need_both_legs
from mmgap.strategies.judge import deepest_cut_off, judge
from mmgap.strategies.strategy import LABELLED_PAIRS, Strategy

if TYPE_CHECKING:
    import pandas as pd

BUDGETS = (0, 10, 30, 100, 300, 1000)
"""Numbers of labelled pairs."""

JUDGED_DEPTH = 10
"""Ranks of each leg's list from which pairs are drawn for labelling."""

WAYS = ("each leg calibrated", "both scores at once")
"""Kinds of calibrated fusion: a logistic curve for each leg, and one for both scores."""

_N_WEIGHT = 101


def label_budget(
    calibration: Vectors | Pool,
    test: Vectors | Pool,
    *,
    budgets: Sequence[int] = BUDGETS,
    n_draws: int = 200,
    measure: str = "recall@10",
    references: Iterable[Strategy] | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure calibrated fusion fitted on few labelled pairs, and label-free merges beside it.

    **A labelled pair** is a calibration query, a document, and a judgment, relevant or not, which
    serves both legs. Pairs are drawn at random, without replacement, from the first ten ranks of
    either leg's list of every calibration query, as an assessor would be shown them.

    **The fusion** is logistic in both legs' scores, each first brought onto one scale without
    labels (z-scores of the calibration scores). It is fitted with a Gaussian prior that holds the
    label-free merge: both slopes at 1, which is the mean of the z-scores. With no label the fusion
    *is* that merge; labels pull it away as far as they speak for it, and no number of labels makes
    it fail. Two ways: a curve for each leg by itself, whose log-odds are added, or one curve for
    both scores. A slope below 0 counts as 0. Weights are rounded to 1 %, so that one table of 101
    weights serves all draws.

    ``budgets`` above the number of pairs are left out; ``n_draws`` sets of labels for each.
    ``references`` are lines of no labels (None: mean of raw and of z-scores, RRF, the legs).
    The prior's standard deviation is 0.25: on two halves of the bundled calibration queries 0.5 let
    ten labels cost up to 10 points in an unlucky draw, and 0.1 learned next to nothing from 300.

    Tidy: ``corpus``, ``encoder``, ``method``, ``n_labels`` (NaN for references), ``measure``,
    ``value`` (mean over draws and queries), ``ci_low``, ``ci_high`` (95 %, over draws *and*
    queries: what a team with one set of labels would meet), ``draw_low``, ``draw_high`` (95 % of
    the draws), ``n``, ``n_draws``, ``n_relevant`` (among the labels) and ``text_weight``;
    ``table.attrs["failures"]``: references that could not be fitted. Sources:
    Platt 1999 (the curve), Gelman et al. 2008 (that a prior keeps slopes finite).
    """
    import pandas as pd

    cut_off = deepest_cut_off([measure])
    if not budgets or min(budgets) < 0 or n_draws < 1:
        msg = (
            f"expected budgets of 0 or more and n_draws of 1 or more; got {tuple(budgets)} and "
            f"{n_draws}"
        )
        raise MmgapError(msg)
    lines = _lines(references)
    rng = np.random.default_rng(0) if rng is None else rng
    calibration, test = (Pool.of(each, max(DEPTH, cut_off)) for each in (calibration, test))
    for pool in (calibration, test):
        pool.vectors.need_ranked()
        need_both_legs(pool.vectors)
    # Mean and standard deviation of each leg.
    scale = {
        leg: (float(np.nanmean(scores)), float(np.nanstd(scores)) or 1.0)
        for leg, scores in ((leg, calibration.reference[leg]) for leg in LEGS)
    }
    features, labels = _judged_pairs(calibration, scale)
    by_weight = _values_by_weight(test, scale, measure)
    rows = []
    for budget in sorted(set(budgets)):
        if budget > len(labels):
            continue
        drawn = np.stack([rng.permutation(len(labels))[:budget] for _ in range(n_draws)])
        for way in WAYS:
            weights = _text_weights(features[drawn], labels[drawn], way)
            found = by_weight[np.rint(weights * (_N_WEIGHT - 1)).astype(int)]
            rows.append(
                {"method": way, "n_labels": budget, "measure": measure}
                | _over_draws(found, rng)
                | {
                    "n_relevant": labels[drawn].sum(axis=1).mean(),
                    "text_weight": weights.mean(),
                }
            )
    judged = judge(lines, test, calibration, measures=[measure])
    for name, values in judged.by_query().items():
        low, high = bootstrap_interval(values.to_numpy(), rng=rng)
        rows.append(
            {"method": name, "n_labels": np.nan, "measure": measure, "value": values.mean()}
            | {"ci_low": float(low), "ci_high": float(high), "n": len(values)}
        )
    table = pd.DataFrame(rows)
    table.insert(0, "encoder", test.vectors.encoder.id)
    table.insert(0, "corpus", test.vectors.corpus.name)
    table.attrs["failures"] = judged.failures
    return table


def fit_slopes(features: np.ndarray, labels: np.ndarray, *, prior_sd: float = 0.25) -> np.ndarray:
    """Fit many small logistic regressions at once, with slopes drawn to 1.

    ``features`` (n_fit, n_pair, n_feature) on one scale, ``labels`` bool (n_fit, n_pair); no pair
    leaves the prior. The slope of largest posterior probability, (n_fit, n_feature), always finite.
    The prior of each slope is Gaussian; the intercept's has mean 0 and standard deviation 10.

    Without a label both slopes stay where the prior has them. One label of each kind: the feature
    that tells them apart rises, the other one stays.

    >>> fit_slopes(np.empty((1, 0, 2)), np.empty((1, 0), dtype=bool))
    array([[1., 1.]])
    >>> fit_slopes(np.array([[[1.0, 0.0], [-1.0, 0.0]]]), np.array([[True, False]])).round(2)
    array([[1.03, 1.  ]])
    """
    n_fit, n_pair, n_feature = features.shape
    design = np.concatenate([features, np.ones((n_fit, n_pair, 1))], axis=2)
    centre = np.append(np.ones(n_feature), 0.0)
    precision = np.append(np.full(n_feature, prior_sd**-2.0), 10.0**-2)
    found = np.tile(centre, (n_fit, 1))

    def loss(at: np.ndarray) -> np.ndarray:
        logit = (design @ at[:, :, None])[:, :, 0]
        fit = np.logaddexp(0, np.where(labels, -logit, logit)).sum(axis=1)
        return fit + (precision * (at - centre) ** 2).sum(axis=1) / 2

    value = loss(found)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip((design @ found[:, :, None])[:, :, 0], -500, 500)))
        slope = np.einsum("fpk,fp->fk", design, p - labels) + precision * (found - centre)
        curve = np.einsum("fpk,fp,fpl->fkl", design, p * (1 - p), design) + np.diag(precision)
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        # The loss is convex; a step that overshoots is halved until it no longer climbs.
        size = np.ones(n_fit)
        for _ in range(30):
            tried = found - size[:, None] * step
            climbs = loss(tried) > value + 1e-12
            if not climbs.any():
                break
            size = np.where(climbs, size / 2, size)
        found, value = tried, loss(tried)
        if np.abs(size[:, None] * step).max(initial=0) < 1e-9:
            break
    return found[:, :n_feature]


def _judged_pairs(
    calibration: Pool, scale: dict[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Both z-scores of every pair that may be labelled, and its label."""
    candidates = list_candidates(calibration.scores, JUDGED_DEPTH).of(LEGS, JUDGED_DEPTH)
    there = candidates.documents >= 0
    rows = np.arange(len(there))[:, None]
    labels = calibration.relevant[rows, np.maximum(candidates.documents, 0)][there]
    features = [
        (candidates.scores[leg][there] - mean) / spread for leg, (mean, spread) in scale.items()
    ]
    # A leg that lacks the document says nothing of it.
    return np.nan_to_num(np.column_stack(features), nan=0.0), labels


def _text_weights(features: np.ndarray, labels: np.ndarray, way: str) -> np.ndarray:
    """Weight of the text leg's z-score for each set of labels: in [0, 1], 0.5 without labels."""
    if way == WAYS[0]:
        slopes = np.column_stack(
            [fit_slopes(features[:, :, [leg]], labels)[:, 0] for leg in (0, 1)]
        )
    else:
        slopes = fit_slopes(features, labels)
    slopes = np.maximum(slopes, 0)
    total = slopes.sum(axis=1)
    return np.where(total > 0, slopes[:, 0] / np.where(total > 0, total, 1), 0.5)


def _values_by_weight(
    test: Pool, scale: dict[str, tuple[float, float]], measure: str
) -> np.ndarray:
    """Measure every query at every weight of the text leg: shape (n_weight, n_query)."""
    candidates = test.candidates
    legs = [(candidates.scores[leg] - mean) / spread for leg, (mean, spread) in scale.items()]
    grades, documents = _grades(test), candidates.documents
    at = np.where(documents >= 0, np.take_along_axis(grades, np.maximum(documents, 0), axis=1), 0)
    # Relevant documents that no leg lists still count: they follow as columns that are not ranked.
    unlisted = np.hstack([grades, np.zeros((len(grades), 1))])  # empty places go to the last column
    np.put_along_axis(unlisted, documents, 0.0, axis=1)
    width = max(int((unlisted > 0).sum(axis=1).max(initial=0)), 1)
    missing = -np.sort(-unlisted, axis=1)[:, :width]
    relevance = np.hstack([at, missing])
    unranked = np.full(missing.shape, np.nan)
    min_grade = test.vectors.corpus.qrels.min_grade
    return np.stack(
        [
            expected_measure(
                np.hstack([comb_weighted(*legs, text_weight=weight), unranked]),
                relevance,
                measure,
                min_grade=min_grade,
            )
            for weight in np.linspace(0, 1, _N_WEIGHT)
        ]
    )


def _grades(pool: Pool) -> np.ndarray:
    """Grade of every document for every query: (n_query, n_doc)."""
    corpus = pool.vectors.corpus
    grades = np.zeros((len(corpus.queries), len(corpus.documents)))
    for row, query_id in enumerate(corpus.query_ids):
        for doc_id, grade in corpus.qrels[query_id].items():
            grades[row, corpus.position(doc_id)] = grade
    return grades


def _over_draws(found: np.ndarray, rng: np.random.Generator, n: int = 4000) -> dict[str, float]:
    """Mean and intervals of values of shape (n_draw, n_query)."""
    n_draw, n_query = found.shape
    draws = rng.integers(n_draw, size=n)
    counts = rng.multinomial(n_query, np.full(n_query, 1 / n_query), size=n) / n_query
    both = np.einsum("bq,bq->b", counts, found[draws])
    low, high = np.quantile(both, [0.025, 0.975])
    draw_low, draw_high = np.quantile(found.mean(axis=1), [0.025, 0.975])
    return {
        "value": found.mean(),
        "ci_low": low,
        "ci_high": high,
        "draw_low": draw_low,
        "draw_high": draw_high,
        "n": n_query,
        "n_draws": n_draw,
    }


def _lines(references: Iterable[Strategy] | None) -> list[Strategy]:
    from mmgap.strategies.catalogue import METHODS

    names = ("reference z, mean", "raw, mean", "RRF, k = 60", "text leg", "image leg")
    found = [METHODS[name] for name in names] if references is None else list(references)
    for strategy in found:
        if strategy.fitted_on == LABELLED_PAIRS:
            msg = f"{strategy.name!r} is fitted on labels; references are methods that need none"
            raise MmgapError(msg)
    return found
