"""Score distributions, ranks and merge losses on samples small enough to count."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from mmgap import strategies
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.evaluation import recall
from mmgap.index.vectors import Leg, Vectors
from mmgap.scores import (
    CAUSES,
    QUANTILES,
    decompose_merge_loss,
    dominance,
    ks_distance,
    modality_fraction,
    overlap,
    rank_inflation,
    score_distributions,
    wrong_modality,
)
from mmgap.strategies import merged_text_fraction
from mmgap.strategies.distributions import score_contrasts


@pytest.fixture
def samples():
    """Two overlapping samples, rounded so that many scores tie across them, some negative."""
    rng = np.random.default_rng(3)
    return rng.normal(0.1, 0.2, 700).round(2), rng.normal(0.0, 0.1, 400).round(2)


def test_dominance_is_the_area_under_the_roc_curve(samples):
    text, image = samples
    label = np.repeat([1, 0], [len(text), len(image)])
    assert dominance(text, image) == pytest.approx(
        roc_auc_score(label, np.concatenate([text, image])), abs=1e-12
    )


def test_ks_distance_is_that_of_scipy(samples):
    assert ks_distance(*samples) == pytest.approx(ks_2samp(*samples).statistic, abs=1e-12)


def test_overlap_of_shared_bins():
    # Shares over bins [0, 1), [1, 2), [2, 3]: text 1/2 1/2 0, image 0 1/4 3/4.
    text, image = np.array([0.0, 1.0]), np.array([1.5, 2.0, 2.5, 3.0])
    assert overlap(text, image, bins=3) == pytest.approx(1 / 4)
    assert overlap(text, text, bins=3) == 1
    assert overlap(text, text + 10, bins=100) == 0


def test_beating_the_relevant_compares_within_a_query():
    text = np.array([[0.1, 0.2], [0.8, 0.9]])
    image = np.array([[0.3, 0.0], [0.0, 1.0]])
    relevant = np.eye(2, dtype=bool)

    def beats(scores):
        return score_distributions(scores, image, image_relevant=relevant).text_beats_relevant_image

    assert beats(text) == 0
    assert dominance(text, image[relevant]) == 2 / 8
    # Ties count one half; a query without a relevant image is left out.
    relevant[1] = False
    assert beats(np.array([[0.3, 0.5], [0.8, 0.9]])) == (1 / 2 + 1) / 2


def test_nan_leaves_a_pair_out():
    text, image = np.array([[np.nan, 0.5]]), np.array([[0.1, 0.6]])
    assert dominance(text, image) == 1 / 2
    found = score_distributions(text, image, image_relevant=np.array([[True, False]]))
    assert found.samples["text"].n == 1
    assert found.text_beats_relevant_image == 1


@pytest.fixture
def distributions():
    text = np.array([[0.1, 0.5, 0.9], [0.2, 0.3, 0.4]])
    image = np.array([[0.6, 0.0], [-0.1, 0.25]])
    text_relevant = np.array([[False, False, True], [False, False, False]])
    image_relevant = np.array([[True, False], [False, True]])
    return score_distributions(
        text, image, text_relevant=text_relevant, image_relevant=image_relevant, bins=10
    )


def test_samples_are_described(distributions):
    text, image = distributions.samples["text"], distributions.samples["image"]
    assert (text.n, image.n) == (6, 4)
    assert text.mean == pytest.approx((0.1 + 0.5 + 0.9 + 0.2 + 0.3 + 0.4) / 6)
    assert image.sd == pytest.approx(
        np.sqrt(np.mean((np.array([0.6, 0, -0.1, 0.25]) - 0.1875) ** 2))
    )
    assert text.quantiles[QUANTILES.index(0.5)] == pytest.approx(0.35)
    assert distributions.edges[[0, -1]].tolist() == [-0.1, 0.9]
    assert [sample.counts.sum() for sample in distributions.samples.values()] == [6, 4, 1, 2]
    for name, scores in (("text", [0.1, 0.5, 0.9, 0.2, 0.3, 0.4]), ("image", [0.6, 0, -0.1, 0.25])):
        counts, _ = np.histogram(scores, bins=distributions.edges)
        assert distributions.samples[name].counts.tolist() == counts.tolist()
    assert distributions.samples["image relevant"].mean == pytest.approx((0.6 + 0.25) / 2)


def test_relevant_documents_of_the_other_leg_are_left_out(distributions):
    # Query 1: texts .1 .5 (.9 is relevant) against .6; query 2: .2 .3 .4 against .25.
    assert distributions.text_beats_relevant_image == pytest.approx((0 + 2 / 3) / 2)
    # Query 1 alone has a relevant text: image 0.0 (.6 is relevant) against .9.
    assert distributions.image_beats_relevant_text == 0


def test_to_frame_is_tidy(distributions):
    table = distributions.to_frame()
    assert table.columns.tolist() == ["sample", "measure", "value"]
    assert not table.duplicated(["sample", "measure"]).any()
    value = table.set_index(["sample", "measure"])["value"]
    assert value["text", "n"] == 6
    assert value["text", "q50"] == pytest.approx(0.35)
    assert value["text against image", "dominance"] == distributions.dominance


def test_what_is_not_known_is_nan():
    found = score_distributions(np.array([[0.1]]), np.array([[0.2]]))
    assert np.isnan(found.text_beats_relevant_image)
    assert np.isnan(found.image_beats_relevant_text)
    assert list(found.samples) == ["text", "image"]


def test_modality_fraction_skips_empty_ranks():
    legs = np.array([["text", "image", ""], ["image", "image", "text"], ["", "", ""]])
    share = modality_fraction(legs, k=3)
    assert share[:2].tolist() == [1 / 2, 1 / 3]
    assert np.isnan(share[2])
    assert modality_fraction(legs, "image", k=2)[:2].tolist() == [1 / 2, 1]


def test_unusable_input_is_refused():
    good = np.array([[0.1, 0.2]])
    with pytest.raises(ValueError, match="at least one score"):
        dominance(np.array([np.nan]), good)
    with pytest.raises(ValueError, match="1 of them infinite"):
        ks_distance(np.array([np.inf, 0.1]), good)
    with pytest.raises(ValueError, match="hold no infinite score"):
        score_distributions(np.array([[-np.inf]]), good)
    with pytest.raises(ValueError, match="one row for each query"):
        score_distributions(np.zeros((2, 2)), good)
    with pytest.raises(ValueError, match="image_relevant"):
        score_distributions(good, good, image_relevant=np.array([[True]]))
    with pytest.raises(ValueError, match="n_query, depth"):
        modality_fraction(np.array(["text"]))


BOTH = [rank_inflation, wrong_modality]


@pytest.fixture
def scored():
    """Two queries: both have a relevant image, the second a relevant text as well."""
    text = np.array([[0.9, 0.5, np.nan], [0.7, 0.6, 0.2]])
    image = np.array([[0.6, 0.3], [0.1, 0.4]])
    text_relevant = np.array([[False, False, True], [True, False, False]])
    image_relevant = np.array([[False, True], [False, True]])
    return text, image, text_relevant, image_relevant


def test_rank_inflation_in_both_directions(scored):
    found = rank_inflation(*scored)
    # Query 1: image .6 before .3, texts .9 and .5 as well. Query 2: the text .7 is relevant too and
    # left out, .6 stands before .4.
    assert found["image"].own_rank.tolist() == [2, 1]
    assert found["image"].merged_rank.tolist() == [4, 2]
    assert found["image"].inflation.tolist() == [2, 2]
    # Query 1's relevant text is left out (NaN): nothing to rank. Query 2's comes first everywhere.
    assert np.isnan(found["text"].own_rank[0])
    assert np.isnan(found["text"].merged_rank[0])
    assert found["text"].inflation[1] == 1


def test_the_best_relevant_document_is_ranked():
    image = np.array([[0.9, 0.5, 0.8]])
    relevant = np.array([[False, True, True]])
    found = rank_inflation(np.array([[0.85, 0.6]]), image, image_relevant=relevant)["image"]
    assert (found.own_rank[0], found.merged_rank[0]) == (2, 3)


def first_relevant_rank(scores, relevant, rng):
    """Rank of the first relevant document, ties in random order, as a mean over many orders."""
    ranks = []
    for _ in range(4000):
        order = np.lexsort((rng.random(len(scores)), -scores))
        ranks.append(1 + np.flatnonzero(relevant[order])[0])
    return np.mean(ranks)


def test_tied_ranks_are_those_to_expect():
    rng = np.random.default_rng(4)
    text, image = np.array([0.9, 0.5, 0.5]), np.array([0.5, 0.5, 0.5, 0.7])
    relevant = np.array([True, True, False, False])
    found = rank_inflation(text[None], image[None], image_relevant=relevant[None])["image"]
    # Two relevant, one other image and two texts tie: 2 + 1/3 among images, 3 + 3/3 among all.
    assert found.own_rank[0] == pytest.approx(2 + 1 / 3)
    assert found.merged_rank[0] == pytest.approx(4)
    merged = np.concatenate([text, image])
    in_merged = np.concatenate([np.zeros(3, bool), relevant])
    assert found.own_rank[0] == pytest.approx(first_relevant_rank(image, relevant, rng), abs=0.05)
    assert found.merged_rank[0] == pytest.approx(
        first_relevant_rank(merged, in_merged, rng), abs=0.08
    )


def test_wrong_modality_in_both_directions(scored):
    found = wrong_modality(*scored)
    # Query 1: a text comes first. Query 2: the text .6, which is not relevant, among those judged.
    assert found["image"].wrong.tolist() == [1, 1]
    assert found["image"].wrong_modality.tolist() == [1, 1]
    assert found["image"].fraction_of_errors == 1
    assert np.isnan(found["text"].wrong[0])
    assert found["text"].wrong[1] == found["text"].wrong_modality[1] == 0
    assert np.isnan(found["text"].fraction_of_errors)


def test_an_error_within_the_right_modality_is_not_of_the_wrong_one():
    found = wrong_modality(
        np.array([[0.1], [0.9]]),
        np.array([[0.8, 0.5], [0.8, 0.5]]),
        image_relevant=np.array([[False, True], [False, True]]),
    )["image"]
    assert found.wrong.tolist() == [1, 1]
    assert found.wrong_modality.tolist() == [0, 1]
    assert found.fraction_of_errors == 0.5


def test_documents_that_share_the_first_place():
    text, image = np.array([[0.5, 0.5, 0.1]]), np.array([[0.5, 0.5]])
    found = wrong_modality(text, image, image_relevant=np.array([[True, False]]))["image"]
    assert found.wrong[0] == pytest.approx(3 / 4)
    assert found.wrong_modality[0] == pytest.approx(2 / 4)


@pytest.mark.parametrize("measure", BOTH)
def test_exchanging_the_modalities_exchanges_the_directions(measure):
    rng = np.random.default_rng(0)
    text, image = rng.normal(size=(20, 7)).round(1), rng.normal(size=(20, 5)).round(1)
    text[rng.random(text.shape) < 0.1] = np.nan
    relevant = rng.random(text.shape) < 0.2, rng.random(image.shape) < 0.2
    one = measure(text, image, *relevant)
    other = measure(image, text, *relevant[::-1])
    for here, there in (("text", "image"), ("image", "text")):
        for name, values in vars(one[here]).items():
            np.testing.assert_array_equal(values, getattr(other[there], name))
    # Any increasing map keeps the order, and so everything.
    mapped = measure(np.exp(text), np.exp(image), *relevant)
    for leg in one:
        for name, values in vars(one[leg]).items():
            np.testing.assert_array_equal(values, getattr(mapped[leg], name))


@pytest.mark.parametrize("measure", BOTH)
def test_nothing_relevant_is_nan(measure):
    found = measure(np.array([[0.1]]), np.array([[0.2]]))
    assert all(np.isnan(values).all() for leg in found.values() for values in vars(leg).values())


def test_ranks_refuse_unusable_input():
    good = np.array([[0.1, 0.2]])
    for measure in BOTH:
        with pytest.raises(ValueError, match="one row for each query"):
            measure(np.zeros((2, 2)), good)
        with pytest.raises(ValueError, match="image_relevant"):
            measure(good, good, image_relevant=np.array([[True]]))


def unit(*cosines: float) -> np.ndarray:
    return np.array([(cosine, np.sqrt(1 - cosine**2)) for cosine in cosines], dtype=np.float32)


@pytest.fixture
def vectors() -> Vectors:
    """Three documents for the query (1, 0); the second one is relevant, the last has no image."""
    documents = [Document(f"d{index}", "t") for index in range(3)]
    corpus = Corpus("tiny", documents, [Query("q", "x")], Qrels([Judgment("q", "d1", 1)]))
    legs = {
        "text": Leg(np.arange(3), unit(0.8, 0.6, 0.4)),
        "image": Leg(np.arange(2), unit(0.7, 0.5)),
    }
    return Vectors(corpus, EncoderInfo("hand", "hand", "hand", 2), unit(1.0), legs)


def test_contrasts_are_those_counted_by_hand(vectors: Vectors) -> None:
    table = score_contrasts(vectors, k=2).set_index("measure")
    assert table["value"].to_dict() == pytest.approx(
        {
            "text_above_image": 3 / 6,  # .8 beats both images, .6 one, .4 none
            "text_beats_relevant_image": 1 / 2,  # .8 and .4 against the image of d1, .5
            "image_beats_relevant_text": 1.0,  # .7 against the text of d1, .6
            "text_fraction": 1 / 2,  # .8 (text), .7 (image)
            "sd_text_minus_image": np.std([0.8, 0.6, 0.4]) - 0.1,
        },
        rel=1e-5,
    )
    assert (table["n"] == 1).all()
    assert (table["ci_low"] == table["ci_high"]).all()


def test_contrasts_agree_with_the_pooled_distributions(vectors: Vectors) -> None:
    pooled = strategies.score_distributions(vectors)
    value = score_contrasts(vectors).set_index("measure")["value"]
    assert value["text_above_image"] == pytest.approx(pooled.dominance)
    for measure in ("text_beats_relevant_image", "image_beats_relevant_text"):
        assert value[measure] == pytest.approx(getattr(pooled, measure))
    assert value["text_fraction"] == pytest.approx(merged_text_fraction(vectors).mean())


def test_contrasts_without_the_relevant_text(vectors: Vectors) -> None:
    """The relevant text is left out, as where a caption is the query: nothing can beat it."""
    left_out = {"q": frozenset({("d1", "text")})}
    less = replace(vectors, corpus=replace(vectors.corpus, left_out=left_out))
    table = score_contrasts(less, k=2).set_index("measure")
    assert table.loc["image_beats_relevant_text", "n"] == 0
    assert table.loc["image_beats_relevant_text", ["value", "ci_low", "ci_high"]].isna().all()
    assert table["value"].to_dict() == pytest.approx(
        {
            "text_above_image": 2 / 4,  # .8 beats both images, .4 none
            "text_beats_relevant_image": 1 / 2,
            "image_beats_relevant_text": np.nan,
            "text_fraction": 1 / 2,
            "sd_text_minus_image": 0.2 - 0.1,
        },
        rel=1e-5,
        nan_ok=True,
    )


def test_contrasts_of_a_query_with_no_text_left(vectors: Vectors) -> None:
    left_out = {"q": frozenset((f"d{at}", "text") for at in range(3))}
    less = replace(vectors, corpus=replace(vectors.corpus, left_out=left_out))
    table = score_contrasts(less, k=2).set_index("measure")
    assert table["n"].to_dict() == {
        "text_above_image": 0,
        "text_beats_relevant_image": 0,
        "image_beats_relevant_text": 0,
        "text_fraction": 1,
        "sd_text_minus_image": 0,
    }


N_QUERY, N_DOC, N_BANK = 60, 40, 80


@pytest.fixture
def legs():
    """Relevant documents stand far above the others; references hold none."""
    rng = np.random.default_rng(0)
    relevant = np.eye(N_QUERY, N_DOC, dtype=bool)
    relevant[N_DOC:, 3] = True
    scores = rng.uniform(-1, 1, (2, N_QUERY, N_DOC))
    reference = rng.uniform(-1, 1, (N_BANK, N_DOC))
    return scores, reference, relevant


def parts(text, image, bank_text, bank_image, relevant, leg="image", **options):
    found = decompose_merge_loss(
        text,
        image,
        **{f"{leg}_relevant": relevant},
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        **options,
    )
    assert list(found) == [leg]
    return {name: part.mean() for name, part in found[leg].parts().items()}, found[leg]


@pytest.mark.parametrize("leg", ["image", "text"])
def test_a_shift_is_all_offset(legs, leg):
    (wrong, right), reference, relevant = legs
    right = right + 3 * relevant
    sides = [(wrong + 9, reference + 9), (right, reference)]
    (text, bank_text), (image, bank_image) = sides if leg == "image" else sides[::-1]
    found, loss = parts(text, image, bank_text, bank_image, relevant, leg)
    assert found == {"offset": 1, "spread": 0, "hubness": 0, "unexplained": 0}
    assert loss.loss.tolist() == [1] * N_QUERY


def test_a_scale_about_the_same_mean_is_all_spread(legs):
    """Relevant images stand at 1.5 or more, other documents below 1; texts are 10 times as wide."""
    (wrong, right), reference, relevant = legs
    wrong[:, 0] = 0.9
    right = np.where(relevant, 1.5, right)
    reference = np.concatenate([reference, -reference])  # of mean 0, so that no offset is estimated
    found, _ = parts(10 * wrong, right, 10 * reference, reference, relevant)
    assert found == {"offset": 0, "spread": 1, "hubness": 0, "unexplained": 0}


def test_planted_hubs_are_hubness(legs):
    """Two of forty texts are close to every query, by as much as it takes to come first."""
    (wrong, right), reference, relevant = legs
    right = right + 3 * relevant
    hubs = np.zeros(N_DOC)
    hubs[[5, 9]] = 6
    # The hubs shift their leg's mean by .3, which is too little to matter, and they widen it, so
    # that removing the spread alone helps too. Without them the corrected reference is as wide as
    # the other: nothing is left for the spread.
    found, loss = parts(wrong + hubs, right, reference + hubs, reference, relevant)
    assert loss.removed_alone("hubness").mean() == 1
    assert loss.removed_alone("offset").mean() == 0
    assert found["hubness"] > 0.5
    assert found["unexplained"] == 0
    assert found["offset"] == pytest.approx(0, abs=0.02)
    assert loss.in_order(("hubness", "offset", "spread"))["spread"].mean() == 0


def test_offset_does_not_take_the_hubs_mean(legs):
    """Hubness is centred in each modality: removing it leaves the means where they were."""
    (wrong, right), reference, relevant = legs
    rng = np.random.default_rng(3)
    hubs = rng.normal(size=N_DOC)
    _, loss = parts(wrong + 50 + hubs, right, reference + 50 + hubs, reference, relevant, k=3)
    assert loss.recall[("hubness",)].tolist() == [0] * N_QUERY


def brute_force(text, image, relevant, bank_text, bank_image, removed, k, n_neighbours):
    """The definition, step by step, with the recall of mmgap.evaluation."""
    legs = [[text, bank_text], [image, bank_image]]
    if "hubness" in removed:
        for leg in legs:
            top = np.sort(np.where(np.isnan(leg[1]), -np.inf, leg[1]), axis=0)[-n_neighbours:]
            hubness = top.mean(axis=0)
            hubness -= hubness.mean()
            leg[:] = [scores - hubness for scores in leg]
    means = [np.nanmean(reference) for _, reference in legs]
    sds = [np.nanstd(reference) for _, reference in legs]
    if "spread" in removed:
        common = np.sqrt(np.mean(np.square(sds)))
        for leg, mean, sd in zip(legs, means, sds, strict=True):
            leg[0] = mean + (leg[0] - mean) * common / sd
    if "offset" in removed:
        for leg, mean in zip(legs, means, strict=True):
            leg[0] = leg[0] + (np.mean(means) - mean)
    return plain_recall(np.concatenate([legs[0][0], legs[1][0]], axis=1), relevant, k)


def plain_recall(scores, relevant, k):
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, axis=1)
    ranked = [np.take_along_axis(x, order, axis=1) for x in (scores, relevant)]
    return recall(*ranked, relevant.sum(axis=1), k, tolerance=1e-12).expected


def test_against_brute_force():
    """Random scores with left-out pairs, several relevant documents, ties and both directions."""
    rng = np.random.default_rng(5)
    text, image = rng.normal(0.5, 0.2, (30, 12)).round(1), rng.normal(0.2, 0.1, (30, 9)).round(1)
    bank_text, bank_image = rng.normal(0.5, 0.2, (25, 12)), rng.normal(0.2, 0.1, (25, 9))
    for scores in (text, image, bank_text, bank_image):
        scores[rng.random(scores.shape) < 0.05] = np.nan
    text_relevant, image_relevant = rng.random(text.shape) < 0.1, rng.random(image.shape) < 0.2
    image = image + 0.2 * image_relevant
    found = decompose_merge_loss(
        text,
        image,
        text_relevant,
        image_relevant,
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        k=2,
        n_neighbours=4,
    )
    nothing_t, nothing_i = np.zeros_like(text_relevant), np.zeros_like(image_relevant)
    for leg in ("text", "image"):
        mine_t, mine_i = text, image
        if leg == "image":
            mine_t = np.where(text_relevant, np.nan, text)
            relevant = np.concatenate([nothing_t, image_relevant & ~np.isnan(image)], axis=1)
            ceiling = plain_recall(image, relevant[:, 12:], 2) if relevant.any(1).all() else None
        else:
            mine_i = np.where(image_relevant, np.nan, image)
            relevant = np.concatenate([text_relevant & ~np.isnan(text), nothing_i], axis=1)
            ceiling = None
        some = relevant.any(axis=1)
        assert 10 < some.sum() < 31
        for removed, values in found[leg].recall.items():
            expected = brute_force(
                mine_t[some], mine_i[some], relevant[some], bank_text, bank_image, removed, 2, 4
            )
            np.testing.assert_allclose(values, expected, atol=1e-9, err_msg=f"{leg} {removed}")
        own = slice(12, None) if leg == "image" else slice(0, 12)
        ceiling = plain_recall((image if leg == "image" else text)[some], relevant[some, own], 2)
        np.testing.assert_allclose(found[leg].ceiling, ceiling, atol=1e-12)
    assert len(found["image"].recall) == 8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-2, 2), st.floats(0.1, 3))
def test_parts_sum_to_the_loss(seed, k, shift, scale):
    rng = np.random.default_rng(seed)
    text, bank_text = (rng.normal(shift, scale, (n, 6)).round(1) for n in (9, 5))
    image, bank_image = (rng.normal(0, 1, (n, 7)).round(1) for n in (9, 5))
    relevant = rng.random((9, 6)) < 0.4, rng.random((9, 7)) < 0.4
    for matrix in relevant:
        matrix[0, 0] = True
    losses = decompose_merge_loss(
        text,
        image,
        *relevant,
        reference_text_scores=bank_text,
        reference_image_scores=bank_image,
        k=k,
    )
    assert list(losses) == ["text", "image"]
    for loss in losses.values():
        np.testing.assert_allclose(sum(loss.parts().values()), loss.loss, atol=1e-12)
        for order in permutations(CAUSES):
            won = loss.in_order(order)
            assert list(won) == list(order)
            np.testing.assert_allclose(
                sum(won.values()), loss.recall[CAUSES] - loss.recall[()], atol=1e-12
            )


def test_table(legs):
    (wrong, right), reference, relevant = legs
    right = right + 2 * relevant
    right[:20] -= 3 * relevant[:20]  # a third of the queries fails in its own list
    _, loss = parts(wrong + 5, right, reference + 5, reference, relevant)
    table = loss.to_frame(rng=np.random.default_rng(1), n_resamples=500)
    assert table.columns.tolist() == [
        *("leg", "cause", "measure", "value", "ci_low", "ci_high", "n"),
    ]
    assert not table.duplicated(["cause", "measure"]).any()
    row = table.set_index(["measure", "cause"])
    ceiling = row.loc["recall", "ceiling"]
    assert ceiling["value"] == pytest.approx(loss.ceiling.mean())
    # The interval of a share of queries p: about p +- 1.96 sqrt(p (1 - p) / n).
    p = ceiling["value"]
    half = 1.96 * np.sqrt(p * (1 - p) / N_QUERY)
    assert ceiling["ci_low"] == pytest.approx(p - half, abs=0.04)
    assert ceiling["ci_high"] == pytest.approx(p + half, abs=0.04)
    assert row.loc["fraction of loss", "value"].sum() == pytest.approx(1)
    share = row.loc["fraction of loss", "offset"]
    assert share["ci_low"] <= share["value"] <= share["ci_high"]
    assert (row["n"] == N_QUERY).all()


def test_no_loss_has_no_shares(legs):
    (wrong, right), reference, relevant = legs
    _, loss = parts(wrong, right + 5 * relevant, reference, reference, relevant)
    row = loss.to_frame(n_resamples=50).set_index(["measure", "cause"])
    assert row.loc[("part", "loss"), "value"] == 0
    assert row.loc["fraction of loss", ["value", "ci_low", "ci_high"]].isna().all(axis=None)


def test_a_leg_without_spread_is_not_scaled(legs):
    (wrong, right), reference, relevant = legs
    found, _ = parts(
        np.full_like(wrong, 9.0),
        right + 3 * relevant,
        np.full_like(reference, 9.0),
        reference,
        relevant,
    )
    assert found["offset"] == 1


def test_decomposition_refuses_unusable_input(legs):
    (text, image), reference, relevant = legs
    references = {"reference_text_scores": reference, "reference_image_scores": reference}
    with pytest.raises(ValueError, match="no query has a relevant document"):
        decompose_merge_loss(text, image, **references)
    with pytest.raises(ValueError, match="k and n_neighbours must be at least 1; got 0 and 16"):
        decompose_merge_loss(text, image, relevant, **references, k=0)
    with pytest.raises(ValueError, match=r"reference_image_scores \(80, 39\) must hold the same"):
        decompose_merge_loss(
            text,
            image,
            relevant,
            reference_text_scores=reference,
            reference_image_scores=reference[:, 1:],
        )
    holed = reference.copy()
    holed[:, 7] = np.nan
    with pytest.raises(ValueError, match="text 7 has no score in reference_text_scores"):
        decompose_merge_loss(
            text, image, relevant, reference_text_scores=holed, reference_image_scores=reference
        )
