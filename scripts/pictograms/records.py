"""The two things that every source hands over: drawings and questions."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field


@dataclass
class Drawing:
    """One image, what it shows, and the one text that stands beside it.

    ``finish`` is ``crop`` where empty margins are cut away and ``frame`` where a thin line shows
    the edge of an image that may be white there (flags).
    """

    style: str
    slug: str
    concept: str
    cluster: str
    domain: str
    artwork: str | bytes
    package: str
    licence: str
    creator: str
    finish: str = ""
    text: str = ""
    text_source: str = ""
    informative: bool = False
    title_coverage: str | None = None

    @property
    def id(self) -> str:
        """Return the document id; it is also the name of the image."""
        return f"{self.style}.{self.slug}"


@dataclass
class Question:
    """One query text before it is placed into pools.

    ``use`` is ``train``, ``evaluation`` or ``both``; ``best`` are concepts of grade 2, ``related``
    of grade 1. ``query_class`` is set where the construction decides it and left None where the
    texts of the relevant documents do.
    """

    concept: str
    cluster: str
    domain: str
    text: str
    text_source: str
    phrasing: str
    use: str = "both"
    best: frozenset[str] = frozenset()
    related: frozenset[str] = frozenset()
    query_class: str | None = None
    weak_text_is_grade_1: bool = False
    hexcode: str = field(default="", compare=False)


def slug_of(name: str) -> str:
    """Return lower-case ASCII words joined by hyphens.

    >>> slug_of("piñata"), slug_of("keycap: #"), slug_of("man's shoe")
    ('pinata', 'keycap-hash', 'mans-shoe')
    """
    name = name.replace("#", " hash").replace("*", " asterisk").replace("!", " exclamation")
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = plain.lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def words_of(text: str) -> list[str]:
    """Return the lower-case words of a text."""
    return re.findall(r"[^\W_]+", text.lower().replace("\u2019", "'").replace("'s", ""))


def word_set(text: str, separator: str | None = None) -> frozenset[str]:
    """Return the words of a text as a set; a list of short words reads better as a text."""
    return frozenset(text.split(separator))
