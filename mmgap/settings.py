"""Fast mode: small sizes on request."""

from __future__ import annotations

import os


def fast_mode() -> bool:
    """Whether small sizes are asked for (``MMGAP_FAST=1``).

    Fast mode proves that everything runs; its numbers are not results.
    """
    return os.environ.get("MMGAP_FAST", "0") not in {"", "0"}
