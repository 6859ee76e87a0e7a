"""Inputs on which measures and gap report failed, and pure noise, each with what is right."""

from __future__ import annotations

import numpy as np
import pytest

import mmgap as mg
from mmgap.corpus import load_features
from mmgap.errors import MmgapError
from mmgap.gap import MEASURES, NullLevel, k_occurrence, null_level
from mmgap.strategies.gap_consequences import _even_loss
from mmgap.strategies.gap_report import measure_sentence

QUICK = {"n_resamples": 200}
TWO_SIDED = [measure for measure in MEASURES.values() if not measure.sides]


def noise(n: int, seed: int, dim: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim))


def report_of(image, text, queries=None):
    return mg.gap_report(mg.embed(load_features(image, text, queries)), **QUICK)


# Rows that do not differ


@pytest.mark.filterwarnings("ignore::mmgap.gap.SmallSampleWarning")
@pytest.mark.parametrize(
    ("image", "text"),
    [
        pytest.param(noise(30, 0), np.tile(noise(1, 1), (30, 1)), id="E-all-texts-equal"),
        pytest.param(np.tile(noise(1, 1), (30, 1)), noise(30, 0), id="E-all-images-equal"),
        pytest.param(np.ones((30, 4)), -np.ones((30, 4)), id="E-one-point-each"),
        pytest.param(noise(30, 0), noise(30, 0), id="E-texts-are-the-images"),
        pytest.param(np.ones((30, 4)), np.ones((30, 4)), id="E-one-point"),
        pytest.param(noise(1, 0), noise(1, 1), id="E-one-pair"),
    ],
)
def test_rows_that_do_not_differ_give_a_report(image, text):
    found = report_of(image, text)
    table = found.to_frame()
    undefined = table["value"].isna() & (table["part"] == "geometry")
    assert table.loc[undefined, "meaning"].str.contains("not defined here").all()
    assert table.loc[undefined, ["ci_low", "ci_high", "null"]].isna().all(axis=None)
    assert not table["meaning"].str.contains("nan").any()
    for form in (found.to_text(), found.to_html(), found.to_latex()):
        assert "nan" not in form.lower().split()


# A sentence says what the value is against its null range


LABELS = NullLevel("labels", 0.16, 0.05, 0.35, 0.4, 50, 500)
PAIRING = NullLevel("pairing", 0.16, 0.05, 0.35, 0.4, 50, 500)
NO_DRAW = NullLevel("labels", *[np.nan] * 4, 50, 500)


@pytest.mark.parametrize(
    ("name", "value", "null", "end"),
    [
        # 02: inside a wide range, far above its mean; "which is what no gap gives" was said.
        (
            "gap_fraction_top1",
            0.346,
            LABELS,
            "within the 95 % range without a gap, 5.0 % to 35.0 %",
        ),
        ("gap_fraction_top1", 0.36, LABELS, "against 16.0 % without a gap"),
        ("gap_fraction_top1", 0.04, LABELS, "against 16.0 % without a gap"),
        ("l2m", 0.8, LABELS, "5 times the null level"),
        ("paired_cosine", 0.2, PAIRING, "within the 95 % range for shuffled texts, 0.05 to 0.35"),
        ("paired_cosine", 0.5, PAIRING, "against 0.16 for shuffled texts"),
        ("l2m", 0.8, NO_DRAW, "the centroids are 0.80 apart"),
    ],
)
def test_a_sentence_follows_from_value_and_null_range(name, value, null, end):
    sentence = measure_sentence(MEASURES[name], value, "both", null)
    assert sentence.endswith(end)


@pytest.mark.parametrize(
    "name", ["gap_fraction_top1", "gap_fraction_top8", "pc1_angle", "gap_orthogonality"]
)
def test_the_null_of_a_direction_holds_nothing_of_the_gap(name):
    """Exchange at random left the gap's own direction in its null, so 02 found no concentration."""
    gap = 3 * np.eye(12)[0]
    null = null_level(MEASURES[name], noise(200, 0) + gap, noise(200, 1) - gap)
    without = null_level(MEASURES[name], noise(200, 0), noise(200, 1))
    assert null.mean == pytest.approx(without.mean, abs=0.1)


# What no measure can take ends in an MmgapError


BAD = {
    "None": None,
    "a number": 3.0,
    "a text": "image.npy",
    "ragged lists": [[1.0, 2.0], [1.0]],
    "one axis": np.ones(4),
    "no row": np.ones((0, 4)),
    "words": np.array([["a", "b"]]),
    "booleans": np.ones((4, 2), dtype=bool),
    "a row of zeros": np.zeros((4, 2)),
    "NaN": np.full((4, 2), np.nan),
    "another dimension": np.ones((4, 3)),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_no_measure_can_take_is_refused(measure, bad):
    good = np.eye(4, 2) + 1
    if measure.sides:
        if not (isinstance(bad, np.ndarray) and bad.shape == (4, 3)):
            with pytest.raises(MmgapError):
                measure.function(bad)
        return
    for sides in ((good, bad), (bad, good)):
        with pytest.raises(MmgapError):
            measure.function(*sides)


@pytest.mark.parametrize("k", [0, -1, 5, 1.5, "2", None])
def test_a_k_that_will_not_do_is_refused(k):
    with pytest.raises(MmgapError, match="k is"):
        k_occurrence(np.eye(4), np.eye(4), k)
    for name in ("neighbourhood_agreement", "knn_fraction"):
        if name != "knn_fraction" or k != 5:  # eight images and texts hold five neighbours
            with pytest.raises(MmgapError, match="k is"):
                MEASURES[name].function(np.eye(4), np.eye(4), k=k)


@pytest.mark.parametrize("texts", ["text.npy", "image.npy"])
@pytest.mark.parametrize("queries", [None, "text.npy", "image.npy"])
def test_one_file_may_serve_twice(tmp_path, texts, queries):
    """Images as texts ended in a foreign error; the texts as queries were taken for no queries."""
    for at, name in enumerate(("image.npy", "text.npy")):
        np.save(tmp_path / name, noise(20, at))
    found = load_features(
        tmp_path / "image.npy", tmp_path / texts, None if queries is None else tmp_path / queries
    )
    arrays = {name: np.load(tmp_path / name).astype(np.float32) for name in ("image.npy", texts)}
    np.testing.assert_array_equal(found.text_embeddings, arrays[texts])
    given = np.load(tmp_path / (queries or texts)).astype(np.float32)
    np.testing.assert_array_equal(found.query_embeddings, given)
    assert bool(found.left_out) == (queries is None)


# Null: independent noise has no gap, no pairing, and loses what a list of two halves loses


@pytest.mark.parametrize("measure", TWO_SIDED, ids=lambda measure: measure.name)
def test_null_noise_lies_within_the_null_range(measure):
    if measure.null is None:
        pytest.skip("no null level is known")
    seeds, n_draws = (4, 20) if measure.name == "linear_separability" else (12, 60)
    inside = []
    for seed in range(seeds):
        image, text = noise(40, 2 * seed), noise(40, 2 * seed + 1)
        null = null_level(measure, image, text, n_draws=n_draws)
        inside.append(null.low <= measure.function(image, text) <= null.high)
    assert sum(inside) >= 0.75 * seeds  # each holds the value in about 95 % of cases


@pytest.mark.filterwarnings("ignore::mmgap.gap.SmallSampleWarning")
@pytest.mark.parametrize("own_queries", [True, False])
def test_null_noise_loses_nothing_to_a_gap(own_queries):
    hits, rows = [], 0
    for seed in range(6):
        image, text, queries = (noise(80, 3 * seed + side) for side in range(3))
        found = report_of(image, text, queries if own_queries else None).to_frame()
        asked = found[(found["part"] == "consequence") & found["null"].notna()]
        rows += len(asked)
        hits += asked["measure"][
            (asked["null"] < asked["ci_low"] - 1e-9) | (asked["null"] > asked["ci_high"] + 1e-9)
        ].tolist()
        fractions = found[found["measure"].str.startswith("loss_fraction")]
        lost = found[found["measure"] == "merge_loss"].set_index("side")
        assert (lost["null"] > 0.03).all()  # twice as long a list costs that much
        assert fractions["value"].isna().mean() >= 0.5
    assert len(hits) <= 0.1 * rows, hits


def test_a_gap_is_still_found():
    """The counterpart: what noise does not show, a gap shows."""
    gap = 4 * np.eye(12)[0]
    image = noise(80, 0)
    text = image + 0.3 * noise(80, 1) - 2 * gap
    found = report_of(image, text, text + 0.2 * noise(80, 2)).to_frame()
    lost = found[(found["measure"] == "merge_loss") & (found["side"] == "image")].iloc[0]
    assert lost["ci_low"] > lost["null"] + 0.1
    offset = found[(found["measure"] == "loss_fraction_offset") & (found["side"] == "image")]
    assert offset["value"].item() > 0.5
    assert (
        found.set_index("measure").loc["ks", "ci_low"]
        > found.set_index("measure").loc["ks", "null"]
    )


@pytest.mark.parametrize("k", [5, 10])
@pytest.mark.parametrize("noise_of_queries", [0.5, 2.0])
def test_the_loss_of_two_modalities_scored_alike(k, noise_of_queries):
    """Rivals that *are* alike, the other half of the same images, cost what the null foretells."""
    documents = noise(400, 0)
    queries = documents[:200] + noise_of_queries * noise(200, 1)
    scores = queries @ (documents / np.linalg.norm(documents, axis=1, keepdims=True)).T
    own, rivals = scores[:, :200], scores[:, 200:]
    right = np.diag(own)[:, None]
    above = (own > right).sum(axis=1), (rivals > right).sum(axis=1)
    lost = (above[0] < k).mean() - (above[0] + above[1] < k).mean()
    assert _even_loss(own, np.eye(200, dtype=bool), rivals, k) == pytest.approx(lost, abs=0.03)
