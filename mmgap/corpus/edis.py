"""EDIS: news captions that ask for a headline with its image, in each of its published forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from mmgap import paths
from mmgap.corpus.assemble import Parts
from mmgap.corpus.files import OnError, Rejects, read_json_array
from mmgap.corpus.mbeir import Images, read_grades, read_mbeir, read_topics
from mmgap.corpus.places import local_files, read_sample, sampled_name
from mmgap.corpus.schema import Corpus, Document, Judgment, Qrels, Query
from mmgap.errors import CorpusError

HUB = "mteb/mbeir_edis_task2"
TASK = "edis_task2"
MIN_GRADE = 3
"""Grade of the documents that count as relevant in EDIS' own evaluation, in M-BEIR and in mteb."""

EdisPool = Literal["full", "restricted"]

_Judged = tuple[str, Judgment]

_TOPICS = "edis_test_topics.jsonl"
_LAYOUTS = (
    ({"train": "EDIS_train", "val": "EDIS_val", "test": "EDIS_test"}, "EDIS_candidates_1m"),
    ({"train": "train", "val": "dev", "test": "test"}, "candidates_full"),
)
"""Names of the authors' files by split, and of their pool: today's layout, then the earlier one."""


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

    Parameters
    ----------
    path : str or Path, optional
        The folder with the files; which form it has is seen from their names. Default: where
        ``mmgap corpus fetch edis`` puts mteb's form.
    split : {"test", "val", "train"}
        mteb has only ``"test"``.
    pool : {"full", "restricted"}
        ``"full"`` (default): all of about a million candidates. ``"restricted"``: those that are
        judged for some query of the split, each once; 25,463 of the test split. The authors' code
        has both, as settings of the same names, and counts a candidate once for every query that
        it serves (25,632 rows). The full pool is the default because published numbers, and most
        likely those of the article that mmgap reproduces, are from it.
    min_grade : int, optional
        Lowest grade that counts as relevant; 2.57 documents a query have grade 3, 6.74 grade 2 or
        3. Default: 3, or 1 where a form knows only relevant and not relevant.
    images : str or Path, optional
        Of the authors' forms: the folder of the unpacked images. Default: ``images`` in the
        folder if there is one, else the folder itself.
    topics : str or Path, optional
        Of mteb's form: a file of UniIR's queries, which adds the grades, see
        :func:`load_edis_judgments`. Its candidates must be called as in the corpus.
    on_error : {"raise", "skip"}
        What to do with an item that cannot be used: raise an error that names it, or leave it out,
        list it in ``Corpus.skipped`` and give one ``SkippedItemsWarning``.

    Returns
    -------
    Corpus
        Documents have a headline and an image; one without a headline keeps its image. About half
        of all headlines belong to several documents: see ``Corpus.equal_texts``. A candidate that
        the authors' pool file lacks (the earlier one lacks some) is added to the pool; its
        metadata hold ``"added_from"``.

    Raises
    ------
    CorpusError
        If files are missing or damaged, or an item cannot be used.

    Notes
    -----
    EDIS' own nDCG gives grade 3 a gain of 3, grade 2 one of 1 and grade 1 none, and does not cut
    the ideal ranking at k; its numbers are not those of trec's nDCG.

    References
    ----------
    Liu et al., "EDIS: Entity-Driven Image Search over Multimodal Web Content", EMNLP 2023.
    """
    if pool not in get_args(EdisPool):
        msg = f"pool is {pool!r}; expected 'full' or 'restricted' to the judged candidates"
        raise CorpusError(msg)
    if split not in _LAYOUTS[0][0]:
        msg = f"split is {split!r}; EDIS has {', '.join(_LAYOUTS[0][0])}"
        raise CorpusError(msg)
    folder = local_files("edis", HUB, path)
    rejects = Rejects(on_error)
    found = _layout(folder, split)
    if found is None:
        parts = _read_mbeir_form(folder, split, pool, topics, rejects)
    else:
        image_folder = Path(images) if images is not None else folder / "images"
        if images is None and not image_folder.is_dir():
            image_folder = folder
        parts = _read_authors_form(*found, pool, Images(image_folder), rejects)
    if min_grade is not None:
        parts.min_grade = min_grade
    parts.drop_unanswered()
    rejects.warn(str(folder))
    name = "edis" if split == "test" else f"edis/{split}"
    return parts.corpus(
        sampled_name(name if pool == "full" else f"{name}/restricted", folder),
    )


@dataclass(frozen=True)
class JudgedQueries:
    """Queries and their judgments, without the documents.

    Parameters
    ----------
    queries : tuple of Query
    qrels : Qrels
        With the document ids of M-BEIR.
    candidate_ids : mapping of str to str
        Document id of M-BEIR -> document id of EDIS.
    """

    queries: tuple[Query, ...]
    qrels: Qrels
    candidate_ids: Mapping[str, str]

    def grade_counts(self) -> dict[int, int]:
        """Return how many judgments there are of each grade, highest first."""
        counts: dict[int, int] = {}
        for grades in self.qrels.values():
            for grade in grades.values():
                counts[grade] = counts.get(grade, 0) + 1
        return dict(sorted(counts.items(), reverse=True))


def load_edis_judgments(
    path: str | Path | None = None, *, min_grade: int = MIN_GRADE
) -> JudgedQueries:
    """Load EDIS' test queries with their graded judgments, without a single document.

    Parameters
    ----------
    path : str or Path, optional
        ``topics.mbeir-edis_task2.test.jsonl`` of the repository castorini/anserini-tools, or
        another file of queries in UniIR's form. Default: ``edis_test_topics.jsonl`` in the folder
        that ``MMGAP_ORACLES`` names.
    min_grade : int, default 3

    Returns
    -------
    JudgedQueries

    Raises
    ------
    CorpusError
        If the file is missing or a line cannot be used.

    Examples
    --------
    >>> load_edis_judgments().grade_counts()  # doctest: +SKIP
    {3: 8341, 2: 13510, 1: 3781}
    """
    file = paths.oracles_dir() / _TOPICS if path is None else Path(path)
    rejects = Rejects()
    queries = tuple(query for _, query in read_topics(file, rejects))
    found = [(judgment, own_id) for _, judgment, own_id in read_grades(file, rejects)]
    return JudgedQueries(
        queries,
        Qrels((judgment for judgment, _ in found), min_grade),
        {judgment.doc_id: own_id for judgment, own_id in found},
    )


def _layout(folder: Path, split: str) -> tuple[Path, Path] | None:
    """Return the authors' files of queries and of the pool, or None if it is another form."""
    for splits, pool in _LAYOUTS:
        queries = folder / f"{splits[split]}.json"
        if queries.is_file():
            return queries, folder / f"{pool}.json"
    return None


def _read_authors_form(
    queries: Path, pool_file: Path, pool: str, images: Images, rejects: Rejects
) -> Parts:
    parts = Parts(rejects, MIN_GRADE, "the pool", queries.name, queries.name)
    if pool == "full":
        if not pool_file.is_file():
            msg = (
                f"{pool_file.parent} lacks {pool_file.name}, the full pool; fetch it, or take the "
                "judged candidates alone with pool='restricted'"
            )
            raise CorpusError(msg)
        for where, record in read_json_array(pool_file, rejects):
            document = _document(where, record, "id", images, rejects)
            if document is not None:
                parts.add_documents([(where, document)])
    added = {} if pool == "restricted" else {"added_from": queries.name}
    rejected: set[str] = set()
    for where, record in read_json_array(queries, rejects):
        query_id, text, candidates = (record.get(key) for key in ("id", "query", "candidates"))
        where = f"{where} (id {query_id!r})"
        if not isinstance(query_id, int | str) or isinstance(query_id, bool) or query_id == "":
            rejects.add(where, f'"id" is {query_id!r}; expected a number or a text')
        elif not isinstance(text, str) or not text.strip():
            rejects.add(where, f'"query" is {text!r}; expected a text that is not empty')
        elif not isinstance(candidates, list):
            rejects.add(where, f'"candidates" is {candidates!r}; expected a list of candidates')
        else:
            parts.add_queries([(where, Query(str(query_id), text))])
            for at, candidate in enumerate(candidates, start=1):
                _add_candidate(
                    f"{where} candidate {at}", str(query_id), candidate, images, parts, added,
                    rejected,
                )  # fmt: skip
    return parts


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
    if not isinstance(candidate, dict):
        parts.rejects.add(where, f"expected a JSON object, got {candidate!r}")
        return
    grade = candidate.get("score")
    if isinstance(grade, str) and grade.isdecimal():
        grade = int(grade)
    if type(grade) is not int or not 1 <= grade <= 3:
        parts.rejects.add(where, f'"score" is {grade!r}; expected 1, 2 or 3')
        return
    doc_id = str(candidate.get("candidate_id"))
    known = parts.documents.get(doc_id)
    if known is None:
        if doc_id in rejected:
            return  # the reason was given when it was met first
        document = _document(where, candidate, "candidate_id", images, parts.rejects, added)
        if document is None:
            rejected.add(doc_id)
            return
        parts.add_documents([(where, document)])
    elif (known.text, known.image and Path(known.image.path).name) != _content(candidate):
        parts.rejects.add(
            where,
            f"candidate {doc_id!r} has another headline or image than the document of this id",
        )
        return
    parts.add_judgments([(where, Judgment(query_id, doc_id, grade))])


def _content(record: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return headline and file name of a candidate; both layouts' names are known."""
    text = record.get("headline", record.get("contents"))
    text = text if isinstance(text, str) and text.strip() else None
    return text, PurePosixPath(str(record.get("image") or "")).name


def _document(
    where: str,
    record: Mapping[str, Any],
    key: str,
    images: Images,
    rejects: Rejects,
    metadata: Mapping[str, str] | None = None,
) -> Document | None:
    doc_id = record.get(key)
    if not isinstance(doc_id, int | str) or isinstance(doc_id, bool) or doc_id == "":
        rejects.add(where, f"{key!r} is {doc_id!r}; expected a number or a text")
        return None
    text, file = _content(record)
    image = images.find(file)
    if isinstance(image, str):
        rejects.add(f"{where} ({key} {doc_id!r})", image)
        return None
    return Document(str(doc_id), text, image, metadata or {})


def _read_mbeir_form(
    folder: Path, split: str, pool: str, topics: str | Path | None, rejects: Rejects
) -> Parts:
    own = folder / "query" / split / f"mbeir_{TASK}_{split}.jsonl"
    file = Path(topics) if topics is not None else (own if own.is_file() else None)
    try:
        parts = read_mbeir(TASK, folder, split, "local", False, rejects)
    except CorpusError as error:
        if any((folder / role).exists() for role in ("query", "queries", "corpus", "cand_pool")):
            raise
        msg = (
            f"{folder} holds no form of EDIS: expected EDIS_{split}.json with "
            f"EDIS_candidates_1m.json, or test.json with candidates_full.json, or the folders of "
            "M-BEIR (query, cand_pool, qrels) or of mteb (query, corpus, qrels)"
        )
        raise CorpusError(msg) from error
    if file is not None:  # the same judgments, with their grades
        parts.grades.clear()
        parts.min_grade = MIN_GRADE
        parts.qrels_in = file.name
        sampled = read_sample(folder) is not None
        parts.add_judgments(_of(parts, file, rejects, sampled=sampled))
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


def _of(parts: Parts, file: Path, rejects: Rejects, *, sampled: bool) -> Iterator[_Judged]:
    """Yield the grades of the queries that are here; a sample lacks queries and documents."""
    for where, judgment, _ in read_grades(file, rejects):
        here = not sampled or judgment.doc_id in parts.documents
        if judgment.query_id in parts.queries and here:
            yield where, judgment
