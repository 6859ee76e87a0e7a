"""Fusion on real CLIP features: the single-modality-answer test's rows of published numbers.

250 calibration and 250 test pairs; query = caption i, the text list holds the other captions, the
image list all images, relevant is image i.
"""

import numpy as np
import pytest

from mmgap.evaluation import OverTies, recall
from mmgap.fusion import (
    ConvexCombination,
    LogisticFusion,
    comb_max,
    log_isr,
    reciprocal_rank_fusion,
)
from mmgap.fusion.engines import mteb_dbsf, mteb_rsf, qdrant_dbsf, ranx_fuse
from mmgap.paths import oracles_dir

FEATURES = oracles_dir() / "features_clip.npy"
pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)
NAN = np.nan


@pytest.fixture(scope="module")
def halves():
    """Legs and relevance of the calibration half and of the test half."""
    rows = np.load(FEATURES, allow_pickle=False).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    split = np.random.default_rng(0).permutation(500)
    made = []
    for half in (split[:250], split[250:]):
        image, text = rows[:, half]
        n = len(half)
        legs = np.full((2, n, 2 * n), NAN)
        legs[0, :, :n] = np.where(np.eye(n, dtype=bool), NAN, text @ text.T)
        legs[1, :, n:] = text @ image.T
        relevance = np.hstack([np.zeros((n, n)), np.eye(n)])
        made.append((list(legs), relevance))
    return made


def recall_at(scores, relevance, k) -> OverTies:
    """Recall of one relevant document each; scores within 1e-12 are tied."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-filled, axis=1, kind="stable")
    return recall(
        np.take_along_axis(filled, order, axis=1),
        np.take_along_axis(relevance, order, axis=1),
        np.ones(len(scores), dtype=int),
        k,
        tolerance=1e-12,
    )


def three(values):
    return [values.optimistic.mean(), values.expected.mean(), values.pessimistic.mean()]


@pytest.mark.parametrize(
    ("name", "fuse", "at_1", "at_5", "at_10"),
    [
        ("raw cosine", comb_max, [0, 0, 0], 0, 0),
        ("RRF", reciprocal_rank_fusion, [0.612, 0.306, 0], 0.780, 0.880),
        ("per-query z", lambda *legs: ranx_fuse(*legs, norm="zmuv", method="max"),
         [0.508, 0.508, 0.508], 0.804, 0.896),
        ("unclipped DBSF", qdrant_dbsf, [0.508, 0.508, 0.508], 0.804, 0.896),
        ("per-query min-max", mteb_rsf, [0.612, 0.306, 0], 0.796, 0.884),
    ],
)  # fmt: skip
def test_published_rows(halves, name, fuse, at_1, at_5, at_10):
    _, (legs, relevance) = halves
    fused = fuse(*legs)
    assert three(recall_at(fused, relevance, 1)) == pytest.approx(at_1, abs=5e-4), name
    assert recall_at(fused, relevance, 5).expected.mean() == pytest.approx(at_5, abs=5e-4)
    assert recall_at(fused, relevance, 10).expected.mean() == pytest.approx(at_10, abs=5e-4)


def test_clipped_dbsf_with_n_minus_one(halves):
    """Clipped DBSF: sigma over n - 1, as Qdrant's, then cut to [0, 1]."""
    _, (legs, relevance) = halves
    clipped = comb_max(*(np.clip(qdrant_dbsf(leg), 0, 1) for leg in legs))
    assert three(recall_at(clipped, relevance, 1)) == pytest.approx([0.688, 0.340, 0.192], abs=5e-4)
    assert recall_at(clipped, relevance, 5).expected.mean() == pytest.approx(0.767, abs=5e-4)
    assert recall_at(clipped, relevance, 10).expected.mean() == pytest.approx(0.896, abs=5e-4)


def test_mtebs_clipped_dbsf_ties_too(halves):
    """Sigma over n moves a few documents across the border; luck still beats the ceiling."""
    _, (legs, relevance) = halves
    best, expected, worst = three(recall_at(mteb_dbsf(*legs), relevance, 1))
    assert best > 0.612 > expected > worst


def test_ceiling(halves):
    _, (legs, relevance) = halves
    for k, published in [(1, 0.612), (5, 0.880), (10, 0.936)]:
        assert recall_at(legs[1], relevance, k).expected.mean() == pytest.approx(
            published, abs=5e-4
        )


def test_ties_make_the_artefacts(halves):
    """RRF decides every query by ties; only luck lifts clipped DBSF above the image leg."""
    _, (legs, relevance) = halves
    clipped = comb_max(*(np.clip(qdrant_dbsf(leg), 0, 1) for leg in legs))
    values, ceiling = recall_at(clipped, relevance, 1), recall_at(legs[1], relevance, 1)
    assert values.expected.mean() < ceiling.expected.mean() < values.optimistic.mean()
    # Some queries lose in turn.
    assert (values.optimistic > ceiling.expected + 1e-12).sum() >= round((0.688 - 0.612) * 250)


def test_log_isr_scores_nothing(halves):
    _, (legs, _) = halves
    fused = log_isr(*legs)
    assert (fused[~np.isnan(fused)] == 0).all()


def test_fitted_fusions_stay_below_the_ceiling_and_above_raw_cosine(halves):
    """Fitted on the calibration half: the expected recall of neither exceeds the image leg's."""
    (legs, relevance), (test_legs, test_relevance) = halves
    for fusion in (ConvexCombination("recall@1"), LogisticFusion()):
        fused = fusion.fit(legs, relevance).transform(test_legs)
        best, expected, _ = three(recall_at(fused, test_relevance, 1))
        assert 0.4 < expected <= best <= 0.612 + 1e-9
