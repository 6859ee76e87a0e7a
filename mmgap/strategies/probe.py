"""The probe: one index of texts and images in which only one modality holds the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.schema import LEGS, Corpus, Document, Judgment, Qrels
from mmgap.errors import MmgapError
from mmgap.evaluation import OverTies, Run, bootstrap_interval, recall
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies.distributions import need_both_legs
from mmgap.strategies.method import CANNOT_FIT, LEFT_OUT, TOLERANCE, Method
from mmgap.strategies.pool import Pool
from mmgap.strategies.split import take_queries

if TYPE_CHECKING:
    import pandas as pd

ANSWERS = {"text": "T", "image": "I"}
"""By direction the class of queries whose answer is in that modality."""


def halve_pairs(vectors: Vectors, *, seed: int = 0) -> tuple[Vectors, Vectors]:
    """Split ready-made pairs by lot into a calibration and a test half.

    Parameters
    ----------
    vectors : Vectors
        Of a corpus with one query for each document, in the same order.
    seed : int, default 0
        The first half of ``default_rng(seed).permutation(n)`` is the calibration half.

    Returns
    -------
    calibration, test : Vectors
        With rows brought to unit length in float64.

    Raises
    ------
    MmgapError
        If documents and queries are not pairs, or there are fewer than 4.
    """
    corpus = vectors.corpus
    n = len(corpus.documents)
    if not isinstance(corpus, FeatureCorpus) or len(corpus.queries) != n or n < 4:
        msg = (
            f"{corpus.name!r} has {len(corpus.queries)} queries for {n} documents; expected at "
            "least 4 ready-made pairs, as mmgap.load_features gives them"
        )
        raise MmgapError(msg)
    need_both_legs(vectors)
    order = np.random.default_rng(seed).permutation(n)

    def half(rows: np.ndarray) -> Vectors:
        legs = {
            leg: Leg(np.arange(len(rows)), _unit(getattr(corpus, f"{leg}_embeddings")[rows]))
            for leg in LEGS
        }
        part = corpus._part(rows.tolist(), rows.tolist())
        return Vectors(part, vectors.encoder, _unit(corpus.query_embeddings[rows]), legs)

    return half(order[: n // 2]), half(order[n // 2 :])


def one_entry_per_modality(vectors: Vectors, answer: str | None = None) -> Vectors:
    """Make each document's text an entry of its own, and its image another.

    Parameters
    ----------
    vectors : Vectors
    answer : {"text", "image"} or None, default None
        The direction: the modality that holds the answers. For each query the relevant documents'
        entries of this modality are the relevant ones, and their entries of the other modality are
        left out of the pool. None leaves all entries in, all of them relevant: for calibration
        data, so that no method knows which direction it will be asked in.

    Returns
    -------
    Vectors
        Of twice as many documents, each with one modality. Entries of documents of lower grade
        stay in the pool, as distractors.

    Raises
    ------
    MmgapError
        If a leg is missing, the direction is unknown, or a query has no relevant entry.
    """
    need_both_legs(vectors)
    if answer is not None and answer not in LEGS:
        msg = f"answer is {answer!r}; expected one of {LEGS}, or None for both"
        raise MmgapError(msg)
    corpus = vectors.corpus
    shift = {"text": 0, "image": len(corpus.documents)}
    documents = [Document(f"{doc_id}/{leg}") for leg in LEGS for doc_id in corpus.doc_ids]
    holds = {leg: {corpus.doc_ids[place] for place in vectors.legs[leg].positions} for leg in LEGS}
    judgments, left_out = [], {}
    for query_id in corpus.query_ids:
        gone = set(corpus.left_out.get(query_id, frozenset()))
        relevant = corpus.qrels.relevant(query_id)
        if answer is not None:
            (other,) = set(LEGS) - {answer}
            gone |= {(doc_id, other) for doc_id in relevant}
        judgments += [
            Judgment(query_id, f"{doc_id}/{leg}", corpus.qrels[query_id][doc_id])
            for doc_id in sorted(relevant)
            for leg in ([answer] if answer else LEGS)
            if doc_id in holds[leg] and (doc_id, leg) not in gone
        ]
        left_out[query_id] = frozenset((f"{doc_id}/{leg}", leg) for doc_id, leg in gone)
    answered = {judgment.query_id for judgment in judgments}
    without = [query_id for query_id in corpus.query_ids if query_id not in answered]
    if without:
        msg = (
            f"{len(without)} queries of {corpus.name!r} have no relevant {answer or 'entry'}, "
            f"e.g. {without[0]!r}; select the queries that have one"
        )
        raise MmgapError(msg)
    entries = Corpus(
        f"{corpus.name}, one entry per modality",
        documents,
        corpus.queries,
        Qrels(judgments, corpus.qrels.min_grade),
        left_out=left_out,
    )
    legs = {
        leg: Leg(vectors.legs[leg].positions + shift[leg], vectors.legs[leg].embeddings)
        for leg in LEGS
    }
    return Vectors(entries, vectors.encoder, vectors.queries, legs)


def probe_table(
    calibration: Vectors,
    test: Vectors,
    methods: Iterable[Method] | None = None,
    *,
    directions: Sequence[str] | None = None,
    ks: Sequence[int] = (1, 5, 10),
    classes: Mapping[str, str] | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Judge methods on one index of texts and images, in both directions.

    Each document's text and image are entries of their own, see :func:`one_entry_per_modality`.
    In the direction "image" the relevant documents' images are in the pool and their texts are
    not; in the direction "text" it is the other way round. Half of the entries are of each
    modality, but for the few that are left out, and methods are fitted once for both directions:
    one that merely favours images wins the first and loses the second. **A method's verdict is
    its worse direction**, see :func:`worse_direction`.

    Parameters
    ----------
    calibration, test : Vectors
        Documents with both modalities, of one encoder.
    methods : iterable of Method or None, default None
        None takes ``PROBE_METHODS``.
    directions : sequence of {"text", "image"} or None, default None
        None asks both; where captions are both queries and texts only "image" can be asked.
    ks : sequence of int, default (1, 5, 10)
        Cut-offs of recall. The share of texts is taken at the largest.
    classes : mapping of direction to query class, or None
        Which queries are asked in a direction; None takes ``ANSWERS``, the queries whose answer is
        in that modality. Ignored where queries have no class.
    rng : numpy.random.Generator or None
        Of the bootstrap; None is ``default_rng(0)``.

    Returns
    -------
    table : DataFrame
        Tidy, one row per method, direction and measure (``recall@k``, ``text_share@k``):
        ``corpus``, ``encoder``, ``method``, ``fitted_on``, ``direction``, ``measure``, ``value``
        (expected over the orders of tied entries, which scores closer than 1e-12 are), ``ci_low``,
        ``ci_high`` (95 % bootstrap interval over queries), ``optimistic``, ``pessimistic``,
        ``n``. A method that cannot be fitted has one row, of measure "left out", with its
        ``reason``.

    Raises
    ------
    MmgapError
        If a direction has no query, or vectors do not fit (see :func:`one_entry_per_modality`).

    Notes
    -----
    Lists are whole: statistics of each query are taken over all texts and over all images. Banks
    hold all scores of calibration queries but those of relevant pairs.
    """
    import pandas as pd

    rng = np.random.default_rng(0) if rng is None else rng
    if methods is None:
        from mmgap.strategies.probe_methods import PROBE_METHODS

        methods = PROBE_METHODS
    if directions is None:
        directions = [leg for leg in LEGS if leg not in test.holes]
    bank = Pool(one_entry_per_modality(calibration), depth=None, unmatched_bank=True)
    pools = {
        answer: Pool(one_entry_per_modality(_asked(test, answer, classes), answer), depth=None)
        for answer in directions
    }
    rows: list[tuple[object, ...]] = []
    for method in methods:
        try:
            fitted = method.fit(bank)
            runs = {answer: fitted.run(pool, places=max(ks) + 1) for answer, pool in pools.items()}
        except CANNOT_FIT as error:
            rows.append((method.name, method.fitted_on, "", LEFT_OUT, *[np.nan] * 5, 0, str(error)))
            continue
        for answer, pool in pools.items():
            found = _measured(runs[answer], pool, ks)
            low, high = bootstrap_interval(
                np.column_stack([over.expected for over in found.values()]), rng=rng
            )
            rows += [
                (
                    *(method.name, method.fitted_on, answer, measure, over.expected.mean()),
                    *(low[column], high[column]),
                    *(over.optimistic.mean(), over.pessimistic.mean(), len(over.expected), ""),
                )
                for column, (measure, over) in enumerate(found.items())
            ]
    columns = (
        *("method", "fitted_on", "direction", "measure", "value", "ci_low", "ci_high"),
        *("optimistic", "pessimistic", "n", "reason"),
    )
    table = pd.DataFrame(rows, columns=columns)
    if not (table["measure"] == LEFT_OUT).any():
        table = table.drop(columns="reason")
    table.insert(0, "encoder", test.encoder.id)
    table.insert(0, "corpus", test.corpus.name)
    return table


def worse_direction(table: pd.DataFrame, measure: str = "recall@10") -> pd.DataFrame:
    """Lay a probe out for reading: both directions side by side and the verdict.

    Parameters
    ----------
    table : DataFrame
        Of :func:`probe_table`, one corpus and encoder, with the rows "text leg" and "image leg".
    measure : str, default "recall@10"

    Returns
    -------
    wide : DataFrame
        Indexed by method, in the order of ``table``: a column for each direction, the same as a
        share of the ceiling (``kept, text`` ...), and ``verdict``, the smaller of these shares.
        The ceiling of a direction is the leg that holds the answers, searched alone: directions
        differ in how hard they are, and a merge is judged by what it loses.

    Raises
    ------
    ValueError
        If a leg's row is missing or a method has two values.
    """
    chosen = table[table["measure"] == measure]
    wide = chosen.pivot(index="method", columns="direction", values="value")
    wide = wide.loc[list(dict.fromkeys(chosen["method"])), list(dict.fromkeys(chosen["direction"]))]
    wide.columns.name = None
    directions = [str(name) for name in wide]
    for direction in directions:
        if f"{direction} leg" not in wide.index:
            msg = f"the table has no row {direction + ' leg'!r}, the ceiling of its direction"
            raise ValueError(msg)
        ceiling = float(wide[direction].to_dict()[f"{direction} leg"])
        wide[f"kept, {direction}"] = wide[direction] / ceiling
    return wide.assign(verdict=wide[[f"kept, {name}" for name in directions]].min(axis=1))


def format_probe(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a probe out for reading: one row per method, its measures in each direction.

    Parameters
    ----------
    table : DataFrame
        Of :func:`probe_table`, one corpus and encoder.

    Returns
    -------
    wide : DataFrame of str
        ``method``, ``fitted_on``; for each direction and measure the expected value, at the
        first cut-off with the bounds that ties leave (``expected (worst to best)``) where they are
        more than 0.01 apart; and, where both directions were asked, the verdict of
        :func:`worse_direction`.
    """
    import pandas as pd

    table = table[table["measure"] != LEFT_OUT]
    first = table["measure"].iloc[0]
    columns = {name: list(dict.fromkeys(table[name])) for name in ("method", "direction")}
    cells = {
        (row["method"], row["direction"], row["measure"]): f"{row['value']:.3f}"
        + (
            f" ({row['pessimistic']:.3f} to {row['optimistic']:.3f})"
            if row["measure"] == first and row["optimistic"] - row["pessimistic"] > 0.01
            else ""
        )
        for row in table.to_dict("records")
    }
    wide = table.drop_duplicates("method")[["method", "fitted_on"]].reset_index(drop=True)
    for direction in columns["direction"]:
        for measure in dict.fromkeys(table["measure"]):
            wide[f"{direction}: {measure}"] = [
                cells[method, direction, measure] for method in columns["method"]
            ]
    if set(columns["direction"]) == set(LEGS):
        verdict = worse_direction(table)["verdict"]
        wide["worse direction keeps"] = pd.Series(
            [f"{value:.2f}" for value in verdict.loc[columns["method"]]], dtype=str
        )
    return wide


def _asked(vectors: Vectors, answer: str, classes: Mapping[str, str] | None) -> Vectors:
    """Return the vectors with the queries that are asked in a direction."""
    corpus = vectors.corpus
    wanted = (ANSWERS if classes is None else classes)[answer]
    names = [query.metadata.get("query_class") for query in corpus.queries]
    if not any(names):
        return vectors
    rows = [row for row, name in enumerate(names) if name == wanted]
    if not rows:
        msg = (
            f"no query of {corpus.name!r} is of class {wanted!r}, which the direction {answer!r} "
            f"asks; there are {sorted({str(name) for name in names})}"
        )
        raise MmgapError(msg)
    return take_queries(vectors, np.array(rows))


def _measured(run: Run, pool: Pool, ks: Sequence[int]) -> dict[str, OverTies]:
    """Recall at every cut-off, and the share of texts at the largest."""
    there = run.indices >= 0
    rows = np.arange(len(run.indices))[:, None]
    gains = pool.relevant[rows, np.maximum(run.indices, 0)] & there
    n_relevant = pool.relevant.sum(axis=1)
    found = {
        f"recall@{k}": recall(run.scores, gains, n_relevant, k, tolerance=TOLERANCE) for k in ks
    }
    k = max(ks)
    texts = (run.indices < len(pool.vectors.corpus.documents) // 2) & there
    # A share is a recall too: of k places, how many hold a text.
    shown = np.minimum(there.sum(axis=1), k)
    found[f"text_share@{k}"] = recall(
        run.scores, texts, np.maximum(shown, 1), k, tolerance=TOLERANCE
    )
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
