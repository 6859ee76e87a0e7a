"""Means of each role, which several mitigations subtract."""

from __future__ import annotations

import numpy as np

from mmgap.errors import MmgapError
from mmgap.mitigate.base import EmbeddingMitigation


class RoleMeans(EmbeddingMitigation):
    """Base of the mitigations that subtract the calibration mean of each role.

    Attributes
    ----------
    means_ : dict of role to ndarray of shape (dim,)
        Means of unit rows, of the roles that ``fit`` was given.
    """

    def _fit(self, rows: dict[str, np.ndarray]) -> None:
        self.means_ = {role: values.mean(axis=0) for role, values in rows.items()}

    def _mean(self, role: str) -> np.ndarray:
        if role not in self.means_:
            msg = (
                f"{type(self).__name__} was fitted on the roles {list(self.means_)} and knows no "
                f"mean of {role!r}; fit it on calibration data of all roles"
            )
            raise MmgapError(msg)
        return self.means_[role]
