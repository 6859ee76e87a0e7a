"""The probe laid out for reading, and its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from mmgap.cli import app
from mmgap.strategies import format_probe

COLUMNS = ["method", "fitted_on", "direction", "measure", "value", "pessimistic", "optimistic"]


def test_both_directions_and_the_worse_one_stand_side_by_side():
    rows = [
        ("text leg", "nothing", "text", "recall@10", 0.8, 0.7, 0.9),
        ("text leg", "nothing", "image", "recall@10", 0.0, 0.0, 0.0),
        ("image leg", "nothing", "text", "recall@10", 0.0, 0.0, 0.0),
        ("image leg", "nothing", "image", "recall@10", 0.5, 0.5, 0.5),
        ("merge", "scores", "text", "recall@10", 0.6, 0.6, 0.6),
        ("merge", "scores", "image", "recall@10", 0.1, 0.1, 0.1),
    ]
    wide = format_probe(pd.DataFrame(rows, columns=COLUMNS)).set_index("method")
    assert wide["text: recall@10"].tolist() == ["0.800 (0.700 to 0.900)", "0.000", "0.600"]
    assert wide["image: recall@10"].tolist() == ["0.000", "0.500", "0.100"]
    # The merge keeps .6 / .8 of the texts and .1 / .5 of the images.
    assert wide["worse direction keeps"].tolist() == ["0.00", "0.00", "0.20"]


def test_ready_made_pairs_are_asked_by_their_captions(tmp_path: Path):
    """Texts and images lie on opposite sides: merged by raw score no image is found."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((40, 32))
    side = 5 * np.eye(33)[32]
    for name, sign in (("image", 1), ("text", -1)):
        np.save(tmp_path / f"{name}.npy", np.pad(shared, ((0, 0), (0, 1))) + sign * side)
    pair = f"{tmp_path}/image.npy,{tmp_path}/text.npy"
    result = CliRunner().invoke(app, ["probe", "--corpus", pair, "--out", str(tmp_path), "--quiet"])
    assert result.exception is None, result.output
    table = pd.read_csv(tmp_path / "probe.csv")
    assert set(table["direction"]) == {"image"}
    value = table[table["measure"] == "recall@1"].set_index("method")["value"]
    assert value["raw cosine"] == 0
    assert value["image leg"] > 0.9
    assert value["global z"] > 0.5
