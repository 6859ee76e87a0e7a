"""Score distributions on samples small enough to count."""

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from mmgap.scores import (
    QUANTILES,
    dominance,
    dominance_over_relevant,
    ks_distance,
    modality_fraction,
    overlap,
    score_distributions,
)


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


def test_dominance_over_relevant_compares_within_a_query():
    text = np.array([[0.1, 0.2], [0.8, 0.9]])
    image = np.array([[0.3, 0.0], [0.0, 1.0]])
    relevant = np.eye(2, dtype=bool)
    assert dominance_over_relevant(text, image, relevant) == 0
    assert dominance(text, image[relevant]) == 2 / 8
    # Ties count one half; a query without a relevant image is left out.
    tied = np.array([[0.3, 0.5], [0.8, 0.9]])
    relevant[1] = False
    assert dominance_over_relevant(tied, image, relevant) == (1 / 2 + 1) / 2


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


def test_relevant_documents_of_the_other_leg_are_no_rivals(distributions):
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


def test_modality_share_skips_empty_places():
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
    with pytest.raises(ValueError, match="no query has both"):
        dominance_over_relevant(good, good, np.array([[False, False]]))
    with pytest.raises(ValueError, match="n_query, depth"):
        modality_fraction(np.array(["text"]))
