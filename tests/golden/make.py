"""Small tables of what commands and notebooks compute: ``python tests/golden/make.py [NAME ...]``.

The corpus is a slice of the pictograms: 200 documents and 136 queries with the vectors that
mini-clip gave them (``slice.npz``), so that no encoder runs; a reranker by a fixed rule reads
them. ``real_models`` is the one path through mini-clip and mini-reranker. Every function below
makes the tables whose names begin with its own; :mod:`test_golden` compares them.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from PIL import Image
from typer.testing import CliRunner

import mmgap as mg

HERE = Path(__file__).parent
TABLES = HERE / "tables"
Made = dict[str, pd.DataFrame]
MAKERS: dict[str, Callable[[World], Made]] = {}


def maker(function: Callable[[World], Made]) -> Callable[[World], Made]:
    MAKERS[function.__name__] = function
    return function


class World:
    """The slice as a folder, an encoder and a reranker that look up its vectors."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.slice = dict(np.load(HERE / "slice.npz"))
        self.source = mg.load_corpus("pictograms", split="test", condition="style")
        self.folder = self._write_folder(root / "slice")
        for side in ("images", "texts"):
            np.save(root / f"{side}.npy", self.slice[side].astype(np.float32))

    def _write_folder(self, folder: Path) -> Path:
        folder.mkdir()
        documents = {doc.id: doc for doc in self.source.documents}
        queries = {query.id: query for query in self.source.queries}
        self.texts, self.asked, rows = {}, {}, {"documents": [], "queries": []}
        for at, doc_id in enumerate(self.slice["doc_ids"]):
            doc, image = documents[doc_id], f"{at}.png"
            Image.new("RGB", (6, 6), (at, 7, 9)).save(folder / image)
            self.texts[doc.text] = self.slice["texts"][at]
            kept = {key: doc.metadata[key] for key in ("domain", "cluster")}
            rows["documents"].append({"id": doc.id, "text": doc.text, "image": image, **kept})
        judged = []
        for at, query_id in enumerate(self.slice["query_ids"]):
            query = queries[query_id]
            self.asked[query.text] = self.slice["queries"][at]
            kept = {key: query.metadata[key] for key in ("query_class", "phrasing", "domain")}
            rows["queries"].append({"id": query.id, "text": query.text, **kept})
            for doc_id, grade in self.source.qrels[query_id].items():
                if doc_id in set(self.slice["doc_ids"]):
                    judged.append(f"{query_id}\t0\t{doc_id}\t{grade}\n")
        for name, records in rows.items():
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        (folder / "qrels.tsv").write_text("".join(judged), encoding="utf-8")
        return folder

    @functools.cached_property
    def vectors(self) -> Any:
        return mg.embed(mg.load_corpus(self.folder), SliceEncoder(self), progress=False)

    @functools.cached_property
    def halves(self) -> tuple[Any, Any]:
        """Calibration and test queries."""
        from mmgap.strategies import split_queries

        return split_queries(self.vectors)

    @functools.cached_property
    def matrices(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Text and image scores and their relevance, of calibration and of test queries."""
        from mmgap.strategies import relevance

        found = []
        for half in self.halves:
            scores = [np.asarray(half.scores(leg), dtype=float) for leg in ("text", "image")]
            good = np.asarray(relevance(half))
            found.append((*scores, good, good))
        return tuple(found)

    @property
    def pair(self) -> tuple[np.ndarray, np.ndarray]:
        """Image and text vectors of the same documents."""
        return self.vectors.image.embeddings, self.vectors.text.embeddings

    def command(self, *arguments: str, encoder: bool = True) -> Made:
        """Run a command and read the CSV files that it wrote."""
        out = Path(tempfile.mkdtemp(dir=self.root))
        whole = [*map(str, arguments), "--out", str(out)]
        if encoder:
            whole += ["--corpus", str(self.folder), "--encoder", "mini-clip"]
        to_csv = pd.DataFrame.to_csv
        precise = functools.partialmethod(_to_precise_csv, to_csv)
        with (
            mock.patch("mmgap.encoders.load_encoder", return_value=SliceEncoder(self)),
            mock.patch("mmgap.rerankers.load_reranker", return_value=SliceReranker(self)),
            mock.patch.object(pd.DataFrame, "to_csv", precise),
        ):
            return {path.stem: pd.read_csv(path) for path in run(whole, out)}


def run(arguments: Sequence[str], out: Path) -> list[Path]:
    from mmgap.cli import app

    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return sorted(out.glob("*.csv"))


def _to_precise_csv(table: pd.DataFrame, to_csv: Any, path: Path, **options: Any) -> Any:
    return to_csv(table, path, **{**options, "float_format": "%.12g"})


class SliceEncoder:
    """The vectors of the slice, by text and by the red of an image."""

    def __init__(self, world: World) -> None:
        from mmgap.encoders.base import EncoderInfo

        self.world, self.info = world, EncoderInfo("slice", "slice 1", "test", 256)

    def encode_text(self, texts: list[str], *, role: str = "document", **_: Any) -> np.ndarray:
        known = self.world.asked if role == "query" else self.world.texts
        both = {**self.world.texts, **self.world.asked, **known}
        return np.stack([both[text] for text in texts]).astype(np.float32)

    def encode_images(self, images: list[Image.Image], **_: Any) -> np.ndarray:
        reds = [image.convert("RGB").getpixel((0, 0))[0] for image in images]
        return self.world.slice["images"][reds].astype(np.float32)


class SliceReranker:
    """Sees the first half of the vectors' dimensions, and no gap between the modalities."""

    def __init__(self, world: World) -> None:
        from mmgap.rerankers.base import RerankerInfo

        kinds = ("text-text", "text-image", "text-fused")
        self.world = world
        self.info = RerankerInfo("rule", "rule 1", "test", "sigmoid(logit), in [0, 1]", kinds)

    def score(self, pairs: Sequence[Any], **_: Any) -> np.ndarray:
        return np.asarray([self._score(*pair) for pair in pairs], dtype=np.float32)

    def _score(self, query: Any, document: Any) -> float:
        asked, logits = self.world.asked[query.text][:128].astype(float), []
        if document.text is not None:
            logits.append(60 * (asked @ self.world.texts[document.text][:128] - 0.25))
        if document.image is not None:
            red = document.image.convert("RGB").getpixel((0, 0))[0]
            logits.append(60 * (asked @ self.world.slice["images"][red][:128] - 0.25))
        return float(1 / (1 + np.exp(-max(logits))))


# The commands.


@maker
def report(world: World) -> Made:
    return world.command("report")


@maker
def gap(world: World) -> Made:
    return world.command("gap")


@maker
def gap_of_arrays(world: World) -> Made:
    pair = f"{world.root / 'images.npy'},{world.root / 'texts.npy'}"
    return world.command("gap", "--corpus", pair, encoder=False)


@maker
def report_of_arrays(world: World) -> Made:
    pair = f"{world.root / 'images.npy'},{world.root / 'texts.npy'}"
    return world.command("report", "--corpus", pair, encoder=False)


@maker
def single_modality_of_arrays(world: World) -> Made:
    pair = f"{world.root / 'images.npy'},{world.root / 'texts.npy'}"
    return world.command("single-modality", "--corpus", pair, encoder=False)


@maker
def leaderboard(world: World) -> Made:
    return world.command("leaderboard", "--by", "query_class")


@maker
def single_modality(world: World) -> Made:
    return world.command("single-modality")


@maker
def label_budget(world: World) -> Made:
    return world.command("label-budget", "--draws", "5")


@maker
def threshold(world: World) -> Made:
    made = {}
    for name, target in (("precision", "0.4"), ("false-positive-rate", "0.01")):
        table = world.command("threshold", f"--{name}", target)["threshold"]
        made[f"threshold_{name.replace('-', '_')}"] = table
    return made


@maker
def two_stage(world: World) -> Made:
    made = world.command("table", "two-stage", "--reranker", "rule")
    return {"two_stage": made["two_stage"]}


@maker
def advise(world: World) -> Made:
    options = ["--labels", "300", "--reranker", "rule", "--budget-ms", "1000"]
    return world.command("advise", *options)


@maker
def real_models(world: World) -> Made:
    """mini-clip and mini-reranker on 20 documents; other machines round otherwise."""
    small = world.source.sample(12)
    vectors = mg.embed(small, mg.load_encoder("mini-clip"), progress=False)
    from mmgap.strategies import PairScorer, two_stage_strategies, two_stage_table

    scorer = PairScorer(vectors, mg.load_reranker("mini-reranker"))
    scores = pd.DataFrame({leg: vectors.scores(leg)[:3].ravel() for leg in ("text", "image")})
    table = two_stage_table(vectors, scorer, two_stage_strategies(depth=8), measure="recall@1")
    return {"real_scores": scores, "real_two_stage": table}


# What the notebooks print.


@maker
def distributions(world: World) -> Made:
    from mmgap.strategies import merged_text_fraction, score_contrasts

    found = mg.score_distributions(world.vectors)
    return {
        "distributions": found.to_frame(),
        "contrasts": score_contrasts(world.vectors, rng=np.random.default_rng(0)),
        "text_fraction": pd.DataFrame({"value": merged_text_fraction(world.vectors, 10)}),
    }


@maker
def differences(world: World) -> Made:
    from mmgap.evaluation import difference_table

    corpus, runs = world.vectors.corpus, mg.run_strategies(world.vectors)
    classes = corpus.query_frame()["query_class"]
    rng = np.random.default_rng
    return {
        "recall_by_class": mg.recall_table(runs, corpus.qrels, k=5, by=classes, rng=rng(0)),
        "differences": difference_table(
            runs, corpus.qrels, "image leg", by=classes, n_resamples=500, rng=rng(0)
        ),
    }


@maker
def merge_loss(world: World) -> Made:
    from mmgap.scores import (
        decompose_merge_loss,
        dominance_by_query,
        rank_inflation,
        wrong_modality,
    )

    bank, test = world.matrices
    lost = decompose_merge_loss(
        *test, reference_text_scores=bank[0], reference_image_scores=bank[1], k=5, n_neighbours=8
    )
    inflated, first = rank_inflation(*test), wrong_modality(*test)
    by_query = {"dominance": dominance_by_query(*test[:2])}
    for leg in ("text", "image"):
        by_query[f"own rank {leg}"] = inflated[leg].own_rank
        by_query[f"merged rank {leg}"] = inflated[leg].merged_rank
        by_query[f"wrong first {leg}"] = np.asarray(first[leg].wrong_modality, dtype=float)
    frames = [
        lost[leg].to_frame(rng=np.random.default_rng(0), n_resamples=200).assign(leg=leg)
        for leg in ("text", "image")
    ]
    return {"merge_loss": pd.concat(frames), "rank_inflation": pd.DataFrame(by_query)}


@maker
def thresholds(world: World) -> Made:
    from mmgap.scores import find_threshold, threshold_transfer
    from mmgap.scores.thresholds import threshold_curve

    bank, test = world.matrices
    rng = np.random.default_rng
    found = find_threshold(bank[0], bank[2], precision=0.4, n_resamples=100, rng=rng(0))
    corpora = {"text": (test[0], test[2]), "image": (test[1], test[3])}
    curve = threshold_curve(test[0], test[2], n_points=20, n_resamples=50, rng=rng(0))
    moved = threshold_transfer(found, corpora, n_resamples=100, rng=rng(0))
    return {"threshold_transfer": moved, "threshold_curve": curve}


@maker
def calibration(world: World) -> Made:
    from mmgap.scores import calibrator_transfer, reliability_table
    from mmgap.scores.calibrate import CALIBRATORS, fit_legs
    from mmgap.scores.normalise import NORMALISERS
    from mmgap.strategies import judge_entries, rescale_legs

    bank, test = ({"text": part[0], "image": part[1]} for part in world.matrices)
    bank_good, good = ({"text": part[2], "image": part[3]} for part in world.matrices)
    points, judged = {"score": np.linspace(-0.1, 0.9, 21)}, []
    transferred, reliable = [], []
    for name, cure in {**NORMALISERS, **CALIBRATORS}.items():
        cured = rescale_legs(cure, test, bank, bank_good)
        judged.append(judge_entries(cured, good, 10).mean().rename(name))
        for leg in cured:
            points[f"{name}, {leg}"] = np.quantile(cured[leg], np.linspace(0, 1, 21))
        if name in CALIBRATORS:
            fitted = fit_legs(cure, bank, bank_good)
            corpora = {leg: (test[leg], good[leg]) for leg in test}
            transferred.append(calibrator_transfer(fitted["text"], corpora).assign(method=name))
            reliable.append(reliability_table(cured, good, bins=5).assign(method=name))
    return {
        "cured_scores": pd.DataFrame(points),
        "merged_hits": pd.DataFrame(judged).rename_axis("method").reset_index(),
        "calibrator_transfer": pd.concat(transferred),
        "reliability": pd.concat(reliable),
    }


@maker
def geometry(world: World) -> Made:
    from mmgap import gap
    from mmgap.mitigate import MITIGATIONS

    image, text = world.pair
    rng = np.random.default_rng
    rows = []
    for name, measure in gap.MEASURES.items():
        both = [text] if measure.sides else [image, text]
        row = {"measure": name, "value": float(measure.function(*both))}
        around = gap.interval(measure, *both, n_draws=8, rng=rng(0))
        rows.append(row | {"ci_low": around.low, "ci_high": around.high})
    sweep = gap.shift_sweep(image, text, np.linspace(-1, 1, 5), logit_scales=(10, 100))
    return {
        "measures": pd.DataFrame(rows),
        "shift_sweep": sweep,
        "dimensions": pd.DataFrame(vars(gap.dimension_profile(image, text))),
        "mitigations": pd.DataFrame({"mitigation": list(MITIGATIONS)}),
    }


@maker
def mixed_index(world: World) -> Made:
    from mmgap.mitigate import MITIGATIONS
    from mmgap.strategies import MixedIndex, rank_mixed_documents

    calibration, test = world.halves
    rows = []
    for leg, query_class in (("image", "I"), ("text", "T")):
        index = MixedIndex.of(test, calibration, leg, query_class)
        for name in (None, *MITIGATIONS):
            fitted = None if name is None else index.fit(MITIGATIONS[name])
            found = index.judge(fitted, 5)
            row = {"leg": leg, "mitigation": name or "none"}
            row |= {"alone": np.mean(found.alone), "lost": np.mean(found.lost)}
            rows.append(row)
    run = rank_mixed_documents(test, calibration, rng=np.random.default_rng(0))
    top = {query: list(run.top(query, 5)) for query in test.corpus.query_ids[:20]}
    return {"mixed_index": pd.DataFrame(rows), "mixed_documents": pd.DataFrame(top)}


@maker
def engines(world: World) -> Made:
    from mmgap.fusion import FUSIONS, engines

    _, test = world.matrices
    some = [np.round(scores[:4, :12], 3) for scores in test[:2]]
    rows = [
        {"fusion": name, "query": row, "document": at, "value": value}
        for name, fuse in FUSIONS.items()
        for row, fused in enumerate(fuse(*some))
        for at, value in enumerate(fused)
    ]
    lists = [np.full((1, 12), np.nan) for _ in some]
    for scores, top in zip(some, lists, strict=True):
        best = np.argsort(-scores[0])[:6]
        top[0, best] = scores[0, best]
    hits = [
        {"engine": name, "document": f"d{at}", "value": value}
        for name in ("qdrant_rrf", "qdrant_dbsf", "weaviate_relative_score", "opensearch_hybrid")
        for at, value in enumerate(getattr(engines, name)(*lists)[0])
        if not np.isnan(value)
    ]
    return {"fusions": pd.DataFrame(rows), "engines": pd.DataFrame(hits)}


@maker
def reranking(world: World) -> Made:
    from mmgap.strategies import PairScorer, Rerank, Strategy, cost_table, judge

    calibration, test = world.halves
    scorer = PairScorer(test, SliceReranker(world), cache=False)
    merged: dict[str, Any] = {"merge": "mean", "normaliser": "reference z"}

    def asked(name: str, view: Any, depth: Any, whole: dict[str, Any], **how: Any) -> Strategy:
        longest = max(depth) if isinstance(depth, tuple) else depth
        return Strategy(name, rerank=Rerank(view, depth, **how), **({"depth": longest} | whole))

    deep: dict[str, Any] = {"depth": 100}
    strategies = [
        Strategy("mean, z", **merged),
        asked("8 + 8, fused", "fused", 8, {}),
        asked("8 + 8, mean of both views", "average", 8, {}),
        asked("8 + 8, mean before", "average", 8, {}, average="before"),
        asked("12 + 4, matching, refilled", "matching", (12, 4), {}, backfill=True),
        asked("merge, 10", "average", 10, merged | deep),
        asked("calibrated, 10", "fused", 10, {"merge": "mean", "normaliser": "platt"} | deep),
        asked("budget", "average", 16, {}, budget=6),
        asked("margin", "fused", 8, {"merge": "mean"} | deep, margin=0.02),
        asked("text, then both", "text", 16, {}, cascade=("average", 4)),
    ]
    judged = judge(strategies, test, calibration, reranker=scorer)
    table = cost_table(judged, rng=np.random.default_rng(0))
    return {"reranking": table}


@maker
def verdicts(world: World) -> Made:
    from mmgap.strategies import (
        METHODS,
        VERDICT_FAMILIES,
        PairScorer,
        Rerank,
        Strategy,
        family_verdicts,
        judge,
    )

    calibration, test = world.halves
    asked = [METHODS[name] for name in ("raw, mean", "platt, log-odds")]
    asked.append(Strategy("16 + 16", rerank=Rerank("average", 16)))
    scorers = [PairScorer(each, SliceReranker(world), cache=False) for each in world.halves]
    found = judge(asked, calibration, folds=3, reranker=scorers[0])
    judged = judge(asked, test, calibration, reranker=scorers[1])
    names = dict(zip(VERDICT_FAMILIES, judged.names, strict=True))
    rng = np.random.default_rng(0)
    verdict = family_verdicts({"slice": judged}, {"slice": names}, n_resamples=300, rng=rng)
    return {"verdicts": verdict, "held_out": found.by_query().reset_index()}


@maker
def training(world: World) -> Made:
    from mmgap.contrastive import compare_heads, random_layers
    from mmgap.gap import cone

    image, text = world.pair
    layers = random_layers(text, 3, width=64, rng=np.random.default_rng(0))
    found = compare_heads(
        (image[:150], text[:150]),
        (image[150:], text[150:]),
        {"scale 100": {}, "scale 10": {"logit_scale": 10.0}},
        seeds=(0, 1),
        steps=20,
    )
    return {
        "training": found.table,
        "random_layers": pd.DataFrame({"cone": [cone(out) for out in layers]}),
    }


def timeless(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what a clock said."""
    clock = [c for c in map(str, table) if "ms" in c.replace("-", "_").split("_") or "seconds" in c]
    if "measure" in table:
        table = table[~table["measure"].astype(str).str.contains(r"(?:^|[ _])ms(?:[ _/]|$)")]
    return table.drop(columns=clock)


def make(names: Sequence[str] = ()) -> Made:
    made: Made = {}
    with (
        tempfile.TemporaryDirectory() as root,
        mock.patch.dict(os.environ, MMGAP_CACHE=root),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        world = World(Path(root))
        for name, function in MAKERS.items():
            if not names or name in names:
                for key, table in function(world).items():
                    made[key if key.startswith(name) else f"{name}_{key}"] = timeless(table)
    return made


def machine() -> str:
    """What decides how single precision rounds here."""
    packages = ("numpy", "scipy", "scikit-learn", "torch", "pandas")
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processor = [line for line in lines if line.startswith(("flags", "model name"))][:2]
    known = [f"{name} {version(name)}" for name in packages]
    features = hashlib.sha256(repr(processor).encode()).hexdigest()[:12]
    return "\n".join([platform.machine(), features, *known]) + "\n"


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it comes back from its file."""
    file = io.StringIO()
    table.to_csv(file, index=False, float_format="%.12g")
    file.seek(0)
    return pd.read_csv(file)


if __name__ == "__main__":
    TABLES.mkdir(exist_ok=True)
    (TABLES / "machine.txt").write_text(machine(), encoding="utf-8")
    for name, table in make(sys.argv[1:]).items():
        table.to_csv(TABLES / f"{name}.csv", index=False, float_format="%.12g")
