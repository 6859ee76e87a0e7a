from __future__ import annotations

import pytest
from tiny_rerankers import noise

from mmgap.errors import EncoderError
from mmgap.rerankers.base import Content, Pair, RerankerInfo, check_pairs

INFO = RerankerInfo("demo", "", "none", "logit", modalities=("text-text", "text-image"))


def test_kinds() -> None:
    text, image, fused = Content("cat"), Content(image=noise(0)), Content("cat", noise(0))
    assert [side.kind for side in (text, image, fused)] == ["text", "image", "fused"]
    assert Pair(text, fused).kind == "text-fused"
    assert Pair(image, text).kind == "image-text"


def test_a_blank_text_beside_an_image_counts_as_none() -> None:
    assert Content(" \n", noise(0)).kind == "image"


@pytest.mark.parametrize("text", [None, "", " \t"])
def test_nothing_to_read_is_refused(text: str | None) -> None:
    with pytest.raises(EncoderError, match=r"needs a text that is not blank, an image, or both"):
        Content(text)


def test_an_image_must_be_opened_and_a_text_a_str() -> None:
    with pytest.raises(EncoderError, match=r"image is a str; expected a PIL image"):
        Content(image="cat.png")
    with pytest.raises(EncoderError, match=r"text is a Image; .*Content\(image=\.\.\.\)"):
        Content(noise(0))


def test_pairs_are_checked_and_named_by_their_place() -> None:
    good = (Content("cat"), Content(image=noise(0)))
    assert [pair.kind for pair in check_pairs([good, Pair(*good)], INFO)] == ["text-image"] * 2
    assert check_pairs([], INFO) == []
    with pytest.raises(
        EncoderError,
        match=r"pair 1 is image-text \(query-document\), and 'demo' takes text-text, text-image",
    ):
        check_pairs([good, good[::-1]], INFO)
    for bad in (("cat", "dog"), (Content("cat"),), Content("cat"), [*good]):
        with pytest.raises(EncoderError, match=r"pair 0 is .*; expected Pair\(Content"):
            check_pairs([bad], INFO)
