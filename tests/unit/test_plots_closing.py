"""Figures of closing the gap: arrows, sweeps of one strength, and hubs."""

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
from matplotlib.colors import to_hex

from mmgap import plots
from mmgap.plots import palette

ENCODERS = ("CLIP ViT-B/16", "mini-clip", "mini-siglip", "mini-aligned")
PANELS = ("(a) a picture answers", "(a) a text answers", "(b) a picture answers, new concepts")


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


def arrows(panels=PANELS):
    rows = []
    for number, (panel, setting) in enumerate(itertools.product(panels, ENCODERS)):
        for step, distance, value in (("after", 0.1, 0.2), ("before", 0.5, 0.4)):
            value = value + 0.02 * number
            rows.append((setting, panel, step, distance, value, value - 0.05, value + 0.05))
    names = ["setting", "panel", "step", "distance", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names)


def strengths(panels=PANELS[:2], values=(-0.5, 0, 0.5, 1, 1.5)):
    rows = [
        (panel, setting, value, abs(1 - value), 10 * value + len(setting))
        for panel, setting, value in itertools.product(panels, ENCODERS, values)
    ]
    return pd.DataFrame(rows, columns=["panel", "setting", "at", "distance", "recall"])


def occurrences(panels=ENCODERS):
    rng = np.random.default_rng(0)
    cures = ("cosines", "mean centring", "nnn", "qb-norm", "inverted softmax", "db-norm")
    one = {cure: rng.multinomial(500, np.full(100, 0.01)) for cure in cures}
    return {panel: one for panel in panels}


# --- arrows --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_style")
def test_arrows_are_readable():
    assert_readable(plots.closing_arrows(arrows(), panels="panel"))


def test_arrows_go_from_before_to_after_in_points():
    figure = plots.closing_arrows(arrows(PANELS[:1]), panels="panel")
    (axes,) = figure.axes
    colour = palette.series_marks(ENCODERS)["mini-clip"].colour
    (arrow,) = [
        note for note in axes.texts if to_hex(note.arrow_patch.get_edgecolor()) == colour.lower()
    ]
    np.testing.assert_allclose(arrow.xyann, (0.5, 42))
    np.testing.assert_allclose(arrow.xy, (0.1, 22))
    dots = [
        line
        for line in axes.get_lines()
        if line.get_marker() == palette.series_marks(ENCODERS)["mini-clip"].marker
    ]
    found = {to_hex(dot.get_markerfacecolor()): dot.get_xydata()[0].tolist() for dot in dots}
    assert found == {"#ffffff": [0.5, pytest.approx(42)], colour.lower(): [0.1, pytest.approx(22)]}
    bars = [line.get_ydata() for line in axes.get_lines() if list(line.get_xdata()) == [0.1, 0.1]]
    np.testing.assert_allclose(bars[1], [17, 27])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (arrows().drop(columns="ci_low"), {}, r"lacks the columns \['ci_low'\]"),
        (arrows().iloc[1:], {}, "needs one row of each step"),
        (pd.concat([arrows(), arrows().iloc[:1]]), {}, "needs one row of each step"),
        (arrows(), {"marks": {"mini-clip": palette.TEXT}}, "marks has none for 'CLIP ViT-B/16'"),
    ],
)
def test_arrows_refuse_what_they_cannot_draw(table, options, message):
    with pytest.raises(ValueError, match=message):
        plots.closing_arrows(table, panels="panel", **options)


# --- sweeps --------------------------------------------------------------------------------------

ROWS = {"distance": "distance (L2M)", "recall": "recall@10, own leg alone, in percent"}


@pytest.mark.usefixtures("any_style")
@pytest.mark.parametrize("even", [False, True])
def test_sweeps_are_readable(even):
    figure = plots.cure_sweep(
        strengths(),
        x="at",
        x_label="λ, the part of the gap by which pictures are moved (dotted: the gap is closed)",
        rows=ROWS,
        panels="panel",
        at=1,
        even=even,
    )
    assert_readable(figure)


def test_sweeps_draw_each_quantity_of_each_panel_in_order():
    table = strengths().sample(frac=1, random_state=0)
    marks = palette.series_marks(ENCODERS)
    how = {"x": "at", "x_label": "λ", "rows": ROWS, "panels": "panel", "marks": marks}
    axes = plots.cure_sweep(table, **how).axes
    assert len(axes) == 4
    lower_left = axes[2]
    (line,) = [
        line for line in lower_left.get_lines() if line.get_color() == marks["mini-siglip"].colour
    ]
    np.testing.assert_allclose(line.get_xdata(), [-0.5, 0, 0.5, 1, 1.5])
    np.testing.assert_allclose(line.get_ydata(), [6, 11, 16, 21, 26])


def test_even_steps_carry_their_numbers_and_missing_values_are_left_out():
    table = strengths(values=(0, 1, 2, 4, 8, 128))
    table.loc[table["at"] == 4, "recall"] = np.nan
    how = {"x": "at", "x_label": "n", "rows": ROWS, "panels": "panel", "even": True, "at": 2}
    axes = plots.cure_sweep(table, **how).axes
    labels = [label.get_text() for label in axes[2].get_xticklabels()]
    assert labels == ["0", "1", "2", "4", "8", "128"]
    line, dotted = axes[2].get_lines()[0], axes[2].get_lines()[-1]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 4, 5])
    assert list(dotted.get_xdata()) == [2, 2]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (strengths().drop(columns="recall"), {}, r"lacks \['recall'\]"),
        (strengths(), {"rows": {}}, "lacks a row to draw"),
        (strengths(), {"panels": None}, "several rows share one setting, at"),
        (strengths(), {"marks": {}}, "marks has none for 'CLIP ViT-B/16'"),
    ],
)
def test_sweeps_refuse_what_they_cannot_draw(table, options, message):
    how = {"x": "at", "x_label": "λ", "rows": ROWS, "panels": "panel", **options}
    with pytest.raises(ValueError, match=message):
        plots.cure_sweep(table, **how)


# --- hubs ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_style")
def test_hub_curves_are_readable():
    assert_readable(plots.hub_curves(occurrences()))


def test_hub_curves_fall_and_show_the_even_share():
    counts = {"one": {"cosines": np.array([0, 9, 3]), "nnn": np.array([5, 4, 3])}}
    (axes,) = plots.hub_curves(counts).axes
    first, second, even = axes.get_lines()
    np.testing.assert_array_equal(first.get_xydata(), [[1, 9], [2, 3], [3, 0]])
    np.testing.assert_array_equal(second.get_ydata(), [5, 4, 3])
    assert list(even.get_ydata()) == [4, 4]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "needs the same cures, at least one"),
        ({"a": {"x": np.ones(3)}, "b": {"y": np.ones(3)}}, "needs the same cures"),
        ({"a": {"x": np.ones(3), "y": np.zeros(3)}}, "counts of 'a' must be of the same documents"),
        ({"a": {"x": np.ones(3), "y": np.array([3])}}, r"sums \[\(1, 3\), \(3, 3\)\]"),
    ],
)
def test_hub_curves_refuse_what_they_cannot_draw(counts, message):
    with pytest.raises(ValueError, match=message):
        plots.hub_curves(counts)
