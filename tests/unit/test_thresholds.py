"""Thresholds leg by leg: found on calibration queries, judged on test queries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mmgap.cli import app
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import threshold_table

HAND = EncoderInfo("hand", "hand", "hand", 2)


def unit(cosines: np.ndarray) -> np.ndarray:
    return np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1).astype(np.float32)


def vectors(name: str, text: list[float], image: list[float], n_relevant: int) -> Vectors:
    """Sixty equal queries at (1, 0); the first documents are relevant to all of them."""
    documents = [Document(f"{name}{index}", "t") for index in range(len(text))]
    queries = [Query(f"{name}.q{index}", "x") for index in range(60)]
    judgments = [
        Judgment(query.id, document.id, 1)
        for query in queries
        for document in documents[:n_relevant]
    ]
    places = np.arange(len(text))
    legs = {
        "text": Leg(places, unit(np.array(text))),
        "image": Leg(places, unit(np.array(image))),
    }
    return Vectors(
        Corpus(name, documents, queries, Qrels(judgments)), HAND, unit(np.ones(60)), legs
    )


def test_each_leg_gets_its_own_threshold_and_is_judged_on_test_queries():
    calibration = vectors("c", [0.8, 0.4, 0.2], [0.3, 0.2, 0.1], n_relevant=1)
    # On the test pool the best text is wrong and the best image right.
    test = vectors("t", [0.4, 0.8, 0.2], [0.3, 0.2, 0.1], n_relevant=1)
    table = threshold_table(calibration, test, precision=0.9, n_resamples=20).set_index("leg")
    np.testing.assert_allclose(table["threshold"], [0.8, 0.3], atol=1e-6)
    assert table["recall"].tolist() == [1.0, 1.0]
    assert table["observed"].tolist() == [0.0, 1.0]
    assert table["observed_recall"].tolist() == [0.0, 1.0]
    assert table["reached"].tolist() == [False, True]
    assert table["reason"].tolist() == ["", ""]


def test_a_leg_without_a_threshold_says_why():
    calibration = vectors("c", [0.4, 0.8, 0.2], [0.3, 0.2, 0.1], n_relevant=1)
    test = vectors("t", [0.4, 0.8, 0.2], [0.3, 0.2, 0.1], n_relevant=1)
    text, image = threshold_table(calibration, test, precision=0.9, n_resamples=20).itertuples()
    assert text.reason.startswith("the highest lower bound of the precision is 0.")
    assert np.isnan(text.threshold)
    assert np.isnan(text.observed)
    assert image.threshold == pytest.approx(0.3)


def test_the_same_queries_and_other_encoders_are_refused():
    part = vectors("c", [0.8, 0.4], [0.3, 0.2], n_relevant=1)
    with pytest.raises(MmgapError, match=r"60 queries are in both parts, 'c.q0' among them"):
        threshold_table(part, part, precision=0.9)
    other = replace(
        vectors("t", [0.8, 0.4], [0.3, 0.2], n_relevant=1), encoder=replace(HAND, id="other")
    )
    with pytest.raises(MmgapError, match="threshold holds for one encoder"):
        threshold_table(part, other, precision=0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one target"),
        (["--precision", "0.9", "--false-positive-rate", "0.1"], "name one target"),
    ],
)
def test_the_command_says_what_it_needs(arguments, message):
    result = CliRunner().invoke(app, ["threshold", *arguments])
    assert isinstance(result.exception, MmgapError)
    assert message in str(result.exception)
