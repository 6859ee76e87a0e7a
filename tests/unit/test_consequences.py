"""What the gap does to rankings, on scores small enough to count by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mmgap.scores import quantile_map, rank_inflation, relevance_by_score, wrong_modality

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


def test_quantile_map_of_a_shift_and_a_scale():
    rng = np.random.default_rng(1)
    image = rng.normal(0.2, 0.05, (40, 50))
    found = quantile_map(0.6 + 2 * (image - 0.2), image)
    np.testing.assert_allclose(found.text, 0.6 + 2 * (found.image - 0.2))
    assert found.largest_deviation == pytest.approx(np.abs(found.text - found.image).max())
    inside = np.linspace(found.image[0], found.image[-1], 7)
    np.testing.assert_allclose(found.to_text_scale(inside), 0.6 + 2 * (inside - 0.2))
    # Beyond the table the slope is 1.
    below, above = found.to_text_scale(np.array([found.image[0] - 1, found.image[-1] + 1]))
    assert below == pytest.approx(found.text[0] - 1)
    assert above == pytest.approx(found.text[-1] + 1)


def test_quantile_map_of_equal_samples_is_the_identity():
    scores = np.array([[0.1, 0.4, np.nan], [0.2, 0.9, 0.3]])
    found = quantile_map(scores, scores)
    assert found.largest_deviation == 0
    assert np.isnan(found.to_text_scale(scores)[0, 2])
    np.testing.assert_allclose(found.to_text_scale(scores)[1], scores[1])


def test_quantile_map_where_images_tie():
    found = quantile_map(np.array([0.4, 0.6]), np.array([0.1, 0.1]), levels=np.array([0.0, 1.0]))
    np.testing.assert_allclose(found.to_text_scale(np.array([0.1, 0.3])), [0.5, 0.7])


@pytest.fixture
def judged():
    """Relevance that depends on the score: logistic, with images 0.4 lower."""
    rng = np.random.default_rng(2)
    text, image = rng.uniform(0.4, 1.0, (200, 100)), rng.uniform(0.0, 0.6, (200, 100))
    text_relevant = rng.random(text.shape) < 1 / (1 + np.exp(-20 * (text - 0.8)))
    image_relevant = rng.random(image.shape) < 1 / (1 + np.exp(-20 * (image - 0.4)))
    return text, image, text_relevant, image_relevant


@pytest.mark.parametrize("spacing", ["width", "quantile"])
def test_relevance_by_score_counts_and_recovers_the_curve(judged, spacing):
    found = relevance_by_score(*judged, bins=25, spacing=spacing)
    for leg, scores, relevant in (("text", *judged[::2]), ("image", *judged[1::2])):
        counts = np.histogram(scores, bins=found.edges)[0]
        share = found.legs[leg]
        np.testing.assert_array_equal(share.n, counts)
        np.testing.assert_array_equal(
            share.n_relevant, np.histogram(scores[relevant], bins=found.edges)[0]
        )
        middle = ((found.edges[1:] + found.edges[:-1]) / 2)[counts > 100]
        centre = 0.8 if leg == "text" else 0.4
        curve = 1 / (1 + np.exp(-20 * (middle - centre)))
        np.testing.assert_allclose(share.share[counts > 100], curve, atol=0.06)
    # A text of .8 and an image of .4 are relevant half of the time.
    assert found.equivalent_score(0.8) == pytest.approx(0.4, abs=0.02)
    assert found.equivalent_score(0.45, of="image") == pytest.approx(0.85, abs=0.02)


def test_bins_of_quantiles_hold_equally_many(judged):
    found = relevance_by_score(*judged, bins=10, spacing="quantile")
    together = found.legs["text"].n + found.legs["image"].n
    np.testing.assert_allclose(together, 4000, atol=1)


def test_intervals_are_wilsons(judged):
    found = relevance_by_score(*judged, bins=6, level=0.9).legs["text"]
    for n, n_relevant, low, high in zip(
        found.n, found.n_relevant, found.low, found.high, strict=True
    ):
        if n == 0:
            assert np.isnan([low, high]).all()
            continue
        expected = binomtest(int(n_relevant), int(n)).proportion_ci(0.9, method="wilson")
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.n == 0).any()


def test_equivalent_score_where_there_is_none(judged):
    text, image, text_relevant, image_relevant = judged
    found = relevance_by_score(text, image, text_relevant, np.zeros_like(image_relevant), bins=20)
    assert np.isnan(found.equivalent_score(0.95))
    assert np.isnan(found.equivalent_score(0.1))  # no text scores that low
    with pytest.raises(ValueError, match="'text' or 'image'; got 'sound'"):
        found.equivalent_score(0.5, of="sound")


def test_relevance_by_score_as_a_table(judged):
    table = relevance_by_score(*judged, bins=5).to_frame()
    assert table.columns.tolist() == [
        *("leg", "from", "to", "n", "n_relevant", "share", "low", "high"),
    ]
    assert table.groupby("leg")["n"].sum().tolist() == [20000, 20000]


def test_left_out_pairs_do_not_count():
    text = np.array([[0.1, np.nan]])
    relevant = np.array([[False, True]])
    found = relevance_by_score(text, np.array([[0.2, 0.9]]), relevant, relevant, bins=2)
    assert found.legs["text"].n.tolist() == [1, 0]
    assert found.legs["text"].n_relevant.sum() == 0


def test_scores_that_all_tie_are_one_bin():
    scores, relevant = np.full((1, 4), 0.3), np.array([[True, False, False, False]])
    found = relevance_by_score(scores, scores, relevant, relevant, spacing="quantile")
    assert found.legs["text"].share.tolist() == [0.25]


def test_unusable_input_is_refused():
    good, relevant = np.array([[0.1, 0.2]]), np.array([[True, False]])
    for measure in BOTH:
        with pytest.raises(ValueError, match="one row for each query"):
            measure(np.zeros((2, 2)), good)
        with pytest.raises(ValueError, match="image_relevant"):
            measure(good, good, image_relevant=np.array([[True]]))
    with pytest.raises(ValueError, match=r"levels must ascend within \[0, 1\]"):
        quantile_map(good, good, levels=np.array([0.5, 0.2]))
    with pytest.raises(ValueError, match="levels must ascend"):
        quantile_map(good, good, levels=np.array([0.5, 1.5]))
    with pytest.raises(ValueError, match="the image sample must hold at least one score"):
        quantile_map(good, np.array([np.nan]))
    with pytest.raises(ValueError, match="spacing must be"):
        relevance_by_score(good, good, relevant, relevant, spacing="log")
    with pytest.raises(ValueError, match="bins must be a whole number"):
        relevance_by_score(good, good, relevant, relevant, bins=0, spacing="quantile")
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        relevance_by_score(good, good, relevant, relevant, level=95)
