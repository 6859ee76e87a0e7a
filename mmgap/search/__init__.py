"""The documents nearest to every query."""

from mmgap.encoders.max_sim import max_sim
from mmgap.search.exact import top_k

__all__ = ["max_sim", "top_k"]
