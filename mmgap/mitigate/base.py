"""Base of all mitigations: the roles, how vectors come in, and how legs are scored.

``embeddings`` is a mapping of role to vectors of shape (n, dim): ``query``, ``text``, ``image``.
All roles are of one model. Rows come to unit length in float64 first; nothing is modified. ``fit``
takes calibration data, not paired, never the queries that results are reported on. A role that is
missing or unknown, vectors of different dimensions, a row that is zero or not finite, and
parameters that are not offered raise :class:`~mmgap.errors.MmgapError`; scoring before ``fit``
raises scikit-learn's ``NotFittedError``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mmgap.arrays import unit_rows
from mmgap.errors import MmgapError

LEGS = ("text", "image")
"""Roles of documents: what a query is compared with."""
ROLES = ("query", *LEGS)
"""What vectors can be: of queries, of documents' texts, of documents' images."""

Embeddings = Mapping[str, np.ndarray]


class Mitigation(ABC, BaseEstimator):
    """Base of all mitigations: fitted on calibration vectors, gives the scores to merge by.

    ``needs`` are the roles that ``fit`` must be given; others it takes where they are there.
    ``uses_gallery`` says whether a score depends on the other documents that are passed. Documents
    are known when they are indexed, so that this is no leak; but adding one then changes the scores
    of the others. No score ever depends on the other *queries* that are passed.
    """

    needs: tuple[str, ...] = ()
    uses_gallery = False

    def fit(self, embeddings: Embeddings, y: object = None) -> Mitigation:  # noqa: ARG002
        """Take what is needed from calibration data."""
        rows = check_embeddings(embeddings, type(self).__name__, needs=self.needs)
        self.n_features_in_ = next(iter(rows.values())).shape[1]
        self._fit(rows)
        return self

    @abstractmethod
    def leg_scores(self, embeddings: Embeddings) -> dict[str, np.ndarray]:
        """Score the documents of every leg for every query: (n_query, n_doc), larger is better.

        ``embeddings`` holds ``query``, and ``text``, ``image`` or both. The legs come on one scale
        as far as the method brings them there.
        """

    def _checked(self, embeddings: Embeddings, needs: Sequence[str] = ()) -> dict[str, np.ndarray]:
        check_is_fitted(self)
        return check_embeddings(
            embeddings, type(self).__name__, needs=needs, dim=self.n_features_in_
        )

    @abstractmethod
    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        """Learn from unit rows of the roles that are there."""


class EmbeddingMitigation(TransformerMixin, Mitigation):
    """Base of the mitigations that change vectors; a subclass says in ``_transform`` how."""

    def transform(self, embeddings: Embeddings) -> dict[str, np.ndarray]:
        """Change the vectors of any of the roles fitted on, each row by itself.

        Unit rows come out unless the class says otherwise; a row that lands in the origin raises
        MmgapError.
        """
        rows = self._checked(embeddings)
        return {role: self._transform(role, values) for role, values in rows.items()}

    def leg_scores(self, embeddings: Embeddings) -> dict[str, np.ndarray]:
        """Dot products of the transformed vectors."""
        return dot_scores(self.transform(embeddings))

    def _unit(self, role: str, rows: np.ndarray) -> np.ndarray:
        """Bring changed rows back to unit length; say where one landed in the origin."""
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        # The input had length 1, so that less than this is rounding error and has no direction.
        gone = np.flatnonzero(lengths.ravel() < 1e-12)
        if gone.size:
            msg = (
                f"{type(self).__name__} moves row {gone[0]} of {role!r} to the origin, where it "
                f"has no direction ({gone.size} such rows of {len(rows)}); fit on more than one "
                "item of each role, and leave out rows that equal the mean of their role"
            )
            raise MmgapError(msg)
        return rows / lengths

    @abstractmethod
    def _transform(self, role: str, rows: np.ndarray) -> np.ndarray:
        """Return the changed vectors of one role from its unit rows."""


class ScoreMitigation(Mitigation):
    """Base of the mitigations that change scores; a subclass says in ``_correct`` how.

    They keep calibration vectors as banks, and so take memory and time with their number.
    """

    def leg_scores(self, embeddings: Embeddings) -> dict[str, np.ndarray]:
        """Corrected scores."""
        rows = self._checked(embeddings, needs=("query",))
        return self._correct(rows, dot_scores(rows))

    @abstractmethod
    def _correct(
        self, rows: dict[str, np.ndarray], raw: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Corrected scores of each leg from unit rows of each role and their cosines."""


def dot_scores(embeddings: Embeddings) -> dict[str, np.ndarray]:
    """Dot products of every query with every document of each leg, rows as they come.

    >>> dot_scores({"query": np.array([[0.6, 0.8]]), "image": np.eye(2)})
    {'image': array([[0.6, 0.8]])}
    """
    legs = [leg for leg in LEGS if leg in embeddings]
    if "query" not in embeddings or not legs:
        msg = (
            "scores need the role 'query' and at least one of 'text' and 'image'; got "
            f"{sorted(embeddings)}"
        )
        raise MmgapError(msg)
    query = np.asarray(embeddings["query"], dtype=np.float64)
    return {leg: query @ np.asarray(embeddings[leg], dtype=np.float64).T for leg in legs}


def check_embeddings(
    embeddings: Embeddings,
    name: str,
    *,
    needs: Sequence[str] = (),
    dim: int | None = None,
) -> dict[str, np.ndarray]:
    """Return unit rows in float64 of every role; ``name`` is who asks, ``dim`` None any dimension.

    >>> check_embeddings({"text": np.array([[3.0, 4.0]])}, "MeanCentring")
    {'text': array([[0.6, 0.8]])}
    """
    if not isinstance(embeddings, Mapping):
        msg = (
            f"{name} takes a mapping of role to vectors, such as {{'query': ..., 'text': ..., "
            f"'image': ...}}; got {type(embeddings).__name__}"
        )
        raise MmgapError(msg)
    unknown, missing = set(embeddings) - set(ROLES), [r for r in needs if r not in embeddings]
    if unknown or missing or not embeddings:
        what = f"needs the roles {missing} too" if missing else f"takes the roles {list(ROLES)}"
        msg = f"{name} {what}; got {list(embeddings)}"
        raise MmgapError(msg)
    rows = {role: unit_rows(repr(role), values) for role, values in embeddings.items()}
    widths = {role: values.shape[1] for role, values in rows.items()}
    if len(set(widths.values()) | ({dim} if dim else set())) > 1:
        fitted = f" after a fit on {dim}" if dim else ""
        msg = (
            f"{name} got vectors of dimensions {widths}{fitted}; expected one space. Embed all "
            "roles, of calibration and test data, with one model"
        )
        raise MmgapError(msg)
    return rows
