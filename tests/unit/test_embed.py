from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmgap as mg
from mmgap.corpus import Corpus, Document, ImageFile, Judgment, Qrels, Query
from mmgap.encoders import Encoder, EncoderInfo
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import EncoderError, ImageError, MmgapError, SkippedItemsWarning


class ColourEncoder:
    """Mean colour of an image; length, vowels and role of a text."""

    def __init__(self) -> None:
        self.info = EncoderInfo("colour", fingerprint="colour 1", backend="test", dim=3)
        self.batches: list[int] = []

    def encode_text(self, texts, *, role="document", batch_size=64, normalize=True):
        assert not normalize
        assert len(texts) <= batch_size
        self.batches.append(len(texts))
        rows = [[len(t), sum(c in "aeiou" for c in t), 1 + (role == "query")] for t in texts]
        return np.array(rows, dtype=np.float32)

    def encode_images(self, images, *, batch_size=64, normalize=True):
        assert not normalize
        assert len(images) <= batch_size
        self.batches.append(len(images))
        return np.stack([1 + np.asarray(im, np.float32).mean((0, 1)) for im in images])


class TextEncoder(ColourEncoder):
    """Reads no images, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self.info = EncoderInfo("words", "words 1", "test", dim=3, modalities=("text",))

    def encode_images(self, images, **options):
        raise AssertionError(images, options)


class LateEncoder(ColourEncoder):
    """One vector for each letter of a text, and for each row of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.info = EncoderInfo("late", "late 1", "test", dim=3)

    def encode_text(self, texts, *, role="document", batch_size=64, normalize=True):
        assert not normalize
        assert len(texts) <= batch_size
        return TokenVectors.from_arrays(
            [[[1, ord(c) / 99, role == "query"] for c in text] for text in texts]
        )

    def encode_images(self, images, *, batch_size=64, normalize=True):
        assert not normalize
        assert len(images) <= batch_size
        return TokenVectors.from_arrays(
            [1 + np.asarray(image, np.float32).mean(axis=1) for image in images]
        )


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Twelve documents: even ones have a text, all but every third an image."""
    documents = []
    for i in range(12):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (4, 4), (20 * i, 255 - 20 * i, 7)).save(path)
        text = f"text number {'aeiou'[i % 5] * i}" if i % 2 == 0 or i % 3 == 0 else None
        documents.append(Document(f"d{i}", text, None if i % 3 == 0 else ImageFile(path)))
    queries = [Query(f"q{i}", f"query {'e' * i}") for i in range(5)]
    return Corpus("demo", documents, queries, Qrels([Judgment(q.id, "d1", 1) for q in queries]))


def test_every_row_belongs_to_its_item(corpus: Corpus) -> None:
    encoder = ColourEncoder()
    assert isinstance(encoder, Encoder)
    vectors = mg.embed(corpus, encoder, cache=False, batch_size=4)
    for row, query in zip(vectors.queries, corpus.queries, strict=True):
        expected = encoder.encode_text([query.text], role="query", normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    for at, row in zip(vectors.text.positions, vectors.text.embeddings, strict=True):
        expected = encoder.encode_text([corpus.documents[at].text], normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    for at, row in zip(vectors.image.positions, vectors.image.embeddings, strict=True):
        expected = encoder.encode_images([corpus.documents[at].image.open()], normalize=False)[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), rtol=1e-6)
    assert list(vectors.text.positions) == [0, 2, 3, 4, 6, 8, 9, 10]
    assert list(vectors.image.positions) == [1, 2, 4, 5, 7, 8, 10, 11]
    assert vectors.scores("image").shape == (5, 8)
    assert vectors.encoder is encoder.info
    assert vectors.corpus is corpus


@pytest.mark.parametrize("cache", [True, "folder"])
def test_a_second_run_encodes_nothing(corpus: Corpus, tmp_path: Path, cache) -> None:
    cache = tmp_path / "cache" if cache == "folder" else cache
    first = mg.embed(corpus, ColourEncoder(), cache=cache)
    encoder = ColourEncoder()
    second = mg.embed(corpus, encoder, cache=cache)
    assert encoder.batches == []
    np.testing.assert_array_equal(first.queries, second.queries)
    for leg in ("text", "image"):
        np.testing.assert_array_equal(first.legs[leg].embeddings, second.legs[leg].embeddings)


def test_without_cache_nothing_is_written(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path / "nothing"))
    mg.embed(corpus, ColourEncoder(), cache=False)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "empty"])
@pytest.mark.parametrize("cache", [False, True])
def test_a_bad_image_is_named_or_left_out(corpus: Corpus, damage: str, cache: bool) -> None:
    path = corpus.documents[4].image.path
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"truncated": data[: len(data) // 2], "text": b"not an image", "empty": b""}[damage]
        )
    with pytest.raises(ImageError, match=r"image of document 'd4': image .*4\.png .*on_error"):
        mg.embed(corpus, ColourEncoder(), cache=cache)
    with pytest.warns(SkippedItemsWarning, match=r"1 items of corpus 'demo' .*'d4'") as caught:
        vectors = mg.embed(corpus, ColourEncoder(), cache=cache, on_error="skip")
    assert Path(caught[0].filename).name == "test_embed.py"
    assert list(vectors.image.positions) == [1, 2, 5, 7, 8, 10, 11]
    assert len(vectors.image.embeddings) == 7
    assert 4 in vectors.text.positions
    assert list(vectors.corpus.skipped) == ["image of document 'd4'"]
    assert vectors.corpus.doc_ids == corpus.doc_ids
    assert corpus.skipped == {}


def test_equal_images_are_encoded_once(corpus: Corpus) -> None:
    one = corpus.documents[1].image
    documents = [Document(f"d{i}", None, one) for i in range(6)]
    encoder = ColourEncoder()
    vectors = mg.embed(
        Corpus("same", documents, corpus.queries, corpus.qrels), encoder, cache=False
    )
    assert encoder.batches == [5, 1]  # queries, one image
    assert vectors.image.embeddings.shape == (6, 3)
    assert vectors.text.embeddings.shape == (0, 3)


def test_no_bar_where_nobody_watches(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    mg.embed(corpus, ColourEncoder(), cache=False, progress=True)
    assert capsys.readouterr() == ("", "")


def test_bars_reach_the_end(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    import rich.progress

    bars: list[rich.progress.Progress] = []
    start = rich.progress.Progress.start

    def remember(self) -> None:
        bars.append(self)
        start(self)

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(rich.progress.Progress, "start", remember)
    mg.embed(corpus, ColourEncoder(), cache=False, progress=True)
    (bar,) = bars
    assert [task.description for task in bar.tasks] == [
        "demo: queries",
        "demo: texts",
        "demo: images",
    ]
    assert all(task.finished for task in bar.tasks)


def test_images_are_loaded_while_the_model_works(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model waits until the image of the next batch was asked for."""
    total = sum(document.image is not None for document in corpus.documents)
    loaded: list[ImageFile] = []
    decode = ImageFile.open
    monkeypatch.setattr(ImageFile, "open", lambda file, *_: (loaded.append(file), decode(file))[1])

    class Waits(ColourEncoder):
        images = 0

        def encode_images(self, images, **options):
            self.images += 1
            patience = time.monotonic() + 10
            while len(loaded) < min(self.images + 1, total):
                assert time.monotonic() < patience, "nobody loads the next image meanwhile"
                time.sleep(0.001)
            return super().encode_images(images, **options)

    encoder = Waits()
    mg.embed(corpus, encoder, cache=False, batch_size=1)
    assert encoder.images == total


def test_warnings_only_for_a_cause(corpus: Corpus) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.embed(corpus, ColourEncoder(), cache=False, on_error="skip")


def test_an_encoder_that_reads_text_only(corpus: Corpus, tmp_path: Path) -> None:
    encoder = TextEncoder()
    vectors = mg.embed(corpus, encoder, cache=tmp_path / "cache")
    assert list(vectors.legs) == ["text"]
    assert vectors.filled_legs == ("text",)
    assert list(vectors.text.positions) == [0, 2, 3, 4, 6, 8, 9, 10]
    assert vectors.scores("text").shape == (5, 8)
    for ask in (lambda: vectors.image, lambda: vectors.scores("image")):
        with pytest.raises(MmgapError, match=r"no image leg: 'words' reads text only; legs.* text"):
            ask()


def test_an_encoder_that_reads_no_text_has_no_queries(corpus: Corpus) -> None:
    encoder = ColourEncoder()
    encoder.info = EncoderInfo("eye", "eye 1", "test", dim=3, modalities=("image",))
    with pytest.raises(EncoderError, match="'eye' reads image only, and queries are texts"):
        mg.embed(corpus, encoder, cache=False)


def test_the_image_of_a_query_is_not_left_out_silently(corpus: Corpus) -> None:
    first, *others = corpus.queries
    pictured = Query(first.id, "like this, in red", image=corpus.documents[1].image)
    asked = Corpus("asked", corpus.documents, [pictured, *others], corpus.qrels)
    with pytest.raises(EncoderError, match="query 'q0' of 'asked' holds an image; queries are"):
        mg.embed(asked, ColourEncoder(), cache=False)


def test_texts_and_images_need_an_encoder(corpus: Corpus) -> None:
    with pytest.raises(EncoderError, match=r"'demo' holds texts and images, not vectors; expected"):
        mg.embed(corpus)


def test_a_leg_without_documents_is_there_but_not_filled(corpus: Corpus) -> None:
    images = [document for document in corpus.documents if document.text is None]
    pool = Corpus("images", images, corpus.queries, corpus.qrels)
    vectors = mg.embed(pool, ColourEncoder(), cache=False)
    assert list(vectors.legs) == ["text", "image"]
    assert vectors.filled_legs == ("image",)
    assert vectors.scores("text").shape == (5, 0)


@pytest.mark.parametrize("cache", [False, True])
def test_late_interaction(corpus: Corpus, cache: bool) -> None:
    for _ in range(2):  # the second time from the cache
        vectors = mg.embed(corpus, LateEncoder(), cache=cache, batch_size=4)
        assert isinstance(vectors.queries, TokenVectors)
        assert vectors.queries.lengths.tolist() == [len(query.text) for query in corpus.queries]
        for leg, kind in (("text", vectors.text), ("image", vectors.image)):
            assert len(kind.embeddings) == len(kind.positions) == 8
            np.testing.assert_allclose(np.linalg.norm(kind.embeddings.tokens, axis=1), 1, atol=1e-6)
            by_hand = [
                [
                    np.mean([max(document @ token) for token in query])
                    for document in kind.embeddings
                ]
                for query in vectors.queries
            ]
            np.testing.assert_allclose(vectors.scores(leg), by_hand, atol=1e-6)
