"""The two forms of ranked lists that engine functions take, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, cmp_to_key
from typing import Any, TypeVar

import numpy as np

from mmgap.errors import MmgapError
from mmgap.fusion.legs import check_legs
from mmgap.fusion.rank_fusion import ranks

Ranked = TypeVar("Ranked", dict[str, float], np.ndarray)
"""A list as ``{document id: score}``, or many as an array (n_query, n_doc) with NaN for missing."""


class RankedLists:
    """Lists of several legs as arrays, with the place of every document.

    Parameters
    ----------
    lists : sequence of mapping of str to float, or of ndarray of shape (n_query, n_doc)
        One per leg, all of one form. Each list is sorted by score, best first; equal scores keep
        the order of the mapping or of the columns.

    Attributes
    ----------
    scores : list of float64 ndarray of shape (n_query, n_doc)
    places : list of float64 ndarray of shape (n_query, n_doc)
        From 0; NaN where the leg lacks the document.

    Raises
    ------
    ValueError
        If there is no list, forms are mixed, shapes disagree, or a score is infinite or (in a
        mapping) not a number.

    Examples
    --------
    >>> lists = RankedLists([{"a": 0.2, "b": 0.9}, {"c": 0.5}])
    >>> lists.places[0]
    array([[ 1.,  0., nan]])
    >>> lists.back(np.array([[0.1, np.nan, 0.3]]))
    {'c': 0.3, 'a': 0.1}
    """

    def __init__(self, lists: Sequence[Mapping[str, float] | np.ndarray]) -> None:
        mappings = [ranked for ranked in lists if isinstance(ranked, Mapping)]
        if mappings and len(mappings) < len(lists):
            msg = "give all lists in one form: mappings of document id to score, or arrays"
            raise MmgapError(msg)
        self.doc_ids: list[str] | None = None
        if not mappings:
            self.scores = check_legs(lists)  # type: ignore[arg-type]
            return
        self.doc_ids = list(dict.fromkeys(doc for ranked in mappings for doc in ranked))
        column = {doc: i for i, doc in enumerate(self.doc_ids)}
        self.scores = []
        self._listed: list[np.ndarray] = []
        for ranked in mappings:
            if not np.isfinite(list(ranked.values())).all():
                msg = "a list holds a score that is not finite; leave out what was not retrieved"
                raise MmgapError(msg)
            scores = np.full((1, len(column)), np.nan)
            places = scores.copy()
            for place, doc in enumerate(sorted(ranked, key=lambda d: -ranked[d])):
                scores[0, column[doc]], places[0, column[doc]] = ranked[doc], place
            self.scores.append(scores)
            self._listed.append(places)

    @cached_property
    def places(self) -> list[np.ndarray]:
        """Places of each leg's documents; worked out when they are first asked for."""
        if self.doc_ids is not None:
            return self._listed
        return [ranks(scores) - 1 for scores in self.scores]

    def __len__(self) -> int:
        """Return the number of legs."""
        return len(self.scores)

    @property
    def found(self) -> np.ndarray:
        """Which documents any leg has: bool array of shape (n_query, n_doc)."""
        return np.any([~np.isnan(scores) for scores in self.scores], axis=0)

    def in_order(self, leg: int, dtype: Any = np.float64) -> np.ndarray:
        """Scores of one leg, best place first, NaN at the end: shape (n_query, n_doc)."""
        order = np.argsort(self.places[leg], axis=1, kind="stable")
        return np.take_along_axis(self.scores[leg], order, axis=1).astype(dtype)

    def back(
        self,
        fused: np.ndarray,
        *,
        compare: Callable[[int, int], int] | None = None,
    ) -> Any:
        """Return fused scores in the form of the lists.

        Parameters
        ----------
        fused : ndarray of shape (n_query, n_doc)
            NaN where a document is not in the result.
        compare : callable or None, default None
            Order of two columns of a mapping, negative for the first one first; None sorts by
            score and leaves ties in the order in which the documents first came.

        Returns
        -------
        result : dict or ndarray of shape (n_query, n_doc)
            A dict is sorted, best first.
        """
        fused = np.asarray(fused, dtype=np.float64)
        if self.doc_ids is None:
            return np.where(self.found, fused, np.nan)
        row = fused[0]
        columns = np.flatnonzero(~np.isnan(row)).tolist()
        if compare is None:
            columns.sort(key=lambda i: -row[i])
        else:
            columns.sort(key=cmp_to_key(compare))
        return {self.doc_ids[i]: float(row[i]) for i in columns}
