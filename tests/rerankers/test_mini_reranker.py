"""The bundled reranker: what it is, what it does to search, and how it is trained."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import mmgap as mg
from mmgap import paths
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.schema import Document
from mmgap.encoders.mini import SentenceTower
from mmgap.errors import EncoderError
from mmgap.rerankers import Content, Pair, Reranker, load_reranker
from mmgap.rerankers.mini import MAX_WORDS, CrossNetwork, MiniReranker, load_image_tower, read_texts

FOLDER = paths.data_dir() / "models" / "mini-reranker"
SCRIPTS = paths.data_dir().parent / "scripts"


@pytest.fixture(scope="module")
def reranker() -> MiniReranker:
    return load_reranker("mini-reranker")


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """The training script, as a module; it imports its sibling of the encoders."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("train_mini_reranker")
    finally:
        sys.path.remove(str(SCRIPTS))


def square(colour: str, size: tuple[int, int] = (128, 128)) -> Image.Image:
    return Image.new("RGB", size, colour)


PAIRS = [
    Pair(Content("red cat"), Content("the dog, which barks at night")),
    Pair(Content("a blue square on white ground, drawn by hand"), Content(image=square("blue"))),
    Pair(Content("red"), Content("red", square("red", (40, 90)))),
    Pair(Content("?"), Content("🦔")),
    Pair(Content("word " * 300), Content("another " * 300, square("green"))),
    Pair(Content("red"), Content("red")),
    Pair(Content("red"), Content(image=square("red", (40, 90)))),
]


# --- scores ---------------------------------------------------------------------------------------


def test_it_follows_the_protocol(reranker: MiniReranker) -> None:
    assert isinstance(reranker, Reranker)
    assert reranker.info.backend == "mini"
    assert {pair.kind for pair in PAIRS} == set(reranker.info.modalities)
    scores = reranker.score(PAIRS)
    assert scores.shape == (7,)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 1
    assert reranker.score([]).shape == (0,)
    assert repr(reranker) == "MiniReranker('mini-reranker')"


def test_scores_do_not_depend_on_batch_order_or_what_was_kept(reranker: MiniReranker) -> None:
    expected = reranker.score(PAIRS)
    fresh = MiniReranker()
    alone = [fresh.score([pair])[0] for pair in PAIRS]
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    for size in (1, 2, 3):
        np.testing.assert_allclose(reranker.score(PAIRS, batch_size=size), expected, atol=1e-4)
    np.testing.assert_allclose(reranker.score(PAIRS[::-1]), expected[::-1], atol=1e-4)
    np.testing.assert_array_equal(reranker.score(PAIRS), expected)


def test_reading_ahead_changes_no_score_and_leaves_nothing_to_read(
    reranker: MiniReranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reranker.score(PAIRS)
    fresh = load_reranker("mini-reranker")
    fresh.read_ahead([pair.document for pair in PAIRS])
    fresh.read_ahead([Content(pair.query.text) for pair in PAIRS])

    def read(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(fresh, "_read_texts", read)
    monkeypatch.setattr(fresh, "_read_images", read)
    np.testing.assert_allclose(fresh.score(PAIRS), expected, atol=1e-4)


def test_forgetting_changes_nothing(
    reranker: MiniReranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reranker.score(PAIRS)
    monkeypatch.setattr("mmgap.rerankers.mini._KEPT", 2)
    small = MiniReranker()
    np.testing.assert_allclose(small.score(PAIRS), expected, atol=1e-4)
    assert (len(small._texts), len(small._images)) == (2, 2)
    np.testing.assert_allclose(small.score(PAIRS), expected, atol=1e-4)


def test_a_image_is_known_by_its_pixels(reranker: MiniReranker) -> None:
    """Neither by its object, which another may follow at the same address, nor by its size."""
    asked = Content("red")
    red, again, blue = (
        reranker.score([Pair(asked, Content(image=square(colour)))])[0]
        for colour in ("red", "red", "blue")
    )
    assert red == pytest.approx(again, abs=1e-5)
    assert abs(red - blue) > 1e-2


def test_each_side_of_a_document_counts(reranker: MiniReranker) -> None:
    text, image, both = reranker.score([PAIRS[5], PAIRS[6], PAIRS[2]])
    assert len({round(float(score), 3) for score in (text, image, both)}) == 3


def test_a_blank_text_beside_an_image_is_no_text(reranker: MiniReranker) -> None:
    image = square("red", (40, 90))
    blank, none = (Pair(Content("red"), Content(text, image)) for text in ("  ", None))
    scores = reranker.score([blank, none])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_images_as_queries_are_refused(reranker: MiniReranker) -> None:
    pair = Pair(Content(image=square("red")), Content("red"))
    with pytest.raises(EncoderError, match=r"pair 1 is image-text .*'mini-reranker' takes text-"):
        reranker.score([PAIRS[0], pair])


def test_reading_texts_cuts_to_what_the_network_attends_to() -> None:
    read = read_texts(SentenceTower(), ["word " * 300, "red"])
    # [CLS] and the words; [SEP] is dropped
    assert read.lengths.tolist() == [MAX_WORDS, 2]
    assert read.states.shape == (MAX_WORDS + 2, 384)
    np.testing.assert_allclose(read.sentence[1:], SentenceTower()(["red"]), atol=1e-5)


# --- the committed files --------------------------------------------------------------------------


def test_weights_are_small_half_precision_and_described() -> None:
    from safetensors import safe_open

    file = FOLDER / "model.safetensors"
    assert file.stat().st_size < 5e6
    with safe_open(file, "pt") as weights:
        assert {weights.get_tensor(key).dtype for key in weights.keys()} == {torch.float16}  # noqa: SIM118
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# mini-reranker\n")
    assert "cross-fitted" in card


def test_weights_and_corpus_belong_together(training: ModuleType) -> None:
    recorded = json.loads((FOLDER / "config.json").read_text())["training"]
    assert recorded["train_split_sha256"] == training.train_split_sha256()


def test_missing_and_misfitting_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"lacks config.json and model.safetensors.*Clone"):
        load_reranker("mini-reranker", folder=tmp_path)
    shutil.copytree(FOLDER, tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"layers": 2', '"layers": 3'))
    with pytest.raises(EncoderError, match=r"other do not fit its config.json"):
        load_reranker("mini-reranker", folder=tmp_path / "other")
    tower = json.loads(text)["image_tower_sha256"]
    config.write_text(text.replace(tower, "0" * 64))
    with pytest.raises(EncoderError, match=r"with sha256 0000.*train the reranker again"):
        load_reranker("mini-reranker", folder=tmp_path / "other")


# --- what it does to search -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def reranked(reranker: MiniReranker) -> dict[str, np.ndarray]:
    """Calibration queries of new styles: what mini-clip finds, and the scores of both.

    No image, no artist and no query of this pool was trained on.
    """
    corpus = load_pictograms("calibration", "style")
    vectors = mg.embed(corpus, mg.load_encoder("mini-clip"))
    legs = {leg: vectors.scores(leg) for leg in ("text", "image")}
    found = np.concatenate(
        [np.argsort(-scores, axis=1, kind="stable")[:, :16] for scores in legs.values()], axis=1
    )
    queries = [Content(query.text) for query in corpus.queries]
    shown = {
        "text": [Content(document.text) for document in corpus.documents],
        "image": [Content(image=document.image.open()) for document in corpus.documents],
    }
    shown["fused"] = [
        Content(text.text, image.image)
        for text, image in zip(shown["text"], shown["image"], strict=True)
    ]
    relevant = np.array(
        [
            [corpus.doc_ids[k] in corpus.qrels.relevant(query) for k in row]
            for query, row in zip(corpus.query_ids, found, strict=True)
        ]
    )
    result = {"found": found, "relevant": relevant}
    result["n_relevant"] = np.array([len(corpus.qrels.relevant(q)) for q in corpus.query_ids])
    for leg, scores in legs.items():
        result[f"first {leg}"] = np.take_along_axis(scores, found, axis=1)
    for side, contents in shown.items():
        pairs = [
            Pair(query, contents[k]) for query, row in zip(queries, found, strict=True) for k in row
        ]
        result[side] = reranker.score(pairs).reshape(found.shape)
    return result


def recall_at_10(scores: np.ndarray, reranked: dict[str, np.ndarray]) -> np.ndarray:
    """Recall of each query; a document that both legs found takes one place."""
    values = []
    for row, documents in enumerate(reranked["found"]):
        _, once = np.unique(documents, return_index=True)
        best = once[np.argsort(-scores[row, once], kind="stable")[:10]]
        values.append(reranked["relevant"][row, best].sum() / reranked["n_relevant"][row])
    return np.array(values)


def test_it_beats_its_first_stage_on_unseen_styles(reranked: dict[str, np.ndarray]) -> None:
    first = recall_at_10(reranked["first text"] + reranked["first image"], reranked)
    second = recall_at_10(reranked["fused"], reranked)
    won, lost = int((second > first).sum()), int((second < first).sum())
    assert second.mean() > first.mean() + 0.015
    assert stats.binomtest(won, won + lost, alternative="greater").pvalue < 0.05


def test_its_scores_of_texts_and_of_images_compare(reranked: dict[str, np.ndarray]) -> None:
    """Claim A7: between the two distributions lies less than between those of mini-clip."""
    wrong = ~reranked["relevant"]
    own = stats.ks_2samp(reranked["text"][wrong], reranked["image"][wrong]).statistic
    first = stats.ks_2samp(reranked["first text"][wrong], reranked["first image"][wrong]).statistic
    assert own < first


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tower", [0, 1])
def test_a_tower_is_kept_from_images_and_phrasings(training: ModuleType, tower: int) -> None:
    documents = [
        Document(f"{style}.{cluster}", metadata={"style": style, "cluster": cluster})
        for cluster in map(str, range(60))
        for style in ("noto", "twemoji", "fluent-3d", "openclipart")
    ]
    n = len(documents)
    concept = np.repeat(np.arange(60), 4)
    data = training.TrainingSet(
        squares=np.arange(n, dtype=np.uint8),
        concept=concept,
        may_flip=np.ones(n, dtype=bool),
        sentences=torch.zeros(120, 384),
        names=[np.array([k]) for k in range(60)],
        others=[np.array([60 + k]) for k in range(60)],
    )
    part = training.part_of(data, documents, tower)
    own = [document for document in documents if training.unseen_by(document) == tower]
    assert len(part.squares) == len(part.concept) == n - len(own)
    assert not {documents.index(document) for document in own} & set(part.squares.tolist())
    assert 0.3 < len(own) / n < 0.6
    # some things are unknown in every style; of others one artist's images alone
    clusters = {document.metadata["cluster"] for document in own}
    whole = {c for c in clusters if sum(d.metadata["cluster"] == c for d in own) == 4}
    assert 5 <= len(whole) <= 15
    rest = {d.metadata["style"] for d in own if d.metadata["cluster"] not in whole}
    assert rest == {("noto", "twemoji")[tower], "openclipart"}
    assert [len(rest) for rest in part.others] == [int(k % 2 != tower) for k in range(60)]
    assert all(len(names) == 1 for names in part.names)


def tiny_pool(training: ModuleType, n: int = 8) -> object:
    """Documents with random images; text k is about document k."""
    torch.manual_seed(0)
    texts = read_texts(SentenceTower(), [f"thing number {k}" for k in range(2 * n)])
    images = training.ImageRead(
        torch.randn(n, 16, 384),
        torch.randn(n, 16, 48),
        torch.nn.functional.normalize(torch.randn(n, 384), dim=1),
    )
    return training.Pool(texts, np.arange(n), [images])


def test_mined_documents_are_hard_and_never_relevant(training: ModuleType) -> None:
    queries = torch.eye(3)
    legs = [
        torch.tensor([[0.9, 0.0, 0.1], [0.8, 0.0, 0.2], [0.1, 0.9, 0.3], [0.0, 0.0, 0.9]]),
        torch.tensor([[0.0, 0.1, 0.2], [0.1, 0.2, 0.0], [0.2, 0.3, 0.1], [0.9, 0.8, 0.3]]),
    ]
    mined = training.mine(queries, legs, [[0], [2, 3], [0, 1, 2, 3]], depth=1)
    # query 0: text leg 1 (0 is relevant), image leg 3; query 1: 0 (first of equals) and 1
    assert [each.tolist() for each in mined] == [[1, 3], [0, 1], []]


def test_no_query_of_the_train_split_meets_a_relevant_document_as_negative(
    training: ModuleType,
) -> None:
    corpus = load_pictograms("train")
    kept = [d for d in corpus.documents if training.unseen_by(d) is not None][::4]
    texts = sorted({d.text for d in corpus.documents} | {query.text for query in corpus.queries})
    row = {text: k for k, text in enumerate(texts)}
    rng = torch.Generator().manual_seed(0)
    read = training.TextRead(
        torch.zeros(len(texts), 384),
        np.ones(len(texts), dtype=int),
        torch.randn(len(texts), 384, generator=rng),
    )
    images = training.ImageRead(
        torch.zeros(0), torch.zeros(0), torch.randn(len(kept), 384, generator=rng)
    )
    pool = training.Pool(read, np.array([row[d.text] for d in kept]), [images])
    asks = training.find_asks(corpus, kept, pool, depth=5)
    place = {document.id: k for k, document in enumerate(kept)}
    by_text: dict[int, set[int]] = {}
    for query in corpus.queries:
        known = {place[d] for d in corpus.qrels.relevant(query.id) if d in place}
        by_text.setdefault(row[query.text], set()).update(known)
    n_from_documents = 0
    for ask in asks:
        assert len(ask.relevant)
        assert not set(ask.hard) & {*ask.relevant, *ask.left_out}
        if ask.text in by_text:
            assert set(ask.relevant) <= by_text[ask.text]
            assert not ask.of_images
        else:  # a document's text, asked of the other images of its thing
            n_from_documents += 1
            assert ask.of_images
            assert {kept[k].text for k in ask.left_out} <= {texts[ask.text]}
            assert texts[ask.text] not in {kept[k].text for k in ask.relevant}
            assert len({kept[k].metadata["concept"] for k in ask.relevant}) == 1
    assert n_from_documents > 50  # informative texts do come in


def test_lists_hold_one_answer_and_every_document_shows_something(training: ModuleType) -> None:
    rng = np.random.default_rng(0)
    ask = training.Ask(0, np.array([3, 4]), np.array([], dtype=int), np.array([0, 1, 2, 5]))
    for _ in range(20):
        first, *others = training.draw_list(ask, 3, rng)
        assert first in {3, 4}
        assert len(set(others)) == 3
        assert set(others) <= {0, 1, 2, 5}
    of_images = np.arange(440) >= 400
    text, image = training.draw_views((440, 6), of_images, rng)
    assert image[of_images].all()
    assert not text[of_images].any()
    text, image = text[~of_images], image[~of_images]
    assert (text | image).all()
    both = (text & image).all(axis=1)
    assert 0.4 < both.mean() < 0.6
    np.testing.assert_allclose(text[~both].mean(), 2 / 3, atol=0.05)
    np.testing.assert_allclose(image[~both].mean(), 2 / 3, atol=0.05)


def test_hiding_leaves_the_first_token(training: ModuleType) -> None:
    places = np.array([[5, 6, 7], [8, 99, 99]])
    rng = np.random.default_rng(0)
    assert training.hide_some(places, 99, 0.0, rng).tolist() == places.tolist()
    assert training.hide_some(places, 99, 1.0, rng).tolist() == [[5, 99, 99], [8, 99, 99]]


def test_aligned_heads_find_the_images(training: ModuleType) -> None:
    pool = tiny_pool(training)
    asks = [
        training.Ask(8 + k, np.array([k]), np.array([], dtype=int), np.array([], dtype=int))
        for k in range(8)
    ]
    torch.manual_seed(0)
    network = CrossNetwork(16, 2, 1, 384, 0.0)
    recipe = training.Recipe(align_steps=60)
    sentences, images = pool.texts.sentence[8:], pool.images[0].image
    with torch.inference_mode():
        before = network.joint_text(sentences) @ network.joint_image(images).T
        # the space starts as the sentences' own
        torch.testing.assert_close(before, sentences @ images.T)
    training.align_heads(network, recipe, pool, asks, np.random.default_rng(0))
    with torch.inference_mode():
        after = network.joint_text(sentences) @ network.joint_image(images).T
    assert before.argmax(dim=1).tolist() != list(range(8))
    assert after.argmax(dim=1).tolist() == list(range(8))


def test_training_and_reranking_compute_the_same(
    training: ModuleType, reranker: MiniReranker
) -> None:
    corpus = load_pictograms("calibration", "style")
    documents = corpus.documents[:6]
    asked = [query.text for query in corpus.queries[:3]]
    texts = [*asked, *(document.text for document in documents)]
    squares = training.square_array([document.image.open() for document in documents], 128)
    pool = training.Pool(
        read_texts(SentenceTower(), texts),
        np.arange(3, 9),
        [training.read_pixels(load_image_tower(), training.to_pixels(squares))],
    )
    docs = np.tile(np.arange(6), (3, 1))
    text, image = training.draw_views(docs.shape, np.zeros(3, dtype=bool), np.random.default_rng(1))
    assert not (text & image).all()
    with torch.inference_mode():
        expected = training.pair_logits(
            reranker._network, pool, np.arange(3), docs, text, image
        ).numpy()
    pairs = [
        Pair(
            Content(asked[q]),
            Content(
                documents[d].text if text[q, d] else None,
                documents[d].image.open() if image[q, d] else None,
            ),
        )
        for q in range(3)
        for d in range(6)
    ]
    np.testing.assert_allclose(reranker.score(pairs).reshape(3, 6), expected, atol=2e-3)


def test_a_tiny_network_learns_four_pairs(training: ModuleType) -> None:
    pool = tiny_pool(training)
    # the answer to text 8 + k is document 2k: nothing but the network can know
    asks = [
        training.Ask(
            8 + k,
            np.array([2 * k]),
            np.array([], dtype=int),
            np.array([d for d in range(8) if d != 2 * k]),
        )
        for k in range(4)
    ]
    recipe = training.Recipe(
        **{"dim": 16, "heads": 2, "layers": 1, "joint": 8, "dropout": 0.0, "align_steps": 0},
        **{"steps": 150, "hidden": 0.0, "queries": 4, "negatives": 7, "rate": 1e-2},
    )
    every = np.ones((4, 8), dtype=bool)
    docs = np.tile(np.arange(8), (4, 1))

    def found(network: CrossNetwork) -> list[int]:
        with torch.inference_mode():
            logits = training.pair_logits(network, pool, np.arange(8, 12), docs, every, every)
        return logits.argmax(dim=1).tolist()

    torch.manual_seed(0)
    before = found(CrossNetwork(16, 2, 1, 8, 0.0).eval())
    network = training.train_network(recipe, pool, asks, seed=0)
    assert before != [0, 2, 4, 6]
    assert found(network) == [0, 2, 4, 6]


def test_calibrated_logits_are_log_odds_in_the_same_order(training: ModuleType) -> None:
    pool = tiny_pool(training)
    torch.manual_seed(0)
    network = CrossNetwork(16, 2, 1, 8, 0.0).eval()
    every = np.ones((8, 8), dtype=bool)
    docs = np.tile(np.arange(8), (8, 1))
    none = np.array([], dtype=int)

    def logits() -> np.ndarray:
        views = ((every, ~every), (~every, every), (every, every))
        with torch.inference_mode():
            scored = [
                training.pair_logits(network, pool, np.arange(8, 16), docs, *view) for view in views
            ]
        return torch.stack(scored).double().numpy()

    before = logits()
    # the answer is what looks best as text: right there, and right by chance as an image
    best = before[0].argmax(axis=1)
    asks = [
        training.Ask(8 + k, best[[k]], none, np.setdiff1d(np.arange(8), best[k])) for k in range(8)
    ]
    only_of_images = training.Ask(8, np.arange(8), none, none, of_images=True)
    slope, offset = training.calibrate(
        network, pool, [*asks, only_of_images], 99, np.random.default_rng(0)
    )
    after = logits()
    np.testing.assert_allclose(after, slope * before + offset, atol=1e-4)
    assert slope > 0
    # Where logistic regression ends: no slope, no offset would make these means agree better.
    probability, answers = 1 / (1 + np.exp(-after)), np.broadcast_to(np.eye(8)[best], after.shape)
    assert probability.mean() == pytest.approx(1 / 8, abs=1e-4)
    assert (probability * before).mean() == pytest.approx((answers * before).mean(), abs=1e-4)


def test_means_of_probabilities_do_as_well_as_means_of_logits(
    reranked: dict[str, np.ndarray],
) -> None:
    """Both views on the scale of probabilities: the article's way to merge them loses nothing."""
    logits = recall_at_10(reranked["text"] + reranked["image"], reranked)
    probabilities = recall_at_10(
        1 / (1 + np.exp(-reranked["text"])) + 1 / (1 + np.exp(-reranked["image"])), reranked
    )
    assert probabilities.mean() > logits.mean() - 0.015
