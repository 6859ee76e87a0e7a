"""The gap of one encoder on one corpus: its geometry, what it does to search, how sure both are."""

from __future__ import annotations

import html
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mmgap.arrays import unit_rows
from mmgap.corpus.schema import LEGS
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import MmgapError
from mmgap.gap import (
    MEASURES,
    Interval,
    Measure,
    NullLevel,
    SmallSampleWarning,
    interval,
    null_level,
    plug_in_bias,
    too_few,
)
from mmgap.index.vectors import Vectors
from mmgap.strategies.candidates import take_queries
from mmgap.strategies.distributions import need_both_legs
from mmgap.strategies.gap_consequences import OTHER, Row, consequences, percent, short

if TYPE_CHECKING:
    import pandas as pd

MAX_SCORES = 8_000_000
"""Scores of one modality that the report holds at once; queries beyond it are sampled."""

FEW_QUERIES = 30
"""With fewer queries the report says that its intervals are rough."""

_RESAMPLES = 2_000
_NULL_DRAWS, _COSTLY_NULL_DRAWS = 50, 10  # for a mean; all together shall take seconds
_WIDTH = 120
_TOO_FEW = "Too few pairs for"

_SENTENCES: dict[str, str] = {
    "l2m": "the centroids are {value} apart{null}",
    "l2m_unbiased": "the centroids are {value} apart, corrected for the number of pairs{null}",
    "l2i": "an image lies {value} from its own text{null}",
    "rmg": "an image lies {ratio} as far from its own text as items of one modality lie "
    "from each other{null}",
    "paired_cosine": "an image has cosine {value} with its own text{null}",
    "unpaired_cosine": "an image has cosine {value} with the texts of others{null}",
    "linear_separability": "a linear classifier tells new images from new texts in {percent} of "
    "cases{null}",
    "cone": "two {side}s have cosine {value} on average; 0 where they point everywhere",
    "effective_rank": "the {side}s spread over about {value} directions, by entropy",
    "variance_dims": "{value} principal axes hold 99 % of the variance of the {side}s",
    "participation_ratio": "the {side}s spread over about {value} directions, by variance",
    "knn_fraction": "{percent} of an item's 10 nearest neighbours are of its own modality{null}",
    "neighbourhood_agreement": "images and texts share {percent} of their 10 nearest "
    "neighbours{null}",
    "gap_fraction_top1": "{percent} of the squared gap lies in one dimension{null}",
    "gap_fraction_top8": "{percent} of the squared gap lies in eight dimensions{null}",
}
"""By name of the measure; any other measure gets its title and what a larger value means."""


@dataclass(frozen=True, repr=False)
class GapReport:
    """What :func:`gap_report` found; shows itself as a table.

    ``notes`` are full sentences on what was left out, how often was resampled, where n is too
    small. ``table`` has one row for each number:

    - ``part``: ``geometry`` (of the embeddings) or ``consequence`` (for search);
    - ``measure``, ``symbol``: name for programs, name for readers;
    - ``side``: ``image``, ``text`` or ``both``. In the geometry the modality that is measured; in
      the consequences the modality of the relevant documents;
    - ``value``, ``ci_low``, ``ci_high``: with a 95 % CI, over pairs or items in the geometry, over
      queries in the consequences; NaN where there is none;
    - ``null``: the null level, that is the mean value without a gap or without pairing, or the
      value if both modalities were scored alike; NaN where there is none;
    - ``n``: pairs, items or queries behind the value;
    - ``meaning``: one sentence in words.
    """

    table: pd.DataFrame
    corpus: str
    encoder: str
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """One line that says what was measured."""
        return f"The gap between images and texts: {self.encoder} on {self.corpus}"

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def to_text(self, width: int = _WIDTH) -> str:
        """Return the report as plain text, wrapped to ``width`` columns.

        Where less than 30 columns are left for the sentences, each goes below its row.
        """
        parts = self._parts()
        every = [cells for rows in parts.values() for cells in rows]
        columns = zip(_HEADS[:-1], *(cells[:-1] for cells in every), strict=True)
        widths = [max(map(len, column)) for column in columns]
        left = sum(widths) + 2 * len(widths)
        beside = width - left >= _LEAST_WORDS
        indent = " " * (left if beside else 4)
        lines = [*_wrapped(self.title, width), ""]
        for part, rows in parts.items():
            heads = _line(_HEADS[:-1], widths) + (_HEADS[-1] if beside else "")
            lines += [part.upper(), heads.rstrip(), "-" * (width if beside else left - 2)]
            for cells in rows:
                words = _wrapped(cells[-1], width, indent)
                line = _line(cells[:-1], widths)
                if beside:
                    line, words = line + words[0].lstrip(), words[1:]
                lines += [line.rstrip(), *words]
            lines.append("")
        for note in self.notes:
            first, *more = _wrapped(note, width, "  ")
            lines += [f"* {first.lstrip()}", *more]
        return "\n".join(lines).rstrip() + "\n"

    def to_html(self) -> str:
        """Return the report as an HTML element with a caption; all names are escaped."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _HEADS)
        lines = [
            '<div class="mmgap-gap-report">',
            f"<table>\n<caption>{html.escape(self.title)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
        ]
        for part, rows in self._parts().items():
            across = f'<th colspan="{len(_HEADS)}" scope="rowgroup">{html.escape(part)}</th>'
            lines += ["<tbody>", f"<tr>{across}</tr>"]
            for row in rows:
                first, *cells = map(html.escape, row)
                body = "".join(f"<td>{cell}</td>" for cell in cells)
                lines.append(f'<tr><th scope="row">{first}</th>{body}</tr>')
            lines.append("</tbody>")
        lines.append("</table>")
        if self.notes:
            lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in self.notes), "</ul>"]
        return "\n".join([*lines, "</div>"]) + "\n"

    def to_latex(self) -> str:
        """Return the numbers as a LaTeX table without the sentences; it needs booktabs."""
        lines = [
            "\\begin{table}\n\\centering",
            rf"\caption{{{_latex(self.title)}}}",
            "\\begin{tabular}{llrrrr}\n\\toprule",
            " & ".join(map(_latex, _HEADS[:-1])) + r" \\",
        ]
        for part, rows in self._parts().items():
            lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{\emph{{{_latex(part)}}}}} \\"]
            lines += [" & ".join(map(_latex, cells[:-1])) + r" \\" for cells in rows]
        lines.append("\\bottomrule\n\\end{tabular}")
        if self.notes:
            lines.append("\\par\\smallskip\n\\footnotesize")
            lines += [f"{_latex(note)}\\\\" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()

    def _parts(self) -> dict[str, list[list[str]]]:
        """Cells of the rows, by part."""
        parts: dict[str, list[list[str]]] = {}
        for row in self.table.to_dict("records"):
            ends = "-"
            if row["ci_low"] == row["ci_low"]:
                ends = f"[{_number(row['ci_low'], 4)}, {_number(row['ci_high'], 4)}]"
            cells = [row["symbol"], row["side"], _number(row["value"], 6), ends]
            cells += [_number(row["null"], 4), f"{row['n']:,}", row["meaning"]]
            parts.setdefault(str(row["part"]), []).append(cells)
        return parts


def gap_report(
    vectors: Vectors,
    *,
    k: int = 10,
    calibration: Vectors | None = None,
    n_resamples: int | None = None,
) -> GapReport:
    """Measure the gap between the two modalities, with what it does to search.

    The geometry holds every measure of ``mmgap.gap.MEASURES`` on the documents that have both a
    text and an image; a null level is the mean of 50 draws, or 10 where one is costly. The
    consequences merge texts and images by raw score, each text and each image a hit of its own,
    and judge the result for queries with relevant images and for queries with relevant texts. Pairs
    that ``corpus.left_out`` names do not count. Where there would be more than 8 million scores for
    a modality, a random part of the queries is taken, and the notes say so.

    ``k`` is the cut-off of the fraction of texts and of the recall that the merge loses. The
    queries of ``calibration`` are what offset, spread and hubness of the decomposition are
    estimated from; None: the queries are split in two random halves, each judged with the other as
    reference. ``n_resamples`` redraws; None: 2,000 of the queries, and the rule of
    ``mmgap.gap.uncertainty`` in the geometry. Each measure starts from ``default_rng(0)``, so
    that value and CI are those of the functions themselves.

    MmgapError if a leg is missing or holds no document; SmallSampleWarning if there are too few
    pairs to say that there is a gap, or how large it is.

    >>> import mmgap as mg
    >>> vectors = mg.embed(mg.load_corpus("features/clip-vit-b16-coco500"))  # doctest: +SKIP
    >>> print(mg.gap_report(vectors))  # doctest: +SKIP
    """
    import pandas as pd

    need_both_legs(vectors)
    for name, value, least in (("k", k, 1), ("n_resamples", n_resamples, 2)):
        if value is not None and not (isinstance(value, int | np.integer) and value >= least):
            msg = f"{name} must be a whole number of at least {least}; got {value!r}"
            raise MmgapError(msg)
    notes: list[str] = []
    judged = _some_queries(vectors, notes)
    rows = [*_geometry(vectors, n_resamples, notes)]
    if len(judged.queries):
        found, n_answered = consequences(
            judged,
            None if calibration is None else calibration.queries,
            k=k,
            n_resamples=n_resamples or _RESAMPLES,
            rng=np.random.default_rng(0),
        )
        rows += found
        _tell_of_queries(judged, calibration, rows, n_answered, notes)
    else:
        notes.append("There is no query, so the consequences for search are left out.")
    table = pd.DataFrame(map(astuple, rows), columns=[field.name for field in fields(Row)])
    return GapReport(table, vectors.corpus.name, vectors.encoder.id, tuple(notes))


@dataclass(frozen=True)
class _Job:
    """One row of the geometry to come; those of one ``family`` share what they are made of."""

    measure: Measure
    side: str
    rows: tuple[np.ndarray, ...]

    @property
    def family(self) -> tuple[Any, str]:
        return self.measure.basis or self.measure.name, self.side


def _geometry(vectors: Vectors, n_resamples: int | None, notes: list[str]) -> Iterator[Row]:
    image, text = vectors.image, vectors.text
    if isinstance(image.embeddings, TokenVectors) or isinstance(text.embeddings, TokenVectors):
        notes.append(
            f"{vectors.encoder.id} has several vectors for an item; the measures of geometry take "
            "one, so that part is left out."
        )
        return
    both = np.intersect1d(image.positions, text.positions)
    paired = len(both) > 0
    sides = {"image": image.embeddings, "text": text.embeddings}
    if paired:
        at = {name: np.searchsorted(vectors.legs[name].positions, both) for name in sides}
        sides = {name: rows[at[name]] for name, rows in sides.items()}
    _tell_of_pairs(vectors, sides, len(both), notes)
    units = {name: unit_rows(f"{name}_embeddings", rows) for name, rows in sides.items()}
    jobs: list[_Job] = []
    for measure in MEASURES.values():
        if measure.sides:
            jobs += [_Job(measure, side, (rows,)) for side, rows in units.items()]
        elif paired or not measure.paired:
            jobs.append(_Job(measure, "both", (units["image"], units["text"])))
    families: dict[Any, list[int]] = {}
    for number, job in enumerate(jobs):
        families.setdefault(job.family, []).append(number)

    def measure_family(numbers: list[int]) -> None:
        known: dict[Any, Any] = {}
        for number in numbers:
            try:
                results[number] = _measured(jobs[number], paired, n_resamples, known)
            except MmgapError as error:  # too few rows for this one
                results[number] = None, f"{jobs[number].measure.symbol} is left out: {error}."

    results: dict[int, tuple[Row | None, str]] = {}
    _in_threads(measure_family, list(families.values()))
    for _, (row, note) in sorted(results.items()):
        if note:
            notes.append(note)
        if note.startswith(_TOO_FEW):
            warnings.warn(note, SmallSampleWarning, stacklevel=4)
        if row is not None:
            yield row


def _in_threads(function: Callable[[list[int]], None], arguments: list[list[int]]) -> None:
    """Call a function in as many threads as there are processors.

    Each keeps to one processor: the products are small, and several threads for each of them would
    wait for each other most of the time.
    """
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(cpu_count()) as pool:
        list(pool.map(function, arguments))


def _measured(
    job: _Job, paired: bool, n_resamples: int | None, known: dict[Any, Any]
) -> tuple[Row, str]:
    """Return a row, and a sentence where there are too few pairs for it."""
    measure, rows = job.measure, job.rows
    several = min(map(len, rows)) > 1  # else the function says how many rows it needs
    value = measure.value(rows, known, b"") if several else measure.function(*rows)
    bounds: Interval | None = None
    null: NullLevel | None = None
    note = ""
    defined = bool(np.isfinite(value))
    if defined and (paired or measure.sides):
        by_bootstrap = measure.per_item is not None or measure.weighted is not None
        n_draws = n_resamples if by_bootstrap else None
        bounds = interval(measure, *rows, n_draws=n_draws, known=known)
    if defined and paired and measure.null is not None and not measure.sides:
        draws = _COSTLY_NULL_DRAWS if measure.seldom else _NULL_DRAWS
        null = null_level(measure, *rows, n_draws=draws, known=known)
    if measure.name == "l2m" and paired:
        bias = plug_in_bias(*rows)
        reason = too_few(value, len(rows[0]), bias=bias, interval=bounds, null=null)
        if reason:
            note = f"{_TOO_FEW} {measure.symbol}. {reason}"
    row = Row(
        part="geometry",
        measure=measure.name,
        symbol=measure.symbol,
        side=job.side,
        value=value,
        ci_low=np.nan if bounds is None else bounds.low,
        ci_high=np.nan if bounds is None else bounds.high,
        null=np.nan if null is None else null.mean,
        n=len(rows[0]),
        meaning=measure_sentence(measure, value, job.side, null),
    )
    return row, note


# Sentences


def measure_sentence(measure: Measure, value: float, side: str, null: NullLevel | None) -> str:
    """Say in words what the value of a measure of geometry means, without a full stop.

    >>> none = NullLevel("labels", 0.05, 0.03, 0.075, 0.1, 500, 500)
    >>> measure_sentence(MEASURES["l2m"], 0.85, "both", none)
    'the centroids are 0.85 apart, 17 times the null level'
    """
    if not np.isfinite(value):
        return (
            f"{measure.title}: not defined here, as rows of one modality do not differ or the "
            "centroids coincide"
        )
    words = _SENTENCES.get(measure.name)
    if words is None:
        of_side = f" of the {side}s" if measure.sides else ""
        words = f"{measure.title}{of_side}: {{value}}{{null}}; larger = {measure.larger}"
    write: Callable[[float], str] = short
    for name, other in (("{percent}", percent), ("{ratio}", _ratio)):
        if name in words:
            write = other
    return words.format(
        value=short(value),
        percent=percent(value),
        ratio=_ratio(value),
        side=side,
        null="" if null is None else _against(value, null, write),
    )


def _ratio(part: float) -> str:
    """Write a part of a whole as how many times the rest it is."""
    return f"{short(part / (1 - part))} times" if part < 1 else "infinitely many times"


def _against(value: float, null: NullLevel, write: Callable[[float], str]) -> str:
    """Compare a value with the range of its null level, and say that range where it holds it."""
    if not np.isfinite(null.mean):
        return ""
    where = "for shuffled texts" if null.kind == "pairing" else "without a gap"
    if null.low <= value <= null.high:
        return f", within the 95 % range {where}, {write(null.low)} to {write(null.high)}"
    above = null.low > 0 and 1.5 <= value / null.mean <= 1000
    if null.kind == "labels" and above and write is short:
        return f", {short(value / null.mean)} times the null level"
    return f", against {write(null.mean)} {where}"


# Notes


def _tell_of_pairs(
    vectors: Vectors, sides: dict[str, np.ndarray], n_both: int, notes: list[str]
) -> None:
    if not n_both:
        notes.append(
            "No document has both a text and an image: measures of pairs, intervals and null "
            "levels are left out."
        )
        return
    distinct = {side: len({row.tobytes() for row in rows}) for side, rows in sides.items()}
    if min(distinct.values()) < n_both:
        notes.append(
            f"The {n_both:,} pairs hold {distinct['image']:,} different images and "
            f"{distinct['text']:,} different texts. Intervals take pairs as independent, so they "
            "are too narrow where texts or images repeat."
        )
    for leg in LEGS:
        alone = len(vectors.legs[leg].positions) - n_both
        if alone:
            notes.append(
                f"{alone:,} documents have {leg}s only: the geometry leaves them out, the "
                "consequences do not."
            )


def _some_queries(vectors: Vectors, notes: list[str]) -> Vectors:
    """Leave out random queries if there would be too many scores."""
    n_query = len(vectors.queries)
    n_document = max(len(vectors.legs[leg].positions) for leg in LEGS)
    room = max(100, MAX_SCORES // n_document)
    if n_query <= room:
        return vectors
    notes.append(
        f"The consequences are those of {room:,} random queries of {n_query:,}, so that all scores "
        "fit into memory."
    )
    chosen = np.random.default_rng(0).choice(n_query, room, replace=False)
    return take_queries(vectors, chosen)


def _tell_of_queries(
    vectors: Vectors,
    calibration: Vectors | None,
    rows: list[Row],
    n_answered: dict[str, int],
    notes: list[str],
) -> None:
    n_query = len(vectors.queries)
    left_out = sum(len(vectors.left_out(leg)[0]) for leg in LEGS)
    if left_out:
        notes.append(
            f"{left_out:,} pairs of a query and a document do not count, such as a query that is "
            "itself a document's text."
        )
    for leg in LEGS:
        if not n_answered[leg]:
            notes.append(
                f"No query has a relevant {leg} that counts, so that direction is not measured: "
                f"what {OTHER[leg]}s do to {leg}s stays unknown here."
            )
    if not any(row.measure == "merge_loss" for row in rows):
        notes.append(
            "The decomposition is left out: it takes queries with a relevant document, and other "
            "queries that score every document."
        )
    elif calibration is None:
        notes.append(
            "The decomposition splits the queries in two random halves; each is judged with the "
            "scores of the other as reference."
        )
    else:
        notes.append(
            f"The decomposition is fitted on {len(calibration.queries):,} calibration queries, "
            "none of which is judged."
        )
    if n_query < FEW_QUERIES:
        notes.append(
            f"Intervals over {n_query} queries are rough; take at least {FEW_QUERIES}, better some "
            "hundreds."
        )


# Forms

_HEADS = ("measure", "side", "value", "95 % CI", "null", "n", "what it means")
_NUMBERS = slice(2, 6)
_LEAST_WORDS = 30
_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
}


def _latex(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    room = max(width, len(indent) + _LEAST_WORDS)
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent) or [indent]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[_NUMBERS] = [
        cell.rjust(width) for cell, width in zip(cells[_NUMBERS], widths[_NUMBERS], strict=True)
    ]
    return "".join(f"{cell}  " for cell in padded)


def _number(value: float, digits: int) -> str:
    if value != value:  # NaN
        return "-"
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.{digits - 4 + 1}f}"
