"""Tables that are views of what the judge found: leaderboard, two-stage, costs, label budget."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_reranker import FakeReranker
from PIL import Image
from scipy.optimize import minimize
from test_methods import drawn, vectors_of, without
from test_rerank import BOTH, noisy, ranked, reranked, rule, tiny, unit

from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.evaluation import Run, difference_table, recall_table
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import (
    METHODS,
    PUBLISHED,
    TWO_STAGE,
    CostedRun,
    Judged,
    PairScorer,
    Pool,
    Rerank,
    Strategy,
    best_by_budget,
    break_even,
    cost_table,
    cut_texts,
    embedding_ms,
    format_leaderboard,
    format_two_stage_table,
    judge,
    label_budget,
    leaderboard,
    margin_threshold,
    pareto_front,
    run_strategies,
    score_pairs,
    two_stage_strategies,
    two_stage_table,
    unreported_settings,
)
from mmgap.strategies.labels import WAYS, fit_slopes
from mmgap.strategies.tables import WORSE

LEGS = ("text leg", "image leg")


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return tiny(tmp_path)


@pytest.fixture
def reranker() -> FakeReranker:
    return FakeReranker(rule)


# --- the leaderboard -----------------------------------------------------------------------------


def some(*names: str):
    return [METHODS[name] for name in (*LEGS, *names)]


def opposite() -> tuple:
    """Texts answer the queries of class T, images those of class I; the other leg is wrong.

    Class T: the text leg ranks the relevant document first, the image leg last of 12; class I the
    other way round, but for one query in four, which the image leg misses too.
    """
    n, n_doc = 16, 12
    good = np.tile(np.linspace(0.5, 0.1, n_doc), (n, 1))
    bad = good[:, ::-1].copy()
    relevant = np.zeros((n, n_doc), dtype=bool)
    relevant[:, 0] = True
    classes = ["T"] * 8 + ["I"] * 8
    text = np.vstack([good[:8], bad[8:]])
    image = np.vstack([bad[:8], good[8:]])
    image[[8, 12]] = bad[[8, 12]]
    return vectors_of(text, image, relevant, classes)


def value(table: pd.DataFrame, method: str, group: str = "all", measure: str = "recall@10"):
    keys = {"method": method, "query_class": group, "measure": measure}
    (row,) = table[(table[[*keys]] == pd.Series(keys)).all(axis=1)].to_dict("records")
    return row


def test_each_class_and_the_worse_of_both() -> None:
    table = leaderboard(opposite(), opposite(), some("raw, max"))
    text, image = (
        [value(table, leg, group)["value"] for group in ("T", "I", WORSE, "all")] for leg in LEGS
    )
    assert text == [1, 0, 0, 0.5]
    assert image == [0, 0.75, 0, 0.375]
    # Both ends of each list tie for the maximum: 4 of the 12 documents at a time.
    assert value(table, "raw, max", "T")["value"] == 1


def test_intervals_ties_and_counts_are_those_of_the_recall_table() -> None:
    calibration, test = drawn(1), drawn(2)
    methods = some("RRF, k = 60", "raw, mean")
    table = leaderboard(calibration, test, methods)
    runs = [method.fit(calibration).run(test).run for method in methods]
    known = recall_table(
        runs, test.corpus.qrels, measures=["recall@10", "ndcg@10"], tolerance=1e-12
    )
    own = table[(table["query_class"] == "all") & (table["measure"] != "merge_ms")]
    merged = own.merge(known, left_on=["method", "measure"], right_on=["strategy", "measure"])
    assert len(merged) == len(known) == 8
    for column in ("value", "optimistic", "pessimistic", "tied", "n"):
        np.testing.assert_allclose(merged[f"{column}_x"], merged[f"{column}_y"])
    for column in ("ci_low", "ci_high"):
        np.testing.assert_allclose(merged[f"{column}_x"], merged[f"{column}_y"], atol=0.02)


def test_differences_are_to_the_better_leg_and_tested_as_elsewhere() -> None:
    calibration, test = drawn(1, 60, 80), drawn(2, 60, 80)
    methods = some("raw, mean", "RRF, k = 60", "raw, min")
    table = leaderboard(calibration, test, methods)
    runs = [method.fit(calibration).run(test).run for method in methods]
    better = max(LEGS, key=lambda leg: value(table, leg)["value"])
    known = difference_table(runs, test.corpus.qrels, list(LEGS), tolerance=1e-12)
    known = known.set_index("strategy")
    p = []
    for method in methods[2:]:
        row = value(table, method.name)
        assert row["against"] == better == known.loc[method.name, "against"]
        assert row["difference"] == pytest.approx(row["value"] - value(table, better)["value"])
        assert row["difference"] == pytest.approx(known.loc[method.name, "value"])
        assert row["effect_size"] == pytest.approx(known.loc[method.name, "effect_size"])
        assert row["p"] == pytest.approx(known.loc[method.name, "p"], abs=0.02)
        assert row["p_holm"] >= row["p"]
        p.append((row["p"], row["p_holm"]))
    # Holm by hand: the smallest of three p-values is multiplied by three.
    smallest = min(p)
    assert smallest[1] == pytest.approx(min(1, 3 * smallest[0]))
    for leg in LEGS:
        assert np.isnan(value(table, leg)["p"])


def test_p_by_hand() -> None:
    """Each leg has 11 documents before the relevant one, others each; the mean has none.

    So the mean finds it for five queries, no leg does, and the sixth query nobody answers: of the
    32 ways to exchange the two, 2 differ as much. Holm has two methods to correct for.
    """
    n_query, n_doc = 6, 23
    text, image = np.zeros((2, n_query, n_doc))
    text[:, 1:12], image[:, 12:] = 0.9, 0.9
    text[:5, 0] = image[:5, 0] = 0.5
    relevant = np.zeros((n_query, n_doc), dtype=bool)
    relevant[:, 0] = True
    test = vectors_of(text, image, relevant)
    table = leaderboard(test, test, some("raw, mean", "raw, max"))
    row = value(table, "raw, mean")
    assert row["difference"] == pytest.approx(5 / 6, abs=0.1)
    assert row["p"] == pytest.approx(2 / 32)
    assert row["p_holm"] == pytest.approx(2 * 2 / 32)
    loser = value(table, "raw, max")
    assert loser["p"] > 0.5


def test_the_worse_class_has_an_interval_of_its_own() -> None:
    calibration, test = drawn(1, 40, 60), drawn(2, 40, 60)
    table = leaderboard(calibration, test, some("raw, max", "z, mean"))
    for name in ("raw, max", "z, mean"):
        row = value(table, name, WORSE)
        parts = [value(table, name, group) for group in ("T", "I")]
        assert row["value"] == min(part["value"] for part in parts)
        assert row["ci_low"] <= row["value"]
        assert row["ci_low"] >= min(part["ci_low"] for part in parts) - 0.06
        assert row["ci_high"] <= min(part["ci_high"] for part in parts) + 0.06
        assert np.isnan(row["p"])


def test_every_method_is_in_the_table_with_its_time() -> None:
    table = leaderboard(drawn(1), drawn(2))
    assert list(dict.fromkeys(table["method"])) == list(METHODS)
    times = table[table["measure"] == "merge_ms"]
    assert len(times) == len(METHODS)
    assert (times["value"] > 0).all()
    keys = ["corpus", "encoder", "method", "query_class", "measure"]
    assert not table.duplicated(keys).any()
    rest = table[table["measure"] != "merge_ms"]
    assert (
        rest[["value", "ci_low", "ci_high", "optimistic", "pessimistic", "tied"]]
        .notna()
        .all(axis=None)
    )
    assert (
        (rest["pessimistic"] <= rest["value"] + 1e-12)
        & (rest["value"] <= rest["optimistic"] + 1e-12)
    ).all()


def test_the_same_table_twice() -> None:
    methods = some("raw, mean", "platt, log-odds")
    first, second = (leaderboard(drawn(1), drawn(2), methods) for _ in range(2))
    drop = lambda table: table[table["measure"] != "merge_ms"].reset_index(drop=True)  # noqa: E731
    pd.testing.assert_frame_equal(drop(first), drop(second))


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        leaderboard(drawn(1), drawn(2), some("text leg"))


def test_without_classes_there_is_one_group() -> None:
    rng = np.random.default_rng(0)
    test = vectors_of(rng.random((5, 20)), rng.random((5, 20)), np.eye(5, 20, dtype=bool))
    table = leaderboard(test, test, some("raw, mean"))
    assert set(table["query_class"]) == {"all"}


def test_what_a_reader_sees() -> None:
    table = leaderboard(opposite(), opposite(), some("raw, max", "raw, mean", "raw, min"))
    read = format_leaderboard(table, top=1)
    assert list(read["method"][read["method"].isin(LEGS)]) == ["text leg", "image leg"]
    assert len(read) == 3
    row = read.set_index("method").loc["text leg"]
    assert row["recall@10"].startswith("50.0 [")
    assert (row["T"], row["I"], row["worse"]) == ("100.0", "0.0", "0.0")
    assert row["against"] == ""
    assert len(format_leaderboard(table, top=None)) == 5


# --- the article's table -------------------------------------------------------------------------


def test_the_rows_are_the_articles() -> None:
    assert [row.name for row in TWO_STAGE] == list(PUBLISHED)
    assert list(PUBLISHED.values()) == [14.55, 22.38, 14.55, 17.42, 28.94, 33.81, 36.24]
    assert 100 * (PUBLISHED["16 + 16, mean of both views"] / 22.38 - 1) == pytest.approx(
        62, abs=0.5
    )
    described = [(row.rerank and row.rerank.view, row.legs, row.depth) for row in TWO_STAGE]
    assert described == [
        (None, ("text",), 32),
        (None, ("image",), 32),
        (None, BOTH, 16),
        ("text", ("text",), 32),
        ("image", ("image",), 32),
        ("matching", BOTH, 16),
        ("average", BOTH, 16),
    ]
    small = two_stage_strategies(depth=8, duplicates="first", backfill=True, average="before")
    assert small[-1] == reranked(
        "4 + 4, mean of both views",
        "average",
        depth=4,
        duplicates="first",
        backfill=True,
        average="before",
    )
    with pytest.raises(MmgapError, match="depth is 7; expected an even number"):
        two_stage_strategies(depth=7)


def test_two_stage_table_by_hand(vectors: Vectors, reranker: FakeReranker) -> None:
    """Recall@1 of the relevant d2, on lists of two of each leg."""
    rows = two_stage_strategies(depth=2)
    table = two_stage_table(
        vectors, PairScorer(vectors, reranker, cache=False), rows, measure="recall@1"
    )
    assert table["strategy"].tolist() == [row.name for row in rows]
    # text: d0; image: d2; raw: d0; d1 of d0, d1 by text; d2; d2; d2.
    assert table["value"].tolist() == [0, 1, 0, 0, 1, 1, 1]
    assert table["calls_per_query"].tolist() == [0, 0, 0, 2, 2, 2, 4]
    assert set(table["against"]) == {"image leg"}
    assert table["difference"].fillna(9).tolist() == [-1, 9, -1, -1, 0, 0, 0]
    assert table["published"].isna().all()
    assert (table["note"] == "").all()
    assert {*zip(table["corpus"], table["encoder"], table["reranker"], strict=True)} == {
        ("tiny", "angles", "fake")
    }
    assert (table["ms_per_query"] >= table["search_ms"] + table["rerank_ms"]).all()


def test_published_numbers_stand_apart_and_say_where_they_apply(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    reranker.info = replace(reranker.info, id="jinaai/jina-reranker-m0")

    def table(name: str, encoder: str, **options: str) -> pd.DataFrame:
        renamed = replace(
            vectors,
            corpus=replace(vectors.corpus, name=name),
            encoder=replace(vectors.encoder, id=encoder),
        )
        scorer = PairScorer(renamed, reranker, cache=False)
        return two_stage_table(renamed, scorer, **options)

    for name in ("edis", "edis/restricted"):
        found = table(name, "jinaai/jina-clip-v2")
        assert (100 * found["published"]).tolist() == pytest.approx([*PUBLISHED.values()])
        assert not np.allclose(found["value"], found["published"])
        shown = format_two_stage_table(found)
        assert shown.columns[-1] == "published"
        assert shown["published"].tolist()[-1] == "36.24"
        assert "36.24" not in shown.drop(columns="published").to_string()
        assert found["published_applies"].all()
    for corpus, encoder in [
        ("edis/val", "jinaai/jina-clip-v2"),
        ("edis, 10 of 3241 queries", "jinaai/jina-clip-v2"),
        ("pictograms/test/style", "jinaai/jina-clip-v2"),
        ("edis", "jinaai/jina-clip-v1"),
    ]:
        elsewhere = table(corpus, encoder)
        assert (100 * elsewhere["published"]).tolist() == pytest.approx([*PUBLISHED.values()])
        assert not elsewhere["published_applies"].any()
        assert format_two_stage_table(elsewhere).columns[-1] == "published on EDIS"
    hits = table("edis", "jinaai/jina-clip-v2", measure="hit@10")
    assert hits["published"].isna().all()


def test_rows_that_cannot_be_run_say_so(vectors: Vectors) -> None:
    table = two_stage_table(vectors)
    assert table["value"].notna().tolist() == [True] * 3 + [False] * 4
    assert set(table["note"][3:]) == {"no reranker was given"}
    assert format_two_stage_table(table)["measured"][3] == "not run: no reranker was given"
    texts = FakeReranker(rule, modalities=["text-text"])
    table = two_stage_table(vectors, PairScorer(vectors, texts, cache=False))
    assert table["value"].notna().tolist() == [True] * 4 + [False] * 3
    assert table["note"][4] == "fake reads no image of a document"
    with pytest.raises(MmgapError, match="none of the strategies can be run"):
        two_stage_table(vectors, None, TWO_STAGE[3:])


def test_ties_are_ordered_as_asked(vectors: Vectors) -> None:
    """d1 and d2 tie; d2 is relevant and stands last in the corpus and first by descending id."""
    legs = {**vectors.legs, "text": Leg(np.arange(3), unit(60, 30, 30))}
    tied = replace(vectors, legs=legs)
    row = [Strategy("t", ("text",), 3)]
    value = {
        ties: two_stage_table(tied, None, row, measure="recall@1", ties=ties)["value"].item()
        for ties in ("expected", "index", "doc_id")
    }
    assert value == {"expected": 0.5, "index": 0, "doc_id": 1}
    with pytest.raises(MmgapError, match="ties is 'random'"):
        two_stage_table(tied, None, row, ties="random")


def test_micro_mean_grade_and_measure() -> None:
    vectors = noisy(n_query=2)
    first, second = ranked(vectors, "text", 0), ranked(vectors, "text", 1)
    # Query 0: one relevant document, found. Query 1: three, of which one is found; grade 1 apart.
    judged = [Judgment("q0", f"d{first[0]}", 3), Judgment("q0", f"d{first[-1]}", 1)]
    judged += [Judgment("q1", f"d{second[at]}", 3) for at in (0, 38, 39)]
    corpus = replace(vectors.corpus, qrels=Qrels(judged, min_grade=3))
    vectors = replace(vectors, corpus=corpus)
    row = [Strategy("t", ("text",), 32)]

    def value(**options: object) -> float:
        return two_stage_table(vectors, None, row, **options)["value"].item()

    assert value() == pytest.approx((1 + 1 / 3) / 2)
    assert value(mean="micro") == pytest.approx(2 / 4)
    assert value(min_grade=1) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert value(measure="hit@10") == 1
    with pytest.raises(MmgapError, match="mean='micro' counts relevant documents"):
        value(mean="micro", measure="ndcg@10")
    with pytest.raises(MmgapError, match="mean is 'median'"):
        value(mean="median")


def test_differences_are_tested_with_holms_correction() -> None:
    vectors = noisy(n_query=120, seed=7)
    table = two_stage_table(vectors, None, TWO_STAGE[:3]).set_index("strategy")
    best = table["against"].iloc[0]
    runs = run_strategies(vectors, list(TWO_STAGE[:3]), cache=False)
    other = difference_table(runs, vectors.corpus.qrels, best).set_index("strategy")
    assert table["p_holm"].isna().tolist() == [name == best for name in table.index]
    assert 0.2 < table["p_holm"].min() < table["p_holm"].max() < 0.9
    # Of 10,000 random signs, drawn anew: three standard errors of a share.
    assert table["p_holm"].drop(best).to_dict() == pytest.approx(
        other["p_holm"].to_dict(), abs=0.03
    )
    shown = format_two_stage_table(table.reset_index()).set_index("strategy")["p (Holm)"]
    assert shown[best] == ""
    assert float(shown.drop(best).iloc[0]) == pytest.approx(
        table["p_holm"].drop(best).iloc[0], rel=0.05
    )


def test_every_unreported_setting_has_an_option() -> None:
    points = unreported_settings()
    assert points.index.tolist() == list(range(1, 12))
    assert points.map(len).min().min() > 3
    rows = dict(
        zip(
            ["max", "first"],
            [two_stage_strategies(duplicates=d)[5] for d in ("max", "first")],
            strict=True,
        )
    )
    assert rows["max"] != rows["first"]


def test_texts_are_cut_and_pictures_stay(vectors: Vectors) -> None:
    documents = [
        replace(vectors.corpus.documents[0], text="one two  three"),
        *vectors.corpus.documents[1:],
    ]
    corpus = replace(vectors.corpus, documents=documents)
    cut = cut_texts(corpus, 2)
    assert [each.text for each in cut.documents] == ["one two", "t1", "t2", None]
    assert cut.documents[0].image == documents[0].image
    with pytest.raises(MmgapError, match="max_words is 0"):
        cut_texts(corpus, 0)


# --- costs ---------------------------------------------------------------------------------------


def costed(name: str, view: str | None, calls: list[int], ms: float) -> CostedRun:
    """Costs of a run of two queries."""
    counts, nothing = np.array(calls), np.empty((2, 0))
    run = Run(name, ["q1", "q2"], ["d0", "d1"], nothing.astype(int), nothing)
    how = None if view is None else Rerank(view)
    strategy = Strategy(name, merge="mean", rerank=how, family="reranked" if how else name)
    seconds = counts * ms / 1000
    return CostedRun(strategy, run, counts, 10 * counts, 100 * counts, seconds, 0.002, 0.001)


@pytest.fixture
def judged() -> Judged:
    runs = [
        costed("plain", None, [0, 0], 0),
        costed("bad", None, [0, 0], 0),
        costed("reranked", "average", [4, 6], 2),
        costed("expensive", "average", [40, 60], 2),
    ]
    recall = np.array([[1, 0], [0, 0], [1, 1], [1, 0]], dtype=float)
    values = np.repeat(recall[:, None, :, None], 4, axis=1)
    corpus = Corpus("c", [Document("d0"), Document("d1")], [Query("q1", "x"), Query("q2", "y")],
                    Qrels([Judgment("q1", "d0", 1), Judgment("q2", "d1", 1)]))  # fmt: skip
    vectors = Vectors(corpus, EncoderInfo("e", "e", "hand", 2), np.eye(2), {})
    strategies = tuple(each.strategy for each in runs)
    by_name = {each.run.name: each for each in runs}
    return Judged(vectors, strategies, ("recall@1",), values, by_name, {})


def test_costs_are_means_over_queries(judged: Judged) -> None:
    row = judged.costs(embed_ms=5).loc["reranked"]
    assert row[["calls_per_query", "tokens_per_query", "pixels_per_query"]].tolist() == [5, 50, 500]
    assert row[["embed_ms", "search_ms", "merge_ms", "rerank_ms"]].tolist() == [5, 2, 1, 10]
    assert row["ms_per_query"] == 18
    assert judged.costs().loc["reranked", "ms_per_query"] == 13  # the encoder's time is unknown


def test_what_is_found_beside_what_it_costs(judged: Judged) -> None:
    table = cost_table(judged).set_index("strategy")
    assert table["value"].tolist() == [0.5, 0, 1, 0.5]
    assert table["family"].tolist() == ["plain", "bad", "reranked", "reranked"]
    assert table["reranked"].tolist() == [False, False, True, True]
    assert set(table["against"]) == {"plain"}
    assert table["difference"].tolist() == [0, -0.5, 0.5, 0]
    assert table["front_calls"].tolist() == [True, False, True, False]
    assert table["front_ms"].tolist() == [True, False, True, False]
    assert (table["difference_low"] <= table["difference"]).all()
    assert (table["n"] == 2).all()


def test_front_as_by_comparing_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cost, value = rng.integers(0, 6, size=(2, 8)).astype(float)
        beaten = [
            any(
                cost[j] <= cost[i]
                and value[j] >= value[i]
                and (cost[j] < cost[i] or value[j] > value[i])
                for j in range(8)
            )
            for i in range(8)
        ]
        assert pareto_front(cost, value).tolist() == [not each for each in beaten]
    with pytest.raises(ValueError, match="one number for each strategy"):
        pareto_front(np.array([1.0]), np.array([np.nan]))


def by_hand() -> pd.DataFrame:
    """Costs in milliseconds; a point of recall is one hundredth."""
    rows = [
        ("free", False, 0.50, 2, 0.00, 0.00, 0.00),
        ("rerank 8", True, 0.52, 12, 0.02, -0.01, 0.05),
        ("rerank 16", True, 0.56, 32, 0.06, 0.02, 0.10),
        ("rerank 32", True, 0.55, 62, 0.05, 0.01, 0.09),
        ("rerank 64", True, 0.48, 122, -0.02, -0.05, 0.01),
    ]
    columns = ["strategy", "reranked", "value", "ms_per_query"]
    columns += ["difference", "difference_low", "difference_high"]
    table = pd.DataFrame(rows, columns=columns).assign(against="free")
    return table.assign(ci_low=table["value"] - 0.03, ci_high=table["value"] + 0.03)


def test_steps_of_the_front() -> None:
    steps = best_by_budget(by_hand().sample(frac=1, random_state=1))
    assert steps["strategy"].tolist() == ["free", "rerank 8", "rerank 16"]
    assert steps["budget_from"].tolist() == [2, 12, 32]
    assert steps["budget_to"].tolist() == [12, 32, np.inf]
    assert steps["gain"].tolist()[1:] == pytest.approx([0.02, 0.04])


def test_break_even_by_hand() -> None:
    table = break_even(by_hand(), worth=10).set_index("strategy")
    assert table.index.tolist() == ["rerank 8", "rerank 16", "rerank 32", "rerank 64"]
    assert table["pays_from"].tolist() == [12, 32, 62, np.inf]
    assert table["extra"].tolist() == [10, 30, 60, 120]
    # 10 ms for 2 points, 30 for 6, 60 for 5, and nothing won.
    assert table["price"].tolist() == pytest.approx([5, 5, 12, np.inf])
    # A point is worth 10 ms: 10 ms must win one point, 30 ms three ...
    assert table["gap_needed"].tolist() == pytest.approx([0.01, 0.03, 0.06, 0.12])
    assert (table["gain"] > table["gap_needed"]).tolist() == [True, True, False, False]
    assert "gap_needed" not in break_even(by_hand())
    with pytest.raises(MmgapError, match="worth is 0"):
        break_even(by_hand(), worth=0)


def test_nothing_reranked_breaks_even_nowhere() -> None:
    table = by_hand()
    assert break_even(table[~table["reranked"]]).empty


class SlowEncoder:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_text(self, texts: list[str], **options: object) -> np.ndarray:
        assert options["role"] == "query"
        self.batches.append(len(texts))
        time.sleep(0.2 if len(self.batches) == 1 else 0.02)
        return np.zeros((len(texts), 2))


def test_the_quickest_of_several_batches_is_timed() -> None:
    queries = [Query(f"q{at}", "x") for at in range(10)]
    judged = [Judgment(query.id, "d", 1) for query in queries]
    corpus = Corpus("c", [Document("d", "t")], queries, Qrels(judged))
    encoder = SlowEncoder()
    assert 20 / 4 <= embedding_ms(encoder, corpus, n=4) < 200 / 4
    assert encoder.batches == [4, 4, 4]


def drawings(folder: Path, seed: int, n_query: int = 20, n_document: int = 60) -> Vectors:
    rng = np.random.default_rng(seed)

    def rows(n: int) -> np.ndarray:
        values = rng.normal(size=(n, 6)).astype(np.float32)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    documents = []
    for at in range(n_document):
        path = folder / f"{at}.png"
        Image.new("RGB", (4, 4), (at, 0, 0)).save(path)
        documents.append(Document(f"d{at}", f"text {at}", ImageFile(path)))
    queries = [Query(f"q{at}", f"query {at}") for at in range(n_query)]
    judged = [Judgment(f"q{at}", f"d{rng.integers(n_document)}", 1) for at in range(n_query)]
    legs = {leg: Leg(np.arange(n_document), rows(n_document)) for leg in ("text", "image")}
    corpus = Corpus(f"noisy {seed}", documents, queries, Qrels(judged))
    return Vectors(corpus, EncoderInfo("noise", "noise", "hand", 6), rows(n_query), legs)


def truth(vectors: Vectors) -> FakeReranker:
    """A reranker that knows the answers."""
    relevant = {
        (query.text, int(doc_id[1:]))
        for query in vectors.corpus.queries
        for doc_id in vectors.corpus.qrels[query.id]
    }

    def rule(query: str, text: str | None, red: int | None) -> float:
        at = red if text is None else int(text.split()[1])
        return 0.9 if (query, at) in relevant else 0.1

    return FakeReranker(rule)


def test_families_at_equal_cost(tmp_path: Path) -> None:
    vectors, calibration = drawings(tmp_path, 0), drawings(tmp_path, 1)
    fitted = Strategy("calibrated fusion", merge="convex", normaliser="reference z")

    def reranked(name: str, view: str, depth: int, **how: object) -> Strategy:
        return replace(fitted, name=name, rerank=Rerank(view, depth, **how), family=name)

    margin = margin_threshold(calibration, fitted, 0.5)
    rows = [Strategy("raw merge", merge="max"), fitted]
    for n in (8, 16, 32):
        rows.append(reranked(f"rerank {n}", "average", n))
        rows.append(reranked(f"only unsure {n}", "average", n, margin=margin))
        rows.append(reranked(f"cascade {n}", "text", n, cascade=("average", n // 4)))
    scorer = PairScorer(vectors, truth(vectors), cache=False)
    table = cost_table(judge(rows, vectors, calibration, reranker=scorer)).set_index("strategy")
    assert (table.loc[~table["reranked"], "calls_per_query"] == 0).all()
    for n in (8, 16, 32):
        whole, half = table.loc[f"rerank {n}"], table.loc[f"only unsure {n}"]
        assert whole["calls_per_query"] == 2 * n
        # Exactly the queries whose margin lies below the calibration median.
        unsure = reranked("", "average", n).fit(calibration).first_stage(vectors).margins < margin
        assert 0 < unsure.mean() < 1
        assert half["calls_per_query"] == pytest.approx(2 * n * unsure.mean())
        # n texts, and the images of a quarter of them.
        assert table.loc[f"cascade {n}", "calls_per_query"] == n + n // 4
        # The truth finds at least what the first stage found, the deeper the more.
        assert whole["value"] >= half["value"] >= table.loc["calibrated fusion", "value"]
    assert table.loc[[f"rerank {n}" for n in (8, 16, 32)], "value"].is_monotonic_increasing
    assert table["front_calls"].any()
    steps = best_by_budget(table.reset_index(), cost="calls_per_query")
    assert steps["value"].is_monotonic_increasing
    paid = break_even(table.reset_index(), cost="calls_per_query")
    assert (paid["pays_from"] >= 8).all()


def test_both_models_score_the_same_pairs(tmp_path: Path) -> None:
    vectors = drawings(tmp_path, 0)
    fake = truth(vectors)
    found = score_pairs(vectors, PairScorer(vectors, fake, cache=False), depth=4)
    assert list(found) == ["noise", "fake"]
    texts = [asked for asked in fake.asked if asked[1] is not None]
    pairs = {(query, int(text.split()[1])) for query, text, _ in texts}
    assert {(query, red) for query, text, red in fake.asked if text is None} == pairs
    assert all(
        found[name].samples[leg].n == len(pairs) for name in found for leg in ("text", "image")
    )
    by_embedder = [vectors.scores("image")[int(q.split()[1]), d] for q, d in pairs]
    assert found["noise"].samples["image"].mean == pytest.approx(np.mean(by_embedder), abs=1e-6)
    n_good = found["fake"].samples["text relevant"].n
    share = n_good / len(pairs)
    assert found["fake"].samples["text"].mean == pytest.approx(0.1 + 0.8 * share, abs=1e-6)
    assert found["fake"].dominance == pytest.approx(0.5)


def test_pairs_need_both_legs(tmp_path: Path) -> None:
    vectors = drawings(tmp_path, 0)
    texts = Vectors(vectors.corpus, vectors.encoder, vectors.queries, {"text": vectors.text})
    with pytest.raises(MmgapError, match="needs both legs"):
        score_pairs(texts, PairScorer(texts, truth(vectors), cache=False))


# --- the label budget ----------------------------------------------------------------------------


def one_leg_is_noise(seed: int, n_query: int = 60, n_doc: int = 80):
    """Relevant documents stand out in the text leg; the image leg is noise of the same spread."""
    rng = np.random.default_rng(seed)
    relevant = np.eye(n_query, n_doc, dtype=bool)
    text, image = rng.standard_normal((2, n_query, n_doc))
    text[relevant] += 2.5
    return vectors_of(text, image, relevant)


@pytest.fixture(scope="module")
def budget_table() -> pd.DataFrame:
    return label_budget(one_leg_is_noise(1), one_leg_is_noise(2), n_draws=40)


# --- the fit -------------------------------------------------------------------------------------


def test_the_fit_is_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3, 50, 2)) + 2
    labels = rng.random((3, 50)) < 0.3
    found = fit_slopes(features, labels, prior_sd=0.7)
    for fit in range(3):

        def loss(at: np.ndarray, fit: int = fit) -> float:
            logit = features[fit] @ at[:2] + at[2]
            likelihood = np.logaddexp(0, np.where(labels[fit], -logit, logit)).sum()
            return likelihood + ((at[:2] - 1) ** 2).sum() / (2 * 0.49) + at[2] ** 2 / 200

        known = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(found[fit], known.x[:2], atol=1e-5)


def test_no_label_leaves_the_prior_and_labels_of_one_kind_move_it_little() -> None:
    assert fit_slopes(np.empty((2, 0, 2)), np.empty((2, 0), dtype=bool)).tolist() == [[1, 1]] * 2
    features = np.random.default_rng(0).standard_normal((1, 10, 2)) + 3
    for kind in (False, True):
        found = fit_slopes(features, np.full((1, 10), kind))
        assert np.isfinite(found).all()
        assert np.abs(found - 1).max() < 0.5


def test_separable_labels_have_a_finite_fit() -> None:
    features = np.linspace(-1e3, 1e3, 40).reshape(1, 40, 1)
    assert np.isfinite(fit_slopes(features, features[:, :, 0] > 0)).all()


def test_a_stronger_prior_holds_faster() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((1, 100, 2)), rng.random((1, 100)) < 0.5
    away = [
        np.abs(fit_slopes(features, labels, prior_sd=sd) - 1).max() for sd in (0.01, 0.1, 1, 10)
    ]
    assert away == sorted(away)
    assert away[0] < 0.01


# --- the curve -----------------------------------------------------------------------------------


def row_of(table: pd.DataFrame, method: str, n_labels: float | None = None) -> pd.Series:
    chosen = table[table["method"] == method]
    chosen = chosen[
        chosen["n_labels"].isna() if n_labels is None else chosen["n_labels"] == n_labels
    ]
    (found,) = (chosen.iloc[i] for i in range(len(chosen)))
    return found


def test_without_labels_it_is_the_label_free_merge() -> None:
    """Also on real vectors, and for queries whose relevant documents no leg lists."""
    for calibration, test, depth in [
        (one_leg_is_noise(1), one_leg_is_noise(2), 100),
        (drawn(1), drawn(2), 4),
    ]:
        pools = [Pool(vectors, depth=depth) for vectors in (calibration, test)]
        table = label_budget(*pools, budgets=(0,), n_draws=3)
        for way in WAYS:
            found = row_of(table, way, 0)
            assert found["value"] == pytest.approx(row_of(table, "reference z, mean")["value"])
            assert found["text_weight"] == 0.5
            assert found["draw_low"] == found["draw_high"] == pytest.approx(found["value"])


def test_labels_find_out_which_leg_to_trust(budget_table: pd.DataFrame) -> None:
    for way in WAYS:
        weights = [row_of(budget_table, way, n)["text_weight"] for n in (0, 30, 300, 1000)]
        assert weights == sorted(weights)
        assert weights[-1] > 0.75
        gain = row_of(budget_table, way, 1000)["value"] - row_of(budget_table, way, 0)["value"]
        assert gain > 0.1
        assert (
            row_of(budget_table, way, 1000)["value"] <= row_of(budget_table, "text leg")["ci_high"]
        )


def test_draws_agree_more_with_more_labels(budget_table: pd.DataFrame) -> None:
    for way in WAYS:
        widths = [
            row_of(budget_table, way, n)["draw_high"] - row_of(budget_table, way, n)["draw_low"]
            for n in (10, 100, 1000)
        ]
        assert widths[0] > widths[2]


def test_intervals_cover_draws_and_queries(budget_table: pd.DataFrame) -> None:
    fitted = budget_table[budget_table["n_labels"].notna()]
    assert (fitted["ci_low"] <= fitted["value"]).all()
    assert (fitted["value"] <= fitted["ci_high"]).all()
    own = fitted["draw_high"] - fitted["draw_low"]
    assert ((fitted["ci_high"] - fitted["ci_low"]) >= own - 0.02).all()


def test_ten_labels_of_which_none_is_relevant() -> None:
    """Relevant documents are in no leg's first ten, so that every label says no."""
    rng = np.random.default_rng(0)
    relevant = np.eye(6, 40, dtype=bool)
    text, image = rng.random((2, 6, 40)) + 1
    text[relevant] = image[relevant] = 0
    bank = vectors_of(text, image, relevant)
    table = label_budget(bank, one_leg_is_noise(2), budgets=(0, 10), n_draws=5)
    found = row_of(table, WAYS[1], 10)
    assert found["n_relevant"] == 0
    assert 0.4 < found["text_weight"] < 0.6


def test_labels_of_the_test_queries_are_not_used() -> None:
    """Judgments of the test change what is measured, never the weights."""
    calibration, test = one_leg_is_noise(1), one_leg_is_noise(2)
    other = one_leg_is_noise(3)
    first, second = (
        label_budget(calibration, each, budgets=(30,), n_draws=20) for each in (test, other)
    )
    assert row_of(first, WAYS[0], 30)["text_weight"] == row_of(second, WAYS[0], 30)["text_weight"]


def test_budgets_above_what_there_is_are_left_out() -> None:
    table = label_budget(
        one_leg_is_noise(1, n_query=3, n_doc=12), one_leg_is_noise(2), budgets=(10, 1000), n_draws=2
    )
    assert set(table["n_labels"].dropna()) == {10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": (-1,)}, "expected budgets of 0 or more"),
        ({"n_draws": 0}, "expected budgets of 0 or more"),
        ({"references": [METHODS["platt, log-odds"]], "budgets": (0,)}, "is fitted on labels"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(MmgapError, match=message):
        label_budget(drawn(1), drawn(2), **{"n_draws": 2, **options})


def test_both_legs_are_needed() -> None:
    with pytest.raises(MmgapError, match="no image leg"):
        label_budget(drawn(1), without(drawn(2), "image"))
