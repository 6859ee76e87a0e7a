"""Figures of the leaderboard and of the label budget."""

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

from mmgap import plots
from mmgap.strategies import METHODS
from mmgap.strategies.labels import WAYS

LEGS = ("text leg", "image leg")


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def board(names=("raw, mean", "likelihood ratio, normal, log-odds", *LEGS)) -> pd.DataFrame:
    rows = []
    for place, (panel, name) in enumerate(
        itertools.product(("(a) new styles", "(b) new concepts"), names)
    ):
        middle = 0.3 + 0.05 * place
        rows.append(
            {"panel": panel, "method": name, "family": "leg" if "leg" in name else "raw"}
            | {"measure": "recall@10", "value": middle, "ci_low": middle - 0.03}
            | {"ci_high": middle + 0.03, "optimistic": middle + 0.1 * ("text" in name)}
            | {"pessimistic": middle - 0.1 * ("text" in name), "p_holm": 0.001 * 100**place}
        )
    return pd.DataFrame(rows)


@pytest.mark.usefixtures("any_style")
def test_the_figure_is_readable() -> None:
    figure = plots.leaderboard(board(), panels="panel")
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


@pytest.mark.usefixtures("any_style")
def test_the_figure_of_all_methods_is_readable() -> None:
    figure = plots.leaderboard(board([*METHODS][:40]), panels="panel")
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)


def test_dots_stand_at_their_values_best_method_first() -> None:
    table = board()
    first = plots.leaderboard(table, panels="panel").axes[0]
    names = [label.get_text() for label in first.get_yticklabels()]
    mean = table.groupby("method")["value"].mean().sort_values(ascending=False)
    assert names == list(mean.index)
    part = table[table["panel"] == "(a) new styles"].set_index("method")
    dots = {
        int(line.get_ydata()[0]): (line.get_xdata()[0], line.get_markerfacecolor())
        for line in first.get_lines()
        if len(line.get_xdata()) == 1
    }
    for place, name in enumerate(names):
        assert dots[place][0] == pytest.approx(100 * part.loc[name, "value"])
    assert dots[names.index("raw, mean")][1] != "white"  # p = 0.001
    assert dots[names.index("likelihood ratio, normal, log-odds")][1] == "white"  # p = 0.1
    (ceiling,) = [line for line in first.get_lines() if list(line.get_ydata()) == [0, 1]]
    assert ceiling.get_xdata()[0] == pytest.approx(100 * part.loc[[*LEGS], "value"].max())


def test_the_best_and_the_legs_can_be_picked() -> None:
    axes = plots.leaderboard(board(), panels="panel", top=1).axes[0]
    names = {label.get_text() for label in axes.get_yticklabels()}
    assert names == {"likelihood ratio, normal, log-odds", *LEGS}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (board().drop(columns="p_holm"), r"lacks the columns \['p_holm'\]"),
        (pd.concat([board(), board()]), "several rows share one panel, method"),
    ],
)
def test_the_figure_refuses_what_it_cannot_draw(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.leaderboard(table, panels="panel")


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
def test_the_label_budget_is_readable(n_panel: int) -> None:
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
def test_the_label_budget_refuses_what_it_cannot_draw(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.label_budget(table)
