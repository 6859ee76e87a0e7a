"""Open Clip Art: drawings with the titles, keywords and descriptions of those who drew them."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from dataclasses import dataclass

from . import splits
from .packages import PACKAGES, Archive
from .records import Drawing, Question, slug_of, word_set, words_of
from .wordnet import WordNet

STYLE = "openclipart"
_FOLDER = "usr/share/openclipart/svg/"

# Not drawings of things (gradients, stars, icon themes, cards), flags (see flags.py), or GPL files
# (computer/).
_FOLDERS_LEFT_OUT = re.compile(
    r"computer|special|buttons|logos|shapes|recreation/games/cards|recreation/games/dice"
    r"|signs_and_symbols/(?:flags|led)|unsorted/duplicates|decorations"
)
# Titles in Italian, French, Spanish or Polish: the queries of this corpus are English.
_OTHER_LANGUAGES = re.compile(
    r"architetto|rollandin|yves guil|mireille|christ.*girin|fransesc|szaksz|sherrera|mauricio duq",
    re.I,
)
_GENERIC_TITLES = word_set(
    "card|various cliparts|aiga symbol signs|svg road signs|r16 sibmission|advertising|"
    "map symbols|homes clipart|etiquette icons|boating rules illustration|clip art|clipart|"
    "untitled|drawing|australian maps|road signs|boating rules|menu collection|"
    "illustration|icon|symbol|image|picture|test",
    "|",
)
# Letters set in a font: the corpus is drawn without fonts, for the same bytes on every machine, so
# a parking sign would lose its P.
_HAS_LETTERS = re.compile(rb"<(?:svg:)?(?:text|flowRoot)\b")
_NOT_KEYWORDS = re.compile(
    r"^hash|0x|clip ?art|svg|png|unsorted|external ?source|^(?:image|misc|etc|other)$|^\W*\d*\W*$"
)
_ABOUT_THE_FILE = re.compile(
    r"inkscape|@|http|www|clip ?art|svg|submission|submitted|sodipodi|vector|created|drawn by"
    r"|public domain|converted|\bmy\b|\bI\b|license|upload|openoffice|illustrator|\.org|\.com"
)
_LITTLE_WORDS = word_set("a an the of with in on and or for to at by from as is it its this that")
_MOST_OF_ONE_TITLE = 6


@dataclass
class Metadata:
    """What an SVG file says about itself."""

    title: str
    keywords: list[str]
    description: str
    creator: str
    public_domain: bool


def read_metadata(svg: bytes) -> Metadata:
    """Return the Dublin Core block of an Open Clip Art file."""
    text = svg.decode("utf-8", "replace")
    work = re.search(r"<(?:cc:)?Work\b.*?</(?:cc:)?Work>", text, re.S)
    block = work[0] if work else ""
    creator = re.search(r"<dc:creator\b.*?</dc:creator>", block, re.S)
    licence = re.search(r"license\b[^>]*resource=\"([^\"]+)\"", block)
    items = re.findall(r"<rdf:li>(.*?)</rdf:li>", block, re.S)
    return Metadata(
        _field("title", block),
        [_words(item) for item in items],
        _field("description", block),
        re.sub(r"\s*[<\[(].*", "", _field("title", creator[0] if creator else "")) or "unknown",
        bool(licence and re.search("public ?domain", licence[1], re.I)),
    )


def _field(tag: str, block: str) -> str:
    """Return the first Dublin Core field of that name as plain words."""
    match = re.search(rf"<dc:{tag}\b[^>]*>(.*?)</dc:{tag}>", block, re.S)
    return _words(match[1]) if match else ""


def _words(markup: str) -> str:
    """Return text without tags, entities and doubled blanks."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", markup))).strip()


def clean_title(title: str, stem: str, creator: str) -> str:
    """Return what the drawing is called: the title, or the file name where the title is generic.

    Titles like "Clipart by Nicu Buculei - pear" were copied from drawing to drawing and are often
    wrong (a lemon has this one), so nothing is returned for them.

    >>> clean_title("Baseball (B and W)", "baseball_bw_ganson", "Gerald G.")
    'Baseball'
    >>> clean_title("AIGA_Symbol_Signs", "aiga_beauty_salon_", "Jean-Victor Balin")
    'beauty salon'
    """
    if re.match(r"clipart by", title, re.I):
        return ""
    title = _tidy(title)
    if not title or title.lower() in _GENERIC_TITLES:
        names = {word[:4] for word in words_of(creator) if len(word) > 2} | {"gans"}
        words = [w for w in words_of(stem.replace("_", " ")) if w[:4] not in names]
        title = _tidy(" ".join(w for w in words if w != "aiga"))
    return title


def _tidy(title: str) -> str:
    """Return a title without numbers, underscores and remarks about the technique."""
    title = re.sub(r"\((?:b and w|black and white|bw|color|colour)\)", " ", title, flags=re.I)
    title = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", title.replace("_", " "))
    title = re.sub(r"\b(?:clip ?art|bw|svg)\b|\d+|#|\.$", " ", title, flags=re.I)
    title = re.sub(r"\(\s*\)", " ", title)
    return re.sub(r"\s+", " ", title).strip(" -,.:;!")


def _is_english(title: str, wordnet: WordNet) -> bool:
    """Return whether every longer word of a title is a word of WordNet."""
    words = [w for w in words_of(title) if w not in _LITTLE_WORDS]
    known = all(any(form in wordnet.lemmas for form in _base_forms(w)) for w in words)
    return known and any(len(w) > 2 for w in words)


def _base_forms(word: str) -> list[str]:
    """Return a word and what it may be an inflection of."""
    forms = [word, splits.singular(word)]
    for ending in ("ing", "ed"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            forms += [stem, stem + "e", stem[:-1]]
    return forms


def _is_flag(title: str, metadata: Metadata) -> bool:
    """Return whether a drawing is a flag outside the folder of flags, known there or outdated."""
    return any(word in ("flag", "flags") for text in (title, *metadata.keywords)
               for word in words_of(text))  # fmt: skip


def _keywords(metadata: Metadata) -> list[str]:
    """Return the uploader's keywords that say something about the drawing."""
    creator = set(words_of(metadata.creator))
    kept = []
    for item in metadata.keywords:
        word = re.sub(r"[_\s]+", " ", item.lower()).strip(" '\"")
        is_word = word.isascii() and len(word) > 1 and not _NOT_KEYWORDS.search(word)
        if is_word and not set(words_of(word)) <= creator:
            kept.append(word)
    return list(dict.fromkeys(kept))


def title_coverage(title: str, text: str) -> str:
    """Return whether all, some or none of a title's content words stand in a text."""
    wanted = {splits.singular(w) for w in words_of(title) if w not in _LITTLE_WORDS}
    there = {splits.singular(w) for w in words_of(text)}
    joined = re.sub(r"[^a-z]", "", text.lower())
    hits = {w for w in wanted if w in there or (len(w) > 3 and w in joined)}
    if not hits:
        return "none"
    return "all" if hits == wanted else "some"


def read_clip_art(
    archives: dict[str, Archive], wordnet: WordNet, clusters: dict[str, str]
) -> tuple[list[Drawing], list[Question]]:
    """Return drawings and questions of Open Clip Art.

    Parameters
    ----------
    archives : dict
        The opened packages.
    wordnet : WordNet
        Tells English titles from others.
    clusters : dict
        Cluster of every concept known so far; clip art of the same name joins it.
    """
    by_concept: dict[str, list[tuple[float, str, bytes, Metadata, str]]] = defaultdict(list)
    for path, blob in sorted(archives[STYLE].files.items()):
        if not path.startswith(_FOLDER) or not path.endswith(".svg"):
            continue
        folder, _, stem = path[len(_FOLDER) : -len(".svg")].rpartition("/")
        if not folder or _FOLDERS_LEFT_OUT.match(folder):
            continue
        metadata = read_metadata(blob)
        if not metadata.public_domain or _OTHER_LANGUAGES.search(metadata.creator):
            continue
        title = clean_title(metadata.title, stem, metadata.creator)
        if _HAS_LETTERS.search(blob) or _is_flag(title, metadata):
            continue
        if len(title) < 3 or len(title.split()) > 8 or not _is_english(title, wordnet):
            continue
        order = splits.fraction("clip-art", path)
        by_concept[slug_of(title)].append((order, path, blob, metadata, title))
    drawings: list[Drawing] = []
    asked: list[Question] = []
    taken: set[str] = set()
    for concept, entries in sorted(by_concept.items()):
        kept = sorted(sorted(entries)[:_MOST_OF_ONE_TITLE], key=lambda entry: entry[1])
        title = kept[0][4]
        cluster = clusters.get(concept, splits.head_noun(title))
        if concept not in clusters:
            asked.append(_question(concept, cluster, title, "clip_art_title", "name", "both"))
        for _, path, blob, metadata, _ in kept:
            drawing = _drawing(concept, cluster, path, blob, metadata, title)
            if drawing.id in taken:  # file names that differ in punctuation only
                continue
            taken.add(drawing.id)
            drawings.append(drawing)
            text = metadata.description.strip(" .")
            if _describes(text, title):
                asked.append(
                    _question(concept, cluster, text, "clip_art_description", "new", "both")
                )
    return drawings, asked


def _describes(text: str, title: str) -> bool:
    """Return whether a description is English-looking prose about the drawing, not the title."""
    words = words_of(text)
    new = set(words) - set(words_of(title)) - _LITTLE_WORDS
    return (
        4 <= len(words) <= 60
        and len(new) >= 2
        and text.isascii()
        and not _ABOUT_THE_FILE.search(text)
        and bool(set(words) & _LITTLE_WORDS)
    )


def _drawing(
    concept: str, cluster: str, path: str, blob: bytes, metadata: Metadata, title: str
) -> Drawing:
    """Return one clip art with the uploader's keywords, or its folder where there are none."""
    folder, _, stem = path[len(_FOLDER) : -len(".svg")].rpartition("/")
    keywords = _keywords(metadata)
    place = ": ".join(part.replace("_", " ") for part in folder.split("/"))
    text = ", ".join(keywords) if keywords else place
    coverage = title_coverage(title, text)
    return Drawing(
        STYLE, slug_of(f"{folder}-{stem}"), concept, cluster, "clip-art", blob,
        PACKAGES[STYLE].label, "public domain", metadata.creator, finish="crop",
        text=text, text_source="clip_art_keywords" if keywords else "clip_art_folder",
        informative=coverage == "all", title_coverage=coverage,
    )  # fmt: skip


def _question(
    concept: str, cluster: str, text: str, source: str, phrasing: str, use: str
) -> Question:
    """Return a query about a clip art."""
    return Question(concept, cluster, "clip-art", text, source, phrasing, use, frozenset({concept}))
