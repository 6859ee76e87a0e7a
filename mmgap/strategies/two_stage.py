"""A strategy of two stages: which candidates, and what a reranker then makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.fusion import FUSIONS

View = Literal["text", "image", "matching", "average", "fused"]
"""What the reranker is shown of a document; see :class:`TwoStage`."""

Duplicates = Literal["max", "first"]
Average = Literal["after", "before"]

CONVEX = "convex"
"""The merge whose weight is found on calibration queries."""


@dataclass(frozen=True)
class TwoStage:
    """Candidates from one leg or two, then a reranker that puts them in order.

    The first stage takes ``depth`` documents from each leg, or, with ``merge``, the first ``depth``
    of the merged list. A document stands in the list once, however many legs found it.

    Parameters
    ----------
    name : str
        As tables show it.
    view : {"text", "image", "matching", "average", "fused"} or None, default "average"
        What the reranker scores of a document: its text; its image; the modality of the leg that
        found it; both, one call each, and the mean of the two scores; or text and image in one
        call. ``None`` does not rerank: without ``merge`` each document then keeps the raw score of
        the leg that found it, the larger of two.
    legs : tuple of {"text", "image"}, default both
        Where candidates come from.
    depth : int or tuple of int, default 16
        Candidates from each leg, one number for all legs or one for each. With ``merge``: how many
        documents of the merged list are reranked.
    refill : bool, default False
        What happens where both legs found the same document: ``False`` leaves the list shorter
        (16 to 32 documents from 16 + 16), ``True`` goes down both legs in turn until it holds as
        many different documents as the depths add up to.
    duplicates : {"max", "first"}, default "max"
        Of a document that both legs found, under ``"matching"``: the better of its two scores (two
        calls), or the one of the first leg in ``legs`` (one call). Two entries of which the better
        one counts would be the same as ``"max"``.
    average : {"after", "before"}, default "after"
        Whether ``"average"`` takes the mean of probabilities, after the reranker's sigmoid, or of
        logits, before it. The scores are turned into each other; where a sigmoid has run into 0 or
        1 its logit is cut at 17 in float32.
    merge : str or None, default None
        A key of ``mmgap.fusion.FUSIONS``, or ``"convex"``, whose weight is fitted on calibration
        queries. ``None`` takes ``depth`` documents from each leg.
    normalise : str or None, default None
        A key of ``NORMALISERS`` or ``CALIBRATORS`` in :mod:`mmgap.scores`, used on each leg before
        ``merge``. Those called ``bank`` and all calibrators are fitted on calibration data.
    pool : int, default 100
        Documents that ``merge`` takes from each leg; what is not reranked follows in merged order.
    tail : bool, default False
        Without ``merge``: let the other documents that the legs find to the depth of ``pool``
        follow the candidates, the legs in turn. Matters where fewer candidates than the cut-off of
        the measure are reranked.
    budget : int or None, default None
        Most reranker calls per query. Candidates are scored in the order of the first stage as
        long as the calls last (legs in turn, best first); the others follow in that order.
    margin : float or None, default None
        Rerank only queries whose first-stage scores in places 1 and 2 differ by less. Needs
        ``merge`` or a single leg. :func:`margin_threshold` finds it on calibration queries.
    refine : tuple of (view, int) or None, default None
        A second pass: so many of the first pass' best documents are scored again by this view, and
        stand before the others. A call that the first pass made already is not made twice.

    Raises
    ------
    MmgapError
        If a value is unknown, or two of them do not go together.

    Examples
    --------
    >>> TwoStage("16 + 16, mean of both views").depths
    (16, 16)
    >>> TwoStage("32 by text", "text", ("text",), 32).max_calls
    32
    """

    name: str
    view: View | None = "average"
    legs: tuple[str, ...] = LEGS
    depth: int | tuple[int, ...] = 16
    refill: bool = False
    duplicates: Duplicates = "max"
    average: Average = "after"
    merge: str | None = None
    normalise: str | None = None
    pool: int = 100
    tail: bool = False
    budget: int | None = None
    margin: float | None = None
    refine: tuple[View, int] | None = None

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem is not None:
            msg = f"strategy {self.name!r} {problem}"
            raise MmgapError(msg)

    @property
    def depths(self) -> tuple[int, ...]:
        """Candidates from each leg, in the order of ``legs``; with ``merge`` the pool of each."""
        if self.merge is not None:
            return (self.pool,) * len(self.legs)
        return self.depth if isinstance(self.depth, tuple) else (self.depth,) * len(self.legs)

    def at_least(self, cut_off: int) -> TwoStage:
        """Return the strategy with lists deep enough for a measure with this cut-off.

        Which documents are reranked stays the same: the others follow in first-stage order.
        """
        if self.merge is not None:
            return replace(self, pool=max(self.pool, cut_off))
        if max(self.depths) >= cut_off:
            return self
        if self.view is None:
            deeper = tuple(max(depth, cut_off) for depth in self.depths)
            return replace(self, depth=deeper if len(deeper) > 1 else deeper[0])
        return replace(self, tail=True, pool=max(self.pool if self.tail else 1, cut_off))

    @property
    def search_depth(self) -> int:
        """How deep each leg must be searched."""
        needed = sum(self.depths) if self.refill else max(self.depths)
        return max(needed, self.pool) if self.tail else needed

    @property
    def max_calls(self) -> int:
        """Most reranker calls that a query can take."""
        if self.view is None:
            return 0
        n_documents = self.depth if isinstance(self.depth, int) and self.merge else sum(self.depths)
        calls = n_documents * _calls(self.view)
        if self.view == "matching" and self.duplicates == "max" and self.refill:
            calls += min(self.depths)  # so many documents may have been found twice
        if self.budget is not None:
            calls = min(calls, self.budget)
        if self.refine is not None:
            calls += _calls(self.refine[0]) * self.refine[1]
        return calls

    @property
    def needs_calibration(self) -> bool:
        """Whether the first stage is fitted on calibration queries."""
        if self.merge == CONVEX:
            return True
        if self.normalise is None:
            return False
        from mmgap.scores.normalise import NORMALISERS

        return self.normalise not in NORMALISERS or self.normalise.startswith("reference")

    def _problems(self) -> Iterator[str]:
        """Say what is wrong: values that are unknown first, then those that do not go together."""
        if not self.legs or set(self.legs) - set(LEGS):
            yield f"has legs {self.legs}; choose from {LEGS}"
        views = get_args(View)
        if self.view not in (*views, None):
            yield f"reranks on {self.view!r}; choose from {views}, or None"
        if self.refine is not None and self.refine[0] not in views:
            yield f"refines on {self.refine[0]!r}; choose from {views}"
        if self.duplicates not in get_args(Duplicates):
            yield f"has duplicates={self.duplicates!r}; choose from {get_args(Duplicates)}"
        if self.average not in get_args(Average):
            yield f"has average={self.average!r}; choose from {get_args(Average)}"
        merges = sorted({*FUSIONS, CONVEX})
        if self.merge is not None and self.merge not in merges:
            yield f"merges by {self.merge!r}; choose from {merges}"
        if self.normalise is not None and self.normalise not in (known := _scales()):
            yield f"normalises by {self.normalise!r}; choose from {known}"
        numbers = self.depth if isinstance(self.depth, tuple) else (self.depth,)
        numbers = (*numbers, self.pool, 1 if self.refine is None else self.refine[1])
        if any(not isinstance(number, int) or number < 1 for number in numbers):
            yield f"has the depths {numbers}; they must be whole numbers of at least 1"
        if self.budget is not None and self.budget < 0:
            yield f"has a budget of {self.budget} calls; expected 0 or more"
        yield from self._contradictions()

    def _contradictions(self) -> Iterator[str]:
        if isinstance(self.depth, tuple) and (
            self.merge is not None or len(self.depth) != len(self.legs)
        ):
            yield (
                f"has depth {self.depth}; expected one number for each of the legs {self.legs}, "
                "and a single number with merge"
            )
        if self.merge is not None and len(self.legs) < 2:
            yield "has one leg, so there is nothing to merge"
        if self.merge is None and self.normalise is not None:
            yield "normalises without a merge, which would change nothing"
        if self.merge is not None and self.refill:
            yield "merges: its list has no quotas that could be refilled"
        if self.margin is not None and self.merge is None and len(self.legs) > 1:
            yield (
                "takes documents from each leg, so there is no list whose first two places have a "
                "margin; add merge="
            )
        if self.view is None and (self.budget, self.margin, self.refine) != (None, None, None):
            yield "does not rerank, so budget, margin and refine have no meaning"


def _calls(view: str) -> int:
    """Reranker calls that one document takes."""
    return 2 if view == "average" else 1


def _scales() -> list[str]:
    from mmgap.scores.calibrate import CALIBRATORS
    from mmgap.scores.normalise import NORMALISERS

    return [*NORMALISERS, *CALIBRATORS]
