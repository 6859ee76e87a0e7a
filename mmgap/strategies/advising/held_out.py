"""What an advice is worth on queries that had no say in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmgap.evaluation import Run, bootstrap_interval, holm, randomisation_test
from mmgap.index.vectors import Vectors
from mmgap.rerankers.base import Reranker
from mmgap.strategies.advising.choice import Choice
from mmgap.strategies.advising.entries import figures_of, labelled_pool
from mmgap.strategies.method import CANNOT_FIT, LABELLED_PAIRS, Method
from mmgap.strategies.pair_scorer import PairScorer
from mmgap.strategies.pool import Pool
from mmgap.strategies.run_two_stage import run_two_stage
from mmgap.strategies.two_stage import TwoStage

if TYPE_CHECKING:
    import pandas as pd


def judge_held_out(
    choice: Choice,
    calibration: Vectors,
    test: Vectors,
    *,
    reranker: Reranker | None = None,
    cache: bool | str | Path = True,
) -> pd.DataFrame:
    """Judge on test queries what has a role, fitted on all calibration queries.

    Parameters
    ----------
    choice : Choice
    calibration, test : Vectors
    reranker, cache
        As in :func:`advise`.

    Returns
    -------
    table : DataFrame
        One row per entry with a role: ``method``, and the columns of :attr:`Advice.table` that
        begin with ``test_``.
    """
    import pandas as pd

    shown = [entry for entry in choice.entries if choice.role(entry)]
    bank, pool = Pool(calibration), Pool(test)
    labelled = labelled_pool(bank, choice.terms)
    runs: dict[str, Run] = {}
    strategies = [entry.about for entry in shown if isinstance(entry.about, TwoStage)]
    if strategies and reranker is not None:
        scorer = PairScorer(test, reranker, cache=cache)
        costed = run_two_stage(test, strategies, scorer)
        runs = {each.run.name: each.run for each in costed}
    for entry in shown:
        if isinstance(entry.about, Method):
            needs_labels = entry.about.fitted_on == LABELLED_PAIRS
            try:
                fitted = entry.about.fit(labelled if needs_labels else bank)
                runs[entry.name] = fitted.run(pool)
            except CANNOT_FIT:
                if entry is choice.pick:  # there is no advice without its number
                    raise
    shown = [entry for entry in shown if entry.name in runs]
    measure = choice.terms.measure
    values = np.stack([figures_of(runs[each.name], test, measure)[0] for each in shown], axis=1)
    gains = values - values[:, [shown.index(choice.pick)]]
    low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
    gain_low, gain_high = bootstrap_interval(gains, rng=np.random.default_rng(0))
    others = np.array([entry is not choice.pick for entry in shown])
    p = np.full(len(shown), np.nan)
    p[others] = holm(randomisation_test(gains)[others])
    return pd.DataFrame(
        {
            "method": [entry.name for entry in shown],
            "test_value": values.mean(axis=0),
            "test_low": low,
            "test_high": high,
            "test_difference": gains.mean(axis=0),
            "test_difference_low": gain_low,
            "test_difference_high": gain_high,
            "test_p_holm": p,
        }
    )
