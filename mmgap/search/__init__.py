"""The documents nearest to every query."""

from mmgap.search.exact import top_k

__all__ = ["top_k"]
