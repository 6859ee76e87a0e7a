"""Thresholds against brute force, scipy's exact intervals and their own target, and leg by leg."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from mmgap.cli import app
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.scores import calibrator_transfer, threshold_transfer
from mmgap.scores.calibrate import PlattCalibrator
from mmgap.scores.reliability import brier_score, calibration_error
from mmgap.scores.thresholds import find_threshold
from mmgap.strategies import threshold_table


@pytest.fixture
def pairs():
    """60 queries with 20 documents, scores rounded so that many tie, one document missing each."""
    rng = np.random.default_rng(11)
    relevant = rng.random((60, 20)) < 0.2
    scores = rng.normal(0.25 + 0.1 * relevant, 0.04).round(2)
    scores[:, 0] = np.nan
    return scores, relevant


def by_brute_force(scores, relevant, measure, target, confidence):
    """Smallest score whose exact one-sided bound reaches the target, by scipy."""
    there = ~np.isnan(scores)
    s, y = scores[there], relevant[there]
    for at in np.unique(s):
        accepted = s >= at
        if measure == "precision":
            k, n, side = y[accepted].sum(), accepted.sum(), "greater"
        else:
            k, n, side = (accepted & ~y).sum(), (~y).sum(), "less"
        interval = binomtest(int(k), int(n), alternative=side).proportion_ci(confidence)
        if measure == "precision" and interval.low >= target:
            return at, interval.low, k / n
        if measure != "precision" and interval.high <= target:
            return at, interval.high, k / n
    return None, None, None


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(
    ("measure", "target"),
    [
        ("precision", 0.3),
        ("precision", 0.6),
        ("precision", 0.85),
        ("precision", 0.99),
        ("false_positive_rate", 0.2),
        ("false_positive_rate", 0.05),
        ("false_positive_rate", 0.01),
        ("false_positive_rate", 0.003),
        ("false_positive_rate", 0.002),
    ],
)
def test_the_smallest_threshold(pairs, measure, target, confidence):
    found = find_threshold(*pairs, **{measure: target}, confidence=confidence, n_resamples=0)
    value, bound, estimate = by_brute_force(*pairs, measure, target, confidence)
    assert found.value == value
    assert found.bound == (None if bound is None else pytest.approx(bound))
    assert found.estimate == (None if estimate is None else pytest.approx(estimate))
    assert (found.reason == "") == (value is not None)
    assert (found.low, found.high) == (None, None)
    assert np.isnan(found.found)
    if value is not None:
        scores, relevant = pairs
        accepted = scores >= value
        assert found.recall == pytest.approx(
            (accepted & relevant)[:, 1:].sum() / relevant[:, 1:].sum()
        )
        assert (found.n_accepted, found.n_pairs) == (accepted.sum(), 60 * 19)
        np.testing.assert_array_equal(found.accept(scores), accepted)


def test_both_outcomes_occur_above(pairs):
    """The brute-force test would be empty if all targets were reached, or none."""
    values = [
        find_threshold(*pairs, precision=target, n_resamples=0).value for target in (0.3, 0.6, 0.99)
    ]
    assert [value is None for value in values] == [False, False, True]
    assert values[0] < values[1]


def test_none_has_a_reason(pairs):
    none = find_threshold(*pairs, precision=0.99, n_resamples=20)
    assert none.value is None
    assert none.reason.startswith("the highest lower bound of the precision is 0.")
    with pytest.raises(ValueError, match="no threshold to apply: the highest lower bound"):
        none.accept(np.array([0.5]))
    # (1 - .05)^n <= .05 for n >= 58.4: with 20 others nothing can be promised.
    scores, relevant = np.linspace(0, 1, 40), np.arange(40) >= 20
    few = find_threshold(scores, relevant, false_positive_rate=0.05)
    assert few.reason == (
        "20 non-relevant pairs are too few: even no false positive among them leaves the rate's "
        "upper bound above 0.05; at least 59 are needed"
    )
    assert (few.found, few.low, few.high) == (0, None, None)
    enough = np.linspace(0, 1, 79)
    assert find_threshold(enough, np.arange(79) >= 59, false_positive_rate=0.05).value == enough[59]
    assert find_threshold(enough, np.arange(79) >= 58, false_positive_rate=0.05).value is None
    # (1 - .5)^2 is .25 exactly: no false positive out of two is promised, one is not.
    exact = find_threshold(
        np.array([0.1, 0.2, 0.3]),
        np.array([0, 0, 1]),
        false_positive_rate=0.5,
        confidence=0.75,
    )
    assert exact.value == 0.3
    # The best score belongs to others that are too many already.
    tied = find_threshold(np.array([1.0] * 9 + [0.0] * 91), np.arange(100) >= 99,
                          false_positive_rate=0.05)  # fmt: skip
    assert tied.reason == "the highest score, 1, alone has 9 false positives of 1 allowed"


@pytest.mark.parametrize("tied", [True, False])
def test_the_interval_is_that_of_resampled_queries(pairs, tied):
    scores, relevant = pairs
    if not tied:  # then each score is that of one query, which a draw may lack
        scores = scores + np.random.default_rng(14).uniform(-0.005, 0.005, scores.shape)
    found = find_threshold(
        scores, relevant, precision=0.6, n_resamples=200, rng=np.random.default_rng(1)
    )
    rng = np.random.default_rng(1)
    values = []
    for _ in range(200):
        rows = rng.integers(60, size=60)
        again = find_threshold(scores[rows], relevant[rows], precision=0.6, n_resamples=0)
        values.append(again.value)
    reached = sorted(value for value in values if value is not None)
    assert found.found == len(reached) / 200
    assert found.low == np.quantile(reached, 0.025, method="inverted_cdf")
    assert found.high == np.quantile(reached, 0.975, method="inverted_cdf")
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    assert found == find_threshold(
        scores, relevant, precision=0.6, n_resamples=200, rng=np.random.default_rng(1)
    )


def test_the_false_positive_rate_is_reached_as_often_as_asked():
    """Scores uniform, so the true rate of a threshold t is 1 - t; 2000 calibration sets."""
    rng = np.random.default_rng(12)
    broken = 0
    for _ in range(2000):
        scores = np.append(rng.random(200), 2.0)  # one relevant pair above all others
        found = find_threshold(
            scores, scores > 1, false_positive_rate=0.1, confidence=0.9, n_resamples=0
        )
        # Acceptance starts at a score drawn; the next other below it is the one that failed.
        broken += 1 - min(found.value, 1) > 0.1
    # Nominal 10 %; the bound is exact, and conservative for steps of one pair.
    assert 0.05 < broken / 2000 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 2000)


def test_precision_is_reached_about_as_often_as_asked():
    """P(relevant | s) = s^2, so the precision from t on is (1 - t^3) / (3 (1 - t))."""
    rng = np.random.default_rng(13)
    broken = 0
    for _ in range(500):
        scores = rng.random(1000)
        found = find_threshold(scores, rng.random(1000) < scores**2, precision=0.6, n_resamples=0)
        t = found.value
        broken += (1 - t**3) / (3 * (1 - t)) < 0.6
    assert 0.01 < broken / 500 < 0.09


def test_more_confidence_never_accepts_more(pairs):
    for target in ({"precision": 0.6}, {"false_positive_rate": 0.05}):
        values = [
            find_threshold(*pairs, **target, confidence=confidence, n_resamples=0).value
            for confidence in (0.6, 0.8, 0.95, 0.99)
        ]
        assert values == sorted(values)
        assert values[0] < values[-1]


def test_an_increasing_map_moves_the_threshold_along(pairs):
    scores, relevant = pairs
    raw = find_threshold(scores, relevant, precision=0.6, n_resamples=50)
    mapped = find_threshold(np.exp(scores), relevant, precision=0.6, n_resamples=50)
    assert mapped.value == np.exp(raw.value)
    assert mapped.low == np.exp(raw.low)
    assert mapped.bound == raw.bound


def test_transfer_of_a_threshold_by_hand():
    scores, relevant = np.repeat([0.2, 0.8], 60), np.repeat([False, True], 60)
    other = np.array([[0.9, 0.9], [0.8, 0.1], [0.3, np.nan], [0.9, 0.2], [0.1, 0.2]])
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]])
    nothing = (np.array([0.1, 0.2]), np.array([0, 1]))
    precise = find_threshold(scores, relevant, precision=0.9, n_resamples=0)
    table = threshold_transfer(precise, {"own": (scores, relevant), "other": (other, truth),
                                         "nothing": nothing})  # fmt: skip
    assert table["corpus"].tolist() == ["own", "other", "nothing"]
    assert (table["threshold"] == 0.8).all()
    assert (table["target"] == 0.9).all()
    assert table["observed"][:2].tolist() == [1, 0.5]
    assert np.isnan(table["observed"][2])
    assert table["reached"].tolist() == [True, False, False]
    assert table["recall"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert table["n_accepted"].tolist() == [60, 4, 0]
    assert table["n_pairs"].tolist() == [120, 9, 2]
    # Queries drawn anew: from no relevant pair accepted to none but relevant ones.
    assert (table["ci_low"][1], table["ci_high"][1]) == (0, 1)
    assert np.isnan(table["ci_low"][2])
    strict = find_threshold(scores, relevant, false_positive_rate=0.1, n_resamples=0)
    assert strict.value == 0.8
    (row,) = threshold_transfer(strict, {"other": (other, truth)}).to_dict("records")
    assert row["observed"] == pytest.approx(2 / 6)
    assert row["measure"] == "false positive rate"
    assert not row["reached"]


def test_transfer_interval_is_a_bootstrap_over_queries():
    """Queries accept 0 or 5 relevant of 5: the share of 200 such queries has sd .5 / sqrt(200)."""
    scores, relevant = np.repeat([0.2, 0.8], 60), np.repeat([False, True], 60)
    found = find_threshold(scores, relevant, precision=0.5, n_resamples=0)
    truth = np.repeat(np.arange(200)[:, None] % 2, 5, axis=1)
    (row,) = threshold_transfer(found, {"x": (np.full((200, 5), 0.9), truth)}).to_dict("records")
    assert row["observed"] == 0.5
    half = 1.96 * 0.5 / np.sqrt(200)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.5 - half, 0.5 + half), abs=0.01)


def test_transfer_of_a_calibrator(pairs):
    scores, relevant = pairs
    fitted = PlattCalibrator().fit(scores.reshape(-1, 1), relevant.reshape(-1))
    table = calibrator_transfer(
        fitted, {"own": pairs, "louder": (scores + 0.1, relevant)}, bins=10
    ).set_index("corpus")
    p = fitted.transform(scores.reshape(-1, 1)).reshape(scores.shape)
    error = calibration_error(p, relevant, bins=10, strategy="quantile")
    assert table.loc["own", "ece"] == error.ece
    assert table.loc["own", "ece_null"] == error.null
    assert table.loc["own", "brier"] == brier_score(p, relevant).score
    share = relevant[:, 1:].mean()
    assert table.loc["own", "fraction_relevant"] == pytest.approx(share)
    assert table.loc["own", "mean_probability"] == pytest.approx(share, abs=0.002)
    assert table.loc["own", "brier_of_base_rate"] == pytest.approx(share * (1 - share))
    assert table.loc["own", "n"] == 60 * 19
    # Scores of another level: most pairs are promised to be relevant.
    assert table.loc["louder", "ece"] > 0.3
    assert table.loc["louder", "brier"] > table.loc["louder", "brier_of_base_rate"]


def test_unusable_input_is_refused(pairs):
    scores, relevant = pairs
    with pytest.raises(ValueError, match="give one target"):
        find_threshold(scores, relevant)
    with pytest.raises(ValueError, match="give one target"):
        find_threshold(scores, relevant, precision=0.9, false_positive_rate=0.1)
    with pytest.raises(ValueError, match="precision must lie between 0 and 1; got 1"):
        find_threshold(scores, relevant, precision=1)
    with pytest.raises(ValueError, match=r"confidence must lie between 0\.5 and 1"):
        find_threshold(scores, relevant, precision=0.9, confidence=0.05)
    with pytest.raises(ValueError, match="must have one shape"):
        find_threshold(scores, relevant[:, 1:], precision=0.9)
    with pytest.raises(ValueError, match="infinite score"):
        find_threshold(np.array([np.inf, 0.1]), np.array([1, 0]), precision=0.9)
    with pytest.raises(
        ValueError, match="needs relevant and non-relevant pairs with a score; 0 of the"
    ):
        find_threshold(scores, np.zeros_like(relevant), precision=0.9)
    found = find_threshold(scores, relevant, precision=0.3, n_resamples=0)
    with pytest.raises(ValueError, match="corpus 'x': a threshold needs"):
        threshold_transfer(found, {"x": (scores, np.ones_like(relevant))})


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
