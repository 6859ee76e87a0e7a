"""The bundled reranker: a small cross-modal cross-encoder, trained on the bundled corpus."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from mmgap import paths
from mmgap.encoders.batching import in_batches
from mmgap.encoders.catalog import ModelFacts
from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, RerankerInfo, check_pairs

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from mmgap.encoders.mini import MiniModel, SentenceTower
    from mmgap.rerankers.mini_network import CrossNetwork

MAX_WORDS = 32
"""Token states of a text that the network attends to; its sentence vector knows 128 tokens."""

TOWER = "mini-aligned"
"""The bundled encoder whose image tower the reranker sees through."""

SIDE = 128
"""Pixels along an edge of the white square that a picture is fitted into."""

_SCALE = 10.0  # brings states and patches near unit variance, where a network likes its input
_KEPT = 8192  # texts, and pictures, whose reading is kept from one call to the next: 0.2 GB
_PAIRS = ("text-text", "text-image", "text-fused")
_RECIPE = "1"  # raise when this file changes what a score is, so that cached ones are made again

Key = TypeVar("Key")
Thing = TypeVar("Thing")


class MiniReranker:
    """The bundled reranker: the query's tokens attend to the document's words and image patches.

    It reads a text query with a document that is a text, a picture, or both in one, and gives one
    logit; the scale is the same for all three, so scores of texts and pictures compare. The sigmoid
    of a logit is about the probability that a candidate answers, as among its training candidates.
    The token states of all-MiniLM-L6-v2 and the patches of mini-aligned's image tower go in, both
    frozen, and the colours of each patch; no encoder's score does. What is known of a document does
    not depend on the query up to the attention, so texts and pictures are read once and then kept:
    on one core thousands of pairs a second.

    It was trained on drawings, see the model card. It runs on the CPU, in float32.

    Parameters
    ----------
    name : str, default "mini-reranker"
        What ``info.id`` says.
    folder : Path or None
        Folder with ``model.safetensors`` and ``config.json``; by default the bundled one.
    facts : ModelFacts or None
        The catalogue's row.

    Attributes
    ----------
    info : RerankerInfo

    Raises
    ------
    EncoderError
        If the weights are missing, do not fit the configuration, or were trained with another
        image tower than the one that is here.
    MissingExtraError
        If the sentence tower is not installed.

    Examples
    --------
    >>> from mmgap.rerankers import Content, Pair, load_reranker
    >>> reranker = load_reranker("mini-reranker")  # doctest: +SKIP
    >>> cat, dog = Content("domestic animal that purrs"), Content("domestic animal that barks")
    >>> scores = reranker.score([Pair(Content("cat"), cat), Pair(Content("cat"), dog)])
    ... # doctest: +SKIP
    >>> bool(scores[0] > scores[1])  # doctest: +SKIP
    True
    """

    info: RerankerInfo

    def __init__(
        self,
        name: str = "mini-reranker",
        *,
        folder: Path | None = None,
        facts: ModelFacts | None = None,
    ) -> None:
        from mmgap.encoders.mini import MAX_TEXT_TOKENS, MINILM_SHA256, SentenceTower

        folder = folder or paths.data_dir() / "models" / "mini-reranker"
        config = _read_config(folder)
        self._network = _load_network(folder, config["network"])
        self._picture_tower = load_picture_tower(config["image_tower_sha256"])
        self._sentence_tower = SentenceTower()
        self._texts: OrderedDict[str, _Part] = OrderedDict()
        self._pictures: OrderedDict[bytes, _Part] = OrderedDict()
        weights = _sha256(folder / "model.safetensors")
        made_of = f"{_RECIPE} {MINILM_SHA256} {config['image_tower_sha256']} {weights}"
        self.info = RerankerInfo(
            id=name,
            fingerprint=hashlib.sha256(made_of.encode()).hexdigest(),
            backend="mini",
            score="logit, unbounded",
            modalities=_PAIRS,
            licence="Apache-2.0" if facts is None else facts.licence,
            max_text_tokens=MAX_TEXT_TOKENS,
        )

    def __repr__(self) -> str:
        return f"MiniReranker({self.info.id!r})"

    def score(self, pairs: Sequence[Pair], *, batch_size: int = 128) -> np.ndarray:
        """Return one float32 logit for each pair, of shape (n_pair,), in the order given.

        Parameters
        ----------
        pairs : sequence of Pair
            The query is a text, the document a text, a picture or both. Kinds may be mixed.
        batch_size : int, default 128

        Returns
        -------
        float32 ndarray of shape (n_pair,)
            Any number. Larger = more relevant.

        Raises
        ------
        EncoderError
            If a pair is of another kind.
        """
        pairs = check_pairs(pairs, self.info)
        if not pairs:
            return np.empty(0, dtype=np.float32)
        import torch

        with torch.inference_mode():
            call = self._read(pairs)
            return in_batches(
                range(len(pairs)),
                lambda rows: self._logits(call, np.asarray(rows)),
                batch_size=batch_size,
                length=lambda row: int(call.width[row]),
            )

    def read_ahead(self, documents: Sequence[Content]) -> None:
        """Read texts and pictures of documents, so that scoring them needs the attention alone.

        Scores are the same with or without. The last 8,192 texts and as many pictures are kept.

        Parameters
        ----------
        documents : sequence of Content
        """
        import torch

        with torch.inference_mode():
            self._recall_texts([each.text for each in documents if each.text and each.has_text])
            self._recall_pictures([each.image for each in documents if each.image is not None])

    def _read(self, pairs: Sequence[Pair]) -> _Call:
        """Read every text and picture once, and say which pair holds which."""
        asked = [pair.query.text or "" for pair in pairs]
        told = [pair.document.text if pair.document.has_text else None for pair in pairs]
        texts = self._recall_texts([*asked, *(text for text in told if text is not None)])
        images = [pair.document.image for pair in pairs]
        pictures, key_of = self._recall_pictures([image for image in images if image is not None])
        shown = [None if image is None else key_of[id(image)] for image in images]
        return _Call(texts, pictures, asked, told, shown)

    def _recall_texts(self, texts: Sequence[str]) -> dict[str, _Part]:
        return _recall(self._texts, texts, self._read_texts)

    def _recall_pictures(
        self, images: Sequence[Image.Image]
    ) -> tuple[dict[bytes, _Part], dict[int, bytes]]:
        """Return parts by the hash of their pixels, and that hash by the image's identity."""
        from mmgap.encoders.mini import square_array

        squares: dict[bytes, np.ndarray] = {}
        key_of: dict[int, bytes] = {}  # pairs mostly share the object, so each is looked at once
        for image in images:
            if id(image) not in key_of:
                square = square_array([image], SIDE)
                key = hashlib.blake2b(square.tobytes(), digest_size=16).digest()
                key_of[id(image)] = key
                squares[key] = square
        parts = _recall(
            self._pictures,
            list(squares),
            lambda keys: self._read_pictures(np.concatenate([squares[key] for key in keys])),
        )
        return parts, key_of

    def _read_texts(self, texts: Sequence[str]) -> list[_Part]:
        read = read_texts(self._sentence_tower, texts)
        tokens = self._network.words(read.states)
        joint = self._network.joint_text(read.sentence)
        return self._parts(tokens, read.lengths, read.sentence, joint)

    def _read_pictures(self, squares: np.ndarray) -> list[_Part]:
        read = read_pictures(self._picture_tower, squares)
        tokens = self._network.patches(read.patches, read.colours).flatten(0, 1)
        lengths = np.full(len(squares), read.patches.shape[1])
        return self._parts(tokens, lengths, read.picture, self._network.joint_image(read.picture))

    def _parts(
        self, tokens: torch.Tensor, lengths: np.ndarray, raw: torch.Tensor, joint: torch.Tensor
    ) -> list[_Part]:
        import torch

        memory = self._network.memory(tokens)
        looked_at = torch.cat([each for layer in memory for each in layer], dim=1)
        sizes = lengths.tolist()
        return [
            _Part(*(each.clone() for each in part))
            for part in zip(tokens.split(sizes), looked_at.split(sizes), raw, joint, strict=True)
        ]

    def _logits(self, call: _Call, rows: np.ndarray) -> np.ndarray:
        import torch
        from torch.nn.functional import embedding

        query, text, picture = call.query[rows], call.text[rows], call.picture[rows]
        asked = padded(call.start[query], call.length[query], call.nothing)
        words = padded(call.start[text], call.length[text], call.nothing)
        patches = padded(call.start[picture], call.length[picture], call.nothing)
        index = torch.from_numpy(np.concatenate([words, patches], axis=1))
        there = index != call.nothing
        is_word = there.clone()
        is_word[:, words.shape[1] :] = False
        seen = embedding(index, call.looked_at).chunk(2 * len(self._network.layers), dim=2)
        cosines = torch.stack(
            [
                (each[query] * each[other]).sum(1)
                for each in (call.raw, call.joint)
                for other in (text, picture)
            ],
            dim=1,
        )
        x = torch.from_numpy(asked)
        logits = self._network(
            embedding(x, call.tokens),
            x != call.nothing,
            list(zip(seen[::2], seen[1::2], strict=True)),
            is_word,
            there & ~is_word,
            cosines,
        )
        return logits.numpy()


class _Part(NamedTuple):
    """A text or a picture as the network has it, before any query."""

    tokens: torch.Tensor  # (n_token, dim)
    looked_at: torch.Tensor  # (n_token, 2 * layers * dim): keys and values
    raw: torch.Tensor  # (384,) unit norm
    joint: torch.Tensor  # (joint,) unit norm


class _Call:
    """All parts of one call in one table, and for each pair the places of its parts in it."""

    def __init__(
        self,
        texts: dict[str, _Part],
        pictures: dict[bytes, _Part],
        asked: Sequence[str],
        told: Sequence[str | None],
        shown: Sequence[bytes | None],
    ) -> None:
        import torch

        parts = [*texts.values(), *pictures.values()]
        place_of_text = {text: place for place, text in enumerate(texts)}
        place_of_picture = {key: len(texts) + place for place, key in enumerate(pictures)}
        absent = len(parts)  # one more part, without a token, all zero
        self.query = np.array([place_of_text[text] for text in asked])
        self.text = np.array([absent if text is None else place_of_text[text] for text in told])
        self.picture = np.array([absent if key is None else place_of_picture[key] for key in shown])
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
    from torch.nn.functional import pad

    return pad(joined(rows), (0, 0, 0, 1))


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
    """Return which rows of a packed table belong to each item, side by side.

    Parameters
    ----------
    starts, lengths : int ndarray of shape (n,)
        An item's first row and how many it has.
    nothing : int
        Fills the places of shorter items.

    Returns
    -------
    int ndarray of shape (n, longest)

    Examples
    --------
    >>> padded(np.array([0, 3]), np.array([3, 1]), 99).tolist()
    [[0, 1, 2], [3, 99, 99]]
    """
    place = np.arange(int(lengths.max(initial=0)))
    return np.where(place < lengths[:, None], starts[:, None] + place, nothing)


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
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _load_network(folder: Path, shape: dict[str, int]) -> CrossNetwork:
    from safetensors.torch import load_file

    from mmgap.rerankers.mini_network import CrossNetwork

    network = CrossNetwork(**shape)
    try:
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except RuntimeError as error:
        msg = f"the weights in {folder} do not fit its config.json: {error}"
        raise EncoderError(msg) from error
    return network.eval()


def load_picture_tower(expected_sha256: str | None = None) -> MiniModel:
    """Load the encoder whose image tower the reranker sees through.

    Parameters
    ----------
    expected_sha256 : str or None
        Hash of its weights; ``None`` takes any.

    Raises
    ------
    EncoderError
        If its weights are missing or others than expected.
    """
    from safetensors.torch import load_file

    from mmgap.encoders.mini import SENTENCE_DIM, MiniModel

    weights = paths.data_dir() / "models" / TOWER / "model.safetensors"
    found = _sha256(weights) if weights.is_file() else "missing"
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class TextRead:
    """What the frozen sentence tower says of some texts.

    Parameters
    ----------
    states : Tensor of shape (n_token, 384)
        Token states of all texts, one text after the other.
    lengths : int64 ndarray of shape (n_text,)
        How many of them each text has: 1 to ``MAX_WORDS``.
    sentence : Tensor of shape (n_text, 384)
        Unit norm.
    """

    states: torch.Tensor
    lengths: np.ndarray
    sentence: torch.Tensor


@dataclass(frozen=True)
class PictureRead:
    """What the frozen image tower says of some pictures.

    Parameters
    ----------
    patches : Tensor of shape (n_picture, 16, 384)
        In the space of the sentences; their mean points where ``picture`` does.
    colours : Tensor of shape (n_picture, 16, 48)
        Mean colours of a 4 x 4 grid inside each patch, from -1 to 1.
    picture : Tensor of shape (n_picture, 384)
        Unit norm.
    """

    patches: torch.Tensor
    colours: torch.Tensor
    picture: torch.Tensor


def read_texts(tower: SentenceTower, texts: Sequence[str]) -> TextRead:
    """Read texts with the frozen sentence tower, in batches of like length."""
    import torch
    from torch.nn.functional import normalize

    from mmgap.encoders.mini import MAX_TEXT_TOKENS

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
            sentence[rows] = normalize(mean, dim=1)
            for place, row in enumerate(rows):
                # The last token, [SEP], says nothing of its own.
                length = min(int(mask[place].sum()) - 1, MAX_WORDS)
                states[row] = hidden[place, :length].clone()
    lengths = np.array([len(each) for each in states], dtype=np.int64)
    return TextRead(torch.cat(states).clone() if states else torch.zeros(0, 384), lengths, sentence)


def read_pictures(model: MiniModel, squares: np.ndarray) -> PictureRead:
    """Read white squares (n, 128, 128, 3) with the tower and head of a locked-text encoder."""
    from mmgap.encoders.mini import to_pixels

    return read_pixels(model, to_pixels(squares))


def read_pixels(model: MiniModel, pixels: torch.Tensor) -> PictureRead:
    """Read pixels as :func:`mmgap.encoders.mini.to_pixels` gives them, (n, 3, 128, 128)."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, normalize

    patches, colours = [torch.zeros(0, 16, 384)], [torch.zeros(0, 16, 48)]
    with torch.inference_mode():
        for part in pixels.split(64):
            seen = model.image_tower.forward_features(part)  # (n, 1280, 4, 4)
            patches.append(model.image_head(seen.flatten(2).transpose(1, 2)))
            cells = adaptive_avg_pool2d(part, 16).reshape(-1, 3, 4, 4, 4, 4)
            colours.append(cells.permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, 48))
        every, mean = torch.cat(patches), torch.cat(patches).mean(1)
        return PictureRead(
            (_SCALE * every / mean.norm(dim=1)[:, None, None]).clone(),
            torch.cat(colours).clone(),
            normalize(mean, dim=1).clone(),
        )
