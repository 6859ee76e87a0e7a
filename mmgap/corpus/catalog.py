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
    """The facts of one corpus; one row of the catalogue.

    Parameters
    ----------
    id : str
        The name it is loaded by.
    title, task : str
        What it is, and what asks for what.
    licence : str
        As its publisher states it; SPDX identifier where there is one.
    documents, queries, relevant : int or None
        Counts of the split that is loaded by default; ``relevant`` is pairs of query and document.
        ``None`` = not established.
    bytes : int or None
        What a fetch loads; ``None`` = not established.
    hub : str
        Data set of the Hugging Face hub; empty if it is not from there.
    revision : str
        Commit of the hub, or its first digits; empty = none is known here.
    subset : str
        Folder of the data set that holds this corpus; empty = all of it.
    samples : bool
        Whether a part of it can be fetched, see :func:`mmgap.corpus.sampling.fetch_sample`.
    bundled : bool
        Whether it comes with mmgap.
    by_hand : str
        How to get it where mmgap does not fetch it.
    main_score : str
        The number that its publishers report.
    notes : str
        Traps.
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


def find_corpus(name: str) -> CorpusFacts:
    """Return the facts of one corpus.

    Parameters
    ----------
    name : str
        As listed by ``mmgap corpus list``.

    Raises
    ------
    CorpusError
        If the catalogue has no such corpus; the message names the nearest ones.

    Examples
    --------
    >>> find_corpus("edis").queries
    3241
    >>> find_corpus("mbeir/webqa")
    Traceback (most recent call last):
    mmgap.errors.CorpusError: no corpus is called 'mbeir/webqa'; did you mean ...
    """
    known = {facts.id: facts for facts in all_corpora()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    msg = f"no corpus is called {name!r}{hint} 'mmgap corpus list' lists all of them"
    raise CorpusError(msg)


@cache
def all_corpora() -> tuple[CorpusFacts, ...]:
    """Return the facts of every corpus, in the order of the catalogue.

    Examples
    --------
    >>> all_corpora()[0].id
    'pictograms'
    """
    return load_catalog(_FILE)


def load_catalog(path: Path) -> tuple[CorpusFacts, ...]:
    """Read and check a catalogue file.

    Parameters
    ----------
    path : Path
        TOML with one ``[[source]]`` table for each corpus; its keys are the parameters of
        :class:`CorpusFacts`.

    Returns
    -------
    tuple of CorpusFacts
        In the order of the file.

    Raises
    ------
    CorpusError
        If the file is no TOML, has unknown keys, misses one that is needed, holds a value of a
        wrong type or names a corpus twice. The message names file, corpus and key.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is no TOML: {error}"
        raise CorpusError(msg) from error
    if set(content) != {"source"} or not isinstance(content["source"], list):
        msg = f"{path} holds {sorted(content)} at its top; expected [[source]] tables only"
        raise CorpusError(msg)
    found = tuple(_read(table, str(path)) for table in content["source"])
    _refuse_duplicates(found, str(path))
    return found


def _read(table: dict[str, Any], path: str) -> CorpusFacts:
    where = f"{path}, corpus {table.get('id', '(without id)')!r}"
    hints = get_type_hints(CorpusFacts)
    if unknown := [key for key in table if key not in hints or key == "pinned"]:
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
    if facts.revision and (
        not facts.hub or len(facts.revision) < 7 or set(facts.revision) - set("0123456789abcdef")
    ):
        msg = f"{where}: 'revision' is {facts.revision!r}; expected a commit's digits, with a hub"
        raise CorpusError(msg)
    return facts


def _refuse_duplicates(found: Iterable[CorpusFacts], where: str) -> None:
    seen = set()
    for facts in found:
        if facts.id in seen:
            msg = f"{where}: corpus {facts.id!r} stands there twice; keep one"
            raise CorpusError(msg)
        seen.add(facts.id)
