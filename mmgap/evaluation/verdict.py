"""What an interval says of a claim, in the same words everywhere."""

from __future__ import annotations

from mmgap.errors import MmgapError


def verdict(
    ci_low: float, ci_high: float, threshold: float = 0.0, *, claimed_above: bool = True
) -> str:
    """Say whether a claim about a threshold holds, given the interval of what is measured.

    Parameters
    ----------
    ci_low, ci_high : float
        95 % interval.
    threshold : float, default 0.0
    claimed_above : bool, default True
        Whether the claim is "more than the threshold"; else it is "not more than the threshold".

    Returns
    -------
    str
        ``"undecided here"`` where the interval lies on both sides of the threshold, else
        ``"holds here"`` or ``"does not hold here"``. Exactly the threshold is not more than it.

    Raises
    ------
    ValueError
        If a bound is NaN or the bounds are exchanged.

    Examples
    --------
    >>> verdict(0.91, 0.93, threshold=0.5), verdict(-0.02, 0.01), verdict(-0.2, -0.1)
    ('holds here', 'undecided here', 'does not hold here')
    >>> verdict(-0.2, -0.1, claimed_above=False)
    'holds here'
    """
    if not ci_low <= ci_high:
        msg = f"the interval goes from {ci_low} to {ci_high}; expected two numbers, lower one first"
        raise MmgapError(msg)
    if ci_low <= threshold < ci_high:
        return "undecided here"
    return "holds here" if (ci_low > threshold) == claimed_above else "does not hold here"
