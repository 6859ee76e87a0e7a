"""What a corpus is, and readers of records, folders and images."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from published import COLOURS, IMAGE, cell, drawing, write_parquet

from mmgap.corpus import (
    Corpus,
    Document,
    Judgment,
    Qrels,
    Query,
    images,
    load_corpus,
    load_folder,
    reading,
)
from mmgap.corpus.images import ParquetImage
from mmgap.corpus.reading import Rejects, read_parquet, read_records
from mmgap.errors import CorpusError, ImageError, SkippedItemsWarning

# A corpus


CATS = [Document("d1", "a black cat", metadata={"domain": "animals"}), Document("d2", "a dog")]
ASKED = [Query("q1", "cat", {"query_class": "T"}), Query("q2", "dog", {"query_class": "I"})]
JUDGED = Qrels([Judgment("q1", "d1", 1), Judgment("q2", "d2", 2)])


def test_what_a_corpus_knows() -> None:
    corpus = Corpus("demo", CATS, ASKED, JUDGED)
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
        Corpus("demo", [*CATS, CATS[0]], ASKED, JUDGED)
    with pytest.raises(CorpusError, match="query id 'q2' more than once"):
        Corpus("demo", CATS, [*ASKED, ASKED[1]], JUDGED)


def test_judgments_of_unknown_documents() -> None:
    qrels = Qrels([*listed(JUDGED), Judgment("q1", "d9", 1)])
    with pytest.raises(CorpusError, match=r"query 'q1' name 1 documents .* e\.g\. 'd9'"):
        Corpus("demo", CATS, ASKED, qrels)


def test_a_query_without_a_relevant_document() -> None:
    with pytest.raises(CorpusError, match=r"query 'q3' .* no relevant document"):
        Corpus("demo", CATS, [*ASKED, Query("q3", "bird")], JUDGED)
    strict = Qrels(listed(JUDGED), min_grade=2)
    with pytest.raises(CorpusError, match=r"query 'q1' .*\(grade >= 2\)"):
        Corpus("demo", CATS, ASKED, strict)


def test_pairs_left_out_must_be_known() -> None:
    pairs = {"q1": frozenset({("d2", "text"), ("d1", "image")}), "q2": frozenset({("d1", "text")})}
    corpus = Corpus("demo", CATS, ASKED, JUDGED, left_out=pairs)
    assert corpus.left_out == pairs
    chosen = corpus.select_queries(lambda query: query.id == "q2")
    assert chosen.left_out == {"q2": pairs["q2"]}
    for pair in [("d9", "text")]:
        with pytest.raises(CorpusError, match=rf"'q1' .* names \('{pair[0]}', '{pair[1]}'\)"):
            Corpus("demo", CATS, ASKED, JUDGED, left_out={"q1": frozenset({pair})})
    with pytest.raises(CorpusError, match="left_out of corpus 'demo' names query 'q9'"):
        Corpus("demo", CATS, ASKED, JUDGED, left_out={"q9": frozenset()})


def test_qrels() -> None:
    assert JUDGED.relevant("q1") == {"d1"}
    assert JUDGED.relevant("unknown") == frozenset()
    assert len(Qrels([*listed(JUDGED), Judgment("q1", "d1", 1)])) == 2
    with pytest.raises(CorpusError, match="'q1' and document 'd1' are judged 1 and 2"):
        Qrels([*listed(JUDGED), Judgment("q1", "d1", 2)])
    with pytest.raises(TypeError):
        JUDGED["q1"]["d1"] = 2  # a mapping to read from


def listed(qrels: Qrels) -> list[Judgment]:
    return [Judgment(q, d, grade) for q, grades in qrels.items() for d, grade in grades.items()]


# Records


@pytest.mark.parametrize(
    "text",
    ["[]", ' [ {"a": "é"} , {"b": [1, "]"]} ]\n', '\ufeff[{"a": "\\"},{"}]'],
)
def test_an_array_is_read_as_json_reads_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    found = [record for _, record in read_records(path, Rejects())]
    assert found == json.loads(text.removeprefix("\ufeff"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"a": 1},]', "x.json is not a complete JSON array .*line 1 column 11"),
        (b'[{"a": 1}', "x.json is not a complete JSON array"),
        (b'{"a": 1}', "x.json holds {'a': 1}; expected a JSON array"),
        (b"", "x.json is not a complete JSON array"),
        (b"[" * 100_000, "x.json is not a complete JSON array"),
        (b'[{"a": "\xff"}]', "x.json is not a complete JSON array .*decode"),
        (None, "x.json cannot be read .No such file"),
    ],
)
def test_a_damaged_array_is_named(data: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        list(read_records(path, Rejects("skip")))


def test_items_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[1, {"a": 2}, "b"]')
    rejects = Rejects("skip")
    assert list(read_records(path, rejects)) == [("x.json item 2", {"a": 2})]
    assert list(rejects.skipped) == ["x.json item 1", "x.json item 3"]


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
        found = dict(read_records(tmp_path / f"x.{suffix}", Rejects()))
        first = {**ROWS[0], "text": '"black and" a cat'} if suffix == "tsv" else ROWS[0]
        assert [*found.values()] == [first, ROWS[1]], suffix
        assert all(where.startswith(f"x.{suffix} ") for where in found)
    with pytest.raises(CorpusError, match=r"ends in '.xlsx'; expected one of .jsonl, .csv"):
        next(read_records(tmp_path / "x.xlsx", Rejects()))


def test_bad_lines_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,text\nd1,a,b\nd2,c\n")
    with pytest.raises(CorpusError, match=r"x.csv line 2: has 3 cells, its first line 2"):
        list(read_records(path, Rejects()))
    rejects = Rejects("skip")
    assert list(read_records(path, rejects)) == [("x.csv line 3", {"id": "d2", "text": "c"})]
    assert len(rejects.skipped) == 1
    for text in ("id,id\n1,2\n", "id,\n1,2\n"):
        path.write_text(text)
        with pytest.raises(CorpusError, match="expected a different name for each column"):
            list(read_records(path, Rejects()))
    path.write_bytes(b"id\n\xff\n")
    with pytest.raises(CorpusError, match=r"x.csv line 2: is not UTF-8"):
        list(read_records(path, Rejects()))


def test_images_of_parquet_are_read_one_group_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PARQUET_ROWS", 2)  # several batches in a group
    colours = [COLOURS[n % 6] for n in range(12)]
    columns = {
        "id": [str(n) for n in range(12)],
        "image": pa.array([cell(colour) for colour in colours], IMAGE),
        "raw": pa.array([drawing(colour) for colour in colours], pa.binary()),
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
        assert row["image"].read_bytes() == drawing(colour)
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
    with pytest.raises(CorpusError, match=r"x.parquet is not a complete Parquet file"):
        next(read_parquet(path))


# A folder of one's own


DOCUMENTS = [
    {"id": "d1", "text": "a black cat", "image": "images/cat.png", "licence": "CC0-1.0"},
    {"id": "d2", "text": "a white dog"},
    {"id": "d3", "image": "images/cat.png", "text": None},
]
QUERIES = [{"id": "q1", "text": "cat", "query_class": "T"}, {"id": "q2", "text": "dog"}]
QRELS = ["q1\t0\td1\t2", "q1\t0\td3\t1", "q2\t0\td2\t1"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(root / "images" / "cat.png")
    (tmp_path / "outside.png").write_bytes((root / "images" / "cat.png").read_bytes())
    write(root / "documents.jsonl", DOCUMENTS)
    write(root / "queries.jsonl", QUERIES)
    (root / "qrels.tsv").write_text("\n".join(QRELS) + "\n")
    return root


def write(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def append(name: str, line: str | bytes) -> Callable[[Path], None]:
    data = line.encode() if isinstance(line, str) else line

    def spoil(root: Path) -> None:
        path = root / name
        path.write_bytes(path.read_bytes() + data + b"\n")

    return spoil


def test_a_good_folder(folder: Path) -> None:
    corpus = load_corpus(folder)
    assert corpus.doc_ids == ("d1", "d2", "d3")
    assert corpus.name == "mine"
    first, second, third = corpus.documents
    assert first.image is not None
    assert first.image.open().size == (4, 4)
    assert (first.metadata, second.image, third.text) == ({"licence": "CC0-1.0"}, None, None)
    assert corpus.queries[0].metadata == {"query_class": "T"}
    assert dict(corpus.qrels["q1"]) == {"d1": 2, "d3": 1}
    assert corpus.skipped == {}


def test_blank_lines_a_byte_order_mark_and_blanks_for_tabs(folder: Path) -> None:
    path = folder / "queries.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    (folder / "qrels.tsv").write_text("q1 0 d1 1\n\nq2  0  d2  1")
    assert load_folder(folder).query_ids == ("q1", "q2")


BAD_LINES = {
    "missing image file": (
        append("documents.jsonl", '{"id": "d4", "image": "images/dog.png"}'),
        r"documents.jsonl line 4 \(id 'd4'\): image file 'images/dog.png' does not exist",
    ),
    "image outside": (
        append("documents.jsonl", '{"id": "d4", "image": "../outside.png"}'),
        r"line 4 \(id 'd4'\): image '../outside.png' lies outside the folder; copy it",
    ),
    "absolute image": (
        append("documents.jsonl", '{"id": "d4", "image": "/etc/passwd"}'),
        r"image '/etc/passwd' lies outside",
    ),
    "image of a wrong type": (
        append("documents.jsonl", '{"id": "d4", "image": 7}'),
        "its image is 7; expected a path",
    ),
    "bad JSON": (
        append("documents.jsonl", '{"id": "d4", "text": '),
        r"documents.jsonl line 4: is not JSON \(.*\): \{\"id\"",
    ),
    "JSON, but no object": (
        append("queries.jsonl", '["q3", "cat"]'),
        r"queries.jsonl line 3: expected a JSON object .*, got \[\"q3\"",
    ),
    "deep JSON": (append("queries.jsonl", "[" * 100_000), r"queries.jsonl line 3: is not JSON"),
    "not UTF-8": (
        append("queries.jsonl", b'{"id": "\xff"}'),
        r"queries.jsonl line 3: is not UTF-8",
    ),
    "empty text": (
        append("documents.jsonl", '{"id": "d4", "text": "  "}'),
        r"line 4 \(id 'd4'\): \"text\" is '  '; expected a text that is not empty",
    ),
    "empty query": (
        append("queries.jsonl", '{"id": "q3", "text": ""}'),
        r"queries.jsonl line 3 \(id 'q3'\): \"text\" is ''",
    ),
    "no text and no image": (
        append("documents.jsonl", '{"id": "d4"}'),
        r"line 4 \(id 'd4'\): has neither text nor image",
    ),
    "no id": (append("documents.jsonl", '{"text": "x"}'), r'line 4: "id" is None; expected'),
    "id of a wrong type": (append("queries.jsonl", '{"id": 3.5, "text": "x"}'), r'"id" is 3.5;'),
    "duplicate document": (
        append("documents.jsonl", '{"id": "d1", "text": "again"}'),
        r"line 4 \(id 'd1'\): document id 'd1' was used before",
    ),
    "duplicate query": (
        append("queries.jsonl", '{"id": "q1", "text": "again"}'),
        r"queries.jsonl line 3 \(id 'q1'\): query id 'q1' was used before",
    ),
    "unknown document": (
        append("qrels.tsv", "q1\t0\td9\t1"),
        r"qrels.tsv line 4: names document 'd9', which documents.jsonl lacks",
    ),
    "unknown query": (
        append("qrels.tsv", "q9\t0\td1\t1"),
        r"qrels.tsv line 4: names query 'q9', which queries.jsonl lacks",
    ),
    "three columns": (
        append("qrels.tsv", "q1\td2\t1"),
        r"qrels.tsv line 4: has 3 columns, expected 4",
    ),
    "grade": (append("qrels.tsv", "q1\t0\td2\t0.5"), r"line 4: grade '0.5' is not a whole number"),
    "two grades": (append("qrels.tsv", "q1\t0\td1\t1"), r"line 4: judges .*'d1'.* 1, .* 2"),
    "no relevant document": (
        append("queries.jsonl", '{"id": "q3", "text": "bird"}'),
        r"query 'q3': qrels.tsv names no relevant document",
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_line_is_named_or_left_out(case: str, folder: Path) -> None:
    spoil, message = BAD_LINES[case]
    spoil(folder)
    with pytest.raises(CorpusError, match=message) as error:
        load_folder(folder)
    assert "on_error='skip'" in str(error.value)
    with pytest.warns(SkippedItemsWarning, match=r"^1 items of .*mine were left out") as caught:
        corpus = load_folder(folder, on_error="skip")
    assert Path(caught[0].filename).name == "test_reading.py"
    assert (corpus.doc_ids, corpus.query_ids) == (("d1", "d2", "d3"), ("q1", "q2"))
    assert len(corpus.skipped) == 1


def test_what_hangs_on_a_left_out_item_is_left_out_too(folder: Path) -> None:
    (folder / "images" / "cat.png").unlink()
    with pytest.warns(SkippedItemsWarning, match="^5 items"):
        corpus = load_folder(folder, on_error="skip")
    assert (corpus.doc_ids, corpus.query_ids) == (("d2",), ("q2",))
    assert [item.split(" (")[0] for item in corpus.skipped] == [
        "documents.jsonl line 1",
        "documents.jsonl line 3",
        "qrels.tsv line 1",
        "qrels.tsv line 2",
        "query 'q1'",
    ]


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "images" / "link.png").symlink_to(folder.parent / "outside.png")
    append("documents.jsonl", '{"id": "d4", "image": "images/link.png"}')(folder)
    with pytest.raises(CorpusError, match="lies outside the folder"):
        load_folder(folder)


def test_nothing_usable_is_an_error_even_when_skipping(folder: Path) -> None:
    (folder / "documents.jsonl").write_text("")
    with (
        pytest.warns(SkippedItemsWarning),
        pytest.raises(CorpusError, match=r"no usable query; 5 items were left out, e\.g\. qrels"),
    ):
        load_folder(folder, on_error="skip")


def test_a_grade_below_the_least_is_not_relevant(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"query 'q2': .*\(grade >= 2\)"):
        load_folder(folder, min_grade=2)


def test_missing_files_and_unknown_options(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"lacks documents.jsonl; expected it with queries.jsonl and qrels.tsv"
    ):
        load_folder(tmp_path)
    with pytest.raises(CorpusError, match="on_error is 'ignore'; expected 'raise' or 'skip'"):
        load_folder(folder, on_error="ignore")


# Other formats of the three files


def as_tables(folder: Path, suffix: str) -> None:
    """Write the three files of the good folder again in another format."""
    import pandas as pd

    qrels = [line.split("\t") for line in QRELS]
    tables = {
        "documents": pd.DataFrame(DOCUMENTS),
        "queries": pd.DataFrame(QUERIES),
        "qrels": pd.DataFrame(
            [(query, doc, int(grade)) for query, _, doc, grade in qrels],
            columns=["query_id", "doc_id", "grade"],
        ),
    }
    for old in ("documents.jsonl", "queries.jsonl", "qrels.tsv"):
        (folder / old).unlink()
    for role, table in tables.items():
        path = folder / f"{role}{suffix}"
        if suffix == ".csv":
            table.to_csv(path, index=False)
        elif suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_json(path, orient="records", lines=suffix == ".jsonl")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".jsonl"])
def test_other_formats_give_the_same_corpus(folder: Path, suffix: str) -> None:
    expected = load_folder(folder)
    as_tables(folder, suffix)
    corpus = load_folder(folder)
    assert corpus.documents == expected.documents
    assert corpus.queries == expected.queries
    assert corpus.qrels == expected.qrels


def test_bad_rows_of_tables_are_named(folder: Path) -> None:
    as_tables(folder, ".csv")
    documents, qrels = folder / "documents.csv", folder / "qrels.csv"
    documents.write_text(documents.read_text() + "d4,,images/dog.png,\n")
    qrels.write_text(qrels.read_text() + "q1,d2,0.5\nq1,,1\n")
    with pytest.raises(CorpusError, match=r"documents.csv line 5 \(id 'd4'\): image file"):
        load_folder(folder)
    with pytest.warns(SkippedItemsWarning, match="^3 items"):
        corpus = load_folder(folder, on_error="skip")
    assert list(corpus.skipped.values())[1:] == [
        "grade '0.5' is not a whole number",
        "has no doc_id; expected doc_id, doc-id, corpus_id, corpus-id, document_id, did in: "
        "query_id, doc_id, grade",
    ]


def test_parquet_may_hold_images_and_numbers_as_ids(folder: Path) -> None:
    import pandas as pd

    data = (folder / "images" / "cat.png").read_bytes()
    (folder / "documents.jsonl").unlink()
    table = pd.DataFrame({"id": [1, 2], "text": ["a black cat", None], "image": [None, data]})
    table.assign(year=[2024, 2025]).to_parquet(folder / "documents.parquet")
    (folder / "qrels.tsv").write_text("q1\t0\t1\t1\nq2\t0\t2\t1\n")
    corpus = load_folder(folder)
    assert corpus.doc_ids == ("1", "2")
    assert corpus.documents[0].image is None
    assert corpus.documents[1].image.open().size == (4, 4)
    assert corpus.documents[1].metadata == {"year": "2025"}


def test_a_file_in_two_formats_is_refused(folder: Path) -> None:
    (folder / "queries.csv").write_text("id,text\nq1,cat\n")
    with pytest.raises(CorpusError, match=r"holds queries.jsonl and queries.csv; keep one"):
        load_folder(folder)


# A plain folder of images


@pytest.fixture
def plain(folder: Path, tmp_path: Path) -> Path:
    """Three images, two with texts; one lies deeper."""
    root = tmp_path / "plain"
    (root / "sub").mkdir(parents=True)
    data = (folder / "images" / "cat.png").read_bytes()
    for name in ("cat.png", "dog.PNG", "sub/cat.png", ".hidden.png"):
        (root / name).write_bytes(data)
    (root / "cat.txt").write_text("\ufeffa black cat\n", encoding="utf-8")
    (root / "sub" / "cat.txt").write_text("a white cat")
    (root / "Thumbs.db").write_bytes(b"no document")
    return root


def test_texts_beside_images_ask_for_them(plain: Path) -> None:
    corpus = load_corpus(plain)
    assert corpus.doc_ids == ("cat", "dog", "sub/cat")
    assert [document.text for document in corpus.documents] == ["a black cat", None, "a white cat"]
    assert corpus.documents[1].image.open().size == (4, 4)
    assert [(query.id, query.text) for query in corpus.queries] == [
        ("cat", "a black cat"),
        ("sub/cat", "a white cat"),
    ]
    assert dict(corpus.qrels["cat"]) == {"cat": 1}
    # A text does not find itself.
    assert corpus.left_out == {
        "cat": frozenset({("cat", "text")}),
        "sub/cat": frozenset({("sub/cat", "text")}),
    }


def test_equal_texts_are_one_query_for_all_their_images(plain: Path) -> None:
    (plain / "sub" / "cat.txt").write_text("a black cat")
    corpus = load_folder(plain)
    assert corpus.query_ids == ("cat",)
    assert dict(corpus.qrels["cat"]) == {"cat": 1, "sub/cat": 1}
    assert corpus.left_out == {"cat": frozenset({("cat", "text"), ("sub/cat", "text")})}


def test_a_plain_folder_with_queries_of_its_own(plain: Path) -> None:
    write(plain / "queries.jsonl", [{"id": "q1", "text": "dog"}])
    assert not load_folder(plain).judged
    (plain / "qrels.txt").write_text("q1 0 dog 2\nq1 0 cat 1\n")
    corpus = load_folder(plain, min_grade=2)
    assert corpus.query_ids == ("q1",)
    assert corpus.qrels.relevant("q1") == {"dog"}
    assert corpus.left_out == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("cta.txt", b"misspelled", r"cta.txt: has no image of the same name beside it"),
        ("dog.txt", b"  ", r"dog.PNG: its text dog.txt is empty"),
        ("dog.txt", b"\xff", r"dog.PNG: its text dog.txt cannot be read"),
        ("cat.gif", b"", r"cat.png: document id 'cat' was used before"),
    ],
)
def test_what_is_odd_in_a_plain_folder_is_named(
    plain: Path, name: str, data: bytes, message: str
) -> None:
    (plain / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        load_folder(plain)
    with pytest.warns(SkippedItemsWarning, match="^1 items"):
        assert load_folder(plain, on_error="skip").query_ids == ("cat", "sub/cat")


def test_images_alone_are_no_corpus(plain: Path) -> None:
    for path in plain.rglob("*.txt"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"lacks documents.jsonl; .* images with their texts"):
        load_folder(plain)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(CorpusError, match="did you mean 'pictograms'"):
        load_corpus("pictogram")
    with pytest.raises(CorpusError, match="known: pictograms"):
        load_corpus("zzz")


def test_no_warning_without_cause(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_folder(folder, on_error="skip")
