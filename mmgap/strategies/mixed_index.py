"""One index of all texts and all images, each an entry of its own, where one modality answers.

Strategies rank documents; here a text and an image of one document are two entries, which shows
what the gap does before any rule joins two scores. In the direction "image" the relevant documents'
images answer and their texts are not in the index, in the direction "text" it is the other way
round. A method that merely favours images wins the first direction and loses the second: **its
verdict is the worse one** (:func:`worse_direction`).

Scores have one row a query and one column an entry of a leg; larger is better on one scale across
legs, NaN is no entry of the index. Recall is the mean over the orders of tied entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.features import FeatureCorpus
from mmgap.corpus.schema import LEGS, Corpus, Document, Judgment, Qrels
from mmgap.errors import MmgapError
from mmgap.evaluation import Run, bootstrap_interval, recall, tied_at
from mmgap.evaluation.measures import OverTies, TieGroups
from mmgap.index.vectors import Leg, Vectors, unit_norm
from mmgap.strategies.candidates import DEPTH, Pool, take_queries
from mmgap.strategies.distributions import need_both_legs, relevance
from mmgap.strategies.strategy import TOLERANCE, Strategy

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.mitigate import Mitigation
    from mmgap.scores import MergeLoss
    from mmgap.scores.calibrate import ScoreCalibrator
    from mmgap.scores.normalise import ScoreNormaliser

ANSWERS = {"text": "T", "image": "I"}
"""By direction the ``query_class`` of queries whose answer is in that modality."""

KS = (1, 5, 10)
"""Cut-offs of the single-modality-answer test."""

ORDERS = ("expected", "optimistic", "pessimistic")
"""Of tied entries."""


def judge_entries(
    scores: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray],
    k: int = 10,
) -> pd.DataFrame:
    """Merge the entries of all legs by score and judge the first k of each query.

    One row a query: ``expected``, ``optimistic`` and ``pessimistic`` recall@k (NaN where nothing is
    relevant; relevant entries without a score count as not found); ``tied``, whether the cut-off is
    inside of ties; ``fraction <leg>``, the expected fraction of each leg among the first k (NaN
    where there is no entry).

    The image takes the first rank, the text and another image tie for the second.

    >>> scores = {"text": np.array([[0.4, 0.1]]), "image": np.array([[0.4, 0.9]])}
    >>> relevant = {"text": np.array([[True, False]]), "image": np.array([[False, False]])}
    >>> judge_entries(scores, relevant, k=2).iloc[0].to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'expected': 0.5, 'optimistic': 1.0, 'pessimistic': 0.0, 'tied': True,
     'fraction text': 0.25, 'fraction image': 0.75}
    """
    import pandas as pd

    shapes = {leg: np.shape(values) for leg, values in scores.items()}
    labels = {leg: np.shape(values) for leg, values in relevant.items()}
    n_queries = {shape[0] for shape in shapes.values() if len(shape) == 2}
    if shapes != labels or len(n_queries) != 1 or any(len(each) != 2 for each in shapes.values()):
        msg = (
            "scores and relevant must hold the same legs, each as (n_query, n_entry) with one "
            f"number of queries; got {shapes} and {labels}"
        )
        raise MmgapError(msg)
    if k < 1:
        msg = f"k must be at least 1; got {k}"
        raise MmgapError(msg)
    groups, columns, of_leg, n_there = _first_ranks(scores, k)
    good = np.concatenate([np.asarray(relevant[leg], dtype=bool) for leg in scores], axis=1)
    n_relevant = good.sum(axis=1)
    gains = np.take_along_axis(good, columns, axis=1)
    found = recall(groups, gains, np.maximum(n_relevant, 1), k)
    table = pd.DataFrame(
        {name: np.where(n_relevant > 0, getattr(found, name), np.nan) for name in ORDERS}
    )
    table["tied"] = tied_at(groups, k)
    for at, leg in enumerate(shapes):
        fraction = _fraction(groups, of_leg[columns] == at, n_there, k).expected
        table[f"fraction {leg}"] = np.where(n_there > 0, fraction, np.nan)
    return table


def one_entry_per_modality(vectors: Vectors, answer: str | None = None) -> Vectors:
    """Make each document's text an entry of its own, and its image another.

    With ``answer`` the relevant documents' entries of this modality are relevant, and their entries
    of the other one are left out of the index. ``None`` leaves all in, all of them relevant: for
    calibration data, so that no method knows in which direction it will be asked. Entries of
    documents of lower grade stay, as distractors.
    """
    need_both_legs(vectors)
    if answer is not None and answer not in LEGS:
        msg = f"answer is {answer!r}; expected one of {LEGS}, or None for both"
        raise MmgapError(msg)
    corpus = vectors.corpus
    holds = {leg: {corpus.doc_ids[at] for at in vectors.legs[leg].positions} for leg in LEGS}
    judgments, left_out = [], {}
    for query_id in corpus.query_ids:
        gone = set(corpus.left_out.get(query_id, frozenset()))
        good = corpus.qrels.relevant(query_id)
        if answer is not None:
            gone |= {(doc_id, leg) for doc_id in good for leg in LEGS if leg != answer}
        judgments += [
            Judgment(query_id, f"{doc_id}/{leg}", corpus.qrels[query_id][doc_id])
            for doc_id in sorted(good)
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
        [Document(f"{doc_id}/{leg}") for leg in LEGS for doc_id in corpus.doc_ids],
        corpus.queries,
        Qrels(judgments, corpus.qrels.min_grade),
        left_out=left_out,
    )
    legs = {
        leg: replace(found, positions=found.positions + at * len(corpus.documents))
        for at, leg in enumerate(LEGS)
        for found in [vectors.legs[leg]]
    }
    return replace(vectors, corpus=entries, legs=legs)


@dataclass(frozen=True)
class IndexResult:
    """What one index finds after a mitigation; arrays have one entry a query.

    ``distance`` of the centroids of images and texts where the scores come from (a mitigation of
    scores moves no vector); recall@k ``merged``, among all entries, and ``alone``, among those of
    the answering modality; ``text_fraction`` of the first k; ``occurrences``: in how many first
    tens each entry of the answering modality is, when that is searched alone.
    """

    distance: float
    merged: np.ndarray
    alone: np.ndarray
    text_fraction: np.ndarray
    occurrences: np.ndarray

    @property
    def lost(self) -> np.ndarray:
        """``alone - merged``: what the other modality's entries cost."""
        return self.alone - self.merged


@dataclass(frozen=True)
class MixedIndex:
    """One direction: an index of every text and every image, and the modality ``leg`` that answers.

    ``test`` and ``calibration`` hold vectors by role (query, text, image), ``relevant`` which entry
    of ``leg`` is relevant to which query, ``hidden`` by leg the pairs that are not in the index.
    Mitigations are fitted on ``calibration``.
    """

    leg: str
    test: Mapping[str, np.ndarray]
    calibration: Mapping[str, np.ndarray]
    relevant: np.ndarray
    hidden: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, test: Vectors, calibration: Vectors, leg: str, query_class: str | None = None
    ) -> MixedIndex:
        """Build the index; ``query_class`` keeps the test queries of that class."""
        need_both_legs(calibration)
        if query_class is not None:
            test = _asked(test, leg, query_class)
        entries = one_entry_per_modality(test, leg)
        shapes = {name: (len(test.queries), len(entries.legs[name].positions)) for name in LEGS}
        hidden = {name: np.zeros(shape, dtype=bool) for name, shape in shapes.items()}
        for name in LEGS:
            hidden[name][entries.left_out(name)] = True
        relevant = relevance(entries)[:, entries.legs[leg].positions]
        return cls(leg, _roles(test), _roles(calibration), relevant, hidden)

    def fit(self, mitigation: Mitigation) -> Mitigation:
        """Return a copy of the mitigation, fitted on the calibration vectors."""
        from sklearn.base import clone

        return clone(mitigation).fit(self.calibration)

    def scores(self, fitted: Mitigation | None = None) -> dict[str, np.ndarray]:
        """Scores of both legs, NaN where a pair is not in the index; ``None`` gives cosines."""
        found = _scores(fitted, self.test)
        return {leg: np.where(self.hidden[leg], np.nan, values) for leg, values in found.items()}

    def judge(self, fitted: Mitigation | None = None, k: int = 10) -> IndexResult:
        """Search the index, and the answering modality alone, where no other one is seen either."""
        from mmgap.mitigate import EmbeddingMitigation
        from mmgap.mitigate.base import check_embeddings

        sides = check_embeddings(self.test, "judge")
        if isinstance(fitted, EmbeddingMitigation):
            sides = fitted.transform(sides)
        both = self.scores(fitted)
        merged, own = self.judge_scores(both, k), both[self.leg]
        if fitted is not None and fitted.uses_gallery:
            own = _scores(fitted, {role: self.test[role] for role in ("query", self.leg)})[self.leg]
            own = np.where(self.hidden[self.leg], np.nan, own)
        alone = judge_entries({self.leg: own}, {self.leg: self.relevant}, k)
        return IndexResult(
            float(np.linalg.norm(sides["text"].mean(axis=0) - sides["image"].mean(axis=0))),
            merged["expected"].to_numpy(),
            alone["expected"].to_numpy(),
            merged["fraction text"].to_numpy(),
            count_occurrences(own),
        )

    def judge_scores(self, scores: Mapping[str, np.ndarray], k: int = 10) -> pd.DataFrame:
        """Search the index by scores that were changed in some other way, see judge_entries."""
        none = {leg: np.zeros(np.shape(values), dtype=bool) for leg, values in scores.items()}
        return judge_entries(scores, {**none, self.leg: self.relevant}, k)

    def decompose(
        self, fitted: Mitigation | None = None, k: int = 10, *, queries: np.ndarray | None = None
    ) -> MergeLoss:
        """Split what the merge loses, see :func:`mmgap.scores.decompose_merge_loss`.

        Offset, spread and hubness are estimated with ``queries``, by default those of calibration.
        """
        from mmgap.scores import decompose_merge_loss

        asked = self.calibration["query"] if queries is None else queries
        reference, both = _scores(fitted, {**self.test, "query": asked}), self.scores(fitted)
        return decompose_merge_loss(
            both["text"],
            both["image"],
            *(self.relevant if self.leg == leg else None for leg in LEGS),
            reference_text_scores=reference["text"],
            reference_image_scores=reference["image"],
            k=k,
        )[self.leg]


def single_modality_table(
    calibration: Vectors,
    test: Vectors,
    strategies: Iterable[Strategy] | None = None,
    *,
    directions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Judge strategies on one index of texts and images, in both directions.

    Strategies (by default :func:`single_modality_strategies`) are fitted once for all directions,
    on whole lists of calibration queries; references hold all scores but those of relevant pairs.
    A direction asks the queries of its class in ``ANSWERS``, or all where the corpus has no such
    class. Where captions are both queries and texts only the direction "image" is asked.

    One row a strategy, direction and measure (``recall@k`` for ``KS``, ``text_fraction@10``):
    ``value`` with its 95 % bootstrap CI, ``optimistic``, ``pessimistic``, ``n``.
    ``table.attrs["failures"]`` says what could not be fitted, and why.
    """
    import pandas as pd

    rng = np.random.default_rng(0)
    chosen = single_modality_strategies() if strategies is None else list(strategies)
    if directions is None:
        directions = [leg for leg in LEGS if leg not in test.holes]
    reference = Pool(one_entry_per_modality(calibration), depth=None, unmatched_reference=True)
    pools = {
        answer: Pool(one_entry_per_modality(_asked(test, answer), answer), depth=None)
        for answer in directions
    }
    rows: list[dict[str, object]] = []
    failures: dict[str, str] = {}
    for strategy in chosen:
        about = {"method": strategy.name, "fitted_on": strategy.fitted_on}
        try:
            fitted = replace(strategy, depth=None).fit(reference)
            ranked = {answer: fitted.scores(pool) for answer, pool in pools.items()}
        except (ValueError, ArithmeticError) as error:
            failures[strategy.name] = str(error)
            continue
        for answer, pool in pools.items():
            found = _measured(ranked[answer], pool)
            expected = np.column_stack([over["expected"] for over in found.values()])
            low, high = bootstrap_interval(expected, rng=rng)
            rows += [
                about
                | {"direction": answer, "measure": measure, "value": over["expected"].mean()}
                | {"ci_low": low[column], "ci_high": high[column]}
                | {name: over[name].mean() for name in ("optimistic", "pessimistic")}
                | {"n": len(over)}
                for column, (measure, over) in enumerate(found.items())
            ]
    table = pd.DataFrame(rows)
    table.insert(0, "encoder", test.encoder.id)
    table.insert(0, "corpus", test.corpus.name)
    table.attrs["failures"] = failures
    return table


def single_modality_strategies() -> list[Strategy]:
    """Return the strategies of the published test.

    No two scores belong to one document there, so that none are combined and the larger score is
    the only one. The legs alone are the ceilings of the two directions.
    """
    from mmgap.mitigate import NNN, DimensionAblation, GapShift, MeanCentring
    from mmgap.scores.normalise import (
        DBSFNormaliser,
        MinMaxNormaliser,
        QuantileNormaliser,
        TheoreticalMinMaxNormaliser,
        ZScoreNormaliser,
    )

    global_z = ZScoreNormaliser(reference="calibration")
    made: dict[str, dict] = {
        "raw cosine": {},
        "drop 2 largest gap dims": {"mitigation": DimensionAblation(k=2)},
        "shift images by gap vector": {"mitigation": GapShift()},
        "mean centring": {"mitigation": MeanCentring()},
        "NNN, alpha 0.75": {"mitigation": NNN(alpha=0.75, k=16)},
        "NNN, alpha 1": {"mitigation": NNN(alpha=1.0, k=16)},
        "mean centring + global z": {"mitigation": MeanCentring(), "normaliser": global_z},
        "global z": {"normaliser": global_z},
        "global CDF": {"normaliser": QuantileNormaliser()},
        "per-query z": {"normaliser": ZScoreNormaliser()},
        "unclipped DBSF": {"normaliser": DBSFNormaliser()},
        "per-query min-max": {"normaliser": MinMaxNormaliser()},
        "TMM": {"normaliser": TheoreticalMinMaxNormaliser()},
        "RRF": {"merge": "rrf"},
        "clipped DBSF": {"normaliser": DBSFNormaliser(clip=True)},
    }
    merged = [Strategy(name, depth=None, **{"merge": "max", **how}) for name, how in made.items()]
    return [*merged, *(Strategy(f"{leg} leg", (leg,), depth=None) for leg in LEGS)]


def worse_direction(table: pd.DataFrame, measure: str = "recall@10") -> pd.DataFrame:
    """Lay the table out by method: its directions side by side, and its verdict.

    Besides a column for each direction there is ``kept, <direction>``, the fraction of the ceiling,
    which is the answering leg searched alone: directions differ in how hard they are, and a merge
    is judged by what it loses. ``verdict`` is the smaller fraction.
    """
    chosen = table[table["measure"] == measure]
    wide = chosen.pivot(index="method", columns="direction", values="value")
    wide = wide.loc[list(dict.fromkeys(chosen["method"])), list(dict.fromkeys(chosen["direction"]))]
    wide.columns.name = None
    directions = [str(name) for name in wide]
    for direction in directions:
        if f"{direction} leg" not in wide.index:
            msg = f"the table has no row {direction + ' leg'!r}, the ceiling of its direction"
            raise MmgapError(msg)
        ceiling = float(wide[direction].to_dict()[f"{direction} leg"])
        wide[f"kept, {direction}"] = wide[direction] / ceiling
    return wide.assign(verdict=wide[[f"kept, {name}" for name in directions]].min(axis=1))


def format_single_modality(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the table out for reading: one row a method, its measures in each direction.

    At the first cut-off with the bounds that ties leave, where they are more than 0.01 apart; where
    both directions were asked, with the verdict of :func:`worse_direction`.
    """
    import pandas as pd

    methods, directions, measures = (
        list(dict.fromkeys(table[name])) for name in ("method", "direction", "measure")
    )
    cells = {}
    for row in table.to_dict("records"):
        key = row["method"], row["direction"], row["measure"]
        cells[key] = f"{row['value']:.3f}"
        if row["measure"] == measures[0] and row["optimistic"] - row["pessimistic"] > 0.01:
            cells[key] += f" ({row['pessimistic']:.3f} to {row['optimistic']:.3f})"
    wide = table.drop_duplicates("method")[["method", "fitted_on"]].reset_index(drop=True)
    for direction in directions:
        for measure in measures:
            wide[f"{direction}: {measure}"] = [cells[name, direction, measure] for name in methods]
    if set(directions) == set(LEGS):
        verdict = worse_direction(table)["verdict"].loc[methods]
        wide["worse direction keeps"] = pd.Series([f"{each:.2f}" for each in verdict], dtype=str)
    return wide


def halve_pairs(vectors: Vectors, *, seed: int = 0) -> tuple[Vectors, Vectors]:
    """Split ready-made pairs at random into a calibration and a test half, in float64.

    The first half of ``default_rng(seed).permutation(n)`` is the calibration half.
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
        sides = {
            role: unit_norm(np.asarray(getattr(corpus, f"{role}_embeddings")[rows], dtype=float))
            for role in ("query", *LEGS)
        }
        legs = {leg: Leg(np.arange(len(rows)), sides[leg]) for leg in LEGS}
        part = corpus._part(rows.tolist(), rows.tolist())
        return Vectors(part, vectors.encoder, sides["query"], legs)

    return half(order[: n // 2]), half(order[n // 2 :])


def rank_mixed_documents(
    test: Vectors,
    calibration: Vectors | None = None,
    *,
    rng: np.random.Generator | None = None,
) -> Run:
    """Keep of each document its text, its image or both, give it one vector, and rank by cosine.

    The setting of GR-CLIP (Li et al., arXiv 2507.19054): forms are drawn once, a third each. With
    ``calibration`` queries lose the mean of its queries, texts and images those of its texts and
    images, and a document of both forms, the mean of both vectors, the mean of both means. Levels
    cannot be compared with MixBench, whose documents are others, only what centring changes.

    >>> import mmgap as mg
    >>> pairs = mg.load_features(np.eye(3), np.eye(3), queries=np.eye(3), name="three")
    >>> rank_mixed_documents(mg.embed(pairs)).indices[:, 0].tolist()
    [0, 1, 2]
    """
    n = len(test.corpus.documents)
    for vectors in (test,) if calibration is None else (test, calibration):
        need_both_legs(vectors)
        vectors.need_ranked()
    lacking = [leg for leg in LEGS if len(test.legs[leg].positions) < n]
    if lacking:
        msg = (
            f"a document can keep its text, its image or both only where it has both; documents of "
            f"{test.corpus.name!r} lack {' and '.join(lacking)}. Select those with both"
        )
        raise MmgapError(msg)
    forms = (rng or np.random.default_rng(0)).permutation(np.arange(n) % 3)
    weight = np.choose(forms, [1.0, 0.0, 0.5])[:, None]
    sides = _roles(test)
    if calibration is not None:
        sides = {
            role: rows - _roles(calibration)[role].mean(axis=0) for role, rows in sides.items()
        }
    documents = weight * sides["text"] + (1 - weight) * sides["image"]
    # Products of equal vectors may round differently, which would hide a tie.
    scores = np.round(unit_norm(sides["query"]) @ unit_norm(documents).T, 12)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    ids = test.corpus.query_ids, test.corpus.doc_ids
    return Run.from_scores("mixed", *ids, order, np.take_along_axis(scores, order, axis=1))


def rescale_legs(
    scale: ScoreNormaliser | ScoreCalibrator | None,
    scores: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    relevant: Mapping[str, np.ndarray] | np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Bring the legs' scores onto one scale: a copy fitted for each leg, the way it has to be.

    A normaliser of single lists takes nothing from ``reference``, one with a reference its scores,
    a calibrator its scores and judgments (one array for all legs, or one each). None changes
    nothing. The order within a leg stays, ties apart, unless the scale says otherwise.

    >>> from mmgap.scores.normalise import MinMaxNormaliser
    >>> scores = {"text": np.array([[0.8, 0.6]]), "image": np.array([[0.2, 0.4]])}
    >>> found = rescale_legs(MinMaxNormaliser(), scores, reference={})
    >>> {leg: values.round(2).tolist() for leg, values in found.items()}
    {'text': [[1.0, 0.0]], 'image': [[0.0, 1.0]]}
    """
    from mmgap.scores.calibrate import ScoreCalibrator, fit_legs

    if scale is None:
        return {leg: np.asarray(values, dtype=np.float64) for leg, values in scores.items()}
    if isinstance(scale, ScoreCalibrator):
        if relevant is None:
            msg = f"{type(scale).__name__} learns from judgments; pass relevant"
            raise MmgapError(msg)
        if not isinstance(relevant, Mapping):
            relevant = dict.fromkeys(reference, relevant)
        fitted = fit_legs(scale, reference, relevant)
    else:  # without a reference nothing is kept: each list is its own
        own = getattr(scale, "reference", "query") == "query"
        fitted = fit_legs(scale, scores if own else reference)
    return {leg: fitted[leg].transform(values) for leg, values in scores.items()}


def count_occurrences(scores: np.ndarray, k: int = 10) -> np.ndarray:
    """Count in how many lists of the k best each document appears; of equal scores the first ones.

    As :func:`mmgap.gap.k_occurrence`, for scores that no vectors give.

    >>> count_occurrences(np.array([[0.9, 0.1, np.nan], [0.8, 0.2, 0.9]]), k=1)
    array([1, 0, 1])
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # NaN stays last
    there = ~np.isnan(np.take_along_axis(scores, order, axis=1))
    return np.bincount(order[there], minlength=scores.shape[1])


def _asked(vectors: Vectors, answer: str, wanted: str | None = None) -> Vectors:
    """Return the vectors with the queries of the direction's class, or of the wanted one."""
    corpus = vectors.corpus
    names = [query.metadata.get("query_class") for query in corpus.queries]
    if wanted is None and not {*ANSWERS.values()} & {*names}:
        return vectors
    wanted = wanted or ANSWERS[answer]
    rows = np.flatnonzero([name == wanted for name in names])
    if not len(rows):
        msg = (
            f"no query of {corpus.name!r} is of class {wanted!r}, which the direction {answer!r} "
            f"asks; there are {sorted({str(name) for name in names})}"
        )
        raise MmgapError(msg)
    return take_queries(vectors, rows)


def _measured(scores: np.ndarray, pool: Pool) -> dict[str, pd.DataFrame]:
    """Recall at every cut-off, and the fraction of texts at the largest, over orders of ties."""
    import pandas as pd

    legs = np.array_split(np.arange(pool.shape[1]), len(LEGS))
    sides = {leg: scores[:, columns] for leg, columns in zip(LEGS, legs, strict=True)}
    good = {leg: pool.relevant[:, columns] for leg, columns in zip(LEGS, legs, strict=True)}
    found = {f"recall@{k}": judge_entries(sides, good, k) for k in KS}
    groups, columns, of_leg, n_there = _first_ranks(sides, KS[-1])
    texts = _fraction(groups, of_leg[columns] == LEGS.index("text"), n_there, KS[-1])
    found[f"text_fraction@{KS[-1]}"] = pd.DataFrame(vars(texts))
    return found


def _first_ranks(
    scores: Mapping[str, np.ndarray], k: int
) -> tuple[TieGroups, np.ndarray, np.ndarray, np.ndarray]:
    """Rank the first k + 1 entries of each query and all that tie with the last of them.

    Returns their groups of ties, their columns among all entries, the place of each entry's leg,
    and how many entries each query has.
    """
    every = np.concatenate([np.asarray(each, dtype=np.float64) for each in scores.values()], axis=1)
    every = np.where(np.isnan(every), -np.inf, every)
    of_leg = np.repeat(np.arange(len(scores)), [np.shape(each)[1] for each in scores.values()])
    there = np.isfinite(every)
    last = min(k, every.shape[1] - 1)
    least = -np.partition(-every, last, axis=1)[:, [last]]
    kept = there & (every >= least - TOLERANCE)
    width = max(1, int(kept.sum(axis=1).max(initial=0)))
    columns = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    first = np.take_along_axis(np.where(kept, every, -np.inf), columns, axis=1)
    order = np.argsort(-first, axis=1, kind="stable")
    columns = np.take_along_axis(columns, order, axis=1)
    first = np.take_along_axis(first, order, axis=1)
    return TieGroups(first, TOLERANCE), columns, of_leg, there.sum(axis=1)


def _fraction(groups: TieGroups, of_leg: np.ndarray, n_there: np.ndarray, k: int) -> OverTies:
    """Return the recall that is a fraction: of the first k ranks, how many hold this leg."""
    return recall(groups, of_leg, np.clip(n_there, 1, k), k)


def _scores(fitted: Mitigation | None, roles: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    from mmgap.mitigate import dot_scores
    from mmgap.mitigate.base import check_embeddings

    if fitted is None:
        return dot_scores(check_embeddings(roles, "MixedIndex"))
    return fitted.leg_scores(roles)


def _roles(vectors: Vectors) -> dict[str, np.ndarray]:
    roles = {"query": vectors.queries} | {leg: vectors.legs[leg].embeddings for leg in LEGS}
    # Rounded to float32 a row's length is off by 1e-7, which could decide a tie.
    return {role: np.asarray(rows, dtype=np.float64) for role, rows in roles.items()}
