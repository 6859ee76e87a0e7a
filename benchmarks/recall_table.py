"""How long the recall table takes: 2,000 queries x 3,000 documents, five strategies.

    python benchmarks/recall_table.py

Vectors are random; searching, merging, measuring and 10,000 bootstrap resamples are timed, and
measuring is compared with ir_measures on the same runs in the same process.
"""

from __future__ import annotations

import resource
import time

import ir_measures
import numpy as np

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.evaluation import evaluate, recall_table
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import run_strategies

N_QUERY, N_DOCUMENT, DIM = 2000, 3000, 256


def random_vectors(rng: np.random.Generator) -> Vectors:
    """Random unit vectors; three relevant documents a query."""

    def unit(n: int) -> np.ndarray:
        rows = rng.standard_normal((n, DIM)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    judgments = [
        Judgment(f"q{query}", f"d{document}", 1)
        for query in range(N_QUERY)
        for document in rng.choice(N_DOCUMENT, 3, replace=False)
    ]
    corpus = Corpus(
        "random",
        [Document(f"d{index}", "text") for index in range(N_DOCUMENT)],
        [Query(f"q{index}", "query") for index in range(N_QUERY)],
        Qrels(judgments),
    )
    everything = np.arange(N_DOCUMENT)
    legs = {"text": Leg(everything, unit(N_DOCUMENT)), "image": Leg(everything, unit(N_DOCUMENT))}
    return Vectors(corpus, EncoderInfo("random", "random", "none", DIM), unit(N_QUERY), legs)


def main() -> None:
    """Measure and print."""
    vectors = random_vectors(np.random.default_rng(0))
    qrels = vectors.corpus.qrels
    started = time.perf_counter()
    runs = run_strategies(vectors)
    searched = time.perf_counter()
    recall_table(runs, qrels)
    finished = time.perf_counter()
    print(f"search and merge, five strategies    {searched - started:6.2f} s")
    print(f"recall table with intervals          {finished - searched:6.2f} s")

    started = time.perf_counter()
    for run in runs:
        evaluate(run, qrels)
    ours = time.perf_counter() - started
    grades = {query: dict(qrels[query]) for query in qrels}
    measures = [ir_measures.parse_measure(name) for name in ("R@10", "Success@10", "nDCG@10", "RR")]
    as_dicts = [run.to_dict() for run in runs]
    started = time.perf_counter()
    for run in as_dicts:
        list(ir_measures.iter_calc(measures, grades, run))
    theirs = time.perf_counter() - started
    print(
        f"measuring alone: mmgap {ours:.2f} s, ir_measures {theirs:.2f} s; "
        f"ratio {ours / theirs:.2f}"
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
