"""Engines on the lists where they differ, against numbers worked out by hand from their sources."""

import math

import numpy as np
import pytest

from mmgap.errors import MmgapError
from mmgap.fusion import engines

NAN = np.nan
TEXT = {"a": 0.9, "b": 0.6, "c": 0.3}
IMAGE = {"c": 0.4, "d": 0.2}
EQUAL = {"a": 0.25, "b": 0.25}
EQUAL_NEGATIVE = {"a": -0.25, "b": -0.25}
NEGATIVE = {"a": -0.25, "b": -0.5}
TWO = {"a": 3.0, "b": 1.0}  # mean 2; sd 1 over n, sqrt(2) over n - 1
FAR = {"a": 10.0, "b": 9.0, **{f"n{i:03}": 0.0 for i in range(198)}}  # two beyond 3 sd
Z = [5.0, 2.0, 1.0, 0.0]


def fuse(engine, *lists, **params):
    """Fuse mappings of document id to score by the engine's name: a dict of what it returns."""
    docs = list(dict.fromkeys(doc for ranked in lists for doc in ranked))
    legs = [np.array([[ranked.get(doc, NAN) for doc in docs]]) for ranked in lists]
    (row,) = getattr(engines, engine)(*legs, **params)
    return {doc: float(score) for doc, score in zip(docs, row, strict=True)}


MINMAX = {"normalizer": "minmax"}
RELATIVE, DIST = {"mode": "relative_score"}, {"mode": "dist_based_score"}
Z_SCORE = {"normalization": "z_score"}
FIRST = {"weights": (1, 0)}
ES, OS, WEAVIATE = "elasticsearch_linear", "opensearch_hybrid", "weaviate_relative_score"
LLAMA, VESPA = "llamaindex_fusion", "vespa_normalize_linear"
ZMUV_SUM = {"norm": "zmuv", "method": "sum"}
RRF = {"norm": None, "method": "rrf"}
TMM = {"weight": 0.5, "normalize_method": "tmm"}

CASES = {
    # Reciprocal ranks: places from 0 or 1, and what weights do.
    "rrf: qdrant": ("qdrant_rrf", (TWO, {"b": 0.7}), {}, [1 / 2, 1 / 3 + 1 / 2]),
    "rrf: qdrant, the paper's 60": ("qdrant_rrf", (TWO,), {"k": 61}, [1 / 61, 1 / 62]),
    "rrf: ranx": ("ranx_fuse", (TWO, {"b": 0.7}), RRF, [1 / 61, 1 / 62 + 1 / 61]),
    "rrf: qdrant's weights stretch ranks": (
        *("qdrant_rrf", (TWO, {"c": 0.9}), {"weights": (3, 1)}),
        [1 / (1 / 3 + 1), 1 / (2 / 3 + 1), 1 / 2],
    ),
    "rrf: qdrant, weight 0": ("qdrant_rrf", ({"a": 0.9}, {"b": 0.9}), FIRST, [0.5, 0]),
    # Equal scores: 0, 0.5, the weight, 1 or the raw maximum; the field does not agree.
    "equal: qdrant": ("qdrant_dbsf", (EQUAL, {}), {}, [0.5, 0.5]),
    "equal: weaviate": (WEAVIATE, (EQUAL, {}), {"weights": (0.25, 0.75)}, [0.25, 0.25]),
    "equal: opensearch": (OS, (EQUAL, {}), FIRST, [1, 1]),
    "equal: opensearch z": (OS, (EQUAL, {}), Z_SCORE | FIRST, [0.25, 0.25]),
    "equal: elasticsearch": (ES, (EQUAL, {}), MINMAX, [1, 1]),
    "equal: elasticsearch, within 1e-6": (ES, ({"a": 0.5, "b": 0.4999998},), MINMAX, [1, 1]),
    "equal: llamaindex": (LLAMA, (EQUAL, {}), RELATIVE | FIRST, [1, 1]),
    "equal: mteb dbsf": ("mteb_dbsf", (EQUAL, {}), FIRST, [0.5, 0.5]),
    "equal: mteb rsf": ("mteb_rsf", (EQUAL, {}), FIRST, [0.5, 0.5]),
    "equal: ranx": ("ranx_fuse", (EQUAL, {}), {"method": "sum"}, [0, 0]),
    "equal: autorag": ("autorag_cc", (EQUAL, {"c": 1.0, "d": 2.0}), {"weight": 1.0}, [0] * 4),
    "equal: vespa": (VESPA, (EQUAL,), {}, [0.5, 0.5]),
    # One document.
    "one: qdrant": ("qdrant_dbsf", ({"a": 0.25}, {}), {}, [0.5]),
    "one: weaviate": (WEAVIATE, ({"a": 0.25}, {}), {}, [0.5]),
    "one: opensearch": (OS, ({"a": 0.25}, {}), FIRST, [1]),
    "one: elasticsearch": (ES, ({"a": 0.25}, {}), MINMAX, [1]),
    "one: llamaindex": (LLAMA, ({"a": 0.25}, {}), DIST | FIRST, [1]),
    "one: mteb": ("mteb_dbsf", ({"a": 0.25}, {}), FIRST, [0.5]),
    "one: ranx": ("ranx_fuse", ({"a": 0.25}, {}), {"method": "sum"}, [0]),
    # Negative scores: Java's Float.MIN_VALUE is positive, so that the best does not reach 1.
    "equal and negative: llamaindex": (LLAMA, (EQUAL_NEGATIVE, {}), RELATIVE, [0, 0]),
    "equal and negative: opensearch": (OS, (EQUAL_NEGATIVE, {}), FIRST, [0.001, 0.001]),
    "equal and negative: elasticsearch": (ES, (EQUAL_NEGATIVE, {}), MINMAX, [0, 0]),
    "equal and negative: weaviate": (WEAVIATE, (EQUAL_NEGATIVE, {}), {}, [0.5, 0.5]),
    "negative: elasticsearch": (ES, (NEGATIVE, {}), MINMAX, [0.5, 0]),
    "negative: opensearch": (OS, (NEGATIVE, {}), FIRST, [0.5, 0.001]),
    "negative: weaviate": (WEAVIATE, (NEGATIVE, {}), {"weights": (1, 1)}, [1, 0]),
    "negative: mteb": ("mteb_rsf", (NEGATIVE, {}), {"weights": (1, 1)}, [1, 0]),
    "negative: llamaindex": (LLAMA, (NEGATIVE, {}), RELATIVE | FIRST, [1, 0]),
    "negative: ranx": ("ranx_fuse", (NEGATIVE, {}), {"method": "sum"}, [1, 0]),
    # The deviation over n or over n - 1.
    "sd over n - 1: qdrant": (
        *("qdrant_dbsf", (TWO,), {}),
        [0.5 + 1 / (6 * math.sqrt(2)), 0.5 - 1 / (6 * math.sqrt(2))],
    ),
    "sd over n: mteb": ("mteb_dbsf", (TWO, {}), FIRST, [2 / 3, 1 / 3]),
    "sd over n: llamaindex": (LLAMA, (TWO, {}), DIST | FIRST, [2 / 3, 1 / 3]),
    "sd over n: ranx": ("ranx_fuse", (TWO, {}), ZMUV_SUM, [1, -1]),
    # OpenSearch's z-score: below the mean all tie; equal to it is the raw maximum.
    "z-score: opensearch": (
        *(OS, (dict(zip("abcd", Z, strict=True)), {}), Z_SCORE | FIRST),
        [3 / math.sqrt(14 / 3), 5.0, 0.001, 0.001],
    ),
    # Missing documents.
    "missing: opensearch": (OS, (TEXT, IMAGE), {}, [0.5, 0.25, (0.001 + 1) / 2, 0.0005]),
    "missing: elasticsearch": (ES, (TWO, {"a": 0.5}), {}, [3.5, 1]),
    "missing: vespa": (VESPA, ({"a": 4.0, "b": 2.0}, {"c": 8.0}), {}, [1, 0.5, 1]),
    "missing and negative: vespa": (VESPA, ({"a": -1.0}, {"b": 1.0}), {}, [0, 2]),
    "missing: mteb rsf": ("mteb_rsf", (TEXT, IMAGE), {}, [0.5, 0.25, 0.5, 0]),
    "missing: llamaindex": (LLAMA, (TEXT, IMAGE), {}, [0.9, 0.6, 0.4, 0.2]),
    "weights: llamaindex": (
        *(LLAMA, (TEXT, IMAGE), RELATIVE | {"weights": (3, 1)}),
        [0.75, 0.375, 0.25, 0],
    ),
    "missing: autorag": ("autorag_cc", ({"a": 0.6, "b": 0.2}, {"b": 8.0}), TMM, [0.5, 0.875]),
    # Three documents. First list: a 1, others 0.5. Second: b 1, c 2/3, a 0.5 - 1/6.
    "missing: ranx borda": (
        *("ranx_fuse", ({"a": 0.9}, {"b": 0.8, "c": 0.7}), {"norm": "borda", "method": "sum"}),
        [1 + 1 / 3, 1.5, 0.5 + 2 / 3],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name):
    engine, lists, params, expected = CASES[name]
    found = fuse(engine, *lists, **params)
    assert list(found.values()) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("engine", "params"),
    [
        *[("qdrant_rrf", {}), (WEAVIATE, {}), (OS, {}), ("mteb_rsf", {}), (ES, MINMAX)],
        *[(LLAMA, RELATIVE), ("ranx_fuse", {"method": "sum"})],
    ],
)
def test_disjoint_lists_tie_in_pairs(engine, params):
    fused = fuse(engine, {"t1": 0.9, "t2": 0.8}, {"i1": 0.3, "i2": 0.2}, **params)
    assert fused["t1"] == fused["i1"] > fused["t2"] == fused["i2"]


def test_only_mteb_clips_and_ties_outliers():
    clipped = fuse("mteb_dbsf", FAR, weights=(1,))
    assert clipped["a"] == clipped["b"] == 1
    for kept in (fuse("qdrant_dbsf", FAR), fuse(LLAMA, FAR, mode="dist_based_score")):
        assert kept["a"] > kept["b"] > 1


def test_llamaindex_misses_equal_scores_whose_mean_is_rounded():
    """The sum of three times 0.1, over 3, is not 0.1: sd is not 0 and the rule does not apply."""
    assert set(fuse(LLAMA, dict.fromkeys("abc", 0.1), **DIST).values()) != {1.0}
    assert set(fuse(LLAMA, dict.fromkeys("abc", 0.5), **DIST).values()) == {1.0}


ALL = {
    **{name: getattr(engines, name) for name in engines.SOURCES},
    "ranx_fuse": lambda *lists: engines.ranx_fuse(*lists, method="sum"),
    "autorag_cc": lambda *lists: engines.autorag_cc(*lists, weight=0.3),
    "opensearch z": lambda *lists: engines.opensearch_hybrid(*lists, **Z_SCORE),
    "llamaindex dist": lambda *lists: engines.llamaindex_fusion(*lists, **DIST),
}


@pytest.mark.parametrize("name", ALL)
def test_every_query_is_fused_on_its_own(name):
    rng = np.random.default_rng(3)
    legs = rng.normal(loc=0.2, size=(2, 8, 12))
    legs[rng.random(legs.shape) < 0.4] = NAN
    legs[0, 0] = NAN  # an empty list
    legs[1, 1, 1:] = NAN  # at most one document
    before = legs.copy()
    together = ALL[name](*legs)
    np.testing.assert_array_equal(legs, before)
    np.testing.assert_array_equal(np.isnan(together), np.isnan(legs).all(axis=0))
    for row in range(8):
        np.testing.assert_array_equal(ALL[name](*legs[:, [row]])[0], together[row])
    assert ALL[name](*np.full((2, 2, 3), NAN)).shape == (2, 3)


@pytest.mark.parametrize("name", [WEAVIATE, OS, "mteb_rsf"])
def test_min_max_of_negative_scores_stays_in_the_unit_interval(name):
    fused = ALL[name](-np.random.default_rng(0).random((20, 15)))
    assert 0 <= fused.min() <= fused.max() <= 1


@pytest.mark.parametrize(
    ("engine", "lists", "params", "words"),
    [
        ("qdrant_rrf", (TEXT, IMAGE), {"weights": (1, 1, 1)}, "3 weights for 2 lists"),
        (OS, (TEXT, IMAGE), {"normalization": "minmax"}, "min_max or z_score"),
        (ES, (TEXT, IMAGE), {"normalizer": "min_max"}, "none or minmax"),
        (LLAMA, (TEXT, IMAGE), {"mode": "rrf"}, "unknown mode"),
        ("autorag_cc", (TEXT, IMAGE), {"weight": 1.5}, r"weight must be in \[0, 1\]"),
        ("autorag_cc", (TEXT, IMAGE), TMM | {"normalize_method": "z"}, "mm or tmm"),
        ("ranx_fuse", (TEXT, IMAGE), {"norm": "z"}, "unknown norm"),
        ("ranx_fuse", (TEXT, IMAGE), {"norm": "z", "method": "rrf"}, "unknown norm"),
        ("ranx_fuse", (TEXT, IMAGE), {"method": "posfuse"}, "PositionFusion"),
        ("qdrant_rrf", ({"a": np.inf},), {}, "infinite"),
        ("qdrant_rrf", (), {}, "at least one"),
    ],
)
def test_arguments_are_checked(engine, lists, params, words):
    with pytest.raises(MmgapError, match=words):
        fuse(engine, *lists, **params)
