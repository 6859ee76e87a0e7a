from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgap.index import top_k


def oracle(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ documents.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_query=st.integers(0, 30),
    n_doc=st.integers(1, 300),
    k=st.integers(1, 320),
    values=st.sampled_from([2, 3, 50]),
)
def test_equals_numpy_with_ties_by_index(
    seed: int, n_query: int, n_doc: int, k: int, values: int
) -> None:
    """Small whole numbers, so scores are exact and ties are many."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-values, values, (n_query, 4)).astype(np.float32)
    documents = rng.integers(-values, values, (n_doc, 4)).astype(np.float32)
    scores, indices = top_k(queries, documents, k)
    expected_scores, expected_indices = oracle(queries, documents, k)
    np.testing.assert_array_equal(scores, expected_scores)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("k", [1, 10, 150])
def test_real_numbers(k: int) -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.standard_normal((40, 64)), rng.standard_normal((2000, 64))
    scores, indices = top_k(queries, documents, k)
    expected_scores, expected_indices = oracle(queries, documents, k)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4)
    np.testing.assert_array_equal(indices, expected_indices)
    assert (scores.dtype, indices.dtype) == (np.float32, np.int64)


def test_all_documents_alike() -> None:
    _, indices = top_k(np.ones((2, 3)), np.ones((1000, 3)), 5)
    np.testing.assert_array_equal(indices, [[0, 1, 2, 3, 4]] * 2)


def test_k_beyond_the_pool_returns_the_pool() -> None:
    scores, indices = top_k(np.ones((2, 3)), np.ones((4, 3)), 10)
    assert scores.shape == indices.shape == (2, 4)
    assert top_k(np.ones((2, 3)), np.ones((0, 3)), 10)[0].shape == (2, 0)


def test_what_is_given_is_not_changed_and_need_not_be_contiguous() -> None:
    documents = np.asfortranarray(np.random.default_rng(0).standard_normal((9, 4)))
    copy = documents.copy()
    _, indices = top_k(documents[::2], documents, 1)
    np.testing.assert_array_equal(documents, copy)
    assert indices.shape == (5, 1)


def test_errors() -> None:
    good, bad = np.ones((2, 3)), np.ones((2, 3))
    bad[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"row 1 of documents .* not finite \(1 such rows\)"):
        top_k(good, bad, 1)
    bad[1, 1] = np.inf
    with pytest.raises(ValueError, match="row 1 of queries"):
        top_k(bad, good, 1)
    with pytest.raises(ValueError, match="queries have 3 dimensions and documents 4"):
        top_k(good, np.ones((2, 4)), 1)
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        top_k(good, good, 0)
    with pytest.raises(ValueError, match=r"queries have shape \(3,\); expected two axes"):
        top_k(np.ones(3), good, 1)


def test_equal_documents_have_equal_scores_and_a_list_is_the_start_of_a_longer_one() -> None:
    """A large matrix product gives equal columns scores that differ in the last bits."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(100, 384)).astype(np.float32)
    kinds /= np.linalg.norm(kinds, axis=1, keepdims=True)
    kind = rng.integers(100, size=500)
    queries = rng.normal(size=(1600, 384)).astype(np.float32)
    deep, order = top_k(queries, kinds[kind], 200)
    same = kind[order[:, 1:]] == kind[order[:, :-1]]
    assert same.mean() > 0.5
    assert (deep[:, 1:][same] == deep[:, :-1][same]).all()
    for k in (1, 16, 64):
        scores, indices = top_k(queries, kinds[kind], k)
        assert (indices == order[:, :k]).all()
        assert (scores == deep[:, :k]).all()
