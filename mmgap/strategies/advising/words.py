"""Why a method is advised, in sentences with their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmgap.encoders.catalog import find_model
from mmgap.errors import EncoderError
from mmgap.evaluation import bootstrap_interval, randomisation_test
from mmgap.index.vectors import Vectors
from mmgap.strategies.advising.choice import Choice, best_of
from mmgap.strategies.advising.entry import EFFORTS, Entry
from mmgap.strategies.method import NOTHING, TOLERANCE, Method

if TYPE_CHECKING:
    import pandas as pd

_TIED_SHARE = 0.1  # from here on ties are mentioned


def reason_words(
    choice: Choice,
    calibration: Vectors,
    test: Vectors | None = None,
    held_out: pd.DataFrame | None = None,
) -> list[str]:
    """Say why a method was chosen, and what it is worth on test queries.

    Parameters
    ----------
    choice : Choice
    calibration : Vectors
    test : Vectors or None
    held_out : DataFrame or None
        From :func:`judge_held_out`, on ``test``.

    Returns
    -------
    list of str
        Whole sentences.
    """
    found = [*_value(choice, calibration), *_why(choice), *_ties(choice), *_left_out(choice)]
    if held_out is not None and test is not None:
        found += _test_words(choice, test, held_out)
    return found


def warning_words(choice: Choice, vectors: Vectors) -> str:
    """Say that nothing finds more than chance, and what the encoder reads; else empty."""
    if choice.above_chance:
        return ""
    leg = choice.pick
    try:
        languages = ", ".join(find_model(vectors.encoder.id).languages)
        reads = f" {vectors.encoder.id!r} reads {languages} by its catalogue row;"
    except EncoderError:
        reads = ""
    return (
        f"no leg finds more than chance, so there is nothing to merge: {leg.name!r} has "
        f"{choice.terms.measure} {100 * leg.mean:.1f} %, a random order of the documents "
        f"{100 * np.mean(choice.chance):.1f} %.{reads} check the language of the queries and the "
        "judgments, or try another encoder."
    )


def gap_words(entry: Entry, other: Entry) -> str:
    """Write how much more one entry has than another, with the paired 95 % interval."""
    gain = entry.values - other.values
    low, high = bootstrap_interval(gain, rng=np.random.default_rng(0))
    return f"{100 * gain.mean():+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def p_words(p: float, corrected: float | None = None) -> str:
    """Write a p-value, and what is left of it after the correction.

    Examples
    --------
    >>> p_words(0.0271, 0.1626)
    'p = 0.027, corrected p = 0.163'
    >>> p_words(0.0004)
    'p < 0.001'
    """
    if np.isnan(p):
        return "p not defined"
    words = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return words if corrected is None else f"{words}, corrected {p_words(corrected)}"


def step_words(choice: Choice, low: Entry, high: Entry) -> str:
    """Write p of a step from less effort to more, as it is and as the choice corrects it.

    What is not allowed was not up for choice and so has nothing to be corrected for.
    """
    p = float(randomisation_test(high.values - low.values))
    return p_words(p, None if high.why_not or low.why_not else choice.step_p(low, high))


def ms_words(choice: Choice, entry: Entry) -> str:
    """Write the time of an entry, and what it holds."""
    held = "with" if choice.terms.embed_ms else "without"
    return f"{entry.ms:.3g} ms per query, measured here {held} the encoder's time"


def _value(choice: Choice, calibration: Vectors) -> list[str]:
    pick, about = choice.pick, choice.pick.about
    low, high = bootstrap_interval(pick.values, rng=np.random.default_rng(0))
    judged = "nothing is fitted"
    if isinstance(about, Method) and about.fitted_on != NOTHING:
        judged = f"fitted on {about.fitted_on}, and each query judged by a fit that has not seen it"
    found = [
        f"{pick.name!r} ({EFFORTS[pick.effort]}) has {choice.terms.measure} {100 * pick.mean:.1f} "
        f"% [{100 * low:.1f}, {100 * high:.1f}] on {_pool_words(calibration, 'calibration')}, by "
        f"which it was chosen; {judged}; {ms_words(choice, pick)}."
    ]
    if len(choice.legs) == 1:
        found.append("Only this leg holds documents, so there is nothing to merge.")
    return found


def _pool_words(vectors: Vectors, split: str) -> str:
    corpus = vectors.corpus
    return f"{len(corpus.queries):,} {split} queries over {len(corpus.documents):,} documents"


def _why(choice: Choice) -> list[str]:
    pick, found = choice.pick, []
    for simple in choice.simple:
        if simple is pick:
            continue
        low, high = sorted((simple, pick), key=lambda entry: entry.effort)
        sure = "significant" if choice.step_p(low, high) < choice.terms.alpha else "not significant"
        barred = f", not allowed here: {simple.why_not}" if simple.why_not else ""
        found.append(
            f"Against the simple alternative {simple.name!r} ({100 * simple.mean:.1f} %{barred}): "
            f"{gap_words(pick, simple)}, {step_words(choice, low, high)}: {sure}."
        )
    best = best_of(choice.allowed)
    if best.mean > pick.mean + TOLERANCE:
        found.append(
            f"{best.name!r} has the highest value ({100 * best.mean:.1f} %), but "
            + _why_not_best(choice, best)
        )
    return found


def _why_not_best(choice: Choice, best: Entry) -> str:
    if best.effort > choice.pick.effort:
        n = sum(entry.effort > choice.pick.effort for entry in choice.allowed)
        return (
            f"{gap_words(best, choice.pick)} is not significant "
            f"({step_words(choice, choice.pick, best)}: for the choice among {n} methods of more "
            "effort), so the simpler method is advised."
        )
    # Else it would have been the step from there that led to the advised method.
    base = [entry for entry in choice.path if entry.effort < best.effort][-1]
    return (
        f"is not significantly better than the simpler {base.name!r}: "
        f"{gap_words(best, base)}, {step_words(choice, base, best)}; the advised method is."
    )


def _ties(choice: Choice) -> list[str]:
    # A leg is not held against itself.
    leg = choice.simple[0]
    ceiling = np.nan if choice.pick.effort == 0 else leg.mean
    _, optimistic, pessimistic, tied = choice.pick.figures.mean(axis=1)
    found = []
    # No query moves by more than 1, so that a range of means beyond this takes so many queries.
    if max(tied, optimistic - pessimistic) > _TIED_SHARE:
        found.append(
            f"Ties: for {100 * tied:.0f} % of the queries the cut-off falls inside tied documents; "
            f"by their order the value lies between {100 * pessimistic:.1f} % and "
            f"{100 * optimistic:.1f} %. Values here are means over these orders."
        )
    if optimistic > ceiling + TOLERANCE and choice.pick.mean <= ceiling + TOLERANCE:
        found.append(
            f"Ties: only a lucky order of them ({100 * optimistic:.1f} %) is above {leg.name!r} "
            f"({100 * leg.mean:.1f} %)."
        )
    return found


def _left_out(choice: Choice) -> list[str]:
    counts: dict[str, int] = {}
    for entry in choice.entries:
        if entry.why_not:
            counts[entry.why_not] = counts.get(entry.why_not, 0) + 1
    found = []
    if counts:
        listed = ", ".join(f"{reason} ({n})" for reason, n in counts.items())
        found.append(
            f"{sum(counts.values())} of {len(choice.entries)} methods are not allowed here: "
            f"{listed}."
        )
    budget = choice.terms.budget_ms
    if budget is not None and choice.pick.ms > budget:
        found.append(
            f"The budget of {budget:g} ms per query is below what the search of one leg takes "
            f"({choice.pick.ms:.3g} ms), the least there is."
        )
    return found


def _test_words(choice: Choice, test: Vectors, found: pd.DataFrame) -> list[str]:
    rows = found.set_index("method")
    own = rows.loc[choice.pick.name]
    words = [
        f"On {_pool_words(test, 'test')}, which had no say in the choice: "
        f"{100 * own['test_value']:.1f} % "
        f"[{100 * own['test_low']:.1f}, {100 * own['test_high']:.1f}]."
    ]
    for row in rows.drop(choice.pick.name).reset_index().to_dict("records"):
        # The table holds the other less the advised one; words say it the other way round.
        low, high = -row["test_difference_high"], -row["test_difference_low"]
        p = row["test_p_holm"]
        words.append(
            f"There, against {row['method']!r}: {-100 * row['test_difference']:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}], corrected {p_words(p)}."
        )
        words[-1] += _agreement(choice, row["method"], -row["test_difference"], p)
    return words


def _agreement(choice: Choice, name: str, gain: float, p: float) -> str:
    """Say where test queries and the choice disagree: a lead that is not there, or another one."""
    (other,) = [entry for entry in choice.entries if entry.name == name]
    alpha = choice.terms.alpha
    said = float((choice.pick.values - other.values).mean())
    sure = randomisation_test(choice.pick.values - other.values) < alpha
    if gain < 0 and p < alpha and not other.why_not:
        if said > 0 and sure:
            return " It is the better one there, against what the calibration queries said."
        return (
            " It is the better one there, which the calibration queries could not show; more of "
            "them would help."
        )
    if said > 0 and sure and not (gain > 0 and p < alpha):
        return f" The {100 * said:+.1f} points of the calibration queries are not confirmed there."
    return ""
