import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import log_expit, log_softmax

from mmgap.contrastive import (
    compare_heads,
    drawing_name_pairs,
    random_layers,
    relu_cosine,
    train_heads,
    untrained_towers,
)
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError, MmgapError
from mmgap.gap import cone, l2m


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def pairs():
    """Features of 96 pairs: texts are a noisy linear map of images."""
    rng = np.random.default_rng(5)
    image = rng.normal(size=(96, 12))
    text = image @ rng.normal(size=(12, 12)) / 3 + 0.3 * rng.normal(size=(96, 12))
    return unit(image), unit(text)


def brief(pairs, **changes):
    settings = {"dim": 8, "width": 32, "batch_size": 32, "steps": 60, "learning_rate": 0.01}
    return train_heads(*pairs, **{"watch": pairs, **settings, **changes})


def gap(heads, pairs):
    return l2m(heads.embed_images(pairs[0]), heads.embed_texts(pairs[1]))


# --- pairs of drawing and name -------------------------------------------------------------------


def corpus_of(documents, queries):
    qrels = Qrels([Judgment(query.id, documents[0].id, 1) for query in queries])
    return Corpus("c", documents, queries, qrels)


def document(number, concept, *, image=True):
    file = ImageFile(f"{number}.png") if image else None
    return Document(f"d{number}", "some keywords", file, {"concept": concept})


NAMES = [
    Query("q1", "black cat", {"concept": "cat", "phrasing": "name"}),
    Query("q2", "an animal that purrs", {"concept": "dog", "phrasing": "new"}),
    Query("q3", "big dog", {"concept": "dog", "phrasing": "name"}),
    Query("q5", "tom", {"concept": "cat", "phrasing": "name"}),
    Query("q4", "sun", {"concept": "sun", "phrasing": "name"}),
]


def test_each_concept_gives_one_image_with_its_name():
    documents = [
        *(document(number, "cat") for number in range(3)),
        document(3, "dog"),
        document(4, "sun", image=False),
        document(5, "nameless"),
    ]
    found = drawing_name_pairs(corpus_of(documents, NAMES))
    assert [document.text for document in found.documents] == ["black cat", "big dog"]
    assert found.documents[0].id in {"d0", "d1", "d2"}
    assert found.documents[1].id == "d3"
    assert found.documents[1].image == documents[3].image
    drawn = {
        drawing_name_pairs(corpus_of(documents, NAMES), rng=np.random.default_rng(seed))
        .documents[0]
        .id
        for seed in range(20)
    }
    assert drawn == {"d0", "d1", "d2"}


def test_a_pool_without_names_is_refused():
    with pytest.raises(CorpusError, match="no image whose concept has a name"):
        drawing_name_pairs(corpus_of([document(1, "cat")], []))


# --- random encoders -----------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.4, 0.99])
def test_a_wide_relu_layer_does_what_the_closed_form_says(cosine, bias):
    two = np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])
    rng = np.random.default_rng(1)
    out = random_layers(two, 1, width=60_000, bias=bias, rng=rng)[1]
    first, second = unit(out)
    assert first @ second == pytest.approx(relu_cosine(cosine, bias=bias), abs=0.01)
    # with biases the length is kept: (1 + 1) / 2
    assert np.linalg.norm(out[0]) ** 2 == pytest.approx(1.0 if bias else 0.5, rel=0.03)


def test_a_linear_layer_without_bias_keeps_cosines():
    rows = np.random.default_rng(2).normal(size=(6, 5))
    deep = random_layers(rows, 3, width=2000, activation="linear", bias=False)[3]
    assert unit(deep) @ unit(deep).T == pytest.approx(unit(rows) @ unit(rows).T, abs=0.1)


def test_layers_are_a_function_of_the_generator():
    rows = np.eye(4)
    one, same, other = (
        random_layers(rows, 2, width=8, rng=np.random.default_rng(seed))[2] for seed in (3, 3, 4)
    )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert [len(out) for out in random_layers(rows, 2, width=8)] == [4, 4, 4]
    assert np.array_equal(random_layers(2 * rows, 0)[0], rows)


def test_relu_never_moves_vectors_apart():
    cosines = np.linspace(-1, 1, 401)
    for bias in (True, False):
        assert (relu_cosine(cosines, bias=bias) >= cosines - 1e-9).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": -1}, "depth is -1"),
        ({"width": 0}, "width 0"),
        ({"activation": "gelu"}, "no activation 'gelu'"),
    ],
)
def test_a_network_that_cannot_be_is_refused(changes, words):
    with pytest.raises(MmgapError, match=words):
        random_layers(np.eye(2), **{"depth": 1, **changes})


def test_untrained_towers_make_cones_of_their_own_seed():
    images = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "navy", "white")]
    texts = ["a cat", "seven red lorries", "peace", "x"]
    state = torch.random.get_rng_state()
    image, text = untrained_towers(images, texts, seed=1)
    again, other = untrained_towers(images, texts, seed=1), untrained_towers(images, texts, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert image.shape == (4, 1280)
    assert text.shape == (4, 384)
    assert np.array_equal(image, again[0])
    assert np.array_equal(text, again[1])
    assert not np.allclose(text, other[1])
    assert cone(text) > 0.5


# --- training ------------------------------------------------------------------------------------


def test_untrained_heads_are_random_layers(pairs):
    heads = brief(pairs, steps=0, rng=np.random.default_rng(9))
    rng = np.random.default_rng(9)
    for embed, features in ((heads.embed_images, pairs[0]), (heads.embed_texts, pairs[1])):
        hidden = random_layers(features, 1, width=32, rng=rng)[1]
        weight, bias = rng.normal(0, 8**-0.5, (32, 8)), rng.normal(0, 8**-0.5, 8)
        assert embed(features) == pytest.approx(unit(hidden @ weight + bias), abs=1e-5)


def test_training_brings_pairs_together(pairs):
    start, end = brief(pairs, steps=0), brief(pairs, logit_scale=10)

    def paired(heads):
        return (heads.embed_images(pairs[0]) * heads.embed_texts(pairs[1])).sum(axis=1).mean()

    assert paired(end) > paired(start) + 0.3
    assert np.linalg.norm(end.embed_images(pairs[0]), axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_the_first_loss_is_the_formula(pairs, loss):
    """A batch of all pairs, so that the order of the batch does not matter."""
    n, scale, bias = len(pairs[0]), 20.0, -3.0
    start = brief(pairs, steps=0, rng=np.random.default_rng(4))
    cosines = start.embed_images(pairs[0]).astype(float) @ start.embed_texts(pairs[1]).T
    logits = scale * cosines + bias
    if loss == "softmax":
        both = np.diag(log_softmax(logits, axis=1)), np.diag(log_softmax(logits, axis=0))
        expected = -np.mean(both)
    else:
        expected = -log_expit(np.where(np.eye(n, dtype=bool), logits, -logits)).sum() / n
    one = brief(
        pairs,
        **{"loss": loss, "logit_scale": scale, "logit_bias": bias, "batch_size": n, "steps": 1},
        rng=np.random.default_rng(4),
    )
    assert one.history["loss"].iloc[-1] == pytest.approx(expected, rel=1e-4)


def test_history_follows_the_watched_gap(pairs):
    heads = brief(pairs, steps=7)
    assert heads.history["step"].tolist() == [0, 2, 5, 7]
    assert np.isnan(heads.history["loss"].iloc[0])
    assert heads.history["loss"].iloc[1:].notna().all()
    assert heads.history["l2m"].iloc[-1] == pytest.approx(gap(heads, pairs), abs=1e-6)
    start = brief(pairs, steps=0)
    assert heads.history["l2m"].iloc[0] == pytest.approx(gap(start, pairs), abs=1e-6)
    assert "l2m" not in brief(pairs, steps=1, watch=None).history


def test_scale_and_bias_stay_unless_they_learn(pairs):
    fixed = brief(pairs, loss="sigmoid", logit_scale=10, logit_bias=-2)
    assert (fixed.logit_scale, fixed.logit_bias) == (pytest.approx(10), -2)
    free = brief(
        pairs, loss="sigmoid", logit_scale=10, logit_bias=-2, learn_scale=True, learn_bias=True
    )
    assert free.logit_scale != pytest.approx(10, rel=1e-3)
    assert free.logit_bias != pytest.approx(-2, abs=1e-3)
    # one head for twice the same features: the larger the scale, the smaller the loss
    easy = {"shared": True, "learn_scale": True, "learning_rate": 0.01, "steps": 3}
    rising = brief((pairs[0], pairs[0]), logit_scale=90, **easy)
    assert 91 < rising.logit_scale < 100
    hot = brief((pairs[0], pairs[0]), logit_scale=99.5, **easy)
    assert hot.logit_scale == pytest.approx(100)
    assert brief(pairs, logit_scale=150, steps=2).logit_scale == pytest.approx(150)


def test_an_amended_start_closes_the_gap_by_an_orthogonal_matrix(pairs):
    plain = brief(pairs, steps=0, rng=np.random.default_rng(6))
    amended = brief(pairs, steps=0, amend=True, rng=np.random.default_rng(6))
    assert gap(plain, pairs) > 0.8
    assert gap(amended, pairs) < 0.15
    assert np.array_equal(plain.embed_images(pairs[0]), amended.embed_images(pairs[0]))
    before, after = plain.embed_texts(pairs[1]), amended.embed_texts(pairs[1])
    assert after @ after.T == pytest.approx(before @ before.T, abs=1e-4)


def test_shared_heads_are_one(pairs):
    heads = brief(pairs, shared=True)
    assert np.array_equal(heads.embed_images(pairs[0]), heads.embed_texts(pairs[0]))
    own = brief(pairs)
    assert not np.allclose(own.embed_images(pairs[0]), own.embed_texts(pairs[0]), atol=0.1)


def test_equal_generators_train_equal_heads(pairs, request):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    one, same, other = (brief(pairs, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.embed_texts(pairs[1]), same.embed_texts(pairs[1]))
    assert gap(one, pairs) != gap(other, pairs)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == 2


def test_the_temperature_makes_the_gap(pairs):
    cool, hot = (gap(brief(pairs, logit_scale=scale, steps=150), pairs) for scale in (100, 5))
    assert cool > 2 * hot


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "triplet"}, "no loss 'triplet'"),
        ({"logit_scale": 0}, "must be above 0"),
        ({"batch_size": 97}, "batch of 2 to 96"),
        ({"batch_size": 1}, "batch of 2 to 96"),
        ({"steps": -1}, "steps of 0 or more"),
        ({"dim": 0}, "dim 0"),
        ({"shared": True, "amend": True}, "choose one of the two"),
    ],
)
def test_what_cannot_be_trained_is_refused(pairs, changes, words):
    with pytest.raises(MmgapError, match=words):
        brief(pairs, **changes)


def test_features_that_are_no_pairs_are_refused(pairs):
    image, text = pairs
    with pytest.raises(MmgapError, match="one text for each image"):
        train_heads(image, text[:-1])
    with pytest.raises(MmgapError, match="12 and texts 5"):
        train_heads(image, text[:, :5], shared=True)
    with pytest.raises(MmgapError, match="image_features"):
        train_heads(np.full_like(image, np.nan), text)


def test_a_comparison_is_single_trainings_side_by_side(pairs):
    common = {"dim": 8, "width": 32, "batch_size": 32, "steps": 20}
    variants = {"b": {}, "a": {"logit_scale": 5, "steps": 10}}
    found = compare_heads(pairs, pairs, variants, seeds=(0, 7), **common)
    table = found.table
    assert table[["variant", "seed"]].to_numpy().tolist() == [
        ["b", 0],
        ["b", 7],
        ["a", 0],
        ["a", 7],
    ]
    single = train_heads(
        *pairs, **{**common, "logit_scale": 5, "steps": 10}, rng=np.random.default_rng([0, 7])
    )
    row, (image, text) = (
        table.iloc[3],
        (single.embed_images(pairs[0]), single.embed_texts(pairs[1])),
    )
    assert row["l2m"] == pytest.approx(l2m(image, text), abs=1e-9)
    assert row["i2t_recall"] == ((image @ text.T).argmax(axis=1) == np.arange(96)).mean()
    assert row["t2i_recall"] == ((text @ image.T).argmax(axis=1) == np.arange(96)).mean()
    history = found.history[(found.history["variant"] == "a") & (found.history["seed"] == 7)]
    assert history["step"].tolist() == [0, 2, 5, 10]
    assert row["l2m_start"] == history["l2m"].iloc[0]
    assert set(found.heads) == {("b", 0), ("b", 7), ("a", 0), ("a", 7)}
    # one seed, one start: only what comes after differs
    assert table["l2m_start"].iloc[0] == table["l2m_start"].iloc[2]
