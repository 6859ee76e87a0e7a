"""Published benchmarks in each of their forms, on small files in the true schema."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from published import (
    IMAGE,
    cell,
    items,
    judgments,
    write_images,
    write_json,
    write_json_lines,
    write_mteb,
    write_parquet,
)

import mmgap as mg
from mmgap.corpus import (
    Corpus,
    load_captions,
    load_corpus,
    load_edis,
    load_edis_judgments,
    load_mbeir,
    load_mixbench,
)
from mmgap.corpus.reading import Rejects
from mmgap.corpus.reading import read_judgments as read_qrels
from mmgap.errors import CorpusError, ImageError, SkippedItemsWarning
from mmgap.paths import oracles_dir

# EDIS


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
    write_images(root / "images", {image: colour for image, _, colour in POOL.values()})
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
    write_images(tmp_path, {image: colour for image, _, colour in POOL.values()})
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
    with pytest.raises(CorpusError, match="is not a folder; expected one with its files"):
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
    with pytest.raises(CorpusError, match="not a complete JSON array"):
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
    write_images(
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


# M-BEIR


DOCUMENTS = [
    ("2:1", "a passage", None),
    ("2:2", None, "red"),
    ("2:3", "a caption", "blue"),
]
MBEIR_QUERIES = [("2:10", "what is red?", None), ("2:11", "which passage?", None)]
MBEIR_QRELS = [("2:10", "2:2", 1), ("2:10", "2:3", 1), ("2:11", "2:1", 1)]


def test_a_pool_of_all_three_kinds(tmp_path: Path) -> None:
    corpus = load_corpus(
        f"mbeir/webqa_task2@{write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, MBEIR_QRELS)}"
    )
    assert corpus.name == "mbeir/webqa_task2"
    text, image, both = corpus.documents
    assert (text.text, text.image) == ("a passage", None)
    assert image.text is None
    assert image.image.open().getpixel((0, 0)) == (255, 0, 0)
    assert both.text == "a caption"
    assert both.image.open().getpixel((0, 0)) == (0, 0, 255)
    assert dict(corpus.qrels["2:10"]) == {"2:2": 1, "2:3": 1}
    assert "corpus-00000-of-00002.parquet" in image.image.name


def test_older_names_of_columns_and_configurations(tmp_path: Path) -> None:
    columns = items(DOCUMENTS)
    columns["_id"] = columns.pop("id")
    write_parquet(tmp_path / "corpus/corpus-00000-of-00001.parquet", columns)
    write_parquet(tmp_path / "queries/test-00000-of-00001.parquet", items(MBEIR_QUERIES))
    write_parquet(tmp_path / "queries/train-00000-of-00001.parquet", items([("2:99", "x", None)]))
    table = judgments(MBEIR_QRELS)
    del table["Q0"]
    write_parquet(tmp_path / "default/test-00000-of-00001.parquet", table)
    corpus = load_mbeir("webqa_task2", tmp_path)
    assert (corpus.doc_ids, corpus.query_ids) == (("2:1", "2:2", "2:3"), ("2:10", "2:11"))


def test_queries_with_images_are_refused_unless_asked_for(tmp_path: Path) -> None:
    queries = [("4:1", None, "red"), ("4:2", "the same in blue", "red")]
    root = write_mteb(tmp_path, DOCUMENTS, queries, [("4:1", "2:2", 1), ("4:2", "2:3", 1)])
    with pytest.raises(CorpusError, match="query '4:1' of mbeir/cirr_task7 asks with an image"):
        load_mbeir("cirr_task7", root)
    corpus = load_mbeir("cirr_task7", root, image_queries=True)
    assert [query.text for query in corpus.queries] == ["", "the same in blue"]
    assert corpus.queries[0].image.open().getpixel((0, 0)) == (255, 0, 0)


BAD_ROWS = {
    "no id": (["", "text", "x", None], r"corpus-00002.parquet row 1 \(id ''\): \"id\" is None"),
    "nothing in it": (["2:9", "text", None, None], r"modality is 'text' and it holds neither text"),
    "no image": (["2:9", "image,text", "x", None], r"modality is 'image,text', but it holds text"),
    "an odd modality": (["2:9", "audio", "x", None], r"modality is 'audio' and it holds text"),
    "a blank text": (["2:9", "text", "  ", None], r"\"text\" is '  '; expected a text"),
    "used before": (["2:1", "text", "x", None], r"document id '2:1' was used before"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_or_counted(case: str, tmp_path: Path) -> None:
    row, message = BAD_ROWS[case]
    root = write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, MBEIR_QRELS)
    kinds = [pa.string(), pa.string(), pa.string(), IMAGE]
    names = ["id", "modality", "text", "image"]
    columns = {n: pa.array([v], k) for n, v, k in zip(names, row, kinds, strict=True)}
    write_parquet(root / "corpus/corpus-00002.parquet", columns)
    with pytest.raises(CorpusError, match=message):
        load_mbeir("webqa_task2", root)
    with pytest.warns(SkippedItemsWarning, match="^1 items") as caught:
        corpus = load_mbeir("webqa_task2", root, on_error="skip")
    assert Path(caught[0].filename).name == "test_benchmarks.py"
    assert corpus.doc_ids == ("2:1", "2:2", "2:3")
    assert len(corpus.skipped) == 1


def test_a_cell_without_bytes_is_named_when_it_is_read(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, MBEIR_QRELS)
    columns = items([("2:7", None, "red"), ("2:8", None, "red")])
    columns["image"] = pa.array([cell("red"), {"bytes": None, "path": "gone.jpg"}], IMAGE)
    write_parquet(root / "corpus/corpus-00002.parquet", columns)
    corpus = load_mbeir("webqa_task2", root)
    assert corpus.document("2:7").image.open().size == (8, 8)
    with pytest.raises(ImageError, match=r"00002.parquet .*row 1 of group 0\): the cell holds no"):
        corpus.document("2:8").image.read_bytes()


def test_judgments_that_do_not_fit(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, [*MBEIR_QRELS, ("2:10", "2:99", 1)])
    with pytest.raises(CorpusError, match=r"row 4: names document '2:99', which the corpus lacks"):
        load_mbeir("webqa_task2", root)
    root = write_mteb(tmp_path, DOCUMENTS, [*MBEIR_QUERIES, ("2:12", "who?", None)], MBEIR_QRELS)
    with pytest.raises(CorpusError, match="query '2:12': the qrels table names no relevant"):
        load_mbeir("webqa_task2", root)


def test_missing_files_are_named(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, MBEIR_QRELS)
    with pytest.raises(CorpusError, match=r"no Parquet file of queries, qrels \(split 'val'\)"):
        load_mbeir("webqa_task2", root, split="val")
    with pytest.raises(CorpusError, match=r"pool is 'global', but .* mteb's form"):
        load_mbeir("webqa_task2", root, pool="global")
    with pytest.raises(CorpusError, match="pool is 'all'; expected one of local"):
        load_mbeir("webqa_task2", root, pool="all")
    (root / "corpus/corpus-00001-of-00002.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(CorpusError, match=r"00001-of-00002.parquet is not a complete Parquet file"):
        load_mbeir("webqa_task2", root)
    with pytest.raises(CorpusError, match="did you mean 'mbeir/webqa_task2"):
        load_corpus("mbier/webqa_task2")
    with pytest.raises(CorpusError, match="'mbeir/webqa_task2' is not on this machine"):
        load_corpus("mbeir/webqa_task2")


# UniIR's form


def unirs_form(root: Path, queries: list[dict] | None = None) -> Path:
    pool = [
        {"txt": "a passage", "img_path": None, "modality": "text", "did": "2:1"},
        {"txt": "", "img_path": "mbeir_images/a.png", "modality": "image", "did": "2:2"},
        {"txt": "cap", "img_path": "mbeir_images/b.png", "modality": "text,image", "did": "2:3"},
    ]
    write_json_lines(root / "cand_pool/local/mbeir_webqa_task2_cand_pool.jsonl", pool)
    other = {"txt": "of another task", "img_path": None, "modality": "text", "did": "9:1"}
    union = root / "cand_pool/global/mbeir_union_test_cand_pool.jsonl"
    write_json_lines(union, [*pool, other])
    asked = [
        {"qid": "2:10", "query_txt": "red?", "query_img_path": None, "query_modality": "text"},
        {"qid": "2:11", "query_txt": "text?", "query_img_path": None, "query_modality": "text"},
    ]
    asked = [{**each, "task_id": 2, "pos_cand_list": []} for each in asked]
    write_json_lines(root / "query/test/mbeir_webqa_task2_test.jsonl", queries or asked)
    qrels = root / "qrels/test/mbeir_webqa_task2_test_qrels.txt"
    qrels.parent.mkdir(parents=True, exist_ok=True)
    qrels.write_text("2:10 0 2:2 1 2\n2:10 0 2:3 1 2\n2:11 0 2:1 1 2\n")
    write_images(root / "mbeir_images", {"a.png": "red", "b.png": "blue"})
    return root


def test_unirs_form(tmp_path: Path) -> None:
    corpus = load_mbeir("webqa_task2", unirs_form(tmp_path))
    assert [(each.text, each.image is None) for each in corpus.documents] == [
        ("a passage", True),
        (None, False),
        ("cap", False),
    ]
    assert corpus.document("2:3").image.open().getpixel((0, 0)) == (0, 0, 255)
    assert dict(corpus.qrels["2:10"]) == {"2:2": 1, "2:3": 1}
    assert corpus.queries[0].metadata == {"task_id": "2"}
    union = load_mbeir("webqa_task2", tmp_path, pool="global")
    assert union.name == "mbeir/webqa_task2/global"
    assert union.doc_ids == ("2:1", "2:2", "2:3", "9:1")


def test_six_columns_are_too_many(tmp_path: Path) -> None:
    root = unirs_form(tmp_path)
    qrels = root / "qrels/test/mbeir_webqa_task2_test_qrels.txt"
    qrels.write_text(qrels.read_text() + "2:10 0 2:1 1 2 2\n")
    with pytest.raises(CorpusError, match=r"qrels.txt line 4: has 6 columns, expected 4"):
        load_mbeir("webqa_task2", root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"img_path": "mbeir_images/c.png"}, r"image file 'mbeir_images/c.png' does not exist"),
        ({"img_path": "../a.png"}, r"image '../a.png' lies outside"),
        ({"img_path": "/etc/passwd"}, r"image '/etc/passwd' lies outside"),
        ({"img_path": 7}, r"its image is 7; expected a path"),
        ({"did": None}, r"line 4: \"did\" is None"),
        ({"modality": "text"}, r"modality is 'text', but it holds image and text"),
    ],
)
def test_a_bad_candidate_is_named(tmp_path: Path, change: dict, message: str) -> None:
    root = unirs_form(tmp_path)
    good = {"txt": "x", "img_path": "mbeir_images/a.png", "modality": "image,text", "did": "2:9"}
    path = root / "cand_pool/local/mbeir_webqa_task2_cand_pool.jsonl"
    path.write_text(path.read_text() + json.dumps({**good, **change}) + "\n")
    with pytest.raises(CorpusError, match=message):
        load_mbeir("webqa_task2", root)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        assert len(load_mbeir("webqa_task2", root, on_error="skip").documents) == 3


def test_image_queries_of_unirs_form(tmp_path: Path) -> None:
    asked = {"query_txt": None, "query_img_path": "mbeir_images/a.png", "query_modality": "image"}
    root = unirs_form(tmp_path, [{"qid": "2:10", **asked}, {"qid": "2:11", **asked}])
    with pytest.raises(CorpusError, match="asks with an image"):
        load_mbeir("webqa_task2", root)
    corpus = load_mbeir("webqa_task2", root, image_queries=True)
    assert corpus.queries[1].image.open().getpixel((0, 0)) == (255, 0, 0)


def test_a_mixed_pool_goes_through_encoder_and_merges(tmp_path: Path) -> None:
    """Images come out of Parquet when they are embedded, whichever legs a document has."""
    root = write_mteb(tmp_path, DOCUMENTS, MBEIR_QUERIES, MBEIR_QRELS)
    vectors = mg.embed(load_mbeir("webqa_task2", root), mg.load_encoder("mini-clip"))
    assert vectors.text.positions.tolist() == [0, 2]
    assert vectors.image.positions.tolist() == [1, 2]
    recall = mg.recall_table(mg.run_strategies(vectors), vectors.corpus.qrels, k=3)
    merged = recall.query("strategy == 'max' and measure == 'recall@3'")
    assert merged["value"].tolist() == [1.0]


# id, text, colour
MIXED = [("0", "a man on a moped", None), ("1", None, "red"), ("2", "a dog", "blue")]
WHOLE = [("0", "a man on a moped", "green"), ("1", "a cat", "red"), ("2", "a dog", "blue")]
MIX_QUERIES = [("0", "moped on a road", None), ("1", "cat", None)]
MIX_QRELS = [("0", "0", 1), ("1", "1", 2)]


def decoded(rows: list[tuple[str, str | None, str | None]]) -> dict[str, pa.Array]:
    """Fields of MixBench2025: the image itself."""
    return {
        "id": pa.array([row[0] for row in rows], pa.string()),
        "text": pa.array([row[1] for row in rows], pa.string()),
        "image": pa.array([cell(row[2]) for row in rows], IMAGE),
    }


def version_2025(root: Path, *, with_qrels: bool = True) -> Path:
    folder = root / "MSCOCO"
    for split, rows in {"queries": MIX_QUERIES, "corpus": WHOLE, "mixed_corpus": MIXED}.items():
        write_parquet(folder / f"{split}-00000-of-00001.parquet", decoded(rows))
    if with_qrels:
        columns = dict(
            zip(("query_id", "corpus_id", "score"), zip(*MIX_QRELS, strict=True), strict=True)
        )
        write_parquet(
            folder / "qrel-00000-of-00001.parquet", {k: list(v) for k, v in columns.items()}
        )
    return root


def version_25(root: Path) -> Path:
    """All fields in every split, null where they do not belong; images are paths."""
    empty = dict.fromkeys(("query_id", "corpus_id", "text", "image", "score"))
    rows = {
        "query": [{"query_id": i, "text": t} for i, t, _ in MIX_QUERIES],
        "qrel": [{"query_id": q, "corpus_id": d, "score": s} for q, d, s in MIX_QRELS],
    }
    for split, pool in {"corpus": WHOLE, "mixed_corpus": MIXED}.items():
        rows[split] = [
            {"corpus_id": i, "text": t or "", "image": f"images/{c}.jpg" if c else ""}
            for i, t, c in pool
        ]
    for split, records in rows.items():
        write_json_lines(root / f"{split}.jsonl", [{**empty, **each} for each in records])
    write_images(root / "images", {f"{c}.jpg": c for c in ("red", "green", "blue")})
    return root


def check_mixbench(corpus: Corpus) -> None:
    assert corpus.name == "mixbench/MSCOCO"
    text, image, both = corpus.documents
    assert (text.text, text.image, image.text) == ("a man on a moped", None, None)
    assert image.image.open().getpixel((0, 0)) == (255, 0, 0)
    assert (both.text, both.image.open().getpixel((0, 0))) == ("a dog", (0, 0, 255))
    assert {query: dict(grades) for query, grades in corpus.qrels.items()} == {
        "0": {"0": 1},
        "1": {"1": 2},
    }


def test_the_version_of_2025(tmp_path: Path) -> None:
    check_mixbench(load_corpus(f"mixbench/MSCOCO@{version_2025(tmp_path)}"))
    whole = load_mixbench("MSCOCO", tmp_path, pool="corpus")
    assert whole.name == "mixbench/MSCOCO/corpus"
    assert all(each.text and each.image for each in whole.documents)


def test_version_25(tmp_path: Path) -> None:
    check_mixbench(load_mixbench("MSCOCO", version_25(tmp_path)))
    assert load_mixbench("MSCOCO", tmp_path, pool="corpus").documents[1].text == "a cat"


def test_judgments_may_be_given_apart(tmp_path: Path) -> None:
    version_2025(tmp_path, with_qrels=False)
    with pytest.raises(CorpusError, match=r"holds no judgments .* give a file: qrels=FILE"):
        load_mixbench("MSCOCO", tmp_path)
    trec = tmp_path / "mine.txt"
    trec.write_text("0 0 0 1\n1 0 1 2\n")
    check_mixbench(load_mixbench("MSCOCO", tmp_path, qrels=trec))
    head = tmp_path / "mine.tsv"
    head.write_text("query_id\tcorpus_id\tscore\n0\t0\t1\n1\t1\t2\n")
    check_mixbench(load_mixbench("MSCOCO", tmp_path, qrels=head))


def test_image_queries(tmp_path: Path) -> None:
    version_2025(tmp_path)
    path = tmp_path / "MSCOCO" / "queries-00000-of-00001.parquet"
    write_parquet(path, decoded([*MIX_QUERIES, ("2", None, "blue")]))
    with pytest.raises(CorpusError, match=r"parquet row 3 \(id '2'\): asks with an image"):
        load_mixbench("MSCOCO", tmp_path)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        check_mixbench(load_mixbench("MSCOCO", tmp_path, on_error="skip"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus_id": None}, 'mixed_corpus.jsonl line 4: "id" is None; expected'),
        ({"text": " "}, r"line 4 \(corpus_id '9'\): has neither text nor image"),
        ({"image": "images/x.jpg"}, r"image file 'images/x.jpg' does not exist below"),
    ],
)
def test_a_bad_document_is_named(tmp_path: Path, change: dict, message: str) -> None:
    import json

    path = version_25(tmp_path) / "mixed_corpus.jsonl"
    good = {"corpus_id": "9", "text": "x", "image": ""}
    path.write_text(path.read_text() + json.dumps({**good, **change}) + "\n")
    with pytest.raises(CorpusError, match=message):
        load_mixbench("MSCOCO", tmp_path)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        check_mixbench(load_mixbench("MSCOCO", tmp_path, on_error="skip"))


def test_another_subset_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    version_2025(tmp_path)
    with pytest.raises(CorpusError, match=r"holds MSCOCO and not OVEN; .*fetch mixbench/OVEN"):
        load_mixbench("OVEN", tmp_path)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="subset is 'COCO'; expected one of MSCOCO, Google_WIT"):
        load_corpus(f"mixbench/COCO@{tmp_path}")
    with pytest.raises(CorpusError, match="pool is 'mixed'; expected one of mixed_corpus, corpus"):
        load_mixbench("MSCOCO", tmp_path, pool="mixed")
    with pytest.raises(CorpusError, match="holds no file of queries, mixed_corpus, which"):
        load_mixbench("MSCOCO", tmp_path)


# name, split, colour, captions; the first two images share a caption
SHOWN = [
    ("COCO_val2014_000000391895.jpg", "test", "red", ["a moped", "a man rides", "a road"]),
    ("COCO_val2014_000000060623.jpg", "test", "green", ["a girl eats", "a road"]),
    ("COCO_val2014_000000483108.jpg", "restval", "blue", ["a train", "rails"]),
]


def karpathy(root: Path) -> Path:
    sentid, images = 770337, []
    for at, (name, split, _, captions) in enumerate(SHOWN):
        ids = list(range(sentid, sentid + len(captions)))
        sentid += len(captions)
        images.append(
            {
                "filepath": "val2014",
                "sentids": ids,
                "filename": name,
                "imgid": at,
                "split": split,
                "sentences": [
                    {"tokens": raw.split(), "raw": raw, "imgid": at, "sentid": key}
                    for key, raw in zip(ids, captions, strict=True)
                ],
                "cocoid": int(name[-10:-4]),
            }
        )
    write_json(root / "dataset_coco.json", {"images": images, "dataset": "coco"})
    write_images(root / "images" / "val2014", {name: colour for name, _, colour, _ in SHOWN})
    return root


def check_captions(corpus: Corpus) -> None:
    assert corpus.doc_ids == ("COCO_val2014_000000391895", "COCO_val2014_000000060623")
    assert corpus.query_ids == ("770337", "770338", "770339", "770340", "770341")
    assert [query.text for query in corpus.queries] == [
        *("a moped", "a man rides", "a road", "a girl eats", "a road"),
    ]
    assert all(document.text is None for document in corpus.documents)
    assert corpus.documents[1].image.open().getpixel((0, 0)) == (0, 128, 0)
    assert dict(corpus.qrels["770341"]) == {"COCO_val2014_000000060623": 1}


def test_karpathys_own_file(tmp_path: Path) -> None:
    corpus = load_corpus(f"captions/coco@{karpathy(tmp_path)}")
    assert corpus.name == "captions/coco"
    check_captions(corpus)
    train = load_captions("coco", tmp_path, split="train")
    assert train.doc_ids == ("COCO_val2014_000000483108",)  # Karpathy's restval is training data


def test_pairs_equal_captions_and_the_first_ones(tmp_path: Path) -> None:
    karpathy(tmp_path)
    pairs = load_captions("coco", tmp_path, pool="pairs")
    assert pairs.name == "captions/coco/pairs"
    assert [document.text for document in pairs.documents] == ["a moped", "a girl eats"]
    assert pairs.query_ids == ("770338", "770339", "770341")
    merged = load_captions("coco", tmp_path, merge_equal=True)
    assert len(merged.queries) == 4
    assert set(merged.qrels["770339"]) == {
        "COCO_val2014_000000391895",
        "COCO_val2014_000000060623",
    }
    assert load_captions("coco", tmp_path, first=1).query_ids == ("770337", "770340")


def test_the_hubs_coco_has_no_pixels(tmp_path: Path) -> None:
    for split in ("test", "train", "validation"):
        rows = [row for row in SHOWN if {"restval": "train"}.get(row[1], row[1]) == split]
        columns = {
            "filepath": pa.array(["val2014"] * len(rows), pa.string()),
            "sentids": pa.array(
                [[770337, 770338, 770339], [770340, 770341]][: len(rows)], pa.list_(pa.int64())
            )
            if split == "test"
            else pa.array([[1, 2]] * len(rows), pa.list_(pa.int64())),
            "filename": pa.array([row[0] for row in rows], pa.string()),
            "split": pa.array([row[1] for row in rows], pa.string()),
            "sentences": pa.array([row[3] for row in rows], pa.list_(pa.string())),
            "cocoid": pa.array([1] * len(rows), pa.int64()),
        }
        write_parquet(tmp_path / f"data/{split}-00000-of-00001.parquet", columns)
    pixels = tmp_path / "elsewhere"
    write_images(pixels, {name: colour for name, _, colour, _ in SHOWN})  # without val2014/
    write_json(tmp_path / "fetched.json", {"files": {}})  # a fetch leaves it; it is no table
    check_captions(load_captions("coco", tmp_path, images=pixels))
    with pytest.raises(
        CorpusError,
        match=r"row 1 \(filename 'COCO_val2014_0.*391895.jpg'\): image file 'val2014/COCO",
    ):
        load_captions("coco", tmp_path, images=tmp_path / "data")


def flickr(root: Path) -> Path:
    """As the hub has it: one split that holds all images, Karpathy's in a column."""
    rows = [("1007129816.jpg", "test", "red", ["a", "b"]), ("36979.jpg", "train", "blue", ["c"])]
    columns = {
        "image": pa.array([cell(row[2]) for row in rows], IMAGE),
        "caption": pa.array([row[3] for row in rows]),
        "sentids": pa.array([["0", "1"], ["2"]]),
        "split": pa.array([row[1] for row in rows]),
        "img_id": pa.array(["0", "1"]),
        "filename": pa.array([row[0] for row in rows]),
    }
    write_parquet(root / "data/test-00000-of-00001.parquet", columns)
    return root


def test_flickr_of_the_hub(tmp_path: Path) -> None:
    corpus = load_corpus(f"captions/flickr30k@{flickr(tmp_path)}")
    assert (corpus.doc_ids, corpus.query_ids) == (("1007129816",), ("0", "1"))
    assert corpus.documents[0].image.open().getpixel((0, 0)) == (255, 0, 0)
    assert load_captions("flickr30k", tmp_path, split="train").doc_ids == ("36979",)


def test_flickr_as_csv_beside_its_images(tmp_path: Path) -> None:
    with (tmp_path / "flickr_annotations_30k.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["raw", "sentids", "split", "filename", "img_id"])
        rows.writerow([json.dumps(["a, b", "c"]), "[5, 6]", "test", "1.jpg", "0"])
    write_images(tmp_path / "images", {"1.jpg": "red"})
    corpus = load_captions("flickr30k", tmp_path)
    assert [(query.id, query.text) for query in corpus.queries] == [("5", "a, b"), ("6", "c")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filename": None}, r'dataset_coco.json image 4: "filename" is None'),
        ({"sentences": []}, r"image 4 \(filename 'x.jpg'\): its captions are \[\]"),
        ({"sentences": ["good", " "]}, r"its captions are \['good', ' '\]"),
        ({}, r"image file 'x.jpg' does not exist|image file 'val2014/x.jpg' does not exist"),
    ],
)
def test_a_bad_image_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = karpathy(tmp_path) / "dataset_coco.json"
    content = json.loads(path.read_text())
    good = {"filename": "x.jpg", "filepath": "val2014", "split": "test", "sentences": ["good"]}
    write_json(path, {"images": [*content["images"], {**good, **change}]})
    with pytest.raises(CorpusError, match=message):
        load_captions("coco", tmp_path)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        check_captions(load_captions("coco", tmp_path, on_error="skip"))


def test_unknown_names_and_no_captions(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="dataset is 'flickr8k'; expected one of coco, flickr30k"):
        load_captions("flickr8k", tmp_path)
    with pytest.raises(CorpusError, match="split is 'dev'"):
        load_captions("coco", tmp_path, split="dev")
    with pytest.raises(CorpusError, match="pool is 'mixed'"):
        load_captions("coco", tmp_path, pool="mixed")
    with pytest.raises(CorpusError, match="first is 0; expected at least 1"):
        load_captions("coco", tmp_path, first=0)
    with pytest.raises(CorpusError, match=r"holds no captions of coco; expected dataset_coco.json"):
        load_captions("coco", tmp_path)
    (tmp_path / "dataset_coco.json").write_text("[]")
    with pytest.raises(CorpusError, match="expected Karpathy's file, with a list 'images'"):
        load_captions("coco", tmp_path)
    with pytest.raises(CorpusError, match="'captions/coco' is not on this machine"):
        load_corpus("captions/coco")
