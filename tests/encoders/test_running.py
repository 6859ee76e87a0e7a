"""Batches: the order given comes back, little is padded, and full memory is survived."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmgap.encoders.running import CPU_TOKENS, in_batches, tokens_per_batch


class Recorder:
    """A model that squares numbers, and remembers its batches; memory for ``room`` in all."""

    def __init__(self, room: float = float("inf"), error: Exception | None = None) -> None:
        self.room = room
        self.error = error or RuntimeError("CUDA error: out of memory")
        self.batches: list[list[int]] = []

    def __call__(self, batch: Sequence[int]) -> np.ndarray:
        if len(batch) * max(batch) > self.room:
            raise self.error
        self.batches.append(list(batch))
        return np.array([[item, item**2] for item in batch])


def identity(item: int) -> int:
    return item


@given(
    items=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    batch_size=st.integers(1, 9),
    by_length=st.booleans(),
    max_tokens=st.none() | st.integers(1, 120),
)
def test_rows_come_back_in_the_order_given(
    items: list[int], batch_size: int, by_length: bool, max_tokens: int | None
) -> None:
    model = Recorder()
    rows = in_batches(
        items,
        model,
        batch_size=batch_size,
        length=identity if by_length else None,
        max_tokens=max_tokens,
    )
    np.testing.assert_array_equal(rows, [[item, item**2] for item in items])
    for batch in model.batches:
        if by_length and max_tokens is not None:
            assert len(batch) == 1 or len(batch) * max(batch) <= max_tokens
        else:
            assert len(batch) <= batch_size


def test_without_a_length_the_order_is_kept() -> None:
    model = Recorder()
    in_batches([3, 1, 2], model, batch_size=2)
    assert model.batches == [[3, 1], [2]]


def test_items_of_like_length_share_a_batch() -> None:
    model = Recorder()
    in_batches([1, 9, 2, 8, 3], model, batch_size=2, length=identity)
    assert model.batches == [[9, 8], [3, 2], [1]]


def test_a_budget_makes_batches_of_short_items_large() -> None:
    model = Recorder()
    in_batches([1, 9, 2, 8, 3, 1], model, batch_size=1, length=identity, max_tokens=10)
    assert model.batches == [[9], [8], [3, 2, 1], [1]]  # 3 of 3 fit into 10, not 4


def test_items_of_no_length_count_as_one() -> None:
    rows = in_batches([0, 0], Recorder(), batch_size=1, length=identity, max_tokens=2)
    assert rows.shape == (2, 2)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("Failed to allocate memory for requested buffer of size 9"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved(error: Exception) -> None:
    model = Recorder(room=2, error=error)
    with pytest.warns(RuntimeWarning) as told:
        rows = in_batches([1] * 9, model, batch_size=8)
    assert [str(warning.message) for warning in told] == [
        "a batch of 8 did not fit into memory; going on with 4",
        "a batch of 4 did not fit into memory; going on with 2",
    ]
    assert list(map(len, model.batches)) == [2, 2, 2, 2, 1]
    assert rows.shape == (9, 2)


def test_the_error_of_torch_is_known() -> None:
    import torch

    with pytest.warns(RuntimeWarning, match="going on with 1"):
        in_batches([1, 1], Recorder(room=1, error=torch.OutOfMemoryError("full")), batch_size=2)


def test_a_budget_that_does_not_fit_is_halved_for_all_that_follow() -> None:
    """Room for 12: after 4 of 6 failed, and 2 of 6 went, the short ones stay within 12."""
    model = Recorder(room=12)
    with pytest.warns(RuntimeWarning, match="a batch of 4 did not fit .* going on with 2"):
        in_batches([6] * 4 + [2] * 8, model, batch_size=1, length=identity, max_tokens=24)
    assert model.batches == [[6, 6], [6, 6], [2] * 6, [2] * 2]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        in_batches([5], Recorder(room=4), batch_size=2)


def test_other_errors_pass_at_once() -> None:
    model = Recorder(room=1, error=ValueError("a bad image"))
    with pytest.raises(ValueError, match="a bad image"):
        in_batches([1, 1, 1], model, batch_size=3)
    assert model.batches == []


def test_what_the_failed_pass_held_is_gone_when_the_cache_is_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its tensors hang on the error's traceback; emptying the cache before that goes is vain."""
    held: list[weakref.ref[np.ndarray]] = []
    alive: list[bool] = []

    def forward(batch: Sequence[int]) -> np.ndarray:
        activations = np.zeros(100)
        if len(batch) > 1:
            held.append(weakref.ref(activations))
            raise MemoryError
        return np.zeros((1, 1))

    monkeypatch.setattr(
        "mmgap.encoders.running._empty_cache", lambda: alive.append(held[0]() is not None)
    )
    with pytest.warns(RuntimeWarning, match="going on with 1"):
        in_batches([1, 1], forward, batch_size=2)
    assert alive == [False]


@pytest.mark.parametrize("sizes", [{"batch_size": 0}, {"batch_size": 1, "max_tokens": 0}])
def test_sizes_below_one(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        in_batches([1], Recorder(), length=identity, **sizes)


def test_memory_is_bounded_by_batch_size_and_on_a_processor_by_its_cache() -> None:
    assert tokens_per_batch(64, 512, "cuda:0") == 64 * 512
    assert tokens_per_batch(64, 512, "mps") == 64 * 512
    assert tokens_per_batch(64, 512, "cpu") == CPU_TOKENS
    assert tokens_per_batch(1, 12, "cpu") == 12
