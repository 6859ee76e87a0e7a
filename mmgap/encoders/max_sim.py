"""MaxSim, the score of late interaction."""

from __future__ import annotations

import numpy as np

from mmgap.encoders.token_vectors import TokenVectors
from mmgap.errors import EncoderError

_BLOCK = 2**22
"""Token pairs compared at once: 16 MiB of float32."""


def max_sim(
    queries: TokenVectors, documents: TokenVectors, *, mean: bool = False, block: int = _BLOCK
) -> np.ndarray:
    """Score every query against every document by late interaction.

    Each token of the query looks for the token of the document that is most like it; these best
    cosines are added up.

    Parameters
    ----------
    queries : TokenVectors
        Unit-norm vectors.
    documents : TokenVectors
        Unit-norm vectors, of the same encoder.
    mean : bool, default False
        Divide by the number of query tokens. The order of documents stays as it is, and the score
        lies on the scale of a cosine whatever the length of the query: scores of queries, and of
        encoders, can then be compared.
    block : int
        Token pairs held in memory at once, 4 bytes each; one query against one document is never
        divided. Larger is not always faster.

    Returns
    -------
    scores : float32 ndarray of shape (n_query, n_doc)
        Larger is better. For a query of t tokens in [-t, t]; with ``mean`` in [-1, 1].

    Raises
    ------
    EncoderError
        If dimensions differ.

    See Also
    --------
    mmgap.encoders.similarity : one score for all kinds of encoders.

    References
    ----------
    .. [1] Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized
       Late Interaction over BERT", SIGIR 2020.

    Examples
    --------
    The query's first token finds itself; its second one finds nothing better than 0.6.

    >>> query = TokenVectors.from_arrays([[[1.0, 0.0], [0.0, 1.0]]])
    >>> document = TokenVectors.from_arrays([[[1.0, 0.0], [0.8, 0.6]]])
    >>> max_sim(query, document)
    array([[1.6]], dtype=float32)
    >>> max_sim(query, document, mean=True)
    array([[0.8]], dtype=float32)
    """
    if queries.dim != documents.dim:
        msg = (
            f"queries have {queries.dim} dimensions and documents {documents.dim}; expected "
            "vectors of one encoder"
        )
        raise EncoderError(msg)
    scores = np.empty((len(queries), len(documents)), dtype=np.float32)
    for query_rows in _parts(queries.offsets, int(block**0.5)):
        query_tokens, query_starts = _tokens(queries, query_rows)
        for doc_rows in _parts(documents.offsets, block // len(query_tokens)):
            doc_tokens, doc_starts = _tokens(documents, doc_rows)
            pairs = query_tokens @ doc_tokens.T
            best = np.maximum.reduceat(pairs, doc_starts, axis=1)
            scores[query_rows, doc_rows] = np.add.reduceat(best, query_starts, axis=0)
    if mean:
        scores /= queries.lengths[:, None].astype(np.float32)
    return scores


def _parts(offsets: np.ndarray, n_token: int) -> list[slice]:
    """Divide inputs into runs of at most ``n_token`` tokens, of one input at least."""
    parts, start = [], 0
    while start < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[start] + n_token, side="right")) - 1
        parts.append(slice(start, max(end, start + 1)))
        start = parts[-1].stop
    return parts


def _tokens(vectors: TokenVectors, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of these inputs, and where each input starts among them."""
    first, last = vectors.offsets[rows.start], vectors.offsets[rows.stop]
    return vectors.tokens[first:last], vectors.offsets[rows] - first
