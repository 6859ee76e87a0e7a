"""Queries that one modality answers, in one index of all texts and all images; and what cures do.

The leaderboard ranks documents; here each text and each image is a hit of its own, which shows
what the gap does before any rule joins the two scores of a document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmgap.corpus.schema import LEGS
from mmgap.errors import MmgapError
from mmgap.mitigate import EmbeddingMitigation, Mitigation, dot_scores
from mmgap.mitigate.base import check_embeddings
from mmgap.scores import MergeLoss, decompose_merge_loss
from mmgap.strategies.distributions import need_both_legs, relevance
from mmgap.strategies.merged_hits import judge_merged_hits

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.index.vectors import Vectors


@dataclass(frozen=True)
class CuredMerge:
    """What one index finds after a mitigation; arrays have one entry per query.

    Parameters
    ----------
    distance : float
        Of the centroids of test images and test texts, in the space that scores come from. A
        mitigation of scores moves no vector, so that it keeps the distance.
    merged : ndarray of shape (n_query,)
        Recall@k among all texts and images, expected over ties; in [0, 1].
    alone : ndarray of shape (n_query,)
        Recall@k among the documents of the answering modality.
    text_share : ndarray of shape (n_query,)
        Share of texts among the first k of the index.
    places : ndarray of shape (n_leg,)
        Among the first ten of how many queries each document of the answering modality is, when
        that is searched alone.
    """

    distance: float
    merged: np.ndarray
    alone: np.ndarray
    text_share: np.ndarray
    places: np.ndarray

    @property
    def lost(self) -> np.ndarray:
        """``alone - merged``: what the other modality's documents cost."""
        return self.alone - self.merged


@dataclass(frozen=True)
class MixedIndex:
    """One direction of a test: an index of every text and every image, and who answers.

    Parameters
    ----------
    leg : {"text", "image"}
        The modality that answers.
    test : mapping of {"query", "text", "image"} to ndarray of shape (n, dim)
    calibration : mapping of the same roles
        What mitigations are fitted on.
    relevant : bool ndarray of shape (n_query, n_leg)
        Which document of ``leg`` answers which query.
    hidden : mapping of leg to bool ndarray of shape (n_query, n_leg)
        Pairs that are no hits: a query's own text, and what the other modality says of a relevant
        document, since that is no rival.
    """

    leg: str
    test: Mapping[str, np.ndarray]
    calibration: Mapping[str, np.ndarray]
    relevant: np.ndarray
    hidden: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, test: Vectors, calibration: Vectors, leg: str, query_class: str | None = None
    ) -> MixedIndex:
        """Build the index from vectors.

        Parameters
        ----------
        test : Vectors
        calibration : Vectors
            By the same encoder; its queries of all classes are the bank.
        leg : {"text", "image"}
        query_class : str or None, default None
            Keep the test queries whose metadata have this ``query_class``; None keeps all.

        Raises
        ------
        MmgapError
            If a leg is missing, ``leg`` is another word or no query is left.
        """
        need_both_legs(test)
        need_both_legs(calibration)
        kept = np.array(
            [query_class in (None, q.metadata.get("query_class")) for q in test.corpus.queries]
        )
        if leg not in LEGS or not kept.any():
            msg = (
                f"leg is {leg!r} and {kept.sum()} of {kept.size} queries have the class "
                f"{query_class!r}; expected a leg of {list(LEGS)} and at least one query"
            )
            raise MmgapError(msg)
        good = relevance(test)
        of_leg = {name: good[:, test.legs[name].positions] for name in LEGS}
        hidden = {name: of_leg[name] & (name != leg) for name in LEGS}
        for name in LEGS:
            hidden[name][test.left_out(name)] = True
        roles = _roles(test)
        return cls(
            leg,
            {**roles, "query": roles["query"][kept]},
            _roles(calibration),
            of_leg[leg][kept],
            {name: values[kept] for name, values in hidden.items()},
        )

    def fit(self, mitigation: Mitigation) -> Mitigation:
        """Return a copy of the mitigation, fitted on the calibration vectors."""
        from sklearn.base import clone

        return clone(mitigation).fit(self.calibration)

    def scores(self, fitted: Mitigation | None = None) -> dict[str, np.ndarray]:
        """Scores of both legs, NaN where a pair is no hit; ``None`` gives cosines."""
        found = _scores(fitted, self.test)
        return {leg: np.where(self.hidden[leg], np.nan, values) for leg, values in found.items()}

    def judge(self, fitted: Mitigation | None = None, k: int = 10) -> CuredMerge:
        """Search the index and the answering modality alone.

        Parameters
        ----------
        fitted : Mitigation or None, default None
            From :meth:`fit`; None leaves the cosines as they are.
        k : int, default 10

        Returns
        -------
        CuredMerge
            Alone, the mitigation sees no documents of the other modality either.
        """
        sides = check_embeddings(self.test, "judge")
        if isinstance(fitted, EmbeddingMitigation):
            sides = fitted.transform(sides)
        centres = [sides[leg].mean(axis=0) for leg in LEGS]
        both = self.scores(fitted)
        merged = self.judge_scores(both, k)
        own = both[self.leg]
        if fitted is not None and fitted.uses_gallery:
            own = _scores(fitted, {role: self.test[role] for role in ("query", self.leg)})[self.leg]
            own = np.where(self.hidden[self.leg], np.nan, own)
        alone = judge_merged_hits({self.leg: own}, {self.leg: self.relevant}, k)
        return CuredMerge(
            float(np.linalg.norm(centres[0] - centres[1])),
            merged["expected"].to_numpy(),
            alone["expected"].to_numpy(),
            merged["share text"].to_numpy(),
            count_places(own),
        )

    def judge_scores(self, scores: Mapping[str, np.ndarray], k: int = 10) -> pd.DataFrame:
        """Search the index by scores that were changed in some other way.

        Parameters
        ----------
        scores : mapping of leg to ndarray of shape (n_query, n_leg)
            As :meth:`scores` returns them, NaN where a pair is no hit.
        k : int, default 10

        Returns
        -------
        table : DataFrame
            See :func:`mmgap.strategies.merged_hits.judge_merged_hits`.
        """
        answers = {
            leg: self.relevant if leg == self.leg else np.zeros(values.shape, dtype=bool)
            for leg, values in scores.items()
        }
        return judge_merged_hits(scores, answers, k)

    def decompose(
        self, fitted: Mitigation | None = None, k: int = 10, *, bank: np.ndarray | None = None
    ) -> MergeLoss:
        """Split what the merge loses after a mitigation.

        Parameters
        ----------
        fitted : Mitigation or None, default None
        k : int, default 10
        bank : ndarray of shape (n, dim) or None, default None
            Queries that offset, spread and hubness are estimated with; None takes the calibration
            queries.

        Returns
        -------
        MergeLoss
            See :func:`mmgap.scores.decompose_merge_loss`.
        """
        queries = self.calibration["query"] if bank is None else bank
        banks = _scores(fitted, {**self.test, "query": queries})
        both = self.scores(fitted)
        return decompose_merge_loss(
            both["text"],
            both["image"],
            self.relevant if self.leg == "text" else None,
            self.relevant if self.leg == "image" else None,
            reference_text_scores=banks["text"],
            reference_image_scores=banks["image"],
            k=k,
        )[self.leg]


def count_places(scores: np.ndarray, k: int = 10) -> np.ndarray:
    """Count in how many lists of the k best each document appears, from scores.

    Parameters
    ----------
    scores : ndarray of shape (n_query, n_doc)
        Larger is better; NaN is no hit. Of equal scores the first ones get the places.
    k : int, default 10

    Returns
    -------
    counts : int64 ndarray of shape (n_doc,)
        As :func:`mmgap.gap.k_occurrence`, for scores that no vectors give.

    Examples
    --------
    >>> count_places(np.array([[0.9, 0.1, np.nan], [0.8, 0.2, 0.9]]), k=1)
    array([1, 0, 1])
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # NaN stays last
    there = ~np.isnan(np.take_along_axis(scores, order, axis=1))
    return np.bincount(order[there], minlength=scores.shape[1])


def _scores(fitted: Mitigation | None, roles: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if fitted is None:
        return dot_scores(check_embeddings(roles, "MixedIndex"))
    return fitted.leg_scores(roles)


def _roles(vectors: Vectors) -> dict[str, np.ndarray]:
    roles = {"query": vectors.queries} | {leg: vectors.legs[leg].embeddings for leg in LEGS}
    # Rounded to float32 a row's length is off by 1e-7, which could decide a tie.
    return {role: np.asarray(rows, dtype=np.float64) for role, rows in roles.items()}
