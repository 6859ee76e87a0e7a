"""The gap report on vectors small enough to count by hand, and what it looks like."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmgap as mg
from mmgap.corpus import Corpus, Document, Judgment, Qrels, Query, load_features
from mmgap.encoders.base import EncoderInfo
from mmgap.encoders.vectors import TokenVectors
from mmgap.errors import MmgapError
from mmgap.gap import MEASURES, SmallSampleWarning, interval
from mmgap.index.vectors import Leg, Vectors
from mmgap.strategies import GapReport, gap_report
from mmgap.strategies.gap_consequences import _cross_fitted, consequences

COLUMNS = [
    "part",
    "measure",
    "symbol",
    "side",
    "value",
    "ci_low",
    "ci_high",
    "null",
    "n",
    "meaning",
]
QUICK = {"n_resamples": 50}


def unit(*angles_deg: float) -> np.ndarray:
    angles = np.deg2rad(angles_deg)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def cloud(n: int, seed: int, shift: float, dim: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, dim)) + shift * np.eye(dim)[0]).astype(np.float32)


def make(
    queries: np.ndarray,
    text: tuple[list[int], np.ndarray],
    image: tuple[list[int], np.ndarray],
    relevant: list[tuple[int, int]],
    **options,
) -> Vectors:
    n_document = 1 + max(text[0] + image[0])
    corpus = Corpus(
        options.pop("name", "tiny"),
        [Document(f"d{at}", "t") for at in range(n_document)],
        [Query(f"q{at}", "x") for at in range(len(queries))],
        Qrels([Judgment(f"q{query}", f"d{document}", 1) for query, document in relevant]),
        **options,
    )
    legs = {
        name: Leg(np.asarray(positions), rows)
        for name, (positions, rows) in (("text", text), ("image", image))
    }
    info = EncoderInfo("angles", "angles", "hand", queries.shape[1])
    return Vectors(corpus, info, queries, legs)


@pytest.fixture(scope="module")
def pairs() -> Vectors:
    """Eighty pairs with a large gap; noisy copies of the texts as queries."""
    image = cloud(80, 0, 4)
    text = image - 8 * np.eye(8, dtype=np.float32)[0] + 0.5 * cloud(80, 1, 0)
    return mg.embed(load_features(image, text, text + 0.2 * cloud(80, 2, 0)))


@pytest.fixture(scope="module")
def report(pairs: Vectors) -> GapReport:
    return gap_report(pairs, **QUICK)


def rows_of(report: GapReport) -> pd.DataFrame:
    return report.to_frame().set_index(["measure", "side"]).sort_index()


# The numbers


def test_the_table_is_tidy(report: GapReport) -> None:
    table = report.to_frame()
    assert list(table.columns) == COLUMNS
    assert set(table["part"]) == {"geometry", "consequence"}
    assert set(table["side"]) <= {"image", "text", "both"}
    assert not table.duplicated(["measure", "side"]).any()
    assert (table["meaning"].str.len() > 10).all()
    known = table["ci_low"].notna()
    assert (table["ci_low"] <= table["ci_high"])[known].all()
    table.loc[0, "value"] = -99  # a copy
    assert report.table.loc[0, "value"] != -99


def test_geometry_is_that_of_the_functions(pairs: Vectors, report: GapReport) -> None:
    found = rows_of(report)
    image, text = pairs.image.embeddings, pairs.text.embeddings
    for measure in MEASURES.values():
        sides = {"image": (image,), "text": (text,)} if measure.sides else {"both": (image, text)}
        for side, rows in sides.items():
            if (measure.name, side) not in found.index:
                assert any(note.startswith(f"{measure.symbol} is left") for note in report.notes)
                continue
            row = found.loc[(measure.name, side)]
            assert row["value"] == pytest.approx(measure.function(*rows), nan_ok=True)
            assert row["n"] == 80
    bounds = interval(MEASURES["l2m"], image, text, n_draws=50)
    assert found.loc[("l2m", "both"), "ci_low"].item() == pytest.approx(bounds.low)


def test_consequences_counted_by_hand() -> None:
    """Two queries; each document's text and image score as listed, in degrees from the x axis.

    Query 0 looks along x, query 1 along 90 degrees; d0 answers the first, d1 the second.
    """
    vectors = make(
        unit(0, 90), ([0, 1, 2], unit(10, 75, 30)), ([0, 1, 2], unit(40, 60, 20)), [(0, 0), (1, 1)]
    )
    with pytest.warns(SmallSampleWarning):
        found = rows_of(gap_report(vectors, k=1, **QUICK))

    def value(measure: str, side: str) -> float:
        return found.loc[(measure, side), "value"].item()

    # Query 0: right image at 40 degrees, wrong texts at 75 and 30: one of two is closer.
    # Query 1: right image at 30 degrees, wrong texts at 80 and 60: none is.
    assert value("dominance_by_query", "image") == pytest.approx(1 / 4)
    # Pooled: wrong texts at 75 30 80 60, right images at 40 and 30 (a tie): (1 + 1/2) of 8.
    assert value("dominance", "image") == pytest.approx(1.5 / 8)
    # Query 0: right text at 10, wrong images at 60 and 20; query 1: 15 against 50 and 70.
    assert value("dominance", "text") == 0
    # First hits: text at 10 degrees, text at 15 degrees.
    assert value("text_fraction", "both") == 1
    # Query 0: text at 30 and image at 20 stand before the image at 40; query 1: first.
    assert value("own_rank", "image") == np.median([2, 1])
    assert value("merged_rank", "image") == np.median([3, 1])
    assert value("rank_inflation", "image") == np.median([3 / 2, 1])
    # The text of d0 is no error for query 0; without it, an image (20 degrees) comes first.
    assert value("wrong_modality", "image") == 0
    assert value("merge_loss", "image") == 0
    # The level where both modalities are scored alike: wrong images against right images.
    # At 60 20 90-40=50 70 against 40 and 30: the 20 beats both.
    assert found.loc[("dominance", "image"), "null"].item() == pytest.approx(2 / 8)
    assert found.loc[("text_fraction", "both"), "null"].item() == pytest.approx(1 / 2)
    assert found.loc[("rank_inflation", "image"), "null"].item() == pytest.approx(2)


def test_a_gap_that_favours_texts_shows_in_one_direction(report: GapReport) -> None:
    found = rows_of(report)
    assert found.loc[("dominance", "image"), "value"].item() > 0.95
    assert found.loc[("dominance", "text"), "value"].item() < 0.05
    for side in ("image", "text"):
        row = found.loc[("dominance", side)]
        assert row["ci_low"] <= row["value"] <= row["ci_high"]
        assert row["ci_high"] - row["ci_low"] < 0.1
    assert found.loc[("merge_loss", "image"), "value"].item() > 0.7
    assert found.loc[("loss_fraction_offset", "image"), "value"].item() > 0.7
    assert np.isnan(found.loc[("loss_fraction_offset", "text"), "value"].item())  # nothing is lost


def test_intervals_of_a_pooled_chance_hold_it() -> None:
    """Scores are independent of the query: 95 % of reports should hold the truth of .5."""
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores = [rng.standard_normal((30, 2)).astype(np.float32) for _ in range(3)]
        identity = list(zip(range(30), range(30), strict=True))
        every = list(range(30))
        vectors = make(scores[0], (every, scores[1]), (every, scores[2]), identity)
        row = consequences(vectors, None, k=1, n_resamples=200, rng=rng)[0][0]
        hits += row.ci_low <= 0.5 <= row.ci_high
    assert hits >= 33


def test_calibration_queries_replace_the_halves(pairs: Vectors) -> None:
    bank = mg.embed(load_features(cloud(70, 5, 2), cloud(70, 6, 0)))
    fitted = gap_report(pairs, calibration=bank, **QUICK)
    halves = gap_report(pairs, **QUICK)
    assert any("70 calibration queries" in note for note in fitted.notes)
    assert any("two random halves" in note for note in halves.notes)
    parts = [("loss_fraction_offset", "image"), ("loss_fraction_unexplained", "image")]
    of_bank, of_halves = (rows_of(each).loc[parts, "value"].tolist() for each in (fitted, halves))
    assert of_bank != of_halves
    # The bank is a set of queries in any order, and its documents do not matter.
    other = replace(bank, queries=bank.queries[::-1].copy(), legs=pairs.legs)
    again = rows_of(gap_report(pairs, calibration=other, **QUICK)).loc[parts, "value"]
    assert again.tolist() == pytest.approx(of_bank)


def test_each_half_is_judged_with_the_other_as_bank() -> None:
    rng = np.random.default_rng(0)
    found = {leg: rng.standard_normal((40, 30)) for leg in ("text", "image")}
    good = {leg: np.eye(40, 30, dtype=bool) for leg in found}
    losses = _cross_fitted(found, good, 1, np.random.default_rng(1))
    first, second = np.split(np.random.default_rng(1).permutation(40), 2)
    expected = [
        mg.scores.decompose_merge_loss(
            *(found[leg][judged] for leg in ("text", "image")),
            *(good[leg][judged] for leg in ("text", "image")),
            reference_text_scores=found["text"][bank],
            reference_image_scores=found["image"][bank],
        )
        for judged, bank in ((first, second), (second, first))
    ]
    for leg in ("text", "image"):
        for removed, recall in losses[leg].recall.items():
            parts = [half[leg].recall[removed] for half in expected]
            np.testing.assert_array_equal(recall, np.concatenate(parts))


def test_the_same_seed_gives_the_same_report(pairs: Vectors, report: GapReport) -> None:
    pd.testing.assert_frame_equal(gap_report(pairs, **QUICK).table, report.table)


def test_pairs_left_out_do_not_count(pairs: Vectors) -> None:
    captions = mg.embed(load_features(pairs.image.embeddings, pairs.text.embeddings))
    found = gap_report(captions, **QUICK)
    rows = rows_of(found)
    assert ("dominance", "text") not in rows.index
    assert any("80 pairs of a query and a document do not count" in note for note in found.notes)
    assert any("No query has a relevant text that counts" in note for note in found.notes)
    # 79 texts and 80 images for each query.
    assert rows.loc[("text_fraction", "both"), "null"].item() == pytest.approx(79 / 159)


# What is there


def test_documents_with_one_leg_are_counted(pairs: Vectors) -> None:
    vectors = make(
        pairs.queries,
        (list(range(60)), pairs.text.embeddings[:60]),
        (list(range(20, 80)), pairs.image.embeddings[20:]),
        [(at, at) for at in range(80)],
    )
    found = gap_report(vectors, **QUICK)
    geometry = found.table[found.table["part"] == "geometry"]
    assert set(geometry["n"]) == {40}
    assert any("20 documents have texts only" in note for note in found.notes)
    assert any("20 documents have images only" in note for note in found.notes)
    rows = rows_of(found)
    assert rows.loc[("dominance", "image"), "n"].item() == 60
    expected = MEASURES["l2m"].function(pairs.image.embeddings[20:60], pairs.text.embeddings[20:60])
    assert rows.loc[("l2m", "both"), "value"].item() == pytest.approx(expected)


def test_no_document_with_both_legs(pairs: Vectors) -> None:
    vectors = make(
        pairs.queries[:60],
        (list(range(40)), pairs.text.embeddings[:40]),
        (list(range(40, 80)), pairs.image.embeddings[40:]),
        [(at, at) for at in range(60)],
    )
    found = gap_report(vectors, **QUICK)
    assert any("No document has both" in note for note in found.notes)
    rows = rows_of(found)
    assert "rmg" not in rows.index.get_level_values("measure")
    l2m = rows.loc[("l2m", "both")]
    expected = MEASURES["l2m"].function(pairs.image.embeddings[40:], pairs.text.embeddings[:40])
    assert l2m["value"] == pytest.approx(expected)
    assert np.isnan([l2m["ci_low"], l2m["null"]]).all()
    assert rows.loc[("cone", "image"), "ci_low"] < rows.loc[("cone", "image"), "value"]


def test_repeated_texts_are_said(pairs: Vectors) -> None:
    text = np.tile(pairs.text.embeddings[:40], (2, 1))
    found = gap_report(mg.embed(load_features(pairs.image.embeddings, text, text)), **QUICK)
    assert any("80 different images and 40 different texts" in note for note in found.notes)


def test_nothing_is_said_of_repeats_where_there_are_none(report: GapReport) -> None:
    assert not any("different" in note for note in report.notes)


def test_too_few_pairs_are_warned_of() -> None:
    features = load_features(cloud(6, 0, 0), cloud(6, 1, 0), cloud(6, 2, 0))
    with pytest.warns(SmallSampleWarning, match="bias of 6 rows"):
        found = gap_report(mg.embed(features), **QUICK)
    assert any(note.startswith("Too few pairs for L2M") for note in found.notes)
    assert any(note.startswith("Intervals over 6 queries are rough") for note in found.notes)


def test_one_pair_gives_what_it_can() -> None:
    vectors = mg.embed(load_features(cloud(1, 0, 3), cloud(1, 1, 0), cloud(1, 2, 0)))
    found = gap_report(vectors, **QUICK)
    assert set(found.table["n"]) == {1}
    assert {"own_rank", "text_fraction"} <= set(found.table["measure"])
    assert "dominance" not in set(found.table["measure"])  # no document that does not answer
    assert any(note.startswith("The decomposition is left out") for note in found.notes)
    assert any(note.startswith("L2M is left out") for note in found.notes)


def test_without_queries_there_is_geometry_only(pairs: Vectors) -> None:
    nobody = pairs.corpus.select_queries(lambda _: False)
    found = gap_report(replace(pairs, corpus=nobody, queries=pairs.queries[:0]), **QUICK)
    assert set(found.table["part"]) == {"geometry"}
    assert any("There is no query" in note for note in found.notes)


def test_many_queries_are_sampled(pairs: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["mmgap.strategies.gap_report"]
    monkeypatch.setattr(module, "MAX_SCORES", 80 * 80 - 1)
    assert len(gap_report(pairs, **QUICK).table)  # never fewer than 100 queries
    queries = np.concatenate([pairs.queries, pairs.queries])
    every = list(range(80))
    vectors = make(
        queries,
        (every, pairs.text.embeddings),
        (every, pairs.image.embeddings),
        [(at, at % 80) for at in range(160)],
    )
    found = gap_report(vectors, **QUICK)
    assert any("100 random queries of 160" in note for note in found.notes)
    assert rows_of(found).loc[("dominance", "image"), "n"].item() == 100


def test_late_interaction_has_consequences_only(pairs: Vectors) -> None:
    def twice(rows: np.ndarray) -> TokenVectors:
        return TokenVectors.from_arrays(list(np.stack([rows, -rows], axis=1)))

    legs = {name: Leg(leg.positions, twice(leg.embeddings)) for name, leg in pairs.legs.items()}
    queries = TokenVectors.from_arrays(list(pairs.queries[:, None]))
    found = gap_report(replace(pairs, queries=queries, legs=legs), **QUICK)
    assert set(found.table["part"]) == {"consequence"}
    assert any("several vectors for an item" in note for note in found.notes)


def test_errors(pairs: Vectors) -> None:
    with pytest.raises(MmgapError, match="k must be a whole number of at least 1; got 0"):
        gap_report(pairs, k=0)
    one_leg = replace(pairs, legs={"text": pairs.text})
    with pytest.raises(MmgapError, match="needs both legs"):
        gap_report(one_leg)


# The looks


HOSTILE = '<b>&"50%_#{~^\\$</b>'


@pytest.fixture(scope="module")
def hostile(report: GapReport) -> GapReport:
    return replace(report, corpus=HOSTILE, notes=(*report.notes, HOSTILE))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_text_keeps_to_its_width(report: GapReport, width: int) -> None:
    lines = report.to_text(width).splitlines()
    assert max(map(len, lines)) <= max(width, 80)
    assert lines[0].startswith("The gap between images and texts: features")
    for row in report.table.itertuples():
        assert any(line.startswith(row.symbol) and row.side in line for line in lines)
    words = " ".join(report.to_text(width).split())
    assert all(" ".join(note.split()) in words for note in report.notes)


def test_text_has_six_digits_and_dashes_for_what_is_not_there(report: GapReport) -> None:
    value = report.table.loc[0, "value"]
    line = report.to_text().splitlines()[5]
    assert f"{value:.6f}" in line
    cone = next(line for line in report.to_text().splitlines() if line.startswith("cone"))
    assert re.search(r"\]\s+-\s+80", cone)
    assert "nan" not in report.to_text()


def test_html_is_well_formed_and_escaped(hostile: GapReport) -> None:
    root = ET.fromstring(hostile.to_html())
    caption = root.find(".//caption")
    assert caption is not None
    assert caption.text.endswith(HOSTILE)
    assert root.findall(".//li")[-1].text == HOSTILE
    rows = root.findall(".//tbody/tr")
    assert len(rows) == len(hostile.table) + 2  # one heading for each part
    assert all(len(row) in (1, 7) for row in rows)
    assert hostile._repr_html_() == hostile.to_html()


def test_latex_is_escaped_and_complete(hostile: GapReport) -> None:
    source = hostile.to_latex()
    for name in ("toprule", "midrule", "bottomrule", "caption"):
        assert f"\\{name}" in source
    escaped = r"\textless{}b\textgreater{}\&"
    assert escaped in source
    body = source.split(r"\toprule")[1].split(r"\bottomrule")[0]
    numbers = [line for line in body.splitlines() if line.count(" & ") == 5]
    assert len(numbers) == len(hostile.table) + 1
    assert not re.search(r"(?<!\\)[%#$_]", source)
    assert not re.search(r"[<>|²]", source)
    assert not re.search(r"[^\x00-\x7f]", source)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(hostile: GapReport, tmp_path: Path) -> None:
    source = tmp_path / "report.tex"
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    source.write_text(f"{head}\n{hostile.to_latex()}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", source.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_report_shows_itself(report: GapReport) -> None:
    assert repr(report) == report.to_text()
