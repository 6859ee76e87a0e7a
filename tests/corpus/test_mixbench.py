"""MixBench in the fields and splits of its versions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from published import IMAGE, cell, write_json_lines, write_parquet, write_pictures

from mmgap.corpus import Corpus, load_corpus, load_mixbench
from mmgap.errors import CorpusError, SkippedItemsWarning

# id, text, colour
MIXED = [("0", "a man on a moped", None), ("1", None, "red"), ("2", "a dog", "blue")]
WHOLE = [("0", "a man on a moped", "green"), ("1", "a cat", "red"), ("2", "a dog", "blue")]
QUERIES = [("0", "moped on a road", None), ("1", "cat", None)]
QRELS = [("0", "0", 1), ("1", "1", 2)]


def decoded(rows: list[tuple[str, str | None, str | None]]) -> dict[str, pa.Array]:
    """Fields of MixBench2025: the image itself."""
    return {
        "id": pa.array([row[0] for row in rows], pa.string()),
        "text": pa.array([row[1] for row in rows], pa.string()),
        "image": pa.array([cell(row[2]) for row in rows], IMAGE),
    }


def version_2025(root: Path, *, with_qrels: bool = True) -> Path:
    folder = root / "MSCOCO"
    for split, rows in {"queries": QUERIES, "corpus": WHOLE, "mixed_corpus": MIXED}.items():
        write_parquet(folder / f"{split}-00000-of-00001.parquet", decoded(rows))
    if with_qrels:
        columns = dict(
            zip(("query_id", "corpus_id", "score"), zip(*QRELS, strict=True), strict=True)
        )
        write_parquet(
            folder / "qrel-00000-of-00001.parquet", {k: list(v) for k, v in columns.items()}
        )
    return root


def version_25(root: Path) -> Path:
    """All fields in every split, null where they do not belong; images are paths."""
    empty = dict.fromkeys(("query_id", "corpus_id", "text", "image", "score"))
    rows = {
        "query": [{"query_id": i, "text": t} for i, t, _ in QUERIES],
        "qrel": [{"query_id": q, "corpus_id": d, "score": s} for q, d, s in QRELS],
    }
    for split, pool in {"corpus": WHOLE, "mixed_corpus": MIXED}.items():
        rows[split] = [
            {"corpus_id": i, "text": t or "", "image": f"images/{c}.jpg" if c else ""}
            for i, t, c in pool
        ]
    for split, records in rows.items():
        write_json_lines(root / f"{split}.jsonl", [{**empty, **each} for each in records])
    write_pictures(root / "images", {f"{c}.jpg": c for c in ("red", "green", "blue")})
    return root


def check(corpus: Corpus) -> None:
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
    check(load_corpus(f"mixbench/MSCOCO@{version_2025(tmp_path)}"))
    whole = load_mixbench("MSCOCO", tmp_path, pool="corpus")
    assert whole.name == "mixbench/MSCOCO/corpus"
    assert all(each.text and each.image for each in whole.documents)


def test_version_25(tmp_path: Path) -> None:
    check(load_mixbench("MSCOCO", version_25(tmp_path)))
    assert load_mixbench("MSCOCO", tmp_path, pool="corpus").documents[1].text == "a cat"


def test_judgments_may_be_given_apart(tmp_path: Path) -> None:
    version_2025(tmp_path, with_qrels=False)
    with pytest.raises(CorpusError, match=r"holds no judgments .* give a file: qrels=FILE"):
        load_mixbench("MSCOCO", tmp_path)
    trec = tmp_path / "mine.txt"
    trec.write_text("0 0 0 1\n1 0 1 2\n")
    check(load_mixbench("MSCOCO", tmp_path, qrels=trec))
    head = tmp_path / "mine.tsv"
    head.write_text("query_id\tcorpus_id\tscore\n0\t0\t1\n1\t1\t2\n")
    check(load_mixbench("MSCOCO", tmp_path, qrels=head))


def test_image_queries(tmp_path: Path) -> None:
    version_2025(tmp_path)
    path = tmp_path / "MSCOCO" / "queries-00000-of-00001.parquet"
    write_parquet(path, decoded([*QUERIES, ("2", None, "blue")]))
    with pytest.raises(CorpusError, match=r"parquet row 3 \(id '2'\): asks with an image"):
        load_mixbench("MSCOCO", tmp_path)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        check(load_mixbench("MSCOCO", tmp_path, on_error="skip"))


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
        check(load_mixbench("MSCOCO", tmp_path, on_error="skip"))


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
