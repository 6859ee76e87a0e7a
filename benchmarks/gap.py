"""What the whole gap report costs: python benchmarks/gap.py --pairs 2000 for a quick look.

Random embeddings in two cones, as an encoder with a modality gap gives them. Prints the seconds of
the report and the peak memory of the process, the embeddings included.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from mmgap.corpus import load_features
from mmgap.index import embed
from mmgap.strategies.gap_report import gap_report


def cone(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Make unit rows around one direction."""
    rows = rng.standard_normal((n, dim), dtype=np.float32)
    rows += rng.standard_normal(dim, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=512)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images, texts = (cone(rng, arguments.pairs, arguments.dim) for _ in range(2))
    vectors = embed(load_features(images, texts))
    started = time.perf_counter()
    gap_report(vectors)
    print(
        f"{arguments.pairs:,} pairs x {arguments.dim}: {time.perf_counter() - started:.1f} s, peak "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
