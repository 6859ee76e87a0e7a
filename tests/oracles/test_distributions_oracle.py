"""Score distributions of real CLIP features against the numbers worked out for them elsewhere."""

import numpy as np
import pytest

from mmgap.evaluation import Run, evaluate
from mmgap.fusion import reciprocal_rank_fusion
from mmgap.paths import oracles_dir
from mmgap.scores import (
    QUANTILES,
    dominance,
    ks_distance,
    modality_fraction,
    score_distributions,
)

FEATURES = oracles_dir() / "features_clip.npy"
pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)


@pytest.fixture(scope="module")
def features():
    """500 images and their captions, (2, 500, 512), unit rows in float64."""
    rows = np.load(FEATURES, allow_pickle=False).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=2, keepdims=True)


@pytest.fixture(scope="module")
def scores(features):
    """Every caption as query: against the other captions, and against all images."""
    image, text = features
    text_scores = text @ text.T
    np.fill_diagonal(text_scores, np.nan)
    return text_scores, text @ image.T


PAIRED = np.eye(500, dtype=bool)


def test_text_dominates_the_relevant_image(scores):
    """The published .964 pools all queries; within a query, as a ranking compares, it is .957."""
    text, image = scores
    assert dominance(text, image[PAIRED]) == pytest.approx(0.964, abs=5e-4)
    text_above = (text[~PAIRED].reshape(500, 499) > image[PAIRED][:, None]).mean()
    found = score_distributions(text, image, image_relevant=PAIRED)
    assert found.text_beats_relevant_image == pytest.approx(text_above, abs=1e-4)
    assert text_above == pytest.approx(0.957, abs=5e-4)


def test_text_text_and_text_image_hardly_meet(scores):
    text, image = scores
    assert ks_distance(text, image[~PAIRED]) == pytest.approx(0.9685, abs=5e-5)


def test_percentiles(scores):
    text, image = scores
    found = score_distributions(text, image, image_relevant=PAIRED).samples
    unpaired = score_distributions(text, np.where(PAIRED, np.nan, image)).samples["image"]
    at = [QUANTILES.index(level) for level in (0.01, 0.5, 0.99)]
    for sample, published in [
        (found["text"], [0.261, 0.514, 0.793]),
        (unpaired, [0.066, 0.156, 0.294]),
        (found["image relevant"], [0.236, 0.310, 0.381]),
    ]:
        np.testing.assert_allclose(sample.quantiles[at], published, atol=6e-4)


def test_raw_cosine_shows_texts_only(scores):
    text, image = scores
    merged = np.concatenate([np.where(PAIRED, -np.inf, text), image], axis=1)
    top = np.argsort(-merged, axis=1, kind="stable")[:, :10]
    legs = np.where(top < 500, "text", "image")
    assert modality_fraction(legs, k=10).mean() == pytest.approx(1.0, abs=5e-4)


def test_rrf_of_disjoint_legs_ties_as_published(features):
    """The held-out half: R@1 .612 at best, .306 expected, 0 at worst; .780 and .880 at 5 and 10."""
    test = np.random.default_rng(0).permutation(500)[250:]
    image, text = features[:, test]
    n = len(test)
    text_scores = np.full((n, 2 * n), np.nan)
    text_scores[:, :n] = np.where(np.eye(n, dtype=bool), np.nan, text @ text.T)
    image_scores = np.full((n, 2 * n), np.nan)
    image_scores[:, n:] = text @ image.T
    fused = reciprocal_rank_fusion(text_scores, image_scores)
    candidates = np.where(np.isnan(fused), -1, np.arange(2 * n))
    queries = [f"q{i}" for i in range(n)]
    documents = [f"t{i}" for i in range(n)] + [f"i{i}" for i in range(n)]
    run = Run.from_scores("rrf", queries, documents, candidates, np.nan_to_num(fused))
    qrels = {f"q{i}": {f"i{i}": 1} for i in range(n)}
    means = evaluate(run, qrels, ["recall@1", "recall@5", "recall@10"]).mean()
    assert means["optimistic", "recall@1"] == pytest.approx(0.612, abs=5e-4)
    assert means["expected", "recall@1"] == pytest.approx(0.306, abs=5e-4)
    assert means["pessimistic", "recall@1"] == 0
    assert means["expected", "recall@5"] == pytest.approx(0.780, abs=5e-4)
    assert means["expected", "recall@10"] == pytest.approx(0.880, abs=5e-4)
