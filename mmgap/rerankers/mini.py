"""The bundled reranker: a small cross-modal cross-encoder, trained on the bundled corpus.

The query's tokens attend to the document's words and image patches. It reads a text query with a
document that is a text, an image, or both in one, and gives one logit; the scale is the same for
all three, so scores of texts and images compare. The sigmoid of a logit is about the probability
that a candidate is relevant, as among its training candidates. The token states of all-MiniLM-L6-v2
and the patches of mini-aligned's image tower go in, both frozen, and the colours of each patch; no
encoder's score does. What is known of a document does not depend on the query up to the attention,
so texts and images are read once and then kept: on one core thousands of pairs a second.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from mmgap import paths
from mmgap.encoders.files import one_error, sha256
from mmgap.encoders.mini import (
    MAX_TEXT_TOKENS,
    MINILM_SHA256,
    SENTENCE_DIM,
    MiniModel,
    SentenceTower,
    square_array,
    to_pixels,
)
from mmgap.encoders.running import in_batches
from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, RerankerInfo, check_pairs

MAX_WORDS = 32
"""Token states of a text that the network attends to; its sentence vector knows 128 tokens."""

TOWER = "mini-aligned"
"""The bundled encoder whose image tower the reranker sees through."""

SIDE = 128
"""Pixels along an edge of the white square that an image is fitted into."""

N_PATCHES = 16
"""An image of 128 pixels leaves the image tower as 4 x 4 patches."""

COLOURS = 48
"""Numbers of a patch's own colours: a grid of 4 x 4 mean colours."""

_SCALE = 10.0  # brings states and patches near unit variance, where a network likes its input
_KEPT = 8192  # texts, and images, whose reading is kept from one call to the next: 0.2 GB
_PAIRS = ("text-text", "text-image", "text-fused")
_RECIPE = "1"  # raise when this file changes what a score is, so that cached ones are made again

Key = TypeVar("Key")
Thing = TypeVar("Thing")


class MiniReranker:
    """The bundled reranker, on the CPU in float32; trained on drawings, see the model card.

    ``folder`` holds ``model.safetensors`` and ``config.json``; by default the bundled one.
    """

    info: RerankerInfo

    def __init__(
        self,
        name: str = "mini-reranker",
        *,
        folder: Path | None = None,
    ) -> None:
        folder = folder or paths.data_dir() / "models" / "mini-reranker"
        config = _read_config(folder)
        self._network = _load_network(folder, config["network"])
        self._image_tower = load_image_tower(config["image_tower_sha256"])
        self._sentence_tower = SentenceTower()
        self._texts: OrderedDict[str, _Part] = OrderedDict()
        self._images: OrderedDict[bytes, _Part] = OrderedDict()
        weights = sha256(folder / "model.safetensors")
        made_of = f"{_RECIPE} {MINILM_SHA256} {config['image_tower_sha256']} {weights}"
        self.info = RerankerInfo(
            id=name,
            fingerprint=hashlib.sha256(made_of.encode()).hexdigest(),
            backend="mini",
            score="logit, unbounded",
            modalities=_PAIRS,
            licence="Apache-2.0",
            max_text_tokens=MAX_TEXT_TOKENS,
        )

    def __repr__(self) -> str:
        return f"MiniReranker({self.info.id!r})"

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 128) -> np.ndarray:
        """Return one float32 logit for each pair, of shape (n_pair,); kinds may be mixed."""
        pairs = check_pairs(pairs, self.info)
        if not pairs:
            return np.empty(0, dtype=np.float32)
        with torch.inference_mode():
            call = self._read(pairs)
            return in_batches(
                range(len(pairs)),
                lambda rows: self._logits(call, np.asarray(rows)),
                batch_size=batch_size,
                length=lambda row: int(call.width[row]),
            )

    def read_ahead(self, documents: Sequence[Content]) -> None:
        """Read texts and images of documents, so that scoring them needs the attention alone.

        Scores are the same with or without. The last 8,192 texts and as many images are kept.
        """
        with torch.inference_mode():
            self._recall_texts([each.text for each in documents if each.text and each.has_text])
            self._recall_images([each.image for each in documents if each.image is not None])

    def _read(self, pairs: Sequence[Pair]) -> _Call:
        """Read every text and image once, and say which pair holds which."""
        asked = [pair.query.text or "" for pair in pairs]
        told = [pair.document.text if pair.document.has_text else None for pair in pairs]
        texts = self._recall_texts([*asked, *(text for text in told if text is not None)])
        images = [pair.document.image for pair in pairs]
        parts, key_of = self._recall_images([image for image in images if image is not None])
        shown = [None if image is None else key_of[id(image)] for image in images]
        return _Call(texts, parts, asked, told, shown)

    def _recall_texts(self, texts: Sequence[str]) -> dict[str, _Part]:
        return _recall(self._texts, texts, self._read_texts)

    def _recall_images(
        self, images: Sequence[Image.Image]
    ) -> tuple[dict[bytes, _Part], dict[int, bytes]]:
        """Return parts by the hash of their pixels, and that hash by the image's identity."""
        squares: dict[bytes, np.ndarray] = {}
        key_of: dict[int, bytes] = {}  # pairs often hold one object, so each is looked at once
        for image in images:
            if id(image) not in key_of:
                square = square_array([image], SIDE)
                key = hashlib.blake2b(square.tobytes(), digest_size=16).digest()
                key_of[id(image)] = key
                squares[key] = square
        parts = _recall(
            self._images,
            list(squares),
            lambda keys: self._read_images(np.concatenate([squares[key] for key in keys])),
        )
        return parts, key_of

    def _read_texts(self, texts: Sequence[str]) -> list[_Part]:
        read = read_texts(self._sentence_tower, texts)
        tokens = self._network.words(read.states)
        joint = self._network.joint_text(read.sentence)
        return self._parts(tokens, read.lengths, read.sentence, joint)

    def _read_images(self, squares: np.ndarray) -> list[_Part]:
        read = read_images(self._image_tower, squares)
        tokens = self._network.patches(read.patches, read.colours).flatten(0, 1)
        lengths = np.full(len(squares), read.patches.shape[1])
        return self._parts(tokens, lengths, read.image, self._network.joint_image(read.image))

    def _parts(
        self, tokens: torch.Tensor, lengths: np.ndarray, raw: torch.Tensor, joint: torch.Tensor
    ) -> list[_Part]:
        memory = self._network.memory(tokens)
        looked_at = torch.cat([each for layer in memory for each in layer], dim=1)
        sizes = lengths.tolist()
        return [
            _Part(*(each.clone() for each in part))
            for part in zip(tokens.split(sizes), looked_at.split(sizes), raw, joint, strict=True)
        ]

    def _logits(self, call: _Call, rows: np.ndarray) -> np.ndarray:
        query, text, image = call.query[rows], call.text[rows], call.image[rows]
        asked = padded(call.start[query], call.length[query], call.nothing)
        words = padded(call.start[text], call.length[text], call.nothing)
        patches = padded(call.start[image], call.length[image], call.nothing)
        index = torch.from_numpy(np.concatenate([words, patches], axis=1))
        there = index != call.nothing
        is_word = there.clone()
        is_word[:, words.shape[1] :] = False
        seen = functional.embedding(index, call.looked_at).chunk(
            2 * len(self._network.layers), dim=2
        )
        cosines = torch.stack(
            [
                (each[query] * each[other]).sum(1)
                for each in (call.raw, call.joint)
                for other in (text, image)
            ],
            dim=1,
        )
        x = torch.from_numpy(asked)
        logits = self._network(
            functional.embedding(x, call.tokens),
            x != call.nothing,
            list(zip(seen[::2], seen[1::2], strict=True)),
            is_word,
            there & ~is_word,
            cosines,
        )
        return logits.numpy()


class _Part(NamedTuple):
    """A text or an image as the network has it, before any query."""

    tokens: torch.Tensor  # (n_token, dim)
    looked_at: torch.Tensor  # (n_token, 2 * layers * dim): keys and values
    raw: torch.Tensor  # (384,) unit norm
    joint: torch.Tensor  # (joint,) unit norm


class _Call:
    """All parts of one call in one table, and for each pair the rows of its parts in it."""

    def __init__(
        self,
        texts: dict[str, _Part],
        images: dict[bytes, _Part],
        asked: Sequence[str],
        told: Sequence[str | None],
        shown: Sequence[bytes | None],
    ) -> None:
        parts = [*texts.values(), *images.values()]
        row_of_text = {text: row for row, text in enumerate(texts)}
        row_of_image = {key: len(texts) + row for row, key in enumerate(images)}
        absent = len(parts)  # one more part, without a token, all zero
        self.query = np.array([row_of_text[text] for text in asked])
        self.text = np.array([absent if text is None else row_of_text[text] for text in told])
        self.image = np.array([absent if key is None else row_of_image[key] for key in shown])
        self.length = np.array([*(len(part.tokens) for part in parts), 0])
        self.start = np.cumsum(self.length) - self.length
        self.nothing = int(self.length.sum())
        self.tokens = _with_zeros([part.tokens for part in parts], torch.cat)
        self.looked_at = _with_zeros([part.looked_at for part in parts], torch.cat)
        self.raw = _with_zeros([part.raw for part in parts], torch.stack)
        self.joint = _with_zeros([part.joint for part in parts], torch.stack)
        # Queries of one length first, documents of like length within them.
        self.width = self.length[self.query] * 1000 + self.length[self.text]


def _with_zeros(
    rows: list[torch.Tensor], joined: Callable[[list[torch.Tensor]], torch.Tensor]
) -> torch.Tensor:
    """Join them and put one row of zeros at the end."""
    return functional.pad(joined(rows), (0, 0, 0, 1))


def _recall(
    kept: OrderedDict[Key, Thing],
    wanted: Sequence[Key],
    read: Callable[[list[Key]], Sequence[Thing]],
) -> dict[Key, Thing]:
    """Return what is kept, read what is not, and forget what was longest unused."""
    unique = list(dict.fromkeys(wanted))
    new = [key for key in unique if key not in kept]
    found = dict(zip(new, read(new), strict=True)) if new else {}
    for key in unique:
        if key in kept:
            found[key] = kept.pop(key)
        kept[key] = found[key]
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return {key: found[key] for key in unique}


def padded(starts: np.ndarray, lengths: np.ndarray, nothing: int) -> np.ndarray:
    """Return which rows of a packed table belong to each item, side by side: (n, longest).

    ``nothing`` fills shorter items.

    >>> padded(np.array([0, 3]), np.array([3, 1]), 99).tolist()
    [[0, 1, 2], [3, 99, 99]]
    """
    offset = np.arange(int(lengths.max(initial=0)))
    return np.where(offset < lengths[:, None], starts[:, None] + offset, nothing)


def _read_config(folder: Path) -> dict[str, Any]:
    missing = [
        name for name in ("config.json", "model.safetensors") if not (folder / name).is_file()
    ]
    if missing:
        msg = (
            f"{folder} lacks {' and '.join(missing)}; expected the files of mini-reranker. Clone "
            "the whole repository, point MMGAP_DATA to its data folder, or train it: python "
            "scripts/train_mini_reranker.py"
        )
        raise EncoderError(msg)
    with one_error(f"{folder / 'config.json'} cannot be read", "Restore it"):
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return {key: config[key] for key in ("network", "image_tower_sha256")}


def _load_network(folder: Path, shape: dict[str, int]) -> CrossNetwork:
    from safetensors.torch import load_file

    with one_error(f"the weights in {folder} do not fit its config.json", "Restore both"):
        network = CrossNetwork(**shape)
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return network.eval()


def load_image_tower(expected_sha256: str | None = None) -> MiniModel:
    """Load the encoder whose image tower the reranker sees through; ``None`` takes any weights."""
    from safetensors.torch import load_file

    weights = paths.data_dir() / "models" / TOWER / "model.safetensors"
    found = sha256(weights) if weights.is_file() else "missing"
    if found != (expected_sha256 or found) or found == "missing":
        msg = (
            f"the reranker sees through the image tower of {TOWER} with sha256 {expected_sha256}; "
            f"the weights in {weights.parent} are {found}. Restore both folders from one commit, "
            "or train the reranker again: python scripts/train_mini_reranker.py"
        )
        raise EncoderError(msg)
    model = MiniModel(SENTENCE_DIM, locked_text=True)
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    return model.eval()


class TextRead(NamedTuple):
    """What the frozen sentence tower says of some texts."""

    states: torch.Tensor  # (n_token, 384), token states of all texts, one text after the other
    lengths: np.ndarray  # int64 (n_text,), how many of them each text has: 1 to MAX_WORDS
    sentence: torch.Tensor  # (n_text, 384), unit norm


class ImageRead(NamedTuple):
    """What the frozen image tower says of some images."""

    patches: torch.Tensor  # (n_image, 16, 384), in the space of the sentences
    colours: torch.Tensor  # (n_image, 16, 48), a 4 x 4 grid inside each patch, from -1 to 1
    image: torch.Tensor  # (n_image, 384), unit norm: where the patches' mean points


def read_texts(tower: SentenceTower, texts: Sequence[str]) -> TextRead:
    """Read texts with the frozen sentence tower, in batches of like length."""
    import torch

    order = sorted(range(len(texts)), key=lambda k: (len(texts[k]), k))
    states: list[Any] = [None] * len(texts)
    sentence = torch.zeros(len(texts), 384)
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            tokens = tower.tokenizer(
                [texts[k] for k in rows],
                padding=True,
                truncation=True,
                max_length=MAX_TEXT_TOKENS,
                return_tensors="pt",
            )
            hidden = tower.model(**tokens).last_hidden_state
            mask = tokens["attention_mask"]
            mean = (hidden * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            hidden = _SCALE * hidden / mean.norm(dim=1)[:, None, None]
            sentence[rows] = functional.normalize(mean, dim=1)
            for at, row in enumerate(rows):
                # The last token, [SEP], says nothing of its own.
                length = min(int(mask[at].sum()) - 1, MAX_WORDS)
                states[row] = hidden[at, :length].clone()
    lengths = np.array([len(each) for each in states], dtype=np.int64)
    return TextRead(torch.cat(states).clone() if states else torch.zeros(0, 384), lengths, sentence)


def read_images(model: MiniModel, squares: np.ndarray) -> ImageRead:
    """Read white squares (n, 128, 128, 3) with the tower and head of a locked-text encoder."""
    return read_pixels(model, to_pixels(squares))


def read_pixels(model: MiniModel, pixels: torch.Tensor) -> ImageRead:
    """Read pixels as :func:`mmgap.encoders.mini.to_pixels` gives them, (n, 3, 128, 128)."""
    patches, colours = [torch.zeros(0, 16, 384)], [torch.zeros(0, 16, 48)]
    with torch.inference_mode():
        for part in pixels.split(64):
            seen = model.image_tower.forward_features(part)  # (n, 1280, 4, 4)
            patches.append(model.image_head(seen.flatten(2).transpose(1, 2)))
            cells = functional.adaptive_avg_pool2d(part, 16).reshape(-1, 3, 4, 4, 4, 4)
            colours.append(cells.permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, 48))
        every, mean = torch.cat(patches), torch.cat(patches).mean(1)
        return ImageRead(
            (_SCALE * every / mean.norm(dim=1)[:, None, None]).clone(),
            torch.cat(colours).clone(),
            functional.normalize(mean, dim=1).clone(),
        )


# --- the network: a query's tokens attend to a document's words and patches ----------------------


class Layer(nn.Module):
    """Query tokens look at the document's words and patches, then each thinks for itself."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim)
        self.evidence = nn.Linear(2 * heads, dim)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), 2.0))
        self.sink = nn.Parameter(torch.zeros(heads, 1, 1))
        wide, narrow = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.think = nn.Sequential(nn.LayerNorm(dim), wide, nn.GELU(), narrow)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(narrow.weight)

    def forward(
        self,
        x: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        is_word: torch.Tensor,
        is_patch: torch.Tensor,
    ) -> torch.Tensor:
        """Take (b, m, dim) query tokens to (b, m, dim).

        ``keys`` and ``values`` are (b, l, dim), the keys of unit norm in each head; masks (b, l).
        """
        b, m, dim = x.shape
        asked = self.query(self.norm(x)).view(b, m, self.heads, -1)
        asked = functional.normalize(asked, dim=-1).transpose(1, 2)
        keys = keys.view(b, keys.shape[1], self.heads, -1).transpose(1, 2)
        values = values.view(b, values.shape[1], self.heads, -1).transpose(1, 2)
        cosine = asked @ keys.transpose(2, 3)  # (b, heads, m, l)
        words, patches = is_word[:, None, None], is_patch[:, None, None]
        # What a token finds at best, in each modality; absent = 0, as the mean of random cosines.
        best = [
            torch.where(
                there.any(-1, keepdim=True), cosine.masked_fill(~there, -1).amax(-1, True), 0.0
            )
            for there in (words, patches)
        ]
        evidence = torch.cat(best, dim=-1).permute(0, 2, 1, 3).reshape(b, m, -1)
        weight = (cosine * self.log_scale.exp()).masked_fill(~(words | patches), -torch.inf)
        sink = self.sink.expand(b, -1, m, 1)  # a token may find nothing
        weight = torch.cat([weight, sink], dim=-1).softmax(-1)[..., :-1]
        seen = (weight @ values).transpose(1, 2).reshape(b, m, dim)
        x = x + self.output(seen) + self.evidence(evidence)
        return x + self.think(x)


class CrossNetwork(nn.Module):
    """Scores pairs of a query and a document with a text, an image, or both."""

    def __init__(
        self,
        dim: int = 96,
        heads: int = 4,
        layers: int = 2,
        joint: int = 384,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.word = nn.Linear(SENTENCE_DIM, dim)
        self.patch = nn.Linear(SENTENCE_DIM, dim)
        to_colour, from_colour = nn.Linear(COLOURS, 64), nn.Linear(64, dim)
        self.colour = nn.Sequential(to_colour, nn.GELU(), from_colour)
        self.place = nn.Parameter(torch.zeros(N_PATCHES, dim))
        keys = [nn.Linear(dim, dim) for _ in range(layers)]
        self.key = nn.ModuleList(keys)
        self.value = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        stack = [Layer(dim, heads) for _ in range(layers)]
        self.layers = nn.ModuleList(stack)
        self.drop = nn.Dropout(dropout)
        wide, narrow = nn.Linear(SENTENCE_DIM, 384), nn.Linear(384, joint)
        self.text_head = nn.Sequential(wide, nn.GELU(), nn.Dropout(dropout), narrow)
        self.text_short = nn.Linear(SENTENCE_DIM, joint, bias=False)
        self.image_short = nn.Linear(SENTENCE_DIM, joint, bias=False)
        n_whole = 6  # four cosines, and whether there are words and patches
        self.whole = nn.Linear(n_whole, 1)
        first, last = nn.Linear(2 * dim + n_whole, dim), nn.Linear(dim, 1)
        self.score = nn.Sequential(
            nn.LayerNorm(2 * dim + n_whole), first, nn.GELU(), nn.Dropout(dropout), last
        )
        with torch.no_grad():
            # One random projection for both: angles survive it, so a word is near similar words
            # and near their images from the first step.
            self.patch.weight.copy_(self.word.weight)
            for layer, key in zip(stack, keys, strict=True):
                nn.init.orthogonal_(key.weight)
                layer.query.weight.copy_(key.weight)
            # The joint space starts as the sentences' own, in which images lie already.
            nn.init.eye_(self.text_short.weight)
            nn.init.eye_(self.image_short.weight)
            # The first score is that of the cosines.
            self.whole.weight.copy_(torch.tensor([[5.0, 5.0, 5.0, 5.0, 0.0, 0.0]]))
            for linear in (narrow, from_colour, last):
                nn.init.zeros_(linear.weight)
            nn.init.zeros_(narrow.bias)

    def words(self, states: torch.Tensor) -> torch.Tensor:
        """Take token states (n, 384) to tokens (n, dim)."""
        return self.drop(self.word(states))

    def patches(self, patches: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        """Take patches (n, 16, 384) and their colours (n, 16, 48) to tokens (n, 16, dim)."""
        return self.drop(self.patch(patches) + self.colour(colours) + self.place)

    def memory(self, tokens: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values, both (n, dim), of document tokens, for each layer."""
        found = []
        for layer, key, value in zip(self.layers, self.key, self.value, strict=True):
            keys = functional.normalize(key(tokens).view(len(tokens), layer.heads, -1), dim=-1)
            found.append((keys.reshape(len(tokens), -1), value(tokens)))
        return found

    def joint_text(self, sentence: torch.Tensor) -> torch.Tensor:
        """Unit-norm (n, joint) of sentence vectors (n, 384)."""
        return functional.normalize(self.text_short(sentence) + self.text_head(sentence), dim=-1)

    def joint_image(self, image: torch.Tensor) -> torch.Tensor:
        """Unit-norm (n, joint) of image vectors (n, 384)."""
        return functional.normalize(self.image_short(image), dim=-1)

    def forward(
        self,
        x: torch.Tensor,
        x_there: torch.Tensor,
        memory: list[tuple[torch.Tensor, torch.Tensor]],
        is_word: torch.Tensor,
        is_patch: torch.Tensor,
        cosines: torch.Tensor,
    ) -> torch.Tensor:
        """Return one logit for each pair, (b,).

        ``x`` (b, m, dim) are query tokens, of which ``x_there`` (b, m) says which are real;
        ``memory`` keys and values (b, l, dim), ``is_word`` and ``is_patch`` (b, l). The cosines
        (b, 4) are sentence-sentence and sentence-image, as they come and in the joint space; 0
        where there is no such side.
        """
        for layer, (keys, values) in zip(self.layers, memory, strict=True):
            x = layer(x, keys, values, is_word, is_patch)
        real = x_there.unsqueeze(-1)
        mean = (x * real).sum(1) / real.sum(1)
        most = x.masked_fill(~real, -torch.inf).amax(1)
        sides = torch.stack([is_word.any(1), is_patch.any(1)], 1).float()
        whole = torch.cat([cosines, sides], 1)
        return (self.whole(whole) + self.score(torch.cat([mean, most, whole], 1))).squeeze(1)
