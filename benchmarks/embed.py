"""What mmgap.embed costs over the bare model loop, embedding 1,000 bundled images with mini-clip.

    python benchmarks/embed.py

Both sides decode the same files and run the same model at the same batch size; mmgap's also
hashes, stores and checks. Rounds alternate, so that a busy machine slows both; the ratio of the
medians is reported.
"""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import mmgap as mg
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import Encoder

BATCH = 64
N_IMAGES = 1000
ROUNDS = 5


def bare_loop(corpus: Corpus, encoder: Encoder) -> np.ndarray:
    """Do what a script without mmgap would do."""
    batches = []
    for start in range(0, len(corpus.documents), BATCH):
        images = [document.image.open() for document in corpus.documents[start : start + BATCH]]
        batches.append(encoder.encode_images(images, batch_size=BATCH))
    return np.concatenate(batches)


def with_mmgap(corpus: Corpus, encoder: Encoder) -> np.ndarray:
    """Do the same through the store, starting from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        vectors = mg.embed(corpus, encoder, cache=Path(folder), batch_size=BATCH, progress=False)
    return vectors.image.embeddings


def seconds(function: Callable[[Corpus, Encoder], np.ndarray], *arguments: object) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    pool = mg.load_corpus("pictograms", split="train")
    images = [replace(document, text=None) for document in pool.documents[:N_IMAGES]]
    corpus = Corpus("1,000 images", images, [], pool.qrels)
    encoder = mg.load_encoder("mini-clip")
    np.testing.assert_allclose(bare_loop(corpus, encoder), with_mmgap(corpus, encoder), atol=1e-6)
    times: dict[str, list[float]] = {"bare": [], "mmgap": []}
    for _ in range(ROUNDS):
        times["bare"].append(seconds(bare_loop, corpus, encoder))
        times["mmgap"].append(seconds(with_mmgap, corpus, encoder))
    bare, ours = (statistics.median(times[name]) for name in ("bare", "mmgap"))
    print(f"bare loop  {bare:6.2f} s  {N_IMAGES / bare:6.0f} images/s")
    print(f"mmgap      {ours:6.2f} s  {N_IMAGES / ours:6.0f} images/s")
    print(f"ratio mmgap / bare: {ours / bare:.3f} (medians of {ROUNDS} alternating rounds)")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
