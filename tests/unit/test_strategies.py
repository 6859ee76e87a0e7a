"""Strategies on vectors small enough to score by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import MissingLegWarning, MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import (
    TRIVIAL,
    Pool,
    Strategy,
    merged_text_fraction,
    relevance,
    run_strategies,
    score_contrasts,
    score_distributions,
)
from mmgap.strategies.candidates import NOT_LISTED
from mmgap.strategies.distributions import distribution_frame


def unit(*angles_deg: float) -> np.ndarray:
    angles = np.deg2rad(angles_deg)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def vectors() -> Vectors:
    """One query along the x axis; scores are cosines of the angles, in degrees.

    document   text   image
    d0          10     80      best text, poor image
    d1          30     40
    d2          60     20      poor text, best image: the relevant one
    d3          --     50      no text
    """
    documents = [Document(f"d{index}", "t") for index in range(3)] + [Document("d3")]
    corpus = Corpus("tiny", documents, [Query("q", "x")], Qrels([Judgment("q", "d2", 1)]))
    legs = {
        "text": Leg(np.arange(3), unit(10, 30, 60)),
        "image": Leg(np.arange(4), unit(80, 40, 20, 50)),
    }
    return Vectors(corpus, EncoderInfo("angles", "angles", "hand", 2), unit(0), legs)


@pytest.fixture
def late(vectors: Vectors) -> Vectors:
    """The same scores by late interaction.

    The query has two equal tokens; each document the vector from above, and one that is worse.
    """

    def twice(embeddings: np.ndarray, second: np.ndarray) -> TokenVectors:
        return TokenVectors.from_arrays(list(np.stack([embeddings, second], axis=1)))

    legs = {
        name: Leg(leg.positions, twice(leg.embeddings, -leg.embeddings))
        for name, leg in vectors.legs.items()
    }
    queries = twice(vectors.queries, vectors.queries)
    return Vectors(vectors.corpus, vectors.encoder, queries, legs)


@pytest.fixture
def text_only(vectors: Vectors) -> Vectors:
    info = EncoderInfo("words", "words", "hand", 2, modalities=("text",))
    return Vectors(vectors.corpus, info, vectors.queries, {"text": vectors.text})


def ranking(vectors: Vectors, strategy: Strategy) -> dict[str, float]:
    (run,) = run_strategies(vectors, [strategy])
    return dict(run.top("q", 10))


def cos(degrees: float) -> float:
    return float(np.cos(np.deg2rad(degrees)))


def test_single_legs_hold_only_their_own_documents(vectors: Vectors) -> None:
    assert list(ranking(vectors, Strategy("t", ("text",)))) == ["d0", "d1", "d2"]
    assert list(ranking(vectors, Strategy("i", ("image",)))) == ["d2", "d1", "d3", "d0"]


def test_max_takes_each_documents_better_leg(vectors: Vectors) -> None:
    found = ranking(vectors, Strategy("max", merge="max"))
    expected = {"d0": cos(10), "d2": cos(20), "d1": cos(30), "d3": cos(50)}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-6)


def test_mean_uses_both_scores_and_one_where_a_leg_is_missing(vectors: Vectors) -> None:
    found = ranking(vectors, Strategy("mean", merge="mean"))
    expected = {
        "d1": (cos(30) + cos(40)) / 2,
        "d2": (cos(60) + cos(20)) / 2,
        "d3": cos(50),
        "d0": (cos(10) + cos(80)) / 2,
    }
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-6)


def test_rrf_adds_reciprocal_ranks(vectors: Vectors) -> None:
    found = ranking(vectors, Strategy("rrf", merge="rrf"))
    expected = {
        "d2": 1 / (60 + 3) + 1 / (60 + 1),
        "d1": 1 / (60 + 2) + 1 / (60 + 2),
        "d0": 1 / (60 + 1) + 1 / (60 + 4),
        "d3": 1 / (60 + 3),
    }
    assert found == pytest.approx(expected)
    assert list(found) == sorted(expected, key=expected.__getitem__, reverse=True)


def test_depth_cuts_the_legs_not_the_scores(vectors: Vectors) -> None:
    # One candidate a leg: d0 by text, d2 by image. Both keep their score in the other leg ...
    found = ranking(vectors, Strategy("mean", merge="mean", depth=1))
    assert found == pytest.approx(
        {"d2": (cos(60) + cos(20)) / 2, "d0": (cos(10) + cos(80)) / 2}, abs=1e-6
    )
    # ... but neither has a rank there.
    assert ranking(vectors, Strategy("rrf", merge="rrf", depth=1)) == {
        "d0": 1 / 61,
        "d2": 1 / 61,
    }


def test_candidates_are_unique_and_padded(vectors: Vectors) -> None:
    candidates = Pool(vectors, depth=2).candidates
    (row,) = candidates.documents
    assert row.tolist() == [0, 1, 2]  # text: d0 d1; image: d2 d1
    assert candidates.ranks["image"][0].tolist() == [NOT_LISTED, 2, 1]


def test_relevance_and_distributions_follow_the_judgments(vectors: Vectors) -> None:
    assert relevance(vectors).tolist() == [[False, False, True, False]]
    found = score_distributions(vectors)
    assert found.samples["image relevant"].mean == pytest.approx(cos(20), abs=1e-6)
    # Of the two texts that are not relevant, d0 (10 degrees) beats the image at 20 degrees.
    assert found.text_beats_relevant_image == pytest.approx(1 / 2)


def test_text_share_of_a_merged_index(vectors: Vectors) -> None:
    # Best three of both legs: text 10, image 20, text 30.
    assert merged_text_fraction(vectors, k=3) == pytest.approx([2 / 3])


def test_names_must_differ(vectors: Vectors) -> None:
    with pytest.raises(ValueError, match="different names"):
        run_strategies(vectors, [Strategy("a", ("text",)), Strategy("a", ("image",))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"legs": ()}, "one or more names"),
        ({"merge": "median"}, "choose merge from"),
        ({}, "2 legs and no merge"),
        ({"legs": ("text",), "merge": "max"}, "nothing to merge"),
        ({"merge": "max", "depth": 0}, "at least 1"),
    ],
)
def test_impossible_strategies_are_refused(options: dict, message: str) -> None:
    with pytest.raises(MmgapError, match=message):
        Strategy("bad", **options)


def test_trivial_strategies_are_the_legs_and_the_three_merges() -> None:
    assert [strategy.name for strategy in TRIVIAL] == [
        "text leg",
        "image leg",
        "max",
        "mean",
        "RRF",
    ]


# Pairs left out


def leave_out(vectors: Vectors, *pairs: tuple[str, str]) -> Vectors:
    return replace(vectors, corpus=replace(vectors.corpus, left_out={"q": frozenset(pairs)}))


@pytest.mark.parametrize("kind", ["vectors", "late"])
def test_a_pair_left_out_has_no_score(kind: str, request: pytest.FixtureRequest) -> None:
    whole = request.getfixturevalue(kind)
    less = leave_out(whole, ("d1", "text"), ("d3", "image"), ("d3", "text"))  # d3 has no text
    text, image = less.scores("text"), less.scores("image")
    assert np.isnan(text).tolist() == [[False, True, False]]
    assert np.isnan(image).tolist() == [[False, False, False, True]]
    np.testing.assert_array_equal(text[0, [0, 2]], whole.scores("text")[0, [0, 2]])
    assert np.isfinite(whole.scores("text")).all()


@pytest.mark.parametrize("kind", ["vectors", "late"])
def test_a_leg_with_a_hole_is_not_ranked(kind: str, request: pytest.FixtureRequest) -> None:
    less = leave_out(request.getfixturevalue(kind), ("d0", "text"))
    assert less.ranked_legs == ("image",)
    assert list(Pool(less, depth=4).candidates.scores) == ["image"]
    with pytest.warns(MissingLegWarning, match="no text leg can be ranked where queries are the"):
        runs = run_strategies(less)
    assert [run.name for run in runs] == ["image leg"]
    for strategy in (Strategy("t", ("text",)), Strategy("mean", merge="mean")):
        with pytest.raises(MmgapError, match=r"'q' must not meet the text of document 'd0'"):
            run_strategies(less, [strategy])
    assert Pool(less).legs == ("image",)


@pytest.mark.parametrize("kind", ["vectors", "late"])
def test_a_document_left_out_of_both_legs_leaves_no_hole(
    kind: str, request: pytest.FixtureRequest
) -> None:
    less = leave_out(request.getfixturevalue(kind), ("d0", "text"), ("d0", "image"))
    assert less.ranked_legs == ("text", "image")
    found = Pool(less, depth=1).candidates
    assert found.documents[0].tolist() == [1, 2]  # text 30 degrees instead of 10; image 20
    assert found.listed["text"][0].tolist() == [True, False]
    assert ranking(less, Strategy("t", ("text",), depth=2)) == pytest.approx(
        {"d1": cos(30), "d2": cos(60)}, abs=1e-6
    )


def test_lists_end_where_nothing_more_counts(vectors: Vectors) -> None:
    gone = [(name, leg) for name in ("d0", "d1") for leg in ("text", "image")]
    assert list(ranking(leave_out(vectors, *gone), Strategy("t", ("text",)))) == ["d2"]


def test_measures_do_not_see_pairs_left_out(vectors: Vectors) -> None:
    less = leave_out(vectors, ("d0", "text"))
    found = score_distributions(less)
    assert found.samples["text"].n == 2
    assert found.text_beats_relevant_image == 0  # of d1 alone, 30 against 20 degrees
    # Best three of what is left: image 20, text 30, image 40.
    assert merged_text_fraction(less, k=3) == pytest.approx([1 / 3])
    assert merged_text_fraction(less, k=9) == pytest.approx([2 / 6])  # there are no more
    nothing = leave_out(vectors, ("d0", "text"), ("d1", "text"), ("d2", "text"))
    assert merged_text_fraction(nothing, k=3) == [0]


# Late interaction


def test_late_interaction_runs_every_strategy(vectors: Vectors, late: Vectors) -> None:
    for one, other in zip(run_strategies(vectors), run_strategies(late), strict=True):
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    for depth in (1, 2):
        strategy = Strategy("mean", merge="mean", depth=depth)
        assert ranking(late, strategy) == pytest.approx(ranking(vectors, strategy), abs=1e-6)


def test_late_interaction_has_the_distributions_of_its_scores(
    vectors: Vectors, late: Vectors
) -> None:
    one, other = (score_distributions(item).to_frame()["value"] for item in (vectors, late))
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(merged_text_fraction(late, k=3), [2 / 3])
    one, other = (score_contrasts(item)["value"] for item in (vectors, late))
    np.testing.assert_allclose(one, other, atol=1e-6)


# One leg


def test_strategies_without_their_leg_are_left_out_and_named(text_only: Vectors) -> None:
    with pytest.warns(MissingLegWarning, match="words: no image leg, so left out: image") as told:
        runs = run_strategies(text_only)
    assert len(told) == 1
    assert "image leg, max, mean, RRF" in str(told[0].message)
    assert told[0].filename == __file__
    assert [run.name for run in runs] == ["text leg"]
    assert list(runs[0].top("q", 10)) == ["d0", "d1", "d2"]


def test_no_warning_where_nothing_is_left_out(text_only: Vectors) -> None:
    assert len(run_strategies(text_only, [Strategy("t", ("text",))])) == 1


def test_no_strategy_left_is_an_error(text_only: Vectors, vectors: Vectors) -> None:
    with pytest.raises(MmgapError, match=r"\['i'\] need legs that 'words' does not have .*'text'"):
        run_strategies(text_only, [Strategy("i", ("image",))])
    empty = Leg(np.empty(0, dtype=int), np.empty((0, 2), dtype=np.float32))
    nothing = Vectors(vectors.corpus, vectors.encoder, vectors.queries, {"text": empty})
    with pytest.raises(MmgapError, match="has no vector for any document of 'tiny'"):
        run_strategies(nothing)
    with pytest.raises(MmgapError, match="has no vector for any document of 'tiny'"):
        Pool(nothing, 1)


def test_a_leg_that_holds_no_document_is_as_good_as_none(vectors: Vectors) -> None:
    empty = Leg(np.empty(0, dtype=int), np.empty((0, 2), dtype=np.float32))
    legs = {"text": empty, "image": vectors.image}
    images = Vectors(vectors.corpus, vectors.encoder, vectors.queries, legs)
    with pytest.warns(MissingLegWarning, match="no text leg, so left out: text leg, max"):
        runs = run_strategies(images)
    assert [run.name for run in runs] == ["image leg"]
    assert list(runs[0].top("q", 10)) == ["d2", "d1", "d3", "d0"]
    assert set(distribution_frame(images)["sample"]) == {"image", "image relevant"}


def test_one_leg_is_described_and_compared_with_nothing(
    vectors: Vectors, text_only: Vectors
) -> None:
    both = distribution_frame(vectors)
    alone = distribution_frame(text_only)
    assert "text against image" in set(both["sample"])
    expected = both[
        both["sample"].str.startswith("text") & (both["sample"] != "text against image")
    ]
    assert alone.to_dict("records") == expected.to_dict("records")
    for ask in (score_distributions, score_contrasts, merged_text_fraction):
        with pytest.raises(MmgapError, match="needs both legs; 'words' has no image leg"):
            ask(text_only)
