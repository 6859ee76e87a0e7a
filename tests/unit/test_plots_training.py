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

KINDS = ("notebook", "paper", "slide")


@pytest.fixture(params=KINDS)
def _any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def history(variants, steps, start=1.2):
    rows = [
        {"variant": variant, "seed": seed, "step": step, "l2m": start / (1 + number + step / 50)}
        for number, variant in enumerate(variants)
        for seed in (0, 1)
        for step in steps
    ]
    return pd.DataFrame(rows)


STEPS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 300]


@pytest.mark.usefixtures("_any_style")
def test_curves_are_one_line_for_each_variant_and_seed():
    ways = ["as the weights fell", "gap closed first"]
    panels = {"logit scale 100": history(ways, STEPS), "logit scale 10": history(ways[:1], STEPS)}
    figure = plots.training_curves(panels)
    left, right = figure.axes
    assert (len(left.lines), len(right.lines)) == (4, 2)
    assert left.lines[0].get_xdata().tolist() == STEPS
    assert left.lines[0].get_ydata()[0] == 1.2
    assert left.lines[0].get_color() == right.lines[0].get_color() != left.lines[2].get_color()
    assert left.get_ylim()[0] == 0
    assert left.get_title(loc="left") == "logit scale 100"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ways
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


def test_one_panel_and_a_logarithmic_axis():
    figure = plots.training_curves({"long": history(["a"], [0, 10, 1500])}, log_y=True)
    assert figure.axes[0].get_yscale() == "log"
    assert 1000 in figure.axes[0].get_xticks()


@pytest.mark.parametrize(
    ("panels", "words"),
    [({}, "no panel"), ({"a": pd.DataFrame({"step": [1]})}, "panel 'a' lacks")],
)
def test_curves_without_rows_are_refused(panels, words):
    with pytest.raises(ValueError, match=words):
        plots.training_curves(panels)


@pytest.fixture
def sweep():
    scales = np.repeat([1, 10, 100], 2)
    return pd.DataFrame(
        {"series": "ours", "scale": scales, "l2m": [0.1, 0.2, 0.2, 0.4, 0.6, 0.8], "recall": 10.0}
    )


@pytest.mark.usefixtures("_any_style")
def test_a_sweep_shows_every_seed_their_mean_and_the_published_values(sweep):
    published = pd.DataFrame({"scale": [1, 10, 50, 100], "l2m": [0.2, 0.3, 0.8, 1.0]})
    panels = {"l2m": "gap (L2M)", "recall": "recall@1 in %"}
    look = {"x": "scale", "x_label": "logit scale in training (1 / temperature)", "panels": panels}
    figure = plots.sweep_lines(sweep, **look, published=published, source="published (Somebody)")
    top, bottom = figure.axes
    mean, dots, theirs = top.lines
    assert mean.get_ydata().tolist() == pytest.approx([0.15, 0.3, 0.7])
    assert dots.get_ydata().tolist() == sweep["l2m"].tolist()
    assert theirs.get_ydata().tolist() == [0.2, 0.3, 0.8, 1.0]
    assert len(bottom.lines) == 2, "nothing was published for the lower panel"
    assert bottom.get_xticks().tolist() == [1, 10, 50, 100]
    assert bottom.get_ylim()[0] == 0
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


def test_a_sweep_without_its_columns_is_refused(sweep):
    with pytest.raises(ValueError, match="the table lacks \\['gap'\\]"):
        plots.sweep_lines(sweep, x="scale", x_label="scale", panels={"gap": "gap"})
