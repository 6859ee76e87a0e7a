from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmgap.corpus import load_corpus, load_folder
from mmgap.errors import CorpusError, SkippedItemsWarning

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
        r'"image" is 7; expected a path',
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
    assert Path(caught[0].filename).name == "test_folder_corpus.py"
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
