"""Methods on score tables small enough to work out by hand, and what must hold for all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import (
    FAMILIES,
    METHODS,
    BestLeg,
    Pool,
    Strategy,
    candidates,
    list_candidates,
    one_entry_per_modality,
    query_folds,
    run_strategies,
    split_queries,
)
from mmgap.strategies.strategy import LABELLED_PAIRS, NOTHING

NAN = np.nan


def vectors_of(text, image, relevant, classes=None) -> Vectors:
    """Vectors whose scores are these tables: queries are unit vectors, documents the columns.

    NaN in a whole column is a document without that modality.
    """
    tables = {"text": np.asarray(text, float), "image": np.asarray(image, float)}
    n_query, n_doc = tables["text"].shape
    documents = [Document(f"d{i}") for i in range(n_doc)]
    classes = classes or [None] * n_query
    queries = [
        Query(f"q{i}", "x", {"query_class": name} if name else {}) for i, name in enumerate(classes)
    ]
    judgments = [
        Judgment(f"q{query}", f"d{doc}", 1)
        for query, doc in zip(*np.nonzero(relevant), strict=True)
    ]
    corpus = Corpus("tiny", documents, queries, Qrels(judgments))
    legs = {}
    for name, table in tables.items():
        there = np.flatnonzero(~np.isnan(table).all(axis=0))
        legs[name] = Leg(there, table[:, there].T)
    return Vectors(corpus, EncoderInfo("tables", "tables", "hand", n_query), np.eye(n_query), legs)


def drawn(seed=0, n_query=20, n_doc=30, dim=8) -> Vectors:
    """Random unit vectors; texts and images lie apart, and the relevant document lies near."""
    rng = np.random.default_rng(seed)
    offset = {"text": 2 * np.eye(dim)[0], "image": -2 * np.eye(dim)[0]}
    queries = rng.standard_normal((n_query, dim))
    relevant = np.zeros((n_query, n_doc), dtype=bool)
    legs = {}
    for name in ("text", "image"):
        rows = rng.standard_normal((n_doc, dim))
        rows[:n_query] = queries + 0.7 * rng.standard_normal((n_query, dim))
        rows += offset[name]
        legs[name] = Leg(np.arange(n_doc), rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.fill_diagonal(relevant, val=True)
    queries += 2 * np.eye(dim)[0]
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    table = vectors_of(np.zeros((n_query, n_doc)), np.zeros((n_query, n_doc)), relevant)
    classes = [{"query_class": "TI"[row % 2]} for row in range(n_query)]
    asked = [
        replace(query, metadata=kind)
        for query, kind in zip(table.corpus.queries, classes, strict=True)
    ]
    return replace(table, corpus=replace(table.corpus, queries=asked), queries=queries, legs=legs)


def without(vectors: Vectors, leg: str) -> Vectors:
    gone = Leg(np.empty(0, dtype=int), np.empty((0, vectors.queries.shape[1])))
    return replace(vectors, legs={**vectors.legs, leg: gone})


# --- the registry --------------------------------------------------------------------------------


def test_registry() -> None:
    assert len(METHODS) >= 30
    assert [method.name for method in METHODS.values()] == list(METHODS)
    assert {method.family for method in METHODS.values()} == {*FAMILIES} - {"reranked"}
    learned = {"calibrated", "learned"}
    for method in METHODS.values():
        if method.name != "best single leg":
            assert (method.fitted_on == "labelled calibration pairs") == (method.family in learned)
        if method.family in ("fused", "engine"):
            assert method.sees == "lists only"


# --- candidates ----------------------------------------------------------------------------------


def test_lists_made_in_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Pool(drawn(), depth=5).candidates
    monkeypatch.setattr(candidates, "_PAIRS_AT_ONCE", 70)
    monkeypatch.setattr(candidates, "_DOCUMENTS_AT_ONCE", 11)
    blocks = Pool(drawn(), depth=5).candidates
    np.testing.assert_array_equal(blocks.documents, whole.documents)
    for leg in ("text", "image"):
        np.testing.assert_allclose(blocks.scores[leg], whole.scores[leg], atol=1e-12)
        np.testing.assert_array_equal(blocks.ranks[leg], whole.ranks[leg])


def test_a_third_leg_is_ranked_like_the_others() -> None:
    pool = Pool(drawn())
    keyword = np.random.default_rng(0).random(pool.shape)
    more = Pool(pool.vectors, scores={**pool.scores, "keyword": keyword})
    three = Strategy("three", ("text", "image", "keyword"), merge="mean")
    found = three.fit().scores(more)
    np.testing.assert_allclose(found, (sum(pool.scores.values()) + keyword) / 3)
    alone = Strategy("keyword leg", ("keyword",)).fit().run(more).run
    np.testing.assert_array_equal(alone.indices, np.argsort(-keyword, axis=1))
    (run,) = run_strategies(more, [Strategy("keyword leg", ("keyword",))])
    np.testing.assert_array_equal(run.indices, alone.indices)
    with pytest.raises(MmgapError, match="no keyword leg"):
        three.fit().run(pool)


def test_ties_at_the_end_of_a_list_go_to_lower_positions_and_fill_it() -> None:
    scores = np.array([[0.5, 0.9, 0.5, 0.5], [NAN, NAN, 0.1, NAN]])
    found = list_candidates({"text": scores, "image": np.full((2, 4), NAN)}, depth=2)
    assert found.documents.tolist() == [[0, 1, 2, 3], [2, -1, -1, -1]]
    assert found.of(["text", "image"], 2).documents.tolist() == [[0, 1], [2, -1]]
    assert found.of(["text"], 1, ties=True).documents.tolist() == [[1], [2]]


def test_documents_with_one_vector_have_one_score() -> None:
    """Whatever rounding does to sums in different columns."""

    class Rounds:
        def leg_scores(self, embeddings: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            exact = {leg: embeddings["query"] @ embeddings[leg].T for leg in ("text", "image")}
            return {leg: table + 1e-16 * np.arange(30) for leg, table in exact.items()}

    base = drawn()
    rows = np.repeat(base.legs["text"].embeddings[:3], 10, axis=0)
    pool = Pool(replace(base, legs={**base.legs, "text": Leg(np.arange(30), rows)}))
    scores = pool.mitigated(Rounds()).scores
    assert [len(np.unique(scores[leg][0])) for leg in ("text", "image")] == [3, 30]


def test_pool_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(MmgapError, match="depth is 0"):
        Pool(drawn(), depth=0)
    with pytest.raises(MmgapError, match="nothing to rank"):
        Pool(without(without(drawn(), "text"), "image"))


# --- single methods against hand and against strategies ------------------------------------------

TEXT = [[0.9, 0.2, 0.4, NAN], [0.3, 0.8, 0.1, NAN]]
IMAGE = [[0.1, 0.3, 0.2, 0.25], [0.2, 0.1, 0.4, 0.3]]
RELEVANT = np.eye(2, 4, dtype=bool)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("text leg", [0.9, 0.2, 0.4, NAN]),
        ("image leg", [0.1, 0.3, 0.2, 0.25]),
        ("raw, max", [0.9, 0.3, 0.4, 0.25]),
        ("raw, mean", [0.5, 0.25, 0.3, 0.25]),
        ("raw, min", [0.1, 0.2, 0.2, 0.25]),
        # Text: (s - 0.2) / 0.7; image: (s - 0.1) / 0.2.
        ("min-max, max", [1.0, 1.0, 0.5, 0.75]),
        ("min-max, mean", [0.5, 0.5, (2 / 7 + 0.5) / 2, 0.75]),
        ("RRF, k = 60", [1 / 61 + 1 / 64, 1 / 63 + 1 / 61, 1 / 62 + 1 / 63, 1 / 62]),
        ("Qdrant RRF, k = 2", [1 / 2 + 1 / 5, 1 / 4 + 1 / 2, 1 / 3 + 1 / 4, 1 / 3]),
        ("LlamaIndex simple", [0.9, 0.3, 0.4, 0.25]),
    ],
)
def test_by_hand(name: str, first: list[float]) -> None:
    vectors = vectors_of(TEXT, IMAGE, RELEVANT)
    found = METHODS[name].fit(vectors).scores(vectors)[0]
    np.testing.assert_allclose(found, first, atol=1e-6)


def test_bank_statistics_come_from_calibration() -> None:
    """Bank of the text leg: 0 and 2, mean 1, deviation 1; of the image leg: 10 and 30."""
    bank = vectors_of([[0.0, 2.0]], [[10.0, 30.0]], [[True, False]])
    test = vectors_of([[3.0, 1.0]], [[20.0, 40.0]], [[True, False]])
    found = METHODS["reference z, mean"].fit(bank).scores(test)
    np.testing.assert_allclose(found, [[(2 + 0) / 2, (0 + 2) / 2]])
    np.testing.assert_allclose(METHODS["reference z, max"].fit(bank).scores(test), [[2, 2]])


def test_lists_only_methods_do_not_look_up() -> None:
    """With lists of one document each leg knows its own first only."""
    vectors = vectors_of([[0.9, 0.8]], [[0.1, 0.7]], [[True, False]])
    for name, expected in (
        ("raw, mean", [[0.5, 0.75]]),
        ("LlamaIndex simple", [[0.9, 0.7]]),
        ("RRF, k = 60", [[1 / 61, 1 / 61]]),
    ):
        found = replace(METHODS[name], depth=1).fit(vectors).scores(vectors)
        np.testing.assert_allclose(found, expected)


def test_the_best_single_leg_is_chosen_on_calibration() -> None:
    good, bad = np.eye(3, 30), 1 - np.eye(3, 30)
    relevant = np.eye(3, 30, dtype=bool)
    best = METHODS["best single leg"].fit(vectors_of(bad, good, relevant))
    test = vectors_of(good, 5 * bad, relevant)  # here the other leg would be better
    np.testing.assert_allclose(best.scores(test), 5 * bad)


# --- what must hold for all ----------------------------------------------------------------------

BY_FAMILY = pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family != "reranked"]
)


def of(family: str) -> list[Strategy]:
    """Return the methods of a family; a failure names the one that fails in its locals."""
    return [method for method in METHODS.values() if method.family == family]


@BY_FAMILY
def test_no_other_query_and_no_judgment_of_the_test_enters(family: str) -> None:
    """Labels and vectors of all queries but the first are changed; its scores must not move."""
    for method in of(family):
        fitted = replace(method, depth=7).fit(drawn(1))
        test = drawn(2)
        before = fitted.scores(test)[0]
        others = np.random.default_rng(5).permutation(np.arange(1, 20))
        queries = test.queries.copy()
        queries[1:] = -queries[others]
        judgments = [
            Judgment(f"q{row}", f"d{doc}", 1) for row, doc in enumerate([29, *others.tolist()])
        ]
        changed = replace(
            test, queries=queries, corpus=replace(test.corpus, qrels=Qrels(judgments))
        )
        after = fitted.scores(changed)[0]
        np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)
        assert (~np.isnan(before)).sum() >= 7


@BY_FAMILY
def test_what_is_fitted_on_nothing_ignores_calibration(family: str) -> None:
    for method in [method for method in of(family) if method.fitted_on == NOTHING]:
        test = drawn(2)
        np.testing.assert_array_equal(
            method.fit(drawn(1)).scores(test), method.fit(drawn(3)).scores(test)
        )


@BY_FAMILY
def test_what_needs_no_labels_reads_none(family: str) -> None:
    for method in [method for method in of(family) if method.fitted_on != LABELLED_PAIRS]:
        test, calibration = drawn(2), drawn(1)
        judgments = [Judgment(f"q{row}", f"d{29 - row}", 1) for row in range(20)]
        relabelled = replace(
            calibration, corpus=replace(calibration.corpus, qrels=Qrels(judgments))
        )
        np.testing.assert_array_equal(
            method.fit(calibration).scores(test), method.fit(relabelled).scores(test)
        )


@BY_FAMILY
def test_legs_that_share_no_document(family: str) -> None:
    for method in of(family):
        calibration, test = (one_entry_per_modality(drawn(seed)) for seed in (1, 2))
        found = replace(method, depth=6).fit(calibration).scores(test)
        n_listed = (~np.isnan(found)).sum(axis=1)
        assert set(n_listed) == ({6} if method.family == "leg" else {12})


@BY_FAMILY
def test_one_candidate(family: str) -> None:
    """Lists of one document; and, for what moves no vectors, a pool of one document."""
    for method in of(family):
        calibration, short = drawn(1), replace(method, depth=1)
        found = short.fit(calibration).scores(drawn(2))
        assert set((~np.isnan(found)).sum(axis=1)) <= {1, 2}
        if method.mitigation is None:  # CSLS takes the mean over ten documents, and says so
            one = vectors_of([[0.4], [0.2]], [[0.1], [0.3]], [[True], [True]])
            assert not np.isnan(method.fit(calibration).scores(one)).any()


@BY_FAMILY
def test_labels_of_one_kind_are_refused(family: str) -> None:
    for method in [method for method in of(family) if method.fitted_on == LABELLED_PAIRS]:
        one = vectors_of([[0.4], [0.2]], [[0.1], [0.3]], [[True], [True]])
        if isinstance(method.merge, BestLeg) or method.mitigation is not None:
            continue
        with pytest.raises(MmgapError, match="learns from both kinds"):
            method.fit(one)


@BY_FAMILY
@pytest.mark.parametrize("gone", ["text", "image"])
def test_an_empty_leg_is_an_obstacle(family: str, gone: str) -> None:
    for method in of(family):
        pool = Pool(without(drawn(2), gone), depth=5)
        reason = method.obstacle(pool.vectors, pool.legs, None)
        assert (gone in reason) == (gone in method.legs)


# --- halves --------------------------------------------------------------------------------------


def test_split_queries() -> None:
    vectors = drawn(n_query=9)
    calibration, test = split_queries(vectors, fraction=1 / 3, seed=4)
    assert (len(calibration.corpus.queries), len(test.corpus.queries)) == (3, 6)
    ids = [*calibration.corpus.query_ids, *test.corpus.query_ids]
    assert sorted(ids) == sorted(vectors.corpus.query_ids)
    for part in (calibration, test):
        rows = [vectors.corpus.query_ids.index(query_id) for query_id in part.corpus.query_ids]
        np.testing.assert_array_equal(part.queries, vectors.queries[rows])
        assert part.corpus.doc_ids == vectors.corpus.doc_ids
    with pytest.raises(MmgapError, match="without a query"):
        split_queries(vectors, fraction=1)


def test_folds_keep_queries_with_one_answer_together() -> None:
    vectors = drawn(n_query=30)
    answers = [f"d{at % 8}" for at in range(30)]
    judged = [Judgment(q, a, 1) for q, a in zip(vectors.corpus.query_ids, answers, strict=True)]
    corpus = replace(vectors.corpus, qrels=Qrels(judged))
    folds = query_folds(replace(vectors, corpus=corpus), 3)
    assert len(folds) == 3
    assert sorted(np.concatenate(folds).tolist()) == list(range(30))
    held = [{answers[row] for row in fold} for fold in folds]
    assert sum(map(len, held)) == 8  # no answer in two of them
    assert len(query_folds(replace(vectors, corpus=corpus), 20)) == 8
    alike = Qrels([Judgment(q, "d0", 1) for q in vectors.corpus.query_ids])
    with pytest.raises(MmgapError, match="have the same relevant documents"):
        query_folds(replace(vectors, corpus=replace(corpus, qrels=alike)), 3)
