"""Embeddings of a corpus: computed once, stored on disk, searched exactly.

``embed`` turns a corpus into ``Vectors``: query vectors, and for each modality a ``Leg`` of
document vectors. ``EmbeddingStore`` keeps what encoders gave, ``PairStore`` what rerankers gave,
both as files that are whole or not there. ``top_k`` finds the nearest documents.
"""

from mmgap.index.embed import embed
from mmgap.index.search import top_k
from mmgap.index.store import RECORD, EmbeddingStore, PairStore, content_key
from mmgap.index.vectors import Leg, Vectors, unit_norm

__all__ = [
    "RECORD",
    "EmbeddingStore",
    "Leg",
    "PairStore",
    "Vectors",
    "content_key",
    "embed",
    "top_k",
    "unit_norm",
]
