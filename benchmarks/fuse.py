"""Fusing and measuring 10,000 queries x 2 lists x 100 documents, beside ranx.

    python benchmarks/fuse.py

Both sides fuse the same lists by ten methods and measure recall@10 and nDCG@10. ranx is warmed up
on a few queries first, so that its compiling is not counted, and it starts from its own data
structures. Rounds alternate; medians are reported. Every fused score is compared, and every mean:
ranx breaks ties by whatever order its dictionaries have, so its mean must lie between our two
bounds, which are one number where a method makes no ties.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from typing import Any

import numba
import numpy as np
import ranx

from mmgap.evaluation import OverTies, ndcg, recall
from mmgap.fusion.engines import ranx_fuse

K = 10
N_RELEVANT = 5

# name: normalisation, method, its parameters
METHODS: dict[str, tuple[str | None, str, dict[str, Any]]] = {
    "CombSUM, min-max": ("min-max", "sum", {}),
    "CombMNZ, min-max": ("min-max", "mnz", {}),
    "CombMAX, min-max": ("min-max", "max", {}),
    "CombMED, z": ("zmuv", "med", {}),
    "CombANZ, sum": ("sum", "anz", {}),
    "weighted sum, z": ("zmuv", "wsum", {"weights": [0.3, 0.7]}),
    "RRF": (None, "rrf", {"k": 60}),
    "ISR": (None, "isr", {}),
    "logN-ISR": (None, "logn_isr", {"sigma": 0.01}),
    "RBC": (None, "rbc", {"phi": 0.8}),
}


def make_lists(n_query: int, depth: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two lists per query of which half the documents are shared, as candidates with NaN.

    Returns scores of shape (2, n_query, n_candidate) and grades of shape (n_query, n_candidate).
    """
    n_candidate = depth + depth // 2
    scores = rng.normal(size=(2, n_query, n_candidate))
    scores[0, :, depth:] = np.nan
    scores[1, :, : n_candidate - depth] = np.nan
    grades = np.zeros((n_query, n_candidate))
    relevant = np.argsort(rng.random(grades.shape), axis=1)[:, :N_RELEVANT]
    np.put_along_axis(grades, relevant, 1, axis=1)
    # Columns in random order, so that neither side gains by where a document stands.
    order = np.argsort(rng.random(grades.shape), axis=1)
    shuffled = [np.take_along_axis(part, order, axis=1) for part in (*scores, grades)]
    return np.stack(shuffled[:2]), shuffled[2]


def as_runs(scores: np.ndarray, grades: np.ndarray) -> tuple[list[ranx.Run], ranx.Qrels]:
    """Put the same lists into ranx's structures."""
    runs = [
        ranx.Run(
            {
                f"q{query:05}": {f"d{doc:03}": row[doc] for doc in np.flatnonzero(~np.isnan(row))}
                for query, row in enumerate(leg)
            }
        )
        for leg in scores
    ]
    qrels = ranx.Qrels(
        {
            f"q{query:05}": {f"d{doc:03}": 1 for doc in np.flatnonzero(row)}
            for query, row in enumerate(grades)
        }
    )
    return runs, qrels


def ours(scores: np.ndarray, grades: np.ndarray, name: str) -> tuple[np.ndarray, list[OverTies]]:
    """Fuse and measure with mmgap: expected values over tie orders, and both bounds."""
    norm, method, params = METHODS[name]
    fused = ranx_fuse(*scores, norm=norm, method=method, **params)
    filled = np.where(np.isnan(fused), -np.inf, fused)
    order = np.argsort(-filled, axis=1, kind="stable")
    descending = np.take_along_axis(filled, order, axis=1)
    gains = np.take_along_axis(grades, order, axis=1)
    values = [
        recall(descending, gains, grades.sum(axis=1), K),
        ndcg(descending, gains, grades, K),
    ]
    return fused, values


def theirs(runs: list[ranx.Run], qrels: ranx.Qrels, name: str) -> tuple[ranx.Run, list[float]]:
    """Fuse and measure with ranx."""
    norm, method, params = METHODS[name]
    fused = ranx.fuse(runs, norm, method, params)
    values = ranx.evaluate(qrels, fused, [f"recall@{K}", f"ndcg@{K}"])
    return fused, [float(values[measure]) for measure in (f"recall@{K}", f"ndcg@{K}")]


def check(name: str, fused: np.ndarray, run: ranx.Run) -> None:
    """Raise AssertionError if the two sides return different documents or scores."""
    other = np.full(fused.shape, np.nan)
    for query, row in run.to_dict().items():
        for doc, score in row.items():
            other[int(query[1:]), int(doc[1:])] = score
    np.testing.assert_allclose(fused, other, rtol=1e-9, atol=1e-12, err_msg=name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="one thread, processor time")
    options = parser.parse_args()
    clock = time.perf_counter
    if options.cpu_time:
        numba.set_num_threads(1)
        clock = time.process_time
    rng = np.random.default_rng(0)
    warm = as_runs(*make_lists(4, options.depth, rng))
    for name in METHODS:
        theirs(*warm, name)  # compiles
    scores, grades = make_lists(options.queries, options.depth, rng)
    runs, qrels = as_runs(scores, grades)
    times: dict[str, dict[str, list[float]]] = {n: {"ours": [], "theirs": []} for n in METHODS}
    for turn in range(options.rounds):
        for name, spent in times.items():
            started = clock()
            fused, values = ours(scores, grades, name)
            between = clock()
            run, means = theirs(runs, qrels, name)
            spent["theirs"].append(clock() - between)
            spent["ours"].append(between - started)
            if turn == 0:
                check(name, fused, run)
                for value, mean in zip(values, means, strict=True):
                    np.testing.assert_array_less(value.pessimistic.mean(), mean + 1e-9, name)
                    np.testing.assert_array_less(mean, value.optimistic.mean() + 1e-9, name)
    print(f"{options.queries} queries x 2 lists x {options.depth} documents, medians of seconds")
    print(f"{'':20}{'ranx':>8}{'mmgap':>8}{'ratio':>8}")
    total = {"theirs": 0.0, "ours": 0.0}
    for name, spent in times.items():
        median = {side: statistics.median(spent[side]) for side in total}
        for side in total:
            total[side] += median[side]
        ratio = median["theirs"] / median["ours"]
        print(f"{name:20}{median['theirs']:8.2f}{median['ours']:8.2f}{ratio:7.1f}x")
    ratio = total["theirs"] / total["ours"]
    print(f"{'all ten':20}{total['theirs']:8.2f}{total['ours']:8.2f}{ratio:7.1f}x")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
