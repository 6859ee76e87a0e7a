"""Two-stage strategies on a corpus small enough to rerank by hand, and by brute force."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_reranker import FakeReranker
from PIL import Image
from scipy.special import expit, logit

import mmgap as mg
from mmgap.corpus.features import load_features
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import CacheDamageWarning, EncoderError, MissingLegWarning, MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.rerankers import Content, Pair
from mmgap.scores.normalise import ZScoreNormaliser
from mmgap.strategies import (
    TWO_STAGE,
    PairScorer,
    Pool,
    Rerank,
    Strategy,
    judge,
    margin_threshold,
    raw_merge,
    rerank,
    run_strategies,
    two_stage_strategies,
)
from mmgap.strategies.rerank import FirstStage
from mmgap.strategies.strategy import OWN_LISTS, CostedRun

TEXT = {"t0": 0.10, "t1": 0.30, "t2": 0.20}
IMAGE = {0: 0.50, 1: 0.25, 2: 0.90, 3: 0.60}


BOTH = ("text", "image")


def reranked(
    name: str, view: str, legs: tuple[str, ...] = BOTH, depth: Any = 16, **options: Any
) -> Strategy:
    """So many documents of each leg, or of the merged list, reranked; ``tail``: others follow."""
    whole = {key: options.pop(key) for key in ("merge", "normaliser") if key in options}
    longest = max(depth) if isinstance(depth, tuple) else depth
    whole["depth"] = 100 if options.pop("tail", False) or "merge" in whole else longest
    return Strategy(name, legs, rerank=Rerank(view, depth, **options), **whole)


def costs(vectors: Vectors, rows: Sequence[Strategy], scorer: PairScorer) -> list[CostedRun]:
    return list(judge(rows, vectors, reranker=scorer).costed.values())


def first_stage(strategy: Strategy, given: Vectors | Pool) -> FirstStage:
    return strategy.fit(given).first_stage(given)


def rule(query: str, text: str | None, red: int | None) -> float:
    assert query == "x"
    if text is not None and red is not None:
        return (TEXT[text] + IMAGE[red]) / 4
    return IMAGE[red] if text is None else TEXT[text]


def unit(*angles_deg: float) -> np.ndarray:
    angles = np.deg2rad(angles_deg)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def cos(degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)))


def tiny(folder: Path) -> Vectors:
    """One query along the x axis; first-stage scores are cosines of the angles, in degrees.

    document   text   image    reranker: text, image
    d0          10     80                0.10   0.50
    d1          30     40                0.30   0.25
    d2          60     20                0.20   0.90     the relevant one
    d3          --     50                --     0.60
    """
    documents = []
    for place in range(4):
        path = folder / f"{place}.png"
        Image.new("RGB", (8, 4), (place, 0, 0)).save(path)
        text = f"t{place}" if place < 3 else None
        documents.append(Document(f"d{place}", text, ImageFile(path)))
    corpus = Corpus("tiny", documents, [Query("q", "x")], Qrels([Judgment("q", "d2", 1)]))
    legs = {
        "text": Leg(np.arange(3), unit(10, 30, 60)),
        "image": Leg(np.arange(4), unit(80, 40, 20, 50)),
    }
    return Vectors(corpus, EncoderInfo("angles", "angles", "hand", 2), unit(0), legs)


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return tiny(tmp_path)


@pytest.fixture
def reranker() -> FakeReranker:
    return FakeReranker(rule)


def rank(vectors: Vectors, reranker: FakeReranker | None, strategy: Strategy) -> dict[str, float]:
    (run,) = run_strategies(vectors, [strategy], reranker=reranker, cache=False)
    return dict(run.top("q", 10))


def calls(vectors: Vectors, reranker: FakeReranker, strategy: Strategy) -> int:
    (costed,) = [strategy.fit().run(vectors, PairScorer(vectors, reranker, cache=False))]
    assert int(costed.calls[0]) == len(reranker.asked) == len(set(reranker.asked))
    return int(costed.calls[0])


# --- what is reranked, and on what ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (reranked("", "text", ("text",), 2), {"d1": 0.3, "d0": 0.1}),
        (reranked("", "image", ("image",), 3), {"d2": 0.9, "d3": 0.6, "d1": 0.25}),
        # 1 + 1: d0 by its text, d2 by its image.
        (reranked("", "matching", depth=1), {"d2": 0.9, "d0": 0.1}),
        # 2 + 2: both legs find d1; the better of its two scores counts.
        (reranked("", "matching", depth=2), {"d2": 0.9, "d1": 0.3, "d0": 0.1}),
        (
            reranked("", "matching", ("image", "text"), 2, duplicates="first"),
            {"d2": 0.9, "d1": 0.25, "d0": 0.1},
        ),
        (reranked("", "average", depth=1), {"d2": 0.55, "d0": 0.3}),
        (reranked("", "fused", depth=1), {"d2": 1.1 / 4, "d0": 0.6 / 4}),
        # d3 has no text: one view is all there is.
        (reranked("", "average", ("image",), 3), {"d3": 0.6, "d2": 0.55, "d1": 0.275}),
        (reranked("", "fused", ("image",), 3), {"d3": 0.6, "d2": 0.275, "d1": 0.1375}),
    ],
)
def test_views(
    vectors: Vectors, reranker: FakeReranker, strategy: Strategy, expected: dict[str, float]
) -> None:
    found = rank(vectors, reranker, strategy)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("strategy", "n"),
    [
        (reranked("", "text", ("text",), 2), 2),
        (reranked("", "matching", depth=2), 4),
        (reranked("", "matching", depth=2, duplicates="first"), 3),
        (reranked("", "average", depth=2), 6),
        (reranked("", "fused", depth=2), 3),
        (reranked("", "average", ("image",), 3), 5),
        (reranked("", "average", depth=2, budget=3), 2),
        (reranked("", "text", ("image",), 2, cascade=("average", 1)), 3),
    ],
)
def test_calls_are_counted_once_a_pair(
    vectors: Vectors, reranker: FakeReranker, strategy: Strategy, n: int
) -> None:
    assert calls(vectors, reranker, strategy) == n
    assert strategy.max_calls >= n


def test_a_document_without_the_view_follows_the_reranked_ones(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    found = rank(vectors, reranker, reranked("", "text", ("image",), 3))
    assert list(found) == ["d1", "d2", "d3"]
    assert found["d3"] == pytest.approx(0.2 - 1)


def test_the_raw_merge_keeps_the_score_of_the_leg_that_found_it(vectors: Vectors) -> None:
    found = rank(vectors, None, raw_merge("", 1))
    assert found == pytest.approx({"d0": cos(10), "d2": cos(20)}, abs=1e-6)
    # d1 is found by both: its text is nearer. d3 has one leg alone.
    found = rank(vectors, None, Strategy("", depth=3, merge="max", sees=OWN_LISTS))
    expected = {"d0": cos(10), "d2": cos(20), "d1": cos(30), "d3": cos(50)}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-6)


def test_mean_before_and_after_the_sigmoid(vectors: Vectors) -> None:
    """Mean probability prefers one good view, mean logit two fair ones."""
    text = {"t0": 0.4, "t1": 0.5, "t2": 0.001}
    fake = FakeReranker(lambda _, t, red: text[t] if t else {0: 0.4, 1: 0.5, 2: 0.9999}[red])
    strategy = reranked("", "average", depth=1)
    after = rank(vectors, fake, strategy)
    before = rank(
        vectors, fake, replace(strategy, rerank=replace(strategy.rerank, average="before"))
    )
    assert after == pytest.approx({"d2": 0.50045, "d0": 0.4}, abs=1e-6)
    wanted = expit((logit(0.001) + logit(0.9999)) / 2)
    assert before == pytest.approx({"d2": wanted, "d0": 0.4}, abs=1e-4)

    logits = FakeReranker(lambda *pair: float(logit(fake.rule(*pair))), score="logit, unbounded")
    assert rank(vectors, logits, strategy) == pytest.approx(after, abs=1e-6)
    before = rank(
        vectors, logits, replace(strategy, rerank=replace(strategy.rerank, average="before"))
    )
    assert before == pytest.approx({"d2": logit(wanted), "d0": logit(0.4)}, abs=1e-4)


def test_probabilities_of_0_and_1_have_finite_logits(vectors: Vectors) -> None:
    fake = FakeReranker(lambda _, text, _red: 0.0 if text else 1.0)
    found = rank(vectors, fake, reranked("", "average", depth=1, average="before"))
    assert np.isfinite([*found.values()]).all()


def test_a_pair_left_out_is_not_shown(vectors: Vectors, reranker: FakeReranker) -> None:
    left_out = {"q": frozenset({("d1", "text")})}
    less = replace(vectors, corpus=replace(vectors.corpus, left_out=left_out))
    with pytest.raises(MmgapError, match="no merge can be judged"):
        rank(less, reranker, reranked("", "average", depth=3))
    found = rank(less, reranker, reranked("", "average", ("image",), depth=3))
    assert found
    assert all(text is None for _, text, _ in reranker.asked)


# --- budget, tail, margin, second pass -----------------------------------------------------------


def test_the_budget_is_spent_in_the_order_of_the_first_stage(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    # Legs in turn: d0 (text 1), d2 (image 1), d1 (text 2). Two calls each; three do for d0 alone.
    found = rank(vectors, reranker, reranked("", "average", depth=2, budget=3))
    assert list(found) == ["d0", "d2", "d1"]
    assert found["d0"] == pytest.approx(0.3)
    assert {asked[1:] for asked in reranker.asked} == {("t0", None), (None, 0)}
    found = rank(vectors, reranker, reranked("", "average", depth=2, budget=4))
    assert list(found) == ["d2", "d0", "d1"]
    none = rank(vectors, reranker, reranked("", "average", depth=2, budget=0))
    assert list(none) == ["d0", "d2", "d1"]


def test_the_tail_goes_on_where_the_candidates_end(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    short = rank(vectors, reranker, reranked("", "matching", depth=1))
    long = rank(vectors, reranker, reranked("", "matching", depth=1, tail=True))
    assert list(short) == ["d2", "d0"]
    assert list(long) == ["d2", "d0", "d1", "d3"]  # d1 is second in both legs, d3 third
    assert long["d2"] == short["d2"]


def test_what_is_not_reranked_follows_in_merged_order(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    merged = rank(vectors, None, Strategy("", merge="mean"))
    assert list(merged) == ["d1", "d2", "d3", "d0"]
    found = rank(vectors, reranker, reranked("", "average", depth=2, merge="mean"))
    assert list(found) == ["d2", "d1", "d3", "d0"]
    assert found == pytest.approx({"d2": 0.55, "d1": 0.275, "d3": -0.725, "d0": -1.725})
    # The raw merge by the largest score: d0's text and d2's image come first.
    found = rank(vectors, reranker, reranked("", "matching", depth=2, merge="max"))
    assert list(found)[:2] == ["d2", "d0"]
    assert found["d0"] == pytest.approx(0.1)


def test_equal_scores_stay_equal_in_the_tail(vectors: Vectors, reranker: FakeReranker) -> None:
    legs = {**vectors.legs, "text": Leg(np.arange(3), unit(30, 60, 60))}
    tied = replace(vectors, legs=legs)
    found = rank(tied, reranker, reranked("", "text", ("text",), 3, budget=1))
    assert found["d1"] == found["d2"] == pytest.approx(0.1 - 1)


def test_a_query_with_a_clear_winner_is_not_reranked(
    vectors: Vectors, reranker: FakeReranker
) -> None:
    stage = first_stage(reranked("", "text", ("text",), 3), vectors)
    margin = cos(10) - cos(30)
    assert stage.margins == pytest.approx([margin], abs=1e-6)
    sure = reranked("", "text", ("text",), 3, margin=margin - 0.01)
    assert list(rank(vectors, reranker, sure)) == ["d0", "d1", "d2"]
    assert not reranker.asked
    unsure = replace(sure, rerank=replace(sure.rerank, margin=margin + 0.01))
    assert list(rank(vectors, reranker, unsure)) == ["d1", "d2", "d0"]
    one = replace(vectors, legs={"text": Leg(np.arange(1), unit(10))})
    assert first_stage(sure, one).margins.tolist() == [np.inf]


def test_a_second_pass_looks_again_at_the_best(vectors: Vectors, reranker: FakeReranker) -> None:
    # By text: d1 .3, d2 .2, d0 .1. The first two again, by both views: d2 .55, d1 .275.
    strategy = reranked("", "text", ("text",), 3, cascade=("average", 2))
    found = rank(vectors, reranker, strategy)
    assert list(found) == ["d2", "d1", "d0"]
    assert found == pytest.approx({"d2": 0.55, "d1": 0.275, "d0": 0.275 - 1})
    assert len(reranker.asked) == 5  # three texts, then two images


# --- many queries, against brute force -----------------------------------------------------------


def noisy(n_query: int = 30, n_document: int = 40, seed: int = 0, name: str = "noisy") -> Vectors:
    rng = np.random.default_rng(seed)

    def rows(n: int) -> np.ndarray:
        values = rng.normal(size=(n, 5)).astype(np.float32)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    documents = [Document(f"d{at}", f"text {at}") for at in range(n_document)]
    queries = [Query(f"q{at}", f"query {at}") for at in range(n_query)]
    judged = [Judgment(f"q{at}", f"d{rng.integers(n_document)}", 1) for at in range(n_query)]
    positions = np.sort(rng.permutation(n_document)[: n_document - 5])
    legs = {
        "text": Leg(np.arange(n_document), rows(n_document)),
        "image": Leg(positions, rows(len(positions))),
    }
    corpus = Corpus(name, documents, queries, Qrels(judged))
    return Vectors(corpus, EncoderInfo("noise", "noise", "hand", 5), rows(n_query), legs)


def ranked(vectors: Vectors, leg: str, query: int) -> list[int]:
    scores = vectors.scores(leg)[query]
    return vectors.legs[leg].positions[np.argsort(-scores, kind="stable")].tolist()


@pytest.mark.parametrize("depth", [3, (2, 5), 20])
@pytest.mark.parametrize("backfill", [False, True])
def test_union_as_by_going_down_both_lists(depth: int | tuple[int, int], backfill: bool) -> None:
    vectors = noisy()
    strategy = reranked("", "text", depth=depth, backfill=backfill)
    stage = first_stage(strategy, Pool(vectors, strategy.search_depth + 7))
    n_text, n_image = strategy.rerank.depths(2)
    for query in range(len(vectors.queries)):
        lists = ranked(vectors, "text", query), ranked(vectors, "image", query)
        kept: list[int] = []
        # One document of each leg in turn; where the depths differ, evenly between them.
        turns = [(at / n_text, 0, document) for at, document in enumerate(lists[0])]
        turns += [(at / n_image, 1, document) for at, document in enumerate(lists[1])]
        for turn, leg, document in sorted(turns):
            within = turn < 1 - 1e-9
            last = turn * (n_text, n_image)[leg] >= n_text + n_image
            if document in kept or last or not (within or backfill):
                continue
            if len(kept) < n_text + n_image:
                kept.append(document)
        order = np.where(stage.chosen[query], stage.order[query], -np.inf)
        best = np.argsort(-order, kind="stable")[: stage.chosen[query].sum()]
        assert stage.candidates.documents[query, best].tolist() == kept
        if not backfill:
            assert set(kept) == {*lists[0][:n_text], *lists[1][:n_image]}
        elif n_text + n_image <= 35:
            assert len(kept) == n_text + n_image


def test_results_do_not_depend_on_what_else_is_run() -> None:
    vectors = noisy()
    strategies = [
        *two_stage_strategies(depth=4)[:3],
        Strategy("mean", merge="mean", depth=6),
        Strategy("z", merge="mean", normaliser="z", depth=6),
        Strategy("rrf", merge="rrf", depth=6),
    ]
    deep = raw_merge("deep", 30)
    for one, other in zip(
        run_strategies(vectors, strategies),
        run_strategies(vectors, [*strategies, deep]),
        strict=False,
    ):
        for query_id in vectors.corpus.query_ids:
            assert one.top(query_id, 50) == pytest.approx(other.top(query_id, 50))


def test_bank_scores_come_from_the_calibration_vectors() -> None:
    vectors, calibration = noisy(), noisy(seed=1, name="calibration")
    strategy = Strategy("z", merge="mean", normaliser="reference z")
    (run,) = run_strategies(vectors, [strategy], calibration=calibration)
    total = np.zeros((len(vectors.queries), 40))
    count = np.zeros(40)
    for leg in ("text", "image"):
        bank = calibration.scores(leg).reshape(-1, 1)
        scale = ZScoreNormaliser(reference="calibration").fit(bank)
        scores = scale.transform(vectors.scores(leg).astype(np.float64))
        total[:, vectors.legs[leg].positions] += scores
        count[vectors.legs[leg].positions] += 1
    by_hand = total / count
    for row, query_id in enumerate(vectors.corpus.query_ids):
        top = {f"d{at}": by_hand[row, at] for at in np.argsort(-by_hand[row])[:10]}
        assert run.top(query_id, 10) == pytest.approx(top, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"merge": "convex"}, {"merge": "mean", "normaliser": "platt"}],
)
def test_fitted_merges_run_and_need_calibration(options: dict[str, str]) -> None:
    vectors, strategy = noisy(), Strategy("fitted", **options)
    (run,) = run_strategies(vectors, [strategy], calibration=noisy(seed=1))
    assert np.isfinite(run.scores[:, :10]).all()
    with pytest.raises(MmgapError, match="'fitted' is fitted on labelled calibration pairs"):
        run_strategies(vectors, [strategy])


def test_the_margin_is_the_quantile_of_the_calibration_margins() -> None:
    calibration, strategy = noisy(seed=1), reranked("", "text", merge="mean")
    found = first_stage(strategy, calibration).margins
    for share in (0.0, 0.25, 0.5):
        threshold = margin_threshold(calibration, strategy, share)
        assert np.mean(found < threshold) == pytest.approx(share, abs=1 / 30)
    assert margin_threshold(calibration, strategy, 1) == np.inf
    with pytest.raises(MmgapError, match="fraction is 2"):
        margin_threshold(calibration, strategy, 2)


# --- each pair once ------------------------------------------------------------------------------


def random_rule(query: str, text: str | None, red: int | None) -> float:
    return (hash((query, text, red)) % 1000) / 1000


ROWS = (
    reranked("a", "text", ("text",), 8),
    reranked("b", "text", ("image",), 8),
    reranked("c", "text", depth=4),
    reranked("d", "text", ("text",), 4, cascade=("text", 2)),
)


def wanted_pairs(vectors: Vectors) -> set[tuple[str, str, None]]:
    pairs = set()
    for query in range(len(vectors.queries)):
        for leg in ("text", "image"):
            pairs |= {
                (f"query {query}", f"text {at}", None) for at in ranked(vectors, leg, query)[:8]
            }
    return pairs


def test_rows_share_their_calls() -> None:
    vectors, fake = noisy(), FakeReranker(random_rule)
    run_strategies(vectors, ROWS, reranker=fake, cache=False)
    assert len(fake.asked) == len(set(fake.asked))
    assert set(fake.asked) == wanted_pairs(vectors)


def test_a_stopped_run_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "_CHUNK", 10)
    vectors = noisy()
    whole = run_strategies(vectors, ROWS, reranker=FakeReranker(random_rule), cache=False)
    stopped = FakeReranker(random_rule, stop_after=101)
    with pytest.raises(KeyboardInterrupt):
        run_strategies(vectors, ROWS, reranker=PairScorer(vectors, stopped, cache=tmp_path))
    again = FakeReranker(random_rule)
    runs = run_strategies(vectors, ROWS, reranker=PairScorer(vectors, again, cache=tmp_path))
    # The 101st pair belongs to a lot of which nothing came back.
    assert set(stopped.asked[:100]).isdisjoint(again.asked)
    assert {*stopped.asked[:100], *again.asked} == wanted_pairs(vectors)
    assert len(again.asked) == len(wanted_pairs(vectors)) - 100
    for one, other in zip(whole, runs, strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.scores, other.scores)
    third = FakeReranker(random_rule)
    costed = costs(vectors, ROWS, PairScorer(vectors, third, cache=tmp_path))
    assert not third.asked
    assert all((each.rerank_seconds > 0).all() for each in costed)  # times are kept as well


def test_a_killed_process_loses_the_lot_it_was_at(tmp_path: Path) -> None:
    """SIGKILL: no Python code runs any more, so what counts is what lies on disk."""
    log = tmp_path / "asked.jsonl"
    code = textwrap.dedent(
        """
        import json, sys, time
        from pathlib import Path
        from test_rerank import ROWS, FakeReranker, noisy, run_strategies
        from mmgap.strategies import PairScorer, rerank
        rerank._CHUNK = 10
        folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
        lot = []
        class Slow(FakeReranker):
            def score(self, pairs, **options):
                begun = len(self.asked)
                scores = super().score(pairs)
                time.sleep(seconds)
                with (folder / "asked.jsonl").open("a") as file:
                    file.write("".join(json.dumps(a) + chr(10) for a in self.asked[begun:]))
                if seconds and len(self.asked) >= 60:
                    time.sleep(600)  # these pairs were scored, and never written
                return scores
        vectors = noisy()
        fake = Slow(lambda query, text, red: len(query + text) / 100)
        scorer = PairScorer(vectors, fake, cache=folder / "cache")
        run_strategies(vectors, ROWS, reranker=scorer)
        """
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    paths = [str(Path(mg.__file__).parents[1]), str(Path(__file__).parent)]
    import os

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen([*command, "0.01"], env=environment)
    limit = time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < 60:
        assert process.poll() is None, "the run ended before it was killed"
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    first = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    assert len(first) == 60
    log.unlink()
    subprocess.run([*command, "0"], env=environment, check=True, timeout=120)
    second = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    assert set(first[:50]).isdisjoint(second)
    assert set(first[50:]) <= set(second)
    assert len(second) == len(wanted_pairs(noisy())) - 50


def test_scores_are_found_by_content_and_fingerprint(tmp_path: Path) -> None:
    vectors = noisy()

    def n_asked(vectors: Vectors, fake: FakeReranker, **options: int) -> int:
        scorer = PairScorer(vectors, fake, cache=tmp_path, **options)
        run_strategies(vectors, ROWS, reranker=scorer)
        assert scorer.n_new == len(fake.asked)
        return len(fake.asked)

    n = len(wanted_pairs(vectors))
    assert n_asked(vectors, FakeReranker(random_rule)) == n
    assert n_asked(vectors, FakeReranker(random_rule)) == 0
    assert n_asked(vectors, FakeReranker(random_rule, fingerprint="fake 2")) == n
    assert n_asked(vectors, FakeReranker(random_rule), image_side=64) == n
    # The same texts under other ids in another corpus are the same pairs; one changed text is not.
    documents = [replace(each, id=f"other {each.id}") for each in vectors.corpus.documents]
    judged = [
        Judgment(q, f"other {d}", 1) for q in vectors.corpus.qrels for d in vectors.corpus.qrels[q]
    ]
    other = Corpus("other", documents, vectors.corpus.queries, Qrels(judged))
    assert n_asked(replace(vectors, corpus=other), FakeReranker(random_rule)) == 0
    at = ranked(vectors, "text", 0)[0]
    documents[at] = replace(documents[at], text="a new text")
    changed = replace(vectors, corpus=replace(other, documents=documents))
    fake = FakeReranker(random_rule)
    assert n_asked(changed, fake) == sum(
        text == f"text {at}" for _, text, _ in wanted_pairs(vectors)
    )
    assert {text for _, text, _ in fake.asked} == {"a new text"}


def test_documents_that_show_the_same_share_a_call_and_a_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "_CHUNK", 16)
    vectors = noisy(n_query=20)
    documents = [
        replace(each, text=f"text {at % 7}") for at, each in enumerate(vectors.corpus.documents)
    ]
    vectors = replace(vectors, corpus=replace(vectors.corpus, documents=documents))
    noise = np.random.default_rng(0)
    fake = FakeReranker(lambda *_: 0.5 + 1e-6 * noise.random(), score="logit, unbounded")

    def ranked_by_text() -> list[float]:
        scorer = PairScorer(vectors, fake, cache=tmp_path)
        (run,) = run_strategies(vectors, [reranked("t", "text", ("text",), 40)], reranker=scorer)
        text = np.where(run.indices < 0, -1, run.indices % 7)
        for row in range(20):
            for each in range(7):
                assert len({*run.scores[row][text[row] == each].tolist()}) == 1
        return run.scores.tolist()

    first = ranked_by_text()
    assert len(fake.asked) == len(set(fake.asked)) == 20 * 7
    assert ranked_by_text() == first
    assert len(fake.asked) == 20 * 7


def test_what_is_read_ahead_costs_no_query_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(rerank, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Ahead(FakeReranker):
        ahead: list[str | None]

        def read_ahead(self, documents: Sequence[Content]) -> None:
            self.ahead += [each.text for each in documents]
            clock.now += 5

        def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
            assert {pair.document.text for pair in pairs} <= set(self.ahead)
            clock.now += 1
            return super().score(pairs, batch_size=batch_size)

    vectors, fake = noisy(), Ahead(lambda *_: 0.5)
    fake.ahead = []
    scorer = PairScorer(vectors, fake, cache=False)
    (costed,) = costs(vectors, [reranked("t", "text", ("text",), 4)], scorer)
    assert costed.calls.sum() == 30 * 4
    assert costed.rerank_seconds.sum() == pytest.approx(1, rel=1e-5)


def test_pictures_are_pairs_of_their_own(vectors: Vectors, tmp_path: Path) -> None:
    def asked(vectors: Vectors, view: str) -> set:
        fake = FakeReranker(lambda *_: 0.5)
        scorer = PairScorer(vectors, fake, cache=tmp_path / "cache")
        run_strategies(vectors, [reranked("", view, depth=2)], reranker=scorer)
        return {each[1:] for each in fake.asked}

    assert asked(vectors, "text") == {("t0", None), ("t1", None), ("t2", None)}
    assert asked(vectors, "image") == {(None, 0), (None, 1), (None, 2)}
    assert asked(vectors, "average") == set()
    assert asked(vectors, "fused") == {("t0", 0), ("t1", 1), ("t2", 2)}
    Image.new("RGB", (8, 4), (200, 0, 0)).save(tmp_path / "1.png")
    assert asked(vectors, "average") == {(None, 200)}


def test_damage_is_noticed_and_mended(tmp_path: Path) -> None:
    vectors = noisy()
    run_strategies(vectors, ROWS, reranker=FakeReranker(random_rule), cache=tmp_path)
    part = max(tmp_path.rglob("part-*.npy"), key=lambda path: path.stat().st_size)
    part.write_bytes(part.read_bytes()[:-1])
    fake = FakeReranker(random_rule)
    with pytest.warns(CacheDamageWarning, match="cut short or altered"):
        run_strategies(vectors, ROWS, reranker=fake, cache=tmp_path)
    assert 0 < len(fake.asked) < len(wanted_pairs(vectors))
    assert not list(tmp_path.rglob("*.tmp"))


def test_cost_adds_up(vectors: Vectors, reranker: FakeReranker) -> None:
    (costed,) = costs(
        vectors,
        [reranked("", "average", depth=1)],
        PairScorer(vectors, reranker, cache=False, image_side=4),
    )
    # Two documents: "x" and "t0" are a token each by the rule of thumb; images shrink to 4 x 2.
    assert costed.calls.tolist() == [4]
    assert costed.tokens.tolist() == [4 + 2]
    assert costed.pixels.tolist() == [2 * 8]
    assert costed.rerank_seconds[0] > 0


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"legs": ()}, "expected one or more names"),
        ({"view": "smell"}, "reranks on 'smell'; choose from"),
        ({"depth": 0}, "has depth 0"),
        ({"depth": (1, 2, 3)}, "one number for each of 2 legs"),
        ({"depth": (1, 2), "merge": "mean"}, "a single number with merge"),
        ({"duplicates": "both"}, "has duplicates='both'"),
        ({"average": "during"}, "has average='during'"),
        ({"merge": "median"}, "merges by 'median'"),
        ({"merge": "mean", "normaliser": "nothing"}, "normalises by 'nothing'"),
        ({"normaliser": "z"}, "normalises without a merge"),
        ({"merge": "mean", "backfill": True}, "no quotas that could be backfilled"),
        ({"merge": "mean", "legs": ("text",)}, "nothing to merge"),
        ({"budget": -1}, "a budget of -1 calls"),
        ({"margin": 0.1}, "add merge="),
        ({"cascade": ("smell", 3)}, "reranks on 'smell'"),
        ({"cascade": ("text", 0)}, "reranks to the depths"),
    ],
)
def test_impossible_strategies_are_refused(options: dict, message: str) -> None:
    with pytest.raises(MmgapError, match=f"strategy 'bad' .*{message}"):
        reranked("bad", **{"view": "average", **options})


def test_reranking_needs_a_reranker_that_reads_the_view(vectors: Vectors, tmp_path: Path) -> None:
    with pytest.raises(MmgapError, match="strategy 'r' cannot be run: no reranker was given"):
        run_strategies(vectors, [reranked("r", "average", depth=1)])
    texts = FakeReranker(rule, modalities=["text-text"])
    with pytest.raises(MmgapError, match="fake reads no image of a document"):
        rank(vectors, texts, reranked("r", "average", depth=1))
    for wrong in (float("nan"), float("inf")):
        broken = FakeReranker(lambda *_, wrong=wrong: wrong)
        with pytest.raises(EncoderError, match=r"gave scores .* not finite"):
            rank(vectors, broken, reranked("r", "average", depth=1))
    with pytest.raises(MmgapError, match="image_side is 0"):
        PairScorer(vectors, texts, image_side=0)
    rng = np.random.default_rng(0)
    for side in ("image", "text"):
        np.save(tmp_path / f"{side}.npy", rng.normal(size=(6, 4)))
    text = np.load(tmp_path / "text.npy")
    features = mg.embed(load_features(tmp_path / "image.npy", text, text + 0.1))
    with pytest.raises(MmgapError, match="nothing that a reranker could read"):
        run_strategies(features, [reranked("r", "average", depth=1)], reranker=FakeReranker(rule))
    assert len(run_strategies(features, TWO_STAGE[:3])) == 3


def test_a_missing_leg_is_named(vectors: Vectors, reranker: FakeReranker) -> None:
    info = EncoderInfo("words", "words", "hand", 2, modalities=("text",))
    text_only = Vectors(vectors.corpus, info, vectors.queries, {"text": vectors.text})
    rows = [reranked("t", "text", ("text",), 2), reranked("i", "image", ("image",), 2)]
    with pytest.warns(MissingLegWarning, match="no image leg, so left out: i"):
        (run,) = run_strategies(text_only, rows, reranker=reranker, cache=False)
    assert run.name == "t"
    # An encoder of texts alone, and a reranker that sees the images all the same.
    found = rank(text_only, reranker, reranked("", "image", ("text",), 2))
    assert found == pytest.approx({"d0": 0.5, "d1": 0.25})
