"""Inputs of users that evaluation and fusion got wrong or refused without help.

Wherever a value is given it was worked out by hand; ids of tests begin with those of the cases.
"""

import gzip
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

from mmgap.errors import MmgapError
from mmgap.evaluation import (
    Run,
    as_qrels,
    as_run,
    difference_table,
    evaluate,
    parse_measure,
    read_qrels,
    read_run,
    recall_table,
    tied_at,
)
from mmgap.fusion import (
    FUSIONS,
    AdaptiveWeights,
    ConvexCombination,
    LogisticFusion,
    PositionFusion,
    engines,
)

POOL = [f"d{n}" for n in range(1200)]


def cut_run(depth, n_query=3, **claims):
    """Lists of ``depth`` documents out of 1,200, the first one best."""
    indices = np.tile(np.arange(depth), (n_query, 1))
    scores = np.tile(-np.arange(float(depth)), (n_query, 1))
    ids = [f"q{n}" for n in range(n_query)]
    return Run("text leg", ids, POOL, indices, scores, **claims)


QRELS = {f"q{n}": {"d5": 1, "d250": 1} for n in range(3)}


# --- C02: cut-offs deeper than the lists ------------------------------------------------------


@pytest.mark.parametrize("measure", ["recall@300", "hit@101", "ndcg@300", "mrr@300", "map@300"])
@pytest.mark.parametrize("table", [evaluate, recall_table, difference_table])
def test_c02_a_cut_off_deeper_than_the_lists_is_refused(table, measure):
    run = cut_run(100)
    other = Run("other", run.query_ids, POOL, run.indices, run.scores)
    ask = {
        evaluate: partial(evaluate, run, QRELS, ["recall@10", measure]),
        recall_table: partial(recall_table, [run], QRELS, measures=["recall@10", measure]),
        difference_table: partial(difference_table, [run, other], QRELS, "other", measure=measure),
    }[table]
    with pytest.raises(MmgapError, match=rf"{measure} looks at .* was cut at 100.*complete=True"):
        ask()


@pytest.mark.parametrize(
    ("run", "measure", "value"),
    [
        pytest.param(cut_run(100), "recall@100", 0.5, id="as-deep-as-the-list"),
        pytest.param(cut_run(100), "recall", 0.5, id="no-cut-off"),
        pytest.param(cut_run(300), "recall@300", 1.0, id="deep-lists"),
        pytest.param(cut_run(1200), "recall@2000", 1.0, id="the-whole-pool"),
        pytest.param(cut_run(100, complete=True), "recall@300", 0.5, id="says-it-is-complete"),
    ],
)
def test_c02_what_may_be_asked(run, measure, value):
    assert (evaluate(run, QRELS, [measure])["expected"][measure] == value).all()


def test_c02_lists_that_ended_by_themselves_are_complete():
    """One query of three was cut; the two others had no more documents."""
    scores = {"a": {"d1": 1.0, "d2": 0.5, "d3": 0.1}, "b": {"d1": 1.0}, "c": {}}
    qrels = {query: {"d4": 1} for query in scores}
    run = Run.from_dict("bm25", scores | {"x": {"d4": 1.0}})
    assert run.is_complete.tolist() == [False, True, True, True]
    with pytest.raises(MmgapError, match="list of query 'a' was cut at 3"):
        evaluate(run, qrels | {"x": {"d4": 1}}, ["recall@10"])
    assert as_run(scores, complete=True).is_complete.all()
    by_query = Run.from_dict("bm25", scores, complete=np.array([True, True, False]))
    with pytest.raises(MmgapError, match="list of query 'c' was cut at 0"):
        evaluate(by_query, qrels, ["recall@10"])


BEYOND = {"tied_beyond": np.array([True]), "complete": False}
TIED_LIST = (["q"], POOL[:5], np.array([[0, 1, 2]]), np.array([[0.9, 0.5, 0.5]]))


@pytest.mark.parametrize(
    ("judged", "measure", "bounds"),
    [
        # d0 first, then a tie of d1, d2 and unlisted documents: d4 may be in the first three.
        pytest.param({"d4": 1}, "recall@3", (0, 1), id="recall-of-an-unlisted-document"),
        pytest.param({"d1": 1}, "recall@3", (0, 1), id="recall-of-a-listed-one-in-the-tie"),
        pytest.param({"d0": 1}, "recall@3", (1, 1), id="recall-above-the-tie"),
        pytest.param({"d0": 1, "d3": 1, "d4": 1}, "recall@2", (1 / 3, 2 / 3), id="one-place-in-it"),
        pytest.param({"d4": 1}, "mrr", (0, 1 / 2), id="mrr"),
        pytest.param({"d4": 1}, "ndcg@3", (0, 1 / np.log2(3)), id="ndcg"),
        pytest.param({"d4": 1}, "recall@1", (0, 0), id="cut-off-above-the-tie"),
    ],
)
def test_c02_bounds_know_of_ties_beyond_the_list(judged, measure, bounds):
    found = evaluate(Run("cut", *TIED_LIST, **BEYOND), {"q": judged}, [measure])
    found = found.droplevel("measure", axis=1).loc["q"]
    assert (found["pessimistic"], found["optimistic"]) == pytest.approx(bounds)
    assert found["pessimistic"] <= found["expected"] <= found["optimistic"]


def test_c02_the_best_and_worst_order_of_the_whole_matrix_are_within_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, relevant = rng.integers(0, 4, (4, 20)) / 4, rng.random((4, 20)) < 0.3
        relevant[:, 0] = True
        ids, docs = list("abcd"), POOL[:20]
        qrels = {q: {docs[d]: 1 for d in np.flatnonzero(relevant[n])} for n, q in enumerate(ids)}
        whole = np.tile(np.arange(20), (4, 1))
        truth = evaluate(Run.from_scores("whole", ids, docs, whole, scores), qrels, ["recall@8"])
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked = np.take_along_axis(scores, order, axis=1)
        beyond = ranked[:, 7] == ranked[:, 8]
        cut = Run("cut", ids, docs, order[:, :8], ranked[:, :8], tied_beyond=beyond)
        found = evaluate(cut, qrels, ["recall@8"])
        assert (found["optimistic"] >= truth["optimistic"] - 1e-12).all(axis=None)
        assert (found["pessimistic"] <= truth["pessimistic"] + 1e-12).all(axis=None)
        assert (tied_at(cut, 8) == beyond).all()


# --- C03: blanks inside ids -------------------------------------------------------------------

TABS = (
    "q1\tQ0\tmy doc\t1\t0.9\tdemo\nq1\tQ0\tother doc\t2\t0.5\tdemo\nq1\tQ0\tthird doc\t3\t0.1\tdemo"
)
THREE = {"my doc": 0.9, "other doc": 0.5, "third doc": 0.1}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(TABS, {"q1": THREE}, id="tabs"),
        pytest.param(TABS.replace("q1", "my query"), {"my query": THREE}, id="query-id"),
        pytest.param(TABS.replace("\tdemo", "\tmy demo run"), {"q1": THREE}, id="tag"),
        pytest.param(
            "q1 Q0 my\u00a0doc 1 0.9 x", {"q1": {"my\u00a0doc": 0.9}}, id="no-break-space"
        ),
        pytest.param(
            "q1 Q0 a\u2003b\u0085c 1 0.9 x", {"q1": {"a\u2003b\u0085c": 0.9}}, id="others"
        ),
        pytest.param("q1\tQ0\ta\u00a0b\t1\t0.9\tx", {"q1": {"a\u00a0b": 0.9}}, id="and-tabs"),
        pytest.param("q1  Q0   d1 1  0.9 x  ", {"q1": {"d1": 0.9}}, id="many-blanks"),
    ],
)
def test_c03_ids_are_kept(tmp_path, text, expected, end):
    path = tmp_path / "run.trec"
    path.write_bytes(text.replace("\n", end).encode() + end.encode())
    assert read_run(path).to_dict() == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("q1 Q0 my doc 1 0.9 demo", "line 2: expected a whole number as rank .* 'doc'.*tabs"),
        ("q1 Q0 my doc 1 0.9", "line 2: expected a whole number as rank .* 'doc'"),
        ("q1 Q0 my 7 1 0.9 demo", "line 2: expected a whole number as rank"),
        ("my q Q0 doc 1 0.9 demo", "line 2: expected a whole number as rank"),
        ("q1 Q0 my own doc 1 0.9 demo", "line 2: 8 columns, expected 6.*tabs"),
        ("q1\tQ0\t\t1\t0.9\tdemo", "line 2: .* empty"),
        ("q1\tQ0\tmy\tdoc\t1\t0.9\tdemo\t3", "line 2: 8 columns"),
    ],
)
def test_c03_a_blank_that_moves_columns_is_an_error(tmp_path, line, words):
    path = tmp_path / "run.trec"
    path.write_text("q0 Q0 d 1 0.9 demo\n" + line)
    with pytest.raises(MmgapError, match=words):
        read_run(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q1\t0\tmy doc\t1", {"q1": {"my doc": 1}}),
        ("q1 0 my\u00a0doc 1", {"q1": {"my\u00a0doc": 1}}),
        ("query-id\tcorpus-id\tscore\nq1\tmy doc\t1", {"q1": {"my doc": 1}}),
        ("q1 0 my doc 1", None),
        ("q1 0 d1 1_0", None),
    ],
)
def test_c03_judgments_are_split_by_the_same_rule(tmp_path, text, expected):
    (tmp_path / "qrels").write_text(text)
    if expected is None:
        with pytest.raises(MmgapError, match="line 1"):
            read_qrels(tmp_path / "qrels")
    else:
        assert read_qrels(tmp_path / "qrels") == expected


# --- C07: whole-number ids --------------------------------------------------------------------

FRAME = pd.DataFrame({"query_id": ["q1", "q1"], "doc_id": [17, 18], "score": [0.9, 0.1]})
GRADES = pd.DataFrame({"query_id": ["q1"], "doc_id": [17], "grade": [1]})


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(FRAME, id="frame"),
        pytest.param({"q1": {17: 0.9, 18: 0.1}}, id="mapping"),
        pytest.param({"q1": {np.int64(17): 0.9, np.int64(18): 0.1}}, id="numpy"),
        pytest.param(FRAME.astype({"doc_id": "string"}), id="text"),
    ],
)
@pytest.mark.parametrize(
    "qrels",
    [
        pytest.param({"q1": {"17": 1}}, id="text"),
        pytest.param({"q1": {17: 1}}, id="whole"),
        pytest.param(GRADES, id="grade"),
        pytest.param(GRADES.rename(columns={"grade": "relevance"}), id="relevance"),
        pytest.param(GRADES.rename(columns={"grade": "score"}), id="score"),
        pytest.param(list(GRADES.itertuples(index=False)), id="tuples"),
    ],
)
def test_c07_whole_number_ids_match(run, qrels):
    found = evaluate(as_run(run, complete=True), as_qrels(qrels), ["recall@10"])
    assert found["expected"]["recall@10"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: as_run(FRAME.astype({"doc_id": float})), "document id 17.0|id 17.0 is a float"),
        (lambda: as_qrels({"q1": {None: 1}}), "id None is a NoneType"),
        (lambda: as_qrels({True: {"d": 1}}), "id True is a bool"),
        (lambda: Run("r", [1], ["d"], np.array([[0]]), np.array([[0.5]])), "query id 1 is a int"),
        (lambda: evaluate(as_run(FRAME), {"q1": {17: 1}}, ["mrr"]), "document id 17.*as_qrels"),
        (lambda: evaluate(as_run(FRAME), {"q1": {"17": "1"}}, ["mrr"]), "grade '1' is no number"),
        (lambda: evaluate(as_run(FRAME), {"q1": {"17": np.nan}}, ["mrr"]), "grade nan"),
    ],
)
def test_c07_other_ids_and_grades_are_refused(make, words):
    with pytest.raises(MmgapError, match=words):
        make()


# --- C20: measures and grades that do not exist -----------------------------------------------


@pytest.mark.parametrize(
    "measure",
    ["precision@5", "recall@0", "recall@nan", "recall@", "recall@-1", "recal@10", "", 10, None],
)
def test_c20_unknown_measures_are_refused_with_those_that_are_known(measure):
    for ask in (
        partial(parse_measure, measure),
        partial(evaluate, cut_run(10), QRELS, ["recall@5", measure]),
        partial(recall_table, [cut_run(10)], QRELS, measures=[measure]),
    ):
        with pytest.raises(MmgapError, match=r"unknown measure .*recall, hit, ndcg.*recall@10"):
            ask()


@pytest.mark.parametrize("min_grade", [np.nan, 0, -1, np.inf])
def test_c20_a_lowest_relevant_grade_is_above_0(min_grade):
    with pytest.raises(MmgapError, match=r"min_grade must be positive, got"):
        evaluate(cut_run(10), QRELS, ["ndcg@5"], min_grade=min_grade)


# --- C23: files that are not what they should be ----------------------------------------------

GOOD = "q1 Q0 d1 1 0.9 caf\u00e9\nq1 Q0 d2 2 0.5 caf\u00e9\n"


@pytest.mark.parametrize("read", [read_run, read_qrels])
@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("latin.trec", GOOD.encode("latin-1"), "latin.trec: not UTF-8 .*expected"),
        ("wide.trec", GOOD.encode("utf-16"), "wide.trec: not UTF-8 .*expected"),
        ("le.trec", "q1 Q0 d1 1 0.9 x\n".encode("utf-16-le"), "line 1: NUL bytes.*UTF-8"),
        ("cut.gz", gzip.compress(b"\n" * 9999, mtime=0)[:-12], "cut.gz: gzip data .*expected"),
        ("no.gz", GOOD.encode(), "no.gz: gzip data .*expected"),
        (
            "bad.gz",
            gzip.compress(GOOD.encode(), mtime=0)[:10] + b"\xff" * 30,
            "bad.gz: gzip data .*expected",
        ),
        ("packed.trec", gzip.compress(GOOD.encode(), mtime=0), "packed.trec: not UTF-8 .*expected"),
        ("deep.json", b"[" * 100_000, "deep.json"),
        ("big.json", b'{"q": {"d": 1' + b"0" * 400 + b"}}", "big.json|'d'"),
        ("list.json", b'{"q": {"d": [1]}}', "list.json"),
    ],
)
def test_c23_what_is_wrong_with_a_file_is_said(tmp_path, read, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MmgapError, match=words):
        read(tmp_path / name)


def test_c23_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.trec", tmp_path):
        with pytest.raises(MmgapError, match="cannot be read"):
            read_run(path)
    with pytest.raises(MmgapError, match="cannot be written"):
        cut_run(3).to_trec(tmp_path / "none" / "run.trec")


# --- Null tests: noise in, chance out ---------------------------------------------------------

N_QUERY, N_DOC, K = 400, 60, 6


def noise(rng, lacking):
    """Two legs of noise; where ``lacking``, each document lacks one of them or none."""
    legs = [rng.normal(size=(N_QUERY, N_DOC)), 0.05 * rng.normal(size=(N_QUERY, N_DOC)) + 0.9]
    if lacking:
        form = rng.integers(3, size=N_DOC)
        legs = [np.where(form == leg, np.nan, scores) for leg, scores in enumerate(legs)]
    return legs, np.eye(N_DOC)[rng.integers(N_DOC, size=N_QUERY)]


LEARNED = {
    "convex": ConvexCombination(f"recall@{K}"),
    "logistic": LogisticFusion(),
    "adaptive": AdaptiveWeights(f"ndcg@{K}"),
    "posfuse": PositionFusion(),
    "slidefuse": PositionFusion("slidefuse"),
}


ENGINES = {name: getattr(engines, name) for name in engines.SOURCES} | {
    "autorag_cc": partial(engines.autorag_cc, weight=0.5),
    "autorag tmm": partial(
        engines.autorag_cc,
        weight=0.5,
        normalize_method="tmm",
        lexical_theoretical_min_value=-1.0,
    ),
    "elasticsearch minmax": partial(engines.elasticsearch_linear, normalizer="minmax"),
    "llamaindex dist": partial(engines.llamaindex_fusion, mode="dist_based_score"),
    "opensearch z": partial(engines.opensearch_hybrid, normalization="z_score"),
    "ranx_fuse": partial(engines.ranx_fuse, norm="min-max", method="mnz"),
    "ranx zmuv": partial(engines.ranx_fuse, norm="zmuv", method="sum"),
}
ALL = {f"fusion {name}": fuse for name, fuse in FUSIONS.items()} | ENGINES | LEARNED


@pytest.mark.parametrize("lacking", [False, True], ids=["both", "one-modality"])
@pytest.mark.parametrize("name", ALL)
def test_null_every_fusion_of_noise_is_at_chance(name, lacking):
    rng = np.random.default_rng(7)
    fuse = ALL[name]
    if name in LEARNED:
        fuse = fuse.fit(*noise(rng, lacking)).transform
        fused_of = lambda legs: fuse(legs)  # noqa: E731
    else:
        fused_of = lambda legs: fuse(*legs)  # noqa: E731
    legs, relevance = noise(rng, lacking)
    fused = fused_of(legs)
    ids, docs = [f"q{n}" for n in range(N_QUERY)], POOL[:N_DOC]
    whole = np.tile(np.arange(N_DOC), (N_QUERY, 1))
    run = Run.from_scores(name, ids, docs, np.where(np.isnan(fused), -1, whole), fused)
    qrels = {q: {docs[d]: 1} for q, d in zip(ids, relevance.argmax(axis=1), strict=True)}
    found = evaluate(run, qrels, [f"recall@{K}"])["expected"][f"recall@{K}"]
    margin = 3.3 * np.sqrt(K / N_DOC * (1 - K / N_DOC) / N_QUERY)
    assert abs(found.mean() - K / N_DOC) < margin, json.dumps([found.mean(), K / N_DOC, margin])
