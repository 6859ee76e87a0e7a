"""Intervals and tables."""

import numpy as np
import pandas as pd
import pytest

from mmgap.evaluation import Run, bootstrap_interval, format_table, recall_table

QUERIES = ["q1", "q2", "q3", "q4"]
QRELS = {query: {"a": 1} for query in QUERIES}


def make_run(name, ranks, queries=QUERIES, scores=(0.3, 0.2, 0.1)):
    """A run over three documents in which query i finds document a at ranks[i]."""
    indices = np.array([np.insert([1, 2], rank - 1, 0) for rank in ranks])
    return Run(name, list(queries), ["a", "b", "c"], indices, np.tile(scores, (len(ranks), 1)))


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    samples = rng.binomial(1, 0.6, size=(120, 400)).astype(float)
    low, high = bootstrap_interval(samples, rng=rng, n_resamples=1000)
    covered = np.mean((low <= 0.6) & (high >= 0.6))
    assert 0.91 <= covered <= 0.98


def test_interval_has_the_width_that_theory_gives():
    values = np.random.default_rng(2).normal(size=500)
    low, high = bootstrap_interval(values, rng=np.random.default_rng(0))
    standard_error = values.std() / np.sqrt(len(values))
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)
    narrow_low, narrow_high = bootstrap_interval(values, rng=np.random.default_rng(0), level=0.5)
    assert narrow_high - narrow_low == pytest.approx(2 * 0.6745 * standard_error, rel=0.05)


def test_interval_does_not_depend_on_how_draws_are_chunked(monkeypatch):
    values = np.random.default_rng(3).random((50, 2, 3))
    whole = bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=103)
    monkeypatch.setattr("mmgap.evaluation.significance._CHUNK", 50 * 10)
    parts = bootstrap_interval(values, rng=np.random.default_rng(0), n_resamples=103)
    assert whole[0].shape == (2, 3)
    np.testing.assert_allclose(whole, parts)


def test_columns_share_their_draws():
    values = np.random.default_rng(4).random(40)
    low, high = bootstrap_interval(
        np.stack([values, values + 1], axis=1), rng=np.random.default_rng(0)
    )
    assert low[1] - low[0] == pytest.approx(1)
    assert high[1] - high[0] == pytest.approx(1)


def test_interval_refuses_what_has_no_mean():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(np.array([0.1, np.nan]), rng=rng)
    with pytest.raises(ValueError, match="at least one query"):
        bootstrap_interval(np.zeros((0, 2)), rng=rng)
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval(np.zeros(2), rng=rng, level=95)


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
