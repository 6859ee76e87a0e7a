"""Inputs that gave wrong advice or none, each with what should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from typer.testing import CliRunner

import mmgap as mg
from mmgap.cli import app
from mmgap.strategies import (
    METHODS,
    Strategy,
    advise,
    format_leaderboard,
    format_single_modality,
    judge,
    label_budget,
    leaderboard,
    single_modality_table,
    split_queries,
)


def features(n: int, *, noise: float = 0.5, dim: int = 12) -> mg.index.Vectors:
    """Pairs whose queries are near their document's image and text, by so much noise."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(n, dim))
    text, queries = (image + noise * rng.normal(size=(n, dim)) for _ in range(2))
    return mg.embed(mg.load_features(image, text, queries, name="made"))


@pytest.mark.parametrize("command", ["leaderboard", "advise", "label-budget"], ids="C01-{}".format)
def test_queries_that_are_their_documents_texts_are_refused(command: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("image", "text"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(40, 8)))
    corpus = f"{tmp_path}/image.npy,{tmp_path}/text.npy"
    done = CliRunner().invoke(app, [command, "--corpus", corpus])
    assert done.exit_code != 0
    assert "bring queries of your own" in str(done.exception) + done.output


class _FailsToRun:
    """A merge that needs more than there is."""

    def __call__(self, *_: object) -> None:
        msg = "needs 16 queries"
        raise ValueError(msg)


class _Fails(_FailsToRun, BaseEstimator):
    """And says so when it is fitted."""

    def fit(self, *_: object) -> None:
        self()


BROKEN = Strategy("broken", merge=_Fails())
SOME = [METHODS[name] for name in ("text leg", "image leg", "raw, mean", "platt, log-odds")]


@pytest.mark.parametrize("n_labels", [20, 40], ids="C18-advise-{}-labels".format)
def test_advice_from_one_or_two_queries(n_labels: int) -> None:
    found = advise(*split_queries(features(60)), n_labels=n_labels)
    assert found.method in METHODS
    assert not found.failures.keys() & set(found.table["method"])
    for name, reason in found.failures.items():
        assert f"{name}: {reason}" in found.to_text()


def test_c18_a_method_that_cannot_be_fitted_is_left_out_and_listed() -> None:
    calibration, test = split_queries(features(40))
    reason = {"broken": "needs 16 queries"}
    whole, found = (leaderboard(calibration, test, each) for each in (SOME, [*SOME, BROKEN]))
    assert found.attrs["failures"] == reason
    np.testing.assert_array_equal(found["p_holm"], whole["p_holm"])
    assert format_leaderboard(found)["method"].tolist() == (
        format_leaderboard(whole)["method"].tolist()
    )

    asked = single_modality_table(calibration, test, [*SOME[:3], BROKEN])
    assert asked.attrs["failures"] == reason
    assert "broken" not in format_single_modality(asked)["method"].tolist()

    references = [SOME[0], Strategy("broken", merge=_FailsToRun())]
    budget = label_budget(calibration, test, n_draws=3, budgets=(0,), references=references)
    assert budget.attrs["failures"] == reason

    for how in ({"folds": 5}, {"calibration": test}):
        judged = judge([*SOME, BROKEN], calibration, **how)
        assert judged.failures == reason
        assert judged.names == [method.name for method in SOME]

    advised = advise(calibration, test, methods=[*SOME, BROKEN], n_labels=None)
    assert dict(advised.failures) == {"broken": "needs 16 queries"}
    assert "broken: needs 16 queries" in advised.to_text()


def test_c45_recall_at_chance_is_said_with_chance_and_the_languages() -> None:
    rng = np.random.default_rng(1)
    vectors = features(80)
    queries = rng.normal(size=vectors.queries.shape).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    lost = mg.index.Vectors(
        vectors.corpus, mg.load_encoder("mini-clip").info, queries, vectors.legs
    )
    found = advise(*split_queries(lost), methods=SOME)
    assert "a random order of the documents 12.5 %" in found.warning
    assert "'mini-clip' reads en" in found.warning
    assert found.to_text().splitlines()[1].startswith("Warning: no leg finds more than chance")
    assert advise(*split_queries(vectors), methods=SOME).warning == ""
