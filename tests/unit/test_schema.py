from __future__ import annotations

import pytest

from mmgap.corpus import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

DOCUMENTS = [Document("d1", "a black cat", metadata={"domain": "animals"}), Document("d2", "a dog")]
QUERIES = [Query("q1", "cat", {"query_class": "T"}), Query("q2", "dog", {"query_class": "I"})]
QRELS = Qrels([Judgment("q1", "d1", 1), Judgment("q2", "d2", 2)])


def test_what_a_corpus_knows() -> None:
    corpus = Corpus("demo", DOCUMENTS, QUERIES, QRELS)
    assert corpus.document("d2").text == "a dog"
    assert list(corpus.query_frame()["query_class"]) == ["T", "I"]
    assert corpus.document_frame().loc["d1", "domain"] == "animals"
    chosen = corpus.select_queries(lambda query: query.metadata["query_class"] == "I")
    assert (chosen.query_ids, chosen.doc_ids) == (("q2",), ("d1", "d2"))


def test_a_sample_keeps_the_documents_judged_for_its_queries() -> None:
    documents = [Document(f"d{n}", f"text {n}") for n in range(30)]
    queries = [Query(f"q{n}", f"query {n}") for n in range(10)]
    # q3 has d3 and, judged not relevant, d13; nobody has d20 to d29.
    qrels = Qrels([Judgment(f"q{n}", f"d{n + d}", 1 - d // 10) for n in range(10) for d in (0, 10)])
    drawn = Corpus("demo", documents, queries, qrels).sample(4)
    assert drawn.name == "demo, 4 of 10 queries"
    numbers = sorted(int(query_id[1:]) for query_id in drawn.query_ids)
    assert len(numbers) == 4
    assert drawn.doc_ids == tuple(f"d{n + d}" for d in (0, 10) for n in numbers)
    corpus = Corpus("demo", documents, queries, qrels)
    assert corpus.sample(4).query_ids == drawn.query_ids
    assert corpus.sample(4, seed=1).query_ids != drawn.query_ids
    assert corpus.sample(99).query_ids == corpus.query_ids
    with pytest.raises(CorpusError, match="a sample of 0 queries of 'demo'; expected at least 1"):
        corpus.sample(0)


def test_duplicate_ids() -> None:
    with pytest.raises(CorpusError, match="document id 'd1' more than once"):
        Corpus("demo", [*DOCUMENTS, DOCUMENTS[0]], QUERIES, QRELS)
    with pytest.raises(CorpusError, match="query id 'q2' more than once"):
        Corpus("demo", DOCUMENTS, [*QUERIES, QUERIES[1]], QRELS)


def test_judgments_of_unknown_documents() -> None:
    qrels = Qrels([*judgments(QRELS), Judgment("q1", "d9", 1)])
    with pytest.raises(CorpusError, match=r"query 'q1' name 1 documents .* e\.g\. 'd9'"):
        Corpus("demo", DOCUMENTS, QUERIES, qrels)


def test_a_query_without_a_relevant_document() -> None:
    with pytest.raises(CorpusError, match=r"query 'q3' .* no relevant document"):
        Corpus("demo", DOCUMENTS, [*QUERIES, Query("q3", "bird")], QRELS)
    strict = Qrels(judgments(QRELS), min_grade=2)
    with pytest.raises(CorpusError, match=r"query 'q1' .*\(grade >= 2\)"):
        Corpus("demo", DOCUMENTS, QUERIES, strict)


def test_pairs_left_out_must_be_known() -> None:
    pairs = {"q1": frozenset({("d2", "text"), ("d1", "image")}), "q2": frozenset({("d1", "text")})}
    corpus = Corpus("demo", DOCUMENTS, QUERIES, QRELS, left_out=pairs)
    assert corpus.left_out == pairs
    chosen = corpus.select_queries(lambda query: query.id == "q2")
    assert chosen.left_out == {"q2": pairs["q2"]}
    for pair in [("d9", "text")]:
        with pytest.raises(CorpusError, match=rf"'q1' .* names \('{pair[0]}', '{pair[1]}'\)"):
            Corpus("demo", DOCUMENTS, QUERIES, QRELS, left_out={"q1": frozenset({pair})})
    with pytest.raises(CorpusError, match="left_out of corpus 'demo' names query 'q9'"):
        Corpus("demo", DOCUMENTS, QUERIES, QRELS, left_out={"q9": frozenset()})


def test_qrels() -> None:
    assert QRELS.relevant("q1") == {"d1"}
    assert QRELS.relevant("unknown") == frozenset()
    assert len(Qrels([*judgments(QRELS), Judgment("q1", "d1", 1)])) == 2
    with pytest.raises(CorpusError, match="'q1' and document 'd1' are judged 1 and 2"):
        Qrels([*judgments(QRELS), Judgment("q1", "d1", 2)])
    with pytest.raises(TypeError):
        QRELS["q1"]["d1"] = 2  # a mapping to read from


def judgments(qrels: Qrels) -> list[Judgment]:
    return [Judgment(q, d, grade) for q, grades in qrels.items() for d, grade in grades.items()]
