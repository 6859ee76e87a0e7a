"""Tables of values and of paired differences, and how they are drawn."""

import numpy as np
import pandas as pd
import pytest

from mmgap.evaluation import (
    Run,
    bootstrap_interval,
    difference_table,
    format_table,
    recall_table,
)

QUERIES = ["q1", "q2", "q3", "q4"]
QRELS = {query: {"a": 1} for query in QUERIES}


def make_run(name, ranks, queries=QUERIES, scores=(0.3, 0.2, 0.1)):
    """A run over three documents in which query i finds document a at ranks[i]."""
    indices = np.array([np.insert([1, 2], rank - 1, 0) for rank in ranks])
    return Run(name, list(queries), ["a", "b", "c"], indices, np.tile(scores, (len(ranks), 1)))


def test_one_row_per_strategy_and_measure():
    runs = [make_run("good", [1, 1, 1, 2]), make_run("bad", [3, 3, 1, 3])]
    table = recall_table(runs, QRELS, k=1)
    assert table[["strategy", "measure"]].to_numpy().tolist() == [
        [name, measure]
        for name in ("good", "bad")
        for measure in ("recall@1", "hit@1", "ndcg@1", "mrr")
    ]
    value = table.set_index(["strategy", "measure"])["value"]
    assert value["good", "recall@1"] == 3 / 4
    assert value["bad", "recall@1"] == 1 / 4
    assert value["bad", "mrr"] == pytest.approx((3 * 1 / 3 + 1) / 4)
    assert (table["n"] == 4).all()
    assert (table["ci_low"] < table["value"]).all()
    assert (table["ci_high"] > table["value"]).all()


def test_tables_repeat_and_the_generator_is_an_argument():
    runs = [make_run("one", [1, 3, 1, 2] * 5, [f"q{i}" for i in range(20)])]
    qrels = {f"q{i}": {"a": 1} for i in range(20)}
    first = recall_table(runs, qrels)
    pd.testing.assert_frame_equal(first, recall_table(runs, qrels))
    seeds = [recall_table(runs, qrels, rng=np.random.default_rng(seed)) for seed in range(6)]
    pd.testing.assert_frame_equal(first, seeds[0])
    assert len({tuple(table["ci_high"]) for table in seeds}) > 1
    assert len({tuple(table["value"]) for table in seeds}) == 1


def test_groups_hold_their_own_queries():
    kind = pd.Series(["plain", "odd", "plain", "odd"], index=QUERIES, name="class")
    # The series' own order must not matter, nor queries that no run holds.
    kind = pd.concat([kind[::-1], pd.Series({"unused": "plain"}, name="class")]).rename("class")
    table = recall_table([make_run("one", [1, 3, 1, 3])], QRELS, measures=["recall@1"], by=kind)
    assert table[["class", "value", "n"]].to_numpy().tolist() == [["odd", 0, 2], ["plain", 1, 2]]


def test_groups_over_two_columns_and_categories_in_their_order():
    by = pd.DataFrame(
        {
            "class": pd.Categorical(["z", "z", "a", "a"], categories=["z", "a", "never"]),
            "domain": ["x", "y", "x", "x"],
        },
        index=QUERIES,
    )
    table = recall_table([make_run("one", [1, 3, 1, 3])], QRELS, measures=["recall@1"], by=by)
    assert table[["class", "domain", "value", "n"]].to_numpy().tolist() == [
        ["z", "x", 1, 1],
        ["z", "y", 0, 1],
        ["a", "x", 1 / 2, 2],
    ]


def test_runs_may_hold_the_queries_in_different_orders():
    runs = [make_run("one", [1, 1, 3, 3]), make_run("two", [3, 3, 1, 1], QUERIES[::-1])]
    by = pd.Series(["first", "first", "second", "second"], index=QUERIES, name="half")
    table = recall_table(runs, QRELS, measures=["recall@1"], by=by)
    assert table["value"].tolist() == [1, 0, 1, 0]


def test_ties_show_in_the_table():
    tied = make_run("tied", [1, 2, 3, 1], scores=(0.2, 0.2, 0.1))
    row = recall_table([tied], QRELS, measures=["recall@1"]).iloc[0]
    # Queries 1, 2 and 4 hold a in the tied pair.
    assert row["value"] == pytest.approx(3 * (1 / 2) / 4)
    assert row["optimistic"] == 3 / 4
    assert row["pessimistic"] == 0
    assert row["tied"] == 1
    spared = recall_table([tied], QRELS, k=2, measures=["recall@2", "mrr"])
    assert spared["tied"].tolist() == [0, 0]


def test_tied_uses_the_cut_off_of_each_measure():
    tied = make_run("tied", [1, 2, 3, 1], scores=(0.2, 0.2, 0.1))
    table = recall_table([tied], QRELS, k=2, measures=["recall@1", "recall@2"])
    assert table["tied"].tolist() == [1, 0]


def test_format_table_reads_in_percent():
    table = recall_table(
        [make_run("b first", [1, 1, 1, 2]), make_run("a second", [3, 3, 1, 3])], QRELS, k=1
    )
    wide = format_table(table)
    assert wide.index.tolist() == ["b first", "a second"]
    assert wide.columns.tolist() == ["recall@1", "hit@1", "ndcg@1", "mrr"]
    assert wide.loc["b first", "recall@1"] == "75.0 [25.0, 100.0]"
    assert format_table(table, digits=0).loc["b first", "recall@1"] == "75 [25, 100]"


def test_format_table_keeps_groups_and_shows_ties():
    by = pd.Series(["x", "x", "y", "y"], index=QUERIES, name="class")
    tied = make_run("tied", [1, 2, 3, 3], scores=(0.2, 0.2, 0.1))
    wide = format_table(recall_table([tied], QRELS, measures=["recall@1"], by=by))
    assert wide.index.names == ["strategy", "class"]
    assert wide.loc[("tied", "x"), "recall@1"] == "50.0 [50.0, 50.0] ties 0.0 to 100.0"
    assert wide.loc[("tied", "y"), "recall@1"] == "0.0 [0.0, 0.0]"


def test_tables_compare_only_what_is_comparable():
    one = make_run("one", [1, 1, 1, 1])
    with pytest.raises(ValueError, match="different names"):
        recall_table([one, one], QRELS)
    with pytest.raises(ValueError, match="different names"):
        recall_table([], QRELS)
    with pytest.raises(ValueError, match="same queries"):
        recall_table([one, make_run("two", [1, 1], ["q1", "q2"])], QRELS)
    with pytest.raises(ValueError, match=r"no group for 1 queries, e\.g\. 'q4'"):
        recall_table([one], QRELS, by=pd.Series("x", index=QUERIES[:3]))
    with pytest.raises(ValueError, match="'measure'"):
        recall_table([one], QRELS, by=pd.Series("x", index=QUERIES, name="measure"))


# Differences

FORTY = [f"q{number}" for number in range(40)]
ANSWERS = {query: {"a": 1} for query in FORTY}


def first_or_second(name, found, queries=FORTY):
    """A run that ranks the one relevant document first where ``found`` is true."""
    indices = np.where(np.asarray(found)[:, None], [0, 1], [1, 0])
    return Run(name, queries, ["a", "b"], indices, np.tile([0.9, 0.1], (len(queries), 1)))


every = np.ones(40, dtype=bool)
half = np.arange(40) < 20


def test_difference_is_the_difference_of_the_means():
    table = difference_table(
        [first_or_second("base", half), first_or_second("better", every)],
        ANSWERS,
        "base",
        measure="recall@1",
    )
    row = table.iloc[0]
    assert list(table["strategy"]) == ["better"]
    assert row["value"] == 0.5
    assert 0.3 < row["ci_low"] < 0.5 < row["ci_high"] < 0.7
    assert row["n"] == 40


def test_queries_are_paired():
    """Both runs vary over queries in the same way, so their difference does not vary at all."""
    table = difference_table(
        [first_or_second("base", half), first_or_second("twin", half)],
        ANSWERS,
        "base",
        measure="recall@1",
    )
    assert table[["value", "ci_low", "ci_high"]].to_numpy().tolist() == [[0, 0, 0]]


def test_groups_keep_the_order_of_their_categories():
    kind = pd.Series(np.where(half, "z", "a"), index=FORTY, name="kind")
    table = difference_table(
        [first_or_second("base", half), first_or_second("other", ~half)],
        ANSWERS,
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
        [
            first_or_second("base", base),
            first_or_second("better", better),
            first_or_second("same", base),
        ],
        ANSWERS,
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
    kind = pd.Series(np.where(half, "x", "y"), index=FORTY, name="kind")
    few = np.zeros(40, dtype=bool)
    few[:6] = True
    table = difference_table(
        [
            first_or_second("base", ~every),
            first_or_second("few", few),
            first_or_second("half", half),
        ],
        ANSWERS,
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
    runs = [
        first_or_second("text", third),
        first_or_second("image", half),
        first_or_second("fused", every),
    ]
    table = difference_table(runs, ANSWERS, ["text", "image"], measure="recall@1")
    assert table["strategy"].tolist() == ["text", "fused"]
    assert table["against"].tolist() == ["image", "image"]
    assert table["value"].tolist() == pytest.approx([-7 / 40, 1 / 2])


def test_intervals_are_those_of_the_bootstrap_alone():
    """The tests draw after the intervals, which stay what they were."""
    other = np.arange(40) % 3 > 0
    runs = [first_or_second("base", half), first_or_second("other", other)]
    kind = pd.Series(np.arange(40) % 2, index=FORTY, name="kind")
    table = difference_table(runs, ANSWERS, "base", measure="recall@1", by=kind)
    rng = np.random.default_rng(0)
    moved = other.astype(float) - half
    for group, row in table.iterrows():
        low, high = bootstrap_interval(moved[group::2], rng=rng)
        assert (row["ci_low"], row["ci_high"]) == (low, high)


def test_threshold_and_tolerance_reach_the_measure():
    graded = {query: {"a": 1, "b": 2} for query in FORTY}
    runs = [first_or_second("base", ~every), first_or_second("other", every)]
    value = difference_table(runs, graded, "base", measure="recall@1")["value"]
    assert value.tolist() == [0]
    value = difference_table(runs, graded, "base", measure="recall@1", min_grade=2)["value"]
    assert value.tolist() == [-1]
    value = difference_table(runs, ANSWERS, "base", measure="recall@1", tolerance=1.0)["value"]
    assert value.tolist() == [0]


def test_what_cannot_be_compared_is_refused():
    runs = [first_or_second("base", half), first_or_second("other", every)]
    with pytest.raises(ValueError, match="no run is named 'bse'"):
        difference_table(runs, ANSWERS, "bse")
    with pytest.raises(ValueError, match="no run is named 'leg'"):
        difference_table(runs, ANSWERS, ["base", "leg"])
    with pytest.raises(ValueError, match="two runs are named 'base'"):
        difference_table([runs[0], runs[0]], ANSWERS, "base")
    with pytest.raises(ValueError, match="same queries"):
        difference_table([runs[0], first_or_second("few", half[:3], FORTY[:3])], ANSWERS, "base")
    with pytest.raises(ValueError, match="same queries"):
        difference_table(runs, ANSWERS, "base", by=pd.Series("x", index=FORTY[:3]))
