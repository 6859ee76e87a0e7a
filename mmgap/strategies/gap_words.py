"""What the numbers of the gap report mean, each in one plain sentence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmgap.gap import Measure
from mmgap.gap.uncertainty import NullLevel

_SENTENCES: dict[str, str] = {
    "l2m": "the centroids are {value} apart{null}",
    "l2m_unbiased": "the centroids are {value} apart, corrected for the number of pairs{null}",
    "l2i": "an image lies {value} from its own text{null}",
    "rmg": "an image lies {ratio} as far from its own text as items of one modality lie "
    "from each other{null}",
    "paired_cosine": "an image has cosine {value} with its own text{null}",
    "unpaired_cosine": "an image has cosine {value} with the texts of others{null}",
    "linear_separability": "a linear classifier tells new images from new texts in {percent} of "
    "cases{null}",
    "cone": "two {side}s have cosine {value} on average; 0 where they point everywhere",
    "effective_rank": "the {side}s spread over about {value} directions, by entropy",
    "variance_dims": "{value} principal axes hold 99 % of the variance of the {side}s",
    "participation_ratio": "the {side}s spread over about {value} directions, by variance",
    "knn_fraction": "{percent} of an item's 10 nearest neighbours are of its own modality{null}",
    "neighbourhood_agreement": "images and texts share {percent} of their 10 nearest "
    "neighbours{null}",
    "gap_fraction_top1": "{percent} of the squared gap lies in one dimension{null}",
    "gap_fraction_top8": "{percent} of the squared gap lies in eight dimensions{null}",
}
"""By name of the measure; any other measure gets its title and what a larger value means."""


def measure_sentence(measure: Measure, value: float, side: str, null: NullLevel | None) -> str:
    """Say in words what the value of a measure of geometry means.

    Parameters
    ----------
    measure : Measure
    value : float
    side : {"image", "text", "both"}
    null : NullLevel or None

    Returns
    -------
    sentence : str
        Without a full stop.

    Examples
    --------
    >>> from mmgap.gap import MEASURES
    >>> none = NullLevel("labels", 0.05, 0.03, 0.075, 0.1, 500, 500)
    >>> measure_sentence(MEASURES["l2m"], 0.85, "both", none)
    'the centroids are 0.85 apart, 17 times the null level'
    """
    if not np.isfinite(value):
        return (
            f"{measure.title}: not defined here, as rows of one modality do not differ or the "
            "centroids coincide"
        )
    words = _SENTENCES.get(measure.name)
    if words is None:
        of_side = f" of the {side}s" if measure.sides else ""
        words = f"{measure.title}{of_side}: {{value}}{{null}}; larger = {measure.larger}"
    write: Callable[[float], str] = short
    for name, other in (("{percent}", percent), ("{ratio}", _ratio)):
        if name in words:
            write = other
    return words.format(
        value=short(value),
        percent=percent(value),
        ratio=_ratio(value),
        side=side,
        null="" if null is None else _against(value, null, write),
    )


def short(value: float) -> str:
    """Write a number with as many digits as a sentence needs.

    Examples
    --------
    >>> short(0.8513), short(298.02), short(0.0123), short(1.0)
    ('0.85', '298', '0.012', '1')
    """
    if abs(value) >= 10 or value == round(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def percent(share: float) -> str:
    """Write a share in percent.

    Examples
    --------
    >>> percent(0.964), percent(1.0)
    ('96.4 %', '100.0 %')
    """
    return f"{100 * share:.1f} %"


def _ratio(part: float) -> str:
    """Write a part of a whole as how many times the rest it is."""
    return f"{short(part / (1 - part))} times" if part < 1 else "infinitely many times"


def _against(value: float, null: NullLevel, write: Callable[[float], str]) -> str:
    """Compare a value with the range of its null level, and say that range where it holds it."""
    if not np.isfinite(null.mean):
        return ""
    where = "for shuffled texts" if null.kind == "pairing" else "without a gap"
    if null.low <= value <= null.high:
        return f", within the 95 % range {where}, {write(null.low)} to {write(null.high)}"
    above = null.low > 0 and 1.5 <= value / null.mean <= 1000
    if null.kind == "labels" and above and write is short:
        return f", {short(value / null.mean)} times the null level"
    return f", against {write(null.mean)} {where}"
