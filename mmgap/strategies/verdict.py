"""Normalise, calibrate or rerank? One method of each family, chosen fairly, judged fairly."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import Corpus
from mmgap.errors import MmgapError
from mmgap.evaluation import bootstrap_interval, evaluate, holm, randomisation_test
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.cost import cost_frame
from mmgap.strategies.first_stage import find_pool
from mmgap.strategies.method import CANNOT_FIT, LABELLED_PAIRS, NOTHING, TOLERANCE, Method
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pool import Pool
from mmgap.strategies.run_two_stage import CostedRun, run_two_stage
from mmgap.strategies.split import query_folds, take_queries
from mmgap.strategies.two_stage import CONVEX, TwoStage

if TYPE_CHECKING:
    import pandas as pd

VERDICT_FAMILIES = ("label-free merge", "calibrated fusion", "reranking")
"""What is compared, from what asks least of its user to what asks most."""

_PAIRS = (
    (VERDICT_FAMILIES[1], VERDICT_FAMILIES[0]),
    (VERDICT_FAMILIES[2], VERDICT_FAMILIES[0]),
    (VERDICT_FAMILIES[2], VERDICT_FAMILIES[1]),
)
"""The dearer one first."""

Candidate = Method | TwoStage
"""Anything that makes one list of two legs."""


@dataclass(frozen=True)
class HeldOut:
    """What candidates find for calibration queries; returned by :func:`held_out`.

    Parameters
    ----------
    values : DataFrame
        One row per query, one column per candidate.
    calls : Series
        Reranker calls per query, on average, by candidate; 0 for those without a reranker.
    failures : mapping of str to str
        Methods that cannot be fitted on so little, each with the reason; they have no column.
    """

    values: pd.DataFrame
    calls: pd.Series
    failures: Mapping[str, str] = field(default_factory=dict)


def verdict_family(candidate: Candidate) -> str | None:
    """Return the family of ``VERDICT_FAMILIES`` that a candidate stands for.

    Returns
    -------
    family : str or None
        ``None`` for a single leg, and for a strategy of two stages that does not rerank.

    Examples
    --------
    >>> from mmgap.strategies import METHODS
    >>> verdict_family(METHODS["reference z, mean"]), verdict_family(METHODS["text leg"])
    ('label-free merge', None)
    """
    if isinstance(candidate, TwoStage):
        return VERDICT_FAMILIES[2] if candidate.view is not None else None
    if candidate.family == "leg":
        return None
    return VERDICT_FAMILIES[candidate.fitted_on == LABELLED_PAIRS]


def run_candidates(
    vectors: Vectors,
    candidates: Sequence[Candidate],
    scorer: PairScorer | None = None,
    *,
    calibration: Vectors,
    failures: dict[str, str] | None = None,
) -> list[CostedRun]:
    """Run methods and two-stage strategies on the same queries, with what each costs.

    Parameters
    ----------
    vectors : Vectors
        Whose queries are answered.
    candidates : sequence of Method or TwoStage
        With different names.
    scorer : PairScorer or None
        Of ``vectors``; ``None`` where nothing reranks.
    calibration : Vectors
        Of other queries by the same encoder: whatever is fitted is fitted on them.
    failures : dict of str to str or None
        Where to put the reason why a method cannot be fitted, which then has no run. None raises.

    Returns
    -------
    list of CostedRun
        In the order of ``candidates``. A method has no reranker calls; its ``strategy`` is a
        stand-in that has its name and says that nothing is reranked.

    Raises
    ------
    MmgapError
        As :func:`run_two_stage` does.
    """
    two_stage = [each for each in candidates if isinstance(each, TwoStage)]
    found = {each.run.name: each for each in _methods(vectors, candidates, calibration, failures)}
    if two_stage:
        costed = run_two_stage(vectors, two_stage, scorer, calibration=calibration)
        found |= {each.run.name: each for each in costed}
    return [found[candidate.name] for candidate in candidates if candidate.name in found]


def held_out(
    calibration: Vectors,
    candidates: Sequence[Candidate],
    reranker: Reranker | None = None,
    *,
    measure: str = "recall@10",
    n_folds: int = 5,
    cache: bool | str | Path = True,
) -> HeldOut:
    """Judge candidates on calibration queries, none by a fit that has seen the query's labels.

    Parameters
    ----------
    calibration : Vectors
    candidates : sequence of Method or TwoStage
        With different names.
    reranker : Reranker or None
        Needed where a candidate reranks.
    measure : str, default "recall@10"
        As in :func:`mmgap.evaluation.evaluate`; the value expected over the orders of ties.
    n_folds : int, default 5
        Parts of the queries; a method is fitted on all parts but one and judged on that one.
        Queries with the same relevant documents share a part.
    cache : bool or Path, default True
        Of reranker scores, see :class:`PairScorer`.

    Returns
    -------
    HeldOut

    Raises
    ------
    MmgapError
        If names repeat, or all queries have the same relevant documents.

    Notes
    -----
    What is not fitted, and strategies of two stages whose first stage is fitted without labels, run
    once on all queries. The parts search the same documents.
    """
    import pandas as pd

    names = [each.name for each in candidates]
    if len(set(names)) < len(names):
        msg = f"candidates need different names to be told apart; got {names}"
        raise MmgapError(msg)
    values = pd.DataFrame(np.nan, index=calibration.corpus.query_ids, columns=names)
    calls = pd.DataFrame(0.0, index=values.index, columns=names)
    failures: dict[str, str] = {}

    def judge(asked: Vectors, chosen: Sequence[Candidate], fit_on: Vectors) -> None:
        reranks = any(isinstance(each, TwoStage) and each.view for each in chosen)
        scorer = PairScorer(asked, reranker, cache=cache) if reranker and reranks else None
        for each in run_candidates(asked, chosen, scorer, calibration=fit_on, failures=failures):
            rows = asked.corpus.query_ids
            values.loc[rows, each.run.name] = _values(each, asked.corpus, measure)
            calls.loc[rows, each.run.name] = each.calls

    judge(calibration, [each for each in candidates if not _needs_parts(each)], calibration)
    fitted = [each for each in candidates if _needs_parts(each)]
    for rows in query_folds(calibration, n_folds) if fitted else []:
        others = np.setdiff1d(np.arange(len(values)), rows)
        judge(take_queries(calibration, rows), fitted, take_queries(calibration, others))
    values, calls = (frame.drop(columns=list(failures)) for frame in (values, calls))
    return HeldOut(values, calls.mean(), failures)


def choose_best(found: HeldOut, names: Sequence[str], *, max_calls: float = np.inf) -> str:
    """Choose the candidate that finds most for the calibration queries.

    Parameters
    ----------
    found : HeldOut
    names : sequence of str
        Candidates to choose from.
    max_calls : float, default infinite
        Most reranker calls per query that the choice may take.

    Returns
    -------
    name : str
        Among equals the one with fewer calls, then the one named first.

    Raises
    ------
    MmgapError
        If none of the names is within the budget.

    Examples
    --------
    >>> import pandas as pd
    >>> values = pd.DataFrame({"merge": [0.5, 0.5], "rerank 8": [1.0, 0.5], "rerank 64": [1, 1]})
    >>> found = HeldOut(values, pd.Series({"merge": 0, "rerank 8": 8, "rerank 64": 64}))
    >>> choose_best(found, list(values)), choose_best(found, list(values), max_calls=10)
    ('rerank 64', 'rerank 8')
    """
    known = [name for name in names if name in found.calls]
    allowed = [name for name in known if found.calls[name] <= max_calls + 1e-9]
    if not allowed:
        msg = f"none of {list(names)} takes {max_calls} reranker calls or fewer; allow more"
        raise MmgapError(msg)
    return min(allowed, key=lambda name: (-round(found.values[name].mean(), 12), found.calls[name]))


def family_verdicts(
    found: Mapping[str, Mapping[str, CostedRun]],
    corpora: Mapping[str, Corpus],
    *,
    measure: str = "recall@10",
    by: str | None = "query_class",
    embed_ms: float = np.nan,
    n_resamples: int = 10_000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Compare the families in pairs, on all queries and on each class of them.

    Parameters
    ----------
    found : mapping of condition to mapping of family to CostedRun
        One run for each of ``VERDICT_FAMILIES``, chosen on *other* queries: what was chosen here
        would win by luck.
    corpora : mapping of condition to Corpus
        Whose queries were answered.
    measure : str, default "recall@10"
    by : str or None, default "query_class"
        Query metadata that splits the queries; ignored where the corpus does not have it.
    embed_ms : float
        As in :func:`cost_frame`.
    n_resamples : int, default 10_000
        Of bootstrap and randomisation test.
    rng : numpy.random.Generator or None
        None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Three rows for each condition and class (``all`` first): ``condition``, ``query_class``,
        ``n``, ``family`` and the simpler one it is set ``against``, the ``method`` and
        ``against_method`` that stand for them, ``value`` and ``against_value`` (means in [0, 1]),
        ``difference`` with ``ci_low`` and ``ci_high`` (paired, 95 %), ``p`` (paired randomisation
        test, two-sided), ``p_holm`` (corrected for all rows of the table), and what each costs:
        ``labels``, whether ``family`` was fitted on judged queries; ``calls``, ``against_calls``,
        ``ms``, ``against_ms`` per query.

    Raises
    ------
    MmgapError
        If a condition lacks a family or a corpus.

    References
    ----------
    .. [1] Smucker, Allan and Carterette, "A Comparison of Statistical Significance Tests for
       Information Retrieval Evaluation", CIKM 2007.
    .. [2] Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 1979.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for condition, runs in found.items():
        if set(runs) != {*VERDICT_FAMILIES} or condition not in corpora:
            msg = (
                f"condition {condition!r} has the families {list(runs)}, and there are corpora for "
                f"{list(corpora)}; expected each of {VERDICT_FAMILIES}, and a corpus"
            )
            raise MmgapError(msg)
        corpus = corpora[condition]
        values = {family: _values(runs[family], corpus, measure) for family in VERDICT_FAMILIES}
        for name, members in _groups(corpus, by).items():
            costs = _costs(runs, members, embed_ms)
            own = {family: found_here[members] for family, found_here in values.items()}
            gains = np.stack([own[one] - own[other] for one, other in _PAIRS], axis=1)
            low, high = bootstrap_interval(gains, rng=rng, n_resamples=n_resamples)
            p = randomisation_test(gains, rng=rng, n_resamples=n_resamples)
            for at, (one, other) in enumerate(_PAIRS):
                rows.append(
                    {"condition": condition, "query_class": name, "n": len(members)}
                    | {"family": one, "against": other}
                    | {"method": runs[one].run.name, "against_method": runs[other].run.name}
                    | {"value": own[one].mean(), "against_value": own[other].mean()}
                    | {"difference": gains[:, at].mean(), "ci_low": low[at], "ci_high": high[at]}
                    | {"p": p[at]}
                    | {"labels": one == VERDICT_FAMILIES[1] or _reads_labels(runs[one].strategy)}
                    | {"calls": costs[one][0], "against_calls": costs[other][0]}
                    | {"ms": costs[one][1], "against_ms": costs[other][1]}
                )
    table = pd.DataFrame(rows)
    table.insert(list(table.columns).index("p") + 1, "p_holm", holm(table["p"].to_numpy()))
    return table


def recommended_family(rows: pd.DataFrame, *, alpha: float = 0.05) -> str:
    """Return the simplest family that no other one beats significantly.

    Parameters
    ----------
    rows : DataFrame
        The three rows of :func:`family_verdicts` for one condition and class.
    alpha : float, default 0.05
        Level of ``p_holm``.

    Returns
    -------
    family : str
        One of ``VERDICT_FAMILIES``, which are ordered by what they ask of their user.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"family": ["calibrated fusion", "reranking", "reranking"],
    ...     "against": ["label-free merge", "label-free merge", "calibrated fusion"],
    ...     "difference": [0.03, 0.04, 0.01], "p_holm": [0.01, 0.01, 0.6]})
    >>> recommended_family(rows)
    'calibrated fusion'
    """
    sure = rows[rows["p_holm"] < alpha]
    beaten = {*sure.loc[sure["difference"] > 0, "against"]}
    beaten |= {*sure.loc[sure["difference"] < 0, "family"]}
    # Three families cannot beat each other in a circle: the largest mean is never beaten.
    return next(family for family in VERDICT_FAMILIES if family not in beaten)


def verdict_sentences(
    table: pd.DataFrame, *, n_labelled: Mapping[str, int], alpha: float = 0.05
) -> pd.Series:
    """Write the verdict on each condition and class: who wins, and at what cost.

    Parameters
    ----------
    table : DataFrame
        From :func:`family_verdicts`.
    n_labelled : mapping of condition to int
        Judged queries that calibrated fusion was fitted on.
    alpha : float, default 0.05
        Level of ``p_holm`` below which a difference is called one.

    Returns
    -------
    sentences : Series of str
        Two sentences for each condition and class, in Markdown; indexed by these two.
    """
    import pandas as pd

    found = {}
    for key, rows in table.groupby(["condition", "query_class"], sort=False):
        condition = str(rows["condition"].iloc[0])
        outcome = _outcome(rows, alpha)
        found[key] = f"{outcome} {_price(rows, n_labelled[condition], alpha)}"
    index = pd.MultiIndex.from_tuples(found, names=["condition", "query_class"])
    return pd.Series(list(found.values()), index=index, name="verdict")


# --- running and judging -------------------------------------------------------------------------


def _methods(
    vectors: Vectors,
    candidates: Sequence[Candidate],
    calibration: Vectors,
    failures: dict[str, str] | None,
) -> list[CostedRun]:
    methods = [each for each in candidates if isinstance(each, Method)]
    if not methods:
        return []
    pool, bank = Pool(vectors), Pool(calibration)
    n_query = len(vectors.corpus.queries)
    search = find_pool(vectors, pool.depth or 100).seconds / n_query
    pool.candidates  # noqa: B018  (worked out before any clock runs)
    none = np.zeros(n_query, dtype=np.int64)
    found = []
    for method in methods:
        try:
            fitted = method.fit(bank)
            began = time.perf_counter()
            run = fitted.run(pool)
        except CANNOT_FIT as error:
            if failures is None:
                raise
            failures[method.name] = str(error)
            continue
        spent = (time.perf_counter() - began) / n_query
        stand_in = TwoStage(method.name, None, merge="mean")
        found.append(CostedRun(stand_in, run, none, none, none, 0.0 * none, search, spent))
    return found


def _values(costed: CostedRun, corpus: Corpus, measure: str) -> np.ndarray:
    found = evaluate(costed.run, corpus.qrels, [measure], tolerance=TOLERANCE)
    return found["expected"][measure].to_numpy()


def _needs_parts(candidate: Candidate) -> bool:
    """Whether a candidate must be judged by a fit on other queries."""
    if isinstance(candidate, Method):
        return candidate.fitted_on != NOTHING
    return _reads_labels(candidate)


def _reads_labels(strategy: TwoStage) -> bool:
    """Whether a first stage is fitted on judged queries."""
    from mmgap.scores.calibrate import CALIBRATORS

    return strategy.merge == CONVEX or strategy.normalise in CALIBRATORS


def _groups(corpus: Corpus, by: str | None) -> dict[str, np.ndarray]:
    labels = corpus.query_frame()
    groups = {"all": np.arange(len(labels))}
    if by is not None and by in labels:
        for name in dict.fromkeys(sorted(labels[by].dropna())):
            groups[str(name)] = np.flatnonzero(labels[by].to_numpy() == name)
    return groups


def _costs(
    runs: Mapping[str, CostedRun], members: np.ndarray, embed_ms: float
) -> dict[str, tuple[float, float]]:
    """Reranker calls and milliseconds per query of each family, on these queries."""
    costs = {}
    for family, each in runs.items():
        frame = cost_frame([each], embed_ms=embed_ms).iloc[0]
        # The reranker's time is known query by query, the other stages' as a mean over all.
        rerank_ms = 1000 * each.rerank_seconds[members].mean()
        ms = frame["ms_per_query"] - frame["rerank_ms"] + rerank_ms
        costs[family] = float(each.calls[members].mean()), float(ms)
    return costs


# --- words ---------------------------------------------------------------------------------------


def _outcome(rows: pd.DataFrame, alpha: float) -> str:
    """Say who leads, and over whom the lead is more than chance."""
    means = {row["family"]: row["value"] for row in rows.to_dict("records")}
    means |= {row["against"]: row["against_value"] for row in rows.to_dict("records")}
    leader = max(VERDICT_FAMILIES, key=lambda family: means[family])
    sure: list[str] = []
    unsure: list[str] = []
    for family in VERDICT_FAMILIES:
        if family != leader:
            lead, p = _lead(rows, leader, family)
            (sure if p < alpha else unsure).append(f"{lead} over {family} ({_p(p)})")
    at = f"{100 * means[leader]:.1f} %"
    name = leader[0].upper() + leader[1:]
    if not unsure:
        return f"**{name} wins** with {at}: {' and '.join(sure)}."
    if not sure:
        return f"**No winner**: {leader} leads with {at}, by {' and '.join(unsure)}, within chance."
    return f"**{name} is ahead of one**, with {at}: {sure[0]}; but {unsure[0]}, within chance."


def _price(rows: pd.DataFrame, n_labelled: int, alpha: float) -> str:
    """Say which family to take and what it costs."""
    best = recommended_family(rows, alpha=alpha)
    free, fused, rerank = VERDICT_FAMILIES
    row = rows[(rows["family"] == rerank) & (rows["against"] == free)].iloc[0]
    reranking = f"{row['calls']:.0f} reranker calls and {_ms(row['ms'])} ms a query"
    labels = f"{n_labelled} judged queries"
    if best == rerank:
        price = (row["ms"] - row["against_ms"]) / (100 * row["difference"])
        each = f", {_ms(price)} ms for each point" if row["difference"] > 0 else ""
        return (
            f"Take it where {reranking} instead of {_ms(row['against_ms'])} ms can be paid{each}; "
            + (f"its first stage asks for {labels}." if row["labels"] else "it asks for no labels.")
        )
    if best == fused:
        (beyond,) = rows.loc[(rows["family"] == rerank) & (rows["against"] == fused), "difference"]
        return (
            f"The simplest that nothing beats for sure is {fused}, for {labels} once and no "
            f"reranker calls; the {reranking} of {rerank} {_adds(beyond)}."
        )
    beyond = rows.loc[rows["against"] == free, "difference"].max()
    return (
        f"The {free} will do, without labels and calls; the {labels} of {fused} and the "
        f"{reranking} of {rerank} {_adds(beyond)}."
    )


def _adds(difference: float) -> str:
    return "add what may be chance" if difference > 0 else "add nothing"


def _lead(rows: pd.DataFrame, leader: str, other: str) -> tuple[str, float]:
    """Difference in points with its interval, in the leader's favour, and its p-value."""
    straight = rows[(rows["family"] == leader) & (rows["against"] == other)]
    turned = rows[(rows["family"] == other) & (rows["against"] == leader)]
    row = (straight if len(straight) else turned).iloc[0]
    sign = 1 if len(straight) else -1
    value = 100 * sign * row["difference"]
    low, high = sorted(100 * sign * row[bound] for bound in ("ci_low", "ci_high"))
    value, low, high = (round(each, 1) + 0.0 for each in (value, low, high))  # no minus zero
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]", float(row["p_holm"])


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _ms(ms: float) -> str:
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.2g}"
