"""Every figure: readable in every style, on the caller's axes, and true to its table."""

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
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.patches import Rectangle
from PIL import Image

from mmgap import plots
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import MmgapError
from mmgap.evaluation import Run
from mmgap.plots import palette
from mmgap.plots.histograms import _density, _probability
from mmgap.plots.panels import signed
from mmgap.plots.style import legible, new_figure, text_width, wrap
from mmgap.plots.tradeoffs import FRONT, _apart
from mmgap.scores import score_distributions

KINDS = ("notebook", "paper", "slide")
ENCODERS = ("mini-clip", "mini-siglip", "CLIP ViT-B/16, photographs")
PANELS = ("(a) new styles", "(b) new concepts, which no encoder has seen")


def rng():
    return np.random.default_rng(0)


def tidy(columns, rows):
    return pd.DataFrame(rows, columns=columns)


def interval(table, width=0.02):
    return table.assign(ci_low=table["value"] - width, ci_high=table["value"] + width)


def distributions(shift=0.4, *, relevant=True):
    text, image = rng().normal(shift, 0.1, (20, 90)), rng().normal(0, 0.05, (20, 90))
    known = np.eye(20, 90, dtype=bool)
    text[known] += 0.3
    judged = {"text_relevant": known, "image_relevant": known} if relevant else {}
    return score_distributions(text, image, bins=60, **judged)


def recall(panels=ENCODERS):
    names = ["text leg", "image leg", "max of raw cosines", "reciprocal rank fusion (k = 60)"]
    rows = [
        (p, s, m, 0.1 * i)
        for i, (p, s, m) in enumerate(itertools.product(panels, names, ["recall@10"]))
    ]
    return interval(tidy(["encoder", "strategy", "measure", "value"], rows))


def differences():
    rows = [
        (p, s, "recall@10", v)
        for (p, s), v in zip(
            itertools.product(PANELS, ["max", "mean of both", "RRF"]),
            (0.2, 0.005, -0.2, 0.1, 0.0, -0.01),
            strict=True,
        )
    ]
    return interval(tidy(["panel", "strategy", "measure", "value"], rows))


def methods(panels=PANELS):
    names = ["text leg", "image leg", *(f"normaliser {n} of each list, mean" for n in range(9))]
    rows = [
        (p, n, "leg" if "leg" in n else "raw", 0.5 + 0.02 * i, 0.01 if i % 2 else 0.3)
        for p in panels
        for i, n in enumerate(names)
    ]
    table = interval(tidy(["corpus", "method", "family", "value", "p_holm"], rows))
    spread = {"optimistic": table["value"] + 0.05, "pessimistic": table["value"] - 0.03}
    return table.assign(measure="recall@10", **spread)


def losses():
    parts = {"offset": 0.3, "spread": -0.1, "hubness": 0.25, "unexplained": -0.05, "loss": 0.4}
    rows = [(p, s, c, v) for p in ("image", "text") for s in ENCODERS for c, v in parts.items()]
    return interval(tidy(["leg", "setting", "cause", "value"], rows), 0.05)


def weights(panels=PANELS):
    kinds = ("T, the texts are relevant", "I, the images are", "all")
    rows = [
        (p, k, w, 0.5 + 0.3 * np.sin(3 * w + len(k)), w == 0.25)
        for p in panels
        for k in kinds
        for w in np.linspace(0, 1, 5)
    ]
    return tidy(["panel", "kind", "weight", "value", "chosen"], rows)


def sweep(panels=("images", "texts")):
    rows = [
        (p, e, x, s, x + s, 0.1 * x)
        for p in panels
        for e in ENCODERS
        for x in (0, 1, 2, 4, 8)
        for s in (0, 1)
    ]
    return tidy(["panel", "setting", "at", "seed", "l2m", "recall"], rows)


def budget():
    ways = ("platt, log-odds", "convex, reference z")
    rows = [(p, w, n, 0.4 + 0.001 * n) for p in PANELS for w in ways for n in (0, 10, 20, 50, 100)]
    rows += [(p, w, np.nan, 0.45) for p in PANELS for w in ("text leg", "reference z, mean")]
    table = interval(tidy(["panel", "method", "n_labels", "value"], rows))
    return table.assign(measure="recall@10")


def costs(free=True):
    rows = [
        (n, n, False, 0.5 + 0.02 * i, 0.0 if free else 5.0)
        for i, n in enumerate(("raw merge", "mean of raw scores", "calibrated fusion"))
    ]
    for at, family in enumerate(("rerank", "calibrate, then rerank", "only unsure queries")):
        rows += [
            (f"{family} {d}", family, True, 0.5 + 0.04 * np.log2(d) - 0.02 * at, d * (1 + 0.1 * at))
            for d in (8, 16, 32, 64)
        ]
    table = tidy(["strategy", "family", "reranked", "value", "calls_per_query"], rows)
    return interval(table.assign(measure="recall@10"))


def points():
    names = ("raw", "min-max of each list", "reference z", "own list alone")
    rows = [(p, n, 0.1 * i, 0.5 - 0.1 * i) for p in PANELS for i, n in enumerate(names)]
    return tidy(["panel", "name", "text", "image"], rows)


def steps():
    rows = [
        (p, e, s, d, 0.3 * d)
        for p in PANELS
        for e in ENCODERS
        for s, d in (("before", 0.8), ("after", 0.1))
    ]
    return interval(tidy(["panel", "setting", "step", "distance", "value"], rows))


def reliability():
    rows = [
        (leg, 10 ** (5 - i), p, p**2)
        for leg in ("text", "image")
        for i, p in enumerate((0.1, 0.4, 0.9))
    ]
    table = tidy(["leg", "n", "mean_probability", "value"], rows)
    return interval(table).rename(columns={"value": "fraction_relevant"})


def thresholds():
    rows = [(t, m, v) for t in (0.1, 0.2, 0.3) for m, v in (("precision", t), ("recall", 1 - t))]
    return interval(tidy(["threshold", "measure", "value"], rows))


def pair(n=60):
    text = np.random.default_rng(1).normal(size=(n, 6))
    return text, text + np.r_[3, np.zeros(5)] + 0.3 * rng().normal(size=(n, 6))


def space():
    shown = {at: Image.new("RGB", (20, 30), "green") for at in range(25)}
    return plots.shared_space(plots.project(pair(), method="pca"), thumbnails=shown)


class Threshold:
    value, low, high, target = 0.2, 0.15, 0.25, 0.5


SWEEP = {"x": "at", "x_label": "strength", "rows": {"l2m": "gap (L2M)", "recall": "recall in %"}}
WEIGHT = {"x": "weight", "x_label": "weight of the text leg", "rows": {"value": "recall@10 in %"}}
HUBS = {"a": {"cosines": np.arange(50), "NNN": np.full(50, 24)}}

FIGURES = {
    "histograms": lambda: plots.score_histograms({name: distributions() for name in ENCODERS}),
    "histograms, own scales": lambda: plots.score_histograms(
        {"a": distributions(), "b": distributions(9)}, xlabel={"a": "cosine", "b": "logit"}
    ),
    "histogram grid": lambda: plots.histogram_grid(
        {name: {"raw": distributions(), "z of each list": distributions()} for name in ENCODERS}
    ),
    "recall": lambda: plots.recall_bars(recall()),
    "recall, 4 panels": lambda: plots.recall_bars(recall((*ENCODERS, "T: the text"))),
    "differences": lambda: plots.difference_dots(differences(), panels="panel"),
    "leaderboard": lambda: plots.leaderboard(methods(), panels="corpus", top=6),
    "losses": lambda: plots.loss_parts(losses(), panels="leg"),
    "weights": lambda: plots.curves(
        weights(), lines="kind", panels="panel", marked="chosen", marked_label="chosen", **WEIGHT
    ),
    "sweep": lambda: plots.curves(sweep(), panels="panel", steps="even", at=2, **SWEEP),
    "log sweep": lambda: plots.curves(
        sweep(("one",)).query("at > 0"), steps="log", published=sweep(("one",))[:4], **SWEEP
    ),
    "training": lambda: plots.curves(
        sweep(), panels="panel", steps="training", **{**SWEEP, "rows": {"l2m": "gap (L2M)"}}
    ),
    "hubs": lambda: plots.curves(
        plots.hub_table(HUBS),
        panels="panel",
        x="rank",
        x_label="documents",
        steps="log",
        rows={"lists": "lists that hold it"},
        level="mean",
        level_label="equal",
    ),
    "label budget": lambda: plots.label_budget(budget(), panels="panel", columns=2),
    "thresholds": lambda: plots.threshold_curves(
        {"mini-clip, text": thresholds(), "mini-clip, image": thresholds()},
        {"mini-clip, text": Threshold()},
    ),
    "reliability": lambda: plots.reliability_diagrams({name: reliability() for name in ENCODERS}),
    "pareto": lambda: plots.pareto(costs()),
    "pareto, nothing free": lambda: plots.pareto(costs(free=False)),
    "directions": lambda: plots.two_directions(points(), panels="panel", ceiling="own list alone"),
    "arrows": lambda: plots.closing_arrows(steps(), panels="panel"),
    "space": space,
}


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_readable(name, kind):
    with mpl.rc_context(plots.style(kind)):
        assert_readable(FIGURES[name]())


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.score_histograms(distributions(), ax=ax),
        lambda ax: plots.recall_bars(recall(ENCODERS[:1]), ax=ax),
        lambda ax: plots.difference_dots(differences()[:3], ax=ax),
        lambda ax: plots.leaderboard(methods(PANELS[:1]), ax=ax),
        lambda ax: plots.loss_parts(losses()[:15], panels="leg", ax=ax),
        lambda ax: plots.curves(weights(PANELS[:1]), lines="kind", ax=ax, **WEIGHT),
        lambda ax: plots.label_budget(budget()[budget()["panel"] == PANELS[0]], ax=ax),
        lambda ax: plots.threshold_curves(thresholds(), ax=ax),
        lambda ax: plots.pareto(costs(), ax=ax),
        lambda ax: plots.two_directions(points()[:4], panels="panel", ax=ax),
        lambda ax: plots.closing_arrows(steps()[:6], panels="panel", ax=ax),
        lambda ax: plots.shared_space(plots.project(pair(), method="pca"), ax=ax),
    ],
)
def test_figures_of_one_panel_are_drawn_on_the_callers_axes(draw):
    figure = new_figure(4)
    left, right = figure.subplots(1, 2)
    assert draw(right) is figure
    assert len(figure.axes) == 2
    assert right.has_data()
    assert not left.has_data()


def test_several_panels_do_not_fit_on_one_axes():
    with pytest.raises(MmgapError, match="ax= takes one panel, but there are 3"):
        plots.recall_bars(recall(), ax=new_figure().subplots())


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.recall_bars(recall(), measure="mrr"), r"no row of measure 'mrr'.*recall@10"),
        (lambda: plots.recall_bars(recall(), panels="measure"), "several rows share one measure"),
        (lambda: plots.difference_dots(differences()), "several rows share one strategy"),
        (lambda: plots.leaderboard(methods().drop(columns="family")), r"lacks.*\['family'\]"),
        (lambda: plots.loss_parts(losses().replace("spread", "luck"), panels="leg"), "'luck'"),
        (lambda: plots.curves(sweep(), lines="seed", marks={}, **SWEEP), "marks has none for 0"),
        (lambda: plots.curves(sweep(), lines="nobody", **SWEEP), r"lacks.*\['nobody'\]"),
        (lambda: plots.label_budget(budget().dropna().head(0)), "no row has a number of labels"),
        (lambda: plots.reliability_diagrams({}), "tables is empty"),
        (lambda: plots.threshold_curves(thresholds(), {"x": Threshold()}), "unknown 'x'"),
        (lambda: plots.pareto(costs(), cost="euros"), r"lacks.*\['euros'\]"),
        (lambda: plots.closing_arrows(steps()[:1], panels="panel"), "one row before and one after"),
        (lambda: plots.histogram_grid({"one": {"raw": 1}, "two": {}}), "the same columns"),
        (lambda: plots.score_histograms({"a": distributions()}, xlabel={"b": ""}), "expected one"),
        (lambda: plots.project(pair(), method="tsne"), "choose 'umap' or 'pca'"),
        (lambda: plots.style("poster"), "choose one of notebook, paper, slide"),
        (lambda: palette.series_marks("abcdefg"), "7 series were given, but only 6"),
    ],
)
def test_figures_say_what_they_cannot_draw(draw, message):
    with pytest.raises(MmgapError, match=message):
        draw()


# --- true to the table ---------------------------------------------------------------------------


def lines_of(axes, mark):
    return [line for line in axes.get_lines() if to_hex(line.get_color()) == mark.colour.lower()]


def test_recall_draws_values_and_intervals_in_percent():
    table = recall(("one",)).drop(columns="encoder")
    spread, dot = plots.recall_bars(table, strategies=["image leg"]).axes[0].lines
    np.testing.assert_allclose(spread.get_xdata(), [8, 12])
    np.testing.assert_allclose(dot.get_xdata(), [10])
    assert dot.get_marker() == palette.IMAGE.marker


def test_a_difference_is_hollow_where_it_does_not_count():
    axes = plots.difference_dots(differences()[:3]).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, False]
    assert [text.get_text() for text in axes.texts] == ["+20.0", "+0.5", "\N{MINUS SIGN}20.0"]
    tested = differences()[:3].assign(p_holm=[0.2, 0.01, 0.04])  # by the test, not by the interval
    axes = plots.difference_dots(tested).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [True, False, False]
    assert (signed(-0.01), signed(-1.26)) == ("0.0", "\N{MINUS SIGN}1.3")


def test_a_leaderboard_fills_what_differs_and_keeps_the_legs():
    axes = plots.leaderboard(methods(PANELS[:1]), top=2).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"normaliser {n} of each list, mean" for n in (8, 7)] + [
        "image leg",
        "text leg",
    ]
    dots = [line for line in axes.lines if line.get_marker() == palette.NEUTRAL.marker]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [True, False]


def test_losses_stack_gains_to_the_right_and_costs_to_the_left():
    axes = plots.loss_parts(losses()[:5], panels="leg").axes[0]
    found = sorted((round(bar.get_x(), 6), round(bar.get_width(), 6)) for bar in axes.patches)
    assert found == [(-10, -5), (0, -10), (0, 30), (30, 25)]
    (diamond,) = [line for line in axes.get_lines() if line.get_marker() == "D"]
    np.testing.assert_allclose(diamond.get_xydata(), [[40, 0]])
    assert len({bar.get_hatch() for bar in axes.patches}) == 4


def test_curves_go_through_means_in_percent_and_mark_what_is_chosen():
    table = weights(["one"]).sample(frac=1, random_state=0)
    marks = {name: palette.NEUTRAL for name in table["kind"]} | {"all": palette.IMAGE}
    axes = plots.curves(table, lines="kind", marks=marks, marked="chosen", **WEIGHT).axes[0]
    line, dot = lines_of(axes, palette.IMAGE)
    wanted = table[table["kind"] == "all"].sort_values("weight")
    np.testing.assert_allclose(line.get_xydata().T, [wanted["weight"], 100 * wanted["value"]])
    np.testing.assert_allclose(
        dot.get_xydata(), [[0.25, 100 * wanted.query("chosen")["value"].iloc[0]]]
    )
    axes = plots.curves(sweep(("one",)), **SWEEP).axes[0]
    line, dots = lines_of(axes, palette.SERIES[0])
    np.testing.assert_allclose(line.get_ydata(), np.array([0, 1, 2, 4, 8]) + 0.5)
    assert len(dots.get_xdata()) == 10


def test_hub_tables_hold_falling_counts():
    table = plots.hub_table({"a": {"b": np.array([1, 4, 1])}})
    assert table["lists"].tolist() == [4, 1, 1]
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["mean"].tolist() == [2, 2, 2]


def test_densities_have_area_one_after_merging():
    panel = distributions()
    for sample in panel.samples:
        density, edges = _density(panel, sample)
        assert np.isclose((density * np.diff(edges)).sum(), 1)
    merged = _density(panel, "text relevant")[0]
    assert len(merged) < np.count_nonzero(panel.samples["text relevant"].counts)


def test_histograms_take_arrays_of_equal_scores():
    assert_readable(plots.score_histograms((np.full(5, 0.5), np.full(5, 0.5))))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.99999, "above 0.999"),
        (0.996, "0.996"),
        (0.5, "0.50"),
        (1e-5, "below 0.001"),
    ],
)
def test_no_probability_is_rounded_to_certainty(value, text):
    assert _probability(value) == text


def test_pareto_draws_families_levels_and_the_front():
    table = costs().sample(frac=1, random_state=0)
    axes = plots.pareto(table).axes[0]
    (front,) = [line for line in axes.get_lines() if line.get_gid() == "front"]
    # By hand: rows sorted by cost, only those that find more than all before them.
    best, wanted = -1.0, []
    ordered = table.sort_values(["calls_per_query", "value"], ascending=[True, False])
    for cost, value in zip(ordered["calls_per_query"], ordered["value"], strict=True):
        if value > best:
            best = value
            wanted.append((cost, 100 * value))
    np.testing.assert_allclose(front.get_xydata()[:-1], wanted)
    names = {text.get_text().replace("\n", " ") for text in axes.texts}
    assert names == {*table["family"], FRONT}
    assert_readable(plots.pareto(table.assign(value=0.6)))


def test_labels_are_moved_apart_and_stay_inside():
    heights = [1, 2, 1, 1]
    spots = _apart([1, 1, 1, 9.9], heights, 0, 10)
    edges = [(spot - h / 2, spot + h / 2) for spot, h in zip(spots, heights, strict=True)]
    assert all(one[1] <= other[0] + 1e-9 for one, other in itertools.pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= 10


def test_thumbnails_do_not_overlap():
    with mpl.rc_context(plots.style("notebook")):
        figure = space()
        figure.draw_without_rendering()
    boxes = [a.get_window_extent() for a in figure.axes[0].findobj(AnnotationBbox)]
    assert len(boxes) >= 20
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_projections_are_one_fit_of_both_legs_and_repeat():
    text, image = pair()
    flat = plots.project((text, image), method="pca")
    both = np.concatenate([flat.text, flat.image])
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-9)
    assert abs(flat.image[:, 0].mean() - flat.text[:, 0].mean()) > 2
    first, second = (plots.project(pair(80), n_doc=40, seed=3) for _ in range(2))
    assert first.text.shape == (40, 2)
    np.testing.assert_array_equal(first.text, second.text)
    np.testing.assert_array_equal(first.pairs[:, 0], first.pairs[:, 1])


# --- galleries -----------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path):
    texts = ["lamp", None, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk $5", "a cat " * 9]
    documents = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (50, 30 + 20 * number), (60 * number, 0, 90)).save(path)
        documents.append(Document(f"d{number}", text, ImageFile(path) if number != 2 else None))
    queries = [Query("q1", "what a person who reads in bed at night needs most"), Query("q2", "x")]
    judged = [Judgment("q1", "d0", 1), Judgment("q1", "d1", 2), Judgment("q2", "d3", 1)]
    return Corpus("four", documents, queries, Qrels(judged))


def six_runs(corpus):
    runs = []
    for at in range(6):
        indices = np.array([[at % 4, (at + 1) % 4], [(at + 1) % 4, -1]])
        scores = np.array([[0.9, 0.9 if at == 5 else 0.1], [0.5, -np.inf]])
        name = f"{at}: 16 + 16, reranked on the matching leg"
        runs.append(Run(name, corpus.query_ids, corpus.doc_ids, indices, scores))
    return runs


@pytest.mark.parametrize("kind", KINDS)
def test_galleries_are_readable(corpus, kind):
    with mpl.rc_context(plots.style(kind)):
        assert_readable(plots.gallery(corpus, "q1", six_runs(corpus)))
        assert_readable(plots.top1_gallery(corpus, six_runs(corpus), ["q1", "q2"]))


def test_a_gallery_ticks_what_is_relevant(corpus):
    found = {"text leg": {"d0": 0.71, "d2": 0.64, "d1": 0.62}, "nothing at all": {}}
    texts = [text.get_text() for text in plots.gallery(corpus, "q1", found).texts]
    assert [text for text in texts if "✓" in text] == ["1.  score 0.710  ✓", "3.  score 0.620  ✓"]
    assert {"no hit", "(no text)"} <= {*texts}
    run = six_runs(corpus)[2]
    texts = [text.get_text() for text in plots.gallery(corpus, "q2", [run]).texts]
    assert texts[0] == "Query: x"
    assert "1.  score 0.500  ✓" in texts


def test_a_top1_gallery_frames_what_is_relevant(corpus):
    figure = plots.top1_gallery(corpus, six_runs(corpus), ["q1", "q2"])
    green = mpl.colors.to_rgba(palette.RELEVANT.colour)
    framed = [
        any(isinstance(p, Rectangle) and p.get_edgecolor() == green for p in axes.patches)
        for axes in figure.axes
    ]
    # q1: d0 and d1 are relevant; the methods show d0 d1 d2 d3 d0 d1. q2: d3; d1 d2 d3 d0 d1 d2.
    assert (
        framed
        == [True, True, True, False, False, True, True] + [True, False, False, True] + [False] * 3
    )
    notes = [text.get_text() for text in figure.texts]
    assert notes.count("grade 2 ✓") == 1  # d1 has the highest grade, not d0
    assert notes.count("0.900, 2 tied ✓") == 1
    with pytest.raises(MmgapError, match="0 runs and 1 queries"):
        plots.top1_gallery(corpus, [], ["q1"])


# --- text, marks, and the checks themselves ------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a few words in a row", "oneverylongwordwithoutanyblank", "", "x" * 2000]
)
def test_wrapped_lines_fit_and_lose_nothing(text):
    lines = wrap(text, 0.6, 9).split("\n")
    assert all(text_width(line, 9) <= 0.6 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_cut_text_says_so_and_fits():
    for text in ("many words that need more lines than there are", "x" * 100_000):
        lines = wrap(text, 0.7, 9, lines=2).split("\n")
        assert len(lines) == 2
        assert lines[-1].endswith(" …")
        assert all(text_width(line, 9) <= 0.7 for line in lines)
    assert legible("кошка\n猫 ✓") == "кошка □ ✓"


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_marks_have_contrast_and_a_shape_of_their_own():
    marks = [palette.TEXT, palette.IMAGE, *palette.SERIES]
    assert all(1.05 / (luminance(mark.colour) + 0.05) >= 3 for mark in marks)
    assert len({mark.colour for mark in marks}) == len({m.marker for m in marks}) == len(marks)
    named = {
        "text leg": palette.TEXT,
        "image-only": palette.IMAGE,
        "mean of text and image": palette.NEUTRAL,
    }
    assert {name: palette.strategy_mark(name) for name in named} == named


@pytest.mark.parametrize(
    ("where", "text", "size", "check"),
    [
        ((0.95, 0.5), "this text leaves the figure on the right", 10, assert_no_clipped_text),
        ((0.5, 0.52), "over the other text", 10, assert_no_overlapping_text),
        ((0.5, 0.9), "small print", 6, assert_legible_size),
    ],
)
def test_the_checks_see_what_is_wrong(where, text, size, check):
    figure = new_figure(2)
    figure.text(0.5, 0.5, "a plain text")
    assert_readable(figure)
    figure.text(*where, text, fontsize=size)
    with pytest.raises(AssertionError):
        check(figure)


def test_curves_of_a_later_panel_stay_in_sight():
    table = pd.DataFrame({"at": [0, 1] * 2, "setting": "one", "panel": list("ppqq")})
    table = table.assign(low=[0.1, 0.2, 0.6, 0.7], other=[1.0, 2.0, 3.0, 4.0])
    for rows in ({"low": "low, %"}, {"low": "low, %", "other": "other"}):
        figure = plots.curves(table, x="at", x_label="x", rows=rows, panels="panel")
        for axes in figure.axes:
            drawn = np.concatenate([line.get_ydata() for line in axes.lines])
            assert axes.get_ylim()[0] <= drawn.min() <= drawn.max() <= axes.get_ylim()[1]
