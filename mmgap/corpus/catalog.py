"""What is known about every corpus that loads by name, before any of its files is fetched."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

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
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} is no TOML: {error}"
        raise CorpusError(msg) from error
    tables = content.get("source")
    if set(content) != {"source"} or not isinstance(tables, list):
        msg = f"{path} holds {sorted(content)} at its top; expected [[source]] tables only"
        raise CorpusError(msg)
    found: dict[str, CorpusFacts] = {}
    for table in tables:
        if not isinstance(table, dict):
            msg = f"{path} holds {table!r} as a source; expected a table"
            raise CorpusError(msg)
        facts = _read(table, str(path))
        if facts.id in found:
            msg = f"{path}: corpus {facts.id!r} stands there twice; keep one"
            raise CorpusError(msg)
        found[facts.id] = facts
    return tuple(found.values())


def _read(table: dict[str, Any], path: str) -> CorpusFacts:
    where = f"{path}, corpus {table.get('id', '(without id)')!r}"
    hints = get_type_hints(CorpusFacts)
    if unknown := [key for key in table if key not in hints]:
        msg = f"{where}: unknown key {unknown[0]!r}; the known keys are {', '.join(hints)}"
        raise CorpusError(msg)
    needed = [each.name for each in fields(CorpusFacts) if each.default is MISSING]
    if missing := [key for key in needed if key not in table]:
        msg = f"{where}: key {missing[0]!r} is missing; every corpus needs {', '.join(needed)}"
        raise CorpusError(msg)
    for key, value in table.items():
        expected = next((each for each in get_args(hints[key]) if each is not NoneType), hints[key])
        if type(value) is not expected or (expected is int and value < 1):
            msg = f"{where}: {key!r} is {value!r}; expected {expected.__name__}"
            raise CorpusError(msg)
    facts = CorpusFacts(**table)
    digits = set(facts.revision) <= set("0123456789abcdef") and len(facts.revision) >= 7
    if facts.revision and not (facts.hub and digits):
        msg = f"{where}: 'revision' is {facts.revision!r}; expected a commit's digits, with a hub"
        raise CorpusError(msg)
    return facts
