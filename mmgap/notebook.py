"""Seeds, sizes and figures of one notebook: what it settles before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mmgap.settings import fast_mode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmgap.plots.save import SavedFigure

T = TypeVar("T")


@dataclass(frozen=True)
class NotebookSettings:
    """What one notebook runs with; made by :func:`notebook`.

    ``name`` is the notebook's file name without ``.ipynb``; its figures go into the folder of this
    name. ``fast`` says whether :meth:`size` picks the small sizes.

    >>> settings = NotebookSettings("01_score_distributions", seed=0, fast=True)
    >>> settings.size(full=2000, fast=50)
    50
    >>> settings.rng().integers(100) == settings.rng().integers(100)
    np.True_
    """

    name: str
    seed: int = 0
    fast: bool = False
    missing: list[str] = field(default_factory=list)

    def rng(self, stream: int = 0) -> np.random.Generator:
        """Return a new generator; equal streams give equal numbers, unequal ones independent."""
        return np.random.default_rng([self.seed, stream])

    def size(self, full: T, fast: T) -> T:
        """Return ``fast`` in fast mode, else ``full``."""
        return fast if self.fast else full

    def leave_out(self, what: str) -> None:
        """Go on without optional public data: the published figures are kept as they are."""
        self.missing.append(what)
        print(  # noqa: T201  (a line for the notebook's reader)
            f"{what} could not be read here, so what follows leaves it out. Figures of this run go "
            "to results/figures_partial; those in figures/ stay as published."
        )

    def save(
        self,
        figure: Figure,
        name: str,
        *,
        alt: str,
        caption: str,
        data: Mapping[str, object] | None = None,
    ) -> SavedFigure:
        """Save a figure as ``figures/<notebook>/<name>``; see :func:`mmgap.plots.save`."""
        from mmgap.plots.save import save

        return save(
            figure,
            f"{self.name}/{name}",
            alt=alt,
            caption=caption,
            data=data,
            notebook=self.name,
            seed=self.seed,
            partial=bool(self.missing),
        )


def notebook(name: str, seed: int = 0) -> NotebookSettings:
    """Return the settings of a notebook and give its session the notebook figure style.

    Parameters
    ----------
    name : str
        The notebook's file name without ``.ipynb``.
    seed : int, default 0
    """
    from matplotlib import pyplot as plt

    from mmgap.plots.style import style

    plt.rcParams.update(style("notebook"))
    return NotebookSettings(name, seed, fast_mode())
