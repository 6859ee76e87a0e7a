"""Build a corpus from what a reader found, and name what does not fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmgap.corpus.files import Rejects
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError


@dataclass
class Parts:
    """Documents, queries and judgments as they are read; what cannot be used is rejected.

    Parameters
    ----------
    rejects : Rejects
    min_grade : int, default 1
        Lowest grade that counts as relevant.
    documents_in, queries_in, qrels_in : str
        What an error calls the three sources.

    Examples
    --------
    >>> parts = Parts(Rejects("skip"))
    >>> parts.add_documents([("line 1", Document("d1", "a black cat"))])
    >>> parts.add_queries([("line 1", Query("q1", "cat")), ("line 2", Query("q2", "dog"))])
    >>> parts.add_judgments([("line 1", Judgment("q1", "d1", 1))])
    >>> parts.drop_unanswered()
    >>> parts.corpus("demo"), list(parts.rejects.skipped)
    (Corpus('demo', 1 documents, 1 queries), ["query 'q2'"])
    """

    rejects: Rejects
    min_grade: int = 1
    documents_in: str = "the documents"
    queries_in: str = "the queries"
    qrels_in: str = "the judgments"
    documents: dict[str, Document] = field(default_factory=dict, init=False)
    queries: dict[str, Query] = field(default_factory=dict, init=False)
    grades: dict[tuple[str, str], int] = field(default_factory=dict, init=False)

    def add_documents(self, found: Iterable[tuple[str, Document]]) -> None:
        """Keep documents; the second one with an id is rejected."""
        for where, document in found:
            if document.id in self.documents:
                self.rejects.add(
                    where, f"document id {document.id!r} was used before; ids must be unique"
                )
            else:
                self.documents[document.id] = document

    def add_queries(self, found: Iterable[tuple[str, Query]]) -> None:
        """Keep queries; the second one with an id is rejected."""
        for where, query in found:
            if query.id in self.queries:
                self.rejects.add(
                    where, f"query id {query.id!r} was used before; ids must be unique"
                )
            else:
                self.queries[query.id] = query

    def add_judgments(self, found: Iterable[tuple[str, Judgment]]) -> None:
        """Keep judgments between queries and documents that are here already."""
        for where, judgment in found:
            pair = (judgment.query_id, judgment.doc_id)
            if judgment.query_id not in self.queries:
                problem = f"names query {judgment.query_id!r}, which {self.queries_in} lacks"
            elif judgment.doc_id not in self.documents:
                problem = f"names document {judgment.doc_id!r}, which {self.documents_in} lacks"
            elif self.grades.setdefault(pair, judgment.grade) != judgment.grade:
                problem = f"judges {pair} {judgment.grade}, an earlier line {self.grades[pair]}"
            else:
                continue
            self.rejects.add(where, problem)

    def drop_unanswered(self) -> None:
        """Reject the queries that no document answers."""
        answered = {
            query_id for (query_id, _), grade in self.grades.items() if grade >= self.min_grade
        }
        for query_id in [each for each in self.queries if each not in answered]:
            self.rejects.add(
                f"query {query_id!r}",
                f"{self.qrels_in} names no relevant document (grade >= {self.min_grade}) for it, "
                "so its recall is undefined",
            )
            del self.queries[query_id]

    def corpus(
        self, name: str, left_out: Mapping[str, frozenset[tuple[str, str]]] | None = None
    ) -> Corpus:
        """Return the corpus.

        Raises
        ------
        CorpusError
            If no query is left, which is an error under ``on_error="skip"`` too.
        """
        skipped = self.rejects.skipped
        if not self.queries:
            reason = f"{self.queries_in} is empty"
            if skipped:
                item, problem = next(iter(skipped.items()))
                reason = f"{len(skipped)} items were left out, e.g. {item}: {problem}"
            msg = f"{name} has no usable query; {reason}"
            raise CorpusError(msg)
        qrels = Qrels(
            (Judgment(*pair, grade) for pair, grade in self.grades.items()), self.min_grade
        )
        return Corpus(
            name,
            [*self.documents.values()],
            [*self.queries.values()],
            qrels,
            skipped,
            left_out or {},
        )
