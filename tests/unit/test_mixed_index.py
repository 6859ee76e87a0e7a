"""One index of all texts and all images, where one modality answers; documents of mixed form."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_methods import IMAGE, NAN, RELEVANT, TEXT, drawn, vectors_of
from typer.testing import CliRunner

import mmgap as mg
from mmgap.cli import app
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.evaluation import evaluate
from mmgap.fusion import comb_mean
from mmgap.gap import k_occurrence, l2m
from mmgap.index.vectors import Leg, Vectors
from mmgap.mitigate import NNN, C3Collapse, MeanCentring, QBNorm
from mmgap.scores.calibrate import CALIBRATORS, fit_legs
from mmgap.scores.normalise import NORMALISERS, ZScoreNormaliser
from mmgap.strategies import (
    Pool,
    Strategy,
    format_single_modality,
    judge_entries,
    one_entry_per_modality,
    rank_mixed_documents,
    rescale_legs,
    single_modality_strategies,
    single_modality_table,
    worse_direction,
)
from mmgap.strategies.mixed_index import MixedIndex, count_occurrences

N, DIM = 40, 12


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(seed=0, *, gap=1.0, lacking=()):
    """Pairs with a gap; even queries ask for a text, odd ones for a image."""
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
    np.testing.assert_allclose(found.text_fraction, share)
    own = both[0].legs[leg].embeddings
    rows = slice("TI".index(query_class), None, 2)
    np.testing.assert_array_equal(found.occurrences, k_occurrence(both[0].queries[rows], own))
    np.testing.assert_allclose(found.lost, found.alone - found.merged)
    distance = l2m(*(both[0].legs[name].embeddings for name in ("image", "text")))
    assert found.distance == pytest.approx(distance, abs=1e-6)


def test_images_lose_and_centring_returns_them(both):
    index = MixedIndex.of(*both, "image", "I")
    raw, centred = index.judge(), index.judge(index.fit(MeanCentring()))
    assert raw.text_fraction.mean() == 1
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
    np.testing.assert_array_equal(index.judge(fitted).occurrences, count_occurrences(alone))


def test_parts_sum_to_what_the_merge_loses(both):
    index = MixedIndex.of(*both, "image", "I")
    loss, found = index.decompose(k=5), index.judge(k=5)
    np.testing.assert_allclose(loss.loss, found.lost)
    np.testing.assert_allclose(np.sum(list(loss.parts().values()), axis=0), found.lost)
    fewer = index.decompose(k=5, queries=index.calibration["query"][:10])
    assert not np.allclose(fewer.parts()["hubness"], loss.parts()["hubness"])


def test_a_caption_that_asks_does_not_meet_itself():
    text, image = (part.embeddings for part in (vectors().legs["text"], vectors().legs["image"]))
    pairs = mg.embed(mg.load_features(image, text, name="pairs"))
    index = MixedIndex.of(pairs, pairs, "image")
    scores = index.scores()
    np.testing.assert_array_equal(np.isnan(scores["text"]), np.eye(N, dtype=bool))
    assert not np.isnan(scores["image"]).any()
    with pytest.raises(MmgapError, match=f"{N} queries of 'pairs' have no relevant text"):
        MixedIndex.of(pairs, pairs, "text")


def test_a_constant_puts_images_first(both):
    index = MixedIndex.of(*both, "image", "I")
    scores = index.scores()
    found = index.judge_scores({**scores, "image": scores["image"] + 9})
    assert (found["fraction text"] == 0).all()
    np.testing.assert_allclose(found["expected"], index.judge().alone)


@pytest.mark.parametrize(
    ("leg", "query_class", "message"),
    [("sound", "I", "answer is 'sound'"), ("image", "X", "no query of 'small' is of class 'X'")],
)
def test_an_index_without_answers_is_refused(both, leg, query_class, message):
    with pytest.raises(MmgapError, match=message):
        MixedIndex.of(*both, leg, query_class)


def test_places_of_equal_scores_go_to_the_first():
    scores = np.array([[1.0, 1.0, 0.0], [np.nan, 1.0, 0.5], [np.nan, np.nan, 1.0]])
    np.testing.assert_array_equal(count_occurrences(scores, k=2), [1, 2, 2])


# --- the single-modality-answer test -------------------------------------------------------------


def test_entries_of_one_direction() -> None:
    vectors = vectors_of(TEXT, IMAGE, RELEVANT)
    entries = one_entry_per_modality(vectors, "image")
    pool = Pool(entries, depth=None)
    assert entries.corpus.doc_ids == (
        *(f"d{i}/text" for i in range(4)),
        *(f"d{i}/image" for i in range(4)),
    )
    # d0 answers q0: its image is in the pool, its text is not; other texts are.
    np.testing.assert_allclose(pool.scores["text"][0], [NAN, 0.2, 0.4, NAN, NAN, NAN, NAN, NAN])
    np.testing.assert_allclose(pool.scores["image"][0], [NAN] * 4 + IMAGE[0])
    assert np.argwhere(pool.relevant).tolist() == [[0, 4], [1, 5]]
    both = one_entry_per_modality(vectors)
    assert np.argwhere(Pool(both).relevant).tolist() == [[0, 0], [0, 4], [1, 1], [1, 5]]
    with pytest.raises(MmgapError, match="answer is 'sound'"):
        one_entry_per_modality(vectors, "sound")


def test_a_query_without_an_answer_in_that_modality_is_named() -> None:
    vectors = vectors_of(TEXT, IMAGE, [[False] * 3 + [True], [True] + [False] * 3])
    with pytest.raises(MmgapError, match="1 queries of 'tiny' have no relevant text"):
        one_entry_per_modality(vectors, "text")


def favour(leg: str) -> Strategy:
    """Whatever is asked, this modality comes first."""
    worth = {"text": (1e6, 0.0), "image": (0.0, 1e6)}[leg]

    def first(text: np.ndarray, image: np.ndarray) -> np.ndarray:
        return comb_mean(text + worth[0], image + worth[1])

    return Strategy(f"always {leg} first", merge=first)


def test_who_favours_one_modality_loses_in_the_mirror() -> None:
    chosen = {each.name: each for each in single_modality_strategies()}
    methods = [
        favour("image"),
        favour("text"),
        chosen["RRF"],
        chosen["text leg"],
        chosen["image leg"],
    ]
    table = single_modality_table(drawn(1, 40, 60), drawn(2, 40, 60), methods)
    read = worse_direction(table)
    assert read.loc["always image first", "kept, image"] == 1
    assert read.loc["always text first", "kept, text"] == 1
    assert read.loc["always image first", "verdict"] == 0
    assert read.loc["always text first", "verdict"] == 0
    assert read.loc["RRF", "verdict"] > 0.6
    shares = table[table["measure"] == "text_fraction@10"].set_index(["method", "direction"])[
        "value"
    ]
    assert set(shares["always image first"]) == {0}
    assert set(shares["always text first"]) == {1}
    assert set(shares["RRF"]) == {0.5}
    assert (table["n"] == 20).all()  # class T in one direction, class I in the other


def test_ties_are_shown() -> None:
    """One text and one image tie for every rank under RRF: even odds for the first."""
    chosen = {each.name: each for each in single_modality_strategies()}
    table = single_modality_table(drawn(1), drawn(2), [chosen["RRF"], chosen["image leg"]])
    first = table.query("measure == 'recall@1' and direction == 'image'").set_index("method")
    ceiling = first.loc["image leg", "value"]
    assert first.loc["RRF", "optimistic"] == ceiling > 0
    assert first.loc["RRF", "value"] == pytest.approx(ceiling / 2)
    assert first.loc["RRF", "pessimistic"] == 0


def test_a_verdict_needs_its_ceilings() -> None:
    table = single_modality_table(drawn(1), drawn(2), [favour("image")])
    with pytest.raises(ValueError, match="no row 'text leg'"):
        worse_direction(table)


@pytest.mark.parametrize("names", [None, ("household", "garden")], ids="C46-{}".format)
def test_classes_of_any_name_are_asked_in_both_directions(names) -> None:
    given = drawn(2)
    queries = [
        Query(query.id, query.text, {"query_class": names[at % 2]} if names else {})
        for at, query in enumerate(given.corpus.queries)
    ]
    test = replace(given, corpus=replace(given.corpus, queries=queries))
    table = single_modality_table(drawn(1), test, [favour("image")])
    assert set(table["direction"]) == {"text", "image"}
    assert (table["n"] == len(queries)).all()


COLUMNS = ["method", "fitted_on", "direction", "measure", "value", "pessimistic", "optimistic"]


def test_both_directions_and_the_worse_one_stand_side_by_side():
    rows = [
        ("text leg", "nothing", "text", "recall@10", 0.8, 0.7, 0.9),
        ("text leg", "nothing", "image", "recall@10", 0.0, 0.0, 0.0),
        ("image leg", "nothing", "text", "recall@10", 0.0, 0.0, 0.0),
        ("image leg", "nothing", "image", "recall@10", 0.5, 0.5, 0.5),
        ("merge", "scores", "text", "recall@10", 0.6, 0.6, 0.6),
        ("merge", "scores", "image", "recall@10", 0.1, 0.1, 0.1),
    ]
    wide = format_single_modality(pd.DataFrame(rows, columns=COLUMNS)).set_index("method")
    assert wide["text: recall@10"].tolist() == ["0.800 (0.700 to 0.900)", "0.000", "0.600"]
    assert wide["image: recall@10"].tolist() == ["0.000", "0.500", "0.100"]
    # The merge keeps .6 / .8 of the texts and .1 / .5 of the images.
    assert wide["worse direction keeps"].tolist() == ["0.00", "0.00", "0.20"]


def test_ready_made_pairs_are_asked_by_their_captions(tmp_path: Path):
    """Texts and images lie on opposite sides: merged by raw score no image is found."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((40, 32))
    side = 5 * np.eye(33)[32]
    for name, sign in (("image", 1), ("text", -1)):
        np.save(tmp_path / f"{name}.npy", np.pad(shared, ((0, 0), (0, 1))) + sign * side)
    pair = f"{tmp_path}/image.npy,{tmp_path}/text.npy"
    result = CliRunner().invoke(app, ["single-modality", "--corpus", pair, "--out", str(tmp_path)])
    assert result.exception is None, result.output
    table = pd.read_csv(tmp_path / "single_modality.csv")
    assert set(table["direction"]) == {"image"}
    value = table[table["measure"] == "recall@1"].set_index("method")["value"]
    assert value["raw cosine"] == 0
    assert value["image leg"] > 0.9
    assert value["global z"] > 0.5


# --- entries of all legs, merged -----------------------------------------------------------------


def over_all_orders(scores, good, is_text, k, n_relevant):
    """Recall@k and share of texts of every order that the scores allow."""
    recalls, shares = [], []
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            first = list(order)[:k]
            recalls.append(good[first].sum() / n_relevant)
            shares.append(is_text[first].mean())
    return np.array(recalls), np.array(shares)


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_entries_agree_with_all_orders_of_ties(k):
    rng = np.random.default_rng(0)
    text, image = rng.integers(0, 3, (30, 3)) / 4, rng.integers(0, 3, (30, 4)) / 4
    good = {
        "text": rng.uniform(size=text.shape) < 0.4,
        "image": rng.uniform(size=image.shape) < 0.4,
    }
    good["text"][:, 0] = True
    image[3, 1] = image[4, :2] = np.nan
    table = judge_entries({"text": text, "image": image}, good, k)
    tied = 0
    for row in range(len(text)):
        scores = np.concatenate([text[row], image[row]])
        there = ~np.isnan(scores)
        labels = np.concatenate([good["text"][row], good["image"][row]])
        n_relevant, labels = labels.sum(), labels[there]
        is_text = (np.arange(7) < 3)[there]
        recalls, shares = over_all_orders(scores[there], labels, is_text, k, n_relevant)
        found = table.iloc[row]
        assert np.isclose(found["expected"], recalls.mean())
        assert np.isclose(found["optimistic"], recalls.max())
        assert np.isclose(found["pessimistic"], recalls.min())
        assert np.isclose(found["fraction text"], shares.mean())
        assert np.isclose(found["fraction image"], 1 - shares.mean())
        ordered = np.sort(scores[there])[::-1]
        assert found["tied"] == (k < len(ordered) and ordered[k - 1] == ordered[k])
        tied += found["tied"]
    assert (tied > 0) == (k < 10)


def test_scores_within_the_tolerance_are_tied():
    scores, good = {"one": np.array([[0.3, 0.1 + 0.2]])}, {"one": np.array([[True, False]])}
    assert scores["one"][0, 0] != scores["one"][0, 1]
    assert judge_entries(scores, good, 1)["expected"].tolist() == [0.5]


def test_scores_just_above_the_cut_off_are_tied_with_it():
    scores, good = (
        {"one": np.array([[0.1 + 0.2, 0.3, 0.3]])},
        {"one": np.array([[True, False, False]])},
    )
    assert np.isclose(judge_entries(scores, good, 2)["expected"][0], 2 / 3)


def test_what_was_not_retrieved_counts_as_not_found():
    scores = {"one": np.array([[0.1, np.nan], [np.nan, np.nan]])}
    table = judge_entries(scores, {"one": np.full((2, 2), True)}, 2)
    assert table["expected"].tolist() == [0.5, 0.0]
    assert table["fraction one"].isna().tolist() == [False, True]


def test_a_query_without_relevant_hit_has_no_recall():
    table = judge_entries({"one": np.eye(2)}, {"one": np.array([[False] * 2, [True] * 2])}, 1)
    assert table["expected"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("scores", "relevant", "k", "message"),
    [
        ({"a": np.ones((2, 3))}, {"a": np.ones((2, 2))}, 1, "same legs"),
        ({"a": np.ones((2, 3)), "b": np.ones((1, 3))}, None, 1, "one number of queries"),
        ({"a": np.ones(3)}, None, 1, "each as"),
        ({"a": np.ones((2, 3))}, None, 0, "k must be at least 1"),
    ],
)
def test_entries_refuse_what_does_not_fit(scores, relevant, k, message):
    with pytest.raises(ValueError, match=message):
        judge_entries(scores, scores if relevant is None else relevant, k)


# --- scores of both legs on one scale ------------------------------------------------------------


def legs(seed, n_query=12, n_doc=9):
    rng = np.random.default_rng(seed)
    return {"text": rng.normal(2, 1, (n_query, n_doc)), "image": rng.normal(0, 3, (n_query, n_doc))}


def test_a_scale_is_fitted_on_what_its_kind_asks_for():
    scores, reference, good = legs(0), legs(1), legs(2)["text"] > 2
    by_list = rescale_legs(NORMALISERS["z"], scores, reference)
    by_reference = rescale_legs(NORMALISERS["reference z"], scores, reference)
    for leg in scores:
        mean, sd = scores[leg].mean(1, keepdims=True), scores[leg].std(1, keepdims=True)
        np.testing.assert_allclose(by_list[leg], (scores[leg] - mean) / sd)
        np.testing.assert_allclose(
            by_reference[leg], (scores[leg] - reference[leg].mean()) / reference[leg].std()
        )
    calibrated = rescale_legs(CALIBRATORS["platt"], scores, reference, good)
    wanted = fit_legs(CALIBRATORS["platt"], reference, dict.fromkeys(reference, good))
    for leg in scores:
        np.testing.assert_allclose(calibrated[leg], wanted[leg].transform(scores[leg]))


def test_no_scale_leaves_scores_and_no_estimator_is_changed():
    scores = {leg: values.astype(np.float32) for leg, values in legs(0).items()}
    assert rescale_legs(None, scores, {})["text"].dtype == np.float64
    scale = ZScoreNormaliser(reference="calibration")
    rescale_legs(scale, scores, legs(1))
    assert not hasattr(scale, "offset_")


def test_a_calibrator_needs_judgments():
    with pytest.raises(ValueError, match="PlattCalibrator learns from judgments"):
        rescale_legs(CALIBRATORS["platt"], legs(0), legs(1))


# --- documents of mixed form ---------------------------------------------------------------------


def test_mixed_documents_are_ranked_by_one_vector_each(both):
    test, bank = both
    run = rank_mixed_documents(test, bank, rng=np.random.default_rng(3))
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
    runs = [rank_mixed_documents(both[0], bank) for bank in (None, both[1])]
    ndcg = [evaluate(r, both[0].corpus.qrels, ["ndcg@10"])["expected"].mean().iloc[0] for r in runs]
    assert ndcg[1] > ndcg[0] + 0.1


def test_mixed_documents_need_both_forms():
    with pytest.raises(MmgapError, match="lack image"):
        rank_mixed_documents(vectors(lacking=("image",)))
