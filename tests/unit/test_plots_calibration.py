"""Figures of cures: histograms before and after, both directions, reliability, thresholds."""

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
from matplotlib.patches import StepPatch

from mmgap import plots
from mmgap.plots import palette
from mmgap.scores import find_threshold, reliability_table, score_distributions
from mmgap.strategies.threshold_curve import threshold_curve

ENCODERS = ("mini-clip, (a) new styles", "mini-siglip, (b) new concepts", "CLIP ViT-B/16, COCO")
TEXT, IMAGE = palette.TEXT.colour.lower(), palette.IMAGE.colour.lower()


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


def lines_of(axes, colour):
    return [line for line in axes.get_lines() if to_hex(line.get_color()) == colour.lower()]


# --- histograms before and after ------------------------------------------------------------------


def distributions(shift=0.4, *, relevant=True):
    rng = np.random.default_rng(0)
    text, image = rng.normal(shift, 0.1, (20, 50)), rng.normal(0, 0.05, (20, 50))
    judged = {"text_relevant": text > 0.6, "image_relevant": image > 0.08} if relevant else {}
    return score_distributions(text, image, bins=40, **judged)


def grid(cures=("raw cosine", "z of each list", "bank z", "bank CDF", "log-odds by Platt")):
    return {name: {cure: distributions() for cure in cures} for name in ENCODERS}


@pytest.mark.usefixtures("any_style")
def test_normalised_histograms_are_readable():
    assert_readable(plots.normalised_histograms(grid()))


def test_normalised_histograms_draw_the_densities_of_both_legs():
    panel = distributions()
    (axes,) = plots.normalised_histograms({"one": {"raw": panel}}).axes
    steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    filled = {to_hex(step.get_facecolor()): step.get_data() for step in steps if step.get_fill()}
    assert set(filled) == {TEXT, IMAGE}
    for leg, colour in (("text", TEXT), ("image", IMAGE)):
        data, counts = filled[colour], panel.samples[leg].counts
        assert np.isclose((data.values * np.diff(data.edges)).sum(), 1)
        share = data.values * np.diff(data.edges)
        np.testing.assert_allclose(share[share > 0], counts[counts > 0] / counts.sum())
    assert sum(not step.get_fill() for step in steps) == 2


def test_relevant_pairs_are_outlined_only_where_they_are_known():
    (axes,) = plots.normalised_histograms({"one": {"raw": distributions(relevant=False)}}).axes
    assert all(patch.get_fill() for patch in axes.patches)


def test_notes_replace_the_chance_above_a_panel():
    panels = {"one": {"raw": distributions(), "z": distributions(0.0)}}
    by_default = plots.normalised_histograms(panels).axes
    assert [axes.texts[0].get_text() for axes in by_default] == [
        f"P(T > I) {value}" for value in ("0.999", f"{distributions(0.0).dominance:.2f}")
    ]
    noted = plots.normalised_histograms(panels, notes={"one": {"raw": "a", "z": "b"}}).axes
    assert [axes.texts[0].get_text() for axes in noted] == ["a", "b"]


@pytest.mark.parametrize(
    "panels", [{}, {"one": {}}, {"one": {"raw": 1}, "two": {"raw": 1, "z": 1}}]
)
def test_normalised_histograms_refuse_ragged_panels(panels):
    with pytest.raises(ValueError, match="same columns, at least one"):
        plots.normalised_histograms(panels)


# --- both directions ------------------------------------------------------------------------------

CURES = (
    "raw",
    "min-max of each list",
    "z of each list",
    "bank z",
    "bank CDF",
    "Platt, P(relevant)",
)


def points(settings=ENCODERS):
    rng = np.random.default_rng(1)
    rows = [
        (setting, name, *rng.uniform(0.1, 0.6, 2))
        for setting, name in itertools.product(settings, (*CURES, "own list alone"))
    ]
    return pd.DataFrame(rows, columns=["setting", "name", "text", "image"])


def curve(settings=ENCODERS):
    at = np.linspace(0, 1, 9)
    parts = [
        pd.DataFrame({"setting": s, "text": 0.6 * at, "image": 0.5 * (1 - at)}) for s in settings
    ]
    return pd.concat(parts)


@pytest.mark.usefixtures("any_style")
def test_two_directions_are_readable():
    figure = plots.two_directions(
        points(), panels="setting", curve=curve(), ceiling="own list alone"
    )
    assert_readable(figure)


def test_two_directions_draw_text_across_and_image_up_in_percent():
    table = points(["one"])
    figure = plots.two_directions(
        table, panels="setting", curve=curve(["one"]), ceiling="own list alone"
    )
    (axes,) = figure.axes
    drawn = {line.get_marker(): line.get_xydata() for line in axes.get_lines()}
    wanted = table.set_index("name")
    for name, mark in zip(CURES, palette.SERIES, strict=True):
        np.testing.assert_allclose(
            drawn[mark.marker][0], 100 * wanted.loc[name, ["text", "image"]].astype(float)
        )
    star = wanted.loc["own list alone", ["text", "image"]].astype(float)
    np.testing.assert_allclose(drawn["*"][0], 100 * star)
    (line,) = [line for line in axes.get_lines() if len(line.get_xdata()) == 9]
    np.testing.assert_allclose(line.get_xydata(), 100 * curve(["one"])[["text", "image"]])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (points().drop(columns="image"), {}, r"lacks the columns \['image'\]"),
        (pd.concat([points(), points()]), {}, "several rows share one pair of setting and name"),
        (points(), {"marks": {"raw": palette.TEXT}}, "marks has none for 'min-max of each list'"),
    ],
)
def test_two_directions_refuse_what_they_cannot_draw(table, options, message):
    with pytest.raises(ValueError, match=message):
        plots.two_directions(table, panels="setting", ceiling="own list alone", **options)


# --- reliability ----------------------------------------------------------------------------------


def reliability(bins=10):
    rng = np.random.default_rng(2)
    p = {leg: rng.uniform(0, 1, 4000) ** 3 for leg in ("text", "image")}
    kept = {"text": 0.6, "image": 1.0}
    y = {leg: rng.uniform(0, 1, 4000) < kept[leg] * values for leg, values in p.items()}
    return reliability_table(p, y, bins=bins)


@pytest.mark.usefixtures("any_style")
def test_reliability_diagrams_are_readable():
    assert_readable(plots.reliability_diagrams({name: reliability() for name in ENCODERS}))


@pytest.mark.usefixtures("any_style")
def test_a_row_of_reliability_diagrams_may_end_early():
    figure = plots.reliability_diagrams({n: reliability() for n in (*ENCODERS, "a fourth")})
    assert sum(axes.get_visible() for axes in figure.axes) == 8
    assert_readable(figure)


def test_reliability_diagram_draws_shares_intervals_and_counts():
    table = reliability()
    above, below = plots.reliability_diagrams(table).axes
    for leg, colour in (("text", TEXT), ("image", IMAGE)):
        part = table[table["leg"] == leg]
        (line,) = lines_of(above, colour)
        np.testing.assert_allclose(line.get_xydata(), part[["mean_probability", "share_relevant"]])
        (counts,) = lines_of(below, colour)
        np.testing.assert_allclose(counts.get_ydata(), part["n"])
        (spans,) = [c for c in above.collections if to_hex(c.get_colors()[0]) == colour]
        ends = [segment[:, 1] for segment in spans.get_segments()]
        np.testing.assert_allclose(ends, part[["ci_low", "ci_high"]])
    assert below.get_yscale() == "log"
    (diagonal,) = lines_of(above, palette.QUIET_COLOUR)
    np.testing.assert_allclose(diagonal.get_xydata(), [[0, 0], [1, 1]])


def test_legs_of_other_names_get_marks_of_their_own():
    table = reliability().replace({"text": "merged"})
    above, _ = plots.reliability_diagrams(table).axes
    assert lines_of(above, palette.SERIES[0].colour)
    assert lines_of(above, IMAGE)
    assert not lines_of(above, TEXT)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"one": reliability().drop(columns="n")}, r"'one' lacks the columns \['n'\]"),
        ({}, "tables is empty"),
    ],
)
def test_reliability_diagrams_refuse_what_they_cannot_draw(tables, message):
    with pytest.raises(ValueError, match=message):
        plots.reliability_diagrams(tables)


# --- thresholds -----------------------------------------------------------------------------------


def judged(n_query=40):
    rng = np.random.default_rng(3)
    scores = rng.normal(0.4, 0.1, (n_query, 10))
    return scores, rng.uniform(0, 1, scores.shape) < 1 / (1 + np.exp(-12 * (scores - 0.5)))


CURVE = threshold_curve(*judged(), n_points=50, n_resamples=50)
CHOSEN = find_threshold(*judged(), precision=0.5, n_resamples=50)
NONE = find_threshold(*judged(), precision=0.999, n_resamples=0)


@pytest.mark.usefixtures("any_style")
def test_threshold_curves_are_readable():
    names = (*ENCODERS, "a fourth")
    found = dict(zip(names, [CHOSEN, NONE, CHOSEN], strict=False))
    assert_readable(plots.threshold_curves(dict.fromkeys(names, CURVE), found))


def test_threshold_curves_draw_values_bands_and_the_chosen_threshold():
    (axes,) = plots.threshold_curves(CURVE, CHOSEN).axes
    for measure, look in (("precision", 0), ("recall", 1), ("false accept rate", 3)):
        part = CURVE[CURVE["measure"] == measure]
        colour = palette.SERIES[look].colour
        (line,) = lines_of(axes, colour)
        np.testing.assert_allclose(line.get_xydata(), part[["threshold", "value"]])
        (band,) = [c for c in axes.collections if to_hex(c.get_facecolor()[0]) == colour.lower()]
        outline = band.get_paths()[0].vertices
        assert np.isclose(outline[:, 1].max(), part["ci_high"].max())
        assert np.isclose(outline[:, 1].min(), part["ci_low"].min())
    upright, cross = lines_of(axes, palette.NEUTRAL.colour)
    np.testing.assert_allclose(upright.get_xdata(), [CHOSEN.value] * 2)
    np.testing.assert_allclose(cross.get_xydata(), [[CHOSEN.value, 0.5]])
    (span,) = axes.patches
    np.testing.assert_allclose(
        [span.get_x(), span.get_width()], [CHOSEN.low, CHOSEN.high - CHOSEN.low]
    )
    assert axes.texts[0].get_text() == (
        f"reject below {CHOSEN.value:.2f} [{CHOSEN.low:.2f}, {CHOSEN.high:.2f}]"
    )


def test_a_panel_without_threshold_says_so():
    assert NONE.value is None
    (axes,) = plots.threshold_curves(CURVE, NONE).axes
    assert axes.texts[0].get_text() == "no threshold keeps the promise"
    assert not lines_of(axes, palette.NEUTRAL.colour)


@pytest.mark.parametrize(
    ("tables", "chosen", "message"),
    [
        ({"one": CURVE.drop(columns="ci_low")}, None, r"'one' lacks the columns \['ci_low'\]"),
        ({"one": CURVE.replace("recall", "luck")}, None, "unknown measure 'luck'"),
        ({"one": CURVE}, {"two": CHOSEN}, "chosen names 'two'; the panels are 'one'"),
        ({}, None, "tables is empty"),
    ],
)
def test_threshold_curves_refuse_what_they_cannot_draw(tables, chosen, message):
    with pytest.raises(ValueError, match=message):
        plots.threshold_curves(tables, chosen)
