"""Figures of reranking: recall against cost, the scores of both models, the first hits."""

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
from matplotlib.patches import Rectangle
from PIL import Image

from mmgap import plots
from mmgap.corpus.images import ImageFile
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.evaluation.runs import Run
from mmgap.plots import palette
from mmgap.plots.pareto import FRONT, _apart
from mmgap.plots.top1_gallery import WANTED


@pytest.fixture(params=("notebook", "paper", "slide"))
def any_style(request):
    with mpl.rc_context(plots.style(request.param)):
        yield request.param


def assert_readable(figure):
    assert_no_clipped_text(figure)
    assert_no_overlapping_text(figure)
    assert_legible_size(figure)


# --- recall against cost -------------------------------------------------------------------------


def costs(panels=("T: the text answers",), free=True):
    rng = np.random.default_rng(0)
    rows = []
    for panel in panels:
        for place, name in enumerate(("raw merge", "mean of raw scores", "calibrated fusion")):
            rows.append((panel, name, name, False, 0.5 + 0.02 * place, 0.0 if free else 5.0))
        families = ("rerank", "calibrate, then rerank", "only unsure queries", "cheap view first")
        for (at, family), depth in itertools.product(enumerate(families), (8, 16, 32, 64, 128)):
            value = 0.5 + 0.04 * np.log2(depth) - 0.02 * at + 0.002 * rng.normal()
            rows.append((panel, f"{family} {depth}", family, True, value, depth * (1 + 0.1 * at)))
    table = pd.DataFrame(
        rows, columns=["part", "strategy", "family", "reranked", "value", "calls_per_query"]
    )
    table["measure"] = "recall@10"
    return table.assign(ci_low=table["value"] - 0.02, ci_high=table["value"] + 0.02)


@pytest.mark.usefixtures("any_style")
@pytest.mark.parametrize("free", [True, False])
def test_pareto_is_readable(free):
    assert_readable(plots.pareto(costs(free=free)))


@pytest.mark.usefixtures("any_style")
def test_pareto_panels_are_readable():
    parts = ("T: the text answers", "I: the picture answers")
    assert_readable(plots.pareto(costs(parts), panels="part"))


def test_equal_values_have_labels_apart():
    table = costs()
    table["value"] = 0.6
    assert_readable(plots.pareto(table))


def test_pareto_draws_families_levels_and_the_front():
    table = costs().sample(frac=1, random_state=0)
    axes = plots.pareto(table).axes[0]
    lines = {line.get_color(): line for line in axes.get_lines() if len(line.get_xdata()) == 5}
    mark = palette.SERIES[0]
    (rerank,) = [
        line
        for line in axes.get_lines()
        if line.get_marker() == mark.marker and line.get_color() == mark.colour
    ]
    first = table["family"][table["reranked"]].iloc[0]
    own = table[table["family"] == first].sort_values("calls_per_query")
    np.testing.assert_allclose(rerank.get_xdata(), own["calls_per_query"])
    np.testing.assert_allclose(rerank.get_ydata(), 100 * own["value"])
    assert len(lines) == 4
    (front,) = [line for line in axes.get_lines() if line.get_gid() == "front"]
    # By hand: rows sorted by cost, only those that find more than all before them.
    best, steps = -1.0, []
    ordered = table.sort_values(["calls_per_query", "value"], ascending=[True, False])
    for cost, value in zip(ordered["calls_per_query"], ordered["value"], strict=True):
        if value > best:
            best = value
            steps.append((cost, 100 * value))
    np.testing.assert_allclose(front.get_xydata()[:-1], steps)
    assert front.get_ydata()[-1] == pytest.approx(100 * best)
    names = {text.get_text().replace("\n", " ") for text in axes.texts}
    assert names == {*table["family"], FRONT}


def test_labels_are_moved_apart_and_stay_inside():
    places = _apart([1, 1, 1, 9.9], [1, 2, 1, 1], 0, 10)
    edges = [(place - h / 2, place + h / 2) for place, h in zip(places, [1, 2, 1, 1], strict=True)]
    assert all(one[1] <= other[0] + 1e-9 for one, other in itertools.pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= 10
    assert _apart([2, 5], [1, 1], 0, 10) == [2, 5]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (costs().drop(columns="family"), {}, r"lacks the columns \['family'\]"),
        (costs(("a", "b")), {}, "several rows share one strategy"),
        (costs(), {"cost": "euros"}, r"lacks the columns \['euros'\]"),
    ],
)
def test_pareto_refuses_what_it_cannot_draw(table, options, message):
    with pytest.raises(ValueError, match=message):
        plots.pareto(table, **options)


# --- both models' scores -------------------------------------------------------------------------


def both_models():
    rng = np.random.default_rng(0)
    return {
        "mini-clip": (rng.normal(0.6, 0.1, 900), rng.normal(0.3, 0.05, 900)),
        "mini-reranker": (rng.normal(-2, 2, 900), rng.normal(-2.2, 2, 900)),
    }


@pytest.mark.usefixtures("any_style")
def test_score_pairs_are_readable():
    scales = {"mini-clip": "cosine", "mini-reranker": "logit"}
    assert_readable(plots.score_pairs(both_models(), scales=scales))


def test_score_pairs_have_a_scale_each():
    figure = plots.score_pairs(both_models(), scales={"mini-clip": "cosine"})
    cosine, logit = figure.axes
    assert cosine.get_xlabel() == "cosine"
    assert logit.get_xlabel() == "score of a query with a document"
    assert cosine.get_xlim()[1] < 2 < logit.get_xlim()[1]
    with pytest.raises(ValueError, match=r"scales has \['m0'\]"):
        plots.score_pairs(both_models(), scales={"m0": "sigmoid"})


# --- first hits ----------------------------------------------------------------------------------


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
    names = ["text leg", "image leg", "32 by text, reranked on text"]
    names += ["32 by image, reranked on image", "16 + 16, reranked on the matching leg"]
    names += ["16 + 16, mean of both views"]
    runs = []
    for at, name in enumerate(names):
        indices = np.array([[at % 4, (at + 1) % 4], [(at + 1) % 4, -1]])
        scores = np.array([[0.9, 0.9 if at == 5 else 0.1], [0.5, -np.inf]])
        runs.append(Run(name, corpus.query_ids, corpus.doc_ids, indices, scores))
    return runs


def texts_of(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.usefixtures("any_style")
@pytest.mark.parametrize("wanted", [True, False])
def test_top1_gallery_is_readable(corpus, wanted):
    figure = plots.top1_gallery(corpus, six_runs(corpus), ["q1", "q2"], wanted=wanted)
    assert_readable(figure)


def test_top1_gallery_shows_the_first_hit_and_marks_the_relevant(corpus):
    runs = six_runs(corpus)
    figure = plots.top1_gallery(corpus, runs, ["q1", "q2"])
    assert len(figure.axes) == 2 * 7
    green = [
        any(
            isinstance(patch, Rectangle)
            and patch.get_edgecolor() == mpl.colors.to_rgba(palette.RELEVANT.colour)
            for patch in axes.patches
        )
        for axes in figure.axes
    ]
    # q1: d0 and d1 are relevant; the methods show d0 d1 d2 d3 d0 d1. q2: d3; d1 d2 d3 d0 d1 d2.
    assert green[:7] == [True, True, True, False, False, True, True]
    assert green[7:] == [True, False, False, True, False, False, False]
    notes = texts_of(figure)
    assert WANTED.split()[0] in notes[0]
    assert notes.count("grade 2 ✓") == 1  # d1 has the highest grade, not d0
    assert notes.count("0.900, 2 tied ✓") == 1
    assert "no image" in [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any(text.startswith("(no text)") for text in notes)


def test_top1_gallery_says_where_there_is_no_hit(corpus):
    nothing = Run("none", ["q1"], corpus.doc_ids, np.array([[-1]]), np.array([[-np.inf]]))
    figure = plots.top1_gallery(corpus, [nothing], ["q1"], wanted=False)
    assert "no hit" in texts_of(figure)
    assert not figure.axes
    with pytest.raises(ValueError, match="0 runs and 1 queries"):
        plots.top1_gallery(corpus, [], ["q1"])
