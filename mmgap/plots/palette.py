"""Colours and marks: what has a colour has a shape, a line or a hatch of its own too.

Every colour reaches 3:1 against white, the accessibility limit for graphics.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from mmgap.errors import MmgapError

Line = Literal["-", "--", "-.", ":"] | tuple[int, tuple[int, ...]]
"""A line style as matplotlib takes it: a sign, or offset and dash lengths."""


class Mark(NamedTuple):
    """How one series looks, in colour and without it."""

    colour: str
    marker: str
    line: Line = "-"
    hatch: str = ""


IMAGE = Mark("#0072B2", "o")
"""The image leg, everywhere."""

TEXT = Mark("#D55E00", "^", "--", "////")
"""The text leg, everywhere."""

NEUTRAL = Mark("#444444", "s")
"""Anything that belongs to neither leg."""

RELEVANT = Mark("#1B7F3B", "D")
"""Judged relevant; images get a tick besides."""

PAIR_COLOUR = "#999999"
"""Lines between the two vectors of one document."""

QUIET_COLOUR = "#666666"
"""Notes and frames that should not speak first."""

SERIES = (
    Mark("#009E73", "s", "-"),
    Mark("#332288", "D", "--"),
    Mark("#CC79A7", "v", "-."),
    Mark("#882255", "P", ":"),
    Mark("#7A6A00", "X", (0, (5, 1, 1, 1, 1, 1))),
    Mark("#444444", "p", (0, (1, 2))),
)
"""Encoders, strategies and other series, in this order."""

LEG = {"text": TEXT, "image": IMAGE}
"""The mark of each leg."""


def series_marks(names: Iterable[str]) -> dict[str, Mark]:
    """Give each name a mark, in order; there are six that can be told apart.

    >>> series_marks(["mini-clip", "mini-siglip"])["mini-siglip"].marker
    'D'
    """
    names = list(names)
    if len(names) > len(SERIES):
        msg = (
            f"{len(names)} series were given, but only {len(SERIES)} can be told apart; "
            "spread them over panels"
        )
        raise MmgapError(msg)
    return dict(zip(names, SERIES, strict=False))


def strategy_mark(name: str) -> Mark:
    """Return the leg's mark for a strategy that reads one leg, a neutral one for any other.

    >>> strategy_mark("text leg") == TEXT, strategy_mark("mean of text and image") == NEUTRAL
    (True, True)
    """
    words = name.lower().replace("-", " ").replace("_", " ").split()
    legs = [leg for leg in LEG if leg in words]
    return LEG[legs[0]] if len(legs) == 1 else NEUTRAL
