"""Paired differences, and how they are drawn."""

import numpy as np
import pandas as pd
import pytest

from mmgap.evaluation import Run, bootstrap_interval, difference_table

QUERIES = [f"q{number}" for number in range(40)]
QRELS = {query: {"a": 1} for query in QUERIES}


def make_run(name, found, queries=QUERIES):
    """A run that ranks the one relevant document first where ``found`` is true."""
    indices = np.where(np.asarray(found)[:, None], [0, 1], [1, 0])
    return Run(name, queries, ["a", "b"], indices, np.tile([0.9, 0.1], (len(queries), 1)))


every = np.ones(40, dtype=bool)
half = np.arange(40) < 20


def test_difference_is_the_difference_of_the_means():
    table = difference_table(
        [make_run("base", half), make_run("better", every)], QRELS, "base", measure="recall@1"
    )
    row = table.iloc[0]
    assert list(table["strategy"]) == ["better"]
    assert row["value"] == 0.5
    assert 0.3 < row["ci_low"] < 0.5 < row["ci_high"] < 0.7
    assert row["n"] == 40


def test_queries_are_paired():
    """Both runs vary over queries in the same way, so their difference does not vary at all."""
    table = difference_table(
        [make_run("base", half), make_run("twin", half)], QRELS, "base", measure="recall@1"
    )
    assert table[["value", "ci_low", "ci_high"]].to_numpy().tolist() == [[0, 0, 0]]


def test_groups_keep_the_order_of_their_categories():
    kind = pd.Series(np.where(half, "z", "a"), index=QUERIES, name="kind")
    table = difference_table(
        [make_run("base", half), make_run("other", ~half)],
        QRELS,
        "base",
        measure="recall@1",
        by=kind.astype(pd.CategoricalDtype(["z", "a"])),
    )
    assert list(zip(table["kind"], table["value"], table["n"], strict=True)) == [
        ("z", -1, 20),
        ("a", 1, 20),
    ]


def test_every_row_is_tested():
    """Eight queries improve, one is harmed: 2 x (1 + 9) of 512 ways are as extreme."""
    base, better = np.arange(40) < 20, np.arange(40) < 28
    better[0] = False
    table = difference_table(
        [make_run("base", base), make_run("better", better), make_run("same", base)],
        QRELS,
        "base",
        measure="recall@1",
    ).set_index("strategy")
    row = table.loc["better"]
    assert row["p"] == 2 * (1 + 9) / 2**9
    assert row["p_holm"] == 2 * row["p"]
    moved = np.repeat([1, 0, -1], [8, 31, 1])
    assert row["effect_size"] == pytest.approx(moved.mean() / moved.std(ddof=1))
    assert (row["improved"], row["harmed"]) == (8 / 40, 1 / 40)
    same = table.loc["same"]
    assert same[["p", "p_holm", "effect_size", "improved", "harmed"]].tolist() == [1, 1, 0, 0, 0]


def test_holm_counts_all_rows_of_the_table():
    kind = pd.Series(np.where(half, "x", "y"), index=QUERIES, name="kind")
    few = np.zeros(40, dtype=bool)
    few[:6] = True
    table = difference_table(
        [make_run("base", ~every), make_run("few", few), make_run("half", half)],
        QRELS,
        "base",
        measure="recall@1",
        by=kind,
    ).set_index(["strategy", "kind"])
    assert table.loc[("few", "x"), "p"] == 2 / 2**6
    # Of four rows it is the second smallest, hence times three.
    assert table.loc[("few", "x"), "p_holm"] == pytest.approx(3 * 2 / 2**6)
    assert table.loc[("few", "y"), "p_holm"] == 1


def test_against_the_best_of_several():
    third = np.arange(40) < 13
    runs = [make_run("text", third), make_run("image", half), make_run("fused", every)]
    table = difference_table(runs, QRELS, ["text", "image"], measure="recall@1")
    assert table["strategy"].tolist() == ["text", "fused"]
    assert table["against"].tolist() == ["image", "image"]
    assert table["value"].tolist() == pytest.approx([-7 / 40, 1 / 2])


def test_intervals_are_those_of_the_bootstrap_alone():
    """The tests draw after the intervals, which stay what they were."""
    other = np.arange(40) % 3 > 0
    runs = [make_run("base", half), make_run("other", other)]
    kind = pd.Series(np.arange(40) % 2, index=QUERIES, name="kind")
    table = difference_table(runs, QRELS, "base", measure="recall@1", by=kind)
    rng = np.random.default_rng(0)
    moved = other.astype(float) - half
    for group, row in table.iterrows():
        low, high = bootstrap_interval(moved[group::2], rng=rng)
        assert (row["ci_low"], row["ci_high"]) == (low, high)


def test_threshold_and_tolerance_reach_the_measure():
    graded = {query: {"a": 1, "b": 2} for query in QUERIES}
    runs = [make_run("base", ~every), make_run("other", every)]
    value = difference_table(runs, graded, "base", measure="recall@1")["value"]
    assert value.tolist() == [0]
    value = difference_table(runs, graded, "base", measure="recall@1", min_grade=2)["value"]
    assert value.tolist() == [-1]
    value = difference_table(runs, QRELS, "base", measure="recall@1", tolerance=1.0)["value"]
    assert value.tolist() == [0]


def test_what_cannot_be_compared_is_refused():
    runs = [make_run("base", half), make_run("other", every)]
    with pytest.raises(ValueError, match="no run is named 'bse'"):
        difference_table(runs, QRELS, "bse")
    with pytest.raises(ValueError, match="no run is named 'leg'"):
        difference_table(runs, QRELS, ["base", "leg"])
    with pytest.raises(ValueError, match="two runs are named 'base'"):
        difference_table([runs[0], runs[0]], QRELS, "base")
    with pytest.raises(ValueError, match="same queries"):
        difference_table([runs[0], make_run("few", half[:3], QUERIES[:3])], QRELS, "base")
    with pytest.raises(ValueError, match="same queries"):
        difference_table(runs, QRELS, "base", by=pd.Series("x", index=QUERIES[:3]))
