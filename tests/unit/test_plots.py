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
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from mmgap import plots
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.encoders.base import EncoderInfo
from mmgap.evaluation.runs import Run
from mmgap.index.vectors import Leg, Vectors
from mmgap.plots import palette
from mmgap.plots.canvas import legible, new_figure, text_width, wrap
from mmgap.plots.score_histograms import _chance, _density
from mmgap.scores import score_distributions

KINDS = ("notebook", "paper", "slide")


@pytest.fixture(params=KINDS)
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


@pytest.fixture
def corpus(tmp_path):
    texts = [
        "A glowing thing that gives light, and in cartoons an idea, since somebody made it last",
        "lamp",
        None,
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamter costs $5 and $6",
        "猫 кошка قطة a cat",
    ]
    documents = []
    for number, colour in enumerate(["red", "green", "blue", "white", "black"]):
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (40 + 10 * number, 50), colour).save(path)
        image = ImageFile(path) if number != 3 else None
        documents.append(Document(f"d{number}", texts[number], image))
    queries = [
        Query("q1", "what a person who reads in bed at night and pays $5 or $6 for it needs most"),
        Query("q2", "cat"),
    ]
    qrels = Qrels([Judgment("q1", "d0", 1), Judgment("q2", "d4", 1)])
    return Corpus("five", documents, queries, qrels)


@pytest.fixture
def vectors(corpus):
    rng = np.random.default_rng(0)

    def unit(n):
        rows = rng.normal(size=(n, 8)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    legs = {
        "text": Leg(np.array([0, 1, 3, 4]), unit(4)),
        "image": Leg(np.array([0, 1, 2, 4]), unit(4)),
    }
    return Vectors(corpus, EncoderInfo("demo", "0", "none", 8), unit(2), legs)


def distributions(shift, *, relevant=True):
    rng = np.random.default_rng(0)
    text, image = rng.normal(0.2 + shift, 0.05, (40, 90)), rng.normal(0.2, 0.04, (40, 90))
    known = np.eye(40, 90, dtype=bool)
    text[known] += 0.2
    if not relevant:
        return score_distributions(text, image)
    return score_distributions(text, image, text_relevant=known, image_relevant=known)


def recall(panels=("mini-clip", "mini-siglip", "mini-aligned")):
    strategies = ["text leg", "image leg", "max of raw cosines", "reciprocal rank fusion (k = 60)"]
    rows = [
        (panel, strategy, measure, value, value - 0.02, value + 0.02)
        for value, (panel, strategy, measure) in zip(
            np.linspace(0.02, 0.98, 100),
            itertools.product(panels, strategies, ["recall@10", "mrr"]),
            strict=False,
        )
    ]
    return pd.DataFrame(rows, columns=["encoder", "strategy", "measure", *["v", "l", "h"]]).rename(
        columns={"v": "value", "l": "ci_low", "h": "ci_high"}
    )


def sweep(learned=True):
    rows = [
        (scale, False, 0.1 + 0.05 * np.log(scale) + 0.01 * seed, 0.5, 0.1 * np.log(scale), seed)
        for scale in (10, 20, 50, 100, 150)
        for seed in (0, 1)
    ]
    if learned:
        rows.append((37.2, True, 0.31, 0.52, 0.4, 0))
    names = ["logit_scale", "learned", "l2m", "recall", "text_share", "seed"]
    return pd.DataFrame(rows, columns=names)


def pair(n=60):
    rng = np.random.default_rng(1)
    text = rng.normal(size=(n, 6))
    return text, text + np.r_[3, np.zeros(5)] + 0.3 * rng.normal(size=(n, 6))


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


# --- the checks themselves ---------------------------------------------------------------------


def test_checks_see_a_clipped_text():
    figure = new_figure(2)
    figure.text(0.95, 0.5, "this text leaves the figure on the right")
    with pytest.raises(AssertionError, match="leaves the figure"):
        assert_no_clipped_text(figure)


def test_checks_see_overlapping_texts():
    figure = new_figure(2)
    axes = figure.subplots()
    axes.set_xticks([0, 0.01, 1], ["a first long label", "a second long label", "c"])
    with pytest.raises(AssertionError, match="overlap"):
        assert_no_overlapping_text(figure)


def test_checks_see_small_print():
    figure = new_figure(2)
    figure.text(0.5, 0.5, "small print", fontsize=6)
    with pytest.raises(AssertionError, match="too small"):
        assert_legible_size(figure)


def test_checks_pass_a_plain_figure():
    figure = new_figure(3)
    figure.subplots().plot([1, 5, 3])
    assert_readable(figure)


# --- style and palette -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_style_loads_and_is_legible(kind):
    with mpl.rc_context(plots.style(kind)):
        sizes = [mpl.rcParams[key] for key in ("font.size", "xtick.labelsize", "legend.fontsize")]
        assert min(sizes) >= 8
        assert mpl.rcParams["lines.linewidth"] >= 1
        assert not mpl.rcParams["text.usetex"]


def test_unknown_style_is_refused():
    with pytest.raises(ValueError, match="choose one of notebook, paper, slide"):
        plots.style("poster")


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_marks_have_contrast_and_a_shape_of_their_own():
    marks = [palette.TEXT, palette.IMAGE, *palette.SERIES]
    assert all(1.05 / (luminance(mark.colour) + 0.05) >= 3 for mark in marks)
    assert len({mark.colour for mark in marks}) == len(marks)
    assert len({mark.marker for mark in marks}) == len(marks)
    assert len({str(mark.line) for mark in palette.SERIES}) == len(palette.SERIES)
    assert (palette.TEXT.marker, palette.IMAGE.marker) == ("^", "o")


def test_more_series_than_marks_are_refused():
    with pytest.raises(ValueError, match="7 series were given, but only 6"):
        palette.series_marks("abcdefg")


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("text leg", palette.TEXT),
        ("image-only", palette.IMAGE),
        ("text+image", palette.NEUTRAL),
        ("mean of text and image", palette.NEUTRAL),
        ("RRF", palette.NEUTRAL),
    ],
)
def test_strategies_of_one_leg_take_its_mark(name, mark):
    assert palette.strategy_mark(name) == mark


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a few words in a row", "oneverylongwordwithoutanyblank", "", "x"]
)
def test_wrapped_lines_fit_and_lose_nothing(text):
    lines = wrap(text, 0.6, 9).split("\n")
    assert all(text_width(line, 9) <= 0.6 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_cut_text_says_so_and_fits():
    lines = wrap("many words that need more lines than there are", 0.7, 9, lines=2).split("\n")
    assert len(lines) == 2
    assert lines[-1].endswith(" …")
    assert all(text_width(line, 9) <= 0.7 for line in lines)


def test_signs_outside_the_font_become_squares():
    assert legible("кошка\n猫 ✓") == "кошка □ ✓"


# --- figures -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_style")
def test_score_histograms_are_readable():
    scores = {
        "before training": distributions(0.5, relevant=False),
        "mini-clip": distributions(0.1),
        "mini-aligned": distributions(-0.01),
    }
    figure = plots.score_histograms(scores)
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == list(scores)
    assert_readable(figure)


def test_score_histograms_take_plain_arrays():
    rng = np.random.default_rng(0)
    figure = plots.score_histograms((rng.normal(0.6, 0.1, (9, 50)), rng.normal(0.2, 0.1, 300)))
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert any(note.startswith("text, median 0.6") for note in notes)
    assert any("P(text > image) above 0.99" in n or "P(text > image) 0.99" in n for n in notes)
    assert_readable(figure)


def test_densities_have_area_one_after_merging():
    panel = distributions(0.1)
    for sample in panel.samples:
        density, edges = _density(panel, sample)
        assert np.isclose((density * np.diff(edges)).sum(), 1)
    merged = _density(panel, "text relevant")[0]
    assert len(merged) < np.count_nonzero(panel.samples["text relevant"].counts)


def test_a_sample_of_equal_scores_is_drawn():
    assert_readable(plots.score_histograms((np.full(5, 0.5), np.full(5, 0.5))))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.99999, "above 0.999"),
        (0.996, "0.996"),
        (0.5, "0.50"),
        (0.00001, "below 0.001"),
        (0.0, "0.000"),
    ],
)
def test_no_chance_is_rounded_to_certainty(value, text):
    assert _chance(value) == text


@pytest.mark.usefixtures("any_style")
def test_shared_space_is_readable():
    pictures = {at: Image.new("RGB", (20, 30), "green") for at in range(25)}
    figure = plots.shared_space(plots.project(pair(), method="pca"), thumbnails=pictures)
    figure.draw_without_rendering()
    boxes = [a.get_window_extent() for a in figure.axes[0].findobj(AnnotationBbox)]
    assert len(boxes) >= 20
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    outer = figure.axes[0].get_window_extent()
    assert all(outer.x0 <= b.x0 and b.x1 <= outer.x1 for b in boxes)
    assert_readable(figure)


def test_shared_space_draws_panels():
    flat = plots.project(pair(), method="pca")
    figure = plots.shared_space({"first": flat, "second": flat, "third": flat}, n_lines=5)
    assert sum(axes.get_visible() for axes in figure.axes) == 3
    assert len(figure.axes[0].collections[0].get_segments()) == 5
    assert_readable(figure)


def test_projections_pair_by_document(vectors):
    projection = plots.project(vectors, method="pca")
    assert projection.text.shape == projection.image.shape == (4, 2)
    assert projection.pairs.tolist() == [[0, 0], [1, 1], [3, 3]]
    assert projection.text_positions[3] == projection.image_positions[3] == 4
    assert projection.axis_names[0].startswith("PC 1 (")


def test_pca_is_one_fit_of_both_legs():
    text, image = pair()
    projection = plots.project((text, image), method="pca")
    both = np.concatenate([projection.text, projection.image])
    np.testing.assert_allclose(both.mean(axis=0), 0, atol=1e-9)
    assert abs(projection.image[:, 0].mean() - projection.text[:, 0].mean()) > 2


def test_umap_repeats_and_can_draw_a_subset():
    first, second = (plots.project(pair(80), n_doc=40, seed=3) for _ in range(2))
    assert first.text.shape == (40, 2)
    np.testing.assert_array_equal(first.text_positions, first.image_positions)
    np.testing.assert_array_equal(first.text, second.text)
    assert np.isfinite(first.image).all()


def test_unknown_projection_is_refused():
    with pytest.raises(ValueError, match="choose 'umap' or 'pca'"):
        plots.project(pair(), method="tsne")


def test_thumbnails_come_from_documents_with_an_image(vectors):
    found = plots.pick_thumbnails(vectors, n=10)
    assert set(found) == {0, 1, 2, 4}
    assert found[0].getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.usefixtures("any_style")
def test_recall_is_readable():
    figure = plots.recall_bars(recall())
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == [
        "mini-clip",
        "mini-siglip",
        "mini-aligned",
    ]
    assert_readable(figure)


def test_recall_panels_wrap_and_titles_do_too():
    table = recall(("T: the text answers", "I: the image answers", "M: some by text", "B: both"))
    figure = plots.recall_bars(table, columns=3)
    assert sum(axes.get_visible() for axes in figure.axes) == 4
    assert_readable(figure)
    assert_readable(plots.recall_bars(table, columns=4))


def test_recall_draws_values_and_intervals_in_percent():
    table = recall(("one",)).drop(columns="encoder")
    axes = plots.recall_bars(table, strategies=["text leg"]).axes[0]
    interval, dot = axes.lines
    np.testing.assert_allclose(interval.get_xdata(), [0, 4], atol=1e-9)
    np.testing.assert_allclose(dot.get_xdata(), [2])
    assert dot.get_marker() == "^"


def test_recall_refuses_what_it_cannot_draw():
    table = recall()
    with pytest.raises(ValueError, match=r"no row of measure 'ndcg@5'.*recall@10, mrr"):
        plots.recall_bars(table, measure="ndcg@5")
    with pytest.raises(ValueError, match="rows repeat a pair"):
        plots.recall_bars(table.rename(columns={"encoder": "model"}))


@pytest.mark.usefixtures("any_style")
def test_gallery_is_readable(corpus):
    columns = {
        "text leg": {"d0": 0.71, "d1": 0.64, "d2": 0.62},
        "image leg": {"d4": 0.32, "d3": 0.31},
        "nothing at all": {},
    }
    figure = plots.gallery(corpus, "q1", columns)
    texts = [text.get_text() for text in figure.texts]
    assert [text for text in texts if "✓" in text] == ["1.  score 0.710  ✓"]
    assert "no hit" in texts
    assert "(no text)" in texts
    assert_readable(figure)


def test_gallery_widens_for_many_methods(corpus):
    hits = {"d0": -0.71, "d1": -0.84, "d2": -0.92}
    figure = plots.gallery(corpus, "q1", {f"method {number} of six": hits for number in range(6)})
    assert_readable(figure)


@pytest.mark.usefixtures("any_style")
def test_gallery_stays_in_place_when_saved(corpus, tmp_path):
    figure = plots.gallery(corpus, "q1", {"text leg": {"d0": 0.7}})
    before = figure.axes[0].get_position().bounds
    for ending in ("svg", "png"):
        figure.savefig(tmp_path / f"gallery.{ending}")
    assert figure.axes[0].get_position().bounds == before


def test_gallery_takes_runs(corpus):
    run = Run("both", ["q1", "q2"], corpus.doc_ids, np.array([[0, 1], [4, -1]]),
              np.array([[0.9, 0.8], [0.7, -np.inf]]))  # fmt: skip
    figure = plots.gallery(corpus, "q2", [run])
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "Query: cat"
    assert "1.  score 0.700  ✓" in texts
    assert not any(text.startswith("2.") for text in texts)
    assert_readable(figure)


@pytest.mark.usefixtures("any_style")
def test_sweep_is_readable():
    assert_readable(plots.temperature_sweep(sweep(), pool_share=0.5))


def test_sweep_joins_means_of_fixed_scales_only():
    figure = plots.temperature_sweep(sweep())
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [10, 20, 50, 100, 150]
    assert line.get_ydata()[0] == pytest.approx(0.1 + 0.05 * np.log(10) + 0.005)
    assert len(plots.temperature_sweep(sweep(learned=False)).axes[0].lines) == 2


def test_sweep_names_missing_columns():
    with pytest.raises(ValueError, match=r"lacks the columns \['l2m', 'recall'\]"):
        plots.temperature_sweep(sweep().drop(columns=["l2m", "recall"]))
