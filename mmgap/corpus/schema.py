"""Documents, queries, judgments, and the corpus that holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mmgap.errors import CorpusError

if TYPE_CHECKING:
    import pandas as pd

    from mmgap.corpus.images import ImageFile

LEGS = ("text", "image")
"""The two modalities of a document, hence the two paths from a query to it."""


def _check(kind: str, item: object, **texts: object) -> None:
    """Raise unless an id is a text that is not empty, and all texts can be written as UTF-8."""
    if not isinstance(item, str) or not item.strip():
        msg = f"{kind} id is {item!r}; expected a text that is not empty"
        raise CorpusError(msg)
    for name, text in {"id": item, **texts}.items():
        if text is None or (isinstance(text, str) and text.isascii()):
            continue
        if not isinstance(text, str):
            msg = f"{name} of {kind} {item!r} is a {type(text).__name__}; expected a text"
            raise CorpusError(msg)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            msg = f"{name} of {kind} {item!r} holds half a character, {text[error.start]!r}"
            raise CorpusError(msg) from error


@dataclass(frozen=True)
class Document:
    """One document: a text, an image (read when it is needed), or both.

    The id is unique in its corpus. ``metadata`` hold whatever else is known: domain, style, split,
    licence, creator ...
    """

    id: str
    text: str | None = None
    image: ImageFile | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("document", self.id, text=self.text, **_named(self.metadata))


@dataclass(frozen=True)
class Query:
    """One query; the text is empty where an image alone asks.

    ``metadata`` hold its class, domain, phrasing, split ... Encoders and strategies ask with texts,
    so loaders hand out queries with an ``image`` on request only.
    """

    id: str
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    image: ImageFile | None = None

    def __post_init__(self) -> None:
        _check("query", self.id, text=self.text, **_named(self.metadata))


def _named(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"{name!r}": value for name, value in metadata.items()}


@dataclass(frozen=True)
class Judgment:
    """A judgment, by a person or by construction: how relevant a document is to a query."""

    query_id: str
    doc_id: str
    grade: int

    def __post_init__(self) -> None:
        _check("query", self.query_id)
        _check("document", self.doc_id)
        if isinstance(self.grade, bool) or not isinstance(self.grade, Integral):
            pair = f"{self.doc_id!r} for {self.query_id!r}"
            msg = f"grade of {pair} is {self.grade!r}; expected a whole number"
            raise CorpusError(msg)


class Qrels(Mapping[str, Mapping[str, int]]):
    """Graded judgments, as ``qrels[query_id][doc_id] -> grade``.

    ``min_grade`` is the lowest grade that counts as relevant in measures that know only relevant
    and not relevant (recall, hit, MRR); nDCG uses the grades themselves.

    >>> qrels = Qrels([Judgment("q1", "d1", 2), Judgment("q1", "d2", 1)], min_grade=2)
    >>> qrels["q1"]["d2"], qrels.relevant("q1")
    (1, frozenset({'d1'}))
    """

    def __init__(self, judgments: Iterable[Judgment], min_grade: int = 1) -> None:
        self.min_grade = min_grade
        self._grades: dict[str, dict[str, int]] = {}
        for judgment in judgments:
            grades = self._grades.setdefault(judgment.query_id, {})
            if grades.setdefault(judgment.doc_id, judgment.grade) != judgment.grade:
                msg = (
                    f"query {judgment.query_id!r} and document {judgment.doc_id!r} are judged "
                    f"{grades[judgment.doc_id]} and {judgment.grade}; keep one of the two lines"
                )
                raise CorpusError(msg)

    def __getitem__(self, query_id: str) -> Mapping[str, int]:
        return MappingProxyType(self._grades[query_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._grades)

    def __len__(self) -> int:
        return len(self._grades)

    def __repr__(self) -> str:
        n_judgments = sum(len(grades) for grades in self._grades.values())
        return f"Qrels({len(self)} queries, {n_judgments} judgments, min_grade={self.min_grade})"

    def relevant(self, query_id: str) -> frozenset[str]:
        """Ids of the documents whose grade is at least ``min_grade``."""
        grades = self._grades.get(query_id, {})
        return frozenset(doc_id for doc_id, grade in grades.items() if grade >= self.min_grade)


@dataclass(frozen=True)
class Corpus:
    """Documents, the queries asked of them, and the judgments between the two.

    The documents are the pool: every query is searched against all of them. Ids are unique, and
    judgments name documents that are there. If any query is judged, every one has a relevant
    document; without any judgment (or query) whatever needs none still works, see ``judged``.

    ``skipped``: items left out because they could not be used, each with the reason.
    ``left_out``: query id -> pairs of document id and leg that do not count for this query: no
    measure sees their scores. Needed where a query would meet itself, such as a caption that is
    also a document's text. A leg that hides a document which the other leg still shows takes no
    part in rankings, see ``Vectors.ranked_legs``; one hidden from both is not in the pool.

    >>> corpus = Corpus(
    ...     "two cats",
    ...     documents=[Document("d1", "a black cat"), Document("d2", "a white cat")],
    ...     queries=[Query("q1", "white cat")],
    ...     qrels=Qrels([Judgment("q1", "d2", 1)]),
    ... )
    >>> corpus
    Corpus('two cats', 2 documents, 1 queries)
    """

    name: str
    documents: Sequence[Document]
    queries: Sequence[Query]
    qrels: Qrels
    skipped: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _refuse_duplicates("document", self.name, (document.id for document in self.documents))
        _refuse_duplicates("query", self.name, (query.id for query in self.queries))
        for query in self.queries if self.judged else ():
            if not self.qrels.relevant(query.id):
                msg = (
                    f"query {query.id!r} of corpus {self.name!r} has no relevant document "
                    f"(grade >= {self.qrels.min_grade}); recall is undefined for it. Add a "
                    "judgment, lower min_grade, or load with on_error='skip'"
                )
                raise CorpusError(msg)
        known = set(self.doc_ids)
        for query in self.queries if self.judged else ():
            unknown = sorted(set(self.qrels[query.id]) - known)
            if unknown:
                msg = (
                    f"the judgments of query {query.id!r} name {len(unknown)} documents that "
                    f"corpus {self.name!r} does not hold, e.g. {unknown[0]!r}; add the documents, "
                    "drop the judgments, or load with on_error='skip'"
                )
                raise CorpusError(msg)
        self._refuse_unknown_left_out(known)

    def __repr__(self) -> str:
        n_documents, n_queries = len(self.documents), len(self.queries)
        return f"{type(self).__name__}({self.name!r}, {n_documents} documents, {n_queries} queries)"

    @property
    def judged(self) -> bool:
        """Whether there are queries with judgments, which recall and whatever is fitted need."""
        return len(self.qrels) > 0 and len(self.queries) > 0

    def require_judgments(self, purpose: str) -> None:
        """Raise a CorpusError in one line if there are none."""
        if not self.judged:
            lacks = "judgments" if self.queries else "queries"
            msg = (
                f"corpus {self.name!r} has no {lacks}, and {purpose} needs them; add queries.jsonl "
                "and qrels.tsv (query id, 0, document id, grade). 'mmgap gap' and 'mmgap embed' do "
                "without, 'mmgap report' without judgments"
            )
            raise CorpusError(msg)

    @cached_property
    def doc_ids(self) -> tuple[str, ...]:
        """Document ids in the corpus' order."""
        return tuple(document.id for document in self.documents)

    @cached_property
    def query_ids(self) -> tuple[str, ...]:
        """Query ids in the corpus' order."""
        return tuple(query.id for query in self.queries)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {doc_id: position for position, doc_id in enumerate(self.doc_ids)}

    def document(self, doc_id: str) -> Document:
        """Return the document with this id."""
        return self.documents[self.position(doc_id)]

    def position(self, doc_id: str) -> int:
        """Return the position of the document with this id in ``documents``."""
        return self._position[doc_id]

    @cached_property
    def equal_texts(self) -> Mapping[str, tuple[str, ...]]:
        """Texts of several documents, each with the ids of those documents.

        Encoders and rerankers of texts cannot tell such documents apart, so their scores are
        exactly tied. In EDIS half of all documents have a headline that another one has too.

        >>> documents = [Document("d1", "a cat"), Document("d2", "a dog"), Document("d3", "a cat")]
        >>> qrels = Qrels([Judgment("q1", "d1", 1)])
        >>> dict(Corpus("three", documents, [Query("q1", "cat")], qrels).equal_texts)
        {'a cat': ('d1', 'd3')}
        """
        doc_ids: dict[str, list[str]] = {}
        for document in self.documents:
            if document.text is not None:
                doc_ids.setdefault(document.text, []).append(document.id)
        shared = {text: tuple(ids) for text, ids in doc_ids.items() if len(ids) > 1}
        return MappingProxyType(shared)

    def query_frame(self) -> pd.DataFrame:
        """One row per query, indexed by id: its text and every metadata column."""
        import pandas as pd

        rows = [{"text": query.text, **query.metadata} for query in self.queries]
        return pd.DataFrame(rows, index=pd.Index(self.query_ids, name="query_id"))

    def document_frame(self) -> pd.DataFrame:
        """One row per document, indexed by id: its text and every metadata column."""
        import pandas as pd

        rows = [{"text": document.text, **document.metadata} for document in self.documents]
        return pd.DataFrame(rows, index=pd.Index(self.doc_ids, name="doc_id"))

    def select_queries(self, keep: Callable[[Query], bool]) -> Self:
        """Return the same pool with only the queries for which ``keep`` is true."""
        kept = [row for row, query in enumerate(self.queries) if keep(query)]
        return self._part(kept, range(len(self.documents)))

    def _part(self, query_rows: Sequence[int], doc_rows: Sequence[int], **changes: Any) -> Self:
        """Return some queries and documents, with what belongs to them."""
        queries = [self.queries[row] for row in query_rows]
        documents = [self.documents[row] for row in doc_rows]
        kept = {document.id for document in documents}
        left_out = {
            query.id: frozenset(pair for pair in self.left_out[query.id] if pair[0] in kept)
            for query in queries
            if query.id in self.left_out
        }
        changes |= {"queries": queries, "documents": documents, "left_out": left_out}
        return replace(self, **changes)

    def _refuse_unknown_left_out(self, known: set[str]) -> None:
        queries = set(self.query_ids)
        for query_id, pairs in self.left_out.items():
            if query_id not in queries:
                msg = (
                    f"left_out of corpus {self.name!r} names query {query_id!r}, which it does not "
                    "hold; drop that entry, or add the query"
                )
                raise CorpusError(msg)
            for doc_id, leg in pairs:
                if doc_id not in known or not isinstance(leg, str):
                    msg = (
                        f"left_out of query {query_id!r} in corpus {self.name!r} names "
                        f"{(doc_id, leg)}; expected pairs of a document's id and a leg"
                    )
                    raise CorpusError(msg)

    def sample(self, n_query: int, *, seed: int = 0) -> Self:
        """Draw ``n_query`` queries at random, with the documents that they have judgments for.

        To try something quickly: the pool is smaller than the whole, so every search is easier and
        no number of it is a result.
        """
        self.require_judgments("a sample of its queries")
        if n_query < 1:
            msg = f"a sample of {n_query} queries of {self.name!r}; expected at least 1"
            raise CorpusError(msg)
        n_query = min(n_query, len(self.queries))
        drawn = np.sort(np.random.default_rng(seed).permutation(len(self.queries))[:n_query])
        judged = {doc_id for row in drawn for doc_id in self.qrels[self.queries[row].id]}
        return self._part(
            drawn.tolist(),
            [row for row, document in enumerate(self.documents) if document.id in judged],
            name=f"{self.name}, {n_query} of {len(self.queries)} queries",
        )


def _refuse_duplicates(kind: str, corpus: str, ids: Iterable[str]) -> None:
    repeated = [item for item, count in Counter(ids).items() if count > 1]
    if repeated:
        msg = (
            f"corpus {corpus!r} holds {kind} id {repeated[0]!r} more than once"
            f" ({len(repeated)} ids are repeated); ids must be unique"
        )
        raise CorpusError(msg)
