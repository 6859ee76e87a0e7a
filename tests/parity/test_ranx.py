"""The same numbers as ranx for all it fuses, and what its conventions do."""

import numpy as np
import pytest

from mmgap import fusion
from mmgap.fusion import PositionFusion
from mmgap.fusion.engines import ranx_fuse

ranx = pytest.importorskip("ranx", reason="ranx is not installed")

# numba says this of its own code when it compiles ranx for the first time.
pytestmark = pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaTypeSafetyWarning")

N_QUERY, N_DOC = 12, 40
NAN = np.nan


def legs_of(n_leg, seed=0, depth=15):
    """Lists of different lengths and levels, without ties, some scores below 0."""
    rng = np.random.default_rng(seed)
    legs = []
    for leg in range(n_leg):
        scores = rng.normal(loc=0.3 * leg, size=(N_QUERY, N_DOC))
        for query in range(N_QUERY):
            keep = rng.permutation(N_DOC)[: depth - (query + leg) % 4]
            scores[query, np.setdiff1d(np.arange(N_DOC), keep)] = NAN
        legs.append(scores)
    return legs


def as_dict(scores):
    return {
        f"q{query:02}": {f"d{doc:02}": float(row[doc]) for doc in np.flatnonzero(~np.isnan(row))}
        for query, row in enumerate(scores)
    }


def theirs(legs, norm, method, params=None):
    """What ranx gives each document: (n_query, n_doc), NaN where it returns none."""
    fused = ranx.fuse([ranx.Run(as_dict(leg)) for leg in legs], norm, method, params or {})
    scores = np.full(legs[0].shape, NAN)
    for query, row in fused.to_dict().items():
        for doc, score in row.items():
            scores[int(query[1:]), int(doc[1:])] = score
    return scores


NORMS = [None, "min-max", "min-max-inverted", "max", "sum", "zmuv", "rank", "borda"]
PLAIN = ["max", "min", "med", "sum", "anz", "mnz"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n_leg", [2, 3])
def test_norms_and_combinations_of_scores(norm, n_leg):
    legs = legs_of(n_leg)
    weights = [0.7, 0.2, 0.4][:n_leg]
    cases = [(method, {}) for method in PLAIN] + [
        ("gmnz", {"gamma": 0.4}),
        ("wsum", {"weights": weights}),
        ("wmnz", {"weights": weights}),
        ("mixed", {"weights": weights}),
    ]
    for method, params in cases:
        ours = ranx_fuse(*legs, norm=norm, method=method, **params)
        np.testing.assert_allclose(
            ours, theirs(legs, norm, method, params), rtol=1e-9, atol=1e-12, err_msg=method
        )


RANKED = [
    ("isr", {}),
    ("log_isr", {}),
    ("logn_isr", {"sigma": 0.3}),
    ("rrf", {"k": 60}),
    ("rrf", {"k": 5}),
    ("rbc", {"phi": 0.8}),
    ("bordafuse", {}),
]


@pytest.mark.parametrize("norm", [None, "min-max", "min-max-inverted", "zmuv"])
@pytest.mark.parametrize("n_leg", [2, 3])
def test_fusions_of_ranks(norm, n_leg):
    legs = legs_of(n_leg, seed=1)
    cases = [*RANKED, ("w_bordafuse", {"weights": [0.7, 0.2, 0.4][:n_leg]})]
    for method, params in cases:
        ours = ranx_fuse(*legs, norm=norm, method=method, **params)
        np.testing.assert_allclose(
            ours, theirs(legs, norm, method, params), rtol=1e-12, err_msg=method
        )


@pytest.mark.parametrize("method", ["condorcet", "w_condorcet"])
def test_condorcet_where_majorities_order_all_documents(method):
    """Two legs of three agree wholly, so that there is one order; ranx numbers its places."""
    rng = np.random.default_rng(2)
    agreed, other = rng.normal(size=(2, N_QUERY, N_DOC))
    legs = [agreed, other, 2 * agreed]
    params = {"weights": [1.0, 0.5, 1.0]} if method == "w_condorcet" else {}
    reference = theirs(legs, None, method, params)
    ours = ranx_fuse(*legs, norm=None, method=method, **params)
    np.testing.assert_array_equal(ours, reference - 1)  # the last beats none; ranx gives it 1


TRAINED = ["posfuse", "slidefuse", "probfuse", "segfuse", "mapfuse", "bayesfuse"]


@pytest.mark.parametrize("method", TRAINED)
def test_trained_fusions_of_places(method):
    legs, test_legs = legs_of(2, seed=3), legs_of(2, seed=4)
    rng = np.random.default_rng(5)
    relevance = (rng.random((N_QUERY, N_DOC)) < 0.3).astype(int)
    relevance[:, 0] = 1  # every query has one
    qrels = ranx.Qrels(
        {
            f"q{query:02}": {f"d{doc:02}": 1 for doc in np.flatnonzero(row)}
            for query, row in enumerate(relevance)
        }
    )
    runs = [ranx.Run(as_dict(leg)) for leg in legs]
    params = {}
    if method == "mapfuse":
        params["map_scores"] = ranx.fusion.mapfuse_train(qrels, runs)
    elif method == "probfuse":
        params["probs"] = list(ranx.fusion.probfuse_train(qrels, runs, 4))
    elif method == "bayesfuse":
        params["log_odds"] = ranx.fusion.bayesfuse_train(qrels, runs)
    elif method == "slidefuse":
        params |= {"probs": ranx.fusion.posfuse_train(qrels, runs), "w": 3}
    else:
        params["probs"] = getattr(ranx.fusion, f"{method}_train")(qrels, runs)
    fitted = PositionFusion(method, n_segment=4, window=3).fit(legs, relevance)
    np.testing.assert_allclose(
        fitted.transform(test_legs), theirs(test_legs, None, method, params), rtol=1e-12
    )


def test_ours_are_the_functions_that_ranx_has():
    """The public functions, called directly, give the same numbers."""
    legs = legs_of(2, seed=6)
    for name, params in [("rrf", {"k": 60}), ("isr", {}), ("mnz", {}), ("rbc", {"phi": 0.8})]:
        ours = fusion.FUSIONS[name](*legs)
        np.testing.assert_allclose(ours, theirs(legs, None, name, params), rtol=1e-12)
    np.testing.assert_allclose(
        fusion.weighted_sum(*legs, weights=(0.3, 0.7)),
        theirs(legs, None, "wsum", {"weights": [0.3, 0.7]}),
    )


def test_under_zmuv_a_missing_document_beats_retrieved_ones():
    """Document 2 is not in the first leg at all; document 1 is there, below the mean."""
    legs = [np.array([[3.0, 1.0, NAN]]), np.array([[NAN, NAN, 7.0]])]
    reference = theirs(legs, "zmuv", "wsum", {"weights": [1.0, 1.0]})
    np.testing.assert_array_equal(reference, [[1, -1, 0]])
    np.testing.assert_array_equal(ranx_fuse(*legs, norm="zmuv", weights=(1, 1)), reference)
    z = [np.array([[1.0, -1.0, NAN]]), np.array([[NAN, NAN, 0.0]])]
    kept_back = fusion.weighted_sum(*z, weights=(1, 1), missing="minimum")
    assert kept_back[0, 2] == kept_back[0, 1]  # with the leg's minimum it beats nobody


def test_log_isr_ranks_nothing_on_disjoint_lists():
    legs = [np.array([[0.9, 0.5, NAN, NAN]]), np.array([[NAN, NAN, 0.4, 0.3]])]
    np.testing.assert_array_equal(theirs(legs, None, "log_isr"), np.zeros((1, 4)))
    np.testing.assert_array_equal(ranx_fuse(*legs, norm=None, method="log_isr"), np.zeros((1, 4)))
    mended = fusion.logn_isr(*legs)
    assert mended[0, 0] == mended[0, 2] > mended[0, 1] == mended[0, 3] > 0


def test_equal_scores_become_zero():
    legs = [np.array([[0.4, 0.4]]), np.array([[0.1, 0.9]])]
    for norm in ("min-max", "sum", "zmuv"):
        reference = theirs(legs, norm, "sum")
        np.testing.assert_allclose(ranx_fuse(*legs, norm=norm, method="sum"), reference, atol=1e-6)
    np.testing.assert_array_equal(ranx_fuse(*legs, method="sum"), [[0, 1]])


def test_max_norm_of_negative_scores_explodes():
    """ranx keeps the denominator above 1e-9, so that -0.2 / 1e-9 comes out."""
    legs = [np.array([[-0.2, -0.4]]), np.array([[0.1, 0.9]])]
    reference = theirs(legs, "max", "sum")
    np.testing.assert_allclose(ranx_fuse(*legs, norm="max", method="sum"), reference)
    assert reference[0, 0] == pytest.approx(-0.2 / 1e-9, rel=1e-6)


def test_ranks_after_borda_have_no_order_to_mirror():
    with pytest.raises(ValueError, match="no stated order"):
        ranx_fuse(*legs_of(2), norm="borda", method="rrf")
