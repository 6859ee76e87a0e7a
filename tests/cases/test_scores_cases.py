"""Inputs that gave wrong numbers or a traceback in score functions; and noise stays noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from typer.testing import CliRunner

from mmgap import scores
from mmgap.cli import app
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.errors import MmgapError
from mmgap.index.vectors import Leg, Vectors
from mmgap.mitigate import MITIGATIONS
from mmgap.scores import calibrator_transfer, threshold_transfer
from mmgap.scores.calibrate import CALIBRATORS, fit_legs
from mmgap.scores.normalise import NORMALISERS
from mmgap.scores.reliability import brier_score, calibration_error, reliability_table
from mmgap.scores.thresholds import find_threshold, threshold_curve
from mmgap.strategies import threshold_table


def graded(n_query: int = 60, n_doc: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, bools, and the same judgments as grades: relevant 1 to 3, others 0 and -2."""
    rng = np.random.default_rng(0)
    relevant = rng.random((n_query, n_doc)) < 0.1
    values = 0.05 * rng.normal(size=relevant.shape) + np.where(relevant, 0.35, 0.25)
    grades = np.where(relevant, rng.integers(1, 4, relevant.shape), 0)
    grades[~relevant & (rng.random(relevant.shape) < 0.3)] = -2
    return values, relevant, grades


def calibrated(name: str, values, judgments):
    return clone(CALIBRATORS[name]).fit(values, judgments).transform(values)


def column(calibrator, values, judgments):
    return calibrator.fit(values.reshape(-1, 1), judgments.reshape(-1, 1))


# What every function that takes judgments makes of scores and judgments.
DOORS = {
    **{f"calibrate {name}": lambda s, y, name=name: calibrated(name, s, y) for name in CALIBRATORS},
    "fit_legs": lambda s, y: (
        fit_legs(CALIBRATORS["platt"], {"text": s}, {"text": y})["text"].slope_
    ),
    "find_threshold": lambda s, y: find_threshold(s, y, precision=0.3, n_resamples=9).value,
    "threshold_transfer": lambda s, y: threshold_transfer(
        find_threshold(s, y, precision=0.3, n_resamples=9), {"a": (s, y)}, n_resamples=9
    )["recall"],
    "threshold_curve": lambda s, y: threshold_curve(s, y, n_points=9, n_resamples=9)["value"],
    "calibrator_transfer": lambda s, y: calibrator_transfer(
        column(clone(CALIBRATORS["platt"]), s, y), {"a": (s, y)}
    )["brier"],
    "calibration_error": lambda s, y: calibration_error(s, y).ece,
    "brier_score": lambda s, y: brier_score(s, y).score,
    "reliability_table": lambda s, y: reliability_table({"a": s.clip(0)}, {"a": y})["n_relevant"],
    "score_distributions": lambda s, y: [
        scores.score_distributions(s, s, text_relevant=y, image_relevant=y)
        .samples["text relevant"]
        .n,
        scores.score_distributions(s, s, image_relevant=y).text_beats_relevant_image,
    ],
    "rank_inflation": lambda s, y: scores.rank_inflation(s, s + 0.01, y)["text"].inflation,
    "wrong_modality": lambda s, y: scores.wrong_modality(s, s + 0.01, y)["text"].wrong_modality,
    "decompose_merge_loss": lambda s, y: (
        scores.decompose_merge_loss(
            s, s + 0.01, y, reference_text_scores=s, reference_image_scores=s
        )["text"].ceiling
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_c05_relevant_means_grade_1_or_more(door):
    values, relevant, grades = graded()
    np.testing.assert_array_equal(DOORS[door](values, grades), DOORS[door](values, relevant))


def test_c05_a_calibrator_keeps_its_direction():
    rng = np.random.default_rng(1)
    grades = (rng.random(2000) < 0.02).astype(int)
    values = 0.03 * rng.normal(size=2000) + np.where(grades, 0.32, 0.25)
    plain = calibrated("platt", values[:, None], grades)
    grades[np.flatnonzero((grades == 0) & (values < 0.22))[:38]] = -2
    np.testing.assert_array_equal(calibrated("platt", values[:, None], grades), plain)


@pytest.mark.parametrize("judgments", [[0.0, np.nan], ["yes", "no"]])
def test_c05_what_is_no_grade_is_refused(judgments):
    with pytest.raises(MmgapError, match="bools or grades"):
        find_threshold(np.array([0.1, 0.2]), np.array(judgments), precision=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *((f"--precision {value}", "precision must lie between 0 and 1") for value in (0, 1, 1.5)),
        ("--precision nan", "precision must lie between 0 and 1"),
        ("--false-positive-rate 0", "false positive rate must lie"),
        ("--false-positive-rate 1", "false positive rate must lie"),
        ("", "name one target"),
        ("--precision 0.9 --false-positive-rate 0.1", "name one target"),
    ],
)
def test_c20_targets_out_of_range_are_refused_before_any_work(options, message, monkeypatch):
    monkeypatch.setattr("mmgap.cli.job.Job.halves", lambda *_: pytest.fail("work was begun"))
    result = CliRunner().invoke(app, ["threshold", *options.split()])
    assert isinstance(result.exception, MmgapError)
    assert message in str(result.exception)


def pool(name: str, legs: dict[str, np.ndarray], own_texts: bool = False, n_relevant: int = 1):
    """Vectors of which query i is answered by document i and the next ones; no two names alike."""
    n = len(next(iter(legs.values())))
    documents = [Document(f"{name}{i}", "t") for i in range(n)]
    queries = [Query(f"{name}.q{i}", "x") for i in range(n)]
    judgments = [
        Judgment(f"{name}.q{i}", f"{name}{(i + step) % n}", 1)
        for i in range(n)
        for step in range(n_relevant)
    ]
    left_out = {f"{name}.q{i}": frozenset({(f"{name}{i}", "text")}) for i in range(n)}
    corpus = Corpus(
        name, documents, queries, Qrels(judgments), left_out=left_out if own_texts else {}
    )
    rng = np.random.default_rng(len(name))
    info = EncoderInfo("noise", "noise", "noise", 16)
    found = {leg: Leg(np.arange(len(rows)), rows) for leg, rows in legs.items()}
    return Vectors(corpus, info, unit(rng.normal(size=(n, 16))), found)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def noise(seed: int, n: int = 40) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, 16)))


NONE = np.empty((0, 16), dtype=np.float32)
FOLDERS = {
    "own texts": ({"text": noise(1), "image": noise(2)}, {"own_texts": True}, "another source"),
    "no text": ({"text": NONE, "image": noise(2)}, {}, None),
    "one leg": ({"image": noise(2)}, {}, None),
    "all relevant": (
        {"text": noise(1), "image": noise(2)},
        {"n_relevant": 40},
        "1600 of the 1600 are relevant",
    ),
    "one document": ({"text": noise(1, 1), "image": noise(2, 1)}, {}, "1 of the 1 are relevant"),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_c44_a_leg_without_pairs_to_judge_says_so_and_the_other_has_its_threshold(folder):
    legs, options, reason = FOLDERS[folder]
    if folder == "no text":
        legs = {"image": legs["image"], "text": NONE}
    calibration, test = (pool(name, legs, **options) for name in ("c", "tt"))
    table = threshold_table(calibration, test, false_positive_rate=0.2, n_resamples=9)
    table = table.set_index("leg")
    assert set(table.index) == set(calibration.filled_legs)
    if reason is not None:
        assert reason in table["reason"].iloc[0]
        assert np.isnan(table["threshold"].iloc[0])
    if folder in {"own texts", "no text", "one leg"}:
        assert table.loc["image", "reason"] == ""
        assert table.loc["image", "reached"] in (True, False)


def test_c44_test_queries_that_cannot_judge_leave_the_threshold_unchecked():
    legs = {"text": noise(1), "image": noise(2)}
    calibration, test = pool("c", legs), pool("tt", legs, own_texts=True)
    text, image = threshold_table(
        calibration, test, false_positive_rate=0.2, n_resamples=9
    ).itertuples()
    assert np.isfinite(text.threshold)
    assert "another source" in text.reason
    assert np.isnan(text.observed)
    assert image.reason == ""


# Noise in, chance out. Bounds are five standard errors of what chance alone gives.


def noise_pairs(seed: int, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.25, 0.05, (100, 40)), rng.random((100, 40)) < rate


@pytest.mark.parametrize("name", CALIBRATORS)
def test_null_probabilities_of_noise_stay_at_the_base_rate(name):
    values, relevant = noise_pairs(2)
    fitted = fit_legs(CALIBRATORS[name], {"text": values}, {"text": relevant})["text"]
    fresh, truth = noise_pairs(3)
    probability = fitted.transform(fresh)
    error = np.sqrt(0.1 * 0.9 / values.size)
    assert abs(probability.mean() - relevant.mean()) < 5 * error
    brier = brier_score(probability, truth)
    # No better than the base rate itself, and hardly worse.
    assert -5 * error / 10 < brier.score - brier.uncertainty < 0.01
    # Nine of ten probabilities lie near the base rate: no score is evidence.
    assert np.abs(probability - 0.1)[np.isfinite(probability)].mean() < 0.05


@pytest.mark.parametrize(
    ("target", "recall"), [({"precision": 0.5}, None), ({"false_positive_rate": 0.1}, 0.1)]
)
def test_null_a_threshold_on_noise(target, recall):
    found = [find_threshold(*noise_pairs(seed), n_resamples=0, **target) for seed in range(20)]
    if recall is None:
        assert [threshold.value for threshold in found] == [None] * 20
        assert all("the highest lower bound of the precision is" in one.reason for one in found)
    else:
        # 20 x 400 relevant pairs, accepted as often as the others.
        assert np.mean([one.recall for one in found]) == pytest.approx(
            recall, abs=0.02 + 5 * np.sqrt(0.1 * 0.9 / 8000)
        )


def test_null_no_threshold_of_noise_vectors_is_told_as_reached():
    calibration, test = (
        pool(name, {"text": noise(seed, 80), "image": noise(seed + 1, 80)})
        for name, seed in (("c", 10), ("tt", 20))
    )
    table = threshold_table(calibration, test, precision=0.5, n_resamples=9)
    assert table["threshold"].isna().all()
    assert (table["reason"] != "").all()


def recall_of_chance(merged: np.ndarray, k: int = 10) -> tuple[float, float]:
    """Recall@k where document i answers query i, and five standard errors of chance."""
    ranked = np.argsort(-np.nan_to_num(merged, nan=-np.inf), axis=1, kind="stable")[:, :k]
    n_query, n_doc = merged.shape
    hits = (ranked == np.arange(n_query)[:, None] % n_doc).any(axis=1)
    chance = k / n_doc
    return hits.mean() - chance, 5 * np.sqrt(chance * (1 - chance) / n_query)


@pytest.mark.parametrize("name", [*NORMALISERS, *CALIBRATORS])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_null_noise_on_one_scale_merges_at_chance(name, missing):
    rng = np.random.default_rng(4)
    levels = {"text": (0.6, 0.1), "image": (0.2, 0.03)}
    banks, legs = (
        {leg: rng.normal(*level, size=(400, 40)) for leg, level in levels.items()} for _ in range(2)
    )
    for values in legs.values():
        values[rng.random(values.shape) < missing] = np.nan
    relevant = np.arange(400)[:, None] % 40 == np.arange(40)
    estimator = (NORMALISERS | CALIBRATORS)[name]
    judged = dict.fromkeys(legs, relevant) if name in CALIBRATORS else None
    fitted = fit_legs(estimator, banks, judged)
    merged = np.nanmean([np.nan_to_num(fitted[leg].transform(legs[leg])) for leg in legs], axis=0)
    difference, bound = recall_of_chance(merged)
    assert abs(difference) < bound


@pytest.mark.parametrize("name", MITIGATIONS)
def test_null_mitigated_noise_stays_at_chance(name):
    rng = np.random.default_rng(5)
    offset = {"query": 0.0, "text": 0.1, "image": 0.5}
    calibration, test = (
        {role: rng.normal(size=(200, 16)) + level for role, level in offset.items()}
        for _ in range(2)
    )
    legs = clone(MITIGATIONS[name]).fit(calibration).leg_scores(test)
    for merged in (*legs.values(), sum(legs.values())):
        difference, bound = recall_of_chance(merged)
        assert abs(difference) < bound


def test_null_noise_of_one_scale_has_no_modality_ahead():
    rng = np.random.default_rng(6)
    text, image = rng.normal(size=(2, 400, 40))
    relevant = np.arange(400)[:, None] % 40 == np.arange(40)
    found = scores.score_distributions(text, image, text_relevant=relevant, image_relevant=relevant)
    error = 1 / np.sqrt(12 * 400)
    for chance in (found.text_beats_relevant_image, found.image_beats_relevant_text):
        assert abs(chance - 0.5) < 5 * error
    assert abs(found.dominance - 0.5) < 5 * error
    first = scores.wrong_modality(text, image, image_relevant=relevant)["image"]
    assert abs(np.mean(first.wrong_modality) - 0.5) < 5 * np.sqrt(0.25 / 400)
    ranks = scores.rank_inflation(text, image, image_relevant=relevant)["image"]
    assert np.mean(ranks.merged_rank) == pytest.approx(41, abs=5 * 40 / np.sqrt(3 * 400) * 1.2)
