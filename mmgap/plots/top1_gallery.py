"""The first hit of each method for some queries, in pictures and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from mmgap.evaluation.runs import Run
from mmgap.plots.canvas import new_figure, scale, small, wrap
from mmgap.plots.gallery import GAP, PICTURE, _Sheet
from mmgap.plots.palette import QUIET_COLOUR, RELEVANT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmgap.corpus.schema import Corpus

MIN_COLUMN = 1.14
"""Inches that one method needs at the least."""

TEXT_LINES = 3
"""Lines of a document's text that are shown."""


WANTED = "a document that is relevant"
"""Head of the first column."""


def top1_gallery(
    corpus: Corpus, runs: Sequence[Run], query_ids: Sequence[str], *, wanted: bool = True
) -> Figure:
    """Show what each method puts first, one row per query and one column per method.

    Parameters
    ----------
    corpus : Corpus
    runs : sequence of Run
        One column each, in this order.
    query_ids : sequence of str
        One row each, in this order.
    wanted : bool, default True
        Begin with a column that shows a relevant document: that of the highest grade, the first in
        the corpus of several.

    Returns
    -------
    matplotlib.figure.Figure
        As wide as the style's figures, wider where the columns need it. A relevant document has a
        green frame and a tick, another one a thin grey frame. Where several documents share the
        first place it says so: the one shown stands first in the corpus and nothing else.

    Raises
    ------
    ValueError
        If there is no run or no query.
    """
    if not runs or not query_ids:
        msg = f"{len(runs)} runs and {len(query_ids)} queries; expected one or more of each"
        raise ValueError(msg)
    size = float(mpl.rcParams["font.size"])
    columns: list[Run | None] = [None, *runs] if wanted else [*runs]
    column = max(mpl.rcParams["figure.figsize"][0] / len(columns), MIN_COLUMN * scale())
    width, inner = column * len(columns), column - 1.5 * GAP
    line, small_line = 1.3 * size / 72, 1.25 * small() / 72
    names = [WANTED if run is None else run.name for run in columns]
    heads = [wrap(name, inner, small(), weight="bold", lines=4) for name in names]
    top = GAP + small_line * max(head.count("\n") + 1 for head in heads) + GAP
    titles = [
        wrap(f"Query: {_query(corpus, query_id)}", width - 2 * GAP, size, weight="bold")
        for query_id in query_ids
    ]
    below_picture = (1 + TEXT_LINES) * small_line + 0.4 * small_line
    title_heights = [line * (title.count("\n") + 1) + 0.5 * GAP for title in titles]
    cell = PICTURE * scale() + below_picture + 1.5 * GAP
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
    sheet.picture(corner, PICTURE * scale(), document, relevant=good)
    look = {"color": RELEVANT.colour, "weight": "bold"} if good else {"color": "black"}
    below = top + PICTURE * scale() + 0.4 * GAP
    sheet.write(left, below, note, fontsize=small(), **look)
    text = wrap(document.text or "(no text)", width, small(), lines=TEXT_LINES)
    below += 1.25 * small() / 72
    sheet.write(left, below, text, fontsize=small(), linespacing=1.1)


def _by_grade(corpus: Corpus, grades: Mapping[str, int], doc_id: str) -> tuple[int, int]:
    return -grades[doc_id], corpus.position(doc_id)


def _query(corpus: Corpus, query_id: str) -> str:
    return corpus.queries[corpus.query_ids.index(query_id)].text
