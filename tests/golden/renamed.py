"""What was renamed since the tables were frozen: old name to new name.

A rename anywhere in the package is one line here; the frozen files stay as they are.
"""

from __future__ import annotations

TABLES: dict[str, str] = {}
"""Tables."""

COLUMNS: dict[str, str] = {}
"""Columns, of every table or of one: ``"table/column"``."""

WORDS: dict[str, str] = {
    "knn_share": "knn_fraction",
    "kNN share": "kNN own",
    "gap_share_top1": "gap_fraction_top1",
    "gap_share_top8": "gap_fraction_top8",
}
"""Whole cells of text, such as the name of a method."""

PARTS: dict[str, str] = {}
"""Parts of cells and column names, such as a word of the names of several methods."""

DROPPED: set[str] = {"meaning", "reason", "fitted_on", "sees"}
"""Columns that are gone on purpose, and columns of prose: ``"table/column"`` or ``"column"``."""

LOOSE: dict[str, float] = {"real_": 1e-4, "real_models_real_two_stage": 0.02, "training": 1e-4}
"""Tolerance of tables whose name begins so: models and training round as the machine does, and
rounding decides near ties of a real model's first places."""

REFROZEN: dict[str, str] = {}
"""Tables frozen anew since, and why."""
