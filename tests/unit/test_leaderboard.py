"""The leaderboard on pools whose best method is known, and its figure."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from figure_checks import (
    assert_legible_size,
    assert_no_clipped_text,
    assert_no_overlapping_text,
)
from test_methods import drawn, vectors_of

from mmgap import plots
from mmgap.evaluation import difference_table, recall_table
from mmgap.strategies import METHODS, format_leaderboard, leaderboard
from mmgap.strategies.tables import WORSE

LEGS = ("text leg", "image leg")


def some(*names: str):
    return [METHODS[name] for name in (*LEGS, *names)]


def opposite() -> tuple:
    """Texts answer the queries of class T, images those of class I; the other leg is wrong.

    Class T: the text leg ranks the relevant document first, the image leg last of 12; class I the
    other way round, but for one query in four, which the image leg misses too.
    """
    n, n_doc = 16, 12
    good = np.tile(np.linspace(0.5, 0.1, n_doc), (n, 1))
    bad = good[:, ::-1].copy()
    relevant = np.zeros((n, n_doc), dtype=bool)
    relevant[:, 0] = True
    classes = ["T"] * 8 + ["I"] * 8
    text = np.vstack([good[:8], bad[8:]])
    image = np.vstack([bad[:8], good[8:]])
    image[[8, 12]] = bad[[8, 12]]
    return vectors_of(text, image, relevant, classes)


def value(table: pd.DataFrame, method: str, group: str = "all", measure: str = "recall@10"):
    keys = {"method": method, "query_class": group, "measure": measure}
    (row,) = table[(table[[*keys]] == pd.Series(keys)).all(axis=1)].to_dict("records")
    return row


def test_each_class_and_the_worse_of_both() -> None:
    table = leaderboard(opposite(), opposite(), some("raw, max"))
    text, image = (
        [value(table, leg, group)["value"] for group in ("T", "I", WORSE, "all")] for leg in LEGS
    )
    assert text == [1, 0, 0, 0.5]
    assert image == [0, 0.75, 0, 0.375]
    # Both ends of each list tie for the maximum: 4 of the 12 documents at a time.
    assert value(table, "raw, max", "T")["value"] == 1


def test_intervals_ties_and_counts_are_those_of_the_recall_table() -> None:
    calibration, test = drawn(1), drawn(2)
    methods = some("RRF, k = 60", "raw, mean")
    table = leaderboard(calibration, test, methods)
    runs = [method.fit(calibration).run(test).run for method in methods]
    known = recall_table(
        runs, test.corpus.qrels, measures=["recall@10", "ndcg@10"], tolerance=1e-12
    )
    own = table[(table["query_class"] == "all") & (table["measure"] != "merge_ms")]
    merged = own.merge(known, left_on=["method", "measure"], right_on=["strategy", "measure"])
    assert len(merged) == len(known) == 8
    for column in ("value", "optimistic", "pessimistic", "tied", "n"):
        np.testing.assert_allclose(merged[f"{column}_x"], merged[f"{column}_y"])
    for column in ("ci_low", "ci_high"):
        np.testing.assert_allclose(merged[f"{column}_x"], merged[f"{column}_y"], atol=0.02)


def test_differences_are_to_the_better_leg_and_tested_as_elsewhere() -> None:
    calibration, test = drawn(1, 60, 80), drawn(2, 60, 80)
    methods = some("raw, mean", "RRF, k = 60", "raw, min")
    table = leaderboard(calibration, test, methods)
    runs = [method.fit(calibration).run(test).run for method in methods]
    better = max(LEGS, key=lambda leg: value(table, leg)["value"])
    known = difference_table(runs, test.corpus.qrels, list(LEGS), tolerance=1e-12)
    known = known.set_index("strategy")
    p = []
    for method in methods[2:]:
        row = value(table, method.name)
        assert row["against"] == better == known.loc[method.name, "against"]
        assert row["difference"] == pytest.approx(row["value"] - value(table, better)["value"])
        assert row["difference"] == pytest.approx(known.loc[method.name, "value"])
        assert row["effect_size"] == pytest.approx(known.loc[method.name, "effect_size"])
        assert row["p"] == pytest.approx(known.loc[method.name, "p"], abs=0.02)
        assert row["p_holm"] >= row["p"]
        p.append((row["p"], row["p_holm"]))
    # Holm by hand: the smallest of three p-values is multiplied by three.
    smallest = min(p)
    assert smallest[1] == pytest.approx(min(1, 3 * smallest[0]))
    for leg in LEGS:
        assert np.isnan(value(table, leg)["p"])


def test_p_by_hand() -> None:
    """Each leg has 11 documents before the relevant one, others each; the mean has none.

    So the mean finds it for five queries, no leg does, and the sixth query nobody answers: of the
    32 ways to exchange the two, 2 differ as much. Holm has two methods to correct for.
    """
    n_query, n_doc = 6, 23
    text, image = np.zeros((2, n_query, n_doc))
    text[:, 1:12], image[:, 12:] = 0.9, 0.9
    text[:5, 0] = image[:5, 0] = 0.5
    relevant = np.zeros((n_query, n_doc), dtype=bool)
    relevant[:, 0] = True
    test = vectors_of(text, image, relevant)
    table = leaderboard(test, test, some("raw, mean", "raw, max"))
    row = value(table, "raw, mean")
    assert row["difference"] == pytest.approx(5 / 6, abs=0.1)
    assert row["p"] == pytest.approx(2 / 32)
    assert row["p_holm"] == pytest.approx(2 * 2 / 32)
    loser = value(table, "raw, max")
    assert loser["p"] > 0.5


def test_the_worse_class_has_an_interval_of_its_own() -> None:
    calibration, test = drawn(1, 40, 60), drawn(2, 40, 60)
    table = leaderboard(calibration, test, some("raw, max", "z, mean"))
    for name in ("raw, max", "z, mean"):
        row = value(table, name, WORSE)
        parts = [value(table, name, group) for group in ("T", "I")]
        assert row["value"] == min(part["value"] for part in parts)
        assert row["ci_low"] <= row["value"]
        assert row["ci_low"] >= min(part["ci_low"] for part in parts) - 0.06
        assert row["ci_high"] <= min(part["ci_high"] for part in parts) + 0.06
        assert np.isnan(row["p"])


def test_every_method_is_in_the_table_with_its_time() -> None:
    table = leaderboard(drawn(1), drawn(2))
    assert list(dict.fromkeys(table["method"])) == list(METHODS)
    times = table[table["measure"] == "merge_ms"]
    assert len(times) == len(METHODS)
    assert (times["value"] > 0).all()
    keys = ["corpus", "encoder", "method", "query_class", "measure"]
    assert not table.duplicated(keys).any()
    rest = table[table["measure"] != "merge_ms"]
    assert (
        rest[["value", "ci_low", "ci_high", "optimistic", "pessimistic", "tied"]]
        .notna()
        .all(axis=None)
    )
    assert (
        (rest["pessimistic"] <= rest["value"] + 1e-12)
        & (rest["value"] <= rest["optimistic"] + 1e-12)
    ).all()


def test_the_same_table_twice() -> None:
    methods = some("raw, mean", "platt, log-odds")
    first, second = (leaderboard(drawn(1), drawn(2), methods) for _ in range(2))
    drop = lambda table: table[table["measure"] != "merge_ms"].reset_index(drop=True)  # noqa: E731
    pd.testing.assert_frame_equal(drop(first), drop(second))


def test_two_methods_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        leaderboard(drawn(1), drawn(2), some("text leg"))


def test_without_classes_there_is_one_group() -> None:
    rng = np.random.default_rng(0)
    test = vectors_of(rng.random((5, 20)), rng.random((5, 20)), np.eye(5, 20, dtype=bool))
    table = leaderboard(test, test, some("raw, mean"))
    assert set(table["query_class"]) == {"all"}


def test_what_a_reader_sees() -> None:
    table = leaderboard(opposite(), opposite(), some("raw, max", "raw, mean", "raw, min"))
    read = format_leaderboard(table, top=1)
    assert list(read["method"][read["method"].isin(LEGS)]) == ["text leg", "image leg"]
    assert len(read) == 3
    row = read.set_index("method").loc["text leg"]
    assert row["recall@10"].startswith("50.0 [")
    assert (row["T"], row["I"], row["worse"]) == ("100.0", "0.0", "0.0")
    assert row["against"] == ""
    assert len(format_leaderboard(table, top=None)) == 5


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_and_prints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((60, 8))
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "text.npy", image + 0.5 * rng.standard_normal((60, 8)))
    np.save(tmp_path / "queries.npy", image + 0.5 * rng.standard_normal((60, 8)))
    pair = f"{tmp_path}/image.npy,{tmp_path}/text.npy,{tmp_path}/queries.npy"
    for command, name in (("leaderboard", "leaderboard.csv"), ("label-budget", "label_budget.csv")):
        options = ["--draws", "5"] if command == "label-budget" else ["--top", "4"]
        options += ["--out", str(tmp_path / "results")]
        done = subprocess.run(
            [sys.executable, "-m", "mmgap.cli", command, "--corpus", pair, *options],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(tmp_path / "results" / name)
        assert set(table["encoder"]) == {"features"}
        assert {"method", "measure", "value", "ci_low", "ci_high", "n"} <= set(table)
        assert table["n"].min() == 30  # half of the queries are for calibration
        assert "image leg" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 200


# --- the figure ----------------------------------------------------------------------------------


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
        (pd.concat([board(), board()]), "several rows share one panel and method"),
    ],
)
def test_the_figure_refuses_what_it_cannot_draw(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plots.leaderboard(table, panels="panel")
