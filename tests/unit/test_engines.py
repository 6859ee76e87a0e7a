"""Engines on the lists where they differ, against numbers worked out by hand from their sources."""

import math

import numpy as np
import pytest

from mmgap.fusion import engines
from mmgap.fusion.engines import (
    autorag_cc,
    autorag_normalize,
    elasticsearch_linear,
    elasticsearch_rrf,
    llamaindex_fusion,
    mteb_dbsf,
    mteb_rrf,
    mteb_rsf,
    opensearch_hybrid,
    opensearch_rrf,
    qdrant_dbsf,
    qdrant_min_max,
    qdrant_rrf,
    ranx_fuse,
    vespa_normalize_linear,
    vespa_rrf,
    weaviate_ranked,
    weaviate_relative_score,
)

NAN = np.nan
TEXT = {"a": 0.9, "b": 0.6, "c": 0.3}
IMAGE = {"c": 0.4, "d": 0.2}
EQUAL = {"a": 0.25, "b": 0.25}
NEGATIVE = {"a": -0.25, "b": -0.5}


def close(expected, rel=1e-6):
    return pytest.approx(expected, rel=rel)


# Reciprocal ranks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "first", "second"),
    [
        (qdrant_rrf, 1 / 2, 1 / 3),
        (lambda *lists: qdrant_rrf(*lists, k=61), 1 / 61, 1 / 62),  # the paper's 60
        (lambda *lists: weaviate_ranked(*lists, weights=(1, 1)), 1 / 60, 1 / 61),
        (opensearch_rrf, 1 / 61, 1 / 62),
        (elasticsearch_rrf, 1 / 61, 1 / 62),
        (lambda *lists: llamaindex_fusion(*lists, mode="reciprocal_rerank"), 1 / 60, 1 / 61),
        (lambda *lists: mteb_rrf(*lists, weights=(1, 1)), 1 / 61, 1 / 62),
        (lambda *lists: ranx_fuse(*lists, norm=None, method="rrf"), 1 / 61, 1 / 62),
    ],
)
def test_first_place_and_second_place(engine, first, second):
    fused = engine({"a": 0.9, "b": 0.8}, {"b": 0.7})
    assert fused == close({"b": first + second, "a": first})
    assert list(fused) == ["b", "a"]


def test_all_engines_tie_disjoint_lists_in_pairs():
    texts, images = {"t1": 0.9, "t2": 0.8}, {"i1": 0.3, "i2": 0.2}
    for engine in (
        qdrant_rrf,
        weaviate_ranked,
        opensearch_rrf,
        elasticsearch_rrf,
        mteb_rrf,
        weaviate_relative_score,
        opensearch_hybrid,
        mteb_rsf,
        lambda *lists: elasticsearch_linear(*lists, normalizer="minmax"),
        lambda *lists: llamaindex_fusion(*lists, mode="reciprocal_rerank"),
        lambda *lists: llamaindex_fusion(*lists, mode="relative_score"),
        lambda *lists: ranx_fuse(*lists, norm="min-max", method="sum"),
    ):
        fused = engine(texts, images)
        assert fused["t1"] == fused["i1"] > fused["t2"] == fused["i2"]


def test_qdrant_weights_stretch_places():
    fused = qdrant_rrf({"a": 0.9, "b": 0.8}, {"c": 0.9}, weights=(3, 1))
    assert fused == close({"a": 1 / (1 / 3 + 1), "b": 1 / (2 / 3 + 1), "c": 1 / 2})
    assert qdrant_rrf({"a": 0.9}, {"b": 0.9}, weights=(1, 0)) == {"a": 0.5, "b": 0.0}


def test_opensearch_rounds_reciprocal_ranks_half_up_at_ten_decimals():
    """1/2048 = 0.00048828125 exactly: half up gives ...2813."""
    fused = opensearch_rrf({"a": 1.0}, {}, rank_constant=2047)
    assert fused["a"] == float(np.float32(0.0004882813))
    assert fused["a"] != float(np.float32(1 / 2048))


def test_single_precision_makes_ties():
    """Places 5,000 and 5,001 at k = 10,000,000: different in double, equal in single precision."""
    scores = np.arange(5002.0, 0, -1)[None]
    fused = elasticsearch_rrf(scores, rank_constant=20_000_000)[0]
    assert fused[5000] == fused[5001]
    assert (
        mteb_rrf(scores, rrf_k=20_000_000)[0, 5000] != mteb_rrf(scores, rrf_k=20_000_000)[0, 5001]
    )


def test_vespa_ranks_hits_that_an_operator_did_not_find():
    fused = vespa_rrf(TEXT, IMAGE)
    # Image list: c 1st, d 2nd; a and b (feature 0) come 3rd and 4th in the order of the hits.
    expected = {
        "c": 1 / 63 + 1 / 61,
        "a": 1 / 61 + 1 / 63,
        "b": 1 / 62 + 1 / 64,
        "d": 1 / 64 + 1 / 62,
    }
    assert fused == close(expected)
    # Before negative scores: the missing one takes the first rank.
    assert vespa_rrf({"a": -0.5}, {"b": 0.5}, k=0) == close({"a": 1 / 2 + 1 / 2, "b": 1 + 1})


# Scaled scores ------------------------------------------------------------------------------


def test_equal_scores():
    """0, 0.5, the weight, 1 or the raw minimum: the field does not agree."""
    lists = (EQUAL, {})
    assert set(qdrant_dbsf(*lists).values()) == {0.5}
    assert set(qdrant_min_max(*lists).values()) == {0.5}
    assert set(weaviate_relative_score(*lists, weights=(0.25, 0.75)).values()) == {0.25}
    assert set(opensearch_hybrid(*lists, weights=(1, 0)).values()) == {1.0}
    assert set(elasticsearch_linear(*lists, normalizer="minmax").values()) == {1.0}
    old = elasticsearch_linear(*lists, normalizer="minmax", equal_scores="minimum")
    assert set(old.values()) == {0.25}
    assert set(llamaindex_fusion(*lists, mode="relative_score", weights=(1, 0)).values()) == {1.0}
    assert set(mteb_dbsf(*lists, weights=(1, 0)).values()) == {0.5}
    assert set(mteb_rsf(*lists, weights=(1, 0)).values()) == {0.5}
    assert set(ranx_fuse(*lists, method="sum").values()) == {0.0}
    assert np.isnan(autorag_normalize(np.array([0.25, 0.25]))).all()
    assert set(autorag_cc(EQUAL, {"c": 0.1, "d": 0.3}, weight=1.0).values()) == {0.0}
    # In Vespa the other list's hits take part with feature 0; alone it is 0.5.
    assert set(vespa_normalize_linear(EQUAL).values()) == {0.5}


def test_one_document():
    lists = ({"a": 0.25}, {})
    assert qdrant_dbsf(*lists) == {"a": 0.5}
    assert qdrant_min_max(*lists) == {"a": 0.25}  # raw
    assert weaviate_relative_score(*lists, weights=(0.5, 0.5)) == {"a": 0.5}
    assert opensearch_hybrid(*lists, weights=(1, 0)) == {"a": 1.0}
    assert elasticsearch_linear(*lists, normalizer="minmax") == {"a": 1.0}
    assert llamaindex_fusion(*lists, mode="dist_based_score", weights=(1, 0)) == {"a": 1.0}
    assert mteb_dbsf(*lists, weights=(1, 0)) == {"a": 0.5}
    assert ranx_fuse(*lists, method="sum") == {"a": 0.0}
    assert np.isnan(autorag_normalize(np.array([0.25]), "z")).all()


def test_equal_negative_scores():
    lists = ({"a": -0.25, "b": -0.25}, {})
    assert set(llamaindex_fusion(*lists, mode="relative_score").values()) == {0.0}
    assert opensearch_hybrid(*lists, weights=(1, 0)) == close({"a": 0.001, "b": 0.001})
    assert set(elasticsearch_linear(*lists, normalizer="minmax").values()) == {0.0}
    assert set(weaviate_relative_score(*lists).values()) == {0.5}
    assert set(qdrant_dbsf(*lists).values()) == {0.5}


def test_float_min_value_as_first_maximum():
    """Java's Float.MIN_VALUE is positive: the best of negative scores does not reach 1."""
    assert elasticsearch_linear(NEGATIVE, {}, normalizer="minmax") == {"a": 0.5, "b": 0.0}
    assert opensearch_hybrid(NEGATIVE, {}, weights=(1, 0)) == close({"a": 0.5, "b": 0.001})
    for right in (
        weaviate_relative_score(NEGATIVE, {}, weights=(1, 1)),
        mteb_rsf(NEGATIVE, {}, weights=(1, 1)),
        llamaindex_fusion(NEGATIVE, {}, mode="relative_score", weights=(1, 0)),
        ranx_fuse(NEGATIVE, {}, method="sum"),
        qdrant_min_max(NEGATIVE, {}),
    ):
        assert right == {"a": 1.0, "b": 0.0}


def test_min_max_of_negative_scores_stays_in_the_unit_interval():
    rng = np.random.default_rng(0)
    scores = -rng.random((20, 15))
    for engine in (
        lambda legs: elasticsearch_linear(legs, normalizer="minmax"),
        lambda legs: opensearch_hybrid(legs),
        lambda legs: weaviate_relative_score(legs),
        mteb_rsf,
    ):
        fused = engine(scores)
        assert fused.min() >= 0
        assert fused.max() <= 1


def test_deviation_over_n_or_n_minus_one():
    """Scores 3 and 1: mean 2; sd 1 over n, sqrt(2) over n - 1."""
    lists = ({"a": 3.0, "b": 1.0}, {})
    over_n = 0.5 + 1 / 6
    over_n_minus_1 = 0.5 + 1 / (6 * math.sqrt(2))
    assert qdrant_dbsf(*lists)["a"] == close(over_n_minus_1)
    assert mteb_dbsf(*lists, weights=(1, 0))["a"] == close(over_n)
    assert llamaindex_fusion(*lists, mode="dist_based_score", weights=(1, 0))["a"] == close(over_n)
    assert autorag_normalize(np.array([3.0, 1.0]), "dbsf")[0] == close(over_n)
    assert opensearch_hybrid(*lists, normalization="z_score", weights=(1, 0))["a"] == close(
        1 / math.sqrt(2)
    )
    assert ranx_fuse(*lists, norm="zmuv", method="sum")["a"] == 1


def test_only_mteb_clips_and_ties_outliers():
    """One score far out lies beyond 3 sd: clipped to 1, or more than 1."""
    one = {"a": 10.0, "b": 9.0, **{f"n{i:03}": 0.0 for i in range(198)}}
    clipped = mteb_dbsf(one, weights=(1,))
    assert clipped["a"] == clipped["b"] == 1
    for kept in (
        qdrant_dbsf(one),
        llamaindex_fusion(one, mode="dist_based_score", weights=(1,)),
        autorag_cc(one, {"a": 0.0, "b": 0.0}, weight=1.0, normalize_method="dbsf"),
    ):
        assert kept["a"] > kept["b"] > 1


def test_opensearch_z_score_erases_all_below_the_mean():
    fused = opensearch_hybrid(
        {"a": 5.0, "b": 2.0, "c": 1.0, "d": 0.0}, {}, normalization="z_score", weights=(1, 0)
    )
    sd = math.sqrt((9 + 0 + 1 + 4) / 3)
    assert fused["a"] == close(3 / sd)
    assert fused["b"] == 5.0  # equal to the mean: the raw maximum, above the best document
    assert next(iter(fused)) == "b"
    assert fused["c"] == fused["d"] == close(0.001)


def test_opensearch_z_score_of_equal_scores_is_the_raw_maximum():
    assert opensearch_hybrid(EQUAL, {}, normalization="z_score", weights=(1, 0)) == EQUAL


def test_opensearch_means_of_a_missing_list():
    """A missing list counts 0 in the arithmetic mean only."""
    lists = (TEXT, IMAGE)
    arithmetic = opensearch_hybrid(*lists)
    assert arithmetic == close({"c": (0.001 + 1) / 2, "a": 0.5, "b": 0.25, "d": 0.0005}, rel=1e-5)
    geometric = opensearch_hybrid(*lists, combination="geometric_mean")
    assert geometric == close({"a": 1, "b": 0.5, "c": math.sqrt(0.001), "d": 0.001}, rel=1e-5)
    harmonic = opensearch_hybrid(*lists, combination="harmonic_mean", weights=(3, 1))
    assert harmonic["c"] == close(4 / (3 / 0.001 + 1), rel=1e-5)
    assert harmonic["b"] == close(0.5)


def test_opensearch_arithmetic_mean_leaves_out_negative_scores():
    """l2 keeps the sign; a negative part neither adds nor counts."""
    fused = opensearch_hybrid({"a": -3.0, "b": 4.0}, {"a": 5.0}, normalization="l2")
    assert fused == close({"a": 1.0, "b": 0.4})


def test_opensearch_l2_of_zeros():
    assert set(opensearch_hybrid({"a": 0.0, "b": 0.0}, {}, normalization="l2").values()) == {0.0}


def test_opensearch_max_scales_the_first_list_only():
    fused = opensearch_hybrid({"a": 0.3, "b": 0.15}, {"c": 1.0}, normalization="max")
    # 1 / 0.3 = 3.333 after rounding to three digits; a missing list counts 0.
    assert fused == close({"a": 0.3 * 3.333 / 2, "b": 0.15 * 3.333 / 2, "c": 0.5})


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (("apply", 2.0), None, {"a": 1.0, "b": 2 / 4, "c": 0.001}),
        (("clip", 2.0), None, {"a": 1.0, "b": 2 / 4, "c": 0.001}),
        (("ignore", 2.0), None, {"a": 1.0, "b": 3 / 5, "c": 0.001}),
        (("clip", 0.0), None, {"a": 1.0, "b": 4 / 6, "c": 1 / 6}),
        (("clip", 9.0), None, {"a": 1.0, "b": 3 / 5, "c": 0.001}),  # above all: not used
        (None, ("apply", 5.0), {"a": 1.0, "b": 3 / 4, "c": 0.001}),
        (None, ("clip", 5.0), {"a": 1.0, "b": 3 / 4, "c": 0.001}),
        (None, ("clip", 11.0), {"a": 5 / 10, "b": 3 / 10, "c": 0.001}),
    ],
)
def test_opensearch_bounds(lower, upper, expected):
    fused = opensearch_hybrid(
        {"a": 6.0, "b": 4.0, "c": 1.0},
        {},
        weights=(1, 0),
        lower_bounds=[lower, None],
        upper_bounds=[upper, None],
    )
    assert fused == close(expected)


def test_opensearch_checks_names():
    with pytest.raises(ValueError, match="min_max, l2, z_score and max"):
        opensearch_hybrid(TEXT, IMAGE, normalization="minmax")
    with pytest.raises(ValueError, match="geometric_mean and harmonic_mean"):
        opensearch_hybrid(TEXT, IMAGE, combination="mean")
    with pytest.raises(ValueError, match="apply, clip or ignore"):
        opensearch_hybrid(TEXT, IMAGE, lower_bounds=[("cut", 1.0), None])
    with pytest.raises(ValueError, match="only min_max takes bounds"):
        opensearch_hybrid(TEXT, IMAGE, normalization="l2", lower_bounds=[None, None])
    with pytest.raises(ValueError, match=r"in \[1, 10000\]"):
        opensearch_rrf(TEXT, IMAGE, rank_constant=0)


def test_elasticsearch_norms():
    lists = ({"a": 3.0, "b": 4.0}, {"a": 0.5})
    assert elasticsearch_linear(*lists) == {"b": 4.0, "a": 3.5}
    l2 = elasticsearch_linear(*lists, normalizer="l2_norm", weights=(2, 1))
    assert l2 == close({"a": 2 * 0.6 + 1, "b": 1.6})
    tiny = {"a": 1e-8, "b": 1e-9}
    assert elasticsearch_linear(tiny, {}, normalizer="l2_norm") == close(tiny)  # left as they are
    nearly = elasticsearch_linear({"a": 0.5, "b": 0.4999998}, {}, normalizer="minmax")
    assert nearly == {"a": 1.0, "b": 1.0}  # within 1e-6 counts as equal
    with pytest.raises(ValueError, match="none, minmax or l2_norm"):
        elasticsearch_linear(*lists, normalizer="min_max")


def test_vespa_lets_missing_hits_take_part():
    fused = vespa_normalize_linear({"a": 4.0, "b": 2.0}, {"c": 8.0})
    assert fused == {"a": 1.0, "c": 1.0, "b": 0.5}
    # A negative score lies below the 0 of hits that were not found.
    assert vespa_normalize_linear({"a": -1.0}, {"b": 1.0}) == {"b": 2.0, "a": 0.0}


def test_weaviate_orders_ties_by_raw_score():
    images, texts = {"i1": 0.31, "i2": 0.2}, {"t1": 0.8, "t2": 0.6}
    for engine in (weaviate_ranked, weaviate_relative_score):
        assert list(engine(images, texts)) == ["t1", "i1", "t2", "i2"]
    # Within 1e-7 counts as tied in relative scores: i has 0.49999997, t 0.5 and a lower raw score.
    near = weaviate_relative_score({"a": 1.0, "i": 1 - 2**-24, "x": 0.0}, {"t": 0.3, "y": 0.0})
    assert near["i"] < near["t"]
    assert list(near)[:3] == ["a", "i", "t"]


def test_llamaindex_merges_documents_of_equal_content():
    texts = {"t": "a caption", "i1": "", "i2": "", "i3": ""}
    lists = ({"t": 0.9}, {"i1": 0.4, "i2": 0.3, "i3": 0.2})
    rrf = llamaindex_fusion(*lists, mode="reciprocal_rerank", texts=texts)
    assert rrf == close({"i3": 1 / 60 + 1 / 61 + 1 / 62, "t": 1 / 60})  # the last one is kept
    relative = llamaindex_fusion(*lists, mode="relative_score", texts=texts)
    assert relative == close({"i1": (1 + 0.5 + 0) / 2, "t": 0.5})  # the first one is kept
    assert llamaindex_fusion(*lists, texts=texts) == {"t": 0.9, "i1": 0.4}
    columns = llamaindex_fusion(
        np.array([[0.9, NAN, NAN]]), np.array([[NAN, 0.4, 0.3]]), texts=["x", "", ""]
    )
    np.testing.assert_array_equal(columns, [[0.9, 0.4, NAN]])
    with pytest.raises(ValueError, match="each of the 4 documents"):
        llamaindex_fusion(*lists, texts={"t": "a caption"})


def test_llamaindex_weights_and_number_of_queries():
    fused = llamaindex_fusion(TEXT, IMAGE, mode="relative_score", weights=(3, 1), num_queries=4)
    assert fused == close({"a": 0.75 / 4, "b": 0.375 / 4, "c": 0.25 / 4, "d": 0})
    assert llamaindex_fusion(TEXT, IMAGE) == {"a": 0.9, "b": 0.6, "c": 0.4, "d": 0.2}
    with pytest.raises(ValueError, match="unknown mode"):
        llamaindex_fusion(TEXT, IMAGE, mode="rrf")


def test_llamaindex_misses_equal_scores_whose_mean_is_rounded():
    """The sum of three times 0.1, over 3, is not 0.1: sd is not 0 and the rule does not apply."""
    equal = dict.fromkeys("abc", 0.1)
    fused = llamaindex_fusion(equal, mode="dist_based_score", weights=(1,))
    assert set(fused.values()) != {1.0}
    halves = llamaindex_fusion(dict.fromkeys("abc", 0.5), mode="dist_based_score", weights=(1,))
    assert set(halves.values()) == {1.0}


def test_autorag_counts_missing_as_zero_even_for_z():
    fused = autorag_cc({"a": 3.0, "b": 1.0}, {"c": 5.0, "d": 1.0}, weight=0.5, normalize_method="z")
    assert fused == {"a": 0.5, "c": 0.5, "b": -0.5, "d": -0.5}
    one_sided = autorag_cc({"a": 3.0, "b": 1.0}, {"c": 5.0}, weight=0.5, normalize_method="z")
    assert one_sided == {"a": 0.5, "c": 0.0, "b": -0.5}  # NaN of one score counts 0, above b


def test_autorag_theoretical_minimum():
    fused = autorag_cc({"a": 0.6, "b": 0.2}, {"b": 8.0}, weight=0.5, normalize_method="tmm")
    assert fused == close({"b": (1.2 / 1.6 + 1) / 2, "a": 0.5})
    with pytest.raises(ValueError, match=r"weight must be in \[0, 1\]"):
        autorag_cc(TEXT, IMAGE, weight=1.5)
    with pytest.raises(ValueError, match="mm, tmm, z and dbsf"):
        autorag_cc(TEXT, IMAGE, weight=0.5, normalize_method="minmax")


def test_mteb_weights_default_to_equal_shares():
    assert mteb_rsf(TEXT, IMAGE) == close({"a": 0.5, "c": 0.5, "b": 0.25, "d": 0})
    assert mteb_dbsf(TEXT, {}, weights=(1, 1))["b"] == close(0.5)  # the mean; missing adds nothing


def test_ranx_borda_norm_scores_documents_that_were_not_retrieved():
    fused = ranx_fuse({"a": 0.9}, {"b": 0.8, "c": 0.7}, norm="borda", method="sum")
    # Three documents. First list: a 1, others 0.5. Second: b 1, c 2/3, a 0.5 - 1/6.
    assert fused == close({"b": 1.5, "a": 1 + 1 / 3, "c": 0.5 + 2 / 3})


def test_ranx_names():
    with pytest.raises(ValueError, match="unknown norm"):
        ranx_fuse(TEXT, IMAGE, norm="z")
    with pytest.raises(ValueError, match="unknown norm"):
        ranx_fuse(TEXT, IMAGE, norm="z", method="rrf")
    with pytest.raises(ValueError, match="PositionFusion"):
        ranx_fuse(TEXT, IMAGE, method="posfuse")


# Forms --------------------------------------------------------------------------------------

ALL = {
    name: getattr(engines, name)
    for name in engines.__all__
    if name not in ("ranx_fuse", "autorag_cc", "autorag_normalize")
} | {
    "ranx_fuse": lambda *lists: ranx_fuse(*lists, method="sum"),
    "autorag_cc": lambda *lists: autorag_cc(*lists, weight=0.3),
    "opensearch z": lambda *lists: opensearch_hybrid(*lists, normalization="z_score"),
    "opensearch l2": lambda *lists: opensearch_hybrid(*lists, normalization="l2"),
    "llamaindex dist": lambda *lists: llamaindex_fusion(*lists, mode="dist_based_score"),
}


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(3)
    legs = rng.normal(loc=0.2, size=(2, 8, 12))
    legs[rng.random(legs.shape) < 0.4] = NAN
    legs[0, 0] = NAN  # an empty list
    legs[1, 1, 1:] = NAN  # at most one document
    return legs


@pytest.mark.parametrize("name", ALL)
def test_both_forms_agree(name, arrays):
    together = ALL[name](*arrays)
    found = ~np.isnan(arrays).all(axis=0)
    np.testing.assert_array_equal(np.isnan(together), ~found)
    for query, row in enumerate(together):
        lists = [
            {str(doc): float(leg[query, doc]) for doc in np.flatnonzero(~np.isnan(leg[query]))}
            for leg in arrays
        ]
        fused = ALL[name](*lists)
        assert fused == close({str(doc): row[doc] for doc in np.flatnonzero(found[query])}, 1e-9)
        scores = list(fused.values())
        if not name.startswith("weaviate"):
            assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", ALL)
def test_input_is_left_alone_and_empty_lists_are_fine(name, arrays):
    before = arrays.copy()
    ALL[name](*arrays)
    np.testing.assert_array_equal(arrays, before)
    assert ALL[name]({}, {}) == {}
    assert ALL[name](np.full((2, 3), NAN), np.full((2, 3), NAN)).shape == (2, 3)


def test_mappings_keep_their_order_among_equal_scores():
    """b stands before a in the second list, though a came first."""
    assert elasticsearch_rrf({"a": 0.9}, {"b": 0.5, "a": 0.5}, rank_constant=1) == close(
        {"a": 1 / 2 + 1 / 3, "b": 1 / 2}
    )


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (({"a": 1.0}, np.array([[1.0]])), "one form"),
        (({"a": NAN}, {"a": 1.0}), "not finite"),
        ((np.zeros((1, 2)), np.zeros((1, 3))), "one shape"),
        ((np.array([[np.inf]]), np.zeros((1, 1))), "infinite"),
        ((), "at least one"),
    ],
)
def test_lists_are_checked(lists, message):
    with pytest.raises(ValueError, match=message):
        elasticsearch_rrf(*lists)


def test_weights_are_counted():
    with pytest.raises(ValueError, match="3 weights for 2 lists"):
        qdrant_rrf(TEXT, IMAGE, weights=(1, 1, 1))
