"""What would change an advice, in sentences with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation import bootstrap_interval, randomisation_test
from mmgap.evaluation.measures import parse_measure
from mmgap.index.vectors import Vectors
from mmgap.strategies.advising.choice import Choice, best_of, climb, compared
from mmgap.strategies.advising.entry import EFFORTS, Entry
from mmgap.strategies.advising.terms import LEAST_LABELS, NO_LOOKUP
from mmgap.strategies.advising.words import gap_words, ms_words, p_words, step_words
from mmgap.strategies.cost import break_even
from mmgap.strategies.label_budget import BUDGETS, label_budget
from mmgap.strategies.method import TOLERANCE, Method
from mmgap.strategies.split import split_queries
from mmgap.strategies.two_stage import TwoStage

if TYPE_CHECKING:
    import pandas as pd

_LABELLED = "labelled calibration"
_DRAWS = 50
_CURVES = ("recall", "ndcg")  # measures of which there is a curve over labels


def change_words(
    choice: Choice, calibration: Vectors, by_class: pd.DataFrame, *, reranked: bool
) -> list[str]:
    """Say what would change the choice: queries, labels, look-ups, a reranker, legs, classes.

    Parameters
    ----------
    choice : Choice
    calibration : Vectors
        Of these queries; how many labels would be needed is tried out on their halves.
    by_class : DataFrame
        From :func:`class_table`.
    reranked : bool
        Whether there was a reranker.

    Returns
    -------
    list of str
        Whole sentences.
    """
    return [
        *_next_words(choice),
        *_label_words(choice, calibration),
        *_list_words(choice),
        *_budget_words(choice),
        *_rerank_words(choice, reranked),
        *_leg_words(choice),
        *_class_words(choice, by_class),
    ]


def _next_words(choice: Choice) -> list[str]:
    if choice.next is None:
        return []
    gain = choice.next.values - choice.pick.values
    found = (
        f"The next best is {choice.next.name!r} ({EFFORTS[choice.next.effort]}): "
        f"{gap_words(choice.next, choice.pick)} against the advice."
    )
    if choice.next.effort <= choice.pick.effort or gain.mean() <= TOLERANCE:
        return [found]
    rivals = [entry for entry in choice.allowed if entry.effort > choice.pick.effort]
    needed = _queries_needed(gain, _strictest(rivals, choice.next, choice.terms.alpha))
    if needed > len(gain):
        found += (
            f" If that is the true difference, about {_round_up(needed):,} queries would make it "
            f"significant in four of five cases; there are {len(gain):,}."
        )
    return [found]


def _strictest(rivals: Sequence[Entry], entry: Entry, alpha: float) -> float:
    """Level that one p-value must pass before correction: Holm's first step, and Bonferroni."""
    efforts = [rival.effort for rival in rivals]
    return alpha / len({*efforts}) / efforts.count(entry.effort)


def _queries_needed(gain: np.ndarray, alpha: float) -> float:
    """Return how many queries show such a mean gain with a power of 80 %, by the normal law."""
    from scipy.stats import norm

    quantiles = norm.isf(alpha / 2) + norm.isf(0.2)
    return float((quantiles * gain.std(ddof=1) / gain.mean()) ** 2)


def _label_words(choice: Choice, calibration: Vectors) -> list[str]:
    if len(choice.legs) < 2:
        return []
    # Whatever labels are fitted on, the other terms stay.
    labelled = [each for each in choice.entries if EFFORTS[each.effort] == _LABELLED]
    barred = {replace(choice.terms, n_labels=None).obstacle(each) for each in labelled}
    if labelled and "" not in barred:
        return [
            f"Labels would not change it: every method that learns from them {_barred(barred)}."
        ]
    found = []
    learnable = parse_measure(choice.terms.measure)[0] in _CURVES
    if EFFORTS[choice.pick.effort] == _LABELLED:
        free = [each for each in choice.allowed if each.effort < choice.pick.effort]
        best = climb(free, choice.terms.alpha)[-1]
        found.append(
            f"Without labels {best.name!r} would be advised: {gap_words(best, choice.pick)}, "
            f"{step_words(choice, best, choice.pick)}."
        )
    elif isinstance(choice.pick.about, Method) and learnable:
        found.append(_labels_needed(choice, calibration))
    return found


def _barred(reasons: set[str]) -> str:
    return " or ".join(sorted(reasons)).replace("too slow", "is too slow")


def _labels_needed(choice: Choice, calibration: Vectors) -> str:
    """Say from how many labelled pairs calibrated fusion is better than the advised method."""
    assert isinstance(choice.pick.about, Method)
    halves = split_queries(calibration)
    table = label_budget(
        *halves,
        budgets=BUDGETS,
        n_draws=_DRAWS,
        measure=choice.terms.measure,
        references=[choice.pick.about],
    )
    mark = float(table.loc[table["n_labels"].isna(), "value"].iloc[0])
    # Fewer are not allowed anywhere: they would not last for one query.
    curve = table[table["n_labels"] >= LEAST_LABELS]
    if curve.empty:
        return "Too few pairs could be labelled here to say what labels would bring."
    most = int(curve["n_labels"].max())
    # Better from here on, not by luck at one number in between.
    sure = _from_here_on(curve, curve["draw_low"] > mark + TOLERANCE)
    likely = _from_here_on(curve, curve["value"] > mark + TOLERANCE)
    best = curve.sort_values("value", kind="stable").iloc[-1]
    where = (
        f"on half of the calibration queries, where the advice has {100 * mark:.1f} %, fusion "
        f"calibrated on the other half has at best {100 * best['value']:.1f} %, with "
        f"{int(best['n_labels']):,} labelled pairs"
    )
    if likely is None:
        return f"Labels: {where}; it is not reliably better with any number up to {most:,}."
    in_most = "at no number in 95 % of them"
    if sure is not None:
        in_most = f"from {sure:,} in 95 % of them"
    return (
        f"Labels: {where}; it is better from {likely:,} on, by the mean over {_DRAWS} draws of the "
        f"pairs, {in_most}."
    )


def _list_words(choice: Choice) -> list[str]:
    if not choice.terms.lists_only:
        return []
    kept = [each for each in choice.entries if each.why_not in ("", NO_LOOKUP)]
    best = climb(kept, choice.terms.alpha)[-1]
    if best is choice.pick or best.why_not == "":
        return ["Looking up the other leg's scores would not change the advice."]
    return [
        f"If the other leg's scores could be looked up, {best.name!r} would be advised: "
        f"{gap_words(best, choice.pick)}, {_plain_p(best, choice.pick)}."
    ]


def _budget_words(choice: Choice) -> list[str]:
    if choice.terms.budget_ms is None:
        return []
    unlimited = replace(choice.terms, budget_ms=None)
    best = climb([each for each in choice.entries if not unlimited.obstacle(each)], unlimited.alpha)
    if best[-1] is choice.pick or best[-1].why_not == "":
        return ["A larger budget would not change the advice."]
    return [
        f"With a budget of {best[-1].ms:.3g} ms per query {best[-1].name!r} would be advised: "
        f"{gap_words(best[-1], choice.pick)}, {_plain_p(best[-1], choice.pick)}."
    ]


def _rerank_words(choice: Choice, tried: bool) -> list[str]:
    if not tried:
        return ["No reranker was tried; give one to learn from how many ms it pays."]
    pays = break_even(_costs(choice))
    reranked = [entry for entry in choice.entries if isinstance(entry.about, TwoStage)]
    base = _without_reranker(choice)
    # As in the choice, but for the budget: a dear reranker is what the reader asks about.
    rivals = [entry for entry in choice.allowed if entry.effort > base.effort]
    rivals += [entry for entry in reranked if entry.why_not]
    raw = randomisation_test(np.stack([each.values - base.values for each in rivals], axis=1))
    corrected = compared(rivals, base)[1]
    p = {each.name: both for each, *both in zip(rivals, raw, corrected, strict=True)}
    sure = [each.name for each in reranked if p[each.name][1] < choice.terms.alpha]
    pays = pays[pays["strategy"].isin(sure) & (pays["gain"] > 0)]
    if pays.empty:
        best = best_of(reranked)
        return [
            f"Reranking does not pay at any depth tried, as far as these queries can tell: at best "
            f"{best.name!r}, {gap_words(best, base)} against {base.name!r}, "
            f"{p_words(*p[best.name])}; {ms_words(choice, best)}."
        ]
    row = pays.iloc[0]
    words = (
        f"Reranking pays from {row['pays_from']:.3g} ms per query: {row['strategy']!r}, "
        f"{100 * row['gain']:+.1f} points [{100 * row['gain_low']:+.1f}, "
        f"{100 * row['gain_high']:+.1f}], {p_words(*p[row['strategy']])}, against {base.name!r} "
        f"({base.ms:.3g} ms)"
    )
    budget = choice.terms.budget_ms
    if budget is not None and row["pays_from"] > budget:
        words += f"; the budget is {budget:g} ms"
    return [f"{words}."]


def _without_reranker(choice: Choice) -> Entry:
    """Return what is advised if there is no reranker."""
    if isinstance(choice.pick.about, Method):
        return choice.pick
    own = [entry for entry in choice.allowed if isinstance(entry.about, Method)]
    return climb(own, choice.terms.alpha)[-1]


def _costs(choice: Choice) -> pd.DataFrame:
    """Return what :func:`break_even` reads: reranked entries, and what they must beat."""
    import pandas as pd

    base = _without_reranker(choice)
    kept = [base, *(each for each in choice.entries if isinstance(each.about, TwoStage))]
    gains = np.stack([each.values - base.values for each in kept], axis=1)
    low, high = bootstrap_interval(gains, rng=np.random.default_rng(0))
    return pd.DataFrame(
        {
            "strategy": [each.name for each in kept],
            "against": base.name,
            "reranked": [isinstance(each.about, TwoStage) for each in kept],
            "ms_per_query": [each.ms for each in kept],
            "difference": gains.mean(axis=0),
            "difference_low": low,
            "difference_high": high,
        }
    )


def _leg_words(choice: Choice) -> list[str]:
    if len(choice.legs) < 2:
        return []
    strong = choice.simple[0]
    (weak,) = [leg for leg in choice.legs if leg is not strong]
    p = float(randomisation_test(strong.values - weak.values))
    if p >= choice.terms.alpha:
        return []
    return [
        f"The weak leg is the {weak.name} ({100 * weak.mean:.1f} % alone against "
        f"{100 * strong.mean:.1f} %, {p_words(p)}): an encoder or contents that make it better "
        "change what it can add."
    ]


def _class_words(choice: Choice, by_class: pd.DataFrame) -> list[str]:
    sure = by_class[
        (by_class["p_holm"] < choice.terms.alpha)
        & (by_class["value"] > by_class["value_of_advised"])
    ]
    return [
        f"Queries of class {row['query_class']} alone ({row['n']}) would be served better by "
        f"{row['method']!r}: {100 * row['value']:.1f} % against "
        f"{100 * row['value_of_advised']:.1f} %, corrected {p_words(row['p_holm'])}, if they can "
        "be told from the others before the search."
        for row in sure.to_dict("records")
    ]


def _from_here_on(curve: pd.DataFrame, better: pd.Series) -> int | None:
    """Smallest number of labels from which one way of calibrating is better at all larger ones."""
    found = []
    for _, part in curve.assign(better=better).groupby("method", sort=False):
        part = part.sort_values("n_labels", ascending=False)
        stays = part["better"].cummin()
        found += part.loc[stays, "n_labels"].astype(int).tolist()
    return min(found, default=None)


def _plain_p(entry: Entry, other: Entry) -> str:
    return p_words(float(randomisation_test(entry.values - other.values)))


def _round_up(number: float) -> int:
    """Two digits, since that is all such an estimate is good for."""
    step = 10 ** max(0, int(np.floor(np.log10(number))) - 1)
    return int(np.ceil(number / step) * step)
