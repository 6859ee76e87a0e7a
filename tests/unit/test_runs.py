"""Files and objects of other tools come in and go out unchanged, and measure the same."""

import gzip
import json

import ir_measures
import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgap.errors import MmgapError
from mmgap.evaluation import (
    Run,
    as_qrels,
    as_run,
    evaluate,
    read_qrels,
    read_run,
    scored_docs,
    write_qrels,
    write_run,
)
from mmgap.evaluation.runs import Qrel

# numba says this of its own code when it compiles ranx for the first time.
pytestmark = pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaTypeSafetyWarning")

RUN = """\
q2 Q0 d1 1 0.5 bm25
q2 Q0 d3 2 -0.25 bm25
q1 Q0 a:b/c-1 1 0.25 bm25

q1 Q0 d2 2 0.75 bm25
q1 Q0 d3 3 0.25 bm25
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="file.trec"):
        path = tmp_path / name
        data = text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["run.trec", "run.txt", "run.trec.gz", "run"])
def test_order_is_by_score_and_ties_stay_tied(file, name):
    run = read_run(file(RUN, name))
    assert run.name == "bm25"
    assert run.query_ids == ["q2", "q1"]
    assert run.to_dict() == {
        "q2": {"d1": 0.5, "d3": -0.25},
        "q1": {"d2": 0.75, "a:b/c-1": 0.25, "d3": 0.25},
    }
    found = evaluate(run, {"q1": {"d3": 1}, "q2": {"d3": 1}}, ["mrr"])
    assert found["expected"]["mrr"].to_dict() == {"q2": 1 / 2, "q1": (1 / 2 + 1 / 3) / 2}


def test_ids_named_by_the_caller_get_a_row_each(file):
    run = read_run(file(RUN), name="mine", query_ids=["q1", "q9"])
    assert run.name == "mine"
    assert run.query_ids == ["q1", "q9"]
    assert run.to_dict()["q9"] == {}
    assert evaluate(run, {"q1": {"d2": 1}, "q9": {"d2": 1}}, ["map"])["expected"][
        "map"
    ].tolist() == [
        1,
        0,
    ]


def test_a_file_without_lines_is_a_run_that_found_nothing(file):
    run = read_run(file("", "nothing.trec.gz"), query_ids=["q1"])
    assert run.name == "nothing"
    assert (evaluate(run, {"q1": {"d1": 1}}, ["map", "recall@10", "ndcg"]) == 0).all(axis=None)
    assert len(read_run(file("\n\n")).query_ids) == 0


def test_runs_of_mbeir_have_seven_columns(file):
    assert read_run(file("q Q0 d 1 0.5 tag 3\n")).to_dict() == {"q": {"d": 0.5}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("q1 Q0 d9 1 0.5", r"line 7: 5 columns, expected 6"),
        ("q1 Q0 my doc 1 0.5 tag with spaces", r"line 7: 9 columns"),
        ("q1 Q0 d9 1 high bm25", r"line 7: score 'high' is not a finite number"),
        ("q1 Q0 d9 1 nan bm25", r"line 7: score 'nan'"),
        ("q1 Q0 d9 1 -inf bm25", r"line 7: score '-inf'"),
        (
            "q1 Q0 d3 4 0.125 bm25",
            r"line 7: query 'q1' and document 'd3' have two values, 0.25 before and 0.125",
        ),
    ],
)
def test_bad_lines_are_named_by_number(file, line, words):
    with pytest.raises(MmgapError, match=words):
        read_run(file(RUN + line + "\n"))


def test_equal_lines_count_once(file):
    assert read_run(file(RUN + "q1 Q0 d3 3 0.25 bm25")).to_dict() == read_run(file(RUN)).to_dict()
    assert read_qrels(file("q 0 d 1\nq 0 d 1\n")) == {"q": {"d": 1}}


def test_judgments_as_they_are_in_the_wild(file):
    expected = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}
    trec = "q1 0 d1 2\nq1 0 d2 0\nq2\t0\td1\t-1\n"
    assert read_qrels(file(trec)) == expected
    assert read_qrels(file("\ufeff" + trec)) == expected
    assert read_qrels(file(trec.replace("\n", "\r\n"), "qrels.gz")) == expected
    assert read_qrels(file(trec.replace("\t", " ").replace("\n", " 4\n"))) == expected
    beir = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n"
    assert read_qrels(file(beir, "test.tsv")) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("q 0", "line 2: 2 columns, expected 4"),
        ("q 0 my own document 1", "line 2: 6 columns"),
        ("q 0 my document 1", "line 2: grade 'document' is not a whole number"),
        ("q 0 d2 0.5", "line 2: grade '0.5'"),
        ("q 0 d1 3", "line 2: query 'q' and document 'd1' have two values, 1 before and 3"),
    ],
)
def test_bad_judgments_are_named_by_line(file, line, words):
    with pytest.raises(MmgapError, match=words):
        read_qrels(file("q 0 d1 1\n" + line))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"q": {"d": 1},\n oops', "file.json, line 2: not JSON"),
        ('["q"]', "expected one object"),
        ('{"q": ["d"]}', "expected one object"),
        ('{"q": {"d": "much"}}', "file.json: 'q', 'd'"),
    ],
)
def test_bad_json_is_named(file, text, words):
    for read in (read_run, read_qrels):
        with pytest.raises(MmgapError, match=words):
            read(file(text, "file.json"))


ids = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exchange")


@given(st.dictionaries(ids, st.dictionaries(ids, numbers, min_size=1, max_size=6), max_size=4))
@settings(max_examples=40, deadline=None)
def test_runs_survive_every_way_out_and_in(folder, scores):
    run = Run.from_dict("a name", scores)
    assert run.to_dict() == scores
    for name in ("run.trec", "run.txt.gz", "run.json", "run.json.gz"):
        run.to_trec(folder / name)
        back = Run.from_trec(folder / name, query_ids=list(scores))
        assert back.to_dict() == run.to_dict()
        assert [list(row) for row in back.to_dict().values()] == [
            list(row) for row in run.to_dict().values()
        ]  # best first, and tied documents in the same order
    assert as_run(scored_docs(run), query_ids=list(scores)).to_dict() == scores
    assert as_run(run.to_dict()).to_dict() == scores


@given(
    st.dictionaries(
        ids, st.dictionaries(ids, st.integers(-2, 5), min_size=1, max_size=6), max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_judgments_survive_every_way_out_and_in(folder, qrels):
    for name in ("qrels.trec", "qrels.gz", "qrels.json", "qrels.json.gz"):
        write_qrels(qrels, folder / name)
        assert read_qrels(folder / name) == qrels


def test_equal_runs_give_equal_bytes(tmp_path):
    run = Run.from_dict("one", {"q": {"d1": 0.1, "d2": 0.2}})
    write_run(run, tmp_path / "first.gz")
    write_run(run, tmp_path / "second.gz")
    data = (tmp_path / "first.gz").read_bytes()
    assert data == (tmp_path / "second.gz").read_bytes()
    assert data[4:8] == bytes(4)  # no time


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    spaced = Run.from_dict("one", {"q": {"my doc": 0.1}})
    with pytest.raises(MmgapError, match=r"id 'my doc' .* write \.json"):
        write_run(spaced, tmp_path / "run.trec")
    write_run(spaced, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json").to_dict() == spaced.to_dict()
    with pytest.raises(MmgapError, match="id '' is empty"):
        write_qrels({"": {"d": 1}}, tmp_path / "qrels.trec")
    with pytest.raises(MmgapError, match="'q', 'd' has the score inf"):
        write_run(Run("one", ["q"], ["d"], np.array([[0]]), np.array([[np.inf]])), tmp_path / "run")


def test_a_document_without_a_score_is_not_written(tmp_path):
    run = Run("one", ["q"], ["a", "b"], np.array([[0, 1]]), np.array([[0.5, -np.inf]]))
    write_run(run, tmp_path / "run.trec", tag=" my  tag ")
    assert (tmp_path / "run.trec").read_text() == "q Q0 a 1 0.5 my_tag\n"


def test_objects_of_ir_measures(file):
    run = read_run(file(RUN))
    lines = list(ir_measures.read_trec_run(str(file(RUN.replace("\n\n", "\n")))))
    assert as_run(lines, "bm25").to_dict() == run.to_dict()
    assert as_run(pd.DataFrame(lines)).to_dict() == run.to_dict()
    assert list(ir_measures.util.RunConverter(scored_docs(run)).as_namedtuple_iter()) == sorted(
        lines, key=lambda line: (line.query_id != "q2", -line.score)
    )
    qrels = list(ir_measures.read_trec_qrels(str(file("q1 0 d1 2\nq2 0 d1 -1\n"))))
    assert as_qrels(qrels) == as_qrels(pd.DataFrame(qrels)) == {"q1": {"d1": 2}, "q2": {"d1": -1}}


# ranx leaves the files that it reads open.
@pytest.mark.filterwarnings("ignore:Exception ignored.*:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_objects_of_ranx(tmp_path):
    ranx = pytest.importorskip("ranx", reason="ranx is not installed")
    scores = {"q1": {"d1": 0.5, "d2": 0.7}, "q2": {"d1": 0.1}}
    qrels = {"q1": {"d1": 2}, "q2": {"d2": 1, "d3": 3}}
    theirs = ranx.Run(scores, name="bm25")
    run = as_run(theirs)
    assert (run.name, run.to_dict()) == ("bm25", scores)
    assert as_run(theirs.to_dataframe()).to_dict() == scores
    assert as_qrels(ranx.Qrels(qrels)) == qrels
    assert as_qrels(ranx.Qrels(qrels).to_dataframe()) == qrels
    for name in ("theirs.json", "theirs.trec"):
        theirs.save(str(tmp_path / name))
        assert read_run(tmp_path / name).to_dict() == scores
        write_run(run, tmp_path / name)
        assert ranx.Run.from_file(str(tmp_path / name)).to_dict() == scores
        ranx.Qrels(qrels).save(str(tmp_path / name))
        assert read_qrels(tmp_path / name) == qrels
        write_qrels(qrels, tmp_path / name)
        assert ranx.Qrels.from_file(str(tmp_path / name)).to_dict() == qrels
    assert json.loads((tmp_path / "theirs.json").read_text()) == qrels


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("run.trec", "cannot read a str; .* files go through read_run"),
        (3, "cannot read a int"),
        ([("q", "d", 1.0)], r"cannot read \('q', 'd', 1.0\)"),
        ({"q": {"d": np.nan}}, "'q', 'd': score nan is not a finite"),
        ({"q": {"d": None}}, "'q', 'd': score None"),
        ([Qrel("q", "d", 1)], "needs query_id, doc_id and score"),
    ],
)
def test_other_objects_are_refused(source, words):
    with pytest.raises(MmgapError, match=words):
        as_run(source)


def test_grades_must_be_whole_and_agree():
    with pytest.raises(MmgapError, match=r"grade 0\.5 is not a whole number"):
        as_qrels({"q": {"d": 0.5}})
    assert as_qrels({"q": {"d": 2.0}}) == {"q": {"d": 2}}
    with pytest.raises(MmgapError, match="have two values, 1 before and 2"):
        as_qrels([Qrel("q", "d", 1), Qrel("q", "d", 2)])


def test_our_files_measure_the_same_everywhere(tmp_path):
    """Written by us, read by each library's own reader, measured to our numbers."""
    ranx = pytest.importorskip("ranx", reason="ranx is not installed")
    rng = np.random.default_rng(11)
    scores = {
        f"q{query}": {
            f"d{doc}": score for doc, score in zip(rng.permutation(60)[:25], row, strict=True)
        }
        for query, row in enumerate(rng.normal(size=(20, 25)))
    }
    qrels = {
        f"q{query}": {f"d{doc}": int(rng.integers(1, 4)) for doc in rng.permutation(60)[:8]}
        for query in range(20)
    }
    run = Run.from_dict("random", scores)
    write_run(run, tmp_path / "run.trec")
    write_qrels(qrels, tmp_path / "qrels.trec")
    ours = evaluate(run, qrels, ["map@10", "ndcg@10", "recall@10", "mrr"])["expected"].mean()

    measures = [ir_measures.parse_measure(name) for name in ("AP@10", "nDCG@10", "R@10", "RR")]
    found = ir_measures.calc_aggregate(
        measures,
        ir_measures.read_trec_qrels(str(tmp_path / "qrels.trec")),
        ir_measures.read_trec_run(str(tmp_path / "run.trec")),
    )
    np.testing.assert_allclose(ours, [found[measure] for measure in measures], atol=1e-9)

    with (tmp_path / "qrels.trec").open() as file:
        evaluator = pytrec_eval.RelevanceEvaluator(
            pytrec_eval.parse_qrel(file), {"map_cut.10", "ndcg_cut.10", "recall.10", "recip_rank"}
        )
    with (tmp_path / "run.trec").open() as file:
        values = pd.DataFrame(evaluator.evaluate(pytrec_eval.parse_run(file))).T.mean()
    names = ["map_cut_10", "ndcg_cut_10", "recall_10", "recip_rank"]
    np.testing.assert_allclose(ours, values[names], atol=1e-9)

    found = ranx.evaluate(
        ranx.Qrels.from_file(str(tmp_path / "qrels.trec")),
        ranx.Run.from_file(str(tmp_path / "run.trec")),
        ["map@10", "ndcg@10", "recall@10", "mrr"],
    )
    np.testing.assert_allclose(ours, list(found.values()), atol=1e-9)


def test_trec_eval_ties_what_only_64_bits_tell_apart():
    """The note in write_run: it keeps 32-bit scores and puts the last document id first."""
    evaluator = pytrec_eval.RelevanceEvaluator({"q": {"a": 1}}, {"recip_rank"})
    for gap, rank in ((1e-6, 1), (1e-9, 2)):
        scores = {"q": {"a": 0.5 + gap, "b": 0.5}}
        assert evaluator.evaluate(scores)["q"]["recip_rank"] == 1 / rank
        run = as_run(scores)
        assert evaluate(run, {"q": {"a": 1}}, ["mrr"])["expected"]["mrr"].tolist() == [1]
