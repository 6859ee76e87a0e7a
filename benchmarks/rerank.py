"""Scoring the pairs of reranked lists, beside a bare loop over the reranker.

    python benchmarks/rerank.py

Both sides score the same pairs with mini-reranker, from nothing: the union of the first 16
documents of each leg, text and image one call each. The bare loop opens the images of one query
after the other and calls the reranker, as a first script would; mmgap's scorer knows which pairs
it has, takes those of one document together, and writes every score to disk. Rounds alternate;
medians are reported, and the lists are compared. The last row is a second run of the same table,
which finds its scores on disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import numpy as np
from scipy.special import expit

import mmgap as mg
from mmgap.evaluation import Run
from mmgap.index.vectors import Vectors
from mmgap.rerankers import Content, Pair, load_reranker
from mmgap.strategies import TWO_STAGE, PairScorer

STRATEGY = TWO_STAGE[-1]


def bare_loop(vectors: Vectors, run: Run) -> list[dict[int, float]]:
    """Score the documents of each query's list: the mean of two probabilities, by document."""
    reranker, documents = load_reranker("mini-reranker"), vectors.corpus.documents
    found = []
    for query, places in zip(vectors.corpus.queries, run.indices, strict=True):
        places = places[places >= 0]
        asked = Content(query.text)
        texts = [Pair(asked, Content(documents[place].text)) for place in places]
        images = [Pair(asked, Content(image=documents[place].image.open())) for place in places]
        mean = (expit(reranker.score(texts)) + expit(reranker.score(images))) / 2
        found.append(dict(zip(places.tolist(), mean.tolist(), strict=True)))
    return found


def with_mmgap(vectors: Vectors, cache: str) -> tuple[Run, int]:
    """Run the strategy; also how many calls were made."""
    scorer = PairScorer(vectors, load_reranker("mini-reranker"), cache=cache)
    costed = STRATEGY.fit().run(vectors, scorer)
    return costed.run, int(costed.calls.sum())


def main() -> None:
    """Print seconds, pairs a second and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    corpus = mg.load_corpus("pictograms", split="test", condition="style")
    vectors = mg.embed(corpus.sample(arguments.queries), mg.load_encoder("mini-clip"))
    seconds: dict[str, list[float]] = {"bare loop": [], "mmgap": [], "mmgap, second run": []}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in ("mmgap", "mmgap, second run"):
                began = time.perf_counter()
                run, n_calls = with_mmgap(vectors, cache)
                seconds[name].append(time.perf_counter() - began)
        began = time.perf_counter()
        bare = bare_loop(vectors, run)
        seconds["bare loop"].append(time.perf_counter() - began)
        for row, (places, scores) in enumerate(zip(run.indices, run.scores, strict=True)):
            theirs = [bare[row][place] for place in places[places >= 0].tolist()]
            np.testing.assert_allclose(scores[places >= 0], theirs, atol=1e-5)
    for name, rounds in seconds.items():
        took = statistics.median(rounds)
        print(f"{name:20} {took:7.2f} s {n_calls / took:10,.0f} pairs a second")
    bare, ours, _ = (statistics.median(rounds) for rounds in seconds.values())
    print(f"{n_calls:,} calls, {len(vectors.corpus.queries)} queries; ratio {bare / ours:.2f}")


if __name__ == "__main__":
    main()
