"""What each method returns for one query, in pictures and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Rectangle

from mmgap.evaluation.runs import Run
from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.palette import QUIET_COLOUR, RELEVANT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmgap.corpus.schema import Corpus, Document

Hits = Run | Mapping[str, float]
"""A run, or the scores of documents by id, best first."""

PICTURE = 0.95
"""Inches."""

GAP = 0.12
"""Inches between a picture and its text, and around both."""

MIN_COLUMN = 2.5
"""Inches that one method needs at the least."""


def gallery(
    corpus: Corpus,
    query_id: str,
    columns: Mapping[str, Hits] | Sequence[Run],
    *,
    k: int = 3,
) -> Figure:
    """Show the first hits of one query, one column per method.

    Relevant documents have a green frame and a tick; the others a thin grey frame.

    Parameters
    ----------
    corpus : Corpus
    query_id : str
    columns : mapping of name to hits, or sequence of Run
        Hits are a :class:`Run` or scores by document id, best first.
    k : int, default 3

    Returns
    -------
    matplotlib.figure.Figure
        As wide as the style's figures, wider where the columns need it.
    """
    named = columns if isinstance(columns, Mapping) else {run.name: run for run in columns}
    hits = {name: _top(item, query_id, k) for name, item in named.items()}
    query = corpus.queries[corpus.query_ids.index(query_id)]
    size = float(mpl.rcParams["font.size"])
    column = max(mpl.rcParams["figure.figsize"][0] / len(hits), MIN_COLUMN * scale())
    width = column * len(hits)
    title = wrap(f"Query: {query.text}", width - 2 * GAP, 1.1 * size, weight="bold")
    heads = {name: wrap(name, column - 2 * GAP, size, lines=2) for name in hits}
    line = 1.3 * size / 72
    below_title = GAP + 1.1 * line * (title.count("\n") + 1) + GAP
    top = below_title + line * (1 + max(head.count("\n") for head in heads.values())) + GAP
    cell = PICTURE * scale() + 2 * GAP
    figure = new_figure(top + k * cell, width=width, constrained=False)
    sheet = _Sheet(figure)
    sheet.write(GAP, GAP, title, fontsize=1.1 * size, weight="bold")
    relevant = corpus.qrels.relevant(query_id)
    for place, (name, found) in enumerate(hits.items()):
        left = place * column + GAP
        sheet.write(left, below_title, heads[name], fontsize=size)
        if not found:
            sheet.write(left, top, "no hit", fontsize=small(), color=QUIET_COLOUR)
        for rank, (doc_id, score) in enumerate(found.items()):
            document = corpus.document(doc_id)
            corner = (left, top + rank * cell)
            text_width = column - PICTURE * scale() - 3 * GAP
            good = doc_id in relevant
            sheet.picture(corner, PICTURE * scale(), document, relevant=good)
            note = f"{rank + 1}.  score {score:.3f}" + ("  ✓" if good else "")
            note_left = left + PICTURE * scale() + GAP
            look = {"color": RELEVANT.colour, "weight": "bold"} if good else {"color": "black"}
            sheet.write(note_left, corner[1], note, fontsize=small(), **look)
            n_lines = int(PICTURE * scale() / (1.25 * small() / 72)) - 1
            text = document.text if document.text else "(no text)"
            wrapped = wrap(text, text_width, small(), lines=n_lines)
            below = corner[1] + 1.4 * small() / 72
            sheet.write(note_left, below, wrapped, fontsize=small(), linespacing=1.15)
    return figure


def _top(hits: Hits, query_id: str, k: int) -> Mapping[str, float]:
    if isinstance(hits, Run):
        return hits.top(query_id, k)
    return dict(list(hits.items())[:k])


class _Sheet:
    """A figure measured in inches from its upper left corner."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = figure.get_size_inches()

    def write(self, left: float, top: float, text: str, **look: object) -> None:
        self.figure.text(
            left / self.width,
            1 - top / self.height,
            text,
            va="top",
            parse_math=False,
            **look,  # type: ignore[arg-type]
        )

    def picture(
        self, corner: tuple[float, float], size: float, document: Document, *, relevant: bool
    ) -> None:
        left, top = corner
        bottom = 1 - (top + size) / self.height
        axes = self.figure.add_axes(
            (left / self.width, bottom, size / self.width, size / self.height)
        )
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        if document.image is None:
            axes.text(0.5, 0.5, "no image", ha="center", va="center", fontsize=small())
        else:
            picture = document.image.open()
            picture.thumbnail((256, 256))
            axes.imshow(np.asarray(picture))
            axes.set_anchor("N")
        frame = Rectangle(
            (0, 0),
            1,
            1,
            transform=axes.transAxes,
            fill=False,
            edgecolor=RELEVANT.colour if relevant else "#BBBBBB",
            linewidth=3 if relevant else 0.8,
            clip_on=False,
        )
        axes.add_patch(frame)
