"""What is known about every corpus that loads by name, before any of its files is fetched."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from mmgap._toml import read_rows
from mmgap.errors import CorpusError

_FILE = Path(__file__).with_name("catalog.toml")


@dataclass(frozen=True)
class CorpusFacts:
    """The facts of one corpus: one row of the catalogue. ``None`` and "" are not established.

    ``documents``, ``queries`` and ``relevant`` (pairs) count the split that is loaded by default;
    ``bytes`` is what a fetch loads. ``hub`` is a data set of the Hugging Face hub, ``subset`` its
    folder, ``revision`` a commit or its first digits. ``samples``: a part of it can be fetched.
    ``by_hand`` says how to get it where mmgap does not, ``main_score`` what its publishers report,
    ``notes`` its traps.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    id: str
    title: str
    task: str
    licence: str
    documents: int | None = None
    queries: int | None = None
    relevant: int | None = None
    bytes: int | None = None
    hub: str = ""
    revision: str = ""
    subset: str = ""
    samples: bool = False
    bundled: bool = False
    by_hand: str = ""
    main_score: str = ""
    notes: str = ""

    @property
    def pinned(self) -> str:
        """The revision in words."""
        if not self.hub:
            return "no data set of the hub"
        if not self.revision:
            return "not pinned: unknown here"
        if len(self.revision) < 40:
            return f"{self.revision}... (a prefix; a fetch completes it from the hub)"
        return self.revision


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the names most like an unknown one, as a question, or all that are known.

    >>> nearest("pictogram", ["edis", "pictograms"]), nearest("zzz", ["edis"])
    ("did you mean 'pictograms'?", 'known: edis.')
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    return f"did you mean {', '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}."


def find_corpus(name: str) -> CorpusFacts:
    """Return the facts of one corpus, as listed by ``mmgap corpus list``.

    >>> find_corpus("edis").queries
    3241
    >>> find_corpus("mbeir/webqa")
    Traceback (most recent call last):
    mmgap.errors.CorpusError: no corpus is called 'mbeir/webqa'; did you mean ...
    """
    known = {facts.id: facts for facts in all_corpora()}
    if name in known:
        return known[name]
    msg = f"no corpus is called {name!r}; {nearest(name, known)} 'mmgap corpus list' lists all"
    raise CorpusError(msg)


@cache
def all_corpora() -> tuple[CorpusFacts, ...]:
    """Return the facts of every corpus, in the order of the catalogue.

    >>> all_corpora()[0].id
    'pictograms'
    """
    return load_catalog(_FILE)


def load_catalog(path: Path) -> tuple[CorpusFacts, ...]:
    """Read and check a TOML file with one ``[[source]]`` table for each corpus.

    A CorpusError names file, corpus and key.
    """
    found = read_rows(path, "source", CorpusFacts, CorpusError)
    for facts in found:
        digits = set(facts.revision) <= set("0123456789abcdef") and len(facts.revision) >= 7
        if facts.revision and not (facts.hub and digits):
            msg = (
                f"{path}, source {facts.id!r}: 'revision' is {facts.revision!r}; expected a "
                "commit's digits, with a hub"
            )
            raise CorpusError(msg)
    return found
