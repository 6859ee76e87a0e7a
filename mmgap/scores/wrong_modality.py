"""How often the first hit is wrong because it is of the wrong modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmgap.scores.distributions import _Leg, _two_legs


@dataclass(frozen=True)
class FirstHit:
    """Chances that the first hit of each query is wrong; NaN where nothing is relevant.

    Parameters
    ----------
    wrong : ndarray of shape (n_query,)
        Chance that the first hit is not relevant, in [0, 1].
    wrong_modality : ndarray of shape (n_query,)
        Chance that it is of the other modality, in [0, ``wrong``]; larger = the merge fails
        because of the modality. The mean over queries is the wrong-modality error.
    """

    wrong: np.ndarray
    wrong_modality: np.ndarray

    @property
    def fraction_of_errors(self) -> float:
        """Share of the wrong first hits that are of the other modality, in [0, 1].

        UniIR's type-1 share. NaN where no first hit is wrong. Unstable where few are.
        """
        errors = np.nansum(self.wrong)
        return float(np.nansum(self.wrong_modality) / errors) if errors > 0 else float("nan")


def wrong_modality(
    text_scores: np.ndarray,
    image_scores: np.ndarray,
    text_relevant: np.ndarray | None = None,
    image_relevant: np.ndarray | None = None,
) -> dict[str, FirstHit]:
    """Chance that the first hit of the merged list is of a modality that does not answer.

    Parameters
    ----------
    text_scores, image_scores, text_relevant, image_relevant
        As in :func:`mmgap.scores.rank_inflation`.

    Returns
    -------
    first : dict of str to FirstHit
        ``image`` judges the queries that an image answers: a first hit that is a text is of the
        wrong modality. ``text`` is the other direction. All NaN for a modality without relevant
        documents.

    Raises
    ------
    MmgapError
        If a score is infinite or shapes disagree.

    Notes
    -----
    Where all that answers a query is of one modality this is UniIR's type-1 error. Where documents
    of both answer it, a text that answers is no error in the direction ``image``: it is left out of
    the list, and the error asks what comes first among the images and the texts that do not
    answer. Documents that share the first place are each first with equal chance. Unchanged by
    any increasing map of all scores.

    References
    ----------
    .. [1] Wei et al., "UniIR: Training and Benchmarking Universal Multimodal Information
       Retrievers", ECCV 2024, error analysis (code: ``src/common/mbeir_analyst.py``).

    Examples
    --------
    A text, the relevant image and another image share the first place.

    >>> text, image = np.array([[0.5, 0.1]]), np.array([[0.5, 0.5]])
    >>> found = wrong_modality(text, image, image_relevant=np.array([[True, False]]))["image"]
    >>> found.wrong.round(3), found.wrong_modality.round(3), round(found.fraction_of_errors, 3)
    (array([0.667]), array([0.333]), 0.5)
    """
    text, image = _two_legs(text_scores, image_scores, text_relevant, image_relevant)
    return {"text": _first_hit(text, image), "image": _first_hit(image, text)}


def _first_hit(own: _Leg, other: _Leg) -> FirstHit:
    relevant, rivals = own.of_relevant(), other.of_rivals()
    largest = [np.fmax.reduce(scores, axis=1, initial=np.nan) for scores in (own.scores, rivals)]
    first = np.fmax(*largest)[:, None]
    n_right, n_own, n_other = (
        (scores == first).sum(axis=1) for scores in (relevant, own.scores, rivals)
    )
    n_first = np.maximum(n_own + n_other, 1)
    known = ~np.isnan(relevant).all(axis=1)
    return FirstHit(
        wrong=np.where(known, 1 - n_right / n_first, np.nan),
        wrong_modality=np.where(known, n_other / n_first, np.nan),
    )
