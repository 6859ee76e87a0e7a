"""Readers of arrays, tables and Parquet images, item by item."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from published import COLOURS, IMAGE, cell, picture, write_parquet

from mmgap.corpus import images, reading
from mmgap.corpus.images import ParquetImage
from mmgap.corpus.reading import Rejects, read_parquet
from mmgap.corpus.reading import read_records as read_json_array
from mmgap.corpus.reading import read_records as read_table
from mmgap.errors import CorpusError, ImageError


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        "[]",
        ' [ {"a": "é"} , {"b": [1, "]"]} ]\n',
        '\ufeff[{"a": "\\"},{"}]',
        json.dumps([{"id": n, "text": "ünï" * n} for n in range(20)], indent=1),
    ],
)
def test_an_array_is_read_as_json_reads_it(
    text: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    found = [record for _, record in read_json_array(path, Rejects())]
    assert found == json.loads(text.removeprefix("\ufeff"))


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1},]', "after item 1 it holds Expecting value"),
        ('[{"a": 1}', "after item 1 it holds the end of the file"),
        ('[{"a": 1}, {"b', "after item 1 it holds"),
        ('{"a": 1}', "after item 0 it holds {"),
        ('[{"a": 1}] x', "after item 1 it holds x"),
        ("", "after item 0 it holds the end of the file"),
        ('[{"a": 1} {"b": 2}]', "after item 1 it holds {"),
    ],
)
def test_a_damaged_array_says_where(
    text: str, message: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(CorpusError, match=message):
        list(read_json_array(path, Rejects("skip")))


def test_items_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[1, {"a": 2}, "b"]')
    rejects = Rejects("skip")
    assert list(read_json_array(path, rejects)) == [("x.json item 2", {"a": 2})]
    assert list(rejects.skipped) == ["x.json item 1", "x.json item 3"]
    path.write_bytes(b'[{"a": "\xff"}]')
    with pytest.raises(CorpusError, match="bytes that are not UTF-8"):
        list(read_json_array(path, Rejects()))
    with pytest.raises(CorpusError, match=r"none.json cannot be read"):
        list(read_json_array(tmp_path / "none.json", Rejects()))


def test_a_number_that_goes_on_in_the_next_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", 1)
    path = tmp_path / "x.json"
    path.write_text('[123, {"a": 2}]')
    rejects = Rejects("skip")
    assert list(read_json_array(path, rejects)) == [("x.json item 2", {"a": 2})]
    assert rejects.skipped == {"x.json item 1": "expected a JSON object, got 123"}


def test_an_array_is_never_held(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"headline": "x" * 1000}] * 30_000))  # 30 MB
    tracemalloc.start()
    assert sum(1 for _ in read_json_array(path, Rejects())) == 30_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


ROWS = [{"id": "d1", "text": "black, and\na cat", "n": "3"}, {"id": "d2", "text": None, "n": "4"}]


def test_every_format_of_a_table_holds_the_same(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "x.json").write_text(json.dumps(ROWS))
    (tmp_path / "x.csv").write_text('id,text,n\r\nd1,"black, and\na cat",3\r\n\r\nd2,,4\r\n')
    (tmp_path / "x.tsv").write_text('\ufeffid\ttext\tn\nd1\t"black and" a cat\t3\nd2\t\t4\n')
    write_parquet(
        tmp_path / "x.parquet", {name: [row[name] for row in ROWS] for name in ("id", "text", "n")}
    )
    for suffix in ("jsonl", "json", "csv", "tsv", "parquet"):
        found = dict(read_table(tmp_path / f"x.{suffix}", Rejects()))
        first = {**ROWS[0], "text": '"black and" a cat'} if suffix == "tsv" else ROWS[0]
        assert [*found.values()] == [first, ROWS[1]], suffix
        assert all(where.startswith(f"x.{suffix} ") for where in found)
    with pytest.raises(CorpusError, match=r"ends in '.xlsx'; expected one of .jsonl, .csv"):
        next(read_table(tmp_path / "x.xlsx", Rejects()))


def test_bad_lines_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,text\nd1,a,b\nd2,c\n")
    with pytest.raises(CorpusError, match=r"x.csv line 2: has 3 cells, its first line 2"):
        list(read_table(path, Rejects()))
    rejects = Rejects("skip")
    assert list(read_table(path, rejects)) == [("x.csv line 3", {"id": "d2", "text": "c"})]
    assert len(rejects.skipped) == 1
    for text in ("id,id\n1,2\n", "id,\n1,2\n"):
        path.write_text(text)
        with pytest.raises(CorpusError, match="expected a different name for each column"):
            list(read_table(path, Rejects()))
    path.write_bytes(b"id\n\xff\n")
    with pytest.raises(CorpusError, match=r"x.csv line 2: is not UTF-8"):
        list(read_table(path, Rejects()))


def test_images_of_parquet_are_read_one_group_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PARQUET_ROWS", 2)  # several batches in a group
    colours = [COLOURS[n % 6] for n in range(12)]
    columns = {
        "id": [str(n) for n in range(12)],
        "image": pa.array([cell(colour) for colour in colours], IMAGE),
        "raw": pa.array([picture(colour) for colour in colours], pa.binary()),
    }
    path = write_parquet(tmp_path / "x.parquet", columns, group=3)
    opened: list[object] = []
    original = images.open_parquet
    for module in (images, reading):
        monkeypatch.setattr(module, "open_parquet", lambda *a: opened.append(a) or original(*a))
    rows = [row for _, row in read_parquet(path)]
    assert len(opened) == 1
    images._cells.cache_clear()
    for row, colour in zip(rows, colours, strict=True):
        assert row["image"].read_bytes() == picture(colour)
    assert len(opened) == 1 + 4  # once for each group
    assert images._cells.cache_info().maxsize < 10
    assert rows[5]["raw"].open().getpixel((0, 0)) == rows[5]["image"].open().getpixel((0, 0))
    only = dict(read_parquet(path, ["id", "other"]))
    assert only["x.parquet row 12"] == {"id": "11"}


def test_reading_rows_does_not_read_images(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(200_000)
    columns = {
        "id": [str(n) for n in range(50)],
        "image": pa.array([{"bytes": noise + bytes([n]), "path": "x"} for n in range(50)], IMAGE),
    }
    path = write_parquet(tmp_path / "x.parquet", columns, group=50)  # one group of 10 MB
    before = pa.total_allocated_bytes()
    peak = 0
    for _, row in read_parquet(path):
        peak = max(peak, pa.total_allocated_bytes() - before)
        assert isinstance(row["image"], ParquetImage)
    assert peak < 1e6


def test_nulls_and_damage(tmp_path: Path) -> None:
    columns = {
        "image": pa.array([cell("red"), None, {"bytes": b"", "path": None}], IMAGE),
        "raw": pa.array([None, b"x", None], pa.binary()),
    }
    path = write_parquet(tmp_path / "x.parquet", columns)
    rows = [row for _, row in read_parquet(path)]
    assert [row["image"] is None for row in rows] == [False, True, False]
    assert [row["raw"] is None for row in rows] == [True, False, True]
    with pytest.raises(
        ImageError, match=r"x.parquet \(column 'image', row 0 of group 1\): the cell"
    ):
        rows[2]["image"].read_bytes()
    with pytest.raises(ImageError, match="is not an image"):
        rows[1]["raw"].open()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match=r"x.parquet .* cannot be read"):
        rows[0]["image"].read_bytes()
    path.unlink()
    with pytest.raises(ImageError, match=r"x.parquet .* cannot be read"):
        rows[0]["image"].read_bytes()
    with pytest.raises(CorpusError, match=r"x.parquet is no whole Parquet file"):
        next(read_parquet(path))
