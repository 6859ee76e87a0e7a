"""The same names in other languages: real CLDR translations, judged like the English query."""

from __future__ import annotations

import json
import re

from .assemble import Corpus
from .packages import Archive

# Language of the emojibase folder: script of its CLDR names.
LANGUAGES = {
    "bn": "Bengali", "de": "Latin", "es": "Latin", "fr": "Latin", "hi": "Devanagari",
    "ja": "Japanese", "ko": "Hangul", "pl": "Latin", "pt": "Latin",
    "ru": "Cyrillic", "th": "Thai", "vi": "Latin", "zh": "Han",
}  # fmt: skip


def translations(language: str, archives: dict[str, Archive], corpus: Corpus) -> list[dict]:
    """Return the test and calibration name queries in one language.

    Parameters
    ----------
    language : str
        Key of `LANGUAGES`.
    archives : dict
        The opened packages.
    corpus : Corpus
        The English corpus.
    """
    labels = {
        entry["hexcode"]: entry["label"]
        for entry in json.loads(archives["emojibase"].files[f"{language}/data.json"])
    }
    rows = []
    for query in corpus.queries:
        question = query.question
        if query.pool[0] == "train" or question.text_source != "cldr_name":
            continue
        label = labels.get(question.hexcode, "")
        if question.domain == "flags":  # "Flagge: Österreich" names the country after the colon
            label = re.sub(r"^[^:\uff1a]*[:\uff1a]\s*", "", label)
        if label:
            rows.append(
                {
                    "id": f"{question.concept}.{language}",
                    "text": label,
                    "language": language,
                    "script": LANGUAGES[language],
                    "same_as": query.id,
                }
            )
    return rows
