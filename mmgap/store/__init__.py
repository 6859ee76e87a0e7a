"""Embeddings of a corpus, made once and kept on disk."""

from mmgap.store.embed import embed
from mmgap.store.embeddings import EmbeddingStore
from mmgap.store.vectors import Leg, Vectors

__all__ = ["EmbeddingStore", "Leg", "Vectors", "embed"]
