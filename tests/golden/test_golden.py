"""What commands and notebooks compute stays what it was: the tables of ``make.py``, to 1e-9.

Names may change: one line in ``renamed.py``. A number may change for a reason only, which goes
into ``REFROZEN`` there: ``python tests/golden/make.py MAKER`` writes its tables anew. On another
kind of machine, where single precision rounds otherwise, 1e-5 is asked for.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import make
import renamed

FROZEN = sorted(path.stem for path in make.TABLES.glob("*.csv"))
MACHINE = make.TABLES / "machine.txt"
SAME_MACHINE = MACHINE.exists() and MACHINE.read_text() == make.machine()
pytestmark = pytest.mark.skipif(not FROZEN, reason="no table is frozen yet")


@pytest.fixture(scope="module")
def made() -> make.Made:
    return make.make()


def other_words(text: str) -> str:
    text = renamed.WORDS.get(text, text)
    for old, new in renamed.PARTS.items():
        text = text.replace(old, new)
    return text


def frozen(name: str) -> pd.DataFrame:
    """A stored table in today's words."""
    table = pd.read_csv(make.TABLES / f"{name}.csv", keep_default_na=True)
    gone = [c for c in table if c in renamed.DROPPED or f"{name}/{c}" in renamed.DROPPED]
    table = table.drop(columns=gone)
    table.columns = pd.Index(
        [
            renamed.COLUMNS.get(
                f"{name}/{column}", renamed.COLUMNS.get(column, other_words(column))
            )
            for column in table.columns
        ]
    )
    return table.map(lambda cell: other_words(cell) if isinstance(cell, str) else cell)


@pytest.mark.parametrize("name", FROZEN)
def test_table(made: make.Made, name: str) -> None:
    wanted = frozen(name)
    found = make.as_read(made[renamed.TABLES.get(name, name)])
    assert not set(wanted) - set(found), f"columns gone; has {list(found)}"
    assert len(found) == len(wanted)
    loose = [bound for start, bound in renamed.LOOSE.items() if name.startswith(start)]
    bound = max([1e-9 if SAME_MACHINE else 1e-5, *loose])
    for column in wanted:
        old, new = wanted[column], found[column]
        if old.dtype.kind in "if" and new.dtype.kind in "if":
            np.testing.assert_allclose(
                new.astype(float), old.astype(float), rtol=bound, atol=bound, err_msg=column
            )
        else:
            assert new.fillna("").astype(str).tolist() == old.fillna("").astype(str).tolist()


def test_no_table_is_missing(made: make.Made) -> None:
    new = {renamed.TABLES.get(name, name) for name in FROZEN}
    assert set(made) == new, "freeze it: python tests/golden/make.py"
