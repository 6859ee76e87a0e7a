"""Real CLIP features: each normaliser in the single-modality-answer test, to the digit."""

import numpy as np
import pytest
from clip_halves import FEATURES, HALF, PAIRED, half_embeddings, measured, unmatched, without_itself

from mmgap.mitigate import dot_scores
from mmgap.scores import calibrator_transfer, threshold_transfer
from mmgap.scores.calibrate import CALIBRATORS, PlattCalibrator, fit_legs
from mmgap.scores.normalise import (
    DBSFNormaliser,
    MinMaxNormaliser,
    QuantileNormaliser,
    TheoreticalMinMaxNormaliser,
    ZScoreNormaliser,
)
from mmgap.scores.thresholds import find_threshold

pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)


@pytest.fixture(scope="module")
def halves():
    """Scores of calibration and test half, leg by leg: caption i against captions and images."""
    return tuple(without_itself(dot_scores(half)) for half in half_embeddings())


@pytest.mark.parametrize(
    ("normaliser", "at_1", "at_5_and_10", "text_fraction"),
    [
        (ZScoreNormaliser(reference="calibration"), [0.544] * 3, [0.776, 0.876], 0.347),
        (QuantileNormaliser(), [0.528, 0.526, 0.524], [0.752, 0.856], 0.422),
        (ZScoreNormaliser(), [0.508] * 3, [0.804, 0.896], 0.388),
        (ZScoreNormaliser(ddof=1), [0.508] * 3, [0.804, 0.896], 0.388),
        (DBSFNormaliser(), [0.508] * 3, [0.804, 0.896], 0.388),
        (DBSFNormaliser(clip=True), [0.688, 0.340, 0.192], [0.767, 0.896], 0.388),
        (MinMaxNormaliser(), [0.612, 0.306, 0], [0.796, 0.884], 0.616),
        (TheoreticalMinMaxNormaliser(), [0.612, 0.306, 0], [0.816, 0.908], 0.471),
    ],
    ids=repr,
)
def test_published_rows(halves, normaliser, at_1, at_5_and_10, text_fraction):
    calibration, test = halves
    fitted = fit_legs(normaliser, unmatched(calibration))
    first, later, share = measured(*(fitted[leg].transform(test[leg]) for leg in test))
    assert first == pytest.approx(at_1, abs=5e-4)
    assert later == pytest.approx(at_5_and_10, abs=5e-4)
    # The share takes tied texts in the order of the columns, before the images.
    assert share == pytest.approx(text_fraction, abs=5e-4)


def test_the_raw_merge_finds_nothing(halves):
    _, test = halves
    first, later, share = measured(test["text"], test["image"])
    assert (first, later) == ([0, 0, 0], [0, 0])
    assert share == pytest.approx(1, abs=5e-4)


def test_calibrators_on_the_other_half(halves):
    """Image leg: one of 250 pairs is relevant. Binning is coarse, normal densities are wrong."""
    calibration, test = halves
    for name, calibrator in CALIBRATORS.items():
        fitted = fit_legs(calibrator, {"image": calibration["image"]}, {"image": PAIRED})
        table = calibrator_transfer(fitted["image"], {"test": (test["image"], PAIRED)})
        (row,) = table.to_dict("records")
        assert row["fraction_relevant"] == 1 / HALF
        skill = 1 - row["brier"] / row["brier_of_base_rate"]
        assert skill > {"histogram": 0.05, "likelihood ratio, normal": 0.15}.get(name, 0.29), name
        if name == "likelihood ratio, normal":
            assert row["ece"] > 10 * row["ece_null"]
        else:
            assert row["ece"] < 2.5 * row["ece_null"], name
            assert row["mean_probability"] == pytest.approx(1 / HALF, rel=0.1), name


def test_platt_is_monotone_so_the_image_leg_keeps_its_recall(halves):
    calibration, test = halves
    fitted = fit_legs(PlattCalibrator(), {"image": calibration["image"]}, {"image": PAIRED})
    nothing = np.full((HALF, HALF), np.nan)
    raw, _, _ = measured(nothing, test["image"])
    after, _, _ = measured(nothing, fitted["image"].transform(test["image"]))
    assert after == raw
    assert raw[1] == pytest.approx(0.612, abs=5e-4)


def test_threshold_on_one_half_holds_on_the_other(halves):
    calibration, test = halves
    found = find_threshold(calibration["image"], PAIRED, false_positive_rate=0.01, n_resamples=100)
    assert found.low <= found.value <= found.high
    assert found.bound <= 0.01
    (row,) = threshold_transfer(found, {"test": (test["image"], PAIRED)}).to_dict("records")
    assert row["observed"] == pytest.approx(0.01, abs=0.002)
    # 99 of 100 unmatched pairs lie below .294, half of the matched ones above .310.
    assert found.value == pytest.approx(0.294, abs=0.01)
    assert 0.5 < row["recall"] < 0.85
