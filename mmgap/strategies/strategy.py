"""A strategy: which legs, how deep, how merged. One row of a recall table is one strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.fusion import FUSIONS


@dataclass(frozen=True)
class Strategy:
    """How a query's two candidate lists become one.

    Parameters
    ----------
    name : str
        As tables show it.
    legs : tuple of {"text", "image"}
        Where candidates come from.
    combine : str or None
        A key of ``mmgap.fusion.FUSIONS``; ``None`` for a single leg.
    depth : int, default 100
        Candidates taken from each leg. A document found by one leg alone still gets its score
        from the other, exactly; only its rank there stays unknown.

    Raises
    ------
    MmgapError
        If a leg or combiner is unknown, or one is missing.

    Examples
    --------
    >>> Strategy("mean of cosines", combine="mean")
    Strategy(name='mean of cosines', legs=('text', 'image'), combine='mean', depth=100)
    """

    name: str
    legs: tuple[str, ...] = LEGS
    combine: str | None = None
    depth: int = 100

    def __post_init__(self) -> None:
        unknown = set(self.legs) - set(LEGS)
        if unknown or not self.legs:
            msg = f"strategy {self.name!r} has legs {self.legs}; choose from {LEGS}"
            raise MmgapError(msg)
        if len(self.legs) > 1 and self.combine not in FUSIONS:
            msg = (
                f"strategy {self.name!r} merges {len(self.legs)} legs by {self.combine!r}; "
                f"choose combine from {sorted(FUSIONS)}"
            )
            raise MmgapError(msg)
        if len(self.legs) == 1 and self.combine is not None:
            msg = f"strategy {self.name!r} has one leg, so there is nothing to combine"
            raise MmgapError(msg)
        if self.depth < 1:
            msg = f"strategy {self.name!r} has depth {self.depth}; it must be at least 1"
            raise MmgapError(msg)

    def at_least(self, cut_off: int) -> Strategy:
        """Return the strategy with lists of at least ``cut_off`` documents from each leg."""
        return self if self.depth >= cut_off else replace(self, depth=cut_off)


TRIVIAL = (
    Strategy("text leg", ("text",)),
    Strategy("image leg", ("image",)),
    Strategy("max", combine="max"),
    Strategy("mean", combine="mean"),
    Strategy("RRF", combine="rrf"),
)
"""What everybody tries first: each leg alone, and the three merges that need no fitting."""
