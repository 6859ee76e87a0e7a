"""One normaliser or calibrator, applied to every leg the way it has to be fitted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmgap.scores.calibrate import ScoreCalibrator, fit_legs
from mmgap.scores.normalise import ScoreNormaliser


def cure_scores(
    cure: ScoreNormaliser | ScoreCalibrator | None,
    scores: Mapping[str, np.ndarray],
    bank: Mapping[str, np.ndarray],
    bank_relevant: Mapping[str, np.ndarray] | np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Bring the legs' scores onto one scale, with what other queries taught.

    Parameters
    ----------
    cure : ScoreNormaliser, ScoreCalibrator or None
        Not changed: a copy is fitted for each leg. A normaliser of single lists takes nothing
        from the bank, one with ``reference="calibration"`` its scores, a calibrator its scores and
        judgments. None leaves the scores as they are.
    scores : mapping of leg to ndarray of shape (n_query, n_doc)
        Scores to transform; NaN where a leg does not have the document.
    bank : mapping of leg to ndarray of any shape
        Scores of other queries by the same legs; NaN leaves a pair out.
    bank_relevant : mapping of leg to ndarray, one ndarray for all legs, or None
        Relevance, in the shape of the bank; calibrators need it.

    Returns
    -------
    cured : dict of leg to float64 ndarray of shape (n_query, n_doc)
        Larger is better. The order within a leg stays what it was, ties apart, unless the cure
        says otherwise.

    Raises
    ------
    ValueError
        If a calibrator gets no judgments, or as :func:`mmgap.scores.calibrate.fit_legs`.

    Examples
    --------
    >>> from mmgap.scores.normalise import MinMaxNormaliser
    >>> scores = {"text": np.array([[0.8, 0.6]]), "image": np.array([[0.2, 0.4]])}
    >>> cured = cure_scores(MinMaxNormaliser(), scores, bank={})
    >>> {leg: values.round(2).tolist() for leg, values in cured.items()}
    {'text': [[1.0, 0.0]], 'image': [[0.0, 1.0]]}
    """
    if cure is None:
        return {leg: np.asarray(values, dtype=np.float64) for leg, values in scores.items()}
    if isinstance(cure, ScoreCalibrator):
        if bank_relevant is None:
            msg = f"{type(cure).__name__} learns from judgments; pass bank_relevant"
            raise ValueError(msg)
        if not isinstance(bank_relevant, Mapping):
            bank_relevant = dict.fromkeys(bank, bank_relevant)
        fitted = fit_legs(cure, bank, bank_relevant)
    elif getattr(cure, "reference", "query") == "calibration":
        fitted = fit_legs(cure, bank)
    else:
        fitted = fit_legs(cure, scores)  # nothing is kept: each list is its own reference
    return {leg: fitted[leg].transform(values) for leg, values in scores.items()}
