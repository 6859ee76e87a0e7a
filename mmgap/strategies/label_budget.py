"""How many labels calibrated fusion needs: recall against the number of labelled pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, evaluate, expected_measure
from mmgap.fusion import comb_weighted
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import need_both_legs
from mmgap.strategies.judge import deepest_cut_off
from mmgap.strategies.method import CANNOT_FIT, LABELLED_PAIRS, LEFT_OUT, TOLERANCE, Method
from mmgap.strategies.pool import Pool, deep_pool, list_candidates

if TYPE_CHECKING:
    import pandas as pd

BUDGETS = (0, 10, 30, 100, 300, 1000)
"""Numbers of labelled pairs."""

JUDGED_DEPTH = 10
"""Places of each leg's list from which pairs are drawn for labelling."""

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
    references: Iterable[Method] | None = None,
    prior_sd: float = 0.25,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Measure calibrated fusion fitted on few labelled pairs, and label-free merges beside it.

    **A labelled pair** is a calibration query, a document, and the word of a judge: relevant or
    not. The word serves both legs. Pairs are drawn by lot, without replacement, from the first
    ten places of either leg's list of every calibration query, as a judge would be shown them.

    **The fusion** is logistic in both legs' scores, each first brought onto one scale without
    labels (z-scores of the calibration bank). It is fitted with a Gaussian prior that holds the
    label-free merge: both slopes at 1, which is the mean of the z-scores. With no label the fusion
    *is* that merge; labels pull it away as far as they speak for it. Ten labels of which none is
    relevant therefore change little, and no number of labels makes it fail. Two ways: a curve for
    each leg by itself, whose log-odds are added, or one curve for both scores.

    Parameters
    ----------
    calibration, test : Vectors or Pool
        Of one encoder, with both legs.
    budgets : sequence of int, default ``BUDGETS``
        Those above the number of pairs that can be drawn are left out.
    n_draws : int, default 200
        Sets of labels drawn for each budget.
    measure : str, default "recall@10"
        ``recall@k`` or ``ndcg@k``, expected over the orders of tied documents.
    references : iterable of Method or None, default None
        Drawn as lines of no labels. None takes raw mean, RRF, reference z and the two legs.
    prior_sd : float, default 0.25
        Standard deviation of the slopes' prior; smaller holds faster to the label-free merge. On
        two halves of the bundled corpus' calibration queries 0.5 let ten labels cost up to 10
        points of recall in an unlucky draw, and 0.1 learned next to nothing from 300.
    rng : numpy.random.Generator or None
        Of draws and bootstrap; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Tidy: ``corpus``, ``encoder``, ``method``, ``n_labels`` (NaN for references), ``measure``,
        ``value`` (mean over draws and queries), ``ci_low``, ``ci_high`` (95 %, over draws *and*
        queries: what a team with one set of labels would meet), ``draw_low``, ``draw_high`` (95 %
        of the draws, on these queries), ``n`` (queries), ``n_draws``, ``n_relevant`` (mean number
        of relevant pairs among the labels) and ``text_weight`` (mean weight of the text leg). A
        reference that cannot be fitted has one row, of measure "left out", with its ``reason``.

    Raises
    ------
    MmgapError
        If a leg is missing, or budgets, ``n_draws`` or ``prior_sd`` are out of range.

    Notes
    -----
    A slope below 0 counts as 0: the leg's scores then carry no evidence. Weights are rounded to
    1 %, so that one table of 101 weights serves all draws. The prior of the intercept has mean 0
    and standard deviation 10, so that it is left to the labels.

    References
    ----------
    .. [1] Platt, "Probabilistic Outputs for Support Vector Machines", 1999 (the curve).
    .. [2] Gelman et al., "A Weakly Informative Default Prior Distribution for Logistic and Other
       Regression Models", Annals of Applied Statistics 2008 (that a prior keeps slopes finite).
    """
    import pandas as pd

    if not budgets or min(budgets) < 0 or n_draws < 1 or not prior_sd > 0:
        msg = (
            f"expected budgets of 0 or more, n_draws of 1 or more and a positive prior_sd; got "
            f"{tuple(budgets)}, {n_draws} and {prior_sd}"
        )
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    cut_off = deepest_cut_off([measure])
    calibration, test = deep_pool(calibration, cut_off), deep_pool(test, cut_off)
    for pool in (calibration, test):
        need_both_legs(pool.vectors)
    scale = _scales(calibration)
    features, labels = _judged_pairs(calibration, scale)
    by_weight = _values_by_weight(test, scale, measure)
    rows = []
    for budget in sorted(set(budgets)):
        if budget > len(labels):
            continue
        drawn = np.stack([rng.permutation(len(labels))[:budget] for _ in range(n_draws)])
        for way in WAYS:
            weights = _text_weights(features[drawn], labels[drawn], way, prior_sd)
            found = by_weight[np.rint(weights * (_N_WEIGHT - 1)).astype(int)]
            rows.append(
                {"method": way, "n_labels": budget, "measure": measure}
                | _over_draws(found, rng)
                | {
                    "n_relevant": labels[drawn].sum(axis=1).mean(),
                    "text_weight": weights.mean(),
                }
            )
    rows += [
        _reference_row(method, calibration, test, measure, rng) for method in _lines(references)
    ]
    table = pd.DataFrame(rows)
    table.insert(0, "encoder", test.vectors.encoder.id)
    table.insert(0, "corpus", test.vectors.corpus.name)
    return table


def fit_slopes(
    features: np.ndarray, labels: np.ndarray, *, prior_sd: float = 0.25, prior_mean: float = 1.0
) -> np.ndarray:
    """Fit many small logistic regressions at once, with slopes drawn to one value.

    Parameters
    ----------
    features : ndarray of shape (n_fit, n_pair, n_feature)
        On one scale; none, with ``n_pair`` 0, leaves the prior.
    labels : bool ndarray of shape (n_fit, n_pair)
    prior_sd, prior_mean : float
        Of each slope's Gaussian prior. The intercept's has mean 0 and standard deviation 10.

    Returns
    -------
    slopes : ndarray of shape (n_fit, n_feature)
        Largest posterior probability; always finite.

    Examples
    --------
    Without a label both slopes stay where the prior has them. One label of each kind: the feature
    that tells them apart rises, the other one stays.

    >>> fit_slopes(np.empty((1, 0, 2)), np.empty((1, 0), dtype=bool))
    array([[1., 1.]])
    >>> fit_slopes(np.array([[[1.0, 0.0], [-1.0, 0.0]]]), np.array([[True, False]])).round(2)
    array([[1.03, 1.  ]])
    """
    n_fit, n_pair, n_feature = features.shape
    design = np.concatenate([features, np.ones((n_fit, n_pair, 1))], axis=2)
    centre = np.append(np.full(n_feature, prior_mean), 0.0)
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


def _scales(calibration: Pool) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each leg's bank."""
    found = {}
    for leg, scores in calibration.bank.items():
        spread = float(np.nanstd(scores))
        found[leg] = (float(np.nanmean(scores)), spread if spread > 0 else 1.0)
    return found


def _judged_pairs(
    calibration: Pool, scale: dict[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Both z-scores of every pair that may be labelled, and its label."""
    candidates = list_candidates(calibration.scores, JUDGED_DEPTH)
    there = candidates.documents >= 0
    rows = np.arange(len(there))[:, None]
    labels = calibration.relevant[rows, np.maximum(candidates.documents, 0)][there]
    features = [
        (candidates.scores[leg][there] - mean) / spread for leg, (mean, spread) in scale.items()
    ]
    # A leg that lacks the document says nothing of it.
    return np.nan_to_num(np.column_stack(features), nan=0.0), labels


def _text_weights(
    features: np.ndarray, labels: np.ndarray, way: str, prior_sd: float
) -> np.ndarray:
    """Weight of the text leg's z-score for each set of labels: in [0, 1], 0.5 without labels."""
    if way == WAYS[0]:
        slopes = np.column_stack(
            [fit_slopes(features[:, :, [leg]], labels, prior_sd=prior_sd)[:, 0] for leg in (0, 1)]
        )
    else:
        slopes = fit_slopes(features, labels, prior_sd=prior_sd)
    slopes = np.maximum(slopes, 0)
    total = slopes.sum(axis=1)
    return np.where(total > 0, slopes[:, 0] / np.where(total > 0, total, 1), 0.5)


def _values_by_weight(
    test: Pool, scale: dict[str, tuple[float, float]], measure: str
) -> np.ndarray:
    """Measure every query at every weight of the text leg: shape (n_weight, n_query)."""
    legs = [(test.candidates.scores[leg] - mean) / spread for leg, (mean, spread) in scale.items()]
    grades, documents = _grades(test), test.candidates.documents
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


def _lines(references: Iterable[Method] | None) -> list[Method]:
    if references is not None:
        return list(references)
    from mmgap.strategies.methods import METHODS

    names = ("reference z, mean", "raw, mean", "RRF, k = 60", "text leg", "image leg")
    return [METHODS[name] for name in names]


def _reference_row(
    method: Method, calibration: Pool, test: Pool, measure: str, rng: np.random.Generator
) -> dict[str, object]:
    if method.fitted_on == LABELLED_PAIRS:
        msg = f"{method.name!r} is fitted on labels; references are methods that need none"
        raise MmgapError(msg)
    try:
        run = method.fit(calibration).run(test)
    except CANNOT_FIT as error:
        left_out = {"n_labels": np.nan, "measure": LEFT_OUT, "n": 0, "reason": str(error)}
        return {"method": method.name} | left_out
    found = evaluate(run, test.vectors.corpus.qrels, [measure], tolerance=TOLERANCE)
    values = found["expected"][measure].to_numpy()
    low, high = bootstrap_interval(values, rng=rng)
    return {
        "method": method.name,
        "n_labels": np.nan,
        "measure": measure,
        "value": values.mean(),
        "ci_low": float(low),
        "ci_high": float(high),
        "n": len(values),
    }
