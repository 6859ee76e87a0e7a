from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from mmgap.corpus import load_corpus
from mmgap.errors import CorpusError


def document(item: str, split: str, condition: str | None, **more: object) -> dict:
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


def query(item: str, split: str, condition: str | None) -> dict:
    return {
        "id": item,
        "text": f"words of {item}",
        "query_class": "T",
        "split": split,
        "condition": condition,
        "language": "en",
    }


@pytest.fixture
def pictograms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Path) -> Path:
    """Two documents and one query in each pool."""
    root = tmp_path / "data" / "pictograms"
    (root / "images").mkdir(parents=True)
    (root / "languages").mkdir()
    pools = [(s, c) for s in ("calibration", "test") for c in ("style", "concept")]
    documents, queries, qrels = [], [], []
    for split, condition in [*pools, ("train", None)]:
        name = f"{split}-{condition}"
        documents += [document(f"{name}-{i}", split, condition) for i in (1, 2)]
        queries.append(query(f"{name}-q", split, condition))
        qrels += [f"{name}-q\t0\t{name}-1\t2", f"{name}-q\t0\t{name}-2\t1"]
    with zipfile.ZipFile(root / "images" / "inked.zip", "w") as archive:
        for record in documents:
            archive.write(picture, record["image"])
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
    assert {document.metadata["split"] for document in corpus.documents} == {split}
    for document in corpus.documents[::100]:
        assert document.image is not None
        assert max(document.image.open().size) == 128
        assert document.metadata["licence"]
