"""What the gap does to search on real CLIP features, against numbers worked out elsewhere.

The single-modality-answer test: 250 of the 500 pairs to calibrate, 250 to test. A query is a
caption, its pool the 249 other test captions and the 250 test images; its own image is relevant.
"""

import numpy as np
import pytest

from mmgap.paths import oracles_dir
from mmgap.scores import decompose_merge_loss, rank_inflation, wrong_modality

FEATURES = oracles_dir() / "features_clip.npy"
pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)
PAIRED = np.eye(250, dtype=bool)


@pytest.fixture(scope="module")
def features():
    """500 images and their captions, (2, 500, 512), unit rows in float64."""
    rows = np.load(FEATURES, allow_pickle=False).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=2, keepdims=True)


@pytest.fixture(scope="module")
def halves(features):
    order = np.random.default_rng(0).permutation(500)
    return features[:, order[:250]], features[:, order[250:]]


def without_itself(scores):
    return np.where(PAIRED, np.nan, scores)


@pytest.fixture(scope="module")
def merged(halves):
    _, (image, text) = halves
    return without_itself(text @ text.T), text @ image.T


def test_the_matched_image_is_at_rank_246_of_499(merged):
    found = rank_inflation(*merged, image_relevant=PAIRED)["image"]
    assert np.median(found.merged_rank) == 246
    assert np.median(found.own_rank) == 1
    assert (found.own_rank == 1).mean() == pytest.approx(0.612, abs=5e-4)
    assert (found.merged_rank <= 10).sum() == 0


def test_every_first_hit_is_of_the_wrong_modality(merged):
    found = wrong_modality(*merged, image_relevant=PAIRED)["image"]
    assert found.wrong.mean() == found.wrong_modality.mean() == found.fraction_of_errors == 1


@pytest.mark.parametrize(
    ("k", "ceiling", "global_z"), [(1, 0.612, 0.544), (5, 0.880, 0.776), (10, 0.936, 0.876)]
)
def test_offset_and_spread_removed_are_the_global_z(halves, merged, k, ceiling, global_z):
    """Without hubness only mean and sd of the bank count: here those of the published z."""
    (image, text), _ = halves
    loss = decompose_merge_loss(
        *merged,
        image_relevant=PAIRED,
        reference_text_scores=without_itself(text @ text.T),
        reference_image_scores=without_itself(text @ image.T),
        k=k,
    )["image"]
    assert loss.recall[()].mean() == 0
    assert loss.ceiling.mean() == pytest.approx(ceiling, abs=5e-4)
    assert loss.recall["offset", "spread"].mean() == pytest.approx(global_z, abs=5e-4)


@pytest.mark.parametrize("direction", ["image", "text"])
def test_closing_the_offset_is_not_enough(halves, direction):
    """The calibration half's queries as bank, with the documents of the test half.

    The published .052 subtracts mean vectors and scales again; shifting scores wins .09. Both are
    far from the ceiling, and both need the spread as well.
    """
    own, other = (0, 1) if direction == "image" else (1, 0)
    calibration, test = halves
    # The queries are of the modality that distracts, as in the single-modality-answer test.
    queries, bank = test[other], calibration[other]
    scores = {
        own: queries @ test[own].T,
        other: without_itself(queries @ test[other].T),
    }
    banks = {side: bank @ test[side].T for side in (own, other)}
    loss = decompose_merge_loss(
        scores[1],
        scores[0],
        **{f"{direction}_relevant": PAIRED},
        reference_text_scores=banks[1],
        reference_image_scores=banks[0],
    )[direction]
    recall = {removed: values.mean() for removed, values in loss.recall.items()}
    ceiling = loss.ceiling.mean()
    assert recall[()] == recall["spread",] == recall["hubness",] == 0
    assert 0.02 < recall["offset",] < 0.12
    assert recall["offset", "spread"] > 0.8 * ceiling
    # Hubness neither explains it nor replaces the spread.
    assert recall["offset", "hubness"] < 0.12
    shares = loss.to_frame(n_resamples=500).set_index(["measure", "cause"]).loc["fraction of loss"]
    assert shares.loc["offset", "ci_low"] > 0.4
    assert shares.loc["spread", "ci_low"] > 0.3
    assert shares.loc["hubness", "ci_low"] < 0 < shares.loc["hubness", "ci_high"]
    assert shares["value"].sum() == pytest.approx(1)
    if direction == "image":
        assert recall["offset",] == pytest.approx(0.092, abs=1e-9)
        assert recall["offset", "spread"] == pytest.approx(0.548, abs=1e-9)
