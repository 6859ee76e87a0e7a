"""Write docs/measures.md: every measure of the gap, out of the table of facts.

    python scripts/measure_table.py

A test compares the file with what this prints. The entries of docs/measures.bib are kept by hand.
"""

from __future__ import annotations

import math
from pathlib import Path

from mmgap.gap import MEASURES, Measure

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """\
# Measures of the gap

Written by `python scripts/measure_table.py` from `mmgap.gap.MEASURES`. Each is also a
plain function of two arrays, such as `mmgap.gap.rmg(image_embeddings, text_embeddings)`, whose
docstring says how it fails and where public code computes something else under its name. `mmgap
gap` prints all of them with intervals, and with what the gap does to search.
BibTeX by the key in the last column: [measures.bib](measures.bib).

- **of**: both modalities together, or each one alone.
- **pairs**: whether row i of the images must belong to row i of the texts.
- **null**: how the null level is made: *labels*, image and text exchanged within random pairs, so
  that there is no gap; *half labels*, within exactly half of the pairs, so that no remainder of the
  gap gives the null a direction; *pairing*, texts shuffled, so that no pair is left.
- **unchanged by**: what may be done to the embeddings without changing the number. A test checks
  every entry.

"""


COLUMNS = ["measure", "symbol", "what it is", "range", "larger means", "of", "pairs", "null"]
COLUMNS += ["unchanged by", "source", "key"]


def page() -> str:
    """Return the page."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(row(measure) for measure in MEASURES.values())]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(measure: Measure) -> list[str]:
    """Return the cells of one measure."""
    cells = [
        f"`{measure.name}`",
        measure.symbol,
        measure.title,
        f"{bound(measure.range[0], '(')}, {bound(measure.range[1], ')')}",
        measure.larger,
        "each" if measure.sides else "both",
        "yes" if measure.paired else "",
        measure.null or "",
        ", ".join(measure.unchanged_by),
        measure.reference,
        f"`{measure.key}`",
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def bound(value: float, bracket: str) -> str:
    """Return one end of a range."""
    if math.isinf(value):
        return f"{bracket}-inf" if value < 0 else f"inf{bracket}"
    closed = "[" if bracket == "(" else "]"
    return f"{closed}{value:g}" if bracket == "(" else f"{value:g}{closed}"


def main() -> None:
    """Write the page."""
    (DOCS / "measures.md").write_text(page(), encoding="utf-8")
    print("written: measures.md")


if __name__ == "__main__":
    main()
