"""What methods return, in images and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Rectangle

from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.plots.palette import QUIET_COLOUR, RELEVANT
from mmgap.plots.style import font_size, new_figure, scale, small, wrap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmgap.corpus.schema import Corpus, Document

Hits = Run | Mapping[str, float]
"""A run, or the scores of documents by id, best first."""

IMAGE = 0.95
"""Inches of an image's side."""

GAP = 0.12
"""Inches between an image and its text, and around both."""

MIN_COLUMN = 2.5
"""Inches that one method needs at the least; of a top-1 gallery 1.14."""

TEXT_LINES = 3
"""Lines of a document's text that a top-1 gallery shows."""

WANTED = "a relevant document"
"""Head of its first column."""


def gallery(
    corpus: Corpus,
    query_id: str,
    columns: Mapping[str, Hits] | Sequence[Run],
    *,
    k: int = 3,
) -> Figure:
    """Show the first ``k`` hits of one query, one column per method.

    A relevant document has a green frame and a tick; others have a thin grey frame. The figure is
    wider than the style's where the columns need it.
    """
    named = columns if isinstance(columns, Mapping) else {run.name: run for run in columns}
    hits = {name: _top(item, query_id, k) for name, item in named.items()}
    query = corpus.queries[corpus.query_ids.index(query_id)]
    size = font_size()
    column = max(mpl.rcParams["figure.figsize"][0] / len(hits), MIN_COLUMN * scale())
    width = column * len(hits)
    title = wrap(f"Query: {query.text}", width - 2 * GAP, 1.1 * size, weight="bold")
    heads = {name: wrap(name, column - 2 * GAP, size, lines=2) for name in hits}
    line = 1.3 * size / 72
    below_title = GAP + 1.1 * line * (title.count("\n") + 1) + GAP
    top = below_title + line * (1 + max(head.count("\n") for head in heads.values())) + GAP
    cell = IMAGE * scale() + 2 * GAP
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
            text_width = column - IMAGE * scale() - 3 * GAP
            good = doc_id in relevant
            sheet.image(corner, IMAGE * scale(), document, relevant=good)
            note = f"{rank + 1}.  score {score:.3f}" + ("  ✓" if good else "")
            note_left = left + IMAGE * scale() + GAP
            look = {"color": RELEVANT.colour, "weight": "bold"} if good else {"color": "black"}
            sheet.write(note_left, corner[1], note, fontsize=small(), **look)
            n_lines = int(IMAGE * scale() / (1.25 * small() / 72)) - 1
            text = document.text if document.text else "(no text)"
            wrapped = wrap(text, text_width, small(), lines=n_lines)
            below = corner[1] + 1.4 * small() / 72
            sheet.write(note_left, below, wrapped, fontsize=small(), linespacing=1.15)
    return figure


def top1_gallery(
    corpus: Corpus, runs: Sequence[Run], query_ids: Sequence[str], *, wanted: bool = True
) -> Figure:
    """Show what each method ranks first, one row per query and one column per method.

    With ``wanted`` the first column shows a relevant document: that of the highest grade, the first
    in the corpus of several. Where several documents share rank 1 it says so; the one shown is the
    first of them in the corpus.
    """
    if not runs or not query_ids:
        msg = f"{len(runs)} runs and {len(query_ids)} queries; expected one or more of each"
        raise MmgapError(msg)
    size = font_size()
    columns: list[Run | None] = [None, *runs] if wanted else [*runs]
    column = max(mpl.rcParams["figure.figsize"][0] / len(columns), 1.14 * scale())
    width, inner = column * len(columns), column - 1.5 * GAP
    line, small_line = 1.3 * size / 72, 1.25 * small() / 72
    names = [WANTED if run is None else run.name for run in columns]
    heads = [wrap(name, inner, small(), weight="bold", lines=4) for name in names]
    top = GAP + small_line * max(head.count("\n") + 1 for head in heads) + GAP
    titles = [
        wrap(f"Query: {_query(corpus, query_id)}", width - 2 * GAP, size, weight="bold")
        for query_id in query_ids
    ]
    below_image = (1 + TEXT_LINES) * small_line + 0.4 * small_line
    title_heights = [line * (title.count("\n") + 1) + 0.5 * GAP for title in titles]
    cell = IMAGE * scale() + below_image + 1.5 * GAP
    figure = new_figure(
        top + sum(title_heights) + cell * len(titles), width=width, constrained=False
    )
    sheet = _Sheet(figure)
    for place, head in enumerate(heads):
        left = place * column + GAP / 2
        sheet.write(left, GAP, head, fontsize=small(), weight="bold")
    for query_id, title, height in zip(query_ids, titles, title_heights, strict=True):
        sheet.write(GAP / 2, top, title, fontsize=size, weight="bold")
        top += height
        for place, run in enumerate(columns):
            _show(sheet, corpus, run, query_id, (place * column + GAP / 2, top), inner)
        top += cell
    return figure


def _show(
    sheet: _Sheet,
    corpus: Corpus,
    run: Run | None,
    query_id: str,
    corner: tuple[float, float],
    width: float,
) -> None:
    left, top = corner
    if run is None:
        grades = corpus.qrels[query_id]
        document = corpus.document(min(grades, key=lambda each: _by_grade(corpus, grades, each)))
        note = f"grade {grades[document.id]}"
    else:
        row = list(run.query_ids).index(query_id)
        first, scores = int(run.indices[row, 0]), run.scores[row]
        if first < 0:
            sheet.write(left, top, "no hit", fontsize=small(), color=QUIET_COLOUR)
            return
        document = corpus.document(run.doc_ids[first])
        n_tied = int(np.sum(scores == scores[0]))
        note = f"{scores[0]:.3f}" + (f", {n_tied} tied" if n_tied > 1 else "")
    good = document.id in corpus.qrels.relevant(query_id)
    note += " ✓" if good else ""
    sheet.image(corner, IMAGE * scale(), document, relevant=good)
    look = {"color": RELEVANT.colour, "weight": "bold"} if good else {"color": "black"}
    below = top + IMAGE * scale() + 0.4 * GAP
    sheet.write(left, below, note, fontsize=small(), **look)
    text = wrap(document.text or "(no text)", width, small(), lines=TEXT_LINES)
    below += 1.25 * small() / 72
    sheet.write(left, below, text, fontsize=small(), linespacing=1.1)


def _by_grade(corpus: Corpus, grades: Mapping[str, int], doc_id: str) -> tuple[int, int]:
    return -grades[doc_id], corpus.position(doc_id)


def _query(corpus: Corpus, query_id: str) -> str:
    return corpus.queries[corpus.query_ids.index(query_id)].text


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

    def image(
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
            shown = document.image.open()
            shown.thumbnail((256, 256))
            axes.imshow(np.asarray(shown))
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
