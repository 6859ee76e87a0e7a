"""One index of all texts and all pictures, and documents of mixed form."""

import numpy as np
import pytest

import mmgap as mg
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.evaluation import evaluate
from mmgap.gap import k_occurrence, l2m
from mmgap.index.vectors import Leg, Vectors
from mmgap.mitigate import NNN, C3Collapse, MeanCentring, QBNorm
from mmgap.strategies.mixed_documents import rank_mixed_documents
from mmgap.strategies.mixed_index import MixedIndex, count_places

N, DIM = 40, 12


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(seed=0, *, gap=1.0, lacking=()):
    """Pairs with a gap; even queries ask for a text, odd ones for a picture."""
    rng = np.random.default_rng(seed)
    shown = rng.normal(size=(N, DIM))
    way = np.r_[gap, np.zeros(DIM - 1)]
    legs = {
        "text": Leg(np.arange(N), unit(shown + 0.5 * rng.normal(size=(N, DIM)) + 5 * way)),
        "image": Leg(np.arange(N), unit(shown + 0.5 * rng.normal(size=(N, DIM)) - 5 * way)),
    }
    for leg in lacking:
        legs[leg] = Leg(np.arange(N - 1), legs[leg].embeddings[1:])
    documents = [Document(f"d{n}", f"text {n}", None) for n in range(N)]
    queries = [Query(f"q{n}", "", {"query_class": "TI"[n % 2]}) for n in range(N)]
    corpus = Corpus(
        "small", documents, queries, Qrels([Judgment(f"q{n}", f"d{n}", 1) for n in range(N)])
    )
    asked = unit(shown + 0.3 * rng.normal(size=(N, DIM)) + 5 * way)
    return Vectors(corpus, EncoderInfo("demo", "0", "none", DIM), asked, legs)


@pytest.fixture
def both():
    return vectors(), vectors(1)


def by_sorting(vectors, leg, query_class, k):
    """Recall in one list, and the share of texts, by brute force."""
    found, shares = [], []
    for n in range("TI".index(query_class), N, 2):
        hits = []
        for name in ("text", "image"):
            scores = vectors.legs[name].embeddings.astype(float) @ vectors.queries[n].astype(float)
            hits += [(s, name, d) for d, s in enumerate(scores) if name == leg or d != n]
        first = sorted(hits, reverse=True)[:k]
        found.append(any(hit[1:] == (leg, n) for hit in first))
        shares.append(np.mean([hit[1] == "text" for hit in first]))
    return found, shares


@pytest.mark.parametrize("gap", [0.0, 1.0])
@pytest.mark.parametrize(("leg", "query_class"), [("image", "I"), ("text", "T")])
def test_cosines_find_what_sorting_finds(leg, query_class, gap):
    both = vectors(gap=gap), vectors(1, gap=gap)
    found = MixedIndex.of(*both, leg, query_class).judge(None, k=5)
    recall, share = by_sorting(both[0], leg, query_class, 5)
    np.testing.assert_array_equal(found.merged, recall)
    np.testing.assert_allclose(found.text_share, share)
    own = both[0].legs[leg].embeddings
    rows = slice("TI".index(query_class), None, 2)
    np.testing.assert_array_equal(found.places, k_occurrence(both[0].queries[rows], own))
    np.testing.assert_allclose(found.lost, found.alone - found.merged)
    distance = l2m(*(both[0].legs[name].embeddings for name in ("image", "text")))
    assert found.distance == pytest.approx(distance, abs=1e-6)


def test_pictures_lose_and_centring_returns_them(both):
    index = MixedIndex.of(*both, "image", "I")
    raw, centred = index.judge(), index.judge(index.fit(MeanCentring()))
    assert raw.text_share.mean() == 1
    assert raw.merged.mean() == 0 < centred.merged.mean()
    assert centred.distance < 0.5 * raw.distance


def test_only_calibration_vectors_are_fitted_on(both):
    index = MixedIndex.of(*both, "image", "I")
    fitted = index.fit(MeanCentring())
    wanted = both[1].queries.astype(float).mean(axis=0)  # of all classes
    np.testing.assert_allclose(fitted.means_["query"], wanted, atol=1e-7)


def test_a_distance_of_zero_by_construction(both):
    index = MixedIndex.of(both[0], both[0], "image")
    assert index.judge(index.fit(C3Collapse())).distance == pytest.approx(0, abs=1e-12)


def test_a_mitigation_of_scores_keeps_the_distance(both):
    index = MixedIndex.of(*both, "image", "I")
    nnn = index.judge(index.fit(NNN(k=5)))
    assert nnn.distance == index.judge().distance
    assert nnn.merged.mean() > 0


def test_alone_no_document_of_the_other_modality_is_seen(both):
    index = MixedIndex.of(*both, "image", "I")
    fitted = index.fit(QBNorm())  # asks which document is first of all that it is passed
    one_leg = {role: index.test[role] for role in ("query", "image")}
    alone = fitted.leg_scores(one_leg)["image"]
    assert not np.allclose(alone, index.scores(fitted)["image"])
    np.testing.assert_array_equal(index.judge(fitted).places, count_places(alone))


def test_parts_sum_to_what_the_merge_loses(both):
    index = MixedIndex.of(*both, "image", "I")
    loss, found = index.decompose(k=5), index.judge(k=5)
    np.testing.assert_allclose(loss.loss, found.lost)
    np.testing.assert_allclose(np.sum(list(loss.parts().values()), axis=0), found.lost)
    fewer = index.decompose(k=5, bank=index.calibration["query"][:10])
    assert not np.allclose(fewer.parts()["hubness"], loss.parts()["hubness"])


def test_a_caption_that_asks_does_not_meet_itself():
    text, image = (part.embeddings for part in (vectors().legs["text"], vectors().legs["image"]))
    pairs = mg.embed(mg.load_features(image, text, name="pairs"))
    index = MixedIndex.of(pairs, pairs, "image")
    scores = index.scores()
    np.testing.assert_array_equal(np.isnan(scores["text"]), np.eye(N, dtype=bool))
    assert not np.isnan(scores["image"]).any()
    texts_answer = MixedIndex.of(pairs, pairs, "text").scores()["text"]
    np.testing.assert_array_equal(np.isnan(texts_answer), np.eye(N, dtype=bool))


def test_a_constant_puts_pictures_first(both):
    index = MixedIndex.of(*both, "image", "I")
    scores = index.scores()
    found = index.judge_scores({**scores, "image": scores["image"] + 9})
    assert (found["share text"] == 0).all()
    np.testing.assert_allclose(found["expected"], index.judge().alone)


@pytest.mark.parametrize(("leg", "query_class"), [("sound", "I"), ("image", "X")])
def test_an_index_without_answers_is_refused(both, leg, query_class):
    with pytest.raises(MmgapError, match="expected a leg of"):
        MixedIndex.of(*both, leg, query_class)


def test_places_of_equal_scores_go_to_the_first():
    scores = np.array([[1.0, 1.0, 0.0], [np.nan, 1.0, 0.5], [np.nan, np.nan, 1.0]])
    np.testing.assert_array_equal(count_places(scores, k=2), [1, 2, 2])


# --- documents of mixed form ---------------------------------------------------------------------


def test_mixed_documents_are_ranked_by_one_vector_each(both):
    test, bank = both
    run = rank_mixed_documents(test, bank, depth=N, rng=np.random.default_rng(3))
    forms = np.random.default_rng(3).permutation(np.arange(N) % 3)

    def centred(rows, of):
        return rows.astype(float) - of.astype(float).mean(axis=0)

    text, image = (
        centred(test.legs[x].embeddings, bank.legs[x].embeddings) for x in ("text", "image")
    )
    query = centred(test.queries, bank.queries)[4]
    one = [(text, image, (text + image) / 2)[form][d] for d, form in enumerate(forms)]
    scores = [row @ query / np.linalg.norm(row) / np.linalg.norm(query) for row in one]
    np.testing.assert_allclose(run.scores[4], np.sort(scores)[::-1], atol=1e-9)
    np.testing.assert_array_equal(run.indices[4], np.argsort(scores)[::-1])


def test_centring_helps_where_forms_lie_apart(both):
    runs = [rank_mixed_documents(both[0], bank, name=str(bank)) for bank in (None, both[1])]
    ndcg = [evaluate(r, both[0].corpus.qrels, ["ndcg@10"])["expected"].mean().iloc[0] for r in runs]
    assert ndcg[1] > ndcg[0] + 0.1


def test_weights_of_the_text_reach_from_text_to_picture(both):
    by_text, by_image = (
        rank_mixed_documents(both[0], text_weight=weight, depth=N) for weight in (1, 0)
    )
    forms = np.random.default_rng(0).permutation(np.arange(N) % 3)
    d = int(np.flatnonzero(forms == 2)[0])
    for run, leg in ((by_text, "text"), (by_image, "image")):
        place = run.indices[0].tolist().index(d)
        wanted = both[0].legs[leg].embeddings[d].astype(float) @ both[0].queries[0].astype(float)
        assert run.scores[0, place] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"text_weight": 1.5}, "text_weight is 1.5"), ({"lacking": ("image",)}, "lack image")],
)
def test_mixed_documents_refuse_what_they_cannot_rank(options, message):
    test = vectors(lacking=options.pop("lacking", ()))
    with pytest.raises(MmgapError, match=message):
        rank_mixed_documents(test, **options)
