"""What search engines return when they fuse ranked lists, to the rounding of their arithmetic.

The same name ("RRF", "DBSF", "min-max") means different arithmetic in different systems. Each
function here mirrors one system, named with the source file that was read; what is from memory is
marked [M]. Lists are given in one of two forms, all in the same:

- one mapping per list, ``{document id: score}``; the result is a dict, best first;
- one array of shape (n_query, n_doc) per list, NaN where the list lacks the document; the result
  is an array of the same shape.

Lists are sorted by score, best first; equal scores keep the order of the mapping or the columns.
Engines that compute in single precision are computed so here, since rounding makes ties; results
are float64 that hold those numbers. Where an engine leaves the order of ties open, a dict keeps the
order in which the documents first came.
"""

from mmgap.fusion.engine_autorag import autorag_cc, autorag_normalize
from mmgap.fusion.engine_elasticsearch import elasticsearch_linear, elasticsearch_rrf
from mmgap.fusion.engine_llamaindex import llamaindex_fusion
from mmgap.fusion.engine_mteb import mteb_dbsf, mteb_rrf, mteb_rsf
from mmgap.fusion.engine_opensearch import opensearch_hybrid, opensearch_rrf
from mmgap.fusion.engine_qdrant import qdrant_dbsf, qdrant_min_max, qdrant_rrf
from mmgap.fusion.engine_ranx import ranx_fuse
from mmgap.fusion.engine_vespa import vespa_normalize_linear, vespa_rrf
from mmgap.fusion.engine_weaviate import weaviate_ranked, weaviate_relative_score

__all__ = [
    "autorag_cc",
    "autorag_normalize",
    "elasticsearch_linear",
    "elasticsearch_rrf",
    "llamaindex_fusion",
    "mteb_dbsf",
    "mteb_rrf",
    "mteb_rsf",
    "opensearch_hybrid",
    "opensearch_rrf",
    "qdrant_dbsf",
    "qdrant_min_max",
    "qdrant_rrf",
    "ranx_fuse",
    "vespa_normalize_linear",
    "vespa_rrf",
    "weaviate_ranked",
    "weaviate_relative_score",
]
