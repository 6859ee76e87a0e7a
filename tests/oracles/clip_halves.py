"""Real CLIP features for the single-modality-answer test: two halves, and what a merge finds."""

import numpy as np

from mmgap.evaluation import recall
from mmgap.paths import oracles_dir
from mmgap.scores import modality_fraction

FEATURES = oracles_dir() / "features_clip.npy"
HALF = 250
PAIRED = np.eye(HALF, dtype=bool)
OVER_TIES = ("optimistic", "expected", "pessimistic")


def half_embeddings():
    """Vectors of calibration and test half; the captions are both queries and texts."""
    rows = np.load(FEATURES, allow_pickle=False).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    order = np.random.default_rng(0).permutation(500)

    def roles(part):
        image, text = rows[:, part]
        return {"query": text, "text": text, "image": image}

    return roles(order[:HALF]), roles(order[HALF:])


def without_itself(scores):
    """Scores in which no caption finds itself."""
    return {**scores, "text": np.where(PAIRED, np.nan, scores["text"])}


def unmatched(scores):
    """The bank: all pairs of different items."""
    return {leg: np.where(PAIRED, np.nan, values) for leg, values in scores.items()}


def measured(text, image):
    """Recall of the matching image in the merged pool, and the share of texts among ten."""
    merged = np.concatenate([np.where(np.isnan(text), -np.inf, text), image], axis=1)
    order = np.argsort(-merged, axis=1, kind="stable")
    at = np.take_along_axis(merged, order, axis=1)
    gains = (order == HALF + np.arange(HALF)[:, None]).astype(int)
    ones = np.ones(HALF, dtype=int)
    found = {k: recall(at, gains, ones, k, tolerance=1e-12) for k in (1, 5, 10)}
    first = [float(getattr(found[1], how).mean()) for how in OVER_TIES]
    share = modality_fraction(np.where(order < HALF, "text", "image"), k=10).mean()
    return first, [found[5].expected.mean(), found[10].expected.mean()], share
