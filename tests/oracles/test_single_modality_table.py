"""The whole single-modality-answer test on real CLIP features, to its published digits."""

import numpy as np
import pytest
from clip_halves import FEATURES

import mmgap as mg
from mmgap.errors import MmgapError
from mmgap.strategies import halve_pairs, single_modality_table, worse_direction

pytestmark = pytest.mark.skipif(
    not FEATURES.exists(), reason=f"{FEATURES} does not exist; set MMGAP_ORACLES to its folder"
)

ROWS = {
    # method: R@1 optimistic, expected, pessimistic; R@5, R@10 expected; share of texts among ten
    "raw cosine": (0, 0, 0, 0, 0, 1.000),
    "drop 2 largest gap dims": (0, 0, 0, 0.004, 0.020, 0.998),
    "shift images by gap vector": (0.032, 0.032, 0.032, 0.240, 0.400, 0.912),
    "mean centring": (0.052, 0.052, 0.052, 0.304, 0.496, 0.906),
    "NNN, alpha 0.75": (0.052, 0.052, 0.052, 0.264, 0.396, 0.897),
    "NNN, alpha 1": (0.300, 0.300, 0.300, 0.716, 0.828, 0.442),
    "mean centring + global z": (0.372, 0.372, 0.372, 0.708, 0.836, None),
    "global z": (0.544, 0.544, 0.544, 0.776, 0.876, 0.347),
    "global CDF": (0.528, 0.526, 0.524, 0.752, 0.856, 0.422),
    "per-query z": (0.508, 0.508, 0.508, 0.804, 0.896, 0.388),
    "unclipped DBSF": (0.508, 0.508, 0.508, 0.804, 0.896, 0.388),
    "per-query min-max": (0.612, 0.306, 0, 0.796, 0.884, 0.616),
    "TMM": (0.612, 0.306, 0, 0.816, 0.908, 0.471),
    "RRF": (0.612, 0.306, 0, 0.780, 0.880, 0.500),
    "clipped DBSF": (0.688, 0.340, 0.192, 0.767, 0.896, 0.388),
    "image leg": (0.612, 0.612, 0.612, 0.880, 0.936, 0),
    "text leg": (0, 0, 0, 0, 0, 1),
}


@pytest.fixture(scope="module")
def vectors():
    images, texts = np.load(FEATURES, allow_pickle=False)
    return mg.embed(mg.load_features(images, texts, name="clip"), None, progress=False)


@pytest.fixture(scope="module")
def table(vectors):
    return single_modality_table(*halve_pairs(vectors), directions=["image"])


def test_every_row_of_the_table_is_there(table):
    assert set(table["method"]) == set(ROWS)
    assert (table["n"] == 250).all()


@pytest.mark.parametrize("method", ROWS)
def test_row(table, method):
    optimistic, expected, pessimistic, at_5, at_10, share = ROWS[method]
    row = table[table["method"] == method].set_index("measure")
    first = row.loc["recall@1", ["optimistic", "value", "pessimistic"]].tolist()
    assert first == pytest.approx([optimistic, expected, pessimistic], abs=5e-4)
    found = row.loc[["recall@5", "recall@10"], "value"].tolist()
    assert found == pytest.approx([at_5, at_10], abs=5e-4)
    if share is not None:
        assert row.loc["text_fraction@10", "value"] == pytest.approx(share, abs=5e-4)


def test_every_value_has_an_interval_around_it(table):
    assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).all()
    wide = table[(table["value"] > 0.05) & (table["value"] < 0.95)]
    recall = wide[wide["measure"].str.startswith("recall")]
    assert ((recall["ci_high"] - recall["ci_low"]) > 0.02).all()


def test_only_the_direction_of_images_can_be_asked(vectors, table):
    """The captions are the queries: no other text answers them."""
    with pytest.raises(MmgapError, match=r"250 queries .* have no relevant text"):
        single_modality_table(*halve_pairs(vectors), directions=["text"])
    read = worse_direction(table)
    assert read["verdict"].idxmax() == "image leg"
    assert read.loc["RRF", "verdict"] == pytest.approx(0.880 / 0.936, abs=1e-3)
