"""Every rule of jina-reranker-m0's forward pass, and what it says when it cannot run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_rerankers import noise

from mmgap.encoders.catalog import ModelFacts
from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, Reranker
from mmgap.rerankers.jina_m0 import JinaM0Reranker

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
PAIRS = [
    Pair(Content("the red cat"), Content("a dog, and the query of a much longer document")),
    Pair(Content("blue"), Content(image=noise(1))),
    Pair(Content(image=noise(2, (140, 28))), Content("red dog")),
    Pair(Content(image=noise(3)), Content(image=noise(4, (56, 112)))),
    Pair(Content("the cat"), Content("red", noise(5))),
    Pair(Content("no"), Content("yes")),
]


@pytest.fixture(scope="module")
def m0(tiny_m0: Path) -> JinaM0Reranker:
    return JinaM0Reranker(str(tiny_m0), device="cpu")


def logits(reranker: JinaM0Reranker, *pairs: Pair) -> np.ndarray:
    return reranker.logits(pairs)


def rows(reranker: JinaM0Reranker, *pairs: Pair) -> list[list[int]]:
    """The token numbers of each pair, without what pads them."""
    batch = reranker._inputs(pairs)
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def test_scores(m0: JinaM0Reranker) -> None:
    assert isinstance(m0, Reranker)
    scores = m0.score(PAIRS)
    assert scores.dtype == np.float32
    assert scores.shape == (6,)
    assert ((scores > 0) & (scores < 1)).all()
    assert len(np.unique(scores)) == 6
    np.testing.assert_array_equal(scores.argsort(), logits(m0, *PAIRS).argsort())
    assert m0.score([]).shape == (0,)
    assert m0.score([]).dtype == np.float32


def test_facts(m0: JinaM0Reranker, tiny_m0: Path) -> None:
    assert m0.info.id == str(tiny_m0)
    assert (m0.info.backend, m0.info.licence) == ("jina-m0", "cc-by-nc-4.0")
    assert m0.info.score == "sigmoid(logit - 2.65), in [0, 1]"
    assert {pair.kind for pair in PAIRS} == set(m0.info.modalities)
    assert m0.info.max_text_tokens == 10240


def test_catalogue_row_names_the_licence_and_not_the_commit_of_a_folder(tiny_m0: Path) -> None:
    facts = ModelFacts(
        id="jinaai/jina-reranker-m0",
        backend="jina-m0",
        modalities=("text-text",),
        licence="CC-BY-NC-4.0",
        languages=("multilingual",),
        revision="abc",
    )
    reranker = JinaM0Reranker("jinaai/jina-reranker-m0", folder=tiny_m0, facts=facts)
    assert reranker.info.id == "jinaai/jina-reranker-m0"
    assert (reranker.info.licence, reranker.info.revision) == ("CC-BY-NC-4.0", None)


@pytest.mark.parametrize(
    ("pair", "prompt"),
    [
        (PAIRS[5], "**Document**:\nyes\n**Query**:\nno"),
        (PAIRS[1], f"**Document**:\n{IMAGE}\n**Query**:\nblue"),
        (PAIRS[2], f"**Document**:\nred dog\n**Query**:\n{IMAGE}"),
        (PAIRS[3], f"**Document**:\n{IMAGE}\n**Query**:\n{IMAGE}"),
        (PAIRS[4], f"**Document**:\n{IMAGE}\nred\n**Query**:\nthe cat"),
    ],
    ids=lambda value: value.kind if isinstance(value, Pair) else "",
)
def test_the_document_stands_before_the_query(pair: Pair, prompt: str, m0: JinaM0Reranker) -> None:
    (row,) = rows(m0, pair)
    tokenizer = m0._processor.tokenizer
    pad = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    # each image is one run of placeholders, shown as one of them
    seen = [
        token
        for place, token in enumerate(row[:-1])
        if not (token == pad and place and row[place - 1] == pad)
    ]
    assert tokenizer.decode(seen) == prompt


def test_swapping_query_and_document_changes_the_score(m0: JinaM0Reranker) -> None:
    pair = PAIRS[0]
    there, back = logits(m0, pair, Pair(pair.document, pair.query))
    assert abs(there - back) > 1e-3


def test_every_sequence_ends_in_the_score_token(m0: JinaM0Reranker) -> None:
    # the last byte of this c with cedilla is 0xA7, so its own last token has number 100 too
    pairs = [*PAIRS, Pair(Content("ç"), Content("cat"))]
    batch = m0._inputs(pairs)
    assert batch["input_ids"][:, -1].tolist() == [100] * 7
    assert batch["attention_mask"][:, -1].tolist() == [1] * 7
    assert batch["mm_token_type_ids"][:, -1].tolist() == [0] * 7
    assert rows(m0, pairs[-1])[0][-2:] == [100, 100]


def test_no_text_is_the_score_token(m0: JinaM0Reranker) -> None:
    """It is half a character, so only its number can be appended."""
    tokenizer = m0._processor.tokenizer
    assert tokenizer.convert_ids_to_tokens(100) == "§"  # how Qwen writes the byte 0xA7
    assert tokenizer(tokenizer.decode([100]))["input_ids"] != [100]
    letters = [chr(code) for code in range(0x3000)]
    assert [100] not in tokenizer(letters)["input_ids"]


def test_the_sigmoid_is_offset(m0: JinaM0Reranker, tiny_m0: Path) -> None:
    values = logits(m0, *PAIRS)
    np.testing.assert_allclose(m0.score(PAIRS), 1 / (1 + np.exp(2.65 - values)), rtol=1e-5)
    # a head that knows only its bias gives that as the logit
    flat = JinaM0Reranker(str(tiny_m0), device="cpu")
    flat._head["score.2.weight"].zero_()
    flat._head["score.2.bias"].fill_(2.65)
    assert flat.score(PAIRS[:1]) == pytest.approx(0.5)
    flat._head["score.2.bias"].fill_(0)
    assert flat.score(PAIRS[:1]) == pytest.approx(1 / (1 + np.exp(2.65)))


def test_padding_is_on_the_left(m0: JinaM0Reranker) -> None:
    mask = m0._inputs(PAIRS)["attention_mask"]
    assert mask[:, 0].min() == 0
    assert (mask.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
def test_a_score_does_not_depend_on_its_batch(batch_size: int, m0: JinaM0Reranker) -> None:
    alone = np.concatenate([logits(m0, pair) for pair in PAIRS])
    together = m0.logits(PAIRS, batch_size=batch_size)
    np.testing.assert_allclose(together, alone, atol=2e-5)
    back = m0.logits(PAIRS[::-1], batch_size=batch_size)
    np.testing.assert_allclose(back[::-1], alone, atol=2e-5)


def test_the_backbone_is_told_which_tokens_are_images(m0: JinaM0Reranker) -> None:
    batch = m0._inputs(PAIRS)
    pad = m0._processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    np.testing.assert_array_equal(batch["mm_token_type_ids"], batch["input_ids"] == pad)
    assert batch["mm_token_type_ids"].sum(dim=1).tolist() == [0, 6, 5, 14, 6, 0]


def test_the_documents_image_comes_first(m0: JinaM0Reranker) -> None:
    pair = PAIRS[3]
    batch = m0._inputs([pair])
    assert batch["image_grid_thw"].tolist() == [[1, 8, 4], [1, 4, 6]]  # patches: height, width
    alone = m0._inputs([Pair(Content("x"), pair.document)])["pixel_values"]
    np.testing.assert_array_equal(batch["pixel_values"][:32], alone)
    there, back = logits(m0, pair, Pair(pair.document, pair.query))
    assert abs(there - back) > 1e-3


def test_the_image_matters(m0: JinaM0Reranker) -> None:
    one, other = logits(m0, PAIRS[1], Pair(PAIRS[1].query, Content(image=noise(9))))
    assert abs(one - other) > 1e-3


def test_long_documents_and_queries_are_cut(tiny_m0: Path) -> None:
    reranker = JinaM0Reranker(str(tiny_m0), device="cpu", max_length=1000, max_query_length=40)
    long = Pair(Content("dog" * 41), Content("cat" * 961))
    fitting = Pair(Content("dog" * 40), Content("cat" * 960))
    assert rows(reranker, long) == rows(reranker, fitting)
    assert rows(reranker, Pair(Content("dog" * 39), Content("cat" * 959))) != rows(
        reranker, fitting
    )
    np.testing.assert_array_equal(logits(reranker, long), logits(reranker, fitting))
    # an image may need 770 tokens, which leaves 190 for the text beside it
    for query, document in (
        (Content(image=noise(1)), Content("cat" * 500)),
        (Content("dog"), Content("cat" * 500, noise(1))),
    ):
        cat = reranker._processor.tokenizer.convert_tokens_to_ids("cat")
        assert rows(reranker, Pair(query, document))[0].count(cat) == 190


def test_lengths_that_leave_no_room_are_refused(tiny_m0: Path) -> None:
    with pytest.raises(EncoderError, match=r"max_length above max_query_length \+ 770"):
        JinaM0Reranker(str(tiny_m0), max_length=1282)


def test_images_are_resized_by_pillow_within_the_limits(m0: JinaM0Reranker) -> None:
    kind = type(m0._processor.image_processor).__name__
    assert kind == "Qwen2VLImageProcessorPil"
    big, small = (
        Pair(Content("x"), Content(image=noise(0, size))) for size in ((1500, 1000), (10, 10))
    )
    assert m0._inputs([big])["mm_token_type_ids"].sum() == 33 * 22  # 924 x 616 pixels
    assert m0._inputs([small])["mm_token_type_ids"].sum() == 4


def test_a_text_cannot_pass_for_an_image(m0: JinaM0Reranker) -> None:
    """Else the document's image would go to the query's text."""
    pair = Pair(Content(f"what is {IMAGE}?"), Content(image=noise(1)))
    assert m0._inputs([pair])["mm_token_type_ids"].sum() == 6
    assert np.isfinite(m0.score([pair])).all()


def test_a_text_that_looks_like_a_path_stays_a_text(m0: JinaM0Reranker, image_file: Path) -> None:
    pair = Pair(Content("cat"), Content(str(image_file)))
    assert "pixel_values" not in m0._inputs([pair])
    assert str(image_file) in m0._processor.tokenizer.decode(rows(m0, pair)[0])


def test_both_hub_revisions_give_the_same(m0: JinaM0Reranker, tiny_m0_new: Path) -> None:
    new = JinaM0Reranker(str(tiny_m0_new), device="cpu")
    np.testing.assert_allclose(logits(new, *PAIRS), logits(m0, *PAIRS), atol=1e-6)


def test_bfloat16_keeps_the_head_in_float32(m0: JinaM0Reranker, tiny_m0: Path) -> None:
    half = JinaM0Reranker(str(tiny_m0), device="cpu", dtype="bfloat16")
    scores = logits(half, *PAIRS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, logits(m0, *PAIRS), atol=0.3)
    as_bfloat16 = (scores.view(np.uint32) >> 16 << 16).view(np.float32)
    assert (scores != as_bfloat16).any()  # finer than bfloat16 can be
    assert half.info.fingerprint != m0.info.fingerprint


def test_batches_that_do_not_fit_are_halved(
    m0: JinaM0Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    expected = logits(m0, *PAIRS)
    forward = m0._backbone.forward

    def small(input_ids: torch.Tensor, **rest: object) -> object:
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError
        return forward(input_ids=input_ids, **rest)

    monkeypatch.setattr(m0._backbone, "forward", small)
    with pytest.warns(RuntimeWarning, match="did not fit into memory"):
        np.testing.assert_allclose(logits(m0, *PAIRS), expected, atol=2e-5)


def test_fingerprint_is_of_files_and_options(m0: JinaM0Reranker, tiny_m0: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_m0, copy)
    (copy / "README.md").write_text("another card")
    assert JinaM0Reranker(str(copy)).info.fingerprint == m0.info.fingerprint
    shorter = JinaM0Reranker(str(copy), max_length=5000)
    assert shorter.info.fingerprint != m0.info.fingerprint
    config = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(config | {"image_mean": [0, 0, 0]}))
    assert JinaM0Reranker(str(copy)).info.fingerprint != m0.info.fingerprint


def test_a_thin_image_is_named(m0: JinaM0Reranker) -> None:
    thin = Pair(Content("x"), Content(image=Image.new("RGB", (3, 900))))
    with pytest.raises(EncoderError, match=r"image of pair 1 is 3 x 900 pixels; .* 200 times"):
        m0.score([PAIRS[1], thin])


def edited(folder: Path, tmp_path: Path, drop: str) -> Path:
    """A copy without the weights whose names begin so."""
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "edited"
    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(drop)}
    assert len(kept) < len(weights)
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def test_a_checkpoint_without_the_score_head(tiny_m0: Path, tmp_path: Path) -> None:
    folder = edited(tiny_m0, tmp_path, "score.2")
    with pytest.raises(
        EncoderError, match=r"edited.* no score head: score\.2\.weight, score\.2\.bias missing"
    ):
        JinaM0Reranker(str(folder))


def test_a_checkpoint_without_part_of_the_backbone(tiny_m0: Path, tmp_path: Path) -> None:
    """transformers would go on with random numbers."""
    folder = edited(tiny_m0, tmp_path, "visual.merger")
    with pytest.raises(EncoderError, match=r"lacks 6 of the model.s weights, such as .*merger"):
        JinaM0Reranker(str(folder))


@pytest.mark.parametrize("damage", ["config.json", "tokenizer.json", "model.safetensors"])
def test_an_incomplete_folder_names_itself(damage: str, tiny_m0: Path, tmp_path: Path) -> None:
    folder = tmp_path / "incomplete"
    shutil.copytree(tiny_m0, folder)
    data = (folder / damage).read_bytes()
    (folder / damage).write_bytes(data[: len(data) // 2])
    with pytest.raises(EncoderError, match=r"incomplete.*cannot be loaded"):
        JinaM0Reranker(str(folder))
