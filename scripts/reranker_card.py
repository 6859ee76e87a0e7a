# ruff: noqa: E501 - half of it is a page of prose
"""Write the model card of the bundled reranker from its configuration and measured numbers.

    python scripts/reranker_card.py                # measures on the test split, writes the card
    python scripts/reranker_card.py calibration    # measures on the calibration split, prints

The first stage gives 16 documents of each leg; the reranker orders their union.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

import mmgap as mg
from mmgap import paths
from mmgap.corpus.schema import Corpus
from mmgap.evaluation import Run, difference_table, recall_table
from mmgap.index.vectors import Vectors
from mmgap.rerankers import Content, Pair, Reranker

ENCODERS = ("mini-clip", "mini-siglip", "mini-aligned")
CONDITIONS = {"style": "(a) held-out drawing styles", "concept": "(b) held-out concepts"}
DEPTH = 16
SHOWN = ("text", "image", "fused")
CEILING = "ceiling of the 16 + 16"
BOTH = "reranked, both shown"
Z = "mean of reference z-scores"
COSINES = "mean of cosines"


@dataclass(frozen=True)
class Measured:
    """What one encoder's candidates and the reranker's scores of them come to."""

    recall: pd.DataFrame  # strategy, query class ("all" too), value, ci_low, ci_high
    ks: tuple[
        float, float
    ]  # text against image scores of non-relevant candidates: encoder, reranker
    text_wins: tuple[float, float]  # P(non-relevant text > non-relevant image): encoder, reranker
    pairs_per_second: float
    won: str  # both shown, minus the best way without reranker and labels, with its CI and p


def measure(reranker: Reranker, name: str, split: str, condition: str) -> Measured:
    """Search one pool by one encoder, rerank, and judge every way to order the candidates."""
    encoder = mg.load_encoder(name)
    corpus = mg.load_corpus("pictograms", split=split, condition=condition)
    vectors = mg.embed(corpus, encoder)
    whole = {leg: vectors.scores(leg) for leg in ("text", "image")}
    found = union(whole["text"], whole["image"])
    first = {leg: np.take_along_axis(scores, found, axis=1) for leg, scores in whole.items()}
    standardised = {leg: reference_z(leg, vectors, condition, encoder) for leg in whole}
    started = time.perf_counter()
    own = rerank(reranker, corpus, found)
    seconds = time.perf_counter() - started
    relevant = np.array(
        [
            [corpus.doc_ids[k] in corpus.qrels.relevant(query) for k in row]
            for query, row in zip(corpus.query_ids, found, strict=True)
        ]
    )
    matching = np.where(rank(first["text"]) <= rank(first["image"]), own["text"], own["image"])
    orders = {
        "text leg": whole["text"],
        "image leg": whole["image"],
        COSINES: first["text"] + first["image"],
        Z: sum(np.take_along_axis(scores, found, axis=1) for scores in standardised.values()),
        "reranked, text shown": own["text"],
        "reranked, image shown": own["image"],
        "reranked, leg that ranks it higher": matching,
        "reranked, mean of text and image": own["text"] + own["image"],
        "reranked, the same after the sigmoid": expit(own["text"]) + expit(own["image"]),
        BOTH: own["fused"],
        CEILING: relevant.astype(float),
    }
    everything = np.tile(np.arange(len(corpus.documents)), (len(corpus.queries), 1))
    once = np.where(repeated(found), -1, found)
    runs = [
        Run.from_scores(
            strategy,
            corpus.query_ids,
            corpus.doc_ids,
            everything if strategy.endswith(" leg") else once,
            scores,
        )
        for strategy, scores in orders.items()
    ]
    classes = corpus.query_frame()["query_class"]
    tables = [
        recall_table(runs, corpus.qrels, measures=["recall@10"]).assign(query_class="all"),
        recall_table(runs, corpus.qrels, measures=["recall@10"], by=classes),
    ]
    other = ~relevant
    ks, wins = zip(
        *(
            (
                float(stats.ks_2samp(side["text"][other], side["image"][other]).statistic),
                float(
                    stats.mannwhitneyu(side["text"][other], side["image"][other]).statistic
                    / other.sum() ** 2
                ),
            )
            for side in (first, own)
        ),
        strict=True,
    )
    table = pd.concat(tables)
    return Measured(table, ks, wins, 3 * found.size / seconds, won(runs, corpus))


def better_merge(table: pd.DataFrame) -> str:
    """Name of the label-free merge with the higher recall."""
    values = table[table["query_class"] == "all"].set_index("strategy")["value"]
    return max((COSINES, Z), key=values.__getitem__)


def won(runs: list[Run], corpus: Corpus) -> str:
    """Say what the reranker, both shown, wins over the best way that needs neither it nor labels."""
    baselines = ("text leg", "image leg", COSINES, Z)
    some = [run for run in runs if run.name in {*baselines, BOTH}]
    table = difference_table(some, corpus.qrels, baselines).set_index("strategy")
    row = table.loc[BOTH]
    return (
        "{value:+.1f} [{ci_low:+.1f}, {ci_high:+.1f}] points".format(
            **100 * row[["value", "ci_low", "ci_high"]]
        )
        + f" over the {row['against']} (p = {row['p']:.4f})"
    )


def union(text: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Positions of each leg's first documents, (n_query, 32); some stand there twice."""
    legs = [np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH] for scores in (text, image)]
    return np.concatenate(legs, axis=1)


def repeated(found: np.ndarray) -> np.ndarray:
    """Whether a document stands further left in its row already."""
    same = found[:, :, None] == found[:, None, :]
    return np.tril(same, k=-1).any(axis=2)


def rank(scores: np.ndarray) -> np.ndarray:
    """Rank of each score in its row, 0 = highest."""
    return np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")


def reference_z(
    leg: str, vectors: Vectors, condition: str, encoder: mg.encoders.Encoder
) -> np.ndarray:
    """Scores of a leg with mean 0 and deviation 1 over reference scores: those of the calibration queries."""
    reference = mg.load_corpus("pictograms", split="calibration", condition=condition)
    queries = encoder.encode_text([query.text for query in reference.queries], role="query")
    scores = queries @ vectors.legs[leg].embeddings.T
    return (vectors.scores(leg) - scores.mean()) / scores.std()


def rerank(reranker: Reranker, corpus: Corpus, found: np.ndarray) -> dict[str, np.ndarray]:
    """Score all candidates three times: text shown, image shown, both shown."""
    queries = [Content(query.text) for query in corpus.queries]
    images = [document.image.open() for document in corpus.documents]
    contents = {
        "text": [Content(document.text) for document in corpus.documents],
        "image": [Content(image=image) for image in images],
        "fused": [
            Content(document.text, image)
            for document, image in zip(corpus.documents, images, strict=True)
        ],
    }
    return {
        shown: reranker.score(
            [Pair(query, sides[k]) for query, row in zip(queries, found, strict=True) for k in row]
        ).reshape(found.shape)
        for shown, sides in contents.items()
    }


def lines(measured: Measured) -> list[str]:
    """Rows of the table: every strategy, all queries and each class."""
    table = measured.recall.set_index(["strategy", "query_class"])
    strategies = list(dict.fromkeys(measured.recall["strategy"]))
    classes = ["all", *sorted(set(measured.recall["query_class"]) - {"all"}, key="TIMB".index)]
    rows = []
    for strategy in strategies:
        cells = [
            "{value:.1f} [{ci_low:.1f}, {ci_high:.1f}]".format(
                **100 * table.loc[(strategy, name), ["value", "ci_low", "ci_high"]]
            )
            if name == "all"
            else f"{100 * table.loc[(strategy, name), 'value']:.1f}"
            for name in classes
        ]
        rows.append(f"| {strategy} | {' | '.join(cells)} |")
    return [f"| strategy | {' | '.join(classes)} |", "|" + "---|" * (len(classes) + 1), *rows]


def way_to_ceiling(measured: Measured) -> float:
    """How far the fused score gets from the better label-free merge to the ceiling."""
    table = measured.recall.set_index(["strategy", "query_class"])["value"]
    merge = table[better_merge(measured.recall), "all"]
    return (table[BOTH, "all"] - merge) / (table[CEILING, "all"] - merge)


def card(config: dict, results: dict[tuple[str, str], Measured], n_parameters: int) -> str:
    """Return the card's text."""
    training, network = config["training"], config["network"]
    recipe = training["recipe"]
    parts = []
    for (condition, encoder), measured in results.items():
        parts += [
            f"### {CONDITIONS[condition]}, first stage {encoder}",
            "",
            *lines(measured),
            "",
            f"From the better label-free merge to the ceiling: {100 * way_to_ceiling(measured):.0f} % "
            f"of the way with both shown; {measured.won}. Non-relevant candidates, texts against images: KS distance "
            f"{measured.ks[0]:.2f} for the encoder, {measured.ks[1]:.2f} for the reranker; "
            f"P(text > image) {measured.text_wins[0]:.2f} and {measured.text_wins[1]:.2f}.",
            "",
        ]
    table = "\n".join(parts)
    return f"""# mini-reranker

A small cross-modal cross-encoder bundled with mmgap so that two-stage search can be seen and measured on any machine.

## What it is

- One score on one scale for a query and a document that is a text, an image, or both in one: a logit.
- The query's tokens attend to the document's tokens, which are the words of its text and the 4 x 4 patches of its image,
  in {network["layers"]} layers of {network["dim"]} dimensions and {network["heads"]} heads; each query token is also told the best cosine it finds in
  each modality. Sentence and image vectors are compared as wholes, as they come and in a joint space of {network["joint"]} dimensions.
- Frozen below it: all-MiniLM-L6-v2 (token states; first 32 tokens) and the image tower of `{config["image_tower"]}` (128 x 128 pixels),
  with the colours of each patch. No encoder's score goes in.
- {n_parameters:,} parameters of its own, float16 on disk.
- Licence: Apache-2.0.

## How it was trained

By `scripts/train_mini_reranker.py`, seed {training["seed"]}, on the train split of `pictograms` alone, in {training["minutes"]:.0f} minutes: {recipe["steps"]} steps
of {recipe["queries"]} queries, each with one relevant document and {recipe["negatives"]} non-relevant ones, sampled from the first {recipe["mined"]} of either
leg; softmax over the list. {training["n_queries"]} queries: those of the split, and texts of documents that describe the image. Half of the lists
show text and image of every document; in the others each shows its text, its image or both at random, which puts
the three on one scale. Softmax leaves the scale's position open: afterwards every logit was multiplied by {training["calibration"]["slope"]:.2f}
and {-training["calibration"]["offset"]:.2f} subtracted, by logistic regression on the candidates of {recipe["calibration_queries"]} train queries shown in all three ways, so that its sigmoid
is about the probability that a candidate is relevant.

The encoders have seen the images of the train split, so candidates mined with them, and what their image tower makes of
those images, are better than at test time. Two cross-fitted towers were therefore trained by the first stage of
the encoders' recipe, each without a sixth of the things and, of the others, without one artist; without another sixth of
the clip arts, and without half of the phrasings that are not names. Every training image was read, and mined, by the tower
that has not seen it; images that both have seen were left out: {training["n_documents"]} documents stayed. At test time it reads through `{config["image_tower"]}`.

The hash of what training read is in `config.json`, and a test compares it with the corpus; so is the hash of the image
tower. The recipe was chosen from a dozen by recall on the calibration
split; the test split was read when the weights were final, for the numbers below.

## What it does

Test split of `pictograms`, fractional recall@10 in percent with 95 % CIs (bootstrap over queries). The first stage gives
16 documents of each leg; all rows below but the first two order that union.

{table}
Printed by `python scripts/reranker_card.py`.

## Limits

It has seen drawings on white paper and a few thousand things. It is no jina-reranker-m0: it reads no page, no photograph, no
language but English, and no image as a query. It shares its towers with the bundled encoders, so it errs where they err.
"""


def main() -> None:
    """Measure and, on the test split, write the card."""
    split = sys.argv[1] if len(sys.argv) > 1 else "test"
    reranker = mg.load_reranker("mini-reranker")
    folder = paths.data_dir() / "models" / "mini-reranker"
    results = {}
    for condition in CONDITIONS:
        for encoder in ENCODERS:
            measured = measure(reranker, encoder, split, condition)
            results[condition, encoder] = measured
            print(split, condition, encoder, *lines(measured), sep="\n")
            print(
                f"way {way_to_ceiling(measured):.2f} {measured.won} ks {measured.ks} wins {measured.text_wins} "
                f"{measured.pairs_per_second:.0f} pairs/s",
                flush=True,
            )
    if split == "test":
        from safetensors import safe_open

        with safe_open(folder / "model.safetensors", "np") as weights:
            n_parameters = sum(weights.get_tensor(key).size for key in weights.keys())  # noqa: SIM118
        config = json.loads((folder / "config.json").read_text())
        (folder / "README.md").write_text(card(config, results, n_parameters))


if __name__ == "__main__":
    main()
