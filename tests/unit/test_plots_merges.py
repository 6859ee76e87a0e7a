"""Figures of what merges lose: recall over a weight, and the causes of a loss."""

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
from mmgap.scores import CAUSES, decompose_merge_loss


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def curves(settings=("mini-clip, (a) new styles", "mini-siglip, (b) new concepts", "mini-aligned")):
    rows = [
        (setting, kind, weight, 0.5 + 0.3 * np.sin(3 * weight + len(kind)), weight == 0.25)
        for setting, kind, weight in itertools.product(
            settings, ("T, the texts answer", "I, the pictures do", "all"), np.linspace(0, 1, 5)
        )
    ]
    return pd.DataFrame(rows, columns=["setting", "kind", "weight", "value", "chosen"])


def parts(settings=("CLIP ViT-B/16, captions of COCO", "mini-clip, (a) new styles")):
    rng = np.random.default_rng(0)
    bank, scores = rng.normal(size=(2, 30, 20))
    tables = []
    for shift, setting in enumerate(settings, 1):
        found = decompose_merge_loss(
            2 * scores[:20] + shift,
            scores[:20] + 2 * np.eye(20),
            np.eye(20),
            np.eye(20),
            bank_text_scores=2 * bank + shift,
            bank_image_scores=bank,
            k=5,
        )
        tables += [loss.to_frame(n_resamples=50).assign(setting=setting) for loss in found.values()]
    table = pd.concat(tables)
    return table[table["measure"] == "part"]


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


# --- recall over a weight ------------------------------------------------------------------------


@pytest.mark.usefixtures("any_style")
def test_weight_curves_are_readable():
    assert_readable(plots.weight_curves(curves(), lines="kind", panels="setting"))


@pytest.mark.usefixtures("any_style")
def test_one_panel_of_weight_curves_is_readable():
    assert_readable(plots.weight_curves(curves(["one"]), lines="kind"))


def test_weight_curves_draw_each_curve_in_percent_and_mark_the_chosen_point():
    table = curves(["one"]).sample(frac=1, random_state=0)
    marks = {name: palette.NEUTRAL for name in table["kind"]}
    marks["I, the pictures do"] = palette.IMAGE
    figure = plots.weight_curves(table, lines="kind", marks=marks)
    drawn = [line for line in figure.axes[0].get_lines() if line.get_color() == "#0072B2"]
    (curve,) = [line for line in drawn if line.get_marker() in ("", "None")]
    wanted = table[table["kind"] == "I, the pictures do"].sort_values("weight")
    np.testing.assert_allclose(curve.get_xdata(), wanted["weight"])
    np.testing.assert_allclose(curve.get_ydata(), 100 * wanted["value"])
    points = [line.get_xydata() for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    point = wanted[wanted["chosen"]]
    np.testing.assert_allclose(points, [[[0.25, 100 * point["value"].iloc[0]]]])


def test_a_curve_may_be_missing_from_a_panel():
    table = curves()
    lacking = (table["setting"] == "mini-aligned") & (table["kind"] == "all")
    figure = plots.weight_curves(table[~lacking], lines="kind", panels="setting")
    n_points = [sum(len(line.get_xdata()) for line in axes.get_lines()) for axes in figure.axes]
    assert n_points == [18, 18, 12]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (curves().drop(columns="chosen"), {}, r"lacks the columns \['chosen'\]"),
        (curves(), {"panels": None}, "several rows share one kind, weight"),
        (curves(), {"marks": {"all": palette.TEXT}}, "marks has none for 'T, the texts answer'"),
    ],
)
def test_weight_curves_refuse_what_they_cannot_draw(table, options, message):
    with pytest.raises(ValueError, match=message):
        plots.weight_curves(table, **{"lines": "kind", "panels": "setting", **options})


# --- causes of a loss ----------------------------------------------------------------------------


@pytest.mark.usefixtures("any_style")
def test_loss_parts_are_readable():
    assert_readable(plots.loss_parts(parts(), panels="leg"))


def bars(axes):
    return sorted((bar.get_y(), bar.get_x(), bar.get_width()) for bar in axes.patches)


def test_loss_parts_stack_gains_to_the_right_and_costs_to_the_left():
    table = pd.DataFrame(
        {
            "leg": "image",
            "setting": "one",
            "cause": ["loss", "offset", "spread", "hubness", "unexplained"],
            "value": [0.4, 0.3, -0.1, 0.25, -0.05],
            "ci_low": [0.35] * 5,
            "ci_high": [0.45] * 5,
        }
    )
    (axes,) = plots.loss_parts(table, panels="leg").axes
    found = [(round(x, 6), round(width, 6)) for _, x, width in bars(axes)]
    assert sorted(found) == [(-10, -5), (0, -10), (0, 30), (30, 25)]
    (diamond,) = [line for line in axes.get_lines() if line.get_marker() == "D"]
    np.testing.assert_allclose(diamond.get_xydata(), [[40, 0]])
    (span,) = [line for line in axes.get_lines() if np.allclose(line.get_ydata(), 0)][:1]
    np.testing.assert_allclose(span.get_xdata(), [35, 45])


def test_stacked_parts_end_at_the_loss():
    table = parts()
    for axes, (_, part) in zip(
        plots.loss_parts(table, panels="leg").axes,
        table.groupby("leg", sort=False),
        strict=True,
    ):
        total = sum(width for *_, width in bars(axes))
        assert np.isclose(total, 100 * part.loc[part["cause"] == "loss", "value"].sum())


def test_causes_differ_in_more_than_colour():
    (axes, _) = plots.loss_parts(parts(), panels="leg").axes
    looks = {(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in axes.patches}
    assert len(looks) == len({hatch for _, hatch in looks}) == len(CAUSES) + 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.concat([parts(), parts()]), "several rows share one leg, setting, cause"),
        (parts().replace("spread", "luck"), "unknown cause 'luck'"),
    ],
)
def test_loss_parts_refuse_what_they_cannot_draw(table, message):
    with pytest.raises(ValueError, match=message):
        plots.loss_parts(table, panels="leg")
