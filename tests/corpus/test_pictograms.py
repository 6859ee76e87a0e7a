"""The bundled corpus: its files, and its loader on small ones."""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
import zipfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from mmgap.corpus import load_corpus
from mmgap.errors import CorpusError

# The data


DATA = Path(__file__).parents[2] / "data" / "pictograms"

REQUIRED = ["text", "text_source", "style", "image", "concept", "cluster", "domain"]
REQUIRED += ["image_source", "licence", "creator"]
TEST_STYLES = {"emojitwo", "fxemoji", "iso-flags"}
CALIBRATION_STYLES = {"noto-v1", "openclipart-flags"}
POOLS = {
    ("train", None),
    ("calibration", "style"),
    ("calibration", "concept"),
    ("test", "style"),
    ("test", "concept"),
}


@cache
def read(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def documents() -> dict[str, dict]:
    return {row["id"]: row for row in read("documents.jsonl")}


def queries() -> dict[str, dict]:
    return {row["id"]: row for row in read("queries.jsonl")}


@cache
def grades() -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (DATA / "qrels.tsv").read_text("utf-8").splitlines():
        query, zero, document, grade = line.split("\t")
        assert zero == "0"
        judged[query][document] = int(grade)
    return judged


@cache
def manifest() -> dict:
    return json.loads((DATA / "manifest.json").read_text("utf-8"))


def pool(row: dict) -> tuple[str, str | None]:
    return row["split"], row["condition"]


def key(text: str) -> str:
    return text.casefold().strip()


# Size and checksums


def test_every_file_has_the_size_and_checksum_of_the_manifest() -> None:
    here = {p.relative_to(DATA).as_posix() for p in DATA.rglob("*") if p.is_file()}
    assert here == {*manifest()["files"], "manifest.json"}
    for name, expected in manifest()["files"].items():
        blob = (DATA / name).read_bytes()
        assert len(blob) == expected["bytes"], name
        assert hashlib.sha256(blob).hexdigest() == expected["sha256"], name


def test_it_is_large_enough_and_under_25_megabytes() -> None:
    assert len(read("documents.jsonl")) >= 8000
    assert len(read("queries.jsonl")) >= 5000
    assert sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()) < 25_000_000


def test_pools_are_large_enough() -> None:
    counts = defaultdict(int)
    for row in read("documents.jsonl"):
        counts[pool(row)] += 1
    assert set(counts) == POOLS == {pool(row) for row in read("queries.jsonl")}
    assert counts["test", "style"] >= 1000
    assert counts["test", "concept"] >= 1500


def test_the_datasheet_says_what_the_manifest_counts() -> None:
    text = (DATA / "README.md").read_text("utf-8")
    counts = manifest()["counts"]
    assert counts["documents"] == len(read("documents.jsonl"))
    assert counts["queries"] == len(read("queries.jsonl"))
    assert counts["judgments"] == sum(map(len, grades().values()))
    for name in ("documents", "queries", "judgments"):
        assert f"{counts[name]:,} " in text
    for name, number in counts["documents_by_domain"].items():
        assert f"| {name} | {number:,} |" in text
    for style, number in counts["documents_by_style"].items():
        assert f"| {style} | {number:,} |" in text
    assert not re.search(r"\{\w", text), "a number of the datasheet was not put in"


# Documents and pictures


def test_ids_are_unique_and_lines_sorted() -> None:
    for name in ("documents.jsonl", "queries.jsonl"):
        ids = [row["id"] for row in read(name)]
        assert ids == sorted(set(ids))


def test_every_document_says_everything() -> None:
    for row in read("documents.jsonl"):
        for field in REQUIRED:
            assert row[field].strip(), (row["id"], field)
        assert isinstance(row["informative"], bool)
        assert row["licence"] in {"Apache-2.0", "MIT", "CC-BY-4.0", "CC-BY-3.0", "public domain"}
        assert not re.search(r"</?[a-z]", row["text"]), row["id"]
        assert "&amp;" not in row["text"], row["id"]


def test_every_image_is_there_once_and_differs_from_every_other() -> None:
    by_style = defaultdict(dict)
    for row in read("documents.jsonl"):
        by_style[row["style"]][row["image"]] = row["id"]
    seen: dict[str, str] = {}
    for style, members in by_style.items():
        with zipfile.ZipFile(DATA / "images" / f"{style}.zip") as archive:
            assert archive.namelist() == sorted(members)
            for member in archive.infolist():
                assert member.compress_type == zipfile.ZIP_STORED
                assert member.filename == members[member.filename] + ".webp"
                digest = hashlib.sha256(archive.read(member)).hexdigest()
                assert digest not in seen, (member.filename, seen.get(digest))
                seen[digest] = member.filename
    assert len(seen) == len(read("documents.jsonl"))


def test_no_two_images_have_equal_pixels_and_none_is_blank() -> None:
    seen: dict[bytes, str] = {}
    for path in sorted((DATA / "images").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with Image.open(io.BytesIO(archive.read(name))) as image:
                    assert (image.format, image.size, image.mode) == ("WEBP", (128, 128), "RGB")
                    pixels = image.tobytes()
                assert min(pixels) < 225, name
                digest = hashlib.md5(pixels, usedforsecurity=False).digest()
                assert digest not in seen, (name, seen.get(digest))
                seen[digest] = name


def test_no_skin_tones() -> None:
    for name in ("documents.jsonl", "queries.jsonl"):
        for row in read(name):
            assert "skin tone" not in row["text"], row["id"]
            assert not re.search(r"skin-tone|-1f3f[b-f]", row["id"]), row["id"]


# Splits


def test_no_held_out_style_and_no_held_out_cluster_crosses() -> None:
    clusters: dict[str, set] = defaultdict(set)
    for row in read("documents.jsonl"):
        style, where = row["style"], pool(row)
        if style in TEST_STYLES:
            assert row["split"] == "test", row["id"]
        elif style in CALIBRATION_STYLES:
            assert row["split"] == "calibration", row["id"]
        else:
            assert where in {("train", None), ("test", "concept"), ("calibration", "concept")}
        held = where if where[1] == "concept" else "known"
        clusters[row["cluster"]].add(held)
    assert all(len(parts) == 1 for parts in clusters.values())
    concepts: dict[str, set] = defaultdict(set)
    for row in [*read("documents.jsonl"), *read("queries.jsonl")]:
        concepts[row["concept"]].add(row["cluster"])
    assert all(len(found) == 1 for found in concepts.values())


def test_queries_ask_for_clusters_of_their_own_pool() -> None:
    known = {r["cluster"] for r in read("documents.jsonl") if r["condition"] != "concept"}
    held = {
        where: {r["cluster"] for r in read("documents.jsonl") if pool(r) == where}
        for where in (("test", "concept"), ("calibration", "concept"))
    }
    for row in read("queries.jsonl"):
        assert row["cluster"] in held.get(pool(row), known), row["id"]


def test_calibration_and_test_share_no_query_and_no_cluster() -> None:
    texts: dict[str, set[str]] = defaultdict(set)
    clusters: dict[str, set[str]] = defaultdict(set)
    for row in read("queries.jsonl"):
        texts[row["split"]].add(key(row["text"]))
        if row["split"] != "train":
            clusters[row["split"]].add(row["cluster"])
    assert not texts["calibration"] & texts["test"]
    assert not clusters["calibration"] & clusters["test"]


def test_new_phrasings_of_known_concepts_stand_nowhere_in_train() -> None:
    trained = {
        key(row["text"])
        for name in ("documents.jsonl", "queries.jsonl")
        for row in read(name)
        if row["split"] == "train"
    }
    for row in read("queries.jsonl"):
        if row["split"] != "train" and row["phrasing"] == "new":
            assert key(row["text"]) not in trained, row["id"]
        if row["split"] == "train":
            assert row["text_source"] != "emojilib_keywords", row["id"]


# Queries and judgments


def test_no_query_stands_word_for_word_in_a_document() -> None:
    texts = {key(row["text"]) for row in read("documents.jsonl")}
    assert not [row["id"] for row in read("queries.jsonl") if key(row["text"]) in texts]


def test_no_query_text_twice_in_one_pool() -> None:
    found = [(pool(row), key(row["text"])) for row in read("queries.jsonl")]
    assert len(found) == len(set(found))


def test_judgments_stay_inside_the_pool() -> None:
    shelf, asked = documents(), queries()
    assert set(grades()) == set(asked)
    for query, judged in grades().items():
        assert 2 in judged.values(), query
        assert set(judged.values()) <= {1, 2}
        if asked[query]["split"] == "train":
            assert set(judged.values()) == {2}, query
        for document in judged:
            assert pool(shelf[document]) == pool(asked[query]), (query, document)


def test_query_classes_follow_from_the_documents() -> None:
    shelf = documents()
    for row in read("queries.jsonl"):
        best = [shelf[d] for d, grade in grades()[row["id"]].items() if grade == 2]
        informative = {d["informative"] for d in best}
        partly = any(d.get("title_coverage") == "some" for d in best)
        kind = row["query_class"]
        if row["text_source"] == "flag_description":
            assert kind == "I"
        elif kind == "T":
            assert (informative, partly) == ({True}, False), row["id"]
        elif kind == "I":
            assert (informative, partly) == ({False}, False), row["id"]
        elif kind == "M":
            assert len(informative) == 2 or partly, row["id"]
        else:
            assert kind == "B", row["id"]


def test_text_alone_cannot_tell_apart_what_class_b_asks_for() -> None:
    """Every half-right document of a B query carries a text that a right one carries too."""
    shelf = documents()
    tested = 0
    for row in read("queries.jsonl"):
        if row["query_class"] != "B" or row["split"] == "train":
            continue
        tested += row["split"] == "test"
        judged = grades()[row["id"]]
        best = {shelf[d]["text"] for d, grade in judged.items() if grade == 2 and _own(shelf[d])}
        half = {shelf[d]["text"] for d, grade in judged.items() if grade == 1 and _own(shelf[d])}
        assert half <= best, row["id"]
    assert tested >= 250


def _own(document: dict) -> bool:
    """Return whether a document is an emoji or flag, not clip art or a silhouette of that name."""
    return document["domain"] not in {"clip-art", "silhouettes"}


def test_phrasings() -> None:
    names = {"cldr_name", "clip_art_title", "icon_name"}
    for row in read("queries.jsonl"):
        assert row["phrasing"] == ("name" if row["text_source"] in names else "new"), row["id"]
        assert row["language"] == "en"


# Other languages


def test_languages_and_scripts() -> None:
    asked = queries()
    scripts: dict[str, set[str]] = {}
    for path in sorted((DATA / "languages").glob("*.jsonl")):
        rows = read(f"languages/{path.name}")
        assert len(rows) > 1000
        letters: dict[str, int] = defaultdict(int)
        for row in rows:
            same = asked[row["same_as"]]
            assert row["text"].strip()
            assert row["language"] == path.stem
            assert same["phrasing"] == "name"
            assert same["split"] != "train"
            for letter in row["text"]:
                if letter.isalpha():
                    letters[unicodedata.name(letter).split()[0]] += 1
        scripts[path.stem] = {
            name for name, n in letters.items() if n > 0.2 * sum(letters.values())
        }
    assert len(scripts) >= 12
    assert {"LATIN", "CYRILLIC", "CJK", "HANGUL", "DEVANAGARI", "THAI"} <= set.union(
        *scripts.values()
    )
    assert scripts["ru"] == {"CYRILLIC"}
    assert scripts["ko"] == {"HANGUL"}
    assert "KATAKANA" in scripts["ja"]


def test_names_in_other_languages_are_right() -> None:
    def names(language: str) -> dict[str, str]:
        asked = queries()
        return {
            asked[row["same_as"]]["concept"]: row["text"]
            for row in read(f"languages/{language}.jsonl")
        }

    german, french, japanese = names("de"), names("fr"), names("ja")
    checked = 0
    for concept, expected in HAND_CHECKED_NAMES.items():
        if concept in german:
            found = (german[concept], french[concept], japanese[concept])
            assert found == expected
            checked += 1
    assert checked >= 3


HAND_CHECKED_NAMES = {
    "hedgehog": ("Igel", "hérisson", "ハリネズミ"),
    "flag-at": ("Österreich", "Autriche", "オーストリア"),
    "banana": ("Banane", "banane", "バナナ"),
    "elephant": ("Elefant", "éléphant", "ゾウ"),
    "strawberry": ("Erdbeere", "fraise", "いちご"),
    "rocket": ("Rakete", "fusée", "ロケット"),
    "tractor": ("Traktor", "tracteur", "トラクター"),
}


# A few that were read by hand


def test_known_documents() -> None:
    shelf = documents()
    flag = shelf["twemoji-flags.at"]
    assert flag["licence"] == "CC-BY-4.0"
    assert flag["concept"] == "flag-at"
    for row in shelf.values():
        if row["concept"] == "flag-at":
            assert row["text"].startswith(("Europe", "Once the center of power", "Central Europe"))
        if row["concept"] == "hedgehog" and row["domain"] == "nature":
            assert row["text"] in {
                "animals & nature: mammals",
                "animal, spiny",
                HEDGEHOG,
            }


HEDGEHOG = "small nocturnal Old World mammal covered with both hair and protective spines"


@pytest.mark.parametrize(
    ("concept", "source", "text"),
    [
        (
            "flag-at",
            "flag_description",
            "three equal horizontal bands of red (top), white, and red",
        ),
    ],
)
def test_known_queries(concept: str, source: str, text: str) -> None:
    found = {
        row["text"]
        for row in read("queries.jsonl")
        if (row["concept"], row["text_source"]) == (concept, source)
    }
    assert found == {text}


def test_region_and_flag_description_starts_with_the_documents_text() -> None:
    shelf = documents()
    for row in read("queries.jsonl"):
        if row["text_source"] == "region_and_flag_description":
            for document, grade in grades()[row["id"]].items():
                assert grade == 2
                assert row["text"].startswith(shelf[document]["text"] + ": ")


# The loader


def made_document(item: str, split: str, condition: str | None, **more: object) -> dict:
    return {
        "id": item,
        "text": f"text of {item}",
        "style": "inked",
        "image": f"{item}.png",
        "informative": True,
        "domain": "animals",
        "split": split,
        "condition": condition,
        **more,
    }


def made_query(item: str, split: str, condition: str | None) -> dict:
    return {
        "id": item,
        "text": f"words of {item}",
        "query_class": "T",
        "split": split,
        "condition": condition,
        "language": "en",
    }


@pytest.fixture
def pictograms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_file: Path) -> Path:
    """Two documents and one made_query in each pool."""
    root = tmp_path / "data" / "pictograms"
    (root / "images").mkdir(parents=True)
    (root / "languages").mkdir()
    pools = [(s, c) for s in ("calibration", "test") for c in ("style", "concept")]
    documents, queries, qrels = [], [], []
    for split, condition in [*pools, ("train", None)]:
        name = f"{split}-{condition}"
        documents += [made_document(f"{name}-{i}", split, condition) for i in (1, 2)]
        queries.append(made_query(f"{name}-q", split, condition))
        qrels += [f"{name}-q\t0\t{name}-1\t2", f"{name}-q\t0\t{name}-2\t1"]
    with zipfile.ZipFile(root / "images" / "inked.zip", "w") as archive:
        for record in documents:
            archive.write(image_file, record["image"])
    for name, records in {"documents": documents, "queries": queries}.items():
        (root / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (root / "qrels.tsv").write_text("\n".join(qrels))
    german = [
        {
            "id": f"{record['id']}.de",
            "text": "Wörter",
            "language": "de",
            "script": "Latin",
            "same_as": record["id"],
        }
        for record in queries
    ]
    path = root / "languages" / "de.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in german), encoding="utf-8")
    monkeypatch.setenv("MMGAP_DATA", str(root.parent))
    return root


@pytest.mark.usefixtures("pictograms")
def test_the_pool_is_one_split_and_condition() -> None:
    corpus = load_corpus("pictograms", split="calibration", condition="concept")
    assert corpus.name == "pictograms/calibration/concept"
    assert corpus.doc_ids == ("calibration-concept-1", "calibration-concept-2")
    assert corpus.query_ids == ("calibration-concept-q",)
    assert corpus.qrels.relevant("calibration-concept-q") == {"calibration-concept-1"}
    assert corpus.documents[0].metadata["informative"] == "true"
    assert corpus.documents[0].image is not None
    assert corpus.documents[0].image.open().size == (8, 4)


@pytest.mark.usefixtures("pictograms")
def test_defaults() -> None:
    assert load_corpus("pictograms").name == "pictograms/test/style"
    assert load_corpus("pictograms", split="train").name == "pictograms/train"


@pytest.mark.usefixtures("pictograms")
def test_another_language_has_the_same_judgments() -> None:
    corpus = load_corpus("pictograms", language="de")
    assert corpus.name == "pictograms/test/style/de"
    (only,) = corpus.queries
    assert (only.id, only.text) == ("test-style-q.de", "Wörter")
    assert only.metadata["language"] == "de"
    assert only.metadata["query_class"] == "T"
    assert corpus.qrels.relevant(only.id) == {"test-style-1"}


@pytest.mark.usefixtures("pictograms")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "split is 'dev'; pictograms has train, calibration, test"),
        ({"condition": "all"}, "condition is 'all'; .*judged apart; load one after the other"),
        ({"split": "train", "condition": "style"}, "split 'train' has no conditions"),
        ({"language": "tlh"}, "language is 'tlh'; pictograms has queries in de, en"),
    ],
)
def test_unknown_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        load_corpus("pictograms", **options)


def test_no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMGAP_DATA", str(tmp_path))
    with pytest.raises(CorpusError, match="point MMGAP_DATA"):
        load_corpus("pictograms")


@pytest.mark.parametrize(
    "pool",
    [
        ("train", None),
        ("calibration", "style"),
        ("calibration", "concept"),
        ("test", "style"),
        ("test", "concept"),
    ],
)
def test_the_bundled_corpus(pool: tuple[str, str | None]) -> None:
    split, condition = pool
    corpus = load_corpus("pictograms", split=split, condition=condition)
    assert len(corpus.documents) > 500
    assert len(corpus.queries) > 100
    assert {made_document.metadata["split"] for made_document in corpus.documents} == {split}
    for made_document in corpus.documents[::100]:
        assert made_document.image is not None
        assert max(made_document.image.open().size) == 128
        assert made_document.metadata["licence"]
