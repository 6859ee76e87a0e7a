"""Contrastive training small enough to watch: random encoders, and two heads on ready features.

Where a modality gap comes from can be seen without training a whole model. Take the features that
a frozen image tower and a frozen text tower give to pairs, put a small head on each, and train the
two heads alone: a run takes seconds, so one may change a single thing and look again.

``rng=None`` is ``default_rng(0)`` everywhere. Rows of features are brought to unit length. What
cannot be trained is an MmgapError that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmgap.arrays import unit_rows
from mmgap.corpus.schema import Corpus, Document, Qrels
from mmgap.errors import CorpusError, MmgapError
from mmgap.gap import l2m, rmg

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL import Image

Loss = Literal["softmax", "sigmoid"]
Activation = Literal["relu", "linear"]
Pairs = tuple[np.ndarray, np.ndarray]

WATCHED_STEPS = (0, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 450, 600, 900, 1300, 2000, 3000)
"""Steps at which :func:`train_heads` looks, besides the last; close together at the beginning."""

_SIDE = 128  # pixels of an image's edge, as the bundled encoders see it


def drawing_name_pairs(corpus: Corpus, *, rng: np.random.Generator | None = None) -> Corpus:
    """Pair one drawing of every concept, drawn by ``rng``, with the concept's name.

    Documents of the bundled corpus carry texts of many kinds, and several show one thing;
    contrastive training wants one text for each image. A name is a query whose phrasing is
    ``"name"``. No queries; embedded, row i of the image leg and row i of the text leg are a pair.

    >>> from mmgap.corpus import load_corpus
    >>> drawing_name_pairs(load_corpus("pictograms", split="test"))
    Corpus('pictograms/test/style, drawings and names', 779 documents, 0 queries)
    """
    rng = np.random.default_rng(0) if rng is None else rng
    names: dict[str, str] = {}
    for query in corpus.queries:
        if query.metadata.get("phrasing") == "name":
            names.setdefault(query.metadata["concept"], query.text)
    showing: dict[str, list[Document]] = {concept: [] for concept in names}
    for document in corpus.documents:
        if document.image is not None:
            showing.get(document.metadata.get("concept", ""), []).append(document)
    documents = [
        replace(drawings[rng.integers(len(drawings))], text=names[concept])
        for concept, drawings in showing.items()
        if drawings
    ]
    if not documents:
        msg = (
            f"corpus {corpus.name!r} holds no image whose concept has a name (a query with the "
            "same 'concept' and the phrasing 'name'); load a pool of pictograms"
        )
        raise CorpusError(msg)
    return Corpus(f"{corpus.name}, drawings and names", documents, [], Qrels([]))


def random_layers(
    embeddings: np.ndarray,
    depth: int,
    *,
    width: int = 512,
    activation: Activation = "relu",
    bias: bool = True,
    rng: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Send unit vectors through ``depth`` random layers; return them, then each layer's output.

    Weights and biases are drawn from N(0, 1 / width), as in the theorem on the cone effect (Liang
    et al. 2022, Sec. 2 and 3). A ReLU layer with biases then keeps length 1, on average.
    Orthogonal vectors come out of one ReLU layer at a cosine near .61, see :func:`relu_cosine`.

    >>> _, out = random_layers(np.eye(2), 1, width=20_000)
    >>> first, second = unit_rows("out", out)
    >>> print(f"{first @ second:.2f}")
    0.61
    """
    if depth < 0 or width < 1:
        msg = f"depth is {depth} and width {width}; expected depth of 0 or more, width of 1 or more"
        raise MmgapError(msg)
    if activation not in ("relu", "linear"):
        msg = f"there is no activation {activation!r} here; choose 'relu' or 'linear'"
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    outputs = [unit_rows("embeddings", embeddings)]
    for _ in range(depth):
        weight, offset = _random_layer(outputs[-1].shape[1], width, rng)
        out = outputs[-1] @ weight + (offset if bias else 0)
        outputs.append(np.maximum(out, 0) if activation == "relu" else out)
    return outputs


def relu_cosine(cosine: float | np.ndarray, *, bias: bool = True) -> np.ndarray:
    r"""Cosine of two unit vectors after one random ReLU layer, expected for a wide layer.

    ReLU brings an angle :math:`\theta` to the cosine
    :math:`(\sin\theta + (\pi - \theta)\cos\theta) / \pi`, never below the cosine before. A bias
    acts first: as one more coordinate that is equal for all, it brings c to (1 + c) / 2. Cho and
    Saul 2009, Sec. 2 (order 1); Liang et al. 2022, theorem 1.

    >>> relu_cosine([-1.0, 0.0, 1.0], bias=False).round(3).tolist()
    [0.0, 0.318, 1.0]
    """
    before = np.asarray(cosine, dtype=np.float64)
    angle = np.arccos(np.clip((1 + before) / 2 if bias else before, -1, 1))
    return (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi


def untrained_towers(
    images: Sequence[Image.Image], texts: Sequence[str], *, seed: int = 0
) -> Pairs:
    """Run the two towers of the bundled encoders with random weights instead of theirs.

    Weights are drawn the way the libraries start a training. Images: (n, 1280) of an
    EfficientNet-Lite0, not of unit length; texts: (n, 384) of a MiniLM, of unit length. Needs the
    extra ``mini``, which holds the tokeniser.
    """
    import torch
    from transformers import AutoModel

    from mmgap.encoders.mini import MiniModel, SentenceTower, square_array, to_pixels

    text_tower = SentenceTower()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        image_tower = MiniModel(1).image_tower.eval()
        text_tower.model = AutoModel.from_config(text_tower.model.config).eval()
    with torch.inference_mode():
        pixels = to_pixels(square_array(images, _SIDE))
        outputs = torch.cat([image_tower(part) for part in pixels.split(64)])
        return outputs.numpy(), text_tower(texts).numpy()


@dataclass(frozen=True)
class TrainedHeads:
    """What :func:`train_heads` returns.

    ``embed_images`` and ``embed_texts`` take features (n, n_feature) to unit float32 embeddings.
    ``logit_scale`` and ``logit_bias`` are where they ended. ``history`` has ``step``, ``loss`` (of
    that step's batch; NaN before the first), ``logit_scale`` and, where pairs were watched, their
    ``l2m``.
    """

    embed_images: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    embed_texts: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    logit_scale: float
    logit_bias: float
    history: pd.DataFrame = field(repr=False)


def train_heads(
    image_features: np.ndarray,
    text_features: np.ndarray,
    *,
    loss: Loss = "softmax",
    logit_scale: float = 100.0,
    learn_scale: bool = False,
    logit_bias: float = 0.0,
    learn_bias: bool = False,
    dim: int = 128,
    width: int = 256,
    shared: bool = False,
    amend: bool = False,
    steps: int = 250,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    watch: Pairs | None = None,
    rng: np.random.Generator | None = None,
) -> TrainedHeads:
    """Train an image head and a text head so that the two features of a pair come together.

    A head is one ReLU layer and one linear layer, with weights as in :func:`random_layers`: before
    the first step it *is* a random encoder. AdamW with a constant learning rate and a weight decay
    of 0.02 on all that learns. One thread: the matrices are small. ``rng`` draws weights and
    batches.

    - ``loss``: ``"softmax"``, each item picks its partner out of the batch in both directions
      (CLIP, Radford et al. 2021); ``"sigmoid"``, each cell of the batch is judged a pair or not
      (SigLIP, Zhai et al. 2023). Softmax is blind to ``logit_bias``.
    - ``logit_scale``: 1 / temperature; learned values stay at 100 or below, as in CLIP.
    - ``shared``: one head for both modalities (Eslami and de Melo 2025).
    - ``amend``: close the gap before the first step, by an orthogonal matrix after the text head
      (Procrustes) that leaves distances among texts as they are (Liang et al. 2022, Sec. 4.3).
    - ``watch``: features of held-out pairs whose gap is followed.

    Untrained, the heads are two random encoders:

    >>> features = np.eye(12)
    >>> apart = train_heads(features, features, steps=0, batch_size=4)
    >>> print(f"{l2m(apart.embed_images(features), apart.embed_texts(features)):.1f}")
    1.3
    """
    import pandas as pd
    import torch

    image, text = (
        unit_rows(name, rows).astype(np.float32)
        for name, rows in (("image_features", image_features), ("text_features", text_features))
    )
    _refuse_unusable(image, text, loss, logit_scale, shared, amend)
    if not 2 <= batch_size <= len(image) or min(dim, width, steps + 1) < 1:
        msg = (
            f"batch_size {batch_size}, dim {dim}, width {width}, steps {steps}: expected a batch "
            f"of 2 to {len(image)} pairs, dim and width of 1 or more, steps of 0 or more"
        )
        raise MmgapError(msg)
    rng = np.random.default_rng(0) if rng is None else rng
    image_head = _Head(image.shape[1], width, dim, rng)
    text_head = image_head if shared else _Head(text.shape[1], width, dim, rng)
    if amend:
        text_head.rotate_to(text_head.embed(text), image_head.embed(image))
    log_scale = torch.tensor(np.log(logit_scale), dtype=torch.float32, requires_grad=learn_scale)
    bias = torch.tensor(float(logit_bias), requires_grad=learn_bias)
    parameters = [*image_head.parameters, *([] if shared else text_head.parameters)]
    parameters += [scalar for scalar in (log_scale, bias) if scalar.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.02, fused=True)
    images, texts = torch.from_numpy(image), torch.from_numpy(text)
    history: list[dict[str, float]] = []
    last_loss = float("nan")
    with _one_thread():
        for step in range(steps + 1):
            if step in WATCHED_STEPS or step == steps:
                scale = float(log_scale.detach().exp())
                history.append({"step": step, "loss": last_loss, "logit_scale": scale})
                if watch is not None:
                    found = l2m(image_head.embed(watch[0]), text_head.embed(watch[1]))
                    history[-1]["l2m"] = found
            if step == steps:
                break
            rows = torch.from_numpy(rng.permutation(len(image))[:batch_size])
            cosines = image_head(images[rows]) @ text_head(texts[rows]).T
            value = _loss(log_scale.exp() * cosines + bias, loss)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            with torch.no_grad():
                log_scale.clamp_(max=np.log(max(100.0, logit_scale)))
            last_loss = float(value.detach())
    return TrainedHeads(
        image_head.embed,
        text_head.embed,
        float(log_scale.detach().exp()),
        float(bias.detach()),
        pd.DataFrame(history),
    )


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare_heads` returns.

    ``table`` has a row per variant and seed: ``l2m_start`` and ``l2m`` (before and after training),
    ``rmg``, ``i2t_recall`` and ``t2i_recall`` (recall@1 among the held-out pairs), ``logit_scale``
    and ``logit_bias``. ``history`` is that of :class:`TrainedHeads` with ``variant`` and ``seed``.
    """

    table: pd.DataFrame
    history: pd.DataFrame
    heads: Mapping[tuple[str, int], TrainedHeads] = field(repr=False)


def compare_heads(
    train: Pairs,
    test: Pairs,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    **common: Any,
) -> Comparison:
    """Train heads in several ways, each with several seeds, and measure them on held-out pairs.

    ``variants`` names the arguments of :func:`train_heads` of each way; ``common`` is shared. A
    seed draws the same first weights and batches for all variants of the same shapes, so that
    these can be compared seed by seed.

    >>> pairs = np.eye(6), np.eye(6)
    >>> ways = {"own heads": {}, "one head": {"shared": True}}
    >>> found = compare_heads(pairs, pairs, ways, seeds=[0], steps=0, batch_size=4)
    >>> found.table[["variant", "seed", "l2m"]].round(1)
         variant  seed  l2m
    0  own heads     0  1.3
    1   one head     0  0.0
    """
    import pandas as pd

    def train_one(variant: str, seed: int) -> TrainedHeads:
        rng = np.random.default_rng([0, seed])
        return train_heads(*train, watch=test, rng=rng, **{**common, **variants[variant]})

    runs = [(variant, seed) for variant in variants for seed in seeds]
    with ThreadPoolExecutor(2) as pool:
        heads = dict(zip(runs, pool.map(lambda run: train_one(*run), runs), strict=True))
    rows, histories = [], []
    for (variant, seed), trained in heads.items():
        label: dict[str, Any] = {"variant": variant, "seed": seed}
        image, text = trained.embed_images(test[0]), trained.embed_texts(test[1])
        measured = {"l2m": l2m(image, text), "rmg": rmg(image, text)}
        measured |= {"i2t_recall": _recall(image, text), "t2i_recall": _recall(text, image)}
        start = {"l2m_start": trained.history["l2m"].iloc[0]}
        ended = {"logit_scale": trained.logit_scale, "logit_bias": trained.logit_bias}
        rows.append({**label, **start, **measured, **ended})
        histories.append(trained.history.assign(**label))
    return Comparison(pd.DataFrame(rows), pd.concat(histories, ignore_index=True), heads)


def _recall(queries: np.ndarray, documents: np.ndarray) -> float:
    """Probability that document i comes first for query i, tied documents in random order."""
    scores = unit_rows("queries", queries) @ unit_rows("documents", documents).T
    own = np.diag(scores)[:, None]
    above, not_below = ((scores > own + 1e-12).sum(1), (scores >= own - 1e-12).sum(1))
    return float(np.mean((above == 0) / (not_below - above)))


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Head:
    """One ReLU layer and one linear layer, then unit length."""

    def __init__(self, n_feature: int, width: int, dim: int, rng: np.random.Generator) -> None:
        import torch

        layers = [_random_layer(n_feature, width, rng), _random_layer(width, dim, rng)]
        self.parameters = [
            torch.tensor(values, dtype=torch.float32, requires_grad=True)
            for layer in layers
            for values in layer
        ]
        self._rotation: torch.Tensor | None = None

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        import torch

        weight, bias, out_weight, out_bias = self.parameters
        out = torch.addmm(out_bias, torch.addmm(bias, features, weight).relu(), out_weight)
        out = out if self._rotation is None else out @ self._rotation
        return torch.nn.functional.normalize(out, dim=1)

    def embed(self, features: np.ndarray) -> np.ndarray:
        import torch

        rows = unit_rows("features", features).astype(np.float32)
        with torch.inference_mode():
            return self(torch.from_numpy(rows)).numpy()

    def rotate_to(self, own: np.ndarray, target: np.ndarray) -> None:
        import torch
        from scipy.linalg import orthogonal_procrustes

        rotation, _ = orthogonal_procrustes(own.astype(np.float64), target.astype(np.float64))
        self._rotation = torch.tensor(rotation, dtype=torch.float32)


def _random_layer(n_in: int, n_out: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(0, n_out**-0.5, (n_in, n_out)), rng.normal(0, n_out**-0.5, n_out)


def _loss(logits: torch.Tensor, loss: Loss) -> torch.Tensor:
    import torch
    from torch.nn import functional

    n = len(logits)
    if loss == "sigmoid":
        return -functional.logsigmoid((2 * torch.eye(n) - 1) * logits).sum() / n
    own = torch.arange(n)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _refuse_unusable(
    image: np.ndarray, text: np.ndarray, loss: str, logit_scale: float, shared: bool, amend: bool
) -> None:
    msg = ""
    if len(image) != len(text):
        msg = f"{len(image)} images and {len(text)} texts; expected one text for each image"
    elif loss not in ("softmax", "sigmoid"):
        msg = f"there is no loss {loss!r} here; choose 'softmax' or 'sigmoid'"
    elif not logit_scale > 0:
        msg = f"logit_scale, 1 / temperature, must be above 0, e.g. 100; got {logit_scale}"
    elif shared and image.shape[1] != text.shape[1]:
        msg = (
            f"a shared head needs features of one length; images have {image.shape[1]} and texts "
            f"{text.shape[1]}. Use separate heads, or bring the features to one length"
        )
    elif shared and amend:
        msg = (
            "amend turns the text head alone, so the heads cannot be shared; choose one of the two"
        )
    if msg:
        raise MmgapError(msg)
