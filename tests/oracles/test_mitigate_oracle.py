"""Real CLIP features: each mitigation in the single-modality-answer test, to the digit."""

import numpy as np
import pytest
from clip_halves import FEATURES, HALF, half_embeddings, measured, unmatched, without_itself
from scipy.stats import skew
from sklearn.base import clone

from mmgap.gap import l2m
from mmgap.mitigate import (
    NNN,
    DimensionAblation,
    GapShift,
    MeanCentring,
    dot_scores,
)
from mmgap.scores.calibrate import fit_legs
from mmgap.scores.normalise import ZScoreNormaliser

pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)
NOTHING = np.full((HALF, HALF), np.nan)


@pytest.fixture(scope="module")
def halves():
    return half_embeddings()


@pytest.mark.parametrize(
    ("mitigation", "at_1", "at_5_and_10", "text_share"),
    [
        (DimensionAblation(k=2), 0, [0.004, 0.020], 0.998),
        (GapShift(), 0.032, [0.240, 0.400], 0.912),
        (MeanCentring(), 0.052, [0.304, 0.496], 0.906),
        (NNN(alpha=0.75, k=16), 0.052, [0.264, 0.396], 0.897),
        (NNN(alpha=1, k=16), 0.300, [0.716, 0.828], 0.442),
    ],
    ids=repr,
)
def test_probe(halves, mitigation, at_1, at_5_and_10, text_share):
    calibration, test = halves
    scores = without_itself(clone(mitigation).fit(calibration).leg_scores(test))
    first, later, share = measured(**scores)
    assert first == pytest.approx([at_1] * 3, abs=5e-4)
    assert later == pytest.approx(at_5_and_10, abs=5e-4)
    assert share == pytest.approx(text_share, abs=5e-4)


def test_centring_and_a_scale_for_each_leg(halves):
    """Centring does not make the legs comparable; the statistics of each leg do more."""
    calibration, test = halves
    centring = MeanCentring().fit(calibration)
    fitted = fit_legs(
        ZScoreNormaliser(reference="calibration"), unmatched(centring.leg_scores(calibration))
    )
    scores = {leg: fitted[leg].transform(at) for leg, at in centring.leg_scores(test).items()}
    first, later, _ = measured(**without_itself(scores))
    assert first == pytest.approx([0.372] * 3, abs=5e-4)
    assert later == pytest.approx([0.708, 0.836], abs=5e-4)


@pytest.mark.parametrize(
    ("mitigation", "at_1"),
    [(None, 0.612), (NNN(alpha=0.75, k=16), 0.672), (MeanCentring(), 0.596)],
    ids=repr,
)
def test_images_alone(halves, mitigation, at_1):
    calibration, test = halves
    fitted = dot_scores if mitigation is None else clone(mitigation).fit(calibration).leg_scores
    first, _, _ = measured(NOTHING, fitted(test)["image"])
    assert first == pytest.approx([at_1] * 3, abs=5e-4)


@pytest.mark.parametrize(
    ("mitigation", "skewness", "largest"),
    [(None, 1.349, 40), (NNN(alpha=0.75, k=16), 0.341, 22), (MeanCentring(), 0.797, 28)],
    ids=repr,
)
def test_hubs_among_images(halves, mitigation, skewness, largest):
    """How often each image is among the ten best of a caption."""
    calibration, test = halves
    fitted = dot_scores if mitigation is None else clone(mitigation).fit(calibration).leg_scores
    found = np.argsort(-fitted(test)["image"], axis=1)[:, :10]
    counts = np.bincount(found.ravel(), minlength=HALF)
    assert skew(counts) == pytest.approx(skewness, abs=5e-4)
    assert counts.max() == largest


def test_centring_closes_the_distance_and_not_the_loss(halves):
    calibration, test = halves
    centred = MeanCentring().fit(calibration).transform(test)
    assert l2m(test["image"], test["text"]) == pytest.approx(0.855, abs=0.01)
    assert l2m(centred["image"], centred["text"]) < 0.12
    merged, _, _ = measured(**without_itself(dot_scores(centred)))
    alone, _, _ = measured(NOTHING, dot_scores(centred)["image"])
    assert merged[1] < 0.1 * alone[1]
