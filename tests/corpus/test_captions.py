"""COCO and Flickr30k in Karpathy's splits."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from published import IMAGE, cell, write_json, write_parquet, write_pictures

from mmgap.corpus import Corpus, load_captions, load_corpus
from mmgap.errors import CorpusError, SkippedItemsWarning

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
    write_pictures(root / "images" / "val2014", {name: colour for name, _, colour, _ in SHOWN})
    return root


def check(corpus: Corpus) -> None:
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
    check(corpus)
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
    write_pictures(pixels, {name: colour for name, _, colour, _ in SHOWN})  # without val2014/
    write_json(tmp_path / "fetched.json", {"files": {}})  # a fetch leaves it; it is no table
    check(load_captions("coco", tmp_path, images=pixels))
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
    write_pictures(tmp_path / "images", {"1.jpg": "red"})
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
        check(load_captions("coco", tmp_path, on_error="skip"))


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
