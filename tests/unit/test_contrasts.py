"""Contrasts of texts and images on vectors small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.evaluation import verdict
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import merged_text_fraction, score_distributions
from mmgap.strategies.contrasts import score_contrasts


def unit(*cosines: float) -> np.ndarray:
    return np.array([(cosine, np.sqrt(1 - cosine**2)) for cosine in cosines], dtype=np.float32)


@pytest.fixture
def vectors() -> Vectors:
    """Three documents for the query (1, 0); the second one is relevant, the last has no image."""
    documents = [Document(f"d{index}", "t") for index in range(3)]
    corpus = Corpus("tiny", documents, [Query("q", "x")], Qrels([Judgment("q", "d1", 1)]))
    legs = {
        "text": Leg(np.arange(3), unit(0.8, 0.6, 0.4)),
        "image": Leg(np.arange(2), unit(0.7, 0.5)),
    }
    return Vectors(corpus, EncoderInfo("hand", "hand", "hand", 2), unit(1.0), legs)


def test_contrasts_are_those_counted_by_hand(vectors: Vectors) -> None:
    table = score_contrasts(vectors, k=2).set_index("measure")
    assert table["value"].to_dict() == pytest.approx(
        {
            "text_above_image": 3 / 6,  # .8 beats both images, .6 one, .4 none
            "text_beats_relevant_image": 1 / 2,  # .8 and .4 against the image of d1, .5
            "image_beats_relevant_text": 1.0,  # .7 against the text of d1, .6
            "text_fraction": 1 / 2,  # .8 (text), .7 (image)
            "sd_text_minus_image": np.std([0.8, 0.6, 0.4]) - 0.1,
        },
        rel=1e-5,
    )
    assert (table["n"] == 1).all()
    assert (table["ci_low"] == table["ci_high"]).all()


def test_contrasts_agree_with_the_pooled_distributions(vectors: Vectors) -> None:
    pooled = score_distributions(vectors)
    value = score_contrasts(vectors).set_index("measure")["value"]
    assert value["text_above_image"] == pytest.approx(pooled.dominance)
    for measure in ("text_beats_relevant_image", "image_beats_relevant_text"):
        assert value[measure] == pytest.approx(getattr(pooled, measure))
    assert value["text_fraction"] == pytest.approx(merged_text_fraction(vectors).mean())


def test_contrasts_without_the_relevant_text(vectors: Vectors) -> None:
    """The relevant text is left out, as where a caption is the query: nothing can beat it."""
    left_out = {"q": frozenset({("d1", "text")})}
    less = replace(vectors, corpus=replace(vectors.corpus, left_out=left_out))
    table = score_contrasts(less, k=2).set_index("measure")
    assert table.loc["image_beats_relevant_text", "n"] == 0
    assert table.loc["image_beats_relevant_text", ["value", "ci_low", "ci_high"]].isna().all()
    assert table["value"].to_dict() == pytest.approx(
        {
            "text_above_image": 2 / 4,  # .8 beats both images, .4 none
            "text_beats_relevant_image": 1 / 2,
            "image_beats_relevant_text": np.nan,
            "text_fraction": 1 / 2,
            "sd_text_minus_image": 0.2 - 0.1,
        },
        rel=1e-5,
        nan_ok=True,
    )


def test_contrasts_of_a_query_with_no_text_left(vectors: Vectors) -> None:
    left_out = {"q": frozenset((f"d{at}", "text") for at in range(3))}
    less = replace(vectors, corpus=replace(vectors.corpus, left_out=left_out))
    table = score_contrasts(less, k=2).set_index("measure")
    assert table["n"].to_dict() == {
        "text_above_image": 0,
        "text_beats_relevant_image": 0,
        "image_beats_relevant_text": 0,
        "text_fraction": 1,
        "sd_text_minus_image": 0,
    }


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.1), (float("nan"), 1.0)])
def test_verdict_refuses_what_is_no_interval(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="lower one first"):
        verdict(low, high)
