"""EDIS in all of its forms, on small files in the true schema and on the real judgments."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from published import write_json, write_json_lines, write_mteb, write_pictures

from mmgap.corpus import Corpus, load_corpus, load_edis, load_edis_judgments
from mmgap.corpus.reading import Rejects
from mmgap.corpus.reading import read_judgments as read_qrels
from mmgap.errors import CorpusError, SkippedItemsWarning
from mmgap.paths import oracles_dir

TOPICS = oracles_dir() / "edis_test_topics.jsonl"
QRELS = oracles_dir() / "edis_test_qrels.txt"

# id -> (image, headline, colour); 1 and 4 share their headline, 6 answers nobody
POOL = {
    1: ("00000000_04639_01.jpg", "Peres meets Abbas", "red"),
    2: ("00000001_04639_02.jpg", "Forum opens in Jordan", "green"),
    3: ("00000002_04639_03.jpg", "Spider-Man returns", "blue"),
    4: ("00270684_40000_05.jpg", "Peres meets Abbas", "yellow"),
    5: ("00000004_04639_05.jpg", "Holland swings in", "black"),
    6: ("00062500_04192_00.jpg", "Weather", "white"),
}
ASKED = [  # the first candidate is the ground truth
    (7, "Peres and Abbas arrive", [(1, 3), (4, 2), (2, 1)]),
    (9, "Tom Holland in the suit", [(3, 3), (5, 3), (2, 2)]),
]


def candidate(key: str, doc: int, text: str = "headline", **more: object) -> dict:
    image, headline, _ = POOL[doc]
    return {key: doc, "image": f"some/where/{image}", text: headline, **more}


def topics(text: str = "headline") -> list[dict]:
    return [
        {
            "id": query,
            "query": words,
            "candidates": [
                candidate("candidate_id", doc, text, score=grade) for doc, grade in judged
            ],
        }
        for query, words, judged in ASKED
    ]


def authors(root: Path, pool: list[int] | None = None) -> Path:
    """Today's layout, with all images."""
    write_json(root / "EDIS_test.json", topics())
    wanted = POOL if pool is None else pool
    write_json(root / "EDIS_candidates_1m.json", [candidate("id", doc) for doc in wanted])
    write_pictures(root / "images", {image: colour for image, _, colour in POOL.values()})
    return root


def check_authors(corpus: Corpus) -> None:
    assert corpus.query_ids == ("7", "9")
    assert dict(corpus.qrels["7"]) == {"1": 3, "4": 2, "2": 1}
    assert dict(corpus.qrels["9"]) == {"3": 3, "5": 3, "2": 2}
    assert corpus.qrels.relevant("9") == {"3", "5"}  # grade 3 only
    assert dict(corpus.equal_texts) == {"Peres meets Abbas": ("1", "4")}
    document = corpus.document("4")
    assert document.text == "Peres meets Abbas"
    assert document.image.open().getpixel((0, 0)) == (255, 255, 0)


def test_the_authors_layout_of_today(tmp_path: Path) -> None:
    corpus = load_corpus(f"edis@{authors(tmp_path)}")
    assert corpus.name == "edis"
    assert corpus.doc_ids == ("1", "2", "3", "4", "5", "6")
    check_authors(corpus)
    restricted = load_edis(tmp_path, pool="restricted")
    assert restricted.name == "edis/restricted"
    assert restricted.doc_ids == ("1", "4", "2", "3", "5")  # 2 serves both queries, and stands once
    check_authors(restricted)
    lenient = load_edis(tmp_path, min_grade=2)
    assert lenient.qrels.relevant("7") == {"1", "4"}


def test_the_earlier_layout_whose_pool_lacks_some(tmp_path: Path) -> None:
    write_json(tmp_path / "test.json", topics("contents"))
    write_json(
        tmp_path / "candidates_full.json",
        [candidate("id", doc, "contents") for doc in (1, 2, 3, 6)],
    )
    write_pictures(tmp_path, {image: colour for image, _, colour in POOL.values()})
    corpus = load_edis(tmp_path)
    assert corpus.doc_ids == ("1", "2", "3", "6", "4", "5")
    check_authors(corpus)
    added = [each.id for each in corpus.documents if each.metadata == {"added_from": "test.json"}]
    assert added == ["4", "5"]


def test_other_splits_and_missing_files(tmp_path: Path) -> None:
    authors(tmp_path)
    (tmp_path / "EDIS_test.json").rename(tmp_path / "EDIS_val.json")
    assert load_edis(tmp_path, split="val").name == "edis/val"
    (tmp_path / "EDIS_candidates_1m.json").unlink()
    with pytest.raises(
        CorpusError, match=r"lacks EDIS_candidates_1m.json, the full pool.*restrict"
    ):
        load_edis(tmp_path, split="val")
    assert len(load_edis(tmp_path, split="val", pool="restricted").documents) == 5
    with pytest.raises(CorpusError, match=r"holds no form of EDIS: expected EDIS_test.json"):
        load_edis(tmp_path)
    with pytest.raises(CorpusError, match="split is 'dev'; expected one of train, val, test"):
        load_edis(tmp_path, split="dev")
    with pytest.raises(CorpusError, match="pool is 'all'; expected one of full, restricted"):
        load_edis(tmp_path, pool="all")
    with pytest.raises(
        CorpusError, match=r"'edis' is not on this machine .*mmgap corpus fetch edis"
    ):
        load_corpus("edis")
    with pytest.raises(CorpusError, match="is no folder; expected one with its files"):
        load_corpus("edis@nowhere")


def spoiled(root: Path, number: int, at: int, **changes: object) -> Path:
    """Change a candidate of a query of the test file."""
    content = json.loads((root / "EDIS_test.json").read_text())
    content[number]["candidates"][at].update(changes)
    return write_json(root / "EDIS_test.json", content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": 4}, r"item 1 \(id 7\) candidate 3: \"score\" is 4; expected 1, 2 or 3"),
        ({"score": None}, r"candidate 3: \"score\" is None"),
        ({"headline": "Other"}, r"candidate '2' has another headline or image than the document"),
        ({"image": "x.jpg"}, r"candidate '2' has another headline or image"),
        ({"candidate_id": 99, "image": "x.jpg"}, r"'x.jpg' does not exist below .*images"),
    ],
)
def test_a_bad_candidate_is_named_or_counted(tmp_path: Path, changes: dict, message: str) -> None:
    spoiled(authors(tmp_path), 0, 2, **changes)
    with pytest.raises(CorpusError, match=message):
        load_edis(tmp_path)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        corpus = load_edis(tmp_path, on_error="skip")
    assert dict(corpus.qrels["7"]) == {"1": 3, "4": 2}
    assert len(corpus.skipped) == 1


def test_bad_queries_and_pool_items(tmp_path: Path) -> None:
    authors(tmp_path)
    content = json.loads((tmp_path / "EDIS_test.json").read_text())
    extra = [
        {"id": None, "query": "x", "candidates": []},
        {"id": 11, "query": " ", "candidates": []},
        {"id": 12, "query": "x"},
        "no object",
        {"id": 13, "query": "nobody answers", "candidates": []},
    ]
    write_json(tmp_path / "EDIS_test.json", content + extra)
    pool = json.loads((tmp_path / "EDIS_candidates_1m.json").read_text())
    pool += [{**pool[0]}, {"id": 20, "headline": "no image"}]
    write_json(tmp_path / "EDIS_candidates_1m.json", pool)
    with pytest.warns(SkippedItemsWarning, match="^7 items"):
        corpus = load_edis(tmp_path, on_error="skip")
    check_authors(corpus)
    reasons = list(corpus.skipped.values())
    assert "document id '1' was used before; ids must be unique" in reasons
    assert "its image is ''; expected a path" in reasons
    assert '"candidates" is None; expected a list of candidates' in reasons
    assert corpus.skipped["query '13'"].startswith("EDIS_test.json names no relevant document")


def test_a_damaged_file_stops_it(tmp_path: Path) -> None:
    path = authors(tmp_path) / "EDIS_candidates_1m.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(CorpusError, match="no whole JSON array: after item 5 it holds"):
        load_edis(tmp_path, on_error="skip")


# M-BEIR's forms


def mbeir_topics() -> list[dict]:
    """The two queries as castorini/anserini-tools has them."""
    found = []
    for number, (query, words, judged) in enumerate(ASKED, start=1):
        sides = {
            "pos": [(doc, grade) for doc, grade in judged if grade == 3],
            "neg": [(doc, grade) for doc, grade in judged if grade < 3],
        }
        content = {"id": str(query)}
        for side, pairs in sides.items():
            content[f"{side}_cand_candidate_id_scores"] = [
                {"candidate_id": str(doc), "score": str(grade)} for doc, grade in pairs
            ]
        found.append(
            {
                "qid": f"3:{number}",
                "query_txt": words,
                "query_img_path": None,
                "query_modality": "text",
                "query_src_content": json.dumps(content),
                **{f"{side}_cand_list": [f"3:10{d}" for d, _ in sides[side]] for side in sides},
                "task_id": 2,
            }
        )
    return found


def check_graded(corpus: Corpus) -> None:
    assert dict(corpus.qrels["3:1"]) == {"3:101": 3, "3:104": 2, "3:102": 1}
    assert corpus.qrels.relevant("3:2") == {"3:103", "3:105"}
    assert corpus.qrels.min_grade == 3


def test_mtebs_form_with_and_without_grades(tmp_path: Path) -> None:
    root = write_mteb(
        tmp_path / "mteb",
        [(f"3:10{doc}", headline, colour) for doc, (_, headline, colour) in POOL.items()],
        [(f"3:{at}", words, None) for at, (_, words, _) in enumerate(ASKED, start=1)],
        [("3:1", "3:101", 1), ("3:2", "3:103", 1), ("3:2", "3:105", 1)],
    )
    corpus = load_edis(root)
    assert corpus.doc_ids == tuple(f"3:10{doc}" for doc in POOL)
    assert (corpus.qrels.min_grade, corpus.qrels.relevant("3:2")) == (1, {"3:103", "3:105"})
    assert corpus.document("3:104").image.open().getpixel((0, 0)) == (255, 255, 0)
    assert dict(corpus.equal_texts) == {"Peres meets Abbas": ("3:101", "3:104")}
    with pytest.raises(CorpusError, match=r"names relevant documents only; .* topics="):
        load_edis(root, pool="restricted")
    file = write_json_lines(tmp_path / "topics.jsonl", mbeir_topics())
    check_graded(load_edis(root, topics=file))
    assert len(load_edis(root, topics=file, pool="restricted").documents) == 5


def test_unirs_form_has_grades_and_five_columns(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "query/test/mbeir_edis_task2_test.jsonl", mbeir_topics())
    write_json_lines(
        tmp_path / "cand_pool/local/mbeir_edis_task2_cand_pool.jsonl",
        [
            {
                "txt": headline,
                "img_path": f"mbeir_images/edis_images/{image}",
                "modality": "image,text",
                "did": f"3:10{doc}",
                "src_content": json.dumps({"id": str(doc)}),
            }
            for doc, (image, headline, _) in POOL.items()
        ],
    )
    (tmp_path / "qrels/test").mkdir(parents=True)
    (tmp_path / "qrels/test/mbeir_edis_task2_test_qrels.txt").write_text(
        "3:1 0 3:101 1 2\n3:2 0 3:103 1 2\n3:2 0 3:105 1 2\n"
    )
    write_pictures(
        tmp_path / "mbeir_images/edis_images",
        {image: colour for image, _, colour in POOL.values()},
    )
    corpus = load_edis(tmp_path)
    check_graded(corpus)
    assert len(corpus.documents) == 6
    assert len(load_edis(tmp_path, pool="restricted").documents) == 5
    as_published = load_corpus(f"mbeir/edis_task2@{tmp_path}")
    assert dict(as_published.qrels["3:2"]) == {"3:103": 1, "3:105": 1}
    assert as_published.document("3:101").metadata == {}


# The real queries and judgments

needs_oracles = pytest.mark.skipif(
    not TOPICS.is_file(), reason="edis_test_topics.jsonl is not in the folder of MMGAP_ORACLES"
)


@needs_oracles
def test_the_real_judgments_are_counted_as_published() -> None:
    judged = load_edis_judgments()
    assert len(judged.queries) == len(judged.qrels) == 3241
    assert judged.grade_counts() == {3: 8341, 2: 13510, 1: 3781}
    assert len(judged.candidate_ids) == 25463
    per_query = np.array([len(grades) for grades in judged.qrels.values()])
    assert dict(zip(*np.unique(per_query, return_counts=True), strict=True)) == {
        8: 3004, 7: 179, 6: 57, 5: 1,
    }  # fmt: skip
    relevant = np.array([len(judged.qrels.relevant(query.id)) for query in judged.queries])
    assert np.bincount(relevant)[1:].tolist() == [1345, 683, 405, 249, 195, 190, 88, 86]
    words = [len(query.text.split()) for query in judged.queries]
    assert (round(float(np.mean(words)), 1), max(words)) == (20.1, 52)
    lenient = load_edis_judgments(min_grade=2).qrels
    assert round(np.mean([len(lenient.relevant(each)) for each in lenient]), 2) == 6.74


@needs_oracles
def test_the_real_qrels_are_the_documents_of_grade_3() -> None:
    judged = load_edis_judgments().qrels
    published: dict[str, set[str]] = {}
    for _, judgment in read_qrels(QRELS, Rejects(), extra=1):
        assert judgment.grade == 1
        published.setdefault(judgment.query_id, set()).add(judgment.doc_id)
    assert published == {query_id: set(judged.relevant(query_id)) for query_id in judged}
    assert len(set().union(*published.values())) == 8324


@needs_oracles
def test_the_real_queries_over_a_pool_of_their_candidates(tmp_path: Path) -> None:
    """All 3,241 queries and 25,463 candidates through the loader; headlines are stand-ins."""
    judged = load_edis_judgments()
    (tmp_path / "query/test").mkdir(parents=True)
    (tmp_path / "query/test/mbeir_edis_task2_test.jsonl").write_bytes(TOPICS.read_bytes())
    write_json_lines(
        tmp_path / "cand_pool/local/mbeir_edis_task2_cand_pool.jsonl",
        [
            {"txt": f"candidate {own}", "img_path": None, "modality": "text", "did": did}
            for did, own in judged.candidate_ids.items()
        ],
    )
    (tmp_path / "qrels/test").mkdir(parents=True)
    (tmp_path / "qrels/test/mbeir_edis_task2_test_qrels.txt").write_bytes(QRELS.read_bytes())
    corpus = load_edis(tmp_path)
    assert (len(corpus.documents), len(corpus.queries), corpus.skipped) == (25463, 3241, {})
    assert corpus.qrels == judged.qrels
    assert corpus.queries[1].text.startswith("Tom Holland makes his debut")
