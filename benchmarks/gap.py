"""What the streamed score distributions and the whole gap report cost.

    python benchmarks/gap.py
    python benchmarks/gap.py --queries 500 --documents 20000 --pairs 2000   # a quick look

Streaming makes all scores of 2,000 queries and 200,000 documents (half texts, half images) of 512
dimensions, with one relevant text and image for each query. It is compared with

- the bare float32 matrix product of the same arrays, written block after block into the same
  buffer, so that nothing but multiplication is timed, and as one whole matrix;
- the dense way of numpy, ``score_distributions`` of both whole matrices, on the fraction of the
  documents that ``--dense-fraction`` says: it sorts every score, several times, as float64.

Rounds alternate, so that a busy machine slows all sides; ratios are those of the medians. Peak
memory is that of a process of its own for each side, the embeddings included.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmgap.scores import score_distributions, stream_score_distributions

BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class World:
    """Random embeddings in two cones, as an encoder with a modality gap gives them."""

    queries: np.ndarray
    texts: np.ndarray
    images: np.ndarray

    @classmethod
    def make(cls, n_query: int, n_document: int, dim: int) -> World:
        """Make as many texts as images; queries lie in the cone of the texts."""
        rng = np.random.default_rng(0)
        text_cone, image_cone = rng.standard_normal((2, dim), dtype=np.float32)

        def cone(centre: np.ndarray, n: int) -> np.ndarray:
            rows = np.empty((n, dim), dtype=np.float32)
            for start in range(0, n, 4096):  # in parts: making them must not be the peak
                part = rows[start : start + 4096]
                rng.standard_normal(dtype=np.float32, out=part)
                part += centre
                part /= np.linalg.norm(part, axis=1, keepdims=True)
            return rows

        half = n_document // 2
        return cls(cone(text_cone, n_query), cone(text_cone, half), cone(image_cone, half))

    def part(self, fraction: float) -> World:
        """Keep all queries and the first of the documents."""
        n = max(len(self.queries), round(fraction * len(self.texts)))
        return World(self.queries, self.texts[:n], self.images[:n])

    @property
    def n_score(self) -> int:
        """Scores of all queries with all documents."""
        return len(self.queries) * (len(self.texts) + len(self.images))


def bare_in_blocks(world: World) -> None:
    """Multiply, block after block into the same buffer."""
    width = max(1, BLOCK_BYTES // (4 * len(world.queries)))
    buffer = np.empty((len(world.queries), width), dtype=np.float32)
    for documents in (world.texts, world.images):
        for start in range(0, len(documents), width):
            block = documents[start : start + width]
            out = buffer[:, : len(block)] if len(block) == width else None
            np.matmul(world.queries, block.T, out=out)


def bare_whole(world: World) -> None:
    """Multiply at once, as a script would."""
    for documents in (world.texts, world.images):
        np.matmul(world.queries, documents.T)


def streamed(world: World) -> None:
    """Count all scores in blocks."""
    own = np.repeat(np.arange(len(world.queries)), 2).reshape(-1, 2)
    stream_score_distributions(
        world.queries,
        world.texts,
        world.images,
        text_relevant=own,
        image_relevant=own,
        block_bytes=BLOCK_BYTES,
    )


def dense(world: World) -> None:
    """Make both matrices and describe them."""
    relevant = np.eye(len(world.queries), len(world.texts), dtype=bool)
    score_distributions(
        world.queries @ world.texts.T,
        world.queries @ world.images.T,
        text_relevant=relevant,
        image_relevant=relevant,
    )


SIDES = {
    "bare product, in blocks": bare_in_blocks,
    "bare product, whole matrix": bare_whole,
    "streamed distributions": streamed,
    "dense distributions": dense,
}


def medians(
    sides: dict[str, Callable[[World], None]], world: World, rounds: int
) -> dict[str, float]:
    """Seconds of each side, rounds alternating, after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            started = time.perf_counter()
            side(world)
            if number > 0:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_megabytes(side: str, arguments: argparse.Namespace) -> float:
    """Peak memory of one side in a process of its own."""
    sizes = [f"--{name}={getattr(arguments, name)}" for name in ("queries", "documents", "dim")]
    command = [sys.executable, __file__, f"--only={side}", *sizes]
    command += [f"--dense-fraction={arguments.dense_fraction}", f"--pairs={arguments.pairs}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.split()[-1])


def run_only(side: str, arguments: argparse.Namespace) -> None:
    """Run one side once and print the peak memory of this process in MB."""
    if side == "report":
        report(arguments.pairs, arguments.dim)
    elif side in SIDES:
        world = World.make(arguments.queries, arguments.documents, arguments.dim)
        SIDES[side](
            world.part(arguments.dense_fraction) if side == "dense distributions" else world
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def report(n_pair: int, dim: int) -> float:
    """Seconds of the whole report on that many pairs."""
    world = World.make(1, 2 * n_pair, dim)
    from mmgap.corpus import load_features
    from mmgap.index import embed
    from mmgap.strategies.gap_report import gap_report

    vectors = embed(load_features(world.images, world.texts))
    started = time.perf_counter()
    gap_report(vectors)
    return time.perf_counter() - started


def compare(arguments: argparse.Namespace) -> None:
    """Streaming against the bare product and the dense way."""
    # Before anything is made here: a child's peak counts that of its parent when it was started.
    peaks = {name: peak_megabytes(name, arguments) for name in SIDES}
    world = World.make(arguments.queries, arguments.documents, arguments.dim)
    names = [name for name in SIDES if name != "dense distributions"]
    found = medians({name: SIDES[name] for name in names}, world, arguments.rounds)
    print(
        f"{arguments.queries:,} queries x {arguments.documents:,} documents x {arguments.dim}, "
        f"blocks of {BLOCK_BYTES / 2**20:.0f} MiB, medians of {arguments.rounds} rounds"
    )
    for name, seconds in found.items():
        gflops = 2 * world.n_score * arguments.dim / seconds / 1e9
        print(f"{name:<30} {seconds:7.2f} s  {gflops:6.0f} GFLOP/s  peak {peaks[name]:6.0f} MB")
    ours = found["streamed distributions"]
    for name in names[:2]:
        print(f"speed of streaming / {name}: {found[name] / ours:.3f}")

    part = world.part(arguments.dense_fraction)
    sides = {name: SIDES[name] for name in ("streamed distributions", "dense distributions")}
    found = medians(sides, part, 1)
    ours, theirs = found.values()
    peak = peaks["dense distributions"]
    print(
        f"on {part.n_score / world.n_score:.1%} of the scores: streamed {ours:.2f} s, dense "
        f"{theirs:.2f} s, ratio {ours / theirs:.3f}; peak of dense {peak:.0f} MB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--documents", type=int, default=200_000, help="half texts, half images")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--dense-fraction", type=float, default=0.05, help="of the documents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=20_000, help="of the whole report; 0 = skip")
    parser.add_argument("--only", choices=[*SIDES, "report"], help="one side's peak memory in MB")
    arguments = parser.parse_args()
    if arguments.only:
        run_only(arguments.only, arguments)
        return
    report_peak = peak_megabytes("report", arguments) if arguments.pairs else 0
    compare(arguments)
    if arguments.pairs:
        seconds = report(arguments.pairs, arguments.dim)
        print(
            f"whole report on {arguments.pairs:,} pairs x {arguments.dim}: {seconds:.1f} s, peak "
            f"{report_peak:.0f} MB"
        )


if __name__ == "__main__":
    main()
