"""The gap report of real CLIP features against the published numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mmgap as mg
from mmgap.paths import oracles_dir

FEATURES = oracles_dir() / "features_clip.npy"
pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)


@pytest.fixture(scope="module")
def report() -> mg.strategies.GapReport:
    return mg.gap_report(mg.embed(mg.load_corpus("features/clip-vit-b16-coco500")))


@pytest.fixture(scope="module")
def table(report: mg.strategies.GapReport) -> pd.DataFrame:
    return report.to_frame().set_index(["measure", "side"]).sort_index()


def test_every_measure_is_there(report: mg.strategies.GapReport) -> None:
    from mmgap.gap import MEASURES

    geometry = report.table[report.table["part"] == "geometry"]
    assert list(geometry["measure"].unique()) == list(MEASURES)
    assert (geometry["n"] == 500).all()


@pytest.mark.parametrize(
    ("measure", "side", "published", "digits"),
    [
        ("rmg", "both", 0.591460, 6),
        ("l2m", "both", 0.851352, 6),
        ("l2m_unbiased", "both", 0.850580, 6),
        ("l2i", "both", 1.174481, 6),
        ("paired_cosine", "both", 0.309919, 6),
        ("alignment", "both", 1.380163, 6),
        ("uniformity", "image", -1.794535, 6),
        ("uniformity", "text", -1.840912, 6),
        ("dominance", "image", 0.964, 3),
        ("dominance_by_query", "image", 0.957, 3),
        ("text_fraction", "both", 1.000, 3),
        ("ks", "both", 0.9685, 4),
    ],
)
def test_published_values(
    table: pd.DataFrame, measure: str, side: str, published: float, digits: int
) -> None:
    assert round(table.loc[(measure, side), "value"].item(), digits) == published


def test_published_interval_and_null_level(table: pd.DataFrame) -> None:
    """Both rest on redraws, so they hold to about .001, the mean of 50 draws to about .005."""
    l2m = table.loc[("l2m", "both")]
    assert (l2m["ci_low"], l2m["ci_high"]) == pytest.approx((0.8454, 0.8591), abs=1e-3)
    assert l2m["null"] == pytest.approx(0.050, abs=5e-3)
    assert l2m["meaning"] == "the centroids are 0.85 apart, 17 times the null level"


def test_what_the_tool_prints(report: mg.strategies.GapReport) -> None:
    text = report.to_text()
    for number in ("0.591460", "0.851352", "0.850580", "0.964", "1.000000"):
        assert number in text
    assert "P(text > relevant image)" in text
    assert "text fraction@10" in text


def test_the_direction_that_captions_cannot_show_is_named(
    report: mg.strategies.GapReport, table: pd.DataFrame
) -> None:
    assert ("dominance", "text") not in table.index
    assert any("No query has a relevant text that counts" in note for note in report.notes)


def test_recall_that_the_merge_loses(table: pd.DataFrame) -> None:
    """Text-to-image recall@10 is .862 alone (published), and nothing is left of it merged."""
    lost = table.loc[("merge_loss", "image")]
    assert lost["value"] == pytest.approx(0.862, abs=5e-4)
    shares = [f"loss_fraction_{cause}" for cause in (*mg.scores.CAUSES, "unexplained")]
    values = [table.loc[(share, "image"), "value"].item() for share in shares]
    assert np.sum(values) == pytest.approx(1)
    assert max(zip(values, shares, strict=True))[1] == "loss_fraction_offset"
