"""EDIS: news captions that ask for a headline with its image, in each of its published forms."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from mmgap import paths
from mmgap.corpus.benchmarks import image_folder, one_of, read_mbeir, read_topics
from mmgap.corpus.hub import local_files, read_sample, sampled_name
from mmgap.corpus.reading import Images, OnError, Parts, Rejects, guarded, id_of, made, read_records
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

EDIS_HUB = "mteb/mbeir_edis_task2"
MIN_GRADE = 3
"""Grade of the documents that count as relevant in EDIS' own evaluation, in M-BEIR and in mteb."""

EdisPool = Literal["full", "restricted"]

_TASK = "edis_task2"
_TOPICS = "edis_test_topics.jsonl"
_LAYOUTS = (
    ({"train": "EDIS_train", "val": "EDIS_val", "test": "EDIS_test"}, "EDIS_candidates_1m"),
    ({"train": "train", "val": "dev", "test": "test"}, "candidates_full"),
)
"""Names of the authors' files by split, and of their pool: today's layout, then the earlier one."""


@guarded
def load_edis(
    path: str | Path | None = None,
    *,
    split: str = "test",
    pool: EdisPool = "full",
    min_grade: int | None = None,
    images: str | Path | None = None,
    topics: str | Path | None = None,
    on_error: OnError = "raise",
) -> Corpus:
    """Load EDIS: the authors' JSON in both layouts, or its form in M-BEIR, from UniIR or mteb.

    ==================  ======================================================  =================
    form                files                                                   grades
    ==================  ======================================================  =================
    authors, today      ``EDIS_test.json``, ``EDIS_candidates_1m.json``         1, 2, 3
    authors, earlier    ``test.json``, ``candidates_full.json``; the headline   1, 2, 3
                        is called ``contents``
    UniIR               ``query/``, ``cand_pool/``, ``qrels/``                  1, 2, 3
    mteb                Parquet: ``corpus/``, ``query/``, ``qrels/``            relevant or not;
                                                                                1, 2, 3 with
                                                                                ``topics``
    ==================  ======================================================  =================

    ``path``: which form a folder has is seen from its names; default: mteb's, where ``mmgap corpus
    fetch edis`` puts it. ``pool``: ``"full"`` are all of about a million candidates, as in
    published numbers; ``"restricted"`` those that are judged for some query of the split, each
    once (25,463 of the test split; the authors' code counts 25,632 rows, one for every query).
    ``min_grade``: 3 by default (2.57 documents a query; 6.74 of grade 2 or 3), or 1 where a form
    knows only relevant and not relevant. ``images``: of the authors' forms, the folder of the
    unpacked images. ``topics``: of mteb's form, a file of UniIR's queries, which adds the grades.

    A document without a headline keeps its image. About half of all headlines belong to several
    documents: see ``Corpus.equal_texts``. A candidate that the authors' pool file lacks is added;
    its metadata hold ``"added_from"``. EDIS' own nDCG gives grade 3 a gain of 3, grade 2 one of 1
    and grade 1 none, and does not cut the ideal ranking at k; it is not trec's. Liu et al., "EDIS",
    EMNLP 2023.
    """
    one_of("pool", pool, get_args(EdisPool))
    one_of("split", split, tuple(_LAYOUTS[0][0]))
    folder = local_files("edis", EDIS_HUB, path)
    rejects = Rejects(on_error)
    for splits, pool_file in _LAYOUTS:
        queries = folder / f"{splits[split]}.json"
        if queries.is_file():
            finder = Images(image_folder(folder, images))
            parts = _read_authors_form(queries, f"{pool_file}.json", pool, finder, rejects)
            break
    else:
        parts = _read_mbeir_form(folder, split, pool, topics, rejects)
    if min_grade is not None:
        parts.min_grade = min_grade
    name = "edis" if split == "test" else f"edis/{split}"
    name = sampled_name(name if pool == "full" else f"{name}/restricted", folder)
    return parts.corpus(name, source=str(folder))


@dataclass(frozen=True)
class JudgedQueries:
    """Queries and their judgments without the documents, whose ids are those of M-BEIR.

    ``candidate_ids``: document id of M-BEIR -> document id of EDIS.
    """

    queries: tuple[Query, ...]
    qrels: Qrels
    candidate_ids: Mapping[str, str]

    def grade_counts(self) -> dict[int, int]:
        """Return how many judgments there are of each grade, highest first."""
        counts = Counter(grade for grades in self.qrels.values() for grade in grades.values())
        return dict(sorted(counts.items(), reverse=True))


@guarded
def load_edis_judgments(
    path: str | Path | None = None, *, min_grade: int = MIN_GRADE
) -> JudgedQueries:
    """Load EDIS' test queries with their graded judgments, without a single document.

    ``path``: ``topics.mbeir-edis_task2.test.jsonl`` of the repository castorini/anserini-tools, or
    another file of queries in UniIR's form. Default: ``edis_test_topics.jsonl`` in the folder that
    ``MMGAP_ORACLES`` names.

    >>> load_edis_judgments().grade_counts()  # doctest: +SKIP
    {3: 8341, 2: 13510, 1: 3781}
    """
    file = paths.oracles_dir() / _TOPICS if path is None else Path(path)
    rejects = Rejects()
    queries = tuple(query for _, query in read_topics(file, rejects))
    found = [(judgment, own_id) for _, judgment, own_id in _grades(file, rejects)]
    return JudgedQueries(
        queries,
        Qrels((judgment for judgment, _ in found), min_grade),
        {judgment.doc_id: own_id for judgment, own_id in found},
    )


def _grades(path: Path, rejects: Rejects) -> Iterator[tuple[str, Judgment, str]]:
    """Yield name, judgment and EDIS' own document id from topics in UniIR's form.

    ``pos_cand_list`` and ``neg_cand_list`` are ids of M-BEIR, and ``query_src_content`` holds EDIS'
    own ids and grades in the same order.
    """
    for where, found in made(read_records(path, rejects), _graded, rejects):
        for judgment, own_id in found:
            yield where, judgment, own_id


def _graded(record: dict[str, Any]) -> list[tuple[Judgment, str]]:
    try:
        content = json.loads(record["query_src_content"])
        return [
            (
                Judgment(
                    record["qid"],
                    doc["did"] if isinstance(doc, Mapping) else doc,  # some versions wrap it
                    int(graded["score"]),
                ),
                str(graded["candidate_id"]),
            )
            for side in ("pos", "neg")
            for doc, graded in zip(
                record[f"{side}_cand_list"],
                content[f"{side}_cand_candidate_id_scores"],
                strict=True,
            )
        ]
    except (KeyError, TypeError, ValueError) as error:
        msg = (
            f"its query_src_content does not grade its candidates ({error!r}); expected "
            "candidate_id and score for each of pos_cand_list and neg_cand_list, in order"
        )
        raise CorpusError(msg) from error


def _read_authors_form(
    queries: Path, pool_file: str, pool: str, images: Images, rejects: Rejects
) -> Parts:
    parts = Parts(rejects, MIN_GRADE, "the pool", queries.name, queries.name)
    if pool == "full":
        file = queries.with_name(pool_file)
        if not file.is_file():
            msg = (
                f"{file.parent} lacks {file.name}, the full pool; fetch it, or take the "
                "judged candidates alone with pool='restricted'"
            )
            raise CorpusError(msg)

        def document(record: dict[str, Any]) -> Document:
            return _document(record, "id", images)

        parts.add_documents(made(read_records(file, rejects), document, rejects))
    added = {} if pool == "restricted" else {"added_from": queries.name}
    rejected: set[str] = set()
    for where, (query, candidates) in made(read_records(queries, rejects), _asked, rejects):
        parts.add_queries([(where, query)])
        for at, candidate in enumerate(candidates, start=1):
            _add_candidate(
                f"{where} candidate {at}", query.id, candidate, images, parts, added, rejected
            )
    return parts


def _asked(record: dict[str, Any]) -> tuple[Query, list[Any]]:
    text, candidates = record.get("query"), record.get("candidates")
    if not isinstance(text, str) or not text.strip():
        msg = f'"query" is {text!r}; expected a text that is not empty'
        raise CorpusError(msg)
    if not isinstance(candidates, list):
        msg = f'"candidates" is {candidates!r}; expected a list of candidates'
        raise CorpusError(msg)
    return Query(id_of(record, "id"), text), candidates


def _add_candidate(
    where: str,
    query_id: str,
    candidate: Any,
    images: Images,
    parts: Parts,
    added: dict[str, str],
    rejected: set[str],
) -> None:
    """Add the judgment of a candidate, and the candidate where the pool lacks it."""
    try:
        judgment = _judgment(query_id, candidate, parts)
        if judgment.doc_id in rejected:
            return  # the reason was given when it was met first
        if judgment.doc_id not in parts.documents:
            rejected.add(judgment.doc_id)
            document = _document(candidate, "candidate_id", images, added)
            rejected.discard(judgment.doc_id)
            parts.add_documents([(where, document)])
    except CorpusError as error:
        parts.rejects.add(where, str(error))
    else:
        parts.add_judgments([(where, judgment)])


def _judgment(query_id: str, candidate: Any, parts: Parts) -> Judgment:
    if not isinstance(candidate, dict):
        msg = f"expected a JSON object, got {candidate!r}"
        raise CorpusError(msg)
    grade, doc_id = candidate.get("score"), str(candidate.get("candidate_id"))
    if str(grade) not in {"1", "2", "3"}:
        msg = f'"score" is {grade!r}; expected 1, 2 or 3'
        raise CorpusError(msg)
    known = parts.documents.get(doc_id)
    if known and (known.text, known.image and Path(known.image.path).name) != _content(candidate):
        msg = f"candidate {doc_id!r} has another headline or image than the document of this id"
        raise CorpusError(msg)
    return Judgment(query_id, doc_id, int(str(grade)))


def _content(record: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return headline and file name of a candidate; both layouts' names are known."""
    text = record.get("headline", record.get("contents"))
    text = text if isinstance(text, str) and text.strip() else None
    return text, PurePosixPath(str(record.get("image") or "")).name


def _document(
    record: Mapping[str, Any], key: str, images: Images, metadata: Mapping[str, str] | None = None
) -> Document:
    text, file = _content(record)
    return Document(id_of(record, key), text, images.find(file), metadata or {})


def _read_mbeir_form(
    folder: Path, split: str, pool: str, topics: str | Path | None, rejects: Rejects
) -> Parts:
    if not any((folder / role).exists() for role in ("query", "queries", "corpus", "cand_pool")):
        msg = (
            f"{folder} holds no form of EDIS: expected EDIS_{split}.json with "
            f"EDIS_candidates_1m.json, or test.json with candidates_full.json, or the folders of "
            "M-BEIR (query, cand_pool, qrels) or of mteb (query, corpus, qrels)"
        )
        raise CorpusError(msg)
    own = folder / "query" / split / f"mbeir_{_TASK}_{split}.jsonl"
    file = Path(topics) if topics is not None else (own if own.is_file() else None)
    parts = read_mbeir(_TASK, folder, split, "local", rejects)
    if file is not None:  # the same judgments, with their grades
        parts.grades.clear()
        parts.min_grade = MIN_GRADE
        parts.qrels_in = file.name
        sampled = read_sample(folder) is not None  # a sample lacks queries and documents
        parts.add_judgments(
            (where, judgment)
            for where, judgment, _ in _grades(file, rejects)
            if judgment.query_id in parts.queries
            and (not sampled or judgment.doc_id in parts.documents)
        )
    if pool == "restricted":
        if file is None:
            msg = (
                f"{folder} holds mteb's form, which names relevant documents only; for "
                "pool='restricted' give UniIR's queries, which name all judged ones, as topics="
            )
            raise CorpusError(msg)
        judged = {doc_id for _, doc_id in parts.grades}
        parts.documents = {key: each for key, each in parts.documents.items() if key in judged}
    return parts
