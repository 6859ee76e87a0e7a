"""The gap of one encoder on one corpus: its geometry, what it does to search, how sure both are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.encoders.token_vectors import TokenVectors
from mmgap.errors import MmgapError
from mmgap.gap import MEASURES, Measure, plug_in_bias
from mmgap.gap.uncertainty import (
    Interval,
    NullLevel,
    SmallSampleWarning,
    interval,
    null_level,
    too_few,
)
from mmgap.index.vectors import Vectors
from mmgap.strategies.distributions import need_both_legs
from mmgap.strategies.gap_consequences import OTHER, Row, answered, consequences
from mmgap.strategies.gap_tables import html_table, latex_table, text_table
from mmgap.strategies.gap_words import measure_sentence

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

Result = TypeVar("Result")


@dataclass(frozen=True, repr=False)
class GapReport:
    """What :func:`gap_report` found.

    Parameters
    ----------
    table : DataFrame
        As :meth:`to_frame` returns it.
    corpus, encoder : str
        Names.
    notes : tuple of str
        What was left out, how often was resampled, where n is too small: full sentences.
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
        """Return the tidy table, one row for each number.

        Returns
        -------
        table : DataFrame
            Columns

            - ``part``: ``geometry`` (of the embeddings) or ``consequence`` (for search);
            - ``measure``, ``symbol``: name for programs, name for readers;
            - ``side``: ``image``, ``text`` or ``both``. In the geometry the modality that is
              measured; in the consequences the modality whose documents answer the queries;
            - ``value``, ``ci_low``, ``ci_high``: with a 95 % interval, over pairs or items in the
              geometry, over queries in the consequences; NaN where there is none;
            - ``null``: the level of nothing, that is the mean value without a gap or without
              pairing, or the value if both modalities were scored alike; NaN where there is none;
            - ``n``: pairs, items or queries behind the value;
            - ``meaning``: one sentence in words.
        """
        return self.table.copy()

    def to_text(self, width: int = _WIDTH) -> str:
        """Return the report as plain text, wrapped to ``width`` columns."""
        return text_table(self.table, self.title, self.notes, width)

    def to_html(self) -> str:
        """Return the report as an HTML element with a caption; all names are escaped."""
        return html_table(self.table, self.title, self.notes)

    def to_latex(self) -> str:
        """Return the numbers as a LaTeX table; it needs the package booktabs."""
        return latex_table(self.table, self.title, self.notes)

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()


def gap_report(
    vectors: Vectors,
    *,
    k: int = 10,
    calibration: Vectors | None = None,
    n_resamples: int | None = None,
    rng: np.random.Generator | None = None,
) -> GapReport:
    """Measure the gap between the two modalities, with what it does to search.

    The geometry holds every measure of ``mmgap.gap.MEASURES`` on the documents that have
    both a text and an image. The consequences merge texts and images by raw score, each text and
    each image a hit of its own, and judge the result in both directions: how queries fare that an
    image answers, and queries that a text answers.

    Parameters
    ----------
    vectors : Vectors
        Pairs that ``corpus.left_out`` names do not count.
    k : int, default 10
        Cut-off of the share of texts and of the recall that the merge loses.
    calibration : Vectors or None
        Its queries are the bank that offset, spread and hubness of the decomposition are estimated
        from; its documents are not used. None: the queries of ``vectors`` are split in two random
        halves, each judged with the other as bank.
    n_resamples : int or None
        Redraws of the bootstrap intervals. None: 2,000 of the queries, and the rule of
        ``mmgap.gap.uncertainty`` in the geometry.
    rng : numpy.random.Generator or None
        None starts each measure from ``default_rng(0)``, so that its value and interval are those
        of the functions themselves.

    Returns
    -------
    report : GapReport
        Shows itself as a table; ``to_frame``, ``to_text``, ``to_html`` and ``to_latex`` give it
        away.

    Raises
    ------
    MmgapError
        If a leg is missing or holds no document.

    Warns
    -----
    SmallSampleWarning
        If there are too few pairs to say that there is a gap, or how large it is.

    Notes
    -----
    The level of nothing is the mean of 50 draws, or 10 where one is costly.

    Every query meets every document. Where that would be more than 8 million scores for a
    modality, a random part of the queries is taken, and the notes say so.

    Examples
    --------
    >>> import mmgap as mg
    >>> vectors = mg.embed(mg.load_corpus("features/clip-vit-b16-coco500"))  # doctest: +SKIP
    >>> print(mg.gap_report(vectors))  # doctest: +SKIP
    """
    import pandas as pd

    need_both_legs(vectors)
    if k < 1:
        msg = f"k must be at least 1; got {k}"
        raise MmgapError(msg)
    notes: list[str] = []
    judged = _some_queries(vectors, np.random.default_rng(0) if rng is None else rng, notes)
    rows = [*_geometry(vectors, n_resamples, rng, notes)]
    if len(judged.queries):
        rows += consequences(
            judged,
            None if calibration is None else calibration.queries,
            k=k,
            n_resamples=n_resamples or _RESAMPLES,
            rng=np.random.default_rng(0) if rng is None else rng,
        )
        _tell_of_queries(judged, calibration, rows, notes)
    else:
        notes.append("There is no query, so the consequences for search are left out.")
    table = pd.DataFrame(map(astuple, rows), columns=[field.name for field in fields(Row)])
    return GapReport(table, vectors.corpus.name, vectors.encoder.id, tuple(notes))


def _geometry(
    vectors: Vectors, n_resamples: int | None, rng: np.random.Generator | None, notes: list[str]
) -> Iterator[Row]:
    image, text = vectors.image, vectors.text
    if isinstance(image.embeddings, TokenVectors) or isinstance(text.embeddings, TokenVectors):
        notes.append(
            f"{vectors.encoder.id} has several vectors for an item; the measures of geometry take "
            "one, so that part is left out."
        )
        return
    both = np.intersect1d(image.positions, text.positions)
    paired = len(both) > 0
    if paired:
        sides = {
            name: leg.embeddings[np.searchsorted(leg.positions, both)]
            for name, leg in (("image", image), ("text", text))
        }
    else:
        sides = {"image": image.embeddings, "text": text.embeddings}
    _tell_of_pairs(vectors, sides, len(both), notes)
    measured: list[tuple[Measure, str, tuple[np.ndarray, ...]]] = []
    for measure in MEASURES.values():
        if measure.sides:
            measured += [(measure, side, (rows,)) for side, rows in sides.items()]
        elif paired or not measure.paired:
            measured.append((measure, "both", (sides["image"], sides["text"])))
    rngs = [None] * len(measured) if rng is None else rng.spawn(len(measured))

    def measure_one(
        job: tuple[Measure, str, tuple[np.ndarray, ...]], own: np.random.Generator | None
    ) -> tuple[Row | None, str]:
        measure, side, rows = job
        try:
            return _measured(measure, side, rows, paired, n_resamples, own)
        except MmgapError as error:  # too few rows for this one
            return None, f"{measure.symbol} is left out: {error}."

    for row, note in _in_threads(measure_one, measured, rngs):
        if note:
            notes.append(note)
        if note.startswith(_TOO_FEW):
            warnings.warn(note, SmallSampleWarning, stacklevel=4)
        if row is not None:
            yield row


def _in_threads(function: Callable[..., Result], *arguments: Sequence[object]) -> list[Result]:
    """Map a function by as many threads as there are processors.

    Each keeps to one processor: the products are small, and several threads for each of them would
    wait for each other most of the time.
    """
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(function, *arguments))


def _measured(
    measure: Measure,
    side: str,
    rows: tuple[np.ndarray, ...],
    paired: bool,
    n_resamples: int | None,
    rng: np.random.Generator | None,
) -> tuple[Row, str]:
    """Return a row, and a sentence where there are too few pairs for it."""
    value = measure.function(*rows)
    defined = bool(np.isfinite(value))
    bounds: Interval | None = None
    null: NullLevel | None = None
    note = ""
    if defined and (paired or measure.sides):
        by_bootstrap = measure.per_item is not None or measure.weighted is not None
        bounds = interval(measure, *rows, n_draws=n_resamples if by_bootstrap else None, rng=rng)
    if defined and paired and measure.null is not None and not measure.sides:
        draws = _COSTLY_NULL_DRAWS if measure.seldom else _NULL_DRAWS
        null = null_level(measure, rows[0], rows[1], n_draws=draws, rng=rng)
    if measure.name == "l2m" and paired:
        bias = plug_in_bias(*rows)
        reason = too_few(value, len(rows[0]), bias=bias, interval=bounds, null=null)
        if reason:
            note = f"{_TOO_FEW} {measure.symbol}. {reason}"
    row = Row(
        part="geometry",
        measure=measure.name,
        symbol=measure.symbol,
        side=side,
        value=value,
        ci_low=np.nan if bounds is None else bounds.low,
        ci_high=np.nan if bounds is None else bounds.high,
        null=np.nan if null is None else null.mean,
        n=len(rows[0]),
        meaning=measure_sentence(measure, value, side, null),
    )
    return row, note


def _tell_of_pairs(
    vectors: Vectors, sides: dict[str, np.ndarray], n_both: int, notes: list[str]
) -> None:
    if not n_both:
        notes.append(
            "No document has both a text and an image: measures of pairs, intervals and levels of "
            "nothing are left out."
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


def _some_queries(vectors: Vectors, rng: np.random.Generator, notes: list[str]) -> Vectors:
    """Leave out random queries if there would be too many scores."""
    n_query = len(vectors.queries)
    n_document = max(len(vectors.legs[leg].positions) for leg in LEGS)
    room = max(100, MAX_SCORES // n_document)
    if n_query <= room:
        return vectors
    chosen = np.sort(rng.choice(n_query, room, replace=False))
    ids = {vectors.corpus.query_ids[at] for at in chosen.tolist()}
    corpus = vectors.corpus.select_queries(lambda query: query.id in ids)
    notes.append(
        f"The consequences are those of {room:,} random queries of {n_query:,}, for the sake of "
        "memory."
    )
    return replace(vectors, corpus=corpus, queries=vectors.queries[chosen])


def _tell_of_queries(
    vectors: Vectors, calibration: Vectors | None, rows: list[Row], notes: list[str]
) -> None:
    n_query = len(vectors.queries)
    left_out = sum(len(vectors.left_out(leg)[0]) for leg in LEGS)
    if left_out:
        notes.append(
            f"{left_out:,} pairs of a query and a document do not count, such as a query that is "
            "itself a document's text."
        )
    for leg, count in answered(vectors).items():
        if not count:
            notes.append(
                f"No query has a relevant {leg} that counts, so that direction is not measured: "
                f"what {OTHER[leg]}s do to {leg}s stays unknown here."
            )
    if not any(row.measure == "merge_loss" for row in rows):
        notes.append(
            "The decomposition is left out: it takes queries with a relevant document, and a bank "
            "of others that score every document."
        )
    elif calibration is None:
        notes.append(
            "The decomposition splits the queries in two random halves; each is judged with the "
            "other as calibration bank."
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
