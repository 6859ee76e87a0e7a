"""Build the bundled corpus ``pictograms`` from pinned packages of npm, PyPI and Debian.

    pip install -r scripts/pictograms/requirements.txt
    python scripts/build_pictograms.py            # writes data/pictograms
    python scripts/build_pictograms.py --check    # rebuilds elsewhere and compares every byte

It calls ``npm``, ``pip`` and ``apt-get`` as this machine has them configured (``apt-get`` needs a
Debian 12 system; archives can also be put into the cache folder by hand).
"""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from pictograms import assemble, clipart, emoji, flags, icons, render, splits
from pictograms.packages import Archive, PackageError, open_all
from pictograms.records import Drawing, Question
from pictograms.wordnet import WordNet
from pictograms.write import write_corpus

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "data" / "pictograms"
DATASHEET = Path(__file__).resolve().parent / "pictograms" / "datasheet.md"


def default_cache() -> Path:
    """Return the platform's folder for things that can be fetched again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "mmgap" / "packages"


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), metavar="DIR",
        help="folder that keeps the downloaded packages, 80 MB (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=TARGET, metavar="DIR",
        help="where the corpus is written (default: data/pictograms of this repository)",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true",
        help="write nothing there: rebuild into a temporary folder, compare every file with "
        "--output byte by byte, exit 1 if any differs",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N",
        help="processes that draw images (default: %(default)s, one per core)",
    )  # fmt: skip
    return parser.parse_args()


def collect(archives: dict[str, Archive]) -> tuple[list[Drawing], list[Question]]:
    """Return every drawing and every question of all sources."""
    wordnet = WordNet(archives["wordnet"].files)
    found = emoji.read_emoji(archives, wordnet)
    clusters = {e.concept: e.cluster for e in found}
    drawings = [_with_gloss(d, wordnet) for d in emoji.read_drawings(archives, found)]
    questions = list(emoji.questions(found, wordnet))
    countries = flags.read_countries(archives)
    drawings += flags.read_drawings(archives, countries)
    questions += flags.questions(countries)
    silhouettes, asked = icons.read_icons(archives, wordnet, clusters)
    drawings, questions = drawings + silhouettes, questions + asked
    clusters |= {d.concept: d.cluster for d in silhouettes}
    clip_art, asked = clipart.read_clip_art(archives, wordnet, clusters)
    return drawings + clip_art, questions + asked


def _with_gloss(drawing: Drawing, wordnet: WordNet) -> Drawing:
    """Return an emoji drawing with WordNet's words in the place of the sense's number."""
    if drawing.text_source != "wordnet_gloss":
        return drawing
    return replace(drawing, text=wordnet.synset(drawing.text).gloss)


def build(cache: Path, target: Path, workers: int) -> assemble.Corpus:
    """Build the whole corpus into a folder."""
    print("packages", flush=True)
    archives = open_all(cache)
    print("texts", flush=True)
    drawings, questions = collect(archives)
    corpus = assemble.Corpus()
    placed = []
    for drawing in drawings:
        pool = splits.document_pool(drawing.cluster, drawing.style)
        if pool is None:
            corpus.left_out["drawings in a style of the other condition"] += 1
        else:
            placed.append((drawing, pool))
    print(f"images: {len(placed)} drawings", flush=True)
    jobs = [(drawing.artwork, drawing.finish) for drawing, _ in placed]
    assemble.keep_distinct(placed, render.render_all(jobs, workers), corpus)
    print("queries", flush=True)
    assemble.place_questions(questions, corpus)
    assemble.set_classes(corpus)
    write_corpus(corpus, archives, DATASHEET.read_text("utf-8"), target)
    return corpus


def differences(fresh: Path, kept: Path) -> list[str]:
    """Return the files that are missing on one side or differ in a byte."""
    names = sorted(
        {p.relative_to(root).as_posix() for root in (fresh, kept) for p in root.rglob("*")
         if p.is_file()}
    )  # fmt: skip
    found = []
    for name in names:
        if not (kept / name).exists():
            found.append(f"{name}: missing in {kept}")
        elif not (fresh / name).exists():
            found.append(f"{name}: the rebuild has no such file")
        elif not filecmp.cmp(fresh / name, kept / name, shallow=False):
            found.append(f"{name}: differs")
    return found


def check(cache: Path, kept: Path, workers: int) -> int:
    """Rebuild into a temporary folder and compare; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        build(cache, fresh, workers)
        found = differences(fresh, kept)
        count = sum(1 for path in fresh.rglob("*") if path.is_file())
    if not found:
        print(f"identical: {count} files")
        return 0
    print(f"{len(found)} of {count} files differ:", *found[:20], sep="\n  ")
    return 1


def main() -> int:
    """Run the command line."""
    options = parse_arguments()
    cache = options.cache.expanduser().resolve()
    try:
        if options.check:
            return check(cache, options.output, options.workers)
        corpus = build(cache, options.output, options.workers)
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(corpus.drawings)} documents, {len(corpus.queries)} queries in {options.output}")
    for reason, count in sorted(corpus.left_out.items()):
        print(f"  left out: {count} {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
