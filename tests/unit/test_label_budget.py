"""How many labels calibrated fusion needs: closed forms, independent fits, and its figure."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    assert_legible_size,
    assert_no_clipped_text,
    assert_no_overlapping_text,
)
from scipy.optimize import minimize
from test_methods import drawn, vectors_of, without

from mmgap import plots
from mmgap.errors import MmgapError
from mmgap.strategies import METHODS, Pool, label_budget
from mmgap.strategies.tables import WAYS, fit_slopes


def one_leg_is_noise(seed: int, n_query: int = 60, n_doc: int = 80):
    """Relevant documents stand out in the text leg; the image leg is noise of the same spread."""
    rng = np.random.default_rng(seed)
    relevant = np.eye(n_query, n_doc, dtype=bool)
    text, image = rng.standard_normal((2, n_query, n_doc))
    text[relevant] += 2.5
    return vectors_of(text, image, relevant)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return label_budget(one_leg_is_noise(1), one_leg_is_noise(2), n_draws=40)


# --- the fit -------------------------------------------------------------------------------------


def test_the_fit_is_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3, 50, 2)) + 2
    labels = rng.random((3, 50)) < 0.3
    found = fit_slopes(features, labels, prior_sd=0.7)
    for fit in range(3):

        def loss(at: np.ndarray, fit: int = fit) -> float:
            logit = features[fit] @ at[:2] + at[2]
            likelihood = np.logaddexp(0, np.where(labels[fit], -logit, logit)).sum()
            return likelihood + ((at[:2] - 1) ** 2).sum() / (2 * 0.49) + at[2] ** 2 / 200

        known = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(found[fit], known.x[:2], atol=1e-5)


def test_no_label_leaves_the_prior_and_labels_of_one_kind_move_it_little() -> None:
    assert fit_slopes(np.empty((2, 0, 2)), np.empty((2, 0), dtype=bool)).tolist() == [[1, 1]] * 2
    features = np.random.default_rng(0).standard_normal((1, 10, 2)) + 3
    for kind in (False, True):
        found = fit_slopes(features, np.full((1, 10), kind))
        assert np.isfinite(found).all()
        assert np.abs(found - 1).max() < 0.5


def test_separable_labels_have_a_finite_fit() -> None:
    features = np.linspace(-1e3, 1e3, 40).reshape(1, 40, 1)
    assert np.isfinite(fit_slopes(features, features[:, :, 0] > 0)).all()


def test_a_stronger_prior_holds_faster() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((1, 100, 2)), rng.random((1, 100)) < 0.5
    away = [
        np.abs(fit_slopes(features, labels, prior_sd=sd) - 1).max() for sd in (0.01, 0.1, 1, 10)
    ]
    assert away == sorted(away)
    assert away[0] < 0.01


# --- the curve -----------------------------------------------------------------------------------


def row(table: pd.DataFrame, method: str, n_labels: float | None = None) -> pd.Series:
    chosen = table[table["method"] == method]
    chosen = chosen[
        chosen["n_labels"].isna() if n_labels is None else chosen["n_labels"] == n_labels
    ]
    (found,) = (chosen.iloc[i] for i in range(len(chosen)))
    return found


def test_without_labels_it_is_the_label_free_merge() -> None:
    """Also on real vectors, and for queries whose relevant documents no leg lists."""
    for calibration, test, depth in [
        (one_leg_is_noise(1), one_leg_is_noise(2), 100),
        (drawn(1), drawn(2), 4),
    ]:
        pools = [Pool(vectors, depth=depth) for vectors in (calibration, test)]
        table = label_budget(*pools, budgets=(0,), n_draws=3)
        for way in WAYS:
            found = row(table, way, 0)
            assert found["value"] == pytest.approx(row(table, "reference z, mean")["value"])
            assert found["text_weight"] == 0.5
            assert found["draw_low"] == found["draw_high"] == pytest.approx(found["value"])


def test_labels_find_out_which_leg_to_trust(table: pd.DataFrame) -> None:
    for way in WAYS:
        weights = [row(table, way, n)["text_weight"] for n in (0, 30, 300, 1000)]
        assert weights == sorted(weights)
        assert weights[-1] > 0.75
        gain = row(table, way, 1000)["value"] - row(table, way, 0)["value"]
        assert gain > 0.1
        assert row(table, way, 1000)["value"] <= row(table, "text leg")["ci_high"]


def test_draws_agree_more_with_more_labels(table: pd.DataFrame) -> None:
    for way in WAYS:
        widths = [
            row(table, way, n)["draw_high"] - row(table, way, n)["draw_low"]
            for n in (10, 100, 1000)
        ]
        assert widths[0] > widths[2]


def test_intervals_cover_draws_and_queries(table: pd.DataFrame) -> None:
    fitted = table[table["n_labels"].notna()]
    assert (fitted["ci_low"] <= fitted["value"]).all()
    assert (fitted["value"] <= fitted["ci_high"]).all()
    own = fitted["draw_high"] - fitted["draw_low"]
    assert ((fitted["ci_high"] - fitted["ci_low"]) >= own - 0.02).all()


def test_ten_labels_of_which_none_is_relevant() -> None:
    """Relevant documents are in no leg's first ten, so that every label says no."""
    rng = np.random.default_rng(0)
    relevant = np.eye(6, 40, dtype=bool)
    text, image = rng.random((2, 6, 40)) + 1
    text[relevant] = image[relevant] = 0
    bank = vectors_of(text, image, relevant)
    table = label_budget(bank, one_leg_is_noise(2), budgets=(0, 10), n_draws=5)
    found = row(table, WAYS[1], 10)
    assert found["n_relevant"] == 0
    assert 0.4 < found["text_weight"] < 0.6


def test_labels_of_the_test_queries_are_not_used() -> None:
    """Judgments of the test change what is measured, never the weights."""
    calibration, test = one_leg_is_noise(1), one_leg_is_noise(2)
    other = one_leg_is_noise(3)
    first, second = (
        label_budget(calibration, each, budgets=(30,), n_draws=20) for each in (test, other)
    )
    assert row(first, WAYS[0], 30)["text_weight"] == row(second, WAYS[0], 30)["text_weight"]


def test_budgets_above_what_there_is_are_left_out() -> None:
    table = label_budget(
        one_leg_is_noise(1, n_query=3, n_doc=12), one_leg_is_noise(2), budgets=(10, 1000), n_draws=2
    )
    assert set(table["n_labels"].dropna()) == {10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budgets": (-1,)}, "expected budgets of 0 or more"),
        ({"n_draws": 0}, "expected budgets of 0 or more"),
        ({"prior_sd": 0}, "positive prior_sd"),
        ({"references": [METHODS["platt, log-odds"]], "budgets": (0,)}, "is fitted on labels"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(MmgapError, match=message):
        label_budget(drawn(1), drawn(2), **{"n_draws": 2, **options})


def test_both_legs_are_needed() -> None:
    with pytest.raises(MmgapError, match="no image leg"):
        label_budget(drawn(1), without(drawn(2), "image"))


# --- the figure ----------------------------------------------------------------------------------


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def curve(panels=("mini-clip, (a) new styles", "mini-siglip, (b) new concepts")) -> pd.DataFrame:
    rows = [
        (panel, way, n, "recall@10", v := 0.4 + 0.03 * i + 0.02 * j, v - 0.05, v + 0.04)
        for panel, (j, way), (i, n) in itertools.product(
            panels, enumerate(WAYS), enumerate((0, 10, 30, 100, 300, 1000))
        )
    ]
    rows += [
        (panel, name, np.nan, "recall@10", v := 0.5 - 0.05 * i, v - 0.03, v + 0.03)
        for panel in panels
        for i, name in enumerate(
            ("reference z, mean", "raw, mean", "RRF, k = 60", "text leg", "image leg")
        )
    ]
    columns = ["panel", "method", "n_labels", "measure", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.usefixtures("any_style")
@pytest.mark.parametrize("n_panel", [1, 2, 3])
def test_the_figure_is_readable(n_panel: int) -> None:
    names = ("mini-clip, (a) new styles", "mini-siglip, (b) new concepts", "mini-aligned, (a)")
    figure = plots.label_budget(curve(names[:n_panel]), panels="panel")
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


def test_points_intervals_and_lines_stand_where_they_belong() -> None:
    table = curve(["one"])
    axes = plots.label_budget(table).axes[0]
    curves = axes.containers
    for at, (way, drawn_curve) in enumerate(zip(WAYS, curves, strict=True)):
        wanted = table[table["method"] == way]
        line, _, (bars,) = drawn_curve
        np.testing.assert_allclose(np.array(line.get_xdata(), float), np.arange(6) + 0.14 * at)
        np.testing.assert_allclose(line.get_ydata(), 100 * wanted["value"])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(
            ends.astype(float), 100 * wanted[["ci_low", "ci_high"]].to_numpy()
        )
    flat = {
        round(float(line.get_ydata()[0]), 6)
        for line in axes.get_lines()
        if len(line.get_xdata()) == 2 and line.get_xdata()[0] == 0
    }
    assert flat == {50, 45, 40, 35, 30}
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "0",
        "10",
        "30",
        "100",
        "300",
        "1000",
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (curve().drop(columns="ci_low"), r"lacks the columns \['ci_low'\]"),
        (curve().drop(columns="panel"), "several rows share one method, n_labels"),
        (curve(["one"]).query("n_labels != n_labels"), "no row has a number of labels"),
    ],
)
def test_the_figure_refuses_what_it_cannot_draw(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.label_budget(table)
