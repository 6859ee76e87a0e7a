"""Tasks of M-BEIR: pools of texts, of images and of both; queries with images."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from published import (
    IMAGE,
    cell,
    items,
    judgments,
    write_json_lines,
    write_mteb,
    write_parquet,
    write_pictures,
)

import mmgap as mg
from mmgap.corpus import load_corpus, load_mbeir
from mmgap.errors import CorpusError, ImageError, SkippedItemsWarning

DOCUMENTS = [
    ("2:1", "a passage", None),
    ("2:2", None, "red"),
    ("2:3", "a caption", "blue"),
]
QUERIES = [("2:10", "what is red?", None), ("2:11", "which passage?", None)]
QRELS = [("2:10", "2:2", 1), ("2:10", "2:3", 1), ("2:11", "2:1", 1)]


def test_a_pool_of_all_three_kinds(tmp_path: Path) -> None:
    corpus = load_corpus(f"mbeir/webqa_task2@{write_mteb(tmp_path, DOCUMENTS, QUERIES, QRELS)}")
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
    write_parquet(tmp_path / "queries/test-00000-of-00001.parquet", items(QUERIES))
    write_parquet(tmp_path / "queries/train-00000-of-00001.parquet", items([("2:99", "x", None)]))
    table = judgments(QRELS)
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
    root = write_mteb(tmp_path, DOCUMENTS, QUERIES, QRELS)
    kinds = [pa.string(), pa.string(), pa.string(), IMAGE]
    names = ["id", "modality", "text", "image"]
    columns = {n: pa.array([v], k) for n, v, k in zip(names, row, kinds, strict=True)}
    write_parquet(root / "corpus/corpus-00002.parquet", columns)
    with pytest.raises(CorpusError, match=message):
        load_mbeir("webqa_task2", root)
    with pytest.warns(SkippedItemsWarning, match="^1 items") as caught:
        corpus = load_mbeir("webqa_task2", root, on_error="skip")
    assert Path(caught[0].filename).name == "test_mbeir.py"
    assert corpus.doc_ids == ("2:1", "2:2", "2:3")
    assert len(corpus.skipped) == 1


def test_a_cell_without_bytes_is_named_when_it_is_read(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, QUERIES, QRELS)
    columns = items([("2:7", None, "red"), ("2:8", None, "red")])
    columns["image"] = pa.array([cell("red"), {"bytes": None, "path": "gone.jpg"}], IMAGE)
    write_parquet(root / "corpus/corpus-00002.parquet", columns)
    corpus = load_mbeir("webqa_task2", root)
    assert corpus.document("2:7").image.open().size == (8, 8)
    with pytest.raises(ImageError, match=r"00002.parquet .*row 1 of group 0\): the cell holds no"):
        corpus.document("2:8").image.read_bytes()


def test_judgments_that_do_not_fit(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, QUERIES, [*QRELS, ("2:10", "2:99", 1)])
    with pytest.raises(CorpusError, match=r"row 4: names document '2:99', which the corpus lacks"):
        load_mbeir("webqa_task2", root)
    root = write_mteb(tmp_path, DOCUMENTS, [*QUERIES, ("2:12", "who?", None)], QRELS)
    with pytest.raises(CorpusError, match="query '2:12': the qrels table names no relevant"):
        load_mbeir("webqa_task2", root)


def test_missing_files_are_named(tmp_path: Path) -> None:
    root = write_mteb(tmp_path, DOCUMENTS, QUERIES, QRELS)
    with pytest.raises(CorpusError, match=r"no Parquet file of queries, qrels \(split 'val'\)"):
        load_mbeir("webqa_task2", root, split="val")
    with pytest.raises(CorpusError, match=r"pool is 'global', but .* mteb's form"):
        load_mbeir("webqa_task2", root, pool="global")
    with pytest.raises(CorpusError, match="pool is 'all'; expected one of local"):
        load_mbeir("webqa_task2", root, pool="all")
    (root / "corpus/corpus-00001-of-00002.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(CorpusError, match=r"00001-of-00002.parquet is no whole Parquet file"):
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
    write_pictures(root / "mbeir_images", {"a.png": "red", "b.png": "blue"})
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
    root = write_mteb(tmp_path, DOCUMENTS, QUERIES, QRELS)
    vectors = mg.embed(load_mbeir("webqa_task2", root), mg.load_encoder("mini-clip"))
    assert vectors.text.positions.tolist() == [0, 2]
    assert vectors.image.positions.tolist() == [1, 2]
    recall = mg.recall_table(mg.run_strategies(vectors), vectors.corpus.qrels, k=3)
    merged = recall.query("strategy == 'max' and measure == 'recall@3'")
    assert merged["value"].tolist() == [1.0]
