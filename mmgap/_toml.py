"""Read a catalogue: a TOML file with one table for each row."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from mmgap.errors import MmgapError

Row = TypeVar("Row")


def read_rows(path: Path, table: str, row: type[Row], error: type[MmgapError]) -> tuple[Row, ...]:
    """Return the ``[[table]]`` tables of a file as instances of the dataclass ``row``.

    Unknown and missing keys, values of another type than the field's and two rows of one ``id`` are
    refused with ``error``, which names file, row and key. (``__pydantic_config__`` of the dataclass
    says how strictly.)
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as cause:
        msg = f"{path} is not valid TOML: {cause}"
        raise error(msg) from cause
    tables: Any = content.get(table)
    if set(content) != {table} or not isinstance(tables, list):
        msg = f"{path} holds {sorted(content)} at its top; expected [[{table}]] tables only"
        raise error(msg)
    names = [each.get("id") if isinstance(each, dict) else None for each in tables]
    if twice := [name for at, name in enumerate(names) if name is not None and name in names[:at]]:
        msg = f"{path}: {table} {twice[0]!r} occurs twice; keep one"
        raise error(msg)
    try:
        # As JSON, where a list is a tuple and a whole number a float, but nothing else bends.
        return TypeAdapter(tuple[row, ...]).validate_json(json.dumps(tables, default=str))  # type: ignore[valid-type]
    except ValidationError as cause:
        first = cause.errors()[0]
        at, *keys = first["loc"] or (0,)
        key = ".".join(map(str, keys))
        msg = (
            f"{path}, {table} {names[int(at)] or '(without id)'!r}: {key!r}: {first['msg']}; "
            f"got {first['input']!r:.80}"
        )
        raise error(msg) from cause
