"""Documents, queries and judgments out of drawings and questions."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from . import splits
from .records import Drawing, Question
from .splits import Pool

# As they stand in query ids.
SHORT_SOURCES = {
    "cldr_name": "name", "icon_name": "name", "clip_art_title": "name",
    "cldr_keywords": "cldr", "emojilib_keywords": "emojilib", "wordnet_gloss": "gloss",
    "clip_art_description": "description", "flag_description": "look",
    "region_and_flag_description": "region-look", "factbook_background_rest": "history",
}  # fmt: skip


@dataclass
class Query:
    """One query of one pool, with its graded documents."""

    id: str
    pool: Pool
    question: Question
    query_class: str
    grades: dict[str, int]


@dataclass
class Corpus:
    """Everything that is written, and counts of what was left out and why."""

    drawings: list[tuple[Drawing, Pool]] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)
    queries: list[Query] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def text_key(text: str) -> str:
    """Return the form in which two texts are the same string."""
    return text.casefold().strip()


def pool_name(pool: Pool) -> str:
    """Return ``train``, ``test-style``, ``calibration-concept`` ..."""
    return "-".join(part for part in pool if part)


def keep_distinct(
    drawings: list[tuple[Drawing, Pool]],
    images: list[tuple[bytes, str] | None],
    corpus: Corpus,
) -> None:
    """Put into the corpus every drawing that shows something and that no other one equals.

    Of equal images of one concept the first by id stays. Equal images of different concepts all
    go: such an image would be right and wrong at once.
    """
    by_pixels: dict[str, list[tuple[Drawing, Pool, bytes]]] = defaultdict(list)
    for (drawing, pool), image in zip(drawings, images, strict=True):
        if image is None:
            corpus.left_out["drawings that show nothing or cannot be drawn"] += 1
        else:
            by_pixels[image[1]].append((drawing, pool, image[0]))
    for group in by_pixels.values():
        group.sort(key=lambda entry: entry[0].id)
        if len({drawing.concept for drawing, _, _ in group}) > 1:
            corpus.left_out["drawings that equal one of another concept"] += len(group)
            continue
        corpus.left_out["drawings that equal one of the same concept"] += len(group) - 1
        drawing, pool, blob = group[0]
        corpus.drawings.append((drawing, pool))
        corpus.images[drawing.id] = blob
    corpus.drawings.sort(key=lambda entry: entry[0].id)


def place_questions(questions: list[Question], corpus: Corpus) -> None:
    """Put every question into its pools, with grades and class; drop what gives itself away."""
    by_pool: dict[Pool, dict[str, list[Drawing]]] = defaultdict(lambda: defaultdict(list))
    for drawing, pool in corpus.drawings:
        by_pool[pool][drawing.concept].append(drawing)
    document_texts = {text_key(drawing.text) for drawing, _ in corpus.drawings}
    placed: dict[tuple[Pool, str], list[tuple[Question, dict[str, int]]]] = defaultdict(list)
    for question in questions:
        if text_key(question.text) in document_texts:
            corpus.left_out["query texts that equal a document's text"] += 1
            continue
        for pool in splits.query_pools(question.cluster):
            if not _is_used(question, pool):
                continue
            grades = _grades(question, by_pool[pool])
            if pool == splits.TRAIN:  # the half-right is for judging, not for learning
                grades = {document: grade for document, grade in grades.items() if grade == 2}
            if 2 in grades.values():
                placed[pool, text_key(question.text)].append((question, grades))
    used_ids: set[str] = set()
    _drop_repeated(placed, corpus)
    for (pool, _), entries in placed.items():
        corpus.queries.append(_merged(pool, entries, corpus, used_ids))
    corpus.queries.sort(key=lambda query: query.id)


def _is_used(question: Question, pool: Pool) -> bool:
    """Return whether a text may be asked in a pool: reserved texts of known concepts not in train.

    The concepts that are held out were never trained on, so all their texts are new.
    """
    if question.use == "both" or not splits.is_known(question.cluster):
        return True
    return (question.use == "train") == (pool == splits.TRAIN)


def _grades(question: Question, drawings: dict[str, list[Drawing]]) -> dict[str, int]:
    """Return the graded documents of a question inside one pool."""
    grades = {}
    for concept in sorted(question.related):
        grades.update({d.id: 1 for d in drawings.get(concept, ())})
    for concept in sorted(question.best):
        for drawing in drawings.get(concept, ()):
            weak = question.weak_text_is_grade_1 and not drawing.informative
            grades[drawing.id] = 1 if weak else 2
    return grades


def _drop_repeated(
    placed: dict[tuple[Pool, str], list[tuple[Question, dict[str, int]]]], corpus: Corpus
) -> None:
    """Drop a test or calibration text that was trained on, and a calibration text that is tested.

    The names of known concepts are the exception: that condition asks for known names.
    """
    texts: dict[str, set[str]] = defaultdict(set)
    for pool, text in placed:
        texts[pool[0]].add(text)
    for pool, text in list(placed):
        split = pool[0]
        phrasings = {question.phrasing for question, _ in placed[pool, text]}
        trained = split != "train" and text in texts["train"] and phrasings != {"name"}
        tested = split == "calibration" and text in texts["test"]
        if trained or tested:
            del placed[pool, text]
            reason = "trained on" if trained else "tested too"
            corpus.left_out[f"query texts that are {reason}"] += 1


def _merged(
    pool: Pool,
    entries: list[tuple[Question, dict[str, int]]],
    corpus: Corpus,
    used_ids: set[str],
) -> Query:
    """Return one query of one text: the judgments of all who asked it, the higher grade first."""
    question = entries[0][0]
    grades: dict[str, int] = {}
    for _, judged in entries:
        for document, grade in judged.items():
            grades[document] = max(grade, grades.get(document, 0))
    corpus.left_out["query texts merged into an equal one"] += len(entries) - 1
    fixed = {asked.query_class for asked, _ in entries}
    kind = fixed.pop() if len(fixed) == 1 else None
    source = SHORT_SOURCES.get(question.text_source, question.text_source)
    query_id = base = f"{pool_name(pool)}.{question.concept}.{source}"
    number = 1
    while query_id in used_ids:
        number += 1
        query_id = f"{base}.{number}"
    used_ids.add(query_id)
    return Query(query_id, pool, question, kind or "", dict(sorted(grades.items())))


def set_classes(corpus: Corpus) -> None:
    """Give every query without a class the one that its relevant documents' texts decide.

    T: every grade-2 document carries an informative text. I: none does. M: some do, or (clip art)
    the text holds some of the title's words.
    """
    answers = {d.id: _answer_of(d) for d, _ in corpus.drawings}
    for query in corpus.queries:
        if not query.query_class:
            kinds = {answers[doc] for doc, grade in query.grades.items() if grade == 2}
            query.query_class = kinds.pop() if len(kinds) == 1 else "M"


def _answer_of(drawing: Drawing) -> str:
    """Return whether a document's text answers a name (T), does not (I), or in part (M)."""
    if drawing.title_coverage == "some":
        return "M"
    return "T" if drawing.informative else "I"
