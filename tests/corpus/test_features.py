"""Ready-made embeddings: public files, files of one's own, and what is wrong with them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmgap as mg
from mmgap.corpus import FEATURE_SETS, FeatureCorpus, Query, load_corpus, load_features
from mmgap.errors import (
    CacheDamageWarning,
    CorpusError,
    EncoderError,
    MmgapError,
    SkippedItemsWarning,
)
from mmgap.paths import oracles_dir

NAME = "clip-vit-b16-coco500"
PUBLISHED = oracles_dir() / "features_clip.npy"
IMAGE = np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
TEXT = np.array([[4.0, 3.0], [0.75, 1.0], [0.0, 2.0]])  # exact in float16 too
QUERIES = np.array([[1.0, 0.125], [0.125, 1.0], [1.0, 0.875]])


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file in the place of the published one, to be fetched from where it lies."""
    monkeypatch.setenv("MMGAP_ORACLES", str(tmp_path / "oracles"))
    monkeypatch.setenv("MMGAP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "server" / "features_clip.npy"
    path.parent.mkdir()
    np.save(path, np.stack([IMAGE, TEXT]))
    data = path.read_bytes()
    small = replace(
        FEATURE_SETS[NAME],
        url=path.as_uri(),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    monkeypatch.setitem(FEATURE_SETS, NAME, small)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# The published file


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"{PUBLISHED} does not exist")
def test_the_published_features() -> None:
    corpus = load_corpus(f"features/{NAME}")
    image, text = np.load(PUBLISHED, allow_pickle=False)
    assert corpus.name == f"features/{NAME}"
    assert (len(corpus.documents), len(corpus.queries)) == (500, 500)
    np.testing.assert_array_equal(corpus.image_embeddings, image)
    np.testing.assert_array_equal(corpus.text_embeddings, text)
    np.testing.assert_array_equal(corpus.query_embeddings, text)
    assert corpus.licence == "MIT"


def test_the_address_names_one_commit() -> None:
    known = FEATURE_SETS[NAME]
    assert "/8e20cb24efa4c5f89aad694f2f65eb43ffc46d10/" in known.url
    assert known.sha256 == "7227280ace0f145d2c45afa8ab507a1cb280e9460aa271fe9052d08e35342adb"


def test_downloaded_once_then_taken_from_the_cache(public: Path, tmp_path: Path) -> None:
    first = load_corpus(f"features/{NAME}")
    np.testing.assert_array_equal(first.image_embeddings, IMAGE)
    assert files(tmp_path / "cache") == ["features_clip.npy"]
    public.unlink()
    np.testing.assert_array_equal(load_corpus(f"features/{NAME}").text_embeddings, TEXT)


def test_a_file_given_by_hand_is_taken_first(public: Path, tmp_path: Path) -> None:
    (tmp_path / "oracles").mkdir()
    public.rename(tmp_path / "oracles" / "features_clip.npy")
    assert len(load_corpus(f"features/{NAME}").documents) == 3
    assert not (tmp_path / "cache").exists()


def test_a_wrong_file_given_by_hand_is_refused_and_named(public: Path, tmp_path: Path) -> None:
    given = tmp_path / "oracles" / "features_clip.npy"
    given.parent.mkdir()
    given.write_bytes(public.read_bytes()[:-1] + b"?")
    with pytest.raises(CorpusError, match=r"oracles/features_clip\.npy is not the published file"):
        load_corpus(f"features/{NAME}")


def test_a_damaged_copy_in_the_cache_is_fetched_again(public: Path, tmp_path: Path) -> None:
    load_corpus(f"features/{NAME}")
    (cached,) = (tmp_path / "cache").rglob("*.npy")
    cached.write_bytes(public.read_bytes()[:50])
    with pytest.warns(CacheDamageWarning, match=str(cached)):
        corpus = load_corpus(f"features/{NAME}")
    np.testing.assert_array_equal(corpus.image_embeddings, IMAGE)
    assert cached.read_bytes() == public.read_bytes()


@pytest.mark.parametrize(
    "change", [lambda data: data[:-9], lambda data: data + b"?", lambda _: b""]
)
def test_a_wrong_download_is_not_kept(public: Path, tmp_path: Path, change) -> None:
    public.write_bytes(change(public.read_bytes()))
    with pytest.raises(CorpusError, match=r"did not return the published file but .* bytes"):
        load_corpus(f"features/{NAME}")
    assert files(tmp_path / "cache") == []


def test_without_a_network_the_message_says_what_to_do(public: Path, tmp_path: Path) -> None:
    public.unlink()
    with pytest.raises(CorpusError) as caught:
        load_corpus(f"features/{NAME}")
    message = str(caught.value)
    assert public.as_uri() in message
    assert "0.0 MB" in message
    assert str(tmp_path / "cache" / "features" / "features_clip.npy") in message
    assert "MMGAP_ORACLES" in message
    assert FEATURE_SETS[NAME].file in message


@pytest.mark.usefixtures("public")
def test_a_write_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fill_the_disk(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fill_the_disk)
        with pytest.raises(MmgapError, match="No space left"):
            load_corpus(f"features/{NAME}")
    assert files(tmp_path / "cache") == []


# Files of one's own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of all forms; ``pairs`` is the folder form."""
    np.save(tmp_path / "a.npy", IMAGE)
    np.save(tmp_path / "b.npy", TEXT)
    np.save(tmp_path / "q.npy", QUERIES)
    np.save(tmp_path / "both.npy", np.stack([IMAGE, TEXT]).astype(np.float16))
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    np.save(pairs / "image.npy", IMAGE)
    np.save(pairs / "text.npy", TEXT)
    return tmp_path


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("{0}/a.npy,{0}/b.npy", "features/a"),
        ("features/{0}/a.npy,{0}/b.npy", "features/a"),
        ("{0}/both.npy", "features/both"),
        ("features/{0}/both.npy", "features/both"),
        ("{0}/pairs", "features/pairs"),
        ("features/{0}/pairs", "features/pairs"),
    ],
)
def test_one_door_for_every_form(folder: Path, spelling: str, name: str) -> None:
    corpus = load_corpus(spelling.format(folder))
    assert isinstance(corpus, FeatureCorpus)
    assert corpus.name == name
    np.testing.assert_array_equal(corpus.image_embeddings, IMAGE)
    np.testing.assert_array_equal(corpus.text_embeddings, TEXT)
    assert corpus.image_embeddings.dtype == np.float32
    assert corpus.doc_ids == corpus.query_ids == ("pair-000", "pair-001", "pair-002")
    assert all(corpus.qrels.relevant(pair) == {pair} for pair in corpus.query_ids)
    assert corpus.documents[0].text is None
    assert corpus.documents[0].image is None


def test_relative_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a folder that is itself called "features"."""
    monkeypatch.chdir(folder)
    assert len(load_corpus("a.npy,b.npy").documents) == 3
    (folder / "pairs").rename(folder / "features")
    assert load_corpus("features").name == "features/features"
    (folder / "features" / "mine.npy").write_bytes((folder / "both.npy").read_bytes())
    assert load_corpus("features/mine.npy").name == "features/mine"


def test_a_caption_does_not_meet_itself(folder: Path) -> None:
    vectors = mg.embed(load_corpus(f"{folder}/a.npy,{folder}/b.npy"))
    unit = TEXT / np.linalg.norm(TEXT, axis=1, keepdims=True)
    expected = unit @ unit.T
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(vectors.scores("text"), expected, atol=1e-6)
    assert np.isfinite(vectors.scores("image")).all()


def test_queries_apart_from_the_texts_meet_every_text(folder: Path) -> None:
    apart = load_corpus(f"{folder}/a.npy,{folder}/b.npy,{folder}/q.npy")
    assert apart.left_out == {}
    vectors = mg.embed(apart)
    np.testing.assert_allclose(vectors.queries[0], QUERIES[0] / np.hypot(1, 0.125), rtol=1e-6)
    assert np.isfinite(vectors.scores("text")).all()
    np.save(folder / "pairs" / "queries.npy", QUERIES)
    (folder / "pairs" / "ids.txt").write_text("cat\ndog\nfish\n")
    in_folder = load_corpus(folder / "pairs")
    assert in_folder.doc_ids == ("cat", "dog", "fish")
    np.testing.assert_array_equal(in_folder.query_embeddings, apart.query_embeddings)


def test_vectors_of_unit_length_without_an_encoder() -> None:
    corpus = load_features(IMAGE, TEXT, encoder_name="mine")
    vectors = mg.embed(corpus)
    np.testing.assert_allclose(vectors.image.embeddings[0], [1, 0])
    np.testing.assert_allclose(vectors.text.embeddings[0], [0.8, 0.6], rtol=1e-6)
    assert vectors.image.embeddings.dtype == np.float32
    info = vectors.encoder
    assert (info.id, info.backend, info.dim) == ("mine", "features", 2)
    assert len(info.fingerprint) == 64
    other = mg.embed(load_features(IMAGE + 1, TEXT))
    assert info.fingerprint != other.encoder.fingerprint


def test_an_encoder_has_nothing_to_read_there() -> None:
    corpus = load_features(IMAGE, TEXT)
    with pytest.raises(EncoderError, match=r"ready-made vectors of 'features'.*'mini-clip'.*embed"):
        mg.embed(corpus, mg.load_encoder("mini-clip"))


def test_selected_queries_keep_their_vectors_and_pairs() -> None:
    corpus = load_features(IMAGE, TEXT, ids=["cat", "dog", "fish"])
    chosen = corpus.select_queries(lambda query: query.id != "cat")
    np.testing.assert_array_equal(chosen.query_embeddings, TEXT[1:])
    assert set(chosen.left_out) == {"dog", "fish"}
    assert chosen.doc_ids == corpus.doc_ids
    assert np.isnan(mg.embed(chosen).scores("text")[0, 1])


def test_arrays_must_fit_the_corpus() -> None:
    corpus = load_features(IMAGE, TEXT)
    with pytest.raises(CorpusError, match=r"query_embeddings .* have shape \(2, 2\); expected \(3"):
        replace(corpus, query_embeddings=corpus.query_embeddings[:2])
    with pytest.raises(CorpusError, match="query_embeddings"):
        replace(corpus, queries=[*corpus.queries, Query("new", "")], qrels=OnePair())


class OnePair(dict):
    """Judgments in which the first pair answers every query."""

    min_grade = 1

    def relevant(self, query_id: str) -> frozenset[str]:  # noqa: ARG002
        return frozenset({"pair-000"})

    def __getitem__(self, query_id: str) -> dict[str, int]:
        return {"pair-000": 1}


# What is wrong with files


def with_row(rows: np.ndarray, value: float, row: int = 1) -> np.ndarray:
    rows = rows.copy()
    rows[row] = value
    return rows


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        (IMAGE, TEXT[:2], r"b\.npy has shape \(2, 2\) and .*a\.npy \(3, 2\); expected the same"),
        (IMAGE, TEXT[:, :1], r"b\.npy has shape \(3, 1\) and .*a\.npy \(3, 2\)"),
        (IMAGE, TEXT[0], r"b\.npy has shape \(2,\); expected two axes"),
        (IMAGE[:0], TEXT[:0], r"a\.npy has shape \(0, 2\); expected two axes .* at least one"),
        (IMAGE, with_row(TEXT, np.nan), r"row 1 of .*b\.npy \(pair 'pair-001'\): holds NaN"),
        (with_row(IMAGE, np.inf), TEXT, r"row 1 of .*a\.npy \(pair 'pair-001'\): holds NaN"),
        (with_row(IMAGE, 1e300), TEXT, r"row 1 of .*a\.npy .*: holds NaN or infinity"),
        (with_row(IMAGE, 0), TEXT, r"row 1 of .*a\.npy .*: is zero, so it has no direction"),
        (IMAGE, np.array(["a", "b"]), r"b\.npy holds <U1; expected one array of real numbers"),
        (IMAGE, TEXT + 1j, r"b\.npy holds complex128; expected one array of real numbers"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, image: np.ndarray, text: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "a.npy", image)
    np.save(tmp_path / "b.npy", text)
    with pytest.raises(CorpusError, match=message):
        load_corpus(f"{tmp_path}/a.npy,{tmp_path}/b.npy")


def test_files_that_are_no_arrays(folder: Path) -> None:
    image, text = folder / "a.npy", folder / "b.npy"
    whole = text.read_bytes()
    for data in (b"", b"no array", whole[:-4], whole[:60]):
        text.write_bytes(data)
        with pytest.raises(CorpusError, match=r"b\.npy is not a complete \.npy file of numbers"):
            load_features(image, text)
    np.save(text, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorpusError, match=r"b\.npy is not a complete .* Pickled objects are never"):
        load_features(image, text)
    np.savez(folder / "many.npz", TEXT)
    with pytest.raises(CorpusError, match=r"many\.npz holds several arrays"):
        load_features(image, folder / "many.npz")
    with pytest.raises(CorpusError, match=r"none\.npy cannot be read \(No such file"):
        load_features(image, folder / "none.npy")
    with pytest.raises(CorpusError, match=r"none\.npy cannot be read"):
        load_corpus(f"{image},{folder / 'none.npy'}")
    (folder / "pairs" / "text.npy").unlink()
    with pytest.raises(CorpusError, match=r"pairs/text\.npy cannot be read"):
        load_corpus(folder / "pairs")


def test_a_stacked_file_needs_two_halves(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"a\.npy has shape \(3, 2\); without texts expected \(2"):
        load_corpus(folder / "a.npy")
    np.save(folder / "both.npy", np.stack([IMAGE, with_row(TEXT, 0, row=2)]))
    with pytest.raises(CorpusError, match=r"row 2 of texts of .*both\.npy \(pair 'pair-002'\)"):
        load_corpus(folder / "both.npy")
    with pytest.raises(CorpusError, match="is a folder, which holds the texts too"):
        load_features(folder / "pairs", TEXT)


def test_ids_must_fit(folder: Path) -> None:
    (folder / "pairs" / "ids.txt").write_text("cat\ndog\n")
    with pytest.raises(CorpusError, match="got 2 ids for 3 pairs"):
        load_corpus(folder / "pairs")
    with pytest.raises(CorpusError, match="document id 'cat' more than once"):
        load_features(IMAGE, TEXT, ids=["cat", "dog", "cat"])


def test_bad_pairs_are_left_out_on_request() -> None:
    image, text = with_row(IMAGE, np.nan, row=0), with_row(TEXT, 0, row=2)
    with pytest.warns(SkippedItemsWarning, match=r"2 items of features/arrays .*'pair-000'"):
        corpus = load_features(image, text, on_error="skip")
    assert corpus.doc_ids == corpus.query_ids == ("pair-001",)
    np.testing.assert_array_equal(corpus.text_embeddings, TEXT[1:2])
    assert list(corpus.skipped) == [
        "row 0 of the image array (pair 'pair-000')",
        "row 2 of the text array (pair 'pair-002')",
    ]
    with pytest.raises(CorpusError, match="none of the 3 pairs can be used"):
        load_features(IMAGE * 0, TEXT, on_error="skip")


def test_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(CorpusError, match=rf"'features/clip'; did you mean 'features/{NAME}'"):
        load_corpus("features/clip")


def test_a_sample_takes_its_vectors_along() -> None:
    rng = np.random.default_rng(3)
    image, text = rng.normal(size=(2, 12, 4)).astype(np.float32)
    whole = load_features(image, text)
    drawn = whole.sample(5)
    rows = [whole.doc_ids.index(doc_id) for doc_id in drawn.doc_ids]
    assert len(rows) == 5
    np.testing.assert_array_equal(drawn.image_embeddings, image[rows])
    np.testing.assert_array_equal(drawn.query_embeddings, text[rows])
    assert set(drawn.left_out) == set(drawn.query_ids)
    vectors = mg.embed(drawn)
    assert np.isnan(np.diag(vectors.scores("text"))).all()
    assert np.isfinite(vectors.scores("image")).all()
