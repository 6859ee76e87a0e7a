"""Pure noise in, chance out: what ranks, merges, reranks or advises finds nothing there.

Worlds without any signal: independent vectors; documents that lack a modality at random; a folder
of noise images and random words; real vectors with permuted judgments. Every query has one relevant
document, drawn at random: any ranking of n documents has recall@10 = 10 / n in expectation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binom

import mmgap as mg
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MissingLegWarning, MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.mitigate import MITIGATIONS
from mmgap.rerankers.base import RerankerInfo
from mmgap.strategies import (
    METHODS,
    TRIVIAL,
    TWO_STAGE,
    VERDICT_FAMILIES,
    MixedIndex,
    PairScorer,
    advise,
    choose_best,
    family_verdicts,
    judge,
    label_budget,
    leaderboard,
    rank_mixed_documents,
    recommended_family,
    run_strategies,
    single_modality_table,
    split_queries,
    two_stage_table,
    verdict_family,
)

K = 10
LEVEL = 0.05
"""Of all numbers of a table together."""


def at_chance(values: pd.Series, n_query: int, chance: float) -> list[str]:
    """Names whose recall lies outside the interval that chance gives to hits of n queries."""
    low, high = binom.interval(1 - LEVEL / len(values), n_query, chance)
    return [
        f"{name}: {value:.3f}, chance {chance:.3f} in [{low / n_query:.3f}, {high / n_query:.3f}]"
        for name, value in values.items()
        if not low <= value * n_query <= high
    ]


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def noise(n: int = 240, dim: int = 16, keep: float = 1.0) -> Vectors:
    """Independent vectors; each modality is kept by so many documents, at random."""
    rng = np.random.default_rng(1)
    corpus = Corpus(
        "noise",
        [Document(f"d{at}") for at in range(n)],
        [Query(f"q{at}", "") for at in range(n)],
        Qrels(Judgment(f"q{at}", f"d{to}", 1) for at, to in enumerate(rng.permutation(n))),
    )
    has = {leg: np.sort(rng.permutation(n)[: round(keep * n)]) for leg in ("text", "image")}
    legs = {leg: Leg(rows, unit(rng, len(rows), dim)) for leg, rows in has.items()}
    info = EncoderInfo("noise", "noise", "test", dim)
    return Vectors(corpus, info, unit(rng, n, dim), legs)


def pairs(n: int = 240) -> Vectors:
    """Embeddings whose queries are the documents' own texts."""
    rng = np.random.default_rng(2)
    return mg.embed(mg.load_features(unit(rng, n, 16), unit(rng, n, 16), name="noise pairs"))


def folder(path: Path, *, own_texts: bool, n: int = 60) -> Vectors:
    """Noise images with random words through mini-clip; queries are other random words."""
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(200)]
    for at in range(n):
        image = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        image.save(path / f"{at:03d}.png")
        (path / f"{at:03d}.txt").write_text(" ".join(rng.choice(words, 4)), encoding="utf-8")
    if not own_texts:
        asked = [{"id": f"q{at}", "text": " ".join(rng.choice(words, 4))} for at in range(n)]
        lines = "\n".join(json.dumps(each) for each in asked)
        (path / "queries.jsonl").write_text(lines, encoding="utf-8")
        judged = [f"q{at}\t0\t{to:03d}\t1" for at, to in enumerate(rng.permutation(n))]
        (path / "qrels.tsv").write_text("\n".join(judged), encoding="utf-8")
    return mg.embed(mg.load_corpus(path), mg.load_encoder("mini-clip"), progress=False)


def permuted(n: int = 60) -> Vectors:
    """A slice of the bundled corpus with judgments that mean nothing."""
    rng = np.random.default_rng(4)
    whole = mg.load_corpus("pictograms", split="test", condition="style")
    documents = whole.documents[:: len(whole.documents) // n][:n]
    queries = whole.queries[:: len(whole.queries) // n][:n]
    qrels = Qrels(
        Judgment(query.id, documents[to].id, 1)
        for query, to in zip(queries, rng.permutation(n), strict=True)
    )
    corpus = Corpus("permuted", documents, queries, qrels)
    return mg.embed(corpus, mg.load_encoder("mini-clip"), progress=False)


WORLDS: dict[str, Callable[[Path], Vectors]] = {
    "vectors": lambda _: noise(),
    "missing": lambda _: noise(keep=0.7),
    "folder": lambda path: folder(path, own_texts=False),
    "permuted": lambda _: permuted(),
}
HOLES: dict[str, Callable[[Path], Vectors]] = {
    "pairs": lambda _: pairs(),
    "plain folder": lambda path: folder(path, own_texts=True),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Vectors]:
    """Vectors by the name of their world, made once."""
    return cache(lambda name: {**WORLDS, **HOLES}[name](tmp_path_factory.mktemp("world")))


@pytest.fixture(params=list(WORLDS))
def world(request: pytest.FixtureRequest, made: Callable[[str], Vectors]) -> Vectors:
    return made(request.param)


@pytest.fixture(params=list(HOLES))
def hole(request: pytest.FixtureRequest, made: Callable[[str], Vectors]) -> Vectors:
    return made(request.param)


class NoiseReranker:
    """Scores that say nothing of a pair."""

    info = RerankerInfo("noise", "noise", "test", "noise in [0, 1]", ("text-text", "text-image"))

    def score(self, pairs: list, *, batch_size: int = 8) -> np.ndarray:  # noqa: ARG002
        return np.random.default_rng(len(pairs)).random(len(pairs)).astype(np.float32)


def check_leaderboard(vectors: Vectors) -> None:
    calibration, test = split_queries(vectors, seed=5)
    table = leaderboard(calibration, test, measures=[f"recall@{K}"])
    table = table[table["measure"] == f"recall@{K}"].set_index("method")
    n_query, n_doc = len(test.corpus.queries), len(test.corpus.documents)
    assert at_chance(table["value"], n_query, K / n_doc) == []
    assert table.index[table["p_holm"] < 0.05].tolist() == []
    assert set(table.index) == set(METHODS)


def test_no_method_finds_more_than_chance(world: Vectors) -> None:
    check_leaderboard(world)


def test_no_simple_strategy_finds_more_than_chance(world: Vectors) -> None:
    runs = run_strategies(world, TRIVIAL)
    table = mg.recall_table(runs, world.corpus.qrels, k=K, measures=[f"recall@{K}"])
    n = len(world.corpus.documents)
    assert at_chance(table.set_index("strategy")["value"], len(world.corpus.queries), K / n) == []


@pytest.mark.parametrize("world", ["folder", "permuted"], indirect=True)
def test_no_reranked_strategy_finds_more_than_chance(world: Vectors) -> None:
    table = two_stage_table(world, NoiseReranker(), TWO_STAGE).set_index("strategy")
    n = len(world.corpus.documents)
    assert (table["note"] == "").all()
    assert at_chance(table["value"], len(world.corpus.queries), K / n) == []
    assert not (table["p_holm"] < 0.05).any()


def test_labels_do_not_help(world: Vectors) -> None:
    calibration, test = split_queries(world, seed=5)
    table = label_budget(calibration, test, n_draws=20, budgets=(0, 30, 300))
    n = len(world.corpus.documents)
    values = table.set_index(["method", "n_labels"])["value"]
    assert at_chance(values, len(test.corpus.queries), K / n) == []


@pytest.mark.parametrize("n_labels", [0, None])
@pytest.mark.parametrize("world", ["vectors", "folder"], indirect=True)
def test_no_merge_is_advised(world: Vectors, n_labels: int | None) -> None:
    calibration, test = split_queries(world, seed=5)
    found = advise(calibration, test, n_labels=n_labels)
    assert found.method in ("text leg", "image leg")
    assert f"a random order of the documents {100 * K / len(world.corpus.documents):.1f} %" in (
        found.to_text()
    )
    assert not (found.table["p_holm"] < 0.05).any()


@pytest.mark.parametrize("world", ["folder"], indirect=True)
def test_no_family_wins(world: Vectors) -> None:
    calibration, test = split_queries(world, seed=5)
    first = {method.family: method for method in reversed(METHODS.values())}
    families = ("raw", "normalised", "calibrated", "fused", "learned")
    chosen = [*(first[family] for family in families), TWO_STAGE[-1]]
    scorers = [PairScorer(part, NoiseReranker(), cache=False) for part in (calibration, test)]
    measured = {"measures": [f"recall@{K}"]}
    known = judge(chosen, calibration, folds=5, reranker=scorers[0], **measured)
    n = len(world.corpus.documents)
    assert at_chance(known.by_query().mean(), len(calibration.corpus.queries), K / n) == []
    best = {
        family: choose_best(known, [c.name for c in chosen if verdict_family(c) == family])
        for family in VERDICT_FAMILIES
    }
    judged = judge(chosen, test, calibration, reranker=scorers[1], **measured)
    rows = family_verdicts({"noise": judged}, {"noise": best}, n_resamples=2000)
    assert not (rows["p_holm"] < 0.05).any()
    assert recommended_family(rows) == VERDICT_FAMILIES[0]


@pytest.mark.parametrize("world", ["vectors", "folder", "permuted"], indirect=True)
def test_no_mitigation_finds_more_than_chance_in_one_index(world: Vectors) -> None:
    test, calibration = split_queries(world, seed=5)
    index = MixedIndex.of(test, calibration, "image")
    found = {
        name: index.judge(index.fit(mitigation), K).merged.mean()
        for name, mitigation in MITIGATIONS.items()
    }
    n = len(world.corpus.documents)
    values = pd.Series(found).clip(lower=K / n)  # no more than the images alone
    assert at_chance(values, len(test.corpus.queries), K / n) == []


@pytest.mark.parametrize("world", ["vectors", "folder", "permuted"], indirect=True)
def test_no_method_finds_the_single_modality_more_than_chance(world: Vectors) -> None:
    world = replace(world, corpus=replace(world.corpus, queries=[
        replace(query, metadata={}) for query in world.corpus.queries
    ]))  # fmt: skip
    table = single_modality_table(*split_queries(world, seed=5))
    table = table[table["measure"] == f"recall@{K}"].set_index(["method", "direction"])
    n, n_query = len(world.corpus.documents), int(table["n"].iloc[0])
    # A method may favour a modality, but no more than searching that one alone does.
    assert at_chance(table["value"].clip(lower=K / n), n_query, K / n) == []


# Queries that are their own documents' texts: the relevant pair alone lacks its text score


def test_a_hole_refuses_every_merge(hole: Vectors) -> None:
    halves = split_queries(hole)
    merges = {
        "leaderboard": lambda: leaderboard(*halves),
        "advise": lambda: advise(*halves),
        "label budget": lambda: label_budget(*halves),
        "verdict": lambda: judge([METHODS["raw, mean"]], halves[0], folds=5),
        "strategy": lambda: run_strategies(hole, TRIVIAL[2:]),
        "mixed documents": lambda: rank_mixed_documents(hole),
    }
    for merge in merges.values():
        with pytest.raises(
            MmgapError, match=r"no merge can be judged .* bring queries of your own"
        ):
            merge()


def test_a_hole_leaves_the_image_leg_at_chance(hole: Vectors) -> None:
    with pytest.warns(MissingLegWarning, match="no text leg can be ranked"):
        (run,) = run_strategies(hole, TRIVIAL)
    table = mg.recall_table([run], hole.corpus.qrels, k=K, measures=[f"recall@{K}"])
    n = len(hole.corpus.documents)
    assert at_chance(table.set_index("strategy")["value"], n, K / n) == []


def test_a_hole_leaves_the_images_of_one_index_at_chance(hole: Vectors) -> None:
    table = single_modality_table(*split_queries(hole))
    assert set(table["direction"]) == {"image"}
    table = table[table["measure"] == f"recall@{K}"].set_index("method")
    n = len(hole.corpus.documents)
    assert at_chance(table["value"].clip(lower=K / n), int(table["n"].iloc[0]), K / n) == []


def test_the_null_test_sees_a_hole(hole: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Vectors, "holes", {})
    with pytest.raises(AssertionError, match=r"more items, first extra item: '(raw|tmm), mean"):
        check_leaderboard(hole)
