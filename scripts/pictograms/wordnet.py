"""Nouns of WordNet 3.0: glosses, hypernyms, and which words have one sense only."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Lexicographer files of things that can be drawn: animal, artifact, body, food, object, plant.
CONCRETE = frozenset({5, 6, 8, 13, 17, 20})
_FOLDER = "usr/share/wordnet/"


@dataclass(frozen=True)
class Synset:
    """One noun sense."""

    offset: str
    file_number: int
    words: tuple[str, ...]
    hypernyms: tuple[str, ...]
    gloss: str


class WordNet:
    """The noun files of the Debian package ``wordnet-base``."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._data = files[_FOLDER + "data.noun"]
        self._senses: dict[str, tuple[str, ...]] = {}
        for line in files[_FOLDER + "index.noun"].decode().splitlines():
            if not line.startswith("  "):
                fields = line.split()
                count = int(fields[2])
                self._senses[fields[0]] = tuple(fields[-count:])
        self.lemmas = {
            line.split(" ", 1)[0]
            for part in ("noun", "verb", "adj", "adv")
            for line in files[f"{_FOLDER}index.{part}"].decode().splitlines()
            if not line.startswith("  ")
        }

    def senses(self, word: str) -> tuple[str, ...]:
        """Return the synset offsets of a noun, most frequent first."""
        return self._senses.get(word.lower().replace(" ", "_"), ())

    def synset(self, offset: str) -> Synset:
        """Return the synset that starts at a byte offset of ``data.noun``."""
        start = int(offset)
        line = self._data[start : self._data.index(b"\n", start)].decode()
        if not line.startswith(offset + " "):
            msg = f"no noun synset starts at offset {offset}"
            raise ValueError(msg)
        fields, gloss = line.split(" | ", 1)
        tokens = fields.split()
        count = int(tokens[3], 16)
        words = tuple(tokens[4 + 2 * i].replace("_", " ") for i in range(count))
        return Synset(
            offset, int(tokens[1]), words, tuple(re.findall(r"@i? (\d{8}) n", fields)),
            definition(gloss),
        )  # fmt: skip

    def hypernym_text(self, offset: str) -> str:
        """Return the two next more general senses, in WordNet's words."""
        found = []
        for _ in range(2):
            parents = self.synset(offset).hypernyms
            if not parents:
                break
            offset = parents[0]
            found.append(self.synset(offset).words[0])
        return ", ".join(found)


def definition(gloss: str) -> str:
    """Return a gloss without its usage examples, which WordNet puts in double quotes."""
    return re.split(r';\s*"|\s"', gloss.strip(), maxsplit=1)[0].strip(" ;")
